#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A short run of `make soak-replies`: hostile replies for the module's request layer, under sanitizers.
# timeout: 600
cd "$(dirname "$0")/../.." || exit 1
out=$(env -u MAKEFLAGS -u MAKELEVEL make -s soak-replies REPLIES=300000 SEED=$RANDOM 2>&1)
status=$?
echo "$out" | tail -30 | sed 's/^/# /'
if [ $status = 0 ]; then echo "ok 1 - hostile replies"; else echo "not ok 1 - hostile replies"; fi
echo 1..1
exit $status
