import json

from netgraph.pruning import PruneReport

REPORT = PruneReport(
    criterion="l2",
    budget="macs=0.5",
    steps=2,
    macs_before=1_000_000,
    macs_after=250_000,
    params_before=2_000,
    params_after=500,
    widths_before={"a": 8, "b": 4},
    widths_after={"a": 2, "b": 4},
    latency_before=2.0,
    latency_after=0.8,
    metric_before=0.975,
    metric_after=0.97,
)


def test_derived_numbers() -> None:
    assert REPORT.speedup == 4.0
    assert REPORT.cut_groups == ["a"]


def test_dict_goes_through_json_unchanged() -> None:
    plain = REPORT.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["widths_after"] == {"a": 2, "b": 4} and plain["speedup"] == 4.0


def test_table_has_a_row_per_quantity_that_is_known() -> None:
    assert [row[0] for row in REPORT.rows()] == ["MACs", "parameters", "nodes", "latency, ms", "metric"]
    bare = PruneReport("l1", "macs=0.5", 1, 2, 1, 2, 1, {}, {})
    assert [row[0] for row in bare.rows()] == ["MACs", "parameters", "nodes"]
    text = str(REPORT)
    assert "1,000,000" in text and "4.00x" in text and "-0.0050" in text and "2.50x" in text
    assert len({len(line) for line in text.splitlines()}) == 1
