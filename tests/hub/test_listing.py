"""What is shipped is listed by its cards, and one bad card does not spoil the list."""

from pathlib import Path

from netgraph.hub import list_datasets, list_models


def test_datasets() -> None:
    digits = next(d for d in list_datasets() if d.name == "digits")
    assert digits.kind == "dataset"
    assert digits.summary.startswith("1,797 handwritten digits")
    assert digits.licence == "bsd-3-clause"
    assert 100_000 < digits.size < 200_000


def test_models(shelf: Path) -> None:
    (tiny,) = list_models()
    assert (tiny.name, tiny.kind, tiny.licence) == ("tiny", "network", "mit")
    assert tiny.summary == "A tiny network that knows nothing."
    assert tiny.size == sum(p.stat().st_size for p in (shelf / "tiny").iterdir())


def test_a_bad_card_or_config_is_listed_all_the_same(shelf: Path) -> None:
    (shelf / "tiny" / "README.md").write_text("---\n[: not yaml\n---\n# only a heading")
    (shelf / "tiny" / "config.json").write_text("{")
    (tiny,) = list_models()
    assert (tiny.name, tiny.kind, tiny.summary) == ("tiny", "unreadable", "(its card cannot be read)")
    (shelf / "tiny" / "README.md").unlink()
    assert list_models()[0].licence == ""


def test_nothing_shipped(shelf: Path) -> None:
    (shelf / "tiny" / "SHA256SUMS").unlink()
    assert list_models() == ()
