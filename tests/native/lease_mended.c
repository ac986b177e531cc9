// SPDX-License-Identifier: GPL-2.0-or-later
/* flint-leasetest mended PID: faults that the client library had, against real servers. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lease_test.h"

static uint64_t ms_since(uint64_t t)
{
	return (flint_now_ns() - t) / 1000000;
}

/* A directory is refused; what was made in it fails no sooner than what was made before that. */
static void mended_order(struct flint_fs *a, struct flint_fs *b)
{
	struct flint_quota_set q = { .kind = cpu_to_le32(FLINT_QUOTA_TREE),
				     .inode_hard = cpu_to_le64(1) };
	struct flint_attr top, dir, sub, attr;
	struct flint_statfs st;
	uint64_t t;
	int rc = flint_fs_mkdir(a, root_of(a), "order", 0755, &top);

	rc |= own_dir(a, ino_of(&top), "dir", 0755, &dir);
	rc |= make(a, ino_of(&dir), "f", 0, &attr) | flint_fs_sync(a);
	q.id = top.ino;
	rc |= flint_fs_quota_set(b, &q, NULL);
	rc |= flint_fs_mkdir(a, ino_of(&dir), "sub", 0755, &sub);
	rc |= make(a, ino_of(&dir), "f", 1, &attr) | make(a, ino_of(&sub), "f", 2, &attr);
	ok(!rc && flint_fs_sync(a) == -EDQUOT, "a directory that was promised is refused");
	t = flint_now_ns();
	ok(!flint_fs_statfs(a, &st) && ms_since(t) < 5000, "and the session goes on");
}

/* A file that was promised a moment ago is opened, and read. */
static void mended_read(struct flint_fs *a)
{
	struct flint_attr dir, attr;
	struct flint_file *f;
	uint64_t was;
	char c;
	int rc = own_dir(a, root_of(a), "read", 0755, &dir);

	was = delegated(a);
	rc |= make(a, ino_of(&dir), "f", 0, &attr);
	rc |= delegated(a) - was != 1;
	ok(!rc && !flint_fs_open_file(a, ino_of(&dir), "f0", FLINT_OPEN_READ, 0, &f) &&
	   !flint_file_pread(f, &c, 1, 0) && !flint_file_close(f),
	   "a file is read that was promised a moment ago");
}

struct maker {
	struct flint_fs *fs;
	uint64_t dir;
	pthread_t thread;
	atomic_bool stop;
	int rc;
};

static void *maker_run(void *arg)
{
	struct maker *m = arg;
	struct flint_attr attr;
	int i;

	for (i = 0; !m->rc && !atomic_load(&m->stop); i++)
		m->rc = make(m->fs, m->dir, "f", i, &attr);
	return NULL;
}

/* Others make files all the time: a request waits for some of them, not for all. */
static void mended_turn(struct flint_fs *a)
{
	struct maker m = { .fs = a };
	struct flint_fs_stats before, after;
	struct flint_attr dir;
	struct flint_statfs st;
	uint64_t most = 0;
	int i, rc = own_dir(a, root_of(a), "turn", 0755, &dir);

	m.dir = ino_of(&dir);
	pthread_create(&m.thread, NULL, maker_run, &m);
	for (i = 0; !rc && i < 10; i++) {
		usleep(20000);
		flint_fs_stats(a, &before);
		rc = flint_fs_statfs(a, &st);
		flint_fs_stats(a, &after);
		if (after.batches - before.batches > most)
			most = after.batches - before.batches;
	}
	atomic_store(&m.stop, true);
	pthread_join(m.thread, NULL);
	printf("# %llu batches in a request's time at most\n", (unsigned long long)most);
	ok(!rc && !m.rc && most <= 10 && !flint_fs_sync(a), "who waits for creates has its turn");
}

/* A limit that was set elsewhere refuses a size after the writes were acknowledged. */
static void mended_refused(struct flint_fs *a, struct flint_fs *b)
{
	struct flint_quota_set q = { .kind = cpu_to_le32(FLINT_QUOTA_TREE),
				     .space_hard = cpu_to_le64(PIECE) };
	struct flint_attr top, attr;
	struct flint_file *f, *g;
	uint64_t ino;
	int rc = flint_fs_mkdir(a, root_of(a), "refused", 0755, &top);

	rc |= flint_fs_open_file(a, ino_of(&top), "f", FLINT_OPEN_CREATE | FLINT_OPEN_WRITE, 0644, &f);
	rc |= flint_fs_open_file(a, ino_of(&top), "f", FLINT_OPEN_WRITE, 0644, &g);
	if (rc)
		exit(1);
	flint_file_attr(f, &attr);
	ino = ino_of(&attr);
	q.id = top.ino;
	rc |= flint_fs_quota_set(b, &q, NULL);
	ok(!rc && grow_by(f, 0, 16), "writes that a limit set elsewhere will refuse");
	sleep(2);
	ok(!grow_by(f, 4 * PIECE, 1), "once it has, the next one is");
	ok(flint_file_sync(f) == -EDQUOT && !flint_file_sync(f), "and sync says so, once");
	rc = !grow_by(f, 4 * PIECE, 1);
	sleep(2);
	ok(!rc && flint_file_close(g) == -EDQUOT && !flint_file_close(f), "so does close");
	ok(size_seen(a, ino) == 0 && size_seen(b, ino) == 0, "nobody sees a size that was refused");
}

/* Nobody answers: whoever waits for a size waits for as long as a call may take, not for ever. */
static void mended_silent(pid_t meta)
{
	struct flint_fs *c;
	struct flint_file *f;
	struct flint_attr attr;
	uint64_t t, took, cut;
	int rc, sync;

	call_ms = 2000;
	c = client("c", NULL);
	rc = flint_fs_open_file(c, root_of(c), "silent", FLINT_OPEN_CREATE | FLINT_OPEN_WRITE, 0644, &f);
	if (rc)
		exit(1);
	flint_file_attr(f, &attr);
	rc |= !grow_by(f, 0, 3);
	kill(meta, SIGSTOP);
	t = flint_now_ns();
	sync = flint_file_sync(f);
	took = ms_since(t);
	t = flint_now_ns();
	rc |= flint_file_truncate(f, 10) != -ETIMEDOUT;
	cut = ms_since(t);
	kill(meta, SIGCONT);
	ok(!rc && sync == -ETIMEDOUT && took < 4000 && cut < 4000,
	   "a size is told, and a file cut, in a call's time or not at all");
	ok(!flint_file_close(f) && size_seen(c, ino_of(&attr)) == 3 * PIECE, "but later");
	flint_fs_close(c);
}

static uint64_t requests(struct flint_fs *fs)
{
	struct flint_fs_stats st;

	flint_fs_stats(fs, &st);
	return st.requests;
}

/* A directory, the name it has, and two threads: one removes it, one makes a file in it. */
struct goner {
	struct flint_fs *fs;
	uint64_t top, dir;
	char name[FLINT_NAME_MAX + 1];
	int removed, made;
	atomic_bool answered;
};

static int goner_name(void *arg, const struct flint_fs_entry *e)
{
	struct goner *g = arg;

	if (e->ino == g->dir)
		snprintf(g->name, sizeof(g->name), "%s", e->name);
	return 0;
}

static void *goner_remove(void *arg)
{
	struct goner *g = arg;

	g->removed = flint_fs_rmdir(g->fs, g->top, g->name);
	return NULL;
}

static void *goner_make(void *arg)
{
	struct goner *g = arg;
	struct flint_attr attr;

	g->made = make(g->fs, g->dir, "late", 0, &attr);
	atomic_store(&g->answered, true);
	return NULL;
}

/* A delegated directory is removed by a name that is not in memory any more. */
static void mended_gone(struct flint_fs *b, pid_t meta)
{
	struct goner g = { .fs = client_of("g", NULL, true) };
	struct flint_attr top, dir, attr;
	pthread_t remove, maker;
	uint64_t before;
	int i, rc = flint_fs_mkdir(g.fs, root_of(g.fs), "gone", 0755, &top);

	rc |= own_dir(g.fs, ino_of(&top), "dir", 0755, &dir);
	g.top = ino_of(&top);
	g.dir = ino_of(&dir);
	rc |= flint_fs_readdir(b, g.top, 0, false, goner_name, &g);
	rc |= flint_fs_mknod(b, g.top, "other", S_IFREG | 0644, 0, 0, NULL, &attr);
	before = requests(g.fs);
	kill(meta, SIGSTOP);
	pthread_create(&remove, NULL, goner_remove, &g);
	for (i = 0; i < 3000 && requests(g.fs) == before; i++)
		usleep(10000);
	pthread_create(&maker, NULL, goner_make, &g);
	for (i = 0; i < 100 && !atomic_load(&g.answered); i++)
		usleep(10000);
	kill(meta, SIGCONT);
	pthread_join(remove, NULL);
	pthread_join(maker, NULL);
	i = flint_fs_sync(g.fs);
	printf("# removed: %d, made: %d, told: %d\n", g.removed, g.made, i);
	ok(!rc && !i && !g.removed != !g.made,
	   "nothing is promised in a directory that is on its way out");
	flint_fs_close(g.fs);
}

void mended(pid_t meta)
{
	struct flint_fs *a, *b = client("b", NULL);

	mended_gone(b, meta);
	call_ms = 10000;
	a = client_of("a", NULL, true);
	mended_order(a, b);
	mended_read(a);
	mended_turn(a);
	mended_refused(a, b);
	flint_fs_close(a);
	flint_fs_close(b);
	mended_silent(meta);
}
