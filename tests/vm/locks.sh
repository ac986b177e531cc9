#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# File locks between two mounts (locks.c), also over a new start of the metadata
# server.
# timeout: 600
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

OTHER=/mnt/other

locks_over_restart()
{
	local line pid

	coproc HOLD { "$B/vm/locks" $MNT $OTHER hold 20; }
	pid=$HOLD_PID		# forgotten when it ends
	read -r -t 60 -u "${HOLD[0]}" line && [ "$line" = holding ] || return 1
	pkill -9 -x flint-metad
	cluster_start
	wait "$pid"
}

# The new leader knows nothing of the wait that a signal ends.
alarm_over_restart()
{
	local word pid waiter

	coproc WAITER { "$B/vm/locks" $MNT $OTHER alarmed 2>&1; }
	pid=$WAITER_PID
	read -r -t 60 -u "${WAITER[0]}" word waiter && [ "$word" = waiting ] || return 1
	sleep 1.5		# queued, and asleep until it asks again
	pkill -9 -x flint-metad
	kill -ALRM "$waiter"
	cluster_start
	wait "$pid"
}

cluster_start
mount_flint
mount_flint "" $OTHER
"$B/vm/locks" $MNT $OTHER || tap_failed=1
tap_n=9
ok "locks outlive a new start of the metadata server" locks_over_restart
ok "a wait that is interrupted during one is not a lock" alarm_over_restart
umount_flint $OTHER
done_testing
