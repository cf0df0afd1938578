#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Help, the manual in tools/commands.md and the README say the same, and every example is a real command.
. "$(dirname "$0")/../lib/lib.sh"
requires cowfs

cowfs help --markdown >"$T/commands.md"
diff -u "$SOURCE/tools/commands.md" "$T/commands.md" ||
	fail "tools/commands.md is old; make it anew: cowfs help --markdown > tools/commands.md"

# Every command explains itself on stdout with status 0, and names its own usage.
while read -r title; do
	# shellcheck disable=SC2086
	exits 0 cowfs $title --help
	contains "$out" "cowfs $title"
	contains "$out" "Example:"
	contains "$out" "--store DIR"
	# shellcheck disable=SC2086
	exits 0 cowfs help $title
done < <(sed -n 's/^### cowfs //p' "$T/commands.md")

# Whatever the README calls is a command there is.
if [[ -f $SOURCE/README.md ]]; then
	while read -r first second; do
		grep -qE "^### cowfs $first( $second)?$" "$T/commands.md" ||
			fail "README.md calls cowfs $first $second, which does not exist"
	done < <(grep -oE '^(\$ |  )?cowfs [a-z-]+( [a-z-]+)?' "$SOURCE/README.md" | sed 's/^[^c]*cowfs //' | sort -u)
fi

exits 0 cowfs --version
contains "$out" "cowfs "
exits 0 cowfs help --exit-status
for code in 0 1 2 3 4 5 6 7 8 9 130; do
	grep -qE "^  $code +[a-z]" "$T/.out" || fail "exit status $code is not explained"
done
# The first page has every command once, and fits a screen.
exits 0 cowfs --help
at_most "$(wc -l <"$T/.out")" 50 "lines of --help"
at_most "$(wc -L <"$T/.out")" 80 "columns of --help"
while read -r first second; do
	same "$(grep -cE "^  $first( |\$)" "$T/.out")" 1 "lines about $first"
	[[ -z $second || $(grep -A3 -E "^  $first " "$T/.out" | tr -s '\n,' ' ') == *" $second "* ]] || fail "--help does not name $first $second"
done < <(sed -n 's/^### cowfs //p' "$T/commands.md")
