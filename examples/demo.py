"""One trained network in, a smaller one out: what `make demo` runs.

A small residual network for handwritten digits becomes a graph; a graph metanetwork rewrites its weights;
half of the MACs go; a short finetuning heals the rest. The same finetuning after a plain `l2` cut stands
beside it. Every choice is made on the validation split; the test split is read for the table only.

    python examples/demo.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import nn

from netgraph.convert import load_into, to_graph
from netgraph.errors import ConversionError, NetgraphError
from netgraph.graph import NeuralGraph, load_graph, macs, same_bytes, save_graph
from netgraph.hub import load_dataset, load_model, load_model_graph, model_folder
from netgraph.hub.recipes import TrainingSettings, accuracy, read_recipe, train_classifier
from netgraph.pruning import Budget, PruneResult, compare_latency, prune
from netgraph.report import draw_cut

SEED = 0


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        run(options)
    except NetgraphError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument(
        "--quick", action="store_true", help="a few epochs only: for a look, not for the figures"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/demo"), help="folder of what is written")
    parser.add_argument("--model", default="digits-resnet", help="name or folder of the network")
    parser.add_argument(
        "--metanetwork", default="digits-metanetwork", help="name or folder of the metanetwork"
    )
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # networks this small only wait for a second one
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 110)
    options.output.mkdir(parents=True, exist_ok=True)
    rewriting_epochs, healing_epochs, repeats = (1, 2, 5) if options.quick else (10, 20, 50)

    data = load_dataset("digits")
    inputs = data.train.images[:2]
    original = trained_network(options.model)
    graph = to_graph(original, inputs)
    conversion = describe(original, graph, data.test.images)
    show_conversion(console, conversion)

    with bars(console) as display:

        def finetuning(name: str, *plan: int) -> Callable[[nn.Module], None]:
            """Trains for the next number of epochs in the plan whenever it is called."""
            left = list(plan)
            task = display.add_task(name, total=sum(plan))

            def finetune(module: nn.Module) -> None:
                settings = TrainingSettings(epochs=left.pop(0), learning_rate=0.02, seed=SEED)
                start = display.tasks[task].completed

                def advance(stage: str, done: int, total: int) -> None:
                    display.update(task, completed=start + done)

                train_classifier(module, data, settings, progress=advance)

            return finetune

        half = Budget(macs=0.5)
        metanetwork = load_model(options.metanetwork)
        heal = finetuning("metanetwork: rewrite, finetune, cut, finetune", rewriting_epochs, healing_epochs)
        ours = prune(original, inputs, budget=half, criterion=metanetwork, finetune=heal)
        heal = finetuning("l2: cut, finetune", rewriting_epochs + healing_epochs)
        plain = prune(original, inputs, budget=half, criterion="l2", finetune=heal)

    files = write(options.output, graph, ours, data.test.images)
    networks = {
        "original": (original, graph),
        "metanetwork": (ours.module, ours.graph),
        "l2": (plain.module, plain.graph),
    }
    rows = measure(networks, options.output, data, repeats)
    result = {
        "conversion": conversion,
        "networks": rows,
        "accuracy_change_points": 100
        * (rows["metanetwork"]["test_accuracy"] - rows["original"]["test_accuracy"]),
        "files": files,
        "seconds": time.perf_counter() - started,
    }
    if options.json:
        print(json.dumps(result))
        return
    show_networks(console, rows, len(data.test))
    for what, file in files.items():
        console.print(f"{what}: {file}", highlight=False)
    console.print(f"done in {result['seconds']:.0f} s", highlight=False)


def trained_network(name: str) -> nn.Module:
    """The shipped network in its own class, as a user would have it."""
    folder = model_folder(name)
    recipe = read_recipe(folder / "recipe.toml")
    network = recipe.tables["network"]
    module = recipe.build(network["architecture"], network.get("arguments", {}), SEED)
    load_into(module, load_model_graph(folder))
    return module.eval()


def describe(module: nn.Module, graph: NeuralGraph, images: torch.Tensor) -> dict[str, Any]:
    """Sizes of the graph, and whether the way back returns the same bytes and the same outputs."""
    structure, state, again = graph.structure, graph.to_state_dict(), graph.to_module().eval()
    with torch.no_grad():
        same_outputs = same_bytes(module(images), again(images))
    return {
        "groups": len(structure.groups),
        "blocks": len(structure.blocks),
        "joins": len(structure.joins),
        "nodes": graph.num_nodes,
        "edges": graph.num_edges,
        "state_is_bit_exact": list(state) == list(module.state_dict())
        and all(same_bytes(tensor, state[name]) for name, tensor in module.state_dict().items()),
        "outputs_are_bit_exact": same_outputs,
    }


def write(folder: Path, graph: NeuralGraph, result: PruneResult, images: torch.Tensor) -> dict[str, str]:
    """The pruned network as a file that runs without its class, which is tried, and a picture."""
    path = folder / "metanetwork.safetensors"
    save_graph(result.graph, path)
    with torch.no_grad():
        same = same_bytes(load_graph(path).to_module().eval()(images), result.module.eval()(images))
    if not same:
        raise ConversionError("the pruned network gives other outputs after it was read from its file")
    title = "What the metanetwork cut out of the digits network"
    picture = draw_cut(graph.structure, result.mask, folder / "cut.png", title=title)
    return {"pruned network, which runs without its class": str(path), "picture of the cut": str(picture)}


def measure(networks: dict[str, Any], folder: Path, data: Any, repeats: int) -> dict[str, dict[str, float]]:
    modules = [module.eval() for module, _ in networks.values()]
    image = (data.test.images[:1],)
    ones = compare_latency(modules, image, warmup=10, repeats=4 * repeats, batch=1)
    many = compare_latency(modules, (data.train.images,), warmup=3, repeats=repeats, batch=256)
    rows = {}
    for (name, (module, graph)), one, batch in zip(networks.items(), ones, many, strict=True):
        file = folder / f"{name}.safetensors"
        save_graph(graph, file)
        rows[name] = {
            "test_accuracy": accuracy(module, data.test),
            "validation_accuracy": accuracy(module, data.validation),
            "macs": macs(graph),
            "parameters": graph.num_parameters,
            "bytes": file.stat().st_size,
            "latency_ms_batch_1": one,
            "latency_ms_batch_256": batch,
        }
    return rows


def show_conversion(console: Console, facts: dict[str, Any]) -> None:
    sizes = ", ".join(f"{facts[k]:,} {k}" for k in ("groups", "blocks", "joins", "nodes", "edges"))
    console.print(f"network -> graph: {sizes}", highlight=False)
    if not (facts["state_is_bit_exact"] and facts["outputs_are_bit_exact"]):
        raise ConversionError("the network that came back from its graph differs from the one that went in")
    console.print("graph -> network: state and outputs are bit-exact", highlight=False)


def show_networks(console: Console, rows: dict[str, dict[str, float]], images: int) -> None:
    table = Table(
        title="Half of the MACs", title_justify="left", header_style="bold", box=None, pad_edge=False
    )
    names = {"original": "before", "metanetwork": "cut by the metanetwork", "l2": "cut by l2 alone"}
    for column in ("", "test accuracy", "MACs", "parameters", "on disk", "batch of 1", "batch of 256"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in rows.items():
        table.add_row(
            names[name],
            f"{row['test_accuracy']:.2%}",
            f"{row['macs']:,}",
            f"{row['parameters']:,}",
            f"{row['bytes'] / 1024:.0f} KiB",
            f"{row['latency_ms_batch_1']:.2f} ms",
            f"{row['latency_ms_batch_256']:.2f} ms",
        )
    console.print(table)
    note = f"One of the {images} test images is worth {100 / images:.2f} points: a few images are chance."
    console.print(note, highlight=False)


def bars(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


if __name__ == "__main__":
    sys.exit(main())
