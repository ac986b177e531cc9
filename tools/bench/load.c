// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-load WORK DIR COUNT [SIZE]: one kind of work, COUNT times, from one
 * thread, timed by CLOCK_MONOTONIC; prints nanoseconds in all, and the median
 * of one (of works that are not counted one by one: the mean).
 *
 *	fill	make DIR/data of COUNT x SIZE bytes, on stable storage
 *	read	read SIZE bytes at a random aligned place of DIR/data, O_DIRECT
 *	write	write SIZE bytes there, O_DIRECT
 *	deep	read with 32 requests in flight, by io_uring
 *	make	make COUNT files DIR/sNNN of SIZE bytes (not a work: prepares small)
 *	small	open, read SIZE bytes, close, of each of them, O_DIRECT
 *	whole	the same by one readv() of SIZE rounded up to 4 KiB, as the O_DIRECT
 *		reader of DLIO does; the file's own size must come back
 *	stream	read DIR/data from its start, SIZE bytes at a time, buffered
 *	save	write DIR/save, COUNT times SIZE bytes, and fsync() it: a checkpoint
 *	index	read SIZE bytes at a random place of DIR/data, mapped
 *	model	map DIR/data, read its first MiB, then SIZE bytes at a random
 *		aligned place, as a loader of model weights does
 *	create	create and close COUNT files DIR/fNNN
 *	stat	stat each of them
 *	open	open and close each of them
 *	rename	give a file another name in its directory, the next time its own again
 *	unlink	remove each of them
 *	mkdir	make COUNT directories DIR/dNNN
 *	rmdir	remove each of them
 *	crowd	four processes make COUNT files in one directory, DIR/crowd
 *	list	what "ls -l" asks of DIR/crowd: names, attributes, label and ACL of each
 *
 * Under instruction counting the clock counts instructions of the whole guest.
 * Directories hold 1,000 files each. Every call must do all it was asked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PER_DIR	1000
#define DEPTH	32u
#define CROWD	4u

struct load {
	const char *dir;
	unsigned long count;
	size_t size;
	char *buf;
	int fd;				/* of DIR/data, or -1 */
	uint64_t seed;
	unsigned long places;		/* SIZE-aligned places in DIR/data */
	const char *map;		/* DIR/data */
	volatile char sum;		/* of what was read through it */
};

struct work {
	const char *name;
	int (*prepare)(struct load *l);
	int (*one)(struct load *l, unsigned long i);
	int (*all)(struct load *l);	/* instead of one */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(struct load *l)
{
	l->seed ^= l->seed << 13;
	l->seed ^= l->seed >> 7;
	l->seed ^= l->seed << 17;
	return l->seed;
}

static void file_name(struct load *l, char kind, unsigned long i, char *out, size_t len)
{
	snprintf(out, len, "%s/%c%lu/%lu", l->dir, kind, i / PER_DIR, i % PER_DIR);
}

static int make_dirs(struct load *l, char kind)
{
	char path[4096];
	unsigned long i;

	for (i = 0; i < l->count; i += PER_DIR) {
		snprintf(path, sizeof(path), "%s/%c%lu", l->dir, kind, i / PER_DIR);
		if (mkdir(path, 0755) && errno != EEXIST)
			return -1;
	}
	return 0;
}

static int open_data(struct load *l, int flags)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/data", l->dir);
	l->fd = open(path, flags, 0644);
	if (l->fd < 0 || fstat(l->fd, &st))
		return -1;
	l->places = (unsigned long)st.st_size / l->size;
	return 0;
}

static int fill_prepare(struct load *l)
{
	return open_data(l, O_CREAT | O_WRONLY | O_DIRECT);
}

static int io_prepare(struct load *l)
{
	if (open_data(l, O_RDWR | O_DIRECT))
		return -1;
	if (!l->places) {
		errno = ENODATA;
		return -1;
	}
	return 0;
}

static int files_prepare(struct load *l)
{
	return make_dirs(l, 'f');
}

static int mkdir_prepare(struct load *l)
{
	return make_dirs(l, 'd');
}

static int small_prepare(struct load *l)
{
	return make_dirs(l, 's');
}

static int stream_prepare(struct load *l)
{
	return open_data(l, O_RDONLY);
}

static int save_prepare(struct load *l)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/save", l->dir);
	l->fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_DIRECT, 0644);
	return l->fd < 0 ? -1 : 0;
}

static int map_prepare(struct load *l)
{
	size_t len;
	void *p;

	if (stream_prepare(l))
		return -1;
	len = l->places * l->size;
	p = len ? mmap(NULL, len, PROT_READ, MAP_SHARED, l->fd, 0) : MAP_FAILED;
	if (p == MAP_FAILED)
		return -1;
	madvise(p, len, MADV_RANDOM);
	l->map = p;
	return 0;
}

static int all_of_it(struct load *l, ssize_t n)
{
	if (n == (ssize_t)l->size)
		return 0;
	if (n >= 0)
		errno = EIO;
	return -1;
}

static int fill_one(struct load *l, unsigned long i)
{
	memset(l->buf, (int)(i & 0xff), l->size);
	if (all_of_it(l, pwrite(l->fd, l->buf, l->size, (off_t)(i * l->size))))
		return -1;
	return i + 1 == l->count ? fsync(l->fd) : 0;
}

static int read_one(struct load *l, unsigned long i)
{
	off_t at = (off_t)(next_random(l) % l->places * l->size);

	return all_of_it(l, pread(l->fd, l->buf, l->size, at));
}

static int write_one(struct load *l, unsigned long i)
{
	off_t at = (off_t)(next_random(l) % l->places * l->size);

	return all_of_it(l, pwrite(l->fd, l->buf, l->size, at));
}

static int stream_one(struct load *l, unsigned long i)
{
	if (!(i % l->places) && lseek(l->fd, 0, SEEK_SET))
		return -1;
	return all_of_it(l, read(l->fd, l->buf, l->size));
}

static int save_one(struct load *l, unsigned long i)
{
	if (all_of_it(l, write(l->fd, l->buf, l->size)))
		return -1;
	return i + 1 == l->count ? fsync(l->fd) : 0;
}

/* One byte of every cache line: what uses the data costs the same everywhere. */
static void map_read(struct load *l, size_t at, size_t len)
{
	char sum = 0;
	size_t i;

	for (i = 0; i < len; i += 64)
		sum = (char)(sum + l->map[at + i]);
	l->sum = sum;
}

static int index_one(struct load *l, unsigned long i)
{
	map_read(l, next_random(l) % l->places * l->size, l->size);
	return 0;
}

static int model_one(struct load *l, unsigned long i)
{
	if (!i)
		map_read(l, 0, l->places * l->size < 1 << 20 ? l->places * l->size : 1 << 20);
	return index_one(l, i);
}

/* Ask for one more block into the buffer of slot @slot. */
static void deep_ask(struct load *l, struct io_uring *ring, unsigned int slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, l->fd, l->buf + slot * l->size, (unsigned int)l->size,
			   next_random(l) % l->places * l->size);
	io_uring_sqe_set_data64(sqe, slot);
}

static int deep_all(struct load *l)
{
	unsigned long asked = 0, done = 0;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int err = io_uring_queue_init(DEPTH, &ring, 0);

	while (!err && asked < DEPTH && asked < l->count)
		deep_ask(l, &ring, (unsigned int)asked++);
	while (!err && done < l->count) {
		err = io_uring_submit_and_wait(&ring, 1);
		err = err < 0 ? err : 0;
		while (!err && !io_uring_peek_cqe(&ring, &cqe)) {
			if (cqe->res != (int)l->size)
				err = cqe->res < 0 ? cqe->res : -EIO;
			if (!err && asked++ < l->count)
				deep_ask(l, &ring, (unsigned int)cqe->user_data);
			io_uring_cqe_seen(&ring, cqe);
			done++;
		}
	}
	errno = -err;
	return err;
}

static int with_file(struct load *l, char kind, unsigned long i, int flags)
{
	char path[4096];
	int fd, rc = 0;

	file_name(l, kind, i, path, sizeof(path));
	fd = open(path, flags, 0644);
	if (fd < 0)
		return -1;
	if (kind == 's')
		rc = all_of_it(l, flags & O_CREAT ? write(fd, l->buf, l->size) :
			       read(fd, l->buf, l->size));
	return close(fd) || rc ? -1 : 0;
}

static int make_one(struct load *l, unsigned long i)
{
	return with_file(l, 's', i, O_CREAT | O_WRONLY | (l->size % 4096 ? 0 : O_DIRECT));
}

static int small_one(struct load *l, unsigned long i)
{
	return with_file(l, 's', i, O_RDONLY | O_DIRECT);
}

static int whole_one(struct load *l, unsigned long i)
{
	struct iovec iov = { .iov_base = l->buf, .iov_len = (l->size + 4095) & ~(size_t)4095 };
	char path[4096];
	int fd, rc;

	file_name(l, 's', i, path, sizeof(path));
	fd = open(path, O_RDONLY | O_DIRECT);
	if (fd < 0)
		return -1;
	rc = all_of_it(l, readv(fd, &iov, 1));
	return close(fd) || rc ? -1 : 0;
}

static int create_one(struct load *l, unsigned long i)
{
	return with_file(l, 'f', i, O_CREAT | O_EXCL | O_WRONLY);
}

static int stat_one(struct load *l, unsigned long i)
{
	char path[4096];
	struct stat st;

	file_name(l, 'f', i, path, sizeof(path));
	return stat(path, &st);
}

static int unlink_one(struct load *l, unsigned long i)
{
	char path[4096];

	file_name(l, 'f', i, path, sizeof(path));
	return unlink(path);
}

static int open_one(struct load *l, unsigned long i)
{
	return with_file(l, 'f', i, O_RDONLY);
}

static int rename_one(struct load *l, unsigned long i)
{
	char own[4096], other[4096 + 2];

	file_name(l, 'f', i / 2, own, sizeof(own));
	snprintf(other, sizeof(other), "%s.r", own);
	return i % 2 ? rename(other, own) : rename(own, other);
}

static int mkdir_one(struct load *l, unsigned long i)
{
	char path[4096];

	file_name(l, 'd', i, path, sizeof(path));
	return mkdir(path, 0755);
}

static int rmdir_one(struct load *l, unsigned long i)
{
	char path[4096];

	file_name(l, 'd', i, path, sizeof(path));
	return rmdir(path);
}

static int crowd_prepare(struct load *l)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/crowd", l->dir);
	return mkdir(path, 0755);
}

static int crowd_member(struct load *l, unsigned int n)
{
	char path[4096];
	unsigned long i;
	int fd;

	for (i = n; i < l->count; i += CROWD) {
		snprintf(path, sizeof(path), "%s/crowd/%lu", l->dir, i);
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
		if (fd < 0 || close(fd))
			return errno;
	}
	return 0;
}

static int crowd_all(struct load *l)
{
	unsigned int n;
	int status, err = 0;

	for (n = 0; n < CROWD; n++) {
		pid_t pid = fork();

		if (!pid)
			_exit(crowd_member(l, n));
		if (pid < 0)
			err = errno;
	}
	while (wait(&status) > 0)
		if (status)
			err = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	errno = err;
	return err;
}

static int nothing_to_prepare(struct load *l)
{
	return 0;
}

static int list_all(struct load *l)
{
	unsigned long seen = 0;
	struct dirent *e;
	char path[4096];
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "%s/crowd", l->dir);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/crowd/%s", l->dir, e->d_name);
		if (e->d_name[0] == '.')
			continue;
		if (lstat(path, &st))
			return -1;
		lgetxattr(path, "security.selinux", NULL, 0);
		getxattr(path, "system.posix_acl_access", NULL, 0);
		seen++;
	}
	if (!d || closedir(d))
		return -1;
	errno = EIO;
	return seen == l->count ? 0 : -1;
}

static const struct work works[] = {
	{ "fill", fill_prepare, fill_one, NULL },
	{ "read", io_prepare, read_one, NULL },
	{ "write", io_prepare, write_one, NULL },
	{ "deep", io_prepare, NULL, deep_all },
	{ "make", small_prepare, make_one, NULL },
	{ "small", small_prepare, small_one, NULL },
	{ "whole", small_prepare, whole_one, NULL },
	{ "stream", stream_prepare, stream_one, NULL },
	{ "save", save_prepare, save_one, NULL },
	{ "index", map_prepare, index_one, NULL },
	{ "model", map_prepare, model_one, NULL },
	{ "create", files_prepare, create_one, NULL },
	{ "stat", files_prepare, stat_one, NULL },
	{ "open", files_prepare, open_one, NULL },
	{ "rename", files_prepare, rename_one, NULL },
	{ "unlink", files_prepare, unlink_one, NULL },
	{ "mkdir", mkdir_prepare, mkdir_one, NULL },
	{ "rmdir", mkdir_prepare, rmdir_one, NULL },
	{ "crowd", crowd_prepare, NULL, crowd_all },
	{ "list", nothing_to_prepare, NULL, list_all },
};

static const struct work *work_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (!strcmp(works[i].name, name))
			return &works[i];
	return NULL;
}

static int earlier(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* All of the work; @took: of each one. Return: 0 or -1. */
static int run(struct load *l, const struct work *w, uint64_t *took)
{
	uint64_t from = now_ns(), to;
	unsigned long i;

	if (w->all) {
		if (w->all(l))
			return -1;
		to = now_ns();
		for (i = 0; i < l->count; i++)
			took[i] = (to - from) / l->count;
		return 0;
	}
	for (i = 0; i < l->count; i++, from = to) {
		if (w->one(l, i))
			return -1;
		to = now_ns();
		took[i] = to - from;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct load l = { .fd = -1, .seed = 88172645463325252u };
	const struct work *w = argc >= 4 ? work_find(argv[1]) : NULL;
	uint64_t start, *took;
	size_t room;

	if (!w) {
		fprintf(stderr, "usage: flint-load fill|read|write|deep|make|small|whole|stream|save|"
			"index|model|create|stat|open|rename|unlink|mkdir|rmdir|crowd|list DIR COUNT [SIZE]\n");
		return 2;
	}
	l.dir = argv[2];
	l.count = strtoul(argv[3], NULL, 0);
	l.size = argc > 4 ? strtoul(argv[4], NULL, 0) : 4096;
	room = w->all ? l.size * DEPTH : (l.size + 4095) & ~(size_t)4095;
	took = l.count ? calloc(l.count, sizeof(*took)) : NULL;
	if (!l.size || !took || posix_memalign((void **)&l.buf, 4096, room)) {
		fprintf(stderr, "flint-load: COUNT and SIZE must be positive numbers\n");
		return 2;
	}
	memset(l.buf, 'x', room);
	if (w->prepare(&l)) {
		fprintf(stderr, "flint-load: preparing %s in %s: %s\n", w->name, l.dir, strerror(errno));
		return 1;
	}
	start = now_ns();
	if (run(&l, w, took)) {
		fprintf(stderr, "flint-load: %s in %s: %s\n", w->name, l.dir, strerror(errno));
		return 1;
	}
	printf("%llu ", (unsigned long long)(now_ns() - start));
	qsort(took, l.count, sizeof(*took), earlier);
	printf("%llu\n", (unsigned long long)took[l.count / 2]);
	free(took);
	return 0;
}
