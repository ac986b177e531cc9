#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Placement on a real cluster: balanced chains are made and judged.
. "$(dirname "$0")/cluster.bash"
TAIL=12 LOGTAIL=0
echo 1..15

ok "six servers of five targets start with three copies" \
	up --size 32M --chunk-servers 6 --targets 5 --replicas 3
ok "that makes ten chains" json 'len(d["chains"]) == 10 and all(len(c["targets"]) == 3 for c in d["chains"])' chain list
ok "every replica serves" until_ok 20 json \
	'all(t["state"] == "serving" for c in d["chains"] for t in c["targets"])' chain list
ok "no chain has two replicas on one server" json \
	'all(len({next(t["node"] for t in d["targets"] if t["id"] == m["id"]) for m in c["targets"]}) == 3 for c in d["chains"])' map
ok "each of six lost servers gives each of the others a fifth more" json \
	'len([f for f in d["failures"] if f["kind"] == "node" and abs(f["least"] - .2) < 1e-6 and abs(f["most"] - .2) < 1e-6 and abs(f["optimum"] - .2) < 1e-6]) == 6' \
	chain check
ok "two servers share two chains" json 'd["node_pairs"] == [2, 2]' chain check
ok "heads and tails are shared out" json 'd["heads"][1] <= 1 and d["tails"][1] <= 1' chain check
ok "it is said in words" says "at worst a lost disk" fl chain check
ok "nothing is free any more" says "no free target" fl chain create

ok "a seventh server brings free targets" up --size 32M --chunk-servers 7 --targets 5 --replicas 3
ok "one server alone cannot hold three copies" says "3 replicas need as many machines, and there are 1" \
	fl chain create --replicas 3
ok "a dry run makes nothing" json 'd["dry_run"] and len(d["chains"]) == 5 and d["created"] == 0' \
	chain create --replicas 1 --dry-run
frozen()
{
	local status

	fl cluster freeze && says "the cluster is frozen" fl chain create --nodes chunk7 --replicas 1
	status=$?
	fl cluster thaw && return $status
}
ok "a frozen cluster makes no chains" frozen
ok "chains of one server" json 'd["created"] == 5 and d["replicas"] == 1' \
	chain create --nodes chunk7 --replicas 1
ok "a check warns of single copies" says "WARNING: some failures lose the only copy" fl chain check
done_testing
