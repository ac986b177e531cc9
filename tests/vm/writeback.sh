#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Dirty pages while servers die: two mounts with write-back on chains of three and three metadata servers.
# Programs write into the cache, append, store to maps and look at what the other wrote, while chunk
# servers are killed and frozen longer than their lease, and leaders of the metadata servers are. No call
# fails, and what each mount wrote is what the other reads, at once and when all is over.
# uml: too
# timeout: 900
# long: 9
DATA_MIB=1024
TARGET_SIZE=128M
. "$(dirname "$0")/lib/cluster.sh"

OTHER=/mnt/other
C=$B/vm/coherence
LIMIT=180	# seconds: two leases of an emulated machine, its servers started again, and what emulation adds

pid() { cat "$STATE/run/$1.pid"; }

# again NAME COMMAND...: until it fails or is told to end.
again()
{
	local name=$1
	shift
	(
		trap 'stop=1' TERM
		stop=
		while [ -z "$stop" ]; do
			"$@" $((RANDOM % 8)) > /tmp/$name.log 2>&1 || { touch /tmp/$name.failed; exit 1; }
			echo >> /tmp/$name.rounds
		done
	) &
	loads+=($!)
}

load_start()
{
	loads=()
	mkdir -p $MNT/both $MNT/append
	again both "$C" both $MNT/both $OTHER/both 60
	again append "$C" append $MNT/append $OTHER/append 40
	sleep 3
	load_well
}

load_well()
{
	kill -0 "${loads[@]}" && return
	tail -n 20 /tmp/both.log /tmp/append.log | sed 's/^/# /'
	return 1
}

# 8 MiB through the cache of one mount, read by the other while still dirty, and by both after a sync.
goes_on()
{
	local begin=$SECONDS

	head -c 8M /dev/urandom > /tmp/random
	timeout $LIMIT cp /tmp/random $MNT/on && timeout $LIMIT cmp /tmp/random $OTHER/on || return 1
	timeout $LIMIT dd if=/tmp/random of=$OTHER/on bs=128k conv=notrunc,fsync status=none &&
		timeout $LIMIT dd if=$MNT/on bs=256k iflag=direct status=none | cmp - /tmp/random || return 1
	echo "# 16 MiB written and read after $((SECONDS - begin)) s"
	load_well
}

# A program writes until it is killed; right after it, SERVERS are met by SIGNAL. What it wrote is owed by its
# mount, and seen by the other one.
hurt()
{
	local signal=$1 fill told
	shift

	"$C" fill $MNT/filled > /tmp/told & fill=$!
	sleep 2
	kill -$signal "$@"
	kill -9 $fill
	wait $fill 2> /dev/null
	told=$(tail -n 1 /tmp/told)
	goes_on && timeout $LIMIT "$C" filled $OTHER/filled "${told:-0}"
}

killed() { hurt KILL "$(pid "$1")"; }
frozen()
{
	local p status

	p=$(pid "$1")
	hurt STOP "$p"
	status=$?
	sleep 20
	kill -CONT "$p"
	return $status
}
leader_killed() { killed "$(name_of "$(leader)")"; }
leader_frozen() { frozen "$(name_of "$(leader)")"; }
# While nobody answers nobody can see it: who looks waits until they are back.
all_killed()
{
	(sleep 4; cluster_heals) & local back=$!
	hurt KILL $(pgrep -x 'flint-chunkd|flint-metad')
	local status=$?
	wait $back && return $status
}

load_ends()
{
	local status=0

	kill "${loads[@]}"
	wait "${loads[@]}" 2> /dev/null
	[ ! -e /tmp/both.failed ] && [ ! -e /tmp/append.failed ] || { load_well; status=1; }
	echo "# $(wc -l < /tmp/both.rounds) rounds of both, $(wc -l < /tmp/append.rounds) of append, $(counter wb_writes) writes kept"
	[ "$(counter wb_errors)" = 0 ] && return $status
}

# With no cache left, from the servers.
all_is_there()
{
	(cd $MNT && find . -type f -exec cksum {} +) | sort > /tmp/before
	umount_flint $OTHER
	umount_flint
	mount_flint
	(cd $MNT && find . -type f -exec cksum {} +) | sort | cmp /tmp/before -
}

plan 13
cluster_start --meta 3 --chunk-servers 3 --targets 2 --replicas 3
mount_flint writeback
mount_flint writeback $OTHER
ok "two mounts write into their caches" load_start
ok "a chunk server is killed" killed chunk1
ok "the chains heal" cluster_heals
ok "a chunk server is frozen" frozen chunk2
ok "the chains heal" cluster_heals
ok "the leader of the metadata servers is killed" leader_killed
ok "it comes back" cluster_heals
ok "the leader is frozen" leader_frozen
ok "all servers of data and metadata are killed at once and come back" all_killed
ok "no call failed, and what was written is there" load_ends
ok "so it is on the servers" all_is_there
done_testing
