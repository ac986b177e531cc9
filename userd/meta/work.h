/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long work on the database that must not hold up the state: copies and checks,
 * each on a thread and a connection of its own, in one read transaction.
 *
 * A copy is page by page what the database is at that moment: a generation is
 * in it whole or not at all, so it is the state at the index in its table
 * "state". While it runs, the WAL cannot start over and grows.
 */
#ifndef FLINT_META_WORK_H
#define FLINT_META_WORK_H

#include <pthread.h>
#include <stdatomic.h>
#include "../net/net.h"
#include "verify.h"

enum meta_work_kind {
	META_W_COPY,		/* @src into the new file @dst, durably */
	META_W_VERIFY,		/* meta_verify() of @src */
	META_W_ADMIT,		/* is @src a whole state at (@want_index, @want_term)? */
};

/**
 * struct meta_manifest - what a backup says of itself, in its table "manifest"
 * @group: of the Raft group it is from
 * @node: replica that made it
 * The rest is filled in when it is made.
 */
struct meta_manifest {
	u64 group;
	char node[FLINT_LABEL_LEN];
	u64 created;		/* ns since the epoch */
	u64 index, term, schema, checksum;
	u64 files;		/* inodes of all file systems */
};

/**
 * struct meta_work - one piece of work; zero-initialise, fill in, start
 * @manifest: META_W_COPY: write it, NULL: a bare copy
 * @rate: META_W_COPY: bytes a second at most; 0: no limit
 * @loop, @done: where to say that it is over; @loop NULL: only meta_work_wait()
 * @verdict: META_W_VERIFY: result; META_W_COPY: index, term and checksum of the copy
 * @err: result: 0 or -errno with the sentence in @why; -ECANCELED
 * @step, @steps: progress, for other threads; @what: in words
 */
struct meta_work {
	enum meta_work_kind kind;
	char src[512], dst[512];
	u64 want_index, want_term;
	struct meta_manifest *manifest;
	u64 rate;
	struct flint_loop *loop;
	void (*done)(struct meta_work *w);
	void *arg;

	struct meta_verdict verdict;
	u64 size;
	int err;
	char why[512];

	atomic_ullong step, steps;
	_Atomic(const char *) what;
	atomic_bool cancel;
	pthread_t thread;
	struct flint_task task;
};

/* 0 or -errno. @w lives until @done was called and meta_work_wait() returned. */
int meta_work_start(struct meta_work *w);
/* End of the thread; from @done, too, where it is near. */
void meta_work_wait(struct meta_work *w);
/* The same on the caller's thread. Return: w->err. */
int meta_work_run(struct meta_work *w);

#endif /* FLINT_META_WORK_H */
