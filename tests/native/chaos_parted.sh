#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Chains of three, every chunk server behind a cable of its own: cut off for longer than its lease,
# deaf towards its neighbour alone, cut off and killed. The rest goes on within two leases, who was cut
# off answers nothing stale, and comes back by itself.
# timeout: 400
set -u

. "$(dirname "$0")/../chaos/net.bash"
. "$(dirname "$0")/../chaos/chaos.bash"
trap '{ kill -9 "${LOADS[@]}" "${STARTED[@]}"; } 2> /dev/null; net_down; finish' EXIT

four()
{
	local i

	net_up && up --mgr 3 --chunk-servers 4 --targets 3 --replicas 3 --listen $HUB && remember || return 1
	for i in 1 2 3 4; do
		stop_hard chunk$i
		apart chunk$i 10.99.0.$i || return 1
	done
	heals 40
}

schedule()
{
	sleep 1
	parted_for $((LEASE + 3)) chunk1
	sleep 5
	deaf_for 4 chunk2 10.99.0.3
	sleep 1
	parted_for 1 chunk3
	killed chunk3
}

echo 1..8
must "chains of three, each server behind a cable" four
load data --seconds 34 --clients 3 --rate 80
load cut --seconds 34 --clients 2 --mode cut --rate 80
ok "servers are cut off" schedule
ok "no answer was unexpected" loads_end
ok "every history is linearizable, no I/O took longer than two leases" judged
ok "the chains heal by themselves" heals 60
ok "the map's history explains it" explained chunk1 chunk3
ok "all replicas are alike" alike
ok "no sanitizer has complained" no_sanitizer
done_testing
