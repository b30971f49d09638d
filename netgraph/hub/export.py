"""Graphs as files that other libraries read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph, encode_structure
from netgraph.hub.checksums import write_atomically

__all__ = ["EXPORTS", "check_format", "export_graph"]


def export_graph(graph: NeuralGraph, stem: str | Path, to: str) -> Path:
    """Write a graph for another library, in a format that needs no pickle.

    | `to` | file | read it with |
    |---|---|---|
    | `pyg` | `<stem>.pyg.safetensors` | `Data(**safetensors.torch.load_file(file))` |
    | `networkx` | `<stem>.networkx.json` | `networkx.node_link_graph(json.load(file), edges="edges")` |
    | `dgl` | `<stem>.dgl.bin` | `dgl.load_graphs(file)` |
    | `graphml` | `<stem>.graphml` | Gephi, yEd, igraph, `networkx.read_graphml(file)` |
    | `onnx` | `<stem>.onnx` | onnxruntime, `netgraph.to_graph(file)` |

    The first three hold all of the state and of the structure; ONNX holds the network alone; GraphML holds
    nodes and edges, each with its weights as text and with their Euclidean norm as the number `weight`.

    Args:
        graph: any graph.
        stem: path of the file, without the ending.
        to: the format.

    Returns:
        The file.

    Raises:
        UsageError: an unknown format, or the file cannot be written.
        InterchangeError: the library for it is absent.

    >>> import tempfile
    >>> from netgraph.convert import to_graph
    >>> graph = to_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_graph(graph, f"{folder}/net", "pyg").name
    'net.pyg.safetensors'
    """
    ending, make = EXPORTS[check_format(to)]
    path = Path(f"{stem}{ending}")
    try:
        write_atomically(path, make(graph))
    except OSError as error:
        raise UsageError(
            f"export: cannot write {str(path)!r} ({error.strerror}); choose a folder that exists"
        ) from None
    return path


def check_format(to: str) -> str:
    """The format, if there is a writer for it.

    Raises:
        UsageError: there is none.
    """
    if to not in EXPORTS:
        raise UsageError(f"export: expected one of {', '.join(EXPORTS)}, got {to!r}; choose one of them")
    return to


def _pyg(graph: NeuralGraph) -> bytes:
    from netgraph.convert.pyg import to_pyg

    data = to_pyg(graph)
    tensors: dict[str, Tensor] = {n: v for n, v in data.to_dict().items() if isinstance(v, Tensor)}
    tensors |= {f"verbatim.{name}": t for name, t in data.origin.verbatim.items()}
    structure = json.dumps(encode_structure(graph.structure))
    return save({n: t.contiguous() for n, t in tensors.items()}, {"structure": structure})


def _dgl(graph: NeuralGraph) -> bytes:
    from netgraph.convert.dgl_ import to_dgl

    made = to_dgl(graph)
    import dgl  # after to_dgl, which says what to install and chooses the backend

    text = json.dumps(encode_structure(graph.structure)).encode()
    # DGL 1.1 writes garbage for a tensor without axes.
    extra = {f"verbatim.{name}": torch.atleast_1d(t) for name, t in made.origin.verbatim.items()}
    extra |= {
        "graph_attr": made.graph_attr,
        "structure": torch.frombuffer(bytearray(text), dtype=torch.uint8),
    }
    with tempfile.TemporaryDirectory() as folder:
        # DGL's own container of tensors; no Python object is pickled.
        dgl.save_graphs(f"{folder}/graph.bin", [made], extra)
        return Path(folder, "graph.bin").read_bytes()


def _networkx(graph: NeuralGraph) -> bytes:
    import networkx as nx

    from netgraph.convert.networkx_ import to_networkx

    return json.dumps(nx.node_link_data(to_networkx(graph), edges="edges")).encode()


def _graphml(graph: NeuralGraph) -> bytes:
    import networkx as nx

    from netgraph.convert.networkx_ import to_networkx

    full = to_networkx(graph)
    plain: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for node, attributes in full.nodes(data=True):
        plain.add_node(_text(node), **{k: _plain(v) for k, v in attributes.items()})
    for source, target, attributes in full.edges(data=True):
        taps = torch.tensor(attributes["weight"], dtype=torch.float64)
        others = {k: _plain(v) for k, v in attributes.items() if k != "weight"}
        plain.add_edge(
            _text(source), _text(target), weight=float(taps.norm()), taps=json.dumps(taps.tolist()), **others
        )
    return ("\n".join(nx.generate_graphml(plain)) + "\n").encode()


def _onnx(graph: NeuralGraph) -> bytes:
    from netgraph.convert.onnx import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        export_onnx(graph, f"{folder}/net.onnx")
        return Path(folder, "net.onnx").read_bytes()


def _text(node: tuple[str, int]) -> str:
    return f"{node[0]}/{node[1]}"


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, (str, int, float, bool)) else json.dumps(value)


EXPORTS: Final[dict[str, tuple[str, Callable[[NeuralGraph], bytes]]]] = {
    "pyg": (".pyg.safetensors", _pyg),
    "networkx": (".networkx.json", _networkx),
    "dgl": (".dgl.bin", _dgl),
    "graphml": (".graphml", _graphml),
    "onnx": (".onnx", _onnx),
}
"""Endings and writers by format."""
