/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of the transport. Events name connections and requests by
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

/* A request ended, ms after it was sent. */
TRACE_EVENT(flint_req_end,
	TP_PROTO(u32 tag, u16 op, int err, u32 status, u32 ms),
	TP_ARGS(tag, op, err, status, ms),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(int, err)
		__field(u32, status)
		__field(u32, ms)
		__field(u16, op)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->op = op;
		__entry->err = err;
		__entry->status = status;
		__entry->ms = ms;
	),
	TP_printk("tag=%08x op=%#x err=%d status=%u ms=%u", __entry->tag, __entry->op,
		  __entry->err, __entry->status, __entry->ms)
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

#endif /* _FLINT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE flint_trace
#include <trace/define_trace.h>
