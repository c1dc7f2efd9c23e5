"""Our numbers against those of nuScenes' own benchmarks, on the same submissions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nuscenes_random import SPLIT, VERSION, random_scene, write_tables

from bev_perception.evaluation.class_map import DETECTION_CLASSES
from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Predicts
from bev_perception.evaluation.metrics.detection import DetectionMetric
from bev_perception.evaluation.metrics.tracking import TRACKING_CLASSES, TrackingMetric
from bev_perception.evaluation.submission import (
    SubmissionCollector,
    write_detection_submission,
    write_tracking_submission,
)

pytestmark = pytest.mark.slow

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'nuscenes_devkit'
TOLERANCE = 1e-6
PREDICTS = Predicts(object_classes=DETECTION_CLASSES)
ERRORS = {
    'trans_err': 'ATE', 'scale_err': 'ASE', 'orient_err': 'AOE', 'vel_err': 'AVE',
    'attr_err': 'AAE',
}  # fmt: skip
MOT = {
    'amota': 'AMOTA', 'amotp': 'AMOTP', 'mota': 'MOTA', 'motp': 'MOTP', 'motar': 'MOTAR',
    'recall': 'recall', 'ids': 'IDS', 'frag': 'FRAG', 'mt': 'MT', 'ml': 'ML', 'tp': 'TP',
    'fp': 'FP', 'fn': 'FN', 'faf': 'FAF', 'tid': 'TID', 'lgd': 'LGD',
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """How many scenes of how many samples and objects, and the seed."""

    scenes: int
    samples: int
    objects: int
    seed: int


CASES = (Case(3, 16, 60, 0), Case(5, 10, 40, 1), Case(1, 30, 90, 2), Case(2, 5, 8, 3))


@dataclass(frozen=True)
class Outcome:
    """Figures of ours and numbers of the kit's."""

    figures: Mapping[str, Figure]
    precision: Mapping[str, np.ndarray]
    kit: Mapping[str, Any]


@pytest.fixture(scope='module')
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Returns a Python with the kit: $NUSCENES_TRACKING_PYTHON, or of a new environment."""
    given = os.environ.get('NUSCENES_TRACKING_PYTHON')
    if given:
        return given
    folder = tmp_path_factory.mktemp('devkit')
    venv.create(folder, with_pip=True)
    path = folder / 'bin' / 'python'
    wanted = ['-m', 'pip', 'install', '-q', '-r', str(TOOLS / 'requirements_tracking.txt')]
    done = subprocess.run([path, *wanted], capture_output=True, text=True, env=_environment())
    if done.returncode:
        pytest.skip(f'nuscenes-devkit cannot be installed: {done.stderr.strip()[-300:]}')
    return str(path)


def _environment() -> dict[str, str]:
    """Returns the environment without what leads to this project's packages."""
    return {key: value for key, value in os.environ.items() if not key.startswith('PYTHON')}


@pytest.fixture(scope='module', params=CASES, ids=str)
def outcome(
    request: pytest.FixtureRequest, python: str, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    case: Case = request.param
    rng = np.random.default_rng(case.seed)
    scenes = [
        random_scene(f'scene-{number}', rng, case.samples, case.objects)
        for number in range(case.scenes)
    ]
    folder = tmp_path_factory.mktemp('random')
    write_tables(folder / 'data', scenes)
    figures: dict[str, Figure] = {}
    precision: dict[str, np.ndarray] = {}
    for metric in (DetectionMetric(PREDICTS), TrackingMetric(PREDICTS)):
        records: Any = [[metric.score(frame) for frame in scene.frames] for scene in scenes]
        figures |= metric.summarise(records)
        precision |= {name: curve.y for name, curve in metric.curves(records).items()}
    collector = SubmissionCollector(PREDICTS)
    kept: dict[str, Any] = {s.name: [collector.score(f) for f in s.frames] for s in scenes}
    boxes, tracks = folder / 'detection.json', folder / 'tracking.json'
    write_detection_submission(boxes, kept)
    write_tracking_submission(tracks, kept)
    command = [python, TOOLS / 'benchmarks.py', folder / 'data', VERSION, SPLIT, boxes, tracks]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr[-3000:]
    return Outcome(figures, precision, json.loads(done.stdout))


def test_detection(outcome: Outcome) -> None:
    kit, figures = outcome.kit['detection'], outcome.figures
    compared = [
        ('detection/devkit/mAP', kit['mean_ap']),
        ('detection/devkit/NDS', kit['nd_score']),
    ]
    for name in DETECTION_CLASSES:
        present = figures[f'detection/AP/{name}'].value is not None
        for distance, ap in kit['label_aps'][name].items():
            figure = f'detection/AP@{float(distance):g}m/{name}'
            if present:
                compared.append((figure, ap))
            else:
                assert ap == 0.0 and figures[figure].value is None
        for kit_name, label in ERRORS.items():
            value = kit['label_tp_errors'][name][kit_name]
            if label == 'AAE':
                assert value is None or value == pytest.approx(1.0)
            elif present and label == 'AVE' and figures[f'detection/AVE/{name}'].value is None:
                # Cones and barriers have none; or no velocity of what was found is known.
                assert value in (None, 1.0)
            elif present:
                compared.append((f'detection/{label}/{name}', value))
    worst = _compare(figures, compared)
    print(f'{len(compared)} numbers of detection agree to {worst:.1e}', file=sys.stderr)
    assert len(compared) > 20


def test_precision(outcome: Outcome) -> None:
    for name, values in outcome.kit['detection']['precision'].items():
        curve = outcome.precision.get(f'detection/precision@2m/{name}')
        if curve is not None:
            np.testing.assert_allclose(np.nan_to_num(curve), values, atol=TOLERANCE)


def test_detection_over_all_classes(outcome: Outcome) -> None:
    """Where all ten classes count, the figures over those that count are the benchmark's."""
    figures, kit = outcome.figures, outcome.kit['detection']
    if any(figures[f'detection/AP/{name}'].value is None for name in DETECTION_CLASSES):
        return
    expected = [('detection/mAP', kit['mean_ap']), ('detection/NDS', kit['nd_score'])]
    expected += [
        (f'detection/m{label}', kit['tp_errors'][name])
        for name, label in ERRORS.items()
        if label != 'AAE'
    ]
    _compare(figures, expected)


def test_tracking(outcome: Outcome) -> None:
    kit = outcome.kit['tracking']
    compared = [(f'tracking/{ours}', kit['all'][name]) for name, ours in MOT.items()]
    compared += [
        (f'tracking/{ours}/{label}', kit['classes'][name][label])
        for name, ours in MOT.items()
        for label in TRACKING_CLASSES
    ]
    compared += [('tracking/devkit/AMOTA', kit['all']['amota'])]
    worst = _compare(outcome.figures, compared)
    print(f'{len(compared)} numbers of tracking agree to {worst:.1e}', file=sys.stderr)


def _compare(figures: Mapping[str, Figure], expected: list[tuple[str, float | None]]) -> float:
    """Returns the largest difference."""
    differences = [0.0]
    for name, value in expected:
        ours = figures[name].value
        assert (ours is None) == (value is None), (name, ours, value)
        if ours is not None and value is not None:
            assert ours == pytest.approx(value, rel=0.0, abs=TOLERANCE), name
            differences.append(abs(ours - value))
    return max(differences)
