"""The rules of each test: what a pair of nodes starts from, what it sees, how a graph is summed up."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, final

from netgraph.errors import UsageError

Aggregation: TypeAlias = Literal[
    "local_u", "local_v", "point_vv", "global_v", "product_v", "product_uv", "product"
]


@final
@dataclass(frozen=True)
class RefinementTest:
    """The rules of a test on pairs (u, v): node v in the copy of the graph that is marked at u.

    Attributes:
        start: `"node"`, the label of v, in a single copy without a mark; `"marked"`, the label of v and
            whether u = v; `"pair"`, both labels, whether u = v, and the label of the edge between, if any.
        sees: what a pair sees besides its own colour, see `TESTS`.
        pooling: `"VS"`, the colour of u is the multiset over v; `"SV"`, the colour of v is the multiset over
            u; `"ALL"`, every pair counts for itself.
    """

    start: Literal["node", "marked", "pair"]
    sees: tuple[Aggregation, ...]
    pooling: Literal["VS", "SV", "ALL"]


TESTS: Final[Mapping[str, RefinementTest]] = MappingProxyType(
    {
        "1-WL": RefinementTest("node", ("local_u",), "ALL"),
        "SWL(VS)": RefinementTest("marked", ("local_u",), "VS"),
        "SWL(SV)": RefinementTest("marked", ("local_u",), "SV"),
        "PSWL(VS)": RefinementTest("marked", ("local_u", "point_vv"), "VS"),
        "PSWL(SV)": RefinementTest("marked", ("local_u", "point_vv"), "SV"),
        "GSWL": RefinementTest("marked", ("local_u", "global_v"), "VS"),
        "SSWL": RefinementTest("marked", ("local_u", "local_v"), "VS"),
        "LFWL(2)": RefinementTest("pair", ("product_v",), "ALL"),
        "SLFWL(2)": RefinementTest("pair", ("product_uv",), "ALL"),
        "FWL(2)": RefinementTest("pair", ("product",), "ALL"),
    }
)
"""The tests by name, none before a weaker one.

Let c(u, v) be the colour of a pair, N(v) the neighbours of v, and N[v] these with v itself. A pair sees

| aggregation | multiset |
|---|---|
| `local_u` | c(u, w) with the label of the edge (w, v), over w in N(v) |
| `local_v` | c(w, v) with the label of the edge (u, w), over w in N(u) |
| `point_vv` | c(v, v) |
| `global_v` | c(w, v) over all w |
| `product` | (c(u, w), c(w, v)) over all w |
| `product_v` | the same over w in N[v] |
| `product_uv` | the same over w in N[u] or N[v] |

Either pooling gives the same verdicts for GSWL and for SSWL. Proven: SWL(VS) < SWL(SV) < PSWL(SV) and
SWL(VS) < PSWL(VS) < PSWL(SV) < GSWL < SSWL < SLFWL(2) < FWL(2); SWL(SV) and PSWL(VS) are incomparable
(Zhang et al., "A Complete Expressiveness Hierarchy for Subgraph GNNs via Subgraph Weisfeiler-Lehman Tests",
ICML 2023, arXiv 2302.07090). LFWL(2) lies below SLFWL(2) beside that chain: it separates a pair that SSWL
does not, and SWL(SV) separates one that LFWL(2) does not.
"""


def find_test(name: str) -> RefinementTest:
    """The rules of a test.

    Raises:
        UsageError: there is no test of that name.

    >>> find_test("SWL(VS)").sees
    ('local_u',)
    >>> find_test("SWL")
    Traceback (most recent call last):
    netgraph.errors.UsageError: refinement: expected one of 1-WL, SWL(VS), SWL(SV), PSWL(VS), PSWL(SV), \
GSWL, SSWL, LFWL(2), SLFWL(2), FWL(2), got 'SWL'; did you mean 'SSWL'?
    """
    if name not in TESTS:
        close = difflib.get_close_matches(str(name), TESTS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "choose one of these"
        raise UsageError(f"refinement: expected one of {', '.join(TESTS)}, got {name!r}; {hint}")
    return TESTS[name]
