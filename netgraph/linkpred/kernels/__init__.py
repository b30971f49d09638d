"""Bellman-Ford message passing in C++, for float32 on a CPU: built at first use where there is a compiler."""

from netgraph.linkpred.kernels.propagate import can_run, propagate_backward, propagate_forward

__all__ = ["can_run", "propagate_backward", "propagate_forward"]
