"""The command line: `netgraph COMMAND ...`, or `python -m netgraph.cli COMMAND ...`.

Every command explains itself with `--help`, and prints one JSON object with `--json`. Results go to stdout,
progress, warnings and errors to stderr. Exit status: 0 done, 1 bad input (one line says what to do), 2 bad
usage, 130 stopped by the user.
"""

from netgraph.cli import commands as commands  # registers them
from netgraph.cli.app import app, main

__all__ = ["app", "main"]
