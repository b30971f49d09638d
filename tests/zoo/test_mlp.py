import pytest
import torch

from netgraph.errors import UsageError
from netgraph.zoo import MLP


def test_forward_is_the_documented_formula() -> None:
    net = MLP((4, 3, 2))
    x = torch.randn(5, 2, 2)
    hidden = (x.flatten(1) @ net.layers[0].weight.T + net.layers[0].bias).clamp(min=0)
    assert torch.allclose(net(x), hidden @ net.layers[1].weight.T + net.layers[1].bias, atol=1e-6)


def test_norm_adds_batch_norms_to_hidden_layers_only() -> None:
    names = list(MLP((4, 3, 3, 2), norm=True).state_dict())
    assert "norms.1.running_mean" in names and "norms.2.running_mean" not in names


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0)], ids=str)
def test_refuses(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="expected"):
        MLP(sizes)
