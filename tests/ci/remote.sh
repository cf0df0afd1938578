#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cowfs --host: the same commands over a real ssh server, whatever names and arguments look like.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/sshd.sh"
requires fuse root postgres ssh
import_main
on_exit 'for b in $(cowfs branch list -q 2>/dev/null); do "$COWFS" stop "$b" -m immediate; done'
sshd_start
away() { "$COWFS" --host "$HOST" "$@"; }

# The same words, the same answers, the same exit status.
same "$(away branch list -q)" main
exits 3 away branch get nowhere
contains "$err" "no branch nowhere"
contains "$(away branch get main -o json)" '"name"'
exits 2 away branch create
contains "$err" "cowfs branch create --help"
exits 3 away branch get nowhere -o json
same "$(json error.code <<<"$err")" not_found
# An option before the name, a short one, one of the command, and COWFS_OUTPUT of this side.
same "$(COWFS_OUTPUT=json COWFS_HOST=$HOST cowfs branch get main | json name)" main
same "$(COWFS_HOST=$HOST cowfs -q branch list)" main

# Names that a shell would love. The last ones are refused there, as they would be here.
n=0 all=()
for name in "it's" 'say "hi"' '$(touch '"$T"'/pwned)' '`touch '"$T"'/pwned`' 'a b  c' ';touch pwned' '&&' '*' '~' '!!' 'back\slash\' '#x' \
	"'\\''" '$IFS' '{a,b}' 'ümläut' '<x>|y' "a'; touch $T/pwned; '" '%s%n'; do
	name=h$((++n))/$name
	same "$(away -o json branch create "$name" | json name)" "$name" "the name back"
	same "$(cowfs -o json branch get "$name" | json name)" "$name" "the name there"
	all+=("$name")
done
away branch delete --yes "${all[@]}" >/dev/null
exits 2 away branch create -- --x
exits 2 away branch create $'new\nline'
exits 2 away branch create $'tail\n'
[[ ! -e $T/pwned ]] || fail "a name was run by a shell"
same "$(cowfs branch list -q)" main "what is left"

# Without --yes nothing is deleted: nobody can be asked.
away branch create x >/dev/null
exits 2 away branch delete x
contains "$err" --yes

# A seed is a file of this side.
mkdir "$T/here"
printf 'create table seeded(x int);\ninsert into seeded values (7);\n' >"$T/here/seed it's.sql"
away branch create seeded --seed "$T/here/seed it's.sql" >/dev/null
exits 3 away branch create seeded2 --seed "$T/here/none.sql"
exits 3 cowfs branch get seeded2
contains "$(cowfs branch create piped --seed - <"$T/here/seed it's.sql")" piped

# So is a folder of migrations, and a list on stdin; the answer and the warning are those of the other side.
mkdir "$T/here/db it's"
touch "$T/here/db it's/"2024{0101,0202}_x.rb
printf "create table schema_migrations (version varchar primary key);\ninsert into schema_migrations values ('20240101');\n" >"$T/here/rails.sql"
away branch create image --seed "$T/here/rails.sql" >/dev/null
exits 0 away branch create behind --parent image --migrations "$T/here/db it's" -o json
contains "$err" "behind lacks 1 of 2 migrations (Rails, public.schema_migrations): 20240202"
same "$(json migrations.missing <<<"$out")" '["20240202"]'
same "$(ls "$T/here/db it's" | away branch create listed --parent image --migrations - -o json 2>/dev/null | json migrations.applied)" 1
exits 2 away branch create both --migrations "$T/here/db it's" --seed "$T/here/rails.sql"
exits 3 cowfs branch get both
away branch delete --yes image behind listed >/dev/null

# start and url name the server; psql runs there; its exit status comes back.
url=$(away -o json start seeded | json connection_uri)
contains "$url" @127.0.0.1:
same "$(away url seeded)" "$url"
same "$(away psql seeded -- -XAtc "select x, 'it''s \$HOME' from seeded")" "7|it's \$HOME"
same "$(away psql seeded -- -XAt <<<'select x + 1 from seeded')" 8
exits 1 away psql seeded -- -Xc 'select nothing'
exits 3 bash -c '"$0" --host "$1" psql seeded -- -Xv ON_ERROR_STOP=1 <<<"select nothing"' "$COWFS" "$HOST"

# exec runs here, behind a tunnel that ends with it.
same "$(away exec seeded -- bash -c 'psql -XAtc "select x from seeded" "$DATABASE_URL"; echo "$COWFS_BRANCH $PGPORT" >"$0"' "$T/said")" 7
read -r name port <"$T/said"
same "$name" seeded
differ "$port" "$(cowfs -o json url seeded | json port)" "the port of the tunnel"
eventually 5 bash -c "! </dev/tcp/127.0.0.1/$port"
exits 42 away exec seeded -- sh -c 'exit 42'
exits 3 away exec nowhere -- true
exits 6 away exec x -- true
contains "$err" "x is not ready"

# A tunnel that stays for a while, and does not hold whoever reads the URL.
url=$(timeout 30 "$COWFS" --host "$HOST" url seeded --tunnel 2s)
lacks "$url" ":$(cowfs -o json url seeded | json port)/"
same "$(psql -XAtc 'select x from seeded' "$url")" 7
eventually 20 bash -c "! psql -XAtc 'select 1' '$url'"
exits 2 cowfs url seeded --tunnel 5s

# Every format, with the address of this side; what cannot be had says what can.
port=$(cowfs -o json url seeded | json port)
same "$(away url seeded --format jdbc --connect-timeout 9)" "jdbc:postgresql://127.0.0.1:$port/postgres?user=postgres&connectTimeout=9&loginTimeout=9"
contains "$(away url seeded --format dotenv)" "PGPORT=$port"
contains "$(away url seeded --format service)" "[seeded]"
dsn=$(timeout 30 "$COWFS" --host "$HOST" url seeded --format dsn --tunnel 2s)
same "$(psql -XAtc 'select x from seeded' "$dsn")" 7
exits 2 away url seeded --socket
contains "$err" "--tunnel TIME"
exits 2 away url seeded --format nonsense

# What can be wrong on the way has words and a status.
exits 7 cowfs --host nobody-here@127.0.0.1 branch list
contains "$err" "ssh to nobody-here@127.0.0.1 failed"
exits 2 cowfs --host '-oProxyCommand=touch pwned' branch list
exits 2 cowfs --host 'a b' branch list
exits 3 env COWFS_HOST_PROGRAM=/no/cowfs "$COWFS" --host "$HOST" branch list
contains "$err" "COWFS_HOST_PROGRAM"
exits 7 env COWFS_SSH_CONFIG="$T/none" "$COWFS" --host "$HOST" branch list
# It asks for nothing and gives up: a host key nobody knows, a machine that does not answer.
sed 's/known$/unknown/' "$COWFS_SSH_CONFIG" >"$T/strange"
exits 7 env COWFS_SSH_CONFIG="$T/strange" timeout 30 "$COWFS" --host "$HOST" branch list
# --host '' is this machine, whatever the environment says; help needs no machine at all.
same "$(COWFS_HOST=no-such-machine.invalid cowfs --host '' branch list -q | grep -c .)" 4
contains "$(COWFS_HOST=no-such-machine.invalid cowfs help branch create)" Example
cowfs stop seeded >&2
