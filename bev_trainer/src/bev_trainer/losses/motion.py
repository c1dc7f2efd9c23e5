"""Losses of the motion head and of the trajectory head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_TOP_SHARE = 0.25
_DISCOUNT = 0.95  # of each further step


def segmentation_loss(logits: Tensor, target: Tensor, pos_weight: float = 1.0) -> Tensor:
    """Returns the log loss of the hardest quarter of the cells of each step, discounted ahead.

    FIERY (Hu et al. 2021, appendix): the top 25 % of cells, 0.95 per step.

    Args:
        logits: [B, T + 1, Y, X].
        target: [B, T + 1, Y, X]: 1, 0, or NaN where nothing counts.
        pos_weight: how many times a cell counts in which a road user is.
    """
    known = torch.isfinite(target)
    truth = torch.where(known, target, 0.0)
    weight = torch.where(truth > 0, pos_weight, 1.0) * known
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), truth, weight, reduction='none'
    ).flatten(2)
    hardest = loss.topk(max(1, int(_TOP_SHARE * loss.shape[-1])), dim=-1).values.mean(dim=(0, 2))
    return (hardest * _discounts(hardest)).mean()


def flow_loss(flow: Tensor, target: Tensor, motion: Tensor) -> Tensor:
    """Returns the smooth absolute error in metres of the flow of road users' cells.

    PowerBEV (Li et al. 2023, section 3.4), discounted ahead.

    Args:
        flow: [B, T + 1, 2, Y, X] in metres.
        target: likewise.
        motion: [B, T + 1, Y, X], 1 where a road user is.
    """
    inside = (motion > 0.5)[:, :, None]
    error = functional.smooth_l1_loss(flow.float(), target, reduction='none') * inside
    per_step = error.sum(dim=(0, 2, 3, 4)) / inside.sum(dim=(0, 2, 3, 4)).clamp(min=1)
    return (per_step * _discounts(per_step)).mean()


def trajectory_loss(logits: Tensor, offsets_m: Tensor, target_m: Tensor, valid: Tensor) -> Tensor:
    """Returns what the best mode is off, and how unlikely it was said to be; 0 without objects.

    The winner takes it all: only the mode nearest to what came is drawn to it, and the
    probabilities learn which one that is (MultiPath, Chai et al. 2019, eq. 3).

    Args:
        logits: [B, M, K] of the modes.
        offsets_m: [B, M, K, T, 2].
        target_m: [B, M, T, 2].
        valid: bool [B, M, T].
    """
    steps = valid.sum(dim=-1)
    error = functional.smooth_l1_loss(
        offsets_m.float(), target_m[:, :, None].expand_as(offsets_m), reduction='none'
    ).sum(dim=-1)
    error = (error * valid[:, :, None]).sum(dim=-1) / steps.clamp(min=1)[..., None]
    best, winner = error.min(dim=-1)
    surprise = functional.cross_entropy(
        logits.float().flatten(0, 1), winner.flatten(), reduction='none'
    ).view_as(best)
    known = steps > 0
    return ((best + surprise) * known).sum() / known.sum().clamp(min=1)


def _discounts(steps: Tensor) -> Tensor:
    return _DISCOUNT ** torch.arange(len(steps), device=steps.device, dtype=steps.dtype)
