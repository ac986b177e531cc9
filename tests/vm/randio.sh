#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random operations on files against a model in memory (randio.c), one and
# several at a time, and again after a remount.
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

several_at_once()
{
	local pids=() p bad=0

	for i in 1 2 3; do
		"$B/vm/randio" $MNT/r$i 200 $((SEED + i)) & pids+=($!)
	done
	for p in "${pids[@]}"; do wait "$p" || bad=1; done
	return $bad
}

# What was written is what is read after everything was restarted.
survives_restart()
{
	sha256sum $MNT/r* > /tmp/sums || return 1
	umount_flint
	cluster_kill
	cluster_start
	mount_flint
	sha256sum --quiet -c /tmp/sums
}

SEED=${SEED:-$RANDOM}
cluster_start
mount_flint
ok "600 random operations on one file" "$B/vm/randio" $MNT/r0 600 "$SEED"
ok "three files at once" several_at_once
ok "same content after kill -9 of all servers and a remount" survives_restart
done_testing
