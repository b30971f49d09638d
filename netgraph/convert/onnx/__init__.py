"""ONNX in, ONNX out: files become modules of ordinary torch operators, and graphs become files."""

from netgraph.convert.onnx.export import export_onnx
from netgraph.convert.onnx.operators import operator
from netgraph.convert.onnx.reader import from_onnx

__all__ = ["export_onnx", "from_onnx", "operator"]
