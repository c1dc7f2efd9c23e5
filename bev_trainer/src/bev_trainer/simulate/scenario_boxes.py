"""Boxes of a scenario's road users at any instant."""

from __future__ import annotations

import numpy as np

from bev_perception.geometry.pose import wrap_angle
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.track_samples import TrackSamples
from bev_trainer.world.world import Scenario


class ScenarioBoxes:
    """Boxes of everyone but the ego vehicle.

    Args:
        scenario: the drive.
    """

    def __init__(self, scenario: Scenario) -> None:
        tracks = scenario.others
        self._samples = TrackSamples(tracks)
        self._class_id = np.array([track.object_class for track in tracks], np.uint8)
        sizes = [(track.length_m, track.width_m, track.height_m) for track in tracks]
        self._size_m = np.array(sizes, np.float64).reshape(-1, 3)

    def at(self, time_s: float) -> BoxArray:
        """Returns the boxes, world frame, of all that exist at a world time, by instance."""
        index, state = self._samples.at(time_s)
        size_m = self._size_m[index]
        return BoxArray(
            instance=(index + 1).astype(np.uint16),
            class_id=self._class_id[index],
            center_m=np.column_stack([state[:, :2], size_m[:, 2] / 2.0]),
            size_m=size_m,
            yaw_rad=wrap_angle(state[:, 2]),
            velocity_mps=state[:, 3:5],
            acceleration_mps2=state[:, 5:7],
        )
