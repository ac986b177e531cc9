#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One machine serves others that all read, write, and read small pieces with deep queues at the same time, over verbs
# and over TCP: no request fails, nobody gets less than half of its share, all data is right, and what server and
# clients keep in memory is bounded. Packets that were sent again are printed, and connections that were lost: on an
# emulated machine timers run out without a reason.
# vm: --nodes 3 --mem 1G --smp 1
# timeout: 1800
# long: 9 to 15 minutes
# proto: own
. "$(dirname "$0")/lib/cluster.sh"
. "$(dirname "$0")/lib/incast.sh"
TOGETHER=300

# Such a machine may also need long for what waits.
begin() { mount_flint proto=$1,io_timeo=300s && { [ -e $DATA ] || write_all; }; }

fair()
{
	local all share sent again

	read -r all share sent again < <(result $1)
	[ $NODE -gt 1 ] || echo "# $1: $all MB/s, the smallest share $share of the mean, $sent packets, $again of a million again"
	awk "BEGIN { exit $share < 0.5 }"
}

# KiB that the chunk server has in memory.
memory() { awk '$1 == "VmRSS:" { print $2 }' /proc/$(pgrep -x flint-chunkd)/status; }

# Regions of memory that the adapter knows.
regions() { rdma resource show | sed -n 's/.*rxe0:.* mr \([0-9]*\).*/\1/p'; }

# A client adds 1.7 MB at most (operations.rst); the rest is what files and heaps need. A client has four regions
# for each credit at most.
bounded()
{
	local now

	if [ $NODE = 1 ]; then
		now=$(memory)
		echo "# server: $before KiB, then $now KiB"
		[ $now -lt $((before + 8192 + CLIENTS * 1700)) ]
	else
		echo "# $(regions) regions; $(grep -h 'role 2' /sys/kernel/debug/flintfs/*/peers)"
		[ $(regions) -le $((4 * 128 * 3)) ]
	fi
}

plan 20
cluster_on_node1 --chunk-servers 1
[ $NODE -gt 1 ] || before=$(memory)
for proto in rdma tcp; do
	ok "every client has its file, $proto" on_clients begin $proto
	for work in read write small; do
		ok "$work at once, $proto" measure $work.$proto $work $proto 10 $CLIENTS
		ok "nobody gets less than half of its share" fair $work.$proto
		[ $work != write ] || ok "all data is right" on_clients read_all
	done
	ok "memory is bounded" bounded
	[ $NODE = 1 ] || umount_flint
	together
done
done_testing
