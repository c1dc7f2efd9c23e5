"""An evaluation as real ones are: two models, two data sets, perturbations, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from bev_perception.evaluation.figure import Better
from bev_perception.evaluation.metric import Confusion, Curve
from bev_perception.evaluation.results import (
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    FrameNote,
    FramePicture,
    PictureKind,
    Refusal,
    RunResult,
    SceneResult,
    Timing,
)
from bev_perception.evaluation.robustness.catalogue import catalogue
from bev_perception.evaluation.scenes.scene import SceneInfo

SIX_CAMERAS = ('front', 'front_left', 'front_right', 'back', 'back_left', 'back_right')
CLASSES = ('car', 'truck', 'bus', 'pedestrian', 'bicycle', 'motorcycle', 'traffic_cone')
STAGES = ('decode', 'preprocess', 'encode', 'lift', 'remember', 'heads', 'decode_objects')
UNITS: dict[str, str] = {'ATE': 'm', 'ASE': '', 'AOE': 'rad', 'AVE': 'm/s'}
START_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Model:
    """A made-up model; `quality` is about its mAP."""

    name: str
    trained_on: str
    quality: float


NANO = Model('nano-1-0a1b2c3d4e5f', 'synthetic', 0.38)
SMALL = Model('small-2-93fe1277ab04', 'synthetic, nuscenes', 0.47)
UNTRAINED = Model('nano-1-ffffffffffff', '', 0.01)


def sample_evaluation(
    models: Sequence[Model] = (NANO, SMALL),
    data: Sequence[str] = ('synthetic', 'nuscenes'),
    scenes: int = 8,
    frames: int = 60,
    cameras: Sequence[str] = SIX_CAMERAS,
    classes: Sequence[str] = CLASSES,
    every: int = 1,
    pictures: bool = True,
    timings: bool = True,
) -> Evaluation:
    """Returns an evaluation; the same arguments give the same one.

    Args:
        models: all over all data.
        data: names.
        scenes: of each data set.
        frames: of each scene.
        cameras: names.
        classes: of objects.
        every: how many conditions of the catalogue are skipped from one to the next, plus one;
            0 for clean runs only.
        pictures: whether there are some.
        timings: whether there are some.
    """
    size = _Size(scenes, frames, tuple(cameras), tuple(classes))
    clean = [_run(model, name, 'clean', 1.0, size) for name in data for model in models]
    conditions = catalogue(cameras[:6])[::every] if every else ()
    other = [
        _run(model, data[0], condition.name, 1.0 - _harm(condition.name), size)
        for condition in conditions
        for model in models
    ]
    comparisons = [
        _comparison(clean[2 * i], clean[2 * i + 1]) for i in range(len(data)) if len(models) == 2
    ]
    return Evaluation(
        'bev evaluate drives --model nano --model small --robustness all --compare',
        (*clean, *other),
        tuple(comparisons),
        tuple(_timing(run) for run in clean) if timings else (),
        tuple(_pictures(clean[0])) if pictures and clean and scenes and frames else (),
        (
            Refusal(
                'drive_07.mcap', 'no camera image with calibration; record /camera_info topics'
            ),
        ),
        {
            'seed': '0',
            'bootstrap': '1000 resamples of scenes',
            'ground truth': 'objects.json beside each bag',
            'device': 'cpu, 2 threads',
            'matching': 'within 50 ms',
        },
    )


@dataclass(frozen=True)
class _Size:
    scenes: int
    frames: int
    cameras: tuple[str, ...]
    classes: tuple[str, ...]


def _random(*parts: object) -> np.random.Generator:
    return np.random.default_rng(list('/'.join(map(str, parts)).encode()))


def _harm(condition: str) -> float:
    """Returns what share of the quality a condition takes."""
    most = {'all but': 0.8, 'missing': 0.2, 'odometry': 0.05, 'pitch': 0.3, 'fog': 0.5}
    share = next((value for word, value in most.items() if word in condition), 0.15)
    return share * float(_random('harm', condition).uniform(0.2, 1.0)) - 0.01


def _run(model: Model, data: str, condition: str, factor: float, size: _Size) -> RunResult:
    home = 1.0 if data in model.trained_on else 0.62
    quality = model.quality * home * factor
    figures = _figures(quality, data, (model.name, data, condition), size, True)
    scenes = tuple(
        _scene(index, quality, data, model, condition, size) for index in range(size.scenes)
    )
    shown = condition == 'clean'
    return RunResult(
        model.name,
        model.trained_on,
        data,
        condition,
        figures,
        _curves(quality, size.classes, data) if shown else {},
        {'detection/confusion@2m': _confusion(quality, size.classes)} if shown else {},
        scenes,
    )


def _figures(
    quality: float, data: str, seed: tuple[str, ...], size: _Size, intervals: bool
) -> dict[str, Estimate]:
    random = _random('figures', *seed)
    half = 0.9 / math.sqrt(max(size.scenes, 1)) if size.scenes > 1 and intervals else None
    found: dict[str, Estimate] = {}

    def put(name: str, value: float | None, better: Better = 'higher', unit: str = '') -> None:
        if not size.scenes or not size.frames:
            value = None
        if value is not None:
            value = float(value * random.uniform(0.97, 1.03))
        spread = None if half is None or value is None else 0.12 * half * abs(value)
        low, high = (
            (None, None) if spread is None or value is None else (value - spread, value + spread)
        )
        found[name] = Estimate(value, low, high, better, unit)

    put('detection/mAP', quality)
    put('detection/NDS', 0.5 * quality + 0.28)
    for index, name in enumerate(size.classes):
        missing = data == 'nuscenes' and name == 'bus'
        own = quality * (1.25 - 0.11 * (index % 7))
        for distance, share in (('0.5', 0.6), ('1', 0.85), ('2', 1.1), ('4', 1.3)):
            put(f'detection/AP@{distance}m/{name}', None if missing else min(own * share, 1.0))
        for error, size_of in (('ATE', 0.61), ('ASE', 0.24), ('AOE', 0.38), ('AVE', 0.9)):
            undefined = missing or (name == 'traffic_cone' and error in ('AOE', 'AVE'))
            put(
                f'detection/{error}/{name}',
                None if undefined else size_of / (0.5 + quality),
                'lower',
                UNITS[error],
            )
    put('tracking/AMOTA', quality * 0.8)
    put('tracking/IDS', 260.0 * (1 - quality), 'lower', 'count')
    for place, share in (('long', 1.0), ('short', 1.2), ('model', 0.9)):
        for name in ('vehicle', 'pedestrian', 'lane'):
            missing = data == 'nuscenes' and name == 'lane'
            value = (
                None
                if missing
                else min(share * quality * (0.5 if name == 'pedestrian' else 1.1), 1.0)
            )
            put(f'iou/{place}/{name}', value)
            put(f'iou/{place}/{name}/observed', None if value is None else min(value * 1.1, 1.0))
        put(f'iou/{place}/mean', share * quality * 0.9)
        put(f'future_iou/{place}', share * quality * 0.85)
        for name, value in (('VPQ', 0.8), ('SQ', 1.5), ('RQ', 1.1)):
            put(f'vpq/{place}/{name}', min(share * quality * value, 1.0))
    put('occupancy/ECE', 0.05 - 0.04 * quality, 'lower')
    put('occupancy/Brier', 0.09, 'lower')
    put('occupancy/unknown_share', 0.11, 'lower')
    put('forecast/minADE_3', 1.9 - 1.6 * quality, 'lower', 'm')
    put('forecast/minFDE_3', 3.9 - 3.0 * quality, 'lower', 'm')
    put('forecast/constant_velocity/minADE', 1.6, 'lower', 'm')
    put('forecast/EPA', quality - 0.5)
    return found


def _curves(quality: float, classes: Sequence[str], data: str) -> dict[str, Curve]:
    recall = np.linspace(0, 1, 101)
    curves = {}
    for index, name in enumerate(classes):
        own = quality * (1.25 - 0.11 * (index % 7))
        precision = np.clip(1 - recall**2 / (2.2 * own), 0, 1)
        precision[recall > min(1.9 * own, 1)] = np.nan
        if data == 'nuscenes' and name == 'bus':
            precision[:] = np.nan
        curves[f'detection/precision@2m/{name}'] = Curve(recall, precision, 'recall', 'precision')
    distance_m = np.arange(2.5, 60, 5)
    for name, share in (('vehicle', 1.3), ('pedestrian', 0.6)):
        iou = quality * share * np.exp(-distance_m / 45)
        curves[f'iou/distance/{name}'] = Curve(distance_m, iou, 'distance in m', 'IoU')
    horizon_s = np.arange(0, 2.1, 0.5)
    for name, share in (('long', 1.0), ('short', 1.2)):
        iou = share * quality * (1 - 0.18 * horizon_s)
        curves[f'future_iou/{name}'] = Curve(horizon_s, iou, 'horizon in s', 'IoU')
    error_m = (1.1 - quality) * horizon_s**1.4
    curves['forecast/error/model'] = Curve(horizon_s, error_m, 'horizon in s', 'error in m')
    curves['forecast/error/constant_velocity'] = Curve(
        horizon_s, 0.75 * horizon_s**1.6, 'horizon in s', 'error in m'
    )
    predicted = np.linspace(0.05, 0.95, 10)
    curves['occupancy/reliability'] = Curve(
        predicted, predicted ** (1.6 - quality), 'predicted probability', 'share occupied'
    )
    return curves


def _confusion(quality: float, classes: Sequence[str]) -> Confusion:
    names = (*classes, 'nothing')
    random = _random('confusion', quality)
    counts = random.integers(0, 25, (len(names), len(names)))
    hits = (900 * quality / (1 + np.arange(len(names)))).astype(np.int64) + 30
    counts[np.diag_indices(len(names))] += hits
    counts[:, -1] += 2 * hits // 3
    counts[-1, -1] = 0
    return Confusion(names, names, counts.astype(np.int64))


def _scene(
    index: int, quality: float, data: str, model: Model, condition: str, size: _Size
) -> SceneResult:
    name = f'{data}-{index:04d}'
    random = _random('scene', name)
    own = quality * float(random.uniform(0.6, 1.3))
    figures = _figures(own, data, (name, model.name, condition), size, False)
    plain = {key: Estimate(f.value, None, None, f.better, f.unit) for key, f in figures.items()}
    info = SceneInfo(name, data, size.cameras, 0.5 * size.frames)
    problems = ('topic /lidar: unknown type, left out',) if index == 1 else ()
    notes = _notes(index, own, size) if condition == 'clean' else _notes(index, own, size)[:1]
    return SceneResult(info, size.frames + 2, notes, plain, problems)


def _notes(index: int, quality: float, size: _Size) -> tuple[FrameNote, ...]:
    random = _random('notes', index)
    states = [['USED'] * len(size.cameras) for _ in range(size.frames)]
    trouble = ('MISSING', 'LATE', 'DECODE_FAILED', 'NO_CAMERA_INFO', 'WRONG_SIZE', 'BAD_STAMP')
    if index % 3 == 1:
        camera = index % len(size.cameras)
        for frame in range(size.frames // 3, size.frames // 2):
            states[frame][camera] = trouble[index % len(trouble)]
        for frame in range(0, size.frames, 7):
            states[frame][(camera + 2) % len(size.cameras)] = 'LATE'
    scores = np.clip(
        quality + 0.2 * np.sin(np.arange(size.frames) / 6) + random.normal(0, 0.03, size.frames),
        0,
        1,
    )
    return tuple(
        FrameNote(
            START_NS + index * 10**12 + frame * 500_000_000 + (3 * 10**9 if frame > 40 else 0),
            tuple(states[frame]),
            None if frame == 3 else float(scores[frame]),
            0.11,
            'gap of 3.5 s' if frame == 41 else '',
        )
        for frame in range(size.frames)
    )


def _comparison(first: RunResult, second: RunResult) -> Comparison:
    differences = tuple(_difference(name, first.figures, second.figures) for name in first.figures)
    frames = tuple(
        (scene.info.name, note.stamp_ns, note.score or 0.0, min(1.0, 1.5 * (note.score or 0.0)))
        for scene in first.scenes[:5]
        for note in scene.notes[10:11]
    )
    titles = [f'{run.model} on {run.data}' for run in (first, second)]
    return Comparison(titles[0], titles[1], differences, frames)


def _difference(
    name: str, first: Mapping[str, Estimate], second: Mapping[str, Estimate]
) -> Difference:
    one, two = first[name], second[name]
    if one.value is None or two.value is None:
        return Difference(name, one.value, two.value, None, None, None, 'n/a')
    change, spread = two.value - one.value, 0.09 * abs(one.value)
    verdict: Literal['better', 'worse', 'same'] = 'same'
    if abs(change) > spread:
        verdict = 'better' if (change > 0) == (one.better == 'higher') else 'worse'
    interval = change - spread, change + spread
    return Difference(name, one.value, two.value, change, *interval, verdict)


def _timing(run: RunResult) -> Timing:
    random = _random('timing', run.model, run.data)
    frames = sum(len(scene.notes) for scene in run.scenes)
    weights = np.array([4, 9, 48, 3, 5, 11, 6]) * (1.0 if run.model == NANO.name else 1.9)
    stages = {
        stage: tuple((1e-3 * weight * random.lognormal(0, 0.15, frames)).tolist())
        for stage, weight in zip(STAGES, weights, strict=True)
    }
    whole = np.sum([np.array(seconds) for seconds in stages.values()], axis=0)
    return Timing(
        run.model,
        run.data,
        run.condition,
        stages,
        tuple(whole.tolist()),
        0.5 * frames,
        float(whole.sum()),
    )


def _pictures(run: RunResult) -> list[FramePicture]:
    kinds: tuple[PictureKind, ...] = ('worst', 'worst', 'median', 'best', 'differs')
    title = f'{run.model} on {run.data}'
    made = []
    for index, kind in enumerate(kinds):
        scene = run.scenes[index % len(run.scenes)]
        note = scene.notes[(7 * index) % len(scene.notes)]
        png = picture_png(1920 if index == 0 else 960, index)
        made.append(
            FramePicture(kind, title, scene.info.name, note.stamp_ns, note.score or 0.0, png)
        )
    return made


def picture_png(width: int, seed: int) -> bytes:
    """Returns a picture of width x 9/16 width that is as hard to pack as a photograph."""
    height = width * 9 // 16
    coarse = _random('picture', seed).integers(30, 220, (9, 16, 3)).astype(np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    if width > 1000:
        noise = _random('noise', seed).integers(0, 12, image.shape)
        image = np.minimum(image + noise, 255).astype(np.uint8)
    _, png = cv2.imencode('.png', image)
    return png.tobytes()
