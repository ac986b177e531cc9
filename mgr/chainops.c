// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The admin API's part about chains that exist, about settings that may change
 * while the cluster runs, and about what happened. The primitives are in
 * chains.c; commands such as drain and rebalance are loops of them at the caller.
 *
 * A request's changes happen together or not at all: they are tried on a copy of
 * the next state, which takes its place when all of them went well.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/log.h"
#include "mgrd.h"

#define CHAINOPS_MAX	4096		/* changes in one request */
#define LEASE_MAX_MS	120000
#define SCRUB_MAX_DAYS	3650

/* ---- changes of chains -------------------------------------------------- */

struct chainop {
	u32 chain, target, node;
};

static int op_add(struct mgr_state *st, const struct chainop *o, char *err, size_t errlen)
{
	return mgr_chain_add_target(st, o->chain, o->target, err, errlen);
}

static int op_drop(struct mgr_state *st, const struct chainop *o, char *err, size_t errlen)
{
	return mgr_chain_drop_target(st, o->chain, o->target, err, errlen);
}

static int op_offline(struct mgr_state *st, const struct chainop *o, char *err, size_t errlen)
{
	return mgr_target_hold(st, o->target, true, err, errlen);
}

static int op_online(struct mgr_state *st, const struct chainop *o, char *err, size_t errlen)
{
	return mgr_target_hold(st, o->target, false, err, errlen);
}

static int op_promote(struct mgr_state *st, const struct chainop *o, char *err, size_t errlen)
{
	return mgr_target_promote(st, o->target, err, errlen);
}

static int op_drain(struct mgr_state *st, const struct chainop *o, char *err, size_t errlen)
{
	return o->node ? mgr_node_drain(st, o->node, true, err, errlen)
		       : mgr_target_drain(st, o->target, true, err, errlen);
}

static int op_undrain(struct mgr_state *st, const struct chainop *o, char *err, size_t errlen)
{
	return o->node ? mgr_node_drain(st, o->node, false, err, errlen)
		       : mgr_target_drain(st, o->target, false, err, errlen);
}

static const struct {
	const char *verb;
	int (*fn)(struct mgr_state *st, const struct chainop *o, char *err, size_t errlen);
} chainops[] = {
	{ "add", op_add }, { "drop", op_drop }, { "offline", op_offline },
	{ "online", op_online }, { "promote", op_promote }, { "drain", op_drain },
	{ "undrain", op_undrain },
};

/* A whole number in 32 bits, 0 when it is not there. Return: 0 or -EINVAL. */
static int json_u32(json_t *o, const char *key, u32 *out)
{
	json_t *v = json_object_get(o, key);
	json_int_t n = json_integer_value(v);

	*out = n;
	return !v || (json_is_integer(v) && n >= 0 && n <= UINT32_MAX) ? 0 : -EINVAL;
}

static int chainop_apply(struct mgr_state *st, json_t *change, char *err, size_t errlen)
{
	const char *verb = json_string_value(json_object_get(change, "verb"));
	struct chainop o;
	size_t i;

	if (!verb || json_u32(change, "chain", &o.chain) || json_u32(change, "target", &o.target) ||
	    json_u32(change, "node", &o.node)) {
		snprintf(err, errlen,
			 "each change is an object with \"verb\" and the numbers \"chain\", \"target\", \"node\" that it needs");
		return -EINVAL;
	}
	for (i = 0; i < sizeof(chainops) / sizeof(chainops[0]); i++)
		if (!strcmp(chainops[i].verb, verb))
			return chainops[i].fn(st, &o, err, errlen);
	snprintf(err, errlen, "a chain's targets are not changed by \"%s\"", verb);
	return -EINVAL;
}

struct chainops_wait {
	struct mgr_http_req *r;
	unsigned int made;
};

static void chainops_done(struct mgr *m, void *arg, int err)
{
	struct chainops_wait *w = arg;

	if (err)
		mgr_admin_lost(w->r, err);
	else
		mgr_http_reply(w->r, MHD_HTTP_OK,
			       json_pack("{s:b, s:i, s:I}", "done", 1, "changes", (int)w->made,
					 "epoch", (json_int_t)m->st->epoch));
	free(w);
}

/* All of it went well on @st: let it happen. Takes @st over. */
static void chainops_commit(struct mgr *m, struct mgr_http_req *r, struct mgr_state *st,
			    unsigned int made)
{
	struct chainops_wait *w = calloc(1, sizeof(*w));

	if (!w) {
		mgr_state_free(st);
		mgr_http_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the manager is out of memory");
		return;
	}
	w->r = r;
	w->made = made;
	mgr_state_free(m->next);
	m->next = st;
	mgr_commit(m, true, chainops_done, w);
}

/**
 * mgr_chains_change_post() - POST /v1/chains/change
 * @r: {"changes": [{"verb": VERB, "chain": N, "target": N, "node": N}, ...],
 *	"dry_run": BOOL}
 */
void mgr_chains_change_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL), *change;
	json_t *changes = json_object_get(body, "changes");
	struct mgr_state *st = mgr_state_clone(m->next);
	char err[MGR_ERR_LEN] = "\"changes\" must be a list of 1 to 4096 changes";
	size_t i, nr = json_array_size(changes);
	int ret = !nr || nr > CHAINOPS_MAX ? -EINVAL : 0;

	json_array_foreach(changes, i, change)
		if (!ret && st)
			ret = chainop_apply(st, change, err, sizeof(err));
	if (!st || ret == -ENOMEM) {
		mgr_http_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the manager is out of memory");
	} else if (ret) {
		mgr_http_error(r, ret == -EINVAL ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_CONFLICT, "%s",
			       err);
	} else if (json_is_true(json_object_get(body, "dry_run"))) {
		mgr_http_reply(r, MHD_HTTP_OK, json_pack("{s:b, s:b, s:i}", "done", 0, "dry_run",
							 1, "changes", (int)nr));
	} else {
		chainops_commit(m, r, st, nr);
		st = NULL;
	}
	mgr_state_free(st);
	json_decref(body);
}

/**
 * mgr_tables_post() - POST /v1/tables: the next version of a chain table
 * @r: {"table": N, "chains": [CHAIN, ...]}
 */
void mgr_tables_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL), *item;
	json_t *list = json_object_get(body, "chains");
	size_t i, nr = json_array_size(list);
	u32 *chains = calloc(nr + 1, sizeof(*chains)), table = 0, version;
	struct mgr_state *st = mgr_state_clone(m->next);
	char err[MGR_ERR_LEN] = "\"chains\" must be a list of chain ids, \"table\" a number";
	int ret = json_u32(body, "table", &table);

	json_array_foreach(list, i, item) {
		json_int_t id = json_integer_value(item);

		if (id < 1 || id > UINT32_MAX)
			ret = -EINVAL;
		else if (chains)
			chains[i] = id;
	}
	if (!ret && chains && st)
		ret = mgr_table_create(st, table, chains, nr, &version, err, sizeof(err));
	if (!ret && chains && st)
		ret = mgr_image_room(st, err, sizeof(err));
	if (!chains || !st || ret == -ENOMEM) {
		mgr_http_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the manager is out of memory");
	} else if (ret) {
		mgr_http_error(r, ret == -ENOSPC ? MHD_HTTP_CONFLICT : MHD_HTTP_BAD_REQUEST, "%s",
			       err);
	} else {
		chainops_commit(m, r, st, 1);
		st = NULL;
	}
	mgr_state_free(st);
	free(chains);
	json_decref(body);
}

/* ---- settings ----------------------------------------------------------- */

json_t *mgr_report_settings(struct mgr *m)
{
	const struct mgr_settings *s = &m->st->set;

	return json_pack("{s:i, s:I, s:I, s:i, s:i, s:i}",
			 "frozen", (int)s->frozen,
			 "lease_ms", (json_int_t)(s->lease_wish ? s->lease_wish
							       : MGR_DEFAULT_LEASE_MS),
			 "recovery_bps", (json_int_t)s->recovery_bps, "scrub_days",
			 (int)s->scrub_days, "lease_in_use_ms", (int)s->lease_ms, "time_scale",
			 (int)m->time_scale);
}

/* Return: 0 or -EINVAL with a sentence. */
static int setting_apply(struct mgr_settings *s, const char *key, json_t *value, char *err,
			 size_t errlen)
{
	json_int_t v = json_integer_value(value);

	if (!json_is_integer(value)) {
		snprintf(err, errlen, "%s takes a number", key);
	} else if (!strcmp(key, "lease_ms")) {
		snprintf(err, errlen, "lease_ms takes %d to %d ms", MGR_LEASE_MIN_MS, LEASE_MAX_MS);
		if (v < MGR_LEASE_MIN_MS || v > LEASE_MAX_MS)
			return -EINVAL;
		s->lease_wish = v;
		return 0;
	} else if (!strcmp(key, "recovery_bps")) {
		snprintf(err, errlen, "recovery_bps takes bytes per second, 0 for no limit");
		if (v < 0)
			return -EINVAL;
		s->recovery_bps = v;
		return 0;
	} else if (!strcmp(key, "scrub_days")) {
		snprintf(err, errlen, "scrub_days takes 0 (never) to %d days", SCRUB_MAX_DAYS);
		if (v < 0 || v > SCRUB_MAX_DAYS)
			return -EINVAL;
		s->scrub_days = v;
		return 0;
	} else if (!strcmp(key, "frozen")) {
		snprintf(err, errlen, "frozen takes 0 or 1");
		if (v != 0 && v != 1)
			return -EINVAL;
		s->frozen = v;
		return 0;
	} else {
		snprintf(err, errlen,
			 "there is no setting \"%s\": there are lease_ms, recovery_bps, scrub_days and frozen",
			 key);
	}
	return -EINVAL;
}

/**
 * mgr_settings_post() - POST /v1/settings: {KEY: VALUE, ...}, all or none
 *
 * A changed lease is put into use by the tick (mgr_lease_follow()).
 */
void mgr_settings_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL), *value;
	struct mgr_state *st = mgr_state_clone(m->next);
	char err[MGR_ERR_LEN] = "the body is no JSON object with settings";
	int ret = json_object_size(body) ? 0 : -EINVAL;
	const char *key;

	json_object_foreach(body, key, value)
		if (!ret && st)
			ret = setting_apply(&st->set, key, value, err, sizeof(err));
	if (!st) {
		mgr_http_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the manager is out of memory");
	} else if (ret) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST, "%s", err);
	} else {
		st->set.dirty = true;
		chainops_commit(m, r, st, 1);
		st = NULL;
	}
	mgr_state_free(st);
	json_decref(body);
}
