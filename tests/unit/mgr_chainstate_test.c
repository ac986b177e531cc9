// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state machine of a chain: every combination of up to three targets against
 * what the rules say in other words than the code. How chains evolve is the
 * model's business: tests/model/chain.pml runs this same code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mgr/chainstate.h"

#define S	FLINT_TARGET_SERVING
#define L	FLINT_TARGET_LASTSRV
#define Y	FLINT_TARGET_SYNCING
#define W	FLINT_TARGET_WAITING
#define O	FLINT_TARGET_OFFLINE

#define N_MAX	3

/* One of the 5 x 5 x 2 x 3 things that a member can be. */
#define MEMBERS	150u

static struct mgr_member member(unsigned int code, u32 id)
{
	return (struct mgr_member){
		.target = id, .state = code % 5, .live = code / 5 % 5, .ready = code / 25 % 2,
		.wish = code / 50 % 3,
	};
}

static unsigned int count(const struct mgr_member *m, unsigned int nr, u8 state)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr; i++)
		n += m[i].state == state;
	return n;
}

static const struct mgr_member *find(const struct mgr_member *m, unsigned int nr, u32 id)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (m[i].target == id)
			return &m[i];
	return NULL;
}

static bool here(const struct mgr_member *m)
{
	return m->live == MGR_LIVE_HEARD || m->live == MGR_LIVE_RESTARTED;
}

/* Chains that there can be: in order, and what the invariants say of a chain. */
static bool possible(const struct mgr_member *m, unsigned int nr)
{
	static const u8 rank[] = { [S] = 0, [L] = 1, [Y] = 2, [W] = 3, [O] = 4 };
	unsigned int i;

	for (i = 1; i < nr; i++)
		if (rank[m[i - 1].state] > rank[m[i].state])
			return false;
	if (count(m, nr, Y) > 1 || (count(m, nr, S) && count(m, nr, L)))
		return false;
	return !count(m, nr, Y) || count(m, nr, S);
}

static void invariants(const struct mgr_member *m, unsigned int nr)
{
	assert_true(possible(m, nr));
}

/* May @b, which served or not, serve now? By the words of replication.rst. */
static bool may_serve(const struct mgr_member *b)
{
	switch (b->state) {
	case S:
		return true;
	case L:
		return here(b);
	case Y:
		return b->ready && (b->live == MGR_LIVE_HEARD || b->live == MGR_LIVE_SILENT);
	default:
		break;
	}
	return false;
}

/* The rules, one by one, on one step. */
static void check_step(const struct mgr_member *was, unsigned int had, const struct mgr_member *is,
		       unsigned int nr, bool changed)
{
	unsigned int i, heard = 0, silent = 0, restarted = 0, serving = 0;
	bool differs = nr != had, fresh = false;

	for (i = 0; i < had; i++) {
		bool serves = was[i].state == S ||
			      (was[i].state == Y && !was[i].wish && may_serve(&was[i]));

		serving += serves;
		heard += serves && was[i].live == MGR_LIVE_HEARD;
		silent += serves && was[i].live == MGR_LIVE_SILENT;
		restarted += serves && was[i].live == MGR_LIVE_RESTARTED;
	}
	for (i = 0; i < had; i++) {
		const struct mgr_member *b = &was[i], *a = find(is, nr, b->target);

		if (!a) {	/* gone for good: asked for, and nothing depends on it */
			assert_int_equal(b->wish, MGR_WISH_DROP);
			assert_true(b->state < L || heard || (silent && b->live == MGR_LIVE_FAILED) ||
				    restarted || b->state == L);
			continue;
		}
		if (a->state == S)
			assert_true(may_serve(b));
		/* Whoever served and is not gone, failed or restarted goes on. */
		if (b->state == S && (b->live == MGR_LIVE_HEARD || b->live == MGR_LIVE_SILENT))
			assert_int_equal(a->state, S);
		/* What has its data leaves only a chain that is known to go on ... */
		if (b->state == S && a->state != S && a->state != L &&
		    b->live != MGR_LIVE_FAILED)
			assert_true(heard || restarted);
		/* ... and nobody waits for those that are known to be gone. */
		if (b->state == S && heard && b->live != MGR_LIVE_HEARD &&
		    b->live != MGR_LIVE_SILENT)
			assert_true(a->state < L);
		/* All that were left are the last-serving set. */
		if (b->state == S && serving && !heard && !silent && !restarted)
			assert_int_equal(a->state, L);
		if (a->state == L && b->state != L)
			assert_true(b->state == S && !heard && !silent && !restarted);
		/* A process serves only what it was given. */
		if (a->state == S && b->live == MGR_LIVE_RESTARTED && a->admit)
			fresh = true;
		if (a->state == S && b->live == MGR_LIVE_RESTARTED && !a->admit)
			assert_true(silent && !heard);
		if (a->anew)
			assert_true(a->state == Y || a->state < Y);
		if (a->admit)
			assert_true(here(b));
		if (b->live == MGR_LIVE_RESTARTED && a->state != S)
			assert_true(a->admit);
		if (a->wish && a->state != O)
			assert_true(a->state >= L);
		if (a->state == Y)
			assert_true(here(b) ? b->state == Y || b->ready : b->state == Y);
		differs |= a->state != b->state || is[i < nr ? i : 0].target != b->target;
		differs |= a->admit && b->live == MGR_LIVE_RESTARTED && a->state >= Y;
	}
	/* A chain of which a member with all data is there serves. */
	if (heard || silent || restarted)
		assert_true(count(is, nr, S) > 0);
	for (i = 0; i < had; i++)
		if (!serving && was[i].state == L && here(&was[i]))
			assert_int_equal(count(is, nr, S), 1);
	if (fresh)
		assert_int_equal(count(is, nr, S), 1);
	/* Who recovers from a process that was chosen begins anew. */
	for (i = 0; i < nr; i++)
		if (is[i].state == Y && fresh && find(was, had, is[i].target)->state == Y)
			assert_true(is[i].anew);
	/* Somebody who can sync does. */
	if (count(is, nr, S) && !count(is, nr, Y))
		for (i = 0; i < had; i++)
			assert_false(was[i].state <= W && here(&was[i]) && was[i].ready &&
				     !was[i].wish);
	assert_int_equal(changed, differs);
}

/* With the same facts, those that were admitted being known now, nothing more happens. */
static void check_settles(struct mgr_member *m, unsigned int nr)
{
	struct mgr_member again[N_MAX];
	unsigned int i, n = nr, rounds;

	for (rounds = 0; rounds < 4; rounds++) {
		bool changed;

		for (i = 0; i < n; i++) {
			if (m[i].admit && m[i].live == MGR_LIVE_RESTARTED)
				m[i].live = MGR_LIVE_HEARD;
			/* UPTODATE is of a recovery, ONLINE of before it. */
			m[i].ready = m[i].ready && m[i].state != Y && m[i].state != S;
		}
		memcpy(again, m, sizeof(again));
		changed = mgr_chain_next(m, &n);
		invariants(m, n);
		if (!changed)
			return;
	}
	fail_msg("a chain does not come to rest");
}

static void test_all(void **state)
{
	struct mgr_member was[N_MAX], is[N_MAX];
	unsigned int nr, i, code, total, seen = 0;

	for (nr = 1; nr <= N_MAX; nr++) {
		for (total = 1, i = 0; i < nr; i++)
			total *= MEMBERS;
		for (code = 0; code < total; code++) {
			unsigned int c = code, n = nr;
			bool changed;

			for (i = 0; i < nr; i++, c /= MEMBERS)
				was[i] = member(c % MEMBERS, 10 + i);
			if (!possible(was, nr))
				continue;
			seen++;
			memcpy(is, was, sizeof(is));
			changed = mgr_chain_next(is, &n);
			invariants(is, n);
			check_step(was, nr, is, n, changed);
			check_settles(is, n);
		}
	}
	print_message("%u chains\n", seen);
	assert_true(seen > 100000);
}

/* The table says something of everything that mgr_chain_next() asks of it. */
static void test_rows(void **state)
{
	unsigned int s, l, h, rows = 0;

	for (s = 0; s <= S; s++)
		for (l = 0; l < MGR_LIVE_NR; l++)
			for (h = 0; h < MGR_CHAIN_NR; h++)
				rows += mgr_target_row(s, l, h) >= 0;
	assert_int_equal(rows, 75);
	assert_int_equal(mgr_target_row(S, MGR_LIVE_HEARD, MGR_CHAIN_LAST), -1);
	assert_int_equal(mgr_target_row(5, 0, 0), -1);
	assert_int_equal(mgr_target_row(0, MGR_LIVE_NR, 0), -1);
	assert_int_equal(mgr_target_row(0, 0, MGR_CHAIN_NR), -1);
	for (s = O; s <= Y; s++)
		for (l = 0; l < MGR_LIVE_NR; l++)
			for (h = MGR_CHAIN_WAIT; h <= MGR_CHAIN_LAST; h++)
				assert_true(mgr_target_row(s, l, h) >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
