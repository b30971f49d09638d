import pytest
import torch
from torch.nn import functional as F

from netgraph.errors import UsageError
from netgraph.zoo import BasicBlock, PadShortcut


@pytest.mark.parametrize("shortcut", ["pad", "conv"])
def test_block_computes_the_documented_formula(shortcut: str) -> None:
    block = BasicBlock(3, 5, 2, shortcut).eval()  # type: ignore[arg-type]
    x = torch.randn(2, 3, 7, 7)
    inner = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
    assert torch.equal(block(x), F.relu(inner + block.shortcut(x)))
    assert block(x).shape == (2, 5, 4, 4)


def test_same_shape_has_an_identity_shortcut() -> None:
    block = BasicBlock(3, 3)
    x = torch.randn(1, 3, 4, 4)
    assert torch.equal(block.shortcut(x), x)


def test_pad_widths_can_be_set_anew() -> None:
    pad = PadShortcut(2, 3)
    pad.before, pad.after = 1, 0
    assert pad(torch.ones(1, 2, 4, 4)).shape == (1, 3, 2, 2)
    assert "before=1" in repr(pad)


@pytest.mark.parametrize("arguments", [(3, 5, 1, "zero"), (5, 3, 1, "pad")])
def test_refuses(arguments: tuple[int, int, int, str]) -> None:
    with pytest.raises(UsageError, match="expected"):
        BasicBlock(*arguments)  # type: ignore[arg-type]
