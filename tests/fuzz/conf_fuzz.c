// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as a configuration file, and as an address. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../userd/base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct options {
	char *state;
	uint64_t port;
	uint64_t size;
	bool quiet;
	struct flint_conf_list mgr;
};

static const struct flint_conf_opt table[] = {
	{ .key = "state", .type = FLINT_CONF_STR, .off = offsetof(struct options, state) },
	{ .key = "port", .type = FLINT_CONF_U64, .off = offsetof(struct options, port),
	  .max = 65535 },
	{ .key = "size", .type = FLINT_CONF_SIZE, .off = offsetof(struct options, size),
	  .min = 4096 },
	{ .key = "quiet", .type = FLINT_CONF_BOOL, .off = offsetof(struct options, quiet) },
	{ .key = "mgr", .type = FLINT_CONF_LIST, .off = offsetof(struct options, mgr) },
	{ 0 }
};
static const struct flint_conf_spec spec = { .prog = "p", .opts = table };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options o = { 0 };
	char path[64], err[256] = "";
	static int fd = -1;
	uint64_t v;
	char *text;
	int rc;

	if (fd < 0)
		fd = memfd_create("conf", 0);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = flint_conf_read_file(&spec, path, &o, NULL, err, sizeof(err));
	if (rc && !err[0])
		abort();	/* every refusal has its sentence */
	if (!rc && (o.port > 65535 || (o.size && o.size < 4096)))
		abort();
	flint_conf_free(&spec, &o);
	text = strndup((const char *)data, size);
	flint_size_parse(text, &v);
	free(text);
	return 0;
}
