"""Losses of the occupancy head and of depth: log losses over what counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

UNKNOWN = -1


def masked_log_loss(logits: Tensor, target: Tensor, pos_weight: float = 1.0) -> Tensor:
    """Returns the mean log loss of cells that count, each channel by itself, then over channels.

    Channels in which nothing counts are left out; 0 if that is all of them.

    Args:
        logits: [B, C, Y, X].
        target: int8 [B, C, Y, X]: 1, 0, or -1 where nothing counts.
        pos_weight: how many times a cell counts in which the layer is. (LSS, Philion and Fidler
            2020, and Simple-BEV, Harley et al. 2022, use 2.13.) Other than 1 it shifts the
            probabilities, which calibration puts right.
    """
    counts = target != UNKNOWN
    truth = (target == 1).to(logits.dtype)
    weight = torch.where(truth > 0, pos_weight, 1.0) * counts
    loss = functional.binary_cross_entropy_with_logits(logits, truth, reduction='none') * weight
    per_channel = loss.sum(dim=(0, 2, 3)) / weight.sum(dim=(0, 2, 3)).clamp(min=1.0)
    present = counts.any(dim=0).any(dim=-1).any(dim=-1)
    return (per_channel * present).sum() / present.sum().clamp(min=1)


def depth_loss(depth: Tensor, target: Tensor) -> Tensor:
    """Returns the cross entropy of the depth of pixels that are known; 0 if none is.

    BEVDepth (Li et al. 2022, eq. 3) sums binary cross entropies over the bins; with a softmax
    over the bins the categorical one is the likelihood itself.

    Args:
        depth: [B, N, D, h, w] probabilities.
        target: int16 [B, N, h, w] bins, -1 where unknown.
    """
    known = target >= 0
    index = target.clamp(min=0).long()[:, :, None]
    likelihood = depth.float().gather(2, index)[:, :, 0].clamp(min=1e-6)
    return -(likelihood.log() * known).sum() / known.sum().clamp(min=1)
