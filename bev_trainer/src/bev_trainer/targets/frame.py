"""All targets of one frame for one model, as tensors that can be batched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.model.config import ModelConfig
from bev_trainer.targets.labels import FrameLabels
from bev_trainer.targets.motion import motion_targets, unasked_cells
from bev_trainer.targets.objects import object_targets, path_targets
from bev_trainer.targets.occupancy import UNKNOWN, occupancy_target, semantic_target

# What can move, for heads without classes of their own.
MOVABLE = ('car', 'van', 'truck', 'bus', 'trailer', 'motorcycle', 'bicycle', 'pedestrian')

_MAYBE_UNKNOWN = ('occupancy', 'semantics', 'depth_bin')  # -1 where nothing counts


@dataclass(frozen=True, eq=False)
class FrameTargets:
    """Targets of B frames; those of heads that the model does not have are None.

    In batches those of occupancy, layers and depth are None, too, if nothing counts in any frame.

    Attributes:
        occupancy: int8 [B, 1, Y, X]: 1 occupied, 0 free, -1 does not count.
        semantics: int8 [B, C, Y, X], likewise.
        heatmap: [B, K, Y, X] in 0..1.
        existence: [B, 1, Y, X], 1 at the cell of an object's centre.
        boxes: [B, 10, Y, X] as the object head's regression: offset (2), z, log size (3), sine
            and cosine, velocity (2); NaN where nothing is asked.
        motion: [B, T + 1, Y, X], 1 where a road user is, NaN where nothing is asked.
        flow: [B, T + 1, 2, Y, X] in metres.
        places, velocity: [B, M, 4] and [B, M, 2] of the trajectory head; padded.
        offsets_m: [B, M, T, 2].
        path_valid: bool [B, M, T]; False for padding.
        depth_bin: int16 [B, N, h, w], -1 where nothing is asked; None without depth.
        view_heatmap: [B, N, K, h, w] in 0..1; see `view_targets`; None unless they are asked for.
        view_boxes: [B, N, 8, h, w], NaN where nothing is asked; likewise.
    """

    occupancy: Tensor | None = None
    semantics: Tensor | None = None
    heatmap: Tensor | None = None
    existence: Tensor | None = None
    boxes: Tensor | None = None
    motion: Tensor | None = None
    flow: Tensor | None = None
    places: Tensor | None = None
    velocity: Tensor | None = None
    offsets_m: Tensor | None = None
    path_valid: Tensor | None = None
    depth_bin: Tensor | None = None
    view_heatmap: Tensor | None = None
    view_boxes: Tensor | None = None

    def to(self, device: torch.device | str) -> FrameTargets:
        """Returns the same targets on a device."""
        return FrameTargets(
            **{
                item.name: None if value is None else value.to(device)
                for item in fields(self)
                for value in [getattr(self, item.name)]
            }
        )

    @classmethod
    def collate(cls, frames: Sequence[FrameTargets]) -> FrameTargets:
        """Returns the targets of several frames as a batch; lists of objects are padded."""
        batch: dict[str, Tensor | None] = {}
        for item in fields(cls):
            values = [getattr(frame, item.name) for frame in frames]
            if any(value is None for value in values):
                batch[item.name] = None
                continue
            if item.name in _MAYBE_UNKNOWN and all(bool((v < 0).all()) for v in values):
                batch[item.name] = None
                continue
            if item.name in ('places', 'velocity', 'offsets_m', 'path_valid'):
                batch[item.name] = _padded(values)
            else:
                batch[item.name] = torch.cat(values)
        return cls(**batch)


def frame_targets(
    labels: FrameLabels, config: ModelConfig, depth_bin: NDArray[np.int16] | None = None
) -> FrameTargets:
    """Returns the targets of one frame (batch 1) for a model.

    Args:
        labels: of the frame.
        config: of the model: its heads, classes, grids and horizons.
        depth_bin: [N, h, w] of `depth_bins_of` for its cameras.
    """
    made: dict[str, NDArray | None] = {'depth_bin': depth_bin}
    heads = config.heads
    if heads.occupancy is not None and heads.semantics is not None:
        grid, now = config.head_grid('occupancy'), labels.objects((0.0,))
        made['occupancy'] = occupancy_target(labels, now, grid)[None]
        made['semantics'] = semantic_target(labels, now, grid, heads.semantics.classes)
    if heads.objects is not None:
        made.update(_objects(labels, config, heads.objects.classes))
    if heads.motion is not None:
        classes = heads.objects.classes if heads.objects is not None else MOVABLE
        times_s = tuple(heads.motion.step_s * step for step in range(heads.motion.steps + 1))
        grid, ways = config.head_grid('motion'), labels.objects(times_s)
        maps, _ = motion_targets(ways, grid, classes)
        unasked = unasked_cells(ways, grid) & (maps.probability == 0)
        made['motion'] = np.where(unasked, np.float32(np.nan), maps.probability)
        made['flow'] = maps.flow_m
    return FrameTargets(
        **{
            name: None if array is None else torch.from_numpy(np.ascontiguousarray(array))[None]
            for name, array in made.items()
        }
    )


def _objects(
    labels: FrameLabels, config: ModelConfig, classes: Sequence[str]
) -> dict[str, NDArray]:
    grid, now = config.head_grid('objects'), labels.objects((0.0,))
    maps = object_targets(now, grid, classes)
    boxes = np.concatenate(
        [maps.center_offset, maps.center_z[None], maps.log_size, maps.yaw_sin_cos, maps.velocity]
    )
    centers = np.isfinite(maps.center_z)
    made: dict[str, NDArray] = {
        'heatmap': maps.heatmap,
        'boxes': boxes,
        'existence': centers[None].astype(np.float32),
    }
    section = config.heads.trajectories
    if section is not None:
        times_s = tuple(section.step_s * step for step in range(section.steps + 1))
        paths = path_targets(labels.objects(times_s), grid, classes)
        made |= {
            'places': paths.places,
            'velocity': paths.velocity,
            'offsets_m': paths.offsets_m,
            'path_valid': paths.valid,
        }
    return made


def _padded(values: Sequence[Tensor]) -> Tensor:
    longest = max(value.shape[1] for value in values)
    parts = []
    for value in values:
        padding = value.new_zeros(1, longest - value.shape[1], *value.shape[2:])
        parts.append(torch.cat([value, padding], dim=1))
    return torch.cat(parts)


__all__ = ['MOVABLE', 'UNKNOWN', 'FrameTargets', 'frame_targets']
