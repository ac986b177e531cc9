// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's transport without its file system: a test that runs when it is
 * loaded and fails to load when it fails.
 *
 *   insmod xprt_test.ko addr=10.77.0.1 port=9999 expect=ok [key=HEX] [loops=N]
 *
 * expect=ok: reads and writes of many shapes must succeed with the right bytes.
 * expect=fail: the server misbehaves; every request must end in time, with an
 *	error or with the right bytes, and leave nothing behind.
 * expect=refused: no connection may come up.
 * expect=shutdown: requests wait for a silent server; shutting down ends them.
 * expect=idle: nothing is sent for two heartbeat times; the connection stays.
 * expect=dead: the same, and the connection must be found dead.
 * expect=load: requests for @seconds, while the test's script breaks things:
 *	each must end in time, with an error or with the right bytes.
 *
 * The transport's objects are linked into it (Kbuild).
 */
#define pr_fmt(fmt) "xprt_test: " fmt

#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>
#include "../../../kmod/xprt.h"

static char *addr = "127.0.0.1";
module_param(addr, charp, 0444);
MODULE_PARM_DESC(addr, "IPv4 address of the server");
static ushort port = 9999;
module_param(port, ushort, 0444);
MODULE_PARM_DESC(port, "its port");
static char *expect = "ok";
module_param(expect, charp, 0444);
MODULE_PARM_DESC(expect, "ok, fail, refused, shutdown, idle, dead or load");
static char *key = "";
module_param(key, charp, 0400);
MODULE_PARM_DESC(key, "cluster key, 64 hex digits, or empty");
static bool tcp;
module_param(tcp, bool, 0444);
MODULE_PARM_DESC(tcp, "over TCP");
static uint loops;
module_param(loops, uint, 0444);
MODULE_PARM_DESC(loops, "4 KiB and 1 MiB reads to time");
static uint nconn = 1;
module_param(nconn, uint, 0444);
MODULE_PARM_DESC(nconn, "connections");
static uint deadline_ms = 4000;
module_param(deadline_ms, uint, 0444);
MODULE_PARM_DESC(deadline_ms, "of each request");
static uint seconds = 20;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "of load");

#define XT_PAGES	520

/* Memory of one request. */
struct xt_buf {
	struct flint_hold hold;
	struct bio_vec bv[XT_PAGES];
	struct page *pages[XT_PAGES];
	unsigned int nr;
	struct completion released;
};

struct xt_shape {
	const char *name;
	u32 len;	/* bytes in all */
	u32 first;	/* offset into the first page */
	u32 gap;	/* leave this many bytes at the end of every gap_every'th page */
	u32 gap_every;
	u32 skip;	/* bv_skip */
};

static const struct xt_shape xt_shapes[] = {
	{ "1 byte", 1, 77 },
	{ "100 bytes", 100, 4090 },
	{ "4 KiB inline", 4096, 0 },
	{ "4 KiB inline, unaligned", 4096, 513 },
	{ "4 KiB + 1", 4097, 0 },
	{ "8 KiB, skip", 8192, 100, 0, 0, 1000 },
	{ "64 KiB", 65536, 0 },
	{ "64 KiB, unaligned", 65536, 1 },
	{ "48 KiB in 4 runs", 49152, 0, 512, 4 },
	{ "1 MiB", 1048576, 0 },
	{ "1 MiB, unaligned", 1048576, 123 },
};

static u8 xt_pattern(u64 pos)
{
	return (u8)(pos * 7 + (pos >> 8) * 13 + (pos >> 16) * 29 + 1);
}

static void xt_release(struct flint_hold *hold)
{
	complete(&container_of(hold, struct xt_buf, hold)->released);
}

static void xt_buf_free(struct xt_buf *b)
{
	unsigned int i;

	for (i = 0; i < b->nr; i++)
		__free_page(b->pages[i]);
	vfree(b);
}

static struct xt_buf *xt_buf_new(const struct xt_shape *s, u32 len)
{
	struct xt_buf *b = vzalloc(sizeof(*b));
	u32 left = len + s->skip;

	if (!b)
		return NULL;
	refcount_set(&b->hold.ref, 1);
	b->hold.release = xt_release;
	init_completion(&b->released);
	while (left && b->nr < XT_PAGES) {
		u32 off = b->nr ? 0 : s->first, n = PAGE_SIZE - off;

		if (s->gap && b->nr % s->gap_every == s->gap_every - 1)
			n -= s->gap;
		n = min(n, left);
		b->pages[b->nr] = alloc_page(GFP_KERNEL);
		if (!b->pages[b->nr])
			break;
		b->bv[b->nr].bv_page = b->pages[b->nr];
		b->bv[b->nr].bv_offset = off;
		b->bv[b->nr++].bv_len = n;
		left -= n;
	}
	if (left) {
		xt_buf_free(b);
		return NULL;
	}
	return b;
}

/* Fill or check the bytes from @skip on; returns the first wrong one or -1. */
static long xt_walk(struct xt_buf *b, u32 skip, u32 len, bool fill)
{
	u32 at = 0, i, k;

	for (i = 0; i < b->nr; i++) {
		u8 *p = page_address(b->bv[i].bv_page) + b->bv[i].bv_offset;

		for (k = 0; k < b->bv[i].bv_len; k++, at++) {
			if (at < skip || at - skip >= len)
				continue;
			if (fill)
				p[k] = xt_pattern(at - skip);
			else if (p[k] != xt_pattern(at - skip))
				return at - skip;
		}
	}
	return -1;
}

static struct flint_req *xt_req(struct xt_buf *b, u16 op, u32 skip, u32 len)
{
	struct flint_req *req = flint_req_alloc(op, sizeof(struct flint_io), GFP_KERNEL);
	struct flint_io *io;

	if (!req)
		return NULL;
	io = req->body;
	io->chain = cpu_to_le32(1);
	io->target = cpu_to_le32(1);
	io->ino = cpu_to_le64(1);
	io->length = cpu_to_le32(len);
	io->chunk_shift = 20;
	if (op == FLINT_OP_WRITE)
		req->seq = 1;
	req->dir = op == FLINT_OP_READ ? FLINT_DIR_IN : FLINT_DIR_OUT;
	req->deadline = jiffies + msecs_to_jiffies(deadline_ms);
	req->bvec = b->bv;
	req->nr_bvec = b->nr;
	req->bv_skip = skip;
	req->data_len = len;
	req->hold = &b->hold;
	return req;
}

/* One request of one shape. Return: 0, or its error; -EILSEQ: wrong bytes; -EBUSY: hold kept. */
static int xt_one(struct flint_peer *peer, const struct xt_shape *s, u16 op)
{
	u32 len = s->len;
	struct xt_buf *b = xt_buf_new(s, len);
	struct flint_io_rep rep;
	struct flint_req *req;
	int err;

	if (!b)
		return -ENOMEM;
	if (op == FLINT_OP_WRITE)
		xt_walk(b, s->skip, len, true);
	len = flint_bvec_span(peer, b->bv, b->nr, s->skip, len);
	if (!len || len > s->len) {
		xt_buf_free(b);
		return -ERANGE;
	}
	if (len < s->len)
		pr_info("%s: %u of %u bytes fit one request\n", s->name, len, s->len);
	req = xt_req(b, op, s->skip, len);
	if (!req) {
		xt_buf_free(b);
		return -ENOMEM;
	}
	err = flint_call(peer, req, &rep, sizeof(rep), sizeof(rep));
	if (!err && req->status)
		err = req->status == FLINT_ST_CHECKSUM ? -EILSEQ : -EREMOTEIO;
	if (!err && op == FLINT_OP_READ &&
	    (req->rep_data_len != len || xt_walk(b, s->skip, len, false) >= 0))
		err = -EILSEQ;
	flint_req_put(req);
	flint_hold_put(&b->hold);
	/* Whatever happened, the memory must come back. */
	if (!wait_for_completion_timeout(&b->released, msecs_to_jiffies(deadline_ms) + 5 * HZ))
		return -EBUSY;
	xt_buf_free(b);
	return err;
}

static int xt_shapes_run(struct flint_peer *peer, bool must)
{
	unsigned int i, bad = 0;

	for (i = 0; i < ARRAY_SIZE(xt_shapes) && (must || i < 8); i++) {
		static const u16 ops[] = { FLINT_OP_READ, FLINT_OP_WRITE };
		unsigned int k;

		/* A misbehaving server gets one inline and one region of each. */
		if (!must && i != 2 && i != 7)
			continue;
		for (k = 0; k < 2; k++) {
			unsigned long t = jiffies;
			int err = xt_one(peer, &xt_shapes[i], ops[k]);

			t = jiffies_to_msecs(jiffies - t);
			pr_info("%s %s: %d in %lu ms (%s)\n", k ? "write" : "read",
				xt_shapes[i].name, err, t, flint_peer_reason(peer));
			if (err == -EILSEQ || err == -EBUSY || (must && err) ||
			    t > deadline_ms + 3000)
				bad++;
		}
	}
	return bad ? -EINVAL : 0;
}

/* ---- many at once ----------------------------------------------------- */

struct xt_many {
	struct flint_req *req;
	struct xt_buf *b;
	atomic_t *left;
	struct completion *all;
};

static void xt_many_done(struct flint_req *req)
{
	struct xt_many *m = req->priv;

	if (atomic_dec_and_test(m->left))
		complete(m->all);
}

#define XT_MANY 100

/* Submit more than there are credits, without waiting for any; @err: what all must end with. */
static int xt_many_run(struct flint_peer *peer, int want, bool shutdown)
{
	static const struct xt_shape shape = { "many", 32768, 7 };
	DECLARE_COMPLETION_ONSTACK(all);
	struct xt_many *m = kcalloc(XT_MANY, sizeof(*m), GFP_KERNEL);
	atomic_t left = ATOMIC_INIT(1);
	unsigned int i, n = shutdown ? 16 : XT_MANY;
	int err = 0;

	if (!m)
		return -ENOMEM;
	for (i = 0; i < n && !err; i++) {
		m[i].b = xt_buf_new(&shape, shape.len);
		m[i].req = m[i].b ? xt_req(m[i].b, FLINT_OP_READ, 0, shape.len) : NULL;
		if (!m[i].req) {
			err = -ENOMEM;
			break;
		}
		m[i].left = &left;
		m[i].all = &all;
		m[i].req->deadline = jiffies + 20 * HZ;
		m[i].req->done = xt_many_done;
		m[i].req->priv = &m[i];
		atomic_inc(&left);
		err = flint_req_submit(peer, m[i].req, 0);
		if (err)
			atomic_dec(&left);
	}
	if (shutdown)
		flint_net_shutdown(peer->net);
	if (!atomic_dec_and_test(&left) && !wait_for_completion_timeout(&all, 40 * HZ)) {
		pr_err("requests never ended\n");
		return -EBUSY;	/* their memory is left */
	}
	for (i = 0; i < n; i++) {
		if (m[i].req) {
			if (m[i].req->err != want ||
			    (!want && xt_walk(m[i].b, 0, shape.len, false) >= 0))
				err = -EILSEQ;
			flint_req_put(m[i].req);
			flint_hold_put(&m[i].b->hold);
			if (!wait_for_completion_timeout(&m[i].b->released, HZ))
				err = -EBUSY;
		}
		if (m[i].b && err != -EBUSY)
			xt_buf_free(m[i].b);
	}
	kfree(m);
	pr_info("%u at once: %d\n", n, err);
	return err;
}

static void xt_time(struct flint_peer *peer)
{
	static const struct xt_shape shapes[] = {
		{ "4 KiB inline", 4096 }, { "8 KiB", 8192 }, { "1 MiB", 1048576 },
	};
	unsigned int i, k;

	for (k = 0; k < ARRAY_SIZE(shapes) && loops; k++) {
		struct xt_buf *b = xt_buf_new(&shapes[k], shapes[k].len);
		unsigned int n = k < 2 ? loops : loops / 10 + 1, ok = 0;
		u64 t = ktime_get_ns();

		for (i = 0; i < n && b; i++) {
			struct flint_req *req = xt_req(b, FLINT_OP_READ, 0, shapes[k].len);
			struct flint_io_rep rep;

			ok += req && !flint_call(peer, req, &rep, sizeof(rep), sizeof(rep));
			if (req)
				flint_req_put(req);
		}
		t = ktime_get_ns() - t;
		pr_info("%u of %u reads of %s: %llu us each\n", ok, n, shapes[k].name,
			div_u64(t, n * 1000));
		if (b) {
			flint_hold_put(&b->hold);
			wait_for_completion_timeout(&b->released, 10 * HZ);
			xt_buf_free(b);
		}
	}
}

/* ---- while things break ----------------------------------------------- */

#define XT_THREADS	6

struct xt_worker {
	struct flint_peer *peer;
	unsigned long until;
	unsigned int seed, good, failed, wrong;
	struct completion done;
};

static int xt_worker_run(void *arg)
{
	struct xt_worker *w = arg;

	while (time_before(jiffies, w->until)) {
		unsigned int n = w->seed++;
		unsigned long t = jiffies;
		int err = xt_one(w->peer, &xt_shapes[n % ARRAY_SIZE(xt_shapes)],
				 n & 16 ? FLINT_OP_WRITE : FLINT_OP_READ);

		if (!err)
			w->good++;
		else if (err == -EILSEQ || err == -EBUSY)
			w->wrong++;
		else
			w->failed++;
		if (jiffies - t > msecs_to_jiffies(deadline_ms) + 5 * HZ) {
			pr_err("a request took %u ms\n", jiffies_to_msecs(jiffies - t));
			w->wrong++;
		}
		if (err)
			msleep(20);
	}
	complete(&w->done);
	return 0;
}

static int xt_load(struct flint_peer *peer)
{
	struct xt_worker *w = kcalloc(XT_THREADS, sizeof(*w), GFP_KERNEL);
	unsigned int i, good = 0, failed = 0, wrong = 0;

	if (!w)
		return -ENOMEM;
	for (i = 0; i < XT_THREADS; i++) {
		w[i].peer = peer;
		w[i].until = jiffies + seconds * HZ;
		w[i].seed = i * 5;
		init_completion(&w[i].done);
		if (IS_ERR(kthread_run(xt_worker_run, &w[i], "xt/%u", i)))
			complete(&w[i].done);
	}
	for (i = 0; i < XT_THREADS; i++) {
		while (!wait_for_completion_timeout(&w[i].done, 10 * HZ))
			;
		good += w[i].good;
		failed += w[i].failed;
		wrong += w[i].wrong;
	}
	kfree(w);
	pr_info("load: %u good, %u failed, %u wrong (%s)\n", good, failed, wrong,
		flint_peer_reason(peer));
	return wrong || !good ? -EINVAL : 0;
}

static int xt_idle(struct flint_peer *peer, bool dead)
{
	u32 before = READ_ONCE(peer->reconnects);

	msleep(2 * jiffies_to_msecs(peer->net->opts.hb_timeo) + 2000);
	pr_info("idle: %u connections before, %u now, rtt %u us (%s)\n", before,
		peer->reconnects, peer->rtt_us, flint_peer_reason(peer));
	if (dead)
		return peer->reconnects > before ? 0 : -EINVAL;
	return peer->reconnects == before && peer->rtt_us ? 0 : -EINVAL;
}

/* ---- the run ---------------------------------------------------------- */

static int xt_run(struct flint_peer *peer)
{
	int err = flint_peer_wait(peer, 8 * HZ);

	pr_info("connecting: %d, refused %d (%s)\n", err, flint_peer_refused(peer),
		flint_peer_reason(peer));
	if (!strcmp(expect, "refused"))
		return err ? 0 : -EINVAL;
	if (err)
		return err;
	if (!strcmp(expect, "shutdown"))
		return xt_many_run(peer, -EIO, true);
	if (!strcmp(expect, "fail"))
		return xt_shapes_run(peer, false);
	if (!strcmp(expect, "load"))
		return xt_load(peer);
	if (!strcmp(expect, "idle") || !strcmp(expect, "dead"))
		return xt_idle(peer, expect[0] == 'd');
	err = xt_shapes_run(peer, true);
	if (!err)
		err = xt_many_run(peer, 0, false);
	if (!err)
		xt_time(peer);
	return err;
}

static int __init xt_init(void)
{
	struct flint_dest dest = { .proto = tcp ? FLINT_PROTO_TCP : FLINT_PROTO_RDMA };
	struct sockaddr_in *sin = (struct sockaddr_in *)&dest.addr;
	u8 raw[FLINT_KEY_LEN];
	struct flint_net_opts opts = {
		.net = &init_net,
		.name = "xprt_test",
		.inline_size = FLINT_INLINE_DEFAULT,
		.max_io = FLINT_MAX_IO,
		.credits = 64,
		.connect_timeo = 5 * HZ,
		.hb_timeo = 6 * HZ,
		.nconn = nconn,
	};
	struct flint_peer *peer;
	struct flint_net *net;
	int err;

	if (key[0]) {
		if (strlen(key) != 2 * sizeof(raw) || hex2bin(raw, key, sizeof(raw)))
			return -EINVAL;
		opts.key = raw;
	}
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	if (!in4_pton(addr, -1, (u8 *)&sin->sin_addr.s_addr, -1, NULL))
		return -EINVAL;
	err = flint_transport_init();
	if (err)
		return err;
	net = flint_net_create(&opts);
	if (IS_ERR(net)) {
		err = PTR_ERR(net);
		goto out;
	}
	peer = flint_peer_get(net, &dest, 1, FLINT_ROLE_CHUNK);
	if (IS_ERR(peer)) {
		err = PTR_ERR(peer);
	} else {
		err = xt_run(peer);
		flint_peer_put(peer);
	}
	flint_net_destroy(net);
out:
	pr_info("%s: %d\n", expect, err);
	if (err)
		flint_transport_exit();
	return err;
}

static void __exit xt_exit(void)
{
	flint_transport_exit();
}

module_init(xt_init);
module_exit(xt_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("FlintFS transport test");
