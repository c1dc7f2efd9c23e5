"""Drops from the clean run, worked out by hand."""

from __future__ import annotations

import pytest

from bev_perception.evaluation.figure import Better
from bev_perception.evaluation.results import Estimate
from bev_perception.evaluation.robustness.drops import Drop, PerturbedRun, drop_table
from bev_perception.evaluation.robustness.drops_text import drop_text


def estimate(value: float | None, better: Better = 'higher', unit: str = '') -> Estimate:
    return Estimate(value, None, None, better, unit)


CLEAN = {
    'iou/long/vehicle': estimate(0.5),
    'detection/mATE': estimate(0.8, 'lower', 'm'),
    'detection/AP@2m/bus': estimate(None),
    'tracking/MOTA': estimate(-0.2),
    'vpq/long/VPQ': estimate(0.0),
}


def run(name: str, group: str, *values: float | None) -> PerturbedRun:
    figures = {
        key: Estimate(value, None, None, clean.better, clean.unit)
        for (key, clean), value in zip(CLEAN.items(), values, strict=True)
    }
    return PerturbedRun(name, group, figures)


RUNS = (
    run('camera a missing', 'missing', 0.4, 1.0, 0.1, -0.3, 0.1),
    run('camera b missing', 'missing', 0.45, None, None, -0.2, 0.0),
    run('fog 1', 'images', 0.55, 0.6, None, None, None),
)


def drops() -> dict[tuple[str, str], Drop]:
    return {(d.perturbation, d.figure): d for d in drop_table(CLEAN, RUNS).drops}


@pytest.mark.parametrize(
    ('perturbation', 'figure', 'absolute', 'relative'),
    [
        ('camera a missing', 'iou/long/vehicle', 0.1, 0.2),
        ('camera b missing', 'iou/long/vehicle', 0.05, 0.1),
        # A gain is a negative drop,
        ('fog 1', 'iou/long/vehicle', -0.05, -0.1),
        # an error that grows is a drop,
        ('camera a missing', 'detection/mATE', 0.2, 0.25),
        ('fog 1', 'detection/mATE', -0.2, -0.25),
        # n/a on either side stays n/a,
        ('camera b missing', 'detection/mATE', None, None),
        ('camera a missing', 'detection/AP@2m/bus', None, None),
        ('fog 1', 'vpq/long/VPQ', None, None),
        # shares are of the size of a negative score, and there are none of nothing.
        ('camera a missing', 'tracking/MOTA', 0.1, 0.5),
        ('camera b missing', 'tracking/MOTA', 0.0, 0.0),
        ('camera a missing', 'vpq/long/VPQ', -0.1, None),
    ],
)
def test_drops(
    perturbation: str, figure: str, absolute: float | None, relative: float | None
) -> None:
    found = drops()[perturbation, figure]
    assert found.absolute == pytest.approx(absolute)
    assert found.relative == pytest.approx(relative)


def test_values_units_and_directions_are_kept() -> None:
    found = drops()['camera a missing', 'detection/mATE']
    assert (found.clean, found.perturbed, found.unit, found.better) == (0.8, 1.0, 'm', 'lower')
    assert found.group == 'missing'
    assert drops()['camera b missing', 'detection/mATE'].clean == 0.8


def test_means_over_groups_leave_out_what_is_not_defined() -> None:
    means = {(m.group, m.figure): m for m in drop_table(CLEAN, RUNS).means}
    assert len(means) == 2 * 5
    vehicle = means['missing', 'iou/long/vehicle']
    assert (vehicle.absolute, vehicle.relative) == pytest.approx((0.075, 0.15))
    assert (vehicle.count, vehicle.worst) == (2, 'camera a missing')
    assert vehicle.worst_absolute == pytest.approx(0.1)
    # Resilience rate: mean of 0.4 and 0.45 over 0.5.
    assert vehicle.relative is not None
    assert 1.0 - vehicle.relative == pytest.approx((0.4 + 0.45) / 2 / 0.5)
    error = means['missing', 'detection/mATE']
    assert (error.count, error.worst, error.unit) == (1, 'camera a missing', 'm')
    assert error.absolute == pytest.approx(0.2)
    nothing = means['images', 'tracking/MOTA']
    assert (nothing.count, nothing.worst) == (0, '')
    assert nothing.absolute is nothing.relative is nothing.worst_absolute is None
    zero = means['missing', 'vpq/long/VPQ']
    assert zero.absolute == pytest.approx(-0.05)
    assert zero.relative is None


def test_figures_are_chosen_and_one_that_is_missing_in_a_run_is_not_defined() -> None:
    run = PerturbedRun('fog 1', 'images', {'iou/long/vehicle': estimate(0.3)})
    table = drop_table(CLEAN, [run], ['detection/mATE', 'iou/long/vehicle'])
    assert table.figures == ('detection/mATE', 'iou/long/vehicle')
    assert [d.absolute for d in table.drops] == [None, pytest.approx(0.2)]
    with pytest.raises(ValueError, match='iou/short'):
        drop_table(CLEAN, [run], ['iou/short'])


def test_no_runs_no_rows() -> None:
    table = drop_table(CLEAN, [])
    assert table.drops == table.means == ()
    assert 'iou/long/vehicle' in drop_text(table)


def test_text() -> None:
    text = drop_text(drop_table(CLEAN, RUNS, ['iou/long/vehicle', 'detection/mATE']))
    assert text.splitlines() == [
        '                    iou/long/vehicle     drop           detection/mATE     drop',
        'clean                         0.5000                          0.8000 m',
        '[missing]',
        '  camera a missing            0.4000  +0.1000  +20.0 %        1.0000 m  +0.2000  +25.0 %',
        '  camera b missing            0.4500  +0.0500  +10.0 %             n/a      n/a      n/a',
        '  mean                                +0.0750  +15.0 %                  +0.2000  +25.0 %',
        '[images]',
        '  fog 1                       0.5500  -0.0500  -10.0 %        0.6000 m  -0.2000  -25.0 %',
        '  mean                                -0.0500  -10.0 %                  -0.2000  -25.0 %',
    ]
