#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A token is not made that no server would let in: all were revoked while the managers' clock was ahead.
# timeout: 240
. "$(dirname "$0")/cluster.bash"

token() { rm -f "$W/token"; fl token create --fs default --out "$W/token"; }
# Tokens count from this time on, in seconds since 1970.
count_from()
{
	"$BIN/flint" down "$D" && sqlite3 "$D/mgr/state.db" "UPDATE settings SET value = $1 WHERE key = 'tokens_from'" &&
		[ "$(sqlite3 "$D/mgr/state.db" "SELECT value FROM settings WHERE key = 'tokens_from'")" = "$1" ] &&
		up --chunk-servers 1
}
refused() { says "before the time from which tokens count" not token && [ ! -e "$W/token" ]; }

echo 1..6
ok "a cluster comes up" up --chunk-servers 1
ok "a token is made" token
ok "all tokens are revoked" fl token revoke --all
ok "the managers' clock was ten years ahead then" count_from $(($(date +%s) + 315360000))
ok "a token that nobody would let in is refused" refused
ok "from the time on it is made" eval 'count_from 1000 && token'
done_testing
