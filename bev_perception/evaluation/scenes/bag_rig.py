"""The rig of a recording, without the parts that the recording cannot serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.errors import BagError
from bev_perception.evaluation.scenes.forgiving_reader import ForgivingReader
from bev_perception.evaluation.scenes.options import BagOptions
from bev_perception.geometry.rig_file import RigFile, RigFileCamera, load_rig_file
from bev_perception.replay.bag_reader import Topic
from bev_perception.replay.camera_topics import CameraTopics, find_cameras
from bev_perception.replay.rig_from_bag import rig_from_bag
from bev_perception.replay.topic_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, ODOMETRY

NO_ODOMETRY = 'no odometry: the ego motion is unknown, and models with a memory run without it'


@dataclass(frozen=True)
class UsableRig:
    """A rig, and what is wrong with it.

    Attributes:
        rig: its odometry topic is one that the recording has, or None.
        hidden: topics that must not be read.
        problems: what is left out, one line each.
    """

    rig: RigFile
    hidden: frozenset[str]
    problems: tuple[str, ...]


def usable_rig(reader: ForgivingReader, options: BagOptions) -> UsableRig:
    """Returns the rig to evaluate an open recording with; hides topics in the reader.

    Cameras of a rig file stay in the rig where the recording has nothing of theirs, as missing
    ones; of a rig that is made here those are left out whose calibration is not recorded.

    Raises:
        BagError: no camera is left; names every camera with its reason.
        ConfigError: the rig file is wrong.
    """
    if options.rig is None:
        return _made(reader, options.base_frame)
    rig = load_rig_file(options.rig)
    topics = {t.name: t.type for t in reader.topics()}
    lacking = {c.name: problem for c in rig.cameras if (problem := _image_problem(c, topics))}
    if len(lacking) == len(rig.cameras):
        raise BagError(
            f'{reader.path}: has no images of any camera of {options.rig}: '
            f'{"; ".join(lacking.values())}; give another rig, or none to make one from the bag'
        )
    problems = [f"camera '{name}' is missing: {why}" for name, why in lacking.items()]
    hidden = {c.image_topic for c in rig.cameras if c.name in lacking}
    for camera in rig.cameras:
        problem = _info_problem(camera, topics)
        if camera.name not in lacking and problem:
            problems.append(f"camera '{camera.name}' cannot be used: {problem}")
            hidden.add(camera.camera_info_topic or '')
    rig, odometry_problems = _with_odometry(rig, topics)
    reader.hide(hidden - {''})
    return UsableRig(rig, frozenset(hidden - {''}), (*problems, *odometry_problems))


def _image_problem(camera: RigFileCamera, topics: dict[str, str]) -> str:
    kind = topics.get(camera.image_topic)
    if kind is None:
        return f'{camera.image_topic} has no messages in the bag'
    wrong = kind not in (IMAGE, COMPRESSED_IMAGE)
    return f'{camera.image_topic} holds {kind}, no images' if wrong else ''


def _info_problem(camera: RigFileCamera, topics: dict[str, str]) -> str:
    topic = camera.camera_info_topic
    if camera.intrinsics is not None or topic is None:
        return ''
    kind = topics.get(topic)
    if kind is None:
        return f'{topic} has no messages in the bag, and the rig holds no intrinsics'
    return f'{topic} holds {kind}, not {CAMERA_INFO}' if kind != CAMERA_INFO else ''


def _with_odometry(rig: RigFile, topics: dict[str, str]) -> tuple[RigFile, list[str]]:
    name = rig.odometry_topic
    if name is None:
        return rig, [NO_ODOMETRY]
    kind = topics.get(name)
    if kind == ODOMETRY:
        return rig, []
    why = 'has no messages in the bag' if kind is None else f'holds {kind}, not {ODOMETRY}'
    return rig.model_copy(update={'odometry_topic': None}), [f'{NO_ODOMETRY} ({name} {why})']


def _made(reader: ForgivingReader, base_frame: str) -> UsableRig:
    """Returns the rig made from the recording, of those cameras of which one can be made."""
    try:
        rig = rig_from_bag(reader, base_frame)
        hidden, problems = frozenset[str](), list[str]()
    except BagError as error:
        rig, hidden, problems = _made_of_some(reader, base_frame, error)
    return UsableRig(rig, hidden, (*problems, *([] if rig.odometry_topic else [NO_ODOMETRY])))


def _made_of_some(
    reader: ForgivingReader, base_frame: str, error: BagError
) -> tuple[RigFile, frozenset[str], list[str]]:
    cameras = _cameras(reader.topics(), error)
    reasons: dict[str, str] = {}
    for camera in cameras:
        others = {c.image_topic for c in cameras if c is not camera}
        reader.hide(others)
        try:
            rig_from_bag(reader, base_frame)
        except BagError as problem:
            reasons[camera.image_topic] = str(problem).removeprefix(f'{reader.path}: ')
    if len(reasons) == len(cameras):
        raise error
    reader.hide(reasons)
    problems = [f'{topic} is left out: {reason}' for topic, reason in reasons.items()]
    return rig_from_bag(reader, base_frame), frozenset(reasons), problems


def _cameras(topics: Sequence[Topic], error: BagError) -> tuple[CameraTopics, ...]:
    try:
        return find_cameras(topics)
    except BagError:
        raise error from None
