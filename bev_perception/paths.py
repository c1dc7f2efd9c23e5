"""Where the files that come with the package lie, however it was installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bev_perception.errors import ConfigError, ModelError

PACKAGE = 'bev_perception'


def share_dir() -> Path:
    """Returns the folder that holds config/, launch/, models/, msg/ and rviz/.

    It belongs to the code that runs: the source tree when that was imported, else the ROS
    installation, else the Python environment that pip installed into.

    Raises:
        ConfigError: the package was installed without its data.
    """
    for folder in _candidates():
        if (folder / 'config').is_dir():
            return folder
    raise ConfigError(
        f'the data files of {PACKAGE} (config/, models/) are not installed beside '
        f'{Path(__file__).parent}: install the package again with colcon or pip'
    )


def model_folder(name: str | os.PathLike[str]) -> Path:
    """Returns the folder of a model: `name` itself when it is a folder, else models/`name`.

    Raises:
        ModelError: neither exists; the message lists the models that do.
    """
    models = share_dir() / 'models'
    for folder in (Path(name), models / name):
        if folder.is_dir():
            return folder
    known = sorted(path.parent.name for path in models.glob('*/model.yaml'))
    raise ModelError(
        f'model {os.fspath(name)!r} is neither a folder nor one of the models in {models}: '
        f'{", ".join(known) or "none"}'
    )


def config_file(name: str | os.PathLike[str]) -> Path:
    """Returns the path of a file: `name` itself when it exists, else config/`name`.

    Raises:
        ConfigError: neither exists.
    """
    config = share_dir() / 'config'
    for path in (Path(name), config / name):
        if path.is_file():
            return path
    raise ConfigError(f'file {os.fspath(name)!r} exists neither as given nor in {config}')


def _candidates() -> list[Path]:
    source = Path(__file__).parent.parent
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    installed = [*filter(None, prefixes), sys.prefix]
    return [source, *(Path(prefix) / 'share' / PACKAGE for prefix in installed)]
