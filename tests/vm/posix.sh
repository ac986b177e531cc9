#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The checks of posix.c and conform.c on a mount over software RDMA with real servers; without write-back
# those that look at a file's data, its end and its times.
# uml: too
. "$(dirname "$0")/lib/cluster.sh"

cluster_start
mount_flint
mkdir $MNT/t
"$B/vm/posix" $MNT/t || tap_failed=1
mkdir $MNT/c
"$B/vm/conform" $MNT/c || tap_failed=1
umount_flint
mount_flint nowriteback
mkdir $MNT/w
CHECKS="seek_basic seek_sparse fiemap falloc_grow falloc_punch falloc_zero clone_busy_file copy_range tmpfile_basic \
	flags_append times_rules limits splices append_parallel birth_and_ids" \
	"$B/vm/conform" $MNT/w || tap_failed=1
done_testing
