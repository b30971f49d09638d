"""Models and datasets by name: cards, hashes, the local cache and the Hugging Face Hub."""

from netgraph.hub.card import Card
from netgraph.hub.checksums import sha256, verify_checksums, write_checksums
from netgraph.hub.dataset import Dataset, Split, load_dataset
from netgraph.hub.export import export_graph
from netgraph.hub.link_data import PYG_DATASETS, LinkData, load_link_data
from netgraph.hub.listing import Listed, list_datasets, list_models
from netgraph.hub.load import load_model, load_model_graph
from netgraph.hub.nas_data import load_latency_table, load_nasbench201, load_search_trace
from netgraph.hub.resolve import model_folder
from netgraph.hub.save import save_model
from netgraph.hub.weights import load_weights, refuse_nan

__all__ = [
    "list_models",
    "load_model",
    "load_model_graph",
    "list_datasets",
    "load_dataset",
    "load_link_data",
    "LinkData",
    "PYG_DATASETS",
    "load_nasbench201",
    "load_latency_table",
    "load_search_trace",
    "load_weights",
    "export_graph",
    "save_model",
    "Card",
    "Dataset",
    "Listed",
    "Split",
    "model_folder",
    "refuse_nan",
    "sha256",
    "verify_checksums",
    "write_checksums",
]
