#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
# flint-metad, killed again and again under load: nothing answered is lost, nothing is done twice or half.
set -eu
BIN=${BIN:-build/bin}
dir=$(mktemp -d /tmp/flint-metad-crash.XXXXXX)
trap 'rm -rf "$dir"' EXIT
(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/key"; echo >>"$dir/key")
mkdir "$dir/state"
status=0
"$BIN/flint-metad-crash" --metad "$BIN/flint-metad" --mgrd "$BIN/flint-mgrd" --state "$dir/state" --key "$dir/key" \
	--port $((20000 + RANDOM % 10000)) --rounds "${ROUNDS:-12}" >"$dir/out" 2>&1 || status=$?
# The manager it asks for is not there, and says so at every start.
grep -v 'connection to manager\|serving ' "$dir/out" || true
exit $status
