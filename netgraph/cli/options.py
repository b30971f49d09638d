"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["AsJson", "InputDtype", "InputShape", "Output", "Weights"]

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Weights: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="state_dict of the module: .safetensors, or .pt (read without unpickling objects)."),
]
InputShape: TypeAlias = Annotated[
    list[str], typer.Option("--input-shape", help="Of an example input, such as 1,3,32,32; once per input.")
]
InputDtype: TypeAlias = Annotated[
    list[str], typer.Option("--input-dtype", help="Torch type of the inputs; once, or once per input.")
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", help="Graph file to write (safetensors).")
]
