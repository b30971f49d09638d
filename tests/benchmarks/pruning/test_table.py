"""The page and the picture of a hand-made record."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.pruning.cells import GIVEN, Cell
from benchmarks.pruning.picture import draw
from benchmarks.pruning.table import page, sections
from benchmarks.pruning.training import Schedule

SCHEDULE = Schedule(steps=400, batch=128, lr=0.05)
FACTS = {"threads": 2, "cpus": 2, "vector_instructions": "AVX2", "torch": "2.13"}


def _result(criterion: str, speedup: float, seed: int, accuracy: float, **more: Any) -> dict[str, Any]:
    cell = Cell(more.pop("scale", "small"), "resnet20", criterion, speedup, seed, SCHEDULE)
    return asdict(cell) | {
        "steps": cell.steps,
        "test_accuracy": accuracy,
        "validation_accuracy": 0.99,
        "macs_before": 40_000_000,
        "macs": round(39_900_000 / speedup),
        "params_before": 270_000,
        "params": 100_000,
        "latency_ms": {"1": [2.0, 2.0], "64": [90.0, 45.0]},
        "seconds": 360.0,
        "device": "CPU",
        "machine": FACTS,
        **more,
    }


def _record() -> list[dict[str, Any]]:
    results = [_result(GIVEN, 1.0, 0, 0.9173)]
    for seed in range(3):
        step = (seed - 1) / 1000
        results.append(_result("dense", 1.0, seed, 0.918 + step))
        for speedup, lead in ((1.5, 0.0005), (2.1, 0.01), (3.0, 0.02)):
            results.append(_result("random", speedup, seed, 0.85 + step))
            results.append(_result("l2", speedup, seed, 0.89 + step))
            results.append(_result("meta", speedup, seed, 0.89 + lead + step))
        results.append(_result("meta:scores", 2.1, seed, 0.91))
    return results


def _rows(text: str, title: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {title} |")]


def test_accuracies_and_the_best_of_them() -> None:
    text = page(_record())
    assert _rows(text, "criterion")[0] == "| criterion | 1.5x | 2.1x | 3x |"
    assert _rows(text, "random")[0] == "| random | 85.00 ± 0.10 (3) | 85.00 ± 0.10 (3) | 85.00 ± 0.10 (3) |"
    assert _rows(text, "meta")[0] == (
        "| meta | 89.05 ± 0.10 (3) | **90.00 ± 0.10 (3)** | **91.00 ± 0.10 (3)** |"
    )
    assert text.count("**9") == 2
    assert "As given: 91.73 %, 40.00 M MACs" not in text and "As given: 91.73 %, 39.90 M MACs" in text
    assert "as many steps: 91.80 ± 0.10 (3)." in text
    assert "3x: 13.30 to 13.30 M" in text and "3.4 hours on: CPU, 2 threads" in text


def test_costs() -> None:
    text = page(_record())
    assert (
        _rows(text, "L2 group norm")[1]
        == "| L2 group norm | " + " | ".join(["100; 1.00x / 2.00x"] * 3) + " |"
    )
    assert "takes 2.00 ms at batch 1 and 90.00 ms at batch 64" in text


def test_ablations_and_failures_stand_apart() -> None:
    failed = _result("fpgm", 3.0, 0, 0.0, error="BudgetError: too little")
    del failed["test_accuracy"]
    text = page([*_record(), failed])
    above, below = text.split("What carries the gain:")
    assert "meta:scores" not in above and _rows(below, "meta:scores") == [
        "| meta:scores |  | 91.00 ± 0.00 (3) |  |"
    ]
    assert "- FPGM, 3x, seed 0: BudgetError: too little" in below
    assert _rows(above, "FPGM")[0] == "| FPGM |  |  |  |"


def test_one_seed_is_never_bold() -> None:
    results = [_result("l2", 2.1, 0, 0.5), _result("random", 2.1, 0, 0.4)]
    assert "**5" not in page(results)
    more = [_result("l2", 2.1, 1, 0.5), _result("random", 2.1, 1, 0.4)]
    assert "**50.00 ± 0.00 (2)**" in page([*results, *more])
    assert "**5" not in page([*results, *more, _result("taylor", 2.1, 0, 0.1)])


def test_sections_by_schedule_and_scale() -> None:
    tiny = _result("l2", 2.1, 0, 0.5, scale="tiny")
    longer = _result("l2", 2.1, 0, 0.5)
    longer["schedule"] = asdict(Schedule(steps=800, batch=128, lr=0.05))
    found = sections([tiny, *_record(), longer])
    assert [(s.scale, s.schedule.steps) for s in found] == [("small", 800), ("small", 400), ("tiny", 400)]


def test_metanetworks_of_one_name_and_other_weights_are_rows_of_their_own() -> None:
    results = [
        _result("meta", 2.1, 0, share) | {"weights": mark}
        for mark, share in (("a" * 16, 0.5), ("b" * 16, 0.6))
    ]
    text = page(results)
    assert _rows(text, "meta (aaaaaa)")[0] == "| meta (aaaaaa) | 50.00 (1) |"
    assert _rows(text, "meta (bbbbbb)")[0] == "| meta (bbbbbb) | 60.00 (1) |"


def test_pictures_of_what_has_curves(tmp_path: Path) -> None:
    tiny = [{**result, "scale": "tiny"} for result in _record()]
    assert draw([*tiny, *_record()], tmp_path) == {"resnet20-small-400": "pruning-resnet20-small-400.svg"}
    (file,) = tmp_path.iterdir()
    first = file.read_bytes()
    assert first.startswith(b"<?xml") and b"L2 group norm" not in first[:200]
    draw(_record(), tmp_path)
    assert file.read_bytes() == first
    assert "![Accuracy against MACs](pruning-resnet20-small-400.svg)" in page(
        _record(), {"resnet20-small-400": file.name}
    )
