"""The attributes that layers keep beside their weights: channels, features, groups, heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from netgraph.graph import Operator, Ref, Structure

Changes = list[tuple[int, int]]


def refresh_layer(module: nn.Module) -> None:
    """Set what a torch layer derives from the shapes of its weights."""
    for kind, update in _LAYERS.items():
        if isinstance(module, kind):
            update(module)
            return


def _linear(m: Any) -> None:
    m.out_features, m.in_features = m.weight.shape


def _conv(m: Any) -> None:
    m.out_channels, m.in_channels = m.weight.shape[0], m.weight.shape[1] * m.groups


def _conv_transpose(m: Any) -> None:
    m.in_channels, m.out_channels = m.weight.shape[0], m.weight.shape[1] * m.groups


def _batch_norm(m: Any) -> None:
    known = m.weight if m.weight is not None else m.running_mean
    if known is not None:
        m.num_features = known.shape[0]


def _layer_norm(m: Any) -> None:
    if m.weight is not None:
        m.normalized_shape = tuple(m.weight.shape)


def _group_norm(m: Any) -> None:
    if m.weight is not None:
        m.num_channels = m.weight.shape[0]


def _embedding(m: Any) -> None:
    m.num_embeddings, m.embedding_dim = m.weight.shape


def _prelu(m: Any) -> None:
    m.num_parameters = m.weight.shape[0]


def _recurrent(m: Any) -> None:
    m.input_size = m.weight_ih_l0.shape[1]
    m.hidden_size = m.weight_hr_l0.shape[1] if m.proj_size else m.weight_hh_l0.shape[1]
    m.proj_size = m.weight_hr_l0.shape[0] if m.proj_size else 0


_LAYERS: Mapping[type[nn.Module], Callable[[Any], None]] = {
    nn.Linear: _linear,
    nn.modules.conv._ConvTransposeNd: _conv_transpose,
    nn.modules.conv._ConvNd: _conv,
    nn.modules.batchnorm._NormBase: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.Embedding: _embedding,
    nn.PReLU: _prelu,
    nn.RNNBase: _recurrent,
}


def changed_constants(before: Structure, after: Structure) -> dict[str, Changes]:
    """Per module: the numbers in the operators that a cut changes, as (old, new), in order of appearance.

    Numbers that stay stand among them: where a pad of (8, 8) becomes (7, 8), both eights count.
    """
    found: dict[str, Changes] = {}
    for old, new in zip(before.operators, after.operators, strict=True):
        if old is not new:
            found.setdefault(old.module, []).extend(_pairs(_plain(old), _plain(new)))
    return found


def _plain(op: Operator) -> Any:
    return (op.args, tuple(v for _, v in op.kwargs))


def _pairs(old: Any, new: Any) -> Changes:
    if isinstance(old, Ref):
        return []
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        return [pair for a, b in zip(old, new, strict=True) for pair in _pairs(a, b)]
    return [(old, new)] if _is_whole(old) and _is_whole(new) else []


def refresh_numbers(module: nn.Module, changes: Changes) -> None:
    """Set integer attributes (and tuples of them) that hold a number which a cut changes.

    Where one old number becomes several new ones, attributes take them in order of definition if there are as
    many; otherwise they stay, and the check that follows decides.
    """
    wanted: dict[int, list[int]] = {}
    for old, new in changes:
        wanted.setdefault(old, []).append(new)
    for old, news in wanted.items():
        if set(news) == {old}:
            continue
        names = [n for n, v in vars(module).items() if not n.startswith("_") and _is(v, old)]
        if len(set(news)) == 1:
            news = news[:1] * len(names)
        if len(news) == len(names):
            for name, new in zip(names, news, strict=True):
                value = getattr(module, name)
                setattr(
                    module,
                    name,
                    tuple(new if v == old else v for v in value) if isinstance(value, tuple) else new,
                )


def _is(value: Any, number: int) -> bool:
    if isinstance(value, tuple):
        return number in value and all(isinstance(v, int) for v in value)
    return _is_whole(value) and value == number


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
