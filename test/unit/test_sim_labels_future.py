"""Instance maps and trajectories over time, on a drive made by hand.

The ego stands at (10, 20) and looks north; a car drives north, 10 m ahead at frame 0, at 10 m/s.
A pedestrian appears at frame 1 and a bicycle is gone after frame 1 (see `support.tiny_drive`).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.labels.bev import BEV_LAYERS, semantic_bev
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.labels.future import instance_maps, times_within, trajectories
from support.boxes import box_array
from support.tiny_drive import write_tiny_drive

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw

GRID = BevGrid.from_range((-4.0, 16.0), (-8.0, 12.0), 0.5)


@pytest.fixture(scope='module')
def drive(tmp_path_factory) -> Drive:
    return Drive(write_tiny_drive(tmp_path_factory.mktemp('drive'))[0])


def test_times_within_the_drive(drive: Drive) -> None:
    assert times_within(drive, 0, (-0.1, 0.0, 0.1, 0.2, 0.3)).tolist() == [0, 1, 1, 1, 0]
    assert times_within(drive, 2, (-0.2, 0.0, 1e-8)).tolist() == [1, 1, 0]


def test_trajectories_by_hand(drive: Drive) -> None:
    ways = trajectories(drive, 0, (0.0, 0.05, 0.1, 0.2, 0.3))
    assert ways.instance.tolist() == [1, 3]
    assert ways.valid.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]
    # Ahead is north: the car goes from 10 m to 12 m.
    np.testing.assert_allclose(
        ways.xy_m[0], [(10, 0), (10.5, 0), (11, 0), (12, 0), (0, 0)], atol=1e-9
    )
    # The bicycle: world (1, 0) to (2, 0), which is 9 to 8 m to the left, 20 m behind.
    np.testing.assert_allclose(ways.xy_m[1, :3], [(-20, 9), (-20, 8.5), (-20, 8)], atol=1e-9)
    # Headings 3.1 to -3.1 through pi, less the ego's right angle.
    turn = [3.1, np.pi, 2 * np.pi - 3.1, 2 * np.pi - 3.1]
    np.testing.assert_allclose(ways.yaw_rad[0, :4], np.array(turn) - np.pi / 2)
    assert not ways.yaw_rad[~ways.valid].any() and not ways.xy_m[~ways.valid].any()


def test_trajectories_into_the_past(drive: Drive) -> None:
    ways = trajectories(drive, 2, (-0.2, 0.0))
    assert ways.instance.tolist() == [1, 2]
    assert ways.valid.tolist() == [[1, 1], [0, 1]]
    np.testing.assert_allclose(ways.xy_m[0], [(10, 0), (12, 0)], atol=1e-9)


def test_instance_maps_by_hand(drive: Drive) -> None:
    maps = instance_maps(drive, 0, GRID, (0.0, 0.1, 0.2, 0.7))
    assert maps.dtype == np.uint16 and maps.shape == (4, *GRID.shape)
    x, y = GRID.axis_centers()
    for picture, center_x in zip(maps[:3], (10.0, 11.0, 12.0), strict=True):
        rows, columns = np.nonzero(picture == 1)
        assert np.mean(x[columns]) == pytest.approx(center_x)
        assert np.mean(y[rows]) == pytest.approx(0.0)
    # The pedestrian at world (5, 20) stands 5 m to the left once it is there; 5.2 next.
    assert [sorted(np.unique(m)) for m in maps] == [[0, 1], [0, 1, 2], [0, 1, 2], [0]]
    rows, columns = np.nonzero(maps[1] == 2)
    assert abs(np.mean(x[columns])) < 0.3 and np.mean(y[rows]) == pytest.approx(5.0, abs=0.3)


def test_the_present_map_has_the_cells_of_the_semantic_one(drive: Drive) -> None:
    present = instance_maps(drive, 1, GRID, (0.0,))[0]
    semantic = semantic_bev(drive.ground, drive.world_T_base[1], drive.boxes(1), GRID)
    objects = semantic[BEV_LAYERS.index('car') :].any(axis=0)
    np.testing.assert_array_equal(present > 0, objects)


class MovingEgo:
    """What `instance_maps` asks of a drive, for an ego that drives past one that stands."""

    class description:  # noqa: N801
        frame_stamps_ns = (0, 1_000_000_000)

    def __init__(self, world: BoxArray) -> None:
        self._world = world

    def stamp_ns(self, frame: int) -> int:
        return self.description.frame_stamps_ns[frame]

    def boxes_at(self, stamp_ns: int, frame: int) -> BoxArray:
        return self._world.transformed(pose_from_yaw(-3.0 * frame, 0.0, 0.0, 0.0))


def test_maps_stay_in_the_frame_of_the_present() -> None:
    """One that stands stays where it is in the map, though the ego moves on."""
    standing = box_array([(8.0, 2.0, 0.0)])
    drive = cast(Drive, MovingEgo(standing))
    now, later = instance_maps(drive, 0, GRID, (0.0, 1.0))
    np.testing.assert_array_equal(now, later)
    from_later = instance_maps(drive, 1, GRID, (0.0,))[0]
    np.testing.assert_array_equal(from_later[:, :-6], now[:, 6:])  # 3 m are 6 cells


def test_who_wins_a_cell() -> None:
    """The smallest; of equal ones the nearest; of those the lowest instance. In any order."""
    truck = box_array([(6.0, 0.0, 0.0)], size_m=(8.0, 4.0, 3.0))
    near, far, twin = (box_array([(x, 0.0, 0.0)], (2.0, 2.0, 1.5)) for x in (5.0, 6.0, 6.0))
    boxes = [truck, near, far, twin]
    fields = ('class_id', 'center_m', 'size_m', 'yaw_rad', 'velocity_mps', 'acceleration_mps2')
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        columns = [np.concatenate([getattr(boxes[i], name) for i in order]) for name in fields]
        world = BoxArray(np.array(order, np.uint16) + 1, *columns)
        picture = instance_maps(cast(Drive, MovingEgo(world)), 0, GRID, (0.0,))[0]
        x, y = GRID.axis_centers()
        row = np.searchsorted(y, 0.1)
        at = {
            place: picture[row, np.searchsorted(x, place)] for place in (3.1, 4.1, 5.6, 6.1, 8.1)
        }
        # Near covers 4 to 6, far and its twin 5 to 7, the truck 2 to 10.
        assert at == {3.1: 1, 4.1: 2, 5.6: 2, 6.1: 3, 8.1: 1}


def test_frames_that_do_not_exist(drive: Drive) -> None:
    with pytest.raises(DatasetError, match='has frames 0 to 2, not 3'):
        trajectories(drive, 3, (0.0,))
    with pytest.raises(DatasetError, match='has frames 0 to 2, not -1'):
        instance_maps(drive, -1, GRID, (0.0,))
    with pytest.raises(DatasetError, match='has frames 0 to 2, not 3'):
        instance_maps(drive, 3, GRID, (0.0,))
