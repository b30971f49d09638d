"""The configuration of a Hugging Face model that was cut: does it still describe the model?

A configuration is believed only after its class, built from it, has the shapes of the cut model and computes
what the cut model computes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any, TypeAlias

import torch
from torch import nn

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
Place: TypeAlias = tuple[tuple[str, ...], str]  # path of a nested configuration, name of an attribute
_SWEEPS = 4


def refresh_configuration(
    module: nn.Module, before: Shapes, same: Callable[[nn.Module], bool]
) -> bool | None:
    """Set the whole numbers in a model's configuration to what a cut made of them.

    Numbers are changed one by one, as long as the class that the configuration builds comes closer to the
    model's shapes; then those that change no shape (heads, say), until it computes the same. Where layers of
    one kind have different widths, no configuration describes the model, and it is left as it was.

    Args:
        module: a cut model; anything without a `config` that its class is built from is left alone.
        before: shapes of its `state_dict` before the cut.
        same: whether another model computes what the cut model computes.

    Returns:
        Whether the configuration describes the model; None if the model has none.
    """
    config = vars(module).get("config")
    if config is None or not hasattr(module, "save_pretrained"):
        return None
    wanted = shapes_of(module)
    if wanted == before:
        return True
    trial = copy.deepcopy(config)
    best = _distance(type(module), trial, wanted)
    for _ in range(_SWEEPS):
        found = best
        for place, options in _options(trial, before, wanted).items():
            best = _improve(type(module), trial, place, options, wanted, best)
        if best in (0, found):
            break
    if best != 0 or not _settle(module, trial, before, wanted, same):
        return False
    for path, name in _numbers(trial):
        setattr(_nested(config, path), name, getattr(_nested(trial, path), name))
    return True


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of a module's `state_dict`."""
    return {n: tuple(t.shape) for n, t in module.state_dict(keep_vars=True).items()}


def _settle(
    module: nn.Module, trial: Any, before: Shapes, wanted: Shapes, same: Callable[[nn.Module], bool]
) -> bool:
    """Try the numbers that the shapes leave open, at most two at a time."""
    silent = [
        (place, option)
        for place, options in _options(trial, before, wanted).items()
        for option in options
        if _distance(type(module), _changed(trial, [(place, option)]), wanted) == 0
    ]
    for changes in chain([()], combinations(silent, 1), combinations(silent, 2)):
        candidate = _changed(trial, changes)
        if _distance(type(module), candidate, wanted) == 0:
            with torch.random.fork_rng(devices=[]):
                built = type(module)(candidate).eval()
            built.load_state_dict(module.state_dict())
            if same(built):
                vars(trial).update(vars(candidate))
                return True
    return False


def _changed(config: Any, changes: Iterable[tuple[Place, int]]) -> Any:
    config = copy.deepcopy(config)
    for (path, name), option in changes:
        setattr(_nested(config, path), name, option)
    return config


def _improve(
    kind: type[nn.Module], trial: Any, place: Place, options: list[int], wanted: Shapes, best: int
) -> int:
    """Set one number to the option that brings the shapes closest."""
    holder, name = _nested(trial, place[0]), place[1]
    kept = getattr(holder, name)
    for option in options:
        setattr(holder, name, option)
        found = _distance(kind, trial, wanted)
        if found < best:
            best, kept = found, option
    setattr(holder, name, kept)
    return best


def _distance(kind: type[nn.Module], config: Any, wanted: Shapes) -> int:
    """How many sizes of the model that a configuration builds differ from those wanted."""
    try:
        with torch.device("meta"):
            built = shapes_of(kind(config))
    except Exception:  # sizes that the class itself refuses
        return 1 << 30
    if built.keys() != wanted.keys():
        return 1 << 30
    return sum(a != b for n in wanted for a, b in zip(built[n], wanted[n], strict=False))


def _options(config: Any, before: Shapes, wanted: Shapes) -> dict[Place, list[int]]:
    """For every number, what may have become of it: itself as a width, or its share of one (as heads are)."""
    ratios = {
        (a, b)
        for n in wanted
        for a, b in zip(before.get(n, ()), wanted[n], strict=False)
        if a != b and len(before.get(n, ())) == len(wanted[n])
    }
    out = {}
    for path, name in _numbers(config):
        value = getattr(_nested(config, path), name)
        same = [b for a, b in sorted(ratios) if a == value]
        scaled = [value * b // a for a, b in sorted(ratios) if a % value == 0 and value * b % a == 0]
        found = [v for v in dict.fromkeys(same + scaled) if v != value and v > 0]
        if found:
            out[path, name] = found
    return out


def _numbers(config: Any, path: tuple[str, ...] = ()) -> Iterator[Place]:
    for name, value in list(vars(config).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, int) and not isinstance(value, bool) and value > 1:
            yield path, name
        elif name.endswith("_config") and hasattr(value, "to_dict"):
            yield from _numbers(value, (*path, name))


def _nested(config: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        config = getattr(config, name)
    return config


__all__ = ["refresh_configuration", "shapes_of"]
