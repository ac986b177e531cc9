#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Several event loops in each chunk server, chains that cross each other: what one loop takes in is
# another one's, and connections between servers are a third one's. Servers are killed meanwhile.
# timeout: 150
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

test_of() { "$BIN/flint-fstest" --mgr "$(mgrs)" --key "$D/cluster.key" "$@"; }
three()
{
	local i

	up --chunk-servers 3 --replicas 3 --targets 3 && remember || return
	for i in 1 2 3; do echo "--threads=3" >> "$W/cmd.chunk$i"; done
	killed chunk1 chunk2 chunk3
	until_ok $BOUND healthy
}
load_begins() { (test_of --threads=4 --timeout=$BOUND chaos 25 "$W/manifest" > "$W/chaos" 2>&1; echo $? > "$W/chaos.rc") & }
load_ends() { until_ok 60 test -e "$W/chaos.rc"; cat "$W/chaos"; [ "$(cat "$W/chaos.rc")" = 0 ]; }
servers_die() { sleep 5; killed chunk2; sleep 9; killed_for 3 chunk1; }

echo 1..6
ok "three chunk servers with three loops, three chains of three" three
load_begins
ok "servers are killed" servers_die
ok "everything written was there" load_ends
ok "the cluster is well again" until_ok $BOUND healthy
ok "the replicas are the same" fl chain compare
ok "no sanitizer has complained" no_sanitizer
done_testing
