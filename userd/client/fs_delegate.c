// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Delegated creates: MKNOD in a directory that this session has made itself and
 * holds dir-write on is answered from here, and told to the server in batches
 * (DIR_CREATE). Documentation/leases.rst has the protocol; kmod/delegate.c is the
 * mount's side of the same.
 *
 *	QUEUED (d->queue) ---> SENT (d->sent) ---> told, or failed
 *
 * One batch is on its way at a time, in the order of creation, repeated under its
 * sequence until its outcome is known. It leaves a second after the oldest create,
 * when there are many, for a recall, and before anything else that is not answered
 * from memory: every other request of the session waits until what was made
 * before it is told (fs_delegate_before()), so that it sees it.
 *
 * Inode numbers are used in rising order and asked for anew when all that was made
 * with the ones before is told: so there are never more promises than a grant has
 * numbers.
 *
 * What is refused, or dies with the session, is gone from memory, and flint_fs_sync()
 * says so. Below a directory that failed everything fails.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <uthash.h>
#include "../../uapi/flintfs/placement.h"
#include "../base/log.h"
#include "fs_delegate.h"
#include "fs_lease.h"
#include "latch.h"

#define TELL_MS		1000		/* after the oldest create */
#define MANY		512		/* are told at once */
#define DIRS_MAX	16384
#define OFF_NS		60000000000ull	/* the server gives no numbers */
#define FOR_NUMBERS	UINT64_MAX	/* what is waited for */
#define DIR_KINDS	(FLINT_LEASE_READ | FLINT_LEASE_DIR | FLINT_LEASE_DIR_WRITE)

/**
 * struct own_dir - a directory of which all names are known here
 * @uid, @gid: who makes files in it without asking: their limits were looked at
 * @gid, @setgid, @layout, @project: what creates take from it
 * @promised: creates in it that are not told; the record stays for them
 * @err: it could not be made itself
 * @recall: given back when all is told; kinds 0: nothing
 */
struct own_dir {
	uint64_t ino;
	__le32 uid, gid, project;
	bool setgid;
	struct flint_layout layout;
	uint32_t promised;
	int err;
	struct flint_lease_rec recall;
	UT_hash_handle hh;
};

/* A create that was not told: its record as it is sent, which ends with name and target. */
struct promise {
	struct promise *next;
	uint64_t nr;			/* counts promises of the session, from 1 */
	struct own_dir *dir;
	struct flint_dir_rec rec;
	char names[];
};

struct promises {
	struct promise *head, **tail;
	uint32_t nr;
};

struct fs_delegate {
	struct flint_fs *fs;
	struct own_dir *dirs;
	struct promises queue, sent;
	uint64_t made, done;		/* promises: all, and those of which the outcome is known */
	uint64_t next, end;		/* inode numbers */
	uint64_t off_until;
	uint32_t recalled;		/* directories with promises whose lease is wanted back */
	uint32_t holds;			/* reasons for which nothing is promised now */
	struct fs_wait *waits;
	struct flint_timer timer;
	bool sending, asking, lost;
	int err;			/* the first that flint_fs_sync() has not said yet */
	struct fs_op op, ask_op;
	struct flint_dir_create body;
	struct flint_ino_grant ask_body;
	uint8_t buf[FLINT_DIR_BATCH_MAX];
};

static void tell(struct fs_delegate *d);
static void numbers_ask(struct fs_delegate *d);

/* ---- lists, and who waits ----------------------------------------------------- */

static void list_init(struct promises *l)
{
	l->head = NULL;
	l->tail = &l->head;
	l->nr = 0;
}

static void list_add(struct promises *l, struct promise *p)
{
	p->next = NULL;
	*l->tail = p;
	l->tail = &p->next;
	l->nr++;
}

static struct promise *list_take(struct promises *l)
{
	struct promise *p = l->head;

	l->head = p->next;
	if (!l->head)
		l->tail = &l->head;
	l->nr--;
	return p;
}

void fs_delegate_waited(struct flint_fs *fs, struct fs_wait *w)
{
	if (w->again)
		fs->delegate->holds--;
	w->again = false;
}

static void wait_add(struct fs_delegate *d, struct fs_wait *w, struct flint_task *task,
		     uint64_t nr, uint64_t deadline_ns)
{
	fs_delegate_waited(d->fs, w);
	*w = (struct fs_wait){ .task = task, .nr = nr, .deadline_ns = deadline_ns, .next = d->waits };
	d->waits = w;
}

/* Those who waited for no more than is known go on, and those whose time has passed. */
static void waits_check(struct fs_delegate *d)
{
	uint64_t now = flint_now_ns();
	struct fs_wait **link = &d->waits, *w;

	while ((w = *link)) {
		bool over = w->nr == FOR_NUMBERS ? !d->asking && d->made == d->done :
			    d->done >= w->nr;

		if (!over && now < w->deadline_ns && !d->fs->closing) {
			link = &w->next;
			continue;
		}
		*link = w->next;
		flint_loop_post(d->fs->loop, w->task);
	}
}

void fs_delegate_tick(struct flint_fs *fs)
{
	if (fs->delegate)
		waits_check(fs->delegate);
}

/* ---- directories --------------------------------------------------------------- */

static struct own_dir *dir_find(struct fs_delegate *d, uint64_t ino)
{
	struct own_dir *dir;

	HASH_FIND(hh, d->dirs, &ino, sizeof(ino), dir);
	return dir;
}

static void dir_drop(struct fs_delegate *d, struct own_dir *dir)
{
	HASH_DEL(d->dirs, dir);
	free(dir);
}

/* Records of leases that have gone without a word: given back for want of room, lost. */
static void dirs_sweep(struct fs_delegate *d)
{
	struct own_dir *dir, *tmp;

	HASH_ITER(hh, d->dirs, dir, tmp)
		if (!dir->promised && !(cache_kinds(d->fs->cache, dir->ino) & FLINT_LEASE_DIR_WRITE))
			dir_drop(d, dir);
}

/* Return: NULL: no memory, or too many; it is not delegated then. */
static struct own_dir *dir_add(struct fs_delegate *d, const struct flint_attr *a)
{
	struct own_dir *dir;

	if (HASH_COUNT(d->dirs) >= DIRS_MAX)
		dirs_sweep(d);
	dir = HASH_COUNT(d->dirs) < DIRS_MAX ? calloc(1, sizeof(*dir)) : NULL;
	if (!dir)
		return NULL;
	dir->ino = le64_to_cpu(a->ino);
	dir->uid = a->uid;
	dir->gid = a->gid;
	dir->project = a->project;
	dir->setgid = le32_to_cpu(a->mode) & S_ISGID;
	dir->layout = a->layout;
	HASH_ADD(hh, d->dirs, ino, sizeof(dir->ino), dir);
	return dir;
}

void fs_delegate_dir(struct flint_fs *fs, const struct flint_attr *a)
{
	uint64_t ino = le64_to_cpu(a->ino);

	if (!fs->delegate || !S_ISDIR(le32_to_cpu(a->mode)) ||
	    !(cache_kinds(fs->cache, ino) & FLINT_LEASE_DIR_WRITE) || dir_find(fs->delegate, ino))
		return;
	if (dir_add(fs->delegate, a))
		cache_complete(fs->cache, ino);
}

void fs_delegate_forget(struct flint_fs *fs, uint64_t ino)
{
	struct own_dir *dir = fs->delegate && ino ? dir_find(fs->delegate, ino) : NULL;

	if (dir && !dir->promised)
		dir_drop(fs->delegate, dir);
}

/* NULL is fine. */
static void dir_end(struct fs_delegate *d, struct own_dir *dir)
{
	if (!dir || dir->promised)
		return;
	cache_give(d->fs->cache, dir->ino, FLINT_LEASE_DIR_WRITE);
	dir_drop(d, dir);
}

void fs_delegate_end(struct flint_fs *fs, uint64_t ino)
{
	struct own_dir *dir, *tmp;

	if (!fs->delegate)
		return;
	if (ino) {
		dir_end(fs->delegate, dir_find(fs->delegate, ino));
		return;
	}
	HASH_ITER(hh, fs->delegate->dirs, dir, tmp)
		dir_end(fs->delegate, dir);
}

void fs_delegate_hold(struct flint_fs *fs)
{
	if (fs->delegate)
		fs->delegate->holds++;
}

void fs_delegate_go_on(struct flint_fs *fs)
{
	if (fs->delegate)
		fs->delegate->holds--;
}

/* ---- making one ------------------------------------------------------------------ */

static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static struct promise *promise_new(struct flint_fs *fs, struct own_dir *dir,
				   const struct flint_mknod *b)
{
	uint32_t nlen = le32_to_cpu(b->name_len), tlen = le32_to_cpu(b->target_len);
	uint32_t len = flint_dir_rec_len(nlen, tlen), mode = le32_to_cpu(b->mode);
	struct promise *p = calloc(1, offsetof(struct promise, rec) + len);

	if (!p)
		return NULL;
	p->dir = dir;
	p->rec = (struct flint_dir_rec){
		.rec_len = cpu_to_le16(len), .name_len = cpu_to_le16(nlen),
		.target_len = cpu_to_le16(tlen), .ino = cpu_to_le64(fs->delegate->next),
		.parent = cpu_to_le64(dir->ino), .time = cpu_to_le64(wall_ns()),
		.rdev_major = b->rdev_major, .rdev_minor = b->rdev_minor, .cred = b->cred,
	};
	if (dir->setgid) {
		p->rec.cred.gid = dir->gid;
		mode |= S_ISDIR(mode) ? S_ISGID : 0;
	}
	if (S_ISLNK(mode))
		mode = S_IFLNK | 0777;
	p->rec.mode = cpu_to_le32(mode);
	memcpy(p->names, b + 1, nlen + tlen);
	return p;
}

/* What the server will say of it. */
static void promise_attr(struct flint_fs *fs, const struct promise *p, struct flint_attr *a)
{
	const struct flint_dir_rec *r = &p->rec;
	uint64_t seed = le64_to_cpu(r->ino);
	bool dir = S_ISDIR(le32_to_cpu(r->mode));

	*a = (struct flint_attr){
		.ino = r->ino, .gen = cpu_to_le32(1), .mode = r->mode,
		.nlink = cpu_to_le32(dir ? 2 : 1), .uid = r->cred.uid, .gid = r->cred.gid,
		.flags = cpu_to_le32(FLINT_INO_NO_XATTR), .rdev_major = r->rdev_major,
		.rdev_minor = r->rdev_minor, .size = cpu_to_le64(le16_to_cpu(r->target_len)),
		.atime = r->time, .mtime = r->time, .ctime = r->time, .btime = r->time,
		.change = cpu_to_le64(1), .parent = dir ? r->parent : 0,
		.project = p->dir->project, .fs = cpu_to_le32(fs->fs_id), .layout = p->dir->layout,
	};
	a->layout.seed = cpu_to_le64(flint_splitmix64(&seed));
}

/* Other types need rights that the server knows. */
static bool plain(uint32_t mode, uint32_t target_len)
{
	return S_ISLNK(mode) ? target_len > 0 :
	       (S_ISREG(mode) || S_ISDIR(mode)) && !target_len;
}

static bool may_make(struct flint_fs *fs, const struct own_dir *dir, const struct flint_cred *cred)
{
	return cred->uid == dir->uid && (dir->setgid || cred->gid == dir->gid) &&
	       !fs->delegate->holds && !fs->delegate->lost && !fs->closing && !fs->reclaiming &&
	       fs->lease_epoch && !dir->recall.kinds && !dir->err && fs_lease_trusted(fs);
}

bool fs_delegate_numbers(struct flint_meta_req *req, struct fs_wait *w, uint64_t deadline_ns)
{
	struct fs_delegate *d = req->fs->delegate;
	uint64_t now = flint_now_ns();

	if (d->next != d->end || d->lost || now < d->off_until || now >= deadline_ns)
		return false;
	wait_add(d, w, &req->task, FOR_NUMBERS, deadline_ns);
	numbers_ask(d);
	return true;
}

enum fs_delegate_made fs_delegate_make(struct flint_meta_req *req, const struct flint_mknod *b,
				       struct fs_wait *w, uint64_t deadline_ns)
{
	struct flint_fs *fs = req->fs;
	struct fs_delegate *d = fs->delegate;
	struct own_dir *dir = d ? dir_find(d, req->ino) : NULL;
	const char *name = (const char *)(b + 1);
	uint64_t now = flint_now_ns();
	struct promise *p;

	if (!dir || !plain(req->mode, req->target_len) || now < d->off_until || now >= deadline_ns ||
	    !may_make(fs, dir, &b->cred) ||
	    !cache_may_promise(fs->cache, dir->ino, name, req->name_len))
		return FS_DELEGATE_ASK;
	if (fs_delegate_numbers(req, w, deadline_ns))
		return FS_DELEGATE_WAITS;
	p = promise_new(fs, dir, b);
	if (!p)
		return FS_DELEGATE_ASK;
	promise_attr(fs, p, &req->attr);
	if ((S_ISDIR(le32_to_cpu(req->attr.mode)) && !dir_add(d, &req->attr)) ||
	    cache_promise(fs->cache, dir->ino, name, req->name_len, &req->attr)) {
		fs_delegate_forget(fs, d->next);
		free(p);
		return FS_DELEGATE_ASK;
	}
	d->next++;
	p->nr = ++d->made;
	dir->promised++;
	list_add(&d->queue, p);
	fs->st_delegated++;
	if (d->queue.nr >= MANY)
		tell(d);
	else if (d->queue.nr == 1 && !d->sending)
		flint_timer_set(fs->loop, &d->timer, TELL_MS);
	return FS_DELEGATE_MADE;
}

/* ---- inode numbers ----------------------------------------------------------------- */

static void numbers_come(struct fs_op *op, int err)
{
	struct fs_delegate *d = op->priv;
	struct flint_ino_granted rep;
	uint64_t first, end;

	d->asking = false;
	err = fs_op_result(op, err);
	if (!err)
		err = flint_body_get(&rep, sizeof(rep), sizeof(rep), op->rpc.rep_body,
				     op->rpc.rep_len);
	first = err ? 0 : le64_to_cpu(rep.first);
	end = err ? 0 : le64_to_cpu(rep.end);
	if (!first || end <= first || end - first > FLINT_INO_GRANT_MAX) {
		d->off_until = flint_now_ns() + OFF_NS;
	} else {
		d->next = first;
		d->end = end;
	}
	waits_check(d);
}

/* A new grant takes the place of the one before: first all is told. */
static void numbers_ask(struct fs_delegate *d)
{
	struct flint_fs *fs = d->fs;

	if (d->asking || fs->closing)
		return;
	if (d->made != d->done) {
		tell(d);
		return;
	}
	d->asking = true;
	d->ask_body.nr = cpu_to_le32(FLINT_INO_GRANT_MAX);
	d->ask_op = (struct fs_op){
		.fs = fs, .mutating = true, .route = fs_route_meta, .done = numbers_come, .priv = d,
		.deadline_ns = flint_now_ns() + fs->timeout_ms * 1000000ull,
		.rpc = { .op = FLINT_OP_INO_GRANT, .body = &d->ask_body,
			 .body_len = sizeof(d->ask_body) } };
	fs_op_start(&d->ask_op);
}

/* ---- telling ------------------------------------------------------------------------- */

/* Its outcome is known. */
static void promise_end(struct fs_delegate *d, struct promise *p)
{
	struct own_dir *dir = p->dir;
	struct flint_lease_rec rec = dir->recall;
	uint64_t ino = dir->ino;

	d->done = p->nr;
	free(p);
	if (--dir->promised || (!rec.kinds && !dir->err))
		return;
	dir_drop(d, dir);
	d->recalled -= rec.kinds != 0;
	if (rec.kinds)
		cache_recall(d->fs->cache, ino, le32_to_cpu(rec.kinds), le64_to_cpu(rec.seq));
}

/* @seq: of the grant with the answer, 0: it is not leased. @now: the command's time. */
static void promise_told(struct fs_delegate *d, struct promise *p, uint64_t seq, uint64_t now)
{
	uint32_t kinds = S_ISDIR(le32_to_cpu(p->rec.mode)) ? DIR_KINDS : FLINT_LEASE_READ;

	cache_promise_told(d->fs->cache, p->dir->ino, le64_to_cpu(p->rec.ino), kinds, seq,
			   d->fs->reclaiming, le64_to_cpu(p->rec.time) > now);
	promise_end(d, p);
}

static void promise_fail(struct fs_delegate *d, struct promise *p, int err)
{
	uint32_t len = le16_to_cpu(p->rec.name_len);
	uint64_t ino = le64_to_cpu(p->rec.ino);
	struct own_dir *dir = dir_find(d, ino);

	if (!d->err)
		d->err = err;
	flint_warn_rl("\"%.*s\" was created here, but the metadata server did not take it (%s): it is lost",
		      (int)len, p->names, strerror(-err));
	cache_promise_failed(d->fs->cache, p->dir->ino, p->names, len, ino);
	if (dir)
		dir->err = err;
	fs_delegate_forget(d->fs, ino);
	promise_end(d, p);
}

static void all_fail(struct fs_delegate *d, struct promises *l, int err)
{
	while (l->head)
		promise_fail(d, list_take(l), err);
}

/* The answer to a batch whose request was executed. */
static void batch_take(struct fs_delegate *d, const struct fs_op *op, uint64_t seq)
{
	struct flint_dir_created rep;
	uint32_t nr, leased, i;

	if (flint_body_get(&rep, sizeof(rep), sizeof(rep), op->rpc.rep_body, op->rpc.rep_len)) {
		all_fail(d, &d->sent, -EPROTO);
		return;
	}
	nr = le32_to_cpu(rep.nr);
	leased = le32_to_cpu(rep.leased);
	if (nr > d->sent.nr || leased > nr || (nr < d->sent.nr && !rep.status)) {
		all_fail(d, &d->sent, -EPROTO);
		return;
	}
	for (i = 0; i < nr; i++) {
		struct promise *p = list_take(&d->sent);
		bool ours = S_ISDIR(le32_to_cpu(p->rec.mode)) ?
			    le32_to_cpu(rep.flags) & FLINT_DIR_CREATED_DIRS : i < leased;

		promise_told(d, p, ours ? seq : 0, le64_to_cpu(rep.time));
	}
	if (d->sent.head)
		promise_fail(d, list_take(&d->sent), flint_status_errno(le32_to_cpu(rep.status)));
}

/* What is still SENT goes before what is QUEUED. */
static void batch_back(struct fs_delegate *d)
{
	if (!d->sent.head)
		return;
	*d->sent.tail = d->queue.head;
	if (d->queue.head)
		d->sent.tail = d->queue.tail;
	d->sent.nr += d->queue.nr;
	d->queue = d->sent;
	list_init(&d->sent);
}

/* Does anybody wait for what is queued? */
static bool wanted(const struct fs_delegate *d)
{
	return d->waits || d->recalled || d->queue.nr >= MANY;
}

static void batch_done(struct fs_op *op, int err)
{
	struct fs_delegate *d = op->priv;
	struct flint_fs *fs = d->fs;
	uint64_t seq = fs_learn_grants(fs, op, err);

	d->sending = false;
	if (fs->closing)
		return;
	err = fs_op_result(op, err);
	if (err)
		all_fail(d, &d->sent, err);
	else
		batch_take(d, op, seq);
	batch_back(d);
	if (d->lost)
		all_fail(d, &d->queue, -ESTALE);
	waits_check(d);
	if (!d->queue.head)
		return;
	if (wanted(d))
		tell(d);
	else
		flint_timer_set(fs->loop, &d->timer, TELL_MS);
}

/* As much as fits into one request. Return: bytes. */
static uint32_t batch_fill(struct fs_delegate *d)
{
	uint32_t room = d->fs->max_io < sizeof(d->buf) ? d->fs->max_io : sizeof(d->buf), at = 0;

	while (d->queue.head) {
		struct promise *p = d->queue.head;
		uint32_t len = le16_to_cpu(p->rec.rec_len);

		if (p->dir->err) {
			/* Outcomes are counted in order: those before it come first. */
			if (d->sent.head)
				break;
			promise_fail(d, list_take(&d->queue), p->dir->err);
			continue;
		}
		if (len > room - at)
			break;
		memcpy(d->buf + at, &p->rec, len);
		at += len;
		list_add(&d->sent, list_take(&d->queue));
	}
	return at;
}

static void tell(struct fs_delegate *d)
{
	struct flint_fs *fs = d->fs;
	uint32_t len;

	if (d->sending || fs->closing)
		return;
	flint_timer_cancel(fs->loop, &d->timer);
	len = batch_fill(d);
	if (!len) {
		waits_check(d);		/* what was left has failed */
		return;
	}
	d->sending = true;
	fs->st_batches++;
	d->body.nr = cpu_to_le32(d->sent.nr);
	/* No deadline: who waits has one, and what was executed must not be made twice. */
	d->op = (struct fs_op){
		.fs = fs, .mutating = true, .route = fs_route_meta, .done = batch_done, .priv = d,
		.deadline_ns = UINT64_MAX, .more_lease = FLINT_LEASE_DIR_WRITE,
		.rpc = { .op = FLINT_OP_DIR_CREATE, .body = &d->body, .body_len = sizeof(d->body),
			 .out = d->buf, .out_len = len } };
	fs_op_start(&d->op);
}

static void on_timer(struct flint_timer *t)
{
	tell(t->arg);
}

bool fs_delegate_before(struct flint_fs *fs, struct fs_wait *w, struct flint_task *task,
			uint64_t deadline_ns)
{
	struct fs_delegate *d = fs->delegate;
	bool again = w->task == task && w->nr != FOR_NUMBERS;

	fs_delegate_waited(fs, w);
	if (!d || d->made == d->done || fs->closing || flint_now_ns() >= deadline_ns)
		return false;
	wait_add(d, w, task, d->made, deadline_ns);
	/* Others have made more meanwhile. So that it ends some time, they ask the server now. */
	w->again = again;
	d->holds += again;
	tell(d);
	return true;
}

/* ---- recalls, leaders, the session's end ---------------------------------------------- */

bool fs_delegate_recalled(struct flint_fs *fs, const struct flint_lease_rec *rec)
{
	struct fs_delegate *d = fs->delegate;
	struct own_dir *dir = d ? dir_find(d, le64_to_cpu(rec->ino)) : NULL;

	if (!dir || !(rec->kinds & cpu_to_le32(FLINT_LEASE_DIR_WRITE)))
		return false;
	if (!dir->promised) {
		dir_drop(d, dir);	/* never delegated again */
		return false;
	}
	d->recalled += !dir->recall.kinds;
	fs_recall_add(&dir->recall, rec);
	tell(d);
	return true;
}

void fs_delegate_new_leader(struct flint_fs *fs)
{
	struct own_dir *dir, *tmp;

	if (!fs->delegate)
		return;
	fs->delegate->recalled = 0;
	HASH_ITER(hh, fs->delegate->dirs, dir, tmp)
		dir->recall = (struct flint_lease_rec){ 0 };
}

void fs_delegate_lost(struct flint_fs *fs)
{
	struct fs_delegate *d = fs->delegate;

	if (!d)
		return;
	d->lost = true;
	fs_delegate_new_leader(fs);
	if (d->sending)
		return;		/* its answer will say the same */
	all_fail(d, &d->queue, -ESTALE);
	waits_check(d);
}

struct sync_wait {
	struct flint_task start, end;
	struct fs_wait wait;
	struct flint_fs *fs;
	uint64_t nr, deadline_ns;
	struct fs_latch latch;
	int err;
};

static void sync_end(struct flint_task *t)
{
	struct sync_wait *w = (struct sync_wait *)((char *)t - offsetof(struct sync_wait, end));
	struct fs_delegate *d = w->fs->delegate;

	w->err = d->done < w->nr ? -ETIMEDOUT : d->err;
	if (d->done >= w->nr)
		d->err = 0;
	fs_latch_open(&w->latch);
}

static void sync_start(struct flint_task *t)
{
	struct sync_wait *w = (struct sync_wait *)((char *)t - offsetof(struct sync_wait, start));

	w->nr = w->fs->delegate->made;
	if (!fs_delegate_before(w->fs, &w->wait, &w->end, w->deadline_ns))
		sync_end(&w->end);
}

int fs_delegate_sync(struct flint_fs *fs, uint32_t timeout_ms)
{
	struct sync_wait w = { .start = { .fn = sync_start }, .end = { .fn = sync_end }, .fs = fs,
			       .deadline_ns = flint_now_ns() + timeout_ms * 1000000ull };

	if (!fs->delegate)
		return 0;
	fs_latch_init(&w.latch);
	flint_loop_post(fs->loop, &w.start);
	fs_latch_wait(&w.latch);
	return w.err;
}

int flint_fs_sync(struct flint_fs *fs)
{
	return fs_delegate_sync(fs, fs->timeout_ms);
}

/* ---- life ---------------------------------------------------------------------------------- */

int fs_delegate_init(struct flint_fs *fs)
{
	struct fs_delegate *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->fs = fs;
	list_init(&d->queue);
	list_init(&d->sent);
	d->timer = (struct flint_timer){ .fn = on_timer, .arg = d };
	fs->delegate = d;
	return 0;
}

void fs_delegate_stop(struct flint_fs *fs)
{
	struct fs_delegate *d = fs->delegate;

	if (!d)
		return;
	flint_timer_cancel(fs->loop, &d->timer);
	flint_timer_cancel(fs->loop, &d->op.timer);
	flint_timer_cancel(fs->loop, &d->ask_op.timer);
	waits_check(d);
}

void fs_delegate_free(struct flint_fs *fs)
{
	struct fs_delegate *d = fs->delegate;
	struct own_dir *dir, *tmp;

	if (!d)
		return;
	batch_back(d);
	while (d->queue.head)
		free(list_take(&d->queue));
	HASH_ITER(hh, d->dirs, dir, tmp)
		dir_drop(d, dir);
	free(d);
	fs->delegate = NULL;
}
