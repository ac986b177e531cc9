#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Leases of the kernel client: what is known costs no request, what another
# mount changes is seen with the next call, also over a restart of the metadata
# server; and the way without leases.
# timeout: 900
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

OTHER=/mnt/other

# At most @1 requests (the session is kept alive meanwhile) for the command.
costs()
{
	local most=$1 before after

	shift
	before=$(counter meta_ops $MNT)
	"$@" > /dev/null || return 1
	after=$(counter meta_ops $MNT)
	echo "# $*: $((after - before)) requests"
	[ $((after - before)) -le "$most" ]
}

stat_all() { stat $MNT/warm/*; }
miss_all() { local i; for i in $(seq 200); do [ ! -e "$MNT/warm/absent$i" ] || return 1; done; }

warm_costs_nothing()
{
	local i

	mkdir $MNT/warm
	for i in $(seq 200); do echo "$i" > "$MNT/warm/f$i"; done
	sync -f $MNT		# what is owed costs requests, too
	ls -l $MNT/warm > /dev/null
	costs 20 stat_all || return 1		# the glob reads the directory
	costs 20 stat_all || return 1
	miss_all
	costs 3 miss_all
	# Cold, with the label and the ACL of each, which nobody has.
	echo 3 > /proc/sys/vm/drop_caches
	costs 20 ls -l $MNT/warm
}

labels_are_seen()
{
	local f=warm/f9

	ls -l $MNT/$f > /dev/null
	! getfattr -n user.a $MNT/$f 2> /dev/null || return 1
	setfattr -n user.a -v b $OTHER/$f || return 1
	[ "$(getfattr --only-values -n user.a $MNT/$f 2> /dev/null)" = b ] || return 1
	setfattr -n user.c -v d $MNT/$f
	setfattr -x user.a $OTHER/$f
	! getfattr -n user.a $MNT/$f 2> /dev/null && getfattr -d $OTHER/$f 2> /dev/null | grep -q 'user.c="d"'
}

# A name costs one request to be made; whether it is there already is not asked before.
make_dirs() { mkdir $MNT/made/{1..50}; }

# refused WORDS COMMAND...: it fails and says so.
refused()
{
	local words=$1

	shift
	LC_ALL=C "$@" 2>&1 > /dev/null | tee /dev/stderr | grep -q "$words"
}

making_costs_one()
{
	local nobody="setpriv --reuid 65534 --clear-groups --"

	mkdir $MNT/made
	costs 55 make_dirs || return 1
	# Made elsewhere, and never looked at here.
	mkdir $OTHER/made/{a,b,c}
	refused "File exists" mkdir $MNT/made/a &&
		refused "File exists" ln -sT x $MNT/made/b &&
		refused "File exists" $nobody mkdir $MNT/made/c &&
		refused "Permission denied" $nobody mkdir $MNT/made/d &&
		[ -d $MNT/made/a ] && [ -d $MNT/made/b ] && [ ! -e $MNT/made/d ] || return 1
	mount -o remount,ro $MNT
	mkdir $OTHER/made/e
	refused "File exists" mkdir $MNT/made/e && refused "Read-only" mkdir $MNT/made/g
	local status=$?
	mount -o remount,rw $MNT
	return $status
}

recalls_are_counted()
{
	local before after

	before=$(counter recalls $MNT)
	stat $MNT/warm/f7 > /dev/null
	chmod 600 $OTHER/warm/f7
	[ "$(stat -c %a $MNT/warm/f7)" = 600 ] || return 1
	after=$(counter recalls $MNT)
	[ "$after" -gt "$before" ]
}

read_all() { cat $MNT/warm/f*; }

warm_open_costs_nothing()
{
	read_all > /dev/null
	costs 3 read_all
}

# open_and_removed DIR: a file opened here without a request, removed through DIR.
open_and_removed()
{
	local text="kept by who has it open, $RANDOM" got

	echo "$text" > $MNT/warm/held
	cat $MNT/warm/held > /dev/null		# takes the lease
	sleep 1
	cat $MNT/warm/held > /dev/null
	costs 3 eval "exec 5< $MNT/warm/held" || return 1
	rm "$1/warm/held"
	[ ! -e $MNT/warm/held ] || return 1
	sleep 2					# the server had time to reap it
	echo 3 > /proc/sys/vm/drop_caches
	got=$(cat <&5)
	exec 5<&-
	[ "$got" = "$text" ]
}

open_over_restart()
{
	local text="still there, $RANDOM" got

	echo "$text" > $MNT/warm/held
	cat $MNT/warm/held > /dev/null
	sleep 1
	cat $MNT/warm/held > /dev/null
	costs 3 eval "exec 5< $MNT/warm/held" || return 1
	pkill -9 -x flint-metad
	cluster_start
	rm $OTHER/warm/held || return 1
	sleep 2
	echo 3 > /proc/sys/vm/drop_caches
	got=$(cat <&5)
	exec 5<&-
	[ "$got" = "$text" ]
}

torture() { mkdir -p "$MNT/t$2" && "$B/vm/leases" "$MNT/t$2" "$OTHER/t$2" "$1" "$2"; }

torture_over_restart()
{
	local pid

	torture 25 2 &
	pid=$!
	sleep 8
	pkill -9 -x flint-metad
	sleep 1
	cluster_start
	wait $pid && return
	find $STATE -name '*.log' -path '*meta*' -exec tail -n 30 {} + | sed 's/^/# /'
	return 1
}

without_leases()
{
	umount_flint $OTHER || return 1
	mount_flint nolease $OTHER
	grep -q " $OTHER flintfs .*nolease" /proc/mounts || return 1
	echo x > $MNT/warm/new
	sleep 2		# its absence may have been kept for a second
	[ "$(cat $OTHER/warm/new)" = x ] || return 1
	chmod 640 $OTHER/warm/new		# by a session that takes no part
	[ "$(stat -c %a $MNT/warm/new)" = 640 ]
}

cluster_start
mount_flint
mount_flint "" $OTHER
ok "what is known costs no request" warm_costs_nothing
ok "that there are no xattrs is known, and when there are" labels_are_seen
ok "making a name costs one request, and tells what is there" making_costs_one
ok "a recall comes, and the next call sees the change" recalls_are_counted
ok "opening and reading again costs no request" warm_open_costs_nothing
ok "a file opened without a request outlives its removal elsewhere" open_and_removed $OTHER
ok "and its removal here" open_and_removed $MNT
ok "also after a new start of the metadata server" open_over_restart
ok "two mounts see each other's changes at once" torture 30 1
ok "also while the metadata server is killed and started again" torture_over_restart
ok "a mount without leases lives beside one with them" without_leases
umount_flint $OTHER
done_testing
