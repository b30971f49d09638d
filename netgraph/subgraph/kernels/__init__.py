"""The training step of a layer on a CPU, with C++ between its linear maps: built at first use."""

from netgraph.subgraph.kernels.conv import kernel_conv
from netgraph.subgraph.kernels.terms import can_run

__all__ = ["can_run", "kernel_conv"]
