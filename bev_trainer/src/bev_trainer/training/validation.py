"""Looking at a model on clips that it does not learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import distributed
from tqdm import tqdm

from bev_perception.model.bev_model import BevModel
from bev_trainer.averaging.modes import evaluating
from bev_trainer.data.clip import Clip, LostPart
from bev_trainer.data.clip_stream import Batch
from bev_trainer.data.lost_parts import LostParts
from bev_trainer.losses.clip_step import run_clip
from bev_trainer.training.averages import Averaging
from bev_trainer.training.checkpoint import Saving
from bev_trainer.training.pictures import save_picture
from bev_trainer.training.step_callback import StepCallback
from bev_trainer.training.stopping import Stopping
from bev_trainer.training.watch import Sums, Tally, figures_of


@dataclass(frozen=True)
class Seen:
    """What came of a look at clips.

    Attributes:
        sums: of the tally.
        problems: of clips that could not be read.
        lost: images and scans that clips go without.
    """

    sums: Sums
    problems: tuple[str, ...]
    lost: tuple[LostPart, ...] = ()


@torch.no_grad()
def look_at(
    model: BevModel,
    batches: Iterable[Batch],
    pos_weight: float,
    enough: Callable[[], bool] = lambda: False,
) -> Seen:
    """Returns losses and overlaps of a model, in evaluation mode, on batches of clips.

    Args:
        model: on any device, to which the clips are brought.
        batches: of clips.
        pos_weight: see `head_losses`.
        enough: is asked before each batch whether to leave out the rest.
    """
    semantics = model.config.heads.semantics
    tally = Tally(() if semantics is None else tuple(semantics.classes))
    problems: list[str] = []
    lost: list[LostPart] = []
    device = next(model.parameters()).device
    with evaluating(model):
        for batch in batches:
            if enough():
                break
            problems += batch.problems
            if batch.clip is None:
                continue
            lost += batch.clip.lost
            clip = batch.clip.to(device)
            results = run_clip(model, clip, pos_weight)
            asked = [frame.targets for frame in clip.frames if frame.targets is not None]
            for result, targets in zip(results, asked, strict=True):
                tally.add(result, targets, len(clip.frames[0].images))
    return Seen(tally.sums(), tuple(problems), tuple(lost))


class Validation(StepCallback):
    """Logs losses and overlaps on the validation clips ('val/...'), and draws one of them.

    It is done with the average of the weights, if there is one. Every process looks at its share
    of the clips. A training that was stopped in the midst of it begins it again.

    Args:
        batches: of this process, the same every time.
        due: says of a number of steps whether to look after them.
        averaging: keeps the average; None: there is none.
        saving: writes a checkpoint afterwards.
        stopping: says whether to make an end.
        pictures: folder for `step_<number>.png`.

    Attributes:
        problems: of the clips that the last look could not read.
        lost: what it had to do without in others.
    """

    def __init__(
        self,
        batches: Iterable[Batch],
        due: Callable[[int], bool],
        averaging: Averaging | None,
        saving: Saving,
        stopping: Stopping,
        pictures: Path,
    ) -> None:
        self._batches, self._due, self._averaging = batches, due, averaging
        self._saving, self._stopping = saving, stopping
        self._pictures, self._done = pictures, 0
        self._shown: Clip | None = None
        self.problems: tuple[str, ...] = ()
        self.lost = LostParts()

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Makes up for a look that the training was stopped in."""
        super().on_train_start(trainer, pl_module)
        step = trainer.global_step
        if step != self._done and self._due(step):
            self.after_step(trainer, pl_module, step)

    def after_step(self, trainer: pl.Trainer, pl_module: Any, step: int) -> None:
        """Looks when it is time."""
        if not self._due(step):
            return
        model: BevModel = pl_module.model
        with ExitStack() as stack:
            if self._averaging is not None:
                stack.enter_context(self._averaging.applied(model))
            stack.enter_context(trainer.precision_plugin.val_step_context())
            pos_weight = pl_module.config.loss.pos_weight
            seen = look_at(model, self._looked_through(), pos_weight, lambda: self._stopping.asked)
            if trainer.is_global_zero and self._shown is not None:
                save_picture(
                    self._pictures / f'step_{step:06d}.png', model, self._shown, f'step {step}'
                )
        of_all = _of_all(seen)
        self._stopping.end_if_asked(trainer)
        self._done = step
        self.problems = tuple(dict.fromkeys(p for part in of_all for p in part.problems))
        self.lost = LostParts()
        for part in (part for one in of_all for part in one.lost):
            self.lost.add(part)
        self._log(trainer, figures_of(part.sums for part in of_all), step)
        self._saving.save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Returns after which step it was done."""
        return {'done': self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self._done = int(state_dict['done'])

    def _log(self, trainer: pl.Trainer, figures: dict[str, float], step: int) -> None:
        if self.problems:
            figures['left_out'] = float(len(self.problems))
        for logger in trainer.loggers:
            logger.log_metrics({f'val/{name}': value for name, value in figures.items()}, step)
        if trainer.is_global_zero:
            shown = [
                f'{name.removeprefix("iou/")} {value:.3f}'
                for name, value in figures.items()
                if name.startswith('iou/')
            ]
            tqdm.write(f'step {step}: IoU {", ".join(shown)}')

    def _looked_through(self) -> Iterator[Batch]:
        """Yields the batches, and keeps the first one that can be drawn."""
        for batch in self._batches:
            clip = batch.clip
            if self._shown is None and clip is not None and clip.frames[-1].targets is not None:
                self._shown = clip
            yield batch


def _of_all(seen: Seen) -> list[Seen]:
    """Returns what all processes have seen."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [seen]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, seen)
    return found
