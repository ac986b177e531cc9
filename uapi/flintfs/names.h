/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Words for operations, the same in servers' logs and metrics and in what the
 * kernel client tells of itself.
 */
#ifndef _UAPI_FLINTFS_NAMES_H
#define _UAPI_FLINTFS_NAMES_H

#include "chain.h"
#include "lease.h"
#include "raft.h"

/* Return: the word, or NULL. */
static inline const char *flint_op_name(__u16 op)
{
	static const char * const names[0x80] = {
		[FLINT_OP_HELLO] = "hello", [FLINT_OP_AUTH] = "auth", [FLINT_OP_PING] = "ping",
		[FLINT_OP_LOG] = "log", [FLINT_OP_METRICS] = "metrics",
		[FLINT_OP_MAP_GET] = "map_get", [FLINT_OP_HEARTBEAT] = "heartbeat",
		[FLINT_OP_META_JOB] = "meta_job",
		[FLINT_OP_SESSION_OPEN] = "session_open",
		[FLINT_OP_SESSION_CLOSE] = "session_close",
		[FLINT_OP_LOOKUP] = "lookup", [FLINT_OP_GETATTR] = "getattr",
		[FLINT_OP_SETATTR] = "setattr", [FLINT_OP_OPEN] = "open",
		[FLINT_OP_CLOSE] = "close", [FLINT_OP_MKNOD] = "mknod",
		[FLINT_OP_LINK] = "link", [FLINT_OP_UNLINK] = "unlink",
		[FLINT_OP_RENAME] = "rename", [FLINT_OP_READDIR] = "readdir",
		[FLINT_OP_READLINK] = "readlink", [FLINT_OP_STATFS] = "statfs",
		[FLINT_OP_GETXATTR] = "getxattr", [FLINT_OP_SETXATTR] = "setxattr",
		[FLINT_OP_LISTXATTR] = "listxattr", [FLINT_OP_REMOVEXATTR] = "removexattr",
		[FLINT_OP_EXTEND] = "extend", [FLINT_OP_APPEND] = "append",
		[FLINT_OP_FS_CREATE] = "fs_create", [FLINT_OP_DIRSTAT] = "dirstat",
		[FLINT_OP_QUOTA_GET] = "quota_get", [FLINT_OP_QUOTA_SET] = "quota_set",
		[FLINT_OP_QUOTA_LIST] = "quota_list", [FLINT_OP_TRASH_SET] = "trash_set",
		[FLINT_OP_TRASH_LIST] = "trash_list", [FLINT_OP_TRASH_RESTORE] = "trash_restore",
		[FLINT_OP_TRASH_EMPTY] = "trash_empty", [FLINT_OP_RMTREE] = "rmtree",
		[FLINT_OP_RMTREE_STAT] = "rmtree_stat",
		[FLINT_OP_LEASE_RECALL] = "lease_recall", [FLINT_OP_LOCK_EVENT] = "lock_event",
		[FLINT_OP_LEASE_RETURN] = "lease_return", [FLINT_OP_LOCK] = "lock",
		[FLINT_OP_SESSION_RENEW] = "session_renew",
		[FLINT_OP_SESSION_RECLAIM] = "session_reclaim",
		[FLINT_OP_LOCK_TEST] = "lock_test", [FLINT_OP_LOCK_CANCEL] = "lock_cancel",
		[FLINT_OP_DIR_CREATE] = "dir_create", [FLINT_OP_INO_GRANT] = "ino_grant",
		[FLINT_OP_RAFT_MSG] = "raft_msg", [FLINT_OP_RAFT_SNAP] = "raft_snap",
		[FLINT_OP_RAFT_STATUS] = "raft_status", [FLINT_OP_RAFT_CHANGE] = "raft_change",
		[FLINT_OP_RAFT_JOIN] = "raft_join",
		[FLINT_OP_READ] = "read", [FLINT_OP_WRITE] = "write", [FLINT_OP_PUNCH] = "punch",
		[FLINT_OP_CUT] = "cut", [FLINT_OP_TARGET_STAT] = "target_stat",
		[FLINT_OP_CLONE] = "clone", [FLINT_OP_EXTENTS] = "extents",
		[FLINT_OP_TARGET_CTL] = "target_ctl",
		[FLINT_OP_FORWARD] = "forward", [FLINT_OP_FORWARD_CUT] = "forward_cut",
		[FLINT_OP_SYNC] = "sync", [FLINT_OP_CHUNK_GET] = "chunk_get",
		[FLINT_OP_FENCE] = "fence", [FLINT_OP_INO_STAT] = "ino_stat", [FLINT_OP_SCRUB] = "scrub",
		[FLINT_OP_PERMIT_GET] = "permit_get", [FLINT_OP_PERMIT] = "permit",
	};

	return op < 0x80 ? names[op] : NULL;
}

#endif /* _UAPI_FLINTFS_NAMES_H */
