# SPDX-License-Identifier: GPL-2.0-or-later
# A Raft replica with disk and network (core.mk: the core). Who uses it links SQLite.

LIBFLINT_SRCS += userd/raft/node.c userd/raft/drive.c userd/raft/peers.c userd/raft/snap.c \
	userd/raft/change.c userd/raft/requests.c userd/raft/codec.c userd/raft/db.c \
	userd/raft/wal.c userd/raft/ents.c userd/raft/work.c \
	userd/raft/survivor.c userd/raft/metrics.c

TEST_LIBS_raft_db := -lsqlite3
FUZZ_LIBS_raft_msg := -lsqlite3
