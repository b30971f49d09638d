"""The trained networks that are pruned, and the metanetworks that prune them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import nn

from benchmarks.pruning.data import Data, cifar10, digits
from netgraph import nn as metanetworks
from netgraph.errors import HubError
from netgraph.hub import load_model, model_folder, sha256
from netgraph.pruning import Rewriter
from netgraph.zoo import DigitsResNet, resnet20, resnet32, resnet56

CIFAR: Final[Mapping[str, Callable[[], nn.Module]]] = MappingProxyType(
    {"resnet20": resnet20, "resnet32": resnet32, "resnet56": resnet56}
)
NETWORKS: Final = ("digits-resnet", *CIFAR)

_CLASSES: Final = ("Metanetwork", "FactorisedMetanetwork")
"""Metanetworks of `netgraph.nn` that know how to prune."""


def load_network(name: str, root: Path) -> nn.Module:
    """A trained network, in evaluation mode.

    Args:
        name: one of `NETWORKS`.
        root: the folder that holds `trained_cifar10/`.
    """
    if name == "digits-resnet":
        network: nn.Module = DigitsResNet(width=24)
        network.load_state_dict(load_model(name).state_dict())
        return network.eval()
    network = CIFAR[name]()
    file = root / "trained_cifar10" / f"akamaster_{name}.pt"
    state = torch.load(file, weights_only=True, map_location="cpu")["state_dict"]
    network.load_state_dict(state)  # older than `num_batches_tracked`, which strict loading forgives
    return network.eval()


def load_data(name: str, root: Path) -> Data:
    """The data that a network was trained on, normalised as it was then."""
    if name == "digits-resnet":
        return digits()
    index = json.loads((root / "trained_cifar10" / "index.json").read_text("utf-8"))
    entry = next(e for e in index if e["name"] == f"akamaster_{name}")
    return cifar10(root, tuple(entry["norm_mean"]), tuple(entry["norm_std"]))


def load_metanetwork(folder: str) -> Rewriter:
    """A metanetwork of whichever class its folder was written by.

    Args:
        folder: one, or the name of a shipped metanetwork.

    Raises:
        HubError: no class can read it.
    """
    refused: HubError | None = None
    for name in _CLASSES:
        kind: Any = getattr(metanetworks, name, None)
        try:
            if kind is not None:
                found: Rewriter = kind.from_pretrained(folder)
                return found
        except HubError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def fingerprint(folder: str) -> str:
    """What tells the weights of a metanetwork from others."""
    return sha256(model_folder(folder) / "model.safetensors")[:16]
