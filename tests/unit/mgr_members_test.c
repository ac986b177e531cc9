// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Membership: heartbeats good and bad, silence, who founds and leads the metadata group, and the image that
 * follows from them. Every change is also made on a second state, by command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mgr/mgrd.h"
#include "userd/base/crc.h"

#define SEC	1000000000ull

/* ---- what metrics.c asks of others --------------------------------------- */

const char *mgr_role_name(u8 role)
{
	return "meta";
}

u64 mgr_target_used(struct mgr *m, const struct mgr_target *t)
{
	return 0;
}

json_t *mgr_problems(struct mgr *m)
{
	return json_array();
}

void flint_raft_metrics(FILE *f, const char *prefix, const struct flint_raft_status *st)
{
}

const struct flint_raft_status *flint_raft_status(struct flint_raft *r)
{
	return NULL;
}

/* ---- heartbeats ------------------------------------------------------- */

static struct mgr_state *st, *other;
static char why[MGR_ERR_LEN];

static int setup(void **state)
{
	static const u8 id[16] = { 1 };

	st = mgr_state_new(id, "test", MGR_DEFAULT_LEASE_MS);
	other = mgr_state_clone(st);
	mgr_state_settle(st);
	return st && other ? 0 : -1;
}

static int teardown(void **state)
{
	mgr_state_free(st);
	mgr_state_free(other);
	return 0;
}

/* What was changed goes to another manager, which must come to the same. */
static void commit(void)
{
	bool whole;
	u8 *cmd;
	u32 len;

	assert_int_equal(mgr_command_encode(st, true, false, &cmd, &len), 0);
	assert_int_equal(mgr_command_apply(other, cmd, len, &whole, why, sizeof(why)), 0);
	mgr_state_settle(other);
	assert_int_equal(mgr_state_checksum(st), mgr_state_checksum(other));
	free(cmd);
}

static struct flint_hb_target target(u32 id, u8 local, u8 uuid)
{
	struct flint_hb_target t = {
		.target_id = cpu_to_le32(id), .local_state = local,
		.capacity = cpu_to_le64(1 << 30), .used = cpu_to_le64(1 << 20),
	};

	memset(t.uuid, uuid, sizeof(t.uuid));
	return t;
}

static struct mgr_beat beat(u8 role, const char *name, u64 incarnation,
			    const struct flint_hb_target *t, u32 nr)
{
	struct mgr_beat b = { .role = role, .incarnation = incarnation, .targets = t,
			      .nr_targets = nr };

	strcpy(b.name, name);
	b.addrs[0].family = 4;
	b.addrs[0].proto = FLINT_PROTO_TCP;
	b.addrs[0].port = cpu_to_le16(7461);
	return b;
}

static u32 apply(struct mgr_beat b, u64 now, u32 *id, bool *changed)
{
	u32 status = mgr_beat_apply(st, &b, now, id, changed, why, sizeof(why));

	if (!status && *changed)
		commit();
	return status;
}

static void test_registration(void **state)
{
	struct flint_hb_target t = target(7, FLINT_LOCAL_UPTODATE, 1);
	u64 epoch = st->epoch;
	bool changed;
	u32 id, id2;

	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 11, &t, 1), SEC, &id, &changed), 0);
	assert_true(changed);
	assert_int_equal(st->epoch, epoch + 1);
	assert_int_equal(mgr_node_find(st, id)->state, FLINT_NODE_UP);
	assert_int_equal(mgr_target_find(st, 7)->node, id);
	assert_int_equal(mgr_target_find(st, 7)->state, FLINT_TARGET_WAITING);

	/* The same again changes nothing; one name in two roles is two nodes. */
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 11, &t, 1), 2 * SEC, &id2, &changed),
			 0);
	assert_false(changed);
	assert_int_equal(id, id2);
	assert_int_equal(apply(beat(FLINT_ROLE_META, "c1", 12, NULL, 0), 2 * SEC, &id2, &changed),
			 0);
	assert_int_not_equal(id, id2);
}

/* Another disk with a known id, or a copy of one, is left out; its server's others are not. */
static void test_foreign(void **state)
{
	struct flint_hb_target t = target(7, FLINT_LOCAL_UPTODATE, 1), copy[2] = { t, target(8, 2, 8) };
	struct flint_hb_target other[2] = { target(7, FLINT_LOCAL_UPTODATE, 9), target(9, 2, 2) };
	struct flint_hb_order o = { .target_id = cpu_to_le32(7) };
	bool changed;
	u32 id, id2;

	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 11, &t, 1), SEC, &id, &changed), 0);
	/* The same disk from a second server. */
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c2", 21, copy, 2), SEC, &id2, &changed), 0);
	assert_int_equal(mgr_target_find(st, 7)->node, id);
	assert_int_equal(mgr_target_find(st, 8)->node, id2);
	assert_int_equal(mgr_target_find(st, 7)->local, FLINT_LOCAL_UPTODATE);
	assert_true(mgr_target_find(st, 7)->live.foreign_copy);
	mgr_beat_target_order(st, 21, &o);
	assert_false(o.flags & FLINT_HB_ADMITTED);
	/* Its own server has another disk in its place: the registered one is gone. */
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 12, other, 2), 9 * SEC, &id, &changed), 0);
	assert_int_equal(mgr_target_find(st, 7)->local, FLINT_LOCAL_OFFLINE);
	assert_int_equal(mgr_target_find(st, 7)->uuid[0], t.uuid[0]);
	assert_int_equal(mgr_target_find(st, 7)->live.foreign_node, id);
	assert_false(mgr_target_find(st, 7)->live.foreign_copy);
	assert_int_equal(mgr_target_find(st, 9)->node, id);
	mgr_beat_target_order(st, 12, &o);
	assert_false(o.flags & FLINT_HB_ADMITTED);
	/* The right disk is back: nothing is left to complain about. */
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 13, &t, 1), 10 * SEC, &id, &changed), 0);
	assert_int_equal(mgr_target_find(st, 7)->live.foreign_node, 0);
}

static void test_refusals(void **state)
{
	struct flint_hb_target t = target(7, FLINT_LOCAL_UPTODATE, 1);
	struct flint_hb_target twice[2] = { t, t }, bad = target(7, 3, 1), zero = target(0, 1, 1);
	bool changed;
	u32 id;

	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 11, &t, 1), SEC, &id, &changed), 0);
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 11, twice, 2), SEC, &id, &changed),
			 FLINT_ST_BAD_REQUEST);
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 11, &bad, 1), SEC, &id, &changed),
			 FLINT_ST_BAD_REQUEST);
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 11, &zero, 1), SEC, &id, &changed),
			 FLINT_ST_BAD_REQUEST);
	assert_int_equal(apply(beat(FLINT_ROLE_META, "m", 11, &t, 1), SEC, &id, &changed),
			 FLINT_ST_BAD_REQUEST);
	assert_null(mgr_node_find_name(st, FLINT_ROLE_CHUNK, "c2"));
	assert_null(mgr_node_find_name(st, FLINT_ROLE_META, "m"));
}

/* A name that would break what it is quoted in is refused, unless it is known from before. */
static void test_names(void **state)
{
	static const char *const bad[] = { "a\"b", "a\\b", "a/b", "a b", "a\nb", "a\x7f", "" };
	static struct mgr m;
	char *text;
	size_t len;
	bool changed;
	FILE *f;
	u32 i, id;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(apply(beat(FLINT_ROLE_META, bad[i], 11, NULL, 0), SEC, &id, &changed),
				 FLINT_ST_BAD_REQUEST);
		assert_null(mgr_node_find_name(st, FLINT_ROLE_META, bad[i]));
	}
	assert_non_null(mgr_node_add(st, FLINT_ROLE_META, "a\"b\\c\nd"));
	commit();
	assert_int_equal(apply(beat(FLINT_ROLE_META, "a\"b\\c\nd", 11, NULL, 0), SEC, &id, &changed), 0);

	m.st = st;
	m.group.nr = 1;
	strcpy((char *)m.group.members[0].name, "a\"b\\c\nd");
	f = open_memstream(&text, &len);
	mgr_report_metrics(&m, f);
	fclose(f);
	assert_non_null(strstr(text, "flint_node_up{node=\"a\\\"b\\\\c\\nd\",role=\"meta\"} 1\n"));
	assert_non_null(strstr(text, "flint_meta_replica_behind{node=\"a\\\"b\\\\c\\nd\"} 0\n"));
	free(text);
}

/* Records of the first version, of this one, and of one to come. */
static void test_record_lengths(void **state)
{
	u8 buf[3 * 96] = { 0 };
	static const u32 lens[] = { 0, FLINT_HB_TARGET_MIN, 48, sizeof(struct flint_hb_target), 96 };
	struct flint_hb_target t = target(7, FLINT_LOCAL_ONLINE, 1);
	struct mgr_beat b = { .nr_targets = 3 };
	size_t i, j;

	t.chain_ver = cpu_to_le32(5);
	t.repaired = cpu_to_le64(9);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		u32 len = lens[i] ? lens[i] : FLINT_HB_TARGET_MIN;

		memset(buf, 0xff, sizeof(buf));
		for (j = 0; j < 3; j++)
			memcpy(buf + j * len, &t, len < sizeof(t) ? len : sizeof(t));
		assert_int_equal(mgr_beat_targets(&b, buf, 3 * len, lens[i]), 0);
		for (j = 0; j < 3; j++) {
			assert_int_equal(le32_to_cpu(b.targets[j].target_id), 7);
			assert_int_equal(le32_to_cpu(b.targets[j].chain_ver), len > 40 ? 5 : 0);
			assert_int_equal(le64_to_cpu(b.targets[j].repaired),
					 len >= sizeof(t) ? 9 : 0);
		}
		free((void *)b.targets);
		b.targets = NULL;
		/* One byte is missing. */
		assert_int_equal(mgr_beat_targets(&b, buf, 3 * len - 1, lens[i]), -EPROTO);
	}
	assert_int_equal(mgr_beat_targets(&b, buf, sizeof(buf), 39), -EPROTO);
	assert_int_equal(mgr_beat_targets(&b, buf, sizeof(buf), 0xffffffff), -EPROTO);
	b.nr_targets = 0xffffffff;
	assert_int_equal(mgr_beat_targets(&b, buf, sizeof(buf), 0), -EPROTO);
	b.nr_targets = 0;
	assert_int_equal(mgr_beat_targets(&b, buf, 0, 0), 0);
	assert_null(b.targets);
}

static void test_two_of_a_name(void **state)
{
	bool changed;
	u32 id;

	assert_int_equal(apply(beat(FLINT_ROLE_META, "m", 1, NULL, 0), SEC, &id, &changed), 0);
	/* A restart brings a new incarnation; the old one must not come back. */
	assert_int_equal(apply(beat(FLINT_ROLE_META, "m", 2, NULL, 0), SEC, &id, &changed), 0);
	assert_int_equal(apply(beat(FLINT_ROLE_META, "m", 1, NULL, 0), SEC, &id, &changed),
			 FLINT_ST_FENCED);
	assert_int_equal(apply(beat(FLINT_ROLE_META, "m", 2, NULL, 0), SEC, &id, &changed), 0);
}

/* One chain of one target. */
static void make_chain(u32 target_id)
{
	struct mgr_table *table = mgr_table_add(st, 1, 1, 1);
	struct mgr_chain *c = mgr_chain_add(st);
	struct mgr_target *t = mgr_target_find(st, target_id);

	c->nr = 1;
	c->targets[0] = target_id;
	t->chain = c->id;
	t->state = FLINT_TARGET_SERVING;
	t->dirty = true;
	table->chains[0] = c->id;
	commit();
}

static void test_silence_and_return(void **state)
{
	struct flint_hb_target t = target(1, FLINT_LOCAL_UPTODATE, 1);
	u32 id, version;
	bool changed;

	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 1, &t, 1), 10 * SEC, &id, &changed), 0);
	make_chain(1);
	version = st->chains[0].version;

	assert_false(mgr_silence_apply(st, 15 * SEC));
	assert_true(mgr_silence_apply(st, 16 * SEC));
	assert_int_equal(mgr_node_find(st, id)->state, FLINT_NODE_DOWN);
	assert_int_equal(mgr_target_find(st, 1)->state, FLINT_TARGET_LASTSRV);
	assert_int_equal(st->chains[0].version, version + 1);
	commit();

	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 2, &t, 1), 20 * SEC, &id, &changed), 0);
	assert_int_equal(mgr_target_find(st, 1)->state, FLINT_TARGET_SERVING);
	assert_int_equal(st->chains[0].version, version + 2);

	/* A target that its server no longer names is offline. */
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 2, NULL, 0), 21 * SEC, &id, &changed),
			 0);
	assert_int_equal(mgr_target_find(st, 1)->state, FLINT_TARGET_LASTSRV);
}

static void test_disk_moves(void **state)
{
	struct flint_hb_target t = target(1, FLINT_LOCAL_UPTODATE, 1);
	u32 first, second;
	bool changed;

	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 1, &t, 1), SEC, &first, &changed), 0);
	make_chain(1);
	mgr_silence_apply(st, 10 * SEC);
	commit();
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c2", 5, &t, 1), 11 * SEC, &second, &changed),
			 0);
	assert_int_equal(mgr_target_find(st, 1)->node, second);
	assert_int_equal(mgr_target_find(st, 1)->state, FLINT_TARGET_SERVING);
	/* The first server without its disk is welcome. */
	assert_int_equal(apply(beat(FLINT_ROLE_CHUNK, "c1", 2, NULL, 0), 12 * SEC, &first, &changed),
			 0);
	assert_int_equal(mgr_target_find(st, 1)->state, FLINT_TARGET_SERVING);
}

static void test_usage(void **state)
{
	struct flint_hb_target t = target(1, FLINT_LOCAL_UPTODATE, 1);
	bool changed;
	u32 id;

	apply(beat(FLINT_ROLE_CHUNK, "c1", 1, &t, 1), SEC, &id, &changed);
	assert_false(mgr_usage_apply(st, true));
	t.used = cpu_to_le64((1 << 20) + 4096);
	apply(beat(FLINT_ROLE_CHUNK, "c1", 1, &t, 1), SEC, &id, &changed);
	assert_false(changed);
	assert_false(mgr_usage_apply(st, false));
	assert_true(mgr_usage_apply(st, true));
	t.used = cpu_to_le64(1 << 29);
	apply(beat(FLINT_ROLE_CHUNK, "c1", 1, &t, 1), SEC, &id, &changed);
	assert_true(mgr_usage_apply(st, false));
	assert_int_equal(mgr_target_find(st, 1)->used, 1 << 29);
}

/* ---- the metadata group ----------------------------------------------- */

static struct mgr_beat meta(const char *name, u64 id, u64 group, u64 term, u8 role)
{
	struct mgr_beat b = beat(FLINT_ROLE_META, name, 1, NULL, 0);

	b.replica.id = cpu_to_le64(id);
	b.replica.group = cpu_to_le64(group);
	b.replica.term = cpu_to_le64(term);
	b.replica.role = role;
	return b;
}

static u32 order(struct mgr_beat b, u64 fresh, u32 *ord, bool *changed)
{
	u32 id, status = mgr_beat_apply(st, &b, SEC, &id, changed, why, sizeof(why));

	assert_int_equal(status, 0);
	status = mgr_beat_order(st, &b, id, fresh, ord, changed, why, sizeof(why));
	if (*changed)
		commit();
	return status;
}

/* Only one founds, however often and in which order they ask. */
static void test_founding(void **state)
{
	bool changed;
	u32 ord;

	assert_int_equal(order(meta("m1", 11, 0, 0, 0), 500, &ord, &changed), 0);
	assert_int_equal(ord, FLINT_ORDER_FOUND);
	assert_true(changed);
	assert_int_equal(st->set.meta_group, 500);
	assert_int_equal(order(meta("m2", 22, 0, 0, 0), 501, &ord, &changed), 0);
	assert_int_equal(ord, FLINT_ORDER_STANDBY);
	assert_int_equal(order(meta("m1", 11, 0, 0, 0), 502, &ord, &changed), 0);
	assert_int_equal(ord, FLINT_ORDER_FOUND);
	assert_int_equal(st->set.meta_group, 500);
	assert_false(changed);

	/* Wiped before anything depended on it: it founds anew, under another id. */
	assert_int_equal(order(meta("m1", 12, 0, 0, 0), 503, &ord, &changed), 0);
	assert_int_equal(ord, FLINT_ORDER_FOUND);
	assert_int_equal(st->set.meta_group, 503);
	assert_int_equal(order(meta("m1", 11, 500, 1, FLINT_REPLICA_LEADER), 504, &ord, &changed), 0);
	assert_int_equal(st->set.meta_group, 500);

	/* From now on nobody does. */
	assert_int_equal(order(meta("m1", 13, 0, 0, 0), 505, &ord, &changed), 0);
	assert_int_equal(ord, FLINT_ORDER_STANDBY);
	assert_int_equal(order(meta("m3", 33, 999, 1, FLINT_REPLICA_LEADER), 506, &ord, &changed),
			 EEXIST);
	assert_non_null(strstr(why, "another cluster"));
}

/* The map's metadata server is the leader of the highest term. */
static void test_leader_follows(void **state)
{
	struct mgr_fs *fs;
	u64 epoch;
	bool changed;
	u32 ord, one, two;

	assert_int_equal(order(meta("m1", 11, 5, 1, FLINT_REPLICA_LEADER), 0, &ord, &changed), 0);
	assert_int_equal(order(meta("m2", 22, 5, 1, FLINT_REPLICA_FOLLOWER), 0, &ord, &changed), 0);
	one = mgr_node_find_name(st, FLINT_ROLE_META, "m1")->id;
	two = mgr_node_find_name(st, FLINT_ROLE_META, "m2")->id;
	fs = mgr_fs_add(st, "fs");
	fs->meta_node = one;
	commit();
	epoch = st->epoch;

	assert_int_equal(order(meta("m2", 22, 5, 2, FLINT_REPLICA_LEADER), 0, &ord, &changed), 0);
	assert_true(changed);
	assert_int_equal(st->fs[0].meta_node, two);
	assert_int_equal(st->epoch, epoch + 1);
	/* The old leader has not noticed yet. */
	assert_int_equal(order(meta("m1", 11, 5, 1, FLINT_REPLICA_LEADER), 0, &ord, &changed), 0);
	assert_false(changed);
	assert_int_equal(st->fs[0].meta_node, two);
}

/* A cluster of a time before replication: only the server that has the files founds. */
static void test_founding_old_cluster(void **state)
{
	struct mgr_beat b = meta("m2", 22, 0, 0, 0);
	struct mgr_fs *fs;
	bool changed;
	u32 ord, id;

	assert_int_equal(apply(beat(FLINT_ROLE_META, "m1", 1, NULL, 0), SEC, &id, &changed), 0);
	fs = mgr_fs_add(st, "fs");
	fs->meta_node = id;
	commit();
	assert_int_equal(order(b, 500, &ord, &changed), 0);
	assert_int_equal(ord, FLINT_ORDER_STANDBY);
	b = meta("m1", 11, 0, 0, 0);
	assert_int_equal(order(b, 500, &ord, &changed), 0);
	assert_int_equal(ord, FLINT_ORDER_STANDBY);	/* it was emptied: do not begin anew */
	b.replica.flags = FLINT_REPLICA_STATE;
	assert_int_equal(order(b, 500, &ord, &changed), 0);
	assert_int_equal(ord, FLINT_ORDER_FOUND);
}

/* ---- the image -------------------------------------------------------- */

static void test_image(void **state)
{
	struct flint_hb_target t[2] = { target(9, 2, 9), target(4, 2, 4) };
	u8 *buf = aligned_alloc(8, 65536);
	struct flint_map_hdr *h = (void *)buf;
	struct flint_map map;
	struct mgr_fs *fs;
	bool changed;
	__le32 crc;
	u32 id, len;

	assert_int_equal(mgr_image_build(st, buf, 65536, &len), 0);
	assert_int_equal(len, sizeof(*h));
	apply(beat(FLINT_ROLE_CHUNK, "c1", 1, t, 2), SEC, &id, &changed);
	make_chain(9);
	fs = mgr_fs_add(st, "half");
	fs->meta_node = id;
	fs = mgr_fs_add(st, "whole");
	fs->meta_node = id;
	fs->root_ino = 77;
	commit();

	assert_int_equal(mgr_image_build(st, buf, 65536, &len), 0);
	assert_int_equal(flint_map_check(buf, len, &map), 0);
	assert_int_equal(map.epoch, st->epoch);
	assert_int_equal(map.nr_targets, 2);
	assert_int_equal(le32_to_cpu(map.targets[0].id), 4);
	assert_int_equal(map.nr_chains, 1);
	assert_int_equal(map.nr_fs, 1);	/* a file system without a root stays hidden */
	assert_string_equal((const char *)map.fs[0].name, "whole");
	crc = h->crc;
	h->crc = 0;
	assert_int_equal(le32_to_cpu(crc), flint_crc32c(0, buf, len));

	assert_int_equal(mgr_image_build(st, buf, len - 1, &len), -ERANGE);
	free(buf);
}

/* Versions of a table, until there is no room: the map can still be sent, and there is some left. */
static void test_image_room(void **state)
{
	struct flint_hb_target t[100];
	u32 chains[100], i, id, len, version;
	u8 *buf = aligned_alloc(8, MGR_MAX_IO);
	bool changed;

	for (i = 0; i < 100; i++)
		t[i] = target(i + 1, FLINT_LOCAL_ONLINE, i + 1);
	apply(beat(FLINT_ROLE_CHUNK, "c1", 1, t, 100), SEC, &id, &changed);
	for (i = 0; i < 100; i++)
		assert_int_equal(mgr_chain_create(st, &(u32){ i + 1 }, 1, &chains[i], why,
						  sizeof(why)), 0);
	for (i = 0; i < 10000 && !mgr_image_room(st, why, sizeof(why)); i++)
		assert_int_equal(mgr_table_create(st, 1, chains, 100, &version, why, sizeof(why)),
				 0);
	assert_int_equal(mgr_image_room(st, why, sizeof(why)), -ENOSPC);
	assert_true(i > 500);
	assert_int_equal(mgr_image_build(st, buf, MGR_MAX_IO, &len), 0);
	assert_true(len > MGR_MAP_ROOM && len < MGR_MAP_ROOM + 1000);
	free(buf);
}

static void token(u64 id, u64 issued, struct flint_token *t)
{
	*t = (struct flint_token){
		.magic = cpu_to_le32(FLINT_TOKEN_MAGIC), .version = FLINT_TOKEN_V1,
		.fixed_len = cpu_to_le16(sizeof(*t)), .fs = cpu_to_le32(1), .id = cpu_to_le64(id),
		.issued = cpu_to_le64(issued), .expires = cpu_to_le64(issued + 1000),
	};
	assert_non_null(mgr_token_put(st, t));
}

static bool revoked(const struct flint_token *t)
{
	u64 buf[512];
	struct flint_map map;
	u32 len;

	commit();
	assert_int_equal(mgr_image_build(st, buf, sizeof(buf), &len), 0);
	assert_int_equal(flint_map_check(buf, len, &map), 0);
	return flint_map_token_revoked(&map, t);
}

/* All tokens are taken back; clocks are ahead, and go back. Later ones are valid. */
static void test_revoke_all(void **state)
{
	struct flint_token old, ahead, taken, later;

	token(1, 900, &old);
	token(2, 1030, &ahead);
	token(3, 1030, &taken);
	mgr_token_find(st, 3)->revoked = true;
	assert_true(revoked(&taken));
	mgr_tokens_revoke(st, 1000);
	assert_true(revoked(&old) && revoked(&ahead) && revoked(&taken));
	assert_null(mgr_token_find(st, 1));
	token(4, 1001, &later);
	assert_false(revoked(&later));
	/* Once more, by a clock that has gone back: nothing is valid again. */
	token(5, 1000, &old);
	assert_true(revoked(&old));
	mgr_tokens_revoke(st, 950);
	assert_true(revoked(&old) && revoked(&ahead) && revoked(&taken) && revoked(&later));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_of_a_name, setup, teardown),
		cmocka_unit_test(test_record_lengths),
		cmocka_unit_test_setup_teardown(test_silence_and_return, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_founding, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leader_follows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_founding_old_cluster, setup, teardown),
		cmocka_unit_test_setup_teardown(test_image, setup, teardown),
		cmocka_unit_test_setup_teardown(test_image_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revoke_all, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
