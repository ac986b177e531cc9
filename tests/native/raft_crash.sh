#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# Three metadata replicas, disturbed again and again under load: nothing answered is lost, nothing is
# done twice, the service resumes, the replicas end equal.
set -u
BIN=${BIN:-build/bin}
dir=$(mktemp -d /tmp/flint-raft-crash.XXXXXX)
trap 'rm -rf "$dir"' EXIT
(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/key"; echo >>"$dir/key")
n=0

# group NAME ARGUMENTS...: one run
group() {
	local name=$1 status=0
	shift
	n=$((n + 1))
	mkdir "$dir/$n"
	timeout 100 "$BIN/flint-metad-crash" --metad "$BIN/flint-metad" --state "$dir/$n" --key "$dir/key" \
		--port $((20000 + RANDOM % 10000)) --replicas 3 --threads 3 --time-scale "${SCALE:-2}" \
		--resume-ms "${RESUME_MS:-30000}" "$@" >"$dir/out" 2>&1 || status=$?
	if [ "$status" = 0 ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		grep -v 'manager' "$dir/out" | tail -60 | sed 's/^/# /'
	fi
	grep 'longest\|rounds' "$dir/out" | sed 's/^/# /'
	rm -rf "${dir:?}/$n"
}

R=${ROUNDS:-5}
group "leaders and followers are killed" --rounds "$R" --acts k --down-ms 500
group "they are frozen and wake up" --rounds "$R" --acts s --down-ms 1000
group "they are parted from the others" --rounds "$R" --acts p --down-ms 1000 --relay "$BIN/flint-relay"
group "wiped replicas come back, from the log" --rounds 3 --acts kw --down-ms 300
group "and from snapshots, which cross with kills" --rounds "$R" --acts kww --down-ms 300 --log-keep 1
group "members leave and come, leadership moves" --rounds "$R" --acts mtk --log-keep 1
echo "1..$n"
