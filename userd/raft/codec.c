// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages of the core to and from their wire form. */
#include <errno.h>
#include <string.h>
#include "codec.h"
#include "../base/crc.h"

void flint_raft_msg_encode(struct flint_raft_msg *w, const struct raft_msg *m, u64 group,
			   const struct flint_addr *addr)
{
	*w = (struct flint_raft_msg){
		.group = cpu_to_le64(group), .from = cpu_to_le64(m->from), .to = cpu_to_le64(m->to),
		.term = cpu_to_le64(m->term), .index = cpu_to_le64(m->index),
		.log_term = cpu_to_le64(m->log_term), .commit = cpu_to_le64(m->commit),
		.round = cpu_to_le64(m->round), .hint = cpu_to_le64(m->hint),
		.hint_term = cpu_to_le64(m->hint_term), .type = m->type, .reject = m->reject,
		.force = m->force, .addr = *addr,
	};
}

int flint_raft_msg_decode(struct flint_raft_msg *w, struct raft_msg *m, const void *body, u32 len)
{
	if (flint_body_get(w, sizeof(*w), sizeof(*w), body, len))
		return -EPROTO;
	*m = (struct raft_msg){
		.from = le64_to_cpu(w->from), .to = le64_to_cpu(w->to),
		.term = le64_to_cpu(w->term), .index = le64_to_cpu(w->index),
		.log_term = le64_to_cpu(w->log_term), .commit = le64_to_cpu(w->commit),
		.round = le64_to_cpu(w->round), .hint = le64_to_cpu(w->hint),
		.hint_term = le64_to_cpu(w->hint_term), .type = w->type, .reject = w->reject,
		.force = w->force, .nr = le32_to_cpu(w->nr),
	};
	if (!m->from || !m->to || m->from == m->to || !w->group ||
	    m->type >= FLINT_RAFT_MSG_TYPES || m->reject > 1 || m->force > 1 ||
	    m->nr > FLINT_RAFT_MSG_ENTS || (m->nr && m->type != RAFT_MSG_APPEND) ||
	    m->index > UINT64_MAX - FLINT_RAFT_MSG_ENTS - 1)
		return -EPROTO;
	return 0;
}

u32 flint_raft_ent_encode(u8 *out, const struct flint_raft_ent *e)
{
	struct flint_raft_ent_hdr h = {
		.term = cpu_to_le64(e->term), .len = cpu_to_le32(e->len), .kind = e->type,
	};
	u32 room = flint_raft_ent_room(e->len);

	memcpy(out, &h, sizeof(h));
	memcpy(out + sizeof(h), e->data, e->len);
	memset(out + sizeof(h) + e->len, 0, room - sizeof(h) - e->len);
	return room;
}

int flint_raft_ents_decode(const u8 *data, u32 len, u32 crc, u64 first, u32 nr,
			   struct flint_raft_ent **ents)
{
	struct flint_raft_ent_hdr h;
	u32 i, size;
	int err = -EPROTO;

	if (flint_crc32c(0, data, len) != crc)
		return -EPROTO;
	for (i = 0; i < nr; i++) {
		if (len < sizeof(h))
			goto fail;
		memcpy(&h, data, sizeof(h));
		size = le32_to_cpu(h.len);
		if (size > len || flint_raft_ent_room(size) > len ||
		    h.kind >= FLINT_RAFT_ENT_KINDS)
			goto fail;
		ents[i] = flint_raft_ent_new(first + i, le64_to_cpu(h.term), h.kind,
					     data + sizeof(h), size);
		if (!ents[i]) {
			err = -ENOMEM;
			goto fail;
		}
		data += flint_raft_ent_room(size);
		len -= flint_raft_ent_room(size);
	}
	if (!len)
		return 0;
fail:
	while (i)
		flint_raft_ent_put(ents[--i]);
	return err;
}

void flint_raft_info_encode(struct raft_member *m, const char *name, const struct flint_addr *addr)
{
	struct flint_raft_info info = { .addr = *addr };

	strncpy(info.name, name, sizeof(info.name) - 1);
	memcpy(m->info, &info, sizeof(info));
	m->info_len = sizeof(info);
}

void flint_raft_info_decode(const struct raft_member *m, struct flint_raft_info *info)
{
	size_t i;

	memset(info, 0, sizeof(*info));
	memcpy(info, m->info, m->info_len < sizeof(*info) ? m->info_len : sizeof(*info));
	info->name[sizeof(info->name) - 1] = 0;
	for (i = 0; info->name[i]; i++)
		if (info->name[i] <= ' ' || info->name[i] > '~')
			info->name[i] = '?';
}
