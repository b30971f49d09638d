"""Graphs to predict links of: text files, GraphML, folders of triples, and datasets of PyTorch Geometric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

from netgraph.errors import HubError, InterchangeError, UsageError
from netgraph.linkpred import (
    LinkGraph,
    LinkSplit,
    Triples,
    TriplesFolder,
    as_link_graph,
    folder_split,
    random_split,
    read_edge_list,
    read_triples,
    read_triples_folder,
    with_inverses,
)

__all__ = ["PYG_DATASETS", "LinkData", "load_link_data"]

PYG_DATASETS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        **{name: ("Planetoid", name) for name in ("Cora", "CiteSeer", "PubMed")},
        **{name: ("Amazon", name) for name in ("Photo", "Computers")},
        **{name: ("Coauthor", name) for name in ("CS", "Physics")},
    }
)
"""Datasets of PyTorch Geometric by name: the class, and the name that it takes."""


@final
@dataclass(frozen=True, eq=False)
class LinkData:
    """A graph whose links are to be predicted, with the names of what is in it.

    Attributes:
        data: the graph, triples, or triples that are divided already.
        nodes, relations: names, or None.
    """

    data: LinkGraph | Triples | TriplesFolder
    nodes: tuple[str, ...] | None = None
    relations: tuple[str, ...] | None = None

    @property
    def divided(self) -> bool:
        """Whether the data says which links are for training, validation and test."""
        return isinstance(self.data, TriplesFolder)

    def split(self, valid: float = 0.1, test: float = 0.2, *, seed: int = 0) -> LinkSplit:
        """The links for training, validation and test; those of a folder are as its files say.

        Raises:
            UsageError: shares that make no sense.
            GraphError: too few links.
        """
        if isinstance(self.data, TriplesFolder):
            return folder_split(self.data, inverses="keep")
        graph = self.data.graph if isinstance(self.data, Triples) else self.data
        return random_split(graph, valid, test, seed=seed)

    @property
    def graph(self) -> LinkGraph:
        """All that is known: the graph, or that of all triples with inverse relations."""
        if isinstance(self.data, LinkGraph):
            return self.data
        return with_inverses(self.data.train if isinstance(self.data, TriplesFolder) else self.data)


def load_link_data(
    source: str | PathLike[str], *, root: str | PathLike[str] | None = None, directed: bool | None = None
) -> LinkData:
    """Read a graph whose links are to be predicted.

    Args:
        source: a text file whose lines are two nodes (an edge list) or head, relation and tail (triples); a
            folder with files `train`, `valid` and `test` of triples; a `.graphml` file; or a name of
            `PYG_DATASETS`.
        root: folder of the dataset, which PyTorch Geometric downloads if it is not there.
        directed: whether edges of an edge list or a GraphML file have a direction; None for what the file
            says, and for an edge list no.

    Raises:
        UsageError: nothing is there, or an option that does not belong to it.
        InterchangeError: a file that is none of these, or is damaged.
        HubError: a dataset that is not to be had.
    """
    path, name = Path(source), str(source)
    if name in PYG_DATASETS and not path.is_file():
        return LinkData(_dataset(name, root))
    if root is not None:
        raise UsageError(
            f"link data: expected root only for a dataset ({', '.join(PYG_DATASETS)}), got {name!r}; "
            "leave it out"
        )
    if path.is_dir():
        folder = read_triples_folder(path, unseen="keep")
        return LinkData(folder, folder.train.entities, folder.train.relations)
    if not path.is_file():
        raise UsageError(
            f"link data: expected a file, a folder of triples or one of {', '.join(PYG_DATASETS)}, got "
            f"{name!r}; check the path"
        )
    if path.suffix == ".graphml":
        return _graphml(path, directed)
    if _columns(path) == 3:
        triples = read_triples(path)
        return LinkData(triples, triples.entities, triples.relations)
    pairs, nodes = read_edge_list(path)
    return LinkData(LinkGraph.from_edges(pairs, len(nodes), undirected=not directed), nodes)


def _columns(path: Path) -> int:
    """How many names the first line has that is no comment; 2 where there is none."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            for line in file:
                if line.strip() and not line.startswith(("#", "%")):
                    between = next((mark for mark in ("\t", ",") if mark in line), None)
                    return len(line.split(between))
    except UnicodeDecodeError:
        raise InterchangeError(f"link data: expected text in UTF-8, got other bytes in {path}") from None
    return 2


def _graphml(path: Path, directed: bool | None) -> LinkData:
    import networkx as nx

    try:
        graph = nx.read_graphml(path)
    except (nx.NetworkXError, ValueError, KeyError, SyntaxError) as error:
        raise InterchangeError(
            f"link data: expected GraphML in {path}, got something else ({str(error)[:120]}); write it again"
        ) from None
    undirected = None if directed is None else not directed
    return LinkData(as_link_graph(graph, undirected=undirected), tuple(map(str, graph.nodes)))


def _dataset(name: str, root: str | PathLike[str] | None) -> LinkGraph:
    from torch_geometric import datasets
    from torch_geometric.transforms import NormalizeFeatures

    if root is None:
        raise UsageError(f"link data: expected root, the folder of the dataset {name}, got none; pass one")
    kind, known = PYG_DATASETS[name]
    make: Callable[..., Any] = getattr(datasets, kind)
    try:
        return as_link_graph(make(str(root), known, transform=NormalizeFeatures())[0])
    except OSError as error:
        raise HubError(
            f"link data: {name} is not in {str(root)!r} and not to be had ({error}); check the connection, "
            "or give the folder that has it"
        ) from None
