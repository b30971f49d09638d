"""Cells: equal budgets, a test split that is read once, and runs that go on where they stopped."""

import copy
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.pruning import cells, methods
from benchmarks.pruning.cells import GIVEN, Cell, append, do, key, merged, planned, read
from benchmarks.pruning.costs import multiplications
from benchmarks.pruning.data import Data
from benchmarks.pruning.training import Schedule
from netgraph.convert import to_graph
from netgraph.graph import CostModel
from netgraph.nn import Metanetwork, MetanetworkConfig

SCHEDULE = Schedule(steps=6, batch=64, lr=0.02, every=3)
STEPPED = ("dense", "random", "l2", "taylor", "bn_scale", "fpgm", "l2:late", "meta", "meta:rewritten_l2")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "LATENCY_REPEATS", {1: 1, 64: 1})


@pytest.fixture
def meta(tmp_path: Path) -> dict[str, str]:
    Metanetwork(MetanetworkConfig(hidden=4, layers=1, rho=0.05)).save_pretrained(tmp_path / "meta")
    return {"meta": str(tmp_path / "meta")}


def _cell(criterion: str, speedup: float = 1.8, seed: int = 1) -> Cell:
    return Cell("tiny", "stripes", criterion, speedup, seed, SCHEDULE)


@pytest.mark.parametrize(
    "criterion", [*STEPPED, "meta:scores", "meta:pass", GIVEN, "group_sl", "group_sl_scaled"]
)
def test_every_row_takes_the_same_steps_and_reads_the_test_split_once(
    criterion: str, data: Data, network: nn.Module, meta: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if methods.missing(criterion):
        pytest.skip("needs torch-pruning, which `make bench` installs")
    steps: list[int] = []
    step = torch.optim.SGD.step

    def counted(self: torch.optim.SGD) -> None:
        assert not looks, "the test split was read before the training was over"
        steps.append(1)
        step(self)

    looks = data.test.looks  # type: ignore[attr-defined]
    monkeypatch.setattr(torch.optim.SGD, "step", counted)
    before = copy.deepcopy(network.state_dict())
    result = do(_cell(criterion), network, data, meta)
    assert "error" not in result, result
    expected = 0 if criterion in (GIVEN, "meta:pass") else 6
    assert len(steps) == result["steps"] == expected == _cell(criterion).steps
    assert sum(looks) == len(data.test)
    assert all(torch.equal(v, before[n]) for n, v in network.state_dict().items())
    cut = criterion not in ("dense", GIVEN)
    assert result["macs"] * (1.8 if cut else 1) <= result["macs_before"]
    assert (result["params"] < result["params_before"]) == cut
    assert json.loads(json.dumps(result)) == result


def test_macs_are_those_of_the_cost_model(data: Data, network: nn.Module) -> None:
    example = data.ready(data.train.images[:2])
    cost = CostModel(to_graph(network, example).structure)
    assert multiplications(network, example) == cost.macs()
    assert sum(p.numel() for p in network.parameters()) == cost.params()


def test_a_budget_out_of_reach_is_a_result(data: Data, network: nn.Module) -> None:
    result = do(_cell("l2", speedup=1e6), network, data, {})
    assert "BudgetError" in result["error"] and "test_accuracy" not in result
    assert not data.test.looks  # type: ignore[attr-defined]


def test_a_cell_that_was_killed_comes_to_the_same_result(
    data: Data, network: nn.Module, meta: dict[str, str], tmp_path: Path
) -> None:
    """The kill comes after the rewriting, a training, the cut, and half of the second training."""
    cell = Cell("tiny", "stripes", "meta", 1.8, 0, Schedule(steps=12, batch=64, lr=0.02, every=3))
    expected = do(cell, network, data, meta)

    def kill(spent: int) -> None:
        if spent == 9:
            raise KeyboardInterrupt

    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        do(cell, network, data, meta, folder=parts, tell=kill)
    assert len(list(parts.glob("*/training-*.safetensors"))) == 2
    told: list[int] = []
    found = do(cell, network, data, meta, folder=parts, tell=told.append)
    assert told == [12] and not list(parts.iterdir())
    changing = ("seconds", "latency_ms", "machine")
    assert {n: v for n, v in found.items() if n not in changing} == {
        n: v for n, v in expected.items() if n not in changing
    }


def test_results_outlive_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cells.jsonl"
    results = [asdict(_cell("l2", seed=seed)) | {"test_accuracy": seed / 10} for seed in range(3)]
    append(path, results[0])
    append(path, results[1])
    path.write_bytes(path.read_bytes()[:-20])
    append(path, results[2])
    assert list(read(path)) == [results[0], results[2]]
    assert list(read(tmp_path / "absent")) == []


def test_the_same_cell_is_the_same_key_from_disk() -> None:
    cell = _cell("l2", speedup=2)
    assert key(json.loads(json.dumps(asdict(cell)))) == cell.key
    others = [_cell("l1", 2), _cell("l2", 2.1), _cell("l2", 2, seed=2)]
    others.append(Cell("tiny", "stripes", "l2", 2, 1, Schedule(steps=7, batch=64, lr=0.02, every=3)))
    others.append(Cell("tiny", "stripes", "l2", 2, 1, SCHEDULE, "other weights"))
    assert len({cell.key, *(other.key for other in others)}) == 6
    old, new = asdict(cell) | {"a": 1}, asdict(cell) | {"a": 2}
    assert list(merged([old], [new]).values()) == [new]


def test_the_plan_has_dense_once_a_seed_and_the_given_network_once() -> None:
    found = planned("tiny", ["n"], ["dense", "l2", "m", "m:pass"], [1.5, 3.0], [0, 1], SCHEDULE, {"m": "f"})
    names = [(c.criterion, c.speedup, c.seed, c.weights) for c in found]
    assert len(set(names)) == len(names) == 1 + 2 * (1 + 2 * 3)
    assert names[:2] == [(GIVEN, 1.0, 0, None), ("dense", 1.0, 0, None)]
    assert ("m:pass", 3.0, 1, "f") in names and ("l2", 1.5, 0, None) in names
