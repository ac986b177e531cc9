// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-metad-store-bench DIR FILES [PER-DIRECTORY [CACHE-MIB [create|read]]]
 *
 * The metadata state alone, without log and network: commands applied per
 * second with the flusher behind them, look-ups from memory and from the
 * database, pages of a large directory, bytes on disk, time to open again, to
 * copy and to check.
 * "read" works on what an earlier run left. Rates are of the applying thread;
 * CPU is that thread's, and the whole process's beside it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "../../userd/meta/command.h"
#include "../../userd/meta/work.h"

#define ENTRY	64		/* commands in an entry of the log */
#define PAGE	(128u << 10)

struct bench {
	struct meta_store s;
	u64 index, ts, sid, seq, root, first_dir;
	u64 files, per_dir;
	u64 *entry_ns;
	u64 nr_entries;
};

static void die(struct bench *b, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, b->s.err);
	exit(1);
}

static u64 clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static u32 apply(struct bench *b, struct meta_command *c, struct meta_reply *rep)
{
	u8 cmd[1024];

	c->ts = b->ts += 1000;
	meta_command_encode(c, cmd);
	if (meta_apply(&b->s, cmd, meta_command_size(c), rep))
		die(b, "apply");
	return rep->status;
}

static u64 make(struct bench *b, u64 dir, u32 mode, const char *name)
{
	u32 len = strlen(name);
	u8 body[sizeof(struct flint_mknod) + 64];
	struct flint_mknod m = {
		.fixed_len = cpu_to_le32(sizeof(m)), .mode = cpu_to_le32(mode),
		.parent = cpu_to_le64(dir), .name_len = cpu_to_le32(len),
		.cred = { cpu_to_le32(1000), cpu_to_le32(1000) },
	};
	struct meta_command c = { .op = FLINT_OP_MKNOD, .sid = b->sid, .seq = ++b->seq,
				  .seq_low = b->seq > 64 ? b->seq - 64 : 1, .body = body,
				  .body_len = sizeof(m) + len };
	struct meta_reply rep;
	struct flint_attr a;

	memcpy(body, &m, sizeof(m));
	memcpy(body + sizeof(m), name, len);
	if (apply(b, &c, &rep)) {
		fprintf(stderr, "mknod %s: status %u\n", name, rep.status);
		exit(1);
	}
	memcpy(&a, rep.body, sizeof(a));
	return le64_to_cpu(a.ino);
}

static void open_store(struct bench *b, const char *dir, u64 cache)
{
	const struct meta_store_config cfg = { .dir = dir, .cache_bytes = cache };
	u64 t0 = clock_ns(CLOCK_MONOTONIC);
	char err[512];

	if (meta_store_open(&b->s, &cfg, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		exit(1);
	}
	b->index = b->s.index;
	b->ts = b->s.c.last_ts;
	printf("open           %8.3f s\n", (clock_ns(CLOCK_MONOTONIC) - t0) / 1e9);
}

/* The file system, or the one that is there already. */
static void found(struct bench *b)
{
	struct flint_fs_create f = {
		.fs = cpu_to_le32(1), .mode = cpu_to_le32(0777), .name = "fs",
		.layout = { .version = FLINT_PLACEMENT_V1, .chunk_shift = 20,
			    .stripe = cpu_to_le16(4), .table = cpu_to_le32(1),
			    .table_ver = cpu_to_le32(1) },
	};
	struct flint_session_open so = { .fixed_len = cpu_to_le32(sizeof(so)), .fs_name = "fs" };
	u8 client[16];
	struct meta_command c = { .op = FLINT_OP_FS_CREATE, .body = &f, .body_len = sizeof(f) };
	struct meta_command o = { .op = FLINT_OP_SESSION_OPEN, .body = &so,
				  .body_len = sizeof(so), .client = client };
	struct flint_session_rep sr;
	struct meta_reply rep;

	memset(client, 0, sizeof(client));
	memcpy(client, &b->s.c.next_session, 8);
	if (apply(b, &c, &rep) || apply(b, &o, &rep))
		die(b, "file system");
	memcpy(&sr, rep.body, sizeof(sr));
	b->sid = le64_to_cpu(sr.session_epoch);
	b->root = le64_to_cpu(sr.root.ino);
	meta_store_applied(&b->s, ++b->index, 1);
}

static int cmp_u64(const void *x, const void *y)
{
	u64 a = *(const u64 *)x, b = *(const u64 *)y;

	return a < b ? -1 : a > b;
}

static void report(const char *what, u64 n, u64 wall, u64 cpu, u64 all)
{
	printf("%-14s %10.0f /s  %6.2f us wall  %6.2f us CPU of the thread  %6.2f of the process\n",
	       what, n * 1e9 / wall, wall / 1e3 / n, cpu / 1e3 / n, all / 1e3 / n);
	fflush(stdout);
}

static void settle(struct bench *b, u64 *at, u64 *n)
{
	u64 t;

	meta_store_applied(&b->s, ++b->index, 1);
	if (b->index % 16 == 0)
		meta_store_tick(&b->s);
	if (meta_store_delay(&b->s)) {
		struct timespec ts = { .tv_nsec = meta_store_delay(&b->s) * 1000 };

		nanosleep(&ts, NULL);
	}
	t = clock_ns(CLOCK_MONOTONIC);
	b->entry_ns[b->nr_entries++] = t - *at;
	*at = t;
	(*n)++;
}

static void create(struct bench *b)
{
	u64 t0 = clock_ns(CLOCK_MONOTONIC), c0 = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	u64 p0 = clock_ns(CLOCK_PROCESS_CPUTIME_ID), at = t0, dir = 0, n, entries = 0;
	struct meta_store_stats st;
	char name[64];

	b->entry_ns = calloc(b->files / ENTRY + b->files / b->per_dir + 16, sizeof(u64));
	for (n = 0; n < b->files; n++) {
		if (n % b->per_dir == 0) {
			snprintf(name, sizeof(name), "d%09llu", (unsigned long long)(n / b->per_dir));
			dir = make(b, b->root, 0040755, name);
		}
		snprintf(name, sizeof(name), "file-%012llu.some.bin", (unsigned long long)n);
		make(b, dir, 0100644, name);
		if (n % ENTRY == ENTRY - 1)
			settle(b, &at, &entries);
	}
	report("create", n, clock_ns(CLOCK_MONOTONIC) - t0, clock_ns(CLOCK_THREAD_CPUTIME_ID) - c0,
	       clock_ns(CLOCK_PROCESS_CPUTIME_ID) - p0);
	if (meta_store_flush(&b->s))
		die(b, "flush");
	report("with flush", n, clock_ns(CLOCK_MONOTONIC) - t0,
	       clock_ns(CLOCK_THREAD_CPUTIME_ID) - c0, clock_ns(CLOCK_PROCESS_CPUTIME_ID) - p0);
	qsort(b->entry_ns, b->nr_entries, sizeof(u64), cmp_u64);
	if (b->nr_entries)
		printf("entries of %d   p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms\n", ENTRY,
		       b->entry_ns[b->nr_entries / 2] / 1e6,
		       b->entry_ns[b->nr_entries * 99 / 100] / 1e6,
		       b->entry_ns[b->nr_entries * 999 / 1000] / 1e6,
		       b->entry_ns[b->nr_entries - 1] / 1e6);
	meta_store_stats(&b->s, &st);
	printf("flusher        %llu generations, %.0f objects/s, %llu checkpoints, %.1f s of %.1f s, %llu waits\n",
	       (unsigned long long)st.flushes, st.flush_us ? st.flushed * 1e6 / st.flush_us : 0,
	       (unsigned long long)st.checkpoints, st.checkpoint_us / 1e6,
	       (st.flush_us + st.checkpoint_us) / 1e6, (unsigned long long)st.waits);
	printf("memory         %llu MiB in %llu objects, %llu evicted\n",
	       (unsigned long long)st.bytes >> 20, (unsigned long long)st.objects,
	       (unsigned long long)st.evictions);
	free(b->entry_ns);
}

static u64 dir_at(struct bench *b, u64 n)
{
	struct meta_inode i;
	char name[64];

	snprintf(name, sizeof(name), "d%09llu", (unsigned long long)n);
	if (meta_read_lookup(&b->s, 1, b->root, (u8 *)name, strlen(name), &i))
		die(b, name);
	return i.ino;
}

static void lookups(struct bench *b, const char *what, u64 nr, bool random)
{
	u64 t0, c0, p0, n, m0 = b->s.cache.misses, dirs = (b->files + b->per_dir - 1) / b->per_dir;
	u64 *dir = calloc(dirs, sizeof(*dir)), k;
	struct meta_inode i;
	unsigned int rng = 1;
	char name[64];

	for (n = 0; n < dirs; n++)
		dir[n] = dir_at(b, n);
	t0 = clock_ns(CLOCK_MONOTONIC);
	c0 = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	p0 = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (n = 0; n < nr; n++) {
		k = random ? ((u64)rand_r(&rng) << 20 ^ rand_r(&rng)) % b->files : n % b->files;
		snprintf(name, sizeof(name), "file-%012llu.some.bin", (unsigned long long)k);
		if (meta_read_lookup(&b->s, 1, dir[k / b->per_dir], (u8 *)name, 26, &i))
			die(b, name);
	}
	report(what, n, clock_ns(CLOCK_MONOTONIC) - t0, clock_ns(CLOCK_THREAD_CPUTIME_ID) - c0,
	       clock_ns(CLOCK_PROCESS_CPUTIME_ID) - p0);
	printf("               %.2f questions to the database each\n",
	       (double)(b->s.cache.misses - m0) / n);
	free(dir);
}

/* One page at a position of the first directory. Cookies are given from META_COOKIE_FIRST on. */
static void page(struct bench *b, u64 offset)
{
	struct flint_readdir req = { .ino = cpu_to_le64(dir_at(b, 0)),
				     .cookie = cpu_to_le64(META_COOKIE_FIRST + offset) };
	struct flint_readdir_rep rep;
	u8 *buf = malloc(PAGE);
	u64 best = UINT64_MAX, t, sum = 0;
	u32 used, i;

	for (i = 0; i < 20; i++) {
		t = clock_ns(CLOCK_MONOTONIC);
		if (meta_read_dir(&b->s, 1, 0, &req, buf, PAGE, &used, &rep))
			die(b, "readdir");
		t = clock_ns(CLOCK_MONOTONIC) - t;
		sum += t;
		if (t < best)
			best = t;
	}
	printf("readdir @%-8llu %u entries in %.1f us (best %.1f)\n", (unsigned long long)offset,
	       le32_to_cpu(rep.nr), sum / 20e3, best / 1e3);
	free(buf);
}

static void sizes(struct bench *b)
{
	struct meta_store_stats st;
	struct rusage ru;

	meta_store_stats(&b->s, &st);
	getrusage(RUSAGE_SELF, &ru);
	printf("on disk        %.1f bytes/file (%llu MiB, WAL %llu MiB); resident %ld MiB at most\n",
	       (double)st.file_bytes / b->files, (unsigned long long)st.file_bytes >> 20,
	       (unsigned long long)st.wal_bytes >> 20, ru.ru_maxrss >> 10);
}

/* What a replica that rebuilds itself takes, without the network. */
static void copies(struct bench *b, const char *dir)
{
	static struct meta_work w[3] = {
		{ .kind = META_W_COPY }, { .kind = META_W_ADMIT }, { .kind = META_W_VERIFY },
	};
	static const char *const what[] = { "copy", "admit", "verify" };
	u64 t;
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(w[i].src, sizeof(w[i].src), i == 1 ? "%s/copy" : "%s/" META_STORE_FILE, dir);
		snprintf(w[i].dst, sizeof(w[i].dst), "%s/copy", dir);
		t = clock_ns(CLOCK_MONOTONIC);
		if (meta_work_run(&w[i]) || w[i].verdict.problems) {
			fprintf(stderr, "%s: %s%s\n", what[i], w[i].why, w[i].verdict.text);
			exit(1);
		}
		t = clock_ns(CLOCK_MONOTONIC) - t;
		printf("%-14s %8.3f s, %.0f files/s\n", what[i], t / 1e9, b->files * 1e9 / t);
	}
	unlink(w[0].dst);
}

int main(int argc, char **argv)
{
	static struct bench b;
	u64 cache = 0, nr;
	bool only_read = argc > 5 && !strcmp(argv[5], "read");

	if (argc < 3) {
		fprintf(stderr, "use: %s DIR FILES [PER-DIRECTORY [CACHE-MIB [create|read]]]\n", argv[0]);
		return 2;
	}
	b.files = strtoull(argv[2], NULL, 0);
	b.per_dir = argc > 3 ? strtoull(argv[3], NULL, 0) : 1000;
	if (argc > 4)
		cache = strtoull(argv[4], NULL, 0) << 20;
	meta_sqlite_init();
	mkdir(argv[1], 0700);
	open_store(&b, argv[1], cache);
	found(&b);
	nr = b.files < 1000000 ? b.files : 1000000;
	if (!only_read) {
		create(&b);
		lookups(&b, "lookup", nr, true);
		page(&b, 0);
		page(&b, b.per_dir / 2);
		sizes(&b);
		meta_store_close(&b.s);
		open_store(&b, argv[1], cache);
		found(&b);
	}
	lookups(&b, "cold, in order", nr, false);
	lookups(&b, "cold, random", nr, true);
	lookups(&b, "again", nr, true);
	page(&b, 0);
	page(&b, b.per_dir / 2);
	sizes(&b);
	copies(&b, argv[1]);
	meta_store_close(&b.s);
	return 0;
}
