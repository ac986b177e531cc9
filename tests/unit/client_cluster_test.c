// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Map subscription and membership against a manager inside the test that
 * sends good and bad maps, and good and bad answers to heartbeats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../userd/base/log.h"
#include "../../userd/client/cluster.h"
#include "../../userd/client/member.h"
#include "fake_server.h"
#include "map_sample.h"

enum map_mode { MAP_GOOD, MAP_BAD_CRC, MAP_MALFORMED, MAP_OLD, MAP_REFUSED, MAP_SHORT_BODY };
enum beat_mode {
	BEAT_GOOD, BEAT_REFUSED, BEAT_WRONG_ECHO, BEAT_SILENT,
	BEAT_ORDERS, BEAT_ORDERS_LONGER, BEAT_ORDERS_CUT, BEAT_REP_40,
};

#define HELD 8

static struct fake_mgr {
	struct fake_server f;
	pthread_mutex_t lock;
	uint8_t *image;
	uint32_t len;
	uint64_t epoch;
	enum map_mode mode;
	enum beat_mode beat;
	unsigned int asked, beats;
	struct flint_heartbeat last;
	uint32_t last_targets;
	struct flint_call *held[HELD];
	unsigned int nr_held;
} mgr;

static uint8_t key[FLINT_KEY_LEN] = { 1, 2, 3 };
static struct test_loop loop;
static struct flint_cluster *cluster;
static unsigned int changes;

/* ---- the manager -------------------------------------------------------- */

static void image_seal(void)
{
	struct flint_map_hdr *h = (struct flint_map_hdr *)mgr.image;

	h->epoch = cpu_to_le64(mgr.epoch);
	h->crc = 0;
	h->crc = cpu_to_le32(flint_crc32c(0, mgr.image, mgr.len));
}

/* Reply or hold; with the lock. */
static void map_answer(struct flint_call *call)
{
	struct flint_map_get get;
	struct flint_map_got got = {
		.epoch = cpu_to_le64(mgr.epoch), .total_len = cpu_to_le32(mgr.len) };
	struct flint_buf *buf;

	flint_body_get(&get, sizeof(get), sizeof(get), call->msg.body, call->msg.body_len);
	if (mgr.mode == MAP_REFUSED || mgr.mode == MAP_SHORT_BODY) {
		flint_call_reply(call, mgr.mode == MAP_REFUSED ? FLINT_ST_RETRY : FLINT_OK, &got,
				 4, NULL, 0, 0);
		return;
	}
	if (le64_to_cpu(get.have_epoch) >= mgr.epoch && mgr.mode == MAP_GOOD) {
		if (mgr.nr_held < HELD)
			mgr.held[mgr.nr_held++] = call;
		return;
	}
	if (le32_to_cpu(get.max_len) < mgr.len) {
		flint_call_reply(call, ERANGE, &got, sizeof(got), NULL, 0, 0);
		return;
	}
	buf = flint_buf_get(mgr.f.pool);
	memcpy(buf->data, mgr.image, mgr.len);
	if (mgr.mode == MAP_BAD_CRC)
		buf->data[200] ^= 1;
	if (mgr.mode == MAP_MALFORMED || mgr.mode == MAP_OLD) {
		struct flint_map_hdr *h = (struct flint_map_hdr *)buf->data;

		if (mgr.mode == MAP_MALFORMED)
			h->nr_nodes = cpu_to_le32(1000);
		else
			h->epoch = cpu_to_le64(1);
		h->crc = 0;
		h->crc = cpu_to_le32(flint_crc32c(0, buf->data, mgr.len));
	}
	flint_call_reply(call, FLINT_OK, &got, sizeof(got), buf, 0, mgr.len);
}

/* Orders for targets 10 and 11, of this version's length or, with a longer fixed part, of more. */
static void beat_answer_orders(struct flint_call *call, struct flint_heartbeat_rep *rep)
{
	uint32_t more = mgr.beat == BEAT_ORDERS_LONGER ? 8 : 0, i, len;
	uint8_t body[256] = { 0 };

	len = mgr.beat == BEAT_REP_40 ? 40 : sizeof(*rep) + more + 2 * (16 + more);
	rep->nr_targets = cpu_to_le32(2);
	rep->fixed_len = cpu_to_le16(sizeof(*rep) + more);
	rep->order_len = cpu_to_le16(16 + more);
	rep->set.recovery_bps = cpu_to_le64(1000);
	rep->set.scrub_days = cpu_to_le32(30);
	memcpy(body, rep, sizeof(*rep));
	for (i = 0; i < 2; i++) {
		struct flint_hb_order o = {
			.target_id = cpu_to_le32(10 + i), .chain = cpu_to_le32(3),
			.chain_ver = cpu_to_le32(mgr.beats), .state = FLINT_TARGET_SERVING,
			.flags = i ? FLINT_HB_ADMITTED : 0 };

		memcpy(body + sizeof(*rep) + more + i * (16 + more), &o, sizeof(o));
	}
	flint_call_reply(call, FLINT_OK, body, len - (mgr.beat == BEAT_ORDERS_CUT), NULL, 0, 0);
}

static void beat_answer(struct flint_call *call)
{
	struct flint_heartbeat_rep rep = {
		.epoch = cpu_to_le64(mgr.epoch), .node_id = cpu_to_le32(42),
		.lease_ms = cpu_to_le32(300) };
	const uint8_t *tail;
	uint32_t tail_len = 0;

	flint_body_get_var(&mgr.last, sizeof(mgr.last), sizeof(mgr.last), call->msg.body,
			   call->msg.body_len, &tail, &tail_len);
	mgr.last_targets = tail_len / sizeof(struct flint_hb_target);
	mgr.beats++;
	rep.sent_boottime_ns = mgr.last.sent_boottime_ns;
	if (mgr.beat == BEAT_WRONG_ECHO)
		rep.sent_boottime_ns = cpu_to_le64(le64_to_cpu(rep.sent_boottime_ns) + 1000000000);
	if (mgr.beat == BEAT_REFUSED)
		flint_call_reply(call, EEXIST, NULL, 0, NULL, 0, 0);
	else if (mgr.beat == BEAT_SILENT && mgr.nr_held < HELD)
		mgr.held[mgr.nr_held++] = call;
	else if (mgr.beat >= BEAT_ORDERS)
		beat_answer_orders(call, &rep);
	else
		flint_call_reply(call, FLINT_OK, &rep, sizeof(rep), NULL, 0, 0);
}

static void on_request(void *arg, struct flint_call *call)
{
	pthread_mutex_lock(&mgr.lock);
	if (call->msg.op == FLINT_OP_MAP_GET) {
		mgr.asked++;
		map_answer(call);
	} else {
		beat_answer(call);
	}
	pthread_mutex_unlock(&mgr.lock);
}

static void held_answer(void)
{
	unsigned int n = mgr.nr_held, i;
	struct flint_call *held[HELD];

	memcpy(held, mgr.held, sizeof(held));
	mgr.nr_held = 0;
	for (i = 0; i < n; i++) {
		if (held[i]->msg.op == FLINT_OP_MAP_GET)
			map_answer(held[i]);
		else
			beat_answer(held[i]);
	}
}

/* Change what the manager does and let it answer whom it kept waiting. */
static void mgr_set(enum map_mode mode, uint64_t epoch)
{
	pthread_mutex_lock(&mgr.lock);
	mgr.mode = mode;
	mgr.epoch = epoch;
	image_seal();
	held_answer();
	pthread_mutex_unlock(&mgr.lock);
}

static unsigned int mgr_asked(void)
{
	unsigned int n;

	pthread_mutex_lock(&mgr.lock);
	n = mgr.asked;
	pthread_mutex_unlock(&mgr.lock);
	return n;
}

static unsigned int mgr_beats(void)
{
	unsigned int n;

	pthread_mutex_lock(&mgr.lock);
	n = mgr.beats;
	pthread_mutex_unlock(&mgr.lock);
	return n;
}

/* ---- the other side ----------------------------------------------------- */

static void on_changed(void *arg, const struct flint_map *map)
{
	__atomic_add_fetch(&changes, 1, __ATOMIC_RELAXED);
}

static void cluster_start(const uint8_t *with_key, const struct sockaddr_storage *first)
{
	struct flint_cluster_config cfg = {
		.role = FLINT_ROLE_CHUNK, .key = with_key, .name = "test",
		.proto = FLINT_PROTO_TCP, .changed = on_changed,
		.client_id = { 9 },
	};

	changes = 0;
	if (first)
		cfg.mgrs[cfg.nr_mgrs++] = *first;
	cfg.mgrs[cfg.nr_mgrs++] = mgr.f.addr;
	loop.loop = flint_loop_new();
	cfg.loop = loop.loop;
	cluster = flint_cluster_new(&cfg);
	assert_non_null(cluster);
	pthread_create(&loop.thread, NULL, test_loop_main, &loop);
}

static void cluster_stop(void)
{
	test_loop_stop(&loop);
	flint_cluster_free(cluster);
	flint_loop_free(loop.loop);
}

static int setup(void **state)
{
	struct map_sample s;

	memset(&mgr, 0, sizeof(mgr));
	pthread_mutex_init(&mgr.lock, NULL);
	map_sample_make(&s);
	mgr.len = sizeof(s);
	mgr.image = malloc(mgr.len);
	memcpy(mgr.image, &s, sizeof(s));
	mgr.epoch = 7;
	image_seal();
	return fake_server_start(&mgr.f, key, FLINT_ROLE_MGR, on_request, NULL);
}

static int teardown(void **state)
{
	mgr_set(MAP_REFUSED, 1);	/* nobody stays waiting */
	fake_server_stop(&mgr.f);
	free(mgr.image);
	return 0;
}

static void test_first_and_next(void **state)
{
	struct flint_map_ref *a, *b;

	cluster_start(key, NULL);
	WAIT_FOR(flint_cluster_epoch(cluster) == 7);
	a = flint_cluster_map(cluster);
	assert_int_equal(a->map.nr_targets, 3);
	mgr_set(MAP_GOOD, 8);
	WAIT_FOR(flint_cluster_epoch(cluster) == 8);
	b = flint_cluster_map(cluster);
	assert_int_equal(a->map.epoch, 7);	/* a snapshot does not change */
	assert_int_equal(b->map.epoch, 8);
	assert_int_equal(le32_to_cpu(a->map.targets[2].id), 12);
	flint_map_put(a);
	flint_map_put(b);
	assert_int_equal(__atomic_load_n(&changes, __ATOMIC_RELAXED), 2);
	cluster_stop();
}

static void test_bad_maps(void **state)
{
	static const enum map_mode bad[] = { MAP_BAD_CRC, MAP_MALFORMED, MAP_REFUSED,
					     MAP_SHORT_BODY };
	unsigned int i, asked;

	mgr.mode = MAP_BAD_CRC;
	cluster_start(key, NULL);
	for (i = 0; i < 4; i++) {
		mgr_set(bad[i], 7);
		asked = mgr_asked();
		WAIT_FOR(mgr_asked() > asked);	/* keeps asking, with pauses */
		assert_int_equal(flint_cluster_epoch(cluster), 0);
		assert_null(flint_cluster_map(cluster));
	}
	mgr_set(MAP_GOOD, 9);
	WAIT_FOR(flint_cluster_epoch(cluster) == 9);
	mgr_set(MAP_OLD, 10);
	asked = mgr_asked();
	WAIT_FOR(mgr_asked() > asked);
	assert_int_equal(flint_cluster_epoch(cluster), 9);
	assert_true(mgr_asked() < 200);			/* never in a tight loop */
	cluster_stop();
}

static void test_large_map(void **state)
{
	enum { NODES = 900 };
	struct flint_map_hdr *h;
	struct flint_map_node *n;
	struct flint_map_ref *ref;
	uint32_t i;

	mgr.len = sizeof(*h) + NODES * sizeof(*n);	/* 150 KB: more than is first asked for */
	free(mgr.image);
	mgr.image = calloc(1, mgr.len);
	h = (struct flint_map_hdr *)mgr.image;
	*h = (struct flint_map_hdr){
		.magic = cpu_to_le32(FLINT_MAP_MAGIC), .version = cpu_to_le16(FLINT_MAP_VERSION),
		.hdr_len = cpu_to_le16(sizeof(*h)), .total_len = cpu_to_le32(mgr.len),
		.nr_nodes = cpu_to_le32(NODES) };
	n = (struct flint_map_node *)(h + 1);
	for (i = 0; i < NODES; i++)
		n[i].id = cpu_to_le32(i + 1);
	image_seal();
	cluster_start(key, NULL);
	WAIT_FOR(flint_cluster_epoch(cluster) == 7);
	ref = flint_cluster_map(cluster);
	assert_non_null(flint_map_node(&ref->map, NODES));
	flint_map_put(ref);
	cluster_stop();
}

static void test_second_manager(void **state)
{
	struct sockaddr_storage dead = mgr.f.addr;

	flint_addr_set_port(&dead, 1);	/* nobody listens there */
	cluster_start(key, &dead);
	WAIT_FOR(flint_cluster_epoch(cluster) == 7);
	cluster_stop();
}

/* A manager that does not lead and has no map: it sends everybody on. */
static void on_follower_request(void *arg, struct flint_call *call)
{
	struct flint_leader_hint hint = { .node_id = 0 };

	__atomic_add_fetch((unsigned int *)arg, 1, __ATOMIC_RELAXED);
	flint_call_reply(call, FLINT_ST_NOT_LEADER, &hint, sizeof(hint), NULL, 0, 0);
}

static void member_start(void *arg);
static void member_stop(void *arg);
static struct flint_member *member;

static void test_follower(void **state)
{
	struct fake_server follower;
	unsigned int asked = 0;

	assert_int_equal(fake_server_start(&follower, key, FLINT_ROLE_MGR, on_follower_request,
					   &asked), 0);
	cluster_start(key, &follower.addr);
	test_on_loop(&loop, member_start, NULL);
	WAIT_FOR(flint_cluster_epoch(cluster) == 7);
	WAIT_FOR(flint_member_node_id(member) == 42);
	assert_true(__atomic_load_n(&asked, __ATOMIC_RELAXED) > 0);
	test_on_loop(&loop, member_stop, NULL);
	cluster_stop();
	fake_server_stop(&follower);
}

struct waiting {
	struct flint_cluster_waiter w;
	uint64_t epoch, timeout_ms;
	int err, calls;
};

static void on_waited(struct flint_cluster_waiter *w, int err)
{
	struct waiting *x = (struct waiting *)((char *)w - offsetof(struct waiting, w));

	x->err = err;
	__atomic_add_fetch(&x->calls, 1, __ATOMIC_RELEASE);
}

static void wait_start(void *arg)
{
	struct waiting *x = arg;

	x->w.fn = on_waited;
	flint_cluster_wait(cluster, &x->w, x->epoch, x->timeout_ms);
}

#define CALLS(x) __atomic_load_n(&(x).calls, __ATOMIC_ACQUIRE)

static void test_wrong_key(void **state)
{
	uint8_t wrong[FLINT_KEY_LEN] = { 4 };

	struct waiting w = { .epoch = 1, .timeout_ms = 60000 };

	cluster_start(wrong, NULL);
	test_on_loop(&loop, wait_start, &w);
	WAIT_FOR(CALLS(w) == 1);	/* nobody waits in vain for a key to become right */
	assert_int_equal(w.err, -EACCES);
	assert_int_equal(flint_cluster_epoch(cluster), 0);
	assert_int_equal(mgr_asked(), 0);
	cluster_stop();
}

static void test_waiters(void **state)
{
	struct waiting now = { .epoch = 7 }, never = { .epoch = 100, .timeout_ms = 50 };
	struct waiting soon = { .epoch = 9, .timeout_ms = 10000 };
	struct waiting later = { .epoch = 50, .timeout_ms = 10000 };

	cluster_start(key, NULL);
	WAIT_FOR(flint_cluster_epoch(cluster) == 7);
	test_on_loop(&loop, wait_start, &now);
	assert_int_equal(CALLS(now), 1);
	assert_int_equal(now.err, 0);
	test_on_loop(&loop, wait_start, &never);
	test_on_loop(&loop, wait_start, &soon);
	test_on_loop(&loop, wait_start, &later);
	WAIT_FOR(CALLS(never) == 1);
	assert_int_equal(never.err, -ETIMEDOUT);
	mgr_set(MAP_GOOD, 8);
	WAIT_FOR(flint_cluster_epoch(cluster) == 8);
	assert_int_equal(CALLS(soon), 0);
	mgr_set(MAP_GOOD, 20);
	WAIT_FOR(CALLS(soon) == 1);
	assert_int_equal(soon.err, 0);
	cluster_stop();			/* with one still waiting */
	assert_int_equal(CALLS(later), 0);
}

static void peers_get(void *arg)
{
	int err = 0;
	struct flint_peer *p = flint_cluster_peer(cluster, 1, &err);

	assert_non_null(p);
	assert_ptr_equal(flint_cluster_peer(cluster, 1, &err), p);
	assert_null(flint_cluster_peer(cluster, 77, &err));
	assert_int_equal(err, -ENOENT);
}

static void test_peers(void **state)
{
	cluster_start(key, NULL);
	WAIT_FOR(flint_cluster_epoch(cluster) == 7);
	test_on_loop(&loop, peers_get, NULL);
	/* The node moves: the old connection goes, the next call gets another. */
	pthread_mutex_lock(&mgr.lock);
	((struct map_sample *)mgr.image)->nodes[0].addrs[0].port = cpu_to_le16(9);
	pthread_mutex_unlock(&mgr.lock);
	mgr_set(MAP_GOOD, 8);
	WAIT_FOR(flint_cluster_epoch(cluster) == 8);
	test_on_loop(&loop, peers_get, NULL);
	usleep(50000);
	cluster_stop();
}

/* ---- membership --------------------------------------------------------- */

static unsigned int refusals, nr_given = 2;

static int give_targets(void *arg, struct flint_hb_target *t, unsigned int max)
{
	unsigned int i, nr = __atomic_load_n(&nr_given, __ATOMIC_RELAXED);

	assert_true(nr <= max);
	for (i = 0; i < nr; i++)
		t[i].target_id = cpu_to_le32(10 + i);
	return nr;
}

/* Of the last answer: how many, and of how many answers; the loop's. */
static unsigned int nr_orders, nr_answers, nr_settings;

static void on_orders(void *arg, const struct flint_hb_order *o, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		assert_int_equal(le32_to_cpu(o[i].target_id), 10 + i);
		assert_int_equal(le32_to_cpu(o[i].chain), 3);
		assert_int_equal(o[i].state, FLINT_TARGET_SERVING);
		assert_int_equal(o[i].flags, i ? FLINT_HB_ADMITTED : 0);
	}
	__atomic_store_n(&nr_orders, nr, __ATOMIC_RELAXED);
	__atomic_add_fetch(&nr_answers, 1, __ATOMIC_RELAXED);
}

static void on_settings(void *arg, const struct flint_hb_settings *s)
{
	assert_int_equal(le64_to_cpu(s->recovery_bps), 1000);
	assert_int_equal(le32_to_cpu(s->scrub_days), 30);
	__atomic_add_fetch(&nr_settings, 1, __ATOMIC_RELAXED);
}

static void beat_mode(enum beat_mode mode)
{
	pthread_mutex_lock(&mgr.lock);
	mgr.beat = mode;
	pthread_mutex_unlock(&mgr.lock);
}

static unsigned int mgr_last_targets(void)
{
	unsigned int n;

	pthread_mutex_lock(&mgr.lock);
	n = mgr.last_targets;
	pthread_mutex_unlock(&mgr.lock);
	return n;
}

static unsigned int atomic_get(const unsigned int *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void on_refused(void *arg, uint32_t status)
{
	assert_int_equal(status, EEXIST);
	__atomic_add_fetch(&refusals, 1, __ATOMIC_RELAXED);
}

static void member_start(void *arg)
{
	struct flint_member_config cfg = {
		.cluster = cluster, .loop = loop.loop, .role = FLINT_ROLE_CHUNK, .name = "c1",
		.tcp_port = 7461, .addrs[1] = { .family = 4, .proto = FLINT_PROTO_TCP },
		.targets = give_targets, .max_targets = 64,
		.refused = on_refused, .orders = on_orders, .settings = on_settings,
	};

	member = flint_member_new(&cfg);
	assert_non_null(member);
}

static void member_stop(void *arg)
{
	flint_member_free(member);
}

static void test_member(void **state)
{
	unsigned int n;

	cluster_start(key, NULL);
	test_on_loop(&loop, member_start, NULL);
	assert_false(flint_member_lease_valid(member));
	WAIT_FOR(flint_member_node_id(member) == 42);
	WAIT_FOR(flint_member_lease_valid(member));
	WAIT_FOR(mgr_beats() > 3);
	pthread_mutex_lock(&mgr.lock);
	assert_string_equal((char *)mgr.last.name, "c1");
	assert_int_equal(le32_to_cpu(mgr.last.node_id), 42);
	assert_int_equal(le32_to_cpu(mgr.last.nr_targets), 2);
	assert_int_equal(mgr.last_targets, 2);
	assert_int_equal(le16_to_cpu(mgr.last.tcp_port), 7461);
	assert_int_equal(mgr.last.addrs[1].family, 4);
	/* Two thirds of 300 ms after the send time it is over. */
	assert_true(flint_member_lease_end_ns(member) <= flint_now_ns() + 200000000);
	mgr.beat = BEAT_SILENT;
	pthread_mutex_unlock(&mgr.lock);
	WAIT_FOR(!flint_member_lease_valid(member));
	pthread_mutex_lock(&mgr.lock);
	mgr.beat = BEAT_GOOD;
	pthread_mutex_unlock(&mgr.lock);
	WAIT_FOR(flint_member_lease_valid(member));

	/* An answer to something else must not extend the lease. */
	pthread_mutex_lock(&mgr.lock);
	mgr.beat = BEAT_WRONG_ECHO;
	pthread_mutex_unlock(&mgr.lock);
	WAIT_FOR(!flint_member_lease_valid(member));
	n = mgr_beats();
	WAIT_FOR(mgr_beats() > n + 1);
	assert_false(flint_member_lease_valid(member));

	/* As many targets as a chunk server can have. */
	beat_mode(BEAT_GOOD);
	__atomic_store_n(&nr_given, 64, __ATOMIC_RELAXED);
	WAIT_FOR(mgr_last_targets() == 64);
	__atomic_store_n(&nr_given, 2, __ATOMIC_RELAXED);
	WAIT_FOR(mgr_last_targets() == 2);

	/* Orders of our length and of a longer one; a reply of a version without them. */
	beat_mode(BEAT_ORDERS);
	WAIT_FOR(atomic_get(&nr_orders) == 2);
	assert_true(flint_member_lease_valid(member));
	beat_mode(BEAT_REP_40);
	WAIT_FOR(atomic_get(&nr_orders) == 0);
	n = atomic_get(&nr_settings);
	assert_true(n > 0);
	beat_mode(BEAT_ORDERS_LONGER);
	WAIT_FOR(atomic_get(&nr_orders) == 2);
	WAIT_FOR(atomic_get(&nr_settings) > n);
	/* One whose orders are cut off is no answer. */
	beat_mode(BEAT_ORDERS_CUT);
	WAIT_FOR(!flint_member_lease_valid(member));
	n = atomic_get(&nr_answers);
	WAIT_FOR(mgr_beats() > 3);
	assert_int_equal(atomic_get(&nr_answers), n);

	refusals = 0;
	pthread_mutex_lock(&mgr.lock);
	mgr.beat = BEAT_REFUSED;
	pthread_mutex_unlock(&mgr.lock);
	WAIT_FOR(__atomic_load_n(&refusals, __ATOMIC_RELAXED));
	assert_false(flint_member_lease_valid(member));
	test_on_loop(&loop, member_stop, NULL);
	cluster_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_and_next, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_maps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_map, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_manager, setup, teardown),
		cmocka_unit_test_setup_teardown(test_follower, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_member, setup, teardown),
	};

	flint_log_init("test", FLINT_LOG_ERR - 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
