#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A machine that boots with systemd: the installed units start manager, metadata server and chunk
# server as an unprivileged user, an /etc/fstab line with _netdev is mounted at boot over software
# RDMA, and at shutdown the mount goes first, then the daemons, then the network.
# timeout: 400
# proto: own
set -u
. "$(dirname "$0")/lib/systemd.sh"

daemons_run()
{
	local d

	for d in mgrd metad chunkd; do
		systemctl is-active "flint-$d" || { systemctl status --no-pager -l "flint-$d"; return 1; }
		[ "$(ps -o user= -p "$(systemctl show -P MainPID "flint-$d")")" = flintfs ] || return 1
	done
}

works()
{
	dd if=/dev/urandom of=$MNT/file bs=1M count=8 oflag=direct status=none &&
		sha256sum $MNT/file > $MNT/sum && echo 3 > /proc/sys/vm/drop_caches &&
		sha256sum -c --quiet $MNT/sum && flint status
}

check()
{
	begun
	ok "systemd runs the three daemons, as flintfs" daemons_run
	ok "the fstab entry is mounted" mounted
	ok "no unit failed" bash -c '! systemctl --failed --no-legend --plain | grep .'
	ok "files can be written and read" works
	handed_on
	systemctl --no-block start poweroff.target
}

# The line of the journal that says that a unit ended.
at() { journalctl -q -o cat --no-pager _PID=1 | grep -nE "$1" | tail -n 1 | cut -d: -f1; }

# before WHAT WHEN: both happened, in this order.
before()
{
	local a b

	a=$(at "$1") b=$(at "$2")
	echo "'$1': line $a, '$2': line $b"
	[ -n "$a" ] && [ -n "$b" ] && [ "$a" -lt "$b" ]
}

never_late() { ! dmesg | grep -E 'flintfs: .*(no answer|trying again|nothing heard|closed the connection)'; }

report()
{
	local d

	begun
	for d in mgrd metad chunkd; do
		ok "unmounted before flint-$d stops" before "Unmounted mnt-flint" "Stopped flint-$d"
		ok "flint-$d ends by itself" bash -c "journalctl -q -o cat _PID=1 | grep -q 'flint-$d.service: Deactivated successfully'"
		ok "flint-$d stops before the network" before "Stopped flint-$d" "Stopped flint-net"
	done
	ok "the mount never missed its servers" never_late
	ok "the module unloads" rmmod flintfs
	ok "kernel log is clean" log_clean
	journalctl -q -o short-monotonic --no-pager | tail -n 150 > $INSTALL/journal
	end_run
	echo o > /proc/sysrq-trigger
	sleep 30
}

case ${1:-} in
check) check > /dev/hvc0 2>&1 ;;
report) report > /dev/hvc0 2>&1 ;;
*) prepare ;;
esac
