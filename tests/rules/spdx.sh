#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every source file says its licence in the first line (scripts: the second), and the text is there.
. "$(dirname "$0")/../lib/lib.sh"
cd "$SOURCE"
[[ -s LICENSE ]] || fail "no LICENSE"
bad=0
while IFS= read -r f; do
	head -2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || { echo "$f: no SPDX line" && bad=1; }
done < <(find store fs tools tests bench examples .ci -type f \
	\( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name CMakeLists.txt -o -perm -u+x \) | sort)
((bad == 0)) || fail "licence missing"
