#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Sizes under concurrency (extend.c), and two mounts of one file system: what
# one wrote and closed, the other sees when it opens.
# timeout: 600
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

OTHER=/mnt/other

seen_after_close()
{
	echo one > $MNT/shared
	[ "$(cat $OTHER/shared)" = one ] || return 1
	echo two, longer > $OTHER/shared
	[ "$(cat $MNT/shared)" = "two, longer" ] || return 1
	printf 1 | dd of=$MNT/shared bs=1 conv=notrunc status=none
	[ "$(cat $OTHER/shared)" = "1wo, longer" ]
}

# A writer with an old truncate epoch must notice the other mount's truncation.
truncation_reaches_writer()
{
	dd if=/dev/zero of=$MNT/log bs=4k count=4 oflag=direct status=none
	exec 3>> $MNT/log
	printf '%8192s' a >&3
	: > $OTHER/log
	printf '%100s' b >&3
	exec 3>&-
	[ "$(stat -c %s $MNT/log)" = 100 ] && [ "$(tr -d ' ' < $OTHER/log)" = b ]
}

appends_from_both()
{
	local i

	: > $MNT/app
	for i in 1 2 3 4 5 6 7 8 9 10; do echo "$i" >> $MNT/app; done &
	for i in 1 2 3 4 5 6 7 8 9 10; do echo "$i" >> $OTHER/app; done
	wait
	[ "$(sort -n < $MNT/app | uniq -c | awk '$1 == 2' | wc -l)" = 10 ]
}

names_at_once()
{
	mkdir $MNT/names && touch $MNT/names/a && [ -e $OTHER/names/a ] || return 1
	mv $OTHER/names/a $OTHER/names/b
	[ ! -e $MNT/names/a ] && [ -e $MNT/names/b ]
}

cluster_start
mount_flint
mount_flint "" $OTHER
mkdir $MNT/t
"$B/vm/extend" $MNT/t || tap_failed=1
tap_n=7
ok "two mounts: data is seen after close and open" seen_after_close
ok "two mounts: a truncation reaches the other's writer" truncation_reaches_writer
ok "two mounts: appends do not overwrite each other" appends_from_both
ok "two mounts: names are seen at once" names_at_once
umount_flint $OTHER
done_testing
