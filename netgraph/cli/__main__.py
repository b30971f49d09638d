"""`python -m netgraph.cli`."""

from netgraph.cli import main

main()
