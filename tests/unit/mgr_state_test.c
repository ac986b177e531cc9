// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manager's state: what is committed comes back, what fails leaves no
 * trace, and a database that cannot be believed is refused in words.
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

static struct mgr_state *open_ok(void)
{
	struct mgr_state *st;

	assert_int_equal(mgr_state_open(&st, dir, "test", err, sizeof(err)), 0);
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
	assert_int_equal(mgr_state_commit(st, true, err, sizeof(err)), 0);
}

static void test_round_trip(void **state)
{
	struct mgr_state *st = open_ok();
	u8 id[16];
	struct stat sb;
	char path[128];

	memcpy(id, st->cluster_id, sizeof(id));
	assert_int_equal(st->epoch, 1);
	fill(st);
	assert_int_equal(st->epoch, 2);
	mgr_state_close(st);

	snprintf(path, sizeof(path), "%s/state.db", dir);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 077, 0);

	st = open_ok();
	assert_memory_equal(id, st->cluster_id, sizeof(id));
	assert_string_equal(st->cluster_name, "test");
	assert_int_equal(st->epoch, 2);
	assert_int_equal(st->nr_targets, 2);
	assert_int_equal(st->targets[0].id, 3);
	assert_int_equal(st->targets[1].capacity, 1ull << 40);
	assert_int_equal(st->chains[0].nr, 2);
	assert_int_equal(st->chains[0].targets[0], 5);
	assert_int_equal(st->tables[0].nr, 1);
	assert_int_equal(st->tables[0].chains[0], st->chains[0].id);
	assert_int_equal(mgr_fs_find_name(st, "data")->root_ino, 42);
	assert_int_equal(mgr_fs_find_name(st, "data")->layout.chunk_shift, 20);
	assert_non_null(mgr_node_find_name(st, FLINT_ROLE_CHUNK, "c1"));
	assert_null(mgr_node_find_name(st, FLINT_ROLE_META, "c1"));
	mgr_state_close(st);
}

static void test_update_and_delete(void **state)
{
	struct mgr_state *st = open_ok();

	fill(st);
	st->chains[0].version = 9;
	st->chains[0].nr = 1;
	st->chains[0].dirty = true;
	mgr_fs_find_name(st, "data")->gone = true;
	assert_null(mgr_fs_find_name(st, "data"));
	assert_int_equal(mgr_state_commit(st, false, err, sizeof(err)), 0);
	assert_int_equal(st->nr_fs, 0);
	assert_int_equal(st->epoch, 2);
	mgr_state_close(st);
	st = open_ok();
	assert_int_equal(st->nr_fs, 0);
	assert_int_equal(st->chains[0].version, 9);
	assert_int_equal(st->chains[0].nr, 1);
	mgr_state_close(st);
}

/* A change that the database refuses is undone in memory too. */
static void test_failed_commit(void **state)
{
	struct mgr_state *st = open_ok();

	fill(st);
	st->nodes[0].incarnation = 77;
	st->nodes[0].heard_ns = 88;
	mgr_fs_add(st, "broken")->meta_node = 999;	/* no such node */
	mgr_chain_add(st);
	assert_int_not_equal(mgr_state_commit(st, true, err, sizeof(err)), 0);
	assert_true(strlen(err) > 20);
	assert_int_equal(st->epoch, 2);
	assert_int_equal(st->nr_fs, 1);
	assert_int_equal(st->nr_chains, 1);
	assert_int_equal(st->nodes[0].incarnation, 77);
	assert_int_equal(st->nodes[0].heard_ns, 88);
	st->nodes[0].dirty = true;
	assert_int_equal(mgr_state_commit(st, true, err, sizeof(err)), 0);
	assert_int_equal(st->epoch, 3);
	mgr_state_close(st);
}

/* No space: nothing changes, and the sentence says so. */
static void test_full_disk(void **state)
{
	struct mgr_state *st = open_ok();
	char name[32];
	int ret = 0, i;

	fill(st);
	assert_int_equal(sqlite3_exec(st->db, "PRAGMA max_page_count=1", NULL, NULL, NULL), 0);
	for (i = 0; i < 1000 && !ret; i++) {
		snprintf(name, sizeof(name), "node%d", i);
		mgr_node_add(st, FLINT_ROLE_CHUNK, name);
		ret = mgr_state_commit(st, true, err, sizeof(err));
	}
	assert_int_equal(ret, -ENOSPC);
	assert_non_null(strstr(err, "no space left"));
	assert_null(mgr_node_find_name(st, FLINT_ROLE_CHUNK, name));
	mgr_state_close(st);
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
	struct mgr_state *st = open_ok();
	char junk[4096];

	fill(st);
	mgr_state_close(st);
	memset(junk, 0xa5, sizeof(junk));
	overwrite(4096, junk, sizeof(junk));
	assert_int_equal(mgr_state_open(&st, dir, "test", err, sizeof(err)), -EUCLEAN);
	assert_non_null(strstr(err, "state.db is damaged"));
	overwrite(0, junk, sizeof(junk));
	assert_int_equal(mgr_state_open(&st, dir, "test", err, sizeof(err)), -EUCLEAN);
	assert_null(st);
}

static void test_strangers(void **state)
{
	struct mgr_state *st = open_ok();

	assert_int_equal(sqlite3_exec(st->db, "PRAGMA user_version=99", NULL, NULL, NULL), 0);
	mgr_state_close(st);
	assert_int_equal(mgr_state_open(&st, dir, "test", err, sizeof(err)), -EPROTONOSUPPORT);
	assert_non_null(strstr(err, "another version"));

	/* A database of some other program. */
	st = NULL;
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
	assert_int_equal(mgr_state_open(&st, dir, "test", err, sizeof(err)), -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_update_and_delete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
