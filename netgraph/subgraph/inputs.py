"""Checks of what a network is built with and called with."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from netgraph.errors import UsageError
from netgraph.subgraph.encode import FeatureEncoder
from netgraph.subgraph.transform import SubgraphTransform

__all__ = ["check_batch", "check_numbers", "check_trainable"]


def check_batch(
    operation: str,
    batch: Any,
    transform: SubgraphTransform,
    nodes: FeatureEncoder | None,
    edges: FeatureEncoder | None,
) -> None:
    """Refuse what a network cannot read, with one sentence.

    Args:
        operation: for messages.
        batch: what the network was called with.
        transform: the one that belongs to the network.
        nodes, edges: encoders of the features, or None where the network has none.

    Raises:
        UsageError: something else than graphs of this very transform, a graph without nodes, or other
            features.
    """
    if not isinstance(batch, Data) or not {"pair_index", "pair_start", "subgraph_policy"} <= set(
        batch.keys()
    ):
        raise UsageError(
            f"{operation}: expected graphs with pairs, got {type(batch).__name__} without; "
            "pass each graph through network.transform first"
        )
    made = batch.subgraph_policy
    other = {made} if isinstance(made, str) else set(made)
    if other - {repr(transform)}:
        raise UsageError(
            f"{operation}: expected graphs of {transform!r}, got some of {sorted(other)[0]}; "
            "use network.transform"
        )
    empty = batch.num_nodes == 0 or (batch.batch is not None and bool((batch.ptr.diff() == 0).any()))
    if empty:
        raise UsageError(
            f"{operation}: expected at least one node in each graph, got none; leave such graphs out"
        )
    for name, encoder in (("x", nodes), ("edge_attr", edges)):
        value = batch.get(name)
        if encoder is None and value is not None:
            raise UsageError(
                f"{operation}: expected no {name}, got one of shape {list(value.shape)}; remove it, or build "
                f"the network with {'in_channels' if name == 'x' else 'edge_dim'}"
            )
        if name == "edge_attr" and value is None and batch.num_edges == 0:
            continue  # a graph without edges cannot tell which features they would have
        if encoder is not None and not isinstance(value, Tensor):
            raise UsageError(
                f"{operation}: expected a tensor {name}, got none; give all graphs one, or build the network "
                f"without {'in_channels' if name == 'x' else 'edge_dim'}"
            )
        if encoder is not None:
            encoder.check(operation, value)


def check_trainable(operation: str, batch: Data, norm: str | None) -> None:
    """Refuse a batch whose pairs have no variance to divide by.

    Raises:
        UsageError: less than two pairs, with a norm over the batch.
    """
    if norm is not None and batch.pair_index.shape[1] < 2:
        raise UsageError(
            f"{operation}: expected at least two pairs to train with a batch norm, got "
            f"{batch.pair_index.shape[1]}; put more graphs into the batch, or build with norm=None"
        )


def check_numbers(
    operation: str,
    in_channels: int,
    out_channels: int,
    hidden_channels: int,
    num_layers: int,
    edge_dim: int | None,
    dropout: float,
) -> None:
    """Refuse sizes and probabilities that are out of range.

    Raises:
        UsageError: one of them is.
    """
    for name, value, least in (
        ("in_channels", in_channels, 0),
        ("out_channels", out_channels, 1),
        ("hidden_channels", hidden_channels, 1),
        ("num_layers", num_layers, 1),
        ("edge_dim", 1 if edge_dim is None else edge_dim, 1),
    ):
        if type(value) is not int or value < least:
            raise UsageError(
                f"{operation}: expected {name} to be a whole number from {least}, got {value!r}; change it"
            )
    if not 0 <= dropout < 1:
        raise UsageError(f"{operation}: expected dropout from 0 up to 1, got {dropout!r}; 0 turns it off")
