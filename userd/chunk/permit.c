// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Permits that clients have shown, see permit.h. A table of fixed size: a permit
 * that is pushed out by others is shown again by its client. They belong to
 * tokens, not to connections, so a client that connects again need not.
 */
#include <stdlib.h>
#include <time.h>
#include "../base/token.h"
#include "permit.h"

#define WAYS	4
#define SETS	4096	/* 512 KiB in all */

struct permit_slot {
	u64 token;
	u64 ino;
	u64 expires;		/* seconds since 1970; 0: free */
	u32 fs;
};

void chunkd_permits_init(struct chunkd_permits *ps, const uint8_t *key)
{
	ps->key = key;
	pthread_mutex_init(&ps->lock, NULL);
}

void chunkd_permits_free(struct chunkd_permits *ps)
{
	free(ps->slots);
	pthread_mutex_destroy(&ps->lock);
}

/* The WAYS slots where it can be. */
static struct permit_slot *permit_set(struct chunkd_permits *ps, u64 token, u64 ino)
{
	u64 h = (token ^ ino) * 0x9e3779b97f4a7c15ull;	/* 2^64 / golden ratio */

	return ps->slots + (h >> 52) % SETS * WAYS;
}

static struct permit_slot *permit_find(struct chunkd_permits *ps, u64 token, u32 fs, u64 ino)
{
	struct permit_slot *s = permit_set(ps, token, ino);
	unsigned int i;

	for (i = 0; i < WAYS; i++)
		if (s[i].expires && s[i].token == token && s[i].ino == ino && s[i].fs == fs)
			return &s[i];
	return NULL;
}

/* Return: 0 or -ENOMEM. */
static int permit_keep(struct chunkd_permits *ps, const struct flint_permit *p)
{
	u64 token = le64_to_cpu(p->token), ino = le64_to_cpu(p->ino);
	u32 fs = le32_to_cpu(p->fs);
	struct permit_slot *s, *set;
	unsigned int i;

	if (!ps->slots)
		ps->slots = calloc(SETS * WAYS, sizeof(*ps->slots));
	if (!ps->slots)
		return -ENOMEM;
	s = permit_find(ps, token, fs, ino);
	set = permit_set(ps, token, ino);
	for (i = 0; !s && i < WAYS; i++)
		if (!set[i].expires)
			s = &set[i];
	if (!s) {
		s = set;
		for (i = 1; i < WAYS; i++)
			if (set[i].expires < s->expires)
				s = &set[i];
	}
	*s = (struct permit_slot){
		.token = token, .ino = ino, .fs = fs, .expires = le64_to_cpu(p->expires),
	};
	return 0;
}

void chunkd_permit_request(struct chunkd_permits *ps, struct flint_call *call)
{
	const struct flint_token *token = flint_conn_info(call->conn)->token;
	struct flint_permit p;
	u32 status = FLINT_OK;

	if (flint_body_get(&p, sizeof(p), sizeof(p), call->msg.body, call->msg.body_len)) {
		status = FLINT_ST_BAD_REQUEST;
	} else if (!token || p.token != token->id || p.fs != token->fs ||
		   !flint_permit_ok(ps->key, &p, time(NULL))) {
		status = FLINT_ST_AUTH;
	} else {
		pthread_mutex_lock(&ps->lock);
		if (permit_keep(ps, &p))
			status = FLINT_ST_RETRY;
		pthread_mutex_unlock(&ps->lock);
	}
	flint_call_reply(call, status, NULL, 0, NULL, 0, 0);
}

bool chunkd_permitted(struct chunkd_permits *ps, const struct flint_call *call, u32 fs, u64 ino)
{
	const struct flint_token *token = flint_conn_info(call->conn)->token;
	struct permit_slot *s;
	bool ok;

	if (!token || !token->path_len)
		return true;
	pthread_mutex_lock(&ps->lock);
	s = ps->slots ? permit_find(ps, le64_to_cpu(token->id), fs, ino) : NULL;
	ok = s && s->expires > (u64)time(NULL);
	pthread_mutex_unlock(&ps->lock);
	return ok;
}
