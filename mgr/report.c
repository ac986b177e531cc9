// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the manager tells people: health in words with the remedy, listings,
 * and metrics. Reads the model, changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/addr.h"
#include "../userd/base/conf.h"
#include "../userd/base/key.h"
#include "mgrd.h"

static const char * const mgr_role_names[] = {
	[FLINT_ROLE_CLIENT] = "client", [FLINT_ROLE_CHUNK] = "chunk",
	[FLINT_ROLE_META] = "meta", [FLINT_ROLE_MGR] = "mgr", [FLINT_ROLE_TOOL] = "tool",
};

static const char * const mgr_node_states[] = {
	[FLINT_NODE_NEW] = "new", [FLINT_NODE_UP] = "up", [FLINT_NODE_DOWN] = "down",
};

static const char * const mgr_local_states[] = {
	[FLINT_LOCAL_OFFLINE] = "offline", [FLINT_LOCAL_ONLINE] = "online",
	[FLINT_LOCAL_UPTODATE] = "uptodate",
};

static const char * const mgr_target_states[] = {
	[FLINT_TARGET_OFFLINE] = "offline", [FLINT_TARGET_WAITING] = "waiting",
	[FLINT_TARGET_SYNCING] = "syncing", [FLINT_TARGET_LASTSRV] = "lastsrv",
	[FLINT_TARGET_SERVING] = "serving",
};

#define MGR_SKEW_S	1.0
#define MGR_MISSING_MS	4000		/* a member that has not answered its leader */
#define MGR_BEHIND	20000		/* changes; a healthy member is a few behind */

#define MGR_NAME(table, value) \
	((value) < sizeof(table) / sizeof((table)[0]) && (table)[value] ? (table)[value] : "unknown")

const char *mgr_role_name(u8 role)
{
	return MGR_NAME(mgr_role_names, role);
}

const char *mgr_target_state_name(u8 state)
{
	return MGR_NAME(mgr_target_states, state);
}

/* ---- health ----------------------------------------------------------- */

void mgr_problem(json_t *list, const char *what, const char *remedy)
{
	json_array_append_new(list, json_pack("{s:s, s:s}", "what", what, "remedy", remedy));
}

const struct mgr_node *mgr_node_live(struct mgr *m, u32 id)
{
	const struct mgr_node *n = m->next ? mgr_node_find(m->next, id) : NULL;

	return n ? n : mgr_node_find(m->st, id);
}

static u64 mgr_heard_s(struct mgr *m, u32 id)
{
	return (flint_now_ns() - mgr_node_live(m, id)->heard_ns) / 1000000000;
}

/* A clock that is off makes time stamps jump when another server leads (decisions D14). */
static void mgr_problem_skew(json_t *list, const struct mgr_node *n)
{
	char what[MGR_ERR_LEN];
	double s = n->skew_ns / 1e9;

	if (n->state != FLINT_NODE_UP || (s < MGR_SKEW_S && s > -MGR_SKEW_S))
		return;
	snprintf(what, sizeof(what), "the clock of %s (%s) is %.1f s %s that of the leading manager",
		 n->name, mgr_role_name(n->role), s < 0 ? -s : s, s < 0 ? "behind" : "ahead of");
	mgr_problem(list, what, "set the clocks of all machines (timedatectl set-ntp true)");
}

static void mgr_problems_nodes(struct mgr *m, json_t *list)
{
	struct mgr_state *st = m->st;
	bool meta = false;
	char what[MGR_ERR_LEN], remedy[MGR_ERR_LEN];
	u32 i;

	for (i = 0; i < st->nr_nodes; i++) {
		struct mgr_node *n = &st->nodes[i];
		const struct mgr_node *live = mgr_node_live(m, n->id);

		meta |= n->role == FLINT_ROLE_META;
		mgr_problem_skew(list, live);
		if (live->replica.flags & FLINT_REPLICA_LOW_SPACE) {
			snprintf(what, sizeof(what),
				 "the disk of %s's state is nearly full: while it leads, only what frees space is done",
				 n->name);
			mgr_problem(list, what, "free space on the file system of its state directory");
		}
		if (n->state == FLINT_NODE_UP || n->role == FLINT_ROLE_MGR ||
		    (n->role == FLINT_ROLE_META && st->set.meta_founded))
			continue;
		snprintf(what, sizeof(what), "%s server %s is down, not heard for %llu s%s",
			 n->role == FLINT_ROLE_META ? "metadata" : "chunk", n->name,
			 (unsigned long long)mgr_heard_s(m, n->id),
			 n->role == FLINT_ROLE_META ? ": no file can be opened or changed" : "");
		snprintf(remedy, sizeof(remedy), "start flint-%sd on %s, or look at its log",
			 n->role == FLINT_ROLE_META ? "meta" : "chunk", n->name);
		mgr_problem(list, what, remedy);
	}
	if (!meta)
		mgr_problem(list, "no metadata server has ever reported",
			    "start flint-metad with --mgr set to this manager");
}

/* ---- replicas --------------------------------------------------------- */

/**
 * struct mgr_group_words - how a group is spoken of
 */
struct mgr_group_words {
	const char *one;		/* a member */
	const char *verb;		/* of the flint command */
	const char *stops;		/* what happens without a majority */
};

static const struct mgr_group_words mgr_words_mgr = {
	"manager", "mgr", "the cluster from changing, and the chunk servers from serving",
};

static const struct mgr_group_words mgr_words_meta = {
	"metadata replica", "meta", "files from being opened or changed",
};

/* One group in the form of both sources. */
struct mgr_group_view {
	const struct mgr_group_words *words;
	unsigned int nr, voters, missing;
	u64 last, term, group;
	struct {
		const char *name;
		u64 id, match, contact_ms, sent, total;
		bool voter, leader;
	} m[FLINT_RAFT_MEMBERS_MAX];
};

static bool mgr_member_missing(const struct mgr_group_view *v, unsigned int i)
{
	return !v->m[i].leader && v->m[i].contact_ms > MGR_MISSING_MS;
}

static void mgr_view_count(struct mgr_group_view *v)
{
	unsigned int i;

	for (i = 0; i < v->nr; i++) {
		v->voters += v->m[i].voter;
		v->missing += v->m[i].voter && mgr_member_missing(v, i);
	}
}

static void mgr_view_managers(struct mgr *m, struct mgr_group_view *v)
{
	const struct flint_raft_status *st = flint_raft_status(m->raft);
	unsigned int i;

	memset(v, 0, sizeof(*v));
	v->words = &mgr_words_mgr;
	v->nr = st->nr_members;
	v->last = st->last;
	v->term = st->term;
	v->group = st->group;
	for (i = 0; i < v->nr; i++) {
		const struct flint_raft_member *mb = &st->members[i];

		v->m[i].name = mb->name;
		v->m[i].id = mb->id;
		v->m[i].voter = mb->voter;
		v->m[i].leader = mb->leader;
		v->m[i].match = mb->self ? st->last : mb->match;
		v->m[i].contact_ms = mb->self ? 0 : mb->contact_ms;
		v->m[i].sent = mb->snap_sent;
		v->m[i].total = mb->snap_total;
	}
	mgr_view_count(v);
}

/* From what the leader of the metadata said last. */
static void mgr_view_metadata(struct mgr *m, struct mgr_group_view *v)
{
	const struct mgr_group *g = &m->group;
	unsigned int i;

	memset(v, 0, sizeof(*v));
	v->words = &mgr_words_meta;
	v->nr = g->nr;
	v->last = le64_to_cpu(g->stat.last);
	v->term = le64_to_cpu(g->stat.term);
	v->group = le64_to_cpu(g->stat.group);
	for (i = 0; i < v->nr; i++) {
		const struct flint_raft_stat_member *mb = &g->members[i];
		bool self = mb->flags & FLINT_RAFT_MEMBER_SELF;

		v->m[i].name = (const char *)mb->name;
		v->m[i].id = le64_to_cpu(mb->id);
		v->m[i].voter = mb->flags & FLINT_RAFT_MEMBER_VOTER;
		v->m[i].leader = mb->flags & FLINT_RAFT_MEMBER_LEADER;
		v->m[i].match = self ? v->last : le64_to_cpu(mb->match);
		v->m[i].contact_ms = self ? 0 : le64_to_cpu(mb->contact_ms);
		v->m[i].sent = le64_to_cpu(mb->snap_sent);
		v->m[i].total = le64_to_cpu(mb->snap_total);
	}
	mgr_view_count(v);
}

/* What the loss of further members means, in words. */
static void mgr_view_risk(const struct mgr_group_view *v, char *out, size_t len)
{
	unsigned int spare = (v->voters - 1) / 2;

	if (v->missing > spare)
		snprintf(out, len, "too few are left: this stops %s", v->words->stops);
	else if (v->missing == spare)
		snprintf(out, len, "the loss of one more of the %u stops %s", v->voters,
			 v->words->stops);
	else
		snprintf(out, len, "%u more of the %u may be lost", spare - v->missing, v->voters);
}

static void mgr_problems_view(const struct mgr_group_view *v, json_t *list)
{
	char what[MGR_ERR_LEN], remedy[MGR_ERR_LEN], risk[128], since[48];
	unsigned int i;

	mgr_view_risk(v, risk, sizeof(risk));
	for (i = 0; i < v->nr; i++) {
		u64 behind = v->last > v->m[i].match ? v->last - v->m[i].match : 0;

		if (mgr_member_missing(v, i)) {
			snprintf(since, sizeof(since), v->m[i].contact_ms == UINT64_MAX
				 ? "not heard since the leader began" : "not heard for %llu s",
				 (unsigned long long)v->m[i].contact_ms / 1000);
			snprintf(what, sizeof(what), "%s %s is missing, %s: %s", v->words->one,
				 v->m[i].name, since, risk);
			snprintf(remedy, sizeof(remedy),
				 "start flint-%sd on %s; if it is gone for good, 'flint %s replace %s' puts another in its place",
				 v->words == &mgr_words_mgr ? "mgr" : "meta", v->m[i].name,
				 v->words->verb, v->m[i].name);
			mgr_problem(list, what, remedy);
		} else if (behind > MGR_BEHIND) {
			snprintf(what, sizeof(what), "%s %s is %llu changes behind and catching up",
				 v->words->one, v->m[i].name, (unsigned long long)behind);
			mgr_problem(list, what, "wait; if it does not become less, look at its disk and network");
		}
	}
	if (v->voters == 2) {
		snprintf(what, sizeof(what), "there are two voting %ss, of which none may be lost",
			 v->words->one);
		snprintf(remedy, sizeof(remedy), "add a third: 'flint %s add NAME'", v->words->verb);
		mgr_problem(list, what, remedy);
	}
}

static void mgr_problems_replicas(struct mgr *m, json_t *list)
{
	const struct mgr_node *leader = m->next ? mgr_meta_leader(m->next) : NULL;
	struct mgr_group_view v;

	mgr_view_managers(m, &v);
	mgr_problems_view(&v, list);
	if (m->st->set.meta_founded && !leader) {
		mgr_problem(list,
			    "no metadata replica leads: no file can be opened or changed until more than half of them reach each other",
			    "start flint-metad where it is down ('flint meta status'); if more than half are lost for good, see 'flint meta rescue --help'");
	} else if (m->group.heard_ns && leader && m->group.node == leader->id) {
		mgr_view_metadata(m, &v);
		mgr_problems_view(&v, list);
	}
}

static json_t *mgr_view_json(const struct mgr_group_view *v)
{
	json_t *members = json_array();
	unsigned int i;
	char risk[128];

	for (i = 0; i < v->nr; i++) {
		bool missing = mgr_member_missing(v, i);
		json_t *contact = v->m[i].contact_ms == UINT64_MAX
			? json_null() : json_integer(v->m[i].contact_ms);

		json_array_append_new(members,
			json_pack("{s:s, s:o, s:s, s:b, s:I, s:o, s:I, s:I}", "name", v->m[i].name,
				  "id", json_sprintf("%016llx", (unsigned long long)v->m[i].id),
				  "state",
				  v->m[i].leader ? "leader" : missing ? "missing"
				  : v->m[i].voter ? "follower" : "learner",
				  "voter", (int)v->m[i].voter, "behind",
				  (json_int_t)(v->last > v->m[i].match ? v->last - v->m[i].match : 0),
				  "contact_ms", contact, "snapshot_sent", (json_int_t)v->m[i].sent,
				  "snapshot_total", (json_int_t)v->m[i].total));
	}
	mgr_view_risk(v, risk, sizeof(risk));
	return json_pack("{s:o, s:I, s:I, s:i, s:i, s:i, s:s, s:o}", "group",
			 json_sprintf("%016llx", (unsigned long long)v->group), "term",
			 (json_int_t)v->term, "last", (json_int_t)v->last,
			 "voters", (int)v->voters, "missing", (int)v->missing, "tolerates",
			 v->voters ? (int)((v->voters - 1) / 2) - (int)v->missing : 0, "risk",
			 v->voters ? risk : "", "members", members);
}

/* Nodes of a role that are no members, and could be. */
static json_t *mgr_report_standby(struct mgr *m, u8 role, const struct mgr_group_view *v)
{
	json_t *list = json_array();
	unsigned int j;
	u32 i;

	for (i = 0; i < m->st->nr_nodes; i++) {
		const struct mgr_node *n = mgr_node_live(m, m->st->nodes[i].id);

		if (n->role != role || n->gone)
			continue;
		for (j = 0; j < v->nr; j++)
			if (v->m[j].id == le64_to_cpu(n->replica.id) || !strcmp(v->m[j].name, n->name))
				break;
		if (j == v->nr)
			json_array_append_new(list,
				json_pack("{s:s, s:s, s:b}", "name", n->name, "state",
					  MGR_NAME(mgr_node_states, n->state), "empty",
					  (int)!n->replica.group));
	}
	return list;
}

/**
 * mgr_report_replicas() - both groups with their members, and who stands by
 */
json_t *mgr_report_replicas(struct mgr *m)
{
	struct mgr_group_view v;
	json_t *mgrs, *meta;

	mgr_view_managers(m, &v);
	mgrs = mgr_view_json(&v);
	json_object_set_new(mgrs, "standby", mgr_report_standby(m, FLINT_ROLE_MGR, &v));
	mgr_view_metadata(m, &v);
	meta = mgr_view_json(&v);
	json_object_set_new(meta, "standby", mgr_report_standby(m, FLINT_ROLE_META, &v));
	json_object_set_new(meta, "heard_ms_ago", m->group.heard_ns
			    ? json_integer((flint_now_ns() - m->group.heard_ns) / 1000000)
			    : json_null());
	return json_pack("{s:o, s:o}", "managers", mgrs, "metadata", meta);
}

/**
 * mgr_report_replica() - this manager alone, as far as it knows; whoever leads
 */
json_t *mgr_report_replica(struct mgr *m)
{
	static const char * const roles[] = { "standby", "learner", "follower", "candidate",
					      "leader" };
	const struct flint_raft_status *st = flint_raft_status(m->raft);
	json_t *members = json_array();
	char sum[20];
	unsigned int i;

	for (i = 0; i < st->nr_members; i++)
		json_array_append_new(members,
			json_pack("{s:s, s:b, s:b}", "name", st->members[i].name, "voter",
				  (int)st->members[i].voter, "leader",
				  (int)st->members[i].leader));
	snprintf(sum, sizeof(sum), "%016llx", (unsigned long long)mgr_state_checksum(m->st));
	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:s, s:o}", "name", m->name,
			 "role", m->removed ? "removed" : roles[st->role % 5], "id",
			 (json_int_t)st->id, "term", (json_int_t)st->term, "leader",
			 st->leader_name, "commit", (json_int_t)st->commit, "applied",
			 (json_int_t)st->applied, "seq", (json_int_t)m->st->seq, "epoch",
			 (json_int_t)m->st->epoch, "checksum", sum, "members", members);
}

/* ---- the rest of health ----------------------------------------------- */

/* As last reported. */
u64 mgr_target_used(struct mgr *m, const struct mgr_target *t)
{
	const struct mgr_target *live = m->next ? mgr_target_find(m->next, t->id) : NULL;

	return live ? live->live.used : t->used;
}

json_t *mgr_problems(struct mgr *m)
{
	struct mgr_state *st = m->st;
	json_t *list = json_array();
	char what[MGR_ERR_LEN];
	u32 i;

	mgr_problems_nodes(m, list);
	mgr_problems_replicas(m, list);
	mgr_problems_chains(m, list);
	for (i = 0; i < st->nr_fs; i++)
		if (!st->fs[i].root_ino) {
			snprintf(what, sizeof(what), "file system %s is only half made",
				 st->fs[i].name);
			mgr_problem(list, what, "repeat 'flint fs create' with its name");
		}
	if (!st->nr_fs)
		mgr_problem(list, "there is no file system yet", "run 'flint fs create NAME'");
	return list;
}

static void mgr_usage_sum(struct mgr *m, u64 *capacity, u64 *used)
{
	const struct mgr_state *st = m->st;
	u32 i;

	*capacity = 0;
	*used = 0;
	for (i = 0; i < st->nr_targets; i++)
		if (st->targets[i].chain) {
			*capacity += st->targets[i].capacity;
			*used += mgr_target_used(m, &st->targets[i]);
		}
}

/* Count nodes of a role, and those that are up. */
static json_t *mgr_count_nodes(const struct mgr_state *st, u8 role)
{
	int nr = 0, up = 0;
	u32 i;

	for (i = 0; i < st->nr_nodes; i++)
		if (st->nodes[i].role == role) {
			nr++;
			up += st->nodes[i].state == FLINT_NODE_UP;
		}
	return json_pack("{s:i, s:i}", "known", nr, "up", up);
}

/**
 * mgr_report_status() - the cluster's health
 *
 * Return: an object; "healthy" is true when "problems" is empty.
 */
json_t *mgr_report_status(struct mgr *m)
{
	struct mgr_state *st = m->st;
	json_t *problems = mgr_problems(m);
	char uuid[FLINT_UUID_STR];
	u32 i, serving = 0;
	u64 capacity, used;

	for (i = 0; i < st->nr_targets; i++)
		serving += st->targets[i].state == FLINT_TARGET_SERVING;
	mgr_usage_sum(m, &capacity, &used);
	return json_pack("{s:s, s:s, s:s, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:i, s:i}, s:i,"
			 " s:i, s:I, s:I, s:I}",
			 "cluster", st->set.cluster_name,
			 "cluster_id", flint_uuid_format(st->set.cluster_id, uuid),
			 "version", FLINT_VERSION, "epoch", (json_int_t)st->epoch,
			 "healthy", (int)!json_array_size(problems), "problems", problems,
			 "recovery", mgr_report_recovery(m),
			 "replicas", mgr_report_replicas(m),
			 "managers", mgr_count_nodes(st, FLINT_ROLE_MGR),
			 "metadata_servers", mgr_count_nodes(st, FLINT_ROLE_META),
			 "chunk_servers", mgr_count_nodes(st, FLINT_ROLE_CHUNK),
			 "targets", "known", (int)st->nr_targets, "serving", (int)serving,
			 "chains", (int)st->nr_chains, "file_systems", (int)st->nr_fs,
			 "capacity", (json_int_t)capacity, "used", (json_int_t)used,
			 "uptime_s", (json_int_t)((flint_now_ns() - m->started_ns) / 1000000000));
}

/* ---- listings --------------------------------------------------------- */

static json_t *mgr_report_addrs(const struct flint_addr *addrs)
{
	json_t *list = json_array();
	char text[FLINT_ADDR_STR + 8];
	int i;

	for (i = 0; i < FLINT_NODE_ADDRS; i++) {
		struct sockaddr_storage sa;
		size_t n;

		if (!addrs[i].family || flint_addr_from_wire(&addrs[i], &sa))
			continue;
		n = snprintf(text, sizeof(text), "%s ",
			     addrs[i].proto == FLINT_PROTO_RDMA ? "rdma" : "tcp");
		flint_addr_format(&sa, text + n, sizeof(text) - n);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

json_t *mgr_report_nodes(struct mgr *m)
{
	json_t *list = json_array();
	u64 now = flint_now_ns();
	u32 i;

	for (i = 0; i < m->st->nr_nodes; i++) {
		const struct mgr_node *n = &m->st->nodes[i], *live = mgr_node_live(m, n->id);
		json_t *ago = json_null();	/* not heard since this manager leads */

		if (live->incarnation)
			ago = json_integer((now - live->heard_ns) / 1000000);
		json_array_append_new(list,
			json_pack("{s:i, s:s, s:s, s:s, s:o, s:i, s:o, s:b, s:s, s:s}", "id", (int)n->id, "name",
				  n->name, "role", mgr_role_name(n->role), "state",
				  MGR_NAME(mgr_node_states, n->state), "addresses",
				  mgr_report_addrs(n->addrs), "http_port", (int)n->http_port,
				  "heard_ms_ago", ago, "draining", (int)n->draining,
				  "host", n->host, "rack", n->rack));
	}
	return json_pack("{s:o}", "nodes", list);
}

json_t *mgr_report_targets(struct mgr *m)
{
	json_t *list = json_array();
	char uuid[FLINT_UUID_STR];
	u32 i;

	for (i = 0; i < m->st->nr_targets; i++) {
		const struct mgr_target *t = &m->st->targets[i];
		const struct mgr_node *n = mgr_node_find(m->st, t->node);

		json_array_append_new(list,
			json_pack("{s:I, s:s, s:i, s:s, s:i, s:s, s:s, s:I, s:I, s:b, s:s}", "id",
				  (json_int_t)t->id, "uuid", flint_uuid_format(t->uuid, uuid),
				  "node", (int)t->node, "node_name", n ? n->name : "?", "chain",
				  (int)t->chain, "state", MGR_NAME(mgr_target_states, t->state),
				  "local", MGR_NAME(mgr_local_states, t->local), "capacity",
				  (json_int_t)t->capacity, "used", (json_int_t)mgr_target_used(m, t),
				  "draining", (int)mgr_target_draining(m->st, t), "wish",
				  t->wish == MGR_WISH_OFF ? "offline" :
				  t->wish == MGR_WISH_DEAF ? "deaf" :
				  t->wish == MGR_WISH_DROP ? "leave" : ""));
	}
	return json_pack("{s:o}", "targets", list);
}

json_t *mgr_report_chains(struct mgr *m)
{
	json_t *chains = json_array(), *tables = json_array();
	u32 i, j;

	for (i = 0; i < m->st->nr_chains; i++) {
		const struct mgr_chain *c = &m->st->chains[i];
		json_t *ids = json_array();

		for (j = 0; j < c->nr; j++) {
			const struct mgr_target *t = mgr_target_find(m->st, c->targets[j]);

			json_array_append_new(ids,
				json_pack("{s:I, s:s}", "id", (json_int_t)c->targets[j], "state",
					  MGR_NAME(mgr_target_states, t->state)));
		}
		json_array_append_new(chains,
			json_pack("{s:i, s:i, s:o}", "id", (int)c->id, "version",
				  (int)c->version, "targets", ids));
	}
	for (i = 0; i < m->st->nr_tables; i++) {
		const struct mgr_table *t = &m->st->tables[i];
		json_t *ids = json_array();

		for (j = 0; j < t->nr; j++)
			json_array_append_new(ids, json_integer(t->chains[j]));
		json_array_append_new(tables,
			json_pack("{s:i, s:i, s:o}", "id", (int)t->id, "version",
				  (int)t->version, "chains", ids));
	}
	return json_pack("{s:o, s:o}", "chains", chains, "tables", tables);
}

json_t *mgr_report_fs(struct mgr *m)
{
	json_t *list = json_array();
	u32 i;

	for (i = 0; i < m->st->nr_fs; i++) {
		const struct mgr_fs *fs = &m->st->fs[i];
		const struct mgr_node *n = mgr_node_find(m->st, fs->meta_node);

		json_array_append_new(list,
			json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i}", "id",
				  (int)fs->id, "name", fs->name, "state",
				  fs->root_ino ? "ready" : "half made", "metadata_server",
				  n ? n->name : "?", "root_ino", (json_int_t)fs->root_ino,
				  "chunk_size", (json_int_t)1 << fs->layout.chunk_shift, "stripe",
				  (int)le16_to_cpu(fs->layout.stripe), "table",
				  (int)le32_to_cpu(fs->layout.table), "table_version",
				  (int)le32_to_cpu(fs->layout.table_ver)));
	}
	return json_pack("{s:o}", "file_systems", list);
}

json_t *mgr_report_map(struct mgr *m)
{
	json_t *map = json_pack("{s:I, s:i, s:i}", "epoch", (json_int_t)m->image_epoch,
				"bytes", (int)m->image_len, "lease_ms", (int)m->st->set.lease_ms);

	json_object_update_new(map, mgr_report_nodes(m));
	json_object_update_new(map, mgr_report_targets(m));
	json_object_update_new(map, mgr_report_chains(m));
	json_object_update_new(map, mgr_report_fs(m));
	return map;
}
