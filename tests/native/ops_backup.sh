#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The operations guide's chapters on backups: made while clients work, listed, checked; restored into
# the same cluster, and, with the managers' state, into an empty one.
# timeout: 200
set -u

. "$(dirname "$0")/cluster.bash"

work() { fstest chaos 3 "$W/manifest"; }
intact() { until_ok 20 fstest verify "$W/manifest"; }

# While changes go on: the backup is of one moment.
backup_at_work()
{
	fstest chaos 4 "$W/other" > "$W/chaos.out" 2>&1 &
	local chaos=$!
	sleep 1
	fl meta backup "$W/during.db" && fl meta backup && wait $chaos
}

backup_listed() { json 'len(d["backups"]) >= 2' meta backups && said_of_backup; }
said_of_backup() { says 'meta-' fl meta backups; }
named_twice() { says 'exists already' fl meta backup "$W/good.db"; }
backup_good() { fl meta backup "$W/good.db" && [ -s "$W/good.db" ] && "$BIN/flint" mgr backup "$W/mgr.db" --state "$D/mgr" &&
	[ "$(stat -c %a "$W/mgr.db")" = 600 ] && not "$BIN/flint" mgr backup "$W/mgr.db" --state "$D/mgr" &&
	not "$BIN/flint" mgr backup "$W/none" --state "$W"; }
later_change() { fl fs create later; }

stop_and_empty()
{
	"$BIN/flint" down "$D" && mv "$D/meta" "$D/meta.old"
}

restore_meta()
{
	says 'say --yes' "$BIN/flint" meta restore "$W/good.db" --state "$D/meta" < /dev/null || return 1
	[ -e "$D/meta/meta.db" ] && return 1
	"$BIN/flint" meta restore "$W/good.db" --state "$D/meta" --yes
}

not_over_state() { not "$BIN/flint" meta restore "$W/good.db" --state "$D/meta.old" --yes; }
no_backup() { head -c 5000 /dev/urandom > "$W/junk" && not "$BIN/flint" meta restore "$W/junk" --state "$W/nowhere" --yes; }

# The managers know another group: the restored server waits to be told.
start_again() { up > "$W/up" 2>&1 & sleep 3; says 'standby' fl meta status; }
found() { fl meta found meta --yes && wait && until_ok 20 healthy; }
sound() { fl meta verify && fl meta checksum; }

# Everything is gone but the backups and the chunk servers.
fresh_cluster()
{
	"$BIN/flint" down "$D" && rm -rf "$D/meta" "$D/mgr" &&
		"$BIN/flint" mgr restore "$W/mgr.db" --state "$D/mgr" --yes &&
		"$BIN/flint" meta restore "$W/good.db" --state "$D/meta" --yes || return 1
	up > "$W/up" 2>&1 &
	sleep 3
	fl meta found meta --yes && wait && until_ok 20 healthy
}

# A chunk server remembers the version that it was up to date with: none is used twice.
later_versions() { json 'd["chains"] and all(c["version"] > 1000000 for c in d["chains"])' chain list; }

mgr_not_over_state() { says 'into an empty state directory' "$BIN/flint" mgr restore "$W/mgr.db" --state "$D/mgr" --yes; }

echo 1..19
ok "a cluster" up --chunk-servers 2
ok "files are made" work
ok "backups while clients work" backup_at_work
ok "they are listed" backup_listed
ok "a backup in quiet" backup_good
ok "never over a file that is there" named_twice
ok "a change after it" later_change
ok "the metadata is lost" stop_and_empty
ok "restore asks, then restores" restore_meta
ok "never over state that is there" not_over_state
ok "nothing but a backup" no_backup
ok "the managers know another group" start_again
ok "the restored one counts" found
ok "the files are there" intact
ok "the tables are sound" sound
ok "restored into an empty cluster" fresh_cluster
ok "chains have versions that were never used" later_versions
ok "the files are there again" intact
ok "sanitizers are silent" no_sanitizer
done_testing
