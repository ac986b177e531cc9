// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What earlier releases said on the wire (tests/corpus/VERSION/, recorded by
 * tests/corpus/record.py) is understood by this one: every message parses, its
 * body is long enough for today's decoder, what the checkers of codec.h accept
 * they accept, and no structure has become shorter than what is sent to it.
 *
 * A test, then, of the two rules of wire.h that make versions N and N-1 work
 * together: bodies grow at the end only, and what they lack is zero.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../uapi/flintfs/codec.h"
#include "../../uapi/flintfs/lease.h"
#include "../../uapi/flintfs/raft.h"

#define VAR	1	/* the body begins with fixed_len, strings or records follow */

/**
 * struct kind - a body as today's decoder takes it
 * @min: what it demands; bodies of errors are not looked at
 */
struct kind {
	uint16_t op;
	bool reply;
	const char *name;
	uint32_t size, min;
	int flags;
};

#define REQ(op, type, flags)		{ op, false, #type, sizeof(struct type), sizeof(struct type), flags }
#define REP(op, type)			{ op, true, #type, sizeof(struct type), sizeof(struct type), 0 }
#define MIN(op, reply, type, min, flags) { op, reply, #type, sizeof(struct type), min, flags }
#define NONE(op, reply)			{ op, reply, "nothing", 0, 0, 0 }

static const struct kind kinds[] = {
	MIN(FLINT_OP_HELLO, false, flint_hello, FLINT_HELLO_MIN, 0),
	REP(FLINT_OP_HELLO, flint_hello_rep),
	REQ(FLINT_OP_AUTH, flint_auth, 0), NONE(FLINT_OP_AUTH, true),
	NONE(FLINT_OP_PING, false), NONE(FLINT_OP_PING, true),
	REQ(FLINT_OP_MAP_GET, flint_map_get, 0), REP(FLINT_OP_MAP_GET, flint_map_got),
	MIN(FLINT_OP_HEARTBEAT, false, flint_heartbeat, FLINT_HEARTBEAT_MIN, VAR),
	MIN(FLINT_OP_HEARTBEAT, true, flint_heartbeat_rep, FLINT_HEARTBEAT_REP_MIN, 0),
	REQ(FLINT_OP_META_JOB, flint_meta_job, VAR), REP(FLINT_OP_META_JOB, flint_meta_job_rep),
	REQ(FLINT_OP_SESSION_OPEN, flint_session_open, VAR),
	REP(FLINT_OP_SESSION_OPEN, flint_session_rep),
	NONE(FLINT_OP_SESSION_CLOSE, false), NONE(FLINT_OP_SESSION_CLOSE, true),
	REQ(FLINT_OP_LOOKUP, flint_name_req, VAR), REP(FLINT_OP_LOOKUP, flint_attr),
	REQ(FLINT_OP_GETATTR, flint_ino_req, 0), REP(FLINT_OP_GETATTR, flint_attr),
	MIN(FLINT_OP_SETATTR, false, flint_setattr, FLINT_SETATTR_MIN, 0),
	REP(FLINT_OP_SETATTR, flint_attr),
	REQ(FLINT_OP_OPEN, flint_open, VAR), REP(FLINT_OP_OPEN, flint_open_rep),
	REQ(FLINT_OP_CLOSE, flint_close, 0), NONE(FLINT_OP_CLOSE, true),
	REQ(FLINT_OP_MKNOD, flint_mknod, VAR), REP(FLINT_OP_MKNOD, flint_attr),
	REQ(FLINT_OP_LINK, flint_link, VAR), REP(FLINT_OP_LINK, flint_attr),
	REQ(FLINT_OP_UNLINK, flint_name_req, VAR), REP(FLINT_OP_UNLINK, flint_unlink_rep),
	REQ(FLINT_OP_RENAME, flint_rename, VAR), REP(FLINT_OP_RENAME, flint_rename_rep),
	REQ(FLINT_OP_READDIR, flint_readdir, 0),
	MIN(FLINT_OP_READDIR, true, flint_readdir_rep, FLINT_READDIR_REP_MIN, 0),
	REQ(FLINT_OP_READLINK, flint_ino_req, 0), NONE(FLINT_OP_READLINK, true),
	REQ(FLINT_OP_STATFS, flint_ino_req, 0), REP(FLINT_OP_STATFS, flint_statfs),
	REQ(FLINT_OP_GETXATTR, flint_xattr, VAR), REP(FLINT_OP_GETXATTR, flint_xattr_rep),
	REQ(FLINT_OP_SETXATTR, flint_xattr, VAR), REP(FLINT_OP_SETXATTR, flint_attr),
	REQ(FLINT_OP_LISTXATTR, flint_xattr, VAR), REP(FLINT_OP_LISTXATTR, flint_xattr_rep),
	REQ(FLINT_OP_REMOVEXATTR, flint_xattr, VAR), REP(FLINT_OP_REMOVEXATTR, flint_attr),
	MIN(FLINT_OP_EXTEND, false, flint_extend, FLINT_EXTEND_MIN, 0),
	REP(FLINT_OP_EXTEND, flint_attr),
	MIN(FLINT_OP_APPEND, false, flint_extend, FLINT_EXTEND_MIN, 0),
	REP(FLINT_OP_APPEND, flint_append_rep),
	REQ(FLINT_OP_FS_CREATE, flint_fs_create, 0), REP(FLINT_OP_FS_CREATE, flint_attr),
	REQ(FLINT_OP_DIRSTAT, flint_ino_req, 0), REP(FLINT_OP_DIRSTAT, flint_dirstat),
	REQ(FLINT_OP_QUOTA_LIST, flint_list, 0), REP(FLINT_OP_QUOTA_LIST, flint_list_rep),
	REQ(FLINT_OP_TRASH_SET, flint_trash_set, 0), NONE(FLINT_OP_TRASH_SET, true),
	REQ(FLINT_OP_TRASH_LIST, flint_list, 0), REP(FLINT_OP_TRASH_LIST, flint_list_rep),
	REQ(FLINT_OP_SESSION_RENEW, flint_session_renew, 0),
	REP(FLINT_OP_SESSION_RENEW, flint_session_renewed),
	REQ(FLINT_OP_RAFT_MSG, flint_raft_msg, 0), REP(FLINT_OP_RAFT_MSG, flint_raft_msg),
	NONE(FLINT_OP_RAFT_STATUS, false), REP(FLINT_OP_RAFT_STATUS, flint_raft_stat),
	REQ(FLINT_OP_RAFT_CHANGE, flint_raft_change_req, 0),
	REP(FLINT_OP_RAFT_CHANGE, flint_raft_change_rep),
	REQ(FLINT_OP_RAFT_JOIN, flint_raft_join_req, 0),
	REP(FLINT_OP_RAFT_JOIN, flint_raft_join_rep),
	REQ(FLINT_OP_READ, flint_io, 0), REP(FLINT_OP_READ, flint_io_rep),
	REQ(FLINT_OP_WRITE, flint_io, 0), REP(FLINT_OP_WRITE, flint_io_rep),
	REQ(FLINT_OP_PUNCH, flint_io, 0), REP(FLINT_OP_PUNCH, flint_io_rep),
	REQ(FLINT_OP_CUT, flint_cut, 0),
	MIN(FLINT_OP_CUT, true, flint_cut_rep, FLINT_CUT_REP_MIN, 0),
};

static const char *path;	/* of what is looked at, for messages */

#define WANT(cond)								\
	do {									\
		if (!(cond)) {							\
			print_error("%s: %s\n", path, #cond);			\
			fail();							\
		}								\
	} while (0)

static const struct kind *kind_of(const struct flint_msg *m)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].op == m->op && kinds[i].reply == !!(m->flags & FLINT_F_REPLY))
			return &kinds[i];
	return NULL;
}

/* The records of a heartbeat are as long as its sender's, or as version 1.0's. */
static void check_beat(const struct flint_msg *m)
{
	struct flint_heartbeat hb;
	const uint8_t *tail;
	uint32_t tail_len, each;

	WANT(!flint_body_get_var(&hb, sizeof(hb), FLINT_HEARTBEAT_MIN, m->body, m->body_len, &tail,
				 &tail_len));
	each = le32_to_cpu(hb.target_len) ? le32_to_cpu(hb.target_len) : FLINT_HB_TARGET_MIN;
	WANT(each >= FLINT_HB_TARGET_MIN && each <= sizeof(struct flint_hb_target));
	WANT(tail_len == each * le32_to_cpu(hb.nr_targets));
	WANT(hb.incarnation && hb.name[0] && hb.tcp_port);
}

static void check_map(const struct flint_msg *m)
{
	struct flint_map map;
	void *image = malloc(m->data_len);

	WANT(image);
	memcpy(image, m->data, m->data_len);
	WANT(!flint_map_check(image, m->data_len, &map));
	free(image);
}

static void check_dirents(const struct flint_msg *m)
{
	const struct flint_attr *attr;
	struct flint_dirent d;
	const uint8_t *name;
	uint32_t pos = 0;
	int rc = 1;

	while (rc == 1)
		rc = flint_dirent_next(m->data, m->data_len, &pos, &d, &attr, &name);
	WANT(!rc);
}

static void check_body(const struct flint_msg *m, const struct kind *k)
{
	_Alignas(8) uint8_t out[1024];
	const uint8_t *tail;
	uint32_t tail_len, sent = m->body_len;

	if (k->flags & VAR)
		sent = (uint32_t)m->body[0] | (uint32_t)m->body[1] << 8;
	/* With records behind them these structures are as long as they were. */
	if (m->op != FLINT_OP_READ && m->op != FLINT_OP_RAFT_MSG && m->op != FLINT_OP_RAFT_STATUS &&
	    m->op != FLINT_OP_RAFT_CHANGE && m->op != FLINT_OP_RAFT_JOIN &&
	    !(m->flags & FLINT_F_CRED) && !m->lease)
		WANT(sent <= k->size);
	if (k->flags & VAR)
		WANT(!flint_body_get_var(out, k->size, k->min, m->body, m->body_len, &tail,
					 &tail_len));
	else
		WANT(!flint_body_get(out, k->size, k->min, m->body, m->body_len));
	if (m->op == FLINT_OP_READ || m->op == FLINT_OP_WRITE || m->op == FLINT_OP_PUNCH) {
		struct flint_io_rep rep;
		struct flint_io io;

		memcpy(&io, out, sizeof(io));
		memcpy(&rep, out, sizeof(rep));
		if (!k->reply)
			WANT(!flint_io_check(&io, FLINT_MAX_IO));
		else if (m->op == FLINT_OP_READ && m->data_len)
			WANT(!flint_io_rep_check(&rep, m->body_len - sizeof(rep), 0, 1 << 20,
						 m->data_len, true) || rep.nr_crc);
	}
}

static void check_file(void)
{
	struct flint_limits lim = { .inline_size = FLINT_MAX_IO, .max_io = FLINT_MAX_IO };
	_Alignas(8) static uint8_t buf[65536];
	FILE *f = fopen(path, "r");
	const struct kind *k;
	struct flint_msg m;
	size_t len;

	WANT(f);
	len = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	WANT(!flint_msg_parse(buf, (u32)len, &lim, &m));
	k = kind_of(&m);
	WANT(k);
	if ((m.flags & FLINT_F_REPLY) && m.status != FLINT_OK)
		return;
	check_body(&m, k);
	if (m.op == FLINT_OP_HEARTBEAT && !k->reply)
		check_beat(&m);
	if (m.op == FLINT_OP_MAP_GET && k->reply && m.data_len)
		check_map(&m);
	if (m.op == FLINT_OP_READDIR && k->reply && m.data_len)
		check_dirents(&m);
}

static void test_corpora(void **state)
{
	const char *root = getenv("FLINT_ROOT");
	char pattern[512];
	glob_t g = { 0 };
	size_t i;

	snprintf(pattern, sizeof(pattern), "%s/tests/corpus/*/*.re[qp]", root ? root : ".");
	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	assert_true(g.gl_pathc > 100);
	for (i = 0; i < g.gl_pathc; i++) {
		path = g.gl_pathv[i];
		check_file();
	}
	globfree(&g);
}

/* The other direction: what a release of version 1.0 reads of today's answer is where it was. */
static void test_places(void **state)
{
	assert_int_equal(offsetof(struct flint_heartbeat, target_len), 100);
	assert_int_equal(offsetof(struct flint_hb_target, chain_ver), FLINT_HB_TARGET_MIN);
	assert_int_equal(offsetof(struct flint_heartbeat_rep, fixed_len), 40);
	assert_int_equal(offsetof(struct flint_heartbeat_rep, lease_ms) +
			 sizeof(((struct flint_heartbeat_rep *)NULL)->lease_ms),
			 FLINT_HEARTBEAT_REP_MIN);
	assert_int_equal(offsetof(struct flint_readdir_rep, next_cookie), FLINT_READDIR_REP_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corpora),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
