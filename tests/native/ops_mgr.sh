#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The operations guide's chapters on a manager's files that cannot be believed, on state of a newer
# version, and on managers that are lost for good.
# timeout: 150
set -u

. "$(dirname "$0")/cluster.bash"

http() { [ "$1" = mgr ] && echo $PORT || echo $((PORT + 200 + 10 * (${1#mgr} - 2))); }
others() { local m; for m in mgr mgr2 mgr3; do [ $m = "$1" ] || echo "127.0.0.1:$(($(http $m) + 1))"; done | paste -sd,; }
args() { echo --state "$D/$1" --key "$D/cluster.key" --name "$1" --listen 127.0.0.1 --rdma-port 0 --http-port "$(http "$1")" --tcp-port $(($(http "$1") + 1)); }
start() { "$BIN/flint-mgrd" $(args "$1") "${@:2}" >> "$D/log/$1.log" 2>&1 & echo $! > "$D/run/$1.pid"; }
refused() { told "$1" timeout 20 "$BIN/flint-mgrd" $(args "$2"); }
voters() { json "d['voters'] == $1 and d['missing'] == 0 and d['leader']" mgr status; }
stop() { kill "$(pid "$1")"; while kill -0 "$(pid "$1")" 2> /dev/null; do sleep 0.1; done; }

# The port is taken: nothing is left behind that the next start would take for a cluster.
nothing_left()
{
	mkdir "$W/fresh" && not "$BIN/flint-mgrd" $(args mgr) --state "$W/fresh" &&
		[ -z "$(ls "$W/fresh" | grep -v '^lock$')" ]
}

newer()
{
	stop mgr3 && sqlite3 "$D/mgr3/state.db" 'PRAGMA user_version=99' &&
		refused 'was written by a newer version' mgr3 &&
		sqlite3 "$D/mgr3/state.db" 'PRAGMA user_version=3' && start mgr3 && until_ok 20 voters 3
}

damaged()
{
	stop mgr3 && dd if=/dev/urandom of="$D/mgr3/state.db" bs=4096 seek=1 count=2 conv=notrunc 2> /dev/null &&
		refused 'is damaged or no database' mgr3
}

no_log()
{
	rm -f "$D"/mgr3/raft.db* "$D"/mgr3/state.db* && sqlite3 "$D/mgr/state.db" ".backup $D/mgr3/state.db" &&
		refused 'its raft.db is missing' mgr3
}

replaced() { rm -rf "$D/mgr3" && start mgr3 --join "$(others mgr3)" && until_ok 20 told 'was emptied' fl mgr status && fl mgr replace mgr3 --yes && until_ok 20 voters 3; }

rescued()
{
	local m
	for m in mgr mgr2 mgr3; do kill_hard "$(pid $m)"; done
	sleep 1
	rm -rf "$D/mgr" "$D/mgr2"
	told 'LAST RESORT' "$BIN/flint" mgr rescue --state "$D/mgr3" --yes && start mgr3 && until_ok 20 voters 1 &&
		json '"later" in [f["name"] for f in d["file_systems"]]' fs list
}

joined_again() { start mgr --join "$(others mgr)" && start mgr2 --join "$(others mgr2)" && until_ok 30 voters 3 && until_ok 20 healthy; }

# ids: members' numbers have 64 bits, more than a number of JSON
ids() { json 'len(d["replicas"]) == 3 and all(len(r["id"]) == 16 and int(r["id"], 16) > 0 for r in d["replicas"])' mgr status; }

echo 1..10
ok "a cluster with three managers" up --mgr 3 --chunk-servers 1
ok "members are named by sixteen hexadecimal digits" until_ok 20 ids
ok "a port that is taken leaves nothing behind" nothing_left
ok "state of a newer version is refused" newer
ok "damaged state is refused" damaged
ok "state without its log is refused" no_log
ok "emptied and replaced" replaced
ok "a change" fl fs create later
ok "two of three are lost for good" rescued
ok "others join again" joined_again
done_testing
