"""The attributes that torch's own layers derive from the shapes of their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn


def refresh_layer(module: nn.Module) -> None:
    """Set what a torch layer derives from the shapes of its weights."""
    found = _layer(module)
    if found is not None:
        found[0](module)


def derived_attributes(module: nn.Module) -> frozenset[str]:
    """Names of the attributes that `refresh_layer` sets, or that have nothing to do with widths."""
    found = _layer(module)
    return frozenset() if found is None else found[1]


def _layer(module: nn.Module) -> tuple[Callable[[Any], None], frozenset[str]] | None:
    return next((entry for kind, entry in _LAYERS.items() if isinstance(module, kind)), None)


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


_CONV = frozenset(
    "in_channels out_channels kernel_size stride padding dilation output_padding".split()  # noqa: SIM905
)

_LAYERS: Mapping[type[nn.Module], tuple[Callable[[Any], None], frozenset[str]]] = {
    nn.Linear: (_linear, frozenset({"in_features", "out_features"})),
    nn.modules.conv._ConvTransposeNd: (_conv_transpose, _CONV),
    nn.modules.conv._ConvNd: (_conv, _CONV),
    nn.modules.batchnorm._NormBase: (_batch_norm, frozenset({"num_features"})),
    nn.LayerNorm: (_layer_norm, frozenset({"normalized_shape"})),
    nn.RMSNorm: (_layer_norm, frozenset({"normalized_shape"})),
    nn.GroupNorm: (_group_norm, frozenset({"num_channels"})),
    nn.Embedding: (_embedding, frozenset({"num_embeddings", "embedding_dim"})),
    nn.PReLU: (_prelu, frozenset({"num_parameters"})),
    nn.RNNBase: (_recurrent, frozenset({"input_size", "hidden_size", "proj_size"})),
}
