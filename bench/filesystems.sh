# SPDX-License-Identifier: Apache-2.0
# filesystems.sh: the subjects that are compared, and what a branch is on each of them.
#
#   host              the data directory on ext4; a "branch" is a full copy (cp -a)
#   host-nofsync      the same with fsync=off: what CI uses today
#   cowfs             a branch on the mount; the store lies on ext4
#   cowfs-ephemeral   the same, made with --ephemeral
#   xfs               cp -a --reflink=always
#   btrfs             btrfs subvolume snapshot
#   overlay           overlayfs: the base as lower, an empty upper directory, on the host's ext4
#
# Every file system lies on a loop device of its own, but overlay on the host's (direct I/O on; a file of fixed size, written
# once from end to end before), all on the same disk. mkfs discards nothing, or the holes would be
# allocated during the measurement. A subject that cannot be made is remembered with the reason.

SUBJECTS=(host cowfs xfs btrfs overlay cowfs-ephemeral host-nofsync)
# STORE, the store of cowfs, is set by bench_begin.
MKFS_ext4="mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0,lazy_journal_init=0"
MKFS_xfs="mkfs.xfs -q -f -K -m reflink=1"
MKFS_btrfs="mkfs.btrfs -q -f -K"

# filesystem_missing SUBJECT: succeeds and says why when there is none.
filesystem_missing() { [[ -e $WORK/missing/$1 ]] && cat "$WORK/missing/$1"; }
missing() { printf '%s\n' "$2" >"$WORK/missing/$1"; note "$1: $2"; }

# device_make NAME TYPE: a mounted file system at $WORK/NAME; says why and fails when it cannot.
device_make() {
	local name=$1 mkfs=MKFS_$2 image=$WORK/$1.image loop
	command -v "mkfs.$2" >/dev/null || { echo "mkfs.$2 is not installed" && return 1; }
	fallocate -l "${DEVICE_MIB}M" "$image" && dd if=/dev/zero of="$image" bs=4M conv=notrunc \
		oflag=direct count=$((DEVICE_MIB / 4)) status=none || { echo "no room for the device" && return 1; }
	loop=$(losetup --find --show --direct-io=on "$image" 2>&1) || { echo "losetup: $loop" && return 1; }
	printf '%s\n' "$loop" >>"$WORK/loops"
	${!mkfs} "$loop" >/dev/null 2>"$WORK/mkfs.err" || { tail -1 "$WORK/mkfs.err" && return 1; }
	mkdir "$WORK/$name"
	mount -t "$2" -o noatime "$loop" "$WORK/$name" 2>"$WORK/mkfs.err" ||
		{ tail -1 "$WORK/mkfs.err" && return 1; }
	chmod 755 "$WORK/$name"
}

filesystems_make() {
	local why free
	mkdir "$WORK/missing"
	: >"$WORK/loops"
	on_exit filesystems_remove
	free=$(df --output=avail -B1M "$WORK" | tail -1)
	((free > 4 * DEVICE_MIB + 2048)) ||
		fail "4 devices of $DEVICE_MIB MiB do not fit ($free MiB free): set BENCH_DIR or BENCH_DEVICE_MIB"
	note "file systems: 4 loop devices of $DEVICE_MIB MiB"
	device_make host ext4 || fail "no ext4 for the host directory"
	device_make cowfs ext4 || fail "no ext4 for the store"
	why=$(device_make xfs xfs) || missing xfs "$why"
	why=$(device_make btrfs btrfs) || missing btrfs "$why"
	why=$(overlay_probe) || missing overlay "$why"
	cowfs_mount
}

overlay_probe() {
	local d=$WORK/host/probe
	mkdir -p "$d"/{lower,upper,work,merged}
	mount -t overlay -o "lowerdir=$d/lower,upperdir=$d/upper,workdir=$d/work" overlay \
		"$d/merged" 2>&1 || return 1
	umount "$d/merged"
	rm -rf "$d"
}

cowfs_mount() {
	mkdir "$WORK/branches"
	"$COWFS" -q init "$STORE" >/dev/null
	# The daemon must not hold the lines to the terminal or to a pipe of ours open.
	"$COWFS" -q mount "$STORE" "$WORK/branches" ${BENCH_MOUNT_OPTIONS:-} >/dev/null 9>&-
	[[ $("$COWFS" branch create --help) == *' --ephemeral '* ]] ||
		missing cowfs-ephemeral "this cowfs has no branch create --ephemeral"
}

filesystems_remove() {
	local m loop n
	"$COWFS" -q --store "$WORK/cowfs/store" unmount "$WORK/branches" --force
	for n in 1 2 3; do
		tac /proc/self/mounts | cut -d' ' -f2 | grep "^$WORK/" | while read -r m; do
			umount "$m" || { ((n == 3)) && umount -l "$m"; }
		done
		grep -q " $WORK/" /proc/self/mounts || break
		sleep 1
	done
	while read -r loop; do losetup -d "$loop"; done <"$WORK/loops"
}

# bases_place DIRECTORY: the same cluster as the base of each subject.
bases_place() {
	cp -a "$1" "$WORK/host/base"
	"$COWFS" --store "$STORE" -q import "$1" main >/dev/null
	filesystem_missing xfs >/dev/null || cp -a "$1" "$WORK/xfs/base"
	filesystem_missing btrfs >/dev/null || {
		btrfs -q subvolume create "$WORK/btrfs/base"
		cp -a "$1/." "$WORK/btrfs/base/"
		chown --reference="$1" "$WORK/btrfs/base"
		chmod --reference="$1" "$WORK/btrfs/base"
	}
}

# branch_data SUBJECT BRANCH: the data directory.
branch_data() {
	case $1 in
	cowfs*) echo "$WORK/branches/$2" ;;
	host*) echo "$WORK/host/$2" ;;
	overlay) echo "$WORK/host/overlay.$2/merged" ;;
	*) echo "$WORK/$1/$2" ;;
	esac
}

# subject_mount SUBJECT: where its space can be asked for.
subject_mount() {
	case $1 in
	cowfs*) echo "$WORK/cowfs" ;;
	host* | overlay) echo "$WORK/host" ;;
	*) echo "$WORK/$1" ;;
	esac
}

# branch_how SUBJECT BRANCH [PARENT]: the command that makes a branch, for eval and for the record.
branch_how() {
	local parent o=$WORK/host/overlay.$2
	case $1 in
	cowfs) echo "$COWFS --store $STORE -q branch create $2 --parent ${3:-main}" ;;
	cowfs-ephemeral) echo "$COWFS --store $STORE -q branch create $2 --parent ${3:-main} --ephemeral" ;;
	esac
	[[ $1 == cowfs* ]] && return
	parent=$(branch_data "$1" "${3:-base}")
	[[ $1 == overlay && -z ${3:-} ]] && parent=$WORK/host/base
	case $1 in
	host*) echo "cp -a $parent $WORK/host/$2" ;;
	xfs) echo "cp -a --reflink=always $parent $WORK/xfs/$2" ;;
	btrfs) echo "btrfs -q subvolume snapshot $parent $WORK/btrfs/$2" ;;
	overlay) echo "mkdir -p $o/upper $o/work $o/merged && chown --reference=$parent $o/upper &&" \
		"chmod --reference=$parent $o/upper &&" \
		"mount -t overlay -o lowerdir=$parent,upperdir=$o/upper,workdir=$o/work overlay $o/merged" ;;
	esac
}

# branch_make SUBJECT BRANCH [PARENT]: dropped at the end of the cell. Sets MADE_MS, the time it took.
branch_make() {
	local how began
	how=$(branch_how "$@")
	cell_branches+=("$1 $2")
	began=${EPOCHREALTIME/./}
	eval "$how" >/dev/null
	took "$began"
	MADE_MS=$MS
}

branch_delete_how() {
	case $1 in
	cowfs*) echo "$COWFS --store $STORE -q branch delete $2 --yes" ;;
	btrfs) echo "btrfs -q subvolume delete $WORK/btrfs/$2" ;;
	overlay) echo "umount $WORK/host/overlay.$2/merged && rm -rf $WORK/host/overlay.$2" ;;
	*) echo "rm -rf $(branch_data "$1" "$2")" ;;
	esac
}

branch_drop() {
	local dir
	dir=$(branch_data "$1" "$2")
	[[ -d $dir ]] || return 0
	# What cowfs would keep for a day after a deletion fills the device here, as on no other subject.
	case $1 in
	cowfs*) "$COWFS" --store "$STORE" -q branch delete "$2" --yes --now >/dev/null ;;
	*) eval "$(branch_delete_how "$1" "$2")" >/dev/null ;;
	esac
	rm -rf "$WORK/$1/snap.$2".* 2>/dev/null
	for dir in "$WORK/btrfs/snap.$2".*; do
		[[ $1 != btrfs || ! -d $dir ]] || btrfs -q subvolume delete "$dir"
	done
}

# snapshot_how SUBJECT BRANCH LABEL: "" where the file system has no such thing.
snapshot_how() {
	case $1 in
	cowfs*) echo "$COWFS --store $STORE -q snapshot create $2 $3" ;;
	xfs) echo "cp -a --reflink=always $WORK/xfs/$2 $WORK/xfs/snap.$2.$3" ;;
	btrfs) echo "btrfs -q subvolume snapshot -r $WORK/btrfs/$2 $WORK/btrfs/snap.$2.$3" ;;
	esac
}

# The work that a file system put off must not fall into the time of the next subject.
quiesce() {
	"$COWFS" --store "$STORE" -q gc --now
	filesystem_missing btrfs >/dev/null || {
		btrfs filesystem sync "$WORK/btrfs"
		timeout 60 btrfs subvolume sync "$WORK/btrfs"
	}
	sync
} >/dev/null 2>&1
