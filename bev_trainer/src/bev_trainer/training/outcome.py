"""What came of a training, and what of its data could not be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bev_perception.evaluation.report.numbers import plural
from bev_perception.files import write_atomically
from bev_trainer.data.lost_parts import LostParts
from bev_trainer.training.log_files import LOG

LEFT_OUT_FILE = 'left_out.txt'  # beside the log
_MOST = 20  # lines of each kind in a summary


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a training.

    Attributes:
        step: steps that are done.
        signal: that ended it early; None if it was finished.
        problems: what of the recordings no clip is made of.
        left_out: how often which clips were left out of the training, by file and reason.
        lost: what other clips of the training had to do without.
        unseen: validation clips that could not be read.
        unseen_parts: what others had to do without at the last look at them.
    """

    step: int
    signal: int | None
    problems: tuple[str, ...]
    left_out: dict[str, int]
    lost: LostParts
    unseen: tuple[str, ...]
    unseen_parts: LostParts

    @property
    def clips(self) -> int:
        """How many clips were left out of the training."""
        return sum(self.left_out.values())

    @property
    def images(self) -> int:
        """How many images were left out of clips of the training."""
        return self.lost.count('image')

    def lines(self, most: int | None = None) -> list[str]:
        """Returns what could not be used, at most so many lines of each kind."""
        kinds = [
            [f'not used: {problem}' for problem in self.problems],
            self.lost.lines(),
            [
                f'left out {"once" if count == 1 else f"{count} times"}: {reason}'
                for reason, count in self.left_out.items()
            ],
            [f'validation: {line}' for line in self.unseen_parts.lines()],
            [f'not validated on: {reason}' for reason in self.unseen],
        ]
        found: list[str] = []
        for lines in kinds:
            shown = lines if most is None or len(lines) <= most else lines[:most]
            found += shown
            if len(shown) < len(lines):
                found.append(
                    f'... and {len(lines) - len(shown)} lines more, see {LOG}/{LEFT_OUT_FILE}'
                )
        return found

    def summary(self, folder: Path) -> str:
        """Returns what came of the training in a folder, for people."""
        ended = 'done' if self.signal is None else 'stopped; go on with --resume'
        last = (
            f'{folder}: {plural(self.step, "step")} {ended}, {plural(self.clips, "clip")} and '
            f'{plural(self.images, "image")} left out'
        )
        return '\n'.join([*self.lines(_MOST), last])

    def write(self, folder: Path) -> None:
        """Writes all that could not be used beside the log of a training; nothing if all could."""
        lines = self.lines()
        if lines:
            text = '\n'.join([*lines, ''])
            (folder / LOG).mkdir(parents=True, exist_ok=True)
            write_atomically(folder / LOG / LEFT_OUT_FILE, text.encode())
