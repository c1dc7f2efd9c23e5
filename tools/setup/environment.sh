# Sourced by scripts/setup and scripts/env.sh: undoing what other environments have set.
# shellcheck shell=bash

# Makes the shell forget a ROS that is or was sourced, this repository's own included.
bev_forget_ros() {
    unset ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION AMENT_PREFIX_PATH CMAKE_PREFIX_PATH
    unset COLCON_PREFIX_PATH PYTHONPATH PYTHONHOME VIRTUAL_ENV
    # Set by the ROS wheels in every program that their Python starts.
    unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
}
