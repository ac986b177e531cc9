#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What waits for silent servers keeps nobody else: a thousand pieces of direct writes leave the session
# its turn, and a write whose data is a map of another file does not wait under the inode's lock.
# timeout: 400
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

STALL=60
WRITERS=20	# of 64 pieces each
GONE=10		# seconds within which a killed task is

session_epoch() { cat /sys/fs/flintfs/*/session_epoch; }

session_lasts()
{
	local epoch pids=() pid i status=0

	exec 8<> $MNT/locked && flock 8 || return 1
	epoch=$(session_epoch)
	pkill -STOP -x flint-chunkd
	echo dirty > $MNT/dirty || return 1
	for ((i = 0; i < WRITERS; i++)); do
		dd if=/dev/zero of=$MNT/big$i bs=4M count=1 oflag=direct status=none & pids+=($!)
	done
	sleep $STALL
	[ "$(session_epoch)" = "$epoch" ] || { echo "# the session was lost"; status=1; }
	pkill -CONT -x flint-chunkd
	for pid in "${pids[@]}"; do
		wait "$pid" || { echo "# process $pid failed"; status=1; }
	done
	[ "$(session_epoch)" = "$epoch" ] || status=1
	sync $MNT/dirty && echo dirty | cmp - $MNT/dirty || status=1
	exec 8<&-
	return $status
}

# The second mount has the source open, so that a fault asks for its end.
map_is_written()
{
	local x=$MNT/to y=$MNT/from pid victim status=0

	head -c 8192 /dev/urandom > $y && head -c 8192 /dev/urandom > $x && sync $x $y || return 1
	mount_flint writeback /mnt/second
	exec 8<> /mnt/second/from || return 1
	rm -f /tmp/ready /tmp/go
	python3 -c 'import mmap, os, sys, time
x = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(os.open(sys.argv[2], os.O_RDONLY), 4096, mmap.MAP_SHARED, mmap.PROT_READ)
os.pwrite(x, b"x", 0)
open("/tmp/ready", "w")
while not os.path.exists("/tmp/go"):
    time.sleep(0.1)
sys.exit(os.pwrite(x, m, 0) != 4096)' $x $y & pid=$!
	for ((i = 0; i < 100; i++)); do [ -e /tmp/ready ] && break; sleep 0.2; done
	pkill -STOP -x flint-metad
	touch /tmp/go
	sleep 2
	chmod 0600 $x & victim=$!
	sleep 1
	kill -9 $victim 2> /dev/null
	timeout $GONE tail --pid=$victim -f /dev/null || { echo "# chmod was not killed"; status=1; }
	pkill -CONT -x flint-metad
	wait $pid || { echo "# the write failed"; status=1; }
	cmp -n 4096 $x $y || status=1
	exec 8<&-
	umount_flint /mnt/second
	return $status
}

cluster_start
mount_flint max_io=65536
ok "the session lasts while a thousand pieces wait for a chunk server" session_lasts
ok "a write from a map of another file waits for servers without the inode's lock" map_is_written
done_testing
