"""Which tasks a training has beside those of the model."""

from __future__ import annotations

from bev_perception.model.bev_model import BevModel
from bev_trainer.config.sections import ClipSection, LossSection
from bev_trainer.training.auxiliary.hop import HistoricalObjects
from bev_trainer.training.auxiliary.perspective import PerspectiveObjects
from bev_trainer.training.auxiliary.task import AuxiliaryTask


def auxiliary_tasks(
    section: LossSection, model: BevModel, clip: ClipSection
) -> dict[str, AuxiliaryTask]:
    """Returns the tasks that are asked for, by name.

    Raises:
        ConfigError: one of them does not go with the model or the clips.
    """
    tasks: dict[str, AuxiliaryTask] = {}
    if section.hop:
        tasks['hop'] = HistoricalObjects(model, clip.frames)
    if section.perspective:
        tasks['perspective'] = PerspectiveObjects(model)
    return tasks
