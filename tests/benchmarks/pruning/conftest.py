"""A small problem on which cells take a second: two kinds of images, and a residual network."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from benchmarks.pruning.data import Data, Images
from netgraph.zoo import CifarResNet


class CountedImages(Images):
    """Images that count how often they were looked at."""

    looks: list[int]

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__(images, labels)
        object.__setattr__(self, "looks", [])

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        self.looks.append(len(index))
        return super().take(index)


def _images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (count,), generator=generator)
    images = torch.randint(0, 200, (count, 3, 8, 8), generator=generator)
    images[:, :, :4] += 40 * labels.view(-1, 1, 1, 1)
    return images.to(torch.uint8), labels


@pytest.fixture
def data() -> Data:
    """160 images for training, 40 for each of the other splits."""
    return Data(
        "stripes",
        Images(*_images(160, 0)),
        Images(*_images(40, 1)),
        CountedImages(*_images(40, 2)),
        scale=255.0,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        shift=1,
        flip=True,
    )


@pytest.fixture
def network() -> Iterator[nn.Module]:
    """Not trained; with the padded shortcuts of the CIFAR networks."""
    yield CifarResNet(1, widths=(4, 8, 16), classes=2).eval()
