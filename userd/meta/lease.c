// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The leader's table of leases; see lease.h for what it promises.
 *
 *	object		an inode somebody holds, writes or changes; also remembers for
 *			a while how often it was recalled
 *	lease		what one session holds on one object; in the object's list,
 *			the session's list, a hash by both, and in the order of age
 *	item		one inode of a change; in its object's list of items
 *
 * While no session takes part, changes are only counted: a table that nobody
 * uses costs an increment. The first session turns tracking on; grants begin
 * when the last uncounted change has ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <uthash.h>
#include "lease.h"

#define HEAT_NS		1000000000ull	/* recalls this close to each other are one argument */
#define HEAT_RECALLS	4		/* so many are one too many */
#define COOL_MIN_NS	1000000000ull
#define COOL_MAX_NS	16000000000ull
#define EVICT_BATCH	64
#define COLD_MAX	65536		/* objects kept only for what they remember */

/* What a grant cannot stand beside, in another session. */
static const struct {
	u32 kind, against;
} conflicts[] = {
	{ FLINT_LEASE_READ,	 FLINT_LEASE_WRITE | FLINT_LEASE_DIR_WRITE },
	{ FLINT_LEASE_DIR,	 FLINT_LEASE_DIR_WRITE },
	{ FLINT_LEASE_WRITE,	 FLINT_LEASE_READ | FLINT_LEASE_WRITE },
	{ FLINT_LEASE_DIR_WRITE, FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE },
};

/* What a request breaks, in other sessions. */
static const u32 breaks[LEASE_ACTIONS] = {
	[LEASE_SEE_ATTR]	= FLINT_LEASE_WRITE | FLINT_LEASE_DIR_WRITE,
	[LEASE_SEE_ENTRIES]	= FLINT_LEASE_DIR_WRITE,
	[LEASE_SET_ATTR]	= FLINT_LEASE_READ | FLINT_LEASE_WRITE | FLINT_LEASE_DIR_WRITE,
	[LEASE_SET_ENTRIES]	= FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE,
	[LEASE_WRITE_DATA]	= FLINT_LEASE_READ | FLINT_LEASE_WRITE,
	[LEASE_SET_OWN]		= FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE,
};

struct lease_key {
	u64 ino, sid;
};

struct lease {
	struct lease_key key;
	u32 kinds;
	u32 recalling;		/* of kinds */
	u64 seq;		/* of the last grant */
	u64 recall_ns;
	struct lease_obj *obj;
	struct lease_session *session;
	struct lease *obj_next, **obj_prev;
	struct lease *sn_next, **sn_prev;
	struct lease *old_next, *old_prev;	/* by age, or by age of the recall */
	UT_hash_handle hh;
};

struct writer {
	u64 sid;
	u32 opens;
	struct writer *next;
};

struct lease_obj {
	u64 ino;
	struct lease *leases;
	struct lease_item *items;
	struct writer *writers;
	u64 change_sid;		/* whose the changes are, if they are of one session */
	u32 changes;		/* that break something; mixed: of several sessions */
	bool mixed;
	u32 recalls;		/* within HEAT_NS of each other */
	u64 recall_ns;		/* the last of them */
	u64 cool_ns, cool_until_ns;
	struct lease_obj *cold_next, *cold_prev;
	bool cold;
	UT_hash_handle hh;
};

struct lease_session {
	u64 sid;
	u64 seq;
	struct lease *leases;
	u64 muted;			/* round of lease_tick() that found it so */
	bool must_reclaim, expiring, all_hints;
	u8 hints[LEASE_HINT_BYTES];
	UT_hash_handle hh;
};

/* Head and tail of a list through old_next/old_prev. */
struct age_list {
	struct lease *head, *tail;
};

struct lease_table {
	struct lease_config cfg;
	struct lease_obj *objs;
	struct lease *leases;
	struct lease_session *sessions;
	struct age_list held, recalled;
	struct lease_obj *cold_head, *cold_tail;
	u32 nr_cold;
	u64 leadership;
	u64 round;
	u64 untracked;			/* changes begun while nobody took part */
	bool grace, starting;
	u64 to_reclaim;
	u64 may_hold_any;		/* sessions to reclaim without hints */
	u64 may_hold[LEASE_HINT_BITS];	/* sessions to reclaim with this hint */
	struct lease_change *waiting;	/* for the end of grace */
	struct lease_stats st;
};

/* ---- small lists -------------------------------------------------------------- */

static void age_add(struct age_list *l, struct lease *le)
{
	le->old_next = NULL;
	le->old_prev = l->tail;
	if (l->tail)
		l->tail->old_next = le;
	else
		l->head = le;
	l->tail = le;
}

static void age_del(struct age_list *l, struct lease *le)
{
	if (le->old_prev)
		le->old_prev->old_next = le->old_next;
	else
		l->head = le->old_next;
	if (le->old_next)
		le->old_next->old_prev = le->old_prev;
	else
		l->tail = le->old_prev;
}

static struct age_list *age_of(struct lease_table *t, const struct lease *le)
{
	return le->recalling ? &t->recalled : &t->held;
}

/* ---- objects -------------------------------------------------------------------- */

static struct lease_obj *obj_find(const struct lease_table *t, u64 ino)
{
	struct lease_obj *o;

	HASH_FIND(hh, t->objs, &ino, sizeof(ino), o);
	return o;
}

static void obj_warm(struct lease_table *t, struct lease_obj *o)
{
	if (!o->cold)
		return;
	if (o->cold_prev)
		o->cold_prev->cold_next = o->cold_next;
	else
		t->cold_head = o->cold_next;
	if (o->cold_next)
		o->cold_next->cold_prev = o->cold_prev;
	else
		t->cold_tail = o->cold_prev;
	o->cold = false;
	t->nr_cold--;
}

static void obj_drop(struct lease_table *t, struct lease_obj *o)
{
	obj_warm(t, o);
	HASH_DEL(t->objs, o);
	t->st.objects--;
	free(o);
}

static struct lease_obj *obj_get(struct lease_table *t, u64 ino)
{
	struct lease_obj *o = obj_find(t, ino);

	if (o) {
		obj_warm(t, o);
		return o;
	}
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->ino = ino;
	HASH_ADD(hh, t->objs, ino, sizeof(o->ino), o);
	t->st.objects++;
	return o;
}

/* Nothing refers to it any more? Then it goes, or is kept for what it remembers. */
static void obj_put(struct lease_table *t, struct lease_obj *o)
{
	if (o->leases || o->items || o->writers)
		return;
	if (!o->recall_ns) {
		obj_drop(t, o);
		return;
	}
	if (o->cold)
		return;
	if (t->nr_cold >= COLD_MAX)
		obj_drop(t, t->cold_head);
	o->cold = true;
	o->cold_next = NULL;
	o->cold_prev = t->cold_tail;
	if (t->cold_tail)
		t->cold_tail->cold_next = o;
	else
		t->cold_head = o;
	t->cold_tail = o;
	t->nr_cold++;
}

/* One more recall: what is recalled again and again is left alone for a while. */
static void obj_heat(struct lease_obj *o, u64 now)
{
	if (o->recall_ns && now - o->recall_ns < HEAT_NS) {
		o->recalls++;
	} else {
		o->recalls = 1;
		if (now - o->recall_ns > COOL_MAX_NS)
			o->cool_ns = 0;
	}
	o->recall_ns = now ? now : 1;
	if (o->recalls < HEAT_RECALLS)
		return;
	o->recalls = 0;
	o->cool_ns = o->cool_ns ? o->cool_ns * 2 : COOL_MIN_NS;
	if (o->cool_ns > COOL_MAX_NS)
		o->cool_ns = COOL_MAX_NS;
	o->cool_until_ns = now + o->cool_ns;
}

/* ---- leases ---------------------------------------------------------------------- */

static struct lease *lease_find(const struct lease_table *t, u64 ino, u64 sid)
{
	struct lease_key key = { ino, sid };
	struct lease *le;

	HASH_FIND(hh, t->leases, &key, sizeof(key), le);
	return le;
}

static struct lease *lease_make(struct lease_table *t, struct lease_obj *o,
				struct lease_session *sn)
{
	struct lease *le = calloc(1, sizeof(*le));

	if (!le)
		return NULL;
	le->key.ino = o->ino;
	le->key.sid = sn->sid;
	le->obj = o;
	le->session = sn;
	le->obj_next = o->leases;
	le->obj_prev = &o->leases;
	if (le->obj_next)
		le->obj_next->obj_prev = &le->obj_next;
	o->leases = le;
	le->sn_next = sn->leases;
	le->sn_prev = &sn->leases;
	if (le->sn_next)
		le->sn_next->sn_prev = &le->sn_next;
	sn->leases = le;
	age_add(&t->held, le);
	HASH_ADD(hh, t->leases, key, sizeof(le->key), le);
	t->st.leases++;
	return le;
}

static void change_ready(struct lease_table *t, struct lease_change *c)
{
	if (!c->waits && !c->in_grace)
		t->cfg.ops->ready(t->cfg.arg, c);
}

/*
 * The lease shrinks to @kinds, or goes. Items that waited for it hear of it: as
 * nobody but the changes' own session is granted anything while they are there,
 * a lease in their way was counted when they began.
 */
static void lease_shrink(struct lease_table *t, struct lease *le, u32 kinds)
{
	struct lease_obj *o = le->obj;
	struct lease_item *it, *next;
	u32 gone = le->kinds & ~kinds, left = le->kinds & kinds;
	struct lease_change *ready = NULL, **tail = &ready, *c;
	u64 sid = le->key.sid;

	if (le->recalling && !(le->recalling & left)) {
		age_del(&t->recalled, le);
		le->recalling = 0;
		age_add(&t->held, le);
	}
	le->recalling &= left;
	le->kinds = left;
	if (!left) {
		age_del(age_of(t, le), le);
		HASH_DEL(t->leases, le);
		*le->obj_prev = le->obj_next;
		if (le->obj_next)
			le->obj_next->obj_prev = le->obj_prev;
		*le->sn_prev = le->sn_next;
		if (le->sn_next)
			le->sn_next->sn_prev = le->sn_prev;
		free(le);
		t->st.leases--;
	}
	for (it = o->items; it; it = next) {
		next = it->next;
		if (it->change->sid == sid || !(gone & it->breaks) || (left & it->breaks))
			continue;
		if (--it->waits || --it->change->waits)
			continue;
		/* Told once the table is in order again. */
		c = it->change;
		if (!c->in_grace) {
			c->next = NULL;
			*tail = c;
			tail = &c->next;
		}
	}
	obj_put(t, o);
	while ((c = ready)) {
		ready = c->next;
		c->next = NULL;
		change_ready(t, c);
	}
}

static void recall(struct lease_table *t, struct lease *le, u32 kinds, u64 now)
{
	kinds &= le->kinds & ~le->recalling;
	if (!kinds)
		return;
	if (!le->recalling) {
		age_del(&t->held, le);
		le->recall_ns = now;
		le->recalling = kinds;
		age_add(&t->recalled, le);
	}
	le->recalling |= kinds;
	obj_heat(le->obj, now);
	t->st.recalls++;
	t->cfg.ops->recall(t->cfg.arg, le->key.sid, le->key.ino, kinds, le->seq);
}

/* Kinds that may not be given because of what others hold or write. */
static u32 refused(const struct lease_obj *o, u64 sid)
{
	const struct lease *le;
	const struct writer *w;
	u32 others = 0, no = FLINT_LEASE_WRITE;
	size_t i;

	for (w = o->writers; w; w = w->next)
		if (w->sid == sid)
			no = 0;
	for (le = o->leases; le; le = le->obj_next)
		if (le->key.sid != sid)
			others |= le->kinds;
	for (i = 0; i < sizeof(conflicts) / sizeof(conflicts[0]); i++)
		if (others & conflicts[i].against)
			no |= conflicts[i].kind;
	for (w = o->writers; w; w = w->next)
		if (w->sid != sid)
			no |= FLINT_LEASE_READ | FLINT_LEASE_WRITE;
	return no;
}

/* Full: the oldest make room for those who come. */
static void evict(struct lease_table *t, u64 now)
{
	struct lease *le, *next;
	u32 n = 0;

	for (le = t->held.head; le && n < EVICT_BATCH; le = next, n++) {
		next = le->old_next;
		recall(t, le, le->kinds, now);
	}
}

static bool hinted(const struct lease_session *sn, u64 ino)
{
	return sn->all_hints || lease_hint_test(sn->hints, ino);
}

static struct lease_session *session_find(const struct lease_table *t, u64 sid)
{
	struct lease_session *sn;

	HASH_FIND(hh, t->sessions, &sid, sizeof(sid), sn);
	return sn;
}

/*
 * @seq 0: the session's next number. @made: nobody else can hold anything on it, whoever has not
 * said yet what it holds. Return: the lease, with *@granted of @kinds, or NULL.
 */
static struct lease *grant(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now, u64 seq,
			   bool made, u32 *granted)
{
	struct lease_session *sn = session_find(t, sid);
	struct lease_obj *o;
	struct lease *le;

	*granted = 0;
	if (!sn || !ino || sn->must_reclaim || sn->expiring ||
	    (!made && (t->grace || t->untracked)))
		return NULL;
	le = lease_find(t, ino, sid);
	if (!le && t->st.leases >= t->cfg.max_leases) {
		evict(t, now);
		/* Below a directory that was delegated there may be promises already. */
		if (!(kinds & FLINT_LEASE_DIR_WRITE)) {
			t->st.refusals++;
			return NULL;
		}
	}
	o = obj_get(t, ino);
	if (!o)
		return NULL;
	kinds &= ~refused(o, sid);
	if ((le && le->recalling) || o->cool_until_ns > now ||
	    (o->changes && (o->mixed || o->change_sid != sid)))
		kinds = 0;
	if (kinds && !le)
		le = lease_make(t, o, sn);
	if (!kinds || !le) {
		t->st.refusals++;
		obj_put(t, o);
		return NULL;
	}
	le->kinds |= kinds;
	le->seq = seq ? seq : ++sn->seq;
	age_del(&t->held, le);
	age_add(&t->held, le);
	t->st.grants++;
	*granted = kinds;
	return le;
}

u64 lease_grant(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now, u32 *granted)
{
	const struct lease *le = grant(t, sid, ino, kinds, now, 0, false, granted);

	return le ? le->seq : 0;
}

u64 lease_number(struct lease_table *t, u64 sid)
{
	struct lease_session *sn = session_find(t, sid);

	return sn ? ++sn->seq : 0;
}

u32 lease_grant_at(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now, u64 seq)
{
	u32 granted;

	grant(t, sid, ino, kinds, now, seq, false, &granted);
	return granted;
}

u32 lease_grant_made(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now, u64 seq)
{
	u32 granted;

	grant(t, sid, ino, kinds, now, seq, true, &granted);
	return granted;
}

void lease_recall_again(struct lease_table *t, u64 sid)
{
	struct lease_session *sn = session_find(t, sid);
	struct lease *le;

	for (le = sn ? sn->leases : NULL; le; le = le->sn_next)
		if (le->recalling)
			t->cfg.ops->recall(t->cfg.arg, sid, le->key.ino, le->recalling, le->seq);
}

void lease_return(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 seq)
{
	struct lease *le = lease_find(t, ino, sid);

	if (!le || le->seq > seq)
		return;		/* a grant was made after the holder said so */
	t->st.returns++;
	lease_shrink(t, le, le->kinds & ~kinds);
}

u32 lease_held(const struct lease_table *t, u64 sid, u64 ino)
{
	const struct lease *le = lease_find(t, ino, sid);

	return le ? le->kinds : 0;
}

void lease_used(struct lease_table *t, u64 sid, u64 ino)
{
	struct lease *le = lease_find(t, ino, sid);

	if (!le || le->recalling)
		return;
	age_del(&t->held, le);
	age_add(&t->held, le);
}

/* ---- writers ------------------------------------------------------------------------ */

int lease_writer_add(struct lease_table *t, u64 ino, u64 sid)
{
	struct lease_obj *o = obj_get(t, ino);
	struct writer *w;

	if (!o)
		return -ENOMEM;
	for (w = o->writers; w; w = w->next)
		if (w->sid == sid) {
			w->opens++;
			return 0;
		}
	w = calloc(1, sizeof(*w));
	if (!w) {
		obj_put(t, o);
		return -ENOMEM;
	}
	w->sid = sid;
	w->opens = 1;
	w->next = o->writers;
	o->writers = w;
	return 0;
}

void lease_writer_del(struct lease_table *t, u64 ino, u64 sid)
{
	struct lease_obj *o = obj_find(t, ino);
	struct writer **link, *w;

	if (!o)
		return;
	for (link = &o->writers; (w = *link); link = &w->next)
		if (w->sid == sid)
			break;
	if (!w || --w->opens)
		return;
	*link = w->next;
	free(w);
	obj_put(t, o);
}

/* ---- changes ------------------------------------------------------------------------ */

void lease_change_add(struct lease_change *c, u64 ino, enum lease_action action)
{
	u32 i;

	if (!ino)
		return;
	for (i = 0; i < c->nr && c->item[i].ino != ino; i++)
		;
	if (i == LEASE_ITEMS_MAX)
		return;		/* no request has so many: lease_change_add()'s callers are few */
	if (i == c->nr) {
		c->item[i] = (struct lease_item){ .ino = ino };
		c->nr++;
	}
	c->item[i].breaks |= breaks[action];
}

static void item_unlink(struct lease_table *t, struct lease_item *it)
{
	struct lease_obj *o = it->obj;

	*it->prev = it->next;
	if (it->next)
		it->next->prev = it->prev;
	if (!--o->changes)
		o->mixed = false;
	it->obj = NULL;
	obj_put(t, o);
}

/* May a session that has not reclaimed be the file's sole writer? Handles are replicated. */
static bool grace_writer(const struct lease_table *t, u64 ino, u64 sid)
{
	const struct lease_obj *o = obj_find(t, ino);
	const struct writer *w;

	for (w = o ? o->writers : NULL; w; w = w->next)
		if (w->sid != sid && lease_must_reclaim(t, w->sid))
			return true;
	return false;
}

/* Could a session that has not reclaimed hold what @bits break on the inode? */
static bool grace_hides(const struct lease_table *t, u64 sid, u64 ino, u32 bits)
{
	const struct lease_session *sn;
	u64 any = t->may_hold_any, some = t->may_hold[lease_hint_bucket(ino)];

	if (!t->grace)
		return false;
	if (!(bits & (FLINT_LEASE_READ | FLINT_LEASE_DIR)))
		return grace_writer(t, ino, sid);
	sn = session_find(t, sid);
	if (sn && sn->must_reclaim) {	/* itself does not count */
		any -= sn->all_hints;
		some -= !sn->all_hints && hinted(sn, ino);
	}
	return any || some;
}

static bool grace_blocks(const struct lease_table *t, const struct lease_change *c)
{
	u32 i;

	for (i = 0; i < c->nr; i++)
		if (grace_hides(t, c->sid, c->item[i].ino, c->item[i].breaks))
			return true;
	return false;
}

bool lease_may_come(const struct lease_table *t, u64 sid, u64 ino)
{
	return grace_hides(t, sid, ino, FLINT_LEASE_READ);
}

bool lease_hides(const struct lease_table *t, u64 sid, u64 ino, enum lease_action action)
{
	const struct lease_obj *o;
	const struct lease *le;

	if (!t->sessions)
		return false;
	if (grace_hides(t, sid, ino, breaks[action]))
		return true;
	o = obj_find(t, ino);
	for (le = o ? o->leases : NULL; le; le = le->obj_next)
		if (le->key.sid != sid && (le->kinds & breaks[action]))
			return true;
	return false;
}

static void grace_join(struct lease_table *t, struct lease_change *c)
{
	c->in_grace = true;
	c->next = t->waiting;
	c->prev = &t->waiting;
	if (c->next)
		c->next->prev = &c->next;
	t->waiting = c;
}

static void grace_leave(struct lease_change *c)
{
	c->in_grace = false;
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->next = NULL;
}

/* Count and recall what stands in an item's way. */
static void item_recall(struct lease_table *t, struct lease_item *it, u64 now)
{
	struct lease *le;

	for (le = it->obj->leases; le; le = le->obj_next)
		if (le->key.sid != it->change->sid && (le->kinds & it->breaks)) {
			it->waits++;
			recall(t, le, it->breaks, now);
		}
	if (it->waits)
		it->change->waits++;
}

static int item_link(struct lease_table *t, struct lease_change *c, struct lease_item *it)
{
	struct lease_obj *o = obj_get(t, it->ino);

	if (!o)
		return -ENOMEM;
	it->obj = o;
	it->change = c;
	it->waits = 0;
	it->next = o->items;
	it->prev = &o->items;
	if (it->next)
		it->next->prev = &it->next;
	o->items = it;
	if (o->changes++ && o->change_sid != c->sid)
		o->mixed = true;
	if (o->changes == 1)
		o->change_sid = c->sid;
	return 0;
}

int lease_change_begin(struct lease_table *t, struct lease_change *c, u64 now)
{
	u32 i;

	c->begun = true;
	c->waits = 0;
	c->in_grace = false;
	c->leadership = t->leadership;
	c->tracked = t->sessions != NULL;
	if (!c->tracked) {
		t->untracked++;
		return 1;
	}
	for (i = 0; i < c->nr; i++)
		if (item_link(t, c, &c->item[i]))
			goto undo;
	for (i = 0; i < c->nr; i++)
		item_recall(t, &c->item[i], now);
	if (grace_blocks(t, c))
		grace_join(t, c);
	return !c->waits && !c->in_grace;

undo:
	while (i--)
		item_unlink(t, &c->item[i]);
	c->begun = false;
	return -ENOMEM;
}

void lease_change_end(struct lease_table *t, struct lease_change *c)
{
	u32 i;

	if (!c->begun)
		return;
	c->begun = false;
	if (c->leadership != t->leadership)
		return;
	if (!c->tracked) {
		t->untracked--;
		return;
	}
	if (c->in_grace)
		grace_leave(c);
	for (i = 0; i < c->nr; i++)
		item_unlink(t, &c->item[i]);
}

/* ---- sessions ------------------------------------------------------------------------- */

/* One session more or less that the grace period waits for. */
static void reclaim_count(struct lease_table *t, const struct lease_session *sn, u64 by)
{
	u32 i;

	t->to_reclaim += by;
	if (sn->all_hints)
		t->may_hold_any += by;
	for (i = 0; !sn->all_hints && i < LEASE_HINT_BITS; i++)
		if (sn->hints[i / 8] & 1u << i % 8)
			t->may_hold[i] += by;
}

int lease_session_add(struct lease_table *t, u64 sid, bool must_reclaim, const u8 *hints)
{
	struct lease_session *sn = session_find(t, sid);

	if (sn)
		return 0;
	sn = calloc(1, sizeof(*sn));
	if (!sn)
		return -ENOMEM;
	sn->sid = sid;
	sn->all_hints = !hints;
	if (hints)
		memcpy(sn->hints, hints, sizeof(sn->hints));
	sn->must_reclaim = must_reclaim && t->starting;
	if (sn->must_reclaim)
		reclaim_count(t, sn, 1);
	HASH_ADD(hh, t->sessions, sid, sizeof(sn->sid), sn);
	t->st.sessions++;
	return 0;
}

bool lease_tracking(const struct lease_table *t)
{
	return t->sessions != NULL;
}

void lease_give_up(struct lease_table *t)
{
	t->untracked++;		/* like a change that never ends */
}

bool lease_session_known(const struct lease_table *t, u64 sid)
{
	return session_find(t, sid) != NULL;
}

bool lease_muted(const struct lease_table *t, u64 sid)
{
	const struct lease_session *sn = session_find(t, sid);

	return sn && sn->muted && sn->muted == t->round;
}

u64 lease_session_seq(const struct lease_table *t, u64 sid)
{
	const struct lease_session *sn = session_find(t, sid);

	return sn ? sn->seq : 0;
}

/* One session less to wait for: changes that only it could have met go on. */
static void grace_check(struct lease_table *t)
{
	struct lease_change *c, *next, *go = NULL, **tail = &go;

	if (!t->grace || t->starting)
		return;
	if (!t->to_reclaim)
		t->grace = false;
	else if (t->may_hold_any > 1)
		return;		/* nothing can be let through yet */
	for (c = t->waiting; c; c = next) {
		next = c->next;
		if (grace_blocks(t, c))
			continue;
		grace_leave(c);
		if (!c->waits) {
			*tail = c;
			tail = &c->next;
		}
	}
	while ((c = go)) {
		go = c->next;
		c->next = NULL;
		change_ready(t, c);
	}
	if (!t->grace && t->cfg.ops->grace_over)
		t->cfg.ops->grace_over(t->cfg.arg);
}

static void session_reclaimed(struct lease_table *t, struct lease_session *sn)
{
	if (!sn->must_reclaim)
		return;
	sn->must_reclaim = false;
	reclaim_count(t, sn, -1ull);
}

void lease_session_del(struct lease_table *t, u64 sid)
{
	struct lease_session *sn = session_find(t, sid);
	bool waited;

	if (!sn)
		return;
	waited = sn->must_reclaim;
	session_reclaimed(t, sn);
	HASH_DEL(t->sessions, sn);
	t->st.sessions--;
	while (sn->leases)
		lease_shrink(t, sn->leases, 0);
	free(sn);
	if (waited)
		grace_check(t);
}

void lease_session_shed(struct lease_table *t, u64 sid)
{
	struct lease_session *sn = session_find(t, sid);
	struct lease *le, *next;

	if (!sn)
		return;
	sn->expiring = true;
	for (le = sn->leases; le; le = next) {
		next = le->sn_next;
		lease_shrink(t, le, le->kinds & FLINT_LEASE_WRITE);
	}
}

/* ---- leadership ------------------------------------------------------------------------ */

static void forget(struct lease_table *t)
{
	struct lease_session *sn, *sn_tmp;
	struct lease_obj *o, *o_tmp;
	struct lease *le, *le_tmp;
	struct writer *w;

	HASH_ITER(hh, t->leases, le, le_tmp) {
		HASH_DEL(t->leases, le);
		free(le);
	}
	HASH_ITER(hh, t->sessions, sn, sn_tmp) {
		HASH_DEL(t->sessions, sn);
		free(sn);
	}
	HASH_ITER(hh, t->objs, o, o_tmp) {
		while ((w = o->writers)) {
			o->writers = w->next;
			free(w);
		}
		HASH_DEL(t->objs, o);
		free(o);
	}
	t->held = (struct age_list){ 0 };
	t->recalled = (struct age_list){ 0 };
	t->cold_head = t->cold_tail = NULL;
	t->nr_cold = 0;
	t->untracked = 0;
	t->leadership++;
	t->to_reclaim = t->may_hold_any = 0;
	memset(t->may_hold, 0, sizeof(t->may_hold));
	t->waiting = NULL;
	t->grace = false;
	t->st.leases = t->st.objects = t->st.sessions = 0;
}

void lease_start(struct lease_table *t)
{
	forget(t);
	t->starting = true;
	t->grace = true;
}

void lease_start_end(struct lease_table *t)
{
	t->starting = false;
	grace_check(t);
}

void lease_stop(struct lease_table *t)
{
	forget(t);
	t->starting = false;
}

bool lease_in_grace(const struct lease_table *t)
{
	return t->grace;
}

bool lease_must_reclaim(const struct lease_table *t, u64 sid)
{
	const struct lease_session *sn = session_find(t, sid);

	return sn && sn->must_reclaim;
}

u64 lease_reclaim(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now)
{
	struct lease_session *sn = session_find(t, sid);
	struct lease_item *it;
	struct lease_obj *o;
	struct lease *le;
	u32 before;

	if (!sn || !sn->must_reclaim || !ino || (kinds & ~(u32)FLINT_LEASE_KINDS) || !kinds)
		return 0;
	o = obj_get(t, ino);
	if (!o)
		return 0;
	/* Honest clients cannot meet a conflict here, nor a bucket without hint; others get nothing. */
	if (!hinted(sn, ino) || (kinds & refused(o, sid)))
		goto no;
	le = lease_find(t, ino, sid);
	if (!le)
		le = lease_make(t, o, sn);
	if (!le)
		goto no;
	before = le->kinds;
	le->kinds |= kinds;
	le->seq = ++sn->seq;
	/* A change may have begun to wait for just this. */
	for (it = o->items; it; it = it->next) {
		if (it->change->sid == sid || !(le->kinds & it->breaks))
			continue;
		if (!(before & it->breaks) && !it->waits++)
			it->change->waits++;
		recall(t, le, it->breaks, now);
	}
	return le->seq;
no:
	obj_put(t, o);
	return 0;
}

void lease_reclaimed(struct lease_table *t, u64 sid)
{
	struct lease_session *sn = session_find(t, sid);

	if (!sn || !sn->must_reclaim)
		return;
	session_reclaimed(t, sn);
	grace_check(t);
}

/* ---- time, life ----------------------------------------------------------------------- */

void lease_tick(struct lease_table *t, u64 now)
{
	u64 lease_ns = t->cfg.lease_ms * 1000000ull;
	struct lease *le;

	t->round++;
	for (le = t->recalled.head; le && now - le->recall_ns >= lease_ns / 4; le = le->old_next)
		le->session->muted = t->round;
	for (le = t->recalled.head; le && now - le->recall_ns >= lease_ns;) {
		if (le->session->expiring) {
			le = le->old_next;
			continue;
		}
		le->session->expiring = true;
		t->st.expiries++;
		t->cfg.ops->expire(t->cfg.arg, le->key.sid);
		le = t->recalled.head;	/* the session may be gone already */
	}
	while (t->cold_head && now - t->cold_head->recall_ns > 2 * COOL_MAX_NS)
		obj_drop(t, t->cold_head);
}

void lease_unheard(struct lease_table *t, u64 now, u64 ns)
{
	struct lease *le;

	for (le = t->recalled.head; le; le = le->old_next)
		le->recall_ns = le->recall_ns + ns < now ? le->recall_ns + ns : now;
}

struct lease_table *lease_new(const struct lease_config *cfg)
{
	struct lease_table *t = calloc(1, sizeof(*t));

	if (t)
		t->cfg = *cfg;
	return t;
}

void lease_free(struct lease_table *t)
{
	if (!t)
		return;
	forget(t);
	free(t);
}

void lease_stats(const struct lease_table *t, struct lease_stats *st)
{
	*st = t->st;
	st->to_reclaim = t->to_reclaim;
}
