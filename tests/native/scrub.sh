#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# Bits are flipped in the files of chunk targets, as disks do: in one replica they are repaired by
# whoever reads them first, a client or the scrub, and counted; in all replicas reads end with EIO
# and the places are named; in a target's own structures it says so, and a new disk takes its place.
set -u
. "$(dirname "$0")/cluster.bash"

# spoil N WHAT...: in all targets of a chunk server; prints how many places
spoil()
{
	local f sum=0

	for f in "$D/chunk$1"/{target*,fresh*}; do
		[ -f "$f" ] && sum=$((sum + $("$ROOT/tests/native/spoil.py" "$f" "${@:2}")))
	done
	echo $sum
}
scrubbed() { json 'all(t["state"] == "idle" and t["ended"] for t in d["targets"])' scrub status; }
scrub() { fl scrub start > /dev/null && until_ok 30 scrubbed; }
count() { field "sum(t['$1'] for t in d['targets'])" scrub status; }
equal() { json 'd["equal"]' chain compare; }
serving() { json 'all(t["state"] == "serving" for c in d["chains"] for t in c["targets"])' chain list; }
verify() { timeout 60 "$BIN/flint-fstest" --timeout 10 --mgr "$(mgrs)" --key "$D/cluster.key" verify "$W/manifest"; }
log_has() { cat "$D"/log/chunk$2.log | grep -qF -- "$1"; }
# stop_hard N, start_again: one chunk server
stop_hard() { kill_hard "$(pid "chunk$1")"; }

echo "1..34"
ok "a cluster with three replicas of everything" up --chunk-servers 3 --targets 2 --replicas 3
ok "all replicas serve" until_ok 30 serving
ok "files are written" fstest --seed 7 chaos 3 "$W/manifest"
ok "replicas are the same" equal

ok "a new cluster scrubs by itself, in 14 days" until_ok 10 json 'all(t["period"] == 14 * 86400 for t in d["targets"])' scrub status
ok "a scrub of undamaged targets ends" scrub
ok "... and finds nothing" test "$(count errors)" = 0
ok "... and says so in words" says "damaged blocks found since the server started: 0" fl scrub status

spoil 2 data > "$W/n"
ok "bits are flipped in one replica" test "$(cat "$W/n")" -gt 5
ok "clients read what they wrote" verify
ok "a scrub goes through everything" scrub
ok "what was damaged is repaired" json \
	'all(t["repaired"] == t["errors"] and not t["lost"] for t in d["targets"]) and
	 sum(t["repaired"] for t in d["targets"]) > 5' scrub status
before=$(count errors)
ok "a second one finds nothing more" scrub
ok "... and counts nothing twice" test "$(count errors)" = "$before"
ok "replicas are still the same" equal

# Damage in two replicas at different places: every block is whole somewhere.
spoil 1 data 2 > "$W/n"
ok "half of the blocks of another replica, too: clients read what they wrote" verify
scrub
ok "nothing is lost" test "$(count lost)" = 0

# What a target says of itself, while it runs: nobody would read it before the next start.
structures() { json "sorted({f['structure'] for t in d['targets'] for f in t['found'] if 'structure' in f and f['result'] == '$1'}) == ['checkpoint', 'log', 'superblock']" scrub status; }
for what in super log checkpoint; do spoil 1 $what; done > "$W/n"
ok "superblock, log and checkpoint of running targets are spoilt" not grep -qx 0 "$W/n"
ok "a scrub goes through them, too" scrub
ok "... and has them written anew" structures repaired
ok "... and says so in words" says "superblock, at 0 of the target: repaired" fl scrub status
ok "... and nothing is left to be repaired" json 'all(t["repaired"] == t["errors"] for t in d["targets"])' scrub status
stop_hard 1
timeout 30 "$BIN/flint" up "$D" > "$W/up" 2>&1
ok "the server starts again, and serves everything" until_ok 60 serving
ok "... without a word of damage" not log_has "restore this target" 1
ok "clients read what they wrote" verify

# The index: a checkpoint that does not check, a log that was written over.
bad=$D/chunk3/target
id=$(od -An -tu4 -j32 -N4 "$bad" | tr -d ' ')
stop_hard 3
"$ROOT/tests/native/spoil.py" "$bad" checkpoint > "$W/n"
"$ROOT/tests/native/spoil.py" "$bad" log >> "$W/n"
timeout 20 "$BIN/flint" up "$D" > "$W/up" 2>&1
ok "a target whose index is damaged is not served, in words" until_ok 20 log_has "checkpoints are damaged" 3
ok "the others go on" verify
ok "another disk takes its place while its server runs" fl disk replace "$id" "$D/chunk3/fresh" --size 96M --yes
ok "... and gets everything by recovery" until_ok 60 serving
ok "... which is the same everywhere" equal

for t in 1 2 3; do spoil $t data > "$W/n"; done
ok "damaged in all replicas: reads end with EIO, never with other bytes" says "read -5" verify
ok "the places are named" log_has "are damaged and no replica has them" '*'
ok "... also in the status" until_ok 10 says "damaged on every replica" fl status
ok "no sanitizer found anything" no_sanitizer
done_testing
