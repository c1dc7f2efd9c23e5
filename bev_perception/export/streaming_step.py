"""One frame of a model as a function of tensors alone, the memory among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bev_perception.export.tensor_fields import tensors_of, with_tensors
from bev_perception.model.bev_model import BevModel
from bev_perception.model.memory import MemoryMotion, MemoryState
from bev_perception.model.view_transform import RigMatrices

_MATRICES, _STATE, _MOTION, _NEXT = 'matrices.', 'memory.', 'motion.', 'next_memory.'


@dataclass(frozen=True)
class StepInputs:
    """The inputs of a step.

    Attributes:
        images: uint8 [1, N, 3, H, W].
        camera_mask: bool [1, N].
        matrices: of the rig.
        state: of the memory; None for a model without one.
        motion: since the frame before; likewise.
        places, velocity: [1, M, 4] and [1, M, 2], of whom paths are asked; None for a model
            without a trajectory head. They may come from the frame before.
    """

    images: Tensor
    camera_mask: Tensor
    matrices: RigMatrices
    state: MemoryState | None = None
    motion: MemoryMotion | None = None
    places: Tensor | None = None
    velocity: Tensor | None = None

    def named(self) -> dict[str, Tensor]:
        """Returns all tensors by the names that exported models give them, in order."""
        tensors = {'images': self.images, 'camera_mask': self.camera_mask}
        tensors |= tensors_of(self.matrices, _MATRICES)
        if self.state is not None and self.motion is not None:
            tensors |= tensors_of(self.state, _STATE) | tensors_of(self.motion, _MOTION)
        if self.places is not None and self.velocity is not None:
            tensors |= {'object_places': self.places, 'object_velocity': self.velocity}
        return tensors


class StreamingStep(nn.Module):
    """A model whose inputs and outputs are plain tensors (`StepInputs.named`, `output_names`).

    Args:
        model: in evaluation mode.
        example: gives the structure of matrices, state and motion, not their sizes.
    """

    def __init__(self, model: BevModel, example: StepInputs) -> None:
        super().__init__()
        self.model = model
        self._example = example
        self._names = list(example.named())

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs in the order of `output_names`."""
        return tuple(self._run(tensors).values())

    @torch.no_grad()
    def output_names(self) -> list[str]:
        """Returns the names of the outputs, from one run on the example."""
        return list(self._run(tuple(self._example.named().values())))

    def _run(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        named = dict(zip(self._names, tensors, strict=True))
        example, model = self._example, self.model
        matrices = with_tensors(example.matrices, named, _MATRICES)
        features = model.encode(named['images'], named['camera_mask'])
        bev = model.lift(features, named['camera_mask'], matrices)
        following: dict[str, Tensor] = {}
        if example.state is not None and example.motion is not None:
            state = with_tensors(example.state, named, _STATE)
            motion = with_tensors(example.motion, named, _MOTION)
            bev, new = model.remember(bev, state, motion)
            following = tensors_of(new, _NEXT)
        encoded = model.bev_encoder(bev)
        outputs = model.decode(encoded, model.heads.names)
        found = tensors_of(outputs)
        if 'object_places' in named:
            logits, offsets_m = model.forecast(
                encoded, named['object_places'], named['object_velocity']
            )
            found |= {'trajectory_logits': logits, 'trajectory_offsets_m': offsets_m}
        return found | following
