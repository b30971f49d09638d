"""`netgraph train` and `netgraph meta-train`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from netgraph.hub import load_model

ROOT = Path(__file__).resolve().parents[2]

CARD = """
[card]
summary = "Tiny."
task = "None."
data = "digits."
metric = "Accuracy."
measured = "By the recipe."
limits = "All."
"""

NETWORK = f"""
kind = "network"
name = "tiny"
command = "netgraph train recipe.toml"
dataset = "digits"
network = {{ architecture = "MLP", arguments = {{ sizes = [64, 8, 10] }} }}
training = {{ epochs = 2 }}
{CARD}
"""

METANETWORK = f"""
kind = "metanetwork"
name = "meta"
command = "netgraph meta-train recipe.toml"
dataset = "digits"
metanetwork = {{ hidden = 4, layers = 1 }}
meta_training = {{ epochs = EPOCHS, batch_size = 512, checkpoint_every = 1 }}

[data_models]
architecture = "MLP"
train = [{{ sizes = [64, 8, 10], seed = 1 }}]
validation = [{{ sizes = [64, 10, 10], seed = 2 }}]
training = {{ epochs = 1 }}
{CARD}
"""


@pytest.fixture
def recipes(work: Path) -> None:
    for name, text in (("tiny", NETWORK), ("meta", METANETWORK.replace("EPOCHS", "2"))):
        (work / name).mkdir()
        (work / name / "recipe.toml").write_text(text)


def test_train(netgraph, recipes: None) -> None:
    outcome = netgraph("train", "tiny/recipe.toml", "--json")
    assert outcome.status == 0, outcome.err
    assert (outcome.json["model"], outcome.json["parameters"]) == ("tiny", 610)
    assert load_model("tiny")(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    text = netgraph("train", "tiny/recipe.toml", "-o", "other").out
    assert "test_accuracy" in text and Path("other/SHA256SUMS").is_file()


def test_meta_train(netgraph, recipes: None) -> None:
    outcome = netgraph("meta-train", "meta/recipe.toml", "--json")
    assert outcome.status == 0, outcome.err
    assert len(outcome.json["history"]) == 2
    assert Path("meta/model.safetensors").is_file() and Path("runs/meta/checkpoint.safetensors").is_file()
    again = netgraph("meta-train", "meta/recipe.toml")
    assert again.status == 1 and "pass --resume to go on" in again.err
    resumed = netgraph("meta-train", "meta/recipe.toml", "--resume", "-o", "other")
    assert resumed.status == 0 and [row.split()[0] for row in resumed.out.splitlines()] == [
        "epoch",
        "0",
        "1",
        "2",
    ]
    assert Path("other/model.safetensors").read_bytes() == Path("meta/model.safetensors").read_bytes()


BAD = {
    "no file": ("meta-train", "absent.toml", "cannot read 'absent.toml'"),
    "no TOML": ("train", "nets.py", "expected TOML"),
    "the wrong kind": ("train", "meta/recipe.toml", "use meta-train"),
    "the other wrong kind": ("meta-train", "tiny/recipe.toml", "use train"),
    "nothing to resume by name": ("meta-train", "tiny --resume", "leave --resume out"),
    "no folder of CIFAR-10": ("meta-train", "small", "'cifar10' is not shipped"),
    "no CIFAR-10 in it": ("meta-train", "small --data meta", "expected CIFAR-10 in 'meta', found none"),
    "nothing to resume": ("meta-train", "meta/recipe.toml --resume", "leave --resume out"),
}


@pytest.mark.parametrize(("command", "arguments", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(netgraph, recipes: None, command: str, arguments: str, message: str) -> None:
    outcome = netgraph(command, *arguments.split())
    assert (outcome.status, outcome.out) == (1, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ") and message in line


def test_ctrl_c_keeps_what_is_on_disk(netgraph, recipes: None, work: Path) -> None:
    (work / "meta" / "recipe.toml").write_text(METANETWORK.replace("EPOCHS", "100000"))
    process = subprocess.Popen(
        [sys.executable, "-m", "netgraph.cli", "meta-train", "meta/recipe.toml"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    checkpoint = work / "runs" / "meta" / "checkpoint.safetensors"
    deadline = time.monotonic() + 90
    while not checkpoint.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == ["stopped: what was written so far is on disk"]
    assert checkpoint.is_file() and not (work / "meta" / "model.safetensors").exists()
    assert not [p for p in checkpoint.parent.iterdir() if p.name.endswith(".tmp")]
