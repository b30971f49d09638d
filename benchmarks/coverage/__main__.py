"""Other people's architectures: what converts, round-trips, obeys its symmetry, prunes and trains on.

Every network is tried twice, in processes of their own with one thread: by netgraph, and by Torch-Pruning
1.6.1 with its defaults and told which layers make the outputs. A run that was interrupted goes on where it
stopped; what was done with other sources of netgraph is done again. Needs timm, torchvision, transformers and
torch-pruning (`make bench BENCH=coverage`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks._record import RESULTS, machine, say, write_record
from benchmarks.coverage.catalog import LARGE, TIMM_OPTIONS, TIMM_SIZES, names

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "runs" / "coverage"
SIDES = ("ours", "peer")
CHECKS = ("converted", "round_trip", "swap", "equals_masked", "pruned", "keeps_class")
# Seconds of the processor: a tiny configuration that takes so long will not end; a network of full size may.
LIMITS = {"timm": 180, "torchvision": 240, "transformers": 90}
QUICK = (
    "timm/resnet18",
    "timm/ghostnet_050",
    "torchvision/shufflenet_v2_x0_5",
    "transformers/gpt2",
    "transformers/bert",
    "transformers/vit",
)


def digest() -> str:
    """One number for the sources that a result of ours depends on."""
    found = hashlib.sha256()
    for folder in (ROOT / "netgraph" / "convert", ROOT / "netgraph" / "graph", Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            if path.name != "__main__.py":
                found.update(path.read_bytes())
    return found.hexdigest()[:16]


def attempt(side: str, name: str, source: str) -> Record:
    """The record of one network on one side, from disk where it is up to date."""
    path = RUNS / side / f"{name.replace('/', '--')}.json"
    limit = LIMITS[name.partition("/")[0]]
    if path.is_file():
        kept: Record = json.loads(path.read_text("utf-8"))
        if side == "peer" or kept.get("source") == source:
            return kept
    late = {"error": f"took longer than {limit} s", "seconds": float(limit)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.coverage.worker", side, name, str(limit)],
            capture_output=True,
            text=True,
            timeout=8 * limit,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        record = (
            json.loads(lines[-1])
            if lines
            else late
            if done.returncode in (-signal.SIGKILL, -signal.SIGXCPU)
            else {"error": f"the process ended with status {done.returncode}: {done.stderr.strip()[-200:]}"}
        )
    except subprocess.TimeoutExpired:
        record = late
    record = {"seconds": 0.0, **record, "name": name, "side": side, "source": source}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record), "utf-8")
    temporary.replace(path)
    return record


def sweep(chosen: list[str], workers: int) -> dict[str, dict[str, Record]]:
    """Records per side and network, several at a time; the largest last, and alone."""
    source = digest()
    found: dict[str, dict[str, Record]] = {side: {} for side in SIDES}
    done, total = 0, len(SIDES) * len(chosen)
    alone = [n for n in chosen if n in LARGE]
    for together, some in ((workers, [n for n in chosen if n not in LARGE]), (1, alone)):
        with ThreadPoolExecutor(together) as pool:
            jobs = {pool.submit(attempt, s, n, source): (s, n) for n in some for s in SIDES}
            try:
                for job in as_completed(jobs):
                    side, name = jobs[job]
                    record = found[side][name] = job.result()
                    marks = " ".join(c for c in CHECKS if record.get(c)) or record.get("error", "")[:80]
                    done += 1
                    say(f"[{done}/{total}] {side:4} {name}: {marks} ({record['seconds']:.0f} s)")
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                raise SystemExit("coverage: interrupted; the same command goes on from here") from None
    return found


def summary(found: Mapping[str, Mapping[str, Record]]) -> Record:
    """Counts over all networks."""
    ours, peer = found["ours"], found["peer"]
    counts = {check: sum(bool(r.get(check)) for r in ours.values()) for check in CHECKS}
    return {
        "models": len(ours),
        **counts,
        "peer_pruned": sum(bool(r.get("pruned")) for r in peer.values()),
    }


def table(result: Record) -> str:
    """The record as a page."""
    facts, ours, peer = result["machine"], result["ours"], result["peer"]
    libraries = list(dict.fromkeys(n.partition("/")[0] for n in ours))
    lines = [
        "# Coverage",
        "",
        f"`{result['command']}` on {facts['cpus']} cores, two networks at a time with one thread each, torch "
        f"{facts['torch']}; random weights. At most "
        + ", ".join(f"{s} s of the processor for {n}" for n, s in LIMITS.items())
        + ", the same for both libraries.",
        "",
        "Made smaller, for both libraries, so that a pass takes seconds: the input of "
        + ", ".join(f"`{n}` ({s} pixels)" for n, s in TIMM_SIZES.items())
        + "; "
        + ", ".join(f"`{n}` has {o['depth']} blocks" for n, o in TIMM_OPTIONS.items())
        + "; the configurations of transformers are tiny.",
        "",
        "- *converted*: a program with channels, not only a bag of tensors; *exact round trip*: the state is "
        "the same bytes, and the rebuilt module computes the same bits;",
        "- *swap*: the channels of all groups are permuted by the graph's own action, and no output moves by "
        "more than 1e-3 of its range;",
        "- *equals masked*: with half of every group dropped, the outputs are those of the whole network "
        "whose dropped channels are set to zero after every operator, and whose norms, softmaxes and means "
        "see only what is kept (`tests/convert/masked.py`), to 1e-3 of their range;",
        "- *pruned*: half of every group dropped, then forward, one training step, save and load; *same "
        "class*: by surgery on the user's module, otherwise as the rebuilt module;",
        "- *without layers*: the module's class can do without every second residual branch, of as many;",
        "- *Torch-Pruning*: half of every group by its defaults, forward and one training step.",
        "",
        "| | networks | converted | exact round trip | swap | equals masked | pruned | same class "
        "| without layers | Torch-Pruning |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for library in [*libraries, ""]:
        names_ = [n for n in ours if n.startswith(library + "/") or not library]
        counts = [sum(bool(ours[n].get(c)) for n in names_) for c in CHECKS]
        deep = [ours[n][_LAYERS] for n in names_ if ours[n].get(_LAYERS) is not None]
        pruned_by_peer = sum(bool(peer[n].get("pruned")) for n in names_)
        cells = [f"{c} ({100 * c / len(names_):.0f} %)" for c in counts]
        cells += [
            f"{sum(deep)} of {len(deep)}",
            f"{pruned_by_peer} ({100 * pruned_by_peer / len(names_):.0f} %)",
        ]
        lines.append(f"| {library or 'all'} | {len(names_)} | {' | '.join(cells)} |")
    lines += [f"\n{remark}" for remark in result.get("remarks", [])]
    lines += ["", "## What fails", ""]
    titles = ("converted", "exact round trip", "swap", "equals masked", "pruned")
    for check, title in zip(CHECKS, titles, strict=False):
        missing = [n for n in ours if not ours[n].get(check)]
        if missing:
            lines += [f"Not *{title}*:", ""]
            lines += [f"- `{n}`: {_reason(ours[n], check)}" for n in missing] + [""]
    lines += ["Pruned only as the rebuilt module, because the class would not run with fewer channels:", ""]
    lines += [
        f"- `{n}`: {ours[n].get('surgery', '').partition('because ')[2].partition(';')[0]}"
        for n in ours
        if ours[n].get("pruned") and not ours[n].get("keeps_class")
    ]
    lines += ["", "Torch-Pruning's failures by kind of error:", ""]
    kinds = Counter(_kind(r) for r in peer.values() if not r.get("pruned"))
    lines += [f"- {count} x {kind}" for kind, count in kinds.most_common()]
    lines += [
        "",
        "## Every network",
        "",
        "Parameters left after half of every group is dropped (embeddings' rows, inputs and outputs stay); "
        "residual branches that could go; seconds of `to_graph`, of all checks, and peak memory of the "
        "process.",
        "",
        "| network | parameters | left | swap difference | masked difference | branches | to_graph | all "
        "| peak | Torch-Pruning |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(n, ours[n], peer[n]) for n in ours]
    return "\n".join(lines)


_LAYERS = "keeps_class_without_layers"


def _kept(record: Record) -> Record:
    """What belongs into the record: no paths of this machine."""
    return {k: v for k, v in record.items() if k not in ("where", "source", "name", "side")}


def _row(name: str, ours: Record, peer: Record) -> str:
    size, left = ours.get("params"), ours.get("params_after")
    differences = [ours.get(f"{kind}_difference") for kind in ("swap", "masked")]
    return " | ".join(
        [
            f"| {name}",
            f"{size:,}" if size else "",
            f"{100 * left / size:.0f} %" if size and left else "",
            *(f"{d:.0e}" if d is not None else "" for d in differences),
            str(ours.get("branches", "")),
            f"{ours['to_graph_seconds']:.1f} s" if "to_graph_seconds" in ours else "",
            f"{ours['seconds']:.0f} s",
            f"{ours['peak_bytes'] / 1e9:.1f} GB" if "peak_bytes" in ours else "",
            ("yes" if peer.get("pruned") else _kind(peer)) + " |",
        ]
    )


def _reason(record: Record, check: str) -> str:
    if check == "round_trip" and "output_difference" in record:
        same = "the state is exact" if record.get("state_exact") else "the state differs"
        return f"{same}, the output differs by {record['output_difference']:.0e} of its range"
    if check == "equals_masked" and "masked_difference" in record:
        return f"the output differs by {record['masked_difference']:.0e} of its range"
    if check == "swap" and "swap_difference" in record:
        return f"the output moves by {record['swap_difference']:.0e} of its range"
    return _cell(record.get("error", "")) or "no parameter fewer, or a gradient that is not finite"


def _kind(record: Record) -> str:
    if "error" in record:
        head, _, rest = record["error"].partition(":")
        return _cell(record["error"][:60]) if head == rest or "took" in head else _cell(head)
    if record.get("params_after") == record.get("params"):
        return "nothing pruned"
    return "wrong output shape, or no training"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:200]


def main() -> None:
    """Run what is asked for, print the table, and keep the record of a full run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="six networks, no record; ends within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--only", default="*", help="glob over names (library/model); no record is kept")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run has done")
    parser.add_argument("--table", action="store_true", help="write the page from the record; run nothing")
    chosen = parser.parse_args()
    if chosen.table:
        record: Record = json.loads((RESULTS / "coverage.json").read_text("utf-8"))
        write_record("coverage", record, table(record))
        return
    if chosen.fresh or chosen.quick:
        for path in RUNS.glob("*/*.json"):
            if chosen.fresh or path.stem.replace("--", "/") in QUICK:
                path.unlink()
    wanted = list(QUICK) if chosen.quick else [n for n in names() if fnmatchcase(n, chosen.only)]
    facts = machine()
    found = sweep(wanted, workers=2)
    ordered = {side: {n: _kept(found[side][n]) for n in wanted} for side in SIDES}
    counts = summary(ordered)
    result = {**counts, "command": "python -m benchmarks.coverage", "machine": facts, **ordered}
    page = table(result)
    print(page)
    if not chosen.quick and chosen.only == "*":
        write_record("coverage", result, page)
    if chosen.json:
        print(json.dumps(counts))


if __name__ == "__main__":
    main()
