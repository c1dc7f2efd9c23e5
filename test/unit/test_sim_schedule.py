"""Which task comes next."""

from __future__ import annotations

from dataclasses import dataclass

from bev_trainer.simulate.job import DriveJob, NetworkJob
from bev_trainer.simulate.plan import DatasetSpec, plan
from bev_trainer.simulate.schedule import Schedule
from hypothesis import given, settings
from hypothesis import strategies as st


def jobs(scenes: int, per_network: int):
    made = plan(DatasetSpec(scenes=scenes, seconds=1.0, rigs=('robot_3',), size=(64, 32),
                            scenes_per_network=per_network))  # fmt: skip
    return made.networks, made.drives


def test_order_with_one_worker() -> None:
    """A world is begun as soon as fewer than two drives are ready."""
    networks, drives = jobs(6, 2)
    schedule = Schedule(networks, drives, 1)
    order = []
    while (job := schedule.take()) is not None:
        order.append(job.name.replace('00000', ''))
        if isinstance(job, NetworkJob):
            schedule.network_done(job)
    assert order == [
        'net_0', 'drive_0', 'net_1', 'drive_1', 'drive_2', 'net_2', 'drive_3', 'drive_4', 'drive_5'
    ]  # fmt: skip


def test_nothing_to_do_until_a_world_is_there() -> None:
    networks, drives = jobs(2, 2)
    schedule = Schedule(networks, drives, 2)
    assert schedule.take() == networks[0]
    assert schedule.take() is None
    schedule.network_done(networks[0])
    assert [schedule.take() for _ in range(3)] == [*drives, None]


def test_what_comes_again_comes_first() -> None:
    networks, drives = jobs(4, 2)
    schedule = Schedule(networks, drives, 1)
    first = schedule.take()
    assert isinstance(first, NetworkJob)
    schedule.again(first)
    assert schedule.take() == first
    schedule.network_done(first)
    taken = schedule.take()
    assert taken == drives[0] and isinstance(taken, DriveJob)
    schedule.again(taken)
    assert schedule.take() == taken


def test_world_without_drives_of_its_own() -> None:
    """Its map may be missing while its drives are there."""
    networks, drives = jobs(4, 2)
    schedule = Schedule(networks, drives[2:], 1)
    assert schedule.take() == networks[0]
    schedule.network_done(networks[0])
    assert schedule.take() == networks[1]


@dataclass
class Load:
    running: list
    done: set


@settings(max_examples=40, deadline=None)
@given(
    scenes=st.integers(1, 14), per_network=st.integers(1, 4), workers=st.integers(1, 4),
    data=st.data(),
)  # fmt: skip
def test_everything_once_and_worlds_before_their_drives(scenes, per_network, workers, data):
    networks, drives = jobs(scenes, per_network)
    schedule = Schedule(networks, drives, workers)
    load = Load([], set())
    taken = []
    while True:
        while len(load.running) < workers and (job := schedule.take()) is not None:
            if isinstance(job, DriveJob):
                assert job.network in load.done
            load.running.append(job)
            taken.append(job.name)
        if not load.running:
            break
        job = load.running.pop(data.draw(st.integers(0, len(load.running) - 1)))
        load.done.add(job.name)
        if isinstance(job, NetworkJob):
            schedule.network_done(job)
    assert sorted(taken) == sorted(job.name for job in (*networks, *drives))
