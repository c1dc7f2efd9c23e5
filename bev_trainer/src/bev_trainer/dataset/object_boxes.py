"""Boxes of a drive's road users at any instant, from the table of its frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import wrap_angle
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.object_table import ObjectTable
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.classes import OBJECT_CLASSES

FloatArray = NDArray[np.float64]

_CLASSES = {item.label: item for item in OBJECT_CLASSES}


class ObjectBoxes:
    """The road users of one drive over time, world frame.

    Args:
        description: of the drive.
        table: its objects.

    Raises:
        ValueError: an object has a class that does not exist.
    """

    def __init__(self, description: DriveDescription, table: ObjectTable) -> None:
        unknown = [o.class_name for o in description.objects if o.class_name not in _CLASSES]
        if unknown:
            raise ValueError(f"unknown class '{unknown[0]}'")
        self._stamps_ns = np.array(description.frame_stamps_ns, np.int64)
        self._table = table
        objects = description.objects
        self._instance = np.array([o.instance for o in objects], np.uint16)
        self._class_id = np.array([_CLASSES[o.class_name] for o in objects], np.uint8)
        sizes = [(o.length_m, o.width_m, o.height_m) for o in objects]
        self._size_m = np.array(sizes, np.float64).reshape(-1, 3)
        # x, y, yaw, vx, vy, ax, ay.
        columns = (table.x_m, table.y_m, table.yaw_rad)
        vectors = (table.velocity_mps, table.acceleration_mps2)
        self._states = np.concatenate(
            [np.stack(columns, axis=-1), *(np.asarray(v, np.float64) for v in vectors)], axis=-1
        )

    def at_frame(self, frame: int) -> BoxArray:
        """Returns the boxes of all that are present at a frame."""
        rows = np.flatnonzero(self._table.present[:, frame])
        return self._boxes(rows, self._states[rows, frame])

    def at(self, stamp_ns: int) -> BoxArray | None:
        """Returns the boxes at any instant from one frame before the drive to one after; or None.

        Between two frames that both have a road user everything is interpolated linearly, yaw the
        short way. Where only the nearer one has it, and before the first and after the last
        frame, it goes on at constant velocity and heading.
        """
        present, state = self.states_at(stamp_ns)
        if present is None:
            return None
        rows = np.flatnonzero(present)
        return self._boxes(rows, state[rows])

    def states_at(self, stamp_ns: int) -> tuple[NDArray[np.bool_] | None, FloatArray]:
        """Returns `at` for all n road users: (present [n], states [n, 7]).

        States are x, y, yaw, vx, vy, ax, ay; 0 where absent. (None, empty) out of time.
        """
        stamps = self._stamps_ns
        period_ns = int(stamps[1] - stamps[0]) if len(stamps) > 1 else 0
        if not stamps[0] - period_ns <= stamp_ns <= stamps[-1] + period_ns:
            return None, np.zeros((0, 7))
        after = int(np.searchsorted(stamps, stamp_ns))
        if after < len(stamps) and stamps[after] == stamp_ns:
            return self._table.present[:, after], self._states[:, after]
        if after == 0 or after == len(stamps):
            frame = 0 if after == 0 else len(stamps) - 1
            return self._table.present[:, frame], self._carried(frame, stamp_ns)
        before = after - 1
        share = (stamp_ns - stamps[before]) / (stamps[after] - stamps[before])
        nearer = before if share <= 0.5 else after
        present = self._table.present[:, nearer]
        both = self._table.present[:, before] & self._table.present[:, after]
        state = np.where(both[:, None], self._between(before, float(share)), 0.0)
        alone = present & ~both
        state[alone] = self._carried(nearer, stamp_ns)[alone]
        return present, state

    def _between(self, before: int, share: float) -> FloatArray:
        start, end = self._states[:, before], self._states[:, before + 1].copy()
        end[:, 2] = start[:, 2] + wrap_angle(end[:, 2] - start[:, 2])
        return (1.0 - share) * start + share * end

    def _carried(self, frame: int, stamp_ns: int) -> FloatArray:
        state = self._states[:, frame].copy()
        state[:, :2] += state[:, 3:5] * ((stamp_ns - int(self._stamps_ns[frame])) * 1e-9)
        return state

    def _boxes(self, rows: NDArray[np.intp], states: FloatArray) -> BoxArray:
        size_m = self._size_m[rows]
        return BoxArray(
            self._instance[rows],
            self._class_id[rows],
            np.column_stack([states[:, :2], 0.5 * size_m[:, 2]]),
            size_m,
            wrap_angle(states[:, 2]),
            states[:, 3:5],
            states[:, 5:7],
        )
