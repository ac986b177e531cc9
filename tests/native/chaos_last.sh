#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Chains of three on three chunk servers: two of them fail one after the other, and the third serves
# alone. All are killed at once, and whichever comes back first serves: every member of the last
# serving set holds all that was acknowledged.
# timeout: 400
set -u

. "$(dirname "$0")/../chaos/chaos.bash"

three() { up --mgr 3 --chunk-servers 3 --targets 2 --replicas 3 && remember; }

two_fail()
{
	say "kill -9 chunk1, and chunk2 after a second"
	stop_hard chunk1
	sleep 1
	stop_hard chunk2
	goes_on $BOUND || return 1
	start chunk1
	start chunk2
	heals 40
}
all_but()	# the one that returns, and after how many seconds
{
	say "kill -9 all, only $1 returns, after $2 s"
	stop_hard chunk1 chunk2 chunk3
	sleep "$2"
	start "$1"
	goes_on $BOUND
}
others_return()	# the one that serves
{
	local v

	for v in chunk1 chunk2 chunk3; do [ $v = "$1" ] || start $v; done
	heals 40
}

echo 1..13
must "chains of three on three chunk servers" three
load data --seconds 45 --clients 2 --rate 60
load cut --seconds 45 --mode cut --rate 60
sleep 2
ok "two of three fail: the third serves, and the others come back" two_fail
round()
{
	ok "all are killed, $1 alone returns after $2 s and serves" all_but $1 $2
	ok "the others catch up" others_return $1
}
round chunk1 0
round chunk2 $((LEASE + 2 + 6 * SLOW))	# the managers have noted the set
round chunk3 1
ok "no answer was unexpected" loads_end
ok "every history is linearizable" judged
ok "all replicas are alike" alike
ok "the map's history explains it" explained chunk1 chunk2 chunk3 "no other replica is left" lastsrv
ok "no sanitizer has complained" no_sanitizer
done_testing
