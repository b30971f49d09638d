"""What a training leaves on disk and tells on its way: checkpoints, folders of what was fitted, a bar."""

from netgraph.fitting.bar import progress_bar
from netgraph.fitting.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from netgraph.fitting.course import freeze, thaw
from netgraph.fitting.model_folder import CONFIG, WEIGHTS, write_model_folder
from netgraph.fitting.saved import read_saved, write_saved

__all__ = [
    "CONFIG",
    "WEIGHTS",
    "Checkpoint",
    "freeze",
    "progress_bar",
    "read_checkpoint",
    "read_saved",
    "thaw",
    "write_checkpoint",
    "write_model_folder",
    "write_saved",
]
