"""The files of a report, in one folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bev_perception.errors import BevError
from bev_perception.evaluation.report.csv_file import figures_csv
from bev_perception.evaluation.report.html_file import report_html
from bev_perception.evaluation.report.json_file import results_json
from bev_perception.evaluation.report.timing_file import timing_json
from bev_perception.evaluation.results import Evaluation
from bev_perception.files import write_atomically

RESULTS_FILE = 'results.json'
TIMING_FILE = 'timing.json'
FIGURES_FILE = 'figures.csv'
PAGE_FILE = 'report.html'


def write_report(evaluation: Evaluation, folder: Path) -> tuple[Path, ...]:
    """Writes results.json, figures.csv, timing.json (with timings only) and report.html.

    The page comes last, so that the numbers are safe when it cannot be made.

    Args:
        evaluation: all of it.
        folder: made when it does not exist; files of these names are replaced.

    Returns:
        The paths of what was written.

    Raises:
        BevError: a file cannot be written, or jinja2 is not installed.
    """
    contents: dict[str, Callable[[Evaluation], str]] = {
        RESULTS_FILE: results_json,
        FIGURES_FILE: figures_csv,
    }
    if evaluation.timings:
        contents[TIMING_FILE] = lambda whole: timing_json(whole.timings)
    contents[PAGE_FILE] = report_html
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            write_atomically(folder / name, text(evaluation).encode(errors='replace'))
        if not evaluation.timings:
            (folder / TIMING_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise BevError(f'{folder}: the report cannot be written: {error.strerror}') from error
    return tuple(folder / name for name in contents)
