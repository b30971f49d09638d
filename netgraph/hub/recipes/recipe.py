"""A recipe: the TOML file that says how a shipped model is made."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import torch
from torch import nn

from netgraph import zoo
from netgraph.errors import NetgraphError, UsageError
from netgraph.hub.card import Card

__all__ = ["Recipe", "read_recipe", "recipe_names", "shipped_recipe"]

_T = TypeVar("_T")

_SHIPPED: Final = Path(__file__).parents[2] / "recipes"
_COMMON: Final = {"kind", "name", "command", "dataset", "seed", "card"}
_TABLES: Final[dict[str, set[str]]] = {
    "network": {"network", "training"},
    "metanetwork": {"metanetwork", "data_models", "meta_training", "validation", "device"},
}


@dataclass(frozen=True)
class Recipe:
    """What a recipe file says.

    Attributes:
        kind: what it makes.
        name: of the model.
        command: that makes it.
        dataset: name of the dataset that it trains on.
        seed: of the initial weights.
        tables: all of the file, by key.
        text: the file itself, which is shipped beside the model.
    """

    kind: Literal["network", "metanetwork"]
    name: str
    command: str
    dataset: str
    seed: int
    tables: Mapping[str, Any]
    text: str

    def settings(self, table: str, make: Callable[..., _T], *, without: tuple[str, ...] = ()) -> _T:
        """Call `make` with the entries of a table (`a.b` is one inside another).

        Raises:
            UsageError: naming the table, where an entry is unknown or makes no sense.
        """
        found: Any = self.tables
        for part in table.split("."):
            found = found.get(part, {}) if isinstance(found, dict) else {}
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items() if k not in without}
        try:
            return make(**given)
        except (TypeError, ValueError, NetgraphError) as error:
            raise UsageError(
                f"recipe {self.name!r}: table [{table}] makes no sense ({error}); correct it"
            ) from None

    def several(self, table: str, make: Callable[..., _T]) -> list[_T]:
        """What `settings` gives, for each table of an array `[[table]]`, or for the one table `[table]`.

        Raises:
            UsageError: as for `settings`.
        """
        found = self.tables.get(table, [])
        parts = [found] if isinstance(found, dict) else found
        return [replace(self, tables={table: part}).settings(table, make) for part in parts]

    @property
    def datasets(self) -> tuple[str, ...]:
        """The dataset, and those that single tables of data models name besides."""
        tables = self.tables.get("data_models", [])
        named = [t.get("dataset", self.dataset) for t in ([tables] if isinstance(tables, dict) else tables)]
        return tuple(dict.fromkeys([self.dataset, *named]))

    def build(self, architecture: str, arguments: Mapping[str, Any], seed: int) -> nn.Module:
        """A network of `netgraph.zoo`, with the initial weights of a seed.

        Raises:
            UsageError: there is no such architecture, or it does not take these arguments.
        """
        if architecture not in zoo.__all__:
            raise UsageError(
                f"recipe {self.name!r}: expected an architecture of netgraph.zoo {list(zoo.__all__)}, "
                f"got {architecture!r}; choose one"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                made = getattr(zoo, architecture)(**arguments)
            except (TypeError, ValueError, NetgraphError) as error:
                raise UsageError(
                    f"recipe {self.name!r}: {architecture} does not take {dict(arguments)} ({error}); "
                    "correct them"
                ) from None
        assert isinstance(made, nn.Module)
        return made

    def card(self, results: Mapping[str, str]) -> Card:
        """The card, out of the recipe's table `[card]` and figures that were just measured."""

        def make(**given: Any) -> Card:
            return Card(self.name, results=results, datasets=self.datasets, **given)

        return self.settings("card", make)


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with the library.

    >>> recipe_names()
    ('full', 'small', 'tiny')
    """
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))


def shipped_recipe(name: str | Path) -> Path | None:
    """The file of a recipe that comes with the library; None for all else, and where `name` is a file."""
    found = _SHIPPED / f"{name}.toml"
    return found if str(name) in recipe_names() and not Path(name).is_file() else None


def _is_array(item: object) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(part, dict) for part in item)


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe.

    Args:
        path: a file, or the name of one that comes with the library: `recipe_names()`.

    Raises:
        UsageError: the file is missing, is no TOML, or has a key that is missing, unknown or of another type.

    >>> read_recipe("no")
    Traceback (most recent call last):
    ...
    netgraph.errors.UsageError: recipe 'no': cannot read 'no' (No such file or directory); check the path
    """
    file = shipped_recipe(path) or Path(path)
    what = f"recipe {file.name!r}"
    try:
        text = file.read_text("utf-8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(f"{what}: cannot read {str(path)!r} ({reason}); check the path") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{what}: expected TOML, got something else ({error}); correct it") from None
    if (kind := tables.get("kind")) not in _TABLES:
        raise UsageError(f"{what}: expected kind 'network' or 'metanetwork', got {kind!r}; correct it")
    for key in ("name", "command", "dataset"):
        if not isinstance(tables.get(key), str) or not tables[key].strip():
            raise UsageError(f"{what}: expected {key!r} to be a text, got {tables.get(key)!r}; add it")
    if not isinstance(seed := tables.get("seed", 0), int) or isinstance(seed, bool):
        raise UsageError(f"{what}: expected 'seed' to be a whole number, got {seed!r}; correct it")
    known = _COMMON | _TABLES[kind]
    if unknown := sorted(set(tables) - known):
        raise UsageError(f"{what}: expected keys among {sorted(known)}, got {unknown}; remove them")
    for key in ("card", *_TABLES[kind]):
        several = key == "data_models" and _is_array(tables.get(key))
        if key != "device" and key in tables and not isinstance(tables[key], dict) and not several:
            raise UsageError(f"{what}: expected {key!r} to be a table, got {tables[key]!r}; write [{key}]")
    required = (
        {"card", "network", "training"} if kind == "network" else {"card", "metanetwork", "data_models"}
    )
    if missing := sorted(required - set(tables)):
        raise UsageError(f"{what}: expected tables {sorted(required)}, {missing} are missing; add them")
    plain = {
        f.name: tables[f.name] for f in fields(Recipe) if f.name in {"kind", "name", "command", "dataset"}
    }
    return Recipe(**plain, seed=seed, tables=tables, text=text)
