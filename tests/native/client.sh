#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
#
# The client library against real daemons on this host, over TCP: operations one by one, then random
# ones from several threads while daemons are killed, frozen and started again, then what is left is
# compared once more after everything was killed at once.
set -u

: "${BIN:=build/bin}"
DIR=$(mktemp -d /tmp/flint-client.XXXXXX)
BASE=$((20000 + (RANDOM % 900) * 10))
nr=0 failed=0

up() { "$BIN/flint" up "$DIR/c" --no-rdma --listen=127.0.0.1 --base-port=$BASE --size=400M --time-scale=2 "$@"; }
pid() { cat "$DIR/c/run/$1.pid" 2>/dev/null; }
fstest() { "$BIN/flint-fstest" --mgr "127.0.0.1:$((BASE + 1))" --key "$DIR/c/cluster.key" "$@"; }

result() {	# STATUS NAME
	nr=$((nr + 1))
	if [ "$1" = 0 ]; then
		echo "ok $nr - $2"
	else
		echo "not ok $nr - $2"
		failed=1
	fi
}

finish() {
	for d in $(ls "$DIR/c/run" 2>/dev/null | sed -n 's/\.pid$//p'); do
		kill -CONT "$(pid "$d")" 2>/dev/null
		kill -9 "$(pid "$d")" 2>/dev/null
	done
	if [ $failed = 1 ]; then
		for f in "$DIR"/*.out "$DIR"/c/log/*; do
			echo "# == $f"
			tail -n 15 "$f" | sed 's/^/# /'
		done
	fi
	rm -rf "$DIR"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Kill one daemon after the other while $1 lives; now and then freeze one instead.
trouble() {
	local victims=(chunk1 meta chunk2 mgr chunk3 meta) i=0 v
	while kill -0 "$1" 2>/dev/null; do
		v=${victims[$((i % 6))]}
		if [ $((i % 5)) = 4 ]; then
			kill -STOP "$(pid "$v")"; sleep 1.5; kill -CONT "$(pid "$v")"
		else
			kill -9 "$(pid "$v")"
			sleep 0.5
			up >>"$DIR/up.out" 2>&1
		fi
		i=$((i + 1))
		sleep 1
	done
	echo "# $i times in trouble"
}

echo "1..8"
up >"$DIR/up.out" 2>&1
result $? "a cluster comes up"
[ $failed = 0 ] || exit 1

fstest meta >"$DIR/meta.out" 2>&1
result $? "metadata operations"
fstest data >"$DIR/data.out" 2>&1
result $? "data operations"

fstest --timeout=60 chaos 20 "$DIR/manifest" >"$DIR/chaos.out" 2>&1 &
chaos=$!
sleep 1
trouble $chaos
wait $chaos
result $? "random operations while daemons are killed and frozen ($(tail -n 1 "$DIR/chaos.out" | tr -d '#'))"

fstest verify "$DIR/manifest" >"$DIR/verify1.out" 2>&1
result $? "every file is as it was left"

for d in mgr meta chunk1 chunk2 chunk3; do kill -9 "$(pid $d)"; done
sleep 0.3
up >>"$DIR/up.out" 2>&1
fstest verify "$DIR/manifest" >"$DIR/verify2.out" 2>&1
result $? "and still is after kill -9 of everything"

"$BIN/flint" down "$DIR/c" >"$DIR/down.out" 2>&1
result $? "the cluster stops cleanly"
! grep -hE -A 30 "ERROR: (Address|Leak)Sanitizer|runtime error" "$DIR"/*.out "$DIR"/c/log/* | sed 's/^/# /' | grep .
result $? "no sanitizer has complained"
exit $failed
