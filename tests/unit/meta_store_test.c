// SPDX-License-Identifier: GPL-2.0-or-later
/* The database file: what is refused and left alone, a full disk, the log's group commit. */
#include <fcntl.h>
#include <pthread.h>
#include "meta_state.h"
#include "../../userd/meta/log.h"

#define REG	(S_IFREG | 0644)

static char dir[64], path[128], err[512];

static int setup(void **p)
{
	snprintf(dir, sizeof(dir), "/tmp/flint_meta_store.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/meta.db", dir);
	return 0;
}

static int teardown(void **p)
{
	state_remove_dir(dir);
	return 0;
}

static void put(const void *data, size_t len, off_t off, int flags)
{
	int fd = open(path, O_WRONLY | flags, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, off), len);
	close(fd);
}

static void sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), 0);
	sqlite3_close(db);
}

static size_t slurp(u8 *buf, size_t max)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, buf, max);
	close(fd);
	assert_true(n >= 0 && (size_t)n < max);
	return n;
}

/* Opening fails with @want and a sentence with @word in it; no byte of the file changed. */
static void refused(int want, const char *word)
{
	static u8 before[1 << 20], after[1 << 20];
	struct meta_store s;
	size_t n = slurp(before, sizeof(before));

	assert_int_equal(meta_store_open(&s, dir, err, sizeof(err)), want);
	if (!strstr(err, word) || !strstr(err, path))
		fail_msg("no \"%s\" or path in: %s", word, err);
	assert_int_equal(slurp(after, sizeof(after)), n);
	assert_memory_equal(before, after, n);
}

static void fresh(void)
{
	struct meta_store s;

	assert_int_equal(meta_store_open(&s, dir, err, sizeof(err)), 0);
	meta_store_checkpoint(&s, true);
	meta_store_close(&s);
}

static void test_new(void **p)
{
	struct stat st;

	fresh();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	fresh();
}

static void test_not_a_database(void **p)
{
	put("this is not a database, whatever its name says. ", 48, 0, O_CREAT);
	refused(-EUCLEAN, "not a database");
}

static void test_foreign(void **p)
{
	sql("CREATE TABLE letters(a)");
	refused(-EUCLEAN, "not one of flint-metad");
}

static void test_newer(void **p)
{
	fresh();
	sql("PRAGMA user_version=99; PRAGMA wal_checkpoint(TRUNCATE)");
	refused(-EPROTONOSUPPORT, "schema version 99");
}

static void test_damaged(void **p)
{
	u8 junk[4096];
	int i;

	fresh();
	memset(junk, 0x5a, sizeof(junk));
	for (i = 1; i < 8; i++)
		put(junk, sizeof(junk), i * 4096, 0);
	refused(-EUCLEAN, "damaged");
}

static void test_cut_short(void **p)
{
	fresh();
	assert_int_equal(truncate(path, 5000), 0);
	refused(-EUCLEAN, "damaged");
}

static void test_missing_dir(void **p)
{
	struct meta_store s;

	assert_int_equal(meta_store_open(&s, "/no/such/dir", err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "--state"));
}

/* ---- the log --------------------------------------------------------------------- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int left;
	int ok, nospace, other;
	char fatal[256];
};

static void on_done(struct meta_proposal *p)
{
	struct waiter *w = p->arg;

	pthread_mutex_lock(&w->lock);
	if (!p->reply.status)
		w->ok++;
	else if (p->reply.status == ENOSPC)
		w->nospace++;
	else
		w->other++;
	w->left--;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	free(p);
}

static void on_fatal(void *arg, const char *why)
{
	struct waiter *w = arg;

	snprintf(w->fatal, sizeof(w->fatal), "%s", why);
}

static void propose_mknod(struct meta_log *log, struct state *st, struct waiter *w, int n)
{
	char body[sizeof(struct flint_mknod) + 255];
	struct flint_mknod b = {
		.fixed_len = cpu_to_le32(sizeof(b)), .mode = cpu_to_le32(REG),
		.parent = cpu_to_le64(st->root), .name_len = cpu_to_le32(255),
	};
	struct meta_command c = { .op = FLINT_OP_MKNOD, .sid = st->sid, .seq = ++st->seq,
				  .seq_low = 1, .body = body, .body_len = sizeof(body) };
	struct meta_proposal *p;

	memcpy(body, &b, sizeof(b));
	memset(body + sizeof(b), 'x', 255);
	body[sizeof(b) + snprintf(body + sizeof(b), 200, "%d", n)] = 'y';
	p = meta_proposal_new(&c);
	assert_non_null(p);
	assert_true(p->durable);
	p->done = on_done;
	p->arg = w;
	meta_log_propose(log, p);
}

static void run_log(struct state *st, struct waiter *w, int from, int nr)
{
	struct meta_log *log = meta_log_new(&st->s, on_fatal, w);
	struct meta_log_stats stats;
	int i;

	assert_non_null(log);
	w->left = nr;
	w->ok = w->nospace = w->other = 0;
	for (i = 0; i < nr; i++)
		propose_mknod(log, st, w, from + i);
	pthread_mutex_lock(&w->lock);
	while (w->left)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
	meta_log_stats(log, &stats);
	assert_int_equal(stats.commands, nr);
	assert_true(stats.commits <= stats.commands);
	meta_log_free(log);
}

static void test_log(void **p)
{
	struct state *st = *p;
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

	run_log(st, &w, 0, 3000);
	assert_int_equal(w.ok, 3000);
	assert_int_equal(get(st, st->root).size, 3000);
	state_restart(st);
	assert_int_equal(get(st, st->root).size, 3000);
}

static void pages(struct state *st, int n)
{
	char text[64];

	snprintf(text, sizeof(text), "PRAGMA max_page_count=%d", n);
	assert_int_equal(sqlite3_exec(st->s.db, text, NULL, NULL, NULL), 0);
}

static void test_full(void **p)
{
	struct state *st = *p;
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	int made;

	pages(st, 300);
	run_log(st, &w, 0, 2000);
	made = w.ok;
	assert_true(made > 50 && w.nospace > 100 && !w.other);
	assert_string_equal(w.fatal, "");
	assert_int_equal(get(st, st->root).size, made);
	verify(st);
	pages(st, 1 << 20);		/* someone made room */
	run_log(st, &w, 5000, 500);
	assert_int_equal(w.ok, 500);
	assert_int_equal(get(st, st->root).size, made + 500);
	state_restart(st);
	assert_int_equal(get(st, st->root).size, made + 500);
}

/* A page that goes bad while the server runs stops it, and nothing is acknowledged after. */
static void test_damaged_in_flight(void **p)
{
	struct state *st = *p;
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	u8 junk[4096];
	int i, fd;

	run_log(st, &w, 0, 500);
	meta_store_checkpoint(&st->s, true);
	state_restart(st);
	memset(junk, 0xa5, sizeof(junk));
	fd = open(st->s.path, O_WRONLY);
	for (i = 3; i < 60; i++)
		assert_int_equal(pwrite(fd, junk, sizeof(junk), i * 4096), sizeof(junk));
	close(fd);
	sqlite3_db_release_memory(st->s.db);
	run_log(st, &w, 1000, 10);
	assert_int_equal(w.ok, 0);
	assert_int_equal(w.other, 10);
	assert_true(strlen(w.fatal) > 0);
	state_close(st);
	state_remove_dir(st->dir);
	free(st);
}

#define F(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define T(f)	cmocka_unit_test_setup_teardown(f, state_setup, state_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		F(test_new), F(test_not_a_database), F(test_foreign), F(test_newer), F(test_damaged),
		F(test_cut_short), F(test_missing_dir), T(test_log), T(test_full),
		cmocka_unit_test_setup(test_damaged_in_flight, state_setup),
	};

	meta_sqlite_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
