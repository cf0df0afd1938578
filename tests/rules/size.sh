#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No file over 600 lines, no function over 100.
. "$(dirname "$0")/../lib/lib.sh"
cd "$SOURCE"
bad=0
while IFS= read -r f; do
	lines=$(wc -l <"$f")
	((lines <= 600)) || { echo "$f has $lines lines" && bad=1; }
done < <(find store fs tools tests bench examples -name '*.[ch]' -o -name '*.sh' -o -name CMakeLists.txt | sort)

# A function begins at a { in the first column and ends at a }.
while IFS= read -r f; do
	awk -v file="$f" '
		/^\{/ { start = NR; head = last }
		/^\}/ { if (start && NR - start > 101) { print file ": " NR - start - 1 " lines: " head; bad = 1 }; start = 0 }
		{ if ($0 !~ /^[\t {]/) last = $0 }
		END { exit bad }' "$f" || bad=1
done < <(find store fs tools tests bench examples -name '*.[ch]' | sort)
((bad == 0)) || fail "too long"
