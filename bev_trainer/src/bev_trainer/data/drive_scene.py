"""Synthetic drives as scenes that `bev evaluate` runs over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from bev_perception.evaluation.scenes.scene import Scene, SceneInfo
from bev_perception.evaluation.truth.frame import TruthFrame, TruthLayer, TruthObjects
from bev_perception.evaluation.truth.packed_layers import LazyLayers
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_perception.units import NS_PER_S
from bev_trainer.data.drive_maps import OCCUPANCY, map_layers
from bev_trainer.dataset.description import Split
from bev_trainer.dataset.manifest import SPLITS, is_dataset, load_dataset
from bev_trainer.dataset.reader import Drive
from bev_trainer.dataset.tokens import instance_token
from bev_trainer.errors import DatasetError
from bev_trainer.labels.bev import GROUND_LAYERS
from bev_trainer.world.classes import SemanticClass

LAYERS = (*GROUND_LAYERS, OCCUPANCY)


@dataclass(frozen=True)
class DriveScene:
    """A drive file as a scene (`bev_perception.evaluation.scenes.scene.Scene`).

    Attributes:
        name: of the drive.
        path: of the file.
    """

    name: str
    path: Path

    @contextmanager
    def open(self) -> Iterator[OpenDrive]:
        """Opens the drive.

        Raises:
            DatasetError: it is missing or damaged.
        """
        with Drive(self.path) as drive:
            yield OpenDrive(self.name, drive)


class OpenDrive:
    """An open drive: every frame with all road users, label frames with maps, too.

    Maps are the targets that networks are trained for (-1 where nothing counts); they are made
    when they are asked for. Ego poses are those in the world.

    Args:
        name: of the scene.
        drive: open.
    """

    problems: tuple[str, ...] = ()

    def __init__(self, name: str, drive: Drive) -> None:
        stamps = drive.description.frame_stamps_ns
        cameras = tuple(camera.name for camera in drive.cameras)
        self.info = SceneInfo(name, 'synthetic', cameras, (stamps[-1] - stamps[0]) / NS_PER_S)
        self._drive = drive
        self.truth = SceneTruth(_truth_frames(drive))

    def frame_sets(self) -> Iterator[FrameSet]:
        """Yields a frame set for every frame; images are read one frame at a time."""
        drive = self._drive
        for frame in range(drive.frame_count):
            samples = tuple(
                CameraSample(
                    name=camera.name,
                    state=CameraState.USED,
                    stamp_ns=drive.camera_stamp_ns(frame, index),
                    image=_jpeg(drive.jpeg(frame, index)),
                    camera=camera,
                )
                for index, camera in enumerate(drive.cameras)
            )
            yield FrameSet(
                stamp_ns=drive.stamp_ns(frame),
                base_frame=drive.description.rig.base_frame,
                samples=samples,
                odom_T_base=drive.world_T_base[frame],
                last_arrival_ns=max(sample.stamp_ns or 0 for sample in samples),
            )


def drive_scenes(path: Path, split: str | None) -> Sequence[Scene] | None:
    """Returns the drives of a synthetic data set, or of one drive file; None for anything else.

    This is the entry point of the group 'bev_perception.datasets'.

    Args:
        path: of the data set, or of the file.
        split: 'train', 'val' or 'test', or with a rig: 'test/truck_5'; None: all drives.

    Raises:
        DatasetError: the data set is not complete, a split or a rig does not exist or has no
            drive.
    """
    if path.is_file():
        return _one_drive(path, split) if path.suffix == '.zip' else None
    if not is_dataset(path):
        return None
    name, _, rig = (split or '').partition('/')
    if split is not None and name not in SPLITS:
        raise DatasetError(f"{path}: has no split '{name}'; there is {', '.join(SPLITS)}")
    dataset = load_dataset(path)
    if rig and rig not in dataset.rigs():
        raise DatasetError(f"{path}: has no rig '{rig}'; there is {', '.join(dataset.rigs())}")
    drives = dataset.drives(cast(Split, name) if name else None, rig or None)
    if not drives:
        raise DatasetError(f"{path}: has no drive in split '{split}'")
    return [DriveScene(drive.stem, drive) for drive in drives]


def _one_drive(path: Path, split: str | None) -> Sequence[Scene]:
    if split is not None:
        raise DatasetError(f"{path}: split '{split}' is for data sets, this is one drive")
    return [DriveScene(path.stem, path)]


def _truth_frames(drive: Drive) -> list[TruthFrame]:
    visibility, labelled = drive.objects.visibility(), set(drive.description.label_frames)
    return [
        TruthFrame(
            stamp_ns=stamp_ns,
            objects=_objects(drive, frame, visibility),
            odom_T_base=drive.world_T_base[frame],
            layers=LazyLayers(LAYERS, partial(_layers, drive, frame)) if frame in labelled else {},
        )
        for frame, stamp_ns in enumerate(drive.description.frame_stamps_ns)
    ]


def _objects(drive: Drive, frame: int, visibility: np.ndarray) -> TruthObjects:
    boxes = drive.boxes(frame)
    rows = boxes.instance.astype(np.int64) - 1
    name = drive.description.name
    return TruthObjects(
        track=tuple(instance_token(name, instance) for instance in boxes.instance.tolist()),
        class_name=tuple(SemanticClass(kind).label for kind in boxes.class_id.tolist()),
        center_m=boxes.center_m,
        size_m=boxes.size_m,
        yaw_rad=boxes.yaw_rad,
        velocity_mps=boxes.velocity_mps,
        visibility=np.asarray(visibility[rows, frame], np.float64),
        points=np.full(len(rows), -1, np.int64),
    )


def _layers(drive: Drive, frame: int) -> Mapping[str, TruthLayer]:
    cells = map_layers(drive, frame)
    return {name: TruthLayer(drive.label_grid, values) for name, values in cells.items()}


def _jpeg(content: bytes) -> CameraImage:
    return CameraImage(np.frombuffer(content, np.uint8), 'jpeg', 0, 0, 0, compressed=True)
