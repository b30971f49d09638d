"""Measured architectures from files: NAS-Bench-201, tables of latencies, and traces of searches."""

from __future__ import annotations

import csv
import gzip
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from netgraph.errors import HubError, UsageError
from netgraph.search.nasbench201 import NASBench201
from netgraph.search.space import ChoiceSpace, FloatArray, Point, SearchSpace
from netgraph.search.tabular import TabularBenchmark

__all__ = [
    "LATENCY_TABLES",
    "NASBENCH201_DATASETS",
    "load_latency_table",
    "load_nasbench201",
    "load_search_trace",
]

NASBENCH201_DATASETS: Final[Mapping[str, str]] = MappingProxyType(
    {"cifar10": "c10", "cifar100": "c100", "imagenet16": "in16"}
)
"""The data sets of NAS-Bench-201: what the columns of one are called in the file."""

LATENCY_TABLES: Final = ("fbnet", "ofa")
"""The tables that `load_latency_table` knows."""

_TRACE: Final = MappingProxyType(
    {"top1": "Top-1 Acc (%)", "macs": "MACs", "params": "Model Parameters", "latency": "Latency (ms)"}
)
_LARGEST: Final = 1 << 26
"""Bytes of text that are unpacked at most."""

_DAMAGE: Final = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    EOFError,
    RecursionError,
    csv.Error,
    zipfile.BadZipFile,
    zlib.error,
)


def load_nasbench201(root: str | PathLike[str], *, latency: bool = False) -> TabularBenchmark:
    """All cells of NAS-Bench-201 with what their training for 200 epochs gave.

    Metrics for each data set of `NASBENCH201_DATASETS`, the first being `cifar10`:

    - `cifar10/valid`: validation accuracy in per cent, mean over two or three training runs; and that of each
      run, `cifar10/valid_seed_0`, `_1` and `_2`, NaN where there was no third. On `cifar10` training is on
      half of the training pictures, and validation on the other half.
    - `cifar10/test`: test accuracy in per cent, mean over the runs.
    - `cifar10/macs`: multiply-adds of one picture. The benchmark calls them FLOPs; counters that count
      multiplication and addition apart give twice as many.
    - `cifar10/params`: parameters. They follow from the operators, as the benchmark's own numbers differ
      between runs for 204 cells.
    - `cifar10/train_seconds`: duration of one training run on the benchmark's machines.

    Metrics by device, and batch size of GPUs, if asked for: `latency/1080ti_32`, say, in ms for a batch of 32
    pictures. Those of `pixel2`, `essential_ph_1`, `samsung_a50` and `samsung_s7` are whole numbers. On
    `pixel3` and `raspi4` most of the 341 cells without a path from input to output take less than 1 ms, as
    the compiler removed them.

    Args:
        root: folder of `nb201.npz`, and of `nb201_latency_ms.npz` for latencies.
        latency: whether latencies are read, too.

    Returns:
        The benchmark, its 15,625 points in the order of the benchmark's index.

    Raises:
        HubError: a file is missing, damaged, or of something else.

    `Dong and Yang, "NAS-Bench-201", ICLR 2020 <https://arxiv.org/abs/2001.00326>`_; latencies from `Lee et
    al., "HELP: Hardware-Adaptive Efficient Latency Prediction for NAS via Meta-Learning", NeurIPS 2021
    <https://arxiv.org/abs/2106.08630>`_ and `Li et al., "HW-NAS-Bench", ICLR 2021
    <https://arxiv.org/abs/2103.10584>`_.

    >>> from pathlib import Path
    >>> folder = Path("../shared/data/nasbench201")
    >>> if folder.is_dir():
    ...     table = load_nasbench201(folder)
    ...     assert table.column("cifar10/test").max().round(2) == 94.37
    """
    folder = Path(root)
    space = NASBench201()
    points = tuple(space.from_index(i) for i in range(space.size))
    stored = _arrays(folder / "nb201.npz", "load_nasbench201")
    if not np.array_equal(stored.get("ops", ()), np.array(points)):
        raise HubError(
            f"load_nasbench201: expected the operators of all {space.size:,} cells in the order of the "
            f"benchmark in {str(folder / 'nb201.npz')!r}, got others; get the file again"
        )
    metrics: dict[str, FloatArray] = {}
    for name, short in NASBENCH201_DATASETS.items():
        try:
            seeds = stored[f"{short}_val_acc_seeds"].astype(np.float64)  # (cells, runs)
            metrics[f"{name}/valid"] = np.nanmean(seeds, axis=1)
            metrics |= {f"{name}/valid_seed_{k}": seeds[:, k] for k in range(seeds.shape[1])}
            metrics[f"{name}/test"] = stored[f"{short}_test_acc_mean"]
            metrics[f"{name}/macs"] = np.rint(1e6 * stored[f"{short}_flops_M"])
            metrics[f"{name}/params"] = np.rint(1e6 * stored[f"{short}_params_M"])
            metrics[f"{name}/train_seconds"] = stored[f"{short}_train_time_s_200ep"]
        except _DAMAGE as error:
            raise _damaged("load_nasbench201", folder / "nb201.npz", error) from None
    if latency:
        path = folder / "nb201_latency_ms.npz"
        found = _arrays(path, "load_nasbench201")
        metrics |= {f"latency/{device}": values for device, values in found.items()}
    return _benchmark("load_nasbench201", folder, space, points, metrics)


def load_latency_table(root: str | PathLike[str], name: str) -> TabularBenchmark:
    """Measured latencies of 5,000 FBNet or Once-for-All networks, as HELP collected them.

    Metrics by device, and batch size of GPUs: `latency/titan_rtx_32`, say, in ms for a batch of 32 pictures.

    - `"fbnet"`: variables `layer_0` to `layer_21`, each with nine options, 0 to 8; the file does not say
      which operator an option is. 27 columns.
    - `"ofa"`: networks of the Once-for-All MobileNetV3, variables as in `load_search_trace` and
      `resolution`, the side of the pictures. 12 columns, of GPUs.

    Args:
        root: folder of `archs.json.gz` and `latency_ms.npz`.
        name: one of `LATENCY_TABLES`.

    Returns:
        The networks and their latencies.

    Raises:
        UsageError: an unknown name.
        HubError: a file is missing, damaged, or of something else.

    `Lee et al., "HELP: Hardware-Adaptive Efficient Latency Prediction for NAS via Meta-Learning", NeurIPS
    2021 <https://arxiv.org/abs/2106.08630>`_.

    >>> from pathlib import Path
    >>> folder = Path("../shared/data/nas_tables/help_fbnet_ofa_latency")
    >>> if folder.is_dir():
    ...     assert len(load_latency_table(folder, "fbnet").points) == 5000
    """
    if name not in LATENCY_TABLES:
        raise UsageError(
            f"load_latency_table: expected one of {', '.join(LATENCY_TABLES)}, got {name!r}; choose one"
        )
    folder = Path(root)
    path = folder / "archs.json.gz"
    _expect("load_latency_table", path)
    try:
        with gzip.open(path) as file:
            found = json.loads(file.read(_LARGEST))
        if name == "fbnet":
            rows = found["fbnet_arch"]
            choices = {f"layer_{k}": tuple(range(9)) for k in range(len(rows[0]))}
            space, points = ChoiceSpace(choices), [tuple(map(int, row)) for row in rows]
        else:
            space, points = _once_for_all(found["ofa_arch"]["arch"])
    except (*_DAMAGE, UsageError) as error:
        raise _damaged("load_latency_table", path, error) from None
    stored = _arrays(folder / "latency_ms.npz", "load_latency_table")
    columns = {key.partition("/")[2]: values for key, values in stored.items() if key.startswith(f"{name}/")}
    metrics = {f"latency/{device}": values for device, values in columns.items()}
    return _benchmark("load_latency_table", folder, space, points, metrics)


def load_search_trace(root: str | PathLike[str], name: str) -> TabularBenchmark:
    """The evaluations of a finished search, in their order, from a CSV file of DyNAS-T.

    The networks are of the Once-for-All MobileNetV3: five stages of at most four blocks. Block k has
    `kernel_k`, the side of its kernel, and `expand_k`, its expansion ratio, and is in stage k // 4; stage s
    has `depth_s` blocks. What is chosen for a block beyond the depth of its stage has no effect, so networks
    can be equal whose points are not. The options are those that occur in the file.

    Metrics: `top1`, ImageNet accuracy in per cent; `macs`, multiply-adds of one picture; `params`, the
    parameters; `latency` in ms, unless the search did not measure it and wrote zeros.

    Args:
        root: folder of the CSV files.
        name: of the file, without its ending.

    Returns:
        The networks in the order of their evaluation; one evaluated again counts once, as at first.

    Raises:
        UsageError: an unknown name.
        HubError: no folder, or a file that is damaged or of something else.

    `Cummings et al., "A Hardware-Aware Framework for Accelerating Neural Architecture Search Across
    Modalities", 2022 <https://arxiv.org/abs/2205.10358>`_; `Cai et al., "Once-for-All", ICLR 2020
    <https://arxiv.org/abs/1908.09791>`_.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> network = {"wid": None, "ks": [3, 5] * 10, "e": [4, 6] * 10, "d": [2, 3, 2, 4, 3], "r": [224]}
    >>> columns = "Sub-network,Date,Model Parameters,Latency (ms),MACs,Top-1 Acc (%)"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mine.csv"
    ...     _ = path.write_text(f'{columns}\\n"{network}",2022-11-01,5029656,0,255502624,75.448\\n')
    ...     trace = load_search_trace(folder, "mine")
    >>> trace.evaluate(trace.points[0], ["top1", "macs"]).tolist()
    [75.448, 255502624.0]
    """
    folder = Path(root)
    _expect("load_search_trace", folder)
    names = sorted(path.stem for path in folder.glob("*.csv"))
    if name not in names:
        raise UsageError(
            f"load_search_trace: expected one of {', '.join(names) or 'some CSV files'} in {str(folder)!r}, "
            f"got {name!r}; choose another name or folder"
        )
    path = folder / f"{name}.csv"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        networks = [json.loads(row["Sub-network"].replace("'", '"').replace("None", "null")) for row in rows]
        space, points = _once_for_all(networks)
        first: dict[Point, int] = {}
        for i, point in enumerate(points):
            first.setdefault(point, i)
        metrics = {
            key: np.array([float(rows[i][column]) for i in first.values()]) for key, column in _TRACE.items()
        }
    except (*_DAMAGE, UsageError) as error:
        raise _damaged("load_search_trace", path, error) from None
    if not metrics["latency"].any():
        del metrics["latency"]
    return _benchmark("load_search_trace", folder, space, list(first), metrics)


def _once_for_all(networks: Sequence[Mapping[str, Any]]) -> tuple[ChoiceSpace, list[Point]]:
    """The space of networks given as kernels, expansion ratios, depths and resolution, and their points."""
    choices: dict[str, tuple[int, ...]] = {}
    values: list[list[int]] = [[] for _ in networks]
    for key, variable in (("ks", "kernel"), ("e", "expand"), ("d", "depth"), ("r", "resolution")):
        found = [np.atleast_1d(np.asarray(network[key])).astype(np.int64).tolist() for network in networks]
        options = tuple(sorted({value for row in found for value in row}))
        if key == "r":
            if len(options) == 1:
                continue  # one resolution for all is no choice
            choices[variable] = options
        else:
            choices |= {f"{variable}_{k}": options for k in range(len(found[0]))}
        for row, more in zip(values, found, strict=True):
            row += map(options.index, more)
    if any(network.get("wid") is not None for network in networks):
        raise ValueError("networks of several widths")
    space = ChoiceSpace(choices)
    return space, [space.check(row) for row in values]


def _expect(who: str, path: Path) -> None:
    if not path.exists():
        raise HubError(f"{who}: expected {path.name} in {str(path.parent)!r}, found none; check root")


def _damaged(who: str, path: Path, error: Exception) -> HubError:
    return HubError(f"{who}: {str(path)!r} cannot be read ({str(error)[:120]!r}); get the file again")


def _arrays(path: Path, who: str) -> dict[str, npt.NDArray[Any]]:
    """All arrays of numbers or texts in an .npz file."""
    _expect(who, path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except _DAMAGE as error:
        raise _damaged(who, path, error) from None


def _benchmark(
    who: str, folder: Path, space: SearchSpace, points: Sequence[Point], metrics: Mapping[str, Any]
) -> TabularBenchmark:
    """The benchmark of what was read; what does not fit together is the fault of the files."""
    try:
        return TabularBenchmark(space, tuple(points), metrics)
    except (UsageError, ValueError, TypeError) as error:
        raise _damaged(who, folder, error) from None
