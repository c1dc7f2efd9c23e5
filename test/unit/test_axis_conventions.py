"""The asymmetric scene through everything that needs no ROS: grid, decoding, files, pictures.

The same scene goes through the messages and markers in test/ros.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.asymmetric_scene import (
    BLOB_INDEX,
    GRID,
    LATER_INDEX,
    OBJECT_CLASSES,
    ahead_left,
    asymmetric_frame,
    behind_right,
)
from support.sample_drive.rig import make_camera

from bev_perception.decode.objects import encode_objects
from bev_perception.draw import draw_bev
from bev_perception.frame import occupancy_to_int8
from bev_perception.geometry.visibility import cell_visibility
from bev_perception.replay.results import decode_grid, frame_to_dict


def test_grid_index_is_y_times_width_plus_x():
    iy, ix, inside = GRID.to_cell(20.1, 5.1)
    assert inside
    assert iy * GRID.size_x + ix == BLOB_INDEX
    frame = asymmetric_frame()
    cells = occupancy_to_int8(frame.occupancy, frame.observed).ravel()
    assert cells[BLOB_INDEX] == 87
    assert cells[79] == -1  # far ahead on the right: lowest y, highest x
    assert np.count_nonzero(cells) == 2


def test_file_holds_the_grid_as_the_message_does():
    grids = frame_to_dict(asymmetric_frame())['grids']
    assert decode_grid(grids['occupancy']).ravel()[BLOB_INDEX] == 87
    assert decode_grid(grids['future_occupancy'][0]).ravel()[LATER_INDEX] == 65


def test_heatmap_peaks_in_the_cell_of_the_object():
    maps = encode_objects((ahead_left(),), GRID, OBJECT_CLASSES)
    assert np.argmax(maps.heatmap[0]) == BLOB_INDEX
    behind = encode_objects((behind_right(),), GRID, OBJECT_CLASSES)
    iy, ix = np.unravel_index(np.argmax(behind.heatmap[3]), GRID.shape)
    assert (ix, iy) == (2, 4)  # x = -7: 1 m / 0.5 above the edge; y = -4: 2 m / 0.5


@pytest.mark.parametrize(
    ('yaw_deg', 'seen', 'unseen'),
    [(0, (20, 0), (-6, 0)), (90, (0, 8), (0, -5)), (-90, (0, -5), (0, 8)), (180, (-7, 0), (9, 0))],
)
def test_a_camera_sees_the_cells_it_looks_at(yaw_deg, seen, unseen):
    camera = make_camera('c', 320, 240, 'none', 90.0, (0.0, 0.0, 1.5), yaw_deg, 5.0)
    visible = cell_visibility([camera], GRID)[0]
    for (x, y), expected in ((seen, True), (unseen, False)):
        iy, ix, _ = GRID.to_cell(x, y)
        assert visible[iy, ix] == expected


def centroid_of_change(changed, base):
    """Mean (column, row) of the pixels in which two pictures differ."""
    rows, columns = np.nonzero((changed != base).any(axis=-1))
    assert rows.size > 20
    return np.array([columns.mean(), rows.mean()])


def bare(item):
    return replace(item, velocity_mps=None, trajectories=())


def picture_of_cell(x_m, y_m):
    """The BEV picture with one occupied cell."""
    frame = replace(asymmetric_frame(), objects=(), future_occupancy=None)
    occupancy = np.zeros(GRID.shape, np.float32)
    iy, ix, _ = GRID.to_cell(x_m, y_m)
    occupancy[iy - 1 : iy + 2, ix - 1 : ix + 2] = 1.0
    return draw_bev(replace(frame, occupancy=occupancy), (900, 1000))


def test_picture_shows_forward_up_and_left_on_the_left():
    """From (20, 5) to (-6, -4) it is 26 m back, so down, and 9 m to the right."""
    frame = replace(asymmetric_frame(), objects=(), future_occupancy=None)
    blank = replace(frame, occupancy=np.zeros(GRID.shape, np.float32))
    base = draw_bev(blank, (900, 1000))
    first = centroid_of_change(picture_of_cell(20.1, 5.1), base)
    right, down = centroid_of_change(picture_of_cell(-5.9, -3.9), base) - first
    assert down > 100
    assert right / down == pytest.approx(9 / 26, abs=0.01)


def test_picture_shows_occupancy_where_the_object_is():
    empty = replace(asymmetric_frame(), occupancy=None, future_occupancy=None, objects=())
    frame = replace(asymmetric_frame(), objects=(), future_occupancy=None)
    blank = replace(frame, occupancy=np.zeros(GRID.shape, np.float32))
    blob = centroid_of_change(draw_bev(frame, (900, 1000)), draw_bev(blank, (900, 1000)))
    car = draw_bev(replace(empty, objects=(bare(ahead_left()),)), (900, 1000))
    box = centroid_of_change(car, draw_bev(empty, (900, 1000)))
    assert np.abs(blob - box).max() < 60
