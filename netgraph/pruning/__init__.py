"""Criteria, budgets, `prune`, and the training of a metanetwork that prunes."""

from netgraph.pruning.batches import Batches, shuffled_batches
from netgraph.pruning.budget import Budget
from netgraph.pruning.criteria import (
    CRITERIA,
    Criterion,
    Loss,
    Scores,
    bn_scale,
    criterion,
    fpgm,
    l1,
    l2,
    magnitude,
    normalize_scores,
    random_scores,
    resolve_criterion,
    taylor,
)
from netgraph.pruning.decide import MetaPruner
from netgraph.pruning.fit import fit_mask
from netgraph.pruning.gates import budget_gates, gate, score_gates
from netgraph.pruning.ignored import ignored_branches, ignored_groups
from netgraph.pruning.latency import compare_latency, measure_latency
from netgraph.pruning.layers import LayerScores, layer_scores
from netgraph.pruning.meta_config import MetaTrainConfig
from netgraph.pruning.meta_data import DataModel
from netgraph.pruning.meta_read import read_network
from netgraph.pruning.meta_result import EpochRecord, MetaTrainResult
from netgraph.pruning.meta_train import meta_train
from netgraph.pruning.progress import Progress
from netgraph.pruning.prune import Rewriter, ScoringRewriter, prune
from netgraph.pruning.ranking import RANKINGS, Ranking, rank
from netgraph.pruning.report import PruneReport
from netgraph.pruning.result import PruneResult
from netgraph.pruning.schedule import geometric_schedule
from netgraph.pruning.soft_cost import soft_macs
from netgraph.pruning.sparsity import shrinkage, sparsity_penalty
from netgraph.pruning.statistics import refresh_statistics
from netgraph.pruning.validation import Validation, validate
from netgraph.pruning.width import smallest_width

__all__ = [
    "CRITERIA",
    "RANKINGS",
    "Batches",
    "Budget",
    "Criterion",
    "DataModel",
    "EpochRecord",
    "LayerScores",
    "Loss",
    "MetaPruner",
    "MetaTrainConfig",
    "MetaTrainResult",
    "Progress",
    "PruneReport",
    "PruneResult",
    "Ranking",
    "Rewriter",
    "Scores",
    "ScoringRewriter",
    "Validation",
    "bn_scale",
    "budget_gates",
    "compare_latency",
    "criterion",
    "fit_mask",
    "fpgm",
    "gate",
    "geometric_schedule",
    "ignored_branches",
    "ignored_groups",
    "l1",
    "l2",
    "layer_scores",
    "magnitude",
    "measure_latency",
    "meta_train",
    "normalize_scores",
    "prune",
    "random_scores",
    "rank",
    "read_network",
    "refresh_statistics",
    "resolve_criterion",
    "score_gates",
    "shrinkage",
    "shuffled_batches",
    "smallest_width",
    "soft_macs",
    "sparsity_penalty",
    "taylor",
    "validate",
]
