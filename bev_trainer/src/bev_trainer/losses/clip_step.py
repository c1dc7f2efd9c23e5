"""A model run over a clip, and what it lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bev_perception.model.bev_model import BevModel
from bev_perception.model.outputs import ModelOutputs
from bev_trainer.data.clip import Clip, ClipFrame
from bev_trainer.losses.total import head_losses


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What came of one frame of a clip.

    Attributes:
        lifted: BEV features before the memory, of this frame's images alone.
        bev: encoded BEV features that the heads read.
        outputs: of all heads.
        paths: mode logits and offsets of the trajectory head at the targets' places.
        losses: by name; empty for frames without targets.
        image_features: [M, C, h, w] of the M cameras that take part, in the order of the mask;
            None if there is none.
    """

    lifted: Tensor
    bev: Tensor
    outputs: ModelOutputs
    paths: tuple[Tensor, Tensor] | None
    losses: dict[str, Tensor]
    image_features: Tensor | None = None


def run_clip(model: BevModel, clip: Clip, pos_weight: float = 2.0) -> list[FrameResult]:
    """Returns the results of the frames that have targets, oldest first.

    The memory goes from frame to frame as on the vehicle, and gradients go with it. Frames
    without targets are run up to the memory only, without gradients.
    """
    results, state = [], None
    for frame in clip.frames:
        if frame.targets is None:
            with torch.no_grad():
                lifted, _ = _lifted(model, clip, frame)
                _, state = model.remember(lifted, state, frame.motion)
            continue
        with _noted(model.neck) as seen:
            lifted, depth = _lifted(model, clip, frame)
        bev, state = model.remember(lifted, state, frame.motion)
        encoded = model.bev_encoder(bev)
        outputs = model.decode(encoded, model.heads.names)
        paths = None
        if frame.targets.places is not None and frame.targets.velocity is not None:
            paths = model.forecast(encoded, frame.targets.places, frame.targets.velocity)
        losses = head_losses(
            outputs, frame.targets, paths=paths, depth=depth, pos_weight=pos_weight
        )
        results.append(FrameResult(lifted, encoded, outputs, paths, losses, *seen))
    return results


def mean_losses(results: list[FrameResult]) -> dict[str, Tensor]:
    """Returns the mean of each loss over the frames that have it."""
    names = dict.fromkeys(name for result in results for name in result.losses)
    return {
        name: torch.stack([r.losses[name] for r in results if name in r.losses]).mean()
        for name in names
    }


def _lifted(model: BevModel, clip: Clip, frame: ClipFrame) -> tuple[Tensor, Tensor | None]:
    """Returns BEV features of the images of a frame, and the depth that was made out in them."""
    features = model.encode(frame.images, frame.camera_mask)
    return model.lift(features, frame.camera_mask, clip.matrices), features.depth


@contextmanager
def _noted(part: nn.Module) -> Iterator[list[Tensor]]:
    """Yields a list to which what a part of the model returns is added."""
    seen: list[Tensor] = []
    handle = part.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()
