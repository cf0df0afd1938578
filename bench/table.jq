# SPDX-License-Identifier: Apache-2.0
# table.jq: an aggregated result -> Markdown: the machine, the targets, every cell, every command.
def round2: if . == null then "" elif (. | fabs) >= 100 then (. | round | tostring)
	elif (. | fabs) >= 10 then (. * 10 | round / 10 | tostring) else (. * 1000 | round / 1000 | tostring) end;
def row: "| " + (map(. // "" | tostring | gsub("\\|"; "\\|") | gsub("\n"; " ")) | join(" | ")) + " |";
def sign: if . == ">=" then "≥" else "≤" end;

def machine: if .machine then
	"\(.machine.cpu), \(.machine.cores) cores, \(.machine.memory_mib) MiB, \(.machine.kernel), \(.machine.os); " +
	"disk: \(.machine.disk_fs) below the loop devices; \(.machine.postgres); \(.machine.cowfs) on " +
	"libfuse \(.machine.libfuse), \(.machine.transport). " +
	"Profile \(.settings.PROFILE): \(.settings.ROUNDS) rounds, pgbench scale \(.settings.SCALE), " +
	"shared_buffers \(.settings.SHARED_BUFFERS), \(.seconds) s in all. \(.date), commit \(.commit).", ""
	else empty end;

def targets: "## Targets", "",
	(["target", "limit", "measured", "rounds: min ... max", "verdict"] | row), "|---|---|---|---|---|",
	(.targets[] | [.text, "\(.op | sign) \(.limit) \(.unit)", "**\(.value | round2)**",
	 (if .min == null then "" else "\(.min | round2) ... \(.max | round2)" end), .verdict] | row), "";

def cells: "## Figures", "", "Medians of the rounds. The numbers lead to the commands below.", "",
	(["measure", "state", "subject", "x", "median", "min", "max", "unit", "better", "command"] | row),
	"|---|---|---|---|---|---|---|---|---|---|",
	(. as $top | ($top.cells | map(.command // empty) | unique) as $commands | $top.cells[] |
	 .command as $c |
	 if .median == null then [.measure, .state, .subject, .x, "-", "", "", .why, "", ""] | row
	 else [.measure, .state, .subject, .x, (.median | round2), (.min | round2), (.max | round2), .unit,
	       .better, (if .why then .why else "[\($commands | index($c) + 1)]" end)] | row end), "";

def commands: "## Commands", "",
	((.cells | map(.command // empty) | unique) | to_entries[] | "\(.key + 1). `\(.value | gsub("[\n\t]+"; " "))`");

machine, targets, cells, commands
