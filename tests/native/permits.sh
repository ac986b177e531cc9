#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A token for a directory gives the data of its files and no other, also to a client that guesses numbers.
# timeout: 120
. "$(dirname "$0")/cluster.bash"

up --chunk-servers 1 > "$W/up" 2>&1 || { sed 's/^/# /' "$W/up"; echo "Bail out! flint up failed"; exit 1; }
fl token create --fs default --path /team --out "$W/token" > "$W/out" 2>&1 ||
	{ sed 's/^/# /' "$W/out"; echo "Bail out! no token"; exit 1; }
timeout 100 "$BIN/flint-permittest" --mgr "$(mgrs)" --key "$D/cluster.key" --token "$W/token"
