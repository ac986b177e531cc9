/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints. Events name mounts, connections and requests by
 * numbers (a connection's id counts up and is never used again), never by
 * pointers: a trace may be read long after what it speaks of is gone.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM flintfs

#if !defined(_FLINT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _FLINT_TRACE_H

#include <linux/tracepoint.h>

#define FLINT_TRACE_STATES						\
	{ 0, "connecting" }, { 1, "hello" }, { 2, "live" },		\
	{ 3, "draining" }, { 4, "dead" }

TRACE_EVENT(flint_conn_state,
	TP_PROTO(u32 conn, u32 from, u32 to, int err),
	TP_ARGS(conn, from, to, err),
	TP_STRUCT__entry(
		__field(u32, conn)
		__field(u32, from)
		__field(u32, to)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->conn = conn;
		__entry->from = from;
		__entry->to = to;
		__entry->err = err;
	),
	TP_printk("conn=%u %s -> %s err=%d", __entry->conn,
		  __print_symbolic(__entry->from, FLINT_TRACE_STATES),
		  __print_symbolic(__entry->to, FLINT_TRACE_STATES), __entry->err)
);

/* A request was posted. */
TRACE_EVENT(flint_req_send,
	TP_PROTO(u32 conn, u32 tag, u16 op, u32 len, u32 nr_desc, u32 inflight, u64 trace),
	TP_ARGS(conn, tag, op, len, nr_desc, inflight, trace),
	TP_STRUCT__entry(
		__field(u64, trace)
		__field(u32, conn)
		__field(u32, tag)
		__field(u32, len)
		__field(u32, nr_desc)
		__field(u32, inflight)
		__field(u16, op)
	),
	TP_fast_assign(
		__entry->conn = conn;
		__entry->tag = tag;
		__entry->op = op;
		__entry->len = len;
		__entry->nr_desc = nr_desc;
		__entry->trace = trace;
		__entry->inflight = inflight;
	),
	TP_printk("conn=%u tag=%08x op=%#x data=%u mrs=%u inflight=%u trace=%016llx",
		  __entry->conn, __entry->tag, __entry->op, __entry->len, __entry->nr_desc,
		  __entry->inflight, __entry->trace)
);

/* A reply was accepted for a request. */
TRACE_EVENT(flint_req_reply,
	TP_PROTO(u32 conn, u32 tag, u16 op, u32 status, u32 len, u32 credits),
	TP_ARGS(conn, tag, op, status, len, credits),
	TP_STRUCT__entry(
		__field(u32, conn)
		__field(u32, tag)
		__field(u32, status)
		__field(u32, len)
		__field(u32, credits)
		__field(u16, op)
	),
	TP_fast_assign(
		__entry->conn = conn;
		__entry->tag = tag;
		__entry->op = op;
		__entry->status = status;
		__entry->len = len;
		__entry->credits = credits;
	),
	TP_printk("conn=%u tag=%08x op=%#x status=%u data=%u credits=%u", __entry->conn,
		  __entry->tag, __entry->op, __entry->status, __entry->len, __entry->credits)
);

/* A request ended, us after it was submitted (after it was sent, if it is the transport's own). */
TRACE_EVENT(flint_req_end,
	TP_PROTO(u32 tag, u16 op, int err, u32 status, u32 us),
	TP_ARGS(tag, op, err, status, us),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(int, err)
		__field(u32, status)
		__field(u32, us)
		__field(u16, op)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->op = op;
		__entry->err = err;
		__entry->status = status;
		__entry->us = us;
	),
	TP_printk("tag=%08x op=%#x err=%d status=%u us=%u", __entry->tag, __entry->op,
		  __entry->err, __entry->status, __entry->us)
);

/* A submitter has to wait: want is 1 for a connection or credit, 2 for a region. */
TRACE_EVENT(flint_req_wait,
	TP_PROTO(u16 op, u32 want),
	TP_ARGS(op, want),
	TP_STRUCT__entry(
		__field(u32, want)
		__field(u16, op)
	),
	TP_fast_assign(
		__entry->op = op;
		__entry->want = want;
	),
	TP_printk("op=%#x for=%s", __entry->op,
		  __print_symbolic(__entry->want, { 1, "credit" }, { 2, "region" }))
);

/* What happened to a memory region. */
DECLARE_EVENT_CLASS(flint_mr,
	TP_PROTO(u32 rkey, u32 len, u32 nents),
	TP_ARGS(rkey, len, nents),
	TP_STRUCT__entry(
		__field(u32, rkey)
		__field(u32, len)
		__field(u32, nents)
	),
	TP_fast_assign(
		__entry->rkey = rkey;
		__entry->len = len;
		__entry->nents = nents;
	),
	TP_printk("rkey=%#x len=%u nents=%u", __entry->rkey, __entry->len, __entry->nents)
);

DEFINE_EVENT(flint_mr, flint_mr_map, TP_PROTO(u32 rkey, u32 len, u32 nents),
	     TP_ARGS(rkey, len, nents));
DEFINE_EVENT(flint_mr, flint_mr_reminv, TP_PROTO(u32 rkey, u32 len, u32 nents),
	     TP_ARGS(rkey, len, nents));
DEFINE_EVENT(flint_mr, flint_mr_localinv, TP_PROTO(u32 rkey, u32 len, u32 nents),
	     TP_ARGS(rkey, len, nents));
DEFINE_EVENT(flint_mr, flint_mr_scrap, TP_PROTO(u32 rkey, u32 len, u32 nents),
	     TP_ARGS(rkey, len, nents));

/* A work completion with an error, of a send (0), receive (1) or region (2). */
TRACE_EVENT(flint_wc_error,
	TP_PROTO(u32 conn, u32 kind, u32 status, u32 vendor),
	TP_ARGS(conn, kind, status, vendor),
	TP_STRUCT__entry(
		__field(u32, conn)
		__field(u32, kind)
		__field(u32, status)
		__field(u32, vendor)
	),
	TP_fast_assign(
		__entry->conn = conn;
		__entry->kind = kind;
		__entry->status = status;
		__entry->vendor = vendor;
	),
	TP_printk("conn=%u %s status=%u vendor=%#x", __entry->conn,
		  __print_symbolic(__entry->kind, { 0, "send" }, { 1, "recv" }, { 2, "region" }),
		  __entry->status, __entry->vendor)
);

/* ---- of a mount: inst is its number, as in the name of its sysfs directory ---- */

/* A metadata call was not answered, or told to try again: attempt number tries failed. */
TRACE_EVENT(flint_meta_retry,
	TP_PROTO(u32 inst, u16 op, u32 tries, int err, u32 status),
	TP_ARGS(inst, op, tries, err, status),
	TP_STRUCT__entry(
		__field(u32, inst)
		__field(u32, tries)
		__field(int, err)
		__field(u32, status)
		__field(u16, op)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->tries = tries;
		__entry->err = err;
		__entry->status = status;
		__entry->op = op;
	),
	TP_printk("inst=%u op=%#x tries=%u err=%d status=%u", __entry->inst, __entry->op,
		  __entry->tries, __entry->err, __entry->status)
);

/* Another metadata server is asked from now on. */
TRACE_EVENT(flint_meta_move,
	TP_PROTO(u32 inst, u32 from, u32 to),
	TP_ARGS(inst, from, to),
	TP_STRUCT__entry(
		__field(u32, inst)
		__field(u32, from)
		__field(u32, to)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("inst=%u node %u -> %u", __entry->inst, __entry->from, __entry->to)
);

/* The metadata server does not take this mount's session any more. */
TRACE_EVENT(flint_session_lost,
	TP_PROTO(u32 inst, u64 session, u32 status),
	TP_ARGS(inst, session, status),
	TP_STRUCT__entry(
		__field(u64, session)
		__field(u32, inst)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->session = session;
		__entry->status = status;
	),
	TP_printk("inst=%u session=%llu status=%u", __entry->inst, __entry->session,
		  __entry->status)
);

/* A newer cluster map is in use. */
TRACE_EVENT(flint_map,
	TP_PROTO(u32 inst, u64 from, u64 to, u32 nodes, u32 chains),
	TP_ARGS(inst, from, to, nodes, chains),
	TP_STRUCT__entry(
		__field(u64, from)
		__field(u64, to)
		__field(u32, inst)
		__field(u32, nodes)
		__field(u32, chains)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->from = from;
		__entry->to = to;
		__entry->nodes = nodes;
		__entry->chains = chains;
	),
	TP_printk("inst=%u epoch %llu -> %llu nodes=%u chains=%u", __entry->inst, __entry->from,
		  __entry->to, __entry->nodes, __entry->chains)
);

/* What happened to the lease of an inode: granted, recalled. */
DECLARE_EVENT_CLASS(flint_lease,
	TP_PROTO(u32 inst, u64 ino, u32 kinds, u64 seq),
	TP_ARGS(inst, ino, kinds, seq),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u64, seq)
		__field(u32, inst)
		__field(u32, kinds)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->ino = ino;
		__entry->kinds = kinds;
		__entry->seq = seq;
	),
	TP_printk("inst=%u ino=%llu kinds=%s seq=%llu", __entry->inst, __entry->ino,
		  __print_flags(__entry->kinds, "|", { 1, "read" }, { 2, "dir" }, { 4, "write" },
				{ 8, "dir-write" }), __entry->seq)
);

DEFINE_EVENT(flint_lease, flint_lease_take, TP_PROTO(u32 inst, u64 ino, u32 kinds, u64 seq),
	     TP_ARGS(inst, ino, kinds, seq));
DEFINE_EVENT(flint_lease, flint_lease_recall, TP_PROTO(u32 inst, u64 ino, u32 kinds, u64 seq),
	     TP_ARGS(inst, ino, kinds, seq));

/* Leases were given back: nr of them, asked for by a push or of our own (0). */
TRACE_EVENT(flint_lease_return,
	TP_PROTO(u32 inst, u64 push, u32 nr, int err),
	TP_ARGS(inst, push, nr, err),
	TP_STRUCT__entry(
		__field(u64, push)
		__field(u32, inst)
		__field(u32, nr)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->push = push;
		__entry->nr = nr;
		__entry->err = err;
	),
	TP_printk("inst=%u push=%llu nr=%u err=%d", __entry->inst, __entry->push, __entry->nr,
		  __entry->err)
);

/* Another leadership: all leases of the one before are gone. */
TRACE_EVENT(flint_lease_drop,
	TP_PROTO(u32 inst, u64 epoch, u64 nr),
	TP_ARGS(inst, epoch, nr),
	TP_STRUCT__entry(
		__field(u64, epoch)
		__field(u64, nr)
		__field(u32, inst)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->epoch = epoch;
		__entry->nr = nr;
	),
	TP_printk("inst=%u epoch=%llu nr=%llu", __entry->inst, __entry->epoch, __entry->nr)
);

/* A file lock is asked for that may have to wait. */
TRACE_EVENT(flint_lock_wait,
	TP_PROTO(u32 inst, u64 ino, u32 kind, u32 type),
	TP_ARGS(inst, ino, kind, type),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u32, inst)
		__field(u32, kind)
		__field(u32, type)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->ino = ino;
		__entry->kind = kind;
		__entry->type = type;
	),
	TP_printk("inst=%u ino=%llu kind=%u type=%u", __entry->inst, __entry->ino, __entry->kind,
		  __entry->type)
);

/* It was granted (0), or not. */
TRACE_EVENT(flint_lock_done,
	TP_PROTO(u32 inst, u64 ino, int err, u32 ms),
	TP_ARGS(inst, ino, err, ms),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u32, inst)
		__field(int, err)
		__field(u32, ms)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->ino = ino;
		__entry->err = err;
		__entry->ms = ms;
	),
	TP_printk("inst=%u ino=%llu err=%d ms=%u", __entry->inst, __entry->ino, __entry->err,
		  __entry->ms)
);

/* A file lock is another's since another metadata server took over. */
TRACE_EVENT(flint_lock_lost,
	TP_PROTO(u32 inst, u64 ino, u32 status),
	TP_ARGS(inst, ino, status),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u32, inst)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->ino = ino;
		__entry->status = status;
	),
	TP_printk("inst=%u ino=%llu status=%u", __entry->inst, __entry->ino, __entry->status)
);

/* Data that the application was told to be written, or is about to be told, was not. */
TRACE_EVENT(flint_write_error,
	TP_PROTO(u32 inst, u64 ino, u64 pos, u64 len, int err),
	TP_ARGS(inst, ino, pos, len, err),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u64, pos)
		__field(u64, len)
		__field(u32, inst)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->inst = inst;
		__entry->ino = ino;
		__entry->pos = pos;
		__entry->len = len;
		__entry->err = err;
	),
	TP_printk("inst=%u ino=%llu pos=%llu len=%llu err=%d", __entry->inst, __entry->ino,
		  __entry->pos, __entry->len, __entry->err)
);

#endif /* _FLINT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE flint_trace
#include <trace/define_trace.h>
