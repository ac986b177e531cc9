// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What applications expect of file data: buffered, direct and mapped access,
 * vectors, appends, truncation, holes, asynchronous I/O. Every byte written
 * depends on its offset and on a salt, so that a misplaced or stale block is
 * seen. A table of checks, see lib/check.h.
 *
 * usage: posix_data DIR     (any local file system with O_DIRECT passes too)
 */
#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/check.h"

#define MIB (1 << 20)
#define PAGE 4096

static unsigned char pat(uint64_t off, unsigned int salt)
{
	uint64_t x = (off + 1) * 0x9e3779b97f4a7c15ull + salt * 0xff51afd7ed558ccdull;

	return x >> 56;
}

static void fill(unsigned char *buf, size_t len, uint64_t off, unsigned int salt)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = pat(off + i, salt);
}

static bool same(const unsigned char *buf, size_t len, uint64_t off, unsigned int salt)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (buf[i] != pat(off + i, salt)) {
			printf("# byte %llu: got %02x, wanted %02x\n",
			       (unsigned long long)(off + i), buf[i], pat(off + i, salt));
			return false;
		}
	}
	return true;
}

static bool zeros(const unsigned char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (buf[i])
			return false;
	return true;
}

static unsigned char *pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	CHECK(fd >= 0);
	return fd;
}

static void write_all(int fd, size_t len, off_t off, unsigned int salt)
{
	unsigned char *buf = pages(len);

	fill(buf, len, off, salt);
	CHECK(pwrite(fd, buf, len, off) == (ssize_t)len);
	munmap(buf, len);
}

static void read_all(int fd, size_t len, off_t off, unsigned int salt)
{
	unsigned char *buf = pages(len);

	CHECK(pread(fd, buf, len, off) == (ssize_t)len);
	CHECK(same(buf, len, off, salt));
	munmap(buf, len);
}

static off_t size_of(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_size;
}

/* Local file systems refuse unaligned direct I/O; FlintFS serves it. */
static bool any_alignment(int fd)
{
	unsigned char *buf = pages(PAGE);
	bool ok = pread(fd, buf + 1, 100, 1) >= 0;

	munmap(buf, PAGE);
	return ok;
}

/* ---- plain reads and writes ---------------------------------------------- */

static void buffered_round_trip(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);

	write_all(fd, 3 * MIB + 12345, 0, 1);
	CHECK(size_of(fd) == 3 * MIB + 12345);
	read_all(fd, 3 * MIB + 12345, 0, 1);
	CHECK(fsync(fd) == 0);
	CHECK(fdatasync(fd) == 0);
	close(fd);
	fd = open_file("f", O_RDONLY);
	read_all(fd, 3 * MIB + 12345, 0, 1);
	close(fd);
}

static void small_writes(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);
	off_t off = 0;
	size_t len;

	for (len = 1; len < 300; len += 7) {
		write_all(fd, len, off, 2);
		off += len;
	}
	CHECK(size_of(fd) == off);
	read_all(fd, off, 0, 2);
	close(fd);
}

static void end_of_file(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);
	unsigned char *buf = pages(2 * PAGE);

	CHECK(pread(fd, buf, PAGE, 0) == 0);
	write_all(fd, 5000, 0, 3);
	CHECK(pread(fd, buf, 2 * PAGE, 0) == 5000);
	CHECK(same(buf, 5000, 0, 3));
	CHECK(pread(fd, buf, PAGE, 5000) == 0);
	CHECK(pread(fd, buf, PAGE, 1 << 30) == 0);
	CHECK(pread(fd, buf, PAGE, 4999) == 1);
	FAILS(pread(fd, buf, PAGE, -1), EINVAL);
	close(fd);
}

static void holes(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);
	unsigned char *buf = pages(4 * MIB);

	write_all(fd, 100, 3 * MIB + 5, 4);
	CHECK(size_of(fd) == 3 * MIB + 105);
	CHECK(pread(fd, buf, 4 * MIB, 0) == 3 * MIB + 105);
	CHECK(zeros(buf, 3 * MIB + 5));
	CHECK(same(buf + 3 * MIB + 5, 100, 3 * MIB + 5, 4));
	write_all(fd, 10, (off_t)5 << 30, 4);
	CHECK(size_of(fd) == ((off_t)5 << 30) + 10);
	read_all(fd, 10, (off_t)5 << 30, 4);
	CHECK(pread(fd, buf, MIB, (off_t)4 << 30) == MIB && zeros(buf, MIB));
	close(fd);
}

static void truncation(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);
	unsigned char *buf = pages(4 * MIB);

	write_all(fd, 2 * MIB + 777, 0, 5);
	CHECK(ftruncate(fd, MIB + 333) == 0);
	CHECK(size_of(fd) == MIB + 333);
	CHECK(pread(fd, buf, 4 * MIB, 0) == MIB + 333);
	CHECK(same(buf, MIB + 333, 0, 5));
	CHECK(ftruncate(fd, 3 * MIB) == 0);
	CHECK(pread(fd, buf, 4 * MIB, 0) == 3 * MIB);
	CHECK(same(buf, MIB + 333, 0, 5));
	CHECK(zeros(buf + MIB + 333, 2 * MIB - 333));
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(pread(fd, buf, PAGE, 0) == 0);
	CHECK(ftruncate(fd, 5000) == 0);
	CHECK(pread(fd, buf, 2 * PAGE, 0) == 5000 && zeros(buf, 5000));
	FAILS(ftruncate(fd, -1), EINVAL);
	close(fd);
	fd = open_file("f", O_RDWR | O_TRUNC);
	CHECK(size_of(fd) == 0);
	close(fd);
}

static void appends(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR | O_APPEND), i;
	unsigned char rec[100];

	for (i = 0; i < 50; i++) {
		fill(rec, sizeof(rec), i * sizeof(rec), 6);
		CHECK(lseek(fd, 0, SEEK_SET) == 0);
		CHECK(write(fd, rec, sizeof(rec)) == sizeof(rec));
	}
	CHECK(size_of(fd) == 50 * (off_t)sizeof(rec));
	read_all(fd, 50 * sizeof(rec), 0, 6);
	close(fd);
}

static void parallel_appends(void)
{
	enum { WRITERS = 4, RECORDS = 50, LEN = 64 };
	unsigned char *buf = pages(WRITERS * RECORDS * LEN);
	int count[WRITERS] = { 0 }, p, i, fd, status;

	close(open_file("f", O_CREAT | O_RDWR));
	for (p = 0; p < WRITERS; p++) {
		if (fork() == 0) {
			unsigned char rec[LEN];

			fd = open_file("f", O_WRONLY | O_APPEND);
			memset(rec, 'a' + p, LEN);
			for (i = 0; i < RECORDS; i++)
				CHECK(write(fd, rec, LEN) == LEN);
			_exit(0);
		}
	}
	for (p = 0; p < WRITERS; p++) {
		CHECK(wait(&status) > 0);
		CHECK(status == 0);
	}
	fd = open_file("f", O_RDONLY);
	CHECK(size_of(fd) == WRITERS * RECORDS * LEN);
	CHECK(pread(fd, buf, WRITERS * RECORDS * LEN, 0) == WRITERS * RECORDS * LEN);
	for (i = 0; i < WRITERS * RECORDS; i++) {
		int who = buf[i * LEN] - 'a', k;

		CHECK(who >= 0 && who < WRITERS);
		for (k = 1; k < LEN; k++)
			CHECK(buf[i * LEN + k] == 'a' + who);
		count[who]++;
	}
	for (p = 0; p < WRITERS; p++)
		CHECK(count[p] == RECORDS);
	close(fd);
}

/* Its last page is read all the time while a file becomes longer: who wrote reads what it wrote. */
static void last_page_is_read(void)
{
	enum { RECORDS = 400, LEN = 100 };
	unsigned char rec[LEN], got[LEN], c;
	int fd = open_file("f", O_CREAT | O_RDWR), i;
	pid_t reader;

	reader = fork();
	CHECK(reader >= 0);
	if (!reader && !prctl(PR_SET_PDEATHSIG, SIGKILL))
		for (i = 0;; i = (i + 1) % (RECORDS * LEN / 4096 + 1))
			if (pread(fd, &c, 1, 4096 * (off_t)i) < 0)
				_exit(1);
	for (i = 0; i < RECORDS; i++) {
		memset(rec, i % 255 + 1, LEN);
		CHECK(pwrite(fd, rec, LEN, (off_t)i * LEN) == LEN);
		CHECK(pread(fd, got, LEN, (off_t)i * LEN) == LEN);
		CHECK(!memcmp(rec, got, LEN));
	}
	CHECK(waitpid(reader, &i, WNOHANG) == 0);
	kill(reader, SIGKILL);
	waitpid(reader, &i, 0);
	close(fd);
}

/* An append writes what fits below the upper limit of sizes, and then nothing, which harms nobody. */
static void appends_at_the_limit(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR | O_APPEND);
	off_t limit = (off_t)1 << 62;

	while (limit > MIB && ftruncate(fd, limit) != 0)
		limit >>= 1;
	CHECK(limit > MIB);
	if (ftruncate(fd, limit + 1) == 0)
		check_skip("the limit of this file system is no power of two");
	CHECK(errno == EFBIG);
	CHECK(ftruncate(fd, limit - 1) == 0);
	write_all(open_file("g", O_CREAT | O_RDWR), 100, 0, 6);
	CHECK(write(fd, "abcd", 4) == 1);
	CHECK(size_of(fd) == limit);
	FAILS(write(fd, "hi", 2), EFBIG);
	CHECK(size_of(fd) == limit);
	CHECK(fsync(fd) == 0);
	CHECK(size_of(fd) == limit);
	sync();
	CHECK(fsync(fd) == 0);
	read_all(open_file("g", O_RDWR), 100, 0, 6);
	close(fd);
}

/*
 * An append that ends early gives back the rest of its place, but not what others wrote there. Its
 * memory is a map that is read meanwhile, and that ends before it.
 */
static void append_ends_early(void)
{
	size_t good = 4 * MIB, all = 128 * MIB, there = 96 * MIB;
	int fd = open_file("f", O_CREAT | O_RDWR | O_APPEND), from = open_file("g", O_CREAT | O_RDWR);
	int direct = open_file("f", O_RDWR | O_DIRECT), i, round, status;
	unsigned char *buf = pages(good), *m;
	pid_t pid;

	write_all(from, good, 0, 33);
	m = mmap(NULL, all, PROT_READ, MAP_SHARED, from, 0);
	CHECK(m != MAP_FAILED);
	for (round = 0; round < 6; round++) {
		CHECK(ftruncate(fd, 0) == 0 && fsync(from) == 0);
		CHECK(posix_fadvise(from, 0, 0, POSIX_FADV_DONTNEED) == 0);
		pid = fork();
		if (!pid) {
			CHECK(write(fd, m, all) == (ssize_t)good);
			_exit(0);
		}
		for (i = 0; size_of(direct) == 0 && i < 60000; i++)
			usleep(1000);
		write_all(direct, 2 * PAGE, there, 34);
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		for (i = 0; i < 2; i++) {
			CHECK(size_of(fd) >= (off_t)there + 2 * PAGE);
			read_all(i ? direct : fd, 2 * PAGE, there, 34);
			read_all(i ? direct : fd, good, 0, 33);
			CHECK(pread(fd, buf, MIB, good) == MIB && zeros(buf, MIB));
			CHECK(fsync(fd) == 0);
		}
	}
	CHECK(munmap(m, all) == 0);
	close(direct);
	close(from);
	close(fd);
}

static void vectors(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR), i;
	unsigned char *buf = pages(MIB), *got = pages(MIB);
	struct iovec v[5] = {
		{ buf, 1 }, { buf + 1, 4095 }, { buf + PAGE, 0 },
		{ buf + PAGE, 100000 }, { buf + PAGE + 100000, 17 },
	};
	size_t total = 0;

	for (i = 0; i < 5; i++)
		total += v[i].iov_len;
	fill(buf, MIB, 0, 7);
	CHECK(pwritev(fd, v, 5, 0) == (ssize_t)total);
	for (i = 0; i < 5; i++)
		v[i].iov_base = (char *)got + ((unsigned char *)v[i].iov_base - buf);
	CHECK(preadv(fd, v, 5, 0) == (ssize_t)total);
	CHECK(same(got, total, 0, 7));
	close(fd);
}

/* What can be read of the memory is written, and counts; also where it is a map of a file. */
static void bad_memory(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR), from = open_file("g", O_CREAT | O_RDWR), i;
	unsigned char *buf = pages(4 * PAGE), *m;
	struct iovec v[2] = { { buf, PAGE + 10 }, { buf + 2 * PAGE, PAGE } };

	write_all(fd, 4 * PAGE, 0, 30);
	fill(buf, 2 * PAGE, 0, 31);
	CHECK(munmap(buf + 2 * PAGE, 2 * PAGE) == 0);
	FAILS(pwrite(fd, buf + 2 * PAGE, PAGE, 0), EFAULT);
	FAILS(pwrite(fd, buf + 2 * PAGE, 2 * PAGE, 100), EFAULT);
	read_all(fd, 4 * PAGE, 0, 30);
	CHECK(pwritev(fd, v, 2, 0) == PAGE + 10);
	CHECK(pwrite(fd, buf + PAGE + 1000, 3 * PAGE - 1000, PAGE + 1000) == PAGE - 1000);
	read_all(fd, PAGE + 10, 0, 31);
	read_all(fd, 1000 - 10, PAGE + 10, 30);
	read_all(fd, PAGE - 1000, PAGE + 1000, 31);
	read_all(fd, 2 * PAGE, 2 * PAGE, 30);
	CHECK(size_of(fd) == 4 * PAGE);
	write_all(from, 3 * MIB + 100, 0, 32);
	for (i = 0; i < 2; i++) {
		CHECK(fsync(from) == 0);
		CHECK(posix_fadvise(from, 0, 0, POSIX_FADV_DONTNEED) == 0);
		m = mmap(NULL, 4 * MIB, PROT_READ, MAP_SHARED, from, 0);
		CHECK(m != MAP_FAILED);
		CHECK(pwrite(i ? from : fd, m, 4 * MIB, 0) == 3 * MIB + PAGE);
		munmap(m, 4 * MIB);
		read_all(i ? from : fd, 3 * MIB + 100, 0, 32);
	}
	close(from);
	close(fd);
}

static void seeks(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);

	write_all(fd, 1000, 0, 8);
	CHECK(lseek(fd, -100, SEEK_END) == 900);
	CHECK(lseek(fd, 50, SEEK_CUR) == 950);
	FAILS(lseek(fd, -2000, SEEK_CUR), EINVAL);
	CHECK(lseek(fd, 0, SEEK_DATA) == 0);
	CHECK(lseek(fd, 0, SEEK_HOLE) == 1000);
	FAILS(lseek(fd, 2000, SEEK_DATA), ENXIO);
	close(fd);
}

/* ---- direct ---------------------------------------------------------------- */

static void direct_aligned(void)
{
	static const size_t lens[] = { PAGE, 16 * PAGE, 256 * PAGE, 4 * MIB, 7 * MIB };
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT);
	unsigned char *buf = pages(8 * MIB);
	size_t i;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		fill(buf, lens[i], i * PAGE, 20 + i);
		CHECK(pwrite(fd, buf, lens[i], i * PAGE) == (ssize_t)lens[i]);
		memset(buf, 0xee, lens[i]);
		CHECK(pread(fd, buf, lens[i], i * PAGE) == (ssize_t)lens[i]);
		CHECK(same(buf, lens[i], i * PAGE, 20 + i));
	}
	close(fd);
}

static void direct_short_at_eof(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);
	unsigned char *buf = pages(4 * MIB);

	write_all(fd, MIB + 12345, 0, 9);
	close(fd);
	fd = open_file("f", O_RDONLY | O_DIRECT);
	memset(buf, 0xee, 4 * MIB);
	CHECK(pread(fd, buf, 4 * MIB, 0) == MIB + 12345);
	CHECK(same(buf, MIB + 12345, 0, 9));
	CHECK(pread(fd, buf, PAGE, 4 * MIB) == 0);
	close(fd);
}

static void direct_unaligned(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT);
	unsigned char *buf = pages(4 * MIB), *all = pages(4 * MIB);
	unsigned int seed = 1;
	int i;

	write_all(fd, 3 * MIB, 0, 10);
	fill(all, 3 * MIB, 0, 10);
	if (!any_alignment(fd))
		check_skip("this file system wants aligned direct I/O");
	for (i = 0; i < 120; i++) {
		size_t off = rand_r(&seed) % (2 * MIB), mem = rand_r(&seed) % PAGE;
		size_t len = 1 + rand_r(&seed) % (i % 4 ? 9000 : MIB - PAGE);

		if (i & 1) {
			fill(all + off, len, off, 100 + i);
			memcpy(buf + mem, all + off, len);
			CHECK(pwrite(fd, buf + mem, len, off) == (ssize_t)len);
		} else {
			memset(buf, 0xee, mem + len + 1);
			CHECK(pread(fd, buf + mem, len, off) == (ssize_t)len);
			CHECK(!memcmp(buf + mem, all + off, len));
			CHECK(buf[mem + len] == 0xee);
			CHECK(!mem || buf[mem - 1] == 0xee);
		}
	}
	CHECK(pread(fd, buf, 3 * MIB, 0) == 3 * MIB && !memcmp(buf, all, 3 * MIB));
	close(fd);
}

static void direct_vectors(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT), i;
	unsigned char *buf = pages(4 * MIB), *got = pages(4 * MIB);
	struct iovec v[64];
	size_t total = 0;

	write_all(fd, MIB, 0, 11);
	if (!any_alignment(fd))
		check_skip("this file system wants aligned direct I/O");
	for (i = 0; i < 64; i++) {
		v[i].iov_base = buf + i * 3 * PAGE + i * 7 % 512;
		v[i].iov_len = 1 + (i * 1777) % 8000;
		fill(v[i].iov_base, v[i].iov_len, total, 12);
		total += v[i].iov_len;
	}
	CHECK(pwritev(fd, v, 64, 4321) == (ssize_t)total);
	for (i = 0; i < 64; i++)
		v[i].iov_base = got + ((unsigned char *)v[i].iov_base - buf);
	CHECK(preadv(fd, v, 64, 4321) == (ssize_t)total);
	for (total = 0, i = 0; i < 64; total += v[i++].iov_len)
		CHECK(same(v[i].iov_base, v[i].iov_len, total, 12));
	close(fd);
}

static void direct_and_buffered_agree(void)
{
	int direct = open_file("f", O_CREAT | O_RDWR | O_DIRECT);
	int plain = open_file("f", O_RDWR), i;
	unsigned char *buf = pages(MIB);

	for (i = 0; i < 20; i++) {
		size_t off = (i * 37 % 16) * 16 * PAGE;

		fill(buf, 16 * PAGE, off, 200 + i);
		CHECK(pwrite(i & 1 ? direct : plain, buf, 16 * PAGE, off) == 16 * PAGE);
		CHECK(pread(i & 1 ? plain : direct, buf, 16 * PAGE, off) == 16 * PAGE);
		CHECK(same(buf, 16 * PAGE, off, 200 + i));
	}
	close(direct);
	close(plain);
}

static void direct_bad_memory(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT);
	unsigned char *buf = pages(4 * PAGE);

	write_all(fd, 4 * PAGE, 0, 13);
	CHECK(munmap(buf + 2 * PAGE, 2 * PAGE) == 0);
	FAILS(pread(fd, buf + 2 * PAGE, PAGE, 0), EFAULT);
	FAILS(pwrite(fd, buf + 2 * PAGE, PAGE, 0), EFAULT);
	read_all(fd, 4 * PAGE, 0, 13);
	close(fd);
}

static void direct_fork(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT), i, status;
	unsigned char *buf = pages(MIB);

	write_all(fd, MIB, 0, 14);
	for (i = 0; i < 10; i++) {
		pid_t pid;

		memset(buf, 0, MIB);
		pid = fork();
		if (!pid) {
			memset(buf, 0x55, MIB);
			_exit(0);
		}
		CHECK(pread(fd, buf, MIB, 0) == MIB && same(buf, MIB, 0, 14));
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(same(buf, MIB, 0, 14));
	}
	close(fd);
}

static void parallel_writers_one_file(void)
{
	int p, i, status, fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT);

	for (p = 0; p < 4; p++) {
		if (fork() == 0) {
			fd = open_file("f", O_RDWR | O_DIRECT);
			for (i = p; i < 32; i += 4)
				write_all(fd, 32 * PAGE, (off_t)i * 32 * PAGE, 15);
			_exit(0);
		}
	}
	for (p = 0; p < 4; p++) {
		CHECK(wait(&status) > 0);
		CHECK(status == 0);
	}
	CHECK(size_of(fd) == 32 * 32 * PAGE);
	read_all(fd, 32 * 32 * PAGE, 0, 15);
	close(fd);
}

/* ---- mapped ----------------------------------------------------------------- */

static void map_read(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);
	unsigned char *m;

	write_all(fd, 2 * MIB + 100, 0, 16);
	m = mmap(NULL, 2 * MIB + 100, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK(same(m, 2 * MIB + 100, 0, 16));
	CHECK(zeros(m + 2 * MIB + 100, PAGE - 100));
	munmap(m, 2 * MIB + 100);
	close(fd);
	fd = open_file("f", O_RDONLY);
	m = mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK(same(m, 2 * MIB, 0, 16));
	munmap(m, 2 * MIB);
	close(fd);
}

static void map_sees_writes(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);
	int ro, direct;
	unsigned char *m, *buf = pages(PAGE);

	write_all(fd, MIB, 0, 17);
	ro = open_file("f", O_RDONLY);
	direct = open_file("f", O_RDWR | O_DIRECT);
	m = mmap(NULL, MIB, PROT_READ, MAP_SHARED, ro, 0);
	CHECK(m != MAP_FAILED);
	CHECK(same(m, MIB, 0, 17));
	write_all(fd, 3000, 5 * PAGE + 50, 18);
	CHECK(same(m + 5 * PAGE + 50, 3000, 5 * PAGE + 50, 18));
	fill(buf, PAGE, 9 * PAGE, 19);
	CHECK(pwrite(direct, buf, PAGE, 9 * PAGE) == PAGE);
	CHECK(same(m + 9 * PAGE, PAGE, 9 * PAGE, 19));
	CHECK(same(m + 10 * PAGE, PAGE, 10 * PAGE, 17));
	munmap(m, MIB);
}

static void map_private_write(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR);
	unsigned char *m;

	write_all(fd, 4 * PAGE, 0, 21);
	m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED);
	memset(m, 'z', PAGE);
	CHECK(m[0] == 'z');
	read_all(fd, 4 * PAGE, 0, 21);
	CHECK(same(m + PAGE, 3 * PAGE, PAGE, 21));
	munmap(m, 4 * PAGE);
	close(fd);
}

static void map_beyond_eof(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR), status;
	unsigned char *m;
	pid_t pid;

	write_all(fd, 100, 0, 22);
	m = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED);
	pid = fork();
	if (!pid) {
		volatile unsigned char c = m[2 * PAGE];

		(void)c;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	close(fd);
}

static void grow_by_direct(int fd, off_t end)
{
	int direct = open_file("f", O_RDWR | O_DIRECT);

	write_all(direct, PAGE, end - PAGE, 34);
	close(direct);
}

static void grow_by_sync(int fd, off_t end)
{
	int through = open_file("f", O_RDWR | O_DSYNC);

	write_all(through, PAGE, end - PAGE, 34);
	close(through);
}

static void grow_by_buffered(int fd, off_t end)
{
	write_all(fd, PAGE, end - PAGE, 34);
}

static void grow_by_fallocate(int fd, off_t end)
{
	CHECK(fallocate(fd, 0, 0, end) == 0);
}

static void grow_by_zero_range(int fd, off_t end)
{
	if (fallocate(fd, FALLOC_FL_ZERO_RANGE, end - PAGE, PAGE) != 0)
		CHECK(errno == EOPNOTSUPP && ftruncate(fd, end) == 0);
}

static void grow_by_truncate(int fd, off_t end)
{
	CHECK(ftruncate(fd, end) == 0);
}

/* What a map stores behind the end of file never becomes part of the file, however that grows. */
static void map_stores_beyond_eof(void)
{
	static void (*const grow[])(int fd, off_t end) = {
		grow_by_direct, grow_by_sync, grow_by_buffered, grow_by_fallocate,
		grow_by_zero_range, grow_by_truncate,
	};
	unsigned char *buf = pages(PAGE), *m;
	int fd, direct;
	size_t i;

	for (i = 0; i < sizeof(grow) / sizeof(grow[0]); i++) {
		fd = open_file("f", O_CREAT | O_RDWR | O_TRUNC);
		write_all(fd, 100, 0, 33);
		m = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(m != MAP_FAILED);
		m[200] = 'X';
		grow[i](fd, 3 * PAGE);
		CHECK(size_of(fd) == 3 * PAGE);
		printf("# growth %zu\n", i);
		CHECK(zeros(m + 100, PAGE - 100));
		CHECK(pread(fd, buf, PAGE, 0) == PAGE);
		CHECK(same(buf, 100, 0, 33) && zeros(buf + 100, PAGE - 100));
		CHECK(fsync(fd) == 0);
		direct = open_file("f", O_RDONLY | O_DIRECT);
		CHECK(pread(direct, buf, PAGE, 0) == PAGE);
		CHECK(same(buf, 100, 0, 33) && zeros(buf + 100, PAGE - 100));
		munmap(m, PAGE);
		close(direct);
		close(fd);
	}
}

static void execute(void)
{
	char buf[65536], self[256];
	int from, to, status;
	ssize_t n;
	pid_t pid;

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	CHECK(n > 0);
	self[n] = 0;
	from = open_file(self, O_RDONLY);
	to = open("prog", O_CREAT | O_WRONLY, 0755);
	CHECK(to >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		CHECK(write(to, buf, n) == n);
	close(from);
	CHECK(close(to) == 0);
	pid = fork();
	if (!pid) {
		execl("./prog", "prog", "--exit-42", NULL);
		_exit(1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

static void send_file(void)
{
	int from = open_file("f", O_CREAT | O_RDWR), to;
	off_t off = 100;
	size_t left = MIB;

	write_all(from, 2 * MIB, 0, 23);
	to = open_file("g", O_CREAT | O_RDWR);
	CHECK(lseek(to, 100, SEEK_SET) == 100);
	while (left) {
		ssize_t n = sendfile(to, from, &off, left);

		CHECK(n > 0);
		left -= n;
	}
	read_all(to, MIB, 100, 23);
	close(from);
	close(to);
}

/* ---- io_uring ------------------------------------------------------------------ */

static void uring_run(struct io_uring *r, int fd, unsigned char *buf, bool write, bool fixed,
		      unsigned int nr, size_t len)
{
	unsigned int i, done = 0;

	for (i = 0; i < nr; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(r);
		unsigned char *p = buf + i * len;
		off_t off = (off_t)(i * 7 % nr) * len;

		CHECK(sqe);
		if (write)
			fill(p, len, off, 24);
		if (write && fixed)
			io_uring_prep_write_fixed(sqe, fd, p, len, off, 0);
		else if (write)
			io_uring_prep_write(sqe, fd, p, len, off);
		else if (fixed)
			io_uring_prep_read_fixed(sqe, fd, p, len, off, 0);
		else
			io_uring_prep_read(sqe, fd, p, len, off);
		sqe->user_data = i;
	}
	CHECK(io_uring_submit(r) == (int)nr);
	while (done < nr) {
		struct io_uring_cqe *cqe;

		CHECK(io_uring_wait_cqe(r, &cqe) == 0);
		if (cqe->res != (int)len)
			printf("# cqe %llu: %d\n", (unsigned long long)cqe->user_data, cqe->res);
		CHECK(cqe->res == (int)len);
		if (!write)
			CHECK(same(buf + cqe->user_data * len, len,
				   (off_t)(cqe->user_data * 7 % nr) * len, 24));
		io_uring_cqe_seen(r, cqe);
		done++;
	}
}

static void uring_with(bool fixed, size_t len, int flags)
{
	enum { NR = 32 };
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT | flags);
	unsigned char *buf = pages(NR * len);
	struct iovec v = { buf, NR * len };
	struct io_uring r;

	CHECK(io_uring_queue_init(NR, &r, 0) == 0);
	if (fixed)
		CHECK(io_uring_register_buffers(&r, &v, 1) == 0);
	uring_run(&r, fd, buf, true, fixed, NR, len);
	memset(buf, 0xee, NR * len);
	uring_run(&r, fd, buf, false, fixed, NR, len);
	CHECK(size_of(fd) == (off_t)(NR * len));
	io_uring_queue_exit(&r);
	close(fd);
}

static void uring_plain_4k(void)
{
	uring_with(false, PAGE, 0);
}

static void uring_plain_128k(void)
{
	uring_with(false, 128 << 10, 0);
}

static void uring_fixed_4k(void)
{
	uring_with(true, PAGE, 0);
}

static void uring_fixed_512k(void)
{
	uring_with(true, 512 << 10, 0);
}

static void uring_dsync_4k(void)
{
	uring_with(false, PAGE, O_DSYNC);
}

static void uring_exit_in_flight(void)
{
	int i, status;

	for (i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (!pid) {
			int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT);
			unsigned char *buf = pages(8 * MIB);
			struct io_uring r;
			int k;

			CHECK(io_uring_queue_init(8, &r, 0) == 0);
			for (k = 0; k < 8; k++) {
				struct io_uring_sqe *sqe = io_uring_get_sqe(&r);

				io_uring_prep_write(sqe, fd, buf + k * MIB, MIB, (off_t)k * MIB);
			}
			CHECK(io_uring_submit(&r) == 8);
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(status == 0);
	}
}

/*
 * Transfers in flight into memory that goes away: it stays theirs, and whoever gets pages next does not get them.
 * Those come at another address: what io_uring left to a worker looks up its own when it starts.
 */
static void uring_unmapped_in_flight(void)
{
	enum { NR = 8, LEN = 64 << 10 };
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT), i, k;
	struct io_uring r;

	write_all(fd, NR * LEN, 0, 25);
	CHECK(io_uring_queue_init(NR, &r, 0) == 0);
	for (i = 0; i < 20; i++) {
		size_t len = i & 1 ? LEN : PAGE;
		unsigned char *buf = pages(NR * LEN), *other = pages(NR * LEN);

		for (k = 0; k < NR; k++)
			io_uring_prep_read(io_uring_get_sqe(&r), fd, buf + k * LEN, len,
					   (off_t)k * LEN);
		CHECK(io_uring_submit(&r) == NR);
		CHECK(munmap(buf, NR * LEN) == 0);
		fill(other, NR * LEN, 0, 26);
		for (k = 0; k < NR; k++) {
			struct io_uring_cqe *cqe;

			CHECK(io_uring_wait_cqe(&r, &cqe) == 0);
			CHECK(cqe->res == (int)len || cqe->res == -EFAULT);
			io_uring_cqe_seen(&r, cqe);
		}
		CHECK(same(other, NR * LEN, 0, 26));
		munmap(other, NR * LEN);
	}
	io_uring_queue_exit(&r);
	read_all(fd, NR * LEN, 0, 25);
	close(fd);
}

/* Reads that a truncation overtakes are short, or see old bytes or zeros, and nothing else. */
static void uring_truncated_in_flight(void)
{
	enum { NR = 16, LEN = 16 << 10 };
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT), i, k, n;
	unsigned char *buf = pages(NR * LEN);
	struct io_uring r;

	CHECK(io_uring_queue_init(NR, &r, 0) == 0);
	for (i = 0; i < 10; i++) {
		write_all(fd, NR * LEN, 0, 27);
		for (k = 0; k < NR; k++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&r);

			io_uring_prep_read(sqe, fd, buf + k * LEN, LEN, (off_t)k * LEN);
			sqe->user_data = k;
		}
		CHECK(io_uring_submit(&r) == NR);
		CHECK(ftruncate(fd, NR * LEN / 2) == 0);
		for (k = 0; k < NR; k++) {
			struct io_uring_cqe *cqe;
			size_t at;

			CHECK(io_uring_wait_cqe(&r, &cqe) == 0);
			at = cqe->user_data * LEN;
			CHECK(cqe->res >= 0 && cqe->res <= LEN);
			if (at < NR * LEN / 2)
				CHECK(cqe->res == LEN);
			for (n = 0; n < cqe->res; n++)
				CHECK(buf[at + n] == pat(at + n, 27) || !buf[at + n]);
			io_uring_cqe_seen(&r, cqe);
		}
	}
	io_uring_queue_exit(&r);
	read_all(fd, NR * LEN / 2, 0, 27);
	close(fd);
}

static void on_signal(int sig)
{
}

/* Signals that do not kill leave direct I/O whole. */
static void direct_under_signals(void)
{
	int fd = open_file("f", O_CREAT | O_RDWR | O_DIRECT), i, status;
	struct sigaction sa = { .sa_handler = on_signal };
	unsigned char *buf = pages(MIB);
	pid_t pid, self = getpid();

	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	pid = fork();
	while (!pid && getppid() == self && kill(self, SIGUSR1) == 0)
		usleep(2000);
	if (!pid)
		_exit(0);
	for (i = 0; i < 20; i++) {
		size_t len = i & 1 ? MIB : PAGE;

		fill(buf, len, 0, 100 + i);
		CHECK(pwrite(fd, buf, len, 0) == (ssize_t)len);
		memset(buf, 0, len);
		CHECK(pread(fd, buf, len, 0) == (ssize_t)len && same(buf, len, 0, 100 + i));
	}
	CHECK(kill(pid, SIGKILL) == 0);
	while (waitpid(pid, &status, 0) < 0)
		CHECK(errno == EINTR);
	close(fd);
}

/* RWF_NOWAIT: all of it at once, or EAGAIN with nothing done. */
static void no_wait(void)
{
	int plain = open_file("f", O_CREAT | O_RDWR), direct = open_file("f", O_RDWR | O_DIRECT), i;
	unsigned char *buf = pages(4 * PAGE);
	struct iovec v = { buf, 4 * PAGE };

	write_all(direct, 4 * PAGE, 0, 28);
	for (i = 0; i < 8; i++) {
		ssize_t n = preadv2(i & 1 ? direct : plain, &v, 1, 0, RWF_NOWAIT);

		CHECK(n == 4 * PAGE || (n < 0 && errno == EAGAIN));
		if (n > 0)
			CHECK(same(buf, 4 * PAGE, 0, 28));
		if (i == 4)
			read_all(plain, 4 * PAGE, 0, 28);
	}
	fill(buf, 4 * PAGE, 0, 29);
	i = pwritev2(direct, &v, 1, 0, RWF_NOWAIT) == 4 * PAGE ? 29 : 28;
	CHECK(i == 29 || errno == EAGAIN);
	read_all(direct, 4 * PAGE, 0, i);
	close(direct);
	close(plain);
}

#define C(fn) { #fn, fn }

static const struct check checks[] = {
	C(buffered_round_trip), C(small_writes), C(end_of_file), C(holes), C(truncation),
	C(appends), C(parallel_appends), C(last_page_is_read), C(appends_at_the_limit),
	C(append_ends_early), C(vectors),
	C(bad_memory), C(seeks), C(direct_aligned), C(direct_short_at_eof), C(direct_unaligned),
	C(direct_vectors), C(direct_and_buffered_agree), C(direct_bad_memory), C(direct_fork),
	C(parallel_writers_one_file), C(map_read), C(map_sees_writes), C(map_private_write),
	C(map_beyond_eof), C(map_stores_beyond_eof), C(execute), C(send_file), C(uring_plain_4k),
	C(uring_plain_128k), C(uring_fixed_4k), C(uring_fixed_512k), C(uring_dsync_4k),
	C(uring_exit_in_flight), C(uring_unmapped_in_flight), C(uring_truncated_in_flight),
	C(direct_under_signals), C(no_wait),
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--exit-42"))
		return 42;
	if (argc != 2) {
		fprintf(stderr, "usage: posix_data DIR\n");
		return 2;
	}
	return check_main(argv[1], checks, sizeof(checks) / sizeof(checks[0]), 120);
}
