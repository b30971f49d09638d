"""Reference architectures used by recipes, tests and benchmarks: plain torch modules."""

from netgraph.zoo.basic_block import BasicBlock, PadShortcut
from netgraph.zoo.digits import DigitsResNet
from netgraph.zoo.mlp import MLP
from netgraph.zoo.resnet_cifar import CifarResNet, resnet8, resnet20, resnet32, resnet56

__all__ = [
    "BasicBlock",
    "CifarResNet",
    "DigitsResNet",
    "MLP",
    "PadShortcut",
    "resnet8",
    "resnet20",
    "resnet32",
    "resnet56",
]
