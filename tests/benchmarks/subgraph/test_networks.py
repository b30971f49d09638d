"""The comparison of networks with exact tests, on the shared pairs."""

from pathlib import Path

from benchmarks.subgraph.networks import EQUAL, run


def test_networks_with_random_weights_separate_what_their_tests_do(shared_data: Path) -> None:
    found = run(shared_data, quick=True)
    wrong = [
        (model, pair, verdict)
        for model, row in found["models"].items()
        for pair, verdict in row["pairs"].items()
        if verdict["network"] is not verdict["test"]
    ]
    assert not wrong
    assert found["agree"] == found["total"] == 14 * 8
    assert found["rounding"] < EQUAL
