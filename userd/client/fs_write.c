// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sizes that a sole writer keeps. Under a write lease a file that grows costs no
 * request: the data is durable at the chunk servers when a write is acknowledged,
 * and its end is known here. It is told (EXTEND)
 *  - a second after the first write that was not told,
 *  - before CLOSE, a change of the size, and whenever flint_file_sync() asks,
 *  - before the lease is given back: others wait for that.
 * If this client dies, the metadata server asks the chunk servers instead.
 *
 *	CLEAN (no record) -- write --> KEPT -- time, close, recall --> TOLD, or again
 *
 * While a recall waits, further writes announce themselves first. So they do when a
 * size was refused (EDQUOT), until the next sync or close of the file has said so, and
 * while the session appends to the file: what ends where the server does not know would
 * be written over.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <uthash.h>
#include "../base/log.h"
#include "fs_lease.h"
#include "fs_write.h"
#include "latch.h"

#define REPORT_MS	1000

/* Who waits until @left records are told as far as they were. */
struct flush {
	struct flint_task *task;
	int *err;
	uint32_t left;
};

struct flush_wait {
	struct flush *flush;
	uint64_t size, deadline_ns;
	struct flush_wait *next;
};

/**
 * struct fs_kept - a file that is longer than the server knows
 * @size: its end; @told: as the server knows it
 * @recall: what is given back when all is told; kinds 0: nothing
 * @open: an EXTEND is on its way
 * @lost: the session is gone
 */
struct fs_kept {
	struct flint_fs *fs;
	uint64_t ino, size, told;
	uint64_t mtime;
	uint32_t gen, epoch;
	struct flint_lease_rec recall;
	bool open, lost;
	struct flush_wait *waits;
	struct flint_timer timer;
	struct fs_op op;
	struct flint_extend body;
	UT_hash_handle hh;
};

/* A size was refused that writes had been acknowledged for, and nobody knows yet. */
struct fs_refused {
	uint64_t ino;
	int err;
	struct fs_refused *next;
};

static void tell(struct fs_kept *k);

static struct fs_refused **refused_find(struct flint_fs *fs, uint64_t ino)
{
	struct fs_refused **link = &fs->refused;

	while (*link && (*link)->ino != ino)
		link = &(*link)->next;
	return link;
}

static void refused_add(struct flint_fs *fs, uint64_t ino, int err)
{
	struct fs_refused *r = *refused_find(fs, ino) ? NULL : calloc(1, sizeof(*r));

	fs->nr_refused++;
	if (!r)
		return;
	r->ino = ino;
	r->err = err;
	r->next = fs->refused;
	fs->refused = r;
}

int fs_write_error(struct flint_fs *fs, uint64_t ino)
{
	struct fs_refused **link = refused_find(fs, ino), *r = *link;
	int err = r ? r->err : 0;

	if (r)
		*link = r->next;
	free(r);
	return err;
}

/* Nobody answered, or could take it yet: it stays true. */
static bool unheard(int err)
{
	return err == -ETIMEDOUT || err == -EAGAIN;
}

static struct fs_kept *kept_find(struct flint_fs *fs, uint64_t ino)
{
	struct fs_kept *k;

	HASH_FIND(hh, fs->kept, &ino, sizeof(ino), k);
	return k;
}

/* Is the wait over? */
static bool wait_ends(const struct fs_kept *k, const struct flush_wait *w, int err, uint64_t now)
{
	/* Nobody has answered one EXTEND; who came later than that has time for the next one. */
	if (unheard(err))
		return now >= w->deadline_ns;
	return err || w->size <= k->told;
}

/* Those who waited for no more than is told go on; all, if it never will be. */
static void waits_end(struct fs_kept *k, int err)
{
	struct flush_wait **link = &k->waits, *w;
	uint64_t now = flint_now_ns();

	while ((w = *link)) {
		if (!wait_ends(k, w, err, now)) {
			link = &w->next;
			continue;
		}
		*link = w->next;
		if (err && w->flush->err)
			*w->flush->err = err;
		if (!--w->flush->left) {
			flint_loop_post(k->fs->loop, w->flush->task);
			free(w->flush);
		}
		free(w);
	}
}

static void kept_drop(struct fs_kept *k, int err)
{
	struct flint_fs *fs = k->fs;
	struct flint_lease_rec rec = k->recall;
	uint64_t ino = k->ino;

	waits_end(k, err ? err : -ESTALE);	/* without an error there is nobody left */
	flint_timer_cancel(fs->loop, &k->timer);
	HASH_DEL(fs->kept, k);
	cache_pin(fs->cache, ino, false);
	free(k);
	if (rec.kinds)
		cache_recall(fs->cache, ino, le32_to_cpu(rec.kinds), le64_to_cpu(rec.seq));
}

static void told(struct fs_op *op, int err)
{
	struct fs_kept *k = op->priv;
	struct flint_attr attr;

	k->open = false;
	fs_learn_grants(k->fs, op, err);
	err = fs_op_result(op, err);
	if (k->lost || k->fs->closing) {
		kept_drop(k, -ESTALE);
	} else if (unheard(err)) {
		waits_end(k, err);
		tell(k);
	} else if (err) {
		flint_warn("the size of inode %llu could not be told (%s): what was written beyond"
			   " %llu may be lost", (unsigned long long)k->ino, strerror(-err),
			   (unsigned long long)k->told);
		/* Cut meanwhile, it is as if it had been written before that. */
		if (op->rpc.status != FLINT_ST_STALE_EPOCH)
			refused_add(k->fs, k->ino, err);
		kept_drop(k, err);
	} else {
		k->told = le64_to_cpu(k->body.end);
		if (!flint_body_get(&attr, sizeof(attr), sizeof(attr), op->rpc.rep_body,
				    op->rpc.rep_len) && le64_to_cpu(attr.size) > k->told)
			k->told = le64_to_cpu(attr.size);
		waits_end(k, 0);
		if (k->told >= k->size)
			kept_drop(k, 0);
		else if (k->waits || k->recall.kinds)
			tell(k);
		else
			flint_timer_set(k->fs->loop, &k->timer, REPORT_MS);
	}
}

/* An EXTEND that is sent now ends no later than the first wait, so that this ends in time. */
static uint64_t tell_deadline(const struct fs_kept *k)
{
	uint64_t deadline = flint_now_ns() + k->fs->timeout_ms * 1000000ull;
	const struct flush_wait *w;

	for (w = k->waits; w; w = w->next)
		if (w->deadline_ns < deadline)
			deadline = w->deadline_ns;
	return deadline;
}

static void tell(struct fs_kept *k)
{
	struct flint_fs *fs = k->fs;

	if (k->open)
		return;
	flint_timer_cancel(fs->loop, &k->timer);
	k->open = true;
	fs->st_told++;
	k->body = (struct flint_extend){
		.ino = cpu_to_le64(k->ino), .gen = cpu_to_le32(k->gen),
		.trunc_epoch = cpu_to_le32(k->epoch), .end = cpu_to_le64(k->size) };
	k->op = (struct fs_op){
		.fs = fs, .mutating = true, .route = fs_route_meta, .done = told, .priv = k,
		.touches = k->ino,
		.deadline_ns = tell_deadline(k),
		.rpc = { .op = FLINT_OP_EXTEND, .body = &k->body, .body_len = sizeof(k->body) } };
	fs_op_start(&k->op);
}

static void on_timer(struct flint_timer *t)
{
	tell(t->arg);
}

static bool appended(const struct flint_fs *fs, uint64_t ino)
{
	const struct fs_append *a = fs->appends;

	while (a && a->ino != ino)
		a = a->next;
	return a != NULL;
}

bool fs_write_keep(struct flint_fs *fs, const struct flint_attr *attr, uint64_t end)
{
	uint64_t ino = le64_to_cpu(attr->ino);
	struct fs_kept *k = kept_find(fs, ino);
	struct timespec ts;

	if (!fs->cache || fs->closing || !fs_lease_trusted(fs) || fs->reclaiming ||
	    !(cache_kinds(fs->cache, ino) & FLINT_LEASE_WRITE) || *refused_find(fs, ino) ||
	    appended(fs, ino))
		return false;
	if (k && (k->recall.kinds || k->lost || k->epoch != le32_to_cpu(attr->trunc_epoch)))
		return false;
	if (!k) {
		k = calloc(1, sizeof(*k));
		if (!k)
			return false;
		k->fs = fs;
		k->ino = ino;
		k->gen = le32_to_cpu(attr->gen);
		k->epoch = le32_to_cpu(attr->trunc_epoch);
		k->timer = (struct flint_timer){ .fn = on_timer, .arg = k };
		HASH_ADD(hh, fs->kept, ino, sizeof(k->ino), k);
		cache_pin(fs->cache, ino, true);
		flint_timer_set(fs->loop, &k->timer, REPORT_MS);
	}
	if (end > k->size)
		k->size = end;
	clock_gettime(CLOCK_REALTIME, &ts);
	k->mtime = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	fs->st_kept++;
	return true;
}

void fs_write_overlay(struct flint_fs *fs, struct flint_attr *attr)
{
	struct fs_kept *k = fs->kept ? kept_find(fs, le64_to_cpu(attr->ino)) : NULL;

	if (!k || k->gen != le32_to_cpu(attr->gen) || k->epoch != le32_to_cpu(attr->trunc_epoch) ||
	    le64_to_cpu(attr->size) >= k->size)
		return;
	attr->size = cpu_to_le64(k->size);
	if (le64_to_cpu(attr->mtime) < k->mtime)
		attr->mtime = cpu_to_le64(k->mtime);
}

void fs_write_overlay_page(struct flint_fs *fs, uint8_t *buf, uint32_t len)
{
	const struct flint_attr *attr;
	struct flint_attr copy;
	struct flint_dirent d;
	const uint8_t *name;
	uint32_t pos = 0;

	while (fs->kept && flint_dirent_next(buf, len, &pos, &d, &attr, &name) > 0) {
		if (!attr)
			continue;
		memcpy(&copy, attr, sizeof(copy));
		fs_write_overlay(fs, &copy);
		memcpy(buf + ((const uint8_t *)attr - buf), &copy, sizeof(copy));
	}
}

static void wait_add(struct fs_kept *k, struct flush *f)
{
	struct flush_wait *w = calloc(1, sizeof(*w));

	if (!w)
		return;		/* told all the same, only nobody waits */
	w->flush = f;
	w->size = k->size;
	w->deadline_ns = flint_now_ns() + k->fs->timeout_ms * 1000000ull;
	w->next = k->waits;
	k->waits = w;
	f->left++;
}

bool fs_write_flush(struct flint_fs *fs, uint64_t ino, struct flint_task *task, int *err)
{
	struct fs_kept *k = fs->kept, *tmp;
	struct flush *f;

	if (!k || (ino && !kept_find(fs, ino)))
		return false;
	f = calloc(1, sizeof(*f));
	if (!f)
		return false;
	f->task = task;
	f->err = err;
	HASH_ITER(hh, fs->kept, k, tmp)
		if (!ino || k->ino == ino)
			wait_add(k, f);
	if (!f->left) {
		free(f);
		return false;
	}
	HASH_ITER(hh, fs->kept, k, tmp)
		if (!ino || k->ino == ino)
			tell(k);
	return true;
}

struct sync_wait {
	struct flint_task start, end;
	struct flint_fs *fs;
	uint64_t ino;
	struct fs_append *append;	/* begins; or NULL */
	struct fs_latch latch;
	int err;
};

static void sync_end(struct flint_task *t)
{
	struct sync_wait *w = (struct sync_wait *)((char *)t - offsetof(struct sync_wait, end));
	int err = fs_write_error(w->fs, w->ino);

	w->err = w->err ? w->err : err;
	fs_latch_open(&w->latch);
}

static void sync_start(struct flint_task *t)
{
	struct sync_wait *w = (struct sync_wait *)((char *)t - offsetof(struct sync_wait, start));

	if (w->append) {
		w->append->next = w->fs->appends;
		w->fs->appends = w->append;
	}
	if (!fs_write_flush(w->fs, w->ino, &w->end, &w->err))
		sync_end(&w->end);
}

static int file_sync(struct flint_file *f, struct fs_append *append)
{
	struct sync_wait w = { .start = { .fn = sync_start }, .end = { .fn = sync_end }, .fs = f->fs,
			       .ino = le64_to_cpu(f->attr.ino), .append = append };

	fs_latch_init(&w.latch);
	flint_loop_post(f->fs->loop, &w.start);
	fs_latch_wait(&w.latch);
	return w.err;
}

int flint_file_sync(struct flint_file *f)
{
	return file_sync(f, NULL);
}

int fs_write_append_begin(struct flint_file *f, struct fs_append *a)
{
	a->ino = le64_to_cpu(f->attr.ino);
	return file_sync(f, a);
}

struct append_end {
	struct flint_fs *fs;
	struct fs_append *append;
};

static void append_end(void *arg)
{
	struct append_end *e = arg;
	struct fs_append **link = &e->fs->appends;

	while (*link != e->append)
		link = &(*link)->next;
	*link = e->append->next;
}

void fs_write_append_end(struct flint_file *f, struct fs_append *a)
{
	struct append_end e = { .fs = f->fs, .append = a };

	fs_run_on_loop(f->fs, append_end, &e);
}

bool fs_write_recalled(struct flint_fs *fs, const struct flint_lease_rec *rec)
{
	struct fs_kept *k = fs->kept ? kept_find(fs, le64_to_cpu(rec->ino)) : NULL;

	if (!k)
		return false;
	fs_recall_add(&k->recall, rec);
	tell(k);
	return true;
}

void fs_write_new_leader(struct flint_fs *fs)
{
	struct fs_kept *k, *tmp;

	HASH_ITER(hh, fs->kept, k, tmp)
		k->recall = (struct flint_lease_rec){ 0 };
}

void fs_write_lost(struct flint_fs *fs)
{
	struct fs_kept *k, *tmp;

	HASH_ITER(hh, fs->kept, k, tmp) {
		k->lost = true;
		k->recall = (struct flint_lease_rec){ 0 };
		if (!k->open)
			kept_drop(k, -ESTALE);
	}
}

void fs_write_end(struct flint_fs *fs)
{
	struct fs_kept *k, *tmp;

	HASH_ITER(hh, fs->kept, k, tmp) {
		k->recall = (struct flint_lease_rec){ 0 };
		if (!k->open)
			kept_drop(k, -ESTALE);
	}
}

void fs_write_free(struct flint_fs *fs)
{
	struct fs_kept *k, *tmp;

	HASH_ITER(hh, fs->kept, k, tmp) {
		k->recall = (struct flint_lease_rec){ 0 };
		kept_drop(k, -ESTALE);
	}
	while (fs->refused)
		fs_write_error(fs, fs->refused->ino);
}
