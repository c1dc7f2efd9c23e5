"""Ego motion as PowerBEV's weights know it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bev_perception.model.memory import MemoryMotion

# Translation and rotation about x, y and z.
EGO_CHANNELS = 6
# nuScenes has two annotated frames a second.
FRAME_STEP_S = 0.5


@dataclass(frozen=True, eq=False)
class PastFrames:
    """The two frames before the present one, older first.

    Attributes:
        slot: int64 [B, 2], memory slot of the frame.
        known: bool [B], there is a past at all.
        source_T_target: float32 [B, 2, 2, 3], where the published warp reads a point of the
            present frame in the past one, metres.
        ego: float32 [B, 3, 6], motion of the vehicle up to each frame, the present one last:
            x, y, z in metres, then angles about x, y, z in rad; zero for the oldest.
    """

    slot: Tensor
    known: Tensor
    source_T_target: Tensor
    ego: Tensor


def past_frames(motion: MemoryMotion) -> PastFrames:
    """Returns which remembered maps stand for half a second and one second ago, and how they lie.

    The slots nearest to these ages are taken, so frames may come faster than in the training
    data when the memory has slots enough. A frame that is missing counts as one at rest.
    """
    slot = torch.stack([_nearest_slot(motion, n * FRAME_STEP_S) for n in (2, 1)], dim=1)
    known = motion.keep.any(dim=1)
    before_T_now = motion.read.gather(1, slot[..., None, None].expand(-1, -1, 2, 3))
    identity = torch.eye(2, 3, device=slot.device).expand_as(before_T_now)
    before_T_now = torch.where(known[:, None, None, None], before_T_now, identity)
    oldest_T_now, last_T_now = before_T_now.unbind(dim=1)
    now_T_last = _inverse(last_T_now)
    last_T_oldest = _product(last_T_now, _inverse(oldest_T_now))
    steps = [_pose_vector(last_T_oldest), _pose_vector(now_T_last)]
    ego = torch.stack([torch.zeros_like(steps[0]), *steps], dim=1)
    # The published program multiplies the steps in this order, which is that of time reversed.
    accumulated = _product(last_T_oldest, now_T_last)
    reads = [_published_read(accumulated), _published_read(now_T_last)]
    return PastFrames(slot, known, torch.stack(reads, dim=1), ego)


def _nearest_slot(motion: MemoryMotion, age_s: float) -> Tensor:
    """Returns int64 [B], the slot in use whose content is most nearly so old."""
    off_s = (motion.gap_s - age_s).abs().masked_fill(~motion.keep, torch.inf)
    return off_s.argmin(dim=1)


def _published_read(later_T_earlier: Tensor) -> Tensor:
    """Returns [B, 2, 3]: where the published warp looks up a point of the later frame.

    Its rotation is the inverse, as it should be. The translation is subtracted along x without
    being rotated, and added along y: what is exact for a vehicle that drives straight on.
    """
    rotation = later_T_earlier[:, :, :2].transpose(1, 2)
    x_m, y_m = later_T_earlier[:, :, 2].unbind(dim=1)
    return torch.cat([rotation, torch.stack([-x_m, y_m], dim=1)[..., None]], dim=2)


def _pose_vector(transform: Tensor) -> Tensor:
    """Returns [B, 6] of planar transforms [B, 2, 3]; height and tilt are zero."""
    x_m, y_m = transform[:, :, 2].unbind(dim=1)
    yaw_rad = torch.atan2(transform[:, 1, 0], transform[:, 0, 0])
    none = torch.zeros_like(x_m)
    return torch.stack([x_m, y_m, none, none, none, yaw_rad], dim=1)


def _inverse(transform: Tensor) -> Tensor:
    rotation = transform[:, :, :2].transpose(1, 2)
    return torch.cat([rotation, -rotation @ transform[:, :, 2:]], dim=2)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Returns [B, 2, 3]: `right` first, then `left`."""
    product = left[:, :, :2] @ right
    return torch.cat([product[:, :, :2], product[:, :, 2:] + left[:, :, 2:]], dim=2)
