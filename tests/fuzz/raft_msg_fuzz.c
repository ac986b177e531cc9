// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as messages to a replica: what passes the checks of the codec goes to
 * a core that is a follower of three, whose disk is always done at once. And as a
 * WAL, and as a configuration.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <stdio.h>
#include "../../userd/base/crc.h"
#include "../../userd/raft/codec.h"
#include "../../userd/raft/wal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct raft *core_new(void)
{
	struct raft_cfg cfg = { .id = 1, .seed = 1, .time_scale = 1000, .drift_ppm = 10000,
				.max_bytes = 1 << 16, .inflight_bytes = 1 << 20, .inflight_msgs = 8 };
	struct raft_conf conf = { .nr = 3, .m = { { .id = 1, .voter = true }, { .id = 2, .voter = true },
						  { .id = 3, .voter = true } } };
	struct raft *r = raft_new(&cfg);

	if (!r || raft_load(r, 5, 0, 10, 4, &conf))
		abort();
	return r;
}

static void step(struct raft *r, struct raft_event *ev, u64 *now)
{
	struct raft_update u;

	ev->now = ++*now;
	if (raft_step(r, ev, &u) || !u.seq)
		return;
	if (u.commit > raft_last_index(r) || raft_commit(r) < 10)
		abort();
	*ev = (struct raft_event){ .type = RAFT_EV_PERSISTED, .seq = u.seq, .now = ++*now };
	raft_step(r, ev, &u);
}

/* One message: its body, a length, entries. Return: bytes used, 0: no more. */
static size_t message(struct raft *r, const uint8_t *data, size_t size, u64 *now)
{
	struct flint_raft_ent *ents[FLINT_RAFT_MSG_ENTS];
	struct raft_entry list[FLINT_RAFT_MSG_ENTS];
	struct flint_raft_msg w;
	struct raft_msg m;
	struct raft_event ev = { .type = RAFT_EV_RECV, .msg = &m };
	size_t len;
	u32 i;

	if (size < sizeof(w) + 2)
		return 0;
	len = data[sizeof(w)] | data[sizeof(w) + 1] << 8;
	if (len > size - sizeof(w) - 2)
		len = size - sizeof(w) - 2;
	if (flint_raft_msg_decode(&w, &m, data, sizeof(w)) ||
	    flint_raft_ents_decode(data + sizeof(w) + 2, len, flint_crc32c(0, data + sizeof(w) + 2, len),
				   m.index + 1, m.nr, ents))
		return sizeof(w) + 2 + len;
	for (i = 0; i < m.nr; i++)
		list[i] = (struct raft_entry){ .term = ents[i]->term, .bytes = ents[i]->len,
					       .kind = ents[i]->type, .data = ents[i]->data };
	m.entries = list;
	step(r, &ev, now);
	for (i = 0; i < m.nr; i++)
		flint_raft_ent_put(ents[i]);
	return sizeof(w) + 2 + len;
}

static void wal(const uint8_t *data, size_t size)
{
	char path[64];
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("wal", 0);
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	flint_raft_wal_check(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct raft_event ev = { .type = RAFT_EV_TICK };
	struct raft *r = core_new();
	struct raft_conf conf;
	u64 now = 1;
	size_t n;

	raft_conf_decode(&conf, data, size);
	wal(data, size);
	step(r, &ev, &now);
	while ((n = message(r, data, size, &now))) {
		data += n;
		size -= n;
	}
	raft_free(r);
	return 0;
}
