# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by the native tests that run a cluster of `flint up`. Sets:
#	BIN	programs		W	own directory, removed at the end
#	D	$W/cluster		PORT	a base port that nobody uses
# and the functions below. A test prints its plan, calls ok or result for each line, ends with
# `done_testing`.

ROOT=${FLINT_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
BIN=${BIN:-$ROOT/build/bin}
W=$(mktemp -d /var/tmp/flint-test.XXXXXX)
D=$W/cluster
n=0 failed=0

# Base ports are 500 apart; one whose first ports answer is taken.
for _ in 1 2 3 4 5; do
	PORT=$((20000 + RANDOM % 25 * 500))
	(exec 3<> /dev/tcp/127.0.0.1/$((PORT + 1))) 2> /dev/null || break
done

pid() { cat "$D/run/$1.pid" 2> /dev/null; }
pids() { cat "$D"/run/*.pid | sort -n | tr '\n' ' '; }

# kill -9 PID...: when it returns they hold neither lock nor port.
kill_hard()
{
	local p
	kill -9 "$@" || return 1
	for p in "$@"; do until_ok 10 not kill -0 "$p" || return 1; done
}

finish()
{
	local p

	for p in $(jobs -p; cat "$D"/run/*.pid 2> /dev/null); do kill -CONT "$p" 2> /dev/null; done
	for p in $(jobs -p); do kill -9 "$p" 2> /dev/null; done
	[ -d "$D" ] && "$BIN/flint" down "$D" > /dev/null 2>&1
	for p in $(cat "$D"/run/*.pid "$W"/*/cluster-*/run/*.pid 2> /dev/null); do kill -9 "$p" 2> /dev/null; done
	rm -rf "$W"
}
trap finish EXIT
trap 'exit 1' INT TERM

# ok NAME COMMAND...: one TAP line; what a failed command printed is shown.
ok()
{
	local name=$1
	shift
	n=$((n + 1))
	if "$@" > "$W/out" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		failed=1
		tail -n ${TAIL:-40} "$W/out" | cut -c1-400 | sed 's/^/# /'
		tail -n ${LOGTAIL:-6} "$D"/log/*.log 2> /dev/null | cut -c1-300 | sed 's/^/# /'
	fi
}

# result STATUS NAME: one TAP line for what was done already; what all programs printed is shown.
result()
{
	local f

	n=$((n + 1))
	[ "$1" = 0 ] && { echo "ok $n - $2"; return; }
	echo "not ok $n - $2"
	failed=1
	for f in "$W"/*.out "$D"/log/*.log "$W"/*/cluster-*/log/*.log; do
		[ -s "$f" ] || continue
		echo "# == $f"
		tail -n ${TAIL:-15} "$f" | cut -c1-400 | sed 's/^/# /'
	done
}

# not NAME...: the command fails.
not() { ! "$@"; }

# until_ok SECONDS COMMAND...: again and again until it is true; fails after that time.
until_ok()
{
	local end=$((SECONDS + $1))
	shift
	while ! "$@" > "$W/until" 2>&1; do
		[ $SECONDS -ge $end ] && { cat "$W/until"; return 1; }
		sleep 0.1
	done
}

# says WORDS COMMAND...: prints WORDS (a fixed string), whatever its status.
says()
{
	local words=$1
	shift
	"$@" > "$W/says" 2>&1
	cat "$W/says"
	grep -qF -- "$words" "$W/says"
}

# told WORDS COMMAND...: prints WORDS, and the operations guide speaks of them in the same words.
told()
{
	tr -s ' \n*`' ' ' < "$ROOT/Documentation/operations.rst" | grep -qF -- "$1" ||
		{ echo "the guide does not say: $1"; return 1; }
	says "$@"
}

fstest() { "$BIN/flint-fstest" --mgr "$(mgrs)" --key "$D/cluster.key" "$@"; }
# TCP addresses of all managers.
mgrs() { field '",".join(a[4:] for n in d["nodes"] if n["role"] == "mgr" for a in n["addresses"] if a[:3] == "tcp")' node list; }

up() { "$BIN/flint" up "$D" --no-rdma --size 64M --base-port $PORT "$@"; }
fl() { "$BIN/flint" "$@" --dir "$D"; }
# json CONDITION COMMAND...: a Python expression on the answer d is true.
json() { fl "${@:2}" --json | python3 -c "import json,sys; d=json.load(sys.stdin); sys.exit(not ($1))"; }
# field EXPRESSION COMMAND...: prints it.
field() { fl "${@:2}" --json | python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }
epoch() { field 'd["epoch"]' map; }
healthy() { fl status; }
no_sanitizer() { ! grep -hE 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$D"/log/*.log; }

done_testing() { exit $failed; }
