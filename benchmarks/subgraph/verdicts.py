"""What each exact test tells apart: published pairs, small graphs, BREC, CSL, EXP, CEXP and SR25.

A table is a dict of numbers by test name; `run` makes them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks._record import say
from benchmarks.subgraph.data import Graph, Pair, brec, cexp, csl, exp, small_graphs, sr25, swl_pairs
from netgraph.subgraph.refinement import TESTS, color_counts, distinguishes

WEAKER: Final = (
    ("1-WL", "SWL(VS)"),
    ("SWL(VS)", "SWL(SV)"),
    ("SWL(VS)", "PSWL(VS)"),
    ("SWL(SV)", "PSWL(SV)"),
    ("PSWL(VS)", "PSWL(SV)"),
    ("PSWL(SV)", "GSWL"),
    ("PSWL(VS)", "LFWL(2)"),
    ("GSWL", "SSWL"),
    ("SSWL", "SLFWL(2)"),
    ("LFWL(2)", "SLFWL(2)"),
    ("SLFWL(2)", "FWL(2)"),
)
"""The order, weaker test first: what it separates, the other does as well (arXiv 2302.07090).

The step from PSWL(VS) to LFWL(2) is an observation: no pair that is measured here goes against it.
"""


def run(data: Path, quick: bool) -> dict[str, Any]:
    """All tables; a quick run takes graphs of up to 6 nodes, and six pairs of each larger set."""
    limit = 6 if quick else None
    return {
        **published_pairs(data),
        "small_graphs": {n: small(data, n) for n in range(2, 7 if quick else 8)},
        "brec": {name: separated(pairs[:limit], f"BREC {name}") for name, pairs in brec(data).items()},
        "csl": csl_classes(data),
        "exp": separated(exp(data)[:limit], "EXP"),
        "cexp": separated(cexp(data)[:limit], "CEXP"),
        "sr25": sr25_pairs(data),
    }


def published_pairs(data: Path) -> dict[str, Any]:
    """The pairs with known verdicts: how many there are, on how many all tests agree, and the verdicts."""
    found = {}
    right = 0
    for name, (g, h, expected) in swl_pairs(data).items():
        say(f"pair {name}")
        verdicts = {test: distinguishes(test, g, h) for test in TESTS}
        right += {test for test, apart in verdicts.items() if apart} == expected
        found[name] = verdicts
    broken = sum(_broken(verdicts) for verdicts in found.values())
    return {"pairs": len(found), "pairs_right": right, "pairs_against_order": broken, "pair_verdicts": found}


def small(data: Path, n: int) -> dict[str, Any]:
    """Connected graphs with `n` nodes: the pairs that each test leaves together or that break the order."""
    graphs = small_graphs(data, n)
    prints = fingerprints(graphs, f"all connected graphs with {n} nodes")
    broken = sum(alike(prints[strong]) - alike(_both(prints, weak, strong)) for weak, strong in WEAKER)
    return {
        "pairs": len(graphs) * (len(graphs) - 1) // 2,
        "together": {test: alike(found) for test, found in prints.items()},
        "against_order": broken,
    }


def separated(pairs: Sequence[Pair], name: str) -> dict[str, Any]:
    """How many of some pairs each test separates, and how many verdicts go against the order."""
    found = dict.fromkeys(TESTS, 0)
    broken = 0
    for i, (g, h) in enumerate(pairs):
        if i % 20 == 0:
            say(f"{name}: pair {i} of {len(pairs)}")
        verdicts = {test: distinguishes(test, g, h) for test in TESTS}
        broken += _broken(verdicts)
        for test, apart in verdicts.items():
            found[test] += apart
    return {"pairs": len(pairs), "separated": found, "against_order": broken}


def csl_classes(data: Path) -> dict[str, Any]:
    """CSL: into how many classes each test sorts the 150 graphs of ten classes."""
    graphs, labels = csl(data)
    prints = fingerprints(graphs, "CSL")
    told = {test: len(set(found)) for test, found in prints.items()}
    return {"classes": len(set(labels)), "told_apart": told}


def sr25_pairs(data: Path) -> dict[str, Any]:
    """SR25: how many pairs of the 15 graphs each test separates."""
    graphs = sr25(data)
    pairs = len(graphs) * (len(graphs) - 1) // 2
    prints = fingerprints(graphs, "SR25")
    return {"pairs": pairs, "separated": {test: pairs - alike(found) for test, found in prints.items()}}


def fingerprints(graphs: Sequence[Graph], name: str) -> dict[str, list[Hashable]]:
    """What each test makes of each graph: equal for two graphs if and only if it leaves them together."""
    found: dict[str, list[Hashable]] = {}
    for test in TESTS:
        say(f"{name}: {test}")
        found[test] = [frozenset(counts.items()) for counts in color_counts(test, *graphs)]
    return found


def alike(prints: Sequence[Hashable]) -> int:
    """Number of pairs with equal fingerprints."""
    return sum(count * (count - 1) // 2 for count in Counter(prints).values())


def _both(prints: dict[str, list[Hashable]], weak: str, strong: str) -> list[Hashable]:
    return list(zip(prints[weak], prints[strong], strict=True))


def _broken(verdicts: dict[str, bool]) -> int:
    return sum(verdicts[weak] and not verdicts[strong] for weak, strong in WEAKER)
