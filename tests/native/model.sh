#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
#
# The lease protocol, model-checked with spin: as it is, without an error; with each rule taken away
# in turn, with one. tests/model/lease.pml says what is checked.
set -u

MODEL=$PWD/tests/model/lease.pml
DIR=$(mktemp -d /tmp/flint-model.XXXXXX)
trap 'rm -rf "$DIR"' EXIT
trap 'exit 1' INT TERM
nr=0 failed=0

# Exit status 0: no error in the whole state space; 1: an error was found; 2: not finished.
check() {	# OPTIONS of spin
	local out
	rm -f "$DIR"/*
	(cd "$DIR" && spin "$@" -a "$MODEL" >spin.out 2>&1 && gcc -w -O2 -DSAFETY -DCOLLAPSE -o pan pan.c) ||
		{ sed 's/^/# /' "$DIR/spin.out"; return 2; }
	out=$(cd "$DIR" && timeout 60 ./pan -m200000 -n -w24 2>&1)
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
echo 1..7
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
exit $failed
