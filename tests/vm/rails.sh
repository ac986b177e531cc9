#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Chunk servers with two addresses, mounted on another machine, over verbs and over TCP: both carry I/O, each
# covers for the other when that is cut off under load, and comes back into use; several connections to
# each server all carry I/O, and one that is reset is not missed.
# vm: --nodes 2 --mem 3G
# timeout: 900
# proto: own
. "$(dirname "$0")/lib/cluster.sh"
ADDR=10.77.0.1,10.77.1.1
TOGETHER=400	# longer than what a check waits for, so that it says itself what it waited for

# on_2 COMMAND...: on node 2, while node 1 waits for it.
on_2()
{
	local status=0

	[ $NODE = 1 ] || "$@" || status=1
	together
	return $status
}

# On both nodes. cut_off RAIL: nothing passes any more between those two addresses; mend: everything does.
# As it comes in: rxe is told of what is dropped on its way out, and tries again without a pause.
cut_off()
{
	tc qdisc add dev d0 clsact &&
		tc filter add dev d0 ingress protocol ip flower src_ip 10.77.$1.$((3 - NODE)) action drop
}

mend() { tc qdisc del dev d0 clsact; }

# Connections to chunk servers; their ports come after those of all others.
conns() { cat /sys/kernel/debug/flintfs/*/conns | awk '{ n = split($1, a, ":") } a[n] > 7460'; }

# bytes RAIL: sent to that address, and received from there, so far.
bytes() { conns | awk -v rail="10.77.$1.1:" 'index($5, rail) == 1 { n += $NF } END { print n + 0 }'; }

# live RAIL: all connections to that address are.
live() { conns | awk -v rail="10.77.$1.1:" 'index($5, rail) == 1 { n++; live += $9 == "live" } END { exit !n || live < n }'; }

down() { ! conns | grep "address 10\.77\.$1\.1:.* state live"; }

# Verified direct I/O, from every processor.
load()
{
	fio --name=rails --directory=$MNT --size=4m --bs=16k --direct=1 --ioengine=libaio --iodepth=4 --numjobs=2 --rate_iops=25,25 \
		--cpus_allowed=0-$(($(nproc) - 1)) --cpus_allowed_policy=split --rw=randrw --verify=crc32c \
		--verify_fatal=1 --verify_backlog=64 --time_based --runtime=8 "$@" > /tmp/fio.log 2>&1
}

load_loop()
{
	while [ ! -e /tmp/stop ]; do load || return 1; done
}

load_begin()
{
	rm -f /tmp/stop
	load_loop & LOAD=$!
}

load_is_right()
{
	touch /tmp/stop
	wait $LOAD || { sed 's/^/# /' /tmp/fio.log; return 1; }
}

ops() { echo $(($(counter read_ops) + $(counter write_ops))); }
done_more() { [ "$(ops)" -gt $1 ]; }

# 150 operations more, from now on.
load_goes_on()
{
	wait_for 120 done_more $(($(ops) + 150)) && return
	{ conns; cat /tmp/fio.log; } | sed 's/^/# /'
	return 1
}

# Of what is done now each address carries a fourth and more.
shared()
{
	local a b

	a=$(bytes 0) b=$(bytes 1)
	load_goes_on || return 1
	a=$(($(bytes 0) - a)) b=$(($(bytes 1) - b))
	echo "# $((a >> 10)) and $((b >> 10)) KiB"
	[ $((3 * a)) -gt $b ] && [ $((3 * b)) -gt $a ]
}

goes_on_without() { load_goes_on && wait_for 60 down $1 && load_goes_on; }
is_used_again() { wait_for 90 live $1 && shared; }

# covered RAIL: it dies under load, the other one goes on alone, it comes back and is used again.
covered()
{
	local start=$SECONDS status=0

	cut_off $1 || status=1
	together
	on_2 goes_on_without $1 || status=1
	echo "# went on after $((SECONDS - start)) s"
	mend
	together
	on_2 is_used_again $1 || status=1
	echo "# shared again after $((SECONDS - start)) s"
	[ $status = 0 ] || [ $NODE = 1 ] || conns | sed 's/^/# /'
	return $status
}

both_up() { wait_for 60 live 0 && wait_for 60 live 1; }

loaded()
{
	mount_flint proto=$1
	load_begin
	load_goes_on && both_up
}

all_used() { conns | awk '$NF < 16384 { bad = 1 } END { exit bad }'; }

# One of several connections is reset, by the number of its port here.
reset_one()
{
	local before port

	before=$(reconnects)
	port=$(ss -Htn dst 10.77.1.1 and dport gt 7460 | awk 'NR == 1 { n = split($4, a, ":"); print a[n] }')
	ss -HKtn sport = "$port" > /dev/null
	wait_for 30 reconnected "$before" && load_goes_on && both_up
}

reconnects()
{
	awk '{ for (i = 2; i < NF; i++) if ($i == "reconnects") n += $(i + 1) } END { print n }' \
		/sys/kernel/debug/flintfs/*/peers
}

reconnected() { [ "$(reconnects)" -gt "$1" ]; }

several()
{
	local per=$((2 * $(nproc))) status

	loaded tcp,nconn=$per && [ $(($(conns | wc -l) % per)) = 0 ] && wait_for 60 all_used && reset_one
	status=$?
	load_is_right && [ $status = 0 ] && umount_flint && return
	conns | sed 's/^/# /'
	return 1
}

in_map()
{
	[ "$("$B/bin/flint" node list --mgr 10.77.0.1 --key $KEY --json | grep -c '10\.77\.1\.1:746')" -ge 2 ]
}

plan 13
ip addr add 10.77.1.$NODE/24 dev d0
cluster_on_node1
ok "the map has all addresses" on_2 in_map
for proto in rdma tcp; do
	ok "connected at both addresses, $proto" on_2 loaded $proto
	ok "both carry I/O, $proto" on_2 shared
	ok "one covers for the other, $proto" covered 1
	[ $proto = tcp ] || ok "and the other way round, $proto" covered 0
	ok "all data was right, $proto" on_2 load_is_right
	[ $NODE = 1 ] || umount_flint
done
ok "several connections each, one of them reset" on_2 several
together
done_testing
