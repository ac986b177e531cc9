/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands: the only way the metadata state changes.
 *
 * A command holds everything that decides its outcome: operation, arguments
 * as they came over the wire, who asked (session and sequence), and the
 * leader's time stamp. It is encoded to bytes, which is what a replicated log
 * carries; meta_apply() is a function of the state and those bytes alone: no
 * clock, no random numbers, no addresses.
 */
#ifndef FLINT_META_COMMAND_H
#define FLINT_META_COMMAND_H

#include "access.h"
#include "trash.h"
#include "usage.h"

/* Operations beyond enum flint_op, proposed by the server itself. */
#define META_OP_TRUNC_DONE	0x8001	/* meta_ino_arg: all cuts of its intent are done */
#define META_OP_ORPHAN_DONE	0x8002	/* meta_ino_arg: all data of the orphan is gone */
#define META_OP_EXPIRE		0x8003	/* meta_ino_arg: session id whose lease ran out */
#define META_OP_TRASH_EXPIRE	0x8004	/* meta_ino_arg: epoch: inodes at most */
#define META_OP_RMTREE_STEP	0x8005	/* meta_ino_arg: ino: file system, epoch: inodes at most */
#define META_OP_SETTLE		0x8007	/* meta_settle_arg: a dead writer's data ends there */
#define META_OP_HINTS		0x8006	/* meta_hint_arg[]: buckets that sessions get leases in */

/* With an operation of a session: a struct flint_cred_tail ends the body (FLINT_F_CRED). */
#define META_OP_CRED		0x4000

#define META_COMMAND_VERSION	1
#define META_COMMAND_MAX	(sizeof(struct meta_command_hdr) + 16384 + FLINT_XATTR_VALUE_MAX)

/**
 * struct meta_command_hdr - begins an encoded command
 * @version: META_COMMAND_VERSION
 * @op: enum flint_op or META_OP_*, with META_OP_CRED
 * @body_len: bytes of the operation's wire body that follow
 * @data_len: bytes of payload after it (SETXATTR, DIR_CREATE)
 * @crc: CRC-32C of everything, with this field and @ts 0: also the digest of
 *	the arguments that tells a retry from another request
 * @ts: ns since the epoch, greater than that of every command before it
 * @sid: session, 0: none
 * @seq, @seq_low: of the request
 * @client: SESSION_OPEN: who
 */
struct meta_command_hdr {
	__le16 version;
	__le16 op;
	__le32 body_len;
	__le32 data_len;
	__le32 crc;
	__le64 ts;
	__le64 sid;
	__le64 seq;
	__le64 seq_low;
	__u8 client[16];
};
FLINT_ASSERT_SIZE(struct meta_command_hdr, 64);

struct meta_ino_arg {
	__le64 ino;
	__le32 epoch;		/* TRUNC_DONE: of the intent */
	__le32 reserved;
};
FLINT_ASSERT_SIZE(struct meta_ino_arg, 16);

struct meta_settle_arg {
	__le64 ino;
	__le64 size;
	__le32 epoch;		/* truncate epoch that was looked at */
	__le32 reserved;
};
FLINT_ASSERT_SIZE(struct meta_settle_arg, 24);

struct meta_hint_arg {
	__le64 sid;
	__u8 buckets[64];	/* added to those it has */
};
FLINT_ASSERT_SIZE(struct meta_hint_arg, 72);

/**
 * struct meta_command - a command in memory; pointers lead into bytes of others
 *
 * @op may have META_OP_CRED set, and @body_len then counts the credentials;
 * while the command is applied, neither is so any more.
 *
 * @data is the payload of SETXATTR and DIR_CREATE. Of a SESSION_OPEN it is what the server put
 * there: the token (struct flint_token and its path, verified and not expired) of
 * the connection that asks; nothing for a holder of the cluster key. So what a
 * session may do is decided by the command alone, alike on every replica.
 */
struct meta_command {
	u16 op;
	u64 ts;
	u64 sid;
	u64 seq, seq_low;
	const u8 *client;	/* 16 bytes, or NULL: zeros */
	const void *body;
	u32 body_len;
	const void *data;
	u32 data_len;
};

/**
 * struct meta_reply - what a command answers
 * @status: enum flint_status, or META_ST_PENDING / META_ST_WAIT
 * @len: bytes of @body
 * @ino: with META_ST_PENDING and META_ST_WAIT: whose intent it is about
 */
struct meta_reply {
	u32 status;
	u32 len;
	u64 ino;
	u8 body[META_REPLY_MAX];
};

/* Bytes that encoding takes. */
u32 meta_command_size(const struct meta_command *c);
/* @out: meta_command_size() bytes. */
void meta_command_encode(const struct meta_command *c, u8 *out);
/* The leader stamps just before the command is logged. */
void meta_command_stamp(u8 *encoded, u64 ts);
/* Return: 0 or -EPROTO (length, version or CRC). Pointers of @c lead into @in. */
int meta_command_decode(const u8 *in, u32 len, struct meta_command *c, u32 *digest);

/**
 * meta_command_check() - is a request's body well-formed for its operation?
 * @op: as struct meta_command's
 *
 * What fails here is a peer's bug; the connection ends. Return: 0 or -EPROTO.
 */
int meta_command_check(u16 op, const void *body, u32 len, u32 data_len);

/* Does it have to be on stable storage before it is answered? */
bool meta_command_durable(u16 op, const void *body, u32 len);

/**
 * meta_apply() - execute one command
 * @s: in a transaction
 * @in, @len: encoded command
 * @rep: result
 *
 * Return: 0 with @rep filled (refusals are statuses, not errors), or -errno
 * when the database failed: the caller must roll the transaction back.
 */
int meta_apply(struct meta_store *s, const u8 *in, u32 len, struct meta_reply *rep);

/* ---- between command.c and ops_*.c ---------------------------------------- */

/**
 * struct meta_op - a command being applied
 * @sn: session, NULL for the server's own commands
 * @c: arguments
 * @digest: of the arguments
 * @cred: who asks; see meta_cred_body()
 * @rep: to fill
 * @ino: number that the next new inode gets, 0: the next there is
 *
 * Operations return 0, a positive enum flint_status that refuses (nothing was
 * changed), or -errno of the database.
 */
struct meta_op {
	struct meta_store *s;
	struct meta_session *sn;
	const struct meta_command *c;
	u32 digest;
	struct meta_cred cred;
	struct meta_reply *rep;
	u64 ino;
};

int meta_op_session_open(struct meta_op *o);
int meta_op_session_close(struct meta_op *o);
int meta_op_expire(struct meta_op *o);
int meta_op_hints(struct meta_op *o);
int meta_op_settle(struct meta_op *o);
int meta_op_fs_create(struct meta_op *o);
int meta_op_open(struct meta_op *o);
int meta_op_close(struct meta_op *o);
int meta_op_mknod(struct meta_op *o);
int meta_op_dir_create(struct meta_op *o);
int meta_op_ino_grant(struct meta_op *o);
int meta_op_link(struct meta_op *o);
int meta_op_unlink(struct meta_op *o);
int meta_op_rename(struct meta_op *o);
int meta_op_setattr(struct meta_op *o);
int meta_op_extend(struct meta_op *o);
int meta_op_append(struct meta_op *o);
int meta_op_trunc_done(struct meta_op *o);
int meta_op_orphan_done(struct meta_op *o);
int meta_op_setxattr(struct meta_op *o);
int meta_op_removexattr(struct meta_op *o);
int meta_op_quota_set(struct meta_op *o);
int meta_op_trash_set(struct meta_op *o);
int meta_op_trash_restore(struct meta_op *o);
int meta_op_trash_empty(struct meta_op *o);
int meta_op_trash_expire(struct meta_op *o);
int meta_op_rmtree(struct meta_op *o);
int meta_op_rmtree_step(struct meta_op *o);

/* Copy a reply body. */
void meta_reply_set(struct meta_op *o, const void *body, u32 len);
void meta_reply_attr(struct meta_op *o, const struct meta_inode *i);
/* Store the answer of (sid, seq) for retries. */
int meta_reply_store(struct meta_store *s, u64 sid, u64 seq, u64 low, u64 digest,
		     const struct meta_reply *rep);

/*
 * An inode of the session's file system and tree: 0, ESTALE (removed, another generation, out
 * of bounds: the client knows it by an old name and looks that up again), or -errno.
 * @gen 0: any.
 */
int meta_op_inode(struct meta_op *o, u64 ino, u32 gen, struct meta_inode **out);
/* The same, and a directory: also ENOTDIR. */
int meta_op_dir(struct meta_op *o, u64 ino, struct meta_inode **out);
/* An existing name: checks the name, the directory and search permission. Also ENOENT. */
int meta_name_find(struct meta_op *o, u64 parent, const u8 *name, u32 len,
		   struct meta_inode **dir, struct meta_inode **out);
/* Was the session opened for the whole file system? */
bool meta_sees_all(const struct meta_op *o);
/* Something of the inode changed: ctime, and its change counter once a command. */
void meta_touch(struct meta_op *o, struct meta_inode *i);
/* An entry of the directory changed: also mtime. */
void meta_touch_dir(struct meta_op *o, struct meta_inode *dir);
/**
 * meta_new_inode() - an inode in a directory, with inherited attributes
 * @mode: type and permissions
 *
 * Return: 0, EDQUOT with nothing done, or -errno.
 */
int meta_new_inode(struct meta_op *o, struct meta_inode *dir, u32 mode, struct meta_inode **out);
/**
 * meta_mknod() - a new name with its inode
 * @b: body of a MKNOD; not checked yet
 * @name, @tail: what follows it
 *
 * Return: 0, the statuses of MKNOD with nothing done, or -errno.
 */
int meta_mknod(struct meta_op *o, const struct flint_mknod *b, const u8 *name, u32 tail,
	       struct meta_inode **out);
/*
 * An entry of @dir was removed that led to a file or to an empty directory: links, sums, and
 * the inode itself if that was all that held it. 0 or -errno.
 */
int meta_name_gone(struct meta_op *o, struct meta_inode *dir, struct meta_inode *i);
int meta_dir_gone(struct meta_op *o, struct meta_inode *dir, struct meta_inode *i);
/* Is this name the last one that leads to the inode? */
static inline bool meta_last_name(const struct meta_inode *i)
{
	return meta_is_dir(i) || i->nlink == 1;
}
/* The last handle or link may be gone: remove, or hand to the reaper. 0 or -errno. */
int meta_release_orphan(struct meta_store *s, struct meta_inode *i);
/* Data of the file change: set-id bits and capabilities go. 0 or -errno. */
int meta_drop_privs(struct meta_op *o, struct meta_inode *i);
/*
 * Data that may lie beyond the file's end is to be cut: an intent at its size, if none is under
 * way. Nobody waits for it. 0 or -errno.
 */
int meta_cut_tail(struct meta_op *o, struct meta_inode *i);
/* Close all handles of a session. @died: nobody said so, data may lie beyond files' ends. */
int meta_close_all(struct meta_op *o, struct meta_session *sn, bool died);
/**
 * meta_truncate() - begin to set a file's size
 * @handle: OPEN's, for its answer
 * Return: 0 (done at once), META_ST_PENDING, META_ST_WAIT, EFBIG, EDQUOT, or -errno.
 */
int meta_truncate(struct meta_op *o, struct meta_inode *i, u64 size, u64 handle);
/* Largest size a file may have. */
u64 meta_size_max(const struct meta_inode *i);

#endif /* FLINT_META_COMMAND_H */
