# Source this file in bash after scripts/setup: ROS 2, the built messages, the Python environment,
# and the transport and memory settings that keep six cameras' images whole (docs of config/).
# shellcheck shell=bash

_bev_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
if [[ ! -f $_bev_root/install/setup.bash ]]; then
    echo "error: $_bev_root is not set up: run scripts/setup first" >&2
    return 1
fi
case $- in *u*) _bev_nounset=-u ;; *) _bev_nounset=+u ;; esac
set +u
if [[ -f $_bev_root/.venv/setup.bash ]]; then
    # shellcheck source=tools/setup/environment.sh
    source "$_bev_root/tools/setup/environment.sh"
    bev_forget_ros
fi
# shellcheck disable=SC1091
source "$_bev_root/install/setup.bash"
export VIRTUAL_ENV=$_bev_root/.venv
case :$PATH: in *":$VIRTUAL_ENV/bin:"*) ;; *) export PATH=$VIRTUAL_ENV/bin:$PATH ;; esac

# Fast DDS renamed the variable between Jazzy and Kilted.
case $ROS_DISTRO in
humble | iron | jazzy)
    export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$_bev_root/config/fastdds_images.xml}
    ;;
*)
    export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$_bev_root/config/fastdds_images.xml}
    ;;
esac
# glibc must not give back the memory of each received image only to fetch it again for the next.
export MALLOC_TRIM_THRESHOLD_=536870912 MALLOC_MMAP_THRESHOLD_=536870912

# Keeps the programs started from this shell apart from others' ROS 2 on the computer and network.
bev_isolate() {
    export ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-$((1 + $$ % 100))}
    if [[ $ROS_DISTRO == humble ]]; then
        export ROS_LOCALHOST_ONLY=1
    else
        export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
    fi
}
set "$_bev_nounset"
unset _bev_root _bev_nounset
