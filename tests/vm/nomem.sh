#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory allocations fail: each one of each call (nomem.c), those of mounting, and those of the kernel's
# workers, which carry out what calls began. Nothing crashes, hangs, leaks or is damaged.
# Debian's kernels inject no faults; those of `make check-uml` and `make check-debug` do.
# uml: only
. "$(dirname "$0")/lib/cluster.sh"

FAULTS="/sys/kernel/debug/failslab /sys/kernel/debug/fail_page_alloc"

plan 7

# set_faults NAME VALUE: of both kinds of allocation
set_faults()
{
	local f
	for f in $FAULTS; do
		[ ! -e "$f/$1" ] || echo "$2" > "$f/$1" || return 1
	done
}

faults_ready()
{
	set_faults verbose 0 && set_faults ignore-gfp-wait N && set_faults ignore-gfp-highmem N &&
		set_faults min-order 0 && set_faults task-filter Y && set_faults times -1
}

mounts()
{
	"$B/vm/nomem" mount "$(source_of_mount)" "rdma:$ADDR:7442" "$KEY" /mnt/second &&
		mount -t flintfs -o "secretfile=$KEY" "$(source_of_mount)" /mnt/second && umount /mnt/second
}

# The unbound ones: others write the servers' disks for them.
workers()
{
	local p
	for p in /proc/[0-9]*; do
		case $(cat "$p/comm" 2> /dev/null) in kworker/u*) echo "$1" > "$p/make-it-fail" ;; esac
	done 2> /dev/null
	return 0
}

load_with_failing_workers()
{
	local status=0

	workers 1
	set_faults probability 2
	timeout 200 fio --name=v --directory=$MNT --rw=randrw --bs=64k --size=8m --direct=1 --ioengine=psync \
		--verify=crc32c --verify_state_save=0 --numjobs=2 --loops=2 > /tmp/fio.log 2>&1 || status=1
	set_faults probability 0
	workers 0
	[ $status = 0 ] || tail -n 12 /tmp/fio.log | sed 's/^/# /'
	return $status
}

ls_and_data()
{
	rm -rf ${MNT:?}/* && echo alive > $MNT/alive && [ "$(cat $MNT/alive)" = alive ] && [ "$(ls $MNT)" = alive ]
}

cluster_start
mount_flint
ok "faults can be injected" faults_ready
mkdir -p $MNT/calls /mnt/second
ok "each allocation of each call fails once" "$B/vm/nomem" $MNT/calls
ok "each allocation of a mount fails once" mounts
ok "I/O goes on while workers lack memory" load_with_failing_workers
ok "then all works as before" ls_and_data
done_testing
