#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# Backups of the metadata: made while clients work, by hand and by schedule; checked; restored into a
# new cluster; and a state that was damaged is refused, in words, and replaced by a backup.
. "$(dirname "$0")/cluster.bash"

flint() { timeout 60 "$BIN/flint" "$@"; }
up() { "$BIN/flint" up "$1" --no-rdma --listen=127.0.0.1 --base-port=$PORT --size=64M --chunk-servers=1; }
down() {
	for f in "$1"/run/*.pid; do
		kill -CONT "$(cat "$f")" 2>/dev/null
		kill "$(cat "$f")" 2>/dev/null
	done
	for f in "$1"/run/*.pid; do
		for _ in {1..100}; do
			kill -0 "$(cat "$f")" 2>/dev/null || break
			sleep 0.1
		done
	done
}
cut() { timeout 100 "$BIN/flint-metad-cut" --mgr "127.0.0.1:$((PORT + 1))" --key "$1/cluster.key" "${@:2}"; }

up "$D" >"$W/out.out" 2>&1
result $? "a cluster comes up"
cut "$D" write kept 100000 >"$W/out.out" 2>&1
result $? "a file is written"

flint meta backup --dir="$D" >"$W/out.out" 2>&1
result $? "a backup is made"
file=$(echo "$D"/meta/backup/meta-*.db)
[ -f "$file" ] && [ "$(stat -c %a "$file")" = 600 ]
result $? "as one private file"
flint meta verify --dir="$D" >"$W/out.out" 2>&1 && grep -q sound "$W/out.out"
result $? "the state is found sound"
flint meta backups --dir="$D" >"$W/out.out" 2>&1 && grep -q "${file##*/}" "$W/out.out"
result $? "the backup is listed"

cut "$D" write later 5000 >"$W/out.out" 2>&1
result $? "another file is written"
down "$D"

# A state that is not what it was.
cp -r "$D/meta" "$W/spoilt"
size=$(stat -c %s "$W/spoilt/meta.db")
dd if=/dev/urandom of="$W/spoilt/meta.db" bs=4096 seek=3 count=$((size / 4096 - 3)) conv=notrunc 2>/dev/null
status=0
timeout 20 "$BIN/flint-metad" --state "$W/spoilt" --key "$D/cluster.key" --mgr 127.0.0.1:1 \
	--listen 127.0.0.1 --tcp-port $((PORT + 9)) --rdma-port 0 >"$W/out.out" 2>&1 || status=$?
[ $status = 1 ] && grep -q "meta.db is damaged" "$W/out.out"
result $? "a damaged state is refused in words"

status=0
"$BIN/flint" meta restore "$file" --state="$D/meta" --yes >"$W/out.out" 2>&1 || status=$?
[ $status != 0 ] && grep -q "holds meta.db already" "$W/out.out"
result $? "a backup is not restored over a state"
cp "$file" "$W/broken.db"
sqlite3 "$W/broken.db" 'UPDATE inode SET uid = uid + 1'
status=0
"$BIN/flint" meta restore "$W/broken.db" --state="$W/none" --yes >"$W/out.out" 2>&1 || status=$?
[ $status != 0 ] && [ ! -e "$W/none/meta.db" ]
result $? "nor a damaged one at all"

# The metadata server loses its state; its cluster gets the backup.
mv "$D/meta" "$W/lost"
file=$W/lost/backup/${file##*/}
"$BIN/flint" meta restore "$file" --state="$D/meta" --yes >"$W/out.out" 2>&1
result $? "a backup is restored into an empty directory"
up "$D" >"$W/up" 2>&1 &
job=$!
for _ in {1..60}; do
	flint meta found meta --dir="$D" --yes >"$W/out.out" 2>&1 && break
	sleep 0.5
done
result $? "a metadata server comes up with it, in a group of its own"
wait $job
for _ in {1..60}; do
	flint meta verify --dir="$D" >"$W/out.out" 2>&1 && break
	sleep 0.5
done
grep -q sound "$W/out.out"
result $? "and is sound"
cut "$D" check kept 100000 >"$W/out.out" 2>&1
result $? "what was in the backup is there"
[ "$(sqlite3 "$D/meta/meta.db" "SELECT count(*) FROM dentry WHERE name = CAST('later' AS BLOB)")" = 0 ]
result $? "what came after it is not"
echo "1..$n"
done_testing
