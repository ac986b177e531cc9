// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tokens that clients were given (uapi/flintfs/token.h): what the managers know
 * of them, and /v1/tokens.
 *
 * A record holds a token's claims, for people to look at, and whether it was
 * revoked. No server needs it to let a token's owner in. What servers need is
 * in the map: the ids of revoked tokens, and the time before which no token
 * counts.
 *
 * Records of tokens that expired MGR_TOKEN_KEPT_S ago are dropped when another
 * one is made. The claims of a record never change: copies of the state share
 * them.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../userd/base/key.h"
#include "../userd/base/log.h"
#include "mgrd.h"

#define MGR_TOKENS_MAX		8192
#define MGR_TOKEN_KEPT_S	(30 * 86400)
#define MGR_TOKEN_AHEAD_S	120		/* by which clocks may differ */
#define MGR_ID_MAX		(1ull << 53)	/* what JSON keeps whole everywhere */

/* ---- /v1/tokens -------------------------------------------------------- */

/* The leading manager's clock decides what counts as long ago. */
static u64 mgr_wall_s(void)
{
	return (u64)time(NULL);
}

json_t *mgr_report_tokens(struct mgr *m)
{
	json_t *list = json_array();
	char hex[2 * FLINT_TOKEN_MAX + 1];
	u32 i;

	for (i = 0; i < m->st->nr_tokens; i++) {
		const struct mgr_token *t = &m->st->tokens[i];
		const struct flint_token *c = mgr_token_claims(t);
		bool revoked = t->revoked || le64_to_cpu(c->issued) < m->st->set.tokens_from;

		flint_hex_format((const u8 *)c, flint_token_len(c), hex);
		json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:b}", "id",
						      (json_int_t)t->id, "claims", hex, "note",
						      t->note, "revoked", (int)revoked));
	}
	return json_pack("{s:o}", "tokens", list);
}

struct mgr_token_wait {
	struct mgr_http_req *r;
	u64 id;
};

static void mgr_token_done(struct mgr *m, void *arg, int err)
{
	struct mgr_token_wait *w = arg;

	if (err)
		mgr_admin_lost(w->r, err);
	else
		mgr_http_reply(w->r, MHD_HTTP_OK,
			       json_pack("{s:I}", "id", (json_int_t)w->id));
	free(w);
}

/* Answer when what was changed in m->next is agreed upon. */
static void mgr_token_commit(struct mgr *m, struct mgr_http_req *r, u64 id, bool visible)
{
	struct mgr_token_wait *w = calloc(1, sizeof(*w));

	if (!w) {
		flint_err("out of memory while changing tokens");
		abort();	/* half a change in memory: only a fresh start is safe */
	}
	w->r = r;
	w->id = id;
	mgr_commit(m, visible, mgr_token_done, w);
}

/* Make room: what expired long ago goes. Return: how many stay. */
static u32 mgr_tokens_prune(struct mgr_state *st, u64 now_s)
{
	u32 i, stay = 0;

	for (i = 0; i < st->nr_tokens; i++) {
		struct mgr_token *t = &st->tokens[i];

		if (now_s > MGR_TOKEN_KEPT_S &&
		    flint_token_expired(mgr_token_claims(t), now_s - MGR_TOKEN_KEPT_S))
			t->gone = true;
		stay += !t->gone;
	}
	return stay;
}

/* {"claims": hexadecimal, "note": text}. Repeating it is harmless. */
void mgr_tokens_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	const char *hex = json_string_value(json_object_get(body, "claims")) ? : "";
	const char *note = json_string_value(json_object_get(body, "note")) ? : "";
	u64 claims[FLINT_TOKEN_MAX / 8 + 1] = { 0 };
	const struct flint_token *c = (const struct flint_token *)claims;
	size_t len = strlen(hex) / 2;
	struct mgr_token *t;

	if (len > FLINT_TOKEN_MAX || strlen(note) >= sizeof(t->note) ||
	    flint_hex_parse(hex, strlen(hex), (u8 *)claims, len) ||
	    flint_token_check(claims, (u32)len) || le64_to_cpu(c->id) >= MGR_ID_MAX) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST,
			       "\"claims\" must be those of a token that this version knows, and \"note\" have up to %zu bytes",
			       sizeof(t->note) - 1);
		goto out;
	}
	if (!mgr_fs_find(m->next, le32_to_cpu(c->fs))) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "there is no file system %u: 'flint fs list' shows them",
			       le32_to_cpu(c->fs));
		goto out;
	}
	/* Until then it would outlive 'revoke --all' if nobody had told us of it. */
	if (le64_to_cpu(c->issued) > mgr_wall_s() + MGR_TOKEN_AHEAD_S) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "the token is issued %llu s from now by the managers' clock: set this machine's clock or theirs",
			       (unsigned long long)(le64_to_cpu(c->issued) - mgr_wall_s()));
		goto out;
	}
	/* No server would let its owner in. */
	if (le64_to_cpu(c->issued) < m->next->set.tokens_from) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "the token is issued %llu s before the time from which tokens count since 'flint token revoke --all': make it later, or set this machine's clock; if the managers' clock was far ahead then, replace the cluster key",
			       (unsigned long long)(m->next->set.tokens_from - le64_to_cpu(c->issued)));
		goto out;
	}
	if (mgr_tokens_prune(m->next, mgr_wall_s()) >= MGR_TOKENS_MAX) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "there are %u tokens already: let them expire, or revoke all with 'flint token revoke --all' and make new ones",
			       MGR_TOKENS_MAX);
		goto out;
	}
	t = mgr_token_put(m->next, c);
	if (!t) {
		mgr_http_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the manager is out of memory");
		goto out;
	}
	snprintf(t->note, sizeof(t->note), "%s", note);
	flint_info("token %llu is made", (unsigned long long)t->id);
	mgr_token_commit(m, r, t->id, false);
out:
	json_decref(body);
}

static void mgr_tokens_revoke_all(struct mgr *m, struct mgr_http_req *r)
{
	mgr_tokens_revoke(m->next, mgr_wall_s());
	flint_info("all tokens are revoked");
	mgr_token_commit(m, r, 0, true);
}

/* {"id": N} or {"all": true} */
void mgr_tokens_revoke_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	json_int_t id = json_integer_value(json_object_get(body, "id"));
	struct mgr_token *t = id > 0 ? mgr_token_find(m->next, (u64)id) : NULL;

	if (json_is_true(json_object_get(body, "all"))) {
		mgr_tokens_revoke_all(m, r);
	} else if (!t) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "there is no token %lld: 'flint token ls' shows them", (long long)id);
	} else {
		t->revoked = true;
		t->dirty = true;
		flint_info("token %lld is revoked", (long long)id);
		mgr_token_commit(m, r, t->id, true);
	}
	json_decref(body);
}
