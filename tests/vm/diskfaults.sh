#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Disks under chains of three that fail (dm error), fail now and then (dm-flakey), are slow (dm-delay),
# fill up, are damaged, swapped or doubled: words, other disks go on, and the data is right.
# uml: too
# timeout: 900
DATA_MIB=1536
TARGET_SIZE=96M
. "$(dirname "$0")/lib/cluster.sh"

LIMIT=120
fl() { "$B/bin/flint" "$@" --dir $STATE; }
pid() { cat "$STATE/run/$1.pid"; }
log() { cat $STATE/log/$1.log; }
sectors=$((96 * 2048))

# Put chunk2's target on a device of the device mapper.
on_dm()
{
	cluster_stop
	LOOP=$(losetup -f --show --direct-io=on $STATE/chunk2/target 2> /dev/null ||
		losetup -f --show $STATE/chunk2/target) || return 1
	dmsetup create --noudevsync t2 --table "0 $sectors linear $LOOP 0" && dmsetup mknodes t2 &&
		[ -b /dev/mapper/t2 ] || return 1
	mv $STATE/chunk2/target $STATE/chunk2/behind
	ln -s /dev/mapper/t2 $STATE/chunk2/target
	cluster_start
}
# dm TABLE: from now on
dm()
{
	dmsetup load t2 --table "0 $sectors $*" && dmsetup suspend --noudevsync --nolockfs --noflush t2 &&
		dmsetup resume --noudevsync t2
}
goes_on()
{
	local begin=$SECONDS

	head -c 4M /dev/urandom > /tmp/data
	timeout $LIMIT dd if=/tmp/data of=$MNT/on bs=256k oflag=direct conv=notrunc status=none &&
		timeout $LIMIT dd if=$MNT/on of=/tmp/back bs=256k iflag=direct status=none &&
		cmp /tmp/data /tmp/back || return 1
	echo "# 4 MiB written, read and compared after $((SECONDS - begin)) s"
}
# The target is out, its server is not, and both say so.
in_words()
{
	local i

	for i in $(seq 60); do
		fl status > /tmp/status 2>&1
		grep -q 'target 2' /tmp/status && break
		sleep 1
	done
	grep 'target 2\|chunk2' /tmp/status | sed 's/^/# /'
	log chunk2 | grep -v info | tail -n 2 | sed 's/^/# /'
	grep -q 'target 2' /tmp/status && kill -0 "$(pid chunk2)"
}
fails() { dm error && goes_on && in_words; }
# The disk is well again; its server is started anew and everything heals.
well_again() { dm linear "$LOOP" 0 && kill -9 "$(pid chunk2)" && sleep 1 && cluster_heals; }
flaky() { dm flakey "$LOOP" 0 3 2 && sleep 4 && goes_on && goes_on; }
slow() { dm delay "$LOOP" 0 150 && goes_on; }
alike() { fl chain compare > /tmp/compare || { sed 's/^/# /' /tmp/compare; return 1; }; }

behind_kib() { sync; du -k $STATE/chunk2/behind | cut -f1; }
# Space that was given up is discarded: the file behind chunk2's device has holes.
returned()
{
	local n

	for n in $(seq 60); do
		[ "$(behind_kib)" -lt $((64 << 10)) ] && break
		sleep 1
	done
	echo "# chunk2's device holds $(behind_kib) KiB"
	[ "$(behind_kib)" -lt $((64 << 10)) ]
}

# Everything is written until there is no space: an error, what stands is right, removal gives it back.
full()
{
	local n=0

	while timeout $LIMIT dd if=/dev/zero of=$MNT/full.$n bs=1M count=8 oflag=direct status=none 2> /tmp/full.err; do
		n=$((n + 1))
		[ $n -gt 40 ] && return 1
	done
	cat /tmp/full.err | sed 's/^/# /'
	grep -q 'No space left' /tmp/full.err || return 1
	echo "# chunk2's device holds $(behind_kib) KiB"
	timeout $LIMIT dd if=$MNT/on of=/tmp/back bs=256k iflag=direct status=none && cmp /tmp/data /tmp/back || return 1
	rm $MNT/full.*
	for n in $(seq 60); do
		timeout $LIMIT dd if=/dev/zero of=$MNT/again bs=1M count=8 oflag=direct status=none 2> /dev/null && return
		sleep 1
	done
	return 1
}

until_said()	# SECONDS WORDS: chunk3's log or the status has them
{
	local end=$((SECONDS + $1))

	while [ $SECONDS -lt $end ]; do
		(log chunk3 | tail -n 5; fl status) > /tmp/words 2>&1
		grep -i -- "$2" /tmp/words | sed 's/^/# /' | grep . && return
		sleep 0.5
	done
	sed 's/^/# /' /tmp/words
	return 1
}
# bad WORDS COMMAND: chunk3's target is spoilt by the command while its server is stopped; the server or
# the status says so, the others serve.
bad()
{
	local words=$1
	shift
	kill -9 "$(pid chunk3)"
	cp --sparse=always $STATE/chunk3/target $STATE/kept
	"$@" || return 1
	# It waits for a cluster that is well, which this one will not be.
	timeout 60 "$B/bin/flint" up $STATE > /tmp/up.log 2>&1 &
	local up=$! status
	goes_on
	status=$?
	until_said 60 "$words" || status=1
	kill $up 2> /dev/null
	wait $up
	kill -9 "$(pid chunk3)" 2> /dev/null
	mv $STATE/kept $STATE/chunk3/target
	cluster_heals || status=1
	return $status
}
zero_head() { dd if=/dev/zero of=$STATE/chunk3/target bs=64k count=16 conv=notrunc status=none; }
doubled() { cp $STATE/chunk1/target $STATE/chunk3/target; }
foreign()
{
	rm $STATE/chunk3/target
	"$B/bin/flint-chunkd" --format $STATE/chunk3/target --id 3 --size 96M > /dev/null
}

modprobe loop && modprobe dm-mod && modprobe dm-flakey && modprobe dm-delay && command -v dmsetup > /dev/null ||
	{ echo "1..0 # SKIP no device mapper here"; exit 0; }
cluster_start --chunk-servers 3 --replicas 3
ok "a target on a device of the device mapper" on_dm
mount_flint
ok "chains serve" goes_on
ok "a disk fails: the others go on, in words" fails
ok "it is well again, and heals" well_again
ok "a disk fails now and then: I/O goes on" flaky
ok "it is well again, and heals" well_again
ok "a slow disk slows, and no more" slow
ok "it is well again, and heals" well_again
ok "disks are full: an error, and space comes back" full
ok "what was removed leaves a block device, too" returned
ok "all replicas are alike" alike
ok "a superblock that was overwritten" bad 'target 3 on chunk3 is offline' zero_head
ok "another target's copy" bad 'copy of target 1' doubled
ok "a target that was made anew" bad 'not the disk registered' foreign
ok "chains serve" goes_on
mountpoint -q $MNT && umount_flint
cluster_stop
dmsetup remove t2 && losetup -d "$LOOP"
done_testing
