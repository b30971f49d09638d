"""Message passing over the blocks of a network, and the metanetwork that rewrites one."""

from netgraph.nn.block_edges import BlockEdges
from netgraph.nn.config import MetanetworkConfig
from netgraph.nn.factorised import FactorisedConfig, FactorisedMetanetwork, Reading
from netgraph.nn.layer import BlockMessageLayer
from netgraph.nn.metanetwork import Metanetwork
from netgraph.nn.node_codec import NodeDecoder, NodeEncoder
from netgraph.nn.plan import MessagePlan, message_plan
from netgraph.nn.roles import ROLES, tensor_roles
from netgraph.nn.symmetry import Canonical, Symmetric, SymmetryKind, canonical
from netgraph.nn.windows import from_windows, to_windows, windows_of

__all__ = [
    "ROLES",
    "BlockEdges",
    "BlockMessageLayer",
    "Canonical",
    "FactorisedConfig",
    "FactorisedMetanetwork",
    "MessagePlan",
    "Metanetwork",
    "MetanetworkConfig",
    "NodeDecoder",
    "NodeEncoder",
    "Reading",
    "Symmetric",
    "SymmetryKind",
    "canonical",
    "from_windows",
    "message_plan",
    "tensor_roles",
    "to_windows",
    "windows_of",
]
