// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checks of a SQLite write-ahead log, by its documented format
 * (https://www.sqlite.org/fileformat2.html#walformat).
 *
 * Commits are synced one by one, so only the last transaction can be torn. When
 * frames of the same generation (equal salts) lie behind the end of the
 * transaction that a broken frame belongs to, that transaction was on the disk
 * once. The header is one sector and synced before the first frame: it is never
 * torn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "wal.h"

#define HDR	32
#define FRAME	24

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | p[2] << 16 | p[1] << 8 | p[0];
}

/* SQLite's sum over 8-byte steps, continued in @s. */
static void sum(uint32_t s[2], const uint8_t *p, size_t len, bool big)
{
	size_t i;

	for (i = 0; i < len; i += 8) {
		s[0] += (big ? be32(p + i) : le32(p + i)) + s[1];
		s[1] += (big ? be32(p + i + 4) : le32(p + i + 4)) + s[0];
	}
}

static bool zero(const uint8_t *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

/* Frames of the generation behind the end of the transaction that frame @at is in? */
static bool more_after(const uint8_t *hdr, const uint8_t *at, const uint8_t *end, size_t step)
{
	bool ended = false;

	for (; at + step <= end && !memcmp(at + 8, hdr + 16, 8); at += step) {
		if (ended)
			return true;
		ended = be32(at + 4);
	}
	return false;
}

static int frames_check(const uint8_t *buf, size_t len, size_t page, bool big, uint32_t s[2])
{
	const uint8_t *p, *end = buf + len;
	size_t step = FRAME + page;

	for (p = buf + HDR; p + step <= end; p += step) {
		if (memcmp(p + 8, buf + 16, 8))
			return 0;	/* of an older generation, or nothing yet */
		sum(s, p, 8, big);
		sum(s, p + FRAME, page, big);
		if (be32(p + 16) != s[0] || be32(p + 20) != s[1])
			return more_after(buf, p, end, step) ? -EUCLEAN : 0;
	}
	return 0;
}

static int wal_check(const uint8_t *buf, size_t len)
{
	uint32_t s[2] = { 0, 0 }, magic, page;
	bool big;

	if (len < HDR || zero(buf, len > HDR + FRAME ? HDR + FRAME : len))
		return 0;
	magic = be32(buf);
	page = be32(buf + 8);
	if ((magic & ~1u) != 0x377f0682 || page < 512 || page > 65536 || (page & (page - 1)))
		return -EUCLEAN;
	big = magic & 1;
	sum(s, buf, 24, big);
	if (be32(buf + 24) != s[0] || be32(buf + 28) != s[1])
		return -EUCLEAN;
	return frames_check(buf, len, page, big, s);
}

int flint_raft_wal_check(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	uint8_t *buf = NULL;
	struct stat sb;
	ssize_t n;
	off_t at;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &sb))
		err = -errno;
	else if (sb.st_size && !(buf = malloc(sb.st_size)))
		err = -ENOMEM;
	for (at = 0; !err && at < sb.st_size; at += n) {
		n = pread(fd, buf + at, sb.st_size - at, at);
		if (n <= 0) {
			err = n ? -errno : -EIO;
			break;
		}
	}
	if (!err && buf)
		err = wal_check(buf, sb.st_size);
	free(buf);
	close(fd);
	return err;
}
