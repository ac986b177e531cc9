#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 240
#
# A chunk server of a chain of three goes away while clients write, remove and cut files, and comes
# back: it is brought up to date while they go on, also when it or its helper is killed in the
# middle, and in the end all replicas hold the same.
set -u
. "$(dirname "$0")/cluster.bash"

serving() { json 'all(t["state"] == "serving" for c in d["chains"] for t in c["targets"])' chain list; }
equal() { json 'd["equal"] and all(len(c["compared"]) == 3 for c in d["chains"])' chain compare; }
# state N: of a target
state() { field "[t['state'] for c in d['chains'] for t in c['targets'] if t['id'] == $1][0]" chain list; }
is() { test "$(state "$1")" = "$2"; }
# role N: the Nth target of chain 1, head first
role() { field "d['chains'][0]['targets'][$1]['id']" chain list; }
# chunk servers and their targets have the same numbers
stop_hard() { kill_hard "$(pid "chunk$1")"; until_ok 20 not is "$1" serving; }
chaos() { timeout 100 "$BIN/flint-fstest" --mgr "$(mgrs)" --key "$D/cluster.key" --threads 3 --seed "$1" chaos "$2" "$W/manifest$1"; }
verify() { timeout 60 "$BIN/flint-fstest" --mgr "$(mgrs)" --key "$D/cluster.key" verify "$W/manifest$1"; }
said() { cat "$D"/log/chunk*.log | grep -cF -- "$1"; }
started() { test "$(said "$1")" -gt "$2"; }

echo "1..22"
ok "a cluster with three replicas of everything" up --size 256M --chunk-servers 3 --replicas 3
ok "all replicas serve" until_ok 30 serving
ok "files are written" chaos 1 3
ok "replicas are the same" equal

# ---- the middle one is away for a while
mid=$(role 1)
ok "one server is killed, the chain goes on" stop_hard "$mid"
ok "files are written, cut, removed" chaos 2 4
chaos 3 12 > "$W/chaos3" 2>&1 &
load=$!
sleep 1
ok "the server returns while clients write" up
ok "it is brought up to date meanwhile" until_ok 60 serving
wait $load
ok "nothing that clients saw was wrong" test $? = 0
sed -n 's/^# /# /p' "$W/chaos3"
ok "replicas are the same" equal
ok "what was written is there" eval 'verify 1 && verify 2 && verify 3'

# ---- whoever helps, or is helped, is killed in the middle
head=$(role 0)
ok "the head is killed, the chain goes on" stop_hard "$head"
ok "recovery is held to 2 MB/s" fl set recovery_bps 2000000
ok "more is written" chaos 4 5
was=$(said "recovery of target")
up > "$W/up" 2>&1 &
started=$!
ok "its recovery begins" until_ok 40 started "recovery of target" "$was"
kill_hard "$(pid "chunk$head")"
wait $started
up > "$W/up" 2>&1 &
started=$!
ok "it is killed and returns: recovery begins anew" until_ok 40 started "recovery of target" $((was + 1))
helper=$(field "[t['id'] for t in d['chains'][0]['targets'] if t['state'] == 'serving'][-1]" chain list)
kill_hard "$(pid "chunk$helper")"
wait $started
fl set recovery_bps 0 > /dev/null 2>&1
ok "its helper is killed, the chain goes on" chaos 5 2
up > "$W/up" 2>&1
ok "all are back" until_ok 60 serving
ok "replicas are the same" equal
ok "what was written is there" eval 'for m in 1 2 3 4 5; do verify $m || exit 1; done'
ok "no conflict was found" test "$(said "stops: chunk")" = 0
ok "no sanitizer found anything" no_sanitizer
done_testing
