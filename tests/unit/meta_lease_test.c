// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's table of leases (userd/meta/lease.c) and the client's cache
 * (userd/client/cache.c) against each other: random requests, messages that
 * arrive in any order, clients that fall silent, leaders that change, in virtual
 * time. What a trusted client answers from memory must be what the server has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <uthash.h>
#include "../../userd/client/cache.h"
#include "../../userd/meta/lease.h"

#define CLIENTS		3
#define DIRS		2
#define NAMES		3
#define LEASE_MS	1000
#define MS		1000000ull
#define NAME_MSG_MAX	256
#define LI(dir)		((u64)(dir) << 10)	/* the table's inode number: a bucket each */

enum kind { M_GETATTR, M_LOOKUP, M_SETATTR, M_SETNAME, M_RETURN, M_REPLY, M_RECALL, M_RECLAIM,
	    M_RECLAIMED };

struct msg {
	enum kind kind;
	enum kind req;			/* M_REPLY: to what */
	int client;
	u64 dir, ino;			/* ino: the value */
	int name;
	u64 change;			/* attributes */
	u64 since, epoch, sent;
	struct cache_mut *mut;
	u64 grant[2], seq[2];
	u32 kinds[2];
	bool last, retry, renews;
	struct msg *next;
};

struct client {
	struct fs_cache *cache;
	u64 renewed;			/* ns: trust counts from here */
	u64 epoch;
	bool silent, reclaiming, lost;
	int muts;
	u8 hints[LEASE_HINT_BYTES];	/* as the log has them */
	struct msg *open;		/* mutations that are not answered, to send again */
};

struct change {
	struct lease_change lc;
	struct msg m;
	bool ready, looks;
	struct change *next;
};

static struct world {
	struct lease_table *t;
	u64 now, epoch, seed, ticked;
	u64 change[DIRS + 1];		/* of the directory itself */
	u64 names[DIRS + 1][NAMES];
	u64 next_value;
	struct client c[CLIENTS];
	struct msg *net;
	int nr_net;
	struct change *changes;
	u64 checks, hits, acks, expiries, leaders;
} w;

static const char *const name_of[NAMES] = { "a", "bb", "ccc" };

static u32 rnd(u32 n)
{
	w.seed ^= w.seed << 13;
	w.seed ^= w.seed >> 7;
	w.seed ^= w.seed << 17;
	return (u32)(w.seed >> 11) % n;
}

static void net_send(const struct msg *m)
{
	struct msg *n = malloc(sizeof(*n));

	*n = *m;
	n->next = w.net;
	w.net = n;
	w.nr_net++;
}

static void attr_fill(struct flint_attr *a, u64 ino, u64 change)
{
	*a = (struct flint_attr){ .ino = cpu_to_le64(ino), .change = cpu_to_le64(change) };
}

static bool trusted(const struct client *c)
{
	return !c->lost && w.now - c->renewed < LEASE_MS * MS / 3 * 2;
}

/* ---- client ----------------------------------------------------------------------- */

static void cl_give_back(void *arg, uint64_t ino, uint32_t kinds, uint64_t seq)
{
	struct client *c = arg;

	net_send(&(struct msg){ .kind = M_RETURN, .client = (int)(c - w.c), .dir = ino,
				.kinds = { kinds }, .seq = { seq }, .epoch = c->epoch,
				.sent = w.now });
}

static void cl_no(void *arg, uint64_t ino)
{
	(void)arg;
	(void)ino;
	fail();
}

static void cl_no_handle(void *arg, uint64_t ino, uint64_t handle)
{
	(void)arg;
	(void)ino;
	(void)handle;
	fail();
}

static const struct cache_ops cl_ops = { cl_give_back, cl_no, cl_no_handle };

/* The heart of it: what is answered from memory is what the server has now. */
static void client_check(struct client *c)
{
	struct flint_attr a;
	uint64_t ino;
	int d, n, rc;

	if (!trusted(c))
		return;
	for (d = 1; d <= DIRS; d++) {
		w.checks++;
		if (cache_get_attr(c->cache, d, &a)) {
			w.hits++;
			assert_int_equal(le64_to_cpu(a.change), w.change[d]);
		}
		for (n = 0; n < NAMES; n++) {
			rc = cache_get_name(c->cache, d, name_of[n], strlen(name_of[n]), &ino);
			w.checks++;
			if (!rc)
				continue;
			w.hits++;
			assert_int_equal(rc < 0 ? 0 : ino, w.names[d][n]);
		}
	}
}

static void client_ask(struct client *c, enum kind kind)
{
	struct msg m = { .kind = kind, .client = (int)(c - w.c), .dir = 1 + rnd(DIRS),
			 .name = (int)rnd(NAMES), .since = cache_clock(c->cache),
			 .epoch = c->epoch, .sent = w.now };

	if (c->lost)
		return;
	if (kind == M_SETATTR || kind == M_SETNAME) {
		if (c->muts == 3)
			return;
		c->muts++;
		m.mut = calloc(1, sizeof(*m.mut));
		if (kind == M_SETATTR)
			m.mut->ino[0] = m.dir;
		else
			m.mut->n[0] = (struct cache_mut_name){
				.dir = m.dir, .name = name_of[m.name],
				.len = (u32)strlen(name_of[m.name]) };
		assert_int_equal(cache_mut_begin(c->cache, m.mut), 0);
		m.since = cache_clock(c->cache);
		m.ino = rnd(3) ? ++w.next_value : 0;
	}
	net_send(&m);
}

static void client_reply(struct client *c, struct msg *m)
{
	struct flint_attr a;
	int i;

	cache_reply(c->cache);
	for (i = 0; i < 2; i++)
		if (m->grant[i] && m->epoch == c->epoch && !c->lost)
			cache_grant(c->cache, m->grant[i], m->kinds[i], m->seq[i]);
	attr_fill(&a, m->dir, m->change);
	if (m->req == M_LOOKUP) {
		cache_name(c->cache, m->dir, name_of[m->name], strlen(name_of[m->name]), m->ino,
			   m->since);
		return;
	}
	if (m->mut) {
		cache_mut_end(c->cache, m->mut, true, (uint64_t[2]){ m->ino });
		free(m->mut);
		c->muts--;
	}
	if (m->req != M_SETNAME)
		cache_attr(c->cache, &a, m->since);
}

static bool reclaim_add(void *arg, uint64_t ino, uint32_t kinds, uint64_t seq)
{
	struct client *c = arg;

	(void)seq;
	net_send(&(struct msg){ .kind = M_RECLAIM, .client = (int)(c - w.c), .dir = ino,
				.kinds = { kinds }, .epoch = c->epoch, .sent = w.now });
	c->muts += 100;		/* parts that are not answered yet */
	return true;
}

/* It hears of the new leader. Parts are numbered by count: the last is sent when all came back. */
static void client_reclaim(struct client *c)
{
	if (c->lost || c->epoch == w.epoch)
		return;
	c->muts %= 100;
	c->epoch = w.epoch;
	c->reclaiming = true;
	cache_each(c->cache, reclaim_add, c);
	cache_new_leader(c->cache);
	if (c->muts < 100)
		net_send(&(struct msg){ .kind = M_RECLAIM, .client = (int)(c - w.c), .last = true,
					.epoch = c->epoch, .sent = w.now });
}

static void client_reclaimed(struct client *c, const struct msg *m)
{
	if (m->epoch != c->epoch)
		return;
	if (m->last) {
		c->reclaiming = false;
		return;
	}
	cache_renumber(c->cache, m->dir, m->kinds[0], m->seq[0]);
	c->muts -= 100;
	if (c->muts < 100)
		net_send(&(struct msg){ .kind = M_RECLAIM, .client = (int)(c - w.c), .last = true,
					.epoch = c->epoch, .sent = w.now });
}

/* ---- server ------------------------------------------------------------------------- */

static void sv_recall(void *arg, u64 sid, u64 ino, u32 kinds, u64 seq)
{
	(void)arg;
	net_send(&(struct msg){ .kind = M_RECALL, .client = (int)sid - 1, .dir = ino >> 10,
				.kinds = { kinds }, .seq = { seq }, .epoch = w.epoch });
}

static void sv_expire(void *arg, u64 sid)
{
	struct client *c = &w.c[sid - 1];

	(void)arg;
	/* Fencing takes place here; only a silent one may be ended. */
	assert_false(trusted(c));
	c->lost = true;
	w.expiries++;
	lease_session_del(w.t, sid);
}

static void sv_ready(void *arg, struct lease_change *lc)
{
	(void)arg;
	((struct change *)lc->priv)->ready = true;
}

static const struct lease_ops sv_ops = { sv_recall, sv_expire, sv_ready, NULL };

static void server_grant(struct msg *r, int i, u64 ino, u32 kinds)
{
	u8 *hints = w.c[r->client].hints;
	u32 got;
	u64 seq;

	/* First the log has the bucket. */
	if (!lease_hint_test(hints, LI(ino))) {
		if (rnd(2))
			lease_hint_set(hints, LI(ino));
		return;
	}
	seq = lease_grant(w.t, r->client + 1, LI(ino), kinds, w.now, &got);
	if (!seq)
		return;
	r->grant[i] = ino;
	r->seq[i] = seq;
	r->kinds[i] = got;
}

static void server_answer(const struct msg *m)
{
	struct msg r = *m;

	r.kind = M_REPLY;
	r.renews = !lease_muted(w.t, m->client + 1);
	r.req = m->kind;
	r.change = w.change[m->dir];
	if (m->kind == M_LOOKUP)
		r.ino = w.names[m->dir][m->name];
	if (!m->retry && m->kind != M_SETNAME)
		server_grant(&r, 0, m->dir, FLINT_LEASE_READ);
	if (m->kind == M_LOOKUP)
		server_grant(&r, 1, m->dir, FLINT_LEASE_DIR);
	net_send(&r);
}

static void server_change(const struct msg *m)
{
	struct change *ch = calloc(1, sizeof(*ch));
	int rc;

	ch->m = *m;
	ch->lc.sid = m->client + 1;
	ch->lc.priv = ch;
	lease_change_add(&ch->lc, LI(m->dir), m->kind == M_SETATTR ? LEASE_SET_ATTR : LEASE_SET_ENTRIES);
	rc = lease_change_begin(w.t, &ch->lc, w.now);
	assert_true(rc >= 0);
	ch->ready |= rc == 1;
	ch->next = w.changes;
	w.changes = ch;
}

static bool applied(u64 value)
{
	int d, n;

	for (d = 1; d <= DIRS; d++)
		for (n = 0; n < NAMES; n++)
			if (value && w.names[d][n] == value)
				return true;
	return false;
}

/* One ready change becomes true and is answered. */
static void server_apply(struct change *ch)
{
	struct change **link;

	w.change[ch->m.dir]++;
	if (ch->m.kind == M_SETNAME)
		w.names[ch->m.dir][ch->m.name] = ch->m.ino;
	lease_change_end(w.t, &ch->lc);
	server_answer(&ch->m);
	w.acks++;
	for (link = &w.changes; *link != ch; link = &(*link)->next)
		;
	*link = ch->next;
	free(ch);
}

static void server_reclaim(const struct msg *m)
{
	struct msg r = *m;

	if (m->epoch != w.epoch)
		return;
	r.kind = M_RECLAIMED;
	r.renews = !lease_muted(w.t, m->client + 1);
	r.seq[0] = m->last ? 0 : lease_reclaim(w.t, m->client + 1, LI(m->dir), m->kinds[0],
					      w.now);
	if (!r.seq[0])
		r.kinds[0] = 0;
	if (!m->last)
		assert_true(r.seq[0] || w.c[m->client].lost);
	net_send(&r);
	if (m->last)
		lease_reclaimed(w.t, m->client + 1);
}

static void server_take(struct msg *m)
{
	u64 sid = m->client + 1;

	if (w.c[m->client].lost) {
		free(m->mut);
		return;
	}
	if (m->kind == M_RETURN) {
		if (m->epoch == w.epoch)
			lease_return(w.t, sid, LI(m->dir), m->kinds[0], m->seq[0]);
	} else if (m->kind == M_RECLAIM) {
		server_reclaim(m);
	} else if (lease_must_reclaim(w.t, sid)) {
		/* FLINT_ST_RECLAIM: the client comes again. */
		client_reclaim(&w.c[m->client]);
		m->epoch = w.c[m->client].epoch;
		m->since = m->mut ? m->since : cache_clock(w.c[m->client].cache);
		m->retry = true;
		net_send(m);
	} else if (m->kind == M_SETATTR || m->kind == M_SETNAME) {
		server_change(m);
	} else {
		server_answer(m);
	}
}

/* The leader dies. What was proposed may be done or not; clients ask again. */
static void new_leader(void)
{
	struct change *ch;
	int i;

	w.leaders++;
	lease_stop(w.t);
	while ((ch = w.changes)) {
		w.changes = ch->next;
		lease_change_end(w.t, &ch->lc);
		if (ch->ready && ch->m.kind == M_SETNAME && rnd(2) && !applied(ch->m.ino)) {
			w.change[ch->m.dir]++;
			w.names[ch->m.dir][ch->m.name] = ch->m.ino;
		}
		ch->m.retry = true;
		net_send(&ch->m);
		free(ch);
	}
	w.epoch++;
	lease_start(w.t);
	for (i = 0; i < CLIENTS; i++)
		if (!w.c[i].lost)
			assert_int_equal(lease_session_add(w.t, i + 1, true, w.c[i].hints), 0);
	lease_start_end(w.t);
}

/* ---- the world ------------------------------------------------------------------------- */

static void deliver(void)
{
	struct msg **link = &w.net, *m;
	struct client *c;
	u32 i, skip;

	if (!w.nr_net)
		return;
	for (skip = rnd(w.nr_net), i = 0; i < skip; i++)
		link = &(*link)->next;
	m = *link;
	c = &w.c[m->client];
	if (c->silent && m->kind != M_REPLY)
		return;
	if (c->silent)
		return;
	*link = m->next;
	w.nr_net--;
	switch (m->kind) {
	case M_REPLY:
		if (m->sent > c->renewed && !c->lost && m->renews)
			c->renewed = m->sent;
		client_reply(c, m);
		break;
	case M_RECALL:
		if (m->epoch == c->epoch)
			cache_recall(c->cache, m->dir, m->kinds[0], m->seq[0]);
		break;
	case M_RECLAIMED:
		if (m->sent > c->renewed && !c->lost && m->renews)
			c->renewed = m->sent;
		client_reclaimed(c, m);
		break;
	default:
		server_take(m);
		break;
	}
	free(m);
}

static void one_step(void)
{
	struct change *ch;
	u32 what = rnd(100);
	int i;

	w.now += rnd(3) * MS;
	if (!rnd(500)) {	/* the server stands still, clients do not */
		u64 gap = rnd(2 * LEASE_MS) * MS;

		w.now += gap;
		lease_unheard(w.t, w.now, gap);
	}
	if (w.now - w.ticked >= LEASE_MS * MS / 16)
		lease_tick(w.t, w.ticked = w.now);
	if (what < 18) {
		client_ask(&w.c[rnd(CLIENTS)], rnd(2) ? M_GETATTR : M_LOOKUP);
	} else if (what < 26) {
		client_ask(&w.c[rnd(CLIENTS)], rnd(2) ? M_SETATTR : M_SETNAME);
	} else if (what < 40) {
		for (ch = w.changes; ch && !(ch->ready && rnd(2)); ch = ch->next)
			;
		if (ch)
			server_apply(ch);
	} else if (what == 40 && !rnd(6)) {
		w.c[rnd(CLIENTS)].silent = true;
	} else if (what == 41 && !rnd(8)) {
		w.c[rnd(CLIENTS)].silent = false;
	} else if (what == 42 && !rnd(40)) {
		new_leader();
	} else {
		for (i = 0; i < 6; i++)
			deliver();
	}
	client_check(&w.c[rnd(CLIENTS)]);
}

static void world_start(u64 seed)
{
	struct lease_config cfg = { .lease_ms = LEASE_MS, .max_leases = 1000, .ops = &sv_ops };
	int i;

	memset(&w, 0, sizeof(w));
	w.seed = seed * 0x9e3779b97f4a7c15ull + 1;
	w.now = 1000 * MS;
	w.epoch = 1;
	w.t = lease_new(&cfg);
	lease_start(w.t);
	lease_start_end(w.t);
	for (i = 0; i < CLIENTS; i++) {
		w.c[i].cache = cache_new(1000, &cl_ops, &w.c[i]);
		w.c[i].epoch = 1;
		w.c[i].renewed = w.now;
		lease_session_add(w.t, i + 1, false, NULL);
	}
}

/* Everybody answers again: every change must get through. */
static void world_settle(void)
{
	int i, n;

	for (i = 0; i < CLIENTS; i++)
		w.c[i].silent = false;
	for (n = 0; n < 20000 && (w.nr_net || w.changes); n++) {
		struct change *ch = w.changes;

		for (i = 0; i < CLIENTS; i++)
			client_reclaim(&w.c[i]);
		deliver();
		while (ch && !ch->ready)
			ch = ch->next;
		if (ch)
			server_apply(ch);
		if (!(n % 100))
			lease_tick(w.t, w.now += 20 * MS);
	}
	assert_null(w.changes);
}

static void world_end(void)
{
	struct change *ch;
	struct msg *m;
	int i;

	while ((ch = w.changes)) {
		w.changes = ch->next;
		lease_change_end(w.t, &ch->lc);
		free(ch->m.mut);
		free(ch);
	}
	while ((m = w.net)) {
		w.net = m->next;
		free(m->mut);
		free(m);
	}
	for (i = 0; i < CLIENTS; i++)
		cache_free(w.c[i].cache);
	lease_free(w.t);
}

static void test_coherence(void **state)
{
	const char *env = getenv("FLINT_LEASE_SEEDS");
	u64 seeds = env ? strtoull(env, NULL, 0) : 200, s, checks = 0, hits = 0, acks = 0, ends = 0,
	    leaders = 0;
	int i;

	(void)state;
	for (s = 1; s <= seeds; s++) {
		world_start(s);
		for (i = 0; i < 4000; i++)
			one_step();
		world_settle();
		checks += w.checks;
		hits += w.hits;
		acks += w.acks;
		ends += w.expiries;
		leaders += w.leaders;
		world_end();
	}
	print_message("%llu seeds: %llu checks, %llu answered from memory, %llu changes, %llu sessions ended, %llu leaders\n",
		      (unsigned long long)seeds, (unsigned long long)checks,
		      (unsigned long long)hits, (unsigned long long)acks,
		      (unsigned long long)ends, (unsigned long long)leaders);
	/* A test that nothing was cached in would prove nothing. */
	assert_true(hits > checks / 50);
	assert_true(acks > seeds * 20);
}

/* ---- hints ------------------------------------------------------------------------------ */

static u64 recalled;

static void hint_recall(void *arg, u64 sid, u64 ino, u32 kinds, u64 seq)
{
	(void)arg;
	(void)kinds;
	(void)seq;
	recalled = sid << 32 | ino;
}

static const struct lease_ops hint_ops = { hint_recall, NULL, sv_ready, NULL };

/* A session that does not come back delays what it may hold something on, and nothing else. */
static void test_hints(void **state)
{
	struct lease_config cfg = { .lease_ms = LEASE_MS, .max_leases = 10, .ops = &hint_ops };
	struct lease_table *t = lease_new(&cfg);
	u8 some[LEASE_HINT_BYTES] = { 0 }, none[LEASE_HINT_BYTES] = { 0 };
	struct change here = { .lc = { .sid = 2, .priv = &here } };
	struct change there = { .lc = { .sid = 2, .priv = &there } };
	u64 seq;

	(void)state;
	lease_hint_set(some, LI(1));
	lease_start(t);
	assert_int_equal(lease_session_add(t, 1, true, some), 0);
	assert_int_equal(lease_session_add(t, 2, true, none), 0);
	lease_start_end(t);
	lease_reclaimed(t, 2);
	assert_true(lease_in_grace(t));
	assert_true(lease_may_come(t, 2, LI(1)) && lease_may_come(t, 2, LI(1) + 1));
	assert_false(lease_may_come(t, 2, LI(2)) || lease_may_come(t, 1, LI(1)));
	lease_change_add(&here.lc, LI(1), LEASE_SET_ATTR);
	lease_change_add(&there.lc, LI(2), LEASE_SET_ATTR);
	assert_int_equal(lease_change_begin(t, &here.lc, MS), 0);
	assert_int_equal(lease_change_begin(t, &there.lc, MS), 1);
	/* Nothing comes back where there was nothing. */
	assert_int_equal(lease_reclaim(t, 1, LI(2), FLINT_LEASE_READ, MS), 0);
	seq = lease_reclaim(t, 1, LI(1), FLINT_LEASE_READ, MS);
	assert_true(seq);
	assert_int_equal(recalled, 1ull << 32 | LI(1));
	lease_reclaimed(t, 1);
	assert_false(lease_in_grace(t) || here.ready);
	lease_return(t, 1, LI(1), FLINT_LEASE_READ, seq);
	assert_true(here.ready);
	lease_change_end(t, &here.lc);
	lease_change_end(t, &there.lc);

	/* A session of unknown hints may hold anything. */
	lease_start(t);
	assert_int_equal(lease_session_add(t, 1, true, NULL), 0);
	lease_start_end(t);
	assert_true(lease_may_come(t, 2, LI(2)));
	lease_free(t);
}

/*
 * A writer that does not come back, and whose file cannot be settled: it is shed, and nobody waits
 * but for that file (session_shed() of userd/meta/sessions.c).
 */
static void test_shed(void **state)
{
	struct lease_config cfg = { .lease_ms = LEASE_MS, .max_leases = 10, .ops = &hint_ops };
	struct lease_table *t = lease_new(&cfg);
	struct change file = { .lc = { .sid = 2, .priv = &file } };
	struct change late = { .lc = { .sid = 2, .priv = &late } };
	struct change other = { .lc = { .sid = 2, .priv = &other } };
	u32 granted;

	(void)state;
	lease_start(t);
	assert_int_equal(lease_session_add(t, 1, true, NULL), 0);
	assert_int_equal(lease_session_add(t, 2, true, NULL), 0);
	assert_int_equal(lease_writer_add(t, LI(1), 1), 0);
	lease_start_end(t);
	lease_reclaimed(t, 2);
	lease_change_add(&file.lc, LI(1), LEASE_SEE_ATTR);
	lease_change_add(&other.lc, LI(2), LEASE_SET_ATTR);
	assert_int_equal(lease_change_begin(t, &file.lc, MS), 0);
	assert_int_equal(lease_change_begin(t, &other.lc, MS), 0);
	assert_true(lease_reclaim(t, 1, LI(1), FLINT_LEASE_WRITE, MS));
	lease_session_shed(t, 1);
	lease_reclaimed(t, 1);
	assert_false(lease_in_grace(t));
	assert_true(other.ready && !file.ready);
	lease_change_end(t, &other.lc);
	assert_true(lease_grant(t, 2, LI(2), FLINT_LEASE_READ, MS, &granted));
	assert_true(lease_hides(t, 2, LI(1), LEASE_SEE_ATTR));
	lease_change_add(&late.lc, LI(1), LEASE_SEE_ATTR);
	assert_int_equal(lease_change_begin(t, &late.lc, MS), 0);
	assert_int_equal(lease_grant(t, 1, LI(2) + 1, FLINT_LEASE_READ, MS, &granted), 0);
	lease_writer_del(t, LI(1), 1);
	lease_session_del(t, 1);
	assert_true(file.ready && late.ready);
	lease_change_end(t, &file.lc);
	lease_change_end(t, &late.lc);
	lease_free(t);
}

#define DIR_KINDS	(FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE)

/* What a session makes below what it has reclaimed is its own while others are still waited for. */
static void test_made(void **state)
{
	struct lease_config cfg = { .lease_ms = LEASE_MS, .max_leases = 10, .ops = &hint_ops };
	struct lease_table *t = lease_new(&cfg);
	struct change other = { .lc = { .sid = 3, .priv = &other } };
	u8 some[LEASE_HINT_BYTES] = { 0 };
	u64 seq;

	(void)state;
	lease_hint_set(some, LI(1));
	lease_start(t);
	assert_int_equal(lease_session_add(t, 1, true, some), 0);
	assert_int_equal(lease_session_add(t, 2, true, NULL), 0);
	assert_int_equal(lease_session_add(t, 3, false, NULL), 0);
	lease_start_end(t);
	assert_int_equal(lease_grant_made(t, 1, LI(1) + 1, DIR_KINDS, MS, lease_number(t, 1)), 0);
	assert_true(lease_reclaim(t, 1, LI(1), FLINT_LEASE_DIR_WRITE, MS));
	lease_reclaimed(t, 1);
	assert_true(lease_in_grace(t));
	seq = lease_number(t, 1);
	assert_int_equal(lease_grant_at(t, 1, LI(1) + 1, DIR_KINDS, MS, seq), 0);
	assert_int_equal(lease_grant_made(t, 1, LI(1) + 1, DIR_KINDS, MS, seq), DIR_KINDS);
	assert_int_equal(lease_held(t, 1, LI(1) + 1), DIR_KINDS);
	/* But nothing that somebody else has, or is about to change. */
	assert_int_equal(lease_grant_made(t, 3, LI(1) + 1, DIR_KINDS, MS, lease_number(t, 3)), 0);
	lease_change_add(&other.lc, LI(1) + 2, LEASE_SET_ENTRIES);
	assert_int_equal(lease_change_begin(t, &other.lc, MS), 0);
	assert_int_equal(lease_grant_made(t, 1, LI(1) + 2, DIR_KINDS, MS, seq), 0);
	lease_change_end(t, &other.lc);
	lease_free(t);
}

/* ---- too many ---------------------------------------------------------------------------- */

static u32 recalls_of[400];

static void used_recall(void *arg, u64 sid, u64 ino, u32 kinds, u64 seq)
{
	(void)arg;
	(void)sid;
	(void)kinds;
	(void)seq;
	recalls_of[ino]++;
}

static const struct lease_ops used_ops = { used_recall, NULL, sv_ready, NULL };

/* What is made in a delegated directory drives out leases on files, not the directory's. */
static void test_used(void **state)
{
	struct lease_config cfg = { .lease_ms = LEASE_MS, .max_leases = 200, .ops = &used_ops };
	struct lease_table *t = lease_new(&cfg);
	u64 i, next = 2;
	u32 granted;

	(void)state;
	lease_start(t);
	lease_start_end(t);
	assert_int_equal(lease_session_add(t, 1, false, NULL), 0);
	lease_grant(t, 1, 1, FLINT_LEASE_DIR_WRITE, MS, &granted);
	for (i = 2; i < 400; i++) {
		lease_used(t, 1, 1);
		lease_grant(t, 1, i, FLINT_LEASE_READ, MS, &granted);
		for (; recalls_of[next]; next++)	/* the oldest first */
			lease_return(t, 1, next, FLINT_LEASE_READ, UINT64_MAX);
	}
	assert_true(next > 2);
	assert_int_equal(recalls_of[1], 0);
	assert_int_equal(lease_held(t, 1, 1), FLINT_LEASE_DIR_WRITE);
	lease_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coherence),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_shed),
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_used),
	};

	return cmocka_run_group_tests_name("meta_lease", tests, NULL, NULL);
}
