#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Chunks with one replica each: servers are killed, frozen longer than their lease, stopped and all
# killed at once. There is nobody to go on, so I/O waits; what was read and written is linearizable.
# timeout: 400
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

three() { up --mgr 3 --chunk-servers 3 && remember; }
leader_mgr() { field 'd["leader"]' mgr status; }

schedule()
{
	sleep 2
	killed chunk1
	sleep 2
	killed_for 2 chunk2 meta
	frozen_for $((LEASE + 2)) chunk3
	sleep 1
	stopped chunk1
	killed "$(leader_mgr)"
	sleep 1
	killed chunk1 chunk2 chunk3 meta
	heals
}

echo 1..6
must "three managers, three chunk servers" three
load data --seconds 30 --clients 2
load data --seconds 30 --clients 2
load appended --seconds 30 --clients 2 --mode append --cell 512
load cut --seconds 30 --clients 2 --mode cut
ok "servers are killed, frozen and stopped" schedule
ok "no answer was unexpected" loads_end
ok "every history is linearizable" judged
ok "the cluster is well" heals 30
ok "no sanitizer has complained" no_sanitizer
done_testing
