// SPDX-License-Identifier: GPL-2.0-or-later
/* RENAME in every combination, and READDIR while entries come and go. */
#include "meta_state.h"

#define DIR1	(S_IFDIR | 0755)
#define REG	(S_IFREG | 0644)
#define NOREPL	FLINT_RENAME_NOREPLACE
#define XCHG	FLINT_RENAME_EXCHANGE

static struct flint_rename_rep rep_rename(struct state *st)
{
	struct flint_rename_rep r;

	assert_int_equal(st->rep.len, sizeof(r));
	memcpy(&r, st->rep.body, sizeof(r));
	return r;
}

static void test_files(void **p)
{
	struct state *st = *p;
	u64 a = made(st, st->root, "a", DIR1), f = made(st, a, "f", REG), g;

	assert_int_equal(do_rename(st, a, "none", a, "x", 0), ENOENT);
	assert_int_equal(do_rename(st, a, "f", a, "g", 0), 0);
	assert_int_equal(at(st, a, "f"), 0);
	assert_int_equal(at(st, a, "g"), f);
	assert_int_equal(do_rename(st, a, "g", st->root, "g", 0), 0);
	assert_int_equal(get(st, a).size, 0);
	assert_int_equal(get(st, st->root).size, 2);
	g = made(st, a, "g", REG);
	assert_int_equal(do_rename(st, a, "g", st->root, "g", NOREPL), EEXIST);
	assert_int_equal(do_rename(st, a, "g", st->root, "h", NOREPL), 0);
	assert_int_equal(do_rename(st, st->root, "h", st->root, "g", 0), 0);
	assert_int_equal(le64_to_cpu(rep_rename(st).ino), g);
	assert_int_equal(le64_to_cpu(rep_rename(st).replaced), f);
	assert_int_equal(le32_to_cpu(rep_rename(st).replaced_nlink), 0);
	assert_true(gone(st, f));
	assert_int_equal(do_rename(st, st->root, "g", st->root, "g", 0), 0);	/* itself */
	assert_int_equal(at(st, st->root, "g"), g);
	assert_int_equal(do_link(st, g, a, "other"), 0);
	assert_int_equal(do_rename(st, a, "other", st->root, "g", 0), 0);	/* same inode: both stay */
	assert_int_equal(at(st, a, "other"), g);
	assert_int_equal(at(st, st->root, "g"), g);
	assert_int_equal(le64_to_cpu(rep_rename(st).replaced), 0);
	assert_int_equal(do_rename(st, a, "other", st->root, "x", NOREPL | XCHG), EINVAL);
	assert_int_equal(do_rename(st, a, "other", st->root, "x", 0x10), EINVAL);
	assert_int_equal(do_rename(st, a, "other", g, "x", 0), ENOTDIR);
	assert_int_equal(do_rename(st, a, "..", a, "x", 0), EINVAL);
	assert_int_equal(do_rename(st, 99999, "x", a, "x", 0), ESTALE);
}

static void test_dirs(void **p)
{
	struct state *st = *p;
	u64 a = made(st, st->root, "a", DIR1), b = made(st, st->root, "b", DIR1);
	u64 c = made(st, a, "c", DIR1), d = made(st, c, "d", DIR1), f = made(st, d, "f", REG), e;

	assert_int_equal(do_rename(st, st->root, "a", a, "x", 0), EINVAL);
	assert_int_equal(do_rename(st, st->root, "a", d, "x", 0), EINVAL);
	assert_int_equal(do_rename(st, a, "c", c, "c", 0), EINVAL);
	assert_int_equal(do_rename(st, a, "c", b, "c", 0), 0);
	assert_int_equal(get(st, c).parent, b);
	assert_int_equal(get(st, a).nlink, 2);
	assert_int_equal(get(st, b).nlink, 3);
	/* Onto an empty directory, a full one, a file; a file onto a directory. */
	e = made(st, st->root, "e", DIR1);
	assert_int_equal(do_rename(st, b, "c", st->root, "e", 0), 0);
	assert_true(gone(st, e));
	assert_int_equal(get(st, c).parent, st->root);
	assert_int_equal(get(st, st->root).nlink, 5);
	assert_int_equal(do_rename(st, st->root, "a", st->root, "e", 0), ENOTEMPTY);
	made(st, st->root, "file", REG);
	assert_int_equal(do_rename(st, st->root, "a", st->root, "file", 0), ENOTDIR);
	assert_int_equal(do_rename(st, st->root, "file", st->root, "a", 0), EISDIR);
	/* A directory onto its own ancestor's name: not empty. */
	assert_int_equal(do_rename(st, c, "d", st->root, "e", 0), ENOTEMPTY);
	assert_int_equal(at(st, d, "f"), f);
}

static void test_exchange(void **p)
{
	struct state *st = *p;
	u64 a = made(st, st->root, "a", DIR1), b = made(st, st->root, "b", DIR1);
	u64 f = made(st, a, "f", REG), d = made(st, b, "d", DIR1);

	assert_int_equal(do_rename(st, a, "f", b, "none", XCHG), ENOENT);
	assert_int_equal(do_rename(st, a, "f", b, "d", XCHG), 0);	/* file against directory */
	assert_int_equal(at(st, a, "f"), d);
	assert_int_equal(at(st, b, "d"), f);
	assert_int_equal(get(st, d).parent, a);
	assert_int_equal(get(st, a).nlink, 3);
	assert_int_equal(get(st, b).nlink, 2);
	assert_int_equal(do_rename(st, st->root, "a", st->root, "b", XCHG), 0);
	assert_int_equal(at(st, st->root, "a"), b);
	/* Neither may come to lie below itself. */
	assert_int_equal(do_rename(st, st->root, "b", a, "f", XCHG), EINVAL);
	assert_int_equal(do_rename(st, a, "f", st->root, "b", XCHG), EINVAL);
	assert_int_equal(do_rename(st, st->root, "a", st->root, "a", XCHG), 0);
}

static void test_deep(void **p)
{
	struct state *st = *p;
	u64 dir = st->root, top = 0;
	char name[16];
	int i;

	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		dir = made(st, dir, name, DIR1);
		if (!i)
			top = dir;
	}
	made(st, st->root, "m", DIR1);
	assert_int_equal(do_rename(st, st->root, "m", dir, "m", 0), 0);
	assert_int_equal(do_rename(st, st->root, "d0", dir, "d0", 0), EINVAL);
	assert_int_equal(get(st, top).parent, st->root);
}

/* Renaming an open file over another open file keeps both readable. */
static void test_open_files(void **p)
{
	struct state *st = *p;
	struct flint_open_rep o;
	u64 f, h;

	assert_int_equal(do_open(st, st->root, "f", FLINT_OPEN_CREATE | FLINT_OPEN_WRITE, 0644), 0);
	o = rep_open(st);
	f = le64_to_cpu(o.attr.ino);
	h = le64_to_cpu(o.handle);
	made(st, st->root, "g", REG);
	assert_int_equal(do_rename(st, st->root, "g", st->root, "f", 0), 0);
	assert_int_equal(get(st, f).nlink, 0);
	assert_int_equal(do_link(st, f, st->root, "again"), ENOENT);
	state_restart(st);
	assert_int_equal(get(st, f).nlink, 0);
	assert_int_equal(do_close(st, h, f), 0);
	assert_true(gone(st, f));
}

/* ---- READDIR ------------------------------------------------------------------ */

#define PAGE	400

/* One page after a cookie; adds to @seen[number in the name]. Return: last cookie, 0 at the end. */
static u64 page(struct state *st, u64 dir, u64 cookie, u32 flags, u32 *seen, u32 max)
{
	struct flint_readdir req = { .ino = cpu_to_le64(dir), .cookie = cpu_to_le64(cookie),
				     .flags = cpu_to_le32(flags) };
	struct flint_readdir_rep rep;
	const struct flint_attr *attr;
	struct flint_dirent d;
	const u8 *name;
	u8 buf[PAGE * 8];
	u32 used, pos = 0, nr = 0;
	u64 last = cookie;

	assert_int_equal(meta_read_dir(&st->s, 1, 7, &req, buf, sizeof(buf), &used, &rep), 0);
	while (flint_dirent_next(buf, used, &pos, &d, &attr, &name) == 1) {
		char text[16] = "";
		u32 n;

		memcpy(text, name + 1, le16_to_cpu(d.name_len) - 1);
		n = strtoul(text, NULL, 10);
		assert_true(n < max);
		assert_true(le64_to_cpu(d.cookie) > last);
		last = le64_to_cpu(d.cookie);
		assert_int_equal(!!attr, !!(flags & FLINT_READDIR_PLUS));
		if (attr) {
			assert_true(attr->ino == d.ino);
			assert_int_equal(le32_to_cpu(attr->valid_ms), 7);
			assert_int_equal(le32_to_cpu(attr->mode) >> 12, d.type);
		}
		if (name[0] == 'f')
			seen[n]++;
		nr++;
	}
	assert_int_equal(pos, used);
	assert_int_equal(nr, le32_to_cpu(rep.nr));
	assert_true(le64_to_cpu(rep.next_cookie) > last);
	return le32_to_cpu(rep.eof) ? 0 : last;
}

static void scan(struct state *st, u32 flags, bool disturb)
{
	u32 seen[2000] = { 0 }, i, pages = 0;
	u64 cookie = 0, dir = made(st, st->root, flags ? "plus" : "plain", DIR1);
	char name[16], other[16];

	for (i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		made(st, dir, name, REG);
	}
	do {
		cookie = page(st, dir, cookie, flags, seen, 2000);
		pages++;
		if (!disturb)
			continue;
		/* Of every ten: one goes, one is renamed, two are exchanged, one is replaced; one comes. */
		i = (pages * 10) % 600;
		snprintf(name, sizeof(name), "f%u", i);
		do_unlink(st, dir, name, 0);
		snprintf(name, sizeof(name), "f%u", i + 1);
		snprintf(other, sizeof(other), "r%u", pages);
		do_rename(st, dir, name, dir, other, 0);
		snprintf(name, sizeof(name), "f%u", i + 2);
		snprintf(other, sizeof(other), "f%u", 599 - i);
		do_rename(st, dir, name, dir, other, XCHG);
		snprintf(name, sizeof(name), "n%u", pages);
		do_mknod(st, dir, name, REG, NULL);
		snprintf(other, sizeof(other), "f%u", i + 4);
		do_rename(st, dir, name, dir, other, 0);
		snprintf(name, sizeof(name), "f%u", 1000 + pages);
		do_mknod(st, dir, name, REG, NULL);
	} while (cookie);
	assert_true(pages > 5);
	for (i = 0; i < 600; i++) {
		if (i % 10 < 2 && disturb)
			assert_true(seen[i] <= 1);
		else
			assert_int_equal(seen[i], 1);
	}
}

static void test_readdir(void **p)
{
	scan(*p, 0, false);
	scan(*p, FLINT_READDIR_PLUS, false);
}

static void test_readdir_disturbed(void **p)
{
	scan(*p, 0, true);
	scan(*p, FLINT_READDIR_PLUS, true);
}

/* A name that is new after a page has the cookie that the page told; one that stood there keeps its. */
static void test_readdir_next(void **p)
{
	struct state *st = *p;
	u64 dir = made(st, st->root, "d", DIR1);
	struct flint_readdir req = { .ino = cpu_to_le64(dir) };
	struct flint_readdir_rep rep;
	const struct flint_attr *attr;
	struct flint_dirent d;
	const u8 *name;
	u8 buf[PAGE];
	u32 used, pos;
	u64 next;

	made(st, dir, "f1", REG);
	made(st, dir, "f2", REG);
	assert_int_equal(meta_read_dir(&st->s, 1, 7, &req, buf, PAGE, &used, &rep), 0);
	next = le64_to_cpu(rep.next_cookie);
	do_rename(st, dir, "f1", dir, "f2", 0);
	assert_int_equal(meta_read_dir(&st->s, 1, 7, &req, buf, PAGE, &used, &rep), 0);
	assert_int_equal(le64_to_cpu(rep.next_cookie), next);
	do_rename(st, dir, "f2", dir, "f1", 0);
	assert_int_equal(meta_read_dir(&st->s, 1, 7, &req, buf, PAGE, &used, &rep), 0);
	assert_int_equal(le64_to_cpu(rep.next_cookie), next + 1);
	pos = 0;
	assert_int_equal(flint_dirent_next(buf, used, &pos, &d, &attr, &name), 1);
	assert_int_equal(le64_to_cpu(d.cookie), next);
	assert_int_equal(pos, used);
}

static void test_readdir_errors(void **p)
{
	struct state *st = *p;
	u64 f = made(st, st->root, "f", REG);
	struct flint_readdir req = { .ino = cpu_to_le64(f) };
	struct flint_readdir_rep rep;
	u8 buf[256];
	u32 used;

	assert_int_equal(meta_read_dir(&st->s, 1, 0, &req, buf, sizeof(buf), &used, &rep), -ENOTDIR);
	req.ino = cpu_to_le64(88888);
	assert_int_equal(meta_read_dir(&st->s, 1, 0, &req, buf, sizeof(buf), &used, &rep), -ESTALE);
	req.ino = cpu_to_le64(st->root);
	assert_int_equal(meta_read_dir(&st->s, 2, 0, &req, buf, sizeof(buf), &used, &rep), -ESTALE);
	assert_int_equal(meta_read_dir(&st->s, 1, 0, &req, buf, 16, &used, &rep), -EINVAL);
	req.cookie = cpu_to_le64(~0ull);
	assert_int_equal(meta_read_dir(&st->s, 1, 0, &req, buf, 99, &used, &rep), -EINVAL);
	req.cookie = cpu_to_le64(INT64_MAX);
	assert_int_equal(meta_read_dir(&st->s, 1, 0, &req, buf, 99, &used, &rep), 0);
	assert_true(rep.eof && !rep.nr);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, state_setup, state_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_files), T(test_dirs), T(test_exchange), T(test_deep), T(test_open_files),
		T(test_readdir), T(test_readdir_disturbed), T(test_readdir_next),
		T(test_readdir_errors),
	};

	meta_sqlite_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
