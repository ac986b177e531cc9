#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# uml: too
# timeout: 900
# Two mounts are two clients: buffered writes, direct I/O, shared maps and appends of both on the
# same file, against a reference (coherence.c), first without write-back, then with
# it; and what becomes of what was written and not synced when its writer is killed, when
# memory is short, and when the metadata server is.
. "$(dirname "$0")/lib/cluster.sh"

OTHER=/mnt/other
C=$B/vm/coherence

writes_are_kept()
{
	local before after i

	before=$(counter extends $MNT)
	for i in $(seq 50); do echo "line $i"; done > $MNT/kept
	after=$(counter extends $MNT)
	echo "# 50 writes: $((after - before)) announcements, $(counter wb_writes $MNT) kept"
	[ $((after - before)) -lt 25 ] && [ "$(counter wb_writes $MNT)" -ge 50 ] || return 1
	[ "$(wc -l < $OTHER/kept)" = 50 ]
}

# Times, owner and mode of a file that was just written wait for no request, and are seen.
attributes_are_kept()
{
	local before after i tar=/tmp/unpack.tar

	mkdir -p /tmp/unpack $MNT/unpack
	for i in $(seq 50); do
		echo "file $i" > /tmp/unpack/$i
		chmod $((600 + i % 8 * 10 + i % 3)) /tmp/unpack/$i
		touch -d "2001-02-03 04:05:$i" /tmp/unpack/$i
	done
	tar cf $tar -C /tmp/unpack . && cat $tar > /dev/null
	before=$(counter meta_ops $MNT)
	tar xf $tar -C $MNT/unpack --no-overwrite-dir
	after=$(counter meta_ops $MNT)
	echo "# unpacked 50 files: $((after - before)) requests until then"
	[ $((after - before)) -lt 120 ] || return 1
	diff <(cd /tmp/unpack && stat -c '%n %a %Y %s' *) <(cd $OTHER/unpack && stat -c '%n %a %Y %s' *) ||
		return 1
	# Told before what the servers do next with the mode.
	echo x > $MNT/moded && chmod 640 $MNT/moded && setfattr -n user.x -v 1 $MNT/moded &&
		[ "$(stat -c %a $OTHER/moded)" = 640 ] || return 1
	# And with fsync.
	echo y > $MNT/synced && chmod 604 $MNT/synced && sync $MNT/synced &&
		[ "$(stat -c %a $OTHER/synced)" = 604 ]
}

# Those of a file that was just closed are told later, and not after what is set then.
times_after_close()
{
	local i when

	dd if=/dev/zero of=$MNT/timed bs=4k count=2 status=none
	for i in $(seq 20); do
		when=$((1000000000 + i))
		dd if=/dev/zero of=$MNT/timed bs=4k count=1 conv=notrunc oflag=direct status=none &&
			touch -d @$when $MNT/timed || return 1
		[ "$(stat -c %Y $OTHER/timed)" = $when ] || return 1
	done
	sleep 1
	[ "$(stat -c %Y $MNT/timed $OTHER/timed | uniq)" = $when ]
}

# What gets a name when it is complete is so at the servers then: a crash would not lose it.
names_are_paid_for()
{
	local before after i

	before=$(counter extends $MNT)
	for i in $(seq 20); do
		echo "version $i" > $MNT/new && mv $MNT/new $MNT/version
	done
	after=$(counter extends $MNT)
	echo "# 20 renames: $((after - before)) announcements"
	[ $((after - before)) -ge 20 ] && grep -q 'version 20' $OTHER/version
}

killed_writer()
{
	local pid told

	$C fill $MNT/killed > /tmp/told & pid=$!
	sleep 1
	kill -9 $pid
	wait $pid 2> /dev/null
	told=$(tail -n 1 /tmp/told)
	$C filled $OTHER/killed "${told:-0}" && $C filled $MNT/killed "${told:-0}"
}

# A writer with little memory writes much more than that.
short_of_memory()
{
	local cg=/sys/fs/cgroup/small sum

	mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup 2> /dev/null
	echo +memory > /sys/fs/cgroup/cgroup.subtree_control 2> /dev/null
	mkdir -p $cg 2> /dev/null
	[ -w $cg/memory.max ] && echo 12M > $cg/memory.max || { echo "# no cgroup"; cg=/tmp; }
	(echo $BASHPID > $cg/cgroup.procs; exec dd if=/dev/zero of=$MNT/much bs=64k count=512 2> /tmp/dd.log) || {
		sed 's/^/# /' /tmp/dd.log
		return 1
	}
	sum=$(head -c 33554432 /dev/zero | cksum)
	[ "$(cksum < $OTHER/much)" = "$sum" ] || return 1
	rm $MNT/much
}

# What was written before the metadata server died is there after it has come back.
over_restart()
{
	local pid told

	$C fill $MNT/restart > /tmp/told & pid=$!
	sleep 1
	pkill -9 -x flint-metad
	sleep 1
	cluster_start
	sleep 1
	kill -9 $pid
	wait $pid 2> /dev/null
	told=$(tail -n 1 /tmp/told)
	$C filled $OTHER/restart "${told:-0}"
}

unmounted_at_once()
{
	dd if=/dev/urandom of=/tmp/random bs=1M count=4 2> /dev/null
	cp /tmp/random $MNT/random
	umount_flint
	cmp /tmp/random $OTHER/random || return 1
	mount_flint "$OPTS"
}

# A session that is ended while its writer goes on: what was not written back is reported.
session_ended()
{
	local pid status

	mkdir -p $MNT/tok && chmod 777 $MNT/tok
	"$B/bin/flint" token create --dir $STATE --out /tmp/token --path tok > /tmp/token.log 2>&1 ||
		{ sed 's/^/# /' /tmp/token.log; return 1; }
	mkdir -p /mnt/tok
	mount.flintfs "$ADDR:/default/tok" /mnt/tok -o "token=/tmp/token${OPTS:+,$OPTS}" || return 1
	timeout 90 $C lost /mnt/tok/file & pid=$!
	sleep 2
	echo "# $(counter wb_writes /mnt/tok) writes kept"
	"$B/bin/flint" token revoke --dir $STATE /tmp/token || return 1
	wait $pid
	status=$?
	timeout 60 umount -f /mnt/tok || return 1
	[ $status = 0 ] && dmesg | grep -q 'written back\|not synced is lost'
}

maps()
{
	local before

	before=$(counter wb_faults $MNT)
	$C maps $MNT $OTHER $((10 * N)) "$SEED" || return 1
	[ "$(counter wb_faults $MNT)" -gt "$before" ]
}

# remount_other [OPTIONS]
remount_other()
{
	umount_flint $OTHER
	mount_flint "${1-}" $OTHER
}

both_mounts()
{
	mount_flint "${1-}"
	mount_flint "${1-}" $OTHER
}

SEED=${SEED:-$RANDOM}
N=${N:-1}
cluster_start
if [ -z "${OPTS+set}" ]; then
	both_mounts nowriteback
	ok "stores to a map, and writes to the same pages" maps
	ok "times that are set after a file is closed" times_after_close
	ok "one operation after the other, by turns, writing through" $C turns $MNT $OTHER $((10 * N)) "$SEED"
	ok "both at once, writing through" $C both $MNT $OTHER $((12 * N)) "$SEED"
	umount_flint
	umount_flint $OTHER
	OPTS=writeback
fi
both_mounts "$OPTS"
[ "$OPTS" != writeback ] || ok "written data is kept, and told when another looks" writes_are_kept
[ "$OPTS" != writeback ] || ok "so are its times and its mode" attributes_are_kept
[ "$OPTS" != writeback ] || ok "and told before a file gets another name" names_are_paid_for
ok "one operation after the other, by turns" $C turns $MNT $OTHER $((12 * N)) "$((SEED + 1))"
[ "$OPTS" != writeback ] || ok "attributes that one sets are those of the other" $C attrs $MNT $OTHER $((40 * N)) "$SEED"
ok "stores to a map, with write-back" maps
remount_other nowriteback
ok "by turns with a mount that writes through" $C turns $MNT $OTHER $((10 * N)) "$((SEED + 2))"
remount_other "$OPTS"
ok "both at once" $C both $MNT $OTHER $((15 * N)) "$((SEED + 1))"
ok "appends of both are whole" $C append $MNT $OTHER $((20 * N)) "$SEED"
ok "a killed writer's data is seen" killed_writer
ok "a writer with little memory" short_of_memory
ok "unmounting writes back" unmounted_at_once
[ "$OPTS" != writeback ] || ok "what a session that is ended did not write back is reported" session_ended
ok "written data outlives the metadata server" over_restart
umount_flint $OTHER
done_testing
