#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command starts with few libraries, and says what is missing, or is not the right one, when it needs more.
. "$(dirname "$0")/../lib/lib.sh"
requires cowfs readelf gcc cmake

note "few are linked, so a question to the daemon does not pay for the others"
# The sanitizers bring libraries of their own.
linked=$(readelf -d "$COWFS" | sed -n 's/.*(NEEDED).*\[\(lib[a-z]*\).*/\1/p' | grep -vxE 'lib(asan|ubsan|tsan|gcc|dl|pthread|rt|c|m)' | sort | tr '\n' ' ')
[[ $linked == "libinih libjansson libsmartcols libxxhash " ]] || fail "cowfs is linked with $linked"
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

note "the commands that need the others are in a second executable, which is found from the first one"
mkdir -p "$T/alone/bin"
cp "$COWFS" "$T/alone/bin/cowfs"
for command in serve top "golden check" "golden refresh" "golden preview users" "golden scan main" "mount $T/store $T/lib"; do
	# shellcheck disable=SC2086
	exits 3 "$T/alone/bin/cowfs" --store "$T/store" $command
	contains "$err" "$T/alone/bin/../"
	contains "$err" "cmake --install"
done
exits 0 "$T/alone/bin/cowfs" --store "$T/store" status
exits 0 "$T/alone/bin/cowfs" serve --help
# What it was called with comes along: words, folder, environment, process.
DESTDIR=$T/root cmake --install "$COWFS_BUILD" --prefix /usr >"$T/install" 2>&1 || fail "$(<"$T/install")"
(cd "$T" && COWFS_STORE=store exec "$T/root/usr/bin/cowfs" -o json top --once) >"$T/look" 2>&1 || fail "$(<"$T/look")"
contains "$(<"$T/look")" '"branches"'
exits 2 "$T/root/usr/bin/cowfs" serve --port none --store "$T/store"
contains "$err" port
