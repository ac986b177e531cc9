/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Leases, sessions and locks on the wire: operations 0x40 to 0x4f and what
 * replies carry at their end. Documentation/leases.rst has the rules state by
 * state; this file has the layouts and the checks that both sides share.
 *
 * A session takes part when it was opened with FLINT_SESSION_LEASES. Then a
 * request whose header says so (flint_hdr.lease: kinds that are wanted) may be
 * answered with grants, and every connection that negotiated FLINT_FEAT_LEASE
 * may receive pushes. All other sessions see none of this; they are protected
 * from the holders of leases like everybody else.
 *
 * Order. The metadata server numbers what it does to a session's leases: each
 * grant takes the session's next number, and a recall names the last number
 * that it is about: "give up these kinds on this inode, granted with a number
 * up to n". A grant may arrive after the recall that ends it; the numbers tell.
 * A return says the same in the other direction, so that a late return never
 * ends a newer grant.
 */
#ifndef _UAPI_FLINTFS_LEASE_H
#define _UAPI_FLINTFS_LEASE_H

#include "wire.h"

/*
 * Kinds of leases, as bits. What may be held at the same time by two sessions:
 *
 *	           read  dir  write  dir-write
 *	read       yes   yes  no     no
 *	dir        yes   yes  -      no
 *	write      no    -    no     -
 *	dir-write  no    no   -      no
 */
#define FLINT_LEASE_READ	0x01	/* attributes, xattrs and data of an inode may be cached */
#define FLINT_LEASE_DIR		0x02	/* entries and absent names of a directory may be cached */
#define FLINT_LEASE_WRITE	0x04	/* sole writer: the holder keeps size and mtime */
#define FLINT_LEASE_DIR_WRITE	0x08	/* delegated creates in a directory */
#define FLINT_LEASE_KINDS	0x0f

/**
 * struct flint_lease_grant - a grant at the end of a reply's body
 *
 * A reply whose header has lease n > 0 ends with n of these. With READDIR and
 * FLINT_READDIR_PLUS, the last one may have ino 0: its kinds are granted, with
 * its number, on every inode whose record has FLINT_DIRENT_LEASE set.
 */
struct flint_lease_grant {
	__le64 ino;
	__le64 seq;			/* number of the grant in its session, from 1 */
	__le32 kinds;			/* FLINT_LEASE_*; all kinds held from now on */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_lease_grant, 24);

#define FLINT_LEASE_GRANTS_MAX	8	/* in one reply */

/*
 * In a reply's flint_hdr.lease, beside the number of grants: this answer does
 * not renew the session's trust, as a recall has been open for a quarter of the
 * session lease. It is executed and final like any other.
 */
#define FLINT_LEASE_NO_RENEWAL	0x80

/* struct flint_dirent.has_attr is a bit set. */
#define FLINT_DIRENT_ATTR	0x1
#define FLINT_DIRENT_LEASE	0x2

enum flint_lease_op {
	/* pushed by the metadata server: FLINT_F_PUSH, not answered */
	FLINT_OP_LEASE_RECALL	= 0x40,	/* flint_lease_list + flint_lease_rec[] */
	FLINT_OP_LOCK_EVENT	= 0x41,	/* flint_lock_event */

	/* requests; "m": has a sequence of the session, executed once */
	FLINT_OP_LEASE_RETURN	= 0x42,	/* flint_lease_list + flint_lease_rec[] -> - */
	FLINT_OP_SESSION_RENEW	= 0x43,	/* flint_session_renew -> flint_session_renewed */
	FLINT_OP_SESSION_RECLAIM = 0x44, /* flint_reclaim + recs -> flint_reclaimed + recs */
	FLINT_OP_LOCK		= 0x45,	/* m flint_lock -> flint_lock_rep */
	FLINT_OP_LOCK_TEST	= 0x46,	/* flint_lock -> flint_lock_rep */
	FLINT_OP_LOCK_CANCEL	= 0x47,	/* m flint_lock -> flint_lock_rep */
	FLINT_OP_DIR_CREATE	= 0x48,	/* m flint_dir_create, data: flint_dir_rec[] -> _created */
	FLINT_OP_INO_GRANT	= 0x49,	/* m flint_ino_grant -> flint_ino_granted */
};

/* A status of its own: this leader has not heard yet what the session holds. */
#define FLINT_ST_RECLAIM	1013	/* SESSION_RECLAIM first, then repeat the request */

/**
 * struct flint_lease_rec - recall, return or reclaim of leases on one inode
 * @ino: inode
 * @seq: recall, return: grants with a number up to this. Reclaim: the number
 *	the old leader gave; its answer: the new number
 * @kinds: FLINT_LEASE_*. Recall: to give up. Return: no longer held.
 *	Reclaim: held; its answer: held again (0: lost)
 * @flags: FLINT_LEASE_R_*
 */
struct flint_lease_rec {
	__le64 ino;
	__le64 seq;
	__le32 kinds;
	__le32 flags;
};

FLINT_ASSERT_SIZE(struct flint_lease_rec, 24);

/**
 * struct flint_lease_list - begins a recall (push) and a return (request)
 * @fixed_len: of this structure
 * @nr: records that follow, at most FLINT_LEASE_RECS_MAX
 * @push: recall: number of the push on this connection, from 1. Return: the
 *	newest push this client has taken on this connection: its buffer is
 *	free again. A return with nr 0 only says that
 * @epoch: the leader's (flint_session_renewed); a return for another one is
 *	ignored, a recall of another one must be
 */
struct flint_lease_list {
	__le32 fixed_len;
	__le32 nr;
	__le64 push;
	__le64 epoch;
};

FLINT_ASSERT_SIZE(struct flint_lease_list, 24);

#define FLINT_LEASE_RECS_MAX	16	/* fits FLINT_CTRL_SIZE with header and list */
#define FLINT_PUSH_WINDOW	8	/* pushes on a connection that were not taken yet */

/**
 * struct flint_session_renew - the session is alive
 *
 * Any answered request renews a session; this one is for when there is none,
 * and the first request on every new connection, since its answer tells
 * whether another leader than before is there.
 */
struct flint_session_renew {
	__le64 epoch;			/* leader's as the client knows it, 0: none yet */
};

FLINT_ASSERT_SIZE(struct flint_session_renew, 8);

struct flint_session_renewed {
	__le64 epoch;			/* of the leadership that answers */
	__le32 lease_ms;		/* session lease */
	__le32 flags;			/* FLINT_RENEWED_* */
	__le64 seq;			/* last number given to this session */
};

FLINT_ASSERT_SIZE(struct flint_session_renewed, 24);

#define FLINT_RENEWED_RECLAIM	0x1	/* SESSION_RECLAIM is expected before anything else */
#define FLINT_RENEWED_GRACE	0x2	/* others still reclaim: changes may wait */

/**
 * struct flint_lock - a byte range of a file and who wants it
 * @ino: file
 * @owner: POSIX: the process (files_struct), OFD and flock: the open file; any
 *	number that the client does not use for two of them at once
 * @start, @end: first and last byte; @end U64_MAX: to the end of the file.
 *	flock: 0 and U64_MAX
 * @pid: for LOCK_TEST's answer elsewhere
 * @kind: enum flint_lock_kind
 * @type: enum flint_lock_type
 * @flags: FLINT_LOCK_*
 * @id: with FLINT_LOCK_WAIT: names this wait in LOCK_EVENT and LOCK_CANCEL;
 *	not used for two waits of the session at once
 */
struct flint_lock {
	__le64 ino;
	__le64 owner;
	__le64 start;
	__le64 end;
	__le32 pid;
	__u8 kind;
	__u8 type;
	__le16 flags;
	__le64 id;
};

FLINT_ASSERT_SIZE(struct flint_lock, 48);

enum flint_lock_kind {
	FLINT_LOCK_POSIX	= 1,	/* fcntl F_SETLK */
	FLINT_LOCK_OFD		= 2,	/* fcntl F_OFD_SETLK; conflicts with POSIX ones */
	FLINT_LOCK_FLOCK	= 3,	/* flock; a space of its own */
};

enum flint_lock_type {
	FLINT_LOCK_UN		= 0,
	FLINT_LOCK_RD		= 1,	/* shared */
	FLINT_LOCK_WR		= 2,	/* exclusive */
};

#define FLINT_LOCK_WAIT		0x1	/* queue when it conflicts */
#define FLINT_LOCK_OWNER	0x2	/* UN: all of the owner's locks and waits on the inode */

/* struct flint_lock_rep.state and struct flint_lock_event.state */
enum flint_lock_state {
	FLINT_LOCK_DONE		= 0,	/* granted, released, cancelled */
	FLINT_LOCK_QUEUED	= 1,	/* LOCK_EVENT follows */
	FLINT_LOCK_HELD		= 2,	/* LOCK_TEST: by whom follows */
	FLINT_LOCK_DEADLOCK	= 3,	/* event: the wait ended with EDEADLK */
	FLINT_LOCK_LOST		= 4,	/* event: the wait ended otherwise: ask again */
};

/* LOCK that conflicts and may not wait: status EAGAIN. */
struct flint_lock_rep {
	__le32 state;
	__le32 pid;			/* LOCK_TEST, HELD: of the holder */
	__le64 start;
	__le64 end;
	__u8 type;
	__u8 kind;
	__u8 own_session;		/* the holder is of the asking session */
	__u8 reserved0;
	__le32 reserved1;
};

FLINT_ASSERT_SIZE(struct flint_lock_rep, 32);

struct flint_lock_event {
	__le64 push;			/* as in flint_lease_list */
	__le64 id;			/* of the wait */
	__le64 ino;
	__le32 state;			/* DONE, DEADLOCK, LOST */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_lock_event, 32);

/**
 * struct flint_reclaim - what the session held under another leader
 *
 * nr_leases flint_lease_rec, then nr_locks flint_lock. Any number of requests;
 * the last one has FLINT_RECLAIM_DONE. The answer repeats the lease records
 * with their new numbers, and gives one status byte (0 or an errno) for each lock.
 */
struct flint_reclaim {
	__le32 fixed_len;
	__le32 flags;			/* FLINT_RECLAIM_* */
	__le64 epoch;			/* of the leadership that was told by RENEW */
	__le64 old_epoch;		/* of the one that granted what follows */
	__le32 nr_leases;
	__le32 nr_locks;
};

FLINT_ASSERT_SIZE(struct flint_reclaim, 32);

#define FLINT_RECLAIM_DONE	0x1
#define FLINT_RECLAIM_LOCKS_MAX	7	/* with no lease in the same request */

struct flint_reclaimed {
	__le32 fixed_len;
	__le32 nr_leases;
	__le32 nr_locks;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_reclaimed, 16);

/* ---- delegated creates ------------------------------------------------------ */

/**
 * struct flint_ino_grant - inode numbers for what the session will create itself
 * @nr: wanted, 1..FLINT_INO_GRANT_MAX
 *
 * They are used in rising order. A new grant takes the place of the one before: what
 * was made with its numbers is told first.
 */
struct flint_ino_grant {
	__le32 nr;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_ino_grant, 8);

#define FLINT_INO_GRANT_MAX	4096

/* The numbers from @first up to, but without, @end; never given to anybody else. */
struct flint_ino_granted {
	__le64 first;
	__le64 end;
};

FLINT_ASSERT_SIZE(struct flint_ino_granted, 16);

/**
 * struct flint_dir_create - creates made under dir-write leases
 *
 * The payload has @nr records, in the order in which they were made. Each of them
 * is in a directory that the session holds dir-write on, or in one that a record
 * before it made. They are executed in this order up to the first that is refused.
 */
struct flint_dir_create {
	__le32 nr;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_dir_create, 8);

#define FLINT_DIR_BATCH_MAX	65536	/* bytes of records in a request */

/**
 * struct flint_dir_rec - one delegated create; name and target follow
 * @rec_len: of the whole record, a multiple of 8
 * @name_len: bytes of name
 * @target_len: symlinks: bytes of target behind the name
 * @flags: FLINT_OPEN_READ, FLINT_OPEN_WRITE: it is open here; the server keeps
 *	FLINT_DIR_HANDLE(ino) for it
 * @mode: type and permission bits, after umask
 * @ino: of the session's granted numbers, greater than that of the record before
 * @time: when it was made, ns since the epoch: its times, but no later than the
 *	command's own
 */
struct flint_dir_rec {
	__le16 rec_len;
	__le16 name_len;
	__le16 target_len;
	__le16 flags;
	__le32 mode;
	__le32 reserved;
	__le64 ino;
	__le64 parent;
	__le64 time;
	__le32 rdev_major;
	__le32 rdev_minor;
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_dir_rec, 56);

/* Name of the handle of a file that was open when it was told: above those that OPEN gives. */
#define FLINT_DIR_HANDLE(ino)	((1ull << 62) | (ino))

/**
 * struct flint_dir_created - what became of them
 * @nr: records that were executed
 * @status: of the one behind them, when there is one
 * @flags: FLINT_DIR_CREATED_*
 * @leased: of the executed ones the first so many are leased read, directories not
 *	counted, under the number of the grant with ino 0 that comes along; and write,
 *	where the record says that it is open for writing and the grant has that kind
 * @time: of the command: no time stamp of a record is later
 */
struct flint_dir_created {
	__le32 nr;
	__le32 status;
	__le32 leased;
	__le32 flags;
	__le64 time;
};

FLINT_ASSERT_SIZE(struct flint_dir_created, 24);

/* Each directory that was made is leased read, dir and dir-write under that number. */
#define FLINT_DIR_CREATED_DIRS	0x1

/* ---- chunk servers ----------------------------------------------------- */

enum flint_fence_op {
	FLINT_OP_FENCE		= 0x66,	/* flint_fence -> - ; metadata servers and managers only */
};

/**
 * struct flint_fence - data requests of this client are refused from now on
 *
 * Answered once no request of the client that arrived before can still change
 * anything. Refusals have FLINT_ST_FENCED.
 */
struct flint_fence {
	__u8 client_id[16];
	__le64 session_epoch;		/* and older ones of the client */
	__le32 fs;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_fence, 32);

/* ---- checks ---------------------------------------------------------------- */

/**
 * flint_lease_trailer() - the grants at the end of a reply's body
 * @body: of a reply
 * @body_len: in: bytes received; out: bytes before the grants
 * @nr: flint_hdr.lease of the reply
 *
 * Return: the first of @nr grants (unaligned: copy each out), or NULL with
 * @body_len unchanged when the body is too short: end the connection.
 */
static inline const u8 *flint_lease_trailer(const u8 *body, u32 *body_len, u32 nr)
{
	u32 len = nr * (u32)sizeof(struct flint_lease_grant);

	if (nr > FLINT_LEASE_GRANTS_MAX || len > *body_len)
		return NULL;
	*body_len -= len;
	return body + *body_len;
}

/**
 * flint_lease_list_get() - check a recall or a return
 * @body: received
 * @len: bytes
 * @list: result
 * @recs: result: the first of list->nr records (unaligned: copy each out)
 *
 * Return: 0 or -EPROTO.
 */
static inline int flint_lease_list_get(const u8 *body, u32 len, struct flint_lease_list *list,
				       const u8 **recs)
{
	__le32 word;
	u32 fixed;

	if (len < sizeof(*list))
		return -EPROTO;
	memcpy(&word, body, sizeof(word));
	fixed = le32_to_cpu(word);
	if (fixed < sizeof(*list) || fixed > len)
		return -EPROTO;
	memcpy(list, body, sizeof(*list));
	if (le32_to_cpu(list->nr) > FLINT_LEASE_RECS_MAX ||
	    len - fixed < le32_to_cpu(list->nr) * (u32)sizeof(struct flint_lease_rec))
		return -EPROTO;
	*recs = body + fixed;
	return 0;
}

/* Bytes of a create's record. */
static inline u32 flint_dir_rec_len(u32 name_len, u32 target_len)
{
	return ((u32)sizeof(struct flint_dir_rec) + name_len + target_len + 7) & ~7u;
}

/**
 * flint_dir_rec_next() - step through the records of DIR_CREATE
 * @buf: payload
 * @len: bytes of it
 * @pos: in: offset of the record; out: offset of the next one
 * @r: result: the fixed part
 * @name: result: r->name_len bytes, then r->target_len bytes
 *
 * Return: 1 with a record, 0 at the end, -EPROTO when the payload is malformed.
 */
static inline int flint_dir_rec_next(const u8 *buf, u32 len, u32 *pos, struct flint_dir_rec *r,
				     const u8 **name)
{
	u32 at = *pos, rec;

	if (at == len)
		return 0;
	if (at > len || len - at < sizeof(*r))
		return -EPROTO;
	memcpy(r, buf + at, sizeof(*r));
	rec = le16_to_cpu(r->rec_len);
	if (rec != flint_dir_rec_len(le16_to_cpu(r->name_len), le16_to_cpu(r->target_len)) ||
	    rec > len - at)
		return -EPROTO;
	*name = buf + at + sizeof(*r);
	*pos = at + rec;
	return 1;
}

/* Is a record's content possible at all? */
static inline bool flint_lease_rec_ok(const struct flint_lease_rec *r)
{
	u32 kinds = le32_to_cpu(r->kinds);

	return r->ino && kinds && !(kinds & ~(u32)FLINT_LEASE_KINDS);
}

/* Is a lock's content possible? LOCK_TEST has no type UN. */
static inline bool flint_lock_ok(const struct flint_lock *l)
{
	return l->ino && l->kind >= FLINT_LOCK_POSIX && l->kind <= FLINT_LOCK_FLOCK &&
	       l->type <= FLINT_LOCK_WR && le64_to_cpu(l->start) <= le64_to_cpu(l->end) &&
	       !(le16_to_cpu(l->flags) & ~(FLINT_LOCK_WAIT | FLINT_LOCK_OWNER));
}

#endif /* _UAPI_FLINTFS_LEASE_H */
