"""What tells one meta-training from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netgraph.graph import NeuralGraph
from netgraph.pruning.batches import Batches

__all__ = ["fingerprint"]


def fingerprint(
    metanetwork: nn.Module,
    graphs: Iterable[NeuralGraph],
    batches: Iterable[Batches],
    settings: Mapping[str, Any],
) -> str:
    """sha256 of all that shapes a run: settings (ready for JSON), networks, data.

    The metanetwork counts with its names and shapes, not with its weights; the data with the first batch of
    each stream.
    """
    shapes = [[n, list(t.shape)] for n, t in metanetwork.state_dict().items()]
    digest = hashlib.sha256(json.dumps([dict(settings), shapes]).encode())
    for graph in graphs:
        digest.update(graph.structure.digest.encode())
        for tensor in graph.state.values():
            _add(digest, tensor)
    for stream in batches:
        for tensor in next(iter(stream(0)), ()):
            _add(digest, tensor)
    return digest.hexdigest()


def _add(digest: Any, tensor: Tensor) -> None:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy().tobytes())
