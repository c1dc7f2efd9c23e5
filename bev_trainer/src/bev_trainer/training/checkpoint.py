"""The checkpoint of a training: written whole or not at all, as often as asked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from bev_perception.errors import ConfigError
from bev_trainer.training.step_callback import StepCallback

LAST = 'last.ckpt'


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints beside the old one and puts them in its place when they are on disk.

    Lightning's own way goes through the folder of temporary files, from where a file is copied:
    who is killed then leaves half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Writes a checkpoint; what was there before stays until it is complete."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
        try:
            with os.fdopen(handle, 'wb') as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(scratch, 0o644)
            os.replace(scratch, path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise


class Saving(StepCallback):
    """Writes `last.ckpt`.

    Args:
        folder: of the training.
        due: says of a number of steps whether to save after them.

    Attributes:
        saved: steps that the checkpoint holds; -1 before the first one.
    """

    def __init__(self, folder: Path, due: Callable[[int], bool]) -> None:
        self._path, self._due = folder / LAST, due
        self.saved = -1

    def after_step(self, trainer: pl.Trainer, pl_module: Any, step: int) -> None:
        """Saves when it is time."""
        if self._due(step):
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Saves now."""
        trainer.save_checkpoint(self._path, weights_only=False)
        self.saved = trainer.global_step


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Returns the content of a checkpoint, on the CPU; nothing in it is executed.

    Raises:
        ConfigError: it is missing or damaged.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise ConfigError(f'{path}: cannot read the checkpoint: {error.strerror}') from None
    except Exception as error:  # an unpickler of other bytes may raise anything
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise ConfigError(f'{path}: is no checkpoint, or a damaged one: {reason}') from None
    if not isinstance(content, dict) or 'bev_run' not in content:
        raise ConfigError(f'{path}: is no checkpoint of bev-trainer')
    return content
