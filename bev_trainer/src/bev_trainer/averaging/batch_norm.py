"""Statistics of batch normalisation anew, for weights that were not trained but averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bev_perception.model.memory import MemoryState
from bev_perception.model.network_base import BevNetwork
from bev_trainer.averaging.modes import evaluating
from bev_trainer.data.clip import Clip

_Hook = Callable[[nn.Module, tuple[Tensor, ...]], None]


class _Moments:
    """Count, mean and squared deviation of a layer's input, per channel, over all batches."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: Tensor | None = None
        self._squares: Tensor | None = None

    def add(self, values: Tensor) -> None:
        """Takes in a batch [B, C, ...] (pairwise sums of Chan, Golub and LeVeque 1983)."""
        values = values.detach().transpose(0, 1).flatten(1)
        count = values.shape[1]
        variance, mean = torch.var_mean(values.float(), dim=1, correction=0)
        mean, squares = mean.double(), variance.double() * count
        if self._mean is None or self._squares is None:
            self.count, self._mean, self._squares = count, mean, squares
            return
        total = self.count + count
        shift = mean - self._mean
        self._mean = self._mean + shift * (count / total)
        self._squares = self._squares + squares + shift**2 * (self.count * count / total)
        self.count = total

    def write(self, layer: _BatchNorm) -> None:
        """Puts mean and unbiased variance into a layer, as its training does."""
        assert layer.running_mean is not None and layer.running_var is not None
        assert self._mean is not None and self._squares is not None
        layer.running_mean.copy_(self._mean)
        layer.running_var.copy_(self._squares / max(self.count - 1, 1))


def recalibrate(model: BevNetwork, clips: Iterable[Clip]) -> int:
    """Computes the running statistics of batch normalisation over clips.

    Batch normalisation works as in training, on the statistics of each batch, everything else as
    in evaluation. The new statistics are those of all values that a layer saw in all clips
    together (Wu and Johnson 2021, Rethinking "Batch" in BatchNorm, section 3, precise
    statistics); a mean of the batches' variances would leave out how batches differ. The same
    clips in the same order give the same bits; labels are not needed, and only say for which
    objects the trajectory head is asked. Layers that no clip reaches keep what they have.

    Args:
        model: on the device of the clips; in the end every part is in the mode it was in.
        clips: batches of clips, as large as those of the training if possible.

    Returns:
        How many layers have new statistics.

    Raises:
        ValueError: there are no clips.
    """
    layers = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
    found = [_Moments() for _ in layers]
    seen = 0
    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(evaluating(model))
        for layer in layers:
            # A layer in training that does not track leaves its statistics alone.
            stack.callback(setattr, layer, 'track_running_stats', layer.track_running_stats)
            layer.track_running_stats = False
            layer.train()
        for layer, moments in zip(layers, found, strict=True):
            stack.callback(layer.register_forward_pre_hook(_adding(moments)).remove)
        for clip in clips:
            _run(model, clip)
            seen += 1
        if not seen:
            raise ValueError('batch normalisation cannot be recalibrated without clips')
        reached = [pair for pair in zip(layers, found, strict=True) if pair[1].count]
        for layer, moments in reached:
            moments.write(layer)
    return len(reached)


def _adding(moments: _Moments) -> _Hook:
    return lambda module, inputs: moments.add(inputs[0])


def _run(model: BevNetwork, clip: Clip) -> None:
    """Runs all frames of clips, with and without labels, through all heads."""
    state: MemoryState | None = None
    for frame in clip.frames:
        features = model.encode(frame.images, frame.camera_mask)
        bev = model.lift(features, frame.camera_mask, clip.matrices)
        bev, state = model.remember(bev, state, frame.motion)
        encoded = model.bev_encoder(bev)
        model.decode(encoded, model.heads.names - {'trajectories'})
        targets = frame.targets
        if targets is None or 'trajectories' not in model.heads.names:
            continue
        if targets.places is not None and targets.velocity is not None:
            model.forecast(encoded, targets.places, targets.velocity)
