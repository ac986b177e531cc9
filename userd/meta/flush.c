// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing a generation: all of it in one transaction, inodes, entries and rows
 * each in the order of their keys, so that the pages of the trees are touched
 * one after the other. Its commit is synced: then the generation is durable,
 * and the owner is told. After that, with nobody waiting, the WAL is moved into
 * the file once it has some length.
 *
 * The thread reads objects of the frozen generation, which nobody writes to
 * (cache.h). An object that was born and removed in one generation is not
 * written at all.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../base/daemon.h"
#include "flush.h"

#define WAL_PAGES	12288		/* 48 MiB: checkpoint */
#define COST_MIN	4096		/* objects, for an idea of what one costs */

struct meta_flusher {
	struct meta_db db;
	pthread_t thread;
	void (*wake)(void *arg);
	void *arg;
	int wal_pages;			/* the thread's */

	pthread_mutex_t lock;		/* protects what follows */
	pthread_cond_t work, done;
	bool stop, hold, busy;
	struct meta_gen *job, *written;
	int err;
	char why[256];
	struct meta_flush_stats stats;
};

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

/* ---- order -------------------------------------------------------------------- */

static int cmp_u64(u64 a, u64 b)
{
	return a < b ? -1 : a > b;
}

static int cmp_inode(const void *a, const void *b)
{
	const struct meta_inode *x = *(void *const *)a, *y = *(void *const *)b;

	return cmp_u64(x->ino, y->ino);
}

static int cmp_dent(const void *a, const void *b)
{
	const struct meta_dent *x = *(void *const *)a, *y = *(void *const *)b;
	int d = cmp_u64(x->parent, y->parent);

	return d ? d : meta_key_cmp(x->name, x->len, y->name, y->len);
}

static int cmp_row(const void *a, const void *b)
{
	const struct meta_rowo *x = *(void *const *)a, *y = *(void *const *)b;
	int d = (int)x->table - y->table;

	return d ? d : meta_key_cmp(meta_rowo_key(x), x->klen, meta_rowo_key(y), y->klen);
}

/* The objects that have to be written, in order; NULL: no memory. */
static void **sorted(const struct meta_vec *v, u32 gen, int (*cmp)(const void *a, const void *b),
		     u64 *nr)
{
	void **list = malloc((v->nr + 1) * sizeof(*list));
	const struct meta_vec_chunk *k;
	u64 i;

	*nr = 0;
	for (k = v->head; k && list; k = k->next)
		for (i = 0; i < k->nr; i++)
			if (!(k->obj[i]->dead && k->obj[i]->born == gen))
				list[(*nr)++] = k->obj[i];
	if (list)
		qsort(list, *nr, sizeof(*list), cmp);
	return list;
}

static void **sorted_rows(const struct meta_gen *g, u64 *nr)
{
	const struct meta_rowo *r;
	void **list;
	u64 n = 0;

	for (r = g->rows; r; r = r->older)
		n++;
	list = malloc((n + 1) * sizeof(*list));
	*nr = 0;
	for (r = g->rows; r && list; r = r->older)
		if (!(r->o.dead && r->o.born == g->gen))
			list[(*nr)++] = (void *)r;
	if (list)
		qsort(list, *nr, sizeof(*list), cmp_row);
	return list;
}

/* ---- writing -------------------------------------------------------------------- */

static int write_inodes(struct meta_flusher *f, const struct meta_gen *g)
{
	u64 nr, n;
	void **list = sorted(&g->inodes, g->gen, cmp_inode, &nr);
	int err = list ? 0 : -ENOMEM;

	for (n = 0; n < nr && !err; n++) {
		const struct meta_inode *i = list[n];

		err = i->o.dead ? meta_db_inode_del(&f->db, i->ino) : meta_db_inode_put(&f->db, i);
	}
	free(list);
	return err;
}

static int write_dents(struct meta_flusher *f, const struct meta_gen *g)
{
	u64 nr, n;
	void **list = sorted(&g->dents, g->gen, cmp_dent, &nr);
	int err = list ? 0 : -ENOMEM;

	for (n = 0; n < nr && !err; n++) {
		const struct meta_dent *d = list[n];
		sqlite3_stmt *st = meta_stmt(&f->db, d->o.dead ? ST_DENTRY_DEL : ST_DENTRY_PUT);

		sqlite3_bind_int64(st, 1, d->parent);
		sqlite3_bind_blob(st, 2, d->name, d->len, SQLITE_STATIC);
		if (!d->o.dead) {
			sqlite3_bind_int64(st, 3, d->cookie);
			sqlite3_bind_int64(st, 4, d->ino);
			sqlite3_bind_int64(st, 5, d->type);
		}
		err = meta_run(&f->db, st);
	}
	free(list);
	return err;
}

static int write_rows(struct meta_flusher *f, const struct meta_gen *g)
{
	u64 nr, n;
	void **list = sorted_rows(g, &nr);
	int err = list ? 0 : -ENOMEM;

	for (n = 0; n < nr && !err; n++) {
		const struct meta_rowo *r = list[n];
		sqlite3_stmt *st = meta_tstmt(&f->db, r->table, r->o.dead ? META_TV_DEL :
								META_TV_PUT);

		if (st) {
			meta_table_bind_key(st, r->table, meta_rowo_key(r), r->klen);
			if (!r->o.dead)
				meta_table_bind_val(st, r->table, meta_rowo_val(r), r->vlen);
		}
		err = meta_run(&f->db, st);
	}
	free(list);
	return err;
}

static int write_gen(struct meta_flusher *f, const struct meta_gen *g)
{
	int err = meta_run(&f->db, meta_stmt(&f->db, ST_BEGIN));

	/* Removed names first: a name may come back with another cookie. */
	if (!err)
		err = write_dents(f, g);
	if (!err)
		err = write_inodes(f, g);
	if (!err)
		err = write_rows(f, g);
	if (!err)
		err = meta_db_state_put(&f->db, &g->state);
	if (!err)
		err = meta_run(&f->db, meta_stmt(&f->db, ST_COMMIT));
	return err;
}

static int checkpoint(struct meta_flusher *f)
{
	int log = 0, done = 0, rc;

	rc = sqlite3_wal_checkpoint_v2(f->db.db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done);
	if (rc == SQLITE_OK && log == done)
		f->wal_pages = 0;
	if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY)
		return 0;
	snprintf(f->db.err, sizeof(f->db.err), "%s (checkpoint)", sqlite3_errmsg(f->db.db));
	return meta_db_errno(&f->db, sqlite3_extended_errcode(f->db.db));
}

/* ---- the thread ------------------------------------------------------------------- */

static void tell(struct meta_flusher *f, struct meta_gen *g, int err)
{
	pthread_mutex_lock(&f->lock);
	if (err && !f->err) {
		f->err = err;
		snprintf(f->why, sizeof(f->why), "%s", err == -ENOMEM ? "out of memory" :
			 f->db.err);
	}
	if (g && !err) {
		f->written = g;
		f->job = NULL;
	}
	pthread_cond_broadcast(&f->done);
	pthread_mutex_unlock(&f->lock);
	if (f->wake)
		f->wake(f->arg);
}

static void step(struct meta_flusher *f, struct meta_gen *g)
{
	u64 t0 = now_us(), t1, t2;
	int err = write_gen(f, g);
	u64 nr = g->nr;

	t1 = now_us();
	tell(f, g, err);
	if (err)
		return;
	if (f->wal_pages >= WAL_PAGES) {
		err = checkpoint(f);
		if (err)
			tell(f, NULL, err);
	}
	t2 = now_us();
	pthread_mutex_lock(&f->lock);
	f->stats.flushes++;
	f->stats.flushed += nr;
	f->stats.flush_us += t1 - t0;
	f->stats.checkpoint_us += t2 - t1;
	f->stats.checkpoints += !f->wal_pages;
	if (nr >= COST_MIN)
		f->stats.cost_ns = (3 * f->stats.cost_ns + (t2 - t0) * 1000 / nr) / 4;
	pthread_mutex_unlock(&f->lock);
}

static void *flush_thread(void *arg)
{
	struct meta_flusher *f = arg;
	struct meta_gen *g;

	flint_thread_background();
	pthread_mutex_lock(&f->lock);
	for (;;) {
		while (!f->stop && (!f->job || f->hold || f->err))
			pthread_cond_wait(&f->work, &f->lock);
		if (f->stop)
			break;
		g = f->job;
		f->busy = true;
		pthread_mutex_unlock(&f->lock);
		step(f, g);
		pthread_mutex_lock(&f->lock);
		f->busy = false;
		pthread_cond_broadcast(&f->done);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct meta_flusher *f = arg;

	f->wal_pages = pages;
	return SQLITE_OK;
}

struct meta_flusher *meta_flusher_new(const struct meta_db *db, void (*wake)(void *arg), void *arg)
{
	struct meta_flusher *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return NULL;
	f->db = *db;
	f->wake = wake;
	f->arg = arg;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->work, NULL);
	pthread_cond_init(&f->done, NULL);
	sqlite3_wal_hook(f->db.db, on_wal, f);
	err = pthread_create(&f->thread, NULL, flush_thread, f);
	if (err) {
		free(f);
		errno = err;
		return NULL;
	}
	pthread_setname_np(f->thread, "metad-flush");
	return f;
}

void meta_flusher_free(struct meta_flusher *f)
{
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->work);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	pthread_cond_destroy(&f->work);
	pthread_cond_destroy(&f->done);
	pthread_mutex_destroy(&f->lock);
	meta_db_close(&f->db);
	free(f);
}

bool meta_flusher_idle(struct meta_flusher *f)
{
	bool idle;

	pthread_mutex_lock(&f->lock);
	idle = !f->job && !f->written && !f->busy && !f->err;
	pthread_mutex_unlock(&f->lock);
	return idle;
}

void meta_flusher_start(struct meta_flusher *f, struct meta_gen *g)
{
	pthread_mutex_lock(&f->lock);
	f->job = g;
	pthread_cond_signal(&f->work);
	pthread_mutex_unlock(&f->lock);
}

int meta_flusher_report(struct meta_flusher *f, struct meta_gen **g, bool wait, char *why,
			size_t len)
{
	int ret = 0;

	pthread_mutex_lock(&f->lock);
	while (wait && !f->err && !f->written && (f->job || f->busy))
		pthread_cond_wait(&f->done, &f->lock);
	if (f->err) {
		ret = f->err;
		snprintf(why, len, "%s", f->why);
	} else if (f->written) {
		*g = f->written;
		f->written = NULL;
		ret = 1;
	}
	pthread_mutex_unlock(&f->lock);
	return ret;
}

void meta_flusher_stats(struct meta_flusher *f, struct meta_flush_stats *st)
{
	pthread_mutex_lock(&f->lock);
	*st = f->stats;
	pthread_mutex_unlock(&f->lock);
}

void meta_flusher_hold(struct meta_flusher *f, bool hold)
{
	pthread_mutex_lock(&f->lock);
	f->hold = hold;
	pthread_cond_signal(&f->work);
	while (hold && f->busy)
		pthread_cond_wait(&f->done, &f->lock);
	pthread_mutex_unlock(&f->lock);
}
