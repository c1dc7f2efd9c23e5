"""Result bags: what the node publishes is read back as frames, without ROS."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from support.bags import SQLITE3, Recorded, assert_one_line, storage_file, write_bag

from bev_perception.errors import BevError
from bev_perception.frame import BevFrame, CameraReport, CameraState, ClassScore
from bev_perception.geometry.grid import BevGrid
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.result_bag import frames_from_bag

REPO = Path(__file__).resolve().parents[2]
STAMP_NS = 1_700_000_000_123_456_789
TRACKED_ID = bytes(range(1, 17))
OBJECTS, SEQUENCE, STATUS = (
    f'/bev_perception/{name}' for name in ('objects', 'occupancy_sequence', 'frame_status')
)


def definitions() -> Typestore:
    """ROS's message definitions and those in msg/."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    own: dict[str, Any] = {}
    for path in sorted((REPO / 'msg').glob('*.msg')):
        own.update(get_types_from_msg(path.read_text(), f'bev_perception/msg/{path.stem}'))
    store.register(own)
    return store


STORE = definitions()


def make(kind: str, **fields: Any) -> Any:
    """Returns a message; its other fields are zeros."""
    cls: Any = STORE.types[kind if '/' in kind else f'bev_perception/msg/{kind}']
    for name, (tag, detail) in STORE.fielddefs[cls.__msgtype__][1]:
        fields.setdefault(name, zero(int(tag), detail))
    return cls(**fields)


def zero(tag: int, detail: Any) -> Any:
    """Returns the empty value of a field as rosbags defines it: base, name, array, sequence."""
    if tag == 1:
        return {'string': '', 'bool': False}.get(detail[0], 0)
    if tag == 2:
        return make(detail)
    (inner, kind), length = detail
    if int(inner) == 1 and kind[0] != 'string':
        return np.zeros(length if tag == 3 else 0, dtype=kind[0])
    return []


def header(stamp_ns: int = STAMP_NS, frame_id: str = 'base_link') -> Any:
    sec, nanosec = divmod(stamp_ns, 10**9)
    stamp = make('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)
    return make('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)


def duration(sec: int, nanosec: int) -> Any:
    return make('builtin_interfaces/msg/Duration', sec=sec, nanosec=nanosec)


def pose(x: float, y: float, z: float, yaw: float) -> Any:
    return make(
        'geometry_msgs/msg/Pose',
        position=make('geometry_msgs/msg/Point', x=x, y=y, z=z),
        orientation=make('geometry_msgs/msg/Quaternion', z=math.sin(yaw / 2), w=math.cos(yaw / 2)),
    )


def car() -> Any:
    """At (10, -2, 0.8), heading 60 degrees to the left, 3 m/s forward; one path of two poses."""
    path = make(
        'BevTrajectory',
        probability=0.75,
        time_step=duration(0, 500_000_000),
        start_offset=duration(0, 500_000_000),
        poses=[pose(11.0, -1.5, 0.8, 0.5), pose(12.0, -0.5, 0.8, 0.25)],
    )
    found = make(
        'BevObject',
        object_id=make(
            'unique_identifier_msgs/msg/UUID', uuid=np.frombuffer(TRACKED_ID, np.uint8)
        ),
        age_frames=4,
        existence_probability=0.5,
        classes=[
            make('ClassScore', class_index=2, class_name='bus', probability=0.5),
            make('ClassScore', class_index=0, class_name='car', probability=0.25),
        ],
        dimensions=make('geometry_msgs/msg/Vector3', x=4.5, y=1.8, z=1.6),
        has_twist=True,
        trajectories=[path],
    )
    found.pose.pose = pose(10.0, -2.0, 0.8, math.pi / 3)
    found.twist.twist.linear.x, found.twist.twist.linear.y = 3.0, -0.5
    return found


def bare_object() -> Any:
    found = make('BevObject', existence_probability=0.25)
    found.pose.pose = pose(-5.0, 1.0, 0.0, math.pi)
    return found


def grid(cells: Sequence[Sequence[int]], stamp_ns: int = STAMP_NS) -> Any:
    """Half-metre cells from (-1, -2) on."""
    values = np.array(cells, dtype=np.int8)
    info = make(
        'nav_msgs/msg/MapMetaData',
        resolution=0.5,
        width=values.shape[1],
        height=values.shape[0],
        origin=pose(-1.0, -2.0, 0.0, 0.0),
    )
    return make(
        'nav_msgs/msg/OccupancyGrid', header=header(stamp_ns), info=info, data=values.ravel()
    )


NOW, AHEAD = [[-1, 0, 100], [50, 7, -1]], [[-1, 25, 100], [0, 8, -1]]


def status(stamp_ns: int = STAMP_NS) -> Any:
    front = make('CameraStatus', name='front', has_image=True, age_s=0.004)
    front.stamp = header(stamp_ns - 4_000_000).stamp
    rear = make('CameraStatus', name='rear', state=2, detail='0.50 s behind')
    return make(
        'FrameStatus',
        header=header(stamp_ns, 'rear_axle'),
        model_id='nano@12',
        cameras=[front, rear],
        stages=[
            make('StageDuration', name='encode', seconds=0.25),
            make('StageDuration', name='decode', seconds=0.5),
        ],
    )


def frame_messages(stamp_ns: int = STAMP_NS, log_ns: int = 10) -> list[Recorded]:
    """The three messages of one frame, in the order in which the node publishes them."""
    objects = make('BevObjectArray', header=header(stamp_ns), objects=[car(), bare_object()])
    sequence = make(
        'OccupancySequence',
        header=header(stamp_ns),
        time_step=duration(1, 500_000_000),
        grids=[grid(NOW, stamp_ns), grid(AHEAD, stamp_ns), grid(NOW, stamp_ns)],
    )
    return [
        (OBJECTS, log_ns, objects),
        (SEQUENCE, log_ns + 1, sequence),
        (STATUS, log_ns + 2, status(stamp_ns)),
    ]


def frames_of(folder: Path, recorded: list[Recorded]) -> list[BevFrame]:
    bag = write_bag(folder / 'bag', sorted(recorded, key=lambda item: item[1]), store=STORE)
    with BagReader(bag) as reader:
        return list(frames_from_bag(reader))


def refusal(folder: Path, recorded: list[Recorded], *words: object) -> None:
    with pytest.raises(BevError) as error:
        frames_of(folder, recorded)
    assert_one_line(error.value, *words)


def test_frame(tmp_path: Path) -> None:
    (frame,) = frames_of(tmp_path, frame_messages())
    assert (frame.stamp_ns, frame.frame_id) == (STAMP_NS, 'rear_axle')
    assert (frame.model_id, frame.time_step_s) == ('nano@12', 1.5)
    assert frame.stage_s == {'encode': 0.25, 'decode': 0.5}
    assert list(frame.stage_s) == ['encode', 'decode']
    assert frame.cameras == (
        CameraReport('front', CameraState.USED, '', STAMP_NS - 4_000_000, 0.004),
        CameraReport('rear', CameraState.LATE, '0.50 s behind'),
    )
    assert (frame.semantics, frame.semantic_classes, frame.instances) == (None, (), None)


def test_grids(tmp_path: Path) -> None:
    (frame,) = frames_of(tmp_path, frame_messages())
    assert frame.grid == BevGrid(-1.0, -2.0, 0.5, 3, 2)
    np.testing.assert_array_equal(frame.observed, [[False, True, True], [True, True, False]])
    assert frame.occupancy is not None and frame.future_occupancy is not None
    np.testing.assert_allclose(frame.occupancy, np.array([[0, 0, 1], [0.5, 0.07, 0]]))
    assert frame.future_occupancy.shape == (2, 2, 3)
    np.testing.assert_allclose(frame.future_occupancy[0], [[0, 0.25, 1], [0, 0.08, 0]])
    np.testing.assert_array_equal(frame.future_occupancy[1], frame.occupancy)


def test_objects(tmp_path: Path) -> None:
    (frame,) = frames_of(tmp_path, frame_messages())
    assert frame.objects is not None
    first, second = frame.objects
    assert (first.object_id, first.age_frames, first.existence_probability) == (TRACKED_ID, 4, 0.5)
    assert first.classes == (ClassScore(2, 'bus', 0.5), ClassScore(0, 'car', 0.25))
    assert (first.center_m, first.size_m) == ((10.0, -2.0, 0.8), (4.5, 1.8, 1.6))
    assert first.yaw_rad == pytest.approx(math.pi / 3)
    assert first.velocity_mps == (3.0, -0.5)
    (path,) = first.trajectories
    assert (path.probability, path.time_step_s, path.start_offset_s) == (0.75, 0.5, 0.5)
    np.testing.assert_array_equal(path.positions_m, [[11, -1.5, 0.8], [12, -0.5, 0.8]])
    np.testing.assert_allclose(path.yaws_rad, [0.5, 0.25])
    assert (second.object_id, second.velocity_mps) == (bytes(16), None)
    assert (second.classes, second.trajectories) == ((), ())
    assert abs(second.yaw_rad) == pytest.approx(math.pi)


def test_frames_come_in_the_order_in_which_they_were_completed(tmp_path: Path) -> None:
    """The second frame loses its objects, the parts of the others are mixed up."""
    stamps = [STAMP_NS + k * 100_000_000 for k in range(4)]
    recorded = [item for k, stamp in enumerate(stamps) for item in frame_messages(stamp, 10 * k)]
    lost = next(i for i in recorded if i[0] == OBJECTS and i[1] == 10)
    recorded.remove(lost)
    late = recorded.pop(0)
    recorded.append((late[0], 100, late[2]))
    frames = frames_of(tmp_path, recorded)
    assert [f.stamp_ns for f in frames] == [stamps[2], stamps[3], stamps[0]]


def test_other_topics_do_not_matter(tmp_path: Path) -> None:
    others: list[Recorded] = [('/map', 1, grid(NOW)), ('/info', 2, make('ModelInfo'))]
    assert len(frames_of(tmp_path, [*others, *frame_messages()])) == 1


@pytest.mark.parametrize('topic', [OBJECTS, SEQUENCE, STATUS])
def test_missing_topic(tmp_path: Path, topic: str) -> None:
    kind = next(m.__msgtype__ for t, _, m in frame_messages() if t == topic)
    recorded = [item for item in frame_messages() if item[0] != topic]
    refusal(tmp_path, recorded, tmp_path / 'bag', 'no result bag: it lacks', kind)


def test_two_nodes_in_one_bag(tmp_path: Path) -> None:
    other = [(f'/second{topic}', log_ns, message) for topic, log_ns, message in frame_messages()]
    refusal(tmp_path, [*frame_messages(), *other], 'results of several nodes', f'/second{OBJECTS}')


def test_no_prediction(tmp_path: Path) -> None:
    recorded = frame_messages()
    recorded[1][2].grids = [grid(NOW)]
    (frame,) = frames_of(tmp_path, recorded)
    assert frame.future_occupancy is not None and frame.future_occupancy.shape == (0, 2, 3)


def test_broken_grids(tmp_path: Path) -> None:
    rotated = grid(NOW)
    rotated.info.origin = pose(-1.0, -2.0, 0.0, 0.3)
    short = grid(NOW)
    short.data = short.data[:-1]
    for number, (grids, words) in enumerate(
        [
            ([], 'grids of one geometry'),
            ([grid(NOW), grid([[0, 1]])], 'grids of one geometry'),
            ([rotated], 'is rotated'),
            ([short], 'has 5 cells, but its info says 3 x 2'),
        ]
    ):
        recorded = frame_messages()
        recorded[1][2].grids = grids
        folder = tmp_path / str(number)
        folder.mkdir()
        refusal(folder, recorded, words)


def test_bag_without_definitions(tmp_path: Path) -> None:
    """ROS 2 Humble's sqlite3 knows types by name alone."""
    bag = write_bag(tmp_path / 'bag', frame_messages(), SQLITE3, STORE)
    with closing(sqlite3.connect(storage_file(bag))) as database, database:
        database.execute('DROP TABLE message_definitions')
        database.execute('UPDATE schema SET schema_version = 3')
    with BagReader(bag) as reader:
        (frame,) = frames_from_bag(reader)
    assert frame.model_id == 'nano@12'
    assert frame.objects is not None and frame.objects[0].object_id == TRACKED_ID
