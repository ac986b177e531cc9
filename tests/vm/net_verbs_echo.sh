#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Client and server of userd/net over verbs, in one guest, on rxe. Also checks that an idle server
# sleeps: a connection that only pings may not use processor time worth speaking of.
# timeout: 600
# proto: own
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
FLINT_TEST_RDMA=10.77.0.1 CMOCKA_MESSAGE_OUTPUT=TAP timeout 550 "$top/build/vm/net_verbs_echo"
