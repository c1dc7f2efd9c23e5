"""`bev-trainer export`: what is in the model folder, and what the card says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from bev_trainer.averaging.evaluate import even_clips
from bev_trainer.cli import main
from bev_trainer.commands import adapt as adapt_command
from bev_trainer.commands import export as export_command
from bev_trainer.commands import soup as soup_command
from bev_trainer.config.sections import ClipSection
from bev_trainer.config.train_config import load_train_config
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.losses.clip_step import run_clip
from bev_trainer.training.calibrate import best_threshold, calibrate, reset_calibration
from bev_trainer.training.card import card_of
from bev_trainer.training.checkpoint import read_checkpoint
from bev_trainer.training.finished import load_finished
from bev_trainer.training.record import fingerprint
from bev_trainer.training.run import create_model
from support.train_set import short_config, write_data_set, write_training
from torch import Tensor
from torch.nn import functional

from bev_perception.evaluation.report.json_file import results_json
from bev_perception.evaluation.results import (
    Estimate,
    Evaluation,
    FrameNote,
    RunResult,
    SceneResult,
)
from bev_perception.evaluation.scenes.scene import SceneInfo
from bev_perception.model.bev_model import BevModel
from bev_perception.model.folder import LoadedModel, load_model


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, and a training of three steps with an average of weights."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('export')
    write_data_set(folder / 'data')
    file = write_training(
        folder, folder / 'data', run={'steps': 3, 'seed': 6}, check={'every_steps': 100},
        average={'decay': 0.5},
    )  # fmt: skip
    assert main(['train', str(file), '-o', str(folder / 'run')]) == 0
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def export(folder: Path, output: Path, *options: str) -> LoadedModel:
    assert main(['export', str(folder / 'run'), '-o', str(output), *options]) == 0
    return load_model(output)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(['export', *words]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    return error


def parameters(model: torch.nn.Module) -> dict[str, Tensor]:
    return dict(model.named_parameters())


def checkpoint(folder: Path) -> dict[str, Any]:
    return read_checkpoint(folder / 'run' / 'last.ckpt')


def test_the_average_is_exported_unless_the_last_weights_are_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    content = checkpoint(folder)
    average, last = (
        export(folder, tmp_path / 'a'),
        export(folder, tmp_path / 'b', '--weights', 'last'),
    )
    stored = content['callbacks']['Averaging']['average']
    for name, tensor in parameters(average.model).items():
        assert torch.equal(tensor, stored[name])
        assert torch.equal(parameters(last.model)[name], content['state_dict'][f'model.{name}'])
    assert average.weights_hash != last.weights_hash
    # Nothing that only trains with the network.
    assert set(average.model.state_dict()) == set(BevModel(short_config()).state_dict())


def test_the_description_says_where_the_weights_come_from(folder: Path, tmp_path: Path) -> None:
    training = export(folder, tmp_path / 'model').config.training
    assert training.trained and training.seed == 6 and training.steps == 3
    assert training.description == '3 steps on 3 recordings of data (train)'
    assert training.code == checkpoint(folder)['bev_run']['code']
    (data,) = training.data
    assert (data.name, data.split, data.scenes, data.clips) == ('data', 'train', 3, 6)
    assert data.sha256 == fingerprint(folder / 'data')
    # Everything else is as the training file says.
    config = yaml.safe_load((tmp_path / 'model' / 'model.yaml').read_text())
    expected = yaml.safe_load((folder / 'model.yaml').read_text())
    assert {**config, 'training': None} == {**expected, 'training': None}


def test_a_description_of_a_trained_model_alone_begins_afresh(
    folder: Path, tmp_path: Path
) -> None:
    """What weights have learned before is not said of weights that are new."""
    described = export(folder, tmp_path / 'first')
    path = write_training(tmp_path, folder / 'data', model='first/model.yaml')
    fresh = create_model(load_train_config(path))
    training = fresh.config.training
    assert described.config.training.trained and not training.trained
    assert training.data == () and training.steps == 0 and 'seed 0' in training.description
    whole = write_training(tmp_path, folder / 'data', model='first')
    assert create_model(load_train_config(whole)).config.training == described.config.training


def test_a_training_begins_without_the_thresholds_of_other_weights(
    folder: Path, tmp_path: Path
) -> None:
    fitted = export(folder, tmp_path / 'fitted', '--calibrate', '2').config.heads
    assert fitted.semantics and fitted.semantics.thresholds is not None
    assert fitted.motion and fitted.motion.instance_threshold is not None
    for begin in ('fitted', 'fitted/model.yaml'):
        path = write_training(tmp_path, folder / 'data', model=begin)
        heads = create_model(load_train_config(path)).config.heads
        assert heads.semantics and heads.semantics.thresholds is None
        assert heads.motion and heads.motion.instance_threshold is None
        assert heads.motion.vote_radius_m == 1.0


def test_an_export_is_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    options = ['--calibrate', '2', '--batch-norm', '3']
    for output in ('a', 'b'):
        export(folder, tmp_path / output, *options)
    for name in ('model.yaml', 'weights.safetensors', 'CARD.md'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()


def test_half_precision_is_for_matrices_alone(folder: Path, tmp_path: Path) -> None:
    whole, half = export(folder, tmp_path / 'a'), export(folder, tmp_path / 'b', '--half')
    for name, tensor in parameters(half.model).items():
        stored = parameters(whole.model)[name]
        expected = stored.half().float() if tensor.ndim > 1 else stored
        assert torch.equal(tensor, expected)


def test_batch_norm_and_calibration_change_nothing_else(folder: Path, tmp_path: Path) -> None:
    plain = export(folder, tmp_path / 'a').model.state_dict()
    norms = export(folder, tmp_path / 'b', '--batch-norm', '3').model.state_dict()
    fitted = export(folder, tmp_path / 'c', '--calibrate', '2').model.state_dict()

    def changed(other: dict[str, Tensor]) -> set[str]:
        return {name for name in plain if not torch.equal(plain[name], other[name])}

    assert changed(norms) and all('running_' in name for name in changed(norms))
    expected = {
        f'heads.{h}.calibration.{p}' for h in ('occupancy', 'motion') for p in ('scale', 'bias')
    }
    assert changed(fitted) == expected


@pytest.fixture(scope='module')
def source(folder: Path) -> DriveSource:
    drive = folder / 'data' / 'drives' / 'drive_000003.zip'
    return DriveSource([drive], short_config(), ClipSection(frames=2))


def log_losses(model: BevModel, source: DriveSource) -> dict[str, float]:
    """Log losses of the known cells of all outputs that are calibrated, frame by frame."""
    found: dict[str, list[Tensor]] = {'occupancy': [], 'motion': []}
    with torch.no_grad():
        for clip in even_clips(source, 2, 1):
            for result, frame in zip(run_clip(model, clip), clip.frames, strict=True):
                assert frame.targets is not None
                outputs, targets = result.outputs, frame.targets
                for name, logits, truth in (
                    ('occupancy', outputs.occupancy_logits, targets.occupancy),
                    ('occupancy', outputs.semantic_logits, targets.semantics),
                    ('motion', outputs.motion_logits, targets.motion),
                ):
                    assert logits is not None and truth is not None
                    known = torch.isfinite(truth) & (truth >= 0)
                    found[name].append(
                        functional.binary_cross_entropy_with_logits(
                            logits[known].double(), (truth[known] == 1).double(), reduction='none'
                        )
                    )
    return {name: float(torch.cat(parts).mean()) for name, parts in found.items()}


def test_thresholds_by_hand() -> None:
    probability = torch.tensor([0.9, 0.8, 0.6, 0.4, 0.3, 0.1])
    truth = torch.tensor([1, 1, 0, 1, 0, 0]).bool()
    # 3 of 4 from anything in (0.3, 0.4] on, of which the least is taken; 2 of 3 from 0.8 on.
    assert best_threshold(probability, truth) == pytest.approx(0.31)
    assert best_threshold(probability, torch.zeros(6).bool()) == 0.5


def test_thresholds_have_the_greatest_overlap() -> None:
    generator = torch.Generator().manual_seed(3)
    probability = torch.rand(2000, generator=generator)
    truth = torch.rand(2000, generator=generator) < 0.2 + 0.3 * probability
    overlaps = {}
    for hundredth in range(1, 100):
        said = probability.double() >= hundredth / 100
        overlaps[hundredth] = float((said & truth).sum() / (said | truth).sum())
    found = round(100 * best_threshold(probability, truth))
    assert overlaps[found] == max(overlaps.values()) > overlaps[50]


def test_calibrated_models_have_thresholds(folder: Path, tmp_path: Path) -> None:
    plain = export(folder, tmp_path / 'a').config.heads
    heads = export(folder, tmp_path / 'b', '--calibrate', '2').config.heads
    assert plain.semantics and plain.motion and heads.semantics and heads.motion
    assert plain.semantics.thresholds is None
    assert heads.semantics.thresholds is not None
    assert len(heads.semantics.thresholds) == len(heads.semantics.classes)
    assert heads.motion.threshold != plain.motion.threshold
    assert plain.motion.instance_threshold is None
    assert heads.motion.instance_threshold is not None
    assert heads.motion.instance_threshold >= heads.motion.threshold
    assert plain == heads.model_copy(update={'semantics': plain.semantics, 'motion': plain.motion})


def test_calibration_lowers_the_log_loss_as_it_says(source: DriveSource) -> None:
    torch.manual_seed(0)
    model = BevModel(short_config()).eval()
    before = log_losses(model, source)
    model.heads.occupancy.calibration.scale.fill_(3.0)  # of an earlier life
    said = calibrate(model, even_clips(source, 2, 2))
    assert [item.name for item in said] == ['occupancy', 'motion']
    after = log_losses(model, source)
    for item in said:
        assert item.before == pytest.approx(before[item.name], rel=1e-5)
        assert item.after == pytest.approx(after[item.name], rel=1e-5)
        assert item.after < item.before
    # There is nothing left to gain.
    again = calibrate(model, even_clips(source, 2, 2))
    assert [item.after for item in again] == pytest.approx([item.after for item in said])
    assert not model.training
    reset_calibration(model)
    assert log_losses(model, source) == pytest.approx(before)


def test_the_card_says_what_was_done(folder: Path, tmp_path: Path) -> None:
    loaded = export(folder, tmp_path / 'model', '--calibrate', '2')
    card = (tmp_path / 'model' / 'CARD.md').read_text()
    assert card.startswith('# tiny 0.1.0\n') and f'Model `{loaded.model_id}`' in card
    assert f'| data | train | 3 | 6 | 1 | {fingerprint(folder / "data")[:12]} |' in card
    assert '- 3 steps of 2 clips, seed 6, 32-true' in card
    assert '- weights: average along the training' in card
    assert '- calibrated occupancy: log loss ' in card
    assert 'licence Apache-2.0' in card and '## Figures\n\nNone were given.' in card
    plain = export(folder, tmp_path / 'plain', '--weights', 'last')
    card = (tmp_path / 'plain' / 'CARD.md').read_text()
    assert '- weights: last step' in card and '- probabilities are not calibrated' in card
    assert plain.model_id != loaded.model_id


def test_what_is_calibrated_on_what_was_learned_says_so(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finished = load_finished(folder / 'run')
    config = finished.record.config
    config = config.model_copy(update={'validation': config.data})
    record = replace(finished.record, config=config)
    same = replace(finished, record=record)
    said = 'calibrated on what it has learned from, too: data\n'
    for name, found, times in (('a', finished, 0), ('b', same, 1)):
        monkeypatch.setattr(export_command, 'load_finished', lambda *_, found=found: found)
        export(folder, tmp_path / name, '--calibrate', '1')
        assert capsys.readouterr().out.count(said) == times
        assert (tmp_path / name / 'CARD.md').read_text().count(f'- {said}') == times


def results(path: Path, model_id: str) -> Path:
    figures = {
        'iou/long/vehicle': Estimate(0.4321, 0.4, 0.46, 'higher'),
        'detection/mAP': Estimate(None, None, None, 'higher'),
    }
    runs = tuple(
        RunResult(model_id, 'x', 'world', condition, figures, {}, {}, ())
        for condition in ('clean', 'camera front missing')
    )
    path.write_text(results_json(Evaluation('bev evaluate model --data world', runs)))
    return path


def test_figures_of_this_very_model_go_into_the_card(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / 'model'
    first = export(folder, output)
    file = results(tmp_path / 'results.json', first.model_id)
    second = export(folder, output, '--results', str(file), '--force')
    assert second.model_id == first.model_id
    card = (output / 'CARD.md').read_text()
    assert '| iou/long/vehicle | 0.432 [0.400, 0.460] |' in card and 'mAP' not in card
    assert card.count('On world') == 1 and '`bev evaluate model --data world`' in card
    capsys.readouterr()
    words = [str(folder / 'run'), '-o', str(output), '--results', str(file), '--force']
    error = refused(capsys, *words, '--weights', 'last')
    assert f'the results are of {first.model_id}, and the model is tiny-0.1.0-' in error
    assert load_model(output).model_id == first.model_id


@pytest.mark.parametrize(
    ('settings', 'scenes', 'said'),
    [
        ({'split': 'test'}, 1, 'On world, split test: 1 scene, 1 frame.'),
        ({'split': 'all'}, 1, 'On world: 1 scene, 1 frame.'),
        ({}, 2, 'On world: 2 scenes, 2 frames; 95 % intervals over scenes.'),
        ({'split': 'val'}, 0, 'On world, split val: 0 scenes, 0 frames.'),
    ],
)
def test_the_card_says_on_what_figures_are(
    folder: Path, settings: dict[str, str], scenes: int, said: str
) -> None:
    note = FrameNote(0, ('USED',), None, 0.0)
    scene = SceneResult(SceneInfo('a', 'synthetic', ('front',), 1.0), 1, (note,), {})
    run = RunResult('m', 'x', 'world', 'clean', {}, {}, {}, (scene,) * scenes)
    finished = load_finished(folder / 'run')
    evaluation = Evaluation('bev evaluate', (run,), settings=settings)
    card = card_of(finished, finished.description(), 'm', [], evaluation)
    assert f'\n{said}\n' in card


def test_what_cannot_be_exported_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, output = str(folder / 'run'), tmp_path / 'model'
    assert 'last.ckpt: cannot read' in refused(capsys, str(tmp_path), '-o', str(output))
    output.mkdir()
    assert 'already exists' in refused(capsys, run, '-o', str(output))
    (output / 'notes.txt').write_text('mine')
    assert 'holds notes.txt' in refused(capsys, run, '-o', str(output), '--force')
    assert (output / 'notes.txt').read_text() == 'mine'


def test_folders_around_the_model_are_made(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / 'a' / 'b' / 'model')
    assert [path.name for path in (tmp_path / 'a' / 'b').iterdir()] == ['model']


def test_a_place_that_cannot_be_is_refused_before_any_work(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_late(*_: Any) -> None:
        raise AssertionError('work was begun')

    for module, begins in ((export_command, 'load_finished'), (soup_command, 'load_model')):
        monkeypatch.setattr(module, begins, too_late)
    monkeypatch.setattr(adapt_command, 'load_model', too_late)
    file = tmp_path / 'file'
    file.write_text('mine')
    said = f': cannot write the model: {file} is no folder'
    assert f'{file}/a/b{said}' in refused(capsys, str(folder / 'run'), '-o', f'{file}/a/b')
    assert main(['soup', 'x', 'y', '-o', f'{file}/a/b']) == 2
    assert f'{file}/a/b{said}' in capsys.readouterr().err
    assert main(['adapt', 'x', '--data', 'y', '-o', f'{file}/a']) == 2
    assert f'{file}/a/model{said}' in capsys.readouterr().err
    (tmp_path / 'full' / 'model').mkdir(parents=True)
    (tmp_path / 'full' / 'model' / 'notes.txt').write_text('mine')
    assert main(['adapt', 'x', '--data', 'y', '-o', str(tmp_path / 'full')]) == 2
    assert 'holds notes.txt' in capsys.readouterr().err
    assert file.read_text() == 'mine'


def test_a_training_without_an_average_has_none(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_training(
        tmp_path, folder / 'data', run={'steps': 3}, average={'kind': 'none'}, validation=[]
    )
    assert main(['train', str(file), '-o', str(tmp_path / 'run')]) == 0
    assert export(tmp_path, tmp_path / 'model').config.training.trained
    assert 'weights: last step' in (tmp_path / 'model' / 'CARD.md').read_text()
    capsys.readouterr()
    words = [str(tmp_path / 'run'), '-o', str(tmp_path / 'other')]
    assert 'holds no average' in refused(capsys, *words, '--weights', 'average')
    assert 'no validation clips' in refused(capsys, *words, '--calibrate', '2')
    assert not (tmp_path / 'other').exists()
