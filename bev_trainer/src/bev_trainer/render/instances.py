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
from bev_trainer.world.tracks import Track

FloatArray = NDArray[np.float64]

INSTANCE_DTYPE = np.dtype(
    [('place', '<f4', 4), ('size', '<f4', 4), ('tint', 'u1', 4), ('label', 'u1', 4)]
)
INSTANCE_FORMAT = '4f 4f 4f1 4f1/i'
INSTANCE_NAMES = ('place', 'size', 'tint', 'label')
BRAKES, LAMPS, RED, YELLOW, GREEN = 1, 2, 4, 8, 16  # flags, last byte of the label
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
    """All road users of a scenario, interpolated at once, exactly as `Track.state` does."""

    def __init__(self, tracks: Sequence[Track], lamps: bool) -> None:
        columns = [_columns(track) for track in tracks]
        counts = np.array([len(part) for part in columns], np.int64)
        self._samples = np.concatenate(columns) if columns else np.zeros((0, 6))
        self._first = np.cumsum(counts) - counts
        self._last = counts - 2
        self._start_s = np.array([track.start_s for track in tracks])
        self._end_s = np.array([track.end_s for track in tracks])
        self._step_s = np.array([track.step_s for track in tracks])
        self._parked = np.array([track.parked for track in tracks], bool)
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
        made.rows['label'][:, 0] = ids % 256
        made.rows['label'][:, 1] = ids // 256
        made.rows['label'][:, 3] = np.where(self._parked | (not lamps), 0, LAMPS)
        self._base = made

    def at(self, time_s: float) -> Instances:
        """Returns the road users that exist at a world time."""
        exists = self._parked | ((self._start_s <= time_s) & (time_s <= self._end_s))
        index = np.flatnonzero(exists)
        sample = self._at(index, time_s)
        base = self._base
        rows = base.rows[index]
        rows['place'][:, 2], rows['place'][:, 3] = np.cos(sample[:, 2]), np.sin(sample[:, 2])
        height_m = rows['size'][:, 2].astype(np.float64)
        rows['size'][:, 3] = np.sin(stride_phase_rad(sample[:, 3], height_m))
        brakes = (sample[:, 4] < _BRAKING_MPS2) | (sample[:, 5] < _STANDING_MPS)
        rows['label'][:, 3] |= np.where(brakes & ~self._parked[index], BRAKES, 0).astype(np.uint8)
        center = np.column_stack([sample[:, :2], base.center_m[index, 2]])
        return Instances(base.model[index], center, base.radius_m[index], sample[:, 2], rows)

    def _at(self, index: NDArray[np.int64], time_s: float) -> FloatArray:
        """Returns [n, 6]: x, y, yaw, travelled, acceleration along the heading, speed."""
        place = (time_s - self._start_s[index]) / self._step_s[index]
        single = self._last[index] < 0
        low = np.clip(place.astype(np.int64), 0, np.maximum(self._last[index], 0))
        low = np.where(single, 0, low)
        share = np.where(single, 0.0, place - low)[:, None]
        row = self._first[index] + low
        after = np.where(single, row, row + 1)
        return (1.0 - share) * self._samples[row] + share * self._samples[after]


def _columns(track: Track) -> FloatArray:
    x, y, yaw = (np.asarray(v, np.float64) for v in (track.x_m, track.y_m, track.yaw_rad))
    if track.parked or len(x) == 1:
        return np.array([[x[0], y[0], yaw[0], 0.0, 0.0, 0.0]])
    velocity = np.gradient(np.stack([x, y], axis=-1), track.step_s, axis=0)
    heading = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    speed = (velocity * heading).sum(axis=-1)
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    return np.column_stack([x, y, yaw, travelled, np.gradient(speed, track.step_s), abs(speed)])


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
