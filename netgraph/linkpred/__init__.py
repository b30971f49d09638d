"""Link prediction: common neighbours, Bellman-Ford networks, topology, evaluation without leaks."""

from netgraph.linkpred.adjacency import Adjacency, drop_edges
from netgraph.linkpred.bellman_ford import propagate
from netgraph.linkpred.comparison import Comparison, compare
from netgraph.linkpred.encoders import ENCODERS, Encoder, make_encoder, register_encoder
from netgraph.linkpred.evaluate import evaluate_net
from netgraph.linkpred.explanation import Path, explain
from netgraph.linkpred.fit import EpochRecord, FitSettings, FitState, fit_net
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.hard import hard_negatives
from netgraph.linkpred.heuristics import HEURISTICS, register_heuristic, score_pairs
from netgraph.linkpred.known import KnownTails, known_tails
from netgraph.linkpred.leaks import check_split
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.models import MODELS, register_model
from netgraph.linkpred.nbf_loss import ranking_loss
from netgraph.linkpred.nbfnet import NBFNet
from netgraph.linkpred.ncn import NCN, NCNC
from netgraph.linkpred.negatives import corrupt, uniform_negatives
from netgraph.linkpred.neighbours import Neighbours, common_neighbours, exclusive_neighbours, gather_sum
from netgraph.linkpred.net import LinkNet
from netgraph.linkpred.node_performance import Correlation, NodePerformance, correlations, node_performance
from netgraph.linkpred.predictor import LinkPredictor
from netgraph.linkpred.ranking import (
    METRICS,
    average_precision,
    evaluate_ranks,
    evaluate_scores,
    filtered_ranks,
    hits_at,
    mean_reciprocal_rank,
    ranks,
    roc_auc,
    sampled_hits,
    sampled_ranks,
)
from netgraph.linkpred.reading import as_link_graph, induced_subgraph, largest_component
from netgraph.linkpred.reweight import Reweighted, reweighted
from netgraph.linkpred.sampling import SampledLinks, neighbourhood, sampled_logits
from netgraph.linkpred.split import inductive_split, random_split, time_split
from netgraph.linkpred.stream import stream_scores
from netgraph.linkpred.topology import (
    ConcentrationShift,
    approximate_concentration,
    distribution_shift,
    local_clustering,
    subgraph_density,
    topological_concentration,
)
from netgraph.linkpred.training_pairs import TrainingPairs, without_targets
from netgraph.linkpred.triple_files import TriplesFolder, read_edge_list, read_triples, read_triples_folder
from netgraph.linkpred.triples import Triples, inverse_relations, with_inverses
from netgraph.linkpred.triples_split import folder_split, triples_split

__all__ = [
    # the face of it
    "LinkPredictor",
    "MODELS",
    "register_model",
    "compare",
    "Comparison",
    # graphs, links and splits
    "LinkGraph",
    "as_link_graph",
    "induced_subgraph",
    "largest_component",
    "Links",
    "LinkSplit",
    "random_split",
    "time_split",
    "inductive_split",
    "check_split",
    "uniform_negatives",
    "corrupt",
    "hard_negatives",
    # knowledge graphs
    "Triples",
    "TriplesFolder",
    "read_triples",
    "read_triples_folder",
    "read_edge_list",
    "triples_split",
    "folder_split",
    "with_inverses",
    "inverse_relations",
    "KnownTails",
    "known_tails",
    # measures
    "METRICS",
    "ranks",
    "filtered_ranks",
    "sampled_ranks",
    "sampled_hits",
    "hits_at",
    "mean_reciprocal_rank",
    "roc_auc",
    "average_precision",
    "evaluate_scores",
    "evaluate_ranks",
    "evaluate_net",
    # heuristics and common neighbours
    "HEURISTICS",
    "register_heuristic",
    "score_pairs",
    "Neighbours",
    "common_neighbours",
    "exclusive_neighbours",
    "gather_sum",
    # networks
    "LinkNet",
    "ENCODERS",
    "register_encoder",
    "make_encoder",
    "Encoder",
    "Adjacency",
    "drop_edges",
    "DotProduct",
    "NCN",
    "NCNC",
    "NBFNet",
    "propagate",
    "Path",
    "explain",
    "FitSettings",
    "FitState",
    "EpochRecord",
    "fit_net",
    "TrainingPairs",
    "without_targets",
    "SampledLinks",
    "sampled_logits",
    "neighbourhood",
    "stream_scores",
    "ranking_loss",
    # topology
    "topological_concentration",
    "approximate_concentration",
    "ConcentrationShift",
    "distribution_shift",
    "local_clustering",
    "subgraph_density",
    "NodePerformance",
    "node_performance",
    "Correlation",
    "correlations",
    "reweighted",
    "Reweighted",
]
