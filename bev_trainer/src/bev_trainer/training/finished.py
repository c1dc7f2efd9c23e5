"""Models out of the checkpoints of trainings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.evaluation.report.numbers import plural
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig
from bev_perception.model.config_sections import TrainingDataSection
from bev_trainer.data.splits import learned_too
from bev_trainer.training.averages import create_average
from bev_trainer.training.checkpoint import LAST, read_checkpoint
from bev_trainer.training.record import RunRecord

Weights = Literal['average', 'last']

_MODEL = 'model.'


@dataclass(frozen=True, eq=False)
class Finished:
    """What a training has come to.

    Attributes:
        model: in evaluation mode, with the chosen weights.
        weights: which ones.
        step: of the checkpoint.
        record: of the training.
    """

    model: BevModel
    weights: Weights
    step: int
    record: RunRecord

    @property
    def learned_too(self) -> str:
        """Names of validation data that may hold what it has learned from; empty: none does."""
        config = self.record.config
        return ', '.join(s.path.name for s in learned_too(config.validation, config.data))

    def description(self) -> ModelConfig:
        """Returns the description of the model, with where its weights come from."""
        record, before = self.record, self.record.model.training
        names = ', '.join(f'{item.name} ({item.split or "all"})' for item in record.data)
        scenes = sum(item.scenes for item in record.data)
        text = f'{plural(self.step, "step")} on {plural(scenes, "recording")} of {names}'
        data = tuple(TrainingDataSection(**asdict(item)) for item in record.data)
        codes = record.code.split(', ')
        if before.trained:
            text, data = f'{text}; before that {before.description}', (*before.data, *data)
            codes = [*filter(None, before.code.split(', ')), *codes]
        training = before.model_copy(
            update={
                'trained': True,
                'description': text,
                'seed': record.config.run.seed,
                'steps': self.step,
                'code': ', '.join(dict.fromkeys(codes)),
                'data': tuple(dict.fromkeys(data)),
            }
        )
        return self.record.model.model_copy(update={'training': training})


def load_finished(run: Path, weights: Weights | None = None) -> Finished:
    """Returns the model of the last checkpoint of a training.

    Args:
        run: folder of the training.
        weights: the average along the training or those of the last step; None: the average if
            there is one.

    Raises:
        ConfigError: there is no checkpoint, or no average in it.
    """
    path = run / LAST
    content = read_checkpoint(path)
    record = RunRecord.load(content['bev_run'], str(path))
    model = BevModel(record.model)
    model.load_state_dict(_of_model(content['state_dict']))
    average = content['callbacks'].get('Averaging')
    if weights == 'average' and not average:
        raise ConfigError(f'{path}: holds no average of weights; export those of the last step')
    if weights != 'last' and average:
        _load_average(model, record, average)
    return Finished(
        model.eval().requires_grad_(False),
        'average' if weights != 'last' and average else 'last',
        int(content['global_step']),
        record,
    )


def _of_model(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors of the network; what only trains with it is left out."""
    return {
        name.removeprefix(_MODEL): tensor
        for name, tensor in tensors.items()
        if name.startswith(_MODEL)
    }


def _load_average(model: BevModel, record: RunRecord, state: dict[str, Any]) -> None:
    average = create_average(record.config.average, model)
    average.load_state_dict(state)
    with average.applied(model):
        found = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(found)
