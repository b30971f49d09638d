"""What a metanetwork refuses to rewrite."""

from __future__ import annotations

from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph
from netgraph.nn.stack import is_floating

__all__ = ["check_finite"]


def check_finite(graph: NeuralGraph) -> None:
    """See that all parameters are finite.

    Raises:
        GraphError: one holds NaN or infinity.
    """
    for spec in graph.structure.tensors:
        floating = spec.kind == "parameter" and is_floating(spec)
        if floating and not bool(graph.state[spec.name].isfinite().all()):
            raise GraphError(
                f"rewrite: expected finite weights, tensor {spec.name!r} holds NaN or infinity; "
                "train or load the network again"
            )
