"""Reference architectures used by recipes, tests and benchmarks: plain torch modules."""

from netgraph.zoo.basic_block import BasicBlock, PadShortcut
from netgraph.zoo.digits import DigitsResNet
from netgraph.zoo.mlp import MLP
from netgraph.zoo.mobilenet import InvertedResidual, MobileNet
from netgraph.zoo.plain_cnn import PlainCNN
from netgraph.zoo.resnet_cifar import CifarResNet, resnet8, resnet20, resnet32, resnet56
from netgraph.zoo.vgg import VGG
from netgraph.zoo.vit import TransformerBlock, ViT

__all__ = [
    "BasicBlock",
    "CifarResNet",
    "DigitsResNet",
    "InvertedResidual",
    "MLP",
    "MobileNet",
    "PadShortcut",
    "PlainCNN",
    "TransformerBlock",
    "VGG",
    "ViT",
    "resnet8",
    "resnet20",
    "resnet32",
    "resnet56",
]
