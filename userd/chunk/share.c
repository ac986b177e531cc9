// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of shared blocks: open addressing, entries move up when one goes. */
#include <stdlib.h>
#include "share.h"

void flint_share_free(struct flint_share *s)
{
	free(s->tab);
	memset(s, 0, sizeof(*s));
}

static u32 home(const struct flint_share *s, u32 block)
{
	return (u32)(((u64)block * 0x9e3779b97f4a7c15ull) >> 32) & (s->cap - 1);
}

/* The block's entry, or the free one where it belongs. */
static u32 place(const struct flint_share *s, u32 block)
{
	u32 i = home(s, block);

	while (s->tab[i].block && s->tab[i].block != block + 1)
		i = (i + 1) & (s->cap - 1);
	return i;
}

static int grow(struct flint_share *s)
{
	struct flint_share old = *s;
	u32 i;

	s->cap = old.cap ? old.cap * 2 : 1024;
	s->tab = calloc(s->cap, sizeof(*s->tab));
	if (!s->tab) {
		*s = old;
		return -ENOMEM;
	}
	for (i = 0; i < old.cap; i++)
		if (old.tab[i].block)
			s->tab[place(s, old.tab[i].block - 1)] = old.tab[i];
	free(old.tab);
	return 0;
}

int flint_share_add(struct flint_share *s, u32 block)
{
	u32 i;

	if ((u64)s->nr * 3 >= (u64)s->cap * 2 && grow(s))
		return -ENOMEM;
	i = place(s, block);
	if (!s->tab[i].block) {
		s->tab[i].block = block + 1;
		s->nr++;
	}
	s->tab[i].extra++;
	return 0;
}

/* Close the gap at @i: what was pushed behind it moves up. */
static void fill_gap(struct flint_share *s, u32 i)
{
	u32 mask = s->cap - 1, j = i;

	for (;;) {
		u32 h;

		j = (j + 1) & mask;
		if (!s->tab[j].block)
			break;
		h = home(s, s->tab[j].block - 1);
		if (((j - h) & mask) < ((j - i) & mask))
			continue;	/* it is not before the gap that it wants to be */
		s->tab[i] = s->tab[j];
		i = j;
	}
	s->tab[i] = (struct flint_share_ent){ 0, 0 };
}

bool flint_share_drop(struct flint_share *s, u32 block)
{
	u32 i;

	if (!s->nr)
		return false;
	i = place(s, block);
	if (!s->tab[i].block)
		return false;
	if (!--s->tab[i].extra) {
		s->nr--;
		fill_gap(s, i);
	}
	return true;
}

u32 flint_share_extra(const struct flint_share *s, u32 block)
{
	return s->nr ? s->tab[place(s, block)].extra : 0;
}
