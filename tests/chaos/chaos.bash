# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by tests that hurt a cluster while clients read and write: starts and ends the load, hurts
# daemons, judges. It sources tests/native/cluster.bash, whose functions are used throughout.
#
#	SEED	of the load and of what is random in a schedule (default 1)
#	LEASE	seconds that a silent server keeps its lease (the managers' setting)
#
# A fault is a function FAULT DAEMON...; it leaves the daemon running again.

# In a network of its own, where that can be made: no port is ever taken.
if [ -z "${CHAOS_NET:-}" ] && unshare -n true 2> /dev/null; then
	CHAOS_NET=1 exec unshare -n "$0" "$@"
fi
[ -z "${CHAOS_NET:-}" ] || ip link set lo up

. "$(dirname "${BASH_SOURCE[0]}")/../native/cluster.bash"

SEED=${SEED:-1}
RANDOM=$SEED
LEASE=6
# I/O goes on after two leases at most. What a busy machine and a sanitizer add is not FlintFS's.
case $BIN in
*/test/bin) SLOW=1 ;;
*) SLOW=0 ;;
esac
BOUND=$((2 * LEASE + ${SLACK:-15} + 60 * SLOW))
H=$W/history
LOADS=()
STARTED=()
NEXT=1
mkdir -p "$H"
trap '{ kill -9 "${LOADS[@]}" "${STARTED[@]}"; } 2> /dev/null; finish' EXIT

# must NAME COMMAND...: without it nothing else can be tested.
must()
{
	ok "$@"
	[ $failed = 0 ] || { echo "Bail out! $1"; exit 1; }
}

# ---- daemons

# Note how `flint up` started them, so that start() can do it again.
remember()
{
	local p

	for p in "$D"/run/*.pid; do
		p=$(basename "$p" .pid)
		tr '\0' '\n' < "/proc/$(pid "$p")/cmdline" > "$W/cmd.$p"
	done
}
# with_spares [option of flint up]...: chains of three on the first four of five chunk servers of four
# targets: five targets are left to be moved to.
with_spares()
{
	local n

	for n in 4 5; do
		up --mgr 3 --chunk-servers $n --targets 4 --replicas 3 "$@" || return 1
	done
	remember
}
# start NAME [VARIABLE=VALUE...]
start()
{
	local name=$1 cmd
	shift
	mapfile -t cmd < "$W/cmd.$name" || return 1
	env "$@" "${cmd[@]}" >> "$D/log/$name.log" 2>&1 < /dev/null &
	disown
	STARTED+=($!)
	echo $! > "$D/run/$name.pid"
}
stop_hard()
{
	local p

	for p; do
		p=$(pid "$p")
		{ kill -9 "$p" && wait "$p"; } 2> /dev/null
		until_ok 5 not kill -0 "$p"
	done
}

# What is done to whom, with the time, for whoever reads a failure.
say() { echo "# $(date +%T) $*"; }

# ---- faults

killed() { local v; say "kill -9 $*"; stop_hard "$@"; for v; do start "$v"; done; }
# killed_for SECONDS DAEMON...: and started again after that time.
killed_for()
{
	local s=$1 v
	shift
	say "kill -9 $*, away for $s s"
	stop_hard "$@"
	sleep "$s"
	for v; do start "$v"; done
}
frozen_for()
{
	local s=$1 v
	shift
	say "freeze $* for $s s"
	for v; do kill -STOP "$(pid "$v")"; done
	sleep "$s"
	for v; do kill -CONT "$(pid "$v")"; done
}
# Stopped and let go many times in a second.
slow_for()
{
	local s=$1 v i p
	shift
	say "slow down $* for $s s"
	for ((i = 0; i < s * 10; i++)); do
		for v; do kill -STOP "$(pid "$v")"; done
		sleep 0.08
		for v; do kill -CONT "$(pid "$v")"; done
		sleep 0.02
	done
}
stopped()
{
	local v p

	say "stop and start $*"
	for v; do
		p=$(pid "$v")
		kill -TERM "$p"
		until_ok 20 not kill -0 "$p"
		start "$v"
	done
}

# ---- load

# load GROUP [option of flint-chaos-load]...: in the background, with clients of its own. Loads of one
# group share their files and are judged together; they must agree on chunks and cells.
load()
{
	local group=$1
	shift
	mkdir -p "$H/$group"
	"$BIN/flint-chaos-load" --mgr "$(mgrs)" --key "$D/cluster.key" --history "$H/$group" \
		--dir "$group" --seed $SEED --first $NEXT --timeout $((60 + 60 * SLOW)) "$@" > "$W/load.$NEXT" 2>&1 &
	LOADS+=($!)
	NEXT=$((NEXT + 100))
}
loads_end()
{
	local p bad=0

	for p in "${LOADS[@]}"; do wait "$p" || bad=1; done
	LOADS=()
	cat "$W"/load.*
	return $bad
}
judge()
{
	local group bad=0 status

	for group in "$H"/*; do
		echo "${group##*/}:"
		"$BIN/flint-chaos-judge" --slowest $BOUND "$group"/*.history
		status=$?
		# 3: too much at once to be decided, which a test may allow.
		[ $status -eq 0 ] || [ $status -eq "${UNDECIDED:-0}" ] || bad=1
	done
	return $bad
}
# The same, and what was judged into the log of a test that passed.
judged()
{
	local bad=0

	judge > "$W/judged" || bad=1
	grep -a 'slowest' "$W/judged" | sed 's/^/# /' >&3
	cat "$W/judged"
	return $bad
}
exec 3>&1
# Until nothing is wrong any more, without anybody's help.
heals() { until_ok ${1:-60} fl status; }
# The history of the map names each of these daemons.
explained()
{
	local v

	fl history > "$W/history.txt" || return 1
	cat "$W/history.txt"
	for v; do grep -q -- "$v" "$W/history.txt" || { echo "nothing about $v"; return 1; }; done
}
# Every replica of every chunk has the same bytes, versions and checksums.
alike() { fl chain compare; }
# goes_on SECONDS: a client that begins now has written and read within that time.
goes_on()
{
	local before=$NEXT s=$1

	NEXT=$((NEXT + 100))
	mkdir -p "$H/probe"
	timeout $((s + 2)) "$BIN/flint-chaos-load" --mgr "$(mgrs)" --key "$D/cluster.key" --history "$H/probe" \
		--dir probe --seed $SEED --first "$before" --timeout "$s" --seconds 1 --clients 1
}
