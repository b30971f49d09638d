"""Bad input ends with one line that says what to do, a status that is not zero, and no traceback."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from netgraph.graph import load_graph, save_graph
from netgraph.zoo import DigitsResNet

ROOT = Path(__file__).resolve().parents[2]
SHAPE = "--input-shape 2,1,8,8"

# command line  ->  part of the message; SHAPE stands for an input that `nets:conv` takes
USAGE = """
(nothing)  ->  missing command
frobnicate  ->  no such command 'frobnicate'
info  ->  missing argument
info mlp.safetensors --frob  ->  no such option: --frob
prune mlp.safetensors  ->  missing option '--budget'
prune mlp.safetensors --budget macs=0.5 --steps x  ->  --steps
"""

INPUT = """
info absent.safetensors  ->  absent.safetensors
info absent  ->  there is no model 'absent'; choose one of
info nets.py  ->  load_graph
info truncated.safetensors  ->  get it again
info flipped.safetensors  ->  load_graph
info empty.safetensors  ->  empty
info plain.safetensors  ->  load_graph
info .  ->  config.json
convert nets:conv  ->  needs --input-shape
convert nets:conv --input-shape '2;1'  ->  should read like 1,3,32,32
convert nets:conv --input-shape 0,1,8,8  ->  should read like 1,3,32,32
convert nets:conv --input-shape 2,3,8,8  ->  cannot run on its example inputs
convert nets:conv SHAPE SHAPE  ->  cannot run on its example inputs
convert nets:conv SHAPE --input-dtype int64  ->  cannot run on its example
convert nets:conv SHAPE --input-dtype flot  ->  should be a torch type
convert nets:conv SHAPE --input-dtype float32 --input-dtype int64  ->  one --input-dtype or one per input
convert absent_module:net SHAPE  ->  No module named 'absent_module'
convert broken:net SHAPE  ->  No module named 'absent_package'
convert syntax:net SHAPE  ->  SyntaxError
convert nets:absent SHAPE  ->  has no attribute 'absent'
convert nets:with_argument SHAPE  ->  callable that needs no arguments
convert nets:boom SHAPE  ->  raised RuntimeError: kaputt;
convert nets:exits SHAPE  ->  raised SystemExit: bye
convert nets:number SHAPE  ->  gave int
convert nets:nan SHAPE  ->  'conv1.weight' of 'nets:nan' holds 1 NaN
convert nets:conv SHAPE --weights absent.pt  ->  there is no file 'absent.pt'
convert nets:conv SHAPE --weights other.pt  ->  does not fit DigitsResNet
convert nets:conv SHAPE --weights nets.py  ->  load_weights
convert nets:conv SHAPE --weights nan.pt  ->  'nan.pt' holds 1 NaN
convert nets:conv SHAPE -o absent/g.safetensors  ->  existing folder
convert nets:conv SHAPE -o folder  ->  save_graph
convert mlp.safetensors --to gexf  ->  expected one of pyg, networkx
convert mlp.safetensors --weights other.pt  ->  leave them out
prune absent.safetensors --budget macs=0.5  ->  absent.safetensors
prune nan.safetensors --budget macs=0.5  ->  holds 1 NaN
prune mlp.safetensors --budget half  ->  should read like macs=0.5
prune mlp.safetensors --budget flops=1  ->  should read like macs=0.5
prune mlp.safetensors --budget macs=-1  ->  Budget
prune mlp.safetensors --budget macs=nan  ->  Budget
prune mlp.safetensors --budget macs=0.001  ->  smallest that can be reached
prune mlp.safetensors --budget macs=0.5 --criterion l7  ->  should be one of bn_scale
prune mlp.safetensors --budget macs=0.5 --criterion taylor  ->  loss
prune mlp.safetensors --budget macs=0.5 --ranking x  ->  ranking
prune mlp.safetensors --budget macs=0.5 --ignore x  ->  ignore
prune mlp.safetensors --budget macs=0.5 --min-keep x  ->  --min-keep
prune mlp.safetensors --budget macs=0.5 --steps 0  ->  step
prune mlp.safetensors --budget macs=0.5 --picture cut.gif  ->  ends in .png, .svg, .pdf
"""


def cases(table: str) -> list[tuple[list[str], str]]:
    rows = [row.split("  ->  ") for row in table.strip().splitlines()]
    return [(shlex.split(line.replace("SHAPE", SHAPE).replace("(nothing)", "")), part) for line, part in rows]


@pytest.fixture
def debris(work: Path) -> None:
    """Files that are not what they should be."""
    good = (work / "mlp.safetensors").read_bytes()
    (work / "truncated.safetensors").write_bytes(good[:-20])
    (work / "flipped.safetensors").write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
    (work / "empty.safetensors").write_bytes(b"")
    (work / "folder").mkdir()
    torch.save({"fc.weight": torch.zeros(2, 2)}, work / "other.pt")

    save_file({"weight": torch.zeros(2)}, work / "plain.safetensors")
    state = DigitsResNet(width=4, blocks=(1, 1)).state_dict()
    state["conv1.weight"][0] = 0
    state["conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, work / "nan.pt")
    graph = load_graph(work / "mlp.safetensors")
    next(t for t in graph.state.values() if t.dim() == 2)[0, 0] = float("nan")
    save_graph(graph, work / "nan.safetensors")


def refused(outcome, status: int, message: str) -> None:
    assert outcome.status == status, outcome
    lines = outcome.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), outcome.err
    assert "Traceback" not in outcome.err and outcome.out == ""
    assert message in lines[0]


@pytest.mark.parametrize(("arguments", "message"), cases(USAGE), ids=" ".join)
def test_bad_usage(netgraph, arguments: list[str], message: str) -> None:
    refused(netgraph(*arguments), 2, message)


@pytest.mark.parametrize(("arguments", "message"), cases(INPUT), ids=" ".join)
def test_bad_input(netgraph, debris: None, work: Path, arguments: list[str], message: str) -> None:
    before = sorted(p.name for p in work.iterdir())
    refused(netgraph(*arguments), 1, message)
    after = {p.name for p in work.iterdir()} - set(before) - {"__pycache__"}
    assert after <= {"mlp.pruned.safetensors"}, "a command that fails leaves no new file but a finished one"


def test_the_same_with_json(netgraph, debris: None) -> None:
    refused(netgraph("info", "empty.safetensors", "--json"), 1, "empty")


def test_a_damaged_model_is_named(netgraph, shelf: Path) -> None:
    path = shelf / "tiny" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    refused(netgraph("prune", "tiny", "--budget", "macs=0.5"), 1, "'model.safetensors' has another sha256")


def test_a_network_is_no_criterion(netgraph, shelf: Path) -> None:
    refused(
        netgraph("prune", "tiny", "--budget", "macs=0.5", "--criterion", "tiny"), 1, "or a metanetwork (meta"
    )


def test_a_metanetwork_is_no_network(netgraph, shelf: Path) -> None:
    refused(netgraph("prune", "meta", "--budget", "macs=0.5"), 1, "got the metanetwork 'meta'")


def test_a_full_disk_is_one_line(netgraph, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "g.safetensors")

    monkeypatch.setattr("netgraph.cli.commands.convert.save_graph", full)
    refused(netgraph("convert", "mlp.safetensors"), 1, "No space left on device 'g.safetensors'")


def test_ctrl_c_is_one_line(netgraph, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netgraph.cli.commands.prune.prune", stop)
    outcome = netgraph("prune", "mlp.safetensors", "--budget", "macs=0.5")
    assert (outcome.status, outcome.out) == (130, "")
    assert outcome.err.splitlines() == ["stopped: what was written so far is on disk"]


def test_our_own_defects_are_not_hidden(netgraph, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("netgraph.cli.commands.prune.prune", defect)
    with pytest.raises(ZeroDivisionError):
        netgraph("prune", "mlp.safetensors", "--budget", "macs=0.5")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "netgraph.cli", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("info", "absent.safetensors"), 1, "absent.safetensors"),
        (("convert", "nets:boom", *SHAPE.split()), 1, "kaputt"),
        (("info",), 2, "missing argument"),
    ],
)
def test_in_a_real_process(work: Path, arguments: list[str], status: int, message: str) -> None:
    done = subprocess.run(command(*arguments), env=environment(), cwd=work, capture_output=True, text=True)
    assert done.returncode == status and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line


def test_ctrl_c_in_a_real_process(work: Path) -> None:
    (work / "slow.py").write_text(
        "import pathlib, time\ndef net():\n    pathlib.Path('started').touch()\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        command("convert", "slow:net", *SHAPE.split()),
        env=environment(),
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (work / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == ["stopped: what was written so far is on disk"]
