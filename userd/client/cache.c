// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cache of a session; see cache.h.
 *
 *	node	an inode: lease, attributes, local opens; a directory's names
 *	dentry	a name of a directory: what it stands for, if that is known
 *
 * A node without lease, opens or mutations in flight is dropped at once, with
 * its names; nodes with a lease only are dropped, oldest first, when there are
 * too many. What the server was not told of yet (own) is as if leased, without a number, and
 * stays; its directory is busy until then. When something that a mutation touched is dropped, the clock of that
 * moment becomes the floor: replies to requests from before it are not kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <uthash.h>
#include "cache.h"

#define RECALLS_KEPT	64
#define TRIM_PASS	64	/* own nodes that one look for what can go passes by */

struct dentry {
	struct node *dir;
	uint64_t ino;			/* known: 0: the name is absent */
	uint64_t cookie;		/* 0: not known */
	uint64_t mut_clock;		/* when a mutation of it last ended */
	uint32_t busy;
	bool known, overlapped;
	uint8_t type;
	struct dentry *next, **prev;	/* of the directory */
	UT_hash_handle hh;
	uint32_t key_len;
	struct {
		uint64_t dir;
		char name[];
	} key;
};

struct node {
	uint64_t ino;
	uint32_t kinds;
	uint64_t seq;
	uint64_t held_clock;		/* when a kind was last new */
	uint64_t reply;			/* the last one with a grant of it */
	struct flint_attr attr;
	bool attr_ok;
	uint32_t busy, promised;	/* promised: of busy: names in it that are own */
	bool own;
	uint64_t mut_clock;
	/* directories */
	struct dentry *names;
	uint32_t nr_names;
	bool complete;			/* a name that is not here is absent */
	bool listed;			/* every present name has its cookie */
	uint64_t scan_cookie, scan_clock;
	bool scanning;
	struct dentry **order;		/* by cookie, made when listed is asked for */
	uint32_t nr_order;
	/* files */
	uint32_t opens;
	uint64_t handle;
	bool registering, pinned;
	uint32_t owed;			/* kinds to give back after registering */
	uint64_t owed_seq;

	struct node *lru_next, *lru_prev;
	UT_hash_handle hh;
};

struct fs_cache {
	const struct cache_ops *ops;
	void *arg;
	uint32_t max, nr_names, nr_held;
	uint32_t blind;			/* changes under way that could be anywhere */
	uint64_t clock, floor;
	uint64_t reply;
	struct node *nodes;
	struct dentry *names;
	struct node *lru_head, *lru_tail;	/* head: the oldest */
	struct {
		uint64_t ino, seq;
		uint32_t kinds;
	} recalls[RECALLS_KEPT];
	uint32_t recall_at;
	uint64_t recall_floor;		/* grants up to this are not leases */
};

/* ---- nodes and names ---------------------------------------------------------------- */

static struct node *node_find(struct fs_cache *c, uint64_t ino)
{
	struct node *n;

	HASH_FIND(hh, c->nodes, &ino, sizeof(ino), n);
	return n;
}

static void lru_unlink(struct fs_cache *c, struct node *n)
{
	if (n->lru_prev)
		n->lru_prev->lru_next = n->lru_next;
	else
		c->lru_head = n->lru_next;
	if (n->lru_next)
		n->lru_next->lru_prev = n->lru_prev;
	else
		c->lru_tail = n->lru_prev;
}

static void lru_append(struct fs_cache *c, struct node *n)
{
	n->lru_next = NULL;
	n->lru_prev = c->lru_tail;
	if (c->lru_tail)
		c->lru_tail->lru_next = n;
	else
		c->lru_head = n;
	c->lru_tail = n;
}

static struct node *node_get(struct fs_cache *c, uint64_t ino)
{
	struct node *n = node_find(c, ino);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->ino = ino;
	HASH_ADD(hh, c->nodes, ino, sizeof(n->ino), n);
	lru_append(c, n);
	return n;
}

static void floor_raise(struct fs_cache *c, uint64_t clock)
{
	if (clock > c->floor)
		c->floor = clock;
}

static void dentry_free(struct fs_cache *c, struct dentry *d)
{
	floor_raise(c, d->mut_clock);
	HASH_DEL(c->names, d);
	*d->prev = d->next;
	if (d->next)
		d->next->prev = d->prev;
	d->dir->nr_names--;
	c->nr_names--;
	free(d);
}

static void order_drop(struct node *n)
{
	free(n->order);
	n->order = NULL;
	n->nr_order = 0;
}

/* The directory's lease is gone: so is what it says, but for names in flight. */
static void names_drop(struct fs_cache *c, struct node *n)
{
	struct dentry *d, *next;

	n->complete = n->listed = n->scanning = false;
	order_drop(n);
	for (d = n->names; d; d = next) {
		next = d->next;
		d->known = false;
		if (!d->busy)
			dentry_free(c, d);
	}
}

/* Drop the node if nothing needs it. */
static void node_put(struct fs_cache *c, struct node *n)
{
	if (n->kinds || n->busy || n->opens || n->registering || n->owed || n->names || n->pinned ||
	    n->own)
		return;
	floor_raise(c, n->mut_clock);
	lru_unlink(c, n);
	HASH_DEL(c->nodes, n);
	order_drop(n);
	free(n);
}

static struct dentry *dentry_find(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len)
{
	struct {
		uint64_t dir;
		char name[FLINT_NAME_MAX];
	} key;
	struct dentry *d;

	if (len > FLINT_NAME_MAX)
		return NULL;
	key.dir = dir;
	memcpy(key.name, name, len);
	HASH_FIND(hh, c->names, &key, sizeof(uint64_t) + len, d);
	return d;
}

static struct dentry *dentry_get(struct fs_cache *c, struct node *dir, const char *name,
				 uint32_t len)
{
	struct dentry *d = dentry_find(c, dir->ino, name, len);

	if (d || len > FLINT_NAME_MAX)
		return d;
	d = calloc(1, sizeof(*d) + len);
	if (!d)
		return NULL;
	d->dir = dir;
	d->key.dir = dir->ino;
	memcpy(d->key.name, name, len);
	d->key_len = sizeof(uint64_t) + len;
	HASH_ADD_KEYPTR(hh, c->names, &d->key, d->key_len, d);
	d->next = dir->names;
	d->prev = &dir->names;
	if (d->next)
		d->next->prev = &d->next;
	dir->names = d;
	dir->nr_names++;
	c->nr_names++;
	return d;
}

/* ---- leases ------------------------------------------------------------------------------ */

static void kinds_set(struct fs_cache *c, struct node *n, uint32_t kinds)
{
	c->nr_held += !n->kinds && kinds;
	c->nr_held -= n->kinds && !kinds;
	n->kinds = kinds;
	if (!(kinds & (FLINT_LEASE_READ | FLINT_LEASE_WRITE)))
		n->attr_ok = false;
	if (!(kinds & (FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE)))
		names_drop(c, n);
}

/* Give up @kinds now, or once a file that is open here is registered at the server. */
static void give(struct fs_cache *c, struct node *n, uint32_t kinds, uint64_t seq)
{
	bool open = (kinds & (FLINT_LEASE_READ | FLINT_LEASE_WRITE)) && n->opens && !n->handle;

	kinds_set(c, n, n->kinds & ~kinds);
	if (!open) {
		c->ops->give_back(c->arg, n->ino, kinds, seq);
		return;
	}
	n->owed |= kinds;
	if (seq > n->owed_seq)
		n->owed_seq = seq;
	if (n->registering)
		return;
	n->registering = true;
	c->ops->register_open(c->arg, n->ino);
}

/* Too much: the longest unused go, and their leases back. What is own has to stay. */
static void trim(struct fs_cache *c)
{
	struct node *n, *next;
	uint32_t passed = 0;

	for (n = c->lru_head; n && c->nr_held + c->nr_names > c->max; n = next) {
		if (n->own && ++passed == TRIM_PASS)
			return;
		next = n->lru_next;
		if (n->busy || n->opens || n->registering || n->pinned || n->own)
			continue;
		if (n->kinds)
			give(c, n, n->kinds, n->seq);
		node_put(c, n);
	}
}

static void touch(struct fs_cache *c, struct node *n)
{
	if (c->lru_tail == n)
		return;
	lru_unlink(c, n);
	lru_append(c, n);
}

/* Of @kinds granted with that number, those that no recall has named. */
static uint32_t not_recalled(const struct fs_cache *c, uint64_t ino, uint32_t kinds, uint64_t seq)
{
	uint32_t i;

	for (i = 0; i < RECALLS_KEPT; i++)
		if (c->recalls[i].ino == ino && c->recalls[i].seq >= seq)
			kinds &= ~c->recalls[i].kinds;
	return seq <= c->recall_floor ? 0 : kinds;
}

uint32_t cache_grant(struct fs_cache *c, uint64_t ino, uint32_t kinds, uint64_t seq)
{
	struct node *n;
	uint32_t fresh;

	kinds = not_recalled(c, ino, kinds, seq);
	if (!kinds)
		return 0;
	n = node_get(c, ino);
	if (!n)
		return 0;
	fresh = kinds & ~n->kinds;
	if (fresh)
		n->held_clock = ++c->clock;
	n->reply = c->reply;
	kinds_set(c, n, n->kinds | kinds);
	if (seq > n->seq)
		n->seq = seq;
	touch(c, n);
	return fresh;
}

uint32_t cache_kinds(struct fs_cache *c, uint64_t ino)
{
	struct node *n = node_find(c, ino);

	return n ? n->kinds : 0;
}

void cache_pin(struct fs_cache *c, uint64_t ino, bool pin)
{
	struct node *n = node_find(c, ino);

	if (!n)
		return;
	n->pinned = pin;
	node_put(c, n);
}

void cache_recall(struct fs_cache *c, uint64_t ino, uint32_t kinds, uint64_t seq)
{
	struct node *n = node_find(c, ino);
	uint32_t at = c->recall_at++ % RECALLS_KEPT;

	/* What a grant that is still on its way will be measured by. */
	if (c->recalls[at].seq > c->recall_floor)
		c->recall_floor = c->recalls[at].seq;
	c->recalls[at].ino = ino;
	c->recalls[at].seq = seq;
	c->recalls[at].kinds = kinds;
	if (n && n->seq > seq && (n->kinds & kinds))
		return;		/* about an older grant than the one we hold */
	if (!n) {
		c->ops->give_back(c->arg, ino, kinds, seq);
		return;
	}
	give(c, n, kinds, seq);
	node_put(c, n);
}

void cache_registered(struct fs_cache *c, uint64_t ino, uint64_t handle)
{
	struct node *n = node_find(c, ino);
	uint32_t owed;

	if (!n || !n->registering)
		return;
	n->registering = false;
	owed = n->owed;
	n->owed = 0;
	if (n->opens)
		n->handle = handle;
	else if (handle)
		c->ops->close_handle(c->arg, ino, handle);
	if (owed)
		c->ops->give_back(c->arg, ino, owed, n->owed_seq);
	node_put(c, n);
}

/* ---- mutations of our own ------------------------------------------------------------------- */

uint64_t cache_clock(const struct fs_cache *c)
{
	return c->clock;
}

int cache_mut_begin(struct fs_cache *c, struct cache_mut *m)
{
	struct node *n;
	struct dentry *d;
	uint32_t i;

	m->clock = ++c->clock;
	for (i = 0; i < 2; i++) {
		if (!m->n[i].dir)
			continue;
		n = node_get(c, m->n[i].dir);
		d = n ? dentry_get(c, n, m->n[i].name, m->n[i].len) : NULL;
		m->n[i].dentry = d;
		if (!d) {	/* cache_mut_end() undoes what was begun */
			memset(m->ino, 0, sizeof(m->ino));
			return -ENOMEM;
		}
		d->overlapped = d->busy > 0;
		d->busy++;
		n->busy++;
		n->attr_ok = false;
	}
	for (i = 0; i < 4; i++) {
		n = m->ino[i] ? node_get(c, m->ino[i]) : NULL;
		if (!n)
			m->ino[i] = 0;
		else
			n->busy++;
		if (n)
			n->attr_ok = false;
	}
	return 0;
}

static void node_unbusy(struct fs_cache *c, struct node *n)
{
	n->busy--;
	n->mut_clock = c->clock;
	n->attr_ok = false;
}

/* @begun: the clock then. A lease that is newer may know better than the mutation's answer. */
static void dentry_end(struct fs_cache *c, struct dentry *d, bool known, uint64_t to,
		       uint64_t begun)
{
	struct node *n = d->dir;
	bool held = n->kinds & (FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE);

	if (--d->busy)
		d->overlapped = true;
	node_unbusy(c, n);
	d->mut_clock = c->clock;
	d->known = known && held && n->held_clock <= begun && !d->busy && !d->overlapped &&
		   !c->blind && c->floor <= begun;
	d->ino = to;
	d->cookie = 0;
	n->listed = n->scanning = false;
	order_drop(n);
	if (!d->known)
		n->complete = false;
	if (!d->busy) {
		d->overlapped = false;
		if (!held)
			dentry_free(c, d);
	}
	node_put(c, n);
}

void cache_mut_end(struct fs_cache *c, struct cache_mut *m, bool known, const uint64_t *to)
{
	struct node *n;
	uint32_t i;

	c->clock++;
	for (i = 0; i < 4; i++) {
		n = m->ino[i] ? node_find(c, m->ino[i]) : NULL;
		if (!n)
			continue;
		node_unbusy(c, n);
		node_put(c, n);
	}
	for (i = 0; i < 2; i++)
		if (m->n[i].dentry)
			dentry_end(c, m->n[i].dentry, known, to ? to[i] : 0, m->clock);
	trim(c);
}

void cache_blind_begin(struct fs_cache *c)
{
	struct node *n, *tmp;

	c->blind++;
	HASH_ITER(hh, c->nodes, n, tmp) {
		n->attr_ok = false;
		names_drop(c, n);
		node_put(c, n);
	}
}

void cache_blind_end(struct fs_cache *c)
{
	c->blind--;
	floor_raise(c, ++c->clock);
}

/* ---- what replies say ------------------------------------------------------------------------ */

static bool fresh_enough(const struct fs_cache *c, uint64_t mut_clock, uint32_t busy,
			 uint64_t since)
{
	return !busy && !c->blind && mut_clock <= since && c->floor <= since;
}

void cache_reply(struct fs_cache *c)
{
	c->reply++;
}

/* Was the node under its lease all the time that the reply was on its way? */
static bool covered(const struct fs_cache *c, const struct node *n, uint64_t since)
{
	return n->reply == c->reply || n->held_clock <= since;
}

void cache_attr(struct fs_cache *c, const struct flint_attr *attr, uint64_t since)
{
	struct node *n = node_find(c, le64_to_cpu(attr->ino));

	if (!n || !(n->kinds & (FLINT_LEASE_READ | FLINT_LEASE_WRITE)) ||
	    !fresh_enough(c, n->mut_clock, n->busy, since) || !covered(c, n, since))
		return;
	/* Two answers under one lease may overtake each other. */
	if (n->attr_ok && le64_to_cpu(n->attr.change) > le64_to_cpu(attr->change))
		return;
	n->attr = *attr;
	n->attr_ok = true;
	touch(c, n);
}

static struct dentry *name_keep(struct fs_cache *c, struct node *n, const char *name, uint32_t len,
				uint64_t ino, uint64_t since)
{
	struct dentry *d = dentry_find(c, n->ino, name, len);

	if (!fresh_enough(c, d ? d->mut_clock : 0, d ? d->busy : 0, since))
		return NULL;
	d = d ? d : dentry_get(c, n, name, len);
	if (!d)
		return NULL;
	if (d->known && d->ino != ino) {
		n->listed = false;	/* cannot be under one lease: be careful */
		order_drop(n);
	}
	d->known = true;
	d->ino = ino;
	return d;
}

void cache_name(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len, uint64_t ino,
		uint64_t since)
{
	struct node *n = node_find(c, dir);

	if (!n || !(n->kinds & (FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE)) || !covered(c, n, since))
		return;
	name_keep(c, n, name, len, ino, since);
	touch(c, n);
	trim(c);
}

void cache_page(struct fs_cache *c, uint64_t dir, uint64_t cookie, const uint8_t *buf,
		uint32_t len, bool eof, uint64_t since, uint64_t seq)
{
	struct node *n = node_find(c, dir);
	bool held = n && (n->kinds & (FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE)) &&
		    covered(c, n, since);
	const struct flint_attr *attr;
	struct flint_dirent d;
	const uint8_t *name;
	uint32_t pos = 0;

	if (held && !cookie) {
		n->scanning = fresh_enough(c, n->mut_clock, n->busy, since);
		n->scan_clock = since;
	} else if (held && n->scanning && cookie != n->scan_cookie) {
		n->scanning = false;
	}
	while (flint_dirent_next(buf, len, &pos, &d, &attr, &name) > 0) {
		struct dentry *e = NULL;

		if (attr && seq && (d.has_attr & FLINT_DIRENT_LEASE))
			cache_grant(c, le64_to_cpu(d.ino), FLINT_LEASE_READ, seq);
		if (attr)
			cache_attr(c, attr, since);
		if (held)
			e = name_keep(c, n, (const char *)name, le16_to_cpu(d.name_len),
				      le64_to_cpu(d.ino), since);
		if (e) {
			e->cookie = le64_to_cpu(d.cookie);
			e->type = d.type;
		} else if (held) {
			n->scanning = false;
		}
		cookie = le64_to_cpu(d.cookie);
	}
	if (!held)
		return;
	n->scan_cookie = cookie;
	if (eof && n->scanning && fresh_enough(c, n->mut_clock, n->busy, n->scan_clock)) {
		n->complete = n->listed = true;
		n->scanning = false;
		order_drop(n);
	}
	touch(c, n);
	trim(c);
}

/* ---- answers ----------------------------------------------------------------------------------- */

bool cache_get_attr(struct fs_cache *c, uint64_t ino, struct flint_attr *attr)
{
	struct node *n = node_find(c, ino);

	if (!n || !n->attr_ok || n->busy)
		return false;
	*attr = n->attr;
	touch(c, n);
	return true;
}

int cache_get_name(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len, uint64_t *ino)
{
	struct node *n = node_find(c, dir);
	struct dentry *d;

	if (!n || !(n->kinds & (FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE)))
		return 0;
	touch(c, n);
	d = dentry_find(c, dir, name, len);
	if (!d)
		return n->complete ? -ENOENT : 0;
	if (!d->known || d->busy)
		return 0;
	*ino = d->ino;
	return d->ino ? 1 : -ENOENT;
}

static int by_cookie(const void *a, const void *b)
{
	const struct dentry *x = *(struct dentry *const *)a, *y = *(struct dentry *const *)b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static bool order_make(struct node *n)
{
	struct dentry *d;

	if (n->order)
		return true;
	n->order = malloc((n->nr_names + 1) * sizeof(struct dentry *));
	if (!n->order)
		return false;
	for (d = n->names; d; d = d->next)
		if (d->known && d->ino)
			n->order[n->nr_order++] = d;
	qsort(n->order, n->nr_order, sizeof(n->order[0]), by_cookie);
	return true;
}

bool cache_get_page(struct fs_cache *c, uint64_t dir, uint64_t cookie, bool plus, uint8_t *buf,
		    uint32_t room, uint32_t *used, bool *eof, uint64_t *next_cookie)
{
	struct node *n = node_find(c, dir);
	uint32_t lo = 0, hi, len, at = 0;
	struct flint_attr attr;

	if (!n || n->busy || !n->complete || !n->listed || !order_make(n))
		return false;
	for (hi = n->nr_order; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (n->order[mid]->cookie <= cookie)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < n->nr_order; lo++, at += len) {
		struct dentry *d = n->order[lo];
		uint32_t nlen = d->key_len - sizeof(uint64_t);
		uint8_t *name = buf + at + sizeof(struct flint_dirent);
		struct flint_dirent r = {
			.cookie = cpu_to_le64(d->cookie), .ino = cpu_to_le64(d->ino),
			.name_len = cpu_to_le16(nlen), .type = d->type, .has_attr = plus };

		len = flint_dirent_len(nlen, plus);
		if (len > room - at)
			break;
		if (plus && !cache_get_attr(c, d->ino, &attr))
			return false;
		r.rec_len = cpu_to_le16(len);
		memset(buf + at, 0, len);
		memcpy(buf + at, &r, sizeof(r));
		if (plus) {
			memcpy(name, &attr, sizeof(attr));
			name += sizeof(attr);
		}
		memcpy(name, d->key.name, nlen);
	}
	*used = at;
	*eof = lo == n->nr_order;
	*next_cookie = n->nr_order ? n->order[n->nr_order - 1]->cookie + 1 : 0;
	touch(c, n);
	return *eof || at;
}

bool cache_open(struct fs_cache *c, uint64_t ino)
{
	struct node *n = node_find(c, ino);

	if (!n || n->registering || n->own ||	/* own: no server could be asked for its data */
	    !(n->kinds & (FLINT_LEASE_READ | FLINT_LEASE_WRITE) || n->handle))
		return false;
	n->opens++;
	return true;
}

void cache_close(struct fs_cache *c, uint64_t ino)
{
	struct node *n = node_find(c, ino);
	uint64_t handle;

	if (!n || !n->opens || --n->opens)
		return;
	handle = n->handle;
	n->handle = 0;
	if (handle)
		c->ops->close_handle(c->arg, ino, handle);
	node_put(c, n);
}

/* ---- creates that the server does not know yet --------------------------------------------------- */

void cache_complete(struct fs_cache *c, uint64_t dir)
{
	struct node *n = node_find(c, dir);

	if (n && (n->kinds & FLINT_LEASE_DIR_WRITE) && !c->blind)
		n->complete = true;
}

void cache_give(struct fs_cache *c, uint64_t ino, uint32_t kinds)
{
	struct node *n = node_find(c, ino);

	kinds &= n ? n->kinds : 0;
	if (!kinds)
		return;
	give(c, n, kinds, n->seq);
	node_put(c, n);
}

bool cache_may_promise(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len)
{
	struct node *n = node_find(c, dir);
	uint64_t ino;

	return n && (n->kinds & FLINT_LEASE_DIR_WRITE) && n->busy == n->promised && !c->blind &&
	       cache_get_name(c, dir, name, len, &ino) == -ENOENT;
}

int cache_promise(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len,
		  const struct flint_attr *attr)
{
	struct node *n = node_find(c, dir), *m = node_get(c, le64_to_cpu(attr->ino));
	struct dentry *d = m ? dentry_get(c, n, name, len) : NULL;
	bool is_dir = attr->parent != 0;

	if (!d) {
		if (m)
			node_put(c, m);
		return -ENOMEM;
	}
	c->clock++;
	d->known = true;
	d->ino = m->ino;
	d->cookie = 0;
	d->mut_clock = c->clock;
	n->promised++;
	n->busy++;
	n->attr_ok = n->listed = n->scanning = false;
	order_drop(n);
	m->own = true;
	m->held_clock = c->clock;
	kinds_set(c, m, FLINT_LEASE_READ |
		  (is_dir ? FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE : 0));
	m->complete = is_dir;
	m->attr = *attr;
	m->attr_ok = true;
	touch(c, n);
	trim(c);
	return 0;
}

/* The directory's part of a promise that is over. */
static void promise_over(struct fs_cache *c, struct node *n)
{
	c->clock++;
	n->promised--;
	node_unbusy(c, n);
	node_put(c, n);
}

void cache_promise_told(struct fs_cache *c, uint64_t dir, uint64_t ino, uint32_t kinds,
			uint64_t seq, bool reclaiming, bool stale)
{
	struct node *n = node_find(c, ino);

	promise_over(c, node_find(c, dir));
	n->own = false;
	if (seq) {
		kinds_set(c, n, n->kinds & not_recalled(c, ino, kinds, seq));
		n->seq = seq > n->seq ? seq : n->seq;
	} else if (!n->seq && !reclaiming) {
		kinds_set(c, n, 0);
	}
	if (stale)
		n->attr_ok = false;
	node_put(c, n);
}

void cache_promise_failed(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len,
			  uint64_t ino)
{
	struct node *n = node_find(c, dir), *m = node_find(c, ino);
	struct dentry *d = dentry_find(c, dir, name, len);

	n->complete = false;
	if (d && d->ino == ino) {
		d->known = false;
		if (!d->busy)
			dentry_free(c, d);
	}
	promise_over(c, n);
	m->own = false;
	kinds_set(c, m, 0);
	node_put(c, m);
}

/* ---- reclaim, life ------------------------------------------------------------------------------ */

void cache_each(struct fs_cache *c, bool (*fn)(void *arg, uint64_t ino, uint32_t kinds,
					       uint64_t seq), void *arg)
{
	struct node *n, *tmp;

	HASH_ITER(hh, c->nodes, n, tmp)
		if (n->kinds && (!n->own || (n->kinds & FLINT_LEASE_DIR_WRITE)) &&
		    !fn(arg, n->ino, n->kinds, n->seq))
			return;
}

void cache_new_leader(struct fs_cache *c)
{
	struct node *n, *tmp;

	memset(c->recalls, 0, sizeof(c->recalls));
	c->recall_floor = 0;
	HASH_ITER(hh, c->nodes, n, tmp) {
		n->seq = 0;
		n->owed = 0;	/* the old leader's recalls are void */
		n->owed_seq = 0;
	}
}

void cache_renumber(struct fs_cache *c, uint64_t ino, uint32_t kinds, uint64_t seq)
{
	struct node *n = node_find(c, ino);

	if (!n)
		return;
	kinds_set(c, n, n->kinds & kinds);
	if (seq > n->seq)
		n->seq = seq;
	node_put(c, n);
}

void cache_drop(struct fs_cache *c)
{
	struct node *n, *tmp;

	HASH_ITER(hh, c->nodes, n, tmp) {
		kinds_set(c, n, 0);
		node_put(c, n);
	}
}

uint32_t cache_held(const struct fs_cache *c)
{
	return c->nr_held;
}

struct fs_cache *cache_new(uint32_t max_entries, const struct cache_ops *ops, void *arg)
{
	struct fs_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->max = max_entries;
	c->ops = ops;
	c->arg = arg;
	return c;
}

void cache_free(struct fs_cache *c)
{
	struct dentry *d, *d_tmp;
	struct node *n, *n_tmp;

	if (!c)
		return;
	HASH_ITER(hh, c->names, d, d_tmp) {
		HASH_DEL(c->names, d);
		free(d);
	}
	HASH_ITER(hh, c->nodes, n, n_tmp) {
		HASH_DEL(c->nodes, n);
		free(n->order);
		free(n);
	}
	free(c);
}
