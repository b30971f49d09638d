"""A metanetwork from its recipe, stopped at any moment and resumed with the same result."""

from pathlib import Path

import pytest
import torch

from netgraph.errors import TrainingError, UsageError
from netgraph.graph import CostModel, load_graph
from netgraph.hub import load_model, verify_checksums
from netgraph.hub.recipes import make_metanetwork, read_recipe
from netgraph.nn import Metanetwork


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(folder).state_dict())


def test_a_recipe_makes_a_model(metanetwork_recipe: Path, tmp_path: Path) -> None:
    folder = metanetwork_recipe.parent
    figures = make_metanetwork(read_recipe(metanetwork_recipe), folder, tmp_path / "work")
    verify_checksums(folder, needed=["model.safetensors", "config.json", "README.md", "recipe.toml"])
    assert isinstance(load_model(folder), Metanetwork)
    assert [r["epoch"] for r in figures["history"]] == [1, 2]
    assert 0 <= figures["baseline"] <= 1
    assert "accuracy of held-out networks at 50% of their MACs" in (folder / "README.md").read_text()
    networks = sorted((tmp_path / "work").glob("network-*.safetensors"))
    assert len(networks) == 3
    # Each network was pruned by 1.3 after its training: none has its first width any more.
    macs = sorted(CostModel(load_graph(n).structure).macs() for n in networks)
    for cost, width in zip(macs, (8, 10, 12), strict=True):
        assert 0.5 * 74 * width < cost <= 74 * width / 1.3


@pytest.mark.parametrize("stop_after", [1, 5, 9, 12, 14])
def test_stopped_and_resumed_it_ends_with_the_same_weights(
    metanetwork_recipe: Path, tmp_path: Path, stop_after: int
) -> None:
    """After some calls of progress: while a network is trained, and inside either epoch of meta-training."""
    recipe = read_recipe(metanetwork_recipe)
    whole = make_metanetwork(recipe, tmp_path / "whole", tmp_path / "a")
    calls = []

    def stop(stage: str, done: int, total: int) -> None:
        calls.append(stage)
        if len(calls) == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_metanetwork(recipe, tmp_path / "resumed", tmp_path / "b", progress=stop)
    assert not (tmp_path / "resumed").exists()
    again = make_metanetwork(recipe, tmp_path / "resumed", tmp_path / "b", resume=True)
    assert again == whole
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_an_earlier_run_is_not_overwritten(metanetwork_recipe: Path, tmp_path: Path) -> None:
    recipe, work = read_recipe(metanetwork_recipe), tmp_path / "work"
    work.mkdir()
    (work / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(TrainingError, match="pass --resume to go on, or delete it"):
        make_metanetwork(recipe, tmp_path / "out", work)
    with pytest.raises(TrainingError, match="leave --resume out"):
        make_metanetwork(recipe, tmp_path / "out", tmp_path / "absent", resume=True)


CHANGES = {
    "size": ("hidden = 4", "hidden = 0"),
    "meta-training": ("checkpoint_every = 1", "checkpoint_every = 0"),
    "unknown setting": ("batch_size = 256", "batch_sise = 256"),
    "architecture": ('"MLP"', '"Absent"'),
    "training": ("training = { epochs = 2,", "training = { epoch = 2,"),
    "no networks": ("train = [", "trein = ["),
}


@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_bad_input_is_refused(metanetwork_recipe: Path, tmp_path: Path, old: str, new: str) -> None:
    text = metanetwork_recipe.read_text()
    assert old in text
    metanetwork_recipe.write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=r"^recipe 'meta': "):
        make_metanetwork(read_recipe(metanetwork_recipe), tmp_path / "out", tmp_path / "work")
    assert not (tmp_path / "out").exists()


def test_a_network_recipe_is_refused(network_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use train"):
        make_metanetwork(read_recipe(network_recipe), tmp_path / "out", tmp_path / "work")
