// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that were opened without a request.
 *
 * Under a READ lease a file is opened for reading, and closed again, without the
 * server. It does not know of them, so before anything can make it forget the
 * inode they are made known: the inode is opened at the server once, for all of
 * them, and stays so until the last is closed. That is done
 *  - before the READ lease is returned, as another client is about to change it;
 *  - before we remove or replace a name of it ourselves: our own changes recall
 *    nothing of ours;
 *  - when a new leader does not let us keep the lease.
 *
 * Everything here is under leases.lock; see lease.c.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include "flint.h"

#define FLINT_REGISTER_TIMEO	(5 * HZ)

const char flint_local_open;

/**
 * flint_open_local() - open a file for reading without a request
 * @inode: regular file
 *
 * Context: process.
 * Return: true, pairs with flint_release_local(); false: ask the server.
 */
bool flint_open_local(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);
	struct flint_leases *l = &flint_fs(inode->i_sb)->leases;
	bool ok;

	if (!flint_pages_leased(inode))
		return false;
	spin_lock(&l->lock);
	ok = fi->read_gen && fi->read_gen == fi->attr_gen && inode->i_nlink && !fi->removing;
	if (ok && !fi->local_opens++)
		list_add_tail(&fi->local_node, &l->locals);
	spin_unlock(&l->lock);
	return ok;
}

void flint_release_local(struct inode *inode)
{
	struct flint_inode *fi = flint_i(inode);
	struct flint_leases *l = &flint_fs(inode->i_sb)->leases;
	struct flint_handle *h = NULL;

	spin_lock(&l->lock);
	if (!--fi->local_opens) {
		list_del_init(&fi->local_node);
		swap(h, fi->registered);
	}
	spin_unlock(&l->lock);
	if (h)
		flint_handle_close(h);
}

static bool flint_open_unknown(struct flint_inode *fi)
{
	struct flint_leases *l = &flint_fs(fi->vfs.i_sb)->leases;
	bool unknown;

	spin_lock(&l->lock);
	unknown = fi->local_opens && !fi->registered;
	spin_unlock(&l->lock);
	return unknown;
}

/**
 * flint_open_register() - make local opens of a file known to the server
 * @inode: any
 * @hold: by a system call, under VFS locks, else for a few seconds
 *
 * Context: process; may hold VFS locks.
 * Return: 0, also when there are none, or an error of flint_meta_call().
 */
int flint_open_register(struct inode *inode, bool hold)
{
	struct flint_open body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.flags = cpu_to_le32(FLINT_OPEN_READ),
		.ino = cpu_to_le64(inode->i_ino),
		.gen = cpu_to_le32(flint_i(inode)->gen),
	};
	struct flint_fs *fs = flint_fs(inode->i_sb);
	struct flint_inode *fi = flint_i(inode);
	struct flint_open_rep rep;
	struct flint_mcall c = {
		.op = FLINT_OP_OPEN, .mutates = true,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
		.yield = hold ? FLINT_YIELD_PART : FLINT_YIELD_NONE,
		.deadline = hold ? 0 : jiffies + FLINT_REGISTER_TIMEO,
	};
	struct flint_handle *h;
	int err;

	if (!flint_open_unknown(fi))
		return 0;
	h = flint_handle_new(fs, inode->i_ino);
	if (!h)
		return -ENOMEM;
	flint_cred_fill(&body.cred);
	err = flint_meta_call(fs, &c);
	if (err) {
		kfree(h);
		return err;
	}
	h->handle = le64_to_cpu(rep.handle);
	spin_lock(&fs->leases.lock);
	if (fi->local_opens && !fi->registered)
		swap(h, fi->registered);
	spin_unlock(&fs->leases.lock);
	if (h)		/* closed meanwhile, or somebody was faster */
		flint_handle_close(h);
	return 0;
}

/* The session is over: its handles are nobody's any more. */
void flint_open_forget(struct flint_fs *fs)
{
	struct flint_leases *l = &fs->leases;
	struct flint_handle *h, *next;
	struct flint_inode *fi;
	LIST_HEAD(old);

	spin_lock(&l->lock);
	list_for_each_entry(fi, &l->locals, local_node) {
		if (fi->registered)
			list_add(&fi->registered->node, &old);
		fi->registered = NULL;
	}
	spin_unlock(&l->lock);
	list_for_each_entry_safe(h, next, &old, node)
		kfree(h);
}

static struct inode *flint_open_lost(struct flint_leases *l)
{
	struct inode *inode = NULL;
	struct flint_inode *fi;

	spin_lock(&l->lock);
	list_for_each_entry(fi, &l->locals, local_node) {
		if (fi->registered || fi->read_gen)
			continue;
		inode = igrab(&fi->vfs);
		break;
	}
	spin_unlock(&l->lock);
	return inode;
}

/* Make known what is open without a lease: a new leader did not let us keep it. */
void flint_open_register_lost(struct flint_fs *fs)
{
	struct inode *inode;
	int err = 0;

	while (!err && (inode = flint_open_lost(&fs->leases))) {
		err = flint_open_register(inode, false);
		if (err)
			pr_warn_ratelimited("%s: inode %lu is open here, but the metadata server does not have it any more (%d)\n",
					    fs->name, inode->i_ino, err);
		iput(inode);
	}
}

/**
 * flint_remove_begin() - a name of the inode is going to be removed by us
 * @inode: it, or NULL
 *
 * Context: process, killable.
 * Return: 0: pairs with flint_remove_end(); or an error: leave it.
 */
int flint_remove_begin(struct inode *inode)
{
	struct flint_leases *l;
	int err;

	if (!inode || !S_ISREG(inode->i_mode))
		return 0;
	l = &flint_fs(inode->i_sb)->leases;
	spin_lock(&l->lock);
	flint_i(inode)->removing++;	/* no new ones from here on */
	spin_unlock(&l->lock);
	err = flint_open_register(inode, true);
	if (err == -ENOENT)
		err = 0;	/* somebody else was faster; the server will say so */
	if (err)
		flint_remove_end(inode);
	return err;
}

void flint_remove_end(struct inode *inode)
{
	struct flint_leases *l;

	if (!inode || !READ_ONCE(flint_i(inode)->removing))
		return;
	l = &flint_fs(inode->i_sb)->leases;
	spin_lock(&l->lock);
	flint_i(inode)->removing--;
	spin_unlock(&l->lock);
}
