// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-chaos-load: several clients read and write a shared set of files of a
 * running cluster and note what they did and saw (cells.h), for flint-chaos-judge.
 *
 * Every client is a session of its own and has its own threads; several of these
 * programs may run at once with different --first. Modes:
 *
 *	data	reads, writes of parts and of whole chunks, of ranges across chunks
 *	read	the same as data, without writes
 *	append	appends, and reads of what others appended
 *	cut	the same as data, with truncations, removals and creations between
 *
 * A call that timed out is no failure here: it is noted, and the judge treats its
 * outcome as unknown. Any other error is one (line "x").
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/client/fs.h"
#include "cells.h"
#include "../native/options.h"

#define FILES_MAX	64
#define LINE_MAX_LEN	16384
#define CLIENTS_MAX	64

struct options {
	char *mgr, *key, *fs, *history, *mode, *dir;
	uint64_t seed, clients, threads, first, seconds, timeout, files, chunks, cell, rate;
	bool rdma;
};

#define OFF(m) offsetof(struct options, m)
static const struct flint_conf_opt table[] = {
	TEST_OPT_CLUSTER(struct options),
	{ .key = "history", .type = FLINT_CONF_STR, .off = OFF(history), .arg = "DIR",
	  .flags = FLINT_CONF_REQUIRED, .help = "where the histories go" },
	TEST_OPT_FS(struct options),
	{ .key = "dir", .type = FLINT_CONF_STR, .off = OFF(dir), .def = "chaos", .arg = "NAME",
	  .help = "directory of the files" },
	{ .key = "mode", .type = FLINT_CONF_STR, .off = OFF(mode), .def = "data", .arg = "MODE",
	  .help = "data, read, append or cut" },
	TEST_OPT_SEED(struct options),
	{ .key = "clients", .type = FLINT_CONF_U64, .off = OFF(clients), .def = "3", .arg = "N",
	  .min = 1, .max = CLIENTS_MAX, .help = "sessions" },
	{ .key = "threads", .type = FLINT_CONF_U64, .off = OFF(threads), .def = "2", .arg = "N",
	  .min = 1, .max = 16, .help = "of each client" },
	{ .key = "first", .type = FLINT_CONF_U64, .off = OFF(first), .def = "1", .arg = "N",
	  .min = 1, .max = 60000, .help = "number of the first thread, in all histories" },
	{ .key = "seconds", .type = FLINT_CONF_U64, .off = OFF(seconds), .def = "10", .arg = "S",
	  .help = "how long" },
	{ .key = "timeout", .type = FLINT_CONF_U64, .off = OFF(timeout), .def = "60", .arg = "S",
	  .help = "of each call" },
	{ .key = "files", .type = FLINT_CONF_U64, .off = OFF(files), .def = "3", .arg = "N",
	  .min = 1, .max = FILES_MAX, .help = "shared files" },
	{ .key = "chunks", .type = FLINT_CONF_U64, .off = OFF(chunks), .def = "3", .arg = "N",
	  .min = 1, .max = 1024, .help = "chunks of each file" },
	{ .key = "cell", .type = FLINT_CONF_SIZE, .off = OFF(cell), .def = "4K", .arg = "BYTES",
	  .min = 64, .max = 65536, .help = "size of a cell, a power of two" },
	{ .key = "rate", .type = FLINT_CONF_U64, .off = OFF(rate), .def = "150", .arg = "N",
	  .min = 1, .help = "operations of a thread in a second, at most" },
	{ .key = "rdma", .type = FLINT_CONF_BOOL, .off = OFF(rdma),
	  .help = "speak RDMA to metadata and chunk servers" },
	{ 0 }
};
static const struct flint_conf_spec spec = {
	.prog = "flint-chaos-load", .opts = table,
	.doc = "Read and write a cluster's files from several clients and note what was seen.",
};

enum mode { MODE_DATA, MODE_READ, MODE_APPEND, MODE_CUT };

/**
 * struct load - one run
 * @end_ns: CLOCK_MONOTONIC
 * @dir: inode of the directory
 * @cells: of a chunk
 */
struct load {
	struct options o;
	enum mode mode;
	uint64_t end_ns, dir;
	uint32_t chunk, cells;
};

/* What one thread has open, and its history. */
struct worker {
	struct load *l;
	struct flint_fs *fs;
	pthread_t thread;
	uint32_t id, number;
	uint64_t rng;
	int out;
	struct flint_file *file[FILES_MAX];
	uint64_t ino[FILES_MAX];
	uint8_t *buf;
	uint64_t ops, failed, slowest_ns;
	bool bad;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static uint32_t below(struct worker *w, uint32_t n)
{
	return flint_rng_below(&w->rng, n);
}

/* ---- history ------------------------------------------------------------ */

static void note(struct worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put_line(struct worker *w, const char *line, size_t len)
{
	if (write(w->out, line, len) != (ssize_t)len) {
		fprintf(stderr, "flint-chaos-load: cannot write the history: %s\n", strerror(errno));
		_exit(1);
	}
}

static void note(struct worker *w, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put_line(w, line, n);
}

#define VAL "%u.%u"
#define VAL_ARG(v) (unsigned int)((v) >> 32), (unsigned int)(v)

/* Which writes a torn cell is made of, for people. */
static void note_torn(struct worker *w, uint32_t at, const uint8_t *cell)
{
	uint64_t v, last = 0;
	char text[256];
	int n = 0;
	uint32_t i;

	for (i = 0; i < w->l->o.cell / 8 && n < 200; i += 2) {
		memcpy(&v, cell + 8 * i, 8);
		if (!i || v != last)
			n += snprintf(text + n, sizeof(text) - n, " byte %u: " VAL, 8 * i,
				      VAL_ARG(v));
		last = v;
	}
	note(w, "x %u cell %u is torn:%s\n", w->id, at, text);
}

/* How many of the @left cells at @buf continue the first one. */
static uint32_t same_run(struct worker *w, const uint8_t *buf, uint32_t left, uint64_t value,
			 uint32_t place)
{
	uint32_t n, p;

	for (n = 1; n < left; n++)
		if (cell_read(buf + n * w->l->o.cell, w->l->o.cell, &p) != value ||
		    (value && value != CELL_TORN && p != place + n))
			break;
	return n;
}

static void note_read(struct worker *w, uint64_t ino, uint32_t at, const uint8_t *buf,
		      uint32_t count, uint64_t inv, uint64_t ret)
{
	static __thread char line[LINE_MAX_LEN];
	uint32_t c, n, place, cell = w->l->o.cell;
	int len = snprintf(line, sizeof(line), "r %u %llu %u %llu %llu", w->id,
			   (unsigned long long)ino, at, (unsigned long long)inv,
			   (unsigned long long)ret);
	uint64_t v;

	for (c = 0; c < count && len < LINE_MAX_LEN - 80; c += n) {
		v = cell_read(buf + c * cell, cell, &place);
		n = same_run(w, buf + c * cell, count - c, v, place);
		if (v == CELL_TORN)
			note_torn(w, at + c, buf + c * cell);
		len += v == CELL_TORN ? snprintf(line + len, sizeof(line) - len, " Tx%u", n) :
		       !v ? snprintf(line + len, sizeof(line) - len, " 0x%u", n) :
			    snprintf(line + len, sizeof(line) - len, " " VAL "+%ux%u", VAL_ARG(v),
				     place, n);
	}
	line[len++] = '\n';
	put_line(w, line, len);
}

/* ---- operations --------------------------------------------------------- */

/* Errors that a fault explains; what else goes wrong is wrong. */
static bool explained(ssize_t rc)
{
	return rc == -ETIMEDOUT || rc == -ENOTCONN;
}

static void ended(struct worker *w, uint64_t inv, ssize_t rc, const char *what)
{
	uint64_t t = now_ns() - inv;

	w->ops++;
	if (t > w->slowest_ns)
		w->slowest_ns = t;
	if (rc >= 0)
		return;
	w->failed++;
	if (!explained(rc)) {
		note(w, "x %u %s: %s\n", w->id, what, strerror((int)-rc));
		w->bad = true;
	}
}

static uint64_t new_value(struct worker *w)
{
	return (uint64_t)w->id << 32 | ++w->number;
}

static void op_read(struct worker *w, int i, uint32_t at, uint32_t count)
{
	uint32_t cell = w->l->o.cell, got;
	uint64_t inv = now_ns();
	ssize_t n = flint_file_pread(w->file[i], w->buf, (size_t)count * cell, (uint64_t)at * cell);
	uint64_t ret = now_ns();

	ended(w, inv, n, "read");
	if (n < 0) {
		note(w, "f %u %llu %u %llu %d\n", w->id, (unsigned long long)w->ino[i], at,
		     (unsigned long long)inv, (int)-n);
		return;
	}
	/*
	 * A write that grows a file is data first and size after that; whoever reads
	 * meanwhile sees it up to the old size. That makes two reads of it.
	 */
	memset(w->buf + n, 0, (size_t)count * cell - n);
	got = (n + cell - 1) / cell;
	if (got)
		note_read(w, w->ino[i], at, w->buf, got, inv, ret);
	if (got < count)
		note_read(w, w->ino[i], at + got, w->buf + got * cell, count - got, inv, ret);
}

static void fill(struct worker *w, uint64_t value, uint32_t count)
{
	uint32_t c;

	for (c = 0; c < count; c++)
		cell_make(w->buf + c * w->l->o.cell, w->l->o.cell, value, c);
}

/* The outcome of a write, an append (at @place) or a truncation. */
static void note_end(struct worker *w, uint64_t value, ssize_t rc, const uint64_t *place)
{
	if (rc < 0)
		note(w, "e " VAL " %d\n", VAL_ARG(value), (int)-rc);
	else if (place)
		note(w, "p " VAL " %llu %llu\n", VAL_ARG(value), (unsigned long long)now_ns(),
		     (unsigned long long)(*place / w->l->o.cell));
	else
		note(w, "k " VAL " %llu\n", VAL_ARG(value), (unsigned long long)now_ns());
}

static void op_write(struct worker *w, int i, uint32_t at, uint32_t count)
{
	uint64_t value = new_value(w), inv, cell = w->l->o.cell;
	ssize_t n;

	fill(w, value, count);
	inv = now_ns();
	note(w, "w " VAL " %llu %u %u %llu\n", VAL_ARG(value), (unsigned long long)w->ino[i], at,
	     count, (unsigned long long)inv);
	n = flint_file_pwrite(w->file[i], w->buf, count * cell, at * cell);
	note_end(w, value, n, NULL);
	ended(w, inv, n, "write");
}

static void op_append(struct worker *w, int i, uint32_t count)
{
	uint64_t value = new_value(w), inv, place = 0, cell = w->l->o.cell;
	ssize_t n;

	fill(w, value, count);
	inv = now_ns();
	note(w, "a " VAL " %llu %u %llu\n", VAL_ARG(value), (unsigned long long)w->ino[i], count,
	     (unsigned long long)inv);
	n = flint_file_append(w->file[i], w->buf, count * cell, &place);
	if (n >= 0 && place % cell) {
		note(w, "x %u an append of whole cells stands at byte %llu\n", w->id,
		     (unsigned long long)place);
		w->bad = true;
	}
	note_end(w, value, n, &place);
	ended(w, inv, n, "append");
}

static void op_cut(struct worker *w, int i, uint32_t at)
{
	uint64_t value = new_value(w), inv = now_ns();
	int rc;

	note(w, "z " VAL " %llu %u %llu\n", VAL_ARG(value), (unsigned long long)w->ino[i], at,
	     (unsigned long long)inv);
	rc = flint_file_truncate(w->file[i], (uint64_t)at * w->l->o.cell);
	note_end(w, value, rc, NULL);
	ended(w, inv, rc, "truncate");
}

static void op_close(struct worker *w, int i)
{
	uint64_t inv = now_ns();

	if (w->file[i])
		ended(w, inv, flint_file_close(w->file[i]), "close");
	w->file[i] = NULL;
}

static bool op_open(struct worker *w, int i)
{
	uint64_t full = w->l->o.chunks * w->l->chunk, inv = now_ns();
	struct flint_attr a;
	char name[16];
	int rc;

	if (w->file[i])
		return true;
	snprintf(name, sizeof(name), "f%d", i);
	rc = flint_fs_open_file(w->fs, w->l->dir, name, FLINT_OPEN_CREATE | FLINT_OPEN_READ |
				FLINT_OPEN_WRITE, 0644, &w->file[i]);
	ended(w, inv, rc, "open");
	if (rc) {
		w->file[i] = NULL;
		return false;
	}
	flint_file_attr(w->file[i], &a);
	w->ino[i] = le64_to_cpu(a.ino);
	/* At its full size from the beginning: no write grows it, each is one change. */
	if (w->l->mode <= MODE_READ && le64_to_cpu(a.size) < full) {
		inv = now_ns();
		ended(w, inv, flint_file_truncate(w->file[i], full), "truncate");
	}
	return true;
}

static void op_unlink(struct worker *w, int i)
{
	uint64_t inv = now_ns();
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "f%d", i);
	rc = flint_fs_unlink(w->fs, w->l->dir, name);
	ended(w, inv, rc == -ENOENT ? 0 : rc, "unlink");	/* somebody else was faster */
}

/* A name that nobody else has: every answer is known beforehand. */
static void op_own_name(struct worker *w)
{
	struct flint_file *f;
	char name[32];
	uint64_t inv = now_ns();
	int rc;

	snprintf(name, sizeof(name), "own-%u-%u", w->id, ++w->number);
	rc = flint_fs_open_file(w->fs, w->l->dir, name, FLINT_OPEN_CREATE | FLINT_OPEN_EXCL |
				FLINT_OPEN_WRITE, 0600, &f);
	ended(w, inv, rc, "exclusive creation of a new name");
	if (rc)
		return;
	inv = now_ns();
	rc = flint_fs_unlink(w->fs, w->l->dir, name);
	ended(w, inv, rc, "removal of a name of my own");
	inv = now_ns();
	ended(w, inv, flint_file_close(f), "close");
}

static void step_data(struct worker *w, int i)
{
	uint32_t cells = w->l->cells, all = cells * w->l->o.chunks;
	uint32_t dice = below(w, w->l->mode == MODE_READ ? 52 : 100);
	uint32_t chunk = below(w, w->l->o.chunks) * cells, at, n;

	n = 1 + below(w, cells < 8 ? cells : 8);
	at = chunk + below(w, cells - n + 1);
	if (dice < 40)
		op_read(w, i, at, n);
	else if (dice < 52)
		op_read(w, i, chunk, cells);
	else if (dice < 82)
		op_write(w, i, at, n);
	else if (dice < 92)
		op_write(w, i, chunk, cells);
	else if (dice < 96)
		op_write(w, i, below(w, all - n + 1), n);	/* may cross a border */
	else
		op_read(w, i, below(w, all - n + 1), n);
}

static void step_append(struct worker *w, int i)
{
	struct flint_attr a;
	uint32_t end, n = 1 + below(w, 6);

	flint_file_attr(w->file[i], &a);
	end = le64_to_cpu(a.size) / w->l->o.cell;
	if (below(w, 100) < 50) {
		op_append(w, i, n);
		return;
	}
	if (end < n || below(w, 2))
		op_read(w, i, end > 4 ? end - 4 : 0, 8);	/* around the end */
	else
		op_read(w, i, below(w, end - n + 1), n);
}

static void step_cut(struct worker *w, int i)
{
	uint32_t dice = below(w, 200);

	if (dice < 4)
		op_cut(w, i, below(w, w->l->cells * w->l->o.chunks));
	else if (dice < 6)
		op_unlink(w, i);
	else if (dice < 10)
		op_close(w, i);
	else if (dice < 16)
		op_own_name(w);
	else
		step_data(w, i);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	uint64_t pace = 1000000000ull / w->l->o.rate, next = now_ns();
	struct timespec ts;
	int i;

	while (now_ns() < w->l->end_ns) {
		i = (int)below(w, w->l->o.files);
		if (op_open(w, i)) {
			if (w->l->mode <= MODE_READ)
				step_data(w, i);
			else if (w->l->mode == MODE_APPEND)
				step_append(w, i);
			else
				step_cut(w, i);
		}
		next += pace / 2 + below(w, pace);
		if (next < now_ns())
			next = now_ns();
		ts = (struct timespec){ next / 1000000000, next % 1000000000 };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
	return NULL;
}

/* At the end one read of everything: what was acknowledged is there. */
static void worker_last(struct worker *w)
{
	struct flint_attr a;
	uint32_t cells = w->l->cells, at, end, i;

	for (i = 0; i < w->l->o.files; i++) {
		if (!op_open(w, i))
			continue;
		if (flint_fs_getattr(w->fs, w->ino[i], &a))
			continue;
		end = le64_to_cpu(a.size) / w->l->o.cell;
		for (at = 0; at < end; at += cells)
			op_read(w, i, at, cells);
	}
}

/* ---- main --------------------------------------------------------------- */

static bool worker_init(struct worker *w, struct load *l, struct flint_fs *fs, uint32_t id)
{
	char path[4096];

	*w = (struct worker){ .l = l, .fs = fs, .id = id };
	w->rng = l->o.seed * 1000003 + id;
	snprintf(path, sizeof(path), "%s/%u.history", l->o.history, id);
	w->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	w->buf = malloc((size_t)l->chunk + 64 * l->o.cell);
	if (w->out < 0 || !w->buf) {
		fprintf(stderr, "flint-chaos-load: cannot write %s: %s\n", path, strerror(errno));
		return false;
	}
	note(w, "h %u %u %u\n", (unsigned int)l->o.cell, l->cells, l->mode == MODE_CUT ? 1 : l->cells);
	return true;
}

static void worker_end(struct worker *w)
{
	uint32_t i;

	for (i = 0; i < w->l->o.files; i++)
		if (w->file[i])
			flint_file_close(w->file[i]);
	close(w->out);
	free(w->buf);
}

static struct flint_fs *open_fs(const struct options *o, int i)
{
	uint8_t key[FLINT_KEY_LEN];
	char err[256], name[32];
	struct flint_fs_config cfg = {
		.mgrs = o->mgr, .fs_name = o->fs, .key = key, .name = name,
		.timeout_ms = o->timeout * 1000,
		.proto = o->rdma ? FLINT_PROTO_RDMA : FLINT_PROTO_TCP,
	};
	struct flint_fs *fs;

	snprintf(name, sizeof(name), "client%llu", (unsigned long long)(o->first + i * o->threads));
	if (flint_key_load(o->key, key, err, sizeof(err))) {
		fprintf(stderr, "flint-chaos-load: %s\n", err);
		return NULL;
	}
	fs = flint_fs_open(&cfg, err, sizeof(err));
	if (!fs)
		fprintf(stderr, "flint-chaos-load: %s\n", err);
	return fs;
}

/* The directory, and how large a chunk is. */
static bool load_init(struct load *l, struct flint_fs *fs)
{
	const struct flint_attr *root = flint_fs_root(fs);
	struct flint_attr a;
	int rc = flint_fs_mkdir(fs, le64_to_cpu(root->ino), l->o.dir, 0755, &a);

	if (rc == -EEXIST)
		rc = flint_fs_lookup(fs, le64_to_cpu(root->ino), l->o.dir, &a);
	if (rc) {
		fprintf(stderr, "flint-chaos-load: cannot make /%s: %s\n", l->o.dir, strerror(-rc));
		return false;
	}
	l->dir = le64_to_cpu(a.ino);
	l->chunk = 1u << a.layout.chunk_shift;
	l->cells = l->chunk / l->o.cell;
	l->mode = !strcmp(l->o.mode, "append") ? MODE_APPEND :
		  !strcmp(l->o.mode, "cut") ? MODE_CUT :
		  !strcmp(l->o.mode, "read") ? MODE_READ : MODE_DATA;
	if (l->chunk % l->o.cell || l->o.cell % 16 || !l->cells) {
		fprintf(stderr, "flint-chaos-load: a cell must be a part of a chunk (%u bytes)\n",
			l->chunk);
		return false;
	}
	return true;
}

static int report(const struct worker *w, uint32_t nr)
{
	uint64_t ops = 0, failed = 0, slowest = 0;
	bool bad = false;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		ops += w[i].ops;
		failed += w[i].failed;
		bad |= w[i].bad;
		slowest = w[i].slowest_ns > slowest ? w[i].slowest_ns : slowest;
	}
	printf("%llu operations, %llu failed, the slowest took %.1f s%s\n",
	       (unsigned long long)ops, (unsigned long long)failed, (double)slowest / 1e9,
	       bad ? "; unexpected answers" : "");
	return bad;
}

int main(int argc, char **argv)
{
	struct flint_fs *fs[CLIENTS_MAX] = { NULL };
	struct load l = { 0 };
	struct worker *w;
	uint32_t i, nr;
	bool verbose;
	int rc;

	flint_conf_parse_or_exit(&spec, argc, argv, &l.o, &verbose);
	flint_log_init("chaos-load", verbose ? FLINT_LOG_DEBUG : FLINT_LOG_WARN);
	for (i = 0; i < l.o.clients; i++) {
		fs[i] = open_fs(&l.o, i);
		if (!fs[i])
			return 1;
	}
	nr = l.o.clients * l.o.threads;
	w = calloc(nr, sizeof(*w));
	if (!w || !load_init(&l, fs[0]))
		return 1;
	l.end_ns = now_ns() + l.o.seconds * 1000000000ull;
	for (i = 0; i < nr; i++)
		if (!worker_init(&w[i], &l, fs[i / l.o.threads], l.o.first + i))
			return 1;
	for (i = 0; i < nr; i++)
		pthread_create(&w[i].thread, NULL, worker_run, &w[i]);
	for (i = 0; i < nr; i++)
		pthread_join(w[i].thread, NULL);
	worker_last(&w[0]);
	rc = report(w, nr);
	for (i = 0; i < nr; i++)
		worker_end(&w[i]);
	for (i = 0; i < l.o.clients; i++)
		flint_fs_close(fs[i]);
	free(w);
	flint_conf_free(&spec, &l.o);
	return rc;
}
