#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Three managers: the leader is killed, frozen, replaced after a loss of its disk, while chunk servers
# and metadata servers beat and a watcher follows the map. No change that was answered is lost, the
# map's epoch never goes back, service resumes within three seconds, strangers get nowhere at
# followers either.
# timeout: 300
set -u

. "$(dirname "$0")/cluster.bash"

http() { case $1 in mgr) echo $PORT ;; *) echo $((PORT + 200 + 10 * (${1#mgr} - 2))) ;; esac; }
leader() { field '[m["name"] for m in d["replicas"] if m["state"] == "leader"][0]' mgr status; }
followers() { field '" ".join(m["name"] for m in d["replicas"] if m["state"] != "leader")' mgr status; }
voters() { json "d['voters'] == $1 and d['missing'] == 0 and d['leader']" mgr status; }
# What one manager says of itself, whoever leads.
self() { "$BIN/flint" map --mgr 127.0.0.1:$(http "$1") --key "$D/cluster.key" --json > /dev/null; }

# The map's epoch, as a daemon or a mount sees it, in one line each time that it changes.
watch_map()
{
	"$BIN/flint-mapwatch" "127.0.0.1:$((PORT + 1)),127.0.0.1:$((PORT + 201)),127.0.0.1:$((PORT + 211))" \
		"$D/cluster.key" > "$W/epochs" 2> "$W/watch.err" &
	WATCH=$!
}
epochs_grow() { sort -n -c "$W/epochs" && [ "$(wc -l < "$W/epochs")" -ge 3 ]; }

# Milliseconds until a command works again.
resumed_within()
{
	local begin ms limit=$1
	shift
	begin=$(date +%s%N)
	while ! timeout 5 "$@" > /dev/null 2>&1; do
		ms=$((($(date +%s%N) - begin) / 1000000))
		[ $ms -gt 20000 ] && { echo "not after $ms ms"; return 1; }
	done
	ms=$((($(date +%s%N) - begin) / 1000000))
	echo "resumed after $ms ms"
	[ $ms -le "$limit" ]
}

change() { fl fs create "$1" && json "'$1' in [f['name'] for f in d['file_systems']]" fs list; }
all_there() { json "sorted(f['name'] for f in d['file_systems']) == sorted('$*'.split())" fs list; }
leases_hold() { ! grep -h 'the lease is over' "$D"/log/chunk*.log "$D"/log/meta*.log; }

kill_leader()
{
	local l
	l=$(leader)
	kill_hard "$(pid "$l")"
	# 3 s, and as much again for a machine that runs other tests.
	resumed_within 6000 "$BIN/flint" fs create afterkill --dir "$D" && [ "$(leader)" != "$l" ]
}

freeze_leader()
{
	local l p
	l=$(leader)
	p=$(pid "$l")
	kill -STOP "$p"
	resumed_within 12000 "$BIN/flint" fs create afterfreeze --dir "$D" && all_there default afterkill afterfreeze
	local ret=$?
	kill -CONT "$p"
	return $ret
}

# A leader that was stopped does not believe that it still leads.
thawed_follows() { until_ok 20 voters 3; }

wipe_and_rejoin()
{
	local f up=
	f=$(followers | cut -d' ' -f1)
	echo "wiping $f"
	kill_hard "$(pid "$f")"
	rm -rf "$D/$f"
	up > /dev/null 2>&1 &
	up=$!
	until_ok 20 says 'was emptied' fl mgr status || return 1
	fl mgr replace "$f" --yes || return 1
	wait "$up"
	until_ok 20 voters 3 && all_there default afterkill afterfreeze
}

minority_only()
{
	local a b
	read -r a b <<< "$(followers)"
	kill -STOP "$(pid "$a")" "$(pid "$b")"
	sleep 3
	says 'no leader at this moment' timeout 20 "$BIN/flint" fs list --dir "$D"
	local ret=$?
	kill -CONT "$(pid "$a")" "$(pid "$b")"
	return $ret
}

missing_in_words()
{
	local f ret
	f=$(followers | cut -d' ' -f1)
	kill -STOP "$(pid "$f")"
	until_ok 15 says "manager $f is missing" fl status && says 'the loss of one more' fl status &&
		says '1 missing' fl mgr status
	ret=$?
	kill -CONT "$(pid "$f")"
	return $ret
}

equal_states()
{
	local m port sums
	sums=$(for m in mgr mgr2 mgr3; do
		python3 - "$(http $m)" "$D/cluster.key" << 'END'
import sys, time, os, hmac, hashlib, json, urllib.request
port, key = sys.argv[1], bytes.fromhex(open(sys.argv[2]).read().strip())
t, nonce, path = str(int(time.time() * 1000)), os.urandom(16).hex(), "/v1/replica"
mac = hmac.new(key, f"flint1-http\nGET\n{path}\n{t}\n{nonce}\n".encode(), hashlib.sha256).hexdigest()
r = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"X-Flint-Auth": f"v1 {t} {nonce} {mac}"})
d = json.load(urllib.request.urlopen(r))
print(d["seq"], d["epoch"], d["checksum"])
END
	done)
	echo "$sums"
	[ "$(sort -u <<< "$sums" | wc -l)" = 1 ]
}

# Any manager may be asked; the answer comes from the leader.
asked_anywhere() { self mgr && self mgr2 && self mgr3; }

hostile_at_followers()
{
	local f
	for f in $(followers); do
		python3 - "$(http "$f")" << 'END' || return 1
import os, random, socket, sys
http = int(sys.argv[1])
random.seed(2)
def send(port, data):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(0.2)
    answer = b""
    try:
        s.sendall(data)
        answer = s.recv(2000)
    except OSError:
        pass
    s.close()
    return answer
for i in range(40):
    for port in (http, http + 1):
        send(port, os.urandom(random.randint(1, 3000)))
for path in (b"/v1/status", b"/v1/replica", b"/metrics", b"/v1/nodes"):
    answer = send(http, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nX-Flint-Auth: v1 1 2 3\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 401") or b"leader" in answer:
        sys.exit(f"{path}: {answer[:200]}")
END
	done
	voters 3
}

transferred() { local l; l=$(leader); fl mgr transfer && [ "$(leader)" != "$l" ]; }
to_one() { local f; f=$(followers | cut -d' ' -f2); fl mgr transfer "$f" && [ "$(leader)" = "$f" ]; }
rolling() { fl mgr restart && voters 3 && fl status; }

all_killed()
{
	local before after
	before=$(epoch)
	kill_hard $(pids)
	up > "$W/up" 2>&1 || { cat "$W/up"; return 1; }
	until_ok 20 voters 3 || return 1
	after=$(epoch)
	[ "$after" -ge "$before" ] && all_there default afterkill afterfreeze
}

# The log is cut and a manager comes back after that: it gets a snapshot.
removed_and_added()
{
	local f
	f=mgr3
	[ "$(leader)" = $f ] && fl mgr transfer mgr2
	fl mgr remove $f --yes || return 1
	until_ok 10 voters 2 || return 1
	says 'of which none may be lost' fl status || return 1
	until_ok 10 grep -q 'was removed from its cluster' "$D/log/$f.log" || return 1
	kill "$(pid $f)"
	sleep 1
	rm -rf "${D:?}/$f"
	up > "$W/up" 2>&1 || { cat "$W/up"; return 1; }
	voters 3
}

# Two of three are taken out: `flint up` is content with one once nothing is left of them.
taken_out()
{
	local f
	fl mgr transfer mgr || return 1
	says "take it out with 'flint mgr remove mgr3'" up --mgr 1 || return 1
	for f in mgr3 mgr2; do
		fl mgr remove $f --yes && kill "$(pid $f)" && until_ok 60 not kill -0 "$(pid $f)" || return 1
	done
	says 'and remove' up --mgr 1 || return 1
	rm -rf "${D:?}"/mgr2 "${D:?}"/mgr3
	up --mgr 1 && json 'd["voters"] == 1' mgr status && up
}

no_majority_removed() { local f; f=$(followers | cut -d' ' -f1); kill -STOP "$(pid "$f")"; sleep 5; says 'refused: of the' fl mgr remove "$(followers | cut -d' ' -f2)" --yes; local r=$?; kill -CONT "$(pid "$f")"; return $r; }

echo 1..23
ok "a cluster with three managers" up --mgr 3 --chunk-servers 2
ok "three vote" voters 3
ok "any of them may be asked" asked_anywhere
watch_map
ok "the leader is killed: service resumes" kill_leader
ok "it comes back by flint up" up
ok "three vote again" until_ok 20 voters 3
ok "the leader is frozen: service resumes" freeze_leader
ok "thawed, it follows" thawed_follows
ok "no lease ended meanwhile" leases_hold
ok "a missing manager is told in words" missing_in_words
ok "without a majority nothing is answered" minority_only
ok "with it again, everything is there" until_ok 20 all_there default afterkill afterfreeze
ok "a wiped manager is taken in again" wipe_and_rejoin
ok "states are equal" until_ok 20 equal_states
ok "strangers at followers" hostile_at_followers
ok "the lead is handed over" transferred
ok "to one that is named" to_one
ok "rolling restart" rolling
ok "all killed and started again" all_killed
ok "removed, emptied, added again" removed_and_added
ok "taken out, and left out by flint up" taken_out
kill $WATCH 2> /dev/null
ok "the map's epoch never went back" epochs_grow
ok "sanitizers are silent" no_sanitizer
done_testing
