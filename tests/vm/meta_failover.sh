#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Three metadata servers, a mount, and a workload that notices every change that is lost, invented or
# done twice, while leaders are killed, frozen and started again: no call fails, service resumes
# within a bound, and all is there at the end. The mount follows the leader (kmod/leader.c).
# uml: too
# timeout: 700
TARGET_SIZE=256M
. "$(dirname "$0")/lib/cluster.sh"

LIMIT=30	# seconds within which calls must come back, under emulation beside other work
SYS=/sys/fs/flintfs

pid_of() { cat "$STATE/run/$1.pid"; }

# What was killed runs again. A replica that was away is reported as missing for a moment.
up_again()
{
	"$B/bin/flint" up $STATE > /tmp/up.log 2>&1
	[ "$(pgrep -c -x flint-metad)" = 3 ] || { sed 's/^/# /' /tmp/up.log; return 1; }
}

# Two of three make a majority: wait until all three are in step before the next one is hurt.
in_step()
{
	for _ in {1..120}; do
		"$B/bin/flint" meta status --dir $STATE > /tmp/meta.status 2>&1 &&
			grep -q '0 missing' /tmp/meta.status && [ "$(grep -c ' voter ' /tmp/meta.status)" = 3 ] && return
		sleep 0.5
	done
	sed 's/^/# /' /tmp/meta.status
	return 1
}

# Calls done by the workload, and its longest one since the last question.
ask()
{
	local before

	before=$(wc -l < /tmp/churn.log)
	kill -USR1 $CHURN || return 1
	for _ in {1..50}; do
		[ "$(wc -l < /tmp/churn.log)" -gt "$before" ] && break
		sleep 0.1
	done
	tail -n 1 /tmp/churn.log
}

calls() { ask | sed -n 's/ops \([0-9]*\).*/\1/p'; }

# Calls are answered again, within the bound.
resumes()
{
	local from now i

	from=$(calls)
	for ((i = 0; i < LIMIT * 2; i++)); do
		sleep 0.5
		now=$(calls)
		[ -n "$now" ] && [ "$now" -gt $((from + 20)) ] && return
	done
	echo "# from $from to $now calls in $LIMIT s"
	return 1
}

leader_killed()
{
	local id name

	id=$(leader) name=$(name_of "$id")
	echo "# killing $name, node $id"
	kill -9 "$(pid_of "$name")" || return 1
	resumes && [ "$(leader)" != "$id" ] || return 1
	echo "# $(name_of "$(leader)") leads; $(ask)"
	up_again && in_step
}

leader_frozen()
{
	local id name pid

	id=$(leader) name=$(name_of "$id") pid=$(pid_of "$name")
	echo "# freezing $name, node $id"
	kill -STOP "$pid" || return 1
	resumes && [ "$(leader)" != "$id" ]
	id=$?
	kill -CONT "$pid"
	echo "# $(name_of "$(leader)") leads; $(ask)"
	in_step || return 1
	return $id
}

follower_killed()
{
	local d

	for d in "$STATE"/run/meta*.pid; do
		d=$(basename "$d" .pid)
		[ "$d" = "$(name_of "$(leader)")" ] && continue
		kill -9 "$(pid_of "$d")" || return 1
		resumes && up_again && in_step
		return
	done
	return 1
}

all_killed()
{
	pkill -9 -x flint-metad
	sleep 1
	up_again && in_step && resumes
}

ends_well()
{
	local status

	kill -TERM $CHURN
	wait $CHURN
	status=$?
	tail -n 3 /tmp/churn.log | sed 's/^/# /'
	return $status
}

plan 10
cluster_start --meta 3
mount_flint
"$B/vm/meta_churn" $MNT 4 "${SECONDS_OF_LOAD:-600}" > /tmp/churn.log 2>&1 & CHURN=$!
sleep 2
ok "calls are answered" resumes
ok "the leader is killed" leader_killed
ok "the leader stands still" leader_frozen
ok "a follower is killed" follower_killed
ok "the next leader is killed" leader_killed
ok "all are killed and started again" all_killed
ok "no call failed, nothing was lost" ends_well
ok "the mount moved" test "$(cat $SYS/*/stats/meta_moves)" -ge 2
done_testing
