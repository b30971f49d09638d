"""The block engine in C++, for float32 on a CPU: built at first use where there is a compiler.

`build` makes the library, `tables` tells it about a structure, `engine` calls it, and `edges` puts it into
autograd.
"""

from netgraph.nn.kernels.build import find_compiler, load_kernels
from netgraph.nn.kernels.edges import KernelEdges

__all__ = ["KernelEdges", "find_compiler", "load_kernels"]
