"""The shape letters used in every docstring and shape comment, and the types that packages share.

A trailing comment such as ``# (B, D, S, K)`` names the axes of a tensor with these letters.

>>> SHAPE_LETTERS["K"]
'taps of a block: the axes of a weight beyond its two channel axes, flattened'
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import torch

__all__ = ["SHAPE_LETTERS", "State"]

SHAPE_LETTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "N": "nodes of a graph: channels of a network",
        "E": "edges of a graph: weights of a network",
        "G": "groups: ordered sets of nodes",
        "B": "batch: graphs of equal structure, or samples",
        "C": "channels of a layer or of a feature map",
        "H": "heads of an attention",
        "T": "tokens of a sequence",
        "D": "destination nodes of a block",
        "S": "source nodes of a block",
        "P": "parallel edges between two nodes: positions of a flattened map, dimensions of a head",
        "K": "taps of a block: the axes of a weight beyond its two channel axes, flattened",
        "F": "features of a node, an edge or a graph",
        "L": "layers of a metanetwork",
    }
)
"""What each letter counts."""

State: TypeAlias = Mapping[str, torch.Tensor]
"""Tensors by name: the state of a graph, or the ``state_dict`` of a module."""
