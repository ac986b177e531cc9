// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata client: sequences, retries, and giving back handles.
 *
 * A mutating operation gets its sequence number once and keeps it through all
 * retries; the server answers a repeated one from its reply cache, so it is
 * executed once. What is lost with the connection is repeated: on a hard mount
 * until the caller is killed, on a soft one until meta_timeo. When we give up
 * on a mutating operation that was sent, its outcome is unknown (c->unknown)
 * and the caller must forget what it cached of the names involved.
 *
 * On a hard mount nobody must wait long under a lock of the VFS: who waits for the lock
 * cannot be killed. The system call gives it up and begins again (c->yield), while its
 * change keeps its number (held.c).
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/anon_inodes.h>
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/seq_file.h>
#include <asm/syscall.h>
#include <asm/unistd.h>
#include "compat/unaligned.h"
#include "flint.h"
#include "flint_trace.h"
#include "../uapi/flintfs/names.h"

#define FLINT_CLOSE_TRIES	60
#define FLINT_PAUSE_MIN		(HZ / 20)
#define FLINT_PAUSE_MAX		(HZ / 2)
#define FLINT_HOPS_MAX		3
#define FLINT_HOLD_GAP		(3 * HZ)	/* from one call that holds locks to the next */
#define FLINT_HOLD_PAUSE	(HZ / 2)	/* before the system call begins again */
#define FLINT_RESUMED_AGE	(2 * 86400 * HZ)	/* older than all times to live */

/* ---- sequences -------------------------------------------------------- */

/* Context: any. The sequence is unfinished until flint_seq_end(). */
void flint_seq_begin(struct flint_fs *fs, struct flint_seq *s)
{
	spin_lock_bh(&fs->seq_lock);
	s->seq = ++fs->seq_next;
	list_add_tail(&s->node, &fs->seq_open);
	spin_unlock_bh(&fs->seq_lock);
}

void flint_seq_end(struct flint_fs *fs, struct flint_seq *s)
{
	spin_lock_bh(&fs->seq_lock);
	list_del(&s->node);
	spin_unlock_bh(&fs->seq_lock);
}

/* @to takes the place of @from. */
void flint_seq_move(struct flint_fs *fs, struct flint_seq *to, struct flint_seq *from)
{
	spin_lock_bh(&fs->seq_lock);
	to->seq = from->seq;
	list_replace(&from->node, &to->node);
	spin_unlock_bh(&fs->seq_lock);
}

/* The lowest unfinished sequence. */
u64 flint_seq_low(struct flint_fs *fs)
{
	struct flint_seq *first;
	u64 low;

	spin_lock_bh(&fs->seq_lock);
	first = list_first_entry_or_null(&fs->seq_open, struct flint_seq, node);
	low = first ? first->seq : fs->seq_next;
	spin_unlock_bh(&fs->seq_lock);
	return low;
}

/* ---- payload buffers -------------------------------------------------- */

static void flint_buf_release(struct flint_hold *hold)
{
	struct flint_buf *buf = container_of(hold, struct flint_buf, hold);
	unsigned int i;

	for (i = 0; i < buf->nr; i++)
		__free_page(buf->bv[i].bv_page);
	kvfree(buf);
}

/**
 * flint_buf_alloc() - zeroed kernel pages for a payload
 * @size: bytes, at least 1
 * @gfp: GFP_KERNEL or GFP_NOFS
 * Return: the buffer with one reference, or NULL.
 */
struct flint_buf *flint_buf_alloc(size_t size, gfp_t gfp)
{
	unsigned int nr = DIV_ROUND_UP(size, PAGE_SIZE), i;
	struct flint_buf *buf = kvzalloc(struct_size(buf, bv, nr), gfp);

	if (!buf)
		return NULL;
	refcount_set(&buf->hold.ref, 1);
	buf->hold.release = flint_buf_release;
	buf->size = size;
	for (i = 0; i < nr; i++) {
		struct page *page = alloc_page(gfp | __GFP_ZERO);

		if (!page) {
			flint_buf_put(buf);
			return NULL;
		}
		buf->bv[i].bv_page = page;
		buf->bv[i].bv_len = min_t(size_t, size - (size_t)i * PAGE_SIZE, PAGE_SIZE);
		buf->nr++;
	}
	return buf;
}

void flint_buf_put(struct flint_buf *buf)
{
	if (buf)
		flint_hold_put(&buf->hold);
}

size_t flint_buf_read(struct flint_buf *buf, void *dst, size_t len)
{
	struct iov_iter iter;

	iov_iter_bvec(&iter, ITER_SOURCE, buf->bv, buf->nr, buf->size);
	return copy_from_iter(dst, len, &iter);
}

size_t flint_buf_write(struct flint_buf *buf, const void *src, size_t len)
{
	struct iov_iter iter;

	iov_iter_bvec(&iter, ITER_DEST, buf->bv, buf->nr, buf->size);
	return copy_to_iter(src, len, &iter);
}

/* ---- calls ------------------------------------------------------------ */

void flint_cred_fill(struct flint_cred *cred)
{
	cred->uid = cpu_to_le32(from_kuid(&init_user_ns, current_fsuid()));
	cred->gid = cpu_to_le32(from_kgid(&init_user_ns, current_fsgid()));
}

static void flint_meta_warn(struct flint_fs *fs, const struct flint_leader *l)
{
	unsigned long next = READ_ONCE(fs->next_warn);

	if (time_before(jiffies, next) || cmpxchg(&fs->next_warn, next, jiffies + 60 * HZ) != next)
		return;
	pr_warn("%s: no answer from metadata server %u (%s); retrying\n", fs->name, l->node,
		flint_peer_reason(l->peer));
}

/* Is it about names, attributes or opening: what permissions are checked for? */
static bool flint_meta_names(u16 op)
{
	return op >= FLINT_OP_LOOKUP && op <= FLINT_OP_APPEND;
}

/* Supplementary groups that a request tells: where the server maps ids and checks. */
static u32 flint_meta_groups(const struct flint_fs *fs)
{
	return fs->token ? min_t(u32, current_cred()->group_info->ngroups, FLINT_GROUPS_MAX) : 0;
}

/* The whole of who asks, behind everything else in the body. */
static void flint_meta_tail(u8 *p, const struct flint_mcall *c, u32 groups)
{
	const struct group_info *gi = current_cred()->group_info;
	struct flint_cred_tail tail = {
		.flags = cpu_to_le32(c->umask ? FLINT_CRED_UMASK : 0),
		.umask = cpu_to_le32(c->umask ? current_umask() : 0),
		.nr_groups = cpu_to_le32(groups),
	};
	struct flint_cred cred;
	u32 i;

	for (i = 0; i < groups; i++, p += sizeof(__le32))
		put_unaligned_le32(from_kgid(&init_user_ns, gi->gid[i]), p);
	flint_cred_fill(&cred);
	tail.uid = cred.uid;
	tail.gid = cred.gid;
	memcpy(p, &tail, sizeof(tail));
}

static struct flint_req *flint_meta_req(struct flint_fs *fs, struct flint_mcall *c)
{
	struct flint_req *req;
	u8 *p;

	u32 len = c->body_len + c->s1_len + c->s2_len;
	bool cred = c->umask || (fs->token && flint_meta_names(c->op));
	u32 groups = cred ? flint_meta_groups(fs) : 0;

	req = flint_req_alloc(c->op, len + (cred ? groups * sizeof(__le32) +
					    sizeof(struct flint_cred_tail) : 0), GFP_NOFS);
	if (!req)
		return NULL;
	p = req->body;
	if (cred)
		flint_meta_tail(p + len, c, groups);
	req->cred = cred;
	if (c->body_len)
		memcpy(p, c->body, c->body_len);
	if (c->s1_len)
		memcpy(p + c->body_len, c->s1, c->s1_len);
	if (c->s2_len)
		memcpy(p + c->body_len + c->s1_len, c->s2, c->s2_len);
	req->dir = c->dir;
	if (c->dir != FLINT_DIR_NONE) {
		req->bvec = c->buf->bv;
		req->nr_bvec = c->buf->nr;
		req->data_len = c->data_len;
		req->hold = &c->buf->hold;
	}
	return req;
}

/* What an attempt says about who leads. Return: true to try again at once. */
static bool flint_meta_follow(struct flint_fs *fs, const struct flint_leader *l, int err,
			      const struct flint_req *req)
{
	if (err == -ENOTCONN || err == -ETIMEDOUT ||
	    (!err && req->status == FLINT_ST_SHUTDOWN)) {
		flint_leader_failed(fs, l);
	} else if (!err && req->status == FLINT_ST_NOT_LEADER) {
		return flint_leader_hint(fs, l, req->rep_body, req->rep_len);
	} else if (!err) {
		WRITE_ONCE(fs->heard, jiffies);
		WRITE_ONCE(fs->heard_of, l->node);
	}
	return false;
}

/*
 * One attempt at server @l. Return: 0 with *status, or what flint_call() said.
 * c->unknown is set when the server may have seen it. *now: the next attempt
 * need not wait.
 */
static int flint_meta_try(struct flint_fs *fs, struct flint_mcall *c, const struct flint_seq *seq,
			  const struct flint_leader *l, unsigned long deadline, u32 *status,
			  bool *now)
{
	struct flint_req *req = flint_meta_req(fs, c);
	int err;

	if (!req)
		return -ENOMEM;
	c->session = flint_session(fs);
	if (seq) {
		req->seq = seq->seq;
		req->seq_low = flint_seq_low(fs);
		req->retry = c->unknown;
	}
	req->deadline = deadline;
	req->tries = min_t(u32, c->tries, U16_MAX);
	req->lease = flint_lease_ask(fs, c);
	c->sent = jiffies;
	err = flint_call(l->peer, req, c->rep, c->rep_size, c->rep_min ? : c->rep_size);
	*now = flint_meta_follow(fs, l, err, req);
	if (!err) {
		*status = req->status;
		c->got = req->rep_data_len;
		if (req->status != FLINT_ST_NOT_LEADER && req->status != FLINT_ST_SHUTDOWN)
			flint_lease_heard(fs, c, req);
		flint_map_seen(fs, req->rep_epoch);
	} else if (req->sent_boot) {
		c->unknown = true;
	}
	flint_req_put(req);
	return err;
}

/*
 * May it be in doubt whether it was done in the session before, as nothing lasting came of it then,
 * or nothing but the same?
 */
static bool flint_meta_repeatable(const struct flint_mcall *c)
{
	const struct flint_open *open = c->body;
	u32 flags;

	switch (c->op) {
	case FLINT_OP_OPEN:
		flags = le32_to_cpu(open->flags);
		return !(flags & (FLINT_OPEN_CREATE | FLINT_OPEN_TRUNC)) ||
		       (flags & FLINT_OPEN_TMPFILE);
	case FLINT_OP_EXTEND:
	case FLINT_OP_INO_GRANT:
	case FLINT_OP_LOCK:
	case FLINT_OP_LOCK_CANCEL:
		return true;
	}
	return !c->mutates;
}

/* One attempt at whoever leads. As flint_meta_try(). */
static int flint_meta_ask(struct flint_fs *fs, struct flint_mcall *c, const struct flint_seq *seq,
			  unsigned long deadline, u32 *status, bool *now)
{
	struct flint_leader l;
	int err;

	*now = false;
	if (READ_ONCE(fs->shutdown))
		return -EIO;
	if (c->unknown && c->session != flint_session(fs) && !flint_meta_repeatable(c))
		return -EIO;
	err = flint_leader_get(fs, &l);
	if (err)
		return err;
	err = flint_leader_ready(&l);
	if (err == -ENOTCONN)
		flint_leader_failed(fs, &l);
	else if (!err)
		err = flint_meta_try(fs, c, seq, &l, deadline, status, now);
	if (err == -ENOTCONN || err == -ETIMEDOUT)
		flint_meta_warn(fs, &l);
	flint_leader_put(&l);
	return err;
}

/*
 * The session is over. What was refused for that is done in the next one; a change that may have
 * been executed in the last one is not: nobody knows of it any more, and it could be done twice.
 */
static bool flint_meta_next_session(struct flint_fs *fs, const struct flint_mcall *c, u32 status)
{
	return flint_session_lost(fs, c->session, status) && c->op != FLINT_OP_SESSION_OPEN &&
	       (!c->unknown || flint_meta_repeatable(c));
}

/* Should this outcome be tried again? */
static bool flint_meta_again(int err, u32 status)
{
	if (err)
		return err == -ENOTCONN || err == -ETIMEDOUT;
	return status == FLINT_ST_RETRY || status == FLINT_ST_SHUTDOWN ||
	       status == FLINT_ST_NOT_LEADER || status == FLINT_ST_NOT_SERVING ||
	       status == FLINT_ST_RECLAIM;
}

/* ---- calls that were not answered at once ------------------------------- */

static void flint_meta_retry(struct flint_fs *fs, struct flint_mcall *c, int err, u32 status)
{
	flint_stat_inc(fs, FLINT_STAT_RETRIES);
	trace_flint_meta_retry(fs->instance, c->op, ++c->tries, err, status);
	if (c->tries > 1)
		return;
	c->pid = task_tgid_nr(current);
	spin_lock(&fs->retry_lock);
	list_add_tail(&c->retry_node, &fs->retrying);
	spin_unlock(&fs->retry_lock);
}

static void flint_meta_retry_end(struct flint_fs *fs, struct flint_mcall *c)
{
	if (!c->tries)
		return;
	spin_lock(&fs->retry_lock);
	list_del(&c->retry_node);
	spin_unlock(&fs->retry_lock);
}

/* For debugfs: calls between two attempts, or whose next attempt is listed as well. */
void flint_meta_show_retrying(struct flint_fs *fs, struct seq_file *m)
{
	const struct flint_mcall *c;
	const char *op;

	spin_lock(&fs->retry_lock);
	list_for_each_entry(c, &fs->retrying, retry_node) {
		op = flint_op_name(c->op);
		seq_printf(m, "metadata-server-%u state retrying op %s op_nr %#x tag 0 bytes %u age_ms %u left_ms - attempts %u pid %d\n",
			   READ_ONCE(fs->meta_node), op ? op : "?", c->op, c->data_len,
			   jiffies_to_msecs(jiffies - c->begun), c->tries, c->pid);
	}
	spin_unlock(&fs->retry_lock);
}

static int flint_meta_result(struct flint_fs *fs, struct flint_mcall *c, int err, u32 status)
{
	if (err == -ENOTCONN || err == -ETIMEDOUT) {
		flint_stat_inc(fs, FLINT_STAT_TIMEOUTS);
		return -EIO;
	}
	if (err)
		return err;
	/* Refused now, but an attempt before may have been executed. */
	if (c->unknown && flint_session_over(status) && !flint_meta_repeatable(c))
		return -EIO;
	c->unknown = false;
	return flint_status_errno(status);
}

/* ---- giving locks up ------------------------------------------------------ */

/* Is this a system call that can begin again? Asynchronous I/O is told EINTR. */
static bool flint_restartable(void)
{
	int nr = syscall_get_nr(current, task_pt_regs(current));

	return !(current->flags & (PF_KTHREAD | PF_IO_WORKER | PF_EXITING | PF_DUMPCORE)) &&
	       nr >= 0 && nr != __NR_io_submit && nr != __NR_io_uring_enter;
}

/*
 * Is the server silent? Then one call at a time holds its locks to see whether it still is, and
 * who queued for them meanwhile goes through before the next.
 */
static bool flint_silent(struct flint_fs *fs, unsigned long *silent)
{
	unsigned long next = READ_ONCE(*silent);

	return next && !READ_ONCE(fs->shutdown) &&
	       (time_before(jiffies, next) ||
		cmpxchg(silent, next, (jiffies + FLINT_HOLD + FLINT_HOLD_GAP) | 1) != next);
}

static int flint_pause_release(struct inode *inode, struct file *file)
{
	schedule_timeout_killable(FLINT_HOLD_PAUSE);
	return 0;
}

static const struct file_operations flint_pause_fops = {
	.owner = THIS_MODULE,
	.release = flint_pause_release,
};

/**
 * flint_restart() - let the system call begin again, after a pause without locks
 *
 * The pause is the end of a file, whose last reference is put where its task leaves the kernel.
 *
 * Context: flint_restartable().
 * Return: -ERESTARTNOINTR.
 */
int flint_restart(void)
{
	struct file *pause = anon_inode_getfile("[flintfs]", &flint_pause_fops, NULL, O_RDONLY);

	if (IS_ERR(pause))
		schedule_timeout_killable(1);
	else
		fput(pause);
	set_tsk_thread_flag(current, TIF_NOTIFY_SIGNAL);
	return -ERESTARTNOINTR;
}

static int flint_meta_restart(struct flint_fs *fs, const struct flint_mcall *c)
{
	cmpxchg(&fs->silent[c->mutates], 0, (jiffies + FLINT_HOLD_GAP) | 1);
	return flint_restart();
}

/**
 * flint_hold_begin() - a call is going to wait for servers under locks of the VFS
 * @fs: mount
 * @silent: what to remember silence by: when somebody may wait again, or 0
 * @leave: receives jiffies when to give the locks up; 0: never, wait as without locks
 *
 * Return: 0, -ERESTARTNOINTR: give them up at once, or -EIO: aborted by hand.
 */
int flint_hold_begin(struct flint_fs *fs, unsigned long *silent, unsigned long *leave)
{
	*leave = 0;
	if (!flint_restartable())
		return 0;
	if (READ_ONCE(*silent) && time_before(jiffies, READ_ONCE(fs->abort_until)))
		return -EIO;
	if (flint_silent(fs, silent))
		return flint_restart();
	*leave = flint_hold_until();
	return 0;
}

/**
 * flint_hold_end() - what comes of the wait
 * @fs: mount
 * @silent: as before, of one inode that is locked
 * @leave: as before, of the last step
 * @err: what it ended with: -EIO when it took too long
 *
 * Return: @err, or -ERESTARTNOINTR instead of that -EIO.
 */
int flint_hold_end(struct flint_fs *fs, unsigned long *silent, unsigned long leave, int err)
{
	if (err == -EIO && flint_hold_over(leave) && !READ_ONCE(fs->shutdown)) {
		WRITE_ONCE(*silent, (jiffies + FLINT_HOLD_GAP) | 1);
		return flint_restart();
	}
	if (!err)
		WRITE_ONCE(*silent, 0);
	return err;
}

/* Is the number of a change looked after, so that its task may leave? */
static bool flint_meta_part(struct flint_fs *fs, struct flint_mcall *c, struct flint_seq *seq)
{
	if (!c->mutates)
		return true;
	if (c->unknown && c->yield == FLINT_YIELD_CHANGE)
		return flint_held_keep(fs, c, seq);
	flint_seq_end(fs, seq);
	return true;
}

static int flint_meta_begin(struct flint_fs *fs, struct flint_mcall *c, struct flint_seq *seq)
{
	int ret = 0;

	if (!c->mutates)
		return 0;
	if (c->keep && c->keep->seq) {
		flint_seq_move(fs, seq, c->keep);
		c->keep->seq = 0;
		c->unknown = true;
		return 0;
	}
	if (c->yield == FLINT_YIELD_CHANGE)
		ret = flint_held_take(fs, c, seq);
	c->resumed = ret > 0;
	if (!ret)
		flint_seq_begin(fs, seq);
	return min(ret, 0);
}

/* @answered: what the server said is the outcome. */
static void flint_meta_end(struct flint_fs *fs, const struct flint_mcall *c, struct flint_seq *seq,
			   bool answered)
{
	if (c->keep && c->unknown && !answered)
		flint_seq_move(fs, c->keep, seq);
	else
		flint_seq_end(fs, seq);
}

/**
 * flint_meta_call() - do a metadata operation
 * @fs: mount
 * @c: the operation
 *
 * Context: process, killable. May hold VFS locks.
 * Return: 0, the server's errno, -EINTR when killed, -EIO when the mount was
 * shut down or time ran out, -ENOMEM, -EPROTO; with c->yield also -ERESTARTNOINTR:
 * let go of all locks and leave the system call.
 */
int flint_meta_call(struct flint_fs *fs, struct flint_mcall *c)
{
	unsigned long end = c->deadline, pause = FLINT_PAUSE_MIN;
	unsigned int hops = 0;
	struct flint_seq seq;
	u32 status = 0, aborts = READ_ONCE(fs->aborts);
	bool forever = false, again, now;
	int err;

	if (!end) {
		end = jiffies + msecs_to_jiffies(fs->opts.meta_timeo);
		forever = c->forever || (!fs->opts.soft && !(current->flags & PF_KTHREAD));
	}
	c->unknown = false;
	c->resumed = false;
	c->begun = jiffies;
	c->tries = 0;
	c->leave = 0;
	if (c->yield && forever) {
		err = flint_hold_begin(fs, &fs->silent[c->mutates], &c->leave);
		if (err == -ERESTARTNOINTR)
			flint_held_stay(fs);
		if (err)
			return err;
	}
	err = flint_delegate_before(fs, c);
	if (err == -ERESTARTNOINTR)
		return flint_meta_restart(fs, c);
	if (!err)
		err = flint_meta_begin(fs, c, &seq);
	if (err)
		return err;
	flint_stat_inc(fs, FLINT_STAT_META_OPS);
	for (;;) {
		unsigned long until = jiffies + FLINT_RPC_TIMEO;

		if (!forever && time_after(until, end))
			until = end;
		if (c->leave && time_after(until, c->leave))
			until = c->leave;
		err = flint_meta_ask(fs, c, c->mutates ? &seq : NULL, until, &status, &now);
		again = flint_meta_again(err, status) || (c->forever && err == -ENOMEM);
		if (!err && flint_session_over(status))
			again = flint_meta_next_session(fs, c, status);
		if (c->once || !again)
			break;
		if (flint_hold_over(c->leave)) {
			if (flint_meta_part(fs, c, &seq)) {
				flint_meta_retry_end(fs, c);
				return flint_meta_restart(fs, c);
			}
			c->leave = 0;	/* no memory to remember it: wait on */
		}
		flint_meta_retry(fs, c, err, status);
		/* Two servers that name each other must not be asked in a circle. */
		if (now && hops++ < FLINT_HOPS_MAX)
			continue;
		hops = 0;
		if (!forever && time_after_eq(jiffies + pause, end))
			break;
		if (schedule_timeout_killable(pause) && fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		pause = min_t(unsigned long, pause * 2, FLINT_PAUSE_MAX);
		if (READ_ONCE(fs->aborts) != aborts) {
			err = -EIO;
			break;
		}
	}
	flint_meta_retry_end(fs, c);
	if (c->mutates)
		flint_meta_end(fs, c, &seq, !err && !again);
	if (!err && !again && READ_ONCE(fs->silent[c->mutates]))
		WRITE_ONCE(fs->silent[c->mutates], 0);
	if (c->resumed) {	/* it says what was so at the first time */
		c->sent = c->begun - FLINT_RESUMED_AGE;
		c->dir_gen = 0;
		c->nr_grants = 0;
	}
	return flint_meta_result(fs, c, err, status);
}

/* ---- giving back handles ---------------------------------------------- */

#define FLINT_CLOSE_DELAY	1	/* jiffies: several leave in one message */

enum { FLINT_CLOSE_TOUCH, FLINT_CLOSE_HANDLE };

static void flint_close_queue(struct flint_handle *h, unsigned long delay)
{
	struct flint_fs *fs = h->fs;

	/* Queued under the lock: once @h can be taken off the list, @fs may go. */
	spin_lock(&fs->close_lock);
	list_add_tail(&h->node, &fs->closes);
	if (delay)
		queue_delayed_work(fs->wq, &fs->close_work, delay);
	else
		mod_delayed_work(fs->wq, &fs->close_work, 0);
	spin_unlock(&fs->close_lock);
}

/* The times are told, or will not be. */
static void flint_touch_end(struct flint_fs *fs)
{
	if (atomic_dec_and_test(&fs->touches))
		wake_up_all(&fs->touch_wq);
}

/**
 * flint_touch_wait() - let closed files' times be told before others are set
 * @fs: mount
 *
 * Context: process; for as long as locks of the VFS may be held.
 * Return: 0, or -EINTR.
 */
int flint_touch_wait(struct flint_fs *fs)
{
	long left;

	if (likely(!atomic_read(&fs->touches)))
		return 0;
	left = wait_event_killable_timeout(fs->touch_wq, !atomic_read(&fs->touches), FLINT_HOLD);
	return left < 0 ? -EINTR : 0;
}

static void flint_close_free(struct flint_handle *h)
{
	struct flint_fs *fs = h->fs;

	if (h->stage == FLINT_CLOSE_TOUCH)
		flint_touch_end(fs);
	if (h->touch)
		flint_seq_end(fs, &h->ext_seq);
	flint_seq_end(fs, &h->seq);
	kfree(h);
	flint_fs_end(fs);
}

static void flint_close_done(struct flint_req *req)
{
	struct flint_handle *h = req->priv;
	struct flint_leader l = { .node = h->asked, .map = flint_map_get(h->fs) };

	if (l.map) {
		flint_meta_follow(h->fs, &l, req->err, req);
		flint_leader_put(&l);
	}
	/* An abort by hand, too: handles are not what anybody waits for. */
	if ((flint_meta_again(req->err, req->status) || req->err == -EIO) &&
	    ++h->tries < FLINT_CLOSE_TRIES &&
	    !READ_ONCE(h->fs->shutdown)) {
		flint_close_queue(h, HZ / 2);
	} else if (h->stage == FLINT_CLOSE_TOUCH && !req->err) {
		h->stage = FLINT_CLOSE_HANDLE;
		flint_touch_end(h->fs);
		flint_close_queue(h, 0);
	} else {
		flint_close_free(h);
	}
}

static int flint_close_send(struct flint_handle *h)
{
	struct flint_fs *fs = h->fs;
	bool touch = h->stage == FLINT_CLOSE_TOUCH;
	struct flint_close body = {
		.handle = cpu_to_le64(h->handle),
		.ino = cpu_to_le64(h->ino),
	};
	struct flint_leader l;
	struct flint_req *req;
	int err;

	err = flint_leader_get(fs, &l);
	if (err)
		return err;
	h->asked = l.node;
	err = flint_leader_ready(&l);
	if (err)
		goto out;
	err = -ENOMEM;
	req = flint_req_alloc(touch ? FLINT_OP_EXTEND : FLINT_OP_CLOSE,
			      touch ? sizeof(h->ext) : sizeof(body), GFP_NOFS);
	if (!req)
		goto out;
	if (touch)
		memcpy(req->body, &h->ext, sizeof(h->ext));
	else
		memcpy(req->body, &body, sizeof(body));
	req->seq = touch ? h->ext_seq.seq : h->seq.seq;
	req->seq_low = flint_seq_low(fs);
	req->retry = h->tries > 0;
	req->tries = h->tries;
	req->deadline = jiffies + FLINT_RPC_TIMEO;
	req->done = flint_close_done;
	req->priv = h;
	err = flint_req_submit(l.peer, req, 0);	/* @h is the request's from here on */
	flint_req_put(req);
out:
	if (err == -ENOTCONN || err == -ETIMEDOUT)
		flint_leader_failed(fs, &l);
	flint_leader_put(&l);
	return err;
}

static void flint_close_work(struct work_struct *work)
{
	struct flint_fs *fs = container_of(to_delayed_work(work), struct flint_fs, close_work);
	struct flint_handle *h, *next;
	struct blk_plug plug;
	LIST_HEAD(list);

	spin_lock(&fs->close_lock);
	list_splice_init(&fs->closes, &list);
	spin_unlock(&fs->close_lock);
	blk_start_plug(&plug);
	list_for_each_entry_safe(h, next, &list, node) {
		list_del(&h->node);
		if (READ_ONCE(fs->shutdown))
			flint_close_free(h);
		else if (!flint_close_send(h))
			continue;	/* the request's ->done() goes on */
		else if (++h->tries < FLINT_CLOSE_TRIES && !READ_ONCE(fs->shutdown))
			flint_close_queue(h, HZ / 2);
		else
			flint_close_free(h);
	}
	blk_finish_plug(&plug);
}

/**
 * flint_handle_close() - give a handle back, soon and without waiting
 * @h: freed when the server has it, or when we stop trying
 *
 * Context: any that may take a spinlock.
 */
void flint_handle_close(struct flint_handle *h)
{
	struct flint_fs *fs = h->fs;

	flint_fs_begin(fs);
	if (h->touch) {
		atomic_inc(&fs->touches);
		flint_seq_begin(fs, &h->ext_seq);
	}
	flint_seq_begin(fs, &h->seq);
	h->stage = h->touch ? FLINT_CLOSE_TOUCH : FLINT_CLOSE_HANDLE;
	flint_close_queue(h, h->touch ? 0 : FLINT_CLOSE_DELAY);	/* others wait for new times */
}

void flint_close_start(struct flint_fs *fs)
{
	spin_lock_init(&fs->close_lock);
	init_waitqueue_head(&fs->touch_wq);
	INIT_LIST_HEAD(&fs->closes);
	INIT_DELAYED_WORK(&fs->close_work, flint_close_work);
}

/* Nothing is in flight: a run that is still due, on a timer maybe, has nothing to do. */
void flint_close_stop(struct flint_fs *fs)
{
	cancel_delayed_work_sync(&fs->close_work);
}
