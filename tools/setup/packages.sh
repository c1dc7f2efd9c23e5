# Sourced by scripts/setup: installs the pinned wheels.
# shellcheck shell=bash

# Installs the requirements, unless these very ones are installed.
install_packages() {
    local inputs
    inputs=$(cat "$root"/requirements/*.txt | hash_text)
    if stamp_holds packages "$inputs"; then
        note 'up to date'
        return
    fi
    choose_requirements
    require_disk_gb 6
    note "some minutes; everything that pip says is in ${logs#"$root"/}/pip.log"
    mkdir -p "$logs"
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
        "${pip_arguments[@]}" 2>&1 < /dev/null | pip_progress "$logs/pip.log" || explain_pip "$logs/pip.log"
    write_stamp packages "$inputs"
}

# Sets `pip_arguments`: the requirements for this mode.
choose_requirements() {
    local lists=$root/requirements chosen=$venv/requirements.txt
    if [[ $mode == pypi ]]; then
        pip_arguments=(-r "$lists/ros.txt" -r "$lists/python.txt" -c "$lists/constraints.txt")
        return
    fi
    cp "$lists/python.txt" "$chosen"
    "$python" -c 'import sys, numpy; sys.exit(numpy.__version__ >= "2")' 2> /dev/null &&
        cp "$lists/beside_ros.txt" "$chosen"
    # A vehicle's own torch (a vendor's build, for example) stays, unless it is too old.
    "$python" -c 'import sys, torch; sys.exit(torch.torch_version.TorchVersion(torch.__version__) < "2.2")' \
        2> /dev/null && sed -i '/^torch==/d' "$chosen"
    command -v colcon > /dev/null || grep '^colcon-' "$lists/ros.txt" >> "$chosen"
    pip_arguments=(-r "$chosen")
}

# Copies standard input to the log $1 and prints the lines of it that show progress.
pip_progress() {
    local line count=0
    : > "$1"
    while IFS= read -r line; do
        printf '%s\n' "$line" >> "$1"
        case $line in
        Collecting\ *)
            count=$((count + 1))
            ((count % 40)) || note "$count packages found"
            ;;
        *Downloading\ *\([0-9][0-9]*.[0-9]\ MB\) | *Downloading\ *\ GB\))
            note "downloading ${line##*Downloading }"
            ;;
        Installing\ collected\ packages:*)
            note 'unpacking'
            ;;
        esac
    done
}

# Ends the program with the reason why pip failed, as its log tells.
explain_pip() {
    local missing network='NewConnectionError|NameResolutionError|ConnectTimeout|Read timed out|ProxyError|SSLError'
    if grep -q 'No space left on device' "$1"; then
        fail "the disk is full: make room at $root (and in the temporary folder, see TMPDIR) and run again"
    elif grep -qE "$network|Connection (refused|reset|aborted)" "$1"; then
        fail 'packages could not be fetched: connect to the network (or set PIP_INDEX_URL to a mirror) and run again'
    fi
    missing=$(sed -n 's/^ERROR: No matching distribution found for \([^ ]*\).*/\1/p' "$1" | head -n 1)
    [[ -z $missing ]] ||
        fail "no wheel of $missing for Python $(python_version "$venv/bin/python") here: set PYTHON to another of 3.10 to 3.13"
    show_log "$1"
    fail "pip could not install the packages, see above and $1"
}
