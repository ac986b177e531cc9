// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as bodies of lease.h, and what they say given to the tables of leases and
 * locks as the server does: checks bound what they let through, the tables keep their
 * promises whatever sessions claim.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../uapi/flintfs/codec.h"
#include "../../userd/meta/lease.h"
#include "../../userd/meta/lock.h"

#define SESSIONS	3
#define INOS		4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lease_table *t;
static struct lock_table *locks;

static void on_recall(void *arg, u64 sid, u64 ino, u32 kinds, u64 seq)
{
	(void)arg;
	if (!sid || !ino || !kinds || !seq)
		abort();
}

static void on_expire(void *arg, u64 sid)
{
	(void)arg;
	lease_session_del(t, sid);
}

static void on_ready(void *arg, struct lease_change *c)
{
	(void)arg;
	*(int *)c->priv = 1;
}

static void on_event(void *arg, u64 sid, u64 id, u64 ino, u32 state)
{
	(void)arg;
	(void)id;
	(void)state;
	if (!sid || !ino)
		abort();
}

static const struct lease_ops lease_ops = { on_recall, on_expire, on_ready, NULL };
static const struct lock_ops lock_ops = { .event = on_event };

/* Two sessions never hold what cannot stand beside each other. */
static void check(void)
{
	u64 ino, a, b;

	for (ino = 1; ino <= INOS; ino++)
		for (a = 1; a <= SESSIONS; a++)
			for (b = a + 1; b <= SESSIONS; b++) {
				u32 x = lease_held(t, a, ino), y = lease_held(t, b, ino);

				if (((x & FLINT_LEASE_WRITE) && (y & (FLINT_LEASE_READ | FLINT_LEASE_WRITE))) ||
				    ((y & FLINT_LEASE_WRITE) && (x & (FLINT_LEASE_READ | FLINT_LEASE_WRITE))))
					abort();
				if (((x & FLINT_LEASE_DIR_WRITE) && (y & ~(u32)FLINT_LEASE_WRITE)) ||
				    ((y & FLINT_LEASE_DIR_WRITE) && (x & ~(u32)FLINT_LEASE_WRITE)))
					abort();
			}
}

static void a_list(u64 sid, const u8 *body, u32 len)
{
	struct flint_lease_list list;
	struct flint_lease_rec rec;
	const u8 *recs;
	u32 i;

	if (flint_lease_list_get(body, len, &list, &recs))
		return;
	for (i = 0; i < le32_to_cpu(list.nr); i++) {
		memcpy(&rec, recs + i * sizeof(rec), sizeof(rec));
		if (flint_lease_rec_ok(&rec))
			lease_return(t, sid, le64_to_cpu(rec.ino), le32_to_cpu(rec.kinds),
				     le64_to_cpu(rec.seq));
	}
}

static void a_lock(u64 sid, const u8 *body, u32 len)
{
	struct flint_lock_rep rep;
	struct flint_lock l;

	if (flint_body_get(&l, sizeof(l), sizeof(l), body, len) || !flint_lock_ok(&l))
		return;
	if (!lock_test(locks, sid, &l, &rep) || len & 1)
		lock_set(locks, sid, &l);
	else
		lock_cancel(locks, sid, le64_to_cpu(l.id));
}

static void a_trailer(const u8 *body, u32 len, u32 nr)
{
	u32 before = len;
	const u8 *p = flint_lease_trailer(body, &len, nr);

	if (p ? p != body + len || len + nr * sizeof(struct flint_lease_grant) != before : len != before)
		abort();
}

/* A change of a session on an inode begins, and ends whether it got ready or not. */
static void a_change(u64 sid, u64 ino, u32 action, u64 now)
{
	int ready = 0, rc;
	struct lease_change c = { .sid = sid, .priv = &ready };
	u64 s;

	lease_change_add(&c, ino, action % LEASE_ACTIONS);
	rc = lease_change_begin(t, &c, now);
	if (rc == 0 && !lease_in_grace(t)) {
		for (s = 1; s <= SESSIONS; s++)
			if (s != sid)
				lease_return(t, s, ino, FLINT_LEASE_KINDS, UINT64_MAX);
		if (!ready)
			abort();
	}
	lease_change_end(t, &c);
}

/* One step: a byte for what, one for whom, one for the length, then the body. */
static u32 step(const u8 *p, u32 left, u64 now)
{
	u64 sid = 1 + p[1] % SESSIONS, ino = 1 + p[2] % INOS;
	u32 n = p[2] < left - 3 ? p[2] : left - 3, granted;
	u8 *body = malloc(n ? n : 1);

	memcpy(body, p + 3, n);
	switch (p[0] % 8) {
	case 0:
		a_list(sid, body, n);
		break;
	case 1:
		a_lock(sid, body, n);
		break;
	case 2:
		a_trailer(body, n, p[1]);
		break;
	case 3:
		a_change(sid, ino, p[1] / SESSIONS, now);
		break;
	case 4:
		lease_grant(t, sid, ino, p[1] & FLINT_LEASE_KINDS, now, &granted);
		break;
	case 5:
		lease_reclaim(t, sid, ino, p[1] & FLINT_LEASE_KINDS, now);
		break;
	case 6:
		lease_reclaimed(t, sid);
		break;
	default:
		if (p[1] & 1)
			lease_writer_add(t, ino, sid);
		lease_tick(t, now);
	}
	free(body);
	check();
	return 3 + (p[0] % 8 < 3 ? n : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lease_config cfg = { .lease_ms = 1000, .max_leases = 8, .ops = &lease_ops };
	u64 now = 1000000000, sid;
	size_t at = 0;

	t = lease_new(&cfg);
	locks = lock_new(64, &lock_ops, NULL);
	if (!t || !locks)
		abort();
	lease_start(t);
	for (sid = 1; sid <= SESSIONS; sid++)
		lease_session_add(t, sid, size & 1, NULL);
	lease_start_end(t);
	while (size - at > 3) {
		at += step(data + at, size - at, now);
		now += 50000000;
	}
	for (sid = 1; sid <= SESSIONS; sid++)
		lock_session_del(locks, sid);
	if (lock_count(locks))
		abort();
	lock_free(locks);
	lease_free(t);
	return 0;
}
