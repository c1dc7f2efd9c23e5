"""Collects the object table of a drive while it is being made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert
from bev_trainer.dataset.object_table import ObjectTable, column_types
from bev_trainer.labels.silhouette import silhouette_pixels
from bev_trainer.simulate.scenario_boxes import ScenarioBoxes
from bev_trainer.world.world import Scenario


class ObjectLog:
    """Rows of an `ObjectTable`, filled frame by frame.

    Args:
        scenario: the drive.
        cameras: of the rig.
        frames: number of frames.
    """

    def __init__(self, scenario: Scenario, cameras: Sequence[Camera], frames: int) -> None:
        types = column_types(len(scenario.others), frames, len(cameras))
        self._columns = {name: np.zeros(shape, dtype) for name, (dtype, shape) in types.items()}
        self._scenario = scenario
        self._boxes = ScenarioBoxes(scenario)
        self._models = np.array([track.model for track in scenario.others], object)
        self._cameras = cameras

    def add(self, frame: int, time_s: float) -> None:
        """Notes where everyone is at the reference instant of a frame."""
        boxes = self._boxes.at(time_s)
        rows = boxes.instance.astype(np.int64) - 1
        self._columns['present'][rows, frame] = True
        self._columns['x_m'][rows, frame] = boxes.center_m[:, 0]
        self._columns['y_m'][rows, frame] = boxes.center_m[:, 1]
        self._columns['yaw_rad'][rows, frame] = boxes.yaw_rad
        self._columns['velocity_mps'][rows, frame] = boxes.velocity_mps
        self._columns['acceleration_mps2'][rows, frame] = boxes.acceleration_mps2

    def add_views(
        self, frame: int, instances: Sequence[NDArray[np.uint16]], times_s: Sequence[float]
    ) -> None:
        """Notes how much of everyone the cameras show in their images [H, W].

        Silhouettes are those of road users that at least one camera shows. What the outline
        estimates from the shape alone is never less than what was seen.

        Args:
            frame: index of the frame.
            instances: one image per camera.
            times_s: world time at which each camera fired.
        """
        count = len(self._scenario.others) + 1
        visible = np.stack([np.bincount(image[image > 0], minlength=count) for image in instances])
        shown = np.asarray(visible.sum(axis=0) > 0)
        for camera, time_s in enumerate(times_s):
            boxes = self._boxes.at(time_s)
            boxes = boxes.selected(shown[boxes.instance])
            boxes = boxes.transformed(invert(self._scenario.world_T_base(time_s)))
            rows = boxes.instance.astype(np.int64) - 1
            whole = silhouette_pixels(self._cameras[camera], boxes, self._models[rows].tolist())
            self._columns['silhouette_pixels'][rows, frame, camera] = whole
        columns = self._columns['visible_pixels'], self._columns['silhouette_pixels']
        columns[0][:, frame] = visible[:, 1:].T
        np.maximum(columns[1][:, frame], columns[0][:, frame], out=columns[1][:, frame])

    def table(self) -> ObjectTable:
        """Returns the table."""
        return ObjectTable(**self._columns)
