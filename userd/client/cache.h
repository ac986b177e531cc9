/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a session keeps in memory under leases: attributes, names (present and
 * absent), whole directories, files opened without a request. A state machine
 * without I/O; fs_lease.c connects it to the servers. One thread, the loop's.
 *
 * Invariants
 *  - Something is answered from here only while its lease is held, the session
 *    is trusted (the caller's check), and no mutation of our own that could
 *    change it is in flight.
 *  - What a reply says is kept only if no mutation of our own on the same thing
 *    was in flight or ended after the request was sent: every request takes
 *    the clock (cache_clock()) when it leaves, every mutation advances it.
 *  - What a reply says is kept under a lease that the reply itself brought, or
 *    that was held without a break since its request was sent.
 *  - A grant whose number a recall has named already is not a lease.
 */
#ifndef FLINT_CLIENT_CACHE_H
#define FLINT_CLIENT_CACHE_H

#include "../../uapi/flintfs/codec.h"
#include "../../uapi/flintfs/lease.h"

struct fs_cache;

/**
 * struct cache_ops - what the cache wants done
 * @give_back: these kinds of grants up to @seq are not held any more
 * @register_open: a file opened here without a request loses its lease: open it
 *	at the server, then cache_registered()
 * @close_handle: the last local open of a registered file is gone
 */
struct cache_ops {
	void (*give_back)(void *arg, uint64_t ino, uint32_t kinds, uint64_t seq);
	void (*register_open)(void *arg, uint64_t ino);
	void (*close_handle)(void *arg, uint64_t ino, uint64_t handle);
};

struct fs_cache *cache_new(uint32_t max_entries, const struct cache_ops *ops, void *arg);
void cache_free(struct fs_cache *c);
/* Forget all leases (session lost) but not local opens. */
void cache_drop(struct fs_cache *c);

/* ---- time of our own ------------------------------------------------------------ */

uint64_t cache_clock(const struct fs_cache *c);

/**
 * struct cache_mut - a mutation of our own in flight: what it touches
 * @ino: inodes whose attributes or data change, 0: unused
 * @dir, @name, @len: names that change
 */
struct cache_mut {
	uint64_t clock;			/* the cache's: when it began */
	uint64_t ino[4];
	struct cache_mut_name {
		uint64_t dir;
		const char *name;
		uint32_t len;
		void *dentry;		/* the cache's */
	} n[2];
};

/* Before it is sent. 0 or -ENOMEM. */
int cache_mut_begin(struct fs_cache *c, struct cache_mut *m);
/**
 * cache_mut_end() - it has ended
 * @known: its outcome is known for sure, and @to[i] is what name i stands for
 *	now (0: nothing); else the names are unknown from now on
 */
void cache_mut_end(struct fs_cache *c, struct cache_mut *m, bool known, const uint64_t *to);

/*
 * A change of our own that may touch anything: where is known to the server only.
 * Leases stay; what is kept under them is forgotten, and nothing new is kept until
 * it has ended.
 */
void cache_blind_begin(struct fs_cache *c);
void cache_blind_end(struct fs_cache *c);

/* ---- what replies say ------------------------------------------------------------- */

/* Before what one reply says is told: its grants and its contents belong together. */
void cache_reply(struct fs_cache *c);
/* Kinds that are held on an inode. */
uint32_t cache_kinds(struct fs_cache *c, uint64_t ino);
/* It must not be given back on our own account while it is pinned. */
void cache_pin(struct fs_cache *c, uint64_t ino, bool pin);
/* A grant. Return: kinds newly held. */
uint32_t cache_grant(struct fs_cache *c, uint64_t ino, uint32_t kinds, uint64_t seq);
/* Attributes of an inode. Kept if we hold a lease for them. */
void cache_attr(struct fs_cache *c, const struct flint_attr *attr, uint64_t since);
/* A name stands for @ino, 0: for nothing. Kept if we hold the directory's lease. */
void cache_name(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len, uint64_t ino,
		uint64_t since);
/**
 * cache_page() - a page of a directory
 * @cookie: it was asked for from here
 * @seq: number of the grant on marked entries, 0: none
 */
void cache_page(struct fs_cache *c, uint64_t dir, uint64_t cookie, const uint8_t *buf,
		uint32_t len, bool eof, uint64_t since, uint64_t seq);

/* ---- answers ------------------------------------------------------------------------ */

bool cache_get_attr(struct fs_cache *c, uint64_t ino, struct flint_attr *attr);
/* Return: 1 with @ino (attributes: cache_get_attr()), 0 not known, -ENOENT absent for sure. */
int cache_get_name(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len,
		   uint64_t *ino);
/* Records of a complete directory after @cookie, as READDIR. Return: false when not known. */
bool cache_get_page(struct fs_cache *c, uint64_t dir, uint64_t cookie, bool plus, uint8_t *buf,
		    uint32_t room, uint32_t *used, bool *eof, uint64_t *next_cookie);
/* Open for reading under the file's lease. Return: false: not possible. */
bool cache_open(struct fs_cache *c, uint64_t ino);
void cache_close(struct fs_cache *c, uint64_t ino);

/* ---- recalls and reclaim ---------------------------------------------------------------- */

/* ops->give_back() follows, at once or after cache_registered(). */
void cache_recall(struct fs_cache *c, uint64_t ino, uint32_t kinds, uint64_t seq);
/* ops->register_open() ended; @handle 0: the server does not have the file any more. */
void cache_registered(struct fs_cache *c, uint64_t ino, uint64_t handle);

/*
 * All leases, for SESSION_RECLAIM: fn returns false to stop. Directories that the server does
 * not know yet are among them: it may have been told by a request that was not answered.
 */
void cache_each(struct fs_cache *c, bool (*fn)(void *arg, uint64_t ino, uint32_t kinds,
					       uint64_t seq), void *arg);
/* A new leader: numbers start anew; everything is unnumbered until cache_renumber(). */
void cache_new_leader(struct fs_cache *c);
/* Reclaimed with a new number; @kinds 0: lost. */
void cache_renumber(struct fs_cache *c, uint64_t ino, uint32_t kinds, uint64_t seq);
/* ---- creates that the server does not know yet (fs_delegate.c) --------------------------- */

/* Dir-write on a directory that was just made: a name that is not here is absent. */
void cache_complete(struct fs_cache *c, uint64_t dir);
/* Give back @kinds of what is held on an inode. */
void cache_give(struct fs_cache *c, uint64_t ino, uint32_t kinds);
/* May this name be made here? Absent for sure, under dir-write, with nothing of ours under way. */
bool cache_may_promise(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len);
/**
 * cache_promise() - it is made: as good as leased, until the server knows it
 * @attr: its attributes
 *
 * Those of the directory are not known until then. Return: 0 or -ENOMEM.
 */
int cache_promise(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len,
		  const struct flint_attr *attr);
/**
 * cache_promise_told() - the server has made it
 * @kinds, @seq: leased so, by the grant with that number; 0: the answer had none
 * @reclaiming: kinds without a number may still get one
 * @stale: attributes are not what was said
 */
void cache_promise_told(struct fs_cache *c, uint64_t dir, uint64_t ino, uint32_t kinds,
			uint64_t seq, bool reclaiming, bool stale);
/* It was refused. */
void cache_promise_failed(struct fs_cache *c, uint64_t dir, const char *name, uint32_t len,
			  uint64_t ino);

/* Number of inodes with a lease. */
uint32_t cache_held(const struct fs_cache *c);

#endif /* FLINT_CLIENT_CACHE_H */
