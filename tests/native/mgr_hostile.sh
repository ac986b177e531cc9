#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Strangers at the manager's doors: garbage on both ports, requests cut short,
# oversized or unsigned; callers that go away while their request waits for a
# metadata server that does not answer. The manager goes on, and says no.
# timeout: 400
set -u

. "$(dirname "$0")/cluster.bash"

fs_state() { fl fs list --json | python3 -c "import json,sys; print(*[f['state'] for f in json.load(sys.stdin)['file_systems'] if f['name'] == '$1'])"; }
freeze() { kill -STOP "$(pid meta)"; }
thaw() { kill -CONT "$(pid meta)"; }

garbage()
{
	python3 - $PORT << 'END'
import os, random, socket, sys

http = int(sys.argv[1])
random.seed(1)

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

for i in range(60):
    for port in (http, http + 1):
        send(port, os.urandom(random.randint(1, 3000)))
head = b"POST /v1/fs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
for i in range(20):
    s = socket.create_connection(("127.0.0.1", http))
    s.sendall(head % 100000 + b"x" * random.randint(0, 90000))
    s.close()
send(http, head % 9000000 + b"x" * 5000000)
for line in (b"X-Flint-Auth: v1 1 2 3", b"X-Flint-Auth: " + b"a" * 9000,
             b"Authorization: Bearer " + b"0" * 64, b"X: y"):
    for path in (b"/metrics", b"/v1/status", b"/v1/nonesuch"):
        answer = send(http, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n")
        if not answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 431")):
            sys.exit(f"{path} {line[:40]}: {answer[:80]}")
END
}

caller_goes_away()
{
	local i

	freeze
	timeout 2 "$BIN/flint" fs create gone --dir "$D"
	[ "$(fs_state gone)" = "half made" ] || { thaw; return 1; }
	thaw
	for ((i = 0; i < 50; i++)); do
		[ "$(fs_state gone)" = ready ] && return 0
		sleep 0.2
	done
	return 1
}

manager_stops_meanwhile()
{
	freeze
	timeout 1 "$BIN/flint" fs create later --dir "$D"
	kill "$(pid mgr)"
	sleep 1
	thaw
	"$BIN/flint" up "$D"
	[ "$(fs_state later)" = "half made" ] && fl fs create later && [ "$(fs_state later)" = ready ]
}


echo 1..7
ok "a cluster" up --chunk-servers 1
ok "garbage is refused" garbage
ok "the manager is well" fl status
ok "a caller goes away while a file system is made" caller_goes_away
ok "the manager stops while one is made" manager_stops_meanwhile
ok "all is well at the end" fl status
"$BIN/flint" down "$D" > /dev/null 2>&1
ok "sanitizers are silent" no_sanitizer
done_testing
