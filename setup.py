"""For pip only: the library, its tools and its data without the ROS messages (see README.md)."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
DATA_FOLDERS = ('config', 'launch', 'models', 'msg', 'rviz')


def version() -> str:
    """Returns the version of the package, without importing it."""
    text = (ROOT / 'bev_perception' / '__init__.py').read_text()
    match = re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE)
    assert match, 'bev_perception/__init__.py holds no __version__'
    return match.group(1)


def data_files() -> list[tuple[str, list[str]]]:
    """Returns what goes to share/bev_perception, folder by folder, as colcon installs it."""
    folders: dict[str, list[str]] = {}
    for name in DATA_FOLDERS:
        for path in sorted((ROOT / name).rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                relative = path.relative_to(ROOT)
                target = f'share/bev_perception/{relative.parent.as_posix()}'
                folders.setdefault(target, []).append(relative.as_posix())
    return sorted(folders.items())


setup(
    name='bev_perception',
    version=version(),
    description="Surround cameras in, bird's-eye view out: occupancy, objects and trajectories",
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['bev_perception', 'bev_perception.*']),
    package_data={
        'bev_perception.evaluation.report': ['templates/*'],
        'bev_perception.ops.bev_pool': ['*.cu'],
    },
    data_files=data_files(),
    install_requires=[
        'numpy>=1.21',
        'opencv-python-headless<5',
        'pydantic>=2',
        'pyyaml>=5.4',
        'rosbags>=0.11,<0.12',
        'safetensors>=0.4',
        'scipy>=1.10',
        'torch>=2.7',
    ],
    extras_require={
        'cluster': ['ray>=2.40'],
        'export': ['onnx>=1.17', 'onnxscript>=0.5'],
        'report': ['jinja2>=3.1'],
        # One of the two: that of the CUDA release that torch.version.cuda names.
        'cuda': ['cupy-cuda13x>=13.6,<15'],
        'cuda12': ['cupy-cuda12x>=13.3,<15'],
        'test': ['hypothesis>=6', 'mypy>=1.10', 'pytest>=7', 'ruff>=0.6', 'types-PyYAML'],
    },
    entry_points={
        'console_scripts': [
            'bev = bev_perception.cli.main:main',
            'bev_bag_player = bev_perception.ros_check:bev_bag_player',
            'bev_bag_recorder = bev_perception.ros_check:bev_bag_recorder',
            'bev_node = bev_perception.ros_check:bev_node',
        ],
    },
)
