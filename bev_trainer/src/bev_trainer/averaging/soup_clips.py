"""Clips to recalibrate and to compare soups on."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from bev_perception.evaluation.report.numbers import plural
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig
from bev_trainer.averaging.batch_norm import recalibrate
from bev_trainer.averaging.evaluate import even_clips, losses_of, total_of
from bev_trainer.averaging.tensors import State
from bev_trainer.config.sections import ClipSection, DataSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.sources import open_sources
from bev_trainer.dataset.description import Split

_BATCH = 4  # clips: enough for statistics of a batch, little enough for a small computer


class SoupClips:
    """Training and validation clips of a data set, prepared for one network.

    They are kept in memory, some 14 MB a clip for `nano`.

    Args:
        path: data set; or one drive file, which then serves as both.
        config: of the network.
        count: of clips each, spread evenly.
    """

    def __init__(self, path: Path, config: ModelConfig, count: int) -> None:
        self._path, self._config, self._count = path, config, count

    @cached_property
    def training(self) -> list[Clip]:
        """Batches of training clips.

        Raises:
            BevError: there are none, or the data is damaged.
        """
        return self._clips('train')

    @cached_property
    def validation(self) -> list[Clip]:
        """Batches of validation clips; raises as `training`."""
        return self.training if self._is_drive else self._clips('val')

    @property
    def name(self) -> str:
        """What the data is called."""
        return self._path.resolve().stem

    @property
    def _is_drive(self) -> bool:
        return self._path.suffix == '.zip'

    def recalibrate(self, model: BevModel) -> None:
        """Computes the statistics of batch normalisation anew on the training clips."""
        recalibrate(model, self.training)

    def score(self, model: BevModel, state: State) -> float:
        """Returns the negative total loss on the validation clips of weights in a model.

        Batch normalisation is recalibrated first, as it is for the soup that comes of it.
        """
        model.load_state_dict(dict(state))
        self.recalibrate(model)
        return -total_of(losses_of(model, self.validation))

    def __str__(self) -> str:
        clips = sum(len(batch.frames[0].images) for batch in self.training)
        return f'{plural(clips, "clip")} of {self.name}'

    def _clips(self, split: Split) -> list[Clip]:
        section = DataSection(path=self._path, split=None if self._is_drive else split)
        (source,) = open_sources([section], self._config, ClipSection())
        return list(even_clips(source, self._count, _BATCH))
