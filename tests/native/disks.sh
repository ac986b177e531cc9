#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Disks of running chunk servers are added, removed and replaced, healthy or failed, while a client
# writes and verifies.
# timeout: 120
. "$(dirname "$0")/cluster.bash"
TAIL=25 LOGTAIL=3
echo 1..13

whole() { json 'all(t["state"] == "serving" for c in d["chains"] for t in c["targets"]) and all(len(c["targets"]) == 3 for c in d["chains"])' chain list; }
known() { json "any(t['id'] == $1 for t in d['targets'])" target list; }
node_of() { field "next(t['node_name'] for t in d['targets'] if t['id'] == $1)" target list; }
member() { field 'd["chains"][0]["targets"][1]["id"]' chain list; }

ok "four servers of two targets, three copies" \
	up --size 96M --chunk-servers 4 --targets 2 --replicas 3
(fstest --threads=2 --timeout=60 chaos 25 "$W/manifest" > "$W/load" 2>&1; echo $? > "$W/load.rc") &

ok "a dry run adds nothing" says "whatever is on it is lost" \
	fl disk add chunk1 "$D/chunk1/new" --size 96M --id 90 --dry-run
ok "which is so" not known 90
ok "a disk is added to a running server" fl disk add chunk1 "$D/chunk1/new" --size 96M --id 90 --yes
ok "the managers know it" known 90
ok "a place that the server does not allow is refused" not fl disk add chunk1 /tmp/no --size 96M --yes

gone=$(member) where=$(node_of "$gone")
ok "a disk in use is removed" fl disk remove "$gone" --yes
ok "and forgotten" not known "$gone"
ok "no copy is missing" until_ok 20 whole

gone=$(member) where=$(node_of "$gone")
ok "a disk in use is replaced by a new one" fl disk replace "$gone" "$D/$where/fresh" --size 96M --yes
ok "no copy is missing then" until_ok 20 whole
load_ends() { until_ok 60 test -e "$W/load.rc"; cat "$W/load"; [ "$(cat "$W/load.rc")" = 0 ]; }
ok "the load has seen nothing but what it wrote" load_ends
ok "all copies of all chains are the same" fl chain compare
done_testing
