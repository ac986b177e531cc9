#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random namespace operations of several clients on three metadata replicas, compared one by one with
# a model, while the leader is killed, frozen and started again, and leads are handed over. In the
# end trees, invariants and the replicas' checksums are compared.
#
# SECONDS_EACH=N (default 24) with disturbances, SEED=N; OPS=N operations, however long they take.
# timeout: 200
set -u

. "$(dirname "$0")/cluster.bash"

SEED=${SEED:-7}
for_s=${SECONDS_EACH:-24}
STARTED=()
trap '{ kill -9 "${STARTED[@]}" $model; } 2> /dev/null; finish' EXIT
model=

start()
{
	local cmd
	mapfile -d '' cmd < "$W/cmd.$1"
	"${cmd[@]}" >> "$D/log/$1.log" 2>&1 &
	STARTED+=($!)
	echo $! > "$D/run/$1.pid"
	disown
}
leader() { field 'd["leader"]' meta status; }
three() { up --meta 3 --chunk-servers 1 && until_ok 20 all_members && remember; }
remember() { for m in meta meta2 meta3; do cat "/proc/$(pid $m)/cmdline" > "$W/cmd.$m"; done; }
all_members() { json "d['voters'] == 3 and d['missing'] == 0 and d['leader']" meta status; }
equal() { until_ok 30 all_members && until_ok 30 fl meta checksum && fl meta verify --all; }
modeltest() { "$BIN/flint-modeltest" --mgr "$(mgrs)" --key "$D/cluster.key" --seed "$SEED" "$@"; }

killed()
{
	local l
	l=$(leader) && [ -n "$l" ] || return 0
	kill_hard "$(pid "$l")"
	sleep 1.$((RANDOM % 10))
	start "$l"
}
frozen()
{
	local l
	l=$(leader) && [ -n "$l" ] || return 0
	kill -STOP "$(pid "$l")"
	sleep $((2 + RANDOM % 3))
	kill -CONT "$(pid "$l")"
}
handed() { fl meta transfer; }

# In the background: operations; here: what disturbs them, until they are done.
disturbed()
{
	local n=0 act
	modeltest "$@" > "$W/model.out" 2>&1 &
	model=$!
	sleep 1
	while kill -0 $model 2> /dev/null; do
		act=$(printf 'killed\nfrozen\nhanded\n' | sed -n "$((n % 3 + 1))p")
		$act > "$W/act" 2>&1
		n=$((n + 1))
		until_ok 30 all_members || { kill $model; break; }
		sleep 1
	done
	wait $model
	local ret=$?
	model=
	cat "$W/model.out"
	echo "# $n disturbances"
	return $ret
}
tell() { sed -n '/^#/p' "$W/out"; }

echo 1..6
ok "three replicas" three
ok "operations agree with the model" modeltest --ops "${QUIET_OPS:-6000}" --seconds 60
tell
ok "replicas are equal" equal
if [ -n "${OPS:-}" ]; then
	ok "and so they do while leaders are killed, frozen and replaced" disturbed --ops "$OPS"
else
	ok "and so they do while leaders are killed, frozen and replaced" disturbed --ops 100000000 --seconds "$for_s"
fi
tell
ok "replicas are equal at the end" equal
ok "sanitizers are silent" no_sanitizer
done_testing
