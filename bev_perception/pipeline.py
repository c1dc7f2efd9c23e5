"""The one pipeline: a frame set in, a bird's-eye-view frame out.

The live node, bag replay and evaluation all run this object; whoever owns it owns its past.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

import torch

from bev_perception.decode.identity import IdentityTracker
from bev_perception.decode.occupancy import future_occupancy
from bev_perception.errors import ConfigError
from bev_perception.frame import BevFrame, BevObject, FrameSet
from bev_perception.model.bev_model import create_lift_splat
from bev_perception.model.folder import LoadedModel
from bev_perception.model.outputs import HEADS, ModelOutputs
from bev_perception.model.view_transform import splat
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
    """

    def __init__(self, loaded: LoadedModel, config: PipelineConfig | None = None) -> None:
        self.loaded = loaded
        self.min_score = (config or PipelineConfig()).min_score
        self._device = choose_device((config or PipelineConfig()).device)
        self._model = loaded.model.to(self._device)
        self._grid = loaded.config.bev_grid()
        workers = min(8, os.cpu_count() or 1)
        self._preprocessor = ImagePreprocessor(loaded.config.input, workers)
        self._geometry = RigGeometryCache(
            create_lift_splat(loaded.config), self._grid, self._device
        )
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
        self._model.encode(images, torch.ones(1, cameras, dtype=torch.bool, device=self._device))
        channels = self.loaded.config.lift.channels
        bev = torch.zeros((1, channels, *self._grid.shape), device=self._device)
        self._model.decode(
            self._model.bev_encoder(bev.contiguous(memory_format=torch.channels_last)), HEADS
        )

    def reset(self) -> None:
        """Forgets everything about past frames."""
        self._tracker.reset()

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
        outputs = self._infer(prepared, geometry, HEADS if heads is None else heads, clock)
        with clock.stage('decode'):
            return self._decode(frames, prepared, geometry, outputs, clock)

    def _infer(
        self,
        prepared: PreparedImages,
        geometry: RigGeometry,
        heads: Collection[str],
        clock: StageClock,
    ) -> ModelOutputs:
        if not heads:
            return ModelOutputs()
        with clock.stage('encode'):
            pixels = torch.from_numpy(prepared.images).to(self._device).permute(0, 3, 1, 2)
            used = torch.from_numpy(prepared.used).to(self._device)
            context, depth = self._model.encode(pixels[None], used[None])
        with clock.stage('lift'):
            bev = splat(context, depth, geometry.lift)
        with clock.stage('bev'):
            bev = self._model.bev_encoder(bev)
        with clock.stage('heads'):
            return self._model.decode(bev, heads)

    def _decode(
        self,
        frames: FrameSet,
        prepared: PreparedImages,
        geometry: RigGeometry,
        outputs: ModelOutputs,
        clock: StageClock,
    ) -> BevFrame:
        section = self.loaded.config.heads
        motion = postprocess.motion_maps(outputs)
        labels = None
        if motion is not None:
            labels = postprocess.instances(motion, section, self._grid)
        found = postprocess.objects(outputs, section, self._grid, self.min_score)
        if found is not None:
            if motion is not None and labels is not None:
                found = postprocess.with_trajectories(found, labels, motion, section, self._grid)
            found = self._identify(found, frames)
        occupancy, semantics = postprocess.occupancy(outputs)
        ahead = None
        if occupancy is not None and motion is not None:
            ahead = future_occupancy(occupancy, motion.probability)
        return BevFrame(
            stamp_ns=frames.stamp_ns,
            frame_id=frames.base_frame,
            grid=self._grid,
            observed=geometry.observed(prepared.used),
            occupancy=occupancy,
            semantics=semantics,
            semantic_classes=section.semantics.classes,
            future_occupancy=ahead,
            instances=labels,
            time_step_s=section.motion.step_s,
            objects=found,
            cameras=prepared.reports,
            stage_s=clock.stage_s,
            model_id=self.loaded.model_id,
        )

    def _identify(self, found: tuple[BevObject, ...], frames: FrameSet) -> tuple[BevObject, ...]:
        return tuple(self._tracker.update(found, frames.stamp_ns, frames.odom_T_base))

    def _synchronise(self) -> None:
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
