#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The code is as clang-format 14 leaves it (other versions differ in places).
. "$(dirname "$0")/../lib/lib.sh"
requires clang-format-14
cd "$SOURCE"
find store fs tools tests bench examples -name '*.[ch]' -print0 | xargs -0 clang-format-14 --dry-run -Werror
