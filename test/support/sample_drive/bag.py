"""A small recording of a drive through the sample street, with its ground truth.

It needs neither SUMO nor OpenGL, and has every lens model and every encoding.
"""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bev_trainer.dataset.bag import messages
from bev_trainer.dataset.bag.recording import Event, write_recording
from support.sample_drive.images import RAW_ENCODINGS, image_message
from support.sample_drive.render import SampleRenderer
from support.sample_drive.rig import SampleCamera, default_cameras
from support.sample_drive.world import EGO_SPEED_MPS, SampleWorld

from bev_perception.errors import ConfigError
from bev_perception.geometry.rig import CameraRig

START_NS = 1_700_000_000_000_000_000
ODOMETRY_RATE_HZ = 50.0
_MARGIN_S = 0.1
_BATCH = 8


@dataclass(frozen=True)
class SampleDrive:
    """A drive of one vehicle with its cameras through the sample street.

    Topics: `/<camera>/image/compressed` (jpeg) or `/<camera>/image` (raw),
    `/<camera>/camera_info`, `/tf_static`, `/tf` (odom to base_link) and `/odom`. Reference
    instants are START_NS + k / rate; a camera fires its trigger offset after them. Every message
    is logged at its stamp.

    Attributes:
        cameras: the rig.
        duration_s: length of the drive.
        rate_hz: of every camera.
        seed: of the street; same seed and cameras, same bytes.
    """

    cameras: Sequence[SampleCamera] = field(default_factory=default_cameras)
    duration_s: float = 4.0
    rate_hz: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        CameraRig(messages.BASE_FRAME, tuple(item.camera for item in self.cameras))
        if not (self.duration_s > 0 and self.rate_hz > 0 and self.duration_s * self.rate_hz >= 1):
            raise ConfigError(
                'sample drive: duration and rate must give at least one frame, '
                f'got {self.duration_s:g} s at {self.rate_hz:g} Hz'
            )
        for item in self.cameras:
            if item.encoding not in ('jpeg', *RAW_ENCODINGS):
                raise ConfigError(
                    f"sample drive: camera '{item.camera.name}' has encoding '{item.encoding}', "
                    f'which is not one of jpeg, {", ".join(RAW_ENCODINGS)}'
                )

    @property
    def world(self) -> SampleWorld:
        """The street with all its road users."""
        return SampleWorld(self.seed, self.duration_s)

    @property
    def reference_ns(self) -> list[int]:
        """Reference instants of the frames, rising."""
        count = math.floor(self.duration_s * self.rate_hz + 1e-9)
        return [START_NS + round(index * 1e9 / self.rate_hz) for index in range(count)]

    def truth(self) -> list[dict[str, Any]]:
        """Returns one entry per reference instant: ego pose and the objects around, in base_link.

        Keys: stamp_ns, frame_id, odom_T_base, objects (see `SampleWorld.truth`).
        """
        world = self.world
        return [
            {
                'stamp_ns': stamp_ns,
                'frame_id': messages.BASE_FRAME,
                'odom_T_base': world.ego_pose(_seconds(stamp_ns)).tolist(),
                'objects': world.truth(_seconds(stamp_ns)),
            }
            for stamp_ns in self.reference_ns
        ]

    def write(self, bag: Path | str) -> Path:
        """Writes the bag folder and `<bag>_objects.json` beside it; returns the latter's path.

        Raises:
            BagError: one of the two exists already.
        """
        return write_recording(Path(bag), self._events(), self.truth())

    def _events(self) -> Iterator[Event]:
        """Yields (stamp, topic, message) of the whole drive by rising stamps."""
        offsets = [round(item.trigger_offset_s * 1e9) for item in self.cameras] or [0]
        margin_ns = round(_MARGIN_S * 1e9)
        first_ns = self.reference_ns[0] + min(0, *offsets) - margin_ns
        last_ns = self.reference_ns[-1] + max(0, *offsets) + margin_ns
        cameras = [item.camera for item in self.cameras]
        placed = messages.transforms_message(messages.camera_transforms(cameras, first_ns))
        yield first_ns, '/tf_static', placed
        odometry = self._odometry(first_ns, last_ns)
        yield from heapq.merge(odometry, self._images(), key=lambda event: event[0])

    def _odometry(self, first_ns: int, last_ns: int) -> Iterator[Event]:
        world = self.world
        step_ns = round(1e9 / ODOMETRY_RATE_HZ)
        for stamp_ns in range(first_ns, last_ns + step_ns, step_ns):
            pose, rate = world.ego_pose(_seconds(stamp_ns)), world.ego_yaw_rate_radps
            moved = messages.transform_message(
                pose, messages.ODOM_FRAME, messages.BASE_FRAME, stamp_ns
            )
            yield stamp_ns, '/tf', messages.transforms_message([moved])
            twist = (EGO_SPEED_MPS, 0.0, 0.0), (0.0, 0.0, rate)
            yield stamp_ns, '/odom', messages.odometry_message(pose, *twist, stamp_ns)

    def _images(self) -> Iterator[Event]:
        """Yields images and camera infos by rising stamps; several are rendered at a time."""
        world = self.world
        renderers = [SampleRenderer(world, item.camera) for item in self.cameras]
        shots = sorted(
            (reference_ns + round(item.trigger_offset_s * 1e9), index)
            for reference_ns in self.reference_ns
            for index, item in enumerate(self.cameras)
        )

        def take(shot: tuple[int, int]) -> list[Event]:
            stamp_ns, index = shot
            picture = renderers[index].render(_seconds(stamp_ns))
            return _camera_events(self.cameras[index], picture, stamp_ns)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(shots), _BATCH):
                for events in pool.map(take, shots[start : start + _BATCH]):
                    yield from events


def _camera_events(item: SampleCamera, picture: Any, stamp_ns: int) -> list[Event]:
    camera = item.camera
    topic = f'/{camera.name}/image' + ('/compressed' if item.encoding == 'jpeg' else '')
    image = image_message(picture, item.encoding, stamp_ns, camera.frame_id)
    info = messages.camera_info_message(camera, stamp_ns)
    return [(stamp_ns, topic, image), (stamp_ns, f'/{camera.name}/camera_info', info)]


def _seconds(stamp_ns: int) -> float:
    """Returns time in the street's own clock."""
    return (stamp_ns - START_NS) / 1e9
