#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Flip bits in a chunk target's file, as a disk does that forgets (recovery.sh, scrub.sh).

usage: spoil.py FILE data [EVERY]    one bit in every EVERYth block that holds something
       spoil.py FILE match TEXT      one bit of the last quarter of every block that begins so
       spoil.py FILE super|log|checkpoint   in the first superblock, the log, both checkpoints
Prints how many places were changed: none in a file that is no target.
"""
import os
import random
import struct
import sys

path, what = sys.argv[1], sys.argv[2]
every = int(sys.argv[3]) if what == "data" and len(sys.argv) > 3 else 1
fd = os.open(path, os.O_RDWR)
sb = os.pread(fd, 4096, 0)
if sb[:8] != b"FLNTCHK1":
    print(0)
    sys.exit(0)
shift = sb[36]
log_off, log_len, ckpt_a, ckpt_b, ckpt_len, data_off, blocks = struct.unpack_from("<7Q", sb, 48)


def flip(off):
    byte = os.pread(fd, 1, off)[0]
    os.pwrite(fd, bytes([byte ^ random.randrange(1, 256)]), off)


n = 0
if what == "data":
    seen = 0
    for b in range(blocks):
        off = data_off + (b << shift)
        if not any(os.pread(fd, 1 << shift, off)):
            continue
        if seen % every == 0:
            flip(off + (b * 7919) % 4096)
            n += 1
        seen += 1
elif what == "match":
    text = sys.argv[3].encode()
    for b in range(blocks):
        off = data_off + (b << shift)
        if os.pread(fd, len(text), off) == text:
            flip(off + (3 << shift) // 4)
            n += 1
elif what == "super":
    flip(20)
    n = 1
elif what == "log":
    # every group that was ever written, so that those in use are among them
    for off in range(log_off, log_off + log_len, 4096):
        if os.pread(fd, 4, off) == b"FLWL":
            flip(off + 40)
            n += 1
elif what == "checkpoint":
    for area in (ckpt_a, ckpt_b):
        if any(os.pread(fd, 4096, area)):
            flip(area + 24)
            n += 1
os.fsync(fd)
os.close(fd)
print(n)
