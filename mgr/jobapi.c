// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The admin API's part about jobs (jobs.h): beginning, showing, cancelling.
 *
 * A job is tried on a copy of the next state, so that what cannot be done is
 * refused in words and a dry run tells exactly what would be done.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../userd/base/log.h"
#include "../userd/base/conf.h"
#include "mgrd.h"

#define JOB_PARALLEL	4
#define JOBS_OPEN_MAX	16

static const char * const job_kinds[MGR_JOB_KINDS] = {
	[MGR_JOB_DRAIN_NODE] = "drain-node", [MGR_JOB_DRAIN_TARGET] = "drain-target",
	[MGR_JOB_REBALANCE] = "rebalance", [MGR_JOB_REPLICAS] = "replicas",
};

static const char * const job_states[MGR_JOB_STATES] = {
	[MGR_JOB_RUNNING] = "running", [MGR_JOB_CANCELLING] = "cancelling",
	[MGR_JOB_DONE] = "done", [MGR_JOB_CANCELLED] = "cancelled",
};

static u64 wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* ---- showing ------------------------------------------------------------ */

/* What the job does, as the beginning of a sentence. */
static void job_words(struct mgr_state *st, const struct mgr_job *j, char *out, size_t len)
{
	const struct mgr_node *n = mgr_node_find(st, j->subject);

	switch (j->kind) {
	case MGR_JOB_DRAIN_NODE:
		snprintf(out, len, "emptying chunk server %s", n ? n->name : "?");
		break;
	case MGR_JOB_DRAIN_TARGET:
		snprintf(out, len, "emptying target %u", j->subject);
		break;
	case MGR_JOB_REBALANCE:
		snprintf(out, len, "spreading the chains over all chunk servers");
		break;
	default:
		snprintf(out, len, "giving every chain %u replica%s", j->arg, j->arg == 1 ? "" : "s");
	}
}

static json_t *moves_json(const struct mgr_job_move *m, u32 nr)
{
	json_t *list = json_array();
	u32 i;

	for (i = 0; i < nr; i++)
		json_array_append_new(list, json_pack("{s:i, s:I, s:I}", "chain", (int)m[i].chain,
						      "from", (json_int_t)m[i].from, "to",
						      (json_int_t)m[i].to));
	return list;
}

/* Seconds until the end at the pace so far, -1: not known. */
static json_int_t job_left_s(const struct mgr_job *j)
{
	u64 took = wall_ns() - j->began_ns;

	if (mgr_job_over(j) || !j->done || j->began_ns > wall_ns())
		return mgr_job_over(j) ? 0 : -1;
	return took / 1000000000 * (j->left + j->nr_moves) / j->done;
}

static json_t *job_json(struct mgr_state *st, const struct mgr_job *j)
{
	char what[160];

	job_words(st, j, what, sizeof(what));
	return json_pack("{s:i, s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:s, s:o}", "id",
			 (int)j->id, "kind", job_kinds[j->kind], "what", what, "state",
			 job_states[j->state], "done", (int)j->done, "under_way", (int)j->nr_moves,
			 "left", (int)j->left, "bytes", (json_int_t)j->bytes, "began_s",
			 (json_int_t)(j->began_ns / 1000000000), "ended_s",
			 (json_int_t)(j->ended_ns / 1000000000), "left_s", job_left_s(j), "waits_for",
			 j->why, "moves", moves_json(j->moves, j->nr_moves));
}

json_t *mgr_report_jobs(struct mgr *m)
{
	json_t *list = json_array();
	u32 i;

	for (i = 0; i < m->st->nr_jobs; i++)
		json_array_append_new(list, job_json(m->st, &m->st->jobs[i]));
	return json_pack("{s:o, s:b}", "jobs", list, "frozen", (int)m->st->set.frozen);
}

/* ---- beginning ---------------------------------------------------------- */

/**
 * struct job_begin - a request that waits
 */
struct job_begin {
	struct mgr_http_req *r;
	json_t *answer;
};

static void job_begun(struct mgr *m, void *arg, int err)
{
	struct job_begin *w = arg;

	if (err) {
		mgr_admin_lost(w->r, err);
		json_decref(w->answer);
	} else {
		mgr_http_reply(w->r, MHD_HTTP_OK, w->answer);
	}
	free(w);
}

/* Fill in kind and subject, mark what is to be emptied. Return: 0 or -errno with a sentence. */
static int job_parse(struct mgr_state *st, json_t *body, struct mgr_job *j, char *err, size_t errlen)
{
	const char *kind = json_string_value(json_object_get(body, "kind"));
	const char *node = json_string_value(json_object_get(body, "node"));
	json_int_t target = json_integer_value(json_object_get(body, "target"));
	json_int_t replicas = json_integer_value(json_object_get(body, "replicas"));
	json_int_t parallel = json_integer_value(json_object_get(body, "parallel"));
	struct mgr_node *n;

	for (j->kind = 1; j->kind < MGR_JOB_KINDS; j->kind++)
		if (kind && !strcmp(kind, job_kinds[j->kind]))
			break;
	j->parallel = parallel ? parallel : JOB_PARALLEL;
	if (j->kind == MGR_JOB_KINDS || parallel < 0 || parallel > MGR_JOB_MOVES) {
		snprintf(err, errlen,
			 "\"kind\" must be drain-node, drain-target, rebalance or replicas, \"parallel\" 1 to %d",
			 MGR_JOB_MOVES);
		return -EINVAL;
	}
	if (j->kind == MGR_JOB_DRAIN_NODE) {
		n = node ? mgr_node_find_name(st, FLINT_ROLE_CHUNK, node) : NULL;
		snprintf(err, errlen, "there is no chunk server '%s': 'flint node list' shows them",
			 node ? node : "");
		j->subject = n ? n->id : 0;
		return n ? mgr_node_drain(st, n->id, true, err, errlen) : -ENOENT;
	}
	if (j->kind == MGR_JOB_DRAIN_TARGET) {
		j->subject = target > 0 && target <= UINT32_MAX ? target : 0;
		return mgr_target_drain(st, j->subject, true, err, errlen);
	}
	if (j->kind == MGR_JOB_REPLICAS) {
		snprintf(err, errlen, "\"replicas\" must be 1 to %d", FLINT_CHAIN_MAX - 1);
		j->arg = replicas;
		return replicas >= 1 && replicas < FLINT_CHAIN_MAX ? 0 : -EINVAL;
	}
	return 0;
}

/* One that is open and wants the same. */
static struct mgr_job *job_same(struct mgr_state *st, const struct mgr_job *j, u32 *open)
{
	u32 i;

	*open = 0;
	for (i = 0; i < st->nr_jobs; i++) {
		struct mgr_job *o = &st->jobs[i];

		if (mgr_job_over(o))
			continue;
		++*open;
		if (o->state == MGR_JOB_RUNNING && o->kind == j->kind &&
		    o->subject == j->subject && o->arg == j->arg)
			return o;
	}
	return NULL;
}

static json_t *job_answer(struct mgr_state *st, const struct mgr_job *j, const struct mgr_plan *plan,
			  bool dry)
{
	char what[160], size[32];
	json_t *out;

	job_words(st, j, what, sizeof(what));
	flint_size_format(plan->bytes, size, sizeof(size));
	out = json_pack("{s:i, s:b, s:i, s:I, s:s, s:s, s:o}", "job", dry ? 0 : (int)j->id,
			"dry_run", (int)dry, "moves", (int)(plan->nr + plan->waiting), "bytes",
			(json_int_t)plan->bytes, "what", what, "size", size, "plan",
			moves_json(plan->moves, plan->nr));
	return out;
}

/* Takes @st over unless it is a dry run. */
static void job_commit(struct mgr *m, struct mgr_http_req *r, struct mgr_state *st, json_t *answer)
{
	struct job_begin *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	w->r = r;
	w->answer = answer;
	mgr_state_free(m->next);
	m->next = st;
	mgr_commit(m, true, job_begun, w);
}

/* Try it on @st. Return: 0 with an answer, or -errno with a sentence. */
static int job_try(struct mgr_state *st, json_t *body, json_t **answer, char *err, size_t errlen)
{
	struct mgr_job wish = { 0 }, *j;
	struct mgr_plan plan;
	u32 open;
	int ret = job_parse(st, body, &wish, err, errlen);

	if (ret)
		return ret;
	j = job_same(st, &wish, &open);
	if (!j && open >= JOBS_OPEN_MAX) {
		snprintf(err, errlen, "%u jobs wait already: let them end, or cancel one", open);
		return -EBUSY;
	}
	if (!j) {
		j = mgr_job_add(st);
		if (!j)
			return -ENOMEM;
		wish.id = j->id;
		wish.state = MGR_JOB_RUNNING;
		wish.began_ns = wall_ns();
		wish.dirty = true;
		*j = wish;
	}
	ret = mgr_job_plan(st, j, &plan, err, errlen);
	if (ret)
		return ret;
	j->left = plan.nr + plan.waiting;
	*answer = job_answer(st, j, &plan, json_is_true(json_object_get(body, "dry_run")));
	free(plan.moves);
	return 0;
}

/**
 * mgr_jobs_post() - POST /v1/jobs: begin a job
 * @r: {"kind": KIND, "node": NAME, "target": N, "replicas": N, "parallel": N, "dry_run": BOOL}
 */
void mgr_jobs_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL), *answer = NULL;
	struct mgr_state *st = mgr_state_clone(m->next);
	char err[MGR_ERR_LEN] = "";
	int ret = st ? job_try(st, body, &answer, err, sizeof(err)) : -ENOMEM;

	if (ret == -ENOMEM) {
		mgr_http_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the manager is out of memory");
	} else if (ret) {
		mgr_http_error(r, ret == -EINVAL ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_CONFLICT, "%s",
			       err);
	} else if (json_is_true(json_object_get(body, "dry_run"))) {
		mgr_http_reply(r, MHD_HTTP_OK, answer);
	} else {
		job_commit(m, r, st, answer);
		st = NULL;
	}
	mgr_state_free(st);
	json_decref(body);
}

/* ---- cancelling --------------------------------------------------------- */

/* What was to be emptied may be used again. */
static void job_unmark(struct mgr_state *st, const struct mgr_job *j)
{
	char err[MGR_ERR_LEN];

	if (j->kind == MGR_JOB_DRAIN_NODE)
		mgr_node_drain(st, j->subject, false, err, sizeof(err));
	if (j->kind == MGR_JOB_DRAIN_TARGET)
		mgr_target_drain(st, j->subject, false, err, sizeof(err));
}

/**
 * mgr_jobs_cancel_post() - POST /v1/jobs/cancel: {"id": N}
 *
 * Moves that were made stay; those under way are undone unless the new target
 * serves already.
 */
void mgr_jobs_cancel_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	json_int_t id = json_integer_value(json_object_get(body, "id"));
	struct mgr_job *j = id > 0 && id <= UINT32_MAX ? mgr_job_find(m->next, id) : NULL;
	struct job_begin *w;

	json_decref(body);
	if (!j) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "there is no such job: 'flint job list' shows them");
		return;
	}
	if (mgr_job_over(j)) {
		mgr_http_error(r, MHD_HTTP_CONFLICT, "job %u has ended already", j->id);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->r = r;
	w->answer = json_pack("{s:i, s:s}", "id", (int)j->id, "state", job_states[MGR_JOB_CANCELLING]);
	j->state = MGR_JOB_CANCELLING;
	j->dirty = true;
	job_unmark(m->next, j);
	mgr_commit(m, true, job_begun, w);
}

/* ---- going on ----------------------------------------------------------- */

static void jobs_stepped(struct mgr *m, void *arg, int err)
{
	if (err && err != -EAGAIN)
		flint_err_rl("the managers did not agree on a step of a job (%s): it is tried again",
			     strerror(-err));
}

void mgr_jobs_tick(struct mgr *m)
{
	bool changed = mgr_jobs_step(m->next, wall_ns()), dirty = changed;
	u32 i;

	for (i = 0; i < m->next->nr_jobs; i++)
		dirty |= m->next->jobs[i].dirty;
	if (dirty)
		mgr_commit(m, changed, jobs_stepped, NULL);
}
