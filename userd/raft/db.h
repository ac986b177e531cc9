/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * raft.db: what a replica must not forget, in one SQLite database.
 *
 * Table "root" has one row: who it is, term, vote, and where the log begins.
 * Table "entry" has one row for each entry behind that. What belongs together
 * (a vote with its term, a truncation with what takes its place, a snapshot's
 * index with its configuration) is one transaction. Root and entries carry a
 * CRC each, because SQLite has none for its pages.
 *
 * A thread of its own does all work after the open. Group commit: all jobs
 * that gather while a transaction is being synced make up the next one. The
 * WAL is given its working size at once and kept small: it is on the path of
 * every acknowledgement (decision D15).
 *
 * Ownership: a job and the entries it names are the writer's until its done()
 * is called on the loop. Entries are counted references and never change.
 */
#ifndef FLINT_RAFT_DB_H
#define FLINT_RAFT_DB_H

#include <stdatomic.h>
#include "../net/net.h"

#define FLINT_RAFT_CONF_MAX	4096	/* bytes of an encoded configuration */

/**
 * struct flint_raft_ent - an entry of the log; made once, then constant
 * @next: the holder's; may be used by one holder at a time
 */
struct flint_raft_ent {
	u64 index, term;
	u32 len;
	u8 type;
	atomic_int refs;
	u8 data[];
};

/* One reference. NULL: no memory. @data NULL: not filled. */
struct flint_raft_ent *flint_raft_ent_new(u64 index, u64 term, u8 type, const void *data, u32 len);

static inline struct flint_raft_ent *flint_raft_ent_get(struct flint_raft_ent *e)
{
	atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	return e;
}

void flint_raft_ent_put(struct flint_raft_ent *e);

/**
 * struct flint_raft_root - the one row
 * @base, @base_term: the entry before the first of the log; 0: none
 * @conf: configuration as of @base, encoded
 * @removed: the group has let us go
 * @loading: the snapshot at @base is not the state yet: it waits in a file
 */
struct flint_raft_root {
	u64 id, group;
	u64 term, vote;
	u64 base, base_term;
	bool removed, loading;
	u32 conf_len;
	u8 conf[FLINT_RAFT_CONF_MAX];
};

/**
 * struct flint_raft_job - one atomic change
 * @root: the new row, or NULL; copied
 * @truncate: entries from this index on go, 0: none
 * @reset: all entries go (@root's base is a snapshot's)
 * @ents, @nr: entries that are added then; references are the job's
 * @done: on the loop, in the order of submission; @err 0 or -errno, after which every job fails
 */
struct flint_raft_job {
	struct flint_raft_root *root;
	u64 truncate;
	bool reset;
	struct flint_raft_ent **ents;
	u32 nr;
	void (*done)(struct flint_raft_job *job, int err);
	void *priv;
	int err;
	struct flint_raft_job *next;
};

/**
 * struct flint_raft_fetch - read entries back
 * @from, @to: indexes, both included
 * @max_bytes: stop after so many; at least one entry comes
 * @ents, @nr: result, one reference each; room for FLINT_RAFT_FETCH_MAX. Fewer when some are gone
 * @done: on the loop
 */
#define FLINT_RAFT_FETCH_MAX	64

struct flint_raft_fetch {
	u64 from, to;
	u32 max_bytes;
	struct flint_raft_ent *ents[FLINT_RAFT_FETCH_MAX];
	u32 nr;
	void (*done)(struct flint_raft_fetch *f, int err);
	void *priv;
	int err;
	struct flint_raft_fetch *next;
};

struct flint_raft_db_stats {
	u64 entries, bytes, syncs, checkpoints;
	u64 fsync_us_avg, fsync_us_max;		/* of commits in the last seconds */
	u64 file_bytes;
};

struct flint_raft_db;

/**
 * flint_raft_db_open() - open or make DIR/raft.db, check it, read its root
 * @root: result; in a new one only the id is set
 * @procedure: how a lost replica is brought back, for sentences
 *
 * Blocks. Nothing damaged is changed. Return: 0 or -errno as flint_raft_new().
 */
int flint_raft_db_open(struct flint_raft_db **dbp, const char *dir, const char *procedure,
		       struct flint_raft_root *root, char *err, size_t errlen);

/**
 * flint_raft_db_load() - read all entries, before the start
 * @load: called for each in order, which it gets with one reference; 0 or -errno
 */
int flint_raft_db_load(struct flint_raft_db *db, int (*load)(void *arg, struct flint_raft_ent *e),
		       void *arg, char *err, size_t errlen);

/**
 * flint_raft_db_start() - start the thread
 * @fatal: on the loop, once: the database cannot be used any longer, a sentence
 */
int flint_raft_db_start(struct flint_raft_db *db, struct flint_loop *loop,
			void (*fatal)(void *arg, const char *why), void *arg);
/* With the loop stopped: finishes what was queued (done is called), ends the thread, closes. */
void flint_raft_db_close(struct flint_raft_db *db);

/* On the loop. */
void flint_raft_db_write(struct flint_raft_db *db, struct flint_raft_job *job);
void flint_raft_db_fetch(struct flint_raft_db *db, struct flint_raft_fetch *f);
void flint_raft_db_stats(struct flint_raft_db *db, struct flint_raft_db_stats *st);

/* One change of a database whose thread was not started: for offline verbs. 0 or -errno, a sentence. */
int flint_raft_db_write_now(struct flint_raft_db *db, struct flint_raft_job *job, char *err,
			    size_t errlen);

#endif /* FLINT_RAFT_DB_H */
