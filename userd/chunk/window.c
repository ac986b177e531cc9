// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Result windows: a hash table of clients, and for each an open-addressing
 * table of sequences that is rebuilt without the finished ones when it fills.
 */
#include <stdlib.h>
#include <time.h>
#include "window.h"

u64 flint_now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (u64)ts.tv_sec;
}

int flint_windows_init(struct flint_windows *w)
{
	memset(w, 0, sizeof(*w));
	w->mask = 1023;
	w->hash = calloc(w->mask + 1, sizeof(struct flint_client *));
	return w->hash ? 0 : -ENOMEM;
}

static void client_free(struct flint_client *c)
{
	free(c->tab);
	free(c);
}

void flint_windows_free(struct flint_windows *w)
{
	u32 i;

	for (i = 0; w->hash && i <= w->mask; i++) {
		while (w->hash[i]) {
			struct flint_client *c = w->hash[i];

			w->hash[i] = c->next;
			client_free(c);
		}
	}
	free(w->hash);
	memset(w, 0, sizeof(*w));
}

u32 flint_client_bucket(const struct flint_windows *w, const u8 id[16], u64 session)
{
	u64 a, b;

	memcpy(&a, id, 8);
	memcpy(&b, id + 8, 8);
	a = (a ^ (b * 0x9e3779b97f4a7c15ull) ^ session) * 0xbf58476d1ce4e5b9ull;
	return (u32)(a >> 32) & w->mask;
}

struct flint_client *flint_client_get(struct flint_windows *w, const u8 id[16], u64 session)
{
	struct flint_client *c = w->last;
	u32 h;

	if (c && c->session == session && !memcmp(c->id, id, 16))
		return c;
	h = flint_client_bucket(w, id, session);
	for (c = w->hash[h]; c; c = c->next)
		if (c->session == session && !memcmp(c->id, id, 16))
			goto out;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	memcpy(c->id, id, 16);
	c->session = session;
	c->stamp_s = flint_now_s();
	c->next = w->hash[h];
	w->hash[h] = c;
	w->nr++;
out:
	w->last = c;
	return c;
}

static u32 seq_slot(const struct flint_client *c, u64 seq)
{
	return (u32)((seq * 0x9e3779b97f4a7c15ull) >> 32) & (c->cap - 1);
}

static struct flint_result *result_find(const struct flint_client *c, u64 seq)
{
	u32 i;

	if (!c->cap)
		return NULL;
	for (i = seq_slot(c, seq); c->tab[i].seq; i = (i + 1) & (c->cap - 1))
		if (c->tab[i].seq == seq)
			return &c->tab[i];
	return NULL;
}

/* Make room for one more: drop what nobody can repeat, grow if that is not enough. */
static int window_room(struct flint_client *c)
{
	struct flint_result *old = c->tab;
	u32 cap = c->cap, n = 0, i;

	if (c->used * 4 < c->cap * 3)
		return 0;
	for (i = 0; i < cap; i++)
		n += old[i].seq && old[i].seq != FLINT_SEQ_NONE &&
		     (old[i].op || old[i].seq >= c->seq_low);
	if (n >= FLINT_WINDOW_MAX)
		return -EAGAIN;
	c->cap = 64;
	while (c->cap < n * 2 + 2)
		c->cap *= 2;
	c->tab = calloc(c->cap, sizeof(*c->tab));
	if (!c->tab) {
		c->tab = old;
		c->cap = cap;
		return -ENOMEM;
	}
	c->used = n;
	for (i = 0; i < cap; i++) {
		u32 j;

		if (!old[i].seq || old[i].seq == FLINT_SEQ_NONE ||
		    (!old[i].op && old[i].seq < c->seq_low))
			continue;
		for (j = seq_slot(c, old[i].seq); c->tab[j].seq; j = (j + 1) & (c->cap - 1))
			;
		c->tab[j] = old[i];
	}
	free(old);
	return 0;
}

static struct flint_result *result_add(struct flint_client *c, u64 seq)
{
	u32 i;

	if (window_room(c))
		return NULL;
	for (i = seq_slot(c, seq); c->tab[i].seq; i = (i + 1) & (c->cap - 1))
		;
	c->used++;
	c->tab[i].seq = seq;
	return &c->tab[i];
}

enum flint_window_answer flint_window_enter(struct flint_client *c, u64 seq, u64 seq_low,
					    u32 print, struct flint_sop *op,
					    struct flint_result **res)
{
	struct flint_result *r;

	if (!seq || seq == FLINT_SEQ_NONE || seq < c->seq_low)
		return FLINT_WINDOW_REFUSED;
	if (seq_low > c->seq_low)
		c->seq_low = seq_low;
	r = result_find(c, seq);
	*res = r;
	if (r) {
		if (r->print != print)
			return FLINT_WINDOW_REFUSED;
		return r->op ? FLINT_WINDOW_RUNNING : FLINT_WINDOW_DONE;
	}
	r = result_add(c, seq);
	if (!r)
		return FLINT_WINDOW_FULL;
	r->print = print;
	r->op = op;
	c->running++;
	*res = r;
	return FLINT_WINDOW_NEW;
}

enum flint_window_answer flint_window_given(struct flint_client *c, u64 seq, u64 seq_low,
					    u32 print, struct flint_sop *op,
					    struct flint_result **res)
{
	struct flint_result *r = result_find(c, seq);

	*res = r;
	if (r)
		return r->op ? FLINT_WINDOW_RUNNING : FLINT_WINDOW_DONE;
	if (seq_low > c->seq_low)
		c->seq_low = seq_low;
	if (!seq || seq == FLINT_SEQ_NONE || seq < c->seq_low)
		return FLINT_WINDOW_REFUSED;
	r = result_add(c, seq);
	if (!r)
		return FLINT_WINDOW_FULL;
	r->print = print;
	r->op = op;
	c->running++;
	*res = r;
	return FLINT_WINDOW_NEW;
}

int flint_window_done(struct flint_client *c, u64 seq, u64 seq_low, u32 print, u64 version,
		      u32 length)
{
	struct flint_result *r = result_find(c, seq);

	if (seq_low > c->seq_low)
		c->seq_low = seq_low;
	c->stamp_s = flint_now_s();
	if (!r) {
		if (seq < c->seq_low)
			return 0;
		r = result_add(c, seq);
		if (!r)
			return -ENOMEM;
		r->print = print;
	}
	r->version = version;
	r->length = length;
	return 0;
}

void flint_window_settle(struct flint_client *c, u64 seq, u64 version, u32 length)
{
	struct flint_result *r = result_find(c, seq);

	if (!r || !r->op)
		return;
	r->op = NULL;
	r->version = version;
	r->length = length;
	c->running--;
}

int flint_window_merge(struct flint_client *c, u64 seq, u64 seq_low, u32 print, u64 version,
		       u32 length)
{
	const struct flint_result *r = result_find(c, seq);

	if (r && r->op)
		return 0;
	return flint_window_done(c, seq, seq_low, print, version, length);
}

void flint_window_abort(struct flint_client *c, u64 seq)
{
	struct flint_result *r = result_find(c, seq);

	if (!r || !r->op)
		return;
	memset(r, 0, sizeof(*r));
	r->seq = FLINT_SEQ_NONE;
	c->running--;
}

void flint_windows_forget(struct flint_windows *w)
{
	struct flint_client *c;
	u32 i, j;

	for (i = 0; i <= w->mask; i++)
		for (c = w->hash[i]; c; c = c->next)
			for (j = 0; j < c->cap; j++)
				if (c->tab[j].seq && !c->tab[j].op) {
					memset(&c->tab[j], 0, sizeof(c->tab[j]));
					c->tab[j].seq = FLINT_SEQ_NONE;
				}
}

void flint_windows_expire(struct flint_windows *w, u64 stamp_s)
{
	u32 i;

	for (i = 0; i <= w->mask; i++) {
		struct flint_client **p = &w->hash[i];

		while (*p) {
			struct flint_client *c = *p;

			if (c->running || c->stamp_s >= stamp_s) {
				p = &c->next;
				continue;
			}
			*p = c->next;
			if (w->last == c)
				w->last = NULL;
			client_free(c);
			w->nr--;
		}
	}
}
