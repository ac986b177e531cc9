// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What POSIX and the Linux manual pages promise of a file system, as a table
 * of checks: names, links, renames, attributes, times, permissions, xattrs.
 * Data checks are in posix_data.c.
 *
 * usage: posix DIR     (as root; any local file system passes as well)
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include "lib/check.h"

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0644);

	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(close(fd) == 0);
}

static bool holds(const char *path, const char *text)
{
	char buf[256] = "";
	int fd = open(path, O_RDONLY);
	ssize_t n;

	CHECK(fd >= 0);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return n == (ssize_t)strlen(text) && !strcmp(buf, text);
}

static struct stat st_of(const char *path)
{
	struct stat st;

	CHECK(lstat(path, &st) == 0);
	return st;
}

static int rename2(const char *from, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* Run fn as uid/gid 1234 and tell whether it returned true. */
static bool as_other(bool (*fn)(void))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		if (setgid(1234) || setuid(1234))
			_exit(2);
		_exit(fn() ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int64_t ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- names ------------------------------------------------------------- */

static void open_errors(void)
{
	touch("f");
	FAILS(open("none", O_RDONLY), ENOENT);
	FAILS(open("none/x", O_RDONLY), ENOENT);
	FAILS(open("f/x", O_RDONLY), ENOTDIR);
	FAILS(open("f", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open(".", O_RDWR), EISDIR);
	FAILS(open(".", O_CREAT | O_RDONLY, 0644), EISDIR);
	CHECK(symlink("f", "l") == 0);
	FAILS(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open("l", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
}

static void name_limits(void)
{
	char name[NAME_MAX + 2];
	struct stat st;

	memset(name, 'n', sizeof(name));
	name[NAME_MAX + 1] = 0;
	FAILS(open(name, O_CREAT | O_RDWR, 0644), ENAMETOOLONG);
	FAILS(mkdir(name, 0755), ENAMETOOLONG);
	FAILS(stat(name, &st), ENAMETOOLONG);
	FAILS(unlink(name), ENAMETOOLONG);
	name[NAME_MAX] = 0;
	touch(name);
	CHECK(stat(name, &st) == 0);
	CHECK(unlink(name) == 0);
	FAILS(stat(name, &st), ENOENT);
}

static void name_bytes(void)
{
	char name[3] = "a?";
	int c;

	for (c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		name[1] = c;
		touch(name);
	}
	for (c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		name[1] = c;
		CHECK(unlink(name) == 0);
	}
}

static void create_through_dangling_symlink(void)
{
	int fd;

	CHECK(symlink("target", "l") == 0);
	fd = open("l", O_CREAT | O_WRONLY, 0644);
	CHECK(fd >= 0);
	close(fd);
	CHECK(S_ISREG(st_of("target").st_mode));
	CHECK(S_ISLNK(st_of("l").st_mode));
}

static void mkdir_rmdir(void)
{
	nlink_t before = st_of(".").st_nlink;

	CHECK(mkdir("d", 0750) == 0);
	CHECK((st_of("d").st_mode & 07777) == 0750);
	CHECK(st_of("d").st_nlink == 2);
	CHECK(st_of(".").st_nlink == before + 1);
	FAILS(mkdir("d", 0750), EEXIST);
	touch("d/f");
	FAILS(rmdir("d"), ENOTEMPTY);
	FAILS(unlink("d"), EISDIR);
	FAILS(rmdir("d/f"), ENOTDIR);
	FAILS(rmdir("d/."), EINVAL);
	FAILS(rmdir("none"), ENOENT);
	CHECK(unlink("d/f") == 0);
	CHECK(rmdir("d") == 0);
	CHECK(st_of(".").st_nlink == before);
	FAILS(rmdir("d"), ENOENT);
}

static void removed_cwd(void)
{
	struct stat st;

	CHECK(mkdir("d", 0755) == 0);
	CHECK(chdir("d") == 0);
	CHECK(rmdir("../d") == 0);
	CHECK(stat(".", &st) == 0);
	FAILS(open("x", O_CREAT | O_RDWR, 0644), ENOENT);
	FAILS(mkdir("x", 0755), ENOENT);
}

static void hard_links(void)
{
	struct stat a, b;

	put("a", "same");
	CHECK(link("a", "b") == 0);
	a = st_of("a");
	b = st_of("b");
	CHECK(a.st_ino == b.st_ino && a.st_nlink == 2 && b.st_nlink == 2);
	FAILS(link("a", "b"), EEXIST);
	FAILS(link("none", "c"), ENOENT);
	CHECK(mkdir("d", 0755) == 0);
	FAILS(link("d", "e"), EPERM);
	CHECK(unlink("a") == 0);
	CHECK(st_of("b").st_nlink == 1);
	CHECK(holds("b", "same"));
}

static void many_links(void)
{
	char name[32];
	int i;

	touch("f");
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		CHECK(link("f", name) == 0);
	}
	CHECK(st_of("f").st_nlink == 501);
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		CHECK(unlink(name) == 0);
	}
	CHECK(st_of("f").st_nlink == 1);
}

static void symlinks(void)
{
	char target[PATH_MAX], got[PATH_MAX + 1];
	struct stat st;
	ssize_t n;

	put("f", "x");
	CHECK(symlink("f", "l") == 0);
	CHECK(S_ISLNK(st_of("l").st_mode) && st_of("l").st_size == 1);
	CHECK(stat("l", &st) == 0 && S_ISREG(st.st_mode));
	FAILS(symlink("f", "l"), EEXIST);
	CHECK(symlink("loop", "loop") == 0);
	FAILS(stat("loop", &st), ELOOP);
	FAILS(readlink("f", got, sizeof(got)), EINVAL);
	CHECK(readlink("l", got, sizeof(got)) == 1 && got[0] == 'f');

	memset(target, 't', sizeof(target));
	target[4000] = 0;
	CHECK(symlink(target, "long") == 0);
	n = readlink("long", got, sizeof(got));
	CHECK(n == 4000 && !memcmp(got, target, 4000));
	CHECK(unlink("l") == 0);
	CHECK(holds("f", "x"));
}

static void special_files(void)
{
	struct stat st;

	CHECK(mknod("fifo", S_IFIFO | 0600, 0) == 0);
	CHECK(S_ISFIFO(st_of("fifo").st_mode));
	CHECK(mknod("sock", S_IFSOCK | 0600, 0) == 0);
	CHECK(S_ISSOCK(st_of("sock").st_mode));
	CHECK(mknod("chr", S_IFCHR | 0600, makedev(1, 3)) == 0);
	st = st_of("chr");
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	CHECK(mknod("blk", S_IFBLK | 0600, makedev(300, 70000)) == 0);
	st = st_of("blk");
	CHECK(S_ISBLK(st.st_mode) && st.st_rdev == makedev(300, 70000));
	CHECK(mknod("reg", S_IFREG | 0600, 0) == 0);
	CHECK(S_ISREG(st_of("reg").st_mode));
	FAILS(mknod("reg", S_IFREG | 0600, 0), EEXIST);
}

/* ---- rename ------------------------------------------------------------ */

static void rename_basic(void)
{
	ino_t ino;

	put("a", "one");
	ino = st_of("a").st_ino;
	CHECK(rename("a", "b") == 0);
	FAILS(open("a", O_RDONLY), ENOENT);
	CHECK(st_of("b").st_ino == ino && holds("b", "one"));
	put("c", "two");
	CHECK(rename("b", "c") == 0);
	CHECK(st_of("c").st_ino == ino && holds("c", "one"));
	FAILS(rename("none", "x"), ENOENT);
	FAILS(rename("c", "none/x"), ENOENT);
	CHECK(rename("c", "c") == 0);
	CHECK(holds("c", "one"));
}

static void rename_same_inode(void)
{
	put("a", "x");
	CHECK(link("a", "b") == 0);
	CHECK(rename("a", "b") == 0);
	CHECK(st_of("a").st_nlink == 2);
	CHECK(st_of("b").st_nlink == 2);
}

static void rename_types(void)
{
	touch("f");
	CHECK(mkdir("empty", 0755) == 0);
	CHECK(mkdir("full", 0755) == 0);
	touch("full/x");
	CHECK(mkdir("d", 0755) == 0);
	FAILS(rename("f", "empty"), EISDIR);
	FAILS(rename("d", "f"), ENOTDIR);
	FAILS(rename("d", "full"), ENOTEMPTY);
	CHECK(rename("d", "empty") == 0);
	FAILS(rmdir("d"), ENOENT);
	CHECK(mkdir("full/in", 0755) == 0);
	CHECK(mkdir("full/in/deep", 0755) == 0);
	FAILS(rename("full", "full/in/deep/x"), EINVAL);
	FAILS(rename("full", "full/y"), EINVAL);
	FAILS(rename("full/in/deep", "full"), ENOTEMPTY);
}

static void rename_dir_counts(void)
{
	struct stat a, b, dotdot;

	CHECK(mkdir("a", 0755) == 0);
	CHECK(mkdir("b", 0755) == 0);
	CHECK(mkdir("a/d", 0755) == 0);
	CHECK(rename("a/d", "b/d") == 0);
	a = st_of("a");
	b = st_of("b");
	CHECK(a.st_nlink == 2 && b.st_nlink == 3);
	CHECK(stat("b/d/..", &dotdot) == 0 && dotdot.st_ino == b.st_ino);
	CHECK(mkdir("a/e", 0755) == 0);
	CHECK(rename("a/e", "b/d") == 0);
	CHECK(st_of("a").st_nlink == 2 && st_of("b").st_nlink == 3);
}

static void rename_noreplace(void)
{
	put("a", "a");
	put("b", "b");
	FAILS(rename2("a", "b", RENAME_NOREPLACE), EEXIST);
	CHECK(holds("a", "a") && holds("b", "b"));
	CHECK(rename2("a", "c", RENAME_NOREPLACE) == 0);
	CHECK(holds("c", "a"));
}

static void rename_exchange(void)
{
	struct stat before_f, before_d, dotdot, d2;

	put("a", "a");
	put("b", "b");
	CHECK(rename2("a", "b", RENAME_EXCHANGE) == 0);
	CHECK(holds("a", "b") && holds("b", "a"));
	FAILS(rename2("a", "none", RENAME_EXCHANGE), ENOENT);

	CHECK(mkdir("d1", 0755) == 0);
	CHECK(mkdir("d2", 0755) == 0);
	CHECK(mkdir("d1/sub", 0755) == 0);
	put("d2/file", "f");
	before_f = st_of("d2/file");
	before_d = st_of("d1/sub");
	CHECK(rename2("d1/sub", "d2/file", RENAME_EXCHANGE) == 0);
	CHECK(st_of("d1/sub").st_ino == before_f.st_ino);
	CHECK(st_of("d2/file").st_ino == before_d.st_ino);
	CHECK(st_of("d1").st_nlink == 2 && st_of("d2").st_nlink == 3);
	d2 = st_of("d2");
	CHECK(stat("d2/file/..", &dotdot) == 0 && dotdot.st_ino == d2.st_ino);
	FAILS(rename2("d2", "d2/file", RENAME_EXCHANGE), EINVAL);
}

static void rename_over_open_file(void)
{
	char buf[8] = "";
	int fd;

	put("old", "old");
	put("new", "new");
	fd = open("old", O_RDONLY);
	CHECK(fd >= 0);
	CHECK(rename("new", "old") == 0);
	CHECK(read(fd, buf, sizeof(buf)) == 3 && !memcmp(buf, "old", 3));
	CHECK(holds("old", "new"));
}

/* ---- directories ------------------------------------------------------- */

#define MANY 3000

static int count_dir(const char *path, unsigned char *seen)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	CHECK(d);
	memset(seen, 0, MANY);
	while ((errno = 0, e = readdir(d))) {
		int i;

		if (sscanf(e->d_name, "f%d", &i) != 1)
			continue;
		CHECK(i >= 0 && i < MANY);
		CHECK(!seen[i]);
		seen[i] = 1;
		n++;
	}
	CHECK(errno == 0);
	closedir(d);
	return n;
}

static void readdir_many(void)
{
	static unsigned char seen[MANY];
	char name[32];
	int i;

	CHECK(mkdir("d", 0755) == 0);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		touch(name);
	}
	CHECK(count_dir("d", seen) == MANY);
	for (i = 0; i < MANY; i += 2) {
		snprintf(name, sizeof(name), "d/f%d", i);
		CHECK(unlink(name) == 0);
	}
	CHECK(count_dir("d", seen) == MANY / 2);
	for (i = 0; i < MANY; i++)
		CHECK(seen[i] == (i & 1));
}

static void readdir_while_removing(void)
{
	char name[300];
	struct dirent *e;
	int i, n = 0;
	DIR *d;

	CHECK(mkdir("d", 0755) == 0);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		touch(name);
	}
	d = opendir("d");
	CHECK(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] != 'f')
			continue;
		snprintf(name, sizeof(name), "d/%s", e->d_name);
		CHECK(unlink(name) == 0);
		n++;
	}
	closedir(d);
	CHECK(n == 1000);
	CHECK(rmdir("d") == 0);
}

/* Away and back is two new names, which may be shown, but not for ever; rewinding shows them all. */
static void readdir_while_renaming(void)
{
	char name[300], away[300];
	struct dirent *e;
	int i, n = 0;
	DIR *d;

	CHECK(mkdir("d", 0755) == 0);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		touch(name);
	}
	d = opendir("d");
	CHECK(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		CHECK(++n <= 2000);
		snprintf(name, sizeof(name), "d/%s", e->d_name);
		snprintf(away, sizeof(away), "d/%s.bak", e->d_name);
		CHECK(rename(name, away) == 0 && rename(away, name) == 0);
	}
	CHECK(n >= 1000);
	touch("d/late");
	while (readdir(d))	/* may be shown, may be not */
		;
	rewinddir(d);
	for (i = 0; readdir(d); i++)
		;
	CHECK(i == 2 + 1000 + 1);
	closedir(d);
}

static void readdir_seek(void)
{
	char first[256], name[32];
	struct dirent *e;
	long pos;
	DIR *d;
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		touch(name);
	}
	d = opendir(".");
	CHECK(d);
	for (i = 0; i < 100; i++)
		CHECK(readdir(d));
	pos = telldir(d);
	e = readdir(d);
	CHECK(e);
	snprintf(first, sizeof(first), "%s", e->d_name);
	while (readdir(d))
		;
	seekdir(d, pos);
	e = readdir(d);
	CHECK(e && !strcmp(e->d_name, first));
	rewinddir(d);
	for (i = 0; readdir(d); i++)
		;
	CHECK(i == 202);
	closedir(d);
}

static void readdir_types(void)
{
	struct dirent *e;
	int n = 0;
	DIR *d;

	touch("reg");
	CHECK(mkdir("dir", 0755) == 0);
	CHECK(symlink("reg", "lnk") == 0);
	CHECK(mknod("fifo", S_IFIFO | 0644, 0) == 0);
	d = opendir(".");
	CHECK(d);
	while ((e = readdir(d))) {
		struct stat st = st_of(e->d_name);

		if (!strcmp(e->d_name, ".."))
			continue;
		CHECK(e->d_type == IFTODT(st.st_mode));
		CHECK(e->d_ino == st.st_ino);
		n++;
	}
	closedir(d);
	CHECK(n == 5);
}

static void deep_tree(void)
{
	char name[16];
	int i;

	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "level%d", i);
		CHECK(mkdir(name, 0755) == 0);
		CHECK(chdir(name) == 0);
	}
	put("leaf", "deep");
	CHECK(holds("leaf", "deep"));
}

/* ---- attributes -------------------------------------------------------- */

static void modes(void)
{
	int fd;

	umask(027);
	fd = open("f", O_CREAT | O_RDWR, 0666);
	CHECK(fd >= 0);
	CHECK((st_of("f").st_mode & 07777) == 0640);
	CHECK(mkdir("d", 0777) == 0);
	CHECK((st_of("d").st_mode & 07777) == 0750);
	CHECK(fchmod(fd, 04755) == 0);
	CHECK((st_of("f").st_mode & 07777) == 04755);
	CHECK(chmod("d", 01777) == 0);
	CHECK((st_of("d").st_mode & 07777) == 01777);
	FAILS(chmod("none", 0644), ENOENT);
}

static void owners(void)
{
	touch("f");
	CHECK(chown("f", 11, 22) == 0);
	CHECK(st_of("f").st_uid == 11 && st_of("f").st_gid == 22);
	CHECK(chown("f", -1, 33) == 0);
	CHECK(st_of("f").st_uid == 11 && st_of("f").st_gid == 33);
	CHECK(chown("f", 4294967294u, 4294967294u) == 0);
	CHECK(st_of("f").st_uid == 4294967294u);
	CHECK(symlink("f", "l") == 0);
	CHECK(lchown("l", 5, 6) == 0);
	CHECK(st_of("l").st_uid == 5 && st_of("f").st_uid == 4294967294u);
}

static void setuid_cleared_by_chown(void)
{
	touch("f");
	CHECK(chmod("f", 06755) == 0);
	CHECK(chown("f", 11, 22) == 0);
	CHECK((st_of("f").st_mode & 07777) == 0755);
}

static bool write_one(void)
{
	int fd = open("f", O_WRONLY);

	return fd >= 0 && write(fd, "x", 1) == 1;
}

static void setuid_cleared_by_write(void)
{
	put("f", "data");
	CHECK(chmod("f", 06777) == 0);
	CHECK(as_other(write_one));
	CHECK((st_of("f").st_mode & 07777) == 0777);
}

/* The server may be told of other writes later, of this one first. */
static void caps_cleared_by_write(void)
{
	static const uint32_t caps[5] = { 0x02000000, 1u << 10 };	/* revision 2: net_bind_service */
	char value[64];
	int fd;

	put("f", "data");
	CHECK(setxattr("f", "security.capability", caps, sizeof(caps), 0) == 0);
	CHECK(getxattr("f", "security.capability", value, sizeof(value)) == sizeof(caps));
	fd = open("f", O_WRONLY);
	CHECK(fd >= 0);
	CHECK(write(fd, "x", 1) == 1);
	FAILS(getxattr("f", "security.capability", value, sizeof(value)), ENODATA);
	CHECK(fsetxattr(fd, "security.capability", caps, sizeof(caps), 0) == 0);
	CHECK(ftruncate(fd, 1) == 0);
	FAILS(fgetxattr(fd, "security.capability", value, sizeof(value)), ENODATA);
	CHECK(fsetxattr(fd, "security.capability", caps, sizeof(caps), 0) == 0);
	CHECK(fchown(fd, 5, 6) == 0);
	FAILS(fgetxattr(fd, "security.capability", value, sizeof(value)), ENODATA);
	CHECK(close(fd) == 0);
}

/* What was written before does not take away what was set after it. */
static void caps_after_write(void)
{
	static const uint32_t caps[5] = { 0x02000000, 1u << 10 };
	char value[64];
	int fd = open("f", O_CREAT | O_RDWR, 0755);

	CHECK(fd >= 0);
	CHECK(write(fd, "data", 4) == 4);
	CHECK(fsetxattr(fd, "security.capability", caps, sizeof(caps), 0) == 0);
	sleep(3);
	CHECK(close(fd) == 0);
	CHECK(getxattr("f", "security.capability", value, sizeof(value)) == sizeof(caps));
	fd = open("f", O_RDWR);
	CHECK(fd >= 0);
	CHECK(pwrite(fd, "DATA", 4, 0) == 4);
	CHECK(fsetxattr(fd, "security.capability", caps, sizeof(caps), 0) == 0);
	CHECK(close(fd) == 0);
	sleep(3);
	CHECK(getxattr("f", "security.capability", value, sizeof(value)) == sizeof(caps));
}

static void setgid_inherited(void)
{
	CHECK(mkdir("d", 0755) == 0);
	CHECK(chown("d", 0, 77) == 0);
	CHECK(chmod("d", 02755) == 0);
	touch("d/f");
	CHECK(st_of("d/f").st_gid == 77);
	CHECK(mkdir("d/e", 0755) == 0);
	CHECK(st_of("d/e").st_gid == 77 && (st_of("d/e").st_mode & S_ISGID));
}

static bool read_denied(void)
{
	return open("f", O_RDONLY) < 0 && errno == EACCES;
}

static bool search_denied(void)
{
	struct stat st;

	return stat("d/f", &st) < 0 && errno == EACCES;
}

static bool create_denied(void)
{
	return open("d2/new", O_CREAT | O_RDWR, 0644) < 0 && errno == EACCES;
}

static bool sticky_denied(void)
{
	return unlink("sticky/f") < 0 && (errno == EPERM || errno == EACCES);
}

static bool chmod_denied(void)
{
	return chmod("f", 0777) < 0 && errno == EPERM;
}

static void permissions(void)
{
	put("f", "secret");
	CHECK(chmod("f", 0600) == 0);
	CHECK(as_other(read_denied));
	CHECK(as_other(chmod_denied));
	CHECK(mkdir("d", 0700) == 0);
	touch("d/f");
	CHECK(as_other(search_denied));
	CHECK(mkdir("d2", 0755) == 0);
	CHECK(as_other(create_denied));
	CHECK(mkdir("sticky", 0755) == 0);
	CHECK(chmod("sticky", 01777) == 0);
	touch("sticky/f");
	CHECK(as_other(sticky_denied));
}

static void utimes_exact(void)
{
	struct timespec t[2] = { { 1000000000, 123456789 }, { 1500000000, 987654321 } };
	struct stat st;

	touch("f");
	CHECK(utimensat(AT_FDCWD, "f", t, 0) == 0);
	st = st_of("f");
	CHECK(ns(st.st_atim) == ns(t[0]) && ns(st.st_mtim) == ns(t[1]));
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_sec = -5;
	t[1].tv_nsec = 7;
	CHECK(utimensat(AT_FDCWD, "f", t, 0) == 0);
	st = st_of("f");
	CHECK(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec == -5 &&
	      st.st_mtim.tv_nsec == 7);
	CHECK(utimensat(AT_FDCWD, "f", NULL, 0) == 0);
	CHECK(st_of("f").st_mtim.tv_sec > 1600000000);
}

static void tick(void)
{
	struct timespec t = { 0, 30 * 1000 * 1000 };

	nanosleep(&t, NULL);
}

static void times_move(void)
{
	struct stat d0, d1, f0, f1;

	put("f", "x");
	d0 = st_of(".");
	f0 = st_of("f");
	tick();
	put("g", "y");
	d1 = st_of(".");
	CHECK(ns(d1.st_mtim) > ns(d0.st_mtim) && ns(d1.st_ctim) > ns(d0.st_ctim));
	put("f", "longer");
	f1 = st_of("f");
	CHECK(ns(f1.st_mtim) > ns(f0.st_mtim));
	tick();
	CHECK(chmod("f", 0600) == 0);
	CHECK(ns(st_of("f").st_ctim) > ns(f1.st_ctim));
	CHECK(ns(st_of("f").st_mtim) == ns(f1.st_mtim));
	f1 = st_of("f");
	tick();
	CHECK(link("f", "h") == 0);
	CHECK(ns(st_of("f").st_ctim) > ns(f1.st_ctim));
	tick();
	d1 = st_of(".");
	CHECK(unlink("g") == 0);
	CHECK(ns(st_of(".").st_mtim) > ns(d1.st_mtim));
}

static void statfs_sane(void)
{
	struct statfs s;

	CHECK(statfs(".", &s) == 0);
	CHECK(s.f_bsize > 0 && s.f_blocks > 0 && s.f_bfree <= s.f_blocks);
	CHECK(s.f_namelen == NAME_MAX);
}

static void statx_birth(void)
{
	struct statx x;

	touch("f");
	CHECK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &x) == 0);
	if (!(x.stx_mask & STATX_BTIME))
		check_skip("no birth time on this file system");
	CHECK(x.stx_btime.tv_sec > 1600000000);
}

/* ---- extended attributes ------------------------------------------------ */

static void xattr_basic(void)
{
	char buf[256];

	touch("f");
	if (setxattr("f", "user.a", "one", 3, 0) < 0 && errno == EOPNOTSUPP)
		check_skip("no user xattrs on this file system");
	CHECK(getxattr("f", "user.a", NULL, 0) == 3);
	CHECK(getxattr("f", "user.a", buf, sizeof(buf)) == 3 && !memcmp(buf, "one", 3));
	FAILS(getxattr("f", "user.a", buf, 2), ERANGE);
	FAILS(getxattr("f", "user.b", buf, sizeof(buf)), ENODATA);
	FAILS(setxattr("f", "user.a", "x", 1, XATTR_CREATE), EEXIST);
	FAILS(setxattr("f", "user.b", "x", 1, XATTR_REPLACE), ENODATA);
	CHECK(setxattr("f", "user.a", "longer", 6, XATTR_REPLACE) == 0);
	CHECK(getxattr("f", "user.a", buf, sizeof(buf)) == 6);
	CHECK(setxattr("f", "user.empty", "", 0, 0) == 0);
	CHECK(getxattr("f", "user.empty", buf, sizeof(buf)) == 0);
	CHECK(removexattr("f", "user.a") == 0);
	FAILS(removexattr("f", "user.a"), ENODATA);
	FAILS(setxattr("f", "nosuch.a", "x", 1, 0), EOPNOTSUPP);
}

/* Who is not root sees no names of trusted.*, nor that they take room. */
static bool list_without_trusted(void)
{
	char buf[256];
	ssize_t n = listxattr("f", buf, sizeof(buf));

	return n >= 7 + 8 && memmem(buf, n, "user.a", 7) && memmem(buf, n, "user.bb", 8) &&
	       !memmem(buf, n, "trusted.", 8) && listxattr("f", NULL, 0) == n &&
	       listxattr("f", buf, n) == n && listxattr("f", buf, n - 1) < 0 && errno == ERANGE;
}

static bool list_nothing(void)
{
	char buf[256];
	ssize_t n = listxattr("f", buf, sizeof(buf));

	return n >= 0 && !memmem(buf, n, "trusted.", 8) && listxattr("f", NULL, 0) == n;
}

static void xattr_list(void)
{
	char buf[256], one[4];
	ssize_t n;

	touch("f");
	if (setxattr("f", "user.a", "1", 1, 0) < 0 && errno == EOPNOTSUPP)
		check_skip("no user xattrs on this file system");
	CHECK(setxattr("f", "user.bb", "2", 1, 0) == 0);
	CHECK(setxattr("f", "trusted.c", "3", 1, 0) == 0);
	n = listxattr("f", buf, sizeof(buf));
	CHECK(n >= 7 + 8 + 10);
	CHECK(memmem(buf, n, "user.a", 7) && memmem(buf, n, "user.bb", 8) &&
	      memmem(buf, n, "trusted.c", 10));
	CHECK(listxattr("f", NULL, 0) == n);
	FAILS(listxattr("f", one, sizeof(one)), ERANGE);
	CHECK(as_other(list_without_trusted));
	CHECK(removexattr("f", "user.a") == 0 && removexattr("f", "user.bb") == 0);
	CHECK(as_other(list_nothing));
}

static void xattr_big(void)
{
	static char big[60000], got[65537];
	size_t i;

	touch("f");
	for (i = 0; i < sizeof(big); i++)
		big[i] = i * 31 + (i >> 8);
	if (setxattr("f", "user.big", big, sizeof(big), 0) < 0) {
		if (errno == ENOSPC || errno == EOPNOTSUPP || errno == E2BIG)
			check_skip("large xattrs do not fit on this file system");
		CHECK(!"setxattr of 60000 bytes");
	}
	CHECK(getxattr("f", "user.big", got, 65536) == sizeof(big));
	CHECK(!memcmp(big, got, sizeof(big)));
	FAILS(setxattr("f", "user.big", got, sizeof(got), 0), E2BIG);
}

/* ---- life of open files -------------------------------------------------- */

static void deleted_while_open(void)
{
	char buf[16] = "";
	struct stat st;
	int fd;

	put("f", "alive");
	fd = open("f", O_RDWR);
	CHECK(fd >= 0);
	CHECK(unlink("f") == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
	CHECK(pread(fd, buf, sizeof(buf), 0) == 5 && !memcmp(buf, "alive", 5));
	CHECK(pwrite(fd, "ALIVE AND WELL", 14, 0) == 14);
	CHECK(pread(fd, buf, sizeof(buf), 0) == 14 && !memcmp(buf, "ALIVE", 5));
	CHECK(fchmod(fd, 0600) == 0);
	touch("f");
	CHECK(fstat(fd, &st) == 0 && st.st_ino != st_of("f").st_ino);
	CHECK(close(fd) == 0);
}

static void open_read_only_modes(void)
{
	char c;
	int fd;

	put("f", "x");
	fd = open("f", O_RDONLY);
	FAILS(write(fd, "y", 1), EBADF);
	FAILS(ftruncate(fd, 0), EINVAL);
	close(fd);
	fd = open("f", O_WRONLY);
	FAILS(read(fd, &c, 1), EBADF);
	close(fd);
	fd = open(".", O_RDONLY);
	FAILS(read(fd, &c, 1), EISDIR);
	close(fd);
}

static void parallel_creates(void)
{
	char name[32];
	int p, i, status;

	CHECK(mkdir("d", 0755) == 0);
	for (p = 0; p < 4; p++) {
		if (fork() == 0) {
			for (i = 0; i < 100; i++) {
				snprintf(name, sizeof(name), "d/p%d-%d", p, i);
				touch(name);
				if (i & 1)
					CHECK(unlink(name) == 0);
			}
			_exit(0);
		}
	}
	for (p = 0; p < 4; p++) {
		CHECK(wait(&status) > 0);
		CHECK(status == 0);
	}
	for (p = 0; p < 4; p++) {
		for (i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "d/p%d-%d", p, i);
			CHECK((access(name, F_OK) == 0) == !(i & 1));
		}
	}
}

static void exclusive_create_race(void)
{
	int p, round, wins, status;
	char name[32];

	for (round = 0; round < 20; round++) {
		snprintf(name, sizeof(name), "r%d", round);
		for (p = 0; p < 4; p++)
			if (fork() == 0)
				_exit(open(name, O_CREAT | O_EXCL | O_RDWR, 0644) >= 0);
		for (wins = 0, p = 0; p < 4; p++) {
			CHECK(wait(&status) > 0);
			CHECK(WIFEXITED(status));
			wins += WEXITSTATUS(status);
		}
		CHECK(wins == 1);
	}
}

#define C(fn) { #fn, fn }

static const struct check checks[] = {
	C(open_errors), C(name_limits), C(name_bytes), C(create_through_dangling_symlink),
	C(mkdir_rmdir), C(removed_cwd), C(hard_links), C(many_links), C(symlinks),
	C(special_files), C(rename_basic), C(rename_same_inode), C(rename_types),
	C(rename_dir_counts), C(rename_noreplace), C(rename_exchange),
	C(rename_over_open_file), C(readdir_many), C(readdir_while_removing),
	C(readdir_while_renaming),
	C(readdir_seek), C(readdir_types), C(deep_tree), C(modes), C(owners),
	C(setuid_cleared_by_chown), C(setuid_cleared_by_write), C(caps_cleared_by_write),
	C(caps_after_write),
	C(setgid_inherited),
	C(permissions), C(utimes_exact), C(times_move), C(statfs_sane), C(statx_birth),
	C(xattr_basic), C(xattr_list), C(xattr_big), C(deleted_while_open),
	C(open_read_only_modes), C(parallel_creates), C(exclusive_create_race),
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: posix DIR\n");
		return 2;
	}
	return check_main(argv[1], checks, sizeof(checks) / sizeof(checks[0]), 120);
}
