"""The card that stands beside every shipped model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from huggingface_hub import ModelCardData

from netgraph.errors import UsageError

__all__ = ["Card"]


@dataclass(frozen=True)
class Card:
    """What a reader must know before using a model: rendered, it is the `README.md` of the model's folder.

    Attributes:
        name: of the model, the heading.
        summary: one sentence; `list_models()` shows it.
        task: what the model does.
        data: what it was trained on.
        metric: what is reported, and on which split.
        measured: how the figures were measured, with the command that measures them again.
        limits: what it must not be used for, and where it fails.
        results: figures by name, such as `{"test accuracy": "98.3 %"}`.
        licence: an SPDX name in lower case.
        datasets: names of the datasets, for the front matter.

    Raises:
        UsageError: a field is empty.

    >>> card = Card("tiny", "A tiny network.", "None.", "Noise.", "Loss.", "By eye.", "All.", {"loss": "1.0"})
    >>> print(card.render().splitlines()[-1])
    | loss | 1.0 |
    """

    name: str
    summary: str
    task: str
    data: str
    metric: str
    measured: str
    limits: str
    results: Mapping[str, str] = field(default_factory=dict)
    licence: str = "mit"
    datasets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what in ("name", "summary", "task", "data", "metric", "measured", "limits", "licence"):
            if not getattr(self, what).strip():
                raise UsageError(
                    f"Card: field {what!r} of {self.name!r} is empty; write what a reader must know"
                )

    def render(self) -> str:
        """The card as Markdown, with the front matter that the Hugging Face Hub reads."""
        front = ModelCardData(
            license=self.licence,
            library_name="netgraph",
            datasets=list(self.datasets) or None,
            tags=["netgraph", "graph-metanetwork", "pruning"],
        ).to_yaml()
        parts = [f"---\n{front}\n---", f"# {self.name}", self.summary]
        for heading, text in (
            ("Task", self.task),
            ("Data", self.data),
            ("Metric", self.metric),
            ("How it was measured", self.measured),
            ("Limits", self.limits),
            ("Licence", f"{self.licence} (SPDX)"),
        ):
            parts += [f"## {heading}", text.strip()]
        if self.results:
            rows = "\n".join(f"| {name} | {value} |" for name, value in self.results.items())
            parts += ["## Results", f"| figure | value |\n|---|---|\n{rows}"]
        return "\n\n".join(parts) + "\n"
