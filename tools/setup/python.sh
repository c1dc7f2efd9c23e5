# Sourced by scripts/setup: finds ROS and Python, makes the virtual environment.
# shellcheck shell=bash

# Sets `mode` to "sourced" when an installed ROS 2 is ready for use, else to "pypi".
# A rclpy inside a virtual environment, such as our own, is not an installed ROS.
find_ros() {
    mode=pypi
    if [[ -n ${ROS_DISTRO:-} ]]; then
        if python3 - 2> /dev/null <<'PYTHON'
import sys

import rclpy

sys.exit(sys.prefix != sys.base_prefix and rclpy.__file__.startswith(sys.prefix))
PYTHON
        then
            mode=sourced
            note "ROS 2 $ROS_DISTRO, as sourced"
            return
        elif [[ ${AMENT_PREFIX_PATH:-} != *"$venv"* ]]; then
            note "ROS_DISTRO is $ROS_DISTRO, but $(command -v python3) cannot import an installed rclpy"
        fi
    fi
    note 'ROS 2 Kilted from PyPI (no ROS 2 is sourced)'
    bev_forget_ros
    require_wheel_platform
}

# Ends the program where the wheels of ROS cannot run.
require_wheel_platform() {
    local machine glibc
    machine=$(uname -m)
    [[ $machine == x86_64 ]] ||
        fail "ROS 2 wheels exist for x86-64 only, this is $machine: install ROS 2 and source it first"
    glibc=$(getconf GNU_LIBC_VERSION 2> /dev/null) || glibc='glibc 0 (another C library)'
    printf '2.28\n%s\n' "${glibc#glibc }" | sort -CV ||
        fail "ROS 2 wheels need glibc 2.28, this is $glibc: use Debian 10, Ubuntu 20.04 or newer"
}

# Sets `python` to the interpreter that the environment is made from: PYTHON, else the one that it
# was made from before, else the first that fits.
find_python() {
    local name
    if [[ -n ${PYTHON:-} ]]; then
        command -v "$PYTHON" > /dev/null || fail "PYTHON=$PYTHON is not a program"
        python=$(base_python "$PYTHON") ||
            fail "PYTHON=$PYTHON is not a Python 3.10, 3.11, 3.12 or 3.13"
        return
    fi
    if [[ -f $stamps/venv && $(<"$stamps/venv") == "$mode "* ]] && python=$(base_python "$venv/bin/python"); then
        return
    fi
    for name in python3 python3.12 python3.11 python3.13 python3.10; do
        python=$(base_python "$name") && return
        # Another Python could not load the extension modules of the sourced ROS.
        [[ $mode == sourced ]] && break
    done
    fail 'no Python 3.10 to 3.13 found: install one (Debian, Ubuntu: python3 python3-venv) or set PYTHON to it'
}

# Prints the interpreter behind $1, which may be a virtual environment's; fails unless it can be used.
base_python() {
    "$1" 2> /dev/null <<'PYTHON'
import sys

if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(1)
print(sys._base_executable)
PYTHON
}

# Prints the version of a Python as 3.11.
python_version() {
    "$1" -c 'import sys; print(*sys.version_info[:2], sep=".")'
}

# Makes the virtual environment unless it is there, whole and made for the same mode and Python.
make_venv() {
    local options=() inputs
    inputs="$mode ${ROS_DISTRO:-} $root $("$python" -c 'import sys; print(*sys.version_info, sys.base_prefix)')"
    if stamp_holds venv "$inputs" && "$venv/bin/python" -c 'import pip' 2> /dev/null; then
        note 'up to date'
        return
    fi
    "$python" -c 'import ensurepip, venv' 2> /dev/null ||
        fail "$python cannot make virtual environments: install python$(python_version "$python")-venv (Debian, Ubuntu)"
    require_disk_gb 4
    rm -rf "$venv" "$root/install"
    mkdir -p "$venv"
    touch "$venv/COLCON_IGNORE"
    [[ $mode == sourced ]] && options=(--system-site-packages)
    logged venv "$python" -m venv "${options[@]}" "$venv" || fail "$python could not make a virtual environment in $venv"
    write_stamp venv "$inputs"
    note "made with $python"
}
