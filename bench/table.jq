# SPDX-License-Identifier: Apache-2.0
# table.jq: an aggregated result -> Markdown: the machine, the targets, every figure, every command.
def round2: if . == null then "" elif (. | fabs) >= 100 then (. | round | tostring)
	elif (. | fabs) >= 10 then (. * 10 | round / 10 | tostring)
	else (. * 100 | round / 100 | tostring) end;
def cell: tostring | gsub("\\|"; "\\|") | gsub("[\n\t]+"; " ");
def row: "| " + (map(. // "" | cell) | join(" | ")) + " |";
def rule: "|" + (map("---|") | add);
def sign: if . == ">=" then "≥" else "≤" end;

def order: ["host", "cowfs", "xfs", "btrfs", "overlay", "cowfs-ephemeral", "host-nofsync", "template",
	"template-file-copy", "dump-restore", "direct", "straight", "relayed"];
def titles: {
	"proxy-select1": "SELECT 1 at the address of a branch", "proxy-tpcb-1": "TPC-B there, 1 client", "proxy-tpcb-8": "TPC-B there, 8 clients", "proxy-copy-out": "COPY 300 MB from there",
	"tpcb-8": "pgbench TPC-B, 8 clients", "tpcb-1": "pgbench TPC-B, 1 client",
	"select-8": "pgbench -S, 8 clients", "copy": "COPY", "load": "COPY and CHECKPOINT",
	"scan": "cold sequential scan", "alter": "ALTER TABLE (rewrite) on a fresh branch",
	"index": "CREATE INDEX", "vacuum": "VACUUM", "recovery": "crash to first row",
	"fio-read": "8 KiB random read, mean", "fio-write": "8 KiB random write",
	"fio-wal": "8 KiB O_DSYNC write over a WAL segment", "create-p50": "make a branch, p50",
	"create-p99": "make a branch, p99", "delete-p50": "delete a branch, p50",
	"delete-p99": "delete a branch, p99", "first-row": "make a branch, start, first row",
	"reset": "reset a branch", "commit-longest": "longest commit of the parent",
	"space": "space of a branch", "depth-create": "create, by forks above",
	"depth-first-row": "start to first row, by forks above",
	"depth-select": "pgbench -S, by forks above", "snapshot-create": "make a snapshot, p50, by snapshots",
	"snapshots-create": "create, by snapshots on the parent",
	"snapshots-first-row": "start to first row, by snapshots on the parent",
	"snapshots-select": "pgbench -S, by snapshots on the parent",
	"branches-create": "create, by branches", "branches-first-row": "start to first row, by branches",
	"branches-select": "pgbench -S, by branches", "daemon-rss": "memory of the daemon, by branches",
	"base-create": "create, by MiB of the base", "base-first-row": "start to first row, by MiB of the base"
	};
def title: titles[.] // .;
def place: . as $m | (titles | keys_unsorted | index([$m])) // 99;

def machine: if .machine then
	"\(.machine.cpu), \(.machine.cores) cores, \(.machine.memory_mib) MiB, \(.machine.kernel), \(.machine.os); " +
	"\(.machine.disk_fs) below the loop devices; \(.machine.postgres); \(.machine.cowfs) on libfuse " +
	"\(.machine.libfuse), \(.machine.transport). Profile \(.settings.PROFILE): \(.settings.ROUNDS) rounds, " +
	"pgbench scale \(.settings.SCALE), shared_buffers \(.settings.SHARED_BUFFERS), devices of " +
	"\(.settings.DEVICE_MIB) MiB; \(.seconds) s in all. \(.date), commit \(.commit).", ""
	else empty end;

def targets: "## Targets", "", "Ratios of medians; behind them the smallest and largest of a round.", "",
	(["target", "at least / at most", "measured", "of a round", "verdict"] | row, rule),
	(.targets[] | [.text, "\(.op | sign) \(.limit) \(.unit)" + (if .goal then " (goal \(.goal))" else "" end),
	 (if .value == null then "" else "**\(.value | round2)**" end),
	 (if .min == null then "" else "\(.min | round2) … \(.max | round2)" end), .verdict] | row), "";

# One row per (measure, state, x), one column per subject: median (min … max) [command].
def figures: "## Figures", "", "Medians (smallest … largest round); in brackets the number of the command below.", "",
	(.cells as $cells | ($cells | map(.command // empty) | unique) as $commands |
	 ($cells | map(.subject) | unique) as $have | (order | map(select(IN($have[])))) as $subjects |
	 (["", "state", "at", "unit, better"] + $subjects | row, rule),
	 ($cells | map(select(.median != null)) | group_by([(.measure | place), .state, .x])[] | . as $group | .[0] as $f |
	  [($f.measure | title), $f.state, ($f.x // "" | tostring), "\($f.unit), \($f.better)"] +
	  ($subjects | map(. as $s | ($group | map(select(.subject == $s)) | .[0]) as $c |
	   if $c == null then "" else $c.command as $cmd |
	    "\($c.median | round2) (\($c.min | round2) … \($c.max | round2)) [\($commands | index([$cmd]) + 1)]" end)) |
	  row)), "";

def missing: (.cells | map(select(.why))) as $bad | if ($bad | length) == 0 then empty else
	"## Not measured", "", (["question", "subject", "why"] | row, rule),
	($bad[] | [.measure, .subject, .why] | row), "" end;

def commands: "## Commands", "", "Paths begin in the directory of the bench, one folder per file system.", "",
	((.cells | map(.command // empty) | unique) | to_entries[] |
	 "\(.key + 1). `\(.value | gsub("[\n\t ]+"; " "))`");

machine, targets, figures, missing, commands
