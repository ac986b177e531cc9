// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program that the demonstration compiles and runs on the mount.
 *
 *	hello FILE			say how many bytes and lines FILE has
 *	hello --write FILE BYTES	fill FILE with a pattern
 *	hello --map FILE BYTES		map FILE, read every byte, compare with the pattern
 *
 * The pattern is the 64-bit number of each 8-byte word, mixed, so that a page
 * in the wrong place shows.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t pattern(uint64_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

static int count_lines(const char *path)
{
	unsigned long bytes = 0, lines = 0;
	FILE *f = fopen(path, "r");
	int c;

	if (!f) {
		perror(path);
		return 1;
	}
	while ((c = getc(f)) != EOF) {
		bytes++;
		lines += c == '\n';
	}
	fclose(f);
	printf("hello from a program on FlintFS: my source has %lu bytes in %lu lines\n", bytes, lines);
	return 0;
}

static int write_pattern(const char *path, size_t size)
{
	size_t block = 1 << 20, done, i;
	uint64_t *buf = malloc(block);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	if (!buf || fd < 0) {
		perror(path);
		return 1;
	}
	for (done = 0; done < size; done += block) {
		for (i = 0; i < block / 8; i++)
			buf[i] = pattern(done / 8 + i);
		if (write(fd, buf, block) != (ssize_t)block) {
			perror(path);
			return 1;
		}
	}
	if (fsync(fd) || close(fd)) {
		perror(path);
		return 1;
	}
	free(buf);
	return 0;
}

static int check_map(const char *path, size_t size)
{
	int fd = open(path, O_RDONLY);
	const uint64_t *map;
	struct stat st;
	size_t i;

	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		return 1;
	}
	if ((size_t)st.st_size != size) {
		fprintf(stderr, "%s has %lld bytes, not %zu\n", path, (long long)st.st_size, size);
		return 1;
	}
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (i = 0; i < size / 8; i++) {
		if (map[i] != pattern(i)) {
			fprintf(stderr, "%s: wrong data at byte %zu\n", path, i * 8);
			return 1;
		}
	}
	munmap((void *)map, size);
	close(fd);
	printf("%zu MiB read through the map, every byte right\n", size >> 20);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return count_lines(argv[1]);
	if (argc == 4 && !strcmp(argv[1], "--write"))
		return write_pattern(argv[2], strtoull(argv[3], NULL, 0));
	if (argc == 4 && !strcmp(argv[1], "--map"))
		return check_map(argv[2], strtoull(argv[3], NULL, 0));
	fprintf(stderr, "usage: hello FILE | --write FILE BYTES | --map FILE BYTES\n");
	return 2;
}
