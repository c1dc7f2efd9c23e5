"""Drives as nuScenes tables: keys, chains and every number, without the development kit."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bev_trainer.dataset.nuscenes import writer as nuscenes_writer
from bev_trainer.dataset.nuscenes.names import camera_channels, visibility_token
from bev_trainer.dataset.nuscenes.scene import key_frames
from bev_trainer.dataset.nuscenes.writer import write_nuscenes
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.world.classes import GroundLayer
from bev_trainer.world.ground_raster import GroundRaster
from scipy.spatial.transform import Rotation
from support.bags import assert_one_line
from support.box_caster import ground_layers
from support.drives import ACTORS, START_NS, Actor, SmallDrive, rig_of_lenses, straight

from bev_perception.errors import BevError
from bev_perception.geometry.rig_file import RigFile

Row = dict[str, Any]
Export = dict[str, list[Row]]

FIRST = SmallDrive(frames=17, label_frames=(1, 6, 11, 16))


def one_camera() -> RigFile:
    rig = rig_of_lenses()
    camera = rig.cameras[1].model_copy(update={'name': 'Front left-wide'})
    return rig.model_copy(update={'cameras': (camera,)})


SECOND = SmallDrive(
    name='drive_000001',
    network='net_000007',
    split='val',
    rig=one_camera(),
    frames=6,
    label_frames=(0, 5),
    start=(70.0, 58.0, -0.4),
)
# The kit's own formula for its map masks.
MASK_M = 0.1


@pytest.fixture(scope='module')
def drives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp('drives')
    return [FIRST.write(folder), SECOND.write(folder)]


@pytest.fixture(scope='module')
def folder(drives: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = drives[0].parent
    (root / 'maps').mkdir()
    (root / 'maps' / 'net_000007.geojson').write_text('{"a": 1}')
    path = tmp_path_factory.mktemp('out') / 'nuscenes'
    write_nuscenes(drives, path, root=root)
    return path


def load(folder: Path) -> Export:
    tables = sorted((folder / 'v1.0-synth').glob('*.json'))
    return {p.stem: json.loads(p.read_text()) for p in tables if p.stem != 'splits'}


@pytest.fixture(scope='module')
def export(folder: Path) -> Export:
    return load(folder)


def by_token(rows: Sequence[Row]) -> dict[str, Row]:
    return {row['token']: row for row in rows}


def scene_of(export: Export, sample_token: str) -> str:
    sample = by_token(export['sample'])[sample_token]
    return by_token(export['scene'])[sample['scene_token']]['name']


def test_thirteen_tables_with_tokens_of_their_own(export: Export) -> None:
    assert len(export) == 13
    assert {name: len(rows) for name, rows in export.items()} == {
        'attribute': 6,
        'category': 7,
        'visibility': 4,
        'calibrated_sensor': 6,
        # 16 images of 3 cameras and 4 scans; 6 images of one camera and 2 scans.
        'ego_pose': 16 * 3 + 4 + 6 + 2,
        'sample_data': 16 * 3 + 4 + 6 + 2,
        'instance': 7 + 1 + 7,
        'log': 2,
        'map': 2,
        'sample': 6,
        # Of seven: the child is late, the bus leaves, the cyclist is away, each once.
        'sample_annotation': (6 + 6 + 6 + 6) + (6 + 6),
        'scene': 2,
        'sensor': 5,
    }
    tokens = [
        row['token'] for name, rows in export.items() if name != 'visibility' for row in rows
    ]
    assert len(set(tokens)) == len(tokens)
    assert all(len(t) == 32 and set(t) <= set('0123456789abcdef') for t in tokens)
    assert [row['token'] for row in export['visibility']] == ['1', '2', '3', '4']


def test_every_key_leads_somewhere(export: Export) -> None:
    known = {name: set(by_token(rows)) for name, rows in export.items()}
    targets = {'first_sample': 'sample', 'last_sample': 'sample'}
    targets |= {f'{end}_annotation': 'sample_annotation' for end in ('first', 'last')}
    followed = 0
    for rows in export.values():
        for row in rows:
            for column, value in row.items():
                name, found, several = column.partition('_token')
                if found:
                    for key in value if several else [value]:
                        assert key in known[targets.get(name, name)], column
                        followed += 1
    assert followed > 300


def test_chains_run_through_time_without_a_gap(export: Export) -> None:
    samples = by_token(export['sample'])
    for table, group_by, when in (
        ('sample', lambda r: r['scene_token'], lambda r: r['timestamp']),
        ('sample_data', lambda r: r['calibrated_sensor_token'], lambda r: r['timestamp']),
        (
            'sample_annotation',
            lambda r: r['instance_token'],
            lambda r: samples[r['sample_token']]['timestamp'],
        ),
    ):
        groups = defaultdict(list)
        for row in export[table]:
            groups[group_by(row)].append(row)
        for rows in groups.values():
            rows.sort(key=when)
            assert len({when(row) for row in rows}) == len(rows)
            names = ['', *(row['token'] for row in rows), '']
            assert [row['prev'] for row in rows] == names[:-2]
            assert [row['next'] for row in rows] == names[2:]
    for row in export['instance']:
        mine = [a for a in export['sample_annotation'] if a['instance_token'] == row['token']]
        assert row['nbr_annotations'] == len(mine)
        assert [a['token'] for a in mine if not a['prev']] == [row['first_annotation_token']]
        assert [a['token'] for a in mine if not a['next']] == [row['last_annotation_token']]
    for row in export['scene']:
        mine = [s for s in export['sample'] if s['scene_token'] == row['token']]
        assert row['nbr_samples'] == len(mine)
        assert [s['token'] for s in mine if not s['prev']] == [row['first_sample_token']]
        assert [s['token'] for s in mine if not s['next']] == [row['last_sample_token']]


def test_splits_scenes_and_logs(folder: Path, export: Export) -> None:
    splits = json.loads((folder / 'v1.0-synth' / 'splits.json').read_text())
    assert splits == {
        'synth_train': ['drive_000000'],
        'synth_val': ['drive_000001'],
        'synth_test': [],
    }
    assert [row['location'] for row in export['log']] == ['net_000000', 'net_000007']
    assert {row['date_captured'] for row in export['log']} == {'2023-11-14'}
    channels = {row['channel']: row['modality'] for row in export['sensor']}
    assert channels == {
        'CAM_FRONT': 'camera',
        'CAM_LEFT': 'camera',
        'CAM_REAR_FISHEYE': 'camera',
        'CAM_FRONT_LEFT_WIDE': 'camera',
        'LIDAR_TOP': 'lidar',
    }


def readings(export: Export, scene: str, channel: str) -> list[Row]:
    """Rows of a channel by time, joined with calibration and pose."""
    sensors = {row['token'] for row in export['sensor'] if row['channel'] == channel}
    calibrations, poses = by_token(export['calibrated_sensor']), by_token(export['ego_pose'])
    found = [
        {**row, 'calibration': calibration, 'pose': poses[row['ego_pose_token']]}
        for row in export['sample_data']
        if (calibration := calibrations[row['calibrated_sensor_token']])['sensor_token'] in sensors
        and scene_of(export, row['sample_token']) == scene
    ]
    return sorted(found, key=lambda row: row['timestamp'])


def matrix(row: Row) -> np.ndarray:
    """The pose of a row, its quaternion read as w, x, y, z."""
    w, x, y, z = row['rotation']
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
    pose[:3, 3] = row['translation']
    return pose


def test_images(folder: Path, export: Export, drives: list[Path]) -> None:
    sketch, samples = FIRST, by_token(export['sample'])
    with Drive(drives[0]) as drive:
        for index, channel in enumerate(('CAM_FRONT', 'CAM_LEFT', 'CAM_REAR_FISHEYE')):
            offset_ns = (0, 12_000_000, -7_000_000)[index]
            rows = readings(export, 'drive_000000', channel)
            assert len(rows) == 16
            # What is before the first sample or after the last one is left out.
            for frame, row in enumerate(rows, 1):
                stamp_ns = START_NS + 100_000_000 * frame + offset_ns
                assert row['timestamp'] == stamp_ns // 1000 == row['pose']['timestamp']
                assert (row['width'], row['height'], row['fileformat']) == (96, 72, 'jpg')
                assert row['is_key_frame'] == (frame in (1, 6, 11, 16))
                start = 'samples' if row['is_key_frame'] else 'sweeps'
                assert row['filename'].startswith(f'{start}/{channel}/drive_000000__{channel}__')
                assert (folder / row['filename']).read_bytes() == drive.jpeg(frame, index)
                np.testing.assert_allclose(
                    matrix(row['pose']), sketch.world_T_base(stamp_ns), atol=1e-9
                )
                # A sweep belongs to the sample that comes after it.
                sample_us = samples[row['sample_token']]['timestamp']
                ahead = sample_us - (START_NS // 1000 + 100_000 * frame)
                assert 0 <= ahead < 500_000 and (ahead == 0) == row['is_key_frame']
    files = {str(p.relative_to(folder)) for p in folder.glob('s*/*/*')}
    assert files == {row['filename'] for row in export['sample_data']}


def test_calibration_and_lenses(export: Export) -> None:
    for sketch, channels in (
        (FIRST, ('CAM_FRONT', 'CAM_LEFT', 'CAM_REAR_FISHEYE')),
        (SECOND, ('CAM_FRONT_LEFT_WIDE',)),
    ):
        for entry, channel in zip(sketch.rig.cameras, channels, strict=True):
            camera = entry.camera()
            assert camera is not None
            (row,) = {r['calibration']['token']: r['calibration']
                      for r in readings(export, sketch.name, channel)}.values()  # fmt: skip
            np.testing.assert_allclose(matrix(row), camera.base_T_camera, atol=1e-12)
            assert row['camera_intrinsic'] == camera.K.tolist()
            assert row['distortion_model'] == camera.distortion.model
            assert tuple(row['distortion_coefficients']) == camera.distortion.coefficients
        (lidar,) = {r['calibration']['token']: r['calibration']
                    for r in readings(export, sketch.name, 'LIDAR_TOP')}.values()  # fmt: skip
        np.testing.assert_array_equal(matrix(lidar), np.eye(4))
        assert lidar['camera_intrinsic'] == []


def annotated(export: Export, scene: str) -> list[Row]:
    instances, samples = by_token(export['instance']), by_token(export['sample'])
    return [
        {
            **row,
            'id': instances[row['instance_token']]['instance_id'],
            'frame': (samples[row['sample_token']]['timestamp'] - START_NS // 1000) // 100_000,
        }
        for row in export['sample_annotation']
        if scene_of(export, row['sample_token']) == scene
    ]


def test_boxes_in_the_world(export: Export, drives: list[Path]) -> None:
    with Drive(drives[0]) as drive:
        visibility = drive.objects.visibility()
    start = FIRST.world_T_base(START_NS)
    rows = annotated(export, 'drive_000000')
    expected = {
        (frame, index + 1)
        for frame in (1, 6, 11, 16)
        for index, actor in enumerate(ACTORS)
        if any(first <= frame / 10 <= last for first, last in actor.presence_s)
    }
    assert Counter((row['frame'], row['id']) for row in rows) == Counter(expected)
    for row in rows:
        actor, frame = ACTORS[row['id'] - 1], row['frame']
        x, y, yaw = actor.path(frame / 10)
        length, width, height = actor.size_m
        at = start @ (x, y, height / 2, 1.0)
        np.testing.assert_allclose(row['translation'], at[:3], atol=1e-9)
        assert row['size'] == [width, length, height]
        heading = matrix(row)[:3, 0]
        ahead = start[:3, :3] @ (math.cos(yaw), math.sin(yaw), 0.0)
        np.testing.assert_allclose(heading, ahead, atol=1e-9)
        share = float(visibility[row['id'] - 1, frame])
        assert row['visible_share'] == share
        assert row['visibility_token'] == visibility_token(share)
        assert row['num_radar_pts'] == 0


def test_velocity_is_exact_in_the_world(export: Export) -> None:
    start = FIRST.world_T_base(START_NS)
    for row in annotated(export, 'drive_000000'):
        if row['id'] == 4:
            heading = start[:2, :2] @ (math.cos(3.0), math.sin(3.0))
            np.testing.assert_allclose(row['velocity_gt'], 8.0 * heading, atol=1e-4)


def test_categories_and_attributes(export: Export) -> None:
    categories, attributes = by_token(export['category']), by_token(export['attribute'])
    instances = by_token(export['instance'])
    found: dict[int, set[str]] = defaultdict(set)
    for row in annotated(export, 'drive_000000'):
        category = categories[instances[row['instance_token']]['category_token']]['name']
        (attribute,) = (attributes[token]['name'] for token in row['attribute_tokens'])
        found[row['id']].add(f'{category} {attribute}')
    assert found == {
        1: {'vehicle.car vehicle.moving'},
        2: {'vehicle.truck vehicle.parked'},
        3: {'human.pedestrian.child pedestrian.moving'},
        4: {'vehicle.bus.rigid vehicle.moving'},
        5: {'vehicle.bicycle cycle.with_rider'},
        6: {'human.pedestrian.adult pedestrian.standing'},
        # The van stops after 0.6 s.
        7: {'vehicle.car vehicle.moving', 'vehicle.car vehicle.stopped'},
    }


def test_who_comes_back_is_another_instance(tmp_path: Path) -> None:
    away = straight(10.0, 0.0, 0.0, 0.0)
    actors = (
        Actor('sedan', 'car', (4.0, 1.8, 1.5), away, ((0.0, 0.55), (0.95, 1.1))),
        # Away between two samples only.
        Actor('sedan', 'car', (4.0, 1.8, 1.5), away, ((0.0, 0.55), (0.75, 2.0))),
        Actor('sedan', 'car', (4.0, 1.8, 1.5), away, ((0.95, 2.0),)),
        Actor('sedan', 'car', (4.0, 1.8, 1.5), away, ((0.6, 0.9),)),
        # Leaves the range of 80 m around the vehicle between the second and third sample.
        Actor('sedan', 'car', (4.0, 1.8, 1.5), straight(65.0, 0.0, 0.0, 26.0)),
    )
    sketch = SmallDrive(actors=actors, frames=21, label_frames=(0, 5, 10, 15, 20))
    write_nuscenes([sketch.write(tmp_path)], tmp_path / 'out')
    export = load(tmp_path / 'out')
    rows = annotated(export, 'drive_000000')
    runs = [
        (row['instance_id'], [a['frame'] for a in rows if a['instance_token'] == row['token']])
        for row in export['instance']
    ]
    assert runs == [
        (1, [0, 5]),
        (1, [10]),
        (2, [0, 5]),
        (2, [10, 15, 20]),
        (3, [10, 15, 20]),
        (5, [0, 5]),
    ]


@pytest.mark.parametrize(
    ('share', 'expected'),
    [(0.0, '1'), (0.4, '1'), (0.41, '2'), (0.6, '2'), (0.7, '3'), (0.81, '4'), (1.0, '4')],
)
def test_visibility_bins(share: float, expected: str) -> None:
    assert visibility_token(share) == expected


def test_scan_and_the_points_on_boxes(folder: Path, export: Export, drives: list[Path]) -> None:
    """Points lie on the ground or on a box; boxes in full sight have points, hidden ones none."""
    rows = annotated(export, 'drive_000000')
    samples = by_token(export['sample'])
    on_boxes = 0
    for scan in readings(export, 'drive_000000', 'LIDAR_TOP'):
        assert scan['is_key_frame'] and scan['filename'].endswith('.pcd.bin')
        stamp_us = samples[scan['sample_token']]['timestamp']
        assert scan['timestamp'] == stamp_us
        np.testing.assert_allclose(
            matrix(scan['pose']), FIRST.world_T_base(stamp_us * 1000), atol=1e-9
        )
        points = np.fromfile(folder / scan['filename'], '<f4').reshape(-1, 5)
        assert len(points) > 500
        world = points[:, :3] @ matrix(scan['pose'])[:3, :3].T + matrix(scan['pose'])[:3, 3]
        explained = np.abs(world[:, 2]) < 0.05
        mine = [row for row in rows if row['sample_token'] == scan['sample_token']]
        for row in mine:
            width, length, height = row['size']
            local = (world - row['translation']) @ matrix(row)[:3, :3]
            # By 12 ms late or 7 ms early images, the fastest is 0.1 m further.
            inside = (np.abs(local) < np.array([length, width, height]) / 2 + 0.15).all(axis=1)
            above = inside & (world[:, 2] > 0.1)
            assert 0.9 * above.sum() <= row['num_lidar_pts'] <= inside.sum()
            explained |= inside
            if row['visible_share'] == 0.0:
                assert row['num_lidar_pts'] == 0
            on_boxes += row['num_lidar_pts']
        assert explained.mean() > 0.999
    assert on_boxes > 50
    with Drive(drives[0]) as drive:
        pixels = drive.objects.visible_pixels.sum(axis=-1)
    plain = [r for r in rows if pixels[r['id'] - 1, r['frame']] >= 100]
    assert len(plain) >= 5 and all(row['num_lidar_pts'] > 0 for row in plain)


def test_points_lie_where_the_vehicle_was_when_each_camera_fired(
    folder: Path, export: Export
) -> None:
    """On the sides of what stands, to the centimetre: in 12 ms the vehicle goes on by 7 cm."""
    rows = annotated(export, 'drive_000000')
    on_adult = 0
    for scan in readings(export, 'drive_000000', 'LIDAR_TOP'):
        points = np.fromfile(folder / scan['filename'], '<f4').reshape(-1, 5)[:, :3]
        world = points @ matrix(scan['pose'])[:3, :3].T + matrix(scan['pose'])[:3, 3]
        for row in rows:
            if row['id'] not in (2, 6) or row['sample_token'] != scan['sample_token']:
                continue
            width, length, height = row['size']
            local = np.abs((world - row['translation']) @ matrix(row)[:3, :3])
            beyond = (local - np.array([length, width, height]) / 2).max(axis=1)
            near = (beyond < 0.2) & (world[:, 2] > 0.1)
            assert 0.9 * row['num_lidar_pts'] <= near.sum() <= row['num_lidar_pts']
            assert np.abs(beyond[near]).max(initial=0.0) < 0.02
            on_adult += near.sum() if row['id'] == 6 else 0
    assert on_adult > 20


def on_mask(picture: np.ndarray, x_m: float, y_m: float) -> bool:
    column, row = round(x_m / MASK_M), round(len(picture) - y_m / MASK_M)
    return bool(picture[row, column])


def assert_same_ground(picture: np.ndarray, ground: GroundRaster) -> None:
    """Compares every pixel with the ground under its point, but where two cells meet."""
    height, width = picture.shape
    rows, columns = np.mgrid[1:height, 0:width]
    point = np.stack([columns * MASK_M, (height - rows) * MASK_M], axis=-1)
    here, there = (
        (ground_layers(ground, point + shift) & np.uint8(GroundLayer.DRIVABLE)) > 0
        for shift in (-1e-6, 1e-6)
    )
    clear = here == there
    assert clear.mean() > 0.99 and here.any()
    np.testing.assert_array_equal(picture[1:][clear] == 255, here[clear])
    assert not picture[0].any()


def test_map_masks(folder: Path, export: Export) -> None:
    logs = by_token(export['log'])
    for sketch, row in zip((FIRST, SECOND), export['map'], strict=True):
        assert row['category'] == 'semantic_prior'
        assert [logs[t]['logfile'] for t in row['log_tokens']] == [sketch.name]
        picture = cv2.imread(str(folder / row['filename']), cv2.IMREAD_UNCHANGED)
        assert picture is not None and picture.ndim == 2
        assert set(np.unique(picture)) == {0, 255}
        start = sketch.world_T_base(START_NS)
        # The street reaches from 5 m on the right to 4 m on the left; there, a sidewalk begins.
        for x, y, expected in (
            (0.0, 0.0, True), (0.0, 3.7, True), (0.0, 4.3, False), (0.0, -4.7, True),
            (0.0, -5.3, False), (20.0, 3.7, True), (20.0, 4.3, False), (-15.0, -4.7, True),
        ):  # fmt: skip
            at = start @ (x, y, 0.0, 1.0)
            assert on_mask(picture, at[0], at[1]) is expected, (x, y)
        assert_same_ground(picture, sketch.ground())
    assert (folder / 'maps' / 'net_000007.geojson').read_text() == '{"a": 1}'
    assert not (folder / 'maps' / 'net_000000.geojson').exists()


def test_drives_of_one_network_share_its_map(tmp_path: Path) -> None:
    short = SmallDrive(frames=2, label_frames=(0,), actors=())
    far = replace(short, name='drive_000001', start=(60.0, 130.0, 0.3))
    write_nuscenes([short.write(tmp_path), far.write(tmp_path)], tmp_path / 'out')
    export = load(tmp_path / 'out')
    (row,) = export['map']
    assert len(row['log_tokens']) == 2
    picture = cv2.imread(str(tmp_path / 'out' / row['filename']), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert on_mask(picture, 120.0, 45.0) and on_mask(picture, 60.0, 130.0)
    assert not on_mask(picture, 30.0, 30.0)


def described(frames: int, labels: tuple[int, ...]) -> Any:
    return SmallDrive(frames=frames, label_frames=labels, actors=()).description()


def test_key_frames_by_hand() -> None:
    assert key_frames(described(21, tuple(range(21)))) == (0, 5, 10, 15, 20)
    assert key_frames(described(21, (3, 8, 13, 18))) == (3, 8, 13, 18)
    # Every 0.2 s: 0.5 s is as near to 0.4 as to 0.6.
    assert key_frames(described(21, tuple(range(0, 21, 2)))) == (0, 4, 10, 14, 20)
    # Once a second: a frame is a sample once.
    assert key_frames(described(21, (0, 10, 20))) == (0, 10, 20)
    assert key_frames(described(21, (7,))) == (7,)
    assert key_frames(described(21, ())) == ()


def test_same_bytes_again(drives: list[Path], folder: Path, tmp_path: Path) -> None:
    write_nuscenes(drives, tmp_path / 'again', root=drives[0].parent)
    for path in sorted(folder.rglob('*')):
        if path.is_file():
            twin = tmp_path / 'again' / path.relative_to(folder)
            assert twin.read_bytes() == path.read_bytes(), path


def refusal(tmp_path: Path, paths: Sequence[Path], *words: object) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BevError) as error:
        write_nuscenes(paths, tmp_path / 'out')
    assert_one_line(error.value, *words)
    assert sorted(tmp_path.iterdir()) == before


def test_refusals_leave_nothing(drives: list[Path], tmp_path: Path) -> None:
    refusal(tmp_path, [], 'no drives')
    refusal(tmp_path, [drives[0], drives[0]], "another drive is called 'drive_000000'")
    refusal(tmp_path, [drives[0], tmp_path / 'none.zip'], 'none.zip')
    bare = SmallDrive(name='bare', frames=2, label_frames=(), actors=())
    refusal(tmp_path, [bare.write(drives[0].parent)], 'bare', 'no frame with dense labels')
    (tmp_path / 'out').mkdir()
    refusal(tmp_path, drives, tmp_path / 'out', 'exists already')


def test_a_full_disk_leaves_nothing(
    drives: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, drives: Any) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(nuscenes_writer, 'write_map_mask', full)
    refusal(tmp_path, drives, tmp_path / 'out', 'No space left on device')


def test_channels() -> None:
    assert camera_channels(['front', 'Rear.left']) == ('CAM_FRONT', 'CAM_REAR_LEFT')
    with pytest.raises(DatasetError) as error:
        camera_channels(['a-b', 'c', 'a b'])
    assert_one_line(error.value, "'a-b' and 'a b'", 'CAM_A_B', 'rename one')


def test_identities_are_those_of_the_recordings(export: Export) -> None:
    """The first instance of a road user has the uuid that it has in the bag."""
    from bev_trainer.dataset.tokens import instance_token

    names = {row['token'] for row in export['instance']}
    for sketch, row in itertools.product((FIRST, SECOND), range(len(ACTORS))):
        assert instance_token(sketch.name, row + 1) in names
