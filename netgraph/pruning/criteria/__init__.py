"""Criteria: functions `graph -> {group: score per node}`, higher meaning more important."""

from netgraph.pruning.criteria.bn_scale import bn_scale
from netgraph.pruning.criteria.fpgm import fpgm
from netgraph.pruning.criteria.magnitude import l1, l2, magnitude
from netgraph.pruning.criteria.node_sums import NodeSlice, node_slices, node_sums
from netgraph.pruning.criteria.normalize import Normalize, normalize_scores
from netgraph.pruning.criteria.random_scores import random_scores
from netgraph.pruning.criteria.registry import (
    CRITERIA,
    Criterion,
    Loss,
    Scores,
    criterion,
    resolve_criterion,
)
from netgraph.pruning.criteria.taylor import taylor

__all__ = [
    "CRITERIA",
    "Criterion",
    "Loss",
    "NodeSlice",
    "Normalize",
    "Scores",
    "bn_scale",
    "criterion",
    "fpgm",
    "l1",
    "l2",
    "magnitude",
    "node_slices",
    "node_sums",
    "normalize_scores",
    "random_scores",
    "resolve_criterion",
    "taylor",
]
