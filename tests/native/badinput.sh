#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Bad input: each mistake ends in one clear sentence that names the thing and
# the remedy, a non-zero status, and nothing half-created.
# timeout: 400
. "$(dirname "$0")/cluster.bash"

pids=()

finish()
{
	local p

	for p in "${pids[@]}"; do kill -9 "$p" 2> /dev/null; done
	mountpoint -q "$W/small" && umount "$W/small"
	mountpoint -q "$W/ro" && umount "$W/ro"
	rm -rf "$W"
}
trap finish EXIT

report()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=1
		head -n 12 "$W/out" | cut -c1-300 | sed 's/^/# /'
	fi
}

# says NAME WORDS COMMAND...: it fails within 15 s, and one line says WORDS.
says()
{
	local name=$1 words=$2 status
	shift 2
	timeout 15 bash -c '"$@"' says "$@" > "$W/out" 2>&1
	status=$?
	[ $status -ne 0 ] && [ $status -lt 124 ] && grep -qiE "$words" "$W/out" &&
		[ "$(grep -cvE '^(Try |$)| info: | warning: |libgcov' "$W/out")" -le 1 ]
	report $? "$name"
}

# holds NAME COMMAND...: the command is true.
holds()
{
	local name=$1
	shift
	"$@" > "$W/out" 2>&1
	report $? "$name"
}

skip()
{
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

K=$W/cluster.key
"$BIN/flint" cluster init --key "$K" > /dev/null || exit 1
mgrd() { "$BIN/flint-mgrd" --state "$W/mgr" --key "$K" --listen 127.0.0.1 --tcp-port $PORT --rdma-port 0 --http-port $((PORT + 1)) "$@"; }
metad() { "$BIN/flint-metad" --state "$W/meta" --key "$K" --mgr 127.0.0.1:$PORT --listen 127.0.0.1 --tcp-port $((PORT + 2)) --rdma-port 0 "$@"; }
chunkd() { "$BIN/flint-chunkd" --state "$W/chunk" --key "$K" --mgr 127.0.0.1:$PORT --listen 127.0.0.1 --tcp-port $((PORT + 3)) --rdma-port 0 --target "$W/target" "$@"; }
fl() { "$BIN/flint" "$@" --mgr 127.0.0.1:$((PORT + 1)) --key "$K"; }
export -f mgrd metad chunkd fl
export BIN W K PORT

no_rdma() { [ -n "$(ls /sys/class/infiniband 2> /dev/null)" ] && { echo "rdma: there is a device here"; return 1; }; mgrd --rdma-port $((PORT + 9)); }
raw_target() { "$BIN/flint-chunkd" --state "$W/chunk" --key "$K" --mgr 127.0.0.1:$PORT --listen 127.0.0.1 --tcp-port $((PORT + 3)) --rdma-port 0 --target "$W/notarget"; }
other_key()
{
	"$BIN/flint" cluster init --key "$W/other.key" > /dev/null
	"$BIN/flint" status --mgr 127.0.0.1:$((PORT + 1)) --key "$W/other.key"
}
export -f no_rdma raw_target other_key
echo "[flint-mgrd]
colour = red
[flint-metad]
colour = red
[flint-chunkd]
colour = red" > "$W/bad.conf"

# A disk of 16 MiB: `flint up` asks for more than there is, and makes nothing.
full_disk()
{
	truncate -s 16M "$W/disk"
	if ! mkfs.ext4 -q "$W/disk" 2> /dev/null || ! mkdir "$W/small" ||
	   ! mount -o loop "$W/disk" "$W/small" 2> /dev/null; then
		skip "a full disk" "mounting is not possible here"
		skip "nothing half-made on it" "mounting is not possible here"
		return
	fi
	says "a full disk" "do not fit.*--size" "$BIN/flint" up "$W/small/up" --no-rdma --base-port $((PORT + 20))
	holds "nothing half-made on it" test ! -e "$W/small/up"
}

echo 1..58

# --- command lines
says "no such command" "there is no command 'bogus'" "$BIN/flint" bogus
says "a group without a verb" "flint fs create" "$BIN/flint" fs
says "an unknown option" "unrecognized option" "$BIN/flint" status --bogus
says "a missing argument" "takes NAME" "$BIN/flint" fs create
says "a number out of range" "takes a number from 1 to 16" "$BIN/flint" up "$W/up" --chunk-servers 99
says "a size that is none" "takes a size such as" "$BIN/flint" up "$W/up" --size many
holds "nothing of 'flint up' stays behind" test ! -e "$W/up"
for d in mgrd metad chunkd; do
	says "flint-$d: an unknown option" "bogus" $d --bogus
	says "flint-$d: a port that is none" "tcp-port" $d --tcp-port 99999999
	says "flint-$d: an unknown key in its file" "colour" $d -c "$W/bad.conf"
done
holds "no state was made" bash -c '! ls "$W/mgr" "$W/meta" "$W/chunk" 2>/dev/null'

# --- the key
says "an existing key is kept" "exists already" "$BIN/flint" cluster init --key "$K"
says "no key" "cluster init|no such|does not exist" mgrd --key "$W/nokey"
cp "$K" "$W/open.key" && chmod 644 "$W/open.key"
says "a key that others can read" "0600|chmod" mgrd --key "$W/open.key"
echo short > "$W/short.key" && chmod 600 "$W/short.key"
says "a key that is none" "64 hex" mgrd --key "$W/short.key"
holds "still no state" bash -c '! ls "$W/mgr" 2>/dev/null'

# --- addresses
says "an address that is not ours" "192\.0\.2\.1" mgrd --listen 192.0.2.1
says "a host that does not exist" "nohost\.invalid" mgrd --listen nohost.invalid
says "two ports that are one" "tcp-port.*rdma-port" mgrd --rdma-port $PORT
says "no RDMA device" "rdma" no_rdma
says "no manager there" "no manager answers" "$BIN/flint" status --mgr 127.0.0.1:1 --key "$K"
says "a name that nobody has" "no host" "$BIN/flint" status --mgr nohost.invalid --key "$K"

# --- state
(trap '' PIPE; mgrd > "$W/mgr.log" 2>&1) &
pids+=($!)
for i in {1..50}; do fl node list > /dev/null 2>&1 && break; sleep 0.1; done
pids+=($(pgrep -f -- "--state $W/mgr "))
says "a second manager on the same state" "in use|already|another" mgrd --tcp-port $((PORT + 5)) --http-port $((PORT + 6))
says "a port that is taken" "$PORT" mgrd --state "$W/other"
says "a signature with another key" "another cluster key" other_key
says "the wrong port of the manager" "no FlintFS manager|did not answer" "$BIN/flint" status --mgr 127.0.0.1:$PORT --key "$K"
says "a file system without a metadata server" "no metadata server" fl fs create x
says "a chain without targets" "no free target" fl chain create
says "a target that nobody has" "no target 7" fl chain create 7
holds "nothing was made" bash -c 'fl map --json | grep -q "\"chains\": \[\]"'
kill "$(pgrep -f -- "--state $W/mgr ")"
wait "${pids[0]}"

cp -r "$W/mgr" "$W/damaged"
dd if=/dev/urandom of="$W/damaged/state.db" bs=4096 count=1 conv=notrunc status=none
says "a corrupt database" "damaged.*restore" mgrd --state "$W/damaged"
dd if=/dev/urandom of="$W/meta.junk" bs=4096 count=4 status=none
mkdir -p "$W/badmeta" && cp "$W/meta.junk" "$W/badmeta/meta.db"
says "a corrupt metadata database" "meta.db" metad --state "$W/badmeta"
truncate -s 64M "$W/notarget"
says "a target that was never formatted" "format" raw_target
"$BIN/flint-chunkd" --format "$W/target" --id 1 --size 64M > /dev/null
says "a target is not formatted twice" "already|exist" "$BIN/flint-chunkd" --format "$W/target" --id 1 --size 64M

if [ "$(id -u)" = 0 ] && mkdir "$W/ro" && mount -t tmpfs -o ro none "$W/ro" 2> /dev/null; then
	says "a read-only state directory" "read-only|writ" mgrd --state "$W/ro"
	says "'flint up' on a memory file system" "memory file system" "$BIN/flint" up "$W/ro/up"
else
	skip "a read-only state directory" "mounting is not possible here"
	skip "'flint up' on a memory file system" "mounting is not possible here"
fi
full_disk

# --- the mount helper
M=$BIN/mount.flintfs
says "mount: no source" "source and a directory" "$M"
says "mount: a source that is none" "is no source" "$M" mgr1 "$W"
says "mount: no file system in it" "names no file system" "$M" mgr1:/ "$W"
says "mount: no such directory" "does not exist: make it" "$M" 127.0.0.1:/default "$W/nodir"
says "mount: no directory" "is no directory" "$M" 127.0.0.1:/default "$K"
says "mount: an option that is ours" "leave it out" "$M" 127.0.0.1:/default "$W" -o key=mine
says "mount: an unknown switch" "not understood" "$M" 127.0.0.1:/default "$W" -q
says "mount: secretfile without a file" "secretfile= needs" "$M" 127.0.0.1:/default "$W" -o secretfile=
if [ "$(id -u)" = 0 ]; then
	says "mount: a host that nobody has" "nohost.invalid" "$M" nohost.invalid:/default "$W"
else
	says "mount: not root" "root" "$M" nohost.invalid:/default "$W"
fi
if [ "$(id -u)" = 0 ] && [ -z "$(ls /sys/class/infiniband 2> /dev/null)" ]; then
	says "mount: no RDMA device" "no RDMA device: .*rdma link add" "$M" 127.0.0.1:/default "$W" -o "secretfile=$K,proto=rdma"
else
	skip "mount: no RDMA device" "this machine has one, or the test is not root"
fi
holds "mount: --help" "$M" --help

# A directory that only another namespace has, and one that only ours has.
fake() { "$M" -f 127.0.0.1:/default "$@" -o "secretfile=$K"; }
mkdir "$W/ns" "$W/ns/ours"
if fake "$W" > "$W/out" 2>&1 && unshare -m mount -t tmpfs none "$W/ns" 2> "$W/out"; then
	unshare -m bash -c 'mount -t tmpfs none "$W/ns" && mkdir "$W/ns/theirs" &&
		touch "$W/ns.there" && exec sleep 1000' & pids+=($!); disown
	export -f fake
	export M
	until_ok 60 test -e "$W/ns.there"
	holds "mount: -N, a directory of that namespace" fake "$W/ns/theirs" -N /proc/$!/ns/mnt
	says "mount: -N, a directory of ours" "does not exist: make it" fake "$W/ns/ours" -N /proc/$!/ns/mnt
	says "mount: -N, no namespace" "ns.there cannot be entered" fake "$W" -N "$W/ns.there"
else
	skip "mount: -N, a directory of that namespace" "the test is not root, or must not mount"
	skip "mount: -N, a directory of ours" "the test is not root, or must not mount"
	skip "mount: -N, no namespace" "the test is not root, or must not mount"
fi
exit $failed
