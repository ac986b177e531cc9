#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel client on chains of three: chunk servers are killed, frozen longer than their lease, killed
# all at once, while verified I/O runs. It goes on within two leases, nothing that was acknowledged is
# lost, the chains heal by themselves; and the wall clock may jump.
# uml: too
# timeout: 900
DATA_MIB=1024
TARGET_SIZE=128M
. "$(dirname "$0")/lib/cluster.sh"

LIMIT=90	# seconds: two leases of an emulated machine, and what emulation adds

fl() { "$B/bin/flint" "$@" --dir $STATE; }
pid() { cat "$STATE/run/$1.pid"; }

load_start()
{
	fio --name=load --filename=$MNT/load --rw=randrw --bs=4k-128k --size=24m --direct=1 --ioengine=psync \
		--verify=crc32c --verify_fatal=1 --verify_backlog=64 --time_based --runtime=600 > /tmp/load.log 2>&1 &
	LOAD=$!
	"$B/vm/randio" $MNT/r0 100000 4 > /tmp/randio.log 2>&1 &
	RANDIO=$!
	sleep 3
	kill -0 $LOAD $RANDIO
}
# Both still run: neither has seen wrong data or an error.
load_well()
{
	kill -0 $LOAD $RANDIO && return
	tail -n 20 /tmp/load.log /tmp/randio.log | sed 's/^/# /'
	return 1
}
# Every chain is written and read within the limit: a file of several stripes.
goes_on()
{
	local begin=$SECONDS

	timeout $LIMIT dd if=/dev/urandom of=$MNT/on bs=256k count=24 oflag=direct conv=notrunc status=none &&
		timeout $LIMIT dd if=$MNT/on of=/dev/null bs=256k iflag=direct status=none || return 1
	echo "# 6 MiB written and read after $((SECONDS - begin)) s"
	load_well
}
one_is_killed() { kill -9 "$(pid chunk1)"; goes_on; }
one_is_frozen()
{
	kill -STOP "$(pid chunk2)"
	goes_on
	local status=$?
	sleep 20
	kill -CONT "$(pid chunk2)"
	load_well && goes_on && return $status
}
all_are_killed() { pkill -9 -x flint-chunkd; sleep 1; cluster_heals && goes_on; }
# Protocol times are not of the wall clock.
clock_jumps()
{
	local before

	before=$(fl history | grep -c 'silent')
	date -s '+2 days' > /dev/null
	goes_on || return 1
	date -s '-3 days' > /dev/null
	goes_on || return 1
	date -s '+1 day' > /dev/null
	[ "$(fl history | grep -c 'silent')" = "$before" ]
}
load_stop()
{
	load_well
	local status=$?
	kill -INT $LOAD
	kill $RANDIO
	wait $LOAD $RANDIO 2> /dev/null
	grep -i 'verify' /tmp/load.log | grep -i 'bad\|fail' | sed 's/^/# /'
	! grep -qi 'verify.*\(bad\|fail\)' /tmp/load.log && return $status
}
# The client finds what one disk has spoilt, and the server repairs it when it is asked again.
spoilt_is_repaired()
{
	local text="what one disk spoils, 32 bytes." target i n=0

	yes "$text" | head -c 1M > /tmp/spoilt
	dd if=/tmp/spoilt of=$MNT/spoilt bs=256k oflag=direct status=none || return 1
	for target in $STATE/chunk1/target*; do
		n=$((n + $("$FLINT_ROOT/tests/native/spoil.py" $target match "$text")))
	done
	for i in 1 2 3 4 5 6 7 8; do
		dd if=$MNT/spoilt bs=128k iflag=direct status=none | cmp - /tmp/spoilt || return 1
	done
	echo "# $n blocks spoilt, $(counter crc_errors) answers damaged," \
		"$(fl scrub status --json | jq '[.targets[].repaired] | add') pieces repaired"
	[ $n -gt 0 ] && [ "$(counter crc_errors)" -gt 0 ] &&
		[ "$(fl scrub status --json | jq '[.targets[].repaired] | add')" -gt 0 ]
}
alike() { fl chain compare > /tmp/compare || { sed 's/^/# /' /tmp/compare; return 1; }; }

cluster_start --chunk-servers 3 --targets 2 --replicas 3
mount_flint
ok "verified I/O runs" load_start
ok "a chunk server is killed: I/O goes on" one_is_killed
ok "the chains heal" cluster_heals
ok "a chunk server is frozen: I/O goes on" one_is_frozen
ok "the chains heal" cluster_heals
ok "the clock jumps by days: nobody notices" clock_jumps
ok "all chunk servers are killed at once and come back" all_are_killed
ok "nothing was wrong with the data" load_stop
ok "all replicas are alike" alike
ok "what a disk has spoilt is read from another replica and repaired" spoilt_is_repaired
done_testing
