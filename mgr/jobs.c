// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Jobs, step by step. Pure: it changes the next state, the caller commits.
 *
 * Only the oldest job that has not ended acts; two at the same time would undo
 * each other's work. A step looks after the moves under way, then begins further
 * ones while there are fewer than the job may have.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/log.h"
#include "chainstate.h"
#include "state.h"

/* ---- moves under way ---------------------------------------------------- */

static void job_say(struct mgr_job *j, const char *why)
{
	if (!strncmp(j->why, why, sizeof(j->why) - 1))
		return;
	snprintf(j->why, sizeof(j->why), "%s", why);
	j->dirty = true;
}

static bool member(struct mgr_state *st, u32 target, u32 chain)
{
	const struct mgr_target *t = mgr_target_find(st, target);

	return t && t->chain == chain;
}

/* Let @target leave. Return: it has left. */
static bool leave(struct mgr_state *st, struct mgr_job *j, u32 chain, u32 target, bool *changed)
{
	const struct mgr_target *t = mgr_target_find(st, target);
	u8 wish = t ? t->wish : 0;
	char err[sizeof(j->why)];

	if (!member(st, target, chain))
		return true;
	if (mgr_chain_drop_target(st, chain, target, err, sizeof(err))) {
		job_say(j, err);
		return false;
	}
	t = mgr_target_find(st, target);
	*changed |= t->wish != wish || t->chain != chain;
	return t->chain != chain;
}

enum move_fate { MOVE_ON, MOVE_MADE, MOVE_GONE };

/*
 * The target that a move gave a chain is to leave it again. The one that it replaces stays then. If
 * that one has left already, both would be gone: the new one remains, however it is.
 */
static enum move_fate move_back(struct mgr_state *st, struct mgr_job *j,
				const struct mgr_job_move *mv, bool *changed)
{
	const struct mgr_target *from = mv->from ? mgr_target_find(st, mv->from) : NULL;
	char err[sizeof(j->why)];

	if (mv->from && !member(st, mv->from, mv->chain))
		return MOVE_MADE;
	if (from && from->wish == MGR_WISH_DROP) {
		if (mgr_target_hold(st, mv->from, false, err, sizeof(err)))
			return MOVE_ON;
		*changed = true;
	}
	return leave(st, j, mv->chain, mv->to, changed) ? MOVE_GONE : MOVE_ON;
}

/* What becomes of a move. */
static enum move_fate move_step(struct mgr_state *st, struct mgr_job *j,
				const struct mgr_job_move *mv, bool *changed)
{
	const struct mgr_target *to = mv->to ? mgr_target_find(st, mv->to) : NULL;

	if (mv->to && !member(st, mv->to, mv->chain))
		return MOVE_GONE;
	if (to && to->state != FLINT_TARGET_SERVING) {
		/* It failed, or nobody wants it any longer: the next plan finds another one. */
		if (to->state == FLINT_TARGET_OFFLINE || j->state == MGR_JOB_CANCELLING)
			return move_back(st, j, mv, changed);
		return MOVE_ON;
	}
	if (!mv->to && j->state == MGR_JOB_CANCELLING && member(st, mv->from, mv->chain) &&
	    !mgr_target_find(st, mv->from)->wish)
		return MOVE_GONE;
	if (mv->from && !leave(st, j, mv->chain, mv->from, changed))
		return MOVE_ON;
	return MOVE_MADE;
}

static u64 move_bytes(struct mgr_state *st, const struct mgr_job_move *mv)
{
	const struct mgr_target *t = mv->to ? mgr_target_find(st, mv->to) : NULL;

	return t ? t->live.used : 0;
}

static bool moves_step(struct mgr_state *st, struct mgr_job *j)
{
	bool changed = false;
	u32 i, keep = 0;

	for (i = 0; i < j->nr_moves; i++) {
		struct mgr_job_move mv = j->moves[i];
		enum move_fate fate = move_step(st, j, &mv, &changed);

		if (fate == MOVE_ON) {
			j->moves[keep++] = mv;
			continue;
		}
		if (fate == MOVE_MADE) {
			j->done++;
			j->bytes += move_bytes(st, &mv);
		}
		j->dirty = true;
	}
	j->nr_moves = keep;
	return changed;
}

/* ---- further moves ------------------------------------------------------ */

static bool chain_moves(const struct mgr_job *j, u32 chain)
{
	u32 i;

	for (i = 0; i < j->nr_moves; i++)
		if (j->moves[i].chain == chain)
			return true;
	return false;
}

static void job_end(struct mgr_state *st, struct mgr_job *j, u8 state, u64 real_ns)
{
	j->state = state;
	j->ended_ns = real_ns;
	j->left = 0;
	j->why[0] = 0;
	j->dirty = true;
	flint_info("job %u %s after %u moves", j->id,
		   state == MGR_JOB_DONE ? "is done" : "was cancelled", j->done);
}

/* Begin a move. Return: it has begun. */
static bool move_begin(struct mgr_state *st, struct mgr_job *j, const struct mgr_job_move *mv)
{
	char err[sizeof(j->why)];

	if (mv->to && mgr_chain_add_target(st, mv->chain, mv->to, err, sizeof(err))) {
		job_say(j, err);
		return false;
	}
	j->moves[j->nr_moves++] = *mv;
	j->dirty = true;
	return true;
}

static bool moves_begin(struct mgr_state *st, struct mgr_job *j, u64 real_ns)
{
	bool changed = false;
	struct mgr_plan plan;
	char err[sizeof(j->why)];
	u32 i, left;
	int ret = mgr_job_plan(st, j, &plan, err, sizeof(err));

	if (ret) {
		job_say(j, err);
		return false;
	}
	left = plan.nr + plan.waiting;
	for (i = 0; i < plan.nr && j->nr_moves < j->parallel; i++) {
		if (chain_moves(j, plan.moves[i].chain) || !move_begin(st, j, &plan.moves[i]))
			continue;
		left--;
		changed = true;
	}
	free(plan.moves);
	if (changed)
		job_say(j, "");
	if (j->left != left) {
		j->left = left;
		j->dirty = true;
	}
	if (!left && !j->nr_moves)
		job_end(st, j, MGR_JOB_DONE, real_ns);
	return changed;
}

/**
 * mgr_jobs_step() - go on with the oldest job
 * @st: the next state
 * @real_ns: CLOCK_REALTIME
 *
 * Return: does the map change? The caller commits if so, and as well if only a job
 * is dirty.
 */
bool mgr_jobs_step(struct mgr_state *st, u64 real_ns)
{
	struct mgr_job *j = NULL;
	bool changed;
	u32 i;

	for (i = 0; i < st->nr_jobs && !j; i++)
		if (!mgr_job_over(&st->jobs[i]))
			j = &st->jobs[i];
	if (!j)
		return false;
	changed = moves_step(st, j);
	if (j->state == MGR_JOB_CANCELLING) {
		if (!j->nr_moves)
			job_end(st, j, MGR_JOB_CANCELLED, real_ns);
	} else if (st->set.frozen) {
		job_say(j, "the cluster is frozen: 'flint cluster thaw' lets it go on");
	} else if (j->nr_moves < j->parallel) {
		changed |= moves_begin(st, j, real_ns);
	}
	return changed;
}
