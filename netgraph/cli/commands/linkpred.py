"""`netgraph linkpred`: learn which links a graph lacks, ask for them, and say why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import typer

from netgraph.cli.app import app
from netgraph.cli.options import AsJson
from netgraph.cli.output import emit, make_table, progress_bar, reporter
from netgraph.errors import UsageError
from netgraph.hub import load_link_data
from netgraph.linkpred import LinkPredictor, compare, read_edge_list
from netgraph.linkpred.ranking import Ties
from netgraph.report import draw_paths

__all__ = ["evaluate_command", "explain_command", "fit_command", "predict_command"]

group = typer.Typer(help="Predict the links of a graph.", no_args_is_help=False, rich_markup_mode=None)
app.add_typer(group, name="linkpred")

_Source: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="An edge list or triples (text), a folder of triples with train, valid and test, a .graphml "
        "file, or a dataset of PyTorch Geometric such as Cora."
    ),
]
_Root: TypeAlias = Annotated[Path | None, typer.Option(help="Folder of the dataset of PyTorch Geometric.")]
_Directed: TypeAlias = Annotated[
    bool | None, typer.Option("--directed/--undirected", help="Of an edge list or a GraphML file.")
]
_Valid: TypeAlias = Annotated[float, typer.Option(help="Share of the links that chooses the epoch.")]
_Test: TypeAlias = Annotated[float, typer.Option(help="Share of the links that is held out for the test.")]
_Epochs: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="At most; by default what suits the model.")
]
_Option: TypeAlias = Annotated[
    list[str],
    typer.Option("--option", help="Of the predictor, as lr=0.01 or options.dim=16; may be repeated."),
]
_Metric: TypeAlias = Annotated[
    list[str], typer.Option("--metric", help="mrr, auc, ap, hits@100, ...; may be repeated.")
]
_Folder: TypeAlias = Annotated[Path, typer.Argument(help="Folder that `linkpred fit` wrote.")]
_Relation: TypeAlias = Annotated[
    str | None, typer.Option(help="Relation that is asked for, in a graph that has several.")
]


@group.command("fit")
def fit_command(
    source: _Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the predictor.")],
    model: Annotated[str, typer.Option(help="ncn, ncnc, gae, nbfnet, or a heuristic.")] = "ncn",
    root: _Root = None,
    directed: _Directed = None,
    valid: _Valid = 0.1,
    test: _Test = 0.0,
    epochs: _Epochs = None,
    option: _Option = [],  # noqa: B006  (typer copies it)
    metric: _Metric = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Of all that is drawn by chance.")] = 0,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File to write after every epoch, and to go on from.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn from a graph, and write a predictor.

    With --test, links are held out and measured, and the predictor does not read them. Without, it reads all.
    """
    data = load_link_data(source, root=root, directed=directed)
    predictor = _predictor(model, epochs, option).set_params(
        valid=valid, checkpoint=checkpoint, random_state=seed
    )
    tested = data.divided or test > 0
    given = data.split(valid, test, seed=seed) if tested else data.data
    with progress_bar() as bar:
        tell = reporter(bar)
        predictor.fit(
            given,
            nodes=data.nodes,
            relations=data.relations,
            report=lambda done, history: tell(f"{model}: {done:.1f} epochs", 0, 0),
        )
    predictor.save(output)
    found = predictor.evaluate(given, "test", metric or None) if tested else {}
    rows = [("best epoch", str(predictor.best_epoch_))] + [(n, f"{v:.4f}") for n, v in found.items()]
    table = make_table(("figure", "value"), [*rows, ("predictor", str(output))])
    emit({"predictor": str(output), "best_epoch": predictor.best_epoch_, **found}, table, as_json=as_json)


@group.command("evaluate")
def evaluate_command(
    source: _Source,
    model: Annotated[list[str], typer.Option(help="A model or a heuristic; may be repeated.")] = ["ncn"],  # noqa: B006
    root: _Root = None,
    directed: _Directed = None,
    valid: _Valid = 0.1,
    test: _Test = 0.2,
    seeds: Annotated[int, typer.Option(min=1, help="Splits and fits for each model.")] = 1,
    epochs: _Epochs = None,
    option: _Option = [],  # noqa: B006
    metric: _Metric = [],  # noqa: B006
    ties: Annotated[str, typer.Option(help="mean, optimistic or pessimistic.")] = "mean",
    as_json: AsJson = False,
) -> None:
    """Fit and test models on the same splits; a table of mean and deviation over seeds."""
    data = load_link_data(source, root=root, directed=directed)
    with progress_bar() as bar:
        found = compare(
            {name: _predictor(name, epochs, option) for name in model},
            lambda seed: data.split(valid, test, seed=seed),
            range(seeds),
            metrics=metric or None,
            ties=cast(Ties, ties),
            progress=reporter(bar),
        )
    head, *rows = found.rows()
    emit(found.to_dict(), make_table(head, rows), as_json=as_json)


@group.command("predict")
def predict_command(
    folder: _Folder,
    node: Annotated[list[str], typer.Option("--node", help="Ask for its best links; may be repeated.")] = [],  # noqa: B006
    top: Annotated[int, typer.Option(min=1, help="How many links of each node.")] = 10,
    pairs: Annotated[
        Path | None, typer.Option(help="File of pairs to score instead: two nodes in each line.")
    ] = None,
    relation: _Relation = None,
    as_json: AsJson = False,
) -> None:
    """The best new links of nodes, or the scores of pairs."""
    if bool(node) == (pairs is not None):
        raise UsageError("linkpred predict: expected either --node or --pairs; pass one of them")
    predictor = LinkPredictor.load(folder)
    asked = _relation(predictor, relation)
    rows: list[tuple[str, str, float]]
    if pairs is None:
        scores, tails = predictor.topk([_node(predictor, n) for n in node], top, asked)
        rows = [
            (head, _name(predictor.node_names_, int(tail)), float(score))
            for head, found, values in zip(node, tails, scores, strict=True)
            for tail, score in zip(found, values, strict=True)
            if int(tail) >= 0
        ]
    else:
        ends, names = read_edge_list(pairs)
        named = [(names[int(h)], names[int(t)]) for h, t in ends.T]
        values = predictor.predict([(_node(predictor, h), _node(predictor, t)) for h, t in named], asked)
        rows = [(h, t, float(s)) for (h, t), s in zip(named, values, strict=True)]
    table = make_table(("head", "tail", "score"), [(h, t, f"{s:.4f}") for h, t, s in rows], right=("score",))
    links = [{"head": h, "tail": t, "score": s} for h, t, s in rows]
    emit({"links": links}, table, as_json=as_json)


@group.command("explain")
def explain_command(
    folder: _Folder,
    head: Annotated[str, typer.Argument(help="Where the paths begin.")],
    tail: Annotated[str, typer.Argument(help="Where they end.")],
    relation: _Relation = None,
    top: Annotated[int, typer.Option(min=1, help="How many paths.")] = 5,
    picture: Annotated[Path | None, typer.Option(help="Also draw them (.png, .svg or .pdf).")] = None,
    as_json: AsJson = False,
) -> None:
    """The paths that a score rests on, of a predictor of the model nbfnet."""
    predictor = LinkPredictor.load(folder)
    asked = _relation(predictor, relation)
    found = predictor.explain(_node(predictor, head), _node(predictor, tail), asked, top)
    kinds = _relation_names(predictor)
    walks: list[dict[str, Any]] = [
        {
            "weight": path.weight,
            "nodes": [_name(predictor.node_names_, n) for n in path.nodes],
            "relations": [_name(kinds, r) for r in path.relations] if kinds else [],
        }
        for path in found
    ]
    summary: dict[str, Any] = {"paths": walks}
    rows = [(f"{w['weight']:.4f}", _walk(w["nodes"], w["relations"])) for w in walks]
    table = make_table(("weight", "path"), rows, right=("weight",))
    if picture is not None:
        names = [_name(predictor.node_names_, n) for n in range(predictor.graph_.num_nodes)]
        title = f"Paths from {head} to {tail}" + (f", {relation}" if relation else "")
        draw_paths(found, picture, names=names, relation_names=kinds, title=title)
        summary["picture"] = str(picture)
    emit(summary, table, as_json=as_json)


def _predictor(model: str, epochs: int | None, given: list[str]) -> LinkPredictor:
    """A predictor out of `name=value`, where `options.name` goes to the network."""
    own: dict[str, Any] = {"epochs": epochs}
    inner: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"linkpred: --option should read like lr=0.01 or options.dim=16, got {text!r}")
        inside = name.startswith("options.")
        target, key = (inner, name.removeprefix("options.")) if inside else (own, name)
        try:
            target[key] = json.loads(value)
        except ValueError:
            target[key] = value
    predictor = LinkPredictor(model, options=inner or None)
    unknown = sorted(set(own) - set(predictor.get_params(deep=False)))
    if unknown:
        known = ", ".join(sorted(set(predictor.get_params(deep=False)) - {"model", "options"}))
        raise UsageError(f"linkpred: --option should name one of {known}, got {unknown[0]!r}")
    return predictor.set_params(**own)


def _node(predictor: LinkPredictor, text: str) -> str | int:
    """A node as the predictor knows it: a name, or a number where nodes have none or numbers as names."""
    names = predictor.node_names_
    if names is not None and (text in names or not all(isinstance(n, int) for n in names)):
        return text
    try:
        return int(text)
    except ValueError:
        raise UsageError(
            f"linkpred: expected the number of a node, got {text!r}; nodes have no names"
        ) from None


def _relation(predictor: LinkPredictor, text: str | None) -> str | int | None:
    if text is None or predictor.relation_names_ is not None:
        return text
    try:
        return int(text)
    except ValueError:
        raise UsageError(
            f"linkpred: expected the number of a relation, got {text!r}; relations have no names"
        ) from None


def _name(names: Sequence[str | int] | None, number: int) -> str:
    return str(number if names is None else names[number])


def _relation_names(predictor: LinkPredictor) -> list[str] | None:
    """Names of all relations, the inverse ones included."""
    names = predictor.relation_names_
    if names is None:
        return None
    own = [str(name) for name in names]
    return own + [f"{name}⁻¹" for name in own]


def _walk(nodes: Sequence[str], relations: Sequence[str]) -> str:
    if not relations:
        return " – ".join(nodes)
    steps = (f" –({kind})→ {node}" for kind, node in zip(relations, nodes[1:], strict=True))
    return nodes[0] + "".join(steps)
