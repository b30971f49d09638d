"""Measured architectures from files: small ones written here, and those of the shared data."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from netgraph.errors import HubError, UsageError
from netgraph.hub.nas_data import (
    LATENCY_TABLES,
    NASBENCH201_DATASETS,
    load_latency_table,
    load_nasbench201,
    load_search_trace,
)
from netgraph.search.nasbench201 import NASBench201
from netgraph.search.tabular import TabularBenchmark

TRACES = (
    "mbnv3w10_evoga_acc",
    "mbnv3w10_evonsga2_acc_macs",
    "mbnv3w10_evounsga3_acc_macs_params",
    "mbnv3w10_linasga_acc",
    "mbnv3w10_linasnsga2_acc_macs",
)
HEADER = ("Sub-network", "Date", "Model Parameters", "Latency (ms)", "MACs", "Top-1 Acc (%)")


@pytest.fixture(scope="module")
def cells(shared_data: Path) -> TabularBenchmark:
    folder = shared_data / "nasbench201"
    if not folder.is_dir():
        pytest.skip("needs nasbench201 in the shared data, which is absent")
    return load_nasbench201(folder, latency=True)


@pytest.fixture(scope="module")
def tables(shared_data: Path) -> Path:
    folder = shared_data / "nas_tables"
    if not folder.is_dir():
        pytest.skip("needs nas_tables in the shared data, which is absent")
    return folder


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    """What nb201.npz holds, with made-up numbers."""
    space, rng = NASBench201(), np.random.default_rng(0)
    found: dict[str, Any] = {"ops": np.array([space.from_index(i) for i in range(space.size)], np.int8)}
    for short in NASBENCH201_DATASETS.values():
        found[f"{short}_val_acc_seeds"] = rng.uniform(10, 90, (space.size, 3))
        for name in ("test_acc_mean", "flops_M", "params_M", "train_time_s_200ep"):
            found[f"{short}_{name}"] = rng.uniform(1, 90, space.size)
    found["c10_val_acc_seeds"][5, 2] = np.nan
    return found


def network(rng: np.random.Generator, **other: Any) -> dict[str, Any]:
    made = {key: rng.choice([3, 5, 7], 20).tolist() for key in ("ks", "e")}
    return {"wid": None, **made, "d": rng.choice([2, 3, 4], 5).tolist(), "r": [224]} | other


def write_trace(path: Path, rows: list[tuple[Any, ...]]) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])


def write_table(folder: Path, archs: Any, latencies: dict[str, Any]) -> None:
    with gzip.open(folder / "archs.json.gz", "wt") as file:
        json.dump(archs, file)
    np.savez(folder / "latency_ms.npz", **latencies)


def test_cells_of_a_file(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "nb201.npz", **arrays)
    table = load_nasbench201(tmp_path)
    assert len(table.metrics) == 3 * 8 and table.points[0] == (4, 2, 1, 2, 1, 1)
    seeds = arrays["c10_val_acc_seeds"]
    point = table.points[5]
    names = ["cifar10/valid", "cifar10/valid_seed_1", "cifar10/valid_seed_2", "cifar10/test"]
    expected = [seeds[5, :2].mean(), seeds[5, 1], np.nan, arrays["c10_test_acc_mean"][5]]
    np.testing.assert_allclose(table.evaluate(point, names), expected)
    macs, params = table.evaluate(point, ["imagenet16/macs", "imagenet16/params"])
    assert macs == round(1e6 * arrays["in16_flops_M"][5]) and params == round(
        1e6 * arrays["in16_params_M"][5]
    )


def test_cells_of_the_benchmark(cells: TabularBenchmark) -> None:
    """The optimum of each data set, as the benchmark states it."""
    best = [cells.column(f"{name}/test").max().round(2) for name in NASBENCH201_DATASETS]
    assert best == [94.37, 73.51, 47.31]
    for name in NASBENCH201_DATASETS:
        seeds = np.stack([cells.column(f"{name}/valid_seed_{k}") for k in range(3)])
        np.testing.assert_allclose(np.nanmean(seeds, 0), cells.column(f"{name}/valid"))
        assert np.isnan(seeds).sum(1).tolist() == [0, 0, 7456]
    assert cells.column("cifar10/params").min() == 73306


def test_macs_are_multiply_adds(cells: TabularBenchmark) -> None:
    """Three stages of five cells, of 16, 32 and 64 channels on 32, 16 and 8 pixels a side."""
    empty, conv1, conv3 = (0,) * 6, (0, 0, 0, 2, 0, 0), (0, 0, 0, 3, 0, 0)
    found = [cells.evaluate(point, ["cifar10/macs"])[0] for point in (empty, conv1, conv3)]
    each = 5 * sum(channels**2 * side**2 for channels, side in ((16, 32), (32, 16), (64, 8)))
    assert found[1] - found[0] == each and found[2] - found[0] == 9 * each


def test_latencies_of_the_benchmark(cells: TabularBenchmark) -> None:
    names = [name for name in cells.metrics if name.startswith("latency/")]
    assert len(names) == 27
    assert all((cells.column(name) > 0).all() for name in names)
    assert spearmanr(cells.column("latency/raspi4"), cells.column("cifar10/macs")).statistic > 0.5  # in order
    dead = np.array([not NASBench201().live_operators(point) for point in cells.points])
    raspi = cells.column("latency/raspi4")
    assert dead.sum() == 341 and dead[raspi < 1].all() and (raspi[dead] < 1).mean() > 0.5


@pytest.mark.parametrize("name", LATENCY_TABLES)
def test_tables_of_latencies(tables: Path, name: str) -> None:
    table = load_latency_table(tables / "help_fbnet_ofa_latency", name)
    assert len(table.points) == 5000
    assert len(table.metrics) == {"fbnet": 27, "ofa": 12}[name]
    assert all(key.startswith("latency/") and (table.column(key) > 0).all() for key in table.metrics)
    first = table.space.decode(table.points[0])
    if name == "fbnet":
        assert list(first) == [f"layer_{k}" for k in range(22)]
        assert table.column("latency/1080ti_1")[0] == pytest.approx(10.61535)
        assert table.points[0][:4] == (7, 8, 1, 8)
    else:
        assert first["resolution"] == 204 and first["kernel_0"] == 7 and first["depth_4"] == 3
        assert len(first) == 46


@pytest.mark.parametrize("name", TRACES)
def test_traces_of_searches(tables: Path, name: str) -> None:
    folder = tables / "dynast_ofa_mbv3_search"
    table = load_search_trace(folder, name)
    with open(folder / f"{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(table.points) == len(rows) and list(table.metrics) == ["top1", "macs", "params"]
    assert table.space.sizes == (3,) * 45
    for row, point in list(zip(rows, table.points, strict=True))[::97]:
        options = list(table.space.decode(point).values())
        for key, part in (("ks", options[:20]), ("e", options[20:40]), ("d", options[40:])):
            assert f"'{key}': {part}" in row["Sub-network"]
        assert table.evaluate(point, ["top1"]) == float(row["Top-1 Acc (%)"])
        assert table.evaluate(point, ["macs"]) == float(row["MACs"])


def test_blocks_beyond_the_depth_have_no_effect(tables: Path) -> None:
    cost: dict[Any, set[tuple[float, float]]] = {}
    seen = set()
    for name in TRACES:
        table = load_search_trace(tables / "dynast_ofa_mbv3_search", name)
        for point in table.points:
            chosen = table.space.decode(point)
            blocks = [k for k in range(20) if k % 4 < chosen[f"depth_{k // 4}"]]
            active = tuple((k, chosen[f"kernel_{k}"], chosen[f"expand_{k}"]) for k in blocks)
            macs, params = table.evaluate(point, ["macs", "params"])
            cost.setdefault(active, set()).add((macs, params))
            seen.add(point)
    assert len(seen) == 2223 > len(cost)
    assert all(len(found) == 1 for found in cost.values())


def test_a_trace_of_ones_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    networks = [network(rng) for _ in range(4)]
    rows = [(str(n), "2022-11-01", 100 + i, 5.5, 1000 + i, 70.0 + i) for i, n in enumerate(networks)]
    again = (str(networks[1]), "2022-11-02", 101, 5.6, 1001, 60.0)
    write_trace(tmp_path / "mine.csv", [*rows, again])
    table = load_search_trace(tmp_path, "mine")
    assert table.column("top1").tolist() == [70, 71, 72, 73]
    assert table.column("latency").tolist() == [5.5] * 4
    decoded = [list(table.space.decode(point).values()) for point in table.points]
    assert decoded == [n["ks"] + n["e"] + n["d"] for n in networks]


def test_what_is_refused(tmp_path: Path) -> None:
    write_trace(tmp_path / "mine.csv", [])
    with pytest.raises(UsageError, match=r"expected one of mine in .*, got '\.\./mine'"):
        load_search_trace(tmp_path, "../mine")
    with pytest.raises(UsageError, match="expected one of fbnet, ofa, got 'ofa_mbv3'"):
        load_latency_table(tmp_path, "ofa_mbv3")
    with pytest.raises(HubError, match=r"expected nb201\.npz in .*, found none; check root"):
        load_nasbench201(tmp_path)
    with pytest.raises(HubError, match=r"expected archs\.json\.gz"):
        load_latency_table(tmp_path, "fbnet")
    with pytest.raises(HubError, match="expected nowhere in"):
        load_search_trace(tmp_path / "nowhere", "mine")


NB201_DAMAGE = {
    "no operators": ({"ops": None}, "expected the operators of all 15,625 cells"),
    "another order": ({"ops": np.zeros((15625, 6), np.int8)}, "expected the operators"),
    "no column": ({"c100_flops_M": None}, "cannot be read.*c100_flops_M"),
    "too short": ({"in16_params_M": np.zeros(3)}, "expected 15,625 values of 'imagenet16/params'"),
    "text": ({"c10_val_acc_seeds": np.full((15625, 3), "a")}, "cannot be read"),
    "objects": ({"c10_params_M": np.array([None] * 15625)}, "cannot be read.*allow_pickle=False"),
}


@pytest.mark.parametrize("case", NB201_DAMAGE)
def test_damaged_cells(tmp_path: Path, arrays: dict[str, Any], case: str) -> None:
    changes, message = NB201_DAMAGE[case]
    changed = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez(tmp_path / "nb201.npz", **changed)
    with pytest.raises(HubError, match=message):
        load_nasbench201(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut off", b"\x80\x04N."])
def test_a_file_that_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "nb201.npz").write_bytes(content)
    with pytest.raises(HubError, match="cannot be read"):
        load_nasbench201(tmp_path)


def test_an_array_where_an_archive_should_be(tmp_path: Path, arrays: dict[str, Any]) -> None:
    with open(tmp_path / "nb201.npz", "wb") as file:
        np.save(file, arrays["ops"])
    with pytest.raises(HubError, match="cannot be read"):
        load_nasbench201(tmp_path)


def test_latencies_of_other_cells(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "nb201.npz", **arrays)
    with pytest.raises(HubError, match=r"expected nb201_latency_ms\.npz"):
        load_nasbench201(tmp_path, latency=True)
    np.savez(tmp_path / "nb201_latency_ms.npz", phone=np.ones(7))
    with pytest.raises(HubError, match="expected 15,625 values of 'latency/phone'"):
        load_nasbench201(tmp_path, latency=True)
    np.savez(tmp_path / "nb201_latency_ms.npz", phone=np.ones(15625, np.float32))
    assert load_nasbench201(tmp_path, latency=True).column("latency/phone").dtype == np.float64


FBNET = [[0] * 22, [8] * 22]
TABLE_DAMAGE = {
    "no key": ({}, np.ones(2)),
    "no list": ({"fbnet_arch": 3}, np.ones(2)),
    "empty": ({"fbnet_arch": []}, np.ones(0)),
    "unknown option": ({"fbnet_arch": [[9] * 22, [0] * 22]}, np.ones(2)),
    "ragged": ({"fbnet_arch": [[0] * 22, [0] * 21]}, np.ones(2)),
    "twice": ({"fbnet_arch": [[0] * 22, [0] * 22]}, np.ones(2)),
    "other length": ({"fbnet_arch": FBNET}, np.ones(3)),
}


@pytest.mark.parametrize("case", TABLE_DAMAGE)
def test_damaged_tables(tmp_path: Path, case: str) -> None:
    archs, values = TABLE_DAMAGE[case]
    write_table(tmp_path, archs, {"fbnet/phone": values})
    with pytest.raises(HubError, match="cannot be read"):
        load_latency_table(tmp_path, "fbnet")


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    archs = {"fbnet_arch": FBNET, "ofa_arch": {"arch": [network(rng, r=128), network(rng, r=160)]}}
    write_table(tmp_path, archs, {"fbnet/phone": np.array([1.0, 2.0]), "ofa/gpu_1": np.array([3.0, 4.0])})
    assert load_latency_table(tmp_path, "fbnet").evaluate((8,) * 22, ["latency/phone"]) == 2.0
    table = load_latency_table(tmp_path, "ofa")
    assert list(table.metrics) == ["latency/gpu_1"] and table.space.choices["resolution"] == (128, 160)
    (tmp_path / "archs.json.gz").write_bytes(b"no gzip")
    with pytest.raises(HubError, match="cannot be read"):
        load_latency_table(tmp_path, "fbnet")


GOOD = str(network(np.random.default_rng(0)))
TRACE_DAMAGE = {
    "empty": [],
    "no network": [("", "", 1, 0, 1, 70)],
    "code": [("__import__('os').getcwd()", "", 1, 0, 1, 70)],
    "no depths": [(GOOD.replace("'d'", "'x'"), "", 1, 0, 1, 70)],
    "ragged": [(GOOD, "", 1, 0, 1, 70), (GOOD.replace("'d': [", "'d': [2, "), "", 1, 0, 1, 70)],
    "widths": [(GOOD.replace("None", "1.2"), "", 1, 0, 1, 70)],
    "no number": [(GOOD, "", 1, 0, 1, "good")],
    "short row": [(GOOD, "", 1)],
    "deep": [("[" * 100_000, "", 1, 0, 1, 70)],
}


@pytest.mark.parametrize("case", TRACE_DAMAGE)
def test_damaged_traces(tmp_path: Path, case: str) -> None:
    write_trace(tmp_path / "mine.csv", TRACE_DAMAGE[case])
    with pytest.raises(HubError, match="cannot be read"):
        load_search_trace(tmp_path, "mine")


def test_traces_of_other_columns_or_bytes(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(HubError, match=r"cannot be read.*Sub-network"):
        load_search_trace(tmp_path, "mine")
    (tmp_path / "mine.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(HubError, match="cannot be read"):
        load_search_trace(tmp_path, "mine")
