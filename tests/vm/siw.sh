#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The same mount over iWARP (siw, built from the kernel's source): fewer pages
# in a memory region, no remote invalidation, the client speaks first.
# uml: too
# vm: --rdma siw
# proto: own
. "$(dirname "$0")/lib/cluster.sh"

large_round_trip()
{
	dd if=/dev/urandom of=/tmp/big bs=1M count=8 status=none
	dd if=/tmp/big of=$MNT/big bs=1M oflag=direct status=none || return 1
	dd if=$MNT/big bs=1M iflag=direct status=none | cmp - /tmp/big
}

cluster_start
mount_flint
ok "8 MiB written and read back" large_round_trip
ok "200 random operations on a file" "$B/vm/randio" $MNT/r 200 "${SEED:-$RANDOM}"
done_testing
