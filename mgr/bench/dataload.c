// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Load on the data path: one client, one file, a fixed number of requests in
 * flight for a fixed time. What an answer frees is asked for again at once, on
 * the client library's thread.
 *
 * A slot belongs to the library while its request is under way. The lock
 * protects what the slots share: the first requests are sent by the caller, all
 * others by the library's thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../../userd/client/fs.h"
#include "../../userd/base/daemon.h"
#include "bench.h"

struct dslot {
	struct flint_io_req req;
	struct bench_dload *l;
	uint64_t sent_ns;
	uint8_t *buf;
};

struct bench_dload {
	struct flint_fs *fs;
	struct flint_file *file;
	const struct bench_djob *job;
	struct bench_result *res;
	struct dslot *slots;
	uint64_t until_ns, next, random;
	int err;
	unsigned int open;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static double self_cpu(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

/* Where the next request goes. With the lock. Return: false when there is none. */
static bool next_offset(struct bench_dload *l, uint64_t now, uint64_t *off)
{
	const struct bench_djob *j = l->job;
	uint64_t blocks = j->size / j->block;

	if (l->err || (j->ms ? now >= l->until_ns : l->next >= blocks))
		return false;
	if (!j->random) {
		*off = l->next++ % blocks * j->block;
		return true;
	}
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	*off = l->random % blocks * j->block;
	return true;
}

/* The slot's next request, or its end. With the lock, which is given back. */
static void slot_next(struct dslot *s, uint64_t now)
{
	struct bench_dload *l = s->l;
	uint64_t off;

	if (!next_offset(l, now, &off)) {
		if (!--l->open)
			pthread_cond_signal(&l->cond);
		pthread_mutex_unlock(&l->lock);
		return;
	}
	pthread_mutex_unlock(&l->lock);
	s->req.file = l->file;
	s->req.write = l->job->write;
	s->req.buf = s->buf;
	s->req.len = l->job->block;
	s->req.off = off;
	s->sent_ns = now;
	flint_file_submit(&s->req);
}

static void slot_done(struct flint_io_req *req)
{
	struct dslot *s = (struct dslot *)req;
	struct bench_dload *l = s->l;
	uint64_t now = flint_now_ns();

	pthread_mutex_lock(&l->lock);
	if (req->result != (ssize_t)l->job->block) {
		if (!l->err)
			l->err = req->result < 0 ? (int)req->result : -EIO;
	} else {
		l->res->ops++;
		bench_hist_add(&l->res->lat, now - s->sent_ns);
	}
	slot_next(s, now);
}

/* The first requests; from here on the library's thread goes on. */
static void slots_begin(struct bench_dload *l)
{
	uint64_t now = flint_now_ns();
	unsigned int i;

	for (i = 0; i < l->job->depth; i++) {
		l->slots[i].l = l;
		l->slots[i].req.done = slot_done;
		pthread_mutex_lock(&l->lock);
		slot_next(&l->slots[i], now);
	}
}

static int slots_new(struct bench_dload *l)
{
	unsigned int i;

	l->slots = calloc(l->job->depth, sizeof(*l->slots));
	if (!l->slots)
		return -ENOMEM;
	for (i = 0; i < l->job->depth; i++) {
		if (posix_memalign((void **)&l->slots[i].buf, 4096, l->job->block))
			return -ENOMEM;
		flint_random(l->slots[i].buf, l->job->block);
	}
	return 0;
}

static void slots_free(struct bench_dload *l)
{
	unsigned int i;

	for (i = 0; l->slots && i < l->job->depth; i++)
		free(l->slots[i].buf);
	free(l->slots);
	l->slots = NULL;
}

int bench_dload_run(struct bench_dload *l, const struct bench_djob *job, struct bench_result *res,
		    char *err, size_t errlen)
{
	uint64_t start;
	int ret;

	memset(res, 0, sizeof(*res));
	l->job = job;
	l->res = res;
	l->next = 0;
	l->err = 0;
	ret = slots_new(l);
	if (ret) {
		slots_free(l);
		snprintf(err, errlen, "out of memory");
		return ret;
	}
	start = flint_now_ns();
	l->until_ns = start + job->ms * 1000000ull;
	l->open = job->depth;
	res->load_cpu_s = -self_cpu();
	slots_begin(l);
	pthread_mutex_lock(&l->lock);
	while (l->open)
		pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
	res->seconds = (double)(flint_now_ns() - start) / 1e9;
	res->load_cpu_s += self_cpu();
	slots_free(l);
	if (l->err)
		snprintf(err, errlen, "%s: %s", job->write ? "writing" : "reading",
			 strerror(-l->err));
	return l->err;
}

struct bench_dload *bench_dload_open(const struct bench_cluster *c, const char *name,
				     char *err, size_t errlen)
{
	struct flint_fs_config cfg = {
		.mgrs = c->mgr, .fs_name = "default", .key = c->key, .name = "bench",
	};
	struct bench_dload *l = calloc(1, sizeof(*l));
	int ret;

	if (!l) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	l->random = 88172645463325252ull;
	l->fs = flint_fs_open(&cfg, err, errlen);
	if (!l->fs) {
		free(l);
		return NULL;
	}
	ret = flint_fs_open_file(l->fs, le64_to_cpu(flint_fs_root(l->fs)->ino), name,
				 FLINT_OPEN_READ | FLINT_OPEN_WRITE | FLINT_OPEN_CREATE, 0644,
				 &l->file);
	if (!ret)
		return l;
	snprintf(err, errlen, "the file %s cannot be made: %s", name, strerror(-ret));
	flint_fs_close(l->fs);
	free(l);
	return NULL;
}

void bench_dload_close(struct bench_dload *l)
{
	if (!l)
		return;
	flint_file_close(l->file);
	flint_fs_close(l->fs);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
