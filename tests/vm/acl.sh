#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# POSIX ACLs through the mount: what they allow and refuse, masks, inheritance,
# umask, and that another mount sees a change at once.
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

OTHER=/mnt/other
D=$MNT/acl

as() { setpriv --reuid "$1" --regid "$1" --clear-groups -- "${@:2}"; }

grants_and_refuses()
{
	echo secret > $D/f
	chmod 640 $D/f
	as 1000 cat $D/f 2> /dev/null && return 1
	setfacl -m u:1000:r $D/f || return 1
	as 1000 cat $D/f > /dev/null || return 1
	as 1001 cat $D/f 2> /dev/null && return 1
	as 1000 sh -c "echo x > $D/f" 2> /dev/null && return 1
	setfacl -x u:1000 $D/f
	! as 1000 cat $D/f 2> /dev/null
}

mask_and_chmod()
{
	setfacl -m u:1000:rw,m::rw $D/f
	as 1000 sh -c "echo y >> $D/f" || return 1
	chmod 600 $D/f			# the group bits are the mask
	as 1000 cat $D/f 2> /dev/null && return 1
	getfacl -cn $D/f 2> /dev/null | grep -q '^mask::---' || return 1
	setfacl -b $D/f
	[ "$(stat -c %a $D/f)" = 600 ] && ! getfacl -cn $D/f 2> /dev/null | grep -q mask
}

inherits()
{
	mkdir $D/d
	setfacl -d -m u:1000:rwx,g::r,o::- $D/d || return 1
	(umask 077 && mkdir $D/d/sub && echo in > $D/d/file) || return 1
	getfacl -cn $D/d/sub 2> /dev/null | grep -q '^default:user:1000:rwx' || return 1
	getfacl -cn $D/d/file 2> /dev/null | grep -q '^user:1000:rw' || return 1
	as 1000 cat $D/d/file > /dev/null
}

umask_without_acl()
{
	(umask 027 && touch $D/u && mkdir $D/ud && mknod $D/up p) || return 1
	[ "$(stat -c %a $D/u)$(stat -c %a $D/ud)$(stat -c %a $D/up)" = 640750640 ]
}

# Set-group-id goes when somebody sets an ACL who is not in the file's group; not for its members.
setgid_is_dropped()
{
	echo x > $D/sg && cp $D/sg $D/member || return 1
	chown 1000:77 $D/sg $D/member && chmod 2755 $D/sg $D/member || return 1
	as 1000 setfacl -m u:1001:r $D/sg || return 1
	setpriv --reuid 1000 --regid 1000 --groups 77 -- setfacl -m u:1001:r $D/member || return 1
	[ "$(stat -c %a $D/sg)" = 755 ] && [ "$(stat -c %a $D/member)" = 2755 ] &&
		[ "$(stat -c %a $OTHER/acl/sg)" = 755 ] &&
		getfacl -cn $D/sg 2> /dev/null | grep -q '^user:1001:r--' || return 1
	chmod 2755 $D/sg
	setfacl -m u:1001:rw $D/sg	# root keeps it
	[ "$(stat -c %a $D/sg)" = 2775 ]
}

seen_by_other()
{
	echo shared > $D/s
	chmod 640 $D/s
	as 1000 cat $OTHER/acl/s 2> /dev/null && return 1
	setfacl -m u:1000:r $D/s
	as 1000 cat $OTHER/acl/s > /dev/null || return 1
	setfacl -x u:1000 $D/s
	! as 1000 cat $OTHER/acl/s 2> /dev/null
}

if ! command -v setfacl > /dev/null; then
	echo "1..0 # SKIP the package acl is missing"
	exit 0
fi
cluster_start
mount_flint
mount_flint "" $OTHER
mkdir $D
chmod 755 $MNT $D
ok "an ACL allows and refuses" grants_and_refuses
ok "the mask, and chmod that changes it" mask_and_chmod
ok "default ACLs are inherited and take umask's place" inherits
ok "without one umask applies" umask_without_acl
ok "an ACL takes set-group-id from a file of a foreign group" setgid_is_dropped
ok "another mount sees an ACL's change at once" seen_by_other
umount_flint $OTHER
done_testing
