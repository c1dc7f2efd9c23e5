"""Statistics as numbers for programs (JSON) and as a table for the terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bev_trainer.dataset.manifest import SPLITS
from bev_trainer.look import statistics as s
from bev_trainer.look.statistics import CLASS_NAMES, GROUPS, Statistics


def as_json(counted: Statistics) -> dict[str, Any]:
    """Returns all counts, histograms with the edges of their bins."""
    classes = {
        name: {
            'road_users': int(counted.road_users[i]),
            'seen_road_users': int(counted.seen_road_users[i]),
            'boxes': int(counted.boxes[i]),
            'seen_boxes': int(counted.seen_boxes[i]),
        }
        for i, name in enumerate(CLASS_NAMES)
    }
    return {
        'drives': counted.drives,
        'networks': len(counted.networks),
        'hours': round(counted.seconds / 3600, 6),
        'frames': counted.frames,
        'label_frames': counted.label_frames,
        'images': counted.images,
        'drives_by_weather': _sorted(counted.weather),
        'drives_by_rig': _sorted(counted.rigs),
        'drives_by_split': _sorted(counted.splits),
        'networks_by_split': {k: len(v) for k, v in sorted(counted.split_networks.items())},
        'classes': classes,
        'distance_m': _by_group(s.DISTANCE_M, counted.distance),
        'speed_mps': _by_group(s.SPEED_MPS, counted.speed),
        'visible_share': _by_group(s.VISIBLE_SHARE, counted.visibility),
        'seen_road_users_per_frame': _plain(s.PER_FRAME, counted.per_frame),
        'ego_speed_mps': _plain(s.EGO_SPEED_MPS, counted.ego_speed),
        'ego_yaw_rate_degps': _plain(s.EGO_YAW_RATE_DEGPS, counted.ego_yaw_rate),
        'observed_share_of_cells': _plain(s.OBSERVED_SHARE, counted.observed),
        'mean_observed_share_of_cells': round(observed_share(counted), 6),
    }


def as_table(counted: Statistics) -> str:
    """Returns a summary of a few lines."""
    lines = [
        f'{counted.drives} drives on {len(counted.networks)} road networks, '
        f'{counted.seconds / 3600:.2f} h',
        f'{counted.images:,} images at {counted.frames:,} frames, '
        f'{counted.label_frames:,} frames with dense labels',
        f'weather: {_listed(counted.weather)}',
        f'rigs: {_listed(counted.rigs)}',
        'splits: '
        + ', '.join(
            f'{name} {counted.splits[name]} on {len(counted.split_networks[name])} networks'
            for name in SPLITS
            if counted.splits[name]
        ),
        f'observed cells: {observed_share(counted):.1%}',
        '',
        f'{"class":12} {"road users":>11} {"seen":>8} {"boxes":>11} {"seen":>11}',
    ]
    columns = (counted.road_users, counted.seen_road_users, counted.boxes, counted.seen_boxes)
    for i, name in enumerate(CLASS_NAMES):
        lines.append(_row(name, [int(column[i]) for column in columns]))
    lines.append(_row('all', [int(column.sum()) for column in columns]))
    return '\n'.join(lines)


def observed_share(counted: Statistics) -> float:
    """Returns the share of cells that some camera observes, over all label frames."""
    return counted.observed_cells / counted.cells if counted.cells else 0.0


def _row(name: str, values: list[int]) -> str:
    users, seen_users, boxes, seen_boxes = values
    return f'{name:12} {users:>11,} {seen_users:>8,} {boxes:>11,} {seen_boxes:>11,}'


def _listed(counts: Counter[str]) -> str:
    return ', '.join(f'{name} {count}' for name, count in counts.most_common())


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts)}


def _plain(edges: s.FloatArray, counts: s.Counts) -> dict[str, Any]:
    return {'edges': [round(float(edge), 6) for edge in edges], 'counts': counts.tolist()}


def _by_group(edges: s.FloatArray, counts: s.Counts) -> dict[str, Any]:
    named = {name: counts[i].tolist() for i, name in enumerate(GROUPS)}
    return {'edges': [round(float(edge), 6) for edge in edges], **named}
