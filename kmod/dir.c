// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading directories.
 *
 * Positions: 0 is ".", 1 is "..", and position p >= 2 means "the entries
 * after cookie p - 2"; cookies grow and are never used again, so a position
 * stays good however the directory changes. Each open directory keeps the
 * last page that the server sent, and where the directory ended when it was
 * opened or rewound: who renames what is read would meet it again behind that
 * for ever. The attributes that come with the entries fill dentry and inode
 * caches, so `ls -l` asks once for a page of names.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/mm.h>
#include "flint.h"

/**
 * struct flint_dirpage - what an open directory keeps
 * @from: position that the page begins at
 * @len: bytes of records
 * @at: offset of the record for @next
 * @next: position of that record
 * @end: position behind the names of the time when the directory was opened or
 *	rewound, 0: not known
 * @eof: nothing follows the page
 * @valid: there is a page
 * @sent: jiffies before it was asked for
 * @gen: of the directory's lease that the page is good under, 0: none
 * @names_seq: of the directory, before it was asked for
 * @lease_epoch: leadership that was asked
 * @lease_seq: number of the leases on entries that are marked, 0: none
 * @data: the records
 */
struct flint_dirpage {
	loff_t from;
	u32 len;
	u32 at;
	loff_t next;
	loff_t end;
	bool eof;
	bool valid;
	unsigned long sent;
	unsigned long gen;
	u32 names_seq;
	u64 lease_epoch;
	u64 lease_seq;
	u8 data[FLINT_READDIR_BUF] __aligned(8);
};

/* One grant, without an inode, is for all entries that are marked. */
static void flint_dir_entry_leases(struct flint_dirpage *page, const struct flint_mcall *c)
{
	unsigned int i;

	page->lease_epoch = c->lease_epoch;
	page->lease_seq = 0;
	for (i = 0; i < c->nr_grants; i++)
		if (!c->grants[i].ino)
			page->lease_seq = le64_to_cpu(c->grants[i].seq);
}

/* The first page tells where the directory ends; older servers do not. Return: 0 or -EPROTO. */
static int flint_dir_ends(struct flint_dirpage *page, u64 next_cookie)
{
	if (next_cookie > (u64)LLONG_MAX - 2)
		return -EPROTO;
	if (!page->end && next_cookie)
		page->end = (loff_t)next_cookie + 1;
	return 0;
}

static int flint_dir_fetch(struct inode *dir, struct flint_dirpage *page, loff_t pos)
{
	struct flint_readdir body = {
		.ino = cpu_to_le64(dir->i_ino),
		.cookie = cpu_to_le64(pos - 2),
		.max_len = cpu_to_le32(FLINT_READDIR_BUF),
		.flags = cpu_to_le32(FLINT_READDIR_PLUS),
	};
	struct flint_readdir_rep rep;
	struct flint_mcall c = {
		.op = FLINT_OP_READDIR, .inode = dir, .dir_gen = flint_dir_gen(dir),
		.lease = FLINT_LEASE_READ | FLINT_LEASE_DIR, .yield = FLINT_YIELD_PART,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep), .rep_min = FLINT_READDIR_REP_MIN,
		.dir = FLINT_DIR_IN, .data_len = FLINT_READDIR_BUF,
	};
	int err;

	page->valid = false;
	page->names_seq = READ_ONCE(flint_i(dir)->names_seq);
	c.buf = flint_buf_alloc(FLINT_READDIR_BUF, GFP_KERNEL);
	if (!c.buf)
		return -ENOMEM;
	err = flint_meta_call(flint_fs(dir->i_sb), &c);
	if (!err) {
		page->len = flint_buf_read(c.buf, page->data, c.got);
		page->from = pos;
		page->next = pos;
		page->at = 0;
		page->eof = !!rep.eof;
		page->sent = c.sent;
		page->gen = flint_lease_take(&c, dir, NULL, NULL);
		flint_dir_entry_leases(page, &c);
		err = flint_dir_ends(page, le64_to_cpu(rep.next_cookie));
		if (!page->len && !page->eof)
			err = -EPROTO;	/* would ask again for ever */
		page->valid = !err;
	}
	flint_buf_put(c.buf);
	return err;
}

static void flint_dir_lease(struct inode *inode, const struct flint_dirpage *page, bool leased,
			    const struct flint_attr *attr)
{
	if (leased && page->lease_seq)
		flint_lease_hold(inode, page->lease_epoch, FLINT_LEASE_READ, page->lease_seq,
				 attr);
}

/* Put one entry into the caches. Failure only means that it is looked up later. */
static void flint_dir_prime(struct dentry *parent, const struct flint_dirpage *page,
			    const u8 *name, u32 len, const struct flint_attr *wire, bool leased)
{
	struct qstr q = QSTR_INIT(name, len);
	struct dentry *dentry, *alias;
	unsigned long sent = page->sent, gen = page->gen;
	struct flint_attr attr;
	struct inode *inode;
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wq);

	/* We hold the directory's lock: none of our own changes is under way. */
	if (page->names_seq != READ_ONCE(flint_i(d_inode(parent))->names_seq))
		gen = 0;
	memcpy(&attr, wire, sizeof(attr));
	q.hash = full_name_hash(parent, q.name, q.len);
	dentry = d_lookup(parent, &q);
	if (!dentry) {
		dentry = d_alloc_parallel(parent, &q, &wq);
		if (IS_ERR(dentry))
			return;
	}
	if (!d_in_lookup(dentry)) {
		inode = d_inode(dentry);
		if (inode && inode->i_ino == le64_to_cpu(attr.ino) &&
		    !flint_inode_apply(inode, &attr, sent)) {
			flint_dir_lease(inode, page, leased, &attr);
			flint_dentry_time(dentry, &attr, sent, gen);
		}
		dput(dentry);
		return;
	}
	inode = flint_iget(parent->d_sb, &attr, sent);
	if (!IS_ERR(inode)) {
		flint_dir_lease(inode, page, leased, &attr);
		flint_dentry_time(dentry, &attr, sent, gen);
	}
	alias = d_splice_alias(inode, dentry);
	d_lookup_done(dentry);
	if (!IS_ERR_OR_NULL(alias)) {
		flint_dentry_time(alias, &attr, sent, gen);
		dput(alias);
	}
	dput(dentry);
}

/* Emit what the page holds. Return: 1 page used up, 0 caller is full, or an error. */
static int flint_dir_emit(struct file *file, struct dir_context *ctx, struct flint_dirpage *page)
{
	const struct flint_attr *attr;
	struct flint_dirent d;
	const u8 *name;
	u32 at = page->at;
	u64 cookie;
	int ret;

	for (;;) {
		ret = flint_dirent_next(page->data, page->len, &at, &d, &attr, &name);
		if (ret <= 0)
			break;
		cookie = le64_to_cpu(d.cookie);
		if (cookie > (u64)LLONG_MAX - 2 || (loff_t)cookie + 2 <= page->next)
			return -EPROTO;
		if (page->end && (loff_t)cookie + 2 > page->end) {
			page->eof = true;
			return 1;
		}
		if (!dir_emit(ctx, name, le16_to_cpu(d.name_len), le64_to_cpu(d.ino), d.type))
			return 0;
		if (attr)
			flint_dir_prime(file->f_path.dentry, page, name, le16_to_cpu(d.name_len),
					attr, d.has_attr & FLINT_DIRENT_LEASE);
		page->at = at;
		page->next = (loff_t)cookie + 2;
		ctx->pos = page->next;
	}
	return ret ? ret : 1;
}

static int flint_dir_iterate(struct file *file, struct dir_context *ctx)
{
	struct flint_dirpage *page = file->private_data;
	struct inode *dir = file_inode(file);
	int ret;

	if (!dir_emit_dots(file, ctx))
		return 0;
	if (!page) {
		page = kvzalloc(sizeof(*page), GFP_KERNEL);
		if (!page)
			return -ENOMEM;
		/* Shared lock on the directory, but f_pos_lock makes us alone. */
		if (cmpxchg(&file->private_data, NULL, page)) {
			kvfree(page);
			page = file->private_data;
		}
	}
	while (!page->end || ctx->pos < page->end) {
		if (!page->valid || page->next != ctx->pos) {
			ret = flint_dir_fetch(dir, page, ctx->pos);
			if (ret)
				return ret;
		}
		ret = flint_dir_emit(file, ctx, page);
		if (ret <= 0)
			return ret;
		page->valid = false;
		if (page->eof) {
			ctx->pos = max(ctx->pos, page->end);
			return 0;	/* not known where it ends: look again when asked again */
		}
	}
	return 0;
}

static int flint_dir_open(struct inode *inode, struct file *file)
{
	return READ_ONCE(flint_fs(inode->i_sb)->shutdown) ? -EIO : 0;
}

static int flint_dir_release(struct inode *inode, struct file *file)
{
	kvfree(file->private_data);
	return 0;
}

static loff_t flint_dir_llseek(struct file *file, loff_t offset, int whence)
{
	struct flint_dirpage *page = file->private_data;
	loff_t ret;

	if (whence == SEEK_END)
		return -EINVAL;
	ret = generic_file_llseek_size(file, offset, whence, LLONG_MAX, LLONG_MAX);
	if (ret == 0 && page) {		/* rewinddir */
		page->valid = false;
		page->end = 0;
	}
	return ret;
}

/* Acknowledged changes are durable; what was made without a request has to be told. */
static int flint_dir_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	if (READ_ONCE(flint_fs(file_inode(file)->i_sb)->shutdown))
		return -EIO;
	return flint_delegate_fsync(file);
}

const struct file_operations flint_dir_fops = {
	.owner		= THIS_MODULE,
	.open		= flint_dir_open,
	.release	= flint_dir_release,
	.llseek		= flint_dir_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= flint_dir_iterate,
	.fsync		= flint_dir_fsync,
	.flock		= flint_lock,
	.setlease	= simple_nosetlease,
};
