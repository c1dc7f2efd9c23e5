"""The rig of a recording: trigger offsets by hand, calibrations against their definition."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bev_trainer.dataset.bag import messages
from scipy.spatial.transform import Rotation
from support.bags import Recorded, assert_one_line, write_bag
from support.sample_drive.images import image_message
from support.sample_drive.rig import make_camera

from bev_perception.errors import BagError
from bev_perception.frame import CameraState
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert, transform
from bev_perception.geometry.rig_file import RigFile, load_rig_file, save_rig_file
from bev_perception.inputs.calibration import CalibrationStore, CameraInfo, camera_from_info
from bev_perception.inputs.conversion import camera_info_from_msg
from bev_perception.inputs.rig_sources import sources_from_rig_file
from bev_perception.inputs.transform_tree import TransformTree
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.rig_from_bag import (
    CALIBRATION_CHOICES,
    rig_from_bag,
    trigger_offsets_s,
)

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
BLACK = np.zeros((48, 64, 3), dtype=np.uint8)
FRONT = make_camera('front', 64, 48, 'plumb_bob', 80.0, (1.5, 0.2, 1.6), 10.0, 5.0)
TWIST = (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)
REAR = make_camera('rear', 64, 48, 'equidistant', 150.0, (-1.0, 0.0, 1.2), 180.0, 12.0)


def stamps(count: int, period_ms: float, offset_ms: float = 0.0) -> list[int]:
    return [START_NS + round((offset_ms + k * period_ms) * MS) for k in range(count)]


# Trigger offsets.


def test_two_cameras() -> None:
    """Reference: the lower median of two is the earlier one."""
    given = {'a': stamps(5, 100, 0), 'b': stamps(5, 100, 12.5)}
    assert trigger_offsets_s(given) == {'a': 0.0, 'b': 0.0125}


def test_three_cameras() -> None:
    given = {'a': stamps(5, 100, 0), 'b': stamps(5, 100, 30), 'c': stamps(5, 100, 10)}
    assert trigger_offsets_s(given) == {'a': -0.01, 'b': 0.02, 'c': 0.0}


STAGGERED_MS = (0, 7, 14, 21, 28, 35)
# The third smallest of six is the reference: 14 ms.
STAGGERED_S = {'0': -0.014, '1': -0.007, '2': 0.0, '3': 0.007, '4': 0.014, '5': 0.021}


def staggered() -> dict[str, list[int]]:
    """Six cameras at 12 Hz, each 7 ms after the one before."""
    return {str(i): stamps(60, 1000 / 12, ms) for i, ms in enumerate(STAGGERED_MS)}


def test_staggered_cameras() -> None:
    assert trigger_offsets_s(staggered()) == pytest.approx(STAGGERED_S, abs=1e-6)


@pytest.mark.parametrize('dropped', [{'2': [7]}, {'0': [0], '5': [59]}, {'1': [3], '4': [3, 30]}])
def test_dropped_frames(dropped: dict[str, list[int]]) -> None:
    given = staggered()
    for name, indices in dropped.items():
        given[name] = [s for k, s in enumerate(given[name]) if k not in indices]
    assert trigger_offsets_s(given) == pytest.approx(STAGGERED_S, abs=1e-6)


def test_order_of_recording_and_jitter_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    given = {
        name: [s + int(rng.normal(0, 0.2) * MS) for s in rng.permutation(values)]
        for name, values in staggered().items()
    }
    assert trigger_offsets_s(given) == pytest.approx(STAGGERED_S, abs=2e-4)


def test_a_stagger_of_a_whole_period_groups_neighbours() -> None:
    """At 0, 30 and 70 ms of 100: seen from the first, the third is 30 ms early, not 70 late."""
    given = {'a': stamps(20, 100, 0), 'b': stamps(20, 100, 30), 'c': stamps(20, 100, 70)}
    assert trigger_offsets_s(given) == {'a': 0.0, 'b': 0.03, 'c': -0.03}


def test_cameras_of_different_rates() -> None:
    given = {'fast': stamps(90, 100 / 3), 'slow': stamps(30, 100, 4)}
    assert trigger_offsets_s(given) == {'fast': 0.0, 'slow': 0.004}


def test_one_image_each_and_none_at_all() -> None:
    given = {'a': [START_NS + 9 * MS], 'b': [START_NS], 'silent': [], 'c': [START_NS + 40 * MS]}
    assert trigger_offsets_s(given) == {'a': 0.0, 'b': -0.009, 'silent': 0.0, 'c': 0.031}
    assert trigger_offsets_s({'a': [], 'b': []}) == {'a': 0.0, 'b': 0.0}
    assert trigger_offsets_s({}) == {}
    assert trigger_offsets_s({'alone': stamps(3, 100, 77)}) == {'alone': 0.0}


def restated_offsets_s(given: Mapping[str, list[int]]) -> dict[str, float]:
    """The definition, image by image in plain integers."""
    fewest: list[int] = min(given.values(), key=len)
    slowest = sorted(fewest)
    cycles = [
        {name: min(sorted(values), key=lambda s: abs(s - at)) for name, values in given.items()}
        for at in slowest
    ]
    found: dict[str, list[int]] = {name: [] for name in given}
    for cycle in cycles:
        reference = sorted(cycle.values())[(len(cycle) - 1) // 2]
        for name, stamp in cycle.items():
            found[name].append(stamp - reference)
    return {
        name: (sorted(d)[(len(d) - 1) // 2] + sorted(d)[len(d) // 2]) / 2e9
        for name, d in found.items()
    }


def test_against_the_definition_on_random_stamps() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        given = {
            str(i): (START_NS + rng.integers(0, 300, rng.integers(1, 12)) * MS).tolist()
            for i in range(rng.integers(1, 7))
        }
        assert trigger_offsets_s(given) == pytest.approx(restated_offsets_s(given), abs=1e-6)


def test_hours_of_images_fit_into_memory() -> None:
    given = {'a': stamps(200_000, 33, 0), 'b': stamps(200_000, 33, 5)}
    assert trigger_offsets_s(given) == {'a': 0.0, 'b': 0.005}


# Recordings.


def image(camera: Camera, stamp_ns: int, topic: str = '') -> Recorded:
    kind = 'rgb8' if topic and 'compressed' not in topic else 'jpeg'
    message = image_message(BLACK, kind, stamp_ns, camera.frame_id)
    return topic or f'/{camera.name}/image/compressed', stamp_ns, message


def info(camera: Camera, stamp_ns: int = START_NS, **changes: Any) -> Recorded:
    message = messages.camera_info_message(camera, stamp_ns)
    for name, value in changes.items():
        setattr(message, name, value)
    return f'/{camera.name}/camera_info', stamp_ns, message


def placed(*cameras: Camera, topic: str = '/tf_static', stamp_ns: int = START_NS) -> Recorded:
    transforms = messages.camera_transforms(cameras, stamp_ns)
    return topic, stamp_ns, messages.transforms_message(transforms)


def rig_of(
    folder: Path,
    recorded: list[Recorded],
    calibration: str = 'full',
    base_frame: str = 'base_link',
) -> RigFile:
    bag = write_bag(folder / 'bag', sorted(recorded, key=lambda item: item[1]))
    with BagReader(bag) as reader:
        return rig_from_bag(reader, base_frame, calibration)


def camera_of(rig: RigFile, recorded: list[Recorded], name: str) -> Camera:
    """The camera as the live node sees it: from the rig, else from the messages."""
    tree = TransformTree()
    store = CalibrationStore(sources_from_rig_file(rig), rig.base_frame, tree)
    for topic, stamp_ns, message in recorded:
        if topic.endswith('camera_info'):
            store.set_info(topic.split('/')[1], camera_info_from_msg(message))
        elif topic == '/tf_static':
            for item in message.transforms:
                camera = next(c for c in (FRONT, REAR) if c.frame_id == item.child_frame_id)
                tree.set_transform(
                    'base_link', camera.frame_id, stamp_ns, camera.base_T_camera, True
                )
    return store.camera(name, START_NS)


def assert_same_camera(found: Camera, expected: Camera) -> None:
    assert (found.name, found.frame_id) == (expected.name, expected.frame_id)
    assert (found.width, found.height) == (expected.width, expected.height)
    np.testing.assert_allclose(found.K, expected.K, atol=1e-12)
    np.testing.assert_allclose(found.base_T_camera, expected.base_T_camera, atol=2e-9)
    assert found.distortion == expected.distortion


def two_cameras() -> list[Recorded]:
    recorded = [placed(FRONT, REAR), info(FRONT), info(REAR)]
    for stamp_ns in stamps(5, 100):
        recorded += [image(FRONT, stamp_ns), image(REAR, stamp_ns + 30 * MS)]
    return recorded


@pytest.mark.parametrize('calibration', CALIBRATION_CHOICES)
def test_calibration_choices(tmp_path: Path, calibration: str) -> None:
    recorded = two_cameras()
    rig = rig_of(tmp_path, recorded, calibration)
    assert (rig.base_frame, rig.odometry_topic) == ('base_link', None)
    front, rear = rig.cameras
    assert (front.name, front.image_topic) == ('front', '/front/image/compressed')
    assert (front.camera_info_topic, front.transport) == ('/front/camera_info', 'compressed')
    assert (front.frame_id, front.rectified) == ('front_optical', False)
    assert (front.trigger_offset_s, rear.trigger_offset_s) == (0.0, 0.03)
    for given, camera in ((front, FRONT), (rear, REAR)):
        assert (given.intrinsics is not None) == (calibration == 'full')
        assert (given.base_T_camera is not None) == (calibration != 'none')
        assert_same_camera(camera_of(rig, recorded, camera.name), camera)
    save_rig_file(rig, tmp_path / 'rig.yaml')
    assert load_rig_file(tmp_path / 'rig.yaml') == rig


def test_full_rig_needs_no_messages_any_more(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, two_cameras())
    for camera in (FRONT, REAR):
        assert_same_camera(camera_of(rig, [], camera.name), camera)


def test_odometry_raw_images_and_other_base(tmp_path: Path) -> None:
    pose = np.eye(4)
    recorded = [
        placed(FRONT),
        ('/odometry/local', START_NS, messages.odometry_message(pose, *TWIST, START_NS)),
        info(FRONT),
        image(FRONT, START_NS, '/front/image_raw'),
    ]
    rig = rig_of(tmp_path, recorded, base_frame='front_optical')
    assert (rig.odometry_topic, rig.base_frame) == ('/odometry/local', 'front_optical')
    assert rig.cameras[0].transport == 'raw'
    assert rig.cameras[0].base_T_camera is not None
    assert rig.cameras[0].base_T_camera.translation_m == (0.0, 0.0, 0.0)


def test_placement_through_a_chain_of_frames(tmp_path: Path) -> None:
    """base_link <- mast (static) <- front_optical (moving, published only later)."""
    base_T_mast = make_camera('m', 4, 4, 'none', 60.0, (0.3, 0.0, 2.0), 45.0, 0.0).base_T_camera
    mast = FRONT.with_pose(base_T_mast)
    chain = messages.transforms_message(messages.camera_transforms([mast], START_NS))
    chain.transforms[0].child_frame_id = 'mast'
    recorded: list[Recorded] = [('/tf_static', START_NS, chain), info(FRONT)]
    for stamp_ns in stamps(9, 100):
        recorded.append(image(FRONT, stamp_ns))
    for stamp_ns in stamps(7, 100, 150):
        item = placed(
            FRONT.with_pose(invert(base_T_mast) @ FRONT.base_T_camera), stamp_ns=stamp_ns
        )[2]
        item.transforms[0].header.frame_id = '/mast'
        recorded.append(('/tf', stamp_ns, item))
    rig = rig_of(tmp_path, recorded)
    assert_same_camera(camera_of(rig, [], 'front'), FRONT)


# A rectified camera: P is not K, and R turns by some degrees.
TURN = Rotation.from_euler('xyz', [2.0, -5.0, 1.0], degrees=True).as_matrix()
PROJECTION = np.array([[40.0, 0.0, 30.0, 0.0], [0.0, 41.0, 25.0, 0.0], [0.0, 0.0, 1.0, 0.0]])


def rectified_recording() -> list[Recorded]:
    return [
        placed(FRONT),
        info(FRONT, r=TURN.ravel(), p=PROJECTION.ravel()),
        image(FRONT, START_NS, '/front/image_rect_color'),
    ]


@pytest.mark.parametrize('calibration', CALIBRATION_CHOICES)
def test_rectified_images(tmp_path: Path, calibration: str) -> None:
    """sensor_msgs/CameraInfo: pixel = P [R point; 1], with the point in the camera's frame."""
    recorded = rectified_recording()
    rig = rig_of(tmp_path, recorded, calibration)
    assert rig.cameras[0].rectified
    camera = camera_of(rig, recorded, 'front')
    rng = np.random.default_rng(4)
    points_camera = rng.uniform([-2.0, -1.5, 2.0], [2.0, 1.5, 9.0], (200, 3))
    points_base = transform(FRONT.base_T_camera, points_camera)
    seen = (PROJECTION[:, :3] @ TURN @ points_camera.T).T
    uv, valid = camera.project_base(points_base)
    assert valid.sum() > 100
    np.testing.assert_allclose(uv, seen[:, :2] / seen[:, 2:], atol=1e-6)
    unrectified, _ = FRONT.project_base(points_base)
    assert np.abs(uv - unrectified).max() > 3.0
    from_message = camera_info_from_msg(recorded[1][2])
    assert_same_camera(
        camera, camera_from_info('front', from_message, 'front_optical', True, FRONT.base_T_camera)
    )


def test_region_of_interest_and_binning(tmp_path: Path) -> None:
    """A full rig describes the images as they are, not the whole sensor."""
    recorded = [placed(FRONT), info(FRONT, binning_x=2, binning_y=2), image(FRONT, START_NS)]
    roi = recorded[1][2].roi
    roi.x_offset, roi.y_offset, roi.width, roi.height = 10, 4, 40, 20
    rig = rig_of(tmp_path, recorded)
    intrinsics = rig.cameras[0].intrinsics
    assert intrinsics is not None and (intrinsics.width, intrinsics.height) == (20, 10)
    live: CameraInfo = camera_info_from_msg(recorded[1][2])
    assert_same_camera(
        camera_of(rig, [], 'front'),
        camera_from_info('front', live, 'front_optical', False, FRONT.base_T_camera),
    )
    # Pixel (30, 12) of the sensor: ((30 - 10 + 0.5) / 2 - 0.5, (12 - 4 + 0.5) / 2 - 0.5).
    ray = FRONT.rays(np.array([30.0, 12.0]))
    uv, _ = camera_of(rig, [], 'front').project(ray)
    np.testing.assert_allclose(uv, [9.75, 3.75], atol=1e-9)


def refusal(folder: Path, recorded: list[Recorded], *words: object, **choices: str) -> None:
    with pytest.raises(BagError) as error:
        rig_of(folder, recorded, **choices)
    assert_one_line(error.value, folder / 'bag', *words)


def test_missing_camera_info(tmp_path: Path) -> None:
    recorded = [r for r in two_cameras() if r[0] != '/rear/camera_info']
    refusal(tmp_path, recorded, "camera 'rear' (/rear/image/compressed) has no CameraInfo")


def test_missing_transform_names_the_frames_that_exist(tmp_path: Path) -> None:
    recorded = two_cameras()
    words = ("camera 'front'", "'rear_axle'", '--base-frame')
    frames = 'frames in the bag: base_link, front_optical, rear_optical;'
    refusal(tmp_path, recorded, *words, frames, base_frame='rear_axle')
    (tmp_path / 'b').mkdir()
    rig = rig_of(tmp_path / 'b', recorded, 'none', base_frame='rear_axle')
    assert rig.base_frame == 'rear_axle'
    (tmp_path / 'c').mkdir()
    without = [r for r in recorded if r[0] != '/tf_static']
    refusal(tmp_path / 'c', without, 'frames in the bag: none', calibration='placement')


def test_no_camera(tmp_path: Path) -> None:
    refusal(tmp_path, [placed(FRONT), info(FRONT)], 'holds no camera images')


def test_uncalibrated_camera(tmp_path: Path) -> None:
    """Drivers without a calibration publish zeros."""
    recorded = [placed(FRONT), info(FRONT, k=np.zeros(9), p=np.zeros(12)), image(FRONT, START_NS)]
    refusal(tmp_path, recorded, "camera 'front': CameraInfo is all zero", '/front/camera_info')


def test_unknown_lens_model(tmp_path: Path) -> None:
    recorded = [placed(FRONT), info(FRONT, distortion_model='spline'), image(FRONT, START_NS)]
    refusal(tmp_path, recorded, "camera 'front'", "'spline'")
    (tmp_path / 'b').mkdir()
    rig = rig_of(tmp_path / 'b', recorded, 'placement')
    with pytest.raises(Exception, match='spline') as error:
        camera_of(rig, recorded, 'front')
    assert getattr(error.value, 'state', None) is CameraState.BAD_CALIBRATION


def test_transforms_that_are_none_are_passed_over(tmp_path: Path) -> None:
    """As tf2 does: a frame of somebody else with a zero quaternion spoils nothing."""
    recorded = [placed(REAR, stamp_ns=START_NS - 1), *two_cameras()]
    broken = recorded[0][2].transforms[0]
    broken.child_frame_id = 'gripper'
    broken.transform.rotation.w = broken.transform.rotation.x = 0.0
    broken.transform.rotation.y = broken.transform.rotation.z = 0.0
    assert [c.name for c in rig_of(tmp_path, recorded).cameras] == ['front', 'rear']
