"""Writes a small recording of a drive through the sample street, with its ground truth.

`python -m bev_perception.replay.sample_bag OUT` makes the folder OUT (rosbag2, MCAP) and
OUT_objects.json beside it. No ROS is needed.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from bev_perception.errors import BagError, BevError, ConfigError
from bev_perception.geometry.rig import CameraRig
from bev_perception.replay import sample_messages as messages
from bev_perception.replay.sample_images import RAW_ENCODINGS
from bev_perception.replay.sample_render import SampleRenderer
from bev_perception.replay.sample_rig import SampleCamera, default_cameras
from bev_perception.replay.sample_world import EGO_SPEED_MPS, SampleWorld

START_NS = 1_700_000_000_000_000_000
ODOMETRY_RATE_HZ = 50.0
_MARGIN_S = 0.1
_BATCH = 8
_FOR_EVER = QosTime(2147483647, 4294967295)
_LATCHED = Qos(
    QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
    _FOR_EVER, _FOR_EVER, QosLiveliness.AUTOMATIC, _FOR_EVER, False,
)  # fmt: skip

Event = tuple[int, str, Any]


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

        Both are made in a temporary folder and moved when complete.

        Raises:
            BagError: one of the two exists already.
        """
        bag = Path(bag).absolute()
        truth = bag.with_name(f'{bag.name}_objects.json')
        for path in (bag, truth):
            if path.exists():
                raise BagError(f"'{path}' exists already; remove it or choose another name")
        bag.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{bag.name}.', dir=bag.parent) as temporary:
            made = Path(temporary) / bag.name
            self._write_bag(made)
            text = json.dumps(self.truth(), indent=1) + '\n'
            made.with_name(truth.name).write_text(text, encoding='utf-8')
            made.with_name(truth.name).replace(truth)
            made.replace(bag)
        return truth

    def _write_bag(self, folder: Path) -> None:
        with Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            connections: dict[str, Connection] = {}
            for stamp_ns, topic, message in self._events():
                if topic not in connections:
                    qos = [_LATCHED] if topic == '/tf_static' else []
                    connections[topic] = writer.add_connection(
                        topic,
                        message.__msgtype__,
                        typestore=messages.TYPESTORE,
                        offered_qos_profiles=qos,
                    )
                data = messages.TYPESTORE.serialize_cdr(message, message.__msgtype__)
                writer.write(connections[topic], stamp_ns, data)

    def _events(self) -> Iterator[Event]:
        """Yields (stamp, topic, message) of the whole drive by rising stamps."""
        offsets = [round(item.trigger_offset_s * 1e9) for item in self.cameras] or [0]
        margin_ns = round(_MARGIN_S * 1e9)
        first_ns = self.reference_ns[0] + min(0, *offsets) - margin_ns
        last_ns = self.reference_ns[-1] + max(0, *offsets) + margin_ns
        cameras = [item.camera for item in self.cameras]
        yield first_ns, '/tf_static', messages.static_transforms_message(cameras, first_ns)
        odometry = self._odometry(first_ns, last_ns)
        yield from heapq.merge(odometry, self._images(), key=lambda event: event[0])

    def _odometry(self, first_ns: int, last_ns: int) -> Iterator[Event]:
        world = self.world
        step_ns = round(1e9 / ODOMETRY_RATE_HZ)
        for stamp_ns in range(first_ns, last_ns + step_ns, step_ns):
            pose, rate = world.ego_pose(_seconds(stamp_ns)), world.ego_yaw_rate_radps
            yield stamp_ns, '/tf', messages.ego_transform_message(pose, stamp_ns)
            odometry = messages.odometry_message(pose, EGO_SPEED_MPS, rate, stamp_ns)
            yield stamp_ns, '/odom', odometry

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
    image = messages.image_message(picture, item.encoding, stamp_ns, camera.frame_id)
    info = messages.camera_info_message(camera, stamp_ns)
    return [(stamp_ns, topic, image), (stamp_ns, f'/{camera.name}/camera_info', info)]


def _seconds(stamp_ns: int) -> float:
    """Returns time in the street's own clock."""
    return (stamp_ns - START_NS) / 1e9


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a bag of the demo rig; returns the exit code."""
    parser = argparse.ArgumentParser(description='Write a recording of a synthetic drive.')
    parser.add_argument('out', type=Path, help='folder of the bag to make')
    parser.add_argument('--seconds', type=float, default=4.0, help='length (default: 4)')
    parser.add_argument('--rate', type=float, default=10.0, help='frames per second (default: 10)')
    parser.add_argument('--seed', type=int, default=0, help='of the street (default: 0)')
    options = parser.parse_args(arguments)
    try:
        drive = SampleDrive(duration_s=options.seconds, rate_hz=options.rate, seed=options.seed)
        truth = drive.write(options.out)
    except (BevError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'wrote {options.out} ({len(drive.reference_ns)} frames, {len(drive.cameras)} cameras)')
    print(f'wrote {truth}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
