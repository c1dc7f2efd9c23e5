"""One number of an evaluation, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal['higher', 'lower']


@dataclass(frozen=True)
class Figure:
    """A number with what it takes to read it.

    Attributes:
        value: None when it is not defined here (n/a): nothing of the kind in the ground truth, or
            the model does not predict it. Never 0 in that case.
        better: which way is better.
        unit: empty for shares and scores.
    """

    value: float | None
    better: Better = 'higher'
    unit: str = ''

    def __str__(self) -> str:
        return 'n/a' if self.value is None else f'{self.value:.4f} {self.unit}'.rstrip()


def ratio(part: float, whole: float, better: Better = 'higher', unit: str = '') -> Figure:
    """Returns part / whole, n/a when there is no whole."""
    return Figure(float(part) / float(whole) if whole > 0 else None, better, unit)
