"""model.yaml: what is accepted, and one line that names the culprit for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config import (
    ModelConfig,
    load_model_config,
    own_family,
    parse_model_config,
)

NANO = Path(__file__).resolve().parents[2] / 'models' / 'nano' / 'model.yaml'


def content() -> dict[str, Any]:
    return yaml.safe_load(NANO.read_text())


def changed(path: str, value: Any) -> str:
    """The shipped description with one field set (or removed, for `...`), as YAML."""
    data = content()
    *sections, key = path.split('.')
    target = data
    for section in sections:
        target = target[section]
    if value is ...:
        del target[key]
    else:
        target[key] = value
    return yaml.safe_dump(data)


def message(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        parse_model_config(text, 'some/model.yaml')
    line = str(error.value)
    assert '\n' not in line and line.startswith('some/model.yaml: '), line
    return line.removeprefix('some/model.yaml: ')


def test_shipped_description() -> None:
    config = own_family(load_model_config(NANO))
    assert config.head_grid('occupancy') == BevGrid(-50.0, -50.0, 0.5, 200, 200)
    assert config.feature_size() == (16, 44)
    assert config.depth is not None and config.depth.bins == 59
    assert config.training.trained


@pytest.mark.parametrize('name', ['nano', 'base', 'large'])
def test_every_preset_is_a_valid_description(name: str) -> None:
    config = load_model_config(NANO.parents[1] / name / 'model.yaml')
    assert config.name == name
    assert config.heads.names == {'occupancy', 'objects', 'motion', 'trajectories'}


def test_heads_have_rasters_of_their_own() -> None:
    near = {'x_m': [-15.0, 15.0], 'y_m': [-10.0, 10.0], 'resolution_m': 0.25}
    config = parse_model_config(changed('heads.motion.grid', near), 'x')
    assert config.head_grid('motion') == BevGrid(-15.0, -10.0, 0.25, 120, 80)
    assert config.bev_grid() == BevGrid(-50.0, -50.0, 1.0, 100, 100)
    assert config.head_grid('objects') == BevGrid(-50.0, -50.0, 0.5, 200, 200)
    without = parse_model_config(changed('heads.objects.grid', None), 'x')
    assert without.head_grid('objects') == without.bev_grid()


def test_depth_is_not_needed_by_every_view_transform() -> None:
    data = content()
    del data['depth']
    data['view_transform'] |= {'kind': 'bilinear', 'levels': 4}
    config = own_family(parse_model_config(yaml.safe_dump(data), 'x'))
    assert config.depth is None


def test_yaml_round_trip() -> None:
    config = load_model_config(NANO)
    again = parse_model_config(config.to_yaml(), 'again')
    assert again == config
    assert again.canonical() == config.canonical()


def test_canonical_form_ignores_order_and_comments_but_no_value() -> None:
    config = load_model_config(NANO)
    shuffled = yaml.safe_dump(content(), sort_keys=True) + '# a comment\n'
    assert parse_model_config(shuffled, 'x').canonical() == config.canonical()
    other = parse_model_config(changed('depth.max_m', 61.0), 'x')
    assert other.canonical() != config.canonical()


@pytest.mark.parametrize(
    ('path', 'value', 'expected'),
    [
        ('backbon', {'name': 'resnet18'}, "'backbon' is unknown; did you mean 'backbone'?"),
        ('input.widht', 352, "'input.widht' is unknown; did you mean 'width'?"),
        ('heads.objects.score_treshold', 0.1, "did you mean 'score_threshold'?"),
        ('heads.zzz', 1, 'valid are occupancy, semantics, objects, motion, trajectories'),
        ('depth.bins', ..., "'depth.bins' is missing"),
        ('heads', ..., "'heads' is missing"),
        ('depth.bins', 'many', "'depth.bins': input should be a valid integer"),
        ('depth.bins', 1, "'depth.bins': input should be greater than or equal to 2, got 1"),
        ('depth.max_m', 0.5, "'depth.max_m': must be greater than min_m, got 0.5"),
        ('input.width', 350, "'input.width': must be a multiple of the backbone stride 16"),
        ('input.height', 0, "'input.height': input should be greater than or equal to 1"),
        ('input.std_rgb', [1, 0, 1], "'input.std_rgb.1': input should be greater than 0"),
        ('input.mean_rgb', [1, 2], "'input.mean_rgb"),
        ('input.mean_rgb', [1, float('nan'), 3], "'input.mean_rgb.1': input should be a finite"),
        ('input.horizon_share', 1.5, "'input.horizon_share': input should be less than or"),
        ('backbone.name', 'resnet19', "no backbone 'resnet19'; did you mean 'resnet"),
        ('grid.x_m', [50, -50], "'grid.x_m': must be [low, high] with low < high"),
        ('grid.resolution_m', 0.3, 'not a whole number of cells'),
        ('view_transform.z_range_m', [2, 2], "'view_transform.z_range_m': must be [low, high]"),
        ('view_transform.chanels', 3, "'view_transform.chanels' is unknown; did you mean 'chan"),
        ('view_transform.levels', 3, "'view_transform.levels' is unknown; valid are kind"),
        ('view_transform.kind', ..., "'view_transform' needs a 'kind'"),
        ('view_transform.kind', 'lss', "is of no known kind 'lss'; choose from 'lift_splat'"),
        ('memory.slots', 2, "'memory.slots' is unknown; valid are kind, channels"),
        ('depth', ..., "the model: view transform 'lift_splat' needs section 'depth'"),
        ('heads.motion.size', 'big', "'heads.motion.size': input should be 'full' or 'efficient'"),
        ('heads.objects', ..., "'heads': trajectories need objects"),
        ('heads.semantics', ..., "'heads': occupancy and semantics need each other"),
        (
            'heads.motion.grid',
            {'x_m': [0, 1], 'y_m': [0, 1], 'resolution_m': 0.3},
            "'heads.motion.grid.resolution_m': grid: x range [0.0, 1.0) is not a whole number",
        ),
        ('bev_encoder.widths', [], "'bev_encoder.widths'"),
        ('heads.objects.classes', [], "'heads.objects.classes'"),
        ('heads.objects.classes', ['car', 'bus', 'car'], 'names twice: car'),
        ('heads.semantics.classes', ['Drivable area'], "'heads.semantics.classes.0'"),
        ('heads.objects.score_threshold', 1.1, "'heads.objects.score_threshold'"),
        ('heads.objects.nms_radius_m', -1, "'heads.objects.nms_radius_m'"),
        ('heads.motion.steps', 0, "'heads.motion.steps'"),
        ('heads.motion.threshold', 1.0, "'heads.motion.threshold'"),
        ('heads.semantics.thresholds', [0.3], '1 thresholds for '),
        ('heads.semantics.thresholds', [0.0, 0.3], "'heads.semantics.thresholds.0'"),
        ('format', 1, "'format': input should be greater than or equal to 2, got 1"),
        ('name', 'na/no', "'name': string should match pattern"),
        ('version', 0.1, "'version': input should be a valid string, got 0.1"),
        ('training.description', 'two\nlines', "'training.description': string should match"),
        ('training.trained', 'perhaps', "'training.trained': input should be a valid boolean"),
    ],
)
def test_wrong_field_is_named(path: str, value: Any, expected: str) -> None:
    assert expected in message(changed(path, value))


def test_typing_mistake_is_reported_before_the_field_it_hides() -> None:
    data = content()
    data['depth']['min'] = data['depth'].pop('min_m')
    line = message(yaml.safe_dump(data))
    assert "'depth.min' is unknown; did you mean 'min_m'?" in line
    assert line.endswith('(and 1 more)')


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a: [1', 'not valid YAML: line 1'),
        ('name: nano\n\tx: 1', 'not valid YAML: line 2'),
        ('', 'expected a mapping'),
        ('- 1', 'expected a mapping'),
        ('a: \x00', 'not valid YAML'),
    ],
)
def test_not_a_description(text: str, expected: str) -> None:
    assert expected in message(text)


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'absent.yaml: cannot read .*No such file'):
        load_model_config(tmp_path / 'absent.yaml')
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x80')
    with pytest.raises(ConfigError, match=r'binary.yaml: .*not UTF-8'):
        load_model_config(tmp_path / 'binary.yaml')


def test_config_never_changes() -> None:
    config = load_model_config(NANO)
    with pytest.raises(ValueError, match='frozen'):
        config.name = 'other'
    assert isinstance(config, ModelConfig)
