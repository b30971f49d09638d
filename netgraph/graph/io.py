"""Neural graphs on disk: one safetensors file, the structure in its header."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from netgraph.errors import GraphError, GraphFileError
from netgraph.graph.codec import FORMAT, VERSION, decode_structure, encode_structure
from netgraph.graph.neural_graph import NeuralGraph
from netgraph.graph.program import resolve
from netgraph.graph.structure import Structure, dtype_name
from netgraph.graph.vetting import vet

if TYPE_CHECKING:
    from netgraph.typing import State

MAX_HEADER = 100_000_000
"""Bytes: the longest header that safetensors itself accepts."""

_COMPLEX = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}


def save_graph(graph: NeuralGraph, path: str | os.PathLike[str]) -> None:
    """Write a graph to one safetensors file, all of it or nothing.

    The tensors of the state are the file's tensors, under their own names, so any safetensors reader can
    list them. The file's metadata has one entry, `netgraph`: the structure as JSON, with its format version
    and its `sha256`. Tied tensors are written once; other tensors that share memory are written apart. The
    file appears under its name only when it is complete, and equal graphs make equal files.

    The digest covers the structure and not the weights: a stride that one wrong bit turned from 1 to 3 would
    load without complaint and compute something else, while hashing the weights would double the time to load
    a large network; whoever needs that compares the hash of the whole file, as `netgraph.hub` does.

    Args:
        graph: any graph whose operators are all torch's own.
        path: of the file; its folder must exist.

    Raises:
        GraphError: the graph is invalid.
        GraphFileError: the structure or a tensor cannot be stored, or the file cannot be written.

    >>> import tempfile, torch
    >>> from netgraph.graph import Group, NeuralGraph, Structure, TensorSpec, load_graph, save_graph
    >>> from netgraph.graph import Axis, Segment
    >>> bias = TensorSpec("fc.bias", (3,), "float32", "parameter", axes=(0,), out_axis=0)
    >>> structure = Structure((Group("fc", 3),), (Axis((Segment(0, 0, 3),)),), (bias,), order=("fc.bias",))
    >>> graph = NeuralGraph(structure, {"fc.bias": torch.randn(3)})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_graph(graph, f"{folder}/net.safetensors")
    ...     load_graph(f"{folder}/net.safetensors") == graph
    True
    """
    graph.validate()
    target = Path(path)
    if not target.parent.is_dir() or target.is_dir():
        raise GraphFileError(
            f"save_graph: expected the path of a file in an existing folder, got {str(target)!r}"
        )
    _check_runnable("save_graph", graph.structure)
    data = encode_structure(graph.structure)
    # One entry only: safetensors writes the entries of the metadata in an order of chance.
    metadata = {FORMAT: _dumps({"sha256": _sha256(data), **data})}
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        partial.touch()
        mode = partial.stat().st_mode
        save_file(_storable(graph.state), partial, metadata=metadata)
        partial.chmod(mode)  # safetensors makes files that only their owner can read
        _flush(partial)
        os.replace(partial, target)
        _flush(target.parent)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise GraphFileError(
            f"save_graph: cannot write {str(target)!r}: {str(error)[:200]}; nothing was changed"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def load_graph(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> NeuralGraph:
    """Read a graph that `save_graph` wrote; the same bytes in every tensor, an equal structure.

    Safe on files of unknown origin: nothing is unpickled, the header is checked before any tensor is read,
    and only operators of torch that touch no file may stand in the program.

    Args:
        path: of the file.
        device: where the tensors go.

    Raises:
        GraphFileError: the file is missing, is no graph file, is truncated or corrupt, is of another version,
            has an oversized header, or its structure and tensors do not fit; or the device is not to be had.
    """
    source = Path(path)
    _check_header(source)
    try:
        with safe_open(source, framework="pt") as file:
            structure = _read_structure(source, file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise GraphFileError(
            f"load_graph: {str(source)!r} is truncated or corrupt ({_short(error)}); get it again"
        ) from error
    graph = NeuralGraph(structure, {n: _restored(structure, n, t) for n, t in state.items()})
    try:
        graph.validate()
    except GraphError as error:
        raise GraphFileError(
            f"load_graph: the tensors of {str(source)!r} do not fit its structure; get it again ({error})"
        ) from None
    try:
        state = {name: tensor.to(device) for name, tensor in graph.state.items()}
    except (RuntimeError, AssertionError) as error:
        raise GraphFileError(
            f"load_graph: expected a device that torch has here, got {str(device)!r} ({_short(error)}); "
            "pass device='cpu'"
        ) from error
    return NeuralGraph(structure, state)


def _storable(state: State) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU, no two in the same memory."""
    users = Counter(_memory(t) for t in state.values())
    out = {}
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_meta:
            raise ValueError(f"tensor {name!r} is not dense or holds no data")
        plain = tensor.detach()
        if plain.is_complex():
            plain = torch.view_as_real(plain.resolve_conj())
        plain = plain.resolve_neg().cpu().contiguous()
        out[name] = plain.clone() if users[_memory(tensor)] > 1 else plain
    return out


def _restored(structure: Structure, name: str, tensor: Tensor) -> Tensor:
    """safetensors knows no complex numbers in all its versions: they are stored as pairs of floats."""
    spec = structure.tensor.get(name)
    if (
        spec is None
        or _COMPLEX.get(spec.dtype) != dtype_name(tensor.dtype)
        or tensor.shape != (*spec.shape, 2)
    ):
        return tensor
    return torch.view_as_complex(tensor)


def _memory(tensor: Tensor) -> tuple[torch.device, int]:
    if tensor.layout != torch.strided or tensor.is_meta:
        return tensor.device, id(tensor)
    return tensor.device, tensor.untyped_storage().data_ptr()


def _flush(path: Path) -> None:
    """Have the system write a file (or the names in a folder) down, where it knows how to."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_header(path: Path) -> None:
    """A safetensors file begins with the length of its header, eight bytes, little end first."""
    if not path.exists():
        raise GraphFileError(f"load_graph: there is no file {str(path)!r}; check the path")
    if not path.is_file():
        raise GraphFileError(f"load_graph: expected a file, got {str(path)!r}, which is a folder or a device")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise GraphFileError(f"load_graph: cannot read {str(path)!r}: {_short(error)}") from error
    if size < 8 or length > size - 8:
        raise GraphFileError(
            f"load_graph: {str(path)!r} is empty, truncated or no safetensors file: it has {size} bytes, "
            f"its header says {length if size >= 8 else 'nothing'}; get it again"
        )
    if length > MAX_HEADER:
        raise GraphFileError(
            f"load_graph: the header of {str(path)!r} has {length} bytes, more than the {MAX_HEADER} "
            "that safetensors allows; the file is corrupt"
        )


def _read_structure(path: Path, metadata: dict[str, str]) -> Structure:
    if FORMAT not in metadata:
        raise GraphFileError(
            f"load_graph: {str(path)!r} holds tensors but no neural graph; "
            "load it into its module and convert that with netgraph.to_graph"
        )
    try:
        data = json.loads(metadata[FORMAT])
        digest = data.pop("sha256")
        # Another version may compute its digest otherwise, and deserves its own message.
        intact = data.get("version") != VERSION or digest == _sha256(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise GraphFileError(
            f"load_graph: the structure in {str(path)!r} does not match its sha256; get the file again"
        )
    try:
        structure = decode_structure(data)
    except GraphFileError as error:
        raise GraphFileError(f"load_graph: {str(path)!r} cannot be read: {error}") from None
    _check_runnable("load_graph", structure)
    return structure


def _check_runnable(operation: str, structure: Structure) -> None:
    try:
        vet(structure)
        for target in dict.fromkeys(op.target for op in structure.operators):
            resolve(target)
    except GraphError as error:
        raise GraphFileError(f"{operation}: graph files hold torch's own operators only; {error}") from None


def _dumps(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))


def _sha256(data: dict[str, Any]) -> str:
    return hashlib.sha256(_dumps(data).encode()).hexdigest()


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
