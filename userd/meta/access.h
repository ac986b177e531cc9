/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may do what: credentials of a command, permission bits and ACLs, the
 * sticky bit, and the bounds of a session.
 *
 * Two things are told apart. What protects others holds for every session:
 * its file system, its subtree, read-only, mapped ids. Permissions of files are
 * checked for sessions that asked for it (FLINT_SESSION_CHECK) or whose token
 * maps ids; any other client is a kernel that has checked them itself.
 *
 * Precedence of errors is Linux': search permission of the directory (EACCES),
 * then whether the name exists (ENOENT, EEXIST), then what may be done.
 */
#ifndef FLINT_META_ACCESS_H
#define FLINT_META_ACCESS_H

#include "store.h"

struct meta_op;
struct meta_command;

#define META_READ	4u
#define META_WRITE	2u
#define META_EXEC	1u

/**
 * struct meta_cred - who asks, after mapping
 * @known: the request said who
 * @check: permissions are to be checked
 * @has_umask: the request's mode is before @umask
 */
struct meta_cred {
	u32 uid, gid;
	u32 umask;
	u32 nr_groups;
	u32 groups[FLINT_GROUPS_MAX];
	bool known, check, has_umask;
};

/* Take the credentials off the end of a command's body. 0 or -EPROTO. */
int meta_cred_tail(struct meta_op *o, struct meta_command *c);
/* What the session makes of them; before the operation. */
void meta_cred_session(struct meta_op *o);
/* Credentials of an operation's own body; a tail goes before them. */
void meta_cred_body(struct meta_op *o, const struct flint_cred *c);
/*
 * The same rules for a read, which has no command. In a session that maps ids, who does not
 * say who asks is taken for the one that is mapped. Return: 0 or -EPROTO.
 */
int meta_cred_read(const struct meta_session *sn, bool tail, const void *body, u32 *len,
		   const struct flint_cred *c, struct meta_cred *out);

bool meta_in_group(const struct meta_cred *c, u32 gid);
/* 0 or EACCES, or -errno; @want of META_*. Asks nothing whether it is to be checked. */
int meta_permission(struct meta_store *s, const struct meta_inode *i, const struct meta_cred *c,
		    u32 want);
/* The same where it is to be checked. */
int meta_access(struct meta_op *o, const struct meta_inode *i, u32 want);
/* May this entry go? 0, EACCES, EPERM, ENOTDIR or EISDIR. @dir_wanted: rmdir. */
int meta_may_delete(struct meta_op *o, const struct meta_inode *dir, const struct meta_inode *i,
		    bool dir_wanted);
/* May there be one more entry? 0, ENOENT (removed directory), EPERM or EACCES. */
int meta_may_create(struct meta_op *o, const struct meta_inode *dir);
/* Is the caller the inode's owner or root? In a session that does not check: yes. */
bool meta_is_owner(const struct meta_op *o, const struct meta_inode *i);
/* Is the caller root? In a session that does not check: yes. */
bool meta_is_root(const struct meta_op *o);

/* Has the session the file open with one of these flags? 0, EACCES or -errno. */
int meta_has_open(struct meta_op *o, u64 ino, u32 flags);
/* Has another session the file open for writing? 1, 0 or -errno. It searches if anybody has. */
int meta_others_write(struct meta_op *o, u64 ino);

/**
 * meta_bound() - does the inode lie in what the session was opened for?
 *
 * For every inode that a client names by number. An unlinked file is the
 * session's while it has it open.
 *
 * Return: 0, ESTALE, or -errno.
 */
int meta_bound(struct meta_store *s, struct meta_session *sn, const struct meta_inode *i);
/* May the session set what holds for others, too: quotas, trash settings, project ids? */
static inline bool meta_session_admin(const struct meta_session *sn)
{
	return !(sn->flags & META_SN_TOKEN) || (sn->flags & META_SN_ADMIN);
}

/* Has the session's token ended at @now (ns since the epoch)? */
static inline bool meta_session_over(const struct meta_session *sn, u64 now)
{
	return sn->expires && now >= sn->expires;
}

/* ---- POSIX ACLs (acl.c) ---------------------------------------------------- */

#define META_ACL_ACCESS		"system.posix_acl_access"
#define META_ACL_DEFAULT	"system.posix_acl_default"
#define META_ACL_MAX		1024	/* entries */

/* 0 or EACCES by the access ACL of @i, whose owner @c is not; or -errno. */
int meta_acl_permission(struct meta_store *s, const struct meta_inode *i,
			const struct meta_cred *c, u32 want);
/* Is @value a well-formed ACL? 0, EINVAL or EOPNOTSUPP (its version). */
int meta_acl_check(const u8 *value, u32 len);
/* SETXATTR of one of the two, checked; 0, EACCES or -errno. */
int meta_acl_set(struct meta_op *o, struct meta_inode *i, bool dflt, const u8 *value, u32 len);
/* REMOVEXATTR: 0, ENODATA or -errno. */
int meta_acl_remove(struct meta_op *o, struct meta_inode *i, bool dflt);
/* The mode of @i was changed by chmod: its ACL follows. 0 or -errno. */
int meta_acl_chmod(struct meta_op *o, struct meta_inode *i);
/**
 * meta_acl_inherit() - ACLs and mode of an inode just made in @dir
 *
 * With a default ACL in @dir the umask does not count: the ACL and the mode
 * asked for limit each other.
 */
int meta_acl_inherit(struct meta_op *o, const struct meta_inode *dir, struct meta_inode *i);

#endif /* FLINT_META_ACCESS_H */
