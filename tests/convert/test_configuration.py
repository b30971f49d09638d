"""The configuration of a Hugging Face model follows a cut, or is left alone with a warning."""

import warnings
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import nn

from netgraph import NodeMask, apply_mask, to_graph
from netgraph.convert.configuration import refresh_configuration
from netgraph.errors import SurgeryWarning

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed; make test installs it"
)
HEADS = {"num_attention_heads": (8, 4), "num_key_value_heads": (4, 2)}
WIDTHS = {"hidden_size": (64, 32), "intermediate_size": (88, 44)}
EXPECTED = {
    "llama": WIDTHS | HEADS,
    "qwen3": WIDTHS | HEADS,
    "gpt2": {"n_embd": (48, 24), "n_head": (4, 2)},
    "bert": {"hidden_size": (48, 24), "intermediate_size": (88, 44), "num_attention_heads": (4, 2)},
}


def built(name: str) -> tuple[nn.Module, Any]:
    from benchmarks.coverage.catalog import build

    return build(f"transformers/{name}")


def every_second(graph: Any) -> NodeMask:
    hidden = [g for g in graph.structure.groups if g.role == "hidden"]
    return NodeMask({g.name: torch.arange(g.size) % 2 == 0 for g in hidden})


@pytest.mark.parametrize("name", EXPECTED)
def test_it_follows_and_rebuilds_the_model(name: str, tmp_path: Any) -> None:
    module, inputs = built(name)
    graph = to_graph(module, inputs)
    cut = apply_mask(module, graph, every_second(graph))
    before, after = vars(module.config), vars(cut.config)
    changed = {k: (v, after[k]) for k, v in before.items() if isinstance(v, int) and after[k] != v}
    assert changed == EXPECTED[name]
    cut.save_pretrained(tmp_path)
    again = type(module).from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(**inputs).logits, cut(**inputs).logits)


def test_layers_of_different_width_are_told() -> None:
    module, inputs = built("bert")
    graph = to_graph(module, inputs)
    name = next(g.name for g in graph.structure.groups if g.name.endswith("0.intermediate.dense"))
    with pytest.warns(SurgeryWarning, match="no configuration describes the cut BertForMaskedLM"):
        cut = apply_mask(module, graph, NodeMask({name: torch.arange(88) < 40}))
    assert cut.config.to_dict() == module.config.to_dict()


def test_modules_without_a_configuration_are_left_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refresh_configuration(nn.Linear(2, 3), {}, lambda m: False) is None
