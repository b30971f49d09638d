"""Graph files: exact, atomic, and refused when anything is wrong with them."""

import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from netgraph.errors import GraphError, GraphFileError
from netgraph.graph import (
    NeuralGraph,
    Structure,
    TensorSpec,
    dtype_name,
    load_graph,
    same_bytes,
    save_graph,
)
from netgraph.graph.io import MAX_HEADER, _sha256
from tests.graph.networks import NETWORKS, by_hand, graph, network


def of_tensors(**tensors: Tensor) -> NeuralGraph:
    """A graph without groups that holds the given tensors."""
    specs = tuple(
        TensorSpec(n, tuple(t.shape), dtype_name(t.dtype), "buffer", (None,) * t.dim())
        for n, t in tensors.items()
    )
    return NeuralGraph(Structure((), (), specs, order=tuple(tensors)), tensors)


def round_trip(converted: NeuralGraph, folder: Path) -> NeuralGraph:
    path = folder / "net.safetensors"
    save_graph(converted, path)
    return load_graph(path)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save_graph(by_hand(), path)
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    module, x, converted = network(name)
    again = round_trip(converted, tmp_path)
    again.validate()
    assert again == converted
    assert torch.equal(again.to_module().train(module.training)(x), module(x))


DTYPES = [
    *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64", "complex128"),
    *("complex32", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool"),
]


@pytest.mark.filterwarnings("ignore:ComplexHalf support")
@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_and_shape_bit_for_bit(name: str, tmp_path: Path) -> None:
    dtype = getattr(torch, name)
    raw = torch.randint(2 if name == "bool" else 256, (96,), dtype=torch.uint8)
    many = raw.view(dtype)
    size = many.numel()
    converted = of_tensors(
        many=many.reshape(2, size // 2),
        one=many[1].clone(),
        none=many[:0].clone(),
        hollow=many.new_empty(3, 0, 2),
    )
    again = round_trip(converted, tmp_path)
    for key, tensor in converted.state.items():
        assert again.state[key].shape == tensor.shape
        assert same_bytes(again.state[key].reshape(-1), tensor.reshape(-1))


def test_special_numbers(tmp_path: Path) -> None:
    bits = torch.tensor([0x7FC12345, 0x7F812345, -0x80000000, 0x7F800000, 1], dtype=torch.int32)
    again = round_trip(of_tensors(t=bits.view(torch.float32)), tmp_path)
    assert torch.equal(again.state["t"].view(torch.int32), bits)


def test_lazy_and_strided_tensors(tmp_path: Path) -> None:
    base = torch.randn(4, 6)
    lazy = torch.randn(3, dtype=torch.complex64)
    converted = of_tensors(
        turned=base.t(),
        expanded=torch.randn(3, 1).expand(3, 4),
        row=base[1],
        column=base[:, 2],
        overlapping=base.reshape(-1)[2:9],
        all=base,
        conjugate=lazy.conj(),
        negative=lazy.conj().imag,
        parameter=torch.nn.Parameter(torch.randn(2)),
    )
    again = round_trip(converted, tmp_path)
    for name, tensor in converted.state.items():
        assert torch.equal(again.state[name], tensor)
        assert not again.state[name].requires_grad
    again.state["row"].zero_()
    assert torch.equal(again.state["all"], base)


def test_tied_tensors_are_written_once_and_stay_tied(tmp_path: Path) -> None:
    converted = graph("language")
    again = round_trip(converted, tmp_path)
    assert "head.weight" not in load_file(tmp_path / "net.safetensors")
    state = again.to_state_dict()
    assert state["head.weight"] is state["embed.weight"]


def test_any_safetensors_reader_can_list_it(saved: Path) -> None:
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()
        names = set(file.keys())
    assert names == {"a.weight", "a.bias", "b.weight"}
    data = json.loads(metadata.pop("netgraph"))
    assert metadata == {}
    assert (data["format"], data["version"]) == ("netgraph", 1)
    assert data["groups"][1] == ["hidden", 3, "hidden"]


def test_no_state_at_all(tmp_path: Path) -> None:
    empty = NeuralGraph(Structure((), (), ()), {})
    assert round_trip(empty, tmp_path) == empty


def test_saving_replaces_whole_files(saved: Path) -> None:
    loaded = load_graph(saved)
    save_graph(graph("mlp"), saved)
    assert load_graph(saved) == graph("mlp")
    assert loaded == by_hand()  # still readable: the old file lives on behind its tensors
    assert os.listdir(saved.parent) == [saved.name]


def test_files_get_the_usual_mode(saved: Path) -> None:
    plain = saved.with_name("plain")
    plain.touch()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_failed_save_leaves_the_old_file(
    saved: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half a file")
        raise error

    monkeypatch.setattr("netgraph.graph.io.save_file", fail)
    with pytest.raises(GraphFileError if isinstance(error, OSError) else KeyboardInterrupt):
        save_graph(graph("mlp"), saved)
    assert load_graph(saved) == by_hand()
    assert os.listdir(saved.parent) == [saved.name]


def foreign() -> NeuralGraph:
    hand = by_hand()
    first = replace(hand.structure.operators[0], target="torchvision.nms.default")
    return replace(hand, structure=replace(hand.structure, operators=(first, *hand.structure.operators[1:])))


UNSAVED: dict[str, tuple[Callable[[], NeuralGraph], type[Exception], str]] = {
    "invalid graph": (lambda: NeuralGraph(by_hand().structure, {}), GraphError, "lacks"),
    "foreign operator": (foreign, GraphFileError, "torch's own operators only"),
    "sparse": (
        lambda: of_tensors(t=torch.eye(3).to_sparse()),
        GraphFileError,
        "tensor 't' is not dense",
    ),
    "meta": (lambda: of_tensors(t=torch.empty(3, device="meta")), GraphFileError, "holds no data"),
}


@pytest.mark.parametrize(("make", "kind", "message"), UNSAVED.values(), ids=UNSAVED)
def test_save_refuses(
    make: Callable[[], NeuralGraph], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        save_graph(make(), tmp_path / "net.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("where", ["nowhere/net.safetensors", "."])
def test_save_refuses_paths(where: str, tmp_path: Path) -> None:
    with pytest.raises(GraphFileError, match="save_graph: expected the path of a file in an existing folder"):
        save_graph(by_hand(), tmp_path / where)


def rewrite(path: Path, edit: Callable[[dict[str, str], dict[str, Tensor]], object]) -> None:
    """Change metadata and tensors of a graph file, keeping all else right."""
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    tensors = {n: t.clone() for n, t in load_file(path).items()}
    edit(metadata, tensors)
    save_file(tensors, path, metadata=metadata)


def restructure(edit: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, str], object], None]:
    """Change the structure in the metadata, with a digest that fits."""

    def change(metadata: dict[str, str], _: object) -> None:
        data = json.loads(metadata["netgraph"])
        del data["sha256"]
        edit(data)
        metadata["netgraph"] = json.dumps({"sha256": _sha256(data), **data})

    return change


def retext(edit: Callable[[str], str]) -> Callable[[dict[str, str], object], None]:
    """Change the text in the metadata, and leave its digest."""
    return lambda metadata, _: metadata.update(netgraph=edit(metadata["netgraph"]))


WRONG: dict[str, tuple[Callable[..., object], str]] = {
    "plain safetensors": (lambda m, t: m.clear(), "no neural graph"),
    "other safetensors": (lambda m, t: (m.clear(), m.update(format="pt")), "no neural graph"),
    "other digest": (retext(lambda s: s.replace('"sha256":"', '"sha256":"0')), "does not match its sha256"),
    "no digest": (retext(lambda s: s.replace("sha256", "sha265")), "does not match its sha256"),
    "edited structure": (
        retext(lambda s: s.replace('"hidden",3', '"hidder",3')),
        "does not match its sha256",
    ),
    "no JSON": (retext(lambda s: s[:-1]), "does not match its sha256"),
    "nested without end": (retext(lambda s: "[" * 200_000), "does not match its sha256"),
    "a number of many digits": (retext(lambda s: "1" * 10_000), "does not match its sha256"),
    "other JSON": (retext(lambda s: "[]"), "does not match its sha256"),
    "other data": (restructure(lambda d: d.clear()), "expected the structure of a neural graph"),
    "newer version": (retext(lambda s: s.replace('"version":1', '"version":2')), "format version 1, got 2"),
    "no version": (restructure(lambda d: d.pop("version")), "format version 1, got None"),
    "invalid structure": (restructure(lambda d: d["groups"][0].__setitem__(1, 1)), "is corrupt"),
    "foreign operator": (
        restructure(lambda d: d["operators"][0].__setitem__(1, "os.system.default")),
        "torch's own operators only",
    ),
    "operator that reads files": (
        restructure(lambda d: d["operators"][0].__setitem__(1, "aten.from_file.default")),
        "reads files",
    ),
    "unknown operator": (
        restructure(lambda d: d["operators"][0].__setitem__(1, "aten.nonsense.default")),
        "has no operator",
    ),
    "unsafe name": (
        restructure(lambda d: d["operators"][0].__setitem__(3, [["x=1, y", 1]])),
        "keyword 'x=1, y'",
    ),
    "tensor missing": (lambda m, t: t.pop("a.bias"), r"lacks \['a.bias'\]"),
    "tensor too many": (lambda m, t: t.update(c=torch.zeros(1)), r"has \['c'\] too many"),
    "tensor of another shape": (
        lambda m, t: t.update({"a.bias": torch.zeros(4)}),
        r"'a.bias' should be float32\[3\], got float32\[4\]",
    ),
    "tensor of another dtype": (
        lambda m, t: t.update({"a.bias": torch.zeros(3, dtype=torch.int32)}),
        r"'a.bias' should be float32\[3\], got int32\[3\]",
    ),
    "pairs for a real tensor": (
        lambda m, t: t.update({"a.bias": torch.zeros(3, 2)}),
        r"got float32\[3, 2\]",
    ),
}


@pytest.mark.parametrize(("edit", "message"), WRONG.values(), ids=WRONG)
def test_load_refuses(edit: Callable[..., object], message: str, saved: Path) -> None:
    rewrite(saved, edit)
    with pytest.raises(GraphFileError, match=message) as caught:
        load_graph(saved)
    assert len(str(caught.value)) < 600


def test_a_dtype_that_torch_lacks(saved: Path) -> None:
    rewrite(saved, restructure(lambda d: d["tensors"][1].__setitem__(2, "float31")))
    with pytest.raises(GraphFileError, match=r"should be float31\[3\]"):
        load_graph(saved)


def test_load_refuses_paths(tmp_path: Path) -> None:
    with pytest.raises(GraphFileError, match="there is no file"):
        load_graph(tmp_path / "nowhere")
    with pytest.raises(GraphFileError, match="which is a folder or a device"):
        load_graph(tmp_path)
    if Path("/dev/zero").exists():
        with pytest.raises(GraphFileError, match="which is a folder or a device"):
            load_graph("/dev/zero")


@pytest.mark.parametrize("device", ["abacus", "xla:7", "meta:x"])
def test_load_refuses_devices(device: str, saved: Path) -> None:
    with pytest.raises(GraphFileError, match="expected a device that torch has here"):
        load_graph(saved, device=device)


def test_load_to_a_device(saved: Path) -> None:
    loaded = load_graph(saved, device=torch.device("meta"))
    assert all(t.is_meta for t in loaded.state.values())


HEADERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty, truncated or no safetensors file"),
    "seven bytes": (b"\x01" * 7, "is empty, truncated or no safetensors file"),
    "length only": (struct.pack("<Q", 2), "truncated"),
    "length beyond the file": (struct.pack("<Q", 2**63) + b"{}", "truncated"),
    "empty header": (struct.pack("<Q", 0), "corrupt"),
    "no JSON": (struct.pack("<Q", 2) + b"ab", "corrupt"),
    "no UTF-8": (struct.pack("<Q", 2) + b"\xff\xfe", "corrupt"),
    "a list": (struct.pack("<Q", 2) + b"[]", "corrupt"),
    "no tensors": (struct.pack("<Q", 2) + b"{}", "no neural graph"),
    "nested without end": (struct.pack("<Q", 100_000) + b"[" * 100_000, "corrupt"),
    "a pickle": (b"\x80\x04\x95" + b"\x00" * 40, "corrupt|truncated"),
    "a zip file": (b"PK\x03\x04" + b"\x00" * 40, "corrupt|truncated"),
    "text": (b"format = netgraph\n" * 10, "truncated"),
}


@pytest.mark.parametrize(("data", "message"), HEADERS.values(), ids=HEADERS)
def test_load_refuses_other_files(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(GraphFileError, match=message):
        load_graph(path)


def test_an_oversized_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:  # a sparse file: all holes
        file.write(struct.pack("<Q", MAX_HEADER + 1))
        file.truncate(MAX_HEADER + 9)
    with pytest.raises(GraphFileError, match="more than the 100000000 that safetensors allows"):
        load_graph(path)


def test_tensors_larger_than_the_file_allocate_nothing(saved: Path) -> None:
    data = saved.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header["a.bias"] = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    text = json.dumps(header).encode()
    saved.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(GraphFileError, match="truncated or corrupt"):
        load_graph(saved)


def test_truncated_at_any_byte(saved: Path) -> None:
    for end in reversed(range(saved.stat().st_size)):
        os.truncate(saved, end)
        with pytest.raises(GraphFileError):
            load_graph(saved)


def test_bytes_too_many(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\x00")
    with pytest.raises(GraphFileError, match="corrupt"):
        load_graph(saved)


@cache
def saved_bytes() -> bytes:
    with TemporaryDirectory() as folder:
        save_graph(by_hand(), Path(folder) / "net")
        return (Path(folder) / "net").read_bytes()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.integers(0, 2**30), st.integers(1, 255)), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 2**30),
)
def test_damaged_headers_raise_one_error(
    flips: list[tuple[int, int]], cut: int | None, tmp_path: Path
) -> None:
    data = bytearray(saved_bytes())
    header = 8 + struct.unpack("<Q", data[:8])[0]
    for place, change in flips:
        data[place % header] ^= change
    if cut is not None:
        del data[cut % len(data) :]
    path = tmp_path / "net.safetensors"
    path.unlink(missing_ok=True)  # some disks are slow at cutting a file down, quick at making one
    path.write_bytes(data)
    try:
        loaded = load_graph(path)
    except GraphFileError as error:
        assert str(error).startswith(("load_graph: ", "decode_structure: "))
    else:  # flips that undo each other, or change only white space
        assert loaded == by_hand()


def test_every_single_flip_in_the_header_is_noticed(saved: Path) -> None:
    data = saved.read_bytes()
    header = 8 + struct.unpack("<Q", data[:8])[0]
    text = data[:header].rstrip(b" ")  # the header is filled up with white space
    with saved.open("r+b", buffering=0) as file:
        for place, byte in enumerate(text):
            for bit in (0, 1, 5):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                with pytest.raises(GraphFileError):
                    load_graph(saved)
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert load_graph(saved) == by_hand()


def test_equal_graphs_make_equal_files(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    code = (
        "from tests.graph.networks import by_hand; from netgraph.graph import save_graph;"
        f"save_graph(by_hand(), {str(again)!r})"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=120)
    assert saved.read_bytes() == again.read_bytes()
