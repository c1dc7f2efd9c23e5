"""Scripted and random traffic in a plane: where everybody is at any time, and what is seen of it.

The scene's frame does not move. A vehicle in it may: what is seen is in its base frame.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.instances import BoxTracks, encode_instances
from bev_perception.frame import BevObject, ClassScore, Trajectory
from bev_perception.geometry.grid import BevGrid

Pose = tuple[float, float, float]
Path = Callable[[float], Pose]

CLASSES = ('car', 'truck', 'pedestrian')
SIZES = {'car': (4.5, 1.9, 1.6), 'truck': (9.0, 2.6, 3.2), 'pedestrian': (0.7, 0.7, 1.75)}
_VELOCITY_STEP_S = 1e-4


@dataclass(frozen=True)
class Agent:
    """A road user.

    Attributes:
        kind: class.
        path: (x, y, yaw) at a time in seconds.
        hidden_s: times [from, to) at which nothing is seen of it.
        size_m: length, width, height; that of its class when not given.
    """

    kind: str
    path: Path
    hidden_s: tuple[tuple[float, float], ...] = ()
    size_m: tuple[float, float, float] | None = None

    @property
    def box_m(self) -> tuple[float, float, float]:
        return self.size_m or SIZES[self.kind]

    def is_seen(self, time_s: float) -> bool:
        return not any(start - 1e-6 <= time_s < end - 1e-6 for start, end in self.hidden_s)

    def velocity(self, time_s: float) -> NDArray[np.float64]:
        """Returns (x, y) in m/s."""
        before, after = (
            np.array(self.path(time_s + d)[:2]) for d in (-_VELOCITY_STEP_S, _VELOCITY_STEP_S)
        )
        return (after - before) / (2.0 * _VELOCITY_STEP_S)


def straight(x: float, y: float, yaw: float, speed: float) -> Path:
    """Returns a path at constant speed (m/s), at (x, y) at time 0."""
    return lambda t: (x + speed * t * math.cos(yaw), y + speed * t * math.sin(yaw), yaw)


def bend(
    x: float, y: float, yaw: float, speed: float, radius_m: float, start_s: float, angle: float
) -> Path:
    """Returns a straight path that at `start_s` turns by `angle` rad (left > 0) and goes on."""
    side = math.copysign(1.0, angle)

    def path(t: float) -> Pose:
        arc = min(max(t - start_s, 0.0) * speed / radius_m, abs(angle))
        before = min(t, start_s) * speed
        after = max(t - start_s, 0.0) * speed - arc * radius_m
        sin, cos = math.sin(arc), side * (1.0 - math.cos(arc))
        along = before + radius_m * sin + after * math.cos(arc)
        left = radius_m * cos + after * side * math.sin(arc)
        c, s = math.cos(yaw), math.sin(yaw)
        return x + c * along - s * left, y + s * along + c * left, yaw + side * arc

    return path


def box_tracks(
    agents: Sequence[Agent], times_s: Sequence[float], from_base: Pose = (0.0, 0.0, 0.0)
) -> BoxTracks:
    """Returns the boxes over these times, labelled 11, 12, ..., NaN where nothing is seen."""
    poses = np.array([[agent.path(t) for agent in agents] for t in times_s])
    poses = poses.reshape(len(times_s), len(agents), 3)
    centers_m = to_base(poses[..., :2], from_base)
    seen = np.array([[agent.is_seen(t) for agent in agents] for t in times_s], dtype=bool)
    centers_m[~seen.reshape(centers_m.shape[:2])] = np.nan
    return BoxTracks(
        np.arange(len(agents)) + 11,
        centers_m,
        poses[..., 2] - from_base[2],
        np.array([agent.box_m[:2] for agent in agents]).reshape(-1, 2),
    )


def true_object(agent: Agent, time_s: float, from_base: Pose = (0.0, 0.0, 0.0)) -> BevObject:
    """Returns what a perfect detector sees of it in the base frame."""
    x, y, yaw = agent.path(time_s)
    center_m = to_base(np.array([x, y]), from_base)
    turn = rotation(-from_base[2])
    kind = ClassScore(CLASSES.index(agent.kind), agent.kind, 1.0)
    velocity = turn @ agent.velocity(time_s)
    return BevObject(
        object_id=bytes(16),
        age_frames=0,
        existence_probability=1.0,
        classes=(kind,),
        center_m=(float(center_m[0]), float(center_m[1]), agent.box_m[2] / 2.0),
        size_m=agent.box_m,
        yaw_rad=math.remainder(yaw - from_base[2], 2.0 * math.pi),
        velocity_mps=(float(velocity[0]), float(velocity[1])),
    )


def rotation(yaw: float) -> NDArray[np.float64]:
    return np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])


def to_base(points_m: NDArray[np.float64], base: Pose) -> NDArray[np.float64]:
    """Returns points [..., 2] of the scene's frame in the base frame of a vehicle at a pose."""
    return (points_m - np.array(base[:2])) @ rotation(base[2])


@dataclass(frozen=True)
class Noise:
    """Standard deviations of what a detector measures, and how often it misses somebody.

    Attributes:
        position_m: of the box centre, along x and y.
        yaw_rad: of the heading.
        velocity_mps: along x and y; None when no velocity is measured.
        path_mps: a predicted path drifts off by as much, along x and y; None when there are no
            predicted paths.
        missed: probability that somebody is not detected.
    """

    position_m: float = 0.0
    yaw_rad: float = 0.0
    velocity_mps: float | None = 0.0
    path_mps: float | None = 0.0
    missed: float = 0.0


@dataclass(frozen=True)
class Sighting:
    """What is detected at one time.

    Attributes:
        objects: in the base frame, in random order.
        who: index of the agent of each.
        instances: int32 [Y, X] labels under them; None where no grid was given.
    """

    objects: tuple[BevObject, ...]
    who: tuple[int, ...]
    instances: NDArray[np.int32] | None


def sighting(
    agents: Sequence[Agent],
    time_s: float,
    rng: np.random.Generator,
    noise: Noise,
    base: Pose = (0.0, 0.0, 0.0),
    grid: BevGrid | None = None,
    steps_s: Sequence[float] = (0.5, 1.0, 1.5, 2.0),
) -> Sighting:
    """Returns what a detector sees from a vehicle at a pose, with paths over `steps_s`."""
    seen = [k for k, agent in enumerate(agents) if agent.is_seen(time_s)]
    who = [k for k in rng.permutation(seen).tolist() if rng.uniform() >= noise.missed]
    objects = [_noisy(agents[k], time_s, rng, noise, base, steps_s) for k in who]
    if grid is None:
        return Sighting(tuple(objects), tuple(who), None)
    _, instances = encode_instances(box_tracks(agents, [time_s], base), grid)
    there = np.isin(instances[0], np.array(who, dtype=np.int64) + 11)
    objects = [replace(item, instance=k + 11) for k, item in zip(who, objects, strict=True)]
    return Sighting(tuple(objects), tuple(who), np.where(there, instances[0], 0))


def _noisy(
    agent: Agent,
    time_s: float,
    rng: np.random.Generator,
    noise: Noise,
    base: Pose,
    steps_s: Sequence[float],
) -> BevObject:
    item = true_object(agent, time_s, base)
    dx, dy = rng.normal(0.0, 1.0, 2) * noise.position_m
    x, y, z = item.center_m
    yaw = item.yaw_rad + rng.normal() * noise.yaw_rad
    item = replace(item, center_m=(x + dx, y + dy, z), yaw_rad=yaw)
    error_mps = rng.normal(0.0, 1.0, 2) * (noise.velocity_mps or 0.0)
    if noise.velocity_mps is None or item.velocity_mps is None:
        item = replace(item, velocity_mps=None)
    else:
        vx, vy = item.velocity_mps
        item = replace(item, velocity_mps=(vx + error_mps[0], vy + error_mps[1]))
    drift_mps = rng.normal(0.0, 1.0, 2) * (noise.path_mps or 0.0)
    if noise.path_mps is None:
        return item
    poses = np.array([agent.path(time_s + step) for step in (0.0, *steps_s)])
    xy_m = to_base(poses[:, :2], base) + np.outer((0.0, *steps_s), drift_mps) + [dx, dy]
    xyz_m = np.column_stack([xy_m, np.full(len(xy_m), z)])
    path = Trajectory(0.9, steps_s[0], 0.0, xyz_m, poses[:, 2] - base[2])
    return replace(item, trajectories=(path,))


def random_traffic(
    rng: np.random.Generator,
    grid: BevGrid,
    count: int,
    times_s: Sequence[float],
    kinds: Sequence[str] = CLASSES,
    gap_m: float = 0.3,
) -> list[Agent]:
    """Returns agents on random bends, up to `count`, whose boxes keep `gap_m` at all times.

    Some are hidden for a while, and some are outside the grid for some of the time.
    """
    agents: list[Agent] = []
    boxes: list[NDArray[np.float64]] = []
    for _ in range(4 * count):
        if len(agents) == count:
            break
        agent = _random_agent(rng, grid, str(rng.choice(kinds)), times_s)
        own = np.array([outline(agent, t) for t in times_s])
        if all(_apart(own, other, gap_m) for other in boxes):
            agents.append(agent)
            boxes.append(own)
    return agents


def keep_apart(agents: Sequence[Agent], times_s: Sequence[float], gap_m: float = 0.05) -> bool:
    """Returns whether no two boxes come nearer than the gap at these times."""
    boxes = [np.array([outline(agent, t) for t in times_s]) for agent in agents]
    pairs = itertools.combinations(boxes, 2)
    return all(_apart(one, other, gap_m) for one, other in pairs)


def _random_agent(
    rng: np.random.Generator, grid: BevGrid, kind: str, times_s: Sequence[float]
) -> Agent:
    x = rng.uniform(grid.x_min_m - 3.0, grid.x_max_m + 3.0)
    y = rng.uniform(grid.y_min_m - 3.0, grid.y_max_m + 3.0)
    fastest = {'car': 14.0, 'truck': 11.0, 'pedestrian': 1.8}[kind]
    speed = float(rng.choice([0.0, 1.0, 1.0])) * rng.uniform(0.3, fastest)
    yaw, turn = rng.uniform(-math.pi, math.pi), rng.uniform(-1.5, 1.5)
    path = bend(x, y, yaw, speed, max(6.0, speed**2 / 4.0), rng.uniform(-2.0, 2.0), turn)
    hidden: tuple[tuple[float, float], ...] = ()
    if rng.uniform() < 0.2:
        start = float(rng.choice(list(times_s)))
        hidden = ((start, start + float(rng.choice([0.5, 1.0]))),)
    scale = rng.uniform(0.9, 1.2) if kind != 'pedestrian' else rng.uniform(0.7, 1.2)
    length, width, height = SIZES[kind]
    return Agent(kind, path, hidden, (scale * length, scale * width, height))


def outline(agent: Agent, time_s: float) -> NDArray[np.float64]:
    """Returns the corners [4, 2] of its box."""
    x, y, yaw = agent.path(time_s)
    length, width, _ = agent.box_m
    unit = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
    return (unit * [length, width]) @ rotation(yaw).T + [x, y]


def _apart(a: NDArray[np.float64], b: NDArray[np.float64], gap_m: float) -> bool:
    """Returns whether rectangles [T, 4, 2] keep a gap (separating axes, so a little more)."""
    widest = np.full(len(a), -np.inf)
    for first, second in ((a, b), (b, a)):
        for k in (0, 1):
            normal = first[:, k] - first[:, k + 1]
            normal = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
            u = np.einsum('tci,ti->tc', first, normal)
            v = np.einsum('tci,ti->tc', second, normal)
            apart = np.maximum(v.min(1) - u.max(1), u.min(1) - v.max(1))
            widest = np.maximum(widest, apart)
    return bool(np.all(widest >= gap_m))
