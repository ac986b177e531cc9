// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lets every single memory allocation of a call fail, one after the other, by /proc/self/fail-nth
 * (Documentation/fault-injection in the kernel's sources), for each kind of call that a file system
 * answers. A call may then succeed or say that there is no memory, and nothing else; what it left is
 * what was there before, or what it should have made; and without failures it works as before. A
 * mount may say other things, too: the network's own code asks for memory there.
 *
 * usage: nomem DIRECTORY [CALL]
 *	  nomem mount SOURCE ADDRESS KEY-FILE DIRECTORY
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fiemap.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LEN	(256 << 10)
#define POINTS	2000	/* no call has as many allocations */

static char *data, *room;	/* LEN bytes each, for direct I/O */
static int nth, fd;		/* /proc/self/fail-nth; a file that is open */
static char **where;		/* what is to be mounted, if that is what fails */

static int fail(int at)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", at);

	return pwrite(nth, text, n, 0) == n ? 0 : -1;
}

/* What is left of it: 0: it has failed. */
static int left(void)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) <= 0)
		return -1;
	fail(0);
	return atoi(text);
}

static void put(const char *path, const char *text)
{
	int f = open(path, O_WRONLY);

	if (f < 0 || write(f, text, strlen(text)) < 0)
		perror(path);
	close(f);
}

/* Nothing is known of names and files but what servers say. */
static void forget(void)
{
	put("/proc/sys/vm/drop_caches", "3");
}

/* ---- before each attempt --------------------------------------------------- */

static void with_nothing(void)
{
	unlink("new");
	rmdir("new");
}

static void with_old(void)
{
	int f;

	with_nothing();
	f = open("old", O_CREAT | O_RDWR, 0644);
	if (f < 0 || pwrite(f, data, LEN, 0) != LEN)
		perror("old");
	close(f);
}

static void with_dir(void)
{
	with_nothing();
	mkdir("new", 0755);
}

static void with_open(void)
{
	with_old();
	fd = open("old", O_RDWR);
}

static void with_direct(void)
{
	with_old();
	fd = open("old", O_RDWR | O_DIRECT);
}

static void with_append(void)
{
	with_old();
	fd = open("old", O_RDWR | O_APPEND);
}

static void cold(void)
{
	with_old();
	forget();
}

static void cold_open(void)
{
	with_open();
	fsync(fd);
	forget();
}

/* ---- the calls: 0, or -1 and errno ------------------------------------------ */

static int whole(ssize_t n)
{
	if (n >= 0 && n != LEN)
		errno = ENOMEM;		/* less than was asked for is allowed */
	return n == LEN ? 0 : -1;
}

static int same(ssize_t n)
{
	if (n > 0 && memcmp(room, data, n)) {
		errno = EILSEQ;
		return -1;
	}
	return whole(n);
}

static int opened(int f)
{
	if (f < 0)
		return -1;
	return close(f);
}

static int do_stat(void) { struct stat st; return stat("old", &st); }
static int do_absent(void) { struct stat st; return stat("absent", &st) && errno == ENOENT ? 0 : -1; }
static int do_access(void) { return access("old", R_OK); }
static int do_open(void) { return opened(open("old", O_RDWR)); }
static int do_create(void) { return opened(open("new", O_CREAT | O_EXCL | O_RDWR, 0644)); }
static int do_mknod(void) { return mknod("new", S_IFIFO | 0644, 0); }
static int do_mkdir(void) { return mkdir("new", 0755); }
static int do_rmdir(void) { return rmdir("new"); }
static int do_symlink(void) { return symlink("target", "new"); }
static int do_link(void) { return link("old", "new"); }
static int do_unlink(void) { return unlink("old"); }
static int do_rename(void) { return rename("old", "new"); }
static int do_chmod(void) { return chmod("old", 0600); }
static int do_truncate(void) { return truncate("old", 12345); }
static int do_utimes(void) { return utimensat(AT_FDCWD, "old", NULL, 0); }
static int do_setxattr(void) { return setxattr("old", "user.a", "value", 5, 0); }
static int do_statfs(void) { struct statvfs st; return statvfs(".", &st); }
static int do_tmpfile(void) { return opened(open(".", O_TMPFILE | O_RDWR, 0600)); }
static int do_flock(void) { return flock(fd, LOCK_EX); }
static int do_read(void) { return same(pread(fd, room, LEN, 0)); }
static int do_write(void) { return whole(pwrite(fd, data, LEN, 0)); }
static int do_append(void) { return whole(write(fd, data, LEN)); }
static int do_fallocate(void) { return fallocate(fd, 0, 0, 2 * LEN); }
static int do_punch(void) { return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 65536); }
static int do_hole(void) { return lseek(fd, 0, SEEK_HOLE) < 0 ? -1 : 0; }

static int do_getxattr(void)
{
	char value[16];

	return getxattr("old", "user.absent", value, sizeof(value)) < 0 && errno == ENODATA ? 0 : -1;
}

static int do_listxattr(void)
{
	char names[256];

	return listxattr("old", names, sizeof(names)) < 0 ? -1 : 0;
}

static int do_readdir(void)
{
	DIR *d = opendir(".");
	struct dirent *e;
	int n = 0, err;

	if (!d)
		return -1;
	errno = 0;
	while ((e = readdir(d)))
		n++;
	err = errno;
	closedir(d);
	errno = err;
	return n > 2 && !err ? 0 : -1;
}

static int do_lock(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 100 };

	if (!fcntl(fd, F_SETLK, &l))
		return 0;
	if (errno == ENOLCK)
		errno = ENOMEM;		/* the manual page's word for it */
	return -1;
}

static int do_sync(void)
{
	if (pwrite(fd, data, LEN, 0) < 0)
		return -1;
	return fsync(fd);
}

static int do_map(void)
{
	char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	int ret;

	if (p == MAP_FAILED)
		return -1;
	ret = msync(p, LEN, MS_SYNC);
	munmap(p, LEN);
	return ret;
}

static int do_copy(void)
{
	int to = open("new", O_CREAT | O_RDWR, 0644), ret;

	if (to < 0)
		return -1;
	ret = whole(copy_file_range(fd, NULL, to, NULL, LEN, 0));
	close(to);
	return ret;
}

static int do_clone(void)
{
	int to = open("new", O_CREAT | O_RDWR, 0644), ret;

	if (to < 0)
		return -1;
	ret = ioctl(to, FICLONE, fd);
	close(to);
	return ret;
}

static int do_fiemap(void)
{
	struct { struct fiemap m; struct fiemap_extent e[4]; } f = {
		.m = { .fm_length = LEN, .fm_extent_count = 4 } };

	return ioctl(fd, FS_IOC_FIEMAP, &f);
}

static int do_handle(void)
{
	struct { struct file_handle h; char room[128]; } f = { .h.handle_bytes = 128 };
	int id;

	if (name_to_handle_at(AT_FDCWD, "old", &f.h, &id, 0))
		return -1;
	return opened(open_by_handle_at(AT_FDCWD, &f.h, O_RDONLY));
}

static const struct call {
	const char *name;
	void (*before)(void);
	int (*run)(void);
} calls[] = {
	{ "stat", cold, do_stat },
	{ "stat of what is not there", cold, do_absent },
	{ "access", cold, do_access },
	{ "open", cold, do_open },
	{ "readdir", cold, do_readdir },
	{ "statfs", with_old, do_statfs },
	{ "create", with_nothing, do_create },
	{ "mknod", with_nothing, do_mknod },
	{ "mkdir", with_nothing, do_mkdir },
	{ "rmdir", with_dir, do_rmdir },
	{ "symlink", with_nothing, do_symlink },
	{ "link", with_old, do_link },
	{ "unlink", with_old, do_unlink },
	{ "rename", with_old, do_rename },
	{ "chmod", with_old, do_chmod },
	{ "truncate", with_old, do_truncate },
	{ "utimes", with_old, do_utimes },
	{ "setxattr", with_old, do_setxattr },
	{ "getxattr", cold, do_getxattr },
	{ "listxattr", cold, do_listxattr },
	{ "tmpfile", with_nothing, do_tmpfile },
	{ "flock", with_open, do_flock },
	{ "lock", with_open, do_lock },
	{ "read", cold_open, do_read },
	{ "write", with_open, do_write },
	{ "append", with_append, do_append },
	{ "fsync", with_open, do_sync },
	{ "mmap", cold_open, do_map },
	{ "direct read", with_direct, do_read },
	{ "direct write", with_direct, do_write },
	{ "fallocate", with_open, do_fallocate },
	{ "punch", with_open, do_punch },
	{ "seek for a hole", with_open, do_hole },
	{ "fiemap", with_open, do_fiemap },
	{ "copy_file_range", with_open, do_copy },
	{ "clone", with_open, do_clone },
	{ "open by handle", cold, do_handle },
};

static void after(void)
{
	if (fd >= 0)
		close(fd);
	fd = -1;
	if (unlink("old") && errno != ENOENT)
		perror("cannot remove old");
	with_nothing();
}

/* Return: whether all of it went well. */
static int each(const struct call *c)
{
	int n, err, rest, failed = 0;

	for (n = 1; n < POINTS; n++) {
		c->before();
		fail(n);
		errno = 0;
		err = c->run() ? errno : 0;
		rest = left();
		if (!where)
			after();
		if (err && err != ENOMEM && !where) {
			printf("# %s, allocation %d: %s\n", c->name, n, strerror(err));
			return 0;
		}
		if (rest) {
			printf("# %s: %d allocations, %d times no memory\n", c->name, n - 1, failed);
			return !err;
		}
		failed += !!err;
	}
	printf("# %s: does not end\n", c->name);
	return 0;
}

/* ---- mounting ---------------------------------------------------------------- */

static char options[256];

static int do_mount(void)
{
	return mount(where[0], where[3], "flintfs", 0, options);
}

static void unmount(void)
{
	if (umount(where[3]) && errno != EINVAL)
		perror("umount");
}

static const struct call mounting = { "mount", unmount, do_mount };

/* The key as mount.flintfs hands it to the kernel. Return: 0 or -1. */
static int key_add(const char *path)
{
	unsigned char key[32];
	FILE *f = fopen(path, "r");
	size_t n = 0;

	while (f && n < sizeof(key) && fscanf(f, "%2hhx", &key[n]) == 1)
		n++;
	if (f)
		fclose(f);
	return n == sizeof(key) && syscall(SYS_add_key, "logon", "flintfs:nomem", key, n,
					   KEY_SPEC_PROCESS_KEYRING) >= 0 ? 0 : -1;
}

static int mounts(void)
{
	int good;

	if (key_add(where[2])) {
		perror(where[2]);
		return 2;
	}
	snprintf(options, sizeof(options), "addr=%s,key=flintfs:nomem", where[1]);
	good = each(&mounting);
	unmount();
	printf("%sok - mount\n", good ? "" : "not ");
	return !good;
}

int main(int argc, char **argv)
{
	size_t i;
	int good, bad = 0;

	where = argc == 6 ? argv + 2 : NULL;
	if (!where && (argc < 2 || argc > 3 || chdir(argv[1])))
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	nth = open("/proc/self/fail-nth", O_RDWR);
	if (nth < 0 || posix_memalign((void **)&data, 4096, LEN) ||
	    posix_memalign((void **)&room, 4096, LEN)) {
		perror("fail-nth");
		return 2;
	}
	if (where)
		return mounts();
	for (i = 0; i < LEN; i++)
		data[i] = (char)(i * 7 + i / 4096);
	fd = -1;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (argc == 3 && strcmp(argv[2], calls[i].name))
			continue;
		good = each(&calls[i]);
		printf("%sok - %s\n", good ? "" : "not ", calls[i].name);
		bad |= !good;
	}
	return bad;
}
