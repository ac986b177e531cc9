#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Would the chaos tests find a server that shows a write before all replicas have it? The tests' build of
# flint-chunkd does that when FLINT_MUTANT_DIRTY_READ is set; the judge must say so, within three tries.
# timeout: 300
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

grep -q FLINT_MUTANT_DIRTY_READ "$BIN/flint-chunkd" ||
	{ echo "1..0 # SKIP these programs were built without mutants"; exit 0; }

three() { FLINT_MUTANT_DIRTY_READ=1 up --mgr 1 --chunk-servers 3 --replicas 3 && remember; }
schedule()
{
	local i v

	for ((i = 0; i < 4; i++)); do
		for v in chunk2 chunk2; do
			kill -STOP "$(pid $v)"
			sleep 0.6
			kill -CONT "$(pid $v)"
			sleep 0.2
		done
	done
}
round()
{
	local i

	for i in 1 2; do load hot$1 --seconds 8 --clients 6 --threads 6 --files 1 --chunks 1 --rate 150; done
	schedule
	loads_end
	"$BIN/flint-chaos-judge" "$H/hot$1"/*.history
	[ $? = 1 ]
}
found() { round 1 || round 2 || round 3; }

echo 1..3
must "chains of three on three chunk servers that show too much" three
ok "the judge finds it" found
ok "no sanitizer has complained" no_sanitizer
done_testing
