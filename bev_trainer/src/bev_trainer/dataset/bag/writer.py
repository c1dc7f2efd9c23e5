"""Writes a drive as a recording that the node plays like any other."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.rig_file import RigFileCamera
from bev_trainer.data.drive_maps import OCCUPANCY, map_layers
from bev_trainer.dataset.bag import messages, truth_messages
from bev_trainer.dataset.bag.ego_path import EgoPath, ego_path, odom_T_world
from bev_trainer.dataset.bag.recording import Event, write_recording
from bev_trainer.dataset.bag.truth_objects import truth_entry, truth_objects
from bev_trainer.dataset.reader import Drive

ODOMETRY_STEP_NS = 20_000_000
MARGIN_NS = 100_000_000
TRUTH = '/ground_truth'


@dataclass(frozen=True)
class CameraTopics:
    """Where the images of a camera and its CameraInfo go.

    Attributes:
        image: topic.
        raw: sensor_msgs/Image, else CompressedImage.
        info: topic.
    """

    image: str
    raw: bool
    info: str


def camera_topics(entry: RigFileCamera, raw: bool) -> CameraTopics:
    """Returns the topics of the rig file; `raw` asks for raw images where it has compressed ones.

    Raw images of a compressed topic are on the one without `/compressed`.
    """
    uncompressed = entry.image_topic.removesuffix('/compressed')
    info = entry.camera_info_topic or f'{uncompressed.rpartition("/")[0]}/camera_info'
    image = uncompressed if raw else entry.image_topic
    return CameraTopics(image, raw or entry.transport == 'raw', info)


def write_bag(drive: Drive, output: Path, *, raw: bool = False) -> Path:
    """Writes a drive as a rosbag2 folder (MCAP) and its `_objects.json`; returns the latter.

    Topics: those of the drive's rig file for images and CameraInfo, `/tf_static` (base_link to
    the cameras, map to odom), `/tf` (odom to base_link) and odometry at 50 Hz, from before the
    first image to after the last one. odom begins where the vehicle is at the first reference
    instant; map is the world frame. Ground truth at every reference instant is on
    `/ground_truth/objects` and `/ground_truth/detections`; at those with dense labels also on
    `/ground_truth/occupancy` and `/ground_truth/semantics/<layer>`. Every
    message is logged at its stamp.

    Args:
        drive: open.
        output: folder to make.
        raw: all images as sensor_msgs/Image (rgb8); else those of cameras whose transport in the
            rig file is compressed are the stored JPEG files.

    Raises:
        BagError: the output exists already or cannot be written.
        DatasetError: the drive cannot be read.
    """
    return _Recording(drive, raw).write(Path(output))


class _Recording:
    def __init__(self, drive: Drive, raw: bool) -> None:
        self._drive = drive
        self._raw = raw
        self._description = drive.description
        self._base_frame = drive.description.rig.base_frame
        self._path = ego_path(drive, odom_T_world(drive))
        self._cameras = [_with_frame(camera) for camera in drive.cameras]
        self._truth: list[dict[str, Any]] = []

    def write(self, output: Path) -> Path:
        return write_recording(output, self._events(), self._truth)

    def _events(self) -> Iterator[Event]:
        """Yields everything by rising stamps; fills `_truth` on the way."""
        stamps_ns = self._odometry_stamps()
        yield stamps_ns[0], '/tf_static', self._static_transforms(stamps_ns[0])
        streams = (self._odometry(stamps_ns), self._images(), self._ground_truth())
        yield from heapq.merge(*streams, key=lambda event: event[0])

    def _odometry_stamps(self) -> range:
        """Returns stamps in steps of 20 ms, the first reference instant among them."""
        frames, offsets = self._description.frame_stamps_ns, self._description.camera_offsets_ns
        before = math.ceil((MARGIN_NS - min(0, *offsets, 0)) / ODOMETRY_STEP_NS)
        span_ns = frames[-1] - frames[0] + max(0, *offsets, 0) + MARGIN_NS
        after = math.ceil(span_ns / ODOMETRY_STEP_NS)
        first_ns = frames[0] - before * ODOMETRY_STEP_NS
        last_ns = frames[0] + after * ODOMETRY_STEP_NS
        return range(first_ns, last_ns + 1, ODOMETRY_STEP_NS)

    def _static_transforms(self, stamp_ns: int) -> Any:
        transforms = messages.camera_transforms(self._cameras, stamp_ns, self._base_frame)
        map_T_odom = self._drive.world_T_base[0]
        placed = messages.transform_message(
            map_T_odom, messages.MAP_FRAME, messages.ODOM_FRAME, stamp_ns
        )
        return messages.transforms_message([*transforms, placed])

    def _odometry(self, stamps_ns: range) -> Iterator[Event]:
        topic = self._description.rig.odometry_topic or '/odom'
        for stamp_ns in stamps_ns:
            yield from _odometry_events(self._path, stamp_ns, topic, self._base_frame)

    def _images(self) -> Iterator[Event]:
        description = self._description
        shots = sorted(
            (stamp_ns + offset_ns, frame, index)
            for frame, stamp_ns in enumerate(description.frame_stamps_ns)
            for index, offset_ns in enumerate(description.camera_offsets_ns)
        )
        topics = [camera_topics(entry, self._raw) for entry in description.rig.cameras]
        for stamp_ns, frame, index in shots:
            camera, topic = self._cameras[index], topics[index]
            yield stamp_ns, topic.image, self._image(frame, index, stamp_ns, topic.raw)
            info = messages.camera_info_message(camera, stamp_ns)
            yield stamp_ns, topic.info, info

    def _image(self, frame: int, index: int, stamp_ns: int, raw: bool) -> Any:
        frame_id = self._cameras[index].frame_id
        if not raw:
            return messages.jpeg_message(self._drive.jpeg(frame, index), stamp_ns, frame_id)
        rgb = self._drive.image(frame, index)
        rows = rgb.reshape(len(rgb), -1)
        return messages.raw_image_message(rows, rgb.shape[1], 'rgb8', stamp_ns, frame_id)

    def _ground_truth(self) -> Iterator[Event]:
        dense = set(self._description.label_frames)
        for frame, stamp_ns in enumerate(self._description.frame_stamps_ns):
            objects = truth_objects(self._drive, frame)
            where = stamp_ns, self._base_frame
            self._truth.append(truth_entry(*where, self._path.pose(stamp_ns), objects))
            found = truth_messages.object_array_message(objects, *where)
            yield stamp_ns, f'{TRUTH}/objects', found
            detections = truth_messages.detection_array_message(objects, *where)
            yield stamp_ns, f'{TRUTH}/detections', detections
            if frame in dense:
                yield from self._grids(frame, stamp_ns)

    def _grids(self, frame: int, stamp_ns: int) -> Iterator[Event]:
        drive = self._drive
        for name, cells in map_layers(drive, frame).items():
            message = truth_messages.grid_message(
                cells == 1, cells >= 0, drive.label_grid, stamp_ns, self._base_frame
            )
            topic = name if name == OCCUPANCY else f'semantics/{name}'
            yield stamp_ns, f'{TRUTH}/{topic}', message


def _odometry_events(path: EgoPath, stamp_ns: int, topic: str, base_frame: str) -> Iterator[Event]:
    pose = path.pose(stamp_ns)
    moved = messages.transform_message(pose, messages.ODOM_FRAME, base_frame, stamp_ns)
    yield stamp_ns, '/tf', messages.transforms_message([moved])
    odometry = messages.odometry_message(pose, *path.twist(stamp_ns), stamp_ns, base_frame)
    yield stamp_ns, topic, odometry


def _with_frame(camera: Camera) -> Camera:
    """Returns the camera with an optical frame: a rig file need not name one."""
    return camera if camera.frame_id else replace(camera, frame_id=f'{camera.name}_optical')
