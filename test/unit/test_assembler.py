from __future__ import annotations

import numpy as np

from bev_perception.frame import CameraState
from bev_perception.geometry.pose import make_pose, pose_from_yaw
from bev_perception.inputs.assembler import AssemblerConfig, FrameAssembler
from bev_perception.inputs.calibration import CameraInfo, CameraSource
from bev_perception.inputs.ego_motion import EgoMotion
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.transform_tree import TransformTree

MS = 1_000_000
S = 1_000_000_000
INFO = CameraInfo(
    8, 4, 'plumb_bob', (), (5.0, 0, 4, 0, 5, 2, 0, 0, 1), (0.0,) * 9, (0.0,) * 12, 'optical'
)
POSE = make_pose((0, 0, 1), (-0.5, 0.5, -0.5, 0.5))
IMAGE = CameraImage(np.zeros(96, np.uint8), 'rgb8', 8, 4, 24, compressed=False)


def assembler(wait=False, names=('left', 'right'), **source):
    tree, ego = TransformTree(), EgoMotion()
    sources = tuple(
        CameraSource(n, f'/{n}/image', False, f'/{n}/camera_info', f'{n}_optical', **source)
        for n in names
    )
    return FrameAssembler(sources, AssemblerConfig('base', wait_for_ego_motion=wait), tree, ego), (
        tree,
        ego,
    )


def calibrate(made, tree, name):
    made.add_info(name, INFO)
    tree.set_transform('base', f'{name}_optical', 0, POSE, True)


def test_calibration_that_arrives_after_its_image_is_waited_for():
    made, (tree, _) = assembler()
    calibrate(made, tree, 'left')
    assert made.add_image('left', S, IMAGE, S) == []
    assert made.add_image('right', S, IMAGE, S) == []
    assert made.poll(S + 10 * MS) == []
    calibrate(made, tree, 'right')
    (frames,) = made.poll(S + 20 * MS)
    assert [s.state for s in frames.samples] == [CameraState.USED] * 2
    assert frames.wait_s == 0.02


def test_calibration_that_never_comes_costs_the_deadline_three_times_and_is_named():
    made, (tree, _) = assembler()
    calibrate(made, tree, 'left')
    waits = []
    for i in range(5):
        now = (10 + i) * S
        made.add_image('left', now, IMAGE, now)
        released = made.add_image('right', now, IMAGE, now)
        waits.append(not released)
        (frames,) = released or made.poll(now + 100 * MS)
        assert frames.samples[0].state is CameraState.USED
        assert frames.samples[1].state is CameraState.NO_CAMERA_INFO
        assert frames.samples[1].stamp_ns == now
    assert waits == [True, True, True, False, False]


def test_ego_pose_is_waited_for_and_interpolated():
    made, (tree, ego) = assembler(wait=True, names=('left',))
    calibrate(made, tree, 'left')
    ego.add(S, pose_from_yaw(0, 0, 0, 0))
    assert made.add_image('left', S + 50 * MS, IMAGE, S + 50 * MS) == []
    ego.add(S + 100 * MS, pose_from_yaw(1, 0, 0, 0))
    (frames,) = made.poll(S + 100 * MS)
    assert frames.odom_T_base[0, 3] == 0.5


def test_without_any_ego_motion_sets_go_out_with_none():
    made, (tree, _) = assembler(wait=True, names=('left',))
    calibrate(made, tree, 'left')
    released = []
    for i in range(5):
        now = (10 + i) * S
        released.append(len(made.add_image('left', now, IMAGE, now)))
        made.poll(now + 100 * MS)
    assert released == [0, 0, 0, 1, 1]


def test_order_is_kept_while_the_first_set_waits():
    made, (tree, ego) = assembler(wait=True, names=('left',))
    calibrate(made, tree, 'left')
    assert made.add_image('left', S, IMAGE, S) == []
    assert made.add_image('left', S + 50 * MS, IMAGE, S + 50 * MS) == []
    ego.add(S + 60 * MS, np.eye(4))
    assert [f.stamp_ns for f in made.poll(S + 60 * MS)] == [S, S + 50 * MS]


def test_a_time_jump_forgets_poses_and_waiting_sets():
    made, (tree, ego) = assembler(wait=True, names=('left',))
    calibrate(made, tree, 'left')
    ego.add(100 * S, np.eye(4))
    assert len(made.add_image('left', 100 * S, IMAGE, 100 * S)) == 1
    assert made.add_image('left', 101 * S, IMAGE, 101 * S) == []
    made.add_image('left', 10 * S, IMAGE, 102 * S)
    assert made.epoch == 1
    (frames,) = made.poll(103 * S)
    assert (frames.stamp_ns, frames.epoch, frames.odom_T_base) == (10 * S, 1, None)


def test_sets_grouped_elsewhere_keep_rig_order_and_name_the_absent():
    made, (tree, _) = assembler()
    calibrate(made, tree, 'left')
    calibrate(made, tree, 'right')
    (frames,) = made.add_set({'right': (S, IMAGE)}, S)
    assert [(s.name, s.state) for s in frames.samples] == [
        ('left', CameraState.MISSING),
        ('right', CameraState.USED),
    ]


def test_flush_gives_what_is_left():
    made, (tree, _) = assembler()
    calibrate(made, tree, 'left')
    made.add_image('left', S, IMAGE, S)
    (frames,) = made.flush(S + MS)
    assert [s.state for s in frames.samples] == [CameraState.USED, CameraState.MISSING]
    assert made.flush(S + MS) == []
