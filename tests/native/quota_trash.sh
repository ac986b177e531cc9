#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# flint du, quota, trash and fs rmtree against a running cluster, and what they leave across a restart
# of the metadata server.
set -u

: "${BIN:=build/bin}"
DIR=$(mktemp -d /tmp/flint-quota.XXXXXX)
BASE=$((20000 + (RANDOM % 900) * 10))
nr=0 failed=0

flint() { "$BIN/flint" "$@" --dir "$DIR/c"; }
fstest() { "$BIN/flint-fstest" --mgr "127.0.0.1:$((BASE + 1))" --key "$DIR/c/cluster.key" "$@"; }
up() { "$BIN/flint" up "$DIR/c" --no-rdma --listen=127.0.0.1 --base-port=$BASE --size=200M --time-scale=2; }
finish() {
	[ $failed = 0 ] || tail -n 20 "$DIR"/out "$DIR"/c/log/* | sed 's/^/# /'
	"$BIN/flint" down "$DIR/c" >/dev/null 2>&1
	rm -rf "$DIR"
}
trap finish EXIT
trap 'exit 1' INT TERM

check() {	# NAME COMMAND...
	local name=$1
	nr=$((nr + 1))
	shift
	if "$@" >"$DIR/out" 2>&1; then
		echo "ok $nr - $name"
	else
		echo "not ok $nr - $name"
		failed=1
	fi
}
json() { "$BIN/flint" "${@:2}" --dir "$DIR/c" --json | python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
says() { local want=$1; shift; "$@" 2>&1 | grep -q -- "$want"; }

up >"$DIR/out" 2>&1 || { echo "Bail out! no cluster"; exit 1; }
# Something to look at: a tree of files that chaos leaves behind.
fstest chaos 2 "$DIR/man" >"$DIR/out" 2>&1
TOP=/$(awk '{print $1}' "$DIR/man" | grep -o 'chaos-[0-9a-f]*' | head -1)
files=$(json 'd[0]["files"]' du default:/)
bytes=$(json 'd[0]["bytes"]' du default:/)

check "du has something to tell" test "$files" -gt 4
check "totals agree with a walk" flint quota check default:/
check "a user is charged" is "$(json '[q["space"] for q in d if q["kind"] == "user" and q["id"] == 0][0] >= '"$bytes" quota ls default:/)" True
check "a soft limit above the hard one is refused" says "must not be above" flint quota set default:/ --soft 2G --hard 1G
check "quota set" flint quota set default:/ --hard 1G --inodes-hard 100000 --grace 1d
check "quota get" is "$(json 'd["space_hard"]' quota get default:/)" 1073741824
check "quota ls tells the path" says " / " flint quota ls default:/
check "what is not there is named" says "No such file" flint du default:/none
check "a place that is none is named" says "not on a FlintFS mount" flint du /tmp

check "trash keep" flint trash keep default:/ 1h
check "rmtree goes into the trash" says "flint trash ls" flint fs rmtree "default:$TOP"
check "it is out of the totals" is "$(json 'd[0]["files"] < '"$files" du default:/)" True
check "trash ls" is "$(json 'd[0]["path"]' trash ls "default:$TOP")" "$TOP"
"$BIN/flint" down "$DIR/c" >/dev/null 2>&1
up >"$DIR/out" 2>&1
check "it is still there after a restart" is "$(json 'len(d)' trash ls "default:$TOP")" 1
check "restore elsewhere" flint trash restore "default:$TOP" --to default:/back
check "the trash has it no more" says "nothing of that name" flint trash restore "default:$TOP"
check "totals are as before" is "$(json 'd[0]["files"]' du default:/)" "$files"
check "rmtree --no-trash --wait" flint fs rmtree default:/back --no-trash --wait
check "nothing is left of it" is "$(json 'd[0]["files"] < '"$files" du default:/)" True
check "trash off" flint trash keep default:/ off
check "totals agree with a walk again" flint quota check default:/
check "quota rm" flint quota rm default:/
echo "1..$nr"
exit $failed
