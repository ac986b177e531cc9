/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flint-metad as a whole: what its parts share.
 *
 * One thread, the loop's, owns everything: connections, the log (Raft), the
 * state, sessions, reads, the reaper. Threads besides it do storage only and
 * report back by tasks: the writer of raft.db, the flusher of meta.db (store.h).
 *
 * Sessions, waiting truncations and the reaper's jobs are the leader's. They
 * begin when the replica is ready to lead and end when it leads no more.
 */
#ifndef FLINT_META_METAD_H
#define FLINT_META_METAD_H

#include <stdatomic.h>
#include "../base/metrics.h"
#include "../client/cluster.h"
#include "../client/member.h"
#include "lease.h"
#include "log.h"

#define METAD_LEASE_MS		30000
#define METAD_VALID_MS		1000
#define METAD_MAX_IO		(256u << 10)
#define METAD_POOL_BUFS		64
#define METAD_CUT_TARGETS	(FLINT_STRIPE_MAX * FLINT_CHAIN_MAX)

/**
 * struct metad_session - a session as the connections see it
 * @conns: connections that used it and are still there
 * @seen_ns: last request or loss of a connection
 * @expiring: nothing of it is served any more; its end is under way, and never taken back: others
 *	may have been given what it held
 * @fenced: that is so: chunk servers refuse it, its leases and locks are gone
 * @again: the step that its end had come to failed: metad_sessions_expire() takes it again
 * @gone: ended; freed with its last connection
 */
struct metad_session {
	struct metad *m;
	u64 id;
	u8 client[16];
	u32 fs;
	u32 flags;		/* FLINT_SESSION_* */
	u32 conns;
	u64 seen_ns;
	bool gone, expiring, fenced, again;
	struct metad_conn *conn_list;
	UT_hash_handle hh;	/* by client */
	UT_hash_handle hh_id;

	/* grants.c */
	struct flint_lease_rec *recalls;	/* to push */
	u32 nr_recalls, cap_recalls;
	bool flushing;
	struct metad_session *flush_next;
	struct metad_whandle *writes;		/* its handles for writing */

	/* hints.c */
	u8 hints[LEASE_HINT_BYTES];		/* buckets it may get leases in, as the log has them */
	u8 hints_want[LEASE_HINT_BYTES];	/* that are to be added */
	bool hints_all;				/* none are kept: any bucket */
	bool hints_queued;
	struct metad_session *hints_next;
};

/* A live connection, whose it is, and its session, if there is one. */
struct metad_conn {
	struct flint_conn *conn;
	u8 client[16];
	struct metad_session *session;
	struct metad_conn *next, **prev;	/* of the session */
	bool fresh;			/* no renewal came over it yet */
	UT_hash_handle hh;
};

/* Who waits for the cuts of an inode. */
struct metad_cut {
	u64 ino;
	struct meta_proposal *waiters;	/* answered by META_OP_TRUNC_DONE */
	struct meta_proposal *parked;	/* proposed again after it */
	UT_hash_handle hh;
};

struct metad_reaper;
struct metad_jobs;

struct metad {
	struct flint_metrics metrics;
	struct flint_collector collect[2];
	struct flint_loop *loop;
	struct flint_pool *pool;
	const u8 *key;			/* the cluster's */
	struct flint_server *server;
	struct flint_cluster *cluster;
	struct flint_member *member;
	struct meta_store store;
	struct meta_log *log;
	struct metad_reaper *reaper;
	struct metad_jobs *jobs;
	struct flint_timer tick, store_tick;
	struct flint_task store_task;
	atomic_bool store_posted;
	u32 lease_ms;
	u32 valid_ms;

	struct metad_session *sessions;
	struct metad_session *sessions_by_id;
	struct metad_conn *conns;
	struct metad_leases *leases;
	struct metad_locks *locks;
	struct metad_hints *hints;
	struct metad_own *owns;		/* commands of the server that wait for leases */
	struct metad_change *changes;	/* requests that may wait for leases of others */
	struct name_lock *names;	/* that they work on */
	struct fencing *fencings;	/* sessions on their way out */
	struct settling *settlings;	/* fenced ones, whose files' sizes are not known yet */
	struct flint_timer lease_tick;
	u64 ticked_ns;			/* tick or lease_tick, the last time */
	u32 max_leases;

	struct metad_cut *cuts;
	bool leading;			/* ready to serve: the parts that only a leader has run */
	u32 leader_node;		/* what metad_leader_node() found last ... */
	u64 leader_id, leader_epoch;	/* ... for this leader and map */
	bool told_standby, told_removed;	/* each is logged once */
	bool failed;			/* a fatal error stopped the loop */
};

/* ---- requests.c ---------------------------------------------------------- */

/* flint_server_config's. On the loop. */
void metad_request(void *arg, struct flint_call *call);

/* Room that the requester offers: its word, its memory, and our buffer. */
u32 metad_room(const struct flint_call *call, const struct flint_buf *buf, u32 asked);

/* ---- jobs.c --------------------------------------------------------------- */

/**
 * struct metad_jobs_config
 * @state: state directory
 * @dir: of the backups; NULL: "backup" in it
 * @node: own name
 * @every_hours: between backups by schedule; 0: none
 * @keep: how many of those
 * @rate_mib: MiB a second that a backup writes at most; 0: no limit
 * @group: id of the Raft group
 * Strings must live on.
 */
struct metad_jobs_config {
	const char *state, *dir, *node;
	u64 every_hours, keep, rate_mib;
	u64 (*group)(struct metad *m);
};

struct metad_jobs *metad_jobs_new(struct metad *m, const struct metad_jobs_config *cfg);
/* With the loop stopped: ends what runs. */
void metad_jobs_free(struct metad_jobs *j);
/*
 * struct meta_log_config's, and a job's connection would keep the old file in use: what runs
 * ends, with an error, and what is asked for from now on waits for the end of the hold.
 */
void metad_jobs_hold(void *arg, bool hold);
/* FLINT_OP_META_JOB. On the loop. */
void metad_job(struct metad *m, struct flint_call *call);

/* ---- adminreq.c --------------------------------------------------------- */

/* An operation of meta_admin_read(). */
void metad_admin(struct metad *m, struct flint_call *call, u64 sid);
/*
 * May the session not read this? Then it has been answered. The call's body loses its
 * credentials. False for everything that is no plain read.
 */
bool metad_read_refused(struct metad *m, struct flint_call *call, u64 sid);
/* ns since the epoch */
u64 metad_wall_ns(void);

/* ---- mutate.c ------------------------------------------------------------- */

/* A mutation whose payload, if any, is there. On the loop. */
void metad_mutate(struct metad *m, struct flint_call *call, u64 sid,
		  const void *data, u32 data_len);
/* Propose one of META_OP_*. 0 or -ENOMEM. @done is called later. */
int metad_propose_own(struct metad *m, u16 op, u64 ino, u32 epoch,
		      void (*done)(struct metad *m, u64 ino, u32 status, void *priv), void *priv);
/* The same with a body of its own; @id is what @done hears. */
int metad_propose_body(struct metad *m, u16 op, const void *body, u32 len, u64 id,
		       void (*done)(struct metad *m, u64 id, u32 status, void *priv), void *priv);
/* Who waits for a cut to begin anew, for longer than its sender does, is answered RETRY. */
void metad_cuts_tick(struct metad *m);
/* Leading no more, or stopping: answer everybody who waits. */
void metad_cuts_drop(struct metad *m, u32 status);
/* Answer with FLINT_ST_NOT_LEADER and who it is. */
void metad_not_leader(struct metad *m, struct flint_call *call);

/* ---- sessions.c ----------------------------------------------------------- */

/* From the store: this replica leads now. 0 or -ENOMEM. */
int metad_sessions_load(struct metad *m);
/* It leads no more; connections stay. */
void metad_sessions_drop(struct metad *m);
void metad_sessions_free(struct metad *m);
/* The session of a call's client: 0 with its id and file system, or -ENOENT. On the loop. */
int metad_session_get(struct metad *m, struct flint_call *call, u64 *sid, u32 *fs);
struct metad_session *metad_session_by_id(struct metad *m, u64 sid);
/* Is this the connection's first renewal? Says so once. */
bool metad_conn_fresh(struct metad *m, struct flint_conn *conn);
/* A session was opened over @conn (NULL: not known), or ended. */
void metad_session_opened(struct metad *m, u64 sid, const u8 client[16], u32 fs,
			  struct flint_conn *conn);
/* End a session: nothing of it is served any more; fenced, then META_OP_EXPIRE. */
void metad_session_expire(struct metad *m, struct metad_session *sn, const char *why);
/*
 * A session asks to be closed: is it ended as if it had gone without a word, because it has files
 * open for writing, whose data may reach beyond the sizes that were told?
 */
bool metad_session_owes(struct metad *m, u64 sid);
void metad_session_ended(struct metad *m, u64 sid);
/* Every chunk server refuses it: sizes that it kept are settled. */
void metad_session_fenced(struct metad *m, u64 sid);
/* They are: META_OP_EXPIRE may follow. */
void metad_session_settled(struct metad *m, u64 sid);
/* flint_server_config's. On the loop. */
void metad_conn_opened(void *arg, struct flint_conn *conn);
void metad_conn_closed(void *arg, struct flint_conn *conn);
/* Nobody could be heard here for @ns until @now: that was no silence of theirs. On the loop. */
void metad_sessions_unheard(struct metad *m, u64 now, u64 ns);
/* End sessions that are silent and without a connection; go on where an end failed. On the loop. */
void metad_sessions_expire(struct metad *m);

/* ---- fence.c -------------------------------------------------------------- */

/* Have every chunk server refuse a session's data requests, then metad_session_fenced(). 0 or -ENOMEM. */
int metad_fence(struct metad *m, const struct metad_session *sn);
/* See metad_sessions_unheard(): chunk servers' answers were not read either. */
void metad_fences_unheard(struct metad *m, u64 ns);
/* After flint_cluster_free(). */
void metad_fences_free(struct metad *m);

/* ---- settle.c ------------------------------------------------------------- */

/* Sizes of files that a fenced session was writing, then metad_session_settled(). 0 or -ENOMEM. */
int metad_settle(struct metad *m, const struct metad_session *sn);
/* After flint_cluster_free() and meta_log_free(). */
void metad_settles_free(struct metad *m);

/* ---- reaper.c ------------------------------------------------------------- */

/**
 * metad_reaper_new() - remove data of truncated and deleted files
 * @rate: inodes a second
 */
struct metad_reaper *metad_reaper_new(struct metad *m, u32 rate);
/* With the loop stopped, before flint_cluster_free(): start nothing more. */
void metad_reaper_stop(struct metad_reaper *r);
/* After flint_cluster_free() and meta_log_free(). */
void metad_reaper_free(struct metad_reaper *r);
/* There may be work: an intent was committed. */
void metad_reaper_poke(struct metad *m);
/* Only a leader's reaper works. */
void metad_reaper_lead(struct metad_reaper *r, bool leading);
void metad_reaper_collect(const struct metad_reaper *r, FILE *f);

/* ---- metrics.c ------------------------------------------------------------ */

/* A collector's. */
void metad_collect(void *arg, FILE *f);

/* ---- replica.c ------------------------------------------------------------ */

/* Node id of the leader in the cluster map, 0: not known. */
u32 metad_leader_node(struct metad *m);
/* struct meta_log_config's. */
void metad_role(void *arg, const struct flint_raft_status *st);
/* struct flint_member_config's. */
void metad_replica_beat(void *arg, struct flint_hb_replica *r);
void metad_replica_ordered(void *arg, uint32_t order, uint64_t group);

#endif /* FLINT_META_METAD_H */
