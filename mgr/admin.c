// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager's admin API: paths, their checks, and the changes behind them.
 * Documentation/mgr-api.rst describes it for callers.
 *
 * Only the leader answers; the others name it. Every change is agreed upon
 * before it is answered. Repeating a request that succeeded is harmless.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/addr.h"
#include "../userd/base/daemon.h"
#include "../userd/base/log.h"
#include "fsname.h"
#include "mgrd.h"

#define MGR_FS_CHUNK_MIN	(1u << FLINT_CHUNK_SHIFT_MIN)
#define MGR_FS_CHUNK_MAX	(1u << FLINT_CHUNK_SHIFT_MAX)

/* An answer that waits until a change is agreed upon. */
struct mgr_admin_wait {
	struct mgr_http_req *r;
	u32 made;
};

/* A change did not happen: say so. */
void mgr_admin_lost(struct mgr_http_req *r, int err)
{
	if (err == -ENOSPC)
		mgr_http_error(r, MHD_HTTP_INSUFFICIENT_STORAGE,
			       "no space left for the managers' log: free space in their state directories; nothing was changed");
	else
		mgr_http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "another manager leads now, or none: it is not known whether the change was made; repeat the command");
}

/* ---- nodes ------------------------------------------------------------ */

static void mgr_admin_done(struct mgr *m, void *arg, int err)
{
	struct mgr_admin_wait *w = arg;

	if (err)
		mgr_admin_lost(w->r, err);
	else
		mgr_http_reply(w->r, MHD_HTTP_OK, json_pack("{s:b}", "done", (int)w->made));
	free(w);
}

/* May this node be forgotten? Return: 0 or -errno with a sentence. */
static int mgr_node_removable(struct mgr *m, const struct mgr_node *n, char *err, size_t errlen)
{
	const struct flint_raft_status *st = flint_raft_status(m->raft);
	u32 i;

	for (i = 0; i < m->next->nr_targets; i++)
		if (m->next->targets[i].node == n->id && m->next->targets[i].chain) {
			snprintf(err, errlen,
				 "chunk server %s holds target %u of chain %u: 'flint node drain %s' comes first",
				 n->name, m->next->targets[i].id, m->next->targets[i].chain, n->name);
			return -EBUSY;
		}
	if (n->role == FLINT_ROLE_CHUNK && n->state == FLINT_NODE_UP) {
		snprintf(err, errlen, "chunk server %s is up: stop it first", n->name);
		return -EBUSY;
	}
	for (i = 0; i < m->next->nr_fs; i++)
		if (m->next->fs[i].meta_node == n->id) {
			snprintf(err, errlen,
				 "metadata server %s leads the metadata of file system %s and cannot be forgotten",
				 n->name, m->next->fs[i].name);
			return -EBUSY;
		}
	for (i = 0; i < st->nr_members && n->role == FLINT_ROLE_MGR; i++)
		if (!strcmp(st->members[i].name, n->name)) {
			snprintf(err, errlen,
				 "manager %s is a member: 'flint mgr remove %s' comes first", n->name,
				 n->name);
			return -EBUSY;
		}
	return 0;
}

/* Take a node that is gone for good out of the map. Repeating it is harmless. */
static void mgr_admin_nodes_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	const char *name = json_string_value(json_object_get(body, "remove"));
	const char *role = json_string_value(json_object_get(body, "role"));
	struct mgr_admin_wait *w = calloc(1, sizeof(*w));
	struct mgr_node *n = NULL;
	char err[MGR_ERR_LEN];
	u8 i;

	for (i = FLINT_ROLE_CHUNK; i <= FLINT_ROLE_MGR && name && role; i++)
		if (!strcmp(role, mgr_role_name(i)))
			n = mgr_node_find_name(m->next, i, name);
	if (!w || !name || !role) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST,
			       "the body must name a node to \"remove\" and its \"role\"");
		free(w);
	} else if (n && mgr_node_removable(m, n, err, sizeof(err))) {
		mgr_http_error(r, MHD_HTTP_CONFLICT, "%s", err);
		free(w);
	} else {
		w->r = r;
		w->made = n != NULL;
		if (n) {
			n->gone = true;
			mgr_targets_forget(m->next, n->id);
			mgr_commit(m, true, mgr_admin_done, w);
		} else {
			mgr_barrier(m, mgr_admin_done, w);
		}
	}
	json_decref(body);
}

/* ---- the metadata group ------------------------------------------------- */

/*
 * Metadata servers that are up and in a group: while one is, its next heartbeat would bring the old
 * group back, beside the new one. Return: how many; @names: of them, as far as there is room.
 */
static u32 mgr_meta_grouped(const struct mgr_state *st, char *names, size_t len)
{
	u32 i, nr = 0;
	size_t at = 0;

	for (i = 0; i < st->nr_nodes; i++) {
		const struct mgr_node *n = &st->nodes[i];

		if (n->role != FLINT_ROLE_META || n->state != FLINT_NODE_UP || !n->replica.group)
			continue;
		if (at < len)
			at += snprintf(names + at, len - at, "%s%s", nr ? ", " : "", n->name);
		nr++;
	}
	return nr;
}

/*
 * {"found": NAME}: the metadata server NAME, which is in no group, founds one,
 * and the group known until now counts no longer. After a restore.
 */
static void mgr_admin_meta_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	const char *name = json_string_value(json_object_get(body, "found"));
	struct mgr_settings *s = &m->next->set;
	struct mgr_node *n = name ? mgr_node_find_name(m->next, FLINT_ROLE_META, name) : NULL;
	struct mgr_admin_wait *w = NULL;
	char names[256];

	if (!n) {
		mgr_http_error(r, MHD_HTTP_CONFLICT, "there is no metadata server called %s",
			       name ? name : "that");
	} else if (n->state != FLINT_NODE_UP || !n->replica.id || n->replica.group) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "metadata server %s is down or in a group already: it must run and stand by",
			       name);
	} else if (mgr_meta_grouped(m->next, names, sizeof(names))) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "members of the old group are still up: %s. Stop flint-metad there, empty its state directory, and repeat this a few seconds later",
			       names);
	} else {
		w = calloc(1, sizeof(*w));
		if (!w)
			abort();
		w->r = r;
		w->made = 1;
		s->meta_group = flint_random_u64();
		s->meta_founder = le64_to_cpu(n->replica.id);
		s->meta_founder_node = n->id;
		s->meta_founded = false;
		s->meta_term = 0;
		s->dirty = true;
		mgr_commit(m, true, mgr_admin_done, w);
	}
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

/* Take wishes from JSON. Return: 0, or -EINVAL after an answer. */
static int mgr_admin_fs_parse(struct mgr_http_req *r, json_t *body, struct mgr_fsmake *fm)
{
	json_int_t chunk = json_integer_value(json_object_get(body, "chunk_size"));
	json_int_t stripe = json_integer_value(json_object_get(body, "stripe"));
	json_int_t mode = json_integer_value(json_object_get(body, "mode"));
	const char *name = json_string_value(json_object_get(body, "name"));

	if (!mgr_fs_name_ok(name)) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST,
			       "a file system's name is " MGR_FS_NAME_WORDS);
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
	{ "/v1/nodes", mgr_report_nodes, mgr_admin_nodes_post },
	{ "/v1/replicas", mgr_report_replicas, NULL },
	{ "/v1/meta", mgr_report_replicas, mgr_admin_meta_post },
	{ "/v1/targets", mgr_report_targets, NULL },
	{ "/v1/chains", mgr_report_chains, mgr_chains_post },
	{ "/v1/chains/change", mgr_report_chains, mgr_chains_change_post },
	{ "/v1/tables", mgr_report_chains, mgr_tables_post },
	{ "/v1/settings", mgr_report_settings, mgr_settings_post },
	{ "/v1/history", mgr_report_history, NULL },
	{ "/v1/jobs", mgr_report_jobs, mgr_jobs_post },
	{ "/v1/jobs/cancel", mgr_report_jobs, mgr_jobs_cancel_post },
	{ "/v1/nodes/label", mgr_report_nodes, mgr_nodes_label_post },
	{ "/v1/targets/remove", mgr_report_targets, mgr_targets_remove_post },
	{ "/v1/fs", mgr_report_fs, mgr_admin_fs_post },
	{ "/v1/tokens", mgr_report_tokens, mgr_tokens_post },
	{ "/v1/tokens/revoke", mgr_report_tokens, mgr_tokens_revoke_post },
};

/*
 * This manager does not lead: name the one that does, or say what is missing.
 * 307 with "leader" is for callers to follow.
 */
static void mgr_admin_elsewhere(struct mgr *m, struct mgr_http_req *r)
{
	const struct flint_raft_status *st = flint_raft_status(m->raft);
	const struct mgr_node *n = mgr_node_find(m->st, mgr_leader_node(m));
	struct sockaddr_storage sa;
	char where[FLINT_ADDR_STR], why[MGR_ERR_LEN];

	if (n && n->http_port && st->role != FLINT_REPLICA_LEADER &&
	    !flint_addr_from_wire(&n->addrs[0], &sa)) {
		flint_addr_set_port(&sa, n->http_port);
		flint_addr_format(&sa, where, sizeof(where));
		mgr_http_reply(r, MHD_HTTP_TEMPORARY_REDIRECT,
			       json_pack("{s:s+++, s:s, s:s}", "error", "manager ", m->name,
					 " does not lead: ask ", n->name, "leader", where, "name",
					 n->name));
		return;
	}
	if (m->removed)
		snprintf(why, sizeof(why),
			 "manager %s was removed from its cluster: name another one with --mgr", m->name);
	else if (!st->group)
		snprintf(why, sizeof(why),
			 "manager %s stands by and is no member yet: name another one with --mgr", m->name);
	else if (st->nr_members > 1)
		snprintf(why, sizeof(why),
			 "the managers have no leader at this moment: %u of the %u must be up and reach each other; look at those that are not",
			 st->nr_members / 2 + 1, st->nr_members);
	else
		snprintf(why, sizeof(why), "the manager is starting: try again in a moment");
	mgr_http_reply(r, MHD_HTTP_SERVICE_UNAVAILABLE,
		       json_pack("{s:s, s:b}", "error", why, "no_leader", 1));
}

/**
 * mgr_admin_request() - handle an authentic request
 *
 * Answers it now, or later from the loop.
 */
void mgr_admin_request(struct mgr *m, struct mgr_http_req *r)
{
	bool get = !strcmp(r->method, "GET");
	size_t i, len;

	if (m->stopping)
		return mgr_http_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "the manager is stopping");
	if (get && !strcmp(r->path, "/v1/replica"))
		return mgr_http_reply(r, MHD_HTTP_OK, mgr_report_replica(m));
	if (get && !strcmp(r->path, "/metrics"))
		return mgr_http_reply_text(r, MHD_HTTP_OK,
					   flint_metrics_text(&m->metrics, &len));
	if (!mgr_leads(m))
		return mgr_admin_elsewhere(m, r);
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
