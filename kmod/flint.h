/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file system half of flintfs: its objects and the functions that its
 * files offer each other, one section a file. No verbs type appears here.
 *
 * Locks, outermost first
 *  inode->write_lock	what changes a file's data; taken killably, held over the
 *			network. Direct I/O takes it only for its place at the end
 *  inode->i_rwsem	the VFS's rules: who waits for it cannot be killed. Held over the
 *			network for about 10 seconds (flint_hold_begin())
 *  fs->map_lock	replaces fs->map (readers use RCU)
 *  fs->held_lock	changes whose task asks again
 *  fs->seq_lock	unfinished sequences
 *  fs->close_lock	handles to give back
 *  inode->fi_lock	cached attributes; a leaf
 *  dio->lock		first failure of a direct I/O; a leaf
 *
 * Never hang: system calls wait killably, asynchronous I/O and our workers
 * with a deadline, and nothing waits for the network in ->release() or
 * ->evict_inode().
 */
#ifndef _FLINT_H
#define _FLINT_H

#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/jiffies.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/siphash.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include "compat/compat.h"
#include "iosplit.h"
#include "request.h"
#include "../uapi/flintfs/netlink.h"

#define FLINT_FS_TYPE		"flintfs"
#define FLINT_SUPER_MAGIC	0x464c4e54
#define FLINT_DIO_MAX		(16u << 20)	/* bytes in flight for one call */
#define FLINT_DIO_MAX_SEGS	4352		/* pages of that, with some gaps */
#define FLINT_RPC_TIMEO		(10 * HZ)	/* one attempt; then the connection ends */
#define FLINT_HOLD		FLINT_RPC_TIMEO	/* locks of the VFS, when a server is silent */
#define FLINT_READDIR_BUF	65536
#define FLINT_ST_BLKSIZE	131072
#define FLINT_RA_BYTES		(2u << 20)
#define FLINT_DIRTY_RATIO	1		/* % of the machine's dirty pages */
#define FLINT_CACHE_STEP	SZ_1M		/* written into the cache under one lock */

struct flint_fs;
struct seq_file;

/* ---- counters --------------------------------------------------------- */

enum flint_stat {
	FLINT_STAT_READ_OPS,
	FLINT_STAT_READ_BYTES,
	FLINT_STAT_WRITE_OPS,
	FLINT_STAT_WRITE_BYTES,
	FLINT_STAT_META_OPS,
	FLINT_STAT_EXTENDS,
	FLINT_STAT_RETRIES,
	FLINT_STAT_CRC_ERRORS,
	FLINT_STAT_TIMEOUTS,
	FLINT_STAT_CACHE_PAGES,
	FLINT_STAT_MAP_UPDATES,
	FLINT_STAT_META_MOVES,
	FLINT_STAT_LEASES,
	FLINT_STAT_RECALLS,
	FLINT_STAT_DELEGATED,
	FLINT_STAT_WB_WRITES,
	FLINT_STAT_WB_PAGES,
	FLINT_STAT_WB_FAULTS,
	FLINT_STAT_WB_ERRORS,
	FLINT_STAT_NR
};

struct flint_stats {
	u64 v[FLINT_STAT_NR];
};

#define flint_stat_add(fs, stat, n)	this_cpu_add((fs)->stats->v[stat], n)
#define flint_stat_inc(fs, stat)	flint_stat_add(fs, stat, 1)

/* ---- opts.c ----------------------------------------------------------- */

#define FLINT_TIME_SERVER	UINT_MAX	/* let the server say how long */

/**
 * struct flint_opts - what mount -o said
 * @dests: where the managers listen
 * @nr_dests: of them
 * @proto: transports that may be used: FLINT_PROTO_* or both
 * @key_desc: description of a logon key, or NULL: no authentication
 * @soft: give up after the time-outs below instead of retrying for ever
 * @lease: keep what the server grants leases for; else by time
 * @delegate: make files in new directories without a request, and tell of them soon
 * @writeback: keep what is written, too, under write leases
 * Times are in milliseconds, sizes in bytes.
 */
struct flint_opts {
	struct flint_dest dests[FLINT_PEER_DESTS];
	unsigned int nr_dests;
	u8 proto;
	char *key_desc;
	bool soft;
	bool lease;
	bool delegate;
	bool writeback;
	unsigned int io_timeo;
	unsigned int meta_timeo;
	unsigned int attr_timeo;
	unsigned int entry_timeo;
	unsigned int neg_timeo;
	unsigned int connect_timeo;
	unsigned int hb_timeo;
	u32 inline_size;
	u32 max_io;
	u32 nconn;
	u32 credits;
};

int flint_init_fs_context(struct fs_context *fc);
extern const struct fs_parameter_spec flint_fs_parameters[];
void flint_opts_show(struct seq_file *m, const struct flint_opts *opts);

/* ---- lease.c ---------------------------------------------------------- */

#define FLINT_RECALLS_KEPT	64
#define FLINT_RETURNS_MAX	256

/**
 * struct flint_leases - a mount's leases; see lease.c
 * @lock: protects all but @trusted, @gens and @renew
 * @epoch: of the leadership that grants, 0: none is known
 * @held: inodes with a lease
 * @unleased: inodes of which pages may be mapped without one, until @unmap runs
 * @locals: inodes that are open without the server's knowledge (open.c)
 * @locked: inodes that had a lock of another machine's concern (lock.c)
 * @recalls: pushes to carry out
 * @returns: of inodes that left memory, @nr_returns of them
 * @recent: the last recalls, @at counts them; grants up to @floor are void
 * @trusted: CLOCK_BOOTTIME ns until which leases may be relied upon
 * @gens: last generation given
 * @renew: the keepalive shall ask who leads, whatever it heard before
 * @lost: the servers ended the session, and flint_lease_forget() is not through yet: nothing is
 *	relied upon and nothing is granted
 * @owed_lock: the next two; innermost
 * @owed: inodes that owe the servers something (writeback.c), @nr_owed of them
 * @owed_wq: waits for none
 * @lost_work: what follows @lost
 * @owners: key for the names of locks' owners
 * @lock_ids: last number of a wait for a lock
 * @lock_events, @lock_wq: waits that ended, and who waits
 * @lock_doubts: times that a lock which was granted could be gone before it was noted
 * @mend_lock: the next one
 * @mends: struct flint_lock_mend (lock.c), the first one under way
 * @mend_wq: waits for the end of one
 * @mend_work: mends
 */
struct flint_leases {
	spinlock_t lock;		/* see above */
	u64 epoch;
	struct list_head held;
	struct list_head unleased;
	struct list_head locals;
	struct list_head locked;
	struct list_head recalls;
	struct flint_lease_rec returns[FLINT_RETURNS_MAX];
	u32 nr_returns;
	u32 at;
	u64 floor;
	struct {
		u64 ino;
		u64 seq;
		u32 kinds;
	} recent[FLINT_RECALLS_KEPT];
	u64 trusted;
	atomic_long_t gens;
	bool renew;
	bool lost;
	spinlock_t owed_lock;		/* see above */
	struct list_head owed;
	u32 nr_owed;
	wait_queue_head_t owed_wq;
	struct work_struct lost_work;
	struct delayed_work work;
	struct delayed_work unmap;
	siphash_key_t owners;
	atomic64_t lock_ids;
	atomic_t lock_events;
	wait_queue_head_t lock_wq;
	atomic_t lock_doubts;
	spinlock_t mend_lock;		/* see above */
	struct list_head mends;
	wait_queue_head_t mend_wq;
	struct delayed_work mend_work;
};

struct flint_handle;
struct flint_mcall;

bool flint_lease_trusted(const struct flint_leases *l);
bool flint_attr_good(const struct inode *inode);
unsigned long flint_lease_left(const struct flint_fs *fs);
bool flint_pages_leased(const struct inode *inode);
unsigned long flint_dir_gen(const struct inode *dir);
bool flint_dentry_leased(const struct dentry *dentry, const struct inode *dir);
u8 flint_lease_ask(struct flint_fs *fs, struct flint_mcall *c);
void flint_lease_heard(struct flint_fs *fs, struct flint_mcall *c, const struct flint_req *req);
unsigned long flint_lease_hold(struct inode *inode, u64 epoch, u32 kinds, u64 seq,
			       const struct flint_attr *a);
unsigned long flint_lease_take(struct flint_mcall *c, struct inode *dir, struct inode *inode,
			       const struct flint_attr *a);
void flint_lease_unmap_later(struct inode *inode);
void flint_lease_evict(struct inode *inode);
void flint_lease_settle(struct inode *inode);
int flint_lease_push(void *arg, u32 conn, const struct flint_msg *m);
void flint_lease_up(void *arg, struct flint_peer *peer);
void flint_lease_let_go(struct inode *inode);
void flint_lease_return(struct flint_fs *fs, u32 conn, u64 push, u64 epoch,
			const struct flint_lease_rec *rec, u32 nr);
int flint_lease_renew(struct flint_fs *fs);
int flint_lease_forget(struct flint_fs *fs);
void flint_lease_renew_now(struct flint_fs *fs);
void flint_lease_init(struct flint_fs *fs);
void flint_lease_stop(struct flint_fs *fs);

/* ---- delegate.c -------------------------------------------------------- */

/**
 * struct flint_delegate - what was made without a request; see delegate.c
 * @ino_lock: serialises those who make: the next three
 * @ino_next, @ino_end, @ino_session: inode numbers left, and the session that has them
 * @lock: protects the next five; readers of @made and @done need it not
 * @queue, @sent: promises (struct flint_promise) in the order they were made
 * @nr: of @queue
 * @made: number of the last promise
 * @done: all promises up to this number are told, taken back, or failed
 * @told: @done grew
 * @work: tells
 * @off_until: jiffies until which nothing is made, as there are no numbers
 */
struct flint_delegate {
	struct mutex ino_lock;		/* see above */
	u64 ino_next;
	u64 ino_end;
	u64 ino_session;
	spinlock_t lock;		/* see above */
	struct list_head queue;
	struct list_head sent;
	u32 nr;
	u64 made;
	u64 done;
	wait_queue_head_t told;
	struct delayed_work work;
	unsigned long off_until;
};

int flint_delegate_flush(struct flint_fs *fs, unsigned long timeout);
bool flint_delegate_drain(struct flint_fs *fs, unsigned long timeout);
bool flint_delegate_has(const struct inode *inode);
int flint_delegate_settle(struct inode *inode, unsigned long deadline);
int flint_delegate_before(struct flint_fs *fs, const struct flint_mcall *c);
int flint_delegate_fsync(struct file *file);
bool flint_delegate_absent(const struct inode *dir);
void flint_delegate_incomplete(struct inode *dir);
void flint_delegate_end(struct inode *dir);
void flint_delegate_made_dir(struct inode *dir);
u8 flint_delegate_wanted(const struct flint_fs *fs);
struct inode *flint_delegate_make(struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev,
				  const char *target, u32 flags);
bool flint_delegate_close(struct inode *inode, struct flint_handle *h);
void flint_delegate_hurry(struct flint_fs *fs);
bool flint_delegate_cancel(struct inode *inode);
u32 flint_delegate_locals(struct flint_fs *fs, unsigned long attempt, struct flint_lease_rec *rec);
void flint_delegate_init(struct flint_fs *fs);
void flint_delegate_stop(struct flint_fs *fs);

/* ---- open.c ----------------------------------------------------------- */

extern const char flint_local_open;	/* its address is such a file's private_data */
bool flint_open_local(struct inode *inode);
void flint_release_local(struct inode *inode);
int flint_open_register(struct inode *inode, bool hold);
void flint_open_register_lost(struct flint_fs *fs);
void flint_open_forget(struct flint_fs *fs);
int flint_remove_begin(struct inode *inode);
void flint_remove_end(struct inode *inode);

/* ---- lock.c ----------------------------------------------------------- */

int flint_lock(struct file *file, int cmd, struct file_lock *fl);
void flint_lock_lost(struct inode *inode, u32 status);
int flint_lock_check(struct inode *inode);
void flint_lock_event(struct flint_fs *fs);
void flint_lock_init(struct flint_fs *fs);
void flint_lock_hurry(struct flint_fs *fs);
void flint_lock_stop(struct flint_fs *fs);
u32 flint_lock_name(struct inode *inode, struct flint_lock *out, u32 skip, u32 max);

/* ---- super.c ---------------------------------------------------------- */

/**
 * struct flint_fs - one mount
 *
 * Lives until the superblock is killed and every request that names it has
 * ended.
 */
struct flint_fs {
	struct super_block *sb;
	struct flint_opts opts;
	struct net *netns;
	struct flint_net *net;
	struct flint_peer *mgr;
	u32 meta_node;				/* leader.c */
	char name[FLINT_LABEL_LEN];		/* of the file system */
	char subtree[FLINT_PATH_MAX + 1];
	u8 client_id[16];
	u8 key[FLINT_KEY_LEN];			/* until the network has it */
	struct flint_token *token;		/* claims, NULL: @key is the cluster's */
	bool have_key;
	bool shutdown;				/* umount -f or abort: only -EIO from now on */
	u32 fsid;
	u32 cluster;				/* of its id, for f_fsid */
	u64 session_epoch;			/* session.c */
	u64 session_lost;			/* epoch of the last that was ended for us */
	bool session_refused;			/* there will be no other one */
	u32 lease_ms;				/* of the session */
	u64 root_ino;

	/*
	 * Unbound. Each may wait for those below, and for servers with a deadline: many calls that
	 * do must not keep the session, recalls and locks from their turn, which are @wq's.
	 */
	struct workqueue_struct *wb_wq;		/* pages: wb_work, ends of writes, iput() */
	struct workqueue_struct *wq;		/* all else */
	struct workqueue_struct *io_wq;		/* what is sent once more; waits for no pages */
	unsigned long wb_sick;			/* jiffies: until then, nobody answers; or 0 */
	unsigned long wb_full;			/* jiffies: until then, no space; or 0 */
	struct flint_mapref __rcu *map;
	spinlock_t map_lock;			/* replacing @map */
	struct delayed_work map_watch;		/* the standing request */
	struct work_struct map_now;		/* a reply named a newer epoch */
	struct delayed_work keepalive;
	struct flint_leases leases;
	struct flint_delegate delegate;
	unsigned long heard;			/* jiffies of the last answer of ... */
	u32 heard_of;				/* ... this metadata server */

	spinlock_t seq_lock;			/* the next two */
	u64 seq_next;
	struct list_head seq_open;		/* unfinished sequences, rising */

	spinlock_t close_lock;			/* @closes */
	struct list_head closes;		/* struct flint_handle to give back */
	struct delayed_work close_work;
	atomic_t touches;			/* closed files whose times are being told */
	wait_queue_head_t touch_wq;
	atomic_t inflight;			/* dios, closes: what teardown waits for */
	wait_queue_head_t idle;
	unsigned long next_warn;		/* jiffies: at most one line a minute */

	struct flint_statfs statfs;		/* last answer */
	unsigned long statfs_time;
	u64 statfs_ino;				/* that was asked about */
	bool statfs_ok;

	unsigned long silent[2];		/* meta.c: on questions, on changes */
	spinlock_t held_lock;			/* @held */
	struct list_head held;			/* held.c */
	struct delayed_work held_work;

	spinlock_t retry_lock;			/* @retrying */
	struct list_head retrying;		/* struct flint_mcall that were not answered yet */
	u32 aborts;				/* times that all requests were aborted by hand, */
	unsigned long abort_until;		/* those, too, that begin again before this */

	struct list_head nl_node;		/* netlink.c's */
	struct flint_stats __percpu *stats;
	struct kobject kobj;
	bool kobj_added;
	struct completion kobj_gone;
	struct dentry *debugfs;
	unsigned int instance;
};

static inline struct flint_fs *flint_fs(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline u64 flint_session(const struct flint_fs *fs)
{
	return READ_ONCE(fs->session_epoch);
}

static inline void flint_fs_begin(struct flint_fs *fs)
{
	atomic_inc(&fs->inflight);
}

/* The wake-up comes after the count: unmount waits a grace period in between. */
static inline void flint_fs_end(struct flint_fs *fs)
{
	rcu_read_lock();
	if (atomic_dec_and_test(&fs->inflight))
		wake_up_all(&fs->idle);
	rcu_read_unlock();
}

int flint_get_tree(struct fs_context *fc);
int flint_statfs_ask(struct inode *inode, struct flint_statfs *st);
void flint_fs_abort(struct flint_fs *fs);
int flint_fs_abort_requests(struct flint_fs *fs, const char *peer);
const char *flint_fs_state(struct flint_fs *fs);
u64 flint_stats_sum(struct flint_fs *fs, enum flint_stat stat);
extern const char * const flint_stat_names[FLINT_STAT_NR];
extern struct file_system_type flint_fs_type;

/* ---- map.c ------------------------------------------------------------ */

/**
 * struct flint_mapref - a checked cluster map, never changed, reference counted
 * @peers: one per node, made when first needed
 */
struct flint_mapref {
	struct kref ref;
	struct rcu_head rcu;
	struct flint_fs *fs;
	struct flint_map map;
	void *image;
	struct flint_peer *peers[];
};

/* Where one chunk request goes. */
struct flint_route {
	struct flint_peer *peer;	/* alive as long as the map reference */
	u32 chain;
	u32 chain_ver;
	u32 target;
};

struct flint_mapref *flint_map_get(struct flint_fs *fs);
u64 flint_map_epoch(struct flint_fs *fs);
void flint_map_put(struct flint_mapref *ref);
int flint_map_fetch(struct flint_fs *fs, u32 wait_ms, unsigned long deadline);
void flint_map_seen(struct flint_fs *fs, u64 epoch);
void flint_map_refresh(struct flint_fs *fs);
struct flint_peer *flint_map_peer(struct flint_mapref *ref, u32 node_id);
void flint_map_init(struct flint_fs *fs);
void flint_map_start(struct flint_fs *fs);
void flint_map_stop(struct flint_fs *fs);

/* ---- leader.c --------------------------------------------------------- */

/**
 * struct flint_leader - the metadata server to ask
 * @map: keeps @peer
 * @peer: to whom requests go
 * @node: its id
 * @alone: there is no other one
 */
struct flint_leader {
	struct flint_mapref *map;
	struct flint_peer *peer;
	u32 node;
	bool alone;
};

int flint_leader_get(struct flint_fs *fs, struct flint_leader *l);
void flint_leader_put(struct flint_leader *l);
int flint_leader_ready(struct flint_leader *l);
void flint_leader_failed(struct flint_fs *fs, const struct flint_leader *l);
bool flint_leader_hint(struct flint_fs *fs, const struct flint_leader *l, const void *body,
		       u32 len);
void flint_leader_map(struct flint_fs *fs, struct flint_mapref *old, struct flint_mapref *new);
void flint_leader_init(struct flint_fs *fs);
void flint_leader_start(struct flint_fs *fs);
void flint_leader_stop(struct flint_fs *fs);

/* ---- replica.c -------------------------------------------------------- */

const struct flint_map_target *
flint_replica_pick(struct flint_mapref *map, const struct flint_map_chain *chain, bool write,
		   u32 last, bool again, struct flint_peer **peer);
void flint_replica_map(struct flint_mapref *old, struct flint_mapref *new);

/* ---- meta.c ----------------------------------------------------------- */

/**
 * struct flint_seq - a mutating request that is not finished
 * @node: on fs->seq_open
 * @seq: its number; retries use the same
 */
struct flint_seq {
	struct list_head node;
	u64 seq;
};

void flint_seq_begin(struct flint_fs *fs, struct flint_seq *s);
void flint_seq_end(struct flint_fs *fs, struct flint_seq *s);
void flint_seq_move(struct flint_fs *fs, struct flint_seq *to, struct flint_seq *from);
u64 flint_seq_low(struct flint_fs *fs);

/**
 * struct flint_buf - kernel pages for a payload
 */
struct flint_buf {
	struct flint_hold hold;
	size_t size;
	unsigned int nr;
	struct bio_vec bv[];
};

struct flint_buf *flint_buf_alloc(size_t size, gfp_t gfp);
void flint_buf_put(struct flint_buf *buf);
size_t flint_buf_read(struct flint_buf *buf, void *dst, size_t len);
size_t flint_buf_write(struct flint_buf *buf, const void *src, size_t len);

/* Waits under locks of the VFS: a system call gives them up after a while, and begins again. */
enum flint_yield {
	FLINT_YIELD_NONE,
	FLINT_YIELD_PART,	/* asks, or is part of something else: simply done again */
	FLINT_YIELD_CHANGE,	/* goes on with the same number (held.c) */
};

/**
 * struct flint_mcall - one metadata operation
 * @op: enum flint_op
 * @mutates: carries a sequence number
 * @once: one attempt only, whatever the mount options
 * @forever: until there is an answer, or the mount is shut down
 * @yield: enum flint_yield
 * @keep: receives the number, open, of a change with @unknown outcome; if it has one, that is
 *	used, for the same change once more. Or NULL
 * @names: names that it changes, as @s1 and @s2 are, or NULL
 * @leave: jiffies when to give up the locks, or 0
 * @inode: all that the operation is about, or its directory; NULL: more than that
 * @body, @body_len: the operation's structure
 * @s1, @s1_len, @s2, @s2_len: strings behind it
 * @rep, @rep_size: where the reply body goes
 * @rep_min: a shorter one is an error; 0: @rep_size
 * @buf: payload, or NULL
 * @dir: direction of the payload
 * @data_len: bytes to send or room
 * @deadline: jiffies after which not to try again; 0: by the mount options
 * @lease: kinds of leases wanted with the answer
 * @umask: the mode is before umask, which the server applies unless an ACL takes its place
 * @dir_gen: flint_dir_gen() of the directory before the call, or 0
 * @sent: result: jiffies before the last attempt
 * @got: result: bytes of payload that came
 * @unknown: result: the server may have executed it although we failed
 * @resumed: result: others may have seen what it did
 * @lease_epoch, @grants, @nr_grants: result, for flint_lease_take()
 * @begun, @tries, @pid: when, how often so far, and for whom
 * @retry_node: on fs->retrying from the first attempt on that failed
 * @session: epoch of the session in the last attempt
 */
struct flint_mcall {
	u16 op;
	bool mutates;
	bool once;
	bool forever;
	u8 yield;
	u8 dir;
	struct flint_seq *keep;
	struct dentry *names[2];
	unsigned long leave;
	const struct inode *inode;
	const void *body;
	u32 body_len;
	const void *s1;
	u32 s1_len;
	const void *s2;
	u32 s2_len;
	void *rep;
	u32 rep_size;
	u32 rep_min;
	struct flint_buf *buf;
	u32 data_len;
	unsigned long deadline;
	unsigned long sent;
	u32 got;
	bool unknown;
	bool resumed;
	u8 lease;
	bool umask;
	u8 nr_grants;
	unsigned long dir_gen;
	u64 lease_epoch;
	struct flint_lease_grant grants[4];
	unsigned long begun;
	u32 tries;
	pid_t pid;
	struct list_head retry_node;
	u64 session;
};

int flint_meta_call(struct flint_fs *fs, struct flint_mcall *c);
void flint_meta_show_retrying(struct flint_fs *fs, struct seq_file *m);
int flint_permit_show(struct inode *inode, u32 target, unsigned long deadline);
void flint_cred_fill(struct flint_cred *cred);
int flint_restart(void);
int flint_hold_begin(struct flint_fs *fs, unsigned long *silent, unsigned long *leave);
int flint_hold_end(struct flint_fs *fs, unsigned long *silent, unsigned long leave, int err);

static inline unsigned long flint_hold_until(void)
{
	return (jiffies + FLINT_HOLD) | 1;
}

/* Each step of a change has the time anew. @leave: of flint_hold_begin(); 0: no limit. */
static inline unsigned long flint_hold_step(unsigned long *leave)
{
	if (*leave)
		*leave = flint_hold_until();
	return *leave;
}

/* Is too little left for another attempt? */
static inline bool flint_hold_over(unsigned long leave)
{
	return leave && time_after_eq(jiffies + 2 * HZ, leave);
}

/* ---- held.c ----------------------------------------------------------- */

bool flint_held_keep(struct flint_fs *fs, const struct flint_mcall *c, struct flint_seq *seq);
int flint_held_take(struct flint_fs *fs, struct flint_mcall *c, struct flint_seq *seq);
bool flint_held_name(const struct inode *dir, const struct qstr *name, struct inode **inode);
void flint_held_stay(struct flint_fs *fs);
void flint_held_init(struct flint_fs *fs);
void flint_held_stop(struct flint_fs *fs);

/* ---- session.c -------------------------------------------------------- */

static inline bool flint_session_over(u32 status)
{
	return status == FLINT_ST_FENCED || status == FLINT_ST_NO_SESSION;
}

int flint_session_open(struct flint_fs *fs, struct flint_attr *root);
void flint_session_close(struct flint_fs *fs);
bool flint_session_lost(struct flint_fs *fs, u64 epoch, u32 status);
int flint_session_next(struct flint_fs *fs);

/**
 * struct flint_handle - an open file at the metadata server
 *
 * Becomes the carrier of its own CLOSE, so that giving it back can neither
 * fail nor wait.
 */
struct flint_handle {
	struct list_head node;
	struct flint_fs *fs;
	struct flint_seq seq;
	u64 handle;
	u64 ino;
	unsigned int tries;
	u32 asked;			/* node that it was sent to */
	bool promised;			/* opened by a delegated create */
	/* When the file was written in place: tell the times before closing. */
	bool touch;
	struct flint_extend ext;
	struct flint_seq ext_seq;
	u8 stage;
};

void flint_handle_close(struct flint_handle *h);
int flint_touch_wait(struct flint_fs *fs);
void flint_close_start(struct flint_fs *fs);
void flint_close_stop(struct flint_fs *fs);

/* ---- inode.c ---------------------------------------------------------- */

/* struct flint_inode.state */
#define FLINT_I_TIMES_STALE	0	/* getattr must ask again */
#define FLINT_I_MTIME_DIRTY	1	/* written in place; the server does not know yet */
#define FLINT_I_EXTENDING	2	/* a size or attributes are being told; wait_var(&state) */
#define FLINT_I_UNLEASED	3	/* pages were dirtied without a lease */
#define FLINT_I_LOCK_LOST	4	/* a lock is noted here that the server does not have */
#define FLINT_I_CUTTING		5	/* a truncation may come that nobody waits for */

/**
 * struct flint_inode - cached state of an inode
 * @lock: protects what follows up to @state
 * @gen, @change, @trunc_epoch, @layout: as the server last said
 * @size: as the server last said; i_size_read() may be more, see @kept
 * @told: flint_attr.flags
 * @project: flint_attr.project
 * @valid: jiffies until which the attributes may be used
 * @stale_at: jiffies when FLINT_I_TIMES_STALE was set
 * @doubt: jiffies until which attributes are good for one use only, as a change may be carried
 *	out that nobody waits for any more; 0: none
 * @known: attributes were set at all
 * @cache_change: change counter that the page cache belongs to
 * @cache_gen: of the READ lease that it is good under, whatever we change
 * @lost: reads into the page cache that ran out of time
 * @ext_want: largest end of file of those who wait to announce one, or 0
 * @names_seq: counts our own changes of a directory's names
 * @lease_node, @lease_seq, @lease_kinds: the lease; also under leases.lock
 * @unleased_node: on leases.unleased, under leases.lock
 * @local_node, @local_opens, @removing, @registered: opens without a request, our own
 *	removals under way, the handle that makes the opens known; under leases.lock
 * @reclaimed: attempt at a reclaim that named the lease that opens hang on; likewise
 * @locked_node, @locks_named: on leases.locked; attempt that named the locks; likewise
 * @read_gen, @dir_gen: generation of a READ and of a DIR lease, 0: not held
 * @attr_gen: of the READ lease that the attributes are good under
 * @delegated: names may be made here without a request; under leases.lock
 * @complete: all names of the directory are in the dcache
 * @promise: of the inode, not told yet; @promised: so many are in the directory; both
 *	under delegate.lock
 * @broken: what the promise failed with
 * @dw_reclaimed: as @reclaimed, of the DIR_WRITE lease; under delegate.lock
 * @kept: end of file that the server is told later, under truncate epoch @kept_epoch; 0: none
 * @written: end of what was written since flint_wb_reserve() gave the last place
 * @displaced: that place was dropped with all that was owed: others may have it
 * @dirtiers: sections between flint_wb_begin() and flint_wb_end()
 * @strays: writes under way that nobody waits for: flint_wb_leave()
 * @owes, @owed_node, @wb_work: the server is owed something; also under leases.owed_lock
 * @owes_lease: some of it was written under a lease
 * @ret_kinds, @ret_seq, @ret_epoch: recalled lease that is returned when nothing is owed
 * @attr_owed: ATTR_* of what was set under the lease and is told later, ATTR_CTIME always
 *	among them; 0: nothing. The values are those of the inode
 * @attr_seq: counts changes of that
 * @parked: handles to close then
 * @write_gen: generation of a WRITE lease, 0: not held
 * @write_asked: jiffies when it was last refused, or 0
 * @fault_asked: jiffies when a fault without a lease last asked for the attributes, or 0
 * @wb_again: counts write-back that is to be tried again
 * @write_lock: see above
 * @silent: of flint_hold_begin(), for chunk servers; under i_rwsem
 * @place: the file's chains in the layout's table, computed when first needed
 * @old_places: of layouts that it had, for who still looks at one
 */
struct flint_inode {
	struct inode vfs;
	spinlock_t lock;			/* what follows, to @state */
	u32 gen;
	u32 trunc_epoch;
	u64 change;
	u64 size;
	u64 bytes;
	u64 cache_change;
	unsigned long cache_gen;
	u64 ext_want;
	u64 parent;
	u32 told;
	u32 project;
	struct timespec64 btime;
	unsigned long valid;
	unsigned long stale_at;
	unsigned long doubt;
	bool known;
	u32 names_seq;
	u32 lease_kinds;
	u64 lease_seq;
	struct list_head lease_node;
	struct list_head unleased_node;
	struct list_head local_node;
	u32 local_opens;
	u32 removing;
	unsigned long reclaimed;
	struct list_head locked_node;
	unsigned long locks_named;
	struct flint_handle *registered;
	unsigned long read_gen;
	unsigned long dir_gen;
	unsigned long attr_gen;
	bool delegated;
	bool complete;
	int broken;
	struct flint_promise *promise;
	u32 promised;
	unsigned long dw_reclaimed;
	struct flint_layout layout;
	unsigned long state;
	atomic_t lost;
	u64 kept;
	u32 kept_epoch;
	u64 written;
	bool displaced;
	u32 dirtiers;
	u32 strays;
	bool owes;
	bool owes_lease;
	u32 ret_kinds;
	u64 ret_seq;
	u64 ret_epoch;
	unsigned int attr_owed;
	u32 attr_seq;
	struct list_head owed_node;
	struct list_head parked;
	struct delayed_work wb_work;
	unsigned long write_gen;
	unsigned long write_asked;
	unsigned long fault_asked;
	atomic_t wb_again;
	struct mutex write_lock;		/* see above */
	unsigned long silent;
	struct flint_place *place;
	struct flint_place *old_places;
};

/* A file's chains: flint_placement without the unused slots; @old: of a layout it had. */
struct flint_place {
	struct flint_place *old;
	u32 width;
	u32 slot[];
};

static inline struct flint_inode *flint_i(const struct inode *inode)
{
	return container_of(inode, struct flint_inode, vfs);
}

/* Are attributes good for one use only? Under fi->lock. */
static inline bool flint_attr_doubt(const struct flint_inode *fi)
{
	return fi->doubt && time_before(jiffies, fi->doubt);
}

/* flint_hold_begin() for a file's chunk servers. On a soft mount the wait ends by itself. */
static inline int flint_hold_file(struct inode *inode, unsigned long *leave)
{
	struct flint_fs *fs = flint_fs(inode->i_sb);

	*leave = 0;
	return fs->opts.soft ? 0 : flint_hold_begin(fs, &flint_i(inode)->silent, leave);
}

static inline int flint_hold_file_end(struct inode *inode, unsigned long leave, int err)
{
	return flint_hold_end(flint_fs(inode->i_sb), &flint_i(inode)->silent, leave, err);
}

int flint_inode_cache_init(void);
void flint_inode_cache_exit(void);
struct inode *flint_inode_alloc(struct super_block *sb);
void flint_inode_free(struct inode *inode);
void flint_inode_evict(struct inode *inode);
struct inode *flint_iget(struct super_block *sb, const struct flint_attr *a, unsigned long sent);
int flint_inode_apply(struct inode *inode, const struct flint_attr *a, unsigned long sent);
int flint_inode_refresh(struct inode *inode, unsigned long deadline);
int flint_inode_revalidate(struct inode *inode);
void flint_inode_stale(struct inode *inode);
void flint_attr_unknown(struct inode *inode, bool cut);
void flint_inode_set_nlink(struct inode *inode, u32 nlink);
struct timespec64 flint_inode_changed(struct inode *inode, bool exact);
void flint_inode_written(struct inode *inode);
bool flint_inode_wrote(struct inode *inode, u64 *when);
void flint_inode_unwrote(struct inode *inode);
int flint_inode_touch(struct inode *inode, unsigned long deadline);
int flint_inode_place(struct inode *inode, struct flint_mapref *map);
void flint_cache_revalidate(struct inode *inode);
bool flint_attr_ok(const struct flint_attr *a);
unsigned long flint_attr_until(struct flint_fs *fs, const struct flint_attr *a,
			       unsigned long sent);
int flint_getattr(FLINT_IDMAP *idmap, const struct path *path, struct kstat *stat,
		  u32 mask, unsigned int flags);
int flint_inode_pay(struct inode *inode);
int flint_inode_pay_first(struct inode *inode, bool writes);
int flint_setattr_at(struct inode *inode, const struct iattr *attr, u64 when,
		     enum flint_yield yield, unsigned long deadline);
int flint_setattr(FLINT_IDMAP *idmap, struct dentry *dentry, struct iattr *attr);
int flint_permission(FLINT_IDMAP *idmap, struct inode *inode, int mask);

/* ---- namei.c ---------------------------------------------------------- */

extern const struct dentry_operations flint_dentry_ops;
void flint_owner(const struct inode *dir, umode_t *mode, struct flint_cred *cred);
extern const struct inode_operations flint_dir_iops;
extern const struct inode_operations flint_symlink_iops;
extern const struct inode_operations flint_special_iops;
void flint_dentry_time(struct dentry *dentry, const struct flint_attr *a, unsigned long sent,
		       unsigned long gen);

/* ---- dir.c ------------------------------------------------------------ */

extern const struct file_operations flint_dir_fops;

/* ---- file.c ----------------------------------------------------------- */

extern const struct inode_operations flint_file_iops;
extern const struct file_operations flint_file_fops;
struct flint_handle *flint_handle_new(struct flint_fs *fs, u64 ino);
int flint_file_adopt(struct inode *inode, struct file *file);
u32 flint_open_flags(unsigned int f_flags);
u8 flint_open_lease(const struct flint_fs *fs, unsigned int f_flags);
int flint_extend_at(struct inode *inode, u64 end, u32 epoch, u64 when, unsigned long deadline);
int flint_extend_call(struct inode *inode, struct flint_extend *body, struct flint_attr *attr,
		      unsigned long deadline);
int flint_extend_wait(struct flint_inode *fi, unsigned long deadline);
void flint_extend_end(struct flint_inode *fi);

/* The server's time is the time of the write. */
static inline int flint_extend(struct inode *inode, u64 end, u32 epoch, unsigned long deadline)
{
	return flint_extend_at(inode, end, epoch, 0, deadline);
}

/* ---- seek.c ----------------------------------------------------------- */

struct fiemap_extent_info;

loff_t flint_llseek(struct file *file, loff_t offset, int whence);
int flint_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len);

/* ---- falloc.c --------------------------------------------------------- */

long flint_fallocate(struct file *file, int mode, loff_t offset, loff_t len);

/* ---- copy.c ----------------------------------------------------------- */

loff_t flint_remap_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			      loff_t len, unsigned int flags);

/* ---- attr.c ----------------------------------------------------------- */

struct fileattr;

int flint_fileattr_get(struct dentry *dentry, struct fileattr *fa);
int flint_fileattr_set(FLINT_IDMAP *idmap, struct dentry *dentry, struct fileattr *fa);

/* ---- tmpfile.c -------------------------------------------------------- */

int flint_tmpfile(FLINT_IDMAP *idmap, struct inode *dir, struct file *file, umode_t mode);

/* ---- export.c --------------------------------------------------------- */

extern const struct export_operations flint_export_ops;
u64 flint_change_cookie(struct inode *inode);

/* ---- dio.c ------------------------------------------------------------ */

int flint_dio_init(void);
void flint_dio_exit(void);
ssize_t flint_dio_rw(struct kiocb *iocb, struct iov_iter *iter, bool write, u64 session);
void flint_write_drop(struct inode *inode, loff_t pos, size_t len);
void flint_write_error(struct inode *inode, loff_t pos, size_t len, int err);
int flint_route(struct inode *inode, u32 index, bool write, u32 last, bool again,
		struct flint_mapref *map, struct flint_route *route);
int flint_dio_punch(struct inode *inode, loff_t pos, size_t len, unsigned long deadline);
int flint_dio_clone(struct inode *inode, u32 index, struct inode *src, u32 src_index, u32 nr,
		    unsigned long deadline);
int flint_dio_folios(struct inode *inode, struct bio_vec *bv, unsigned int nr, loff_t pos,
		     size_t len);
void flint_dio_write_folios(struct inode *inode, struct bio_vec *bv, unsigned int nr, loff_t pos);

/* ---- writeback.c ------------------------------------------------------ */

/* Has no chunk server answered write-back for some seconds? */
static inline bool flint_wb_sick(const struct flint_fs *fs)
{
	unsigned long until = READ_ONCE(fs->wb_sick);

	return until && time_before(jiffies, until);
}

bool flint_wb_wanted(const struct inode *inode);
bool flint_wb_begin(struct inode *inode, bool placed);
bool flint_wb_begin_anyway(struct inode *inode);
void flint_wb_end(struct inode *inode, u64 end, u32 epoch);
void flint_wb_leave(struct inode *inode);
void flint_wb_left(struct inode *inode, loff_t pos, size_t len);
int flint_wb_alone(struct inode *inode);
bool flint_wb_keep(struct inode *inode, u64 end, u32 epoch);
bool flint_wb_attr(struct inode *inode, const struct iattr *attr);
int flint_wb_reserve(struct inode *inode, u64 *len, loff_t *pos);
void flint_wb_unreserve(struct inode *inode, u64 end, u64 reached);
bool flint_wb_displaced(const struct inode *inode, u64 session);
bool flint_wb_ask(struct inode *inode);
int flint_wb_write(struct inode *inode, loff_t start, loff_t end, unsigned long deadline);
int flint_flush_range(struct inode *inode, loff_t start, loff_t end, unsigned long deadline);
bool flint_wb_park(struct inode *inode, struct flint_handle *h);
bool flint_wb_parked(struct inode *inode);
void flint_wb_hurry(struct inode *inode);
void flint_wb_settle(struct inode *inode);
bool flint_wb_recalled(struct inode *inode, const struct flint_lease_rec *rec, u64 epoch);
void flint_wb_wait_recall(struct inode *inode);
void flint_wb_lost(struct flint_fs *fs);
bool flint_wb_idle(struct flint_fs *fs, unsigned long timeout);
void flint_wb_new_leader(struct flint_fs *fs);
u32 flint_wb_reclaim(struct flint_leases *l, unsigned long attempt, struct flint_lease_rec *rec);
void flint_wb_refused(struct inode *inode);
int flint_wb_sync(struct flint_fs *fs, unsigned long until);
void flint_wb_no_space(struct flint_fs *fs);
void flint_wb_inode_init(struct flint_inode *fi);
void flint_wb_init(struct flint_fs *fs);
void flint_wb_drain(struct flint_fs *fs);

/* ---- mmap.c ----------------------------------------------------------- */

extern const struct address_space_operations flint_aops;
int flint_mmap(struct file *file, struct vm_area_struct *vma);
void flint_folios_end(struct inode *inode, const struct bio_vec *bv, unsigned int nr,
		      size_t good, bool kept);
void flint_folios_written(struct inode *inode, const struct bio_vec *bv, unsigned int nr,
			  size_t good, int err);
ssize_t flint_cache_write(struct kiocb *iocb, struct iov_iter *from, size_t ready, bool *through);
void flint_zero_tail(struct inode *inode, loff_t size);
void flint_zero_grow(struct inode *inode, u64 end);

/* ---- xattr.c ---------------------------------------------------------- */

extern const struct xattr_handler *flint_xattr_handlers[];
#ifdef CONFIG_FS_POSIX_ACL
struct posix_acl *flint_get_acl(struct inode *inode, int type, bool rcu);
int flint_set_acl(FLINT_IDMAP *idmap, FLINT_ACL_NODE *node, struct posix_acl *acl, int type);
#else
#define flint_get_acl	NULL
#define flint_set_acl	NULL
#endif
ssize_t flint_listxattr(struct dentry *dentry, char *list, size_t size);

/* ---- sysfs.c, debugfs.c ----------------------------------------------- */

int flint_sysfs_init(void);
void flint_sysfs_exit(void);
int flint_sysfs_add(struct flint_fs *fs);
void flint_sysfs_del(struct flint_fs *fs);
void flint_debugfs_init(void);
void flint_debugfs_exit(void);
void flint_debugfs_add(struct flint_fs *fs);
void flint_debugfs_del(struct flint_fs *fs);

/* ---- netlink.c -------------------------------------------------------- */

/**
 * struct flint_event - particulars of an event; see enum flint_nl_event
 */
struct flint_event {
	const char *peer;
	const char *reason;
	u64 ino;
	u64 value;
	u32 node;
	int err;
	u8 role;
};

int flint_nl_init(void);
void flint_nl_exit(void);
void flint_nl_add(struct flint_fs *fs);
void flint_nl_del(struct flint_fs *fs);
void flint_event(struct flint_fs *fs, enum flint_nl_event what, const struct flint_event *e);
void flint_peer_changed(void *arg, struct flint_peer *peer, bool up);

#endif /* _FLINT_H */
