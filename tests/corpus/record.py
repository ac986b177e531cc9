#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Records what a release says on the wire, for tests/unit/corpus_test.c and tests/native/corpus.sh.

    tests/corpus/record.py DIRECTORY FIRST-PORT LAST-PORT

Listens on the loopback interface (root) until it is stopped, puts the TCP streams of servers whose
ports lie in the range together and keeps one message of every kind: operation, request or reply,
status, flags, lengths. A file is one message as it was sent, its name says what it is:
OP-STATUS-BODYLENGTH.req or .rep, with "-d" if it carries data. HELLO and AUTH prove keys: record a
throw-away cluster.
"""

import collections
import os
import signal
import socket
import struct
import sys

MAGIC = b"FLNT"
MESSAGE_MAX = 20000
KINDS_OF_ONE_OP = 6


class Stream:
    def __init__(self):
        self.buf = b""
        self.next = None
        self.lost = False

    def add(self, seq, data):
        """Bytes in order; a stream with a gap is given up."""
        if self.next is None:
            self.next = seq
        skip = (self.next - seq) & 0xffffffff
        if skip >= 1 << 31:
            self.lost = True
        if self.lost or skip >= len(data):
            return
        self.buf += data[skip:]
        self.next = (seq + len(data)) & 0xffffffff

    def messages(self):
        while len(self.buf) >= 64 and not self.lost:
            if self.buf[:4] != MAGIC:
                self.lost = True
                return
            flags, op, nr_desc = self.buf[5], struct.unpack_from("<H", self.buf, 6)[0], self.buf[22]
            status, = struct.unpack_from("<I", self.buf, 12)
            body, data = struct.unpack_from("<II", self.buf, 24)
            total = 64 + 16 * nr_desc + body + (data if flags & 2 else 0)
            if len(self.buf) < total:
                return
            yield op, flags, status, body, data, self.buf[:total]
            self.buf = self.buf[total:]


def main():
    out, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(out, exist_ok=True)
    # Before anything is captured, so that being told to stop always ends in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    sock.bind(("lo", 0))
    streams = collections.defaultdict(Stream)
    kept = collections.Counter()
    seen = set()
    while True:
        packet, addr = sock.recvfrom(1 << 17)
        if addr[2] == socket.PACKET_OUTGOING or packet[23] != 6:
            continue
        ip = 14 + (packet[14] & 15) * 4
        length = struct.unpack_from(">H", packet, 16)[0] or len(packet) - 14
        src, dst, seq = struct.unpack_from(">HHI", packet, ip)
        if not (first <= src <= last or first <= dst <= last):
            continue
        syn = packet[ip + 13] & 2
        data = packet[ip + (packet[ip + 12] >> 4) * 4:14 + length]
        key = (src, dst)
        if syn:
            streams[key] = Stream()
            streams[key].next = (seq + 1) & 0xffffffff
            continue
        if not data:
            continue
        streams[key].add(seq, data)
        for op, flags, status, body, size, raw in streams[key].messages():
            what = f"{op:02x}-{status}-{body}{'-d' if size else ''}.{'rep' if flags & 1 else 'req'}"
            kind = (op, flags & 1)
            if what in seen or kept[kind] >= KINDS_OF_ONE_OP or len(raw) > MESSAGE_MAX:
                continue
            seen.add(what)
            kept[kind] += 1
            with open(os.path.join(out, what), "wb") as f:
                f.write(raw)


if __name__ == "__main__":
    main()
