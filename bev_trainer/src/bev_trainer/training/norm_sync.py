"""Batch normalisation over several processes: the statistics that one process would have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True, eq=False)
class Statistics:
    """Running statistics of L layers.

    Attributes:
        values: float64 [V], means and variances one after the other.
        counts: int64 [L], batches that each layer has seen.
    """

    values: Tensor
    counts: Tensor


class NormStatistics:
    """The running statistics of the batch normalisation of a model, taken out and put in.

    Args:
        model: whose layers have a fixed momentum.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [
            layer
            for layer in model.modules()
            if isinstance(layer, _BatchNorm) and layer.running_mean is not None
        ]
        sizes, momenta = [], []
        for layer in self._layers:
            if layer.momentum is None:
                raise ValueError('batch normalisation with a cumulative mean is not supported')
            sizes.append(2 * layer.num_features)
            momenta.append(layer.momentum)
        self._sizes = torch.tensor(sizes, dtype=torch.int64)
        self._kept = 1.0 - torch.tensor(momenta, dtype=torch.float64)

    def read(self) -> Statistics:
        """Returns a copy of the statistics as they are."""
        parts, counts = [], []
        for layer in self._layers:
            assert layer.running_mean is not None and layer.running_var is not None
            assert layer.num_batches_tracked is not None
            parts += [layer.running_mean, layer.running_var]
            counts.append(layer.num_batches_tracked)
        if not parts:
            return Statistics(torch.zeros(0, dtype=torch.float64), torch.zeros(0).long())
        return Statistics(torch.cat(parts).double(), torch.stack(counts))

    @torch.no_grad()
    def write(self, statistics: Statistics) -> None:
        """Puts statistics into the model."""
        parts = statistics.values.split(self._sizes.tolist())
        for layer, part, count in zip(self._layers, parts, statistics.counts, strict=True):
            assert layer.running_mean is not None and layer.running_var is not None
            assert layer.num_batches_tracked is not None
            mean, variance = part.chunk(2)
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
            layer.num_batches_tracked.copy_(count)

    def in_turn(self, before: Statistics, after: list[Statistics]) -> Statistics:
        """Returns what comes of the passes of several processes, one after the other.

        A pass that shows a layer n batches turns its statistics r into (1 - m)^n r + b, with b of
        these batches alone. Each process began at the same r, so b is known of each, and the
        passes can be put one after the other.

        Args:
            before: of all processes.
            after: of each process, after its own pass.
        """
        values, counts = before.values, before.counts
        for own in after:
            shown = own.counts - before.counts
            kept = self._per_value(self._kept.to(values.device) ** shown)
            values = kept * values + (own.values - kept * before.values)
            counts = counts + shown
        return Statistics(values, counts)

    def _per_value(self, per_layer: Tensor) -> Tensor:
        return per_layer.repeat_interleave(self._sizes.to(per_layer.device))


class NormSync(Callback):
    """Keeps the running statistics of all processes as those of one process.

    Every forward pass is normalised by the batch of its own process: `run.batch` says how many
    clips that is, whatever the number of processes. Only what is remembered of the batches is
    exchanged, after each pass: then every process holds what a single one would hold that had
    done the passes in the order of the ranks. So two processes do what one does with twice the
    accumulation. (Lightning would send the statistics of rank 0 to all and forget the others.)
    """

    def __init__(self) -> None:
        self._norms: NormStatistics | None = None
        self._before: Statistics | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes note of where all processes stand."""
        if trainer.world_size > 1:
            self._norms = self._norms or NormStatistics(pl_module)
            self._before = self._norms.read()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Puts the passes of all processes one after the other."""
        if trainer.world_size == 1:
            return
        assert self._norms is not None and self._before is not None
        own = self._norms.read()
        values = [torch.empty_like(own.values) for _ in range(trainer.world_size)]
        counts = [torch.empty_like(own.counts) for _ in range(trainer.world_size)]
        distributed.all_gather(values, own.values)
        distributed.all_gather(counts, own.counts)
        after = [Statistics(*pair) for pair in zip(values, counts, strict=True)]
        self._norms.write(self._norms.in_turn(self._before, after))
