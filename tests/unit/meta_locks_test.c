// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lock requests (userd/meta/locks.c), executed once: outcomes that a session keeps
 * without end must not keep out the request that they wait for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../userd/meta/grants.h"
#include "../../userd/meta/locks.h"

#define SID	7
#define MANY	4096		/* outcomes that are kept */

static struct metad_session sess = { .id = SID, .flags = FLINT_SESSION_LEASES };
static const struct flint_conn_info info = { .pushes = true };
static u64 grace;		/* the inode that somebody may still name a lock on */
static u32 status;

/* ---- what locks.c calls of the daemon ---------------------------------------- */

struct metad_session *metad_session_by_id(struct metad *m, u64 sid)
{
	return sid == SID ? &sess : NULL;
}

const struct flint_conn_info *flint_conn_info(const struct flint_conn *conn)
{
	return &info;
}

struct lease_table *metad_lease_table(struct metad *m)
{
	return NULL;
}

bool lease_may_come(const struct lease_table *t, u64 sid, u64 ino)
{
	return ino == grace;
}

bool metad_hint(struct metad *m, u64 sid, u64 ino)
{
	return true;
}

void flint_call_reply(struct flint_call *call, u32 st, const void *body, u32 body_len,
		      struct flint_buf *buf, u32 off, u32 len)
{
	status = st;
}

void flint_conn_kill(struct flint_conn *conn, const char *why)
{
	fail_msg("%s", why);
}

int flint_conn_push(struct flint_conn *conn, u16 op, const void *body, u32 len)
{
	return 0;
}

void flint_loop_post(struct flint_loop *loop, struct flint_task *task)
{
}

/* ---- the tests ------------------------------------------------------------------ */

/* A flock of its own on @ino by request @seq, when @low is the lowest unfinished one. */
static u32 lock(struct metad *m, u64 ino, u64 seq, u64 low)
{
	struct flint_lock k = {
		.ino = cpu_to_le64(ino), .owner = cpu_to_le64(1), .id = cpu_to_le64(seq),
		.end = cpu_to_le64(~0ull), .kind = FLINT_LOCK_FLOCK, .type = FLINT_LOCK_WR };
	struct flint_call call = { .msg = { .op = FLINT_OP_LOCK, .seq = seq, .seq_low = low,
					    .body = (const u8 *)&k, .body_len = sizeof(k) } };

	status = ~0u;
	metad_lock_request(m, &call, SID);
	return status;
}

static void test_lowest(void **p)
{
	struct metad m = { 0 };
	u64 seq;

	m.locks = metad_locks_new(&m);
	assert_non_null(m.locks);
	grace = 1;
	assert_int_equal(lock(&m, 1, 1, 1), FLINT_ST_RETRY);
	for (seq = 2; seq <= MANY + 1; seq++)
		assert_int_equal(lock(&m, seq, seq, 1), FLINT_OK);
	assert_int_equal(lock(&m, seq, seq, 1), FLINT_ST_RETRY);	/* it keeps enough */
	grace = 0;
	assert_int_equal(lock(&m, seq, seq, 1), FLINT_ST_RETRY);
	assert_int_equal(lock(&m, 1, 1, 1), FLINT_OK);
	assert_int_equal(lock(&m, 1, 1, 1), FLINT_OK);			/* once */
	assert_int_equal(lock(&m, seq, seq, 1), FLINT_ST_RETRY);
	assert_int_equal(lock(&m, seq, seq, seq), FLINT_OK);
	assert_int_equal(lock(&m, 1, 1, seq), FLINT_ST_BAD_SEQ);
	metad_locks_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lowest) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
