# SPDX-License-Identifier: Apache-2.0
# aggregate.jq: samples -> cells (median, min, max of the rounds) and targets (ratios of medians).
#   input: {samples: [...], ...}; $targets: bench/targets.json
def median: sort | length as $n |
	if $n == 0 then null elif $n % 2 == 1 then .[($n - 1) / 2]
	else (.[$n / 2 - 1] + .[$n / 2]) / 2 end;

def cells: group_by([.measure, .state, .subject, .x]) | map(
	(map(select(.value != null)) | sort_by(.round)) as $good |
	.[0] as $first | ($good[0] // $first) as $any |
	{measure: $first.measure, state: $first.state, subject: $first.subject, x: $first.x,
	 unit: $any.unit, better: $any.better, command: $any.command,
	 rounds: ($good | map(.value)), median: ($good | map(.value) | median),
	 min: ($good | map(.value) | min), max: ($good | map(.value) | max),
	 why: (map(select(.why)) | .[0].why)});

# The cell that a target or its `against` means; x: "max" and "min" are the ends of the axis.
def find($cells; $want): $cells | map(select(.measure == $want.measure and .state == $want.state and
	.subject == $want.subject and .median != null)) | sort_by(.x) |
	if $want.x == "max" then .[-1] elif $want.x == "min" then .[0] else .[0] end;

# "speed": both are times or both are rates, and the figure is (rate or time) turned around.
def figure($kind; $a; $b): if $kind == "difference" then $a - $b
	elif $kind == "speed" then $b / $a else $a / $b end;

# Figures of each round, as far as both have the round: how sure is the ratio?
def by_round($kind; $a; $b): [range(0; [$a.rounds, $b.rounds] | map(length) | min)
	| figure($kind; $a.rounds[.]; $b.rounds[.])];

def judge($cells): . as $t | find($cells; $t) as $a |
	(if $t.against then find($cells; $t + $t.against) else null end) as $b |
	(if $a == null or ($t.against and $b == null) then null
	 elif $t.against then figure($t.kind; $a.median; $b.median) else $a.median end) as $value |
	(if $value == null then [] elif $t.against then by_round($t.kind; $a; $b)
	 else $a.rounds end) as $rounds |
	{text: $t.text, op: $t.op, limit: $t.limit, goal: $t.goal, unit: ($t.unit // "×"), value: $value,
	 min: ($rounds | min), max: ($rounds | max),
	 verdict: (if $value == null then "not measured"
	           elif ($t.op == ">=" and $value >= $t.limit) or ($t.op == "<=" and $value <= $t.limit)
	           then "passed" else "missed" end)};

(.samples | cells) as $cells |
del(.samples) + {targets: ($targets | map(judge($cells))), cells: $cells}
