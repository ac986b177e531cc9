// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Configurations: encoding, and changing them by one member at a time.
 *
 * Encoding: le32 version (1), le32 number, then for each member in ascending
 * order of id: le64 id, le16 flags (1: voter), le16 length of info, le32 0, info.
 */
#include "raft_int.h"

#define CONF_VERSION	1
#define CONF_VOTER	1

static void put_le(u8 *p, u64 v, int bytes)
{
	while (bytes--) {
		*p++ = v;
		v >>= 8;
	}
}

static u64 get_le(const u8 *p, int bytes)
{
	u64 v = 0;

	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

u32 raft_conf_encode(const struct raft_conf *c, u8 buf[RAFT_CONF_BYTES_MAX])
{
	u8 *p = buf + 8;
	u32 i;

	put_le(buf, CONF_VERSION, 4);
	put_le(buf + 4, c->nr, 4);
	for (i = 0; i < c->nr; i++) {
		const struct raft_member *m = &c->m[i];

		put_le(p, m->id, 8);
		put_le(p + 8, m->voter ? CONF_VOTER : 0, 2);
		put_le(p + 10, m->info_len, 2);
		put_le(p + 12, 0, 4);
		memcpy(p + 16, m->info, m->info_len);
		p += 16 + m->info_len;
	}
	return p - buf;
}

int raft_conf_decode(struct raft_conf *c, const void *buf, size_t len)
{
	const u8 *p = buf, *end = p + len;
	u64 before = 0;
	u32 i;

	c->nr = 0;
	if (len < 8 || get_le(p, 4) != CONF_VERSION || get_le(p + 4, 4) > RAFT_MEMBERS_MAX)
		return -EINVAL;
	c->nr = get_le(p + 4, 4);
	p += 8;
	for (i = 0; i < c->nr; i++) {
		struct raft_member *m = &c->m[i];

		if (end - p < 16)
			return -EINVAL;
		m->id = get_le(p, 8);
		m->voter = get_le(p + 8, 2) & CONF_VOTER;
		m->info_len = get_le(p + 10, 2);
		if (m->id <= before || get_le(p + 8, 2) & ~CONF_VOTER || get_le(p + 12, 4) ||
		    m->info_len > RAFT_INFO_MAX || m->info_len > end - p - 16)
			return -EINVAL;
		before = m->id;
		memcpy(m->info, p + 16, m->info_len);
		p += 16 + m->info_len;
	}
	return p == end ? 0 : -EINVAL;
}

const struct raft_member *raft_conf_find(const struct raft_conf *c, u64 id)
{
	u32 i;

	for (i = 0; i < c->nr; i++)
		if (c->m[i].id == id)
			return &c->m[i];
	return NULL;
}

static u32 voters(const struct raft_conf *c)
{
	u32 i, n = 0;

	for (i = 0; i < c->nr; i++)
		n += c->m[i].voter;
	return n;
}

static int insert(struct raft_conf *c, const struct raft_member *m)
{
	u32 at = c->nr;

	if (!m->id || m->info_len > RAFT_INFO_MAX)
		return -EINVAL;
	if (c->nr == RAFT_MEMBERS_MAX)
		return -ENOSPC;
	while (at && c->m[at - 1].id > m->id)
		at--;
	memmove(&c->m[at + 1], &c->m[at], (c->nr - at) * sizeof(*m));
	c->m[at] = *m;
	c->m[at].voter = false;
	c->nr++;
	return 0;
}

/* Apply one change to @c. */
static int change(struct raft *r, struct raft_conf *c, u8 op, const struct raft_member *member)
{
	struct raft_member *m = (struct raft_member *)raft_conf_find(c, member->id);
	struct raft_peer *p = raft_peer(r, member->id);

	if (op == RAFT_ADD_LEARNER)
		return m ? -EEXIST : insert(c, member);
	if (!m)
		return -ENOENT;
	switch (op) {
	case RAFT_PROMOTE:
		if (m->voter)
			return -EEXIST;
		if (m->id != r->cfg.id && (!p || !raft_caught_up(r, p)))
			return -EAGAIN;
		m->voter = true;
		break;
	case RAFT_DEMOTE:
		if (!m->voter)
			return -EEXIST;
		m->voter = false;
		break;
	case RAFT_REMOVE:
		c->nr--;
		memmove(m, m + 1, (u8 *)&c->m[c->nr] - (u8 *)m);
		break;
	case RAFT_SET_INFO:
		if (member->info_len > RAFT_INFO_MAX)
			return -EINVAL;
		m->info_len = member->info_len;
		memcpy(m->info, member->info, member->info_len);
		break;
	default:
		return -EINVAL;
	}
	return voters(c) ? 0 : -EDOM;
}

/*
 * Append a changed configuration. Only after an entry of this term is committed
 * (else two leaders' single changes could have majorities that do not overlap:
 * Ongaro's mail to raft-dev of 2015), and one at a time (dissertation 4.1).
 */
int raft_conf_change(struct raft *r, const struct raft_event *ev)
{
	struct raft_conf c = *raft_conf(r);
	struct raft_entry e = { .term = r->term, .kind = RAFT_CONF };
	int rc;

	if (r->role != RAFT_LEADER)
		return -EPERM;
	if (!raft_ready(r) || raft_conf_pending(r) || r->transfer)
		return -EBUSY;
	if (!ev->member)
		return -EINVAL;
	rc = change(r, &c, ev->op, ev->member);
	if (rc)
		return rc;
	e.bytes = raft_conf_encode(&c, r->conf_buf);
	e.data = r->conf_buf;
	raft_append(r, &e);
	raft_peers_set(r);
	raft_lease_set(r);
	raft_feed_all(r);
	return 0;
}
