# SPDX-License-Identifier: Apache-2.0
# own-mounts.sh: sourced first by a test that lays a file over one of the kernel's. It runs once more with mounts of its
# own; where those cannot be had (in a chroot) it lays it over the machine's, and takes it off at its end.
[[ $(id -u) != 0 || -n ${COWFS_OWN_MOUNTS:-} ]] || ! unshare --mount true 2>/dev/null ||
	COWFS_OWN_MOUNTS=1 exec unshare --mount "$BASH" "$0"
