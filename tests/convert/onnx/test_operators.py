"""ONNX operators against the examples that ONNX ships for each of them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from netgraph.convert import from_onnx
from netgraph.convert.onnx.numbers import NUMBERS, Node, number, settle, shape_of
from netgraph.convert.onnx.operators import OPERATORS, operator
from netgraph.convert.onnx.recurrent import RECURRENT
from netgraph.errors import ConversionError

onnx = pytest.importorskip("onnx", reason="needs the extra netgraph-metanet[onnx]")

KNOWN = OPERATORS.keys() | NUMBERS.keys()
UNTESTED = {"Cast", "CastLike", "ConstantOfShape", "GRU"}
"""Examples that are no arrays, take a shape as data, or reset a GRU in another way than torch does."""
TIES = "test_top_k_same_values"  # of several equal entries, torch may take another


def examples() -> list[Any]:
    """Cases of one known operator on tensors of types that both libraries have."""
    collect = pytest.importorskip("onnx.backend.test.case.node", reason="onnx ships its examples as a module")
    found = []
    for case in collect.collect_testcases(None):
        nodes = case.model.graph.node if case.model is not None else []
        plain = len(nodes) == 1 and not nodes[0].domain and nodes[0].op_type in KNOWN
        if plain and not case.name.startswith(TIES) and "bfloat16" not in case.name:
            found.append(case)
    return found


def with_weights(case: Any, values: list[Any], kept: int) -> tuple[Any, tuple[Tensor, ...]]:
    """The model with all inputs but the first few written into it."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model.ir_version = max(model.ir_version, 4)
    for used in model.opset_import:  # of an operator that never changed, the first version
        used.version = max(used.version, 7)
    if model.graph.node[0].op_type == "LayerNormalization":
        del model.graph.output[1:]  # its statistics, which are refused
    inputs = list(model.graph.input)
    for info, value in list(zip(inputs, values, strict=True))[kept:]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, info.name))
        model.graph.input.remove(info)
    return model, tuple(torch.from_numpy(np.array(v)) for v in values[:kept])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning:onnx")
def test_every_example_is_computed_or_refused() -> None:
    computed: set[str] = set()
    wrong, count = [], 0
    for case in examples():
        for values, expected in case.data_sets:
            values = [np.asarray(v) if isinstance(v, np.generic) else v for v in values]
            if not all(isinstance(v, np.ndarray) and v.dtype != object for v in [*values, *expected]):
                continue
            for kept in (1, len(values)):
                try:
                    module, inputs = from_onnx(*with_weights(case, values, kept))
                except ConversionError:
                    continue
                out = module(*inputs)
                given = out if isinstance(out, tuple) else (out,)
                count += 1
                computed.add(case.model.graph.node[0].op_type)
                for a, b in zip(given, expected[: len(given)], strict=True):
                    a = a.detach().numpy()
                    if a.shape != b.shape or not np.allclose(a, b, rtol=1e-3, atol=1e-4, equal_nan=True):
                        wrong.append(case.name)
    assert not wrong
    assert count > 900
    assert KNOWN - computed == UNTESTED


def test_names_are_taken_once() -> None:
    with pytest.raises(ConversionError, match="'Relu' is known already; remove it from OPERATORS first"):
        operator("Relu")(OPERATORS["Relu"])
    with pytest.raises(ConversionError, match="'Gather' is known already; remove it from NUMBERS first"):
        number("Gather")(NUMBERS["Gather"])


def test_a_registered_operator_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATORS, "Det", lambda node, operands: torch.linalg.det(operands[0]))
    case = next(c for c in _model_of("Det"))
    module, (x,) = from_onnx(case)
    torch.testing.assert_close(module(x), torch.linalg.det(x))


def _model_of(kind: str) -> list[Any]:
    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node(kind, ["x"], ["y"])
    inputs, outputs = info("x", onnx.TensorProto.FLOAT, (2, 3, 3)), info("y", onnx.TensorProto.FLOAT, (2,))
    graph = onnx.helper.make_graph([node], "net", [inputs], [outputs])
    return [onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)]


def test_shapes_are_plain_integers() -> None:
    assert shape_of(torch.zeros(2, 3)).tolist() == [2, 3]
    assert settle(np.array([2, 3], dtype=object)).dtype == np.int64
    node = Node("Reshape", "n", ("x", "s"), ("y",), {}, 17)
    x = np.arange(6).reshape(2, 3)
    assert NUMBERS["Reshape"](node, [x, np.array([0, -1])]).shape == (2, 3)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", RECURRENT)
def test_gates_are_put_into_torchs_order(kind: str) -> None:
    """The equations that ONNX gives for each layer, written out for one step from a state of zeros."""
    gates, width = len(RECURRENT[kind]), 4
    w, r, b = (
        torch.randn(1, gates * width, 3),
        torch.randn(1, gates * width, width),
        torch.randn(1, 2 * gates * width),
    )
    x = torch.randn(1, 2, 3)
    weights = [onnx.numpy_helper.from_array(t.numpy(), n) for n, t in {"w": w, "r": r, "b": b}.items()]
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = onnx.helper.make_node(kind, ["x", "w", "r", "b"], ["y", "h"], hidden_size=width, **extra)
    info = onnx.helper.make_tensor_value_info
    ends = [info("x", onnx.TensorProto.FLOAT, (1, 2, 3)), info("h", onnx.TensorProto.FLOAT, (1, 2, width))]
    graph = onnx.helper.make_graph([node], "net", ends[:1], ends[1:], weights)
    opsets = [onnx.helper.make_opsetid("", 17)]
    module, _ = from_onnx(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9))

    wb, rb = b[0].chunk(2)
    pre = (x[0] @ w[0].T + wb).chunk(gates, -1)
    back = rb.chunk(gates)
    if kind == "LSTM":
        i, o, _, c = (p + q for p, q in zip(pre, back, strict=True))
        expected = o.sigmoid() * (i.sigmoid() * c.tanh()).tanh()
    elif kind == "GRU":
        z, reset = ((p + q).sigmoid() for p, q in zip(pre[:2], back[:2], strict=True))
        expected = (1 - z) * (pre[2] + reset * back[2]).tanh()
    else:
        expected = (pre[0] + back[0]).tanh()
    torch.testing.assert_close(module(x)[0], expected, rtol=1e-4, atol=1e-5)
    assert {n.rpartition(".")[2] for n, _ in module.named_parameters()} == {
        "weight_ih_l0",
        "weight_hh_l0",
        "bias_ih_l0",
        "bias_hh_l0",
    }
