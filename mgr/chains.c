// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Chains as the managers keep them: how facts become members for the state
 * machine (chainstate.c) and its results become records and history, and what
 * operators may ask for.
 *
 * A member that serves is never simply taken out: it might go on serving while
 * the chain goes on without it. What an operator wants is kept as a wish. The
 * answer to the target's next heartbeat tells it to stop, it says that it has
 * (local state ONLINE), and then it leaves as one does whose process was
 * started anew. Should everybody else die meanwhile, it serves again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/log.h"
#include "chainstate.h"
#include "mgrd.h"

#define DEAF_MAX_NS	600000000000ull

/* ---- facts to members -------------------------------------------------- */

/* When it became known that a serving member is gone, or must begin anew; 0: neither. */
static u64 member_gone_ns(struct mgr_state *st, const struct mgr_target *t)
{
	const struct mgr_node *n = mgr_node_find(st, t->node);

	if (!n || n->state != FLINT_NODE_UP)
		return n ? n->down_ns : 0;
	if (t->local == FLINT_LOCAL_OFFLINE || !n->incarnation || n->incarnation == t->incarnation)
		return 0;
	return n->known_ns > t->live.stopped_ns ? n->known_ns : t->live.stopped_ns;
}

/* The moment since which the others must have been heard to be known to live. */
static u64 chain_since_ns(struct mgr_state *st, const struct mgr_chain *c)
{
	u64 since = 0, ns;
	u32 i;

	for (i = 0; i < c->nr; i++) {
		const struct mgr_target *t = mgr_target_find(st, c->targets[i]);

		if (t->state != FLINT_TARGET_SERVING)
			continue;
		ns = member_gone_ns(st, t);
		if (ns > since)
			since = ns;
	}
	return since;
}

static u8 member_live(const struct mgr_node *n, const struct mgr_target *t, u64 since_ns)
{
	if (!n || n->state != FLINT_NODE_UP)
		return MGR_LIVE_DOWN;
	if (t->local == FLINT_LOCAL_OFFLINE)
		return MGR_LIVE_FAILED;
	if (!n->incarnation)
		return MGR_LIVE_SILENT;	/* this leader has not heard it yet */
	if (n->incarnation != t->incarnation)
		return MGR_LIVE_RESTARTED;
	return n->heard_ns > since_ns ? MGR_LIVE_HEARD : MGR_LIVE_SILENT;
}

/*
 * Of a target that says UPTODATE while it is SYNCING: of the chain as it is? Whoever drives its
 * recovery begins anew with every version, and it then forgets what it has to give back.
 */
static bool member_ready(const struct mgr_chain *c, const struct mgr_target *t)
{
	if (t->state != FLINT_TARGET_SYNCING)
		return t->local == FLINT_LOCAL_ONLINE;
	return t->local == FLINT_LOCAL_UPTODATE && t->live.chain_ver == c->version;
}

static bool member_starting(struct mgr_state *st, const struct mgr_member *m)
{
	return mgr_node_find(st, mgr_target_find(st, m->target)->node)->starting;
}

/*
 * A server that only starts has not said which disks it has: none of its targets is chosen to go on
 * alone before that, or what another one has would be given up for a disk that is not there. The
 * chain waits for it only if no other one is back that served: a disk may never get on with starting.
 */
static void chain_starting(struct mgr_state *st, struct mgr_member *m, u32 nr)
{
	bool goes = false, back = false;
	u32 i;

	for (i = 0; i < nr; i++) {
		if (m[i].state != FLINT_TARGET_SERVING)
			continue;
		goes |= m[i].live == MGR_LIVE_HEARD;
		back |= m[i].live == MGR_LIVE_RESTARTED && !member_starting(st, &m[i]);
	}
	for (i = 0; i < nr; i++) {
		if (m[i].live != MGR_LIVE_RESTARTED || !member_starting(st, &m[i]))
			continue;
		if (m[i].state == FLINT_TARGET_LASTSRV)
			m[i].live = MGR_LIVE_SILENT;
		else if (m[i].state == FLINT_TARGET_SERVING && !goes)
			m[i].live = back ? MGR_LIVE_DOWN : MGR_LIVE_SILENT;
	}
}

static void chain_members(struct mgr_state *st, const struct mgr_chain *c, struct mgr_member *m)
{
	u64 since = chain_since_ns(st, c);
	u32 i;

	for (i = 0; i < c->nr; i++) {
		const struct mgr_target *t = mgr_target_find(st, c->targets[i]);

		m[i] = (struct mgr_member){
			.target = t->id, .state = t->state, .wish = t->wish,
			.live = member_live(mgr_node_find(st, t->node), t, since),
			.ready = member_ready(c, t),
		};
		/* A process of before, which may have been told that it was up to date. */
		if (t->state == FLINT_TARGET_SYNCING && m[i].live == MGR_LIVE_RESTARTED)
			m[i].ready = t->local == FLINT_LOCAL_ONLINE;
	}
	chain_starting(st, m, c->nr);
}

/* ---- members to records ------------------------------------------------ */

static void chain_event(struct mgr_state *st, const struct mgr_chain *c,
			const struct mgr_target *t, u8 kind, u8 from, u8 to, u8 reason)
{
	struct mgr_event ev = {
		.kind = kind, .chain = c ? c->id : 0, .version = c ? c->version : 0,
		.target = t ? t->id : 0, .node = t ? t->node : 0, .from = from, .to = to,
		.reason = reason,
	};

	mgr_event_add(st, &ev);
}

/* Why a target changes from one state to another, given what is known of its server. */
static u8 member_reason(u8 from, const struct mgr_member *m)
{
	if (m->state == FLINT_TARGET_SYNCING)
		return MGR_WHY_SYNC;
	if (m->state == FLINT_TARGET_SERVING)
		return from == FLINT_TARGET_SYNCING ? MGR_WHY_SYNCED :
		       from == FLINT_TARGET_LASTSRV ? MGR_WHY_LAST : MGR_WHY_ALL_GONE;
	if (m->live == MGR_LIVE_DOWN)
		return MGR_WHY_SILENT;
	if (m->live == MGR_LIVE_FAILED)
		return MGR_WHY_DISK;
	if (m->wish)
		return MGR_WHY_OPERATOR;
	if (from >= FLINT_TARGET_LASTSRV)
		return MGR_WHY_RESTART;
	return from == FLINT_TARGET_SYNCING ? m->live == MGR_LIVE_RESTARTED ? MGR_WHY_RESTART :
						MGR_WHY_NO_SOURCE : MGR_WHY_BACK;
}

/* One member's next state into its record. */
static void member_store(struct mgr_state *st, struct mgr_chain *c, struct mgr_target *t,
			 const struct mgr_member *m)
{
	const struct mgr_node *n = mgr_node_find(st, t->node);
	u64 incarnation = m->admit && n ? n->incarnation : t->incarnation;
	bool anew = m->anew ||
		    (m->admit && m->live == MGR_LIVE_RESTARTED && m->state >= FLINT_TARGET_SYNCING);

	if (m->state != t->state || anew) {
		u8 reason = member_reason(t->state, m);

		if (reason == MGR_WHY_SILENT && n && n->state == FLINT_NODE_UP)
			reason = MGR_WHY_RESTART;	/* it only starts */
		else if (reason == MGR_WHY_RESTART && t->live.stopped_ns)
			reason = MGR_WHY_STOPPED;
		chain_event(st, c, t, MGR_EV_TARGET, t->state, m->state, reason);
		t->state_ver = c->version;
		t->dirty = true;
	}
	if (incarnation != t->incarnation)
		t->dirty = true;
	t->state = m->state;
	t->incarnation = incarnation;
	if (m->admit)
		t->live.stopped_ns = 0;
}

/* Those that were members and are no longer. */
static void chain_release(struct mgr_state *st, struct mgr_chain *c, const struct mgr_member *m,
			  u32 nr)
{
	u32 i, j;

	for (i = 0; i < c->nr; i++) {
		struct mgr_target *t = mgr_target_find(st, c->targets[i]);

		for (j = 0; j < nr && m[j].target != t->id; j++)
			;
		if (j < nr)
			continue;
		chain_event(st, c, t, MGR_EV_LEFT, t->state, FLINT_TARGET_OFFLINE,
			    MGR_WHY_OPERATOR);
		t->chain = 0;
		t->state = FLINT_TARGET_OFFLINE;
		t->wish = MGR_WISH_NONE;
		t->dirty = true;
	}
}

/* Write what the state machine decided. @changed: the version grows. */
static void chain_store(struct mgr_state *st, struct mgr_chain *c, const struct mgr_member *m,
			u32 nr, bool changed)
{
	u32 i, serving = 0;

	if (changed) {
		c->version++;
		c->dirty = true;
	}
	for (i = 0; i < nr; i++) {
		member_store(st, c, mgr_target_find(st, m[i].target), &m[i]);
		serving += m[i].state == FLINT_TARGET_SERVING;
	}
	if (nr != c->nr)
		chain_release(st, c, m, nr);
	memset(c->targets, 0, sizeof(c->targets));
	c->nr = nr;
	for (i = 0; i < nr; i++)
		c->targets[i] = m[i].target;
	/* Nobody else is left: what an operator wanted of it has to wait until it is asked again. */
	for (i = 0; i < nr && serving == 1; i++) {
		struct mgr_target *t = mgr_target_find(st, m[i].target);

		if (t->state != FLINT_TARGET_SERVING || !t->wish)
			continue;
		chain_event(st, c, t, MGR_EV_WISH, t->wish, MGR_WISH_NONE, MGR_WHY_ALL_GONE);
		t->wish = MGR_WISH_NONE;
		t->dirty = true;
	}
}

/**
 * mgr_chain_update() - let a chain follow the facts
 *
 * Return: does the map change? The caller commits.
 */
bool mgr_chain_update(struct mgr_state *st, struct mgr_chain *c)
{
	struct mgr_member m[FLINT_CHAIN_MAX];
	u64 events = st->next_event;
	unsigned int nr = c->nr;
	u32 i;
	bool changed;

	chain_members(st, c, m);
	changed = mgr_chain_next(m, &nr);
	chain_store(st, c, m, nr, changed);
	for (i = 0; i < c->nr; i++)
		changed |= mgr_target_find(st, c->targets[i])->dirty;
	return changed || st->next_event != events;
}

/* ---- what operators ask for -------------------------------------------- */

static int no_target(u32 id, char *err, size_t errlen)
{
	snprintf(err, errlen,
		 "there is no target %u: 'flint target list' shows those that chunk servers have reported",
		 id);
	return -ENOENT;
}

static int no_chain(u32 id, char *err, size_t errlen)
{
	snprintf(err, errlen, "there is no chain %u: 'flint chain list' shows those there are", id);
	return -ENOENT;
}

/**
 * mgr_target_fit() - can this target become part of a chain?
 *
 * Return: 0, -ENOENT, -EEXIST (in a chain already), -EHOSTDOWN, with a sentence.
 */
int mgr_target_fit(struct mgr_state *st, u32 id, char *err, size_t errlen)
{
	const struct mgr_target *t = mgr_target_find(st, id);
	const struct mgr_node *n = t ? mgr_node_find(st, t->node) : NULL;

	if (!n)
		return no_target(id, err, errlen);
	if (t->chain) {
		snprintf(err, errlen, "target %u is already in chain %u: name targets that are free",
			 id, t->chain);
		return -EEXIST;
	}
	if (n->state != FLINT_NODE_UP || t->local == FLINT_LOCAL_OFFLINE) {
		snprintf(err, errlen, "target %u on %s is offline: start its chunk server first",
			 id, n->name);
		return -EHOSTDOWN;
	}
	return 0;
}

/* Make @t a member of @c, last. */
static void chain_join(struct mgr_state *st, struct mgr_chain *c, struct mgr_target *t, u8 state)
{
	const struct mgr_node *n = mgr_node_find(st, t->node);

	c->targets[c->nr++] = t->id;
	c->dirty = true;
	t->chain = c->id;
	t->state = state;
	t->state_ver = c->version;
	t->wish = MGR_WISH_NONE;
	if (n && n->incarnation)
		t->incarnation = n->incarnation;
	t->dirty = true;
	chain_event(st, c, t, MGR_EV_JOINED, FLINT_TARGET_OFFLINE, state, MGR_WHY_OPERATOR);
}

/**
 * mgr_chain_create() - make a chain of targets that are in none
 * @st: the next state
 * @targets, @nr: head first, 1..FLINT_CHAIN_MAX, online
 * @chain: result: its id
 *
 * Targets without any data all serve at once. When one has data, the first
 * serves and the others recover from it.
 *
 * Return: 0; -EINVAL, or as mgr_target_fit(), with a sentence; -ENOMEM.
 */
int mgr_chain_create(struct mgr_state *st, const u32 *targets, u32 nr, u32 *chain, char *err,
		     size_t errlen)
{
	struct mgr_chain *c;
	bool empty = true;
	u32 i, j;
	int ret;

	if (!nr || nr > FLINT_CHAIN_MAX) {
		snprintf(err, errlen, "a chain has 1 to %d targets, not %u", FLINT_CHAIN_MAX, nr);
		return -EINVAL;
	}
	for (i = 0; i < nr; i++) {
		ret = mgr_target_fit(st, targets[i], err, errlen);
		if (ret)
			return ret;
		for (j = 0; j < i; j++)
			if (targets[i] == targets[j]) {
				snprintf(err, errlen, "target %u is named twice", targets[i]);
				return -EINVAL;
			}
		empty &= !mgr_target_find(st, targets[i])->live.used;
	}
	c = mgr_chain_add(st);
	if (!c)
		return -ENOMEM;
	chain_event(st, c, NULL, MGR_EV_CHAIN, 0, nr, MGR_WHY_OPERATOR);
	for (i = 0; i < nr; i++)
		chain_join(st, c, mgr_target_find(st, targets[i]),
			   i && !empty ? FLINT_TARGET_WAITING : FLINT_TARGET_SERVING);
	*chain = c->id;
	return 0;
}

struct mgr_table *mgr_table_newest(struct mgr_state *st, u32 table)
{
	struct mgr_table *t = NULL;
	u32 i;

	for (i = 0; i < st->nr_tables; i++)
		if (st->tables[i].id == table)
			t = &st->tables[i];
	return t;
}

static int id_cmp(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/* Return: 0, -EINVAL, -ENOMEM. */
static int chains_once(const u32 *chains, u32 nr, char *err, size_t errlen)
{
	u32 *all = calloc(nr, sizeof(*all)), i;
	int ret = 0;

	if (!all)
		return -ENOMEM;
	memcpy(all, chains, nr * sizeof(*all));
	qsort(all, nr, sizeof(*all), id_cmp);
	for (i = 1; i < nr && !ret; i++) {
		if (all[i] != all[i - 1])
			continue;
		snprintf(err, errlen, "chain %u is named twice", all[i]);
		ret = -EINVAL;
	}
	free(all);
	return ret;
}

/**
 * mgr_table_create() - make the next version of a chain table
 * @st: the next state
 * @table: 1 and up; new files use the newest version, others keep theirs
 * @chains, @nr: in the table's order; the same chain may stand there once only
 * @version: result
 *
 * Return: 0; -EINVAL, -ENOENT with a sentence; -ENOMEM.
 */
int mgr_table_create(struct mgr_state *st, u32 table, const u32 *chains, u32 nr, u32 *version,
		     char *err, size_t errlen)
{
	const struct mgr_table *old = mgr_table_newest(st, table);
	u32 i, v = old ? old->version + 1 : 1;
	struct mgr_table *t;
	int ret;

	if (!table || !nr) {
		snprintf(err, errlen, "a chain table has an id from 1 and at least one chain");
		return -EINVAL;
	}
	for (i = 0; i < nr; i++)
		if (!mgr_chain_find(st, chains[i]))
			return no_chain(chains[i], err, errlen);
	ret = chains_once(chains, nr, err, errlen);
	if (ret)
		return ret;
	t = mgr_table_add(st, table, v, nr);
	if (!t)
		return -ENOMEM;
	memcpy(t->chains, chains, nr * sizeof(*chains));
	*version = v;
	return 0;
}

/**
 * mgr_chain_add_target() - let one more target hold what a chain holds
 *
 * It stands last, WAITING; it recovers as soon as no other member does, and
 * serves then. What it held before is replaced.
 *
 * Return: 0, also when it is a member already; as mgr_target_fit(); -ENOENT,
 * -ENOSPC (the chain is full) with a sentence.
 */
int mgr_chain_add_target(struct mgr_state *st, u32 chain, u32 target, char *err, size_t errlen)
{
	struct mgr_chain *c = mgr_chain_find(st, chain);
	struct mgr_target *t = mgr_target_find(st, target);
	int ret;

	if (!c)
		return no_chain(chain, err, errlen);
	if (t && t->chain == chain)
		return 0;
	ret = mgr_target_fit(st, target, err, errlen);
	if (ret)
		return ret;
	if (c->nr == FLINT_CHAIN_MAX) {
		snprintf(err, errlen, "chain %u has %d targets, and that is the most: drop one first",
			 chain, FLINT_CHAIN_MAX);
		return -ENOSPC;
	}
	c->version++;
	chain_join(st, c, t, FLINT_TARGET_WAITING);
	mgr_chain_update(st, c);
	return 0;
}

/* May the chain do without @t for the present? Return: 0 or -EBUSY with a sentence. */
static int chain_spare(struct mgr_state *st, const struct mgr_chain *c, const struct mgr_target *t,
		       char *err, size_t errlen)
{
	u32 i;

	if (t->state < FLINT_TARGET_LASTSRV)
		return 0;
	for (i = 0; i < c->nr; i++) {
		const struct mgr_target *o = mgr_target_find(st, c->targets[i]);
		const struct mgr_node *n = mgr_node_find(st, o->node);

		if (o != t && o->state == FLINT_TARGET_SERVING && !o->wish &&
		    o->local != FLINT_LOCAL_OFFLINE && n && n->state == FLINT_NODE_UP)
			return 0;
	}
	snprintf(err, errlen,
		 "target %u is the last one that has all data of chain %u: wait until another one serves, or add one ('flint status' shows what is missing)",
		 t->id, c->id);
	return -EBUSY;
}

static int target_wish(struct mgr_state *st, struct mgr_chain *c, struct mgr_target *t, u8 wish,
		       u8 why, char *err, size_t errlen)
{
	int ret = wish ? chain_spare(st, c, t, err, errlen) : 0;

	if (ret)
		return ret;
	if (t->wish != wish) {
		chain_event(st, c, t, MGR_EV_WISH, t->wish, wish, why);
		t->wish = wish;
		t->dirty = true;
	}
	mgr_chain_update(st, c);
	return 0;
}

/**
 * mgr_chain_drop_target() - let a target leave its chain for good
 *
 * One that serves stops first: it is a member until it has said so.
 *
 * Return: 0, also when it is in no chain; -ENOENT; -EBUSY: nobody else has the data.
 */
int mgr_chain_drop_target(struct mgr_state *st, u32 chain, u32 target, char *err, size_t errlen)
{
	struct mgr_chain *c = mgr_chain_find(st, chain);
	struct mgr_target *t = mgr_target_find(st, target);

	if (!c)
		return no_chain(chain, err, errlen);
	if (!t)
		return no_target(target, err, errlen);
	if (!t->chain)
		return 0;
	if (t->chain != chain) {
		snprintf(err, errlen, "target %u is in chain %u, not in chain %u", target, t->chain,
			 chain);
		return -ENOENT;
	}
	if (c->nr == 1) {
		snprintf(err, errlen, "target %u is the only one of chain %u: add another one first",
			 target, chain);
		return -EBUSY;
	}
	return target_wish(st, c, t, MGR_WISH_DROP, MGR_WHY_OPERATOR, err, errlen);
}

/**
 * mgr_target_hold() - keep a target out of its chain's work, or let it return
 * @off: keep it out; else every wish about it is taken back
 *
 * Return: 0; -ENOENT; -EBUSY: nobody else has the data.
 */
int mgr_target_hold(struct mgr_state *st, u32 target, bool off, char *err, size_t errlen)
{
	struct mgr_target *t = mgr_target_find(st, target);

	if (!t)
		return no_target(target, err, errlen);
	if (!t->chain) {
		snprintf(err, errlen, "target %u is in no chain", target);
		return off ? -ENOENT : 0;
	}
	return target_wish(st, mgr_chain_find(st, t->chain), t, off ? MGR_WISH_OFF : MGR_WISH_NONE,
			   MGR_WHY_OPERATOR, err, errlen);
}

/* ---- members that cannot reach each other ------------------------------- */

/* For how long it stays out: two leases, twice as long each time, ten minutes at most. */
static u64 deaf_hold_ns(const struct mgr_state *st, const struct mgr_target *t)
{
	u64 ns = 2000000ull * st->set.lease_ms << (t->live.deaf_times < 8 ? t->live.deaf_times : 8);

	return ns < DEAF_MAX_NS ? ns : DEAF_MAX_NS;
}

/* Who has to go: the one behind, or @t itself if it has had no answer from another one just before. */
static struct mgr_target *deaf_choose(struct mgr_state *st, const struct mgr_chain *c,
				      struct mgr_target *t, u64 now_ns)
{
	struct mgr_target *succ = NULL, *o;
	u32 i;

	for (i = 0; i < c->nr; i++) {
		o = mgr_target_find(st, c->targets[i]);
		if (o->wish == MGR_WISH_DEAF && o->state == FLINT_TARGET_SERVING)
			return NULL;	/* one at a time */
		if (i && c->targets[i - 1] == t->id && o->state >= FLINT_TARGET_SYNCING)
			succ = o;
	}
	for (i = 0; i < c->nr && succ; i++) {
		o = mgr_target_find(st, c->targets[i]);
		if (o != succ && o->live.deaf_by == t->id &&
		    now_ns < o->live.deaf_ns + deaf_hold_ns(st, o))
			return t;
	}
	return succ;
}

/**
 * mgr_chain_stuck() - the target behind @t answers no change: what follows
 * @t: its heartbeat was taken in
 *
 * Both are heard by the managers, but not by each other: as long as that lasts no
 * write of the chain would end. The one behind is left out, for a while, if the
 * chain can spare it.
 *
 * Return: did anything change? The caller commits.
 */
bool mgr_chain_stuck(struct mgr_state *st, struct mgr_target *t, u64 now_ns)
{
	struct mgr_chain *c = t->chain ? mgr_chain_find(st, t->chain) : NULL;
	struct mgr_target *out;
	char why[MGR_ERR_LEN];

	if (!c || !(t->live.flags & FLINT_HBT_STUCK) || t->state != FLINT_TARGET_SERVING ||
	    t->wish || t->live.chain_ver != c->version)
		return false;
	out = deaf_choose(st, c, t, now_ns);
	if (!out || out->wish ||
	    target_wish(st, c, out, MGR_WISH_DEAF, MGR_WHY_DEAF, why, sizeof(why)))
		return false;
	if (now_ns > out->live.deaf_ns + DEAF_MAX_NS)
		out->live.deaf_times = 0;
	out->live.deaf_by = t->id;
	out->live.deaf_ns = now_ns + deaf_hold_ns(st, out);
	out->live.deaf_times += out->live.deaf_times < 8;
	flint_warn("target %u has no answer from the one behind it: target %u stays out of chain %u for %u s",
		   t->id, out->id, c->id,
		   (u32)((out->live.deaf_ns - now_ns) / 1000000000));
	return true;
}

/**
 * mgr_deaf_apply() - let those return whose time is over
 * @now_ns: CLOCK_BOOTTIME
 *
 * A new leader does not know since when they are out: they wait anew.
 *
 * Return: did anything change? The caller commits.
 */
bool mgr_deaf_apply(struct mgr_state *st, u64 now_ns)
{
	bool changed = false;
	char why[MGR_ERR_LEN];
	u32 i;

	for (i = 0; i < st->nr_targets; i++) {
		struct mgr_target *t = &st->targets[i];

		if (t->wish != MGR_WISH_DEAF || t->state == FLINT_TARGET_SERVING)
			continue;
		if (!t->live.deaf_ns)
			t->live.deaf_ns = now_ns + deaf_hold_ns(st, t);
		if (now_ns < t->live.deaf_ns)
			continue;
		changed |= !target_wish(st, mgr_chain_find(st, t->chain), t, MGR_WISH_NONE,
					MGR_WHY_AGAIN, why, sizeof(why));
	}
	return changed;
}

/**
 * mgr_target_promote() - let a target serve that may lack what was written last
 *
 * DATA LOSS: everything that only the last-serving set has is given up. Its
 * members recover from this target if they return.
 *
 * Return: 0; -ENOENT; -EBUSY: the chain serves; -EHOSTDOWN: it is not online.
 */
int mgr_target_promote(struct mgr_state *st, u32 target, char *err, size_t errlen)
{
	struct mgr_target *t = mgr_target_find(st, target);
	struct mgr_chain *c = t && t->chain ? mgr_chain_find(st, t->chain) : NULL;
	struct mgr_node *n = t ? mgr_node_find(st, t->node) : NULL;
	struct mgr_member m[FLINT_CHAIN_MAX];
	u32 i;

	if (!c || !n) {
		snprintf(err, errlen, "there is no target %u in a chain", target);
		return -ENOENT;
	}
	if (n->state != FLINT_NODE_UP || !n->incarnation || t->local == FLINT_LOCAL_OFFLINE) {
		snprintf(err, errlen, "target %u on %s is not online: start its chunk server first",
			 target, n->name);
		return -EHOSTDOWN;
	}
	chain_members(st, c, m);
	for (i = 0; i < c->nr; i++) {
		if (m[i].state == FLINT_TARGET_SERVING) {
			snprintf(err, errlen,
				 "chain %u is served by target %u (or waits for it): nothing needs to be given up",
				 c->id, m[i].target);
			return -EBUSY;
		}
		if (m[i].target == target) {
			m[i].state = FLINT_TARGET_SERVING;
			m[i].admit = true;
			t->wish = MGR_WISH_NONE;
		} else if (m[i].state == FLINT_TARGET_LASTSRV) {
			m[i].state = FLINT_TARGET_OFFLINE;
		}
	}
	mgr_chain_sort(m, c->nr);
	flint_warn("an operator lets target %u serve chain %u: what only the last-serving set has is lost",
		   target, c->id);
	chain_event(st, c, t, MGR_EV_TARGET, t->state, FLINT_TARGET_SERVING, MGR_WHY_LOSS);
	chain_store(st, c, m, c->nr, true);
	return 0;
}

bool mgr_target_draining(struct mgr_state *st, const struct mgr_target *t)
{
	const struct mgr_node *n = mgr_node_find(st, t->node);

	return t->draining || (n && n->draining);
}

/**
 * mgr_target_drain() - mark a target: its data is to move to others, no new chains
 *
 * Nothing follows from the mark alone. Return: 0, -ENOENT.
 */
int mgr_target_drain(struct mgr_state *st, u32 target, bool on, char *err, size_t errlen)
{
	struct mgr_target *t = mgr_target_find(st, target);

	if (!t)
		return no_target(target, err, errlen);
	if (t->draining != on)
		chain_event(st, NULL, t, MGR_EV_DRAIN, t->draining, on, MGR_WHY_OPERATOR);
	t->draining = on;
	t->dirty = true;
	return 0;
}

/* The same for all targets of a node, present and future. Return: 0, -ENOENT. */
int mgr_node_drain(struct mgr_state *st, u32 node, bool on, char *err, size_t errlen)
{
	struct mgr_node *n = mgr_node_find(st, node);
	struct mgr_event ev = {
		.kind = MGR_EV_DRAIN, .node = node, .to = on, .reason = MGR_WHY_OPERATOR,
	};

	if (!n || n->gone || n->role != FLINT_ROLE_CHUNK) {
		snprintf(err, errlen, "there is no chunk server with id %u", node);
		return -ENOENT;
	}
	ev.from = n->draining;
	if (n->draining != on)
		mgr_event_add(st, &ev);
	n->draining = on;
	n->dirty = true;
	return 0;
}
