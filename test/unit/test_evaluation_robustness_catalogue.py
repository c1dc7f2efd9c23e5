"""The catalogue as a whole: what is in it, that it streams, and that it repeats itself."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.bags import assert_one_line
from support.frame_series import CAMERAS, series

from bev_perception.errors import ConfigError
from bev_perception.evaluation.robustness.catalogue import GROUPS, catalogue
from bev_perception.evaluation.robustness.perturbation import Perturbation
from bev_perception.frame import FrameSet
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.synced_set import SyncConfig

SIX = ('front', 'front_right', 'back_right', 'back', 'back_left', 'front_left')
TEST_FOLDER = Path(__file__).parents[1]


def names(perturbations: Sequence[Perturbation]) -> list[str]:
    return [p.name for p in perturbations]


def test_six_cameras_have_everything_once() -> None:
    found = catalogue(SIX)
    assert len(set(names(found))) == len(found)
    assert list(dict.fromkeys(p.group for p in found)) == list(GROUPS)
    assert Counter(p.group for p in found) == {
        'missing': 6,
        'pairs': 15,
        'alone': 6,
        'late': 2 * 6,
        'clock': 3 * 6,
        'frozen': 6,
        'images': 6 * 3,
        'calibration': 7 * 2 * 3,
        'calibration_single': 2 * 3 * 6,
        'odometry': 1 + 3 + 3 + 3 + 6,
    }
    expected = {
        'camera back missing', 'cameras front, back missing', 'all but camera front missing',
        'camera back late 0.3 s', 'camera back stamped 0.2 s late',
        'camera back frozen after 0.2 s', 'motion_blur 2', 'fog 3', 'pitch +2 deg',
        'height -0.2 m', 'camera back yaw +2 deg',
        'odometry late 0.2 s', 'odometry missing',
    }  # fmt: skip
    assert expected <= set(names(found))


def test_groups_and_strengths_are_chosen() -> None:
    found = catalogue(SIX, ['images', 'missing'], [3, 1])
    assert names(found)[:6] == [f'camera {name} missing' for name in SIX]
    assert names(found)[6:10] == ['motion_blur 1', 'motion_blur 3', 'noise 1', 'noise 3']
    assert len(found) == 6 + 12
    mild = catalogue(SIX, ['calibration'], [1])
    assert names(mild)[:4] == ['pitch -0.5 deg', 'pitch +0.5 deg', 'yaw -0.5 deg', 'yaw +0.5 deg']
    assert names(catalogue(SIX, ['late'], sync=SyncConfig(deadline_s=0.2)))[::6] == [
        'camera front late 0.1 s',
        'camera front late 0.6 s',
    ]


def test_large_rigs_lose_neighbours_and_small_ones_keep_a_camera() -> None:
    eight = tuple('abcdefgh')
    pairs = names(catalogue(eight, ['pairs']))
    assert pairs == [
        f'cameras {a}, {b} missing' for a, b in zip('abcdefgh', 'bcdefgha', strict=True)
    ]
    three = catalogue(tuple('abc'), ['missing', 'pairs', 'alone'])
    assert names(three) == [
        'camera a missing', 'camera b missing', 'camera c missing', 'cameras a, b missing',
        'cameras a, c missing', 'cameras b, c missing',
    ]  # fmt: skip
    assert names(catalogue(tuple('abc'), ['alone'])) == [
        f'all but camera {name} missing' for name in 'abc'
    ]
    assert names(catalogue(('a', 'b'), ['missing', 'pairs', 'alone'])) == [
        'camera a missing',
        'camera b missing',
    ]
    assert catalogue(('a',), ['missing', 'pairs', 'alone', 'late', 'calibration_single']) == ()


def test_wrong_choices_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        catalogue(SIX, ['missing', 'weather'])
    assert_one_line(caught.value, "group 'weather'", ', '.join(GROUPS))
    with pytest.raises(ConfigError) as caught:
        catalogue(SIX, [])
    assert_one_line(caught.value, 'no group', 'missing')
    with pytest.raises(ConfigError) as caught:
        catalogue(SIX, None, [0])
    assert_one_line(caught.value, "strength '0'", '1, 2, 3')
    with pytest.raises(ConfigError) as caught:
        catalogue([])
    assert_one_line(caught.value, 'camera names', 'none')
    with pytest.raises(ConfigError) as caught:
        catalogue(['a', 'b', 'a'])
    assert_one_line(caught.value, 'a, b, a')


@pytest.mark.parametrize('group', GROUPS)
def test_perturbations_can_be_sent_to_other_processes_and_are_values(group: str) -> None:
    for perturbation in catalogue(CAMERAS, [group]):
        copy = pickle.loads(pickle.dumps(perturbation))
        assert copy == perturbation and hash(copy) == hash(perturbation)
        assert (copy.name, copy.group) == (perturbation.name, group)


def watched(
    count: int, made: list[int], alive: weakref.WeakSet[CameraImage]
) -> Iterator[FrameSet]:
    for frame in series(count):
        made.append(frame.stamp_ns)
        alive.update(s.image for s in frame.samples if s.image is not None)
        yield frame
        del frame


@pytest.mark.parametrize('group', GROUPS)
def test_perturbations_stream_and_keep_no_more_images_than_they_need(group: str) -> None:
    """Three images of the set itself, and those of the longest delay: 0.5 s at 10 Hz."""
    allowed = {'clock': 3 + 6, 'frozen': 3 + 2}.get(group, 3 + 1)
    for perturbation in catalogue(CAMERAS, [group]):
        made: list[int] = []
        alive: weakref.WeakSet[CameraImage] = weakref.WeakSet()
        stamps = []
        for index, frame in enumerate(perturbation.apply(watched(25, made, alive))):
            stamps.append(frame.stamp_ns)
            assert len(made) == index + 1
            del frame
            assert len(alive) <= allowed, perturbation.name
        assert stamps == made and len(made) == 25


def digest(order: int = 1) -> str:
    """Returns a hash of all perturbed frame sets of one run of the whole catalogue."""
    parts = []
    for perturbation in catalogue(CAMERAS)[::order]:
        whole = hashlib.sha256()
        for frame in perturbation.apply(series(4)):
            pose = frame.odom_T_base
            whole.update(b'-' if pose is None else np.asarray(pose).tobytes())
            for sample in frame.samples:
                camera, image = sample.camera, sample.image
                whole.update(repr((sample.name, sample.state, sample.detail)).encode())
                whole.update(b'-' if camera is None else camera.key())
                whole.update(b'-' if image is None else image.data.tobytes())
        parts.append(f'{perturbation.name} {whole.hexdigest()}')
    return hashlib.sha256('\n'.join(sorted(parts)).encode()).hexdigest()


def test_the_same_in_every_process_and_every_order() -> None:
    code = 'from unit.test_evaluation_robustness_catalogue import digest; print(digest())'
    search = os.pathsep.join((str(TEST_FOLDER), str(TEST_FOLDER.parent)))
    found = {
        subprocess.run(
            [sys.executable, '-c', code],
            env={**os.environ, 'PYTHONHASHSEED': seed, 'PYTHONPATH': search},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ('1', '2')
    }
    assert found == {digest()} == {digest(-1)}
