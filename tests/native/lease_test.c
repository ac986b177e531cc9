// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leases, sessions and locks with real servers, through the client library.
 *
 *	cached			what a client answers without a request, TAP
 *	coherence SECONDS [all]	several clients change and look; a change that was
 *				acknowledged is never missed by anybody; all: nor
 *				does anybody lose its session
 *	hold PATH		take leases on a file and its directory, say "held",
 *				then do nothing for ever (to be killed or stopped)
 *	writer PATH		write one place again and again, say "held" after the first
 *				time; ends when it is refused as a session that was ended
 *	change PATH MS		change that file; fail if it takes longer than MS
 *	locks			file locks of two clients, TAP
 *	sessions N		open N sessions, use each, close them
 *	kept			take locks, say "held", wait for a line on stdin (the
 *				leader is changed meanwhile): they are held still, TAP
 *	size			a sole writer keeps the size, and others see it, TAP
 *	grow PATH		write at the end of a file for ever; prints where it ends
 *				after each write that was acknowledged (to be killed)
 *	grown PATH END		the file has END bytes at least, as grow wrote them
 *	owe PATH		say "ready", after a line on stdin write at the end of a file and
 *				make files in the new directory PATH by delegation, say "owed",
 *				after one more line sync: all is there
 *	delegate		creates without a request, and who finds them, TAP
 *	promise PATH SECONDS	make files in the new directory PATH by delegation; prints how
 *				many were told after each flint_fs_sync() (to be killed, or
 *				its servers), then looks whether all of them are there
 *	promised PATH N		the first N of them are there
 *	below PATH SECONDS	make directories by delegation in the new directory PATH, and
 *				files in each while it is being told; none is lost
 *	own			what the server changes by itself is not kept by anybody, TAP
 *	unheard PID		who does not hear what came of a lock has none, and nobody else
 *				is kept from it; PID: the metadata server, which is stopped
 *	closed			close a session while what it has to tell waits to be repeated:
 *				says "held", the metadata server is to be killed, reads a line
 *	mended PID		faults that there were; PID: the metadata server, which is
 *				stopped for a while, TAP
 *	fill PATH N		make a directory with N files, so that inode numbers grow
 *
 * Exit status 0: everything as expected.
 */
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
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/client/fs_admin.h"
#include "../../userd/client/fs_async.h"
#include "../../userd/client/fs_locks.h"
#include "lease_test.h"
#include "options.h"

struct options {
	char *mgr, *key, *fs;
	uint64_t seed, clients;
	struct flint_conf_list args;
};

#define OFF(m) offsetof(struct options, m)
static const struct flint_conf_opt table[] = {
	TEST_OPT_CLUSTER(struct options),
	TEST_OPT_FS(struct options),
	TEST_OPT_SEED(struct options),
	{ .key = "clients", .type = FLINT_CONF_U64, .off = OFF(clients), .def = "3", .arg = "N",
	  .min = 1, .max = 16, .help = "that coherence runs" },
	{ 0 }
};
static const struct flint_conf_spec spec = {
	.prog = "flint-leasetest", .opts = table, .has_args = true, .args_off = OFF(args),
	.args_doc = "cached|coherence SECONDS [all]|hold PATH|writer PATH|change PATH MS|locks|sessions N|kept|delegate|promise PATH SECONDS|promised PATH N|below PATH SECONDS|own|size|mended PID|unheard PID|closed|owe PATH|grow PATH|grown PATH END|fill PATH N",
	.doc = "Test leases, sessions and locks of a running cluster.",
};

static struct options o;
static uint8_t key[FLINT_KEY_LEN];
static int checks, failures;
uint32_t call_ms;

void ok(bool good, const char *what)
{
	checks++;
	if (!good)
		failures++;
	printf("%sok %d - %s\n", good ? "" : "not ", checks, what);
	fflush(stdout);
}

struct flint_fs *client_of(const char *name, struct flint_loop *loop, bool delegate)
{
	struct flint_fs_config cfg = {
		.mgrs = o.mgr, .fs_name = o.fs, .key = key, .name = name, .leases = true,
		.loop = loop, .delegate = delegate, .timeout_ms = call_ms,
	};
	char err[256];
	struct flint_fs *fs = flint_fs_open(&cfg, err, sizeof(err));

	if (!fs) {
		fprintf(stderr, "%s\n", err);
		exit(1);
	}
	return fs;
}

struct flint_fs *client(const char *name, struct flint_loop *loop)
{
	return client_of(name, loop, false);
}

static uint64_t requests(struct flint_fs *fs)
{
	struct flint_fs_stats st;

	flint_fs_stats(fs, &st);
	return st.requests;
}

uint64_t ino_of(const struct flint_attr *a)
{
	return le64_to_cpu(a->ino);
}

uint64_t root_of(struct flint_fs *fs)
{
	return ino_of(flint_fs_root(fs));
}

/* ---- cached ---------------------------------------------------------------------- */

static int count_entry(void *arg, const struct flint_fs_entry *e)
{
	(void)e;
	++*(int *)arg;
	return 0;
}

/* Renewals are requests, too: a count may grow by one meanwhile. */
static bool none_since(struct flint_fs *fs, uint64_t before)
{
	return requests(fs) - before <= 1;
}

static void cached(void)
{
	struct flint_fs *a = client("a", NULL), *b = client("b", NULL);
	struct flint_attr attr, dir, dirb;
	struct flint_file *f;
	struct flint_fs_stats st;
	uint64_t before;
	int i, n = 0, rc;

	rc = flint_fs_mkdir(a, root_of(a), "cached", 0755, &dir);
	ok(!rc, "a directory");
	for (i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		rc |= flint_fs_open_file(a, ino_of(&dir), name, FLINT_OPEN_CREATE | FLINT_OPEN_WRITE,
					 0644, &f);
		rc |= flint_file_close(f);
	}
	ok(!rc, "twenty files");
	rc = flint_fs_lookup(a, root_of(a), "cached", &attr) |
	     flint_fs_lookup(a, ino_of(&dir), "f3", &attr);
	before = requests(a);
	for (i = 0; i < 1000; i++)
		rc |= flint_fs_walk(a, "/cached/f3", &attr) |
		      flint_fs_getattr(a, ino_of(&attr), &attr);
	ok(!rc && none_since(a, before), "a thousand lookups and stats without a request");
	for (i = 0; i < 1000; i++)
		rc |= flint_fs_open_file(a, ino_of(&dir), "f3", FLINT_OPEN_READ, 0, &f) |
		      flint_file_close(f);
	ok(!rc && none_since(a, before), "a thousand open and close without a request");
	flint_fs_lookup(a, ino_of(&dir), "nothing", &attr);
	before = requests(a);
	for (i = 0; i < 1000; i++)
		rc |= flint_fs_lookup(a, ino_of(&dir), "nothing", &attr) != -ENOENT;
	ok(!rc && none_since(a, before), "a thousand absent names without a request");
	rc = flint_fs_readdir(a, ino_of(&dir), 0, true, count_entry, &n);
	before = requests(a);
	for (i = 0; i < 100; i++)
		rc |= flint_fs_readdir(a, ino_of(&dir), 0, true, count_entry, &n);
	ok(!rc && n == 101 * 20 && none_since(a, before), "a hundred listings without a request");
	before = requests(a);
	for (i = 0; i < 100; i++)
		rc |= flint_fs_lookup(a, ino_of(&dir), "f999", &attr) != -ENOENT;
	ok(!rc && none_since(a, before), "a name that is not in a listed directory is known absent");

	/* The other client's changes. */
	rc = flint_fs_walk(b, "/cached", &dirb);
	rc |= flint_fs_unlink(b, ino_of(&dirb), "f3");
	ok(!rc && flint_fs_lookup(a, ino_of(&dir), "f3", &attr) == -ENOENT,
	   "a file removed elsewhere is gone at once");
	rc = flint_fs_mknod(b, ino_of(&dirb), "nothing", S_IFREG | 0600, 0, 0, NULL, NULL);
	ok(!rc && !flint_fs_lookup(a, ino_of(&dir), "nothing", &attr),
	   "a name made elsewhere is there at once");
	rc = flint_fs_lookup(a, ino_of(&dir), "f4", &attr);
	rc |= flint_fs_open_file(a, ino_of(&dir), "f4", FLINT_OPEN_READ, 0, &f);
	rc |= flint_fs_unlink(b, ino_of(&dirb), "f4");
	ok(!rc && !flint_fs_getattr(a, ino_of(&attr), &attr) && !attr.nlink,
	   "a file open without a request lives on when it is removed elsewhere");
	ok(!flint_file_close(f), "and is closed");
	flint_fs_stats(a, &st);
	printf("# client a: %llu requests, %llu lookups, %llu stats, %llu opens, %llu absent names and %llu pages from memory, %llu recalls\n",
	       (unsigned long long)st.requests, (unsigned long long)st.cached_lookup,
	       (unsigned long long)st.cached_attr, (unsigned long long)st.cached_open,
	       (unsigned long long)st.cached_negative, (unsigned long long)st.cached_readdir,
	       (unsigned long long)st.recalls);
	ok(st.recalls > 0, "leases were recalled");
	flint_fs_close(a);
	flint_fs_close(b);
}

/* ---- coherence ----------------------------------------------------------------------- */

#define FILES	8

/*
 * File i's uid counts its changes: whoever changes it raises it under lock[i]
 * and publishes the number in acked[i] when the change is acknowledged. Nobody
 * may see a smaller number afterwards. Names move between two directories.
 */
static struct {
	pthread_mutex_t lock[FILES];
	atomic_uint acked[FILES];
	uint64_t ino[FILES], dir[2];
	atomic_bool stop;
	atomic_ulong looks, cached, changes, bad, ended;
} co;

struct actor {
	struct flint_fs *fs;
	pthread_t thread;
	unsigned int seed;
};

static void look(struct actor *a, int i)
{
	unsigned int before = atomic_load(&co.acked[i]);
	struct flint_attr attr;
	char name[8];
	int rc;

	if (rand_r(&a->seed) % 2) {
		rc = flint_fs_getattr(a->fs, co.ino[i], &attr);
	} else {
		snprintf(name, sizeof(name), "f%d", i);
		/* It is in the one directory or the other; a rename may be between two looks. */
		rc = flint_fs_lookup(a->fs, co.dir[0], name, &attr);
		if (rc == -ENOENT)
			rc = flint_fs_lookup(a->fs, co.dir[1], name, &attr);
		if (rc == -ENOENT)
			return;
	}
	atomic_fetch_add(&co.looks, 1);
	if (!rc && le32_to_cpu(attr.uid) >= before)
		return;
	atomic_fetch_add(&co.ended, rc == -ESTALE);
	if (rc == -ETIMEDOUT || rc == -ESTALE)
		return;
	atomic_fetch_add(&co.bad, 1);
	fprintf(stderr, "# file %d: status %d, saw %u after %u was acknowledged\n", i, rc,
		rc ? 0 : le32_to_cpu(attr.uid), before);
}

static void change(struct actor *a, int i)
{
	struct flint_setattr set = { .ino = cpu_to_le64(co.ino[i]),
				     .valid = cpu_to_le32(FLINT_SET_UID) };
	unsigned int next;
	char name[8];
	int rc, to;

	pthread_mutex_lock(&co.lock[i]);
	next = atomic_load(&co.acked[i]) + 1;
	set.uid = cpu_to_le32(next);
	rc = flint_fs_setattr(a->fs, &set, NULL);
	if (!rc)
		atomic_store(&co.acked[i], next);
	snprintf(name, sizeof(name), "f%d", i);
	to = rand_r(&a->seed) % 2;
	if (rand_r(&a->seed) % 4 == 0)
		flint_fs_rename(a->fs, co.dir[!to], name, co.dir[to], name, 0);
	pthread_mutex_unlock(&co.lock[i]);
	atomic_fetch_add(&co.changes, !rc);
	atomic_fetch_add(&co.ended, rc == -ESTALE);
}

static void *actor_run(void *arg)
{
	struct actor *a = arg;

	while (!atomic_load(&co.stop)) {
		int i = rand_r(&a->seed) % FILES;

		if (rand_r(&a->seed) % 1000)
			look(a, i);
		else
			change(a, i);
	}
	return NULL;
}

static void coherence(unsigned int seconds, bool all)
{
	struct actor act[16];
	struct flint_attr attr;
	struct flint_fs_stats st;
	char name[32];
	uint64_t hits = 0;
	uint32_t i;

	for (i = 0; i < o.clients; i++)
		act[i] = (struct actor){ .fs = client("actor", NULL), .seed = o.seed + i };
	for (i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "co%u-%d", i, (int)getpid());
		flint_fs_mkdir(act[0].fs, root_of(act[0].fs), name, 0755, &attr);
		flint_fs_lookup(act[0].fs, root_of(act[0].fs), name, &attr);
		co.dir[i] = ino_of(&attr);
	}
	for (i = 0; i < FILES; i++) {
		pthread_mutex_init(&co.lock[i], NULL);
		snprintf(name, sizeof(name), "f%u", i);
		flint_fs_mknod(act[0].fs, co.dir[0], name, S_IFREG | 0644, 0, 0, NULL, &attr);
		co.ino[i] = ino_of(&attr);
	}
	for (i = 0; i < o.clients; i++)
		pthread_create(&act[i].thread, NULL, actor_run, &act[i]);
	sleep(seconds);
	atomic_store(&co.stop, true);
	for (i = 0; i < o.clients; i++)
		pthread_join(act[i].thread, NULL);
	for (i = 0; i < o.clients; i++) {
		flint_fs_stats(act[i].fs, &st);
		hits += st.cached_attr + st.cached_lookup + st.cached_negative;
		flint_fs_close(act[i].fs);
	}
	printf("# %lu looks (%llu answered from memory), %lu changes, %lu wrong, %lu without a session\n",
	       atomic_load(&co.looks), (unsigned long long)hits, atomic_load(&co.changes),
	       atomic_load(&co.bad), atomic_load(&co.ended));
	if (atomic_load(&co.bad) || (all && atomic_load(&co.ended)) || !hits || !atomic_load(&co.changes))
		failures++;
}

/* ---- hold and change -------------------------------------------------------------------- */

static void split(struct flint_fs *fs, const char *path, struct flint_attr *dir, const char **name)
{
	char up[FLINT_PATH_MAX];

	*name = strrchr(path, '/') + 1;
	snprintf(up, sizeof(up), "%.*s", (int)(*name - path), path);
	if (flint_fs_walk(fs, up, dir)) {
		fprintf(stderr, "no directory %s\n", up);
		exit(1);
	}
}

static void hold(const char *path)
{
	struct flint_fs *fs = client("holder", NULL);
	struct flint_attr dir, attr;
	struct flint_file *f;
	const char *name;

	split(fs, path, &dir, &name);
	if (flint_fs_open_file(fs, ino_of(&dir), name, FLINT_OPEN_CREATE | FLINT_OPEN_WRITE, 0644,
			       &f) || flint_file_close(f) ||
	    flint_fs_lookup(fs, ino_of(&dir), name, &attr) ||
	    flint_fs_getattr(fs, ino_of(&attr), &attr))
		exit(1);
	printf("held\n");
	fflush(stdout);
	for (;;)
		pause();
}

/* Write until it is refused, which must be because the session was ended. */
static void writer(const char *path)
{
	struct flint_fs *fs = client("writer", NULL);
	struct flint_attr dir;
	struct flint_attr attr;
	struct flint_file *f;
	const char *name;
	ssize_t n;
	int i = 0;

	split(fs, path, &dir, &name);
	if (flint_fs_open_file(fs, ino_of(&dir), name, FLINT_OPEN_CREATE | FLINT_OPEN_WRITE, 0644,
			       &f) || flint_file_pwrite(f, "x", 1, 0) != 1)
		exit(1);
	/* Something to recall. */
	if (flint_fs_lookup(fs, ino_of(&dir), name, &attr) ||
	    flint_fs_getattr(fs, ino_of(&attr), &attr))
		exit(1);
	printf("held\n");
	fflush(stdout);
	do {
		n = flint_file_pwrite(f, "late", 4, 0);
		usleep(20000);
	} while (n == 4 && ++i < 1000);
	printf("refused: %s\n", strerror(-n));
	exit(n == -ESTALE ? 0 : 1);
}

static void change_path(const char *path, uint64_t limit_ms)
{
	struct flint_fs *fs = client("changer", NULL);
	struct flint_setattr set = { .valid = cpu_to_le32(FLINT_SET_MODE),
				     .mode = cpu_to_le32(0600) };
	struct flint_attr attr;
	uint64_t t = flint_now_ns();
	int rc;

	rc = flint_fs_walk(fs, path, &attr);
	set.ino = attr.ino;
	if (!rc)
		rc = flint_fs_setattr(fs, &set, NULL);
	t = (flint_now_ns() - t) / 1000000;
	printf("# changed after %llu ms%s%s\n", (unsigned long long)t, rc ? ": " : "",
	       rc ? strerror(-rc) : "");
	flint_fs_close(fs);
	if (rc || t > limit_ms)
		failures++;
}

/* ---- locks ---------------------------------------------------------------------------------- */

struct waiter {
	struct flint_fs *fs;
	struct flint_lock l;
	int rc;
	atomic_bool done;
	pthread_t thread;
};

static void *wait_run(void *arg)
{
	struct waiter *w = arg;

	w->rc = flint_fs_lock(w->fs, &w->l, 20000);
	atomic_store(&w->done, true);
	return NULL;
}

static struct flint_lock range(uint64_t ino, uint8_t kind, uint8_t type, uint64_t owner,
			       uint64_t start, uint64_t end)
{
	return (struct flint_lock){
		.ino = cpu_to_le64(ino), .owner = cpu_to_le64(owner), .kind = kind, .type = type,
		.start = cpu_to_le64(start), .end = cpu_to_le64(end), .pid = cpu_to_le32(42),
	};
}

static int lock_now(struct flint_fs *fs, uint64_t ino, uint8_t kind, uint8_t type, uint64_t owner,
		    uint64_t start, uint64_t end)
{
	struct flint_lock l = range(ino, kind, type, owner, start, end);

	return flint_fs_lock(fs, &l, 0);
}

static void wait_begin(struct waiter *w, struct flint_fs *fs, struct flint_lock l)
{
	*w = (struct waiter){ .fs = fs, .l = l };
	pthread_create(&w->thread, NULL, wait_run, w);
	usleep(100000);
}

static void locks(void)
{
	struct flint_fs *a = client("a", NULL), *b = client("b", NULL);
	const uint8_t P = FLINT_LOCK_POSIX, F = FLINT_LOCK_FLOCK, WR = FLINT_LOCK_WR,
		      RD = FLINT_LOCK_RD, UN = FLINT_LOCK_UN;
	struct flint_lock_rep rep;
	struct flint_lock l;
	struct flint_attr attr;
	struct waiter w, w2;
	uint64_t i1, i2;

	flint_fs_mknod(a, root_of(a), "lock1", S_IFREG | 0644, 0, 0, NULL, &attr);
	flint_fs_lookup(a, root_of(a), "lock1", &attr);
	i1 = ino_of(&attr);
	flint_fs_mknod(a, root_of(a), "lock2", S_IFREG | 0644, 0, 0, NULL, &attr);
	flint_fs_lookup(a, root_of(a), "lock2", &attr);
	i2 = ino_of(&attr);
	ok(!lock_now(a, i1, P, WR, 1, 10, 19), "a range is locked");
	ok(lock_now(b, i1, P, RD, 1, 15, 15) == -EAGAIN, "a conflicting lock is refused");
	ok(!lock_now(b, i1, P, RD, 1, 0, 9) && !lock_now(b, i1, P, WR, 1, 20, 29),
	   "neighbours are free");
	ok(!lock_now(b, i1, F, WR, 9, 0, UINT64_MAX), "flock is a space of its own");
	l = range(i1, P, WR, 1, 0, 100);
	ok(!flint_fs_lock_test(b, &l, &rep) && le32_to_cpu(rep.state) == FLINT_LOCK_HELD &&
	   le64_to_cpu(rep.start) == 10 && le64_to_cpu(rep.end) == 19 &&
	   le32_to_cpu(rep.pid) == 42, "F_GETLK names the holder");
	wait_begin(&w, b, range(i1, P, WR, 1, 12, 13));
	ok(!atomic_load(&w.done), "a waiter waits");
	lock_now(a, i1, P, UN, 1, 12, 13);
	pthread_join(w.thread, NULL);
	ok(!w.rc, "and gets its range when it is free");
	ok(lock_now(a, i1, P, WR, 1, 12, 12) == -EAGAIN, "which is its then");

	ok(!lock_now(a, i2, P, WR, 1, 0, 0), "a deadlock: one file each");
	wait_begin(&w, a, range(i1, P, WR, 1, 12, 12));
	wait_begin(&w2, b, range(i2, P, WR, 1, 0, 0));
	pthread_join(w2.thread, NULL);
	ok(w2.rc == -EDEADLK, "the one who closes the circle hears EDEADLK");
	lock_now(b, i1, P, UN, 1, 0, UINT64_MAX);
	pthread_join(w.thread, NULL);
	ok(!w.rc, "the other one gets its lock");
	l = range(i1, P, UN, 1, 0, UINT64_MAX);
	l.flags = cpu_to_le16(FLINT_LOCK_OWNER);
	ok(!flint_fs_lock(a, &l, 0) && !lock_now(b, i1, P, WR, 1, 0, UINT64_MAX),
	   "all of an owner's locks end at once");
	wait_begin(&w, a, range(i1, P, WR, 1, 0, 0));
	flint_fs_close(b);
	pthread_join(w.thread, NULL);
	ok(!w.rc, "a session's locks end with it");
	b = client("b", NULL);
	ok(!lock_now(a, i2, F, RD, 1, 0, UINT64_MAX) && !lock_now(b, i2, F, RD, 1, 0, UINT64_MAX),
	   "two share a flock");
	wait_begin(&w, a, range(i2, F, WR, 1, 0, UINT64_MAX));
	wait_begin(&w2, b, range(i2, F, WR, 1, 0, UINT64_MAX));
	pthread_join(w2.thread, NULL);
	ok(!w2.rc && !atomic_load(&w.done), "both want it for themselves: one gets it");
	lock_now(b, i2, F, UN, 1, 0, UINT64_MAX);
	pthread_join(w.thread, NULL);
	ok(!w.rc, "then the other");
	ok(!lock_now(a, i2, F, RD, 1, 0, UINT64_MAX) && !lock_now(b, i2, F, RD, 1, 0, UINT64_MAX) &&
	   lock_now(b, i2, F, WR, 1, 0, UINT64_MAX) == -EAGAIN &&
	   !lock_now(a, i2, F, WR, 1, 0, UINT64_MAX), "who is refused has no lock at all");
	flint_fs_close(b);
	flint_fs_close(a);
}

/* ---- sessions --------------------------------------------------------------------------------- */

static void *loop_run(void *arg)
{
	flint_loop_run(arg);
	return NULL;
}

static void sessions(uint32_t n)
{
	struct flint_loop *loop = flint_loop_new();
	struct flint_fs **fs = calloc(n, sizeof(*fs));
	struct flint_attr attr;
	uint64_t t = flint_now_ns();
	pthread_t thread;
	uint32_t i;
	int rc = 0;

	pthread_create(&thread, NULL, loop_run, loop);
	for (i = 0; i < n; i++)
		fs[i] = client("many", loop);
	printf("# %u sessions open after %llu ms\n", n,
	       (unsigned long long)((flint_now_ns() - t) / 1000000));
	for (i = 0; i < n; i++)
		rc |= flint_fs_getattr(fs[i], root_of(fs[i]), &attr);
	/* One recall for each of them. */
	t = flint_now_ns();
	rc |= flint_fs_mkdir(fs[0], root_of(fs[0]), "many", 0755, &attr);
	printf("# a change that all of them hear of: %llu ms\n",
	       (unsigned long long)((flint_now_ns() - t) / 1000000));
	for (i = 0; i < n; i++)
		flint_fs_close(fs[i]);
	flint_loop_stop(loop);
	pthread_join(thread, NULL);
	flint_loop_free(loop);
	free(fs);
	if (rc && rc != -EEXIST)
		failures++;
}

/* ---- a change of leader ---------------------------------------------------------------------- */

/* Locks of a session that lives on; and what it had waited for, it waits for still. */
static void kept(void)
{
	struct flint_fs *a = client("a", NULL), *b = client("b", NULL);
	const uint8_t P = FLINT_LOCK_POSIX, F = FLINT_LOCK_FLOCK, O = FLINT_LOCK_OFD,
		      WR = FLINT_LOCK_WR, RD = FLINT_LOCK_RD, UN = FLINT_LOCK_UN;
	struct flint_fs_stats before, after;
	struct flint_attr attr;
	struct waiter w;
	char line[16];
	uint64_t i;

	flint_fs_mknod(a, root_of(a), "kept", S_IFREG | 0644, 0, 0, NULL, &attr);
	flint_fs_lookup(a, root_of(a), "kept", &attr);
	i = ino_of(&attr);
	flint_fs_getattr(a, i, &attr);
	ok(!lock_now(a, i, P, WR, 1, 0, 9) && !lock_now(a, i, P, RD, 1, 20, 29) &&
	   !lock_now(a, i, F, WR, 2, 0, UINT64_MAX) && !lock_now(a, i, O, WR, 3, 100, 199),
	   "ranges, flock and an open file description's range are locked");
	wait_begin(&w, b, range(i, P, WR, 1, 5, 5));
	flint_fs_stats(a, &before);
	printf("held\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(1);
	ok(lock_now(b, i, P, RD, 1, 0, 0) == -EAGAIN && lock_now(b, i, P, WR, 1, 20, 20) == -EAGAIN,
	   "another leader knows the ranges");
	ok(!lock_now(b, i, P, RD, 1, 21, 21) && !lock_now(b, i, P, UN, 1, 21, 21) &&
	   !lock_now(b, i, P, WR, 1, 10, 19), "and what is free");
	ok(lock_now(b, i, F, RD, 1, 0, UINT64_MAX) == -EAGAIN, "and flock");
	ok(lock_now(b, i, O, WR, 9, 199, 199) == -EAGAIN, "and the open file description's");
	ok(!atomic_load(&w.done), "who waited waits still");
	lock_now(a, i, P, UN, 1, 0, 9);
	pthread_join(w.thread, NULL);
	ok(!w.rc, "and gets it when it is free");
	flint_fs_stats(a, &after);
	ok(after.reclaimed > before.reclaimed, "leases were reclaimed");
	flint_fs_close(b);
	flint_fs_close(a);
}

/* ---- sizes -------------------------------------------------------------------------------------- */

uint64_t size_seen(struct flint_fs *fs, uint64_t ino)
{
	struct flint_attr attr;

	return flint_fs_getattr(fs, ino, &attr) ? ~0ull : le64_to_cpu(attr.size);
}

bool grow_by(struct flint_file *f, uint64_t from, int pieces)
{
	uint8_t buf[PIECE];
	int i;

	for (i = 0; i < pieces; i++, from += PIECE) {
		memset(buf, 1 + from / PIECE % 251, sizeof(buf));
		if (flint_file_pwrite(f, buf, sizeof(buf), from) != PIECE)
			return false;
	}
	return true;
}

static void size(void)
{
	struct flint_fs *a = client("a", NULL), *b = client("b", NULL);
	struct flint_fs_stats st;
	struct flint_attr attr;
	struct flint_file *f, *g;
	struct flint_setattr set = { .valid = cpu_to_le32(FLINT_SET_MTIME),
				     .mtime = cpu_to_le64(1000000000ull) };
	uint64_t before, ino, off;
	int rc;

	rc = flint_fs_open_file(a, root_of(a), "size", FLINT_OPEN_CREATE | FLINT_OPEN_READ |
				FLINT_OPEN_WRITE, 0644, &f);
	if (rc)
		exit(1);
	flint_file_attr(f, &attr);
	ino = ino_of(&attr);
	before = requests(a);
	ok(grow_by(f, 0, 100), "a file grows");
	flint_fs_stats(a, &st);
	ok(st.kept >= 90 && requests(a) - before < 20, "and costs no request each time");
	printf("# %llu kept, %llu told, %llu requests\n", (unsigned long long)st.kept,
	       (unsigned long long)st.told, (unsigned long long)(requests(a) - before));
	ok(size_seen(a, ino) == 100 * PIECE, "its writer knows its size");
	ok(size_seen(b, ino) == 100 * PIECE, "and so does who asks elsewhere");
	usleep(1200000);	/* what was asked for elsewhere is not granted at once */
	ok(grow_by(f, 100 * PIECE, 50) && size_seen(b, ino) == 150 * PIECE, "again");
	ok(!flint_file_truncate(f, 10) && size_seen(b, ino) == 10 && size_seen(a, ino) == 10,
	   "it is cut");
	ok(grow_by(f, PIECE, 2) && !flint_file_sync(f) && size_seen(a, ino) == 3 * PIECE,
	   "grows, and is told");
	grow_by(f, 3 * PIECE, 5);
	ok(flint_file_append(f, "x", 1, &off) == 1 && off == 8 * PIECE && size_seen(b, ino) == off + 1,
	   "appends follow what was kept");
	set.ino = cpu_to_le64(ino);
	grow_by(f, 10 * PIECE, 1);
	ok(!flint_fs_setattr(a, &set, &attr) && !flint_fs_getattr(b, ino, &attr) &&
	   le64_to_cpu(attr.mtime) == 1000000000ull && le64_to_cpu(attr.size) == 11 * PIECE,
	   "a time that is set stays");
	rc = flint_fs_open_file(b, root_of(b), "size", FLINT_OPEN_READ | FLINT_OPEN_WRITE, 0644, &g);
	ok(!rc && grow_by(f, 20 * PIECE, 3) && size_seen(b, ino) == 23 * PIECE &&
	   grow_by(g, 30 * PIECE, 3) && size_seen(a, ino) == 33 * PIECE, "two writers");
	ok(!flint_file_close(g), "one is gone");
	grow_by(f, 40 * PIECE, 3);
	ok(!flint_file_close(f) && size_seen(b, ino) == 43 * PIECE, "the other one, too");
	flint_fs_close(a);
	ok(size_seen(b, ino) == 43 * PIECE, "and the session");
	flint_fs_close(b);
}

/* ---- delegated creates ------------------------------------------------------------------ */

#define MADE	1200

uint64_t delegated(struct flint_fs *fs)
{
	struct flint_fs_stats st;

	flint_fs_stats(fs, &st);
	return st.delegated;
}

int make(struct flint_fs *fs, uint64_t dir, const char *prefix, int i, struct flint_attr *a)
{
	char name[24];

	snprintf(name, sizeof(name), "%s%d", prefix, i);
	return flint_fs_mknod(fs, dir, name, S_IFREG | 0640, 0, 0, NULL, a);
}

/*
 * A directory that is delegated. Not every one is: leases are granted where the log says that
 * the session has some (leases.rst, Hints), which it does a moment later.
 */
int own_dir(struct flint_fs *fs, uint64_t parent, const char *name, uint32_t mode,
		   struct flint_attr *dir)
{
	uint64_t was = delegated(fs);
	struct flint_attr attr;
	char tmp[40];
	int i, rc = 0;

	for (i = 0; !rc && delegated(fs) == was && i < 100; i++) {
		snprintf(tmp, sizeof(tmp), "%s.%d", name, i);
		rc = flint_fs_mkdir(fs, parent, tmp, mode, dir);
		if (!rc)
			rc = make(fs, ino_of(dir), "first", 0, &attr);
		usleep(i ? 20000 : 0);
	}
	if (!rc)
		rc = flint_fs_unlink(fs, ino_of(dir), "first0");
	return rc ? rc : flint_fs_rename(fs, parent, tmp, parent, name, 0);
}

static int entries(struct flint_fs *fs, uint64_t dir)
{
	int n = 0;

	return flint_fs_readdir(fs, dir, 0, true, count_entry, &n) ? -1 : n;
}

/* But for how long they hold: that is each answer's own. */
static bool same_attr(struct flint_attr x, struct flint_attr y)
{
	x.valid_ms = y.valid_ms = 0;
	return !memcmp(&x, &y, sizeof(x));
}

/* Made by @a, in memory; found by @b. */
static void delegate_found(struct flint_fs *a, struct flint_fs *b)
{
	struct flint_attr dir, sub, deep, link, attr[4], seen;
	char path[40];
	int i, rc = own_dir(a, root_of(a), "delegate", 02755, &dir);
	uint64_t before = requests(a), was = delegated(a);

	for (i = 0; i < MADE; i++)
		rc |= make(a, ino_of(&dir), "f", i, &attr[i % 2]);
	rc |= flint_fs_mkdir(a, ino_of(&dir), "sub", 0750, &sub);
	rc |= flint_fs_mkdir(a, ino_of(&sub), "deep", 0755, &deep);
	rc |= make(a, ino_of(&deep), "f", 0, &attr[2]);
	rc |= flint_fs_symlink(a, ino_of(&deep), "link", "where", &link);
	ok(!rc && delegated(a) - was == MADE + 4 && requests(a) - before < MADE / 10,
	   "files, directories in directories, a symlink without a request for each");
	rc = flint_fs_walk(a, "/delegate/sub/deep/f0", &seen);
	ok(!rc && same_attr(seen, attr[2]) &&
	   flint_fs_walk(a, "/delegate/sub/none", &seen) == -ENOENT &&
	   make(a, ino_of(&deep), "f", 0, &seen) == -EEXIST, "who made them finds them");
	rc = flint_fs_walk(b, "/delegate/sub/deep/f0", &seen);
	rc |= !same_attr(seen, attr[2]);
	rc |= flint_fs_lookup(b, ino_of(&deep), "link", &seen) || !same_attr(seen, link);
	for (i = MADE - 2; i < MADE; i++) {
		snprintf(path, sizeof(path), "/delegate/f%d", i);
		rc |= flint_fs_walk(b, path, &seen) || !same_attr(seen, attr[i % 2]);
	}
	ok(!rc, "so does another client, at once, and with the same attributes");
	ok(entries(b, ino_of(&dir)) == MADE + 1 && entries(a, ino_of(&dir)) == MADE + 1 &&
	   entries(a, ino_of(&deep)) == 2, "and lists them");
	was = delegated(a);
	ok(!make(a, ino_of(&dir), "late", 0, &attr[0]) && delegated(a) == was &&
	   !flint_fs_walk(b, "/delegate/late0", &seen),
	   "what was looked at is the server's to create in");
}

static void delegate_changed(struct flint_fs *a, struct flint_fs *b)
{
	struct flint_setattr set = { .valid = cpu_to_le32(FLINT_SET_MODE | FLINT_SET_GID),
				     .mode = cpu_to_le32(02775), .gid = cpu_to_le32(77) };
	struct flint_attr dir, attr, seen;
	struct flint_file *f = NULL;
	char c = 0;
	int i, rc = own_dir(a, root_of(a), "changed", 0755, &dir);

	for (i = 0; i < 10; i++)
		rc |= make(a, ino_of(&dir), "f", i, &attr);
	rc |= flint_fs_unlink(a, ino_of(&dir), "f0");
	rc |= flint_fs_rename(a, ino_of(&dir), "f1", ino_of(&dir), "g", 0);
	rc |= flint_fs_open_file(a, ino_of(&dir), "f2", FLINT_OPEN_READ | FLINT_OPEN_WRITE, 0, &f);
	rc |= f ? flint_file_pwrite(f, "x", 1, 0) != 1 || flint_file_close(f) : 1;
	rc |= flint_fs_lookup(b, ino_of(&dir), "f0", &seen) != -ENOENT;
	rc |= flint_fs_lookup(b, ino_of(&dir), "g", &seen);
	f = NULL;
	rc |= flint_fs_open_file(b, ino_of(&dir), "f2", FLINT_OPEN_READ, 0, &f);
	rc |= f ? flint_file_pread(f, &c, 1, 0) != 1 || c != 'x' || flint_file_close(f) : 1;
	ok(!rc, "removed, renamed, written by who made them");
	rc = flint_fs_mkdir(a, root_of(a), "setgid", 0755, &dir);
	set.ino = dir.ino;
	rc |= make(a, ino_of(&dir), "f", 0, &attr) | flint_fs_setattr(a, &set, NULL);
	rc |= make(a, ino_of(&dir), "f", 1, &attr);
	ok(!rc && le32_to_cpu(attr.gid) == 77, "rules of the directory that its holder changes hold");
}

/* A limit that is set elsewhere, when the directory is delegated already. */
static void delegate_limited(struct flint_fs *a, struct flint_fs *b)
{
	struct flint_attr top, dir, attr;
	struct flint_quota_set q = { .kind = cpu_to_le32(FLINT_QUOTA_TREE) };
	int i, n, rc = flint_fs_mkdir(a, root_of(a), "limited", 0755, &top);

	rc |= own_dir(a, ino_of(&top), "dir", 0755, &dir);
	rc |= make(a, ino_of(&dir), "f", 0, &attr) | flint_fs_sync(a);
	q.id = top.ino;
	q.inode_hard = cpu_to_le64(10);
	rc |= flint_fs_quota_set(b, &q, NULL);
	for (i = 1; i < 50; i++)
		rc |= make(a, ino_of(&dir), "f", i, &attr);
	ok(!rc && flint_fs_sync(a) == -EDQUOT && !flint_fs_sync(a),
	   "a limit set elsewhere refuses promises, and sync says so, once");
	n = entries(a, ino_of(&dir));
	ok(n > 0 && n < 50 && entries(b, ino_of(&dir)) == n &&
	   flint_fs_lookup(a, ino_of(&dir), "f49", &attr) == -ENOENT,
	   "what was refused is gone, here as there");
	ok(make(a, ino_of(&dir), "f", 60, &attr) == -EDQUOT || flint_fs_sync(a) == -EDQUOT,
	   "nor can anything more be made");
}

static void delegate(void)
{
	struct flint_fs *a = client_of("a", NULL, true), *b = client("b", NULL);
	struct flint_attr dir, attr;
	int i, rc;

	delegate_found(a, b);
	delegate_changed(a, b);
	delegate_limited(a, b);
	rc = own_dir(a, root_of(a), "closed", 0755, &dir);
	for (i = 0; i < 20; i++)
		rc |= make(a, ino_of(&dir), "f", i, &attr);
	flint_fs_close(a);
	ok(!rc && entries(b, ino_of(&dir)) == 20, "what was made before the session closed is there");
	flint_fs_close(b);
}

static int promised_count(struct flint_fs *fs, const char *path, uint64_t n)
{
	struct flint_attr dir, attr;
	char name[24];
	uint64_t i, found = 0;

	if (flint_fs_walk(fs, path, &dir))
		return -1;
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "f%llu", (unsigned long long)i);
		found += !flint_fs_lookup(fs, ino_of(&dir), name, &attr);
	}
	return found;
}

static void promised(const char *path, uint64_t n)
{
	struct flint_fs *fs = client("reader", NULL);
	int found = promised_count(fs, path, n);

	printf("# %d of %llu that were told are there\n", found, (unsigned long long)n);
	failures += found < 0 || (uint64_t)found != n;
	flint_fs_close(fs);
}

static void promise(const char *path, uint64_t seconds)
{
	struct flint_fs *fs = client_of("maker", NULL, true);
	uint64_t end = flint_now_ns() + seconds * 1000000000ull;
	struct flint_attr dir, attr;
	const char *name;
	int i, rc = 0;

	split(fs, path, &dir, &name);
	if (own_dir(fs, ino_of(&dir), name, 0755, &dir))
		exit(1);
	for (i = 0; !rc && flint_now_ns() < end; i++) {
		rc = make(fs, ino_of(&dir), "f", i, &attr);
		if (rc || i % 100 != 99)
			continue;
		rc = flint_fs_sync(fs);
		if (!rc)
			printf("%d\n", i + 1);
		fflush(stdout);
		usleep(5000);
	}
	printf("# %d files, of which %llu delegated%s%s\n", i, (unsigned long long)delegated(fs),
	       rc ? ": " : "", rc ? strerror(-rc) : "");
	failures += rc || !delegated(fs);
	flint_fs_close(fs);
	if (!failures)
		promised(path, i);
}

#define BELOW	50

struct syncer {
	struct flint_fs *fs;
	int rc;
	pthread_t thread;
};

static void *syncer_run(void *arg)
{
	struct syncer *s = arg;

	s->rc = flint_fs_sync(s->fs);
	return NULL;
}

/* Return: of the files of one more directory, those that are there in the end, or -errno. */
static int below_once(struct flint_fs *fs, struct flint_fs *reader, uint64_t dir, int i)
{
	struct syncer s = { .fs = fs };
	struct flint_attr sub, attr;
	char name[16];
	int j, rc;

	snprintf(name, sizeof(name), "d%d", i);
	rc = flint_fs_mkdir(fs, dir, name, 0755, &sub);
	if (rc)
		return rc;
	pthread_create(&s.thread, NULL, syncer_run, &s);
	for (j = 0; !rc && j < BELOW; j++)
		rc = make(fs, ino_of(&sub), "f", j, &attr);
	pthread_join(s.thread, NULL);
	rc = rc ? rc : s.rc ? s.rc : flint_fs_sync(fs);
	return rc ? rc : entries(reader, ino_of(&sub));
}

static void below(const char *path, uint64_t seconds)
{
	struct flint_fs *fs = client_of("maker", NULL, true), *reader = client("reader", NULL);
	uint64_t end = flint_now_ns() + seconds * 1000000000ull;
	struct flint_attr dir;
	const char *name;
	int i, rc = BELOW;

	split(fs, path, &dir, &name);
	if (own_dir(fs, ino_of(&dir), name, 0755, &dir))
		exit(1);
	printf("held\n");
	fflush(stdout);
	for (i = 0; rc == BELOW && flint_now_ns() < end; i++)
		rc = below_once(fs, reader, ino_of(&dir), i);
	printf("# %d directories, %llu promises%s%s\n", i, (unsigned long long)delegated(fs),
	       rc == BELOW ? "" : rc < 0 ? ": " : ": files are lost", rc < 0 ? strerror(-rc) : "");
	failures += rc != BELOW || !delegated(fs);
	flint_fs_close(reader);
	flint_fs_close(fs);
}

static void grow(const char *path)
{
	struct flint_fs *fs = client("grower", NULL);
	struct flint_attr dir;
	struct flint_file *f;
	const char *name;
	uint64_t end;

	split(fs, path, &dir, &name);
	if (flint_fs_open_file(fs, ino_of(&dir), name, FLINT_OPEN_CREATE | FLINT_OPEN_WRITE, 0644, &f))
		exit(1);
	for (end = 0; grow_by(f, end, 1); end += PIECE) {
		printf("%llu\n", (unsigned long long)end + PIECE);
		fflush(stdout);
		usleep(1000);
	}
}

/* Has the file what grow_by() wrote up to @end? */
static bool holds(struct flint_fs *fs, uint64_t ino, uint64_t end)
{
	uint8_t buf[PIECE];
	struct flint_file *f;
	bool good = true;
	uint64_t at;

	if (flint_fs_open_file(fs, ino, NULL, FLINT_OPEN_READ, 0, &f))
		return false;
	for (at = 0; at < end && good; at += PIECE)
		good = flint_file_pread(f, buf, PIECE, at) == PIECE &&
		       buf[0] == 1 + at / PIECE % 251 && !memcmp(buf, buf + 1, PIECE - 1);
	flint_file_close(f);
	return good;
}

static void await_line(const char *say)
{
	char line[16];

	printf("%s\n", say);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(1);
}

/* What is acknowledged without the server is not lost when its disk has no space. */
static void owe(const char *path)
{
	struct flint_fs *a = client_of("a", NULL, true), *b = client("b", NULL);
	struct flint_fs_stats was, st;
	struct flint_attr dir, attr, made;
	struct flint_file *f;
	char data[40];
	const char *name;
	int i, rc, synced;

	split(a, path, &dir, &name);
	snprintf(data, sizeof(data), "%s.data", name);
	if (own_dir(a, ino_of(&dir), name, 0755, &dir) ||
	    flint_fs_open_file(a, root_of(a), data, FLINT_OPEN_CREATE | FLINT_OPEN_READ |
			       FLINT_OPEN_WRITE, 0644, &f) || !grow_by(f, 0, 20) ||
	    flint_file_sync(f))
		exit(1);
	flint_file_attr(f, &attr);
	await_line("ready");
	flint_fs_stats(a, &was);
	ok(grow_by(f, 20 * PIECE, 20), "a file grows");
	for (i = rc = 0; i < 20; i++)
		rc |= make(a, ino_of(&dir), "f", i, &made);
	flint_fs_stats(a, &st);
	ok(!rc && st.kept - was.kept == 20 && st.delegated - was.delegated == 20,
	   "files are made, all without the server");
	await_line("owed");
	synced = flint_file_sync(f);
	rc = flint_fs_sync(a);
	printf("# sync: %s, %s\n", strerror(-synced), strerror(-rc));
	ok(!synced && !rc && size_seen(b, ino_of(&attr)) == 40 * PIECE && holds(b, ino_of(&attr), 40 * PIECE),
	   "its size is told, and the data is there");
	ok(entries(b, ino_of(&dir)) == 20, "and the files");
	flint_file_close(f);
	flint_fs_close(a);
	flint_fs_close(b);
}

/* Ends the session while it keeps the size of a file that is open. */
static void leave(const char *path)
{
	struct flint_fs *fs = client("leaver", NULL);
	struct flint_fs_stats st;
	struct flint_attr dir;
	struct flint_file *f;
	const char *name;

	split(fs, path, &dir, &name);
	if (flint_fs_open_file(fs, ino_of(&dir), name, FLINT_OPEN_CREATE | FLINT_OPEN_WRITE, 0644, &f) ||
	    flint_file_pwrite(f, "x", 1, 0) != 1 || !grow_by(f, 0, 100))
		exit(1);
	flint_fs_stats(fs, &st);
	printf("# %llu sizes kept, %llu told\n%u\n", (unsigned long long)st.kept,
	       (unsigned long long)st.told, 100 * PIECE);
	fflush(stdout);
	flint_fs_close(fs);
	_exit(st.kept ? 0 : 1);		/* the file is still open */
}

static void grown(const char *path, uint64_t end)
{
	struct flint_fs *fs = client("reader", NULL);
	uint64_t t = flint_now_ns(), size;
	struct flint_attr attr;
	int rc = flint_fs_walk(fs, path, &attr);

	size = rc ? 0 : le64_to_cpu(attr.size);
	printf("# %llu bytes, of which %llu were acknowledged, after %llu ms\n",
	       (unsigned long long)size, (unsigned long long)end,
	       (unsigned long long)(flint_now_ns() - t) / 1000000);
	failures += rc || size < end || !holds(fs, ino_of(&attr), end);
	flint_fs_close(fs);
}

static int drop_entry(void *arg, const struct flint_fs_entry *e)
{
	(void)arg;
	(void)e;
	return 0;
}

/* ---- a client that does not answer ------------------------------------------------------- */

/* A loop of one's own, and a task that holds it until it is let go. */
struct silence {
	struct flint_loop *loop;
	pthread_t thread;
	struct flint_task task;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
};

static void silence_run(struct flint_task *t)
{
	struct silence *s = (struct silence *)((char *)t - offsetof(struct silence, task));

	pthread_mutex_lock(&s->lock);
	while (!s->over)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void silence_begin(struct silence *s)
{
	s->task.fn = silence_run;
	flint_loop_post(s->loop, &s->task);
}

static void silence_end(struct silence *s)
{
	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

struct emptier {
	struct flint_fs *fs;
	uint64_t nr;
	int rc;
	pthread_t thread;
};

static void *emptier_run(void *arg)
{
	struct emptier *e = arg;

	e->rc = flint_fs_trash_empty(e->fs, 0, 0, &e->nr);
	return NULL;
}

/* Something goes into the trash while it is being emptied, which waits for somebody's lease. */
static void own_late(struct flint_fs *fs, struct flint_fs *other, uint64_t dir)
{
	struct silence s = { .loop = flint_loop_new() };
	struct flint_attr early, late, attr;
	struct emptier e = { .fs = other };
	struct flint_fs *mute;
	int rc, here, there;

	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.cond, NULL);
	pthread_create(&s.thread, NULL, loop_run, s.loop);
	mute = client("mute", s.loop);
	rc = flint_fs_trash_set(fs, dir, 3600);
	rc |= flint_fs_mknod(mute, dir, "early", S_IFREG | 0644, 0, 0, NULL, &early);
	rc |= flint_fs_unlink(mute, dir, "early") | flint_fs_getattr(mute, ino_of(&early), &attr);
	rc |= flint_fs_mknod(fs, dir, "late", S_IFREG | 0644, 0, 0, NULL, &late);
	rc |= flint_fs_getattr(fs, ino_of(&late), &attr);
	silence_begin(&s);
	pthread_create(&e.thread, NULL, emptier_run, &e);
	usleep(700000);
	rc |= flint_fs_unlink(fs, dir, "late") | flint_fs_getattr(fs, ino_of(&late), &attr);
	silence_end(&s);
	pthread_join(e.thread, NULL);
	here = flint_fs_getattr(fs, ino_of(&late), &attr);
	there = flint_fs_getattr(other, ino_of(&late), &attr);
	printf("# %llu emptied; what was removed meanwhile: %d, %d\n", (unsigned long long)e.nr, here,
	       there);
	ok(!rc && !e.rc && e.nr && here == there && flint_fs_getattr(fs, ino_of(&early), &attr),
	   "nor what goes into the trash while it is emptied, if it stays there");
	flint_fs_trash_empty(other, 0, 0, NULL);
	flint_fs_close(mute);
	flint_loop_stop(s.loop);
	pthread_join(s.thread, NULL);
	flint_loop_free(s.loop);
}

/* The same session brings back what it has removed, and removes a tree: where is the server's to know. */
static void own_trash(struct flint_fs *fs, struct flint_fs *other, uint64_t dir, uint64_t file)
{
	static const char *const name[] = { "one", "two", "three" };
	struct flint_rmtree_rep rep;
	struct flint_attr attr;
	uint64_t nr, gone[3];
	int rc, i;

	rc = flint_fs_trash_set(fs, dir, 3600);
	rc |= flint_fs_unlink(fs, dir, "kept");
	usleep(1500000);
	for (i = 0; i < 2; i++)
		rc |= flint_fs_readdir(fs, dir, 0, false, drop_entry, NULL);
	rc |= flint_fs_lookup(fs, dir, "kept", &attr) != -ENOENT;
	ok(!rc, "a name that went into the trash is known to be absent");
	rc = flint_fs_trash_restore(fs, file, 0, NULL, &attr);
	rc |= flint_fs_lookup(fs, dir, "kept", &attr);
	ok(!rc && ino_of(&attr) == file, "restored by the same session it is there");
	rc = flint_fs_mkdir(fs, dir, "again", 0755, &attr);
	rc |= flint_fs_lookup(fs, dir, "again", &attr);
	rc |= flint_fs_rmtree(fs, dir, "again", FLINT_NAME_NO_TRASH, &rep);
	ok(!rc && flint_fs_lookup(fs, dir, "again", &attr) == -ENOENT,
	   "a tree that it removes is not");
	rc = flint_fs_unlink(fs, dir, "kept") | flint_fs_getattr(fs, file, &attr);
	rc |= flint_fs_trash_empty(other, file, 0, &nr);
	ok(!rc && flint_fs_getattr(fs, file, &attr) == -ESTALE,
	   "what others empty out of the trash is gone for who removed it, too");
	for (i = 0; i < 3; i++) {
		rc |= flint_fs_mknod(fs, dir, name[i], S_IFREG | 0644, 0, 0, NULL, &attr);
		gone[i] = ino_of(&attr);
	}
	usleep(1500000);
	for (i = 0; i < 3; i++)
		rc |= flint_fs_getattr(fs, gone[i], &attr);
	for (i = 0; i < 3; i++)
		rc |= flint_fs_unlink(fs, dir, name[i]) | flint_fs_getattr(fs, gone[i], &attr);
	rc |= flint_fs_trash_empty(other, 0, 0, &nr) || nr != 3;
	for (i = 0; i < 3; i++)
		rc |= flint_fs_getattr(fs, gone[i], &attr) != -ESTALE;
	ok(!rc, "nor does it keep what they empty out all at once");
	rc = flint_fs_mknod(fs, dir, "short", S_IFREG | 0644, 0, 0, NULL, &attr);
	gone[0] = ino_of(&attr);
	rc |= flint_fs_trash_set(fs, dir, 1) | flint_fs_getattr(fs, gone[0], &attr);
	rc |= flint_fs_unlink(fs, dir, "short") | flint_fs_getattr(fs, gone[0], &attr);
	for (i = 0; !rc && i < 600 && flint_fs_getattr(fs, gone[0], &attr) != -ESTALE; i++)
		usleep(50000);
	ok(!rc && i < 600, "nor what was kept long enough");
}

/* Trees are taken apart by the server: links and entries go that others have in memory. */
static void own(void)
{
	struct flint_fs *a = client("a", NULL), *b = client("b", NULL);
	struct flint_attr top, gone, sub, file, attr;
	struct flint_rmtree_stat st;
	struct flint_rmtree_rep rep;
	uint64_t before;
	char name[16];
	int i, rc = 0;

	rc |= flint_fs_mkdir(a, root_of(a), "own", 0755, &top);
	rc |= flint_fs_mkdir(a, ino_of(&top), "gone", 0755, &gone);
	rc |= flint_fs_mkdir(a, ino_of(&gone), "sub", 0755, &sub);
	rc |= flint_fs_mknod(a, ino_of(&top), "kept", S_IFREG | 0644, 0, 0, NULL, &file);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		rc |= flint_fs_mknod(a, ino_of(i % 2 ? &sub : &gone), name, S_IFREG | 0644, 0, 0, NULL,
				     &attr);
	}
	rc |= flint_fs_link(a, ino_of(&file), ino_of(&sub), "x", &attr);
	ok(!rc, "a tree, and a file with one name in it and one beside");
	usleep(1500000);	/* what was changed a moment ago may not be granted */
	for (i = 0; i < 2; i++) {
		rc |= flint_fs_getattr(b, ino_of(&file), &attr);
		rc |= flint_fs_lookup(b, ino_of(&sub), "x", &attr);
		rc |= flint_fs_lookup(b, ino_of(&gone), "f0", &attr);
		rc |= flint_fs_lookup(b, ino_of(&gone), "none", &attr) != -ENOENT;
		rc |= flint_fs_getattr(b, ino_of(&sub), &attr);
		before = i ? before : requests(b);
	}
	ok(!rc && none_since(b, before), "somebody has all of it in memory");
	rc = flint_fs_rmtree(a, ino_of(&top), "gone", FLINT_NAME_NO_TRASH, &rep);
	do {
		usleep(20000);
		rc |= flint_fs_rmtree_stat(a, 0, &st);
	} while (!rc && le64_to_cpu(st.trees));
	ok(!rc, "the tree is removed, and taken apart");
	ok(!flint_fs_getattr(b, ino_of(&file), &attr) && le32_to_cpu(attr.nlink) == 1,
	   "the link that went is not remembered");
	rc = flint_fs_lookup(b, ino_of(&sub), "x", &attr);
	ok(rc == -ENOENT || rc == -ESTALE, "nor the entry");
	rc = flint_fs_getattr(b, ino_of(&sub), &attr);
	ok(rc == -ESTALE, "nor the directory");
	own_trash(b, a, ino_of(&top), ino_of(&file));
	own_late(b, a, ino_of(&top));
	flint_fs_close(b);
	flint_fs_close(a);
}

/* ---- a server that is not heard ------------------------------------------------------------ */

static void unheard(pid_t server)
{
	struct flint_fs *a = client("a", NULL), *b, *c = client("c", NULL);
	const uint8_t P = FLINT_LOCK_POSIX, WR = FLINT_LOCK_WR, UN = FLINT_LOCK_UN;
	struct flint_attr attr;
	struct flint_lock l;
	struct waiter w;
	uint64_t i;

	call_ms = 2000;
	b = client("b", NULL);
	flint_fs_mknod(a, root_of(a), "unheard", S_IFREG | 0644, 0, 0, NULL, &attr);
	flint_fs_lookup(a, root_of(a), "unheard", &attr);
	i = ino_of(&attr);
	ok(!lock_now(a, i, P, WR, 1, 0, 9), "a range is locked");
	wait_begin(&w, b, range(i, P, WR, 1, 0, 9));
	kill(server, SIGSTOP);
	pthread_join(w.thread, NULL);
	kill(server, SIGCONT);
	printf("# %s\n", strerror(-w.rc));
	ok(w.rc == -ETIMEDOUT, "who waits for it and hears nothing gives up");
	l = range(i, P, WR, 1, 0, 9);
	ok(!lock_now(a, i, P, UN, 1, 0, 9) && !flint_fs_lock(c, &l, 5000),
	   "then nobody has it but who asks for it");
	ok(lock_now(b, i, P, WR, 1, 0, 9) == -EAGAIN && !lock_now(c, i, P, UN, 1, 0, 9) &&
	   !lock_now(b, i, P, WR, 1, 0, 9), "and who had given up may ask again");
	flint_fs_close(c);
	flint_fs_close(b);
	flint_fs_close(a);
}

static void closed(void)
{
	struct flint_loop *loop = flint_loop_new();
	struct flint_fs *b = client("b", NULL), *a;
	struct flint_attr attr;
	struct flint_file *f;
	uint64_t before;
	pthread_t thread;
	int rc, i;

	pthread_create(&thread, NULL, loop_run, loop);
	a = client("a", loop);
	rc = flint_fs_mknod(b, root_of(b), "closed", S_IFREG | 0644, 0, 0, NULL, &attr);
	usleep(1500000);	/* what was changed a moment ago may not be granted */
	for (i = 0; i < 2; i++)
		rc |= flint_fs_lookup(a, root_of(a), "closed", &attr);
	before = requests(a);
	rc |= flint_fs_open_file(a, ino_of(&attr), NULL, FLINT_OPEN_READ, 0, &f);
	ok(!rc && none_since(a, before), "a file is opened without a request");
	if (rc) {
		printf("# %s\n", strerror(-rc));
		exit(1);
	}
	ok(!flint_fs_unlink(b, root_of(b), "closed") && !flint_fs_getattr(a, ino_of(&attr), &attr),
	   "and removed elsewhere: the server knows of it");
	flint_fs_close(b);
	await_line("held");
	ok(!flint_file_close(f), "it is closed");
	usleep(500000);
	flint_fs_close(a);
	usleep(1500000);
	ok(true, "and the session, whose loop goes on");
	flint_loop_stop(loop);
	pthread_join(thread, NULL);
	flint_loop_free(loop);
}

static void fill(const char *path, uint32_t n)
{
	struct flint_fs *fs = client("filler", NULL);
	struct flint_attr dir, attr;
	const char *name;
	char file[16];
	uint32_t i;

	split(fs, path, &dir, &name);
	if (flint_fs_mkdir(fs, ino_of(&dir), name, 0755, &dir))
		exit(1);
	for (i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "f%u", i);
		if (flint_fs_mknod(fs, ino_of(&dir), file, S_IFREG | 0644, 0, 0, NULL, &attr))
			exit(1);
	}
	flint_fs_close(fs);
}

int main(int argc, char **argv)
{
	char err[256] = "";
	bool verbose = false;
	const char *mode;

	flint_conf_parse_or_exit(&spec, argc, argv, &o, &verbose);
	flint_log_init("flint-leasetest", verbose ? FLINT_LOG_DEBUG : FLINT_LOG_ERR);
	if (!o.args.nr || flint_key_load(o.key, key, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	mode = o.args.items[0];
	if (!strcmp(mode, "cached"))
		cached();
	else if (!strcmp(mode, "coherence") && o.args.nr >= 2)
		coherence(strtoul(o.args.items[1], NULL, 10), o.args.nr > 2);
	else if (!strcmp(mode, "hold") && o.args.nr == 2)
		hold(o.args.items[1]);
	else if (!strcmp(mode, "writer") && o.args.nr == 2)
		writer(o.args.items[1]);
	else if (!strcmp(mode, "change") && o.args.nr == 3)
		change_path(o.args.items[1], strtoull(o.args.items[2], NULL, 10));
	else if (!strcmp(mode, "locks"))
		locks();
	else if (!strcmp(mode, "kept"))
		kept();
	else if (!strcmp(mode, "size"))
		size();
	else if (!strcmp(mode, "owe") && o.args.nr == 2)
		owe(o.args.items[1]);
	else if (!strcmp(mode, "grow") && o.args.nr == 2)
		grow(o.args.items[1]);
	else if (!strcmp(mode, "leave") && o.args.nr == 2)
		leave(o.args.items[1]);
	else if (!strcmp(mode, "grown") && o.args.nr == 3)
		grown(o.args.items[1], strtoull(o.args.items[2], NULL, 10));
	else if (!strcmp(mode, "delegate"))
		delegate();
	else if (!strcmp(mode, "promise") && o.args.nr == 3)
		promise(o.args.items[1], strtoull(o.args.items[2], NULL, 10));
	else if (!strcmp(mode, "promised") && o.args.nr == 3)
		promised(o.args.items[1], strtoull(o.args.items[2], NULL, 10));
	else if (!strcmp(mode, "below") && o.args.nr == 3)
		below(o.args.items[1], strtoull(o.args.items[2], NULL, 10));
	else if (!strcmp(mode, "own"))
		own();
	else if (!strcmp(mode, "unheard") && o.args.nr == 2)
		unheard(strtoul(o.args.items[1], NULL, 10));
	else if (!strcmp(mode, "closed"))
		closed();
	else if (!strcmp(mode, "mended") && o.args.nr == 2)
		mended(strtoul(o.args.items[1], NULL, 10));
	else if (!strcmp(mode, "fill") && o.args.nr == 3)
		fill(o.args.items[1], strtoul(o.args.items[2], NULL, 10));
	else if (!strcmp(mode, "sessions") && o.args.nr == 2)
		sessions(strtoul(o.args.items[1], NULL, 10));
	else
		return 2;
	flint_conf_free(&spec, &o);
	return failures ? 1 : 0;
}
