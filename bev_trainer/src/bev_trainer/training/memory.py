"""How much memory a training takes, measured with steps of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from bev_perception.errors import ConfigError
from bev_trainer.config.train_config import TrainConfig
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_source import ClipSource
from bev_trainer.data.clip_stream import Batch
from bev_trainer.training.averages import create_average
from bev_trainer.training.batches import training_sources
from bev_trainer.training.module import ClipTraining
from bev_trainer.training.run import create_model

_LOOKED_AT = 8  # clips per source, to find one of the largest rig
_STEPS = 2  # the second one has the optimiser's state
_TRIED = 1, 3  # clips, on a CPU

_MIXED = {'bf16-mixed': torch.bfloat16, '16-mixed': torch.float16}


@dataclass(frozen=True)
class CpuNeeds:
    """Bytes that a training process takes on a CPU, and those that make its clips.

    Attributes:
        base: without any clip.
        per_clip: more for each clip of a batch.
        worker: of a process that makes clips.
    """

    base: int
    per_clip: int
    worker: int

    def batch(self, available: int, workers: int) -> int:
        """Returns the largest batch that fits, 0 if none does.

        Args:
            available: bytes.
            workers: processes that make clips.
        """
        left = available - self.base - workers * self.worker
        return max(0, left // self.per_clip)


def largest(fits: Callable[[int], bool], most: int) -> int:
    """Returns the largest batch up to `most` that fits, 0 if none does.

    Doubles until one does not fit, and halves the rest.

    Args:
        fits: says of a batch whether it does; whatever is smaller than one that fits does too.
        most: 1 or more.
    """
    good, bad = 0, most + 1
    tried = 1
    while good < tried < bad:
        if fits(tried):
            good = tried
        else:
            bad = tried
        tried = min(2 * tried, most) if bad > most else (good + bad) // 2
    return good


def split_up(clips: int, most: int, processes: int = 1) -> tuple[int, int]:
    """Returns batch and accumulation of so many clips per step, the batch as large as may be.

    Args:
        clips: of a step.
        most: clips in a batch.
        processes: that share the passes of a step.

    Raises:
        ConfigError: the passes cannot be shared evenly.
    """
    for batch in range(min(most, clips), 0, -1):
        passes, rest = divmod(clips, batch)
        if rest == 0 and passes % processes == 0:
            return batch, passes
    raise ConfigError(
        f'{clips} clips per step (run.batch times run.accumulate) cannot be shared by '
        f'{processes} processes'
    )


def measure_cpu(config: TrainConfig) -> CpuNeeds:
    """Returns what a training takes on a CPU, measured in processes of their own."""
    peaks, workers = [], []
    for batch in _TRIED:
        before, peak = peak_bytes(config, batch)
        peaks.append(peak)
        workers.append(before)
    per_clip = max(1, (peaks[1] - peaks[0]) // (_TRIED[1] - _TRIED[0]))
    return CpuNeeds(max(0, peaks[0] - _TRIED[0] * per_clip), per_clip, max(workers))


def peak_bytes(config: TrainConfig, batch: int) -> tuple[int, int]:
    """Returns the memory of a CPU training's process with data alone, and at most.

    Measured in a process of its own, which does two steps.
    """
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        return pool.submit(_peak_bytes, config, batch).result()


def available_bytes() -> int:
    """Returns the memory of this computer that is free, or that its container may still take."""
    for line in Path('/proc/meminfo').read_text().splitlines():
        if line.startswith('MemAvailable:'):
            free = int(line.split()[1]) * 1024
    limit, used = (Path('/sys/fs/cgroup', name) for name in ('memory.max', 'memory.current'))
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()) != 'max':
        free = min(free, int(text) - int(used.read_text()))
    return free


def fits_on_gpu(config: TrainConfig, clip: Clip) -> Callable[[int], bool]:
    """Returns what says whether a batch of such clips fits, by doing steps of the training."""

    def fits(batch: int) -> bool:
        try:
            do_steps(config, clip, batch, torch.device('cuda'))
        except torch.OutOfMemoryError:
            return False
        finally:
            torch.cuda.empty_cache()
        return True

    return fits


def do_steps(config: TrainConfig, clip: Clip, batch: int, device: torch.device) -> None:
    """Trains for two steps on so many copies of a clip, with all that belongs to a training."""
    training = ClipTraining(create_model(config), config, {}).to(device)
    optimiser = training.configure_optimizers()['optimizer']
    average = create_average(config.average, training.model)
    clips = Batch(Clip.collate([clip] * batch).to(device))
    for step in range(1, _STEPS + 1):
        optimiser.zero_grad()
        with precision_of(config, device):
            loss = training.training_step(clips, 0)['loss']
        loss.backward()
        optimiser.step()
        if config.average.kind != 'none':
            average.update(training.model, step)


def a_large_clip(sources: list[ClipSource]) -> Clip:
    """Returns a clip as it is, of as many cameras as there are in those that are looked at."""
    found = []
    for source in sources:
        count = min(_LOOKED_AT, source.clips)
        found += [source.clip(index * source.clips // count, None) for index in range(count)]
    return max(found, key=lambda clip: int(clip.frames[0].camera_mask.sum()))


def clips_of(config: TrainConfig) -> Clip:
    """Returns a clip of the training data of a training file."""
    model = create_model(config)
    return a_large_clip(training_sources(config, model.config))


def precision_of(config: TrainConfig, device: torch.device) -> AbstractContextManager[object]:
    """Returns the context in which a training computes."""
    kind = _MIXED.get(config.run.precision)
    return nullcontext() if kind is None else torch.autocast(device.type, kind)


def _peak_bytes(config: TrainConfig, batch: int) -> tuple[int, int]:
    """Returns the memory of this process with data alone, and at most."""
    clip = clips_of(config)
    before = _status_bytes('VmRSS')
    do_steps(config, clip, batch, torch.device('cpu'))
    return before, _status_bytes('VmHWM')


def _status_bytes(field: str) -> int:
    """Returns a number of /proc; the peak of getrusage is that of the parent, if it was larger."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{field}:'):
            return int(line.split()[1]) * 1024
    raise ConfigError(f'/proc/self/status has no {field}; memory is measured on Linux alone')
