// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state machine of a chain. One pure function: no clock, no I/O, nothing
 * kept between calls. Each member's next state is looked up in chainrows.h,
 * which the model tests/model/chain.pml includes too; here is only who is
 * chosen, whose turn it is, and the order that follows.
 *
 * Invariants, which the model and tests/unit/mgr_chainstate_test.c check:
 *  - a SERVING member is never made one of a chain that may have gone on without
 *    it: only SYNCED and members of the last-serving set become SERVING;
 *  - the last-serving set (LASTSRV) is the whole set of members that served when
 *    nobody was left, and nobody serves while it exists;
 *  - at most one member is SYNCING, and only while one serves;
 *  - the order is SERVING, LASTSRV, SYNCING, WAITING, OFFLINE; within each, as
 *    it was.
 */
#include <stddef.h>

#include "chainstate.h"

#define ROW(state, live, holds, next) \
	[FLINT_TARGET_##state][MGR_LIVE_##live][MGR_CHAIN_##holds] = FLINT_TARGET_##next + 1,
static const u8 mgr_rows[FLINT_TARGET_SERVING + 1][MGR_LIVE_NR][MGR_CHAIN_NR] = {
#include "chainrows.h"
};
#undef ROW

/**
 * mgr_target_row() - look a target up in the transition table
 *
 * Return: the next state, or -1 for what cannot be.
 */
int mgr_target_row(u8 state, u8 live, u8 holds)
{
	if (state > FLINT_TARGET_SERVING || live >= MGR_LIVE_NR || holds >= MGR_CHAIN_NR)
		return -1;
	return mgr_rows[state][live][holds] - 1;
}

/* Its process, whichever it is, is heard. */
static bool member_here(const struct mgr_member *m)
{
	return m->live == MGR_LIVE_HEARD || m->live == MGR_LIVE_RESTARTED;
}

static struct mgr_member *member_find(struct mgr_member *m, unsigned int nr, u8 state, u8 live)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (m[i].state == state && m[i].live == live)
			return &m[i];
	return NULL;
}

static bool chain_has(const struct mgr_member *m, unsigned int nr, u8 state)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (m[i].state == state)
			return true;
	return false;
}

static void member_step(struct mgr_member *m, u8 holds)
{
	int next = mgr_target_row(m->state, m->live, holds);

	if (next < 0)
		return;
	/* Whoever is held back is neither WAITING nor SYNCING; serving goes first. */
	if (m->wish && (next == FLINT_TARGET_WAITING || next == FLINT_TARGET_SYNCING))
		next = FLINT_TARGET_OFFLINE;
	if (member_here(m) && (next != FLINT_TARGET_SERVING || holds == MGR_CHAIN_CHOSEN))
		m->admit = true;
	m->state = next;
}

/* Of those of @state whose process is here: one that is not held back, if there is one. */
static struct mgr_member *member_choose(struct mgr_member *m, unsigned int nr, u8 state)
{
	struct mgr_member *held = NULL;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (m[i].state != state || !member_here(&m[i]))
			continue;
		if (!m[i].wish)
			return &m[i];
		if (!held)
			held = &m[i];
	}
	return held;
}

/* The members that serve. Return: what holds for the chain afterwards. */
static u8 chain_serving(struct mgr_member *m, unsigned int nr)
{
	struct mgr_member *chosen = NULL;
	unsigned int i;
	u8 holds;

	if (member_find(m, nr, FLINT_TARGET_SERVING, MGR_LIVE_HEARD))
		holds = MGR_CHAIN_GOES;
	else if (member_find(m, nr, FLINT_TARGET_SERVING, MGR_LIVE_SILENT))
		holds = MGR_CHAIN_WAIT;
	else
		holds = MGR_CHAIN_LAST;
	if (holds == MGR_CHAIN_LAST) {
		chosen = member_choose(m, nr, chain_has(m, nr, FLINT_TARGET_SERVING)
				       ? FLINT_TARGET_SERVING : FLINT_TARGET_LASTSRV);
		if (chosen)
			holds = MGR_CHAIN_GOES;
	}
	for (i = 0; i < nr && chosen; i++)
		m[i].anew = m[i].state == FLINT_TARGET_SYNCING;
	for (i = 0; i < nr; i++)
		if (m[i].state == FLINT_TARGET_SERVING || m[i].state == FLINT_TARGET_LASTSRV)
			member_step(&m[i], &m[i] == chosen ? MGR_CHAIN_CHOSEN : holds);
	return holds;
}

/* Who begins to sync, when nobody does: the first that can. */
static struct mgr_member *chain_turn(struct mgr_member *m, unsigned int nr, u8 holds)
{
	unsigned int i;

	if (holds == MGR_CHAIN_LAST)
		return NULL;
	for (i = 0; i < nr; i++)
		if (m[i].state == FLINT_TARGET_SYNCING && m[i].live >= MGR_LIVE_SILENT &&
		    m[i].live != MGR_LIVE_RESTARTED && !m[i].wish)
			return NULL;
	for (i = 0; i < nr; i++)
		if (m[i].state <= FLINT_TARGET_SYNCING && member_here(&m[i]) && m[i].ready &&
		    !m[i].wish && !m[i].admit)
			return &m[i];
	return NULL;
}

static void chain_recovering(struct mgr_member *m, unsigned int nr, u8 holds)
{
	struct mgr_member *turn = chain_turn(m, nr, holds);
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (m[i].state <= FLINT_TARGET_SYNCING && !m[i].admit)
			member_step(&m[i], &m[i] == turn ? MGR_CHAIN_TURN : holds);
}

/* Those that are to leave for good are gone as soon as nothing depends on them. */
static void chain_drop(struct mgr_member *m, unsigned int *nr)
{
	unsigned int i, keep = 0;

	for (i = 0; i < *nr; i++)
		if (m[i].wish != MGR_WISH_DROP || m[i].state >= FLINT_TARGET_LASTSRV ||
		    (keep == 0 && i == *nr - 1))
			m[keep++] = m[i];
	*nr = keep;
}

/* Put members in order: SERVING first ... OFFLINE last; few enough for insertion. */
void mgr_chain_sort(struct mgr_member *m, unsigned int nr)
{
	static const u8 rank[] = {
		[FLINT_TARGET_SERVING] = 0, [FLINT_TARGET_LASTSRV] = 1,
		[FLINT_TARGET_SYNCING] = 2, [FLINT_TARGET_WAITING] = 3,
		[FLINT_TARGET_OFFLINE] = 4,
	};
	unsigned int i, j;

	for (i = 1; i < nr; i++) {
		struct mgr_member t = m[i];

		for (j = i; j > 0 && rank[m[j - 1].state] > rank[t.state]; j--)
			m[j] = m[j - 1];
		m[j] = t;
	}
}

/**
 * mgr_chain_next() - the next chain
 * @m: its members in order, states valid; replaced by the next ones
 * @nr: how many, 1..FLINT_CHAIN_MAX; fewer afterwards when one has left for good
 *
 * Calling it again with the same facts changes nothing, except that a process
 * that was admitted is HEARD then.
 *
 * Return: has the chain changed: its version grows? A member that is told to
 * begin anew (SERVING after a restart, SYNCING again) counts.
 */
bool mgr_chain_next(struct mgr_member *m, unsigned int *nr)
{
	struct mgr_member before[FLINT_CHAIN_MAX];
	unsigned int i, had = *nr;
	bool changed = false;
	u8 holds;

	for (i = 0; i < had; i++) {
		m[i].admit = false;
		m[i].anew = false;
		before[i] = m[i];
	}
	for (i = 0; i < had; i++)
		if (m[i].state == FLINT_TARGET_SYNCING && m[i].ready && !m[i].wish &&
		    (m[i].live == MGR_LIVE_HEARD || m[i].live == MGR_LIVE_SILENT))
			member_step(&m[i], MGR_CHAIN_SYNCED);
	holds = chain_serving(m, had);
	chain_recovering(m, had, holds);
	for (i = 0; i < had; i++)
		changed |= m[i].state != before[i].state ||
			   (m[i].admit && m[i].live == MGR_LIVE_RESTARTED &&
			    (m[i].state == FLINT_TARGET_SERVING ||
			     m[i].state == FLINT_TARGET_SYNCING));
	chain_drop(m, nr);
	mgr_chain_sort(m, *nr);
	for (i = 0; i < *nr; i++)
		changed |= m[i].target != before[i].target;
	return changed || *nr != had;
}
