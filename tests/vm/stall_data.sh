#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Chunk servers stand still for 45 seconds under writers, appenders, truncations and fallocate of
# the same files: no task waits long for an inode's lock, whose waiters cannot be killed and would
# end the guest after 30 seconds. kill -9 works meanwhile, and all others have their effect once.
# uml: too
# timeout: 900
. "$(dirname "$0")/lib/cluster.sh"

STALL=45
GONE=20		# seconds within which a killed task is
SIZE=3000000
PART=50000

# Each of these becomes the program, so that kill meets that.
begin() { "$@" & pids+=($!); }
victim() { "$@" 2> /dev/null & victims+=($!); }
append() { exec dd if=/tmp/pattern$2 of="$1" bs=$PART count=1 oflag=append${3:+,$3} conv=notrunc status=none; }
overwrite() { exec dd if=/tmp/pattern$2 of="$1" bs=$PART count=1 seek="$2" ${3:+oflag=$3} conv=notrunc status=none; }
grow() { exec truncate -s 4000000 "$1"; }
punch() { exec fallocate -p -o 1000000 -l 1000000 "$1"; }
zeros() { cmp -n "$3" "$1" /dev/zero "$2" 0; }
overwritten() { cmp -n $PART "$1" /tmp/pattern$2 $(($2 * PART)) 0; }

make_file() { head -c $SIZE /dev/urandom > "$1" && sync "$1"; }

# The servers stand still while what was begun waits, and what is to be killed is killed.
stand_still()
{
	local pid status=0

	sleep $((STALL / 2))
	kill -9 "${victims[@]}"
	for pid in "${victims[@]}"; do
		timeout $GONE tail --pid="$pid" -f /dev/null ||
			{ echo "# process $pid was not killed"; status=1; }
	done
	sleep $((STALL - STALL / 2))
	pkill -CONT -x "flint-(chunkd|metad)"
	for pid in "${pids[@]}"; do
		wait "$pid" || { echo "# process $pid failed"; status=1; }
	done
	return $status
}

# What was written is read from the servers.
mount_again() { umount_flint; mount_flint; }

# The patterns 1 to $2 stand behind the first bytes of the file, in any order.
appended_once()
{
	local i size

	size=$(stat -c %s "$1")
	[ "$size" = $((SIZE + $2 * PART)) ] || { echo "# $size bytes"; return 1; }
	for ((i = 0; i < $2; i++)); do
		tail -c +$((SIZE + i * PART + 1)) "$1" | head -c $PART | cksum
	done | sort > /tmp/are
	for ((i = 1; i <= $2; i++)); do cksum < /tmp/pattern$i; done | sort | cmp - /tmp/are
}

# go_on APPENDED TRUNCATED COMMAND...: what changes attributes and shape is begun behind the writers; all
# four appended and the patterns 3 to 5 are there afterwards, and the hole and the new end.
go_on()
{
	local a=$1 t=$2 i
	shift 2

	for i in 1 2 3 4; do
		begin "$@" $a
		begin touch -d "2001-01-01" $a
		begin punch $t
		begin grow $t
	done
	stand_still || return 1
	mount_again
	appended_once $a 4 && [ "$(stat -c %s $t)" = 4000000 ] &&
		overwritten $t 3 && overwritten $t 4 && overwritten $t 5 &&
		zeros $t 1000000 1000000 && zeros $t $SIZE 1000000
}

writers_go_on()
{
	local a=$MNT/appended t=$MNT/truncated pids=() victims=() i

	make_file $a && make_file $t || return 1
	pkill -STOP -x flint-chunkd
	for i in 1 2 3; do begin append $a $i; done
	begin append $a 4 direct
	victim overwrite $a 0
	victim overwrite $a 1
	begin overwrite $t 3
	begin overwrite $t 4 direct
	begin overwrite $t 5 sync
	victim overwrite $t 0
	victim punch $t
	go_on $a $t chmod 0640 && [ "$(stat -c %a $a)" = 640 ]
}

# What is dirty must be written before a truncation and the like.
write_back_goes_on()
{
	local a=$MNT/appended2 t=$MNT/truncated2 pids=() victims=() i

	make_file $a && make_file $t || return 1
	pkill -STOP -x flint-chunkd
	(append $a 1) && (append $a 2) && (overwrite $t 3) && (overwrite $t 4) || return 1
	begin append $a 3
	begin append $a 4 direct
	victim touch -d "2001-01-01" $a
	victim chown 1 $a
	victim punch $t
	begin overwrite $t 5 direct
	go_on $a $t chown 2 && [ "$(stat -c %u $a)" = 2 ]
}

# A write into the cache that changes a part of a page reads the rest of it first.
fills_go_on()
{
	local p=$MNT/parts pids=() victims=() i

	make_file $p && echo 1 > /proc/sys/vm/drop_caches || return 1
	pkill -STOP -x flint-chunkd
	for i in 1 3 5; do begin overwrite $p $i; done
	victim overwrite $p 7
	for i in 1 2 3; do begin chmod 0640 $p; done
	stand_still || return 1
	mount_again
	overwritten $p 1 && overwritten $p 3 && overwritten $p 5 && [ "$(stat -c %a $p)" = 640 ]
}

# The superblock's lock is not held for long, either: umount waits for it. syncfs ends when all is written.
sync_goes_on()
{
	local p=$MNT/synced pids=() victims=()

	make_file $p || return 1
	mount_flint writeback /mnt/second
	pkill -STOP -x flint-chunkd
	(overwrite $p 1) && (overwrite $p 3) && (append /mnt/second/lost 2) || return 1
	pkill -STOP -x flint-metad
	touch $MNT/made & pids+=($!)
	begin sync -f $MNT
	begin sync
	victim sync -f $MNT
	sleep 1
	begin umount /mnt/second
	begin sync
	stand_still || return 1
	[ -e $MNT/made ] && ! mountpoint -q /mnt/second || return 1
	mount_again
	overwritten $p 1 && overwritten $p 3
}

# Chunks are moved before the file becomes shorter, which the metadata server does not hear of for long.
collapsed_once()
{
	local f=$MNT/collapsed unit pid status=0

	head -c 25165824 /dev/urandom > /tmp/long && cp /tmp/long $MNT/scratch || return 1
	for unit in 1 2 3 4 6 8 0; do
		fallocate -c -o 0 -l ${unit}M $MNT/scratch 2> /dev/null && break
	done
	[ $unit != 0 ] || return 1
	cp /tmp/long $f && sync $f && exec 9<> $f || return 1
	pkill -STOP -x flint-metad
	python3 -c 'import ctypes, sys
sys.exit(ctypes.CDLL(None).fallocate(9, 8, ctypes.c_long(int(sys.argv[1])), ctypes.c_long(int(sys.argv[1]))))' \
		$((unit << 20)) & pid=$!
	sleep 25
	pkill -CONT -x flint-metad
	wait $pid || status=1
	exec 9<&-
	{ head -c ${unit}M /tmp/long; tail -c +$((2 * (unit << 20) + 1)) /tmp/long; } > /tmp/shorter
	cmp /tmp/shorter $f || status=1
	mount_again
	cmp /tmp/shorter $f || status=1
	rm $f $MNT/scratch /tmp/long /tmp/shorter
	return $status
}

# asking MOUNT OPERATION PID...: each of them waits for the answer to that.
asking()
{
	local mnt=$1 op=$2

	shift 2
	"$B/bin/flint" client inflight --json $mnt | jq -e --arg op $op \
		'[.[] | select(.op == $op).pid] as $p | $ARGS.positional | map(tonumber) - $p == []' --args "$@" > /dev/null
}

# A truncation that nobody waits for any more is carried out: what it cut off is not in the cache, either.
stays_cut()
{
	local f=$MNT/stays pid status=0

	make_file $f && cat $f > /dev/null || return 1
	pkill -STOP -x flint-chunkd
	truncate -s 0 $f & pid=$!
	wait_for 60 asking $MNT setattr $pid || status=1
	kill -9 $pid
	wait $pid 2> /dev/null
	pkill -CONT -x flint-chunkd
	sleep 5
	truncate -s $SIZE $f && zeros $f 0 $SIZE && return $status
}

# Changes whose tasks were killed while the metadata server was silent are seen when they have come, though this mount
# asked for attributes before.
seen_late()
{
	local f=$MNT/late pids i status=0

	make_file $f && cp $f $f.mode && cat $f $f.mode > /dev/null || return 1
	getfattr -n security.capability $f 2> /dev/null		# truncate() asks whether it has any
	pkill -STOP -x flint-metad
	perl -e 'truncate($ARGV[0], 0)' $f & pids=$!	# without opening it
	chmod 600 $f.mode & pids+=" $!"
	wait_for 25 asking $MNT setattr $pids || { echo "# not asked"; status=1; }
	kill -9 $pids
	wait $pids 2> /dev/null
	for i in 1 2 3 4; do
		stat $f $f.mode > /dev/null & pids+=" $!"
		cat $f > /dev/null & pids+=" $!"
	done
	sleep 1
	pkill -CONT -x flint-metad
	wait $pids 2> /dev/null
	sleep 2
	[ "$(cat $f | wc -c) $(stat -c %s $f) $(stat -c %a $f.mode)" = "0 0 600" ] ||
		{ echo "# $(cat $f | wc -c) bytes; $(stat -c '%s %a' $f $f.mode | tr '\n' ' ')"; status=1; }
	return $status
}

# The same for a write that makes a file longer, and for changes of names.
size_and_links_seen_late()
{
	local mnt=/mnt/second pids=() status=0 f

	mount_flint nowriteback $mnt
	for f in longer linked removed; do make_file $mnt/$f || return 1; done
	mkdir $mnt/in && ln $mnt/removed $mnt/in/gone && exec 9<> $mnt/longer && cat <&9 > /dev/null || return 1
	stat $mnt/{longer,linked,removed,in/gone,new} > /dev/null 2>&1
	pkill -STOP -x flint-metad
	begin eval 'exec cat /tmp/pattern1 >&9'
	begin ln $mnt/linked $mnt/new
	begin rm -f $mnt/in/gone
	wait_for 25 asking $mnt extend ${pids[0]} || { echo "# no EXTEND"; status=1; }
	wait_for 25 asking $mnt link ${pids[1]} || { echo "# no LINK"; status=1; }
	wait_for 25 asking $mnt unlink ${pids[2]} || { echo "# no UNLINK"; status=1; }
	kill -9 ${pids[@]}
	wait ${pids[@]} 2> /dev/null
	exec 9<&-
	pkill -CONT -x flint-metad
	wait_for 30 [ -e $MNT/new ] && wait_for 30 [ ! -e $MNT/in/gone ] || status=1
	stat -c '%n %s %h' $mnt/{longer,linked,removed} | sed "s,$mnt/,," > /tmp/seen
	echo "longer $((SIZE + PART)) 1;linked $SIZE 2;removed $SIZE 1" | tr ';' '\n' | diff - /tmp/seen || status=1
	cmp $mnt/longer $MNT/longer || status=1
	umount_flint $mnt
	return $status
}

# chattr +i between the steps of a long write: what write(2) counted is there.
immutable_between()
{
	local f=$MNT/frozen n i pid

	for i in 1 2 3 4; do
		rm -f $f
		: > $f
		dd if=/dev/zero of=$f bs=64M count=1 conv=notrunc 2> /tmp/dd.log & pid=$!
		sleep 0.$i
		chattr +i $f
		wait $pid
		sync $f
		n=$(sed -n 's/^\([0-9]*\) bytes.*/\1/p' /tmp/dd.log)
		echo "# ${n:-0} bytes written before it was immutable"
		chattr -i $f && [ "$(stat -c %s $f)" = "${n:-0}" ] && zeros $f 0 "${n:-0}" || return 1
	done
	rm $f
}

for i in 0 1 2 3 4 5; do head -c $PART /dev/urandom > /tmp/pattern$i; done
cluster_start
mount_flint
ok "writes, truncations and holes of the same files outlast frozen chunk servers" writers_go_on
ok "a collapse is carried out once though the metadata server is silent" collapsed_once
ok "what a killed truncation cut off does not come back" stays_cut
ok "changes of killed tasks are seen when they come" seen_late
ok "so are the size and the names" size_and_links_seen_late
ok "chattr +i during a long write loses nothing of what it counted" immutable_between
umount_flint
mount_flint writeback
ok "so they do when the cache is to be written back first" write_back_goes_on
umount_flint
mount_flint writeback
ok "so do writes of parts of pages that are not in the cache" fills_go_on
umount_flint
mount_flint writeback
ok "sync, syncfs and umount outlast frozen servers" sync_goes_on
done_testing
