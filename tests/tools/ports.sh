#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A port belongs to one branch as long as that exists or can be had back, over sudden deaths of the daemon; and many
# branches at once get one each.
. "$(dirname "$0")/../lib/lib.sh"
requires fuse root python3
store_new
rm "$COWFS_STORE/cowfs.conf" # the tests keep nothing that is deleted
mount_store
cowfs branch create main --empty >&2

# choose NAME...: what the daemon says is the port of each, chosen now if it has none; all at once.
choose() {
	python3 - "$COWFS_STORE/control.sock" "$@" <<'PY'
import json, socket, sys
asked = []
for name in sys.argv[2:]:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(sys.argv[1])
    s.sendall(json.dumps({"verb": "server.place", "args": {"name": name, "choose_port": True}}).encode() + b"\n")
    asked.append(s.makefile("rb"))
for f in asked:
    answer = json.loads(f.readline())
    print(answer["result"]["port"] if "result" in answer else answer)
PY
}
die() {
	kill -9 "$(daemon_pid)"
	umount -l "$M" || true
	cowfs mount "$COWFS_STORE" "$M" >&2
}

names=()
for k in {1..12}; do
	cowfs branch create "b$k" >&2
	names+=("b$k")
done
mapfile -t ports < <(choose "${names[@]}")
same "$(printf '%s\n' "${ports[@]}" | grep -xc '[0-9]*')" 12 "ports"
same "$(printf '%s\n' "${ports[@]}" | sort -u | wc -l)" 12 "different ports"
same "$(choose b3)" "${ports[2]}" "port of b3, asked again"

note "while a deleted branch can be had back, nobody gets its port"
cowfs branch delete b3 b4 --yes >&2
cowfs branch rename b5 b3 >&2
same "$(choose b3)" "${ports[4]}" "port of a branch under another name"
for k in {21..24}; do cowfs branch create "b$k" >&2; done
mapfile -t more < <(choose b21 b22)
die
mapfile -t -O 2 more < <(choose b23 b24)
same "$(printf '%s\n' "${ports[@]}" "${more[@]}" | sort -u | wc -l)" 16 "different ports, with those of deleted branches"
cowfs branch undelete b4 >&2
same "$(choose b4)" "${ports[3]}" "port of a branch that came back"

note "what was said in the settings counts as well"
die
choose main >&2
last=$(choose b24)
python3 - "$COWFS_STORE/control.sock" $((last + 1)) <<'PY' >&2
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(json.dumps({"verb": "branch.settings", "args": {"name": "b1", "set": {"port": int(sys.argv[2])}}}).encode() + b"\n")
print(s.makefile().readline())
PY
for k in 31 32; do
	cowfs branch create "b$k" >&2
	differ "$(choose "b$k")" "$((last + 1))" "port of b$k"
done
unmount_store
