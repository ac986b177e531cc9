#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A chain of two, the rear one with less space than the one in front: it is filled by eight writers at
# once, while small files come and go. Writers are told that there is no space, and nobody goes offline.
# timeout: 180
set -u

. "$(dirname "$0")/cluster.bash"

serving() { field '" ".join(str(t["id"]) for t in d["chains"][0]["targets"] if t["state"] == "serving")' chain list; }
two() { [ "$(serving | wc -w)" = 2 ]; }
# The TCP port of the server that has target $1.
port_of() { field '[a.rsplit(":",1)[1] for t in d["targets"] if t["id"] == '"$1"' for n in d["nodes"] if n["id"] == t["node"] for a in n["addresses"] if a[:3] == "tcp"][0]' map; }
version() { field 'd["chains"][0]["version"]' chain list; }
crowd() { local head=$(serving | cut -d' ' -f1); timeout 120 "$BIN/flint-chunkcrowd" "$(port_of "$head")" "$D/cluster.key" 1 "$(version)" "$head" "$@"; }
logs_say() { cat "$D"/log/chunk*.log | grep -qF -- "$1"; }

echo 1..10
ok "two chunk servers, one chain of two" up --chunk-servers 2 --replicas 2 --size 192M
ok "both serve" until_ok 20 two
front=$(serving | cut -d' ' -f1) rear=$(serving | cut -d' ' -f2)
ok "the rear one gets a disk of 64 MiB less" fl disk replace "$rear" "$D/chunk$rear/fresh" --size 128M --yes
ok "both serve" until_ok 30 two
ok "... in the order that they had" test "$(serving | cut -d' ' -f1)" = "$front"
before=$(version)
ok "eight writers fill it while small files come and go" crowd fill
ok "both serve, and never ceased to" test "$(serving | wc -w) $(version)" = "2 $before"
ok "no target went offline" not logs_say "goes offline"
ok "the replicas are the same" fl chain compare
ok "no sanitizer has complained" no_sanitizer
done_testing
