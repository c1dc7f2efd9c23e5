"""PowerBEV as published, streaming, its results in the base frame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.image_features import ImageFeatures
from bev_perception.model.memory import MemoryMotion, MemoryState, warp
from bev_perception.model.normalise import Normalise
from bev_perception.model.outputs import ModelOutputs
from bev_perception.model.published.point_lift import PointLift, SplatMatrices
from bev_perception.model.published.power_bev_encoder import (
    COARSEST_STRIDE,
    FEATURE_STRIDE,
    PowerBevEncoder,
)
from bev_perception.model.published.power_bev_head import MultiBranchPredictor
from bev_perception.model.published.power_bev_motion import EGO_CHANNELS, PastFrames, past_frames
from bev_perception.model.published.stages import (
    MEAN_RGB,
    STD_RGB,
    PublishedStages,
    check_multiples,
    depth_and_context,
)
from bev_perception.model.view_transform.camera_mask import without_masked
from bev_perception.model.view_transform.lift_matrix import splat

FRAMES = 3


@dataclass(frozen=True)
class PowerBevSetup:
    """Sizes of PowerBEV; the defaults are those of the published long-range model.

    The published map [x, y] is, transposed, the grid in the base frame (the ego frame of
    nuScenes, on the ground under the rear axle). The short-range model has `extent_m` 15.

    Attributes:
        extent_m: reach of the grid ahead, behind and to both sides.
        cells: along an edge of the grid.
        steps_ahead: T predicted steps of half a second.
        first_depth_m: nearest depth.
        depth_step_m: between depths.
        depths: number of depths.
        floor_m: lower end of what is lifted.
        height_m: of what is lifted.
        image_height: of the model's input, pixels.
        image_width: likewise.
        channels: of the BEV features of a frame.
    """

    extent_m: float = 50.0
    cells: int = 200
    steps_ahead: int = 4
    first_depth_m: float = 2.0
    depth_step_m: float = 1.0
    depths: int = 48
    floor_m: float = -10.0
    height_m: float = 20.0
    image_height: int = 224
    image_width: int = 480
    channels: int = 64

    def __post_init__(self) -> None:
        check_multiples(
            'PowerBEV',
            ('cells', self.cells, 2),
            ('image_height', self.image_height, COARSEST_STRIDE),
            ('image_width', self.image_width, COARSEST_STRIDE),
        )
        if not (self.extent_m > 0 and self.height_m > 0 and self.steps_ahead >= 1):
            raise ConfigError(f'PowerBEV: extents must be > 0 and steps_ahead >= 1, got {self}')

    def grid(self) -> BevGrid:
        """Returns the grid of the results, in the base frame."""
        resolution_m = 2.0 * self.extent_m / self.cells
        return BevGrid(-self.extent_m, -self.extent_m, resolution_m, self.cells, self.cells)

    def lift(self) -> PointLift:
        """Returns the geometry of the lifted points."""
        return PointLift(
            grid=self.grid(),
            floor_m=self.floor_m,
            height_m=self.height_m,
            first_depth_m=self.first_depth_m,
            depth_step_m=self.depth_step_m,
            depths=self.depths,
            image_height=self.image_height,
            image_width=self.image_width,
            stride=FEATURE_STRIDE,
        )


@dataclass(frozen=True, eq=False)
class PowerBevMaps:
    """Everything that PowerBEV predicts, from one step before the present on.

    Attributes:
        logits: [B, T + 2, Y, X], vehicle minus background: its sigmoid is their softmax.
        flow_m: [B, T + 2, 2, Y, X], (x, y) in metres from the cell to the centre of its vehicle
            one step (half a second) earlier.
    """

    logits: Tensor
    flow_m: Tensor


class PowerBev(PublishedStages[PowerBevSetup]):
    """PowerBEV (Li et al. 2023, arXiv 2306.10761), one new frame at a time.

    Four stages: `encode`, `lift`, `remember` and `decode`. The published program encodes three
    frames of images in every call; here the BEV maps of past frames are kept as they were lifted
    and warped from there, which gives the same numbers. Parameters have the published names, but
    for the EfficientNet.

    Args:
        setup: sizes.
        slots: past maps that are kept: as many as there are frames in a second. Two, for frames
            half a second apart, is what the weights were trained on; of faster frames those
            nearest to that are taken (`past_frames`).
    """

    name = 'PowerBEV'
    heads = frozenset({'occupancy', 'motion'})

    def __init__(self, setup: PowerBevSetup | None = None, slots: int = FRAMES - 1) -> None:
        super().__init__()
        if slots < FRAMES - 1:
            raise ConfigError(f'PowerBEV: needs at least {FRAMES - 1} memory slots, got {slots}')
        self.setup = PowerBevSetup() if setup is None else setup
        self.slots = slots
        self.normalise = Normalise(MEAN_RGB, STD_RGB)
        self.encoder = PowerBevEncoder(self.setup.depths, self.setup.channels)
        self.stconv = MultiBranchPredictor(
            self.setup.channels + EGO_CHANNELS, FRAMES, self.setup.steps_ahead + 2
        )

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> SplatMatrices:
        """Returns the geometry of one rig; see `ViewTransform.build`."""
        return self.setup.lift().build(cameras, valid)

    def lift(
        self,
        features: ImageFeatures,
        camera_mask: Tensor,
        matrices: SplatMatrices,
        radar: Tensor | None = None,
    ) -> Tensor:
        """Returns BEV features [B, C, Y, X] of this frame.

        Raises:
            ConfigError: there is radar, which this model does not take.
        """
        self._refuse(radar)
        assert features.depth is not None
        context = without_masked(features.context, camera_mask)
        return splat(context, without_masked(features.depth, camera_mask), matrices.lift)

    def remember(
        self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion | None
    ) -> tuple[Tensor, MemoryState]:
        """Returns three frames seen from the present one, and the state for the next frame.

        The result is [B, 3 * (C + 6), Y, X], oldest first: features, then the vehicle's motion
        since the frame before (its height and tilt as zero). The warp is the published one,
        see `past_frames`. Where no past is known the present stands in for it.

        Args:
            bev: [B, C, Y, X] of this frame.
            state: of the frame before; None: there was none.
            motion: of a ring with `slots` slots (`MemoryFrames`); None: no past.
        """
        if state is None:
            state = self._empty_state(bev)
        if motion is None:
            motion = MemoryMotion.none(len(bev), self.slots, bev.device)
        past = past_frames(motion)
        ego = past.ego.to(bev.dtype)[:, :, None, None].expand(-1, -1, *bev.shape[-2:], -1)
        parts = []
        for n in range(FRAMES):
            frame = bev if n == FRAMES - 1 else self._past_map(bev, state, past, n)
            parts += [frame.permute(0, 2, 3, 1), ego[:, n]]
        return torch.cat(parts, dim=-1).permute(0, 3, 1, 2), _pushed(state, bev)

    def decode(self, bev: Tensor, heads: Collection[str]) -> ModelOutputs:
        """Returns vehicles now and ahead.

        `motion_flow` at t = 0 is the predicted way to the vehicle's centre half a second ago: no
        published output points at the present centre. The cells of a vehicle still agree on one
        place, so they are grouped all the same.

        Args:
            bev: [B, 3 * (C + 6), Y, X] of `remember`.
            heads: 'motion', and 'occupancy' for its present vehicles as occupied cells.

        Raises:
            ConfigError: the model has no head of that name.
        """
        self._check_heads(heads)
        maps = self.maps(bev)
        present = maps.logits[:, 1:2] if 'occupancy' in heads else None
        return ModelOutputs(
            occupancy_logits=present,
            semantic_logits=present,
            motion_logits=maps.logits[:, 1:] if 'motion' in heads else None,
            motion_flow=maps.flow_m[:, 1:] if 'motion' in heads else None,
        )

    def maps(self, bev: Tensor) -> PowerBevMaps:
        """Returns all that is predicted, the step before included, on what `remember` returned."""
        logits, flow = self.stconv(bev.transpose(-1, -2))
        # Published flow is (column, row) in cells of a map [x, y].
        flow_m = flow.transpose(-1, -2).flip(2) * self.setup.grid().resolution_m
        background, vehicle = logits.transpose(-1, -2).unbind(dim=2)
        return PowerBevMaps(vehicle - background, flow_m)

    def _image_features(self, encoded: Tensor) -> ImageFeatures:
        return depth_and_context(encoded, self.setup.depths)

    def _encoded(self, images: Tensor) -> Tensor:
        features: Tensor = self.encoder(self.normalise(images))
        return features

    def _past_map(self, bev: Tensor, state: MemoryState, past: PastFrames, n: int) -> Tensor:
        """Returns [B, C, Y, X]: the n-th past map seen from the present frame."""
        sample = torch.arange(len(bev), device=bev.device)
        kept = state.features[sample, past.slot[:, n]].to(bev.dtype)
        features = torch.where(past.known[:, None, None, None], kept, bev)
        return warp(features, past.source_T_target[:, n], self.setup.grid())

    def _empty_state(self, bev: Tensor) -> MemoryState:
        batch, channels, size_y, size_x = bev.shape
        maps = bev.new_zeros(batch, self.slots, size_y, size_x, channels)
        known = bev.new_zeros(batch, self.slots, size_y, size_x, 1)
        return MemoryState(maps.permute(0, 1, 4, 2, 3), known.permute(0, 1, 4, 2, 3))


def _pushed(state: MemoryState, bev: Tensor) -> MemoryState:
    """Returns the state with `bev` as its newest map and the oldest gone, channels innermost."""
    newest = bev.permute(0, 2, 3, 1)[:, None].to(state.features.dtype)
    maps = torch.cat([newest, state.features[:, :-1].permute(0, 1, 3, 4, 2)], dim=1)
    known = torch.cat([torch.ones_like(state.known[:, :1]), state.known[:, :-1]], dim=1)
    return MemoryState(maps.permute(0, 1, 4, 2, 3), known)
