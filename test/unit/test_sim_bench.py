"""The benchmark's arithmetic, by hand, and a run with tiny drives."""

from __future__ import annotations

from pathlib import Path

import pytest
from bev_trainer.simulate import benchmark
from bev_trainer.simulate.benchmark import Sample, as_table, busy_seconds, measure, speed_of
from bev_trainer.simulate.plan import DatasetSpec
from bev_trainer.simulate.record import DriveRecord
from support.tiny_makers import makers, write_rig


def sample(images: int, cpu_s: float, **stages: float) -> Sample:
    stage_s = {name.replace('_', ' '): seconds for name, seconds in stages.items()}
    return Sample(DriveRecord('d', images // 2, images, 0, '0', 1, 'gl', stage_s), cpu_s)


def test_figures_by_hand() -> None:
    samples = [
        sample(100, 2.0, draw=1.0, jpeg=0.2, set_up=0.5),
        sample(300, 4.4, draw=2.6, jpeg=0.2, set_up=0.7, cull=0.4),
    ]
    speed = speed_of(samples, 8.0, workers=2, cores=4, others_before=0.1, others_during=0.3)
    assert (speed.drives, speed.images, speed.images_per_s) == (2, 400, 50.0)
    assert speed.cpu_ms_per_image == pytest.approx(16.0)
    assert speed.stage_ms_per_image == pytest.approx({'draw': 9.0, 'jpeg': 1.0, 'cull': 1.0})
    assert speed.set_up_s_per_drive == pytest.approx(0.6)
    # 6.4 s in all; 3.6 + 0.4 + 0.4 + 1.2 s by stage.
    assert speed.rest_ms_per_image == pytest.approx(2.0)
    assert not speed.disturbed
    table = as_table(speed).splitlines()
    assert table[0].startswith('50.0 images/s by the clock: 400 images in 8.0 s, 2 workers on 4')
    assert table[1].startswith('16.00 ms CPU per image')
    assert table[2:] == [
        '     9.00  draw',
        '     1.00  jpeg',
        '     1.00  cull',
        '     2.00  rest',
        '     3.00  set up: 0.60 s per drive of 200 images',
        '    16.00  sum',
        'other processes kept 0.1 cores busy before the start, 0.3 meanwhile',
    ]


@pytest.mark.parametrize(
    ('before', 'during', 'disturbed'), [(0.3, 0.0, True), (0.0, 0.3, True), (0.1, 0.2, False)]
)
def test_disturbed_by_more_than_a_tenth_of_the_cores(before, during, disturbed) -> None:
    assert speed_of([sample(1, 1.0)], 1.0, 2, 2, before, during).disturbed == disturbed


def test_busy_seconds_of_the_system() -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    text = 'cpu  500 20 100 9000 700 3 7 70 40 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n'
    assert busy_seconds(text) == pytest.approx((500 + 20 + 100 + 3 + 7 + 70) / 100)


def test_run_counts_timed_drives_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, 'others_in', lambda seconds: 0.25)
    spec = DatasetSpec(scenes=1, seconds=1.0, rigs=(write_rig(tmp_path),), size=(32, 16))
    folder = tmp_path / 'bench'
    folder.mkdir()
    speed = measure(spec, makers(), workers=2, cores=8, folder=folder)
    assert (speed.drives, speed.images, speed.workers) == (4, 4 * 20, 2)
    assert (speed.cores, speed.others_before) == (8, 0.25)
    # The tiny maker says that drive k draws for k / 4 s.
    assert speed.stage_ms_per_image == pytest.approx({'draw': 1e3 * 0.25 * (1 + 2 + 3) / 80})
    by_stage = speed.stage_ms_per_image['draw'] + speed.rest_ms_per_image
    assert speed.cpu_ms_per_image == pytest.approx(by_stage) and speed.cpu_ms_per_image > 0
    assert speed.images_per_s == pytest.approx(80 / speed.wall_s)
    assert sorted(path.name for path in folder.iterdir()) == ['scratch', 'world.json.gz']
