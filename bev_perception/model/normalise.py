"""Image normalisation inside the model, so that every caller feeds plain RGB 0..255."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """(image - mean) / std per colour, as one multiply-add."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean_rgb: Sequence[float], std_rgb: Sequence[float]) -> None:
        super().__init__()
        mean = torch.tensor(mean_rgb, dtype=torch.float64).view(1, 3, 1, 1)
        std = torch.tensor(std_rgb, dtype=torch.float64).view(1, 3, 1, 1)
        self.register_buffer('scale', (1.0 / std).float(), persistent=False)
        self.register_buffer('shift', (-mean / std).float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Returns float [M, 3, H, W], channels-last, of RGB images 0..255 (uint8 or float)."""
        pixels = images.to(dtype=self.scale.dtype, memory_format=torch.channels_last)
        return torch.addcmul(self.shift, pixels, self.scale)
