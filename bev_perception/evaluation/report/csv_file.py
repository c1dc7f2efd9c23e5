"""figures.csv: one row per run and figure, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io

from bev_perception.evaluation.results import Evaluation

COLUMNS = (
    'model', 'trained_on', 'data', 'condition', 'figure', 'value', 'low', 'high', 'better', 'unit',
)  # fmt: skip


def figures_csv(evaluation: Evaluation) -> str:
    """Returns a table of all figures with all their digits; cells of what is n/a are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for run in evaluation.runs:
        for name, figure in run.figures.items():
            numbers = [_number(value) for value in (figure.value, figure.low, figure.high)]
            about = (run.model, run.trained_on, run.data, run.condition, name)
            writer.writerow([*about, *numbers, figure.better, figure.unit])
    return text.getvalue()


def _number(value: float | None) -> str:
    return '' if value is None or value != value else repr(float(value))
