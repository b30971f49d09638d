"""The maker of the digits writes the committed bytes again."""

from pathlib import Path

from netgraph.hub import sha256
from netgraph.hub.digits import make_digits
from netgraph.resources import dataset_dir


def test_making_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    shipped = dataset_dir("digits")
    again = make_digits(tmp_path / "digits")
    assert sorted(p.name for p in again.iterdir()) == sorted(p.name for p in shipped.iterdir())
    for file in again.iterdir():
        assert file.read_bytes() == (shipped / file.name).read_bytes(), file.name


def test_the_card_states_source_licence_hash_and_splits() -> None:
    folder = dataset_dir("digits")
    card = (folder / "README.md").read_text("utf-8")
    digest = sha256(folder / "data.safetensors")
    for part in ("Source", "BSD 3-clause", digest, "1078", "360", "359", "python -m netgraph.hub.digits"):
        assert part in card
    assert "Redistributions of source code must retain" in (folder / "LICENSE").read_text("utf-8")
