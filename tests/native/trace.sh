#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# A write's id in the logs of the client, and of the head, the middle and the tail of its chain; what a
# chain's servers count while a target is away and comes back.
set -u
. "$(dirname "$0")/cluster.bash"

PARSE=$ROOT/tests/native/promtext.py

written() { fstest --fs default --verbose data > "$W/client.log" 2>&1 || { cat "$W/client.log"; false; }; }
pick()
{
	ID=$(grep -oE 'answer trace=[0-9a-f]{16} op=write status=OK' "$W/client.log" | tail -n 1 | grep -oE '[0-9a-f]{16}')
	[ -n "$ID" ] || { tail "$W/client.log"; return 1; }
}
lines() { grep -hE "request trace=$ID op=$1 status=OK" "$D"/log/chunk*.log; }
logged()
{
	lines "$1" | tee "$W/lines"
	[ "$(grep -lE "request trace=$ID op=$1 status=OK" "$D"/log/chunk*.log | wc -l)" = "$2" ]
}
# Head waits for the middle, the middle for the tail: each took at least as long as the one behind it.
nested()
{
	local us

	us=$( (lines write; lines forward) | grep -oE 'us=[0-9]+' | cut -d= -f2)
	[ "$(echo "$us" | wc -l)" = 3 ] && [ "$(echo "$us" | head -n 1)" -ge "$(echo "$us" | sort -n | tail -n 1)" ]
}
tailed() { [ "$(fl log tail | grep -c "$ID")" = 3 ]; }
counted()
{
	fl metrics --node "$1" > "$W/m" && "$PARSE" "$W/m" && grep -E "^$2 [1-9]" "$W/m"
}
any_counts() { counted chunk1 "$1" || counted chunk2 "$1" || counted chunk3 "$1"; }
serving() { [ "$(field 'sum(t["state"] == "serving" for t in d["targets"])' target list)" = "$1" ]; }
away() { kill_hard "$(pid chunk3)" && until_ok 30 serving 2 && fstest --fs default data; }
back() { up --chunk-servers 3 --replicas 3; until_ok 30 serving 3; }

echo 1..12
ok "a chain of three" up --chunk-servers 3 --replicas 3
ok "all requests are logged from now on" fl log debug
ok "files are written" written
ok "the client logs its writes' ids" pick
ok "the head logged the write" logged write 1
ok "middle and tail logged its forwards" logged forward 2
ok "times are nested" nested
ok "logs read from afar have it too" tailed
ok "forwards are counted" any_counts 'flint_chunk_requests_total\{op="forward",status="OK"\}'
ok "a server is away" away
ok "and comes back" back
ok "recovery was counted" any_counts 'flint_chunk_target_recovery_sent_bytes_total\{target="[0-9]+"\}'
done_testing
