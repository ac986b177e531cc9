// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as a message: flint_msg_parse(), then the body of every operation,
 * as the servers and the client decode them. The first byte of the input
 * chooses the connection's limits; the rest is the message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../uapi/flintfs/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GET(type) fixed(m, sizeof(struct type), sizeof(struct type))

/* Touch every byte of a range, so that the sanitizers look at it. */
static void touch(const void *p, uint32_t len)
{
	const volatile uint8_t *b = p;
	uint32_t i;

	for (i = 0; i < len; i++)
		(void)b[i];
}

static void fixed(const struct flint_msg *m, uint32_t size, uint32_t min)
{
	_Alignas(8) uint8_t out[512];

	if (size <= sizeof(out) && !flint_body_get(out, size, min, m->body, m->body_len))
		touch(out, size);
}

/* A body with up to two strings whose lengths stand at @at1 and @at2. */
static void strings(const struct flint_msg *m, uint32_t size, int at1, int at2)
{
	_Alignas(8) uint8_t out[512];
	const uint8_t *tail;
	uint32_t tail_len, n1, n2 = 0;

	if (flint_body_get_var(out, size, size, m->body, m->body_len, &tail, &tail_len))
		return;
	touch(tail, tail_len);
	memcpy(&n1, out + at1, 4);
	if (at2 >= 0)
		memcpy(&n2, out + at2, 4);
	n1 = le32toh(n1);
	n2 = le32toh(n2);
	if (n1 > tail_len || n2 > tail_len - n1)
		return;
	flint_name_check(tail, n1);
	flint_name_check(tail + n1, n2);
}

static void request(const struct flint_msg *m, const struct flint_limits *lim)
{
	struct flint_io io;

	switch (m->op) {
	case FLINT_OP_HELLO:
		GET(flint_hello);
		break;
	case FLINT_OP_AUTH:
		GET(flint_auth);
		break;
	case FLINT_OP_MAP_GET:
		GET(flint_map_get);
		break;
	case FLINT_OP_HEARTBEAT:
		strings(m, sizeof(struct flint_heartbeat), offsetof(struct flint_heartbeat, nr_targets), -1);
		break;
	case FLINT_OP_SESSION_OPEN:
		strings(m, sizeof(struct flint_session_open), offsetof(struct flint_session_open, path_len), -1);
		break;
	case FLINT_OP_LOOKUP:
	case FLINT_OP_UNLINK:
		strings(m, sizeof(struct flint_name_req), offsetof(struct flint_name_req, name_len), -1);
		break;
	case FLINT_OP_SETATTR:
		GET(flint_setattr);
		break;
	case FLINT_OP_OPEN:
		strings(m, sizeof(struct flint_open), offsetof(struct flint_open, name_len), -1);
		break;
	case FLINT_OP_MKNOD:
		strings(m, sizeof(struct flint_mknod), offsetof(struct flint_mknod, name_len),
			offsetof(struct flint_mknod, target_len));
		break;
	case FLINT_OP_LINK:
		strings(m, sizeof(struct flint_link), offsetof(struct flint_link, name_len), -1);
		break;
	case FLINT_OP_RENAME:
		strings(m, sizeof(struct flint_rename), offsetof(struct flint_rename, old_len),
			offsetof(struct flint_rename, new_len));
		break;
	case FLINT_OP_GETXATTR ... FLINT_OP_REMOVEXATTR:
		strings(m, sizeof(struct flint_xattr), offsetof(struct flint_xattr, name_len), -1);
		break;
	case FLINT_OP_READ:
	case FLINT_OP_WRITE:
	case FLINT_OP_PUNCH:
		if (flint_body_get(&io, sizeof(io), sizeof(io), m->body, m->body_len))
			break;
		if (!flint_io_check(&io, lim->max_io) &&
		    (uint64_t)le32_to_cpu(io.offset) + le32_to_cpu(io.length) >
		    (1ull << io.chunk_shift))
			abort();	/* the check's whole point */
		break;
	default:
		GET(flint_ino_req);
		GET(flint_cut);
		GET(flint_readdir);
		GET(flint_extend);
		GET(flint_fs_create);
		GET(flint_close);
		GET(flint_target_req);
	}
}

static void reply(const struct flint_msg *m)
{
	const struct flint_attr *attr;
	struct flint_dirent d;
	const uint8_t *name;
	struct flint_io_rep rep;
	struct flint_map map;
	uint32_t pos = 0;

	GET(flint_hello_rep);
	GET(flint_heartbeat_rep);
	GET(flint_attr);
	GET(flint_open_rep);
	GET(flint_session_rep);
	GET(flint_append_rep);
	GET(flint_statfs);
	GET(flint_target_stat);
	fixed(m, sizeof(struct flint_readdir_rep), FLINT_READDIR_REP_MIN);
	flint_status_errno(m->status);
	if (m->op == FLINT_OP_READ &&
	    !flint_body_get(&rep, sizeof(rep), sizeof(rep), m->body, m->body_len) &&
	    !flint_io_rep_check(&rep, m->body_len - sizeof(rep), 4096, 65536, m->data_len, true))
		touch(m->body + sizeof(rep), le16_to_cpu(rep.nr_crc) * 4u);
	if (m->op == FLINT_OP_READDIR && m->data)
		while (flint_dirent_next(m->data, m->data_len, &pos, &d, &attr, &name) == 1)
			touch(name, le16_to_cpu(d.name_len));
	if (m->op == FLINT_OP_MAP_GET && m->data) {
		void *image = malloc(m->data_len);	/* aligned, as MAP_GET's receiver has it */

		memcpy(image, m->data, m->data_len);
		flint_map_check(image, m->data_len, &map);
		free(image);
	}
}

/* As a server takes what arrives: perhaps several messages. */
static void bundle(const uint8_t *p, uint32_t len, const struct flint_limits *lim)
{
	struct flint_msg m;

	while (len) {
		uint32_t n = flint_msg_split(p, len);

		if (!n || n > len)
			abort();
		if (flint_msg_parse(p, n, lim, &m))
			break;
		touch(m.body, m.body_len);
		p += n;
		len -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct flint_limits lim = { .inline_size = FLINT_INLINE_DEFAULT, .max_io = FLINT_MAX_IO };
	struct flint_msg m;
	uint8_t *copy;

	if (!size)
		return 0;
	if (*data & 1)
		lim.inline_size = lim.max_io;	/* TCP */
	if (*data & 2)
		lim.max_io = 65536;
	size--;
	copy = malloc(size ? size : 1);
	memcpy(copy, data + 1, size);
	bundle(copy, (uint32_t)size, &lim);
	if (!flint_msg_parse(copy, size, &lim, &m)) {
		touch(m.desc, m.nr_desc * sizeof(*m.desc));
		touch(m.body, m.body_len);
		if (m.data)
			touch(m.data, m.data_len);
		if (flint_msg_room(&m) > lim.max_io)
			abort();
		if (m.flags & FLINT_F_REPLY)
			reply(&m);
		else
			request(&m, &lim);
	}
	free(copy);
	return 0;
}
