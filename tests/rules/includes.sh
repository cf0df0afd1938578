#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Dependencies point one way (tools -> fs -> store), and each foreign library is behind one fence.
. "$(dirname "$0")/../lib/lib.sh"
cd "$SOURCE"

# no_include FOLDER PATTERN WHY
no_include() {
	local found
	found=$(grep -rnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($2)" "$1" || true)
	[[ -z $found ]] || fail "$3: $found"
}
# only_in PATTERN FILE...: these files, and no other, include it.
only_in() {
	local pattern=$1 found
	shift
	found=$(grep -rlE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($pattern)" store fs tools || true)
	for f in $found; do
		[[ " $* " == *" $f "* ]] || fail "$f includes $pattern; only $* may"
	done
}

no_include store 'fuse|libpq|fs/|tools/|tests/|jansson|libsmartcols|ini\.h' "store/ knows only itself"
no_include fs 'rocksdb|libpq|postgres|tools/|tests/|zstd|xxhash|jansson|libsmartcols|ini\.h' "fs/ knows store/ and FUSE"
no_include tools 'rocksdb|fuse|xxhash|tests/' "tools/ knows fs/ and store/"
no_include tests 'rocksdb/|fuse_|fuse\.h' "tests go through the project's own headers"

only_in 'rocksdb/|store/rocks\.h' store/kv_rocks.c store/rocks.c store/rocks.h
only_in 'xxhash' store/codec.c
only_in 'zstd|lz4' tools/golden/residue_inflate.c
# One fence in several files: each is named queries on one subject, and pg_impl.h is for them alone.
libpq_files='tools/pg/pg.c tools/pg/pg_impl.h tools/pg/pq.c tools/pg/pq.h tools/pg/pg_activity.c tools/pg/pg_carry.c tools/pg/pg_fork.c tools/pg/pg_golden.c tools/pg/pg_mask.c tools/pg/pg_migrations.c tools/pg/pg_proof.c tools/pg/pg_relation.c tools/pg/pg_roles.c tools/pg/pg_schema.c tools/pg/pg_values.c'
# shellcheck disable=SC2086
only_in 'libpq|tools/pg/pq\.h' $libpq_files
# shellcheck disable=SC2086
only_in 'tools/pg/pg_impl\.h' $libpq_files
only_in 'curses\.h' tools/cli/top_screen.c
only_in 'openssl/' tools/serve/tls.c tools/golden/digest.c

# The fences are also in the build: what links what.
grep -q 'target_link_libraries(cowfs_store PRIVATE' store/CMakeLists.txt || fail "store/ leaks its libraries"
if grep -rnE 'fuse|libpq|PQ' store/CMakeLists.txt; then fail "store/ is built with more than it may know"; fi
if [[ -f fs/CMakeLists.txt ]] && grep -nE 'rocksdb|libpq' fs/CMakeLists.txt; then
	fail "fs/ is built with more than it may know"
fi
