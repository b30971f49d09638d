"""The named subgraph networks, as configurations of one layer."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from netgraph.errors import UsageError

__all__ = ["MODELS", "Preset", "preset"]


@final
@dataclass(frozen=True)
class Preset:
    """A subgraph network in a few words.

    Attributes:
        aggregations: of each layer, names of `AGGREGATIONS`.
        pooling: `"VS"`, `"SV"` or `"root"`.
        policy, hops: of its `SubgraphTransform`.
        test: the exact test that separates as much as these networks can on connected graphs, given copies
            that hold the whole graph.
    """

    aggregations: tuple[str, ...]
    pooling: str
    test: str
    policy: str = "distance"
    hops: int | None = None


MODELS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "SWL(VS)": Preset(("local_u",), "VS", "SWL(VS)"),
        "SWL(SV)": Preset(("local_u",), "SV", "SWL(SV)"),
        "PSWL(VS)": Preset(("local_u", "point_vv"), "VS", "PSWL(VS)"),
        "PSWL(SV)": Preset(("local_u", "point_vv"), "SV", "PSWL(SV)"),
        "GSWL": Preset(("local_u", "global_v"), "VS", "GSWL"),
        "SSWL": Preset(("local_u", "local_v"), "VS", "SSWL"),
        "SSWL+": Preset(("local_u", "local_v", "point_vv"), "VS", "SSWL"),
        "NGNN": Preset(("local_u",), "VS", "SWL(VS)", hops=3),
        "ID-GNN": Preset(("local_u",), "root", "SWL(VS)", "marking", hops=3),
        "DS-GNN": Preset(("local_u",), "VS", "SWL(VS)", "marking"),
        "GNN-AK": Preset(("local_u", "point_vv", "global_u"), "VS", "PSWL(VS)", hops=3),
        "DSS-GNN": Preset(("local_u", "global_v", "local_global_v"), "VS", "GSWL", "marking"),
        "SUN": Preset(
            ("local_u", "point_uu", "point_vv", "global_u", "global_v", "local_global_v"),
            "VS",
            "GSWL",
            "marking",
        ),
    }
)
"""By name. The classes of Zhang et al. (ICML 2023) are the first seven; PPGN is a class of its own.

The others are what their papers become if one writes them as this layer: the same aggregations and pooling,
so the same expressive power on whole copies, but not the same numbers. What the originals have besides:

- **NGNN** (Zhang and Li, 2021): a network of its own on the node states after pooling the copies.
- **ID-GNN** (You et al., 2021): other weights for messages from the marked node, instead of a mark in its
  state.
- **DS-GNN**, **DSS-GNN** (Bevilacqua et al., 2022): means over the copies in place of sums, policies that
  delete edges, and drawing a part of the copies at random. DSS-GNN puts the own state of the summed copies
  and of their neighbours into one MLP; here it is two.
- **GNN-AK** (Zhao et al., 2022): several rounds inside the copies before pairs exchange anything, copies that
  are made anew after that, and gates that depend on the distance. Its context encoding adds `global_v`.
- **SUN** (Frasca et al., 2022): other weights for pairs (u, u) than for pairs of two nodes.
"""


def preset(name: str) -> Preset:
    """The preset of that name; "SWL" and "PSWL" alone mean the pooling SV.

    Raises:
        UsageError: an unknown name.

    >>> preset("PSWL").pooling
    'SV'
    """
    full = f"{name}(SV)" if name in ("SWL", "PSWL") else name
    if full not in MODELS:
        close = difflib.get_close_matches(str(name), MODELS, n=1)
        meant = f"did you mean {close[0]!r}?" if close else "choose one of these"
        raise UsageError(f"SubgraphNet: expected a model of {', '.join(MODELS)}, got {name!r}; {meant}")
    return MODELS[full]
