#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The service manager is told READY when every branch can be reached, and STOPPING at the end; the units are valid.
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
cat >"$T/listen.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(s.recv(4096).decode().replace("\n", " "), flush=True)
PY
python3 "$T/listen.py" "$T/notify" >"$T/said" &
listener=$!
on_exit "kill $listener"
eventually 10 grep -q bound "$T/said"
NOTIFY_SOCKET=$T/notify serve_start
eventually 5 grep -q 'READY=1 STATUS=1 branches' "$T/said"
serve_stop
eventually 5 grep -q STOPPING=1 "$T/said"
unmount_store
if command -v systemd-analyze >/dev/null; then
	mkdir "$T/units"
	for u in "$SOURCE"/tools/systemd/*.service; do sed "s|/usr/bin/cowfs|$COWFS|" "$u" >"$T/units/$(basename "$u")"; done
	said=$(SYSTEMD_UNIT_PATH=$T/units: systemd-analyze verify "$T"/units/*.service 2>&1 | grep -F "$T/units" || true)
	[[ -z $said ]] || fail "$said"
else
	note "systemd-analyze is not here: the units were not checked"
fi
