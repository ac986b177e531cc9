// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exactly once, truncation in two steps, open files that were deleted,
 * sessions that die, and that equal commands make equal tables.
 */
#include "meta_state.h"

#define DIR1	(S_IFDIR | 0755)
#define REG	(S_IFREG | 0644)
#define WR	(FLINT_OPEN_WRITE | FLINT_OPEN_CREATE)

static s64 count(struct state *st, const char *table)
{
	char sql[64];
	s64 n;

	assert_int_equal(meta_store_flush(&st->s), 0);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	assert_int_equal(meta_db_int(&st->s.rd, sql, &n), 0);
	return n;
}

/* Send the last request's number again. */
static u32 again_mknod(struct state *st, const char *name)
{
	st->seq--;
	return do_mknod(st, st->root, name, REG, NULL);
}

/* A client that never says what it has seen is stopped; one that does goes on. */
static void test_window(void **p)
{
	struct state *st = *p;

	st->seq = 4;
	st->low = 5;
	made(st, st->root, "low", REG);
	st->seq = 5 + META_SEQ_WINDOW - 1;
	assert_int_equal(do_mknod(st, st->root, "x", REG, NULL), FLINT_ST_RETRY);
	assert_int_equal(at(st, st->root, "x"), 0);
	st->seq = 5 + META_SEQ_WINDOW - 2;
	assert_int_equal(do_mknod(st, st->root, "last", REG, NULL), 0);
	st->low = 6;
	assert_int_equal(do_mknod(st, st->root, "x", REG, NULL), 0);	/* the one that was refused */
	st->low = 0;
	verify(st);
}

static void test_retry(void **p)
{
	struct state *st = *p;
	u64 ino = made(st, st->root, "f", REG);

	assert_int_equal(again_mknod(st, "f"), 0);		/* not EEXIST */
	assert_int_equal(rep_ino(st), ino);
	assert_int_equal(do_mknod(st, st->root, "f", REG, NULL), EEXIST);
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);
	st->seq--;
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);	/* not ENOENT */
	st->seq -= 2;
	assert_int_equal(do_mknod(st, st->root, "f", REG, NULL), FLINT_ST_BAD_SEQ); /* below low */
	assert_int_equal(at(st, st->root, "f"), 0);

	/* Failures are answers too. */
	st->seq = 10;
	st->low = 10;
	assert_int_equal(do_unlink(st, st->root, "g", 0), ENOENT);
	made(st, st->root, "g", REG);
	st->seq = 10;
	assert_int_equal(do_unlink(st, st->root, "g", 0), ENOENT);
	/* The same number for something else. */
	st->seq = 10;
	assert_int_equal(do_unlink(st, st->root, "h", 0), FLINT_ST_BAD_SEQ);
	state_restart(st);
	st->seq = 10;
	assert_int_equal(do_unlink(st, st->root, "g", 0), ENOENT);
	st->low = 0;
}

static void test_trim(void **p)
{
	struct state *st = *p;
	char name[16];
	int i;

	st->low = 1;
	for (i = 1; i <= 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		made(st, st->root, name, REG);
	}
	assert_int_equal(count(st, "reply"), 100);
	st->low = 90;
	made(st, st->root, "a", REG);
	assert_int_equal(st->seq, 101);
	for (i = 0; i < 20; i++)
		assert_int_equal(do_unlink(st, st->root, "none", 0), ENOENT);
	assert_true(count(st, "reply") <= 121 - 90 + 1);
	st->seq = 94;
	assert_int_equal(again_mknod(st, "f94"), 0);		/* still there */
	st->low = 0;
	st->seq = 88;
	assert_int_equal(do_mknod(st, st->root, "f89", REG, NULL), FLINT_ST_BAD_SEQ);
	/* The refusal survives a restart, although no column holds seq_low. */
	state_restart(st);
	st->seq = 88;
	assert_int_equal(do_mknod(st, st->root, "new", REG, NULL), FLINT_ST_BAD_SEQ);
	st->seq = 200;
}

/* ---- truncation ---------------------------------------------------------------- */

static void test_truncate(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), cut;
	struct meta_intent it[4];
	struct flint_attr a;

	st->low = 1;
	assert_int_equal(do_truncate(st, f, 0), 0);		/* nothing to cut */
	assert_int_equal(do_truncate(st, f, 100000), 0);	/* growing needs no cut */
	assert_int_equal(get(st, f).trunc_epoch, 0);
	assert_int_equal(do_truncate(st, f, 4000), META_ST_PENDING);
	cut = st->seq;
	assert_int_equal(st->rep.ino, f);
	assert_int_equal(get(st, f).size, 4000);
	assert_int_equal(get(st, f).trunc_epoch, 0);		/* nobody learns the new one yet */
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 1);
	assert_true(it[0].ino == f && it[0].epoch == 1 && it[0].size == 4000);

	/* The retry joins; what would grow or cut again waits; times do not. */
	st->seq = cut - 1;
	assert_int_equal(do_truncate(st, f, 4000), META_ST_PENDING);
	st->seq = cut - 1;
	assert_int_equal(do_truncate(st, f, 1), FLINT_ST_BAD_SEQ);
	assert_int_equal(do_truncate(st, f, 8000), META_ST_WAIT);
	assert_int_equal(do_truncate(st, f, 10), META_ST_WAIT);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 9000, 0), META_ST_WAIT);
	assert_int_equal(do_extend(st, FLINT_OP_APPEND, f, 0, 0, 10), META_ST_WAIT);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_TRUNC | FLINT_OPEN_WRITE, 0), META_ST_WAIT);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 0, 0), 0);
	assert_int_equal(count(st, "handle"), 0);

	state_restart(st);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 7), 0);	/* not that one */
	assert_int_equal(get(st, f).trunc_epoch, 0);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 1), 0);
	a = rep_attr(st);
	assert_int_equal(le32_to_cpu(a.trunc_epoch), 1);
	assert_int_equal(le64_to_cpu(a.size), 4000);
	assert_int_equal(count(st, "intent"), 0);
	st->seq = cut - 1;
	assert_int_equal(do_truncate(st, f, 4000), 0);		/* now answered from the cache */
	assert_int_equal(le32_to_cpu(rep_attr(st).trunc_epoch), 1);
	st->low = 0;
	st->seq = 1000;
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 9000, 0), FLINT_ST_STALE_EPOCH);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 1, 9000, 0), 0);
}

static void test_open_trunc(void **p)
{
	struct state *st = *p;
	struct flint_open_rep o;
	u64 f, h;

	assert_int_equal(do_open(st, st->root, "f", WR, 0644), 0);
	o = rep_open(st);
	f = le64_to_cpu(o.attr.ino);
	assert_int_equal(do_close(st, le64_to_cpu(o.handle), f), 0);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 9000, 0), 0);
	assert_int_equal(do_open(st, st->root, "f", WR | FLINT_OPEN_TRUNC, 0644), META_ST_PENDING);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 1), 0);
	o = rep_open(st);
	h = le64_to_cpu(o.handle);
	assert_true(h && !o.created && !o.attr.size);
	assert_int_equal(le32_to_cpu(o.attr.trunc_epoch), 1);
	assert_int_equal(do_close(st, h, f), 0);
	/* Empty already: at once. */
	assert_int_equal(do_open(st, st->root, "f", WR | FLINT_OPEN_TRUNC, 0644), 0);
	assert_int_equal(do_close(st, le64_to_cpu(rep_open(st).handle), f), 0);
}

/* ---- deleted and open ----------------------------------------------------------------- */

static u64 open_file(struct state *st, const char *name, u32 flags, u64 *handle)
{
	struct flint_open_rep o;

	assert_int_equal(do_open(st, st->root, name, flags, 0644), 0);
	o = rep_open(st);
	*handle = le64_to_cpu(o.handle);
	return le64_to_cpu(o.attr.ino);
}

static void test_orphan(void **p)
{
	struct state *st = *p;
	u64 f, h1, h2, ino[4];

	f = open_file(st, "f", WR, &h1);
	open_file(st, "f", FLINT_OPEN_READ, &h2);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 100, 0), 0);
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);
	assert_int_equal(get(st, f).nlink, 0);
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 0);	/* not yet */
	state_restart(st);
	assert_int_equal(get(st, f).size, 100);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 200, 0), 0);
	/* As long as somebody has it open, others may, by /proc/PID/fd. */
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_READ, 0), 0);
	assert_int_equal(do_close(st, le64_to_cpu(rep_open(st).handle), f), 0);
	assert_int_equal(do_close(st, h1, f), 0);
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 0);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);	/* too early: refused */
	assert_int_equal(get(st, f).size, 200);
	assert_int_equal(do_close(st, h2, f), 0);
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 1);
	assert_int_equal(ino[0], f);
	state_restart(st);
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 1);
	/* Who still has its number comes too late: its data may be going already. */
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_READ, 0), ESTALE);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_WRITE | FLINT_OPEN_TRUNC, 0), ESTALE);
	assert_int_equal(count(st, "handle"), 0);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);
	assert_true(gone(st, f));
	assert_int_equal(count(st, "orphan"), 0);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);	/* again */
	/* Without data nothing needs to be cut. */
	f = open_file(st, "g", WR, &h1);
	assert_int_equal(do_close(st, h1, f), 0);
	assert_int_equal(do_unlink(st, st->root, "g", 0), 0);
	assert_true(gone(st, f));
}

/* A file without a name gets one only while it is open: then its data goes. */
static void test_nameless(void **p)
{
	struct state *st = *p;
	u64 f, h, ino[4];

	assert_int_equal(do_open(st, st->root, NULL, WR | FLINT_OPEN_TMPFILE, 0644), 0);
	h = le64_to_cpu(rep_open(st).handle);
	f = le64_to_cpu(rep_open(st).attr.ino);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 100, 0), 0);
	assert_int_equal(do_close(st, h, f), 0);
	assert_int_equal(do_link(st, f, st->root, "f"), ENOENT);
	assert_int_equal(at(st, st->root, "f"), 0);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_READ, 0), ESTALE);
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 1);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);
	assert_true(gone(st, f));
	verify(st);
}

static void test_orphan_with_intent(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG), ino[4];

	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 100, 0), 0);
	assert_int_equal(do_truncate(st, f, 10), META_ST_PENDING);
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 0);	/* the truncation first */
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);
	assert_int_equal(get(st, f).nlink, 0);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 1), 0);
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 1);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);
	assert_true(gone(st, f));
}

static void test_expire(void **p)
{
	struct state *st = *p;
	u64 first = st->sid, del, keep, h, seq = st->seq, ino[4];
	struct meta_intent it[4];

	assert_int_equal(session_open(st, 9, "fs", "", 0), 0);
	st->sid = rep_session(st);
	st->seq = 0;
	del = open_file(st, "del", WR, &h);
	keep = open_file(st, "keep", WR, &h);
	open_file(st, "keep", FLINT_OPEN_READ, &h);
	assert_int_equal(do_unlink(st, st->root, "del", 0), 0);
	assert_int_equal(count(st, "reply"), 4);
	assert_int_equal(own(st, META_OP_EXPIRE, st->sid, 0), 0);
	assert_int_equal(count(st, "session"), 1);
	assert_int_equal(count(st, "handle"), 0);
	assert_int_equal(count(st, "reply"), 0);
	/* It may have written what it did not announce. */
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 1);
	assert_int_equal(ino[0], del);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 1);
	assert_true(it[0].ino == keep && it[0].size == 0 && it[0].epoch == 1);
	assert_int_equal(do_mknod(st, st->root, "x", REG, NULL), FLINT_ST_NO_SESSION);
	assert_int_equal(own(st, META_OP_EXPIRE, st->sid, 0), 0);
	st->sid = first;
	st->seq = seq;
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, keep, 0, 10, 0), META_ST_WAIT);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, keep, 1), 0);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, keep, 1, 10, 0), 0);
}

/* Another session, client @client; what st has of its own is kept in @mine. */
static void switch_session(struct state *st, u8 client, u64 mine[2])
{
	mine[0] = st->sid;
	mine[1] = st->seq;
	assert_int_equal(session_open(st, client, "fs", "", 0), 0);
	st->sid = rep_session(st);
	st->seq = 0;
}

static void switch_to(struct state *st, const u64 to[2], u64 mine[2])
{
	mine[0] = st->sid;
	mine[1] = st->seq;
	st->sid = to[0];
	st->seq = to[1];
}

/* A writer dies: what another has written, and is about to tell, is not cut with its tail. */
static void test_expire_shared(void **p)
{
	struct state *st = *p;
	u64 f, g, h1, h2, mine[2], dead[2];
	struct meta_intent it[4];

	f = open_file(st, "f", WR, &h1);
	g = open_file(st, "g", WR, &h2);
	switch_session(st, 9, mine);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_WRITE, 0), 0);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_WRITE, 0), 0);
	assert_int_equal(do_open(st, g, NULL, FLINT_OPEN_WRITE, 0), 0);
	switch_to(st, mine, dead);
	state_restart(st);
	assert_int_equal(do_unlink(st, st->root, "g", 0), 0);
	assert_int_equal(own(st, META_OP_EXPIRE, dead[0], 0), 0);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 0);
	assert_int_equal(get(st, g).data, 1);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 4096, 0), 0);
	state_restart(st);
	assert_int_equal(do_close(st, h1, f), 0);
	assert_int_equal(do_close(st, h2, g), 0);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 1);
	assert_true(it[0].ino == f && it[0].size == 4096 && it[0].epoch == 1);
	verify(st);
}

/* Refused growth, and a truncation, while another session writes: nor then. */
static void test_refused_shared(void **p)
{
	struct state *st = *p;
	struct flint_quota_set q = { .kind = cpu_to_le32(FLINT_QUOTA_TREE),
		.id = cpu_to_le64(st->root), .space_hard = cpu_to_le64(16384) };
	u64 f, h1, h2, mine[2], other[2];
	struct meta_intent it[4];

	assert_int_equal(op2(st, FLINT_OP_QUOTA_SET, &q, sizeof(q), NULL, 0, NULL, 0), 0);
	f = open_file(st, "f", WR, &h1);
	switch_session(st, 9, mine);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_WRITE, 0), 0);
	h2 = le64_to_cpu(rep_open(st).handle);
	switch_to(st, mine, other);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 40000, 0), EDQUOT);
	assert_int_equal(do_truncate(st, f, 8192), 0);
	assert_int_equal(get(st, f).size, 8192);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 0);
	switch_to(st, other, mine);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 12288, 0), 0);
	assert_int_equal(do_close(st, h2, f), 0);
	switch_to(st, mine, other);
	/* Alone again: the cut first. */
	assert_int_equal(do_truncate(st, f, 16384), META_ST_WAIT);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 1);
	assert_true(it[0].ino == f && it[0].size == 12288 && it[0].epoch == 1);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 1), 0);
	assert_int_equal(do_truncate(st, f, 16384), 0);
	assert_int_equal(do_close(st, h1, f), 0);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 0);
	verify(st);
}

/*
 * A size that is refused: its data is at the chunk servers already. It goes before the file is
 * longer, with the last handle for writing at the latest, and with the file.
 */
static void test_refused_growth(void **p)
{
	struct state *st = *p;
	struct flint_quota_set q = { .kind = cpu_to_le32(FLINT_QUOTA_TREE),
		.id = cpu_to_le64(st->root), .space_hard = cpu_to_le64(16384) };
	u64 f, h1, h2, ino[4];
	struct meta_intent it[4];

	assert_int_equal(op2(st, FLINT_OP_QUOTA_SET, &q, sizeof(q), NULL, 0, NULL, 0), 0);
	f = open_file(st, "f", WR, &h1);
	open_file(st, "f", FLINT_OPEN_READ, &h2);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 40000, 0), EDQUOT);
	st->seq--;
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 40000, 0), EDQUOT);
	/* Who wrote elsewhere meanwhile, and is about to tell, loses nothing by it. */
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 4096, 0), 0);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 0);
	state_restart(st);
	/* With the last who writes: the next one's hole must not show it, whoever reads. */
	assert_int_equal(do_close(st, h1, f), 0);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 1);
	assert_int_equal(do_close(st, h2, f), 0);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 1);
	assert_true(it[0].ino == f && it[0].size == 4096 && it[0].epoch == 1 && it[0].sid == st->sid);
	/* Nobody writes what would be cut with it. */
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_WRITE, 0), META_ST_WAIT);
	assert_int_equal(st->rep.ino, f);
	assert_int_equal(do_open(st, f, NULL, FLINT_OPEN_READ, 0), 0);
	assert_int_equal(do_close(st, le64_to_cpu(rep_open(st).handle), f), 0);
	assert_int_equal(do_truncate(st, f, 8192), META_ST_WAIT);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 1), 0);
	assert_int_equal(do_truncate(st, f, 8192), 0);
	open_file(st, "f", WR, &h1);
	assert_int_equal(do_close(st, h1, f), 0);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 0);	/* once is enough */

	/* Longer while it is open: the cut first. */
	open_file(st, "f", WR, &h1);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 1, 40000, 0), EDQUOT);
	assert_int_equal(do_truncate(st, f, 10000), META_ST_WAIT);
	assert_int_equal(get(st, f).size, 8192);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 1);
	assert_true(it[0].size == 8192 && it[0].epoch == 2);
	assert_int_equal(own(st, META_OP_TRUNC_DONE, f, 2), 0);
	st->seq--;
	assert_int_equal(do_truncate(st, f, 10000), 0);
	assert_int_equal(do_close(st, h1, f), 0);
	assert_int_equal(meta_read_intents(&st->s, 0, it, 4), 0);

	/* It never had a size: its chunks are removed all the same. */
	f = open_file(st, "g", WR, &h1);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 40000, 0), EDQUOT);
	assert_int_equal(do_unlink(st, st->root, "g", 0), 0);
	assert_int_equal(do_close(st, h1, f), 0);
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 1);
	assert_int_equal(ino[0], f);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f, 0), 0);
	assert_true(gone(st, f));
	verify(st);
}

/*
 * A dead writer's data, and some whose size was refused, cannot be told apart: it is part of the
 * file as far as there is room for it.
 */
static void test_refused_settle(void **p)
{
	struct state *st = *p;
	struct flint_quota_set q = { .kind = cpu_to_le32(FLINT_QUOTA_TREE),
		.id = cpu_to_le64(st->root), .space_hard = cpu_to_le64(16384) };
	u64 f, g, h, k, change, mine[2], dead[2];

	assert_int_equal(op2(st, FLINT_OP_QUOTA_SET, &q, sizeof(q), NULL, 0, NULL, 0), 0);
	f = open_file(st, "f", WR, &h);
	g = open_file(st, "g", WR, &h);
	assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f, 0, 40000, 0), EDQUOT);
	change = get(st, f).change;
	assert_int_equal(do_settle(st, f, 40000, 0), 0);
	assert_int_equal(get(st, f).size, 0);
	assert_true(get(st, f).change == change && (get(st, f).flags & META_INO_LOOSE));
	assert_int_equal(do_settle(st, f, 8192, 0), 0);
	assert_int_equal(get(st, f).size, 8192);
	assert_int_equal(do_settle(st, g, 40000, 0), 0);	/* acknowledged, all of it */
	assert_int_equal(get(st, g).size, 40000);
	/* So is what who goes on keeps after another writer's death, whose tail is in the way. */
	k = open_file(st, "k", WR, &h);
	switch_session(st, 9, mine);
	assert_int_equal(do_open(st, k, NULL, FLINT_OPEN_WRITE, 0), 0);
	switch_to(st, mine, dead);
	assert_int_equal(own(st, META_OP_EXPIRE, dead[0], 0), 0);
	assert_true(get(st, k).flags & META_INO_LOOSE);
	assert_int_equal(do_settle(st, k, 40000, 0), 0);
	assert_int_equal(get(st, k).size, 40000);
	verify(st);
}

static void test_many_handles(void **p)
{
	struct state *st = *p;
	u64 h;
	int i;

	for (i = 0; i < 700; i++)
		open_file(st, "f", WR, &h);
	assert_int_equal(do_unlink(st, st->root, "f", 0), 0);
	assert_int_equal(session_close(st), 0);
	assert_int_equal(count(st, "handle"), 0);
	assert_int_equal(count(st, "orphan"), 0);
	assert_int_equal(count(st, "inode"), 1);
}

/* ---- the same commands, the same tables -------------------------------------------------- */

static void random_op(struct state *st, unsigned int *rng, u64 *dirs, int nr)
{
	char a[16], b[16];
	u64 da = dirs[rand_r(rng) % nr], db = dirs[rand_r(rng) % nr], ino, h;

	snprintf(a, sizeof(a), "n%d", rand_r(rng) % 20);
	snprintf(b, sizeof(b), "n%d", rand_r(rng) % 20);
	ino = at(st, da, a);
	switch (rand_r(rng) % 12) {
	case 0:
		do_mknod(st, da, a, DIR1, NULL);
		break;
	case 1:
		do_mknod(st, da, a, S_IFLNK, "somewhere");
		break;
	case 2:
	case 3:
		if (do_open(st, da, a, WR | (rand_r(rng) % 4 ? 0 : FLINT_OPEN_TRUNC), 0644))
			break;
		h = le64_to_cpu(rep_open(st).handle);
		if (h && rand_r(rng) % 2)
			do_close(st, h, le64_to_cpu(rep_open(st).attr.ino));
		break;
	case 4:
	case 5:
		do_unlink(st, da, a, rand_r(rng) % 3 ? 0 : FLINT_NAME_DIR);
		break;
	case 6:
	case 7:
		do_rename(st, da, a, db, b, rand_r(rng) % 3);
		break;
	case 8:
		if (ino)
			do_link(st, ino, db, b);
		break;
	case 9:
		if (ino)
			do_extend(st, FLINT_OP_APPEND, ino, get(st, ino).trunc_epoch, 0, 4096);
		break;
	case 10:
		if (ino && do_truncate(st, ino, rand_r(rng) % 5000) == META_ST_PENDING &&
		    rand_r(rng) % 2)
			own(st, META_OP_TRUNC_DONE, ino, get(st, ino).trunc_epoch + 1);
		break;
	case 11:
		if (ino)
			do_xattr(st, FLINT_OP_SETXATTR, ino, "user.x", a, strlen(a), 0);
		break;
	}
}

static void test_deterministic(void **p)
{
	struct state *st = *p, *other;
	struct logged *l, *next;
	unsigned int rng = 12345;
	u64 dirs[4];
	int i, n = 0;
	void *q;

	/* The set-up of both stores is the same; then one is driven and logged, one replays. */
	assert_int_equal(state_setup(&q), 0);
	other = q;
	assert_true(meta_store_checksum(&st->s) == meta_store_checksum(&other->s));
	st->log_tail = &st->log;
	dirs[0] = st->root;
	for (i = 1; i < 4; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%d", i);
		dirs[i] = made(st, dirs[i - 1], name, DIR1);
	}
	for (i = 0; i < 3000; i++) {
		random_op(st, &rng, dirs, 4);
		if (i % 700 == 699)
			state_restart(st);	/* must not leave a trace in the tables */
		if (i % 500 == 499)
			verify(st);
	}
	own(st, META_OP_EXPIRE, st->sid, 0);

	/* Replay in batches of another size: many commands in one entry. */
	for (l = st->log; l; l = next) {
		next = l->next;
		assert_int_equal(meta_apply(&other->s, l->cmd, l->len, &other->rep), 0);
		if (++n % 64 == 0)
			meta_store_applied(&other->s, ++other->index, 1);
		free(l);
	}
	meta_store_applied(&other->s, ++other->index, 1);
	st->log_tail = NULL;
	assert_int_equal(st->s.c.applied, other->s.c.applied);
	assert_true(meta_store_checksum(&st->s) == meta_store_checksum(&other->s));
	state_teardown(&q);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, state_setup, state_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_retry), T(test_window), T(test_trim), T(test_truncate), T(test_open_trunc), T(test_orphan),
		T(test_nameless), T(test_orphan_with_intent), T(test_expire), T(test_expire_shared),
		T(test_refused_growth), T(test_refused_shared),
		T(test_refused_settle),
		T(test_many_handles),
		T(test_deterministic),
	};

	meta_sqlite_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
