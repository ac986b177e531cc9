// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the Raft core keeps of its log: term, size and kind of each entry, and
 * every configuration in it. Invariants are at struct raft_log. Nothing here
 * allocates but raft_log_reserve().
 */
#include <stdlib.h>

#include "raft_int.h"

static struct raft_slot *slot(const struct raft_log *l, u64 index)
{
	return &l->slot[index & (l->cap - 1)];
}

/* Room for so many more. Return: 0 or -ENOMEM, with nothing changed. */
int raft_log_reserve(struct raft_log *l, u64 entries, u32 confs)
{
	u64 want = l->last - l->base + entries, cap = l->cap ? l->cap : 64, i;
	struct raft_conf_entry *c;
	struct raft_slot *s;

	if (l->nr_confs + confs > l->cap_confs) {
		c = realloc(l->confs, (l->nr_confs + confs + 4) * sizeof(*c));
		if (!c)
			return -ENOMEM;
		l->confs = c;
		l->cap_confs = l->nr_confs + confs + 4;
	}
	while (cap < want)
		cap *= 2;
	if (cap == l->cap)
		return 0;
	s = malloc(cap * sizeof(*s));
	if (!s)
		return -ENOMEM;
	for (i = l->base + 1; i <= l->last; i++)
		s[i & (cap - 1)] = *slot(l, i);
	free(l->slot);
	l->slot = s;
	l->cap = cap;
	return 0;
}

void raft_log_free(struct raft_log *l)
{
	free(l->slot);
	free(l->confs);
}

/* 0: not in the log. */
u64 raft_log_term(const struct raft_log *l, u64 index)
{
	if (index == l->base)
		return l->base_term;
	if (index < l->base || index > l->last)
		return 0;
	return slot(l, index)->term;
}

/* Update that makes everything up to @index durable. */
u64 raft_log_seq(const struct raft_log *l, u64 index)
{
	return index <= l->base ? l->base_seq : slot(l, index)->seq;
}

void raft_log_append(struct raft_log *l, const struct raft_entry *e, u64 seq)
{
	struct raft_conf_entry *c;
	struct raft_slot *s = slot(l, ++l->last);

	s->term = e->term;
	s->seq = seq;
	s->bytes = e->bytes;
	s->kind = e->kind;
	if (e->kind != RAFT_CONF)
		return;
	c = &l->confs[l->nr_confs++];
	c->index = l->last;
	raft_conf_decode(&c->conf, e->data, e->bytes);
}

/* Entries from @from on go, and with them their configurations. */
void raft_log_truncate(struct raft_log *l, u64 from)
{
	l->last = from - 1;
	if (l->durable > l->last)
		l->durable = l->last;
	while (l->nr_confs > 1 && l->confs[l->nr_confs - 1].index >= from)
		l->nr_confs--;
}

/* Entries up to @index, which is in the log, go. */
void raft_log_compact(struct raft_log *l, u64 index)
{
	u64 at = raft_log_conf(l, index) - l->confs;

	l->base_term = raft_log_term(l, index);
	l->base_seq = raft_log_seq(l, index);
	l->base = index;
	l->nr_confs -= at;
	memmove(l->confs, l->confs + at, l->nr_confs * sizeof(*l->confs));
}

/* The log becomes empty, after a snapshot that update @seq makes durable. */
void raft_log_reset(struct raft_log *l, u64 index, u64 term, const struct raft_conf *conf, u64 seq)
{
	l->base = l->last = index;
	l->base_term = term;
	l->base_seq = seq;
	if (l->durable >= index)
		l->durable = index - !!index;
	l->nr_confs = 1;
	l->confs[0].index = index;
	l->confs[0].conf = *conf;
}

/* Updates up to @seq are durable. */
void raft_log_durable(struct raft_log *l, u64 seq)
{
	if (l->durable < l->base && l->base_seq <= seq)
		l->durable = l->base;
	while (l->durable >= l->base && l->durable < l->last && slot(l, l->durable + 1)->seq <= seq)
		l->durable++;
}

/*
 * The last index up to @index whose term is at most @term: beyond it, no log
 * that has @term at @index can agree with this one. At least base.
 */
u64 raft_log_agree(const struct raft_log *l, u64 index, u64 term)
{
	u64 lo = l->base, hi = index < l->last ? index : l->last, mid;

	while (lo < hi) {
		mid = hi - (hi - lo) / 2;
		if (slot(l, mid)->term <= term)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

/* In force at @index. */
struct raft_conf_entry *raft_log_conf(const struct raft_log *l, u64 index)
{
	u32 i = l->nr_confs - 1;

	while (i && l->confs[i].index > index)
		i--;
	return &l->confs[i];
}
