"""The parameter table, its documentation and the example file tell the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bev_perception.cli.main import main
from bev_perception.ros.parameter_table import PARAMETERS, markdown_table

REPO = Path(__file__).resolve().parents[2]


def flatten(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f'{prefix}{key}'
        flat.update(flatten(value, f'{name}.') if isinstance(value, dict) else {name: value})
    return flat


def test_documentation_is_the_table():
    assert (REPO / 'docs' / 'parameters.md').read_text().endswith(markdown_table())


def test_command_prints_the_table(capsys):
    assert main(['parameters']) == 0
    assert capsys.readouterr().out == markdown_table()


def test_example_file_holds_every_parameter_with_its_default():
    content = yaml.safe_load((REPO / 'config' / 'bev.params.yaml').read_text())
    example = flatten(content['/**']['ros__parameters'])
    defaults = {spec.name: spec.default for spec in PARAMETERS}
    # The rig is the deployer's own: given by launch argument or in the commented block.
    del defaults['rig_file'], defaults['cameras']
    assert example == defaults


def test_every_description_is_a_sentence_and_every_number_is_bounded():
    for spec in PARAMETERS:
        assert spec.description.endswith('.'), spec.name
        if isinstance(spec.default, int | float) and not isinstance(spec.default, bool):
            assert spec.low is not None and spec.high is not None, spec.name
            assert spec.low <= spec.default <= spec.high, spec.name
        if spec.choices:
            assert spec.default in spec.choices
