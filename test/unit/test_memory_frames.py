"""Ego poses to the motion of the memory: against plain matrices, and every reason to forget."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, pose_from_yaw, yaw_of
from bev_perception.model.memory import MemoryFrames, MemoryKind, MemoryMotion

GRID = BevGrid(-20.0, -15.0, 0.4, 100, 75)
STEP_NS = 100_000_000
KINDS = [('recurrent', 1), ('ring', 3)]
IDENTITY = torch.eye(2, 3)


def full(planar: torch.Tensor) -> NDArray[np.float64]:
    """Returns the [4, 4] transform of a [2, 3] planar one."""
    matrix = np.eye(4)
    matrix[:2, [0, 1, 3]] = planar.double().numpy()
    return matrix


def flattened(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    return pose_from_yaw(float(pose[0, 3]), float(pose[1, 3]), 0.0, yaw_of(pose))


def drive(seed: int, frames: int = 60) -> list[NDArray[np.float64]]:
    """Returns poses of a wild but possible drive, far from the odometry's origin."""
    rng = np.random.default_rng(seed)
    x, y, yaw = rng.uniform(-1e5, 1e5), rng.uniform(-1e5, 1e5), rng.uniform(-3, 3)
    poses = []
    for _ in range(frames):
        poses.append(pose_from_yaw(x, y, rng.normal(), yaw))
        speed_m, yaw = rng.uniform(-2.0, 3.0), yaw + rng.normal(0.0, 0.05)
        x, y = x + speed_m * math.cos(yaw), y + speed_m * math.sin(yaw)
    return poses


@pytest.mark.parametrize('seed', range(6))
def test_recurrent_motion_agrees_with_the_poses(seed: int) -> None:
    """The memory frame's pose follows from `move` alone; `read` and `write` must fit to it."""
    frames = MemoryFrames('recurrent', 1, GRID, max_gap_s=1.0)
    poses = drive(seed)
    odom_T_memory = flattened(poses[0])
    turned = 0
    for index, odom_T_base in enumerate(poses):
        motion = frames.step(index * STEP_NS, odom_T_base)
        assert motion.keep.item() == (index > 0)
        read, move, write = (full(m) for m in (motion.read[0, 0], motion.move[0], motion.write[0]))
        flat = flattened(odom_T_base)
        np.testing.assert_allclose(odom_T_memory @ read, flat, atol=1e-4)
        odom_T_memory = odom_T_memory @ move
        np.testing.assert_allclose(flat @ write, odom_T_memory, atol=1e-4)

        assert (np.abs(write[:2, 3]) <= 0.5 * GRID.resolution_m * math.sqrt(2) + 1e-4).all()
        back = invert(write)
        assert (np.abs(back[:2, 3]) <= 0.5 * GRID.resolution_m + 1e-4).all()
        assert abs(yaw_of(write)) <= math.radians(5.0) + 1e-6
        if np.array_equal(move[:2, :2], np.eye(2)):
            cells = move[:2, 3] / GRID.resolution_m
            np.testing.assert_allclose(cells, np.rint(cells), atol=1e-5)
        else:
            turned += 1
            np.testing.assert_allclose(write[:2, 3], 0.0, atol=1e-6)
    assert 0 < turned < 25


def test_recurrent_motion_by_hand() -> None:
    """Cells of 0.4 m. 0.5 m forwards: one cell, 0.1 m left over; 0.5 m more: 2.5 -> 2 or 3."""
    frames = MemoryFrames('recurrent', 1, GRID, max_gap_s=1.0)
    first = frames.step(0, pose_from_yaw(7.0, 1.0, 0.0, math.pi / 2))
    for matrix in (first.read[0, 0], first.move[0], first.write[0]):
        assert torch.equal(matrix, IDENTITY)
    assert not first.keep.item() and first.gap_s.item() == 0.0

    second = frames.step(250_000_000, pose_from_yaw(7.0, 1.5, 0.0, math.pi / 2))
    assert second.keep.item() and second.gap_s.item() == 0.25
    torch.testing.assert_close(second.read[0, 0], torch.tensor([[1.0, 0, 0.5], [0, 1.0, 0]]))
    torch.testing.assert_close(second.move[0], torch.tensor([[1.0, 0, 0.4], [0, 1.0, 0]]))
    torch.testing.assert_close(second.write[0], torch.tensor([[1.0, 0, -0.1], [0, 1.0, 0]]))

    third = frames.step(300_000_000, pose_from_yaw(-0.75 + 7.0, 1.5, 0.0, math.pi / 2))
    torch.testing.assert_close(third.read[0, 0], torch.tensor([[1.0, 0, 0.1], [0, 1.0, 0.75]]))
    torch.testing.assert_close(third.move[0], torch.tensor([[1.0, 0, 0], [0, 1.0, 0.8]]))
    torch.testing.assert_close(third.write[0], torch.tensor([[1.0, 0, -0.1], [0, 1.0, 0.05]]))


def test_a_standing_vehicle_moves_nothing_at_all() -> None:
    frames = MemoryFrames('recurrent', 1, GRID, max_gap_s=1.0)
    pose = pose_from_yaw(12345.678, -987.654, 3.0, 2.345)
    frames.step(0, pose)
    for index in range(1, 10):
        motion = frames.step(index * STEP_NS, pose)
        for matrix in (motion.read[0, 0], motion.move[0], motion.write[0]):
            assert torch.equal(matrix, IDENTITY)


def test_turns_are_followed_seldom() -> None:
    """90 degrees in steps of one: beyond 5, then 4 ahead, so every 10th step at the latest."""
    frames = MemoryFrames('recurrent', 1, GRID, max_gap_s=1.0)
    turned = []
    for degree in range(91):
        yaw_rad = math.radians(150.0 + degree)  # over the seam at 180
        motion = frames.step(degree * STEP_NS, pose_from_yaw(0.1 * degree, 0.0, 0.0, yaw_rad))
        if not torch.equal(motion.move[0, :, :2], torch.eye(2)):
            turned.append(degree)
    assert turned == list(range(6, 91, 10))


def test_a_pose_that_trembles_does_not_turn_the_memory() -> None:
    frames = MemoryFrames('recurrent', 1, GRID, max_gap_s=1.0)
    frames.step(0, np.eye(4))
    for index in range(1, 40):
        yaw_rad = math.radians(4.9 if index < 5 else 5.2 - 0.4 * (index % 2))
        motion = frames.step(index * STEP_NS, pose_from_yaw(0.0, 0.0, 0.0, yaw_rad))
        turns = not torch.equal(motion.move[0, :, :2], torch.eye(2))
        assert turns == (index == 6)


@pytest.mark.parametrize('seed', range(3))
def test_ring_motion_agrees_with_the_poses(seed: int) -> None:
    frames = MemoryFrames('ring', 3, GRID, max_gap_s=1.0)
    poses = drive(seed, 12)
    stamps_ns = np.cumsum(
        np.random.default_rng(seed).integers(60_000_000, 900_000_000, 12)
    ).tolist()
    for index, odom_T_base in enumerate(poses):
        motion = frames.step(stamps_ns[index], odom_T_base)
        assert motion.keep[0].tolist() == [index > slot for slot in range(3)]
        assert torch.equal(motion.move[0], IDENTITY) and torch.equal(motion.write[0], IDENTITY)
        for slot in range(3):
            past = index - 1 - slot
            if past < 0:
                assert torch.equal(motion.read[0, slot], IDENTITY)
                assert motion.gap_s[0, slot] == 0.0
                continue
            expected = invert(poses[past]) @ odom_T_base
            found = full(motion.read[0, slot])
            np.testing.assert_allclose(found[:2], expected[:2], atol=1e-5)
            age_s = (stamps_ns[index] - stamps_ns[past]) * 1e-9
            assert motion.gap_s[0, slot].item() == pytest.approx(age_s)


@pytest.mark.parametrize('kind', ['recurrent', 'ring'])
def test_tilt_does_not_count(kind: MemoryKind) -> None:
    """Pitch and roll leave the place and the heading of the x axis as they are."""
    motions = []
    for tilt in (0.0, 0.1):
        frames = MemoryFrames(kind, 1, GRID, max_gap_s=1.0)
        second = pose_from_yaw(1.0, 0.2, 0.5 * tilt, 0.05)
        second[:3, :3] = Rotation.from_euler('ZYX', [0.05, tilt, -tilt]).as_matrix()
        frames.step(0, np.eye(4))
        motions.append(frames.step(STEP_NS, second))
    for name in ('read', 'move', 'write'):
        torch.testing.assert_close(getattr(motions[0], name), getattr(motions[1], name))


def is_fresh(motion: MemoryMotion) -> bool:
    identities = [*motion.read[0], motion.move[0], motion.write[0]]
    still = all(torch.equal(matrix, IDENTITY) for matrix in identities)
    return still and not motion.keep.any() and not motion.gap_s.any()


def pose_at(index: int) -> NDArray[np.float64]:
    """A drive that ends at the odometry's origin, where a pose that is not known must not be."""
    away = index - 6
    return pose_from_yaw(1.3 * away, -0.1 * away, 0.0, 0.04 * away)


BROKEN_STAMPS: dict[str, tuple[int, str]] = {
    'backwards': (2 * STEP_NS, 'back'),
    'repeated': (5 * STEP_NS, 'back'),
    'gap': (5 * STEP_NS + 1_000_000_001, 'without a frame'),
}
BROKEN_POSES: dict[str, tuple[Any, str]] = {
    'jump': (pose_from_yaw(-1.3 + 7.6, 0.1, 0.0, -0.04), 'jumped'),
    'flip': (pose_from_yaw(-1.3, 0.1, 0.0, -0.04 + math.pi), 'jumped'),
    'nan': (np.full((4, 4), np.nan), 'unknown'),
    'unknown': (None, 'unknown'),
}


@pytest.mark.parametrize(('kind', 'slots'), KINDS)
@pytest.mark.parametrize('why', [*BROKEN_STAMPS, *BROKEN_POSES, 'reset'])
def test_reasons_to_forget(kind: MemoryKind, slots: int, why: str) -> None:
    frames = MemoryFrames(kind, slots, GRID, max_gap_s=1.0)
    for index in range(6):
        motion = frames.step(index * STEP_NS, pose_at(index))
        assert frames.forgotten == ''
    assert motion.keep.all()
    if why == 'reset':
        frames.reset()
    stamp_ns, reason = BROKEN_STAMPS.get(why, (6 * STEP_NS, ''))
    pose, reason = BROKEN_POSES.get(why, (pose_at(6), reason))

    assert is_fresh(frames.step(stamp_ns, pose))
    assert reason in frames.forgotten and (reason == '') == (frames.forgotten == '')

    again = pose_at(6) if pose is None or np.isnan(pose).any() else pose
    after = frames.step(stamp_ns + STEP_NS, again)
    if reason == 'unknown':  # nobody knows where that frame was
        assert is_fresh(after)
        after = frames.step(stamp_ns + 2 * STEP_NS, again)
    assert after.keep[0].tolist() == [True] + [False] * (slots - 1)
    assert after.gap_s[0, 0].item() == pytest.approx(0.1)
    assert torch.equal(after.read[0, 0], IDENTITY) and frames.forgotten == ''


@pytest.mark.parametrize(('kind', 'slots'), KINDS)
def test_fast_and_long_steps_are_no_reason(kind: MemoryKind, slots: int) -> None:
    frames = MemoryFrames(kind, slots, GRID, max_gap_s=1.0)
    frames.step(0, np.eye(4))
    assert frames.step(10**9, pose_from_yaw(60.0, 0.0, 0.0, 0.5)).keep[0, 0]
    assert frames.step(10**9 + 1, pose_from_yaw(60.2, 0.0, 0.0, 0.5)).keep[0, 0]


@pytest.mark.parametrize(('kind', 'slots'), KINDS)
def test_without_ego_motion_nothing_is_ever_kept(kind: MemoryKind, slots: int) -> None:
    frames = MemoryFrames(kind, slots, GRID, max_gap_s=1.0)
    assert all(is_fresh(frames.step(index * STEP_NS, None)) for index in range(5))


def test_no_history_and_batches() -> None:
    frames = MemoryFrames('ring', 2, GRID, max_gap_s=1.0)
    motions = [frames.step(index * STEP_NS, pose_at(index)) for index in range(3)]
    none = MemoryMotion.none(1, 2)
    assert is_fresh(none) and none.slots == 2
    batch = MemoryMotion.collate([*motions, none]).to('cpu')
    assert batch.read.shape == (4, 2, 2, 3) and batch.move.shape == (4, 2, 3)
    assert batch.keep.tolist() == [[False, False], [True, False], [True, True], [False, False]]
    assert torch.equal(batch.read[2:3], motions[2].read)
    assert is_fresh(MemoryMotion.none(3, 2))
    for wrong in ([], [none, MemoryMotion.none(1, 1)]):
        with pytest.raises(ValueError, match='one number of slots'):
            MemoryMotion.collate(wrong)


def test_impossible_settings() -> None:
    assert get_args(MemoryKind) == ('recurrent', 'ring')
    wrong: list[tuple[Any, int, dict[str, float], str]] = [
        ('lstm', 1, {}, "'lstm' is unknown"),
        ('recurrent', 2, {}, '2 slots'),
        ('ring', 0, {}, '0 slots'),
        ('ring', 1, {'max_gap_s': 0.0}, 'max_gap_s'),
        ('ring', 1, {'max_speed_mps': -1.0}, 'max_speed_mps'),
        ('ring', 1, {'max_yaw_residual_rad': math.nan}, 'max_yaw_residual_rad'),
    ]
    for kind, slots, values, message in wrong:
        with pytest.raises(ConfigError, match=message):
            MemoryFrames(kind, slots, GRID, **{'max_gap_s': 1.0, **values})
