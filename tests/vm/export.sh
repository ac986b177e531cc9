#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A mount exported by the kernel's NFS server: what either side writes the other one reads, locks hold
# on both, a tree survives the way through NFS, and handles outlive the servers and the exporting mount.
# uml: too
# timeout: 300
. "$(dirname "$0")/lib/cluster.sh"

NFS=/mnt/nfs

nfsd_start()
{
	exportfs -ra || return 1
	rpc.nfsd -N 3 2 || return 1
	echo Y > /proc/fs/nfsd/v4_end_grace
}

nfsd_stop()
{
	rpc.nfsd 0
	exportfs -ua
}

export_mount()
{
	modprobe -a nfsd nfsv4 || return 1
	mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
	mkdir -p /var/lib/nfs/v4recovery $NFS
	touch /var/lib/nfs/etab /var/lib/nfs/rmtab
	echo "$MNT *(rw,sync,no_root_squash,no_subtree_check,insecure,fsid=0)" > /etc/exports
	# A client that this server has not met does not wait for those of before.
	echo 10 > /proc/fs/nfsd/nfsv4leasetime
	echo 10 > /proc/fs/nfsd/nfsv4gracetime
	rpc.mountd -N 2 -N 3 && nfsd_start &&
		mount -t nfs4 -o proto=tcp,vers=4.2,acregmin=0,acdirmin=0,acregmax=0,acdirmax=0 $ADDR:/ $NFS
}

tree_survives()
{
	cp -a $FLINT_ROOT/kmod/compat $NFS/tree && diff -r $FLINT_ROOT/kmod/compat $MNT/tree &&
		cp -a $MNT/tree $MNT/again && diff -r $MNT/again $NFS/again &&
		rm -r $NFS/tree && [ ! -e $MNT/tree ]
}

seen_by_both()
{
	echo one > $NFS/f && [ "$(cat $MNT/f)" = one ] || return 1
	echo three > $MNT/f && [ "$(cat $NFS/f)" = three ] || return 1
	dd if=/dev/urandom of=$MNT/f bs=64k count=16 oflag=direct conv=notrunc status=none
	cmp $MNT/f $NFS/f || return 1
	dd if=/dev/urandom of=$NFS/f bs=4k seek=3 count=7 conv=notrunc,fsync status=none
	cmp $MNT/f $NFS/f || return 1
	# The same size, kept in memory here.
	printf AAAA > $NFS/s && [ "$(cat $NFS/s)" = AAAA ] && printf BBBB 1<> $MNT/s &&
		[ "$(cat $NFS/s)" = BBBB ] || return 1
	truncate -s 5000 $MNT/f && [ "$(stat -c %s $NFS/f)" = 5000 ] &&
		mv $NFS/f $NFS/g && [ ! -e $MNT/f ] && ln $MNT/g $MNT/h && ln -s g $NFS/l &&
		[ "$(stat -c %h $NFS/g)" = 2 ] && cmp $MNT/l $NFS/h &&
		chmod 604 $MNT/g && [ "$(stat -c %a $NFS/g)" = 604 ] &&
		chown 12:34 $NFS/g && [ "$(stat -c %u:%g $MNT/g)" = 12:34 ] &&
		touch -d @1000000000 $NFS/g && [ "$(stat -c %Y $MNT/g)" = 1000000000 ]
}

# Byte-range locks of one side refuse those of the other.
locks_hold()
{
	python3 - $MNT/g $NFS/g <<- 'EOF'
	import fcntl, sys
	for mine, theirs in (sys.argv[1:], sys.argv[:0:-1]):
	    a, b = open(mine, "r+"), open(theirs, "r+")
	    fcntl.lockf(a, fcntl.LOCK_EX, 10, 0)
	    fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 10)
	    try:
	        fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
	        sys.exit(f"# {mine} is locked, and {theirs} was locked, too")
	    except OSError:
	        pass
	    a.close()
	    fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
	    b.close()
	EOF
}

# One that this kernel gives (to knfsd: a delegation) would not be recalled by other machines.
no_local_lease()
{
	python3 - $MNT/g $MNT <<- 'EOF'
	import errno, fcntl, os, sys
	for path in sys.argv[1:]:
	    try:
	        fcntl.fcntl(os.open(path, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)
	        sys.exit(f"# {path}: a lease was given")
	    except OSError as e:
	        if e.errno != errno.EINVAL:
	            raise
	EOF
}

# What the NFS server has answered is durable, though it is made in a directory of its own.
survives_abort()
{
	mkdir $NFS/made && : > $NFS/made/empty && echo moded > $NFS/made/f && chmod 611 $NFS/made/f &&
		touch -d @1000000001 $NFS/made/f || return 1
	echo 1 > /sys/fs/flintfs/*/abort
	nfsd_stop
	umount_flint
	mount_flint
	nfsd_start
	[ -e $MNT/made/empty ] && [ "$(stat -c %a:%Y $MNT/made/f)" = 611:1000000001 ]
}

# The client's directory and file are known to it by their handles only.
handles_outlive_mount()
{
	local dir=/proc/self/fd/7

	mkdir -p $NFS/a/b && echo kept > $NFS/a/b/f && exec 7< $NFS/a/b && [ "$(cat $dir/f)" = kept ] || return 1
	nfsd_stop
	umount_flint
	cluster_kill
	cluster_start
	mount_flint
	nfsd_start && [ "$(cat $dir/f)" = kept ] && echo more >> $dir/f && mv $MNT/a/b/f $MNT/a/moved &&
		[ ! -e $dir/f ] && [ "$(cat $dir/../moved)" = $'kept\nmore' ] || return 1
	rm -r $MNT/a
	! stat -L $dir > /tmp/stat.log 2>&1 && grep -q Stale /tmp/stat.log
	local status=$?
	exec 7<&-
	return $status
}

plan 9
cluster_start
mount_flint
ok "knfsd exports the mount, and it is mounted" export_mount
ok "trees survive the way through NFS, and the way back" tree_survives
ok "each side sees at once what the other one did" seen_by_both
ok "locks hold on both sides" locks_hold
ok "a lease of fcntl is refused" no_local_lease
ok "what was answered outlives the end of the mount" survives_abort
ok "handles outlive the servers and the exporting mount" handles_outlive_mount
umount $NFS
nfsd_stop
killall -q rpc.mountd
done_testing
