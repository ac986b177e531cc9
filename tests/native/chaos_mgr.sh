#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Managers and metadata replicas fail while clients use chains of three, also at the same time as a
# chunk server: the leader is killed and frozen, a majority is away for a while.
# timeout: 400
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

many() { up --mgr 3 --meta 3 --chunk-servers 4 --targets 3 --replicas 3 && remember; }
leader() { field 'd["leader"]' mgr status; }
meta_leader() { field 'd["leader"]' meta status; }

schedule()
{
	local l

	sleep 1
	l=$(leader)
	killed_for 1 "$l" chunk1	# the new leader has never heard of chunk1
	sleep 9
	l=$(leader)
	frozen_for $((LEASE + 1)) "$l"
	killed "$(meta_leader)"
	sleep 2
	killed_for 2 mgr mgr2
	sleep 1
	killed mgr mgr2 mgr3 chunk2
}

echo 1..8
must "three managers, three metadata replicas, chains of three" many
load data --seconds 38 --clients 3 --rate 80
load cut --seconds 38 --clients 2 --mode cut --rate 80
ok "managers, metadata replicas and chunk servers fail" schedule
ok "no answer was unexpected" loads_end
ok "every history is linearizable, no I/O took longer than two leases" judged
ok "the cluster heals by itself" heals 60
ok "the map's history explains it" explained chunk1 chunk2
ok "all replicas are alike" alike
ok "no sanitizer has complained" no_sanitizer
done_testing
