#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A client whose servers are all gone reboots, by systemd: with data that was not written back, open
# files, and tasks that wait for the servers.
# timeout: 500
# proto: own
set -u
. "$(dirname "$0")/lib/systemd.sh"
OPTIONS=,writeback
SYSTEM_CONF='DefaultTimeoutStopSec=10s\n'
LIMIT=240		# seconds; systemd waits 10 for most of what does not end

users_work()
{
	local i

	exec 9> $MNT/open
	dd if=/dev/urandom of=$MNT/dirty bs=1M count=4 status=none || return 1
	for i in 1 2 3; do
		(while :; do echo line >> $MNT/log$i; mkdir $MNT/d$i; rmdir $MNT/d$i; done) &
		(while :; do dd if=/dev/zero of=$MNT/direct$i bs=1M count=1 oflag=direct status=none; done) &
	done
	flock $MNT/lock sleep 1000 &
	sleep 2
	dd if=/dev/urandom of=$MNT/dirty bs=1M count=4 conv=notrunc status=none
}

check()
{
	begun
	ok "the fstab entry is mounted" mounted
	ok "files are used" users_work
	ok "all servers stop" systemctl stop flint-chunkd flint-metad flint-mgrd
	sleep 15
	handed_on
	cut -d. -f1 /proc/uptime > $INSTALL/began
	systemctl --no-block start reboot.target
	sleep 1000		# what it began goes on
}

# The last of systemd, after it has killed all tasks and unmounted what it can.
leave_hook()
{
	cp /run/ctl/env $INSTALL/env
	cat > /lib/systemd/system-shutdown/flint-report <<-EOF
		#!/bin/bash
		set -a
		. $INSTALL/env
		exec $INSTALL/test last "\$1" > /dev/hvc0 2>&1
	EOF
	chmod +x /lib/systemd/system-shutdown/flint-report
}

in_time()
{
	local took=$(($(cut -d. -f1 /proc/uptime) - $(cat $INSTALL/began)))

	echo "$took s"
	[ $took -lt $LIMIT ]
}

last()
{
	begun
	[ -e /run/ctl/env ] || mount -t 9p -o trans=virtio,version=9p2000.L ctl /run/ctl
	ok "systemd came to its end and reboots" [ "$1" = reboot ]
	ok "it took less than $LIMIT s" in_time
	sed 's/^/# /' $INSTALL/out
	ok "kernel log is clean" log_clean
	end_run
}

case ${1:-} in
check) check > /dev/hvc0 2>&1 ;;
report) journalctl -q -o short-monotonic --no-pager | tail -n 150 > $INSTALL/journal ;;
last) last "$2" ;;
*) prepare && leave_hook ;;
esac
