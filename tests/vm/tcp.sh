#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mount over TCP only: data, servers that are killed or stand still, and the end of it all by
# force. Then a cluster that has nothing but an IPv6 address, over TCP and over verbs.
# `make check-guest PROTO=tcp` runs the other guest tests over TCP.
# uml: too
# proto: own
. "$(dirname "$0")/lib/cluster.sh"
MOUNT_OPTS=proto=tcp

connected() { dmesg | grep -q "flintfs: .*connected over $1"; }
all_over_tcp() { connected tcp && ! connected rdma; }

# Verified load that does not notice that every server was killed and started again.
load_survives_restart()
{
	local pid

	"$B/vm/randio" $MNT/r1 200 "$((SEED + 1))" > /tmp/load.log 2>&1 & pid=$!
	sleep 1
	cluster_kill
	cluster_start
	wait $pid || { sed 's/^/# /' /tmp/load.log; return 1; }
}

forced_umount_ends()
{
	local pid

	dd if=/dev/zero of=$MNT/stuck bs=1M count=4000 oflag=direct status=none 2> /dev/null & pid=$!
	sleep 1
	pkill -STOP -x 'flint-chunkd|flint-metad|flint-mgrd'
	sleep 1
	timeout 30 umount -f $MNT 2> /dev/null
	timeout 30 tail --pid=$pid -f /dev/null || { kill -9 $pid; return 1; }
	wait $pid
	# Not asked of mountpoint first: it fails where I/O fails.
	timeout 30 umount $MNT 2> /dev/null || ! grep -q " $MNT flintfs" /proc/mounts
	local status=$?
	pkill -CONT -x 'flint-chunkd|flint-metad|flint-mgrd'
	return $status
}

# over_v6 PROTO: data, over nothing but that.
over_v6()
{
	mkdir $MNT/$1 && "$B/vm/randio" $MNT/$1/r 60 "$SEED" > /tmp/v6.log 2>&1 ||
		{ sed 's/^/# /' /tmp/v6.log; return 1; }
	dmesg | grep -q "flintfs: \[$ADDR\]:.*connected over $1" &&
		grep -q "addr=$1:\[$ADDR\]:" /proc/mounts
}

by_fstab()
{
	echo "[$ADDR]:7441,[fd77::2]:/default $MNT flintfs secretfile=$KEY,proto=tcp,noauto 0 0" > /tmp/fstab
	mount -T /tmp/fstab $MNT && [ -s $MNT/tcp/r ] && umount $MNT
}

cli_v6()
{
	"$B/bin/flint" status --mgr "[$ADDR]" --key $KEY && "$B/bin/flint" node list --mgr $ADDR --key $KEY
}

reconnects()
{
	sed 's/.* reconnects \([0-9]*\).*/\1/' /sys/kernel/debug/flintfs/*/peers | awk '{ n += $1 } END { print n }'
}

# The shortest time that may be set: a connection without anything to do is asked in time, and stays.
idle_stays_up()
{
	local before after status=1

	mount_flint hb_timeo=2s && echo data > $MNT/idle && sync $MNT/idle || return 1
	sleep 2
	before=$(reconnects)
	sleep 20
	after=$(reconnects)
	[ "$before" -gt 2 ] && [ "$after" = "$before" ] && status=0
	[ $status = 0 ] || sed 's/^/# /' /sys/kernel/debug/flintfs/*/peers
	umount_flint
	return $status
}

SEED=${SEED:-$RANDOM}
cluster_start
ok "connections with nothing to do stay up, with hb_timeo=2s" idle_stays_up
mount_flint
mkdir $MNT/t
ok "data" "$B/vm/posix_data" $MNT/t
ok "200 random operations on a file" "$B/vm/randio" $MNT/r0 200 "$SEED"
ok "every connection is TCP" all_over_tcp
ok "verified load over kill -9 and restart of all servers" load_survives_restart
ok "umount -f under load with servers that stand still" forced_umount_ends

cluster_stop
rm -r $STATE
ADDR=fd77::1 STATE=/data/six KEY=/data/six/cluster.key
ip addr add $ADDR/64 dev d0 nodad
TARGET_SIZE=256M
cluster_start
MOUNT_OPTS=proto=tcp
mount_flint
ok "a mount over IPv6, TCP" over_v6 tcp
umount_flint
MOUNT_OPTS=proto=rdma
mount_flint
ok "a mount over IPv6, verbs" over_v6 rdma
umount_flint
ok "the same by a line of fstab" by_fstab
ok "the command line finds a manager by its IPv6 address" cli_v6
done_testing
