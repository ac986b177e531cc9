// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine that carries the disks' I/O (dev_file.c), on a real file and a real io_uring whose
 * answers are changed as they are read: a kernel without memory is asked again, data arrives whole,
 * and what does not pass in time, or is a sync, fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <liburing.h>

static int hungry;		/* so many answers are -ENOMEM; negative: all */
static int answers;

static int peek(struct io_uring *ring, struct io_uring_cqe **cqe)
{
	int ret = io_uring_peek_cqe(ring, cqe);

	if (ret)
		return ret;
	answers++;
	if (hungry) {
		hungry -= hungry > 0;
		(*cqe)->res = -ENOMEM;
	}
	return 0;
}

#define io_uring_peek_cqe peek
#include "userd/chunk/dev_file.c"

#define LEN	(64u * 1024)

static struct flint_loop *loop;
static struct flint_dev *dev;
static struct flint_engine *eng;
static u8 *mem;
static int result;

static void turn(void *arg)
{
}

static void ended(struct flint_dio *io, int err)
{
	result = err;
	flint_loop_stop(loop);
}

static int run(u8 op, u32 len)
{
	struct flint_dio io = {
		.op = op, .len = len, .off = LEN, .buf = len ? mem : NULL, .done = ended,
		.dev = dev,
	};

	result = 1;
	dev->ops->submit(dev, &io);
	assert_int_equal(flint_loop_run(loop), 0);
	return result;
}

static int set_up(void **state)
{
	char path[] = "/var/tmp/flint-engine-XXXXXX", err[256] = "";
	struct iovec iov;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	mem = aligned_alloc(4096, LEN);
	iov = (struct iovec){ mem, LEN };
	loop = flint_loop_new();
	dev = flint_dev_open(path, FLINT_DEV_CREATE, 4 * LEN, err, sizeof(err));
	if (!dev)
		fail_msg("%s", err);
	unlink(path);
	eng = flint_engine_new(loop, &iov, 1, &dev, 1, turn, NULL);
	assert_non_null(eng);
	hungry = 0;
	answers = 0;
	return 0;
}

static int tear_down(void **state)
{
	flint_engine_free(eng);
	dev->ops->close(dev);
	flint_loop_free(loop);
	free(mem);
	return 0;
}

static void passes(void **state)
{
	u32 i;

	for (i = 0; i < LEN; i++)
		mem[i] = (u8)(i * 7 + (i >> 8));
	hungry = 3;
	assert_int_equal(run(FLINT_DIO_WRITE, LEN), 0);
	assert_int_equal(answers, 4);
	memset(mem, 0, LEN);
	hungry = 1;
	assert_int_equal(run(FLINT_DIO_READ, LEN), 0);
	for (i = 0; i < LEN; i++)
		assert_int_equal(mem[i], (u8)(i * 7 + (i >> 8)));
	hungry = 2;
	assert_int_equal(run(FLINT_DIO_DISCARD, LEN), 0);
	assert_int_equal(hungry, 0);
}

static void never_passes(void **state)
{
	hungry = -1;
	assert_int_equal(run(FLINT_DIO_READ, LEN), -ENOMEM);
	assert_int_equal(answers, NOMEM_TRIES + 1);
	hungry = 0;
	assert_int_equal(run(FLINT_DIO_READ, LEN), 0);
}

static void syncs_fail(void **state)
{
	hungry = 1;
	assert_int_equal(run(FLINT_DIO_SYNC, 0), -ENOMEM);
	assert_int_equal(answers, 1);
}

/* The loop has stopped: draining does without its timers. */
static void drained(void **state)
{
	struct flint_dio io = {
		.op = FLINT_DIO_WRITE, .len = LEN, .off = 0, .buf = mem, .done = ended, .dev = dev,
	};

	memset(mem, 1, LEN);
	hungry = 3;
	result = 1;
	dev->ops->submit(dev, &io);
	flint_engine_drain(eng);
	assert_int_equal(result, 0);
	assert_int_equal(answers, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(passes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(never_passes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(syncs_fail, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drained, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
