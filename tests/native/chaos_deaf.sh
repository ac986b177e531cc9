#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two neighbours of a chain that do not hear each other, though the managers and the clients hear both,
# for as long as it takes: one of them is left out, I/O goes on, and it comes back by itself.
# timeout: 400
set -u

. "$(dirname "$0")/../chaos/net.bash"
. "$(dirname "$0")/../chaos/chaos.bash"
trap '{ kill -9 "${LOADS[@]}" "${STARTED[@]}"; } 2> /dev/null; net_down; finish' EXIT

three()
{
	local i

	net_up && up --mgr 1 --chunk-servers 3 --replicas 3 --listen $HUB && remember || return 1
	for i in 1 2 3; do
		stop_hard chunk$i
		apart chunk$i 10.99.0.$i || return 1
	done
	heals 60
}
# Target N is chunkN's, at 10.99.0.N.
member() { field "d['chains'][0]['targets'][$1]['id']" chain list; }
cut_off()
{
	A=$(member 0) B=$(member 1)
	deaf "chunk$A" "10.99.0.$B"
	goes_on $BOUND
}
hear_again()
{
	hears "chunk$A" "10.99.0.$B"
	heals 120
}

echo 1..8
must "a chain of three, each server behind a cable" three
load data --seconds 20 --clients 2 --rate 40
sleep 1
ok "the head does not hear the one behind it: I/O goes on" cut_off
ok "the status says who is left out, and why" says "got no answer from it, though both are up" fl status
ok "no answer was unexpected" loads_end
ok "they hear each other: the chain heals by itself" hear_again
ok "every history is linearizable" judged
ok "all replicas are alike" alike
ok "the map's history explains it" explained "had no answer from it" "it has all data again"
done_testing
