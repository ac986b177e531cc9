// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the metadata server ends a session (userd/meta/sessions.c, fence.c, settle.c): whose fence is
 * there never comes back, whatever fails then; and what a leadership began, the next one does not
 * go on with.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "../../userd/meta/grants.h"
#include "../../userd/meta/locks.h"

#define SID	7
#define INO	99

static u64 epoch;			/* of the leadership */
static struct flint_rpc *asked;		/* the chunk server has yet to answer it */
static struct flint_timer *timer;	/* the one that is set */
static int shed, unlocked, proposed;	/* how often */
static u32 outcome;			/* of META_OP_EXPIRE */
static int no_memory;			/* for the n-th list of files or proposal, 0: none */
static bool cut;			/* the file is being truncated */
static struct flint_map_node server = { .role = FLINT_ROLE_CHUNK, .state = FLINT_NODE_UP };
static struct flint_map_ref map = { .map = { .nodes = &server, .nr_nodes = 1 } };

/* ---- what they call of the daemon -------------------------------------------- */

struct flint_map_ref *flint_cluster_map(struct flint_cluster *c)
{
	return &map;
}

void flint_map_put(struct flint_map_ref *ref)
{
}

int flint_cluster_call(struct flint_cluster *c, uint32_t node, struct flint_rpc *rpc)
{
	assert_null(asked);
	asked = rpc;
	return 0;
}

uint64_t flint_now_ns(void)
{
	return 1;
}

void flint_timer_set(struct flint_loop *loop, struct flint_timer *t, uint64_t after_ms)
{
	timer = t;
}

void flint_timer_cancel(struct flint_loop *loop, struct flint_timer *t)
{
	if (timer == t)
		timer = NULL;
}

void *flint_conn_priv(const struct flint_conn *conn)
{
	return NULL;
}

void flint_conn_set_priv(struct flint_conn *conn, void *priv)
{
}

const struct flint_conn_info *flint_conn_info(const struct flint_conn *conn)
{
	return NULL;
}

uint64_t flint_conn_now(const struct flint_conn *conn)
{
	return 0;
}

u64 metad_lease_epoch(const struct metad *m)
{
	return epoch;
}

struct lease_table *metad_lease_table(struct metad *m)
{
	return NULL;
}

bool lease_must_reclaim(const struct lease_table *t, u64 sid)
{
	return false;
}

u64 lease_reclaim(struct lease_table *t, u64 sid, u64 ino, u32 kinds, u64 now)
{
	return 0;
}

void lease_reclaimed(struct lease_table *t, u64 sid)
{
}

void lease_session_shed(struct lease_table *t, u64 sid)
{
	shed++;
}

void metad_leases_session(struct metad *m, struct metad_session *sn)
{
}

void metad_leases_gone(struct metad *m, u64 sid)
{
}

void metad_leases_unlink(struct metad *m, struct metad_session *sn)
{
}

void metad_locks_gone(struct metad *m, u64 sid)
{
	unlocked++;
}

void metad_reaper_poke(struct metad *m)
{
}

int metad_written(const struct metad_session *sn, u64 **inos)
{
	if (no_memory && !--no_memory)
		return -ENOMEM;
	*inos = malloc(sizeof(**inos));
	assert_non_null(*inos);
	**inos = INO;
	return 1;
}

int metad_propose_own(struct metad *m, u16 op, u64 ino, u32 e,
		      void (*done)(struct metad *m, u64 ino, u32 status, void *priv), void *priv)
{
	if (no_memory && !--no_memory)
		return -ENOMEM;
	assert_int_equal(op, META_OP_EXPIRE);
	proposed++;
	done(m, ino, outcome, priv);
	return 0;
}

int metad_propose_body(struct metad *m, u16 op, const void *body, u32 len, u64 id,
		       void (*done)(struct metad *m, u64 id, u32 status, void *priv), void *priv)
{
	fail_msg("nothing of the file is to be settled");
	return 0;
}

struct meta_session *meta_session_by_id(struct meta_store *s, u64 id)
{
	return NULL;
}

int meta_inode_peek(struct meta_store *s, u64 ino, const struct meta_inode **out)
{
	static const struct meta_inode file = { .ino = INO, .mode = S_IFREG, .nlink = 1 };

	*out = &file;
	return cut ? 0 : -ENOENT;
}

int meta_intent_get(struct meta_store *s, u64 ino, struct meta_intent *it)
{
	return 1;
}

void meta_inode_layout(const struct meta_inode *i, struct flint_layout *l)
{
}

/* ---- the tests ------------------------------------------------------------------ */

static void answer(void)
{
	struct flint_rpc *rpc = asked;

	assert_non_null(rpc);
	asked = NULL;
	rpc->done(rpc);
}

static void ring(void)
{
	struct flint_timer *t = timer;

	assert_non_null(t);
	timer = NULL;
	t->fn(t);
}

static void lead(struct metad *m)
{
	m->leading = true;
	epoch++;
	metad_session_opened(m, SID, (const u8 *)"0123456789abcdef", 1, NULL);
	metad_session_by_id(m, SID)->flags = FLINT_SESSION_LEASES;
	shed = unlocked = proposed = no_memory = 0;
	outcome = 0;
	cut = false;
}

/* The lead is lost, and comes back. */
static void lead_again(struct metad *m)
{
	m->leading = false;
	metad_sessions_drop(m);
	lead(m);
}

static struct metad_session *ending(struct metad *m)
{
	struct metad_session *sn = metad_session_by_id(m, SID);

	metad_session_expire(m, sn, "the test says so");
	return sn;
}

static void test_fails(void **p)
{
	struct metad m = { .lease_ms = 1u << 30 };
	struct metad_session *sn;
	int i;

	lead(&m);
	sn = ending(&m);
	outcome = ENOSPC;
	answer();
	for (i = 1; i <= 3; i++) {
		assert_int_equal(shed, 1);
		assert_int_equal(proposed, i);
		assert_true(sn->expiring);	/* what it held may be others' */
		metad_sessions_expire(&m);
	}
	outcome = FLINT_ST_NOT_LEADER;
	metad_sessions_expire(&m);
	assert_true(sn->expiring);
	for (i = 1; i <= 2; i++) {	/* the list of its files, then the command */
		no_memory = i;
		metad_sessions_expire(&m);
		assert_true(sn->expiring);
	}
	outcome = 0;
	metad_sessions_expire(&m);
	assert_null(metad_session_by_id(&m, SID));
	assert_null(asked);
	assert_int_equal(shed, 1);
}

/* Each is asked for once: an end that goes on is not begun again. */
static void test_once(void **p)
{
	struct metad m = { .lease_ms = 1u << 30 };

	lead(&m);
	ending(&m);
	metad_sessions_expire(&m);
	ending(&m);
	answer();
	assert_int_equal(proposed, 1);
	assert_null(metad_session_by_id(&m, SID));
}

static void test_fence_over(void **p)
{
	struct metad m = { .lease_ms = 1u << 30 };

	lead(&m);
	ending(&m);
	lead_again(&m);
	answer();
	assert_int_equal(shed + unlocked + proposed, 0);
	assert_false(metad_session_by_id(&m, SID)->expiring);
	assert_null(m.fencings);

	/* While it waits to ask once more. */
	ending(&m);
	asked->err = -ENOTCONN;
	answer();
	lead_again(&m);
	ring();
	assert_null(asked);
	assert_null(m.fencings);
	assert_int_equal(shed + unlocked + proposed, 0);
	metad_sessions_drop(&m);
}

static void test_settle_over(void **p)
{
	struct metad m = { .lease_ms = 1u << 30 };

	lead(&m);
	ending(&m);
	cut = true;
	answer();
	assert_int_equal(shed, 1);
	assert_int_equal(proposed, 0);
	lead_again(&m);
	ring();
	assert_null(m.settlings);
	assert_int_equal(proposed, 0);
	assert_non_null(metad_session_by_id(&m, SID));
	metad_sessions_drop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fails),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_fence_over),
		cmocka_unit_test(test_settle_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
