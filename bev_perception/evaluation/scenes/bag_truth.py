"""Ground truth of a recording, in its base frame, with ego poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bev_perception.errors import BagError, BevError
from bev_perception.evaluation.scenes.options import BagOptions
from bev_perception.evaluation.truth.frame import FloatArray, TruthFrame
from bev_perception.evaluation.truth.framed import FramedTruth, in_base_frame, merged
from bev_perception.evaluation.truth.json_file import read_truth_file
from bev_perception.evaluation.truth.messages_topics import (
    PREFIX,
    find_truth_topics,
    named_truth_topics,
    read_truth_topics,
)
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.inputs.conversion import ego_pose_from_msg, stamp_to_ns, transforms_from_msg
from bev_perception.inputs.ego_motion import EgoMotion
from bev_perception.inputs.transform_tree import TransformTree
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.frame_sets import TF_TOPICS
from bev_perception.replay.topic_types import TRANSFORMS

_FOR_EVER_S = 1e9


@dataclass(frozen=True, eq=False)
class BagTruth:
    """Ground truth of a recording.

    Attributes:
        truth: at least one frame.
        problems: what is left out, one line each.
    """

    truth: SceneTruth
    problems: tuple[str, ...]


def truth_file_beside(bag: Path) -> Path:
    """Returns where the ground truth of a recording lies that is beside it."""
    folder = bag.parent if bag.is_file() and (bag.parent / 'metadata.yaml').exists() else bag
    stem = folder.stem if folder.is_file() else folder.name
    return folder.with_name(f'{stem}_objects.json')


def read_bag_truth(
    reader: BagReader, options: BagOptions, base_frame: str, odometry_topic: str
) -> BagTruth:
    """Returns the ground truth of an open recording.

    From the file that is named; else from topics, those named or those under `/ground_truth/`;
    else from the JSON beside the recording. Where the source lacks ego poses, if only some, all
    are those of the odometry: poses of two origins must not be mixed.

    Raises:
        BagError: there is none, or none that can be used; says why and what to do.
        BevError: the file is wrong.
    """
    found, problems = _found(reader, options)
    tree = TransformTree(_FOR_EVER_S)
    if any(item.frame_id.lstrip('/') != base_frame.lstrip('/') for item in found):
        tree = _transforms(reader)
    frames, left_out = in_base_frame(found, base_frame, tree)
    problems += left_out
    if not frames:
        why = '; '.join(problems) or 'none of its messages can be read'
        raise BagError(f'{reader.path}: no ground truth that can be used: {why}')
    frames = merged(frames)
    if odometry_topic and any(frame.odom_T_base is None for frame in frames):
        frames = _with_ego_poses(reader, frames, odometry_topic, base_frame)
    return BagTruth(SceneTruth(frames), tuple(problems))


def _found(reader: BagReader, options: BagOptions) -> tuple[list[FramedTruth], list[str]]:
    if options.truth_file is not None:
        return read_truth_file(options.truth_file), []
    topics = reader.topics()
    if options.truth_topics:
        return read_truth_topics(
            reader, named_truth_topics(topics, options.truth_topics, reader.path)
        )
    if wanted := find_truth_topics(topics):
        return read_truth_topics(reader, wanted)
    beside = truth_file_beside(reader.path)
    if beside.exists():
        return read_truth_file(beside), []
    raise BagError(
        f'{reader.path}: no ground truth: the bag has no messages under {PREFIX}, and there is no '
        f'{beside.name} beside it; name a JSON file or topics with ground truth'
    )


def _transforms(reader: BagReader) -> TransformTree:
    """Returns all transforms of the recording."""
    tree = TransformTree(_FOR_EVER_S)
    for message in reader.messages(TF_TOPICS):
        if message.type == TRANSFORMS:
            for transform in transforms_from_msg(reader.decode(message)):
                tree.set_transform(*transform, TF_TOPICS[message.topic])
    return tree


def _with_ego_poses(
    reader: BagReader, frames: Sequence[TruthFrame], odometry_topic: str, base_frame: str
) -> list[TruthFrame]:
    motion, tree = EgoMotion(_FOR_EVER_S), TransformTree(_FOR_EVER_S)
    for message in reader.messages({odometry_topic, '/tf_static'}):
        decoded = reader.decode(message)
        if message.topic != odometry_topic:
            for transform in transforms_from_msg(decoded):
                tree.set_transform(*transform, True)
            continue
        try:
            pose = ego_pose_from_msg(decoded, base_frame, tree)
        except BevError:
            continue  # as live: an unusable sample leaves the ego motion unknown
        motion.add(stamp_to_ns(decoded.header.stamp), pose)
    return [replace(f, odom_T_base=_as_matrix(motion, f.stamp_ns)) for f in frames]


def _as_matrix(motion: EgoMotion, stamp_ns: int) -> FloatArray | None:
    pose = motion.pose_at(stamp_ns)
    return None if pose is None else np.asarray(pose, np.float64)
