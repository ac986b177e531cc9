/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects in memory: inodes, directory entries, rows of small tables; their
 * hash table, their generations, and what is thrown out when memory is full.
 *
 * The hash table has a fixed number of buckets, made for the memory that is
 * allowed: it never grows, so no command ever pays for a million rehashed
 * objects (which is why it is not uthash).
 *
 * @gen of an object says in which state it is:
 *	gen == cache.gen	active: changed since the last freeze; changed in place
 *	gen > cache.flushed	frozen: the flusher reads it. Nobody writes to its content;
 *				a change goes to a copy that takes its place, and
 *				the original waits until it is written
 *	else			clean: as the database has it; may be evicted
 * A dead object is a name or number that does not exist: one that was removed,
 * or, clean, one that was looked for in vain.
 *
 * The flusher reads of an object: content, @gen, @born, @dead, and the links of
 * frozen rows. @next, @hash, @ref, @touched, @retired belong to the owner at all
 * times.
 */
#ifndef FLINT_META_CACHE_H
#define FLINT_META_CACHE_H

#include "../base/slab.h"
#include "table.h"

enum meta_kind { META_K_INODE, META_K_DENT, META_K_ROW };

/**
 * struct meta_obj - begins every object
 * @next: in its bucket; of a retired one: in the list of those
 * @gen: generation of its last change; 0: never changed
 * @born: generation in which it came to be, while the database had none; 0: not known
 * @size: bytes of the structure with what follows it
 * @ref: used since the clock's hand last passed
 * @own: a copy of a frozen object that was not changed yet; not the flusher's
 * @touched: inodes: on the list of this command
 * @retired: out of the hash table, its successor is in it
 */
struct meta_obj {
	struct meta_obj *next;
	u32 hash;
	u32 gen;
	u32 born;
	u32 size;
	u8 kind;
	u8 dead;
	u8 ref;
	u8 own;
	u8 touched;
	u8 retired;
};

/* An entry. @tag: counted in struct meta_dir.cached of the directory with that tag. */
struct meta_dent {
	struct meta_obj o;
	u64 parent;
	u64 ino;
	u64 cookie;
	u32 tag;
	u8 type;
	u8 len;
	u8 name[];
};

#define META_SKIP_MAX	12

/**
 * struct meta_rowo - a row of a small table
 * @newer, @older: list of the generation's changed rows
 * @fwd: ordered list of the table, @height levels; key and value come after it
 */
struct meta_rowo {
	struct meta_obj o;
	struct meta_rowo *newer, *older;
	u32 vlen;
	u16 klen;
	u8 table;
	u8 height;
	struct meta_rowo *fwd[];
};

static inline u8 *meta_rowo_key(const struct meta_rowo *r)
{
	return (u8 *)(r->fwd + r->height);
}

static inline u8 *meta_rowo_val(const struct meta_rowo *r)
{
	return meta_rowo_key(r) + r->klen;
}

/* Entries added in one generation, by cookie: they grow. */
struct meta_fresh {
	u32 gen;
	u32 nr, cap;
	struct {
		u64 cookie;
		struct meta_dent *d;
	} *e;
};

/**
 * struct meta_dir - a directory in memory
 * @tag: of this stay in memory
 * @cached: entries that exist, in memory and counted; when that is all of them,
 *	a name that is not in memory does not exist
 * @low: there is no entry with this cookie or a lower one
 * @fresh: of the newest generation that added, and of the one before
 */
struct meta_dir {
	u32 tag;
	u64 cached;
	u64 low;
	struct meta_fresh fresh[2];
};

#define META_VEC_CHUNK	4094

/* Objects of a generation. */
struct meta_vec {
	struct meta_vec_chunk *head, *tail;
	u64 nr;
};

struct meta_vec_chunk {
	struct meta_vec_chunk *next;
	u64 nr;
	struct meta_obj *obj[META_VEC_CHUNK];
};

struct meta_inode;

struct meta_touch {
	struct meta_inode *i;
	u64 old;		/* its share of the checksum before */
};

/**
 * struct meta_cache
 * @mask: buckets - 1
 * @hand: bucket at which the clock stands
 * @gen, @flushed: active generation, last one that was written
 * @inodes, @dents, @rows: changed in the active generation
 * @touched: inodes handed out to the command
 * @retired: replaced originals of the frozen generation; @doomed: to be freed
 * @order: of each table the rows in memory by key
 */
struct meta_cache {
	struct flint_slab *slab;	/* of all objects */
	struct meta_obj **bucket;
	u64 mask, hand;
	u64 bytes, bytes_max, objects;
	u32 gen, flushed, tags;
	struct meta_vec inodes, dents;
	struct meta_rowo *rows;
	u64 nr_rows;
	struct meta_touch *touched;
	u32 nr_touched, cap_touched;
	struct meta_obj *retired, *doomed;
	struct meta_rowo *order[META_T_NR][META_SKIP_MAX];
	u64 hits, misses, evictions;
};

/* 0 or -ENOMEM. */
int meta_cache_init(struct meta_cache *c, u64 bytes_max);
void meta_cache_free(struct meta_cache *c);

static inline bool meta_obj_clean(const struct meta_cache *c, const struct meta_obj *o)
{
	return o->gen <= c->flushed;
}

/* The flusher may be reading it. */
static inline bool meta_obj_shared(const struct meta_cache *c, const struct meta_obj *o)
{
	return o->gen > c->flushed && o->gen < c->gen && !o->own;
}

static inline u64 meta_cache_dirty(const struct meta_cache *c)
{
	return c->inodes.nr + c->dents.nr + c->nr_rows;
}

/* A zeroed object, not in the table. NULL: no memory. */
void *meta_obj_new(struct meta_cache *c, enum meta_kind kind, u32 size);
/* Not in the table any more. */
void meta_obj_free(struct meta_cache *c, struct meta_obj *o);
void meta_obj_insert(struct meta_cache *c, struct meta_obj *o, u32 hash);
void meta_obj_remove(struct meta_cache *c, struct meta_obj *o);
/* A copy that takes the place of a shared inode or entry. NULL: no memory. */
void *meta_obj_own(struct meta_cache *c, struct meta_obj *o);
/* 0 or -ENOMEM. */
int meta_vec_add(struct meta_vec *v, struct meta_obj *o);
void meta_vec_free(struct meta_vec *v);

u32 meta_hash_ino(u64 ino);
u32 meta_hash_name(u64 parent, const u8 *name, u32 len);
u32 meta_hash_row(enum meta_table_id t, const u8 *key, u32 klen);
struct meta_inode *meta_cache_inode(struct meta_cache *c, u64 ino);
struct meta_dent *meta_cache_dent(struct meta_cache *c, u32 hash, u64 parent, const u8 *name,
				  u32 len);
struct meta_rowo *meta_cache_row(struct meta_cache *c, u32 hash, enum meta_table_id t,
				 const u8 *key, u32 klen);

/* The ordered list of a table. */
void meta_order_insert(struct meta_cache *c, struct meta_rowo *r);
void meta_order_remove(struct meta_cache *c, struct meta_rowo *r);
/* The first row, dead or not, whose key is not below. */
struct meta_rowo *meta_order_seek(struct meta_cache *c, enum meta_table_id t, const u8 *key,
				  u32 klen);
int meta_key_cmp(const u8 *a, u32 alen, const u8 *b, u32 blen);

/* The generation was written: its originals and removed rows go. @rows: its list. */
void meta_cache_flushed(struct meta_cache *c, u32 gen, struct meta_rowo *rows);
/* Between commands: a bounded piece of the work that keeps memory bounded. */
void meta_cache_trim(struct meta_cache *c);

#endif /* FLINT_META_CACHE_H */
