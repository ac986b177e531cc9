/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metadata state: what commands changed lately in memory, over one SQLite
 * database that has the rest.
 *
 *	apply, reads	one thread: the owner's. No locks
 *	flusher		a thread of its own: writes what is frozen
 *
 * Objects (inodes, entries, rows of small tables) live in one hash table
 * (cache.h). What a command changes belongs to the *active* generation. When it
 * is large or old enough it becomes the *frozen* one: nobody changes its
 * objects any more (who wants to, gets a copy), and the flusher writes them in
 * one transaction with the (index, term) of the last entry they come from. Then
 * they are clean: a cache, bounded by a setting. There are never more than the
 * active and one frozen generation.
 *
 * The truth is: active over frozen over the database. After a crash the
 * database is at some index, and applying the log's entries after it gives the
 * same state again, bit by bit of meta_store_checksum().
 *
 * Between the begin of meta_apply() and its end nothing is frozen or evicted,
 * so pointers to objects are good for the time of one command, no longer.
 */
#ifndef FLINT_META_STORE_H
#define FLINT_META_STORE_H

#include <sqlite3.h>
#include <uthash.h>
#include "cache.h"
#include "db.h"

#define META_SCHEMA_VERSION	4
#define META_LINK_MAX		0x7fffffffu
#define META_COOKIE_FIRST	16	/* below it: "." and ".." and the client's own */
#define META_XATTR_LIST_MAX	65536
#define META_REPLY_MAX		192	/* bytes of body a reply has at most */
#define META_SEQ_WINDOW		(1u << 17)	/* a session's sequences from its lowest unfinished one on */
#define META_TRIM_STEP		16	/* every so many sequences, replies below low are removed */

/*
 * struct meta_inode.flags beyond FLINT_INO_*: what need not be looked for when
 * the bit is clear, so that the usual inode costs no further look.
 */
#define META_INO_WIRE	0x0000ffffu	/* what clients see and set */
#define META_INO_TOLD	(META_INO_ACL | META_INO_DACL | META_INO_CAPS)	/* what they see */
#define META_INO_ACL	FLINT_INO_ACL		/* xattr system.posix_acl_access */
#define META_INO_DACL	FLINT_INO_DEFAULT_ACL	/* xattr system.posix_acl_default */
#define META_INO_CAPS	FLINT_INO_CAPS		/* xattr security.capability */
#define META_INO_XATTR	0x00080000u	/* any xattr */
#define META_INO_QUOTA	0x00100000u	/* directory: a quota of its tree */
#define META_INO_KEEP	0x00200000u	/* directory: a trash setting of its own */
#define META_INO_LINKS	0x00400000u	/* file: more than one name, see table "link" */
#define META_INO_TRASH	0x00800000u	/* its name was removed; it hangs in a hidden directory */
#define META_INO_REFUSED 0x08000000u	/* with LOOSE: some of it because of a quota */
#define META_INO_LOOSE	0x04000000u	/* file: data beyond its end, to be cut; nobody's size yet */
#define META_INO_NAMELESS 0x02000000u	/* file: it never had a name, and may get one */
#define META_INO_HIDDEN	0x01000000u	/* a hidden directory: nobody's entry leads to it */

/* struct meta_session.flags beyond FLINT_SESSION_*. */
#define META_SN_WIRE		0x0000ffffu
#define META_SN_ROOT_SQUASH	0x00010000u
#define META_SN_ALL_SQUASH	0x00020000u
#define META_SN_TOKEN		0x00040000u	/* came with a token */
#define META_SN_ADMIN		0x00080000u	/* which lets it administrate */

/* Internal results of meta_apply(); never sent. */
#define META_ST_PENDING		0x7fff0001u	/* logged; answered when its cut is done */
#define META_ST_WAIT		0x7fff0002u	/* not done: propose again after the cut */

/**
 * struct meta_inode - an inode as the database has it, in host order
 * @layout: of a file its own, of a directory what children inherit
 * @next_cookie: directories: of the next entry; files: the inode whose layout
 *	it took (FLINT_SET_LAYOUT), 0: its own
 * @parent: directories: of it ("/" and hidden ones: itself); others: the home,
 *	the directory in whose totals the inode counts
 * @data: files: chunk servers may hold data of it
 * @tree_bytes, @tree_files, @tree_dirs: directories: totals of all below
 * @dir: directories: what is known of the entries in memory; not part of the row
 */
struct meta_inode {
	struct meta_obj o;
	/* from here to @dir: the row; no holes, the checksum takes the bytes */
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
	u16 stripe;
	u8 chunk_shift;
	u8 data;
	u32 table, table_ver;
	u64 next_cookie;
	u64 tree_bytes, tree_files, tree_dirs;
	/* end of the row */
	struct meta_dir *dir;
};

#define META_INODE_ROW_AT	offsetof(struct meta_inode, ino)
#define META_INODE_ROW_LEN	(offsetof(struct meta_inode, dir) - META_INODE_ROW_AT)

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

/* How often an inode is open, and for writing, derived from the handle table. */
struct meta_open {
	u64 ino;
	u32 nr, writers;
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

/**
 * struct meta_store_config
 * @dir: state directory; the database is META_STORE_FILE in it
 * @cache_bytes: memory for objects; 0: a quarter of the machine's
 * @gen_objects: size at which a generation is frozen; 0: META_GEN_OBJECTS
 * @gen_ms: age at which it is, by meta_store_tick(); 0: META_GEN_MS
 * @checked: the file was looked through a moment ago: do not do it again
 * @wake: the flusher has done something: call meta_store_poll() on the owner's
 *	thread soon. Called on the flusher's thread. NULL: only polled
 * @durable: the database holds everything up to this entry, on stable storage.
 *	From meta_store_poll(), or whatever calls it
 * @fatal: the state can neither be read nor written any longer: the process must
 *	stop. A sentence. From meta_store_poll() or a read
 */
struct meta_store_config {
	const char *dir;
	u64 cache_bytes;
	u32 gen_objects;
	u32 gen_ms;
	bool checked;
	void (*wake)(void *arg);
	void (*durable)(void *arg, u64 index, u64 term);
	void (*fatal)(void *arg, const char *why);
	void *arg;
};

#define META_STORE_FILE		"meta.db"
#define META_GEN_OBJECTS	65536
#define META_GEN_MS		1000

#define META_WATCH_MAX	32

/* A quota whose soft limits the command being applied may have passed. */
struct meta_watch {
	u32 fs, kind;
	u64 id;
};

struct meta_store {
	struct meta_store_config cfg;
	char path[512];
	struct meta_db rd;		/* the owner's connection */
	struct meta_cache cache;
	struct meta_counters c;
	u64 index, term;		/* last entry applied */
	u64 sum;			/* of all rows, see checksum.h */
	struct meta_session *by_client;
	struct meta_session *by_id;
	struct meta_open *opens;
	struct meta_fs *fs;
	u64 ready_orphans;
	u64 now;			/* time stamp of the command being applied */
	u64 moves;			/* how often a directory got another parent; of memory */
	struct meta_flusher *flusher;
	struct meta_gen *frozen;
	u64 frozen_index, frozen_applied, frozen_us;	/* of the last freeze */
	u64 cost_ns;			/* that the flusher needs for an object */
	u64 durable;			/* index */
	u64 waits;
	bool waiting;			/* meta_store_poll() is to wait */
	bool dead;			/* fatal was told */
	char err[256];			/* sentence of the last failure */
	struct meta_watch watch[META_WATCH_MAX];
	u32 nr_watch;
};

/* Before any other use of SQLite in the process; once. */
void meta_sqlite_init(void);

/**
 * meta_store_open() - open or create the database
 * @s: result
 * @cfg: copied
 * @err, @errlen: receives one sentence that names file and remedy
 *
 * Nothing is overwritten: a file that is not ours, is damaged or of a newer
 * schema is refused and left as it is; one of an older schema is upgraded in one
 * transaction.
 *
 * Return: 0; -EUCLEAN (damaged or not a database), -EPROTONOSUPPORT (newer
 * schema), -EROFS, -ENOSPC, -EIO or -ENOMEM.
 */
int meta_store_open(struct meta_store *s, const struct meta_store_config *cfg, char *err,
		    size_t errlen);
/* Ends the flusher; what is not written yet is not: the log has it. */
void meta_store_close(struct meta_store *s);

/**
 * meta_store_applied() - all commands of an entry were applied
 *
 * Settles the checksum, keeps the cache bounded, freezes the active generation
 * if it is time. When the flusher is so far behind that memory would not be
 * bounded, waits for it: see meta_store_delay(), which keeps it from coming to
 * that on a leader.
 */
void meta_store_applied(struct meta_store *s, u64 index, u64 term);
/**
 * meta_store_delay() - how long a leader should wait before its next entry
 *
 * While the frozen generation is being written, changes come at a pace at which the
 * active one is full when that is done: a little later each, instead of not at all
 * when memory is full. Return: microseconds.
 */
u32 meta_store_delay(const struct meta_store *s);
/* Every 100 ms or so: freezes a generation that is old enough. */
void meta_store_tick(struct meta_store *s);
/* Freeze what is active now, if the flusher is idle; else try again later. */
void meta_store_freeze(struct meta_store *s);
/* What the flusher reported: @durable, @fatal. */
void meta_store_poll(struct meta_store *s);
/**
 * meta_store_flush() - write everything, and wait for it
 * Return: 0, or -EIO after @fatal.
 */
int meta_store_flush(struct meta_store *s);

/**
 * meta_store_checksum() - of the whole state, whatever of it is written
 *
 * Equal for two stores that applied the same commands. Kept up to date with each
 * change: costs nothing. Between entries only.
 */
u64 meta_store_checksum(struct meta_store *s);

struct meta_store_stats {
	u64 objects, bytes, bytes_max;	/* in memory */
	u64 dirty, frozen;		/* objects in the generations */
	u64 hits, misses, evictions;	/* misses: asked the database */
	u64 flushes, flushed;		/* generations, objects written */
	u64 flush_us, checkpoint_us;	/* spent, all together */
	u64 checkpoints;
	u64 waits;			/* times that apply waited for the flusher */
	u64 durable;			/* index */
	u64 file_bytes, wal_bytes;
};

void meta_store_stats(struct meta_store *s, struct meta_store_stats *st);

/* The database failed in the middle of something: remember and tell. Return: @err. */
int meta_store_fail(struct meta_store *s, int err, const char *why);

/* ---- inodes -------------------------------------------------------------- */

/* To change: 0 with *@out (good until the command ends), -ESTALE (none), or -errno. */
int meta_inode_get(struct meta_store *s, u64 ino, struct meta_inode **out);
/* To look at: cheaper. As above. */
int meta_inode_peek(struct meta_store *s, u64 ino, const struct meta_inode **out);
/* A new zeroed inode with number @ino (0: the next), dirty; a directory's mode must be given. */
struct meta_inode *meta_inode_new(struct meta_store *s, u64 ino);
/* It was changed, or is about to be, in this command. */
void meta_inode_dirty(struct meta_store *s, struct meta_inode *i);
/* Remove it with its xattrs and symlink target. */
int meta_inode_delete(struct meta_store *s, struct meta_inode *i);

void meta_inode_attr(const struct meta_inode *i, struct flint_attr *a);
void meta_inode_layout(const struct meta_inode *i, struct flint_layout *l);

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

/* ---- entries ------------------------------------------------------------ */

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

struct meta_dir_entry {
	u64 cookie, ino;
	u32 type;
	const u8 *name;
	u32 len;
};

/**
 * meta_dir_scan() - entries in the order of their cookies, above @after
 * @emit: for each; anything but 0 ends the scan. The name is good within it
 * Return: what @emit returned, 0 at the end, or -errno.
 */
int meta_dir_scan(struct meta_store *s, const struct meta_inode *dir, u64 after,
		  int (*emit)(void *arg, const struct meta_dir_entry *e), void *arg);

/* Between commands: the checksum takes in what the last one changed. */
void meta_inodes_settle(struct meta_store *s);
void meta_store_settle(struct meta_store *s);

/* ---- sessions and opens -------------------------------------------------- */

struct meta_session *meta_session_by_client(struct meta_store *s, const u8 client[16]);
struct meta_session *meta_session_by_id(struct meta_store *s, u64 id);
int meta_session_add(struct meta_store *s, const struct meta_session *tmpl);
/* With its replies; its handles must be gone. */
int meta_session_del(struct meta_store *s, struct meta_session *sn);
u32 meta_open_count(struct meta_store *s, u64 ino);
/* Handles for writing among them. */
u32 meta_open_writers(struct meta_store *s, u64 ino);
/* One more (@by: 1) or less (-1), opened with @flags. 0 or -ENOMEM. */
int meta_open_adjust(struct meta_store *s, u64 ino, u64 flags, int by);
struct meta_fs *meta_fs_get(struct meta_store *s, u32 id);
struct meta_fs *meta_fs_by_name(struct meta_store *s, const char *name);
/* With one inode, its root. 0 or -ENOMEM. */
int meta_fs_add(struct meta_store *s, u32 id, const char *name, u64 root);
/* Its row. 0 or -errno. */
int meta_fs_put(struct meta_store *s, const struct meta_fs *f);

/* At start, from rows. NULL or -ENOMEM: no memory. */
int meta_tables_load(struct meta_store *s);
struct meta_session *meta_session_from_row(struct meta_store *s, const struct meta_row *r);
int meta_fs_load(struct meta_store *s, u32 id, u64 root, u64 files, const u8 *name, u32 len);

/* ---- reads -------------------------------------------------------------- */

/* 0, -ESTALE or -errno. */
int meta_read_inode(struct meta_store *s, u64 ino, struct meta_inode *out);
/* 0, -ESTALE (no such directory in file system @fs, 0: any), -ENOTDIR, -ENOENT or -errno. */
int meta_read_lookup(struct meta_store *s, u32 fs, u64 parent, const u8 *name, u32 len,
		     struct meta_inode *out);
/**
 * meta_read_dir() - fill a READDIR payload
 * @buf, @len: room
 * @used: result: bytes
 * Return: 0, -ESTALE, -ENOTDIR, -EINVAL (no room for one record) or -errno.
 */
int meta_read_dir(struct meta_store *s, u32 fs, u32 valid_ms, const struct flint_readdir *req,
		  u8 *buf, u32 len, u32 *used, struct flint_readdir_rep *rep);
/* Result length, or -errno: -ERANGE with *@total set; @len 0 asks. */
int meta_read_link(struct meta_store *s, u64 ino, u8 *buf, u32 len);
int meta_read_xattr(struct meta_store *s, u64 ino, const u8 *name, u32 nlen,
		    u8 *buf, u32 len, u32 *total);
int meta_read_xattr_list(struct meta_store *s, u64 ino, u8 *buf, u32 len, u32 *total);
/* Number of inodes of a file system. */
int meta_read_files(struct meta_store *s, u32 fs, u64 *files);

/* Inodes whose data may be removed, by number, after @after. Return: how many, or -errno. */
int meta_read_orphans(struct meta_store *s, u64 after, u64 *inos, int max);
int meta_read_orphan_count(struct meta_store *s, u64 *nr);
/* Truncations under way, by inode number, from @from on. Return: how many, or -errno. */
int meta_read_intents(struct meta_store *s, u64 from, struct meta_intent *it, int max);

#endif /* FLINT_META_STORE_H */
