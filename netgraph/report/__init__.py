"""Pictures of what was done to a graph."""

from netgraph.report.cut import draw_cut

__all__ = ["draw_cut"]
