// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The admin API's part about servers and targets as things that people handle:
 * where a server stands, and that a disk is gone for good.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "mgrd.h"

/* An answer that waits until a change is agreed upon. */
struct nodeops_wait {
	struct mgr_http_req *r;
	bool made;
};

static void nodeops_done(struct mgr *m, void *arg, int err)
{
	struct nodeops_wait *w = arg;

	if (err)
		mgr_admin_lost(w->r, err);
	else
		mgr_http_reply(w->r, MHD_HTTP_OK, json_pack("{s:b}", "done", (int)w->made));
	free(w);
}

static void nodeops_commit(struct mgr *m, struct mgr_http_req *r, bool made)
{
	struct nodeops_wait *w = calloc(1, sizeof(*w));

	if (!w)
		abort();	/* half a change in memory: only a fresh start from the log is safe */
	w->r = r;
	w->made = made;
	if (made)
		mgr_commit(m, true, nodeops_done, w);
	else
		mgr_barrier(m, nodeops_done, w);
}

static bool label_ok(const char *s)
{
	size_t n = s ? strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
		     : 0;

	return s && n < MGR_PLACE_LEN && !s[n];
}

/**
 * mgr_nodes_label_post() - POST /v1/nodes/label: say where a chunk server stands
 * @r: {"node": NAME, "host": TEXT, "rack": TEXT}; what is not there stays, "" is unknown
 */
void mgr_nodes_label_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	const char *name = json_string_value(json_object_get(body, "node"));
	const char *host = json_string_value(json_object_get(body, "host"));
	const char *rack = json_string_value(json_object_get(body, "rack"));
	struct mgr_node *n = name ? mgr_node_find_name(m->next, FLINT_ROLE_CHUNK, name) : NULL;

	if ((host && !label_ok(host)) || (rack && !label_ok(rack))) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST,
			       "a host or rack is called by up to %d letters, digits, dots, dashes and underscores",
			       MGR_PLACE_LEN - 1);
	} else if (!n) {
		mgr_http_error(r, MHD_HTTP_CONFLICT, "there is no chunk server '%s': 'flint node list' shows them",
			       name ? name : "");
	} else {
		if (host)
			snprintf(n->host, sizeof(n->host), "%s", host);
		if (rack)
			snprintf(n->rack, sizeof(n->rack), "%s", rack);
		n->dirty = true;
		nodeops_commit(m, r, true);
	}
	json_decref(body);
}

void mgr_targets_forget(struct mgr_state *st, u32 node)
{
	u32 i;

	for (i = 0; i < st->nr_targets; i++)
		if (st->targets[i].node == node)
			st->targets[i].gone = true;
}

/**
 * mgr_targets_remove_post() - POST /v1/targets/remove: forget a target that is gone for good
 * @r: {"target": N}. Repeating it is harmless
 */
void mgr_targets_remove_post(struct mgr *m, struct mgr_http_req *r)
{
	json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
	json_int_t id = json_integer_value(json_object_get(body, "target"));
	struct mgr_target *t = id > 0 && id <= UINT32_MAX ? mgr_target_find(m->next, id) : NULL;
	const struct mgr_node *n = t ? mgr_node_find(m->next, t->node) : NULL;

	if (id < 1 || id > UINT32_MAX) {
		mgr_http_error(r, MHD_HTTP_BAD_REQUEST, "the body must name a \"target\"");
	} else if (t && t->chain) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "target %u is in chain %u: 'flint disk drain %u' comes first", t->id,
			       t->chain, t->id);
	} else if (t && n && n->state == FLINT_NODE_UP && t->local != FLINT_LOCAL_OFFLINE) {
		mgr_http_error(r, MHD_HTTP_CONFLICT,
			       "target %u is online on %s: take it out there first, or it would come back at once",
			       t->id, n->name);
	} else {
		if (t)
			t->gone = true;
		nodeops_commit(m, r, t != NULL);
	}
	json_decref(body);
}
