/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the chunk store does I/O on: a narrow interface, so that the unit tests
 * can stand in for the disk, lose what was not flushed and tear what was being
 * written.
 *
 * Requests complete by io->done on the store's thread, never from inside
 * submit(). A request's memory is the caller's until then. Offsets, lengths and
 * memory are multiples of FLINT_STORE_ALIGN.
 */
#ifndef FLINT_CHUNK_DEV_H
#define FLINT_CHUNK_DEV_H

#include "format.h"

enum flint_dio_op {
	FLINT_DIO_READ,
	FLINT_DIO_WRITE,
	FLINT_DIO_SYNC,		/* everything completed before is durable afterwards */
	FLINT_DIO_DISCARD,	/* the range may hold anything afterwards, and need no space */
};

#define FLINT_DIO_DSYNC	0x1	/* WRITE: durable when done, whatever the cache */

/**
 * struct flint_dio - one request
 * @done: err 0 when all of @len was moved, else -errno (-ENOMEM: for 5 s)
 */
struct flint_dio {
	u8 op;
	u8 flags;
	u32 len;
	u64 off;
	u8 *buf;
	void (*done)(struct flint_dio *io, int err);
	void *arg;
	/* the device's */
	struct flint_dev *dev;
	struct flint_dio *next;
	u32 moved;
	u16 tries;
};

struct flint_dev;

struct flint_dev_ops {
	void (*submit)(struct flint_dev *dev, struct flint_dio *io);
	/* Now and waiting for it; opening, formatting and recovery only. 0 or -errno. */
	int (*pread)(struct flint_dev *dev, void *buf, u32 len, u64 off);
	int (*pwrite)(struct flint_dev *dev, const void *buf, u32 len, u64 off);
	int (*sync)(struct flint_dev *dev);
	void (*close)(struct flint_dev *dev);
};

/**
 * struct flint_dev - a target's file or block device
 * @size: bytes
 * @volatile_cache: completed writes may be lost in a power cut until synced
 * @prewritten: no need to write a block before its first use (block devices)
 */
struct flint_dev {
	const struct flint_dev_ops *ops;
	u64 size;
	bool volatile_cache;
	bool prewritten;
};

/* ---- files and block devices (dev_file.c) -------------------------------- */

#define FLINT_DEV_CREATE	0x1	/* a regular file may be made and grown to @size */

/**
 * flint_dev_open() - open and lock a file or block device with O_DIRECT
 * @path: of it
 * @flags: FLINT_DEV_*
 * @size: with FLINT_DEV_CREATE: bytes wanted; 0: what is there
 * @err, @errlen: receives one sentence on failure
 *
 * Refuses what cannot hold a target: 9p and tmpfs, a directory, a file system
 * without O_DIRECT, one that another process has locked.
 *
 * Return: the device or NULL with errno.
 */
struct flint_dev *flint_dev_open(const char *path, int flags, u64 size, char *err, size_t errlen);

struct flint_loop;
struct flint_engine;

/**
 * flint_engine_new() - one io_uring that serves the devices of one loop
 * @loop: whose thread calls this, or that does not run yet
 * @mem, @nr_mem: memory to register (buffers, logs); at most 1 GiB each
 * @devs, @nr_devs: devices from flint_dev_open() to serve
 * @turn: called before requests are handed to the kernel, so that work of one
 *	turn of the loop can be gathered; may queue more requests
 *
 * Return: the engine, or NULL with errno.
 */
struct flint_engine *flint_engine_new(struct flint_loop *loop, const struct iovec *mem,
				      unsigned int nr_mem, struct flint_dev **devs,
				      unsigned int nr_devs, void (*turn)(void *arg), void *arg);
/**
 * flint_engine_add() - serve another device
 * @mem: of its store, to register; what cannot be is used unregistered
 *
 * On the engine's thread. Return: 0 or -errno (-ENOSPC: too many).
 */
int flint_engine_add(struct flint_engine *eng, struct flint_dev *dev, const struct iovec *mem);
/* Nothing of the device or of its memory may be in flight. On the engine's thread. */
void flint_engine_remove(struct flint_engine *eng, struct flint_dev *dev, const void *mem);
/* Waits for what is in flight. */
void flint_engine_free(struct flint_engine *eng);
/* Something was queued outside the engine's callbacks; handed over this turn. */
void flint_engine_kick(struct flint_engine *eng);
/* Run completions until nothing is in flight (shutting down). */
void flint_engine_drain(struct flint_engine *eng);

#endif /* FLINT_CHUNK_DEV_H */
