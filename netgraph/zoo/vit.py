"""A small vision transformer."""

from __future__ import annotations

from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError

__all__ = ["TransformerBlock", "ViT"]


@final
class TransformerBlock(nn.Module):
    """Attention and a two-layer network, both after a norm and beside a shortcut.

    `x += proj(attention(qkv(norm1(x))))`, then `x += fc2(gelu(fc1(norm2(x))))`.

    Shapes: `(B, N, dim)` to the same.

    Args:
        dim: features of a token.
        heads: attention heads; divides `dim`.
        mlp: features inside the two-layer network.

    Paper: Vaswani et al., Attention Is All You Need, NeurIPS 2017; Dosovitskiy et al., ICLR 2021.

    >>> import torch
    >>> TransformerBlock(8, 2, 16)(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, mlp)
        self.fc2 = nn.Linear(mlp, dim)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(self.norm1(x)).chunk(3, 2)
        q, k, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in parts)
        mixed = F.scaled_dot_product_attention(q, k, v)  # (B, H, N, dim / H)
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


@final
class ViT(nn.Module):
    """Patches, position table, transformer blocks, norm, linear.

    Shapes: `(B, in_channels, image_size, image_size)` to logits `(B, classes)`.

    Args:
        dim: features of a token.
        depth: number of blocks.
        heads: attention heads; divides `dim`.
        mlp: features inside the two-layer networks; None for `2 * dim`.
        patch: pixels a side of a patch; divides `image_size`.
        pool: what the classifier reads: `"token"` (an extra token) or `"mean"` (over all tokens).
        classes: number of logits.
        in_channels: channels of the picture.
        image_size: height and width of the picture.

    Raises:
        UsageError: a size below one or that does not divide, or an unknown pooling.

    Paper: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021.

    >>> import torch
    >>> net = ViT(dim=16, depth=1, heads=2, pool="mean")
    >>> net(torch.zeros(2, 1, 8, 8)).shape, tuple(net.positions.shape)
    (torch.Size([2, 10]), (1, 16, 16))
    """

    def __init__(
        self,
        dim: int = 32,
        depth: int = 2,
        heads: int = 4,
        mlp: int | None = None,
        patch: int = 2,
        pool: Literal["token", "mean"] = "token",
        classes: int = 10,
        in_channels: int = 1,
        image_size: int = 8,
    ) -> None:
        super().__init__()
        inside = 2 * dim if mlp is None else mlp
        sizes = (dim, depth, heads, inside, patch, classes, in_channels, image_size)
        if min(sizes) < 1 or dim % heads or image_size % patch or pool not in ("token", "mean"):
            raise UsageError(
                f"ViT: expected sizes of at least 1, heads that divide dim, a patch that divides image_size, "
                f"and pool 'token' or 'mean', got dim={dim}, depth={depth}, heads={heads}, mlp={inside}, "
                f"patch={patch}, classes={classes}, in_channels={in_channels}, image_size={image_size}, "
                f"pool={pool!r}; use e.g. dim=32, depth=2, heads=4"
            )
        tokens = (image_size // patch) ** 2 + (pool == "token")
        self.patches = nn.Conv2d(in_channels, dim, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, dim)) if pool == "token" else None
        self.positions = nn.Parameter(0.02 * torch.randn(1, tokens, dim))
        self.blocks = nn.Sequential(*(TransformerBlock(dim, heads, inside) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.linear = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)  # (B, N, dim)
        if self.token is not None:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        x = self.norm(self.blocks(x + self.positions))
        return self.linear(x.mean(1) if self.token is None else x[:, 0])
