"""Everything that stands or moves as rows that the shaders place meshes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.mesh_store import MODEL_INDEX
from bev_trainer.render.posing import stride_phase_rad
from bev_trainer.world.road_map import RoadMap, SignalPlan
from bev_trainer.world.scenery import PROP_CLASSES, Prop
from bev_trainer.world.track_samples import TrackSamples
from bev_trainer.world.tracks import Track

FloatArray = NDArray[np.float64]

INSTANCE_DTYPE = np.dtype(
    [('place', '<f4', 4), ('size', '<f4', 4), ('tint', 'u1', 4), ('label', 'u1', 4)]
)
INSTANCE_FORMAT = '4f 4f 4f1 4f1/i'
INSTANCE_NAMES = ('place', 'size', 'tint', 'label')
# Flags in the last byte of the label; shaders know the first five.
BRAKES, LAMPS, RED, YELLOW, GREEN, PARKED = 1, 2, 4, 8, 16, 32
_LETTER_FLAGS = {'r': RED, 'y': YELLOW, 'g': GREEN, 'o': 0}
_BRAKING_MPS2, _STANDING_MPS = -0.8, 0.3


@dataclass(frozen=True, eq=False)
class Instances:
    """Rows in the world frame; the shaders get `place` relative to a local origin.

    Attributes:
        model: int64 [n] index of the mesh.
        center_m: [n, 3] of the box, world frame.
        radius_m: [n] of a sphere around the box.
        yaw_rad: [n].
        rows: [n] of `INSTANCE_DTYPE`; x and y of `place` are not filled in.
    """

    model: NDArray[np.int64]
    center_m: FloatArray
    radius_m: FloatArray
    yaw_rad: FloatArray
    rows: NDArray[np.void]

    def placed(self, chosen: NDArray[np.int64], origin_m: FloatArray) -> NDArray[np.void]:
        """Returns the chosen rows with their place relative to an origin [2]."""
        rows = self.rows[chosen]
        rows['place'][:, :2] = self.center_m[chosen, :2] - origin_m
        return rows


def prop_instances(props: Sequence[Prop], lamps: bool) -> Instances:
    """Returns the scenery; traffic lights are dark until `Signals.light`."""
    sizes = np.array([(p.length_m, p.width_m, p.height_m) for p in props]).reshape(-1, 3)
    made = _instances(
        np.array([MODEL_INDEX[p.model] for p in props], np.int64),
        np.array([(p.x_m, p.y_m) for p in props]).reshape(-1, 2),
        np.array([p.yaw_rad for p in props], float),
        sizes,
        np.array([p.color_rgb for p in props]).reshape(-1, 3),
        np.array([p.seed for p in props], np.int64),
        np.array([PROP_CLASSES[p.model] for p in props], np.int64),
    )
    made.rows['label'][:, 3] = LAMPS if lamps else 0
    return made


class Signals:
    """The traffic lights among the scenery."""

    def __init__(self, props: Sequence[Prop], road_map: RoadMap, plan: SignalPlan) -> None:
        self._heads = [
            (index, road_map.signals[prop.signal])
            for index, prop in enumerate(props)
            if prop.signal >= 0
        ]
        self._plan = plan

    def light(self, scenery: Instances, time_s: float) -> None:
        """Sets which lamps burn at a world time."""
        flags = scenery.rows['label'][:, 3]
        for index, head in self._heads:
            flags[index] = _LETTER_FLAGS[self._plan.letter(head.controller, head.link, time_s)]


class TrackTable:
    """All road users of a scenario, interpolated at once."""

    def __init__(self, tracks: Sequence[Track], lamps: bool) -> None:
        self._samples = TrackSamples(tracks)
        sizes = np.array([(t.length_m, t.width_m, t.height_m) for t in tracks]).reshape(-1, 3)
        count = len(tracks)
        ids = np.arange(1, count + 1)
        made = _instances(
            np.array([MODEL_INDEX[t.model] for t in tracks], np.int64),
            np.zeros((count, 2)),
            np.zeros(count),
            sizes,
            np.array([t.color_rgb for t in tracks]).reshape(-1, 3),
            ids * 37 % 251,
            np.array([t.object_class for t in tracks], np.int64),
        )
        parked = np.array([track.parked for track in tracks], bool)
        made.rows['label'][:, 0] = ids % 256
        made.rows['label'][:, 1] = ids // 256
        made.rows['label'][:, 3] = np.where(parked, PARKED, LAMPS if lamps else 0)
        self._base = made

    def at(self, time_s: float) -> Instances:
        """Returns the road users that exist at a world time."""
        index, state = self._samples.at(time_s)
        base, yaw = self._base, state[:, 2]
        cos, sin = np.cos(yaw), np.sin(yaw)
        rows = base.rows[index]
        rows['place'][:, 2], rows['place'][:, 3] = cos, sin
        height_m = rows['size'][:, 2].astype(np.float64)
        rows['size'][:, 3] = np.sin(stride_phase_rad(state[:, 7], height_m))
        speed, acceleration = (cos * state[:, i] + sin * state[:, i + 1] for i in (3, 5))
        brakes = (acceleration < _BRAKING_MPS2) | (np.abs(speed) < _STANDING_MPS)
        flags = rows['label'][:, 3]
        flags |= np.where(brakes & (flags & PARKED == 0), BRAKES, 0).astype(np.uint8)
        center = np.column_stack([state[:, :2], base.center_m[index, 2]])
        return Instances(base.model[index], center, base.radius_m[index], yaw, rows)

    def parked(self) -> Instances:
        """Returns those that never move."""
        made = self.at(0.0)
        still = np.flatnonzero(made.rows['label'][:, 3] & PARKED)
        return Instances(
            made.model[still],
            made.center_m[still],
            made.radius_m[still],
            made.yaw_rad[still],
            made.rows[still],
        )


def _instances(
    model: NDArray[np.int64],
    xy_m: FloatArray,
    yaw_rad: FloatArray,
    size_m: FloatArray,
    color_rgb: FloatArray,
    seed: NDArray[np.int64],
    label: NDArray[np.int64],
) -> Instances:
    rows = np.zeros(len(model), INSTANCE_DTYPE)
    rows['place'][:, 2], rows['place'][:, 3] = np.cos(yaw_rad), np.sin(yaw_rad)
    rows['size'][:, :3] = size_m
    rows['tint'][:, :3] = np.rint(255 * np.sqrt(np.clip(color_rgb, 0.0, 1.0)))
    rows['tint'][:, 3] = seed % 256
    rows['label'][:, 2] = label
    center = np.column_stack([xy_m, 0.5 * size_m[:, 2]])
    radius = 0.5 * np.linalg.norm(size_m, axis=1)
    return Instances(model, center, radius, np.asarray(yaw_rad, np.float64), rows)
