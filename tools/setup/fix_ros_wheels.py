"""Makes the ROS wheels' CMake files and set-up scripts fit the environment that they lie in.

Run with the Python of the environment, as often as wanted: fix_ros_wheels.py PYTHON_INCLUDE_FOLDER
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

# Where the wheels were built. Their exported CMake targets still point there.
BUILD_NUMPY = re.compile(r'/opt/python/[^;"]*/site-packages/numpy/_?core/include')
BUILD_PYTHON = re.compile(r'/opt/python/[^;"/]+/include/python3\.\d+')

SETUP_SCRIPT = """\
# Makes the ROS 2 in this environment known; overlays built by colcon source it first.
_bev_prepend() {{
    eval "_bev_old=\\${{$1:-}}"
    case ":$_bev_old:" in
    *":$2:"*) ;;
    *) export "$1=$2${{_bev_old:+:$_bev_old}}" ;;
    esac
}}
_bev_prefix={prefix}
_bev_prepend AMENT_PREFIX_PATH "$_bev_prefix"
_bev_prepend CMAKE_PREFIX_PATH "$_bev_prefix"
_bev_prepend PATH "$_bev_prefix/bin"
export VIRTUAL_ENV="$_bev_prefix" ROS_VERSION=2 ROS_PYTHON_VERSION=3 ROS_DISTRO=kilted
unset -f _bev_prepend
unset _bev_old _bev_prefix
"""


def fix_cmake_files(prefix: Path, python_include: str, numpy_include: str) -> int:
    """Returns how many exported CMake files pointed to the build machine and now point here."""
    changed = 0
    for path in prefix.glob('share/*/cmake/*.cmake'):
        old = path.read_text()
        new = BUILD_NUMPY.sub(lambda _: numpy_include, old)
        new = BUILD_PYTHON.sub(lambda _: python_include, new)
        if new != old:
            path.write_text(new)
            changed += 1
    return changed


def write_setup_scripts(prefix: Path) -> None:
    """Writes the files that make colcon take the environment for an underlay."""
    text = SETUP_SCRIPT.format(prefix=shlex.quote(str(prefix)))
    for stem in ('local_setup', 'setup'):
        for suffix in ('sh', 'bash', 'zsh'):
            (prefix / f'{stem}.{suffix}').write_text(text)


def main() -> None:
    """Fixes the environment of the running interpreter."""
    import numpy

    prefix = Path(sys.prefix)
    changed = fix_cmake_files(prefix, sys.argv[1], numpy.get_include())
    write_setup_scripts(prefix)
    print(f'{changed} CMake files changed')


if __name__ == '__main__':
    main()
