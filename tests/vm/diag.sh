#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a mount tells of itself: flint client stat, top, inflight, events, trace, abort; mountstats.
# timeout: 300
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

FLINT=$B/bin/flint
LIMIT=30

counts_are_told()
{
	local stat

	dd if=/dev/zero of=$MNT/f bs=64k count=20 oflag=direct status=none || return 1
	stat=$("$FLINT" client stat --json $MNT) || return 1
	jq -e '.[0] | .state == "live" and .counters.write_ops >= 20 and
		(.operations[] | select(.operation == "write") | .count >= 20 and .p99_us > 0 and
		 (.buckets | add) == .count) and
		([.peers[] | select(.role == "chunk") | .operations[] | select(.operation == "write") |
		 .count] | add) >= 20' <<< "$stat" > /dev/null || { echo "# $stat"; return 1; }
	"$FLINT" client stat | grep -q '^    write  '
}

mountstats_has_latencies()
{
	grep -A99 'fstype flintfs statvers=2' /proc/self/mountstats |
		grep -qE '^	write: count=[1-9][0-9]* failed=0 total_us=[0-9]+ p50_us=[0-9]+ p99_us=[0-9]+$'
}

top_shows_rates()
{
	local out

	(while [ -e /tmp/busy ]; do dd if=/dev/zero of=$MNT/f bs=4k count=50 oflag=direct status=none; done) &
	out=$("$FLINT" client top --interval 1 --count 2 --json $MNT) || return 1
	rm -f /tmp/busy
	wait $!
	[ "$(wc -l <<< "$out")" = 2 ] && tail -1 <<< "$out" |
		jq -e '.[0] | .write_bytes_per_second > 0 and
		       (.operations[] | select(.operation == "write") | .per_second > 0)' > /dev/null
}

trace_shows_requests()
{
	timeout $LIMIT "$FLINT" client trace --count 5 --only req_send,req_end > /tmp/trace & local pid=$!
	for _ in $(seq 20); do
		touch $MNT/t
		rm $MNT/t
		kill -0 $pid 2>/dev/null || break
		sleep 0.5
	done
	wait $pid && [ "$(wc -l < /tmp/trace)" = 5 ] && grep -q 'flint_req_send: conn=' /tmp/trace
}

# A terminal that is closed: the instance of tracefs, which costs every request something, goes, too.
trace_leaves_nothing()
{
	local pid dir

	"$FLINT" client trace > /tmp/trace & pid=$!
	dir=/sys/kernel/tracing/instances/flint-$pid
	for _ in $(seq 600); do
		[ "$(cat $dir/events/flintfs/enable 2> /dev/null)" = 1 ] && break
		sleep 0.1
	done
	[ -e $dir ] || return 1
	for _ in $(seq 600); do
		kill -HUP $pid 2> /dev/null || break
		sleep 0.1
	done
	wait $pid && [ ! -e $dir ]
}

# A request to a frozen server: seen, ended by hand with EIO, and the mount goes on.
abort_ends_what_is_seen()
{
	local pid status=0 server

	dd if=/dev/zero of=$MNT/g bs=4k count=1 oflag=direct status=none || return 1
	pkill -STOP -x flint-chunkd
	dd if=/dev/zero of=$MNT/g bs=4k count=1 oflag=direct conv=notrunc status=none 2> /tmp/dd.err & pid=$!
	for _ in $(seq 50); do
		"$FLINT" client inflight --json $MNT > /tmp/inflight || break
		jq -e 'any(.[]; .op == "write")' /tmp/inflight > /dev/null && break
		sleep 0.1
	done
	jq -e --argjson pid $pid 'any(.[]; .op == "write" and .pid == $pid and .age_ms >= 0 and
		.left_ms > 0 and .attempts == 1)' /tmp/inflight > /dev/null ||
		{ sed 's/^/# /' /tmp/inflight; status=1; }
	server=$(jq -r '[.[] | select(.op == "write")][0].peer' /tmp/inflight)
	"$FLINT" client abort $MNT "$server" || status=1
	timeout $LIMIT tail --pid=$pid -f /dev/null || { echo "# the writer still waits"; status=1; }
	pkill -CONT -x flint-chunkd
	wait $pid && status=1
	grep -q 'Input/output error' /tmp/dd.err || { sed 's/^/# /' /tmp/dd.err; status=1; }
	dmesg | grep -q 'were aborted by hand' || status=1
	timeout $LIMIT dd if=/dev/zero of=$MNT/g bs=4k count=1 oflag=direct status=none || status=1
	return $status
}

# A hard mount waits for its metadata server for ever; aborting everything ends that.
abort_ends_a_call_that_retries()
{
	local pid status=0

	pkill -9 -x flint-metad
	mkdir $MNT/new 2> /tmp/mkdir.err & pid=$!	# one system call, unlike touch
	for _ in $(seq 200); do
		"$FLINT" client inflight --json $MNT > /tmp/inflight
		jq -e --argjson pid $pid 'any(.[]; .pid == $pid)' /tmp/inflight > /dev/null && break
		sleep 0.1
	done
	jq -e --argjson pid $pid 'any(.[]; .pid == $pid)' /tmp/inflight > /dev/null ||
		{ sed 's/^/# /' /tmp/inflight; status=1; }
	"$FLINT" client abort $MNT || status=1
	timeout $LIMIT tail --pid=$pid -f /dev/null || { kill -9 $pid; status=1; }
	wait $pid && status=1
	grep -q 'Input/output error' /tmp/mkdir.err || { sed 's/^/# /' /tmp/mkdir.err; status=1; }
	cluster_start
	timeout $LIMIT mkdir $MNT/later || status=1
	return $status
}

events_were_told()
{
	sleep 1
	kill $EVENTS
	for e in peer-down peer-up aborted write-error; do
		grep -q "\"event\":\"$e\"" /tmp/events || { echo "# no $e"; sed 's/^/# /' /tmp/events; return 1; }
	done
}

refuses_what_is_not_there()
{
	! "$FLINT" client abort $MNT 192.0.2.1:1 2> /tmp/err && grep -q "has no server '192.0.2.1:1'" /tmp/err &&
	! "$FLINT" client stat 9-9 2> /tmp/err && grep -q "there is no mount '9-9'" /tmp/err
}

cluster_start
mount_flint
"$FLINT" client events --json > /tmp/events & EVENTS=$!
touch /tmp/busy
ok "flint client stat counts operations, of the mount and of each server" counts_are_told
ok "/proc/self/mountstats has counters and latencies" mountstats_has_latencies
ok "flint client top shows rates" top_shows_rates
if [ -d /sys/kernel/tracing/instances ] && [ -d /sys/kernel/debug/flintfs ]; then
	ok "flint client trace shows requests" trace_shows_requests
	ok "a terminal that is closed ends it wholly" trace_leaves_nothing
	ok "flint client inflight shows a request to a frozen server, abort ends it with EIO" \
		abort_ends_what_is_seen
	ok "flint client abort ends a call that tries for ever" abort_ends_a_call_that_retries
	ok "flint client events told of all this" events_were_told
else
	skip "flint client trace, inflight, abort" "no tracefs and debugfs in this kernel"
fi
ok "what is not there is said not to be there" refuses_what_is_not_there
done_testing
