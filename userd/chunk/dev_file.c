// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Targets on regular files and block devices: opening with O_DIRECT and a
 * lock, finding out whether the device has a volatile cache, and the io_uring
 * that carries the I/O of all targets of one loop.
 *
 * The ring is the loop's alone: submitted to, and reaped, from its thread. The
 * loop watches the ring's own descriptor, which is readable while completions
 * wait; work that arrives from the network is gathered by a task that runs at
 * the end of the loop's turn, so that one io_uring_enter() carries a turn's
 * requests and also fetches what completed meanwhile.
 */
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "dev.h"
#include "../base/log.h"
#include "../net/loop_int.h"

#define RING_DEPTH	512u
#define RING_INFLIGHT	2048u
#define MAX_REGIONS	66u
#define MAX_FILES	64u
#define MAX_ROUNDS	32u
#define LOCK_TRIES	60
#define LOCK_PAUSE_US	50000
#define NOMEM_PAUSE_MS	10
#define NOMEM_TRIES	500		/* so that a machine has 5 s to find memory */

struct file_dev {
	struct flint_dev dev;		/* first: cast both ways */
	int fd;
	int slot;			/* in the ring's table of files */
	struct flint_engine *eng;
};

struct region {
	const u8 *base;
	size_t len;
};

struct flint_engine {
	struct io_uring ring;
	struct flint_loop *loop;
	struct flint_watch watch;
	struct flint_task task;
	bool posted, running, again;
	bool defer;			/* completions are run by our own call only */
	u32 inflight;
	struct flint_dio *queue, **queue_tail;	/* beyond what the ring takes */
	struct flint_dio *starved;	/* the kernel had no memory for them: a pause later */
	struct flint_timer pause;
	struct region regions[MAX_REGIONS];	/* base NULL: free */
	unsigned int nr_regions;
	bool sparse;			/* buffers can be registered one by one */
	bool files[MAX_FILES];		/* slots that are taken */
	void (*turn)(void *arg);
	void *arg;
};

/* ---- at once ------------------------------------------------------------ */

static int file_pread(struct flint_dev *dev, void *buf, u32 len, u64 off)
{
	struct file_dev *f = (struct file_dev *)dev;

	while (len) {
		ssize_t n = pread(f->fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf = (u8 *)buf + n;
		off += (u64)n;
		len -= (u32)n;
	}
	return 0;
}

static int file_pwrite(struct flint_dev *dev, const void *buf, u32 len, u64 off)
{
	struct file_dev *f = (struct file_dev *)dev;

	while (len) {
		ssize_t n = pwrite(f->fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf = (const u8 *)buf + n;
		off += (u64)n;
		len -= (u32)n;
	}
	return 0;
}

static int file_sync(struct flint_dev *dev)
{
	return fsync(((struct file_dev *)dev)->fd) ? -errno : 0;
}

static void file_close(struct flint_dev *dev)
{
	struct file_dev *f = (struct file_dev *)dev;

	close(f->fd);
	free(f);
}

/* ---- the ring ----------------------------------------------------------- */

static int region_of(const struct flint_engine *eng, const u8 *buf, u32 len)
{
	unsigned int i;

	for (i = 0; i < eng->nr_regions; i++) {
		const struct region *r = &eng->regions[i];

		if (r->base && buf >= r->base && buf + len <= r->base + r->len)
			return (int)i;
	}
	return -1;
}

static void prepare(struct flint_engine *eng, struct io_uring_sqe *sqe, struct flint_dio *io)
{
	struct file_dev *f = (struct file_dev *)io->dev;
	u8 *buf = io->buf + io->moved;
	u32 len = io->len - io->moved;
	u64 off = io->off + io->moved;
	int region = io->buf ? region_of(eng, buf, len) : -1;

	switch (io->op) {
	case FLINT_DIO_READ:
		if (region >= 0)
			io_uring_prep_read_fixed(sqe, f->slot, buf, len, off, region);
		else
			io_uring_prep_read(sqe, f->slot, buf, len, off);
		break;
	case FLINT_DIO_WRITE:
		if (region >= 0)
			io_uring_prep_write_fixed(sqe, f->slot, buf, len, off, region);
		else
			io_uring_prep_write(sqe, f->slot, buf, len, off);
		if (io->flags & FLINT_DIO_DSYNC)
			sqe->rw_flags = RWF_DSYNC;
		break;
	case FLINT_DIO_DISCARD:
		io_uring_prep_fallocate(sqe, f->slot, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					off, len);
		break;
	default:
		io_uring_prep_fsync(sqe, f->slot, IORING_FSYNC_DATASYNC);
	}
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, io);
	eng->inflight++;
}

static void queue_add(struct flint_engine *eng, struct flint_dio *io)
{
	io->next = NULL;
	*eng->queue_tail = io;
	eng->queue_tail = &io->next;
}

static void file_submit(struct flint_dev *dev, struct flint_dio *io)
{
	struct flint_engine *eng = ((struct file_dev *)dev)->eng;
	struct io_uring_sqe *sqe = NULL;

	io->moved = 0;
	io->tries = 0;
	if (!eng->queue && eng->inflight < RING_INFLIGHT)
		sqe = io_uring_get_sqe(&eng->ring);
	if (sqe)
		prepare(eng, sqe, io);
	else
		queue_add(eng, io);
	flint_engine_kick(eng);
}

static void queue_run(struct flint_engine *eng)
{
	while (eng->queue && eng->inflight < RING_INFLIGHT) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&eng->ring);
		struct flint_dio *io = eng->queue;

		if (!sqe)
			return;
		eng->queue = io->next;
		if (!eng->queue)
			eng->queue_tail = &eng->queue;
		prepare(eng, sqe, io);
	}
}

/* What starved, once more. */
static void starved_queue(struct flint_engine *eng)
{
	while (eng->starved) {
		struct flint_dio *io = eng->starved;

		eng->starved = io->next;
		queue_add(eng, io);
	}
}

static void pause_over(struct flint_timer *t)
{
	struct flint_engine *eng = t->arg;

	starved_queue(eng);
	flint_engine_kick(eng);
}

/*
 * The kernel had no memory: that is not the disk's fault, and passes. A sync is not tried again:
 * the first may have forgotten what failed.
 */
static bool starves(struct flint_engine *eng, struct flint_dio *io)
{
	if (io->op == FLINT_DIO_SYNC || io->tries == NOMEM_TRIES)
		return false;
	if (!io->tries++)
		flint_warn_rl("the kernel has no memory for disk I/O: it is tried again for %u s",
			      NOMEM_PAUSE_MS * NOMEM_TRIES / 1000);
	io->next = eng->starved;
	eng->starved = io;
	if (!eng->pause.due_ns)
		flint_timer_set(eng->loop, &eng->pause, NOMEM_PAUSE_MS);
	return true;
}

static void complete(struct flint_engine *eng, struct flint_dio *io, int res)
{
	eng->inflight--;
	if (res == -EAGAIN || res == -EINTR) {
		res = 0;		/* try the rest again */
	} else if (res == -ENOMEM && starves(eng, io)) {
		return;
	} else if (res < 0) {
		io->done(io, res);
		return;
	} else if (io->op == FLINT_DIO_SYNC || io->op == FLINT_DIO_DISCARD) {
		io->done(io, 0);
		return;
	} else if (!res) {
		io->done(io, -EIO);	/* end of the file where it must not be */
		return;
	}
	io->moved += (u32)res;
	if (io->moved >= io->len) {
		io->done(io, 0);
		return;
	}
	queue_add(eng, io);
}

static unsigned int reap(struct flint_engine *eng)
{
	struct io_uring_cqe *cqe;
	unsigned int n = 0;

	while (!io_uring_peek_cqe(&eng->ring, &cqe)) {
		struct flint_dio *io = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&eng->ring, cqe);
		complete(eng, io, res);
		n++;
	}
	return n;
}

static void ring_submit(struct flint_engine *eng)
{
	int n;

	if (!io_uring_sq_ready(&eng->ring))
		return;
	n = eng->defer ? io_uring_submit_and_get_events(&eng->ring) :
			 io_uring_submit(&eng->ring);
	if (n < 0 && n != -EAGAIN && n != -EBUSY && n != -EINTR) {
		flint_err("io_uring refuses requests: %s", strerror(-n));
		abort();
	}
}

static void engine_run(struct flint_engine *eng)
{
	unsigned int n, rounds = 0;

	if (eng->running)
		return;
	eng->running = true;
	do {
		if (rounds++ == MAX_ROUNDS) {	/* let the network have its turn */
			eng->running = false;
			flint_engine_kick(eng);
			return;
		}
		eng->again = false;
		eng->turn(eng->arg);
		queue_run(eng);
		ring_submit(eng);
		n = reap(eng);
	} while (n || eng->again || io_uring_sq_ready(&eng->ring));
	eng->running = false;
}

static void engine_task(struct flint_task *t)
{
	struct flint_engine *eng = (void *)((u8 *)t - offsetof(struct flint_engine, task));

	eng->posted = false;
	engine_run(eng);
}

static void engine_ready(struct flint_watch *w, uint32_t events)
{
	struct flint_engine *eng = w->arg;

	if (reap(eng))
		engine_run(eng);
}

void flint_engine_kick(struct flint_engine *eng)
{
	if (eng->running) {
		eng->again = true;
	} else if (!eng->posted) {
		eng->posted = true;
		flint_loop_post(eng->loop, &eng->task);
	}
}

void flint_engine_drain(struct flint_engine *eng)
{
	engine_run(eng);
	while (eng->inflight || eng->queue || eng->starved) {
		struct io_uring_cqe *cqe;

		if (eng->starved) {	/* the loop, and its timers, may have stopped */
			usleep(NOMEM_PAUSE_MS * 1000);
			starved_queue(eng);
		} else if (!io_uring_wait_cqe(&eng->ring, &cqe)) {
			reap(eng);
		}
		engine_run(eng);
	}
}

/*
 * Without DEFER_TASKRUN: a ring whose completions wait for us to ask does not
 * become readable in epoll when one is due (seen on 6.18), and we would sleep.
 */
static int ring_init(struct flint_engine *eng)
{
	static const unsigned int flags[] = {
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	unsigned int i;
	int ret = -EINVAL;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct io_uring_params p = {
			.flags = flags[i] | IORING_SETUP_CQSIZE,
			.cq_entries = 2 * RING_INFLIGHT,
		};

		ret = io_uring_queue_init_params(RING_DEPTH, &eng->ring, &p);
		if (!ret) {
			eng->defer = flags[i] & IORING_SETUP_DEFER_TASKRUN;
			return 0;
		}
		if (ret != -EINVAL)
			break;
	}
	return ret;
}

static int file_add(struct flint_engine *eng, struct file_dev *f)
{
	unsigned int slot = 0;
	int ret;

	while (slot < MAX_FILES && eng->files[slot])
		slot++;
	if (slot == MAX_FILES)
		return -ENOSPC;
	ret = io_uring_register_files_update(&eng->ring, slot, &f->fd, 1);
	if (ret < 0)
		return ret;
	eng->files[slot] = true;
	f->slot = (int)slot;
	f->eng = eng;
	return 0;
}

/* What cannot be registered is slower, but right. */
static int region_add(struct flint_engine *eng, const struct iovec *mem)
{
	unsigned int i = 0;
	int ret;

	while (i < eng->nr_regions && eng->regions[i].base)
		i++;
	if (!eng->sparse || i == MAX_REGIONS)
		return -ENOSPC;
	ret = io_uring_register_buffers_update_tag(&eng->ring, i, mem, NULL, 1);
	if (ret < 0)
		return ret;
	eng->regions[i] = (struct region){ mem->iov_base, mem->iov_len };
	if (i == eng->nr_regions)
		eng->nr_regions++;
	return 0;
}

/* All at once: kernels before 5.19. */
static int regions_register(struct flint_engine *eng, const struct iovec *mem, unsigned int nr)
{
	unsigned int i;
	int ret;

	if (nr > MAX_REGIONS)
		nr = MAX_REGIONS;
	ret = io_uring_register_buffers(&eng->ring, mem, nr);
	for (i = 0; i < nr && !ret; i++)
		eng->regions[i] = (struct region){ mem[i].iov_base, mem[i].iov_len };
	eng->nr_regions = ret ? 0 : nr;
	return ret;
}

static int ring_register(struct flint_engine *eng, const struct iovec *mem, unsigned int nr_mem,
			 struct flint_dev **devs, unsigned int nr_devs)
{
	int fds[MAX_FILES], ret;
	unsigned int i;

	memset(fds, -1, sizeof(fds));	/* empty slots */
	ret = io_uring_register_files(&eng->ring, fds, MAX_FILES);
	for (i = 0; i < nr_devs && !ret; i++)
		ret = file_add(eng, (struct file_dev *)devs[i]);
	if (ret)
		return ret;
	eng->sparse = !io_uring_register_buffers_sparse(&eng->ring, MAX_REGIONS);
	if (!eng->sparse)
		ret = regions_register(eng, mem, nr_mem);
	for (i = 0; i < nr_mem && eng->sparse && !ret; i++)
		ret = region_add(eng, &mem[i]);
	if (ret)
		flint_warn("cannot register buffers with io_uring (%s): raise the limit for locked memory (LimitMEMLOCK= or ulimit -l)",
			   strerror(-ret));
	io_uring_register_ring_fd(&eng->ring);	/* a little less per call, if it can */
	return 0;
}

int flint_engine_add(struct flint_engine *eng, struct flint_dev *dev, const struct iovec *mem)
{
	int ret = file_add(eng, (struct file_dev *)dev);

	if (!ret)
		region_add(eng, mem);
	return ret;
}

void flint_engine_remove(struct flint_engine *eng, struct flint_dev *dev, const void *mem)
{
	struct file_dev *f = (struct file_dev *)dev;
	struct iovec none = { NULL, 0 };
	int fd = -1;
	unsigned int i;

	ring_submit(eng);	/* what completes takes no notice of later changes */
	io_uring_register_files_update(&eng->ring, (unsigned int)f->slot, &fd, 1);
	eng->files[f->slot] = false;
	f->eng = NULL;
	for (i = 0; i < eng->nr_regions && eng->sparse; i++) {
		if (eng->regions[i].base != mem)
			continue;
		io_uring_register_buffers_update_tag(&eng->ring, i, &none, NULL, 1);
		eng->regions[i] = (struct region){ NULL, 0 };
	}
}

struct flint_engine *flint_engine_new(struct flint_loop *loop, const struct iovec *mem,
				      unsigned int nr_mem, struct flint_dev **devs,
				      unsigned int nr_devs, void (*turn)(void *arg), void *arg)
{
	struct flint_engine *eng = calloc(1, sizeof(*eng));
	int ret;

	if (!eng)
		return NULL;
	eng->loop = loop;
	eng->turn = turn;
	eng->arg = arg;
	eng->queue_tail = &eng->queue;
	eng->task.fn = engine_task;
	eng->pause.fn = pause_over;
	eng->pause.arg = eng;
	ret = ring_init(eng);
	if (ret)
		goto fail;
	ret = ring_register(eng, mem, nr_mem, devs, nr_devs);
	if (ret)
		goto fail_ring;
	eng->watch.fd = eng->ring.ring_fd;
	eng->watch.fn = engine_ready;
	eng->watch.arg = eng;
	ret = flint_watch_add(loop, &eng->watch, EPOLLIN);
	if (ret)
		goto fail_ring;
	flint_watch_interrupts(loop, &eng->watch);
	return eng;
fail_ring:
	io_uring_queue_exit(&eng->ring);
fail:
	free(eng);
	errno = -ret;
	return NULL;
}

static void nothing(void *arg)
{
}

void flint_engine_free(struct flint_engine *eng)
{
	if (!eng)
		return;
	/* Our task may still be posted to the loop, which has stopped: run it. */
	flint_engine_drain(eng);
	while (eng->posted) {
		flint_loop_sync(eng->loop, nothing, NULL);
		flint_engine_drain(eng);
	}
	flint_timer_cancel(eng->loop, &eng->pause);
	flint_watch_del(eng->loop, &eng->watch);
	io_uring_unregister_files(&eng->ring);
	io_uring_queue_exit(&eng->ring);
	free(eng);
}

/* ---- opening ------------------------------------------------------------ */

static const struct flint_dev_ops file_ops = {
	.submit = file_submit,
	.pread = file_pread,
	.pwrite = file_pwrite,
	.sync = file_sync,
	.close = file_close,
};

/* Does the disk below have a cache that forgets? Unknown counts as yes. */
static bool cache_volatile(const struct stat *sb)
{
	dev_t d = S_ISBLK(sb->st_mode) ? sb->st_rdev : sb->st_dev;
	char path[96], word[32] = "";
	int i;

	for (i = 0; i < 2; i++) {	/* the disk itself, or a partition of it */
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/write_cache",
			 major(d), minor(d), i ? "../" : "");
		f = fopen(path, "re");
		if (!f)
			continue;
		if (!fgets(word, sizeof(word), f))
			word[0] = 0;
		fclose(f);
		return strncmp(word, "write through", 13) != 0;
	}
	return true;
}

static int refuse_fs(int fd, const char *path, char *err, size_t errlen)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return 0;
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == 0x01021997 /* 9p */) {
		snprintf(err, errlen, "%s: a target cannot lie on %s: put it on ext4 or XFS, or use a block device",
			 path, fs.f_type == TMPFS_MAGIC ? "tmpfs (nothing there survives)" :
							  "9p (no direct I/O)");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int file_grow(int fd, const char *path, u64 size, char *err, size_t errlen)
{
	int ret = posix_fallocate(fd, 0, (off_t)size);

	if (ret)
		snprintf(err, errlen, "%s: cannot reserve %llu bytes: %s", path,
			 (unsigned long long)size, strerror(ret));
	return -ret;
}

/*
 * The lock of a process that has just died may last a moment longer: its
 * io_uring gives the file back in the background.
 */
static int lock_wait(int fd)
{
	int tries = LOCK_TRIES;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK || !tries--)
			return -errno;
		usleep(LOCK_PAUSE_US);
	}
	return 0;
}

/* The same for a block device. */
static int open_wait(const char *path, int flags)
{
	int tries = LOCK_TRIES, fd;

	while ((fd = open(path, flags, 0600)) < 0 && errno == EBUSY && tries--)
		usleep(LOCK_PAUSE_US);
	return fd;
}

static int dev_check(int fd, const char *path, int flags, u64 size, struct flint_dev *dev,
		     char *err, size_t errlen)
{
	struct stat sb;
	int ret;

	if (fstat(fd, &sb)) {
		ret = -errno;
		snprintf(err, errlen, "%s: %s", path, strerror(errno));
		return ret;
	}
	if (!S_ISREG(sb.st_mode) && !S_ISBLK(sb.st_mode)) {
		snprintf(err, errlen, "%s: a target is a regular file or a block device", path);
		return -EINVAL;
	}
	if (lock_wait(fd)) {
		snprintf(err, errlen, "%s: another process uses this target: stop it first", path);
		return -EBUSY;
	}
	/* What is written into a hole of a file is safe only after a sync, too. */
	dev->volatile_cache = cache_volatile(&sb) ||
			      (S_ISREG(sb.st_mode) && (u64)sb.st_blocks * 512 < (u64)sb.st_size);
	dev->prewritten = S_ISBLK(sb.st_mode);
	if (S_ISBLK(sb.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &dev->size))
			return -errno;
		return 0;
	}
	ret = refuse_fs(fd, path, err, errlen);
	if (!ret && (flags & FLINT_DEV_CREATE) && size > (u64)sb.st_size)
		ret = file_grow(fd, path, size, err, errlen);
	if (!ret && fstat(fd, &sb))
		ret = -errno;
	dev->size = (u64)sb.st_size;
	return ret;
}

struct flint_dev *flint_dev_open(const char *path, int flags, u64 size, char *err, size_t errlen)
{
	int open_flags = O_RDWR | O_CLOEXEC | (flags & FLINT_DEV_CREATE ? O_CREAT : 0);
	struct file_dev *f = calloc(1, sizeof(*f));
	struct stat sb;
	int ret;

	if (!f) {
		snprintf(err, errlen, "%s: no memory", path);
		errno = ENOMEM;
		return NULL;
	}
	/* On a block device this asks that nothing is mounted on it. */
	if (!stat(path, &sb) && S_ISBLK(sb.st_mode))
		open_flags = O_RDWR | O_CLOEXEC | O_EXCL;
	f->dev.ops = &file_ops;
	f->fd = open_wait(path, open_flags);
	if (f->fd < 0) {
		ret = -errno;
		if (ret == -EBUSY)
			snprintf(err, errlen, "%s: the device is in use, mounted or by another process: free it first",
				 path);
		else
			snprintf(err, errlen, "%s: cannot open the target: %s", path,
				 strerror(errno));
		goto fail;
	}
	ret = dev_check(f->fd, path, flags, size, &f->dev, err, errlen);
	if (ret)
		goto fail_close;
	if (fcntl(f->fd, F_SETFL, O_DIRECT)) {
		ret = -errno;
		snprintf(err, errlen, "%s: the file system has no direct I/O: use ext4, XFS or a block device",
			 path);
		goto fail_close;
	}
	return &f->dev;
fail_close:
	close(f->fd);
fail:
	free(f);
	errno = -ret;
	return NULL;
}
