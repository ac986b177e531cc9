// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Those who live in the simulated world: the nemesis, who breaks things; the
 * operator, who changes members and hands leadership over; clients, who append
 * and read.
 *
 * The nemesis breaks as much as it likes, but never loses so many disks that no
 * majority of voters is left: that Raft does not promise to survive.
 */
#include "world.h"

#define U(x) ((unsigned long long)(x))

enum mood { MIXED, LEASES, LOGS };

static struct machine *some(struct world *w)
{
	return &w->m[world_random(w, w->nr_machines)];
}

/* A machine that believes to lead, or any. */
static struct machine *some_leader(struct world *w)
{
	u32 at = world_random(w, w->nr_machines), i;

	for (i = 0; i < w->nr_machines; i++) {
		struct machine *n = &w->m[(at + i) % w->nr_machines];

		if (n->up && raft_role(n->raft) == RAFT_LEADER)
			return n;
	}
	return &w->m[at];
}

/* ---- beginning ---------------------------------------------------------------- */

static void first_conf(struct world *w, u32 voters)
{
	struct raft_conf *c = world_alloc(w, sizeof(*c));
	u32 i;

	memset(c, 0, sizeof(*c));
	c->nr = voters;
	for (i = 0; i < voters; i++) {
		c->m[i].id = w->m[i].id;
		c->m[i].voter = true;
	}
	for (i = 0; i < voters; i++) {
		w->m[i].disk.term = 1;
		w->m[i].disk.snap_conf = c;
	}
}

static void found(struct world *w, struct machine *n)
{
	struct raft_conf c = { .nr = 1 };
	struct raft_event ev = { .type = RAFT_EV_FOUND, .conf = &c };

	c.m[0].id = n->id;
	c.m[0].voter = true;
	if (world_step(w, n, &ev))
		world_fail(w, "founding failed");
}

static void set_network(struct world *w)
{
	static const u32 losses[] = { 0, 0, 10, 50, 150 };

	w->loss = losses[world_random(w, 5)];
	w->dup = losses[world_random(w, 5)];
	w->slow_mail = losses[world_random(w, 5)];
	w->latency = world_chance(w, 700) ? 400 : 4 * SCALE;
}

/*
 * What this run is about: of everything a little, or more of what brings out
 * faults in leases (cut links, quick restarts, leadership handed over) or in the
 * log (leaders that crash, many small messages).
 */
static void set_mood(struct world *w)
{
	static const u32 sizes[] = { 1, 600, 4000, 60000 };
	static const u32 rates[] = { 10, 100, 900 };

	w->mood = world_random(w, 3);
	w->writes = rates[world_random(w, 3)];
	w->max_bytes = sizes[world_random(w, w->mood == LOGS ? 2 : 4)];
	w->nemesis_pause = 2000 + world_random(w, 30 * SCALE);
}

void people_begin(struct world *w)
{
	static const u32 drifts[] = { 0, 10000, 100000, 300000 };
	u32 i, voters;

	set_mood(w);
	w->nr_machines = world_chance(w, 100) ? 1 : 3 + world_random(w, MACHINES - 2);
	voters = 1 + world_random(w, w->nr_machines < 7 ? w->nr_machines : 7);
	if (world_chance(w, 500) && w->nr_machines > 2)
		voters = 3;
	w->drift_bound = drifts[world_random(w, w->mood == LEASES ? 4 : 3)];
	if (w->mood != MIXED && world_chance(w, 600))
		w->nr_machines = voters = w->mood == LEASES ? 3 : 5;
	w->end_chaos = (100 + world_random(w, 300)) * SCALE;
	w->end_clients = w->end_chaos + 200 * SCALE;
	w->end = w->end_clients + 60 * SCALE;
	set_network(w);
	for (i = 0; i < w->nr_machines; i++) {
		struct machine *n = &w->m[i];

		n->id = w->next_id++;
		n->drift = world_chance(w, 500) ? (s64)w->drift_bound : -(s64)w->drift_bound;
		n->offset = 1000000 + world_random(w, 1000000000);
		n->disk_delay = 20 + world_random(w, 400);
	}
	if (world_chance(w, 700))
		first_conf(w, voters);
	for (i = 0; i < w->nr_machines; i++)
		world_start(w, &w->m[i]);
	if (!w->m[0].disk.snap_conf)
		found(w, &w->m[0]);
	world_push(w, 30 * SCALE, EV_NEMESIS, 0, NULL);
	world_push(w, 25 * SCALE, EV_OPERATOR, 0, NULL);
	world_push(w, 1, EV_CLIENT, 0, NULL);
}

static void transfer(struct world *w, struct machine *n)
{
	struct raft_event ev = { .type = RAFT_EV_TRANSFER,
				 .peer = world_chance(w, 500) ? 0 : some(w)->id };

	if (n->up && !world_step(w, n, &ev))
		w->st.transfers++;
}

/* ---- nemesis -------------------------------------------------------------------- */

static void cut_in_two(struct world *w, u32 side, bool one_way)
{
	u32 i, j;

	for (i = 0; i < w->nr_machines; i++)
		for (j = 0; j < w->nr_machines; j++)
			if ((side >> i & 1) && !(side >> j & 1)) {
				w->cut[i][j] = true;
				w->cut[j][i] = !one_way;
			}
}

static void cut_some(struct world *w)
{
	u32 i, j, per_mille = world_random(w, 300);

	for (i = 0; i < w->nr_machines; i++)
		for (j = 0; j < w->nr_machines; j++)
			w->cut[i][j] = i != j && world_chance(w, per_mille);
}

static void cut_pair(struct world *w, struct machine *n, struct machine *m)
{
	if (n != m)
		w->cut[n - w->m][m - w->m] = w->cut[m - w->m][n - w->m] = true;
}

static void mend(struct world *w)
{
	memset(w->cut, 0, sizeof(w->cut));
}

/* The latest configuration that a machine has, also one that is down. */
static void conf_of(struct world *w, struct machine *n, struct raft_conf *c)
{
	u64 i;

	c->nr = 0;
	if (n->up) {
		*c = *raft_conf(n->raft);
		return;
	}
	if (n->disk.snap_conf)
		*c = *n->disk.snap_conf;
	for (i = 0; i < n->disk.log.nr; i++)
		if (n->disk.log.e[i].kind == RAFT_CONF) {
			struct blob *b = (struct blob *)(uintptr_t)n->disk.log.e[i].val;

			raft_conf_decode(c, b->data, b->len);
		}
}

static bool survives(struct world *w, const struct raft_conf *c, u64 without)
{
	u32 i, voters = 0, alive = 0;

	for (i = 0; i < c->nr; i++)
		if (c->m[i].voter) {
			voters++;
			alive += c->m[i].id != without && world_find(w, c->m[i].id);
		}
	return !c->nr || alive >= voters / 2 + 1;
}

/* Its disk is lost; the machine comes back as somebody else. */
static void wipe(struct world *w, struct machine *n)
{
	struct raft_conf c;
	struct vec log;
	u32 i;

	for (i = 0; i < w->nr_machines; i++) {
		conf_of(w, &w->m[i], &c);
		if (!survives(w, &c, n->id))
			return;
		if (w->m[i].up && !survives(w, raft_conf_at(w->m[i].raft, raft_commit(w->m[i].raft)),
					    n->id))
			return;
	}
	TRACE(w, "%llu loses its disk, becomes %llu", U(n->id), U(w->next_id));
	world_crash(w, n);
	log = n->disk.log;
	log.nr = log.base = 0;
	memset(&n->disk, 0, sizeof(n->disk));
	n->disk.log = log;
	n->id = w->next_id++;
	w->st.wipes++;
	world_push(w, world_random(w, 40 * SCALE), EV_RESTART, n - w->m, NULL);
}

static void crash(struct world *w, struct machine *n)
{
	u64 down = world_chance(w, 500) ? 1 + world_random(w, SCALE) : world_random(w, 60 * SCALE);

	if (!n->up)
		return;
	world_crash(w, n);
	world_push(w, down, EV_RESTART, n - w->m, NULL);
}

static void stop_some(struct world *w, u32 dice)
{
	u32 i;

	switch (dice) {
	case 0:
		crash(w, some(w));
		break;
	case 1:
		crash(w, some_leader(w));
		break;
	case 2:
		for (i = 0; i < w->nr_machines; i++)
			crash(w, &w->m[i]);
		break;
	case 3:
		wipe(w, some(w));
		break;
	default:
		some(w)->fail_disk_at = w->now;
	}
}

static void connection_breaks(struct world *w)
{
	struct machine *n = some(w), *m = some(w);
	struct raft_event ev = { .type = RAFT_EV_PEER_DOWN, .peer = m->id };

	if (n->up && n != m)
		world_step(w, n, &ev);
}

static void blink(struct world *w, struct machine *n)
{
	if (!n->up)
		return;
	world_crash(w, n);
	world_push(w, 1 + world_random(w, SCALE), EV_RESTART, n - w->m, NULL);
}

/* One fault at a time, of those that test what members promise their leader. */
static void trouble_leases(struct world *w)
{
	struct machine *n = some_leader(w), *m = some(w);

	switch (world_random(w, 9)) {
	case 0:
		mend(w);
		break;
	case 1:
	case 2:
		mend(w);
		cut_pair(w, n, m);
		break;
	case 3:
	case 4:
		blink(w, m);
		break;
	case 5:
		blink(w, m);		/* and hears nothing of its leader since */
		cut_pair(w, n, m);
		break;
	case 6:
		transfer(w, n);
		if (world_chance(w, 700))
			cut_pair(w, n, m);
		break;
	case 7:
		mend(w);
		cut_in_two(w, 1 << (n - w->m), false);
		break;
	default:
		n->stalled_until = w->now + world_random(w, 25 * SCALE);
	}
}

/* Leaders come and go before all have heard of them. */
static void trouble_logs(struct world *w)
{
	struct machine *n = some_leader(w);

	switch (world_random(w, 8)) {
	case 6:
	case 7:
		connection_breaks(w);
		break;
	case 0:
		cut_in_two(w, world_random(w, 1 << w->nr_machines), false);
		break;
	case 1:
		crash(w, n);
		break;
	case 2:
		mend(w);
		cut_in_two(w, 1 << (n - w->m), world_chance(w, 300));
		break;
	case 3:
		blink(w, some(w));
		break;
	default:
		mend(w);
	}
}

void people_nemesis(struct world *w)
{
	struct machine *n = world_chance(w, 500) ? some(w) : some_leader(w);
	u32 dice = world_random(w, 17);

	if (w->now >= w->end_chaos)
		return;
	TRACE(w, "nemesis %u, mood %u", dice, w->mood);
	if (w->mood == LEASES)
		trouble_leases(w);
	else if (w->mood == LOGS)
		trouble_logs(w);
	else if (dice < 2)
		cut_in_two(w, world_random(w, 1 << w->nr_machines), world_chance(w, 300));
	else if (dice < 4)
		cut_in_two(w, 1 << (n - w->m), world_chance(w, 400));
	else if (dice == 4)
		w->cut[some(w) - w->m][n - w->m] = true;
	else if (dice < 8)
		mend(w);
	else if (dice < 11)
		stop_some(w, world_random(w, 5));
	else if (dice == 11)
		n->disk_slow = n->disk_slow ? 0 : world_random(w, 40 * SCALE);
	else if (dice < 14)
		n->stalled_until = w->now + world_random(w, world_chance(w, 500) ? 4 * SCALE : 40 * SCALE);
	else if (dice == 14)
		set_network(w);
	else if (dice == 15)
		connection_breaks(w);
	else
		cut_some(w);
	world_push(w, world_random(w, w->nemesis_pause), EV_NEMESIS, 0, NULL);
}

/* Somebody was elected: the moment at which it hurts most. */
void people_elected(struct world *w, struct machine *n)
{
	if (w->mood == MIXED || w->now >= w->end_chaos || !world_chance(w, 400))
		return;
	if (w->mood == LOGS && world_chance(w, 600))
		cut_in_two(w, 1 << (n - w->m), world_chance(w, 300));	/* nobody hears of it */
	world_push(w, world_random(w, w->latency * 4), EV_DOWNFALL, n - w->m, NULL);
}

void people_downfall(struct world *w, struct machine *n)
{
	struct machine *m = some(w);

	if (w->now >= w->end_chaos)
		return;
	if (w->mood == LOGS)
		crash(w, n);
	else			/* one does not hear of the leader any more */
		cut_pair(w, n, m);
}

/* From here on all is well. */
void people_heal(struct world *w)
{
	u32 i;

	TRACE(w, "all is mended");
	mend(w);
	w->loss = w->dup = w->slow_mail = 0;
	w->writes = 900;
	w->latency = 400;
	for (i = 0; i < w->nr_machines; i++) {
		struct machine *n = &w->m[i];

		n->disk_slow = 0;
		n->fail_disk_at = 0;
		n->stalled_until = 0;
		world_start(w, n);
	}
	w->truth.at_heal = w->truth.nr;
}

/* ---- operator ---------------------------------------------------------------------- */

static int change(struct world *w, struct machine *n, u8 op, u64 id)
{
	struct raft_member m = { .id = id };
	struct raft_event ev = { .type = RAFT_EV_CONFIG, .op = op, .member = &m };
	int rc = world_step(w, n, &ev);

	w->st.confs += !rc;
	TRACE(w, "operator: %llu does %u with %llu: %d", U(n->id), op, U(id), rc);
	return rc;
}

static bool remove_lost(struct world *w, struct machine *n, const struct raft_conf *c)
{
	u32 i;

	for (i = 0; i < c->nr; i++)
		if (!world_find(w, c->m[i].id)) {
			change(w, n, RAFT_REMOVE, c->m[i].id);
			return true;
		}
	return false;
}

/* Removing or demoting it must leave a majority that has its disks. */
static bool dispensable(struct world *w, const struct raft_conf *c, u64 id)
{
	struct raft_conf k = *c;
	u32 i;

	for (i = 0; i < k.nr; i++)
		if (k.m[i].id == id)
			k.m[i].voter = false;
	return survives(w, &k, RAFT_NONE) && survives(w, c, id);
}

static void change_some(struct world *w, struct machine *n)
{
	struct raft_conf c = *raft_conf(n->raft);
	struct machine *m = some(w);
	const struct raft_member *has = raft_conf_find(&c, m->id);

	if (!has)
		change(w, n, RAFT_ADD_LEARNER, m->id);
	else if (!has->voter && world_chance(w, 900))
		change(w, n, RAFT_PROMOTE, m->id);
	else if (dispensable(w, &c, m->id))
		change(w, n, world_chance(w, 600) ? RAFT_REMOVE : RAFT_DEMOTE, m->id);
}

void people_operator(struct world *w)
{
	struct machine *n = some_leader(w);

	world_push(w, world_random(w, (w->mood == MIXED ? 12 : 150) * SCALE), EV_OPERATOR, 0, NULL);
	if (!n->up || !raft_ready(n->raft) || w->now > w->end_clients)
		return;
	if (remove_lost(w, n, raft_conf(n->raft)))
		return;
	if (world_chance(w, 200))
		transfer(w, n);
	else if (w->now < w->end_chaos)
		change_some(w, n);
}

/* ---- clients ----------------------------------------------------------------------- */

static void submit(struct world *w, struct machine *n)
{
	struct raft_entry e[4];
	struct raft_event ev = { .type = RAFT_EV_SUBMIT, .entries = e };
	u32 nr = 1 + world_random(w, 4), i;
	u64 val;
	int rc;

	for (i = 0; i < nr; i++) {
		if (w->ops && w->ops->submit) {
			if (!w->ops->submit(w, n, &val))
				break;
		} else {
			val = w->next_val++;
		}
		e[i] = (struct raft_entry){ .bytes = 8 + world_random(w, 1500),
					    .data = (void *)(uintptr_t)val };
	}
	ev.nr = i;
	if (!i)
		return;
	rc = world_step(w, n, &ev);
	while (i-- && w->ops && w->ops->submitted)
		w->ops->submitted(w, n, (uintptr_t)e[i].data, rc);
}

/*
 * Somebody outside saw the state at @index. From now on nobody may show less: so
 * no leader may have a lease and less, at this very moment.
 */
static void acked(struct world *w, u64 index)
{
	struct machine *n;
	u64 shows;

	w->truth.acked = index;
	for (n = w->m; n < w->m + w->nr_machines; n++)
		if (n->up && !raft_lease_read(n->raft, world_local(w, n), &shows) && shows < index)
			world_fail(w, "stale read: %llu has a lease and shows %llu, %llu was seen",
				   U(n->id), U(shows), U(index));
}

static void read_done(struct world *w, struct machine *n, const struct pending_read *p)
{
	w->st.reads++;
	if (n->state.index < p->need)
		world_fail(w, "stale read: %llu shows %llu, seen before it began: %llu", U(n->id),
			   U(n->state.index), U(p->need));
	if (n->state.index > w->truth.acked)
		acked(w, n->state.index);
}

static void read_begin(struct world *w, struct machine *n)
{
	struct pending_read p = { .token = w->next_token++, .need = w->truth.acked };
	struct raft_event ev = { .type = RAFT_EV_READ, .token = p.token };

	if (!raft_lease_read(n->raft, world_local(w, n), &p.index)) {
		p.known = true;
		w->st.lease_reads++;
		if (n->state.index >= p.index) {
			read_done(w, n, &p);
			return;
		}
	}
	if (n->nr_reads == READS)
		memmove(n->reads, n->reads + 1, --n->nr_reads * sizeof(p));
	n->reads[n->nr_reads++] = p;
	if (!p.known && world_step(w, n, &ev))
		n->nr_reads--;
}

void people_read_ready(struct world *w, struct machine *n, const struct raft_read *rd)
{
	u32 i;

	for (i = 0; i < n->nr_reads; i++) {
		if (n->reads[i].token != rd->token || n->reads[i].known)
			continue;
		if (rd->err) {
			n->reads[i] = n->reads[--n->nr_reads];
		} else {
			n->reads[i].known = true;
			n->reads[i].index = rd->index;
		}
		return;
	}
}

/* Something was applied, or a read's index became known. */
void people_applied(struct world *w, struct machine *n)
{
	u32 i = 0;

	if (raft_role(n->raft) == RAFT_LEADER && n->state.term == raft_term(n->raft) &&
	    n->state.index > w->truth.acked) {
		acked(w, n->state.index);
		w->st.acks++;
	}
	while (i < n->nr_reads) {
		struct pending_read p = n->reads[i];

		if (p.known && p.index <= n->state.index) {
			n->reads[i] = n->reads[--n->nr_reads];
			read_done(w, n, &p);
		} else {
			i++;
		}
	}
}

void people_client(struct world *w)
{
	struct machine *n = world_chance(w, 800) ? some_leader(w) : some(w);
	struct machine *m = world_chance(w, 500) ? some_leader(w) : some(w);

	if (w->now > w->end_clients)
		return;
	if (n->up && n->stalled_until <= w->now && world_chance(w, w->writes))
		submit(w, n);
	if (m->up && m->stalled_until <= w->now)
		read_begin(w, m);
	world_push(w, 1 + world_random(w, world_chance(w, 300) ? 6 * SCALE : SCALE), EV_CLIENT, 0, NULL);
}
