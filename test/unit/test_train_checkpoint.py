"""Checkpoints that are whole, and what they say of their training."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from bev_trainer.config.train_config import TrainConfig, load_train_config
from bev_trainer.training import checkpoint as checkpoint_file
from bev_trainer.training.checkpoint import Saving, WholeFiles, read_checkpoint
from bev_trainer.training.record import RunRecord, code_version, fingerprint, record_of
from support.train_set import short_config, write_training

from bev_perception.errors import ConfigError


def test_the_old_checkpoint_stays_until_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'run' / 'last.ckpt'
    WholeFiles().save_checkpoint({'bev_run': {}, 'step': 1}, path)
    assert read_checkpoint(path)['step'] == 1

    def killed(content: Any, file: Any) -> None:
        file.write(b'half a file')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_file.torch, 'save', killed)
        with pytest.raises(KeyboardInterrupt):
            WholeFiles().save_checkpoint({'bev_run': {}, 'step': 2}, path)
    assert read_checkpoint(path)['step'] == 1
    assert [entry.name for entry in path.parent.iterdir()] == ['last.ckpt']
    WholeFiles().save_checkpoint({'bev_run': {}, 'step': 2}, path)
    assert read_checkpoint(path)['step'] == 2


class Evil:
    def __reduce__(self) -> Any:
        return (pytest.fail, ('code of a checkpoint was run',))


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / 'last.ckpt'
    with pytest.raises(ConfigError, match=r'last\.ckpt: cannot read the checkpoint: No such'):
        read_checkpoint(path)
    torch.save({'bev_run': {}, 'weights': torch.ones(1000)}, path)
    whole = path.read_bytes()
    for content in (b'', b'text', whole[:500], pickle.dumps(Evil())):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match='is no checkpoint, or a damaged one') as caught:
            read_checkpoint(path)
        assert '\n' not in str(caught.value)
    torch.save({'bev_run': Evil()}, path)
    with pytest.raises(ConfigError, match='is no checkpoint, or a damaged one'):
        read_checkpoint(path)
    torch.save({'state_dict': {}}, path)
    with pytest.raises(ConfigError, match='no checkpoint of bev-trainer'):
        read_checkpoint(path)


class Trainer:
    def __init__(self) -> None:
        self.global_step = 0
        self.saved: list[int] = []

    def save_checkpoint(self, path: Path, weights_only: bool) -> None:
        assert path.name == 'last.ckpt' and weights_only is False
        self.saved.append(self.global_step)


def test_it_is_saved_once_per_step_and_never_within_one(tmp_path: Path) -> None:
    trainer, saving = Trainer(), Saving(tmp_path, lambda step: step % 2 == 0)
    trainer.global_step = 4  # resumed
    saving.on_train_start(trainer, None)  # type: ignore[arg-type]
    for number in range(12):
        trainer.global_step = 4 + (number + 1) // 3  # three passes make a step
        saving.on_train_batch_end(trainer, None, None, None, 0)  # type: ignore[arg-type]
    assert trainer.saved == [6, 8]
    assert saving.saved == 8


class Source:
    def __init__(self, clips: int) -> None:
        self.clips, self.scenes = clips, 3


def a_record(folder: Path, clips: int = 8, **changes: Any) -> RunRecord:
    data = folder / 'data'
    data.mkdir(exist_ok=True)
    (data / 'manifest.json').write_text('{}')
    config = load_train_config(write_training(folder, data, **changes))
    return record_of(config, short_config(), [Source(clips)])  # type: ignore[list-item]


def test_a_record_comes_back_from_plain_values(tmp_path: Path) -> None:
    record = a_record(tmp_path)
    torch.save(record.dump(), tmp_path / 'file')
    content = torch.load(tmp_path / 'file', weights_only=True)
    found = RunRecord.load(content, 'file')
    assert found == record
    assert isinstance(found.config, TrainConfig)
    (data,) = found.data
    assert (data.name, data.split, data.scenes, data.clips) == ('data', 'train', 3, 8)
    assert data.sha256 == fingerprint(tmp_path / 'data')


def test_a_split_that_nobody_chose_stays_open(tmp_path: Path) -> None:
    record = a_record(tmp_path, data=[{'path': str(tmp_path / 'data')}])
    found = RunRecord.load(record.dump(), 'file').config.data[0]
    assert 'split' not in found.model_fields_set and found.split == 'train'
    again = RunRecord.load(a_record(tmp_path).dump(), 'file').config.data[0]
    assert 'split' in again.model_fields_set


@pytest.mark.parametrize(
    'changes',
    [
        {'run': {'steps': 9, 'workers': 3, 'max_bad_share': 0.5}},
        {'check': {'every_steps': 1, 'clips': 9}},
        {'validation': []},
    ],
)
def test_what_does_not_decide_about_steps_may_change(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    begun = a_record(tmp_path)
    assert a_record(tmp_path, **changes).going_on(begun, 'last.ckpt').data == begun.data


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'run': {'seed': 5}}, "'run.seed' 0, the training file says 5"),
        ({'run': {'batch': 3}}, "'run.batch' 2, the training file says 3"),
        ({'optimiser': {'rate': 0.5}}, "'optimiser.rate' 0.002, the training file says 0.5"),
        ({'augment': {'mirror_share': 0.5}}, "'augment.mirror_share' 0.0, the training file says"),
        ({'clips': 9}, r"began on 8 clips of 'data' \(train\), content \w{12}, now it is 9 clips"),
    ],
)
def test_another_training_is_not_gone_on_with(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    begun = a_record(tmp_path)
    with pytest.raises(ConfigError, match=said) as caught:
        a_record(tmp_path, **changes).going_on(begun, 'last.ckpt')
    assert str(caught.value).startswith('last.ckpt: ')


def test_a_data_set_that_was_made_anew_or_another_model_is_noticed(tmp_path: Path) -> None:
    begun = a_record(tmp_path)
    other = RunRecord(
        begun.config, begun.model.model_copy(update={'name': 'other'}), begun.data, begun.code
    )
    with pytest.raises(ConfigError, match='another model'):
        begun.going_on(other, 'last.ckpt')
    changed = a_record(tmp_path)
    (tmp_path / 'data' / 'manifest.json').write_text('{"other": 1}')
    now = record_of(changed.config, changed.model, [Source(8)])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match='content'):
        now.going_on(begun, 'last.ckpt')


def test_programs_that_worked_on_it_are_listed_once(tmp_path: Path) -> None:
    record = a_record(tmp_path)
    older = RunRecord(record.config, record.model, record.data, '0.0.1')
    both = record.going_on(older, 'last.ckpt').code
    assert both == f'0.0.1, {code_version()}'
    again = record.going_on(RunRecord(record.config, record.model, record.data, both), 'x')
    assert again.code == both


def test_folders_without_a_manifest_are_known_by_their_files(tmp_path: Path) -> None:
    folder = tmp_path / 'bags'
    (folder / 'a').mkdir(parents=True)
    (folder / 'a' / 'x.db3').write_bytes(b'1234')
    first = fingerprint(folder)
    assert fingerprint(folder) == first
    (folder / 'a' / 'x.db3').write_bytes(b'12345')
    assert fingerprint(folder) != first
    assert fingerprint(folder / 'a' / 'x.db3') != first
