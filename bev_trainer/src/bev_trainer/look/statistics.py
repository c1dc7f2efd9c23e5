"""What a data set holds, counted from the tables of its drives alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.pose import wrap_angle
from bev_trainer.dataset.reader import Drive
from bev_trainer.world.classes import (
    OBJECT_CLASSES,
    TWO_WHEELER_CLASSES,
    VEHICLE_CLASSES,
    SemanticClass,
)

FloatArray = NDArray[np.float64]
Counts = NDArray[np.int64]

GROUPS: dict[str, tuple[SemanticClass, ...]] = {
    'vehicle': VEHICLE_CLASSES,
    'two_wheeler': TWO_WHEELER_CLASSES,
    'pedestrian': (SemanticClass.PEDESTRIAN,),
}
CLASS_NAMES = tuple(item.label for item in OBJECT_CLASSES)

# Edges of the bins; the last bin of each takes all that is beyond it, too.
DISTANCE_M = np.arange(0.0, 125.0, 5.0)
SPEED_MPS = np.concatenate([[0.0, 0.1], np.arange(1.0, 26.0)])
VISIBLE_SHARE = np.concatenate([[0.0, 1e-6], np.arange(0.1, 1.05, 0.1)])
PER_FRAME = np.arange(0.0, 105.0, 5.0)
EGO_SPEED_MPS = np.arange(0.0, 26.0)
EGO_YAW_RATE_DEGPS = np.arange(-50.0, 51.0, 5.0)
OBSERVED_SHARE = np.linspace(0.0, 1.0, 21)


_CLASSES, _GROUPS = len(CLASS_NAMES), len(GROUPS)


def _zeros(*shape: int) -> Callable[[], Counts]:
    return lambda: np.zeros(shape, np.int64)


@dataclass(eq=False)
class Statistics:
    """Counts that add up over drives. A box is one road user at one frame.

    Attributes:
        drives: number of drives.
        networks: their road networks.
        seconds: total time.
        frames: reference instants.
        label_frames: of which with dense labels.
        images: camera images.
        weather: drives by kind of weather.
        rigs: drives by rig.
        splits: drives by split.
        split_networks: by split, the road networks.
        road_users: by class, in the order of `OBJECT_CLASSES`: present at some frame.
        seen_road_users: of which some camera shows a pixel at some frame.
        boxes: by class.
        seen_boxes: by class, of which some camera shows a pixel.
        distance: seen boxes [group, bin of `DISTANCE_M`] from the base frame's origin.
        speed: seen boxes [group, bin of `SPEED_MPS`].
        visibility: boxes [group, bin of `VISIBLE_SHARE`] inside the view of some camera.
        per_frame: frames [bin of `PER_FRAME`] by seen road users.
        ego_speed: steps from one frame to the next [bin of `EGO_SPEED_MPS`].
        ego_yaw_rate: likewise [bin of `EGO_YAW_RATE_DEGPS`].
        observed: label frames [bin of `OBSERVED_SHARE`] by the share of cells that are observed.
        observed_cells: over all label frames.
        cells: likewise.
    """

    drives: int = 0
    networks: set[str] = field(default_factory=set)
    seconds: float = 0.0
    frames: int = 0
    label_frames: int = 0
    images: int = 0
    weather: Counter[str] = field(default_factory=Counter)
    rigs: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    split_networks: dict[str, set[str]] = field(default_factory=dict)
    road_users: Counts = field(default_factory=_zeros(_CLASSES))
    seen_road_users: Counts = field(default_factory=_zeros(_CLASSES))
    boxes: Counts = field(default_factory=_zeros(_CLASSES))
    seen_boxes: Counts = field(default_factory=_zeros(_CLASSES))
    distance: Counts = field(default_factory=_zeros(_GROUPS, len(DISTANCE_M) - 1))
    speed: Counts = field(default_factory=_zeros(_GROUPS, len(SPEED_MPS) - 1))
    visibility: Counts = field(default_factory=_zeros(_GROUPS, len(VISIBLE_SHARE) - 1))
    per_frame: Counts = field(default_factory=_zeros(len(PER_FRAME) - 1))
    ego_speed: Counts = field(default_factory=_zeros(len(EGO_SPEED_MPS) - 1))
    ego_yaw_rate: Counts = field(default_factory=_zeros(len(EGO_YAW_RATE_DEGPS) - 1))
    observed: Counts = field(default_factory=_zeros(len(OBSERVED_SHARE) - 1))
    observed_cells: int = 0
    cells: int = 0

    def add(self, other: Statistics) -> None:
        """Adds the counts of other drives."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, set):
                mine |= theirs
            elif isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, dict):
                for key, values in theirs.items():
                    mine.setdefault(key, set()).update(values)
            else:
                setattr(self, item.name, mine + theirs)


def drive_statistics(path: Path) -> Statistics:
    """Returns the statistics of one drive, without reading an image.

    Raises:
        DatasetError: the drive cannot be read.
    """
    with Drive(path) as drive:
        description = drive.description
        frames = drive.frame_count
        result = Statistics(
            drives=1,
            networks={description.network},
            seconds=_duration_s(description.frame_stamps_ns),
            frames=frames,
            label_frames=len(description.label_frames),
            images=frames * len(drive.cameras),
            weather=Counter([description.weather.name]),
            rigs=Counter([description.rig_name]),
            splits=Counter([description.split]),
            split_networks={description.split: {description.network}},
        )
        _count_road_users(result, drive)
        _count_ego(result, drive)
        _count_observed(result, drive)
    return result


def total(parts: Iterable[Statistics]) -> Statistics:
    """Returns the sum."""
    result = Statistics()
    for part in parts:
        result.add(part)
    return result


def histogram(values: FloatArray, edges: FloatArray) -> Counts:
    """Returns how many values lie in [edge, next edge); the outer bins take what is beyond."""
    index = np.searchsorted(edges, values, side='right') - 1
    clipped = np.clip(index, 0, len(edges) - 2)
    return np.bincount(clipped.ravel(), minlength=len(edges) - 1).astype(np.int64)


def _count_road_users(result: Statistics, drive: Drive) -> None:
    table = drive.objects
    classes = np.array([CLASS_NAMES.index(o.class_name) for o in drive.description.objects], int)
    seen = table.present & (table.visible_pixels.sum(axis=-1) > 0)
    result.road_users = _per_class(classes, table.present.any(axis=1))
    result.seen_road_users = _per_class(classes, seen.any(axis=1))
    result.boxes = _per_class(classes, table.present.sum(axis=1))
    result.seen_boxes = _per_class(classes, seen.sum(axis=1))
    ego = drive.world_T_base[:, :2, 3]
    distance_m = np.hypot(table.x_m - ego[:, 0], table.y_m - ego[:, 1])
    speed_mps = np.linalg.norm(table.velocity_mps.astype(np.float64), axis=-1)
    visibility = table.visibility().astype(np.float64)
    in_view = table.present & (table.silhouette_pixels.sum(axis=-1) > 0)
    for row, members in enumerate(GROUPS.values()):
        wanted = [CLASS_NAMES.index(item.label) for item in members]
        mine = np.isin(classes, wanted)[:, None]
        result.distance[row] = histogram(distance_m[seen & mine], DISTANCE_M)
        result.speed[row] = histogram(speed_mps[seen & mine], SPEED_MPS)
        result.visibility[row] = histogram(visibility[in_view & mine], VISIBLE_SHARE)
    result.per_frame = histogram(seen.sum(axis=0).astype(np.float64), PER_FRAME)


def _per_class(classes: NDArray[np.int_], weights: ArrayLike) -> Counts:
    counts = np.bincount(classes, np.asarray(weights, np.float64), _CLASSES)
    return np.rint(counts).astype(np.int64)


def _count_ego(result: Statistics, drive: Drive) -> None:
    """Counts speeds and yaw rates from one frame to the next."""
    stamps_s = np.array(drive.description.frame_stamps_ns, np.int64) / 1e9
    poses, steps_s = drive.world_T_base, np.diff(stamps_s)
    way_m = np.linalg.norm(np.diff(poses[:, :2, 3], axis=0), axis=-1)
    yaw_rad = np.arctan2(poses[:, 1, 0], poses[:, 0, 0])
    rate = np.rad2deg(wrap_angle(np.diff(yaw_rad))) / steps_s
    result.ego_speed = histogram(way_m / steps_s, EGO_SPEED_MPS)
    result.ego_yaw_rate = histogram(rate, EGO_YAW_RATE_DEGPS)


def _count_observed(result: Statistics, drive: Drive) -> None:
    shares = []
    for frame in drive.description.label_frames:
        cells = drive.observed(frame).any(axis=0)
        shares.append(float(cells.mean()))
        result.observed_cells += int(cells.sum())
        result.cells += cells.size
    result.observed = histogram(np.array(shares, np.float64), OBSERVED_SHARE)


def _duration_s(stamps_ns: Sequence[int]) -> float:
    """Returns the time of all frames, each as long as the first."""
    if len(stamps_ns) < 2:
        return 0.0
    return (stamps_ns[-1] - stamps_ns[0] + stamps_ns[1] - stamps_ns[0]) / 1e9
