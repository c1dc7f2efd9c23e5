"""A drive through a street that is alike to neither of its mirror images."""

from __future__ import annotations

import dataclasses

import numpy as np
from bev_trainer.world.classes import GroundLayer
from bev_trainer.world.ground_raster import GroundRaster

from bev_perception.geometry.pose import invert, pose_from_yaw, transform
from support.drives import SmallDrive


class Junction(SmallDrive):
    """A street that is alike to neither of its mirror images: it has a branch to the right."""

    def ground(self) -> GroundRaster:
        street = super().ground()
        y, x = np.mgrid[: street.layers.shape[0], : street.layers.shape[1]] + 0.5
        world = np.stack(
            [street.x_min_m + x * street.resolution_m, street.y_min_m + y * street.resolution_m,
             np.zeros_like(x)], axis=-1,
        )  # fmt: skip
        start_T_world = invert(pose_from_yaw(self.start[0], self.start[1], 0.0, self.start[2]))
        along, left = np.moveaxis(transform(start_T_world, world), -1, 0)[:2]
        layers = np.where(left < -4.0, 0, street.layers).astype(np.uint8)
        layers[(left < -4.0) & (along > 2.0) & (along < 14.0)] = GroundLayer.DRIVABLE
        layers[(left > 2.0) & (left < 7.0)] = GroundLayer.SIDEWALK
        return dataclasses.replace(street, layers=layers)
