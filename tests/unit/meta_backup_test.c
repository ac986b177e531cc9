// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies of the state: consistent while it changes, refused when damaged, taken
 * as a state of its own; backups, what is kept of them, restoring; and that
 * verify finds what was planted.
 */
#include <fcntl.h>
#include "meta_state.h"
#include "../../userd/meta/backup.h"

#define REG	(S_IFREG | 0644)

static void fill(struct state *st, int from, int nr)
{
	char name[32];
	int i;

	for (i = from; i < from + nr; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		made(st, st->root, name, REG);
	}
}

static void copy(struct state *st, const char *name, struct meta_manifest *m, struct meta_work *w)
{
	memset(w, 0, sizeof(*w));
	w->kind = META_W_COPY;
	snprintf(w->src, sizeof(w->src), "%s", st->s.path);
	snprintf(w->dst, sizeof(w->dst), "%s/%s", st->dir, name);
	w->manifest = m;
	if (meta_work_run(w))
		fail_msg("%s", w->why);
}

static int admit(const char *path, u64 index, u64 term, char *why)
{
	struct meta_work w = { .kind = META_W_ADMIT, .want_index = index, .want_term = term };

	snprintf(w.src, sizeof(w.src), "%s", path);
	meta_work_run(&w);
	strcpy(why, w.why);
	return w.err;
}

/* A copy made by a thread while commands go on is the state at its index, which another store has. */
static void test_copy(void **p)
{
	struct state *st = *p, *other;
	struct meta_work w = { .kind = META_W_COPY, .rate = 4 << 20 };
	char err[512];
	u64 sum, index;
	void *q;
	int i;

	fill(st, 0, 3000);
	assert_int_equal(meta_store_flush(&st->s), 0);
	sum = meta_store_checksum(&st->s);
	index = st->s.index;
	snprintf(w.src, sizeof(w.src), "%s", st->s.path);
	snprintf(w.dst, sizeof(w.dst), "%s/copy", st->dir);
	assert_int_equal(meta_work_start(&w), 0);
	while (!atomic_load(&w.steps))
		usleep(100);
	for (i = 3000; i < 6000; i += 500) {
		fill(st, i, 500);
		assert_int_equal(meta_store_flush(&st->s), 0);
	}
	meta_work_wait(&w);
	if (w.err)
		fail_msg("%s", w.why);
	assert_int_equal(w.verdict.index, index);
	assert_true(w.verdict.checksum == sum);
	assert_int_equal(admit(w.dst, index, 1, err), 0);
	assert_int_equal(admit(w.dst, index + 1, 1, err), -EUCLEAN);
	assert_non_null(strstr(err, "log position"));

	assert_int_equal(state_setup(&q), 0);
	other = q;
	assert_int_equal(rename(w.dst, "/tmp/flint_meta_copy"), 0);
	if (meta_store_replace(&other->s, "/tmp/flint_meta_copy", err, sizeof(err)))
		fail_msg("%s", err);
	other->index = other->s.index;
	assert_int_equal(other->s.index, index);
	assert_true(meta_store_checksum(&other->s) == sum);
	assert_true(at(other, other->root, "file2999") && !at(other, other->root, "file3000"));
	/* It goes on from there. */
	other->sid = st->sid;
	other->seq = 3000;
	fill(other, 7000, 300);
	verify(other);
	state_teardown(&q);
}

/* Where in the file the tree of inodes begins: what lies elsewhere may be a page that is free. */
static off_t inodes_at(const char *path)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;
	off_t page;

	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name='inode'",
					    -1, &stmt, NULL), 0);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	page = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return (page - 1) * 4096;
}

static void test_damaged_copy(void **p)
{
	struct state *st = *p;
	struct meta_work w;
	char sql[600], err[512];
	u8 junk[4096];
	sqlite3 *db;
	off_t where;
	int fd;

	fill(st, 0, 2000);
	assert_int_equal(meta_store_flush(&st->s), 0);
	copy(st, "c1", NULL, &w);
	memset(junk, 0x33, sizeof(junk));
	where = inodes_at(w.dst);
	fd = open(w.dst, O_WRONLY);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), where), sizeof(junk));
	close(fd);
	assert_int_equal(admit(w.dst, 0, 0, err), -EUCLEAN);

	/* A row that is well-formed, but not what the commands made. */
	copy(st, "c2", NULL, &w);
	snprintf(sql, sizeof(sql), "UPDATE inode SET uid=uid+1 WHERE ino=%llu",
		 (unsigned long long)at(st, st->root, "file77"));
	assert_int_equal(sqlite3_open(w.dst, &db), 0);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), 0);
	sqlite3_close(db);
	assert_int_equal(admit(w.dst, 0, 0, err), -EUCLEAN);
	assert_non_null(strstr(err, "checksum"));

	fd = open(w.dst, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "no database", 11), 11);
	close(fd);
	assert_int_equal(admit(w.dst, 0, 0, err), -EUCLEAN);
}

static void test_cancel(void **p)
{
	struct state *st = *p;
	struct meta_work w = { .kind = META_W_COPY, .rate = 1 << 16 };

	fill(st, 0, 6000);
	assert_int_equal(meta_store_flush(&st->s), 0);
	snprintf(w.src, sizeof(w.src), "%s", st->s.path);
	snprintf(w.dst, sizeof(w.dst), "%s/copy", st->dir);
	atomic_store(&w.cancel, true);
	assert_int_equal(meta_work_start(&w), 0);
	meta_work_wait(&w);
	assert_int_equal(w.err, -ECANCELED);
	assert_int_equal(access(w.dst, F_OK), -1);
}

static void test_backup(void **p)
{
	struct state *st = *p, back = { 0 };
	struct meta_manifest m = { .group = 5, .node = "n1" };
	struct meta_backup_info *list;
	char name[FLINT_LABEL_LEN], part[FLINT_LABEL_LEN + 32], dir[128], say[512], path[256];
	const struct meta_store_config cfg = { .dir = dir, .cache_bytes = 1 << 20 };
	struct meta_verdict v;
	struct meta_work w;
	u64 sum;
	int i;

	fill(st, 0, 500);
	assert_int_equal(meta_store_flush(&st->s), 0);
	sum = meta_store_checksum(&st->s);
	snprintf(dir, sizeof(dir), "%s/backup", st->dir);
	assert_int_equal(meta_backup_list(dir, &list), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	meta_backup_name(name, st->s.index);
	assert_true(meta_backup_name_ok(name));
	assert_false(meta_backup_name_ok("../x") || meta_backup_name_ok("") ||
		     meta_backup_name_ok(".hidden") || meta_backup_name_ok("a b"));
	snprintf(part, sizeof(part), "backup/%s.part", name);
	copy(st, part, &m, &w);
	assert_int_equal(meta_backup_finish(dir, name), 0);
	snprintf(part, sizeof(part), "backup/meta-20200101T000000Z-7.db.part");
	copy(st, part, &m, &w);
	meta_backup_clean(dir);
	assert_int_equal(meta_backup_list(dir, &list), 1);
	assert_string_equal(list[0].name, name);
	assert_int_equal(list[0].index, st->s.index);
	free(list);

	/* A backup can be checked where it lies. */
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(meta_verify(path, &v, NULL, NULL), 0);
	assert_int_equal(v.problems, 0);
	assert_true(v.checksum == sum);

	/* Restored only where nothing is. */
	assert_int_equal(meta_backup_restore(path, st->dir, say, sizeof(say)), -EEXIST);
	snprintf(dir, sizeof(dir), "%s/new", st->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	if (meta_backup_restore(path, dir, say, sizeof(say)))
		fail_msg("%s", say);
	assert_true(strstr(say, "n1") && strstr(say, "501 files"));
	if (meta_store_open(&back.s, &cfg, say, sizeof(say)))
		fail_msg("%s", say);
	assert_true(meta_store_checksum(&back.s) == sum);
	assert_int_equal(back.s.index, 0);	/* a new group, a new log */
	meta_store_close(&back.s);

	/* The policy keeps the youngest of its own, and what has another name. */
	snprintf(dir, sizeof(dir), "%s/backup", st->dir);
	for (i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/meta-2020010%dT000000Z-7.db", dir, i + 1);
		close(open(path, O_CREAT | O_WRONLY, 0600));
		utimensat(AT_FDCWD, path, (struct timespec[2]) { { i, 0 }, { i, 0 } }, 0);
	}
	snprintf(path, sizeof(path), "%s/before-upgrade.db", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	utimensat(AT_FDCWD, path, (struct timespec[2]) { { 0, 0 }, { 0, 0 } }, 0);
	assert_int_equal(meta_backup_prune(dir, 2), 4);
	assert_int_equal(meta_backup_list(dir, &list), 3);
	assert_string_equal(list[0].name, "before-upgrade.db");
	assert_string_equal(list[1].name, "meta-20200105T000000Z-7.db");
	assert_string_equal(list[2].name, name);
	free(list);
}

/* What verify must find, planted in the file. */
static void test_verify(void **p)
{
	static const char *const plant[][2] = {
		{ "UPDATE inode SET nlink=nlink+1 WHERE mode=33188", "link count" },
		{ "UPDATE inode SET size=size+1 WHERE ino=(SELECT min(ino) FROM inode)", "entry count" },
		{ "DELETE FROM dentry WHERE name=CAST('file3' AS BLOB)", "link count" },
		{ "UPDATE dentry SET cookie=999999 WHERE name=CAST('file3' AS BLOB)", "cookies" },
		{ "UPDATE dentry SET type=4 WHERE name=CAST('file3' AS BLOB)", "type" },
		{ "UPDATE quota SET inodes=inodes+1 WHERE kind=2", "users" },
		{ "UPDATE inode SET tree_files=0 WHERE ino=(SELECT min(ino) FROM inode)", "totals" },
		{ "UPDATE fs SET files=files-1", "inode count" },
		{ "INSERT INTO orphan VALUES(4242, 1, 1)", "orphans" },
		{ "INSERT INTO handle VALUES(77, 1, 16, 3)", "handles" },
		{ "DELETE FROM inode WHERE ino=(SELECT ino FROM dentry WHERE name=CAST('file9' AS BLOB))",
		  "without an inode" },
	};
	struct state *st = *p;
	struct meta_verdict v;
	struct meta_work w;
	char name[16];
	sqlite3 *db;
	size_t i;

	fill(st, 0, 20);
	assert_int_equal(meta_store_flush(&st->s), 0);
	for (i = 0; i < sizeof(plant) / sizeof(plant[0]); i++) {
		snprintf(name, sizeof(name), "p%zu", i);
		copy(st, name, NULL, &w);
		assert_int_equal(sqlite3_open(w.dst, &db), 0);
		if (sqlite3_exec(db, plant[i][0], NULL, NULL, NULL))
			fail_msg("%s: %s", plant[i][0], sqlite3_errmsg(db));
		sqlite3_close(db);
		assert_int_equal(meta_verify(w.dst, &v, NULL, NULL), 0);
		if (!v.problems || !strstr(v.text, plant[i][1]) || !strstr(v.text, "checksum"))
			fail_msg("%s was not found: %s", plant[i][0], v.text);
	}
}

#define T(f)	cmocka_unit_test_setup_teardown(f, state_setup, state_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_copy), T(test_damaged_copy), T(test_cancel), T(test_backup), T(test_verify),
	};

	meta_sqlite_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
