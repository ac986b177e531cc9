// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * New chains: the manager checks what 'flint chain create' has worked out
 * (place.h), makes the chains, and puts them behind those that the table has,
 * as a new version of it. Files that exist keep the version they were made with.
 *
 * Targets of a new chain that are empty are alike: all serve at once (chains.c).
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/log.h"
#include "mgrd.h"

#define CHAINSET_MAX	65536		/* chains in one request */

/**
 * struct chainset - chains that are asked for
 * @nr, @ids: targets of chain c are ids[c * FLINT_CHAIN_MAX] and following, head first
 */
struct chainset {
	u32 nr_chains;
	u8 *nr;
	u32 *ids;
};

static void chainset_free(struct chainset *s)
{
	free(s->nr);
	free(s->ids);
}

/* Every target fits, and lies on a server of its own in its chain. */
static int chainset_check(struct mgr_state *st, const struct chainset *s, char *err, size_t errlen)
{
	u32 c, i, j;
	int ret;

	for (c = 0; c < s->nr_chains; c++) {
		const u32 *ids = s->ids + (size_t)c * FLINT_CHAIN_MAX;

		for (i = 0; i < s->nr[c]; i++) {
			ret = mgr_target_fit(st, ids[i], err, errlen);
			for (j = 0; j < i && !ret; j++) {
				if (mgr_target_find(st, ids[i])->node !=
				    mgr_target_find(st, ids[j])->node)
					continue;
				snprintf(err, errlen,
					 "targets %u and %u are on one server: a chain's replicas must be on different ones",
					 ids[j], ids[i]);
				ret = -EINVAL;
			}
			if (ret)
				return ret;
		}
	}
	return 0;
}

static int chainset_cmp(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/* Is a target named twice? */
static int chainset_twice(const struct chainset *s, char *err, size_t errlen)
{
	u32 *all = calloc((size_t)s->nr_chains * FLINT_CHAIN_MAX, sizeof(u32)), nr = 0, c, i;
	int ret = 0;

	if (!all) {
		snprintf(err, errlen, "the manager is out of memory");
		return -ENOMEM;
	}
	for (c = 0; c < s->nr_chains; c++)
		for (i = 0; i < s->nr[c]; i++)
			all[nr++] = s->ids[(size_t)c * FLINT_CHAIN_MAX + i];
	qsort(all, nr, sizeof(*all), chainset_cmp);
	for (i = 1; i < nr && !ret; i++)
		if (all[i] == all[i - 1]) {
			snprintf(err, errlen, "target %u is named twice", all[i]);
			ret = -EINVAL;
		}
	free(all);
	return ret;
}

/* Table 1 gets a new version: the chains it had and the new ones. */
static int chainset_add(struct mgr_state *st, const struct chainset *s, char *err, size_t errlen)
{
	const struct mgr_table *old = mgr_table_newest(st, 1);
	u32 i, had = old ? old->nr : 0, version;
	u32 *chains = calloc(had + s->nr_chains, sizeof(*chains));
	int ret = chains ? 0 : -ENOMEM;

	if (chains && had)
		memcpy(chains, old->chains, had * sizeof(*chains));
	for (i = 0; i < s->nr_chains && !ret; i++)
		ret = mgr_chain_create(st, s->ids + (size_t)i * FLINT_CHAIN_MAX, s->nr[i],
				       &chains[had + i], err, errlen);
	if (!ret)
		ret = mgr_table_create(st, 1, chains, had + s->nr_chains, &version, err, errlen);
	free(chains);
	return ret;
}

/* ---- the request ------------------------------------------------------ */

/* Read "chains": lists of target ids, head first. Return: 0 or -errno with a sentence. */
static int chainset_parse(json_t *body, struct chainset *s, char *err, size_t errlen)
{
	json_t *chains = json_object_get(body, "chains"), *chain, *item;
	size_t nr = json_array_size(chains), i, j;

	snprintf(err, errlen,
		 "\"chains\" must be 1 to %d lists, each of 1 to %d target ids, the head first",
		 CHAINSET_MAX, FLINT_CHAIN_MAX);
	if (!nr || nr > CHAINSET_MAX)
		return -EINVAL;
	s->nr_chains = nr;
	s->nr = calloc(nr, sizeof(*s->nr));
	s->ids = calloc(nr * FLINT_CHAIN_MAX, sizeof(*s->ids));
	if (!s->nr || !s->ids)
		return -ENOMEM;
	json_array_foreach(chains, i, chain) {
		size_t len = json_array_size(chain);

		if (!len || len > FLINT_CHAIN_MAX)
			return -EINVAL;
		s->nr[i] = len;
		json_array_foreach(chain, j, item) {
			json_int_t id = json_integer_value(item);

			if (id < 1 || id > UINT32_MAX)
				return -EINVAL;
			s->ids[i * FLINT_CHAIN_MAX + j] = id;
		}
	}
	return 0;
}

/* An answer that waits until the chains are agreed upon. */
struct chainset_wait {
	struct mgr_http_req *r;
	u32 made;
};

static void chainset_made(struct mgr *m, void *arg, int err)
{
	struct chainset_wait *w = arg;

	if (err) {
		mgr_admin_lost(w->r, err);
	} else {
		flint_info("%u chains made", w->made);
		mgr_http_reply(w->r, MHD_HTTP_OK,
			       json_pack("{s:i, s:I}", "created", (int)w->made, "epoch",
					 (json_int_t)m->st->epoch));
	}
	free(w);
}

/* On a copy of the next state, which takes its place when all went well. */
static void chainset_commit(struct mgr *m, struct mgr_http_req *r, const struct chainset *s)
{
	struct chainset_wait *w = calloc(1, sizeof(*w));
	struct mgr_state *st = mgr_state_clone(m->next);
	char err[MGR_ERR_LEN] = "the manager is out of memory";
	int ret = w && st ? chainset_add(st, s, err, sizeof(err)) : -ENOMEM;

	if (!ret)
		ret = mgr_image_room(st, err, sizeof(err));
	if (ret) {
		mgr_http_error(r, ret == -ENOMEM ? MHD_HTTP_INTERNAL_SERVER_ERROR :
						   MHD_HTTP_CONFLICT, "%s", err);
		mgr_state_free(st);
		free(w);
		return;
	}
	mgr_state_free(m->next);
	m->next = st;
	w->r = r;
	w->made = s->nr_chains;
	mgr_commit(m, true, chainset_made, w);
}

/**
 * mgr_chains_post() - POST /v1/chains: make chains and put them into use
 * @r: {"chains": [[TARGET, ...], ...]}
 */
void mgr_chains_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	struct chainset s = { 0 };
	char err[MGR_ERR_LEN];

	if (chainset_parse(body, &s, err, sizeof(err)))
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST, "%s", err);
	else if (m->next->set.frozen)
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "the cluster is frozen: 'flint cluster thaw' lets chains be made");
	else if (chainset_twice(&s, err, sizeof(err)) ||
		 chainset_check(m->next, &s, err, sizeof(err)))
		mgr_http_error(r, MHD_HTTP_CONFLICT, "%s", err);
	else
		chainset_commit(m, r, &s);
	chainset_free(&s);
	json_decref(body);
}
