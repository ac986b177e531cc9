#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# Leases, sessions and locks with real servers: what is answered from memory, what is never missed,
# what a killed or stopped client may delay, what a restart of the metadata server leaves.
. "$(dirname "$0")/cluster.bash"

up() { "$BIN/flint" up "$D" --no-rdma --listen=127.0.0.1 --base-port=$PORT --size=200M "$@"; }
lt() { timeout 100 "$BIN/flint-leasetest" --mgr "127.0.0.1:$((PORT + 1))" --key "$D/cluster.key" "$@"; }

# [VARIABLE=VALUE...]: the metadata server again, with sessions of three seconds.
meta_again() {
	local p
	p=$(pid meta)
	[ -r "/proc/$p/cmdline" ] && mapfile -d '' -t META_ARGS <"/proc/$p/cmdline"
	kill -9 "$p"
	while kill -0 "$p" 2>/dev/null; do sleep 0.05; done
	[ "${META_ARGS[-1]}" = --lease-ms=3000 ] || META_ARGS+=(--lease-ms=3000)
	env "$@" "${META_ARGS[@]}" >>"$D/log/meta.log" 2>&1 &
	echo $! >"$D/run/meta.pid"
	disown
}

hold() {	# PATH [hold|writer]: a client that holds leases on it; its pid in $holder
	"$BIN/flint-leasetest" --mgr "127.0.0.1:$((PORT + 1))" --key "$D/cluster.key" "${2:-hold}" "$1" \
		>"$W/hold.out" 2>&1 &
	holder=$!
	until_ok 30 grep -q held "$W/hold.out" || { echo "# ${2:-hold} $1: $(cat "$W/hold.out")"; return 1; }
}

tap() {		# NAME COMMAND...: all its "not ok" lines count as one
	local name=$1 rc
	shift
	"$@" >"$W/tap.out" 2>&1
	rc=$?
	grep -E '^(#|not ok)' "$W/tap.out" | sed 's/^not ok/#   failed:/'
	result $rc "$name"
}

echo 1..28
up >"$W/up.out" 2>&1
result $? "a cluster comes up"
meta_again
tap "what is answered without a request" lt cached
tap "file locks" lt locks
tap "a lock of whose fate nothing was heard is nobody's" lt unheard "$(pid meta)"
# A session ends while the metadata server is away, on a loop that goes on.
closes() {
	local p rc
	mkfifo "$W/go.closes"
	lt closed <"$W/go.closes" >"$W/closes.out" 2>&1 &
	p=$!
	exec 5>"$W/go.closes"
	until_ok 30 grep -q held "$W/closes.out" && kill_hard "$(pid meta)" && echo go >&5
	exec 5>&-
	wait $p
	rc=$?
	meta_again
	cat "$W/closes.out"
	return $rc
}
tap "nothing of a session is left on a loop when it is closed" closes
tap "what the server changes by itself" lt own
tap "sizes that a sole writer keeps" lt size
tap "creates by delegation" lt delegate
tap "faults that there were" lt mended "$(pid meta)"
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
	"$BIN/flint-leasetest" --mgr "127.0.0.1:$((PORT + 1))" --key "$D/cluster.key" grow "$1" >"$W/grow.out" 2>&1 &
	holder=$!
	sleep 2.7
	kill -9 "$holder"
	$2
	lt grown "$1" "$(sed '$!d' "$W/grow.out")"
}
tap "a killed writer's file has all that was acknowledged" grows /grow1 true
tap "also when the metadata server is killed with it" grows /grow2 meta_again
holder=
# One that says that its session is over, but not that of its file: as a mount does that was fenced.
leaves() { lt leave "$1" >"$W/grow.out" 2>&1 && lt grown "$1" "$(sed '$!d' "$W/grow.out")"; }
tap "so has that of a writer that ends its session with the file open" leaves /grow3

# Killed while it makes files: what it was told is there stays, and its directory is free soon.
makes() {	# PATH
	"$BIN/flint-leasetest" --mgr "127.0.0.1:$((PORT + 1))" --key "$D/cluster.key" promise "$1" 60 >"$W/makes.out" 2>&1 &
	holder=$!
	until_ok 30 grep -q '^[0-9]' "$W/makes.out" || return 1
	sleep 1
	kill -9 "$holder"
	lt promised "$1" "$(grep -v '^#' "$W/makes.out" | sed '$!d')" && lt fill "$1/more" 1
}
tap "a client that creates by delegation is killed" makes /makes
holder=

# More than one grant of numbers, and the server goes meanwhile.
makes_on() {	# PATH
	lt promise "$1" 8 >"$W/makes.out" 2>&1 &
	local p=$!
	sleep 2
	meta_again
	sleep 3
	meta_again
	wait $p
	local rc=$?
	grep '^#' "$W/makes.out"
	return $rc
}
tap "creates by delegation go on when the metadata server is killed and started" makes_on /makes_on
tap "and stay" lt promised /makes_on "$(grep -v '^#' "$W/makes.out" | sed '$!d')"

lt coherence 8 >"$W/co.out" 2>&1 &
co=$!
for _ in 1 2; do
	sleep 2
	meta_again
done
wait $co
rc=$?
grep '^#' "$W/co.out"
result $rc "nor while the metadata server is killed and started again"

# A metadata server whose disk is nearly full, or (HOW l) so full that it can log nothing, for a while.
owes() {	# HOW
	local how=$1 p rc
	meta_again ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" \
		LD_PRELOAD="$BIN/flint-faultdisk.so" FAULT_TRIGGER="$W/trigger"
	mkfifo "$W/go.$how"
	lt owe "/owe-$how" <"$W/go.$how" >"$W/owe-$how.out" 2>&1 &
	p=$!
	exec 5>"$W/go.$how"
	until_ok 30 grep -q ready "$W/owe-$how.out" && echo "$how" >"$W/trigger" &&
		until_ok 20 says "state is nearly full" fl status && echo go >&5 &&
		until_ok 20 grep -q owed "$W/owe-$how.out" && sleep 3 &&
		{ [ "$how" = n ] || rm "$W/trigger"; } && echo go >&5
	exec 5>&-
	wait $p
	rc=$?
	rm -f "$W/trigger"
	cat "$W/owe-$how.out"
	return $rc
}
tap "a metadata disk that is nearly full loses nothing that was acknowledged" owes n
tap "nor one that is full for a while" owes l
meta_again

# Without a manager a metadata server that has just started knows nobody whom to tell of a session's end.
sessions() { curl -sf -H "Authorization: Bearer $TOKEN" "http://127.0.0.1:$((PORT + 13))/metrics" | sed -n 's/^flint_meta_sessions //p'; }
sessions_are() { [ "$(sessions)" = "$1" ] || { echo "# $(sessions) sessions, not $1"; return 1; }; }
mapless() {
	local cmd rc
	TOKEN=$(fl cluster metrics-token)
	until_ok 60 sessions_are 0 && hold /held4 || return 1
	mapfile -d '' -t cmd <"/proc/$(pid mgr)/cmdline"
	kill_hard "$(pid mgr)"
	meta_again
	kill -9 "$holder"
	until_ok 60 sessions_are 1 && sleep 12 && sessions_are 1
	rc=$?
	"${cmd[@]}" >>"$D/log/mgr.log" 2>&1 &
	echo $! >"$D/run/mgr.pid"
	disown
	[ $rc = 0 ] && until_ok 60 sessions_are 0
}
tap "a session is ended only when there are managers to say who has to know" mapless
holder=

# Two session leases long: what clients said meanwhile is read only when it goes on.
frozen() {
	lt coherence 12 all >"$W/frozen.out" 2>&1 &
	co=$!
	sleep 2
	kill -STOP "$(pid meta)"
	sleep 7
	kill -CONT "$(pid meta)"
	wait $co
	rc=$?
	grep '^#' "$W/frozen.out"
	return $rc
}
tap "a metadata server that stands still for long ends nobody's session" frozen

tap "three hundred sessions" lt sessions 300
"$BIN/flint" down "$D" >>"$W/up.out" 2>&1
result $? "the cluster stops cleanly"
! grep -l 'ERROR: AddressSanitizer\|runtime error' "$D"/log/* "$W"/*.out 2>/dev/null
result $? "no sanitizer has complained"
done_testing
