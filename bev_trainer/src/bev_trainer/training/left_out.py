"""What could not be read: said, counted, and too many clips of it refused."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import distributed
from tqdm import tqdm

from bev_perception.errors import BevError
from bev_trainer.data.clip_stream import Batch
from bev_trainer.data.lost_parts import LostParts

_ENOUGH = 100  # clips: with fewer a single one would be too large a share


class LeftOut(Callback):
    """Counts the clips of a training that could not be read, and the parts others go without.

    Each reason is said once when it first comes up. Reasons of all processes are in the
    checkpoint, so that the summary of a training that was stopped knows them too.

    Args:
        batch: clips of a forward pass.
        max_share: see `RunSection.max_bad_share`.

    Attributes:
        reasons: how often which file was left out for which reason; of all processes once the
            training has ended.
        parts: images and scans that clips had to do without, likewise.
        seen: clips that were asked for, likewise.
    """

    def __init__(self, batch: int, max_share: float) -> None:
        self.reasons: dict[str, int] = {}
        self.parts = LostParts()
        self.seen = 0
        self._batch, self._max_share = batch, max_share

    @property
    def clips(self) -> int:
        """How many clips were left out."""
        return sum(self.reasons.values())

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Goes on; what a checkpoint holds is that of all processes."""
        if not trainer.is_global_zero:
            self.reasons, self.seen, self.parts = {}, 0, LostParts()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Counts before anything is learned.

        Raises:
            BevError: too much of the data cannot be read.
        """
        self.seen += self._batch
        for part in () if batch.clip is None else batch.clip.lost:
            if self.parts.add(part):
                tqdm.write(f'{part.kind} left out: {part}', file=sys.stderr)
        for reason in batch.problems:
            if reason not in self.reasons:
                tqdm.write(f'left out: {reason}', file=sys.stderr)
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if batch.problems and self.clips > self._max_share * max(self.seen, _ENOUGH):
            raise BevError(
                f'{self.clips} of {self.seen} clips could not be read, more than '
                f'run.max_bad_share = {self._max_share:g} allows; the last one: '
                f'{batch.problems[-1]}'
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Puts together what all processes have counted."""
        self.load_state_dict(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Returns the counts of all processes, which all have to call it."""
        own = {'reasons': dict(self.reasons), 'seen': self.seen, 'parts': self.parts.rows()}
        if not (distributed.is_available() and distributed.is_initialized()):
            return own
        found: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(found, own)
        return _together(found)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with what a checkpoint holds."""
        self.reasons, self.seen = dict(state_dict['reasons']), int(state_dict['seen'])
        self.parts = LostParts()
        self.parts.take(state_dict.get('parts', ()))  # older checkpoints have none


def _together(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the sums of the counts of several processes."""
    reasons, parts = Counter[str](), LostParts()
    for state in states:
        reasons.update(state['reasons'])
        parts.take(state['parts'])
    seen = sum(state['seen'] for state in states)
    return {'reasons': dict(reasons), 'seen': seen, 'parts': parts.rows()}
