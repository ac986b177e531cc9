/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Result windows: what was answered to each mutating request of a client that
 * the client may still repeat (decisions: exactly once on the data path).
 *
 * One window per (client id, session epoch). A request's sequence enters the
 * window when it is admitted and stays, with its result, until the client says
 * by seq_low that it has seen the answer. The result travels in the log record
 * of the change itself, so window and data never disagree after a crash.
 */
#ifndef FLINT_CHUNK_WINDOW_H
#define FLINT_CHUNK_WINDOW_H

#include "../../uapi/flintfs/types.h"

#define FLINT_WINDOW_MAX	65536u	/* results of one client */
#define FLINT_SEQ_NONE		(~0ull)	/* no request's sequence: an entry that was given up */
#define FLINT_WINDOW_KEEP_S	86400u	/* a client silent for so long is forgotten */

struct flint_sop;

struct flint_result {
	u64 seq;		/* 0: free; ~0: was given up */
	u64 version;
	u32 print;		/* fingerprint of the request */
	u32 length;
	struct flint_sop *op;	/* under way; NULL: done */
};

struct flint_client {
	u8 id[16];
	u64 session;
	u64 seq_low;		/* highest seen */
	u64 stamp_s;		/* last use */
	struct flint_result *tab;
	u32 cap;		/* a power of two, or 0 */
	u32 used;		/* not free, given up included */
	u32 running;
	struct flint_client *next;	/* hash chain */
};

struct flint_windows {
	struct flint_client **hash;
	u32 mask;
	u32 nr;
	struct flint_client *last;	/* used last */
};

enum flint_window_answer {
	FLINT_WINDOW_NEW,	/* entered as running: go on */
	FLINT_WINDOW_DONE,	/* answer with *res */
	FLINT_WINDOW_RUNNING,	/* wait for res->op */
	FLINT_WINDOW_REFUSED,	/* below seq_low, or another request's sequence */
	FLINT_WINDOW_FULL,	/* too many unfinished: try again */
};

int flint_windows_init(struct flint_windows *w);
void flint_windows_free(struct flint_windows *w);

/* A result that the client may still ask for. */
static inline bool flint_result_wanted(const struct flint_client *c, const struct flint_result *e)
{
	return e->seq && e->seq != FLINT_SEQ_NONE && !e->op && e->seq >= c->seq_low;
}

u32 flint_client_bucket(const struct flint_windows *w, const u8 id[16], u64 session);
/* Find or make. NULL: no memory. */
struct flint_client *flint_client_get(struct flint_windows *w, const u8 id[16], u64 session);

/**
 * flint_window_enter() - may this request be carried out?
 * @res: result: the entry, valid until the next call
 */
enum flint_window_answer flint_window_enter(struct flint_client *c, u64 seq, u64 seq_low,
					    u32 print, struct flint_sop *op,
					    struct flint_result **res);
/**
 * flint_window_given() - the same for a change that a predecessor has made
 *
 * It is never refused: REFUSED says that the client does not wait for it any
 * more, FULL that it cannot be remembered before it is done.
 */
enum flint_window_answer flint_window_given(struct flint_client *c, u64 seq, u64 seq_low,
					    u32 print, struct flint_sop *op,
					    struct flint_result **res);
/*
 * The change is durable (live or replayed). While its operation is under way,
 * flint_window_settle() has yet to come. Return: 0 or -ENOMEM.
 */
int flint_window_done(struct flint_client *c, u64 seq, u64 seq_low, u32 print, u64 version,
		      u32 length);
/* As flint_window_done(), of a checkpoint or another replica: what runs here goes on. */
int flint_window_merge(struct flint_client *c, u64 seq, u64 seq_low, u32 print, u64 version,
		       u32 length);
/* The operation is over, the request has its result. */
void flint_window_settle(struct flint_client *c, u64 seq, u64 version, u32 length);
/* The request had no effect; a repetition runs again. */
void flint_window_abort(struct flint_client *c, u64 seq);
/* Forget all results; what is under way stays. */
void flint_windows_forget(struct flint_windows *w);
/* Forget clients that were silent since before @stamp_s. */
void flint_windows_expire(struct flint_windows *w, u64 stamp_s);
/* Seconds since 1970, cheaply. */
u64 flint_now_s(void);

#endif /* FLINT_CHUNK_WINDOW_H */
