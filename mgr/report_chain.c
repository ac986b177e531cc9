// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the managers say of chains: what cannot be reached and which machine must
 * return, what is at risk, what is being done and until when, and what happened.
 * Reads the model, changes nothing.
 *
 * One sentence for each cause, however many chains it concerns: chains that wait
 * for the same machines are counted together.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/conf.h"
#include "../userd/base/daemon.h"
#include "mgrd.h"

#define NAMES_LEN	256
#define FULL_PERCENT	95

static const char *node_name(struct mgr_state *st, u32 id)
{
	const struct mgr_node *n = mgr_node_find(st, id);

	return n ? n->name : "?";
}

static const struct mgr_target *target_live(struct mgr *m, u32 id)
{
	const struct mgr_target *t = m->next ? mgr_target_find(m->next, id) : NULL;

	return t ? t : mgr_target_find(m->st, id);
}

static unsigned int chain_count(struct mgr_state *st, const struct mgr_chain *c, u8 state)
{
	unsigned int n = 0;
	u32 i;

	for (i = 0; i < c->nr; i++)
		n += mgr_target_find(st, c->targets[i])->state == state;
	return n;
}

/* ---- what cannot be reached, what is at risk --------------------------- */

/**
 * struct cause - chains that wait for, or hang on, the same machines
 * @nodes: their names, "a or b"; the key
 * @single: they are chains of one target
 */
struct cause {
	char nodes[NAMES_LEN];
	u32 chains, first_chain, first_target;
	bool single;
};

/* The names of the nodes of a chain's targets in @state, each once. */
static void chain_nodes(struct mgr_state *st, const struct mgr_chain *c, u8 state, char *out,
			size_t len)
{
	size_t n = 0;
	u32 i, j;

	out[0] = 0;
	for (i = 0; i < c->nr && n < len; i++) {
		const struct mgr_target *t = mgr_target_find(st, c->targets[i]);

		if (t->state != state)
			continue;
		for (j = 0; j < i; j++) {
			const struct mgr_target *o = mgr_target_find(st, c->targets[j]);

			if (o->state == state && o->node == t->node)
				break;
		}
		if (j == i)
			n += snprintf(out + n, len - n, "%s%s", n ? " or " : "",
				      node_name(st, t->node));
	}
}

/* Count a chain with those of the same cause. @list has room for one more. */
static void cause_add(struct cause *list, u32 *nr, const char *nodes, const struct mgr_chain *c,
		      u32 target)
{
	u32 i;

	for (i = 0; i < *nr; i++)
		if (!strcmp(list[i].nodes, nodes) && list[i].single == (c->nr == 1))
			break;
	if (i == *nr) {
		memset(&list[i], 0, sizeof(list[i]));
		snprintf(list[i].nodes, sizeof(list[i].nodes), "%s", nodes);
		list[i].first_chain = c->id;
		list[i].first_target = target;
		list[i].single = c->nr == 1;
		(*nr)++;
	}
	list[i].chains++;
}

static u32 chain_first(struct mgr_state *st, const struct mgr_chain *c, u8 state)
{
	u32 i;

	for (i = 0; i < c->nr; i++)
		if (mgr_target_find(st, c->targets[i])->state == state)
			return c->targets[i];
	return 0;
}

static void problem_unreachable(json_t *list, const struct cause *a)
{
	char what[MGR_ERR_LEN], remedy[MGR_ERR_LEN];

	if (a->single && a->chains == 1)
		snprintf(what, sizeof(what),
			 "target %u on %s holds the only copy of chain %u and does not serve: reads and writes of its chunks wait",
			 a->first_target, a->nodes, a->first_chain);
	else
		snprintf(what, sizeof(what),
			 "data of %u chain%s cannot be reached until %s%s returns with its disks: reads and writes of them wait",
			 a->chains, a->chains == 1 ? "" : "s",
			 strstr(a->nodes, " or ") ? "one of " : "", a->nodes);
	snprintf(remedy, sizeof(remedy),
		 "bring %s back with %s; nothing is lost while a disk of them is whole. If all of them are gone for good, see 'flint target promote --help'",
		 a->nodes, a->single && a->chains == 1 ? "this disk" : "its disks");
	mgr_problem(list, what, remedy);
}

static void problem_risk(json_t *list, const struct cause *a)
{
	char what[MGR_ERR_LEN];

	snprintf(what, sizeof(what),
		 "data of %u chain%s hang%s on one replica, on %s: its loss now would lose what was written last",
		 a->chains, a->chains == 1 ? "" : "s", a->chains == 1 ? "s" : "", a->nodes);
	mgr_problem(list, what,
		    "let recovery finish, and bring back the servers that are down; do not stop that one");
}

/* Every chain is in one of: unreachable, at risk, degraded, well. */
static void problems_serving(struct mgr *m, json_t *list)
{
	struct mgr_state *st = m->st;
	struct cause *gone = calloc(st->nr_chains + 1, sizeof(*gone));
	struct cause *risk = calloc(st->nr_chains + 1, sizeof(*risk));
	u32 i, nr_gone = 0, nr_risk = 0, degraded = 0;
	char nodes[NAMES_LEN], what[MGR_ERR_LEN];

	for (i = 0; i < st->nr_chains && gone && risk; i++) {
		const struct mgr_chain *c = &st->chains[i];
		unsigned int serving = chain_count(st, c, FLINT_TARGET_SERVING);

		degraded += serving && serving < c->nr;
		if (!serving) {
			chain_nodes(st, c, FLINT_TARGET_LASTSRV, nodes, sizeof(nodes));
			cause_add(gone, &nr_gone, nodes, c,
				  chain_first(st, c, FLINT_TARGET_LASTSRV));
		} else if (serving == 1 && c->nr > 1) {
			chain_nodes(st, c, FLINT_TARGET_SERVING, nodes, sizeof(nodes));
			cause_add(risk, &nr_risk, nodes, c,
				  chain_first(st, c, FLINT_TARGET_SERVING));
		}
	}
	for (i = 0; i < nr_gone; i++)
		problem_unreachable(list, &gone[i]);
	for (i = 0; i < nr_risk; i++)
		problem_risk(list, &risk[i]);
	if (degraded) {
		snprintf(what, sizeof(what),
			 "%u of %u chains have fewer replicas than they should: all of them serve",
			 degraded, st->nr_chains);
		mgr_problem(list, what,
			    "recovery goes on by itself as soon as the missing servers and disks are back ('flint chain list' shows where)");
	}
	free(gone);
	free(risk);
}

/* ---- disks ------------------------------------------------------------- */

static void problems_disk(struct mgr *m, json_t *list, const struct mgr_target *t)
{
	const struct mgr_node *n = mgr_node_find(m->st, t->node);
	const struct mgr_target *live = target_live(m, t->id);
	const char *node = n ? n->name : "?";
	const struct mgr_node *other;
	char what[MGR_ERR_LEN];
	bool up = n && n->state == FLINT_NODE_UP;

	other = mgr_node_find(m->st, live->live.foreign_node);
	if (other && flint_now_ns() - live->live.foreign_ns < m->st->set.lease_ms * 1000000ull) {
		snprintf(what, sizeof(what), live->live.foreign_copy ?
			 "%s offers a copy of target %u, which %s serves" :
			 "%s offers a disk as target %u that is not the disk registered under this id (on %s)",
			 other->name, t->id, node);
		mgr_problem(list, what, live->live.foreign_copy ? "take one of the two disks out" :
			    "put the old disk back, or give the new one an unused --id and put it in the old one's place");
	} else if (up && t->local == FLINT_LOCAL_OFFLINE) {
		snprintf(what, sizeof(what), "target %u on %s is offline while its server lives: its disk failed, or the target was taken away",
			 t->id, node);
		mgr_problem(list, what, "look at the chunk server's log and at the disk; replace the disk");
	}
	if (up && (live->live.flags & FLINT_HBT_SUSPECT)) {
		snprintf(what, sizeof(what), "the disk of target %u on %s makes errors (%llu checksums were wrong, %llu repaired)",
			 t->id, node, (unsigned long long)live->live.crc_errors,
			 (unsigned long long)live->live.repaired);
		mgr_problem(list, what, "replace the disk before it fails");
	}
	if (up && (live->live.flags & FLINT_HBT_LOST)) {
		snprintf(what, sizeof(what), "target %u on %s holds data that is damaged on every replica: reads of it end with EIO",
			 t->id, node);
		mgr_problem(list, what, "'flint scrub status' lists it: restore these files, or let a replica return that has it");
	}
	if (up && (live->live.flags & FLINT_HBT_CONFLICT)) {
		snprintf(what, sizeof(what), "recovery of target %u on %s found data that it must not guess about and stopped; both copies are kept",
			 t->id, node);
		mgr_problem(list, what, "the chunk servers' logs name the chunks; see 'conflicts' in the manual");
	}
	if ((live->live.flags & FLINT_HBT_LOW_SPACE) ||
	    (t->capacity && mgr_target_used(m, t) > t->capacity / 100 * FULL_PERCENT)) {
		snprintf(what, sizeof(what), "target %u on %s is more than %d %% full", t->id,
			 node, FULL_PERCENT);
		mgr_problem(list, what, "delete files or add targets");
	}
	if (t->wish == MGR_WISH_DEAF) {
		snprintf(what, sizeof(what), "target %u on %s is left out for a while: target %u got no answer from it, though both are up",
			 t->id, node, live->live.deaf_by);
		mgr_problem(list, what, "check the network between the two servers; it is tried again by itself");
	}
	if (t->wish == MGR_WISH_OFF) {
		snprintf(what, sizeof(what), "target %u on %s is kept offline on purpose", t->id, node);
		mgr_problem(list, what, "when the work on it is done, let it return: 'flint target online ID'");
	}
}

void mgr_problems_chains(struct mgr *m, json_t *list)
{
	struct mgr_state *st = m->st;
	char what[MGR_ERR_LEN];
	u32 i, unused = 0;

	problems_serving(m, list);
	for (i = 0; i < st->nr_targets; i++) {
		if (st->targets[i].chain)
			problems_disk(m, list, &st->targets[i]);
		else
			unused += st->targets[i].state == FLINT_TARGET_WAITING;
	}
	for (i = 0; i < st->nr_chains && st->chains[i].nr < 2; i++)
		;
	/* Beside chains of several copies free targets are spares: those are moved to them. */
	if (unused && i == st->nr_chains) {
		snprintf(what, sizeof(what), "%u targets are online but in no chain", unused);
		mgr_problem(list, what, "put them to use with 'flint chain create'");
	}
	if (!st->nr_chains)
		mgr_problem(list, "there are no chains yet", "run 'flint chain create'");
}

/* ---- recovery ---------------------------------------------------------- */

/* Who brings the SYNCING member up to date: the last one that serves. */
static const struct mgr_target *chain_source(struct mgr *m, const struct mgr_chain *c)
{
	u32 i, last = 0;

	for (i = 0; i < c->nr; i++)
		if (mgr_target_find(m->st, c->targets[i])->state == FLINT_TARGET_SERVING)
			last = c->targets[i];
	return last ? target_live(m, last) : NULL;
}

static json_t *recovery_json(struct mgr *m, const struct mgr_chain *c, const struct mgr_target *t,
			     const struct mgr_target *src)
{
	const struct mgr_target_live *l = &src->live;
	u64 done = l->sync_done, total = l->sync_total, bps = 0, eta = 0;
	u64 ms = l->sync_ns ? (flint_now_ns() - l->sync_ns) / 1000000 : 0;
	char words[MGR_ERR_LEN], a[32], b[32], r[32];
	int n;

	if (ms > 500 && done > l->sync_from)
		bps = (done - l->sync_from) * 1000 / ms;
	if (bps && total > done)
		eta = (total - done) / bps + 1;
	n = snprintf(words, sizeof(words), "target %u on %s is brought up to date from target %u on %s (chain %u)",
		     t->id, node_name(m->st, t->node), src->id, node_name(m->st, src->node), c->id);
	if (total)
		n += snprintf(words + n, sizeof(words) - n, ": %s of %s",
			      flint_size_format(done, a, sizeof(a)),
			      flint_size_format(total, b, sizeof(b)));
	if (bps)
		snprintf(words + n, sizeof(words) - n, ", %s/s, about %llu:%02llu:%02llu left",
			 flint_size_format(bps, r, sizeof(r)), (unsigned long long)eta / 3600,
			 (unsigned long long)eta / 60 % 60, (unsigned long long)eta % 60);
	return json_pack("{s:i, s:I, s:s, s:I, s:s, s:I, s:I, s:I, s:o, s:s}", "chain", (int)c->id,
			 "target", (json_int_t)t->id, "node", node_name(m->st, t->node), "source",
			 (json_int_t)src->id, "source_node", node_name(m->st, src->node), "done",
			 (json_int_t)done, "total", (json_int_t)total, "bytes_per_s",
			 (json_int_t)bps, "seconds_left", bps ? json_integer(eta) : json_null(),
			 "words", words);
}

json_t *mgr_report_recovery(struct mgr *m)
{
	json_t *list = json_array();
	u32 i;

	for (i = 0; i < m->st->nr_chains; i++) {
		const struct mgr_chain *c = &m->st->chains[i];
		u32 syncing = chain_first(m->st, c, FLINT_TARGET_SYNCING);
		const struct mgr_target *src = syncing ? chain_source(m, c) : NULL;

		if (src)
			json_array_append_new(list, recovery_json(m, c, mgr_target_find(m->st, syncing),
								  src));
	}
	return list;
}

/* ---- history ----------------------------------------------------------- */

static const char * const mgr_reasons[] = {
	[MGR_WHY_NONE] = "", [MGR_WHY_SILENT] = "its server was silent for a lease",
	[MGR_WHY_DISK] = "its server lives and says that the disk does not, or is gone",
	[MGR_WHY_RESTART] = "its server was started anew while others serve",
	[MGR_WHY_BACK] = "heard", [MGR_WHY_SYNC] = "another replica serves and brings it up to date",
	[MGR_WHY_SYNCED] = "it has all data again",
	[MGR_WHY_LAST] = "the first that is back of those that served last",
	[MGR_WHY_ALL_GONE] = "no other replica is left, and it has all data",
	[MGR_WHY_NO_SOURCE] = "nobody serves that it could recover from",
	[MGR_WHY_STOPPED] = "it stopped serving by itself", [MGR_WHY_OPERATOR] = "asked for",
	[MGR_WHY_LOSS] = "ASKED FOR, THOUGH DATA MAY BE LOST",
	[MGR_WHY_DEAF] = "the one in front of it had no answer from it, though both are up",
	[MGR_WHY_AGAIN] = "perhaps it can be reached again",
};

static const char * const mgr_wishes[] = {
	[MGR_WISH_NONE] = "take part", [MGR_WISH_OFF] = "stay offline",
	[MGR_WISH_DROP] = "leave its chain", [MGR_WISH_DEAF] = "stay out for a while",
};

static const char *reason_words(u8 reason)
{
	return reason < sizeof(mgr_reasons) / sizeof(mgr_reasons[0]) ? mgr_reasons[reason] : "?";
}

static const char *wish_words(u8 wish)
{
	return wish < sizeof(mgr_wishes) / sizeof(mgr_wishes[0]) ? mgr_wishes[wish] : "?";
}

int mgr_event_words(struct mgr_state *st, const struct mgr_event *e, char *out, size_t len)
{
	const char *node = node_name(st, e->node), *why = reason_words(e->reason);

	switch (e->kind) {
	case MGR_EV_NODE:
		return snprintf(out, len, "%s is %s%s%s", node,
				e->to == FLINT_NODE_UP ? "up" : "down",
				e->to == FLINT_NODE_UP ? "" : ": ",
				e->to == FLINT_NODE_UP ? "" : why);
	case MGR_EV_TARGET:
		return snprintf(out, len, "chain %u version %u: target %u on %s %s -> %s: %s",
				e->chain, e->version, e->target, node,
				mgr_target_state_name(e->from), mgr_target_state_name(e->to), why);
	case MGR_EV_JOINED:
		return snprintf(out, len, "chain %u version %u: target %u on %s joins, %s",
				e->chain, e->version, e->target, node,
				mgr_target_state_name(e->to));
	case MGR_EV_LEFT:
		return snprintf(out, len, "chain %u version %u: target %u on %s has left",
				e->chain, e->version, e->target, node);
	case MGR_EV_CHAIN:
		return snprintf(out, len, "chain %u is made with %u targets", e->chain, e->to);
	case MGR_EV_WISH:
		return snprintf(out, len, "chain %u: target %u on %s shall %s: %s", e->chain,
				e->target, node, wish_words(e->to), why);
	case MGR_EV_DRAIN:
		if (e->target)
			return snprintf(out, len, "target %u on %s %s", e->target, node,
					e->to ? "drains" : "drains no longer");
		return snprintf(out, len, "%s %s", node, e->to ? "drains" : "drains no longer");
	default:
		return snprintf(out, len, "event %u of a newer version", e->kind);
	}
}

static const char *event_kind(u8 kind)
{
	static const char * const kinds[] = {
		[MGR_EV_NODE] = "node", [MGR_EV_TARGET] = "target", [MGR_EV_JOINED] = "joined",
		[MGR_EV_LEFT] = "left", [MGR_EV_CHAIN] = "chain", [MGR_EV_WISH] = "wish",
		[MGR_EV_DRAIN] = "drain",
	};

	return kind && kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind] : "unknown";
}

/* from and to in words that a script can compare. */
static const char *event_state(const struct mgr_event *e, u8 v)
{
	if (e->kind == MGR_EV_NODE)
		return v == FLINT_NODE_UP ? "up" : v == FLINT_NODE_DOWN ? "down" : "new";
	if (e->kind == MGR_EV_TARGET || e->kind == MGR_EV_JOINED || e->kind == MGR_EV_LEFT)
		return mgr_target_state_name(v);
	return v ? "yes" : "no";
}

json_t *mgr_report_history(struct mgr *m)
{
	struct mgr_state *st = m->st;
	json_t *list = json_array();
	char words[MGR_ERR_LEN];
	u32 i;

	for (i = 0; i < st->nr_events; i++) {
		const struct mgr_event *e = &st->events[i];

		mgr_event_words(st, e, words, sizeof(words));
		json_array_append_new(list,
			json_pack("{s:I, s:I, s:I, s:s, s:i, s:i, s:I, s:i, s:s, s:s, s:s, s:s, s:s}",
				  "seq", (json_int_t)e->seq, "time_ns", (json_int_t)e->time_ns,
				  "epoch", (json_int_t)e->epoch, "kind", event_kind(e->kind),
				  "chain", (int)e->chain, "version", (int)e->version, "target",
				  (json_int_t)e->target, "node", (int)e->node, "node_name",
				  node_name(st, e->node), "from", event_state(e, e->from), "to",
				  event_state(e, e->to), "reason", reason_words(e->reason),
				  "words", words));
	}
	return json_pack("{s:o}", "events", list);
}
