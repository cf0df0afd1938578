#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command starts without RocksDB and libpq, and says which library is missing, or is not the right one, when it needs it.
. "$(dirname "$0")/../lib/lib.sh"
requires cowfs readelf gcc

note "not linked, so a question to the daemon does not pay for them"
lacks "$(readelf -d "$COWFS")" librocksdb
lacks "$(readelf -d "$COWFS")" libpq
strings -a "$COWFS" >"$T/strings"
rocks=$(grep -xm1 'librocksdb\.so[.0-9]*' "$T/strings") || fail "what does it load?"

note "a library of the same name without the functions"
mkdir "$T/lib"
gcc -shared -o "$T/lib/$rocks" -x c - <<<'int nothing;'
LD_LIBRARY_PATH=$T/lib exits 1 cowfs init "$T/store"
contains "$err" "$rocks"
contains "$err" "built with"
note "no library at all"
printf 'no library' >"$T/lib/$rocks"
LD_LIBRARY_PATH=$T/lib exits 1 cowfs init "$T/store"
contains "$err" RocksDB
contains "$err" install
[[ ! -e $T/store ]] || fail "something was left of a store that could not be made"
exits 0 cowfs init "$T/store"
