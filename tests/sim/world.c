// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The simulated world: events in virtual time, machines, disks, network. It
 * does for each core what raft.h asks of an owner.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "world.h"

#define CHUNK (1 << 20)

struct chunk {
	struct chunk *next;
	u8 data[CHUNK];
};

/* ---- chance, memory, time ------------------------------------------------- */

u64 world_mix(u64 a, u64 b)
{
	u64 z = a * 0x9e3779b97f4a7c15ull ^ (b + 0x632be59bd9b4e019ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

u64 world_random(struct world *w, u64 n)
{
	w->rng += 0x9e3779b97f4a7c15ull;
	return n ? world_mix(w->rng, 0) % n : 0;
}

bool world_chance(struct world *w, u32 per_mille)
{
	return world_random(w, 1000) < per_mille;
}

/* Lives until the run ends. */
void *world_alloc(struct world *w, size_t size)
{
	void *p;

	size = (size + 15) & ~15ul;
	if (!w->chunk || w->chunk_used + size > CHUNK) {
		struct chunk *c = w->chunk ? w->chunk->next : w->chunks;

		if (!c) {
			c = calloc(1, sizeof(*c));
			if (w->chunk)
				w->chunk->next = c;
			else
				w->chunks = c;
		}
		w->chunk = c;
		w->chunk_used = 0;
	}
	p = w->chunk->data + w->chunk_used;
	w->chunk_used += size;
	return p;
}

/* The machine's clock. */
u64 world_local(const struct world *w, const struct machine *n)
{
	return n->offset + (u64)((__int128)w->now * (1000000 + n->drift) / 1000000);
}

static u64 true_time(const struct machine *n, u64 local)
{
	return (u64)((__int128)(local - n->offset) * 1000000 / (1000000 + n->drift)) + 1;
}

struct machine *world_find(struct world *w, u64 id)
{
	u32 i;

	for (i = 0; i < w->nr_machines; i++)
		if (w->m[i].id == id)
			return &w->m[i];
	return NULL;
}

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->failure[0])
		return;
	va_start(ap, fmt);
	vsnprintf(w->failure, sizeof(w->failure), fmt, ap);
	va_end(ap);
	TRACE(w, "VIOLATION: %s", w->failure);
}

/* ---- the heap of events ------------------------------------------------------ */

static bool before(const struct item *a, const struct item *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void heap_put(struct world *w, struct item it)
{
	u32 i = w->heap_nr++, up;

	if (w->heap_nr > w->heap_cap) {
		w->heap_cap = w->heap_cap * 2 + 256;
		w->heap = realloc(w->heap, w->heap_cap * sizeof(it));
	}
	for (; i; i = up) {
		up = (i - 1) / 2;
		if (!before(&it, &w->heap[up]))
			break;
		w->heap[i] = w->heap[up];
	}
	w->heap[i] = it;
}

static struct item heap_get(struct world *w)
{
	struct item top = w->heap[0], last = w->heap[--w->heap_nr];
	u32 i = 0, down;

	for (;; i = down) {
		down = 2 * i + 1;
		if (down >= w->heap_nr)
			break;
		if (down + 1 < w->heap_nr && before(&w->heap[down + 1], &w->heap[down]))
			down++;
		if (!before(&w->heap[down], &last))
			break;
		w->heap[i] = w->heap[down];
	}
	w->heap[i] = last;
	return top;
}

void world_push(struct world *w, u64 after, u8 what, u8 node, void *ptr)
{
	struct item it = { w->now + after, w->order++, what, node, w->m[node].incarnation, ptr };

	heap_put(w, it);
}

/* ---- logs ------------------------------------------------------------------------ */

struct ent *vec_at(const struct vec *v, u64 index)
{
	return index > v->base && index <= v->base + v->nr ? &v->e[index - v->base - 1] : NULL;
}

static void vec_add(struct vec *v, const struct ent *e)
{
	if (v->nr == v->cap) {
		v->cap = v->cap * 2 + 64;
		v->e = realloc(v->e, v->cap * sizeof(*e));
	}
	v->e[v->nr++] = *e;
}

static void vec_cut(struct vec *v, u64 from)
{
	if (from <= v->base + v->nr)
		v->nr = from - v->base - 1;
}

static void vec_trim(struct vec *v, u64 index)
{
	u64 n = index - v->base;

	if (n > v->nr)
		n = v->nr;
	v->nr -= n;
	memmove(v->e, v->e + n, v->nr * sizeof(*v->e));
	v->base = index;
}

static void vec_copy(struct vec *to, const struct vec *from)
{
	u64 i;

	to->base = from->base;
	to->nr = 0;
	for (i = 0; i < from->nr; i++)
		vec_add(to, &from->e[i]);
}

static const struct raft_conf *keep_conf(struct world *w, const struct raft_conf *c)
{
	struct raft_conf *k = world_alloc(w, sizeof(*k));

	*k = *c;
	return k;
}

/* ---- disks ------------------------------------------------------------------------- */

static void job_apply(struct disk *d, const struct job *j)
{
	u32 i;

	if (j->hard) {
		d->term = j->term;
		d->vote = j->vote;
	}
	if (j->install) {
		if (j->keep)
			vec_trim(&d->log, j->snap_index);
		else
			d->log.nr = 0;
		d->log.base = j->snap_index;
		d->state = j->state;
	}
	if (j->truncate_from)
		vec_cut(&d->log, j->truncate_from);
	for (i = 0; i < j->nr; i++)
		vec_add(&d->log, &j->e[i]);
	if (j->compact)
		vec_trim(&d->log, j->snap_index);
	if (j->install || j->compact) {
		d->snap_index = j->snap_index;
		d->snap_term = j->snap_term;
		d->snap_conf = j->snap_conf;
	}
	d->seq = j->seq;
}

static void disk_begin(struct world *w, struct machine *n)
{
	u64 delay = 1 + world_random(w, n->disk_delay * 2);
	struct job *j;

	if (n->batch || !n->jobs)
		return;
	for (j = n->jobs; j->next; j = j->next)
		;
	n->batch = j->seq;
	if (n->disk_slow && world_chance(w, 300))
		delay += world_random(w, n->disk_slow);
	world_push(w, delay, EV_DISK, n - w->m, NULL);
}

static void disk_write(struct world *w, struct machine *n, const struct raft_update *u)
{
	struct job *j = world_alloc(w, sizeof(*j) + u->nr_append * sizeof(j->e[0]));
	u32 i;

	memset(j, 0, sizeof(*j));
	j->seq = u->seq;
	j->hard = u->hard;
	j->term = u->term;
	j->vote = u->vote;
	j->install = u->install;
	j->keep = u->install_keep;
	j->compact = u->compact;
	j->truncate_from = u->truncate_from;
	j->first = u->append_first;
	j->nr = u->nr_append;
	if (u->install || u->compact) {
		j->snap_index = u->snap_index;
		j->snap_term = u->snap_term;
		j->snap_conf = keep_conf(w, u->snap_conf);
		j->state = n->state;
	}
	for (i = 0; i < j->nr; i++)
		j->e[i] = *vec_at(&n->log, j->first + i);
	*n->jobs_tail = j;
	n->jobs_tail = &j->next;
	disk_begin(w, n);
}

/* ---- network ------------------------------------------------------------------------- */

static void mail_put(struct mail *m)
{
	if (!--m->refs)
		free(m);
}

static u64 mail_delay(struct world *w, const struct raft_msg *m)
{
	/* The wish to hand over: whether it comes late matters most. */
	if (m->type == RAFT_MSG_TIMEOUT_NOW && w->loss && world_chance(w, 500))
		return world_random(w, 20 * SCALE);
	if (world_chance(w, w->slow_mail))
		return world_random(w, 15 * SCALE);
	return 20 + world_random(w, w->latency);
}

/* It leaves the machine now: AppendEntries take their entries from the log as it is. */
static void mail_send(struct world *w, struct machine *n, struct mail *m)
{
	struct machine *to = world_find(w, m->m.to);
	u32 i;

	if (m->m.type == RAFT_MSG_APPEND) {
		if (raft_role(n->raft) != RAFT_LEADER || raft_term(n->raft) != m->m.term ||
		    (m->m.nr && !vec_at(&n->log, m->m.index + 1)))
			goto lost;
		for (i = 0; i < m->m.nr; i++) {
			const struct ent *e = vec_at(&n->log, m->m.index + 1 + i);

			m->re[i] = (struct raft_entry){ e->term, e->bytes, e->kind,
							(void *)(uintptr_t)e->val };
			if (e->kind == RAFT_CONF)
				m->re[i].data = ((struct blob *)(uintptr_t)e->val)->data;
		}
		m->m.entries = m->re;
	}
	check_send(w, n, &m->m);
	w->st.messages++;
	if (!to || w->cut[n - w->m][to - w->m] || world_chance(w, w->loss))
		goto lost;
	if (world_chance(w, w->dup)) {
		m->refs++;
		world_push(w, mail_delay(w, &m->m), EV_MAIL, to - w->m, m);
	}
	world_push(w, mail_delay(w, &m->m), EV_MAIL, to - w->m, m);
	return;
lost:
	mail_put(m);
}

static void mail_out(struct world *w, struct machine *n, const struct raft_msg *msg)
{
	struct mail *m = malloc(sizeof(*m) + msg->nr * sizeof(m->re[0]));

	m->next = NULL;
	m->m = *msg;
	m->refs = 1;
	if (msg->after <= n->disk.seq) {
		mail_send(w, n, m);
		return;
	}
	*n->held_tail = m;
	n->held_tail = &m->next;
}

static void mail_release(struct world *w, struct machine *n)
{
	struct mail *m = n->held, *next;

	n->held = NULL;
	n->held_tail = &n->held;
	for (; m; m = next) {
		next = m->next;
		m->next = NULL;
		if (m->m.after <= n->disk.seq) {
			mail_send(w, n, m);
		} else {
			*n->held_tail = m;
			n->held_tail = &m->next;
		}
	}
}

static void mail_arrive(struct world *w, struct machine *n, struct mail *m)
{
	struct raft_event ev = { .type = RAFT_EV_RECV, .msg = &m->m };
	struct machine *from = world_find(w, m->m.from);
	int rc;

	if (from && w->cut[from - w->m][n - w->m] && world_chance(w, 500)) {
		mail_put(m);
		return;
	}
	if (n->up && n->id == m->m.to) {
		rc = world_step(w, n, &ev);
		if (rc && rc != -EIO)
			world_fail(w, "%llu refuses a message of type %u from %llu: %s",
				   (unsigned long long)n->id, m->m.type,
				   (unsigned long long)m->m.from, strerror(-rc));
	}
	mail_put(m);
}

/* ---- snapshots ----------------------------------------------------------------------- */

static void ship_snapshot(struct world *w, struct machine *n, const struct raft_snap_send *s)
{
	struct shipment *p = world_alloc(w, sizeof(*p));
	struct machine *to = world_find(w, s->peer);

	memset(p, 0, sizeof(*p));
	p->from_id = n->id;
	p->state = n->state;
	if (!to)
		return;
	if (n->state.index < s->index) {
		world_fail(w, "%llu is to send a snapshot of %llu to %llu, which cannot be",
			   (unsigned long long)n->id, (unsigned long long)s->index,
			   (unsigned long long)s->peer);
		return;
	}
	p->to = to - w->m;
	p->state.conf = keep_conf(w, raft_conf_at(n->raft, n->state.index));
	p->state.ref = w->ops && w->ops->save ? w->ops->save(w, n) : 0;
	world_push(w, 500 + world_random(w, 5 * SCALE), EV_SNAP, n - w->m, p);
	w->st.snapshots++;
}

static void snapshot_arrives(struct world *w, struct machine *n, struct shipment *p)
{
	struct machine *to = &w->m[p->to];
	struct raft_event ev = { .type = RAFT_EV_SNAP_INSTALL, .index = p->state.index,
				 .term = p->state.term, .conf = p->state.conf, .peer = p->from_id };

	if (to->up && !w->cut[n - w->m][p->to] && world_chance(w, 850)) {
		p->arrived = true;
		to->incoming = &p->state;
		if (world_step(w, to, &ev) == 1)
			TRACE(w, "%llu installs a snapshot of %llu", (unsigned long long)to->id,
			      (unsigned long long)p->state.index);
	}
	world_push(w, 20 + world_random(w, SCALE), EV_SNAP_DONE, n - w->m, p);
}

static void snapshot_done(struct world *w, struct machine *n, struct shipment *p)
{
	struct raft_event ev = { .type = RAFT_EV_SNAP_SENT, .peer = w->m[p->to].id,
				 .index = p->state.index, .ok = p->arrived };

	if (n->up && n->id == p->from_id)
		world_step(w, n, &ev);
}

/* What is applied becomes durable; the log may be trimmed. */
static void flush(struct world *w, struct machine *n)
{
	struct raft_event ev = { .type = RAFT_EV_COMPACT };
	u64 tail = world_random(w, 30);

	world_push(w, SCALE + world_random(w, 40 * SCALE), EV_FLUSH, n - w->m, NULL);
	if (!n->up || n->state.index > raft_commit(n->raft))
		return;
	/* An installed snapshot becomes durable by its own job, not before. */
	if (n->disk.log.base < n->log.base || n->state.index <= n->disk.state.index)
		return;
	n->disk.state = n->state;
	n->disk.state.ref = w->ops && w->ops->save ? w->ops->save(w, n) : 0;
	if (n->state.index <= tail)
		return;
	ev.index = n->state.index - tail;
	if (world_step(w, n, &ev))
		world_fail(w, "compaction refused");
}

/* ---- steps ---------------------------------------------------------------------------- */

static void log_append(struct world *w, struct machine *n, const struct raft_entry *re)
{
	struct ent e = { re->term, (uintptr_t)re->data, re->bytes, re->kind };
	struct blob *b;

	if (re->kind == RAFT_CONF) {
		b = world_alloc(w, sizeof(*b) + re->bytes);
		b->len = re->bytes;
		memcpy(b->data, re->data, re->bytes);
		e.val = (uintptr_t)b;
	} else if (re->kind == RAFT_NOOP) {
		e.val = 0;
	}
	vec_add(&n->log, &e);
	check_append(w, n, n->log.base + n->log.nr);
}

static void apply(struct world *w, struct machine *n, u64 commit)
{
	while (n->state.index < commit) {
		const struct ent *e = vec_at(&n->log, n->state.index + 1);

		if (!e) {
			world_fail(w, "%llu has no entry %llu to apply", (unsigned long long)n->id,
				   (unsigned long long)n->state.index + 1);
			return;
		}
		n->state.index++;
		n->state.term = e->term;
		n->state.hash = world_mix(n->state.hash, check_value(e));
		check_apply(w, n, n->state.index, e, n->state.hash);
		if (w->ops && w->ops->apply && e->kind == RAFT_DATA)
			w->ops->apply(w, n, n->state.index, e->term, e->val);
	}
	people_applied(w, n);
}

static void set_timer(struct world *w, struct machine *n)
{
	u64 at;

	if (n->deadline == RAFT_NEVER)
		return;
	at = true_time(n, n->deadline);
	if (at <= w->now)
		at = w->now + 1;
	if (n->timer && n->timer <= at)
		return;
	n->timer = at;
	world_push(w, at - w->now, EV_TIMER, n - w->m, NULL);
}

static void do_update(struct world *w, struct machine *n, const struct raft_update *u)
{
	u32 i;

	if (u->install) {
		if (u->install_keep)
			vec_trim(&n->log, u->snap_index);
		else
			n->log.nr = 0;
		n->log.base = u->snap_index;
		n->state = *n->incoming;
		if (w->ops && w->ops->load)
			w->ops->load(w, n, n->state.ref);
	}
	if (u->truncate_from) {
		w->st.truncations++;
		vec_cut(&n->log, u->truncate_from);
	}
	for (i = 0; i < u->nr_append; i++)
		log_append(w, n, &u->append[i]);
	if (u->compact)
		vec_trim(&n->log, u->snap_index);
	if (u->seq)
		disk_write(w, n, u);
	check_step(w, n, u);
	if (u->role_changed && raft_role(n->raft) == RAFT_LEADER)
		people_elected(w, n);
	for (i = 0; i < u->nr_msgs; i++)
		mail_out(w, n, &u->msgs[i]);
	for (i = 0; i < u->nr_snaps; i++)
		ship_snapshot(w, n, &u->snaps[i]);
	for (i = 0; i < u->nr_reads; i++)
		people_read_ready(w, n, &u->reads[i]);
	apply(w, n, u->commit);
	n->deadline = u->deadline;
	set_timer(w, n);
}

/* Return: as raft_step(); 1: a snapshot is installed. */
int world_step(struct world *w, struct machine *n, struct raft_event *ev)
{
	struct raft_update u;
	int rc;

	ev->now = world_local(w, n);
	rc = raft_step(n->raft, ev, &u);
	w->st.steps++;
	if (rc)
		return rc;
	if (w->trace && u.role_changed)
		TRACE(w, "%llu: role %u term %llu leader %llu last %llu commit %llu",
		      (unsigned long long)n->id, raft_role(n->raft),
		      (unsigned long long)raft_term(n->raft),
		      (unsigned long long)raft_leader(n->raft),
		      (unsigned long long)raft_last_index(n->raft), (unsigned long long)u.commit);
	do_update(w, n, &u);
	return u.install;
}

/* ---- life and death ------------------------------------------------------------------- */

static void forget_process(struct world *w, struct machine *n)
{
	struct mail *m, *next;

	for (m = n->held; m; m = next) {
		next = m->next;
		mail_put(m);
	}
	n->held = NULL;
	n->held_tail = &n->held;
	n->jobs = NULL;
	n->jobs_tail = &n->jobs;
	n->nr_reads = 0;
	n->batch = n->timer = n->stalled_until = 0;
	raft_free(n->raft);
	n->raft = NULL;
	n->up = false;
	n->incarnation++;
}

/* What was being written is lost, or a prefix of it is not. */
void world_crash(struct world *w, struct machine *n)
{
	u64 keep = world_random(w, 8);

	if (!n->up)
		return;
	TRACE(w, "%llu crashes", (unsigned long long)n->id);
	w->st.crashes++;
	for (; n->jobs && keep-- > 4; n->jobs = n->jobs->next)
		job_apply(&n->disk, n->jobs);
	if (w->ops && w->ops->stop)
		w->ops->stop(w, n);
	forget_process(w, n);
}

static void load(struct world *w, struct machine *n)
{
	const struct disk *d = &n->disk;
	u64 i;

	if (raft_load(n->raft, d->term, d->vote, d->snap_index, d->snap_term, d->snap_conf))
		world_fail(w, "%llu cannot load its disk", (unsigned long long)n->id);
	for (i = 0; i < d->log.nr; i++) {
		struct ent *e = &d->log.e[i];
		struct raft_entry re = { e->term, e->bytes, e->kind, NULL };

		if (e->kind == RAFT_CONF)
			re.data = ((struct blob *)(uintptr_t)e->val)->data;
		if (raft_load_entry(n->raft, &re))
			world_fail(w, "%llu cannot load entry %llu", (unsigned long long)n->id,
				   (unsigned long long)(d->log.base + i + 1));
	}
}

void world_start(struct world *w, struct machine *n)
{
	struct raft_event ev = { .type = RAFT_EV_TICK };
	struct raft_cfg cfg = { .id = n->id, .seed = world_random(w, UINT64_MAX), .time_scale = SCALE,
				.drift_ppm = w->drift_bound,
				.max_bytes = w->max_bytes, .inflight_bytes = 20000, .inflight_msgs = 8 };

	if (n->up)
		return;
	TRACE(w, "%llu starts: term %llu log %llu..%llu state %llu", (unsigned long long)n->id,
	      (unsigned long long)n->disk.term, (unsigned long long)n->disk.log.base + 1,
	      (unsigned long long)(n->disk.log.base + n->disk.log.nr),
	      (unsigned long long)n->disk.state.index);
	n->raft = raft_new(&cfg);
	n->up = true;
	n->disk.seq = 0;
	n->fail_disk_at = 0;
	n->seen_term = n->disk.term;
	n->seen_vote = n->disk.vote;
	n->seen_commit = n->disk.snap_index;
	vec_copy(&n->log, &n->disk.log);
	n->state = n->disk.state;
	load(w, n);
	if (w->ops && w->ops->load)
		w->ops->load(w, n, n->state.ref);
	world_step(w, n, &ev);
	world_push(w, world_random(w, 20 * SCALE), EV_FLUSH, n - w->m, NULL);
}

static void on_disk(struct world *w, struct machine *n)
{
	struct raft_event ev = { .type = RAFT_EV_PERSISTED, .seq = n->batch };

	if (n->fail_disk_at && w->now >= n->fail_disk_at) {
		struct raft_event bad = { .type = RAFT_EV_FAILED };

		TRACE(w, "%llu: its disk fails", (unsigned long long)n->id);
		world_step(w, n, &bad);
		if (raft_step(n->raft, &ev, &(struct raft_update){ 0 }) != -EIO)
			world_fail(w, "%llu goes on after its disk failed",
				   (unsigned long long)n->id);
		world_crash(w, n);
		world_push(w, world_random(w, 60 * SCALE), EV_RESTART, n - w->m, NULL);
		return;
	}
	while (n->jobs && n->jobs->seq <= n->batch) {
		job_apply(&n->disk, n->jobs);
		n->jobs = n->jobs->next;
	}
	if (!n->jobs)
		n->jobs_tail = &n->jobs;
	n->batch = 0;
	mail_release(w, n);
	world_step(w, n, &ev);
	disk_begin(w, n);
}

static void on_timer(struct world *w, struct machine *n, u64 at)
{
	struct raft_event ev = { .type = RAFT_EV_TICK };

	if (n->timer != at)
		return;
	n->timer = 0;
	if (world_local(w, n) >= n->deadline)
		world_step(w, n, &ev);
	else
		set_timer(w, n);
}

/* ---- running ---------------------------------------------------------------------------- */

static bool of_machine(u8 what)
{
	return what == EV_TIMER || what == EV_DISK || what == EV_FLUSH || what == EV_SNAP ||
	       what == EV_SNAP_DONE || what == EV_DOWNFALL;
}

static void run_item(struct world *w, struct item *it)
{
	struct machine *n = &w->m[it->node];

	if (of_machine(it->what) && (!n->up || n->incarnation != it->incarnation))
		return;
	if ((of_machine(it->what) || it->what == EV_MAIL) && n->up && n->stalled_until > w->now) {
		if (it->what == EV_TIMER)
			n->timer = n->stalled_until;
		it->at = n->stalled_until;
		heap_put(w, *it);
		return;
	}
	switch (it->what) {
	case EV_TIMER:
		on_timer(w, n, it->at);
		break;
	case EV_MAIL:
		mail_arrive(w, n, it->ptr);
		break;
	case EV_DISK:
		on_disk(w, n);
		break;
	case EV_FLUSH:
		flush(w, n);
		break;
	case EV_SNAP:
		snapshot_arrives(w, n, it->ptr);
		break;
	case EV_SNAP_DONE:
		snapshot_done(w, n, it->ptr);
		break;
	case EV_DOWNFALL:
		people_downfall(w, n);
		break;
	case EV_RESTART:
		world_start(w, n);
		break;
	case EV_NEMESIS:
		people_nemesis(w);
		break;
	case EV_OPERATOR:
		people_operator(w);
		break;
	case EV_CLIENT:
		people_client(w);
		break;
	}
}

static void reset(struct world *w, u64 seed)
{
	u32 i;

	w->seed = seed;
	w->rng = world_mix(seed, 0x5eed);
	w->now = 1;
	w->order = w->heap_nr = 0;
	w->next_id = w->next_val = w->next_token = 1;
	w->chunk = w->chunks;
	w->chunk_used = 0;
	w->failure[0] = 0;
	memset(w->cut, 0, sizeof(w->cut));
	for (i = 0; i < MACHINES; i++) {
		struct machine *n = &w->m[i];
		struct vec a = n->log, b = n->disk.log;

		memset(n, 0, sizeof(*n));
		n->log.e = a.e;
		n->log.cap = a.cap;
		n->disk.log.e = b.e;
		n->disk.log.cap = b.cap;
		n->jobs_tail = &n->jobs;
		n->held_tail = &n->held;
	}
	check_begin(w);
}

static void clear(struct world *w)
{
	u32 i;

	for (i = 0; i < w->heap_nr; i++)
		if (w->heap[i].what == EV_MAIL)
			mail_put(w->heap[i].ptr);
	w->heap_nr = 0;
	for (i = 0; i < w->nr_machines; i++)
		if (w->m[i].up)
			forget_process(w, &w->m[i]);
}

/* One run. w->failure says what went wrong, "" if nothing. */
void world_run(struct world *w, u64 seed)
{
	bool healed = false;

	reset(w, seed);
	people_begin(w);
	while (w->heap_nr && !w->failure[0]) {
		struct item it = heap_get(w);

		if (it.at > w->end_chaos && !healed) {
			w->now = w->end_chaos;
			healed = true;
			people_heal(w);
		}
		if (it.at > w->end) {
			heap_put(w, it);
			break;
		}
		w->now = it.at;
		run_item(w, &it);
	}
	if (!w->failure[0])
		check_end(w);
	if (w->ops && w->ops->finished)
		w->ops->finished(w);
	w->st.runs++;
	clear(w);
}

void world_free(struct world *w)
{
	struct chunk *c, *next;
	u32 i;

	for (c = w->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	for (i = 0; i < MACHINES; i++) {
		free(w->m[i].log.e);
		free(w->m[i].disk.log.e);
	}
	free(w->heap);
	check_free(w);
}
