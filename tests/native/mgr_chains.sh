#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One chain of three and three managers: a chunk server ends and the leading manager with it; all
# chunk servers end and one returns; what operators may ask for; settings; and what flint says of it.
# timeout: 170
set -u

. "$(dirname "$0")/cluster.bash"

make_it() { up --mgr 3 --chunk-servers 3 --replicas 3 --size 256M; }
states() { field '" ".join(t["state"] for t in d["chains"][0]["targets"])' chain list; }
are() { [ "$(states)" = "$1" ]; }
first() { field 'd["chains"][0]["targets"][0]["id"]' chain list; }
version() { field 'd["chains"][0]["version"]' chain list; }
leader() { field '[m["name"] for m in d["replicas"] if m["state"] == "leader"][0]' mgr status; }
stop_hard() { local p; p=$(pid "$1") && kill_hard "$p" && rm -f "$D/run/$1.pid"; }
# The shortest: who ends afterwards is still found to be gone.
faster() { fl set lease_ms 2000 && json 'd["lease_ms"] == 2000' get && until_ok 20 in_use; }
in_use() { json 'd["lease_in_use_ms"] == 2000' get; }
refused() { ! fl set lease_ms 5 && ! fl set lease_ms 1999 && ! fl set scrub_days x && ! fl set nothing 5; }

both_end()
{
	stop_hard "chunk$(first)" && stop_hard "$(leader)" && until_ok 30 are "serving serving offline"
}
returns() { up && until_ok 60 are "serving serving serving"; }
all_end()
{
	local i

	for i in 1 2 3; do stop_hard "chunk$i"; done
	until_ok 30 are "lastsrv lastsrv lastsrv"
}
said() { fl status > "$W/status"; grep -q 'data of 1 chain cannot be reached until one of chunk. or chunk. or chunk. returns' "$W/status"; }
history_tells()
{
	json 'any(e["kind"] == "target" and e["from"] == "lastsrv" and e["to"] == "serving" for e in d["events"])' history &&
		fl history --chain 1 --since 10m | grep -q 'serving -> lastsrv: its server was silent for a lease' &&
		json 'not d["events"]' history --target 77
}
# The same on every manager, whoever led when it happened.
alike()
{
	local sums

	sums=$(for db in "$D"/mgr*/state.db; do
		sqlite3 "$db" 'SELECT seq, time_ns, epoch, chain, version, target, kind, from_state, to_state, reason FROM events ORDER BY seq' | md5sum
	done | sort -u | wc -l)
	[ "$sums" = 1 ]
}

held()
{
	fl target offline 2 --dry-run && are "serving serving serving" && fl target offline 2 &&
		until_ok 20 are "serving serving offline" && fl target online 2 &&
		until_ok 30 are "serving serving serving" && ! fl target promote 2 --yes
}

# Nobody sees what is printed: that is no success.
unseen() { ! fl get > /dev/full 2> "$W/full" && grep -q 'cannot be printed (No space' "$W/full"; }

echo 1..14
ok "three managers, three chunk servers, one chain" make_it
ok "all three serve" until_ok 20 are "serving serving serving"
ok "the lease is shortened while the cluster runs" faster
ok "senseless settings are refused" refused
ok "output that cannot be written is told" unseen
ok "an operator takes a target out, and back" held
ok "a chunk server and the leading manager end: the others serve" both_end
ok "both return" returns
ok "all chunk servers end: all are the last-serving set" all_end
ok "status says which must return" said
ok "they return, and all serve" returns
ok "the history tells what happened" history_tells
ok "every manager has the same history" until_ok 20 alike
ok "sanitizers are silent" no_sanitizer
done_testing
