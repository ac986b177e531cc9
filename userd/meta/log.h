/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of commands: proposing one, and hearing that it is committed and
 * applied.
 *
 * The log is a Raft group's (../raft/node.h); this file's part is what the
 * entries hold. An entry carries many commands: those that arrive in one turn
 * of the loop, or while enough entries are under way. A command that meets an
 * idle log is logged in the same turn.
 *
 * Everything here runs on the loop, which is the state's only thread.
 */
#ifndef FLINT_META_LOG_H
#define FLINT_META_LOG_H

#include "command.h"
#include "../raft/node.h"

struct meta_log;

/**
 * struct meta_proposal - a command on its way
 * @done: called from the loop, once: committed and applied, or refused; in the
 *	order of application. @reply says which; the memory is the caller's again
 * @reply: result. Statuses of the log itself: FLINT_ST_NOT_LEADER (it may or may not
 *	have been logged), ENOSPC (the disk is nearly full, not logged),
 *	FLINT_ST_SHUTDOWN
 * @priv: the caller's
 * @len: bytes of @cmd
 * @cmd: encoded, stamped by the log
 */
struct meta_proposal {
	struct meta_proposal *next;
	void (*done)(struct meta_proposal *p);
	void *priv;
	void *arg;
	struct meta_reply reply;
	u32 len;
	u8 cmd[];
};

/* A proposal for a command, encoded into it. NULL: no memory. Freed with free(). */
struct meta_proposal *meta_proposal_new(const struct meta_command *c);

/**
 * struct meta_log_config
 * @store: opened; the log applies to it, on the loop
 * @raft: loop, dir, name, addr, key and time_scale are used
 * @role: as in struct flint_raft_ops; readiness is told when the log may be used
 * @replacing: true: the store's file is going to be another one soon, and nobody but the
 *	store may have it open from now on; false: it was, or is not going to be
 * @fatal: the process must stop; once
 */
struct meta_log_config {
	struct meta_store *store;
	struct flint_raft_config raft;
	void (*role)(void *arg, const struct flint_raft_status *st);
	void (*replacing)(void *arg, bool begins);
	void (*fatal)(void *arg, const char *why);
	void *arg;
};

/* NULL with errno and a sentence. */
struct meta_log *meta_log_new(const struct meta_log_config *cfg, char *err, size_t errlen);
/* With the loop stopped: what waits is done with FLINT_ST_SHUTDOWN. */
void meta_log_free(struct meta_log *log);
void meta_log_propose(struct meta_log *log, struct meta_proposal *p);
/* The store is on stable storage up to here (struct meta_store_config.durable). */
void meta_log_durable(struct meta_log *log, u64 index, u64 term);
struct flint_raft *meta_log_raft(struct meta_log *log);

/* Counters since start. */
struct meta_log_stats {
	u64 commands;		/* applied */
	u64 entries;		/* that carried them */
	u64 refused;		/* proposals that were not applied */
};

void meta_log_stats(const struct meta_log *log, struct meta_log_stats *st);

#endif /* FLINT_META_LOG_H */
