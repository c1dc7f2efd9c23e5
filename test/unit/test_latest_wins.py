from __future__ import annotations

import threading

import pytest

from bev_perception.runtime.latest_wins import LatestWinsWorker, WorkerCounts


class Bench:
    """A worker whose jobs can be held back."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.done: list[int] = []
        self.errors: list[Exception] = []
        self.worker = LatestWinsWorker(self.work, self.errors.append, 'test')

    def work(self, job):
        self.begun.release()
        assert self.go_on.acquire(timeout=10)
        if job < 0:
            raise ValueError(f'job {job}')
        self.done.append(job)


@pytest.fixture
def bench():
    bench = Bench()
    bench.worker.start()
    yield bench
    for _ in range(10):
        bench.go_on.release()
    bench.worker.stop()


def test_a_slow_worker_drops_whole_old_jobs_and_keeps_the_newest(bench):
    bench.worker.submit(0)
    assert bench.begun.acquire(timeout=10)
    for job in (1, 2, 3):
        bench.worker.submit(job)
    bench.go_on.release()
    assert bench.begun.acquire(timeout=10)
    bench.go_on.release()
    bench.worker.stop()
    assert bench.done == [0, 3]
    assert bench.worker.counts() == WorkerCounts(received=4, processed=2, dropped=2)


def test_a_failing_job_is_reported_and_the_next_one_runs(bench):
    bench.worker.submit(-1)
    assert bench.begun.acquire(timeout=10)
    bench.go_on.release()
    bench.worker.submit(5)
    assert bench.begun.acquire(timeout=10)
    bench.go_on.release()
    bench.worker.stop()
    assert [str(e) for e in bench.errors] == ['job -1']
    assert bench.done == [5]
    assert bench.worker.counts().processed == 1


def test_stopping_finishes_the_job_in_hand_and_drops_the_waiting_one(bench):
    bench.worker.submit(1)
    assert bench.begun.acquire(timeout=10)
    bench.worker.submit(2)
    bench.go_on.release()
    bench.go_on.release()
    bench.worker.stop()
    assert bench.done[0] == 1
    counts = bench.worker.counts()
    assert counts.processed + counts.dropped == 2
    bench.worker.stop()
