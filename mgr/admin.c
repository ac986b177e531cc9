// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager's admin API: paths, their checks, and the changes behind them.
 * Documentation/mgr-api.rst describes it for callers.
 *
 * Every change is durable before it is answered. Repeating a request that
 * succeeded is harmless.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/log.h"
#include "mgrd.h"

#define MGR_FS_CHUNK_MIN	(1u << FLINT_CHUNK_SHIFT_MIN)
#define MGR_FS_CHUNK_MAX	(1u << FLINT_CHUNK_SHIFT_MAX)

/* ---- chains ----------------------------------------------------------- */

/* Can this target become part of a chain? Return: 0 or -errno with a sentence. */
static int mgr_target_fit(struct mgr_state *st, u32 id, char *err, size_t errlen)
{
	const struct mgr_target *t = mgr_target_find(st, id);
	const struct mgr_node *n = t ? mgr_node_find(st, t->node) : NULL;

	if (!n) {
		snprintf(err, errlen,
			 "there is no target %u: 'flint target list' shows those that chunk servers have reported",
			 id);
		return -ENOENT;
	}
	if (t->chain) {
		snprintf(err, errlen, "target %u is already in chain %u: name targets that are free",
			 id, t->chain);
		return -EEXIST;
	}
	if (n->state != FLINT_NODE_UP || t->local == FLINT_LOCAL_OFFLINE) {
		snprintf(err, errlen, "target %u on %s is offline: start its chunk server first",
			 id, n->name);
		return -EHOSTDOWN;
	}
	return 0;
}

/*
 * All free and living targets, dealt out node by node, so that neighbours in
 * the table lie on different servers. Return: their number; @ids is malloced.
 */
static u32 mgr_targets_free(struct mgr_state *st, u32 **ids)
{
	u32 *list = calloc(st->nr_targets + 1, sizeof(*list));
	u32 nr = 0, before, round, i, j;
	char why[MGR_ERR_LEN];

	*ids = list;
	if (!list)
		return 0;
	for (round = 0, before = ~0u; before != nr; round++) {
		before = nr;
		for (i = 0; i < st->nr_nodes; i++) {
			u32 seen = 0;

			for (j = 0; j < st->nr_targets; j++) {
				if (st->targets[j].node != st->nodes[i].id ||
				    mgr_target_fit(st, st->targets[j].id, why, sizeof(why)))
					continue;
				if (seen++ == round) {
					list[nr++] = st->targets[j].id;
					break;
				}
			}
		}
	}
	return nr;
}

/* Table 1 gets a new version: the chains it had and @nr new ones. */
static int mgr_chains_add(struct mgr_state *st, const u32 *ids, u32 nr)
{
	const struct mgr_table *old = NULL;
	u32 i, had = 0, version = 1;
	struct mgr_table *t;

	for (i = 0; i < st->nr_tables; i++)
		if (st->tables[i].id == 1)
			old = &st->tables[i];
	if (old) {
		had = old->nr;
		version = old->version + 1;
	}
	t = mgr_table_add(st, 1, version, had + nr);
	if (!t)
		return -ENOMEM;
	if (had)
		memcpy(t->chains, mgr_table_find(st, 1, version - 1)->chains,
		       had * sizeof(*t->chains));
	for (i = 0; i < nr; i++) {
		struct mgr_chain *c = mgr_chain_add(st);
		struct mgr_target *target = mgr_target_find(st, ids[i]);

		if (!c)
			return -ENOMEM;
		c->nr = 1;
		c->targets[0] = target->id;
		target->chain = c->id;
		target->state = FLINT_TARGET_SERVING;
		target->dirty = true;
		t->chains[had + i] = c->id;
	}
	return 0;
}

/**
 * mgr_chains_create() - make a chain of each target and put them into the table
 * @ids: targets; @nr 0: all that are free and alive
 * @replicas: targets in a chain; this version knows 1
 * @nr_made: result
 * @err: one sentence on failure; nothing is changed then
 *
 * Return: 0 or -errno.
 */
int mgr_chains_create(struct mgr *m, const u32 *ids, u32 nr, u32 replicas, u32 *nr_made,
		      char *err, size_t errlen)
{
	u32 *list = NULL;
	u32 i, j;
	int ret;

	if (replicas != 1) {
		snprintf(err, errlen,
			 "this version keeps one copy of each chunk: ask for 1 replica, not %u",
			 replicas);
		return -EOPNOTSUPP;
	}
	if (!nr) {
		nr = mgr_targets_free(m->st, &list);
		ids = list;
	}
	if (!nr) {
		snprintf(err, errlen,
			 "no free target is online: format one with 'flint target add' and start its chunk server");
		ret = -ENODEV;
		goto out;
	}
	for (i = 0; i < nr; i++) {
		ret = mgr_target_fit(m->st, ids[i], err, errlen);
		for (j = 0; j < i && !ret; j++)
			if (ids[i] == ids[j]) {
				snprintf(err, errlen, "target %u is named twice", ids[i]);
				ret = -EINVAL;
			}
		if (ret)
			goto out;
	}
	ret = mgr_chains_add(m->st, ids, nr);
	if (ret) {
		/* Half a change in memory: only a fresh start from state.db is safe. */
		flint_err("out of memory while making chains");
		abort();
	}
	*nr_made = nr;
	ret = mgr_commit_publish(m, err, errlen);
	if (!ret)
		flint_info("%u chains made", nr);
out:
	free(list);
	return ret;
}

static void mgr_admin_chains_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL), *list, *item;
	json_int_t replicas = 1;
	u32 ids[1024], nr = 0, made = 0;
	char err[MGR_ERR_LEN];
	size_t i;
	int ret;

	if (!json_is_object(body)) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST, "the body is no JSON object");
		goto out;
	}
	if (json_object_get(body, "replicas"))
		replicas = json_integer_value(json_object_get(body, "replicas"));
	list = json_object_get(body, "targets");
	json_array_foreach(list, i, item) {
		json_int_t id = json_integer_value(item);

		if (id < 1 || id > UINT32_MAX || nr == 1024) {
			mgr_http_error(r, MHD_HTTP_BAD_REQUEST,
				       "\"targets\" must be up to 1024 target ids");
			goto out;
		}
		ids[nr++] = id;
	}
	if (replicas < 1 || replicas > FLINT_CHAIN_MAX) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST, "\"replicas\" must be 1 to %d",
			       FLINT_CHAIN_MAX);
		goto out;
	}
	ret = mgr_chains_create(m, ids, nr, replicas, &made, err, sizeof(err));
	if (ret)
		mgr_http_error(r, ret == -ENOSPC || ret == -EIO || ret == -EROFS
					  ? MHD_HTTP_INSUFFICIENT_STORAGE : MHD_HTTP_CONFLICT,
			       "%s", err);
	else
		mgr_http_reply(r, MHD_HTTP_OK,
			       json_pack("{s:i, s:I}", "created", (int)made, "epoch",
					 (json_int_t)m->st->epoch));
out:
	json_decref(body);
}

/* ---- file systems ----------------------------------------------------- */

static void mgr_admin_fs_done(struct mgr_fsmake *fm, int err)
{
	struct mgr_http_req *r = fm->arg;

	if (err)
		mgr_http_error(r, err == -ENOTCONN || err == -ETIMEDOUT
					  ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_CONFLICT,
			       "%s", fm->why);
	else
		mgr_http_reply(r, MHD_HTTP_OK,
			       json_pack("{s:i, s:s, s:b}", "id", (int)fm->fs, "name", fm->name,
					 "existed", (int)fm->existed));
	free(fm);
}

static bool mgr_fs_name_ok(const char *name)
{
	size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789._-") : 0;

	return n && n < FLINT_LABEL_LEN && !name[n] && name[0] != '.' && name[0] != '-';
}

/* Take wishes from JSON. Return: 0, or -EINVAL after an answer. */
static int mgr_admin_fs_parse(struct mgr_http_req *r, json_t *body, struct mgr_fsmake *fm)
{
	json_int_t chunk = json_integer_value(json_object_get(body, "chunk_size"));
	json_int_t stripe = json_integer_value(json_object_get(body, "stripe"));
	json_int_t mode = json_integer_value(json_object_get(body, "mode"));
	const char *name = json_string_value(json_object_get(body, "name"));

	if (!mgr_fs_name_ok(name)) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST,
			       "a file system's name is 1 to %d letters, digits, dots, dashes and underscores",
			       FLINT_LABEL_LEN - 1);
		return -EINVAL;
	}
	if (chunk && (chunk < MGR_FS_CHUNK_MIN || chunk > MGR_FS_CHUNK_MAX ||
		      (chunk & (chunk - 1)))) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST,
			       "the chunk size must be a power of two from 64K to 16M");
		return -EINVAL;
	}
	if (stripe < 0 || stripe > FLINT_STRIPE_MAX || mode < 0 || mode > 07777) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST,
			       "the stripe must be 1 to %d chains and the mode at most 07777",
			       FLINT_STRIPE_MAX);
		return -EINVAL;
	}
	snprintf(fm->name, sizeof(fm->name), "%s", name);
	fm->chunk_shift = chunk ? __builtin_ctzll(chunk) : 0;
	fm->stripe = stripe;
	fm->mode = mode;
	fm->uid = json_integer_value(json_object_get(body, "uid"));
	fm->gid = json_integer_value(json_object_get(body, "gid"));
	return 0;
}

static void mgr_admin_fs_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	struct mgr_fsmake *fm = NULL;

	if (!json_is_object(body)) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST, "the body is no JSON object");
		goto out;
	}
	fm = calloc(1, sizeof(*fm));
	if (!fm) {
		mgr_http_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the manager is out of memory");
		goto out;
	}
	if (mgr_admin_fs_parse(r, body, fm)) {
		free(fm);
		goto out;
	}
	fm->done = mgr_admin_fs_done;
	fm->arg = r;
	mgr_fsmake_start(m, fm);
out:
	json_decref(body);
}

/* ---- dispatch --------------------------------------------------------- */

static const struct {
	const char *path;
	json_t *(*report)(struct mgr *m);
	void (*post)(struct mgr *m, struct mgr_http_req *r);
} mgr_paths[] = {
	{ "/v1/status", mgr_report_status, NULL },
	{ "/v1/map", mgr_report_map, NULL },
	{ "/v1/nodes", mgr_report_nodes, NULL },
	{ "/v1/targets", mgr_report_targets, NULL },
	{ "/v1/chains", mgr_report_chains, mgr_admin_chains_post },
	{ "/v1/fs", mgr_report_fs, mgr_admin_fs_post },
};

/**
 * mgr_admin_request() - handle an authentic request
 *
 * Answers it now, or later from the loop.
 */
void mgr_admin_request(struct mgr *m, struct mgr_http_req *r)
{
	bool get = !strcmp(r->method, "GET");
	size_t i;

	if (get && !strcmp(r->path, "/metrics"))
		return mgr_http_reply_text(r, MHD_HTTP_OK, mgr_report_metrics(m));
	for (i = 0; i < sizeof(mgr_paths) / sizeof(mgr_paths[0]); i++) {
		if (strcmp(r->path, mgr_paths[i].path))
			continue;
		if (get)
			return mgr_http_reply(r, MHD_HTTP_OK, mgr_paths[i].report(m));
		if (!strcmp(r->method, "POST") && mgr_paths[i].post)
			return mgr_paths[i].post(m, r);
		return mgr_http_error(r, MHD_HTTP_METHOD_NOT_ALLOWED, "%s does not take %s",
				      r->path, r->method);
	}
	mgr_http_error(r, MHD_HTTP_NOT_FOUND, "there is no %s in this version's API", r->path);
}
