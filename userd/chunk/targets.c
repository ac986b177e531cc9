// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opening, attaching and detaching targets, see targets.h.
 *
 * One change at a time. A request goes to the main loop, which owns the table of
 * targets; opening and formatting take seconds and have a thread; the target's
 * worker takes it in or lets it go; the main loop answers:
 *
 *	attach	main: path, number	thread: format, open	main: a place in the table
 *		worker: engine		main: the map, the managers, the answer
 *	detach	main: hidden		worker: recovery, forwards, requests and the
 *		store end, then the device goes	main: the answer
 */
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "targets.h"
#include "heal.h"
#include "../base/daemon.h"
#include "../base/key.h"
#include "../base/log.h"

#define LIST_FILE	"targets"
#define CTL_PATH	256u
#define POLL_MS		20u
#define POLL_MAX	1500u		/* 30 s until a target must have let go */

/* A target that could not be opened when the server started. */
struct failed {
	char *path, *why;
	struct failed *next;
};

struct chunkd_targets {
	struct flint_chunkd *d;
	const struct flint_conf_list *dirs;
	int dirfd;
	struct failed *failed;
	char *paths[FLINT_CHUNKD_TARGETS];	/* of each place in the table */
	bool attached[FLINT_CHUNKD_TARGETS];	/* not configured: remembered by us */
	bool known;				/* the cluster's id is */
	u8 cluster[16];
	struct ctl *busy;
};

/* A change under way. */
struct ctl {
	struct chunkd_targets *ts;
	struct flint_call *call;
	struct flint_target_ctl req;
	char path[CTL_PATH];
	u8 cluster[16];
	struct flint_store *st;
	struct chunkd_target *t;
	struct flint_task task;
	struct flint_timer timer;
	u32 polls;
	pthread_t thread;
	bool threaded;
	int error;
	char err[1024];
};

/* ---- what was attached is remembered -------------------------------------- */

/* One path a line; replaced as a whole. */
static void list_save(struct chunkd_targets *ts)
{
	int fd = openat(ts->dirfd, LIST_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	unsigned int i;
	int bad;

	if (!f) {
		flint_warn("the list of attached targets cannot be written: %s: they will be missing after a restart",
			   strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	for (i = 0; i < ts->d->nr_targets; i++)
		if (ts->attached[i] && !ts->d->targets[i].gone)
			fprintf(f, "%s\n", ts->paths[i]);
	bad = fflush(f) || fsync(fd);
	if (fclose(f) || bad || renameat(ts->dirfd, LIST_FILE ".new", ts->dirfd, LIST_FILE))
		flint_warn("the list of attached targets cannot be written: %s: they will be missing after a restart",
			   strerror(errno));
}

static FILE *list_open(int dirfd)
{
	int fd = openat(dirfd, LIST_FILE, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? NULL : fdopen(fd, "r");
}

/* ---- start ---------------------------------------------------------------- */

struct opening {
	char *path;
	bool attached, threaded;
	struct flint_store *st;
	char err[1024];
	pthread_t thread;
};

static void *open_main(void *arg)
{
	struct opening *o = arg;
	struct flint_dev *dev = flint_dev_open(o->path, 0, 0, o->err, sizeof(o->err));

	o->st = dev ? flint_store_open(dev, o->path, o->err, sizeof(o->err)) : NULL;
	return NULL;
}

static void failed_add(struct chunkd_targets *ts, const char *path, const char *why)
{
	struct failed *f = calloc(1, sizeof(*f));

	if (!f)
		return;
	f->path = strdup(path);
	f->why = strdup(why);
	f->next = ts->failed;
	ts->failed = f;
}

static void opened(struct chunkd_targets *ts, struct opening *o)
{
	struct flint_chunkd *d = ts->d;
	unsigned int i, n = d->nr_targets;
	char text[32];

	for (i = 0; i < n && o->st; i++) {
		if (d->targets[i].st->id != o->st->id)
			continue;
		snprintf(o->err, sizeof(o->err), "%s and %s are both target %u: a target id is unique in the cluster",
			 ts->paths[i], o->path, o->st->id);
		flint_store_close(o->st);
		o->st = NULL;
	}
	if (!o->st) {
		failed_add(ts, o->path, o->err);
		return;
	}
	d->targets[n].st = o->st;
	ts->paths[n] = strdup(o->path);
	ts->attached[n] = o->attached;
	d->nr_targets = n + 1;
	flint_info("%s: %u chunks, %s of index in memory%s", o->st->name, o->st->index.chunks.used,
		   flint_size_format(flint_store_memory(o->st), text, sizeof(text)),
		   o->st->dev->volatile_cache ? ", device cache is volatile: flushing" : "");
}

/* Paths to open: the configured ones, and those that were attached. */
static unsigned int openings(const struct flint_conf_list *paths, int dirfd, struct opening *o)
{
	FILE *f = list_open(dirfd);
	char line[PATH_MAX];
	unsigned int n, i;

	for (n = 0; n < paths->nr; n++)
		o[n].path = strdup(paths->items[n]);
	while (f && n < FLINT_CHUNKD_TARGETS && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		for (i = 0; i < n && strcmp(o[i].path, line); i++)
			;
		if (i < n || !*line)
			continue;
		o[n].attached = true;
		o[n++].path = strdup(line);
	}
	if (f)
		fclose(f);
	return n;
}

int chunkd_targets_open(struct flint_chunkd *d, const struct flint_conf_list *paths,
			const struct flint_conf_list *dirs, int dirfd, char *err, size_t errlen)
{
	struct chunkd_targets *ts = calloc(1, sizeof(*ts));
	struct opening *o = calloc(FLINT_CHUNKD_TARGETS, sizeof(*o));
	const struct failed *f;
	unsigned int n, i;
	int ret = 0;

	if (!ts || !o) {
		free(ts);
		free(o);
		return -ENOMEM;
	}
	ts->d = d;
	ts->dirs = dirs;
	ts->dirfd = dirfd;
	d->tctl = ts;
	n = openings(paths, dirfd, o);
	for (i = 0; i < n; i++)
		o[i].threaded = !pthread_create(&o[i].thread, NULL, open_main, &o[i]);
	for (i = 0; i < n; i++) {
		if (o[i].threaded)
			pthread_join(o[i].thread, NULL);
		else
			open_main(&o[i]);
		opened(ts, &o[i]);
		if (i == 0 && !o[0].st)
			snprintf(err, errlen, "%s", o[0].err);
		free(o[i].path);
	}
	if (n && !d->nr_targets && !dirs->nr)
		ret = -EINVAL;
	for (f = ts->failed; f; f = f->next)
		if (!ret || strcmp(f->why, err))	/* the caller says that one */
			flint_err("%s", f->why);
	free(o);
	return ret;
}

int chunkd_targets_deal(struct flint_chunkd *d)
{
	unsigned int i;

	for (i = 0; i < d->nr_targets; i++) {
		struct chunkd_worker *w = &d->workers[i % d->nr_workers];

		d->targets[i].worker = w;
		d->targets[i].beat.fn = chunkd_beat;
		w->targets[w->nr_targets++] = &d->targets[i];
		d->targets[i].heal = heal_new(&d->targets[i], d->tctl->dirfd);
		if (!d->targets[i].heal)
			return -ENOMEM;
	}
	return 0;
}

void chunkd_targets_free(struct flint_chunkd *d)
{
	struct chunkd_targets *ts = d->tctl;
	unsigned int i;

	if (!ts)
		return;
	if (ts->busy) {		/* its loop has stopped: nobody will answer */
		if (ts->busy->threaded)
			pthread_join(ts->busy->thread, NULL);
		if (ts->busy->st && !ts->busy->t)
			flint_store_close(ts->busy->st);
		free(ts->busy);
	}
	for (i = 0; i < FLINT_CHUNKD_TARGETS; i++) {
		if (d->targets[i].heal)
			heal_free(d->targets[i].heal);
		if (d->targets[i].st)
			flint_store_close(d->targets[i].st);
		free(ts->paths[i]);
	}
	while (ts->failed) {
		struct failed *f = ts->failed;

		ts->failed = f->next;
		free(f->path);
		free(f->why);
		free(f);
	}
	free(ts);
	d->tctl = NULL;
}

/* ---- the cluster ---------------------------------------------------------- */

bool chunkd_targets_known(const struct flint_chunkd *d)
{
	return d->tctl->known;
}

void chunkd_targets_bind(struct flint_chunkd *d, const struct flint_map *map)
{
	struct chunkd_targets *ts = d->tctl;
	bool first = !ts->known;
	char err[1024];
	unsigned int i;
	int ret;

	ts->known = true;
	memcpy(ts->cluster, map->hdr->cluster_id, sizeof(ts->cluster));
	for (i = 0; i < d->nr_targets; i++) {
		struct chunkd_target *t = &d->targets[i];

		if (t->gone || t->foreign || t->bound || t->st->offline)
			continue;
		ret = flint_store_bind(t->st, ts->cluster, err, sizeof(err));
		t->bound = !ret;
		if (!ret)
			continue;
		t->foreign = true;
		snprintf(t->st->why, sizeof(t->st->why), "%s", ret == -EXDEV ?
			 "belongs to another cluster" : "its superblock cannot be written");
		flint_err("%s; it is not served", err);
	}
	if (first && d->member)		/* until now they were not told of */
		flint_member_beat(d->member);
}

/* ---- answers -------------------------------------------------------------- */

static void answer(struct ctl *c, struct flint_buf *buf, u32 len, u32 nr)
{
	struct flint_target_ctl_rep rep = {
		.error = cpu_to_le32((u32)-c->error), .nr = cpu_to_le32(nr),
	};
	u32 room = chunkd_reply_room(c->call);

	if (le32_to_cpu(c->req.max_len) < room)
		room = le32_to_cpu(c->req.max_len);
	if (!buf && c->error) {
		buf = flint_buf_get(c->ts->d->small);
		len = (u32)strlen(c->err);
		if (buf)
			memcpy(buf->data, c->err, len);
	}
	if (len > room)
		len = c->error ? room : 0;
	if (buf && !len) {
		flint_buf_put(buf);
		buf = NULL;
	}
	flint_call_reply(c->call, FLINT_OK, &rep, sizeof(rep), buf, 0, buf ? len : 0);
}

/* One record. Return: its length, 0 if it does not fit. */
static u32 info_fill(u8 *p, u32 room, u32 id, const struct chunkd_target *t, const char *path,
		     const char *why)
{
	u32 plen = (u32)strlen(path), mlen = (u32)strlen(why);
	u32 len = (u32)(sizeof(struct flint_target_info) + plen + mlen + 7) & ~7u;
	struct flint_target_info *r = (void *)p;

	if (len > room)
		return 0;
	memset(p, 0, len);
	r->target = cpu_to_le32(id);
	r->rec_len = cpu_to_le16((u16)len);
	r->path_len = cpu_to_le16((u16)plen);
	r->msg_len = cpu_to_le16((u16)mlen);
	memcpy(p + sizeof(*r), path, plen);
	memcpy(p + sizeof(*r) + plen, why, mlen);
	if (!t) {
		r->flags = cpu_to_le32(FLINT_TINFO_OFFLINE);
		return len;
	}
	/* Counters of another thread: a reading that is a moment old does. */
	memcpy(r->uuid, t->st->uuid, sizeof(r->uuid));
	r->capacity = cpu_to_le64(flint_store_capacity(t->st));
	r->used = cpu_to_le64(flint_store_used(t->st));
	r->memory = cpu_to_le64(flint_store_memory(t->st));
	r->chunks = cpu_to_le32(t->st->index.chunks.used);
	r->io_errors = cpu_to_le32((u32)t->st->stats.io_errors);
	r->crc_shift = t->st->cs;
	r->block_shift = t->st->bs;
	r->flags = cpu_to_le32((t->st->dev->prewritten ? FLINT_TINFO_BLOCK : 0) |
			       (t->st->dev->volatile_cache ? FLINT_TINFO_VOLATILE : 0) |
			       (t->st->offline || atomic_load(&t->off) || t->foreign ?
				FLINT_TINFO_OFFLINE : 0));
	return len;
}

static const char *why_of(const struct chunkd_target *t)
{
	if (t->st->why[0])
		return t->st->why;
	return atomic_load(&t->off) ? "went offline, see the server's log; attach it again to bring it back" : "";
}

/* All targets, or one; @nr: how many fitted. Return: the buffer or NULL. */
static struct flint_buf *list_fill(struct ctl *c, u32 only, u32 *len, u32 *nr)
{
	struct chunkd_targets *ts = c->ts;
	struct flint_buf *buf = flint_buf_get(ts->d->small);
	const struct failed *f;
	unsigned int i;
	u32 n;

	*len = 0;
	*nr = 0;
	for (i = 0; i < ts->d->nr_targets && buf; i++) {
		const struct chunkd_target *t = &ts->d->targets[i];

		if (t->gone || (only && t->st->id != only))
			continue;
		n = info_fill(buf->data + *len, buf->size - *len, t->st->id, t, ts->paths[i],
			      why_of(t));
		*len += n;
		*nr += n != 0;
	}
	for (f = only ? NULL : ts->failed; f && buf; f = f->next) {
		n = info_fill(buf->data + *len, buf->size - *len, 0, NULL, f->path, f->why);
		*len += n;
		*nr += n != 0;
	}
	return buf;
}

/* Main loop. */
static void ctl_end(struct ctl *c)
{
	struct flint_buf *buf = NULL;
	u32 len = 0, nr = 0, op = le32_to_cpu(c->req.op);

	if (c->threaded)
		pthread_join(c->thread, NULL);
	if (c->error)
		flint_warn("targets: %s", c->err);
	else if (op != FLINT_TCTL_DETACH)
		buf = list_fill(c, op == FLINT_TCTL_LIST ? le32_to_cpu(c->req.target) :
				c->t->st->id, &len, &nr);
	answer(c, buf, len, nr);
	if (c->ts->busy == c)
		c->ts->busy = NULL;
	free(c);
}

static void ctl_fail(struct ctl *c, int error, const char *what)
{
	c->error = error;
	if (what)
		snprintf(c->err, sizeof(c->err), "%s", what);
	ctl_end(c);
}

static void ctl_post(struct ctl *c, struct flint_loop *loop, void (*fn)(struct flint_task *t))
{
	c->task.fn = fn;
	flint_loop_post(loop, &c->task);
}

static struct ctl *ctl_of(struct flint_task *t)
{
	return (void *)((u8 *)t - offsetof(struct ctl, task));
}

static struct flint_loop *main_loop(const struct ctl *c)
{
	return c->ts->d->workers[0].loop;
}

/* ---- attaching ------------------------------------------------------------ */

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return !strncmp(path, dir, n) && path[n] == '/' && path[n + 1];
}

/*
 * The path came over the network. As written it must lie below an allowed
 * directory; a file must also lie there when all links are followed (a device may
 * be named by a link, as in /dev/disk/by-id).
 */
static bool path_allowed(const struct chunkd_targets *ts, const char *path)
{
	char real[PATH_MAX + 2], dir[PATH_MAX], *slash;
	struct stat sb;
	unsigned int i;
	bool there;

	if (path[0] != '/' || strstr(path, "/../") || strstr(path, "/./") || strstr(path, "//") ||
	    strchr(path, '\n'))
		return false;
	for (i = 0; i < ts->dirs->nr && !below(path, ts->dirs->items[i]); i++)
		;
	if (i == ts->dirs->nr)
		return false;
	there = !stat(path, &sb);
	if (there && S_ISBLK(sb.st_mode))
		return true;
	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash[1] || !strcmp(slash, "/..") || !strcmp(slash, "/."))
		return false;
	if (!there)			/* to be made: its directory counts */
		*slash = 0;
	if (!realpath(dir, real))
		return false;
	if (!there)
		strcat(real, "/x");
	for (i = 0; i < ts->dirs->nr; i++)
		if (realpath(ts->dirs->items[i], dir) && below(real, dir))
			return true;
	return false;
}

static int ctl_format(struct ctl *c)
{
	struct flint_store_format f = { .id = le32_to_cpu(c->req.target) };
	bool force = le32_to_cpu(c->req.flags) & FLINT_TCTL_FORCE;
	struct flint_dev *dev;
	char msg[256] = "";
	int ret;

	f.size = le64_to_cpu(c->req.size);
	f.crc_shift = c->req.crc_shift;
	memcpy(f.cluster, c->cluster, sizeof(f.cluster));
	flint_uuid_make(f.uuid);
	dev = flint_dev_open(c->path, FLINT_DEV_CREATE, f.size, c->err, sizeof(c->err));
	if (!dev)
		return -errno;
	if (!f.size)
		f.size = dev->size;
	if (!force && flint_store_holds(dev)) {
		snprintf(c->err, sizeof(c->err), "%s: holds data: --force overwrites it, and all of it is lost",
			 c->path);
		ret = -EEXIST;
	} else {
		ret = flint_store_format(dev, &f, msg, sizeof(msg));
		if (ret)
			snprintf(c->err, sizeof(c->err), "%s: %s", c->path, msg);
	}
	dev->ops->close(dev);
	return ret;
}

static void attach_adopt(struct flint_task *task);

static void *attach_main(void *arg)
{
	struct ctl *c = arg;
	struct flint_dev *dev = NULL;

	if (le32_to_cpu(c->req.op) == FLINT_TCTL_FORMAT)
		c->error = ctl_format(c);
	if (!c->error) {
		dev = flint_dev_open(c->path, 0, 0, c->err, sizeof(c->err));
		c->st = dev ? flint_store_open(dev, c->path, c->err, sizeof(c->err)) : NULL;
		c->error = c->st ? 0 : -EINVAL;
	}
	ctl_post(c, main_loop(c), attach_adopt);
	return NULL;
}

/* Main loop: it serves; tell everybody. */
static void attach_done(struct flint_task *task)
{
	struct ctl *c = ctl_of(task);
	struct flint_chunkd *d = c->ts->d;
	struct flint_map_ref *map = d->cluster ? flint_cluster_map(d->cluster) : NULL;

	if (c->error) {		/* its place in the table is free again */
		heal_free(c->t->heal);
		memset(c->t, 0, sizeof(*c->t));
		c->t = NULL;
		flint_store_close(c->st);
		ctl_end(c);
		return;
	}
	d->nr_targets++;
	list_save(c->ts);
	if (map)
		chunkd_map_changed(d, &map->map);
	flint_map_put(map);
	if (d->member)
		flint_member_beat(d->member);
	flint_info("%s: attached: %u chunks", c->st->name, c->st->index.chunks.used);
	ctl_end(c);
}

/* Worker. */
static void attach_serve(struct flint_task *task)
{
	struct ctl *c = ctl_of(task);
	struct chunkd_worker *w = c->t->worker;
	struct iovec mem = { c->st->arena, c->st->arena_len };

	c->error = flint_engine_add(w->engine, c->st->dev, &mem);
	if (c->error) {
		snprintf(c->err, sizeof(c->err), "%s: io_uring takes no more files: %s", c->path,
			 strerror(-c->error));
	} else {
		chunkd_worker_take(w, c->t);
	}
	ctl_post(c, main_loop(c), attach_done);
}

/* Main loop: a place in the table, if nothing speaks against it. */
static void attach_adopt(struct flint_task *task)
{
	struct ctl *c = ctl_of(task);
	struct chunkd_targets *ts = c->ts;
	struct flint_chunkd *d = ts->d;
	unsigned int i, n = d->nr_targets;

	for (i = 0; i < n && !c->error; i++) {
		if (d->targets[i].gone || d->targets[i].st->id != c->st->id)
			continue;
		snprintf(c->err, sizeof(c->err), "%s and %s are both target %u: a target id is unique in the cluster",
			 ts->paths[i], c->path, c->st->id);
		c->error = -EEXIST;
	}
	if (!c->error && n == FLINT_CHUNKD_TARGETS) {
		snprintf(c->err, sizeof(c->err), "the server has had %u targets since it started and takes no more: restart it",
			 n);
		c->error = -ENOSPC;
	}
	if (!c->error && d->cluster && ts->known)
		c->error = flint_store_bind(c->st, ts->cluster, c->err, sizeof(c->err));
	if (c->error) {
		if (c->st)
			flint_store_close(c->st);
		c->st = NULL;
		ctl_end(c);
		return;
	}
	c->t = &d->targets[n];
	c->t->st = c->st;
	c->t->bound = ts->known;
	c->t->worker = &d->workers[n % d->nr_workers];
	c->t->beat.fn = chunkd_beat;
	c->t->heal = heal_new(c->t, ts->dirfd);
	free(ts->paths[n]);
	ts->paths[n] = strdup(c->path);
	ts->attached[n] = true;
	if (!c->t->heal)
		abort();	/* a few KiB: the machine is done for */
	ctl_post(c, c->t->worker->loop, attach_serve);
}

static void attach_begin(struct ctl *c)
{
	struct chunkd_targets *ts = c->ts;
	u32 op = le32_to_cpu(c->req.op);

	if (!ts->dirs->nr) {
		ctl_fail(c, -EPERM, "this server takes no targets while it runs: start flint-chunkd with --target-dir DIR, the directory of its disks");
		return;
	}
	if (!path_allowed(ts, c->path)) {
		snprintf(c->err, sizeof(c->err), "%s: is not below one of the directories that flint-chunkd was started with (--target-dir)",
			 c->path);
		ctl_fail(c, -EPERM, NULL);
		return;
	}
	if (op == FLINT_TCTL_FORMAT && !c->req.target) {
		ctl_fail(c, -EINVAL, "a target has a number, unique in the cluster");
		return;
	}
	memcpy(c->cluster, ts->cluster, sizeof(c->cluster));
	if (pthread_create(&c->thread, NULL, attach_main, c)) {
		ctl_fail(c, -EAGAIN, "no thread can be started");
		return;
	}
	c->threaded = true;
}

/* ---- detaching ------------------------------------------------------------ */

static void detach_done(struct flint_task *task)
{
	struct ctl *c = ctl_of(task);

	list_save(c->ts);
	if (!c->error)
		flint_info("%s: detached", c->t->st->name);
	ctl_end(c);
}

/* Worker, again and again: has everything let go? */
static void detach_poll(struct flint_timer *timer)
{
	struct ctl *c = timer->arg;
	struct chunkd_target *t = c->t;
	struct flint_store *st = t->st;
	bool idle = heal_stop(t->heal) && !t->queued;

	if (idle && !st->closing)
		flint_store_shutdown(st);
	if (idle && flint_store_idle(st)) {
		flint_engine_remove(t->worker->engine, st->dev, st->arena);
		chunkd_worker_drop(t->worker, t);
		flint_store_retire(st);
		ctl_post(c, main_loop(c), detach_done);
		return;
	}
	if (++c->polls == POLL_MAX) {
		snprintf(c->err, sizeof(c->err), "%s: is offline, but the disk still owes answers: pull it if it is dead; the device is free when flint-chunkd is restarted",
			 st->name);
		c->error = -EBUSY;
		ctl_post(c, main_loop(c), detach_done);
		return;
	}
	flint_engine_kick(t->worker->engine);
	flint_timer_set(t->worker->loop, &c->timer, POLL_MS);
}

static void detach_stop(struct flint_task *task)
{
	struct ctl *c = ctl_of(task);

	flint_fwd_stop(c->t);
	c->timer.fn = detach_poll;
	c->timer.arg = c;
	detach_poll(&c->timer);
}

static void detach_begin(struct ctl *c)
{
	struct flint_chunkd *d = c->ts->d;
	u32 id = le32_to_cpu(c->req.target);
	unsigned int i;

	for (i = 0; i < d->nr_targets; i++)
		if (!d->targets[i].gone && d->targets[i].st->id == id)
			break;
	if (i == d->nr_targets) {
		snprintf(c->err, sizeof(c->err), "this server has no target %u", id);
		ctl_fail(c, -ENOENT, NULL);
		return;
	}
	c->t = &d->targets[i];
	c->t->gone = true;
	atomic_store(&c->t->place, 0);
	if (d->member)
		flint_member_beat(d->member);
	ctl_post(c, c->t->worker->loop, detach_stop);
}

/* ---- requests -------------------------------------------------------------- */

static void ctl_begin(struct flint_task *task)
{
	struct ctl *c = ctl_of(task);

	if (le32_to_cpu(c->req.op) == FLINT_TCTL_LIST) {
		ctl_end(c);
		return;
	}
	if (c->ts->busy) {
		ctl_fail(c, -EBUSY, "another change of this server's targets is under way: try again in a moment");
		return;
	}
	c->ts->busy = c;
	if (le32_to_cpu(c->req.op) == FLINT_TCTL_DETACH)
		detach_begin(c);
	else
		attach_begin(c);
}

void chunkd_targets_request(struct flint_chunkd *d, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;
	struct flint_target_ctl req;
	const u8 *tail;
	struct ctl *c;
	u32 len, plen, op;

	if (role != FLINT_ROLE_MGR && role != FLINT_ROLE_TOOL) {
		flint_call_reply(call, FLINT_ST_AUTH, NULL, 0, NULL, 0, 0);
		return;
	}
	if (flint_body_get_var(&req, sizeof(req), sizeof(req), call->msg.body, call->msg.body_len,
			       &tail, &len))
		goto bad;
	plen = le16_to_cpu(req.path_len);
	op = le32_to_cpu(req.op);
	if (plen > len || plen >= CTL_PATH || op < FLINT_TCTL_LIST || op > FLINT_TCTL_FORMAT ||
	    memchr(tail, 0, plen) || call->msg.data_len ||
	    (req.crc_shift && (req.crc_shift < FLINT_CRC_SHIFT_MIN ||
			       req.crc_shift > FLINT_CRC_SHIFT_MAX)))
		goto bad;
	c = calloc(1, sizeof(*c));
	if (!c) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	c->ts = d->tctl;
	c->call = call;
	c->req = req;
	memcpy(c->path, tail, plen);
	ctl_post(c, main_loop(c), ctl_begin);
	return;
bad:
	flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
}
