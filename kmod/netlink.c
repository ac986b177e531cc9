// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family "flintfs" (uapi/flintfs/netlink.h): statistics of
 * mounts, of their peers and of operations as dumps, and what happens to them as
 * multicast events. Only who is in the mount's network namespace sees it.
 *
 * A dump walks the list of mounts under flint_nl_lock, which a mount takes to
 * enter and to leave, so it may look at what a listed mount has. It goes on where
 * it stopped by counting: mounts and peers that come and go meanwhile may be left
 * out or told twice, as with every dump.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "flint.h"
#include "latency.h"

static DEFINE_MUTEX(flint_nl_lock);	/* flint_nl_mounts; before net->lock */
static LIST_HEAD(flint_nl_mounts);
static struct genl_family flint_nl_family;

static const char * const flint_nl_events[FLINT_EV_NR] = {
	[FLINT_EV_PEER_UP] = "peer-up",
	[FLINT_EV_PEER_DOWN] = "peer-down",
	[FLINT_EV_SESSION_LOST] = "session-lost",
	[FLINT_EV_LEASES_LOST] = "leases-lost",
	[FLINT_EV_LOCK_LOST] = "lock-lost",
	[FLINT_EV_WRITE_ERROR] = "write-error",
	[FLINT_EV_META_MOVED] = "meta-moved",
	[FLINT_EV_ABORTED] = "aborted",
};

/* ---- messages --------------------------------------------------------- */

static int flint_nl_mount(struct sk_buff *skb, const struct flint_fs *fs)
{
	char id[32];

	snprintf(id, sizeof(id), "%u-%u", fs->fsid, fs->instance);
	return nla_put_string(skb, FLINT_NL_A_MOUNT, id) ||
	       nla_put_string(skb, FLINT_NL_A_NAME, fs->name) ? -EMSGSIZE : 0;
}

static int flint_nl_u64(struct sk_buff *skb, int attr, u64 v)
{
	return nla_put_u64_64bit(skb, attr, v, FLINT_NL_A_PAD);
}

static int flint_nl_counters(struct sk_buff *skb, struct flint_fs *fs)
{
	struct nlattr *nest;
	int i;

	for (i = 0; i < FLINT_STAT_NR; i++) {
		nest = nla_nest_start(skb, FLINT_NL_A_COUNTER);
		if (!nest || nla_put_string(skb, FLINT_NL_A_NAME, flint_stat_names[i]) ||
		    flint_nl_u64(skb, FLINT_NL_A_VALUE, flint_stats_sum(fs, i)))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

/**
 * struct flint_nl_dump - where a dump is
 * @fs: mount
 * @skb: of the dump
 * @cb: of the dump
 * @cmd: which one
 * @peer: what peer is looked at
 * @row: row of histograms to go on with; result: the one that did not fit
 */
struct flint_nl_dump {
	struct flint_fs *fs;
	struct sk_buff *skb;
	struct netlink_callback *cb;
	u8 cmd;
	unsigned int row;
};

static void *flint_nl_begin(struct flint_nl_dump *d)
{
	void *hdr = genlmsg_put(d->skb, NETLINK_CB(d->cb->skb).portid, d->cb->nlh->nlmsg_seq,
				&flint_nl_family, NLM_F_MULTI, d->cmd);

	if (hdr && flint_nl_mount(d->skb, d->fs)) {
		genlmsg_cancel(d->skb, hdr);
		hdr = NULL;
	}
	return hdr;
}

/* Return: 0, or -EMSGSIZE: does not fit, and nothing of it is there. */
static int flint_nl_end(struct flint_nl_dump *d, void *hdr, bool bad)
{
	if (bad)
		genlmsg_cancel(d->skb, hdr);
	else
		genlmsg_end(d->skb, hdr);
	return bad ? -EMSGSIZE : 0;
}

static int flint_nl_put_mount(struct flint_nl_dump *d)
{
	struct flint_fs *fs = d->fs;
	void *hdr = flint_nl_begin(d);

	if (!hdr)
		return -EMSGSIZE;
	return flint_nl_end(d, hdr,
			    nla_put_string(d->skb, FLINT_NL_A_STATE, flint_fs_state(fs)) ||
			    nla_put_u32(d->skb, FLINT_NL_A_META_NODE, READ_ONCE(fs->meta_node)) ||
			    flint_nl_u64(d->skb, FLINT_NL_A_MAP_EPOCH, flint_map_epoch(fs)) ||
			    nla_put_u32(d->skb, FLINT_NL_A_INFLIGHT, atomic_read(&fs->inflight)) ||
			    flint_nl_counters(d->skb, fs));
}

static int flint_nl_put_peer(struct flint_peer *peer, void *arg)
{
	struct flint_nl_dump *d = arg;
	struct flint_peer_info i;
	struct sk_buff *skb = d->skb;
	void *hdr = flint_nl_begin(d);

	if (!hdr)
		return -EMSGSIZE;
	flint_peer_info(peer, &i);
	return flint_nl_end(d, hdr,
			    nla_put_string(skb, FLINT_NL_A_PEER, i.addr) ||
			    nla_put_u8(skb, FLINT_NL_A_ROLE, i.role) ||
			    nla_put_string(skb, FLINT_NL_A_STATE, i.state) ||
			    nla_put_string(skb, FLINT_NL_A_PROTO, i.proto) ||
			    nla_put_u32(skb, FLINT_NL_A_CONNS, i.conns) ||
			    nla_put_u32(skb, FLINT_NL_A_INFLIGHT, i.inflight) ||
			    nla_put_u32(skb, FLINT_NL_A_RECONNECTS, i.reconnects) ||
			    nla_put_u32(skb, FLINT_NL_A_RTT_US, i.rtt_us) ||
			    nla_put_string(skb, FLINT_NL_A_REASON, i.reason));
}

static int flint_nl_put_row(struct flint_nl_dump *d, const char *addr, const char *op,
			    const struct flint_lat_row *r)
{
	struct sk_buff *skb = d->skb;
	void *hdr = flint_nl_begin(d);

	if (!hdr)
		return -EMSGSIZE;
	return flint_nl_end(d, hdr,
			    (addr && nla_put_string(skb, FLINT_NL_A_PEER, addr)) ||
			    nla_put_string(skb, FLINT_NL_A_OP, op) ||
			    flint_nl_u64(skb, FLINT_NL_A_COUNT, r->count) ||
			    flint_nl_u64(skb, FLINT_NL_A_FAILED, r->failed) ||
			    flint_nl_u64(skb, FLINT_NL_A_SUM_NS, r->sum_ns) ||
			    nla_put_64bit(skb, FLINT_NL_A_BUCKETS, sizeof(r->bucket), r->bucket,
					  FLINT_NL_A_PAD));
}

/* Rows from d->row on. */
static int flint_nl_put_lat(struct flint_nl_dump *d, const char *addr, const struct flint_lat *lat)
{
	struct flint_lat_row sum;

	for (; d->row < flint_lat_rows(lat); d->row++)
		if (flint_lat_sum(lat, d->row, &sum) &&
		    flint_nl_put_row(d, addr, flint_lat_name(lat, d->row), &sum))
			return -EMSGSIZE;
	d->row = 0;
	return 0;
}

static int flint_nl_put_peer_lat(struct flint_peer *peer, void *arg)
{
	struct flint_peer_info i;

	flint_peer_info(peer, &i);
	return flint_nl_put_lat(arg, i.addr, flint_peer_lat(peer));
}

/* ---- dumps ------------------------------------------------------------ */

/* Items of one mount from *item on. Return: 0: all were put; -EMSGSIZE: the next does not fit. */
static int flint_nl_items(struct flint_nl_dump *d, long *item)
{
	int err = 0;

	if (d->cmd == FLINT_NL_CMD_MOUNTS)
		return flint_nl_put_mount(d);
	if (d->cmd == FLINT_NL_CMD_LATENCY && !*item) {
		err = flint_nl_put_lat(d, NULL, flint_net_lat(d->fs->net));
		if (err)
			return err;
		(*item)++;
	}
	for (;; (*item)++) {
		if (d->cmd == FLINT_NL_CMD_PEERS)
			err = flint_net_peer(d->fs->net, *item, flint_nl_put_peer, d);
		else
			err = flint_net_peer(d->fs->net, *item - 1, flint_nl_put_peer_lat, d);
		if (err)
			return err == -ENOENT ? 0 : err;
	}
}

/* cb->args: mounts that are done, items of the next one, rows of its next item. */
static int flint_nl_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct flint_nl_dump d = {
		.skb = skb, .cb = cb, .cmd = genl_dumpit_info(cb)->op.cmd, .row = cb->args[2],
	};
	long n = 0;

	mutex_lock(&flint_nl_lock);
	list_for_each_entry(d.fs, &flint_nl_mounts, nl_node) {
		if (!net_eq(d.fs->netns, sock_net(skb->sk)) || n++ < cb->args[0])
			continue;
		if (flint_nl_items(&d, &cb->args[1]))
			break;
		cb->args[0] = n;
		cb->args[1] = 0;
	}
	mutex_unlock(&flint_nl_lock);
	cb->args[2] = d.row;
	return skb->len;
}

/* ---- events ----------------------------------------------------------- */

static int flint_nl_fill_event(struct sk_buff *skb, struct flint_fs *fs, enum flint_nl_event what,
			       const struct flint_event *e)
{
	void *hdr = genlmsg_put(skb, 0, 0, &flint_nl_family, 0, FLINT_NL_CMD_EVENT);

	if (!hdr || flint_nl_mount(skb, fs) ||
	    nla_put_string(skb, FLINT_NL_A_EVENT, flint_nl_events[what]) ||
	    (e->peer && nla_put_string(skb, FLINT_NL_A_PEER, e->peer)) ||
	    (e->role && nla_put_u8(skb, FLINT_NL_A_ROLE, e->role)) ||
	    (e->reason && nla_put_string(skb, FLINT_NL_A_REASON, e->reason)) ||
	    (e->ino && flint_nl_u64(skb, FLINT_NL_A_INO, e->ino)) ||
	    (e->value && flint_nl_u64(skb, FLINT_NL_A_VALUE, e->value)) ||
	    (e->node && nla_put_u32(skb, FLINT_NL_A_META_NODE, e->node)) ||
	    (e->err && nla_put_s32(skb, FLINT_NL_A_ERROR, -e->err)))
		return -EMSGSIZE;
	genlmsg_end(skb, hdr);
	return 0;
}

/**
 * flint_event() - tell listeners that something happened
 * @fs: mount
 * @what: the event
 * @e: its particulars; what is 0 or NULL is left out
 *
 * Costs nothing while nobody listens; is lost without memory.
 *
 * Context: any but hard interrupts; does not sleep.
 */
void flint_event(struct flint_fs *fs, enum flint_nl_event what, const struct flint_event *e)
{
	struct sk_buff *skb;

	if (!genl_has_listeners(&flint_nl_family, fs->netns, 0))
		return;
	skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_ATOMIC | __GFP_NOWARN);
	if (!skb)
		return;
	if (flint_nl_fill_event(skb, fs, what, e))
		nlmsg_free(skb);
	else
		genlmsg_multicast_netns(&flint_nl_family, fs->netns, skb, 0, 0, GFP_ATOMIC);
}

/* struct flint_net_opts.event */
void flint_peer_changed(void *arg, struct flint_peer *peer, bool up)
{
	struct flint_peer_info i;
	struct flint_event e = { .peer = i.addr, .reason = i.reason };

	flint_peer_info(peer, &i);
	e.role = i.role;
	if (up)
		e.reason = NULL;
	flint_event(arg, up ? FLINT_EV_PEER_UP : FLINT_EV_PEER_DOWN, &e);
}

/* ---- family ----------------------------------------------------------- */

static const struct genl_small_ops flint_nl_ops[] = {
	{ .cmd = FLINT_NL_CMD_MOUNTS, .dumpit = flint_nl_dumpit },
	{ .cmd = FLINT_NL_CMD_PEERS, .dumpit = flint_nl_dumpit },
	{ .cmd = FLINT_NL_CMD_LATENCY, .dumpit = flint_nl_dumpit },
};

static const struct genl_multicast_group flint_nl_groups[] = {
	{ .name = FLINT_NL_EVENTS },
};

static struct genl_family flint_nl_family = {
	.name		= FLINT_NL_NAME,
	.version	= FLINT_NL_VERSION,
	.maxattr	= FLINT_NL_A_NR - 1,
	.netnsok	= true,
	.module		= THIS_MODULE,
	.small_ops	= flint_nl_ops,
	.n_small_ops	= ARRAY_SIZE(flint_nl_ops),
	.resv_start_op	= FLINT_NL_CMD_UNSPEC + 1,
	.mcgrps		= flint_nl_groups,
	.n_mcgrps	= ARRAY_SIZE(flint_nl_groups),
};

int flint_nl_init(void)
{
	return genl_register_family(&flint_nl_family);
}

void flint_nl_exit(void)
{
	genl_unregister_family(&flint_nl_family);
}

void flint_nl_add(struct flint_fs *fs)
{
	mutex_lock(&flint_nl_lock);
	list_add_tail(&fs->nl_node, &flint_nl_mounts);
	mutex_unlock(&flint_nl_lock);
}

/* No dump looks at it when this returns. */
void flint_nl_del(struct flint_fs *fs)
{
	mutex_lock(&flint_nl_lock);
	list_del_init(&fs->nl_node);
	mutex_unlock(&flint_nl_lock);
}
