"""Random scenes of all nuScenes classes with random predictions, for us and for nuScenes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bev_trainer.dataset.nuscenes.poses import placement, rotation_wxyz
from bev_trainer.dataset.nuscenes.tables import Tables
from bev_trainer.dataset.tokens import token
from scipy.spatial.transform import Rotation

from bev_perception.evaluation.class_map import DETECTION_CLASSES, detection_class
from bev_perception.evaluation.metric import ScoredFrame
from bev_perception.evaluation.truth.frame import TruthFrame, TruthObjects
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, pose_from_yaw
from support.truth import bev_frame

VERSION, SPLIT = 'v1.0-random', 'random_val'
RACK = 'static_object.bicycle_rack'
CATEGORIES = (
    'vehicle.car', 'vehicle.truck', 'vehicle.bus.rigid', 'vehicle.trailer',
    'vehicle.construction', 'human.pedestrian.adult', 'human.pedestrian.child',
    'vehicle.motorcycle', 'vehicle.bicycle', 'movable_object.trafficcone',
    'movable_object.barrier', 'animal', RACK,
)  # fmt: skip
START_NS, PERIOD_NS = 1_600_000_000_000_000_000, 500_000_000
_GRID = BevGrid(-1.0, -1.0, 1.0, 2, 2)


@dataclass(frozen=True)
class RandomScene:
    """A scene.

    Attributes:
        name: of it.
        frames: predictions beside the truth.
        world: true objects of each frame in the global frame.
    """

    name: str
    frames: tuple[ScoredFrame, ...]
    world: tuple[TruthObjects, ...]


def random_scene(name: str, rng: np.random.Generator, samples: int, objects: int) -> RandomScene:
    """Returns a scene on a drive with slopes, at most once a class of objects in each place."""
    stamps_ns = START_NS + PERIOD_NS * np.arange(samples) + 1000 * rng.integers(0, 9000, samples)
    poses = [_ego_pose(rng, index) for index in range(samples)]
    world = _world(name, rng, stamps_ns, poses, objects)
    guesses = _guesses(rng, world)
    truths, predictions = [], []
    for stamp_ns, pose, there, (found, scores) in zip(
        stamps_ns.tolist(), poses, world, guesses, strict=True
    ):
        sample = token('sample', name, stamp_ns)
        truths.append(TruthFrame(stamp_ns, _in_base(there, pose), pose, token=sample))
        guessed = _bev_objects(_in_base(found, pose), scores)
        predictions.append(bev_frame(_GRID, stamp_ns=stamp_ns, objects=guessed))
    scene = SceneTruth(truths)
    frames = [ScoredFrame(*pair, scene) for pair in zip(predictions, truths, strict=True)]
    return RandomScene(name, tuple(frames), tuple(world))


def _in_base(objects: TruthObjects, pose: np.ndarray) -> TruthObjects:
    """Returns what `transformed(pose)` makes these objects of."""
    return objects.transformed(invert(pose))


def _ego_pose(rng: np.random.Generator, index: int) -> np.ndarray:
    pose = pose_from_yaw(300.0 + 3.0 * index, 800.0 + 0.5 * index, 2.0, 0.1 * index)
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler('yx', rng.normal(0.0, 0.03, 2)).as_matrix()
    return pose @ tilt


def _world(
    name: str,
    rng: np.random.Generator,
    stamps_ns: np.ndarray,
    poses: Sequence[np.ndarray],
    objects: int,
) -> list[TruthObjects]:
    times_s = (stamps_ns - stamps_ns[0]) / 1e9
    middle = poses[len(poses) // 2][:3, 3]
    rows: list[list[tuple[Any, ...]]] = [[] for _ in times_s]
    for number in range(objects):
        category = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
        speed = rng.normal(0.0, 3.0, 2) * (rng.random() < 0.6)
        start = middle + np.append(rng.uniform(-45.0, 45.0, 2), rng.uniform(-1.0, 1.0))
        size = rng.uniform(0.5, 5.0, 3) if category != RACK else np.array([8.0, 6.0, 6.0])
        first = int(rng.integers(0, max(1, len(times_s) // 2)))
        last = int(rng.integers(first, len(times_s)))
        wiggle = rng.normal(0.0, 0.4, (len(times_s), 2))
        yaw = rng.uniform(-np.pi, np.pi)
        dark = set(range(*sorted(rng.integers(first, last + 1, 2).tolist())))
        places = np.tile(start, (len(times_s), 1))
        places[:, :2] += times_s[:, None] * speed + wiggle
        for index in range(first, last + 1):
            speed_now = _velocity(places, stamps_ns, index, first, last)
            points = 0 if index in dark and rng.random() < 0.7 else int(rng.integers(1, 9))
            heading = yaw + 0.1 * index
            rows[index].append(
                (f'{name}-{number}', category, places[index], size, heading, speed_now, points)
            )
    return [_objects(found) for found in rows]


def _velocity(
    places: np.ndarray, stamps_ns: np.ndarray, index: int, first: int, last: int
) -> np.ndarray:
    """Returns what `NuScenes.box_velocity` gives, in m/s."""
    old, new = max(index - 1, first), min(index + 1, last)
    if old == new:
        return np.array([np.nan, np.nan])
    # In the kit's own arithmetic: these floats are a quarter of a microsecond apart.
    first_s, last_s = (1e-6 * (int(stamps_ns[row]) // 1000) for row in (old, new))
    return (places[new, :2] - places[old, :2]) / (last_s - first_s)


def _objects(rows: Sequence[tuple[Any, ...]]) -> TruthObjects:
    if not rows:
        return TruthObjects.none()
    track, category, place, size, yaw, velocity, points = zip(*rows, strict=True)
    return TruthObjects(
        track, category, np.array(place), np.array(size), np.array(yaw), np.array(velocity),
        np.full(len(rows), np.nan), np.array(points, np.int64),
    )  # fmt: skip


def _guesses(
    rng: np.random.Generator, world: Sequence[TruthObjects]
) -> list[tuple[TruthObjects, np.ndarray]]:
    """Returns (objects, scores) of each frame: missed, invented, shifted, taken for another."""
    identity: dict[str, str] = {}
    ghosts: list[tuple[str, str]] = []
    found = []
    for there in world:
        known = np.array([detection_class(name) is not None for name in there.class_name], bool)
        base = there.selected(np.flatnonzero(known)[rng.random(int(known.sum())) < 0.75])
        tracks, names = list(base.track), [str(detection_class(n)) for n in base.class_name]
        _confuse(rng, identity, tracks)
        for row, name in enumerate(names):
            names[row] = _any_class(rng) if rng.random() < 0.05 else name
        count = len(base)
        spread = np.where(rng.random((count, 1)) < 0.2, 1.5, 0.4)
        flipped = np.pi * (rng.random(count) < 0.1)
        unknown = np.where(rng.random((count, 1)) < 0.1, np.nan, 0.0)
        shift_m = rng.normal(0.0, 1.0, (count, 2)) * spread
        guess = replace(
            base,
            track=tuple(identity[track] for track in tracks),
            class_name=tuple(names),
            center_m=base.center_m + np.pad(shift_m, ((0, 0), (0, 1))),
            size_m=base.size_m * rng.uniform(0.7, 1.4, (count, 3)),
            yaw_rad=base.yaw_rad + rng.normal(0.0, 0.3, count) + flipped,
            velocity_mps=np.nan_to_num(base.velocity_mps)
            + rng.normal(0.0, 0.7, (count, 2))
            + unknown,
            points=np.full(count, -1, np.int64),
        )
        guess = _with_ghosts(rng, guess, ghosts)
        # Few different scores: many are equal.
        found.append((guess, np.round(rng.uniform(0.02, 0.98, len(guess)), 1 + rng.integers(2))))
    return found


def _confuse(rng: np.random.Generator, identity: dict[str, str], tracks: Sequence[str]) -> None:
    """Gives new tracks an identity, takes some from others, and lets some swap theirs."""
    for track in tracks:
        if track not in identity or rng.random() < 0.05:
            identity[track] = rng.bytes(16).hex()
    if len(tracks) > 1 and rng.random() < 0.5:
        one, other = rng.choice(len(tracks), 2, replace=False).tolist()
        first, second = tracks[one], tracks[other]
        identity[first], identity[second] = identity[second], identity[first]


def _with_ghosts(
    rng: np.random.Generator, guess: TruthObjects, ghosts: list[tuple[str, str]]
) -> TruthObjects:
    if not len(guess):
        return guess
    if rng.random() < 0.7:
        ghosts.append((rng.bytes(16).hex(), _any_class(rng)))
    here = [ghost for ghost in ghosts if rng.random() < 0.4]
    rows = rng.integers(0, len(guess), len(here))
    made = guess.selected(np.concatenate([np.arange(len(guess)), rows]))
    center_m = made.center_m.copy()
    center_m[len(guess) :, :2] += rng.normal(0.0, 4.0, (len(here), 2))
    return replace(
        made,
        track=guess.track + tuple(track for track, _ in here),
        class_name=guess.class_name + tuple(name for _, name in here),
        center_m=center_m,
    )


def _any_class(rng: np.random.Generator) -> str:
    return DETECTION_CLASSES[int(rng.integers(len(DETECTION_CLASSES)))]


def _bev_objects(objects: TruthObjects, scores: np.ndarray) -> tuple[BevObject, ...]:
    found = []
    for row in range(len(objects)):
        velocity = objects.velocity_mps[row]
        found.append(
            BevObject(
                object_id=bytes.fromhex(objects.track[row]),
                age_frames=1,
                existence_probability=float(scores[row]),
                classes=(ClassScore(0, objects.class_name[row], 1.0),),
                center_m=tuple(objects.center_m[row].tolist()),
                size_m=tuple(objects.size_m[row].tolist()),
                yaw_rad=float(objects.yaw_rad[row]),
                velocity_mps=None if np.isnan(velocity).any() else tuple(velocity.tolist()),
            )
        )
    return tuple(found)


def write_tables(folder: Path, scenes: Sequence[RandomScene]) -> None:
    """Writes the scenes in nuScenes' lay-out; without measurements."""
    (folder / VERSION).mkdir(parents=True)
    (folder / 'maps').mkdir()
    cv2.imwrite(str(folder / 'maps' / 'map.png'), np.zeros((8, 8), np.uint8))
    with Tables(folder / VERSION) as tables:
        for name in CATEGORIES:
            tables.add('category', token=name, name=name, description='')
        for name in ('vehicle.moving', 'pedestrian.moving', 'cycle.with_rider'):
            tables.add('attribute', token=name, name=name, description='')
        tables.add('visibility', token='4', level='v80-100', description='')
        tables.add('sensor', token='lidar', channel='LIDAR_TOP', modality='lidar')
        tables.add(
            'calibrated_sensor', token='lidar', sensor_token='lidar', camera_intrinsic=[],
            **placement(np.eye(4)),
        )  # fmt: skip
        logs = [f'log-{scene.name}' for scene in scenes]
        tables.add('map', token='map', log_tokens=logs, category='', filename='maps/map.png')
        for scene in scenes:
            _add_scene(tables, scene)
    splits = {SPLIT: [scene.name for scene in scenes]}
    (folder / VERSION / 'splits.json').write_text(json.dumps(splits))


def _add_scene(tables: Tables, scene: RandomScene) -> None:
    samples = [frame.truth.token for frame in scene.frames]
    log = f'log-{scene.name}'
    tables.add('log', token=log, logfile='', vehicle='', date_captured='', location='')
    tables.add(
        'scene', token=scene.name, log_token=log, nbr_samples=len(samples), description='',
        first_sample_token=samples[0], last_sample_token=samples[-1], name=scene.name,
    )  # fmt: skip
    for index, frame in enumerate(scene.frames):
        stamp_us = frame.truth.stamp_ns // 1000
        links = _links(samples, index)
        pose = frame.truth.odom_T_base
        assert pose is not None
        tables.add('sample', token=samples[index], timestamp=stamp_us, scene_token=scene.name,
                   **links)  # fmt: skip
        tables.add('ego_pose', token=samples[index], timestamp=stamp_us, **placement(pose))
        tables.add(
            'sample_data', token=samples[index], sample_token=samples[index],
            ego_pose_token=samples[index], calibrated_sensor_token='lidar', timestamp=stamp_us,
            is_key_frame=True, fileformat='pcd', filename='', width=0, height=0, **links,
        )  # fmt: skip
    chains: dict[str, list[tuple[int, int]]] = {}
    for index, objects in enumerate(scene.world):
        for row, track in enumerate(objects.track):
            chains.setdefault(track, []).append((index, row))
    rows: list[tuple[int, int, dict[str, Any]]] = []
    for track, places in chains.items():
        names = [f'{track}@{index}' for index, _ in places]
        category = scene.world[places[0][0]].class_name[places[0][1]]
        tables.add(
            'instance', token=track, category_token=category, nbr_annotations=len(names),
            first_annotation_token=names[0], last_annotation_token=names[-1],
        )  # fmt: skip
        for number, (index, row) in enumerate(places):
            content = _annotation(scene.world[index], row)
            links = {'token': names[number], 'instance_token': track, **_links(names, number)}
            rows.append((index, row, {'sample_token': samples[index], **links, **content}))
    # A sample's boxes are in the order of the table.
    for _, _, content in sorted(rows, key=lambda item: item[:2]):
        tables.add('sample_annotation', **content)


def _links(names: Sequence[str], index: int) -> dict[str, str]:
    return {
        'prev': names[index - 1] if index else '',
        'next': names[index + 1] if index + 1 < len(names) else '',
    }


def _annotation(objects: TruthObjects, row: int) -> dict[str, Any]:
    length, width, height = objects.size_m[row].tolist()
    name = detection_class(objects.class_name[row])
    attribute = {
        'pedestrian': ['pedestrian.moving'],
        'motorcycle': ['cycle.with_rider'],
        'bicycle': ['cycle.with_rider'],
        'traffic_cone': [],
        'barrier': [],
        None: [],
    }.get(name, ['vehicle.moving'])
    yaw = float(objects.yaw_rad[row])
    return {
        'visibility_token': '4',
        'attribute_tokens': attribute,
        'translation': objects.center_m[row].tolist(),
        'size': [width, length, height],
        'rotation': rotation_wxyz(pose_from_yaw(0.0, 0.0, 0.0, yaw)),
        'num_lidar_pts': int(objects.points[row]),
        'num_radar_pts': 0,
    }
