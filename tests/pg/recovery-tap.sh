#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL's own recovery suite (TAP: streaming, archiving, crashes, promotion, slots, prepared transactions): the
# data directories of all its servers lie in a branch. A case that fails there has to fail on a plain directory too.
#   COWFS_TAP='t/00*.pl'   only these
# long: a download, and some hundred starts of servers
# timeout 3600
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/pgsource.sh"
requires fuse root postgres apt-get prove
perl -MIPC::Run -e1 2>/dev/null || skip "needs libipc-run-perl"
major=$(basename "$(dirname "$PGBIN")")
pgxs=/usr/lib/postgresql/$major/lib/pgxs
[[ -d $pgxs/src/test/perl && -x $pgxs/src/test/regress/pg_regress ]] || skip "needs postgresql-server-dev-$major"
pg_source "$T/src" "$major" "$(. /etc/os-release && echo "$VERSION_CODENAME")"
suite=$(dirname "$(find "$T/src" -path '*/src/test/recovery/t' -type d)")
[[ -d $suite/t ]] || fail "no recovery suite in the source package"
chown -R postgres "$T/src"
# It runs the whole regression suite against a standby; regress.sh does that for branches.
rm -f "$suite/t/027_stream_regress.pl"

# tap DIR FILE: the log of one file of cases, its servers in DIR
tap() {
	local name
	name=$(basename "$2" .pl)
	install -d -o postgres "$1/$name"
	(cd "$suite" && timeout -k 10 600 setpriv --reuid=postgres --regid=postgres --init-groups env PATH="$PGBIN:$PATH" TESTDIR="$1/$name" \
		TESTDATADIR="$1/$name/tmp_check" TESTLOGDIR="$1/$name/log" PERL5LIB="$pgxs/src/test/perl:$suite" PG_REGRESS="$pgxs/src/test/regress/pg_regress" \
		PGPORT=65432 top_builddir="$suite/../../.." prove "$2" </dev/null) >"$T/tap.$name.log" 2>&1
}
store_new
mount_store
branch main --empty -q
chmod 755 "$M/main"
install -d -o postgres "$M/main/tap" "$T/tap"
passed=0 cases=0 worse=() same=()
for f in "$suite"/${COWFS_TAP:-t/*.pl}; do
	name=$(basename "$f" .pl)
	if tap "$M/main/tap" "$f"; then
		((passed += 1))
		((cases += $(sed -nE 's/^Files=[0-9]+, Tests=([0-9]+).*/\1/p' "$T/tap.$name.log")))
		rm -rf "$M/main/tap/$name"
	elif tap "$T/tap" "$f"; then
		worse+=("$name")
		note "$name: $(grep -vE '^(ok|$)' "$T/tap.$name.log" | tail -5)"
	else
		same+=("$name")
	fi
done
note "$passed files with $cases cases pass on a branch; not on a plain directory either: ${same[*]:-none}"
((${#worse[@]} == 0)) || fail "only on a branch: ${worse[*]}"
((passed > ${#same[@]})) || fail "hardly anything of it runs here"
verify_store
