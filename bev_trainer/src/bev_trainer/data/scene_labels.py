"""Labels of frames of whatever can be evaluated, out of its ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import common_class, layer_classes, source_layer
from bev_perception.evaluation.truth.frame import TruthLayer, TruthObjects
from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY
from bev_perception.evaluation.truth.raster import object_mask
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert
from bev_perception.units import NS_PER_S
from bev_trainer.augment.turn import turn_pose, turned_lookup, turned_objects
from bev_trainer.data.scene_ground import lidar_ground
from bev_trainer.data.scene_lidar import LidarPoints
from bev_trainer.data.scene_places import LabelPlace
from bev_trainer.data.scene_view import RigView
from bev_trainer.targets.labels import ObjectLabels
from bev_trainer.targets.occupancy import UNKNOWN

BoolArray = NDArray[np.bool_]
DepthOf = Callable[[int], NDArray[np.float32] | None]

OCCUPANCY = 'occupancy'
_RANGE_M = 150.0  # as for drives: road users farther away are no concern of any grid


@dataclass(frozen=True)
class Sight:
    """Which road users count as visible; by default those that evaluations ask for.

    Attributes:
        min_share: visible share; where the source does not say it, that in the pictures.
        min_points: of lidar and radar, where the source counts them.
    """

    min_share: float = MIN_VISIBILITY
    min_points: int = 1


class SceneFrame:
    """Labels of one frame of a scene (`bev_trainer.targets.FrameLabels`).

    Maps come from the source's layers, layers of what can move from its road users where it knows
    those. What the cameras see is where the layers that a model has are known; without layers,
    and where they are known everywhere, it is what lies in the cameras' pictures. The pictures
    also count when not all cameras take part, since the source tells of all together. What is
    free and what stands comes from the source's occupancy, without one from its lidars
    (`lidar_ground`); with neither nothing is known of it.

    Args:
        truth: of the scene.
        place: which frame of it.
        view: of the rig of N cameras then.
        layers: that the model has.
        sight: who counts as visible.
        numbers: of the tracks of the scene, from 1.
        turn_rad: the base frame is turned by so much, see `bev_trainer.augment.turn`.
        cameras: bool [N], whose view counts; None: that of all.
        depth: returns [H, W] depth of a camera's pixels; None: not known at all.
        scans: returns what lidars have measured, in the base frame; None: there are none.
    """

    def __init__(
        self,
        truth: SceneTruth,
        place: LabelPlace,
        view: RigView,
        layers: Sequence[str] = (),
        sight: Sight | None = None,
        numbers: Mapping[str, int] | None = None,
        turn_rad: float = 0.0,
        cameras: BoolArray | None = None,
        depth: DepthOf | None = None,
        scans: Callable[[], Sequence[LidarPoints]] | None = None,
    ) -> None:
        self._scene, self._place, self._frame = truth, place, truth.frames[place.truth]
        self._view, self._model_layers, self._sight = view, tuple(layers), sight or Sight()
        self._numbers = track_numbers(truth) if numbers is None else numbers
        self._turn_rad, self._depth, self._scans = turn_rad, depth, scans
        count = len(view.cameras)
        self._cameras = np.ones(count, np.bool_) if cameras is None else cameras

    def objects(self, times_s: tuple[float, ...]) -> ObjectLabels:
        """Returns the road users, their ways at times relative to the frame, 0 first."""
        now = self._now
        path_m = np.full((len(times_s), len(now), 2), np.nan)
        path_yaw_rad = np.zeros((len(times_s), len(now)))
        for step, time_s in enumerate(times_s):
            rows, later, theirs = self._followed(time_s)
            path_m[step, rows] = later.center_m[theirs, :2]
            path_yaw_rad[step, rows] = later.yaw_rad[theirs]
        labels = ObjectLabels(
            label=self._labels,
            class_name=now.class_name,
            center_m=now.center_m,
            size_m=now.size_m,
            yaw_rad=now.yaw_rad,
            velocity_mps=now.velocity_mps,
            path_m=path_m,
            path_yaw_rad=path_yaw_rad,
            visible=self._visible,
        )
        return turned_objects(labels, self._turn_rad)

    def layer(self, name: str, grid: BevGrid) -> NDArray[np.int8] | None:
        """Returns int8 [Y, X] where a semantic layer is; see `FrameLabels`."""
        members = layer_classes(name, self._model_layers)
        if members is not None and self._frame.objects is not None:
            kinds = [common_class(kind) in members for kind in self._everybody.class_name]
            users = self._everybody.selected(np.array(kinds, np.bool_))
            return object_mask(users.transformed(turn_pose(self._turn_rad)), grid).astype(np.int8)
        source = source_layer(name, tuple(self._frame.layers))
        if source is None:
            return None
        layer = self._frame.layers[source]
        return self._told(layer.cells, layer.grid, grid)

    def obstacles(self, grid: BevGrid) -> NDArray[np.int8] | None:
        """Returns int8 [Y, X] where something else than a road user stands; see `FrameLabels`.

        What lidars tell is left out where no camera looks.
        """
        source = source_layer(OCCUPANCY, tuple(self._frame.layers))
        if source is None:
            scans = () if self._scans is None else self._scans()
            if not scans:
                return None
            found = lidar_ground([scan.turned(self._turn_rad) for scan in scans], grid)
            found[~self._view.cells(grid, self._turn_rad, self._cameras)] = UNKNOWN
            return found
        layer = self._frame.layers[source]
        cells = layer.cells
        if self._frame.objects is not None:
            users = object_mask(self._frame.objects, layer.grid)
            cells = np.where(users & (cells == 1), 0, cells)
        return self._told(cells, layer.grid, grid)

    def observed(self, grid: BevGrid) -> BoolArray:
        """Returns bool [Y, X] which cells some camera sees, as far as is known."""
        layers = self._asked_layers
        seen = np.ones(grid.shape, np.bool_)
        for layer in layers:
            seen &= self._looked_up(layer.cells >= 0, layer.grid, grid)
        if layers and self._cameras.all() and not all((la.cells >= 0).all() for la in layers):
            return seen
        return seen & self._view.cells(grid, self._turn_rad, self._cameras)

    def depth_m(self, camera: int) -> NDArray[np.float32] | None:
        """Returns [H, W] depth of a camera's pixels, of the few that a lidar beam hit."""
        return None if self._depth is None else self._depth(camera)

    @cached_property
    def _everybody(self) -> TruthObjects:
        """All road users now, in the base frame of the frame, not turned."""
        found = self._at(0.0)
        return TruthObjects.none() if found is None else found

    @cached_property
    def _now(self) -> TruthObjects:
        distance_m = np.linalg.norm(self._everybody.center_m[:, :2], axis=-1)
        return self._everybody.selected(distance_m < _RANGE_M)

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        free = len(self._numbers) + 1  # for those without a track
        found = [self._numbers.get(t, free + row) for row, t in enumerate(self._now.track)]
        return np.array(found, np.int64)

    @cached_property
    def _visible(self) -> BoolArray:
        now, sight = self._now, self._sight
        known = np.isfinite(now.visibility)
        visible = ~known | (now.visibility >= sight.min_share)
        visible &= (now.points < 0) | (now.points >= sight.min_points)
        asked = visible & (~known | (not self._cameras.all()))
        rows = np.flatnonzero(asked)
        shares = self._view.box_shares(now.selected(rows), self._cameras)
        visible[rows] = (shares > 0.0) & (shares >= sight.min_share)
        return np.asarray(visible, np.bool_)

    @cached_property
    def _asked_layers(self) -> tuple[TruthLayer, ...]:
        """The source's layers that the model is told of."""
        sources = tuple(self._frame.layers)
        names = (source_layer(name, sources) for name in (OCCUPANCY, *self._model_layers))
        return tuple(self._frame.layers[name] for name in dict.fromkeys(names) if name is not None)

    def _at(self, time_s: float) -> TruthObjects | None:
        """Returns the road users at a time, in the base frame of the frame, not turned."""
        stamp_ns = self._place.instant_ns + round(time_s * NS_PER_S)
        if stamp_ns == self._frame.stamp_ns:
            found = self._frame.objects
        else:
            found = self._scene.objects_at(stamp_ns, self._frame)
        if found is None or self._place.base_T_truth is None:
            return found
        return found.transformed(self._place.base_T_truth)

    def _followed(
        self, time_s: float
    ) -> tuple[NDArray[np.int64], TruthObjects, NDArray[np.int64]]:
        """Returns which rows of `_now` are there at a time, the objects then, their rows there."""
        now = self._now
        if time_s == 0.0:
            rows = np.arange(len(now))
            return rows, now, rows
        later = self._at(time_s)
        if later is None:
            return np.zeros(0, np.int64), now, np.zeros(0, np.int64)
        place = {track: row for row, track in enumerate(later.track) if track}
        pairs = [(row, place[t]) for row, t in enumerate(now.track) if t in place]
        mine, theirs = np.array(pairs, np.int64).reshape(-1, 2).T
        return mine, later, theirs

    def _told(self, cells: NDArray[np.int8], source: BevGrid, target: BevGrid) -> NDArray[np.int8]:
        """Returns 1, 0 or -1 as the truth's cells, -1 beyond them."""
        above = self._looked_up(cells.astype(np.int8) - np.int8(UNKNOWN), source, target)
        return np.asarray(above + np.int8(UNKNOWN), np.int8)

    def _looked_up(self, values: NDArray[Any], source: BevGrid, target: BevGrid) -> NDArray[Any]:
        """Returns values of the truth's cells at the centres of a grid of the turned frame."""
        if self._place.base_T_truth is None:
            return turned_lookup(values, source, target, self._turn_rad)
        truth_T_turned = invert(self._place.base_T_truth) @ turn_pose(-self._turn_rad)
        centers = target.cell_centers() @ truth_T_turned[:2, :2].T + truth_T_turned[:2, 3]
        iy, ix, inside = source.to_cell(centers[..., 0], centers[..., 1])
        result = np.zeros(target.shape, values.dtype)
        result[inside] = values[iy[inside], ix[inside]]
        return result


def track_numbers(truth: SceneTruth) -> dict[str, int]:
    """Returns a number from 1 for each track, in the order in which they come up."""
    names = (
        track
        for frame in truth.frames
        if frame.objects is not None
        for track in frame.objects.track
        if track
    )
    return {track: number for number, track in enumerate(dict.fromkeys(names), start=1)}
