// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of a running cluster through the client library. Modes:
 *
 *	meta			every metadata operation, TAP
 *	data			reads, writes, holes, truncation, append, TAP
 *	chaos SECONDS MANIFEST	threads change files at random and compare with a
 *				model in memory; daemons may be killed meanwhile;
 *				SIGINT ends it earlier
 *	verify MANIFEST		what chaos left is still there, byte for byte
 *
 * Exit status 0: everything as expected.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../../userd/base/crc.h"
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/client/fs.h"
#include "../../userd/client/fs_admin.h"
#include "options.h"

struct options {
	char *mgr, *key, *fs;
	uint64_t seed, threads, timeout;
	bool rdma;
	struct flint_conf_list args;
};

#define OFF(m) offsetof(struct options, m)
static const struct flint_conf_opt table[] = {
	TEST_OPT_CLUSTER(struct options),
	TEST_OPT_FS(struct options),
	TEST_OPT_SEED(struct options),
	{ .key = "threads", .type = FLINT_CONF_U64, .off = OFF(threads), .def = "4", .arg = "N",
	  .min = 1, .max = 64, .help = "that chaos runs" },
	{ .key = "timeout", .type = FLINT_CONF_U64, .off = OFF(timeout), .def = "60", .arg = "S",
	  .help = "of each call, seconds" },
	{ .key = "rdma", .type = FLINT_CONF_BOOL, .off = OFF(rdma),
	  .help = "speak RDMA to metadata and chunk servers" },
	{ 0 }
};
static const struct flint_conf_spec spec = {
	.prog = "flint-fstest", .opts = table, .has_args = true, .args_off = OFF(args),
	.args_doc = "meta|data|chaos SECONDS MANIFEST|verify MANIFEST",
	.doc = "Test a running cluster through the client library.",
};

static struct flint_fs *fs;
static int failures, checks;
static bool ok_now;

#define WANT(expr, want)								\
	do {										\
		long long got_ = (expr), want_ = (want);				\
											\
		if (got_ != want_) {							\
			printf("# %s:%d: %s is %lld, wanted %lld\n", __FILE__,		\
			       __LINE__, #expr, got_, want_);				\
			ok_now = false;							\
			return;								\
		}									\
	} while (0)

#define TRUE(expr) WANT(!!(expr), 1)

/* What an inode number that is not in use any more is answered with. */
static bool gone(int rc)
{
	return rc == -ENOENT || rc == -ESTALE;
}

static void run(const char *name, void (*fn)(void))
{
	ok_now = true;
	fn();
	checks++;
	if (!ok_now)
		failures++;
	printf("%s %d - %s\n", ok_now ? "ok" : "not ok", checks, name);
	fflush(stdout);
}

static uint64_t top;	/* directory of this run */

static uint64_t ino_of(const struct flint_attr *a)
{
	return le64_to_cpu(a->ino);
}

static uint64_t size_of(const struct flint_attr *a)
{
	return le64_to_cpu(a->size);
}

/* ---- metadata ----------------------------------------------------------- */

static void m_create(void)
{
	struct flint_attr a, b;
	struct flint_file *f;

	WANT(flint_fs_lookup(fs, top, "a", &a), -ENOENT);
	WANT(flint_fs_open_file(fs, top, "a", FLINT_OPEN_CREATE | FLINT_OPEN_EXCL |
				FLINT_OPEN_WRITE, 0640, &f), 0);
	flint_file_attr(f, &a);
	WANT(le32_to_cpu(a.mode), S_IFREG | 0640);
	WANT(le32_to_cpu(a.nlink), 1);
	WANT(size_of(&a), 0);
	WANT(flint_file_close(f), 0);
	WANT(flint_fs_lookup(fs, top, "a", &b), 0);
	WANT(ino_of(&b), ino_of(&a));
	WANT(flint_fs_open_file(fs, top, "a", FLINT_OPEN_CREATE | FLINT_OPEN_EXCL, 0640, &f),
	     -EEXIST);
	WANT(flint_fs_open_file(fs, top, "none", FLINT_OPEN_READ, 0, &f), -ENOENT);
	WANT(flint_fs_open_file(fs, ino_of(&a), NULL, FLINT_OPEN_READ, 0, &f), 0);
	WANT(flint_file_close(f), 0);
}

static void m_names(void)
{
	struct flint_attr a;
	char name[300];

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	WANT(flint_fs_mkdir(fs, top, name, 0755, &a), 0);
	WANT(flint_fs_lookup(fs, top, name, &a), 0);
	WANT(flint_fs_rmdir(fs, top, name), 0);
	name[255] = 'n';
	name[256] = 0;
	WANT(flint_fs_mkdir(fs, top, name, 0755, &a), -ENAMETOOLONG);
	WANT(flint_fs_mkdir(fs, top, "x/y", 0755, &a), -EINVAL);
	WANT(flint_fs_mkdir(fs, top, "\xc3\xbc \x01\xff", 0755, &a), 0);
	WANT(flint_fs_lookup(fs, top, "\xc3\xbc \x01\xff", &a), 0);
	WANT(flint_fs_rmdir(fs, top, "\xc3\xbc \x01\xff"), 0);
}

static void m_dirs(void)
{
	struct flint_attr d, e, a;

	WANT(flint_fs_mkdir(fs, top, "d", 0755, &d), 0);
	WANT(le32_to_cpu(d.mode), S_IFDIR | 0755);
	WANT(le32_to_cpu(d.nlink), 2);
	WANT(flint_fs_mkdir(fs, ino_of(&d), "e", 0755, &e), 0);
	WANT(flint_fs_getattr(fs, ino_of(&d), &a), 0);
	WANT(le32_to_cpu(a.nlink), 3);
	WANT(flint_fs_rmdir(fs, top, "d"), -ENOTEMPTY);
	WANT(flint_fs_unlink(fs, top, "d"), -EISDIR);
	WANT(flint_fs_rmdir(fs, top, "a"), -ENOTDIR);
	WANT(flint_fs_rmdir(fs, ino_of(&d), "e"), 0);
	WANT(flint_fs_rmdir(fs, top, "d"), 0);
	WANT(flint_fs_lookup(fs, top, "d", &a), -ENOENT);
	TRUE(gone(flint_fs_mkdir(fs, ino_of(&d), "late", 0755, &a)));
}

static void m_links(void)
{
	struct flint_attr a, b;
	char buf[64];

	WANT(flint_fs_lookup(fs, top, "a", &a), 0);
	WANT(flint_fs_link(fs, ino_of(&a), top, "b", &b), 0);
	WANT(le32_to_cpu(b.nlink), 2);
	WANT(flint_fs_link(fs, ino_of(&a), top, "b", &b), -EEXIST);
	WANT(flint_fs_unlink(fs, top, "b"), 0);
	WANT(flint_fs_getattr(fs, ino_of(&a), &a), 0);
	WANT(le32_to_cpu(a.nlink), 1);
	WANT(flint_fs_symlink(fs, top, "s", "where/it/leads", &b), 0);
	WANT(le32_to_cpu(b.mode) & S_IFMT, S_IFLNK);
	WANT(flint_fs_readlink(fs, ino_of(&b), buf, sizeof(buf)), 14);
	TRUE(!memcmp(buf, "where/it/leads", 14));
	WANT(flint_fs_unlink(fs, top, "s"), 0);
	WANT(flint_fs_mknod(fs, top, "p", S_IFIFO | 0600, 0, 0, NULL, &b), 0);
	WANT(flint_fs_mknod(fs, top, "c", S_IFCHR | 0600, 1, 3, NULL, &b), 0);
	WANT(le32_to_cpu(b.rdev_major), 1);
	WANT(le32_to_cpu(b.rdev_minor), 3);
	WANT(flint_fs_unlink(fs, top, "p"), 0);
	WANT(flint_fs_unlink(fs, top, "c"), 0);
}

static void m_rename(void)
{
	struct flint_attr d, a, b;
	struct flint_file *f;

	WANT(flint_fs_mkdir(fs, top, "rd", 0755, &d), 0);
	WANT(flint_fs_lookup(fs, top, "a", &a), 0);
	WANT(flint_fs_rename(fs, top, "a", ino_of(&d), "a2", 0), 0);
	WANT(flint_fs_lookup(fs, top, "a", &b), -ENOENT);
	WANT(flint_fs_lookup(fs, ino_of(&d), "a2", &b), 0);
	WANT(ino_of(&a), ino_of(&b));
	WANT(flint_fs_open_file(fs, top, "b", FLINT_OPEN_CREATE | FLINT_OPEN_WRITE, 0600, &f), 0);
	flint_file_attr(f, &b);
	WANT(flint_file_close(f), 0);
	WANT(flint_fs_rename(fs, ino_of(&d), "a2", top, "b", FLINT_RENAME_NOREPLACE), -EEXIST);
	WANT(flint_fs_rename(fs, ino_of(&d), "a2", top, "b", FLINT_RENAME_EXCHANGE), 0);
	WANT(flint_fs_lookup(fs, top, "b", &b), 0);
	WANT(ino_of(&a), ino_of(&b));
	WANT(flint_fs_rename(fs, ino_of(&d), "a2", top, "b", 0), 0);
	TRUE(gone(flint_fs_getattr(fs, ino_of(&a), &a)));
	WANT(flint_fs_rename(fs, top, "nothing", top, "b", 0), -ENOENT);
	WANT(flint_fs_rename(fs, top, "rd", ino_of(&d), "loop", 0), -EINVAL);
	WANT(flint_fs_rename(fs, top, "b", top, "a", 0), 0);
	WANT(flint_fs_rmdir(fs, top, "rd"), 0);
}

static void m_attrs(void)
{
	struct flint_attr a;
	struct flint_setattr set = { 0 };

	WANT(flint_fs_lookup(fs, top, "a", &a), 0);
	set.ino = a.ino;
	set.valid = cpu_to_le32(FLINT_SET_MODE | FLINT_SET_UID | FLINT_SET_GID | FLINT_SET_MTIME);
	set.mode = cpu_to_le32(0741);
	set.uid = cpu_to_le32(5);
	set.gid = cpu_to_le32(6);
	set.mtime = cpu_to_le64(1234567890123456789ull);
	WANT(flint_fs_setattr(fs, &set, &a), 0);
	WANT(flint_fs_getattr(fs, ino_of(&a), &a), 0);
	WANT(le32_to_cpu(a.mode), S_IFREG | 0741);
	WANT(le32_to_cpu(a.uid), 5);
	WANT(le32_to_cpu(a.gid), 6);
	WANT(le64_to_cpu(a.mtime), 1234567890123456789ll);
	TRUE(gone(flint_fs_getattr(fs, 0x7fffffffffffffull, &a)));
}

static void m_xattrs(void)
{
	struct flint_attr a;
	char buf[70000], big[20000];

	WANT(flint_fs_lookup(fs, top, "a", &a), 0);
	WANT(flint_fs_getxattr(fs, ino_of(&a), "user.k", buf, sizeof(buf)), -ENODATA);
	WANT(flint_fs_setxattr(fs, ino_of(&a), "user.k", "value", 5, FLINT_XATTR_REPLACE), -ENODATA);
	WANT(flint_fs_setxattr(fs, ino_of(&a), "user.k", "value", 5, FLINT_XATTR_CREATE), 0);
	WANT(flint_fs_setxattr(fs, ino_of(&a), "user.k", "value", 5, FLINT_XATTR_CREATE), -EEXIST);
	WANT(flint_fs_getxattr(fs, ino_of(&a), "user.k", NULL, 0), 5);
	WANT(flint_fs_getxattr(fs, ino_of(&a), "user.k", buf, 3), -ERANGE);
	WANT(flint_fs_getxattr(fs, ino_of(&a), "user.k", buf, sizeof(buf)), 5);
	TRUE(!memcmp(buf, "value", 5));
	memset(big, 'B', sizeof(big));
	WANT(flint_fs_setxattr(fs, ino_of(&a), "user.big", big, sizeof(big), 0), 0);
	WANT(flint_fs_getxattr(fs, ino_of(&a), "user.big", buf, sizeof(buf)), sizeof(big));
	TRUE(!memcmp(buf, big, sizeof(big)));
	WANT(flint_fs_listxattr(fs, ino_of(&a), NULL, 0), 16);
	WANT(flint_fs_listxattr(fs, ino_of(&a), buf, sizeof(buf)), 16);
	WANT(flint_fs_removexattr(fs, ino_of(&a), "user.big"), 0);
	WANT(flint_fs_removexattr(fs, ino_of(&a), "user.big"), -ENODATA);
	WANT(flint_fs_setxattr(fs, ino_of(&a), "user.empty", NULL, 0, 0), 0);
	WANT(flint_fs_getxattr(fs, ino_of(&a), "user.empty", buf, sizeof(buf)), 0);
}

struct listing {
	int nr, stop_after;
	uint64_t cookie;
	bool seen[2000];
	bool bad;
};

static int on_entry(void *arg, const struct flint_fs_entry *e)
{
	struct listing *l = arg;
	int i;

	l->cookie = e->cookie;
	if (sscanf(e->name, "entry-%d", &i) != 1 || i < 0 || i >= 2000 || l->seen[i] ||
	    e->type != 4 /* DT_DIR */ || (e->has_attr && ino_of(&e->attr) != e->ino))
		l->bad = true;
	else
		l->seen[i] = true;
	return ++l->nr == l->stop_after;
}

/* Each name that is met gets another one: met again, it would be so for ever. */
static int rename_entry(void *arg, const struct flint_fs_entry *e)
{
	struct listing *l = arg;
	char name[64];

	snprintf(name, sizeof(name), "%.40s+", e->name);
	if (flint_fs_rename(fs, l->cookie, e->name, l->cookie, name, 0))
		l->bad = true;
	return ++l->nr == l->stop_after;
}

static void m_readdir_renaming(void)
{
	struct listing l = { .stop_after = 2000 };
	struct flint_attr d, a;
	char name[64];
	int i, pass;

	WANT(flint_fs_mkdir(fs, top, "renaming", 0755, &d), 0);
	for (i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "%031d", i);	/* more than one page */
		WANT(flint_fs_mkdir(fs, ino_of(&d), name, 0700, &a), 0);
	}
	l.cookie = ino_of(&d);
	for (pass = 1; pass <= 2; pass++) {
		WANT(flint_fs_readdir(fs, ino_of(&d), 0, true, rename_entry, &l), 0);
		TRUE(!l.bad);
		WANT(l.nr, 700 * pass);
	}
	for (i = 0; i < 700; i++) {
		snprintf(name, sizeof(name), "%031d++", i);
		WANT(flint_fs_rmdir(fs, ino_of(&d), name), 0);
	}
	WANT(flint_fs_rmdir(fs, top, "renaming"), 0);
}

static void m_readdir(void)
{
	static struct listing l;
	struct flint_attr d, a;
	char name[32];
	int i;

	WANT(flint_fs_mkdir(fs, top, "big", 0755, &d), 0);
	for (i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "entry-%d", i);
		WANT(flint_fs_mkdir(fs, ino_of(&d), name, 0700, &a), 0);
	}
	memset(&l, 0, sizeof(l));
	WANT(flint_fs_readdir(fs, ino_of(&d), 0, true, on_entry, &l), 0);
	TRUE(!l.bad);
	WANT(l.nr, 600);
	/* Stop in the middle, remove what was seen, go on: nothing twice, nothing missed. */
	memset(&l, 0, sizeof(l));
	l.stop_after = 250;
	WANT(flint_fs_readdir(fs, ino_of(&d), 0, false, on_entry, &l), 1);
	for (i = 0; i < 600; i++)
		if (l.seen[i]) {
			snprintf(name, sizeof(name), "entry-%d", i);
			WANT(flint_fs_rmdir(fs, ino_of(&d), name), 0);
		}
	l.stop_after = 0;
	WANT(flint_fs_readdir(fs, ino_of(&d), l.cookie, false, on_entry, &l), 0);
	TRUE(!l.bad);
	WANT(l.nr, 600);
	for (i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "entry-%d", i);
		flint_fs_rmdir(fs, ino_of(&d), name);
	}
	WANT(flint_fs_rmdir(fs, top, "big"), 0);
}

static void m_statfs(void)
{
	struct flint_statfs st;
	struct flint_attr a;

	WANT(flint_fs_statfs(fs, &st), 0);
	WANT(le32_to_cpu(st.name_max), 255);
	TRUE(le32_to_cpu(st.block_size) >= 512);
	WANT(flint_fs_walk(fs, "/no/such/path", &a), -ENOENT);
	WANT(flint_fs_walk(fs, "/", &a), 0);
	WANT(ino_of(&a), ino_of(flint_fs_root(fs)));
}

/* ---- data --------------------------------------------------------------- */

static uint8_t *pattern(uint64_t seed, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t v = flint_splitmix64(&seed);

		memcpy(p + i, &v, 8);
	}
	for (; i < len; i++)
		p[i] = (uint8_t)flint_splitmix64(&seed);
	return p;
}

static struct flint_file *new_file(const char *name)
{
	struct flint_file *f = NULL;

	if (flint_fs_open_file(fs, top, name, FLINT_OPEN_CREATE | FLINT_OPEN_TRUNC |
			       FLINT_OPEN_READ | FLINT_OPEN_WRITE, 0644, &f))
		return NULL;
	return f;
}

static void d_simple(void)
{
	struct flint_file *f = new_file("simple");
	struct flint_attr a;
	char buf[100];

	TRUE(f);
	WANT(flint_file_pread(f, buf, sizeof(buf), 0), 0);
	WANT(flint_file_pwrite(f, "hello", 5, 0), 5);
	WANT(flint_file_pread(f, buf, sizeof(buf), 0), 5);
	TRUE(!memcmp(buf, "hello", 5));
	WANT(flint_file_pread(f, buf, 2, 3), 2);
	TRUE(!memcmp(buf, "lo", 2));
	WANT(flint_file_pread(f, buf, sizeof(buf), 5), 0);
	WANT(flint_file_pread(f, buf, sizeof(buf), 1ull << 50), 0);
	WANT(flint_fs_lookup(fs, top, "simple", &a), 0);
	WANT(size_of(&a), 5);
	WANT(flint_file_close(f), 0);
}

static void d_large(void)
{
	size_t len = (9 << 20) + 12345;
	uint8_t *want = pattern(3, len), *got = malloc(len + 1000);
	struct flint_file *f = new_file("large");

	TRUE(f);
	WANT(flint_file_pwrite(f, want, len, 0), len);
	WANT(flint_file_pread(f, got, len + 1000, 0), len);
	TRUE(!memcmp(want, got, len));
	WANT(flint_file_pread(f, got, 3 << 20, 777777), 3 << 20);
	TRUE(!memcmp(want + 777777, got, 3 << 20));
	WANT(flint_file_close(f), 0);
	/* From another open file: nothing here was only in memory. */
	WANT(flint_fs_open_file(fs, top, "large", FLINT_OPEN_READ, 0, &f), 0);
	memset(got, 0, len);
	WANT(flint_file_pread(f, got, len, 0), len);
	TRUE(!memcmp(want, got, len));
	WANT(flint_file_close(f), 0);
	free(want);
	free(got);
}

static void d_holes(void)
{
	struct flint_file *f = new_file("holes");
	uint8_t *buf = malloc(8 << 20);
	size_t i;

	TRUE(f);
	WANT(flint_file_pwrite(f, "end", 3, (5 << 20) + 17), 3);
	WANT(flint_file_pwrite(f, "mid", 3, (2 << 20) - 1), 3);	/* over a chunk border */
	memset(buf, 0xaa, 8 << 20);
	WANT(flint_file_pread(f, buf, 8 << 20, 0), (5 << 20) + 20);
	for (i = 0; i < (5 << 20) + 20; i++) {
		uint8_t want = 0;

		if (i >= (2 << 20) - 1 && i < (2 << 20) + 2)
			want = "mid"[i - ((2 << 20) - 1)];
		if (i >= (5 << 20) + 17)
			want = "end"[i - ((5 << 20) + 17)];
		TRUE(buf[i] == want);
	}
	WANT(flint_file_close(f), 0);
	free(buf);
}

static void d_truncate(void)
{
	struct flint_file *f = new_file("trunc");
	uint8_t *want = pattern(9, 3 << 20), *got = malloc(3 << 20);
	struct flint_attr a;
	size_t i;

	TRUE(f);
	WANT(flint_file_pwrite(f, want, 3 << 20, 0), 3 << 20);
	WANT(flint_file_truncate(f, 1000001), 0);
	WANT(flint_file_pread(f, got, 3 << 20, 0), 1000001);
	TRUE(!memcmp(want, got, 1000001));
	WANT(flint_file_truncate(f, 2 << 20), 0);	/* what was cut off is gone */
	WANT(flint_file_pread(f, got, 3 << 20, 0), 2 << 20);
	TRUE(!memcmp(want, got, 1000001));
	for (i = 1000001; i < 2 << 20; i++)
		TRUE(!got[i]);
	WANT(flint_file_truncate(f, 0), 0);
	WANT(flint_file_pread(f, got, 100, 0), 0);
	WANT(flint_file_pwrite(f, "x", 1, 1000), 1);
	WANT(flint_file_pread(f, got, 2000, 0), 1001);
	for (i = 0; i < 1000; i++)
		TRUE(!got[i]);
	flint_file_attr(f, &a);
	WANT(size_of(&a), 1001);
	WANT(flint_file_close(f), 0);
	free(want);
	free(got);
}

static int limit_top(uint64_t bytes)
{
	struct flint_quota_set set = { .kind = cpu_to_le32(FLINT_QUOTA_TREE), .id = cpu_to_le64(top),
				       .space_hard = cpu_to_le64(bytes) };
	struct flint_quota q;

	return flint_fs_quota_set(fs, &set, &q);
}

/* What was written where a quota had no room is not there when the file gets that long after all. */
static void d_refused(void)
{
	uint8_t *buf = malloc(3 << 20), *bytes = pattern(13, 8192);
	struct flint_file *f = new_file("refused");
	size_t i;
	int again;

	TRUE(f);
	WANT(flint_file_pwrite(f, "head", 4, 0), 4);
	for (again = 0; again < 2; again++) {
		WANT(limit_top(1 << 20), 0);
		WANT(flint_file_pwrite(f, bytes, 8192, 2 << 20), -EDQUOT);
		WANT(limit_top(0), 0);
		if (again) {		/* closed in between */
			WANT(flint_file_close(f), 0);
			WANT(flint_fs_open_file(fs, top, "refused", FLINT_OPEN_WRITE | FLINT_OPEN_READ,
						0, &f), 0);
			WANT(flint_file_pwrite(f, "end", 3, (3 << 20) - 3), 3);
		} else {
			WANT(flint_file_truncate(f, 3 << 20), 0);
		}
		WANT(flint_file_pread(f, buf, 3 << 20, 0), 3 << 20);
		TRUE(!memcmp(buf, "head", 4));
		for (i = 4; i < (3 << 20) - 3; i++)
			TRUE(!buf[i]);
		WANT(flint_file_truncate(f, 4), 0);
	}
	WANT(flint_file_close(f), 0);
	free(buf);
	free(bytes);
}

/* Another handle's truncation is noticed by a writer and by a reader. */
static void d_stale(void)
{
	struct flint_file *f = new_file("stale"), *g;
	uint8_t *want = pattern(11, 200000), *got = malloc(200000);
	size_t i;

	TRUE(f);
	WANT(flint_file_pwrite(f, want, 200000, 0), 200000);
	WANT(flint_fs_open_file(fs, top, "stale", FLINT_OPEN_WRITE | FLINT_OPEN_READ, 0, &g), 0);
	WANT(flint_file_truncate(g, 100), 0);
	WANT(flint_file_pread(f, got, 200000, 0), 100);	/* f believed in 200000 */
	WANT(flint_file_truncate(g, 50), 0);
	WANT(flint_file_pwrite(f, want, 10, 60), 10);
	WANT(flint_file_pread(g, got, 1000, 0), 70);
	TRUE(!memcmp(got, want, 50));
	for (i = 50; i < 60; i++)
		TRUE(!got[i]);
	TRUE(!memcmp(got + 60, want, 10));
	WANT(flint_file_close(f), 0);
	WANT(flint_file_close(g), 0);
	free(want);
	free(got);
}

static void d_append(void)
{
	struct flint_file *f = new_file("append");
	uint64_t off = 99;
	char buf[64];

	TRUE(f);
	WANT(flint_file_append(f, "one", 3, &off), 3);
	WANT(off, 0);
	WANT(flint_file_append(f, "two", 3, &off), 3);
	WANT(off, 3);
	WANT(flint_file_pread(f, buf, sizeof(buf), 0), 6);
	TRUE(!memcmp(buf, "onetwo", 6));
	WANT(flint_file_close(f), 0);
}

static void d_punch(void)
{
	struct flint_file *f = new_file("punch");
	size_t len = 3 << 20, from = 500001, n = 1800000, i;
	uint8_t *want = pattern(21, len), *got = malloc(len);

	TRUE(f);
	WANT(flint_file_pwrite(f, want, len, 0), len);
	WANT(flint_file_punch(f, from, n), 0);
	memset(want + from, 0, n);
	WANT(flint_file_pread(f, got, len, 0), len);
	for (i = 0; i < len; i++)
		TRUE(want[i] == got[i]);
	WANT(flint_file_close(f), 0);
	free(want);
	free(got);
}

/* A file that is removed while open keeps its data until it is closed. */
static void d_unlinked(void)
{
	struct flint_file *f = new_file("gone");
	char buf[10];

	TRUE(f);
	WANT(flint_file_pwrite(f, "still", 5, 0), 5);
	WANT(flint_fs_unlink(fs, top, "gone"), 0);
	WANT(flint_file_pread(f, buf, 10, 0), 5);
	TRUE(!memcmp(buf, "still", 5));
	WANT(flint_file_pwrite(f, "here", 4, 5), 4);
	WANT(flint_file_pread(f, buf, 10, 0), 9);
	WANT(flint_file_close(f), 0);
}

/* Small overwrites in every corner of the checksum blocks. */
static void d_overwrite(void)
{
	struct flint_file *f = new_file("over");
	size_t len = 1 << 19;
	uint8_t *model = pattern(31, len), *got = malloc(len);
	uint64_t rng = 7;
	int i;

	TRUE(f);
	WANT(flint_file_pwrite(f, model, len, 0), len);
	for (i = 0; i < 120; i++) {
		size_t n = 1 + flint_rng_below(&rng, i % 3 ? 9000 : 40);
		size_t off = flint_rng_below(&rng, len - n);
		uint8_t *p = pattern(i, n);

		memcpy(model + off, p, n);
		WANT(flint_file_pwrite(f, p, n, off), n);
		free(p);
	}
	WANT(flint_file_pread(f, got, len, 0), len);
	TRUE(!memcmp(model, got, len));
	for (i = 0; i < 120; i++) {
		size_t n = 1 + flint_rng_below(&rng, 20000);
		size_t off = flint_rng_below(&rng, len - n);

		WANT(flint_file_pread(f, got, n, off), n);
		TRUE(!memcmp(model + off, got, n));
	}
	WANT(flint_file_close(f), 0);
	free(model);
	free(got);
}

/* ---- chaos -------------------------------------------------------------- */

#define FILES		24
#define FILE_MAX	(600u << 10)

struct model_file {
	char name[40];
	uint8_t *data;
	size_t size;
	bool exists;
};

struct worker {
	pthread_t thread;
	unsigned int id;
	uint64_t rng, dir, end_ns, ops;
	char dirname[40];
	struct model_file file[FILES];
	char why[200];
};

#define TRY(expr, want)									\
	do {										\
		long long got_ = (expr), want_ = (want);				\
											\
		if (got_ != want_) {							\
			snprintf(w->why, sizeof(w->why), "line %d: %s is %lld, wanted %lld (%s)",\
				 __LINE__, #expr, got_, want_, mf ? mf->name : "");	\
			return -1;							\
		}									\
	} while (0)

static int c_create(struct worker *w, struct model_file *mf)
{
	struct flint_file *f;

	/* EXCL: a repeated request must get the first answer, not EEXIST. */
	TRY(flint_fs_open_file(fs, w->dir, mf->name, FLINT_OPEN_CREATE | FLINT_OPEN_EXCL |
			       FLINT_OPEN_WRITE, 0644, &f), 0);
	TRY(flint_file_close(f), 0);
	mf->exists = true;
	mf->size = 0;
	return 0;
}

static int c_write(struct worker *w, struct model_file *mf)
{
	size_t n = 1 + flint_rng_below(&w->rng, 100000);
	size_t off = flint_rng_below(&w->rng, FILE_MAX - n);
	uint8_t *p = pattern(flint_splitmix64(&w->rng), n);
	struct flint_file *f;

	TRY(flint_fs_open_file(fs, w->dir, mf->name, FLINT_OPEN_WRITE, 0, &f), 0);
	TRY(flint_file_pwrite(f, p, n, off), n);
	TRY(flint_file_close(f), 0);
	if (off > mf->size)
		memset(mf->data + mf->size, 0, off - mf->size);
	memcpy(mf->data + off, p, n);
	if (off + n > mf->size)
		mf->size = off + n;
	free(p);
	return 0;
}

static int c_compare(struct worker *w, struct model_file *mf)
{
	uint8_t *buf = malloc(FILE_MAX + 1);
	struct flint_file *f;
	size_t i;

	TRY(flint_fs_open_file(fs, w->dir, mf->name, FLINT_OPEN_READ, 0, &f), 0);
	memset(buf, 0x55, FILE_MAX);
	TRY(flint_file_pread(f, buf, FILE_MAX + 1, 0), mf->size);
	for (i = 0; i < mf->size && buf[i] == mf->data[i]; i++)
		;
	TRY(i, mf->size);
	TRY(flint_file_close(f), 0);
	free(buf);
	return 0;
}

static int c_truncate(struct worker *w, struct model_file *mf)
{
	size_t size = flint_rng_below(&w->rng, FILE_MAX);
	struct flint_attr a;

	TRY(flint_fs_lookup(fs, w->dir, mf->name, &a), 0);
	TRY(size_of(&a), mf->size);
	TRY(flint_fs_truncate(fs, ino_of(&a), size), 0);
	if (size > mf->size)
		memset(mf->data + mf->size, 0, size - mf->size);
	mf->size = size;
	return 0;
}

static int c_append(struct worker *w, struct model_file *mf)
{
	size_t n = 1 + flint_rng_below(&w->rng, 5000);
	uint8_t *p = pattern(flint_splitmix64(&w->rng), n);
	struct flint_file *f;
	uint64_t off;

	if (mf->size + n > FILE_MAX) {
		free(p);
		return 0;
	}
	TRY(flint_fs_open_file(fs, w->dir, mf->name, FLINT_OPEN_WRITE, 0, &f), 0);
	TRY(flint_file_append(f, p, n, &off), n);
	TRY(off, mf->size);
	TRY(flint_file_close(f), 0);
	memcpy(mf->data + mf->size, p, n);
	mf->size += n;
	free(p);
	return 0;
}

/* Rename over another file of ours, or to its absent name. */
static int c_rename(struct worker *w, struct model_file *mf)
{
	struct model_file *to = &w->file[flint_rng_below(&w->rng, FILES)];
	uint8_t *data;

	if (to == mf)
		return 0;
	TRY(flint_fs_rename(fs, w->dir, mf->name, w->dir, to->name,
			    to->exists ? 0 : FLINT_RENAME_NOREPLACE), 0);
	data = to->data;
	to->data = mf->data;
	to->size = mf->size;
	to->exists = true;
	mf->data = data;
	mf->exists = false;
	return 0;
}

static int c_unlink(struct worker *w, struct model_file *mf)
{
	/* Once, and a repetition is not answered with ENOENT. */
	TRY(flint_fs_unlink(fs, w->dir, mf->name), 0);
	mf->exists = false;
	return 0;
}

struct chaos_list {
	struct worker *w;
	int nr;
	bool bad;
};

static int on_chaos_entry(void *arg, const struct flint_fs_entry *e)
{
	struct chaos_list *l = arg;
	int i;

	for (i = 0; i < FILES; i++)
		if (!strcmp(l->w->file[i].name, e->name))
			break;
	if (i == FILES || !l->w->file[i].exists)
		l->bad = true;
	l->nr++;
	return 0;
}

static int c_list(struct worker *w, struct model_file *mf)
{
	struct chaos_list l = { .w = w };
	int i, nr = 0;

	for (i = 0; i < FILES; i++)
		nr += w->file[i].exists;
	TRY(flint_fs_readdir(fs, w->dir, 0, true, on_chaos_entry, &l), 0);
	TRY(l.bad, 0);
	TRY(l.nr, nr);
	return 0;
}

static int chaos_step(struct worker *w)
{
	struct model_file *mf = &w->file[flint_rng_below(&w->rng, FILES)];
	uint32_t dice = flint_rng_below(&w->rng, 100);

	if (!mf->exists)
		return c_create(w, mf);
	if (dice < 35)
		return c_write(w, mf);
	if (dice < 60)
		return c_compare(w, mf);
	if (dice < 68)
		return c_truncate(w, mf);
	if (dice < 76)
		return c_append(w, mf);
	if (dice < 86)
		return c_rename(w, mf);
	if (dice < 94)
		return c_unlink(w, mf);
	return c_list(w, mf);
}

static volatile sig_atomic_t enough;

static void on_sigint(int sig)
{
	enough = 1;
}

static void *chaos_thread(void *arg)
{
	struct worker *w = arg;
	int i;

	while (!enough && flint_now_ns() < w->end_ns) {
		if (chaos_step(w))
			return NULL;
		w->ops++;
	}
	for (i = 0; i < FILES; i++)
		if (w->file[i].exists && c_compare(w, &w->file[i]))
			return NULL;
	c_list(w, NULL);
	return NULL;
}

static int worker_init(struct worker *w, unsigned int id, uint64_t seed, uint64_t seconds)
{
	struct flint_attr a;
	int i, rc;

	w->id = id;
	w->rng = seed * 1000 + id;
	w->end_ns = flint_now_ns() + seconds * 1000000000ull;
	snprintf(w->dirname, sizeof(w->dirname), "worker-%u", id);
	rc = flint_fs_mkdir(fs, top, w->dirname, 0755, &a);
	if (rc)
		return rc;
	w->dir = ino_of(&a);
	for (i = 0; i < FILES; i++) {
		snprintf(w->file[i].name, sizeof(w->file[i].name), "file-%u-%d", id, i);
		w->file[i].data = calloc(1, FILE_MAX);
	}
	return 0;
}

static void write_manifest(FILE *out, const struct worker *w, const char *topname)
{
	int i;

	for (i = 0; i < FILES; i++)
		if (w->file[i].exists)
			fprintf(out, "%s/%s/%s %zu %08x\n", topname, w->dirname, w->file[i].name,
				w->file[i].size, flint_crc32c(0, w->file[i].data, w->file[i].size));
}

static int chaos(const struct options *o, const char *topname)
{
	unsigned int nr = o->threads, i;
	struct worker *w = calloc(nr, sizeof(*w));
	FILE *out = fopen(o->args.items[2], "w");
	uint64_t ops = 0;
	int bad = 0, rc;

	if (!out) {
		perror(o->args.items[2]);
		return 1;
	}
	for (i = 0; i < nr; i++) {
		rc = worker_init(&w[i], i, o->seed, strtoull(o->args.items[1], NULL, 10));
		if (rc) {
			printf("# cannot start: %s\n", strerror(-rc));
			return 1;
		}
	}
	signal(SIGINT, on_sigint);
	for (i = 0; i < nr; i++)
		pthread_create(&w[i].thread, NULL, chaos_thread, &w[i]);
	for (i = 0; i < nr; i++) {
		int j;

		pthread_join(w[i].thread, NULL);
		ops += w[i].ops;
		if (w[i].why[0]) {
			printf("# worker %u after %llu operations: %s\n", i,
			       (unsigned long long)w[i].ops, w[i].why);
			bad = 1;
		}
		write_manifest(out, &w[i], topname);
		for (j = 0; j < FILES; j++)
			free(w[i].file[j].data);
	}
	fclose(out);
	free(w);
	printf("# %llu operations by %u threads, %s\n", (unsigned long long)ops, nr,
	       bad ? "with differences" : "all as the model says");
	return bad;
}

static int verify_one(const char *path, size_t size, uint32_t crc)
{
	uint8_t *buf = malloc(size + 1);
	struct flint_file *f;
	struct flint_attr a;
	ssize_t n;
	int rc;

	rc = flint_fs_walk(fs, path, &a);
	if (!rc)
		rc = flint_fs_open_file(fs, ino_of(&a), NULL, FLINT_OPEN_READ, 0, &f);
	if (rc) {
		printf("# %s: %s\n", path, strerror(-rc));
		free(buf);
		return 1;
	}
	n = flint_file_pread(f, buf, size + 1, 0);
	flint_file_close(f);
	rc = n != (ssize_t)size || flint_crc32c(0, buf, size) != crc;
	if (rc)
		printf("# %s: read %zd bytes of %zu, or they differ\n", path, n, size);
	free(buf);
	return rc;
}

static int verify(const struct options *o)
{
	FILE *in = fopen(o->args.items[1], "r");
	char path[256];
	unsigned int crc, nr = 0, bad = 0;
	size_t size;

	if (!in) {
		perror(o->args.items[1]);
		return 1;
	}
	while (fscanf(in, "%255s %zu %x", path, &size, &crc) == 3) {
		bad += verify_one(path, size, crc);
		nr++;
	}
	fclose(in);
	printf("# %u files verified, %u differ\n", nr, bad);
	return bad || !nr;
}

/* ---- main --------------------------------------------------------------- */

static int open_fs(const struct options *o)
{
	uint8_t key[FLINT_KEY_LEN];
	struct flint_fs_config cfg = {
		.mgrs = o->mgr, .fs_name = o->fs, .key = key,
		.timeout_ms = o->timeout * 1000,
		.proto = o->rdma ? FLINT_PROTO_RDMA : FLINT_PROTO_TCP,
	};
	char err[256];

	if (flint_key_load(o->key, key, err, sizeof(err))) {
		fprintf(stderr, "flint-fstest: %s\n", err);
		return -1;
	}
	fs = flint_fs_open(&cfg, err, sizeof(err));
	if (!fs)
		fprintf(stderr, "flint-fstest: %s\n", err);
	return fs ? 0 : -1;
}

static int suite(const char *mode)
{
	if (!strcmp(mode, "meta")) {
		run("create and open", m_create);
		run("names", m_names);
		run("directories", m_dirs);
		run("links, symlinks, devices", m_links);
		run("rename", m_rename);
		run("attributes", m_attrs);
		run("extended attributes", m_xattrs);
		run("readdir with stable cookies", m_readdir);
		run("readdir ends when what it meets is renamed", m_readdir_renaming);
		run("statfs and paths", m_statfs);
	} else {
		run("small file", d_simple);
		run("large file", d_large);
		run("holes", d_holes);
		run("truncate", d_truncate);
		run("sizes that a quota refuses", d_refused);
		run("truncated by someone else", d_stale);
		run("append", d_append);
		run("punch", d_punch);
		run("removed while open", d_unlinked);
		run("overwrites", d_overwrite);
	}
	printf("1..%d\n", checks);
	return failures != 0;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct flint_attr a;
	char topname[64];
	const char *mode;
	bool verbose;
	int rc;

	flint_conf_parse_or_exit(&spec, argc, argv, &o, &verbose);
	flint_log_init("fstest", verbose ? FLINT_LOG_DEBUG : FLINT_LOG_INFO);
	mode = o.args.nr ? o.args.items[0] : "";
	if (!((!strcmp(mode, "meta") || !strcmp(mode, "data")) && o.args.nr == 1) &&
	    !(!strcmp(mode, "chaos") && o.args.nr == 3) &&
	    !(!strcmp(mode, "verify") && o.args.nr == 2)) {
		fprintf(stderr, "flint-fstest: say what to do: %s\n", spec.args_doc);
		return 2;
	}
	if (open_fs(&o))
		return 1;
	snprintf(topname, sizeof(topname), "%s-%llx", mode,
		 (unsigned long long)flint_random_u64());
	if (!strcmp(mode, "verify")) {
		rc = verify(&o);
	} else {
		rc = flint_fs_mkdir(fs, ino_of(flint_fs_root(fs)), topname, 0755, &a);
		top = ino_of(&a);
		if (rc)
			printf("# cannot make a directory: %s\n", strerror(-rc));
		else if (!strcmp(mode, "chaos"))
			rc = chaos(&o, topname);
		else
			rc = suite(mode);
	}
	flint_fs_close(fs);
	flint_conf_free(&spec, &o);
	return rc != 0;
}
