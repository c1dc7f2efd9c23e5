"""The training step, for lightning."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bev_perception.model.bev_model import BevModel
from bev_trainer.config.train_config import TrainConfig
from bev_trainer.data.clip_stream import Batch
from bev_trainer.losses.clip_step import mean_losses, run_clip
from bev_trainer.losses.total import LOSSES, UncertaintyWeights
from bev_trainer.training.auxiliary.choice import auxiliary_tasks
from bev_trainer.training.loss_log import TOTAL
from bev_trainer.training.schedule import parameter_groups, rate_factor


class ClipTraining(pl.LightningModule):
    """A network that learns from clips.

    Args:
        model: to be trained.
        config: how.
        record: what the checkpoint says of the training, see `RunRecord`.

    Attributes:
        losses: names of all losses that it may have.

    Raises:
        ConfigError: a loss that is asked for does not go with the model.
    """

    def __init__(self, model: BevModel, config: TrainConfig, record: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.config, self._record = model, config, record
        tasks = auxiliary_tasks(config.loss, model, config.clip)
        self.auxiliary = nn.ModuleDict(tasks)
        names = (name for task in tasks.values() for name in task.LOSSES)
        self.losses: tuple[str, ...] = (*LOSSES, *names)
        self.weights = UncertaintyWeights(self.losses)

    def training_step(self, batch: Batch, index: int) -> dict[str, Any]:
        """Returns the weighted loss of a batch, and its losses by name.

        A batch of which nothing could be read has none, and counts as a pass all the same: all
        processes then still do the same number of passes.
        """
        if batch.clip is None:
            return {'loss': self.weights.nothing(), 'losses': {}}
        with attention_for_training(self.device):
            results = run_clip(self.model, batch.clip, self.config.loss.pos_weight)
        learned = results[-1:] if self.config.loss.frames == 'last' else results
        losses = mean_losses(learned)
        if not self.config.loss.depth:
            losses.pop('depth', None)
        for task in self.auxiliary.values():
            losses |= task(batch.clip, results)
        total: Tensor = self.weights(losses)
        return {'loss': total, 'losses': {**losses, TOTAL: total}}

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
        """Adds what the training is."""
        checkpoint['bev_run'] = self._record

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Counts the passes that a checkpoint stands for by the passes of this process.

        Lightning tells from them where a step begins; with another number of processes the same
        steps are another number of passes.
        """
        passes = int(checkpoint['global_step']) * self.trainer.accumulate_grad_batches
        progress = checkpoint['loops']['fit_loop']['epoch_loop.batch_progress']
        for span in ('total', 'current'):
            progress[span] = dict.fromkeys(progress[span], passes)


def attention_for_training(device: torch.device) -> AbstractContextManager[None]:
    """Returns a context in which attention is computed in the way whose gradients are quickest.

    Torch's fused attention on CPUs is slower backward than plain products when the queries are
    few, as those of the trajectory head are.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == 'cpu' else nullcontext()
