"""Two models on the same clips, side by side."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bev_perception.model.bev_model import BevModel
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_stream import Batch
from bev_trainer.training.validation import look_at
from bev_trainer.training.watch import figures_of

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """What two models come to on one set of clips.

    Attributes:
        data: what the clips are called.
        old, new: losses ('loss/...', less is better) and overlaps ('iou/...', more is better).
    """

    data: str
    old: Figures
    new: Figures


def compare(
    old: BevModel, new: BevModel, data: str, clips: Iterable[Clip], pos_weight: float
) -> Comparison:
    """Returns what two models come to on the same clips.

    Args:
        old: a network.
        new: another one that takes the same clips.
        data: what the clips are called.
        clips: in batches.
        pos_weight: see `head_losses`.
    """
    seen = [
        [look_at(model, [Batch(clip)], pos_weight).sums for model in (old, new)] for clip in clips
    ]
    figures = (figures_of(sums) for sums in zip(*seen, strict=True))
    return Comparison(data, *figures)


def as_text(comparisons: Sequence[Comparison]) -> str:
    """Returns a table for people: a row per figure, three columns per set of clips."""
    head = ['figure']
    for item in comparisons:
        head += [f'{item.data}: old', 'new', 'change']
    rows = [head]
    for name in _names(comparisons):
        row = [name]
        for item in comparisons:
            old, new = item.old.get(name), item.new.get(name)
            both = None if old is None or new is None else new - old
            row += [_number(old), _number(new), '' if both is None else f'{both:+.4f}']
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        [
            cells[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)),
        ]
        for cells in rows
    )
    return '\n'.join('  '.join(line).rstrip() for line in lines)


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """Returns the same for programs: data, figure, old, new."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['data', 'figure', 'old', 'new'])
    for item in comparisons:
        for name in _names([item]):
            writer.writerow([item.data, name, item.old.get(name, ''), item.new.get(name, '')])
    return text.getvalue()


def _names(comparisons: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(n for c in comparisons for part in (c.old, c.new) for n in part))


def _number(value: float | None) -> str:
    return 'n/a' if value is None else f'{value:.4f}'
