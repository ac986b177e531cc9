#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The operations guide's chapters on replicas of metadata, done as written: adding, removing,
# replacing, handing over, rolling restart, a lost minority, a lost majority; while a client works,
# whose files are compared in the end. What is printed is what the guide says.
# timeout: 300
set -u

. "$(dirname "$0")/cluster.bash"

leader() { field '[m["name"] for m in d["replicas"] if m["state"] == "leader"][0]' meta status; }
followers() { field '" ".join(m["name"] for m in d["replicas"] if m["state"] == "follower")' meta status; }
voters() { json "d['voters'] == $1 and d['missing'] == 0 and d['leader']" meta status; }
work() { fstest chaos "$1" "$W/manifest.$2"; }
intact() { local f; for f in "$W"/manifest.*; do fstest verify "$f" || return 1; done; }
equal() { until_ok 20 fl meta checksum && fl meta verify --all; }
# COMMAND... while a client works; both must succeed.
meanwhile()
{
	local client ret
	work "$1" "$2" > "$W/chaos.$2" 2>&1 &
	client=$!
	sleep 1
	"${@:3}"
	ret=$?
	wait $client || { tail -n 20 "$W/chaos.$2"; ret=1; }
	return $ret
}

start_meta() { up --meta 3 > "$W/up.$1" 2>&1; }

add_one() { says 'is a member now' fl meta add "$1"; }
dry_add() { told 'tolerates no more than one less' fl meta add meta2 --dry-run && json 'd["voters"] == 1' meta status; }

# The second and third replica are started by hand, as on other machines, and stand by.
metad()
{
	local port=$((PORT + 300 + 10 * (${1#meta} - 2)))
	mkdir -p "$D/$1"
	"$BIN/flint-metad" --state "$D/$1" --key "$D/cluster.key" --name "$1" --listen 127.0.0.1 --tcp-port $port \
		--rdma-port 0 --mgr "$(mgrs)" --time-scale 1 >> "$D/log/$1.log" 2>&1 &
	echo $! > "$D/run/$1.pid"
}
stand_by() { metad meta2; metad meta3; until_ok 20 json 'len([r for r in d["replicas"] if r["state"] == "standby"]) == 2' meta status; }
two_of_three() { add_one meta2 && add_one meta3 && until_ok 20 voters 3; }

remove_refused()
{
	local a b
	read -r a b <<< "$(followers)"
	kill -STOP "$(pid "$a")"
	until_ok 15 json 'd["missing"] == 1' meta status && told 'refused' fl meta remove "$b" --yes
	local ret=$?
	kill -CONT "$(pid "$a")"
	until_ok 15 voters 3 && return $ret
}

remove_one()
{
	fl meta remove meta3 --yes && voters 2 && kill "$(pid meta3)" && sleep 1 && rm -rf "$D/meta3" &&
		metad meta3 && until_ok 20 json '[r for r in d["replicas"] if r["name"] == "meta3" and r["state"] == "standby"]' meta status &&
		add_one meta3 && until_ok 20 voters 3
}

handed_over() { local l; l=$(leader); fl meta transfer && [ "$(leader)" != "$l" ] && fl meta transfer "$l" && [ "$(leader)" = "$l" ]; }

# A machine with an empty disk in the place of what it was.
emptied()
{
	local f
	f=$(followers | cut -d' ' -f1)
	[ "$f" = meta ] && f=$(followers | cut -d' ' -f2)
	kill_hard "$(pid "$f")"
	rm -rf "${D:?}/$f"
	metad "$f"
	until_ok 20 told 'was emptied' fl meta status || return 1
	fl meta replace "$f" --yes && until_ok 20 voters 3
}

# Another machine.
other_machine()
{
	local old
	old=$(followers | cut -d' ' -f1)
	[ "$old" = meta ] && old=$(followers | cut -d' ' -f2)
	kill_hard "$(pid "$old")"
	metad meta4
	until_ok 20 json '[r for r in d["replicas"] if r["name"] == "meta4" and r["state"] == "standby"]' meta status || return 1
	fl meta replace "$old" meta4 --yes && until_ok 20 voters 3 && rm -f "$D/run/$old.pid" && GONE=$old
}

killed_leader()
{
	local l begin ms
	l=$(leader)
	begin=$(date +%s%N)
	kill_hard "$(pid "$l")"
	until_ok 20 json "d['leader'] and d['leader'] != '$l'" meta status || return 1
	ms=$((($(date +%s%N) - begin) / 1000000))
	echo "another one leads after $ms ms"
	[ "$l" = meta ] && up > "$W/up" 2>&1 || metad "$l"
	until_ok 20 voters 3
}

missing_in_words()
{
	local f
	f=$(followers | cut -d' ' -f1)
	kill -STOP "$(pid "$f")"
	until_ok 20 says "metadata replica $f is missing" fl status && told 'the loss of one more' fl status
	local ret=$?
	kill -CONT "$(pid "$f")"
	until_ok 20 voters 3 && return $ret
}

# Two of three are gone for good: the third is promoted, and the others are added anew.
rescue()
{
	local last=$1 f
	sleep 2
	for f in meta meta2 meta3 meta4; do
		[ -e "$D/run/$f.pid" ] || continue
		[ "$f" = "$last" ] || { kill_hard "$(pid "$f")"; rm -rf "${D:?}/$f" "$D/run/$f.pid"; }
	done
	kill_hard "$(pid "$last")"
	told 'LAST RESORT' "$BIN/flint" meta rescue --state "$D/$last" < /dev/null
	says 'say --yes' "$BIN/flint" meta rescue --state "$D/$last" < /dev/null || return 1
	"$BIN/flint" meta rescue --state "$D/$last" --yes || return 1
	metad "$last"
	until_ok 30 json "d['voters'] == 1 and d['leader'] == '$last'" meta status || return 1
	fl meta verify
}

# One of them comes back with an empty disk: it cannot found another group beside the old one's last member.
found_refused()
{
	local f old
	LAST=$(followers | cut -d' ' -f1); [ "$LAST" = meta ] && LAST=$(followers | cut -d' ' -f2)
	for f in meta meta2 meta3 meta4; do
		[ -e "$D/run/$f.pid" ] && [ "$f" != "$LAST" ] || continue
		kill_hard "$(pid "$f")"
		rm -rf "${D:?}/$f" "$D/run/$f.pid"
		old=$f
	done
	metad "$old"
	# First those that were killed are not known to be down yet.
	until_ok 60 told "members of the old group are still up" not fl meta found "$old" --yes &&
		until_ok 60 says "still up: $LAST." not fl meta found "$old" --yes
}

rescue_last() { rescue "$LAST"; }
add_again()
{
	local f
	for f in meta2 meta3 meta4; do
		[ "$f" = "$LAST" ] || [ "$f" = "$GONE" ] && continue
		metad "$f"
		until_ok 20 json "[r for r in d['replicas'] if r['name'] == '$f' and r['state'] == 'standby']" meta status &&
			add_one "$f" || return 1
	done
}

GONE=none
echo 1..23
ok "a cluster with one replica" up --chunk-servers 2
ok "files are made" work 2 first
ok "two more stand by" stand_by
ok "adding one is explained first" dry_add
ok "both are added while a client works" meanwhile 4 add two_of_three
ok "all are equal" equal
ok "taking out what is needed is refused" remove_refused
ok "one is removed, emptied and added again" meanwhile 4 remove remove_one
ok "the lead is handed over and back" meanwhile 3 transfer handed_over
ok "a missing one is told in words" missing_in_words
ok "the leader is killed" meanwhile 4 killed killed_leader
ok "an emptied one is replaced by itself" meanwhile 4 emptied emptied
ok "another machine takes its place" meanwhile 4 other other_machine
ok "all are equal again" equal
ok "the files are there" intact
ok "another group is not founded while a member of the old one is up" found_refused
ok "two of three are lost for good" rescue_last
ok "the files are there still" intact
ok "others are added again" add_again
ok "a client works" work 2 last
ok "all are equal at the end" equal
ok "the files are there at the end" intact
ok "sanitizers are silent" no_sanitizer
done_testing
