// SPDX-License-Identifier: GPL-2.0-or-later
/* raft.db and what stands around it: the writer, the log in memory, the WAL's check, the codec. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../userd/base/crc.h"
#include "../../userd/raft/codec.h"
#include "../../userd/raft/ents.h"
#include "../../userd/raft/node.h"
#include "../../userd/raft/wal.h"

static char dir[64], err[1024];
static struct flint_raft_root root;

static int setup(void **p)
{
	snprintf(dir, sizeof(dir), "/tmp/flint_raft_db.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **p)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* ---- one database ----------------------------------------------------------------- */

struct seen {
	u64 first, last, bytes;
	int nr;
};

static int load(void *arg, struct flint_raft_ent *e)
{
	struct seen *s = arg;

	if (!s->nr++)
		s->first = e->index;
	s->last = e->index;
	s->bytes += e->len;
	assert_int_equal(e->data[0], e->index & 0xff);
	flint_raft_ent_put(e);
	return 0;
}

static int open_db(struct flint_raft_db **db, struct seen *s)
{
	int ret;

	memset(s, 0, sizeof(*s));
	ret = flint_raft_db_open(db, dir, "flint meta replace", &root, err, sizeof(err));
	if (!ret) {
		ret = flint_raft_db_load(*db, load, s, err, sizeof(err));
		if (ret)
			flint_raft_db_close(*db);
	}
	return ret;
}

static struct flint_raft_ent *ent(u64 index, u64 term, u32 len)
{
	struct flint_raft_ent *e = flint_raft_ent_new(index, term, RAFT_DATA, NULL, len);

	memset(e->data, (int)index, len);
	return e;
}

/* Entries @from..@to as one change. */
static void add(struct flint_raft_db *db, u64 from, u64 to, u64 truncate,
		struct flint_raft_root *r)
{
	struct flint_raft_ent *ents[256];
	struct flint_raft_job job = { .root = r, .truncate = truncate, .ents = ents };
	u32 i;

	for (i = 0; from + i <= to; i++)
		ents[i] = ent(from + i, 7, 100);
	job.nr = i;
	assert_int_equal(flint_raft_db_write_now(db, &job, err, sizeof(err)), 0);
	while (i)
		flint_raft_ent_put(ents[--i]);
}

static void test_new(void **p)
{
	struct flint_raft_db *db;
	struct seen s;
	u64 id;

	assert_int_equal(open_db(&db, &s), 0);
	id = root.id;
	assert_true(id && !root.group && !root.term && !s.nr);
	flint_raft_db_close(db);
	assert_int_equal(open_db(&db, &s), 0);
	assert_true(root.id == id);
	flint_raft_db_close(db);
}

static void test_entries(void **p)
{
	struct flint_raft_db *db;
	struct seen s;

	assert_int_equal(open_db(&db, &s), 0);
	root.term = 7;
	root.vote = 99;
	root.group = 5;
	add(db, 1, 200, 0, &root);
	add(db, 150, 160, 150, NULL);		/* what followed 149 is another leader's */
	flint_raft_db_close(db);
	assert_int_equal(open_db(&db, &s), 0);
	assert_true(root.term == 7 && root.vote == 99 && root.group == 5);
	assert_true(s.first == 1 && s.last == 160 && s.nr == 160);
	root.base = 100;
	root.base_term = 7;
	root.loading = true;
	memcpy(root.conf, "abc", root.conf_len = 3);
	add(db, 161, 161, 0, &root);
	flint_raft_db_close(db);
	assert_int_equal(open_db(&db, &s), 0);
	assert_true(root.base == 100 && root.loading && root.conf_len == 3 && root.conf[2] == 'c');
	assert_true(s.first == 101 && s.last == 161);
	flint_raft_db_close(db);
}

/* ---- the thread ----------------------------------------------------------------------- */

struct run {
	struct flint_loop *loop;
	struct flint_raft_db *db;
	u64 next, done;
	int failed;
	struct flint_raft_fetch fetch;
};

static void on_fatal(void *arg, const char *why)
{
	((struct run *)arg)->failed++;
	snprintf(err, sizeof(err), "%s", why);
}

struct one {
	struct flint_raft_job job;
	struct flint_raft_ent *e;
	struct run *r;
};

static void fetched(struct flint_raft_fetch *f, int e)
{
	struct run *r = f->priv;

	assert_int_equal(e, 0);
	assert_int_equal(f->nr, 11);
	assert_true(f->ents[0]->index == 90);
	while (f->nr)
		flint_raft_ent_put(f->ents[--f->nr]);
	flint_loop_stop(r->loop);
}

static void one_done(struct flint_raft_job *j, int e)
{
	struct one *o = (struct one *)j;
	struct run *r = o->r;

	assert_true(o->e->index == r->done + 1 || e);	/* in order */
	r->done = o->e->index;
	flint_raft_ent_put(o->e);
	free(o);
	if (r->done != 1000)
		return;
	if (e) {
		flint_loop_stop(r->loop);
		return;
	}
	r->fetch = (struct flint_raft_fetch){ .from = 90, .to = 100, .max_bytes = 1 << 20,
					      .done = fetched, .priv = r };
	flint_raft_db_fetch(r->db, &r->fetch);
}

static void submit_all(struct flint_task *t)
{
	struct { struct flint_task t; struct run *r; } *s = (void *)t;
	u64 i;

	for (i = 1; i <= 1000; i++) {
		struct one *o = calloc(1, sizeof(*o));

		o->r = s->r;
		o->e = ent(i, 1, 300);
		o->job.ents = &o->e;
		o->job.nr = 1;
		o->job.done = one_done;
		flint_raft_db_write(s->r->db, &o->job);
	}
}

static void run_thread(struct run *r)
{
	struct { struct flint_task t; struct run *r; } s = { { .fn = submit_all }, r };

	r->loop = flint_loop_new();
	assert_int_equal(flint_raft_db_start(r->db, r->loop, on_fatal, r), 0);
	flint_loop_post(r->loop, &s.t);
	assert_int_equal(flint_loop_run(r->loop), 0);
}

static void test_group_commit(void **p)
{
	struct flint_raft_db_stats st;
	struct run r = { 0 };
	struct seen s;

	assert_int_equal(open_db(&r.db, &s), 0);
	run_thread(&r);
	assert_true(r.done == 1000 && !r.failed);
	flint_raft_db_stats(r.db, &st);
	assert_true(st.entries == 1000 && st.syncs < 500);
	flint_raft_db_close(r.db);
	flint_loop_free(r.loop);
	assert_int_equal(open_db(&r.db, &s), 0);
	assert_true(s.last == 1000 && s.bytes == 300000);
	flint_raft_db_close(r.db);
}

/* A failure is told once, in words, and nothing after it succeeds. */
static void test_failure(void **p)
{
	struct run r = { 0 };
	struct seen s;

	assert_int_equal(open_db(&r.db, &s), 0);
	add(r.db, 500, 500, 0, NULL);		/* in the way of the 500th */
	run_thread(&r);
	assert_int_equal(r.failed, 1);
	assert_non_null(strstr(err, "raft.db"));
	assert_non_null(strstr(err, "flint meta replace"));
	flint_raft_db_close(r.db);
	flint_loop_free(r.loop);
}

/* ---- damage ------------------------------------------------------------------------------ */

static void fill(void)
{
	struct flint_raft_db *db;
	struct seen s;
	int i;

	assert_int_equal(open_db(&db, &s), 0);
	for (i = 0; i < 20; i++)
		add(db, 1 + 10 * i, 10 + 10 * i, 0, NULL);
	flint_raft_db_close(db);
}

static void smash(const char *name, off_t at, size_t len)
{
	char path[128], junk[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	memset(junk, 0x5a, sizeof(junk));
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, len, at), len);
	close(fd);
}

static void sql(const char *text)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/raft.db", dir);
	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), 0);
	sqlite3_close(db);
}

static void refused(int want, const char *word)
{
	struct flint_raft_db *db;
	struct seen s;

	assert_int_equal(open_db(&db, &s), want);
	if (!strstr(err, word))
		fail_msg("it says: %s", err);
	assert_non_null(strstr(err, dir));
}

static void test_damaged_page(void **p)
{
	fill();
	smash("raft.db", 3 * 4096 + 2000, 64);
	refused(-EUCLEAN, "flint meta replace");
}

static void test_damaged_entry(void **p)
{
	fill();
	sql("UPDATE entry SET data = zeroblob(100) WHERE idx = 77");
	refused(-EUCLEAN, "broken entry 77");
}

static void test_gap(void **p)
{
	fill();
	sql("DELETE FROM entry WHERE idx = 12");
	refused(-EUCLEAN, "entry 12");
}

static void test_damaged_root(void **p)
{
	fill();
	sql("UPDATE root SET vote = 12345");
	refused(-EUCLEAN, "root");
}

static void test_newer(void **p)
{
	fill();
	sql("PRAGMA user_version = 9");
	refused(-EPROTONOSUPPORT, "version 9");
}

static void test_foreign(void **p)
{
	sql("CREATE TABLE x(y); PRAGMA application_id = 7");
	refused(-EUCLEAN, "another program");
}

/* ---- the WAL ---------------------------------------------------------------------------------- */

/* A WAL as a crash leaves it: copied while the database is open. */
static void wal_copy(char *to, size_t len, int transactions)
{
	char cmd[256], path[128];
	sqlite3 *db;
	int i;

	snprintf(path, sizeof(path), "%s/w.db", dir);
	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(a)", NULL, NULL, NULL),
			 0);
	for (i = 0; i < transactions; i++)
		assert_int_equal(sqlite3_exec(db, "INSERT INTO t VALUES(randomblob(9000))", NULL, NULL,
					      NULL), 0);
	snprintf(to, len, "%s/copy-wal", dir);
	snprintf(cmd, sizeof(cmd), "cp %s-wal %s", path, to);
	assert_int_equal(system(cmd), 0);
	sqlite3_close(db);
}

static void test_wal(void **p)
{
	char path[128];
	struct stat sb;

	assert_int_equal(flint_raft_wal_check("/no/such/file"), 0);
	wal_copy(path, sizeof(path), 5);
	assert_int_equal(flint_raft_wal_check(path), 0);
	assert_int_equal(stat(path, &sb), 0);
	/* The last frame: a torn transaction. */
	smash("copy-wal", sb.st_size - 100, 64);
	assert_int_equal(flint_raft_wal_check(path), 0);
	/* An early one: others were synced after it. */
	smash("copy-wal", 32 + 24 + 500, 64);
	assert_int_equal(flint_raft_wal_check(path), -EUCLEAN);
	/* The header. */
	wal_copy(path, sizeof(path), 5);
	smash("copy-wal", 16, 4);
	assert_int_equal(flint_raft_wal_check(path), -EUCLEAN);
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(flint_raft_wal_check(path), 0);
}

/* Commits find the WAL as long as it gets: one that makes it longer costs the file system's journal. */
static void test_wal_room(void **p)
{
	struct flint_raft_db *db;
	struct stat before, after;
	char path[128];
	struct seen s;
	int i;

	snprintf(path, sizeof(path), "%s/raft.db-wal", dir);
	assert_int_equal(open_db(&db, &s), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_true(before.st_size > 1 << 20);
	for (i = 0; i < 50; i++)
		add(db, 1 + 10 * i, 10 + 10 * i, 0, NULL);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_size == after.st_size);
	flint_raft_db_close(db);
}

/* ---- the log in memory, the codec ---------------------------------------------------------------- */

static void test_ents(void **p)
{
	struct flint_raft_ents l = { 0 };
	u64 i;

	flint_raft_ents_reset(&l, 11);
	for (i = 11; i <= 2000; i++)
		assert_int_equal(flint_raft_ents_add(&l, ent(i, 1, 10)), 0);
	assert_true(flint_raft_ents_at(&l, 11)->index == 11 && !flint_raft_ents_at(&l, 10));
	flint_raft_ents_truncate(&l, 1500);
	assert_true(!flint_raft_ents_at(&l, 1500) && flint_raft_ents_at(&l, 1499)->index == 1499);
	flint_raft_ents_drop(&l, 1400);
	assert_true(l.first == 1401 && l.bytes == 990);
	flint_raft_ents_drop(&l, 5000);		/* a snapshot that is ahead of everything */
	assert_true(l.first == 5001 && l.last == 5000 && !l.bytes);
	assert_int_equal(flint_raft_ents_add(&l, ent(5001, 2, 10)), 0);
	assert_true(flint_raft_ents_at(&l, 5001)->term == 2);
	flint_raft_ents_truncate(&l, 4000);
	assert_true(l.last == 3999 && l.first == 4000);
	flint_raft_ents_free(&l);
}

static void test_codec(void **p)
{
	struct raft_msg m = { .from = 1, .to = 2, .term = 3, .index = 40, .log_term = 2, .commit = 39,
			      .type = RAFT_MSG_APPEND, .nr = 3 }, got;
	struct flint_addr addr = { .family = 4, .port = cpu_to_le16(7451) };
	struct flint_raft_ent *e[3], *back[3];
	struct flint_raft_msg w, in;
	u8 buf[4096];
	u32 len = 0, crc, i;

	flint_raft_msg_encode(&w, &m, 77, &addr);
	w.nr = cpu_to_le32(3);
	assert_int_equal(flint_raft_msg_decode(&in, &got, &w, sizeof(w)), 0);
	assert_true(got.from == 1 && got.to == 2 && got.index == 40 && got.nr == 3);
	assert_int_equal(flint_raft_msg_decode(&in, &got, &w, sizeof(w) - 1), -EPROTO);
	w.type = RAFT_MSG_VOTE;			/* which has no entries */
	assert_int_equal(flint_raft_msg_decode(&in, &got, &w, sizeof(w)), -EPROTO);
	w.nr = 0;
	w.to = w.from;
	assert_int_equal(flint_raft_msg_decode(&in, &got, &w, sizeof(w)), -EPROTO);
	for (i = 0; i < 3; i++) {
		e[i] = ent(41 + i, 3, 10 * i + 1);
		len += flint_raft_ent_encode(buf + len, e[i]);
	}
	crc = flint_crc32c(0, buf, len);
	assert_int_equal(flint_raft_ents_decode(buf, len, crc, 41, 3, back), 0);
	for (i = 0; i < 3; i++) {
		assert_true(back[i]->index == 41 + i && back[i]->len == e[i]->len);
		assert_memory_equal(back[i]->data, e[i]->data, e[i]->len);
		flint_raft_ent_put(back[i]);
	}
	assert_int_equal(flint_raft_ents_decode(buf, len, crc, 41, 2, back), -EPROTO);
	assert_int_equal(flint_raft_ents_decode(buf, len, crc, 41, 4, back), -EPROTO);
	assert_int_equal(flint_raft_ents_decode(buf, len, crc ^ 1, 41, 3, back), -EPROTO);
	buf[8] = 0xff;				/* a length beyond the end */
	crc = flint_crc32c(0, buf, len);
	assert_int_equal(flint_raft_ents_decode(buf, len, crc, 41, 3, back), -EPROTO);
	for (i = 0; i < 3; i++)
		flint_raft_ent_put(e[i]);
}

static void test_survivor(void **p)
{
	struct raft_conf c = { .nr = 3, .m = { { .id = 1, .voter = true }, { .id = 2, .voter = true },
					       { .id = 3, .voter = true } } };
	struct flint_raft_db *db;
	struct seen s;

	assert_int_equal(flint_raft_promote_survivor(dir, err, sizeof(err)), -ENOENT);
	assert_int_equal(open_db(&db, &s), 0);
	flint_raft_db_close(db);
	assert_int_equal(flint_raft_promote_survivor(dir, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "no whole state"));
	assert_int_equal(open_db(&db, &s), 0);
	root.group = 5;
	root.term = 9;
	root.base = 10;
	root.base_term = 8;
	c.m[0].id = root.id < 2 ? root.id : 1;
	root.conf_len = raft_conf_encode(&c, root.conf);
	add(db, 11, 20, 0, &root);
	flint_raft_db_close(db);
	assert_int_equal(flint_raft_promote_survivor(dir, err, sizeof(err)), 0);
	sql("CREATE TABLE ok AS SELECT 1 FROM entry, root WHERE idx = 21 AND type = 2 AND"
	    " entry.term = 10 AND root.term = 10 AND vote = 0;"
	    "CREATE TABLE one(n CHECK(n = 1)); INSERT INTO one SELECT count(*) FROM ok");
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_new), T(test_entries), T(test_group_commit), T(test_failure),
		T(test_damaged_page), T(test_damaged_entry), T(test_gap), T(test_damaged_root),
		T(test_newer), T(test_foreign), T(test_wal), T(test_wal_room), cmocka_unit_test(test_ents),
		cmocka_unit_test(test_codec), T(test_survivor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
