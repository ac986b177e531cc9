// SPDX-License-Identifier: GPL-2.0-only
/*
 * HELLO and AUTH: the first two messages of every connection. They negotiate
 * version, sizes and credits, and prove to each side that the other holds the
 * cluster key (wire.h says what the MACs cover). A mount that has a token shows
 * its claims in HELLO; the token's secret then takes the key's place (token.h).
 *
 * A client that has a key accepts no server that cannot prove it, whatever
 * the server says about authentication: there is no way down.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <linux/random.h>
#include "xprt.h"

/**
 * flint_auth_alloc() - make ready to use the network's key
 * @net: opts.key set or NULL
 * Return: 0 or what crypto says (-ENOENT: the kernel has no hmac(sha256)).
 */
int flint_auth_alloc(struct flint_net *net)
{
	struct crypto_shash *tfm;
	int err;

	if (!net->opts.key)
		return 0;
	tfm = crypto_alloc_shash("hmac(sha256)", 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	err = crypto_shash_setkey(tfm, net->key, FLINT_KEY_LEN);
	if (err) {
		crypto_free_shash(tfm);
		return err;
	}
	net->hmac = tfm;
	return 0;
}

void flint_auth_free(struct flint_net *net)
{
	if (net->hmac)
		crypto_free_shash(net->hmac);
}

static int flint_auth_mac(struct flint_net *net, bool server, const struct flint_hello *hello,
			  const struct flint_hello_rep *rep, u8 *mac)
{
	u8 text[FLINT_AUTH_MSG_LEN];

	flint_auth_msg(text, server, hello->nonce, rep->nonce, hello->client_id, hello->role);
	return crypto_shash_tfm_digest(net->hmac, text, sizeof(text), mac);
}

/* @token: claims that follow @body, or NULL. */
static struct flint_req *flint_auth_req(struct flint_conn *conn, u16 op, const void *body,
					u32 len, const struct flint_token *token)
{
	u32 claims = token ? flint_token_len(token) : 0;
	struct flint_req *req = flint_req_alloc(op, len + claims, GFP_KERNEL);

	if (!req)
		return NULL;
	memcpy(req->body, body, len);
	if (claims)
		memcpy(req->body + len, token, claims);
	req->deadline = jiffies + conn->connect_timeo;
	return req;
}

static const char *flint_auth_why(const struct flint_req *req, bool token)
{
	struct flint_auth_refusal r = {};

	flint_body_get(&r, sizeof(r), 0, req->rep_body, req->rep_len);
	switch (le32_to_cpu(r.reason)) {
	case FLINT_AUTH_EXPIRED:
		return "the token has expired: ask for a new one";
	case FLINT_AUTH_ADDRESS:
		return "the token is for other addresses than ours";
	case FLINT_AUTH_REVOKED:
		return "the token was revoked: ask for a new one";
	case FLINT_AUTH_NOT_KNOWN:
		return "the server is older than the token: ask for a simpler one";
	default:
		return token ? "the token is another cluster's, or was changed" :
			       "the server refuses us: wrong cluster key";
	}
}

/*
 * Send one of the two and get its reply; a refusal becomes an error and a
 * reason. @token: as flint_auth_req().
 */
static int flint_auth_call(struct flint_conn *conn, u16 op, const void *body, u32 len,
			   const struct flint_token *token, void *rep, u32 rep_len)
{
	const char *name = op == FLINT_OP_HELLO ? "HELLO" : "AUTH";
	struct flint_req *req = flint_auth_req(conn, op, body, len, token);
	int err;

	if (!req)
		return -ENOMEM;
	err = flint_conn_call(conn, req, rep, rep_len, rep_len);
	if (err) {
		flint_conn_fail(conn, err, "no usable answer to %s (%d)", name, err);
	} else if (req->status == FLINT_ST_AUTH) {
		err = -EACCES;
		flint_conn_fail(conn, err, "%s", flint_auth_why(req, conn->peer->net->token));
	} else if (req->status == FLINT_ST_VERSION) {
		struct flint_version v;

		flint_body_get(&v, sizeof(v), 0, req->rep_body, req->rep_len);
		err = -EPROTONOSUPPORT;
		flint_conn_fail(conn, err, "the server speaks protocol version %u.%u, this module %u.%u",
				v.major, v.minor, FLINT_PROTO_MAJOR, FLINT_PROTO_MINOR);
	} else if (req->status) {
		err = -ENOTCONN;
		flint_conn_fail(conn, err, "the server answered %s with status %u", name,
				req->status);
	}
	flint_req_put(req);
	return err;
}

static bool flint_conn_wants_pushes(const struct flint_conn *conn)
{
	return conn->peer->net->opts.push && conn->peer->role == FLINT_ROLE_META;
}

/* Take over what the server granted, if that makes sense. */
static int flint_auth_settle(struct flint_conn *conn, const struct flint_hello_rep *rep)
{
	u32 inline_size = le32_to_cpu(rep->inline_size);
	u32 max_io = le32_to_cpu(rep->max_io);
	u32 credits = le16_to_cpu(rep->credits);
	u64 features = le64_to_cpu(rep->features);

	if (inline_size > conn->lim.inline_size || max_io > conn->lim.max_io ||
	    max_io < FLINT_MIN_IO || !credits) {
		flint_conn_fail(conn, -EPROTO,
				"the server granted nonsense: inline %u, max_io %u, credits %u",
				inline_size, max_io, credits);
		return -EPROTO;
	}
	spin_lock_bh(&conn->lock);
	conn->lim.inline_size = inline_size;
	conn->lim.max_io = max_io;
	conn->credits = min(credits, conn->depth);
	conn->pushes = flint_conn_wants_pushes(conn) && (features & FLINT_FEAT_LEASE);
	conn->bundles = !conn->ops->stream && (features & FLINT_FEAT_BUNDLE);
	spin_unlock_bh(&conn->lock);
	return 0;
}

/**
 * flint_auth_handshake() - HELLO and AUTH
 * @conn: state HELLO
 *
 * Context: the connect work; sleeps at most two connect time-outs.
 * Return: 0, or an error with the connection failed and its reason set.
 */
int flint_auth_handshake(struct flint_conn *conn)
{
	struct flint_net *net = conn->peer->net;
	u64 session = atomic64_read(&net->session_epoch);
	struct flint_hello hello = {
		.major = FLINT_PROTO_MAJOR,
		.minor = FLINT_PROTO_MINOR,
		.role = FLINT_ROLE_CLIENT,
		.inline_size = cpu_to_le32(net->opts.inline_size),
		.max_io = cpu_to_le32(net->opts.max_io),
		.credits = cpu_to_le16(conn->depth),
		.features = cpu_to_le64(FLINT_FEATURES),
		.session_epoch = cpu_to_le64(session),
		.fixed_len = cpu_to_le16(sizeof(hello)),
		.token_len = cpu_to_le16(net->token ? flint_token_len(net->token) : 0),
	};
	struct flint_hello_rep rep;
	struct flint_auth auth;
	u8 mac[FLINT_MAC_LEN];
	int err;

	conn->session = session;
	if (flint_conn_wants_pushes(conn))
		hello.features |= cpu_to_le64(FLINT_FEAT_LEASE);
	if (!conn->ops->stream)
		hello.features |= cpu_to_le64(FLINT_FEAT_BUNDLE);
	memcpy(hello.client_id, net->opts.client_id, sizeof(hello.client_id));
	memcpy(hello.name, net->opts.name, sizeof(hello.name));
	get_random_bytes(hello.nonce, sizeof(hello.nonce));
	err = flint_auth_call(conn, FLINT_OP_HELLO, &hello, sizeof(hello), net->token,
			      &rep, sizeof(rep));
	if (err)
		return err;
	if (rep.major != FLINT_PROTO_MAJOR) {
		flint_conn_fail(conn, -EPROTONOSUPPORT,
				"the server speaks protocol version %u.%u, this module %u.%u",
				rep.major, rep.minor, FLINT_PROTO_MAJOR, FLINT_PROTO_MINOR);
		return -EPROTONOSUPPORT;
	}
	if (!net->hmac) {
		if (rep.auth) {
			flint_conn_fail(conn, -EACCES,
					"the server demands the cluster key: mount with a key");
			return -EACCES;
		}
		return flint_auth_settle(conn, &rep);
	}

	err = flint_auth_mac(net, true, &hello, &rep, mac);
	if (!err && (!rep.auth || crypto_memneq(mac, rep.mac, sizeof(mac)))) {
		flint_conn_fail(conn, -EACCES, net->token ?
				"the token is another cluster's, or was changed" :
				"the server does not hold our cluster key");
		err = -EACCES;
	}
	if (!err)
		err = flint_auth_mac(net, false, &hello, &rep, auth.mac);
	if (!err)
		err = flint_auth_call(conn, FLINT_OP_AUTH, &auth, sizeof(auth), NULL,
				      NULL, 0);
	if (!err)
		err = flint_auth_settle(conn, &rep);
	return err;
}
