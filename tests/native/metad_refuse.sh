#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# flint-metad with what it cannot work with: one clear sentence, exit status 1, nothing lost or half made.
set -u
BIN=${BIN:-build/bin}
dir=$(mktemp -d /tmp/flint-metad-refuse.XXXXXX)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/key"; echo >>"$dir/key")
n=0
port=$((20000 + RANDOM % 10000))

metad() {
	"$BIN/flint-metad" --key "$dir/key" --mgr 127.0.0.1:1 --listen 127.0.0.1 --rdma-port 0 \
		--tcp-port $((port + 1)) "$@"
}

check() { # NAME CONDITION-STATUS
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# /' "$dir/out"
	fi
}

# refused NAME WORDS... -- COMMAND: it fails with 1, in time, and says each of the words
refused() {
	local name=$1 words=() status=0 w bad=0
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	timeout 20 "$@" >"$dir/out" 2>&1 || status=$?
	[ "$status" = 1 ] || { echo "# status $status" >>"$dir/out"; bad=1; }
	for w in "${words[@]}"; do
		grep -q -- "$w" "$dir/out" || { echo "# it does not say: $w" >>"$dir/out"; bad=1; }
	done
	check "$name" $bad
}

started() {
	for _ in $(seq 100); do
		grep -q serving "$dir/log" && return 0
		sleep 0.1
	done
	return 1
}

export -f metad
export BIN dir port
mkdir "$dir/state"
"$BIN/flint-metad" --key "$dir/key" --mgr 127.0.0.1:1 --listen 127.0.0.1 --rdma-port 0 \
	--tcp-port "$port" --state "$dir/state" >"$dir/log" 2>&1 &
pid=$!
started
check "starts without a manager" $?
refused "a second daemon" "$dir/state" "$pid" -- bash -c 'metad --state "$dir/state"'
mkdir "$dir/two"
refused "a port that is taken" "$port" -- bash -c 'metad --state "$dir/two" --tcp-port "$port"'
kill "$pid"
status=0
wait "$pid" || status=$?
pid=
check "SIGTERM ends it with status 0" $status

cp -r "$dir/state" "$dir/bad"
printf 'not a database at all, really, it is text' | dd of="$dir/bad/meta.db" conv=notrunc 2>/dev/null
before=$(sha256sum <"$dir/bad/meta.db")
refused "a file that is no database" "$dir/bad/meta.db" "not a database" -- \
	bash -c 'metad --state "$dir/bad"'
[ "$before" = "$(sha256sum <"$dir/bad/meta.db")" ]
check "which is left as it was" $?

cp -r "$dir/state" "$dir/torn"
dd if=/dev/urandom of="$dir/torn/meta.db" bs=4096 seek=2 count=4 conv=notrunc 2>/dev/null
refused "a damaged database" "$dir/torn/meta.db" "damaged" -- bash -c 'metad --state "$dir/torn"'

cp -r "$dir/state" "$dir/newer"
sqlite3 "$dir/newer/meta.db" 'PRAGMA user_version=7'
refused "a newer schema" "$dir/newer/meta.db" "version 7" -- bash -c 'metad --state "$dir/newer"'

refused "a missing parent directory" "$dir/no/state" -- bash -c 'metad --state "$dir/no/state"'
refused "a missing key" "$dir/nokey" -- bash -c 'metad --state "$dir/two" --key "$dir/nokey"'
refused "the same port twice" "both" -- \
	bash -c 'metad --state "$dir/two" --tcp-port 7452 --rdma-port 7452'
if unshare -m true 2>/dev/null; then
	refused "a read-only state directory" "$dir/state" -- unshare -m bash -c \
		'mount --bind "$dir/state" "$dir/state" && mount -o remount,ro,bind "$dir/state" &&
		 metad --state "$dir/state"'
	refused "a full disk" "$dir/full" "space" -- unshare -m bash -c \
		'mkdir "$dir/full" && mount -t tmpfs -o size=16k none "$dir/full" &&
		 metad --state "$dir/full"'
else
	n=$((n + 2))
	echo "ok $((n - 1)) - a read-only state directory # SKIP no mount namespace"
	echo "ok $n - a full disk # SKIP no mount namespace"
fi
status=0
metad --no-such-option >"$dir/out" 2>&1 || status=$?
[ "$status" != 0 ] && grep -q no-such-option "$dir/out"
check "an unknown option" $?
echo "1..$n"
