#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The checks of posix.c and conform.c on a mount over software RDMA with real servers.
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

cluster_start
mount_flint
mkdir $MNT/t
"$B/vm/posix" $MNT/t || tap_failed=1
mkdir $MNT/c
"$B/vm/conform" $MNT/c || tap_failed=1
done_testing
