"""Module to graph and back, and surgery on the user's own module."""

from netgraph.convert.dgl_ import from_dgl, to_dgl
from netgraph.convert.flat import FlatGraph, flatten, unflatten
from netgraph.convert.load import load_into
from netgraph.convert.networkx_ import from_networkx, to_networkx
from netgraph.convert.onnx import from_onnx
from netgraph.convert.onnx.export import export_onnx
from netgraph.convert.operator_exchange import (
    OPERATOR_KINDS,
    kind_categories,
    operators_to_networkx,
    operators_to_pyg,
)
from netgraph.convert.plain import as_data
from netgraph.convert.probe import PROBE_FEATURES, probe_features
from netgraph.convert.propagate import RULES, rule
from netgraph.convert.pyg import from_pyg, to_pyg
from netgraph.convert.skipped import Skipped
from netgraph.convert.surgery import apply_mask, cuttable, droppable, random_inputs
from netgraph.convert.to_graph import to_graph

__all__ = [
    "to_graph",
    "load_into",
    "apply_mask",
    "cuttable",
    "droppable",
    "Skipped",
    "to_pyg",
    "from_pyg",
    "to_networkx",
    "from_networkx",
    "to_dgl",
    "from_dgl",
    "as_data",
    "operators_to_pyg",
    "operators_to_networkx",
    "OPERATOR_KINDS",
    "kind_categories",
    "probe_features",
    "PROBE_FEATURES",
    "FlatGraph",
    "flatten",
    "unflatten",
    "rule",
    "RULES",
    "random_inputs",
    "from_onnx",
    "export_onnx",
]
