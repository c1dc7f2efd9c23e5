"""The lists that exist twice (colcon's and pip's, launchers and commands, versions) agree."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import bev_perception

REPO = Path(__file__).resolve().parents[2]
LAUNCHERS = {'bev', 'bev_bag_player', 'bev_bag_recorder', 'bev_node'}


def setup_arguments() -> dict[str, Any]:
    """Returns the arguments of setup() that are literals."""
    tree = ast.parse((REPO / 'setup.py').read_text())
    call = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == 'setup'
    )
    arguments: dict[str, Any] = {}
    for keyword in call.keywords:
        try:
            arguments[keyword.arg or ''] = ast.literal_eval(keyword.value)
        except ValueError:
            continue
    return arguments


def requirements(name: str) -> dict[str, list[str]]:
    """Returns the lines of a requirements file by distribution."""
    found: dict[str, list[str]] = {}
    for line in (REPO / 'requirements' / name).read_text().splitlines():
        line = line.partition('#')[0].strip()
        if line:
            match = re.match(r'[A-Za-z0-9._-]+', line)
            assert match, line
            key = re.sub(r'[-_.]+', '-', match.group()).lower()
            found.setdefault(key, []).append(line)
    return found


def tracked_files() -> list[Path]:
    """Returns the files under version control, or skips outside of a clone."""
    if not (REPO / '.git').exists():
        pytest.skip('not a git clone')
    listing = subprocess.run(
        ['git', 'ls-files', '-z'], cwd=REPO, capture_output=True, text=True, check=True
    )
    files = [REPO / name for name in listing.stdout.split('\0') if name]
    return [path for path in files if path.is_file()]


def test_one_version_everywhere() -> None:
    package = ElementTree.parse(REPO / 'package.xml').getroot()
    trainer = (REPO / 'bev_trainer' / 'pyproject.toml').read_text()
    match = re.search(r'^version = "([^"]+)"$', trainer, re.MULTILINE)
    assert match
    assert package.findtext('version') == bev_perception.__version__ == match.group(1)
    # setup.py reads it, rather than repeating it.
    assert 'version' not in setup_arguments()


def test_package_xml_validates() -> None:
    """Colcon silently takes a package with an invalid package.xml for a plain Python one."""
    package_module = pytest.importorskip('catkin_pkg.package')
    for folder in (REPO, REPO / 'tools' / 'ros_from_pypi' / 'tf2_msgs'):
        warnings: list[str] = []
        package = package_module.parse_package(str(folder), warnings=warnings)
        package.validate(warnings=warnings)
        assert warnings == []
        assert package.get_build_type() == 'ament_cmake'
        groups = [group.name for group in package.member_of_groups]
        assert groups == ['rosidl_interface_packages']


def test_dependencies_are_declared_once() -> None:
    package = ElementTree.parse(REPO / 'package.xml').getroot()
    names = [element.text for element in package if element.tag.endswith('depend')]
    assert len(names) == len(set(names))


def test_launchers_equal_console_scripts() -> None:
    scripts = {
        line.split(' = ')[0]: line.split(' = ')[1]
        for line in setup_arguments()['entry_points']['console_scripts']
    }
    assert set(scripts) == LAUNCHERS
    cmake = (REPO / 'CMakeLists.txt').read_text()
    assert set(re.findall(r'^  scripts/(\w+)$', cmake, re.MULTILINE)) == LAUNCHERS
    for name in LAUNCHERS:
        launcher = REPO / 'scripts' / name
        assert os.access(launcher, os.X_OK), f'{launcher} is not executable'
        lines = launcher.read_text().splitlines()
        module, function = scripts[name].split(':')
        assert lines[0] == '#!/usr/bin/env python3'
        assert f'from {module} import {function}' in lines


def test_every_message_is_built() -> None:
    cmake = (REPO / 'CMakeLists.txt').read_text()
    listed = re.findall(r'^  msg/(\w+\.msg)$', cmake, re.MULTILINE)
    assert listed == sorted(path.name for path in (REPO / 'msg').iterdir())


def test_packages_used_by_messages_are_declared_and_found() -> None:
    used = {
        match
        for path in (REPO / 'msg').glob('*.msg')
        for match in re.findall(r'^(\w+)/\w+', path.read_text(), re.MULTILINE)
    }
    package = ElementTree.parse(REPO / 'package.xml').getroot()
    assert {element.text for element in package.iter('depend')} == used
    cmake = (REPO / 'CMakeLists.txt').read_text()
    assert used <= set(re.findall(r'^find_package\((\w+) REQUIRED\)$', cmake, re.MULTILINE))
    generated = re.search(r'DEPENDENCIES\s+([\w\s]+)\)', cmake)
    assert generated and set(generated.group(1).split()) == used


def test_installed_data_is_the_same_for_pip_and_colcon() -> None:
    cmake = (REPO / 'CMakeLists.txt').read_text()
    match = re.search(r'^install\(DIRECTORY ((?:\w+ )*\w+)$', cmake, re.MULTILINE)
    assert match
    # colcon installs msg/ with the interfaces.
    data = re.search(r'^DATA_FOLDERS = (\(.*\))$', (REPO / 'setup.py').read_text(), re.MULTILINE)
    assert data and set(ast.literal_eval(data.group(1))) == {*match.group(1).split(), 'msg'}


@pytest.mark.parametrize('name', ['python.txt', 'ros.txt', 'beside_ros.txt', 'constraints.txt'])
def test_requirements_are_pinned(name: str) -> None:
    for distribution, lines in requirements(name).items():
        for line in lines:
            assert re.fullmatch(r'[\w.-]+==[\w.]+(; python_version (>=|<) "3\.\d+")?', line), (
                f'{name}: {line}'
            )
        # Twice only with opposite markers at the same version of Python.
        markers = sorted(line.partition('; python_version ')[2] for line in lines)
        if len(lines) > 1:
            versions = [marker.partition(' ')[2] for marker in markers]
            assert [marker.partition(' ')[0] for marker in markers] == ['<', '>='], distribution
            assert versions[0] == versions[1], distribution


def test_requirements_do_not_contradict_each_other() -> None:
    python, ros = requirements('python.txt'), requirements('ros.txt')
    constraints, beside_ros = requirements('constraints.txt'), requirements('beside_ros.txt')
    assert not python.keys() & ros.keys()
    assert not constraints.keys() & (python.keys() | ros.keys())
    assert beside_ros.keys() == python.keys()
    assert python['torch'] == beside_ros['torch']


def test_requirements_cover_what_setup_py_asks_for() -> None:
    arguments = setup_arguments()
    wanted = [*arguments['install_requires'], *arguments['extras_require']['test']]
    names = {re.split(r'[<>=]', line)[0].lower() for line in wanted}
    assert names <= requirements('python.txt').keys()


def test_no_machine_in_tracked_files() -> None:
    folders = '|'.join(('home/[a-z]+', 'Users/[A-Za-z]+', 'root', 'work'))
    pattern = re.compile(rf'(?<![\w./-])/(?:{folders})/')
    for path in tracked_files():
        data = path.read_bytes()
        if b'\0' not in data:
            found = pattern.search(data.decode())
            assert found is None, f'{path.relative_to(REPO)}: {found}'


def test_scripts_start_modules_that_exist() -> None:
    for path in (REPO / 'scripts').iterdir():
        for module in re.findall(r'python -m (bev_[\w.]+)', path.read_text()):
            source = REPO.joinpath(*module.split('.')).with_suffix('.py')
            assert source.is_file(), f'{path.name} starts {module}'
