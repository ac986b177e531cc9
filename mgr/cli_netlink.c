// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel client's generic netlink family, uapi/flintfs/netlink.h, turned into JSON. What a
 * newer module tells beyond what is known here is passed over.
 */
#include <linux/genetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>
#include <unistd.h>

#include "../uapi/flintfs/netlink.h"
#include "../userd/base/log.h"
#include "cli.h"
#include "cli_client.h"

struct client_nl {
	struct nl_sock *sk;
	int family;
	int events;		/* id of the multicast group, -1: unknown */
	const char *only;
	json_t *mounts;
	bool (*tell)(json_t *event, void *arg);
	void *arg;
	bool ended;
};

/* ---- messages --------------------------------------------------------- */

static const struct {
	int attr;
	const char *name;
	char type;		/* s: string, 8, 4, 1: bytes of a number, i: s32 */
} client_attrs[] = {
	{ FLINT_NL_A_MOUNT, "mount", 's' },
	{ FLINT_NL_A_NAME, "name", 's' },
	{ FLINT_NL_A_STATE, "state", 's' },
	{ FLINT_NL_A_META_NODE, "meta_node", '4' },
	{ FLINT_NL_A_MAP_EPOCH, "map_epoch", '8' },
	{ FLINT_NL_A_VALUE, "value", '8' },
	{ FLINT_NL_A_PEER, "address", 's' },
	{ FLINT_NL_A_PROTO, "proto", 's' },
	{ FLINT_NL_A_CONNS, "connections", '4' },
	{ FLINT_NL_A_INFLIGHT, "inflight", '4' },
	{ FLINT_NL_A_RECONNECTS, "connected", '4' },
	{ FLINT_NL_A_RTT_US, "rtt_us", '4' },
	{ FLINT_NL_A_REASON, "reason", 's' },
	{ FLINT_NL_A_OP, "operation", 's' },
	{ FLINT_NL_A_COUNT, "count", '8' },
	{ FLINT_NL_A_FAILED, "failed", '8' },
	{ FLINT_NL_A_SUM_NS, "sum_ns", '8' },
	{ FLINT_NL_A_EVENT, "event", 's' },
	{ FLINT_NL_A_INO, "inode", '8' },
	{ FLINT_NL_A_ERROR, "error", 'i' },
};

static const char *client_role(unsigned int role)
{
	return role == FLINT_ROLE_MGR ? "manager" : role == FLINT_ROLE_META ? "metadata" :
	       role == FLINT_ROLE_CHUNK ? "chunk" : "?";
}

static json_t *client_value(struct nlattr *a, char type)
{
	size_t len = (size_t)nla_len(a);

	switch (type) {
	case 's':
		return json_stringn(nla_data(a), strnlen(nla_data(a), len));
	case '8':
		return len < 8 ? NULL : json_integer((json_int_t)nla_get_u64(a));
	case '4':
		return len < 4 ? NULL : json_integer(nla_get_u32(a));
	default:
		return len < 4 ? NULL : json_integer((int32_t)nla_get_u32(a));
	}
}

static json_t *client_buckets(struct nlattr *a)
{
	json_t *list = json_array();
	uint64_t v[FLINT_LAT_BUCKETS];
	size_t i, n = (size_t)nla_len(a) / sizeof(v[0]);

	n = n < FLINT_LAT_BUCKETS ? n : FLINT_LAT_BUCKETS;
	memcpy(v, nla_data(a), n * sizeof(v[0]));
	for (i = 0; i < n; i++)
		json_array_append_new(list, json_integer((json_int_t)v[i]));
	return list;
}

static void client_counter(json_t *o, struct nlattr *nest)
{
	json_t *counters = json_object_get(o, "counters");
	struct nlattr *name = nla_find(nla_data(nest), nla_len(nest), FLINT_NL_A_NAME);
	struct nlattr *value = nla_find(nla_data(nest), nla_len(nest), FLINT_NL_A_VALUE);

	if (!counters) {
		counters = json_object();
		json_object_set_new(o, "counters", counters);
	}
	if (name && value && nla_len(value) == 8)
		json_object_set_new(counters, nla_data(name),
				    json_integer((json_int_t)nla_get_u64(value)));
}

static json_t *client_message(struct nlmsghdr *h)
{
	struct genlmsghdr *g = nlmsg_data(h);
	json_t *o = json_object();
	struct nlattr *a;
	size_t i;
	int left;

	nla_for_each_attr(a, (struct nlattr *)(g + 1), nlmsg_attrlen(h, sizeof(*g)), left) {
		if (nla_type(a) == FLINT_NL_A_COUNTER)
			client_counter(o, a);
		else if (nla_type(a) == FLINT_NL_A_BUCKETS)
			json_object_set_new(o, "buckets", client_buckets(a));
		else if (nla_type(a) == FLINT_NL_A_ROLE && nla_len(a) == 1)
			json_object_set_new(o, "role", json_string(client_role(nla_get_u8(a))));
		for (i = 0; i < sizeof(client_attrs) / sizeof(client_attrs[0]); i++)
			if (client_attrs[i].attr == nla_type(a))
				json_object_set_new(o, client_attrs[i].name,
						    client_value(a, client_attrs[i].type));
	}
	return o;
}

/* ---- what dumps say --------------------------------------------------- */

/* Element of @list whose @key is @value, or NULL. */
static json_t *client_find(json_t *list, const char *key, const char *value)
{
	const char *have;
	json_t *e;
	size_t i;

	json_array_foreach(list, i, e) {
		have = json_string_value(json_object_get(e, key));
		if (have && value && !strcmp(have, value))
			return e;
	}
	return NULL;
}

static void client_take_mount(struct client_nl *nl, json_t *o)
{
	json_object_set_new(o, "operations", json_array());
	json_object_set_new(o, "peers", json_array());
	json_array_append(nl->mounts, o);
}

static void client_take_peer(json_t *mount, json_t *o)
{
	json_object_del(o, "mount");
	json_object_del(o, "name");
	json_object_set_new(o, "operations", json_array());
	json_array_append(json_object_get(mount, "peers"), o);
}

static void client_take_latency(json_t *mount, json_t *o)
{
	const char *addr = json_string_value(json_object_get(o, "address"));
	json_t *of = addr ? client_find(json_object_get(mount, "peers"), "address", addr) : mount;
	json_int_t n = json_integer_value(json_object_get(o, "count"));
	json_int_t ns = json_integer_value(json_object_get(o, "sum_ns"));
	json_t *buckets = json_object_get(o, "buckets");

	json_object_set_new(o, "mean_us", json_integer(n ? ns / n / 1000 : 0));
	json_object_set_new(o, "p50_us", json_integer((json_int_t)cli_client_quantile(buckets, 500)));
	json_object_set_new(o, "p99_us", json_integer((json_int_t)cli_client_quantile(buckets, 990)));
	json_object_del(o, "mount");
	json_object_del(o, "name");
	json_object_del(o, "address");
	if (of)
		json_array_append(json_object_get(of, "operations"), o);
}

static int client_valid(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct client_nl *nl = arg;
	const char *id;
	json_t *o, *mount;
	int cmd;

	if (h->nlmsg_type != nl->family || nlmsg_datalen(h) < (int)sizeof(struct genlmsghdr))
		return NL_SKIP;
	cmd = ((struct genlmsghdr *)nlmsg_data(h))->cmd;
	o = client_message(h);
	id = json_string_value(json_object_get(o, "mount"));
	mount = client_find(nl->mounts, "mount", id);
	if (!id || (*nl->only && strcmp(id, nl->only)))
		;
	else if (cmd == FLINT_NL_CMD_EVENT && nl->tell)
		nl->ended = !nl->tell(o, nl->arg);
	else if (cmd == FLINT_NL_CMD_MOUNTS)
		client_take_mount(nl, o);
	else if (cmd == FLINT_NL_CMD_PEERS && mount)
		client_take_peer(mount, o);
	else if (cmd == FLINT_NL_CMD_LATENCY && mount)
		client_take_latency(mount, o);
	json_decref(o);
	return NL_OK;
}

/* ---- the socket ------------------------------------------------------- */

static int client_group(struct nlattr *groups)
{
	struct nlattr *g, *name, *id;
	int left;

	nla_for_each_nested(g, groups, left) {
		name = nla_find(nla_data(g), nla_len(g), CTRL_ATTR_MCAST_GRP_NAME);
		id = nla_find(nla_data(g), nla_len(g), CTRL_ATTR_MCAST_GRP_ID);
		if (name && id && !strcmp(nla_data(name), FLINT_NL_EVENTS))
			return (int)nla_get_u32(id);
	}
	return -1;
}

static int client_family(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct client_nl *nl = arg;
	struct nlattr *id, *groups;

	id = nlmsg_find_attr(h, sizeof(struct genlmsghdr), CTRL_ATTR_FAMILY_ID);
	groups = nlmsg_find_attr(h, sizeof(struct genlmsghdr), CTRL_ATTR_MCAST_GROUPS);
	if (id)
		nl->family = nla_get_u16(id);
	if (groups)
		nl->events = client_group(groups);
	return NL_OK;
}

/* Send a command and take its answers. Return: 0 or a negative error of libnl. */
static int client_ask(struct client_nl *nl, int type, int cmd, int flags, const char *name,
		      nl_recvmsg_msg_cb_t cb)
{
	struct genlmsghdr g = { .cmd = (uint8_t)cmd, .version = 1 };
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);
	int err;

	if (!msg)
		return -NLE_NOMEM;
	err = nlmsg_append(msg, &g, sizeof(g), NLMSG_ALIGNTO);
	if (!err && name)
		err = nla_put_string(msg, CTRL_ATTR_FAMILY_NAME, name);
	nl_socket_modify_cb(nl->sk, NL_CB_VALID, NL_CB_CUSTOM, cb, nl);
	if (!err)
		err = nl_send_auto(nl->sk, msg);
	nlmsg_free(msg);
	return err < 0 ? err : nl_recvmsgs_default(nl->sk);
}

static int client_open(struct client_nl *nl)
{
	int err;

	nl->family = -1;
	nl->events = -1;
	nl->sk = nl_socket_alloc();
	if (!nl->sk)
		return cli_fail("no memory");
	nl_socket_disable_auto_ack(nl->sk);
	err = nl_connect(nl->sk, NETLINK_GENERIC);
	if (!err)
		err = client_ask(nl, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_REQUEST, FLINT_NL_NAME,
				 client_family);
	if (!err && nl->family > 0)
		return 0;
	nl_socket_free(nl->sk);
	if (access("/sys/module/flintfs", F_OK))
		return cli_fail("the module flintfs is not loaded: nothing is mounted on this machine");
	return cli_fail("the module flintfs does not answer (%s): is it as old as this program?",
			nl_geterror(err));
}

json_t *cli_client_gather(const char *id)
{
	static const int cmds[] = {
		FLINT_NL_CMD_MOUNTS, FLINT_NL_CMD_PEERS, FLINT_NL_CMD_LATENCY,
	};
	struct client_nl nl = { .only = id, .mounts = json_array() };
	int err = 0;
	size_t i;

	if (client_open(&nl)) {
		json_decref(nl.mounts);
		return NULL;
	}
	for (i = 0; i < 3 && !err; i++)
		err = client_ask(&nl, nl.family, cmds[i], NLM_F_REQUEST | NLM_F_DUMP, NULL,
				 client_valid);
	nl_socket_free(nl.sk);
	if (err)
		cli_fail("the module did not answer: %s", nl_geterror(err));
	if (err || (*id && !json_array_size(nl.mounts))) {
		if (!err)
			cli_fail("there is no mount '%s': 'flint mounts' lists them", id);
		json_decref(nl.mounts);
		return NULL;
	}
	return nl.mounts;
}

int cli_client_listen(const char *id, bool (*tell)(json_t *event, void *arg), void *arg)
{
	struct client_nl nl = { .only = id, .tell = tell, .arg = arg };
	int err = 0;

	if (client_open(&nl))
		return 1;
	nl_socket_disable_seq_check(nl.sk);
	nl_socket_modify_cb(nl.sk, NL_CB_VALID, NL_CB_CUSTOM, client_valid, &nl);
	err = nl_socket_add_membership(nl.sk, nl.events);
	while (!err && !nl.ended) {
		err = nl_recvmsgs_default(nl.sk);
		if (err == -NLE_NOMEM) {	/* more came than the socket holds */
			fputs("flint: some events were lost\n", stderr);
			err = 0;
		}
	}
	nl_socket_free(nl.sk);
	return err ? cli_fail("listening for events: %s", nl_geterror(err)) : 0;
}
