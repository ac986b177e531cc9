/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The FlintFS wire protocol: one request/response protocol for every
 * conversation (client to server, server to server, daemon to manager), the
 * same on verbs and on TCP. Documentation/protocol.rst explains it; this file
 * defines it.
 *
 * A message is
 *
 *	header (64 bytes)
 *	nr_desc descriptors (16 bytes each)
 *	body_len bytes of body: the operation's structure, then its strings
 *	data_len bytes of payload, when FLINT_F_INLINE is set
 *
 * data_len counts the payload that a message carries or accompanies:
 *  - verbs, FLINT_F_INLINE set: the payload stands in the message itself;
 *  - verbs, flag clear: the server moves it. A request's payload is read
 *    from the requester's descriptors (RDMA READ), a reply's payload has been
 *    written into them (RDMA WRITE) before the reply was sent;
 *  - TCP: FLINT_F_INLINE is always set when data_len > 0; the payload follows
 *    the body in the stream, up to the negotiated max_io. A request may still
 *    carry no descriptor at all: the room for a reply's payload is what the
 *    operation's body asks for.
 *
 * Rules
 *  - All integers are little-endian. Reserved fields are sent as zero and
 *    ignored by the receiver.
 *  - Bodies grow at the end only. A receiver accepts a longer body than it
 *    knows and zero-fills a shorter one down to the operation's minimum
 *    (codec.h: flint_body_get()). A body with strings names the length of its
 *    fixed part in fixed_len, so that it can grow as well.
 *  - The first message on a connection is the client's HELLO, the second its
 *    AUTH; anything else first ends the connection.
 *  - A request is answered exactly once, with the same op and tag and
 *    FLINT_F_REPLY set. Replies may come in any order.
 *  - Every reply carries the number of requests the requester may have in
 *    flight (credits, at least 1). HEARTBEAT-class requests (PING, CANCEL)
 *    use one reserved slot beyond them.
 *  - Anything malformed ends the connection; nothing malformed is answered.
 *  - For every major version, past and to come: the header, HELLO's number and
 *    the first two bytes of its body (major, minor) stay as they are here. A
 *    server that does not know the sender's version answers its HELLO in a
 *    header of that version, with FLINT_ST_VERSION and struct flint_version.
 */
#ifndef _UAPI_FLINTFS_WIRE_H
#define _UAPI_FLINTFS_WIRE_H

#include "types.h"

#define FLINT_MAGIC		0x544e4c46u	/* "FLNT" as bytes on the wire */
#define FLINT_PROTO_MAJOR	1
#define FLINT_PROTO_MINOR	0

#define FLINT_NAME_MAX		255		/* bytes of one path component */
#define FLINT_PATH_MAX		4095		/* symlink target, subtree path */
#define FLINT_XATTR_VALUE_MAX	65536
#define FLINT_LABEL_LEN		64		/* names of clusters, nodes, file systems */

#define FLINT_CTRL_SIZE		512		/* control part of a message buffer */
#define FLINT_INLINE_DEFAULT	4096		/* payload beyond the control part */
#define FLINT_INLINE_MAX	65536
#define FLINT_INLINE_MGR	8192		/* managers and daemons: heartbeats of 64 targets */
#define FLINT_MAX_IO		(1u << 20)	/* payload of one request, default */
#define FLINT_MAX_DESC		4
#define FLINT_MAX_CREDITS	1024

/* Default ports. A node's real ports stand in the cluster map. */
#define FLINT_PORT_MGR_HTTP	7440
#define FLINT_PORT_MGR_TCP	7441
#define FLINT_PORT_MGR_RDMA	7442
#define FLINT_PORT_META_TCP	7451
#define FLINT_PORT_META_RDMA	7452
#define FLINT_PORT_META_METRICS	7453	/* HTTP */
#define FLINT_PORT_CHUNK_TCP	7461
#define FLINT_PORT_CHUNK_RDMA	7462
#define FLINT_PORT_CHUNK_METRICS 7463	/* HTTP */

/* struct flint_hdr.flags */
#define FLINT_F_REPLY		0x01	/* this message answers a request */
#define FLINT_F_INLINE		0x02	/* data_len bytes follow the body */
#define FLINT_F_RETRY		0x04	/* sent before; the same seq was used */
#define FLINT_F_PUSH		0x08	/* server to client, not answered; FLINT_FEAT_LEASE only */
#define FLINT_F_CRED		0x10	/* request: a struct flint_cred_tail ends the body */
#define FLINT_F_KNOWN		0x1f

/**
 * struct flint_hdr - begins every message
 * @magic: FLINT_MAGIC
 * @version: FLINT_PROTO_MAJOR
 * @flags: FLINT_F_*
 * @op: enum flint_op
 * @tag: chosen by the requester: index in the low 16 bits, generation of that
 *	index in the high 16; a reply repeats it
 * @status: reply: enum flint_status; request: 0
 * @timeout_ms: request: what remains of its deadline when it is sent, at least
 *	1; a server may drop what nobody waits for. Reply: 0
 * @credits: reply: requests that may be in flight, 1..FLINT_MAX_CREDITS;
 *	request: 0
 * @nr_desc: descriptors that follow, 0..FLINT_MAX_DESC; 0 in replies
 * @lease: request: kinds of leases wanted with the answer; reply: grants at the
 *	end of its body (lease.h)
 * @body_len: bytes of body
 * @data_len: bytes of payload, see above
 * @trace: number under which everything done for this request is logged, here
 *	and by the servers that it is passed on to; 0: none
 * @map_epoch: newest cluster map epoch the sender knows, 0 if none
 * @seq: mutating request: its sequence in (client id, session epoch), from 1;
 *	the same for every retry; 0 for all other requests and in replies
 * @seq_low: mutating request: the client's lowest unfinished sequence; replies
 *	below it may be forgotten, requests below it are refused
 */
struct flint_hdr {
	__le32 magic;
	__u8 version;
	__u8 flags;
	__le16 op;
	__le32 tag;
	__le32 status;
	__le32 timeout_ms;
	__le16 credits;
	__u8 nr_desc;
	__u8 lease;
	__le32 body_len;
	__le32 data_len;
	__le64 trace;
	__le64 map_epoch;
	__le64 seq;
	__le64 seq_low;
};

FLINT_ASSERT_SIZE(struct flint_hdr, 64);

/**
 * struct flint_desc - memory of the requester that the server may move data
 *	to (reads) or from (writes) while the request is open
 * @addr: I/O virtual address
 * @len: bytes, never 0
 * @rkey: remote key, dies with the reply (SEND_WITH_INV of the first one)
 */
struct flint_desc {
	__le64 addr;
	__le32 len;
	__le32 rkey;
};

FLINT_ASSERT_SIZE(struct flint_desc, 16);

/**
 * enum flint_op - operations
 *
 * Comments give request body -> reply body, and the payload if there is one.
 * "m" marks mutating operations: they carry a seq and are answered from the
 * reply cache when repeated.
 */
enum flint_op {
	/* every server */
	FLINT_OP_HELLO		= 0x01,	/* flint_hello + token -> flint_hello_rep */
	FLINT_OP_AUTH		= 0x02,	/* flint_auth -> - (refused: flint_auth_refusal) */
	FLINT_OP_PING		= 0x03,	/* - -> - ; allowed beyond the credits */
	FLINT_OP_LOG		= 0x08,	/* flint_log_req -> _rep, data: lines (TOOL, MGR) */
	FLINT_OP_METRICS	= 0x09,	/* - -> -, data: Prometheus text (TOOL, MGR) */

	/* flint-mgrd */
	FLINT_OP_MAP_GET	= 0x10,	/* flint_map_get -> flint_map_got, data: image */
	FLINT_OP_HEARTBEAT	= 0x11,	/* flint_heartbeat + targets -> _rep */

	/* flint-metad, for operators (role TOOL or MGR) */
	FLINT_OP_META_JOB	= 0x18,	/* flint_meta_job + name -> flint_meta_job_rep, data */

	/* flint-metad */
	FLINT_OP_SESSION_OPEN	= 0x20,	/* flint_session_open + path -> flint_session_rep */
	FLINT_OP_SESSION_CLOSE	= 0x21,	/* - -> - */
	FLINT_OP_LOOKUP		= 0x22,	/* flint_name_req + name -> flint_attr */
	FLINT_OP_GETATTR	= 0x23,	/* flint_ino_req -> flint_attr */
	FLINT_OP_SETATTR	= 0x24,	/* m flint_setattr -> flint_attr */
	FLINT_OP_OPEN		= 0x25,	/* m flint_open + name -> flint_open_rep */
	FLINT_OP_CLOSE		= 0x26,	/* m flint_close -> - */
	FLINT_OP_MKNOD		= 0x27,	/* m flint_mknod + name + target -> flint_attr */
	FLINT_OP_LINK		= 0x28,	/* m flint_link + name -> flint_attr */
	FLINT_OP_UNLINK		= 0x29,	/* m flint_name_req + name -> flint_unlink_rep */
	FLINT_OP_RENAME		= 0x2a,	/* m flint_rename + 2 names -> flint_rename_rep */
	FLINT_OP_READDIR	= 0x2b,	/* flint_readdir -> _rep, data: flint_dirent[] */
	FLINT_OP_READLINK	= 0x2c,	/* flint_ino_req -> -, data: the target, no NUL */
	FLINT_OP_STATFS		= 0x2d,	/* flint_ino_req -> flint_statfs */
	FLINT_OP_GETXATTR	= 0x2e,	/* flint_xattr + name -> flint_xattr_rep, data: the value */
	FLINT_OP_SETXATTR	= 0x2f,	/* m flint_xattr + name, data: the value -> flint_attr */
	FLINT_OP_LISTXATTR	= 0x30,	/* flint_xattr -> flint_xattr_rep, data: names */
	FLINT_OP_REMOVEXATTR	= 0x31,	/* m flint_xattr + name -> flint_attr */
	FLINT_OP_EXTEND		= 0x32,	/* m flint_extend -> flint_attr */
	FLINT_OP_APPEND		= 0x33,	/* m flint_extend -> flint_append_rep */
	FLINT_OP_FS_CREATE	= 0x34,	/* m flint_fs_create -> flint_attr (managers only) */
	FLINT_OP_DIRSTAT	= 0x35,	/* flint_ino_req -> flint_dirstat, data: the path */
	FLINT_OP_QUOTA_GET	= 0x36,	/* flint_quota_req -> flint_quota */
	FLINT_OP_QUOTA_SET	= 0x37,	/* m flint_quota_set -> flint_quota */
	FLINT_OP_QUOTA_LIST	= 0x38,	/* flint_list -> flint_list_rep, data: flint_quota[] */
	FLINT_OP_TRASH_SET	= 0x39,	/* m flint_trash_set -> - */
	FLINT_OP_TRASH_LIST	= 0x3a,	/* flint_list -> flint_list_rep, data: flint_trash_ent[] */
	FLINT_OP_TRASH_RESTORE	= 0x3b,	/* m flint_trash_restore + name -> flint_attr */
	FLINT_OP_TRASH_EMPTY	= 0x3c,	/* m flint_trash_empty -> flint_trash_emptied */
	FLINT_OP_RMTREE		= 0x3d,	/* m flint_name_req + name -> flint_rmtree_rep */
	FLINT_OP_RMTREE_STAT	= 0x3e,	/* flint_rmtree_req -> flint_rmtree_stat */
	FLINT_OP_PERMIT_GET	= 0x3f,	/* flint_ino_req -> flint_permit (token.h), for tokens */

	/* flint-chunkd */
	FLINT_OP_READ		= 0x60,	/* flint_io -> flint_io_rep + crc[], data */
	FLINT_OP_WRITE		= 0x61,	/* m flint_io, data -> flint_io_rep */
	FLINT_OP_PUNCH		= 0x62,	/* m flint_io -> flint_io_rep: the range reads as zeros */
	FLINT_OP_CUT		= 0x63,	/* flint_cut -> flint_cut_rep (idempotent by trunc_epoch) */
	FLINT_OP_TARGET_STAT	= 0x64,	/* flint_target_req -> flint_target_stat */
	FLINT_OP_CLONE		= 0x65,	/* m flint_clone -> flint_io_rep: blocks are shared */
	FLINT_OP_INO_STAT	= 0x67,	/* flint_ino_stat -> flint_ino_stat_rep: where data ends */
	FLINT_OP_EXTENTS	= 0x68,	/* flint_io -> flint_extents + flint_extent[] */
	FLINT_OP_PERMIT		= 0x6c,	/* flint_permit -> -: the token\'s client shows it */
	FLINT_OP_FORWARD	= 0x70,	/* flint_forward, data -> flint_forward_rep (chain.h) */
	FLINT_OP_FORWARD_CUT	= 0x71,	/* flint_cut -> flint_cut_rep, from the predecessor */
	FLINT_OP_SYNC		= 0x72,	/* flint_sync, data -> flint_sync_rep, data */
	FLINT_OP_CHUNK_GET	= 0x73,	/* flint_chunk_get -> flint_chunk_got + crc[], data */
	FLINT_OP_TARGET_CTL	= 0x74,	/* flint_target_ctl + path -> flint_target_ctl_rep, data */
	FLINT_OP_SCRUB		= 0x75,	/* flint_scrub -> flint_scrub_rep, data: findings */
};

/**
 * enum flint_status - what a reply says
 *
 * Below 1000: errno values with the numbers of asm-generic/errno*.h, whatever
 * the machine. From 1000: protocol conditions; flint_status_errno() (codec.h)
 * gives the errno that an application sees when retrying did not help.
 */
enum flint_status {
	FLINT_OK		= 0,
	FLINT_ST_RETRY		= 1000,	/* busy: try again after a pause */
	FLINT_ST_STALE_MAP	= 1001,	/* chain or target not current: new map, retry */
	FLINT_ST_STALE_EPOCH	= 1002,	/* generation or epoch is old: new attr, retry */
	FLINT_ST_NOT_LEADER	= 1003,	/* ask another replica */
	FLINT_ST_FENCED		= 1004,	/* session was fenced: open another one */
	FLINT_ST_NO_SESSION	= 1005,	/* unknown session: open one */
	FLINT_ST_BAD_SEQ	= 1006,	/* below seq_low, or seq of another request */
	FLINT_ST_CHECKSUM	= 1007,	/* stored or sent data fails its CRC; no data */
	FLINT_ST_NOT_SERVING	= 1008,	/* target exists but does not serve (lease, disk) */
	FLINT_ST_AUTH		= 1009,	/* wrong key or not allowed */
	FLINT_ST_VERSION	= 1010,	/* protocol major not supported */
	FLINT_ST_BAD_REQUEST	= 1011,	/* well-formed but senseless; a bug in the peer */
	FLINT_ST_SHUTDOWN	= 1012,	/* server stops: reconnect, retry */
	/* 1013 is FLINT_ST_RECLAIM (lease.h) */
	FLINT_ST_NEED_WHOLE	= 1014,	/* FORWARD: prev is not what is here: send the chunk */
	FLINT_ST_CONFLICT	= 1015,	/* FORWARD: this version is of another request */
	FLINT_ST_NEED_PERMIT	= 1016,	/* a subtree's token: show a permit for the inode, retry */
};

/**
 * struct flint_leader_hint - body of a reply with FLINT_ST_NOT_LEADER
 * @node_id: of the leader in the cluster map; 0: not known, try the others
 */
struct flint_leader_hint {
	__le32 node_id;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_leader_hint, 8);

/* ---- connection ------------------------------------------------------- */

enum flint_role {
	FLINT_ROLE_CLIENT	= 1,	/* a mount or the client library */
	FLINT_ROLE_CHUNK	= 2,
	FLINT_ROLE_META		= 3,
	FLINT_ROLE_MGR		= 4,
	FLINT_ROLE_TOOL		= 5,
};

#define FLINT_FEAT_CRC32C	(1ull << 0)	/* reads carry block CRCs; always on in version 1 */
#define FLINT_FEATURES		FLINT_FEAT_CRC32C
/*
 * Verbs, set by a requester whose keys cannot be invalidated from afar (plain
 * memory regions of user space): its requests are answered by SEND, all others
 * that carried descriptors by SEND_WITH_INV. Not a part of FLINT_FEATURES.
 */
#define FLINT_FEAT_KEEP_KEYS	(1ull << 1)
/* The client takes pushes (lease.h). Not a part of FLINT_FEATURES either. */
#define FLINT_FEAT_LEASE	(1ull << 2)
/*
 * Verbs: the server takes several requests in one message, one behind the
 * other: flint_msg_split(). Not a part of FLINT_FEATURES either.
 */
#define FLINT_FEAT_BUNDLE	(1ull << 3)

#define FLINT_NONCE_LEN		32
#define FLINT_MAC_LEN		32	/* HMAC-SHA256 */
#define FLINT_KEY_LEN		32	/* the cluster key */

/*
 * Authentication (decisions in Documentation/protocol.rst): both sides prove
 * that they hold the cluster key or, when the HELLO carries a token, that
 * token's secret (token.h), which takes the key's place.
 *   server_mac = HMAC-SHA256(key, "flint1-server" | client_nonce | server_nonce | client_id | role)
 *   client_mac = HMAC-SHA256(key, "flint1-client" | server_nonce | client_nonce | client_id | role)
 * The labels have 13 bytes, no NUL; role is the one byte of the HELLO.
 * codec.h: flint_auth_msg() lays the message out.
 */
struct flint_hello {
	__u8 major;
	__u8 minor;
	__u8 role;			/* enum flint_role */
	__u8 reserved0;
	__le32 inline_size;		/* bytes of payload in a message the sender can take */
	__le32 max_io;
	__le16 credits;			/* wanted */
	__le16 reserved1;
	__le64 features;
	__u8 client_id[16];		/* random, one per mount or daemon start */
	__le64 session_epoch;		/* 0 before SESSION_OPEN */
	__u8 nonce[FLINT_NONCE_LEN];
	__u8 name[FLINT_LABEL_LEN];	/* for logs: host name, NUL-padded */
	__le16 fixed_len;		/* where the token begins: sizeof of the sender */
	__le16 token_len;		/* claims (token.h) that follow; 0: none */
	__le32 reserved2;
};

FLINT_ASSERT_SIZE(struct flint_hello, 152);
#define FLINT_HELLO_MIN	144		/* the first version's: no token */

/* Body of an answer with FLINT_ST_VERSION: what the server speaks. */
struct flint_version {
	__u8 major;
	__u8 minor;
	__u8 reserved[6];
};

FLINT_ASSERT_SIZE(struct flint_version, 8);

struct flint_hello_rep {
	__u8 major;
	__u8 minor;
	__u8 role;
	__u8 auth;			/* 1: send AUTH; 0: authentication is off */
	__le32 inline_size;		/* min of both sides */
	__le32 max_io;			/* min of both sides */
	__le16 credits;			/* granted */
	__le16 reserved1;
	__le64 features;		/* common to both */
	__u8 cluster_id[16];
	__le32 node_id;
	__le32 reserved2;
	__u8 nonce[FLINT_NONCE_LEN];
	__u8 mac[FLINT_MAC_LEN];	/* server_mac */
};

FLINT_ASSERT_SIZE(struct flint_hello_rep, 112);

struct flint_auth {
	__u8 mac[FLINT_MAC_LEN];	/* client_mac */
};

FLINT_ASSERT_SIZE(struct flint_auth, 32);

/*
 * rdma_cm private data of the connect request and, with reason set, of a
 * rejection: enough to refuse a stranger before HELLO.
 */
struct flint_cm_priv {
	__le32 magic;
	__u8 major;
	__u8 reason;			/* reject: enum flint_cm_reject */
	__le16 reserved;
	__le32 msg_size;		/* FLINT_CTRL_SIZE + inline_size */
	__le32 depth;			/* requests in flight the client is sized for */
};

FLINT_ASSERT_SIZE(struct flint_cm_priv, 16);

enum flint_cm_reject {
	FLINT_REJ_NONE		= 0,
	FLINT_REJ_MAGIC		= 1,
	FLINT_REJ_VERSION	= 2,
	FLINT_REJ_SIZE		= 3,
	FLINT_REJ_BUSY		= 4,
};

/* ---- looking at a daemon ---------------------------------------------- */

enum flint_log_op {
	FLINT_LOG_GET		= 0,
	FLINT_LOG_SET		= 1,	/* level, from now on */
	FLINT_LOG_TAIL		= 2,	/* data: the last lines that were logged */
};

struct flint_log_req {
	__le32 op;			/* enum flint_log_op */
	__le32 level;			/* SET: of syslog(3): 3 error, 4 warning, 6 info, 7 debug */
	__le32 max_len;			/* TAIL: room for lines */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_log_req, 16);

/* What every daemon says of itself. */
struct flint_log_rep {
	__le32 level;			/* in force now */
	__le32 reserved;
	__u8 program[32];		/* NUL-padded */
	__u8 version[32];
};

FLINT_ASSERT_SIZE(struct flint_log_rep, 72);

/* ---- managers --------------------------------------------------------- */

struct flint_map_get {
	__le64 have_epoch;		/* answered when the epoch is greater ... */
	__le32 wait_ms;			/* ... or after this time, with status OK and no data */
	__le32 max_len;			/* room for the image */
};

FLINT_ASSERT_SIZE(struct flint_map_get, 16);

struct flint_map_got {
	__le64 epoch;
	__le32 total_len;		/* of the image; with status ERANGE nothing was sent */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_map_got, 16);

enum flint_replica_role {
	FLINT_REPLICA_NONE	= 0,	/* in no group: empty, asks whether to found it */
	FLINT_REPLICA_LEARNER	= 1,
	FLINT_REPLICA_FOLLOWER	= 2,
	FLINT_REPLICA_CANDIDATE	= 3,
	FLINT_REPLICA_LEADER	= 4,
};

/* struct flint_hb_replica.flags */
/* a manager that shall become a member without being asked for */
#define FLINT_REPLICA_JOIN	0x1
/* in no group, but holds state of a time before replication */
#define FLINT_REPLICA_STATE	0x2
#define FLINT_REPLICA_LOW_SPACE	0x4	/* the disk of its state is nearly full */

/**
 * struct flint_hb_replica - what a replica of metadata or of a manager says of itself
 * @id: its Raft id, made with its raft.db; 0: no replica
 * @group: id of its group; 0 in no group
 * @leader: Raft id of the leader it follows; 0: none
 * @http_port: managers: of the admin API
 */
struct flint_hb_replica {
	__le64 id;
	__le64 group;
	__le64 term;
	__le64 leader;
	__le64 commit;
	__le64 applied;
	__u8 role;			/* enum flint_replica_role */
	__u8 flags;			/* FLINT_REPLICA_* */
	__le16 http_port;
	__le32 reserved0;
	__le64 reserved1;
};

FLINT_ASSERT_SIZE(struct flint_hb_replica, 64);

#define FLINT_PROTO_TCP		0x1
#define FLINT_PROTO_RDMA	0x2

/**
 * struct flint_addr - where a server listens
 * @family: 4 or 6; 0: unused entry
 * @proto: FLINT_PROTO_TCP or FLINT_PROTO_RDMA
 * @port: host order value in little-endian
 * @addr: network order; IPv4 in the first 4 bytes
 */
struct flint_addr {
	__u8 family;
	__u8 proto;
	__le16 port;
	__le32 reserved;
	__u8 addr[16];
};

FLINT_ASSERT_SIZE(struct flint_addr, 24);

#define FLINT_NODE_ADDRS	4

struct flint_heartbeat {
	__le32 fixed_len;
	__le32 node_id;			/* 0: not registered yet, name tells who it is */
	__u8 role;
	__u8 flags;			/* FLINT_HB_STARTING */
	__u8 reserved0[2];
	__le32 nr_targets;		/* flint_hb_target records follow the fixed part */
	__le64 incarnation;		/* random, one per process start */
	__le64 sent_boottime_ns;	/* echoed by the reply */
	__u8 name[FLINT_LABEL_LEN];
	__le16 tcp_port;		/* 0: not offered; the address is the peer's */
	__le16 rdma_port;
	__le32 target_len;		/* bytes of one record; 0: FLINT_HB_TARGET_MIN */
	/* 104 bytes in version 1.0 */
	__le64 sent_realtime_ns;	/* CLOCK_REALTIME, 0: not told */
	struct flint_hb_replica replica;
	/* 176 bytes before a server had several addresses */
	struct flint_addr addrs[FLINT_NODE_ADDRS];	/* none: the ports, where it speaks from */
};

#define FLINT_HEARTBEAT_MIN	104
#define FLINT_HB_STARTING	0x1	/* its targets are not told yet: absence says nothing */

FLINT_ASSERT_SIZE(struct flint_heartbeat, 272);

struct flint_hb_target {
	__le32 target_id;
	__u8 local_state;		/* enum flint_local_state, map.h */
	__u8 reserved[3];
	__le64 capacity;		/* bytes */
	__le64 used;
	__u8 uuid[16];
	/* 40 bytes in version 1.0 */
	__le32 chain_ver;		/* of the last order, which local_state is about */
	__le32 flags;			/* FLINT_HBT_* */
	__le64 sync_done;		/* recovery of its successor, bytes */
	__le64 sync_total;		/* 0: none under way */
	__le64 crc_errors;		/* found, since start */
	__le64 repaired;
};

#define FLINT_HB_TARGET_MIN	40

FLINT_ASSERT_SIZE(struct flint_hb_target, 80);

#define FLINT_HBT_LOW_SPACE	0x1
#define FLINT_HBT_SUSPECT	0x2	/* too many errors: to be replaced */
#define FLINT_HBT_CONFLICT	0x4	/* recovery found what it must not guess about */
#define FLINT_HBT_SCRUBBING	0x8
#define FLINT_HBT_LOST		0x10	/* some of its data is damaged on every replica */
#define FLINT_HBT_STUCK		0x20	/* the target behind it answers no change */

/**
 * struct flint_hb_settings - what operators may change at run time ("flint set")
 * @recovery_bps: bytes/s that recovery may send from one target; 0: no limit
 * @scrub_days: in how many days every chunk is read once; 0: no scrub
 */
struct flint_hb_settings {
	__le64 recovery_bps;
	__le32 scrub_days;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_hb_settings, 16);

struct flint_heartbeat_rep {
	__le64 epoch;			/* newest map epoch */
	__le64 sent_boottime_ns;
	__le32 node_id;			/* assigned or confirmed */
	__le32 lease_ms;		/* T */
	/* 24 bytes in version 1.0 */
	__le64 group;			/* metadata: the group that exists or is to be founded */
	__le32 order;			/* enum flint_replica_order */
	__le32 nr_targets;		/* flint_hb_order records follow the fixed part */
	/* 40 bytes before there were chains of several targets */
	__le16 fixed_len;		/* sizeof of the sender: where the orders begin */
	__le16 order_len;		/* bytes of one of them */
	__le32 reserved;
	struct flint_hb_settings set;
};

#define FLINT_HEARTBEAT_REP_MIN	24

FLINT_ASSERT_SIZE(struct flint_heartbeat_rep, 64);

/**
 * struct flint_hb_order - what the managers hold of a target that was reported
 * @state: enum flint_target_state
 * @flags: FLINT_HB_ADMITTED
 * @chain_ver: from which on that is so
 *
 * A chunk server process serves a target as SERVING only after an answer to one
 * of its own heartbeats said so: a map may still tell of the process before it.
 */
struct flint_hb_order {
	__le32 target_id;
	__le32 chain;
	__le32 chain_ver;
	__u8 state;
	__u8 flags;
	__le16 reserved;
};

FLINT_ASSERT_SIZE(struct flint_hb_order, 16);

#define FLINT_HB_ADMITTED	0x1	/* the state was given to this process (incarnation) */

/**
 * enum flint_replica_order - what a replica in no group shall do
 *
 * Only ever one replica is told to found, and that is on stable storage at the
 * managers before it is told.
 */
enum flint_replica_order {
	FLINT_ORDER_NONE	= 0,	/* go on */
	FLINT_ORDER_FOUND	= 1,	/* found the group with the id in @group */
	FLINT_ORDER_STANDBY	= 2,	/* wait until it is added to the group */
	/* it is a member no longer, and must be wiped to come back */
	FLINT_ORDER_REMOVED	= 3,
};

/* ---- operators' work on a metadata replica ---------------------------- */

enum flint_meta_job_op {
	FLINT_JOB_STATUS	= 0,	/* of the job that runs or ran last */
	/* start: a backup; name: file below the backup folder, "": choose */
	FLINT_JOB_BACKUP	= 1,
	FLINT_JOB_VERIFY	= 2,	/* start: check all invariants */
	/* start: checksum of the tables, with the index it is for */
	FLINT_JOB_CHECKSUM	= 3,
	FLINT_JOB_LIST		= 4,	/* now: backups, data: lines "SIZE TIME_NS INDEX NAME" */
	FLINT_JOB_READ		= 5,	/* now: bytes of a backup from @offset, as data */
	FLINT_JOB_FINDINGS	= 6,	/* now: lines of text of the last job, from byte @offset */
	FLINT_JOB_CANCEL	= 7,
};

/**
 * struct flint_meta_job - start a job, or ask for what it made; name follows
 * @max_len: room for the reply's data
 *
 * One job at a time; a second one is refused with EBUSY. Any replica takes
 * them: backups and checks are of what that replica has applied.
 */
struct flint_meta_job {
	__le32 fixed_len;
	__le32 op;			/* enum flint_meta_job_op */
	__le64 offset;
	__le32 max_len;
	__le16 name_len;
	__le16 reserved;
};

FLINT_ASSERT_SIZE(struct flint_meta_job, 24);

enum flint_meta_job_state {
	FLINT_JOB_IDLE		= 0,
	FLINT_JOB_RUNNING	= 1,
	FLINT_JOB_DONE		= 2,
	FLINT_JOB_FAILED	= 3,	/* FINDINGS says why */
};

/**
 * struct flint_meta_job_rep - a job's state
 * @what: FLINT_JOB_BACKUP, _VERIFY or _CHECKSUM
 * @done, @total: progress; total 0: not known yet
 * @index: last log index that the result holds
 * @checksum: of the tables (CHECKSUM, VERIFY and BACKUP)
 * @findings: violations found (VERIFY)
 * @size: of the backup, or of the text that FINDINGS or LIST has
 * @name: of the backup made
 */
struct flint_meta_job_rep {
	__le32 state;			/* enum flint_meta_job_state */
	__le32 what;
	__le64 done;
	__le64 total;
	__le64 index;
	__le64 checksum;
	__le64 findings;
	__le64 size;
	__u8 name[FLINT_LABEL_LEN];
};

FLINT_ASSERT_SIZE(struct flint_meta_job_rep, 120);

/* ---- metadata --------------------------------------------------------- */

/**
 * struct flint_layout - where a file's chunks lie (placement.h)
 * @version: placement arithmetic, FLINT_PLACEMENT_V1
 * @chunk_shift: log2 of the chunk size, 16..24
 * @stripe: chains the file is striped over, 1..FLINT_STRIPE_MAX
 * @table: chain table id
 * @table_ver: version of that table, 1..
 * @reserved: 0
 * @seed: seeds the choice and order of chains
 */
struct flint_layout {
	__u8 version;
	__u8 chunk_shift;
	__le16 stripe;
	__le32 table;
	__le32 table_ver;
	__le32 reserved;
	__le64 seed;
};

FLINT_ASSERT_SIZE(struct flint_layout, 24);

/**
 * struct flint_attr - everything a client caches of an inode
 *
 * Times are signed nanoseconds since the epoch. mode holds type and
 * permission bits with the numbers of stat(2) on Linux. @bytes is the space
 * charged to the file, for st_blocks. @change grows with every change of
 * data or attributes seen by the metadata server.
 */
struct flint_attr {
	__le64 ino;
	__le32 gen;
	__le32 mode;
	__le32 nlink;
	__le32 uid;
	__le32 gid;
	__le32 flags;			/* FLINT_INO_* */
	__le32 rdev_major;
	__le32 rdev_minor;
	__le64 size;
	__le64 bytes;
	__le64 atime;
	__le64 mtime;
	__le64 ctime;
	__le64 btime;
	__le64 change;
	__le64 parent;			/* directories: their parent; else 0 */
	__le32 project;
	__le32 trunc_epoch;		/* sent with every data request */
	__le32 fs;
	__le32 valid_ms;		/* how long these may be cached */
	struct flint_layout layout;	/* files; directories: what children inherit */
};

FLINT_ASSERT_SIZE(struct flint_attr, 144);

#define FLINT_INO_IMMUTABLE	0x1
#define FLINT_INO_APPEND	0x2
/* Told, not set by SETATTR: there is an xattr system.posix_acl_access, _default. */
#define FLINT_INO_ACL		0x10000
#define FLINT_INO_DEFAULT_ACL	0x20000
/* Told: there is an xattr security.capability, which goes when data change (EXTEND). */
#define FLINT_INO_CAPS		0x40000
/* Told: there is no xattr and no ACL. A server that does not tell has to be asked. */
#define FLINT_INO_NO_XATTR	0x100000

struct flint_session_open {
	__le32 fixed_len;
	__le32 flags;			/* FLINT_SESSION_* */
	__u8 fs_name[FLINT_LABEL_LEN];
	__le32 path_len;		/* subtree below the root, may be 0 */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_session_open, 80);

#define FLINT_SESSION_RDONLY	0x1
#define FLINT_SESSION_LEASES	0x2	/* takes part in leases and reclaim (lease.h) */
#define FLINT_SESSION_CHECK	0x4	/* the server checks permissions; see flint_cred_tail */

struct flint_session_rep {
	__le64 session_epoch;
	__le32 lease_ms;
	__le32 fs;
	struct flint_attr root;
};

FLINT_ASSERT_SIZE(struct flint_session_rep, 160);

/* Who asks, for ownership of what is created and for server-side checks. */
struct flint_cred {
	__le32 uid;
	__le32 gid;
};

FLINT_ASSERT_SIZE(struct flint_cred, 8);

/**
 * struct flint_cred_tail - the whole of who asks, at the very end of a body
 *
 * With FLINT_F_CRED the body is followed by nr_groups group ids (__le32 each)
 * and then by this structure; body_len counts all of it. It may accompany any
 * request to a metadata server and takes the place of a struct flint_cred in
 * the body. In a session opened with FLINT_SESSION_CHECK, or by a token that
 * maps ids, the server checks permissions with it; without a tail it checks
 * with the body's flint_cred and no further groups.
 *
 * @flags: FLINT_CRED_*
 * @umask: with FLINT_CRED_UMASK
 * @nr_groups: supplementary groups, 0..FLINT_GROUPS_MAX
 */
struct flint_cred_tail {
	__le32 uid;
	__le32 gid;
	__le32 flags;
	__le32 umask;
	__le32 nr_groups;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_cred_tail, 24);

#define FLINT_GROUPS_MAX	32
/* OPEN, MKNOD: mode is before umask; a default ACL of the directory takes umask's place. */
#define FLINT_CRED_UMASK	0x1

struct flint_ino_req {
	__le64 ino;
	__le32 gen;			/* 0: any */
	__le32 max_len;			/* READLINK: room for the target */
};

FLINT_ASSERT_SIZE(struct flint_ino_req, 16);

#define FLINT_NAME_DIR		0x1	/* UNLINK: the name must be an empty directory */
/* UNLINK, RMTREE: gone at once, whatever the tree's setting */
#define FLINT_NAME_NO_TRASH	0x2

struct flint_name_req {
	__le32 fixed_len;
	__le32 flags;
	__le64 parent;
	__le32 name_len;
	struct flint_cred cred;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_name_req, 32);

/* struct flint_setattr.valid */
#define FLINT_SET_MODE		0x001
#define FLINT_SET_UID		0x002
#define FLINT_SET_GID		0x004
#define FLINT_SET_SIZE		0x008
#define FLINT_SET_ATIME		0x010	/* to the given time */
#define FLINT_SET_MTIME		0x020
#define FLINT_SET_ATIME_NOW	0x040	/* to the server's time */
#define FLINT_SET_MTIME_NOW	0x080
#define FLINT_SET_FLAGS		0x100
#define FLINT_SET_PROJECT	0x200
#define FLINT_SET_LAYOUT	0x400	/* of an empty file, alone: to that of @like */

struct flint_setattr {
	__le64 ino;
	__le32 gen;
	__le32 valid;
	__le32 mode;
	__le32 uid;
	__le32 gid;
	__le32 flags;
	__le64 size;
	__le64 atime;
	__le64 mtime;
	__le32 project;
	__le32 reserved;
	struct flint_cred cred;
	/* 72 bytes in version 1.0 */
	__le64 like;			/* LAYOUT: another file, of the same chunk size or not */
	/*
	 * When it was changed, ns since 1970, by who holds a WRITE lease: ctime, which is not in
	 * the server's future and does not go back; 0: now.
	 */
	__le64 when;
};

FLINT_ASSERT_SIZE(struct flint_setattr, 88);
#define FLINT_SETATTR_MIN	72

/* struct flint_open.flags */
#define FLINT_OPEN_READ		0x01
#define FLINT_OPEN_WRITE	0x02
#define FLINT_OPEN_CREATE	0x04
#define FLINT_OPEN_EXCL		0x08
#define FLINT_OPEN_TRUNC	0x10
#define FLINT_OPEN_TMPFILE	0x20	/* with CREATE, no name: of no name, in @ino's tree */

/**
 * struct flint_open - lookup, create and open in one round trip
 *
 * With name_len > 0 the file is @name in directory @ino; with name_len 0 it is
 * inode @ino itself, or with TMPFILE a new file, which gets its first name by
 * LINK from the session that has it open, or goes with its last handle. A name
 * that is a directory or a symlink is answered with its attributes and handle 0:
 * the caller goes on by itself.
 */
struct flint_open {
	__le32 fixed_len;
	__le32 flags;
	__le64 ino;
	__le32 gen;			/* of @ino, 0: any */
	__le32 mode;			/* CREATE: permission bits after umask */
	struct flint_cred cred;
	__le32 name_len;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_open, 40);

struct flint_open_rep {
	__le64 handle;			/* given back by CLOSE; keeps the inode alive */
	__le32 created;			/* 1: this request made the file */
	__le32 reserved;
	struct flint_attr attr;
};

FLINT_ASSERT_SIZE(struct flint_open_rep, 160);

struct flint_close {
	__le64 handle;
	__le64 ino;
};

FLINT_ASSERT_SIZE(struct flint_close, 16);

struct flint_mknod {
	__le32 fixed_len;
	__le32 mode;			/* type and permission bits after umask */
	__le64 parent;
	__le32 rdev_major;
	__le32 rdev_minor;
	struct flint_cred cred;
	__le32 name_len;
	__le32 target_len;		/* symlinks: bytes of target after the name */
};

FLINT_ASSERT_SIZE(struct flint_mknod, 40);

struct flint_link {
	__le32 fixed_len;
	__le32 name_len;
	__le64 ino;
	__le64 parent;
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_link, 32);

struct flint_unlink_rep {
	__le64 ino;
	__le32 nlink;			/* left */
	__le32 reserved;
	__le64 ctime;
};

FLINT_ASSERT_SIZE(struct flint_unlink_rep, 24);

#define FLINT_RENAME_NOREPLACE	0x1
#define FLINT_RENAME_EXCHANGE	0x2

struct flint_rename {
	__le32 fixed_len;
	__le32 flags;
	__le64 old_parent;
	__le64 new_parent;
	__le32 old_len;
	__le32 new_len;
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_rename, 40);

struct flint_rename_rep {
	__le64 ino;			/* what was moved */
	__le64 replaced;		/* what stood at the new name, 0 if nothing */
	__le32 replaced_nlink;
	__le32 reserved;
	__le64 ctime;
};

FLINT_ASSERT_SIZE(struct flint_rename_rep, 32);

#define FLINT_READDIR_PLUS	0x1	/* each record carries attributes */

/*
 * Cookies grow within a directory and are never used again for another entry.
 * "." and ".." are the client's; @cookie 0 starts.
 */
struct flint_readdir {
	__le64 ino;
	__le64 cookie;			/* entries after this one */
	__le32 max_len;			/* room for records */
	__le32 flags;
};

FLINT_ASSERT_SIZE(struct flint_readdir, 24);

struct flint_readdir_rep {
	__le32 nr;
	__le32 eof;			/* 1: nothing after the last record */
	__le64 dir_change;		/* the directory's change counter */
	/* 16 bytes in version 1.0 */
	__le64 next_cookie;		/* what the next name gets; 0: not told */
};

FLINT_ASSERT_SIZE(struct flint_readdir_rep, 24);
#define FLINT_READDIR_REP_MIN	16

/* Record of a READDIR payload; name follows, padded with zeros to 8 bytes;
 * with FLINT_READDIR_PLUS a struct flint_attr stands between the two.
 */
struct flint_dirent {
	__le64 cookie;
	__le64 ino;
	__le16 rec_len;			/* whole record, a multiple of 8 */
	__le16 name_len;
	__u8 type;			/* DT_* of dirent.h */
	__u8 has_attr;			/* FLINT_DIRENT_*, lease.h */
	__le16 reserved;
};

FLINT_ASSERT_SIZE(struct flint_dirent, 24);

struct flint_statfs {
	__le64 total;			/* bytes */
	__le64 free;
	__le64 files;
	__le64 files_free;
	__le32 block_size;
	__le32 name_max;
};

FLINT_ASSERT_SIZE(struct flint_statfs, 40);

#define FLINT_XATTR_CREATE	0x1
#define FLINT_XATTR_REPLACE	0x2

struct flint_xattr {
	__le32 fixed_len;
	__le32 flags;
	__le64 ino;
	__le32 name_len;		/* with its prefix: "user.x" */
	__le32 max_len;			/* GET, LIST: room; 0 asks for the size */
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_xattr, 32);

struct flint_xattr_rep {
	__le32 total_len;		/* of value or list; ERANGE: did not fit */
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_xattr_rep, 8);

/**
 * struct flint_extend - a writer tells what it wrote
 *
 * EXTEND: size becomes max(size, @end), mtime and ctime the server's time, or
 * @when if the writer knows that nobody wrote later: not in the server's future,
 * and neither goes back by it. Refused with FLINT_ST_STALE_EPOCH when @trunc_epoch
 * is not current. With @end 0 only the times change. APPEND: reserves @len bytes at
 * the end and grows the file by them.
 *
 * With @valid the writer set attributes, too: ctime becomes @when, as with SETATTR. A
 * server that does not know of them leaves them out, which its answer shows.
 */
struct flint_extend {
	__le64 ino;
	__le32 gen;
	__le32 trunc_epoch;
	__le64 end;
	__le64 len;
	/* 32 bytes in version 1.0 */
	__le64 when;			/* ns since 1970, under a WRITE lease; 0: now */
	__le32 valid;			/* FLINT_SET_MODE, _ATIME, _MTIME */
	__le32 mode;
	__le64 atime;
	__le64 mtime;
};

FLINT_ASSERT_SIZE(struct flint_extend, 64);
#define FLINT_EXTEND_MIN	32

struct flint_append_rep {
	__le64 offset;
	struct flint_attr attr;
};

FLINT_ASSERT_SIZE(struct flint_append_rep, 152);

struct flint_fs_create {
	__le32 fs;
	__le32 mode;			/* of the root directory */
	struct flint_layout layout;
	struct flint_cred owner;
	__u8 name[FLINT_LABEL_LEN];
};

FLINT_ASSERT_SIZE(struct flint_fs_create, 104);

/* ---- administration of a file system ------------------------------------ */

/**
 * struct flint_dirstat - totals of everything below a directory, itself excluded
 *
 * Kept up to date by the command that changes them. A file with several names
 * counts once, in its home: the directory of its first name, and when no name
 * is left there, of the remaining names' directories the one with the lowest
 * inode number. @bytes are those of flint_attr.bytes. With flint_ino_req.max_len
 * of FLINT_PATH_MAX the directory's path comes along, relative to the root, in a
 * session that was opened for the whole file system.
 */
struct flint_dirstat {
	__le64 ino;
	__le64 bytes;
	__le64 files;			/* inodes that are not directories */
	__le64 dirs;
	__le64 entries;			/* of the directory itself */
	__le32 project;
	__le32 trash_keep;		/* seconds that apply here, 0: no trash */
};

FLINT_ASSERT_SIZE(struct flint_dirstat, 48);

enum flint_quota_kind {
	FLINT_QUOTA_TREE	= 1,	/* id: inode of the directory */
	FLINT_QUOTA_USER	= 2,
	FLINT_QUOTA_GROUP	= 3,
	FLINT_QUOTA_PROJECT	= 4,	/* id: from 1 */
};

#define FLINT_QUOTA_DEFAULT	0xffffffffu	/* id: users (groups, projects) without their own */
#define FLINT_QUOTA_GRACE	(7u * 24 * 3600)

/**
 * struct flint_quota - limits and usage
 * @kind: enum flint_quota_kind
 * @grace: seconds a soft limit may be exceeded; 0: FLINT_QUOTA_GRACE
 * @id: what it is of
 * @space_soft, @space_hard, @inode_soft, @inode_hard: 0: none
 * @space_since, @inode_since: ns since the epoch at which the soft limit was
 *	passed, 0: it is kept. After @grace growth is refused with EDQUOT
 * @space, @inodes: used
 */
struct flint_quota {
	__le32 kind;
	__le32 grace;
	__le64 id;
	__le64 space_soft, space_hard;
	__le64 inode_soft, inode_hard;
	__le64 space_since, inode_since;
	__le64 space, inodes;
};

FLINT_ASSERT_SIZE(struct flint_quota, 80);

struct flint_quota_req {
	__le32 kind;
	__le32 reserved;
	__le64 id;
};

FLINT_ASSERT_SIZE(struct flint_quota_req, 16);

/* All limits 0 removes the quota; usage of users, groups and projects stays known. */
struct flint_quota_set {
	__le32 kind;
	__le32 grace;
	__le64 id;
	__le64 space_soft, space_hard;
	__le64 inode_soft, inode_hard;
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_quota_set, 56);

/**
 * struct flint_list - a page of a list
 * @kind: QUOTA_LIST: enum flint_quota_kind; TRASH_LIST: 0
 * @max_len: room for records
 * @after: cursor of the last record seen (quota: id, trash: id); 0: from the start
 * @cred: TRASH_LIST: uid 0 sees everything, others what is theirs
 */
struct flint_list {
	__le32 kind;
	__le32 max_len;
	__le64 after;
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_list, 24);

struct flint_list_rep {
	__le32 nr;
	__le32 eof;
	__le64 after;			/* cursor to go on with */
};

FLINT_ASSERT_SIZE(struct flint_list_rep, 16);

/**
 * struct flint_trash_ent - something deleted that can be had back
 *
 * The path it had, relative to the file system's root, follows (path_len
 * bytes, cut at its beginning if it was longer than 4,095); rec_len is a
 * multiple of 8.
 */
struct flint_trash_ent {
	__le64 id;
	__le64 ino;
	__le64 parent;			/* where it was */
	__le64 deleted;			/* ns since the epoch */
	__le64 expires;
	__le64 bytes;
	__le64 files;			/* with all below it, itself included */
	__le64 dirs;
	__le32 mode;
	__le32 uid;			/* owner */
	__le16 rec_len;
	__le16 path_len;
	__le16 name_len;		/* the path's last bytes */
	__le16 reserved;
};

FLINT_ASSERT_SIZE(struct flint_trash_ent, 80);

/* Keep deleted files of a directory's tree so long; 0: not at all; ~0: as the directory above. */
struct flint_trash_set {
	__le64 ino;
	__le32 keep;			/* seconds */
	__le32 reserved;
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_trash_set, 24);

#define FLINT_TRASH_INHERIT	0xffffffffu

/* @parent 0: to where it was, under its old name; else to @parent, as @name if name_len > 0. */
struct flint_trash_restore {
	__le32 fixed_len;
	__le32 name_len;
	__le64 id;
	__le64 parent;
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_trash_restore, 32);

/*
 * @id 0: everything of the caller's that was deleted before @before (ns; 0: all),
 * from behind the cursor @after on.
 */
struct flint_trash_empty {
	__le64 id;
	__le64 before;
	__le64 after;
	struct flint_cred cred;
};

FLINT_ASSERT_SIZE(struct flint_trash_empty, 32);

/* One request takes a bounded number; @more 1: send another with this @after. */
struct flint_trash_emptied {
	__le64 nr;
	__le64 after;
	__le32 more;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_trash_emptied, 24);

/* The tree is out of sight; @id 0: it went into the trash, else its removal in the background. */
struct flint_rmtree_rep {
	__le64 id;
	__le64 bytes;
	__le64 files;
	__le64 dirs;
};

FLINT_ASSERT_SIZE(struct flint_rmtree_rep, 32);

struct flint_rmtree_req {
	__le64 id;			/* 0: all removals of the file system */
};

FLINT_ASSERT_SIZE(struct flint_rmtree_req, 8);

/* What is left to remove; all 0: done. */
struct flint_rmtree_stat {
	__le64 trees;
	__le64 bytes;
	__le64 files;
	__le64 dirs;
};

FLINT_ASSERT_SIZE(struct flint_rmtree_stat, 32);

/* ---- chunks ----------------------------------------------------------- */

/**
 * struct flint_io - a piece of one chunk
 * @chain: chain id
 * @chain_ver: its version in the requester's map
 * @target: the target that is meant
 * @fs: file system
 * @ino: inode
 * @gen: inode generation
 * @trunc_epoch: the inode's truncate epoch as the requester knows it
 * @index: chunk index, file offset >> chunk_shift
 * @offset: first byte in the chunk
 * @length: bytes, offset + length <= chunk size, at most max_io
 * @flags: FLINT_IO_*
 * @chunk_shift: log2 of the chunk size
 * @crc_shift: WRITE with FLINT_IO_CRC: log2 of the block its CRCs cover
 * @reserved: 0
 */
struct flint_io {
	__le32 chain;
	__le32 chain_ver;
	__le32 target;
	__le32 fs;
	__le64 ino;
	__le32 gen;
	__le32 trunc_epoch;
	__le32 index;
	__le32 offset;
	__le32 length;
	__le32 flags;
	__u8 chunk_shift;
	__u8 crc_shift;
	__le16 reserved;
	__le32 crc;			/* WRITE with FLINT_IO_CRC: CRC-32C of the payload */
};

FLINT_ASSERT_SIZE(struct flint_io, 56);

#define FLINT_IO_CRC		0x1	/* WRITE: crc is set (inline or bounced payload) */
/*
 * READ: the requester compares all data with its CRCs, and if they differ asks the
 * same target again without this flag: only then the server looks, and repairs.
 */
#define FLINT_IO_UNCHECKED	0x2

/**
 * struct flint_io_rep - answer to READ, WRITE, PUNCH
 * @version: chunk version after (WRITE, PUNCH) or at (READ) the operation; 0:
 *	the chunk does not exist
 * @length: READ: bytes sent, at most what was asked; what is missing at the
 *	end reads as zeros. WRITE: bytes written
 * @crc_shift: READ: log2 of the checksum block
 * @nr_crc: READ: __le32 CRC-32C values that follow, one for each piece of the
 *	payload that falls into one checksum block of the chunk (blocks are
 *	counted from the start of the chunk, so that the first and last piece
 *	may be short)
 */
struct flint_io_rep {
	__le64 version;
	__le32 length;
	__u8 crc_shift;
	__u8 reserved0;
	__le16 nr_crc;
};

FLINT_ASSERT_SIZE(struct flint_io_rep, 16);

/**
 * struct flint_extents - answer to EXTENTS: which bytes of a file's chunks are no holes
 * @nr: struct flint_extent that follow, rising, none before what was asked for
 * @next_index, @next_offset: what lies before this place is known now; 0, 0:
 *	everything is
 *
 * The request names the first place of interest by flint_io's index and offset;
 * its length is the distance between two chunks of the file that the chain has
 * (the width of its stripe), of which the first is @index.
 */
struct flint_extents {
	__le32 nr;
	__le32 next_index;
	__le32 next_offset;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_extents, 16);

/**
 * struct flint_extent - bytes that are no hole
 * @index: chunk
 * @count: 1, or more: so many chunks, the stripe's width apart, have the same bytes
 * @offset, @length: in each of them; length is never 0
 */
struct flint_extent {
	__le32 index;
	__le32 count;
	__le32 offset;
	__le32 length;
};

FLINT_ASSERT_SIZE(struct flint_extent, 16);

#define FLINT_EXTENTS_MAX	24	/* in one answer */

/**
 * struct flint_clone - a chunk becomes what another one of the same target is
 * @dst: inode, index and so on of the chunk that changes; offset, length and
 *	flags are 0
 * @src_ino, @src_gen, @src_epoch, @src_index: the other chunk, of the same file
 *	system and with the same chunk size; where it is not there, holes follow
 *
 * No data moves: both chunks name the same blocks until one of them is written.
 * The reply's length is the size of the chunk.
 */
struct flint_clone {
	struct flint_io dst;
	__le64 src_ino;
	__le32 src_gen;
	__le32 src_epoch;
	__le32 src_index;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_clone, 80);

/**
 * struct flint_cut - remove an inode's data at and beyond @size on one target
 *
 * Sent by the metadata server to every chain of the file's stripe. From then
 * on the target refuses data requests for the inode with an older generation
 * or truncate epoch. With FLINT_CUT_REMOVE the inode is gone: everything is
 * removed and a tombstone stays.
 */
struct flint_cut {
	__le32 chain;
	__le32 chain_ver;
	__le32 target;
	__le32 fs;
	__le64 ino;
	__le32 gen;
	__le32 trunc_epoch;		/* the new one */
	__le64 size;
	__u8 chunk_shift;
	__u8 reserved[3];
	__le32 flags;
};

FLINT_ASSERT_SIZE(struct flint_cut, 48);

#define FLINT_CUT_REMOVE	0x1

struct flint_cut_rep {
	__le64 freed;			/* bytes */
	/* 8 bytes in version 1.0 */
	__le64 room;			/* as in struct flint_forward_rep */
};

#define FLINT_CUT_REP_MIN	8

FLINT_ASSERT_SIZE(struct flint_cut_rep, 16);

/**
 * struct flint_ino_stat - where do an inode's chunks of one chain end?
 *
 * Asked by the metadata server when a writer that kept the file's size is gone and
 * fenced: any serving target of the chain has all that was acknowledged.
 */
struct flint_ino_stat {
	__le32 chain;
	__le32 chain_ver;
	__le32 target;
	__le32 fs;
	__le64 ino;
	__le32 gen;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_ino_stat, 32);

/* Of the chunk with the highest index; @nr_chunks 0: there is none. */
struct flint_ino_stat_rep {
	__le64 nr_chunks;
	__le32 index;
	__le32 size;			/* bytes that exist in it */
	__le32 trunc_epoch;		/* newest that the target has seen */
	__u8 chunk_shift;
	__u8 reserved[3];
};

FLINT_ASSERT_SIZE(struct flint_ino_stat_rep, 24);

struct flint_target_req {
	__le32 target;
	__le32 reserved;
};

FLINT_ASSERT_SIZE(struct flint_target_req, 8);

struct flint_target_stat {
	__le64 capacity;
	__le64 used;
	__le64 chunks;
	__le64 inodes;
	__le64 read_bytes;		/* since start */
	__le64 write_bytes;		/* payload received */
	__le64 device_write_bytes;	/* data and log written to the device */
	__le64 crc_errors;
};

FLINT_ASSERT_SIZE(struct flint_target_stat, 64);

#endif /* _UAPI_FLINTFS_WIRE_H */
