// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mount options: parsing, defaults, and showing them again in /proc/mounts.
 *
 * mount.flintfs resolves names and passes addresses; the source string is
 * kept as the user typed it. Every refusal says what to write instead.
 */
#define pr_fmt(fmt) "flintfs: " fmt

#include <linux/fs_parser.h>
#include <linux/inet.h>
#include <linux/key.h>
#include <linux/seq_file.h>
#include <keys/user-type.h>
#include "compat/unaligned.h"
#include "flint.h"

enum {
	FLINT_OPT_ADDR, FLINT_OPT_KEY, FLINT_OPT_HARD, FLINT_OPT_SOFT, FLINT_OPT_IO_TIMEO,
	FLINT_OPT_META_TIMEO, FLINT_OPT_ATTR_TIMEO, FLINT_OPT_ENTRY_TIMEO, FLINT_OPT_NEG_TIMEO,
	FLINT_OPT_CONNECT_TIMEO, FLINT_OPT_HB_TIMEO, FLINT_OPT_INLINE, FLINT_OPT_MAX_IO,
	FLINT_OPT_NCONN, FLINT_OPT_CREDITS, FLINT_OPT_SOURCE, FLINT_OPT_LEASE, FLINT_OPT_PROTO,
	FLINT_OPT_DELEGATE,
	FLINT_OPT_WRITEBACK,
};

static const struct constant_table flint_opt_protos[] = {
	{ "auto",	FLINT_PROTO_RDMA | FLINT_PROTO_TCP },
	{ "rdma",	FLINT_PROTO_RDMA },
	{ "tcp",	FLINT_PROTO_TCP },
	{}
};

const struct fs_parameter_spec flint_fs_parameters[] = {
	fsparam_string("source",	FLINT_OPT_SOURCE),
	fsparam_string("addr",		FLINT_OPT_ADDR),
	fsparam_string("key",		FLINT_OPT_KEY),
	fsparam_enum("proto",		FLINT_OPT_PROTO, flint_opt_protos),
	fsparam_flag("hard",		FLINT_OPT_HARD),
	fsparam_flag("soft",		FLINT_OPT_SOFT),
	fsparam_flag_no("lease",	FLINT_OPT_LEASE),
	fsparam_flag_no("delegate",	FLINT_OPT_DELEGATE),
	fsparam_flag_no("writeback",	FLINT_OPT_WRITEBACK),
	fsparam_string("io_timeo",	FLINT_OPT_IO_TIMEO),
	fsparam_string("meta_timeo",	FLINT_OPT_META_TIMEO),
	fsparam_string("attr_timeo",	FLINT_OPT_ATTR_TIMEO),
	fsparam_string("entry_timeo",	FLINT_OPT_ENTRY_TIMEO),
	fsparam_string("neg_timeo",	FLINT_OPT_NEG_TIMEO),
	fsparam_string("connect_timeo",	FLINT_OPT_CONNECT_TIMEO),
	fsparam_string("hb_timeo",	FLINT_OPT_HB_TIMEO),
	fsparam_string("inline",	FLINT_OPT_INLINE),
	fsparam_string("max_io",	FLINT_OPT_MAX_IO),
	fsparam_u32("nconn",		FLINT_OPT_NCONN),
	fsparam_u32("credits",		FLINT_OPT_CREDITS),
	{}
};

static const struct flint_opts flint_opts_default = {
	.proto		= FLINT_PROTO_RDMA | FLINT_PROTO_TCP,
	.lease		= true,
	.delegate	= true,
	.writeback	= true,
	.io_timeo	= 20000,
	.meta_timeo	= 30000,
	.attr_timeo	= FLINT_TIME_SERVER,
	.entry_timeo	= FLINT_TIME_SERVER,
	.neg_timeo	= FLINT_TIME_SERVER,
	.connect_timeo	= 5000,
	.hb_timeo	= 10000,
	.inline_size	= FLINT_INLINE_DEFAULT,
	.max_io		= FLINT_MAX_IO,
	.nconn		= 1,
	.credits	= 128,
};

/* "20", "20s", "1.5s" or "500ms" to milliseconds; at most a day. */
static int flint_parse_time(const char *s, unsigned int *ms)
{
	unsigned int whole = 0, frac = 0, scale = 1000, digits = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++, digits++) {
		whole = whole * 10 + (*p - '0');
		if (whole > 86400000)
			return -EINVAL;
	}
	if (!strcmp(p, "ms") && digits) {
		*ms = whole;
		return 0;
	}
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, digits++) {
			scale /= 10;
			frac += (*p - '0') * scale;
		}
	if (!digits || (*p && strcmp(p, "s")) || whole > 86400)
		return -EINVAL;
	*ms = whole * 1000 + frac;
	return 0;
}

/* "4096", "4K" or "1M" to bytes. */
static int flint_parse_size(const char *s, u32 *bytes)
{
	char *end;
	unsigned long long n = memparse(s, &end);

	if (end == s || *end || n > U32_MAX)
		return -EINVAL;
	*bytes = (u32)n;
	return 0;
}

static int flint_opt_time(struct fs_context *fc, struct fs_parameter *param, unsigned int *ms,
			  unsigned int min, unsigned int max)
{
	unsigned int v;

	if (flint_parse_time(param->string, &v) || v < min || v > max)
		return invalfc(fc, "%s=%s: give a time of %u to %u ms, like 20s, 1.5s or 500ms",
			       param->key, param->string, min, max);
	*ms = v;
	return 0;
}

static int flint_opt_size(struct fs_context *fc, struct fs_parameter *param, u32 *bytes,
			  u32 min, u32 max)
{
	u32 v;

	if (flint_parse_size(param->string, &v) || v < min || v > max)
		return invalfc(fc, "%s=%s: give a size of %u to %u bytes, like 4096, 64K or 1M",
			       param->key, param->string, min, max);
	*bytes = v;
	return 0;
}

/* [rdma:|tcp:]ADDRESS:PORT */
static int flint_opt_addr(struct fs_context *fc, struct flint_opts *opts, const char *text)
{
	const char *s = text, *host, *end, *colon;
	struct sockaddr_storage *ss;
	struct flint_dest *dest;
	u16 port;
	size_t len;
	bool ok;

	if (opts->nr_dests == FLINT_PEER_DESTS)
		return invalfc(fc, "addr=: at most %d addresses", FLINT_PEER_DESTS);
	dest = &opts->dests[opts->nr_dests];
	dest->proto = strstarts(s, "tcp:") ? FLINT_PROTO_TCP : FLINT_PROTO_RDMA;
	if (strstarts(s, "tcp:") || strstarts(s, "rdma:"))
		s = strchr(s, ':') + 1;
	host = s;
	ss = &dest->addr;
	colon = strrchr(s, ':');
	if (!colon || kstrtou16(colon + 1, 10, &port) || !port)
		goto bad;
	memset(ss, 0, sizeof(*ss));
	if (*s == '[') {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

		host = s + 1;
		if (colon == s || colon[-1] != ']')
			goto bad;
		len = colon - 1 - host;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		ok = in6_pton(host, len, in6->sin6_addr.s6_addr, -1, &end) && end == host + len;
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		len = colon - host;
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		ok = in4_pton(host, len, (u8 *)&in->sin_addr, -1, &end) && end == host + len;
	}
	if (!ok)
		goto bad;
	opts->nr_dests++;
	return 0;
bad:
	return invalfc(fc, "addr=%s: give PROTOCOL:ADDRESS:PORT of a manager's listener, like rdma:10.0.0.1:7442 or tcp:[fd00::1]:7441; for host names use mount.flintfs",
		       text);
}

/* HOST[:PORT][,HOST...]:/FS[/subtree] */
static int flint_opt_source(struct fs_context *fc, struct flint_fs *fs, struct fs_parameter *param)
{
	const char *p = strstr(param->string, ":/"), *sub;
	size_t len;

	if (fc->source)
		return invalfc(fc, "more than one source given");
	if (!p)
		return invalfc(fc, "%s: the source must look like MANAGER[:PORT][,MANAGER...]:/FILESYSTEM[/SUBTREE]",
			       param->string);
	for (p += 2; *p == '/'; p++)
		;
	sub = strchrnul(p, '/');
	len = sub - p;
	if (!len || len >= FLINT_LABEL_LEN)
		return invalfc(fc, "%s: a file system's name has 1 to %d characters and follows \":/\"",
			       param->string, FLINT_LABEL_LEN - 1);
	memset(fs->name, 0, sizeof(fs->name));
	memcpy(fs->name, p, len);
	while (*sub == '/')
		sub++;
	if (strscpy(fs->subtree, sub, sizeof(fs->subtree)) < 0)
		return invalfc(fc, "the subtree's path is longer than %d bytes", FLINT_PATH_MAX);
	fc->source = param->string;
	param->string = NULL;
	return 0;
}

/* A token: claims, then its secret. Return: 0, -EINVAL: it is none, or -ENOMEM. */
static int flint_opt_token(struct flint_fs *fs, const u8 *data, size_t len)
{
	size_t claims = len - FLINT_KEY_LEN;
	int err;

	if (len < FLINT_KEY_LEN + sizeof(struct flint_token) ||
	    get_unaligned_le32(data) != FLINT_TOKEN_MAGIC)
		return -EINVAL;
	fs->token = kmemdup(data, claims, GFP_KERNEL);
	if (!fs->token)
		return -ENOMEM;
	err = flint_token_check(fs->token, claims);
	if (err) {
		kfree(fs->token);
		fs->token = NULL;
		return err == -EPROTO ? -EINVAL : err;
	}
	memcpy(fs->key, data + claims, FLINT_KEY_LEN);
	return 0;
}

/* The cluster key as 32 bytes or as 64 hexadecimal digits, or a token. */
static int flint_opt_secret(struct flint_fs *fs, const u8 *data, size_t len)
{
	int err;

	if (len == FLINT_KEY_LEN) {
		memcpy(fs->key, data, FLINT_KEY_LEN);
		return 0;
	}
	err = flint_opt_token(fs, data, len);
	if (err != -EINVAL)
		return err;
	return len < 2 * FLINT_KEY_LEN || hex2bin(fs->key, data, FLINT_KEY_LEN) ? -EINVAL : 0;
}

/* A logon key. */
static int flint_opt_key(struct fs_context *fc, struct flint_fs *fs, const char *desc)
{
	const struct user_key_payload *payload;
	struct key *key;
	int err = 0;

	key = request_key(&key_type_logon, desc, NULL);
	if (IS_ERR(key)) {
		errorfc(fc, "key=%s: no such logon key (%ld); mount.flintfs makes one from the key file",
			desc, PTR_ERR(key));
		return PTR_ERR(key) == -EINTR ? -EINTR : -ENOKEY;
	}
	down_read(&key->sem);
	payload = user_key_payload_locked(key);
	err = payload ? flint_opt_secret(fs, payload->data, payload->datalen) : -EKEYREVOKED;
	up_read(&key->sem);
	key_put(key);
	if (err) {
		errorfc(fc, "key=%s: it holds neither a token that this module knows nor a cluster key of %d bytes or %d hexadecimal digits",
			desc, FLINT_KEY_LEN, 2 * FLINT_KEY_LEN);
		return err;
	}
	fs->have_key = true;
	return 0;
}

static int flint_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct flint_fs *fs = fc->s_fs_info;
	struct flint_opts *opts = &fs->opts;
	struct fs_parse_result result;
	int opt = fs_parse(fc, flint_fs_parameters, param, &result);

	if (opt < 0)
		return opt;
	switch (opt) {
	case FLINT_OPT_SOURCE:
		return flint_opt_source(fc, fs, param);
	case FLINT_OPT_ADDR:
		return flint_opt_addr(fc, opts, param->string);
	case FLINT_OPT_KEY:
		kfree(opts->key_desc);
		opts->key_desc = param->string;
		param->string = NULL;
		return 0;
	case FLINT_OPT_PROTO:
		opts->proto = result.uint_32;
		return 0;
	case FLINT_OPT_LEASE:
		opts->lease = !result.negated;
		return 0;
	case FLINT_OPT_DELEGATE:
		opts->delegate = !result.negated;
		return 0;
	case FLINT_OPT_WRITEBACK:
		opts->writeback = !result.negated;
		if (result.negated)
			opts->delegate = false;	/* unless it is asked for behind this */
		return 0;
	case FLINT_OPT_HARD:
	case FLINT_OPT_SOFT:
		opts->soft = opt == FLINT_OPT_SOFT;
		return 0;
	case FLINT_OPT_IO_TIMEO:
		return flint_opt_time(fc, param, &opts->io_timeo, 1000, 600000);
	case FLINT_OPT_META_TIMEO:
		return flint_opt_time(fc, param, &opts->meta_timeo, 1000, 600000);
	case FLINT_OPT_ATTR_TIMEO:
		return flint_opt_time(fc, param, &opts->attr_timeo, 0, 86400000);
	case FLINT_OPT_ENTRY_TIMEO:
		return flint_opt_time(fc, param, &opts->entry_timeo, 0, 86400000);
	case FLINT_OPT_NEG_TIMEO:
		return flint_opt_time(fc, param, &opts->neg_timeo, 0, 86400000);
	case FLINT_OPT_CONNECT_TIMEO:
		return flint_opt_time(fc, param, &opts->connect_timeo, 500, 120000);
	case FLINT_OPT_HB_TIMEO:
		return flint_opt_time(fc, param, &opts->hb_timeo, 2000, 120000);
	case FLINT_OPT_INLINE:
		return flint_opt_size(fc, param, &opts->inline_size, 1024, FLINT_INLINE_MAX);
	case FLINT_OPT_MAX_IO:
		return flint_opt_size(fc, param, &opts->max_io, 65536, 16u << 20);
	case FLINT_OPT_NCONN:
		if (result.uint_32 < 1 || result.uint_32 > 16)
			return invalfc(fc, "nconn=%u: give 1 to 16", result.uint_32);
		opts->nconn = result.uint_32;
		return 0;
	case FLINT_OPT_CREDITS:
		if (result.uint_32 < 1 || result.uint_32 > FLINT_MAX_CREDITS)
			return invalfc(fc, "credits=%u: give 1 to %d", result.uint_32,
				       FLINT_MAX_CREDITS);
		opts->credits = result.uint_32;
		return 0;
	}
	return -EINVAL;
}

/* Keep the listeners that proto= allows, verbs first. Return: is there one? */
static bool flint_opts_dests(struct flint_opts *opts)
{
	unsigned int i, j, nr = 0;

	for (i = 0; i < opts->nr_dests; i++)
		if (opts->dests[i].proto & opts->proto)
			opts->dests[nr++] = opts->dests[i];
	opts->nr_dests = nr;
	for (i = 1; i < nr; i++)
		for (j = i; j && opts->dests[j].proto == FLINT_PROTO_RDMA &&
		     opts->dests[j - 1].proto == FLINT_PROTO_TCP; j--)
			swap(opts->dests[j], opts->dests[j - 1]);
	return nr;
}

static int flint_context_get_tree(struct fs_context *fc)
{
	struct flint_fs *fs = fc->s_fs_info;
	int err;

	if (!fc->source)
		return invalfc(fc, "no source given: mount -t flintfs MANAGER:/FILESYSTEM DIRECTORY");
	if (!fs->opts.nr_dests)
		return invalfc(fc, "no addr= option: mount through mount.flintfs, which resolves the managers' names");
	if (!flint_opts_dests(&fs->opts))
		return invalfc(fc, "no addr= option names a listener that proto= allows, like addr=tcp:10.0.0.1:7441 with proto=tcp");
	if (fs->opts.key_desc) {
		err = flint_opt_key(fc, fs, fs->opts.key_desc);
		if (err)
			return err;
	}
	fs->opts.writeback &= fs->opts.lease;
	return flint_get_tree(fc);
}

static int flint_context_reconfigure(struct fs_context *fc)
{
	struct super_block *sb = fc->root->d_sb;
	struct flint_fs *fs = flint_fs(sb);
	struct flint_fs *want = fc->s_fs_info;
	int err = 0;

	/* sync() and syncfs() pass over a read-only mount: what it owes is paid before. */
	if ((fc->sb_flags & fc->sb_flags_mask & SB_RDONLY) && !sb_rdonly(sb))
		err = sync_filesystem(sb);
	if (err)
		return err;
	/* Addresses, key, sizes and leases belong to connections and a session that exist. */
	fs->opts.soft = want->opts.soft;
	fs->opts.writeback = want->opts.writeback && fs->opts.lease;
	fs->opts.io_timeo = want->opts.io_timeo;
	fs->opts.meta_timeo = want->opts.meta_timeo;
	fs->opts.attr_timeo = want->opts.attr_timeo;
	fs->opts.entry_timeo = want->opts.entry_timeo;
	fs->opts.neg_timeo = want->opts.neg_timeo;
	return 0;
}

static void flint_context_free(struct fs_context *fc)
{
	struct flint_fs *fs = fc->s_fs_info;

	if (!fs)
		return;
	kfree(fs->opts.key_desc);
	kfree(fs->token);
	kfree_sensitive(fs);
}

static const struct fs_context_operations flint_context_ops = {
	.free		= flint_context_free,
	.parse_param	= flint_parse_param,
	.get_tree	= flint_context_get_tree,
	.reconfigure	= flint_context_reconfigure,
};

int flint_init_fs_context(struct fs_context *fc)
{
	struct flint_fs *fs = kzalloc(sizeof(*fs), GFP_KERNEL);

	if (!fs)
		return -ENOMEM;
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE) {
		fs->opts = flint_fs(fc->root->d_sb)->opts;
		fs->opts.key_desc = NULL;
		fs->opts.nr_dests = 0;
	} else {
		fs->opts = flint_opts_default;
	}
	fc->s_fs_info = fs;
	fc->ops = &flint_context_ops;
	return 0;
}

static void flint_show_time(struct seq_file *m, const char *name, unsigned int ms,
			    unsigned int def)
{
	if (ms != def)
		seq_printf(m, ms % 1000 ? ",%s=%ums" : ",%s=%us", name,
			   ms % 1000 ? ms : ms / 1000);
}

void flint_opts_show(struct seq_file *m, const struct flint_opts *opts)
{
	const struct flint_opts *def = &flint_opts_default;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flint_opt_protos) - 1; i++)
		if (flint_opt_protos[i].value == opts->proto)
			seq_printf(m, ",proto=%s", flint_opt_protos[i].name);
	for (i = 0; i < opts->nr_dests; i++)
		seq_printf(m, ",addr=%s:%pISpc", opts->dests[i].proto == FLINT_PROTO_TCP ?
			   "tcp" : "rdma", &opts->dests[i].addr);
	seq_puts(m, opts->soft ? ",soft" : ",hard");
	if (!opts->lease)
		seq_puts(m, ",nolease");
	if (opts->writeback != def->writeback && opts->lease)
		seq_puts(m, opts->writeback ? ",writeback" : ",nowriteback");
	if (opts->delegate != (def->delegate && opts->writeback) && opts->lease)
		seq_puts(m, opts->delegate ? ",delegate" : ",nodelegate");
	flint_show_time(m, "io_timeo", opts->io_timeo, UINT_MAX);
	flint_show_time(m, "meta_timeo", opts->meta_timeo, UINT_MAX);
	flint_show_time(m, "attr_timeo", opts->attr_timeo, def->attr_timeo);
	flint_show_time(m, "entry_timeo", opts->entry_timeo, def->entry_timeo);
	flint_show_time(m, "neg_timeo", opts->neg_timeo, def->neg_timeo);
	flint_show_time(m, "connect_timeo", opts->connect_timeo, def->connect_timeo);
	flint_show_time(m, "hb_timeo", opts->hb_timeo, def->hb_timeo);
	seq_printf(m, ",inline=%u,max_io=%u,nconn=%u,credits=%u", opts->inline_size,
		   opts->max_io, opts->nconn, opts->credits);
}
