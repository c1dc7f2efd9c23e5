"""Trainings that are killed, stopped, shared among processes, and given bad data."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from bev_trainer.cli import main
from bev_trainer.training.checkpoint import LAST, read_checkpoint
from support.train_scenes import written
from support.train_set import lose_box, tear_jpeg, write_data_set, write_training
from torch import Tensor

from bev_perception.evaluation.report.numbers import plural

COMMAND = [sys.executable, '-m', 'bev_trainer', 'train']
TORCHRUN = [
    sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
    '-m', 'bev_trainer', 'train',
]  # fmt: skip


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp('train') / 'data')


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums come in one order, here and in processes that are started."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of six steps of two passes in one go; returns its folder."""
    folder = tmp_path_factory.mktemp('whole')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert trained(folder, six(folder, data)) == 0
    torch.set_num_threads(threads)
    return folder / 'run'


def six(folder: Path, data: Path, **changes: Any) -> Path:
    """Writes the file of a training of six steps of two passes of two clips."""
    changes = {'run': {}, 'check': {}} | changes
    changes['run'] = {'steps': 6, 'accumulate': 2} | changes['run']
    changes['check'] = {'every_steps': 4, 'save_every_steps': 2, 'log_every_steps': 3} | changes[
        'check'
    ]
    average = {'kind': 'ema', 'decay': 0.9}
    augment = {'mirror_share': 0.0, 'colors': {'clip': {'brightness': 0.2}}}
    return write_training(folder, data, average=average, augment=augment, **changes)


def trained(folder: Path, file: Path, *options: str) -> int:
    return main(['train', str(file), '-o', str(folder / 'run'), *options])


def started(folder: Path, file: Path, *before: str, options: Sequence[str] = ()) -> Any:
    """Starts a training as a process group of its own."""
    command = [*(before or COMMAND), str(file), '-o', str(folder / 'run'), *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(found: Any, process: Any, timeout_s: float = 120.0) -> None:
    end = time.monotonic() + timeout_s
    while not found():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


def assert_close(found: Any, expected: Any, place: str = '') -> None:
    """Compares nested plain values and tensors to float tolerance."""
    if isinstance(expected, Tensor):
        torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-6, msg=lambda m: place + m)
    elif isinstance(expected, Mapping):
        assert found.keys() == expected.keys(), place
        for key, value in expected.items():
            assert_close(found[key], value, f'{place}.{key}')
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), place
        for index, pair in enumerate(zip(found, expected, strict=True)):
            assert_close(*pair, f'{place}.{index}')
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=2e-4, abs=1e-6), place
    else:
        assert found == expected, place


def assert_same_training(found: Path, expected: Path) -> None:
    """Compares weights, statistics, optimiser, average, schedule, counts and logs."""
    ours, theirs = (read_checkpoint(folder / LAST) for folder in (found, expected))
    assert ours['global_step'] == theirs['global_step']
    for part in ('state_dict', 'optimizer_states', 'lr_schedulers', 'callbacks'):
        assert_close(ours[part], theirs[part], part)
    for name in ('train.csv', 'val.csv'):
        assert_close(log(found, name), log(expected, name), name)


def log(folder: Path, name: str) -> list[dict[str, float]]:
    with (folder / 'log' / name).open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    for row in rows:
        row.pop('step_s', None)
    return rows


def test_the_whole_training_is_in_its_folder(whole: Path) -> None:
    assert [row['step'] for row in log(whole, 'train.csv')] == [3, 6]
    assert [row['step'] for row in log(whole, 'val.csv')] == [4, 6]
    names = sorted(path.name for path in (whole / 'pictures').iterdir())
    assert names == ['step_000004.png', 'step_000006.png']
    checkpoint = read_checkpoint(whole / LAST)
    assert checkpoint['global_step'] == 6
    assert checkpoint['callbacks']['Averaging']['step'] == 6
    assert checkpoint['callbacks']['LeftOut'] == {'reasons': {}, 'seen': 24, 'parts': []}
    assert sorted(path.name for path in whole.iterdir()) == [
        'last.ckpt', 'log', 'pictures', 'train.yaml',
    ]  # fmt: skip


def test_killed_and_resumed_is_the_same_as_in_one_go(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    file = six(tmp_path, data)
    process = started(tmp_path, file)
    checkpoint = tmp_path / 'run' / LAST
    wait_for(checkpoint.exists, process)
    process.kill()
    process.communicate()
    step = read_checkpoint(checkpoint)['global_step']
    assert step in (2, 4)
    assert trained(tmp_path, file, '--resume') == 0
    assert_same_training(tmp_path / 'run', whole)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_resumed_is_the_same_as_in_one_go(
    whole: Path, data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """With a worker process, which gets the signal too, as from a terminal."""
    file = six(tmp_path, data, run={'workers': 1}, check={'save_every_steps': 100})
    process = started(tmp_path, file)
    wait_for((tmp_path / 'run' / 'log' / 'train.csv').exists, process)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    step = read_checkpoint(tmp_path / 'run' / LAST)['global_step']
    assert 3 <= step < 6
    assert out.splitlines()[-1] == (
        f'{tmp_path}/run: {step} steps stopped; go on with --resume, 0 clips and 0 images left out'
    )
    assert trained(tmp_path, six(tmp_path, data), '--resume') == 0
    assert_same_training(tmp_path / 'run', whole)


def test_two_ranks_are_one_with_twice_the_accumulation(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    process = started(tmp_path, six(tmp_path, data), *TORCHRUN)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == f'{tmp_path}/run: 6 steps done, 0 clips and 0 images left out'
    assert_same_training(tmp_path / 'run', whole)


@pytest.mark.slow
def test_one_rank_goes_on_with_what_two_have_begun(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    """Stopped after an odd number of steps: passes of ranks are counted otherwise than of one."""
    file = six(tmp_path, data, run={'workers': 1}, check={'save_every_steps': 100})
    process = started(tmp_path, file, *TORCHRUN)
    wait_for((tmp_path / 'run' / 'log' / 'train.csv').exists, process)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    step = read_checkpoint(tmp_path / 'run' / LAST)['global_step']
    assert 3 <= step < 6
    assert trained(tmp_path, six(tmp_path, data), '--resume') == 0
    assert_same_training(tmp_path / 'run', whole)


def test_bad_data_is_named_and_counted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = Path(shutil.copytree(data, tmp_path / 'data'))
    torn = tear_jpeg(spoilt / 'drives' / 'drive_000001.zip')
    lost = lose_box(spoilt / 'drives' / 'drive_000002.zip')
    file = write_training(
        tmp_path, spoilt, run={'max_bad_share': 0.5}, validation=[], check={'every_steps': 100}
    )
    assert trained(tmp_path, file) == 0
    printed = capsys.readouterr()
    reasons = (
        f"{torn}: frame 2 of camera 'left': jpeg data is cut off after",
        f"{lost}: frame 4: the box of object 3 ('net_000000_child_2') now or on its way is not",
    )
    total = 0
    for reason in reasons:
        (line,) = [line for line in printed.out.splitlines() if reason in line]
        times = line.removeprefix('left out ').partition(':')[0]
        total += 1 if times == 'once' else int(times.removesuffix(' times'))
        assert printed.err.count(reason) == 1
    # Of eight clips in all, six are there, and each comes once before any comes again.
    assert total >= 3
    assert printed.out.splitlines()[-1] == (
        f'{tmp_path}/run: 4 steps done, {total} clips and 0 images left out'
    )
    shutil.rmtree(tmp_path / 'run')
    file = write_training(tmp_path, spoilt, run={'max_bad_share': 0.0}, validation=[])
    assert trained(tmp_path, file) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r'bev-trainer: error: \d of \d clips could not be read, more than', error)
    assert any(reason in error for reason in reasons)


def test_lost_images_are_named_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of recordings, in worker processes, over a stop: the one clip comes twice in every step."""
    tables = written(tmp_path / 'formats').nuscenes
    left = sorted((tables / 'samples' / 'CAM_LEFT').iterdir())
    left[0].write_bytes(left[0].read_bytes()[:-700])
    left[1].unlink()

    def lines(steps: int, *options: str) -> list[str]:
        run = {'steps': steps, 'workers': 1}
        check = {'every_steps': steps, 'save_every_steps': 100}
        file = write_training(
            tmp_path, tables, run=run, check=check,
            validation=[{'path': str(tables), 'split': 'train'}],
            optimiser={'warmup_steps': 0, 'schedule': 'cosine'},
        )  # fmt: skip
        assert trained(tmp_path, file, *options) == 0
        printed = capsys.readouterr()
        assert printed.err.count(f'image left out: {left[0]}: ') == (not options)
        found = [line for line in printed.out.splitlines() if not line.startswith('step ')]
        assert (tmp_path / 'run' / 'log' / 'left_out.txt').read_text().splitlines() == found[:-1]
        return found

    for steps, options in ((1, ()), (3, ('--resume',))):
        index, gone, cut, seen_gone, seen_cut, last = lines(steps, *options)
        assert index == (
            f"not used: {tables}: scene 'drive_000000': 1 of 9 images are not there, the first is "
            f'{left[1].relative_to(tables)}'
        )
        images = f'images left out {2 * steps} times, such as'
        assert cut.startswith(f'{images} {left[0]}: jpeg data is cut off after')
        assert gone == f'{images} {left[1]}: cannot be read: No such file or directory'
        assert seen_cut.startswith(f'validation: image left out once: {left[0]}: ')
        assert seen_gone.startswith(f'validation: image left out once: {left[1]}: ')
        assert last == (
            f'{tmp_path}/run: {plural(steps, "step")} done, 0 clips and {4 * steps} images '
            'left out'
        )


def test_what_cannot_be_gone_on_with_is_refused(
    whole: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = six(tmp_path, data)
    assert trained(whole.parent, file) == 2
    assert 'holds a training already; add --resume' in capsys.readouterr().err
    assert trained(tmp_path, file, '--resume') == 2
    assert 'holds no last.ckpt to go on from' in capsys.readouterr().err
    assert trained(file, file) == 2
    assert f'{file}/run: cannot be made a folder: Not a directory' in capsys.readouterr().err
    before = (whole / LAST).read_bytes()
    other = six(tmp_path, data, name='other.yaml', run={'seed': 3})
    assert trained(whole.parent, other, '--resume') == 2
    assert "the training began with 'run.seed' 0" in capsys.readouterr().err
    assert (whole / LAST).read_bytes() == before
    # A finished training has nothing left to do.
    assert trained(whole.parent, file, '--resume') == 0
    assert '6 steps done' in capsys.readouterr().out
    assert read_checkpoint(whole / LAST)['global_step'] == 6
