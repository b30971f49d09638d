"""ONNX: what is written comes back as the same function with the same groups; refusals are one sentence."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from netgraph import NeuralGraph, NodeMask, load_graph, save_graph, select, to_graph
from netgraph.convert import export_onnx, from_onnx
from netgraph.errors import ConversionError, ConversionWarning, InterchangeError
from netgraph.graph import permute
from netgraph.zoo import resnet20
from tests.convert.cases import CASES, Call, Case, conv, image

onnx = pytest.importorskip("onnx", reason="needs the extra netgraph-metanet[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra netgraph-metanet[onnx]")


def unet() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        wide = F.relu(s.norm(s.a(x)))
        low = F.relu(s.b(wide))
        deep = s.groups(s.d(torch.cat([s.up(F.relu(s.c(low))), low], 1)))
        deep = F.interpolate(deep, scale_factor=2, mode="bilinear", align_corners=False)
        out = s.e(torch.cat([deep, wide], 1))
        out = F.interpolate(F.interpolate(out, scale_factor=2), (10, 10), mode="bilinear", align_corners=True)
        return s.head(F.avg_pool2d(out, 3, 2, 1))

    return Call(
        forward,
        a=conv(3, 8, padding=1),
        norm=nn.BatchNorm2d(8),
        b=conv(8, 16, stride=2, padding=1),
        c=conv(16, 12, stride=2, padding=1),
        up=nn.ConvTranspose2d(12, 10, 2, stride=2),
        d=conv(26, 12, padding=1),
        groups=nn.GroupNorm(4, 12),
        e=conv(20, 6, padding=1),
        head=conv(6, 2, 1),
    )


def language() -> nn.Module:
    """Embeddings, a causal mask made from the length, and attention spelled out."""

    def forward(s: Any, numbers: Tensor) -> Tensor:
        b, n = numbers.shape
        x = s.norm(s.words(numbers) + s.places(torch.arange(n)))
        q, k, v = (f(x).view(b, n, 4, 4).transpose(1, 2) for f in (s.q, s.k, s.v))
        later = torch.arange(n)[:, None] < torch.arange(n)
        weights = (q @ k.transpose(-1, -2) / 2).masked_fill(later, float("-inf")).softmax(-1)
        x = x + s.out((weights @ v).transpose(1, 2).reshape(b, n, 16))
        return s.head(s.down(F.gelu(s.up(x))).mean(1))

    return Call(
        forward,
        words=nn.Embedding(11, 16),
        places=nn.Embedding(8, 16),
        norm=nn.LayerNorm(16),
        q=nn.Linear(16, 16),
        k=nn.Linear(16, 16),
        v=nn.Linear(16, 16),
        out=nn.Linear(16, 16),
        up=nn.Linear(16, 24),
        down=nn.Linear(24, 16),
        head=nn.Linear(16, 3),
    )


def activations() -> nn.Module:
    layers: list[nn.Module] = []
    kinds = (
        nn.LeakyReLU,
        nn.ELU,
        nn.CELU,
        nn.SELU,
        nn.Hardswish,
        nn.Hardsigmoid,
        nn.Softplus,
        nn.Mish,
        nn.SiLU,
    )
    for kind in (*kinds, nn.Tanh, nn.Softsign, lambda: nn.Softmax(-1), lambda: nn.LogSoftmax(-1)):
        layers += [nn.Linear(4, 4), kind()]
    return nn.Sequential(*layers, nn.Linear(4, 2))


UNEXPORTED = {"lstm, projected"}
OWN_WIDTHS = {"lstm, two layers, two ways": (6, 5, 5), "gru": (6, 5, 5)}
"""ONNX has a node for each recurrent layer, so that each keeps a width of its own."""

TWICE = {c.name for c in CASES if c.product == "inner"} - {"grouped, inner"}
NETWORKS = [c for c in CASES if c.name not in TWICE | UNEXPORTED] + [
    Case("resnet20", resnet20, image(size=16), ()),
    Case("unet", unet, image(size=16), (8, 16, 12, 10, 4, 6)),
    Case("language", language, lambda: torch.randint(0, 11, (2, 5)), (16, 4, 24, 16)),
    Case("activations", activations, lambda: torch.randn(3, 4), (4,) * 13),
]
networks = pytest.mark.parametrize("case", NETWORKS, ids=lambda c: c.name)


def hidden(graph: NeuralGraph) -> tuple[int, ...]:
    return tuple(g.size for g in graph.structure.groups if g.role == "hidden")


def runtime(path: Path, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    session = onnxruntime.InferenceSession(str(path))
    names = [i.name for i in session.get_inputs()]
    given = {n: t.numpy() for n, t in zip(names, inputs, strict=True)}
    return [torch.from_numpy(o) for o in session.run(None, given)]


def assert_near(given: Any, expected: Any) -> None:
    for a, b in zip(pytree.tree_leaves(given), pytree.tree_leaves(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * max(1.0, float(b.detach().abs().max())))


@networks
@pytest.mark.filterwarnings("ignore:export_onnx. the batch cannot be left open")
def test_there_and_back(case: Case, tmp_path: Path) -> None:
    """The imported graph computes what onnxruntime does, its groups are the module's own and symmetries of
    the function, and what remains after a cut can be exported again."""
    module, inputs = case.make()
    direct = to_graph(module, inputs, product=case.product)
    path = tmp_path / "net.onnx"
    export_onnx(direct, path)
    expected = runtime(path, inputs)
    assert_near(expected, module(*inputs))

    graph = to_graph(path, inputs, product=case.product)
    graph.validate()
    assert_near(graph.to_module().eval()(*inputs), expected)
    assert hidden(graph) == OWN_WIDTHS.get(case.name, hidden(direct))
    if case.hidden and case.name not in OWN_WIDTHS:
        assert hidden(graph) == case.hidden

    names = [g for g in graph.structure.groups if g.role == "hidden"]
    turned = permute(graph, {g.name: torch.randperm(g.size) for g in names})
    assert_near(turned.to_module().eval()(*inputs), expected)

    half = NodeMask({g.name: torch.randperm(g.size) < max(1, g.size // 2) for g in names})
    small = select(graph, half)
    small.validate()
    export_onnx(small, tmp_path / "small.onnx")
    assert_near(runtime(tmp_path / "small.onnx", inputs), small.to_module().eval()(*inputs))


@pytest.mark.parametrize("opset", [9, 11, 13, 15, 18])
@pytest.mark.parametrize("build", [unet, activations], ids=lambda b: b.__name__)
def test_opsets(build: Callable[[], nn.Module], opset: int, tmp_path: Path) -> None:
    case = next(c for c in NETWORKS if c.name == build.__name__)
    module, inputs = case.make()
    path = tmp_path / "net.onnx"
    if build is unet and opset < 11:
        with pytest.raises(ConversionError, match="another opset"):  # no align_corners yet
            export_onnx(module, path, inputs, opset=opset)
        assert not path.exists()
        return
    newer = {nn.CELU: 12, nn.Hardswish: 14}
    if build is activations:
        module = nn.Sequential(*[m for m in module if newer.get(type(m), 0) <= opset])
    export_onnx(module, path, inputs, opset=opset)
    read, _ = from_onnx(path)
    assert_near(read(*inputs), module(*inputs))


def test_a_read_graph_is_saved_and_loaded(tmp_path: Path) -> None:
    module, inputs = next(c for c in NETWORKS if c.name == "language").make()
    export_onnx(module, tmp_path / "net.onnx", inputs)
    graph = to_graph(tmp_path / "net.onnx")
    save_graph(graph, tmp_path / "net.safetensors")
    assert load_graph(tmp_path / "net.safetensors") == graph


def test_the_batch_stays_open(tmp_path: Path) -> None:
    case = next(c for c in CASES if c.name == "vision transformer")
    module, inputs = case.make()
    path = tmp_path / "net.onnx"
    export_onnx(to_graph(module, inputs), path)
    x = torch.randn(5, 3, 8, 8)
    assert_near(runtime(path, (x,)), module(x))
    assert_near(to_graph(path).to_module().eval()(x), module(x))


def test_a_batch_that_an_exporter_wrote_down_is_opened(tmp_path: Path) -> None:
    case = next(c for c in CASES if c.name == "channel shuffle")
    module, inputs = case.make()
    path = tmp_path / "net.onnx"
    export_onnx(module, path, inputs)
    x = torch.randn(5, 3, 8, 8)
    assert_near(to_graph(path).to_module().eval()(x), module(x))


def test_a_batch_that_cannot_stay_open_is_fixed_with_a_warning(tmp_path: Path) -> None:
    case = next(c for c in CASES if c.name == "1-D")
    module, inputs = case.make()
    with pytest.warns(ConversionWarning, match="batch cannot be left open"):
        export_onnx(to_graph(module, inputs), tmp_path / "net.onnx")
    assert_near(runtime(tmp_path / "net.onnx", inputs), module(*inputs))


def test_a_module_is_left_as_it_was(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    module[1].eval()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    export_onnx(module, tmp_path / "net.onnx", torch.randn(4, 3))
    assert [m.training for m in module] == [True, False, True, True]
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())


def test_state_keeps_names_and_kinds(tmp_path: Path) -> None:
    module = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)).eval()
    export_onnx(module, tmp_path / "net.onnx", torch.randn(1, 3, 4, 4))
    read, (x,) = from_onnx(tmp_path / "net.onnx")
    assert {n for n, _ in read.named_parameters()} == {"1.weight", "1.bias", "2.weight", "2.bias"}
    assert {n for n, _ in read.named_buffers()} == {"1.running_mean", "1.running_var"}
    assert x.shape == (1, 3, 4, 4) and not read.training


def test_names_that_torch_does_not_allow(tmp_path: Path) -> None:
    names = ["a/b:0", "a_b_0", "training", "a_b_0.weight"]
    weights = [
        onnx.numpy_helper.from_array(torch.full((2,), float(i)).numpy(), n) for i, n in enumerate(names)
    ]
    nodes = [
        onnx.helper.make_node("Add", [f"h{i}" if i else "x", n], [f"h{i + 1}"]) for i, n in enumerate(names)
    ]
    read, inputs = from_onnx(model(nodes, ["x"], [f"h{len(names)}"], (1, 2), weights))
    assert len(dict(read.named_parameters())) == len(names)
    graph = to_graph(read, inputs)
    assert_near(graph.to_module()(*inputs), inputs[0] + 6)


def test_dead_and_shape_only_nodes_vanish(tmp_path: Path) -> None:
    case = next(c for c in CASES if c.name == "padded shortcut")
    module, inputs = case.make()
    export_onnx(to_graph(module, inputs), tmp_path / "net.onnx")
    read, _ = from_onnx(tmp_path / "net.onnx")
    kinds = {node.kind for node in read.program}  # type: ignore[union-attr]
    assert "Pad" in kinds and not kinds & {"Constant", "ConstantOfShape", "Cast", "Transpose", "Shape"}


def test_inputs_by_name(tmp_path: Path) -> None:
    case = next(c for c in CASES if c.name == "two inputs, dict output")
    module, (x, y) = case.make()
    export_onnx(module, tmp_path / "net.onnx", (x, y))
    read, given = from_onnx(tmp_path / "net.onnx", {"input_1": y, "input_0": x})
    assert_near(read(*given), list(module(x, y).values()))
    with pytest.raises(
        ConversionError, match=r"one tensor for each of the model's inputs \['input_0', 'input_1'\]"
    ):
        from_onnx(tmp_path / "net.onnx", {"x": x, "y": y})
    with pytest.raises(ConversionError, match="takes 2 inputs"):
        read(x)


def test_numbers_stay_of_their_type() -> None:
    nodes = [onnx.helper.make_node("Cast", ["x"], ["y"], to=onnx.TensorProto.INT64)]
    read, (x,) = from_onnx(model(nodes, ["x"], ["y"], ("batch", 2)))
    assert x.shape == (1, 2) and read(x).dtype == torch.int64


def model(
    nodes: list[Any],
    inputs: list[str],
    outputs: list[str],
    shape: tuple[Any, ...],
    weights: Any = (),
    opset: int = 17,
) -> Any:
    def info(name: str, size: Any) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size)

    kind = onnx.TensorProto.INT64 if nodes[-1].op_type == "Cast" else onnx.TensorProto.FLOAT
    results = [onnx.helper.make_tensor_value_info(n, kind, ("any",)) for n in outputs]
    graph = onnx.helper.make_graph(nodes, "net", [info(n, shape) for n in inputs], results, list(weights))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=9)


def node(kind: str, *inputs: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, list(inputs or ("x",)), ["y"], name="the node", **attributes)


REFUSED: dict[str, tuple[Any, str]] = {
    "unknown operator": (node("Det"), "operator Det is unknown here, first at node 'the node'"),
    "foreign operator": (node("Gadget", domain="com.example"), r"operator com.example.Gadget is unknown"),
    "no such operator": (node("Nonsense"), "operator Nonsense is unknown"),
    "statistics of the batch": (node("TopK", "x", "x"), "computed from data"),
    "cubic from the corner": (
        node("Resize", "x", "", "scales", mode="cubic", coordinate_transformation_mode="asymmetric"),
        "node 'the node' .Resize. resizes in mode 'cubic'",
    ),
    "dilated average": (node("AveragePool", kernel_shape=[2, 2], dilations=[2, 2]), "averages with dilation"),
    "does not run": (node("MatMul", "x", "w"), "cannot run on example inputs"),
    "invalid": (node("Conv"), "expected a valid ONNX model"),
}


@pytest.mark.parametrize(("wrong", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(wrong: Any, message: str) -> None:
    weights = [
        onnx.numpy_helper.from_array(torch.tensor([1.0, 1.0, 2.0, 2.0]).numpy(), "scales"),
        onnx.numpy_helper.from_array(torch.randn(3, 3).numpy(), "w"),
    ]
    opset = 19 if wrong.op_type == "AveragePool" else 17
    if wrong.op_type == "TopK":
        wrong.output.append("indices")
    built = model([wrong], ["x"], ["y"], (1, 2, 8, 8), weights, opset)
    if wrong.domain:
        built.opset_import.append(onnx.helper.make_opsetid(wrong.domain, 1))
    with pytest.raises(ConversionError, match=message) as caught:
        from_onnx(built)
    assert str(caught.value).startswith("from_onnx: ") and "\n" not in str(caught.value)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.onnx", tmp_path / "bad.onnx"
    export_onnx(nn.Sequential(nn.Linear(3, 40), nn.Linear(40, 2)), good, torch.randn(1, 3))
    data = good.read_bytes()
    contents = [b"", b"no model at all, only text", data[: len(data) // 2], data[:-3], data[:40]]
    for content in contents:
        bad.write_bytes(content)
        with pytest.raises(ConversionError, match=r"^from_onnx: .*export it again$"):
            to_graph(bad)
    for missing in (tmp_path / "missing.onnx", str(tmp_path / "missing.onnx")):
        with pytest.raises(ConversionError, match=r"'missing.onnx' is missing; check the path"):
            to_graph(missing)
    with pytest.raises(ConversionError, match=r"the path of a \.onnx file, got 'net.pt'"):
        to_graph("net.pt")
    with pytest.raises(ConversionError, match=r"path of a \.onnx file or an onnx.ModelProto, got int"):
        from_onnx(3)


def test_open_sizes_ask_for_inputs(tmp_path: Path) -> None:
    built = model([node("Relu")], ["x"], ["y"], ("batch", 3, "height", 8))
    with pytest.raises(ConversionError, match=r"size 2 of input 'x' is open .'height'.; pass example_inputs"):
        from_onnx(built)
    onnx.save(built, tmp_path / "net.onnx")
    x = torch.randn(2, 3, 4, 8)
    assert_near(to_graph(tmp_path / "net.onnx", x).to_module()(x), x.relu())


def test_old_opsets_are_refused() -> None:
    with pytest.raises(ConversionError, match="of opset 6, expected 7 or later; bring it up"):
        from_onnx(model([node("Relu")], ["x"], ["y"], (1, 3), opset=6))


def test_recurrent_layers_unlike_torchs_are_refused() -> None:
    weights = [
        onnx.numpy_helper.from_array(torch.randn(s).numpy(), n)
        for n, s in {"w": (1, 12, 3), "r": (1, 12, 4), "b": (1, 24)}.items()
    ]
    layer = onnx.helper.make_node("GRU", ["x", "w", "r", "b"], ["y"], "the node", hidden_size=4)
    with pytest.raises(ConversionError, match=r"node 'the node' .GRU. has linear_before_reset=0"):
        from_onnx(model([layer], ["x"], ["y"], (5, 1, 3), weights))


def test_export_refuses(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ConversionError, match="expected example_inputs beside a module, got none"):
        export_onnx(nn.Linear(3, 2), path)
    with pytest.raises(ConversionError, match=r"expected a NeuralGraph or a torch.nn.Module, got int"):
        export_onnx(3, path)  # type: ignore[arg-type]
    with pytest.raises(ConversionError, match="file in an existing folder"):
        export_onnx(nn.Linear(3, 2), tmp_path / "none" / "net.onnx", torch.randn(1, 3))
    case = next(c for c in CASES if c.name == "lstm, projected")
    module, inputs = case.make()
    with pytest.raises(
        ConversionError, match=r"torch cannot express this network in ONNX opset 17: .*projections"
    ):
        export_onnx(to_graph(module, inputs), path)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_a_difference_from_torch_is_caught(tmp_path: Path) -> None:
    class Chance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = nn.Linear(3, 2), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1  # written into the file as the number that it was
            return self.layer(x) * self.calls

    with pytest.raises(ConversionError, match="differs from torch's by up to"):
        export_onnx(Chance(), tmp_path / "net.onnx", torch.randn(1, 3))
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("error")
def test_export_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    case = next(c for c in CASES if c.name == "lstm, projected")
    module, inputs = case.make()
    graph = to_graph(module, inputs)
    capfd.readouterr()
    with pytest.raises(ConversionError):
        export_onnx(graph, tmp_path / "net.onnx")
    export_onnx(to_graph(nn.Linear(3, 2), torch.randn(2, 3)), tmp_path / "net.onnx")
    out, _ = capfd.readouterr()
    assert out == ""


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    install = r'pip install "netgraph-metanet\[onnx\]"'
    with pytest.raises(InterchangeError, match=install):
        to_graph(tmp_path / "net.onnx")
    with pytest.raises(InterchangeError, match=install):
        export_onnx(nn.Linear(3, 2), tmp_path / "net.onnx", torch.randn(1, 3))


def test_without_onnxruntime_nothing_is_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    module = nn.Linear(3, 2)
    export_onnx(module, tmp_path / "net.onnx", torch.randn(1, 3))
    read, inputs = from_onnx(tmp_path / "net.onnx")
    assert_near(read(*inputs), module(*inputs))


def test_a_module_needs_inputs() -> None:
    with pytest.raises(ConversionError, match="expected example_inputs beside a module, got none"):
        to_graph(nn.Linear(3, 2))
