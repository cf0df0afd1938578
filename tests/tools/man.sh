#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Help, manual and man pages say the same, and man has nothing to complain about.
. "$(dirname "$0")/../lib/lib.sh"
requires cowfs mandoc man
mkdir "$T/man"
exits 0 cowfs help --man "$T/man"
exits 3 cowfs help --man "$T/nowhere"

mandoc -T lint -W warning "$T"/man/*.1 >"$T/lint" 2>&1 || fail "mandoc: $(head -20 "$T/lint")"
for page in "$T"/man/*.1; do
	man --warnings -E UTF-8 -l -Tutf8 -Z "$page" >/dev/null 2>"$T/lint"
	[[ ! -s $T/lint ]] || fail "man: $(head "$T/lint")"
done

# A page for every command of the manual, and none besides.
cowfs help --markdown >"$T/commands.md"
{
	echo cowfs.1
	sed -n 's/^### cowfs //p' "$T/commands.md" | tr ' ' - | sed 's/.*/cowfs-&.1/'
} | sort >"$T/wanted"
ls "$T/man" | sort >"$T/got"
diff -u "$T/wanted" "$T/got" || fail "the pages are not those of the commands"

# As words, whatever the breaking of lines: what --help says is in the page, option by option.
flat() { tr -s ' \n\t' ' '; }
plain() { mandoc -T ascii "$1" | col -b | flat; }
root=$(plain "$T/man/cowfs.1")
while read -r title; do
	page=$(plain "$T/man/cowfs-${title// /-}.1")
	# shellcheck disable=SC2086
	help=$(cowfs $title --help)
	summary=$(sed -n "1s/^cowfs $title: //p" <<<"$help")
	contains "$page" "$summary"
	contains "$root" "$summary"
	usage=$(sed -n '4s/^  //p' <<<"$help")
	contains "${page// /}" "${usage// /}"
	while read -r option; do
		contains "$page" "$option"
		grep -qF -- "$option" "$T/commands.md" || fail "the manual does not have $option of $title"
	done < <(grep -oE '^  .{4}--[a-z-]+' <<<"$help" | grep -oE -- '--.*')
done < <(sed -n 's/^### cowfs //p' "$T/commands.md")
for code in 0 1 2 3 4 5 6 7 8 130; do contains "$root" " $code "; done

# What is installed: pages, completions, the command.
DESTDIR=$T/root cmake --install "$COWFS_BUILD" --prefix /usr >"$T/.install" 2>&1 || fail "$(<"$T/.install")"
for file in bin/cowfs share/man/man1/cowfs.1 share/man/man1/cowfs-branch-create.1 share/bash-completion/completions/cowfs \
	share/zsh/vendor-completions/_cowfs share/fish/vendor_completions.d/cowfs.fish; do
	[[ -s $T/root/usr/$file ]] || fail "$file is not installed"
done
contains "$(man -M "$T/root/usr/share/man" cowfs-checkout 2>/dev/null | col -b)" "cowfs checkout feature/add-orgs --env"
