#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# flint bench meta with tiny numbers: every work runs, its row is there, nothing stays behind. What
# the figures are is not looked at.
. "$(dirname "$0")/cluster.bash"

row() { # JQ-CONDITION
	python3 - "$W/meta.json" "$1" <<'END'
import json, sys
rows = json.load(open(sys.argv[1]))["rows"]
row = [r for r in rows if r["work"] == sys.argv[2]]
sys.exit(not row or any(r["ours"] <= 0 or r["theirs"] <= 0 or r["p99.9_us"] < r["p50_us"] for r in row))
END
}

BIN=$(realpath "$BIN")
cd "$W" || exit 1
"$BIN/flint" bench meta d --files 1000 --big 5000 --rounds 1 --clients 4 --depth 4 \
	--out "$W/meta.json" >"$W/run.out" 2>&1
result $? "flint bench meta runs to its end"
for work in create-r1 create-r1-conns create-r3 lookup-r1 getattr-r1 create-lone stat-leased open-leased create-delegated create-5k lookup-5k readdir-deep; do
	row $work
	result $? "$work has its rows"
done
python3 -c 'import json, sys
row = [r for r in json.load(open(sys.argv[1]))["rows"] if r["work"] == "create-5k"][0]
sys.exit(not (row["server_memory"] and row["disk_bytes_per_file"] and row["server_cpu_us_per_op"]))' \
	"$W/meta.json"
result $? "the server's memory, disk and CPU are there"
! ls "$W"/d/* >/dev/null 2>&1
result $? "nothing stays in its directory"
"$BIN/flint" bench meta "$W/d" --clients 0 >"$W/bad.out" 2>&1
[ $? = 2 ]
result $? "senseless options are refused"
echo "1..$n"
done_testing
