// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A replica: its life, proposals, reads and status.
 *
 * Proposals wait in a list in the order of their indexes. One is done when its
 * own entry (same index, same term) has been applied; when another leader's
 * entry took its place, or this replica leads no more, it fails with -EAGAIN.
 *
 * A leader is ready when it has applied everything up to the first entry of its
 * own term: then its state holds all that was ever acknowledged.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include "node_int.h"
#include "../base/daemon.h"
#include "../base/log.h"
#include "../net/loop_int.h"

#define UNIT_MS		60		/* of the core: a heartbeat; times the scale */
#define DRIFT_PPM	10000
#define MAX_ENTRY	(1u << 20)
#define KEEP_BYTES	(64u << 20)
#define MSG_BYTES	(128u << 10)	/* of entries in one message, about */
#define FLIGHT_BYTES	(4u << 20)
#define FLIGHT_MSGS	24
#define LOW_BYTES	(64ull << 20)	/* free on the log's disk: what grows is refused */
#define FULL_BYTES	(24ull << 20)	/* nothing is logged below it */
#define READ_MS		1500		/* a read waits no longer, times the scale */

/* ---- proposals ----------------------------------------------------------------- */

void flint_raft_propose(struct flint_raft *r, struct flint_raft_proposal *p)
{
	struct flint_raft_ent *e;
	int err;

	p->next = NULL;
	p->mine = false;
	if (r->dead || r->stopping || r->full || p->len > r->max_entry) {
		p->done(p, r->dead || r->stopping ? -ECANCELED : -ENOSPC, 0);
		return;
	}
	e = flint_raft_ent_new(0, 0, RAFT_DATA, p->data, p->len);
	err = e ? flint_raft_drive_submit(r, e) : -ENOMEM;
	if (err) {
		flint_raft_ent_put(e);
		p->done(p, -EAGAIN, 0);
		return;
	}
	p->index = e->index;
	p->term = e->term;
	*r->props_tail = p;
	r->props_tail = &p->next;
	flint_raft_ent_put(e);
}

void flint_raft_props_done(struct flint_raft *r, u64 index)
{
	struct flint_raft_proposal *p;

	while ((p = r->props) && p->index <= index) {
		r->props = p->next;
		if (!r->props)
			r->props_tail = &r->props;
		p->next = NULL;
		p->done(p, p->mine ? 0 : -EAGAIN, p->index);
	}
}

void flint_raft_props_fail(struct flint_raft *r, int err)
{
	struct flint_raft_proposal *p = r->props, *next;

	r->props = NULL;
	r->props_tail = &r->props;
	for (; p; p = next) {
		next = p->next;
		p->next = NULL;
		p->done(p, err, 0);
	}
}

/* ---- reads ------------------------------------------------------------------------- */

bool flint_raft_ready(const struct flint_raft *r)
{
	return r->st.ready;
}

bool flint_raft_low_space(const struct flint_raft *r)
{
	return r->st.low_space;
}

u64 flint_raft_applied(const struct flint_raft *r)
{
	return r->applied;
}

bool flint_raft_readable(const struct flint_raft *r)
{
	u64 index;

	/*
	 * What is committed and not applied yet was acknowledged to nobody: only this
	 * replica could have, in this term, and it applies first.
	 */
	return r->st.ready && !r->dead && !raft_lease_read(r->core, flint_now_ns(), &index);
}

static void reads_end(struct flint_raft *r, u64 token, int err)
{
	struct flint_raft_waiter **p = &r->reads, *w;

	while ((w = *p)) {
		if (w->token != token) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->fn(w, err);
		return;
	}
}

void flint_raft_read_answered(struct flint_raft *r, const struct raft_read *rd)
{
	struct flint_raft_waiter *w;

	if (rd->err) {
		reads_end(r, rd->token, -EAGAIN);
		return;
	}
	for (w = r->reads; w; w = w->next)
		if (w->token == rd->token)
			w->index = rd->index;
	flint_raft_poke(r);
}

void flint_raft_read(struct flint_raft *r, struct flint_raft_waiter *w)
{
	struct raft_event ev = { .type = RAFT_EV_READ };

	if (flint_raft_readable(r)) {
		w->fn(w, 0);
		return;
	}
	w->index = UINT64_MAX;
	w->token = ++r->read_token;
	w->due_ns = flint_now_ns() + READ_MS * (u64)r->scale * 1000000;
	w->next = r->reads;
	r->reads = w;
	ev.token = w->token;
	if (flint_raft_drive(r, &ev))
		reads_end(r, ev.token, r->dead ? -ECANCELED : -EAGAIN);
}

/* Callbacks may ask for new reads: begin anew after each. */
static bool reads_step(struct flint_raft *r, u64 now)
{
	struct flint_raft_waiter *w;

	for (w = r->reads; w; w = w->next) {
		if (w->index <= r->applied) {
			reads_end(r, w->token, 0);
			return true;
		}
		if (now >= w->due_ns) {
			reads_end(r, w->token, -EAGAIN);
			return true;
		}
	}
	return false;
}

void flint_raft_reads_run(struct flint_raft *r)
{
	u64 now;

	if (!r->reads)
		return;
	now = flint_now_ns();
	while (reads_step(r, now))
		;
}

/* ---- role and status ----------------------------------------------------------------- */

static u8 role_of(const struct flint_raft *r)
{
	const struct raft_member *m;

	if (!r->root.group)
		return FLINT_REPLICA_NONE;
	switch (raft_role(r->core)) {
	case RAFT_LEADER:
		return FLINT_REPLICA_LEADER;
	case RAFT_CANDIDATE:
	case RAFT_PRECANDIDATE:
		return FLINT_REPLICA_CANDIDATE;
	default:
		m = raft_conf_find(raft_conf(r->core), r->root.id);
		return m && m->voter ? FLINT_REPLICA_FOLLOWER : FLINT_REPLICA_LEARNER;
	}
}

static void leader_name(struct flint_raft *r, char name[FLINT_LABEL_LEN])
{
	const struct raft_member *m = raft_conf_find(raft_conf(r->core), r->st.leader);
	struct flint_raft_info info;

	memset(name, 0, FLINT_LABEL_LEN);
	if (!m)
		return;
	flint_raft_info_decode(m, &info);
	memcpy(name, info.name, FLINT_LABEL_LEN);
}

static bool is_ready(struct flint_raft *r)
{
	if (r->dead || !raft_ready(r->core)) {
		r->ready_index = 0;
		return false;
	}
	if (!r->ready_index)
		r->ready_index = raft_commit(r->core);
	return r->applied >= r->ready_index;
}

void flint_raft_role_run(struct flint_raft *r)
{
	struct flint_raft_status old = r->st;

	r->st.id = r->root.id;
	r->st.group = r->root.group;
	r->st.removed = r->root.removed;
	r->st.role = role_of(r);
	r->st.term = raft_term(r->core);
	r->st.leader = raft_leader(r->core);
	/* Another term is another reign: what belonged to the old one ends first. */
	r->st.ready = is_ready(r) && (!old.ready || old.term == r->st.term);
	leader_name(r, r->st.leader_name);
	if (old.ready && !r->st.ready)
		flint_raft_props_fail(r, -EAGAIN);
	if (old.role == r->st.role && old.term == r->st.term && old.leader == r->st.leader &&
	    old.ready == r->st.ready && old.removed == r->st.removed &&
	    !strcmp(old.leader_name, r->st.leader_name))
		return;
	if (old.role != r->st.role && r->st.role == FLINT_REPLICA_LEADER)
		r->elections++;
	if ((old.leader != r->st.leader || !old.leader_name[0]) && r->st.leader_name[0])
		flint_info("%s leads %s in term %llu", r->st.leader_name, r->what,
			   (unsigned long long)r->st.term);
	if (raft_role(r->core) != RAFT_LEADER) {
		flint_raft_props_fail(r, -EAGAIN);
		flint_raft_change_failed(r, -EAGAIN, "this replica leads no more");
	}
	r->ops->role(r->arg, flint_raft_status(r));
	if (!r->st.ready && is_ready(r))
		flint_raft_poke_role(r);
}

static void member_status(struct flint_raft *r, const struct raft_member *m,
			  struct flint_raft_member *out, u64 now)
{
	struct flint_raft_info info;
	struct raft_progress p;

	memset(out, 0, sizeof(*out));
	flint_raft_info_decode(m, &info);
	out->id = m->id;
	memcpy(out->name, info.name, sizeof(out->name));
	out->addr = info.addr;
	out->voter = m->voter;
	out->self = m->id == r->root.id;
	out->leader = m->id == r->st.leader;
	if (out->self) {
		out->match = raft_durable_index(r->core);
	} else if (!raft_progress(r->core, m->id, &p)) {
		out->match = p.match;
		out->contact_ms = p.contact ? (now - p.contact) / 1000000 : UINT64_MAX;
		flint_raft_snap_progress(r, m->id, &out->snap_sent, &out->snap_total);
	}
}

const struct flint_raft_status *flint_raft_status(struct flint_raft *r)
{
	const struct raft_conf *c = raft_conf(r->core);
	struct flint_raft_status *st = &r->st;
	struct flint_raft_db_stats db;
	u64 now = flint_now_ns();
	u32 i;

	st->id = r->root.id;
	st->group = r->root.group;
	st->first = r->root.base + 1;
	st->last = raft_last_index(r->core);
	st->commit = r->commit;
	st->applied = r->applied;
	st->durable = r->durable;
	flint_raft_db_stats(r->db, &db);
	st->log_bytes = db.file_bytes;
	st->entries = db.entries;
	st->syncs = db.syncs;
	st->fsync_us_avg = db.fsync_us_avg;
	st->fsync_us_max = db.fsync_us_max;
	st->elections = r->elections;
	st->snapshots_sent = r->snapshots_sent;
	st->snapshots_loaded = r->snapshots_loaded;
	st->nr_members = c->nr;
	for (i = 0; i < c->nr && i < FLINT_RAFT_MEMBERS_MAX; i++)
		member_status(r, &c->m[i], &st->members[i], now);
	return st;
}

/* ---- timers --------------------------------------------------------------------------------- */

static void on_timer(struct flint_timer *t)
{
	struct flint_raft *r = t->arg;
	struct raft_event ev = { .type = RAFT_EV_TICK };

	flint_raft_drive(r, &ev);
}

static void check_space(struct flint_raft *r)
{
	u64 size, avail;
	struct statvfs sv;
	bool low;

	if (statvfs(r->dir, &sv))
		return;
	size = (u64)sv.f_blocks * sv.f_frsize;
	avail = (u64)sv.f_bavail * sv.f_frsize;
	low = avail < (size / 64 < LOW_BYTES ? size / 64 : LOW_BYTES);
	r->full = avail < (size / 128 < FULL_BYTES ? size / 128 : FULL_BYTES);
	if (low && !r->st.low_space)
		flint_err("%s has only %llu MiB free: changes that need space are refused until there is"
			  " more", r->dir, (unsigned long long)avail >> 20);
	else if (!low && r->st.low_space)
		flint_info("%s has space again", r->dir);
	r->st.low_space = low;
}

/* Our address is not what the group knows: a leader corrects its own. */
static void check_own_info(struct flint_raft *r)
{
	const struct raft_member *m = raft_conf_find(raft_conf(r->core), r->root.id);
	struct raft_event ev = { .type = RAFT_EV_CONFIG, .op = RAFT_SET_INFO };
	struct raft_member new = { .id = r->root.id };

	if (!m || !r->st.ready || !r->addr.family)
		return;
	flint_raft_info_encode(&new, r->name, &r->addr);
	if (new.info_len == m->info_len && !memcmp(new.info, m->info, m->info_len))
		return;
	ev.member = &new;
	flint_raft_drive(r, &ev);
}

static void on_tick(struct flint_timer *t)
{
	struct flint_raft *r = t->arg;

	flint_timer_set(r->loop, t, TICK_MS * r->scale);
	if (r->dead)
		return;
	check_space(r);
	check_own_info(r);
	flint_raft_peers_tick(r);
	flint_raft_snaps_tick(r);
	flint_raft_trim(r);
	flint_raft_reads_run(r);
	flint_raft_change_run(r);
}

void flint_raft_durable(struct flint_raft *r, u64 index, u64 term)
{
	if (index > r->durable && index <= r->applied)
		r->durable = index;
	flint_raft_trim(r);
}

/* ---- life -------------------------------------------------------------------------------------- */

static int load_entry(void *arg, struct flint_raft_ent *e)
{
	struct flint_raft *r = arg;
	struct raft_entry ent = { .term = e->term, .bytes = e->len, .kind = e->type,
				  .data = e->data };
	int err = raft_load_entry(r->core, &ent);

	if (!err)
		err = flint_raft_ents_add(&r->ents, e);
	if (err)
		flint_raft_ent_put(e);
	return err;
}

static int core_start(struct flint_raft *r, char *err, size_t errlen)
{
	struct raft_cfg cfg = {
		.id = r->root.id, .seed = flint_random_u64(), .time_scale = UNIT_MS * r->scale * 1000000ull,
		.drift_ppm = DRIFT_PPM, .max_bytes = MSG_BYTES, .inflight_bytes = FLIGHT_BYTES,
		.inflight_msgs = FLIGHT_MSGS,
	};
	struct raft_conf conf;
	int ret;

	r->core = raft_new(&cfg);
	if (!r->core) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	if (raft_conf_decode(&conf, r->root.conf, r->root.conf_len))
		memset(&conf, 0, sizeof(conf));
	flint_raft_ents_reset(&r->ents, r->root.base + 1);
	ret = raft_load(r->core, r->root.term, r->root.vote, r->root.base, r->root.base_term, &conf);
	if (ret) {
		snprintf(err, errlen, "%s/raft.db holds a root that makes no sense: keep a copy of the"
			 " directory, empty it, and bring the replica back with '%s'", r->dir,
			 r->procedure);
		return ret;
	}
	return flint_raft_db_load(r->db, load_entry, r, err, errlen);
}

/* Log and state must be of one piece. */
static int check_fit(struct flint_raft *r, char *err, size_t errlen)
{
	const char *what = NULL;

	if (!r->root.group && r->applied_term)
		what = "its raft.db is missing or new, but its state belongs to a group";
	else if (r->root.group && !r->root.loading && r->applied < r->root.base)
		what = "its state is older than where its log begins";
	else if (r->root.group && !r->root.loading && r->applied > raft_last_index(r->core))
		what = "its state is newer than the end of its log";
	if (!what)
		return 0;
	snprintf(err, errlen, "%s cannot be used: %s; keep a copy of the directory, empty it, start"
		 " again, and bring the replica back with '%s'", r->dir, what, r->procedure);
	return -EUCLEAN;
}

static int config_take(struct flint_raft *r, const struct flint_raft_config *cfg)
{
	r->loop = cfg->loop;
	r->ops = cfg->ops;
	r->arg = cfg->arg;
	r->dir = strdup(cfg->dir);
	r->what = strdup(cfg->what);
	r->procedure = strdup(cfg->procedure);
	snprintf(r->name, sizeof(r->name), "%s", cfg->name);
	r->addr = cfg->addr;
	r->role = cfg->role;
	if (cfg->key)
		memcpy(r->key, cfg->key, sizeof(r->key));
	r->has_key = cfg->key;
	r->scale = cfg->time_scale ? cfg->time_scale : 1;
	r->max_entry = cfg->max_entry ? cfg->max_entry : MAX_ENTRY;
	r->keep_bytes = cfg->keep_bytes ? cfg->keep_bytes : KEEP_BYTES;
	r->applied = cfg->applied;
	r->applied_term = cfg->applied_term;
	r->durable = cfg->applied;
	r->props_tail = &r->props;
	r->held_tail = &r->held;
	r->timer = (struct flint_timer){ .fn = on_timer, .arg = r };
	r->tick = (struct flint_timer){ .fn = on_tick, .arg = r };
	flint_random(r->client_id, sizeof(r->client_id));
	return r->dir && r->what && r->procedure ? flint_raft_snaps_new(r) : -ENOMEM;
}

static void db_failed(void *arg, const char *why)
{
	flint_raft_fatal(arg, "%s", why);
}

static void nothing(void *arg)
{
}

static void destroy(struct flint_raft *r)
{
	flint_raft_peers_free(r);
	flint_loop_sync(r->loop, nothing, NULL);
	flint_raft_snaps_free(r);
	flint_raft_requests_free(r);
	flint_raft_db_close(r->db);
	flint_raft_drive_free(r);
	flint_raft_ents_free(&r->ents);
	raft_free(r->core);
	explicit_bzero(r->key, sizeof(r->key));
	free(r->dir);
	free(r->what);
	free(r->procedure);
	free(r);
}

struct flint_raft *flint_raft_new(const struct flint_raft_config *cfg, char *err, size_t errlen)
{
	struct flint_raft *r = calloc(1, sizeof(*r));
	int ret = -ENOMEM;

	snprintf(err, errlen, "out of memory");
	if (!r || config_take(r, cfg))
		goto fail;
	ret = flint_raft_db_open(&r->db, cfg->dir, r->procedure, &r->root, err, errlen);
	if (!ret)
		ret = core_start(r, err, errlen);
	if (!ret)
		ret = check_fit(r, err, errlen);
	if (!ret)
		ret = flint_raft_db_start(r->db, r->loop, db_failed, r);
	if (!ret && r->root.loading && !flint_raft_snap_resume(r)) {
		snprintf(err, errlen, "%s was receiving its state and the file is gone: empty the"
			 " directory, start again, and bring the replica back with '%s'", r->dir,
			 r->procedure);
		ret = -EUCLEAN;
	}
	if (ret)
		goto fail;
	r->st.id = r->root.id;
	r->st.group = r->root.group;
	r->st.role = role_of(r);
	r->st.term = r->root.term;
	flint_raft_peers_update(r);
	flint_timer_set(r->loop, &r->timer, 0);
	flint_timer_set(r->loop, &r->tick, 0);
	return r;

fail:
	if (r) {
		r->stopping = true;
		destroy(r);
	}
	errno = -ret;
	return NULL;
}

void flint_raft_free(struct flint_raft *r)
{
	struct flint_raft_waiter *w;

	if (!r)
		return;
	r->stopping = true;
	flint_timer_cancel(r->loop, &r->timer);
	flint_timer_cancel(r->loop, &r->tick);
	flint_raft_props_fail(r, -ECANCELED);
	while ((w = r->reads))
		reads_end(r, w->token, -ECANCELED);
	flint_raft_change_failed(r, -ECANCELED, "the replica stops");
	/* Tasks that were posted find us still there. */
	flint_loop_sync(r->loop, nothing, NULL);
	destroy(r);
}

int flint_raft_found(struct flint_raft *r, u64 group, const struct flint_addr *addr)
{
	struct raft_event ev = { .type = RAFT_EV_FOUND, .index = r->applied,
				 .term = r->applied && !r->applied_term ? 1 : r->applied_term };
	struct raft_conf conf = { .nr = 1 };
	int err;

	if (r->root.group || !group)
		return -EEXIST;
	if (addr)
		r->addr = *addr;
	conf.m[0].id = r->root.id;
	conf.m[0].voter = true;
	flint_raft_info_encode(&conf.m[0], r->name, &r->addr);
	ev.conf = &conf;
	/* Written together with what the core makes of it. */
	r->root.group = group;
	r->root_dirty = true;
	err = flint_raft_drive(r, &ev);
	if (err)
		r->root.group = 0;
	return err;
}

void flint_raft_set_addr(struct flint_raft *r, const struct flint_addr *addr)
{
	if (!r->addr.family)
		r->addr = *addr;
}

bool flint_raft_request(struct flint_raft *r, struct flint_call *call)
{
	u8 role = flint_conn_info(call->conn)->role;

	if (call->msg.op < FLINT_OP_RAFT_MSG || call->msg.op > FLINT_OP_RAFT_JOIN)
		return false;
	if (role != r->role && (call->msg.op == FLINT_OP_RAFT_MSG ||
				call->msg.op == FLINT_OP_RAFT_SNAP ||
				(role != FLINT_ROLE_MGR && role != FLINT_ROLE_TOOL))) {
		flint_call_reply(call, FLINT_ST_AUTH, NULL, 0, NULL, 0, 0);
		return true;
	}
	switch (call->msg.op) {
	case FLINT_OP_RAFT_MSG:
		flint_raft_msg_request(r, call);
		break;
	case FLINT_OP_RAFT_SNAP:
		flint_raft_snap_request(r, call);
		break;
	case FLINT_OP_RAFT_STATUS:
		flint_raft_status_request(r, call);
		break;
	case FLINT_OP_RAFT_CHANGE:
		flint_raft_change_request(r, call);
		break;
	default:
		flint_raft_join_request(r, call);
	}
	return true;
}
