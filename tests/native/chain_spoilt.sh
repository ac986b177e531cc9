#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A chain of three, and disks that spoil blocks behind its back: a change of a part of a block finds
# the rest of it damaged, so the replica asks the one in front for the whole chunk, which is damaged
# there at another place. The change ends, and nothing is lost that any replica has; what none has
# ends it, too, and costs replicas rather than time.
# timeout: 120
set -u

. "$(dirname "$0")/cluster.bash"

serving() { field '" ".join(str(t["id"]) for t in d["chains"][0]["targets"] if t["state"] == "serving")' chain list; }
serve() { [ "$(serving | wc -w)" = "$1" ]; }
# The Nth of the chain.
place() { serving | cut -d' ' -f"$1"; }
# The TCP port of the server that has target $1.
port_of() { field '[a.rsplit(":",1)[1] for t in d["targets"] if t["id"] == '"$1"' for n in d["nodes"] if n["id"] == t["node"] for a in n["addresses"] if a[:3] == "tcp"][0]' map; }
version() { field 'd["chains"][0]["version"]' chain list; }
chunk() { local head=$(place 1); timeout 60 "$BIN/flint-chunkclone" "$(port_of "$head")" "$D/cluster.key" 1 "$(version)" "$head" "$@"; }
# spoil PLACE BLOCK: `flint up` numbers targets as it numbers chunk servers.
spoil() { [ "$("$ROOT/tests/native/spoil.py" "$D/chunk$(place "$1")/target" match "$(printf 'block %02d' "$2")")" -gt 0 ]; }
field_sum() { field "sum(t['$1'] for t in d['targets'])" scrub status; }
repaired() { [ "$(field_sum repaired)" -ge "$1" ]; }
log_has() { cat "$D"/log/chunk*.log | grep -qF -- "$1"; }

echo 1..17
ok "three chunk servers, one chain of three" up --chunk-servers 3 --replicas 3
ok "all three serve" until_ok 20 serve 3
ok "a chunk is written" chunk fill

spoil 3 4 && spoil 2 7
result $? "the tail's disk spoils a block, the one's before it another"
ok "a part of the tail's is changed" chunk change 4
ok "the chunk is as it was, but for that" chunk check 4
ok "what was damaged was repaired" until_ok 20 repaired 1
ok "the replicas are the same" fl chain compare

spoil 2 8 && spoil 1 9
result $? "the same in the middle and at the head, which has the change before all others"
ok "a part of the middle's is changed" chunk change 8
ok "the chunk is as it was, but for that" chunk check 8
ok "the replicas are the same" fl chain compare
ok "all three serve, and nothing is lost" test "$(serving | wc -w) $(field_sum lost)" = "3 0"

spoil 3 12 && spoil 1 13 && spoil 2 13 && spoil 3 13
result $? "a block is spoilt on all three, and another on the tail"
chunk change 12 > "$W/change" 2>&1
ok "the change ends: the replicas that cannot pass it on give up" until_ok 30 serve 1
ok "... and say why" log_has "is damaged here where no other replica has it"
ok "no sanitizer has complained" no_sanitizer
done_testing
