// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two mounts of one file system, one file: what is written through one, by
 * write(), O_DIRECT, a shared map or an append, is what is read through the
 * other, whichever of these reads it.
 *
 *	coherence turns DIR-OF-ONE DIR-OF-THE-OTHER STEPS SEED
 *		one operation after the other, against a reference in memory
 *	coherence attrs DIR-OF-ONE DIR-OF-THE-OTHER STEPS SEED
 *		likewise, each step as who unpacks an archive: writes, times, owner, mode;
 *		both see mode and times as they were set, and a ctime that never goes back
 *	coherence maps DIR-OF-ONE DIR-OF-THE-OTHER STEPS SEED
 *		one has the file mapped all the time, and stores to the same pages that
 *		it writes to in other ways; the other looks, at once after msync(), and
 *		for a while without
 *	coherence both DIR-OF-ONE DIR-OF-THE-OTHER STEPS SEED
 *		two processes at once, each on blocks of its own
 *	coherence append DIR-OF-ONE DIR-OF-THE-OTHER RECORDS SEED
 *		two processes append; no record is lost, torn or doubled
 *	coherence fill FILE
 *		writes records without a sync, saying on stdout how far it is,
 *		until it is killed
 *	coherence filled FILE BYTES
 *		the file has at least so many bytes of what "fill" writes
 *	coherence lost FILE
 *		writes without a sync until its session is ended by others; then
 *		fsync() must say so, once
 *
 * Prints what differs and ends with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST	(768 * 1024)
#define BLOCK	16384
#define PAGE	4096

enum how { BUFFERED, DIRECT, MAPPED, HOWS };

static const char *const hows[] = { "buffered", "direct", "mapped" };
static char ref[MOST], scratch[MOST + PAGE];
static char path[2][4096];
static int kept[2] = { -1, -1 };	/* open all the time, or -1 */
static size_t size;
static mode_t mode;
static struct timespec mtime, changed;	/* as set; ctime as last seen */
static unsigned long long step;
static unsigned int seed;

static unsigned int below(unsigned int n)
{
	return rand_r(&seed) % n;
}

static int failed(int side, enum how how, const char *what)
{
	printf("# step %llu, side %d, %s: %s: %s\n", step, side, hows[how], what, strerror(errno));
	return -1;
}

static int file_open(int side, enum how how, int mode)
{
	if (kept[side] >= 0 && how != DIRECT)
		return dup(kept[side]);
	return open(path[side], mode | (how == DIRECT ? O_DIRECT : 0));
}

/* Store to, or load from, a shared map of its own. */
static int by_map(int fd, bool write, char *buf, size_t pos, size_t len)
{
	size_t from = pos / PAGE * PAGE, span = pos + len - from;
	char *m = mmap(NULL, span, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd, from);
	int err = 0;

	if (m == MAP_FAILED)
		return -1;
	if (write) {
		memcpy(m + pos - from, buf, len);
		err = msync(m, span, MS_SYNC);
	} else {
		memcpy(buf, m + pos - from, len);
	}
	return munmap(m, span) || err ? -1 : 0;
}

/* Write @len bytes of @buf at @pos; maps stay inside the file. */
static int put(int side, enum how how, char *buf, size_t pos, size_t len)
{
	int fd = file_open(side, how, O_RDWR), err;

	if (fd < 0)
		return failed(side, how, "open");
	err = how == MAPPED ? by_map(fd, true, buf, pos, len) :
	      pwrite(fd, buf, len, pos) != (ssize_t)len;
	if (close(fd) || err)
		return failed(side, how, "write");
	return 0;
}

static int get(int side, enum how how, char *buf, size_t pos, size_t len)
{
	int fd = file_open(side, how, O_RDONLY), err;

	if (fd < 0)
		return failed(side, how, "open");
	err = how == MAPPED ? by_map(fd, false, buf, pos, len) :
	      pread(fd, buf, len, pos) != (ssize_t)len;
	if (close(fd) || err)
		return failed(side, how, "read");
	return 0;
}

static int same(int side, enum how how, const char *got, size_t pos, size_t len)
{
	size_t i;

	for (i = 0; i < len && got[i] == ref[pos + i]; i++)
		;
	if (i == len)
		return 0;
	printf("# step %llu: side %d reads (%s) %02x at %zu, wanted %02x (size %zu)\n", step, side,
	       hows[how], (unsigned char)got[i], pos + i, (unsigned char)ref[pos + i], size);
	return -1;
}

static int check(int side)
{
	enum how how = below(HOWS);
	struct stat st;
	size_t pos, len;

	if (stat(path[side], &st))
		return failed(side, how, "stat");
	if ((size_t)st.st_size != size) {
		printf("# step %llu: side %d has size %lld, wanted %zu\n", step, side,
		       (long long)st.st_size, size);
		return -1;
	}
	if (!size)
		return 0;
	pos = below(size);
	len = 1 + below(size - pos < 100000 ? size - pos : 100000);
	return get(side, how, scratch, pos, len) || same(side, how, scratch, pos, len) ? -1 : 0;
}

static void fill_random(char *buf, size_t len)
{
	uint32_t v = below(1u << 30);
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = v >> (i % 4 * 8) ^ i;
}

static int turn_truncate(int side)
{
	size_t want = below(MOST);

	if (truncate(path[side], want))
		return failed(side, BUFFERED, "truncate");
	if (want > size)
		memset(ref + size, 0, want - size);
	size = want;
	return 0;
}

static int turn_punch(int side)
{
	size_t pos = below(size), len = 1 + below(size - pos);
	int fd = file_open(side, BUFFERED, O_RDWR), err;

	err = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len);
	if (close(fd) || err)
		return failed(side, BUFFERED, "punch");
	memset(ref + pos, 0, len);
	return 0;
}

static int turn_append(int side)
{
	size_t len = 1 + below(9000);
	enum how how = below(2);
	int fd;

	if (size + len > MOST)
		return 0;
	fill_random(ref + size, len);
	fd = open(path[side], O_WRONLY | O_APPEND | (how == DIRECT ? O_DIRECT : 0) |
		  (below(4) ? 0 : O_DSYNC));
	if (fd < 0 || write(fd, ref + size, len) != (ssize_t)len || close(fd))
		return failed(side, how, "append");
	size += len;
	return 0;
}

static int turn_write(int side)
{
	enum how how = below(HOWS);
	size_t most = below(4) ? 20000 : 200000, pos, len;

	if (how == MAPPED && !size)
		return 0;
	pos = below(how == MAPPED ? size : size + 30000 < MOST ? size + 30000 : MOST - 1);
	len = 1 + below(most);
	if (len > (how == MAPPED ? size : MOST) - pos)
		len = (how == MAPPED ? size : MOST) - pos;
	if (pos > size)
		memset(ref + size, 0, pos - size);
	fill_random(ref + pos, len);
	if (pos + len > size)
		size = pos + len;
	return put(side, how, ref + pos, pos, len);
}

/* Somebody has the file open for writing all the time, or nobody. */
static void turn_keep(int side)
{
	if (kept[side] >= 0) {
		close(kept[side]);
		kept[side] = -1;
	} else {
		kept[side] = open(path[side], O_RDWR);
	}
}

static int turn(int side)
{
	switch (below(16)) {
	case 0:
		return turn_truncate(side);
	case 1:
		return size ? turn_punch(side) : 0;
	case 2:
	case 3:
		return turn_append(side);
	case 4:
		turn_keep(side);
		return 0;
	}
	return turn_write(side);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* What took long is said: the longest wait is for the other side to write back. */
static void slow(const char *what, int side, double since)
{
	if (now() - since > 3)
		printf("# step %llu, side %d: %s took %.1f s\n", step, side, what, now() - since);
	fflush(stdout);
}

static int turns(unsigned int steps)
{
	int side, again;
	double began;

	for (step = 0; step < steps; step++) {
		side = below(2);
		for (again = 1 + below(4); again; again--) {
			began = now();
			if (turn(side))
				return 1;
			slow("an operation", side, began);
		}
		began = now();
		if (below(2) && check(side))
			return 1;
		slow("a look", side, began);
		began = now();
		if (check(!side))
			return 1;
		slow("a look", !side, began);
		if (step % 20 == 19 && printf("# %llu steps\n", step + 1))
			fflush(stdout);
	}
	return get(0, DIRECT, scratch, 0, size) || same(0, DIRECT, scratch, 0, size) ||
	       get(1, BUFFERED, scratch, 0, size) || same(1, BUFFERED, scratch, 0, size);
}

static bool before(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static int attrs_check(int side)
{
	struct stat st;

	if (stat(path[side], &st))
		return failed(side, BUFFERED, "stat");
	if ((st.st_mode & 07777) == mode && !before(st.st_mtim, mtime) &&
	    !before(mtime, st.st_mtim) && !before(st.st_ctim, changed)) {
		changed = st.st_ctim;
		return check(side);
	}
	printf("# step %llu: side %d has mode %o, wanted %o; mtime %lld.%09ld, set to %lld.%09ld; ctime %lld.%09ld, was %lld.%09ld\n",
	       step, side, st.st_mode & 07777, mode, (long long)st.st_mtim.tv_sec,
	       st.st_mtim.tv_nsec, (long long)mtime.tv_sec, mtime.tv_nsec,
	       (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec, (long long)changed.tv_sec,
	       changed.tv_nsec);
	return -1;
}

/* The times are set last: a write that finds no lease tells its own only when it is closed. */
static int attrs_step(int side)
{
	int fd = file_open(side, BUFFERED, O_RDWR), err = 0, again;
	struct timespec ts[2];

	for (again = below(3); again && !err; again--) {
		err = below(2) && turn_write(side);
		if (!err && below(2))
			err = fchown(fd, getuid(), getgid());
		if (!err && below(2)) {
			mode = 0600 | below(0200);
			err = fchmod(fd, mode);
		}
		if (!err && !below(6))
			err = fsync(fd);
		if (!below(8))
			usleep(1200000);	/* it is paid */
	}
	mtime.tv_sec = below(2000000000);
	mtime.tv_nsec = below(1000000000);
	ts[0] = ts[1] = mtime;
	err = err || futimens(fd, ts);
	if (!err && below(2)) {
		mode = 0600 | below(0200);
		err = fchmod(fd, mode);
	}
	if (close(fd) || err)
		return failed(side, BUFFERED, "attributes");
	return 0;
}

static int attrs(unsigned int steps)
{
	struct stat st;
	int side;

	if (stat(path[0], &st))
		return failed(0, BUFFERED, "stat");
	mode = st.st_mode & 07777;
	for (step = 0; step < steps; step++) {
		side = below(2);
		if (attrs_step(side) || (below(2) && attrs_check(side)) ||
		    (below(3) && attrs_check(!side)))
			return 1;
	}
	return attrs_check(0) || attrs_check(1);
}

/* A store of up to two pages to @m, a write to the same page, or something bigger. */
static int maps_step(char *m, size_t span)
{
	size_t pos = below(size < span ? size : span), len = 1 + below(PAGE);
	int fd, err;

	if (len > (size < span ? size : span) - pos)
		len = (size < span ? size : span) - pos;
	switch (below(8)) {
	case 0:
		return turn_append(0);
	case 1:
		return turn_punch(0);
	case 2:
	case 3:
		fill_random(ref + pos, len);
		return put(0, DIRECT, ref + pos, pos, len);
	case 4:
		fill_random(ref + pos, len);
		fd = open(path[0], O_WRONLY | O_SYNC);
		err = fd < 0 || pwrite(fd, ref + pos, len, pos) != (ssize_t)len;
		if (fd < 0 || close(fd) || err)
			return failed(0, BUFFERED, "synchronous write");
		return 0;
	}
	fill_random(ref + pos, len);
	memcpy(m + pos, ref + pos, len);
	/* Next to it, and not aligned. */
	pos = pos / PAGE * PAGE + below(PAGE - 200);
	len = 1 + below(200);
	if (pos + len > size)
		return 0;
	fill_random(ref + pos, len);
	return put(0, BUFFERED, ref + pos, pos, len);
}

/* What was stored without a lease, as there had been too many recalls, shows a little later. */
static int soon(int side)
{
	double until = now() + 20;

	do {
		if (get(side, BUFFERED, scratch, 0, size))
			return -1;
		if (!memcmp(scratch, ref, size))
			return 0;
		usleep(50000);
	} while (now() < until);
	return same(side, BUFFERED, scratch, 0, size);
}

static int maps(unsigned int steps)
{
	size_t span = 16 * PAGE;
	int fd = open(path[0], O_RDWR);
	char *m;

	size = span;
	if (fd < 0 || ftruncate(fd, size))
		return failed(0, MAPPED, "truncate") != 0;
	m = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return failed(0, MAPPED, "mmap") != 0;
	for (step = 0; step < steps; step++) {
		unsigned int again = 1 + below(4);

		while (again--)
			if (maps_step(m, span))
				return 1;
		if (same(0, MAPPED, m, 0, size < span ? size : span) || check(0))
			return 1;
		if (!below(8) ? soon(1) : msync(m, span, MS_SYNC) || check(1))
			return 1;
	}
	if (msync(m, span, MS_SYNC) || munmap(m, span) || close(fd))
		return failed(0, MAPPED, "close") != 0;
	return get(1, DIRECT, scratch, 0, size) || same(1, DIRECT, scratch, 0, size);
}

/* One of two at once: every other block is ours. */
static int own_blocks(int side, unsigned int steps)
{
	seed += side;
	for (step = 0; step < steps; step++) {
		size_t block = below(MOST / BLOCK / 2) * 2 + side;
		size_t off = below(BLOCK), len = 1 + below(BLOCK - off), pos = block * BLOCK + off;
		enum how how = below(HOWS);

		if (!below(8))
			turn_keep(side);
		fill_random(ref + pos, len);
		if (put(side, how, ref + pos, pos, len))
			return 1;
		how = below(HOWS);
		if (get(side, how, scratch, pos, len) || same(side, how, scratch, pos, len))
			return 1;
	}
	/* All of ours, for the other one to look at. */
	for (size_t b = side; b < MOST / BLOCK; b += 2)
		memset(ref + b * BLOCK, 'a' + (b + seed) % 26, BLOCK);
	for (size_t b = side; b < MOST / BLOCK; b += 2)
		if (put(side, below(HOWS), ref + b * BLOCK, b * BLOCK, BLOCK))
			return 1;
	return 0;
}

static int wait_both(const pid_t *pid)
{
	int i, status, bad = 0;

	for (i = 0; i < 2; i++)
		if (waitpid(pid[i], &status, 0) != pid[i] || status)
			bad = 1;
	return bad;
}

static int both(unsigned int steps)
{
	unsigned int first = seed;
	pid_t pid[2];
	int i;

	size = MOST;
	if (truncate(path[0], MOST))
		return failed(0, BUFFERED, "truncate");
	fflush(stdout);
	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			i = own_blocks(i, steps);
			fflush(stdout);
			_exit(i);
		}
	}
	if (wait_both(pid))
		return 1;
	for (size_t b = 0; b < MOST / BLOCK; b++)
		memset(ref + b * BLOCK, 0, BLOCK);
	/* The children went on from different states of the generator: the letters tell. */
	for (i = 0; i < 2; i++) {
		enum how how = first % HOWS;

		if (get(i, how, scratch, 0, MOST))
			return 1;
		for (size_t at = 0; at < MOST; at++)
			if (scratch[at] != scratch[at / BLOCK * BLOCK] || scratch[at] < 'a' ||
			    scratch[at] > 'z') {
				printf("# in the end side %d reads (%s) %02x at %zu\n", i, hows[how],
				       (unsigned char)scratch[at], at);
				return 1;
			}
		if (i && memcmp(scratch, ref, MOST)) {
			printf("# in the end the two sides differ\n");
			return 1;
		}
		memcpy(ref, scratch, MOST);
	}
	return 0;
}

/* A record: side, length, number, and its length of one byte. */
struct record {
	uint32_t magic, side, number, len;
};

#define MAGIC	0x52434f52u
#define LONGEST	6000

static int appender(int side, unsigned int records)
{
	static char buf[sizeof(struct record) + LONGEST];
	struct record *r = (struct record *)buf;
	unsigned int i;
	int fd = -1;

	seed += side;
	for (i = 0; i < records; i++) {
		*r = (struct record){ MAGIC, side, i, below(LONGEST) };
		memset(r + 1, side * 100 + i % 100, r->len);
		if (fd < 0)
			fd = open(path[side], O_WRONLY | O_APPEND | (below(4) ? 0 : O_DIRECT));
		if (fd < 0 || write(fd, buf, sizeof(*r) + r->len) != (ssize_t)(sizeof(*r) + r->len))
			return failed(side, BUFFERED, "append") != 0;
		if (!below(5)) {
			close(fd);
			fd = -1;
		}
	}
	return 0;
}

static int append_check(int side, unsigned int records)
{
	unsigned int next[2] = { 0, 0 };
	FILE *f = fopen(path[side], "r");
	struct record r;
	long at = 0;
	int i;

	while (f && fread(&r, sizeof(r), 1, f) == 1) {
		if (r.magic != MAGIC || r.side > 1 || r.number != next[r.side] || r.len >= LONGEST ||
		    fread(scratch, 1, r.len, f) != r.len)
			break;
		for (i = 0; i < (int)r.len && scratch[i] == (char)(r.side * 100 + r.number % 100); i++)
			;
		if (i < (int)r.len)
			break;
		next[r.side]++;
		at = ftell(f);
	}
	if (!f || !feof(f) || next[0] != records || next[1] != records) {
		printf("# side %d reads %u and %u of %u records; the next, at %ld, is none\n", side,
		       next[0], next[1], records, at);
		return 1;
	}
	fclose(f);
	return 0;
}

static int append(unsigned int records)
{
	pid_t pid[2];
	int i;

	fflush(stdout);
	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			i = appender(i, records);
			fflush(stdout);
			_exit(i);
		}
	}
	return wait_both(pid) || append_check(0, records) || append_check(1, records);
}

static void fill_line(unsigned long long n, char line[64])
{
	memset(line, '.', 64);
	line[snprintf(line, 64, "line %llu ", n)] = '.';
	line[63] = '\n';
}

static int fill(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char line[64];

	for (step = 0; fd >= 0; step++) {
		fill_line(step, line);
		if (write(fd, line, 64) != 64)
			break;
		if (step % 64 == 63 && printf("%llu\n", (step + 1) * 64) && fflush(stdout))
			break;
	}
	return 1;
}

static int filled(const char *name, unsigned long long bytes)
{
	FILE *f = fopen(name, "r");
	char want[64], got[64];

	for (step = 0; f && fread(got, 64, 1, f) == 1; step++) {
		fill_line(step, want);
		if (memcmp(want, got, 64)) {
			printf("# line %llu is another\n", step);
			return 1;
		}
	}
	printf("# %llu bytes of at least %llu\n", step * 64, bytes);
	return step * 64 < bytes;
}

static int lost(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	double since = now();
	char line[64];

	for (step = 0; fd >= 0 && now() - since < 60; step++) {
		fill_line(step, line);
		if (write(fd, line, 64) != 64)
			break;
		usleep(5000);
	}
	printf("# write %llu, after %.1f s: %s\n", step, now() - since, strerror(errno));
	if (!fsync(fd)) {
		printf("# fsync says that nothing was lost\n");
		return 1;
	}
	printf("# fsync: %s\n", strerror(errno));
	return errno != EIO;
}

int main(int argc, char **argv)
{
	unsigned int n;
	int fd;

	if (argc == 3 && !strcmp(argv[1], "fill"))
		return fill(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "lost"))
		return lost(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "filled"))
		return filled(argv[2], strtoull(argv[3], NULL, 10));
	if (argc < 6)
		return 2;
	n = atoi(argv[4]);
	seed = atoi(argv[5]);
	snprintf(path[0], sizeof(path[0]), "%s/%s-%u", argv[2], argv[1], seed);
	snprintf(path[1], sizeof(path[1]), "%s/%s-%u", argv[3], argv[1], seed);
	fd = open(path[0], O_CREAT | O_RDWR | O_TRUNC, 0644);
	if (fd < 0 || close(fd))
		return perror(path[0]), 1;
	printf("# %s, seed %u\n", argv[1], seed);
	if (!strcmp(argv[1], "turns"))
		return turns(n);
	if (!strcmp(argv[1], "attrs"))
		return attrs(n);
	if (!strcmp(argv[1], "maps"))
		return maps(n);
	return !strcmp(argv[1], "both") ? both(n) : append(n);
}
