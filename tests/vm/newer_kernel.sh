#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The module in Debian's Linux 6.12, with real servers: names, data in each of the ways in which it
# comes and goes, ACLs and locks, which newer kernels hand over differently, and a mount over TCP.
# vm: --kernel 6.12
. "$(dirname "$0")/lib/cluster.sh"

OTHER=/mnt/other

names()
{
	(
		cd $MNT && mkdir d && echo one > d/a && ln d/a d/b && mv d/b c && ln -s d/a s &&
			[ "$(cat s)" = one ] && [ "$(stat -c %h c)" = 2 ] && chmod 4711 c &&
			touch -d @1234567890.5 c && [ "$(stat -c '%a %.1Y' d/a)" = "4711 1234567890.5" ] &&
			rm c s d/a && rmdir d && [ -z "$(ls -A .)" ]
	)
}

data()
{
	dd if=/dev/urandom of=/tmp/random bs=300k count=9 status=none
	dd if=/tmp/random of=$MNT/data bs=300k oflag=direct status=none &&
		dd if=$MNT/data of=/tmp/back bs=300k iflag=direct status=none && cmp /tmp/random /tmp/back &&
		cmp /tmp/random $MNT/data && cp $MNT/data $MNT/copy && cmp /tmp/random $MNT/copy &&
		truncate -s 1000001 $MNT/data && [ "$(head -c 1000001 /tmp/random | cksum)" = \
			"$(cksum < $MNT/data)" ]
}

# sendfile() out of the page cache.
spliced()
{
	python3 -c 'import os, sys
src = os.open(sys.argv[1], os.O_RDONLY)
dst = os.open("/tmp/sent", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
while os.sendfile(dst, src, None, 1 << 20): pass' $MNT/copy && cmp /tmp/random /tmp/sent
}

acl_kept()
{
	echo a > $MNT/acl && setfacl -m u:1000:rw $MNT/acl &&
		getfacl -cn $OTHER/acl | grep -q '^user:1000:rw-' &&
		setpriv --reuid 1000 --regid 1000 --clear-groups -- sh -c "echo b >> $MNT/acl" &&
		setfacl -b $OTHER/acl && ! getfacl -cn $MNT/acl | grep -q '^user:1000'
}

lock_held()
{
	: > $MNT/lock
	(
		flock -n 8 || exit 1
		flock -n $OTHER/lock true && exit 1
		flock -u 8
		flock -n $OTHER/lock true
	) 8> $MNT/lock
}

over_tcp()
{
	dd if=/tmp/random of=$OTHER/random bs=300k oflag=direct status=none &&
		cmp /tmp/random $MNT/random && cmp /tmp/random $OTHER/random
}

plan 9
cluster_start
mount_flint
ok "the kernel is Linux 6.12" test "$(uname -r | cut -d. -f1,2)" = 6.12
ok "names, links, modes and times" names
ok "data written and read directly, cached and copied" data
ok "data sent out of the page cache" spliced
mount_flint proto=tcp $OTHER
ok "an ACL is kept and obeyed" acl_kept
ok "a lock holds for another mount" lock_held
ok "data over TCP and over RDMA is the same" over_tcp
umount_flint $OTHER
done_testing
