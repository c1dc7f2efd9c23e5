"""Frames to be looked at: what was predicted above what was there, cameras and map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.objects import UNTRACKED_ID
from bev_perception.draw.frame import draw_frame
from bev_perception.errors import ImageError
from bev_perception.evaluation.align import aligned
from bev_perception.evaluation.class_map import layer_classes, model_class
from bev_perception.evaluation.prediction_store import PredictionStore
from bev_perception.evaluation.results import FramePicture, PictureKind
from bev_perception.evaluation.scene_run import ScoringOptions
from bev_perception.evaluation.scenes.scene import OpenScene, Scene
from bev_perception.evaluation.summary import RunScenes
from bev_perception.evaluation.truth.frame import TruthFrame, TruthObjects
from bev_perception.evaluation.truth.raster import object_mask
from bev_perception.frame import BevFrame, BevObject, ClassScore, FrameSet
from bev_perception.geometry.grid_lookup import looked_up
from bev_perception.inputs.image import decode

_SIZE_PX = (1760, 800)


@dataclass(frozen=True)
class Choice:
    """A frame that is worth a look.

    Attributes:
        kind: why.
        scene: name.
        stamp_ns: of the prediction.
        score: see `FrameNote`.
    """

    kind: PictureKind
    scene: str
    stamp_ns: int
    score: float


@dataclass(frozen=True)
class Shown:
    """What pictures tell of a model.

    Attributes:
        trained: False marks them as output of untrained weights.
        object_classes: which give objects their colours.
    """

    trained: bool
    object_classes: tuple[str, ...]


def choose(run: RunScenes, worst: int = 3) -> tuple[Choice, ...]:
    """Returns the worst frames of a run, one from the middle and the best, by their scores."""
    ranked = sorted(
        (note.score, scene.info.name, note.stamp_ns)
        for scene in run.scenes
        for note in scene.notes
        if note.score is not None
    )
    rows: dict[int, PictureKind] = {}
    if ranked:
        rows |= {len(ranked) - 1: 'best', len(ranked) // 2: 'median'}
        rows |= dict.fromkeys(range(min(worst, len(ranked))), 'worst')
    return tuple(
        Choice(rows[row], ranked[row][1], ranked[row][2], ranked[row][0]) for row in sorted(rows)
    )


def paint(
    scene: Scene,
    choices: Sequence[Choice],
    store: Path,
    title: str,
    shown: Shown,
    options: ScoringOptions,
) -> Iterator[FramePicture]:
    """Yields the pictures of a scene's frames, oldest first.

    Args:
        scene: to be opened once more, for its images.
        choices: frames of this scene.
        store: where their predictions were put aside.
        title: of the run.
        shown: what the model says of itself.
        options: as the frames were scored with.
    """
    wanted = {choice.stamp_ns: choice for choice in choices}
    predictions = PredictionStore(store)
    with scene.open() as opened:
        for frames in opened.frame_sets():
            choice = wanted.pop(frames.stamp_ns, None)
            if choice is not None:
                prediction = predictions.get(choice.stamp_ns)
                picture = _picture(opened, frames, prediction, title, shown, options)
                yield FramePicture(
                    choice.kind, title, scene.name, choice.stamp_ns, choice.score, picture
                )
            if not wanted:
                return


def truth_as_frame(
    truth: TruthFrame, prediction: BevFrame, object_classes: Sequence[str]
) -> BevFrame:
    """Returns what a perfect model would have said in place of a prediction."""
    objects = truth.objects if truth.objects is not None else TruthObjects.none()
    shown = objects.selected(~(objects.visibility <= 0))
    layers = [_layer(name, truth, shown, prediction) for name in prediction.semantic_classes]
    return replace(
        prediction,
        occupancy=object_mask(shown, prediction.grid).astype(np.float32),
        semantics=np.stack(layers) if layers else None,
        future_occupancy=None,
        instances=None,
        objects=tuple(_object(shown, row, object_classes) for row in range(len(shown))),
        stage_s={},
        model_id='',
    )


def _layer(
    name: str, truth: TruthFrame, objects: TruthObjects, prediction: BevFrame
) -> NDArray[np.float32]:
    classes = layer_classes(name)
    if classes is not None:
        rows = [
            row
            for row, found in enumerate(objects.class_name)
            if model_class(found, tuple(classes)) is not None
        ]
        return object_mask(objects.selected(rows), prediction.grid).astype(np.float32)
    layer = truth.layers.get(name)
    if layer is None:
        return np.zeros(prediction.grid.shape, np.float32)
    there = (layer.cells == 1).astype(np.float32)
    return np.asarray(looked_up(there, layer.grid, prediction.grid), np.float32)


def _object(objects: TruthObjects, row: int, object_classes: Sequence[str]) -> BevObject:
    name = objects.class_name[row]
    known = model_class(name, object_classes)
    index = len(object_classes) if known is None else object_classes.index(known)
    velocity = objects.velocity_mps[row]
    x, y, z = objects.center_m[row].tolist()
    length, width, height = objects.size_m[row].tolist()
    return BevObject(
        object_id=UNTRACKED_ID,
        age_frames=0,
        existence_probability=1.0,
        classes=(ClassScore(index, name, 1.0),),
        center_m=(x, y, z),
        size_m=(length, width, height),
        yaw_rad=float(objects.yaw_rad[row]),
        velocity_mps=(
            (float(velocity[0]), float(velocity[1])) if np.isfinite(velocity).all() else None
        ),
    )


def _picture(
    opened: OpenScene,
    frames: FrameSet,
    prediction: BevFrame,
    title: str,
    shown: Shown,
    options: ScoringOptions,
) -> bytes:
    images, cameras = _images(frames), {s.name: s.camera for s in frames.samples}
    parts = [
        draw_frame(
            prediction,
            images,
            cameras,
            f'predicted: {title}',
            trained=shown.trained,
            size_px=_SIZE_PX,
        )
    ]
    near = opened.truth.nearest(prediction.stamp_ns, options.tolerance_s)
    if near is not None:
        moved = aligned(opened.truth, near, prediction.stamp_ns)
        truth = truth_as_frame(moved, prediction, shown.object_classes)
        parts.append(
            draw_frame(
                truth, images, cameras, f'labels: {opened.info.name}', trained=True,
                size_px=_SIZE_PX,
            )
        )  # fmt: skip
    _, coded = cv2.imencode('.png', cv2.cvtColor(np.concatenate(parts), cv2.COLOR_RGB2BGR))
    return bytes(coded.tobytes())


def _images(frames: FrameSet) -> Mapping[str, NDArray[np.uint8] | None]:
    found: dict[str, NDArray[np.uint8] | None] = {}
    for sample in frames.samples:
        found[sample.name] = None
        if sample.image is not None and sample.camera is not None:
            try:
                found[sample.name] = decode(sample.image, sample.camera, 1)
            except ImageError:
                continue
    return found
