#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A hostile verbs client against a server of userd/net, on rxe.
# timeout: 600
# proto: own
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
timeout 550 "$top/build/vm/net_verbs_hostile" 10.77.0.1
