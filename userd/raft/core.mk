# SPDX-License-Identifier: GPL-2.0-or-later
# The Raft core, a pure step function. Part of every program that replicates.

RAFT_CORE := userd/raft/raft.c userd/raft/raft_log.c userd/raft/raft_conf.c userd/raft/raft_repl.c \
	userd/raft/raft_read.c
LIBFLINT_SRCS += $(RAFT_CORE)
