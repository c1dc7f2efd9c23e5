"""How fast drives are made: images per second by the clock, CPU time by stage."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bev_perception.parallel.pool import LocalPool, Task
from bev_trainer.simulate.generate import check_done
from bev_trainer.simulate.job import DriveJob
from bev_trainer.simulate.plan import DatasetSpec, plan
from bev_trainer.simulate.record import DriveRecord
from bev_trainer.simulate.work import Makers
from bev_trainer.world.storage import load_world, save_world

ROUNDS = 2  # drives of each worker
WARM_UP_S = 0.5
SET_UP = 'set up'  # stages that do not grow with the images of a drive
_TICKS_PER_S = os.sysconf('SC_CLK_TCK')
_IDLE_COLUMNS = (3, 4)  # idle and iowait, in /proc/stat
_CALM_SHARE = 0.1


@dataclass(frozen=True)
class Sample:
    """One drive.

    Attributes:
        record: what is known of it, its stages included.
        cpu_s: of the worker process, all threads, for the whole drive.
    """

    record: DriveRecord
    cpu_s: float


@dataclass(frozen=True)
class Speed:
    """What a run of the benchmark measured.

    Attributes:
        drives: made while the clock ran.
        images: camera images of them.
        wall_s: from the first drive's start to the last one's end.
        workers: processes.
        cores: that the program may use.
        others_before: cores that other processes kept busy before the start.
        others_during: likewise while the clock ran.
        images_per_s: by the clock.
        cpu_ms_per_image: of all workers, everything included.
        stage_ms_per_image: by stage, without `SET_UP`.
        set_up_s_per_drive: CPU time of `SET_UP`.
        rest_ms_per_image: CPU time that no stage accounts for.
    """

    drives: int
    images: int
    wall_s: float
    workers: int
    cores: int
    others_before: float
    others_during: float
    images_per_s: float
    cpu_ms_per_image: float
    stage_ms_per_image: dict[str, float]
    set_up_s_per_drive: float
    rest_ms_per_image: float

    @property
    def disturbed(self) -> bool:
        """Whether other processes used so much of the cores that the clock says little."""
        return max(self.others_before, self.others_during) > _CALM_SHARE * self.cores


def measure(spec: DatasetSpec, makers: Makers, workers: int, cores: int, folder: Path) -> Speed:
    """Makes `ROUNDS` drives per worker, all in one world, and measures.

    The world, the start of the processes and a short drive in each are over when the clock starts.

    Args:
        spec: of the drives; how many it asks for does not matter.
        makers: who makes world and drives.
        workers: processes.
        cores: that may be used.
        folder: empty; for worlds and drives.

    Raises:
        SimulationError: a drive cannot be made.
    """
    count = workers * ROUNDS
    made = plan(replace(spec, scenes=count, scenes_per_network=count))
    before = others_in(1.0)
    (folder / 'scratch').mkdir()
    world = folder / 'world.json.gz'
    save_world(makers.make_world(made.networks[0], folder / 'scratch'), world)
    with LocalPool(workers) as pool:
        warm_up = [replace(job, seconds=WARM_UP_S) for job in made.drives[:workers]]
        _work_off(pool, makers, warm_up, world, folder)
        busy_s, start_s = _busy_s(), time.monotonic()
        own_s = time.process_time()
        samples = _work_off(pool, makers, made.drives, world, folder)
        wall_s = time.monotonic() - start_s
        busy_s = _busy_s() - busy_s
    own_s = time.process_time() - own_s + sum(sample.cpu_s for sample in samples)
    return speed_of(samples, wall_s, workers, cores, before, max(busy_s - own_s, 0.0) / wall_s)


def speed_of(
    samples: Sequence[Sample],
    wall_s: float,
    workers: int,
    cores: int,
    others_before: float,
    others_during: float,
) -> Speed:
    """Returns the figures of drives that took `wall_s` together."""
    images = sum(sample.record.images for sample in samples)
    stages: dict[str, float] = {}
    for sample in samples:
        for name, seconds in sample.record.stage_s.items():
            stages[name] = stages.get(name, 0.0) + seconds
    cpu_s = sum(sample.cpu_s for sample in samples)
    rest_s = cpu_s - sum(stages.values())
    set_up_s = stages.pop(SET_UP, 0.0)
    return Speed(
        drives=len(samples),
        images=images,
        wall_s=wall_s,
        workers=workers,
        cores=cores,
        others_before=others_before,
        others_during=others_during,
        images_per_s=images / wall_s,
        cpu_ms_per_image=1e3 * cpu_s / images,
        stage_ms_per_image={name: 1e3 * seconds / images for name, seconds in stages.items()},
        set_up_s_per_drive=set_up_s / len(samples),
        rest_ms_per_image=1e3 * rest_s / images,
    )


def as_table(speed: Speed) -> str:
    """Returns the figures for people."""
    per_drive = speed.images / speed.drives
    set_up_ms = 1e3 * speed.set_up_s_per_drive / per_drive
    rows = [*speed.stage_ms_per_image.items(), ('rest', speed.rest_ms_per_image)]
    lines = [
        f'{speed.images_per_s:.1f} images/s by the clock: {speed.images} images in '
        f'{speed.wall_s:.1f} s, {speed.workers} workers on {speed.cores} cores',
        f'{speed.cpu_ms_per_image:.2f} ms CPU per image over all, which is',
        *(f'  {value:7.2f}  {name}' for name, value in rows),
        f'  {set_up_ms:7.2f}  {SET_UP}: {speed.set_up_s_per_drive:.2f} s per drive of '
        f'{per_drive:.0f} images',
        f'  {set_up_ms + sum(value for _, value in rows):7.2f}  sum',
        f'other processes kept {speed.others_before:.1f} cores busy before the start, '
        f'{speed.others_during:.1f} meanwhile',
    ]
    return '\n'.join(lines)


def others_in(seconds: float) -> float:
    """Returns how many cores the computer keeps busy, watched for some seconds."""
    start = _busy_s()
    time.sleep(seconds)
    return (_busy_s() - start) / seconds


def busy_seconds(stat: str) -> float:
    """Returns the CPU seconds that all processes have used, from the text of /proc/stat."""
    columns = [int(word) for word in stat.splitlines()[0].split()[1:9]]
    return (sum(columns) - sum(columns[index] for index in _IDLE_COLUMNS)) / _TICKS_PER_S


def timed_drive(makers: Makers, job: DriveJob, world: Path, folder: Path) -> Sample:
    """Makes a drive and throws the file away; in a worker process."""
    start_s = time.process_time()
    record = makers.make_drive(job, load_world(world), folder)
    cpu_s = time.process_time() - start_s
    (folder / f'{job.name}.zip').unlink()
    return Sample(record, cpu_s)


def _busy_s() -> float:
    return busy_seconds(Path('/proc/stat').read_text())


def _work_off(
    pool: LocalPool, makers: Makers, jobs: Sequence[DriveJob], world: Path, folder: Path
) -> list[Sample]:
    waiting, samples = list(jobs), []
    while waiting or pool.running:
        while waiting and pool.running < pool.size:
            job = waiting.pop(0)
            pool.submit(Task(job.name, timed_drive, (makers, job, world, folder)))
        for done in pool.wait():
            check_done(done)
            samples.append(done.value)
    return samples
