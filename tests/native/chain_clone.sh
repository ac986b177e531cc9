#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A chunk is cloned in a chain of three: source and clone go their own ways, and all replicas agree.
# timeout: 90
set -u

. "$(dirname "$0")/cluster.bash"

serving() { field '" ".join(str(t["id"]) for t in d["chains"][0]["targets"] if t["state"] == "serving")' chain list; }
three() { [ "$(serving | wc -w)" = 3 ]; }
# The TCP port of the server that has target $1.
port_of() { field '[a.rsplit(":",1)[1] for t in d["targets"] if t["id"] == '"$1"' for n in d["nodes"] if n["id"] == t["node"] for a in n["addresses"] if a[:3] == "tcp"][0]' map; }
version() { field 'd["chains"][0]["version"]' chain list; }
clone() { local head=$(serving | cut -d' ' -f1); "$BIN/flint-chunkclone" "$(port_of "$head")" "$D/cluster.key" 1 "$(version)" "$head" clone; }

# As many bytes everywhere: the clone shares its source's blocks on every replica, not on the head only.
shared() { json 'len(d["targets"]) == 3 and len({t["used"] for t in d["targets"]}) == 1 and d["targets"][0]["used"] > 0' target list; }

echo 1..6
ok "three chunk servers, one chain of three" up --chunk-servers 3 --replicas 3
ok "all three serve" until_ok 20 three
ok "a chunk is cloned, the source changed, the clone read" clone
ok "the replicas are the same" fl chain compare
ok "and share the same blocks" until_ok 20 shared
ok "no sanitizer has complained" no_sanitizer
done_testing
