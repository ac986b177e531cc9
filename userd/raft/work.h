/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread for file work that may block: jobs in, in order; results back on
 * the loop.
 */
#ifndef FLINT_RAFT_WORK_H
#define FLINT_RAFT_WORK_H

#include "../net/net.h"

/**
 * struct flint_work - one piece; the caller's memory until done
 * @run: on the thread
 * @done: on the loop
 */
struct flint_work {
	void (*run)(struct flint_work *w);
	void (*done)(struct flint_work *w);
	struct flint_work *next;
};

struct flint_worker;

/* The thread starts with the first job. NULL: no memory. */
struct flint_worker *flint_worker_new(struct flint_loop *loop, const char *name);
/* With the loop stopped: what was queued is run and done, from here. */
void flint_worker_free(struct flint_worker *w);
/* On the loop. 0 or -errno (no thread). */
int flint_worker_add(struct flint_worker *w, struct flint_work *job);

#endif /* FLINT_RAFT_WORK_H */
