// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes that left their system call without an answer.
 *
 * A call that waits under a lock of the VFS gives the lock up after a while: the
 * system call begins again by itself (meta.c). If the server may have executed the
 * change, its sequence number is kept here, and the same change of the same task goes
 * on with it, so that it is done once. Until then that task sees the names as they
 * were when it asked: the VFS looks at them before it calls us again, and would answer
 * a mkdir that was executed with EEXIST.
 *
 * A record ends with another change by its task, with the task, or in time: it must not
 * hold back flint_seq_low(). Then the outcome is unknown, as after a kill. The last reference of
 * an inode is put by a work, where nobody waits.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include "flint.h"

#define FLINT_HELD_TIMEO	(60 * HZ)
#define FLINT_HELD_MOST		(2 * FLINT_HELD_TIMEO)
#define FLINT_HELD_EVERY	(2 * HZ)

/**
 * struct flint_held - a change whose task will ask again
 * @node: on fs->held, under fs->held_lock
 * @pid: the task
 * @until: jiffies when it ends; now: it is given up
 * @asked: jiffies when its task last asked for it; looking at names keeps it for a while only
 * @seq: open
 * @session: that it was sent in
 * @name: names that it changes, as mcall.s1 and .s2, with what they stood for; referenced
 * @op: operation
 * @len: of @bytes
 * @bytes: body, strings and payload
 */
struct flint_held {
	struct list_head node;
	struct pid *pid;
	unsigned long until;
	unsigned long asked;
	struct flint_seq seq;
	u64 session;
	struct {
		u64 dir;
		struct inode *inode;
		const u8 *at;
		u32 len;
	} name[2];
	u16 op;
	u32 len;
	u8 bytes[];
};

static void flint_held_free(struct flint_held *h)
{
	iput(h->name[0].inode);
	iput(h->name[1].inode);
	put_pid(h->pid);
	kvfree(h);
}

/* At most one a task, which keeps it for longer. Context: fs->held_lock. */
static struct flint_held *flint_held_find(struct flint_fs *fs)
{
	struct flint_held *h;

	list_for_each_entry(h, &fs->held, node) {
		if (h->pid != task_pid(current) || time_after_eq(jiffies, h->until) ||
		    time_after(jiffies, h->asked + FLINT_HELD_MOST))
			continue;
		h->until = jiffies + FLINT_HELD_TIMEO;
		return h;
	}
	return NULL;
}

static struct flint_held *flint_held_make(const struct flint_mcall *c)
{
	u32 data = c->dir == FLINT_DIR_OUT ? c->data_len : 0;
	u32 len = c->body_len + c->s1_len + c->s2_len + data;
	struct flint_held *h = kvzalloc(struct_size(h, bytes, len), GFP_NOFS);
	u8 *p;

	if (!h)
		return NULL;
	h->op = c->op;
	h->len = len;
	h->pid = get_pid(task_pid(current));
	p = h->bytes;
	memcpy(p, c->body, c->body_len);
	p += c->body_len;
	h->name[0].at = p;
	h->name[0].len = c->s1_len;
	memcpy(p, c->s1, c->s1_len);
	p += c->s1_len;
	h->name[1].at = p;
	h->name[1].len = c->s2_len;
	memcpy(p, c->s2, c->s2_len);
	if (data)
		flint_buf_read(c->buf, p + c->s2_len, data);
	return h;
}

/**
 * flint_held_keep() - the task leaves, and will ask again
 * @fs: mount
 * @c: the operation, which the server may have executed
 * @seq: its number; taken over
 * Return: false without memory: it must wait on.
 */
bool flint_held_keep(struct flint_fs *fs, const struct flint_mcall *c, struct flint_seq *seq)
{
	struct flint_held *h = flint_held_make(c);
	int i;

	if (!h)
		return false;
	for (i = 0; i < ARRAY_SIZE(c->names); i++) {
		if (!c->names[i])
			continue;
		h->name[i].dir = d_inode(c->names[i]->d_parent)->i_ino;
		h->name[i].inode = d_inode(c->names[i]);
		if (h->name[i].inode)
			ihold(h->name[i].inode);
	}
	h->session = c->session;
	h->until = jiffies + FLINT_HELD_TIMEO;
	h->asked = jiffies;
	flint_seq_move(fs, &h->seq, seq);
	spin_lock(&fs->held_lock);
	list_add_tail(&h->node, &fs->held);
	queue_delayed_work(fs->wq, &fs->held_work, FLINT_HELD_EVERY);
	spin_unlock(&fs->held_lock);
	return true;
}

/**
 * flint_held_take() - does this operation go on with a number that was kept?
 * @fs: mount
 * @c: the operation
 * @seq: receives the number
 *
 * Return: 1: yes, c->unknown and c->session are set; 0: no, what else the task had is
 * given up; -ENOMEM.
 */
int flint_held_take(struct flint_fs *fs, struct flint_mcall *c, struct flint_seq *seq)
{
	struct flint_held *h, *like;
	bool same;

	if (likely(list_empty(&fs->held)))
		return 0;
	like = flint_held_make(c);
	if (!like)
		return -ENOMEM;
	spin_lock(&fs->held_lock);
	h = flint_held_find(fs);
	same = h && h->op == like->op && h->len == like->len &&
	       !memcmp(h->bytes, like->bytes, h->len);
	if (same)
		list_del(&h->node);
	else if (h)
		h->until = jiffies;
	spin_unlock(&fs->held_lock);
	flint_held_free(like);
	if (!same)
		return 0;
	flint_seq_move(fs, seq, &h->seq);
	c->session = h->session;
	c->unknown = true;
	flint_held_free(h);	/* the dentries have the inodes, too */
	return 1;
}

/**
 * flint_held_stay() - the task leaves once more without having asked
 * @fs: mount
 */
void flint_held_stay(struct flint_fs *fs)
{
	struct flint_held *h;

	spin_lock(&fs->held_lock);
	h = flint_held_find(fs);
	if (h)
		h->asked = jiffies;
	spin_unlock(&fs->held_lock);
}

/**
 * flint_held_name() - has this task a change under way of a name?
 * @dir: directory
 * @name: in it
 * @inode: receives what it stood for, referenced, or NULL
 *
 * Context: process.
 */
bool flint_held_name(const struct inode *dir, const struct qstr *name, struct inode **inode)
{
	struct flint_fs *fs = flint_fs(dir->i_sb);
	struct flint_held *h;
	bool found = false;
	int i;

	*inode = NULL;
	if (likely(list_empty(&fs->held)))
		return false;
	spin_lock(&fs->held_lock);
	h = flint_held_find(fs);
	for (i = 0; h && i < ARRAY_SIZE(h->name) && !found; i++) {
		found = h->name[i].dir == dir->i_ino && h->name[i].len == name->len &&
			!memcmp(h->name[i].at, name->name, name->len);
		if (!found)
			continue;
		*inode = h->name[i].inode;
		if (*inode)
			ihold(*inode);
	}
	spin_unlock(&fs->held_lock);
	return found;
}

static bool flint_held_over(const struct flint_held *h)
{
	struct task_struct *task;
	bool over;

	rcu_read_lock();
	task = pid_task(h->pid, PIDTYPE_PID);
	over = !task || (task->flags & PF_EXITING) || time_after_eq(jiffies, h->until);
	rcu_read_unlock();
	return over;
}

/* Give up records that nobody will come back to, or @all. */
static void flint_held_drop(struct flint_fs *fs, bool all)
{
	struct flint_held *h, *next;
	LIST_HEAD(over);

	spin_lock(&fs->held_lock);
	list_for_each_entry_safe(h, next, &fs->held, node)
		if (all || flint_held_over(h))
			list_move(&h->node, &over);
	if (!list_empty(&fs->held))
		queue_delayed_work(fs->wq, &fs->held_work, FLINT_HELD_EVERY);
	spin_unlock(&fs->held_lock);
	list_for_each_entry_safe(h, next, &over, node) {
		flint_seq_end(fs, &h->seq);
		flint_held_free(h);
	}
}

static void flint_held_work(struct work_struct *work)
{
	flint_held_drop(container_of(to_delayed_work(work), struct flint_fs, held_work), false);
}

void flint_held_init(struct flint_fs *fs)
{
	spin_lock_init(&fs->held_lock);
	INIT_LIST_HEAD(&fs->held);
	INIT_DELAYED_WORK(&fs->held_work, flint_held_work);
}

/* No system call is under way any more. Afterwards no record has an inode. */
void flint_held_stop(struct flint_fs *fs)
{
	cancel_delayed_work_sync(&fs->held_work);
	flint_held_drop(fs, true);
}
