"""Neural graphs: structure and state, masks, permutations, selection, batches, files."""

from netgraph.graph.axis import Axis, Segment
from netgraph.graph.batch import GraphBatch, stack, unstack
from netgraph.graph.branch import Branch
from netgraph.graph.branches import branches
from netgraph.graph.codec import decode_structure, encode_structure
from netgraph.graph.constraints import constraints
from netgraph.graph.cost import CostModel, macs, params
from netgraph.graph.homogeneity import Exponent, Symmetry, homogeneity, rescale
from netgraph.graph.io import load_graph, save_graph
from netgraph.graph.masks import EdgeMask, NodeMask, kept_positions
from netgraph.graph.neural_graph import NeuralGraph, same_bytes
from netgraph.graph.operators import MOVES, OPERATOR_FEATURES, OperatorEdge, OperatorGraph, operator_graph
from netgraph.graph.permutation import permute
from netgraph.graph.rewrite import REWRITERS, rewriter
from netgraph.graph.selection import select, select_structure
from netgraph.graph.structure import (
    Block,
    Group,
    Join,
    Operator,
    Ref,
    Size,
    Structure,
    Symbol,
    TensorSpec,
    TorchConstant,
    Value,
    dtype_name,
    to_dtype,
)

__all__ = [
    "REWRITERS",
    "Axis",
    "Block",
    "Branch",
    "CostModel",
    "EdgeMask",
    "Exponent",
    "GraphBatch",
    "Group",
    "Join",
    "MOVES",
    "NeuralGraph",
    "NodeMask",
    "OPERATOR_FEATURES",
    "Operator",
    "OperatorEdge",
    "OperatorGraph",
    "Ref",
    "Segment",
    "Size",
    "Structure",
    "Symbol",
    "Symmetry",
    "TensorSpec",
    "TorchConstant",
    "Value",
    "branches",
    "constraints",
    "decode_structure",
    "dtype_name",
    "encode_structure",
    "homogeneity",
    "kept_positions",
    "load_graph",
    "macs",
    "operator_graph",
    "params",
    "permute",
    "rescale",
    "rewriter",
    "same_bytes",
    "save_graph",
    "select",
    "select_structure",
    "stack",
    "to_dtype",
    "unstack",
]
