// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The wire codecs: every check of every parser, and random valid messages that
 * must come through unchanged while each truncation of them is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../uapi/flintfs/codec.h"

static const struct flint_limits lim = { .inline_size = 4096, .max_io = 1 << 20 };

static struct flint_hdr request(void)
{
	struct flint_hdr h = {
		.magic = cpu_to_le32(FLINT_MAGIC), .version = FLINT_PROTO_MAJOR,
		.op = cpu_to_le16(FLINT_OP_PING), .tag = cpu_to_le32(0x10002),
		.timeout_ms = cpu_to_le32(1000),
	};

	return h;
}

static struct flint_hdr reply(void)
{
	struct flint_hdr h = request();

	h.flags = FLINT_F_REPLY;
	h.timeout_ms = 0;
	h.credits = cpu_to_le16(1);
	return h;
}

static int parse_hdr(const struct flint_hdr *h)
{
	struct flint_msg m;

	return flint_hdr_parse(h, &lim, &m);
}

/* ---- header ------------------------------------------------------------- */

static void test_hdr_plain(void **state)
{
	struct flint_hdr h = request();

	assert_int_equal(parse_hdr(&h), 0);
	h = reply();
	assert_int_equal(parse_hdr(&h), 0);
}

static void test_hdr_magic_version(void **state)
{
	struct flint_hdr h = request();

	h.magic = cpu_to_le32(FLINT_MAGIC + 1);
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = request();
	h.version = 0;
	assert_int_equal(parse_hdr(&h), -EPROTONOSUPPORT);
	h.version = FLINT_PROTO_MAJOR + 1;
	assert_int_equal(parse_hdr(&h), -EPROTONOSUPPORT);
}

static void test_hdr_limits(void **state)
{
	struct flint_hdr h = request();
	int bit;

	for (bit = 5; bit < 8; bit++) {
		h = request();
		h.flags = 1 << bit;
		assert_int_equal(parse_hdr(&h), -EPROTO);
	}
	h = request();
	h.nr_desc = FLINT_MAX_DESC;
	assert_int_equal(parse_hdr(&h), 0);
	h.nr_desc++;
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = request();
	h.data_len = cpu_to_le32(lim.max_io);
	assert_int_equal(parse_hdr(&h), 0);
	h.data_len = cpu_to_le32(lim.max_io + 1);
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = request();
	h.body_len = cpu_to_le32(FLINT_CTRL_SIZE + lim.inline_size);
	assert_int_equal(parse_hdr(&h), 0);
	h.body_len = cpu_to_le32(FLINT_CTRL_SIZE + lim.inline_size + 1);
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h.body_len = cpu_to_le32(0xffffffffu);
	assert_int_equal(parse_hdr(&h), -EPROTO);
}

static void test_hdr_reply_rules(void **state)
{
	struct flint_hdr h = reply();

	h.credits = 0;
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h.credits = cpu_to_le16(FLINT_MAX_CREDITS);
	assert_int_equal(parse_hdr(&h), 0);
	h.credits = cpu_to_le16(FLINT_MAX_CREDITS + 1);
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = reply();
	h.nr_desc = 1;
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = reply();
	h.flags |= FLINT_F_RETRY;
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = reply();
	h.flags |= FLINT_F_PUSH;
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = reply();
	h.status = cpu_to_le32(FLINT_ST_SHUTDOWN);
	assert_int_equal(parse_hdr(&h), 0);
}

static void test_hdr_request_rules(void **state)
{
	struct flint_hdr h = request();

	h.status = cpu_to_le32(1);
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = request();
	h.timeout_ms = 0;
	assert_int_equal(parse_hdr(&h), -EPROTO);
	h = request();
	h.seq = cpu_to_le64(5);
	h.seq_low = cpu_to_le64(5);
	assert_int_equal(parse_hdr(&h), 0);
	h.seq_low = cpu_to_le64(6);
	assert_int_equal(parse_hdr(&h), -EPROTO);
}

static void test_hdr_inline_rules(void **state)
{
	struct flint_hdr h = request();

	h.flags = FLINT_F_INLINE;
	assert_int_equal(parse_hdr(&h), -EPROTO);	/* nothing follows */
	h.data_len = cpu_to_le32(lim.inline_size);
	assert_int_equal(parse_hdr(&h), 0);
	h.data_len = cpu_to_le32(lim.inline_size + 1);
	assert_int_equal(parse_hdr(&h), -EPROTO);
}

/* ---- whole messages ----------------------------------------------------- */

struct sample {
	_Alignas(8) u8 buf[64 + 4 * 16 + 512 + 4096];
	u32 len;
	struct flint_hdr *h;
	struct flint_desc *desc;
};

static u32 rnd(u64 *rng, u32 m)
{
	return flint_rng_below(rng, m);
}

/* A random message that obeys every rule. */
static void sample_make(struct sample *s, u64 *rng)
{
	u32 nr_desc, body, data = 0, i, room = 0;
	bool is_reply = rnd(rng, 2), in_line = rnd(rng, 2);

	memset(s, 0, sizeof(*s));
	s->h = (struct flint_hdr *)s->buf;
	*s->h = is_reply ? reply() : request();
	nr_desc = is_reply ? 0 : rnd(rng, FLINT_MAX_DESC + 1);
	body = rnd(rng, 300);
	s->desc = (struct flint_desc *)(s->buf + sizeof(*s->h));
	for (i = 0; i < nr_desc; i++) {
		u32 n = 1 + rnd(rng, lim.max_io / FLINT_MAX_DESC);

		s->desc[i].len = cpu_to_le32(n);
		s->desc[i].addr = cpu_to_le64(flint_splitmix64(rng) >> 1);
		room += n;
	}
	if (in_line) {
		data = 1 + rnd(rng, lim.inline_size);
		s->h->flags |= FLINT_F_INLINE;
	} else if (!is_reply) {
		data = nr_desc && rnd(rng, 2) ? room : 0;
	} else {
		data = rnd(rng, lim.max_io);
	}
	s->h->nr_desc = nr_desc;
	s->h->op = cpu_to_le16(rnd(rng, 65536));
	s->h->tag = cpu_to_le32((u32)flint_splitmix64(rng));
	s->h->map_epoch = cpu_to_le64(flint_splitmix64(rng));
	if (!is_reply) {
		s->h->seq = cpu_to_le64(flint_splitmix64(rng) | 1);
		s->h->seq_low = cpu_to_le64(rnd(rng, 2) ? le64_to_cpu(s->h->seq) : 0);
	} else {
		s->h->status = cpu_to_le32(rnd(rng, 2000));
	}
	s->h->body_len = cpu_to_le32(body);
	s->h->data_len = cpu_to_le32(data);
	s->len = sizeof(*s->h) + nr_desc * sizeof(struct flint_desc) + body +
		 (in_line ? data : 0);
	for (i = sizeof(*s->h) + nr_desc * sizeof(struct flint_desc); i < s->len; i++)
		s->buf[i] = (u8)rnd(rng, 256);
}

/* Parse from an allocation of exactly @len bytes, so that ASan sees overreads. */
static int parse_exact(const u8 *buf, u32 len, struct flint_msg *m, u8 **copy)
{
	u8 *p = malloc(len ? len : 1);
	int rc;

	memcpy(p, buf, len);
	rc = flint_msg_parse(p, len, &lim, m);
	if (copy)
		*copy = p;
	else
		free(p);
	return rc;
}

static void test_msg_round_trip(void **state)
{
	u64 rng = 20;
	int round;

	for (round = 0; round < 3000; round++) {
		struct sample s;
		struct flint_msg m;
		u8 *copy;

		sample_make(&s, &rng);
		assert_int_equal(parse_exact(s.buf, s.len, &m, &copy), 0);
		assert_int_equal(m.op, le16_to_cpu(s.h->op));
		assert_int_equal(m.tag, le32_to_cpu(s.h->tag));
		assert_int_equal(m.flags, s.h->flags);
		assert_int_equal(m.status, le32_to_cpu(s.h->status));
		assert_int_equal(m.credits, le16_to_cpu(s.h->credits));
		assert_int_equal(m.nr_desc, s.h->nr_desc);
		assert_int_equal(m.timeout_ms, le32_to_cpu(s.h->timeout_ms));
		assert_true(m.map_epoch == le64_to_cpu(s.h->map_epoch));
		assert_true(m.seq == le64_to_cpu(s.h->seq));
		assert_true(m.seq_low == le64_to_cpu(s.h->seq_low));
		assert_ptr_equal(m.body, copy + 64 + 16 * m.nr_desc);
		assert_int_equal(flint_msg_ctrl_len(&m), 64 + 16 * m.nr_desc + m.body_len);
		if (m.flags & FLINT_F_INLINE) {
			assert_ptr_equal(m.data, m.body + m.body_len);
			assert_ptr_equal(m.data + m.data_len, copy + s.len);
		} else {
			assert_null(m.data);
		}
		if (m.nr_desc)
			assert_ptr_equal(m.desc, copy + 64);
		else
			assert_null(m.desc);
		free(copy);
	}
}

static void test_msg_truncated(void **state)
{
	u64 rng = 21;
	int round;

	for (round = 0; round < 20; round++) {
		struct sample s;
		struct flint_msg m;
		u32 len;

		sample_make(&s, &rng);
		for (len = 0; len < s.len; len++)
			assert_int_equal(parse_exact(s.buf, len, &m, NULL), -EPROTO);
		if (s.len < sizeof(s.buf))
			assert_int_equal(parse_exact(s.buf, s.len + 1, &m, NULL), -EPROTO);
	}
}

/* Several messages in one buffer come apart where they were put together. */
static void test_msg_split(void **state)
{
	u64 rng = 24;
	int round;

	for (round = 0; round < 2000; round++) {
		u32 i, n = 1 + rnd(&rng, 4), len = 0, at = 0, ends[4];
		struct sample s[4];
		u8 *p;

		for (i = 0; i < n; i++) {
			do
				sample_make(&s[i], &rng);
			while (i < n - 1 && s[i].len % 8);
			len += s[i].len;
			ends[i] = len;
		}
		p = malloc(len);
		for (i = 0; i < n; i++) {
			memcpy(p + at, s[i].buf, s[i].len);
			at = ends[i];
		}
		for (i = 0, at = 0; i < n; i++) {
			struct flint_msg m;

			assert_int_equal(flint_msg_split(p + at, len - at), ends[i] - at);
			assert_int_equal(flint_msg_parse(p + at, ends[i] - at, &lim, &m), 0);
			at = ends[i];
		}
		free(p);
	}
}

/* Whatever the lengths say, a piece is not empty and ends in the buffer. */
static void test_msg_split_any(void **state)
{
	struct flint_hdr h[2] = { request(), request() };
	u64 rng = 25;
	int round;
	u32 len;

	for (len = 0; len <= sizeof(h); len++)
		assert_int_equal(flint_msg_split(h, len), len > sizeof(*h) ? sizeof(*h) : len);
	for (round = 0; round < 20000; round++) {
		u32 n;

		h[0].nr_desc = (u8)rnd(&rng, 256);
		h[0].flags = (u8)rnd(&rng, 256);
		h[0].body_len = cpu_to_le32((u32)flint_splitmix64(&rng) >> rnd(&rng, 32));
		h[0].data_len = cpu_to_le32((u32)flint_splitmix64(&rng) >> rnd(&rng, 32));
		n = flint_msg_split(h, sizeof(h));
		assert_in_range(n, sizeof(*h), sizeof(h));
		assert_int_equal(n % 8, 0);
	}
}

static void test_msg_flipped(void **state)
{
	u64 rng = 22;
	int round;

	/* Any damage is either refused or yields pointers inside the buffer. */
	for (round = 0; round < 20000; round++) {
		struct sample s;
		struct flint_msg m;
		u8 *copy;

		sample_make(&s, &rng);
		s.buf[rnd(&rng, 64)] ^= 1 << rnd(&rng, 8);
		if (!parse_exact(s.buf, s.len, &m, &copy)) {
			const u8 *end = m.body + m.body_len;

			assert_true(end <= copy + s.len);
			if (m.data)
				assert_true(m.data + m.data_len == copy + s.len);
			assert_true(flint_msg_room(&m) <= lim.max_io);
		}
		free(copy);
	}
}

static struct sample desc_sample(u32 nr)
{
	struct sample s = { .len = 64 + 16 * nr };
	struct flint_hdr h = request();
	u32 i;

	h.nr_desc = nr;
	memcpy(s.buf, &h, sizeof(h));
	for (i = 0; i < nr; i++) {
		struct flint_desc d = { .addr = cpu_to_le64(4096), .len = cpu_to_le32(4096) };

		memcpy(s.buf + 64 + 16 * i, &d, sizeof(d));
	}
	return s;
}

static int parse_desc(struct sample *s, u32 at, u64 addr, u32 len)
{
	struct flint_desc *d = (struct flint_desc *)(s->buf + 64 + 16 * at);
	struct flint_msg m;

	d->addr = cpu_to_le64(addr);
	d->len = cpu_to_le32(len);
	return parse_exact(s->buf, s->len, &m, NULL);
}

static void test_msg_descriptors(void **state)
{
	struct sample s = desc_sample(2);
	struct flint_hdr *h = (struct flint_hdr *)s.buf;
	struct flint_msg m;

	assert_int_equal(parse_desc(&s, 1, 0, 4096), 0);
	assert_int_equal(parse_desc(&s, 1, 0, 0), -EPROTO);
	assert_int_equal(parse_desc(&s, 1, 0, lim.max_io + 1), -EPROTO);
	assert_int_equal(parse_desc(&s, 1, 0, 0xffffffffu), -EPROTO);
	assert_int_equal(parse_desc(&s, 1, 0, lim.max_io - 4096), 0);
	assert_int_equal(parse_desc(&s, 1, 0, lim.max_io - 4095), -EPROTO);	/* the sum */
	assert_int_equal(parse_desc(&s, 1, 0xffffffffffffffffull, 1), -EPROTO);
	assert_int_equal(parse_desc(&s, 1, 0xfffffffffffffffeull, 1), 0);
	/* A payload must fill its descriptors. */
	h->data_len = cpu_to_le32(4097);
	assert_int_equal(parse_exact(s.buf, s.len, &m, NULL), 0);
	h->data_len = cpu_to_le32(4096);
	assert_int_equal(parse_exact(s.buf, s.len, &m, NULL), -EPROTO);
	h->data_len = cpu_to_le32(4098);
	assert_int_equal(parse_exact(s.buf, s.len, &m, NULL), -EPROTO);
	/* No descriptors and nothing inline, but a payload announced. */
	s = desc_sample(0);
	h->data_len = cpu_to_le32(1);
	assert_int_equal(parse_exact(s.buf, s.len, &m, NULL), -EPROTO);
}

/* ---- bodies ------------------------------------------------------------- */

static void test_body_get(void **state)
{
	u8 in[64], out[32];
	u32 len, i;

	for (i = 0; i < sizeof(in); i++)
		in[i] = i + 1;
	for (len = 0; len < sizeof(in); len++) {
		int rc;

		memset(out, 0xee, sizeof(out));
		rc = flint_body_get(out, sizeof(out), 24, in, len);
		if (len < 24) {
			assert_int_equal(rc, -EPROTO);
			continue;
		}
		assert_int_equal(rc, 0);
		for (i = 0; i < sizeof(out); i++)
			assert_int_equal(out[i], i < len ? i + 1 : 0);
	}
}

static void test_body_get_var(void **state)
{
	_Alignas(8) u8 in[64] = { 0 };
	struct flint_name_req req;
	const u8 *tail;
	u32 tail_len, len, fixed;

	for (len = 0; len <= sizeof(in); len++)
		for (fixed = 0; fixed <= sizeof(in) + 4; fixed++) {
			__le32 word = cpu_to_le32(fixed);
			bool ok = len >= 32 && fixed >= 32 && fixed <= len;
			int rc;

			memcpy(in, &word, sizeof(word));
			rc = flint_body_get_var(&req, sizeof(req), 32, in, len, &tail, &tail_len);
			assert_int_equal(rc, ok ? 0 : -EPROTO);
			if (ok) {
				assert_ptr_equal(tail, in + fixed);
				assert_int_equal(tail_len, len - fixed);
			}
		}
	memset(in, 0xff, 4);
	assert_int_equal(flint_body_get_var(&req, sizeof(req), 32, in, 64, &tail, &tail_len),
			 -EPROTO);
	assert_int_equal(flint_body_get_var(&req, sizeof(req), 2, in, 64, &tail, &tail_len),
			 -EPROTO);
}

static void test_name_check(void **state)
{
	u8 name[FLINT_NAME_MAX + 1];

	memset(name, 'a', sizeof(name));
	assert_int_equal(flint_name_check(name, FLINT_NAME_MAX), 0);
	assert_int_equal(flint_name_check(name, FLINT_NAME_MAX + 1), -ENAMETOOLONG);
	assert_int_equal(flint_name_check(name, 0), -EINVAL);
	assert_int_equal(flint_name_check((const u8 *)".", 1), -EINVAL);
	assert_int_equal(flint_name_check((const u8 *)"..", 2), -EINVAL);
	assert_int_equal(flint_name_check((const u8 *)"...", 3), 0);
	assert_int_equal(flint_name_check((const u8 *)".a", 2), 0);
	assert_int_equal(flint_name_check((const u8 *)"a/b", 3), -EINVAL);
	assert_int_equal(flint_name_check((const u8 *)"/", 1), -EINVAL);
	assert_int_equal(flint_name_check((const u8 *)"a\0b", 3), -EINVAL);
	assert_int_equal(flint_name_check((const u8 *)"\xff\n", 2), 0);
}

static struct flint_io good_io(void)
{
	struct flint_io io = {
		.chain = cpu_to_le32(1), .chain_ver = cpu_to_le32(1), .target = cpu_to_le32(1),
		.fs = cpu_to_le32(1), .ino = cpu_to_le64(2), .length = cpu_to_le32(4096),
		.chunk_shift = 20,
	};

	return io;
}

static void test_io_check(void **state)
{
	struct flint_io io = good_io();

	assert_int_equal(flint_io_check(&io, lim.max_io), 0);
	io.length = 0;
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io.length = cpu_to_le32(lim.max_io);
	assert_int_equal(flint_io_check(&io, lim.max_io), 0);
	assert_int_equal(flint_io_check(&io, lim.max_io - 1), -EINVAL);
	io.offset = cpu_to_le32(1);
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io = good_io();
	io.offset = cpu_to_le32((1 << 20) - 4096);
	assert_int_equal(flint_io_check(&io, lim.max_io), 0);
	io.offset = cpu_to_le32((1 << 20) - 4095);
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io.offset = cpu_to_le32(1 << 20);
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io.offset = cpu_to_le32(0xfffff001u);	/* offset + length wraps */
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io = good_io();
	io.chunk_shift = FLINT_CHUNK_SHIFT_MIN - 1;
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io.chunk_shift = FLINT_CHUNK_SHIFT_MAX + 1;
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io.chunk_shift = 255;
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io = good_io();
	io.ino = 0;
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io = good_io();
	io.chain = 0;
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
	io = good_io();
	io.target = 0;
	assert_int_equal(flint_io_check(&io, lim.max_io), -EINVAL);
}

static void test_crc_pieces(void **state)
{
	u32 off, len;

	assert_int_equal(flint_crc_pieces(0, 0, 12), 0);
	assert_int_equal(flint_crc_pieces(0, 1, 12), 1);
	assert_int_equal(flint_crc_pieces(4095, 2, 12), 2);
	assert_int_equal(flint_crc_pieces(4096, 4096, 12), 1);
	assert_int_equal(flint_crc_pieces(0, 1 << 24, 12), 4096);
	/* Against counting. */
	for (off = 0; off < 40; off++)
		for (len = 1; len < 40; len++) {
			u32 nr = 1, i;

			for (i = 1; i < len; i++)
				if (!((off + i) & 7))
					nr++;
			assert_int_equal(flint_crc_pieces(off, len, 3), nr);
		}
}

static int rep_check(u32 length, u8 shift, u16 nr, u32 tail, u32 off, u32 asked, u32 data,
		     bool is_read)
{
	struct flint_io_rep rep = {
		.length = cpu_to_le32(length), .crc_shift = shift, .nr_crc = cpu_to_le16(nr) };

	return flint_io_rep_check(&rep, tail, off, asked, data, is_read);
}

static void test_io_rep_check(void **state)
{
	/* reads */
	assert_int_equal(rep_check(8192, 12, 2, 8, 0, 8192, 8192, true), 0);
	assert_int_equal(rep_check(8192, 12, 3, 12, 1, 8192, 8192, true), 0);
	assert_int_equal(rep_check(4096, 12, 1, 4, 0, 8192, 4096, true), 0);	/* short */
	assert_int_equal(rep_check(0, 12, 0, 0, 0, 8192, 0, true), 0);		/* hole */
	assert_int_equal(rep_check(0, 0, 0, 0, 0, 8192, 0, true), 0);
	assert_int_equal(rep_check(8193, 12, 3, 12, 0, 8192, 8193, true), -EPROTO);
	assert_int_equal(rep_check(8192, 12, 2, 8, 0, 8192, 4096, true), -EPROTO);
	assert_int_equal(rep_check(8192, 12, 1, 8, 0, 8192, 8192, true), -EPROTO);
	assert_int_equal(rep_check(8192, 12, 3, 12, 0, 8192, 8192, true), -EPROTO);
	assert_int_equal(rep_check(8192, 12, 2, 7, 0, 8192, 8192, true), -EPROTO);
	assert_int_equal(rep_check(8192, 12, 2, 9, 0, 8192, 8192, true), 0);	/* grown body */
	assert_int_equal(rep_check(8192, 8, 32, 128, 0, 8192, 8192, true), -EPROTO);
	assert_int_equal(rep_check(8192, 25, 1, 4, 0, 8192, 8192, true), -EPROTO);
	assert_int_equal(rep_check(8192, 255, 1, 4, 0, 8192, 8192, true), -EPROTO);
	/* writes */
	assert_int_equal(rep_check(8192, 0, 0, 0, 0, 8192, 0, false), 0);
	assert_int_equal(rep_check(4096, 0, 0, 0, 0, 8192, 0, false), -EPROTO);
	assert_int_equal(rep_check(8192, 0, 0, 0, 0, 8192, 1, false), -EPROTO);
}

/* ---- directory entries -------------------------------------------------- */

static u32 put_entry(u8 *buf, u32 at, const char *name, bool plus)
{
	u32 len = strlen(name), rec = flint_dirent_len(len, plus);
	struct flint_dirent d = {
		.cookie = cpu_to_le64(at + 1), .ino = cpu_to_le64(100 + at),
		.rec_len = cpu_to_le16(rec), .name_len = cpu_to_le16(len), .type = 8,
		.has_attr = plus,
	};

	memset(buf + at, 0, rec);
	memcpy(buf + at, &d, sizeof(d));
	memcpy(buf + at + sizeof(d) + (plus ? sizeof(struct flint_attr) : 0), name, len);
	return at + rec;
}

static int walk(const u8 *buf, u32 len)
{
	u8 *copy = malloc(len ? len : 1);
	const struct flint_attr *attr;
	struct flint_dirent d;
	const u8 *name;
	u32 pos = 0;
	int rc, nr = 0;

	memcpy(copy, buf, len);
	while ((rc = flint_dirent_next(copy, len, &pos, &d, &attr, &name)) == 1) {
		assert_true(name >= copy && name + le16_to_cpu(d.name_len) <= copy + len);
		if (attr)
			assert_true((const u8 *)(attr + 1) <= name);
		nr++;
	}
	free(copy);
	return rc ? rc : nr;
}

static void test_dirent_walk(void **state)
{
	_Alignas(8) u8 buf[2048];
	u32 len = 0, cut, ends[4];
	int plus;

	for (plus = 0; plus < 2; plus++) {
		len = 0;
		ends[0] = 0;
		ends[1] = len = put_entry(buf, len, "a", plus);
		ends[2] = len = put_entry(buf, len, "eight888", plus);
		ends[3] = len = put_entry(buf, len, "a rather long name with spaces", plus);
		assert_int_equal(walk(buf, len), 3);
		for (cut = 0; cut < len; cut++) {
			int want = -EPROTO, i;

			for (i = 0; i < 4; i++)
				if (cut == ends[i])
					want = i;
			assert_int_equal(walk(buf, cut), want);
		}
	}
}

static void test_dirent_bad(void **state)
{
	_Alignas(8) u8 buf[2048];
	struct flint_dirent *d = (struct flint_dirent *)buf;
	u32 len = put_entry(buf, 0, "name", false);
	struct flint_dirent good = *d;
	const struct flint_attr *attr;
	struct flint_dirent out;
	const u8 *name;
	u32 pos;

	d->rec_len = 0;
	assert_int_equal(walk(buf, len), -EPROTO);
	*d = good;
	d->rec_len = cpu_to_le16(len - 1);
	assert_int_equal(walk(buf, len), -EPROTO);
	d->rec_len = cpu_to_le16(len + 8);
	assert_int_equal(walk(buf, len), -EPROTO);
	*d = good;
	d->ino = 0;
	assert_int_equal(walk(buf, len), -EPROTO);
	*d = good;
	d->name_len = cpu_to_le16(0);
	assert_int_equal(walk(buf, len), -EPROTO);
	d->name_len = cpu_to_le16(9);
	assert_int_equal(walk(buf, len), -EPROTO);
	*d = good;
	d->has_attr = 1;
	assert_int_equal(walk(buf, len), -EPROTO);
	*d = good;
	buf[sizeof(*d)] = '/';
	assert_int_equal(walk(buf, len), -EPROTO);
	pos = len + 1;
	assert_int_equal(flint_dirent_next(buf, len, &pos, &out, &attr, &name), -EPROTO);
}

/* ---- the rest ----------------------------------------------------------- */

static void test_status(void **state)
{
	assert_int_equal(flint_status_errno(FLINT_OK), 0);
	assert_int_equal(flint_status_errno(ENOENT), -ENOENT);
	assert_int_equal(flint_status_errno(133), -133);
	assert_int_equal(flint_status_errno(134), -EIO);
	assert_int_equal(flint_status_errno(FLINT_ST_RETRY), -EAGAIN);
	assert_int_equal(flint_status_errno(FLINT_ST_STALE_EPOCH), -ESTALE);
	assert_int_equal(flint_status_errno(FLINT_ST_AUTH), -EACCES);
	assert_int_equal(flint_status_errno(FLINT_ST_VERSION), -EPROTONOSUPPORT);
	assert_int_equal(flint_status_errno(FLINT_ST_FENCED), -ESTALE);
	assert_int_equal(flint_status_errno(FLINT_ST_CHECKSUM), -EIO);
	assert_int_equal(flint_status_errno(0xffffffffu), -EIO);
}

static void test_auth_msg(void **state)
{
	u8 cn[32], sn[32], id[16], srv[FLINT_AUTH_MSG_LEN], cli[FLINT_AUTH_MSG_LEN];

	memset(cn, 1, sizeof(cn));
	memset(sn, 2, sizeof(sn));
	memset(id, 3, sizeof(id));
	assert_int_equal(FLINT_AUTH_MSG_LEN, 94);
	flint_auth_msg(srv, true, cn, sn, id, 4);
	flint_auth_msg(cli, false, cn, sn, id, 4);
	assert_memory_equal(srv, "flint1-server", 13);
	assert_memory_equal(srv + 13, cn, 32);
	assert_memory_equal(srv + 45, sn, 32);
	assert_memory_equal(srv + 77, id, 16);
	assert_int_equal(srv[93], 4);
	assert_memory_equal(cli, "flint1-client", 13);
	assert_memory_equal(cli + 13, sn, 32);
	assert_memory_equal(cli + 45, cn, 32);
	assert_memory_equal(cli + 77, srv + 77, 17);
}

static void test_cred_tail(void **state)
{
	u32 groups[FLINT_GROUPS_MAX], want[FLINT_GROUPS_MAX], i, len, n;
	u8 body[8 + sizeof(struct flint_cred_tail) + 4 * (FLINT_GROUPS_MAX + 1)] = { 0 };
	struct flint_cred_tail t;

	for (i = 0; i < FLINT_GROUPS_MAX; i++)
		want[i] = 1000 + i;
	for (n = 0; n <= FLINT_GROUPS_MAX; n += 8) {
		len = 8 + flint_cred_tail_put(body + 8, 1, 2, FLINT_CRED_UMASK, 022, want, n);
		assert_int_equal(len, 8 + sizeof(t) + 4 * n);
		assert_int_equal(flint_cred_tail_get(body, &len, &t, groups), 0);
		assert_int_equal(len, 8);
		assert_int_equal(le32_to_cpu(t.uid), 1);
		assert_int_equal(le32_to_cpu(t.gid), 2);
		assert_int_equal(le32_to_cpu(t.umask), 022);
		assert_memory_equal(groups, want, 4 * n);
		/* Cut short in the groups, and in the structure. */
		len = sizeof(t) + 4 * n - 1;
		assert_int_equal(flint_cred_tail_get(body + 9, &len, &t, groups), -EPROTO);
	}
	len = sizeof(t) - 1;
	assert_int_equal(flint_cred_tail_get(body, &len, &t, groups), -EPROTO);
	t = (struct flint_cred_tail){ .nr_groups = cpu_to_le32(FLINT_GROUPS_MAX + 1) };
	memcpy(body + 4 * (FLINT_GROUPS_MAX + 1), &t, sizeof(t));
	len = sizeof(t) + 4 * (FLINT_GROUPS_MAX + 1);
	assert_int_equal(flint_cred_tail_get(body, &len, &t, groups), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hdr_plain),
		cmocka_unit_test(test_hdr_magic_version),
		cmocka_unit_test(test_hdr_limits),
		cmocka_unit_test(test_cred_tail),
		cmocka_unit_test(test_hdr_reply_rules),
		cmocka_unit_test(test_hdr_request_rules),
		cmocka_unit_test(test_hdr_inline_rules),
		cmocka_unit_test(test_msg_round_trip),
		cmocka_unit_test(test_msg_truncated),
		cmocka_unit_test(test_msg_split),
		cmocka_unit_test(test_msg_split_any),
		cmocka_unit_test(test_msg_flipped),
		cmocka_unit_test(test_msg_descriptors),
		cmocka_unit_test(test_body_get),
		cmocka_unit_test(test_body_get_var),
		cmocka_unit_test(test_name_check),
		cmocka_unit_test(test_io_check),
		cmocka_unit_test(test_crc_pieces),
		cmocka_unit_test(test_io_rep_check),
		cmocka_unit_test(test_dirent_walk),
		cmocka_unit_test(test_dirent_bad),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_auth_msg),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
