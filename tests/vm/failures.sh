#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Servers killed or frozen in the middle of I/O, umount -f, kill -9 of the
# process doing I/O, rmmod under load: nothing hangs, nothing is lost.
# uml: too
# timeout: 900
. "$(dirname "$0")/lib/cluster.sh"

BIG=$MNT/big
LIMIT=30	# seconds within which anything must end

load_start()
{
	fio --name=load --filename=$BIG --rw=randwrite --bs=64k --size=32m --direct=1 --ioengine=io_uring \
		--iodepth=8 --time_based --runtime=600 > /tmp/load.log 2>&1 &
	LOAD=$!
	sleep 3
	kill -0 $LOAD 2>/dev/null
}

load_end() { kill -9 $LOAD 2>/dev/null; timeout $LIMIT tail --pid=$LOAD -f /dev/null; }

process_can_be_killed()
{
	load_start && load_end
}

# A write loop that logs each block once it was acknowledged.
logged_writer()
{
	local i

	for ((i = 0; i < 2000; i++)); do
		printf '%04096d' "$i" > /tmp/block
		dd if=/tmp/block of=$MNT/logged bs=4096 seek=$i conv=notrunc oflag=direct status=none \
			2>/dev/null || break
		echo "$i" >> /tmp/logged
	done
}

acknowledged_writes_survive_kill()
{
	local pid i n=0

	rm -f /tmp/logged
	logged_writer & pid=$!
	sleep 6
	cluster_kill
	sleep 1
	cluster_start
	sleep 3
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	[ -s /tmp/logged ] || { echo "# nothing was logged"; return 1; }
	while read -r i; do
		dd if=$MNT/logged bs=4096 skip="$i" count=1 iflag=direct status=none > /tmp/got || return 1
		printf '%04096d' "$i" | cmp -s - /tmp/got || { echo "# block $i is lost"; return 1; }
		n=$((n + 1))
	done < /tmp/logged
	echo "# $n acknowledged blocks verified"
}

# Synchronous I/O waits for a server that comes back.
io_continues_after_restart()
{
	local pid

	dd if=/dev/zero of=$MNT/cont bs=64k count=200 oflag=direct status=none & pid=$!
	sleep 0.5
	pkill -9 -x flint-chunkd
	sleep 2
	cluster_start
	timeout 60 tail --pid=$pid -f /dev/null
	wait $pid || return 1
	[ "$(stat -c %s $MNT/cont)" = $((200 * 65536)) ]
}

frozen_server_does_not_block_kill()
{
	load_start || return 1
	pkill -STOP -x flint-chunkd
	sleep 2
	load_end
	local status=$?
	pkill -CONT -x flint-chunkd
	sleep 1
	return $status
}

frozen_metadata_server_does_not_block_kill()
{
	local pid status

	pkill -STOP -x flint-metad
	(echo 2 > /proc/sys/vm/drop_caches; exec ls -lR $MNT > /dev/null 2>&1) & pid=$!
	sleep 2
	kill -9 $pid 2>/dev/null
	timeout $LIMIT tail --pid=$pid -f /dev/null
	status=$?
	pkill -CONT -x flint-metad
	sleep 1
	return $status
}

# Who waits for a lock cannot be killed, and more than 30 seconds of it end the guest. Delegated
# calls would not wait.
frozen_metadata_server_holds_no_lock()
{
	local asking=/mnt/asking status

	mount_flint nodelegate $asking
	mkdir $asking/stall || return 1
	timeout 400 "$B/vm/stall" $asking/stall 45 100 $(pgrep -x flint-metad)
	status=$?
	pkill -CONT -x flint-metad
	umount_flint $asking
	return $status
}

async_io_ends_without_server()
{
	timeout 60 fio --name=a --filename=$BIG --rw=randread --bs=16k --size=16m --direct=1 \
		--ioengine=io_uring --iodepth=8 --runtime=3 --time_based > /tmp/fio.log 2>&1 &
	local pid=$!
	sleep 4.5
	pkill -9 -x flint-chunkd
	timeout 60 tail --pid=$pid -f /dev/null
}

forced_umount_ends_io()
{
	load_start || return 1
	pkill -STOP -x 'flint-chunkd|flint-metad|flint-mgrd'
	timeout $LIMIT umount -f $MNT 2>/dev/null
	timeout $LIMIT tail --pid=$LOAD -f /dev/null || { kill -9 $LOAD; return 1; }
	timeout $LIMIT umount $MNT 2>/dev/null || ! mountpoint -q $MNT
	local status=$?
	pkill -CONT -x 'flint-chunkd|flint-metad|flint-mgrd'
	return $status
}

mount_is_gone() { ! compgen -G '/sys/fs/flintfs/*/abort' > /dev/null; }

lazy_umount_leaves_open_files()
{
	exec 9<> $MNT/lazy || return 1
	umount -l $MNT && ! mount_is_gone && echo more >&9 && [ "$(cat /proc/self/fd/9)" = more ]
	local status=$?
	exec 9>&-
	wait_for $LIMIT mount_is_gone && return $status
}

lazy_umount_ends_without_servers()
{
	local status=0

	load_start || return 1
	echo unsaved > $MNT/unsaved
	pkill -STOP -x 'flint-chunkd|flint-metad|flint-mgrd'
	timeout $LIMIT umount -l $MNT || status=1
	kill -9 $LOAD
	wait_for $((2 * LIMIT)) mount_is_gone || status=1
	pkill -CONT -x 'flint-chunkd|flint-metad|flint-mgrd'
	return $status
}

abort_file_ends_io()
{
	load_start || return 1
	pkill -STOP -x flint-chunkd
	echo 1 > /sys/fs/flintfs/*/abort
	timeout $LIMIT tail --pid=$LOAD -f /dev/null
	local status=$?
	pkill -CONT -x flint-chunkd
	timeout $LIMIT umount $MNT && return $status
}

module_is_busy_under_load()
{
	load_start || return 1
	! rmmod flintfs 2>/dev/null
	local status=$?
	load_end
	return $status
}

cluster_start
mount_flint
dd if=/dev/urandom of=$BIG bs=1M count=32 oflag=direct status=none || bail "cannot write"
ok "kill -9 of a process doing direct I/O" process_can_be_killed
ok "rmmod is refused while mounted and busy" module_is_busy_under_load
ok "acknowledged writes survive kill -9 of all servers" acknowledged_writes_survive_kill
ok "synchronous writes go on when the server is back" io_continues_after_restart
ok "a frozen chunk server does not block kill -9" frozen_server_does_not_block_kill
ok "a frozen metadata server does not block kill -9" frozen_metadata_server_does_not_block_kill
ok "calls in one directory outlast a frozen metadata server, each with one effect" \
	frozen_metadata_server_holds_no_lock
ok "asynchronous I/O ends when its server is gone" async_io_ends_without_server
cluster_start
ok "umount -f ends I/O to frozen servers" forced_umount_ends_io
cluster_start
mount_flint
ok "writing to the abort file ends I/O" abort_file_ends_io
mount_flint
ok "umount -l leaves open files as they are" lazy_umount_leaves_open_files
mount_flint
ok "umount -l ends when nothing answers" lazy_umount_ends_without_servers
cluster_start
done_testing
