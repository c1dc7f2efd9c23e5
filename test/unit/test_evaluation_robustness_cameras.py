"""Missing, late, misstamped and frozen cameras: what the real assembler would have made."""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np
import pytest
from support.bags import assert_one_line
from support.frame_series import (
    START_NS,
    S,
    assert_untouched,
    frame_at,
    picture,
    sample_of,
    series,
    without,
)

from bev_perception.errors import ConfigError
from bev_perception.evaluation.robustness.late import CamerasLate
from bev_perception.evaluation.robustness.missing import CamerasMissing
from bev_perception.evaluation.robustness.stale import CamerasFrozen, CamerasMisstamped
from bev_perception.frame import CameraState, FrameSet
from bev_perception.geometry.pose import make_pose
from bev_perception.inputs.assembler import AssemblerConfig, FrameAssembler
from bev_perception.inputs.calibration import CameraInfo, CameraSource
from bev_perception.inputs.ego_motion import EgoMotion
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.transform_tree import TransformTree

MS = 1_000_000
NAMES = ('left', 'front', 'right')
INFO = CameraInfo(
    8, 4, 'plumb_bob', (), (5.0, 0, 4, 0, 5, 2, 0, 0, 1), (0.0,) * 9, (0.0,) * 12, 'optical'
)
POSE = make_pose((0, 0, 1), (-0.5, 0.5, -0.5, 0.5))
IMAGE = CameraImage(np.zeros(96, np.uint8), 'rgb8', 8, 4, 24, compressed=False)


def assembled(
    count: int, period_ns: int, delays_ns: dict[str, int], silent: tuple[str, ...] = ()
) -> list[FrameSet]:
    """Returns what the assembler makes of three cameras, some of them late or silent."""
    tree, ego = TransformTree(), EgoMotion()
    sources = tuple(
        CameraSource(n, f'/{n}/image', False, f'/{n}/camera_info', f'{n}_optical') for n in NAMES
    )
    config = AssemblerConfig('base', wait_for_ego_motion=False)
    assembler = FrameAssembler(sources, config, tree, ego)
    for name in NAMES:
        assembler.add_info(name, INFO)
        tree.set_transform('base', f'{name}_optical', 0, POSE, True)
    events: list[tuple[int, str, int]] = []
    for index in range(count):
        stamp_ns = 10 * S + index * period_ns
        for place, name in enumerate(NAMES):
            if name not in silent:
                arrival_ns = stamp_ns + MS * (3 + place) + delays_ns.get(name, 0)
                heapq.heappush(events, (arrival_ns, name, stamp_ns))
    frames: list[FrameSet] = []
    now_ns = 10 * S
    while events:
        arrival_ns, name, stamp_ns = heapq.heappop(events)
        # As the timer of the node and the other messages of a recording do.
        while now_ns + 10 * MS <= arrival_ns:
            now_ns += 10 * MS
            frames += assembler.poll(now_ns)
        frames += assembler.add_image(name, stamp_ns, IMAGE, arrival_ns)
    return frames + assembler.flush(arrival_ns)


def test_a_missing_camera_is_what_the_assembler_makes_of_one_that_never_sends() -> None:
    real = assembled(6, 100 * MS, {}, silent=('front',))
    clean = assembled(6, 100 * MS, {})
    made = list(CamerasMissing(('front',)).apply(iter(clean)))
    assert len(made) == len(real) == 6
    for mine, theirs in zip(made, real, strict=True):
        assert mine.samples == theirs.samples
        assert mine.stamp_ns == theirs.stamp_ns


def test_missing_cameras_leave_everything_else_alone() -> None:
    clean = list(series(3))
    clean[1] = without(clean[1], 'rear')
    for cameras in (('front',), ('rear', 'front'), ('front', 'left', 'rear')):
        made = list(CamerasMissing(cameras).apply(iter(clean)))
        for old, new in zip(clean, made, strict=True):
            assert_untouched(old, new, cameras)
            for name in cameras:
                found = sample_of(new, name)
                assert (found.state, found.detail) == (CameraState.MISSING, 'no image yet')
                assert found.image is found.camera is found.stamp_ns is None


@pytest.mark.parametrize('delay_s', [0.13, 0.33, 0.47, 0.61, 1.25])
@pytest.mark.parametrize('period_s', [0.1, 0.5])
def test_a_late_camera_is_what_the_assembler_makes_of_it(delay_s: float, period_s: float) -> None:
    period_ns = round(period_s * S)
    real = assembled(16, period_ns, {'front': round(delay_s * S)})
    clean = assembled(16, period_ns, {})
    made = list(CamerasLate(('front',), delay_s).apply(iter(clean)))
    assert len(made) == 16
    states = []
    # For the first three sets the assembler still waits for the camera, up to the deadline.
    for mine, theirs in list(zip(made, real, strict=True))[4:]:
        assert mine.stamp_ns == theirs.stamp_ns
        assert mine.samples == theirs.samples
        states.append(mine.samples[1].state)
    assert CameraState.LATE in states
    assert CameraState.USED not in states


def test_a_camera_within_the_deadline_is_waited_for() -> None:
    real = assembled(6, 500 * MS, {'front': 60 * MS})
    clean = assembled(6, 500 * MS, {})
    made = list(CamerasLate(('front',), 0.06).apply(iter(clean)))
    for old, mine, theirs in zip(clean, made, real, strict=True):
        assert all(a is b for a, b in zip(mine.samples, old.samples, strict=True))
        assert mine.samples == theirs.samples
        # The late camera is not the last to arrive in the clean recording, by a millisecond.
        assert mine.wait_s == pytest.approx(theirs.wait_s, abs=0.0011)
        assert abs(mine.last_arrival_ns - theirs.last_arrival_ns) <= MS


def test_lateness_starts_anew_after_a_time_jump_and_keeps_what_was_recorded() -> None:
    late = CamerasLate(('front',), 0.15)
    frames = [*series(5), *(replace(f, epoch=1) for f in series(4))]
    frames[8] = without(frames[8], 'front')
    details = [sample_of(f, 'front').detail for f in late.apply(iter(frames))]
    behind = '0.10 s behind the newest released set'
    assert details[:5] == ['no image yet', 'no image yet', behind, behind, behind]
    assert details[5:] == ['no image yet', 'no image yet', behind, 'no image for 3.00 s']


def shown(frame: FrameSet, camera: str) -> int:
    """Returns the index of the frame set that the image of a camera was recorded in."""
    image = sample_of(frame, camera).image
    assert image is not None
    (found,) = (i for i in range(40) if np.array_equal(picture(camera, i).data, image.data))
    return found


def test_a_misstamped_image_is_old_and_its_stamp_is_new() -> None:
    clean = list(series(7))
    made = list(CamerasMisstamped(('left',), 0.2).apply(iter(clean)))
    for old, new in zip(clean, made, strict=True):
        assert_untouched(old, new, ('left',))
    assert all(sample_of(f, 'left').detail == 'no image yet' for f in made[:2])
    assert [shown(f, 'left') for f in made[2:]] == [0, 1, 2, 3, 4]
    for old, new in zip(clean[2:], made[2:], strict=True):
        before, after = sample_of(old, 'left'), sample_of(new, 'left')
        assert replace(after, image=before.image) == before


@pytest.mark.parametrize(
    ('period_s', 'delay_s', 'frames_old'),
    [(1.0, 0.2, 1), (0.1, 0.14, 1), (0.1, 0.16, 2), (0.5, 0.5, 1), (0.1, 0.5, 5)],
)
def test_the_age_is_the_nearest_recorded_one(
    period_s: float, delay_s: float, frames_old: int
) -> None:
    made = list(CamerasMisstamped(('left',), delay_s).apply(series(12, period_s)))
    assert shown(made[-1], 'left') == 11 - frames_old


def test_a_jittering_recording_does_not_double_the_age() -> None:
    jitter_ns = [0, 3, -4, 2, -3, 4, 0, -2, 3, -4]
    frames = [frame_at(i, START_NS + i * S // 10 + MS * j) for i, j in enumerate(jitter_ns)]
    made = list(CamerasMisstamped(('front',), 0.1).apply(iter(frames)))
    assert [shown(f, 'front') for f in made[1:]] == list(range(9))


def test_old_images_do_not_cross_a_time_jump_and_gaps_stay() -> None:
    again = [frame_at(i, START_NS + (i + 5) * S // 10, epoch=1) for i in range(4)]
    frames = [*series(4), *again]
    frames[3] = without(frames[3], 'front')
    made = list(CamerasMisstamped(('front',), 0.1).apply(iter(frames)))
    states = [sample_of(f, 'front').state for f in made]
    missing, used = CameraState.MISSING, CameraState.USED
    assert states == [missing, used, used, missing, missing, used, used, used]
    assert sample_of(made[3], 'front').detail == 'no image for 3.00 s'
    assert sample_of(made[4], 'front').detail == 'no image yet'
    assert shown(made[5], 'front') == 0


def test_a_frozen_camera_shows_one_image_with_new_stamps() -> None:
    clean = list(series(8))
    clean[3] = without(clean[3], 'rear')
    clean[5] = without(clean[5], 'rear')
    made = list(CamerasFrozen(('rear', 'front'), 0.3).apply(iter(clean)))
    for old, new in zip(clean, made, strict=True):
        assert_untouched(old, new, ('rear', 'front'))
        assert sample_of(new, 'rear').stamp_ns == sample_of(old, 'rear').stamp_ns
    assert [shown(f, 'front') for f in made] == [0, 1, 2, 3, 3, 3, 3, 3]
    assert sample_of(made[3], 'rear') is sample_of(clean[3], 'rear')
    assert sample_of(made[5], 'rear') is sample_of(clean[5], 'rear')
    assert [shown(made[i], 'rear') for i in (0, 1, 2, 4, 6, 7)] == [0, 1, 2, 4, 4, 4]


def test_frozen_from_the_first_image_on_and_again_after_a_time_jump() -> None:
    second = [replace(frame_at(i + 20, START_NS + i * S // 10), epoch=1) for i in range(3)]
    made = list(CamerasFrozen(('left',), 0.0).apply(iter([*series(3), *second])))
    assert [shown(f, 'left') for f in made] == [0, 0, 0, 20, 20, 20]


@pytest.mark.parametrize(
    'perturbation',
    [
        CamerasMissing(('back',)),
        CamerasLate(('back',), 0.3),
        CamerasMisstamped(('left', 'back'), 0.1),
        CamerasFrozen(('back',), 1.0),
    ],
)
def test_a_camera_that_is_not_there_is_refused(perturbation: CamerasMissing) -> None:
    with pytest.raises(ConfigError) as caught:
        next(perturbation.apply(series(1)))
    assert_one_line(caught.value, perturbation.name, 'back', 'front, left, rear')


def test_names_for_tables() -> None:
    assert CamerasMissing(('cam_front',)).name == 'camera cam_front missing'
    assert CamerasMissing(('a', 'b'), 'pairs').name == 'cameras a, b missing'
    assert CamerasLate(('a',), 0.3).name == 'camera a late 0.3 s'
    assert CamerasMisstamped(('a',), 0.2).name == 'camera a stamped 0.2 s late'
    assert CamerasFrozen(('a',), 1.0).name == 'camera a frozen after 1 s'
