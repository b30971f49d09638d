"""`netgraph models` and `netgraph datasets`."""

from pathlib import Path


def test_datasets(netgraph) -> None:
    result = netgraph("datasets", "--json").json
    assert [d["name"] for d in result["datasets"]] == ["digits"]
    text = netgraph("datasets").out
    assert "digits" in text and "bsd-3-clause" in text and "1,797 handwritten digits" in text


def test_models(netgraph, shelf: Path) -> None:
    result = netgraph("models", "--json").json
    assert [(m["name"], m["kind"]) for m in result["models"]] == [
        ("meta", "metanetwork"),
        ("tiny", "network"),
    ]
    rows = netgraph("models").out.splitlines()
    assert len(rows) == 3 and "A tiny network." in rows[2]


def test_nothing_is_shipped(netgraph, shelf: Path) -> None:
    for name in ("tiny", "meta"):
        (shelf / name / "SHA256SUMS").unlink()
    assert netgraph("models", "--json").json == {"models": []}
    assert netgraph("models").status == 0
