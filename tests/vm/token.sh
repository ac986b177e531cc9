#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Tokens on a real mount: what one allows and what it does not, in words; expiry, addresses, changed
# claims, squash, and taking one back under a mount's feet.
# uml: too
# timeout: 300
TARGET_SIZE=256M
. "$(dirname "$0")/lib/cluster.sh"

OUT=/tmp/token.out
T=/mnt/tenant
F() { "$B/bin/flint" "$@"; }
make_token() { rm -f "$1"; F token create --dir $STATE --out "$@"; }	# FILE OPTIONS
tmount() { mkdir -p $T; mount.flintfs "$ADDR:/default$2" $T -o "token=$1${3:+,$3}"; }

# says WORDS COMMAND...: it fails, says WORDS on one line, and mounts nothing.
says()
{
	local words=$1
	shift
	"$@" > $OUT 2>&1 && { echo "# it did not fail"; return 1; }
	sed 's/^/# /' $OUT
	grep -qiE "$words" $OUT && [ "$(grep -c . $OUT)" -le 2 ] && ! grep -q " $T flintfs" /proc/mounts
}

fails() { ! "$@" > $OUT 2>&1; }

tree()
{
	mkdir -p $MNT/team/a/sub $MNT/other && echo ours > $MNT/team/a/file && chmod 777 $MNT/team/a &&
		head -c 3000000 /dev/urandom > $MNT/team/a/big && echo theirs > $MNT/other/secret && sync
}

read_only()
{
	make_token /tmp/ro --path /team/a --read-only --note "a test" && tmount /tmp/ro /team/a || return 1
	[ "$(cat $T/file)" = ours ] && cmp $T/big $MNT/team/a/big && dd if=$T/big of=/dev/null bs=64k \
		iflag=direct status=none || return 1
	fails touch $T/new && fails mkdir $T/dir && fails rm $T/file && fails mv $T/file $T/g &&
		fails chmod 700 $T/file && fails dd if=/dev/zero of=$T/big bs=4096 count=1 conv=notrunc &&
		fails truncate -s 1 $T/big && fails ln $T/file $T/h && fails setfattr -n user.a -v b $T/file ||
		return 1
	[ "$(ls $T | tr '\n' ' ')" = "big file sub " ] && cmp $T/big $MNT/team/a/big && umount $T
}

below_is_fine() { tmount /tmp/ro /team/a/sub && ls $T > /dev/null && umount $T; }

read_write()
{
	make_token /tmp/rw --path team && tmount /tmp/rw /team/a || return 1
	cp $T/big $T/copy && cmp $T/copy $MNT/team/a/big && rm $T/copy && mkdir $T/d && rmdir $T/d &&
		umount $T
}

# Both ask chunk servers, which want permits; the clone for two files.
holes_and_clones()
{
	tmount /tmp/rw /team/a && truncate -s 4M $T/holes &&
		echo data | dd of=$T/holes bs=1M seek=2 conv=notrunc status=none || return 1
	[ "$(python3 -c "import os; print(os.lseek(os.open('$T/holes', os.O_RDONLY), 0, os.SEEK_DATA))")" = 2097152 ] &&
		cp --reflink=always $T/big $T/clone && cmp $T/clone $MNT/team/a/big && rm $T/clone $T/holes &&
		umount $T
}

root_is_nobody()
{
	make_token /tmp/sq --path team --root-squash --squash-to 1234:5678 && tmount /tmp/sq /team/a || return 1
	touch $T/by-root || return 1
	[ "$(stat -c %u:%g $MNT/team/a/by-root)" = 1234:5678 ] || { stat $MNT/team/a/by-root; return 1; }
	fails chown 0:0 $T/by-root && rm $T/by-root && umount $T
}

no_secret_shown()
{
	local secret

	secret=$(cut -d: -f3 /tmp/ro)
	tmount /tmp/ro /team/a || return 1
	! grep -q "$secret" /proc/mounts /proc/self/mountinfo /proc/keys && ! dmesg | grep -q "$secret" &&
		! grep -rq "$secret" $STATE --include='*.log' && ! grep 'logon.*flintfs:' /proc/keys
	secret=$?
	umount $T
	return $secret
}

expired() { make_token /tmp/short --expires 1s && sleep 2 && says 'refused our token: the token has expired' tmount /tmp/short ""; }
elsewhere() { make_token /tmp/away --address 192.0.2.0/24 && says 'other addresses' tmount /tmp/away ""; }
here() { make_token /tmp/near --address 10.77.0.0/16 && tmount /tmp/near "" && umount $T; }

# The claims of /tmp/ro without their read-only bit, under the old secret.
forged()
{
	python3 - <<-EOF
		import os
		p, c, s = open("/tmp/ro").read().strip().split(":")
		b = bytearray.fromhex(c)
		b[40] &= 0xfe
		os.umask(0o077)
		open("/tmp/forged", "w").write(":".join([p, b.hex(), s]) + "\n")
	EOF
	F token show /tmp/forged | grep -q "read and write" && says "another cluster's, or was changed" tmount /tmp/forged /team/a
}

open_file() { cp /tmp/ro /tmp/open && chmod 644 /tmp/open && says 'chmod 600' tmount /tmp/open /team/a; }

listed()
{
	F token ls --dir $STATE > $OUT && sed 's/^/# /' $OUT && grep -q ' ro  valid .*/team/a  (a test)' $OUT &&
		grep -q ' expired ' $OUT
}

revoked()
{
	local i

	make_token /tmp/gone --path team && tmount /tmp/gone /team/a soft,meta_timeo=5s && cat $T/file || return 1
	F token revoke --dir $STATE /tmp/gone || return 1
	for ((i = 0; i < 20; i++)); do
		timeout 20 touch $T/late$i 2> /dev/null || break
		sleep 1
	done
	[ $i -lt 20 ] || { echo "# it still works after 20 s"; return 1; }
	echo "# ended after $i s"
	timeout 60 umount $T || return 1
	says 'was revoked' tmount /tmp/gone /team/a
}

mounts_not() { ! tmount "$@" > /dev/null 2>&1 || { umount $T; false; }; }

all_revoked()
{
	sleep 1
	F token revoke --dir $STATE --all && wait_for 30 mounts_not /tmp/rw /team/a &&
		says 'was revoked' tmount /tmp/rw /team/a &&
		ls $MNT/team/a > /dev/null && sleep 1 && make_token /tmp/new && tmount /tmp/new "" && umount $T
}

plan 18
cluster_start --chunk-servers 1
mount_flint
tree || bail "no tree"
ok "a token to read one directory" read_only
ok "a directory below it" below_is_fine
ok "the whole file system with it" says 'token is for file system 1, subtree /team/a' tmount /tmp/ro ""
ok "another directory with it" says 'token is for file system 1, subtree /team/a' tmount /tmp/ro /other
ok "a token to write" read_write
ok "holes and clones with it" holes_and_clones
ok "root is nobody" root_is_nobody
ok "no secret is shown" no_secret_shown
ok "an expired token" expired
ok "a token for other addresses" elsewhere
ok "a token for our addresses" here
ok "changed claims" forged
ok "a token that others can read" open_file
ok "the list" listed
ok "one is revoked while it is mounted" revoked
ok "all are revoked" all_revoked
done_testing
