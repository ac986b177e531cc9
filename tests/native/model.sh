#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 900
#
# The lease protocol, delegated creates and chains, model-checked with spin: as they are, without an error; with each
# rule taken away in turn, with one. tests/model/*.pml say what is checked. The chains' model is
# compiled with the managers' state machine, mgr/chainstate.c. FULL=1: for minutes, with more failures.
set -u

ROOT=$PWD
MODEL=$ROOT/tests/model/lease.pml
DIR=$(mktemp -d /tmp/flint-model.XXXXXX)
trap 'rm -rf "$DIR"' EXIT
trap 'exit 1' INT TERM
nr=0 failed=0

# Exit status 0: no error in the whole state space; 1: an error was found; 2: not finished.
check() {	# OPTIONS of spin
	local out
	rm -f "$DIR"/*
	(cd "$DIR" && spin "$@" -a "$MODEL" >spin.out 2>&1 && gcc -w -O1 -DSAFETY -DCOLLAPSE -o pan pan.c) ||
		{ sed 's/^/# /' "$DIR/spin.out"; return 2; }
	out=$(cd "$DIR" && timeout 300 ./pan -m200000 -n -w24 2>&1)
	grep -q 'errors: [1-9]' <<<"$out" && return 1
	grep -q 'errors: 0' <<<"$out" && ! grep -q 'not completed\|max search depth' <<<"$out" || return 2
	echo "# $(grep -o '[0-9e+.]* states, stored' <<<"$out")"
	return 0
}

result() {	# WANTED GOT NAME
	nr=$((nr + 1))
	if [ "$1" = "$2" ]; then
		echo "ok $nr - $3"
	else
		echo "not ok $nr - $3 (status $2)"
		failed=1
	fi
}

if ! command -v spin >/dev/null; then
	echo "1..0 # SKIP spin is not installed"
	exit 0
fi
echo $((7 + 6 + 19 + (${FULL:-0} ? 3 : 0)))| sed 's/^/1../'
check -DOPS=2 -DLEADERS=0
result 0 $? "two clients, two requests each, sessions that end"
check -DOPS=1 -DLEADERS=1
result 0 $? "two clients, one request each, and a change of leader"
bug() {		# NAME LEADERS OPS WHAT
	check "-DBUG_$1" "-DLEADERS=$2" "-DOPS=$3"
	result 1 $? "fails $4"
}
bug TOMB 0 2 "when a grant is believed that a recall has ended already"
bug GRANT 0 2 "when leases are granted while a change is under way"
bug EXPIRE 0 2 "when a session is ended that still trusts its leases"
bug GRACE 1 1 "when a new leader does not wait for what sessions hold"
bug SETTLE 0 2 "when a dead writer's size is not settled"

# ---- delegated creates ----

MODEL=$ROOT/tests/model/delegate.pml
check -DOPS=3 -DLEADERS=1
result 0 $? "delegated creates, sessions that end, and a change of leader"
bug KEEP 1 3 "when names are made on after a recall"
bug RETFIRST 1 3 "when a lease goes back before its names are told"
bug RECLAIM 1 3 "when a new leader does not hear of directories with promises"
bug ONCE 1 3 "when a repeated batch is executed again"
bug HIDE 1 3 "when a look does not wait for the lease"

# ---- chains ----

# The same, with embedded C: its guards hide from spin what they depend on.
chain() {	# OPTIONS of spin: CRASHES CUTS LEADERS WRITES [more]
	local out opts=("-DCRASHES=$1" "-DCUTS=$2" "-DLEADERS=$3" "-DWRITES=$4" "${@:5}") search=-DCOLLAPSE
	rm -f "$DIR"/*
	[ -n "${PART:-}" ] && search=-DBITSTATE
	(cd "$DIR" && spin "${opts[@]}" -a "$ROOT/tests/model/chain.pml" >spin.out 2>&1 &&
		gcc -w -O1 -DSAFETY -DNOREDUCE -DT_REVERSE $search "${opts[@]}" -I"$ROOT" -o pan pan.c) ||
		{ sed 's/^/# /' "$DIR/spin.out"; return 2; }
	out=$(cd "$DIR" && timeout "${PART:-${LIMIT:-300}}" ./pan -m200000 -n -w24 2>&1)
	grep -q 'errors: [1-9]\|assertion violated  *!\|assertion violated (' <<<"$out" && return 1
	[ -n "${PART:-}" ] && return 0
	grep -q 'errors: 0' <<<"$out" && ! grep -q 'not completed\|max search depth' <<<"$out" || return 2
	echo "# $(grep -o '[0-9e+.]* states, stored' <<<"$out")"
	return 0
}

chain 1 0 1 2
result 0 $? "a chain: a server ends, the managers' leader changes, two writes"
chain 0 1 1 1
result 0 $? "a chain: a server is cut off, the managers' leader changes"
chain 1 0 0 1 -DFAILS=1
result 0 $? "a chain: a server ends, a disk fails"
chain 1 0 0 1 -DSLOW=1
result 0 $? "a chain: a server ends, heartbeats take time"
chain 0 0 1 1 -DHOLDS=1
result 0 $? "a chain: an operator holds a target back, the managers' leader changes"
PART=5 chain 3 0 0 0
result 0 $? "a chain: all servers end, as far as five seconds go"
PART=5 chain 3 1 1 2
result 0 $? "a chain: everything at once, as far as five seconds go"
PART=5 chain 2 1 1 2 -DFAILS=1 -DHOLDS=1 -DSLOW=1
result 0 $? "a chain: disks and operators too, as far as five seconds go"
fails() {	# BUG_ CRASHES CUTS WRITES WHAT [LEADERS]
	chain "$2" "$3" "${6:-0}" "$4" "-DBUG_$1"
	result 1 $? "fails $5"
}
fails WAIT 0 1 1 "when a server's place is given away before its lease has ended"
fails FENCE 0 1 1 "when a server serves after its lease has ended"
fails INCARNATION 1 0 1 "when a restarted process is taken for the one before"
fails ADMIT 1 0 1 "when a process believes a map that tells of the one before"
fails DIRTY 1 0 1 "when a reader is shown what others behind do not have"
fails STALE 3 0 1 "when whoever returns first serves"
fails SET 3 0 0 "when one of the last-serving set is remembered only"
PART=20 fails ANEW 3 1 2 "when recovery goes on although its source is another process" 1
PART=20 fails VERSION 3 1 2 "when an earlier recovery's end counts for a later one" 1
fails READY 2 0 1 "when a recovery's end counts after the next one has begun"
fails PROOF 3 0 0 "when a member leaves before another one is known to live"
if [ "${FULL:-0}" = 1 ]; then
	LIMIT=900 chain 2 0 0 1
	result 0 $? "a chain: two servers end"
	LIMIT=1800 chain 1 1 0 1
	result 0 $? "a chain: a server ends, another is cut off"
	LIMIT=900 chain 1 0 0 1 -DHOLDS=1
	result 0 $? "a chain: a server ends, an operator holds a target back"
fi
exit $failed
