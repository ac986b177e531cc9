// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint-chunkd, the chunk server: options, start, stop; and the two things it
 * does without serving: --format makes a target, --inspect reads one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "heal.h"
#include "targets.h"
#include "../base/addr.h"
#include "../base/conf.h"
#include "../base/daemon.h"
#include "../base/key.h"
#include "../base/log.h"
#include "../net/endpoint.h"
#include "../net/scrape.h"

#define SMALL_BUF	(32u << 10)
#define PROMPT_MS	1000u	/* an answer that takes longer is late: clients get fewer credits */
#define DISCARD_PAUSE_MS	250u	/* between two pieces of free space given back */

struct options {
	char *state, *key, *mgr, *metrics;
	struct flint_endpoint_options ep;
	struct flint_conf_list target, target_dir;
	uint64_t threads, buffers;
	bool alone;
	char *discard;
	char *format, *inspect;
	uint64_t id, size, crc_block;
	bool force;
};

#define OFF(member)	offsetof(struct options, member)

static const struct flint_conf_opt opts[] = {
	{ "state", 's', FLINT_CONF_STR, OFF(state), "/var/lib/flintfs/chunk", "DIR",
	  "state directory", 0, 0, 0 },
	{ "key", 'k', FLINT_CONF_STR, OFF(key), FLINT_KEY_FILE, "FILE",
	  "cluster key, made by 'flint cluster init'", 0, 0, 0 },
	{ "mgr", 'm', FLINT_CONF_STR, OFF(mgr), NULL, "HOST:PORT,...",
	  "managers (TCP)", 0, 0, 0 },
	FLINT_ENDPOINT_OPTS(OFF(ep), "7461", "7462"),
	FLINT_SCRAPE_OPT(OFF(metrics), "7463"),
	{ "target", 't', FLINT_CONF_LIST, OFF(target), NULL, "PATH",
	  "file or block device that --format made a target; may be repeated", 0, 0, 0 },
	{ "target-dir", 0, FLINT_CONF_LIST, OFF(target_dir), NULL, "DIR",
	  "targets below it may be attached while the server runs; may be repeated", 0, 0, 0 },
	{ "threads", 0, FLINT_CONF_U64, OFF(threads), "1", "N",
	  "event loops; targets and connections are dealt to them", 1, 64, 0 },
	{ "buffers", 0, FLINT_CONF_U64, OFF(buffers), "64", "N",
	  "buffers of 1 MiB for payloads under way", 16, 4096, 0 },
	{ "discard", 0, FLINT_CONF_STR, OFF(discard), "auto", "auto|yes|no",
	  "give space that becomes free back to the device: auto does so for block devices, not for files",
	  0, 0, 0 },
	{ "alone", 0, FLINT_CONF_BOOL, OFF(alone), "no", NULL,
	  "serve without managers: chains and leases are not checked (tests)", 0, 0, 0 },
	{ "format", 0, FLINT_CONF_STR, OFF(format), NULL, "PATH",
	  "make a target of this file or block device, then exit", 0, 0, FLINT_CONF_CLI },
	{ "id", 0, FLINT_CONF_U64, OFF(id), "0", "N",
	  "--format: number of the target, unique in the cluster", 0, 0xffffffff, FLINT_CONF_CLI },
	{ "size", 0, FLINT_CONF_SIZE, OFF(size), "0", "BYTES",
	  "--format: size of the target (default: all of the device)", 0, 0, FLINT_CONF_CLI },
	{ "crc-block", 0, FLINT_CONF_SIZE, OFF(crc_block), "4K", "BYTES",
	  "--format: bytes of a block, 4K to 64K: what is allocated, what shares a checksum",
	  4096, 65536, FLINT_CONF_CLI },
	{ "force", 0, FLINT_CONF_BOOL, OFF(force), "no", NULL,
	  "--format: even if there is a target already: its data is lost", 0, 0, FLINT_CONF_CLI },
	{ "inspect", 0, FLINT_CONF_STR, OFF(inspect), NULL, "PATH",
	  "print a target's statistics and what its index takes in memory, then exit",
	  0, 0, FLINT_CONF_CLI },
	{ 0 },
};

static const struct flint_conf_spec spec = {
	.prog = "flint-chunkd",
	.doc = "Serve FlintFS chunks from the targets (disks) of this machine.",
	.opts = opts,
	.config = "/etc/flintfs/flint-chunkd.conf",
};

struct run {
	struct flint_chunkd d;
	struct options o;
	uint8_t key[FLINT_KEY_LEN];
	struct flint_endpoint ep;
	struct flint_cluster_config cluster;
	struct flint_signals signals;
	struct flint_metrics metrics;
	struct flint_collector collect[2];
	struct flint_scrape *scrape;
	int dirfd, lockfd;
};

/* ---- --format and --inspect --------------------------------------------- */

static int format(const struct options *o, char *err, size_t errlen)
{
	struct flint_store_format f = { .id = (u32)o->id, .size = o->size };
	bool fresh = access(o->format, F_OK) != 0;
	struct flint_dev *dev;
	char msg[256], text[32];
	int ret;

	if (!o->id) {
		snprintf(err, errlen, "--format needs --id N, a number unique in the cluster");
		return -EINVAL;
	}
	if (o->crc_block & (o->crc_block - 1)) {
		snprintf(err, errlen, "--crc-block takes 4K, 8K, 16K, 32K or 64K");
		return -EINVAL;
	}
	if (fresh && !o->size) {
		snprintf(err, errlen, "%s: does not exist: give --size BYTES to make it", o->format);
		return -ENOENT;
	}
	if (o->size && o->size < FLINT_TARGET_SIZE_MIN) {
		snprintf(err, errlen, "--size: a target has at least %s",
			 flint_size_format(FLINT_TARGET_SIZE_MIN, text, sizeof(text)));
		return -EINVAL;
	}
	dev = flint_dev_open(o->format, FLINT_DEV_CREATE, o->size, err, errlen);
	if (!dev) {
		ret = -errno;
		goto undo;
	}
	if (!f.size)
		f.size = dev->size;
	f.crc_shift = (u8)__builtin_ctzll(o->crc_block);
	flint_uuid_make(f.uuid);
	if (!o->force && flint_store_present(dev)) {
		snprintf(err, errlen, "%s: is a target already: --force overwrites it, and all its data is lost",
			 o->format);
		ret = -EEXIST;
	} else if (!o->force && flint_store_holds(dev)) {
		snprintf(err, errlen, "%s: holds data that is not FlintFS's: --force overwrites it",
			 o->format);
		ret = -EEXIST;
	} else {
		ret = flint_store_format(dev, &f, msg, sizeof(msg));
		if (ret)
			snprintf(err, errlen, "%s: %s", o->format, msg);
	}
	dev->ops->close(dev);
	if (!ret)
		printf("%s: target %u, %s\n", o->format, f.id,
		       flint_size_format(f.size, text, sizeof(text)));
undo:
	if (ret && fresh)
		unlink(o->format);
	return ret;
}

static int inspect(const char *path, char *err, size_t errlen)
{
	struct flint_dev *dev = flint_dev_open(path, 0, 0, err, errlen);
	struct flint_store *st = dev ? flint_store_open(dev, path, err, errlen) : NULL;
	char uuid[FLINT_UUID_STR];
	u64 used, memory;
	int ret;

	if (!st)
		return -EINVAL;
	used = flint_store_used(st);
	memory = flint_store_memory(st);
	ret = flint_store_verify(st, err, errlen);
	printf("{\"target\": %u, \"uuid\": \"%s\", \"capacity\": %llu, \"used\": %llu, \"chunks\": %u, \"inodes\": %u, \"clients\": %u, \"allocation_block\": %u, \"checksum_block\": %u, \"log_bytes\": %llu, \"index_memory\": %llu, \"index_memory_per_tb\": %llu, \"consistent\": %s}\n",
	       st->id, flint_uuid_format(st->uuid, uuid),
	       (unsigned long long)flint_store_capacity(st), (unsigned long long)used,
	       st->index.chunks.used, st->index.inodes.used, st->windows.nr, 1u << st->bs,
	       1u << st->cs, (unsigned long long)flint_wal_used(&st->wal),
	       (unsigned long long)memory,
	       (unsigned long long)(used ? (double)memory / (double)used * 1e12 : 0),
	       ret ? "false" : "true");
	flint_store_close(st);
	return ret;
}

/* ---- start -------------------------------------------------------------- */

static int options_check(struct run *r, char *err, size_t errlen)
{
	struct options *o = &r->o;
	unsigned int i;
	int n;

	if ((!o->target.nr && !o->target_dir.nr) || o->target.nr > FLINT_CHUNKD_TARGETS) {
		snprintf(err, errlen, "give 1 to %u targets with --target PATH (flint-chunkd --format makes one), or --target-dir DIR to attach them later",
			 FLINT_CHUNKD_TARGETS);
		return -EINVAL;
	}
	for (i = 0; i < o->target_dir.nr; i++) {
		if (o->target_dir.items[i][0] == '/')
			continue;
		snprintf(err, errlen, "--target-dir %s: begins with a slash", o->target_dir.items[i]);
		return -EINVAL;
	}
	if (strcmp(o->discard, "auto") && strcmp(o->discard, "yes") && strcmp(o->discard, "no")) {
		snprintf(err, errlen, "--discard %s: is auto, yes or no", o->discard);
		return -EINVAL;
	}
	if (!o->mgr == !o->alone) {
		snprintf(err, errlen, "give the managers with --mgr HOST:PORT (or --alone for a test without)");
		return -EINVAL;
	}
	n = flint_endpoint_check(&r->ep, &o->ep, err, errlen);
	if (n)
		return n;
	return flint_cluster_config_load(&r->cluster, o->mgr, o->key, r->key, err, errlen);
}

static int state_start(struct run *r, char *err, size_t errlen)
{
	r->dirfd = flint_state_open(r->o.state, err, errlen);
	if (r->dirfd < 0)
		return r->dirfd;
	r->lockfd = flint_state_lock(r->dirfd, r->o.state, err, errlen);
	if (r->lockfd < 0) {
		close(r->dirfd);
		return r->lockfd;
	}
	return 0;
}

static void state_stop(struct run *r)
{
	close(r->lockfd);
	close(r->dirfd);
}

/* A file's holes get space again when they are written: that is durable only after a sync. */
static void discard_begin(const struct chunkd_worker *w, struct flint_store *st)
{
	const char *how = w->d->discard;
	bool file = !st->dev->prewritten;

	if (!strcmp(how, "no") || (file && strcmp(how, "yes")))
		return;
	if (file)
		st->dev->volatile_cache = true;
	flint_store_discard_on(st);
}

static void discard_again(struct flint_timer *timer)
{
	struct chunkd_target *t = timer->arg;

	flint_store_discard(t->st);
}

static void worker_turn(void *arg)
{
	struct chunkd_worker *w = arg;
	unsigned int i;

	for (i = 0; i < w->nr_targets; i++) {
		struct chunkd_target *t = w->targets[i];

		flint_store_turn(t->st);
		if (t->discard.due_ns || !flint_store_discardable(t->st))
			continue;
		t->discard.fn = discard_again;
		t->discard.arg = t;
		flint_timer_set(w->loop, &t->discard, DISCARD_PAUSE_MS);
	}
}

static void worker_kick(void *arg)
{
	struct chunkd_worker *w = arg;

	flint_engine_kick(w->engine);
}

void chunkd_worker_take(struct chunkd_worker *w, struct chunkd_target *t)
{
	t->st->kick = worker_kick;
	t->st->kick_arg = w;
	discard_begin(w, t->st);
	w->targets[w->nr_targets++] = t;
	flint_engine_kick(w->engine);
}

void chunkd_worker_drop(struct chunkd_worker *w, struct chunkd_target *t)
{
	unsigned int i = 0;

	while (w->targets[i] != t)
		i++;
	w->targets[i] = w->targets[--w->nr_targets];
	flint_timer_cancel(w->loop, &t->discard);
}

/* On the worker's thread: io_uring belongs to who makes it. */
static int worker_engine(struct chunkd_worker *w)
{
	struct flint_dev *devs[FLINT_CHUNKD_TARGETS];
	struct iovec mem[FLINT_CHUNKD_TARGETS + 2];
	unsigned int i, n = 2;

	flint_pool_arena(w->d->pool, &mem[0].iov_base, &mem[0].iov_len);
	flint_pool_arena(w->d->small, &mem[1].iov_base, &mem[1].iov_len);
	for (i = 0; i < w->nr_targets; i++) {
		struct flint_store *st = w->targets[i]->st;

		devs[i] = st->dev;
		mem[n].iov_base = st->arena;
		mem[n++].iov_len = st->arena_len;
		st->kick = worker_kick;
		st->kick_arg = w;
		discard_begin(w, st);
	}
	w->engine = flint_engine_new(w->loop, mem, n, devs, w->nr_targets, worker_turn, w);
	return w->engine ? 0 : -errno;
}

/* Last checkpoints, then nothing is in flight. */
static void worker_finish(struct chunkd_worker *w)
{
	unsigned int i;

	if (!w->engine)
		return;
	for (i = 0; i < w->nr_targets; i++)
		heal_stop(w->targets[i]->heal);
	for (i = 0; i < w->nr_targets; i++)
		flint_fwd_stop(w->targets[i]);
	flint_engine_drain(w->engine);
	for (i = 0; i < w->nr_targets; i++)
		flint_store_shutdown(w->targets[i]->st);
	flint_engine_drain(w->engine);
	flint_engine_free(w->engine);
	w->engine = NULL;
}

static void *worker_main(void *arg)
{
	struct chunkd_worker *w = arg;
	int ret = worker_engine(w);

	if (ret) {
		flint_err("io_uring cannot be set up: %s", strerror(-ret));
		exit(1);
	}
	flint_engine_kick(w->engine);
	flint_loop_run(w->loop);
	worker_finish(w);
	return NULL;
}

static int workers_start(struct run *r, char *err, size_t errlen)
{
	struct flint_chunkd *d = &r->d;
	unsigned int i;
	int ret;

	d->nr_workers = (unsigned int)r->o.threads;
	d->discard = r->o.discard;
	d->workers = calloc(d->nr_workers, sizeof(*d->workers));
	if (!d->workers)
		return -ENOMEM;
	for (i = 0; i < d->nr_workers; i++) {
		d->workers[i].d = d;
		d->workers[i].loop = flint_loop_new();
		if (!d->workers[i].loop)
			return -errno;
	}
	ret = chunkd_targets_deal(d);
	if (ret)
		return ret;
	d->workers[0].thread = pthread_self();
	ret = worker_engine(&d->workers[0]);
	if (ret)
		snprintf(err, errlen, "io_uring cannot be set up: %s", strerror(-ret));
	for (i = 1; i < d->nr_workers && !ret; i++) {
		ret = -pthread_create(&d->workers[i].thread, NULL, worker_main, &d->workers[i]);
		d->workers[i].started = !ret;
	}
	return ret;
}

static void workers_stop(struct flint_chunkd *d)
{
	unsigned int i;

	for (i = 1; i < d->nr_workers; i++) {
		if (!d->workers[i].started)
			continue;
		flint_loop_stop(d->workers[i].loop);
		pthread_join(d->workers[i].thread, NULL);
	}
	if (d->workers)
		worker_finish(&d->workers[0]);
}

static int net_start(struct run *r, char *err, size_t errlen)
{
	struct flint_chunkd *d = &r->d;
	struct flint_loop *loops[64];
	struct flint_server_config cfg = {
		.role = FLINT_ROLE_CHUNK, .key = r->key, .max_io = FLINT_STORE_MAX_IO,
		.credits = FLINT_CHAIN_CONN_CREDITS, .prompt_ms = PROMPT_MS,
		.pool = d->pool, .small = d->small, .loops = loops, .nr_loops = d->nr_workers,
		.request = chunkd_request, .map_epoch = chunkd_map_epoch,
		.revoked = chunkd_revoked, .metrics = &r->metrics, .arg = d,
	};
	struct flint_member_config member = {
		.loop = d->workers[0].loop, .role = FLINT_ROLE_CHUNK, .name = r->ep.name,
		.tcp_port = r->ep.tcp_port, .rdma_port = r->ep.rdma_port,
		.targets = chunkd_hb_targets, .orders = chunkd_orders,
		.settings = chunkd_settings, .max_targets = FLINT_CHUNKD_TARGETS, .arg = d,
	};
	unsigned int i;
	int ret;

	for (i = 0; i < d->nr_workers; i++)
		loops[i] = d->workers[i].loop;
	flint_endpoint_addrs(&r->ep, member.addrs);
	if (!r->o.alone) {
		r->cluster.loop = d->workers[0].loop;
		r->cluster.role = FLINT_ROLE_CHUNK;
		r->cluster.name = r->ep.name;
		r->cluster.proto = r->ep.rdma_port ? FLINT_PROTO_RDMA : FLINT_PROTO_TCP;
		r->cluster.else_tcp = true;
		r->cluster.credits = FLINT_CHAIN_CONN_CREDITS;
		r->cluster.pool = d->pool;
		r->cluster.max_io = FLINT_STORE_MAX_IO;
		r->cluster.changed = chunkd_map_changed;
		r->cluster.arg = d;
		flint_random(r->cluster.client_id, sizeof(r->cluster.client_id));
		d->cluster = flint_cluster_new(&r->cluster);
		member.cluster = d->cluster;
		d->member = d->cluster ? flint_member_new(&member) : NULL;
	}
	d->server = r->o.alone || d->member ? flint_server_new(&cfg) : NULL;
	if (!d->server) {
		ret = -errno;
		snprintf(err, errlen, "the network cannot be set up: %s", strerror(errno));
		return ret;
	}
	return flint_endpoint_listen(&r->ep, r->d.server, err, errlen);
}

static int metrics_start(struct run *r, char *err, size_t errlen)
{
	struct flint_chunkd *d = &r->d;

	r->metrics.program = "flint-chunkd";
	r->collect[0] = (struct flint_collector){ .fn = chunkd_collect, .arg = d };
	r->collect[1] = (struct flint_collector){ .fn = flint_server_collect, .arg = d->server };
	flint_metrics_add(&r->metrics, &r->collect[0]);
	flint_metrics_add(&r->metrics, &r->collect[1]);
	return flint_scrape_start(&r->scrape, d->workers[0].loop, r->o.metrics, &r->ep, r->key,
				  &r->metrics, err, errlen);
}

static void everything_stop(struct run *r)
{
	struct flint_chunkd *d = &r->d;
	unsigned int i;

	workers_stop(d);
	flint_scrape_stop(r->scrape);
	d->stopping = true;
	if (d->server)
		flint_server_free(d->server);
	if (d->member)
		flint_member_free(d->member);
	if (d->cluster)
		flint_cluster_free(d->cluster);
	chunkd_targets_free(d);
	chunkd_reqs_free(d);
	if (d->pool)
		flint_pool_free(d->pool);
	if (d->small)
		flint_pool_free(d->small);
	for (i = 0; i < d->nr_workers && d->workers; i++)
		if (d->workers[i].loop)
			flint_loop_free(d->workers[i].loop);
	free(d->workers);
}

static int serve(struct run *r, char *err, size_t errlen)
{
	struct flint_chunkd *d = &r->d;
	int ret = state_start(r, err, errlen);

	if (ret)
		return ret;
	pthread_mutex_init(&d->free_lock, NULL);
	chunkd_fences_init(&d->fences);
	chunkd_permits_init(&d->permits, r->key);
	ret = chunkd_targets_open(d, &r->o.target, &r->o.target_dir, r->dirfd, err, errlen);
	if (ret)
		goto out;
	snprintf(err, errlen, "out of memory");
	d->pool = flint_pool_new(FLINT_STORE_MAX_IO + FLINT_STORE_SLACK,
				 (uint32_t)r->o.buffers + FLINT_CHAIN_KEEP(0));
	if (d->pool)
		flint_pool_keep(d->pool, FLINT_CHAIN_KEEP(0));
	d->small = flint_pool_new(SMALL_BUF, 256);
	ret = d->pool && d->small ? workers_start(r, err, errlen) : -ENOMEM;
	if (ret)
		goto out;
	ret = flint_signals_start(&r->signals, d->workers[0].loop);
	if (ret)
		goto out;
	ret = net_start(r, err, errlen);
	if (!ret)
		ret = metrics_start(r, err, errlen);
	if (!ret) {
		flint_info("serving %u targets on port %u", d->nr_targets,
			   (unsigned int)r->ep.tcp_port);
		flint_notify("READY=1");
		flint_engine_kick(d->workers[0].engine);
		ret = flint_loop_run(d->workers[0].loop);
		flint_notify("STOPPING=1");
		snprintf(err, errlen, "the event loop failed: %s", strerror(-ret));
	}
	flint_signals_end(&r->signals);
out:
	everything_stop(r);
	state_stop(r);
	return ret;
}

int main(int argc, char **argv)
{
	static struct run r;
	char err[512] = "";
	bool verbose = false;
	int ret;

	flint_conf_parse_or_exit(&spec, argc, argv, &r.o, &verbose);
	flint_log_init("flint-chunkd", verbose ? FLINT_LOG_DEBUG : FLINT_LOG_INFO);
	if (r.o.format) {
		ret = format(&r.o, err, sizeof(err));
	} else if (r.o.inspect) {
		ret = inspect(r.o.inspect, err, sizeof(err));
	} else {
		ret = options_check(&r, err, sizeof(err));
		if (!ret) {
			flint_signals_block();
			flint_daemon_harden();
			ret = serve(&r, err, sizeof(err));
		}
	}
	if (ret)
		fprintf(stderr, "flint-chunkd: %s\n", err);
	flint_conf_free(&spec, &r.o);
	return ret ? 1 : 0;
}
