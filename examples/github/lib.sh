# SPDX-License-Identifier: Apache-2.0
# lib.sh: what the actions share. Values come from the environment, never pasted into a script: a branch may be
# called $(anything).

die() {
	printf '::error::%s\n' "$(escape "$*")"
	exit 1
}
# As the runner wants data in a command: one line.
escape() {
	local s=${1//'%'/%25}
	s=${s//$'\r'/%0D}
	printf %s "${s//$'\n'/%0A}"
}
# From here on the runner shows *** instead.
mask() { [[ -z $1 ]] || printf '::add-mask::%s\n' "$(escape "$1")"; }
# output NAME VALUE: any value, whatever lines it has.
output() {
	local end
	end=cowfs-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	printf '%s<<%s\n%s\n%s\n' "$1" "$end" "$2" "$end" >>"$GITHUB_OUTPUT"
}

# Where the store is: this machine, or another one over ssh. A key given as input is used for nothing else.
connect() {
	local d=${RUNNER_TEMP:?}/cowfs-ssh
	[[ -z ${INPUT_HOST:-} ]] || export COWFS_HOST=$INPUT_HOST
	[[ -z ${INPUT_STORE:-} ]] || export COWFS_STORE=$INPUT_STORE
	[[ -n ${INPUT_SSH_KEY:-} ]] || return 0
	[[ -n ${INPUT_KNOWN_HOSTS:-} ]] || die "ssh_key needs known_hosts: the server must be known before it is trusted"
	mkdir -p "$d" && chmod 700 "$d"
	(umask 077 && printf '%s\n' "$INPUT_SSH_KEY" >"$d/key")
	printf '%s\n' "$INPUT_KNOWN_HOSTS" >"$d/known_hosts"
	printf 'Host *\n  IdentityFile "%s"\n  IdentitiesOnly yes\n  UserKnownHostsFile "%s"\n  StrictHostKeyChecking yes\n' \
		"$d/key" "$d/known_hosts" >"$d/config"
	export COWFS_SSH_CONFIG=$d/config
}

# The branch as JSON in $branch; "" when there is none. Anything else that goes wrong ends the step.
find_branch() {
	local rc=0
	branch=$(cowfs -o json branch get -- "$1") || rc=$?
	((rc == 0 || rc == 3)) || die "cannot look at $1 (exit status $rc)"
	((rc == 0)) || branch=
}
# These actions are for branches that come and go.
must_be_disposable() {
	[[ $(jq -r .name <<<"$branch") == "$1" ]] || die "asked for $1, got another branch"
	[[ $(jq -r '.default or .protected' <<<"$branch") == false ]] || die "$1 is the default branch or protected"
}

# Start it, and put its address into the outputs: name_of_url name_of_host [name_of_port].
answer_address() {
	local name=$1 address url port
	cowfs start -- "$name" >/dev/null
	address=$(cowfs -o json url --dbname="${INPUT_DATABASE:-postgres}" ${INPUT_ROLE:+--user="$INPUT_ROLE"} \
		${INPUT_TUNNEL:+--tunnel="$INPUT_TUNNEL"} -- "$name")
	[[ $(jq -r .branch <<<"$address") == "$name" ]] || die "asked for $name, got the address of another branch"
	url=$(jq -r --arg password "${INPUT_PASSWORD:-}" '.connection_uri | if $password == "" then . else
		capture("^(?<a>[^@]*)@(?<b>.*)$"; "s") | .a + ":" + ($password | @uri) + "@" + .b end' <<<"$address")
	port=$(jq -r .port <<<"$address")
	mask "${INPUT_PASSWORD:-}"
	mask "$url"
	output "$2" "$url"
	output "$3" "$(jq -r .host <<<"$address")"
	[[ -z ${4:-} ]] || output "$4" "$port"
	output password "${INPUT_PASSWORD:-}"
}
