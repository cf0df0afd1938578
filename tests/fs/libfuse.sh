#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which libfuse a build takes: what is asked for, or, with auto, what can be had, and it says which and why.
# timeout 120
. "$(dirname "$0")/../lib/lib.sh"
requires cmake ninja pkg-config apt-get meson
mkdir "$T/source"
cat >"$T/source/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(choice LANGUAGES C)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
include($SOURCE/fs/bundled-fuse.cmake)
CMAKE
# No archive can be reached.
printf 'Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::https::Proxy "http://127.0.0.1:9";\n' >"$T/apt.conf"
choose() { APT_CONFIG=$T/apt.conf cmake -G Ninja -S "$T/source" -B "$T/$1" -DCOWFS_FUSE="$2" 2>&1; }

contains "$(choose system system)" "the system's"
[[ ! -e $T/system/libfuse ]] || fail "something was fetched for the system's library"
said=$(choose wrong newest) && fail "a word that nobody knows was taken"
contains "$said" "auto, system or bundled"

said=$(choose build auto)
contains "$said" "no io_uring transport, using the system's library (fetch-libfuse: "
contains "$said" "classic transport"
said=$(choose build auto) # it does not try, and wait, each time
contains "$said" "classic transport"
lacks "$said" "getting the version"
choose bundled bundled >"$T/out" && fail "bundled, and there was nothing to bundle"
contains "$(<"$T/out")" "fetch-libfuse: "

note "a tarball that is another one"
version=$(sed -n 's/^version=//p' "$SOURCE/fs/fetch-libfuse.sh")
mkdir -p "$T/other/libfuse/source"
echo other >"$T/other/libfuse/source/fuse3_$version.orig.tar.gz"
contains "$(choose other auto)" "is not the file that is expected (sha256)"

note "it can be had later"
[[ -e $COWFS_BUILD/libfuse/usr/lib/libfuse3.a ]] || exit 0
cp -r "$COWFS_BUILD/libfuse/usr" "$COWFS_BUILD/libfuse/version" "$T/build/libfuse/"
contains "$(choose build auto)" "the system's"
contains "$(choose build bundled)" "bundled, with the io_uring transport"
contains "$(choose build auto)" "bundled, with the io_uring transport"
