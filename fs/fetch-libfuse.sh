#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Get the source of the libfuse version that speaks FUSE over io_uring, and build it as a static library.
#
#   fs/fetch-libfuse.sh DIR     leaves DIR/usr/lib/libfuse3.a and DIR/usr/include/fuse3/
#
# The source package comes from a newer suite of the distribution's own archive, through a private apt
# configuration: the host is the one the machine uses already, apt checks the signature of the
# archive, this script the hash below, and nothing on the machine changes. Ends with a status other than 0 and
# one line that says why when it cannot be had.
set -euo pipefail

version=3.18.3
sha256=bcd19582c5e30f7fe45dd86a5540e998590aa01903afc7ebcbeea6c8ac5421ee
suites="forky sid"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
	echo "fetch-libfuse: $*" >&2
	exit 1
}

[ $# = 1 ] || fail "usage: fetch-libfuse.sh DIR"
dir=$1
[ -e "$dir/usr/lib/libfuse3.a" ] && [ "$(cat "$dir/version" 2>/dev/null)" = "$version" ] && exit 0
for tool in apt-get meson ninja pkg-config sha256sum; do
	command -v "$tool" >/dev/null || fail "$tool is not installed"
done
for lib in liburing numa; do
	pkg-config --exists "$lib" || fail "the development files of $lib are not installed"
done
[ -r "$keyring" ] || fail "no $keyring to check the archive with"

# The archive this machine uses for Debian itself; its lists say which one that is.
archive_of_machine() {
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n 's/^Debian|Debian|//p' | head -n 1
}

# Put the .orig tarball into $dir/source.
download() {
	local uri apt="$dir/apt"
	uri=$(archive_of_machine)
	[ -n "$uri" ] || fail "apt knows no Debian archive (run apt-get update first)"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	for suite in $suites; do
		printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
			"$uri" "$suite" "$keyring" >"$apt/suite.sources"
		local private=(-q -q -o "Dir::Etc::sourcelist=$apt/suite.sources" -o Dir::Etc::sourceparts=-
			-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Dir::State::status=/dev/null
			-o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::Retries=1
			-o Acquire::http::Timeout=20)
		if apt-get "${private[@]}" update >>"$dir/log" 2>&1 &&
			(cd "$dir/source" && apt-get "${private[@]}" source --download-only \
				"fuse3=$version-*" >>"$dir/log" 2>&1 ||
				cd "$dir/source" && apt-get "${private[@]}" source --download-only fuse3 \
					>>"$dir/log" 2>&1) &&
			[ -e "$dir/source/fuse3_$version.orig.tar.gz" ]; then
			rm -rf "$apt"
			return 0
		fi
	done
	fail "no suite of $uri ($suites) has fuse3 $version; see $dir/log"
}

mkdir -p "$dir/source"
: >"$dir/log"
tarball=$dir/source/fuse3_$version.orig.tar.gz
[ -e "$tarball" ] || download
echo "$sha256  $tarball" | sha256sum --check --quiet >>"$dir/log" 2>&1 ||
	fail "$tarball is not the file that is expected (sha256)"

rm -rf "$dir/build" "$dir/source/fuse-$version" "$dir/usr"
tar -xzf "$tarball" -C "$dir/source"
{
	meson setup "$dir/build" "$dir/source/fuse-$version" --buildtype=release --prefix=/usr --libdir=lib \
		-Ddefault_library=static -Dutils=false -Dexamples=false -Dtests=false -Denable-io-uring=true \
		-Dc_args=-fPIC &&
		ninja -C "$dir/build" &&
		DESTDIR="$dir" meson install -C "$dir/build" --no-rebuild
} >>"$dir/log" 2>&1 || fail "libfuse $version did not build; see $dir/log"
grep -q HAVE_URING "$dir/build/fuse_config.h" || fail "libfuse $version was built without io_uring"
rm -rf "$dir/build" "$dir/source/fuse-$version"
echo "$version" >"$dir/version"
