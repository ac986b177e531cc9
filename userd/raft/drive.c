// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Driving the core: events in, updates out.
 *
 * What an update wants durable becomes one job of raft.db's writer. When jobs
 * are done, the core is told once for all that finished in this turn, and
 * messages that waited for them leave. Committed entries are applied by a task,
 * in slices of time, so that no request waits for a long log.
 *
 * The core is stepped from events of the loop only, never from inside an
 * update that is being done: what that causes is posted.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "node_int.h"
#include "../base/log.h"

#define RETAIN_BYTES	(512u << 20)	/* log kept for a member that is alive and behind */
#define APPLY_NS	2000000		/* of one slice */
#define APPLY_RUN	64		/* entries made visible at once */
#define ALIVE_MS	10000

/* A message that waits for a seq. */
struct held {
	struct raft_msg m;
	struct held *next;
};

/* A transaction on its way; root and entries are in it. */
struct drive_job {
	struct flint_raft_job j;
	struct flint_raft *r;
	u64 seq;
	bool install;
	struct flint_raft_root root;
	struct flint_raft_ent *ents[];
};

void flint_raft_fatal(struct flint_raft *r, const char *fmt, ...)
{
	struct raft_event ev = { .type = RAFT_EV_FAILED, .now = flint_now_ns() };
	struct raft_update u;
	char why[1024];
	va_list ap;

	if (r->dead)
		return;
	r->dead = true;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	raft_step(r->core, &ev, &u);
	flint_raft_props_fail(r, -ECANCELED);
	r->ops->fatal(r->arg, why);
}

/* ---- time -------------------------------------------------------------------- */

static void arm(struct flint_raft *r, u64 deadline)
{
	u64 now = flint_now_ns(), ms;

	if (deadline == UINT64_MAX || r->stopping || r->dead)
		return;
	ms = deadline > now ? (deadline - now + 999999) / 1000000 : 0;
	/* A timer that is due earlier asks the core again. */
	if (!r->timer.due_ns || r->timer.due_ns > now + ms * 1000000)
		flint_timer_set(r->loop, &r->timer, ms);
}

/* ---- messages that wait ---------------------------------------------------------- */

static void send_or_hold(struct flint_raft *r, const struct raft_msg *m)
{
	struct held *h;

	if (m->after <= r->persisted) {
		flint_raft_send(r, m);
		return;
	}
	h = malloc(sizeof(*h));
	if (!h)
		return;		/* as if it were lost on the way */
	h->m = *m;
	h->next = NULL;
	*r->held_tail = h;
	r->held_tail = &h->next;
}

static void send_held(struct flint_raft *r)
{
	struct held **p = &r->held, *h;

	while ((h = *p)) {
		if (h->m.after > r->persisted) {
			p = &h->next;
			continue;
		}
		*p = h->next;
		flint_raft_send(r, &h->m);
		free(h);
	}
	r->held_tail = p;
}

/* ---- durability ---------------------------------------------------------------------- */

/* All that finished in this turn of the loop, at once. */
static void on_persisted(struct flint_task *t)
{
	struct flint_raft *r = (struct flint_raft *)((char *)t -
						     offsetof(struct flint_raft, persist_task));
	struct raft_event ev = { .type = RAFT_EV_PERSISTED, .seq = r->persisted };

	r->persist_posted = false;
	if (r->dead || r->stopping || r->told >= r->persisted)
		return;
	r->told = r->persisted;
	flint_raft_drive(r, &ev);
	send_held(r);
}

static void persisted(struct flint_raft *r, u64 seq)
{
	if (seq > r->persisted)
		r->persisted = seq;
	if (r->blocked || r->persist_posted)
		return;
	r->persist_posted = true;
	r->persist_task.fn = on_persisted;
	flint_loop_post(r->loop, &r->persist_task);
}

static void job_done(struct flint_raft_job *j, int err)
{
	struct drive_job *d = (struct drive_job *)j;
	struct flint_raft *r = d->r;
	u32 i;

	for (i = 0; i < j->nr; i++)
		flint_raft_ent_put(j->ents[i]);
	if (!err && d->seq) {
		/* While a snapshot is being loaded nothing counts as durable. */
		if (r->blocked)
			r->submitted = d->seq > r->submitted ? d->seq : r->submitted;
		else
			persisted(r, d->seq);
	}
	/* Only now: a crash in between must find that the snapshot is to be loaded. */
	if (!err && d->install && !r->stopping)
		flint_raft_snap_load(r);
	free(d);
}

void flint_raft_unblock(struct flint_raft *r, u64 index, u64 term)
{
	r->root.loading = false;
	flint_raft_put_root(r);
	r->applied = index;
	r->applied_term = term;
	r->durable = index;
	r->blocked = false;
	r->snapshots_loaded++;
	persisted(r, r->submitted);
	flint_raft_poke(r);
}

static struct drive_job *job_new(struct flint_raft *r, u32 nr)
{
	struct drive_job *d = malloc(sizeof(*d) + nr * sizeof(d->ents[0]));

	if (!d) {
		flint_raft_fatal(r, "out of memory: this replica stops, start it again");
		return NULL;
	}
	memset(d, 0, sizeof(*d));
	d->r = r;
	d->j.ents = d->ents;
	d->j.done = job_done;
	return d;
}

void flint_raft_put_root(struct flint_raft *r)
{
	struct drive_job *d = job_new(r, 0);

	if (!d)
		return;
	d->root = r->root;
	d->j.root = &d->root;
	flint_raft_db_write(r->db, &d->j);
}

/* ---- updates ----------------------------------------------------------------------------- */

/* The owner's entry that the core passed through, or a new one for its own. */
static struct flint_raft_ent *appended(struct flint_raft *r, const struct raft_entry *e, u64 index)
{
	u32 i;

	for (i = 0; i < r->nr_in; i++) {
		struct flint_raft_ent *in = r->in[i];

		if (e->data == in->data && (!in->index || in->index == index)) {
			in->index = index;
			in->term = e->term;
			return flint_raft_ent_get(in);
		}
	}
	return flint_raft_ent_new(index, e->term, e->kind, e->data, e->bytes);
}

static void snapshot_root(struct flint_raft *r, const struct raft_update *u)
{
	r->root.base = u->snap_index;
	r->root.base_term = u->snap_term;
	r->root.conf_len = raft_conf_encode(u->snap_conf, r->root.conf);
}

/* The log in memory follows; what only the disk had is counted out. */
static void ents_change(struct flint_raft *r, const struct raft_update *u)
{
	if (u->install) {
		r->root.loading = true;
		if (u->install_keep)
			flint_raft_ents_drop(&r->ents, u->snap_index);
		else
			flint_raft_ents_reset(&r->ents, u->snap_index + 1);
		r->disk_bytes = 0;
	}
	if (u->compact) {
		if (u->snap_index + 1 >= r->ents.first)
			r->disk_bytes = 0;
		flint_raft_ents_drop(&r->ents, u->snap_index);
	}
	if (u->truncate_from)
		flint_raft_ents_truncate(&r->ents, u->truncate_from);
}

/* What is to be durable, as one transaction. False: the replica stops. */
static bool write(struct flint_raft *r, const struct raft_update *u)
{
	struct drive_job *d = job_new(r, u->nr_append);
	u32 i;

	if (!d)
		return false;
	d->seq = u->seq;
	if (u->hard) {
		r->root.term = u->term;
		r->root.vote = u->vote;
	}
	if (u->compact || u->install)
		snapshot_root(r, u);
	ents_change(r, u);
	d->j.reset = u->install && !u->install_keep;
	d->j.truncate = u->truncate_from;
	for (i = 0; i < u->nr_append; i++) {
		struct flint_raft_ent *e = appended(r, &u->append[i], u->append_first + i);

		if (!e || flint_raft_ents_add(&r->ents, e)) {
			flint_raft_ent_put(e);
			free(d);
			flint_raft_fatal(r, "out of memory: this replica stops, start it again");
			return false;
		}
		d->ents[d->j.nr++] = flint_raft_ent_get(e);
	}
	if (u->hard || u->compact || u->install || r->root_dirty) {
		r->root_dirty = false;
		d->root = r->root;
		d->j.root = &d->root;
	}
	if (u->install) {
		d->install = true;
		r->blocked = true;
		r->submitted = r->persisted;
	}
	flint_raft_db_write(r->db, &d->j);
	return true;
}

static void update_run(struct flint_raft *r, const struct raft_update *u)
{
	u32 i;

	if (u->seq && !write(r, u))
		return;
	for (i = 0; i < u->nr_msgs; i++)
		send_or_hold(r, &u->msgs[i]);
	for (i = 0; i < u->nr_reads; i++)
		flint_raft_read_answered(r, &u->reads[i]);
	for (i = 0; i < u->nr_snaps; i++)
		flint_raft_snap_send(r, u->snaps[i].peer, u->snaps[i].index);
	if (u->commit > r->commit) {
		r->commit = u->commit;
		flint_raft_poke(r);
	}
	if (u->removed && !r->root.removed) {
		r->root.removed = true;
		flint_raft_put_root(r);
		flint_warn("this replica was removed from the group of %s: stop it and empty %s before"
			   " it is added anew", r->what, r->dir);
	}
	if (u->conf_changed)
		flint_raft_peers_update(r);
	if (u->transfer_failed)
		flint_raft_change_failed(r, -ETIMEDOUT, "the other replica did not take over in time");
	if (u->role_changed || u->conf_changed || u->removed)
		flint_raft_poke_role(r);
	arm(r, u->deadline);
}

int flint_raft_drive(struct flint_raft *r, struct raft_event *ev)
{
	struct raft_update u;
	int err;

	if (r->dead || r->stopping)
		return -EIO;
	ev->now = flint_now_ns();
	err = raft_step(r->core, ev, &u);
	if (err == -EUCLEAN) {
		flint_raft_fatal(r, "the log of %s in %s/raft.db contradicts its leader's: this replica"
				 " stops; keep a copy of the directory, empty it, and bring the"
				 " replica back with '%s'", r->what, r->dir, r->procedure);
		return err;
	}
	if (err)
		return err;
	update_run(r, &u);
	return 0;
}

int flint_raft_drive_msg(struct flint_raft *r, struct raft_msg *m, struct flint_raft_ent **ents)
{
	struct raft_entry *list = NULL;
	struct raft_event ev = { .type = RAFT_EV_RECV, .msg = m };
	int err = -ENOMEM;
	u32 i;

	if (m->nr)
		list = malloc(m->nr * sizeof(*list));
	if (m->nr && !list)
		goto out;
	for (i = 0; i < m->nr; i++)
		list[i] = (struct raft_entry){ .term = ents[i]->term, .bytes = ents[i]->len,
					       .kind = ents[i]->type, .data = ents[i]->data };
	m->entries = list;
	r->in = ents;
	r->nr_in = m->nr;
	err = flint_raft_drive(r, &ev);
	r->in = NULL;
	r->nr_in = 0;
out:
	for (i = 0; i < m->nr; i++)
		flint_raft_ent_put(ents[i]);
	free(list);
	return err;
}

int flint_raft_drive_submit(struct flint_raft *r, struct flint_raft_ent *e)
{
	struct raft_entry entry = { .bytes = e->len, .kind = RAFT_DATA, .data = e->data };
	struct raft_event ev = { .type = RAFT_EV_SUBMIT, .entries = &entry, .nr = 1 };
	int err;

	r->in = &e;
	r->nr_in = 1;
	err = flint_raft_drive(r, &ev);
	r->in = NULL;
	r->nr_in = 0;
	return err;
}

/* ---- applying --------------------------------------------------------------------------------- */

static struct flint_raft_proposal *prop_of(struct flint_raft *r, const struct flint_raft_ent *e,
					   struct flint_raft_proposal **at)
{
	while (*at && (*at)->index < e->index)
		*at = (*at)->next;
	if (!*at || (*at)->index != e->index || (*at)->term != e->term)
		return NULL;
	(*at)->mine = true;
	return *at;
}

/* Up to APPLY_RUN entries and their proposals. What is not applied is always in memory. */
static void apply_run(struct flint_raft *r)
{
	struct flint_raft_proposal *at = r->props;
	struct flint_raft_ent *e;
	int n;

	for (n = 0; n < APPLY_RUN && r->applied < r->commit && !r->dead; n++) {
		e = flint_raft_ents_at(&r->ents, r->applied + 1);
		if (e->type == RAFT_DATA)
			r->ops->apply(r->arg, e->index, e->term, e->data, e->len,
				      prop_of(r, e, &at));
		r->applied = e->index;
		r->applied_term = e->term;
	}
	if (r->dead)
		return;
	r->ops->applied(r->arg, r->applied, r->applied_term);
	flint_raft_props_done(r, r->applied);
}

/* Bounded memory: what is applied and older than the cache goes. */
static void shrink_cache(struct flint_raft *r)
{
	while (r->ents.bytes > r->keep_bytes && r->ents.first <= r->applied &&
	       r->ents.first <= raft_durable_index(r->core)) {
		struct flint_raft_ent *e = flint_raft_ents_at(&r->ents, r->ents.first);

		r->disk_bytes += e->len;
		flint_raft_ents_drop(&r->ents, r->ents.first);
	}
}

static void on_apply(struct flint_task *t)
{
	struct flint_raft *r = (struct flint_raft *)((char *)t -
						     offsetof(struct flint_raft, apply_task));
	u64 start = flint_now_ns();

	r->apply_posted = false;
	if (r->stopping || r->blocked)
		return;
	while (!r->dead && r->applied < r->commit && flint_now_ns() - start < APPLY_NS)
		apply_run(r);
	if (r->dead)
		return;
	shrink_cache(r);
	if (r->applied < r->commit)
		flint_raft_poke(r);
	if (!r->st.ready)
		flint_raft_role_run(r);
	flint_raft_reads_run(r);
	if (r->change)
		flint_raft_change_run(r);
}

void flint_raft_poke(struct flint_raft *r)
{
	if (r->apply_posted || r->stopping)
		return;
	r->apply_posted = true;
	r->apply_task.fn = on_apply;
	flint_loop_post(r->loop, &r->apply_task);
}

static void on_role(struct flint_task *t)
{
	struct flint_raft *r = (struct flint_raft *)((char *)t -
						     offsetof(struct flint_raft, role_task));

	r->role_posted = false;
	if (!r->stopping)
		flint_raft_role_run(r);
}

void flint_raft_poke_role(struct flint_raft *r)
{
	if (r->role_posted)
		return;
	r->role_posted = true;
	r->role_task.fn = on_role;
	flint_loop_post(r->loop, &r->role_task);
}

/* ---- trimming ------------------------------------------------------------------------------------ */

/* What members that are alive still need of the log, if that is not too much. */
static u64 members_need(struct flint_raft *r, u64 index)
{
	const struct raft_conf *c = raft_conf(r->core);
	u64 now = flint_now_ns();
	struct raft_progress p;
	u32 i;

	if (r->disk_bytes > RETAIN_BYTES)
		return index;
	for (i = 0; i < c->nr; i++)
		if (c->m[i].id != r->root.id && !raft_progress(r->core, c->m[i].id, &p) &&
		    p.contact && now - p.contact < ALIVE_MS * 1000000ull && p.match < index)
			index = p.match;
	return index;
}

/*
 * Never beyond what the owner's state has durably; then for those who are behind:
 * what the cache holds in any case, and more while they are alive.
 */
void flint_raft_trim(struct flint_raft *r)
{
	struct raft_event ev = { .type = RAFT_EV_COMPACT };
	u64 index = r->durable, needs = flint_raft_snap_needs(r);

	if (raft_conf(r->core)->nr > 1) {
		if (index >= r->ents.first)
			index = r->ents.first - 1;
		index = members_need(r, index);
	}
	if (needs < index)
		index = needs;
	if (index > r->commit)
		index = r->commit;
	if (r->blocked || index <= r->root.base)
		return;
	ev.index = index;
	flint_raft_drive(r, &ev);
}

void flint_raft_drive_free(struct flint_raft *r)
{
	struct held *h;

	while ((h = r->held)) {
		r->held = h->next;
		free(h);
	}
}
