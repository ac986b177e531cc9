// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuse-passthrough SOURCE MOUNTPOINT: hands every call through to SOURCE. A
 * yardstick for `make bench`: what any file system in user space pays for the
 * way through /dev/fuse alone. Built on libfuse's high-level interface, threads
 * on, no caching beyond the kernel's defaults.
 *
 * Files opened with O_DIRECT are opened so below, and read and written through
 * buffers aligned to a page, one per thread.
 */
#define FUSE_USE_VERSION 35
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BUF_ALIGN	4096
#define BUF_SIZE	(1 << 20)

static int source_dir = -1;		/* opened once in main(), read only after */

static __thread char *bounce;

static const char *below(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static char *bounce_get(void)
{
	if (!bounce && posix_memalign((void **)&bounce, BUF_ALIGN, BUF_SIZE))
		bounce = NULL;
	return bounce;
}

static int result(int rc)
{
	return rc < 0 ? -errno : rc;
}

static int pt_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	if (fi)
		return result(fstat((int)fi->fh, st));
	return result(fstatat(source_dir, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int pt_readlink(const char *path, char *buf, size_t size)
{
	ssize_t n = readlinkat(source_dir, below(path), buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = 0;
	return 0;
}

static int pt_mkdir(const char *path, mode_t mode)
{
	return result(mkdirat(source_dir, below(path), mode));
}

static int pt_unlink(const char *path)
{
	return result(unlinkat(source_dir, below(path), 0));
}

static int pt_rmdir(const char *path)
{
	return result(unlinkat(source_dir, below(path), AT_REMOVEDIR));
}

static int pt_rename(const char *from, const char *to, unsigned int flags)
{
	return result(renameat2(source_dir, below(from), source_dir, below(to), flags));
}

static int pt_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	int fd, rc;

	if (fi)
		return result(ftruncate((int)fi->fh, size));
	fd = openat(source_dir, below(path), O_WRONLY);
	if (fd < 0)
		return -errno;
	rc = result(ftruncate(fd, size));
	close(fd);
	return rc;
}

static int pt_open(const char *path, struct fuse_file_info *fi)
{
	int fd = openat(source_dir, below(path), fi->flags & ~(O_CREAT | O_EXCL));

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int pt_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	int fd = openat(source_dir, below(path), fi->flags | O_CREAT, mode);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int pt_read(const char *path, char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	ssize_t n;

	if (!(fi->flags & O_DIRECT) || size > BUF_SIZE || !bounce_get())
		return result((int)pread((int)fi->fh, buf, size, off));
	n = pread((int)fi->fh, bounce, size, off);
	if (n < 0)
		return -errno;
	memcpy(buf, bounce, (size_t)n);
	return (int)n;
}

static int pt_write(const char *path, const char *buf, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	if (!(fi->flags & O_DIRECT) || size > BUF_SIZE || !bounce_get())
		return result((int)pwrite((int)fi->fh, buf, size, off));
	memcpy(bounce, buf, size);
	return result((int)pwrite((int)fi->fh, bounce, size, off));
}

static int pt_statfs(const char *path, struct statvfs *st)
{
	return result(fstatvfs(source_dir, st));
}

static int pt_release(const char *path, struct fuse_file_info *fi)
{
	return result(close((int)fi->fh));
}

static int pt_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	return result(datasync ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int pt_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
		      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	int fd = openat(source_dir, below(path), O_RDONLY | O_DIRECTORY);
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(d))) {
		struct stat st = { .st_ino = e->d_ino, .st_mode = (mode_t)e->d_type << 12 };

		if (fill(buf, e->d_name, &st, 0, 0))
			break;
	}
	closedir(d);
	return 0;
}

static int pt_utimens(const char *path, const struct timespec ts[2], struct fuse_file_info *fi)
{
	return result(utimensat(source_dir, below(path), ts, AT_SYMLINK_NOFOLLOW));
}

static const struct fuse_operations pt_ops = {
	.getattr = pt_getattr,
	.readlink = pt_readlink,
	.mkdir = pt_mkdir,
	.unlink = pt_unlink,
	.rmdir = pt_rmdir,
	.rename = pt_rename,
	.truncate = pt_truncate,
	.open = pt_open,
	.create = pt_create,
	.read = pt_read,
	.write = pt_write,
	.statfs = pt_statfs,
	.release = pt_release,
	.fsync = pt_fsync,
	.readdir = pt_readdir,
	.utimens = pt_utimens,
};

int main(int argc, char **argv)
{
	char *args[] = { argv[0], argc == 3 ? argv[2] : NULL, "-oallow_other", NULL };

	if (argc != 3) {
		fprintf(stderr, "usage: fuse-passthrough SOURCE MOUNTPOINT\n");
		return 2;
	}
	source_dir = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (source_dir < 0) {
		perror(argv[1]);
		return 1;
	}
	umask(0);
	return fuse_main(3, args, &pt_ops, NULL);
}
