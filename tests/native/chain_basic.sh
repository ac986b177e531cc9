#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One chain of three replicas: its head, middle and tail are killed, one after the other, while data
# are written and verified. I/O goes on with the rest, and the one that returns catches up.
# timeout: 240
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

test_of() { "$BIN/flint-fstest" --mgr "$(mgrs)" --key "$D/cluster.key" "$@"; }
three() { up --chunk-servers 3 --replicas 3 --size 512M && remember; }
# The targets of chain 1 that serve, head first, as "1 2 3".
serving() { field '" ".join(str(t["id"]) for t in d["chains"][0]["targets"] if t["state"] == "serving")' chain list; }
serve() { [ "$(serving | wc -w)" = "$1" ]; }
# node_of TARGET: the daemon of `flint up`, which numbers targets as it numbers chunk servers.
node_of() { echo "chunk$1"; }
# place N: the Nth that serves.
place() { node_of "$(serving | cut -d' ' -f"$1")"; }

load_begins() { (test_of --threads=4 --timeout=$BOUND chaos 150 "$W/manifest" > "$W/chaos" 2>&1; echo $? > "$W/chaos.rc") & }
load_goes_on() { [ ! -e "$W/chaos.rc" ] || { cat "$W/chaos"; return 1; }; }
load_ends() { pkill -INT -f "chaos 150 $W/manifest"; until_ok 120 test -e "$W/chaos.rc"; cat "$W/chaos"; [ "$(cat "$W/chaos.rc")" = 0 ]; }

# A write and a read of it, now.
io_works() { echo "$RANDOM" > "$W/small" && test_of --timeout=$BOUND data; }

# lose N: the Nth replica dies, and comes back when the chain has gone on without it.
lose()
{
	local who

	who=$(place "$1")
	say "kill -9 $who"
	stop_hard "$who"
	io_works || return
	until_ok $BOUND serve 2 || return
	start "$who"
	until_ok 60 serve 3 || return
	load_goes_on
}

echo 1..9
ok "three chunk servers, one chain of three" three
ok "all three serve" until_ok 20 serve 3
load_begins
ok "the head is lost and returns" lose 1
ok "the middle is lost and returns" lose 2
ok "the tail is lost and returns" lose 3
ok "everything written was there" load_ends
ok "and is there still" test_of verify "$W/manifest"
ok "the replicas are the same" fl chain compare
ok "no sanitizer has complained" no_sanitizer
done_testing
