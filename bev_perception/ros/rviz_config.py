"""RViz configurations for a rig: a template plus one Image display per camera.

Needs no ROS. The Fixed Frame becomes the base frame of the rig: every output is expressed in it,
so RViz draws them even where no transform to `odom` is known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bev_perception.errors import ConfigError
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.ros.rviz_layout import main_window_state

NODE_NAME = 'bev_perception'
IMAGE_CLASS = 'rviz_default_plugins/Image'
_NO_WRAPPING = 1_000_000


@dataclass(frozen=True)
class CameraView:
    """What RViz shows of one camera.

    Attributes:
        name: title of its panel.
        image_topic: sensor_msgs/Image or CompressedImage.
        compressed: the topic carries CompressedImage.
    """

    name: str
    image_topic: str
    compressed: bool

    @property
    def display_topic(self) -> str:
        """Topic as RViz takes it: its last part names the transport when that is not raw."""
        if self.compressed and self.image_topic.rsplit('/', 1)[-1] != 'compressed':
            return f'{self.image_topic}/compressed'
        return self.image_topic


@dataclass(frozen=True)
class RigView:
    """What RViz shows of a rig.

    Attributes:
        base_frame: frame of all outputs.
        cameras: in rig order.
    """

    base_frame: str
    cameras: tuple[CameraView, ...]

    def remappings(self) -> list[tuple[str, str]]:
        """Returns topic remappings (from, to) that RViz needs to find every image topic."""
        return [
            (camera.display_topic, camera.image_topic)
            for camera in self.cameras
            if camera.display_topic != camera.image_topic
        ]


def rig_view(rig_file: str | Path | None, params_file: str | Path) -> RigView:
    """Returns what to show of the rig that the node will use.

    Args:
        rig_file: the rig given at start; empty or None: what the parameter file says.
        params_file: parameters of the node.

    Raises:
        ConfigError: a file cannot be read or is wrong.
    """
    parameters = node_parameters(params_file)
    base_frame = parameters.get('base_frame', '')
    rig_file = rig_file or parameters.get('rig_file')
    if not rig_file:
        names = parameters.get('cameras') or ()
        cameras = tuple(_view_of_parameters(name, parameters) for name in names)
        return RigView(base_frame or 'base_link', cameras)
    rig = load_rig_file(rig_file)
    cameras = tuple(
        CameraView(camera.name, camera.image_topic, camera.transport == 'compressed')
        for camera in rig.cameras
    )
    return RigView(base_frame or rig.base_frame, cameras)


def node_parameters(path: str | Path) -> dict[str, Any]:
    """Returns the parameters of this package's node in a ROS parameter file, by full name.

    Raises:
        ConfigError: the file cannot be read or is not YAML.
    """
    content = _load_yaml(Path(path), 'parameter file')
    parameters: dict[str, Any] = {}
    for node, values in _sections(content, ''):
        if node.rsplit('/', 1)[-1] in ('**', '*', NODE_NAME):
            parameters.update(_flat(values, ''))
    return parameters


def write_rviz_config(template: str | Path, view: RigView, out: str | Path) -> None:
    """Writes `template` with the Fixed Frame of the rig and one Image display per camera.

    Cameras whose topic the template shows already are not added again, and a template that
    shows them all keeps its window layout.

    Raises:
        ConfigError: the template is no RViz configuration, or `out` cannot be written.
    """
    config = _load_yaml(Path(template), 'RViz configuration')
    try:
        manager, window = config['Visualization Manager'], config['Window Geometry']
        displays = manager['Displays']
        manager['Global Options']['Fixed Frame'] = view.base_frame
        left = [panel['Name'] for panel in config['Panels']]
        width, height = int(window['Width']), int(window['Height'])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f'RViz configuration {template}: lacks {error}') from error
    shown = {_topic(display) for display in displays if display.get('Class') == IMAGE_CLASS}
    new = [camera for camera in view.cameras if camera.display_topic not in shown]
    if new:
        displays += [_image_display(camera) for camera in new]
        images = [d['Name'] for d in displays if d.get('Class') == IMAGE_CLASS]
        window['QMainWindow State'] = main_window_state(left, images, width, height)
    _write(Path(out), yaml.safe_dump(config, sort_keys=False, width=_NO_WRAPPING))


def _view_of_parameters(name: str, parameters: Mapping[str, Any]) -> CameraView:
    topic = parameters.get(f'camera.{name}.image_topic', '')
    compressed = parameters.get(f'camera.{name}.transport') == 'compressed'
    return CameraView(name, topic, compressed)


def _image_display(camera: CameraView) -> dict[str, Any]:
    return {
        'Class': IMAGE_CLASS,
        'Enabled': True,
        'Max Value': 1,
        'Median window': 5,
        'Min Value': 0,
        'Name': camera.name,
        'Normalize Range': True,
        'Topic': {
            'Depth': 1,
            'Durability Policy': 'Volatile',
            'History Policy': 'Keep Last',
            'Reliability Policy': 'Best Effort',
            'Value': camera.display_topic,
        },
        'Value': True,
    }


def _topic(display: Mapping[str, Any]) -> str:
    return display.get('Topic', {}).get('Value', '')


def _sections(content: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields (node name, parameters) of a parameter file, whose namespaces may be nested."""
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        if key == 'ros__parameters' and isinstance(value, Mapping):
            yield path, value
        else:
            yield from _sections(value, f'{path}/{key}')


def _flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f'{prefix}{key}.'))
        else:
            flat[f'{prefix}{key}'] = value
    return flat


def _load_yaml(path: Path, what: str) -> Any:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{what} {path}: cannot be read: {error.strerror}') from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        line = str(error).replace('\n', ' ')
        raise ConfigError(f'{what} {path}: is not YAML: {line}') from error
    if not isinstance(content, dict):
        raise ConfigError(f'{what} {path}: is not a mapping')
    return content


def _write(path: Path, text: str) -> None:
    """Writes all or nothing."""
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        try:
            temporary.write_text(text, encoding='utf-8')
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f'RViz configuration {path}: cannot be written: {error.strerror}'
        ) from error
