#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
#
# A real flint-chunkd over TCP, killed, frozen and started again under load that knows every byte
# (flint-chunkload); then its targets are damaged and filled, and what it says is checked.
. "$(dirname "$0")/cluster.bash"

daemon=

start() {
	"$BIN/flint-chunkd" --alone --state "$W/state" --key "$W/key" --listen 127.0.0.1 \
		--tcp-port $PORT --rdma-port 0 --name t --target "$W/target" \
		--threads "${threads:-1}" --discard "${discard:-auto}" >>"$W/chunkd.out" 2>&1 &
	daemon=$!
}

head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$W/key"
echo >>"$W/key"
chmod 600 "$W/key"
mkdir -m 700 "$W/state"

"$BIN/flint-chunkd" --format "$W/target" --id 1 --size 300M >"$W/format.out" 2>&1
result $? "a target is made"
"$BIN/flint-chunkd" --format "$W/target" --id 1 >"$W/format2.out" 2>&1
[ $? = 1 ] && grep -q -- "--force" "$W/format2.out"
result $? "a target is not made twice"

start
"$BIN/flint-chunkload" $PORT "$W/key" 14 >"$W/load.out" 2>&1 &
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
sed -n 's/^# /# /p' "$W/load.out"

kill -9 $daemon; wait $daemon 2>/dev/null
"$BIN/flint-chunkd" --inspect "$W/target" >"$W/inspect.out" 2>&1 &&
	grep -q '"consistent": true' "$W/inspect.out"
result $? "after kill -9 the allocator is what the index says"

threads=2 start
"$BIN/flint-chunkload" $PORT "$W/key" 3 >"$W/load2.out" 2>&1
result $? "the same with two threads"
kill -9 $daemon; wait $daemon 2>/dev/null
was=$(stat -c %b "$W/target")
discard=yes start
shrunk() { [ "$(stat -c %b "$W/target")" -lt $((was - 20000)) ]; }
until_ok 60 shrunk
result $? "with --discard yes the file gives free space back"
"$BIN/flint-chunkload" $PORT "$W/key" 3 >"$W/load3.out" 2>&1
result $? "... while it is written to and read"
kill -9 $daemon; wait $daemon 2>/dev/null
"$BIN/flint-chunkd" --inspect "$W/target" >"$W/inspect2.out" 2>&1 &&
	grep -q '"consistent": true' "$W/inspect2.out"
result $? "... and after kill -9 there is nothing wrong"
start
"$BIN/flint-chunkload" $PORT "$W/key" refusals >"$W/refusals.out" 2>&1
result $? "what is senseless is refused, each with its status"

"$BIN/flint-chunkload" $PORT "$W/key" mark >"$W/mark.out" 2>&1
kill -TERM $daemon; wait $daemon
at=$(grep -abo -m1 'block 100 of the marked chunk' "$W/target" | head -1 | cut -d: -f1)
printf '\377' | dd of="$W/target" bs=1 seek=$((at + 50)) conv=notrunc status=none
start
"$BIN/flint-chunkload" $PORT "$W/key" marked >"$W/marked.out" 2>&1 &&
	grep -q 'target 1 .*checksum error in chunk 0 of inode 777 .*the data was not returned' \
		"$W/chunkd.out"
result $? "a damaged byte is an error and a log line, never data; its neighbours are served"

kill -TERM $daemon; wait $daemon
daemon=
dd if=/dev/zero of="$W/target" bs=4096 count=2 conv=notrunc status=none
"$BIN/flint-chunkd" --inspect "$W/target" >"$W/super.out" 2>&1
[ $? = 1 ] && grep -q "is not a FlintFS target" "$W/super.out"
result $? "a target without superblock is refused in words"

echo "1..$n"
done_testing
