"""Drives as recordings: every number against the drive, read back by others and by our reader."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bev_trainer.dataset.bag.writer import write_bag
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.world.classes import OBJECT_CLASSES, GroundLayer
from rosbags.highlevel import AnyReader
from rosbags.interfaces import ConnectionExtRosbag2, QosDurability
from support.bags import assert_one_line
from support.box_caster import ground_layers
from support.drives import ACTORS, GRID, PERIOD_NS, START_NS, SmallDrive

from bev_perception.errors import BagError, BevError
from bev_perception.frame import CameraState, FrameSet
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import interpolate, invert, transform, wrap_angle, yaw_of
from bev_perception.inputs.calibration import camera_from_info
from bev_perception.inputs.conversion import (
    camera_info_from_msg,
    pose_from_msg,
    stamp_to_ns,
    transforms_from_msg,
)
from bev_perception.inputs.rig_sources import sources_from_rig_file
from bev_perception.inputs.synced_set import SyncConfig
from bev_perception.inputs.transform_tree import TransformTree
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.frame_sets import FrameSetReader, ReplayRig
from bev_perception.replay.result_messages import grid_from_msg, objects_from_msg
from bev_perception.replay.rig_from_bag import rig_from_bag

Recorded = dict[str, list[tuple[int, Any]]]
OFFSETS_NS = {'front': 0, 'left': 12_000_000, 'rear_fisheye': -7_000_000}
LAYERS = {
    'drivable': GroundLayer.DRIVABLE,
    'lane_marking': GroundLayer.LANE_MARKING,
    'crossing': GroundLayer.CROSSING,
    'sidewalk': GroundLayer.SIDEWALK,
}
SKETCH = SmallDrive()


def read(bag: Path) -> Recorded:
    """Returns topic -> [(log time, message)], in the order of the file, by rosbags alone."""
    topics = defaultdict(list)
    with AnyReader([bag]) as reader:
        for connection, log_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            topics[connection.topic].append((log_ns, message))
    return topics


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    with Drive(SKETCH.write(tmp_path_factory.mktemp('drives'))) as opened:
        yield opened


@pytest.fixture(scope='module')
def bag(drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('bags') / 'drive'
    assert write_bag(drive, path) == path.with_name('drive_objects.json')
    return path


@pytest.fixture(scope='module')
def topics(bag: Path) -> Recorded:
    return read(bag)


@pytest.fixture(scope='module')
def truth(bag: Path) -> list[dict[str, Any]]:
    return json.loads(bag.with_name('drive_objects.json').read_text())


def actor_in_base(row: int, frame: int, time_s: float) -> tuple[float, float, float]:
    """x, y, yaw of an actor at a time, in base_link of a frame, from the paths alone."""
    x, y, yaw = ACTORS[row].path(time_s)
    ego = SKETCH.yaw_rate_radps * frame * PERIOD_NS / 1e9
    radius = SKETCH.speed_mps / SKETCH.yaw_rate_radps
    dx, dy = x - radius * math.sin(ego), y - radius * (1 - math.cos(ego))
    cos, sin = math.cos(ego), math.sin(ego)
    return cos * dx + sin * dy, cos * dy - sin * dx, yaw - ego


def present(row: int, frame: int) -> bool:
    time_s = frame * PERIOD_NS / 1e9
    return any(start <= time_s <= end for start, end in ACTORS[row].presence_s)


def test_topics_stamps_and_order(bag: Path, topics: Recorded) -> None:
    images = {'/front/image/compressed', '/cams/left/image_raw', '/rear/image/compressed'}
    infos = {'/front/camera_info', '/cams/left/camera_info', '/rear/camera_info'}
    maps = {f'/ground_truth/semantics/{name}' for name in LAYERS}
    assert set(topics) == images | infos | maps | {
        '/tf',
        '/tf_static',
        '/odom',
        '/ground_truth/objects',
        '/ground_truth/detections',
        '/ground_truth/occupancy',
    }
    for topic, found in topics.items():
        for log_ns, message in found:
            items = message.transforms if topic.startswith('/tf') else [message]
            assert {stamp_to_ns(item.header.stamp) for item in items} == {log_ns}
    frames = [START_NS + k * PERIOD_NS for k in range(11)]
    for name, topic in (
        ('front', '/front/image/compressed'),
        ('front', '/front/camera_info'),
        ('left', '/cams/left/image_raw'),
        ('left', '/cams/left/camera_info'),
        ('rear_fisheye', '/rear/image/compressed'),
        ('rear_fisheye', '/rear/camera_info'),
    ):
        fired = [stamp_ns + OFFSETS_NS[name] for stamp_ns in frames]
        assert [log_ns for log_ns, _ in topics[topic]] == fired
    assert [log_ns for log_ns, _ in topics['/ground_truth/objects']] == frames
    assert [log_ns for log_ns, _ in topics['/ground_truth/detections']] == frames
    for topic in maps | {'/ground_truth/occupancy'}:
        assert [log_ns for log_ns, _ in topics[topic]] == [frames[0], frames[5], frames[10]]
    with AnyReader([bag]) as reader:
        logged = [log_ns for _, log_ns, _ in reader.messages()]
        (static,) = (c for c in reader.connections if c.topic == '/tf_static')
    assert logged == sorted(logged)
    assert isinstance(static.ext, ConnectionExtRosbag2)
    assert static.ext.offered_qos_profiles[0].durability is QosDurability.TRANSIENT_LOCAL
    assert [log_ns for log_ns, _ in topics['/tf_static']] == [logged[0]]


def test_images_are_those_of_the_drive(drive: Drive, topics: Recorded, tmp_path: Path) -> None:
    for index, topic in ((0, '/front/image/compressed'), (2, '/rear/image/compressed')):
        for frame, (_, message) in enumerate(topics[topic]):
            assert message.format == 'jpeg'
            assert bytes(message.data) == drive.jpeg(frame, index)
            assert message.header.frame_id == drive.cameras[index].frame_id
    write_bag(drive, tmp_path / 'raw', raw=True)
    raw = read(tmp_path / 'raw')
    assert raw['/cams/left/image_raw'][3][1].data.tobytes() == (
        topics['/cams/left/image_raw'][3][1].data.tobytes()
    )
    for index, topic in enumerate(('/front/image', '/cams/left/image_raw', '/rear/image')):
        assert len(raw[topic]) == 11
        for frame, (_, message) in enumerate(raw[topic]):
            assert (message.encoding, message.height, message.width) == ('rgb8', 72, 96)
            assert (message.step, message.is_bigendian) == (288, 0)
            picture = message.data.reshape(72, 96, 3)
            np.testing.assert_array_equal(picture, drive.image(frame, index))


def cameras_of(topics: Recorded) -> dict[str, Camera]:
    """Cameras by the name of their frame, from CameraInfo and /tf_static."""
    placed = {child: pose for _, child, _, pose in transforms_from_msg(topics['/tf_static'][0][1])}
    found = {}
    for topic, messages in topics.items():
        if topic.endswith('camera_info'):
            infos = [camera_info_from_msg(message) for _, message in messages]
            assert all(info == infos[0] for info in infos)
            frame_id = infos[0].frame_id
            name = frame_id.removesuffix('_optical')
            found[name] = camera_from_info(name, infos[0], frame_id, False, placed[frame_id])
    return found


def test_calibration(topics: Recorded) -> None:
    cameras = cameras_of(topics)
    for entry in SKETCH.rig.cameras:
        camera = entry.camera()
        assert camera is not None
        found = cameras[camera.name]
        assert (found.width, found.height) == (96, 72)
        np.testing.assert_array_equal(found.K, camera.K)
        assert found.distortion == camera.distortion
        np.testing.assert_allclose(found.base_T_camera, camera.base_T_camera, atol=1e-12)
    infos = ('/front/camera_info', '/cams/left/camera_info', '/rear/camera_info')
    models = [topics[topic][0][1].distortion_model for topic in infos]
    assert models == ['plumb_bob', 'plumb_bob', 'equidistant']


def test_odometry_at_50_hz_beyond_the_images(topics: Recorded) -> None:
    stamps = [log_ns for log_ns, _ in topics['/odom']]
    assert stamps == [log_ns for log_ns, _ in topics['/tf']]
    assert set(np.diff(stamps)) == {20_000_000}
    first_image, last_image = START_NS - 7_000_000, START_NS + 1_012_000_000
    assert 100_000_000 <= first_image - stamps[0] < 120_000_000
    assert 100_000_000 <= stamps[-1] - last_image < 120_000_000
    assert START_NS in stamps
    radius = SKETCH.speed_mps / SKETCH.yaw_rate_radps
    for (stamp_ns, odometry), (_, transforms) in zip(topics['/odom'], topics['/tf'], strict=True):
        (moved,) = transforms.transforms
        assert (moved.header.frame_id, moved.child_frame_id) == ('odom', 'base_link')
        assert (odometry.header.frame_id, odometry.child_frame_id) == ('odom', 'base_link')
        pose = pose_from_msg(odometry.pose.pose)
        np.testing.assert_allclose(pose, pose_from_msg(moved.transform), atol=1e-12)
        turn = SKETCH.yaw_rate_radps * (stamp_ns - START_NS) / 1e9
        # On the circle that starts at the origin, along x; chords between known poses cut 4 mm.
        circle = [radius * math.sin(turn), radius * (1 - math.cos(turn)), 0.0]
        inside = START_NS - 7_000_000 <= stamp_ns <= last_image
        np.testing.assert_allclose(pose[:3, 3], circle, atol=0.003 if inside else 0.02)
        assert yaw_of(pose) == pytest.approx(turn, abs=1e-9)
        twist = odometry.twist.twist
        linear = [twist.linear.x, twist.linear.y, twist.linear.z]
        np.testing.assert_allclose(linear, [6.0, 0.0, 0.0], atol=0.1 if inside else 0.25)
        angular = [twist.angular.x, twist.angular.y, twist.angular.z]
        np.testing.assert_allclose(angular, [0.0, 0.0, 0.3], atol=1e-9)
        if (stamp_ns - START_NS) % PERIOD_NS == 0 and inside:
            np.testing.assert_allclose(pose[:3, 3], circle, atol=1e-9)


def test_twist_is_in_the_axes_of_the_vehicle(topics: Recorded) -> None:
    """After a second the vehicle has turned by 17 degrees; it still drives straight ahead."""
    twist = topics['/odom'][-8][1].twist.twist.linear
    assert twist.x == pytest.approx(6.0, abs=0.01) and abs(twist.y) < 0.1


def test_the_map_is_the_world(drive: Drive, topics: Recorded) -> None:
    tree = TransformTree()
    for topic, static in (('/tf_static', True), ('/tf', False)):
        for _, message in topics[topic]:
            for item in transforms_from_msg(message):
                tree.set_transform(*item, static)
    for frame, stamp_ns in enumerate(drive.description.frame_stamps_ns):
        found = tree.lookup('map', 'base_link', stamp_ns)
        np.testing.assert_allclose(found, drive.world_T_base[frame], atol=1e-9)


def test_objects(drive: Drive, topics: Recorded) -> None:
    visibility = drive.objects.visibility()
    names = [item.label for item in OBJECT_CLASSES]
    identity: dict[bytes, int] = {}
    seen: dict[int, int] = defaultdict(int)
    for frame, (_, message) in enumerate(topics['/ground_truth/objects']):
        assert (message.header.frame_id, message.model_id) == ('base_link', 'ground_truth')
        objects = objects_from_msg(message)
        rows = [row for row in range(len(ACTORS)) if present(row, frame)]
        assert len(objects) == len(rows)
        for row in rows:
            x, y, yaw = actor_in_base(row, frame, frame * PERIOD_NS / 1e9)
            height = ACTORS[row].size_m[2]
            (item,) = (o for o in objects if math.dist(o.center_m, (x, y, height / 2)) < 1e-6)
            assert item.size_m == ACTORS[row].size_m
            assert abs(wrap_angle(item.yaw_rad - yaw)) < 1e-9
            assert identity.setdefault(item.object_id, row) == row
            seen[row] += 1
            assert item.age_frames == seen[row]
            (score,) = item.classes
            assert (score.name, score.probability) == (ACTORS[row].class_name, 1.0)
            assert names[score.index] == score.name
            expected = visibility[row, frame]
            assert item.existence_probability == pytest.approx(float(expected), abs=1e-6)
        falling = [item.existence_probability for item in objects]
        assert falling == sorted(falling, reverse=True)
    assert sorted(identity.values()) == list(range(len(ACTORS)))
    assert any(0 < value < 1 for value in visibility[:, 0]) and (visibility[:, 0] == 0).any()


def test_velocity_is_over_ground_in_the_header_frame(topics: Recorded) -> None:
    """The bus comes towards us at 8 m/s; heading 3 rad less what the vehicle has turned by."""
    for frame in (0, 5):
        message = topics['/ground_truth/objects'][frame][1]
        (bus,) = (o for o in objects_from_msg(message) if o.classes[0].name == 'bus')
        heading = 3.0 - 0.03 * frame
        expected = [8.0 * math.cos(heading), 8.0 * math.sin(heading)]
        np.testing.assert_allclose(np.array(bus.velocity_mps), np.array(expected), atol=1e-5)
    states = {o.classes[0].class_name: o.motion_state for o in message.objects}
    assert (states['bus'], states['truck']) == (2 - 1, 2)


def test_trajectories_are_what_happens(topics: Recorded) -> None:
    """0.5 s apart, in the frame of now, until the drive ends or the object leaves."""
    counts: dict[str, list[int]] = defaultdict(list)
    for frame in range(11):
        message = topics['/ground_truth/objects'][frame][1]
        for item in objects_from_msg(message):
            (path,) = item.trajectories
            assert (path.probability, path.time_step_s, path.start_offset_s) == (1.0, 0.5, 0.0)
            row = next(
                r
                for r in range(len(ACTORS))
                if math.dist(item.center_m[:2], actor_in_base(r, frame, frame / 10)[:2]) < 1e-6
            )
            counts[ACTORS[row].model].append(len(path.positions_m))
            for step, position in enumerate(path.positions_m):
                x, y, yaw = actor_in_base(row, frame, frame / 10 + 0.5 * step)
                np.testing.assert_allclose(position[:2], (x, y), atol=1e-9)
                assert position[2] == pytest.approx(ACTORS[row].size_m[2] / 2)
                assert abs(wrap_angle(path.yaws_rad[step] - yaw)) < 1e-9
    assert counts['sedan'] == [3, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1]
    # Here until 0.65 s: half a second ahead it is known from 0.0 and 0.1 s on.
    assert counts['city_bus'] == [2, 2, 1, 1, 1, 1, 1]
    # Away from 0.4 to 0.7 s: what was before does not go on after.
    assert counts['bicycle'] == [1, 1, 1, 2, 1, 1, 1]


def test_detections_say_the_same(topics: Recorded) -> None:
    for (_, own), (_, other) in zip(
        topics['/ground_truth/objects'], topics['/ground_truth/detections'], strict=True
    ):
        assert len(own.objects) == len(other.detections)
        for item, detection in zip(own.objects, other.detections, strict=True):
            assert detection.id == bytes(item.object_id.uuid).hex()
            assert detection.header == other.header == own.header
            assert detection.bbox.center == item.pose.pose
            assert detection.bbox.size == item.dimensions
            (result,) = detection.results
            assert result.hypothesis.class_id == item.classes[0].class_name
            score = np.float32(result.hypothesis.score)
            assert score == np.float32(item.existence_probability)


def test_ground_maps_by_hand(drive: Drive, topics: Recorded) -> None:
    """At the first frame the street lies along x: the sidewalk 4 to 7 m to the left only."""
    x, y = GRID.axis_centers()
    inside = {
        'sidewalk': ((y > 4.6) & (y < 6.4))[:, None] & np.ones(len(x), bool),
        'crossing': ((y > -4.4) & (y < 3.4))[:, None] & ((x > 8.6) & (x < 11.4)),
        'drivable': ((y > -4.4) & (y < 3.4))[:, None] & np.ones(len(x), bool),
    }
    outside = {
        'sidewalk': ((y < 3.4) | (y > 7.6))[:, None] & np.ones(len(x), bool),
        'crossing': ((y < -5.6) | (y > 4.6))[:, None] | ((x < 7.4) | (x > 12.6)),
        'drivable': ((y < -5.6) | (y > 4.6))[:, None] & np.ones(len(x), bool),
    }
    observed = np.any(drive.observed(0), axis=0)
    for name, cells in inside.items():
        grid, found = grid_from_msg(topics[f'/ground_truth/semantics/{name}'][0][1])
        assert (grid.shape, grid.x_min_m, grid.y_min_m) == (GRID.shape, -12.0, -10.0)
        assert set(found[cells & observed]) == {100}
        assert set(found[outside[name] & observed]) == {0}


def test_grids_at_every_label_frame(drive: Drive, topics: Recorded) -> None:
    """Against the ground under 5 x 5 points of each cell, and against the boxes."""
    spread = (np.arange(5) - 2) * GRID.resolution_m / 5
    points = GRID.cell_centers()[:, :, None, None] + np.stack(np.meshgrid(spread, spread), -1)
    lifted = np.concatenate([points, np.zeros((*points.shape[:-1], 1))], axis=-1)
    for index, frame in enumerate((0, 5, 10)):
        observed = np.any(drive.observed(frame), axis=0)
        assert 0.3 < observed.mean() < 0.95
        occupied = np.zeros(GRID.shape, bool)
        near = np.zeros(GRID.shape, bool)
        for row, actor in enumerate(ACTORS):
            if present(row, frame):
                x, y, yaw = actor_in_base(row, frame, frame / 10)
                shift = GRID.cell_centers() - (x, y)
                ahead = shift @ (math.cos(yaw), math.sin(yaw))
                left = shift @ (-math.sin(yaw), math.cos(yaw))
                half = np.array(actor.size_m[:2]) / 2
                occupied |= (abs(ahead) < half[0]) & (abs(left) < half[1])
                near |= (abs(ahead) < half[0] + 0.8) & (abs(left) < half[1] + 0.8)
        world = transform(drive.world_T_base[frame], lifted)[..., :2]
        layers = ground_layers(drive.ground, world)
        for name, layer in LAYERS.items():
            message = topics[f'/ground_truth/semantics/{name}'][index][1]
            grid, found = grid_from_msg(message)
            assert grid == GRID and message.header.frame_id == 'base_link'
            assert message.info.origin.position.z == 0.0
            np.testing.assert_array_equal((found == -1)[~near], ~observed[~near])
            observed = found >= 0
            share = ((layers & np.uint8(layer)) > 0).mean(axis=(2, 3))
            assert set(found[observed & (share == 1)]) <= {100}
            assert set(found[observed & (share == 0)]) <= {0}
            assert (found == 100).any()
        _, found = grid_from_msg(topics['/ground_truth/occupancy'][index][1])
        # Road users that no camera shows are unknown; what never moves stands about, too.
        assert set(found[occupied]) == {100, -1} or set(found[occupied]) == {100}
        assert set(found[~near & observed]) <= {0, 100}
        np.testing.assert_array_equal((found == -1)[~near], ~observed[~near])


def test_objects_beside_the_bag(truth: list[dict[str, Any]], topics: Recorded) -> None:
    assert [entry['stamp_ns'] for entry in truth] == list(SKETCH.stamps_ns())
    start = SKETCH.world_T_base(START_NS)
    for frame, entry in enumerate(truth):
        assert set(entry) == {'stamp_ns', 'frame_id', 'odom_T_base', 'objects'}
        assert entry['frame_id'] == 'base_link'
        odom_T_base = invert(start) @ SKETCH.world_T_base(entry['stamp_ns'])
        np.testing.assert_allclose(entry['odom_T_base'], odom_T_base, atol=1e-9)
        rows = [item['track_id'] - 1 for item in entry['objects']]
        assert rows == [row for row in range(len(ACTORS)) if present(row, frame)]
        for row, item in zip(rows, entry['objects'], strict=True):
            x, y, yaw = actor_in_base(row, frame, frame / 10)
            size = ACTORS[row].size_m
            np.testing.assert_allclose(item['center_m'], (x, y, size[2] / 2), atol=1e-6)
            assert (item['length_m'], item['width_m'], item['height_m']) == size
            assert abs(wrap_angle(item['yaw_rad'] - yaw)) < 1e-7
            assert item['class_name'] == ACTORS[row].class_name
            found = objects_from_msg(topics['/ground_truth/objects'][frame][1])
            (twin,) = (o for o in found if math.dist(o.center_m, item['center_m']) < 1e-5)
            np.testing.assert_allclose(
                item['velocity_mps'], np.array(twin.velocity_mps), atol=1e-5
            )
            assert item['visibility'] == pytest.approx(twin.existence_probability, abs=1e-4)


def test_lay_out_of_the_real_recordings(truth: list[dict[str, Any]], real_data: Path) -> None:
    real = json.loads((real_data / 'dgp_scene_02_objects.json').read_text())[0]
    assert real.keys() == truth[0].keys()
    ours, theirs = truth[0]['objects'][0], real['objects'][0]
    optional = {'occlusion', 'truncation'}
    assert theirs.keys() - optional <= ours.keys()
    assert all(type(ours[key]) is type(theirs[key]) for key in theirs.keys() - optional)


def frame_sets(bag: Path, rig: Any) -> list[FrameSet]:
    with BagReader(bag) as reader:
        replay = ReplayRig(sources_from_rig_file(rig), rig.base_frame, rig.odometry_topic or '')
        return list(FrameSetReader(reader, replay, SyncConfig()))


def test_our_replay_gets_every_frame_with_the_rig_of_the_drive(drive: Drive, bag: Path) -> None:
    sets = frame_sets(bag, drive.description.rig)
    assert [s.stamp_ns for s in sets] == list(drive.description.frame_stamps_ns)
    for frame, found in enumerate(sets):
        assert found.odom_T_base is not None
        expected = invert(drive.world_T_base[0]) @ drive.world_T_base[frame]
        np.testing.assert_allclose(found.odom_T_base, expected, atol=1e-9)
        for index, sample in enumerate(found.samples):
            assert (sample.state, sample.detail) == (CameraState.USED, '')
            assert sample.stamp_ns == drive.camera_stamp_ns(frame, index)
            assert sample.image is not None
            if sample.image.compressed:
                assert bytes(sample.image.data) == drive.jpeg(frame, index)


def test_a_rig_made_from_the_bag_is_that_of_the_drive(drive: Drive, bag: Path) -> None:
    with BagReader(bag) as reader:
        rig = rig_from_bag(reader, 'base_link')
    assert rig.odometry_topic == '/odom'
    by_topic = {camera.image_topic: camera for camera in rig.cameras}
    for entry in drive.description.rig.cameras:
        found = by_topic[entry.image_topic]
        assert found.transport == entry.transport
        # The rig's reference is the middle camera, at 0 s.
        assert found.trigger_offset_s == pytest.approx(entry.trigger_offset_s, abs=1e-9)
    sets = frame_sets(bag, rig)
    assert len(sets) == 11
    assert all(s.state is CameraState.USED for found in sets for s in found.samples)


def test_boxes_through_the_bags_own_calibration_land_on_the_masks(
    drive: Drive, topics: Recorded, truth: list[dict[str, Any]]
) -> None:
    """Corners of the box at the instant of each image bound the object's pixels in it."""
    poses = [(log_ns, pose_from_msg(m.pose.pose)) for log_ns, m in topics['/odom']]
    cameras, checked, on_object = cameras_of(topics), 0, 0
    for frame in drive.description.label_frames:
        stamp_ns = truth[frame]['stamp_ns']
        odom_T_base = np.array(truth[frame]['odom_T_base'])
        for index, entry in enumerate(drive.description.rig.cameras):
            camera = cameras[entry.name]
            late_ns = OFFSETS_NS[entry.name]
            own_T_base = invert(pose_at(poses, stamp_ns + late_ns)) @ odom_T_base
            masks = drive.instances(frame, index)
            for item in truth[frame]['objects']:
                points = surface(item, late_ns / 1e9)
                uv, valid = camera.project_base(transform(own_T_base, points))
                hull = cv2.convexHull(uv[np.isfinite(uv).all(axis=1)].astype(np.float32))
                pixels = np.argwhere(masks == item['track_id'])[:, ::-1].astype(np.float32)
                if len(pixels) < 4:
                    continue
                checked += 1
                distances = [
                    cv2.pointPolygonTest(hull, (float(u), float(v)), True) for u, v in pixels
                ]
                assert min(distances) > -1.0, (frame, entry.name, item['class_name'])
                if valid.all() and item['visibility'] > 0.99 and len(pixels) > 20:
                    # A hull without a hole: nearly all of it is the object.
                    assert len(pixels) > 0.75 * cv2.contourArea(hull)
                    on_object += 1
    assert checked >= 12 and on_object >= 4


def pose_at(poses: list[tuple[int, np.ndarray]], stamp_ns: int) -> np.ndarray:
    after = next(i for i, (known_ns, _) in enumerate(poses) if known_ns > stamp_ns)
    (start_ns, start), (end_ns, end) = poses[after - 1 : after + 1]
    return interpolate(start, end, (stamp_ns - start_ns) / (end_ns - start_ns))


def surface(item: dict[str, Any], late_s: float) -> np.ndarray:
    """Points on a box, moved on by its velocity, base frame of the reference instant."""
    steps = np.linspace(-0.5, 0.5, 9)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    cube = cube[np.abs(cube).max(axis=1) == 0.5]
    local = cube * (item['length_m'], item['width_m'], item['height_m'])
    cos, sin = math.cos(item['yaw_rad']), math.sin(item['yaw_rad'])
    turned = local @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    return turned + item['center_m'] + np.array([*item['velocity_mps'], 0.0]) * late_s


def test_same_bytes_again(drive: Drive, bag: Path, tmp_path: Path) -> None:
    write_bag(drive, tmp_path / 'drive')
    for name in sorted(path.name for path in bag.iterdir()):
        assert (tmp_path / 'drive' / name).read_bytes() == (bag / name).read_bytes(), name
    assert {path.name for path in tmp_path.iterdir()} == {'drive', 'drive_objects.json'}


def test_identities_differ_between_drives(bag: Path, topics: Recorded, tmp_path: Path) -> None:
    other = SmallDrive(name='drive_000001', frames=2, label_frames=(0,))
    with Drive(other.write(tmp_path)) as drive:
        write_bag(drive, tmp_path / 'other')
    mine, theirs = (
        {bytes(o.object_id.uuid) for o in found['/ground_truth/objects'][0][1].objects}
        for found in (topics, read(tmp_path / 'other'))
    )
    assert len(mine) == len(theirs) == 6 and not mine & theirs


def test_nobody_beyond_80_m(tmp_path: Path) -> None:
    near, far = (
        ACTORS[1].__class__('sedan', 'car', (4.0, 1.8, 1.5), lambda t, x=x: (x, 0.0, 0.0))
        for x in (79.9, 80.1)
    )
    with Drive(SmallDrive(actors=(near, far), frames=2, label_frames=()).write(tmp_path)) as drive:
        write_bag(drive, tmp_path / 'bag')
    topics = read(tmp_path / 'bag')
    message = topics['/ground_truth/objects'][0][1]
    assert [round(o.pose.pose.position.x, 6) for o in message.objects] == [79.9]
    assert '/ground_truth/occupancy' not in topics


def test_existing_output_is_kept(drive: Drive, tmp_path: Path) -> None:
    (tmp_path / 'bag_objects.json').write_text('mine')
    with pytest.raises(BagError) as refusal:
        write_bag(drive, tmp_path / 'bag')
    assert_one_line(refusal.value, 'bag_objects.json', 'exists already')
    assert [path.name for path in tmp_path.iterdir()] == ['bag_objects.json']


@pytest.mark.parametrize('kind', [OSError, DatasetError])
def test_a_failure_on_the_way_leaves_nothing(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def broken(self: Drive, frame: int, camera: int) -> bytes:
        if frame == 7:
            raise kind('the disk went away')
        return b'jpeg'

    monkeypatch.setattr(Drive, 'jpeg', broken)
    with pytest.raises(BevError) as failure:
        write_bag(drive, tmp_path / 'bag')
    assert_one_line(failure.value, 'the disk went away')
    assert list(tmp_path.iterdir()) == []
