// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One file, random operations on it, and a model of what it holds in memory: every way
 * to write, to read, to cut, to make holes and to copy, checked after each step. The
 * idea is fsx', known since 1991; this is another program.
 *
 * usage: fsx DIR [SEED [OPERATIONS]]
 *
 * What the file system does not have (EOPNOTSUPP, and EINVAL for clones and moves that
 * do not fit) is counted and changes nothing. A failure tells the seed and the last
 * operations.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX	(12u << 20)	/* several chunks */
#define LEN_MAX		(512u << 10)
#define LOG_NR		24

struct run {
	const char *dir;
	uint64_t seed, rng, nr;
	int fd, direct, other;		/* other: a second file, for clones */
	unsigned char *good, *buf;	/* the model; scratch memory, aligned */
	uint32_t size;
	char log[LOG_NR][96];
	uint64_t step, refused;
};

static uint32_t pick(struct run *r, uint32_t n)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return n ? (uint32_t)(r->rng >> 20) % n : 0;
}

static void note(struct run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->log[r->step % LOG_NR], sizeof(r->log[0]), fmt, ap);
	va_end(ap);
}

static void fail(struct run *r, const char *fmt, ...)
{
	uint64_t i, from = r->step < LOG_NR ? 0 : r->step - LOG_NR + 1;
	int err = errno;
	va_list ap;

	printf("not ok 1 - fsx %s %llu %llu\n# ", r->dir, (unsigned long long)r->seed,
	       (unsigned long long)r->nr);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" (errno %d)\n", err);
	for (i = from; i <= r->step; i++)
		printf("# %llu: %s\n", (unsigned long long)i, r->log[i % LOG_NR]);
	fflush(stdout);
	exit(1);
}

/* A range, sometimes at places that matter. */
static void range(struct run *r, uint32_t *at, uint32_t *len, uint32_t max)
{
	static const uint32_t grain[] = { 1, 1, 512, 4096, 65536, 1u << 20 };
	uint32_t g = grain[pick(r, 6)];

	*at = pick(r, max / g) * g;
	*len = 1 + pick(r, pick(r, 4) ? 20000 : LEN_MAX);
	if (g > 1 && pick(r, 2))
		*len = (*len / g + 1) * g;
	if (*len > max - *at)
		*len = max - *at;
}

static void model_grow(struct run *r, uint32_t size)
{
	if (size > r->size) {
		memset(r->good + r->size, 0, size - r->size);
		r->size = size;
	}
}

static void compare(struct run *r, const unsigned char *got, uint32_t at, uint32_t len)
{
	uint32_t i;

	if (!memcmp(got, r->good + at, len))
		return;
	for (i = 0; got[i] == r->good[at + i]; i++)
		;
	errno = 0;
	fail(r, "byte %u is %02x, should be %02x (read %u+%u, size %u)", at + i, got[i],
	     r->good[at + i], at, len, r->size);
}

/* ---- operations ------------------------------------------------------------- */

static void op_write(struct run *r)
{
	bool direct = pick(r, 3) == 0;
	uint32_t at, len, i;
	ssize_t n;

	range(r, &at, &len, FILE_MAX);
	if (direct) {		/* what any file system takes */
		at &= ~4095u;
		len = (len + 4095) & ~4095u;
		if (len > FILE_MAX - at)
			len = FILE_MAX - at;
	}
	note(r, "%s %u+%u", direct ? "direct write" : "write", at, len);
	for (i = 0; i < len; i++)
		r->buf[i] = (unsigned char)(r->step * 7 + i / 13 + at);
	n = pwrite(direct ? r->direct : r->fd, r->buf, len, at);
	if (n != (ssize_t)len)
		fail(r, "pwrite returned %zd", n);
	model_grow(r, at + len);
	memcpy(r->good + at, r->buf, len);
}

static void op_mapwrite(struct run *r)
{
	uint32_t at, len, base, i;
	unsigned char *p;

	if (!r->size)
		return;
	range(r, &at, &len, r->size);
	if (!len)
		return;
	base = at & ~4095u;
	note(r, "write by mmap %u+%u", at, len);
	p = mmap(NULL, at + len - base, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, base);
	if (p == MAP_FAILED) {
		r->refused++;
		return;
	}
	for (i = 0; i < len; i++)
		r->good[at + i] = p[at - base + i] = (unsigned char)(r->step * 3 + i);
	if (pick(r, 2) && msync(p, at + len - base, MS_SYNC))
		fail(r, "msync");
	if (munmap(p, at + len - base))
		fail(r, "munmap");
}

static void op_read(struct run *r)
{
	bool direct = pick(r, 3) == 0;
	uint32_t at, len, want;
	ssize_t n;

	range(r, &at, &len, FILE_MAX);
	if (direct) {
		at &= ~4095u;
		len = (len + 4095) & ~4095u;
	}
	note(r, "%s %u+%u", direct ? "direct read" : "read", at, len);
	want = at >= r->size ? 0 : len < r->size - at ? len : r->size - at;
	n = pread(direct ? r->direct : r->fd, r->buf, len, at);
	if (n != (ssize_t)want)
		fail(r, "pread returned %zd, should be %u", n, want);
	compare(r, r->buf, at, want);
}

static void op_mapread(struct run *r)
{
	uint32_t at, len, base;
	unsigned char *p;

	if (!r->size)
		return;
	range(r, &at, &len, r->size);
	if (!len)
		return;
	base = at & ~4095u;
	note(r, "read by mmap %u+%u", at, len);
	p = mmap(NULL, at + len - base, PROT_READ, MAP_SHARED, r->fd, base);
	if (p == MAP_FAILED)	/* what cannot be shared and written, either */
		p = mmap(NULL, at + len - base, PROT_READ, MAP_PRIVATE, r->fd, base);
	if (p == MAP_FAILED)
		fail(r, "mmap");
	compare(r, p + (at - base), at, len);
	munmap(p, at + len - base);
}

static void op_truncate(struct run *r)
{
	uint32_t size = pick(r, 4) ? pick(r, FILE_MAX) : pick(r, FILE_MAX >> 20) << 20;

	if (!pick(r, 12))
		size = 0;
	note(r, "truncate to %u, from %u", size, r->size);
	if (ftruncate(r->fd, size))
		fail(r, "ftruncate");
	model_grow(r, size);
	r->size = size;
}

static void op_fallocate(struct run *r)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};
	int mode = modes[pick(r, 5)];
	uint32_t at, len, end;

	range(r, &at, &len, FILE_MAX);
	if (!len)
		return;
	note(r, "fallocate %#x %u+%u", mode, at, len);
	if (fallocate(r->fd, mode, at, len)) {
		if (errno != EOPNOTSUPP)
			fail(r, "fallocate");
		r->refused++;
		return;
	}
	end = at + len;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
		uint32_t stop = end < r->size ? end : r->size;

		if (at < stop)
			memset(r->good + at, 0, stop - at);
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		model_grow(r, end);
}

static void op_move(struct run *r)
{
	bool insert = pick(r, 2);
	uint32_t unit = (1 + pick(r, 4)) << 20, at, len;

	at = pick(r, FILE_MAX / unit) * unit;
	len = (1 + pick(r, 2)) * unit;
	if (insert ? at >= r->size || r->size + len > FILE_MAX : at + len >= r->size)
		return;
	note(r, "%s %u+%u", insert ? "insert" : "collapse", at, len);
	if (fallocate(r->fd, insert ? FALLOC_FL_INSERT_RANGE : FALLOC_FL_COLLAPSE_RANGE, at, len)) {
		if (errno != EOPNOTSUPP && errno != EINVAL)
			fail(r, "fallocate");
		r->refused++;
		return;
	}
	if (insert) {
		memmove(r->good + at + len, r->good + at, r->size - at);
		memset(r->good + at, 0, len);
		r->size += len;
	} else {
		memmove(r->good + at, r->good + at + len, r->size - at - len);
		r->size -= len;
	}
}

/* From one place of the file to another, by whatever way there is. */
static void op_copy(struct run *r)
{
	bool clone = pick(r, 2);
	uint32_t from, to, len;
	ssize_t n;

	range(r, &from, &len, r->size);
	to = clone ? pick(r, FILE_MAX >> 20) << 20 : pick(r, FILE_MAX);
	if (clone) {
		from &= ~((1u << 20) - 1);
		len = len + from > r->size ? r->size - from : (len | 0xfffff) + 1;
	}
	if (from + len > r->size)
		len = r->size > from ? r->size - from : 0;
	if (to + len > FILE_MAX)
		len = FILE_MAX - to;
	if (!len || (from < to + len && to < from + len))
		return;
	note(r, "%s %u+%u to %u", clone ? "clone" : "copy", from, len, to);
	if (clone) {
		struct file_clone_range c = { .src_fd = r->fd, .src_offset = from,
					      .src_length = len, .dest_offset = to };

		if (ioctl(r->fd, FICLONERANGE, &c)) {
			if (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOTTY)
				fail(r, "FICLONERANGE");
			r->refused++;
			return;
		}
		n = len;
	} else {
		off_t a = from, b = to;

		n = copy_file_range(r->fd, &a, r->fd, &b, len, 0);
		if (n <= 0 || n > (ssize_t)len)
			fail(r, "copy_file_range returned %zd", n);
	}
	model_grow(r, to + n);
	memmove(r->good + to, r->good + from, n);
}

/* All of it into another file, which is changed, and looked at. */
static void op_clone_whole(struct run *r)
{
	struct stat st;

	note(r, "clone all %u", r->size);
	if (ftruncate(r->other, 0) || ioctl(r->other, FICLONE, r->fd)) {
		if (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOTTY)
			fail(r, "FICLONE");
		r->refused++;
		return;
	}
	if (fstat(r->other, &st) || st.st_size != r->size)
		fail(r, "the clone has %lld bytes", (long long)st.st_size);
	if (!r->size)
		return;
	if (pread(r->other, r->buf, LEN_MAX, r->size / 2) < 0)
		fail(r, "pread of the clone");
	compare(r, r->buf, r->size / 2,
		r->size - r->size / 2 < LEN_MAX ? r->size - r->size / 2 : LEN_MAX);
	memset(r->buf, 0xee, 70000);
	if (pwrite(r->other, r->buf, 70000, r->size / 3) != 70000)
		fail(r, "pwrite to the clone");
}

/* Data is where SEEK_DATA says; what it leaves out is zeros. */
static void op_seek(struct run *r)
{
	off_t at = pick(r, r->size + 1), data, hole;
	uint32_t i;

	note(r, "seek from %lld", (long long)at);
	while (at < r->size) {
		data = lseek(r->fd, at, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			fail(r, "SEEK_DATA");
		hole = data < 0 ? (off_t)r->size : data;
		for (i = at; i < hole; i++)
			if (r->good[i])
				fail(r, "byte %u is data, in a hole from %lld to %lld", i,
				     (long long)at, (long long)hole);
		if (data < 0)
			break;
		hole = lseek(r->fd, data, SEEK_HOLE);
		if (hole <= data || hole > (off_t)r->size)
			fail(r, "SEEK_HOLE from %lld says %lld", (long long)data, (long long)hole);
		at = hole;
	}
}

static void op_close(struct run *r)
{
	char path[512];

	note(r, "close and open");
	close(r->fd);
	close(r->direct);
	snprintf(path, sizeof(path), "%s/file", r->dir);
	r->fd = open(path, O_RDWR);
	r->direct = open(path, O_RDWR | O_DIRECT);
	if (r->fd < 0 || r->direct < 0)
		fail(r, "open");
}

static void op_append(struct run *r)
{
	uint32_t len = 1 + pick(r, 30000);
	char path[512];
	int fd;

	if (r->size + len > FILE_MAX)
		return;
	note(r, "append %u to %u", len, r->size);
	snprintf(path, sizeof(path), "%s/file", r->dir);
	fd = open(path, O_WRONLY | O_APPEND);
	memset(r->buf, r->step, len);
	if (fd < 0 || write(fd, r->buf, len) != (ssize_t)len)
		fail(r, "append");
	close(fd);
	memset(r->good + r->size, (int)(r->step & 0xff), len);
	r->size += len;
}

static void op_sync(struct run *r)
{
	note(r, "fsync");
	if (fsync(r->fd))
		fail(r, "fsync");
}

static void check_all(struct run *r)
{
	struct stat st;
	uint32_t at, n;

	if (fstat(r->fd, &st) || st.st_size != r->size)
		fail(r, "size is %lld, should be %u", (long long)st.st_size, r->size);
	for (at = 0; at < r->size; at += n) {
		n = r->size - at < LEN_MAX ? r->size - at : LEN_MAX;
		if (pread(r->fd, r->buf, n, at) != (ssize_t)n)
			fail(r, "pread of everything");
		compare(r, r->buf, at, n);
	}
}

static void (*const ops[])(struct run *r) = {
	op_write, op_write, op_write, op_write, op_mapwrite, op_read, op_read, op_mapread,
	op_truncate, op_fallocate, op_fallocate, op_move, op_copy, op_copy, op_seek,
	op_append, op_close, op_sync, op_clone_whole,
};

static void start(struct run *r)
{
	char path[512];

	r->good = malloc(FILE_MAX + LEN_MAX);
	if (!r->good || posix_memalign((void **)&r->buf, 4096, 2u << 20))
		fail(r, "out of memory");
	snprintf(path, sizeof(path), "%s/file", r->dir);
	r->fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	r->direct = open(path, O_RDWR | O_DIRECT);
	snprintf(path, sizeof(path), "%s/clone", r->dir);
	r->other = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (r->fd < 0 || r->direct < 0 || r->other < 0)
		fail(r, "open in %s", r->dir);
}

int main(int argc, char **argv)
{
	struct run r = { .nr = 1500, .seed = 1 };

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: fsx DIR [SEED [OPERATIONS]]\n");
		return 2;
	}
	r.dir = argv[1];
	if (argc > 2)
		r.seed = strtoull(argv[2], NULL, 0);
	if (argc > 3)
		r.nr = strtoull(argv[3], NULL, 0);
	r.rng = r.seed * 0x9e3779b97f4a7c15ull + 1;
	printf("1..1\n# seed %llu\n", (unsigned long long)r.seed);
	fflush(stdout);
	start(&r);
	for (r.step = 0; r.step < r.nr; r.step++) {
		ops[pick(&r, sizeof(ops) / sizeof(ops[0]))](&r);
		if (r.step % 100 == 99)
			check_all(&r);
	}
	check_all(&r);
	printf("ok 1 - %llu operations on %s/file, %llu of them not supported\n",
	       (unsigned long long)r.nr, r.dir, (unsigned long long)r.refused);
	return 0;
}
