"""Pictures of what was done to a graph, and of what predictors make of one."""

from netgraph.report.cut import draw_cut
from netgraph.report.links import draw_paths, plot_concentration

__all__ = ["draw_cut", "draw_paths", "plot_concentration"]
