// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hash table of objects, its clock, the ordered lists of rows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "../base/hash.h"
#include "store.h"

#define OBJ_GUESS	256	/* bytes of a usual object, for the number of buckets */
#define BUCKETS_MIN	1024	/* a multiple of 512 */
#define BUCKETS_MAX	(1ull << 28)
#define TRIM_BUCKETS	64	/* that the hand passes at once */
#define TRIM_FREES	256

/* In huge pages: every look at the table is a miss of the caches, the TLB need not be another. */
static void *buckets_new(size_t len)
{
	char *p = calloc(1, len);
	uintptr_t from = ((uintptr_t)p + 4095) & ~(uintptr_t)4095;

	if (p && len > 8192)
		madvise((void *)from, (len - 4096) & ~(size_t)4095, MADV_HUGEPAGE);
	return p;
}

int meta_cache_init(struct meta_cache *c, u64 bytes_max)
{
	u64 n = BUCKETS_MIN;

	memset(c, 0, sizeof(*c));
	while (n < bytes_max / OBJ_GUESS && n < BUCKETS_MAX)
		n *= 2;
	c->slab = flint_slab_new();
	c->bucket = buckets_new(n * sizeof(*c->bucket));
	if (!c->slab || !c->bucket) {
		free(c->bucket);
		flint_slab_free(c->slab);
		memset(c, 0, sizeof(*c));
		return -ENOMEM;
	}
	c->mask = n - 1;
	c->bytes_max = bytes_max;
	c->gen = 1;
	return 0;
}

static void free_list(struct meta_cache *c, struct meta_obj *o)
{
	struct meta_obj *next;

	for (; o; o = next) {
		next = o->next;
		meta_obj_free(c, o);
	}
}

/* The table is made for the memory that there is: most of it may be empty, and is passed quickly. */
static void free_buckets(struct meta_cache *c)
{
	static const struct meta_obj *const none[512];
	u64 b, i;

	for (b = 0; c->objects && b <= c->mask; b += 512) {
		if (!memcmp(c->bucket + b, none, sizeof(none)))
			continue;
		for (i = b; i < b + 512; i++)
			free_list(c, c->bucket[i]);
	}
}

void meta_cache_free(struct meta_cache *c)
{
	if (!c->bucket)
		return;
	free_list(c, c->retired);
	free_list(c, c->doomed);
	free_buckets(c);
	meta_vec_free(&c->inodes);
	meta_vec_free(&c->dents);
	free(c->touched);
	free(c->bucket);
	flint_slab_free(c->slab);
	memset(c, 0, sizeof(*c));
}

/* ---- objects ---------------------------------------------------------------- */

void *meta_obj_new(struct meta_cache *c, enum meta_kind kind, u32 size)
{
	struct meta_obj *o = flint_slab_get(c->slab, size);

	if (!o)
		return NULL;
	memset(o, 0, size);
	o->kind = kind;
	o->size = size;
	c->bytes += flint_slab_cost(size);
	c->objects++;
	return o;
}

static void dir_free(struct meta_dir *d)
{
	if (!d)
		return;
	free(d->fresh[0].e);
	free(d->fresh[1].e);
	free(d);
}

void meta_obj_free(struct meta_cache *c, struct meta_obj *o)
{
	c->bytes -= flint_slab_cost(o->size);
	c->objects--;
	if (o->kind == META_K_INODE)
		dir_free(((struct meta_inode *)o)->dir);
	flint_slab_put(c->slab, o, o->size);
}

void meta_obj_insert(struct meta_cache *c, struct meta_obj *o, u32 hash)
{
	struct meta_obj **b = &c->bucket[hash & c->mask];

	o->hash = hash;
	o->next = *b;
	*b = o;
}

static struct meta_obj **slot_of(struct meta_cache *c, struct meta_obj *o)
{
	struct meta_obj **p = &c->bucket[o->hash & c->mask];

	while (*p != o)
		p = &(*p)->next;
	return p;
}

void meta_obj_remove(struct meta_cache *c, struct meta_obj *o)
{
	*slot_of(c, o) = o->next;
}

void *meta_obj_own(struct meta_cache *c, struct meta_obj *o)
{
	struct meta_obj *n = flint_slab_get(c->slab, o->size);
	struct meta_obj **p;

	if (!n)
		return NULL;
	memcpy(n, o, o->size);
	c->bytes += flint_slab_cost(n->size);
	c->objects++;
	n->own = 1;
	p = slot_of(c, o);
	*p = n;
	if (o->kind == META_K_INODE)
		((struct meta_inode *)o)->dir = NULL;	/* goes with the living one */
	o->retired = 1;
	o->next = c->retired;
	c->retired = o;
	return n;
}

int meta_vec_add(struct meta_vec *v, struct meta_obj *o)
{
	struct meta_vec_chunk *k = v->tail;

	if (!k || k->nr == META_VEC_CHUNK) {
		k = malloc(sizeof(*k));
		if (!k)
			return -ENOMEM;
		k->next = NULL;
		k->nr = 0;
		if (v->tail)
			v->tail->next = k;
		else
			v->head = k;
		v->tail = k;
	}
	k->obj[k->nr++] = o;
	v->nr++;
	return 0;
}

void meta_vec_free(struct meta_vec *v)
{
	struct meta_vec_chunk *k, *next;

	for (k = v->head; k; k = next) {
		next = k->next;
		free(k);
	}
	memset(v, 0, sizeof(*v));
}

/* ---- finding ------------------------------------------------------------------ */

u32 meta_hash_ino(u64 ino)
{
	ino = (ino ^ ino >> 32) * 0x9e3779b97f4a7c15ull;
	return ino >> 32 ^ ino >> 17;
}

u32 meta_hash_name(u64 parent, const u8 *name, u32 len)
{
	return XXH3_64bits_withSeed(name, len, parent * 0x9e3779b97f4a7c15ull);
}

u32 meta_hash_row(enum meta_table_id t, const u8 *key, u32 klen)
{
	return XXH3_64bits_withSeed(key, klen, t + 1);
}

struct meta_inode *meta_cache_inode(struct meta_cache *c, u64 ino)
{
	u32 hash = meta_hash_ino(ino);
	struct meta_obj *o;

	for (o = c->bucket[hash & c->mask]; o; o = o->next)
		if (o->hash == hash && o->kind == META_K_INODE &&
		    ((struct meta_inode *)o)->ino == ino) {
			o->ref = 1;
			return (struct meta_inode *)o;
		}
	return NULL;
}

struct meta_dent *meta_cache_dent(struct meta_cache *c, u32 hash, u64 parent, const u8 *name,
				  u32 len)
{
	struct meta_obj *o;

	for (o = c->bucket[hash & c->mask]; o; o = o->next) {
		struct meta_dent *d = (struct meta_dent *)o;

		if (o->hash == hash && o->kind == META_K_DENT && d->parent == parent &&
		    d->len == len && !memcmp(d->name, name, len)) {
			o->ref = 1;
			return d;
		}
	}
	return NULL;
}

struct meta_rowo *meta_cache_row(struct meta_cache *c, u32 hash, enum meta_table_id t,
				 const u8 *key, u32 klen)
{
	struct meta_obj *o;

	for (o = c->bucket[hash & c->mask]; o; o = o->next) {
		struct meta_rowo *r = (struct meta_rowo *)o;

		if (o->hash == hash && o->kind == META_K_ROW && r->table == t && r->klen == klen &&
		    !memcmp(meta_rowo_key(r), key, klen)) {
			o->ref = 1;
			return r;
		}
	}
	return NULL;
}

/* ---- rows in order: a skip list whose heights come from the hash ------------------ */

int meta_key_cmp(const u8 *a, u32 alen, const u8 *b, u32 blen)
{
	int d = memcmp(a, b, alen < blen ? alen : blen);

	return d ? d : alen < blen ? -1 : alen > blen;
}

/* @link: of each level the pointer that leads to the first row not below the key. */
static void order_find(struct meta_cache *c, enum meta_table_id t, const u8 *key, u32 klen,
		       struct meta_rowo ***link)
{
	struct meta_rowo **at = c->order[t], *r;
	int l;

	for (l = META_SKIP_MAX - 1; l >= 0; l--) {
		while ((r = at[l]) && meta_key_cmp(meta_rowo_key(r), r->klen, key, klen) < 0)
			at = r->fwd;
		link[l] = &at[l];
	}
}

void meta_order_insert(struct meta_cache *c, struct meta_rowo *r)
{
	struct meta_rowo **link[META_SKIP_MAX];
	int l;

	order_find(c, r->table, meta_rowo_key(r), r->klen, link);
	for (l = 0; l < r->height; l++) {
		r->fwd[l] = *link[l];
		*link[l] = r;
	}
}

void meta_order_remove(struct meta_cache *c, struct meta_rowo *r)
{
	struct meta_rowo **link[META_SKIP_MAX];
	int l;

	order_find(c, r->table, meta_rowo_key(r), r->klen, link);
	for (l = 0; l < r->height; l++)
		*link[l] = r->fwd[l];
}

struct meta_rowo *meta_order_seek(struct meta_cache *c, enum meta_table_id t, const u8 *key,
				  u32 klen)
{
	struct meta_rowo **link[META_SKIP_MAX];

	order_find(c, t, key, klen, link);
	return *link[0];
}

/* ---- what goes -------------------------------------------------------------------- */

void meta_cache_flushed(struct meta_cache *c, u32 gen, struct meta_rowo *rows)
{
	struct meta_rowo *r, *older;
	struct meta_obj *o;

	c->flushed = gen;
	for (r = rows; r; r = older) {
		older = r->older;
		r->newer = NULL;
		r->older = NULL;
		if (r->o.retired) {
			meta_obj_free(c, &r->o);
		} else if (r->o.dead) {		/* a walk in order would pass it again and again */
			meta_order_remove(c, r);
			meta_obj_remove(c, &r->o);
			meta_obj_free(c, &r->o);
		}
	}
	if (!c->doomed) {
		c->doomed = c->retired;
	} else if (c->retired) {
		for (o = c->retired; o->next; o = o->next)
			;
		o->next = c->doomed;
		c->doomed = c->retired;
	}
	c->retired = NULL;
}

static bool evictable(const struct meta_cache *c, const struct meta_obj *o)
{
	if (!meta_obj_clean(c, o))
		return false;
	return o->kind != META_K_ROW || o->dead ||
	       !meta_table_descs[((const struct meta_rowo *)o)->table].resident;
}

static void evict(struct meta_cache *c, struct meta_obj *o)
{
	struct meta_dent *d = (struct meta_dent *)o;
	struct meta_inode *dir;

	if (o->kind == META_K_DENT && d->tag) {
		dir = meta_cache_inode(c, d->parent);
		if (dir && dir->dir && dir->dir->tag == d->tag)
			dir->dir->cached--;
	} else if (o->kind == META_K_ROW) {
		meta_order_remove(c, (struct meta_rowo *)o);
	}
	meta_obj_free(c, o);
	c->evictions++;
}

/* Second chance: what was used since the last round stays for another one. */
static void sweep_bucket(struct meta_cache *c, struct meta_obj **p)
{
	struct meta_obj *o;

	while ((o = *p)) {
		if (!evictable(c, o)) {
			p = &o->next;
		} else if (o->ref) {
			o->ref = 0;
			p = &o->next;
		} else {
			*p = o->next;
			evict(c, o);
		}
	}
}

void meta_cache_trim(struct meta_cache *c)
{
	struct meta_obj *o;
	int n;

	for (n = 0; c->doomed && n < TRIM_FREES; n++) {
		o = c->doomed;
		c->doomed = o->next;
		meta_obj_free(c, o);
	}
	for (n = 0; c->bytes > c->bytes_max && n < TRIM_BUCKETS; n++) {
		sweep_bucket(c, &c->bucket[c->hand]);
		c->hand = (c->hand + 1) & c->mask;
	}
}
