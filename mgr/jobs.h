/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs: what an operator wants of the chains as a whole, carried out by the
 * managers one move at a time. jobs.c decides, jobplan.c asks placement what to
 * do next, jobapi.c speaks to people.
 *
 * A job is a record in the managers' replicated state, and so are its moves under
 * way: whoever leads goes on with it. What is still to be done is not kept, but
 * worked out anew from the chains as they are, so that nothing can get out of
 * step with servers that come and go meanwhile.
 *
 * A move brings a target into a chain, waits until it serves, and then lets
 * another one leave (replication.md, rule R12). At no time does a chain have fewer
 * replicas with all data than before or than it is to have.
 */
#ifndef FLINT_MGR_JOBS_H
#define FLINT_MGR_JOBS_H

#include "../uapi/flintfs/types.h"

struct mgr_state;

#define MGR_JOB_MOVES	32		/* at the same time, of one job */
#define MGR_JOBS_KEPT	50		/* that have ended */

enum mgr_job_kind {
	MGR_JOB_DRAIN_NODE	= 1,	/* @subject: node: empty it */
	MGR_JOB_DRAIN_TARGET	= 2,	/* @subject: target: empty it */
	MGR_JOB_REBALANCE	= 3,	/* spread chains over all servers */
	MGR_JOB_REPLICAS	= 4,	/* @arg: of every chain */
	MGR_JOB_KINDS,
};

enum mgr_job_state {
	MGR_JOB_RUNNING		= 1,	/* or waiting for an earlier one */
	MGR_JOB_CANCELLING	= 2,	/* moves under way are undone, or finished */
	MGR_JOB_DONE		= 3,
	MGR_JOB_CANCELLED	= 4,
	MGR_JOB_STATES,
};

/**
 * struct mgr_job_move - a move under way
 * @from: target that leaves, 0: none
 * @to: target that joins, 0: none
 */
struct mgr_job_move {
	u32 chain, from, to;
};

/**
 * struct mgr_job - a job
 * @parallel: moves at the same time
 * @done, @left: moves made, and to be made beside those under way, as last worked out
 * @bytes: copied by moves that were made
 * @began_ns, @ended_ns: CLOCK_REALTIME of the leader; 0: not yet
 * @why: what it waits for, "": nothing
 */
struct mgr_job {
	u32 id;
	u32 subject, arg;
	u32 parallel;
	u32 done, left;
	u64 bytes;
	u64 began_ns, ended_ns;
	u8 kind, state;
	bool dirty;
	bool gone;
	u32 nr_moves;
	struct mgr_job_move moves[MGR_JOB_MOVES];
	char why[160];
};

/* ---- state.c ----------------------------------------------------------- */

static inline bool mgr_job_over(const struct mgr_job *j)
{
	return j->state >= MGR_JOB_DONE;
}

struct mgr_job *mgr_job_find(struct mgr_state *st, u32 id);
/* With an id that is known (loading, commands). NULL: no memory. */
struct mgr_job *mgr_job_put(struct mgr_state *st, u32 id);
/* A new one, dirty; the oldest that ended are dropped. NULL: no memory. */
struct mgr_job *mgr_job_add(struct mgr_state *st);
/* Does it make sense? */
bool mgr_job_sane(const struct mgr_job *j);

/* ---- jobs.c ----------------------------------------------------------- */

bool mgr_jobs_step(struct mgr_state *st, u64 real_ns);

/* ---- jobplan.c -------------------------------------------------------- */

/**
 * struct mgr_plan - what a job has still to do
 * @waiting: further moves, to targets that are only becoming free
 * @bytes: that are to be copied
 */
struct mgr_plan {
	struct mgr_job_move *moves;
	u32 nr;
	u32 waiting;
	u64 bytes;
};

/*
 * Work it out from the chains as they are, as if moves under way were made. Return:
 * 0; -ENOSPC with a sentence; -ENOMEM.
 */
int mgr_job_plan(struct mgr_state *st, const struct mgr_job *job, struct mgr_plan *out, char *err,
		 size_t errlen);

#endif /* FLINT_MGR_JOBS_H */
