// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * File locks against a map of bytes: random requests of several owners of two
 * sessions on two files; after each, who holds what, who waits and whether it
 * has to must be as the map says.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "../../userd/meta/lock.h"

#define BYTES	10		/* the last one stands for the end of the file */
#define FILES	2
#define OWNERS	5
#define WAITS	64

/* Owners: two POSIX, one OFD, two flock. */
static const struct {
	u64 sid, number;
	u8 kind;
} own[OWNERS] = {
	{ 1, 7, FLINT_LOCK_POSIX }, { 2, 7, FLINT_LOCK_POSIX }, { 1, 7, FLINT_LOCK_OFD },
	{ 1, 7, FLINT_LOCK_FLOCK }, { 2, 8, FLINT_LOCK_FLOCK },
};

struct waiting {
	bool used;
	int owner, file;
	u64 id, start, end, order;
	u8 type;
};

static struct model {
	u8 held[FILES][OWNERS][BYTES];
	struct waiting w[WAITS];
	u64 next_id, order;
	u64 seed;
	u64 grants, waits, events, deadlocks;
} m;

static u32 rnd(u32 n)
{
	m.seed ^= m.seed << 13;
	m.seed ^= m.seed >> 7;
	m.seed ^= m.seed << 17;
	return (u32)(m.seed >> 11) % n;
}

static bool flock_of(int o)
{
	return own[o].kind == FLINT_LOCK_FLOCK;
}

static bool m_conflict(int file, int o, u64 start, u64 end, u8 type, int by)
{
	u64 b;

	if (by == o || flock_of(by) != flock_of(o))
		return false;
	for (b = start; b <= end; b++)
		if (m.held[file][by][b] &&
		    (m.held[file][by][b] == FLINT_LOCK_WR || type == FLINT_LOCK_WR))
			return true;
	return false;
}

static bool m_blocked(int file, int o, u64 start, u64 end, u8 type)
{
	int by;

	for (by = 0; by < OWNERS; by++)
		if (m_conflict(file, o, start, end, type, by))
			return true;
	return false;
}

static bool m_holds(int o)
{
	int f, b;

	for (f = 0; f < FILES; f++)
		for (b = 0; b < BYTES; b++)
			if (m.held[f][o][b])
				return true;
	return false;
}

static bool m_behind(int file, int o, u64 start, u64 end, u8 type, u64 order)
{
	int i;

	if (m_holds(o))
		return false;
	for (i = 0; i < WAITS; i++)
		if (m.w[i].used && m.w[i].file == file && m.w[i].owner != o &&
		    m.w[i].order < order && flock_of(m.w[i].owner) == flock_of(o) &&
		    (m.w[i].type == FLINT_LOCK_WR || type == FLINT_LOCK_WR) &&
		    m.w[i].start <= end && start <= m.w[i].end)
			return true;
	return false;
}

/* Owners that @o waits for, through whomever. */
static void m_reach(int o, bool *seen)
{
	int i, by;

	if (own[o].kind != FLINT_LOCK_POSIX)
		return;
	for (i = 0; i < WAITS; i++) {
		if (!m.w[i].used || m.w[i].owner != o)
			continue;
		for (by = 0; by < OWNERS; by++)
			if (!seen[by] && m_conflict(m.w[i].file, o, m.w[i].start, m.w[i].end,
						    m.w[i].type, by)) {
				seen[by] = true;
				m_reach(by, seen);
			}
	}
}

static bool m_deadlock(int file, int o, u64 start, u64 end, u8 type)
{
	bool seen[OWNERS] = { false };
	int by;

	if (own[o].kind != FLINT_LOCK_POSIX)
		return false;
	for (by = 0; by < OWNERS; by++)
		if (m_conflict(file, o, start, end, type, by)) {
			memset(seen, 0, sizeof(seen));
			m_reach(by, seen);
			if (seen[o])
				return true;
		}
	return false;
}

static void m_set(int file, int o, u64 start, u64 end, u8 type)
{
	u64 b;

	for (b = start; b <= end; b++)
		m.held[file][o][b] = type;
}

static void on_event(void *arg, u64 sid, u64 id, u64 ino, u32 state)
{
	int i;

	(void)arg;
	for (i = 0; i < WAITS; i++)
		if (m.w[i].used && m.w[i].id == id && own[m.w[i].owner].sid == sid)
			break;
	assert_true(i < WAITS);
	assert_int_equal(ino, 1 + m.w[i].file);
	assert_int_equal(state, FLINT_LOCK_DONE);
	assert_false(m_blocked(m.w[i].file, m.w[i].owner, m.w[i].start, m.w[i].end, m.w[i].type));
	m_set(m.w[i].file, m.w[i].owner, m.w[i].start, m.w[i].end, m.w[i].type);
	m.w[i].used = false;
	m.events++;
}

static const struct lock_ops ops = { on_event };

static struct flint_lock wire(int file, int o, u64 start, u64 end, u8 type, u16 flags)
{
	return (struct flint_lock){
		.ino = cpu_to_le64(1 + file), .owner = cpu_to_le64(own[o].number),
		.start = cpu_to_le64(start), .kind = own[o].kind, .type = type,
		.end = cpu_to_le64(end == BYTES - 1 ? UINT64_MAX : end),
		.pid = cpu_to_le32(100 + o), .flags = cpu_to_le16(flags),
	};
}

/* What the table says is what the map says; who waits has a reason to. */
static void compare(struct lock_table *t)
{
	int f, o, i, by;
	u64 b;

	for (f = 0; f < FILES; f++)
		for (o = 0; o < OWNERS; o++)
			for (b = 0; b < BYTES; b++) {
				struct flint_lock l = wire(f, o, b, b, FLINT_LOCK_WR, 0);
				struct flint_lock_rep rep;
				bool held = lock_test(t, own[o].sid, &l, &rep);

				assert_int_equal(held, m_blocked(f, o, b, b, FLINT_LOCK_WR));
				if (!held)
					continue;
				by = (int)le32_to_cpu(rep.pid) - 100;
				assert_int_equal(rep.type, m.held[f][by][b]);
				assert_true(by != o && le64_to_cpu(rep.start) <= b);
			}
	for (i = 0; i < WAITS; i++)
		if (m.w[i].used && !m_blocked(m.w[i].file, m.w[i].owner, m.w[i].start, m.w[i].end,
					      m.w[i].type))
			assert_true(m_behind(m.w[i].file, m.w[i].owner, m.w[i].start, m.w[i].end,
					     m.w[i].type, m.w[i].order));
}

static void wait_add(int file, int o, u64 start, u64 end, u8 type, u64 id)
{
	int i;

	for (i = 0; i < WAITS && m.w[i].used; i++)
		;
	assert_true(i < WAITS);
	m.w[i] = (struct waiting){ true, o, file, id, start, end, ++m.order, type };
	m.waits++;
}

static void one_set(struct lock_table *t)
{
	int file = (int)rnd(FILES), o = (int)rnd(OWNERS), rc, i, mine = 0;
	u64 start = rnd(BYTES), end = start + rnd((u32)(BYTES - start));
	u8 type = (u8)rnd(3);
	bool wait = rnd(3);
	struct flint_lock l;
	bool blocked, turn;

	if (flock_of(o)) {
		start = 0;
		end = BYTES - 1;
	}
	for (i = 0; i < WAITS; i++)
		mine += m.w[i].used && m.w[i].owner == o;
	if (mine >= 3 && type)
		wait = false;
	l = wire(file, o, start, end, type, wait && type ? FLINT_LOCK_WAIT : 0);
	l.id = cpu_to_le64(++m.next_id);
	blocked = type && m_blocked(file, o, start, end, type);
	turn = type && m_behind(file, o, start, end, type, UINT64_MAX);
	if (blocked && wait && m_deadlock(file, o, start, end, type)) {
		assert_int_equal(lock_set(t, own[o].sid, &l), -EDEADLK);
		m.deadlocks++;
		return;
	}
	if (blocked && !wait) {
		assert_int_equal(lock_set(t, own[o].sid, &l), -EAGAIN);
		return;
	}
	if (blocked || (wait && turn)) {
		assert_int_equal(lock_set(t, own[o].sid, &l), FLINT_LOCK_QUEUED);
		wait_add(file, o, start, end, type, m.next_id);
		assert_int_equal(lock_set(t, own[o].sid, &l), FLINT_LOCK_QUEUED);
		return;
	}
	m_set(file, o, start, end, type);
	rc = lock_set(t, own[o].sid, &l);
	assert_int_equal(rc, FLINT_LOCK_DONE);
	m.grants++;
}

static void one_cancel(struct lock_table *t)
{
	int i = (int)rnd(WAITS);
	u64 sid;

	if (!m.w[i].used)
		return;
	m.w[i].used = false;
	sid = own[m.w[i].owner].sid;
	assert_true(lock_cancel(t, sid, m.w[i].id));
	assert_false(lock_cancel(t, sid, m.w[i].id));
}

static void one_release_all(struct lock_table *t)
{
	int file = (int)rnd(FILES), o = (int)rnd(OWNERS), i;
	struct flint_lock l = wire(file, o, 3, 3, FLINT_LOCK_UN, FLINT_LOCK_OWNER);

	m_set(file, o, 0, BYTES - 1, FLINT_LOCK_UN);
	for (i = 0; i < WAITS; i++)
		if (m.w[i].used && m.w[i].owner == o && m.w[i].file == file)
			m.w[i].used = false;
	assert_int_equal(lock_set(t, own[o].sid, &l), FLINT_LOCK_DONE);
}

static void session_end(struct lock_table *t, u64 sid)
{
	int o, f, i;

	for (o = 0; o < OWNERS; o++) {
		if (own[o].sid != sid)
			continue;
		for (f = 0; f < FILES; f++)
			m_set(f, o, 0, BYTES - 1, FLINT_LOCK_UN);
		for (i = 0; i < WAITS; i++)
			if (m.w[i].owner == o)
				m.w[i].used = false;
	}
	lock_session_del(t, sid);
}

static void test_random(void **state)
{
	const char *env = getenv("FLINT_LOCK_STEPS");
	u64 steps = env ? strtoull(env, NULL, 0) : 20000, i;
	struct lock_table *t = lock_new(100000, &ops, NULL);

	(void)state;
	memset(&m, 0, sizeof(m));
	m.seed = 88172645463325252ull;
	for (i = 0; i < steps; i++) {
		u32 what = rnd(100);

		if (what < 85)
			one_set(t);
		else if (what < 93)
			one_cancel(t);
		else if (what < 99)
			one_release_all(t);
		else if (!rnd(4))
			session_end(t, 1 + rnd(2));
		compare(t);
	}
	print_message("%llu steps: %llu set, %llu waits, %llu of them granted later, %llu deadlocks\n",
		      (unsigned long long)steps, (unsigned long long)m.grants,
		      (unsigned long long)m.waits, (unsigned long long)m.events,
		      (unsigned long long)m.deadlocks);
	assert_true(m.deadlocks > 0 && m.events > 0);
	session_end(t, 1);
	session_end(t, 2);
	assert_int_equal(lock_count(t), 0);
	lock_free(t);
}

static void test_limits(void **state)
{
	struct lock_table *t = lock_new(3, &ops, NULL);
	struct flint_lock l;
	int i;

	(void)state;
	memset(&m, 0, sizeof(m));
	for (i = 0; i < 3; i++) {
		l = wire(0, 0, i * 3, i * 3, FLINT_LOCK_WR, 0);
		assert_int_equal(lock_set(t, 1, &l), FLINT_LOCK_DONE);
	}
	l = wire(1, 0, 0, 0, FLINT_LOCK_WR, 0);
	assert_int_equal(lock_set(t, 1, &l), -ENOLCK);
	l = wire(0, 0, 0, BYTES - 1, FLINT_LOCK_UN, 0);
	assert_int_equal(lock_set(t, 1, &l), FLINT_LOCK_DONE);
	assert_int_equal(lock_count(t), 0);
	lock_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests_name("meta_lock", tests, NULL, NULL);
}
