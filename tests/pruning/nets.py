"""Small networks, one for each way in which channels hang together."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph.convert import to_graph
from netgraph.graph import NeuralGraph
from netgraph.zoo import MLP, CifarResNet, DigitsResNet


class Concat(nn.Module):
    """Two branches, concatenated; a grouped branch; a flattened feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.b = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(10)
        self.depthwise = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.point = nn.Conv2d(10, 6, 1)
        self.head = nn.Linear(6 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(torch.cat([self.a(x), self.b(x)], 1)))
        x = F.relu(self.point(self.depthwise(x)))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 2), 1))


class Attention(nn.Module):
    """One transformer layer between two linear ones."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(x)).mean(1))


def make(name: str) -> tuple[nn.Module, Tensor]:
    """A network with weights and running statistics that are nobody's default, and example inputs.

    The same at every call.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = _new(name)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
                if key.endswith("bias"):
                    tensor.sub_(1)
    return net.eval(), x


def _new(name: str) -> tuple[nn.Module, Tensor]:
    return {
        "mlp": lambda: (MLP((6, 8, 7, 3)), torch.randn(4, 6)),
        "mlp-norm": lambda: (MLP((6, 8, 7, 3), norm=True), torch.randn(4, 6)),
        "digits": lambda: (DigitsResNet(width=4, blocks=(1, 2)), torch.randn(2, 1, 8, 8)),
        "pad": lambda: (CifarResNet(1, widths=(4, 6, 9)), torch.randn(2, 3, 8, 8)),
        "concat": lambda: (Concat(), torch.randn(2, 1, 6, 6)),
        "attention": lambda: (Attention(), torch.randn(2, 4, 5)),
    }[name]()


NAMES = ("mlp", "mlp-norm", "digits", "pad", "concat", "attention")


def make_graph(name: str) -> NeuralGraph:
    """The graph of `make(name)`, with a state of its own."""
    return to_graph(*make(name)).clone()
