"""Frame sets of a nuScenes scene: one at every key frame, and at sweeps where they are wanted.

A camera is placed where its calibration has it on the vehicle at the instant of its own image.
The vehicle's way between that and the reference instant is not taken out of the placement: so do
the live node and the synthetic drives. The geometry of a rig stays the same from frame to frame,
and a model sees the same in training, in evaluation and on the road. `CameraSample.stamp_ns` and
`Image.global_T_base` hold what differs.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median_low

import numpy as np

from bev_perception.evaluation.scenes.nuscenes.records import Image, SceneRecord
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.ego_motion import EgoMotion
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_perception.inputs.sync import CameraSynchronizer
from bev_perception.inputs.synced_set import SyncedItem, SyncedSet
from bev_perception.units import NS_PER_S

BASE_FRAME = 'base_link'
_FOR_EVER_S = 1e9


def frame_sets(record: SceneRecord, root: Path) -> Iterator[FrameSet]:
    """Yields the frame sets of a scene by rising stamps, at samples and at the sweeps it has.

    Images are read from disk one set at a time; one that cannot be read makes its camera missing.
    Sweeps are grouped as the live node groups images, with the trigger offsets that the cameras
    have at samples.
    """
    merged = heapq.merge(_at_samples(record, root), _at_sweeps(record, root), key=_stamp)
    last_ns: int | None = None
    for frames in merged:
        if last_ns is None or frames.stamp_ns > last_ns:
            last_ns = frames.stamp_ns
            yield frames


def _stamp(frames: FrameSet) -> int:
    return frames.stamp_ns


def _at_samples(record: SceneRecord, root: Path) -> Iterator[FrameSet]:
    images: dict[str, dict[str, Image]] = defaultdict(dict)
    for image in record.images:
        if image.sample:
            images[image.sample][image.channel] = image
    for sample in record.samples:
        found = images[sample.token]
        yield _frame_set(record, found, root, sample.stamp_ns, sample.global_T_base)


def _at_sweeps(record: SceneRecord, root: Path) -> Iterator[FrameSet]:
    sweeps = [image for image in record.images if not image.sample]
    if not sweeps:
        return
    motion = EgoMotion(_FOR_EVER_S)
    for stamp_ns, pose in zip(record.ego_stamps_ns.tolist(), record.ego_poses, strict=True):
        motion.add(stamp_ns, pose)
    for found in _synchronised(record, sweeps):
        pose = motion.pose_at(found.stamp_ns)
        images = {
            channel: item.item
            for channel, item in zip(record.channels, found.items, strict=True)
            if isinstance(item, SyncedItem)
        }
        yield _frame_set(record, images, root, found.stamp_ns, pose)


def _synchronised(record: SceneRecord, sweeps: Sequence[Image]) -> Iterator[SyncedSet[Image]]:
    sync: CameraSynchronizer[Image] = CameraSynchronizer(
        record.channels, offsets_s=trigger_offsets_s(record)
    )
    now_ns = 0
    for image in sweeps:
        now_ns = image.stamp_ns
        yield from sync.add(image.channel, image.stamp_ns, image, now_ns)
        yield from sync.poll(now_ns)
    yield from sync.flush(now_ns)


def trigger_offsets_s(record: SceneRecord) -> dict[str, float]:
    """Returns by channel how long after the samples' instants the camera fires (median)."""
    stamps = {sample.token: sample.stamp_ns for sample in record.samples}
    offsets: dict[str, list[int]] = {channel: [] for channel in record.channels}
    for image in record.images:
        if image.sample:
            offsets[image.channel].append(image.stamp_ns - stamps[image.sample])
    return {c: median_low(found) / NS_PER_S if found else 0.0 for c, found in offsets.items()}


def _frame_set(
    record: SceneRecord,
    images: Mapping[str, Image],
    root: Path,
    stamp_ns: int,
    pose: np.ndarray | None,
) -> FrameSet:
    samples = tuple(_sample(channel, images.get(channel), root) for channel in record.channels)
    last_ns = max((image.stamp_ns for image in images.values()), default=stamp_ns)
    return FrameSet(stamp_ns, BASE_FRAME, samples, odom_T_base=pose, last_arrival_ns=last_ns)


def _sample(channel: str, image: Image | None, root: Path) -> CameraSample:
    if image is None:
        return CameraSample(channel, CameraState.MISSING, 'the tables have no image of it here')
    try:
        content = (root / image.filename).read_bytes()
    except OSError as error:
        reason = f'{image.filename}: {error.strerror}'
        return CameraSample(channel, CameraState.MISSING, reason, image.stamp_ns)
    encoding = 'png' if image.filename.lower().endswith('.png') else 'jpeg'
    data = CameraImage(np.frombuffer(content, np.uint8), encoding, 0, 0, 0, compressed=True)
    return CameraSample(channel, CameraState.USED, '', image.stamp_ns, data, image.camera)
