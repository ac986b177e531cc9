// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sizes under concurrency: writers that extend one file together, truncations
 * that run into them, holes, punching and fallocate.
 *
 *   extend DIRECTORY
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "lib/check.h"

#define BLOCK 65536
#define MIB (1 << 20)
#define WRITERS 4
#define BLOCKS 20	/* of each writer */

static int fd;
static atomic_bool stop_storing;

static void *writer(void *arg)
{
	long id = (long)arg;
	char *buf = aligned_alloc(4096, BLOCK);

	CHECK(buf);
	memset(buf, 'a' + (int)id, BLOCK);
	for (int i = 0; i < BLOCKS; i++)
		CHECK(pwrite(fd, buf, BLOCK, (i * WRITERS + id) * (off_t)BLOCK) == BLOCK);
	free(buf);
	return NULL;
}

static void *truncater(void *arg)
{
	for (int i = 0; i < 10; i++) {
		CHECK(!ftruncate(fd, 0));
		usleep(50000);
	}
	return NULL;
}

static void run_writers(bool truncate)
{
	pthread_t t[WRITERS], tt;

	for (long i = 0; i < WRITERS; i++)
		CHECK(!pthread_create(&t[i], NULL, writer, (void *)i));
	if (truncate)
		CHECK(!pthread_create(&tt, NULL, truncater, NULL));
	for (int i = 0; i < WRITERS; i++)
		CHECK(!pthread_join(t[i], NULL));
	if (truncate)
		CHECK(!pthread_join(tt, NULL));
}

static off_t size_now(void)
{
	struct stat st;

	CHECK(!fstat(fd, &st));
	return st.st_size;
}

/* Every byte is its writer's or, where holes are allowed, zero. */
static void check_blocks(bool holes)
{
	static char buf[BLOCK] __attribute__((aligned(4096)));
	off_t size = size_now();

	for (off_t at = 0; at < size; at += BLOCK) {
		ssize_t n = pread(fd, buf, BLOCK, at);

		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i++)
			CHECK(buf[i] == 'a' + at / BLOCK % WRITERS || (holes && !buf[i]));
	}
}

static void open_file(int flags)
{
	fd = open("f", O_RDWR | O_CREAT | flags, 0644);
	CHECK(fd >= 0);
}

static void parallel_extending_writers(void)
{
	open_file(O_DIRECT);
	run_writers(false);
	CHECK(size_now() == (off_t)WRITERS * BLOCKS * BLOCK);
	check_blocks(false);
}

static void truncations_against_writers(void)
{
	open_file(O_DIRECT);
	run_writers(true);
	check_blocks(true);
}

/* What a truncation cut off must not come back when the file grows again. */
static void cut_data_stays_away(void)
{
	static char buf[BLOCK] __attribute__((aligned(4096)));

	open_file(O_DIRECT);
	run_writers(false);
	CHECK(!ftruncate(fd, 1000));
	CHECK(!ftruncate(fd, (off_t)WRITERS * BLOCKS * BLOCK));
	CHECK(pread(fd, buf, BLOCK, 0) == BLOCK);
	for (int i = 0; i < BLOCK; i++)
		CHECK(buf[i] == (i < 1000 ? 'a' : 0));
	for (off_t at = BLOCK; at < (off_t)WRITERS * BLOCKS * BLOCK; at += BLOCK) {
		CHECK(pread(fd, buf, BLOCK, at) == BLOCK);
		for (int i = 0; i < BLOCK; i++)
			CHECK(!buf[i]);
	}
}

static void *storer(void *arg)
{
	volatile char *map = arg;
	long n = 0;

	while (!atomic_load(&stop_storing))
		map[n % BLOCK] = 'a' + n / BLOCK % 26, n++;
	return (void *)n;
}

/* Pages of a map become dirty while the file is cut behind them: neither waits for the other. */
static void truncations_under_a_map(void)
{
	time_t begun = time(NULL);
	pthread_t t;
	char *map;
	void *n;

	open_file(0);
	CHECK(!ftruncate(fd, MIB));
	map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	atomic_store(&stop_storing, false);
	CHECK(!pthread_create(&t, NULL, storer, map));
	for (int i = 0; i < 20; i++) {
		CHECK(!ftruncate(fd, BLOCK));
		CHECK(!ftruncate(fd, MIB));
		if (i % 4 == 3)
			CHECK(!fsync(fd));
	}
	atomic_store(&stop_storing, true);
	CHECK(!pthread_join(t, &n));
	CHECK(!munmap(map, BLOCK));
	CHECK(!fsync(fd));
	CHECK(time(NULL) - begun < 25);	/* a session lease is 30 s */
	if (n) {
		char c;

		CHECK(pread(fd, &c, 1, ((long)n - 1) % BLOCK) == 1);
		CHECK(c == 'a' + ((long)n - 1) / BLOCK % 26);
	}
}

static void punch_hole(void)
{
	static char buf[BLOCK] __attribute__((aligned(4096)));
	off_t size;

	open_file(O_DIRECT);
	run_writers(false);
	size = size_now();
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK + 100, 20 * BLOCK));
	CHECK(size_now() == size);
	CHECK(pread(fd, buf, BLOCK, BLOCK) == BLOCK);
	for (int i = 0; i < BLOCK; i++)
		CHECK(buf[i] == (i < 100 ? 'b' : 0));
	CHECK(pread(fd, buf, BLOCK, 21 * BLOCK) == BLOCK);
	for (int i = 0; i < BLOCK; i++)
		CHECK(buf[i] == (i < 100 ? 0 : 'b'));
}

static void punch_is_seen_by_maps(void)
{
	char c;

	open_file(0);
	CHECK(write(fd, "0123456789", 10) == 10);
	CHECK(pread(fd, &c, 1, 5) == 1 && c == '5');
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4, 3));
	CHECK(pread(fd, &c, 1, 5) == 1 && c == 0);
	CHECK(pread(fd, &c, 1, 7) == 1 && c == '7');
}

static void fallocate_grows(void)
{
	char buf[10];

	open_file(0);
	CHECK(write(fd, "data", 4) == 4);
	CHECK(!fallocate(fd, 0, 0, 3 << 20));
	CHECK(size_now() == 3 << 20);
	CHECK(pread(fd, buf, 10, 0) == 10 && !memcmp(buf, "data\0\0\0\0\0\0", 10));
	CHECK(!fallocate(fd, 0, 0, 1 << 20));
	CHECK(size_now() == 3 << 20);
	CHECK(!posix_fallocate(fd, 0, 4 << 20));
	CHECK(size_now() == 4 << 20);
}

int main(int argc, char **argv)
{
	static const struct check checks[] = {
		{ "parallel_extending_writers", parallel_extending_writers },
		{ "truncations_against_writers", truncations_against_writers },
		{ "cut_data_stays_away", cut_data_stays_away },
		{ "truncations_under_a_map", truncations_under_a_map },
		{ "punch_hole", punch_hole },
		{ "punch_is_seen_by_maps", punch_is_seen_by_maps },
		{ "fallocate_grows", fallocate_grows },
	};

	if (argc != 2) {
		fprintf(stderr, "usage: extend DIRECTORY\n");
		return 2;
	}
	return check_main(argv[1], checks, sizeof(checks) / sizeof(checks[0]), 120);
}
