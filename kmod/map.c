// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cluster map: fetched from a manager, checked, and replaced as a whole.
 *
 * A map is never changed after it was published; users hold a reference while
 * they follow its ids. A standing request keeps it fresh: the manager answers
 * when the epoch grows. A reply of any server that names a newer epoch, or a
 * refusal because the map is stale, triggers a fetch besides.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/crc32c.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/mm.h>
#include "flint.h"
#include "flint_trace.h"

#define FLINT_MAP_WAIT_MS	10000
#define FLINT_MAP_FIRST_LEN	65536

static void flint_map_release(struct kref *kref)
{
	struct flint_mapref *ref = container_of(kref, struct flint_mapref, ref);
	u32 i;

	for (i = 0; i < ref->map.nr_nodes; i++)
		if (ref->peers[i])
			flint_peer_put(ref->peers[i]);
	kvfree(ref->image);
	kvfree_rcu(ref, rcu);
}

/**
 * flint_map_get() - the current map
 * @fs: mount
 *
 * Context: any.
 * Return: the map with a reference, or NULL before the first fetch and after
 * unmount.
 */
struct flint_mapref *flint_map_get(struct flint_fs *fs)
{
	struct flint_mapref *ref;

	rcu_read_lock();
	do {
		ref = rcu_dereference(fs->map);
	} while (ref && !kref_get_unless_zero(&ref->ref));
	rcu_read_unlock();
	return ref;
}

/* Context: process; the last reference puts peers. */
void flint_map_put(struct flint_mapref *ref)
{
	if (ref)
		kref_put(&ref->ref, flint_map_release);
}

/* Of the map in use; 0: there is none. Context: any. */
u64 flint_map_epoch(struct flint_fs *fs)
{
	struct flint_mapref *ref;
	u64 epoch = 0;

	rcu_read_lock();
	ref = rcu_dereference(fs->map);
	if (ref)
		epoch = ref->map.epoch;
	rcu_read_unlock();
	return epoch;
}

static bool flint_map_crc_ok(void *image, u32 len)
{
	struct flint_map_hdr *hdr = image;
	u32 want = le32_to_cpu(hdr->crc);

	hdr->crc = 0;
	if (~crc32c(~0, image, len) != want)
		return false;
	hdr->crc = cpu_to_le32(want);
	return true;
}

/* Connections outlive the map that named them: carry them over before publishing. */
static void flint_map_inherit(struct flint_fs *fs, struct flint_mapref *ref)
{
	struct flint_mapref *old = flint_map_get(fs);
	u32 i;

	if (!old)
		return;
	for (i = 0; i < old->map.nr_nodes; i++)
		if (READ_ONCE(old->peers[i]))
			flint_map_peer(ref, le32_to_cpu(old->map.nodes[i].id));
	flint_map_put(old);
}

/* Takes ownership of @image. */
static int flint_map_install(struct flint_fs *fs, void *image, u32 len)
{
	struct flint_mapref *ref, *old;
	struct flint_map map;
	int err;

	err = len < sizeof(*map.hdr) || !flint_map_crc_ok(image, len) ? -EBADMSG :
	      flint_map_check(image, len, &map);
	if (err) {
		pr_err_ratelimited("%s: the manager sent a cluster map that is %s (%d)\n",
				   fs->name, err == -EPROTONOSUPPORT ?
				   "of a newer version than this module knows" : "damaged", err);
		goto free;
	}
	ref = kvzalloc(struct_size(ref, peers, map.nr_nodes), GFP_KERNEL);
	err = -ENOMEM;
	if (!ref)
		goto free;
	kref_init(&ref->ref);
	ref->fs = fs;
	ref->map = map;
	ref->image = image;
	flint_map_inherit(fs, ref);
	kref_get(&ref->ref);	/* ours: the published one may be replaced at any time */

	spin_lock(&fs->map_lock);
	old = rcu_dereference_protected(fs->map, lockdep_is_held(&fs->map_lock));
	if (old && old->map.epoch >= map.epoch)
		old = ref;	/* a slower fetch of an older one */
	else
		rcu_assign_pointer(fs->map, ref);
	spin_unlock(&fs->map_lock);
	if (old != ref) {
		flint_stat_inc(fs, FLINT_STAT_MAP_UPDATES);
		trace_flint_map(fs->instance, old ? old->map.epoch : 0, map.epoch, map.nr_nodes,
				map.nr_chains);
		flint_leader_map(fs, old, ref);
		flint_replica_map(old, ref);
	}
	flint_map_put(old);
	flint_map_put(ref);
	return 0;
free:
	kvfree(image);
	return err;
}

/* One MAP_GET with room for @room bytes. *need: what it would have taken. */
static int flint_map_ask(struct flint_fs *fs, u32 wait_ms, u32 room, unsigned long deadline,
			 u32 *need)
{
	struct flint_map_get *body;
	struct flint_map_got got;
	struct flint_buf *buf;
	struct flint_req *req;
	void *image;
	int err = -ENOMEM;

	*need = 0;
	buf = flint_buf_alloc(room, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	req = flint_req_alloc(FLINT_OP_MAP_GET, sizeof(*body), GFP_KERNEL);
	if (!req)
		goto put_buf;
	body = req->body;
	body->have_epoch = cpu_to_le64(flint_map_epoch(fs));
	body->wait_ms = cpu_to_le32(wait_ms);
	body->max_len = cpu_to_le32(room);
	req->deadline = deadline;
	req->dir = FLINT_DIR_IN;
	req->bvec = buf->bv;
	req->nr_bvec = buf->nr;
	req->data_len = room;
	req->hold = &buf->hold;
	err = flint_call(fs->mgr, req, &got, sizeof(got), 0);
	if (err)
		goto put_req;
	if (req->status == ERANGE) {
		*need = le32_to_cpu(got.total_len);
		err = -ERANGE;
		goto put_req;
	}
	err = flint_status_errno(req->status);
	if (err || !req->rep_data_len)
		goto put_req;
	image = kvmalloc(req->rep_data_len, GFP_KERNEL);
	err = -ENOMEM;
	if (!image)
		goto put_req;
	flint_buf_read(buf, image, req->rep_data_len);
	err = flint_map_install(fs, image, req->rep_data_len);
put_req:
	flint_req_put(req);
put_buf:
	flint_buf_put(buf);
	return err;
}

/**
 * flint_map_fetch() - bring the map up to date
 * @fs: mount
 * @wait_ms: let the manager hold the answer this long until there is news
 * @deadline: jiffies
 *
 * Context: process, killable wait.
 * Return: 0 (the map may be unchanged) or an error of flint_call(), the map
 * check or the manager; -EFBIG when the map is larger than one request.
 */
int flint_map_fetch(struct flint_fs *fs, u32 wait_ms, unsigned long deadline)
{
	u32 max = flint_peer_max_io(fs->mgr), room, need;
	struct flint_mapref *ref = flint_map_get(fs);
	int err;

	room = ref ? le32_to_cpu(ref->map.hdr->total_len) + 8192 : FLINT_MAP_FIRST_LEN;
	flint_map_put(ref);
	room = min_t(u32, max, max_t(u32, room, FLINT_MAP_FIRST_LEN));
	err = flint_map_ask(fs, wait_ms, room, deadline, &need);
	if (err == -ERANGE && need > room && need <= max)
		err = flint_map_ask(fs, 0, min_t(u32, max, need + 8192), deadline, &need);
	if (err == -ERANGE) {
		pr_err_ratelimited("%s: the cluster map has %u bytes, more than one request of %u can carry; mount with a larger max_io\n",
				   fs->name, need, max);
		err = -EFBIG;
	}
	return err;
}

static void flint_map_watch(struct work_struct *work)
{
	struct flint_fs *fs = container_of(to_delayed_work(work), struct flint_fs, map_watch);
	unsigned long again = 0;
	int err;

	if (READ_ONCE(fs->shutdown))
		return;
	err = flint_map_fetch(fs, FLINT_MAP_WAIT_MS,
			      jiffies + msecs_to_jiffies(FLINT_MAP_WAIT_MS) + FLINT_RPC_TIMEO);
	if (err)
		again = HZ;
	if (!READ_ONCE(fs->shutdown))
		queue_delayed_work(fs->wq, &fs->map_watch, again);
}

static void flint_map_now(struct work_struct *work)
{
	struct flint_fs *fs = container_of(work, struct flint_fs, map_now);

	if (!READ_ONCE(fs->shutdown))
		flint_map_fetch(fs, 0, jiffies + FLINT_RPC_TIMEO);
}

/* Ask for a newer map soon; for replies that refuse ours. Context: any. */
void flint_map_refresh(struct flint_fs *fs)
{
	if (!READ_ONCE(fs->shutdown))
		queue_work(fs->wq, &fs->map_now);
}

/* A reply named this epoch. Context: any. */
void flint_map_seen(struct flint_fs *fs, u64 epoch)
{
	if (epoch > flint_map_epoch(fs))
		flint_map_refresh(fs);
}

void flint_map_init(struct flint_fs *fs)
{
	INIT_DELAYED_WORK(&fs->map_watch, flint_map_watch);
	INIT_WORK(&fs->map_now, flint_map_now);
}

void flint_map_start(struct flint_fs *fs)
{
	queue_delayed_work(fs->wq, &fs->map_watch, 0);
}

/* The network is shut down already, so both end at once. */
void flint_map_stop(struct flint_fs *fs)
{
	struct flint_mapref *old;

	cancel_delayed_work_sync(&fs->map_watch);
	cancel_work_sync(&fs->map_now);
	spin_lock(&fs->map_lock);
	old = rcu_dereference_protected(fs->map, lockdep_is_held(&fs->map_lock));
	RCU_INIT_POINTER(fs->map, NULL);
	spin_unlock(&fs->map_lock);
	flint_map_put(old);
}

static bool flint_addr_get(const struct flint_addr *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (a->family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(le16_to_cpu(a->port));
		memcpy(&in->sin_addr, a->addr, 4);
		return true;
	}
	if (a->family == 6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(le16_to_cpu(a->port));
		memcpy(&in6->sin6_addr, a->addr, 16);
		return true;
	}
	return false;
}

/* Append where a node listens for @proto. Return: how many there are now. */
static unsigned int flint_map_dests(const struct flint_map_node *node, u8 proto,
				    struct flint_dest *dests, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < FLINT_NODE_ADDRS; i++)
		if (proto && node->addrs[i].proto == proto && node->addrs[i].port &&
		    flint_addr_get(&node->addrs[i], &dests[nr].addr))
			dests[nr++].proto = proto;
	return nr;
}

/**
 * flint_map_peer() - the peer of a node
 * @ref: map
 * @node_id: of the node
 *
 * Context: process, may sleep when the peer is new.
 * Return: the peer, alive as long as @ref; ERR_PTR(-ENOENT) for an unknown
 * node, -EADDRNOTAVAIL for one that offers nothing that proto= allows, or an error of
 * flint_peer_get().
 */
struct flint_peer *flint_map_peer(struct flint_mapref *ref, u32 node_id)
{
	const struct flint_map_node *node = flint_map_node(&ref->map, node_id);
	struct flint_peer *peer, **slot;
	struct flint_dest *dests;
	unsigned int nr;

	if (!node)
		return ERR_PTR(-ENOENT);
	slot = &ref->peers[node - ref->map.nodes];
	peer = READ_ONCE(*slot);
	if (peer)
		return peer;

	dests = kcalloc(FLINT_NODE_ADDRS, sizeof(*dests), GFP_NOFS);
	if (!dests)
		return ERR_PTR(-ENOMEM);
	/* Verbs first: connections are made in this order. */
	nr = flint_map_dests(node, FLINT_PROTO_RDMA & ref->fs->opts.proto, dests, 0);
	nr = flint_map_dests(node, FLINT_PROTO_TCP & ref->fs->opts.proto, dests, nr);
	peer = nr ? flint_peer_get(ref->fs->net, dests, nr, node->role) :
		    ERR_PTR(-EADDRNOTAVAIL);
	kfree(dests);
	if (IS_ERR(peer))
		return peer;
	if (cmpxchg(slot, NULL, peer)) {
		flint_peer_put(peer);	/* somebody else was faster: the same peer */
		peer = READ_ONCE(*slot);
	}
	return peer;
}
