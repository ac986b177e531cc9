// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names: lookup, create, remove, rename, and how long dentries may be used.
 *
 * A dentry may be used without asking while the directory's lease that it is
 * marked with lasts (lease.c), or until dentry->d_time. A failed operation whose
 * outcome is unknown (killed, time-out) makes the dentries involved ask again
 * and the directory's attributes stale.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/namei.h>
#include "flint.h"

#define FLINT_NEG_MS	1000	/* an absent name, by time */

/* ---- how long dentries may be used ------------------------------------ */

/**
 * flint_dentry_time() - a dentry was confirmed by the server
 * @dentry: the dentry
 * @a: attributes of its inode, or NULL: the name does not exist
 * @sent: jiffies before the request was sent
 * @gen: of the directory's lease that it is good under (flint_lease_take()), or 0
 */
void flint_dentry_time(struct dentry *dentry, const struct flint_attr *a, unsigned long sent,
		       unsigned long gen)
{
	struct flint_fs *fs = flint_fs(dentry->d_sb);
	unsigned int ms = a ? fs->opts.entry_timeo : fs->opts.neg_timeo;

	if (ms == FLINT_TIME_SERVER)
		ms = fs->opts.lease ? 0 : !a ? FLINT_NEG_MS :
		     min_t(u32, le32_to_cpu(a->valid_ms), 86400000);
	WRITE_ONCE(dentry->d_time, sent + msecs_to_jiffies(ms));
	WRITE_ONCE(dentry->d_fsdata, (void *)gen);
}

static void flint_dentry_expire(struct dentry *dentry)
{
	WRITE_ONCE(dentry->d_time, jiffies - 1);
	WRITE_ONCE(dentry->d_fsdata, NULL);
}

/* LOOKUP, or UNLINK of @victim. */
static int flint_name_call(struct inode *dir, const struct qstr *name, struct dentry *victim,
			   u16 op, u32 flags, void *rep, u32 rep_size, struct flint_mcall *c)
{
	struct flint_name_req body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.flags = cpu_to_le32(flags),
		.parent = cpu_to_le64(dir->i_ino),
		.name_len = cpu_to_le32(name->len),
	};

	*c = (struct flint_mcall){
		.op = op, .mutates = op != FLINT_OP_LOOKUP,
		.yield = victim ? FLINT_YIELD_CHANGE : FLINT_YIELD_PART, .names = { victim },
		.inode = op == FLINT_OP_LOOKUP ? dir : NULL, .dir_gen = flint_dir_gen(dir),
		.lease = op == FLINT_OP_LOOKUP ? FLINT_LEASE_READ | FLINT_LEASE_DIR : 0,
		.body = &body, .body_len = sizeof(body),
		.s1 = name->name, .s1_len = name->len,
		.rep = rep, .rep_size = rep_size,
	};
	if (name->len > FLINT_NAME_MAX)
		return -ENAMETOOLONG;
	flint_cred_fill(&body.cred);
	return flint_meta_call(flint_fs(dir->i_sb), c);
}

/*
 * Did none of our own changes of the directory overlap what began at @seq? Only
 * then does an answer say what the name stands for now.
 */
static bool flint_names_quiet(struct inode *dir, u32 seq)
{
	bool quiet;

	if (!inode_trylock_shared(dir))
		return false;
	quiet = READ_ONCE(flint_i(dir)->names_seq) == seq;
	inode_unlock_shared(dir);
	return quiet;
}

static int flint_revalidate_slow(struct inode *dir, struct dentry *dentry)
{
	u32 seq = READ_ONCE(flint_i(dir)->names_seq);
	struct inode *inode = d_inode(dentry);
	struct name_snapshot name;
	struct flint_attr attr;
	struct flint_mcall c;
	unsigned long gen;
	int err;

	if (!inode)
		return 0;	/* look it up again */
	take_dentry_name_snapshot(&name, dentry);
	err = flint_name_call(dir, &name.name, NULL, FLINT_OP_LOOKUP, 0, &attr, sizeof(attr), &c);
	release_dentry_name_snapshot(&name);
	if (err == -ENOENT)
		return 0;
	if (err)
		return err;	/* an outage must not tear down the tree: not 0 */
	if (le64_to_cpu(attr.ino) != inode->i_ino || flint_inode_apply(inode, &attr, c.sent))
		return 0;
	gen = flint_lease_take(&c, dir, inode, &attr);
	flint_dentry_time(dentry, &attr, c.sent, flint_names_quiet(dir, seq) ? gen : 0);
	return 1;
}

/* Does it stand for what it did when this task asked for a change of it? */
static int flint_revalidate_held(struct inode *dir, struct dentry *dentry, bool *held)
{
	struct name_snapshot name;
	struct inode *inode;

	take_dentry_name_snapshot(&name, dentry);
	*held = flint_held_name(dir, &name.name, &inode);
	release_dentry_name_snapshot(&name);
	iput(inode);
	return inode == d_inode(dentry);
}

static int flint_d_revalidate(struct dentry *dentry, unsigned int flags)
{
	bool held = !list_empty(&flint_fs(dentry->d_sb)->held);
	struct dentry *parent;
	struct inode *dir;
	int ret;

	if (unlikely(held)) {
		if (flags & LOOKUP_RCU)
			return -ECHILD;
		parent = dget_parent(dentry);
		ret = flint_revalidate_held(d_inode(parent), dentry, &held);
		if (held)
			goto out;
		dput(parent);
	}
	if (!(flags & LOOKUP_REVAL) && time_before(jiffies, READ_ONCE(dentry->d_time)))
		return 1;
	if (flags & LOOKUP_RCU) {
		dir = d_inode_rcu(READ_ONCE(dentry->d_parent));
		return !(flags & LOOKUP_REVAL) && dir && flint_dentry_leased(dentry, dir) ?
		       1 : -ECHILD;
	}
	parent = dget_parent(dentry);
	if (!(flags & LOOKUP_REVAL) && flint_dentry_leased(dentry, d_inode(parent)))
		ret = 1;
	else
		ret = flint_revalidate_slow(d_inode(parent), dentry);
out:
	if (!ret && d_really_is_positive(dentry))
		flint_delegate_incomplete(d_inode(parent));
	dput(parent);
	return ret;
}

/* Context: dentry->d_lock held. */
static void flint_d_prune(struct dentry *dentry)
{
	struct inode *dir = d_inode(dentry->d_parent);

	if (dir && d_really_is_positive(dentry))
		flint_delegate_incomplete(dir);
}

const struct dentry_operations flint_dentry_ops = {
	.d_revalidate = flint_d_revalidate,
	.d_prune = flint_d_prune,
};

/* ---- looking up ------------------------------------------------------- */

/*
 * Is it looked up only to be made? Then MKNOD or LINK says whether it is there. Not if the VFS is
 * going to refuse that itself, as what is there is told first.
 */
static bool flint_lookup_to_make(struct inode *dir, unsigned int flags)
{
	const unsigned int make = LOOKUP_CREATE | LOOKUP_EXCL;

	return (flags & make) == make && !sb_rdonly(dir->i_sb) &&
	       !inode_permission(FLINT_NOP_IDMAP, dir, MAY_WRITE | MAY_EXEC);
}

static struct dentry *flint_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct inode *inode = NULL;
	struct dentry *alias;
	struct flint_attr attr;
	struct flint_mcall c;
	unsigned long gen = flint_dir_gen(dir);
	int err;

	if (flint_held_name(dir, &dentry->d_name, &inode)) {
		flint_dentry_expire(dentry);
		alias = d_splice_alias(inode, dentry);
		/* A directory that others saw moved, while yet another is being moved. */
		return alias == ERR_PTR(-ESTALE) ? ERR_PTR(flint_restart()) : alias;
	}
	if (dentry->d_name.len <= FLINT_NAME_MAX && flint_delegate_absent(dir)) {
		flint_dentry_time(dentry, NULL, jiffies, gen);
		return d_splice_alias(NULL, dentry);
	}
	if (flint_lookup_to_make(dir, flags)) {
		flint_dentry_expire(dentry);
		return d_splice_alias(NULL, dentry);
	}
	gen = 0;
	err = flint_name_call(dir, &dentry->d_name, NULL, FLINT_OP_LOOKUP, 0, &attr, sizeof(attr),
			      &c);
	if (err && err != -ENOENT)
		return ERR_PTR(err);
	if (!err)
		inode = flint_iget(dir->i_sb, &attr, c.sent);
	if (!IS_ERR(inode)) {
		gen = flint_lease_take(&c, dir, inode, &attr);
		flint_dentry_time(dentry, inode ? &attr : NULL, c.sent, gen);
	}
	alias = d_splice_alias(inode, dentry);
	if (!IS_ERR_OR_NULL(alias))
		flint_dentry_time(alias, &attr, c.sent, gen);
	return alias;
}

/* ---- creating --------------------------------------------------------- */

/* Who will own it: a directory with S_ISGID hands its group down. */
void flint_owner(const struct inode *dir, umode_t *mode, struct flint_cred *cred)
{
	flint_cred_fill(cred);
	if (dir->i_mode & S_ISGID) {
		cred->gid = cpu_to_le32(from_kgid(&init_user_ns, dir->i_gid));
		if (S_ISDIR(*mode))
			*mode |= S_ISGID;
	}
}

static int flint_make(struct inode *dir, struct dentry *dentry, umode_t mode, dev_t dev,
		      const char *target)
{
	struct flint_mknod body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.parent = cpu_to_le64(dir->i_ino),
		.rdev_major = cpu_to_le32(MAJOR(dev)),
		.rdev_minor = cpu_to_le32(MINOR(dev)),
		.name_len = cpu_to_le32(dentry->d_name.len),
		.target_len = cpu_to_le32(target ? strlen(target) : 0),
	};
	struct flint_attr attr;
	struct flint_mcall c = {
		.op = FLINT_OP_MKNOD, .mutates = true, .umask = !S_ISLNK(mode), .inode = dir,
		.yield = FLINT_YIELD_CHANGE, .names = { dentry },
		.lease = FLINT_LEASE_READ, .dir_gen = flint_dir_gen(dir),
		.body = &body, .body_len = sizeof(body),
		.s1 = dentry->d_name.name, .s1_len = dentry->d_name.len,
		.s2 = target, .s2_len = target ? strlen(target) : 0,
		.rep = &attr, .rep_size = sizeof(attr),
	};
	struct inode *inode;
	int err;

	if (dentry->d_name.len > FLINT_NAME_MAX)
		return -ENAMETOOLONG;
	inode = flint_delegate_make(dir, dentry, mode, dev, target, 0);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	if (inode) {
		d_instantiate(dentry, inode);
		return 0;
	}
	if (S_ISDIR(mode))
		c.lease |= flint_delegate_wanted(flint_fs(dir->i_sb));
	flint_owner(dir, &mode, &body.cred);
	body.mode = cpu_to_le32(mode);
	err = flint_meta_call(flint_fs(dir->i_sb), &c);
	if (err) {
		if (c.unknown || err == -EEXIST) {
			d_drop(dentry);
			flint_delegate_incomplete(dir);
		}
		if (c.unknown)
			flint_inode_stale(dir);
		return err;
	}
	flint_inode_stale(dir);
	inode = flint_iget(dir->i_sb, &attr, c.sent);
	if (IS_ERR(inode)) {
		d_drop(dentry);
		flint_delegate_incomplete(dir);
		return PTR_ERR(inode);
	}
	flint_dentry_time(dentry, &attr, c.sent, flint_lease_take(&c, dir, inode, &attr));
	if (S_ISDIR(mode) && c.resumed) {
		/* Others may have a dentry of it already. Who needs ours looks it up. */
		d_drop(dentry);
		iput(inode);
		return 0;
	}
	if (S_ISDIR(mode))
		flint_delegate_made_dir(inode);
	d_instantiate(dentry, inode);
	return 0;
}

static int flint_create(FLINT_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
			umode_t mode, bool excl)
{
	return flint_make(dir, dentry, (mode & S_IALLUGO) | S_IFREG, 0, NULL);
}

static int flint_mkdir(FLINT_IDMAP *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	return flint_make(dir, dentry, (mode & S_IALLUGO) | S_IFDIR, 0, NULL);
}

static int flint_mknod(FLINT_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
		       umode_t mode, dev_t dev)
{
	return flint_make(dir, dentry, mode, dev, NULL);
}

static int flint_symlink(FLINT_IDMAP *idmap, struct inode *dir, struct dentry *dentry,
			 const char *target)
{
	if (strlen(target) > FLINT_PATH_MAX)
		return -ENAMETOOLONG;
	return flint_make(dir, dentry, S_IFLNK | 0777, 0, target);
}

/*
 * Programs give a file its name when it is complete, and expect it to be so after a crash: what
 * write-back owes is paid before. As far as the servers take it soon: the directories are locked.
 */
static int flint_name_pay(struct inode *inode)
{
	if (!S_ISREG(inode->i_mode))
		return 0;
	return flint_flush_range(inode, 0, LLONG_MAX, jiffies + FLINT_HOLD) == -EINTR ?
	       -EINTR : 0;
}

static int flint_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(old);
	struct flint_link body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.name_len = cpu_to_le32(dentry->d_name.len),
		.ino = cpu_to_le64(inode->i_ino),
		.parent = cpu_to_le64(dir->i_ino),
	};
	struct flint_attr attr;
	struct flint_mcall c = {
		.op = FLINT_OP_LINK, .mutates = true, .dir_gen = flint_dir_gen(dir),
		.yield = FLINT_YIELD_CHANGE, .names = { dentry },
		.body = &body, .body_len = sizeof(body),
		.s1 = dentry->d_name.name, .s1_len = dentry->d_name.len,
		.rep = &attr, .rep_size = sizeof(attr),
	};
	int err;

	if (dentry->d_name.len > FLINT_NAME_MAX)
		return -ENAMETOOLONG;
	err = flint_name_pay(inode);
	if (err)
		return err;
	flint_cred_fill(&body.cred);
	err = flint_meta_call(flint_fs(dir->i_sb), &c);
	if (!err)
		err = flint_inode_apply(inode, &attr, c.sent);
	if (err) {
		d_drop(dentry);
		flint_delegate_incomplete(dir);
		if (c.unknown) {
			flint_inode_stale(dir);
			flint_attr_unknown(inode, false);
		}
		return err;
	}
	flint_inode_stale(dir);
	ihold(inode);
	flint_dentry_time(dentry, &attr, c.sent, c.dir_gen);
	d_instantiate(dentry, inode);
	return 0;
}

/* ---- removing --------------------------------------------------------- */

static int flint_remove(struct inode *dir, struct dentry *dentry, u32 flags)
{
	struct inode *inode = d_inode(dentry);
	struct flint_unlink_rep rep;
	struct flint_mcall c;
	int err;

	if (flint_delegate_cancel(inode)) {
		flint_inode_stale(dir);
		flint_inode_set_nlink(inode, 0);
		flint_remove_end(inode);
		flint_dentry_time(dentry, NULL, jiffies, flint_dir_gen(dir));
		return 0;
	}
	err = flint_remove_begin(inode);
	if (err)
		return err;
	err = flint_name_call(dir, &dentry->d_name, dentry, FLINT_OP_UNLINK, flags, &rep,
			      sizeof(rep), &c);
	if (err) {
		flint_remove_end(inode);
		flint_dentry_expire(dentry);
		if (c.unknown) {
			flint_inode_stale(dir);
			flint_attr_unknown(inode, false);
		}
		return err;
	}
	flint_inode_stale(dir);
	if (le64_to_cpu(rep.ino) == inode->i_ino) {
		flint_inode_set_nlink(inode, flags & FLINT_NAME_DIR ? 0 : le32_to_cpu(rep.nlink));
		inode_set_ctime_to_ts(inode, ns_to_timespec64((s64)le64_to_cpu(rep.ctime)));
	} else {
		flint_inode_stale(inode);	/* another client had replaced the name */
	}
	flint_remove_end(inode);
	flint_dentry_time(dentry, NULL, c.sent, c.dir_gen);
	return 0;
}

static int flint_unlink(struct inode *dir, struct dentry *dentry)
{
	return flint_remove(dir, dentry, 0);
}

static int flint_rmdir(struct inode *dir, struct dentry *dentry)
{
	return flint_remove(dir, dentry, FLINT_NAME_DIR);
}

/* ---- renaming --------------------------------------------------------- */

static void flint_renamed(struct dentry *new, const struct flint_rename_rep *rep,
			  unsigned int flags)
{
	struct inode *victim = d_inode(new);

	if (!victim)
		return;
	if (!(flags & RENAME_EXCHANGE) && le64_to_cpu(rep->replaced) == victim->i_ino)
		flint_inode_set_nlink(victim, S_ISDIR(victim->i_mode) ? 0 :
				      le32_to_cpu(rep->replaced_nlink));
	else
		flint_inode_stale(victim);
}

static int flint_rename(FLINT_IDMAP *idmap, struct inode *old_dir, struct dentry *old,
			struct inode *new_dir, struct dentry *new, unsigned int flags)
{
	struct flint_rename body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.old_parent = cpu_to_le64(old_dir->i_ino),
		.new_parent = cpu_to_le64(new_dir->i_ino),
		.old_len = cpu_to_le32(old->d_name.len),
		.new_len = cpu_to_le32(new->d_name.len),
	};
	struct flint_rename_rep rep;
	struct flint_mcall c = {
		.op = FLINT_OP_RENAME, .mutates = true,
		.yield = FLINT_YIELD_CHANGE, .names = { old, new },
		.body = &body, .body_len = sizeof(body),
		.s1 = old->d_name.name, .s1_len = old->d_name.len,
		.s2 = new->d_name.name, .s2_len = new->d_name.len,
		.rep = &rep, .rep_size = sizeof(rep),
	};
	u32 wire = 0;
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (new->d_name.len > FLINT_NAME_MAX)
		return -ENAMETOOLONG;
	if (flags & RENAME_NOREPLACE)
		wire |= FLINT_RENAME_NOREPLACE;
	if (flags & RENAME_EXCHANGE)
		wire |= FLINT_RENAME_EXCHANGE;
	body.flags = cpu_to_le32(wire);
	flint_cred_fill(&body.cred);
	err = flint_name_pay(d_inode(old));
	if (!err)
		err = flint_remove_begin(d_inode(new));
	if (err)
		return err;
	err = flint_meta_call(flint_fs(old_dir->i_sb), &c);
	if (err) {
		flint_remove_end(d_inode(new));
		flint_dentry_expire(old);
		flint_dentry_expire(new);
		if (c.unknown) {
			flint_inode_stale(old_dir);
			flint_inode_stale(new_dir);
			flint_delegate_incomplete(old_dir);
			flint_delegate_incomplete(new_dir);
			flint_attr_unknown(d_inode(old), false);
			if (d_really_is_positive(new))
				flint_attr_unknown(d_inode(new), false);
		}
		return err;
	}
	flint_inode_stale(old_dir);
	flint_inode_stale(new_dir);
	flint_inode_stale(d_inode(old));
	flint_renamed(new, &rep, flags);
	flint_remove_end(d_inode(new));
	return 0;
}

/* ---- symbolic links --------------------------------------------------- */

static const char *flint_readlink_fetch(struct inode *inode)
{
	struct flint_ino_req body = {
		.ino = cpu_to_le64(inode->i_ino),
		.gen = cpu_to_le32(flint_i(inode)->gen),
		.max_len = cpu_to_le32(FLINT_PATH_MAX),
	};
	struct flint_mcall c = {
		.op = FLINT_OP_READLINK,
		.body = &body, .body_len = sizeof(body),
		.dir = FLINT_DIR_IN, .data_len = FLINT_PATH_MAX,
	};
	char *target = NULL;
	int err = -ENOMEM;

	c.buf = flint_buf_alloc(FLINT_PATH_MAX, GFP_KERNEL);
	if (!c.buf)
		return ERR_PTR(-ENOMEM);
	err = flint_meta_call(flint_fs(inode->i_sb), &c);
	if (err)
		goto put;
	err = -ENOMEM;
	target = kzalloc(c.got + 1, GFP_KERNEL);
	if (!target)
		goto put;
	flint_buf_read(c.buf, target, c.got);
	err = 0;
	if (!c.got || strlen(target) != c.got)
		err = -EPROTO;
put:
	flint_buf_put(c.buf);
	if (err) {
		kfree(target);
		return ERR_PTR(err);
	}
	return target;
}

/* A symlink never changes: its target is fetched once and stays in i_link. */
static const char *flint_get_link(struct dentry *dentry, struct inode *inode,
				  struct delayed_call *done)
{
	const char *target;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	target = flint_readlink_fetch(inode);
	if (IS_ERR(target))
		return target;
	if (cmpxchg_release(&inode->i_link, NULL, (char *)target)) {
		kfree(target);
		target = READ_ONCE(inode->i_link);
	}
	return target;
}

/* ---- opening by name -------------------------------------------------- */

static int flint_open_name(struct inode *dir, struct dentry *dentry, unsigned int flags,
			   umode_t mode, struct flint_open_rep *rep, struct flint_mcall *c)
{
	struct flint_open body = {
		.fixed_len = cpu_to_le32(sizeof(body)),
		.flags = cpu_to_le32(flint_open_flags(flags)),
		.ino = cpu_to_le64(dir->i_ino),
		.name_len = cpu_to_le32(dentry->d_name.len),
	};

	flint_owner(dir, &mode, &body.cred);
	body.mode = cpu_to_le32(mode & S_IALLUGO);
	*c = (struct flint_mcall){
		.op = FLINT_OP_OPEN, .mutates = true, .umask = flags & O_CREAT, .inode = dir,
		.yield = FLINT_YIELD_CHANGE, .names = { flags & O_CREAT ? dentry : NULL },
		.lease = flint_open_lease(flint_fs(dir->i_sb), flags),
		.dir_gen = flint_dir_gen(dir),
		.body = &body, .body_len = sizeof(body),
		.s1 = dentry->d_name.name, .s1_len = dentry->d_name.len,
		.rep = rep, .rep_size = sizeof(*rep),
	};
	return flint_meta_call(flint_fs(dir->i_sb), c);
}

/* Attach what OPEN named to the dentry. Return: an alias, NULL, or an error. */
static struct dentry *flint_open_splice(struct inode *dir, struct dentry *dentry,
					const struct flint_attr *attr, struct flint_mcall *c)
{
	struct inode *inode = NULL;
	struct dentry *alias;
	unsigned long gen;

	if (attr) {
		inode = flint_iget(dir->i_sb, attr, c->sent);
		if (IS_ERR(inode))
			flint_delegate_incomplete(dir);
	}
	if (!d_unhashed(dentry))
		d_drop(dentry);
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	gen = flint_lease_take(c, dir, inode, attr);
	flint_dentry_time(dentry, attr, c->sent, gen);
	alias = d_splice_alias(inode, dentry);
	if (!IS_ERR_OR_NULL(alias))
		flint_dentry_time(alias, attr, c->sent, gen);
	return alias;
}

static int flint_open_fail(struct inode *dir, struct dentry *dentry, struct file *file,
			   unsigned int flags, int err, struct flint_mcall *c)
{
	struct dentry *alias;

	if (c->unknown && (flags & O_CREAT)) {
		d_drop(dentry);
		flint_delegate_incomplete(dir);
		flint_inode_stale(dir);
	}
	if (err != -ENOENT || (flags & O_CREAT))
		return err;
	alias = flint_open_splice(dir, dentry, NULL, c);
	return IS_ERR(alias) ? PTR_ERR(alias) : finish_no_open(file, alias);
}

/* A new file without a request. Return: 0, an error, or -EAGAIN: ask the server. */
static int flint_open_delegated(struct inode *dir, struct dentry *dentry, struct file *file,
				unsigned int flags, umode_t mode)
{
	struct flint_handle *h;
	struct inode *inode;
	int err;

	if (!(flags & O_CREAT) || (flags & O_DIRECTORY) || !READ_ONCE(flint_i(dir)->delegated))
		return -EAGAIN;
	h = flint_handle_new(flint_fs(dir->i_sb), 0);
	if (!h)
		return -ENOMEM;
	inode = flint_delegate_make(dir, dentry, S_IFREG | (mode & S_IALLUGO), 0, NULL,
				    flint_open_flags(flags) & (FLINT_OPEN_READ | FLINT_OPEN_WRITE));
	if (IS_ERR_OR_NULL(inode)) {
		kfree(h);
		return inode ? PTR_ERR(inode) : -EAGAIN;
	}
	h->handle = FLINT_DIR_HANDLE(inode->i_ino);
	h->ino = inode->i_ino;
	h->promised = true;
	if (d_in_lookup(dentry))
		d_add(dentry, inode);
	else
		d_instantiate(dentry, inode);
	file->f_mode |= FMODE_CREATED;
	file->private_data = h;
	err = finish_open(file, dentry, flint_file_adopt);
	if (!err || (file->f_mode & FMODE_OPENED))
		return err;
	file->private_data = NULL;
	if (!flint_delegate_close(inode, h))
		flint_handle_close(h);
	return err;
}

static int flint_atomic_open(struct inode *dir, struct dentry *dentry, struct file *file,
			     unsigned int flags, umode_t mode)
{
	struct flint_open_rep rep;
	struct flint_handle *h;
	struct dentry *alias;
	struct flint_mcall c;
	int err;

	if (dentry->d_name.len > FLINT_NAME_MAX)
		return -ENAMETOOLONG;
	if ((flags & O_DIRECTORY) && !(flags & O_CREAT)) {
		if (!d_in_lookup(dentry))
			return finish_no_open(file, NULL);
		alias = flint_lookup(dir, dentry, 0);
		return IS_ERR(alias) ? PTR_ERR(alias) : finish_no_open(file, alias);
	}
	err = flint_open_delegated(dir, dentry, file, flags, mode);
	if (err != -EAGAIN)
		return err;
	h = flint_handle_new(flint_fs(dir->i_sb), 0);
	if (!h)
		return -ENOMEM;
	err = flint_open_name(dir, dentry, flags, mode, &rep, &c);
	if (err) {
		kfree(h);
		return flint_open_fail(dir, dentry, file, flags, err, &c);
	}
	if (rep.created)
		flint_inode_stale(dir);
	h->handle = le64_to_cpu(rep.handle);
	h->ino = le64_to_cpu(rep.attr.ino);
	if (!rep.handle) {
		kfree(h);
		h = NULL;
	}
	alias = flint_open_splice(dir, dentry, &rep.attr, &c);
	if (IS_ERR(alias)) {
		err = PTR_ERR(alias);
		goto close;
	}
	if (!h)
		return finish_no_open(file, alias);
	if (rep.created)
		file->f_mode |= FMODE_CREATED;
	file->private_data = h;
	err = finish_open(file, alias ? alias : dentry, flint_file_adopt);
	dput(alias);
	if (!err || (file->f_mode & FMODE_OPENED))
		return err;	/* ->release() gives the handle back */
	file->private_data = NULL;
close:
	if (h)
		flint_handle_close(h);
	return err;
}

const struct inode_operations flint_dir_iops = {
	.lookup		= flint_lookup,
	.atomic_open	= flint_atomic_open,
	.create		= flint_create,
	.mkdir		= flint_mkdir,
	.mknod		= flint_mknod,
	.symlink	= flint_symlink,
	.link		= flint_link,
	.unlink		= flint_unlink,
	.rmdir		= flint_rmdir,
	.rename		= flint_rename,
	.tmpfile	= flint_tmpfile,
	.permission	= flint_permission,
	.getattr	= flint_getattr,
	.setattr	= flint_setattr,
	.listxattr	= flint_listxattr,
	.get_inode_acl	= flint_get_acl,
	.set_acl	= flint_set_acl,
	.fileattr_get	= flint_fileattr_get,
	.fileattr_set	= flint_fileattr_set,
};

const struct inode_operations flint_symlink_iops = {
	.get_link	= flint_get_link,
	.getattr	= flint_getattr,
	.setattr	= flint_setattr,
	.listxattr	= flint_listxattr,
};

const struct inode_operations flint_special_iops = {
	.permission	= flint_permission,
	.getattr	= flint_getattr,
	.setattr	= flint_setattr,
	.listxattr	= flint_listxattr,
	.get_inode_acl	= flint_get_acl,
	.set_acl	= flint_set_acl,
};
