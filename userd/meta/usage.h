/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is used, by directory tree, user, group and project, and the limits on
 * it.
 *
 * Invariants, which meta_store_verify() compares with full scans:
 *  - tree_bytes, tree_files and tree_dirs of a directory are the sums over all
 *    inodes whose chain of parents leads through it; an inode without a name is
 *    in no directory's sum;
 *  - a file's parent is its home: a directory where it has a name. With several
 *    names (META_INO_LINKS) table "link" counts them by directory, and when the
 *    last one in the home goes, the home becomes the directory with the lowest
 *    number among those left;
 *  - space and inodes of users, groups and projects are the sums over all
 *    inodes there are, in the trash and unlinked ones too, until their data
 *    is gone.
 *
 * The space of a file is its length in whole 4 KiB blocks, holes included:
 * what st_blocks shows.
 */
#ifndef FLINT_META_USAGE_H
#define FLINT_META_USAGE_H

#include "store.h"

/**
 * struct meta_charge - what something adds to the directories above it
 */
struct meta_charge {
	s64 bytes, files, dirs;
};

/**
 * struct meta_quota - a row of table "quota", in the order of its columns
 */
struct meta_quota {
	u64 grace;			/* seconds */
	u64 space_soft, space_hard;
	u64 inode_soft, inode_hard;
	u64 space_since, inode_since;	/* ns, 0: not above the soft limit */
	u64 space, inodes;		/* used; of trees the inode knows it */
};

/* Bytes that an inode is charged with. */
u64 meta_inode_bytes(const struct meta_inode *i);
/* What an inode, and if it is a directory all below it, adds to its parent. */
struct meta_charge meta_charge_of(const struct meta_inode *i);

/*
 * For all of them: @stop ends the way up before it is reached, 0: the root is
 * the last. 0 or -errno; those that ask for room also EDQUOT. Nothing is changed
 * by asking.
 */
int meta_tree_room(struct meta_store *s, u64 dir, u64 stop, const struct meta_charge *c);
int meta_tree_add(struct meta_store *s, u64 dir, u64 stop, const struct meta_charge *c, int sign);
/* The lowest directory above both (either may be it); 0: none. */
int meta_tree_common(struct meta_store *s, u64 a, u64 b, u64 *common);
/* Room below @to for what comes from @from. */
int meta_move_room(struct meta_store *s, u64 from, u64 to, const struct meta_charge *c);
int meta_move_tree(struct meta_store *s, u64 from, u64 to, const struct meta_charge *c);

/* Room for an inode with these owners; @i's own charge is not part of it. */
int meta_ids_room(struct meta_store *s, const struct meta_inode *i, s64 bytes, s64 inodes);
int meta_ids_add(struct meta_store *s, const struct meta_inode *i, s64 bytes, s64 inodes);
/* The inode gets other owners: 0, EDQUOT or -errno; done unless refused. */
int meta_ids_move(struct meta_store *s, struct meta_inode *i, u32 uid, u32 gid, u32 project);

/* The command is done: notice which soft limits are passed or kept now. 0 or -errno. */
int meta_quota_settle(struct meta_store *s);

/* A file's size changes, with all sums. 0, EDQUOT or -errno. */
int meta_size_set(struct meta_store *s, struct meta_inode *i, u64 size);

/* The same, whatever limits say. 0 or -errno. */
int meta_size_settle(struct meta_store *s, struct meta_inode *i, u64 size);
/* Does any limit of space apply to the file? 1, 0 or -errno. */
int meta_size_limited(struct meta_store *s, const struct meta_inode *i);

/* A name of a file comes, in @dir; before nlink is raised. */
int meta_link_add(struct meta_store *s, struct meta_inode *i, u64 dir);
/* A name in @dir went; @left names remain. Sums and home follow. */
int meta_link_del(struct meta_store *s, struct meta_inode *i, u64 dir, u32 left);
/* A file's name moves from one directory to another. 0, EDQUOT (nothing done) or -errno. */
int meta_link_move_room(struct meta_store *s, struct meta_inode *i, u64 from, u64 to);
int meta_link_move(struct meta_store *s, struct meta_inode *i, u64 from, u64 to);

/* The inode goes for good: its charge, its rows, itself. Its tree sums are gone already. */
int meta_inode_remove(struct meta_store *s, struct meta_inode *i);

/**
 * struct meta_room - what limits leave of a file system, in one place of it
 * @bytes, @bytes_used: limit and what is used of it, for the limit that leaves least;
 *	0: none
 * @inodes, @inodes_used: likewise
 */
struct meta_room {
	u64 bytes, bytes_used;
	u64 inodes, inodes_used;
};

/* The quotas of the trees that hold an inode and of its project; not those of users. 0 or -errno. */
int meta_quota_left(struct meta_store *s, u64 ino, struct meta_room *room);

/* Limits and usage: 0, ENOENT (a tree that is no directory here), EINVAL or -errno. */
int meta_quota_read(struct meta_store *s, u32 fs, u32 kind, u64 id, struct flint_quota *out);
/* The next one that has limits or usage, after @after: 1, 0 or -errno. */
int meta_quota_next(struct meta_store *s, u32 fs, u32 kind, u64 after, struct flint_quota *out);

#endif /* FLINT_META_USAGE_H */
