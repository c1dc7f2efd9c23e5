"""Makes a data set: worlds and drives in worker processes, resumed where an earlier run ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bev_perception.parallel.pool import Done, Pool, Task
from bev_trainer.dataset.manifest import Header, Manifest, RigSection, SpecSection
from bev_trainer.errors import SimulationError
from bev_trainer.simulate.disk import check_space
from bev_trainer.simulate.job import DriveJob, NetworkJob
from bev_trainer.simulate.output import OutputFolder, writable
from bev_trainer.simulate.plan import Plan
from bev_trainer.simulate.record import DriveRecord
from bev_trainer.simulate.rigs import rig_sha256
from bev_trainer.simulate.schedule import Schedule
from bev_trainer.simulate.work import Makers, make_drive_file, make_world_files

Report = Callable[['Progress'], None]


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        drives: to be there at the end.
        images: likewise.
        kept: drives that earlier runs have made.
        records: of all drives that are there.
        made_images: by this run.
        last: name of the drive that was made last.
    """

    drives: int
    images: int
    kept: int
    records: dict[str, DriveRecord] = field(default_factory=dict)
    made_images: int = 0
    last: str = ''


def generate(plan: Plan, makers: Makers, root: Path, pool: Pool, report: Report) -> Manifest:
    """Makes what is missing of a data set and completes it.

    However often a run is killed, and however many workers there are, the files that are there at
    the end have the same bytes.

    Args:
        plan: what is to be made.
        makers: who makes it.
        root: folder of the data set.
        pool: where the work is done; not entered yet.
        report: is called when the run starts and after every drive.

    Raises:
        SimulationError: a drive or a world cannot be made, its process died twice, the folder
            holds another data set, or the disk is full. What was complete by then stays, and a
            later run goes on from there.
    """
    folder = OutputFolder(root, header_of(plan, makers))
    with folder.opened():
        records = folder.finished(plan.drives)
        missing = [job for job in plan.drives if job.name not in records]
        progress = Progress(
            drives=len(plan.drives),
            images=sum(job.images for job in plan.drives),
            kept=len(records),
            records=records,
        )
        check_space(root, missing)
        report(progress)
        run = _Run(makers, root, pool, progress, report)
        with writable(root), pool:
            run.work_off(_schedule(plan, missing, folder.networks_with_maps(plan.drives), pool))
        with writable(root):
            return folder.complete(plan.drives, records)


def header_of(plan: Plan, makers: Makers) -> Header:
    """Returns what a data set says of itself before it is made."""
    spec = plan.spec
    return Header(
        spec=SpecSection(
            scenes=spec.scenes,
            seconds=spec.seconds,
            rigs=tuple(RigSection(name=n, sha256=rig_sha256(r)) for n, r in plan.rigs.items()),
            size=spec.size,
            supersample=spec.supersample,
            seed=spec.seed,
            weather=spec.weather,
            image_hz=spec.image_hz,
            label_hz=spec.label_hz,
            scenes_per_network=spec.scenes_per_network,
        ),
        versions=package_versions(makers.packages),
    )


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Returns the versions of distributions; raises SimulationError when one is missing."""
    try:
        return {name: version(name) for name in packages}
    except PackageNotFoundError as error:
        raise SimulationError(
            f"the Python package {error.name} is missing; pip install 'bev_trainer[simulate]'"
        ) from error


def _schedule(plan: Plan, missing: list[DriveJob], mapped: set[str], pool: Pool) -> Schedule:
    """Returns what is to be done: drives that are missing, and the worlds and maps they need."""
    needed = {job.network for job in missing}
    needed |= {job.network for job in plan.drives if job.network not in mapped}
    networks = [network for network in plan.networks if network.name in needed]
    return Schedule(networks, missing, pool.size)


@dataclass(frozen=True)
class _Run:
    """Keeps a pool busy until a schedule is worked off."""

    makers: Makers
    root: Path
    pool: Pool
    progress: Progress
    report: Report
    crashed: set[str] = field(default_factory=set)

    def work_off(self, schedule: Schedule) -> None:
        """Returns when all is done; raises for the first thing that cannot be."""
        jobs: dict[str, NetworkJob | DriveJob] = {}
        while True:
            while self.pool.running < self.pool.size and (job := schedule.take()) is not None:
                jobs[job.name] = job
                self.pool.submit(self._task(job))
            if not self.pool.running:
                return
            for done in self.pool.wait():
                job = jobs.pop(done.task.name)
                if self._deserves_another_try(done):
                    schedule.again(job)
                    continue
                check_done(done)
                if isinstance(job, NetworkJob):
                    schedule.network_done(job)
                else:
                    self._note(job, done.value)

    def _deserves_another_try(self, done: Done) -> bool:
        """Returns whether a process was lost for the first time on this task.

        Memory may have been short, or a machine of a cluster gone.
        """
        if done.problem is None or done.problem.kind != 'crash' or done.task.name in self.crashed:
            return False
        self.crashed.add(done.task.name)
        return True

    def _task(self, job: NetworkJob | DriveJob) -> Task:
        function = make_world_files if isinstance(job, NetworkJob) else make_drive_file
        # Processes on other machines work in another folder.
        return Task(job.name, function, (self.makers, job, self.root.absolute()))

    def _note(self, job: DriveJob, record: DriveRecord) -> None:
        self.progress.records[job.name] = record
        self.progress.made_images += job.images
        self.progress.last = job.name
        self.report(self.progress)


def check_done(done: Done) -> None:
    """Raises SimulationError, or RuntimeError for a bug, when a task has no result."""
    if done.problem is None:
        return
    if done.problem.kind == 'bug':
        raise RuntimeError(f'{done.task.name}: {done.problem.text}')
    text = done.problem.text
    name = done.task.name
    raise SimulationError(text if text.startswith(name) else f'{name}: {text}')
