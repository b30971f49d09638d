"""One file per command; importing this package registers them all."""

from netgraph.cli.commands import convert, info, meta_train, prune, shelf

__all__ = ["convert", "info", "meta_train", "prune", "shelf"]
