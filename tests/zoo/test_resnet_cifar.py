import json
from pathlib import Path

import pytest
import torch
from torch import nn

from netgraph.errors import UsageError
from netgraph.zoo import CifarResNet, resnet8, resnet20, resnet32, resnet56

CHECKPOINTS = {"resnet20": resnet20, "resnet32": resnet32, "resnet56": resnet56}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_public_checkpoint_loads_strictly(name: str, shared_data: Path) -> None:
    entry = next(
        e
        for e in json.loads((shared_data / "trained_cifar10" / "index.json").read_text("utf-8"))
        if e["name"] == f"akamaster_{name}"
    )
    file = shared_data / "trained_cifar10" / f"akamaster_{name}.pt"
    state = torch.load(file, weights_only=True, map_location="cpu")["state_dict"]
    net = CHECKPOINTS[name]()
    # the checkpoints are older than `num_batches_tracked`, which strict loading forgives
    assert [n for n in net.state_dict() if not n.endswith("num_batches_tracked")] == list(state)
    net.load_state_dict(state, strict=True)
    assert sum(p.numel() for p in net.parameters()) == entry["params"]


@pytest.mark.parametrize(("make", "layers"), [(resnet8, 8), (resnet20, 20), (resnet32, 32), (resnet56, 56)])
def test_number_of_layers(make: type[CifarResNet], layers: int) -> None:
    weighted = [m for m in make().modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers


@pytest.mark.parametrize("shortcut", ["pad", "conv"])
def test_shapes_and_shortcuts(shortcut: str) -> None:
    net = CifarResNet(2, widths=(4, 7, 9), classes=3, shortcut=shortcut, in_channels=2).eval()  # type: ignore[arg-type]
    assert net(torch.randn(2, 2, 17, 17)).shape == (2, 3)
    assert ("layer2.0.shortcut.0.weight" in net.state_dict()) == (shortcut == "conv")


def test_pad_shortcut_is_the_papers_option_a() -> None:
    net = resnet8()
    x = torch.randn(2, 16, 8, 8)
    out = net.layer2[0].shortcut(x)
    assert out.shape == (2, 32, 4, 4)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any() and not out[:, 24:].any()


BAD = [
    {"blocks": 1, "widths": (4, 8)},
    {"blocks": 0},
    {"blocks": 1, "widths": (4, 0, 8)},
    {"blocks": 1, "classes": 0},
    {"blocks": 1, "shortcut": "none"},
    {"blocks": 1, "widths": (8, 4, 2)},
]


@pytest.mark.parametrize("kwargs", BAD, ids=str)
def test_refuses(kwargs: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected"):
        CifarResNet(**kwargs)  # type: ignore[arg-type]
