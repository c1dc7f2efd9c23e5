"""Image features and depth reduced along the height: one vector per image column."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev_perception.model.layers import init_output, init_trunk


class PrimeExtraction(nn.Module):
    """What matters of each image column (Zhou et al. 2022, MatrixVT, section 3.3).

    A column of the image shows little more than one thing worth lifting, so that its rows may
    be merged before the view transform. Features: a gate that knows where in the image it is
    weighs each pixel, the maximum over the rows is kept, and its neighbours along the row refine
    it. Depth: the mean over the rows under an attention that adds up to one, so that it stays a
    distribution. There is no normalisation over the batch: no camera changes another's result.

    Args:
        channels: C of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Conv2d(channels, channels, 1)
        self.gate_place = nn.Conv2d(2, channels, 1, bias=False)
        self.refine = nn.Sequential(
            nn.Conv2d(channels, channels, (1, 3), padding=(0, 1), bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, (1, 3), padding=(0, 1)),
        )
        self.attention = nn.Conv2d(channels, channels, 1)
        self.attention_place = nn.Conv2d(2, channels, 1, bias=False)
        self.row_logit = nn.Conv2d(channels, 1, 1)
        init_trunk(self)
        init_output(self.row_logit)

    def forward(self, context: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features [M, C, w] and depth probabilities [M, D, w].

        Args:
            context: [M, C, h, w].
            depth: [M, D, h, w] probabilities.
        """
        place = _place(context)
        gate = torch.sigmoid(self.gate(context) + self.gate_place(place))
        merged = (self.value(context) * gate).amax(dim=2, keepdim=True)
        features = merged + self.refine(merged)
        hidden = torch.relu(self.attention(context) + self.attention_place(place))
        share = self.row_logit(hidden).softmax(dim=2).to(depth.dtype)
        return features.squeeze(2), (depth * share).sum(dim=2)


def _place(like: Tensor) -> Tensor:
    """Returns [1, 2, h, w]: row and column of each pixel centre, from -1 to 1 over the image."""
    height, width = like.shape[-2:]
    rows = (torch.arange(height, device=like.device, dtype=like.dtype) * 2 + 1) / height - 1
    columns = (torch.arange(width, device=like.device, dtype=like.dtype) * 2 + 1) / width - 1
    shape = (height, width)
    return torch.stack([rows[:, None].expand(shape), columns.expand(shape)])[None]
