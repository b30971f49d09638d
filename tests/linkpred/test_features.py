"""Features that are mostly zeros give what dense ones give."""

import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F

from netgraph.linkpred.features import FeatureLinear, Features, read_features


def sparse_x(share: float = 0.1) -> torch.Tensor:
    x = torch.randn(30, 20, dtype=torch.float64)
    return x * (torch.rand(30, 20) < share)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_linear_layers_agree(share: float) -> None:
    x = sparse_x(share)
    read = Features(*read_features(x))
    assert (read.dense is None) == (share < 0.2)
    layer = FeatureLinear(20, 4).double()
    expected = F.linear(x, layer.weight.T, layer.bias)
    weight = torch.randn(30, 4, dtype=torch.float64)
    for given in (x, read):
        mine = layer(given)
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-12)
        ours = torch.autograd.grad(mine, list(layer.parameters()), weight)
        theirs = torch.autograd.grad(expected, list(layer.parameters()), weight, retain_graph=True)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert torch.equal(read.to_dense(), x)


def test_sparse_and_dense_columns_together() -> None:
    x, more = sparse_x(), torch.randn(30, 3, dtype=torch.float64, requires_grad=True)
    places, value, _ = read_features(x)
    both, layer = Features(places, value, more), FeatureLinear(23, 4).double()
    wide = torch.cat((x, more), 1)
    torch.testing.assert_close(layer(both), layer(wide), rtol=0, atol=1e-12)
    torch.testing.assert_close(both.to_dense(), wide)
    layer(both).sum().backward()
    torch.testing.assert_close(more.grad, layer.weight[20:].sum(1).expand(30, 3))


def test_dropout_of_features() -> None:
    x = sparse_x()
    places, value, _ = read_features(x)
    both = Features(places, value, x)
    assert both.dropout(0.0) is both
    dropped = both.dropout(0.5).to_dense()
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * torch.cat((x, x), 1)[kept])
    means = torch.stack([both.dropout(0.5).to_dense() for _ in range(2000)]).mean(0)
    torch.testing.assert_close(means, torch.cat((x, x), 1), rtol=0.2, atol=0.05)


def test_what_was_read_is_remembered_until_the_tensor_changes() -> None:
    x = sparse_x()
    first = read_features(x)
    assert read_features(x)[0] is first[0]
    x[0, 0] = 5.0
    assert float(Features(*read_features(x)).to_dense()[0, 0]) == 5
    places = weakref.ref(read_features(x)[0])
    del x
    gc.collect()
    assert places() is None


def test_layers_can_be_copied_and_start_as_linear_layers_do() -> None:
    layer = FeatureLinear(100, 50)
    weight = layer.weight.detach()
    assert weight.abs().max() <= 0.1 and float(weight.std()) == pytest.approx(0.0577, 0.1)
    assert torch.equal(copy.deepcopy(layer).weight, layer.weight)
