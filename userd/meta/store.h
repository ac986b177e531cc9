/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metadata state: one SQLite database, as one writer and any number of
 * readers see it.
 *
 * The writer (struct meta_store) belongs to the thread that applies commands.
 * Between meta_store_begin() and meta_store_commit() it keeps inodes it has
 * touched, counters and sessions in memory and writes each changed inode once,
 * at commit. meta_store_rollback() forgets all of that, so that memory never
 * differs from what the database would give back after a crash.
 *
 * What is in memory is always derived from the tables and nothing else: two
 * stores that applied the same commands have equal tables
 * (meta_store_checksum()).
 *
 * A reader (struct meta_reader) belongs to one thread, has a connection of its
 * own and sees what was committed when its statement began; a reply is sent
 * only after its command was committed, so a reader sees every acknowledged
 * change.
 */
#ifndef FLINT_META_STORE_H
#define FLINT_META_STORE_H

#include <sqlite3.h>
#include <uthash.h>
#include "tablesql.h"

#define META_SCHEMA_VERSION	2
#define META_LINK_MAX		0x7fffffffu
#define META_COOKIE_FIRST	16	/* below it: "." and ".." and the client's own */
#define META_XATTR_LIST_MAX	65536
#define META_REPLY_MAX		192	/* bytes of body a reply has at most */
#define META_ROWBUFS		16
#define META_TRIM_STEP		16	/* every so many sequences, replies below low are removed */

/*
 * struct meta_inode.flags beyond FLINT_INO_*: what need not be looked for when
 * the bit is clear, so that the usual inode costs no further look.
 */
#define META_INO_WIRE	0x0000ffffu	/* what clients see and set */
#define META_INO_ACL	0x00010000u	/* xattr system.posix_acl_access */
#define META_INO_DACL	0x00020000u	/* xattr system.posix_acl_default */
#define META_INO_CAPS	0x00040000u	/* xattr security.capability */
#define META_INO_XATTR	0x00080000u	/* any xattr */
#define META_INO_QUOTA	0x00100000u	/* directory: a quota of its tree */
#define META_INO_KEEP	0x00200000u	/* directory: a trash setting of its own */
#define META_INO_LINKS	0x00400000u	/* file: more than one name, see table "link" */
#define META_INO_TRASH	0x00800000u	/* its name was removed; it hangs in a hidden directory */
#define META_INO_HIDDEN	0x01000000u	/* a hidden directory: nobody's entry leads to it */

/* struct meta_session.flags beyond FLINT_SESSION_*. */
#define META_SN_WIRE		0x0000ffffu
#define META_SN_ROOT_SQUASH	0x00010000u
#define META_SN_ALL_SQUASH	0x00020000u
#define META_SN_TOKEN		0x00040000u	/* came with a token */

/* Internal results of meta_apply(); never sent. */
#define META_ST_PENDING		0x7fff0001u	/* logged; answered when its cut is done */
#define META_ST_WAIT		0x7fff0002u	/* nothing done: propose again after the cut */

/**
 * struct meta_inode - an inode as the database has it, in host order
 * @layout: of a file its own, of a directory what children inherit
 * @next_cookie: directories: of the next entry
 * @parent: directories: of it ("/" and hidden ones: itself); others: the home,
 *	the directory in whose totals the inode counts
 * @data: files: chunk servers may hold data of it
 * @tree_bytes, @tree_files, @tree_dirs: directories: totals of all below
 * @dirty, @fresh, @dead: writer only: differs from its row, has no row yet,
 *	row is to go
 */
struct meta_inode {
	u64 ino;
	u32 gen;
	u32 mode;
	u32 nlink;
	u32 uid, gid;
	u32 flags;
	u32 rdev_major, rdev_minor;
	u64 size;		/* directories: entries */
	s64 atime, mtime, ctime, btime;
	u64 change;
	u64 parent;
	u32 project;
	u32 trunc_epoch;
	u32 fs;
	u8 chunk_shift;
	u16 stripe;
	u32 table, table_ver;
	u64 next_cookie;
	u32 data;
	u64 tree_bytes, tree_files, tree_dirs;

	bool dirty, fresh, dead;
	struct meta_inode *next_dirty;
	UT_hash_handle hh;
};

/**
 * struct meta_session - a mount or other client
 * @id: session epoch, never used again
 * @root: nothing outside of this directory's tree is the session's
 * @low: lowest unfinished sequence the client named
 * @squash_uid, @squash_gid: who squashed requests act as
 * @expires: ns since the epoch at which its token ends, 0: never
 * @seen_dir, @seen_moves: of memory: the directory last found below @root, and
 *	the value of meta_store.moves at that time
 */
struct meta_session {
	u64 id;
	u8 client[16];
	u32 fs;
	u32 flags;
	u64 root;
	u64 low;
	u32 squash_uid, squash_gid;
	u64 expires;
	u64 seen_dir, seen_moves;
	UT_hash_handle hh;	/* by client */
	UT_hash_handle hh_id;
};

/* How often an inode is open, derived from the handle table. */
struct meta_open {
	u64 ino;
	u32 nr;
	UT_hash_handle hh;
};

struct meta_fs {
	u32 id;
	u64 root;
	u64 files;
	char name[FLINT_LABEL_LEN];
	bool dirty;
	UT_hash_handle hh;
};

/* The one row of table "state". */
struct meta_counters {
	u64 applied;		/* commands */
	u64 last_ts;		/* ns, of the last command */
	u64 next_ino;
	u64 next_session;
	u64 next_handle;
};

enum meta_stmt {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK,
	ST_STATE_GET, ST_STATE_PUT,
	ST_INODE_GET, ST_INODE_INS, ST_INODE_UPD, ST_INODE_DEL,
	ST_DENTRY_GET, ST_DENTRY_INS, ST_DENTRY_SET, ST_DENTRY_DEL, ST_DENTRY_FIRST,
	ST_NR
};

struct meta_store {
	sqlite3 *db;
	sqlite3_stmt *stmt[ST_NR];
	sqlite3_stmt *tstmt[META_T_NR][META_TV_NR];
	u8 *rowbuf[META_ROWBUFS];	/* rows handed out, in turn */
	u32 rownr;
	char path[512];
	struct meta_counters c;
	struct meta_inode *inodes;
	struct meta_inode *dirty;
	struct meta_session *by_client;
	struct meta_session *by_id;
	struct meta_open *opens;
	struct meta_fs *fs;
	u64 now;		/* time stamp of the command being applied */
	u64 moves;		/* how often a directory got another parent; of memory */
	int wal_pages;		/* in the WAL after the last commit */
	bool in_tx;
	bool sync_full;
	char err[256];		/* sentence of the last failure */
};

/* Before any other use of SQLite in the process; once. */
void meta_sqlite_init(void);

/**
 * meta_store_open() - open or create the database
 * @s: result
 * @dir: state directory; the file is "meta.db" in it
 * @err, @errlen: receives one sentence that names file and remedy
 *
 * Nothing is overwritten: a file that is not ours, is damaged or of a newer
 * schema is refused and left as it is.
 *
 * Return: 0; -EUCLEAN (damaged or not a database), -EPROTONOSUPPORT (newer
 * schema), -EROFS, -ENOSPC, -EIO or -ENOMEM.
 */
int meta_store_open(struct meta_store *s, const char *dir, char *err, size_t errlen);
void meta_store_close(struct meta_store *s);

/**
 * meta_store_begin() - start a transaction
 * @durable: the commit must be on stable storage; else it survives the death
 *	of the process, and of the machine once a durable one followed
 * Return: 0 or -errno as meta_store_errno().
 */
int meta_store_begin(struct meta_store *s, bool durable);
/* Return: 0, or -errno with everything since begin undone, in memory too. */
int meta_store_commit(struct meta_store *s);
/* Return: 0, or -errno when memory could not be refilled: the store is unusable. */
int meta_store_rollback(struct meta_store *s);

/**
 * meta_store_checkpoint() - move the WAL into the database
 * @force: wait for readers to leave and start the WAL anew
 */
void meta_store_checkpoint(struct meta_store *s, bool force);

/**
 * meta_store_grow_wal() - give the WAL its working size at once
 *
 * A commit that makes the file longer also writes the file system's journal:
 * measured, five times the latency of one that overwrites. Zeros behind the
 * last frame mean nothing to SQLite. Without the space, nothing changes.
 */
void meta_store_grow_wal(struct meta_store *s);

/* From an SQLite result: -ENOSPC, -ENOMEM, -EUCLEAN (damaged), -EROFS, else -EIO. */
int meta_store_errno(struct meta_store *s, int rc);

/* CRC over all rows of all tables in key order; 0 on failure. Outside a transaction. */
u64 meta_store_checksum(struct meta_store *s);
/* SQLite's own check and ours (links, cookies, counts). 0, or -EUCLEAN with a sentence. */
int meta_store_verify(struct meta_store *s, char *err, size_t errlen);

/* A ready statement: reset, nothing bound. */
sqlite3_stmt *meta_stmt(struct meta_store *s, enum meta_stmt nr);
/* Run to the end. 0, or -errno with the sentence in s->err. */
int meta_run(struct meta_store *s, sqlite3_stmt *st);
/* 1: a row, 0: none, or -errno. The caller resets. */
int meta_step(struct meta_store *s, sqlite3_stmt *st);

/* ---- inodes: writer ---------------------------------------------------- */

/* Return: 0 with *@out (good until commit or rollback), -ESTALE (none), or -errno. */
int meta_inode_get(struct meta_store *s, u64 ino, struct meta_inode **out);
/* A new zeroed inode with the next number, dirty. NULL: no memory. */
struct meta_inode *meta_inode_new(struct meta_store *s);
void meta_inode_dirty(struct meta_store *s, struct meta_inode *i);
/* Remove it with its xattrs and symlink target. */
int meta_inode_delete(struct meta_store *s, struct meta_inode *i);

void meta_inode_attr(const struct meta_inode *i, struct flint_attr *a);
void meta_inode_layout(const struct meta_inode *i, struct flint_layout *l);
/* Fill from a row of ST_INODE_GET or of READDIR's, columns from @col on. */
void meta_inode_row(sqlite3_stmt *st, int col, struct meta_inode *i);

static inline bool meta_is_dir(const struct meta_inode *i)
{
	return (i->mode & 0170000) == 0040000;
}

static inline bool meta_is_reg(const struct meta_inode *i)
{
	return (i->mode & 0170000) == 0100000;
}

static inline bool meta_is_lnk(const struct meta_inode *i)
{
	return (i->mode & 0170000) == 0120000;
}

/* ---- entries: writer ---------------------------------------------------- */

struct meta_dentry {
	u64 ino;
	u64 cookie;
	u32 type;
};

/* 0, -ENOENT or -errno. */
int meta_dentry_get(struct meta_store *s, u64 parent, const u8 *name, u32 len,
		    struct meta_dentry *d);
/* Adds with the directory's next cookie and counts it; @dir becomes dirty. */
int meta_dentry_add(struct meta_store *s, struct meta_inode *dir, const u8 *name, u32 len,
		    u64 ino, u32 mode);
/* Same name and cookie, other inode. */
int meta_dentry_set(struct meta_store *s, u64 parent, const u8 *name, u32 len, u64 ino, u32 mode);
int meta_dentry_del(struct meta_store *s, struct meta_inode *dir, const u8 *name, u32 len);

/* The entry with the lowest cookie: 1 with @name (FLINT_NAME_MAX + 1 bytes), 0 or -errno. */
int meta_dentry_first(struct meta_store *s, u64 parent, struct meta_dentry *d, u8 *name,
		      u32 *len);

/* ---- sessions and opens: writer ------------------------------------------ */

struct meta_session *meta_session_by_client(struct meta_store *s, const u8 client[16]);
struct meta_session *meta_session_by_id(struct meta_store *s, u64 id);
int meta_session_add(struct meta_store *s, const struct meta_session *tmpl);
/* With its replies; its handles must be gone. */
int meta_session_del(struct meta_store *s, struct meta_session *sn);
u32 meta_open_count(struct meta_store *s, u64 ino);
/* 0 or -ENOMEM. */
int meta_open_adjust(struct meta_store *s, u64 ino, int by);
struct meta_fs *meta_fs_get(struct meta_store *s, u32 id);
struct meta_fs *meta_fs_by_name(struct meta_store *s, const char *name);
/* With one inode, its root. 0 or -ENOMEM. */
int meta_fs_put(struct meta_store *s, const struct meta_fs *f);
int meta_fs_add(struct meta_store *s, u32 id, const char *name, u64 root);

/* ---- readers -------------------------------------------------------------- */

struct meta_reader {
	sqlite3 *db;
	sqlite3_stmt *inode, *lookup, *readdir, *readdir_plus, *symlink, *xattr, *xattr_list;
	sqlite3_stmt *fs, *orphans, *orphan_count, *intents;
};

int meta_reader_open(struct meta_reader *r, const char *path, char *err, size_t errlen);
void meta_reader_close(struct meta_reader *r);

/* 0, -ESTALE or -errno. */
int meta_read_inode(struct meta_reader *r, u64 ino, struct meta_inode *out);
/* 0, -ESTALE (no such directory in file system @fs, 0: any), -ENOTDIR, -ENOENT or -errno. */
int meta_read_lookup(struct meta_reader *r, u32 fs, u64 parent, const u8 *name, u32 len,
		     struct meta_inode *out);
/**
 * meta_read_dir() - fill a READDIR payload
 * @buf, @len: room
 * @used: result: bytes
 * Return: 0, -ESTALE, -ENOTDIR, -EINVAL (no room for one record) or -errno.
 */
int meta_read_dir(struct meta_reader *r, u32 fs, u32 valid_ms, const struct flint_readdir *req,
		  u8 *buf, u32 len, u32 *used, struct flint_readdir_rep *rep);
/* Result length, or -errno: -ERANGE with *@total set; @len 0 asks. */
int meta_read_link(struct meta_reader *r, u64 ino, u8 *buf, u32 len);
int meta_read_xattr(struct meta_reader *r, u64 ino, const u8 *name, u32 nlen,
		    u8 *buf, u32 len, u32 *total);
int meta_read_xattr_list(struct meta_reader *r, u64 ino, u8 *buf, u32 len, u32 *total);
/* Number of inodes of a file system. */
int meta_read_files(struct meta_reader *r, u32 fs, u64 *files);

/* Inodes whose data may be removed, by number, after @after. Return: how many, or -errno. */
int meta_read_orphans(struct meta_reader *r, u64 after, u64 *inos, int max);
int meta_read_orphan_count(struct meta_reader *r, u64 *nr);
/* Truncations under way, by inode number, from @from on. Return: how many, or -errno. */
int meta_read_intents(struct meta_reader *r, u64 from, struct meta_intent *it, int max);

#endif /* FLINT_META_STORE_H */
