#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Chains of three on five chunk servers: one server after the other is killed, frozen longer than its
# lease, slowed down and stopped while clients write. I/O goes on within two leases, every history is
# linearizable, the chains heal by themselves and all replicas are alike in the end.
# timeout: 400
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

five() { up --mgr 3 --chunk-servers 5 --targets 3 --replicas 3 && remember; }

schedule()
{
	sleep 2
	killed chunk1
	sleep 3
	frozen_for $((LEASE + 2)) chunk2
	sleep 2
	killed_for $((LEASE + 2)) chunk3
	sleep 2
	slow_for 3 chunk4
	stopped chunk5
}

echo 1..8
must "chains of three on five chunk servers" five
load data --seconds 32 --clients 2
load data --seconds 32 --clients 2
load appended --seconds 32 --mode append --cell 512
load cut --seconds 32 --mode cut
ok "servers are killed, frozen, slowed down and stopped" schedule
ok "no answer was unexpected" loads_end
ok "every history is linearizable, no I/O took longer than two leases" judged
ok "the chains heal by themselves" heals 60
ok "the map's history explains it" explained chunk1 chunk2 chunk3
ok "all replicas are alike" alike
ok "no sanitizer has complained" no_sanitizer
done_testing
