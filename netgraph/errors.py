"""The exceptions and the warning of netgraph.

Every message reads ``operation: what was expected, what came, what to do``. One ``except NetgraphError``
catches all that the library raises about its input; programming errors inside it stay what they are.

>>> try:
...     raise BudgetError("prune: expected a share of the MACs up to 1, got 1.7; pass macs=0.5 to keep half")
... except NetgraphError as error:
...     print(error)
prune: expected a share of the MACs up to 1, got 1.7; pass macs=0.5 to keep half
"""

from typing import final

__all__ = [
    "NetgraphError",
    "ConversionError",
    "GraphError",
    "GraphFileError",
    "SurgeryError",
    "BudgetError",
    "HubError",
    "InterchangeError",
    "TrainingError",
    "UsageError",
    "ConversionWarning",
    "SurgeryWarning",
]


class NetgraphError(Exception):
    """The family of every error that netgraph raises; never raised itself."""


@final
class ConversionError(NetgraphError):
    """A module cannot be run on its example inputs, or a graph does not fit the module it is loaded into."""


@final
class GraphError(NetgraphError):
    """A structure, a state, a mask or a permutation is invalid, or two of them do not belong together."""


@final
class GraphFileError(NetgraphError):
    """A graph file is missing, corrupt, truncated, too large in its header, or of an unknown version."""


@final
class SurgeryError(NetgraphError):
    """A mask cannot be applied to a module: a layer would be left without channels or with unequal groups."""


@final
class BudgetError(NetgraphError):
    """A budget makes no sense, or nothing that may be pruned reaches it."""


@final
class HubError(NetgraphError):
    """A model or a dataset is unknown, is not to be had, or differs from its recorded sha256."""


@final
class InterchangeError(NetgraphError):
    """A PyG, NetworkX, DGL or ONNX graph cannot be read or written, or the package for it is absent."""


@final
class TrainingError(NetgraphError):
    """Training cannot start, go on or resume: a loss that is not finite, a checkpoint of another run."""


@final
class UsageError(NetgraphError):
    """An argument is wrong before any work starts: an unknown name, a bad value, a missing file."""


@final
class ConversionWarning(UserWarning):
    """A conversion is complete but connects less than it could: an operator without a rule was met."""


@final
class SurgeryWarning(UserWarning):
    """A module was cut rightly, but something beside it (its configuration, say) could not follow."""
