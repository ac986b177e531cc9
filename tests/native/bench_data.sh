#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# flint bench data with tiny numbers: every work runs, its row is there, nothing stays behind. What
# the figures are is not looked at.
set -u
: "${BIN:=build/bin}"
DIR=$(mktemp -d /var/tmp/flint-bench-data.XXXXXX)
nr=0 failed=0

result() { # STATUS NAME
	nr=$((nr + 1))
	if [ "$1" = 0 ]; then
		echo "ok $nr - $2"
	else
		echo "not ok $nr - $2"
		failed=1
	fi
}

finish() {
	for f in "$DIR"/d/cluster-*/run/*.pid; do
		[ -e "$f" ] && kill -9 "$(cat "$f")" 2>/dev/null
	done
	[ $failed = 0 ] || tail -n 15 "$DIR"/*.out "$DIR"/d/cluster-*/log/* 2>/dev/null | sed 's/^/# /'
	rm -rf "$DIR"
}
trap finish EXIT

row() { # WORK
	python3 - "$DIR/data.json" "$1" <<'END'
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
cd "$DIR" || exit 1
"$BIN/flint" bench data d --size 16M --rounds 1 --ms 100 --no-sim --out "$DIR/data.json" >"$DIR/run.out" 2>&1
result $? "flint bench data runs to its end"
for work in read-1m read-4k write-1m-r1 write-1m-r3 recovery; do
	row $work
	result $? "$work has its rows"
done
! ls "$DIR"/d/* >/dev/null 2>&1
result $? "nothing stays in its directory"
"$BIN/flint" bench data "$DIR/d" --size 1 >"$DIR/bad.out" 2>&1
[ $? = 2 ]
result $? "senseless options are refused"
echo "1..$nr"
exit $failed
