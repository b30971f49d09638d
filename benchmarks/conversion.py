"""Time and memory of `to_graph`, and how they grow with depth, width and resolution.

Needs torchvision and transformers (`make bench BENCH=conversion`).
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks._record import machine, options, say, write_record
from benchmarks.engine import peak_memory
from netgraph.convert import to_graph

Built = tuple[nn.Module, Any]
LIMITS = {"resnet50": 3.0, "vit_b_16": 6.0, "llama_1b": 60.0}
TITLES = {
    "resnet50": "ResNet-50",
    "vit_b_16": "ViT-B/16",
    "llama_1b": "Llama, 1.24 billion parameters, meta device",
}


class Chain(nn.Module):
    """Residual pairs of linear layers with a norm."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


def chain(depth: int, width: int) -> Built:
    """A chain without memory for its weights."""
    with torch.device("meta"):
        return Chain(depth, width).eval(), torch.zeros(2, width)


def images(side: int) -> Built:
    """ResNet-50 on images of some size, without memory for either."""
    module, _ = _vision("resnet50")
    return module.to("meta"), torch.zeros(1, 3, side, side, device="meta")


def _vision(name: str) -> Built:
    from benchmarks.coverage.catalog import build

    return build(f"torchvision/{name}")


def _llama() -> Built:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=True,
        use_cache=False,
    )
    with torch.device("meta"):
        return LlamaForCausalLM(config).eval(), {"input_ids": torch.zeros(1, 16, dtype=torch.int64)}


NETWORKS: dict[str, Callable[[], Built]] = {
    "resnet50": lambda: _vision("resnet50"),
    "vit_b_16": lambda: _vision("vit_b_16"),
    "llama_1b": _llama,
}
CURVES: dict[str, tuple[Callable[[int], Built], tuple[int, ...]]] = {
    "depth": (lambda n: chain(n, 64), (10, 20, 40, 80, 160)),
    "width": (lambda n: chain(10, n), (256, 1024, 4096, 16384, 65536)),
    "resolution": (images, (64, 128, 256, 512, 1024)),
}


@contextmanager
def exporting(taken: list[float]) -> Iterator[None]:
    """Note how long `torch.export` takes, which is not ours."""
    original = torch.export.export

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            taken.append(time.perf_counter() - start)

    torch.export.export = timed
    try:
        yield
    finally:
        torch.export.export = original


def once(build: Callable[[], Built]) -> dict[str, float]:
    """One conversion: seconds in all, seconds without the export, operators, channels, peak memory."""
    module, inputs = build()
    exports: list[float] = []
    found: dict[str, float] = {}

    def convert() -> None:
        with warnings.catch_warnings(), exporting(exports):
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            graph = to_graph(module, inputs)
            found["seconds"] = time.perf_counter() - start
        found["operators"] = len(graph.structure.operators)
        found["channels"] = sum(g.size for g in graph.structure.groups)

    found["extra_bytes"] = peak_memory(convert)
    return found | {"own_seconds": found["seconds"] - sum(exports)}


def measure(quick: bool) -> dict[str, Any]:
    """Everything, one network after another; the first conversion of the process is not counted."""
    facts = machine()
    once(lambda: chain(2, 8))
    repeats = 1 if quick else 5
    result: dict[str, Any] = {}
    for name, build in NETWORKS.items():
        say(f"{name} ...")
        runs = [once(build) for _ in range(repeats)]
        result[name] = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        result[name] |= {"least": min(r["seconds"] for r in runs), "most": max(r["seconds"] for r in runs)}
    for curve, (build_one, sizes) in CURVES.items():
        result[curve] = {}
        for size in sizes[:2] if quick else sizes:
            say(f"{curve} {size} ...")
            runs = [once(partial(build_one, size)) for _ in range(1 if quick else 3)]
            result[curve][str(size)] = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
    return result | {"command": "python -m benchmarks.conversion" + " --quick" * quick, "machine": facts}


def table(result: dict[str, Any]) -> str:
    """The record as a page."""
    facts = result["machine"]
    lines = [
        "# Conversion",
        "",
        f"`{result['command']}` on {facts['cpus']} cores, {facts['threads']} threads, "
        f"torch {facts['torch']}; "
        f"load average before the start {facts['load_at_start']}. Medians; *without export* leaves out "
        "`torch.export`; memory is the rise of the peak resident set: weights are not copied.",
        "",
        "| network | `to_graph` | least to most | without export | operators | channels | memory | goal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, limit in LIMITS.items():
        r = result[name]
        lines.append(
            f"| {TITLES[name]} | {r['seconds']:.2f} s | {r['least']:.2f} to {r['most']:.2f} s | "
            f"{r['own_seconds']:.2f} s | {r['operators']:,} | {r['channels']:,} | "
            f"{r['extra_bytes'] / 1e6:,.0f} MB | {limit:.0f} s |"
        )
    titles = {
        "depth": "Depth: a chain of residual blocks of width 64",
        "width": "Width: ten residual blocks, on the meta device",
        "resolution": "Resolution: ResNet-50 on square images, on the meta device",
    }
    for curve, title in titles.items():
        lines += ["", f"## {title}", ""]
        lines += [
            f"| {curve} | `to_graph` | without export | operators | per operator | channels | per channel "
            "| memory |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for size, r in result[curve].items():
            lines.append(
                f"| {size} | {r['seconds']:.2f} s | {r['own_seconds']:.3f} s | {r['operators']:,} | "
                f"{1e3 * r['own_seconds'] / r['operators']:.2f} ms | {r['channels']:,} | "
                f"{1e6 * r['own_seconds'] / r['channels']:.1f} us | {r['extra_bytes'] / 1e6:,.0f} MB |"
            )
    lines += [
        "",
        "A dimension along which channels do not change is never written out: the time and the memory of "
        "labels do not grow with the resolution.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and keep the record of a full run."""
    chosen = options("conversion", __doc__ or "")
    result = measure(chosen.quick)
    page = table(result)
    print(page)
    if not chosen.quick:
        write_record("conversion", result, page)
    if chosen.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
