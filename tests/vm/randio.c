// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random operations on one file, compared with a model in memory after every
 * step: buffered, direct (any alignment when the file system allows), vectored
 * and mapped reads, buffered and direct writes, truncation up and down,
 * reopening. One seed is one run; the seed and the last operations are printed
 * when something differs.
 *
 * usage: randio FILE [OPERATIONS [SEED]]
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
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_SIZE (5u << 20)
#define MAX_IO (1200u << 10)
#define HISTORY 16

struct run {
	const char *path;
	int fd, direct;
	bool any_align;
	unsigned int seed, start_seed;
	uint32_t size;
	unsigned char *model, *buf;
	char history[HISTORY][80];
	unsigned int step;
};

static uint32_t below(struct run *r, uint32_t n)
{
	return n ? (((uint64_t)rand_r(&r->seed) << 16) ^ rand_r(&r->seed)) % n : 0;
}

static void note(struct run *r, const char *what, uint32_t off, uint32_t len)
{
	snprintf(r->history[r->step % HISTORY], sizeof(r->history[0]), "%u: %s off %u len %u size %u",
		 r->step, what, off, len, r->size);
}

static void fail(struct run *r, const char *what)
{
	unsigned int i, from = r->step >= HISTORY ? r->step - HISTORY + 1 : 0;

	printf("# randio: %s (errno %s), seed %u\n", what, strerror(errno), r->start_seed);
	for (i = from; i <= r->step; i++)
		printf("#   %s\n", r->history[i % HISTORY]);
	exit(1);
}

static void compare(struct run *r, const unsigned char *got, uint32_t off, uint32_t len)
{
	char text[120];
	uint32_t i;

	if (!memcmp(got, r->model + off, len))
		return;
	for (i = 0; got[i] == r->model[off + i]; i++)
		;
	snprintf(text, sizeof(text), "byte %u is %02x, should be %02x", off + i, got[i],
		 r->model[off + i]);
	fail(r, text);
}

static void open_both(struct run *r)
{
	r->fd = open(r->path, O_CREAT | O_RDWR, 0644);
	if (r->fd < 0)
		fail(r, "open");
	r->direct = open(r->path, O_RDWR | O_DIRECT);
	if (r->direct < 0)
		fail(r, "open with O_DIRECT");
}

/* A random range, aligned when direct I/O needs it; returns the buffer. */
static unsigned char *range(struct run *r, bool direct, uint32_t limit, uint32_t *off, uint32_t *len)
{
	uint32_t mem = below(r, 4096);

	*off = below(r, limit);
	*len = 1 + below(r, below(r, 4) ? 20000 : MAX_IO);
	if (direct && (!r->any_align || below(r, 2))) {
		*off &= ~4095u;
		*len = (*len + 4095) & ~4095u;
		mem = 0;
	}
	return r->buf + mem;
}

static void do_write(struct run *r, bool direct)
{
	uint32_t off, len, i;
	unsigned char *p = range(r, direct, MAX_SIZE - MAX_IO - 4096, &off, &len);

	note(r, direct ? "direct write" : "write", off, len);
	for (i = 0; i < len; i++)
		p[i] = r->step + i * 7 + (i >> 8);
	if (pwrite(direct ? r->direct : r->fd, p, len, off) != (ssize_t)len)
		fail(r, "short write");
	memcpy(r->model + off, p, len);
	if (off + len > r->size)
		r->size = off + len;
}

static void do_read(struct run *r, bool direct)
{
	uint32_t off, len, want;
	unsigned char *p = range(r, direct, r->size + 8192, &off, &len);
	struct iovec v[2];
	ssize_t n;

	note(r, direct ? "direct read" : "read", off, len);
	want = off >= r->size ? 0 : r->size - off < len ? r->size - off : len;
	memset(p, 0xee, len);
	v[0].iov_base = p;
	v[0].iov_len = len > 8192 && !direct ? len / 3 : 0;
	v[1].iov_base = p + v[0].iov_len;
	v[1].iov_len = len - v[0].iov_len;
	n = preadv(direct ? r->direct : r->fd, v, 2, off);
	if (n != (ssize_t)want)
		fail(r, "short read");
	compare(r, p, off, want);
}

static void do_map_read(struct run *r)
{
	uint32_t off, len;
	unsigned char *m;

	if (!r->size)
		return;
	off = below(r, r->size) & ~4095u;
	len = 1 + below(r, r->size - off < 300000 ? r->size - off : 300000);
	note(r, "mapped read", off, len);
	m = mmap(NULL, len, PROT_READ, below(r, 2) ? MAP_SHARED : MAP_PRIVATE, r->fd, off);
	if (m == MAP_FAILED) {
		int ro = open(r->path, O_RDONLY);

		m = mmap(NULL, len, PROT_READ, MAP_SHARED, ro, off);
		close(ro);
	}
	if (m == MAP_FAILED)
		fail(r, "mmap");
	compare(r, m, off, len);
	munmap(m, len);
}

static void do_truncate(struct run *r)
{
	uint32_t size = below(r, 3) ? below(r, MAX_SIZE - MAX_IO) : below(r, r->size + 1);

	note(r, "truncate", size, 0);
	if (ftruncate(r->fd, size))
		fail(r, "ftruncate");
	if (size < r->size)
		memset(r->model + size, 0, r->size - size);
	r->size = size;
}

static void check_size(struct run *r)
{
	struct stat st;

	if (fstat(r->fd, &st))
		fail(r, "fstat");
	if (st.st_size != r->size)
		fail(r, "wrong size");
}

static void step(struct run *r)
{
	switch (below(r, 16)) {
	case 0 ... 2:
		do_write(r, false);
		break;
	case 3 ... 5:
		do_write(r, true);
		break;
	case 6 ... 8:
		do_read(r, false);
		break;
	case 9 ... 11:
		do_read(r, true);
		break;
	case 12 ... 13:
		do_map_read(r);
		break;
	case 14:
		do_truncate(r);
		break;
	default:
		note(r, "reopen", 0, 0);
		close(r->fd);
		close(r->direct);
		open_both(r);
	}
	check_size(r);
}

int main(int argc, char **argv)
{
	struct run r = { 0 };
	unsigned int steps;

	if (argc < 2) {
		fprintf(stderr, "usage: randio FILE [OPERATIONS [SEED]]\n");
		return 2;
	}
	steps = argc > 2 ? atoi(argv[2]) : 500;
	r.path = argv[1];
	r.start_seed = r.seed = argc > 3 ? (unsigned int)atoi(argv[3]) : (unsigned int)time(NULL);
	r.model = calloc(1, MAX_SIZE + MAX_IO);
	r.buf = aligned_alloc(4096, MAX_IO + 8192);
	if (!r.model || !r.buf)
		return 2;
	open_both(&r);
	if (pwrite(r.direct, r.buf, 4096, 0) != 4096)
		fail(&r, "first write");
	r.any_align = pread(r.direct, r.buf + 1, 1, 0) >= 0;
	if (ftruncate(r.fd, 0))
		fail(&r, "ftruncate");
	for (r.step = 0; r.step < steps; r.step++)
		step(&r);
	printf("# randio: %u operations, seed %u, direct I/O of %s alignment\n", steps,
	       r.start_seed, r.any_align ? "any" : "4 KiB");
	return 0;
}
