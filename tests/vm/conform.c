// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What applications expect of a Linux file system beyond posix.c, from POSIX.1 and the
 * manual pages: holes, fallocate, clones, files without a name, file flags, projects,
 * file handles; and a matrix of operations by type of file, permission and errno.
 *
 * usage: conform DIR     (as root; what a local file system lacks is skipped there)
 */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdint.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include "lib/check.h"

#define KIB		1024ll
#define MIB		(1024 * KIB)
#define FLINT_MAGIC	0x464c4e54

static int make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0644);

	CHECK(fd >= 0);
	return fd;
}

static void touch(const char *path)
{
	CHECK(close(make_file(path)) == 0);
}

static void fill(int fd, off_t at, size_t len, int byte)
{
	char *buf = malloc(len);

	CHECK(buf);
	memset(buf, byte, len);
	CHECK(pwrite(fd, buf, len, at) == (ssize_t)len);
	free(buf);
}

/* Every byte of [at, at + len) is @byte. */
static bool is(int fd, off_t at, size_t len, int byte)
{
	unsigned char *buf = malloc(len);
	bool same = true;
	size_t i;

	CHECK(buf);
	CHECK(pread(fd, buf, len, at) == (ssize_t)len);
	for (i = 0; i < len && same; i++)
		same = buf[i] == (unsigned char)byte;
	if (!same)
		printf("# byte %lld is %d, not %d\n", (long long)at + (long long)i - 1,
		       buf[i - 1], byte);
	free(buf);
	return same;
}

static off_t size_of(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_size;
}

static struct stat st_of(const char *path)
{
	struct stat st;

	CHECK(lstat(path, &st) == 0);
	return st;
}

static int64_t ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool on_flint(void)
{
	struct statfs sfs;

	CHECK(statfs(".", &sfs) == 0);
	return sfs.f_type == FLINT_MAGIC;
}

/* Run fn as another user, with a supplementary group, and tell whether it returned true. */
static bool as_user(uid_t uid, gid_t gid, bool (*fn)(void))
{
	gid_t groups[] = { 4000 };
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		if (setgroups(1, groups) || setgid(gid) || setuid(uid))
			_exit(2);
		_exit(fn() ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- holes ------------------------------------------------------------- */

static void seek_basic(void)
{
	int fd = make_file("f");

	FAILS(lseek(fd, 0, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 0, SEEK_HOLE), ENXIO);
	fill(fd, 0, 64 * KIB, 1);
	CHECK(lseek(fd, 0, SEEK_DATA) == 0);
	CHECK(lseek(fd, 0, SEEK_HOLE) == 64 * KIB);
	CHECK(lseek(fd, 5000, SEEK_DATA) == 5000);
	FAILS(lseek(fd, 64 * KIB, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, -1, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, -1, SEEK_HOLE), ENXIO);
	CHECK(lseek(fd, 0, SEEK_END) == 64 * KIB);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	FAILS(lseek(fd, 0, 99), EINVAL);
}

/* Data and holes in turn, within a chunk and over many. */
static void seek_sparse(void)
{
	static const off_t at[] = { 128 * KIB, 512 * KIB, 3 * MIB, 9 * MIB, 40 * MIB };
	int fd = make_file("f");
	off_t pos = 0, hole;
	size_t i;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		fill(fd, at[i], 64 * KIB, 1);
	CHECK(ftruncate(fd, 100 * MIB) == 0);
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		pos = lseek(fd, pos, SEEK_DATA);
		CHECK(pos <= at[i] && pos > at[i] - 64 * KIB);
		hole = lseek(fd, pos, SEEK_HOLE);
		CHECK(hole >= at[i] + 64 * KIB && hole < at[i] + 128 * KIB);
		CHECK(lseek(fd, hole, SEEK_HOLE) == hole);
		pos = hole;
	}
	FAILS(lseek(fd, pos, SEEK_DATA), ENXIO);
	CHECK(lseek(fd, 99 * MIB, SEEK_HOLE) == 99 * MIB);
}

/* Whole, over all chains: one piece of data. */
static void seek_dense(void)
{
	int fd = make_file("f");

	fill(fd, 0, 12 * MIB, 1);
	fill(fd, 12 * MIB, 1234, 1);
	CHECK(lseek(fd, 0, SEEK_HOLE) == 12 * MIB + 1234);
	CHECK(lseek(fd, 7 * MIB + 1, SEEK_HOLE) == 12 * MIB + 1234);
	CHECK(lseek(fd, 7 * MIB + 1, SEEK_DATA) == 7 * MIB + 1);
}

static unsigned int extents(int fd, struct fiemap_extent *e, unsigned int max, uint64_t start)
{
	char buf[sizeof(struct fiemap) + 64 * sizeof(struct fiemap_extent)] = "";
	struct fiemap *fm = (struct fiemap *)buf;

	fm->fm_start = start;
	fm->fm_length = FIEMAP_MAX_OFFSET;
	fm->fm_extent_count = max;
	CHECK(ioctl(fd, FS_IOC_FIEMAP, fm) == 0);
	if (max)
		memcpy(e, fm->fm_extents, fm->fm_mapped_extents * sizeof(*e));
	return fm->fm_mapped_extents;
}

static void fiemap(void)
{
	struct fiemap_extent e[8];
	int fd = make_file("f");

	CHECK(extents(fd, e, 8, 0) == 0);
	fill(fd, 0, 3 * MIB, 1);
	fill(fd, 8 * MIB, 64 * KIB, 1);
	CHECK(ftruncate(fd, 20 * MIB) == 0);
	CHECK(extents(fd, e, 8, 0) >= 2);
	if (!on_flint())
		return;
	CHECK(extents(fd, e, 8, 0) == 2);
	CHECK(e[0].fe_logical == 0 && e[0].fe_length == 3 * MIB);
	CHECK(!(e[0].fe_flags & FIEMAP_EXTENT_LAST));
	CHECK(e[1].fe_logical == 8 * MIB && e[1].fe_length == 64 * KIB);
	CHECK(e[1].fe_flags & FIEMAP_EXTENT_LAST);
	CHECK(extents(fd, e, 0, 0) == 2);
	CHECK(extents(fd, e, 1, 0) == 1);
	CHECK(extents(fd, e, 8, 4 * MIB) == 1 && e[0].fe_logical == 8 * MIB);
}

/* ---- fallocate --------------------------------------------------------- */

static void falloc_grow(void)
{
	int fd = make_file("f");
	struct stat st;

	fill(fd, 0, 1000, 7);
	CHECK(fallocate(fd, 0, 500, 5000) == 0);
	CHECK(size_of(fd) == 5500);
	CHECK(is(fd, 0, 1000, 7) && is(fd, 1000, 4500, 0));
	CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 * MIB) == 0);
	CHECK(size_of(fd) == 5500);
	CHECK(fstat(fd, &st) == 0);
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	FAILS(fallocate(fd, 0, -1, 10), EINVAL);
	FAILS(fallocate(fd, 0, LLONG_MAX - 5, 4), EFBIG);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	FAILS(fallocate(fd, 0x800, 0, 4096), EOPNOTSUPP);
	if (on_flint()) {
		FAILS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1ll << 40), ENOSPC);
		FAILS(fallocate(fd, 0, 0, 1ll << 40), ENOSPC);
	}
	CHECK(close(fd) == 0);
	fd = open("f", O_RDONLY);
	FAILS(fallocate(fd, 0, 0, 4096), EBADF);
	CHECK(mkfifo("p", 0600) == 0);
	fd = open("p", O_RDWR);
	FAILS(fallocate(fd, 0, 0, 4096), ESPIPE);
}

static void falloc_punch(void)
{
	int fd = make_file("f"), mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct stat a, b;

	fill(fd, 0, 4 * MIB, 9);
	CHECK(fstat(fd, &a) == 0);
	usleep(20000);
	CHECK(fallocate(fd, mode, 100 * KIB + 17, 2 * MIB) == 0);
	CHECK(fstat(fd, &b) == 0);
	CHECK(ns(b.st_mtim) > ns(a.st_mtim) && ns(b.st_ctim) > ns(a.st_ctim));
	CHECK(b.st_size == 4 * MIB);
	CHECK(is(fd, 0, 100 * KIB + 17, 9));
	CHECK(is(fd, 100 * KIB + 17, 2 * MIB, 0));
	CHECK(is(fd, 100 * KIB + 17 + 2 * MIB, MIB, 9));
	CHECK(lseek(fd, 0, SEEK_HOLE) >= 100 * KIB && lseek(fd, 0, SEEK_HOLE) < 300 * KIB);
	CHECK(fallocate(fd, mode, 3 * MIB, 100 * MIB) == 0);
	CHECK(size_of(fd) == 4 * MIB && is(fd, 3 * MIB, MIB, 0));
	CHECK(fallocate(fd, mode, 50 * MIB, MIB) == 0);
	CHECK(size_of(fd) == 4 * MIB);
}

static void falloc_zero(void)
{
	int fd = make_file("f"), rd = open("f", O_RDONLY);
	char *map;

	fill(fd, 0, 2 * MIB, 5);
	map = mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, rd, 0);
	CHECK(map != MAP_FAILED && map[MIB] == 5);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, MIB - 100, 200) == 0);
	CHECK(map[MIB] == 0 && map[MIB + 100] == 5 && map[MIB - 101] == 5);
	CHECK(is(fd, MIB - 100, 200, 0));
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 2 * MIB - 50, 100) == 0);
	CHECK(size_of(fd) == 2 * MIB);
	CHECK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 2 * MIB - 50, 100) == 0);
	CHECK(size_of(fd) == 2 * MIB + 50 && is(fd, 2 * MIB - 50, 100, 0));
}

/* The unit that this file system moves data in: blocks, or here chunks times chains. */
static off_t move_unit(int fd)
{
	off_t unit;

	for (unit = 4096; unit <= 16 * MIB; unit += unit < MIB ? unit : MIB) {
		CHECK(ftruncate(fd, 3 * unit + 1) == 0);
		if (!fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, unit, unit))
			return unit;
		CHECK(errno == EOPNOTSUPP || errno == EINVAL);
	}
	check_skip("no FALLOC_FL_COLLAPSE_RANGE");
}

static void falloc_collapse(void)
{
	int fd = make_file("f");
	off_t u = move_unit(fd);
	int i;

	CHECK(ftruncate(fd, 0) == 0);
	for (i = 0; i < 5; i++)
		fill(fd, i * u, u, i + 1);
	fill(fd, 5 * u, 1000, 6);
	CHECK(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, u, 2 * u) == 0);
	CHECK(size_of(fd) == 3 * u + 1000);
	CHECK(is(fd, 0, u, 1) && is(fd, u, u, 4) && is(fd, 2 * u, u, 5) && is(fd, 3 * u, 1000, 6));
	/* What was moved is its own now. */
	fill(fd, u, 100, 77);
	CHECK(is(fd, u, 100, 77) && is(fd, u + 100, u - 100, 4));
	FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 2 * u, 2 * u), EINVAL);
}

static void falloc_insert(void)
{
	int fd = make_file("f");
	off_t u = move_unit(fd);
	int i;

	CHECK(ftruncate(fd, 0) == 0);
	for (i = 0; i < 3; i++)
		fill(fd, i * u, u, i + 1);
	fill(fd, 3 * u, 1000, 4);
	CHECK(fallocate(fd, FALLOC_FL_INSERT_RANGE, u, 2 * u) == 0);
	CHECK(size_of(fd) == 5 * u + 1000);
	CHECK(is(fd, 0, u, 1) && is(fd, u, 2 * u, 0) && is(fd, 3 * u, u, 2) &&
	      is(fd, 4 * u, u, 3) && is(fd, 5 * u, 1000, 4));
	CHECK(lseek(fd, 0, SEEK_HOLE) == u && lseek(fd, u, SEEK_DATA) == 3 * u);
	FAILS(fallocate(fd, FALLOC_FL_INSERT_RANGE, 6 * u, u), EINVAL);
}

/* ---- clones ------------------------------------------------------------ */

static void clone_whole(void)
{
	int a = make_file("a"), b = make_file("b");

	fill(a, 0, 9 * MIB, 3);
	fill(a, 9 * MIB, 777, 4);
	if (ioctl(b, FICLONE, a) && (errno == EOPNOTSUPP || errno == ENOTTY))
		check_skip("no FICLONE");
	CHECK(size_of(b) == 9 * MIB + 777);
	CHECK(is(b, 0, 9 * MIB, 3) && is(b, 9 * MIB, 777, 4));
	/* Each goes its own way. */
	fill(a, MIB, 5000, 1);
	fill(b, 2 * MIB, 5000, 2);
	CHECK(is(b, MIB, 5000, 3) && is(a, 2 * MIB, 5000, 3));
	CHECK(is(a, MIB, 5000, 1) && is(b, 2 * MIB, 5000, 2));
	CHECK(ftruncate(a, 0) == 0);
	CHECK(is(b, 0, 2 * MIB, 3) && is(b, 9 * MIB, 777, 4));
	/* The layout is the same now: again, over what is there. */
	fill(a, 0, 10 * MIB, 8);
	CHECK(ioctl(b, FICLONE, a) == 0);
	CHECK(size_of(b) == 10 * MIB && is(b, 0, 10 * MIB, 8));
	FAILS(ioctl(b, FICLONE, b), EINVAL);
	CHECK(close(b) == 0 && close(a) == 0 && unlink("a") == 0);
	b = open("b", O_RDONLY);
	CHECK(is(b, 0, 10 * MIB, 8));
}

static void clone_errors(void)
{
	int a = make_file("a"), b = make_file("b"), d = open(".", O_RDONLY), r;
	struct file_clone_range fcr = { .src_fd = a, .src_length = 4096, .dest_offset = 100 };

	fill(a, 0, 8 * MIB, 3);
	r = open("b", O_RDONLY);
	if (ioctl(b, FICLONE, a) && (errno == EOPNOTSUPP || errno == ENOTTY))
		check_skip("no FICLONE");
	FAILS(ioctl(r, FICLONE, a), EBADF);
	FAILS(ioctl(b, FICLONE, d), EISDIR);
	FAILS(ioctl(b, FICLONERANGE, &fcr), EINVAL);
	fcr.dest_offset = 0;
	fcr.src_offset = 16 * MIB;
	FAILS(ioctl(b, FICLONERANGE, &fcr), EINVAL);
	close(b);
	b = open("b", O_WRONLY | O_APPEND);
	FAILS(ioctl(b, FICLONE, a), EBADF);
}

static void clone_busy_file(void)
{
	int a = make_file("a"), b = make_file("b"), r = open("b", O_RDONLY);

	if (!on_flint())
		check_skip("layouts are flintfs'");
	CHECK(r >= 0);
	fill(a, 0, 3 * MIB, 3);
	/* Somebody else may hold its layout; copying goes on by reading and writing. */
	if (ioctl(b, FICLONE, a))
		CHECK(errno == EOPNOTSUPP);
	CHECK(copy_file_range(a, &(off_t){ 0 }, b, &(off_t){ 0 }, 3 * MIB, 0) > 0);
}

static void copy_range(void)
{
	int a = make_file("a"), b = make_file("b");
	off_t in = 0, out = 0;
	ssize_t n;

	fill(a, 0, 5 * MIB, 1);
	fill(a, 5 * MIB, 300, 2);
	while ((n = copy_file_range(a, &in, b, &out, 100 * MIB, 0)) > 0)
		;
	CHECK(n == 0 && in == 5 * MIB + 300 && out == in && size_of(b) == in);
	CHECK(is(b, 0, 5 * MIB, 1) && is(b, 5 * MIB, 300, 2));
	/* Odd places. */
	in = 4 * MIB + 11;
	out = 333;
	CHECK(copy_file_range(a, &in, b, &out, 2000, 0) == 2000);
	CHECK(is(b, 333, 2000, 1) && in == 4 * MIB + 2011 && out == 2333);
	in = 6 * MIB;
	CHECK(copy_file_range(a, &in, b, &out, 10, 0) == 0);
	in = 0;
	out = 100;
	FAILS(copy_file_range(a, &in, a, &out, 4096, 0), EINVAL);
	FAILS(copy_file_range(a, NULL, b, NULL, 10, 1), EINVAL);
}

/* ---- files without a name ---------------------------------------------- */

static void tmpfile_basic(void)
{
	struct stat st, dir = st_of(".");
	char path[64];
	int fd, rd;

	fd = open(".", O_TMPFILE | O_RDWR, 0640);
	if (fd < 0 && errno == EOPNOTSUPP)
		check_skip("no O_TMPFILE");
	CHECK(fd >= 0);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && S_ISREG(st.st_mode));
	CHECK((st.st_mode & 0777) == 0640);
	fill(fd, 0, 3 * MIB, 4);
	CHECK(is(fd, 0, 3 * MIB, 4));
	CHECK(ns(st_of(".").st_mtim) == ns(dir.st_mtim));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 1);
	CHECK(st_of("named").st_ino == st.st_ino && st_of("named").st_size == 3 * MIB);
	CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "second", AT_SYMLINK_FOLLOW) == 0);
	CHECK(close(fd) == 0);
	rd = open("second", O_RDONLY);
	CHECK(is(rd, 0, 3 * MIB, 4));
	CHECK(unlink("named") == 0 && unlink("second") == 0);
	CHECK(is(rd, 0, 3 * MIB, 4));
	FAILS(linkat(AT_FDCWD, "/proc/self/fd/99", AT_FDCWD, "x", AT_SYMLINK_FOLLOW), ENOENT);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", rd);
	FAILS(linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW), ENOENT);
}

static void tmpfile_excl(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600);

	if (fd < 0 && errno == EOPNOTSUPP)
		check_skip("no O_TMPFILE");
	CHECK(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(linkat(AT_FDCWD, path, AT_FDCWD, "x", AT_SYMLINK_FOLLOW), ENOENT);
	FAILS(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	touch("f");
	FAILS(open("f", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
	FAILS(open("none", O_TMPFILE | O_RDWR, 0600), ENOENT);
}

static bool no_tmpfile(void)
{
	return open(".", O_TMPFILE | O_RDWR, 0600) < 0 && errno == EACCES;
}

static void tmpfile_permission(void)
{
	CHECK(chmod(".", 0755) == 0);
	CHECK(as_user(1234, 1234, no_tmpfile));
}

/* ---- flags and projects ------------------------------------------------- */

static int set_flags(const char *path, int flags)
{
	int fd = open(path, O_RDONLY), err, ret;

	CHECK(fd >= 0);
	ret = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

static int get_flags(const char *path)
{
	int fd = open(path, O_RDONLY), flags = 0;

	CHECK(fd >= 0);
	CHECK(ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0);
	close(fd);
	return flags;
}

static bool no_flags(void)
{
	return set_flags("f", FS_IMMUTABLE_FL) && errno == EPERM;
}

static void flags_immutable(void)
{
	struct stat st;
	int fd;

	touch("f");
	CHECK(mkdir("d", 0777) == 0);
	touch("d/x");
	if (set_flags("f", FS_IMMUTABLE_FL) && (errno == ENOTTY || errno == EOPNOTSUPP))
		check_skip("no FS_IOC_SETFLAGS");
	CHECK(get_flags("f") & FS_IMMUTABLE_FL);
	FAILS(open("f", O_WRONLY), EPERM);
	FAILS(open("f", O_RDONLY | O_TRUNC), EPERM);
	FAILS(truncate("f", 0), EPERM);
	FAILS(unlink("f"), EPERM);
	FAILS(rename("f", "g"), EPERM);
	FAILS(rename("d/x", "f"), EPERM);
	FAILS(link("f", "g"), EPERM);
	FAILS(chmod("f", 0600), EPERM);
	FAILS(chown("f", 1, 1), EPERM);
	FAILS(setxattr("f", "user.a", "v", 1, 0), EPERM);
	FAILS(utimensat(AT_FDCWD, "f", NULL, 0), EPERM);
	CHECK(stat("f", &st) == 0);
	fd = open("f", O_RDONLY);
	CHECK(fd >= 0);
	CHECK(chmod(".", 0777) == 0);
	CHECK(set_flags("f", 0) == 0);
	CHECK(as_user(1234, 1234, no_flags));
	CHECK(set_flags("d", FS_IMMUTABLE_FL) == 0);
	FAILS(open("d/new", O_CREAT | O_WRONLY, 0644), EPERM);
	FAILS(unlink("d/x"), EPERM);
	FAILS(mkdir("d/y", 0755), EPERM);
	FAILS(link("f", "d/f"), EPERM);
	FAILS(rename("f", "d/f"), EPERM);
	FAILS(rename("d/x", "x"), EPERM);
	fd = open("d/x", O_WRONLY);
	CHECK(fd >= 0);
	CHECK(set_flags("d", 0) == 0);
	CHECK(unlink("d/x") == 0);
	FAILS(set_flags("f", FS_NOCOW_FL | FS_JOURNAL_DATA_FL), EOPNOTSUPP);
}

/* What was written before the flag was set is there, whenever it is written back. */
static void flags_immutable_late(void)
{
	char data[100], got[sizeof(data) + 1];
	int fd = open("f", O_CREAT | O_RDWR, 0644);
	char *map;

	CHECK(fd >= 0);
	memset(data, 'x', sizeof(data));
	CHECK(write(fd, data, sizeof(data)) == sizeof(data));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[1] = 'y';
	data[1] = 'y';
	if (set_flags("f", FS_IMMUTABLE_FL) && (errno == ENOTTY || errno == EOPNOTSUPP))
		check_skip("no FS_IOC_SETFLAGS");
	CHECK(get_flags("f") & FS_IMMUTABLE_FL);
	FAILS(pwrite(fd, "z", 1, 0), EPERM);
	FAILS(write(fd, "z", 1), EPERM);
	sleep(3);
	CHECK(pread(fd, got, sizeof(got), 0) == sizeof(data));
	CHECK(!memcmp(got, data, sizeof(data)));
	CHECK(munmap(map, 4096) == 0);
	CHECK(close(fd) == 0);
	CHECK(set_flags("f", 0) == 0);
	CHECK(st_of("f").st_size == sizeof(data));
}

static void flags_append(void)
{
	int fd;

	touch("f");
	CHECK(mkdir("d", 0777) == 0);
	touch("d/x");
	if (set_flags("f", FS_APPEND_FL) && (errno == ENOTTY || errno == EOPNOTSUPP))
		check_skip("no FS_IOC_SETFLAGS");
	FAILS(open("f", O_WRONLY), EPERM);
	FAILS(open("f", O_WRONLY | O_APPEND | O_TRUNC), EPERM);
	fd = open("f", O_WRONLY | O_APPEND);
	CHECK(fd >= 0 && write(fd, "abc", 3) == 3);
	FAILS(ftruncate(fd, 0), EPERM);
	FAILS(unlink("f"), EPERM);
	FAILS(rename("f", "g"), EPERM);
	FAILS(link("f", "g"), EPERM);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3), EPERM);
	CHECK(set_flags("f", 0) == 0);
	CHECK(set_flags("d", FS_APPEND_FL) == 0);
	touch("d/y");
	FAILS(unlink("d/y"), EPERM);
	FAILS(rename("d/y", "y"), EPERM);
	CHECK(set_flags("d", 0) == 0);
	CHECK(unlink("d/y") == 0);
}

static void project_ids(void)
{
	struct fsxattr fx;
	int fd;

	CHECK(mkdir("d", 0755) == 0);
	fd = open("d", O_RDONLY);
	if (ioctl(fd, FS_IOC_FSGETXATTR, &fx) || !on_flint())
		check_skip("no project ids");
	CHECK(fx.fsx_projid == 0);
	fx.fsx_projid = 4711;
	fx.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	CHECK(ioctl(fd, FS_IOC_FSSETXATTR, &fx) == 0);
	CHECK(mkdir("d/e", 0755) == 0);
	touch("d/e/f");
	touch("g");
	close(fd);
	fd = open("d/e/f", O_RDONLY);
	CHECK(ioctl(fd, FS_IOC_FSGETXATTR, &fx) == 0 && fx.fsx_projid == 4711);
	FAILS(link("g", "d/g"), EXDEV);
	FAILS(rename("g", "d/g"), EXDEV);
}

/* ---- file handles ------------------------------------------------------- */

union fh {
	struct file_handle h;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static void handle_of(const char *path, union fh *fh)
{
	int mount;

	fh->h.handle_bytes = MAX_HANDLE_SZ;
	CHECK(name_to_handle_at(AT_FDCWD, path, &fh->h, &mount, 0) == 0);
}

static void handles(void)
{
	int root = open(".", O_RDONLY), fd = make_file("f"), again, mount;
	union fh f, d, small = { .h.handle_bytes = 0 };
	struct stat st;

	CHECK(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
	fill(fd, 0, 100, 6);
	if (name_to_handle_at(AT_FDCWD, "f", &small.h, &mount, 0) && errno == EOPNOTSUPP)
		check_skip("no file handles");
	CHECK(errno == EOVERFLOW && small.h.handle_bytes > 0);
	handle_of("f", &f);
	handle_of("d/e", &d);
	again = open_by_handle_at(root, &f.h, O_RDWR);
	CHECK(again >= 0 && is(again, 0, 100, 6));
	CHECK(rename("f", "d/moved") == 0);
	close(again);
	again = open_by_handle_at(root, &f.h, O_RDONLY);
	CHECK(again >= 0 && fstat(again, &st) == 0 && st.st_ino == st_of("d/moved").st_ino);
	close(again);
	again = open_by_handle_at(root, &d.h, O_RDONLY | O_DIRECTORY);
	CHECK(again >= 0);
	CHECK(openat(again, "..", O_RDONLY) >= 0);
	CHECK(fstatat(again, "../moved", &st, 0) == 0);
	CHECK(unlink("d/moved") == 0 && close(fd) == 0);
	close(again);
	again = open_by_handle_at(root, &f.h, O_RDONLY);
	CHECK(again < 0 && errno == ESTALE);
	f.h.handle_type = 77;
	FAILS(open_by_handle_at(root, &f.h, O_RDONLY), ESTALE);
}

/* ---- the matrix ---------------------------------------------------------- */

enum { M_FILE, M_DIR, M_LINK, M_FIFO, M_SOCK, M_CHR, M_NONE, M_NR };
static const char *const m_path[] = { "file", "dir", "link", "fifo", "sock", "chr", "none" };

static void m_make(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "sock" };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	umask(0);
	touch("file");
	CHECK(chmod("file", 0644) == 0);
	CHECK(mkdir("dir", 0755) == 0);
	CHECK(symlink("target", "link") == 0);
	CHECK(mkfifo("fifo", 0644) == 0);
	CHECK(s >= 0 && bind(s, (struct sockaddr *)&un, sizeof(un)) == 0 && close(s) == 0);
	CHECK(mknod("chr", S_IFCHR | 0644, makedev(1, 3)) == 0);
}

static int op_mkdir(const char *p) { return mkdir(p, 0755); }
static int op_mkfifo(const char *p) { return mkfifo(p, 0644); }
static int op_symlink(const char *p) { return symlink("x", p); }
static int op_excl(const char *p) { return open(p, O_CREAT | O_EXCL | O_WRONLY, 0644); }
static int op_linkto(const char *p) { return link("file", p); }
static int op_readlink(const char *p) { return readlink(p, (char[64]){ 0 }, 64) < 0 ? -1 : 0; }
static int op_opendir(const char *p) { return open(p, O_RDONLY | O_DIRECTORY | O_NONBLOCK); }
static int op_nofollow(const char *p) { return open(p, O_RDONLY | O_NOFOLLOW | O_NONBLOCK); }
static int op_wronly(const char *p) { return open(p, O_WRONLY | O_NONBLOCK | O_NOFOLLOW); }
static int op_trunc(const char *p) { return truncate(p, 10); }
static int op_renamedir(const char *p) { return rename("dir", p); }
static int op_renamefile(const char *p) { return rename("file", p); }
static int op_linkfrom(const char *p) { return link(p, "new"); }
static int op_beneath(const char *p) { char b[32]; snprintf(b, 32, "%s/x", p); return unlink(b); }

/* The errno for each type of file, 0: it must succeed; -1: not asked. */
static const struct {
	const char *name;
	int (*fn)(const char *path);
	int want[M_NR];
} matrix[] = {
	/*		        file     dir      link     fifo     sock     chr      none */
	{ "mkdir", op_mkdir,	{ EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, 0 } },
	{ "mkfifo", op_mkfifo,	{ EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, 0 } },
	{ "symlink", op_symlink, { EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, 0 } },
	{ "create", op_excl,	{ EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, 0 } },
	{ "link to", op_linkto,	{ EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, 0 } },
	{ "link", op_linkfrom,	{ 0, EPERM, 0, 0, 0, 0, ENOENT } },
	{ "unlink", unlink,	{ 0, EISDIR, 0, 0, 0, 0, ENOENT } },
	{ "rmdir", rmdir,	{ ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOENT } },
	{ "readlink", op_readlink, { EINVAL, EINVAL, 0, EINVAL, EINVAL, EINVAL, ENOENT } },
	{ "open directory", op_opendir,
				{ ENOTDIR, 0, ENOENT, ENOTDIR, ENOTDIR, ENOTDIR, ENOENT } },
	{ "open no follow", op_nofollow, { 0, 0, ELOOP, 0, ENXIO, 0, ENOENT } },
	{ "open to write", op_wronly, { 0, EISDIR, ELOOP, ENXIO, ENXIO, 0, ENOENT } },
	{ "truncate", op_trunc,	{ 0, EISDIR, ENOENT, EINVAL, EINVAL, EINVAL, ENOENT } },
	{ "chdir", chdir,	{ ENOTDIR, -1, ENOENT, ENOTDIR, ENOTDIR, ENOTDIR, ENOENT } },
	{ "directory over", op_renamedir,
				{ ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, 0 } },
	{ "file over", op_renamefile, { 0, EISDIR, 0, 0, 0, 0, 0 } },
	{ "name beneath", op_beneath,
				{ ENOTDIR, ENOENT, ENOENT, ENOTDIR, ENOTDIR, ENOTDIR, ENOENT } },
};

static void matrix_types(void)
{
	size_t i, bad = 0;
	char dir[32];
	int t, got;

	for (i = 0; i < sizeof(matrix) / sizeof(matrix[0]); i++)
		for (t = 0; t < M_NR; t++) {
			if (matrix[i].want[t] < 0)
				continue;
			snprintf(dir, sizeof(dir), "%zu-%d", i, t);
			CHECK(mkdir(dir, 0755) == 0 && chdir(dir) == 0);
			m_make();
			errno = 0;
			got = matrix[i].fn(m_path[t]) < 0 ? errno : 0;
			CHECK(chdir("..") == 0);
			if (got == matrix[i].want[t])
				continue;
			printf("# %s of a %s: %s, wanted %s\n", matrix[i].name, m_path[t],
			       strerrorname_np(got), strerrorname_np(matrix[i].want[t]));
			bad++;
		}
	CHECK(!bad);
}

/* Whose file it is and what mode: who may read, write, execute it? Owner 100:200. */
static int perm_mode;
static uid_t perm_uid;
static gid_t perm_gid;

static bool perm_check(void)
{
	int bits = perm_uid == 100 ? perm_mode >> 6 : perm_gid == 200 ? perm_mode >> 3 : perm_mode;
	int want, rc;

	for (want = 1; want < 8; want++) {
		rc = access("f", want);
		if ((rc == 0) != ((bits & want) == want) || (rc && errno != EACCES))
			return false;
	}
	rc = open("f", O_RDONLY);
	if ((rc >= 0) != !!(bits & 4) || (rc < 0 && errno != EACCES))
		return false;
	rc = open("f", O_WRONLY);
	if ((rc >= 0) != !!(bits & 2) || (rc < 0 && errno != EACCES))
		return false;
	rc = truncate("f", 0);
	if ((rc == 0) != !!(bits & 2) || (rc < 0 && errno != EACCES))
		return false;
	rc = chmod("f", perm_mode);
	return perm_uid == 100 ? !rc : rc < 0 && errno == EPERM;
}

static void matrix_permissions(void)
{
	static const uid_t ids[][2] = { { 100, 200 }, { 100, 300 }, { 101, 200 }, { 101, 300 } };
	unsigned int i;

	CHECK(chmod(".", 0755) == 0);
	touch("f");
	CHECK(chown("f", 100, 200) == 0);
	for (perm_mode = 0; perm_mode < 0777; perm_mode += 067) {
		CHECK(chmod("f", perm_mode) == 0);
		for (i = 0; i < 4; i++) {
			perm_uid = ids[i][0];
			perm_gid = ids[i][1];
			if (as_user(perm_uid, perm_gid, perm_check))
				continue;
			printf("# mode %o as %u:%u\n", perm_mode, perm_uid, perm_gid);
			CHECK(false);
		}
	}
}

static bool by_group(void)
{
	return open("f", O_RDWR) >= 0 && chown("f", -1, 5000) < 0 && errno == EPERM;
}

static bool own_group(void)
{
	/* The owner may give it to a group of theirs, and set-id bits go with it. */
	struct stat st;

	return !chown("g", -1, 4000) && !stat("g", &st) && st.st_gid == 4000 &&
	       !(st.st_mode & (S_ISUID | S_ISGID)) && chown("g", -1, 4001) < 0 && errno == EPERM;
}

static void supplementary_group(void)
{
	CHECK(chmod(".", 0755) == 0);
	touch("f");
	CHECK(chown("f", 1, 4000) == 0 && chmod("f", 0060) == 0);
	CHECK(as_user(1234, 1234, by_group));
	touch("g");
	CHECK(chown("g", 1234, 1234) == 0 && chmod("g", 06755) == 0);
	CHECK(as_user(1234, 1234, own_group));
}

static bool others_in_sticky(void)
{
	return unlink("s/f") < 0 && errno == EPERM && rename("s/f", "s/g") < 0 && errno == EPERM &&
	       rmdir("s/d") < 0 && errno == EPERM && !mkdir("s/mine", 0700) && !rmdir("s/mine");
}

static void sticky(void)
{
	CHECK(chmod(".", 0755) == 0);
	CHECK(mkdir("s", 0777) == 0 && chmod("s", 01777) == 0 && mkdir("s/d", 0777) == 0);
	touch("s/f");
	CHECK(as_user(1234, 1234, others_in_sticky));
}

static bool search_needed(void)
{
	struct stat st;

	return stat("d/f", &st) < 0 && errno == EACCES && open("d/f", O_RDONLY) < 0 &&
	       errno == EACCES && unlink("d/f") < 0 && errno == EACCES &&
	       mkdir("d/x", 0755) < 0 && errno == EACCES &&
	       rename("d/f", "d/g") < 0 && errno == EACCES && link("d/f", "x") < 0 &&
	       errno == EACCES;
}

static bool write_needed(void)
{
	struct stat st;

	return !stat("d/f", &st) && unlink("d/f") < 0 && errno == EACCES &&
	       mkdir("d/x", 0755) < 0 && errno == EACCES &&
	       open("d/x", O_CREAT | O_WRONLY, 0644) < 0 && errno == EACCES &&
	       symlink("t", "d/x") < 0 && errno == EACCES && mkfifo("d/x", 0644) < 0 &&
	       errno == EACCES && rename("d/f", "d/g") < 0 && errno == EACCES;
}

static void directory_permissions(void)
{
	CHECK(chmod(".", 0777) == 0);
	CHECK(mkdir("d", 0700) == 0);
	touch("d/f");
	CHECK(as_user(1234, 1234, search_needed));
	CHECK(chmod("d", 0755) == 0);
	CHECK(as_user(1234, 1234, write_needed));
}

/* ---- times --------------------------------------------------------------- */

/* What moves: m, c of the file; M, C of its directory. */
static void times(const char *what, const char *path, const char *want, int (*fn)(void))
{
	struct stat f0 = st_of(path), d0 = st_of("d"), f1, d1;
	char got[8] = "";

	usleep(15000);
	if (fn()) {
		printf("# %s: %s\n", what, strerror(errno));
		CHECK(false);
	}
	d1 = st_of("d");
	if (lstat(path, &f1))
		f1 = f0;
	if (ns(f1.st_mtim) != ns(f0.st_mtim))
		strcat(got, "m");
	if (ns(f1.st_ctim) != ns(f0.st_ctim))
		strcat(got, "c");
	if (ns(d1.st_mtim) != ns(d0.st_mtim))
		strcat(got, "M");
	if (ns(d1.st_ctim) != ns(d0.st_ctim))
		strcat(got, "C");
	if (strcmp(got, want)) {
		printf("# %s changed \"%s\", wanted \"%s\"\n", what, got, want);
		CHECK(false);
	}
}

static int t_fd;
static int t_create(void) { return close(open("d/new", O_CREAT | O_WRONLY, 0644)); }
static int t_open(void) { return close(open("d/f", O_RDWR)); }
static int t_write(void) { return write(t_fd, "x", 1) != 1; }
static int t_write0(void) { return write(t_fd, "", 0) != 0; }
static int t_read(void) { return pread(t_fd, (char[4]){ 0 }, 1, 0) != 1; }
static int t_truncate(void) { return truncate("d/f", 5000); }
static int t_ftruncate_same(void) { return ftruncate(t_fd, 5000); }
static int t_opentrunc(void) { return close(open("d/f", O_WRONLY | O_TRUNC)); }
static int t_chmod(void) { return chmod("d/f", 0600); }
static int t_chown(void) { return chown("d/f", 1, 1); }
static int t_link(void) { return link("d/f", "d/l"); }
static int t_unlink(void) { return unlink("d/l"); }
static int t_rename(void) { return rename("d/f", "d/g"); }
static int t_rename_back(void) { return rename("d/g", "d/f"); }
static int t_mkdir(void) { return mkdir("d/sub", 0755); }
static int t_rmdir(void) { return rmdir("d/sub"); }
static int t_symlink(void) { return symlink("x", "d/sym"); }
static int t_mkfifo(void) { return mkfifo("d/fifo", 0644); }
static int t_setxattr(void) { return setxattr("d/f", "user.a", "b", 1, 0); }
static int t_removexattr(void) { return removexattr("d/f", "user.a"); }
static int t_falloc(void) { return fallocate(t_fd, 0, 0, 9000); }
static int t_utimes(void) { return futimens(t_fd, NULL); }
static int t_omit(void)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	return futimens(t_fd, t);
}
static int t_atime(void)
{
	struct timespec t[2] = { { .tv_sec = 5 }, { .tv_nsec = UTIME_OMIT } };

	return futimens(t_fd, t);
}

static void times_rules(void)
{
	CHECK(mkdir("d", 0755) == 0);
	touch("d/f");
	t_fd = open("d/f", O_RDWR);
	times("create", "d/f", "MC", t_create);
	times("open", "d/f", "", t_open);
	times("write", "d/f", "mc", t_write);
	times("write of nothing", "d/f", "", t_write0);
	times("read", "d/f", "", t_read);
	times("truncate", "d/f", "mc", t_truncate);
	times("truncate to the same", "d/f", "mc", t_ftruncate_same);
	times("open with O_TRUNC", "d/f", "mc", t_opentrunc);
	times("chmod", "d/f", "c", t_chmod);
	times("chown", "d/f", "c", t_chown);
	times("link", "d/f", "cMC", t_link);
	times("unlink", "d/f", "cMC", t_unlink);
	times("rename", "d", "mcMC", t_rename);
	times("rename back", "d", "mcMC", t_rename_back);
	times("mkdir", "d/f", "MC", t_mkdir);
	times("rmdir", "d/f", "MC", t_rmdir);
	times("symlink", "d/f", "MC", t_symlink);
	times("mkfifo", "d/f", "MC", t_mkfifo);
	times("setxattr", "d/f", "c", t_setxattr);
	times("removexattr", "d/f", "c", t_removexattr);
	times("fallocate", "d/f", "mc", t_falloc);
	times("utimes", "d/f", "mc", t_utimes);
	times("UTIME_OMIT twice", "d/f", "", t_omit);
	times("atime alone", "d/f", "c", t_atime);
}

static bool others_times(void)
{
	struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	struct timespec set[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct timespec mix[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };
	struct timespec omit[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

	/* "w" may be written by all, "r" not. */
	return !utimensat(AT_FDCWD, "w", NULL, 0) && !utimensat(AT_FDCWD, "w", now, 0) &&
	       utimensat(AT_FDCWD, "w", set, 0) < 0 && errno == EPERM &&
	       utimensat(AT_FDCWD, "w", mix, 0) < 0 && errno == EPERM &&
	       utimensat(AT_FDCWD, "r", NULL, 0) < 0 && errno == EACCES &&
	       utimensat(AT_FDCWD, "r", now, 0) < 0 && errno == EACCES &&
	       utimensat(AT_FDCWD, "r", set, 0) < 0 && errno == EPERM &&
	       !utimensat(AT_FDCWD, "r", omit, 0);
}

static void times_permissions(void)
{
	struct timespec bad[2] = { { .tv_nsec = 1000000000 }, { .tv_sec = 1 } };

	CHECK(chmod(".", 0755) == 0);
	touch("w");
	touch("r");
	CHECK(chmod("w", 0666) == 0 && chmod("r", 0644) == 0);
	CHECK(as_user(1234, 1234, others_times));
	FAILS(utimensat(AT_FDCWD, "w", bad, 0), EINVAL);
	FAILS(utimensat(AT_FDCWD, "none", NULL, 0), ENOENT);
	CHECK(symlink("nowhere", "l") == 0);
	CHECK(utimensat(AT_FDCWD, "l", (struct timespec[2]){ { 1, 0 }, { 2, 0 } },
			AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(st_of("l").st_mtim.tv_sec == 2);
}

/* ---- limits and odds ------------------------------------------------------ */

static void limits(void)
{
	struct rlimit rl = { 1 * MIB, 1 * MIB }, old;
	int fd = make_file("f");

	FAILS(ftruncate(fd, -1), EINVAL);
	FAILS(lseek(fd, -1, SEEK_END), EINVAL);
	FAILS(pwrite(fd, "x", 1, -1), EINVAL);
	FAILS(ftruncate(fd, LLONG_MAX), EFBIG);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	rl.rlim_max = old.rlim_max;
	CHECK(setrlimit(RLIMIT_FSIZE, &rl) == 0);
	FAILS(ftruncate(fd, MIB + 1), EFBIG);
	FAILS(pwrite(fd, "x", 1, MIB), EFBIG);
	CHECK(pwrite(fd, "xy", 2, MIB - 1) == 1);
	FAILS(fallocate(fd, 0, 0, MIB + 1), EFBIG);
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
}

static void loops(void)
{
	char path[4200];
	struct stat st;

	CHECK(symlink("b", "a") == 0 && symlink("a", "b") == 0);
	FAILS(stat("a", &st), ELOOP);
	FAILS(open("a/x", O_RDONLY), ELOOP);
	FAILS(mkdir("a/x", 0755), ELOOP);
	FAILS(open("b", O_CREAT | O_WRONLY, 0644), ELOOP);
	memset(path, '/', sizeof(path));
	path[4199] = 0;
	FAILS(stat(path, &st), ENAMETOOLONG);
	FAILS(rmdir("."), EINVAL);
	FAILS(rename(".", "x"), EBUSY);
	CHECK(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
	FAILS(rmdir("d/e/.."), ENOTEMPTY);
	FAILS(rmdir("d"), ENOTEMPTY);
	FAILS(rename("d", "d/e/f"), EINVAL);
	FAILS(rename("d/e", "d"), ENOTEMPTY);
	FAILS(unlink(""), ENOENT);
	FAILS(symlink("", "x"), ENOENT);
}

static void text_busy(void)
{
	int fd = make_file("prog"), in = open("/proc/self/exe", O_RDONLY), st;
	char *argv[] = { "prog", "--sleep", NULL };
	char buf[65536], link[32];
	ssize_t n;
	pid_t pid;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		CHECK(write(fd, buf, n) == n);
	CHECK(fchmod(fd, 0755) == 0);
	pid = fork();
	if (!pid) {
		execv("./prog", argv);
		_exit(errno == ETXTBSY ? 3 : 4);
	}
	CHECK(waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 3);
	CHECK(close(fd) == 0);
	pid = fork();
	if (!pid) {
		execv("./prog", argv);
		_exit(4);
	}
	/* Not before it runs: then exec would be what is refused. */
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	do {
		usleep(20000);
		memset(buf, 0, 256);
		CHECK(readlink(link, buf, 255) > 0);
	} while (!strstr(buf, "text_busy/prog"));
	FAILS(open("prog", O_WRONLY), ETXTBSY);
	FAILS(truncate("prog", 0), ETXTBSY);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &st, 0) == pid);
}

static void inotify_local(void)
{
	int in = inotify_init1(IN_NONBLOCK), n, left;
	char buf[4096] __attribute__((aligned(8))), *p;
	uint32_t seen = 0;

	CHECK(in >= 0 && inotify_add_watch(in, ".", IN_ALL_EVENTS) >= 0);
	touch("f");
	fill(open("f", O_WRONLY), 0, 10, 1);
	CHECK(chmod("f", 0600) == 0 && rename("f", "g") == 0 && unlink("g") == 0);
	CHECK(mkdir("d", 0755) == 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (p = buf, left = n; left > 0;) {
			struct inotify_event *e = (void *)p;

			seen |= e->mask;
			p += sizeof(*e) + e->len;
			left -= sizeof(*e) + e->len;
		}
	CHECK((seen & (IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
		       IN_CLOSE_WRITE)) ==
	      (IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
	       IN_CLOSE_WRITE));
}

static void splices(void)
{
	int a = make_file("a"), b = make_file("b"), p[2];
	off_t off = 100;
	ssize_t n, left;

	fill(a, 0, 300 * KIB, 5);
	for (left = 200 * KIB; left; left -= n) {
		n = sendfile(b, a, &off, left);
		CHECK(n > 0);
	}
	CHECK(off == 100 + 200 * KIB && size_of(b) == 200 * KIB && is(b, 0, 200 * KIB, 5));
	CHECK(pipe(p) == 0);
	off = 0;
	n = splice(a, &off, p[1], NULL, 32 * KIB, 0);
	CHECK(n > 0);
	off = 500 * KIB;
	CHECK(splice(p[0], NULL, b, &off, n, 0) == n);
	CHECK(is(b, 500 * KIB, n, 5) && is(b, 300 * KIB, 1000, 0));
}

static void append_parallel(void)
{
	struct { int who, nr; } rec, *all;
	int i, j, status, fd = make_file("log"), next[4] = { 0 };
	pid_t pid[4];

	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		fd = open("log", O_WRONLY | O_APPEND | (i & 1 && on_flint() ? O_DIRECT : 0));
		for (j = 0; j < 60; j++) {
			rec.who = i;
			rec.nr = j;
			if (write(fd, &rec, sizeof(rec)) != sizeof(rec))
				_exit(1);
		}
		_exit(0);
	}
	for (i = 0; i < 4; i++)
		CHECK(waitpid(pid[i], &status, 0) == pid[i] && !status);
	CHECK(size_of(fd) == 240 * (off_t)sizeof(rec));
	all = malloc(240 * sizeof(rec));
	CHECK(pread(fd, all, 240 * sizeof(rec), 0) == 240 * sizeof(rec));
	for (i = 0; i < 240; i++)
		CHECK(all[i].nr == next[all[i].who]++);
	free(all);
}

static void birth_and_ids(void)
{
	struct statx a, b;

	touch("f");
	CHECK(statx(AT_FDCWD, "f", 0, STATX_ALL, &a) == 0);
	CHECK(a.stx_mask & STATX_BTIME && a.stx_btime.tv_sec > 1000000000);
	CHECK((a.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	usleep(15000);
	fill(open("f", O_WRONLY), 0, 10, 1);
	CHECK(chmod("f", 0600) == 0);
	CHECK(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_ALL, &b) == 0);
	CHECK(a.stx_btime.tv_nsec == b.stx_btime.tv_nsec && a.stx_btime.tv_sec == b.stx_btime.tv_sec);
	CHECK(b.stx_mtime.tv_nsec != a.stx_mtime.tv_nsec || b.stx_mtime.tv_sec != a.stx_mtime.tv_sec);
}

static bool access_by_real_id(void)
{
	/* Real id 1234, effective 0: access() asks for the real one. */
	return access("f", R_OK) < 0 && errno == EACCES && !faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS);
}

static void access_ids(void)
{
	pid_t pid;
	int st;

	CHECK(chmod(".", 0755) == 0);
	touch("f");
	CHECK(chmod("f", 0600) == 0);
	pid = fork();
	if (!pid) {
		if (setresuid(1234, 0, 0))
			_exit(2);
		_exit(!access_by_real_id());
	}
	CHECK(waitpid(pid, &st, 0) == pid && !st);
	CHECK(access("f", X_OK) < 0 && errno == EACCES);
	FAILS(access("f", 77), EINVAL);
}

static void seek_directory(void)
{
	int i, n = 0, more = 0;
	struct dirent *e;
	long at = 0;
	char name[32];
	DIR *d;

	CHECK(mkdir("d", 0755) == 0);
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "d/file-%04d", i);
		touch(name);
	}
	d = opendir("d");
	while ((e = readdir(d)))
		if (++n == 200)
			at = telldir(d);
	CHECK(n == 502);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "d/file-%04d", i);
		CHECK(unlink(name) == 0);
	}
	touch("d/late");
	seekdir(d, at);
	while ((e = readdir(d)))
		more++;
	/* What was there all the time comes once; in which order is the file system's. */
	CHECK(more >= 202 && more <= 303);
	rewinddir(d);
	for (n = 0; readdir(d); n++)
		;
	CHECK(n == 403);
	closedir(d);
}

#define C(f)	{ #f, f }

static const struct check checks[] = {
	C(seek_basic), C(seek_sparse), C(seek_dense), C(fiemap),
	C(falloc_grow), C(falloc_punch), C(falloc_zero), C(falloc_collapse), C(falloc_insert),
	C(clone_whole), C(clone_errors), C(clone_busy_file), C(copy_range),
	C(tmpfile_basic), C(tmpfile_excl), C(tmpfile_permission),
	C(flags_immutable), C(flags_immutable_late), C(flags_append), C(project_ids), C(handles),
	C(matrix_types), C(matrix_permissions), C(supplementary_group), C(sticky),
	C(directory_permissions), C(times_rules), C(times_permissions), C(limits), C(loops),
	C(text_busy), C(inotify_local), C(splices), C(append_parallel), C(birth_and_ids),
	C(access_ids), C(seek_directory),
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--sleep")) {
		sleep(30);
		return 0;
	}
	if (argc != 2) {
		fprintf(stderr, "usage: conform DIR\n");
		return 2;
	}
	return check_main(argv[1], checks, sizeof(checks) / sizeof(checks[0]), 150);
}
