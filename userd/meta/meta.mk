# SPDX-License-Identifier: GPL-2.0-or-later
# flint-metad, the metadata server
META_CORE := userd/meta/store.c userd/meta/inode.c userd/meta/command.c userd/meta/ops_session.c \
	userd/meta/ops_name.c userd/meta/ops_rename.c userd/meta/ops_attr.c userd/meta/ops_xattr.c \
	userd/meta/read.c
META_LIBS := -lsqlite3
