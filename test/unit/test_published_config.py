"""Descriptions of published networks: the shipped ones, and what their weights fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bev_perception.bench.model_size import part_sizes
from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config import (
    ModelConfig,
    load_model_config,
    own_family,
    parse_model_config,
)
from bev_perception.model.config_published import PublishedConfig, describe_published
from bev_perception.model.published.lift_splat_shoot import LiftSplatShootSetup
from bev_perception.model.published.power_bev import PowerBevSetup
from bev_perception.model.published.simple_bev import SimpleBevSetup

MODELS = Path(__file__).resolve().parents[2] / 'models'
SETUPS = {
    'lift_splat_shoot': LiftSplatShootSetup(),
    'simple_bev': SimpleBevSetup(),
    'power_bev': PowerBevSetup(),
}


def shipped(name: str) -> PublishedConfig:
    config = load_model_config(MODELS / name / 'model.yaml')
    assert isinstance(config, PublishedConfig)
    return config


def changed(name: str, field: str, value: Any) -> str:
    """Returns the text of a shipped description with one field replaced, or removed for None."""
    data = yaml.safe_load((MODELS / name / 'model.yaml').read_text())
    *path, last = field.split('.')
    section = data
    for key in path:
        section = section[key]
    section[last] = value
    if value is None:
        del section[last]
    return yaml.safe_dump(data)


@pytest.mark.parametrize('name', SETUPS)
def test_shipped_descriptions_are_those_of_the_published_sizes(name: str) -> None:
    config, setup = shipped(name), SETUPS[name]
    assert config.setup() == setup
    made = describe_published(setup, config.name, config.version, config.licence, config.training)
    assert made == config and made.canonical() == config.canonical()
    assert parse_model_config(config.to_yaml(), 'again') == config
    assert not config.training.trained
    assert (config.input.height, config.input.width) == (setup.image_height, setup.image_width)
    grid = config.head_grid('occupancy')
    assert grid == BevGrid(grid.x_min_m, grid.y_min_m, 0.5, 200, 200)
    assert config.heads.names == {'occupancy'} | ({'motion'} if name == 'power_bev' else set())


def test_short_range_of_power_bev_is_chosen_by_the_grid() -> None:
    near = {'x_m': [-15.0, 15.0], 'y_m': [-15.0, 15.0], 'resolution_m': 0.15}
    config = parse_model_config(changed('power_bev', 'grid', near), 'x')
    assert isinstance(config, PublishedConfig)
    assert config.setup() == PowerBevSetup(extent_m=15.0)
    assert config.bev_grid() == BevGrid(-15.0, -15.0, 0.15, 200, 200)


def test_what_weights_do_not_fix_is_free() -> None:
    for name, field, value in (
        ('lift_splat_shoot', 'input.horizon_share', 0.3),
        ('power_bev', 'heads.motion.threshold', 0.4),
        ('power_bev', 'heads.motion.steps', 6),
        ('power_bev', 'memory.slots', 2),
        ('simple_bev', 'reference_height_m', 2.0),
        ('simple_bev', 'grid.x_m', [-50.0, 50.0]),
    ):
        assert isinstance(parse_model_config(changed(name, field, value), 'x'), PublishedConfig)


@pytest.mark.parametrize(
    ('name', 'field', 'value', 'words'),
    [
        ('lift_splat_shoot', 'input.width', 704, 'input.width 352, got 704'),
        ('lift_splat_shoot', 'grid.x_m', [-40.0, 60.0], 'grid.x_m [-50.0, 50.0], got [-40.0, 60'),
        ('simple_bev', 'grid.resolution_m', 0.25, 'grid.resolution_m 0.5, got 0.25'),
        ('power_bev', 'grid.y_m', [-15.0, 15.0], 'grid.y_m [-50.0, 50.0], got [-15.0, 15.0]'),
        ('simple_bev', 'input.mean_rgb', [0.0, 0.0, 0.0], 'input.mean_rgb [123.675, 116.28, 103'),
        ('power_bev', 'heads.semantics.classes', ['car'], "heads.semantics.classes ['vehicle']"),
        ('power_bev', 'heads.motion', None, "'power_bev' needs 'heads.motion'"),
        ('power_bev', 'heads.motion.step_s', 1.0, 'heads.motion.step_s 0.5, got 1.0'),
        ('power_bev', 'memory', None, "'power_bev' needs 'memory'"),
        ('power_bev', 'memory.slots', 1, 'greater than or equal to 2, got 1'),
        ('simple_bev', 'reference_height_m', None, "'simple_bev' needs 'reference_height_m'"),
        ('simple_bev', 'architecture', 'lift_splat_shoot', "takes no 'reference_height_m'"),
        ('lift_splat_shoot', 'architecture', 'bevformer', "or 'power_bev', got 'bevformer'"),
        ('lift_splat_shoot', 'backbone', {'name': 'resnet18'}, "'backbone' is unknown"),
        ('lift_splat_shoot', 'heads.objects', {
            'channels': 8, 'classes': ['car'], 'score_threshold': 0.1, 'max_objects': 9,
            'nms_radius_m': 1.0,
        }, 'heads.objects.channels none, got 8'),
    ],
)  # fmt: skip
def test_misfits_are_one_line(name: str, field: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_model_config(changed(name, field, value), 'some/model.yaml')
    line = str(error.value)
    assert line.startswith('some/model.yaml: ') and '\n' not in line
    assert words in line


def test_weights_of_other_sizes_have_no_description() -> None:
    training = shipped('power_bev').training
    for setup in (
        PowerBevSetup(depths=60),
        PowerBevSetup(image_width=512),
        PowerBevSetup(extent_m=30.0),
        LiftSplatShootSetup(depths=20),
    ):
        with pytest.raises(ConfigError, match='weights of another model: ') as error:
            describe_published(setup, 'm', '1', 'none', training)
        assert '\n' not in str(error.value)


def test_the_two_families_are_told_apart() -> None:
    own = load_model_config(MODELS / 'nano' / 'model.yaml')
    assert isinstance(own, ModelConfig) and own_family(own) is own
    with pytest.raises(ConfigError, match=r"'power_bev' is a published network"):
        own_family(shipped('power_bev'))


def test_sizes_of_the_parts() -> None:
    camera, bev = part_sizes(shipped('lift_splat_shoot'), cameras=1)
    assert (camera.name, bev.name) == ('camera_encoder', 'bev_encoder')
    # Kernel area * channels in * channels out * cells, layer by layer.
    fine, middle, coarse = 100 * 100, 50 * 50, 25 * 25
    expected = 49 * 64 * 64 * fine + 4 * 9 * 64 * 64 * fine
    for before, width, cells in ((64, 128, middle), (128, 256, coarse)):
        expected += (9 * before * width + 3 * 9 * width * width + before * width) * cells
    expected += (9 * (64 + 256) * 256 + 9 * 256 * 256) * fine
    expected += (9 * 256 * 128 + 128) * 200 * 200
    assert bev.macs == expected
