#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The mount helper in a guest: each mistake ends in one sentence that names the
# remedy, leaves nothing mounted and no key behind; a good mount works with
# names, several managers, sub-trees, options and remount.
# uml: too
# timeout: 600
# proto: own

. "$(dirname "$0")/lib/cluster.sh"

M=$B/bin/mount.flintfs
OUT=/tmp/mount.out

# says WORDS COMMAND...: it fails, says WORDS, and mounts nothing.
says()
{
	local words=$1
	shift
	"$@" > $OUT 2>&1 && { echo "# it did not fail"; return 1; }
	sed 's/^/# /' $OUT
	grep -qiE "$words" $OUT && [ "$(grep -c . $OUT)" -le 2 ] && ! grep -q " $MNT flintfs" /proc/mounts
}

mnt() { mount.flintfs "$ADDR:/default" $MNT -o "secretfile=$KEY${1:+,$1}"; }
no_keys_left() { ! grep 'logon.*flintfs:' /proc/keys; }

wrong_key()
{
	"$B/bin/flint" cluster init --key /tmp/other.key > /dev/null
	says 'key' mount.flintfs "$ADDR:/default" $MNT -o secretfile=/tmp/other.key
}

subtree()
{
	mnt && mkdir -p $MNT/a/b && echo hello > $MNT/a/b/file && umount $MNT &&
		mount.flintfs "$ADDR:/default/a/b" $MNT -o secretfile=$KEY,ro &&
		grep -q hello $MNT/file && ! touch $MNT/new 2> /dev/null && umount $MNT
}

remount()
{
	mnt && mount -o remount,ro $MNT && ! touch $MNT/x 2> /dev/null &&
		mount -o remount,rw $MNT && touch $MNT/x && umount $MNT
}

remount_began_ro()
{
	mnt ro && ! touch $MNT/began 2> /dev/null && mount -o remount,rw $MNT &&
		touch $MNT/began && echo text > $MNT/began && mkdir $MNT/began.d &&
		touch $MNT/began.d/f && umount $MNT
}

# What was made and written the moment before is with the servers: umount -f tells them nothing.
remount_pays()
{
	local status=0

	mnt && mkdir $MNT/owed && echo written > $MNT/owed/f && mount -o remount,ro $MNT || return 1
	sync && umount -f $MNT && mnt || return 1
	[ "$(cat $MNT/owed/f)" = written ] || status=1
	umount $MNT
	return $status
}

no_symlinks()
{
	mount -t flintfs "$ADDR:/default" $MNT -o secretfile=$KEY,nosymfollow && echo text > $MNT/text &&
		ln -s text $MNT/link && ! cat $MNT/link && [ "$(readlink $MNT/link)" = text ] &&
		mount -o remount,symfollow $MNT && [ "$(cat $MNT/link)" = text ] && umount $MNT
}

# mount(8) leaves it to its helper to go to the namespace of -N.
in_namespace()
{
	local pid status=0 i

	unshare -m --propagation private sleep 1000 & pid=$!
	for i in $(seq 300); do
		[ "$(readlink /proc/$pid/ns/mnt)" != "$(readlink /proc/self/ns/mnt)" ] &&
			grep -q sleep /proc/$pid/comm && break
		sleep 0.1
	done
	mount -N $pid -t flintfs "$ADDR:/default" $MNT -o secretfile=$KEY || status=1
	grep -q " $MNT flintfs" /proc/$pid/mounts || status=1
	grep " $MNT flintfs" /proc/mounts && status=1
	kill -9 $pid
	wait $pid 2> /dev/null
	return $status
}

# The kernel waits for the daemons' use of the device: they go first.
no_device()
{
	cluster_stop && rdma link delete rxe0 || return 1
	says 'no RDMA device.*rdma link add' mnt proto=rdma
}

# A server of another protocol version: told on connecting (reject-version) or in its HELLO.
other_version()
{
	local pid status i

	"$B/vm/hostile_server" -m "$1" -p "$2" -k $KEY > /tmp/hostile.log 2>&1 & pid=$!
	for i in $(seq 100); do
		grep -q listening /tmp/hostile.log && break
		sleep 0.2
	done
	says "manager at $ADDR:$2 speaks another protocol version.*version 9.*1.*install matching" \
		mount.flintfs "$ADDR:$2:/default" $MNT -o secretfile=$KEY
	status=$?
	kill -9 $pid
	wait $pid 2> /dev/null
	return $status
}

cluster_start --chunk-servers 1 --size 128M
mkdir -p $MNT
echo "$ADDR server.example" >> /etc/hosts

plan 22
ok "an unknown file system" says 'no such file system|no file system|nonesuch' \
	mount.flintfs "$ADDR:/nonesuch" $MNT -o secretfile=$KEY
ok "an unknown option" says 'bogus' mnt bogus
ok "an option's bad value" says 'io_timeo' mnt io_timeo=soon
ok "a wrong key" wrong_key
ok "a port where nobody listens" says 'manager' \
	mount.flintfs "$ADDR:7999:/default" $MNT -o secretfile=$KEY
ok "an address that nobody has" says 'manager|reach' \
	mount.flintfs "10.77.0.99:/default" $MNT -o secretfile=$KEY,connect_timeo=2s
ok "another protocol version, told on connecting" other_version reject-version 9901
ok "another protocol version, told in HELLO" other_version hello-version 9902
ok "an unknown sub-tree" says 'no such|nodir|subtree' \
	mount.flintfs "$ADDR:/default/nodir" $MNT -o secretfile=$KEY
ok "no key is left in a keyring" no_keys_left
ok "by name" mount.flintfs "server.example:/default" $MNT -o secretfile=$KEY,noatime
ok "flint mounts lists it" grep -q "server.example:/default on $MNT" <("$B/bin/flint" mounts)
umount_flint
ok "several managers, one away" mount.flintfs "10.77.0.99,$ADDR:/default" $MNT \
	-o secretfile=$KEY,connect_timeo=2s
umount_flint
ok "a sub-tree, read-only" subtree
ok "remount" remount
ok "a mount that began read-only can be written after a remount" remount_began_ro
ok "a mount that becomes read-only owes nothing" remount_pays
ok "mount -N" in_namespace
ok "symbolic links are not followed" no_symlinks
ok "no RDMA device" no_device
done_testing
