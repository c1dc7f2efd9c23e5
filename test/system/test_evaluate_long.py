"""Ten minutes of six cameras: memory does not grow, and the numbers are the same every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bev_trainer.dataset.bag.writer import write_bag
from bev_trainer.dataset.reader import Drive
from support.drives import SmallDrive, rig_of_lenses
from support.tiny_model import save_tiny_model

pytestmark = [pytest.mark.system, pytest.mark.slow]

SECONDS, CAMERAS = 600, 6
FRAMES = 10 * SECONDS + 1


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('long')
    rig = rig_of_lenses(64, 40)
    cameras = (rig.cameras * CAMERAS)[:CAMERAS]
    named = tuple(
        camera.model_copy(
            update={'name': f'cam_{k}', 'frame_id': f'cam_{k}', 'image_topic': f'/cam_{k}/image',
                    'camera_info_topic': f'/cam_{k}/camera_info'}
        )
        for k, camera in enumerate(cameras)
    )  # fmt: skip
    sketch = SmallDrive(
        rig=rig.model_copy(update={'cameras': named}),
        frames=FRAMES,
        label_frames=tuple(range(0, FRAMES, 50)),
        speed_mps=3.0,
        yaw_rate_radps=0.3,
    )
    with Drive(sketch.write(folder / 'drives')) as drive:
        write_bag(drive, folder / 'bag')
    return folder / 'bag'


def rss_mb(root: int) -> float:
    """Returns the memory of a process and its children."""
    total = 0.0
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            status = Path(f'/proc/{pid}/status').read_text()
            for task in Path(f'/proc/{pid}/task').iterdir():
                waiting += map(int, (task / 'children').read_text().split())
        except (OSError, ValueError):
            continue
        total += sum(
            int(line.split()[1]) / 1024
            for line in status.splitlines()
            if line.startswith('RssAnon:')
        )
    return total


def run(bag: Path, model: Path, out: Path) -> list[float]:
    """Evaluates; returns the memory in MB once a second."""
    command = [
        sys.executable, '-m', 'bev_perception.cli.main', 'evaluate', str(bag), '--model',
        str(model), '-o', str(out), '--workers', '1', '--rate', '2',
    ]  # fmt: skip
    process = subprocess.Popen(command, env=os.environ | {'OMP_NUM_THREADS': '1'})
    samples = []
    while process.poll() is None:
        samples.append(rss_mb(process.pid))
        time.sleep(1.0)
    assert process.returncode == 0
    return samples


def test_ten_minutes(bag: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / 'tiny')
    samples = run(bag, model, tmp_path / 'one')
    timing = json.loads((tmp_path / 'one' / 'timing.json').read_text())['timings'][0]
    print(f'real-time factor {timing["real_time_factor"]:.2f}, MB {samples[::20]}')
    assert timing['recording_s'] == pytest.approx(SECONDS, abs=1.0)
    # Of the second half against the second quarter: what is kept is some kilobytes per frame.
    count = len(samples)
    before, after = max(samples[count // 4 : count // 2]), max(samples[count // 2 : -5])
    assert after - before < 40.0, (before, after)
    run(bag, model, tmp_path / 'two')
    first, second = ((tmp_path / name / 'results.json').read_bytes() for name in ('one', 'two'))
    assert first == second
