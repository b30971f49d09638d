"""What all pictures share: colours, file formats, and files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure

from netgraph.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BLUE", "GREEN", "INK", "ORANGE", "QUIET", "bare", "picture_file", "save_picture"]

# Of Okabe and Ito's palette, and of different lightness too, so that they stay apart in grey.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
INK: Final = "#222222"
QUIET: Final = "#6B6B6B"
_FORMATS: Final = (".png", ".svg", ".pdf")


def picture_file(operation: str, path: str | Path) -> Path:
    """The path of a picture, if its suffix is one that can be drawn.

    Raises:
        UsageError: naming the operation, if not.

    >>> picture_file("draw", "a.svg").name
    'a.svg'
    """
    target = Path(path)
    if target.suffix.lower() not in _FORMATS:
        raise UsageError(
            f"{operation}: expected a file name that ends in {', '.join(_FORMATS)}, got {target.name!r}; "
            "choose one of these"
        )
    return target


def save_picture(operation: str, figure: Figure, target: Path) -> Path:
    """Write a figure beside its place and then move it there.

    Raises:
        UsageError: naming the operation, if the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_picture("draw", Figure(), Path(folder, "a.png")).stat().st_size > 100
    True
    """
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        figure.savefig(temporary, dpi=160)
        os.replace(temporary, target)
    except OSError as error:
        raise UsageError(
            f"{operation}: cannot write {target.name!r} ({error.strerror}); choose a folder that exists"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return target


def bare(axes: Axes) -> None:
    """Axes with a quiet grid and no frame but a line below."""
    axes.grid(color="#E4E4E4", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#BBBBBB")
    axes.tick_params(axis="both", which="both", colors=QUIET, length=0, labelsize=8.5)
