// SPDX-License-Identifier: GPL-2.0-only
/*
 * File handles, for name_to_handle_at(2) and knfsd.
 *
 * A handle is an inode's number and generation, and its directory's if that is
 * wanted. The metadata servers never use a pair again and answer for it whoever
 * leads, so a handle is good after a new mount, on other machines and when the
 * servers were replaced. A mount of a subtree is told of what lies outside of it
 * as of something removed.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/exportfs.h>
#include "flint.h"

#define FLINT_FH_INODE		0x81	/* FILEID_INO64_GEN */
#define FLINT_FH_PARENT		0x82	/* FILEID_INO64_GEN_PARENT */
#define FLINT_FH_WORDS		3	/* number, twice 32 bits, and generation */

static void flint_fh_put(u32 *fh, const struct inode *inode)
{
	u64 ino = inode->i_ino;

	fh[0] = ino >> 32;
	fh[1] = ino;
	fh[2] = flint_i(inode)->gen;
}

static int flint_encode_fh(struct inode *inode, u32 *fh, int *max_len, struct inode *parent)
{
	int want = parent ? 2 * FLINT_FH_WORDS : FLINT_FH_WORDS;

	if (*max_len < want) {
		*max_len = want;
		return FILEID_INVALID;
	}
	*max_len = want;
	flint_fh_put(fh, inode);
	if (!parent)
		return FLINT_FH_INODE;
	flint_fh_put(fh + FLINT_FH_WORDS, parent);
	return FLINT_FH_PARENT;
}

static int flint_fh_match(struct inode *inode, void *data)
{
	return inode->i_ino == *(const u64 *)data;
}

/* Has it no name any more, and no opener here? What write-back owes may still hold it. */
static bool flint_fh_removed(struct inode *inode)
{
	return !inode->i_nlink &&
	       atomic_read(&inode->i_count) <= 1 + READ_ONCE(flint_i(inode)->owes);
}

/*
 * The inode with this number. @gen 0: of any generation. -ESTALE: there is none, or it has
 * no name any more and nobody here has it open.
 */
static struct inode *flint_iget_number(struct super_block *sb, u64 ino, u32 gen)
{
	struct flint_ino_req body = { .ino = cpu_to_le64(ino), .gen = cpu_to_le32(gen) };
	struct flint_attr attr;
	struct flint_mcall c = {
		.op = FLINT_OP_GETATTR, .lease = FLINT_LEASE_READ,
		.body = &body, .body_len = sizeof(body),
		.rep = &attr, .rep_size = sizeof(attr),
	};
	struct inode *inode;
	int err;

	if (!ino)
		return ERR_PTR(-ESTALE);
	inode = ilookup5(sb, ino, flint_fh_match, &ino);
	if (inode && (!gen || flint_i(inode)->gen == gen) && flint_attr_good(inode))
		goto found;
	iput(inode);
	err = flint_meta_call(flint_fs(sb), &c);
	if (err)
		return ERR_PTR(err == -ENOENT ? -ESTALE : err);
	if (le64_to_cpu(attr.ino) != ino || (gen && le32_to_cpu(attr.gen) != gen))
		return ERR_PTR(-ESTALE);
	inode = flint_iget(sb, &attr, c.sent);
	if (IS_ERR(inode))
		return inode;
	flint_lease_take(&c, NULL, inode, &attr);
found:
	if (!flint_fh_removed(inode))
		return inode;
	iput(inode);
	return ERR_PTR(-ESTALE);
}

static struct dentry *flint_fh_get(struct super_block *sb, const u32 *fh)
{
	struct inode *inode = flint_iget_number(sb, (u64)fh[0] << 32 | fh[1], fh[2]);

	if (!IS_ERR(inode) && !inode->i_nlink && S_ISDIR(inode->i_mode)) {
		iput(inode);
		return ERR_PTR(-ESTALE);
	}
	return d_obtain_alias(inode);
}

static struct dentry *flint_fh_to_dentry(struct super_block *sb, struct fid *fid, int len,
					 int type)
{
	if ((type != FLINT_FH_INODE && type != FLINT_FH_PARENT) || len < FLINT_FH_WORDS)
		return NULL;
	return flint_fh_get(sb, fid->raw);
}

static struct dentry *flint_fh_to_parent(struct super_block *sb, struct fid *fid, int len,
					 int type)
{
	if (type != FLINT_FH_PARENT || len < 2 * FLINT_FH_WORDS)
		return NULL;
	return flint_fh_get(sb, fid->raw + FLINT_FH_WORDS);
}

static struct dentry *flint_get_parent(struct dentry *child)
{
	struct inode *inode = d_inode(child);
	int err = flint_inode_revalidate(inode);

	if (err)
		return ERR_PTR(err);
	if (inode->i_ino == flint_fs(child->d_sb)->root_ino)
		return ERR_PTR(-ESTALE);	/* what lies above is not ours */
	return d_obtain_alias(flint_iget_number(child->d_sb, READ_ONCE(flint_i(inode)->parent), 0));
}

/**
 * flint_change_cookie() - the change counter, with what this mount keeps counted
 * @inode: any, locked or not
 *
 * What is owed counts when it is told: so it is told now.
 *
 * Context: process; waits for the servers, for as long as the mount options say.
 */
u64 flint_change_cookie(struct inode *inode)
{
	if (S_ISREG(inode->i_mode) && READ_ONCE(flint_i(inode)->owes)) {
		flint_flush_range(inode, 0, LLONG_MAX, 0);
		flint_inode_touch(inode, 0);
	}
	return READ_ONCE(flint_i(inode)->change);
}

#ifndef STATX_CHANGE_COOKIE
/* Before Linux 6.3 knfsd asks here, right after it asked for the attributes. */
static u64 flint_fetch_iversion(struct inode *inode)
{
	return flint_change_cookie(inode);
}
#endif

/* What knfsd answers was done: it is durable, as each change is that asks the server. */
static int flint_commit_metadata(struct inode *inode)
{
	int err = flint_delegate_settle(inode, 0);

	return err || !READ_ONCE(flint_i(inode)->attr_owed) ? err :
	       flint_flush_range(inode, 0, LLONG_MAX, 0);
}

const struct export_operations flint_export_ops = {
	.encode_fh	= flint_encode_fh,
	.fh_to_dentry	= flint_fh_to_dentry,
	.fh_to_parent	= flint_fh_to_parent,
	.get_parent	= flint_get_parent,
#ifndef STATX_CHANGE_COOKIE
	.fetch_iversion	= flint_fetch_iversion,
#endif
	.commit_metadata = flint_commit_metadata,
	.flags		= EXPORT_OP_NOWCC | EXPORT_OP_REMOTE_FS | EXPORT_OP_NOATOMIC_ATTR,
};
