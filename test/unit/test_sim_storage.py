"""Worlds in files come back as they were, and broken files say so in one line."""

import gzip
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.errors import DatasetError
from bev_trainer.world.storage import load_world, rounded, save_world
from bev_trainer.world.tracks import Track
from bev_trainer.world.world import World

STORED = Path(__file__).parents[1] / 'data' / 'small_world.json.gz'


@pytest.fixture(scope='module')
def world() -> World:
    return load_world(STORED)


def _shifted(track: Track) -> Track:
    values = {field.name: getattr(track, field.name) for field in fields(track)}
    return Track(**{**values, 'x_m': track.x_m + 1.23456, 'yaw_rad': track.yaw_rad + 0.00012345})


def test_a_loaded_world_is_saved_as_the_same_bytes(world: World, tmp_path: Path) -> None:
    save_world(world, tmp_path / 'again.json.gz')
    assert (tmp_path / 'again.json.gz').read_bytes() == STORED.read_bytes()


def test_everything_comes_back_rounded(world: World, tmp_path: Path) -> None:
    track = _shifted(next(track for track in world.tracks if not track.parked))
    values = {field.name: getattr(world, field.name) for field in fields(world)}
    changed = World(**{**values, 'name': 'other', 'tracks': (track,)})
    save_world(changed, tmp_path / 'other.json.gz')
    loaded, expected = load_world(tmp_path / 'other.json.gz'), rounded(changed)
    assert loaded.name == 'other'
    assert (loaded.start_s, loaded.end_s) == (world.start_s, world.end_s)
    assert loaded.props == world.props
    np.testing.assert_allclose(loaded.tracks[0].x_m, track.x_m, atol=0.00051)
    np.testing.assert_allclose(loaded.tracks[0].yaw_rad, track.yaw_rad, atol=0.000051)
    for field in fields(Track):
        np.testing.assert_array_equal(
            getattr(loaded.tracks[0], field.name), getattr(expected.tracks[0], field.name)
        )


def test_map_and_lights_come_back(world: World, tmp_path: Path) -> None:
    save_world(world, tmp_path / 'world.json.gz')
    loaded = load_world(tmp_path / 'world.json.gz')
    for name in ('drivable', 'sidewalk', 'crossing', 'white_paint', 'yellow_paint'):
        area = getattr(loaded.road_map, name)
        assert area.equals_exact(getattr(world.road_map, name), 0.0)
        assert area.is_valid
    for lane, other in zip(loaded.road_map.lanes, world.road_map.lanes, strict=True):
        assert (lane.lane_id, lane.kind, lane.width_m) == (
            other.lane_id,
            other.kind,
            other.width_m,
        )
        np.testing.assert_array_equal(lane.centerline_m, other.centerline_m)
    assert loaded.road_map.signals == world.road_map.signals
    for name, (times_s, states) in world.signals.controllers.items():
        np.testing.assert_array_equal(loaded.signals.controllers[name][0], times_s)
        assert loaded.signals.controllers[name][1] == states
    drives = zip(loaded.ego_drives, world.ego_drives, strict=True)
    assert all((a.start_s, a.replaces) == (b.start_s, b.replaces) for a, b in drives)


def test_rounding_twice_changes_nothing(world: World) -> None:
    for track, other in zip(rounded(world).tracks, world.tracks, strict=True):
        np.testing.assert_array_equal(track.x_m, other.x_m)
        np.testing.assert_array_equal(track.yaw_rad, other.yaw_rad)


def _packed(content: object) -> bytes:
    return gzip.compress(json.dumps(content).encode())


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (None, 'No such file'),
        (b'', 'is damaged'),
        (b'not gzip at all', 'is not gzip'),
        (STORED.read_bytes()[:-1000], 'is damaged'),
        (STORED.read_bytes()[:5000] + b'\0' * 300 + STORED.read_bytes()[5300:], 'is damaged'),
        (gzip.compress(b'{"format": 1'), 'is damaged'),
        (_packed([1, 2]), 'is not a world of format 1'),
        (_packed({'format': 0}), 'is not a world of format 1'),
        (_packed({'format': 1, 'name': 'x'}), 'is damaged'),
    ],
)
def test_broken_files_say_so_in_one_line(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / 'world.json.gz'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        load_world(path)
    message = str(caught.value)
    assert message.startswith(f'world {path}: ')
    assert reason in message
    assert '\n' not in message


def test_world_that_cannot_be_written_leaves_nothing(world: World, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(DatasetError, match='cannot be written'):
        save_world(world, tmp_path / 'file' / 'world.json.gz')
    assert [path.name for path in tmp_path.iterdir()] == ['file']
