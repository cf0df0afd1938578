# SPDX-License-Identifier: Apache-2.0
# sshd.sh: an ssh server of the test's own; sourced after lib.sh.

# sshd_start: on a free port of 127.0.0.1, with its own keys and configuration; ends with the script. Exports what
# cowfs --host needs, and sets $HOST. Every login gets a clean environment, as from another machine.
sshd_start() {
	local d=$T/sshd port sshd=/usr/sbin/sshd
	[[ -x $sshd ]] || skip "needs openssh-server"
	# Compiled into Debian's sshd; harmless when nobody uses it.
	[[ $(id -u) != 0 ]] || mkdir -p /run/sshd
	mkdir -m 700 "$d"
	ssh-keygen -q -t ed25519 -N '' -f "$d/host"
	ssh-keygen -q -t ed25519 -N '' -f "$d/client"
	cp "$d/client.pub" "$d/authorized"
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	cat >"$d/config" <<-CONF
		ListenAddress 127.0.0.1
		Port $port
		HostKey $d/host
		AuthorizedKeysFile $d/authorized
		StrictModes no
		UsePAM no
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		PermitRootLogin prohibit-password
		PidFile none
		PermitUserEnvironment no
		MaxStartups 100
		PrintMotd no
	CONF
	printf '[127.0.0.1]:%s %s\n' "$port" "$(<"$d/host.pub")" >"$d/known"
	cat >"$d/client.conf" <<-CONF
		Host *
			Port $port
			IdentityFile $d/client
			IdentitiesOnly yes
			UserKnownHostsFile $d/known
			GlobalKnownHostsFile /dev/null
			StrictHostKeyChecking yes
			ControlMaster no
	CONF
	"$sshd" -D -e -f "$d/config" >"$d/log" 2>&1 </dev/null &
	sshd=$!
	on_exit "kill $sshd"
	eventually 20 bash -c "</dev/tcp/127.0.0.1/$port"
	HOST=$(id -un)@127.0.0.1
	export COWFS_SSH_CONFIG=$d/client.conf COWFS_HOST_PROGRAM=$COWFS SSH_PORT=$port
	unset SSH_AUTH_SOCK
}
