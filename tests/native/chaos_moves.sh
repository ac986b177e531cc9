#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Targets change from chain to chain while clients write, shorten and remove files: one server after the
# other is emptied and filled again, and others are slow, frozen and killed meanwhile. What a target
# remembers of its last chain must not count in the next one. Every history is linearizable, the chains
# heal and all replicas are alike in the end.
# timeout: 400
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

empty_and_fill()
{
	say "$1 is emptied"
	timeout 90 "$BIN/flint" node drain "$1" --dir "$D" --yes || return 1
	say "$1 is filled again"
	fl node undrain "$1" && timeout 90 "$BIN/flint" rebalance --dir "$D"
}
schedule()
{
	timeout 90 "$BIN/flint" rebalance --dir "$D" || return 1
	slow_for 6 chunk3 &
	empty_and_fill chunk2 || return 1
	wait $!
	(frozen_for 3 chunk1; killed chunk5) &
	empty_and_fill chunk4 || return 1
	wait $!
}

echo 1..8
must "chains of three on five chunk servers of four targets" with_spares
load data --seconds 30
load cut --seconds 30 --mode cut --rate 30
load cut --seconds 30 --mode cut --rate 30
ok "servers are emptied and filled again" schedule
ok "no answer was unexpected" loads_end
ok "every history is linearizable, no I/O took longer than two leases" judged
ok "the chains heal by themselves" heals 60
ok "the map's history explains it" explained chunk2 chunk4
ok "all replicas are alike" alike
ok "no sanitizer has complained" no_sanitizer
done_testing
