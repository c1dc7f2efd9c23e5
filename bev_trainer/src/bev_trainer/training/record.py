"""What a checkpoint says of its training: enough to go on with it, and to export its model."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import bev_trainer
from bev_perception.errors import ConfigError
from bev_perception.evaluation.report.numbers import plural
from bev_perception.model.config import ModelConfig, own_family, parse_model_config
from bev_trainer.config.train_config import TrainConfig
from bev_trainer.data.clip_source import ClipSource
from bev_trainer.data.splits import taken_split
from bev_trainer.dataset.manifest import MANIFEST

# What may change when a training is resumed: it does not decide about the steps that are done.
_FREE: dict[str, Any] = {
    'model': True,  # its description is compared
    'data': {'__all__': {'path'}},
    'validation': True,
    'check': True,
    'run': {'steps', 'workers', 'max_bad_share'},
}


@dataclass(frozen=True)
class DataRecord:
    """One source of clips, so that it can be told from others.

    Attributes:
        name: of its folder or file.
        split: of it; empty for all, and for recordings, which have none.
        scenes: recordings.
        clips: that can be drawn from them.
        weight: see `DataSection`.
        sha256: of its manifest; without one, of the names and sizes of its files.
    """

    name: str
    split: str
    scenes: int
    clips: int
    weight: float
    sha256: str

    def __str__(self) -> str:
        split = f' ({self.split})' if self.split else ''
        return f"{plural(self.clips, 'clip')} of '{self.name}'{split}, content {self.sha256[:12]}"


@dataclass(frozen=True)
class RunRecord:
    """A training.

    Attributes:
        config: its training file.
        model: description of its network.
        data: what it learns from.
        code: version of the program that began it.
    """

    config: TrainConfig
    model: ModelConfig
    data: tuple[DataRecord, ...]
    code: str

    def dump(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            'config': plain(self.config),
            'model': self.model.to_yaml(),
            'data': [asdict(item) for item in self.data],
            'code': self.code,
        }

    @classmethod
    def load(cls, content: dict[str, Any], source: str) -> RunRecord:
        """Returns the record of plain values; `source` names them in errors."""
        return cls(
            TrainConfig.model_validate(content['config']),
            own_family(parse_model_config(content['model'], source)),
            tuple(DataRecord(**item) for item in content['data']),
            content['code'],
        )

    def going_on(self, begun: RunRecord, source: str) -> RunRecord:
        """Returns the record of a training that is resumed.

        Args:
            begun: what its checkpoint says.
            source: name of the checkpoint.

        Raises:
            ConfigError: it is another training; names what differs.
        """
        for ours, theirs in zip(self.data, begun.data, strict=False):
            if ours != theirs:
                raise ConfigError(f'{source}: the training began on {theirs}, now it is {ours}')
        first = _difference(_fixed(self.config), _fixed(begun.config))
        if first is not None:
            key, now, then = first
            raise ConfigError(
                f"{source}: the training began with '{key}' {then}, the training file says {now}; "
                'put it back, or begin another training'
            )
        # After the seed, which a fresh model carries in its description.
        if self.model != begun.model:
            raise ConfigError(f'{source}: is of another model than the training file asks for')
        codes = dict.fromkeys((*begun.code.split(', '), self.code))
        return replace(self, code=', '.join(codes))


def plain(config: TrainConfig) -> dict[str, Any]:
    """Returns a training file as plain values, defaults too.

    Splits that were not chosen are left out: recordings have none, data sets mean 'train'.
    """
    content = config.model_dump(mode='json')
    for key in ('data', 'validation'):
        for section, item in zip(getattr(config, key), content[key], strict=True):
            if 'split' not in section.model_fields_set:
                del item['split']
    return content


def record_of(config: TrainConfig, model: ModelConfig, sources: Sequence[ClipSource]) -> RunRecord:
    """Returns the record of a training that begins now."""
    data = tuple(
        DataRecord(
            section.path.resolve().name,
            taken_split(section) or '',
            source.scenes,
            source.clips,
            section.weight,
            fingerprint(section.path),
        )
        for section, source in zip(config.data, sources, strict=True)
    )
    return RunRecord(config, model, data, code_version())


def fingerprint(path: Path) -> str:
    """Returns the SHA-256 of a data set's manifest, or else of names and sizes of its files."""
    digest = hashlib.sha256()
    manifest = path / MANIFEST
    if manifest.is_file():
        digest.update(manifest.read_bytes())
        return digest.hexdigest()
    for file in _files(path):
        digest.update(f'{file.relative_to(path.parent)} {file.stat().st_size}\n'.encode())
    return digest.hexdigest()


def code_version() -> str:
    """Returns the version of the program, with the commit where it runs from a git clone."""
    folder = Path(bev_trainer.__file__).resolve().parent
    version = bev_trainer.__version__

    def git(*words: str) -> str:
        done = subprocess.run(
            ['git', '-C', str(folder), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        git('ls-files', '--error-unmatch', '__init__.py')
        return f'{version}+{git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")}'
    except (OSError, subprocess.CalledProcessError):
        return version


def _files(path: Path) -> Iterable[Path]:
    return sorted(file for file in path.rglob('*') if file.is_file()) if path.is_dir() else [path]


def _fixed(config: TrainConfig) -> dict[str, Any]:
    return config.model_dump(mode='json', exclude=_FREE)


def _difference(one: Any, other: Any, place: str = '') -> tuple[str, Any, Any] | None:
    """Returns the first value that differs between two dumps, and both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            inner = f'{place}.{key}' if place else str(key)
            found = _difference(one.get(key), other.get(key), inner)
            if found is not None:
                return found
        return None
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        found_all = (_difference(a, b, f'{place}.{index}') for index, (a, b) in pairs)
        return next((found for found in found_all if found is not None), None)
    return None if one == other else (place, one, other)
