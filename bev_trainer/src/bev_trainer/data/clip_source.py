"""Where clips come from, by number."""

from __future__ import annotations

from typing import Protocol

from bev_trainer.data.clip import Clip


class ClipSource(Protocol):
    """A source of clips; picklable, and the same for the same numbers in every process."""

    @property
    def clips(self) -> int:
        """How many there are."""

    @property
    def scenes(self) -> int:
        """How many recordings they are of."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What of the recordings no clip is made of, one line each."""

    def clip(self, index: int, seed: int | None, near: bool = False) -> Clip:
        """Returns a clip (batch 1).

        Args:
            index: below `clips`.
            seed: of what is drawn at random; None for validation: nothing is.
            near: the frame before the last is one without labels, nearer to it than labels are
                apart, as on a vehicle.

        Raises:
            BevError: it cannot be read; names the file and the reason.
        """
