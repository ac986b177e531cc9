#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Chunk servers with one replica each, each behind a cable of its own: cut off for longer than their
# lease, from everybody and from one manager. I/O waits and goes on; no answer is stale.
# timeout: 400
set -u

. "$(dirname "$0")/../chaos/net.bash"
. "$(dirname "$0")/../chaos/chaos.bash"
trap '{ kill -9 "${LOADS[@]}" "${STARTED[@]}"; } 2> /dev/null; net_down; finish' EXIT

three()
{
	local i

	net_up && up --mgr 3 --chunk-servers 3 --listen $HUB && remember || return 1
	for i in 1 2 3; do
		stop_hard chunk$i
		apart chunk$i 10.99.0.$i || return 1
	done
	heals
}

schedule()
{
	sleep 1
	parted_for 2 chunk1
	sleep 1
	parted_for $((LEASE + 3)) chunk2 chunk3
	heals
}

echo 1..6
must "three chunk servers, each behind a cable" three
load data --seconds 22 --clients 3
load cut --seconds 22 --clients 2 --mode cut
ok "servers are cut off" schedule
ok "no answer was unexpected" loads_end
ok "every history is linearizable" judged
ok "the cluster is well" heals 30
ok "no sanitizer has complained" no_sanitizer
done_testing
