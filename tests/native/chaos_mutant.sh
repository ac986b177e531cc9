#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Would the chaos tests find a server that shows a write before all replicas have it? The tests' build of
# flint-chunkd does that when FLINT_MUTANT_DIRTY_READ is set. While the middle of the chain is frozen, its
# head shows what its tail does not have: the judge must say so, within a few tries. Few clients write, many
# read: what they do at a time is little enough to be judged in a moment.
# timeout: 300
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

grep -q FLINT_MUTANT_DIRTY_READ "$BIN/flint-chunkd" ||
	{ echo "1..0 # SKIP these programs were built without mutants"; exit 0; }

three() { FLINT_MUTANT_DIRTY_READ=1 up --mgr 1 --chunk-servers 3 --replicas 3 && remember; }
middle() { echo "chunk$(field 'd["chains"][0]["targets"][1]["id"]' chain list)"; }
round()
{
	local v i

	v=$(middle)
	load hot$1 --seconds 8 --clients 2 --threads 1 --files 1 --chunks 1 --rate 100
	load hot$1 --mode read --seconds 8 --clients 6 --threads 4 --files 1 --chunks 1 --rate 100
	sleep 1
	for i in 1 2 3 4 5; do
		frozen_for 0.6 "$v"
		sleep 0.3
	done
	loads_end
	"$BIN/flint-chaos-judge" "$H/hot$1"/*.history
	[ $? = 1 ]
}
found() { round 1 || round 2 || round 3 || round 4 || round 5; }

echo 1..3
must "chains of three on three chunk servers that show too much" three
ok "the judge finds it" found
ok "no sanitizer has complained" no_sanitizer
done_testing
