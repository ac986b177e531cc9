#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Peers of another protocol version, both ways: a client of a later one at each daemon of a cluster,
# and our client at a server of a later one. One sentence names the peer, both versions and the
# remedy; the other side is told in a header that it understands; nothing else happens.
# timeout: 120
. "$(dirname "$0")/cluster.bash"

# later.py client PORT: a HELLO of version 2. later.py server FILE: serve as version 9, port into FILE.
cat > "$W/later.py" <<'EOF'
import socket, struct, sys
HDR = struct.Struct("<IBBHIIIHBBIIQQQQ")
def header(version, flags, op, tag, status, credits, body):
    return HDR.pack(0x544e4c46, version, flags, op, tag, status, 0 if flags else 1000, credits, 0, 0,
                    len(body), 0, 0, 0, 0, 0) + body
def take(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            sys.exit("closed without a word")
        data += more
    return data
if sys.argv[1] == "client":
    s = socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5)
    s.settimeout(5)
    s.sendall(header(2, 0, 1, 5, 0, 0, bytes([2, 3]) + bytes(198)))
    h = HDR.unpack(take(s, HDR.size))
    body = take(s, h[10])
    assert h[1] == 2 and h[3] == 1 and h[4] == 5 and h[5] == 1010, h
    assert body[0] == 1, body
    assert s.recv(1) == b""
else:
    l = socket.create_server(("127.0.0.1", 0))
    open(sys.argv[2], "w").write("%d\n" % l.getsockname()[1])
    while True:
        s = l.accept()[0]
        h = HDR.unpack(take(s, HDR.size))
        take(s, h[10])
        s.sendall(header(h[1], 1, 1, h[4], 1010, 1, bytes([9, 2]) + bytes(6)))
        s.close()
EOF

port_of() { tr '\0' ' ' < "/proc/$(cat "$D/run/$1.pid")/cmdline" | sed -n 's/.*--tcp-port[= ]*\([0-9]*\).*/\1/p'; }

echo 1..8
"$BIN/flint" up "$D" --no-rdma --listen 127.0.0.1 --base-port $PORT --size 128M \
	--chunk-servers 1 > "$W/out" 2>&1
result $? "a cluster"
for d in mgr meta chunk1; do
	pid=$(cat "$D/run/$d.pid")
	python3 "$W/later.py" client "$(port_of $d)" > "$W/out" 2>&1
	result $? "$d answers a client of version 2 in its own header"
	grep -q 'refused .*127\.0\.0\.1:[0-9]* (tcp): it speaks protocol version 2 and this server 1\.[0-9]*: install the same FlintFS version on both' \
		"$D/log/$d.log" && kill -0 "$pid" 2>/dev/null
	result $? "$d logs one sentence, and goes on"
done

python3 "$W/later.py" server "$W/port" & fake=$!
for _ in {1..50}; do [ -s "$W/port" ] && break; sleep 0.1; done
port=$(cat "$W/port")
timeout 20 "$BIN/flint-fstest" --mgr "127.0.0.1:$port" --key "$D/cluster.key" meta > "$W/out" 2>&1
status=$?
[ $status != 0 ] && [ $status != 124 ] &&
	grep -q "manager at 127.0.0.1:$port speaks another version of the protocol; install the same version" "$W/out" &&
	grep -q "127.0.0.1:$port.*the server speaks protocol version 9\.2 and we 1\.[0-9]*" "$W/out"
result $? "our client at a manager of version 9"
done_testing
