"""Repositories on the Hugging Face Hub: the local cache first, no unsafe file, one error when offline."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from netgraph.errors import HubError
from netgraph.graph import NeuralGraph
from netgraph.hub import load_model_graph, model_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


def fill(cache: Path, model: Path) -> Path:
    repository = cache / "models--someone--tiny"
    snapshot = repository / "snapshots" / COMMIT
    shutil.copytree(model, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return snapshot


def test_offline_gives_one_clear_error(cache: Path) -> None:
    with pytest.raises(
        HubError, match=r"^load_model: 'someone/tiny' is not in the local cache and"
    ) as caught:
        load_model_graph("someone/tiny")
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_cache_is_enough(cache: Path, shelf: Path, graph: NeuralGraph) -> None:
    snapshot = fill(cache, shelf / "tiny")
    assert model_folder("someone/tiny") == snapshot
    assert load_model_graph("someone/tiny") == graph
    assert load_model_graph("someone/tiny", revision=COMMIT) == graph


def test_the_cache_is_checked_too(cache: Path, shelf: Path) -> None:
    snapshot = fill(cache, shelf / "tiny")
    (snapshot / "README.md").write_text("changed")
    with pytest.raises(HubError, match="another sha256"):
        model_folder("someone/tiny")


def test_half_a_cache_entry_is_not_enough(cache: Path, shelf: Path) -> None:
    snapshot = fill(cache, shelf / "tiny")
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(HubError):
        model_folder("someone/tiny")


def test_another_revision_is_not_had_from_the_cache(cache: Path, shelf: Path) -> None:
    fill(cache, shelf / "tiny")
    with pytest.raises(HubError, match="is not in the local cache"):
        model_folder("someone/tiny", revision="v2")


def test_only_known_files_are_downloaded(monkeypatch: pytest.MonkeyPatch, shelf: Path) -> None:
    calls = []

    def download(name: str, **options: object) -> str:
        calls.append(options)
        if options.get("local_files_only"):
            raise LocalEntryNotFoundError("not cached")
        return str(shelf / "tiny")

    monkeypatch.setattr("netgraph.hub.resolve.snapshot_download", download)
    assert model_folder("someone/tiny", revision="main") == shelf / "tiny"
    assert [c.get("local_files_only", False) for c in calls] == [True, False]
    for call in calls:
        assert call["revision"] == "main"
        assert all(
            not pattern.endswith((".bin", ".pt", ".pkl", ".py", "*")) for pattern in call["allow_patterns"]
        )


@pytest.mark.parametrize(
    "name", ["someone", "a/b/c", "/absolute/path", "./relative", "a b/c", "../x", "some..one/x"]
)
def test_names_that_are_no_repository_are_not_looked_up(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def download(*_: object, **__: object) -> str:
        raise AssertionError("looked up")

    monkeypatch.setattr("netgraph.hub.resolve.snapshot_download", download)
    with pytest.raises(HubError, match="there is no model"):
        model_folder(name)
