#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The data path's simulator runs, repeats itself, and says what it should in JSON.
. "$(dirname "$0")/cluster.bash"
echo 1..5

# Each run deals the chains of 180 servers first, which takes long with sanitizers.
sim() { "$BIN/flint-datasim" --run-ms 2 --clients 60 --json "$@"; }
row()
{
	sim "${@:2}" | tee "$W/row" |
		python3 -c "import json,sys; r=json.load(sys.stdin)['rows'][0]; sys.exit(not ($1))"
}

again() { diff <(grep -v took_s "$W/row") <(sim --only sim-180-read-1m | grep -v took_s); }

ok "reads stay below what the links carry" row '0 < r["share"] < 1 and r["bytes"] == 1 << 20' \
	--only sim-180-read-1m
ok "the same again" again
ok "small requests" row 'r["bytes"] == 1 << 17 and r["p50_us"] <= r["p99_us"]' --only sim-180-read-128k
ok "a server less" row 'r["servers"] == 179 and r["rebuild"]["replace_s"] > r["rebuild"]["spread_s"] > 0' \
	--only sim-180-nodelost
ok "an unknown work is refused" says "there is no work" sim --only sim-none
done_testing
