"""Losses of the object head: centre heatmaps and boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ALPHA, _BETA = 2.0, 4.0


def center_focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Returns the focal loss of centre heatmaps, per object centre.

    CornerNet (Law and Deng 2018, eq. 1), as in CenterNet and CenterPoint: cells near a centre are
    punished less the higher the target is there.

    Args:
        logits: [B, K, Y, X].
        target: [B, K, Y, X] in 0..1, exactly 1 at centres.
    """
    logits = logits.float()
    probability = logits.sigmoid()
    center = target >= 1.0
    hit = functional.logsigmoid(logits) * (1.0 - probability) ** _ALPHA * center
    miss = functional.logsigmoid(-logits) * probability**_ALPHA * (1.0 - target) ** _BETA
    return -(hit + miss * ~center).sum() / center.sum().clamp(min=1)


def box_loss(found: Tensor, target: Tensor) -> Tensor:
    """Returns the mean absolute error of box regressions where they are known; 0 if nowhere.

    Args:
        found: [B, 10, Y, X].
        target: [B, 10, Y, X], NaN where nothing is asked.
    """
    known = torch.isfinite(target)
    error = (found.float() - torch.where(known, target, 0.0)).abs() * known
    per_channel = error.sum(dim=(0, 2, 3)) / known.sum(dim=(0, 2, 3)).clamp(min=1)
    return per_channel.sum()
