"""Data sets made by a Ray cluster; needs Ray, which is an extra of the trainer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bev_trainer.cli import main
from bev_trainer.dataset.manifest import load_dataset
from bev_trainer.errors import SimulationError
from bev_trainer.simulate.generate import generate
from bev_trainer.simulate.plan import DatasetSpec, plan
from support.tiny_makers import (
    InlinePool,
    dying_drive,
    dying_once_drive,
    makers,
    user_error,
    write_rig,
)

from bev_perception.parallel.pool import ENVIRONMENT, Problem, Task

REPO = Path(__file__).resolve().parents[2]
RAY = importlib.util.find_spec('ray') is not None
needs_ray = pytest.mark.skipif(not RAY, reason='Ray is not installed: pip install ray')
TIMEOUT_S = 120


@pytest.mark.skipif(RAY, reason='Ray is installed')
def test_without_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['simulate', '--out', str(tmp_path / 'out'), '--ray']) == 2
    error = capsys.readouterr().err
    assert '--ray needs Ray' in error and 'pip install ray' in error
    assert error.count('\n') == 1 and not (tmp_path / 'out').exists()


@needs_ray
@pytest.mark.parametrize(
    ('address', 'said'),
    [
        ('127.0.0.1:1', 'no Ray cluster at 127.0.0.1:1 (Connection refused); start one'),
        ('somewhere', "must be like '10.0.0.1:6379', got 'somewhere'"),
    ],
)
def test_no_cluster(tmp_path, capsys, address, said) -> None:
    assert main(['simulate', '--out', str(tmp_path / 'out'), '--ray', address]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count('\n') == 1
    assert not (tmp_path / 'out').exists()


@pytest.fixture(scope='module')
def cluster(tmp_path_factory: pytest.TempPathFactory):
    """Starts a cluster of one machine with two cores; returns its address."""
    if not RAY:
        pytest.skip('Ray is not installed: pip install ray')
    ray = Path(sys.executable).with_name('ray')
    paths = [str(REPO), str(REPO / 'bev_trainer' / 'src'), str(REPO / 'test')]
    environment = {
        **os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'RAY_USAGE_STATS_ENABLED': '0'
    }  # fmt: skip
    port = 20_000 + os.getpid() % 10_000
    start = [
        ray, 'start', '--head', '--node-ip-address=127.0.0.1', f'--port={port}', '--num-cpus=2',
        '--include-dashboard=false', '--object-store-memory=100000000',
        f'--temp-dir={tmp_path_factory.mktemp("r")}', '--disable-usage-stats',
    ]  # fmt: skip
    done = subprocess.run(
        list(map(str, start)), env=environment, timeout=TIMEOUT_S, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f'Ray does not start here: {done.stderr[-300:]}')
    yield f'127.0.0.1:{port}'
    subprocess.run([str(ray), 'stop', '--force'], timeout=TIMEOUT_S, capture_output=True)


@needs_ray
def test_tasks_and_their_problems(cluster: str) -> None:
    from bev_perception.parallel.ray_pool import RayPool

    tasks = [
        Task('environment', os.getenv, ('OPENBLAS_NUM_THREADS',)),
        Task('user', user_error, ()),
        Task('bug', divmod, (1, 0)),
    ]
    done = {}
    with RayPool(cluster, None) as pool:
        assert (pool.size, pool.running) == (2, 0)
        while tasks or pool.running:
            while tasks and pool.running < pool.size:
                pool.submit(tasks.pop(0))
            done.update({item.task.name: item for item in pool.wait()})
        # Alone, since a process that ends may take along the result of the task before.
        pool.submit(Task('lost', os._exit, (3,)))
        done.update({item.task.name: item for item in pool.wait()})
    assert done['environment'].value == ENVIRONMENT['OPENBLAS_NUM_THREADS']
    assert done['user'].problem == Problem('user', 'the disk has a scratch')
    lost, bug = done['lost'].problem, done['bug'].problem
    assert lost is not None and lost.kind == 'crash'
    assert lost.text.startswith('its process ended (')
    assert bug is not None and bug.kind == 'bug' and 'ZeroDivisionError' in bug.text


@needs_ray
def test_same_bytes_as_elsewhere(cluster: str, tmp_path: Path) -> None:
    """Even when a machine's process is lost on the way; one that always dies ends the run."""
    from bev_perception.parallel.ray_pool import RayPool

    made = plan(
        DatasetSpec(
            scenes=4, seconds=0.3, rigs=(write_rig(tmp_path),), size=(32, 16), label_hz=5,
            scenes_per_network=2,
        )
    )  # fmt: skip
    roots = []
    for name, pool in (('ray', RayPool(cluster, 2)), ('here', InlinePool())):
        root = tmp_path / name / 'out'
        root.parent.mkdir()
        who = makers(dying_once_drive) if name == 'ray' else makers()
        generate(made, who, root, pool, lambda progress: None)
        load_dataset(root).verify()
        roots.append(root)
    assert (tmp_path / 'ray' / 'died').exists()
    first, second = (
        {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}
        for root in roots
    )
    assert first == second
    with pytest.raises(SimulationError, match=r'drive_000002: its process ended'):
        generate(
            made, makers(dying_drive), tmp_path / 'bad', RayPool(cluster, 1), lambda progress: None
        )
