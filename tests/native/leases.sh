#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# Leases, sessions and locks with real servers: what is answered from memory, what is never missed,
# what a killed or stopped client may delay, what a restart of the metadata server leaves.
set -u

: "${BIN:=build/bin}"
DIR=$(mktemp -d /tmp/flint-leases.XXXXXX)
BASE=$((30000 + (RANDOM % 900) * 10))
nr=0 failed=0

up() { "$BIN/flint" up "$DIR/c" --no-rdma --listen=127.0.0.1 --base-port=$BASE --size=200M "$@"; }
pid() { cat "$DIR/c/run/$1.pid" 2>/dev/null; }
lt() { timeout 100 "$BIN/flint-leasetest" --mgr "127.0.0.1:$((BASE + 1))" --key "$DIR/c/cluster.key" "$@"; }

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
	local d
	[ -n "${holder:-}" ] && kill -9 "$holder" 2>/dev/null
	for d in $(ls "$DIR/c/run" 2>/dev/null | sed -n 's/\.pid$//p'); do
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

# The metadata server again, with sessions of three seconds.
meta_again() {
	local p
	p=$(pid meta)
	[ -r "/proc/$p/cmdline" ] && mapfile -d '' -t META_ARGS <"/proc/$p/cmdline"
	kill -9 "$p"
	while kill -0 "$p" 2>/dev/null; do sleep 0.05; done
	[ "${META_ARGS[-1]}" = --lease-ms=3000 ] || META_ARGS+=(--lease-ms=3000)
	"${META_ARGS[@]}" >>"$DIR/c/log/meta.log" 2>&1 &
	echo $! >"$DIR/c/run/meta.pid"
	disown
}

hold() {	# PATH [hold|writer]: a client that holds leases on it; its pid in $holder
	"$BIN/flint-leasetest" --mgr "127.0.0.1:$((BASE + 1))" --key "$DIR/c/cluster.key" "${2:-hold}" "$1" \
		>"$DIR/hold.out" 2>&1 &
	holder=$!
	for _ in $(seq 100); do
		grep -q held "$DIR/hold.out" && return 0
		sleep 0.1
	done
	return 1
}

tap() {		# NAME COMMAND...: all its "not ok" lines count as one
	local name=$1 rc
	shift
	"$@" >"$DIR/tap.out" 2>&1
	rc=$?
	grep -E '^(#|not ok)' "$DIR/tap.out" | sed 's/^not ok/#   failed:/'
	result $rc "$name"
}

echo 1..16
up >"$DIR/up.out" 2>&1
result $? "a cluster comes up"
meta_again
tap "what is answered without a request" lt cached
tap "file locks" lt locks
tap "what the server changes by itself" lt own
tap "sizes that a sole writer keeps" lt size
tap "changes are never missed" lt coherence 3

hold /held1
kill -9 "$holder"
tap "a killed holder delays others by its session lease at most" lt change /held1 4500
hold /held2
kill -STOP "$holder"
tap "and so does a stopped one" lt change /held2 4500
kill -CONT "$holder"; kill -9 "$holder"
hold /held3 writer
kill -STOP "$holder"
tap "a stopped writer, too" lt change /held3 4500
kill -CONT "$holder"
wait "$holder"
result $? "whose late write is refused when it goes on"
holder=

# A writer that is killed: all that it was told is there, whether or not it had told the size. AND: then
grows() {	# PATH AND
	"$BIN/flint-leasetest" --mgr "127.0.0.1:$((BASE + 1))" --key "$DIR/c/cluster.key" grow "$1" >"$DIR/grow.out" 2>&1 &
	holder=$!
	sleep 2.7
	kill -9 "$holder"
	$2
	lt grown "$1" "$(sed '$!d' "$DIR/grow.out")"
}
tap "a killed writer's file has all that was acknowledged" grows /grow1 true
tap "also when the metadata server is killed with it" grows /grow2 meta_again
holder=

lt coherence 8 >"$DIR/co.out" 2>&1 &
co=$!
for _ in 1 2; do
	sleep 2
	meta_again
done
wait $co
rc=$?
grep '^#' "$DIR/co.out"
result $rc "nor while the metadata server is killed and started again"

tap "three hundred sessions" lt sessions 300
"$BIN/flint" down "$DIR/c" >>"$DIR/up.out" 2>&1
result $? "the cluster stops cleanly"
! grep -l 'ERROR: AddressSanitizer\|runtime error' "$DIR"/c/log/* "$DIR"/*.out 2>/dev/null
result $? "no sanitizer has complained"
exit $failed
