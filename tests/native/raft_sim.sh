#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# The Raft core in the simulated world: thousands of seeds with an optimised build, some under
# sanitizers. `make soak` runs seeds without end.

tmp=$(mktemp -d /tmp/raft-sim.XXXXXX) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0
bad=0

result() { # STATUS NAME OUTPUT
	n=$((n + 1))
	sed 's/^/# /' "$3"
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		bad=1
	fi
}

echo "1..2"
cd "$FLINT_ROOT" || exit 1
${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O2 -w -I. -o "$tmp/raft_sim" tests/sim/raft_sim.c tests/sim/world*.c \
	userd/raft/raft.c userd/raft/raft_[!m]*.c >"$tmp/out" 2>&1 && "$tmp/raft_sim" --runs 5000 >"$tmp/out" 2>&1
result $? "5000 seeds" "$tmp/out"
"$BIN/flint-raft-sim" --first 1000001 --runs 120 >"$tmp/out" 2>&1
result $? "120 seeds under sanitizers" "$tmp/out"
exit $bad
