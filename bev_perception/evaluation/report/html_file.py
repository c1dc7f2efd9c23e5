"""report.html: one file that needs no network and no script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import bev_perception
from bev_perception.errors import BevError
from bev_perception.evaluation.report.numbers import duration_text, number_text, plural, with_unit
from bev_perception.evaluation.report.runs import (
    NamedRun,
    data_names,
    made_frames,
    named_runs,
    perturbed_runs,
    recorded_s,
    scene_problems,
    scored_frames,
)
from bev_perception.evaluation.report.views.across_data import across_table
from bev_perception.evaluation.report.views.comparisons import comparison_views
from bev_perception.evaluation.report.views.confusions import confusion_views
from bev_perception.evaluation.report.views.curves import chart_groups
from bev_perception.evaluation.report.views.families import figure_families
from bev_perception.evaluation.report.views.headline import tiles
from bev_perception.evaluation.report.views.health import health_views, state_class
from bev_perception.evaluation.report.views.latency import latency_views
from bev_perception.evaluation.report.views.pictures import MAX_PICTURES, picture_groups
from bev_perception.evaluation.report.views.robustness import robustness_tables
from bev_perception.evaluation.report.views.scenes import scene_tables
from bev_perception.evaluation.results import Evaluation

_TEMPLATES = Path(__file__).parent / 'templates'
_PAGE = 'report.html.jinja'


@dataclass(frozen=True)
class RunFacts:
    """What is said about a run before its numbers."""

    named: NamedRun
    scenes: int
    scored: int
    made: int
    recorded: str


def report_html(evaluation: Evaluation) -> str:
    """Returns the page of an evaluation; equal evaluations give equal text.

    Raises:
        BevError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise BevError(
            f'the report page needs the Python package jinja2 ({error}); '
            "pip install 'bev_perception[report]'"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(plural=plural, state_class=state_class, with_unit=with_unit)
    environment.filters['number'] = number_text
    style = jinja2.utils.markupsafe.Markup((_TEMPLATES / 'report.css').read_text('utf-8'))
    return environment.get_template(_PAGE).render(style=style, **_contents(evaluation))


def _contents(evaluation: Evaluation) -> Mapping[str, object]:
    runs = named_runs(evaluation)
    return {
        'version': bev_perception.__version__,
        'title': _title(runs),
        'evaluation': evaluation,
        'facts': tuple(_facts(run) for run in runs),
        'untrained': tuple(dict.fromkeys(r.run.model for r in runs if r.untrained)),
        'unscored': tuple(run for run in runs if not scored_frames(run.run)),
        'problems': scene_problems(evaluation.runs),
        'conditions': len({run.condition for run in perturbed_runs(evaluation)}),
        'tiles': tiles(runs),
        'has_intervals': any(f.low is not None for r in runs for f in r.run.figures.values()),
        'comparisons': comparison_views(evaluation.comparisons, runs),
        'robustness': robustness_tables(evaluation, runs),
        'across': across_table(runs),
        'families': figure_families(runs),
        'charts': chart_groups(runs),
        'confusions': confusion_views(runs),
        'latencies': latency_views(evaluation.timings),
        'pictures': picture_groups(evaluation.pictures),
        'pictures_left_out': max(0, len(evaluation.pictures) - MAX_PICTURES),
        'health': health_views(runs),
        'scenes': scene_tables(runs),
        'several_data': len(data_names(runs)) > 1,
        'several_runs': len(runs) > 1,
    }


def _title(runs: tuple[NamedRun, ...]) -> str:
    models = tuple(dict.fromkeys(run.run.model for run in runs))
    data = data_names(runs)
    if not runs:
        return 'Nothing was evaluated'
    what = ' and '.join(models) if len(models) < 3 else plural(len(models), 'model')
    where = ' and '.join(data) if len(data) < 3 else plural(len(data), 'data set')
    return f'{what} on {where}'


def _facts(run: NamedRun) -> RunFacts:
    return RunFacts(
        run,
        len(run.run.scenes),
        scored_frames(run.run),
        made_frames(run.run),
        duration_text(recorded_s(run.run)),
    )
