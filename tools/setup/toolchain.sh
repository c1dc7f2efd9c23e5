# Sourced by scripts/setup: what compiles the messages. Everything can be had without root.
# shellcheck shell=bash

ziglang_version=0.17.1

# Sees to a C and C++ compiler and Python's headers; sets `cmake_arguments`.
prepare_toolchain() {
    cmake_arguments=("-DPython3_EXECUTABLE=$venv/bin/python" "-DPYTHON_EXECUTABLE=$venv/bin/python")
    cmake_arguments+=(-DBUILD_TESTING=OFF --no-warn-unused-cli)
    if command -v ninja > /dev/null || [[ -x $venv/bin/ninja ]]; then
        cmake_arguments+=(-GNinja)
    fi
    find_compiler
    find_python_headers
    if [[ $mode == pypi ]]; then
        logged fix_ros_wheels "$venv/bin/python" "$root/tools/setup/fix_ros_wheels.py" "$python_include" ||
            fail 'the ROS wheels could not be prepared, see above'
    fi
}

# Uses CC and CXX, else the system's compilers, else the one that comes as a wheel.
find_compiler() {
    local pair
    if [[ -n ${CC:-}${CXX:-} ]]; then
        export CC=${CC:-cc} CXX=${CXX:-c++}
        compiles "$CC" "$CXX" || fail "CC=$CC and CXX=$CXX do not compile: unset them or install the compiler"
        note "compiler: $CXX"
        return
    fi
    for pair in 'cc c++' 'gcc g++' 'clang clang++'; do
        if compiles "${pair% *}" "${pair#* }"; then
            export CC=${pair% *} CXX=${pair#* }
            note "compiler: $(command -v "$CXX")"
            return
        fi
    done
    use_zig
}

# Succeeds when a C and a C++ compiler make programs: one without the libraries' headers does not.
compiles() {
    local out=$venv/compiler_check
    $1 -x c -o "$out" - <<< $'#include <stdlib.h>\nint main(void) { return 0; }' &> /dev/null &&
        $2 -x c++ -o "$out" - <<< $'#include <string>\nint main() { return 0; }' &> /dev/null
}

# Makes the Clang in Zig's wheel the compiler.
use_zig() {
    local tool zig
    note "no C++ compiler found: using the one in the wheel ziglang $ziglang_version"
    "$venv/bin/python" -c 'import ziglang' 2> /dev/null ||
        logged ziglang "$venv/bin/python" -m pip install --disable-pip-version-check "ziglang==$ziglang_version" ||
        fail 'no C++ compiler, and no wheel of one: install g++ (Debian, Ubuntu) or connect to the network'
    zig=$("$venv/bin/python" -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).with_name("zig"))')
    for tool in cc c++ ar ranlib; do
        printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$zig" "$tool" > "$venv/bin/zig-$tool"
        chmod +x "$venv/bin/zig-$tool"
    done
    export CC=$venv/bin/zig-cc CXX=$venv/bin/zig-c++
    cmake_arguments+=("-DCMAKE_AR=$venv/bin/zig-ar" "-DCMAKE_RANLIB=$venv/bin/zig-ranlib")
}

# Sets `python_include`: the interpreter's headers, else those of Debian's package, unpacked here.
find_python_headers() {
    local version headers=$venv/python_headers
    python_include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    [[ -e $python_include/Python.h ]] && return
    version=$(python_version "$venv/bin/python")
    python_include=$headers/usr/include/python$version
    if [[ ! -e $python_include/Python.h ]]; then
        note "no Python.h found: fetching the package libpython$version-dev"
        unpack_debian_package "libpython$version-dev" "$headers" ||
            fail "the headers of Python $version are missing: install python$version-dev (Debian, Ubuntu)"
    fi
    # Debian's pyconfig.h includes the one of the architecture, from the folder above.
    export CPATH=$headers/usr/include:$python_include${CPATH:+:$CPATH}
    cmake_arguments+=("-DPython3_INCLUDE_DIR=$python_include")
}

# Unpacks the Debian package $1 into the folder $2, without installing it.
unpack_debian_package() {
    command -v apt-get > /dev/null && command -v dpkg > /dev/null || return
    rm -rf "$venv/deb"
    mkdir -p "$venv/deb"
    (
        cd "$venv/deb" || exit
        logged apt apt-get download "$1" 2> /dev/null || download_with_own_lists "$1"
    ) && dpkg -x "$venv/deb/$1"_*.deb "$2"
}

# Downloads a Debian package where the system's package lists are missing or old.
download_with_own_lists() {
    local options=(-o "Dir::State::Lists=$PWD/lists" -o "Dir::Cache=$PWD/cache")
    mkdir -p lists/partial cache/archives/partial
    logged apt-update apt-get "${options[@]}" update &&
        logged apt-download apt-get "${options[@]}" download "$1"
}
