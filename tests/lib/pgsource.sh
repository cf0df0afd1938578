# SPDX-License-Identifier: Apache-2.0
# pgsource.sh: PostgreSQL's sources, from the distribution's own archive; sourced after lib.sh.

# pg_source DIR MAJOR SUITE...: unpack the source package of postgresql-MAJOR into DIR, from the first suite that has it.
# Through a private apt configuration: the host is the machine's own, the signature is checked, nothing on the machine changes.
pg_source() {
	local dir=$1 major=$2 uri suite apt=$T/apt
	shift 2
	uri=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1 | cut -d' ' -f1)
	[[ -n $uri ]] || uri=$(sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | head -1)
	[[ -n $uri ]] || skip "no package source configured"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$dir"
	local options=(-o Dir::Etc::sourcelist="$apt/only.sources" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$apt/lists"
		-o Dir::Cache="$apt/cache" -o Dir::State::status=/dev/null -o Acquire::Languages=none -o APT::Sandbox::User=root)
	for suite in "$@"; do
		printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$uri" "$suite" >"$apt/only.sources"
		apt-get "${options[@]}" -qq update >"$T/apt.log" 2>&1 || continue
		(cd "$dir" && apt-get "${options[@]}" -qq source --download-only "postgresql-$major" >"$T/apt.log" 2>&1) || continue
		tar -xf "$dir"/postgresql-"$major"_*.orig.tar.* -C "$dir" && return 0
	done
	skip "the source package of postgresql-$major cannot be had: $(tail -1 "$T/apt.log")"
}
