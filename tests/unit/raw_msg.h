/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages made by hand, for tests that are a peer which no library would be,
 * over TCP (net_hostile, net_token) and over verbs (tests/vm/net_verbs_hostile).
 */
#ifndef FLINT_TEST_RAW_MSG_H
#define FLINT_TEST_RAW_MSG_H

#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../uapi/flintfs/codec.h"
#include "../../userd/net/net.h"

/* A sound request's header; payload, if any, follows the body. */
static inline void raw_header(struct flint_hdr *h, u16 op, u32 body_len, u32 data_len)
{
	*h = (struct flint_hdr){
		.magic = cpu_to_le32(FLINT_MAGIC), .version = FLINT_PROTO_MAJOR,
		.op = cpu_to_le16(op), .timeout_ms = cpu_to_le32(1000),
		.flags = data_len ? FLINT_F_INLINE : 0, .body_len = cpu_to_le32(body_len),
		.data_len = cpu_to_le32(data_len),
	};
}

/* A client's HELLO with a nonce of zeros. */
static inline void raw_hello_body(struct flint_hello *h, const u8 id[16], u32 max_io, u16 credits)
{
	*h = (struct flint_hello){
		.major = FLINT_PROTO_MAJOR, .role = FLINT_ROLE_CLIENT,
		.inline_size = cpu_to_le32(FLINT_INLINE_DEFAULT), .max_io = cpu_to_le32(max_io),
		.credits = cpu_to_le16(credits), .name = "hostile",
		.fixed_len = cpu_to_le16(sizeof(*h)),
	};
	memcpy(h->client_id, id, sizeof(h->client_id));
}

/* The other side may have closed already: no matter. */
static inline void raw_put(int fd, const void *p, size_t len)
{
	if (send(fd, p, len, MSG_NOSIGNAL) < 0)
		return;
}

/*
 * Read @len bytes into @p. *got: how many came, fewer when the other side closed.
 * Return: false when nothing happened for @ms.
 */
static inline bool raw_get(int fd, void *p, size_t len, int ms, size_t *got)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	for (*got = 0; *got < len;) {
		ssize_t n;

		if (poll(&pfd, 1, ms) <= 0)
			return false;
		n = recv(fd, (u8 *)p + *got, len - *got, 0);
		if (n <= 0)
			break;
		*got += (size_t)n;
	}
	return true;
}

static inline void raw_pulled(struct flint_call *call, int err)
{
	flint_call_reply(call, err ? EIO : 0, NULL, 0, NULL, 0, 0);
}

/* What the server under attack does: payloads of operations with an odd number are pulled. */
static inline void raw_request(void *arg, struct flint_call *call)
{
	(void)arg;
	if ((call->msg.op & 1) && call->msg.data_len)
		flint_call_pull(call, raw_pulled);
	else
		flint_call_reply(call, 0, NULL, 0, NULL, 0, 0);
}

#endif /* FLINT_TEST_RAW_MSG_H */
