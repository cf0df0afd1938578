#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cowfs ci sweep deletes what no open pull request needs, and nothing when it is in doubt.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/sshd.sh"
requires fuse root postgres curl
import_main
on_exit 'for b in $(cowfs branch list -q 2>/dev/null); do "$COWFS" stop "$b" -m immediate; done'
all=(preview/pr-1 preview/pr-2 preview/pr-3 preview/pr-40 preview/pr-007 preview/pr-x preview/pr-3x feature/pr-1 preview-pr-9 preview/pr-99999999999999999999)
for b in "${all[@]}"; do branch "$b"; done
branch preview/pr-5 --protected yes
names() { cowfs branch list -q | tr '\n' ' '; }
before=$(names)
sweep() { "$COWFS" ci sweep --grace 0 "$@"; }

# In doubt nothing goes: each of these is refused, and says why.
doubt() { # doubt STATUS TEXT WORDS: a list of that text
	printf '%b' "$2" >"$T/list"
	exits "$1" sweep --open-prs "$T/list"
	contains "$err" "$3"
	same "$(names)" "$before" "after the list '$2'"
}
doubt 2 '' "names no pull request"
doubt 2 '\n# none\n\n' "[]"
doubt 2 '1\ntwo\n' "line 2"
doubt 2 '1 2\n' "line 1"
doubt 2 '0\n' "no number"
doubt 2 '-1\n' "no number"
doubt 2 '99999999999999999999999\n' "no number"
doubt 2 '<html>502 Bad Gateway</html>\n' "line 1"
doubt 2 '{"message":"API rate limit exceeded"}' "no list"
doubt 2 '[{"number":1},{"title":"x"}]' "entry 2"
doubt 2 '[1,2' "no JSON"
doubt 2 '[1,"2"]' "entry 2"
exits 3 sweep --open-prs "$T/none"
exits 2 sweep
exits 2 sweep --open-prs "$T/list" --github a/b
exits 2 sweep --open-prs "$T/list" --prefix ''
same "$(names)" "$before"

# Younger than --grace, more than --limit, only asked: nothing goes.
echo '[3]' >"$T/list"
exits 0 cowfs ci sweep --open-prs "$T/list"
contains "$out" "younger"
exits 4 sweep --open-prs "$T/list" --limit 2
contains "$err" "3 branches would be deleted"
exits 0 sweep --open-prs "$T/list" --dry-run --limit 2
contains "$out" "would delete"
same "$(names)" "$before"

# What goes: whole numbers after the prefix, not open, not protected; also with a server running and a client on it.
cowfs start preview/pr-2 >&2
psql -XAtc 'select pg_sleep(60)' "$(cowfs url preview/pr-2)" >/dev/null 2>&1 &
sweep -o json --open-prs "$T/list" >"$T/said"
same "$(json deleted <"$T/said")" 3
same "$(json open <"$T/said")" 1
same "$(names)" "feature/pr-1 main preview-pr-9 preview/pr-007 preview/pr-3 preview/pr-3x preview/pr-5 preview/pr-99999999999999999999 preview/pr-x "
python3 -c 'import json, sys; print({b["name"]: b["reason"] for b in json.load(open(sys.argv[1]))["branches"]}["preview/pr-5"])' "$T/said" >"$T/why"
contains "$(<"$T/why")" protected
[[ $(sweep --open-prs - -o json <<<'3 # mine' | json deleted) == 0 ]] || fail "an open one was deleted"

# GitHub, as a server of our own plays it: pages, errors in the middle, a list that moves while it is read.
cat >"$T/hub.py" <<'PY'
import http.server, json, re, sys
state = sys.argv[1]  # a file: the mode
log = open(sys.argv[2], "a", buffering=1)
readings, last = 0, ""  # of the list, since the mode changed
class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        global readings, last
        mode = open(state).read().strip()
        if mode != last: readings, last = 0, mode
        log.write(f"{self.path} {self.headers.get('Authorization')}\n")
        page = int(re.search(r"[?&]page=(\d+)", self.path).group(1))
        if page == 1: readings += 1
        code, body = 200, None
        numbers = list(range(1000, 1250)) + [3, 61]
        if mode == "moves":  # number 1000 closes after the first page of the first reading: 1100 slips through
            shifted = numbers[1:]
            if readings > 1 or page > 1: numbers = shifted
        if not self.path.startswith("/repos/acme/shop/pulls?state=open&"): code = 404
        elif self.headers.get("Authorization") != "Bearer s3cret": code = 401
        elif mode == "breaks" and page == 2: code = 502
        elif mode == "garbage" and page == 3: body = b"<html>"
        elif mode == "object" and page == 2: body = b'{"message": "rate limit"}'
        if body is None:
            body = json.dumps([{"number": n, "state": "open"} for n in numbers[(page - 1) * 100:page * 100]]).encode()
        if mode == "cut" and page == 2: body = body[:-50]
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.HTTPServer(("127.0.0.1", 0), Hub)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
echo fine >"$T/mode"
python3 "$T/hub.py" "$T/mode" "$T/hub.log" >"$T/port" &
on_exit "kill $!"
eventually 10 test -s "$T/port"
export GITHUB_API_URL=http://127.0.0.1:$(<"$T/port") GH_TOKEN=s3cret
unset GITHUB_TOKEN http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
branch preview/pr-1100
branch preview/pr-60
branch preview/pr-61
for mode in breaks garbage object cut; do
	echo $mode >"$T/mode"
	refused sweep --github acme/shop
	contains "$(names)" "preview/pr-60 "
done
echo fine >"$T/mode"
exits 4 env GH_TOKEN=wrong "$COWFS" ci sweep --github acme/shop
exits 2 env GH_TOKEN=$'x"\nurl = "http://evil' "$COWFS" ci sweep --github acme/shop
exits 3 sweep --github acme/other
exits 2 sweep --github 'acme/shop/../../other'
exits 2 sweep --github 'acme'
exits 7 env GITHUB_API_URL=http://127.0.0.1:1 "$COWFS" ci sweep --github acme/shop
contains "$(names)" "preview/pr-60 "
echo moves >"$T/mode"
exits 0 sweep --github acme/shop -o json
same "$(json deleted <<<"$out")" 1
contains "$(names)" "preview/pr-1100 "
contains "$(names)" "preview/pr-61 "
lacks "$(names)" "preview/pr-60 "

# Over ssh the list is read here, where the token is, and the branches go there.
sshd_start
branch preview/pr-62
[[ $("$COWFS" --host "$HOST" ci sweep --github acme/shop --grace 0 -o json | json deleted) == 1 ]] || fail "not swept over ssh"
lacks "$(names)" "preview/pr-62 "
echo '[3]' >"$T/list"
same "$("$COWFS" --host "$HOST" ci sweep --open-prs "$T/list" --grace 0 --dry-run -o json | json open)" 1
