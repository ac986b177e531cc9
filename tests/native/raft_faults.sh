#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Disks of metadata replicas that fail, fill up, tear and rot: the replica stops in words, the others
# go on, and the procedure in the operations guide brings it back. A majority that is lost; a state of
# a time before replication.
# timeout: 200
set -u

. "$(dirname "$0")/cluster.bash"

STARTED=()
trap '{ kill -9 "${STARTED[@]}"; } 2> /dev/null; finish' EXIT

# start NAME [VARIABLE=VALUE...]: as `flint up` started it, as our child; its pid is in PID.
start()
{
	local name=$1 cmd
	shift
	mapfile -d '' cmd < "$W/cmd.$name"
	env ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" "$@" "${cmd[@]}" >> "$D/log/$name.log" 2>&1 &
	PID=$!
	STARTED+=($PID)
	echo $PID > "$D/run/$name.pid"
}
remember() { for m in meta meta2 meta3; do cat "/proc/$(pid $m)/cmdline" > "$W/cmd.$m"; done; }
stop_hard() { kill_hard "$(pid "$1")" 2> /dev/null; }
leader() { field 'd["leader"]' meta status; }
follower() { field '[m["name"] for m in d["replicas"] if m["state"] == "follower"][0]' meta status; }
all_members() { json "d['voters'] == 3 and d['missing'] == 0 and d['leader'] and
	max(m['behind'] for m in d['replicas'] if m['member']) < 3" meta status; }
serves() { until_ok 20 fl fs create "$1"; }
# What it said last, and that it is gone with a status that is not 0.
stopped_in_words()
{
	local name=$1 status=0 w
	shift
	until_ok 20 not kill -0 $PID || return 1
	wait $PID || status=$?
	echo "status $status"
	tail -n 3 "$D/log/$name.log"
	[ $status = 1 ] || return 1
	for w in "$@"; do tail -n 3 "$D/log/$name.log" | grep -q -- "$w" || return 1; done
}

disk_fault()	# HOW
{
	f=$(follower)
	stop_hard "$f"
	start "$f" LD_PRELOAD="$BIN/flint-faultdisk.so" FAULT_TRIGGER="$W/trigger" FAULT_MATCH=raft.db
	until_ok 20 all_members || return 1
	echo "$1" > "$W/trigger"
	serves "$2"
}
# The same to the one that leads.
leader_fault()	# HOW NAME
{
	f=$(follower)
	stop_hard "$f"
	start "$f" LD_PRELOAD="$BIN/flint-faultdisk.so" FAULT_TRIGGER="$W/trigger" FAULT_MATCH=raft.db
	until_ok 20 all_members && until_ok 20 fl meta transfer "$f" && [ "$(leader)" = "$f" ] || return 1
	echo "$1" > "$W/trigger"
	serves "$2" && [ "$(leader)" != "$f" ]
}
# What `flint status` says of a replica whose clock or free space is wrong; then it is well again.
told_of()	# HOW WORDS
{
	f=$(follower)
	stop_hard "$f"
	start "$f" LD_PRELOAD="$BIN/flint-faultdisk.so" FAULT_TRIGGER="$W/trigger" FAULT_MATCH=raft.db
	until_ok 20 all_members || return 1
	echo "$1" > "$W/trigger"
	until_ok 20 told "$2" fl status || { rm -f "$W/trigger"; return 1; }
	rm -f "$W/trigger"
	until_ok 20 not says "$2" fl status
}
# While the disk of the one that leads is nearly full, nothing grows, but things can be removed.
no_growth()
{
	until_ok 20 fl meta transfer "$f" && [ "$(leader)" = "$f" ] || return 1
	echo l > "$W/trigger"
	# It looks at its disk now and then: what is asked before may still be done.
	until_ok 20 says "state is nearly full" fl status || { rm -f "$W/trigger"; return 1; }
	fl fs create never > "$W/never" 2>&1
	rm -f "$W/trigger"
	cat "$W/never"
	grep -q 'nearly full\|No space left' "$W/never" && serves room
}
comes_back() { rm -f "$W/trigger"; start "$f"; until_ok 20 all_members; }

torn_tail()
{
	f=$(follower)
	serves torn && until_ok 10 test -s "$D/$f/raft.db-wal" || return 1	# so that there is a tail
	stop_hard "$f"
	# Half a transaction behind the last one, as a machine leaves it that loses power.
	python3 - "$D/$f/raft.db-wal" << 'END'
import struct, sys
f = open(sys.argv[1], "r+b")
d = f.read()
salt, at = d[16:24], 32
while at < len(d) and d[at + 8:at + 16] == salt:
	at += 24 + 4096
f.seek(at)
f.write(struct.pack(">II", 2, 0) + salt + bytes(8) + b"\xa5" * 4096 + struct.pack(">II", 3, 7) + salt)
END
	start "$f"
	until_ok 20 all_members
}
rot_wal()
{
	f=$(follower)
	stop_hard "$f"
	python3 - "$D/$f/raft.db-wal" << 'END'
import sys
f = open(sys.argv[1], "r+b")
f.seek(32 + 24 + 100)
f.write(b"\x5a" * 64)
END
	start "$f"
}
rot_page()
{
	f=$(follower)
	stop_hard "$f"
	rm -f "$D/$f/raft.db-wal"
	python3 - "$D/$f/raft.db" << 'END'
import os, sys
f = open(sys.argv[1], "r+b")
for at in range(4096, os.path.getsize(sys.argv[1]), 4096):
	f.seek(at)
	f.write(b"\x5a" * 2000)
END
	start "$f"
}
untouched() { [ "$(sha256sum < "$D/$f/raft.db")" = "$before" ]; }
procedure()
{
	rm -rf "${D:?}/$f"
	mkdir -m 700 "$D/$f"
	start "$f"
	until_ok 20 says 'was emptied' fl meta status || return 1
	fl meta replace "$f" --yes && until_ok 20 all_members
}

lost_majority()
{
	local m
	stop_hard meta2
	stop_hard meta3
	rm -rf "${D:?}/meta2" "$D/meta3"
	stop_hard meta
	"$BIN/flint" meta rescue --state "$D/meta" --yes || return 1
	start meta
	serves rescued || return 1
	for m in meta2 meta3; do
		mkdir -m 700 "$D/$m"
		start $m
		until_ok 30 fl meta add $m || return 1
	done
	until_ok 20 all_members
}

# A state without a log: of a time before replication, or of a backup.
takes_over()
{
	mkdir -m 700 "$W/old" && sqlite3 "$D/meta/meta.db" ".backup $W/old/meta.db" &&
		sqlite3 "$W/old/meta.db" 'UPDATE state SET log_term=0, log_index=0' || return 1
	"$BIN/flint-metad" --state "$W/old" --key "$D/cluster.key" --mgr 127.0.0.1:1 --listen 127.0.0.1 \
		--tcp-port $((PORT + 490)) --rdma-port 0 --found > "$W/old.log" 2>&1 &
	PID=$!
	until_ok 10 grep -q 'leads metadata' "$W/old.log" || { kill $PID; return 1; }
	kill $PID && wait $PID
	[ "$(sqlite3 "$W/old/raft.db" 'SELECT base > 0 FROM root')" = 1 ] &&
		[ "$(sqlite3 "$W/old/meta.db" 'SELECT count(*) FROM fs')" = \
		  "$(sqlite3 "$D/meta/meta.db" 'SELECT count(*) FROM fs')" ]
}
# Of the first version of the schema, which is upgraded on the way.
takes_over_v1()
{
	mkdir -m 700 "$W/v1"
	python3 - "$ROOT/tests/unit/meta_store_test.c" "$W/v1/meta.db" << 'END' || return 1
import re, sqlite3, sys
c = open(sys.argv[1]).read()
c = c[c.index("static const char v1[] ="):]
sql = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', c[:c.index(";\n\n")]))
db = sqlite3.connect(sys.argv[2])
db.executescript(sql)
db.commit()
END
	sqlite3 "$W/v1/meta.db" 'PRAGMA user_version' | grep -qx 1 || return 1
	"$BIN/flint-metad" --state "$W/v1" --key "$D/cluster.key" --mgr 127.0.0.1:1 --listen 127.0.0.1 \
		--tcp-port $((PORT + 491)) --rdma-port 0 --found > "$W/v1.log" 2>&1 &
	PID=$!
	until_ok 10 grep -q 'leads metadata' "$W/v1.log" || { cat "$W/v1.log"; kill $PID; return 1; }
	kill $PID && wait $PID || { cat "$W/v1.log"; return 1; }
	[ "$(sqlite3 "$W/v1/raft.db" 'SELECT base > 0 FROM root')" = 1 ] &&
		[ "$(sqlite3 "$W/v1/meta.db" 'PRAGMA user_version')" -gt 1 ] &&
		[ "$(sqlite3 "$W/v1/meta.db" 'SELECT size FROM inode WHERE ino = 18')" = 5000 ]
}
# But a group's state without its log is not taken for one.
flushed() { [ "$(sqlite3 "$D/$f/meta.db" 'SELECT log_term FROM state')" -gt 0 ]; }
no_log()
{
	f=$(follower)
	until_ok 10 flushed
	stop_hard "$f"
	rm "$D/$f"/raft.db*
	start "$f"
}

echo 1..30
three() { up --meta 3 --chunk-servers 1; until_ok 20 all_members; }
ok "three replicas" three
remember
ok "the others go on when a sync fails" disk_fault s one
ok "that replica has stopped in words" stopped_in_words "$f" "raft.db" "flint meta replace"
ok "and comes back when the disk is well" comes_back
ok "the others go on when a disk is full" disk_fault f two
ok "that replica has stopped in words" stopped_in_words "$f" "raft.db" "full"
ok "and comes back when there is space" comes_back
ok "the others go on when the leader's disk fails" leader_fault s lead1
ok "it has stopped in words" stopped_in_words "$f" "raft.db" "flint meta replace"
ok "and comes back when the disk is well" comes_back
ok "the others go on when the leader's disk is full" leader_fault f lead2
ok "it has stopped in words" stopped_in_words "$f" "raft.db" "full"
ok "and comes back when there is space" comes_back
ok "a clock that is off is told" told_of c "that of the leading manager"
ok "a disk that is nearly full, too" told_of l "state is nearly full"
ok "nothing grows while the leader's is" no_growth
ok "a torn end of the log is no damage" torn_tail
rot_wal
ok "what rotted in the log is found at the start" stopped_in_words "$f" "raft.db" "damaged"
ok "the others go on" serves three
ok "the procedure brings it back" procedure
rot_page
before=$(sha256sum < "$D/$f/raft.db")
ok "a page that rotted is found at the start" stopped_in_words "$f" "raft.db" "damaged"
ok "nothing of it was changed" untouched
ok "the procedure brings it back" procedure
no_log
ok "a state whose log is gone is refused" stopped_in_words "$f" "missing" "flint meta replace"
ok "the procedure brings it back" procedure
ok "a majority lost for good: the survivor goes on, new ones join" lost_majority
ok "all file systems are there" json "set('one two three rescued'.split()) <= set(f['name'] for f in d['file_systems'])" fs list
ok "a state of a time before replication is taken over" takes_over
ok "and one of the first schema, upgraded on the way" takes_over_v1
ok "no sanitizer has complained" no_sanitizer
done_testing
