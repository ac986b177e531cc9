// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's own commands and sessions' leases: what the reaper is about to
 * change is recalled first, like for a request, so that nobody answers from memory
 * what others have seen to be otherwise.
 *
 * Nothing of a session waits for such a change, and it waits for leases only,
 * which come back or end with their session; so it cannot deadlock. Write leases
 * stay: no command of the server changes what a sole writer keeps, and one that is
 * to be given back may need the cut whose end this is. For the same reason the
 * session that truncates keeps what it has, and nothing is granted while data is
 * being cut.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "grants.h"
#include "trash.h"

#define EMPTY_MAX	2048	/* entries that one TRASH_EMPTY looks at */

/**
 * struct metad_own - inodes that a command of the server is about to change
 * @lc: as many as are needed
 * @left: of them that are not ready
 */
struct metad_own {
	struct metad *m;
	void (*go)(void *arg, bool ok);
	void *arg;
	struct flint_task task;
	struct metad_own *next, **prev;
	u32 nr, left;
	struct lease_change lc[];
};

static void own_go(struct flint_task *t)
{
	struct metad_own *w = (struct metad_own *)((char *)t - offsetof(struct metad_own, task));

	w->go(w->arg, true);
}

static void own_post(struct metad_own *w)
{
	w->task.fn = own_go;
	flint_loop_post(w->m->loop, &w->task);
}

struct metad_own *metad_own_begin(struct metad *m, u64 sid, const u64 *inos, u32 nr,
				  void (*go)(void *arg, bool ok), void *arg)
{
	u32 n = lease_tracking(metad_lease_table(m)) ? (nr + LEASE_ITEMS_MAX - 1) / LEASE_ITEMS_MAX : 0;
	struct metad_own *w = calloc(1, sizeof(*w) + n * sizeof(w->lc[0]));
	u32 i;
	int rc;

	if (!w)
		return NULL;
	w->m = m;
	w->go = go;
	w->arg = arg;
	for (i = 0; n && i < nr; i++)
		lease_change_add(&w->lc[i / LEASE_ITEMS_MAX], inos[i], LEASE_SET_OWN);
	w->next = m->owns;
	w->prev = &m->owns;
	if (w->next)
		w->next->prev = &w->next;
	m->owns = w;
	for (; w->nr < n; w->nr++) {
		w->lc[w->nr].priv = w;
		w->lc[w->nr].own = true;
		w->lc[w->nr].sid = sid;
		rc = lease_change_begin(metad_lease_table(m), &w->lc[w->nr], flint_now_ns());
		if (rc < 0) {
			metad_own_end(w);
			return NULL;
		}
		w->left += !rc;
	}
	if (!w->left)
		own_post(w);
	return w;
}

/* From inside the table. */
void metad_own_ready(struct lease_change *lc)
{
	struct metad_own *w = lc->priv;

	if (!--w->left)
		own_post(w);
}

void metad_own_end(struct metad_own *w)
{
	if (!w)
		return;
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	while (w->nr--)
		lease_change_end(metad_lease_table(w->m), &w->lc[w->nr]);
	free(w);
}

void metad_owns_fail(struct metad *m)
{
	struct metad_own *w, *next;

	for (w = m->owns; w; w = next) {
		next = w->next;
		if (w->left)
			w->go(w->arg, false);
	}
}

/* ---- emptying the trash -------------------------------------------------------------- */

struct emptying {
	struct metad *m;
	struct flint_call *call;
	struct metad_own *own;
	u64 sid;
	u32 fs;
};

static void emptying_go(void *arg, bool ok)
{
	struct emptying e = *(struct emptying *)arg;

	free(arg);
	/* Of what lies in the trash nothing is granted any more: no marks are needed. */
	metad_own_end(e.own);
	if (ok && e.m->leading)
		metad_change_mutate(e.m, e.call, e.sid, e.fs, NULL, 0);
	else
		metad_not_leader(e.m, e.call);
}

/*
 * What goes into the trash while the request waits was not looked at, and who removes it may
 * keep what it was leased: that stays. Time stamps of commands rise, so those of what was not
 * seen are above the last one applied. In place: the request's buffer is its own.
 */
static void bound(const struct metad *m, const struct flint_call *call,
		  const struct flint_trash_empty *b)
{
	u64 before = le64_to_cpu(b->before), seen = m->store.c.last_ts + 1;
	__le64 word = cpu_to_le64(before && before < seen ? before : seen);

	memcpy((u8 *)call->msg.body + offsetof(struct flint_trash_empty, before), &word,
	       sizeof(word));
}

void metad_trash_empty(struct metad *m, struct flint_call *call, u64 sid, u32 fs)
{
	struct flint_trash_empty b;
	struct emptying *e = NULL;
	u64 inos[EMPTY_MAX];
	u32 nr = 1;

	if (flint_body_get(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len) ||
	    !lease_tracking(metad_lease_table(m))) {
		metad_change_mutate(m, call, sid, fs, NULL, 0);
		return;
	}
	inos[0] = le64_to_cpu(b.id);
	if (!inos[0])
		bound(m, call, &b);
	if (inos[0] || !meta_trash_peek(&m->store, fs, le64_to_cpu(b.after), inos, EMPTY_MAX, &nr))
		e = calloc(1, sizeof(*e));
	if (e) {
		*e = (struct emptying){ .m = m, .call = call, .sid = sid, .fs = fs };
		e->own = metad_own_begin(m, 0, inos, nr, emptying_go, e);
	}
	if (e && e->own)
		return;
	free(e);
	flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
}
