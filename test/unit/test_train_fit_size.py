"""The largest batch that fits, and what to do with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bev_trainer.cli import main
from bev_trainer.commands import fit_size as command
from bev_trainer.config.train_config import load_train_config
from bev_trainer.training import memory
from bev_trainer.training.memory import (
    CpuNeeds,
    a_large_clip,
    available_bytes,
    clips_of,
    do_steps,
    fits_on_gpu,
    largest,
    split_up,
)
from support.train_set import write_data_set, write_training

from bev_perception.errors import ConfigError

GIB = 2**30


@pytest.mark.parametrize('most', [1, 2, 3, 7, 64, 100])
def test_the_largest_that_fits_is_found_with_few_trials(most: int) -> None:
    for limit in range(most + 3):
        tried: list[int] = []

        def fits(batch: int, limit: int = limit, tried: list[int] = tried) -> bool:
            tried.append(batch)
            return batch <= limit

        assert largest(fits, most) == min(limit, most)
        assert len(tried) == len(set(tried)) <= 2 * most.bit_length()
        assert all(1 <= batch <= most for batch in tried)
        # Never far beyond what fits: on a shared device that would hurt others.
        assert max(tried) <= max(2 * limit, 1)


def test_clips_per_step_stay_the_same() -> None:
    assert split_up(24, 5) == (4, 6)
    assert split_up(24, 24) == (24, 1)
    assert split_up(24, 100) == (24, 1)
    assert split_up(23, 22) == (1, 23)
    assert split_up(24, 24, processes=3) == (8, 3)
    assert split_up(24, 7, processes=4) == (6, 4)
    with pytest.raises(ConfigError, match=r'24 clips per step .* cannot be shared by 5 processes'):
        split_up(24, 24, processes=5)


def test_what_is_left_of_the_memory_is_for_clips() -> None:
    needs = CpuNeeds(base=1000, per_clip=100, worker=300)
    assert needs.batch(2000, workers=0) == 10
    assert needs.batch(2050, workers=2) == 4
    assert needs.batch(1000, workers=0) == needs.batch(1500, workers=2) == 0


def test_free_memory_is_a_part_of_all() -> None:
    total = next(
        int(line.split()[1]) * 1024
        for line in Path('/proc/meminfo').read_text().splitlines()
        if line.startswith('MemTotal:')
    )
    assert 0 < available_bytes() < total


@pytest.fixture(scope='module')
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('fit')
    data = write_data_set(folder / 'data', ('train', 'val'))
    return write_training(folder, data, run={'batch': 4, 'accumulate': 6, 'workers': 1})


def test_steps_are_those_of_the_training(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, seen = load_train_config(file), []
    clip = clips_of(config)
    assert clip.frames[0].camera_mask.all()
    with monkeypatch.context() as patch:
        step = memory.ClipTraining.training_step

        def noted(self: memory.ClipTraining, batch: object, index: int) -> object:
            found = step(self, batch, index)  # type: ignore[arg-type]
            seen.append((len(batch.clip.frames[0].images), found['loss']))  # type: ignore[attr-defined]
            return found

        patch.setattr(memory.ClipTraining, 'training_step', noted)
        do_steps(config, clip, 3, torch.device('cpu'))
    assert [count for count, _ in seen] == [3, 3]
    assert seen[1][1] < seen[0][1]  # it has learned


def test_out_of_memory_is_no_fit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_train_config(file)

    def steps(config: object, clip: object, batch: int, device: torch.device) -> None:
        assert device.type == 'cuda'
        if batch > 11:
            raise torch.OutOfMemoryError
        if batch < 1:
            raise AssertionError

    monkeypatch.setattr(memory, 'do_steps', steps)
    assert largest(fits_on_gpu(config, None), 64) == 11  # type: ignore[arg-type]

    def broken(*args: object) -> None:
        raise RuntimeError('something else')

    monkeypatch.setattr(memory, 'do_steps', broken)
    with pytest.raises(RuntimeError, match='something else'):
        fits_on_gpu(config, None)(1)  # type: ignore[arg-type]


def test_the_largest_rig_is_measured() -> None:
    class Source:
        clips = 20

        def __init__(self, cameras: list[int]) -> None:
            self._cameras = cameras

        def clip(self, index: int, seed: int | None, near: bool = False) -> object:
            assert seed is None
            mask = torch.arange(6)[None] < self._cameras[index]
            frame = type('Frame', (), {'camera_mask': mask})
            return type('Clip', (), {'frames': (frame,), 'index': index})

    few, many = Source([2] * 20), Source([3] * 10 + [6] * 10)
    found = a_large_clip([few, many])  # type: ignore[list-item]
    assert found.index >= 10  # type: ignore[attr-defined]


def measured(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    needs = CpuNeeds(base=GIB, per_clip=GIB // 2, worker=GIB // 4)
    monkeypatch.setattr(command, 'measure_cpu', lambda config: needs)
    monkeypatch.setattr(command, 'available_bytes', lambda: round(free * GIB))


def test_it_prints_what_to_write_into_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 0.9 * 6 - 1 - 2 workers of a quarter (validation has its own): 3.9 GiB for clips.
    measured(monkeypatch, free=6.0)
    assert main(['fit-size', str(file), '--device', 'cpu']) == 0
    assert capsys.readouterr().out.splitlines() == [
        'a clip takes 0.50 GiB, the rest of the training 1.00 GiB, each of 2 workers 0.25 GiB; '
        '6.00 GiB are free',
        'largest batch that fits: 7 clips',
        f'for 24 clips per step as in {file}:',
        'run: {batch: 6, accumulate: 4}',
    ]
    assert main(['fit-size', str(file), '--device', 'cpu', '--processes', '3']) == 0
    assert 'run: {batch: 4, accumulate: 6}' in capsys.readouterr().out


def test_what_cannot_be_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(monkeypatch, free=1.0)
    assert main(['fit-size', str(file), '--device', 'cpu']) == 2
    assert 'not even one clip fits' in capsys.readouterr().err
    assert main(['fit-size', str(file), '--device', 'cpu', '--processes', '5']) == 2
    assert 'cannot be shared by 5 processes' in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main(['fit-size', str(file), '--device', 'cuda']) == 2
        assert 'no CUDA device' in capsys.readouterr().err


@pytest.mark.slow
def test_more_clips_take_more_memory_as_predicted(file: Path) -> None:
    config = load_train_config(file)
    needs = memory.measure_cpu(config)
    assert needs.per_clip > 2**20
    with memory.ProcessPoolExecutor(1, mp_context=memory.get_context('spawn')) as pool:
        _, peak = pool.submit(memory._peak_bytes, config, 24).result()
    assert peak == pytest.approx(needs.base + 24 * needs.per_clip, rel=0.15)
