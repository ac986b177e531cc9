# SPDX-License-Identifier: GPL-2.0-or-later
# Cluster map, membership and the user-space client library.

LIBFLINT_SRCS += userd/client/cluster.c userd/client/member.c \
	userd/client/fs.c userd/client/fs_async.c userd/client/cache.c \
	userd/client/fs_lease.c userd/client/fs_delegate.c userd/client/fs_write.c userd/client/fs_lock.c userd/client/fs_meta.c \
	userd/client/fs_data.c userd/client/fs_admin.c
