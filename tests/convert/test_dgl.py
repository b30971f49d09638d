"""DGL: lossless both ways where it is installed, one clear error where it is not."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from netgraph.convert.dgl_ import from_dgl, to_dgl
from netgraph.convert.flat import flatten
from netgraph.errors import InterchangeError
from tests.graph.networks import NETWORKS, by_hand, graph

os.environ.setdefault("DGLBACKEND", "pytorch")
dgl = pytest.importorskip("dgl", reason="needs the extra netgraph-metanet[dgl]")


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(name: str) -> None:
    converted = graph(name)
    made = to_dgl(converted)
    assert made.num_nodes() == converted.num_nodes
    assert from_dgl(made) == converted


def test_layout_is_that_of_the_edge_list() -> None:
    converted = graph("concat")
    made, flat = to_dgl(converted), flatten(converted)
    assert torch.equal(torch.stack(made.edges(order="eid")), flat.edge_index)
    assert torch.equal(made.edata["edge_attr"], flat.edge_attr)
    assert torch.equal(made.edata["edge_block"], flat.edge_block)
    assert torch.equal(made.ndata["x"], flat.x)
    assert torch.equal(made.ndata["node_group"], flat.node_group)


COPIES: dict[str, Callable[[Any], Any]] = {
    "clone": lambda g: g.clone(),
    "local": lambda g: g.local_var(),
    "to": lambda g: g.to("cpu"),
    "narrow": lambda g: g.int(),
    "by row": lambda g: g.formats(["csr"]),
    "by column": lambda g: g.formats(["csc"]),
    "by edge": lambda g: g.formats(["coo"]),
}


@pytest.mark.parametrize("take", COPIES.values(), ids=COPIES)
def test_copies_come_back(take: Callable[[Any], Any]) -> None:
    assert from_dgl(take(to_dgl(graph("odds")))) == graph("odds")


def test_edits_come_back() -> None:
    made = to_dgl(by_hand())
    made.edata["edge_attr"][7] = 5.0
    made.ndata["x"] = made.ndata["x"] * 2
    again = from_dgl(made)
    assert again.state["b.weight"][0, 1] == 5
    assert torch.equal(again.state["a.bias"], 2 * by_hand().state["a.bias"])


def test_messages_run_from_source_to_destination() -> None:
    hand = by_hand()
    made = to_dgl(hand)
    x = torch.zeros(6, 1)
    x[:2, 0] = torch.tensor([1.0, 2.0])
    made.ndata["h"] = x
    made.update_all(dgl.function.u_mul_e("h", "edge_attr", "m"), dgl.function.sum("m", "out"))
    expected = hand.state["a.weight"] @ torch.tensor([1.0, 2.0])
    assert torch.allclose(made.ndata["out"][2:5, 0], expected)


def without(kind: str, name: str) -> Callable[[Any], Any]:
    def take(made: Any) -> Any:
        getattr(made, kind).pop(name)
        return made

    return take


def attribute(**changes: object) -> Callable[[Any], Any]:
    def take(made: Any) -> Any:
        vars(made).update(changes)
        return made

    return take


def edata(name: str, edit: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    def take(made: Any) -> Any:
        made.edata[name] = edit(made.edata[name])
        return made

    return take


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "nothing": (lambda g: None, "got NoneType"),
    "heterogeneous": (
        lambda g: dgl.heterograph({("a", "r", "b"): ([0], [0]), ("b", "r", "a"): ([0], [0])}),
        "homogeneous",
    ),
    "foreign": (lambda g: dgl.graph(([0], [1])), "is missing"),
    "a batch": (lambda g: dgl.batch([g, g]), "is missing"),
    "without x": (without("ndata", "x"), r"\['x'\] is missing"),
    "without groups": (without("ndata", "node_group"), r"\['node_group'\] is missing"),
    "without weights": (without("edata", "edge_attr"), r"\['edge_attr'\] is missing"),
    "without blocks": (without("edata", "edge_block"), r"\['edge_block'\] is missing"),
    "without origin": (attribute(origin=None), "its origin is missing"),
    "without graph features": (attribute(graph_attr=None), "its origin is missing"),
    "edge removed": (lambda g: dgl.remove_edges(g, [0]), "edge_index of shape"),
    "edge added": (lambda g: dgl.add_edges(g, [0], [1]), "edge_index of shape"),
    "node removed": (lambda g: dgl.remove_nodes(g, [0]), "of shape"),
    "self-loops added": (lambda g: dgl.add_self_loop(g), "edge_index of shape"),
    "blocks exchanged": (edata("edge_block", lambda t: t.flip(0)), "edge_block as it was made"),
    "other weights": (edata("edge_attr", lambda t: t[:, :1]), "edge_attr of shape"),
    "integers": (edata("edge_attr", lambda t: t.long()), "edge_attr to hold floats"),
}


@pytest.mark.parametrize(("take", "message"), REFUSED.values(), ids=REFUSED)
def test_from_dgl_refuses(take: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(InterchangeError, match=message) as caught:
        from_dgl(take(to_dgl(graph("odds"))))
    assert str(caught.value).startswith("from_dgl: ")


@pytest.mark.parametrize("use", [to_dgl, from_dgl])
@pytest.mark.parametrize(
    "error", [ImportError("no dgl"), FileNotFoundError("libdgl.so")], ids=lambda e: type(e).__name__
)
def test_without_dgl(use: Callable[[Any], Any], error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    real = __import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "dgl":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr("builtins.__import__", absent)
    with pytest.raises(InterchangeError, match=r"pip install 'netgraph-metanet\[dgl\]'"):
        use(by_hand())


def test_it_is_imported_late_and_leaves_no_trace(tmp_path: Path) -> None:
    code = (
        "import sys, netgraph.convert.dgl_ as d; assert 'dgl' not in sys.modules;"
        "from tests.graph.networks import by_hand;"
        "assert d.from_dgl(d.to_dgl(by_hand())) == by_hand()"
    )
    env = {k: v for k, v in os.environ.items() if k != "DGLBACKEND"} | {"HOME": str(tmp_path)}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "backend" not in done.stderr
    assert not (tmp_path / ".dgl").exists()
