"""What image encoders hand to view transforms."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageFeatures:
    """What the image encoder says about every camera; exact zeros where masked.

    Attributes:
        context: [B, N, C, h, w].
        depth: [B, N, D, h, w] probabilities; None for a model that predicts none.
    """

    context: Tensor
    depth: Tensor | None
