/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The small tables of the metadata state, and rows of them as bytes.
 *
 * A table is one line of meta_table_descs[] in table.c: its columns by name
 * and type. It is a table of SQLite with those columns, and in memory rows
 * (key, value) of bytes:
 *
 *	q	a number below 2^63: in keys 8 bytes big-endian, so that bytes
 *		compare as numbers do; in values 8 bytes as the machine has them, so
 *		that a value is a struct of u64
 *	b	bytes to the end: at most one in a key and one in a value, the last
 *	t	the same, a TEXT column
 *
 * Keys come in the order of their bytes. Only the thread that applies commands
 * may call these functions.
 */
#ifndef FLINT_META_TABLE_H
#define FLINT_META_TABLE_H

#include "../../uapi/flintfs/codec.h"

struct meta_store;

/* Append new ones at the end; the order is part of the checksum. */
enum meta_table_id {
	META_T_SETTING, META_T_FS, META_T_SYMLINK, META_T_XATTR, META_T_SESSION, META_T_HANDLE,
	META_T_REPLY, META_T_ORPHAN, META_T_INTENT, META_T_INTENT_SEQ,
	META_T_LINK, META_T_QUOTA, META_T_TRASH, META_T_EXPIRY, META_T_HIDDEN, META_T_KEEP,
	META_T_DIRNAME, META_T_HINT, META_T_INOGRANT,
	META_T_NR
};

/**
 * struct meta_table_desc - a table
 * @key, @ktypes: columns of the primary key, and one letter for each
 * @val, @vtypes: the others; "" when there are none
 * @resident: all rows are kept in memory: for what lives as long as a session,
 *	or is read by every command
 */
struct meta_table_desc {
	const char *name;
	const char *key, *ktypes;
	const char *val, *vtypes;
	bool resident;
};

extern const struct meta_table_desc meta_table_descs[META_T_NR];

#define META_KEY_MAX	(4 * 8 + 256)	/* bytes of a key */

/**
 * struct meta_row - a row found
 *
 * The memory is the store's: good until that row is changed, and until the
 * command ends.
 */
struct meta_row {
	const u8 *key;
	u32 klen;
	const u8 *val;
	u32 vlen;
};

/* 1 with *@r, 0: no such row, or -errno. */
int meta_row_get(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		 struct meta_row *r);
/* The first row whose key is not below @key: 1, 0 or -errno. */
int meta_row_seek(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		  struct meta_row *r);
/* Insert or replace. 0 or -errno. */
int meta_row_put(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen,
		 const void *val, u32 vlen);
/* Whether it is there or not. 0 or -errno. */
int meta_row_del(struct meta_store *s, enum meta_table_id t, const void *key, u32 klen);
/* All rows whose key begins with @prefix. 0 or -errno. */
int meta_row_del_prefix(struct meta_store *s, enum meta_table_id t, const void *prefix, u32 plen);

/* Does the row's key begin with these bytes? */
static inline bool meta_row_has_prefix(const struct meta_row *r, const void *prefix, u32 plen)
{
	return r->klen >= plen && !memcmp(r->key, prefix, plen);
}

/* Keys: numbers big-endian. Each returns the bytes used. */
static inline u32 meta_key_put(u8 *key, u32 at, u64 v)
{
	int i;

	for (i = 7; i >= 0; i--) {
		key[at + i] = v;
		v >>= 8;
	}
	return at + 8;
}

static inline u64 meta_key_u64(const u8 *key, u32 at)
{
	u64 v = 0;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | key[at + i];
	return v;
}

/* Up to three numbers and bytes after them; @key has META_KEY_MAX bytes. */
static inline u32 meta_key1(u8 *key, u64 a)
{
	return meta_key_put(key, 0, a);
}

static inline u32 meta_key2(u8 *key, u64 a, u64 b)
{
	return meta_key_put(key, meta_key_put(key, 0, a), b);
}

static inline u32 meta_key3(u8 *key, u64 a, u64 b, u64 c)
{
	return meta_key_put(key, meta_key2(key, a, b), c);
}

static inline u32 meta_key1b(u8 *key, u64 a, const void *b, u32 len)
{
	memcpy(key + 8, b, len);
	return meta_key1(key, a) + len;
}

/* ---- what the operations know by name --------------------------------------- */

/**
 * struct meta_handle - an open file: a row of "handle"
 */
struct meta_handle {
	u64 sid, id;
	u64 ino;
	u64 flags;
};

/* A truncation whose cuts are under way: a row of "intent". @sid, @seq: who waits; 0: nobody. */
struct meta_intent {
	u64 ino;
	u64 epoch;
	u64 size;
	u64 sid, seq;
	u64 digest;
	u64 op;
	u64 handle;
	u64 since;
};

/* All: 0 or -errno; those that look: 1 found, 0 none, -errno. */
int meta_handle_add(struct meta_store *s, const struct meta_handle *h);
int meta_handle_get(struct meta_store *s, u64 sid, u64 id, struct meta_handle *h);
/* The session's first handle above @after. */
int meta_handle_next(struct meta_store *s, u64 sid, u64 after, struct meta_handle *h);
/* Add and del keep meta_open_count() and meta_open_writers() too; @h: as it was added. */
int meta_handle_del(struct meta_store *s, const struct meta_handle *h);

/* What a session may hold leases in (lease_hint_bucket()); none: anything. @bits: LEASE_HINT_BYTES. */
int meta_hint_get(struct meta_store *s, u64 sid, u8 *bits);
int meta_hint_put(struct meta_store *s, u64 sid, const u8 *bits);

/* Inode numbers that a session may still create with: from @first to before @end. */
struct meta_inogrant {
	u64 first, end;
};

/* All 0 when there are none. 0 or -errno. */
int meta_inogrant_get(struct meta_store *s, u64 sid, struct meta_inogrant *g);
int meta_inogrant_put(struct meta_store *s, u64 sid, const struct meta_inogrant *g);

int meta_intent_get(struct meta_store *s, u64 ino, struct meta_intent *it);
int meta_intent_by_seq(struct meta_store *s, u64 sid, u64 seq, struct meta_intent *it);
/* @it->since is set here. The inode must have none. */
int meta_intent_add(struct meta_store *s, struct meta_intent *it);
int meta_intent_del(struct meta_store *s, const struct meta_intent *it);

/* An unlinked inode; @ready: not open any more, the reaper may remove its data. */
int meta_orphan_get(struct meta_store *s, u64 ino, bool *ready);
int meta_orphan_put(struct meta_store *s, u64 ino, bool ready);
int meta_orphan_del(struct meta_store *s, u64 ino);

int meta_symlink_set(struct meta_store *s, u64 ino, const u8 *target, u32 len);
/* 1 with the value (as struct meta_row's), 0 or -errno. */
int meta_xattr_get(struct meta_store *s, u64 ino, const void *name, u32 nlen, const u8 **val,
		   u32 *vlen);
int meta_xattr_set(struct meta_store *s, u64 ino, const void *name, u32 nlen, const void *val,
		   u32 vlen);
int meta_xattr_del(struct meta_store *s, u64 ino, const void *name, u32 nlen);
/* The inode's first name above @after (of @alen bytes; 0: the first one): 1, 0 or -errno. */
int meta_xattr_next(struct meta_store *s, u64 ino, const void *after, u32 alen, struct meta_row *r);

#endif /* FLINT_META_TABLE_H */
