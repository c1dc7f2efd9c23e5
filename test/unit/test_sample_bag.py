from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.interfaces import ConnectionExtRosbag2, QosDurability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from support.sample_drive.bag import START_NS, SampleDrive
from support.sample_drive.images import RAW_ENCODINGS, encode_raw
from support.sample_drive.paint import FACE_BRIGHTNESS
from support.sample_drive.render import SampleRenderer
from support.sample_drive.rig import (
    LENSES,
    SampleCamera,
    camera_ring,
    default_cameras,
    make_camera,
)
from support.sample_drive.world import SampleWorld

from bev_perception.errors import BagError, ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion

TYPES = get_typestore(Stores.ROS2_HUMBLE)

# Faces as (axis, side), e.g. (0, 1) is the front; how bright each is painted.
FACES = [(axis, side) for axis in (0, 1) for side in (1, -1)]


def read(bag: Path) -> dict[str, list[tuple[int, Any]]]:
    """Returns topic -> [(log time, message)], in the order of the file."""
    topics = defaultdict(list)
    with Reader(bag) as reader:
        for connection, log_ns, data in reader.messages():
            message = TYPES.deserialize_cdr(data, connection.msgtype)
            topics[connection.topic].append((log_ns, message))
    return topics


def stamp_of(message: Any) -> int:
    header = message.transforms[0].header if hasattr(message, 'transforms') else message.header
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def matrix(translation: Any, rotation: Any) -> np.ndarray:
    x, y, z, w = rotation.x, rotation.y, rotation.z, rotation.w
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = translation.x, translation.y, translation.z
    return pose


@pytest.fixture(scope='module')
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[SampleDrive, Path]:
    """Four cameras, one per lens model, of different encodings and triggers."""
    cameras = camera_ring(4, 480, 360, tuple(LENSES), hfov_deg=100.0)
    encodings = ('rgb8', 'jpeg', 'bgr8', 'rgb8')
    offsets = (0.0, 0.011, -0.007, 0.033)
    rig = [
        SampleCamera(camera, encoding, offset)
        for camera, encoding, offset in zip(cameras, encodings, offsets, strict=True)
    ]
    drive = SampleDrive(rig, duration_s=0.6, rate_hz=5.0, seed=3)
    bag = tmp_path_factory.mktemp('drive') / 'mixed'
    drive.write(bag)
    return drive, bag


def test_topics_types_and_stamps(mixed: tuple[SampleDrive, Path]) -> None:
    drive, bag = mixed
    topics = read(bag)
    images = {item.camera.name: ('/compressed' if item.encoding == 'jpeg' else '')
              for item in drive.cameras}  # fmt: skip
    expected = {f'/{name}/image{end}' for name, end in images.items()}
    expected |= {f'/{name}/camera_info' for name in images} | {'/tf', '/tf_static', '/odom'}
    assert set(topics) == expected
    for messages in topics.values():
        stamps = [log_ns for log_ns, _ in messages]
        assert stamps == sorted(stamps)
        assert all(log_ns == stamp_of(message) for log_ns, message in messages)
    reference = [START_NS + step * 200_000_000 for step in range(3)]
    assert drive.reference_ns == reference
    for item in drive.cameras:
        name, offset_ns = item.camera.name, round(item.trigger_offset_s * 1e9)
        fired = [log_ns for log_ns, _ in topics[f'/{name}/image{images[name]}']]
        assert fired == [stamp + offset_ns for stamp in reference]
        assert fired == [log_ns for log_ns, _ in topics[f'/{name}/camera_info']]
    poses = [log_ns for log_ns, _ in topics['/tf']]
    assert poses[0] < reference[0] - 7_000_000 and poses[-1] > reference[-1] + 33_000_000
    assert len(topics['/tf_static']) == 1
    with Reader(bag) as reader:
        log = [log_ns for _, log_ns, _ in reader.messages()]
        static = next(c for c in reader.connections if c.topic == '/tf_static')
    assert log == sorted(log) and log[0] == topics['/tf_static'][0][0]
    assert isinstance(static.ext, ConnectionExtRosbag2)
    assert static.ext.offered_qos_profiles[0].durability is QosDurability.TRANSIENT_LOCAL


def test_the_bag_describes_the_cameras_it_was_made_with(mixed: tuple[SampleDrive, Path]) -> None:
    drive, bag = mixed
    topics = read(bag)
    static = {t.child_frame_id: t for t in topics['/tf_static'][0][1].transforms}
    for item in drive.cameras:
        info = topics[f'/{item.camera.name}/camera_info'][0][1]
        transform = static[info.header.frame_id]
        assert transform.header.frame_id == 'base_link'
        camera = Camera(
            item.camera.name,
            info.header.frame_id,
            info.width,
            info.height,
            info.k.reshape(3, 3),
            Distortion.from_ros(info.distortion_model, info.d),
            matrix(transform.transform.translation, transform.transform.rotation),
        )
        np.testing.assert_allclose(camera.base_T_camera, item.camera.base_T_camera, atol=1e-9)
        assert camera.with_pose(item.camera.base_T_camera) == item.camera
        np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], item.camera.K)


def test_images_are_those_of_the_street_at_their_own_stamps(
    mixed: tuple[SampleDrive, Path],
) -> None:
    drive, bag = mixed
    topics = read(bag)
    for item in drive.cameras:
        renderer = SampleRenderer(drive.world, item.camera)
        end = '/compressed' if item.encoding == 'jpeg' else ''
        for log_ns, message in topics[f'/{item.camera.name}/image{end}']:
            expected = renderer.render((log_ns - START_NS) / 1e9)
            if item.encoding == 'jpeg':
                assert message.format == 'jpeg'
                stored = np.asarray(cv2.imdecode(message.data, cv2.IMREAD_COLOR))[..., ::-1]
                assert np.abs(stored.astype(int) - expected).mean() < 3.0
                continue
            assert (message.width, message.height, message.step) == (480, 360, 480 * 3)
            stored = message.data.reshape(360, 480, 3)
            np.testing.assert_array_equal(
                stored if item.encoding == 'rgb8' else stored[..., ::-1], expected
            )


def corner_points(entry: dict[str, Any], shares: np.ndarray) -> np.ndarray:
    """Returns points [n, 3] in the base frame at shares [n, 3] in -1..1 of a truth box."""
    half = np.array([entry['length_m'], entry['width_m'], entry['height_m']]) / 2
    cos, sin = math.cos(entry['yaw_rad']), math.sin(entry['yaw_rad'])
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return np.array(entry['center_m']) + (shares * half) @ turn.T


CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))


def covered(entry: dict[str, Any], camera: Camera, uv: np.ndarray) -> bool:
    """Whether a pixel lies in the (generously widened) outline of a truth box."""
    edges = np.concatenate([CORNERS + step * (CORNERS[::-1] - CORNERS) for step in (0, 0.5)])
    faces = np.concatenate([edges, CORNERS * (1, 1, 0), CORNERS * (1, 0, 1), CORNERS * (0, 1, 1)])
    outline, _ = camera.project_base(corner_points(entry, faces))
    outline = outline[np.isfinite(outline).all(axis=1)]
    if len(outline) < 3:
        return False
    hull = cv2.convexHull(outline.astype(np.float32))
    return cv2.pointPolygonTest(hull, tuple(uv.tolist()), True) > -6.0


def visible_faces(
    truth: list[dict[str, Any]], camera: Camera
) -> list[tuple[dict[str, Any], int, int]]:
    """Returns (entry, axis, side) of the side faces within 30 m that look at the camera."""
    eye = camera.base_T_camera[:3, 3]
    found = []
    for entry, (axis, side) in itertools.product(truth, FACES):
        middle = np.zeros((1, 3))
        middle[0, axis] = side
        center = corner_points(entry, middle)[0]
        outward = center - entry['center_m']
        outward = outward / np.linalg.norm(outward)
        away = eye - center
        distance = np.linalg.norm(away)
        if distance < 30.0 and outward @ away / distance > 0.15:
            found.append((entry, axis, side))
    return found


def sample_at(picture: np.ndarray, camera: Camera, point: np.ndarray) -> Any:
    """Returns (uv, colour) where a point of the base frame appears; None when it does not."""
    uv, valid = camera.project_base(point)
    if not valid:
        return None
    u, v = np.rint(uv).astype(int)
    inside = 1 <= u < camera.width - 1 and 1 <= v < camera.height - 1
    return (uv, picture[v, u].astype(int)) if inside else None


@pytest.mark.parametrize('lens', list(LENSES))
def test_faces_appear_where_the_truth_projects(lens: str) -> None:
    checked = edges = 0
    hfov_deg = 190.0 if lens == 'equidistant' else 100.0
    rig = [SampleCamera(c) for c in camera_ring(4, 512, 384, (lens,), hfov_deg)]
    drive = SampleDrive(rig, duration_s=4.0, rate_hz=10.0, seed=1)
    truths = {time_s: drive.truth()[round(time_s * 10)]['objects'] for time_s in (0.4, 3.1)}
    colors = {user.track_id: user.color for user in drive.world.road_users}
    for camera in (item.camera for item in rig):
        renderer = SampleRenderer(drive.world, camera)
        for time_s, truth in truths.items():
            picture = renderer.render(time_s)
            for entry, axis, side in visible_faces(truth, camera):
                painted = FACE_BRIGHTNESS[0 if side > 0 else 1][axis]
                expected = np.minimum(np.multiply(colors[entry['track_id']], painted), 255)
                others = [other for other in truth if other is not entry]
                for height, on_face in ((-0.1, True), (0.9, True), (1.12, False)):
                    share = np.zeros((1, 3))
                    share[0, axis], share[0, 2] = side, height
                    found = sample_at(picture, camera, corner_points(entry, share)[0])
                    if found is None or any(covered(o, camera, found[0]) for o in others):
                        continue
                    low = sample_at(picture, camera, corner_points(entry, share * [1, 1, 0])[0])
                    if abs(height) > 0.5 and (low is None or low[0][1] - found[0][1] < 14):
                        continue  # too small for a tenth of its height to be a pixel
                    if on_face:
                        np.testing.assert_allclose(found[1], expected, atol=1.01)
                    else:
                        assert np.abs(found[1] - expected).max() > 8
                    checked += on_face
                    edges += height > 0.5
    assert checked >= 20
    assert edges >= 8


@pytest.mark.parametrize('seed', [0, 1])
def test_the_ground_carries_the_lane_lines(seed: int) -> None:
    world = SampleWorld(seed, 1.0)
    camera = make_camera('front', 640, 480, 'plumb_bob', 90.0, (2.0, 0.0, 1.5), 0.0, 20.0)
    picture = SampleRenderer(world, camera).render(0.0).astype(int)
    # The vehicle is at d = 0, tangent to a road of radius R that bends towards +R.
    radius = world.road.radius_m
    angles = np.linspace(4.5, 8.0, 30) / radius
    for d, is_line in ((1.75, True), (1.2, False), (2.3, False)):
        x, y = (radius - d) * np.sin(angles), radius - (radius - d) * np.cos(angles)
        uv, valid = camera.project_base(np.stack([x, y, np.zeros_like(x)], axis=-1))
        u, v = np.rint(uv[valid]).astype(int).T
        assert valid.sum() > 15
        yellow = picture[v, u, 0] - picture[v, u, 2] > 90
        assert yellow.all() if is_line else not yellow.any()


def test_pixels_without_a_ray_are_black_and_no_others() -> None:
    K = np.array([[60.0, 0, 79.5], [0, 60.0, 59.5], [0, 0, 1]])
    front = make_camera('front', 160, 120, 'none', 90.0, (2.0, 0.0, 1.5), 0.0, 5.0)
    barrel = Distortion('plumb_bob', (-0.3, 0.0, 0.0, 0.0, 0.0))  # ends at 42 pixels
    camera = Camera('front', 'front', 160, 120, K, barrel, front.base_T_camera)
    u, v = np.meshgrid(np.arange(160), np.arange(120))
    blind = np.isnan(camera.rays(np.stack([u, v], axis=-1))).any(axis=-1)
    assert 0.05 < blind.mean() < 0.9
    picture = SampleRenderer(SampleWorld(0, 1.0), camera).render(0.3)
    np.testing.assert_array_equal((picture == 0).all(axis=-1), blind)


def test_a_picture_does_not_depend_on_what_was_rendered_before() -> None:
    world, camera = SampleWorld(2, 1.0), camera_ring(1, 160, 120)[0]
    renderer = SampleRenderer(world, camera)
    first = renderer.render(0.2)
    renderer.render(0.9)
    np.testing.assert_array_equal(renderer.render(0.2), first)


def test_ego_motion_agrees_in_tf_odometry_and_truth(mixed: tuple[SampleDrive, Path]) -> None:
    _, bag = mixed
    topics = read(bag)
    poses = {}
    for (tf_ns, tf), (odom_ns, odom) in zip(topics['/tf'], topics['/odom'], strict=True):
        assert tf_ns == odom_ns
        transform = tf.transforms[0]
        assert (transform.header.frame_id, transform.child_frame_id) == ('odom', 'base_link')
        assert (odom.header.frame_id, odom.child_frame_id) == ('odom', 'base_link')
        poses[tf_ns] = matrix(transform.transform.translation, transform.transform.rotation)
        pose = odom.pose.pose
        np.testing.assert_allclose(poses[tf_ns], matrix(pose.position, pose.orientation))
    twist = topics['/odom'][0][1].twist.twist
    for (first_ns, first), (next_ns, following) in itertools.pairwise(poses.items()):
        step_s = (next_ns - first_ns) / 1e9
        turn = twist.angular.z * step_s
        moved = np.linalg.inv(first) @ following
        arc = twist.linear.x * step_s
        assert math.atan2(moved[1, 0], moved[0, 0]) == pytest.approx(turn, abs=1e-9)
        assert moved[0, 3] == pytest.approx(arc * math.cos(turn / 2), abs=1e-6)
        assert moved[1, 3] == pytest.approx(arc * math.sin(turn / 2), abs=1e-6)
    truth = json.loads(bag.with_name('mixed_objects.json').read_text())
    stamps = np.array(list(poses))
    for entry in truth:
        nearest = int(stamps[np.abs(stamps - entry['stamp_ns']).argmin()])
        at_s = (entry['stamp_ns'] - nearest) / 1e9
        ahead = np.array([twist.linear.x * at_s, 0.0, 0.0, 1.0])
        expected = (poses[nearest] @ ahead)[:3]
        np.testing.assert_allclose(np.array(entry['odom_T_base'])[:3, 3], expected, atol=1e-4)


def test_truth_velocities_move_the_objects() -> None:
    drive = SampleDrive(duration_s=1.0, rate_hz=20.0, seed=1)
    frames = drive.truth()
    moving = 0
    for first, second in itertools.pairwise(frames):
        step_s = (second['stamp_ns'] - first['stamp_ns']) / 1e9
        poses = [np.array(frame['odom_T_base']) for frame in (first, second)]
        later = {entry['track_id']: entry for entry in second['objects']}
        for entry in first['objects']:
            if entry['track_id'] not in later:
                continue
            ends = [
                pose[:3, :3] @ item['center_m'] + pose[:3, 3]
                for pose, item in zip(poses, (entry, later[entry['track_id']]), strict=True)
            ]
            velocity = poses[0][:2, :2] @ entry['velocity_mps']
            np.testing.assert_allclose((ends[1] - ends[0])[:2] / step_s, velocity, atol=0.02)
            speed = math.hypot(*entry['velocity_mps'])
            heading = math.atan2(*reversed(entry['velocity_mps']))
            if speed > 0:
                moving += 1
                turned = math.remainder(heading - entry['yaw_rad'], math.tau)
                assert turned == pytest.approx(0.0, abs=1e-5)
    assert moving > 50


@pytest.mark.parametrize('seed', range(4))
def test_nobody_drives_through_anybody(seed: int) -> None:
    world = SampleWorld(seed, 20.0)
    for time_s in (0.0, 5.0, 12.0, 20.0):
        ego = {'center_m': [1.4, 0.0, 0.8], 'length_m': 4.8, 'width_m': 1.9, 'yaw_rad': 0.0}
        boxes = [
            (
                tuple(entry['center_m'][:2]),
                (entry['length_m'], entry['width_m']),
                math.degrees(entry['yaw_rad']),
            )
            for entry in [*world.truth(time_s), ego]
        ]
        assert len(boxes) > 8
        for first, second in itertools.combinations(boxes, 2):
            apart, _ = cv2.rotatedRectangleIntersection(first, second)
            assert apart == cv2.INTERSECT_NONE, (time_s, first, second)


def test_truth_has_the_fields_of_the_real_recordings(
    mixed: tuple[SampleDrive, Path], real_data: Path
) -> None:
    _, bag = mixed
    ours = json.loads(bag.with_name('mixed_objects.json').read_text())
    theirs = json.loads((real_data / 'dgp_scene_02_objects.json').read_text())
    assert set(ours[0]) == set(theirs[0])
    wanted = set(theirs[0]['objects'][0]) - {'occlusion', 'truncation'} | {'velocity_mps'}
    assert set(ours[0]['objects'][0]) == wanted


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    rig = [SampleCamera(camera) for camera in camera_ring(2, 96, 64)]
    written = []
    for folder, seed in (('a', 5), ('b', 5), ('c', 6)):
        bag = tmp_path / folder / 'drive'
        truth = SampleDrive(rig, duration_s=0.3, rate_hz=10.0, seed=seed).write(bag)
        written.append(((bag / 'drive.mcap').read_bytes(), truth.read_bytes()))
    assert written[0] == written[1]
    assert written[0][0] != written[2][0] and written[0][1] != written[2][1]


@pytest.mark.parametrize('count', [1, 3, 8])
def test_any_number_of_cameras(tmp_path: Path, count: int) -> None:
    rig = [SampleCamera(camera, 'mono8') for camera in camera_ring(count, 64, 48)]
    SampleDrive(rig, duration_s=0.1, rate_hz=10.0).write(tmp_path / 'drive')
    topics = read(tmp_path / 'drive')
    assert sum(topic.endswith('/image') for topic in topics) == count


def test_the_demo_rig_mixes_sizes_lenses_and_triggers() -> None:
    rig = default_cameras()
    assert len(rig) == 5
    assert len({(item.camera.width, item.camera.height) for item in rig}) >= 4
    assert {item.camera.distortion.model for item in rig} == set(LENSES)
    assert len({item.trigger_offset_s for item in rig}) == 5
    uv = np.array([[-0.5, 0.0], [0.0, 0.0]])
    for item in rig:
        uv[:, 1] = (item.camera.height - 1) / 2
        uv[1, 0] = item.camera.width - 0.5
        assert np.isfinite(item.camera.rays(uv)).all()


@pytest.mark.parametrize('encoding', RAW_ENCODINGS)
def test_raw_encodings_hold_the_picture(encoding: str) -> None:
    random = np.random.default_rng(7)
    # Flat 2 x 2 blocks survive shared colour.
    rgb = np.repeat(np.repeat(random.integers(0, 256, (6, 5, 3)), 2, 0), 2, 1).astype(np.uint8)
    red, green, blue = (rgb[..., channel].astype(float) for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    data = encode_raw(rgb, encoding)
    assert data.dtype == np.uint8 and data.shape[0] == 12
    if encoding.startswith('bayer'):
        for index, letter in enumerate(encoding.removeprefix('bayer_')[:4]):
            row, column = divmod(index, 2)
            plane = rgb[row::2, column::2, 'rgb'.index(letter)]
            np.testing.assert_array_equal(data[row::2, column::2], plane)
    elif encoding in ('mono8', '8UC1'):
        np.testing.assert_allclose(data, luma, atol=1.0)
    elif encoding == 'mono16':
        np.testing.assert_allclose(data.view('<u2') / 257.0, luma, atol=1.0)
    elif encoding in ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv'):
        pairs = data.reshape(12, 5, 4).astype(float)
        u, y0, v, y1 = (0, 1, 2, 3) if encoding in ('yuv422', 'uyvy') else (1, 0, 3, 2)
        scaled = 16 + luma * 219 / 255
        np.testing.assert_allclose(pairs[..., y0], scaled[:, ::2], atol=1.5)
        np.testing.assert_allclose(pairs[..., y1], scaled[:, 1::2], atol=1.5)
        chroma = 128 + (blue - luma)[:, ::2] / 1.772 * 224 / 255
        np.testing.assert_allclose(pairs[..., u], chroma, atol=1.5)
        chroma = 128 + (red - luma)[:, ::2] / 1.402 * 224 / 255
        np.testing.assert_allclose(pairs[..., v], chroma, atol=1.5)
    else:
        order = {'rgb8': 'rgb', 'rgba8': 'rgba', 'bgra8': 'bgra'}.get(encoding, 'bgr')
        pixels = data.reshape(12, 10, len(order))
        for index, letter in enumerate(order):
            plane = np.full((12, 10), 255) if letter == 'a' else rgb[..., 'rgb'.index(letter)]
            np.testing.assert_array_equal(pixels[..., index], plane)


def test_an_existing_bag_is_never_touched(tmp_path: Path) -> None:
    drive = SampleDrive([SampleCamera(camera_ring(1, 64, 48)[0])], duration_s=0.1, rate_hz=10.0)
    (tmp_path / 'drive').mkdir()
    (tmp_path / 'drive' / 'keep').write_text('mine')
    with pytest.raises(BagError, match='exists already'):
        drive.write(tmp_path / 'drive')
    (tmp_path / 'other_objects.json').write_text('mine')
    with pytest.raises(BagError, match='other_objects'):
        drive.write(tmp_path / 'other')
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*'))
    assert names == ['drive', 'drive/keep', 'other_objects.json']


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: SampleRenderer, time_s: float) -> np.ndarray:
        if time_s > 0.05:
            raise OSError('disk full')
        return np.zeros((48, 64, 3), np.uint8)

    monkeypatch.setattr(SampleRenderer, 'render', fail)
    rig = [SampleCamera(camera_ring(1, 64, 48)[0])]
    with pytest.raises(BagError, match='cannot be written: disk full'):
        SampleDrive(rig, duration_s=0.3, rate_hz=10.0).write(tmp_path / 'drive')
    assert list(tmp_path.iterdir()) == []


def test_wrong_wishes_are_refused_with_a_reason() -> None:
    camera = camera_ring(1, 64, 48)[0]
    with pytest.raises(ConfigError, match="'camera_0' has encoding 'webp'"):
        SampleDrive([SampleCamera(camera, 'webp')])
    with pytest.raises(ConfigError, match='at least one frame'):
        SampleDrive([SampleCamera(camera)], duration_s=0.01, rate_hz=10.0)
    with pytest.raises(ConfigError, match='used twice'):
        SampleDrive([SampleCamera(camera), SampleCamera(camera)])
