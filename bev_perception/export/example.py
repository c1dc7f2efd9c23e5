"""Inputs of the right sizes for recording a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from bev_perception.errors import ConfigError
from bev_perception.export.streaming_step import StepInputs
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.model_input import InputRemaps
from bev_perception.model.bev_model import BevModel
from bev_perception.model.memory import MemoryMotion


def example_inputs(model: BevModel, cameras: Sequence[Camera | None], objects: int) -> StepInputs:
    """Returns the inputs of a frame of random images that has a past.

    Args:
        model: in evaluation mode, on the CPU.
        cameras: of the rig, as their images arrive; None for one without calibration.
        objects: places of whom paths are asked.

    Raises:
        ConfigError: the model takes radar, or no camera is calibrated.
        CalibrationError: a camera cannot be brought to the model's input.
    """
    config = model.config
    if config.radar is not None:
        raise ConfigError(f"model '{config.name}' takes radar, which is not exported yet")
    if not any(cameras):
        raise ConfigError('export needs a rig file with calibrations')
    section = config.input
    remaps = InputRemaps(section.width, section.height, section.horizon_share)
    found = [None if camera is None else remaps.get(camera) for camera in cameras]
    matrices = model.view_transform.build(
        [None if remap is None else remap.target for remap in found],
        [None if remap is None else remap.valid for remap in found],
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        0, 256, (1, len(cameras), 3, section.height, section.width), dtype=torch.uint8,
        generator=generator,
    )  # fmt: skip
    mask = torch.tensor([[camera is not None for camera in cameras]])
    inputs = StepInputs(images, mask, matrices)
    if model.memory is not None:
        inputs = _with_past(model, inputs)
    if config.heads.trajectories is not None:
        places = torch.rand(1, objects, 4, generator=generator) * 2.0 - 1.0
        inputs = replace(
            inputs,
            places=places * torch.tensor([20.0, 20.0, 1.0, 1.0]),
            velocity=torch.rand(1, objects, 2, generator=generator) * 10.0,
        )
    return inputs


def _with_past(model: BevModel, inputs: StepInputs) -> StepInputs:
    """Returns the inputs with the memory of a frame like this one, half a second ago."""
    assert model.memory is not None
    with torch.no_grad():
        features = model.encode(inputs.images, inputs.camera_mask)
        bev = model.lift(features, inputs.camera_mask, inputs.matrices)
        _, state = model.remember(bev, None, None)
    motion = MemoryMotion.none(1, model.memory.slots)
    read = motion.read.clone()
    read[..., 0, 2] = 2.3
    return replace(
        inputs,
        state=state,
        motion=MemoryMotion(
            read, motion.move, motion.write, motion.gap_s + 0.5, torch.ones_like(motion.keep)
        ),
    )
