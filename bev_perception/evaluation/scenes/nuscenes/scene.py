"""A nuScenes scene to evaluate or to train on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bev_perception.errors import BevError
from bev_perception.evaluation.scenes.nuscenes.frame_sets import frame_sets
from bev_perception.evaluation.scenes.nuscenes.records import Annotations, Sample, SceneRecord
from bev_perception.evaluation.scenes.scene import SceneInfo
from bev_perception.evaluation.truth.frame import TruthFrame, TruthObjects
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import FrameSet
from bev_perception.geometry.pose import Matrix, invert, wrap_angle
from bev_perception.units import NS_PER_S


@dataclass(frozen=True, eq=False)
class NuScenesScene:
    """A scene of nuScenes tables (`Scene`); holds its rows, needs the tables no more.

    Attributes:
        name: unique in an evaluation.
        root: of the data set, where the images are.
        record: of the scene.
    """

    name: str
    root: Path
    record: SceneRecord

    @contextmanager
    def open(self) -> Iterator[OpenNuScenesScene]:
        """Opens the scene.

        Raises:
            BevError: none of its images is there.
        """
        yield OpenNuScenesScene(self)


class OpenNuScenesScene:
    """An open scene (`OpenScene`).

    Args:
        scene: of which.

    Raises:
        BevError: none of its images is there.
    """

    def __init__(self, scene: NuScenesScene) -> None:
        record = scene.record
        self._record, self._root = record, scene.root
        stamps = [sample.stamp_ns for sample in record.samples]
        self.info = SceneInfo(
            scene.name, 'nuscenes', record.channels, (stamps[-1] - stamps[0]) / NS_PER_S
        )
        self.truth = SceneTruth([truth_frame(sample) for sample in record.samples])
        self.problems = self._missing_images()

    def frame_sets(self) -> Iterator[FrameSet]:
        """Yields the frame sets by rising stamps."""
        return frame_sets(self._record, self._root)

    def _missing_images(self) -> tuple[str, ...]:
        images = self._record.images
        lost = [i.filename for i in images if not (self._root / i.filename).is_file()]
        if len(lost) == len(images):
            what = f'{lost[0]} and the other {len(lost) - 1} images' if lost else 'its images'
            raise BevError(
                f"{self._root}: scene '{self.info.name}': {what} are not there; unpack the blobs "
                'of this part of the data set'
            )
        text = f'{len(lost)} of {len(images)} images are not there, the first is '
        return (text + lost[0],) if lost else ()


def truth_frame(sample: Sample) -> TruthFrame:
    """Returns the ground truth of a key frame, in the ego frame of its instant."""
    objects = objects_in_base(sample.annotations, sample.global_T_base)
    return TruthFrame(sample.stamp_ns, objects, sample.global_T_base, token=sample.token)


def objects_in_base(boxes: Annotations, global_T_base: Matrix) -> TruthObjects:
    """Returns annotated boxes in an ego frame.

    Velocities stay those over ground. Headings and velocities are turned in space and then seen
    from above, as the development kit does it.
    """
    base_T_global = invert(global_T_base)
    poses = base_T_global @ boxes.pose
    return TruthObjects(
        boxes.instance,
        boxes.category,
        poses[:, :3, 3],
        boxes.size_m,
        wrap_angle(np.arctan2(poses[:, 1, 0], poses[:, 0, 0])),
        (boxes.velocity_mps @ base_T_global[:3, :3].T)[:, :2],
        boxes.visibility,
        boxes.points,
    )
