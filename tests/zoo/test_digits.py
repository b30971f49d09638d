import pytest
import torch

from netgraph.errors import UsageError
from netgraph.zoo import DigitsResNet


@pytest.mark.parametrize("width", [1, 8, 16, 20])
@pytest.mark.parametrize("shortcut", ["pad", "conv"])
def test_every_width_trains(width: int, shortcut: str) -> None:
    net = DigitsResNet(width=width, blocks=(1, 2), shortcut=shortcut)  # type: ignore[arg-type]
    out = net(torch.randn(4, 1, 8, 8))
    assert out.shape == (4, 10)
    out.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())


@pytest.mark.parametrize(
    "kwargs", [{"width": 0}, {"blocks": (0, 1)}, {"blocks": (1,)}, {"classes": 0}], ids=str
)
def test_refuses(kwargs: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected"):
        DigitsResNet(**kwargs)  # type: ignore[arg-type]
