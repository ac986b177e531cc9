#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
#
# The client library against real daemons on this host, over TCP: operations one by one, then random
# ones from several threads while daemons are killed, frozen and started again, then what is left is
# compared once more after everything was killed at once.
. "$(dirname "$0")/cluster.bash"

up() { "$BIN/flint" up "$D" --no-rdma --listen=127.0.0.1 --base-port=$PORT --size=400M --time-scale=2 "$@"; }
fstest() { "$BIN/flint-fstest" --mgr "127.0.0.1:$((PORT + 1))" --key "$D/cluster.key" "$@"; }

# Kill one daemon after the other while $1 lives; now and then freeze one instead.
trouble() {
	local victims=(chunk1 meta chunk2 mgr chunk3 meta) i=0 v
	while kill -0 "$1" 2>/dev/null; do
		v=${victims[$((i % 6))]}
		if [ $((i % 5)) = 4 ]; then
			kill -STOP "$(pid "$v")"; sleep 1.5; kill -CONT "$(pid "$v")"
		else
			kill_hard "$(pid "$v")"
			sleep 0.5
			up >>"$W/up.out" 2>&1
		fi
		i=$((i + 1))
		sleep 1
	done
	echo "# $i times in trouble"
}

echo "1..8"
up >"$W/up.out" 2>&1
result $? "a cluster comes up"
[ $failed = 0 ] || exit 1

fstest meta >"$W/meta.out" 2>&1
result $? "metadata operations"
fstest data >"$W/data.out" 2>&1
result $? "data operations"

fstest --timeout=60 chaos 20 "$W/manifest" >"$W/chaos.out" 2>&1 &
chaos=$!
sleep 1
trouble $chaos
wait $chaos
result $? "random operations while daemons are killed and frozen ($(tail -n 1 "$W/chaos.out" | tr -d '#'))"

fstest verify "$W/manifest" >"$W/verify1.out" 2>&1
result $? "every file is as it was left"

for d in mgr meta chunk1 chunk2 chunk3; do kill_hard "$(pid $d)"; done
sleep 0.3
up >>"$W/up.out" 2>&1
fstest verify "$W/manifest" >"$W/verify2.out" 2>&1
result $? "and still is after kill -9 of everything"

"$BIN/flint" down "$D" >"$W/down.out" 2>&1
result $? "the cluster stops cleanly"
! grep -hE -A 30 "ERROR: (Address|Leak)Sanitizer|runtime error" "$W"/*.out "$D"/log/* | sed 's/^/# /' | grep .
result $? "no sanitizer has complained"
done_testing
