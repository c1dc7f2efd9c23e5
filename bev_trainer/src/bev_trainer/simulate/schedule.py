"""Which task comes next: worlds early enough that no worker waits for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bev_trainer.simulate.job import DriveJob, NetworkJob


class Schedule:
    """Networks and drives to make. A drive comes after its network; drives before networks.

    Worlds are begun while drives for two rounds of all workers are still there: so the last
    world, too, is made beside drives, and few worlds lie on disk at a time.

    Args:
        networks: in the order in which they are to be made; all that the drives need.
        drives: in the order in which they are to be made.
        workers: tasks that run at the same time.
    """

    def __init__(
        self, networks: Sequence[NetworkJob], drives: Sequence[DriveJob], workers: int
    ) -> None:
        self._networks = deque(networks)
        self._waiting: dict[str, list[DriveJob]] = {network.name: [] for network in networks}
        for drive in drives:
            self._waiting[drive.network].append(drive)
        self._ready: deque[DriveJob] = deque()
        self._ahead = 2 * workers

    def take(self) -> NetworkJob | DriveJob | None:
        """Returns what is to be started now; None: nothing until something is done."""
        if self._networks and len(self._ready) < self._ahead:
            return self._networks.popleft()
        return self._ready.popleft() if self._ready else None

    def network_done(self, network: NetworkJob) -> None:
        """Sets the drives of a network free."""
        self._ready.extend(self._waiting.pop(network.name))

    def again(self, job: NetworkJob | DriveJob) -> None:
        """Puts back what was taken and did not get done; it comes first."""
        if isinstance(job, NetworkJob):
            self._networks.appendleft(job)
        else:
            self._ready.appendleft(job)
