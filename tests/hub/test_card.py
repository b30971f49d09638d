"""Cards: complete, readable by people and by the Hugging Face Hub."""

from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from netgraph.errors import UsageError
from netgraph.hub import Card


def test_front_matter_is_what_the_hub_reads(card: Card) -> None:
    data = ModelCard(card.render()).data.to_dict()
    assert data["license"] == "mit"
    assert data["library_name"] == "netgraph"
    assert data["datasets"] == ["digits"]


def test_every_section_is_there_in_order(card: Card) -> None:
    text = card.render()
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["Task", "Data", "Metric", "How it was measured", "Limits", "Licence", "Results"]
    assert text.splitlines().count("# tiny") == 1
    assert text.index(card.summary) < text.index("## Task")
    assert "| loss | 1.0 |" in text


@pytest.mark.parametrize(
    "field", ["name", "summary", "task", "data", "metric", "measured", "limits", "licence"]
)
def test_no_section_may_be_empty(card: Card, field: str) -> None:
    with pytest.raises(UsageError, match=rf"^Card: .*'{field}'"):
        replace(card, **{field: " "})
