#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random schedules of faults on chains of three, one after the other: `make soak-chaos SEEDS="1 2 3"`
# runs each seed, without SEEDS new ones for ever. A seed decides the load and the schedule; when what
# happens depends on time as well, a failure's histories and logs tell the rest: they are kept. With odd
# seeds targets change from chain to chain all the time, as servers are emptied and filled again.
#
#	SECONDS_EACH	of load per seed (default 60)
set -u

if [ "${1:-}" != one ]; then
	bad=0
	for seed in ${SEEDS:-$(seq "$(date +%s)" 9999999999)}; do
		SEED=$seed "$0" one || { bad=1; [ -n "${SEEDS:-}" ] || exit 1; }
	done
	exit $bad
fi

. "$(dirname "$0")/net.bash"
. "$(dirname "$0")/chaos.bash"
keep()
{
	[ $failed = 0 ] && return
	rm -rf "build/chaos-$SEED"
	mkdir -p "build/chaos-$SEED" && cp -r "$D/log" "$H" "$W/judged" "$W/history.txt" "build/chaos-$SEED/"
	echo "# seed $SEED failed: its logs and histories are in build/chaos-$SEED"
} 2> /dev/null
trap '{ kill -9 "${LOADS[@]}" "${STARTED[@]}"; } 2> /dev/null; keep; net_down; finish' EXIT

EACH=${SECONDS_EACH:-60}
SERVERS=(chunk1 chunk2 chunk3 chunk4 chunk5)

made()
{
	local i

	net_up && with_spares --meta 3 --listen $HUB || return 1
	for i in 1 2 3 4 5; do
		stop_hard chunk$i
		apart chunk$i 10.99.0.$i || return 1
	done
	heals 40
}
any() { echo "${SERVERS[RANDOM % 5]}"; }
two() { printf '%s\n' "${SERVERS[@]}" | shuf -n 2 --random-source=<(yes $RANDOM); }
leader() { field 'd["leader"]' mgr status; }

fault()
{
	case $((RANDOM % 14)) in
	0 | 1) killed "$(any)" ;;
	2) killed_for $((RANDOM % 9)) "$(any)" ;;
	3) killed_for $((RANDOM % 4)) $(two) ;;
	4) frozen_for $((RANDOM % 10)) "$(any)" ;;
	5) frozen_for $((RANDOM % 9)) $(two) ;;
	6) parted_for $((RANDOM % 10)) "$(any)" ;;
	7) parted_for $((RANDOM % 8)) $(two) ;;
	8) deaf_for $((RANDOM % 5)) "$(any)" 10.99.0.$((1 + RANDOM % 5)) ;;
	9) slow_for $((1 + RANDOM % 4)) $(two) ;;
	10) stopped "$(any)" ;;
	11) killed "${SERVERS[@]}" ;;
	12) killed "$(leader)" ;;
	13) killed_for 1 "$(leader)" "$(any)" "$(field 'd["leader"]' meta status)" ;;
	esac
}
# Servers are emptied and filled, until killed. What faults make of one order does not matter: the next comes.
moves()
{
	local v

	while true; do
		v=$(any)
		say "empty $v"
		fl node drain $v --yes --no-wait
		sleep $((3 + RANDOM % 6))
		say "fill $v"
		fl node undrain $v
		fl rebalance --no-wait
		sleep $((3 + RANDOM % 6))
	done
}
moved()
{
	local v

	for v in "${SERVERS[@]}"; do until_ok 20 fl node undrain $v || return 1; done
	timeout 90 "$BIN/flint" rebalance --dir "$D"
}
schedule()
{
	local end=$((SECONDS + EACH - 8)) mover=

	if [ $((SEED % 2)) = 1 ]; then
		moves &
		mover=$!
	fi
	while [ $SECONDS -lt $end ]; do
		fault
		sleep $((RANDOM % 4)).$((RANDOM % 10))
	done
	[ -z "$mover" ] || { kill $mover; wait $mover; } 2> /dev/null
	true
}

# Faults may follow on each other: I/O waits for the last of them.
BOUND=$((BOUND * 3))
echo "# seed $SEED"
must "seed $SEED: a cluster" made
load data --seconds $EACH --clients 3 --rate 60 --timeout 120
load appended --seconds $EACH --mode append --cell 512 --clients 2 --rate 40 --timeout 120
load cut --seconds $EACH --mode cut --clients 2 --rate 60 --timeout 120
ok "seed $SEED: faults" schedule
sed 's/^/# /' "$W/out"
ok "seed $SEED: no answer was unexpected" loads_end
ok "seed $SEED: linearizable" judged
[ $((SEED % 2)) = 0 ] || ok "seed $SEED: servers may be filled again" moved
ok "seed $SEED: healed" heals 90
ok "seed $SEED: all replicas are alike" alike
fl history > "$W/history.txt" 2>&1
ok "seed $SEED: no sanitizer has complained" no_sanitizer
done_testing
