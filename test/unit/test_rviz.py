"""The shipped RViz configuration, and those that are made from it for a rig."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from bev_perception.errors import ConfigError
from bev_perception.ros.rviz_config import (
    CameraView,
    RigView,
    node_parameters,
    rig_view,
    write_rviz_config,
)
from bev_perception.ros.rviz_layout import main_window_state

TEMPLATE = Path(__file__).resolve().parents[2] / 'rviz' / 'bev.rviz'
TOPIC = {
    'Depth',
    'Durability Policy',
    'Filter size',
    'History Policy',
    'Reliability Policy',
    'Value',
}
DISPLAY = {'Class', 'Enabled', 'Name', 'Value'}
# Properties of the displays of rviz_default_plugins that Humble, Jazzy and Kilted all have.
PROPERTIES = {
    'Grid': {
        'Alpha', 'Cell Size', 'Color', 'Line Style', 'Normal Cell Count', 'Offset', 'Plane',
        'Plane Cell Count', 'Reference Frame',
    },
    'Map': {'Alpha', 'Color Scheme', 'Draw Behind', 'Topic', 'Update Topic', 'Use Timestamp'},
    'MarkerArray': {'Namespaces', 'Topic'},
    'TF': {
        'Frame Timeout', 'Frames', 'Marker Scale', 'Show Arrows', 'Show Axes', 'Show Names',
        'Tree', 'Update Interval',
    },
    'Image': {'Max Value', 'Median window', 'Min Value', 'Normalize Range', 'Topic'},
}  # fmt: skip
RIG = """
format: 1
base_frame: rear_axle
cameras:
- {name: front, image_topic: /front/image/compressed, transport: compressed,
   camera_info_topic: /front/camera_info}
- {name: left, image_topic: /left/image_raw, transport: raw, camera_info_topic: /left/info}
- {name: back, image_topic: /back/jpeg, transport: compressed, camera_info_topic: /back/info}
"""


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def displays(config: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    every = config['Visualization Manager']['Displays']
    return [d for d in every if d['Class'] == f'rviz_default_plugins/{kind}']


def views(count: int) -> RigView:
    names = [f'camera {i}' for i in range(count)]
    cameras = (CameraView(name, f'/{i}/image', False) for i, name in enumerate(names))
    return RigView('base_link', tuple(cameras))


def made(view: RigView, folder: Path, template: Path = TEMPLATE) -> dict[str, Any]:
    out = folder / 'made.rviz'
    write_rviz_config(template, view, out)
    return load(out)


def assert_known_properties(config: dict[str, Any]) -> None:
    for display in config['Visualization Manager']['Displays']:
        package, kind = display['Class'].split('/')
        assert package == 'rviz_default_plugins'
        assert set(display) <= DISPLAY | PROPERTIES[kind], kind
        for key in ('Topic', 'Update Topic'):
            assert set(display.get(key, {})) <= TOPIC


def test_shipped_file_shows_every_kind_of_output() -> None:
    config = load(TEMPLATE)
    assert_known_properties(config)
    (grid,), (markers,) = displays(config, 'Map'), displays(config, 'MarkerArray')
    assert grid['Topic']['Value'] == 'bev_perception/occupancy'
    assert grid['Topic']['Durability Policy'] == 'Transient Local'
    assert markers['Topic']['Value'] == 'bev_perception/markers'
    assert displays(config, 'TF') and displays(config, 'Grid')
    assert all(d['Enabled'] for d in config['Visualization Manager']['Displays'])


def test_shipped_window_layout_is_what_the_writer_makes() -> None:
    window = load(TEMPLATE)['Window Geometry']
    state = main_window_state(['Displays', 'Views'], [], window['Width'], window['Height'])
    assert window['QMainWindow State'] == state


def test_classes_exist_in_the_installed_rviz() -> None:
    packages = pytest.importorskip('ament_index_python.packages')
    try:
        share = packages.get_package_share_directory('rviz_default_plugins')
    except (packages.PackageNotFoundError, OSError):
        pytest.skip('RViz is not installed')
    declared = Path(share, 'plugins_description.xml').read_text()
    manager = load(TEMPLATE)['Visualization Manager']
    used = [*manager['Displays'], *manager['Tools'], *manager['Views']['Saved']]
    for name in [d['Class'] for d in used] + [manager['Views']['Current']['Class']]:
        assert f'"{name}"' in declared


def test_rig_file_gives_fixed_frame_and_one_image_per_camera(tmp_path: Path) -> None:
    (tmp_path / 'rig.yaml').write_text(RIG)
    (tmp_path / 'params.yaml').write_text('/**: {ros__parameters: {rig_file: /not/this.yaml}}')
    view = rig_view(tmp_path / 'rig.yaml', tmp_path / 'params.yaml')
    config = made(view, tmp_path)
    assert_known_properties(config)
    assert config['Visualization Manager']['Global Options']['Fixed Frame'] == 'rear_axle'
    shown = [(d['Name'], d['Topic']['Value']) for d in displays(config, 'Image')]
    assert shown == [
        ('front', '/front/image/compressed'),
        ('left', '/left/image_raw'),
        ('back', '/back/jpeg/compressed'),
    ]
    assert {d['Topic']['Reliability Policy'] for d in displays(config, 'Image')} == {'Best Effort'}
    assert view.remappings() == [('/back/jpeg/compressed', '/back/jpeg')]
    untouched = load(TEMPLATE)['Visualization Manager']['Displays']
    assert config['Visualization Manager']['Displays'][: len(untouched)] == untouched


def test_rig_of_the_parameter_file(tmp_path: Path) -> None:
    rig, params = tmp_path / 'rig.yaml', tmp_path / 'params.yaml'
    rig.write_text(RIG)
    params.write_text(f'bev_perception: {{ros__parameters: {{rig_file: {rig}, base_frame: b}}}}')
    view = rig_view('', params)
    assert view.base_frame == 'b'
    assert [c.name for c in view.cameras] == ['front', 'left', 'back']


def test_cameras_of_the_parameter_file(tmp_path: Path) -> None:
    params = tmp_path / 'params.yaml'
    params.write_text(
        'robot:\n  bev_perception:\n    ros__parameters:\n      cameras: [a, b]\n'
        '      camera: {a: {image_topic: /a/jpg/compressed, transport: compressed}}\n'
        '      camera.b.image_topic: /b/raw\n'
        'other_node: {ros__parameters: {cameras: [c]}}\n'
    )
    assert node_parameters(params)['cameras'] == ['a', 'b']
    assert rig_view('', params) == RigView(
        'base_link',
        (CameraView('a', '/a/jpg/compressed', True), CameraView('b', '/b/raw', False)),
    )


def test_configuration_of_the_same_rig_is_kept(tmp_path: Path) -> None:
    once = made(views(3), tmp_path)
    once['Window Geometry']['QMainWindow State'] = 'arranged by hand'
    saved = tmp_path / 'saved.rviz'
    saved.write_text(yaml.safe_dump(once))
    assert made(views(3), tmp_path, saved) == once
    grown = made(views(4), tmp_path, saved)
    assert [d['Name'] for d in displays(grown, 'Image')] == [f'camera {i}' for i in range(4)]
    assert grown['Window Geometry']['QMainWindow State'] != 'arranged by hand'


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('[1, 2', 'is not YAML'),
        ('just text', 'is not a mapping'),
        ('Panels: []', "lacks 'Visualization Manager'"),
        (None, 'cannot be read'),
    ],
)
def test_bad_templates_are_named_in_one_line(
    tmp_path: Path, text: str | None, complaint: str
) -> None:
    template, out = tmp_path / 'bad.rviz', tmp_path / 'out.rviz'
    if text is not None:
        template.write_text(text)
    with pytest.raises(ConfigError, match=complaint) as caught:
        write_rviz_config(template, views(1), out)
    assert str(template) in str(caught.value) and '\n' not in str(caught.value)
    assert not out.exists()


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    out = tmp_path / 'taken'
    out.mkdir()
    with pytest.raises(ConfigError, match='cannot be written'):
        write_rviz_config(TEMPLATE, views(1), out)
    assert [p.name for p in tmp_path.iterdir()] == ['taken']


@dataclass
class Dock:
    """One dock as Qt reads it: area 0 left, 3 bottom; place along each of its nested sequences."""

    name: str
    visible: bool
    area: int
    places: tuple[tuple[int, int, int], ...]


class StateReader:
    """Reads what `QMainWindow.saveState` writes, as far as docks go; restated from Qt's reader."""

    def __init__(self, text: str) -> None:
        self.data, self.at = bytes.fromhex(text), 0

    def take(self, form: str) -> Any:
        values = struct.unpack_from(f'>{form}', self.data, self.at)
        self.at += struct.calcsize(f'>{form}')
        return values[0] if len(values) == 1 else values

    def string(self) -> str:
        length = self.take('I')
        self.at += length
        return self.data[self.at - length : self.at].decode('utf-16-be')

    def docks(self) -> list[Dock]:
        assert self.take('IIB') == (0xFF, 0, 0xFD)
        found: list[Dock] = []
        for _ in range(self.take('i')):
            area, _width, _height = self.take('iii')
            assert self.take('B') == 0xFC
            found += self.sequence(area, ())
        _centre, _corners = self.take('ii'), self.take('iiii')
        assert self.take('Biii') == (0xFC, 1, 2, 1)
        assert self.string() == 'Tools'
        assert self.take('Biiii')[0] == 1
        assert self.at == len(self.data)
        return found

    def sequence(self, area: int, outer: tuple[tuple[int, int, int], ...]) -> Iterator[Dock]:
        orientation, count = self.take('Bi')
        for _ in range(count):
            marker = self.take('B')
            name, flags = (self.string(), self.take('B')) if marker == 0xFB else ('', 1)
            position, size, least, most = self.take('iiii')
            assert 0 < least <= size <= most
            places = (*outer, (orientation, position, size))
            if marker == 0xFB:
                yield Dock(name, flags == 1, area, places)
            else:
                assert marker == 0xFC
                assert self.take('B') == 0xFC
                yield from self.sequence(area, places)


@pytest.mark.parametrize('count', [0, 1, 2, 6, 7, 12, 13, 19])
def test_every_camera_is_docked_in_rows_without_overlap(count: int) -> None:
    names = [f'c{i}' for i in range(count)]
    docks = StateReader(main_window_state(['Displays', 'Views'], names, 1800, 1000)).docks()
    assert [d.name for d in docks] == ['Displays', 'Views', *names]
    assert all(d.visible for d in docks)
    assert [d.area for d in docks] == [0, 0] + [3] * count
    rows: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for dock in docks[2:]:
        (vertical, top, height), (horizontal, start, size) = dock.places
        assert (vertical, horizontal) == (2, 1)
        rows.setdefault((top, height), []).append((start, size))
    for cells in rows.values():
        assert len(cells) <= 6
        assert all(a + s <= b for (a, s), (b, _) in pairwise(cells))
        assert cells[-1][0] + cells[-1][1] <= 1800
    heights = sorted(rows)
    assert all(t + h <= b for (t, h), (b, _) in pairwise(heights))
    assert sum(h for _, h in heights) <= 500


def test_any_names_survive() -> None:
    chance = random.Random(5)
    for _ in range(50):
        letters = 'aZ09_-/ äß漢'
        names = [''.join(chance.choices(letters, k=chance.randint(1, 12))) for _ in range(5)]
        docks = StateReader(main_window_state(['Displays'], names, 1200, 800)).docks()
        assert [d.name for d in docks] == ['Displays', *names]


@pytest.mark.parametrize('count', [0, 1, 6, 13])
def test_qt_restores_the_layout(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    widgets = pytest.importorskip('PyQt5.QtWidgets', reason='needs Qt')
    core = pytest.importorskip('PyQt5.QtCore', reason='needs Qt')
    monkeypatch.setitem(os.environ, 'QT_QPA_PLATFORM', 'offscreen')
    application = widgets.QApplication.instance() or widgets.QApplication([])
    window = widgets.QMainWindow()
    window.resize(1800, 1000)
    window.setCentralWidget(widgets.QWidget())
    tools = widgets.QToolBar()
    tools.setObjectName('Tools')
    window.addToolBar(tools)
    names = [f'c{i}' for i in range(count)]
    docks = {}
    for name in ['Displays', 'Views', *names]:
        docks[name] = dock = widgets.QDockWidget(name)
        dock.setObjectName(name)
        dock.setFloating(True)
        window.addDockWidget(core.Qt.LeftDockWidgetArea, dock)
    state = main_window_state(['Displays', 'Views'], names, 1800, 1000)
    assert window.restoreState(core.QByteArray.fromHex(state.encode()))
    window.show()
    application.processEvents()
    assert not any(dock.isFloating() for dock in docks.values())
    for name in names:
        assert window.dockWidgetArea(docks[name]) == core.Qt.BottomDockWidgetArea
    geometries = [docks[name].geometry() for name in names]
    for i, one in enumerate(geometries):
        assert one.width() > 100 and one.height() > 100
        assert not any(one.intersects(other) for other in geometries[:i])
