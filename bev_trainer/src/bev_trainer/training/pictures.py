"""What a model says of a clip beside what is true: one picture."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.decode.modes import with_modes
from bev_perception.decode.occupancy import future_occupancy
from bev_perception.draw.bev import draw_bev
from bev_perception.draw.layout import mosaic
from bev_perception.draw.palette import BACKGROUND
from bev_perception.draw.png import save_png
from bev_perception.draw.text import draw_text
from bev_perception.frame import BevFrame, BevObject
from bev_perception.geometry.grid_lookup import looked_up
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig
from bev_perception.model.outputs import ModelOutputs
from bev_perception.runtime import postprocess
from bev_trainer.averaging.modes import evaluating
from bev_trainer.data.clip import Clip
from bev_trainer.losses.clip_step import run_clip
from bev_trainer.targets.frame import UNKNOWN, FrameTargets

Image = NDArray[np.uint8]

_MAP_PX = (800, 880)
_CAMERAS_PX = 300  # height of all of them together
_HEADER_PX = 30
_CERTAIN = 1e-6  # probability of what is not


def save_picture(path: Path, model: BevModel, clip: Clip, title: str) -> None:
    """Writes the picture of the last frame of a batch's first clip as PNG.

    Args:
        path: of the file; its folder is created.
        model: on any device; is run in evaluation mode.
        clip: whose last frame has targets.
        title: of the predictions.
    """
    clip = clip.to(next(model.parameters()).device)
    targets = clip.frames[-1].targets
    assert targets is not None
    with torch.no_grad(), evaluating(model):
        result = run_clip(model, clip)[-1]
        said = decoded(model.config, _first(result.outputs), _coverage(model.config, clip))
        if said.objects and 'trajectories' in model.heads.names:
            said = _forecast(model, said, result.bev[:1])
    truth = true_frame(model.config, targets)
    save_png(path, _composed(clip, title, said, truth))


def decoded(config: ModelConfig, outputs: ModelOutputs, observed: NDArray[np.bool_]) -> BevFrame:
    """Returns what outputs (batch 1) say, decoded as on the vehicle.

    Args:
        config: of the model.
        outputs: of its heads.
        observed: bool [Y, X] on the grid of the occupancy head.
    """
    grid, heads = config.head_grid('occupancy'), config.heads
    occupancy, semantics = postprocess.occupancy(outputs)
    found: tuple[BevObject, ...] | None = None
    ahead: NDArray[np.float32] | None = None
    if heads.objects is not None:
        found = postprocess.objects(outputs, heads.objects, config.head_grid('objects'), None)
    motion = postprocess.motion_maps(outputs)
    if motion is not None and heads.motion is not None:
        motion_grid = config.head_grid('motion')
        if found is not None:
            labels = postprocess.instances(motion, heads.motion, motion_grid)
            found = postprocess.with_flow_paths(found, labels, motion, heads.motion, motion_grid)
        if occupancy is not None:
            movable = looked_up(motion.probability, motion_grid, grid)
            ahead = future_occupancy(occupancy, movable)
    return BevFrame(
        stamp_ns=0,
        frame_id='',
        grid=grid,
        observed=observed,
        occupancy=occupancy,
        semantics=semantics,
        semantic_classes=heads.semantics.classes if heads.semantics else (),
        future_occupancy=ahead,
        instances=None,
        time_step_s=heads.motion.step_s if heads.motion else 0.0,
        objects=found,
        cameras=(),
    )


def true_frame(config: ModelConfig, targets: FrameTargets) -> BevFrame:
    """Returns what a perfect model would have said of the first of several frames."""
    counts = np.ones(config.head_grid('occupancy').shape, np.bool_)
    section = config.heads.semantics
    if section is not None:
        targets = _with_maps(targets, len(section.classes), counts.shape)
        assert targets.occupancy is not None and targets.semantics is not None
        known = torch.cat([targets.occupancy[:1], targets.semantics[:1]], dim=1) >= 0
        counts = known[0].any(dim=0).cpu().numpy()
    return decoded(config, _perfect_outputs(targets), counts)


def _with_maps(targets: FrameTargets, layers: int, shape: tuple[int, int]) -> FrameTargets:
    """Returns targets whose maps are there, and unknown where nothing counts."""
    occupancy, semantics = (
        torch.full((1, count, *shape), UNKNOWN, dtype=torch.int8) if own is None else own.cpu()
        for own, count in ((targets.occupancy, 1), (targets.semantics, layers))
    )
    return replace(targets, occupancy=occupancy, semantics=semantics)


def _perfect_outputs(targets: FrameTargets) -> ModelOutputs:
    found: dict[str, Tensor] = {}
    if targets.occupancy is not None and targets.semantics is not None:
        found['occupancy_logits'] = _logits(targets.occupancy[:1])
        found['semantic_logits'] = _logits(targets.semantics[:1])
    if targets.heatmap is not None and targets.boxes is not None:
        assert targets.existence is not None
        found['heatmap_logits'] = _logits(targets.heatmap[:1])
        found['existence_logits'] = _logits(targets.existence[:1])
        names = ('center_offset', 'center_z', 'log_size', 'yaw_sin_cos', 'velocity')
        parts = targets.boxes[:1].nan_to_num().split((2, 1, 3, 2, 2), dim=1)
        found |= dict(zip(names, parts, strict=True))
    if targets.motion is not None and targets.flow is not None:
        found['motion_logits'] = _logits(targets.motion[:1].nan_to_num())
        found['motion_flow'] = targets.flow[:1]
    return ModelOutputs(**found)


def _logits(truth: Tensor) -> Tensor:
    """Returns logits of shares in 0..1; of -1, where nothing counts, those of 0."""
    return truth.float().clamp(_CERTAIN, 1.0 - _CERTAIN).logit()


def _first(outputs: ModelOutputs) -> ModelOutputs:
    """Returns the outputs of the first frame of several."""
    values = {item.name: getattr(outputs, item.name) for item in fields(outputs)}
    return ModelOutputs(**{n: None if v is None else v[:1] for n, v in values.items()})


def _coverage(config: ModelConfig, clip: Clip) -> NDArray[np.bool_]:
    """Returns bool [Y, X] where a camera of the last frame of the first clip reaches."""
    reached = clip.matrices.coverage(clip.frames[-1].camera_mask)[0, 0]
    grid = config.head_grid('occupancy')
    return np.asarray(looked_up(reached.cpu().numpy(), config.bev_grid(), grid) > 0)


def _forecast(model: BevModel, frame: BevFrame, bev: Tensor) -> BevFrame:
    section = model.config.heads.trajectories
    assert section is not None and frame.objects is not None
    places, velocity = (
        torch.from_numpy(array).to(bev.device) for array in postprocess.places(frame.objects)
    )
    logits, offsets_m = (postprocess.to_numpy(t) for t in model.forecast(bev, places, velocity))
    modes = with_modes(frame.objects, logits, offsets_m, section.step_s)
    return replace(frame, objects=modes)


def _composed(clip: Clip, title: str, said: BevFrame, truth: BevFrame) -> Image:
    """Returns the cameras above the map of predictions and that of labels."""
    width, height = _MAP_PX
    picture = np.empty((_CAMERAS_PX + _HEADER_PX + height, 2 * width, 3), np.uint8)
    picture[:] = BACKGROUND
    images = _shown_images(clip)
    aspects = [image.shape[1] / image.shape[0] for image in images]
    for image, tile in zip(images, mosaic(aspects, 2 * width, _CAMERAS_PX, 4), strict=True):
        size = (tile.width, tile.height)
        part = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        picture[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = part
    below = _CAMERAS_PX + _HEADER_PX
    for index, (name, frame) in enumerate(((f'predicted: {title}', said), ('labels', truth))):
        draw_text(picture, name, (index * width + 8, below - 8), anchor='lb')
        picture[below:, index * width : (index + 1) * width] = draw_bev(frame, _MAP_PX)
    return picture


def _shown_images(clip: Clip) -> list[Image]:
    """Returns uint8 [H, W, 3] of the cameras that take part in the last frame."""
    frame = clip.frames[-1]
    images = frame.images[0][frame.camera_mask[0]].permute(0, 2, 3, 1).cpu().numpy()
    return [np.ascontiguousarray(image) for image in images]
