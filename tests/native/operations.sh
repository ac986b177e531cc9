#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Everyday operations on the storage, on a real cluster, while a client writes and verifies: servers
# are added, filled, emptied and forgotten, disks come, go and are replaced, the number of copies
# changes, chunk servers restart one after the other. In the end all copies are the same.
# timeout: 400
. "$(dirname "$0")/cluster.bash"
TAIL=25 LOGTAIL=2
echo 1..31

three() { up --size 96M --chunk-servers "$1" --targets 4 --replicas 3; }
whole() { json 'all(t["state"] == "serving" for c in d["chains"] for t in c["targets"])' chain list; }
copies() { json "all(len(c['targets']) == $1 for c in d['chains'])" chain list; }
# on SERVER: in how many chains its targets are.
on() { field "sum(1 for t in d['targets'] if t['node_name'] == '$1' and t['chain'])" target list; }
holds() { [ "$(on "$1")" = "$2" ] || { fl target list; return 1; }; }
apart() { json 'all(len({next(t["node"] for t in d["targets"] if t["id"] == m["id"]) for m in c["targets"]}) == len(c["targets"]) for c in d["chains"])' map; }

load_begins() { (fstest --threads=2 --timeout=60 chaos 40 "$W/manifest" > "$W/load" 2>&1; echo $? > "$W/load.rc") & }
load_is_well() { [ ! -e "$W/load.rc" ] || [ "$(cat "$W/load.rc")" = 0 ] || { cat "$W/load"; return 1; }; }
load_ends() { until_ok 60 test -e "$W/load.rc" && load_is_well; }

ok "four servers of four targets, three copies" three 4
ok "five chains, a target is left" json 'len(d["chains"]) == 5' chain list
fl node label chunk1 --rack r1 > /dev/null
ok "a rack is noted" json 'd["nodes"] and any(n["name"] == "chunk1" and n["rack"] == "r1" for n in d["nodes"])' node list
ok "an unknown server is refused" says "there is no chunk server 'nobody'" fl node drain nobody
ok "emptying a server that nobody can stand in for is refused" says "no free target on another machine" \
	fl node drain chunk1
ok "that has left no mark" json 'not any(n["draining"] for n in d["nodes"])' node list
load_begins

ok "a fifth server comes" three 5
ok "a dry run says what would move" json 'd["dry_run"] and d["moves"] == 3 and len(d["plan"]) == 3' \
	rebalance --dry-run
ok "and moves nothing" holds chunk5 0
ok "its share of the chains moves there" fl rebalance
ok "it has three" holds chunk5 3
ok "no chain has two copies on one server" apart
ok "nothing is left to be moved" json 'd["moves"] == 0' rebalance --dry-run

ok "a frozen cluster moves nothing" fl cluster freeze
fl node drain chunk2 --no-wait > /dev/null
ok "its jobs wait and say so" until_ok 10 says "the cluster is frozen" fl job list
ok "thawed it goes on" fl cluster thaw
ok "and empties the server" timeout 60 "$BIN/flint" job wait 2 --dir "$D"
ok "which holds nothing now" holds chunk2 0
ok "the load has not noticed" load_is_well
ok "a server with chains is not forgotten" says "comes first" fl node remove chunk3 --yes
fl node undrain chunk2 > /dev/null
ok "used again, it gets its share back" fl rebalance

ok "two copies instead of three" fl chain replicas 2
ok "so it is" copies 2
ok "and three again" fl chain replicas 3
ok "every chain has three, all serve" bash -c "$(declare -f copies whole json fl until_ok apart); BIN='$BIN' D='$D' W='$W'; copies 3 && whole && apart"

victim=$(field 'd["chains"][0]["targets"][0]["id"]' chain list)
ok "a head's disk is emptied" fl disk drain "$victim"
ok "chunk servers restart one after the other" timeout 120 "$BIN/flint" rolling-restart --dir "$D"
ok "the load has seen nothing but what it wrote" load_ends
ok "everything that was written is there" until_ok 30 fstest verify "$W/manifest"
ok "all copies of all chains are the same" fl chain compare
ok "no sanitizer has complained" no_sanitizer
done_testing
