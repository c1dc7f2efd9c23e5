"""Trajectory head: several paths per object, each with a probability."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.heads.attention import Attention, init_linear
from bev_perception.model.heads.bev_query import ObjectPatches, to_base_axes, to_object_axes

_LAYERS = 2
# Brings usual speeds to the order of one.
_SPEED_UNIT_MPS = 10.0


class TrajectoryHead(nn.Module):
    """Paths of objects from BEV features around them (Gu et al. 2024, arXiv 2407.06683).

    Each of K learned mode queries, told the object's velocity, attends to the features around
    the object (`ObjectPatches`) and gives one path and its logit. Everything happens in the
    object's own frame; turning the scene turns the paths. A path is constant velocity v plus a
    learned mean deviation r_t, both in m/s: offset_t = t * step_s * (v + r_t). A fresh head
    says nearly constant velocity, with nearly equal probabilities. Objects do not see each other
    but in the features, so padding costs time alone.

    Args:
        in_channels: of the BEV features.
        channels: of the attention.
        modes: K, paths per object.
        steps: T, predicted steps after the present one.
        step_s: seconds between steps.
        grid: of the BEV features.
    """

    seconds: Tensor

    def __init__(
        self,
        in_channels: int,
        channels: int,
        modes: int,
        steps: int,
        step_s: float,
        grid: BevGrid,
    ) -> None:
        super().__init__()
        self.patches = ObjectPatches(grid, in_channels, channels)
        self.modes = nn.Parameter(torch.empty(modes, channels))
        self.velocity = nn.Linear(2, channels)
        self.layers = nn.ModuleList(_QueryLayer(channels) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(channels)
        self.hidden = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(2 * channels, 1 + 2 * steps)
        seconds = torch.arange(1, steps + 1, dtype=torch.float32) * step_s
        self.register_buffer('seconds', seconds, persistent=False)
        nn.init.normal_(self.modes)
        init_linear(self)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(
        self, bev: Tensor, places: Tensor, velocity: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns mode logits [B, M, K] and offsets [B, M, K, T, 2] in metres.

        Offsets lead from the object's present centre, along the axes of the base frame.

        Args:
            bev: [B, in_channels, Y, X].
            places: [B, M, 4], (x, y) in metres, sine and cosine of the heading, of any norm.
            velocity: [B, M, 2], (x, y) over ground in m/s, in the base frame.
            mask: bool [B, M], False where there is no object; results are zero there whatever
                the place holds. None means that all are objects.
        """
        if mask is not None:
            places = places.masked_fill(~mask[..., None], 0.0)
            velocity = velocity.masked_fill(~mask[..., None], 0.0)
        sin_cos = functional.normalize(places[..., 2:], dim=-1)
        places = torch.cat([places[..., :2], sin_cos], dim=-1)
        own_mps = to_object_axes(velocity, sin_cos)

        logits, deviation_mps = self._modes(self.patches(bev, places), own_mps)
        path_m = self.seconds[:, None] * (own_mps[:, :, None, None] + deviation_mps)
        offsets_m = to_base_axes(path_m, sin_cos[:, :, None, None])
        if mask is not None:
            logits = logits.masked_fill(~mask[..., None], 0.0)
            offsets_m = offsets_m.masked_fill(~mask[..., None, None, None], 0.0)
        return logits, offsets_m

    def _modes(self, tokens: Tensor, own_mps: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits [B, M, K] and deviations [B, M, K, T, 2] of tokens [B, M, Q, C]."""
        objects = tokens.shape[:2]
        condition = self.velocity((own_mps / _SPEED_UNIT_MPS).to(tokens.dtype))
        queries = (condition[:, :, None] + self.modes).flatten(0, 1)
        keys = tokens.flatten(0, 1)
        for layer in self.layers:
            queries = layer(queries, keys)
        hidden = functional.gelu(self.hidden(self.norm(queries)))
        out = self.out(hidden).unflatten(0, objects).to(own_mps.dtype)
        return out[..., 0], out[..., 1:].unflatten(-1, (-1, 2))


class _QueryLayer(nn.Module):
    """Cross-attention and a feed-forward network, each added to normalised queries."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(channels)
        self.attention = Attention(channels)
        self.norm_forward = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Returns [N, K, C] of queries [N, K, C] and keys [N, Q, C]."""
        queries = queries + self.attention(self.norm_attention(queries), keys)
        hidden = functional.gelu(self.widen(self.norm_forward(queries)))
        return queries + self.narrow(hidden)
