"""Statistics of a data set as one figure, 16 : 10. Only this module needs matplotlib."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bev_perception.files import write_atomically
from bev_trainer.dataset.manifest import SPLITS
from bev_trainer.look import statistics as s
from bev_trainer.look.statistics import CLASS_NAMES, GROUPS, Statistics
from bev_trainer.look.statistics_report import observed_share

_SIZE_INCH, _DPI = (16.0, 10.0), 120
_INK, _QUIET, _RULE, _PAPER = '#1f2530', '#6b7482', '#dfe3e8', '#ffffff'
_GROUP_COLORS = {'vehicle': '#2f6db3', 'two_wheeler': '#e08a2e', 'pedestrian': '#2a9d8f'}
_BAR, _PALE = '#4a6fa5', '#c9d5e6'
_STYLE: dict[Any, Any] = {
    'font.family': 'DejaVu Sans',
    'font.size': 10.5,
    'text.color': _INK,
    'axes.labelcolor': _QUIET,
    'axes.edgecolor': _RULE,
    'axes.titlesize': 12,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.axisbelow': True,
    'xtick.color': _QUIET,
    'ytick.color': _QUIET,
    'grid.color': _RULE,
    'legend.frameon': False,
    'legend.fontsize': 9.5,
}


def save_figure(path: Path, counted: Statistics, name: str) -> None:
    """Writes the figure as PNG, all at once or not at all; raises OSError.

    Args:
        path: to write; its folder is made when it does not exist.
        counted: the data set.
        name: of the data set, for the headline.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_INCH, dpi=_DPI, facecolor=_PAPER)
        FigureCanvasAgg(figure)
        _draw(figure, counted, name)
        content = io.BytesIO()
        # Without the version of matplotlib that it writes by default.
        figure.savefig(content, format='png', metadata={'Software': None})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def _draw(figure: Figure, counted: Statistics, name: str) -> None:
    _draw_headline(figure, counted, name)
    places = GridSpec(
        3, 4, figure, left=0.075, right=0.985, top=0.80, bottom=0.065, wspace=0.36, hspace=0.52
    )
    axes = [figure.add_subplot(places[i, j]) for i in range(3) for j in range(4)]
    _draw_classes(axes[0], counted)
    _draw_groups(
        axes[1],
        'Distance',
        'from the ego vehicle [m], last bin open',
        s.DISTANCE_M,
        counted.distance,
    )
    _draw_speeds(axes[2], counted)
    _draw_visibility(axes[3], counted)
    _draw_bars(axes[4], 'Road users per frame', 'seen', s.PER_FRAME, counted.per_frame, 'frames')
    _draw_bars(axes[5], 'Ego speed', '[m/s]', s.EGO_SPEED_MPS, counted.ego_speed, 'steps')
    _draw_bars(
        axes[6], 'Ego yaw rate', '[deg/s], left positive, logarithmic', s.EGO_YAW_RATE_DEGPS,
        counted.ego_yaw_rate, 'steps', log=True,
    )  # fmt: skip
    title = f'Observed cells: mean {observed_share(counted):.0%}'
    _draw_bars(
        axes[7], title, 'share of the grid [%]', 100 * s.OBSERVED_SHARE, counted.observed,
        'label frames',
    )  # fmt: skip
    _draw_shares(axes[8], 'Weather', counted.weather)
    _draw_shares(axes[9], 'Rigs', counted.rigs)
    _draw_splits(axes[10], counted)
    _draw_group_totals(axes[11], counted)


def _draw_headline(figure: Figure, counted: Statistics, name: str) -> None:
    figure.text(0.022, 0.955, name, fontsize=20, fontweight='bold', va='center')
    numbers = [
        (f'{counted.drives:,}', 'drives'),
        (f'{len(counted.networks):,}', 'road networks'),
        _duration(counted.seconds),
        (f'{counted.images:,}', 'camera images'),
        (f'{counted.label_frames:,}', 'frames with dense labels'),
        (f'{int(counted.seen_road_users.sum()):,}', 'road users seen'),
        (f'{int(counted.seen_boxes.sum()):,}', 'boxes seen'),
    ]
    for x, (value, words) in zip(np.linspace(0.022, 0.88, len(numbers)), numbers, strict=True):
        figure.text(x, 0.90, value, fontsize=17, fontweight='bold', color=_BAR, va='center')
        figure.text(x, 0.868, words, fontsize=10.5, color=_QUIET, va='center')


def _duration(seconds: float) -> tuple[str, str]:
    """Returns a number and its unit."""
    return (
        (f'{seconds / 3600:.2f}', 'hours')
        if seconds >= 3600
        else (f'{seconds / 60:.1f}', 'minutes')
    )


def _draw_classes(axes: Axes, counted: Statistics) -> None:
    axes.set_title('Road users')
    rows = np.arange(len(CLASS_NAMES))
    axes.barh(rows, counted.road_users, color=_PALE, height=0.72, label='all')
    axes.barh(rows, counted.seen_road_users, color=_BAR, height=0.72, label='seen')
    limit = max(1, int(counted.road_users.max()))
    for row, (near, seen) in enumerate(
        zip(counted.road_users, counted.seen_road_users, strict=True)
    ):
        axes.text(near + 0.02 * limit, row, f'{seen:,} of {near:,}', va='center', fontsize=9.5)
    axes.set_yticks(rows, CLASS_NAMES, color=_INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.42 * limit)
    axes.tick_params(length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(_THOUSANDS)
    axes.grid(axis='x')
    _legend_above(axes)


def _draw_groups(
    axes: Axes, title: str, label: str, edges: s.FloatArray, counts: s.Counts, log: bool = False
) -> None:
    """Draws one step line per group, each with its boxes over the bins."""
    _frame(axes, title, label, 'boxes seen', log)
    for row, group in enumerate(GROUPS):
        color = _GROUP_COLORS[group]
        heights = counts[row].astype(float)
        if log:
            heights[heights == 0] = np.nan
        axes.stairs(heights, edges, color=color, linewidth=2.0, label=_words(group))
        if not log:
            axes.stairs(heights, edges, color=color, fill=True, alpha=0.13)
    axes.set_xlim(edges[0], _last_edge(edges, counts.sum(axis=0)))
    highest = max(1, counts.max())
    axes.set_ylim(*((0.7, 8.0 * highest) if log else (0.0, 1.25 * highest)))
    _legend_inside(axes)


def _draw_speeds(axes: Axes, counted: Statistics) -> None:
    standing = counted.speed[:, 0].sum() / max(1, counted.speed.sum())
    title = f'Speed: {standing:.0%} stand'
    _draw_groups(axes, title, '[m/s], logarithmic', s.SPEED_MPS, counted.speed, log=True)


def _draw_visibility(axes: Axes, counted: Statistics) -> None:
    """Draws bars of equal width: nothing visible, then tenths."""
    _frame(axes, 'Visibility', 'visible share, up to [%]', 'boxes in view', log=False)
    places = np.arange(len(s.VISIBLE_SHARE) - 1)
    base = np.zeros(len(places))
    for row, group in enumerate(GROUPS):
        heights = counted.visibility[row]
        axes.bar(places, heights, 0.86, base, color=_GROUP_COLORS[group], label=_words(group))
        base += heights
    names = ['0', *(f'{round(100 * high)}' for high in s.VISIBLE_SHARE[2:])]
    axes.set_xticks(places, names, fontsize=9.5)
    axes.set_ylim(0.0, 1.25 * max(1, counted.visibility.sum(axis=0).max()))
    _legend_inside(axes)


def _draw_bars(
    axes: Axes, title: str, label: str, edges: s.FloatArray, counts: s.Counts, what: str,
    log: bool = False,
) -> None:  # fmt: skip
    _frame(axes, title, label, what, log)
    axes.bar(edges[:-1], counts, 0.9 * np.diff(edges), align='edge', color=_BAR)
    axes.set_xlim(edges[0], _last_edge(edges, counts))


def _last_edge(edges: s.FloatArray, counts: s.Counts) -> float:
    """Returns where the axis ends: after the last bin that holds anything, and one more."""
    filled = np.flatnonzero(counts)
    return float(edges[min(filled[-1] + 2, len(edges) - 1)] if len(filled) else edges[-1])


def _draw_shares(axes: Axes, title: str, counts: Counter[str]) -> None:
    axes.set_title(f'{title}: share of drives')
    named = counts.most_common()
    rows, values = np.arange(len(named)), np.array([count for _, count in named], float)
    share = 100 * values / max(1.0, values.sum())
    axes.barh(rows, share, color=_BAR, height=0.66)
    for row, (value, (_, count)) in enumerate(zip(share, named, strict=True)):
        axes.text(value + 1.5, row, f'{value:.0f} %  ({count})', va='center', fontsize=9.5)
    axes.set_yticks(rows, [name for name, _ in named], color=_INK)
    axes.set_ylim(max(len(named), 4) - 0.4, -0.6)
    axes.set_xlim(0, max(1.0, share.max(initial=0.0)) * 1.55)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines['bottom'].set_visible(False)


def _draw_splits(axes: Axes, counted: Statistics) -> None:
    named = Counter({
        f'{name}\n{len(counted.split_networks[name])} networks': counted.splits[name]
        for name in SPLITS
        if counted.splits[name]
    })  # fmt: skip
    _draw_shares(axes, 'Splits', named)


def _draw_group_totals(axes: Axes, counted: Statistics) -> None:
    """Draws how many boxes each class has, seen and not."""
    axes.set_title('Boxes')
    axes.set_xlabel('logarithmic')
    rows = np.arange(len(CLASS_NAMES))
    axes.barh(rows, np.maximum(counted.boxes, 1), color=_PALE, height=0.72, label='all')
    axes.barh(rows, np.maximum(counted.seen_boxes, 1), color=_BAR, height=0.72, label='seen')
    axes.set_xscale('log')
    axes.set_yticks(rows, CLASS_NAMES, color=_INK)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_xlim(1, 10 ** np.ceil(np.log10(max(10.0, float(counted.boxes.max())) + 1)))
    axes.grid(axis='x')
    _legend_above(axes)


def _legend_above(axes: Axes) -> None:
    axes.legend(
        loc='lower right', bbox_to_anchor=(1.03, 0.98), ncols=3, columnspacing=0.8,
        handlelength=1.0, handletextpad=0.4, borderaxespad=0.2,
    )  # fmt: skip


def _legend_inside(axes: Axes) -> None:
    axes.legend(
        loc='upper right', ncols=3, columnspacing=0.8, handlelength=1.0, handletextpad=0.4,
        borderaxespad=0.0,
    )  # fmt: skip


def _frame(axes: Axes, title: str, label: str, what: str, log: bool) -> None:
    axes.set_title(title)
    axes.set_xlabel(label)
    axes.set_ylabel(what)
    axes.grid(axis='y')
    axes.tick_params(length=0)
    if log:
        axes.set_yscale('log')
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(_THOUSANDS)


def _words(name: str) -> str:
    return name.replace('_', ' ')


def _thousands(value: float, _: int) -> str:
    if abs(value) >= 1e6:
        return f'{value / 1e6:g} M'
    return f'{value / 1e3:g} k' if abs(value) >= 10_000 else f'{value:g}'


_THOUSANDS = FuncFormatter(_thousands)
