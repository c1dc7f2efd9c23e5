"""The view-transform benchmark: its peers are right, its numbers are what they claim."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from bev_perception.bench import view_transform
from bev_perception.bench.lss_splat import LssSplat, misplaced_share, sum_in_float64
from bev_perception.bench.measure import interleave, relative_error
from bev_perception.bench.splat_peers import CsrSplat, IndexAddSplat, cell_of_points
from bev_perception.bench.splat_workload import Inputs, Workload, workloads
from bev_perception.bench.surround_rig import surround_rig
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import DepthBins, LiftSplat
from bev_perception.ops.bev_pool import bev_pool_reference

ROWS = [
    'LSS as shipped',
    'index_add_',
    'sparse_csr',
    'bev_perception',
    'bev_perception, NCHW',
    'bev_perception, bfloat16',
]


@pytest.fixture(scope='module')
def small() -> tuple[Workload, Inputs]:
    """A grid that holds every point, so that LSS's truncation has nothing to misplace."""
    grid = BevGrid(-60.3, -59.1, 1.7, 70, 71)
    workload = Workload(LiftSplat(grid, DepthBins(1.0, 21.0, 12), (-40.0, 40.0), 6, 11, 16), 8)
    return workload, Inputs.random(workload, workload.cameras())


@pytest.fixture(scope='module')
def quick() -> dict:
    """What `bev bench view-transform --quick --json` prints.

    With one thread: on a busy machine two would wait for each other.
    """
    environment = {k: v for k, v in os.environ.items() if k != 'OMP_WAIT_POLICY'}
    done = subprocess.run(
        [sys.executable, '-m', view_transform.__name__, '--quick', '--json', '--threads', '1'],
        cwd=Path(__file__).resolve().parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''
    return json.loads(done.stdout)


def test_json(quick: dict) -> None:
    assert quick['benchmark'] == 'view-transform'
    assert (quick['threads'], quick['repeats']) == (1, 2)
    assert quick['omp_wait_policy'] == 'passive'
    assert quick['versions']['torch'] == torch.__version__
    assert set(quick['versions']) == {'python', 'torch', 'numpy'}
    (table,) = quick['tables']
    assert table['name'] == '16 x 44 x 59, C 80 -> 128 x 128'
    assert table['cameras'] == 6
    assert table['points'] == 6 * 16 * 44 * 59 > table['entries'] > 0
    assert len(table['inputs_sha256']) == 64
    assert [row['name'] for row in table['rows']] == ROWS
    for row in table['rows']:
        assert 0.0 < row['cpu_ms'] <= row['cpu_ms_p95']
        assert 0.0 < row['wall_ms'] <= row['wall_ms_p95']
        assert math.isfinite(row['error'])


def test_ratios_are_those_of_the_medians(quick: dict) -> None:
    lss, *others = quick['tables'][0]['rows']
    assert lss['ratio_to_lss'] == lss['wall_ratio_to_lss'] == 1.0
    for row in others:
        assert row['ratio_to_lss'] == pytest.approx(lss['cpu_ms'] / row['cpu_ms'])
        assert row['wall_ratio_to_lss'] == pytest.approx(lss['wall_ms'] / row['wall_ms'])


def test_far_faster_than_lss_and_exact(quick: dict) -> None:
    rows = {row['name']: row for row in quick['tables'][0]['rows']}
    assert rows['bev_perception']['ratio_to_lss'] > 20.0
    for name in ROWS[1:5]:
        assert rows[name]['error'] <= 1e-5, name
    assert rows['bev_perception, bfloat16']['error'] <= 2e-2
    own_error = float(rows['LSS as shipped']['note'].rsplit(' ', 1)[1])
    assert own_error <= 1e-4


def test_needs_less_memory(quick: dict) -> None:
    rows = {row['name']: row['peak_extra_mib'] for row in quick['tables'][0]['rows']}
    if rows['bev_perception'] is None:
        pytest.skip('peak memory cannot be measured on this system')
    # The volume alone is 6 x 16 x 44 x 59 x 80 float32 = 76 MiB; the result is 5 MiB.
    assert rows['index_add_'] > 76.0
    assert rows['LSS as shipped'] > 2 * 76.0
    assert 5.0 <= rows['bev_perception'] < 20.0


def test_markdown(small: tuple[Workload, Inputs]) -> None:
    lines = view_transform.run([small[0]], threads=1, repeats=1).to_markdown().splitlines()
    table = [line for line in lines if line.startswith('|')]
    assert len(table) == 2 + len(ROWS)
    assert len({line.count('|') for line in table}) == 1
    assert [line.split('|')[1].strip() for line in table[2:]] == ROWS


def test_run_leaves_the_number_of_threads_alone(small: tuple[Workload, Inputs]) -> None:
    before = torch.get_num_threads()
    result = view_transform.run([small[0]], threads=1, repeats=1)
    assert torch.get_num_threads() == before
    assert result.threads == 1


def test_lss_sums_its_own_cells(small: tuple[Workload, Inputs]) -> None:
    workload, inputs = small
    lss = LssSplat(workload.lift, workload.cameras())
    expected = sum_in_float64(lss.cell_of_points(), *inputs.rows(), inputs.matrix.cells)

    found = lss(inputs.features, inputs.depth)[0].permute(2, 1, 0).flatten(0, 1)
    assert relative_error(found.double().numpy(), expected) <= 1e-5


def test_lss_has_our_cells_but_for_float32(small: tuple[Workload, Inputs]) -> None:
    workload, inputs = small
    cell = LssSplat(workload.lift, workload.cameras()).cell_of_points()
    assert misplaced_share(cell, inputs.matrix) < 1e-3
    assert misplaced_share(cell_of_points(inputs.matrix), inputs.matrix) == 0.0
    exact = sum_in_float64(cell_of_points(inputs.matrix), *inputs.rows(), inputs.matrix.cells)
    reference = bev_pool_reference(*inputs.rows(), inputs.matrix)
    assert relative_error(exact, reference) <= 1e-13


def test_lss_truncates_towards_zero() -> None:
    grid = BevGrid(0.0, -50.0, 1.0, 50, 100)
    lift = LiftSplat(grid, DepthBins(1.0, 41.0, 40), (-10.0, 10.0), 4, 11, 16)
    cameras = surround_rig(176, 64)
    lss = LssSplat(lift, cameras).cell_of_points()
    ours = cell_of_points(lift.build(cameras))

    extra = (lss != ours).nonzero().flatten()
    assert len(extra) > 100
    assert (ours[extra] == lift.grid.size_x * lift.grid.size_y).double().mean() > 0.95
    assert (lss[extra] % grid.size_x == 0).double().mean() > 0.5


def test_peers_on_known_cells_agree_with_the_reference(small: tuple[Workload, Inputs]) -> None:
    _, inputs = small
    expected = bev_pool_reference(*inputs.rows(), inputs.matrix)
    for peer in (IndexAddSplat(inputs.matrix), CsrSplat(inputs.matrix)):
        found = peer(*inputs.rows()).double().numpy()
        assert relative_error(found, expected) <= 1e-6


def test_workloads_are_those_promised() -> None:
    first, second = workloads()
    assert first.name == '16 x 44 x 59, C 80 -> 128 x 128'
    assert second.name == '28 x 60 x 48, C 64 -> 200 x 200'
    assert first.lift.bins.centers().tolist() == [float(n) for n in range(1, 60)]
    assert second.lift.bins.centers().tolist() == [float(n) for n in range(2, 50)]
    for workload in (first, second):
        assert {(c.width, c.height) for c in workload.cameras()} == {
            (
                workload.lift.feature_width * workload.lift.stride,
                workload.lift.feature_height * workload.lift.stride,
            )
        }


def test_the_rig_is_level_and_looks_all_around() -> None:
    cameras = surround_rig(480, 224)
    forward = np.stack([camera.base_T_camera[:3, 2] for camera in cameras])
    yaws = sorted(round(math.degrees(math.atan2(y, x))) % 360 for x, y, _ in forward)
    assert yaws == [0, 55, 110, 180, 250, 305]
    np.testing.assert_allclose(forward[:, 2], 0.0, atol=1e-12)
    np.testing.assert_allclose([c.base_T_camera[2, 1] for c in cameras], -1.0, atol=1e-12)
    # The bottom of the image stays, the top is cropped: pixel (799.5, 899.5) is (239.5, 223.5).
    front = cameras[0]
    assert front.K[0, 0] == pytest.approx(1266.0 * 0.3)
    assert front.K[:2, 2] == pytest.approx((239.5, 223.5 - 450 * 0.3))


def test_interleave_takes_turns() -> None:
    calls: list[str] = []
    samples = interleave({name: partial(calls.append, name) for name in 'ab'}, 3)

    assert calls == 3 * (26 * ['a'] + 26 * ['b'])
    for name in 'ab':
        assert len(samples[name].cpu_s) == len(samples[name].wall_s) == 75


def test_interleave_times_a_slow_call_once_per_round() -> None:
    samples = interleave({'slow': lambda: time.sleep(0.06), 'fast': lambda: None}, 2)
    assert len(samples['slow'].wall_s) == 2
    assert min(samples['slow'].wall_s) >= 0.06
    assert max(samples['slow'].cpu_s) < 0.05


def test_peak_extra_bytes_sees_what_is_freed_again() -> None:
    """Two tensors of 48 MiB, in a process whose allocator has its usual settings."""
    script = (
        'import torch\n'
        'from bev_perception.bench.measure import peak_extra_bytes\n'
        'print(peak_extra_bytes(lambda: (torch.ones(3 * 2**22) * 2.0)[:10].clone()))\n'
    )
    usual = {k: v for k, v in os.environ.items() if not k.startswith('MALLOC_')}
    found = subprocess.run(
        [sys.executable, '-c', script], env=usual, capture_output=True, text=True, check=True
    ).stdout.strip()
    if found == 'None':
        pytest.skip('peak memory cannot be measured on this system')
    assert 94 * 2**20 < int(found) < 110 * 2**20


def test_impossible_numbers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    view_transform.add_arguments(parser)
    for arguments in (['--threads', '0'], ['--repeats', '-1'], ['--repeats', 'many']):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
    assert 'must be at least 1, got 0' in capsys.readouterr().err
