"""What the page on training says: the keys and defaults, the example, and the commands."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from bev_trainer.cli import COMMANDS, _command
from bev_trainer.config.train_config import TrainConfig, parse_train_config
from bev_trainer.study.plan import parse_study
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

REPO = Path(__file__).resolve().parents[2]
TEXT = (REPO / 'docs' / 'training.md').read_text()
README = (REPO / 'README.md').read_text()
REQUIRED = 'required'
OF_OTHERS = {'--model', '--nnodes', '--logdir'}  # bev evaluate, torchrun, tensorboard


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Returns the section that a field is, or is a list of."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def keys(section: type[BaseModel], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yields the keys of a section and of those in it, with their defaults as in YAML."""
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None or get_args(field.annotation):
            default = REQUIRED if field.is_required() else to_jsonable_python(field.default)
            yield f'{prefix}{name}', default
        if inner is not None and name != 'validation':  # has the keys of 'data'
            yield from keys(inner, f'{prefix}{name}.')


def quoted(text: str) -> list[str]:
    return re.findall(r'`([^`]+)`', text)


def described() -> dict[str, Any]:
    """Returns the keys that the table names, with the defaults that it tells."""
    rows = TEXT.partition('| key | default |')[2].partition('\n\n')[0].splitlines()[2:]
    found: dict[str, Any] = {}
    for row in rows:
        names, told, meaning = (cell.strip() for cell in row.strip('|').split('|'))
        own = quoted(names)
        if not told:  # sections of the same keys, which are in the text with one default
            inner = [word for word in quoted(meaning) if word.isidentifier()]
            found |= {f'{name}.{key}': 0.0 for name in own for key in inner}
            continue
        values = [yaml.safe_load(value) for value in quoted(told.replace(REQUIRED, '`required`'))]
        assert len(values) in (1, len(own)), row
        found |= zip(own, values * (len(own) // len(values)), strict=True)
    return found


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```', text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """Returns the words after `bev-trainer` of all commands that can be copied."""
    lines = '\n'.join(blocks(text, 'bash')).replace('\\\n', ' ').splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    starts = [('bev-trainer',), ('-m', 'bev_trainer')]
    return [
        words[at + len(start) :]
        for words in found
        for start in starts
        for at in range(len(words))
        if tuple(words[at : at + len(start)]) == start
    ]


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(command, exit_on_error=False)
    _command(command).add_arguments(parser)
    return parser


def options_of(command: str) -> set[str]:
    actions = parser_of(command)._actions
    return {option for action in actions for option in action.option_strings}


def test_every_key_is_in_the_table_with_its_default() -> None:
    assert described() == dict(keys(TrainConfig))


def test_the_example_is_a_study_file() -> None:
    _, example = blocks(TEXT, 'yaml')
    study = parse_study(example, 'docs/training.md')
    assert study.arms['no average'].of == 'as it is' and list(study.tests) == ['held out']


def test_the_example_is_a_training_file() -> None:
    example, _ = blocks(TEXT, 'yaml')
    config = parse_train_config(example, 'training.md')
    assert (REPO / config.model).is_file()
    assert config.validation


@pytest.mark.parametrize('text', [TEXT, README], ids=['training.md', 'README.md'])
def test_commands_that_can_be_copied_are_understood(text: str) -> None:
    found = commands(text)
    assert found
    for command, *words in found:
        parser_of(command).parse_args(words)


def test_commands_and_options_in_the_text_exist() -> None:
    everything = OF_OTHERS.union(*map(options_of, COMMANDS))
    for words in map(str.split, quoted(re.sub(r'(?s)^```.*?^```', '', TEXT, flags=re.M))):
        known = everything
        if words[0] == 'bev-trainer':
            assert words[1] in COMMANDS
            known = options_of(words[1])
        assert {word for word in words if word.startswith('-') and len(word) > 1} <= known, words


def test_all_that_belongs_to_a_training_is_told() -> None:
    for command in ('train', 'fit-size', 'export', 'adapt', 'soup', 'init', 'study'):
        assert f'bev-trainer {command}' in TEXT
