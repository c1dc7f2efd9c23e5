"""The training step, for lightning."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from bev_perception.errors import BevError
from bev_perception.model.bev_model import BevModel
from bev_trainer.config.train_config import TrainConfig
from bev_trainer.data.clip_stream import Batch
from bev_trainer.losses.total import UncertaintyWeights
from bev_trainer.training.clip_step import mean_losses, run_clip
from bev_trainer.training.schedule import parameter_groups, rate_factor
from bev_trainer.training.watch import Tally


class ClipTraining(pl.LightningModule):
    """A network that learns from clips.

    Args:
        model: to be trained.
        config: how.
    """

    def __init__(self, model: BevModel, config: TrainConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.weights = UncertaintyWeights()
        self.problems: list[str] = []
        self._seen = 0
        semantics = model.config.heads.semantics
        self._layers = tuple(semantics.classes) if semantics is not None else ()
        self._tally = Tally(self._layers)

    def training_step(self, batch: Batch, index: int) -> Tensor | None:
        """Returns the weighted loss of a batch; None when none of it could be read.

        Raises:
            BevError: too much of the data cannot be read.
        """
        self._count(batch)
        if batch.clip is None:
            return None
        results = run_clip(self.model, batch.clip, self.config.loss.pos_weight)
        losses = mean_losses(results)
        if not self.config.loss.depth:
            losses.pop('depth', None)
        total: Tensor = self.weights(losses)
        size = len(batch.clip.frames[0].images)
        shown = {f'train/{name}': loss.detach() for name, loss in losses.items()}
        self.log_dict(shown, batch_size=size)
        self.log('train/total', total.detach(), prog_bar=True, batch_size=size)
        return total

    def on_validation_epoch_start(self) -> None:
        """Begins to count anew."""
        self._tally = Tally(self._layers)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Counts what is said right."""
        if batch.clip is None:
            return
        results = run_clip(self.model, batch.clip, self.config.loss.pos_weight)
        asked = [frame.targets for frame in batch.clip.frames if frame.targets is not None]
        for result, targets in zip(results, asked, strict=True):
            self._tally.add(result, targets)

    def on_validation_epoch_end(self) -> None:
        """Logs what was counted."""
        figures = {f'val/{name}': value for name, value in self._tally.figures().items()}
        self.log_dict(figures, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Returns AdamW with its schedule, a step of which is one of the optimiser."""
        section = self.config.optimiser
        groups = parameter_groups(self, section.weight_decay)
        optimiser = torch.optim.AdamW(groups, lr=section.rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, rate_factor(section, self.config.run.steps)
        )
        return {
            'optimizer': optimiser,
            'lr_scheduler': {'scheduler': schedule, 'interval': 'step'},
        }

    def transfer_batch_to_device(self, batch: Any, device: torch.device, index: int) -> Any:
        """Returns a batch on a device."""
        clip = None if batch.clip is None else batch.clip.to(device)
        return Batch(clip, batch.problems)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what was left out of the data."""
        checkpoint['bev_problems'] = self.problems
        checkpoint['bev_seen'] = self._seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on with what was left out before."""
        self.problems = list(checkpoint['bev_problems'])
        self._seen = int(checkpoint['bev_seen'])

    def _count(self, batch: Batch) -> None:
        self._seen += self.config.run.batch
        self.problems += batch.problems
        limit = self.config.run.max_bad_share
        if len(self.problems) > limit * max(self._seen, 100):
            raise BevError(
                f'{len(self.problems)} of {self._seen} clips could not be read, more than '
                f'run.max_bad_share = {limit:g} allows; the last one: {self.problems[-1]}'
            )
