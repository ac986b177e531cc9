#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A cluster by `flint up`: made, found again, grown, killed, stopped; the
# commands that list and create; the map's epoch never goes back.
# timeout: 400
set -u

. "$(dirname "$0")/cluster.bash"

make_it() { up --chunk-servers 2 --fs work; }
nothing_to_do() { local before; before=$(pids); up && [ "$(pids)" = "$before" ]; }
grow() { up --chunk-servers 3 && json 'len(d["chains"]) == 3 and d["tables"][-1]["version"] == 2' chain list; }
no_fewer() { ! up --chunk-servers 1; }

# What cannot be done is neither remembered nor begun: nothing is stopped for it.
remembers_no_nonsense()
{
	local before

	before=$(pids)
	says "not 'a;b'" up --fs 'a;b' && says 'is no address' up --restart --listen '127.0.0.1 ;' &&
		says 'do not fit' "$BIN/flint" up "$D" --restart --chunk-servers 5 --size 8388608T &&
		[ "$(pids)" = "$before" ] && up
}

kill_one()
{
	local pid

	pid=$(cat "$D/run/chunk2.pid")
	kill_hard "$pid" && up && [ "$(cat "$D/run/chunk2.pid")" != "$pid" ]
}

kill_all()
{
	local before after

	before=$(epoch)
	kill_hard $(pids)
	up || return 1
	after=$(epoch)
	echo "epoch $before, then $after"
	[ "$after" -ge "$before" ] &&
		json 'd["healthy"] and d["file_systems"] == 2 and d["chains"] == 3' status
}

# Each daemon has a session of its own, unless that is asked to be otherwise: then only a process group.
sessions()
{
	local pid meta=$(cat "$D/run/meta.pid")

	for pid in $(pids); do
		[ "$(ps -o sid= -p "$pid")" -eq "$pid" ] || return 1
	done
	kill_hard "$meta" && up --same-session || return 1
	meta=$(cat "$D/run/meta.pid")
	[ "$(ps -o pgid= -p "$meta")" -eq "$meta" ] && [ "$(ps -o sid= -p "$meta")" -eq "$(ps -o sid= -p $$)" ]
}

# What the metadata server writes ahead does not hold up who waits for it.
flusher_steps_back()
{
	ps -L -o comm=,ni= -p "$(cat "$D/run/meta.pid")" > "$W/threads"
	cat "$W/threads"
	grep -qE '^metad-flush +10$' "$W/threads" && grep -qE '^raft-db +0$' "$W/threads"
}

# Five times: whatever the daemons were doing, they come back with the same state.
kill_often()
{
	local i

	for i in 1 2 3 4 5; do
		kill_hard $(pids)
		up > "$W/often" 2>&1 || { cat "$W/often"; return 1; }
	done
	json 'len(d["file_systems"]) == 2' fs list
}

silent_server()
{
	local i

	kill -STOP $(cat "$D/run/chunk1.pid")
	for ((i = 0; i < 100; i++)); do
		fl status > "$W/status" && sleep 0.2 && continue
		break
	done
	kill -CONT $(cat "$D/run/chunk1.pid")
	cat "$W/status"
	grep -q 'chunk server chunk1 is down' "$W/status" && grep -q 'only copy of chain' "$W/status"
}

well_again()
{
	local i

	for ((i = 0; i < 100; i++)); do
		fl status > "$W/status" && return 0
		sleep 0.2
	done
	cat "$W/status"
	return 1
}

metrics()
{
	local token

	token=$(fl cluster metrics-token)
	curl -sf -H "Authorization: Bearer $token" "http://127.0.0.1:$PORT/metrics" |
		grep -q '^flint_node_up{node="chunk1",role="chunk"} 1'
}

# The map names all that they were told, first of all the one that they speak from.
several_addresses()
{
	up --restart --listen 127.0.0.1,127.0.0.2 &&
		json 'all([a[:13] for a in n["addresses"]] == ["tcp 127.0.0.1", "tcp 127.0.0.2"]
			  for n in d["nodes"])' node list
}

stop_it() { fl status > /dev/null && "$BIN/flint" down "$D" && ! ls "$D"/run/*.pid; }

# A new target gets the next free number; its file is not formatted twice.
add_target()
{
	json 'd["id"] == 4' target add "$W/extra" --size 64M &&
		! fl target add "$W/extra" --size 64M && [ -s "$W/extra" ]
}

completes()
{
	"$BIN/flint" completion bash > "$W/completion" && bash -c '
		. "$1"
		COMP_WORDS=(flint fs cr) COMP_CWORD=2
		_flint
		[ "${COMPREPLY[*]}" = create ]
		' sh "$W/completion"
}

echo 1..26
ok "a cluster is made" make_it
ok "it is healthy" fl status
ok "again: nothing to do" nothing_to_do
ok "another file system" fl fs create second --stripe 1 --chunk-size 64K
ok "the same once more" fl fs create second
ok "both are listed" json '[f["name"] for f in d["file_systems"]] == ["work", "second"]' fs list
ok "a bad name is refused" bash -c "! '$BIN/flint' fs create 'a b' --dir '$D'"
ok "two copies are refused" bash -c "! '$BIN/flint' chain create --replicas 2 --dir '$D'"
ok "a third server is added" grow
ok "servers cannot be taken away" no_fewer
ok "what cannot be done is not remembered" remembers_no_nonsense
ok "a killed server is started again" kill_one
ok "each daemon has a session of its own, or the caller's" sessions
ok "what is written ahead steps back" flusher_steps_back
ok "all killed and started again" kill_all
ok "killed five times" kill_often
ok "a silent server is told in words" silent_server
ok "and is well after it speaks again" well_again
ok "metrics" metrics
ok "node list" fl node list
ok "map" fl map
ok "a target is added" add_target
ok "the shell completes" completes
ok "daemons with several addresses" several_addresses
ok "flint down stops everything" stop_it
ok "sanitizers are silent" no_sanitizer
done_testing
