// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keeps a file open that it deletes, and reads it again whenever told to: a
 * line on standard input asks for one read, the answer is "same" or what is
 * wrong. Ends with standard input.
 *
 * usage: keepopen FILE     (made, filled, deleted)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEN (3u << 20)

int main(int argc, char **argv)
{
	unsigned char *want = aligned_alloc(4096, LEN), *got = aligned_alloc(4096, LEN);
	char line[16];
	size_t i;
	int fd;

	if (argc != 2 || !want || !got)
		return 2;
	for (i = 0; i < LEN; i++)
		want[i] = i * 31 + (i >> 9);
	fd = open(argv[1], O_CREAT | O_EXCL | O_RDWR | O_DIRECT, 0600);
	if (fd < 0 || pwrite(fd, want, LEN, 0) != LEN || unlink(argv[1])) {
		perror(argv[1]);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		ssize_t n;

		memset(got, 0, LEN);
		n = pread(fd, got, LEN, 0);
		if (n == LEN && !memcmp(want, got, LEN))
			puts("same");
		else
			printf("differs: %zd bytes, %s\n", n, n < 0 ? strerror(errno) : "wrong data");
	}
	return 0;
}
