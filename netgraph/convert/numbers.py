"""The whole numbers that a module's `forward` reads from attributes, and what a cut makes of them.

Which attribute feeds which operator cannot be seen from outside, so nothing is guessed for good: every
attribute that holds a number of an operator (or a small multiple of one) has *options*, the likeliest first,
and surgery tries them until the module does what the cut graph does. Modules of one class choose alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any, TypeAlias

from torch import nn

from netgraph.convert.attributes import derived_attributes, refresh_layer
from netgraph.graph import Operator, Ref, Structure

Changes: TypeAlias = list[tuple[int, int]]
Choice: TypeAlias = int | None  # which change an attribute follows; None: it stays
_MOST = 48  # ways that are tried for one class of modules
_FACTORS = (2, 3, 4)


def changed_constants(before: Structure, after: Structure) -> dict[str, Changes]:
    """Per module: the numbers in the operators that a cut changes, as (old, new), in order of appearance.

    Numbers that stay stand among them: where a pad of (8, 8) becomes (7, 8), both eights count.
    """
    found: dict[str, Changes] = {}
    for old, new in zip(before.operators, after.operators, strict=True):
        if old is not new:
            found.setdefault(old.module, []).extend(_operator_pairs(old, new))
    return found


def _operator_pairs(old: Operator, new: Operator) -> Changes:
    if old.kind in {"split", "chunk"} and new.kind == "split_with_sizes":
        sizes = new.args[1]  # a split into equal parts stays one only if the parts stay equal
        return [(old.args[1], sizes[0])] if old.kind == "split" and _is_whole(old.args[1]) else []
    arguments = zip(old.args, new.args, strict=False)  # a rewritten operator may spell out its defaults
    keywords = zip((v for _, v in old.kwargs), (v for _, v in new.kwargs), strict=False)
    return [pair for a, b in (*arguments, *keywords) for pair in _pairs(a, b)]


def _pairs(old: Any, new: Any) -> Changes:
    if isinstance(old, Ref):
        return []
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        return [pair for a, b in zip(old, new, strict=True) for pair in _pairs(a, b)]
    return [(old, new)] if _is_whole(old) and _is_whole(new) else []


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(eq=False)
class Kind:
    """Modules of one class that compute with the same numbers of operators: they choose alike.

    Attributes:
        names: the attributes in question.
        ways: assignments of a choice to every attribute, the likeliest first.
        members: `(module or configuration, attributes as they were, changes)` of each.
        at: the way that is tried now.
    """

    names: tuple[str, ...]
    ways: list[tuple[Choice, ...]]
    members: list[tuple[Any, dict[str, Any], Changes]] = field(default_factory=list)
    at: int = 0

    def apply(self) -> None:
        """Set the attributes of all members as the present way says."""
        for owner, originals, changes in self.members:
            for name, choice in zip(self.names, self.ways[self.at], strict=True):
                vars(owner)[name] = _follow(originals[name], choice, changes)
            if isinstance(owner, nn.Module):
                refresh_layer(owner)

    def advance(self) -> bool:
        """Go on to the next way; False, and back at the first, if there is none."""
        self.at = (self.at + 1) % len(self.ways)
        self.apply()
        return self.at != 0


class Numbers:
    """The choices of a whole module, by path of the submodules that they concern."""

    def __init__(self, module: nn.Module, changes: Mapping[str, Changes]) -> None:
        self.kinds: dict[object, Kind] = {}
        self.of_path: dict[str, list[Kind]] = {}
        modules = dict(module.named_modules(remove_duplicate=False))
        for path, found in changes.items():
            if path in modules and any(old != new for old, new in found):
                self._add(path, modules[path], found)
        self._add_configurations(modules, changes)
        for kind in self.kinds.values():
            kind.apply()

    def _add(self, path: str, owner: Any, changes: Changes) -> None:
        attributes = vars(owner)
        known = derived_attributes(owner) if isinstance(owner, nn.Module) else frozenset()
        options = {
            n: found
            for n, v in attributes.items()
            if not n.startswith("_") and n not in known and len(found := _options(v, changes)) > 1
        }
        if not options:
            return
        if not isinstance(owner, nn.Module):  # few forwards read the configuration
            options = {n: [None, *(c for c in found if c is not None)] for n, found in options.items()}
        key = (type(owner), tuple(options), tuple(map(tuple, options.values())))
        if key not in self.kinds:
            self.kinds[key] = Kind(tuple(options), _ways(attributes, options, changes))
        kind = self.kinds[key]
        kind.members.append((owner, {n: attributes[n] for n in options}, changes))
        self.of_path.setdefault(path, []).append(kind)

    def _add_configurations(self, modules: Mapping[str, nn.Module], changes: Mapping[str, Changes]) -> None:
        """A configuration object that several modules share is one more holder of numbers."""
        shared: dict[int, tuple[Any, list[str]]] = {}
        for path, module in modules.items():
            config = vars(module).get("config")
            if config is not None and hasattr(config, "__dict__"):
                shared.setdefault(id(config), (config, []))[1].append(path)
        for config, paths in shared.values():
            found = [pair for path in paths for pair in changes.get(path, [])]
            if any(old != new for old, new in found):
                for path in paths:
                    if path in changes:
                        self._add(path, config, list(dict.fromkeys(found)))

    def alternatives(self, path: str) -> list[Kind]:
        """Kinds with more than one way that concern a module or those around it, the nearest first."""
        parts = path.split(".") if path else []
        around = [".".join(parts[:i]) for i in range(len(parts), -1, -1)]
        return [k for p in around for k in self.of_path.get(p, []) if len(k.ways) > 1]


def _options(value: Any, changes: Changes) -> list[Choice]:
    """What may become of an attribute: changes that it may follow, by index, and staying as it is."""
    if isinstance(value, (tuple, list)):
        if not value or not all(_is_whole(v) for v in value):
            return [None]
        hits = [i for i, (old, new) in enumerate(changes) if old in value and old != new]
        return _distinct(hits[:1], changes) + [None]
    if not _is_whole(value) or value == 0:
        return [None]
    same = [i for i, (old, new) in enumerate(changes) if old == value and old != new]
    if same:
        return _distinct(same, changes) + [None]
    scaled = [
        i
        for i, (old, new) in enumerate(changes)
        if old != new and old > 1 and value > 1 and _related(value, old) and value * new % old == 0
    ]
    return [None, *_distinct(scaled, changes)]


def _related(a: int, b: int) -> bool:
    low, high = min(a, b), max(a, b)
    return high % low == 0 and high // low in _FACTORS


def _distinct(hits: list[int], changes: Changes) -> list[Choice]:
    """One of those that change alike."""
    seen: dict[tuple[int, int], int] = {}
    for i in hits:
        seen.setdefault(changes[i], i)
    return list(seen.values())


def _follow(value: Any, choice: Choice, changes: Changes) -> Any:
    if choice is None:
        return value
    old, new = changes[choice]
    if isinstance(value, (tuple, list)):
        wanted = dict(pair for pair in reversed(changes) if pair[0] != pair[1])
        return type(value)([wanted.get(v, v) for v in value])
    return value * new // old


def _ways(
    attributes: Mapping[str, Any], options: Mapping[str, list[Choice]], changes: Changes
) -> list[tuple[Choice, ...]]:
    """Assignments, the likeliest first. Where as many attributes as operators hold one number, they take what
    becomes of it in order of definition."""
    first = []
    for name, found in options.items():
        value = attributes[name]
        places = [i for i, (old, _) in enumerate(changes) if old == value]
        alike = [n for n in options if attributes[n] == value]
        inordered = found[0] is not None and _is_whole(value) and len(places) == len(alike) > 1
        first.append(places[alike.index(name)] if inordered else found[0])
    ways: dict[tuple[Choice, ...], None] = {tuple(first): None}
    for way in islice(_by_deviation(list(options.values())), _MOST):
        ways[way] = None
    return list(ways)


def _by_deviation(options: list[list[Choice]]) -> Iterator[tuple[Choice, ...]]:
    """All assignments, those first that take the first option of most attributes."""
    ranks = sorted(
        islice(product(*(range(len(o)) for o in options)), 4096),
        key=lambda way: (sum(map(bool, way)), sum(way)),
    )
    for way in ranks:
        yield tuple(o[i] for o, i in zip(options, way, strict=True))


__all__ = ["Numbers", "changed_constants"]
