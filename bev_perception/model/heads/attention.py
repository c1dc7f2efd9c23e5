"""Multi-head attention, as the heads use it."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

_HEADS = 4


class Attention(nn.Module):
    """Scaled dot-product attention of queries to keys (Vaswani et al. 2017, section 3.2).

    Four heads, or as many as divide the channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = math.gcd(channels, _HEADS)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        init_linear(self)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Returns [N, Q, C] of queries [N, Q, C] and keys [N, S, C]."""
        key, value = self.key_value(keys).chunk(2, dim=-1)
        query = self._split(self.query(queries))
        found = functional.scaled_dot_product_attention(
            query, self._split(key), self._split(value)
        )
        return self.out(found.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        """Returns [N, heads, S, C / heads] of [N, S, C]."""
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


def init_linear(module: nn.Module) -> None:
    """Initialises every linear layer below `module`: Glorot and Bengio 2010, zero bias."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
