// SPDX-License-Identifier: GPL-2.0-or-later
/* State directory, lock, key file, UUIDs, log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"

static char dir[] = "/tmp/flint_state_test.XXXXXX";
static char err[512];

static char *at(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void test_state_open(void **state)
{
	struct stat st;
	int fd = flint_state_open(at("s"), err, sizeof(err));

	assert_true(fd >= 0);
	assert_int_equal(stat(at("s"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	close(fd);
	fd = flint_state_open(at("s"), err, sizeof(err));	/* again */
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(flint_state_open(at("no/such"), err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "parent directory"));
	fd = open(at("file"), O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(flint_state_open(at("file"), err, sizeof(err)), -ENOTDIR);
	assert_non_null(strstr(err, "--state"));
}

static void test_lock(void **state)
{
	int fd = flint_state_open(at("l"), err, sizeof(err));
	char pid[32];
	int lock, status;
	pid_t child;

	lock = flint_state_lock(fd, "l", err, sizeof(err));
	assert_true(lock >= 0);
	assert_int_equal(flint_state_lock(fd, "l", err, sizeof(err)), -EBUSY);
	snprintf(pid, sizeof(pid), "pid %d", getpid());
	assert_non_null(strstr(err, pid));
	close(lock);
	/* A holder that dies leaves no lock behind. */
	child = fork();
	if (!child)
		_exit(flint_state_lock(fd, "l", err, sizeof(err)) < 0);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	lock = flint_state_lock(fd, "l", err, sizeof(err));
	assert_true(lock >= 0);
	close(lock);
	close(fd);
}

static void test_key(void **state)
{
	uint8_t a[FLINT_KEY_LEN], b[FLINT_KEY_LEN];
	struct stat st;
	char *path = at("key");
	int fd;

	assert_int_equal(flint_key_load(path, b, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "flint cluster init"));
	assert_int_equal(flint_key_create(path, a, err, sizeof(err)), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 65);
	assert_int_equal(flint_key_load(path, b, err, sizeof(err)), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(flint_key_create(path, b, err, sizeof(err)), -EEXIST);
	assert_int_equal(flint_key_load(path, b, err, sizeof(err)), 0);
	assert_memory_equal(a, b, sizeof(a));
	chmod(path, 0640);
	assert_int_equal(flint_key_load(path, b, err, sizeof(err)), -EACCES);
	assert_non_null(strstr(err, "chmod 600"));
	chmod(path, 0600);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(flint_key_load(path, b, err, sizeof(err)), -EINVAL);
	assert_int_equal(ftruncate(fd, 63), 0);
	assert_int_equal(flint_key_load(path, b, err, sizeof(err)), -EINVAL);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(flint_key_load(path, b, err, sizeof(err)), -EINVAL);
	close(fd);
	assert_int_equal(flint_key_load(dir, b, err, sizeof(err)), -EINVAL);
}

static void test_uuid(void **state)
{
	uint8_t a[16], b[16];
	char s[FLINT_UUID_STR];

	flint_uuid_make(a);
	assert_int_equal(a[6] >> 4, 4);
	assert_int_equal(a[8] >> 6, 2);
	flint_uuid_format(a, s);
	assert_int_equal(strlen(s), 36);
	assert_int_equal(flint_uuid_parse(s, b), 0);
	assert_memory_equal(a, b, 16);
	assert_int_equal(flint_uuid_parse("", b), -EINVAL);
	assert_int_equal(flint_uuid_parse("00112233-4455-6677-8899-aabbccddeef", b), -EINVAL);
	assert_int_equal(flint_uuid_parse("00112233-4455-6677-8899-aabbccddeefff", b), -EINVAL);
	assert_int_equal(flint_uuid_parse("0011223344455-6677-8899-aabbccddeefff", b), -EINVAL);
	assert_int_equal(flint_uuid_parse("00112233-4455-6677-8899-aabbccddeefg", b), -EINVAL);
	assert_int_equal(flint_uuid_parse("00112233-4455-6677-8899-AABBCCDDEEFF", b), 0);
	assert_int_equal(b[15], 0xff);
	assert_int_equal(flint_boot_id(a), 0);
}

static void test_ratelimit(void **state)
{
	struct flint_ratelimit rl = { 0 };
	uint32_t dropped = 1;
	int i, ok = 0;

	for (i = 0; i < 100; i++)
		ok += flint_ratelimit_ok(&rl, &dropped);
	assert_int_equal(ok, 10);
	assert_int_equal(dropped, 0);
	assert_int_equal(rl.dropped, 90);
	rl.window_ns = 1;	/* long ago */
	assert_true(flint_ratelimit_ok(&rl, &dropped));
	assert_int_equal(dropped, 90);
}

/* One line per event, whatever the text holds. */
static void test_log(void **state)
{
	char text[4096], big[3000];
	int p[2], save;
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	save = dup(STDERR_FILENO);
	dup2(p[1], STDERR_FILENO);
	memset(big, 'b', sizeof(big));
	big[sizeof(big) - 1] = 0;
	unsetenv("JOURNAL_STREAM");
	flint_log_init("tester", FLINT_LOG_INFO);
	flint_info("a\nb\x1b[31m");
	flint_debug("not seen");
	flint_err("%s", big);
	setenv("JOURNAL_STREAM", "1:2", 1);
	flint_log_init("tester", FLINT_LOG_WARN);
	flint_warn("careful");
	flint_info("not seen");
	dup2(save, STDERR_FILENO);
	close(save);
	close(p[1]);
	n = read(p[0], text, sizeof(text) - 1);
	close(p[0]);
	assert_true(n > 0);
	text[n] = 0;
	assert_non_null(strstr(text, " tester info: a?b?[31m\n"));
	assert_non_null(strstr(text, "\n<4>careful\n"));
	assert_null(strstr(text, "not seen"));
	unsetenv("JOURNAL_STREAM");
}

/* Fields, ids and JSON; levels that change; what is kept. */
static void test_log_fields(void **state)
{
	const struct flint_log_field f[] = {
		{ "op", "read", 0 }, { "us", NULL, 12 }, { "peer", "a \"b\" \\", 0 },
	};
	char text[4096], tail[512];
	int p[2], save;
	ssize_t n;
	size_t len;

	assert_int_equal(pipe(p), 0);
	save = dup(STDERR_FILENO);
	dup2(p[1], STDERR_FILENO);
	flint_log_init("tester", FLINT_LOG_WARN);
	flint_log_req(FLINT_LOG_INFO, 1, "not seen");
	assert_int_equal(flint_log_set_level(FLINT_LOG_DEBUG), 0);
	flint_log_event(FLINT_LOG_DEBUG, 0xabcull, f, 3, "request");
	flint_log_json(true);
	flint_log_event(FLINT_LOG_WARN, 0xabcull, f, 3, "say \"x\"\n");
	flint_log_json(false);
	assert_int_equal(flint_log_set_level(2), -EINVAL);
	assert_int_equal(flint_log_level(), FLINT_LOG_DEBUG);
	assert_int_equal(flint_log_level_parse("info"), FLINT_LOG_INFO);
	assert_int_equal(flint_log_level_parse("loud"), -EINVAL);
	dup2(save, STDERR_FILENO);
	close(save);
	close(p[1]);
	n = read(p[0], text, sizeof(text) - 1);
	close(p[0]);
	assert_true(n > 0);
	text[n] = 0;
	assert_null(strstr(text, "not seen"));
	assert_non_null(strstr(text, " tester debug: request trace=0000000000000abc op=read us=12 peer=\"a \\\"b\\\" \\\\\"\n"));
	assert_non_null(strstr(text, "\"level\":\"warning\",\"message\":\"say \\\"x\\\"?\",\"trace\":\"0000000000000abc\",\"op\":\"read\",\"us\":12,\"peer\":"));
	len = flint_log_tail(tail, sizeof(tail));
	assert_true(len > 0 && len <= sizeof(tail));
	assert_int_equal(tail[len - 1], '\n');
	assert_true((ssize_t)len >= n);
	assert_memory_equal(text, tail + len - n, n);
	assert_int_equal(flint_log_tail(tail, 3), 0);
}

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_open),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_ratelimit),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_log_fields),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
