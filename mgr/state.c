// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The managers' model in memory: records, finding, adding, copying, and the
 * check that every reference leads somewhere. Pure: no I/O, no clock.
 *
 * The whole of it is small (a few hundred bytes for each node, target and
 * chain), so that copying it for each change is cheaper than being clever.
 */
#include <stdio.h>
#include <stdlib.h>

#include "state.h"

/* Grow an array by one zeroed record at its end. Return: the record, or NULL. */
static void *mgr_grow(void *base, u32 *nr, size_t size)
{
	void **array = base;
	void *p = realloc(*array, (*nr + 1) * size);

	if (!p)
		return NULL;
	*array = p;
	p = (char *)p + *nr * size;
	memset(p, 0, size);
	(*nr)++;
	return p;
}

void mgr_state_clear(struct mgr_state *st)
{
	u32 i;

	for (i = 0; i < st->nr_tables; i++)
		free(st->tables[i].chains);
	for (i = 0; i < st->nr_tokens; i++)
		mgr_token_drop(&st->tokens[i]);
	free(st->tokens);
	free(st->events);
	free(st->jobs);
	free(st->nodes);
	free(st->targets);
	free(st->chains);
	free(st->tables);
	free(st->fs);
	memset(st, 0, sizeof(*st));
}

struct mgr_state *mgr_state_new(const u8 cluster_id[16], const char *cluster_name, u32 lease_ms)
{
	struct mgr_state *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->epoch = 1;
	memcpy(st->set.cluster_id, cluster_id, sizeof(st->set.cluster_id));
	snprintf(st->set.cluster_name, sizeof(st->set.cluster_name), "%s", cluster_name);
	st->set.lease_ms = lease_ms;
	st->set.fence_ms = lease_ms;
	st->next_event = 1;
	st->next_job = 1;
	st->set.next_node = 1;
	st->set.next_fs = 1;
	st->set.dirty = true;
	return st;
}

void mgr_state_free(struct mgr_state *st)
{
	if (!st)
		return;
	mgr_state_clear(st);
	free(st);
}

/* Copy an array of @nr records. Return: success. */
static bool mgr_copy(void *to, const void *from, u32 nr, size_t size)
{
	void **dst = to;

	*dst = NULL;
	if (!nr)
		return true;
	*dst = malloc(nr * size);
	if (!*dst)
		return false;
	memcpy(*dst, from, nr * size);
	return true;
}

struct mgr_state *mgr_state_clone(const struct mgr_state *st)
{
	struct mgr_state *c = malloc(sizeof(*c));
	bool ok;
	u32 i;

	if (!c)
		return NULL;
	*c = *st;
	c->nr_tables = 0;
	c->nr_tokens = 0;
	ok = mgr_copy(&c->nodes, st->nodes, st->nr_nodes, sizeof(*st->nodes));
	ok &= mgr_copy(&c->targets, st->targets, st->nr_targets, sizeof(*st->targets));
	ok &= mgr_copy(&c->chains, st->chains, st->nr_chains, sizeof(*st->chains));
	ok &= mgr_copy(&c->fs, st->fs, st->nr_fs, sizeof(*st->fs));
	ok &= mgr_copy(&c->jobs, st->jobs, st->nr_jobs, sizeof(*st->jobs));
	ok &= mgr_copy(&c->events, st->events, st->nr_events, sizeof(*st->events));
	ok &= mgr_copy(&c->tables, st->tables, st->nr_tables, sizeof(*st->tables));
	for (i = 0; ok && i < st->nr_tables; i++) {
		ok = mgr_copy(&c->tables[i].chains, st->tables[i].chains, st->tables[i].nr,
			      sizeof(u32));
		c->nr_tables++;
	}
	ok &= mgr_copy(&c->tokens, st->tokens, st->nr_tokens, sizeof(*st->tokens));
	for (i = 0; ok && i < st->nr_tokens; i++) {
		c->tokens[i].claims->refs++;
		c->nr_tokens++;
	}
	if (ok)
		return c;
	mgr_state_free(c);
	return NULL;
}

void mgr_state_settle(struct mgr_state *st)
{
	u32 i, keep = 0;

	st->set.dirty = false;
	for (i = 0; i < st->nr_nodes; i++) {
		st->nodes[i].dirty = false;
		if (!st->nodes[i].gone)
			st->nodes[keep++] = st->nodes[i];
	}
	st->nr_nodes = keep;
	for (i = 0, keep = 0; i < st->nr_targets; i++) {
		st->targets[i].dirty = false;
		if (!st->targets[i].gone)
			st->targets[keep++] = st->targets[i];
	}
	st->nr_targets = keep;
	for (i = 0, keep = 0; i < st->nr_jobs; i++) {
		st->jobs[i].dirty = false;
		if (!st->jobs[i].gone)
			st->jobs[keep++] = st->jobs[i];
	}
	st->nr_jobs = keep;
	for (i = 0; i < st->nr_chains; i++)
		st->chains[i].dirty = false;
	for (i = 0; i < st->nr_tables; i++)
		st->tables[i].dirty = false;
	for (i = 0, keep = 0; i < st->nr_fs; i++) {
		st->fs[i].dirty = false;
		if (!st->fs[i].gone)
			st->fs[keep++] = st->fs[i];
	}
	st->nr_fs = keep;
	for (i = 0, keep = 0; i < st->nr_tokens; i++) {
		st->tokens[i].dirty = false;
		if (st->tokens[i].gone)
			mgr_token_drop(&st->tokens[i]);
		else
			st->tokens[keep++] = st->tokens[i];
	}
	st->nr_tokens = keep;
	/* Dirty ones are the newest. */
	for (i = st->nr_events; i-- > 0 && st->events[i].dirty;)
		st->events[i].dirty = false;
}

/* ---- finding ---------------------------------------------------------- */

/* The arrays are sorted by id. */
#define MGR_FIND_ID(array, nr, want)					\
	do {								\
		u32 lo_ = 0, hi_ = (nr);				\
									\
		while (lo_ < hi_) {					\
			u32 mid_ = lo_ + (hi_ - lo_) / 2;		\
									\
			if ((array)[mid_].id < (want))			\
				lo_ = mid_ + 1;				\
			else						\
				hi_ = mid_;				\
		}							\
		return lo_ < (nr) && (array)[lo_].id == (want) ?	\
			&(array)[lo_] : NULL;				\
	} while (0)

struct mgr_node *mgr_node_find(struct mgr_state *st, u32 id)
{
	MGR_FIND_ID(st->nodes, st->nr_nodes, id);
}

struct mgr_target *mgr_target_find(struct mgr_state *st, u32 id)
{
	MGR_FIND_ID(st->targets, st->nr_targets, id);
}

struct mgr_chain *mgr_chain_find(struct mgr_state *st, u32 id)
{
	MGR_FIND_ID(st->chains, st->nr_chains, id);
}

struct mgr_fs *mgr_fs_find(struct mgr_state *st, u32 id)
{
	MGR_FIND_ID(st->fs, st->nr_fs, id);
}

struct mgr_node *mgr_node_find_name(struct mgr_state *st, u8 role, const char *name)
{
	u32 i;

	for (i = 0; i < st->nr_nodes; i++)
		if (!st->nodes[i].gone && st->nodes[i].role == role &&
		    !strcmp(st->nodes[i].name, name))
			return &st->nodes[i];
	return NULL;
}

struct mgr_table *mgr_table_find(struct mgr_state *st, u32 id, u32 version)
{
	u32 i;

	for (i = 0; i < st->nr_tables; i++)
		if (st->tables[i].id == id && st->tables[i].version == version)
			return &st->tables[i];
	return NULL;
}

struct mgr_fs *mgr_fs_find_name(struct mgr_state *st, const char *name)
{
	u32 i;

	for (i = 0; i < st->nr_fs; i++)
		if (!st->fs[i].gone && !strcmp(st->fs[i].name, name))
			return &st->fs[i];
	return NULL;
}

/* ---- adding ----------------------------------------------------------- */

/* All records begin with their id. */
static int mgr_id_cmp(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

#define MGR_PUT(find, array, count, wanted)					\
	do {									\
		if (!find(st, wanted)) {					\
			u32 *p_ = mgr_grow(&st->array, &st->count, sizeof(*st->array)); \
										\
			if (!p_)						\
				return NULL;					\
			*p_ = wanted;						\
			if (st->count > 1 && st->array[st->count - 2].id > (wanted)) \
				qsort(st->array, st->count, sizeof(*st->array), mgr_id_cmp); \
		}								\
		find(st, wanted)->dirty = true;					\
		return find(st, wanted);					\
	} while (0)

struct mgr_node *mgr_node_put(struct mgr_state *st, u32 id)
{
	MGR_PUT(mgr_node_find, nodes, nr_nodes, id);
}

struct mgr_target *mgr_target_add(struct mgr_state *st, u32 id)
{
	MGR_PUT(mgr_target_find, targets, nr_targets, id);
}

struct mgr_chain *mgr_chain_put(struct mgr_state *st, u32 id)
{
	MGR_PUT(mgr_chain_find, chains, nr_chains, id);
}

struct mgr_fs *mgr_fs_put(struct mgr_state *st, u32 id)
{
	MGR_PUT(mgr_fs_find, fs, nr_fs, id);
}

struct mgr_node *mgr_node_add(struct mgr_state *st, u8 role, const char *name)
{
	struct mgr_node *n = mgr_node_put(st, st->set.next_node);

	if (!n)
		return NULL;
	st->set.next_node++;
	st->set.dirty = true;
	n->role = role;
	snprintf(n->name, sizeof(n->name), "%s", name);
	return n;
}

struct mgr_chain *mgr_chain_add(struct mgr_state *st)
{
	u32 id = st->nr_chains ? st->chains[st->nr_chains - 1].id + 1 : 1;
	struct mgr_chain *c = mgr_chain_put(st, id);

	if (c)
		c->version = 1;
	return c;
}

struct mgr_fs *mgr_fs_add(struct mgr_state *st, const char *name)
{
	struct mgr_fs *fs = mgr_fs_put(st, st->set.next_fs);

	if (!fs)
		return NULL;
	st->set.next_fs++;
	st->set.dirty = true;
	snprintf(fs->name, sizeof(fs->name), "%s", name);
	return fs;
}

static int mgr_table_cmp(const void *a, const void *b)
{
	const struct mgr_table *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->version < y->version ? -1 : x->version > y->version;
}

struct mgr_table *mgr_table_add(struct mgr_state *st, u32 id, u32 version, u32 nr)
{
	u32 *chains = calloc(nr + 1, sizeof(*chains));
	struct mgr_table *t = chains ? mgr_grow(&st->tables, &st->nr_tables, sizeof(*t)) : NULL;

	if (!t) {
		free(chains);
		return NULL;
	}
	t->id = id;
	t->version = version;
	t->nr = nr;
	t->dirty = true;
	t->chains = chains;
	qsort(st->tables, st->nr_tables, sizeof(*t), mgr_table_cmp);
	return mgr_table_find(st, id, version);
}

/* ---- what is not replicated -------------------------------------------- */

static void mgr_node_live_copy(struct mgr_node *n, const struct mgr_node *from)
{
	n->incarnation = from->incarnation;
	n->starting = from->starting;
	n->displaced = from->displaced;
	n->heard_ns = from->heard_ns;
	n->silent_ns = from->silent_ns;
	n->known_ns = from->known_ns;
	n->down_ns = from->down_ns;
	n->sent_ns = from->sent_ns;
	n->skew_ns = from->skew_ns;
	n->replica = from->replica;
}

void mgr_state_keep_live(struct mgr_state *to, struct mgr_state *from)
{
	u32 i;

	for (i = 0; i < to->nr_nodes; i++) {
		const struct mgr_node *old = mgr_node_find(from, to->nodes[i].id);

		if (old)
			mgr_node_live_copy(&to->nodes[i], old);
	}
	for (i = 0; i < to->nr_targets; i++) {
		const struct mgr_target *old = mgr_target_find(from, to->targets[i].id);

		if (old)
			to->targets[i].live = old->live;
	}
}

void mgr_state_forget_live(struct mgr_state *st, u64 now_ns)
{
	const struct mgr_node nobody = { .heard_ns = now_ns, .silent_ns = now_ns };
	u32 i;

	for (i = 0; i < st->nr_nodes; i++)
		mgr_node_live_copy(&st->nodes[i], &nobody);
	for (i = 0; i < st->nr_targets; i++)
		st->targets[i].live = (struct mgr_target_live){ .used = st->targets[i].used };
}

/* ---- history ---------------------------------------------------------- */

struct mgr_event *mgr_event_put(struct mgr_state *st, const struct mgr_event *ev)
{
	struct mgr_event *e;

	if (st->nr_events == MGR_EVENTS_MAX) {
		memmove(st->events, st->events + 1, (st->nr_events - 1) * sizeof(*e));
		e = &st->events[st->nr_events - 1];
	} else {
		e = mgr_grow(&st->events, &st->nr_events, sizeof(*e));
		if (!e)
			return NULL;
	}
	*e = *ev;
	e->dirty = true;
	st->next_event = e->seq + 1;
	return e;
}

void mgr_event_add(struct mgr_state *st, const struct mgr_event *ev)
{
	struct mgr_event e = *ev;

	/* Short of memory the history has a gap; what it tells of has none. */
	e.seq = st->next_event;
	mgr_event_put(st, &e);
}

/* ---- jobs --------------------------------------------------------------- */

struct mgr_job *mgr_job_find(struct mgr_state *st, u32 id)
{
	u32 i;

	for (i = 0; i < st->nr_jobs; i++)
		if (st->jobs[i].id == id)
			return &st->jobs[i];
	return NULL;
}

struct mgr_job *mgr_job_put(struct mgr_state *st, u32 id)
{
	struct mgr_job *j = mgr_job_find(st, id), *all;

	if (!j) {
		all = realloc(st->jobs, (st->nr_jobs + 1) * sizeof(*all));
		if (!all)
			return NULL;
		st->jobs = all;
		j = &all[st->nr_jobs++];
		memset(j, 0, sizeof(*j));
		j->id = id;
		j->state = MGR_JOB_RUNNING;
		j->parallel = 1;
	}
	j->dirty = true;
	return j;
}

struct mgr_job *mgr_job_add(struct mgr_state *st)
{
	u32 i, ended = 0, id = st->next_job;

	for (i = st->nr_jobs; i-- > 0;)
		if (mgr_job_over(&st->jobs[i]) && ++ended >= MGR_JOBS_KEPT)
			st->jobs[i].gone = true;
	st->next_job = (id ? id : 1) + 1;
	return mgr_job_put(st, st->next_job - 1);
}

bool mgr_job_sane(const struct mgr_job *j)
{
	return j->id && j->kind && j->kind < MGR_JOB_KINDS && j->state &&
	       j->state < MGR_JOB_STATES && j->nr_moves <= MGR_JOB_MOVES && j->parallel &&
	       memchr(j->why, 0, sizeof(j->why));
}

/* ---- tokens ----------------------------------------------------------- */

struct mgr_token *mgr_token_find(struct mgr_state *st, u64 id)
{
	u32 lo = 0, hi = st->nr_tokens;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (st->tokens[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < st->nr_tokens && st->tokens[lo].id == id ? &st->tokens[lo] : NULL;
}

/*
 * The moment never goes back, as our clock may. What was issued after it, by a clock that is ahead,
 * is kept and revoked by its id: were the moment moved behind it, new tokens would not be valid.
 */
void mgr_tokens_revoke(struct mgr_state *st, u64 now_s)
{
	u32 i;

	/* Issued within this very second counts as before. */
	if (st->set.tokens_from <= now_s)
		st->set.tokens_from = now_s + 1;
	st->set.dirty = true;
	for (i = 0; i < st->nr_tokens; i++) {
		struct mgr_token *t = &st->tokens[i];

		t->gone = le64_to_cpu(mgr_token_claims(t)->issued) < st->set.tokens_from;
		t->revoked = true;
		t->dirty = true;
	}
}

/**
 * mgr_token_put() - the record of a token, dirty; made if there is none
 * @st: the state
 * @claims: checked
 *
 * Return: the record, or NULL when memory is short.
 */
struct mgr_token *mgr_token_put(struct mgr_state *st, const struct flint_token *claims)
{
	struct mgr_token *t = mgr_token_find(st, le64_to_cpu(claims->id)), *all;
	u32 len = flint_token_len(claims), at = st->nr_tokens;

	if (t) {
		t->dirty = true;
		return t;
	}
	all = realloc(st->tokens, (st->nr_tokens + 1) * sizeof(*all));
	if (!all)
		return NULL;
	st->tokens = all;
	while (at && all[at - 1].id > le64_to_cpu(claims->id))
		at--;
	memmove(&all[at + 1], &all[at], (st->nr_tokens - at) * sizeof(*all));
	t = &all[at];
	memset(t, 0, sizeof(*t));
	t->id = le64_to_cpu(claims->id);
	t->dirty = true;
	t->claims = malloc(sizeof(*t->claims) + len);
	if (!t->claims) {
		memmove(&all[at], &all[at + 1], (st->nr_tokens - at) * sizeof(*all));
		return NULL;
	}
	t->claims->refs = 1;
	memcpy(t->claims->bytes, claims, len);
	st->nr_tokens++;
	return t;
}

void mgr_token_drop(struct mgr_token *t)
{
	if (t->claims && !--t->claims->refs)
		free(t->claims);
	t->claims = NULL;
}

const struct flint_token *mgr_token_claims(const struct mgr_token *t)
{
	return (const struct flint_token *)t->claims->bytes;
}

/* ---- checking --------------------------------------------------------- */

static int mgr_bad(char *why, size_t whylen, const char *what, u32 id)
{
	snprintf(why, whylen, "%s %u makes no sense", what, id);
	return -EPROTO;
}

static bool mgr_label_fits(const char *name)
{
	return name[0] && memchr(name, 0, FLINT_LABEL_LEN);
}

/**
 * mgr_state_check() - can this be a cluster?
 * @st: the model
 * @why: one sentence when it cannot
 *
 * What passes can be stored, and makes a map that clients accept.
 *
 * Return: 0 or -EPROTO.
 */
int mgr_state_check(const struct mgr_state *cst, char *why, size_t whylen)
{
	struct mgr_state *st = (struct mgr_state *)cst;	/* the finders change nothing */
	u32 i, j;

	if (!st->epoch || !st->set.lease_ms || !memchr(st->set.cluster_name, 0, FLINT_LABEL_LEN))
		return mgr_bad(why, whylen, "the settings of epoch", (u32)st->epoch);
	for (i = 0; i < st->nr_nodes; i++)
		if (!st->nodes[i].id || st->nodes[i].id >= st->set.next_node ||
		    !mgr_label_fits(st->nodes[i].name) ||
		    (i && st->nodes[i].id <= st->nodes[i - 1].id))
			return mgr_bad(why, whylen, "node", st->nodes[i].id);
	for (i = 0; i < st->nr_targets; i++) {
		const struct mgr_target *t = &st->targets[i];

		if (!t->id || !mgr_node_find(st, t->node) || (t->gone && t->chain) ||
		    (t->chain && !mgr_chain_find(st, t->chain)))
			return mgr_bad(why, whylen, "target", t->id);
	}
	for (i = 0; i < st->nr_chains; i++) {
		const struct mgr_chain *c = &st->chains[i];

		if (!c->id || !c->nr || c->nr > FLINT_CHAIN_MAX)
			return mgr_bad(why, whylen, "chain", c->id);
		for (j = 0; j < c->nr; j++)
			if (!mgr_target_find(st, c->targets[j]))
				return mgr_bad(why, whylen, "chain", c->id);
	}
	for (i = 0; i < st->nr_tables; i++) {
		const struct mgr_table *t = &st->tables[i];

		if (!t->id || !t->version || !t->nr)
			return mgr_bad(why, whylen, "chain table", t->id);
		for (j = 0; j < t->nr; j++)
			if (!mgr_chain_find(st, t->chains[j]))
				return mgr_bad(why, whylen, "chain table", t->id);
	}
	for (i = 0; i < st->nr_fs; i++) {
		const struct mgr_fs *fs = &st->fs[i];
		const struct mgr_node *meta = mgr_node_find(st, fs->meta_node);

		if (!fs->id || fs->id >= st->set.next_fs || !mgr_label_fits(fs->name) ||
		    (!fs->gone && (!meta || meta->gone)))
			return mgr_bad(why, whylen, "file system", fs->id);
	}
	for (i = 0; i < st->nr_jobs; i++)
		if (!mgr_job_sane(&st->jobs[i]))
			return mgr_bad(why, whylen, "job", st->jobs[i].id);
	for (i = 0; i < st->nr_tokens; i++)
		if (!memchr(st->tokens[i].note, 0, sizeof(st->tokens[i].note)) ||
		    (i && st->tokens[i].id <= st->tokens[i - 1].id))
			return mgr_bad(why, whylen, "token", i);
	return 0;
}
