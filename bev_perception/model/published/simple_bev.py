"""Simple-BEV as published, its results in the base frame."""

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
from bev_perception.model.normalise import Normalise
from bev_perception.model.outputs import ModelOutputs
from bev_perception.model.published.simple_bev_decoder import (
    CELLS_MULTIPLE,
    HeightCompressor,
    SimpleBevDecoder,
    SimpleBevMaps,
)
from bev_perception.model.published.simple_bev_encoder import (
    COARSEST_STRIDE,
    FEATURE_STRIDE,
    SimpleBevEncoder,
)
from bev_perception.model.published.simple_bev_lift import VoxelLift, VoxelMatrices, lift_voxels
from bev_perception.model.published.stages import (
    MEAN_RGB,
    STD_RGB,
    PublishedStages,
    check_multiples,
)

SEMANTIC_CLASSES = ('vehicle',)
# Labels hold twice the offset, see `SimpleBevMaps`.
OFFSET_SCALE = 2.0


@dataclass(frozen=True)
class SimpleBevSetup:
    """Sizes of Simple-BEV; the defaults are those of the published RGB model.

    The published voxels lie in the frame of a reference camera, the front one in evaluation and
    any in training: x to the right, y down, z ahead, 50 m to each side, ahead and behind, from
    4 m above to 6 m below the camera. Here the reference is level and looks along x, at
    `reference_m` of the base frame. So the published map [z, x] is, transposed and flipped, the
    grid in the base frame whose middle is the reference; no re-sampling takes place.

    Attributes:
        reference_m: (x, y, z) of the reference in the base frame; default: the front camera of
            nuScenes, base frame on the ground under the rear axle.
        extent_m: reach of the grid ahead, behind and to both sides of the reference.
        cells: along an edge of the grid.
        above_m: how far above the reference the volume begins.
        level_height_m: height of a voxel.
        levels: voxels above one another.
        image_height: of the model's input, pixels.
        image_width: likewise.
        channels: of the features.
    """

    reference_m: tuple[float, float, float] = (1.70, 0.016, 1.51)
    extent_m: float = 50.0
    cells: int = 200
    above_m: float = 4.0
    level_height_m: float = 1.25
    levels: int = 8
    image_height: int = 448
    image_width: int = 800
    channels: int = 128

    def __post_init__(self) -> None:
        check_multiples(
            'Simple-BEV',
            ('cells', self.cells, CELLS_MULTIPLE),
            ('image_height', self.image_height, COARSEST_STRIDE),
            ('image_width', self.image_width, COARSEST_STRIDE),
        )
        if not (self.extent_m > 0 and self.level_height_m > 0 and self.levels >= 1):
            raise ConfigError(f'Simple-BEV: extents must be > 0 and levels >= 1, got {self}')

    def grid(self) -> BevGrid:
        """Returns the grid of the results, in the base frame."""
        x_m, y_m, _ = self.reference_m
        resolution_m = 2.0 * self.extent_m / self.cells
        return BevGrid(
            x_m - self.extent_m, y_m - self.extent_m, resolution_m, self.cells, self.cells
        )

    def lift(self) -> VoxelLift:
        """Returns the geometry of the voxels."""
        return VoxelLift(
            grid=self.grid(),
            top_m=self.reference_m[2] + self.above_m,
            level_height_m=self.level_height_m,
            levels=self.levels,
            image_height=self.image_height,
            image_width=self.image_width,
            stride=FEATURE_STRIDE,
        )


class SimpleBev(PublishedStages[SimpleBevSetup]):
    """Simple-BEV, cameras only (Harley et al. 2022, arXiv 2206.07959).

    Four stages: `encode`, `lift`, `remember` (no memory) and `decode`. Parameters have the
    published names, but for the ResNet (see `SimpleBevEncoder`). Inside, maps are laid out as
    published, rows ahead and columns to the right; what leaves a stage is [..., y, x] over
    `setup.grid()`.
    """

    name = 'Simple-BEV'
    heads = frozenset({'occupancy', 'motion'})

    def __init__(self, setup: SimpleBevSetup | None = None) -> None:
        super().__init__()
        self.setup = SimpleBevSetup() if setup is None else setup
        self.normalise = Normalise(MEAN_RGB, STD_RGB)
        self.encoder = SimpleBevEncoder(self.setup.channels)
        self.bev_compressor = HeightCompressor(self.setup.channels, self.setup.levels)
        self.decoder = SimpleBevDecoder(self.setup.channels)

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> VoxelMatrices:
        """Returns the geometry of one rig; see `ViewTransform.build`."""
        return self.setup.lift().build(cameras, valid)

    def lift(
        self,
        features: ImageFeatures,
        camera_mask: Tensor,
        matrices: VoxelMatrices,
        radar: Tensor | None = None,
    ) -> Tensor:
        """Returns BEV features [B, C, Y, X].

        Raises:
            ConfigError: there is radar, which this model does not take.
        """
        self._refuse(radar)
        return _to_base(self.bev_compressor(lift_voxels(features.context, camera_mask, matrices)))

    def decode(self, bev: Tensor, heads: Collection[str]) -> ModelOutputs:
        """Returns vehicles as occupancy, as the one semantic class, and as present instances.

        `motion` has no step ahead (T = 0): the vehicle logit, and the way to the centre.

        Raises:
            ConfigError: the model has no head of that name.
        """
        self._check_heads(heads)
        decoded = self.decoder(_from_base(bev))
        vehicle = _to_base(self.decoder.segmentation_head(decoded))
        occupied = 'occupancy' in heads
        moves = 'motion' in heads
        return ModelOutputs(
            occupancy_logits=vehicle if occupied else None,
            semantic_logits=vehicle if occupied else None,
            motion_logits=vehicle if moves else None,
            motion_flow=self._flow_m(decoded) if moves else None,
        )

    def maps(self, bev: Tensor) -> SimpleBevMaps:
        """Returns what all published heads say on BEV features [B, C, Y, X], as published."""
        return self.decoder.maps(self.decoder(_from_base(bev)))

    def _encoded(self, images: Tensor) -> Tensor:
        features: Tensor = self.encoder(self.normalise(images))
        return features

    def _flow_m(self, decoded: Tensor) -> Tensor:
        """Returns [B, 1, 2, Y, X]: (x, y) in metres from the cell to its vehicle's centre."""
        right, ahead = _to_base(self.decoder.instance_offset_head(decoded)).unbind(dim=1)
        metres = self.setup.grid().resolution_m / OFFSET_SCALE
        return torch.stack([-ahead, right], dim=1)[:, None] * metres


def _to_base(published: Tensor) -> Tensor:
    """Returns [..., y, x] of a map [..., ahead, right]."""
    return published.flip(-1).transpose(-1, -2)


def _from_base(bev: Tensor) -> Tensor:
    """Returns [..., ahead, right] of a map [..., y, x]."""
    return bev.transpose(-1, -2).flip(-1)
