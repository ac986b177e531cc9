#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
# Backups of the metadata: made while clients work, by hand and by schedule; checked; restored into a
# new cluster; and a state that was damaged is refused, in words, and replaced by a backup.
set -u
: "${BIN:=build/bin}"
DIR=$(mktemp -d /tmp/flint-meta-backup.XXXXXX)
BASE=$((21000 + (RANDOM % 900) * 10))
nr=0 failed=0

flint() { timeout 60 "$BIN/flint" "$@"; }
up() { "$BIN/flint" up "$1" --no-rdma --listen=127.0.0.1 --base-port=$BASE --size=64M --chunk-servers=1; }
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
cut() { timeout 100 "$BIN/flint-metad-cut" --mgr "127.0.0.1:$((BASE + 1))" --key "$1/cluster.key" "${@:2}"; }

result() { # STATUS NAME
	nr=$((nr + 1))
	if [ "$1" = 0 ]; then
		echo "ok $nr - $2"
	else
		echo "not ok $nr - $2"
		sed 's/^/# /' "$DIR/out"
		failed=1
	fi
}

finish() {
	for f in "$DIR"/*/run/*.pid; do
		kill -CONT "$(cat "$f")" 2>/dev/null
		kill -9 "$(cat "$f")" 2>/dev/null
	done
	rm -rf "$DIR"
}
trap finish EXIT

up "$DIR/a" >"$DIR/out" 2>&1
result $? "a cluster comes up"
cut "$DIR/a" write kept 100000 >"$DIR/out" 2>&1
result $? "a file is written"

flint meta backup --dir="$DIR/a" >"$DIR/out" 2>&1
result $? "a backup is made"
file=$(echo "$DIR"/a/meta/backup/meta-*.db)
[ -f "$file" ] && [ "$(stat -c %a "$file")" = 600 ]
result $? "as one private file"
flint meta verify --dir="$DIR/a" >"$DIR/out" 2>&1 && grep -q sound "$DIR/out"
result $? "the state is found sound"
flint meta backups --dir="$DIR/a" >"$DIR/out" 2>&1 && grep -q "${file##*/}" "$DIR/out"
result $? "the backup is listed"

cut "$DIR/a" write later 5000 >"$DIR/out" 2>&1
result $? "another file is written"
down "$DIR/a"

# A state that is not what it was.
cp -r "$DIR/a/meta" "$DIR/spoilt"
size=$(stat -c %s "$DIR/spoilt/meta.db")
dd if=/dev/urandom of="$DIR/spoilt/meta.db" bs=4096 seek=3 count=$((size / 4096 - 3)) conv=notrunc 2>/dev/null
status=0
timeout 20 "$BIN/flint-metad" --state "$DIR/spoilt" --key "$DIR/a/cluster.key" --mgr 127.0.0.1:1 \
	--listen 127.0.0.1 --tcp-port $((BASE + 9)) --rdma-port 0 >"$DIR/out" 2>&1 || status=$?
[ $status = 1 ] && grep -q "meta.db is damaged" "$DIR/out"
result $? "a damaged state is refused in words"

status=0
"$BIN/flint" meta restore "$file" --state="$DIR/a/meta" --yes >"$DIR/out" 2>&1 || status=$?
[ $status != 0 ] && grep -q "holds meta.db already" "$DIR/out"
result $? "a backup is not restored over a state"
cp "$file" "$DIR/broken.db"
sqlite3 "$DIR/broken.db" 'UPDATE inode SET uid = uid + 1'
status=0
"$BIN/flint" meta restore "$DIR/broken.db" --state="$DIR/none" --yes >"$DIR/out" 2>&1 || status=$?
[ $status != 0 ] && [ ! -e "$DIR/none/meta.db" ]
result $? "nor a damaged one at all"

# The metadata server loses its state; its cluster gets the backup.
mv "$DIR/a/meta" "$DIR/lost"
file=$DIR/lost/backup/${file##*/}
"$BIN/flint" meta restore "$file" --state="$DIR/a/meta" --yes >"$DIR/out" 2>&1
result $? "a backup is restored into an empty directory"
up "$DIR/a" >"$DIR/up" 2>&1 &
job=$!
for _ in {1..60}; do
	flint meta found meta --dir="$DIR/a" --yes >"$DIR/out" 2>&1 && break
	sleep 0.5
done
result $? "a metadata server comes up with it, in a group of its own"
wait $job
for _ in {1..60}; do
	flint meta verify --dir="$DIR/a" >"$DIR/out" 2>&1 && break
	sleep 0.5
done
grep -q sound "$DIR/out"
result $? "and is sound"
cut "$DIR/a" check kept 100000 >"$DIR/out" 2>&1
result $? "what was in the backup is there"
[ "$(sqlite3 "$DIR/a/meta/meta.db" "SELECT count(*) FROM dentry WHERE name = CAST('later' AS BLOB)")" = 0 ]
result $? "what came after it is not"
echo "1..$nr"
exit $failed
