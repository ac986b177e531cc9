#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk under the id of another one (wiped, swapped), and a copy of one that serves: that disk is left
# out in words, its server's other disks and the clients go on; put right, everything heals.
# timeout: 150
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

three() { up --mgr 3 --chunk-servers 3 --targets 2 --replicas 3 && remember; }
others_serve() { json 'sorted(t["state"] for t in d["targets"]) == ["offline"] + 5 * ["serving"]' target list; }
wiped()
{
	stop_hard chunk2
	mv "$D/chunk2/target" "$D/chunk2/kept"
	"$BIN/flint-chunkd" --format "$D/chunk2/target" --id 2 --size 64M && start chunk2
	until_ok 30 says 'chunk2 offers a disk as target 2 that is not the disk registered' fl status &&
		until_ok 30 others_serve && goes_on $BOUND
}
put_back()
{
	stop_hard chunk2
	mv "$D/chunk2/kept" "$D/chunk2/target"
	start chunk2
	heals 40
}
doubled()
{
	stop_hard chunk3
	mv "$D/chunk3/target" "$D/chunk3/kept"
	cp --sparse=always "$D/chunk1/target" "$D/chunk3/target"
	start chunk3
	until_ok 30 says 'chunk3 offers a copy of target 1' fl status && until_ok 30 others_serve && goes_on $BOUND
}
put_back_3()
{
	stop_hard chunk3
	mv "$D/chunk3/kept" "$D/chunk3/target"
	start chunk3
	heals 40
}

echo 1..9
must "three chunk servers of two disks each" three
load data --seconds 25 --clients 2 --rate 50
ok "a wiped disk is left out, the others go on" wiped
ok "the old disk is back, and heals" put_back
ok "a copy of another server's disk is left out, the others go on" doubled
ok "the right disk is back, and heals" put_back_3
ok "no answer was unexpected" loads_end
ok "every history is linearizable" judged
ok "all replicas are alike" alike
ok "no sanitizer has complained" no_sanitizer
done_testing
