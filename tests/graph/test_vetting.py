"""A structure from anywhere can compute, and do nothing else."""

import json
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path

import pytest
import torch
from torch.utils import _pytree as pytree

from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph, Structure, TorchConstant
from netgraph.graph.vetting import vet
from tests.graph.networks import NETWORKS, by_hand, graph

S = by_hand().structure


class Colour(Enum):
    RED = 1


def renamed(name: str) -> Structure:
    tensors = tuple(replace(t, name=name) if t.name == "a.bias" else t for t in S.tensors)
    return replace(S, tensors=tensors, operators=(), order=(name,))


def constant(item: object) -> Structure:
    return replace(S, operators=(replace(S.operators[0], kwargs=(("x", (1, item)),)),))


def spec(tree: object, **kwargs: object) -> str:
    return pytree.treespec_dumps(pytree.tree_flatten(((tree,), kwargs))[1])


def edited(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


OUT = pytree.treespec_dumps(pytree.tree_flatten([1])[1])


def called(in_spec: str, out_spec: str = OUT) -> Structure:
    return replace(S, in_spec=in_spec, out_spec=out_spec)


@pytest.mark.parametrize("name", NETWORKS)
def test_converted_networks_pass(name: str) -> None:
    vet(graph(name).structure)


PASSED: dict[str, Callable[[], Structure]] = {
    "odd but harmless name": lambda: renamed("layer 1.größe.0"),
    "dtype": lambda: constant(TorchConstant("dtype", "bfloat16")),
    "device": lambda: constant(TorchConstant("device", "cuda:1")),
    "layout": lambda: constant(TorchConstant("layout", "strided")),
    "memory format": lambda: constant(TorchConstant("memory_format", "channels_last")),
    "nested call": lambda: called(spec({"a": [1, (2, None)]}, mask=OrderedDict(b=3))),
    "output as a constant": lambda: replace(S, outputs=(None, 3)),
}


@pytest.mark.parametrize("make", PASSED.values(), ids=PASSED)
def test_passes(make: Callable[[], Structure]) -> None:
    vet(make())


REFUSED: dict[str, tuple[Callable[[], Structure], str]] = {
    "quote in a name": (lambda: renamed('a"b'), "tensor name"),
    "backslash in a name": (lambda: renamed("a\\b"), "tensor name"),
    "newline in a name": (lambda: renamed("a\nb"), "tensor name"),
    "control character in a name": (lambda: renamed("a\x00b"), "tensor name"),
    "empty name": (lambda: renamed(""), "tensor name"),
    "empty part of a name": (lambda: renamed("a..b"), "tensor name"),
    "quote in an alias": (lambda: replace(S, aliases=(('a"b', "a.bias"),)), "tensor name"),
    "keyword that is code": (
        lambda: replace(S, operators=(replace(S.operators[0], kwargs=(("x=print(1), y", 1),)),)),
        "keyword 'x=print",
    ),
    "keyword of Python": (
        lambda: replace(S, operators=(replace(S.operators[0], kwargs=(("lambda", 1),)),)),
        "keyword 'lambda'",
    ),
    "function for a dtype": (lambda: constant(TorchConstant("dtype", "load")), "constant 'load'"),
    "dtype for a layout": (lambda: constant(TorchConstant("layout", "float32")), "constant 'float32'"),
    "unknown dtype": (lambda: constant(TorchConstant("dtype", "float31")), "constant 'float31'"),
    "unknown device": (lambda: constant(TorchConstant("device", "abacus")), "device 'abacus'"),
    "constant among the outputs": (
        lambda: replace(S, outputs=(TorchConstant("dtype", "load"),)),
        "constant 'load'",
    ),
    "no JSON": (lambda: called("[1, {"), "call specification"),
    "not a pair": (lambda: called("7"), "call specification"),
    "not a node": (lambda: called("[1, [2]]"), "call specification"),
    "other version": (lambda: called(edited(spec(1), "[1,", "[2,")), "of version 2"),
    "nested without end": (lambda: called("[" * 100_000), "call specification"),
    "one child": (lambda: called(OUT), "positional and a dict"),
    "argument that is code": (
        lambda: called(edited(spec(1, mask=2), "mask", "mask=print(1)")),
        "argument name 'mask=print",
    ),
    "argument that is no string": (
        lambda: called(edited(spec(1, mask=2), '[\\"mask\\"]', "[1]")),
        "argument name 1",
    ),
    "arguments without names": (
        lambda: called(edited(spec(1, mask=2), '[\\"mask\\"]', "3")),
        "lists its keyword arguments",
    ),
    "defaultdict": (lambda: called(spec(1), spec(defaultdict(list, a=1))), "defaultdict"),
    "enum": (lambda: called(spec({Colour.RED: 1})), "enum"),
    "enum behind an escape": (
        lambda: called(edited(spec({Colour.RED: 1}), "__enum__", "\\\\u005f_enum__")),
        "enum",
    ),
    "context that is no text": (
        lambda: called(json.dumps([1, {"type": "builtins.tuple", "context": {}, "children_spec": []}])),
        "enum",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(make: Callable[[], Structure], message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        vet(make())
    assert str(caught.value).startswith("program: ")


def attacks(mark: Path) -> dict[str, Structure]:
    """Structures that create a file when their module is built or run, if what they hold is believed."""
    call = f'open("{mark}", "w")'
    tensors = tuple(
        replace(t, name=f'x", {call}) or (self, "') if t.name == "a.bias" else t for t in S.tensors
    )
    x, weight, bias = S.operators[0].args
    reads = replace(S.operators[0], args=(x, weight, bias._replace(name=tensors[1].name)))
    passes = replace(S.operators[0], args=(x, weight), kwargs=((f"**({call} and {{}}), bias", None),))
    factory = json.dumps(
        {"default_factory_module": mark.stem, "default_factory_name": "x", "dict_context": []}
    )
    imports = f'[1, {{"type": "collections.defaultdict", "context": {factory}, "children_spec": []}}]'
    return {
        "name": replace(S, tensors=tensors, operators=(reads, *S.operators[1:]), order=()),
        "keyword": replace(S, operators=(passes, *S.operators[1:])),
        "import": called(spec(1), imports),
    }


@pytest.mark.parametrize("kind", ["name", "keyword", "import"])
@pytest.mark.parametrize("vetted", [True, False], ids=["vetted", "believed"])
def test_attacks(kind: str, vetted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / f"mark_{kind}"
    (tmp_path / f"mark_{kind}.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    structure = attacks(mark)[kind]
    malicious = NeuralGraph(structure, {t.name: torch.ones(t.shape) for t in structure.tensors})
    if vetted:
        with pytest.raises(GraphError, match="refused"):
            malicious.to_module()
        assert not mark.exists()
    else:  # the attacks are real: without the check they succeed
        monkeypatch.setattr("netgraph.graph.program.vet", lambda structure: None)
        with suppress(Exception):
            malicious.to_module()(torch.zeros(4, 2))
        assert mark.exists()
