/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Pure decoders and encoders of the wire protocol: no allocation, no I/O, no
 * state. The kernel, the daemons, the unit tests and the fuzzers compile the
 * same lines. Whatever arrives passes through here before anything else looks
 * at it.
 */
#ifndef _UAPI_FLINTFS_CODEC_H
#define _UAPI_FLINTFS_CODEC_H

#include "map.h"
#include "placement.h"
#include "token.h"
#include "wire.h"

/**
 * struct flint_limits - what a connection negotiated
 * @inline_size: payload that may stand in a message; on TCP set to max_io, as
 *	every payload follows its message
 * @max_io: payload of one request
 * @any_version: a server that waits for HELLO: its header is laid out alike in
 *	every major version, so that the sender can be told
 */
struct flint_limits {
	u32 inline_size;
	u32 max_io;
	bool any_version;
};

/* Largest message on verbs, and largest message less payload on TCP. */
static inline u32 flint_msg_max(u32 inline_size)
{
	return FLINT_CTRL_SIZE + inline_size;
}

/**
 * struct flint_msg - a checked message; pointers lead into the buffer
 *
 * Integers are in host order. @data is NULL unless the payload stands in the
 * message.
 */
struct flint_msg {
	u16 op;
	u8 version;
	u8 flags;
	u8 nr_desc;
	u8 lease;
	u16 credits;
	u32 tag;
	u32 status;
	u32 timeout_ms;
	u32 body_len;
	u32 data_len;
	u64 trace;
	u64 map_epoch;
	u64 seq;
	u64 seq_low;
	const struct flint_desc *desc;
	const u8 *body;
	const u8 *data;
};

/**
 * flint_hdr_parse() - check a header by itself
 * @h: 64 bytes, naturally aligned
 * @lim: of the connection
 * @m: result: all but the pointers
 *
 * Return: 0, -EPROTONOSUPPORT for another major version, -EPROTO for
 * anything else malformed. The caller ends the connection on any error.
 */
static inline int flint_hdr_parse(const struct flint_hdr *h,
				  const struct flint_limits *lim,
				  struct flint_msg *m)
{
	if (h->magic != cpu_to_le32(FLINT_MAGIC))
		return -EPROTO;
	if (h->version != FLINT_PROTO_MAJOR && !lim->any_version)
		return -EPROTONOSUPPORT;

	m->version = h->version;
	m->op = le16_to_cpu(h->op);
	m->flags = h->flags;
	m->nr_desc = h->nr_desc;
	m->lease = h->lease;
	m->credits = le16_to_cpu(h->credits);
	m->tag = le32_to_cpu(h->tag);
	m->status = le32_to_cpu(h->status);
	m->timeout_ms = le32_to_cpu(h->timeout_ms);
	m->body_len = le32_to_cpu(h->body_len);
	m->data_len = le32_to_cpu(h->data_len);
	m->trace = le64_to_cpu(h->trace);
	m->map_epoch = le64_to_cpu(h->map_epoch);
	m->seq = le64_to_cpu(h->seq);
	m->seq_low = le64_to_cpu(h->seq_low);
	m->desc = NULL;
	m->body = NULL;
	m->data = NULL;

	if ((m->flags & ~FLINT_F_KNOWN) || m->nr_desc > FLINT_MAX_DESC ||
	    m->data_len > lim->max_io ||
	    m->body_len > FLINT_CTRL_SIZE + lim->inline_size)
		return -EPROTO;
	if (m->flags & FLINT_F_REPLY) {
		if (!m->credits || m->credits > FLINT_MAX_CREDITS ||
		    m->nr_desc ||
		    (m->flags & (FLINT_F_RETRY | FLINT_F_PUSH | FLINT_F_CRED)))
			return -EPROTO;
	} else if (m->status || !m->timeout_ms || m->seq_low > m->seq) {
		return -EPROTO;
	}
	if ((m->flags & FLINT_F_INLINE) &&
	    (!m->data_len || m->data_len > lim->inline_size))
		return -EPROTO;
	return 0;
}

/* Bytes of a parsed message before its payload. */
static inline u32 flint_msg_ctrl_len(const struct flint_msg *m)
{
	return sizeof(struct flint_hdr) +
	       m->nr_desc * (u32)sizeof(struct flint_desc) + m->body_len;
}

/**
 * flint_msg_parse() - check a whole message
 * @buf: the message, 8-byte aligned
 * @len: bytes received
 * @lim: of the connection
 * @m: result
 *
 * @len must be exactly what the header says. A message without
 * FLINT_F_INLINE ends after its body.
 *
 * Return: 0, -EPROTONOSUPPORT or -EPROTO as flint_hdr_parse().
 */
static inline int flint_msg_parse(const void *buf, u32 len,
				  const struct flint_limits *lim,
				  struct flint_msg *m)
{
	const u8 *p = buf;
	u64 room = 0, want;
	u32 i;
	int err;

	if (len < sizeof(struct flint_hdr))
		return -EPROTO;
	err = flint_hdr_parse(buf, lim, m);
	if (err)
		return err;

	want = flint_msg_ctrl_len(m);
	if (m->flags & FLINT_F_INLINE)
		want += m->data_len;
	if (len != want)
		return -EPROTO;

	p += sizeof(struct flint_hdr);
	if (m->nr_desc)
		m->desc = (const struct flint_desc *)p;
	for (i = 0; i < m->nr_desc; i++) {
		u32 n = le32_to_cpu(m->desc[i].len);
		u64 addr = le64_to_cpu(m->desc[i].addr);

		if (!n || n > lim->max_io || addr + n < addr)
			return -EPROTO;
		room += n;
	}
	if (room > lim->max_io)
		return -EPROTO;
	/* A request's payload outside the message must be described. */
	if (!(m->flags & (FLINT_F_REPLY | FLINT_F_INLINE)) &&
	    m->data_len && room != m->data_len)
		return -EPROTO;
	p += m->nr_desc * sizeof(struct flint_desc);
	m->body = p;
	if (m->flags & FLINT_F_INLINE)
		m->data = p + m->body_len;
	return 0;
}

/**
 * flint_msg_split() - where the first of several messages in a buffer ends
 * @buf: received, 8-byte aligned
 * @len: bytes received
 *
 * Only a message of a multiple of eight bytes has another behind it. Nothing is
 * checked but that: flint_msg_parse() has to be asked about each.
 *
 * Return: bytes up to the next message, less than @len and more than none; or
 * @len.
 */
static inline u32 flint_msg_split(const void *buf, u32 len)
{
	const struct flint_hdr *h = buf;
	u64 want = sizeof(*h);

	if (len < sizeof(*h))
		return len;
	want += h->nr_desc * sizeof(struct flint_desc);
	want += le32_to_cpu(h->body_len);
	if (h->flags & FLINT_F_INLINE)
		want += le32_to_cpu(h->data_len);
	return want < len && !(want & 7) ? (u32)want : len;
}

/* Room that a request's descriptors offer, in bytes. */
static inline u32 flint_msg_room(const struct flint_msg *m)
{
	u32 i, room = 0;

	for (i = 0; i < m->nr_desc; i++)
		room += le32_to_cpu(m->desc[i].len);
	return room;
}

/**
 * flint_body_get() - copy a body's fixed structure out
 * @dst: the structure
 * @size: its size as this build knows it
 * @min: bytes the sender must have sent (the structure's size in version 1.0)
 * @body: received
 * @len: bytes received
 *
 * A longer body is cut, a shorter one zero-filled. For bodies without strings
 * after the structure.
 *
 * Return: 0 or -EPROTO when fewer than @min bytes came.
 */
static inline int flint_body_get(void *dst, u32 size, u32 min,
				 const void *body, u32 len)
{
	if (len < min)
		return -EPROTO;
	if (len > size)
		len = size;
	memcpy(dst, body, len);
	memset((u8 *)dst + len, 0, size - len);
	return 0;
}

/**
 * flint_body_get_var() - the same for a body with strings behind it
 * @dst: the structure; its first member is __le32 fixed_len
 * @size: its size as this build knows it
 * @min: its size in version 1.0
 * @body: received
 * @len: bytes received
 * @tail: result: where the strings begin
 * @tail_len: result: bytes from there to the end of the body
 *
 * Return: 0 or -EPROTO.
 */
static inline int flint_body_get_var(void *dst, u32 size, u32 min,
				     const void *body, u32 len,
				     const u8 **tail, u32 *tail_len)
{
	__le32 word;
	u32 fixed;

	if (len < min || min < sizeof(word))
		return -EPROTO;
	memcpy(&word, body, sizeof(word));
	fixed = le32_to_cpu(word);
	if (fixed < min || fixed > len)
		return -EPROTO;
	*tail = (const u8 *)body + fixed;
	*tail_len = len - fixed;
	return flint_body_get(dst, size, min, body, fixed);
}

/**
 * flint_cred_tail_get() - take the credentials off the end of a body
 * @body: of a request with FLINT_F_CRED
 * @len: in: bytes received; out: bytes of the operation's own body
 * @tail: result
 * @groups: result: FLINT_GROUPS_MAX ids in host order, the first nr_groups set
 *
 * Return: 0 or -EPROTO.
 */
static inline int flint_cred_tail_get(const void *body, u32 *len,
				      struct flint_cred_tail *tail, u32 *groups)
{
	const u8 *p = body;
	u32 i, nr;

	if (*len < sizeof(*tail))
		return -EPROTO;
	memcpy(tail, p + *len - sizeof(*tail), sizeof(*tail));
	nr = le32_to_cpu(tail->nr_groups);
	if (nr > FLINT_GROUPS_MAX || *len - sizeof(*tail) < nr * sizeof(__le32))
		return -EPROTO;
	*len -= (u32)(sizeof(*tail) + nr * sizeof(__le32));
	for (i = 0; i < nr; i++) {
		__le32 v;

		memcpy(&v, p + *len + i * sizeof(v), sizeof(v));
		groups[i] = le32_to_cpu(v);
	}
	return 0;
}

/**
 * flint_cred_tail_put() - write credentials behind a body
 * @out: room for 24 + 4 * @nr bytes
 *
 * Return: bytes written.
 */
static inline u32 flint_cred_tail_put(u8 *out, u32 uid, u32 gid, u32 flags, u32 umask,
				      const u32 *groups, u32 nr)
{
	struct flint_cred_tail t = {
		.uid = cpu_to_le32(uid), .gid = cpu_to_le32(gid), .flags = cpu_to_le32(flags),
		.umask = cpu_to_le32(umask), .nr_groups = cpu_to_le32(nr),
	};
	u32 i;

	for (i = 0; i < nr; i++) {
		__le32 v = cpu_to_le32(groups[i]);

		memcpy(out + i * sizeof(v), &v, sizeof(v));
	}
	memcpy(out + nr * sizeof(__le32), &t, sizeof(t));
	return nr * (u32)sizeof(__le32) + (u32)sizeof(t);
}

/**
 * flint_name_check() - is this a legal path component?
 * @name: bytes, no NUL needed
 * @len: of them
 *
 * Return: 0, -ENAMETOOLONG, or -EINVAL for an empty name, ".", "..", or one
 * that holds a slash or a NUL.
 */
static inline int flint_name_check(const u8 *name, u32 len)
{
	u32 i;

	if (len > FLINT_NAME_MAX)
		return -ENAMETOOLONG;
	if (!len || (len == 1 && name[0] == '.') ||
	    (len == 2 && name[0] == '.' && name[1] == '.'))
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (!name[i] || name[i] == '/')
			return -EINVAL;
	return 0;
}

/**
 * flint_io_check() - is a data request's geometry sound?
 * @io: body of READ, WRITE or PUNCH
 * @max_io: of the connection
 *
 * Return: 0 or -EINVAL.
 */
static inline int flint_io_check(const struct flint_io *io, u32 max_io)
{
	u32 off = le32_to_cpu(io->offset);
	u32 len = le32_to_cpu(io->length);
	u32 chunk;

	if (io->chunk_shift < FLINT_CHUNK_SHIFT_MIN ||
	    io->chunk_shift > FLINT_CHUNK_SHIFT_MAX)
		return -EINVAL;
	chunk = 1u << io->chunk_shift;
	if (!len || len > max_io || off >= chunk || len > chunk - off ||
	    !io->ino || !io->chain || !io->target)
		return -EINVAL;
	return 0;
}

/**
 * flint_crc_pieces() - CRC values a READ reply of this range carries
 * @offset: in the chunk
 * @len: bytes, may be 0
 * @crc_shift: log2 of the checksum block
 */
static inline u32 flint_crc_pieces(u32 offset, u32 len, u8 crc_shift)
{
	if (!len)
		return 0;
	return ((offset + len - 1) >> crc_shift) - (offset >> crc_shift) + 1;
}

/**
 * flint_io_rep_check() - is the answer to a READ or WRITE consistent?
 * @rep: fixed part of the reply
 * @tail_len: bytes of body after it
 * @offset: asked for
 * @length: asked for
 * @data_len: payload the header announced
 * @is_read: READ, else WRITE or PUNCH
 *
 * Return: 0 or -EPROTO: end the connection.
 */
static inline int flint_io_rep_check(const struct flint_io_rep *rep,
				     u32 tail_len, u32 offset, u32 length,
				     u32 data_len, bool is_read)
{
	u32 got = le32_to_cpu(rep->length);
	u32 nr = le16_to_cpu(rep->nr_crc);

	if (!is_read)
		return got == length && !data_len ? 0 : -EPROTO;
	if (got > length || got != data_len)
		return -EPROTO;
	if (rep->crc_shift < 9 || rep->crc_shift > FLINT_CHUNK_SHIFT_MAX)
		return got ? -EPROTO : 0;
	if (nr != flint_crc_pieces(offset, got, rep->crc_shift) ||
	    tail_len < nr * (u32)sizeof(__le32))
		return -EPROTO;
	return 0;
}

/**
 * flint_dirent_next() - step through a READDIR payload
 * @buf: payload
 * @len: bytes of it
 * @pos: in: offset of the record; out: offset of the next one
 * @d: result: the fixed part
 * @attr: result: attributes in the payload, or NULL
 * @name: result: d->name_len bytes
 *
 * Return: 1 with a record, 0 at the end, -EPROTO when the payload is
 * malformed.
 */
static inline int flint_dirent_next(const u8 *buf, u32 len, u32 *pos,
				    struct flint_dirent *d,
				    const struct flint_attr **attr,
				    const u8 **name)
{
	u32 at = *pos, rec, nlen, need;

	if (at == len)
		return 0;
	if (at > len || len - at < sizeof(*d))
		return -EPROTO;
	memcpy(d, buf + at, sizeof(*d));
	rec = le16_to_cpu(d->rec_len);
	nlen = le16_to_cpu(d->name_len);
	need = sizeof(*d) + nlen;
	if (d->has_attr)
		need += sizeof(struct flint_attr);
	if (rec < need || (rec & 7) || rec > len - at || !le64_to_cpu(d->ino) ||
	    flint_name_check(buf + at + need - nlen, nlen))
		return -EPROTO;
	*attr = d->has_attr ?
		(const struct flint_attr *)(buf + at + sizeof(*d)) : NULL;
	*name = buf + at + need - nlen;
	*pos = at + rec;
	return 1;
}

/* Bytes of the record for a name. */
static inline u32 flint_dirent_len(u32 name_len, bool plus)
{
	u32 n = sizeof(struct flint_dirent) + name_len;

	if (plus)
		n += sizeof(struct flint_attr);
	return (n + 7) & ~7u;
}

/**
 * flint_status_errno() - what an application sees of a status
 * @status: from a reply
 *
 * Statuses that ask for a retry map to the errno for "retrying did not help".
 *
 * Return: 0 or a negative errno.
 */
static inline int flint_status_errno(u32 status)
{
	if (status < 134)	/* the numbers of asm-generic/errno.h are also x86's and arm64's */
		return -(int)status;
	switch (status) {
	case FLINT_ST_RETRY:
		return -EAGAIN;
	case FLINT_ST_STALE_EPOCH:
		return -ESTALE;
	case FLINT_ST_AUTH:
	case FLINT_ST_NEED_PERMIT:
		return -EACCES;
	case FLINT_ST_VERSION:
		return -EPROTONOSUPPORT;
	case FLINT_ST_FENCED:
	case FLINT_ST_NO_SESSION:
		return -ESTALE;
	default:
		return -EIO;
	}
}

/* Bytes authenticated by HELLO and AUTH. */
#define FLINT_AUTH_MSG_LEN	(13 + 2 * FLINT_NONCE_LEN + 16 + 1)

/**
 * flint_auth_msg() - lay out what a MAC covers
 * @out: FLINT_AUTH_MSG_LEN bytes
 * @server: true for server_mac, false for client_mac
 * @client_nonce: of HELLO
 * @server_nonce: of its reply
 * @client_id: of HELLO
 * @role: of HELLO
 */
static inline void flint_auth_msg(u8 *out, bool server, const u8 *client_nonce,
				  const u8 *server_nonce, const u8 *client_id,
				  u8 role)
{
	memcpy(out, server ? "flint1-server" : "flint1-client", 13);
	out += 13;
	memcpy(out, server ? client_nonce : server_nonce, FLINT_NONCE_LEN);
	out += FLINT_NONCE_LEN;
	memcpy(out, server ? server_nonce : client_nonce, FLINT_NONCE_LEN);
	out += FLINT_NONCE_LEN;
	memcpy(out, client_id, 16);
	out[16] = role;
}

/* May a client that has no more than a token ask for this operation at all? */
static inline bool flint_token_op_ok(u16 op)
{
	return op == FLINT_OP_MAP_GET ||
	       (op >= FLINT_OP_SESSION_OPEN && op < 0x50 && op != FLINT_OP_FS_CREATE) ||
	       (op >= FLINT_OP_READ && op <= FLINT_OP_PUNCH) || op == FLINT_OP_PERMIT ||
	       op == FLINT_OP_EXTENTS || op == FLINT_OP_CLONE;
}

/* ---- cluster map ------------------------------------------------------ */

/**
 * struct flint_map - a checked image and its sections
 */
struct flint_map {
	const struct flint_map_hdr *hdr;
	const struct flint_map_node *nodes;
	const struct flint_map_target *targets;
	const struct flint_map_chain *chains;
	const struct flint_map_table *tables;
	const struct flint_map_fs *fs;
	const __le64 *revoked;
	const __le32 *chain_ids;
	u32 nr_nodes, nr_targets, nr_chains, nr_tables, nr_fs, nr_revoked, nr_table_chains;
	u64 epoch;
};

/* Binary search in a section sorted by a leading __le32 id. */
static inline const void *flint_map_find(const void *base, u32 nr, u32 size, u32 id)
{
	u32 lo = 0, hi = nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const void *p = (const u8 *)base + (size_t)mid * size;
		__le32 word;
		u32 v;

		memcpy(&word, p, sizeof(word));
		v = le32_to_cpu(word);
		if (v == id)
			return p;
		if (v < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static inline const struct flint_map_node *
flint_map_node(const struct flint_map *m, u32 id)
{
	return flint_map_find(m->nodes, m->nr_nodes, sizeof(*m->nodes), id);
}

static inline const struct flint_map_target *
flint_map_target(const struct flint_map *m, u32 id)
{
	return flint_map_find(m->targets, m->nr_targets, sizeof(*m->targets), id);
}

static inline const struct flint_map_chain *
flint_map_chain(const struct flint_map *m, u32 id)
{
	return flint_map_find(m->chains, m->nr_chains, sizeof(*m->chains), id);
}

/**
 * flint_map_head() - the target of a chain that takes changes
 *
 * Return: the first one that serves, or NULL.
 */
static inline const struct flint_map_target *
flint_map_head(const struct flint_map *m, const struct flint_map_chain *c)
{
	u32 i;

	for (i = 0; i < c->nr; i++) {
		const struct flint_map_target *t;

		t = flint_map_target(m, le32_to_cpu(c->targets[i]));
		if (t && t->state == FLINT_TARGET_SERVING)
			return t;
	}
	return NULL;
}

static inline const struct flint_map_table *
flint_map_table(const struct flint_map *m, u32 id, u32 version)
{
	u32 i;

	for (i = 0; i < m->nr_tables; i++)
		if (le32_to_cpu(m->tables[i].id) == id &&
		    le32_to_cpu(m->tables[i].version) == version)
			return &m->tables[i];
	return NULL;
}

/* Did the managers take this token back? */
static inline bool flint_map_token_revoked(const struct flint_map *m, const struct flint_token *t)
{
	u64 id = le64_to_cpu(t->id);
	u32 lo = 0, hi = m->nr_revoked;

	if (le64_to_cpu(t->issued) < le64_to_cpu(m->hdr->tokens_from))
		return true;
	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (le64_to_cpu(m->revoked[mid]) < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->nr_revoked && le64_to_cpu(m->revoked[lo]) == id;
}

/* Are the leading ids of a section 1 or more and strictly rising? */
static inline bool flint_map_sorted(const void *base, u32 nr, u32 size)
{
	u32 i, prev = 0;

	for (i = 0; i < nr; i++) {
		__le32 word;
		u32 id;

		memcpy(&word, (const u8 *)base + (size_t)i * size, sizeof(word));
		id = le32_to_cpu(word);
		if (id <= prev)
			return false;
		prev = id;
	}
	return true;
}

static inline bool flint_map_refs_ok(const struct flint_map *m)
{
	u32 i, j;

	for (i = 0; i < m->nr_targets; i++)
		if (!flint_map_node(m, le32_to_cpu(m->targets[i].node)))
			return false;
	for (i = 0; i < m->nr_chains; i++) {
		const struct flint_map_chain *c = &m->chains[i];

		if (!c->nr || c->nr > FLINT_CHAIN_MAX)
			return false;
		for (j = 0; j < c->nr; j++)
			if (!flint_map_target(m, le32_to_cpu(c->targets[j])))
				return false;
	}
	for (i = 0; i < m->nr_tables; i++) {
		const struct flint_map_table *t = &m->tables[i];
		u32 first = le32_to_cpu(t->first), nr = le32_to_cpu(t->nr);

		if (!nr || first > m->nr_table_chains ||
		    nr > m->nr_table_chains - first)
			return false;
		if (i && (le32_to_cpu(t->id) < le32_to_cpu(t[-1].id) ||
			  (t->id == t[-1].id && le32_to_cpu(t->version) <=
						le32_to_cpu(t[-1].version))))
			return false;
	}
	for (i = 0; i < m->nr_table_chains; i++)
		if (!flint_map_chain(m, le32_to_cpu(m->chain_ids[i])))
			return false;
	for (i = 1; i < m->nr_revoked; i++)
		if (le64_to_cpu(m->revoked[i]) <= le64_to_cpu(m->revoked[i - 1]))
			return false;
	for (i = 0; i < m->nr_fs; i++)
		if (!flint_map_node(m, le32_to_cpu(m->fs[i].meta_node)) ||
		    m->fs[i].name[FLINT_LABEL_LEN - 1])
			return false;
	return true;
}

/**
 * flint_map_check() - check an image and find its sections
 * @buf: the image, 8-byte aligned; must live as long as @m is used
 * @len: bytes
 * @m: result
 *
 * Checks sizes, order and every reference. The CRC is the caller's to check
 * (user space and the kernel have different functions for it).
 *
 * Return: 0, -EPROTONOSUPPORT for a newer image version, -EPROTO otherwise.
 */
static inline int flint_map_check(const void *buf, u32 len, struct flint_map *m)
{
	const struct flint_map_hdr *h = buf;
	const u8 *p = buf;
	u64 need;

	if (len < sizeof(*h) || h->magic != cpu_to_le32(FLINT_MAP_MAGIC))
		return -EPROTO;
	if (le16_to_cpu(h->version) != FLINT_MAP_VERSION)
		return -EPROTONOSUPPORT;
	if (le32_to_cpu(h->total_len) != len || len > FLINT_MAP_MAX_LEN ||
	    le16_to_cpu(h->hdr_len) < sizeof(*h) ||
	    (le16_to_cpu(h->hdr_len) & 7))
		return -EPROTO;

	m->hdr = h;
	m->epoch = le64_to_cpu(h->epoch);
	m->nr_nodes = le32_to_cpu(h->nr_nodes);
	m->nr_targets = le32_to_cpu(h->nr_targets);
	m->nr_chains = le32_to_cpu(h->nr_chains);
	m->nr_tables = le32_to_cpu(h->nr_tables);
	m->nr_fs = le32_to_cpu(h->nr_fs);
	m->nr_revoked = le32_to_cpu(h->nr_revoked);
	m->nr_table_chains = le32_to_cpu(h->nr_table_chains);
	need = (u64)le16_to_cpu(h->hdr_len) +
	       (u64)m->nr_nodes * sizeof(*m->nodes) +
	       (u64)m->nr_targets * sizeof(*m->targets) +
	       (u64)m->nr_chains * sizeof(*m->chains) +
	       (u64)m->nr_tables * sizeof(*m->tables) +
	       (u64)m->nr_fs * sizeof(*m->fs) +
	       (u64)m->nr_revoked * sizeof(*m->revoked) +
	       (u64)m->nr_table_chains * sizeof(*m->chain_ids);
	if (need != len || !m->epoch)
		return -EPROTO;

	p += le16_to_cpu(h->hdr_len);
	m->nodes = (const void *)p;
	p += (size_t)m->nr_nodes * sizeof(*m->nodes);
	m->targets = (const void *)p;
	p += (size_t)m->nr_targets * sizeof(*m->targets);
	m->chains = (const void *)p;
	p += (size_t)m->nr_chains * sizeof(*m->chains);
	m->tables = (const void *)p;
	p += (size_t)m->nr_tables * sizeof(*m->tables);
	m->fs = (const void *)p;
	p += (size_t)m->nr_fs * sizeof(*m->fs);
	m->revoked = (const void *)p;
	p += (size_t)m->nr_revoked * sizeof(*m->revoked);
	m->chain_ids = (const void *)p;

	if (!flint_map_sorted(m->nodes, m->nr_nodes, sizeof(*m->nodes)) ||
	    !flint_map_sorted(m->targets, m->nr_targets, sizeof(*m->targets)) ||
	    !flint_map_sorted(m->chains, m->nr_chains, sizeof(*m->chains)) ||
	    !flint_map_sorted(m->fs, m->nr_fs, sizeof(*m->fs)) ||
	    !flint_map_refs_ok(m))
		return -EPROTO;
	return 0;
}

#endif /* _UAPI_FLINTFS_CODEC_H */
