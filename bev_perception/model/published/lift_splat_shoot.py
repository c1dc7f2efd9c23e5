"""Lift-Splat-Shoot as published, its results in the base frame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.image_features import ImageFeatures
from bev_perception.model.normalise import Normalise
from bev_perception.model.outputs import ModelOutputs
from bev_perception.model.published.lift_splat_shoot_layers import (
    CELLS_MULTIPLE,
    COARSEST_STRIDE,
    FEATURE_STRIDE,
    BevEncoder,
    CameraEncoder,
)
from bev_perception.model.published.point_lift import PointLift, SplatMatrices
from bev_perception.model.published.stages import (
    MEAN_RGB,
    STD_RGB,
    PublishedStages,
    check_multiples,
    depth_and_context,
)
from bev_perception.model.view_transform.camera_mask import without_masked
from bev_perception.model.view_transform.lift_matrix import splat

SEMANTIC_CLASSES = ('vehicle',)


@dataclass(frozen=True)
class LiftSplatShootSetup:
    """Sizes of Lift-Splat-Shoot; the defaults are those of the published vehicle model.

    The published base frame is that of nuScenes: on the ground under the rear axle, x ahead, y
    to the left.

    Attributes:
        x_m: range of the grid ahead.
        y_m: range of the grid to the left.
        resolution_m: edge of a cell.
        z_m: range of the one cell along z.
        first_depth_m: nearest depth.
        depth_step_m: between depths.
        depths: number of depths.
        image_height: of the model's input, pixels.
        image_width: likewise.
        image_scale: by which images were resized in training and evaluation.
        channels: of the features.
    """

    x_m: tuple[float, float] = (-50.0, 50.0)
    y_m: tuple[float, float] = (-50.0, 50.0)
    resolution_m: float = 0.5
    z_m: tuple[float, float] = (-10.0, 10.0)
    first_depth_m: float = 4.0
    depth_step_m: float = 1.0
    depths: int = 41
    image_height: int = 128
    image_width: int = 352
    image_scale: float = 0.22
    channels: int = 64

    def __post_init__(self) -> None:
        grid = self.grid()
        check_multiples(
            'Lift-Splat-Shoot',
            ('cells along x', grid.size_x, CELLS_MULTIPLE),
            ('cells along y', grid.size_y, CELLS_MULTIPLE),
            ('image_height', self.image_height, COARSEST_STRIDE),
            ('image_width', self.image_width, COARSEST_STRIDE),
        )
        if not self.z_m[0] < self.z_m[1]:
            raise ConfigError(f'Lift-Splat-Shoot: z_m must rise, got {self.z_m}')
        steps = self.first_depth_m, self.depth_step_m, self.image_scale
        if not min(steps) > 0.0 or min(self.depths, self.channels) < 1:
            raise ConfigError(f'Lift-Splat-Shoot: depths and scale must be > 0, got {self}')

    def grid(self) -> BevGrid:
        """Returns the grid of the results, in the base frame."""
        return BevGrid.from_range(self.x_m, self.y_m, self.resolution_m)

    def geometry(self) -> PointLift:
        """Returns where features and depths lie (section 3.1), and how cells are found."""
        return PointLift(
            grid=self.grid(),
            floor_m=self.z_m[0],
            height_m=self.z_m[1] - self.z_m[0],
            first_depth_m=self.first_depth_m,
            depth_step_m=self.depth_step_m,
            depths=self.depths,
            image_height=self.image_height,
            image_width=self.image_width,
            stride=FEATURE_STRIDE,
        )

    def as_trained(self, camera: Camera) -> Camera:
        """Returns the camera whose rays are those that training gave to the same pixels.

        They belong to pixel / scale of the image before it was resized, instead of
        (pixel + 0.5) / scale - 0.5, as `Camera` has it.
        """
        shift = 0.5 * (1.0 - self.image_scale)
        return replace(camera, K=camera.K + np.array([[0, 0, shift], [0, 0, shift], [0, 0, 0]]))


class LiftSplatShoot(PublishedStages[LiftSplatShootSetup]):
    """Lift-Splat-Shoot, vehicles (Philion and Fidler 2020, arXiv 2008.05711).

    Four stages: `encode`, `lift`, `remember` (no memory) and `decode`. Published maps are
    [x, y]; here they are [y, x] throughout, for which the kernels of the BEV encoder are
    transposed (`import_lift_splat_shoot`). The published lift sorts all points of every frame
    and takes differences of a running sum; here the same points are summed cell by cell.
    """

    name = 'Lift-Splat-Shoot'
    heads = frozenset({'occupancy'})

    def __init__(self, setup: LiftSplatShootSetup | None = None) -> None:
        super().__init__()
        self.setup = LiftSplatShootSetup() if setup is None else setup
        self.normalise = Normalise(MEAN_RGB, STD_RGB)
        self.camera_encoder = CameraEncoder(self.setup.depths, self.setup.channels)
        self.bev_encoder = BevEncoder(self.setup.channels, len(SEMANTIC_CLASSES))

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> SplatMatrices:
        """Returns the geometry of one rig; see `ViewTransform.build`."""
        trained = [None if camera is None else self.setup.as_trained(camera) for camera in cameras]
        return self.setup.geometry().build(trained, valid)

    def lift(
        self,
        features: ImageFeatures,
        camera_mask: Tensor,
        matrices: SplatMatrices,
        radar: Tensor | None = None,
    ) -> Tensor:
        """Returns BEV features [B, C, Y, X].

        Raises:
            ConfigError: there is radar, which this model does not take.
        """
        self._refuse(radar)
        assert features.depth is not None
        context = without_masked(features.context, camera_mask)
        return splat(context, without_masked(features.depth, camera_mask), matrices.lift)

    def decode(self, bev: Tensor, heads: Collection[str]) -> ModelOutputs:
        """Returns vehicles as occupancy and as the one semantic class.

        Raises:
            ConfigError: the model has no head of that name.
        """
        self._check_heads(heads)
        if 'occupancy' not in heads:
            return ModelOutputs()
        vehicle = self.bev_encoder(bev)
        return ModelOutputs(occupancy_logits=vehicle, semantic_logits=vehicle)

    def _image_features(self, encoded: Tensor) -> ImageFeatures:
        return depth_and_context(encoded, self.setup.depths)

    def _encoded(self, images: Tensor) -> Tensor:
        features: Tensor = self.camera_encoder(self.normalise(images))
        return features
