"""Features of nodes on their way into a network: mostly zeros, and then multiplied as such."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from netgraph.linkpred.dropout import dropout
from netgraph.linkpred.sparse import SparseRows, sparse_product

__all__ = ["FeatureLinear", "Features", "read_features"]

_SPARSE: Final = 0.2
"""Share of numbers other than zero up to which the sparse product is the faster one."""

_read: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


@final
@dataclass(frozen=True, eq=False)
class Features:
    """Rows of features `(N, F)`, some of whose columns may be kept as a sparse matrix.

    Attributes:
        places, value: the sparse columns, which come first; None for none.
        dense: the others, `(N, F')`; None for none.

    >>> x = torch.tensor([[0.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    >>> features = Features(*read_features(x))
    >>> torch.equal(features.to_dense(), x)
    True
    """

    places: SparseRows | None = None
    value: Tensor | None = None
    dense: Tensor | None = None

    def dropout(self, p: float) -> Features:
        """Each number zero with probability `p`, and the others larger by 1 / (1 - p)."""
        if p == 0:
            return self
        value, dense = (None if t is None else dropout(t, p) for t in (self.value, self.dense))
        return replace(self, value=value, dense=dense)

    def first(self, rows: int) -> Features:
        """The first rows."""
        places, value, dense = self.places, self.value, self.dense
        if places is not None and value is not None:
            ptr = places.ptr[: rows + 1]
            count = int(ptr[-1])
            places, value = SparseRows(ptr, places.col[:count], places.columns), value[:count]
        return Features(places, value, None if dense is None else dense[:rows])

    def to_dense(self) -> Tensor:
        """As one tensor, `(N, F)`."""
        parts = [] if self.dense is None else [self.dense]
        if self.places is not None and self.value is not None:
            shape = len(self.places.ptr) - 1, self.places.columns
            wide = self.value.new_zeros(shape).index_put((self.places.row, self.places.col), self.value)
            parts.insert(0, wide)
        return torch.cat(parts, dim=1)


def read_features(x: Tensor) -> tuple[SparseRows | None, Tensor | None, Tensor | None]:
    """Features `(N, F)` as the parts of `Features`: sparse on a CPU if most numbers are zero.

    What was found is remembered as long as the tensor lives and is not written to.
    """
    version = None if x.is_inference() else x._version
    found = _read.get(x)
    if found is None or found[0] != version:
        found = version, _sparse(x)
        _read[x] = found
    places, value = found[1]
    return (None, None, x) if places is None else (places, value, None)


def _sparse(x: Tensor) -> tuple[SparseRows | None, Tensor | None]:
    if x.device.type != "cpu" or x.requires_grad or int(x.count_nonzero()) > _SPARSE * x.numel():
        return None, None
    row, col = x.nonzero(as_tuple=True)
    ptr = row.new_zeros(len(x) + 1)
    ptr[1:] = torch.bincount(row, minlength=len(x)).cumsum(0)
    return SparseRows(ptr, col, x.size(1)), x[row, col]


@final
class FeatureLinear(nn.Module):
    """A linear layer whose input is a tensor `(N, F)` or `Features`.

        out = x W + b

    Args:
        in_channels: F.
        out_channels: of the output.
        bias: whether there is *b*.

    >>> FeatureLinear(3, 2)(torch.ones(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        # (in, out): the sparse product reads a row of weights per feature that is there.
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as `nn.Linear` does."""
        bound = self.in_channels**-0.5 if self.in_channels else 0.0
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor | Features) -> Tensor:
        """`(N, F)` to `(N, out_channels)`."""
        if isinstance(x, Tensor):
            out = x @ self.weight
        else:
            split = 0 if x.places is None else x.places.columns
            parts = []
            if x.places is not None and x.value is not None:
                parts.append(sparse_product(x.places, self.weight[:split], x.value.to(self.weight.dtype)))
            if x.dense is not None:
                parts.append(x.dense.to(self.weight.dtype) @ self.weight[split:])
            out = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return out if self.bias is None else out + self.bias
