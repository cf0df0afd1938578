#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every header compiles by itself, and twice: it includes what it uses and is guarded.
. "$(dirname "$0")/../lib/lib.sh"
cd "$SOURCE"
libraries=()
for l in fuse3 jansson libpq smartcols inih libevent openssl criterion; do
	# shellcheck disable=SC2207
	if pkg-config --exists "$l"; then libraries+=($(pkg-config --cflags "$l")); fi
done
bad=0
while IFS= read -r h; do
	printf '#include "%s"\n#include "%s"\n' "$h" "$h" |
		"${CC:-cc}" -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DCOWFS_VERSION='"0"' -I. "${libraries[@]}" -Wall -Wextra \
			-Wno-unused-parameter -Werror -fsyntax-only -x c - || bad=1
done < <(find store fs tools tests bench examples -name '*.h' | sort)
((bad == 0)) || fail "a header does not stand alone"
