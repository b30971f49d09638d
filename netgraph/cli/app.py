"""The application: its commands, and the one place where an error becomes a line and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from netgraph.errors import NetgraphError

__all__ = ["app", "main"]

_CLICK_ERRORS: tuple[type[BaseException], ...] = tuple(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class _OneLine(TyperGroup):
    """Ends every failure that is not a defect of ours with one line on stderr: no usage box, no traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NetgraphError as error:
            _say(f"error: {error}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _say("stopped: what was written so far is on disk")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f" {error.filename!r}" if error.filename else ""
            what = f"{ctx.invoked_subcommand}: {error.strerror or error}{where}"
            _say(f"error: {what}; check the path and its rights")
            raise typer.Exit(1) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        try:
            status = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except _CLICK_ERRORS as error:
            text = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
            _say(f"error: {text[:1].lower()}{text[1:].rstrip('.')}; see --help")
            status = 2
        except typer.Abort:
            _say("stopped: what was written so far is on disk")
            status = 130
        if not standalone_mode:
            return status
        sys.exit(status if isinstance(status, int) else 0)


def _say(text: str) -> None:
    print(" ".join(text.split()), file=sys.stderr, flush=True)


app = typer.Typer(
    cls=_OneLine,
    name="netgraph",
    help="Neural networks as graphs: convert, look, prune.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
"""The typer application; `main` runs it."""


def main() -> None:
    """Run the command line `netgraph COMMAND ...`, and exit with its status: 0, 1, 2 or 130."""
    app()
