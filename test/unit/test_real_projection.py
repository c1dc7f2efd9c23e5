"""Annotated 3D boxes of two real recordings, projected by our geometry, lie on the objects.

The recordings hold no 2D labels. Three kinds of evidence: outlines of objects read off the images
by eye (without looking at projected boxes), which a set of wrong calibrations must miss; structure
in the images, which is densest where the boxes project; and facts of the world.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import invert, make_pose, pose_from_yaw, transform
from bev_perception.inputs.image import CameraImage, decode

DGP, NUSCENES = 'dgp_scene_02', 'nuscenes_frame'


@dataclass(frozen=True)
class Recording:
    """Cameras, (stamp, image) per camera and frame, ego poses by stamp, annotated frames."""

    cameras: dict[str, Camera]
    images: dict[str, list[tuple[int, CameraImage]]]
    odom_T_base: dict[int, np.ndarray]
    frames: list[dict[str, Any]]

    def box_in_base(self, camera: str, frame: int, item: dict[str, Any]) -> np.ndarray:
        """Corners [8, 3] in the base frame at the instant the image was taken, where known."""
        size = (item['length_m'], item['width_m'], item['height_m'])
        corners = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing='ij'), -1).reshape(8, 3) * size
        x, y, z = item['center_m']
        corners = transform(pose_from_yaw(x, y, z, item['yaw_rad']), corners)
        taken, labelled = self.images[camera][frame][0], self.frames[frame]['stamp_ns']
        if taken in self.odom_T_base and labelled in self.odom_T_base:
            base_T_labelled = invert(self.odom_T_base[taken]) @ self.odom_T_base[labelled]
            return transform(base_T_labelled, corners)
        return corners


def read(folder: Path, name: str) -> Recording:
    infos: dict[str, Any] = {}
    poses: dict[str, np.ndarray] = {}
    images: dict[str, list[tuple[int, CameraImage]]] = {}
    odom: dict[int, np.ndarray] = {}
    with AnyReader([folder / name]) as reader:
        for connection, _, data in reader.messages():
            message: Any = reader.deserialize(data, connection.msgtype)
            camera = connection.topic.split('/')[1]
            if connection.topic == '/tf_static':
                poses.update({t.child_frame_id: pose_of(t.transform) for t in message.transforms})
            elif connection.topic == '/odom':
                odom[stamp_of(message)] = pose_of(message.pose.pose)
            elif connection.topic.endswith('/camera_info'):
                infos[camera] = message
            elif connection.topic.endswith('/image/compressed'):
                image = CameraImage(message.data, message.format, 0, 0, 0, True)
                images.setdefault(camera, []).append((stamp_of(message), image))
    cameras = {
        camera: Camera(
            camera,
            info.header.frame_id,
            info.width,
            info.height,
            np.reshape(info.k, (3, 3)),
            Distortion.from_ros(info.distortion_model, list(info.d)),
            poses[info.header.frame_id],
        )
        for camera, info in infos.items()
    }
    frames = json.loads((folder / f'{name}_objects.json').read_text())
    return Recording(cameras, images, odom, frames)


def stamp_of(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def pose_of(value: Any) -> np.ndarray:
    """Of a geometry_msgs Transform or Pose."""
    place = getattr(value, 'translation', None) or value.position
    turn = getattr(value, 'rotation', None) or value.orientation
    return make_pose([place.x, place.y, place.z], [turn.x, turn.y, turn.z, turn.w])


@pytest.fixture(scope='module')
def recordings(real_data: Path) -> dict[str, Recording]:
    return {name: read(real_data, name) for name in (DGP, NUSCENES)}


# Outlines read off the images.


@dataclass(frozen=True)
class Outline:
    """Left, top, right, bottom in pixels of an object's visible outline, read by eye.

    `item` is the position of its box in the frame's list; `shift_px` how far box and outline may
    lie apart along u: nuScenes' side cameras fired 15 to 43 ms before the boxes' instant and their
    ego motion was not recorded.
    """

    recording: str
    camera: str
    frame: int
    item: int
    box: tuple[float, float, float, float]
    shift_px: float = 8.0


OUTLINES = [
    Outline(NUSCENES, 'cam_front', 0, 61, (719, 464, 784, 530)),  # silver van
    Outline(NUSCENES, 'cam_front', 0, 35, (897, 478, 954, 526)),  # silver saloon
    Outline(NUSCENES, 'cam_front', 0, 16, (1003, 475, 1077, 534)),  # black car
    Outline(NUSCENES, 'cam_back', 0, 7, (337, 508, 503, 580)),  # taxi
    Outline(NUSCENES, 'cam_back', 0, 50, (1051, 471, 1089, 587)),  # man crossing
    Outline(NUSCENES, 'cam_back', 0, 58, (923, 498, 975, 591)),  # striding man
    Outline(NUSCENES, 'cam_back_left', 0, 14, (1161, 427, 1186, 522)),  # person beside a pillar
    Outline(NUSCENES, 'cam_back_left', 0, 27, (1147, 430, 1162, 510)),  # person behind
    Outline(NUSCENES, 'cam_front_right', 0, 24, (288, 569, 341, 659), 25.0),  # traffic cone
    Outline(NUSCENES, 'cam_back_right', 0, 38, (1083, 502, 1138, 626), 25.0),  # man at the kerb
    Outline(NUSCENES, 'cam_back_right', 0, 54, (781, 476, 800, 542), 25.0),  # man in red
    Outline(DGP, 'camera_01', 0, 10, (921, 561, 984, 608)),  # oncoming car
    Outline(DGP, 'camera_01', 0, 0, (1049, 530, 1119, 595)),  # lorry ahead
    Outline(DGP, 'camera_09', 0, 3, (905, 611, 1023, 710)),  # pick-up behind
    Outline(DGP, 'camera_06', 0, 4, (701, 559, 931, 657), 12.0),  # parked pick-up
    Outline(DGP, 'camera_01', 2, 10, (908, 554, 976, 605)),
    Outline(DGP, 'camera_01', 2, 0, (1049, 522, 1118, 587)),
    Outline(DGP, 'camera_09', 2, 3, (903, 615, 1022, 713)),
    Outline(DGP, 'camera_06', 2, 4, (790, 552, 1021, 659), 12.0),
]
SHIFT_V_PX = 8.0
CONTAINED_PX = 6.0


def hits(outline: Outline, recording: Recording, cameras: dict[str, Camera]) -> bool:
    """Whether the projected box is centred on the outline and holds it without being far bigger.

    Annotated boxes have some air around the object, and a walking person's box is wider than the
    person looks from one side.
    """
    item = recording.frames[outline.frame]['objects'][outline.item]
    corners = recording.box_in_base(outline.camera, outline.frame, item)
    uv, valid = cameras[outline.camera].project_base(corners)
    if not valid.all():
        return False
    low, high = uv.min(axis=0), uv.max(axis=0)
    seen_low, seen_high = np.array(outline.box[:2]), np.array(outline.box[2:])
    tolerance = np.array([outline.shift_px, SHIFT_V_PX])
    off_center = np.abs(low + high - seen_low - seen_high) / 2
    slack = CONTAINED_PX + np.array([outline.shift_px - 8.0, 0.0])
    holds = (low <= seen_low + slack) & (high >= seen_high - slack)
    similar = (high - low)[1] < 1.4 * (seen_high - seen_low)[1]
    return bool(np.all(off_center <= tolerance) and holds.all() and similar)


@pytest.mark.parametrize(
    'outline', OUTLINES, ids=lambda o: f'{o.recording}-{o.camera}-{o.frame}-{o.item}'
)
def test_boxes_lie_on_outlines_read_by_eye(recordings, outline):
    recording = recordings[outline.recording]
    assert hits(outline, recording, recording.cameras)


def moved(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Recording], dict[str, Camera]]:
    return lambda recording: {
        name: camera.with_pose(change(camera.base_T_camera))
        for name, camera in recording.cameras.items()
    }


def transposed_rotation(pose: np.ndarray) -> np.ndarray:
    wrong = pose.copy()
    wrong[:3, :3] = pose[:3, :3].T
    return wrong


def mirrored_rig(pose: np.ndarray) -> np.ndarray:
    """y right instead of left: the pose seen in a mirror, rotation kept proper."""
    mirror = np.diag([1.0, -1.0, 1.0, 1.0])
    return mirror @ pose @ np.diag([-1.0, 1.0, 1.0, 1.0])


def swapped_neighbours(recording: Recording) -> dict[str, Camera]:
    names = list(recording.cameras)
    return {
        name: replace(recording.cameras[other], name=name)
        for name, other in zip(names, names[1:] + names[:1], strict=True)
    }


def turned(axis: int, degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    """About an axis of the camera: 0 pitch, 1 yaw, 2 roll."""
    half = np.deg2rad(degrees) / 2
    quaternion = np.array([0.0, 0.0, 0.0, np.cos(half)])
    quaternion[axis] = np.sin(half)
    return lambda pose: pose @ make_pose([0, 0, 0], quaternion)


WRONG = {
    'rotation transposed': moved(transposed_rotation),
    'pose inverted': moved(invert),
    'rig mirrored': moved(mirrored_rig),
    'body axes for optical axes': moved(
        lambda pose: pose @ make_pose([0, 0, 0], [0.5, -0.5, 0.5, 0.5])
    ),
    'neighbours swapped': swapped_neighbours,
    'upside down': moved(turned(2, 180.0)),
    'pitched by 1 degree': moved(turned(0, 1.0)),
    'turned by 2 degrees': moved(turned(1, 2.0)),
    'sensor at the ground': moved(lambda pose: pose - np.eye(4)[:, [2]] @ [[0, 0, 0, 1.5]]),
}


@pytest.mark.parametrize('wrong', WRONG)
def test_wrong_calibrations_miss_the_outlines(recordings, wrong):
    found = sum(
        hits(outline, recordings[outline.recording], WRONG[wrong](recordings[outline.recording]))
        for outline in OUTLINES
    )
    assert found <= len(OUTLINES) // 5, f'{wrong}: {found} of {len(OUTLINES)} outlines still hit'


# Structure in the images.


def gradient_image(image: CameraImage, camera: Camera) -> np.ndarray:
    grey = cv2.cvtColor(decode(image, camera, 1), cv2.COLOR_RGB2GRAY)
    grey = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.5)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


def well_seen_boxes(recording: Recording, camera: str, frame: int) -> list[np.ndarray]:
    """[[left, top], [right, bottom]] of boxes wholly in the image, 14 pixels or larger.

    Boxes without lidar points are hidden; camera_05's stand in the dark behind trees.
    """
    boxes = []
    for item in recording.frames[frame]['objects']:
        corners = recording.box_in_base(camera, frame, item)
        uv, valid = recording.cameras[camera].project_base(corners)
        low, high = uv.min(axis=0), uv.max(axis=0)
        if valid.all() and (high - low).min() >= 14 and item.get('num_lidar_pts', 10) >= 10:
            boxes.append(np.stack([low, high]))
    return [] if camera == 'camera_05' else boxes


def density(gradient: np.ndarray, box: np.ndarray) -> float:
    (left, top), (right, bottom) = np.maximum(np.round(box).astype(int), 0)
    inside = gradient[top:bottom, left:right]
    return float(inside.mean()) if inside.size else np.nan


def test_image_structure_is_densest_where_the_boxes_project(recordings):
    """Objects have more edges than road, sky and wall beside them.

    So the mean gradient inside the boxes must be highest with the boxes where they are, and fall
    with every quarter of their own size by which all of them are displaced.
    """
    shares = np.array([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0])
    logs = []
    for recording in recordings.values():
        for name, images in recording.images.items():
            for frame, (_, image) in enumerate(images):
                gradient = gradient_image(image, recording.cameras[name])
                for box in well_seen_boxes(recording, name, frame):
                    size = box[1] - box[0]
                    logs.append(
                        [
                            [density(gradient, box + share * size * axis) for share in shares]
                            for axis in np.eye(2)
                        ]
                    )
    assert len(logs) > 25
    profile = np.nanmean(np.log(np.array(logs)), axis=0)
    across, along = profile - profile[:, 3:4]
    assert np.all(across[[2, 4]] < -0.005) and np.all(along[[2, 4]] < -0.04)
    assert np.all(across[[1, 5]] < -0.05) and np.all(along[[1, 5]] < -0.10)
    assert np.all(across[[0, 6]] < -0.15) and np.all(along[[0, 6]] < -0.35)


# Facts of the world.


def all_boxes(recording: Recording, camera: str):
    for frame, annotated in enumerate(recording.frames):
        for item in annotated['objects']:
            yield recording.box_in_base(camera, frame, item)


@pytest.mark.parametrize('name', [DGP, NUSCENES])
def test_what_is_ahead_is_seen_by_the_camera_that_looks_ahead_and_behind_likewise(
    recordings, name
):
    cameras = recordings[name].cameras
    axes = {camera: c.base_T_camera[:3, 2] for camera, c in cameras.items()}
    front = max(axes, key=lambda camera: axes[camera][0])
    back = min(axes, key=lambda camera: axes[camera][0])
    assert (front, back) == {
        DGP: ('camera_01', 'camera_09'),
        NUSCENES: ('cam_front', 'cam_back'),
    }[name]
    counts = {1: 0, -1: 0}
    for corners in all_boxes(recordings[name], front):
        center = corners.mean(axis=0)
        bearing = np.degrees(np.arctan2(abs(center[1]), abs(center[0])))
        if bearing > 15.0 or abs(center[0]) < 8.0:
            continue
        ahead = center[0] > 0
        counts[1 if ahead else -1] += 1
        assert cameras[front].project_base(center)[1] == ahead
        assert cameras[back].project_base(center)[1] == (not ahead)
    assert min(counts.values()) >= 4


def test_every_object_around_is_seen_by_one_or_two_neighbouring_cameras(recordings):
    """nuScenes' six cameras cover all directions and overlap only with their neighbours."""
    recording = recordings[NUSCENES]
    for corners in all_boxes(recording, 'cam_front'):
        center = corners.mean(axis=0)
        seen = [n for n, c in recording.cameras.items() if c.project_base(center)[1]]
        assert 1 <= len(seen) <= 2
        bearing = np.arctan2(center[1], center[0])
        for camera in seen:
            axis = recording.cameras[camera].base_T_camera[:3, 2]
            off_axis = np.angle(np.exp(1j * (bearing - np.arctan2(axis[1], axis[0]))))
            assert abs(off_axis) < np.deg2rad(65)


@pytest.mark.parametrize('name', [DGP, NUSCENES])
def test_pixels_under_the_boxes_lead_back_to_where_the_boxes_stand(recordings, name):
    """The ray of a bottom centre's pixel meets the plane of that bottom at the object."""
    met = 0
    for camera_name, camera in recordings[name].cameras.items():
        for corners in all_boxes(recordings[name], camera_name):
            # With indexing 'ij' the corners at -height/2 are the even ones.
            bottom = corners[::2].mean(axis=0)
            uv, valid = camera.project_base(bottom)
            if not valid:
                continue
            ray = camera.base_T_camera[:3, :3] @ camera.rays(uv)
            origin = camera.base_T_camera[:3, 3]
            depth = (bottom[2] - origin[2]) / ray[2]
            np.testing.assert_allclose(origin + depth * ray, bottom, atol=1e-6)
            met += 1
    assert met > 20


def test_near_objects_stand_on_the_ground_of_base_link(recordings):
    bottoms = [
        corners[:, 2].min()
        for corners in all_boxes(recordings[NUSCENES], 'cam_front')
        if np.hypot(*corners.mean(axis=0)[:2]) < 20.0
    ]
    assert len(bottoms) > 10
    assert abs(np.median(bottoms)) < 0.15
