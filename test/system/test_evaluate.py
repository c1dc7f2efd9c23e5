"""`bev evaluate` as a whole: from recordings to numbers, pictures and comparisons."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bev_trainer.dataset.bag.writer import write_bag
from bev_trainer.dataset.reader import Drive
from support.drives import SmallDrive
from support.tiny_model import save_tiny_model

from bev_perception.cli.main import main as bev
from bev_perception.evaluation.report.json_file import read_results
from bev_perception.evaluation.report.numbers import number_text

FRAMES = 21


@pytest.fixture(scope='module')
def bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three converted drives with ground truth, of two seconds each."""
    folder = tmp_path_factory.mktemp('bags')
    for index in range(3):
        sketch = SmallDrive(
            name=f'drive_{index:06d}',
            frames=FRAMES,
            label_frames=tuple(range(0, FRAMES, 5)),
            start=(70.0 + 2.0 * index, 58.0, -0.4 * index),
        )
        with Drive(sketch.write(folder / 'drives')) as drive:
            write_bag(drive, folder / 'bags' / sketch.name)
    return folder / 'bags'


@pytest.fixture(scope='module')
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp('models')
    return [save_tiny_model(folder / f'tiny_{seed}', seed) for seed in (3, 4)]


def evaluate(*arguments: object) -> int:
    return bev(['evaluate', *map(str, arguments), '--bootstrap', '20', '--workers', '1'])


@pytest.fixture(scope='module')
def out(bags: Path, models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('out') / 'both'
    names = [word for model in models for word in ('--model', model)]
    assert evaluate(bags, '-o', folder, *names, '--min-score', '0.02', '--submission') == 0
    return folder


def test_everything_is_there_and_nothing_else(out: Path) -> None:
    assert {path.name for path in out.iterdir()} == {
        'report.html', 'results.json', 'timing.json', 'figures.csv', 'records', 'submission_0',
        'submission_1',
    }  # fmt: skip


def test_two_models_over_three_scenes(out: Path) -> None:
    found = read_results(out / 'results.json')
    assert len(found.runs) == 2 and len(found.comparisons) == 1 and not found.refusals
    for run in found.runs:
        assert [scene.info.name for scene in run.scenes] == [f'drive_{k:06d}' for k in range(3)]
        for scene in run.scenes:
            assert scene.frames == FRAMES and len(scene.notes) == 5 and not scene.problems
            assert all(set(note.cameras) == {'USED'} for note in scene.notes)
        names = ('iou/model/vehicle', 'detection/mAP', 'occupancy/ECE', 'forecast/minADE')
        for name in names:
            estimate = run.figures[name]
            if estimate.value is not None and estimate.low is not None:
                assert estimate.high is not None and estimate.low <= estimate.high
        assert run.figures['iou/model/vehicle'].value is not None
        # The grid of the model is smaller than the published ranges: not defined, never 0.
        assert run.figures['iou/long/vehicle'].value is None


def test_the_same_numbers_on_the_page_in_json_and_in_csv(out: Path) -> None:
    found = read_results(out / 'results.json')
    value = found.runs[0].figures['occupancy/ECE'].value
    assert value is not None
    shown: list[tuple[str, str]] = []

    class Page(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names = dict(attrs)
            if tag == 'data':
                shown.append((str(names.get('value')), ''))

        def handle_data(self, data: str) -> None:
            if shown and not shown[-1][1]:
                shown[-1] = shown[-1][0], data.strip()

    Page().feed((out / 'report.html').read_text())
    texts = {text for number, text in shown if number == repr(value)}
    assert texts and all(text.startswith(number_text(value)) for text in texts)
    rows = (out / 'figures.csv').read_text().splitlines()
    (row,) = (r for r in rows[: len(rows) // 2] if ',occupancy/ECE,' in r)
    assert repr(value) in row


def test_twice_the_same_bytes(bags: Path, models: list[Path], out: Path, tmp_path: Path) -> None:
    names = [word for model in models for word in ('--model', model)]
    assert evaluate(bags, '-o', tmp_path, *names, '--min-score', '0.02') == 0
    assert (tmp_path / 'results.json').read_bytes() == (out / 'results.json').read_bytes()


def test_a_model_is_the_same_as_itself(out: Path, tmp_path: Path) -> None:
    assert bev(['evaluate', '--compare', str(out), str(out), '-o', str(tmp_path)]) == 0
    found = read_results(tmp_path / 'results.json')
    first = found.runs[0].model
    (same,) = (c for c in found.comparisons if c.first == c.second and c.first.startswith(first))
    changes = {d.change for d in same.differences if d.change is not None}
    assert changes == {0.0} and not same.frames
    assert {d.verdict for d in same.differences} <= {'same', 'n/a'}


def test_submissions_name_every_sample(out: Path) -> None:
    for task in ('detection', 'tracking'):
        content = json.loads((out / 'submission_0' / f'{task}.json').read_text())
        assert len(content['results']) == 15 and content['meta']['use_camera']


def test_a_dead_camera_costs_what_it_saw(bags: Path, models: list[Path], tmp_path: Path) -> None:
    arguments = ['--model', models[0], '--robustness', 'missing', 'odometry', '--strengths', '1']
    assert evaluate(bags / 'drive_000000', '-o', tmp_path, *arguments) == 0
    found = read_results(tmp_path / 'results.json')
    clean = found.runs[0]
    assert clean.condition == 'clean'
    missing = [run for run in found.runs if run.condition.endswith(' missing')]
    cameras = clean.scenes[0].info.cameras
    assert len([run for run in missing if run.condition.startswith('camera ')]) == len(cameras)
    name = 'occupancy/unknown_share'
    lost_shares = []
    for index, camera in enumerate(cameras):
        (run,) = (run for run in missing if run.condition == f'camera {camera} missing')
        states = {note.cameras[index] for note in run.scenes[0].notes}
        assert states == {'MISSING'}
        before, after = clean.figures[name].value, run.figures[name].value
        assert before is not None and after is not None and after >= before
        lost_shares.append(after - before)
    assert max(lost_shares) > 0.01
    (lost,) = (run for run in found.runs if run.condition == 'odometry missing')
    assert all(note.past_dropped or k == 0 for k, note in enumerate(lost.scenes[0].notes))


def test_what_cannot_be_evaluated_is_refused_and_the_rest_is_not(
    bags: Path, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / 'bags'
    shutil.copytree(bags / 'drive_000000', folder / 'good')
    shutil.copytree(bags / 'drive_000001', folder / 'cut')
    (file,) = (folder / 'cut').glob('*.mcap')
    file.write_bytes(file.read_bytes()[:200])
    assert evaluate(folder, '-o', tmp_path / 'out', '--model', models[0]) == 1
    found = read_results(tmp_path / 'out' / 'results.json')
    assert [scene.info.name for scene in found.runs[0].scenes] == ['good']
    (refusal,) = found.refusals
    assert refusal.name == 'cut' and refusal.reason
    assert 'cut' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['absent'], ['absent', 'no such']),
        ([], ['nothing to evaluate']),
        (['BAG', '--model', 'nono'], ["'nono'"]),
        (['BAG', '--robustness', 'rain'], ["'rain'", 'missing']),
        (['BAG', '--rate', '0'], ['--rate']),
        (['BAG', '--split', 'test'], ["'test'"]),
        (['BAG', '--scenes', '0'], ['--scenes']),
        (['BAG', '--truth', 'absent.json'], ['absent.json']),
        (['--compare', 'absent', 'absent'], ['absent', 'no evaluation']),
    ],
)
def test_bad_requests_take_one_line(
    arguments: list[str], words: list[str], bags: Path, models: list[Path], tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = [str(bags / 'drive_000000') if word == 'BAG' else word for word in arguments]
    model = [] if '--model' in given or '--compare' in given else ['--model', str(models[0])]
    out = tmp_path / 'out'
    assert bev(['evaluate', *given, *model, '-o', str(out)]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert re.match('bev: error: ', line) and all(word in line for word in words), line
    assert not out.exists() or not list(out.iterdir())
