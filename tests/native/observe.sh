#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
# What is seen from outside: metrics of every daemon (strictly parsed), log levels changed while they
# run, log lines as text and JSON, request ids.
set -u
. "$(dirname "$0")/cluster.bash"

PARSE=$ROOT/tests/native/promtext.py
TOKEN=

# scrape PORT: what Prometheus would read.
scrape() { curl -sf -H "Authorization: Bearer $TOKEN" "http://127.0.0.1:$1/metrics"; }
parsed() { scrape "$1" > "$W/m" && "$PARSE" "$W/m"; }
# sample PORT PATTERN: the value of a sample is more than 0.
sample() { scrape "$1" | grep -E "^$2 [1-9]" || { scrape "$1" | grep -E "^${2%%[\\{ ]*}"; false; }; }
refused() { [ "$(curl -s -o /dev/null -w '%{http_code}' "${@:2}")" = "$1" ]; }
level_is() { says "$2" fl log show --node "$1"; }
json_log()
{
	python3 - "$1" << 'END'
import json, sys
lines = open(sys.argv[1]).read().splitlines()
for line in lines:
    d = json.loads(line)
    assert d["program"] == "flint-chunkd" and d["level"] and d["time"].endswith("Z"), line
assert lines
END
}
writes_have_ids()
{
	fstest --fs default data && grep -E 'request trace=[0-9a-f]{16} op=write status=OK us=[0-9]+ bytes=' "$D/log/chunk1.log"
}
told_from_afar()
{
	local id

	id=$(grep -ohE 'request trace=[0-9a-f]{16} op=write' "$D/log/chunk1.log" | tail -n 1 | cut -d' ' -f2)
	fl log tail --node chunk1 | grep -F "$id"
}
no_more_lines()
{
	local before after

	before=$(grep -c 'debug: request' "$D/log/chunk1.log")
	fstest --fs default data
	after=$(grep -c 'debug: request' "$D/log/chunk1.log")
	[ "$before" = "$after" ]
}
json_lines()
{
	local p=$((PORT + 400))

	"$BIN/flint-chunkd" --format "$W/json.target" --id 99 --size 64M || return 1
	"$BIN/flint-chunkd" --alone --verbose --log-format json --state "$W/json" --key "$D/cluster.key" \
		--target "$W/json.target" --tcp-port $p --rdma-port 0 --metrics $((p + 2)) 2> "$W/json.log" &
	until_ok 10 parsed $((p + 2))
	kill $!
	wait $!
	json_log "$W/json.log"
}
# Secrets are put where a careless administrator or a bug might leave them.
plant()
{
	SECRETS=("$(cat "$D/cluster.key")" "$TOKEN" hunter2hunter2 "$(cut -d: -f3 < "$W/some.token")")
	echo "09:00:00.000 tester info: key ${SECRETS[0]} and metrics token ${SECRETS[1]}" >> "$D/log/chunk1.log"
	echo "mounted with secret=hunter2hunter2 and $(cat "$W/some.token")" >> "$D/log/meta.log"
	printf '# password: hunter2hunter2\n' >> "$D/flint.conf"
	[ ${#SECRETS[3]} -ge 40 ]
}
bundle() { plant && fl doctor -o "$W/bundle.tar.gz" && tar -xzf "$W/bundle.tar.gz" -C "$W/bundle" && ls -R "$W/bundle"; }
bundle_has()
{
	local f

	for f in cluster/status.json cluster/map.json cluster/nodes.json daemons/chunk1.metrics \
		daemons/meta.log daemons/mgr.metrics machine/versions machine/log/chunk1.log \
		machine/settings/flint.conf machine/mounts.json machine/kernel.log errors; do
		[ -s "$W"/bundle/*/$f ] || [ $f = errors ] || { echo "no $f"; return 1; }
	done
	[ "$(stat -c %a "$W/bundle.tar.gz")" = 600 ]
}
bundle_without()
{
	local s

	for s in "${SECRETS[@]}"; do
		! grep -rF -- "$s" "$W/bundle" || return 1
		! grep -rF -- "${s:0:30}" "$W/bundle" || return 1
	done
	grep -r 'key X*X and metrics' "$W/bundle"/*/machine/log/chunk1.log
}
# What a full /tmp has cut off is told as missing.
bundle_of_little()
{
	[ "$(id -u)" = 0 ] && unshare -m mount -t tmpfs none /tmp 2> /dev/null || return 0
	unshare -m bash -c 'mount -t tmpfs -o size=64k none /tmp && exec "$@"' doctor \
		"$BIN/flint" doctor --dir "$D" -o "$W/little.tar.gz" --json > "$W/little" &&
		python3 -c 'import json,sys; sys.exit(not json.load(sys.stdin)["missing"])' < "$W/little"
}
bundle_of_the_dead()
{
	"$BIN/flint" down "$D"
	fl doctor -o "$W/dead.tar.gz" && tar -tzf "$W/dead.tar.gz" | grep machine/log/chunk1.log
}
idle()
{
	local p t0 t1 hz bad=0
	hz=$(getconf CLK_TCK)
	sleep 1
	cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
	declare -A before
	for p in $(pids); do before[$p]=$(cpu "$p"); done
	sleep 6
	for p in $(pids); do
		t0=${before[$p]} t1=$(cpu "$p")
		echo "$(cat /proc/$p/comm): $((t1 - t0)) ticks of $((6 * hz))"
		# The clock has ticks of 10 ms: up to three of 600 are noise.
		[ $((t1 - t0)) -le $((6 * hz / 100 + 3)) ] || bad=1
	done
	return $bad
}

echo 1..28
ok "a cluster" up --chunk-servers 1
TOKEN=$(fl cluster metrics-token)
MGR=$PORT META=$((PORT + 13)) CHUNK=$((PORT + 23))
ok "files are written and read" fstest --fs default data
ok "a chunk server's metrics are well-formed" parsed $CHUNK
ok "a metadata server's are" parsed $META
ok "a manager's are" parsed $MGR
ok "requests are counted" sample $CHUNK 'flint_chunk_requests_total\{op="write",status="OK"\}'
ok "times are measured" sample $CHUNK 'flint_chunk_request_seconds_count\{op="read"\}'
ok "bytes are counted" sample $CHUNK 'flint_chunk_request_bytes_total\{op="write",direction="in"\}'
ok "targets tell their space" sample $CHUNK 'flint_chunk_target_capacity_bytes\{target="1"\}'
ok "the replica of metadata tells its state" sample $META 'flint_meta_raft_commit_index'
ok "managers tell who is up" sample $MGR 'flint_node_up\{node="chunk1",role="chunk"\}'
ok "nothing without the token" refused 401 "http://127.0.0.1:$CHUNK/metrics"
ok "nothing but /metrics" refused 404 -H "Authorization: Bearer $TOKEN" "http://127.0.0.1:$CHUNK/"
ok "the same over the protocol" bash -c "'$BIN/flint' metrics --dir '$D' --node chunk1 | '$PARSE'"
ok "every daemon says what it logs" level_is chunk1 info
ok "its level changes while it runs" fl log debug --node chunk1
ok "requests are logged with their ids" writes_have_ids
ok "log lines can be read from afar" told_from_afar
ok "and back" says info fl log info
ok "requests are logged no more" no_more_lines
ok "lines are JSON if that is asked for" json_lines
ok "an unknown level is refused" not fl log loud
ok "idle daemons take no CPU" idle
mkdir "$W/bundle"
fl token create --fs default --path / --out "$W/some.token" > "$W/out" 2>&1
ok "a support bundle is made" bundle
ok "everything is in it" bundle_has
ok "no key, token or password is" bundle_without
ok "what does not fit into /tmp is missing in it" bundle_of_little
ok "a cluster that is down has one as well" bundle_of_the_dead
done_testing
