#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Leases and locks over a change of the leader, with three replicas: killed, frozen (it wakes up and
# believes that it leads), asked to hand over. Nobody misses a change that was acknowledged, locks are
# kept, a client that is dead delays only what it may have held.
# timeout: 300
set -u

. "$(dirname "$0")/cluster.bash"

STARTED=()
PROCS=
trap '{ kill -9 "${STARTED[@]}" $PROCS; } 2> /dev/null; finish' EXIT
LEASE=8000

start()		# NAME [OPTION...]
{
	local cmd
	mapfile -d '' cmd < "$W/cmd.$1"
	"${cmd[@]}" "${@:2}" >> "$D/log/$1.log" 2>&1 &
	STARTED+=($!)
	echo $! > "$D/run/$1.pid"
	disown
}
start_meta() { start "$1" --lease-ms=$LEASE; }
leader() { field 'd["leader"]' meta status; }
all_members() { json "d['voters'] == 3 and d['missing'] == 0 and d['leader']" meta status; }
three()
{
	local m
	up --meta 3 --chunk-servers 1 && until_ok 20 all_members || return 1
	for m in meta meta2 meta3; do
		cat "/proc/$(pid $m)/cmdline" > "$W/cmd.$m"
		kill_hard "$(pid $m)"
	done
	for m in meta meta2 meta3; do start_meta $m; done
	until_ok 20 all_members
	MGRS=$(mgrs)
}
lt() { timeout 100 "$BIN/flint-leasetest" --mgr "$MGRS" --key "$D/cluster.key" "$@"; }

killed() { local l; l=$(leader); kill_hard "$(pid "$l")"; sleep "${1:-1}"; start_meta "$l"; until_ok 20 all_members; }
frozen() { local l; l=$(leader); kill -STOP "$(pid "$l")"; sleep 3; kill -CONT "$(pid "$l")"; until_ok 20 all_members; }
handed() { fl meta transfer && until_ok 20 all_members; }

coherent()	# DISTURBANCE...
{
	local co ret
	lt coherence 7 > "$W/co" 2>&1 &
	co=$!
	sleep 2
	"$@"
	sleep 1
	"$@"
	wait $co
	ret=$?
	cat "$W/co"
	return $ret
}

kept()		# DISTURBANCE
{
	mkfifo "$W/go.$1"
	lt kept < "$W/go.$1" > "$W/kept" 2>&1 &
	local p=$!
	exec 5> "$W/go.$1"
	until_ok 20 grep -q held "$W/kept" && "$1" && echo go >&5
	exec 5>&-
	wait $p
	local ret=$?
	cat "$W/kept"
	return $ret
}

# A client that holds something and is no more, and a new leader, which waits for it: but not elsewhere.
dead_client()
{
	"$BIN/flint-leasetest" --mgr "$MGRS" --key "$D/cluster.key" hold /held > "$W/hold" 2>&1 &
	PROCS=$!
	until_ok 20 grep -q held "$W/hold" || return 1
	kill -9 $PROCS
	local l
	l=$(leader)
	kill_hard "$(pid "$l")"
	until_ok 10 json "d['leader'] and d['leader'] != '$l'" meta status || return 1
	lt change /far/f1500 $((LEASE * 3 / 4)) || return 1
	lt change /held $((LEASE + LEASE / 2)) || return 1
	start_meta "$l"
	until_ok 20 all_members
}

# A writer that is no more, with the only copy of its file, and a new leader: who wants something else
# does not wait for that file, who wants it does, and has all of it in the end.
dead_writer()
{
	local l end
	"$BIN/flint-leasetest" --mgr "$MGRS" --key "$D/cluster.key" grow /dead > "$W/dead" 2>&1 &
	PROCS=$!
	until_ok 20 grep -q '^[0-9]' "$W/dead" && sleep 1.5
	kill -9 $PROCS
	cat "/proc/$(pid chunk1)/cmdline" > "$W/cmd.chunk1"
	kill_hard "$(pid chunk1)"
	l=$(leader)
	kill_hard "$(pid "$l")"
	until_ok 10 json "d['leader'] and d['leader'] != '$l'" meta status || return 1
	lt change /held $((LEASE * 3)) || return 1
	! timeout 3 "$BIN/flint-leasetest" --mgr "$MGRS" --key "$D/cluster.key" change /dead 3000 || return 1
	start chunk1
	start_meta "$l"
	end=$(sed '$!d' "$W/dead")
	lt grown /dead "$end" && until_ok 20 all_members
}

creates()	# DISTURBANCE
{
	local p ret
	lt promise "/creates-$1" 8 > "$W/creates" 2>&1 &
	p=$!
	sleep 2
	"$1"
	wait $p
	ret=$?
	grep '^#' "$W/creates"
	return $ret
}

# A session that says nothing: the new leader waits for it, while another one goes on making directories
# and files below them by delegation.
below()
{
	local p ret
	"$BIN/flint-leasetest" --mgr "$MGRS" --key "$D/cluster.key" hold /mute > "$W/mute" 2>&1 &
	PROCS=$!
	until_ok 20 grep -q held "$W/mute" || return 1
	lt below /below 10 > "$W/below" 2>&1 &
	p=$!
	# Not before: making the first directory takes its lease on the root back.
	until_ok 20 grep -q held "$W/below" && until_ok 20 all_members &&
		kill -STOP $PROCS && killed
	wait $p
	ret=$?
	kill -9 $PROCS
	grep '^#' "$W/below"
	return $ret
}

# Frozen for longer than sessions last: what the new leader heard since, the old one must not undo.
writes_on()
{
	local l writer ret
	"$BIN/flint-leasetest" --mgr "$MGRS" --key "$D/cluster.key" writer /on > "$W/on" 2>&1 &
	writer=$!
	PROCS=$writer
	until_ok 20 grep -q held "$W/on" || return 1
	l=$(leader)
	kill -STOP "$(pid "$l")"
	sleep $((LEASE / 1000 + 2))
	kill -CONT "$(pid "$l")"
	sleep 2
	! grep refused "$W/on"
	ret=$?
	kill -9 $writer
	return $ret
}

echo 1..15
ok "three replicas" three
ok "changes are not missed while leaders are killed" coherent killed
ok "nor while they are frozen and wake up" coherent frozen
ok "nor while the lead is handed over" coherent handed
ok "creates by delegation go on when the leader is killed" creates killed
ok "and when it hands over" creates handed
ok "and of directories below those, while a session is still waited for" below
ok "locks are kept when the leader is killed" kept killed
ok "when it is frozen" kept frozen
ok "when it hands over" kept handed
ok "a leader that wakes ends no session that another one keeps" writes_on
ok "files enough for inode numbers far apart" lt fill /far 3000
ok "a dead client delays only what it may have held" dead_client
ok "one that wrote and whose file cannot be reached, only those who want that file" dead_writer
ok "sanitizers are silent" no_sanitizer
done_testing
