"""Recordings by frame: indexed once from start to end, then read by time.

A recording finds out which images belong together, and where the vehicle was, only in the course
of reading it. That is done once; what is remembered of an image is when it was recorded. Storage
is indexed by that: of an MCAP file those chunks are read that hold the instant, of an sqlite file
those rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BagError, ImageError
from bev_perception.evaluation.scenes.bag import BagScene, OpenBag
from bev_perception.evaluation.scenes.bag_rig import usable_rig
from bev_perception.evaluation.scenes.bag_truth import read_bag_truth
from bev_perception.evaluation.scenes.forgiving_reader import ForgivingReader
from bev_perception.evaluation.truth.message_types import learn_truth_types
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.pose import Matrix, invert, transform
from bev_perception.inputs.conversion import image_from_msg, stamp_to_ns
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_perception.replay.bag_reader import BagMessage, BagReader
from bev_perception.replay.topic_types import COMPRESSED_IMAGE, IMAGE
from bev_trainer.data.scene_clouds import CloudTopic, cloud_points, index_clouds
from bev_trainer.data.scene_lidar import LidarPoints
from bev_trainer.data.scene_reader import Indexed, missing
from bev_trainer.data.scene_table import FrameTable, frame_table

_KEPT = 8  # frame sets: a few megabytes each
# A lidar turns ten times a second or faster: half a turn away there is another cloud.
_CLOUD_REACH_NS = 60_000_000
_CLOUD_GAP_S = 1.0
_NEVER = -1

# Topic and stamp of an image.
ImageKey = tuple[str, int]


class IndexingReader(ForgivingReader):
    """Remembers of every image that goes by when it was recorded.

    Attributes:
        log_ns: by topic and stamp; of two of one stamp that of the first.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.log_ns: dict[ImageKey, int] = {}

    def __enter__(self) -> IndexingReader:
        super().__enter__()
        return self

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yields messages as `ForgivingReader`."""
        for message in super().messages(topics):
            if message.type in (IMAGE, COMPRESSED_IMAGE):
                stamp_ns = stamp_to_ns(self.decode(message).header.stamp)
                self.log_ns.setdefault((message.topic, stamp_ns), message.log_ns)
            yield message


class WindowReader(BagReader):
    """An open recording of which parts are read."""

    def between(
        self, topics: Collection[str], first_ns: int, last_ns: int
    ) -> Iterator[BagMessage]:
        """Yields the messages of topics that were recorded from an instant to another.

        Raises:
            BagError: the recording is damaged there.
        """
        wanted = [c for c in self._reader.connections if c.topic in topics]
        if not wanted:
            return
        try:
            found = self._reader.messages(connections=wanted, start=first_ns, stop=last_ns + 1)
            for connection, log_ns, data in found:
                yield BagMessage(connection.topic, connection.msgtype, log_ns, bytes(data))
        except Exception as error:  # whatever broken bytes make the library raise
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise BagError(f'{self.path}: bag is damaged: {reason[:200]}') from error


class BagByFrame:
    """A recording by frame (`SceneReader`).

    Args:
        path: of the recording.
        topics: of the images of its N cameras.
        truth: its ground truth.
        table: its frame sets.
        log_ns: when images were recorded.
        clouds: of its lidars.
    """

    def __init__(
        self,
        path: Path,
        topics: Sequence[str],
        truth: SceneTruth,
        table: FrameTable,
        log_ns: Mapping[ImageKey, int],
        clouds: Sequence[CloudTopic] = (),
    ) -> None:
        self.path, self.truth, self.table = str(path), truth, table
        self._topics, self._clouds = tuple(topics), tuple(clouds)
        self._log_ns = np.full(table.image_ns.shape, _NEVER, np.int64)
        for frame, camera in np.ndindex(*self._log_ns.shape):
            if table.has_image(frame, camera):
                self._log_ns[frame, camera] = log_ns.get(self._key(frame, camera), _NEVER)
        self._open: WindowReader | None = None
        self._kept: OrderedDict[int, dict[ImageKey, CameraImage] | BagError] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_open': None, '_kept': OrderedDict()}

    def image(self, frame: int, camera: int) -> CameraImage:
        """Returns an image of a frame set."""
        if not self.table.has_image(frame, camera):
            raise missing(self.table.state(frame, camera))
        if frame not in self._kept:
            self._kept[frame] = self._read(frame)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        found = self._kept[frame]
        if isinstance(found, BagError):
            raise ImageError(CameraState.MISSING, str(found).removeprefix(f'{self.path}: '))
        if self._key(frame, camera) not in found:
            raise ImageError(CameraState.MISSING, 'the recording does not hold it any more')
        return found[self._key(frame, camera)]

    def place(self, frame: int, camera: int) -> str:
        """Returns where an image of the scene is."""
        topic, stamp_ns = self._key(frame, camera)
        if not self.table.has_image(frame, camera):
            stamp_ns = int(self.table.stamps_ns[frame])
        return f'{self.path}: {topic} at {stamp_ns} ns'

    def scans(self, frame: int) -> tuple[LidarPoints, ...]:
        """Returns what lidars near a frame set in time have measured, in its base frame."""
        stamp_ns, found = int(self.table.stamps_ns[frame]), []
        for cloud in self._clouds:
            index = cloud.nearest(stamp_ns, _CLOUD_REACH_NS)
            if index is not None:
                motion = self._motion(int(cloud.stamps_ns[index]), frame)
                points = transform(motion, self._cloud(cloud, index)).astype(np.float32)
                found.append(LidarPoints((motion @ cloud.base_T_lidar)[:3, 3], points))
        return tuple(found)

    def close(self) -> None:
        """Closes the file."""
        if self._open is not None:
            self._open.__exit__(None, None, None)
        self._open = None
        self._kept.clear()

    def _key(self, frame: int, camera: int) -> ImageKey:
        return self._topics[camera], int(self.table.image_ns[frame, camera])

    def _read(self, frame: int) -> dict[ImageKey, CameraImage] | BagError:
        """Returns all images of a frame set, with one look at the file; or why there are none."""
        cameras = np.flatnonzero(self._log_ns[frame] != _NEVER)
        times = self._log_ns[frame, cameras]
        wanted = {self._key(frame, camera) for camera in cameras.tolist()}
        found: dict[ImageKey, CameraImage] = {}
        if not wanted:
            return found
        try:
            reader = self._reader()
            topics = {topic for topic, _ in wanted}
            for message in reader.between(topics, int(times.min()), int(times.max())):
                decoded = reader.decode(message)
                key = message.topic, stamp_to_ns(decoded.header.stamp)
                if key in wanted:
                    found.setdefault(key, image_from_msg(decoded))
        except BagError as error:
            return found or error
        return found

    def _cloud(self, cloud: CloudTopic, index: int) -> NDArray[np.float64]:
        """Returns [n, 3] points of a cloud in the base frame at its own instant."""
        reader, log_ns = self._reader(), int(cloud.log_ns[index])
        for message in reader.between({cloud.topic}, log_ns, log_ns):
            decoded = reader.decode(message)
            if stamp_to_ns(decoded.header.stamp) == cloud.stamps_ns[index]:
                return cloud_points(decoded, cloud.base_T_lidar)
        raise BagError(f'{cloud.topic} at {cloud.stamps_ns[index]} ns is not there any more')

    def _motion(self, stamp_ns: int, frame: int) -> Matrix:
        """Returns [4, 4] from the base frame at an instant to that of a frame, if it is known."""
        frame_ns = int(self.table.stamps_ns[frame])
        then, now = self.truth.pose_at(stamp_ns), self.truth.pose_at(frame_ns)
        if then is None or now is None:
            then, now = self.table.pose_between(stamp_ns, _CLOUD_GAP_S), self.table.pose(frame)
        return np.eye(4) if then is None or now is None else invert(now) @ then

    def _reader(self) -> WindowReader:
        if self._open is None:
            reader = WindowReader(Path(self.path))
            reader.__enter__()
            self._open = reader
        return self._open


def index_bag(scene: BagScene, lidar: bool = False) -> Indexed:
    """Returns a recording by frame, after reading all of it.

    Args:
        scene: which.
        lidar: whether its point clouds are wanted.

    Raises:
        BevError: as `BagScene.open`.
    """
    learn_truth_types()
    with IndexingReader(scene.path) as reader:
        rig = usable_rig(reader, scene.options)
        odometry = rig.rig.odometry_topic or ''
        truth = read_bag_truth(reader, scene.options, rig.rig.base_frame, odometry)
        opened = OpenBag(reader, scene, rig, truth.truth, (*rig.problems, *truth.problems))
        table, problems = frame_table(opened.frame_sets())
        topics = [camera.image_topic for camera in rig.rig.cameras]
        clouds, lost = index_clouds(reader, rig.rig.base_frame) if lidar else ((), ())
        made = BagByFrame(scene.path, topics, truth.truth, table, reader.log_ns, clouds)
        return Indexed(made, (*opened.problems, *problems, *lost))
