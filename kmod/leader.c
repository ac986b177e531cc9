// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which metadata server to ask.
 *
 * A file system's metadata is kept by 1, 3 or 5 servers, of which one leads
 * and answers. fs->meta_node names the one that this mount believes to lead.
 * It changes
 *  - when a server says that it does not lead, to the one that it names, or
 *    else to the next in turn;
 *  - when a server cannot be reached, to the next in turn;
 *  - when a new map names another leader than the map before. What is still in
 *    flight to other servers then is sent again: a server that stands still
 *    holds nobody up for longer than the managers take to notice.
 * Sequence numbers and the session are the same at every server, so a request
 * may be sent to any of them, again and again, and is executed once.
 *
 * Every change names the server that was found wanting, and is made only if
 * that one is still believed to lead: of many requests that fail together one
 * moves the mount.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include "flint.h"
#include "flint_trace.h"

/* While there are others to ask, wait no longer for a connection. */
#define FLINT_LEADER_WAIT	HZ
#define FLINT_KEEPALIVE_MIN	HZ

static u32 flint_meta_count(const struct flint_map *map)
{
	u32 i, nr = 0;

	for (i = 0; i < map->nr_nodes; i++)
		nr += map->nodes[i].role == FLINT_ROLE_META;
	return nr;
}

/* The metadata server after @node in the order of ids; @node itself if there is no other. */
static u32 flint_meta_after(const struct flint_map *map, u32 node)
{
	u32 i, id, first = 0;

	for (i = 0; i < map->nr_nodes; i++) {
		if (map->nodes[i].role != FLINT_ROLE_META)
			continue;
		id = le32_to_cpu(map->nodes[i].id);
		if (id > node)
			return id;
		if (!first)
			first = id;
	}
	return first ? first : node;
}

static bool flint_meta_known(const struct flint_map *map, u32 node)
{
	const struct flint_map_node *n = flint_map_node(map, node);

	return n && n->role == FLINT_ROLE_META;
}

static void flint_leader_move(struct flint_fs *fs, u32 from, u32 to)
{
	if (from == to || cmpxchg(&fs->meta_node, from, to) != from)
		return;
	flint_stat_inc(fs, FLINT_STAT_META_MOVES);
	trace_flint_meta_move(fs->instance, from, to);
	flint_event(fs, FLINT_EV_META_MOVED, &(struct flint_event){ .node = to });
	pr_debug("%s: asking metadata server %u instead of %u\n", fs->name, to, from);
}

/**
 * flint_leader_get() - the server that is believed to lead
 * @fs: mount
 * @l: result, for flint_leader_put()
 *
 * Context: process, may sleep when the peer is new.
 * Return: 0; -EIO after unmount began; -ENOTCONN when the map has no such
 * server any more or no way to reach it: the next in turn is chosen.
 */
int flint_leader_get(struct flint_fs *fs, struct flint_leader *l)
{
	l->node = READ_ONCE(fs->meta_node);
	l->map = flint_map_get(fs);
	if (!l->map)
		return -EIO;
	l->alone = flint_meta_count(&l->map->map) < 2;
	l->peer = flint_map_peer(l->map, l->node);
	if (!IS_ERR(l->peer))
		return 0;
	flint_leader_move(fs, l->node, flint_meta_after(&l->map->map, l->node));
	flint_leader_put(l);
	return -ENOTCONN;
}

void flint_leader_put(struct flint_leader *l)
{
	flint_map_put(l->map);
	l->map = NULL;
}

/**
 * flint_leader_ready() - wait a little for a connection to it
 * @l: from flint_leader_get()
 *
 * Does nothing when it is the only one: the request itself waits then.
 *
 * Context: process, killable wait of a second at most.
 * Return: 0, -EINTR, -EIO (shut down, or our token is refused, which no other
 * server would do otherwise), or -ENOTCONN: ask another one.
 */
int flint_leader_ready(struct flint_leader *l)
{
	int err;

	if (l->alone || flint_peer_live(l->peer))
		return 0;
	flint_peer_hurry(l->peer);
	err = flint_peer_wait(l->peer, FLINT_LEADER_WAIT);
	if (err == -EACCES && l->map->fs->token)
		return -EIO;
	return !err || err == -EINTR || err == -EIO ? err : -ENOTCONN;
}

/**
 * flint_leader_failed() - it did not answer: choose the next in turn
 * @fs: mount
 * @l: whom we asked
 */
void flint_leader_failed(struct flint_fs *fs, const struct flint_leader *l)
{
	flint_leader_move(fs, l->node, flint_meta_after(&l->map->map, l->node));
}

/**
 * flint_leader_hint() - it answered that it does not lead
 * @fs: mount
 * @l: whom we asked
 * @body: of the answer
 * @len: bytes
 *
 * Return: true if it named another one: that one may be asked at once.
 */
bool flint_leader_hint(struct flint_fs *fs, const struct flint_leader *l, const void *body,
		       u32 len)
{
	struct flint_leader_hint hint = {};
	u32 node;

	if (flint_body_get(&hint, sizeof(hint), 0, body, len))
		return false;
	node = le32_to_cpu(hint.node_id);
	if (!node || node == l->node || !flint_meta_known(&l->map->map, node)) {
		flint_map_refresh(fs);
		flint_leader_move(fs, l->node, flint_meta_after(&l->map->map, l->node));
		return false;
	}
	flint_leader_move(fs, l->node, node);
	return true;
}

static u32 flint_map_leader(const struct flint_map *map, u32 fsid)
{
	const struct flint_map_fs *f = flint_map_find(map->fs, map->nr_fs, sizeof(*f), fsid);

	return f ? le32_to_cpu(f->meta_node) : 0;
}

/**
 * flint_leader_map() - a new map was installed
 * @fs: mount
 * @old: the map before, or NULL
 * @new: the map
 *
 * Context: process.
 */
void flint_leader_map(struct flint_fs *fs, struct flint_mapref *old, struct flint_mapref *new)
{
	u32 was, is, i;

	if (!old || !fs->fsid)
		return;
	was = flint_map_leader(&old->map, fs->fsid);
	is = flint_map_leader(&new->map, fs->fsid);
	if (!is || was == is)
		return;
	flint_leader_move(fs, READ_ONCE(fs->meta_node), is);
	for (i = 0; i < new->map.nr_nodes; i++) {
		u32 id = le32_to_cpu(new->map.nodes[i].id);
		struct flint_peer *peer = READ_ONCE(new->peers[i]);

		if (peer && id != is && new->map.nodes[i].role == FLINT_ROLE_META)
			flint_peer_reset(peer, "another metadata server leads now");
	}
	/* An idle mount is seen by its new leader, too. */
	mod_delayed_work(fs->wq, &fs->keepalive, 0);
}

/* ---- keeping the session alive ---------------------------------------- */

/*
 * A session ends when its leader hears nothing of it for its lease. A mount
 * that does nothing asks for its root's attributes now and then, which also
 * finds the leader when it has changed.
 */
static void flint_keepalive_work(struct work_struct *work)
{
	struct flint_fs *fs = container_of(to_delayed_work(work), struct flint_fs, keepalive);
	unsigned long every = max_t(unsigned long, msecs_to_jiffies(fs->lease_ms) / 3,
				    FLINT_KEEPALIVE_MIN);
	struct flint_ino_req body = { .ino = cpu_to_le64(fs->root_ino) };
	struct flint_attr rep;
	struct flint_mcall c = {
		.op = FLINT_OP_GETATTR,
		.body = &body, .body_len = sizeof(body),
		.rep = &rep, .rep_size = sizeof(rep),
		.deadline = jiffies + every,
	};
	bool renew;

	if (READ_ONCE(fs->shutdown))
		return;
	if (flint_session_next(fs)) {
		queue_delayed_work(fs->wq, &fs->keepalive, HZ);
		return;
	}
	renew = xchg(&fs->leases.renew, false) ||
		(fs->opts.lease && !READ_ONCE(fs->leases.epoch));
	if (!renew && fs->heard_of == READ_ONCE(fs->meta_node) &&
	    time_before(jiffies, READ_ONCE(fs->heard) + every)) {
		queue_delayed_work(fs->wq, &fs->keepalive,
				   max_t(long, (long)(READ_ONCE(fs->heard) + every - jiffies), 1));
		return;
	}
	if (!fs->opts.lease)
		flint_meta_call(fs, &c);
	else if (flint_lease_renew(fs))
		every = min_t(unsigned long, every, HZ);
	if (!READ_ONCE(fs->shutdown))
		queue_delayed_work(fs->wq, &fs->keepalive, every);
}

void flint_leader_init(struct flint_fs *fs)
{
	INIT_DELAYED_WORK(&fs->keepalive, flint_keepalive_work);
}

void flint_leader_start(struct flint_fs *fs)
{
	queue_delayed_work(fs->wq, &fs->keepalive, 0);
}

/* The network is shut down already, so it ends at once. */
void flint_leader_stop(struct flint_fs *fs)
{
	cancel_delayed_work_sync(&fs->keepalive);
}
