// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a client answers from its own memory: stat and open of files whose
 * leases it holds, by the client library. Each file is asked for once before,
 * which brings the leases; the counters of the session tell how many requests
 * the measured calls needed: none is what the project promises. And creates in a
 * directory of its own, which need one request for hundreds of them: the time is
 * that until the servers know all of them.
 *
 * Calls are made on the library's own thread, one after the other, each from
 * the end of the one before.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../userd/client/fs_async.h"
#include "bench.h"

#define FILES	200

struct leased {
	struct flint_fs *fs;
	struct flint_meta_req req;
	enum bench_leased_op op;
	bool empty;			/* without files to begin with */
	uint64_t dir;
	uint64_t next, count;
	uint64_t asked_ns;
	struct bench_result *res;
	int err;
	pthread_mutex_t lock;		/* protects over */
	pthread_cond_t cond;
	bool over;
	char name[32];
};

static void over(struct leased *l)
{
	pthread_mutex_lock(&l->lock);
	l->over = true;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

static void closed(struct flint_meta_req *r);

static void ask(struct leased *l)
{
	struct flint_meta_req *r = &l->req;

	memset(r, 0, offsetof(struct flint_meta_req, task));
	r->fs = l->fs;
	r->ino = l->dir;
	r->name = l->name;
	r->name_len = (uint32_t)snprintf(l->name, sizeof(l->name), "file-%llu",
					 (unsigned long long)(l->op == BENCH_LEASED_CREATE ?
							      l->next : l->next % FILES));
	r->op = l->op == BENCH_LEASED_OPEN ? FLINT_META_OPEN :
		l->op == BENCH_LEASED_CREATE ? FLINT_META_MKNOD : FLINT_META_LOOKUP;
	r->flags = l->op == BENCH_LEASED_OPEN ? FLINT_OPEN_READ : 0;
	r->mode = S_IFREG | 0644;
	r->done = closed;
	r->priv = l;
	l->asked_ns = flint_now_ns();
	flint_meta_submit(r);
}

/* A call has ended; an open file is closed first. */
static void closed(struct flint_meta_req *r)
{
	struct leased *l = r->priv;
	uint64_t handle = r->handle, ino = r->attr.ino;

	if (r->err && !l->err)
		l->err = r->err;
	if (!l->err && r->op == FLINT_META_OPEN) {
		memset(r, 0, offsetof(struct flint_meta_req, task));
		r->fs = l->fs;
		r->op = FLINT_META_CLOSE;
		r->ino = le64_to_cpu(ino);
		r->handle = handle;
		r->done = closed;
		r->priv = l;
		flint_meta_submit(r);
		return;
	}
	bench_hist_add(&l->res->lat, flint_now_ns() - l->asked_ns);
	l->res->ops++;
	if (l->err || ++l->next >= l->count)
		over(l);
	else
		ask(l);
}

/* @count calls, from this thread; sums up into @res. */
static int run(struct leased *l, enum bench_leased_op op, uint64_t count, struct bench_result *res)
{
	uint64_t start = flint_now_ns();

	memset(res, 0, sizeof(*res));
	l->res = res;
	l->op = op;
	l->next = 0;
	l->count = count;
	l->over = false;
	ask(l);
	pthread_mutex_lock(&l->lock);
	while (!l->over)
		pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
	if (!l->err)
		l->err = flint_fs_sync(l->fs);
	res->seconds = (double)(flint_now_ns() - start) / 1e9;
	return l->err;
}

static int prepare(struct leased *l)
{
	struct flint_attr a;
	char name[32];
	int err, i;

	snprintf(name, sizeof(name), "leased-%llx", (unsigned long long)flint_now_ns());
	err = flint_fs_mkdir(l->fs, le64_to_cpu(flint_fs_root(l->fs)->ino), name, 0755, &a);
	l->dir = le64_to_cpu(a.ino);
	for (i = 0; i < FILES && !err && !l->empty; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		err = flint_fs_mknod(l->fs, l->dir, name, S_IFREG | 0644, 0, 0, NULL, &a);
	}
	return err;
}

static double own_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int bench_leased(const struct bench_cluster *c, enum bench_leased_op op, uint64_t count,
		 struct bench_result *res, uint64_t *requests, char *err, size_t errlen)
{
	struct flint_fs_config cfg = {
		.mgrs = c->mgr, .fs_name = "default", .key = c->key, .name = "bench",
		.leases = true, .delegate = op == BENCH_LEASED_CREATE,
		.cache_entries = op == BENCH_LEASED_CREATE ? (uint32_t)count * 3 : 0,
	};
	struct leased *l = calloc(1, sizeof(*l));
	struct flint_fs_stats before, after;
	double server, own;
	int ret = -ENOMEM;

	if (!l)
		return ret;
	l->empty = op == BENCH_LEASED_CREATE;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	l->fs = flint_fs_open(&cfg, err, errlen);
	if (!l->fs) {
		ret = -errno;
		goto out;
	}
	ret = prepare(l);
	if (!ret && !l->empty)
		ret = run(l, BENCH_LEASED_STAT, 2 * FILES, res);
	if (!ret && op == BENCH_LEASED_OPEN)
		ret = run(l, op, FILES, res);
	flint_fs_stats(l->fs, &before);
	server = bench_cluster_cpu(c);
	own = own_cpu();
	if (!ret)
		ret = run(l, op, count, res);
	res->server_cpu_s = bench_cluster_cpu(c) - server;
	res->load_cpu_s = own_cpu() - own;
	flint_fs_stats(l->fs, &after);
	*requests = after.requests - before.requests;
	flint_fs_close(l->fs);
	if (ret)
		snprintf(err, errlen, "a call under leases failed: %s", strerror(-ret));
out:
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return ret;
}
