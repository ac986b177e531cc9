#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two machines on one network. Node 1 has the cluster, both mount it: what one does the other sees at
# once, appends and locks hold between them, a network that loses and delays packets costs time only,
# and a machine that is cut off loses its locks to the other one, overwrites nothing, comes back by itself.
# vm: --nodes 2 --mem 3G
# timeout: 800
. "$(dirname "$0")/lib/cluster.sh"

# turns COMMAND...: called with "do N" by one node and, after that, with "see N" by the other, in turn.
turns()
{
	local i bad=0

	for i in 1 2 3 4; do
		if [ $((i % 2)) = $((NODE % 2)) ]; then
			"$@" do $i || { echo "# doing, turn $i"; bad=1; }
			together
		else
			together
			"$@" see $i || { echo "# seeing, turn $i"; bad=1; }
		fi
	done
	together
	return $bad
}

# Each wrote so that the other one's cached pages, attributes and names are old.
text() { printf 'turn %d of node %d\n' "$1" $((2 - $1 % 2)); }
buffered()
{
	if [ $1 = do ]; then text $2 > $MNT/b; else [ "$(cat $MNT/b)" = "$(text $2)" ]; fi
}
direct()
{
	yes "$(text $2)" | head -c 300000 > /tmp/want
	if [ $1 = do ]; then
		dd if=/tmp/want of=$MNT/d bs=100000 oflag=direct conv=notrunc status=none
	else
		cmp /tmp/want $MNT/d && dd if=$MNT/d bs=300000 iflag=direct status=none | cmp - /tmp/want
	fi
}
named()
{
	if [ $1 = do ]; then
		mkdir -p $MNT/n/$2 && mv $MNT/n/$(($2 - 1)) $MNT/n/$2/was 2> /dev/null
		chmod 70$2 $MNT/n/$2 && ln -s there $MNT/n/$2/l && touch -d @$2000000 $MNT/n/$2
	else
		[ "$(ls $MNT/n)" = $2 ] && [ "$(stat -c '%a %Y' $MNT/n/$2)" = "70$2 ${2}000000" ] &&
			[ "$(readlink $MNT/n/$2/l)" = there ] && { [ $2 = 1 ] || [ -d $MNT/n/$2/was ]; }
	fi
}

# Lines of both, none torn and none lost.
appends()
{
	local i

	together
	for i in {1..80}; do echo "line $i of node $NODE, and something to make it longer" >> $MNT/log; done
	together
	[ "$(sort -u $MNT/log | grep -c '^line [0-9]* of node [12], and something to make it longer$')" = 160 ] &&
		[ "$(wc -l < $MNT/log)" = 160 ]
}

# Node 1 holds a lock that node 2 is refused, until it lets go.
locks()
{
	local status=0

	touch $MNT/lock
	exec 8<> $MNT/lock
	[ $NODE = 2 ] || flock 8 || status=1
	together
	[ $NODE = 1 ] || ! flock -n 8 || status=1
	together
	[ $NODE = 2 ] || flock -u 8
	together
	[ $NODE = 1 ] || flock -w 20 8 || status=1
	together
	exec 8<&-
	return $status
}

# verified_load NAME OPERATIONS [MOUNT OPTIONS]
verified_load()
{
	local dir=/mnt/load status

	mount_flint "$3" $dir
	"$B/vm/randio" $dir/$1.$NODE $2 $RANDOM > /tmp/load.log 2>&1
	status=$?
	[ $status = 0 ] || sed 's/^/# /' /tmp/load.log
	umount_flint $dir
	return $status
}

# bad_network PROTO NETEM...: what node 2 sends is hurt in these ways while both work.
bad_network()
{
	local status start=$SECONDS proto=$1
	shift

	together
	[ $NODE = 1 ] || tc qdisc add dev d0 root netem "$@" || return 1
	verified_load $proto ${OPERATIONS:-15} proto=$proto
	status=$?
	echo "# $((SECONDS - start)) s"
	[ $NODE = 1 ] || tc qdisc del dev d0 root
	together
	return $status
}

# Node 2 takes the lock and is cut off for longer than its session's lease. Node 1 gets the lock then,
# and finds what node 2 wrote. Node 2 goes on with another session: what it had begun is done, but
# nobody there reads or writes the file whose lock was lost before letting go of it.
cut_off()
{
	local status=0 pid

	exec 8<> $MNT/lock
	[ $NODE = 1 ] || { flock 8 && echo before > $MNT/cut && sync $MNT/cut; } || status=1
	together
	if [ $NODE = 2 ]; then
		ip link set d0 down
		dd if=$MNT/d of=/tmp/late bs=300000 iflag=direct status=none & pid=$!
		sleep 40
		ip link set d0 up
		{ wait $pid && cmp /tmp/late $MNT/d; } || { echo "# a read that waited"; status=1; }
		timeout 60 mkdir $MNT/late || status=1
		dmesg | grep -q 'flintfs: .*a lock on inode .* was lost' || { echo "# nothing was said"; status=1; }
		! echo other 2> /dev/null >&8 || { echo "# written without the lock"; status=1; }
	else
		timeout 90 flock 8 && [ "$(cat $MNT/cut)" = before ] && echo mine >&8 || status=1
	fi
	together
	exec 8<&-
	[ "$(cat $MNT/lock)" = mine ] && [ -d $MNT/late ] || status=1
	together
	return $status
}

# Only the metadata server is cut off from node 2, which keeps writing to its page cache while it may. As
# soon as node 1 was let write, nothing of that comes after it, though the way to the chunk servers is open;
# and what node 1 wrote stays, though its session's end has data cut off at the same time.
fenced()
{
	local dir=/mnt/wb status=0 writer

	yes new | tr -d '\n' | head -c 3000 > /tmp/new
	mount_flint writeback,proto=tcp $dir
	[ $NODE = 1 ] || head -c 3000 /dev/zero > $dir/fence
	together
	if [ $NODE = 2 ]; then
		python3 -c "
import os, time
f = os.open('$dir/fence', os.O_RDWR)
while True:
    os.pwrite(f, b'old' * 1000, 0)
    time.sleep(0.02)" & writer=$!
		until [ "$(counter wb_writes $dir)" -gt 0 ]; do sleep 0.2; done
		tc qdisc add dev d0 clsact && tc filter add dev d0 egress protocol ip flower ip_proto tcp \
			dst_port 7451 action drop || status=1
		together
		sleep 36
		{ kill -9 $writer && wait $writer; } 2> /dev/null
		sleep 8
		tc qdisc del dev d0 clsact
	else
		together
		timeout 120 dd if=/tmp/new of=$dir/fence bs=3000 conv=notrunc status=none && cmp /tmp/new $dir/fence ||
			status=1
	fi
	together
	sleep 3
	timeout 60 cmp /tmp/new $dir/fence || status=1
	timeout 60 dd if=$dir/fence bs=4096 iflag=direct status=none | cmp - /tmp/new || status=1
	together
	umount_flint $dir
	return $status
}

# Is a page among what the network holds back?
delayed() { tc -s -j qdisc show dev d0 | jq -e 'any(.[]; .kind == "netem" and .backlog >= 4096)' > /dev/null; }

# A direct write of node 2 is on its way to the chunk server, slowly, when its task is killed. Node 1 looks
# at the file before it arrives: what it sees later is what it reads without a cache, too.
late_write()
{
	local dir=/mnt/slow status=0 pid chunkd=7461-7499

	mount_flint proto=tcp,hb_timeo=60 $dir
	[ $NODE = 1 ] || { printf 'A%.0s' {1..4096} > $dir/slow && sync $dir/slow; } || status=1
	printf 'B%.0s' {1..4096} > /tmp/b
	together
	if [ $NODE = 2 ]; then
		tc qdisc add dev d0 root handle 1: prio bands 2 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 &&
			tc qdisc add dev d0 parent 1:2 netem delay 6s &&
			tc filter add dev d0 parent 1: protocol ip flower ip_proto tcp dst_port $chunkd classid 1:2 ||
			status=1
		dd if=/tmp/b of=$dir/slow bs=4096 oflag=direct conv=notrunc status=none & pid=$!
		wait_for 60 delayed || { echo "# it was not sent"; status=1; }
		{ kill -9 $pid && wait $pid; } 2> /dev/null
	fi
	together
	[ $NODE = 2 ] || cat $dir/slow > /tmp/seen || status=1
	together
	sleep 10
	[ $NODE = 1 ] || tc qdisc del dev d0 root
	together
	cat $dir/slow > /tmp/seen || status=1
	timeout 60 dd if=$dir/slow bs=4096 iflag=direct status=none | cmp - /tmp/seen || status=1
	cmp /tmp/b /tmp/seen || status=1
	together
	umount_flint $dir
	return $status
}

# Node 2 has given an append its place, and reads the page that it shares, when it is cut off from all
# servers. Node 1 appends at the same place when node 2's session is over: nothing of either is lost.
late_append()
{
	local dir=/mnt/app status=0 pid

	mount_flint writeback,proto=tcp $dir
	[ $NODE = 1 ] || touch $dir/app || status=1
	together
	if [ $NODE = 2 ]; then
		exec 8>> $dir/app
		until [ "$(counter wb_writes $dir)" -gt 0 ]; do echo first >&8; sleep 0.2; done
		sync $dir/app && echo 1 > /proc/sys/vm/drop_caches
		tc qdisc add dev d0 clsact && tc filter add dev d0 egress protocol ip flower ip_proto tcp \
			dst_port 7451-7499 action drop || status=1
		echo second >&8 & pid=$!
		wait_for 10 grep -qs read_cache_folio /proc/$pid/stack || { echo "# it reads no page"; status=1; }
	fi
	together
	[ $NODE = 2 ] || timeout 110 sh -c "echo third >> $dir/app && sync $dir/app" || status=1
	together
	if [ $NODE = 2 ]; then
		tc qdisc del dev d0 clsact
		wait $pid || { echo "# the append failed"; status=1; }
		exec 8>&-
	fi
	together
	[ "$(grep -v first $dir/app | sort | tr '\n' ' ')" = "second third " ] ||
		{ sed 's/^/# /' $dir/app; status=1; }
	together
	umount_flint $dir
	return $status
}

plan 12
cluster_on_node1
mount_flint
ok "buffered writes are seen at once" turns buffered
ok "direct writes are seen at once, buffered or not" turns direct
ok "names and attributes are seen at once" turns named
ok "appended lines are whole" appends
ok "a lock holds on both" locks
# What is sent over verbs stays in order, as networks for it keep it.
ok "verified load, packets late, lost and doubled, verbs" bad_network rdma delay 1ms loss 0.2% duplicate 0.5%
ok "verified load, out of order as well, TCP" bad_network tcp delay 2ms 1ms loss 1% duplicate 1%
ok "who is cut off loses its locks and comes back" cut_off
ok "who writes back is fenced when it hears no metadata server" fenced
ok "a write whose task was killed is seen when it arrives" late_write
ok "an append that was cut off overwrites no other" late_append
[ $NODE = 2 ] && umount_flint
together
done_testing
