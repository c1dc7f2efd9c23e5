"""Ground truth out of messages: boxes, velocities and grids in asymmetric numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bev_trainer.dataset.bag import messages
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore
from support.bags import Recorded, assert_one_line, write_bag

from bev_perception.errors import BagError
from bev_perception.evaluation.truth.frame import TruthFrame, TruthLayer, TruthObjects
from bev_perception.evaluation.truth.framed import FramedTruth, in_base_frame, merged
from bev_perception.evaluation.truth.message_types import (
    DETECTED,
    DETECTIONS,
    GRID,
    OWN_OBJECTS,
    PREDICTED,
    TRACKED,
    learn_truth_types,
)
from bev_perception.evaluation.truth.messages import truth_objects
from bev_perception.evaluation.truth.messages_topics import (
    TruthTopics,
    find_truth_topics,
    named_truth_topics,
    read_truth_topics,
)
from bev_perception.evaluation.truth.packed_layers import LazyLayers, PackedLayer, PackedLayers
from bev_perception.evaluation.truth.rows import TruthRow, objects_of
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import make_pose, pose_from_yaw
from bev_perception.inputs.transform_tree import TransformTree
from bev_perception.replay.bag_reader import BagReader, Topic
from bev_perception.replay.known_types import known_types

learn_truth_types()
STORE = known_types()
STAMP_NS = 1_700_000_000_250_000_000
UUID = bytes(range(16))
YAW = 2.0


def new(name: str, **fields: Any) -> Any:
    """A message of the definitions that the product registers, the other fields zero."""
    package, _, kind = name.partition('/')
    full = f'{package}/msg/{kind}'
    cls: Any = STORE.types[full]
    return cls(**{n: fields.get(n, _zero(t)) for n, t in STORE.fielddefs[full][1]})


def _zero(kind: Any) -> Any:
    node, detail = kind
    if int(node) == 1:
        base = detail[0]
        return '' if base == 'string' else False if base == 'bool' else 0
    if int(node) == 2:
        return new(detail.replace('/msg/', '/'))
    if int(node) == 3:  # array of fixed length
        (_, (base, _)), length = detail
        return np.zeros(length, base)
    return []


def pose_of(xyz: Sequence[float], yaw_rad: float) -> Any:
    return new(
        'geometry_msgs/PoseWithCovariance', pose=messages.upright_pose_message(xyz, yaw_rad)
    )


def twist_of(x: float, y: float) -> Any:
    linear = messages.vector_message((x, y, 0.0))
    return new(
        'geometry_msgs/TwistWithCovariance', twist=new('geometry_msgs/Twist', linear=linear)
    )


def uuid_of(content: bytes) -> Any:
    return new('unique_identifier_msgs/UUID', uuid=np.frombuffer(content, np.uint8))


def own_object(**changes: Any) -> Any:
    scores = [('van', 0.2), ('car', 0.7), ('truck', 0.1)]
    classes = [
        new('bev_perception/ClassScore', class_name=n, probability=p, class_index=1)
        for n, p in scores
    ]
    fields = {
        'object_id': uuid_of(UUID),
        'existence_probability': 0.25,
        'classes': classes,
        'pose': pose_of((5.0, -3.0, 0.8), YAW),
        'dimensions': messages.vector_message((4.5, 1.9, 1.6)),
        'twist': twist_of(1.5, -2.5),
        'has_twist': True,
    }
    return new('bev_perception/BevObject', **{**fields, **changes})


def autoware(kind: str, prefix: str, **changes: Any) -> Any:
    """An object whose twist is 3 m/s ahead and 1 m/s to its own left."""
    kinematics = {
        f'{prefix}pose_with_covariance': pose_of((5.0, -3.0, 0.8), YAW),
        f'{prefix}twist_with_covariance': twist_of(3.0, 1.0),
        'has_twist': True,
    }
    classes = [(7, 0.3), (2, 0.6)]
    fields = {
        'object_id': uuid_of(UUID),
        'classification': [
            new('autoware_perception_msgs/ObjectClassification', label=n, probability=p)
            for n, p in classes
        ],
        'kinematics': new(f'autoware_perception_msgs/{kind}Kinematics', **kinematics),
        'shape': shape(0, (6.0, 2.5, 3.0)),
    }
    return new(f'autoware_perception_msgs/{kind}', **{**fields, **changes})


def shape(kind: int, size: Sequence[float], points: Sequence[tuple[float, float]] = ()) -> Any:
    outline = [new('geometry_msgs/Point32', x=x, y=y) for x, y in points]
    return new(
        'autoware_perception_msgs/Shape',
        type=kind,
        dimensions=messages.vector_message(size),
        footprint=new('geometry_msgs/Polygon', points=outline),
    )


def detection(score: float = 1.0, **changes: Any) -> Any:
    hypothesis = new('vision_msgs/ObjectHypothesis', class_id='bus', score=score)
    less = new('vision_msgs/ObjectHypothesis', class_id='car', score=score / 2)
    fields = {
        'results': [
            new('vision_msgs/ObjectHypothesisWithPose', hypothesis=h) for h in (less, hypothesis)
        ],
        'bbox': new(
            'vision_msgs/BoundingBox3D',
            center=messages.upright_pose_message((5.0, -3.0, 0.8), YAW),
            size=messages.vector_message((12.0, 2.5, 3.1)),
        ),
        'id': 'bus-7',
    }
    return new('vision_msgs/Detection3D', **{**fields, **changes})


def array(
    kind: str, items: Sequence[Any], frame: str = 'base_link', stamp_ns: int = STAMP_NS
) -> Any:
    package, _, name = kind.partition('/msg/')
    field = 'detections' if kind == DETECTIONS else 'objects'
    header = messages.header_message(stamp_ns, frame)
    return new(f'{package}/{name}', header=header, **{field: list(items)})


def grid(
    cells: Any,
    frame: str = 'base_link',
    stamp_ns: int = STAMP_NS,
    x: float = -1.0,
    yaw: float = 0.0,
) -> Any:
    data = np.asarray(cells, np.int8)
    info = new(
        'nav_msgs/MapMetaData',
        resolution=0.5,
        width=data.shape[1],
        height=data.shape[0],
        origin=messages.upright_pose_message((x, 2.0, 0.0), yaw),
    )
    header = messages.header_message(stamp_ns, frame)
    return new('nav_msgs/OccupancyGrid', header=header, info=info, data=data.ravel())


def only(message: Any, kind: str) -> TruthObjects:
    found, left_out = truth_objects(message, kind)
    assert left_out == 0 and len(found) == 1
    np.testing.assert_array_equal(found.center_m, [[5.0, -3.0, 0.8]])
    np.testing.assert_allclose(found.yaw_rad, [YAW])
    assert found.points.tolist() == [-1]
    return found


def test_own_objects() -> None:
    found = only(array(OWN_OBJECTS, [own_object()]), OWN_OBJECTS)
    assert (found.track, found.class_name) == ((UUID.hex(),), ('car',))
    np.testing.assert_array_equal(found.size_m, [[4.5, 1.9, 1.6]])
    # In the axes of the header, whatever the heading.
    np.testing.assert_array_equal(found.velocity_mps, [[1.5, -2.5]])
    assert found.visibility.tolist() == [0.25]
    bare = own_object(has_twist=False, object_id=uuid_of(bytes(16)), classes=[])
    found = only(array(OWN_OBJECTS, [bare]), OWN_OBJECTS)
    assert (found.track, found.class_name) == (('',), ('unknown',))
    assert np.isnan(found.velocity_mps).all()


def test_detections_have_neither_velocity_nor_visibility() -> None:
    found = only(array(DETECTIONS, [detection()]), DETECTIONS)
    assert (found.track, found.class_name) == (('bus-7',), ('bus',))
    np.testing.assert_array_equal(found.size_m, [[12.0, 2.5, 3.1]])
    assert np.isnan(found.velocity_mps).all() and np.isnan(found.visibility).all()


AUTOWARE = {
    DETECTED: ('DetectedObject', ''),
    TRACKED: ('TrackedObject', ''),
    PREDICTED: ('PredictedObject', 'initial_'),
}


@pytest.mark.parametrize('kind', AUTOWARE)
def test_autoware_velocities_are_turned_out_of_the_object(kind: str) -> None:
    name, prefix = AUTOWARE[kind]
    found = only(array(kind, [autoware(name, prefix)]), kind)
    assert found.track == ('' if kind == DETECTED else UUID.hex(),)
    assert found.class_name == ('truck',)
    np.testing.assert_array_equal(found.size_m, [[6.0, 2.5, 3.0]])
    # 3 m/s along the heading and 1 m/s along the direction that is a right angle to its left.
    ahead, left = (
        np.array([math.cos(YAW), math.sin(YAW)]),
        np.array([-math.sin(YAW), math.cos(YAW)]),
    )
    np.testing.assert_allclose(found.velocity_mps, [3.0 * ahead + 1.0 * left])
    assert np.isnan(found.visibility).all()


def test_autoware_shapes_labels_and_objects_without_twist() -> None:
    still = new(
        'autoware_perception_msgs/DetectedObjectKinematics',
        pose_with_covariance=pose_of((5.0, -3.0, 0.8), YAW),
        twist_with_covariance=twist_of(3.0, 1.0),
    )
    odd = new('autoware_perception_msgs/ObjectClassification', label=99, probability=1.0)
    outline = shape(2, (0.0, 0.0, 2.0), [(1.0, 0.5), (-3.0, 0.2), (0.0, -0.7)])
    item = autoware('DetectedObject', '', kinematics=still, classification=[odd], shape=outline)
    found = only(array(DETECTED, [item]), DETECTED)
    assert np.isnan(found.velocity_mps).all() and found.class_name == ('unknown',)
    np.testing.assert_allclose(found.size_m, [[6.0, 1.4, 2.0]])


def test_what_is_no_box_is_left_out_and_counted() -> None:
    nan = own_object(pose=pose_of((math.nan, 0.0, 0.0), 0.0))
    flat = own_object(dimensions=messages.vector_message((4.0, 2.0, 0.0)))
    twisted = pose_of((1.0, 1.0, 1.0), 0.0)
    twisted.pose.orientation.w = 0.5
    none = pose_of((1.0, 1.0, 1.0), 0.0)
    none.pose.orientation.w = 0.0  # never filled in
    items = [nan, own_object(), flat, own_object(pose=twisted), own_object(pose=none)]
    found, left_out = truth_objects(array(OWN_OBJECTS, items), OWN_OBJECTS)
    assert left_out == 3 and found.yaw_rad.tolist() == pytest.approx([YAW, 0.0])


def test_topics_are_found_and_the_richest_objects_taken() -> None:
    topics = [
        Topic('/ground_truth/a', DETECTIONS, 3),
        Topic('/ground_truth/z', OWN_OBJECTS, 3),
        Topic('/ground_truth/b', TRACKED, 0),
        Topic('/ground_truth/occupancy', GRID, 2),
        Topic('/ground_truth/semantics/drivable', GRID, 2),
        Topic('/ground_truth/semantics/lane/left', GRID, 2),
        Topic('/perception/objects', OWN_OBJECTS, 3),
        Topic('/ground_truth/points', 'sensor_msgs/msg/PointCloud2', 3),
    ]
    found = find_truth_topics(topics)
    assert found.objects == '/ground_truth/z'
    assert found.layers == {
        '/ground_truth/occupancy': 'occupancy',
        '/ground_truth/semantics/drivable': 'drivable',
        '/ground_truth/semantics/lane/left': 'lane/left',
    }
    assert not find_truth_topics(topics[-2:]) and find_truth_topics(topics[3:4])
    named = named_truth_topics(topics, ['/perception/objects', '/ground_truth/occupancy'], 'bag')
    assert named == TruthTopics('/perception/objects', {'/ground_truth/occupancy': 'occupancy'})
    for names, words in (
        (['/none'], ("'/none'", 'no message', '/perception/objects')),
        (['/ground_truth/b'], ("'/ground_truth/b'", 'no message')),
        (['/ground_truth/points'], ('PointCloud2', 'must be one of')),
        (['/ground_truth/a', '/ground_truth/z'], ('/ground_truth/a', 'both', 'name one')),
    ):
        with pytest.raises(BagError) as error:
            named_truth_topics(topics, names, 'some/bag')
        assert_one_line(error.value, 'some/bag', *words)


def bag_of(folder: Path, content: Sequence[Recorded], store: Typestore | None = None) -> Path:
    return write_bag(folder / 'bag', content, store=store or STORE)


def read(bag: Path) -> tuple[list[FramedTruth], list[str]]:
    with BagReader(bag) as reader:
        return read_truth_topics(reader, find_truth_topics(reader.topics()))


def test_every_type_out_of_a_recording(tmp_path: Path) -> None:
    items = {
        OWN_OBJECTS: own_object(),
        DETECTIONS: detection(),
        **{kind: autoware(*AUTOWARE[kind]) for kind in AUTOWARE},
    }
    for number, (kind, item) in enumerate(items.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        bag = bag_of(folder, [('/ground_truth/objects', STAMP_NS, array(kind, [item], 'map'))])
        (found,), problems = read(bag)
        assert found.frame_id == 'map' and found.frame.stamp_ns == STAMP_NS and not problems
        direct, _ = truth_objects(array(kind, [item]), kind)
        objects = found.frame.objects
        assert objects is not None and objects.class_name == direct.class_name
        for name in ('center_m', 'size_m', 'yaw_rad', 'velocity_mps', 'visibility'):
            np.testing.assert_allclose(getattr(objects, name), getattr(direct, name), err_msg=kind)


def test_grids_become_layers_that_are_kept_packed(tmp_path: Path) -> None:
    cells = [[0, 49, 50, 100], [-1, 0, 100, 0], [0, 0, 0, 51]]
    big = np.zeros((400, 400), np.int8)
    bag = bag_of(
        tmp_path,
        [
            ('/ground_truth/occupancy', STAMP_NS, grid(cells)),
            ('/ground_truth/semantics/drivable', STAMP_NS, grid(big)),
        ],
    )
    found, problems = read(bag)
    (frame,) = merged(item.frame for item in found)
    assert not problems and frame.objects is None
    assert set(frame.layers) == {'occupancy', 'drivable'} and len(frame.layers) == 2
    layer = frame.layers['occupancy']
    assert layer.grid == BevGrid(-1.0, 2.0, 0.5, size_x=4, size_y=3)
    assert layer.cells.dtype == np.int8
    assert layer.cells.tolist() == [[0, 0, 1, 1], [-1, 0, 1, 0], [0, 0, 0, 1]]
    assert isinstance(frame.layers, PackedLayers)
    assert len(frame.layers.packed['drivable'].packed) < 1000
    with pytest.raises(KeyError):
        frame.layers['sidewalk']


def test_messages_that_cannot_be_used_are_left_out_and_named(tmp_path: Path) -> None:
    objects = '/ground_truth/objects'
    bag = bag_of(
        tmp_path,
        [
            (objects, 1, array(OWN_OBJECTS, [own_object()], stamp_ns=0)),
            (
                objects,
                2,
                array(OWN_OBJECTS, [own_object(dimensions=messages.vector_message((0, 1, 1)))]),
            ),
            ('/ground_truth/occupancy', 3, grid([[0]], yaw=0.5)),
            ('/ground_truth/occupancy', 4, grid([[100]])),
        ],
    )
    found, problems = read(bag)
    assert [len(f.frame.objects) if f.frame.objects is not None else None for f in found] == [
        0,
        None,
    ]
    text = '\n'.join(problems)
    assert len(problems) == 3
    for words in ('without a stamp', 'no boxes are left out (1 times)', 'is rotated'):
        assert words in text


def one(frame_id: str, stamp_ns: int = STAMP_NS, layer: BevGrid | None = None) -> FramedTruth:
    row = TruthRow('car', (5.0, -3.0, 0.8), (4.5, 1.9, 1.6), YAW, 'a', (1.5, -2.5))
    layers = {}
    if layer is not None:
        cells = np.arange(layer.size_x * layer.size_y).reshape(layer.shape) % 2
        layers['drivable'] = PackedLayer.of(TruthLayer(layer, cells.astype(np.int8)))
    return FramedTruth(
        frame_id, TruthFrame(stamp_ns, objects_of([row]), layers=PackedLayers(layers))
    )


def tree_of(pose: np.ndarray, frame: str = 'map') -> TransformTree:
    """The vehicle is at `pose` in a frame, from one second before to one after the stamp."""
    tree = TransformTree(1e9)
    for stamp_ns in (STAMP_NS - 10**9, STAMP_NS + 10**9):
        tree.set_transform(frame, 'base_link', stamp_ns, pose, False)
    return tree


def test_objects_of_another_frame_are_moved() -> None:
    # The vehicle stands at (2, 1) and looks along the map's y axis: the car, 3 m further along
    # the map's x axis and 4 m back along y, is 4 m behind it and 3 m to its right.
    tree = tree_of(pose_from_yaw(2.0, 1.0, 0.0, math.pi / 2))
    (frame,), problems = in_base_frame([one('/map')], 'base_link', tree)
    objects = frame.objects
    assert objects is not None and not problems
    np.testing.assert_allclose(objects.center_m, [[-4.0, -3.0, 0.8]], atol=1e-12)
    np.testing.assert_allclose(objects.yaw_rad, [YAW - math.pi / 2])
    # Over ground: 1.5 m/s along x of the map is to the right, -2.5 along y is backwards.
    np.testing.assert_allclose(objects.velocity_mps, [[-2.5, -1.5]], atol=1e-12)
    (same,), _ = in_base_frame([one('base_link')], '/base_link', TransformTree())
    assert same.objects is not None and same.objects.center_m.tolist() == [[5.0, -3.0, 0.8]]


def test_grids_are_moved_only_from_parallel_frames() -> None:
    source = BevGrid(-1.0, 2.0, 0.5, size_x=4, size_y=3)
    ahead = tree_of(pose_from_yaw(2.0, -1.0, 0.0, 0.0))
    (frame,), problems = in_base_frame([one('map', layer=source)], 'base_link', ahead)
    assert not problems and frame.layers['drivable'].grid == BevGrid(-3.0, 3.0, 0.5, 4, 3)
    assert frame.layers['drivable'].cells.tolist() == [[0, 1, 0, 1]] * 3
    turned = tree_of(pose_from_yaw(2.0, -1.0, 0.0, 0.01))
    frames, problems = in_base_frame([one('map', layer=source)], 'base_link', turned)
    assert not frames and len(problems) == 1
    assert "'map'" in problems[0] and 'turned' in problems[0] and 'base_link' in problems[0]


def test_what_cannot_be_moved_is_left_out_with_its_reason() -> None:
    tree = tree_of(make_pose((1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    late = [one('map', STAMP_NS + k * 10**9) for k in (2, 3, 4)]
    items = [one('map'), *late, one('world'), one('base_link')]
    frames, problems = in_base_frame(items, 'base_link', tree)
    assert [f.stamp_ns for f in frames] == [STAMP_NS, STAMP_NS]
    assert len(problems) == 2
    assert '3 of 6' in problems[0] and "frame 'map'" in problems[0]
    assert '1 of 6' in problems[1] and "'world'" in problems[1] and 'not connected' in problems[1]


def test_frames_of_one_stamp_become_one() -> None:
    cells = TruthLayer(BevGrid(0.0, 0.0, 1.0, 1, 1), np.ones((1, 1), np.int8))
    pose = np.eye(4)
    objects, later = one('b').frame.objects, one('b').frame.objects
    frames = merged(
        [
            TruthFrame(7, objects),
            TruthFrame(5, None, pose, {'a': cells}, token='t'),
            TruthFrame(7, None, None, {'a': cells}),
            TruthFrame(7, later, None, {'b': cells}),
        ]
    )
    assert [f.stamp_ns for f in frames] == [5, 7]
    assert frames[0].objects is None and frames[0].odom_T_base is pose and frames[0].token == 't'
    assert frames[1].objects is later and sorted(frames[1].layers) == ['a', 'b']


def test_layers_are_made_once_and_only_when_asked_for() -> None:
    grid_m, calls = BevGrid(0.0, 0.0, 1.0, 3, 2), []

    def make() -> dict[str, TruthLayer]:
        calls.append(1)
        return {'a': TruthLayer(grid_m, np.array([[1, 0, -1], [0, 1, 1]], np.int8))}

    layers = LazyLayers(['a'], make)
    assert list(layers) == ['a'] and len(layers) == 1 and 'a' in layers and not calls
    with pytest.raises(KeyError):
        layers['b']
    assert layers['a'].cells.tolist() == [[1, 0, -1], [0, 1, 1]]
    assert layers['a'].grid == grid_m and calls == [1]


def test_recordings_without_definitions_are_read(tmp_path: Path) -> None:
    """As sqlite3 of ROS 2 Humble writes them: `known_types` must know vision_msgs and Autoware."""
    plain = get_typestore(Stores.ROS2_HUMBLE)
    assert TRACKED not in plain.types and TRACKED in known_types().types
    assert DETECTIONS in known_types().types and OWN_OBJECTS in known_types().types
    data = STORE.serialize_cdr(array(TRACKED, [autoware('TrackedObject', '')]), TRACKED)
    found = only(known_types().deserialize_cdr(data, TRACKED), TRACKED)
    assert found.class_name == ('truck',)
