"""The processes of a training, as torchrun starts them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from bev_perception.errors import ConfigError


@dataclass(frozen=True)
class Processes:
    """Which of several processes this is; torchrun says so in the environment.

    Attributes:
        rank: of this one among all.
        world: how many there are.
        local_world: how many of them are on this machine.
    """

    rank: int
    world: int
    local_world: int

    @classmethod
    def here(cls) -> Processes:
        """Returns what the environment says; alone if it says nothing."""
        names = {'RANK': 0, 'WORLD_SIZE': 1, 'LOCAL_WORLD_SIZE': 1}
        return cls(*(int(os.environ.get(name, value)) for name, value in names.items()))

    def share(self, accumulate: int) -> int:
        """Returns how many passes of a step are done by each process.

        Raises:
            ConfigError: they cannot be shared evenly.
        """
        passes, rest = divmod(accumulate, self.world)
        if rest:
            raise ConfigError(
                f'run.accumulate = {accumulate} is not a multiple of the {self.world} processes'
            )
        return passes
