"""`bev bench view-transform`: lift-splat side by side with the forms that others use."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.bench.lss_splat import LssSplat, misplaced_share, sum_in_float64
from bev_perception.bench.measure import (
    Samples,
    interleave,
    peak_extra_bytes,
    relative_error,
)
from bev_perception.bench.splat_peers import CsrSplat, IndexAddSplat
from bev_perception.bench.splat_report import Result, Row, Table
from bev_perception.bench.splat_workload import Inputs, Workload, workloads
from bev_perception.model.view_transform import splat
from bev_perception.ops.bev_pool import bev_pool_reference

LSS = 'LSS as shipped'
OURS = 'bev_perception'

QUICK_REPEATS = 2


@dataclass(frozen=True)
class _Variant:
    """One row to be measured.

    Attributes:
        call: computes the view transform.
        note: what a call includes.
        rows: maps its result to [cells, C]; not timed.
    """

    call: Callable[[], Tensor]
    note: str
    rows: Callable[[Tensor], Tensor]


def run(sizes: Sequence[Workload], threads: int = 2, repeats: int = 10) -> Result:
    """Returns the measurements of all rows on all `sizes`, taken in this process."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Sparse CSR tensor support is in beta')
            tables = tuple(_measure(workload, repeats) for workload in sizes)
    finally:
        torch.set_num_threads(threads_before)
    return Result(
        benchmark='view-transform',
        threads=threads,
        repeats=repeats,
        omp_wait_policy=os.environ.get('OMP_WAIT_POLICY', 'default'),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        versions={
            'python': platform.python_version(),
            'torch': torch.__version__,
            'numpy': np.__version__,
        },
        tables=tables,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `bev bench view-transform`."""
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    parser.add_argument('--threads', type=_positive, default=2, help='CPU threads (default 2)')
    parser.add_argument(
        '--repeats', type=_positive, default=10, help='rounds over all rows (default 10)'
    )
    parser.add_argument(
        '--quick', action='store_true', help=f'small workload only, {QUICK_REPEATS} rounds'
    )


def main(args: argparse.Namespace) -> int:
    """Runs the benchmark, prints its result and returns the exit status.

    OpenMP threads that spin while they wait would count as CPU time. The wait policy is read when
    the library loads, hence a process of its own unless the environment sets it already. There
    the allocator has its usual settings, not those that suit the node's images.
    """
    if 'OMP_WAIT_POLICY' not in os.environ:
        return _main_in_child(args)
    if args.quick:
        result = run(workloads()[:1], args.threads, QUICK_REPEATS)
    else:
        result = run(workloads(), args.threads, args.repeats)
    print(result.to_json() if args.json else result.to_markdown())
    return 0


def _main_in_child(args: argparse.Namespace) -> int:
    command = [sys.executable, '-m', 'bev_perception.bench.view_transform']
    command += ['--threads', str(args.threads), '--repeats', str(args.repeats)]
    command += [f'--{name}' for name in ('json', 'quick') if getattr(args, name)]
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    environment = {k: v for k, v in os.environ.items() if not k.startswith('MALLOC_')}
    environment |= {'OMP_WAIT_POLICY': 'passive', 'PYTHONPATH': path}
    return subprocess.run(command, env=environment, check=False).returncode


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {value}')
    return value


def _measure(workload: Workload, repeats: int) -> Table:
    cameras = workload.cameras()
    inputs = Inputs.random(workload, cameras)
    matrix = inputs.matrix
    reference = bev_pool_reference(*inputs.rows(), matrix)
    lss = LssSplat(workload.lift, cameras)
    variants = _variants(inputs, lss)

    samples = interleave({name: variant.call for name, variant in variants.items()}, repeats)
    memory = {name: peak_extra_bytes(variant.call) for name, variant in variants.items()}
    rows = []
    for name, variant in variants.items():
        found = variant.rows(variant.call()).double().numpy()
        note = variant.note if name != LSS else f'{variant.note}; {_lss_note(lss, inputs, found)}'
        error = relative_error(found, reference)
        rows.append(_row(name, note, samples[name], samples[LSS], error, memory[name]))
    return Table(
        name=workload.name,
        cameras=len(cameras),
        points=matrix.pixels * matrix.depth_bins,
        entries=len(matrix.pixel_index),
        inputs_sha256=inputs.sha256(),
        rows=tuple(rows),
    )


def _variants(inputs: Inputs, lss: LssSplat) -> dict[str, _Variant]:
    matrix = inputs.matrix
    nchw = (inputs.features, inputs.depth)
    rows, last = inputs.rows(), inputs.channels_last()
    bfloat16 = inputs.channels_last(torch.bfloat16)
    index_add, csr = IndexAddSplat(matrix), CsrSplat(matrix)
    return {
        LSS: _Variant(
            lambda: lss(*nchw),
            'geometry, sort and cumsum in every frame',
            lambda bev: bev[0].permute(2, 1, 0).flatten(0, 1),
        ),
        'index_add_': _Variant(
            lambda: index_add(*rows),
            'outer product, channels-last, cells known beforehand',
            lambda bev: bev,
        ),
        'sparse_csr': _Variant(lambda: csr(*rows), 'torch.sparse_csr @ features', lambda bev: bev),
        OURS: _Variant(lambda: splat(*last, matrix), 'inputs channels-last', _grid_rows),
        f'{OURS}, NCHW': _Variant(
            lambda: splat(*nchw, matrix), 'inputs copied to channels-last', _grid_rows
        ),
        f'{OURS}, bfloat16': _Variant(
            lambda: splat(*bfloat16, matrix), 'inputs and output in bfloat16', _grid_rows
        ),
    }


def _grid_rows(bev: Tensor) -> Tensor:
    return bev[0].permute(1, 2, 0).flatten(0, 1)


def _lss_note(lss: LssSplat, inputs: Inputs, found: NDArray[np.float64]) -> str:
    """Returns where the error of LSS comes from: other cells, not a wrong sum."""
    cell = lss.cell_of_points()
    own = sum_in_float64(cell, *inputs.rows(), inputs.matrix.cells)
    return (
        f'its binning (float32, truncation towards zero) puts '
        f'{misplaced_share(cell, inputs.matrix):.2%} of the points elsewhere; over its own cells '
        f'the error is {relative_error(found, own):.1e}'
    )


def _row(
    name: str,
    note: str,
    samples: Samples,
    lss: Samples,
    error: float,
    memory_bytes: int | None,
) -> Row:
    cpu_ms, cpu_ms_p95 = 1e3 * np.quantile(samples.cpu_s, [0.5, 0.95])
    wall_ms, wall_ms_p95 = 1e3 * np.quantile(samples.wall_s, [0.5, 0.95])
    return Row(
        name=name,
        note=note,
        cpu_ms=float(cpu_ms),
        cpu_ms_p95=float(cpu_ms_p95),
        wall_ms=float(wall_ms),
        wall_ms_p95=float(wall_ms_p95),
        ratio_to_lss=float(1e3 * np.median(lss.cpu_s) / cpu_ms),
        wall_ratio_to_lss=float(1e3 * np.median(lss.wall_s) / wall_ms),
        error=error,
        peak_extra_mib=None if memory_bytes is None else memory_bytes / 2**20,
    )


if __name__ == '__main__':
    _parser = argparse.ArgumentParser(prog='bev bench view-transform')
    add_arguments(_parser)
    sys.exit(main(_parser.parse_args()))
