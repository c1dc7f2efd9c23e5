# Sourced by scripts/setup: messages, stamps and logs.
# shellcheck shell=bash

# Ends the program with one line on what is wrong and what to do.
fail() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Prints the next numbered step.
step_number=0
step() {
    step_number=$((step_number + 1))
    printf '[%d/%d] %s\n' "$step_number" "$step_count" "$*"
}

# Prints one line that belongs to the current step.
note() {
    printf '      %s\n' "$*"
}

# Succeeds when the stamp $1 holds the value $2, that is: the step has been done for these inputs.
stamp_holds() {
    [[ -f $stamps/$1 && $(<"$stamps/$1") == "$2" ]]
}

# Marks a step as done for the inputs $2.
write_stamp() {
    mkdir -p "$stamps"
    printf '%s\n' "$2" > "$stamps/$1"
}

# Prints one hash of standard input.
hash_text() {
    sha256sum | cut -c 1-64
}

# Runs a command with its output in a log file; on failure shows the end of that log.
# Usage: logged NAME COMMAND...
logged() {
    local log=$logs/$1.log
    shift
    mkdir -p "$logs"
    "$@" > "$log" 2>&1 < /dev/null && return
    local code=$?
    show_log "$log"
    return "$code"
}

# Shows the end of a log file.
show_log() {
    printf -- '----- end of %s\n' "$1" >&2
    tail -n 30 "$1" >&2
    printf -- '-----\n' >&2
}

# Ends the program when fewer than $1 GB are free for the repository.
require_disk_gb() {
    local free_kb
    free_kb=$(df -Pk "$root" | awk 'NR == 2 {print $4}')
    ((free_kb >= $1 * 1000000)) ||
        fail "only $((free_kb / 1000000)) GB free at $root, $1 GB are needed: make room and run again"
}

# Ends the program where the repository's path holds a character that colcon's scripts misread.
require_plain_path() {
    case $root in
    *[]\ :\;\"\'\\\$\`#%\&*?\<\>\|\(\)\{\}![]* | *$'\t'* | *$'\n'*)
        fail "colcon cannot build in '$root': move the repository to a path without spaces and signs"
        ;;
    esac
}
