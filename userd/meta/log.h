/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of commands: proposing one, and hearing that it is committed.
 *
 * With one replica (log_local.c) a transaction of the database is both the log
 * entry and its application. A replicated log takes its place behind the same
 * functions: propose, commit, apply, done.
 *
 * Group commit: proposals that arrive while a transaction is being written
 * share the next one. A proposal that meets an idle log is committed at once.
 */
#ifndef FLINT_META_LOG_H
#define FLINT_META_LOG_H

#include "command.h"

struct meta_log;

/**
 * struct meta_proposal - a command on its way
 * @done: called on the log's thread once it is committed and applied, or
 *	failed; in the order of application. @reply says which; the memory is the
 *	caller's again
 * @reply: result; a database failure is a status: ENOSPC, ENOMEM
 * @priv: the caller's
 * @durable: from meta_command_durable()
 * @len: bytes of @cmd
 * @cmd: encoded, stamped by the log
 */
struct meta_proposal {
	struct meta_proposal *next;
	void (*done)(struct meta_proposal *p);
	void *priv;
	void *arg;
	struct meta_reply reply;
	bool durable;
	u32 len;
	u8 cmd[];
};

/* A proposal for a command, encoded into it. NULL: no memory. Freed with free(). */
struct meta_proposal *meta_proposal_new(const struct meta_command *c);

struct flint_loop;

/* Everything happens on the loop. NULL: no memory. */
struct meta_log *meta_log_new(struct meta_store *s, struct flint_loop *loop);
/* Commits what was proposed. */
void meta_log_free(struct meta_log *log);
void meta_log_propose(struct meta_log *log, struct meta_proposal *p);

/* Counters since start. */
struct meta_log_stats {
	u64 commands;
	u64 commits;
	u64 checkpoints;
	u64 failures;
};

void meta_log_stats(struct meta_log *log, struct meta_log_stats *st);

#endif /* FLINT_META_LOG_H */
