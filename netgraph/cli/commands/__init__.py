"""One file per command; importing this package registers them all."""

from netgraph.cli.commands import convert, info, linkpred, meta_train, prune, shelf

__all__ = ["convert", "info", "linkpred", "meta_train", "prune", "shelf"]
