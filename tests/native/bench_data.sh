#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# flint bench data with tiny numbers: every work runs, its row is there, nothing stays behind. What
# the figures are is not looked at.
. "$(dirname "$0")/cluster.bash"

row() { # WORK
	python3 - "$W/data.json" "$1" <<'END'
import json, sys
doc = json.load(open(sys.argv[1]))
row = [r for r in doc["rows"] if r["work"] == sys.argv[2]]
bad = not row or any(r["ours"] <= 0 or r["theirs"] <= 0 for r in row)
if not bad and sys.argv[2] != "recovery":
    bad = any(r["p99.9_us"] < r["p50_us"] or r["server_cpu_us_per_op"] <= 0 for r in row)
sys.exit(bad)
END
}

BIN=$(realpath "$BIN")
cd "$W" || exit 1
"$BIN/flint" bench data d --size 16M --rounds 1 --ms 100 --no-sim --out "$W/data.json" >"$W/run.out" 2>&1
result $? "flint bench data runs to its end"
for work in read-1m read-4k write-1m-r1 write-1m-r3 recovery; do
	row $work
	result $? "$work has its rows"
done
! ls "$W"/d/* >/dev/null 2>&1
result $? "nothing stays in its directory"
"$BIN/flint" bench data "$W/d" --size 1 >"$W/bad.out" 2>&1
[ $? = 2 ]
result $? "senseless options are refused"
echo "1..$n"
done_testing
