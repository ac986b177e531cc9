#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The checks of posix_data.c on a mount over software RDMA with real servers, and random
# operations on a file (fsx.c).
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

cluster_start
mount_flint
mkdir $MNT/t
"$B/vm/posix_data" $MNT/t || tap_failed=1
"$B/vm/fsx" $MNT/t "${FSX_SEED:-1}" "${FSX_OPERATIONS:-150}" || tap_failed=1
umount_flint
mount_flint nowriteback
mkdir $MNT/w
CHECKS="last_page_is_read" "$B/vm/posix_data" $MNT/w || tap_failed=1
done_testing
