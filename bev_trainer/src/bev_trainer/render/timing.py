"""CPU time by stage of the work."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class StageTimes:
    """CPU seconds of this process, all threads, by stage.

    Attributes:
        seconds: by name of stage, in order of first use.
        images: camera images made so far.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    images: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds what is spent inside to a stage."""
        start = time.process_time()
        try:
            yield
        finally:
            self.seconds[name] += time.process_time() - start

    def ms_per_image(self) -> dict[str, float]:
        """Returns milliseconds per camera image by stage."""
        return {name: 1e3 * value / max(self.images, 1) for name, value in self.seconds.items()}
