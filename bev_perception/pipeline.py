"""The one pipeline: a frame set in, a bird's-eye-view frame out.

The live node, bag replay and evaluation all run this object; whoever owns it owns its past.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.decode.identity import IdentityTracker
from bev_perception.decode.modes import with_modes
from bev_perception.decode.occupancy import future_occupancy
from bev_perception.errors import ConfigError
from bev_perception.frame import BevFrame, BevObject, FrameSet
from bev_perception.geometry.grid_lookup import looked_up
from bev_perception.model.config import ModelConfig
from bev_perception.model.folder import LoadedModel
from bev_perception.model.memory import MemoryState
from bev_perception.model.outputs import ModelOutputs
from bev_perception.runtime import postprocess
from bev_perception.runtime.preprocess import ImagePreprocessor, PreparedImages
from bev_perception.runtime.rig_geometry import RigGeometry, RigGeometryCache
from bev_perception.runtime.stage_clock import StageClock


@dataclass(frozen=True)
class PipelineConfig:
    """How a model is run.

    Attributes:
        device: 'cpu', 'cuda', or 'auto' (CUDA when there is one).
        min_score: objects below it are dropped; None = the model's own threshold.
    """

    device: str = 'auto'
    min_score: float | None = None


def choose_device(name: str) -> torch.device:
    """Returns the torch device of a name.

    Raises:
        ConfigError: the name is unknown or the device is not there.
    """
    if name not in ('auto', 'cpu', 'cuda'):
        raise ConfigError(f"device '{name}' is unknown; choose auto, cpu or cuda")
    there = torch.cuda.is_available()
    if name == 'cuda' and not there:
        raise ConfigError("device 'cuda' was asked for, but torch finds no CUDA device")
    return torch.device('cuda' if there and name != 'cpu' else 'cpu')


class BevPipeline:
    """Runs a model on frame sets, one at a time and in order; not thread-safe.

    Args:
        loaded: model folder content.
        config: how to run it.

    Raises:
        ConfigError: the device is not there, or the model needs an input that there is none of.
    """

    def __init__(self, loaded: LoadedModel, config: PipelineConfig | None = None) -> None:
        if isinstance(loaded.config, ModelConfig) and loaded.config.radar is not None:
            raise ConfigError(
                f"model '{loaded.config.name}' takes radar, which frame sets do not carry; choose "
                'a model without'
            )
        self.loaded = loaded
        self.min_score = (config or PipelineConfig()).min_score
        self._device = choose_device((config or PipelineConfig()).device)
        self._model = loaded.model.to(self._device)
        self._grid = loaded.config.head_grid('occupancy')
        self._memory_frames = self._model.memory_frames()
        self._memory: MemoryState | None = None
        workers = min(8, os.cpu_count() or 1)
        self._preprocessor = ImagePreprocessor(loaded.config.input, workers)
        self._geometry = RigGeometryCache(self._model.view_transform, self._grid, self._device)
        self._tracker = IdentityTracker()
        self._epoch: int | None = None

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self._device

    @torch.inference_mode()
    def warm_up(self, cameras: int) -> None:
        """Runs the network once on black images, so that the first frame is as fast as others."""
        section = self.loaded.config.input
        images = torch.zeros(
            (1, cameras, section.height, section.width, 3), dtype=torch.uint8, device=self._device
        ).permute(0, 1, 4, 2, 3)
        mask = torch.ones(1, cameras, dtype=torch.bool, device=self._device)
        matrices = self._model.view_transform.build([None] * cameras).to(self._device)
        self._model(images, mask, matrices)

    def reset(self) -> None:
        """Forgets everything about past frames."""
        self._tracker.reset()
        self._memory = None
        if self._memory_frames is not None:
            self._memory_frames.reset()

    @torch.inference_mode()
    def step(self, frames: FrameSet, heads: Collection[str] | None = None) -> BevFrame:
        """Returns the bird's-eye view of one frame set.

        Args:
            frames: images, calibrations and ego pose of one instant; a change of its epoch
                resets the pipeline.
            heads: out of `HEADS`, those whose outputs are wanted; None means all.
        """
        if self._epoch is not None and frames.epoch != self._epoch:
            self.reset()
        self._epoch = frames.epoch
        clock = StageClock(self._synchronise)
        with clock.stage('preprocess'):
            prepared = self._preprocessor.prepare(frames.samples, frames.stamp_ns)
        with clock.stage('geometry'):
            geometry = self._geometry.get(prepared.remaps)
        wanted = self._model.heads.known(heads)
        bev, outputs = self._infer(frames, prepared, geometry, wanted, clock)
        with clock.stage('decode'):
            found, labels, ahead = self._decode(bev, outputs, wanted)
            occupancy, semantics = postprocess.occupancy(outputs)
            section = self.loaded.config.heads
            return BevFrame(
                stamp_ns=frames.stamp_ns,
                frame_id=frames.base_frame,
                grid=self._grid,
                observed=geometry.observed(prepared.used),
                occupancy=occupancy,
                semantics=semantics,
                semantic_classes=section.semantics.classes if section.semantics else (),
                future_occupancy=ahead,
                instances=labels,
                time_step_s=section.motion.step_s if section.motion else 0.0,
                objects=None if found is None else self._identify(found, frames, labels),
                cameras=prepared.reports,
                stage_s=clock.stage_s,
                model_id=self.loaded.model_id,
                instance_grid=None if labels is None else self.loaded.config.head_grid('motion'),
                past_dropped=self._memory_frames.forgotten if self._memory_frames else '',
            )

    def _infer(
        self,
        frames: FrameSet,
        prepared: PreparedImages,
        geometry: RigGeometry,
        heads: Collection[str],
        clock: StageClock,
    ) -> tuple[Tensor | None, ModelOutputs]:
        """Returns encoded BEV features and head outputs; a memory goes on without any head."""
        if not heads and self._memory_frames is None:
            return None, ModelOutputs()
        model = self._model
        with clock.stage('encode'):
            pixels = torch.from_numpy(prepared.images).to(self._device).permute(0, 3, 1, 2)
            used = torch.from_numpy(prepared.used).to(self._device)[None]
            features = model.encode(pixels[None], used)
        with clock.stage('lift'):
            bev = model.lift(features, used, geometry.matrices)
        with clock.stage('memory'):
            bev = self._remember(bev, frames)
        if not heads:
            return None, ModelOutputs()
        with clock.stage('bev'):
            bev = model.bev_encoder(bev)
        with clock.stage('heads'):
            return bev, model.decode(bev, heads)

    def _remember(self, bev: Tensor, frames: FrameSet) -> Tensor:
        if self._memory_frames is None:
            return bev
        motion = self._memory_frames.step(frames.stamp_ns, frames.odom_T_base).to(self._device)
        fused, self._memory = self._model.remember(bev, self._memory, motion)
        return fused

    def _decode(
        self, bev: Tensor | None, outputs: ModelOutputs, heads: Collection[str]
    ) -> tuple[tuple[BevObject, ...] | None, NDArray[np.int32] | None, NDArray[np.float32] | None]:
        """Returns objects with paths, instance labels and occupancy ahead, as far as asked for."""
        config = self.loaded.config
        section, found, labels, ahead = config.heads, None, None, None
        if section.objects is not None:
            grid = config.head_grid('objects')
            found = postprocess.objects(outputs, section.objects, grid, self.min_score)
        motion = postprocess.motion_maps(outputs)
        if motion is not None and section.motion is not None:
            grid = config.head_grid('motion')
            labels = postprocess.instances(motion, section.motion, grid)
            if found is not None:
                found = postprocess.with_flow_paths(found, labels, motion, section.motion, grid)
            occupancy, _ = postprocess.occupancy(outputs)
            if occupancy is not None:
                movable = looked_up(motion.probability, grid, self._grid)
                ahead = future_occupancy(occupancy, movable)
        if found and bev is not None and 'trajectories' in heads:
            found = self._forecast(bev, found)
        return found, labels, ahead

    def _forecast(self, bev: Tensor, found: tuple[BevObject, ...]) -> tuple[BevObject, ...]:
        section = self.loaded.config.heads.trajectories
        assert section is not None
        places, velocity = (
            torch.from_numpy(array).to(self._device) for array in postprocess.places(found)
        )
        logits, offsets_m = self._model.forecast(bev, places, velocity)
        return with_modes(
            found,
            postprocess.to_numpy(logits),
            postprocess.to_numpy(offsets_m),
            section.step_s,
        )

    def _identify(
        self,
        found: tuple[BevObject, ...],
        frames: FrameSet,
        labels: NDArray[np.int32] | None,
    ) -> tuple[BevObject, ...]:
        present, grid = None, None
        if labels is not None:
            present, grid = labels[0], self.loaded.config.head_grid('motion')
        return tuple(
            self._tracker.update(found, frames.stamp_ns, frames.odom_T_base, present, grid)
        )

    def _synchronise(self) -> None:
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
