// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What operators ask of a replica: a backup, a check of everything, the
 * checksum of its tables; and backups by schedule.
 *
 * One job at a time, on a thread of its own (work.h). It is about what this
 * replica has applied: what is not written yet is written first, so that a
 * backup holds every change that was answered before it was asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "backup.h"
#include "metad.h"
#include "../base/log.h"

#define RETRY_MS	60000		/* a scheduled backup that could not be made */
#define FLUSH_POLL_MS	20

/**
 * struct metad_jobs
 * @flush_index: the job waits until this is written
 * @rep: of the job that runs or ran last
 * @text: of that job, its findings
 * @by_schedule: it is not an operator's
 * @joined: the thread of @work has ended; on_done() is on its way
 * @held: the state's file is about to be replaced
 */
struct metad_jobs {
	struct metad *m;
	struct metad_jobs_config cfg;
	char dir[512];
	struct flint_timer schedule, flush;
	u64 flush_index;
	struct meta_work *work;
	struct meta_manifest manifest;
	struct flint_meta_job_rep rep;
	char *text;
	bool by_schedule, joined, held;
};

static bool running(const struct metad_jobs *j)
{
	return le32_to_cpu(j->rep.state) == FLINT_JOB_RUNNING;
}

static void text_set(struct metad_jobs *j, const char *text)
{
	free(j->text);
	j->text = strdup(text);
	j->rep.size = cpu_to_le64(j->text ? strlen(j->text) : 0);
}

/* ---- a job's life ------------------------------------------------------------ */

static void schedule_next(struct metad_jobs *j)
{
	struct meta_backup_info *list;
	u64 every = j->cfg.every_hours * 3600000ull, age = every;
	struct timespec now;
	int nr, i;
	u64 ns, newest = 0;

	if (!every)
		return;
	nr = meta_backup_list(j->dir, &list);
	for (i = 0; i < nr; i++)
		if (list[i].index && list[i].mtime_ns > newest)
			newest = list[i].mtime_ns;
	free(list);
	clock_gettime(CLOCK_REALTIME, &now);
	ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	if (newest && ns > newest)
		age = (ns - newest) / 1000000;
	flint_timer_set(j->m->loop, &j->schedule, age < every ? every - age : RETRY_MS);
}

static void finished(struct metad_jobs *j, int err, const char *why)
{
	bool backup = le32_to_cpu(j->rep.what) == FLINT_JOB_BACKUP;

	j->rep.state = cpu_to_le32(err ? FLINT_JOB_FAILED : FLINT_JOB_DONE);
	if (err)
		text_set(j, why);
	if (err && err != -ECANCELED)
		flint_err("%s failed: %s", backup ? "the backup" : "the check", why);
	else if (!err && backup)
		flint_info("backup %s: %llu bytes, log position %llu", (char *)j->rep.name,
			   (unsigned long long)le64_to_cpu(j->rep.size),
			   (unsigned long long)le64_to_cpu(j->rep.index));
	if (!backup || !j->by_schedule)
		return;
	j->by_schedule = false;
	if (!err)
		meta_backup_prune(j->dir, j->cfg.keep);
	if (j->cfg.every_hours && err)
		flint_timer_set(j->m->loop, &j->schedule, RETRY_MS);
	else
		schedule_next(j);
}

/* Its thread ends soon, and is waited for. */
static void work_end(struct metad_jobs *j)
{
	atomic_store(&j->work->cancel, true);
	if (!j->joined)
		meta_work_wait(j->work);
	j->joined = true;
}

static void on_done(struct meta_work *w)
{
	struct metad_jobs *j = w->arg;
	int err;

	if (!j->joined)
		meta_work_wait(w);
	j->joined = false;
	j->work = NULL;
	err = w->err;
	j->rep.done = cpu_to_le64(atomic_load(&w->step));
	j->rep.total = cpu_to_le64(atomic_load(&w->steps));
	j->rep.index = cpu_to_le64(w->verdict.index);
	j->rep.checksum = cpu_to_le64(w->verdict.checksum);
	if (!err && w->kind == META_W_COPY) {
		j->rep.size = cpu_to_le64(w->size);
		err = meta_backup_finish(j->dir, (char *)j->rep.name);
		if (err)
			snprintf(w->why, sizeof(w->why), "%.200s: %s", j->dir, strerror(-err));
	} else if (!err) {
		j->rep.findings = cpu_to_le64(w->verdict.problems);
		text_set(j, w->verdict.text);
		if (w->verdict.problems)
			flint_err("the metadata has %llu inconsistencies: see 'flint meta verify'",
				  (unsigned long long)w->verdict.problems);
	}
	finished(j, err, w->why);
	free(w);
}

/* Everything up to the job's index is in the file. */
static void begin(struct metad_jobs *j)
{
	struct metad *m = j->m;
	struct meta_work *w = calloc(1, sizeof(*w));
	int err = w ? 0 : -ENOMEM;

	if (w) {
		snprintf(w->src, sizeof(w->src), "%s", m->store.path);
		w->loop = m->loop;
		w->done = on_done;
		w->arg = j;
		w->kind = META_W_VERIFY;
	}
	if (w && le32_to_cpu(j->rep.what) == FLINT_JOB_BACKUP) {
		w->kind = META_W_COPY;
		w->rate = j->cfg.rate_mib << 20;
		memset(&j->manifest, 0, sizeof(j->manifest));
		j->manifest.group = j->cfg.group ? j->cfg.group(m) : 0;
		snprintf(j->manifest.node, sizeof(j->manifest.node), "%s", j->cfg.node);
		w->manifest = &j->manifest;
		snprintf(w->dst, sizeof(w->dst), "%.400s/%.64s" META_BACKUP_PART, j->dir,
			 (char *)j->rep.name);
	}
	if (!err)
		err = meta_work_start(w);
	if (err) {
		free(w);
		finished(j, err, "a thread cannot be started");
		return;
	}
	j->work = w;
}

static void on_flush(struct flint_timer *t)
{
	struct metad_jobs *j = t->arg;

	meta_store_freeze(&j->m->store);
	if (!j->held && j->m->store.durable >= j->flush_index)
		begin(j);
	else
		flint_timer_set(j->m->loop, &j->flush, FLUSH_POLL_MS);
}

/* 0, or an errno for the one who asks. */
static int start(struct metad_jobs *j, u32 what, const char *name)
{
	u64 index = j->m->store.index;

	if (running(j))
		return EBUSY;
	if (what == FLINT_JOB_BACKUP) {
		if (*name && (!meta_backup_name_ok(name) ||
			      strlen(name) <= strlen(META_BACKUP_SUFFIX) ||
			      strcmp(name + strlen(name) - strlen(META_BACKUP_SUFFIX),
				     META_BACKUP_SUFFIX)))
			return EINVAL;
		if (mkdir(j->dir, 0700) && errno != EEXIST)
			return errno;
		meta_backup_clean(j->dir);
	}
	memset(&j->rep, 0, sizeof(j->rep));
	text_set(j, "");
	j->rep.what = cpu_to_le32(what);
	j->rep.state = cpu_to_le32(FLINT_JOB_RUNNING);
	j->by_schedule = false;
	if (what == FLINT_JOB_CHECKSUM) {
		j->rep.index = cpu_to_le64(index);
		j->rep.checksum = cpu_to_le64(meta_store_checksum(&j->m->store));
		j->rep.state = cpu_to_le32(FLINT_JOB_DONE);
		return 0;
	}
	if (*name)
		memcpy(j->rep.name, name, strlen(name));
	else if (what == FLINT_JOB_BACKUP)
		meta_backup_name((char *)j->rep.name, index);
	j->flush_index = index;
	on_flush(&j->flush);
	return 0;
}

static void on_schedule(struct flint_timer *t)
{
	struct metad_jobs *j = t->arg;
	int err = start(j, FLINT_JOB_BACKUP, "");

	if (err) {
		if (err != EBUSY)
			flint_err_rl("no backup can be made in %s: %s", j->dir, strerror(err));
		flint_timer_set(j->m->loop, &j->schedule, RETRY_MS);
		return;
	}
	j->by_schedule = true;
}

/* ---- requests ----------------------------------------------------------------- */

struct job_call {
	struct flint_buf_waiter w;
	struct metad_jobs *j;
	struct flint_call *call;
	struct flint_meta_job b;
	char name[FLINT_LABEL_LEN];
};

static int fill_list(struct metad_jobs *j, u64 offset, u8 *buf, u32 len, u32 *used, u64 *size)
{
	struct meta_backup_info *list;
	int nr = meta_backup_list(j->dir, &list), i;
	char line[256];
	u64 at = 0;

	*used = 0;
	for (i = 0; i < nr; i++) {
		u32 n = snprintf(line, sizeof(line), "%llu %llu %llu %s\n",
				 (unsigned long long)list[i].size,
				 (unsigned long long)list[i].mtime_ns,
				 (unsigned long long)list[i].index, list[i].name);

		/* Whole lines only. */
		if (at >= offset && *used + n <= len) {
			memcpy(buf + *used, line, n);
			*used += n;
		}
		at += n;
	}
	free(list);
	*size = at;
	return nr < 0 ? nr : 0;
}

static int fill_read(struct metad_jobs *j, const char *name, u64 offset, u8 *buf, u32 len, u32 *used,
		     u64 *size)
{
	char path[640];
	struct stat st;
	ssize_t n;
	int fd;

	if (!meta_backup_name_ok(name) || offset > INT64_MAX)
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/%s", j->dir, name);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = fstat(fd, &st) ? -1 : pread(fd, buf, len, offset);
	*used = n < 0 ? 0 : n;
	*size = n < 0 ? 0 : st.st_size;
	close(fd);
	return n < 0 ? -EIO : 0;
}

static void job_payload(struct flint_buf_waiter *w, struct flint_buf *buf)
{
	struct job_call *jc = (struct job_call *)w;
	struct metad_jobs *j = jc->j;
	struct flint_meta_job_rep rep = j->rep;
	u32 len = metad_room(jc->call, buf, le32_to_cpu(jc->b.max_len)), used = 0;
	u64 offset = le64_to_cpu(jc->b.offset), size = 0;
	int err = 0;

	switch (le32_to_cpu(jc->b.op)) {
	case FLINT_JOB_LIST:
		err = fill_list(j, offset, buf->data, len, &used, &size);
		break;
	case FLINT_JOB_READ:
		err = fill_read(j, jc->name, offset, buf->data, len, &used, &size);
		break;
	default:
		size = j->text ? strlen(j->text) : 0;
		if (offset < size) {
			used = size - offset < len ? size - offset : len;
			memcpy(buf->data, j->text + offset, used);
		}
	}
	rep.size = cpu_to_le64(size);
	if (!used) {
		flint_buf_put(buf);
		buf = NULL;
	}
	flint_call_reply(jc->call, -err, err ? NULL : &rep, err ? 0 : sizeof(rep), buf, 0, used);
	free(jc);
}

static void job_status(struct metad_jobs *j, struct flint_call *call)
{
	struct meta_work *w = j->work;

	if (w) {
		j->rep.done = cpu_to_le64(atomic_load(&w->step));
		j->rep.total = cpu_to_le64(atomic_load(&w->steps));
	}
	flint_call_reply(call, FLINT_OK, &j->rep, sizeof(j->rep), NULL, 0, 0);
}

static void job_wait_buf(struct metad_jobs *j, struct flint_call *call,
			 const struct flint_meta_job *b, const char *name)
{
	struct job_call *jc = calloc(1, sizeof(*jc));

	if (!jc) {
		flint_call_reply(call, FLINT_ST_RETRY, NULL, 0, NULL, 0, 0);
		return;
	}
	jc->j = j;
	jc->call = call;
	jc->b = *b;
	memcpy(jc->name, name, sizeof(jc->name));
	jc->w.fn = job_payload;
	jc->w.loop = j->m->loop;
	flint_buf_wait(j->m->pool, &jc->w);
}

void metad_job(struct metad *m, struct flint_call *call)
{
	const struct flint_conn_info *info = flint_conn_info(call->conn);
	struct metad_jobs *j = m->jobs;
	struct flint_meta_job b;
	char name[FLINT_LABEL_LEN] = "";
	const u8 *tail;
	u32 len;
	int err = 0;

	if (info->token || (info->role != FLINT_ROLE_TOOL && info->role != FLINT_ROLE_MGR)) {
		flint_call_reply(call, FLINT_ST_AUTH, NULL, 0, NULL, 0, 0);
		return;
	}
	if (flint_body_get_var(&b, sizeof(b), sizeof(b), call->msg.body, call->msg.body_len, &tail,
			       &len) || le16_to_cpu(b.name_len) != len) {
		flint_conn_kill(call->conn, "malformed request for a job");
		flint_call_reply(call, FLINT_ST_BAD_REQUEST, NULL, 0, NULL, 0, 0);
		return;
	}
	if (len >= sizeof(name) || memchr(tail, 0, len)) {
		flint_call_reply(call, EINVAL, NULL, 0, NULL, 0, 0);
		return;
	}
	memcpy(name, tail, len);
	switch (le32_to_cpu(b.op)) {
	case FLINT_JOB_STATUS:
		break;
	case FLINT_JOB_BACKUP:
	case FLINT_JOB_VERIFY:
	case FLINT_JOB_CHECKSUM:
		err = start(j, le32_to_cpu(b.op), name);
		break;
	case FLINT_JOB_CANCEL:
		if (j->work)
			atomic_store(&j->work->cancel, true);
		break;
	case FLINT_JOB_LIST:
	case FLINT_JOB_READ:
	case FLINT_JOB_FINDINGS:
		job_wait_buf(j, call, &b, name);
		return;
	default:
		err = EINVAL;
	}
	if (err)
		flint_call_reply(call, err, NULL, 0, NULL, 0, 0);
	else
		job_status(j, call);
}

/* ---- start and stop -------------------------------------------------------------- */

struct metad_jobs *metad_jobs_new(struct metad *m, const struct metad_jobs_config *cfg)
{
	struct metad_jobs *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->m = m;
	j->cfg = *cfg;
	if (cfg->dir)
		snprintf(j->dir, sizeof(j->dir), "%s", cfg->dir);
	else
		snprintf(j->dir, sizeof(j->dir), "%.500s/backup", cfg->state);
	j->schedule.fn = on_schedule;
	j->schedule.arg = j;
	j->flush.fn = on_flush;
	j->flush.arg = j;
	meta_backup_clean(j->dir);
	schedule_next(j);
	return j;
}

void metad_jobs_free(struct metad_jobs *j)
{
	if (!j)
		return;
	flint_timer_cancel(j->m->loop, &j->schedule);
	flint_timer_cancel(j->m->loop, &j->flush);
	if (j->work) {
		work_end(j);
		if (j->work->kind == META_W_COPY && !j->work->err)
			unlink(j->work->dst);
		free(j->work);
	}
	free(j->text);
	free(j);
}

void metad_jobs_hold(void *arg, bool hold)
{
	struct metad *m = arg;
	struct metad_jobs *j = m->jobs;

	if (!j)
		return;
	j->held = hold;
	if (!hold || !j->work)
		return;
	flint_warn("the %s under way is given up: this replica gets the state of another one",
		   le32_to_cpu(j->rep.what) == FLINT_JOB_BACKUP ? "backup" : "check");
	work_end(j);
}
