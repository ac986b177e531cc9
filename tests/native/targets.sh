#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
#
# Targets of a running flint-chunkd: formatted, attached, detached, damaged, doubled, of another
# cluster, in places that are not allowed; after each the others serve (flint-chunkload on target 1).
. "$(dirname "$0")/cluster.bash"

daemon=

start() {	# TARGET...
	local t args=()
	for t; do args+=(--target "$t"); done
	"$BIN/flint-chunkd" --alone --state "$W/state" --key "$W/key" --listen 127.0.0.1 \
		--tcp-port $PORT --rdma-port 0 --name t --target-dir "$W/disks" --threads 2 \
		"${args[@]}" >>"$W/chunkd.out" 2>&1 &
	daemon=$!
	for _ in $(seq 100); do
		(exec 3<>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null && return 0
		kill -0 $daemon 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}
stop() { kill "$daemon" && wait "$daemon"; local s=$?; daemon=; return $s; }
ctl() { "$BIN/flint-targetctl" $PORT "$W/key" "$@"; }
says() {	# WORDS COMMAND...: fails with a sentence that has WORDS
	local words=$1
	shift
	"$@" >"$W/says" 2>&1 && { cat "$W/says"; return 1; }
	cat "$W/says"
	grep -q -- "$words" "$W/says"
}
has() { ctl list | tee "$W/list"; grep -q -- "$1" "$W/list"; }
hasnt() { ! has "$1"; }
load() { "$BIN/flint-chunkload" $PORT "$W/key" "${1:-1}"; }
logged() { grep -q -- "$1" "$W/chunkd.out"; }

head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$W/key"
echo >>"$W/key"
chmod 600 "$W/key"
mkdir -m 700 "$W/state"
mkdir "$W/disks" "$W/other"
for i in 1 2 3; do "$BIN/flint-chunkd" --format "$W/disks/$i" --id $i --size 300M >/dev/null; done
"$BIN/flint-chunkd" --format "$W/other/9" --id 9 --size 64M >/dev/null
cp "$W/disks/1" "$W/disks/double"
head -c 9000 /dev/zero | dd of="$W/disks/3" conv=notrunc status=none
ln -s "$W/other/9" "$W/disks/link"
yes flint | head -c 70000000 >"$W/disks/data"

echo "# at the start"
ok "a server starts though one target has no superblock and another is double" \
	start "$W/disks/1" "$W/disks/3" "$W/disks/double"
ok "what is missing is said" logged "3: is not a FlintFS target"
ok "what is double is said" logged "are both target 1"
ok "they are listed with the reason" has "3: .*not a FlintFS target"
ok "the good one serves" load

echo "# attaching"
ok "a target is attached" ctl attach "$W/disks/2"
ok "it is listed" has "^2 [02] 0 "
ok "not twice" says "uses this target\|both target 2" ctl attach "$W/disks/2"
ok "none with the number of another" says "both target 1" ctl attach "$W/disks/double"
ok "none from elsewhere" says "not below" ctl attach "$W/other/9"
ok "none by way of .." says "not below" ctl attach "$W/disks/../other/9"
ok "none by way of a link" says "not below" ctl attach "$W/disks/link"
ok "none that is missing" says "cannot open" ctl attach "$W/disks/nothing"
ok "none without superblock" says "not a FlintFS target" ctl attach "$W/disks/3"
ok "data are not formatted away" says "holds data" ctl format 4 "$W/disks/data"
ok "an empty place becomes a target" ctl format 4 "$W/disks/new"
ok "force takes what is there" ctl format 5 "$W/disks/data" force
ok "a format without a number is refused" says "number" ctl format 0 "$W/disks/zero"
ok "others have served meanwhile" load

echo "# detaching, under load"
load 4 >"$W/load.out" 2>&1 &
bg=$!
ok "a target is detached" ctl detach 2
ok "it is not listed" hasnt "^2 "
ok "what is not there is not detached" says "no target 2" ctl detach 2
ok "its file is free" flock -n "$W/disks/2" true
ok "it is attached again" ctl attach "$W/disks/2"
for _ in 1 2 3; do ctl detach 4 && ctl attach "$W/disks/new"; done >"$W/again" 2>&1
ok "again and again" has "^4 "
ok "no byte of the others is wrong" wait $bg
ok "even the one that is used can go" ctl detach 1
ok "and come back" ctl attach "$W/disks/1"
ok "with what it had" load

echo "# restart"
ok "the server stops" stop
ok "and starts" start "$W/disks/1"
ok "with what was attached" has "^5 "
ok "and 2" has "^2 "
ok "and 4" has "^4 "
ok "it serves" load
stop
ok "all targets are sound" bash -c "for i in 1 2 new data; do $BIN/flint-chunkd --inspect $W/disks/\$i | grep -q '\"consistent\": true' || exit 1; done"
ok "no sanitizer complained" bash -c "! grep -E 'Sanitizer|runtime error' $W/chunkd.out"
echo "1..$n"
done_testing
