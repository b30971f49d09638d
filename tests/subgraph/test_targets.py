"""Codings of targets: what networks are trained on, and back."""

import json

import numpy as np
import pytest
import torch

from netgraph.errors import UsageError
from netgraph.subgraph.targets import ClassTargets, NumberTargets, Targets


@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 3)])
def test_numbers_round_trip_with_mean_zero_and_deviation_one(shape: tuple[int, ...]) -> None:
    y = np.random.default_rng(0).normal(40, 9, shape)
    coding = NumberTargets.learn(y)
    encoded = coding.encode("fit", y)
    assert encoded.shape == (7, coding.outputs)
    assert torch.allclose(encoded.mean(0), torch.zeros(coding.outputs), atol=1e-5)
    assert torch.allclose(encoded.std(0, correction=0), torch.ones(coding.outputs), atol=1e-5)
    np.testing.assert_allclose(coding.decode(encoded), y, rtol=1e-5)


def test_a_constant_target_is_no_division_by_zero() -> None:
    coding = NumberTargets.learn(np.full(4, 3.0))
    assert coding.encode("fit", np.full(4, 3.0)).tolist() == [[0.0]] * 4


@pytest.mark.parametrize("labels", [[3, 1, 3, 2], ["b", "a", "b"], [True, False], [0.5, 1.5]])
def test_classes_round_trip(labels: list[object]) -> None:
    y = ClassTargets.read("fit", labels, len(labels))
    coding = ClassTargets.learn(y)
    numbers = coding.encode("fit", y)
    assert numbers.dtype == torch.int64 and 0 <= int(numbers.min()) <= int(numbers.max()) < coding.outputs
    one_hot = torch.nn.functional.one_hot(numbers, coding.outputs)
    assert coding.decode(one_hot).tolist() == labels


@pytest.mark.parametrize(
    "coding",
    [
        NumberTargets.learn(np.array([1.0, 2.5])),
        NumberTargets.learn(np.eye(3)),
        ClassTargets.learn(np.array(["ab", "c"])),
        ClassTargets.learn(np.array([4, 7])),
    ],
)
def test_codings_survive_json(coding: Targets) -> None:
    again = type(coding).from_dict(json.loads(json.dumps(coding.to_dict())))
    outputs = torch.randn(5, coding.outputs)
    np.testing.assert_array_equal(again.decode(outputs), coding.decode(outputs))


def test_strata_only_where_each_part_can_hold_every_class() -> None:
    y = np.array([0, 0, 1, 1, 1])
    assert ClassTargets.strata(y, 2) is y
    assert ClassTargets.strata(y, 1) is None
    assert ClassTargets.strata(np.array([0, 1, 1, 1]), 2) is None
    assert NumberTargets.strata(np.zeros(4), 2) is None


REFUSED = {
    "too few numbers": (NumberTargets, [1.0, 2.0], r"shape \(3,\) or \(3, outputs\), got \(2,\)"),
    "too deep": (NumberTargets, np.zeros((3, 1, 1)), "got"),
    "no outputs": (NumberTargets, np.zeros((3, 0)), "got"),
    "words for numbers": (NumberTargets, ["a", "b", "c"], "expected numbers"),
    "NaN": (NumberTargets, [1.0, float("nan"), 2.0], "got nan for graph 1"),
    "infinity": (NumberTargets, [[1.0, 2], [3, float("inf")], [0, 0]], "for graph 1"),
    "too few labels": (ClassTargets, [1, 2], r"shape \(3,\), got \(2,\)"),
    "labels in a table": (ClassTargets, [[1], [2], [1]], "got"),
    "NaN as a label": (ClassTargets, [1.0, float("nan"), 2.0], "NaN"),
    "objects as labels": (ClassTargets, [None, 1, 2], "expected numbers or strings"),
}


@pytest.mark.parametrize(("coding", "y", "message"), REFUSED.values(), ids=REFUSED)
def test_targets_that_are_refused(coding: type[Targets], y: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        coding.read("fit", y, 3)  # type: ignore[arg-type]


def test_one_class_and_unknown_classes() -> None:
    with pytest.raises(UsageError, match="at least two classes"):
        ClassTargets.learn(np.array([1, 1]))
    with pytest.raises(UsageError, match=r"expected labels among \[1, 2\], got .*3"):
        ClassTargets.learn(np.array([1, 2])).encode("fit", np.array([1, 3]))


def test_validation_targets_of_another_shape() -> None:
    with pytest.raises(UsageError, match="expected 2 targets per graph"):
        NumberTargets.learn(np.zeros((3, 2))).encode("fit", np.zeros((3, 1)))
