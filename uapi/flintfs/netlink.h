/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The generic netlink family "flintfs" of the kernel client: what its mounts
 * count, how long their requests take, and what happens to them.
 * Documentation/ABI/netlink-flintfs describes it; `flint client` uses it.
 *
 * Only mounts of the asker's network namespace are told of. Numbers are in the
 * machine's byte order. Attributes may be added; nothing is renumbered.
 */
#ifndef _UAPI_FLINTFS_NETLINK_H
#define _UAPI_FLINTFS_NETLINK_H

#define FLINT_NL_NAME		"flintfs"
#define FLINT_NL_VERSION	1
#define FLINT_NL_EVENTS		"events"	/* multicast group */

/* A histogram's bucket i counts times below 2^i * 1024 ns; the last one has no limit. */
#define FLINT_LAT_BUCKETS	24

enum flint_nl_cmd {
	FLINT_NL_CMD_UNSPEC,
	FLINT_NL_CMD_MOUNTS,	/* dump: one message for each mount */
	FLINT_NL_CMD_PEERS,	/* dump: one for each server of each mount */
	FLINT_NL_CMD_LATENCY,	/* dump: one for each operation of a mount or of a peer */
	FLINT_NL_CMD_EVENT,	/* multicast */
	FLINT_NL_CMD_NR
};

enum flint_nl_attr {
	FLINT_NL_A_UNSPEC,
	FLINT_NL_A_MOUNT,	/* string: the mount's directory in /sys/fs/flintfs */
	FLINT_NL_A_NAME,	/* string: of the file system */
	FLINT_NL_A_STATE,	/* string: as in sysfs, of a mount; of the connection, of a peer */
	FLINT_NL_A_META_NODE,	/* u32 */
	FLINT_NL_A_MAP_EPOCH,	/* u64 */
	FLINT_NL_A_COUNTER,	/* nested: NAME, VALUE; once for each counter */
	FLINT_NL_A_VALUE,	/* u64 */
	FLINT_NL_A_PEER,	/* string: address and port; LATENCY of a mount: absent */
	FLINT_NL_A_ROLE,	/* u8, enum flint_role */
	FLINT_NL_A_CONNS,	/* u32: connections that are up */
	FLINT_NL_A_INFLIGHT,	/* u32: requests in flight */
	FLINT_NL_A_RECONNECTS,	/* u32: connections made */
	FLINT_NL_A_RTT_US,	/* u32: of the last heartbeat */
	FLINT_NL_A_REASON,	/* string: of the last failure, or of the event */
	FLINT_NL_A_OP,		/* string: the operation */
	FLINT_NL_A_COUNT,	/* u64: requests that ended */
	FLINT_NL_A_FAILED,	/* u64: of them, without an answer */
	FLINT_NL_A_SUM_NS,	/* u64: of their times */
	FLINT_NL_A_BUCKETS,	/* u64[FLINT_LAT_BUCKETS] */
	FLINT_NL_A_EVENT,	/* string: enum flint_nl_event in words */
	FLINT_NL_A_INO,		/* u64: inode number */
	FLINT_NL_A_ERROR,	/* s32: errno */
	FLINT_NL_A_PROTO,	/* string: of a peer's connections, "rdma" or "tcp" */
	FLINT_NL_A_PAD,
	FLINT_NL_A_NR
};

enum flint_nl_event {
	FLINT_EV_PEER_UP,	/* "peer-up": PEER, ROLE */
	FLINT_EV_PEER_DOWN,	/* "peer-down": PEER, ROLE, REASON */
	FLINT_EV_SESSION_LOST,	/* "session-lost": REASON; another one is opened */
	FLINT_EV_LEASES_LOST,	/* "leases-lost": VALUE, how many, when another server leads */
	FLINT_EV_LOCK_LOST,	/* "lock-lost": INO */
	FLINT_EV_WRITE_ERROR,	/* "write-error": INO, ERROR */
	FLINT_EV_META_MOVED,	/* "meta-moved": META_NODE, the server that is asked from now on */
	FLINT_EV_ABORTED,	/* "aborted": VALUE requests, PEER if only its */
	FLINT_EV_NR
};

#endif /* _UAPI_FLINTFS_NETLINK_H */
