// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state over its database: what is refused and left alone, generations and
 * restarts against a plain reference, little memory, scans under change, failing
 * disks, older versions.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include "meta_state.h"

#define REG	(S_IFREG | 0644)

static char dir[64], path[128], err[512];

static int setup(void **p)
{
	snprintf(dir, sizeof(dir), "/tmp/flint_meta_store.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/" META_STORE_FILE, dir);
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
	const struct meta_store_config cfg = { .dir = dir, .cache_bytes = 1 << 20 };
	struct meta_store s;
	size_t n = slurp(before, sizeof(before));

	assert_int_equal(meta_store_open(&s, &cfg, err, sizeof(err)), want);
	if (!strstr(err, word) || !strstr(err, path))
		fail_msg("no \"%s\" or path in: %s", word, err);
	assert_int_equal(slurp(after, sizeof(after)), n);
	assert_memory_equal(before, after, n);
}

static void fresh(void)
{
	const struct meta_store_config cfg = { .dir = dir, .cache_bytes = 1 << 20 };
	struct meta_store s;

	assert_int_equal(meta_store_open(&s, &cfg, err, sizeof(err)), 0);
	meta_store_close(&s);
	sql("PRAGMA wal_checkpoint(TRUNCATE)");
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
	const struct meta_store_config cfg = { .dir = "/no/such/dir", .cache_bytes = 1 << 20 };
	struct meta_store s;

	assert_int_equal(meta_store_open(&s, &cfg, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "--state"));
}

/* ---- the state across restarts ---------------------------------------------------- */

static void on_durable(void *arg, u64 index, u64 term)
{
	u64 *durable = arg;

	*durable = index;
}

static u64 durable;

static void open_with(struct state *st, u64 cache, u32 gen)
{
	const struct meta_store_config cfg = {
		.dir = st->dir, .cache_bytes = cache, .gen_objects = gen, .durable = on_durable,
		.fatal = state_fatal, .arg = &durable,
	};
	char why[512] = "";

	if (meta_store_open(&st->s, &cfg, why, sizeof(why)))
		fail_msg("%s", why);
	st->index = st->s.index;
}

/* Every command of the reference's log, one entry each, from the one after the file's. */
static void replay_from(struct state *st, const struct logged *log, u64 first, u64 nr)
{
	const struct logged *l = log;
	u64 n;

	for (n = first; n < st->s.index + 1 && l; n++)
		l = l->next;
	for (; l && st->s.index < first + nr - 1; l = l->next)
		apply_bytes(st, l->cmd, l->len);
}

static void some_op(struct state *st, unsigned int *rng, const u64 *dirs, int nr)
{
	char a[16], b[16];
	u64 da = dirs[rand_r(rng) % nr], db = dirs[rand_r(rng) % nr], ino;

	snprintf(a, sizeof(a), "n%d", rand_r(rng) % 60);
	snprintf(b, sizeof(b), "n%d", rand_r(rng) % 60);
	ino = at(st, da, a);
	switch (rand_r(rng) % 9) {
	case 0:
		do_mknod(st, da, a, S_IFDIR | 0755, NULL);
		break;
	case 1:
		do_mknod(st, da, a, S_IFLNK, b);
		break;
	case 2:
	case 3:
		do_mknod(st, da, a, REG, NULL);
		break;
	case 4:
		do_unlink(st, da, a, rand_r(rng) % 3 ? 0 : FLINT_NAME_DIR);
		break;
	case 5:
		do_rename(st, da, a, db, b, rand_r(rng) % 3);
		break;
	case 6:
		if (ino)
			do_link(st, ino, db, b);
		break;
	case 7:
		if (ino)
			do_xattr(st, FLINT_OP_SETXATTR, ino, "user.x", b, strlen(b), 0);
		break;
	case 8:
		do_open(st, da, a, FLINT_OPEN_WRITE | FLINT_OPEN_CREATE, 0644);
		break;
	}
}

/* The whole tree through the reading side, as text. */
struct listing {
	char *text;
	size_t len, cap;
};

static void list_dir(struct state *st, struct listing *out, u64 dir, int depth)
{
	u8 buf[700];
	struct flint_readdir req = { .ino = cpu_to_le64(dir) };
	struct flint_readdir_rep rep;
	u32 used, at, i;

	do {
		assert_int_equal(meta_read_dir(&st->s, 0, 0, &req, buf, sizeof(buf), &used, &rep), 0);
		for (i = 0, at = 0; i < le32_to_cpu(rep.nr); i++) {
			struct flint_dirent d;
			char name[256];

			memcpy(&d, buf + at, sizeof(d));
			memcpy(name, buf + at + sizeof(d), le16_to_cpu(d.name_len));
			name[le16_to_cpu(d.name_len)] = 0;
			at += le16_to_cpu(d.rec_len);
			assert_true(le64_to_cpu(d.cookie) > le64_to_cpu(req.cookie));
			req.cookie = d.cookie;
			if (out->cap - out->len < 400) {
				out->cap = 2 * out->cap + 4096;
				out->text = realloc(out->text, out->cap);
				assert_non_null(out->text);
			}
			out->len += sprintf(out->text + out->len, "%*s%s %llu %llu %u\n", depth, "",
					    name, (unsigned long long)le64_to_cpu(d.cookie),
					    (unsigned long long)le64_to_cpu(d.ino), d.type);
			if (d.type == 4)
				list_dir(st, out, le64_to_cpu(d.ino), depth + 1);
		}
	} while (!rep.eof);
}

static void same_tree(struct state *a, struct state *b)
{
	struct listing x = { 0 }, y = { 0 };

	list_dir(a, &x, a->root, 0);
	list_dir(b, &y, b->root, 0);
	assert_true(x.len == y.len && x.len);
	assert_memory_equal(x.text, y.text, x.len);
	free(x.text);
	free(y.text);
}

/*
 * One store runs random commands; another applies the same ones, flushes at
 * random points, has next to no cache, and loses its memory now and then: then
 * it opens its file and applies the log's entries after it. They must agree.
 */
static void test_crashes(void **p)
{
	struct state *ref = *p, *st;
	u64 dirs[5], first;
	unsigned int rng = 7;
	int i, n = 0;
	void *q;

	assert_int_equal(state_setup(&q), 0);
	st = q;
	first = ref->index + 1;
	assert_int_equal(st->index, ref->index);
	state_close(st);
	open_with(st, 1 << 16, 300);
	ref->log_tail = &ref->log;
	dirs[0] = ref->root;
	for (i = 1; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%d", i);
		dirs[i] = made(ref, dirs[i - 1], name, S_IFDIR | 0755);
	}
	for (i = 0; i < 6000; i++) {
		some_op(ref, &rng, dirs, 5);
		if (rand_r(&rng) % 40)
			continue;
		replay_from(st, ref->log, first, ref->index + 1 - first);
		assert_int_equal(st->s.index, ref->s.index);
		assert_true(meta_store_checksum(&st->s) == meta_store_checksum(&ref->s));
		switch (rand_r(&rng) % 4) {
		case 0:
			assert_int_equal(meta_store_flush(&st->s), 0);
			assert_int_equal(durable, st->s.index);
			break;
		case 1:		/* died: what was not written is gone */
			meta_store_close(&st->s);
			open_with(st, 1 << 16, 300);
			assert_true(st->s.index >= durable);
			n++;
			break;
		case 2:
			same_tree(st, ref);
			break;
		}
	}
	assert_true(n > 10);
	replay_from(st, ref->log, first, ref->index + 1 - first);
	same_tree(st, ref);
	verify(st);
	assert_true(meta_store_checksum(&st->s) == meta_store_checksum(&ref->s));
	while (ref->log) {
		struct logged *next = ref->log->next;

		free(ref->log);
		ref->log = next;
	}
	ref->log_tail = NULL;
	state_teardown(&q);
}

/* Far more objects than fit: memory stays where it was set, and answers stay right. */
static void test_eviction(void **p)
{
	struct state *st = *p;
	struct meta_store_stats s;
	char name[32];
	u64 dir[4];
	int i;

	state_close(st);
	open_with(st, 1 << 20, 500);
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "dir%d", i);
		dir[i] = made(st, st->root, name, S_IFDIR | 0755);
	}
	for (i = 0; i < 12000; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		made(st, dir[i % 4], name, REG);
	}
	assert_int_equal(meta_store_flush(&st->s), 0);
	for (i = 0; i < 30000; i++) {
		snprintf(name, sizeof(name), "file%d", i * 7919 % 12000);
		assert_true(at(st, dir[i * 7919 % 12000 % 4], name) != 0);
		snprintf(name, sizeof(name), "none%d", i);
		assert_true(at(st, dir[i % 4], name) == 0);
	}
	meta_store_stats(&st->s, &s);
	assert_true(s.evictions > 10000 && s.misses > 10000);
	assert_in_range(s.bytes, 1, (1 << 20) + (100 << 10));
	for (i = 0; i < 12000; i += 3) {
		snprintf(name, sizeof(name), "file%d", i);
		assert_int_equal(do_unlink(st, dir[i % 4], name, 0), 0);
	}
	for (i = 0; i < 12000; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		assert_true(!at(st, dir[i % 4], name) == (i % 3 == 0));
	}
	assert_int_equal(get(st, dir[0]).size, 2000);
}

static u64 rows_in_memory(struct state *st, enum meta_table_id t)
{
	const struct meta_rowo *r = meta_order_seek(&st->s.cache, t, (const u8 *)"", 0);
	u64 nr = 0;

	for (; r; r = r->fwd[0])
		nr++;
	return nr;
}

/* Rows that are gone, in the database too, leave nothing that a walk would pass. */
static void test_rows_gone(void **p)
{
	struct state *st = *p;
	u64 f[500], ino[4];
	char name[32];
	int i;

	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		f[i] = made(st, st->root, name, REG);
		assert_int_equal(do_extend(st, FLINT_OP_EXTEND, f[i], 0, 100, 0), 0);
		assert_int_equal(do_unlink(st, st->root, name, 0), 0);
	}
	assert_int_equal(rows_in_memory(st, META_T_ORPHAN), 500);
	assert_int_equal(meta_store_flush(&st->s), 0);
	/* Some go that the database has, some that it is just being told of. */
	for (i = 0; i < 500; i++) {
		if (i == 250)
			meta_store_freeze(&st->s);
		assert_int_equal(own(st, META_OP_ORPHAN_DONE, f[i], 0), 0);
	}
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 0);
	assert_int_equal(meta_store_flush(&st->s), 0);
	assert_int_equal(rows_in_memory(st, META_T_ORPHAN), 0);
	assert_int_equal(own(st, META_OP_ORPHAN_DONE, f[0], 0), 0);	/* again */
	assert_int_equal(meta_read_orphans(&st->s, 0, ino, 4), 0);
	verify(st);
}

/* A scan while names come and go in every generation: what stays is seen exactly once. */
static void test_readdir(void **p)
{
	struct state *st = *p;
	u8 buf[1000], seen[3000];
	struct flint_readdir req;
	struct flint_readdir_rep rep;
	u32 used, at, i;
	char name[32];
	int round, n, next = 100000;
	u64 d = made(st, st->root, "d", S_IFDIR | 0755);

	for (n = 0; n < 3000; n++) {
		snprintf(name, sizeof(name), "keep%d", n);
		made(st, d, name, REG);
		if (n % 3)
			continue;
		snprintf(name, sizeof(name), "go%d", n);
		made(st, d, name, REG);
	}
	for (round = 0; round < 3; round++) {
		memset(seen, 0, sizeof(seen));
		memset(&req, 0, sizeof(req));
		req.ino = cpu_to_le64(d);
		do {
			assert_int_equal(meta_read_dir(&st->s, 1, 0, &req, buf, sizeof(buf), &used,
						       &rep), 0);
			for (i = 0, at = 0; i < le32_to_cpu(rep.nr); i++) {
				struct flint_dirent de;
				int k;

				memcpy(&de, buf + at, sizeof(de));
				memcpy(name, buf + at + sizeof(de), le16_to_cpu(de.name_len));
				name[le16_to_cpu(de.name_len)] = 0;
				at += le16_to_cpu(de.rec_len);
				assert_true(le64_to_cpu(de.cookie) > le64_to_cpu(req.cookie));
				req.cookie = de.cookie;
				if (sscanf(name, "keep%d", &k) == 1)
					seen[k]++;
			}
			/* One goes, one comes, one stays but is another file. */
			snprintf(name, sizeof(name), "go%d", rand() % 1000 * 3);
			do_unlink(st, d, name, 0);
			snprintf(name, sizeof(name), "new%d", next);
			if (next++ < 104000)
				made(st, d, name, REG);
			if (next % 2) {
				char over[32];

				snprintf(over, sizeof(over), "keep%d", rand() % 3000);
				assert_int_equal(do_rename(st, d, name, d, over, 0), 0);
			}
			if (next % 37 == 0)
				meta_store_poll(&st->s);
			if (next % 301 == 0)
				assert_int_equal(meta_store_flush(&st->s), 0);
		} while (!rep.eof);
		for (n = 0; n < 3000; n++)
			if (seen[n] != 1)
				fail_msg("keep%d was seen %d times", n, seen[n]);
	}
}

/* ---- a disk that fails ------------------------------------------------------------------ */

static char fatal_text[512];

static void on_fatal(void *arg, const char *why)
{
	snprintf(fatal_text, sizeof(fatal_text), "%s", why);
}

static void open_fatal(struct state *st)
{
	const struct meta_store_config cfg = { .dir = st->dir, .cache_bytes = 1 << 20,
					       .gen_objects = 100, .fatal = on_fatal };
	char why[512];

	fatal_text[0] = 0;
	assert_int_equal(meta_store_open(&st->s, &cfg, why, sizeof(why)), 0);
	st->index = st->s.index;
}

/* A flush that finds no room ends the replica in words; the file is as it was before. */
static void test_full(void **p)
{
	struct state *st = *p;
	struct rlimit old, lim;
	u64 sum, index;
	char name[32];
	int i;

	state_close(st);
	open_fatal(st);
	sum = meta_store_checksum(&st->s);
	index = st->s.index;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	lim = old;
	lim.rlim_cur = 64 << 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	for (i = 0; i < 5000 && !st->s.dead; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		do_mknod(st, st->root, name, REG, NULL);
	}
	meta_store_flush(&st->s);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(st->s.dead && strlen(fatal_text));
	meta_store_close(&st->s);
	open_fatal(st);
	assert_true(st->s.index >= index && st->s.index < index + 5000);
	if (st->s.index == index)
		assert_true(meta_store_checksum(&st->s) == sum);
}

/* A page that goes bad while the server runs stops it. */
static void test_damaged_in_flight(void **p)
{
	struct state *st = *p;
	u8 junk[4096];
	char name[32];
	int i, fd;

	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		made(st, st->root, name, REG);
	}
	state_sql(st, "PRAGMA wal_checkpoint(TRUNCATE)");
	meta_store_close(&st->s);
	open_fatal(st);
	memset(junk, 0xa5, sizeof(junk));
	fd = open(st->s.path, O_WRONLY);
	for (i = 3; i < 80; i++)
		assert_int_equal(pwrite(fd, junk, sizeof(junk), i * 4096), sizeof(junk));
	close(fd);
	for (i = 0; i < 3000 && !st->s.dead; i++) {
		struct meta_inode in;

		snprintf(name, sizeof(name), "file%d", i);
		meta_read_lookup(&st->s, 0, st->root, (u8 *)name, strlen(name), &in);
	}
	assert_true(st->s.dead && strlen(fatal_text));
	meta_store_close(&st->s);
	state_remove_dir(st->dir);
	free(st);
}

/* ---- versions --------------------------------------------------------------------------- */

static const char v1[] =
"PRAGMA application_id=1179405636; PRAGMA user_version=1;"
"CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id=1), applied INT NOT NULL, last_ts INT NOT NULL,"
" next_ino INT NOT NULL, next_session INT NOT NULL, next_handle INT NOT NULL) STRICT;"
"INSERT INTO state VALUES(1, 9, 1000, 20, 2, 3);"
"CREATE TABLE setting(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;"
"CREATE TABLE fs(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, root INT NOT NULL,"
" files INT NOT NULL) STRICT;"
"CREATE TABLE inode(ino INTEGER PRIMARY KEY, fs INT NOT NULL, gen INT NOT NULL, mode INT NOT NULL,"
" nlink INT NOT NULL, uid INT NOT NULL, gid INT NOT NULL, flags INT NOT NULL,"
" rdev_major INT NOT NULL, rdev_minor INT NOT NULL, size INT NOT NULL, atime INT NOT NULL,"
" mtime INT NOT NULL, ctime INT NOT NULL, btime INT NOT NULL, change INT NOT NULL,"
" parent INT NOT NULL, project INT NOT NULL, trunc_epoch INT NOT NULL, chunk_shift INT NOT NULL,"
" stripe INT NOT NULL, chain_table INT NOT NULL, table_ver INT NOT NULL, next_cookie INT NOT NULL,"
" data INT NOT NULL) STRICT;"
"CREATE TABLE dentry(parent INT NOT NULL, name BLOB NOT NULL, cookie INT NOT NULL,"
" ino INT NOT NULL, type INT NOT NULL, PRIMARY KEY(parent, name)) STRICT, WITHOUT ROWID;"
"CREATE UNIQUE INDEX dentry_cookie ON dentry(parent, cookie, ino, type);"
"CREATE TABLE symlink(ino INTEGER PRIMARY KEY, target BLOB NOT NULL) STRICT;"
"CREATE TABLE xattr(ino INT NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL,"
" PRIMARY KEY(ino, name)) STRICT, WITHOUT ROWID;"
"CREATE TABLE session(id INTEGER PRIMARY KEY, client BLOB NOT NULL UNIQUE, fs INT NOT NULL,"
" root INT NOT NULL, flags INT NOT NULL, opened INT NOT NULL) STRICT;"
"CREATE TABLE handle(sid INT NOT NULL, id INT NOT NULL, ino INT NOT NULL, flags INT NOT NULL,"
" PRIMARY KEY(sid, id)) STRICT, WITHOUT ROWID;"
"CREATE TABLE reply(sid INT NOT NULL, seq INT NOT NULL, low INT NOT NULL, digest INT NOT NULL,"
" status INT NOT NULL, body BLOB NOT NULL, PRIMARY KEY(sid, seq)) STRICT, WITHOUT ROWID;"
"CREATE TABLE orphan(ino INTEGER PRIMARY KEY, ready INT NOT NULL, since INT NOT NULL) STRICT;"
"CREATE INDEX orphan_ready ON orphan(ino) WHERE ready = 1;"
"CREATE TABLE intent(ino INTEGER PRIMARY KEY, epoch INT NOT NULL, size INT NOT NULL,"
" sid INT NOT NULL, seq INT NOT NULL, digest INT NOT NULL, op INT NOT NULL, handle INT NOT NULL,"
" since INT NOT NULL) STRICT;"
"CREATE UNIQUE INDEX intent_seq ON intent(sid, seq) WHERE seq != 0;"
"INSERT INTO fs VALUES(1, 'old', 16, 4);"
"INSERT INTO inode VALUES(16,1,1,16877,3,0,0,0,0,0,2,50,60,60,50,5,16,0,0,20,4,1,1,18,0);"
"INSERT INTO inode VALUES(17,1,1,16877,2,7,8,0,0,0,1,51,61,61,51,2,16,0,0,20,4,1,1,17,0);"
"INSERT INTO inode VALUES(18,1,1,33188,1,7,8,0,0,0,5000,52,62,72,52,3,0,0,1,20,4,1,1,0,1);"
"INSERT INTO inode VALUES(19,1,1,8612,1,0,0,0,8,17,0,53,53,53,53,1,0,0,0,20,4,1,1,0,0);"
"INSERT INTO dentry VALUES(16,X'64',16,17,4),(17,X'66',16,18,8),(16,X'74',17,19,2);"
"INSERT INTO xattr VALUES(18,CAST('user.a' AS BLOB),X'3132');"
"INSERT INTO session VALUES(1,X'01000000000000000000000000000000',1,16,0,5);"
"INSERT INTO handle VALUES(1,2,18,3);"
"INSERT INTO reply VALUES(1,7,6,99,0,X'');"
"INSERT INTO intent VALUES(18,2,5000,1,8,55,49,0,70);";

static void test_upgrade(void **p)
{
	struct meta_store_config cfg = { .dir = dir, .cache_bytes = 1 << 20 };
	struct meta_verdict v;
	struct meta_intent it;
	struct meta_inode i;
	struct meta_store s;
	s64 version;
	u8 buf[8];
	u32 total;
	int round;

	sql(v1);
	for (round = 0; round < 2; round++) {
		if (meta_store_open(&s, &cfg, err, sizeof(err)))
			fail_msg("%s", err);
		assert_int_equal(meta_db_int(&s.rd, "PRAGMA user_version", &version), 0);
		assert_int_equal(version, META_SCHEMA_VERSION);
		assert_int_equal(meta_read_lookup(&s, 1, 17, (u8 *)"f", 1, &i), 0);
		assert_int_equal(i.ino, 18);
		assert_int_equal(i.size, 5000);
		assert_int_equal(i.atime, 52);
		assert_int_equal(i.mtime, 62);
		assert_int_equal(i.ctime, 72);
		assert_int_equal(i.btime, 52);
		assert_int_equal(i.parent, 17);
		assert_int_equal(meta_read_lookup(&s, 1, 16, (u8 *)"t", 1, &i), 0);
		assert_int_equal(i.rdev_major, 8);
		assert_int_equal(i.rdev_minor, 17);
		assert_int_equal(meta_read_xattr(&s, 18, (u8 *)"user.a", 6, buf, 8, &total), 2);
		assert_non_null(meta_session_by_id(&s, 1));
		assert_int_equal(meta_session_by_id(&s, 1)->low, 6);
		assert_int_equal(meta_open_count(&s, 18), 1);
		assert_int_equal(meta_intent_by_seq(&s, 1, 8, &it), 1);
		assert_int_equal(it.ino, 18);
		assert_int_equal(meta_read_inode(&s, 16, &i), 0);
		assert_int_equal(i.tree_bytes, 8192);
		assert_int_equal(i.tree_files, 2);
		assert_int_equal(i.tree_dirs, 1);
		meta_store_close(&s);
		snprintf(path, sizeof(path), "%s/" META_STORE_FILE, dir);
		assert_int_equal(meta_verify(path, &v, NULL, NULL), 0);
		if (v.problems)
			fail_msg("%s", v.text);
	}
}

#define F(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define T(f)	cmocka_unit_test_setup_teardown(f, state_setup, state_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		F(test_new), F(test_not_a_database), F(test_foreign), F(test_newer), F(test_damaged),
		F(test_cut_short), F(test_missing_dir), F(test_upgrade), T(test_crashes),
		T(test_eviction), T(test_rows_gone), T(test_readdir), T(test_full),
		cmocka_unit_test_setup(test_damaged_in_flight, state_setup),
	};

	meta_sqlite_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
