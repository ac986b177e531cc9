#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A target of one cluster in a server of another: it is left out in words, the server's own one is there.
# timeout: 90
set -u

. "$(dirname "$0")/cluster.bash"

target() { echo "$D/chunk1/target"; }
down() { "$BIN/flint" down "$D"; }
move() { cp --sparse=always "$(target)" "$W/foreign" && rm -rf "$D"; }
visitor() {
	"$BIN/flint-chunkd" --format "$W/own" --id 77 --size 64M && mkdir -m 700 "$W/state" || return 1
	"$BIN/flint-chunkd" --mgr "$(mgrs)" --key "$D/cluster.key" --state "$W/state" --name visitor \
		--listen 127.0.0.1 --tcp-port $((PORT + 400)) --metrics 0 --rdma-port 0 --target "$W/foreign" --target "$W/own" \
		> "$W/visitor" 2>&1 &
	echo $! > "$W/visitor.pid"
}
said() { grep "belongs to another cluster" "$W/visitor" || { cat "$W/visitor"; return 1; }; }
known() { json "any(t['id'] == $1 for t in d['targets'])" map; }
foreign_known() { json "any(t['id'] == 1 and t['node'] == n['id'] for t in d['targets'] for n in d['nodes'] if n['name'] == 'visitor')" map; }

echo 1..8
ok "a cluster" up
ok "ends" down
ok "and leaves a target" move
ok "another cluster" up
ok "a server with the target and one of its own joins" visitor
ok "what is foreign is said" until_ok 20 said
ok "its own target is known" until_ok 20 known 77
ok "the foreign one is not" not foreign_known
kill "$(cat "$W/visitor.pid")"
wait
done_testing
