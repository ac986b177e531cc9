// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The managers' state: commands make the same of every copy, what does not fit
 * leaves no trace, what is written comes back, and a database that cannot be
 * believed is refused in words.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "mgr/state.h"

static char dir[64], err[512];

static int setup(void **state)
{
	strcpy(dir, "/tmp/mgr_state_XXXXXX");
	assert_non_null(mkdtemp(dir));
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static struct mgr_db *open_db(struct mgr_state **st)
{
	struct mgr_db *d;

	assert_int_equal(mgr_db_open(&d, dir, err, sizeof(err)), 0);
	assert_int_equal(mgr_db_load(d, st, err, sizeof(err)), 0);
	return d;
}

static struct mgr_state *fresh(void)
{
	static const u8 id[16] = { 1, 2, 3 };
	struct mgr_state *st = mgr_state_new(id, "test", MGR_DEFAULT_LEASE_MS);

	assert_non_null(st);
	return st;
}

static void fill(struct mgr_state *st)
{
	struct mgr_node *n = mgr_node_add(st, FLINT_ROLE_CHUNK, "c1");
	struct mgr_target *t;
	struct mgr_chain *c;
	struct mgr_table *table;
	struct mgr_fs *fs;
	u32 node = n->id, chain;

	n->addrs[0].family = 4;
	t = mgr_target_add(st, 5);
	t->node = node;
	t->capacity = 1ull << 40;
	memset(t->uuid, 5, sizeof(t->uuid));
	t = mgr_target_add(st, 3);
	t->node = node;
	c = mgr_chain_add(st);
	c->nr = 2;
	c->targets[0] = 5;
	c->targets[1] = 3;
	chain = c->id;
	table = mgr_table_add(st, 1, 1, 1);
	table->chains[0] = chain;
	fs = mgr_fs_add(st, "data");
	fs->meta_node = node;
	fs->root_ino = 42;
	fs->layout.chunk_shift = 20;
	t = mgr_target_find(st, 5);
	t->incarnation = 0xfedcba9876543210ull;
	t->state_ver = 7;
	t->wish = 2;
	t->draining = true;
	mgr_node_find(st, node)->draining = true;
	st->set.recovery_bps = 1ull << 40;
	st->set.scrub_days = 30;
	st->set.lease_wish = 3000;
	st->set.dirty = true;
	mgr_event_add(st, &(struct mgr_event){ .kind = MGR_EV_TARGET, .chain = chain, .target = 5,
					       .version = 9, .from = 1, .to = 2, .reason = 3 });
}

/* What comes later pushes out what came first, and all managers keep the same. */
static void test_history(void **state)
{
	struct mgr_state *a = fresh(), *b = fresh(), *c;
	struct mgr_db *d = open_db(&c);
	bool whole;
	u32 i, len;
	u8 *cmd;

	mgr_state_settle(a);
	mgr_state_settle(b);
	for (i = 1; i <= MGR_EVENTS_MAX + 20; i++) {
		mgr_event_add(a, &(struct mgr_event){ .kind = MGR_EV_NODE, .node = i });
		if (i % 500 && i < MGR_EVENTS_MAX)
			continue;
		assert_int_equal(mgr_command_encode(a, true, false, &cmd, &len), 0);
		assert_int_equal(mgr_command_apply(b, cmd, len, &whole, err, sizeof(err)), 0);
		free(cmd);
		assert_int_equal(mgr_db_write(d, b, i == 500, i, 1, err, sizeof(err)), 0);
		mgr_state_settle(b);
	}
	assert_int_equal(b->nr_events, MGR_EVENTS_MAX);
	assert_int_equal(b->events[0].seq, 21);
	assert_int_equal(b->events[MGR_EVENTS_MAX - 1].node, MGR_EVENTS_MAX + 20);
	assert_int_equal(b->events[MGR_EVENTS_MAX - 1].epoch, b->epoch);
	assert_true(b->events[0].time_ns > 0);
	assert_int_equal(mgr_state_checksum(a), mgr_state_checksum(b));
	mgr_db_close(d);
	d = open_db(&c);
	assert_int_equal(mgr_state_checksum(c), mgr_state_checksum(b));
	mgr_db_close(d);
	mgr_state_free(a);
	mgr_state_free(b);
	mgr_state_free(c);
}

/* Send what changed in @from to @to. */
static struct mgr_token *put_token(struct mgr_state *st, u64 id)
{
	struct flint_token t = {
		.magic = cpu_to_le32(FLINT_TOKEN_MAGIC), .version = FLINT_TOKEN_V1,
		.fixed_len = cpu_to_le16(sizeof(t)), .fs = cpu_to_le32(1), .id = cpu_to_le64(id),
		.issued = cpu_to_le64(1000), .expires = cpu_to_le64(2000),
	};
	struct mgr_token *rec = mgr_token_put(st, &t);

	assert_non_null(rec);
	snprintf(rec->note, sizeof(rec->note), "token %llu", (unsigned long long)id);
	return rec;
}

static int send(struct mgr_state *from, struct mgr_state *to, bool whole)
{
	bool is_whole;
	u8 *cmd;
	u32 len;
	int ret;

	assert_int_equal(mgr_command_encode(from, true, whole, &cmd, &len), 0);
	ret = mgr_command_apply(to, cmd, len, &is_whole, err, sizeof(err));
	if (!ret)
		assert_int_equal(is_whole, whole);
	free(cmd);
	return ret;
}

static void test_round_trip(void **state)
{
	struct mgr_state *st = fresh(), *none, *back;
	struct mgr_db *d = open_db(&none);
	struct stat sb;
	char path[128];

	assert_null(none);
	fill(st);
	assert_int_equal(mgr_db_write(d, st, true, 9, 2, err, sizeof(err)), 0);
	assert_int_equal(mgr_db_sync(d, err, sizeof(err)), 0);
	mgr_db_close(d);

	snprintf(path, sizeof(path), "%s/state.db", dir);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 077, 0);

	d = open_db(&back);
	assert_int_equal(d->applied, 9);
	assert_int_equal(d->applied_term, 2);
	assert_int_equal(mgr_state_checksum(st), mgr_state_checksum(back));
	assert_memory_equal(back->set.cluster_id, st->set.cluster_id, 16);
	assert_string_equal(back->set.cluster_name, "test");
	assert_int_equal(back->targets[0].id, 3);
	assert_int_equal(back->targets[1].capacity, 1ull << 40);
	assert_int_equal(back->chains[0].targets[0], 5);
	assert_int_equal(back->tables[0].chains[0], back->chains[0].id);
	assert_int_equal(mgr_fs_find_name(back, "data")->root_ino, 42);
	assert_non_null(mgr_node_find_name(back, FLINT_ROLE_CHUNK, "c1"));
	assert_null(mgr_node_find_name(back, FLINT_ROLE_META, "c1"));
	mgr_db_close(d);
	mgr_state_free(st);
	mgr_state_free(back);
}

/* A leader, a follower, and one that joins late by a snapshot. */
static void test_commands(void **state)
{
	struct mgr_state *next = fresh(), *leader = calloc(1, sizeof(*leader));
	struct mgr_state *follower = calloc(1, sizeof(*follower)), *late = fresh();
	struct mgr_db *d = open_db(&(struct mgr_state *){ NULL });
	struct mgr_state *back;
	bool whole;
	u8 *cmd;
	u32 len, i;

	next->seq = 1;
	assert_int_equal(send(next, leader, true), 0);
	assert_int_equal(send(next, follower, true), 0);
	mgr_state_settle(leader);
	mgr_state_settle(follower);
	for (i = 1; i < 5; i++) {
		switch (i) {
		case 1:
			fill(next);
			break;
		case 2:
			next->chains[0].version = 9;
			next->chains[0].nr = 1;
			next->chains[0].dirty = true;
			break;
		case 3:
			mgr_fs_find_name(next, "data")->gone = true;
			assert_null(mgr_fs_find_name(next, "data"));
			mgr_node_add(next, FLINT_ROLE_META, "m1");
			break;
		default:
			mgr_node_find_name(next, FLINT_ROLE_META, "m1")->gone = true;
			assert_true(mgr_fs_add(next, "more")->id == 2);
			mgr_fs_find_name(next, "more")->meta_node = 1;
		}
		assert_int_equal(mgr_command_encode(next, i != 2, false, &cmd, &len), 0);
		assert_int_equal(mgr_command_apply(leader, cmd, len, &whole, err, sizeof(err)), 0);
		assert_int_equal(mgr_command_apply(follower, cmd, len, &whole, err, sizeof(err)), 0);
		/* A second time it is for another state. */
		assert_int_equal(mgr_command_apply(follower, cmd, len, &whole, err, sizeof(err)),
				 -EPROTO);
		assert_int_equal(mgr_db_write(d, follower, i == 1, i, 1, err, sizeof(err)), 0);
		mgr_state_settle(leader);
		mgr_state_settle(follower);
		assert_int_equal(mgr_state_checksum(leader), mgr_state_checksum(next));
		assert_int_equal(mgr_state_checksum(leader), mgr_state_checksum(follower));
		free(cmd);
	}
	assert_int_equal(leader->seq, 5);
	assert_int_equal(leader->epoch, 4);
	assert_int_equal(leader->nr_nodes, 1);
	assert_int_equal(leader->nr_fs, 1);
	assert_int_equal(send(follower, late, true), 0);
	assert_int_equal(mgr_state_checksum(leader), mgr_state_checksum(late));
	assert_int_equal(mgr_db_load(d, &back, err, sizeof(err)), 0);
	assert_int_equal(mgr_state_checksum(leader), mgr_state_checksum(back));
	mgr_db_close(d);
	mgr_state_free(back);
	mgr_state_free(next);
	mgr_state_free(leader);
	mgr_state_free(follower);
	mgr_state_free(late);
}

/* A change that makes no sense, or that was worked out on something else, changes nothing. */
static void test_refused_commands(void **state)
{
	struct mgr_state *st = fresh(), *bad;
	u64 sum;

	fill(st);
	mgr_state_settle(st);
	st->nodes[0].incarnation = 77;
	st->nodes[0].heard_ns = 88;
	sum = mgr_state_checksum(st);

	bad = mgr_state_clone(st);
	mgr_fs_add(bad, "broken")->meta_node = 999;	/* no such node */
	assert_int_not_equal(mgr_state_check(bad, err, sizeof(err)), 0);
	assert_int_equal(send(bad, st, false), -EPROTO);
	assert_int_equal(mgr_state_checksum(st), sum);
	assert_true(strlen(err) > 10);
	mgr_state_free(bad);

	bad = mgr_state_clone(st);
	bad->seq += 5;
	assert_int_equal(send(bad, st, false), -EPROTO);
	bad->seq = st->seq;
	bad->epoch = st->epoch + 7;
	assert_int_equal(send(bad, st, false), -EPROTO);
	assert_int_equal(mgr_state_checksum(st), sum);
	assert_int_equal(st->nodes[0].incarnation, 77);
	assert_int_equal(st->nodes[0].heard_ns, 88);
	mgr_state_free(bad);
	mgr_state_free(st);
}

/* Cut short and with every byte changed: refused or sensible, never half. */
static void test_mangled_commands(void **state)
{
	struct mgr_state *st = fresh(), *from, *to;
	bool whole;
	u32 len, i;
	u8 *cmd, *short_cmd;

	mgr_state_settle(st);
	from = mgr_state_clone(st);
	fill(from);
	assert_int_equal(mgr_command_encode(from, true, false, &cmd, &len), 0);
	for (i = 0; i < len; i++) {
		to = mgr_state_clone(st);
		short_cmd = malloc(i + 1);
		memcpy(short_cmd, cmd, i);
		assert_int_equal(mgr_command_apply(to, short_cmd, i, &whole, err, sizeof(err)),
				 -EPROTO);
		free(short_cmd);
		cmd[i] ^= 0xff;
		if (!mgr_command_apply(to, cmd, len, &whole, err, sizeof(err)))
			assert_int_equal(mgr_state_check(to, err, sizeof(err)), 0);
		cmd[i] ^= 0xff;
		mgr_state_free(to);
	}
	free(cmd);
	mgr_state_free(from);
	mgr_state_free(st);
}

/* No space: the database is as it was, and the sentence says so. */
static void test_full_disk(void **state)
{
	struct mgr_state *st = fresh(), *none, *back;
	struct mgr_db *d = open_db(&none);
	char name[32];
	int ret = 0, i;

	fill(st);
	assert_int_equal(mgr_db_write(d, st, true, 1, 1, err, sizeof(err)), 0);
	mgr_state_settle(st);
	assert_int_equal(sqlite3_exec(d->db, "PRAGMA max_page_count=1", NULL, NULL, NULL), 0);
	for (i = 0; i < 1000 && !ret; i++) {
		snprintf(name, sizeof(name), "node%d", i);
		mgr_node_add(st, FLINT_ROLE_CHUNK, name);
		ret = mgr_db_write(d, st, false, 2 + i, 1, err, sizeof(err));
	}
	assert_int_equal(ret, -ENOSPC);
	assert_non_null(strstr(err, "no space left"));
	assert_int_equal(mgr_db_load(d, &back, err, sizeof(err)), 0);
	assert_null(mgr_node_find_name(back, FLINT_ROLE_CHUNK, name));
	assert_int_equal(d->applied, i);
	mgr_state_free(back);
	mgr_state_free(st);
	mgr_db_close(d);
}

/* What schema 2 added to the first one. */
static const char schema_2[] =
	"CREATE TABLE tokens(id INTEGER PRIMARY KEY, revoked INTEGER NOT NULL,"
	"  note TEXT NOT NULL, claims BLOB NOT NULL);"
	"ALTER TABLE nodes ADD COLUMN http_port INTEGER NOT NULL DEFAULT 0;"
	"INSERT INTO settings VALUES ('seq', 40), ('applied', 50), ('applied_term', 6),"
	"  ('next_node', 9), ('next_fs', 7); PRAGMA user_version=2;";

/* A database of an older version: everything is there, and ids go on. */
static void upgrade(int version)
{
	static const char sql[] =
		"CREATE TABLE settings(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
		"CREATE TABLE nodes(id INTEGER PRIMARY KEY, role INTEGER NOT NULL, name TEXT NOT NULL,"
		"  state INTEGER NOT NULL, addrs BLOB NOT NULL, UNIQUE(role, name));"
		"CREATE TABLE targets(id INTEGER PRIMARY KEY, uuid BLOB NOT NULL,"
		"  node INTEGER NOT NULL REFERENCES nodes(id), chain INTEGER NOT NULL,"
		"  state INTEGER NOT NULL, local INTEGER NOT NULL,"
		"  capacity INTEGER NOT NULL, used INTEGER NOT NULL);"
		"CREATE TABLE chains(id INTEGER PRIMARY KEY, version INTEGER NOT NULL);"
		"CREATE TABLE chain_targets(chain INTEGER NOT NULL REFERENCES chains(id),"
		"  pos INTEGER NOT NULL, target INTEGER NOT NULL REFERENCES targets(id),"
		"  PRIMARY KEY(chain, pos)) WITHOUT ROWID;"
		"CREATE TABLE tables(id INTEGER NOT NULL, version INTEGER NOT NULL,"
		"  PRIMARY KEY(id, version)) WITHOUT ROWID;"
		"CREATE TABLE table_chains(id INTEGER NOT NULL, version INTEGER NOT NULL,"
		"  pos INTEGER NOT NULL, chain INTEGER NOT NULL REFERENCES chains(id),"
		"  PRIMARY KEY(id, version, pos)) WITHOUT ROWID;"
		"CREATE TABLE fs(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
		"  meta_node INTEGER NOT NULL REFERENCES nodes(id), root_ino INTEGER NOT NULL,"
		"  layout BLOB NOT NULL);"
		"INSERT INTO settings VALUES ('epoch', 12), ('lease_ms', 6000),"
		"  ('cluster_id', zeroblob(16)), ('cluster_name', 'old');"
		"INSERT INTO nodes VALUES (3, 3, 'meta', 1, zeroblob(96));"
		"INSERT INTO nodes VALUES (2, 2, 'chunk', 1, zeroblob(96));"
		"INSERT INTO fs VALUES (1, 'default', 3, 2, zeroblob(24));"
		"INSERT INTO targets VALUES (5, zeroblob(16), 2, 1, 4, 2, 1000, 10);"
		"INSERT INTO chains VALUES (1, 3); INSERT INTO chain_targets VALUES (1, 0, 5);"
		"PRAGMA application_id=1179405639; PRAGMA user_version=1;";
	struct mgr_state *st;
	char path[128];
	struct mgr_db *d;
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", dir);
	assert_int_equal(sqlite3_open(path, &db), 0);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), 0);
	if (version == 2)
		assert_int_equal(sqlite3_exec(db, schema_2, NULL, NULL, NULL), 0);
	sqlite3_close(db);
	d = open_db(&st);
	assert_int_equal(d->version, version);
	assert_int_equal(d->applied, version == 2 ? 50 : 0);
	assert_non_null(st);
	assert_int_equal(st->epoch, 12);
	assert_int_equal(st->seq, version == 2 ? 40 : 0);
	assert_int_equal(st->fs[0].root_ino, 2);
	assert_int_equal(st->set.fence_ms, 6000);
	assert_int_equal(st->set.scrub_days, MGR_DEFAULT_SCRUB_DAYS);
	assert_int_equal(st->targets[0].state, FLINT_TARGET_SERVING);
	assert_int_equal(st->targets[0].incarnation, 0);
	assert_int_equal(st->chains[0].version, 3);
	assert_int_equal(st->nr_events, 0);
	assert_int_equal(st->next_event, 1);
	assert_int_equal(mgr_node_add(st, FLINT_ROLE_META, "new")->id, version == 2 ? 9 : 4);
	assert_int_equal(mgr_fs_add(st, "new")->id, version == 2 ? 7 : 2);
	mgr_fs_find_name(st, "new")->meta_node = 3;
	mgr_event_add(st, &(struct mgr_event){ .kind = MGR_EV_NODE, .node = 3, .time_ns = 1 });
	assert_int_equal(mgr_db_write(d, st, false, 60, 7, err, sizeof(err)), 0);
	mgr_state_free(st);
	mgr_db_close(d);
	d = open_db(&st);
	assert_int_equal(d->version, 3);
	assert_int_equal(d->applied, 60);
	assert_int_equal(st->nr_events, 1);
	assert_int_equal(st->next_event, 2);
	mgr_state_free(st);
	mgr_db_close(d);
}

static void test_upgrade_1(void **state)
{
	upgrade(1);
}

static void test_upgrade_2(void **state)
{
	upgrade(2);
}

static void overwrite(off_t at, const char *bytes, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/state.db", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	close(fd);
}

static void test_damaged(void **state)
{
	struct mgr_state *st = fresh(), *none;
	struct mgr_db *d = open_db(&none);
	char junk[4096];

	fill(st);
	assert_int_equal(mgr_db_write(d, st, true, 1, 1, err, sizeof(err)), 0);
	assert_int_equal(mgr_db_sync(d, err, sizeof(err)), 0);
	mgr_state_free(st);
	mgr_db_close(d);
	memset(junk, 0xa5, sizeof(junk));
	overwrite(4096, junk, sizeof(junk));
	assert_int_equal(mgr_db_open(&d, dir, err, sizeof(err)), -EUCLEAN);
	assert_non_null(strstr(err, "state.db is damaged"));
	overwrite(0, junk, sizeof(junk));
	assert_int_equal(mgr_db_open(&d, dir, err, sizeof(err)), -EUCLEAN);
	assert_null(d);
}

static void test_strangers(void **state)
{
	struct mgr_state *none;
	struct mgr_db *d = open_db(&none);

	assert_int_equal(sqlite3_exec(d->db, "PRAGMA user_version=99", NULL, NULL, NULL), 0);
	mgr_db_close(d);
	assert_int_equal(mgr_db_open(&d, dir, err, sizeof(err)), -EPROTONOSUPPORT);
	assert_non_null(strstr(err, "newer version"));

	/* A database of some other program. */
	teardown(NULL);
	mkdir(dir, 0700);
	{
		char path[128];
		sqlite3 *db;

		snprintf(path, sizeof(path), "%s/state.db", dir);
		assert_int_equal(sqlite3_open(path, &db), 0);
		assert_int_equal(sqlite3_exec(db, "CREATE TABLE x(y)", NULL, NULL, NULL), 0);
		sqlite3_close(db);
	}
	assert_int_equal(mgr_db_open(&d, dir, err, sizeof(err)), -EUCLEAN);
}

/* Tokens come, are revoked and go, here, in copies, and on disk. */
static void test_tokens(void **state)
{
	struct mgr_state *next = fresh(), *other = calloc(1, sizeof(*other)), *none, *back;
	struct mgr_db *d = open_db(&none);
	static const u64 ids[] = { 30, 10, 20 };
	size_t i;

	next->seq = 1;
	assert_int_equal(send(next, other, true), 0);
	for (i = 0; i < 3; i++) {
		put_token(next, ids[i]);
		assert_int_equal(send(next, other, false), 0);
		mgr_state_settle(other);
	}
	assert_int_equal(other->nr_tokens, 3);
	assert_int_equal(other->tokens[0].id, 10);
	assert_string_equal(mgr_token_find(other, 20)->note, "token 20");
	mgr_token_find(next, 20)->revoked = true;
	mgr_token_find(next, 20)->dirty = true;
	mgr_token_find(next, 10)->gone = true;
	next->set.tokens_from = 77;
	next->set.dirty = true;
	assert_int_equal(send(next, other, false), 0);
	assert_int_equal(mgr_db_write(d, other, true, 1, 1, err, sizeof(err)), 0);
	mgr_state_settle(other);
	assert_int_equal(other->nr_tokens, 2);
	assert_true(mgr_token_find(other, 20)->revoked);
	assert_int_equal(mgr_state_checksum(next), mgr_state_checksum(other));
	mgr_db_close(d);

	d = open_db(&back);
	assert_int_equal(mgr_state_checksum(back), mgr_state_checksum(other));
	assert_int_equal(back->set.tokens_from, 77);
	assert_null(mgr_token_find(back, 10));
	mgr_db_close(d);
	mgr_state_free(back);
	mgr_state_free(next);
	mgr_state_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mangled_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tokens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_history, setup, teardown),
		cmocka_unit_test_setup_teardown(test_upgrade_1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_upgrade_2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
