#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk spoils a block, and many clients at once read the chunk from it: while they wait for the repair
# they hold all buffers that the server gives to clients. It repairs the chunk all the same, and all are answered.
# timeout: 120
set -u

. "$(dirname "$0")/cluster.bash"

serving() { field '" ".join(str(t["id"]) for t in d["chains"][0]["targets"] if t["state"] == "serving")' chain list; }
three() { [ "$(serving | wc -w)" = 3 ]; }
place() { serving | cut -d' ' -f"$1"; }
# The TCP port of the server that has target $1.
port_of() { field '[a.rsplit(":",1)[1] for t in d["targets"] if t["id"] == '"$1"' for n in d["nodes"] if n["id"] == t["node"] for a in n["addresses"] if a[:3] == "tcp"][0]' map; }
version() { field 'd["chains"][0]["version"]' chain list; }
# The managers know that a server started again.
noticed() { [ "$(version)" -gt "$1" ]; }
# at PLACE PROGRAM WHAT...
at() { local t=$(place "$1"); timeout 60 "$BIN/$2" "$(port_of "$t")" "$D/cluster.key" 1 "$(version)" "$t" "${@:3}"; }
spoil() { [ "$("$ROOT/tests/native/spoil.py" "$D/chunk$1/target" match "block ")" -gt 10 ]; }
repaired() { [ "$(field "sum(t['repaired'] for t in d['targets'])" scrub status)" -gt 10 ]; }

# few_buffers N: chunk server N starts again, with as few as it can have.
few_buffers()
{
	local p=$(pid "chunk$1") args

	mapfile -d '' args < "/proc/$p/cmdline"
	kill_hard "$p" || return 1
	"${args[@]}" --buffers 16 >> "$D/log/chunk$1.log" 2>&1 &
	echo $! > "$D/run/chunk$1.pid"
}

echo 1..9
ok "three chunk servers, one chain of three" up --chunk-servers 3 --replicas 3
ok "all three serve" until_ok 20 three
tail=$(place 3)
before=$(version)
few_buffers "$tail"
ok "the last one starts again, with few buffers" until_ok 40 noticed "$before"
ok "... and serves" until_ok 40 three
at 1 flint-chunkclone fill && spoil "$tail"
result $? "a chunk is written, and its blocks on the last one's disk are spoilt"
ok "all of a crowd that reads it there are answered" at 3 flint-chunkcrowd read
ok "what was damaged was repaired" until_ok 10 repaired
ok "the replicas are the same" fl chain compare
ok "no sanitizer has complained" no_sanitizer
done_testing
