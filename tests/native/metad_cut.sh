#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 500
# Truncation and deletion across crashes: an intent outlives the metadata server and is answered after
# it; a removed file stays readable while open, through a crash; its chunks go after the last close.
. "$(dirname "$0")/cluster.bash"

up() { "$BIN/flint" up "$D" --no-rdma --listen=127.0.0.1 --base-port=$PORT --size=256M --chunk-servers=2; }
step() { timeout 100 "$BIN/flint-metad-cut" --mgr "127.0.0.1:$((PORT + 1))" --key "$D/cluster.key" "$@"; }
sql() { sqlite3 "$D/meta/meta.db" "$1"; }

becomes() { # QUERY WANTED
	for _ in $(seq 300); do
		[ "$(sql "$1")" = "$2" ] && return 0
		sleep 0.2
	done
	return 1
}

# waiting NAME SIZE: the chunk servers stand still, and a truncation by $job waits for them.
waiting()
{
	kill -STOP "$(pid chunk1)" "$(pid chunk2)"
	step trunc "$1" "$2" >"$W/trunc.out" 2>&1 &
	job=$!
	becomes "SELECT size FROM intent" "$2"
}

up >"$W/up.out" 2>&1
result $? "a cluster comes up"
step write f 3000000 >"$W/write.out" 2>&1
result $? "a file is written"

waiting f 1000001
result $? "a truncation waits for chunk servers that do not answer"
kill_hard "$(pid meta)"
kill -CONT "$(pid chunk1)" "$(pid chunk2)"
up >>"$W/up.out" 2>&1
wait $job
result $? "it is answered by the server that was started after a kill"
becomes "SELECT (SELECT count(*) FROM intent) || (SELECT trunc_epoch FROM inode WHERE size=1000001)" 01
result $? "once"
step trunc f 3000000 >"$W/grow.out" 2>&1 && step check f 1000001 >"$W/check.out" 2>&1
result $? "what was cut reads as zeros when the file grows again"

mkfifo "$W/hold"
step hold f 1000001 <"$W/hold" >"$W/hold.out" 2>&1 &
job=$!
exec 9>"$W/hold"
for _ in $(seq 600); do grep -q removed "$W/hold.out" && break; sleep 0.1; done
grep -q removed "$W/hold.out"
result $? "a file is removed while it is open"
kill_hard "$(pid meta)" "$(pid chunk1)" "$(pid chunk2)"
up >>"$W/up.out" 2>&1
becomes "SELECT ready FROM orphan" 0
result $? "a removed open file is kept"
echo >&9
wait $job
result $? "and read after everything was killed"
becomes "SELECT count(*) FROM inode WHERE nlink=0" 0 && [ "$(sql 'SELECT count(*) FROM orphan')" = 0 ]
result $? "it goes after the last close"

# Names follow each other from the first session on that takes leases.
lt() { exec "$BIN/flint-leasetest" --mgr "127.0.0.1:$((PORT + 1))" --key "$D/cluster.key" "$@"; }
lt hold /held >"$W/holder.out" 2>&1 &
holder=$!
becomes "SELECT count(*) > 0 FROM hint" 1
result $? "a client takes leases"

# Data that cannot be cut for as long as its chunk servers are away keeps nobody from the file's name.
step write e 1000000 >"$W/write.out" 2>&1 && step write t 1000000 >>"$W/write.out" 2>&1
result $? "two files are written"
kill -STOP "$(pid chunk1)" "$(pid chunk2)"
step empty e 0 >"$W/empty.out" 2>&1 &
jobs=$!
step trunc t 500000 >"$W/trunc.out" 2>&1 &
jobs+=" $!"
becomes "SELECT count(*) FROM intent" 2
result $? "one is emptied by OPEN, the other one cut"
step empty t 0 >"$W/again.out" 2>&1 &
jobs+=" $!"
sleep 3		# for it to wait
step remove e 0 >"$W/remove.out" 2>&1
result $? "the one that OPEN has emptied is removed before its data is"
step remove t 0 >"$W/remove.out" 2>&1
result $? "so is one that another OPEN waits for"
kill -CONT "$(pid chunk1)" "$(pid chunk2)"
rc=0
for job in $jobs; do wait "$job" || rc=1; done
result $rc "who waited goes on when the chunk servers do"

# The metadata server that was started cannot end the truncation before every client has said what it
# holds; the one that may hold something near the file is stopped for a while.
step write g 1000000 >"$W/write.out" 2>&1
result $? "another file is written"
waiting g 500000
result $? "a truncation is under way"
kill -STOP $holder
kill_hard "$(pid meta)"
kill -CONT "$(pid chunk1)" "$(pid chunk2)"
up >>"$W/up.out" 2>&1
p=$(pid meta)
sleep 5
kill -CONT $holder
wait $job
result $? "whose end waits for that client after a kill"
kill -0 "$p"
result $? "and the server goes on"
{ kill -9 $holder; wait $holder; } 2>/dev/null
echo "1..$n"
