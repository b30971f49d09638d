"""Shipped folders are found in a checkout and in a wheel, and names cannot lead anywhere else."""

from pathlib import Path

import pytest

from netgraph import resources

ROOT = Path(__file__).resolve().parents[1]

BAD_NAMES = [
    "",
    ".",
    "..",
    "../datasets/digits",
    "digits/",
    "/digits",
    "digits/../digits",
    "digits\\..",
    "di.gits",
    "digits\n",
    "digits\0",
    "-digits",
    "_digits",
    "ü",
    "a" * 101,
]


def make_folder(parent: Path, name: str, *, complete: bool = True) -> Path:
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "data").write_text("x")
    if complete:
        (folder / resources.CHECKSUMS).write_text("")
    return folder


def test_this_checkout() -> None:
    assert resources.dataset_dir("digits") == ROOT / "datasets" / "digits"
    assert "digits" in resources.dataset_names()
    assert resources.dataset_dir("absent") is None
    assert resources.model_dir("absent") is None
    for name in resources.model_names():
        folder = resources.model_dir(name)
        assert folder is not None and (folder / "config.json").is_file()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    assert not resources.is_plain_name(name)
    assert resources.dataset_dir(name) is None
    assert resources.model_dir(name) is None


def test_a_wheel_holds_them_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "netgraph"
    inside = make_folder(package / "_models", "tiny")
    make_folder(package / "_models", "half", complete=False)
    make_folder(package / "_models", "with.dot")
    (package / "_models" / "README.md").write_text("not a model")
    make_folder(tmp_path / "site-packages" / "models", "tiny")  # of some other package
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.model_dir("tiny") == inside
    assert resources.model_names() == ("tiny",)
    assert resources.dataset_names() == ()
    assert resources.dataset_dir("digits") is None


def test_neighbours_in_site_packages_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "netgraph"
    package.mkdir()
    neighbour = make_folder(tmp_path / "models", "tiny")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.model_dir("tiny") is None
    (tmp_path / "pyproject.toml").write_text("")
    assert resources.model_dir("tiny") == neighbour


def test_the_module_needs_the_standard_library_only() -> None:
    source = Path(resources.__file__).read_text("utf-8")
    imported = {
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.startswith(("from ", "import "))
    }
    assert imported <= {"__future__", "re", "pathlib", "typing"}
