"""Weights of ONNX's recurrent layers, put into the order of torch's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from netgraph.convert.onnx.numbers import Array, Node

RECURRENT = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where torch's gates stand among ONNX's: input, output, forget, cell; update, reset, hidden."""

_MOVES = {
    "Concat",
    "Expand",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
}
_MOVES |= {"Unsqueeze"}


def unpack(node: Node, known: dict[str, Array], made: Mapping[str, Node]) -> Node:
    """The node with torch's weights as operands: the input, the weights, one or two initial states.

    The new weights are added to `known`, under names that end as torch's do. `made` has the nodes before this
    one, by the names of their results.

    Raises:
        ConversionError: the layer does something that torch's does not.
    """
    operands = [*node.inputs, *[""] * (8 - len(node.inputs))]
    x, w, r, b, lengths, hidden, cell, peepholes = operands
    way = node.get("direction", "forward")
    odd = [k for k in ("activations", "clip", "layout", "input_forget") if _is_odd(node, k)]
    odd += [n for n, given in (("sequence lengths", lengths), ("peepholes", peepholes)) if given]
    odd += ["direction 'reverse'"] if way == "reverse" else []
    odd += ["linear_before_reset=0"] if node.kind == "GRU" and not node.get("linear_before_reset", 0) else []
    odd += ["computed weights"] if any(n and n not in known for n in (w, r, b)) else []
    if odd:
        raise node.refuse(f"has {', '.join(odd)}", "expected a layer as torch's own, exported from torch")
    order, ways = RECURRENT[node.kind], 2 if way == "bidirectional" else 1
    base = ".".join(node.name.strip("/").split("/"))
    while f"{base}.weight_ih_l0" in known:
        base += "_"
    names: list[str] = []
    for i in range(ways):
        end = "_reverse" if i else ""
        pieces = {"weight_ih": known[w][i], "weight_hh": known[r][i]}
        if b:
            pieces["bias_ih"], pieces["bias_hh"] = np.split(known[b][i], 2)
        for kind, data in pieces.items():
            gates = np.split(data, len(order))
            name = f"{base}.{kind}_l0{end}"
            known[name] = np.concatenate([gates[g] for g in order])
            names.append(name)
    given = (hidden, cell) if node.kind == "LSTM" else (hidden,)
    states = ["" if _is_zero(n, known, made) else n for n in given]
    return replace(node, inputs=(x, *names, *states))


def _is_zero(name: str, known: Mapping[str, Array], made: Mapping[str, Node]) -> bool:
    """Whether an initial state is what torch takes where none is given."""
    if name in known:
        return not known[name].any()
    node = made.get(name)
    if node is not None and node.kind == "ConstantOfShape":
        return not np.any(node.get("value", 0))
    if node is None or node.kind not in _MOVES:
        return False
    moved = node.inputs if node.kind == "Concat" else node.inputs[:1]
    return all(_is_zero(n, known, made) for n in moved)


def is_weight(node: Node, position: int) -> bool:
    """Whether an operand of an unpacked node is a weight."""
    return 0 < position < len(node.inputs) - (2 if node.kind == "LSTM" else 1)


def _is_odd(node: Node, attribute: str) -> bool:
    usual = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}[node.kind]
    found = node.get(attribute)
    if attribute == "activations" and found:
        return list(found) not in (usual, usual * 2)
    return bool(found)


__all__ = ["RECURRENT", "is_weight", "unpack"]
