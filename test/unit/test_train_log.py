"""The log of a training: lines that stay, lines that are taken back, means, NaN."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bev_trainer.training.log_files import CsvLog, create_loggers
from bev_trainer.training.loss_log import LossLog

from bev_perception.errors import BevError


def test_kinds_of_figures_have_files_of_their_own(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / 'log')
    log.log_metrics({'train/total': 1.5, 'train/rate': 1e-3}, 2)
    log.log_metrics({'val/iou/car': 0.25}, 2)
    log.log_metrics({'train/total': 1 / 3, 'train/rate': 2e-3}, 4)
    assert (tmp_path / 'log/train.csv').read_text() == (
        'step,total,rate\n2,1.5,0.001\n4,0.333333333,0.002\n'
    )
    assert (tmp_path / 'log/val.csv').read_text() == 'step,iou/car\n2,0.25\n'


def test_new_columns_and_missing_ones(tmp_path: Path) -> None:
    log, file = CsvLog(tmp_path), tmp_path / 'val.csv'
    log.log_metrics({'val/a': 1.0}, 1)
    log.log_metrics({'val/b': 2.0}, 2)
    log.log_metrics({'val/a': 3.0}, 3)
    assert file.read_text() == 'step,a,b\n1,1,\n2,,2\n3,3,\n'
    log.log_metrics({'val/a': 4.0, 'val/b': 5.0}, 3)
    assert file.read_text() == 'step,a,b\n1,1,\n2,,2\n3,4,5\n'


def test_what_came_after_the_checkpoint_is_taken_back(tmp_path: Path) -> None:
    first = CsvLog(tmp_path)
    for step in (2, 4, 6):
        first.log_metrics({'train/total': step / 10, 'val/a': 1.0}, step)
    with (tmp_path / 'train.csv').open('a') as file:
        file.write('8,0.')  # killed in the middle of a line
    later = CsvLog(tmp_path)
    later.keep_up_to(4)
    assert (tmp_path / 'train.csv').read_text() == 'step,total\n2,0.2\n4,0.4\n'
    later.log_metrics({'train/total': 0.7}, 6)
    assert (tmp_path / 'train.csv').read_text() == 'step,total\n2,0.2\n4,0.4\n6,0.7\n'
    later.keep_up_to(0)
    later.log_metrics({'val/a': 2.0}, 1)
    assert (tmp_path / 'val.csv').read_text() == 'step,a\n1,2\n'


def test_tensorboard_is_there_when_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip('tensorboard')
    loggers = create_loggers(tmp_path, 3)
    assert len(loggers) == 2
    for logger in loggers:
        logger.log_metrics({'train/total': 1.0}, 4)
        logger.finalize('success')
    assert list((tmp_path / 'log').glob('events.out.tfevents.*'))


class Recorder:
    def __init__(self) -> None:
        self.lines: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, figures: dict[str, float], step: int) -> None:
        self.lines.append((step, {k: v for k, v in figures.items() if k != 'train/step_s'}))


class Trainer:
    """As much of lightning's as the log asks for; a step takes two passes."""

    is_global_zero, max_steps = True, 100

    def __init__(self) -> None:
        self.global_step, self.passes = 0, 0
        self.loggers = [Recorder()]
        self.optimizers = [SimpleNamespace(param_groups=[{'lr': 0.0}])]

    def one_pass(self, log: LossLog, losses: dict[str, float]) -> None:
        self.optimizers[0].param_groups[0]['lr'] = 0.1 * (self.global_step + 1)
        log.on_train_batch_start(self, None, None, 0)  # type: ignore[arg-type]
        self.passes += 1
        if self.passes % 2 == 0:
            self.global_step += 1
            self.optimizers[0].param_groups[0]['lr'] = 99.0
        outputs = {'losses': {name: torch.tensor(value) for name, value in losses.items()}}
        log.on_train_batch_end(self, None, outputs, None, 0)  # type: ignore[arg-type]

    @property
    def lines(self) -> list[tuple[int, dict[str, float]]]:
        return self.loggers[0].lines


def begin(log: LossLog, trainer: Trainer) -> None:
    log.on_train_start(trainer, SimpleNamespace(device='cpu'))  # type: ignore[arg-type]


def test_lines_are_means_over_the_passes_since_the_last_one() -> None:
    log, trainer = LossLog(('boxes', 'depth'), every=2), Trainer()
    begin(log, trainer)
    for value in (1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0):
        trainer.one_pass(log, {'boxes': value, 'total': 2 * value})
    assert trainer.lines == [
        (2, {'train/boxes': 2.5, 'train/total': 5.0, 'train/rate': pytest.approx(0.2)}),
        (4, {'train/boxes': 25.0, 'train/total': 50.0, 'train/rate': pytest.approx(0.4)}),
    ]


def test_losses_that_were_not_there_do_not_count() -> None:
    log, trainer = LossLog(('boxes', 'depth'), every=1), Trainer()
    begin(log, trainer)
    trainer.one_pass(log, {'boxes': 1.0, 'depth': 6.0, 'total': 7.0})
    trainer.one_pass(log, {})
    trainer.one_pass(log, {'boxes': 4.0, 'total': 4.0})
    trainer.one_pass(log, {'boxes': 6.0, 'total': 6.0})
    found = [{k: v for k, v in line.items() if k != 'train/rate'} for _, line in trainer.lines]
    assert found == [
        {'train/boxes': 1.0, 'train/depth': 6.0, 'train/total': 7.0},
        {'train/boxes': 5.0, 'train/total': 5.0},
    ]


def test_a_stop_between_lines_changes_no_line() -> None:
    values = [float(value) for value in range(12)]
    ends: list[Any] = []
    for stop in (None, 2, 6):
        log, trainer = LossLog(('boxes',), every=3), Trainer()
        begin(log, trainer)
        for number, value in enumerate(values):
            if number == stop:
                state = log.state_dict()
                log = LossLog(('boxes',), every=3)
                log.load_state_dict(state)
                begin(log, trainer)
            trainer.one_pass(log, {'boxes': value, 'total': value})
        ends.append(trainer.lines)
    assert ends[0] == ends[1] == ends[2] and len(ends[0]) == 2


def test_the_last_step_has_a_line() -> None:
    log, trainer = LossLog(('boxes',), every=10), Trainer()
    trainer.max_steps = 3
    begin(log, trainer)
    for _ in range(6):
        trainer.one_pass(log, {'boxes': 1.0, 'total': 1.0})
    assert [step for step, _ in trainer.lines] == [3]


@pytest.mark.parametrize('wrong', [float('nan'), float('inf')])
def test_a_loss_that_is_not_finite_ends_the_training_and_is_not_saved(wrong: float) -> None:
    log, trainer = LossLog(('boxes', 'depth'), every=2), Trainer()
    begin(log, trainer)
    trainer.one_pass(log, {'boxes': 1.0, 'depth': wrong, 'total': wrong})
    with pytest.raises(BevError, match="loss 'depth' is not a finite number"):
        log.state_dict()
    trainer.one_pass(log, {'boxes': 1.0, 'depth': 1.0, 'total': 2.0})
    trainer.one_pass(log, {'boxes': 1.0, 'depth': 1.0, 'total': 2.0})
    with pytest.raises(BevError, match=r'in step 2 or shortly before; .*optimiser\.rate'):
        trainer.one_pass(log, {'boxes': 1.0, 'depth': 1.0, 'total': 2.0})
    assert trainer.lines == []
