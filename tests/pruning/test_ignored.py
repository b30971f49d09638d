import pytest

from netgraph.errors import UsageError
from netgraph.pruning import ignored_groups
from tests.pruning.nets import make_graph

DIGITS = make_graph("digits").structure
STREAM = {"conv1"}
ALL = {g.name for g in DIGITS.groups if g.role == "hidden"}

CASES = {
    "group": (["layer1.0.conv1"], {"layer1.0.conv1"}),
    "tensor": (["layer1.0.conv1.weight"], {"layer1.0.conv1"}),
    "norm": (["layer1.0.bn1"], {"layer1.0.conv1"}),
    "a layer that shares its output": (["layer1.0.conv2"], STREAM),
    "container": (["layer1"], {"layer1.0.conv1"} | STREAM),
    "glob over modules": (["layer?.*.conv1"], {n for n in ALL if n.startswith("layer") and "conv1" in n}),
    "the classifier makes no hidden group": (["linear"], set()),
    "several": (["conv1", "layer1.0.conv1"], {"conv1", "layer1.0.conv1"}),
    "everything": (["*"], ALL),
    "nothing": ([], set()),
}


@pytest.mark.parametrize(("patterns", "expected"), CASES.values(), ids=CASES)
def test_patterns(patterns: list[str], expected: set[str]) -> None:
    assert ignored_groups(DIGITS, patterns) == expected


def test_concatenation_is_ignored_part_by_part() -> None:
    structure = make_graph("concat").structure
    assert ignored_groups(structure, ["a"]) == {"a"}
    assert ignored_groups(structure, ["norm"]) == {"a", "b"}


@pytest.mark.parametrize("patterns", [["layer9"], ["conv"], ["conv1", "nope*"]], ids=str)
def test_refuses_what_matches_nothing(patterns: list[str]) -> None:
    with pytest.raises(UsageError, match="which matches nothing; close names are"):
        ignored_groups(DIGITS, patterns)


def test_refuses_one_string() -> None:
    with pytest.raises(UsageError, match=r"pass \['conv1'\]"):
        ignored_groups(DIGITS, "conv1")
