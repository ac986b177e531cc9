#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What must outlive kill -9 of every server: names, data, files deleted while
# open; and what must not outlive a flipped bit: wrong data.
# uml: too
# timeout: 900
MOVED=10.77.0.9
TARGET_SIZE=192M	# small enough to be searched for a line
. "$(dirname "$0")/lib/cluster.sh"

deleted_file_stays_readable()
{
	local answer

	coproc KEEP { "$B/vm/keepopen" $MNT/gone; }
	read -r -t 60 -u "${KEEP[0]}" answer && [ "$answer" = ready ] || return 1
	cluster_kill
	cluster_start
	echo read >&"${KEEP[1]}"
	read -r -t 60 -u "${KEEP[0]}" answer
	echo "# after the restart: $answer"
	kill "$KEEP_PID"
	wait "$KEEP_PID" 2>/dev/null
	[ "$answer" = same ] && [ ! -e $MNT/gone ]
}

tree_survives()
{
	mkdir $MNT/tree
	cp -r /usr/include/linux $MNT/tree/ || return 1
	(cd $MNT/tree && find . -type f -exec sha256sum {} + | sort > /tmp/tree.sums)
	umount_flint
	cluster_kill
	cluster_start
	mount_flint
	(cd $MNT/tree && sha256sum --quiet -c /tmp/tree.sums)
}

# Requests that one system call submits share messages: none is lost with its server, none ends with an error
# while there is time, and each gets its own answer.
batched_io_survives()
{
	local load status job="--name=batch --filename=/mnt/patient/batch --size=4m --bs=4k --direct=1
		--ioengine=libaio --iodepth=32 --iodepth_batch_submit=16 --verify=crc32c --verify_fatal=1"

	mount_flint io_timeo=400s /mnt/patient
	fio $job --rw=randwrite --do_verify=0 > /tmp/fio.log 2>&1 || { tail /tmp/fio.log | sed 's/^/# /'; return 1; }
	fio $job --rw=randrw --rwmixread=80 --verify_backlog=256 --time_based --runtime=30 > /tmp/fio.log 2>&1 & load=$!
	sleep 8
	pkill -9 -x flint-chunkd
	cluster_heals
	sleep 5
	pkill -STOP -x flint-chunkd
	sleep 3
	pkill -CONT -x flint-chunkd
	wait $load
	status=$?
	grep -E 'IOPS|error|verify' /tmp/fio.log | head -n 5 | sed 's/^/# /'
	umount_flint /mnt/patient
	return $status
}

# servers_move PROGRAM FROM TO: each that runs dies and comes again at another address.
servers_move()
{
	local pid args i

	for pid in $(pgrep -x "$1"); do
		mapfile -d '' args < /proc/$pid/cmdline
		for i in "${!args[@]}"; do [ "${args[i]}" != $2 ] || args[i]=$3; done
		kill -9 $pid
		setsid "${args[@]}" >> $STATE/moved.log 2>&1 &
	done
}

# Mounts learn from the managers where the servers are now; I/O and metadata go on. Then all move back.
servers_at_another_address()
{
	local load status=0 i

	mount_flint io_timeo=400s /mnt/patient
	ip addr add $MOVED/24 dev d0
	fio --name=moved --filename=/mnt/patient/moved --size=8m --bs=16k --direct=1 --ioengine=libaio --iodepth=8 \
		--rw=randrw --verify=crc32c --verify_fatal=1 --verify_backlog=64 --time_based --runtime=20 > /tmp/fio.log 2>&1 & load=$!
	sleep 5
	servers_move flint-chunkd $ADDR $MOVED
	servers_move flint-metad $ADDR $MOVED
	for i in 1 2 3 4 5 6 7 8 9 10; do
		mkdir /mnt/patient/dir$i && echo $i > /mnt/patient/dir$i/file || status=1
		sleep 1
	done
	wait $load || status=1
	echo "# connections to the new address: $(dmesg | grep -c "flintfs: $MOVED:.*connected")"
	dmesg | grep -q "flintfs: $MOVED:.*connected" || status=1
	pkill -9 -x 'flint-chunkd|flint-metad'
	cluster_heals || status=1
	[ "$(cat /mnt/patient/dir*/file | sort -n | tail -1)" = 10 ] || status=1
	cmp /mnt/patient/moved $MNT/moved || status=1
	umount_flint /mnt/patient
	ip addr del $MOVED/24 dev d0
	return $status
}

# One bit of stored data is flipped behind the server's back.
flipped_bit_is_an_error()
{
	local target at

	yes "a line that is nowhere else, $RANDOM$RANDOM" | head -c 262144 > /tmp/marked
	dd if=/tmp/marked of=$MNT/marked bs=256k oflag=direct status=none || return 1
	cluster_stop
	sync
	for target in $(grep -rlaF -m1 "$(head -1 /tmp/marked)" $STATE); do
		at=$(grep -abo -m1 "$(head -1 /tmp/marked)" "$target" | head -1 | cut -d: -f1)
		printf '\001' | dd of="$target" bs=1 seek=$((at + 70000)) conv=notrunc status=none
		echo "# flipped a byte of $target at $((at + 70000))"
	done
	[ -n "$at" ] || return 1
	sync
	echo 1 > /proc/sys/vm/drop_caches
	cluster_start
	dd if=$MNT/marked of=/tmp/read bs=256k iflag=direct status=none 2>/tmp/err && return 1
	grep -q 'Input/output error' /tmp/err || return 1
	grep -rhiE 'crc|checksum' $STATE/ --include='*.log' | tail -2 | sed 's/^/# /'
	grep -rqiE 'crc|checksum' $STATE/ --include='*.log'
}

cluster_start
mount_flint
ok "a file deleted while open stays readable after kill -9 of the servers" deleted_file_stays_readable
ok "a tree of files survives kill -9 of the servers and a remount" tree_survives
ok "reads and writes in batches outlive kill -9 of the chunk servers" batched_io_survives
ok "servers that come back at another address are found" servers_at_another_address
ok "a flipped bit is an I/O error and a log line, never data" flipped_bit_is_an_error
done_testing
