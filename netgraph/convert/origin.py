"""What a foreign graph object carries along to become a neural graph again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from netgraph.graph import Structure


@final
@dataclass(frozen=True, eq=False)
class Origin:
    """The structure and the tensors that are no numbers of nodes or edges, out of reach of the host library.

    PyG concatenates the tensors of a batch, and shifts those whose name holds "index" or "batch"; an object
    that it does not know it leaves alone, but for calling `clone` and `to`.

    Attributes:
        structure: of the graph.
        verbatim: see `netgraph.convert.flat.FlatGraph.verbatim`.

    >>> from netgraph.graph import Structure
    >>> Origin(Structure((), (), ()), {}).clone()
    Origin(groups=0, verbatim=0)
    """

    structure: Structure
    verbatim: Mapping[str, Tensor]

    def clone(self) -> Origin:
        """The same with tensors of its own."""
        return Origin(self.structure, {n: t.clone() for n, t in self.verbatim.items()})

    def to(self, device: torch.device | str | int | None = None, **options: Any) -> Origin:
        """The same on another device; dtypes stay."""
        return Origin(self.structure, {n: t.to(device=device, **options) for n, t in self.verbatim.items()})

    def __repr__(self) -> str:
        return f"Origin(groups={len(self.structure.groups)}, verbatim={len(self.verbatim)})"


__all__ = ["Origin"]
