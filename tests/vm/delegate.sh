#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Delegated creates: many files in a directory of one's own cost a few requests, others see them
# the moment they look, and neither a restart of the metadata server nor its silence loses or hangs
# anything that was synced.
# timeout: 600
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

OTHER=/mnt/other

# costs MOST COMMAND...: a batch goes each second, so a slow machine may take some more.
costs()
{
	local most=$1 before after begun=$SECONDS

	shift
	before=$(counter meta_ops)
	"$@" > /dev/null || return 1
	after=$(counter meta_ops)
	echo "# $1: $((after - before)) requests"
	[ $((after - before)) -le $((most + 3 * (SECONDS - begun))) ]
}

# The metadata server notes where a session may hold leases before it grants them: in time for the first.
first_too()
{
	local before=$(counter delegated)

	mkdir $MNT/first && : > $MNT/first/file || return 1
	[ $(($(counter delegated) - before)) = 1 ]
}

make_many()
{
	local d=$MNT/many i

	mkdir $d || return 1
	for i in $(seq 10); do mkdir $d/sub$i || return 1; done
	for i in $(seq 990); do : > $d/sub$((i % 10 + 1))/file$i || return 1; done
	ln -s nowhere $d/link && mkfifo $d/fifo
}

few_requests()
{
	local before made status=0

	before=$(counter delegated)
	costs 30 make_many || status=1
	made=$(($(counter delegated) - before))
	echo "# $made made without a request"
	[ $made -ge 1000 ] && return $status
}

seen_at_once()
{
	[ "$(find $OTHER/many | wc -l)" = 1003 ] || return 1
	[ "$(readlink $OTHER/many/link)" = nowhere ] && [ -p $OTHER/many/fifo ]
}

make_here() { local i; mkdir $MNT/own && for i in $(seq 100); do : > $MNT/own/f$i || return 1; done; }
look_here()
{
	local i

	for i in $(seq 100); do [ -f $MNT/own/f$i ] && [ ! -e $MNT/own/g$i ] || return 1; done
	! mkdir $MNT/own/f7 2> /dev/null
}

known_here()
{
	costs 15 make_here && costs 3 look_here || return 1
	rm $MNT/own/f1 && [ ! -e $MNT/own/f1 ] && [ ! -e $OTHER/own/f1 ] && [ -e $OTHER/own/f2 ]
}

owners()
{
	mkdir $MNT/group && chgrp 77 $MNT/group && chmod 2775 $MNT/group && mkdir $MNT/group/d || return 1
	(umask 027; : > $MNT/group/d/f)
	[ "$(stat -c %g:%a $MNT/group/d $MNT/group/d/f | tr '\n' ' ')" = "77:2755 77:640 " ] || return 1
	[ "$(stat -c %g:%a $OTHER/group/d $OTHER/group/d/f | tr '\n' ' ')" = "77:2755 77:640 " ]
}

# What is open when it is told is open at the server: it lives on without a name.
open_and_removed()
{
	mkdir $MNT/held && exec 5<> $MNT/held/f || return 1
	sync $MNT/held && rm $OTHER/held/f || return 1
	echo kept >&5 && exec 6< /dev/fd/5 || return 1
	exec 5>&- 6<&-
	[ ! -e $MNT/held/f ]
}

data_too()
{
	local i

	mkdir $MNT/data
	for i in $(seq 30); do echo "$i" > $MNT/data/f$i; done
	[ "$(cat $OTHER/data/f* | sort -n | tail -1)" = 30 ]
}

# Who makes a file has all to itself what it writes to it and sets; another one comes for each of them.
# A second later a request for each has told size and attributes, which nobody waits for.
written_too()
{
	local i before after begun status=0

	mkdir /tmp/tree $MNT/written || return 1
	for i in $(seq 100); do echo "content $i" > /tmp/tree/f$i; done
	chmod 640 /tmp/tree/* && touch -d '2001-02-03 04:05:06' /tmp/tree/* || return 1
	tar cf /tmp/tree.tar -C /tmp/tree . && cat /tmp/tree.tar > /dev/null
	before=$(counter meta_ops) begun=${EPOCHREALTIME/./}
	tar xf /tmp/tree.tar -C $MNT/written --no-overwrite-dir || return 1
	after=$(counter meta_ops) begun=$(((${EPOCHREALTIME/./} - begun) / 1000))
	echo "# 100 files unpacked in $begun ms: $((after - before)) requests until then"
	[ $begun -gt 900 ] || [ $((after - before)) -lt 20 ] || status=1
	for i in $(seq 100); do
		cmp /tmp/tree/f$i $OTHER/written/f$i || return 1
	done
	diff <(stat -c '%a %Y %s' /tmp/tree/f*) <(stat -c '%a %Y %s' $OTHER/written/f*) && return $status
}

# Files that live for a moment, and one that is still open then.
short_lived()
{
	mkdir $MNT/short
	costs 60 python3 - $MNT/short/f <<- 'EOF' || return 1
	import os, sys
	for i in range(100):
	    with open(sys.argv[1], "x") as f:
	        f.write(str(i))
	    assert open(sys.argv[1]).read() == str(i)
	    os.unlink(sys.argv[1])
	EOF
	! dmesg | grep 'not synced is lost' || return 1
	exec 5<> $MNT/short/open && echo held >&5 && rm $MNT/short/open || return 1
	sync -f $MNT || return 1
	[ "$(cat < /dev/fd/5)" = held ] || return 1
	exec 5>&-
	[ -z "$(ls $OTHER/short)" ]
}

# Files count for the limits of who makes them, in whosoever's directory: who has one is told at once.
limits()
{
	local d

	"$B/bin/flint" quota set default:/ --user 1234 --hard 1M --dir $STATE > /dev/null || return 1
	mkdir $MNT/all $MNT/home && chmod 1777 $MNT/all && chown 1234 $MNT/home || return 1
	for d in all home; do
		setpriv --reuid 1234 --clear-groups dd if=/dev/zero of=$MNT/$d/f bs=64k count=40 2> /tmp/dd.log && return 1
		grep -q 'quota exceeded' /tmp/dd.log || { sed 's/^/# /' /tmp/dd.log; return 1; }
		rm $MNT/$d/f
	done
	! dmesg | grep 'not synced is lost'
}

over_restart()
{
	local i pid

	mkdir $MNT/restart
	(for i in $(seq 400); do echo $i > $MNT/restart/f$i || exit 1; done) &
	pid=$!
	sleep 0.3
	pkill -9 -x flint-metad
	cluster_start
	wait $pid && sync $MNT/restart || return 1
	[ "$(ls $OTHER/restart | wc -l)" = 400 ] &&
		[ "$(cat $OTHER/restart/* | sort -n | uniq | wc -l)" = 400 ]
}

# A server that has no room for leases gives none with its answer: what was written is paid at once.
full_table()
{
	local i status=0

	mkdir -p /etc/flintfs && printf '[flint-metad]\nmax-leases = 64\n' > /etc/flintfs/flint-metad.conf
	pkill -9 -x flint-metad
	cluster_start
	mkdir $MNT/full || return 1
	tar xf /tmp/tree.tar -C $MNT/full --no-overwrite-dir || status=1
	for i in $(seq 100); do
		cmp /tmp/tree/f$i $MNT/full/f$i || status=1
	done
	sync -f $MNT && ! dmesg | grep 'not synced is lost' || status=1
	echo 2 > /proc/sys/vm/drop_caches
	diff -r /tmp/tree $OTHER/full || status=1
	diff <(stat -c '%a %Y %s' /tmp/tree/f*) <(stat -c '%a %Y %s' $OTHER/full/f*) || status=1
	rm /etc/flintfs/flint-metad.conf
	pkill -9 -x flint-metad
	cluster_start
	return $status
}

silent_server()
{
	local begun=$SECONDS busy

	mkdir $MNT/silent && : > $MNT/silent/synced && sync $MNT/silent || return 1
	pkill -STOP -x flint-metad
	: > $MNT/silent/lost
	mkdir $MNT/silent/in
	(exec 7> $MNT/silent/in/f && cd $MNT/silent/in && exec sleep 100) & busy=$!
	(cat $MNT/silent/none; sync -f $MNT) 2> /dev/null &
	sleep 1
	kill -9 $!
	umount -f $MNT 2> /dev/null
	umount -l $MNT 2> /dev/null
	pkill -CONT -x flint-metad
	{ kill -9 $busy && wait $busy; } 2> /dev/null	# what failed meanwhile was a directory in use
	[ $((SECONDS - begun)) -lt 60 ] && [ -e $OTHER/silent/synced ]
}

# made_last DIRECTORY: while the server is silent 300 files are closed, more than requests may be on their
# way, a directory is made, and $UMOUNT unmounts. Not by umount(8), which looks at the root first.
made_last()
{
	mkdir $MNT/$1 || return 1
	python3 - $MNT $MNT/$1 <<- 'EOF' &
	import ctypes, os, subprocess, sys
	mount, d = sys.argv[1:]
	files = [open(f"{d}/f{i}", "w") for i in range(300)]
	os.sync()
	subprocess.run(["pkill", "-STOP", "-x", "flint-metad"], check=True)
	for f in files:
	    f.close()
	os.mkdir(f"{d}/last")
	sys.exit(ctypes.CDLL(None).umount2(mount.encode(), 0) != 0)
	EOF
	UMOUNT=$!
	wait_for 60 detached
}

detached() { ! grep -q " $MNT flintfs " /proc/mounts; }

umount_killed()
{
	local status=0

	made_last killed || status=1
	sleep 0.3
	kill -9 $UMOUNT
	sleep 2
	pkill -CONT -x flint-metad
	wait $UMOUNT 2> /dev/null	# the shell would tell that it was killed
	mount_flint
	[ $status = 0 ] && [ -d $MNT/killed/last ]
}

umount_of_slow_server()
{
	local status=0

	made_last slow || status=1
	sleep 7
	pkill -CONT -x flint-metad
	wait $UMOUNT || status=1
	mount_flint
	[ $status = 0 ] && [ -d $MNT/slow/last ] && ! dmesg | grep 'wrong timeout value'
}

cluster_start
mount_flint
mount_flint "" $OTHER
ok "the first directory of a mount is its own" first_too
ok "a thousand files cost a few requests" few_requests
ok "another mount sees them at once" seen_at_once
ok "what is there and what is not is known here" known_here
ok "owners and modes as the server would give them" owners
ok "an open file is open for the server, too" open_and_removed
ok "data of such files" data_too
ok "data and attributes of many" written_too
ok "files that are removed at once" short_lived
ok "two mounts agree on what either makes" "$B/vm/delegate" $MNT $OTHER "${ROUNDS:-40}"
ok "limits of others than the directory's owner" limits
ok "a new start of the metadata server loses nothing" over_restart
ok "one that has no lease to give" full_table
ok "umount that is killed loses nothing" umount_killed
ok "umount while the server is silent for seven seconds loses nothing" umount_of_slow_server
ok "a silent one hangs nothing" silent_server
umount_flint $OTHER
done_testing
