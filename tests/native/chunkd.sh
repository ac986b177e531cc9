#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
#
# A real flint-chunkd over TCP, killed, frozen and started again under load that knows every byte
# (flint-chunkload); then its targets are damaged and filled, and what it says is checked.
set -u

: "${BIN:=build/bin}"
DIR=$(mktemp -d /tmp/flint-chunkd.XXXXXX)
PORT=$((29000 + RANDOM % 3000))
nr=0 failed=0 daemon=

result() {	# STATUS NAME
	nr=$((nr + 1))
	if [ "$1" = 0 ]; then
		echo "ok $nr - $2"
	else
		echo "not ok $nr - $2"
		failed=1
	fi
}

finish() {
	[ -n "$daemon" ] && kill -CONT "$daemon" 2>/dev/null && kill -9 "$daemon" 2>/dev/null
	if [ $failed = 1 ]; then
		for f in "$DIR"/*.out; do
			echo "# == $f"
			tail -n 20 "$f" | sed 's/^/# /'
		done
	fi
	rm -rf "$DIR"
}
trap finish EXIT
trap 'exit 1' INT TERM

start() {
	"$BIN/flint-chunkd" --alone --state "$DIR/state" --key "$DIR/key" --listen 127.0.0.1 \
		--tcp-port $PORT --rdma-port 0 --name t --target "$DIR/target" \
		--threads "${threads:-1}" >>"$DIR/chunkd.out" 2>&1 &
	daemon=$!
}

head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$DIR/key"
echo >>"$DIR/key"
chmod 600 "$DIR/key"
mkdir -m 700 "$DIR/state"

"$BIN/flint-chunkd" --format "$DIR/target" --id 1 --size 300M >"$DIR/format.out" 2>&1
result $? "a target is made"
"$BIN/flint-chunkd" --format "$DIR/target" --id 1 >"$DIR/format2.out" 2>&1
[ $? = 1 ] && grep -q -- "--force" "$DIR/format2.out"
result $? "a target is not made twice"

start
"$BIN/flint-chunkload" $PORT "$DIR/key" 14 >"$DIR/load.out" 2>&1 &
load=$!
for i in 1 2 3 4 5 6 7 8 9; do
	sleep 1.2
	kill -0 $load 2>/dev/null || break
	if [ $((i % 4)) = 3 ]; then
		kill -STOP $daemon; sleep 1; kill -CONT $daemon
	elif [ $i = 5 ]; then
		kill -TERM $daemon; wait $daemon
		result $? "a clean stop ends with status 0"
		start
	else
		kill -9 $daemon; wait $daemon 2>/dev/null
		start
	fi
done
wait $load
result $? "no byte is lost or wrong while the server is killed, frozen and restarted"
sed -n 's/^# /# /p' "$DIR/load.out"

kill -9 $daemon; wait $daemon 2>/dev/null
"$BIN/flint-chunkd" --inspect "$DIR/target" >"$DIR/inspect.out" 2>&1 &&
	grep -q '"consistent": true' "$DIR/inspect.out"
result $? "after kill -9 the allocator is what the index says"

threads=2 start
"$BIN/flint-chunkload" $PORT "$DIR/key" 3 >"$DIR/load2.out" 2>&1
result $? "the same with two threads"
"$BIN/flint-chunkload" $PORT "$DIR/key" refusals >"$DIR/refusals.out" 2>&1
result $? "what is senseless is refused, each with its status"

"$BIN/flint-chunkload" $PORT "$DIR/key" mark >"$DIR/mark.out" 2>&1
kill -TERM $daemon; wait $daemon
at=$(grep -abo -m1 'block 100 of the marked chunk' "$DIR/target" | head -1 | cut -d: -f1)
printf '\377' | dd of="$DIR/target" bs=1 seek=$((at + 50)) conv=notrunc status=none
start
"$BIN/flint-chunkload" $PORT "$DIR/key" marked >"$DIR/marked.out" 2>&1 &&
	grep -q 'target 1 .*checksum error in chunk 0 of inode 777 .*the data was not returned' \
		"$DIR/chunkd.out"
result $? "a damaged byte is an error and a log line, never data; its neighbours are served"

kill -TERM $daemon; wait $daemon
daemon=
dd if=/dev/zero of="$DIR/target" bs=4096 count=2 conv=notrunc status=none
"$BIN/flint-chunkd" --inspect "$DIR/target" >"$DIR/super.out" 2>&1
[ $? = 1 ] && grep -q "is not a FlintFS target" "$DIR/super.out"
result $? "a target without superblock is refused in words"

echo "1..$nr"
exit $failed
