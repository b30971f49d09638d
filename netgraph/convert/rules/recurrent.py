"""Recurrent layers: gates are packed side by side, and one hidden width serves all layers and directions."""

from __future__ import annotations

import torch
from torch import Tensor

from netgraph.convert.labels import along, varying
from netgraph.convert.propagate import Fields, Propagation, rule
from netgraph.graph import Operator, Ref


@rule("lstm")
def lstm(p: Propagation, op: Operator) -> list[Fields]:
    return _recurrent(p, op, gates=4)


@rule("gru")
def gru(p: Propagation, op: Operator) -> list[Fields]:
    return _recurrent(p, op, gates=3)


@rule("rnn_tanh", "rnn_relu")
def rnn(p: Propagation, op: Operator) -> list[Fields]:
    return _recurrent(p, op, gates=1)


def _recurrent(p: Propagation, op: Operator, gates: int) -> list[Fields]:
    """torch stacks the states of all layers and directions in one tensor, so all keep the same places."""
    x, states, weights = op.args[:3]
    if not isinstance(weights, tuple) or any(p.tensor_of(w) is None for w in weights):
        return _frozen(p, op)  # packed sequences, and weights that are computed
    biased, layers, both_ways = (op.args[i] for i in (3, 4, 7))
    states = states if isinstance(states, tuple) and not isinstance(states, Ref) else (states,)
    per_cell = len(weights) // (layers * (2 if both_ways else 1))
    projected = per_cell == (5 if biased else 3)
    cells = [weights[i : i + per_cell] for i in range(0, len(weights), per_cell)]
    out = p.tensor_axis(cells[0][1].name, 1)
    inside = p.tensor_axis(cells[0][-1].name, 1) if projected else out
    if projected:  # torch tells a projection by its width differing from the state's, so neither may change
        p.freeze(out)
        p.freeze(inside)
    flowing: Tensor | None = None
    directions = 2 if both_ways else 1
    for i, cell in enumerate(cells):
        from_input, from_state = cell[0].name, cell[1].name
        p.role(from_input, 0, 1)
        p.role(from_state, 0, 1)
        if flowing is None:
            p.consume(x, -1, from_input, 1)
            _freeze_others(p, x)
        else:
            p.space.union(flowing, p.tensor_axis(from_input, 1))
        p.space.union(p.tensor_axis(from_state, 1), out)
        for tensor in cell[: 4 if biased else 2]:
            p.space.union(p.tensor_axis(tensor.name, 0).view(gates, -1), inside.view(1, -1))
        if projected:
            p.role(cell[-1].name, 0, 1)
            p.space.union(p.tensor_axis(cell[-1].name, 0), out)
            p.space.union(p.tensor_axis(cell[-1].name, 1), inside)
        if i % directions == directions - 1:
            flowing = torch.cat([out] * directions)
    assert flowing is not None
    ends = [out, inside]
    for state, labels in zip(states, ends, strict=False):
        p.tie(state, -1, labels)
        _freeze_others(p, state)
    results = [along(flowing, -1, p.concrete(op.results[0]))]
    results += [along(e, -1, p.concrete(r)) for e, r in zip(ends, op.results[1:], strict=False)]
    return [[f] for f in results]


def _freeze_others(p: Propagation, value: Ref) -> None:
    """Steps and layers have an order and a number of their own, and the results do not carry samples."""
    last = len(p.concrete(value)) - 1
    for f in p.fields(value):
        if varying(f) - {last}:
            p.freeze(f)


def _frozen(p: Propagation, op: Operator) -> list[Fields]:
    for name in op.refs():
        for f in p.fields(Ref("value", name)):
            p.freeze(f)
    for name in op.refs("tensor"):
        for f in p.fields(Ref("tensor", name)):
            p.freeze(f)
    return [[] for _ in op.results]
