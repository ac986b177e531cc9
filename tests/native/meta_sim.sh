#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 200
# Metadata state machines behind Raft cores in the simulated world: equal checksums, exactly once.
# A few seeds under sanitizers; build/bin/flint-meta-sim --runs N does more.
exec "$BIN/flint-meta-sim" --runs 12
