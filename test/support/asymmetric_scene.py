"""One scene that looks different under every flip, transposition and rotation."""

from __future__ import annotations

import math

import numpy as np

from bev_perception.frame import BevFrame, BevObject, ClassScore, Trajectory
from bev_perception.geometry.grid import BevGrid

STAMP_NS = 1_700_000_000_123_456_789
TRACKED_ID = bytes(range(1, 17))
OBJECT_CLASSES = ('car', 'truck', 'pedestrian', 'construction_vehicle', 'barrier', 'traffic_cone')
SIN_30, COS_30 = 0.5, math.sqrt(0.75)

# 80 x 32 cells: x in [-8, 32), y in [-6, 10).
GRID = BevGrid(x_min_m=-8.0, y_min_m=-6.0, resolution_m=0.5, size_x=80, size_y=32)
# The cell of x = 20, y = 5: ix = 28 / 0.5, iy = 11 / 0.5.
BLOB_IX, BLOB_IY, BLOB_INDEX = 56, 22, 1816
# Half a second later at x = 21.73, y = 6: ix = 29.73 / 0.5, iy = 12 / 0.5.
LATER_INDEX = 1979
# Far ahead on the right, x = 31.75, y = -5.75.
UNSEEN_IX, UNSEEN_IY, UNSEEN_INDEX = 79, 0, 79


def ahead_left() -> BevObject:
    """A tracked car at (20, 5), heading 30 degrees to the left, 4 m/s along its heading."""
    steps = np.array([0.5, 1.0, 1.5, 2.0])
    velocity = 4.0 * COS_30, 4.0 * SIN_30
    straight = np.stack(
        [20.0 + steps * velocity[0], 5.0 + steps * velocity[1], np.full(4, 0.8)], axis=-1
    )
    turning = straight + np.array([[0.0, 0.1, 0.0], [0.0, 0.4, 0.1], [0, 0.9, 0.2], [0, 1.6, 0.3]])
    return BevObject(
        object_id=TRACKED_ID,
        age_frames=7,
        existence_probability=0.9,
        classes=(ClassScore(0, 'car', 0.9), ClassScore(1, 'truck', 0.05)),
        center_m=(20.0, 5.0, 0.8),
        size_m=(4.0, 2.0, 1.6),
        yaw_rad=math.pi / 6,
        velocity_mps=velocity,
        trajectories=(
            Trajectory(0.7, 0.5, 0.5, straight, np.full(4, math.pi / 6)),
            Trajectory(0.3, 0.5, 0.5, turning, np.array([0.6, 0.7, 0.8, 0.9])),
        ),
        instance=1,
    )


def behind_right() -> BevObject:
    """An untracked machine at (-7, -4) of unknown velocity."""
    return BevObject(
        object_id=bytes(16),
        age_frames=0,
        existence_probability=0.6,
        classes=(ClassScore(3, 'construction_vehicle', 0.6), ClassScore(1, 'truck', 0.2)),
        center_m=(-7.0, -4.0, 1.5),
        size_m=(8.0, 2.5, 3.0),
        yaw_rad=-2.5,
    )


def asymmetric_frame() -> BevFrame:
    """One car ahead on the left, one machine behind on the right, one occupied cell."""
    occupancy = np.zeros(GRID.shape, dtype=np.float32)
    occupancy[BLOB_IY, BLOB_IX] = 0.874
    later = np.zeros(GRID.shape, dtype=np.float32)
    later.ravel()[LATER_INDEX] = 0.65
    observed = np.ones(GRID.shape, dtype=bool)
    observed[UNSEEN_IY, UNSEEN_IX] = False
    occupancy[UNSEEN_IY, UNSEEN_IX] = 1.0
    return BevFrame(
        stamp_ns=STAMP_NS,
        frame_id='base_link',
        grid=GRID,
        observed=observed,
        occupancy=occupancy,
        semantics=None,
        semantic_classes=(),
        future_occupancy=later[None],
        instances=None,
        time_step_s=0.5,
        objects=(ahead_left(), behind_right()),
        cameras=(),
        model_id='nano@1234',
    )
