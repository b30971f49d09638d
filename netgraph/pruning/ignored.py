"""Which groups a user wants left whole."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from netgraph.errors import UsageError
from netgraph.graph import Structure, TensorSpec, branches

__all__ = ["ignored_branches", "ignored_groups"]


def ignored_groups(structure: Structure, patterns: Iterable[str]) -> frozenset[str]:
    """The hidden groups that patterns name.

    A pattern is the name of a group, of a module (with all inside it) or of a tensor, or a shell glob over
    one of these (`*`, `?`, `[...]`). A module or tensor stands for the groups that it *makes*: the output
    channels of a convolution or linear layer, the channels that a norm scales. Its input channels may go.

    Raises:
        UsageError: one string instead of several, or a pattern that matches nothing.

    >>> import torch
    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    >>> structure = to_graph(net, torch.zeros(1, 2)).structure
    >>> sorted(ignored_groups(structure, ["0"])), sorted(ignored_groups(structure, ["[01].weight"]))
    (['0'], ['0', '1'])
    """
    if isinstance(patterns, str):
        raise UsageError(f"ignore: expected a sequence of patterns, got one string; pass [{patterns!r}]")
    found: set[str] = set()
    for pattern in patterns:
        named = {g.name for g in structure.groups if g.name == pattern or fnmatchcase(g.name, pattern)}
        made = {n for t in structure.tensors if _matches(t.name, pattern) for n in _made(structure, t)}
        if not named | made and not any(_matches(t.name, pattern) for t in structure.tensors):
            names = {g.name for g in structure.groups} | {
                p for t in structure.tensors for p in _parents(t.name)
            }
            close = difflib.get_close_matches(pattern, sorted(names), n=3, cutoff=0.3) or sorted(names)[:3]
            raise UsageError(
                f"ignore: expected the name of a group, module or tensor or a glob over them, "
                f"got {pattern!r}, which matches nothing; close names are {', '.join(close)}"
            )
        found |= named | made
    return frozenset(g.name for g in structure.groups if g.role == "hidden" and g.name in found)


def ignored_branches(structure: Structure, patterns: Iterable[str]) -> frozenset[str]:
    """The residual branches that patterns keep: one that is named, or whose groups or tensors are.

    Patterns are those of `ignored_groups`.

    >>> import torch
    >>> from netgraph.convert import to_graph
    >>> from netgraph.zoo import CifarResNet
    >>> structure = to_graph(CifarResNet(2, widths=(2, 4, 6)), torch.zeros(1, 3, 8, 8)).structure
    >>> sorted(ignored_branches(structure, ["layer1", "layer2.1.conv?"]))
    ['layer1.0', 'layer1.1', 'layer2.1']
    """
    patterns = tuple(patterns)
    groups = ignored_groups(structure, patterns)
    return frozenset(
        b.name
        for b in branches(structure)
        if not groups.isdisjoint(b.groups)
        or any(fnmatchcase(b.name, p) or any(_matches(t, p) for t in b.tensors) for p in patterns)
    )


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts) + 1)]


def _matches(name: str, pattern: str) -> bool:
    return any(p == pattern or fnmatchcase(p, pattern) for p in _parents(name))


def _made(structure: Structure, spec: TensorSpec) -> set[str]:
    dim = spec.out_axis
    if dim is None:
        return set()
    return {structure.groups[i].name for i in structure.axis_of(spec, dim).group_ids}
