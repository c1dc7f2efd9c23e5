"""Makes the models of a study with the commands that people would use, one after another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bev_perception.errors import BevError, ConfigError
from bev_perception.files import make_folder, write_atomically
from bev_trainer.study.arms import TRAINING_FILE, Training
from bev_trainer.study.plan import StudyConfig, slug
from bev_trainer.training.checkpoint import LAST

Say = Callable[[str], None]
Trainings = Mapping[tuple[str, int], Training]

_LOG, _EXPORT = 'log.txt', 'export.txt'


def make_models(
    study: StudyConfig, trainings: Trainings, out: Path, say: Say
) -> dict[str, tuple[Path, ...]]:
    """Returns the model folders of all arms, by seed; a soup has one for all seeds.

    What is there already is taken as it is; a training that was stopped goes on. What was exported
    with other options is exported anew.

    Raises:
        BevError: a command failed, or the folder holds another study.
    """
    options = _calibration(study, trainings)
    _write(trainings)
    for (arm, seed), training in trainings.items():
        say(f'{arm}, seed {seed}')
        _train(training)
        _export(training.run, training.exported, options)
    return {name: tuple(_models(study, name, trainings, out, options)) for name in study.arms}


def _models(
    study: StudyConfig, name: str, trainings: Trainings, out: Path, options: Sequence[str]
) -> list[Path]:
    arm = study.arms[name]
    if arm.of is None:
        return [trainings[name, seed].exported for seed in study.seeds]
    members = [trainings[arm.of, seed] for seed in study.seeds]
    folder = out / 'arms' / slug(name)
    if arm.soup is not None:
        _soup([member.exported for member in members], folder / 'model', _data(members[0]))
        return [folder / 'model']
    found = []
    for seed, member in zip(study.seeds, members, strict=True):
        exported = folder / f'seed_{seed}' / 'model'
        _export(member.run, exported, ['--weights', str(arm.weights), *options])
        found.append(exported)
    return found


def _write(trainings: Trainings) -> None:
    """Writes the files of all trainings; a file that is there must be the same.

    Raises:
        ConfigError: the folder is of another study.
    """
    files = {
        path: text for training in trainings.values() for path, text in training.files().items()
    }
    for path, text in files.items():
        if path.is_file() and path.read_text(encoding='utf-8') != text:
            raise ConfigError(f'{path}: is of another study; choose another folder')
    for path, text in files.items():
        make_folder(path.parent)
        write_atomically(path, text.encode())


def _train(training: Training) -> None:
    if training.exported.is_dir():
        return
    words = ['train', str(training.folder / TRAINING_FILE), '-o', str(training.run)]
    if (training.run / LAST).is_file():
        words.append('--resume')
    _command(words, training.folder / _LOG)


def _calibration(study: StudyConfig, trainings: Trainings) -> list[str]:
    """Returns the options of an export that calibrates, if the study asks for it.

    Raises:
        ConfigError: it does, and a training has no data for it.
    """
    if study.calibrate is None:
        return []
    for (arm, _), training in trainings.items():
        if not training.config['validation']:
            raise ConfigError(f"arm '{arm}': 'calibrate' needs 'validation' in the training file")
    return ['--calibrate', str(study.calibrate)]


def _export(run: Path, model: Path, options: Sequence[str]) -> None:
    record, asked = model.parent / _EXPORT, ' '.join(options)
    if model.is_dir() and record.is_file() and record.read_text(encoding='utf-8') == asked:
        return
    record.unlink(missing_ok=True)
    words = ['export', str(run), '-o', str(model), '--force', *options]
    _command(words, model.parent / _LOG)
    write_atomically(record, asked.encode())


def _soup(models: Sequence[Path], output: Path, data: str) -> None:
    if not output.is_dir():
        words = ['soup', *map(str, models), '-o', str(output), '--data', data]
        _command(words, output.parent / _LOG)


def _data(training: Training) -> str:
    return str(training.parsed().data[0].path)


def _command(words: Sequence[str], log: Path) -> None:
    """Runs a command of `bev-trainer`; what it prints is added to a file.

    Raises:
        BevError: it failed; says where to read why.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('a', encoding='utf-8') as file:
        file.write(f'$ bev-trainer {" ".join(words)}\n')
        file.flush()
        command = [sys.executable, '-m', 'bev_trainer', *words]
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = log.read_text(encoding='utf-8').rstrip().rsplit('\n', 1)[-1]
        raise BevError(f'bev-trainer {words[0]} failed ({done.returncode}), see {log}: {last}')
