// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk that fails on command: preloaded into a daemon, it fails syncs or writes
 * of files whose path contains $FAULT_MATCH while the file $FAULT_TRIGGER exists.
 * Its first letter says how: "s" syncs fail with EIO, "f" writes with ENOSPC, "l" the
 * file systems say that nearly nothing is free, "n" that little is, but enough for what does not
 * grow, "c" the clock is 5 s ahead.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd);
int fsync(int fd);
ssize_t pwrite(int fd, const void *buf, size_t len, off_t at);
ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at);
int statvfs(const char *path, struct statvfs *sv);
int statvfs64(const char *path, struct statvfs64 *sv);
int clock_gettime(clockid_t clock, struct timespec *ts);

static int ordered(char how)
{
	const char *trigger = getenv("FAULT_TRIGGER");
	char letter = 0;
	ssize_t n;
	int t;

	t = trigger ? open(trigger, O_RDONLY) : -1;
	if (t < 0)
		return 0;
	n = read(t, &letter, 1);
	close(t);
	return n == 1 && letter == how;
}

static int fails(int fd, char how)
{
	const char *match = getenv("FAULT_MATCH");
	char link[64], path[512];
	ssize_t n;

	if (!match || !ordered(how))
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = 0;
	return !!strstr(path, match);
}

int fdatasync(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");

	if (!fails(fd, 's'))
		return real(fd);
	errno = EIO;
	return -1;
}

int fsync(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "fsync");

	if (!fails(fd, 's'))
		return real(fd);
	errno = EIO;
	return -1;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");

	if (!fails(fd, 'f'))
		return real(fd, buf, len, at);
	errno = ENOSPC;
	return -1;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");

	if (!fails(fd, 'f'))
		return real(fd, buf, len, at);
	errno = ENOSPC;
	return -1;
}

/* Blocks free: between LOW_BYTES and FULL_BYTES of userd/raft/node.c. */
static unsigned long long little(unsigned long long blocks, unsigned long size)
{
	unsigned long long n = (40ull << 20) / size;

	return blocks / 96 < n ? blocks / 96 : n;
}

int statvfs(const char *path, struct statvfs *sv)
{
	int (*real)(const char *, struct statvfs *) = dlsym(RTLD_NEXT, "statvfs");
	int err = real(path, sv);

	if (!err && ordered('l'))
		sv->f_bavail = sv->f_bfree = 1;
	if (!err && ordered('n'))
		sv->f_bavail = sv->f_bfree = little(sv->f_blocks, sv->f_frsize);
	return err;
}

int statvfs64(const char *path, struct statvfs64 *sv)
{
	int (*real)(const char *, struct statvfs64 *) = dlsym(RTLD_NEXT, "statvfs64");
	int err = real(path, sv);

	if (!err && ordered('l'))
		sv->f_bavail = sv->f_bfree = 1;
	if (!err && ordered('n'))
		sv->f_bavail = sv->f_bfree = little(sv->f_blocks, sv->f_frsize);
	return err;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	int err = real(clock, ts);

	if (!err && clock == CLOCK_REALTIME && ordered('c'))
		ts->tv_sec += 5;
	return err;
}
