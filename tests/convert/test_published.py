"""Networks that others trained: through every form of the graph and back, their published accuracy stands."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from netgraph import to_graph
from netgraph.convert.pyg import from_pyg, to_pyg
from netgraph.graph import same_bytes
from netgraph.zoo import resnet20, resnet32, resnet56

Image = pytest.importorskip("PIL.Image", reason="Pillow reads the CIFAR-10 strips")

PUBLISHED = [("resnet20", resnet20, 91.73), ("resnet32", resnet32, 92.63), ("resnet56", resnet56, 93.39)]


@pytest.fixture(scope="module")
def test_images(shared_data: Path) -> tuple[Tensor, Tensor]:
    """CIFAR-10's test images, normalised as these networks want them, and their labels."""
    strips = sorted((shared_data / "cifar10").glob("test_*.webp"))
    images = np.concatenate([np.asarray(Image.open(f).convert("RGB")).reshape(-1, 32, 32, 3) for f in strips])
    with np.load(shared_data / "cifar10" / "labels.npz") as labels:
        y = torch.from_numpy(labels["y_test"].astype(np.int64))
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (x - mean) / std, y


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make", "accuracy"), PUBLISHED, ids=[p[0] for p in PUBLISHED])
def test_published_accuracy_survives_the_round_trip(
    name: str, make: type, accuracy: float, shared_data: Path, test_images: tuple[Tensor, Tensor]
) -> None:
    saved = torch.load(shared_data / "trained_cifar10" / f"akamaster_{name}.pt", weights_only=True)
    module = make()
    module.load_state_dict(saved["state_dict"])
    module.eval()
    x, y = test_images
    assert len(x) == len(y) == 10_000
    graph = from_pyg(to_pyg(to_graph(module, x[:1])))
    assert all(same_bytes(graph.to_state_dict()[n], t) for n, t in module.state_dict().items())
    rebuilt = graph.to_module().eval()
    assert torch.equal(rebuilt(x[:8]), module(x[:8]))
    with torch.inference_mode():
        right = sum(
            int((rebuilt(x[i : i + 500]).argmax(1) == y[i : i + 500]).sum()) for i in range(0, 10_000, 500)
        )
    assert round(right / 100, 2) == accuracy
