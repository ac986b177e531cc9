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

cluster_start
mount_flint
mount_flint "" $OTHER
"$B/vm/locks" $MNT $OTHER || tap_failed=1
tap_n=6
ok "locks outlive a new start of the metadata server" locks_over_restart
umount_flint $OTHER
done_testing
