"""What holds for every architecture that metanetworks are trained on."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netgraph.convert import to_graph
from netgraph.errors import UsageError
from netgraph.graph import CostModel
from netgraph.pruning import Budget, prune
from netgraph.zoo import MLP, VGG, CifarResNet, DigitsResNet, MobileNet, PlainCNN, ViT

FAMILIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "plain": (lambda: PlainCNN(width=6, depth=3), (1, 8, 8)),
    "plain without norm": (lambda: PlainCNN(width=6, depth=4, norm=False), (1, 8, 8)),
    "plain, one layer": (lambda: PlainCNN(width=4, depth=1, in_channels=3, classes=3), (3, 8, 8)),
    "vgg": (lambda: VGG(width=6, blocks=(1, 2), hidden=12), (1, 8, 8)),
    "vgg without norm": (
        lambda: VGG(width=4, blocks=(1, 1, 1, 1, 1), in_channels=3, image_size=32, norm=False),
        (3, 32, 32),
    ),
    "mobile": (lambda: MobileNet(width=6, blocks=(2, 2), expansion=3), (1, 8, 8)),
    "mobile, colour": (lambda: MobileNet(width=8, blocks=(1, 1, 2), in_channels=3, classes=5), (3, 16, 16)),
    "vit, token": (lambda: ViT(dim=16, depth=2, heads=4), (1, 8, 8)),
    "vit, mean": (lambda: ViT(dim=12, depth=1, heads=3, mlp=20, patch=4, pool="mean"), (1, 8, 8)),
    "mlp": (lambda: MLP((64, 24, 12, 10)), (1, 8, 8)),
    "resnet": (lambda: DigitsResNet(width=6, blocks=(1, 2)), (1, 8, 8)),
    "cifar resnet": (lambda: CifarResNet(1, widths=(4, 6, 9)), (3, 8, 8)),
}


def made(name: str) -> tuple[nn.Module, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make, shape = FAMILIES[name]
        return make().eval(), torch.randn(4, *shape)


@pytest.mark.parametrize("name", FAMILIES)
def test_there_and_back_is_the_same(name: str) -> None:
    net, x = made(name)
    graph = to_graph(net, x)
    graph.validate()
    state = graph.to_state_dict()
    assert list(state) == list(net.state_dict())
    assert all(torch.equal(state[n], t) for n, t in net.state_dict().items())
    assert torch.equal(graph.to_module().eval()(x), net(x))


@pytest.mark.parametrize("name", FAMILIES)
def test_half_is_cut_in_the_own_class_and_trains_on(name: str) -> None:
    net, x = made(name)
    result = prune(net, x, budget=Budget(macs=0.5))
    assert type(result.module) is type(net)
    assert result.report.macs_after <= 0.5 * result.report.macs_before
    hidden = [g.name for g in to_graph(net, x).structure.groups if g.role == "hidden"]
    assert set(result.report.widths_before) == set(hidden)
    module = result.module.train()
    F.cross_entropy(module(x), torch.arange(4) % 3).backward()
    gradients = [p.grad for p in module.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in gradients)
    assert CostModel(to_graph(module.eval(), x).structure).macs() == result.report.macs_after


@pytest.mark.parametrize("name", FAMILIES)
def test_every_group_of_channels_may_be_cut(name: str) -> None:
    """No width is written into the code of a forward."""
    net, x = made(name)
    result = prune(net, x, budget=Budget(macs=0.5), ranking="uniform")
    before, after = result.report.widths_before, result.report.widths_after
    assert all(after[n] < width for n, width in before.items() if width > 3)


def test_depth_and_norms_are_as_documented() -> None:
    net = PlainCNN(width=3, depth=5)
    assert [c.out_channels for c in net.convs] == [3, 3, 6, 6, 6]
    assert [c.stride[0] for c in net.convs] == [1, 1, 2, 1, 1]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in PlainCNN(norm=False).modules())
    vgg = VGG(width=2, blocks=(1, 1, 1, 1, 1), image_size=32)
    assert [c.out_channels for c in vgg.features if isinstance(c, nn.Conv2d)] == [2, 4, 8, 16, 16]
    stages = MobileNet(width=8, blocks=(2, 1, 1)).blocks
    assert [b.project.out_channels for b in stages] == [8, 8, 12, 18]
    assert [b.residual for b in stages] == [True, True, False, False]


def test_the_token_is_what_the_classifier_reads() -> None:
    net = ViT(dim=8, depth=1, heads=2).eval()
    seen: list[torch.Tensor] = []
    net.norm.register_forward_hook(lambda *given: seen.append(given[-1]))
    x = torch.randn(2, 1, 8, 8)
    out = net(x)
    assert seen[0].shape == (2, 17, 8)
    assert torch.equal(out, net.linear(seen[0][:, 0]))


BAD = {
    "plain": lambda: PlainCNN(depth=0),
    "vgg, no stage": lambda: VGG(blocks=()),
    "vgg, too small a picture": lambda: VGG(blocks=(1, 1, 1, 1), image_size=8),
    "mobile": lambda: MobileNet(expansion=0),
    "vit, heads": lambda: ViT(dim=10, heads=4),
    "vit, patch": lambda: ViT(patch=3),
    "vit, pool": lambda: ViT(pool="max"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_refuses(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(UsageError, match="expected sizes of at least 1"):
        make()
