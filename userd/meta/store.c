// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state as a whole: opening and upgrading the database, what is derived
 * from rows, generations, the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "flush.h"
#include "schema.h"
#include "store.h"
#include "verify.h"

#define QUICK_CHECK_MAX	(256ll << 20)	/* larger files are checked as they are read */
#define GEN_LIMIT	4		/* times gen_objects: then apply waits */
#define DELAY_US	20000		/* at most, and just before that */
#define DELAY_MIN_US	500

/* ---- opening ------------------------------------------------------------ */

static int open_fail(struct meta_db *d, int err, char *msg, size_t len)
{
	switch (err) {
	case -EUCLEAN:
		snprintf(msg, len, "%s is damaged or not a database (%s): nothing was changed; move it"
			 " away, then this replica rebuilds it from the others, or restore a backup",
			 d->path, d->err);
		break;
	case -EROFS:
		snprintf(msg, len, "%s cannot be written (%s): mount its file system read-write and"
			 " check its owner and mode", d->path, d->err);
		break;
	case -ENOSPC:
		snprintf(msg, len, "no space left for %s: free space on its file system", d->path);
		break;
	default:
		snprintf(msg, len, "%s cannot be opened (%s): check that the directory exists and"
			 " belongs to this user", d->path, d->err);
	}
	return err;
}

/* Tables that the file does not have yet. */
static int tables_create(struct meta_db *d)
{
	char sql[512];
	int t, err = 0;

	for (t = 0; t < META_T_NR && !err; t++) {
		meta_table_ddl(&meta_table_descs[t], sql, sizeof(sql));
		err = meta_db_exec(d, sql);
	}
	return err;
}

/* Steps from @version (0: an empty file) to ours, in one transaction. */
static int schema_make(struct meta_db *d, int version)
{
	char sql[128];
	int v, err;

	err = meta_db_exec(d, "BEGIN IMMEDIATE");
	if (err)
		return err;
	if (!version)
		err = meta_db_exec(d, meta_schema);
	for (v = version; v && v < META_SCHEMA_VERSION && !err; v++)
		err = meta_db_exec(d, meta_schema_steps[v - 1][0]);
	if (!err)
		err = tables_create(d);
	for (v = version; v && v < META_SCHEMA_VERSION && !err; v++)
		err = meta_db_exec(d, meta_schema_steps[v - 1][1]);
	snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
		 META_APPLICATION_ID, META_SCHEMA_VERSION);
	if (!err)
		err = meta_db_exec(d, sql);
	if (err && !sqlite3_get_autocommit(d->db)) {
		char why[sizeof(d->err)];

		memcpy(why, d->err, sizeof(why));
		meta_db_exec(d, "ROLLBACK");
		memcpy(d->err, why, sizeof(why));
	}
	return err;
}

static int schema_check(struct meta_db *d, char *msg, size_t len)
{
	s64 app = 0, version = 0, tables = 0;
	int err;

	err = meta_db_int(d, "PRAGMA application_id", &app);
	if (!err)
		err = meta_db_int(d, "PRAGMA user_version", &version);
	if (!err)
		err = meta_db_int(d, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err)
		return open_fail(d, err, msg, len);
	if (!app && !version && !tables) {
		err = meta_db_exec(d, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL");
		if (!err)
			err = schema_make(d, 0);
		return err ? open_fail(d, err, msg, len) : 0;
	}
	if (app != META_APPLICATION_ID || version < 1) {
		snprintf(msg, len, "%s is an SQLite database, but not one of flint-metad: nothing was"
			 " changed; choose another --state directory", d->path);
		return -EUCLEAN;
	}
	if (version > META_SCHEMA_VERSION) {
		snprintf(msg, len, "%s has schema version %lld and this flint-metad knows up to %d:"
			 " nothing was changed; start the newer flint-metad that wrote it",
			 d->path, (long long)version, META_SCHEMA_VERSION);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

static int quick_check(struct meta_db *d, char *msg, size_t len)
{
	sqlite3_stmt *st;
	struct stat sb;
	int rc, err = 0;

	if (stat(d->path, &sb) || sb.st_size > QUICK_CHECK_MAX)
		return 0;
	rc = sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (!rc) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(st, 0), "ok")) {
			snprintf(d->err, sizeof(d->err), "%.200s",
				 (const char *)sqlite3_column_text(st, 0));
			err = -EUCLEAN;
		}
	}
	if (rc != SQLITE_ROW) {
		snprintf(d->err, sizeof(d->err), "%s", sqlite3_errmsg(d->db));
		err = meta_db_errno(d, rc);
	}
	sqlite3_finalize(st);
	return err ? open_fail(d, err, msg, len) : 0;
}

/* The writer's connection to a file that is ours, whole and of our schema. */
static int open_writer(struct meta_db *d, const char *path, bool checked, char *msg, size_t len)
{
	s64 version = 0;
	int fd, err;

	/* Made by us so that it is private from the first byte; -wal and -shm follow its mode. */
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		snprintf(msg, len, "%s cannot be opened for writing (%s): make the --state directory"
			 " writable for this user", path, strerror(errno));
		return err;
	}
	close(fd);
	err = meta_db_open(d, path, true);
	if (err)
		return open_fail(d, err, msg, len);
	err = schema_check(d, msg, len);
	if (!err && !checked)
		err = quick_check(d, msg, len);
	if (err)
		return err;
	err = meta_db_exec(d, "PRAGMA journal_mode=WAL");
	if (!err)
		err = meta_db_int(d, "PRAGMA user_version", &version);
	if (!err)
		err = schema_make(d, version);	/* also makes tables that are new */
	return err ? open_fail(d, err, msg, len) : 0;
}

/* ---- what is derived from rows ---------------------------------------------- */

static void free_derived(struct meta_store *s)
{
	struct meta_session *sn, *sn_tmp;
	struct meta_open *o, *o_tmp;
	struct meta_fs *f, *f_tmp;

	HASH_CLEAR(hh_id, s->by_id);
	HASH_ITER(hh, s->by_client, sn, sn_tmp) {
		HASH_DEL(s->by_client, sn);
		free(sn);
	}
	HASH_ITER(hh, s->opens, o, o_tmp) {
		HASH_DEL(s->opens, o);
		free(o);
	}
	HASH_ITER(hh, s->fs, f, f_tmp) {
		HASH_DEL(s->fs, f);
		free(f);
	}
}

/* The next row after @r, from the first one when @r is zeroed. */
static int each(struct meta_store *s, enum meta_table_id t, struct meta_row *r)
{
	u8 key[META_KEY_MAX + 1] = { 0 };
	u32 len = 8 * strspn(meta_table_descs[t].ktypes, "q");

	if (r->key) {
		memcpy(key, r->key, r->klen);
		len = r->klen;
		if (meta_table_descs[t].ktypes[len / 8])
			key[len++] = 0;
		else
			meta_key_put(key, len - 8, meta_key_u64(key, len - 8) + 1);
	}
	return meta_row_seek(s, t, key, len, r);
}

static int derive(struct meta_store *s)
{
	struct meta_session *sn;
	struct meta_row r = { 0 };
	s64 ready = 0;
	u64 v[7];
	int err;

	for (err = 0; !err && (err = each(s, META_T_SESSION, &r)) == 1; err = 0) {
		sn = meta_session_from_row(s, &r);
		if (!sn)
			return -ENOMEM;
	}
	memset(&r, 0, sizeof(r));
	for (; !err && (err = each(s, META_T_REPLY, &r)) == 1; err = 0) {
		memcpy(v, r.val, 8);
		sn = meta_session_by_id(s, meta_key_u64(r.key, 0));
		if (sn && v[0] > sn->low)
			sn->low = v[0];
	}
	memset(&r, 0, sizeof(r));
	for (; !err && (err = each(s, META_T_HANDLE, &r)) == 1; err = 0) {
		memcpy(v, r.val, 16);
		err = meta_open_adjust(s, v[0], v[1], 1);
		if (err)
			return err;
	}
	memset(&r, 0, sizeof(r));
	for (; !err && (err = each(s, META_T_FS, &r)) == 1; err = 0) {
		memcpy(v, r.val, 16);
		err = meta_fs_load(s, meta_key_u64(r.key, 0), v[0], v[1], r.val + 16, r.vlen - 16);
		if (err)
			return err;
	}
	if (!err)
		err = meta_db_int(&s->rd, "SELECT count(*) FROM orphan WHERE ready=1", &ready);
	s->ready_orphans = ready;
	return err;
}

static int load(struct meta_store *s, struct meta_db *wr)
{
	struct meta_db_state st = { 0 };
	int err;

	err = meta_db_state_get(&s->rd, &st);
	if (err < 0)
		return err;
	if (err) {	/* after an upgrade */
		err = meta_checksum_scan(&s->rd, &st.sum, NULL, NULL);
		if (!err)
			err = meta_db_state_put(wr, &st);
		if (err)
			return err;
	}
	s->c = (struct meta_counters){ st.applied, st.last_ts, st.next_ino, st.next_session,
				       st.next_handle };
	s->index = st.index;
	s->term = st.term;
	s->sum = st.sum;
	s->durable = st.index;
	s->frozen_index = st.index;
	err = meta_tables_load(s);
	return err ? err : derive(s);
}

static u64 default_cache(void)
{
	u64 ram = (u64)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);

	return ram / 4 > 64 << 20 ? ram / 4 : 64 << 20;
}

static u64 now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

int meta_store_open(struct meta_store *s, const struct meta_store_config *cfg, char *msg,
		    size_t len)
{
	struct meta_db wr;
	int err;

	memset(s, 0, sizeof(*s));
	memset(&wr, 0, sizeof(wr));
	s->cfg = *cfg;
	if (!s->cfg.cache_bytes)
		s->cfg.cache_bytes = default_cache();
	if (!s->cfg.gen_objects)
		s->cfg.gen_objects = META_GEN_OBJECTS;
	if (!s->cfg.gen_ms)
		s->cfg.gen_ms = META_GEN_MS;
	if (snprintf(s->path, sizeof(s->path), "%s/" META_STORE_FILE, cfg->dir) >=
	    (int)sizeof(s->path)) {
		snprintf(msg, len, "the path %s is too long: choose a shorter --state", cfg->dir);
		return -EINVAL;
	}
	err = open_writer(&wr, s->path, cfg->checked, msg, len);
	if (err)
		goto fail;
	err = meta_db_open(&s->rd, s->path, false);
	if (!err)
		err = meta_cache_init(&s->cache, s->cfg.cache_bytes);
	if (!err)
		err = load(s, &wr);
	if (err) {
		open_fail(&s->rd, err, msg, len);
		goto fail;
	}
	s->flusher = meta_flusher_new(&wr, s->cfg.wake, s->cfg.arg);
	if (!s->flusher) {
		snprintf(msg, len, "a thread cannot be started (%s)", strerror(errno));
		err = -ENOMEM;
		goto fail;
	}
	s->frozen_us = now_us();
	return 0;

fail:
	meta_db_close(&wr);
	meta_store_close(s);
	return err;
}

static void gen_free(struct meta_gen *g)
{
	if (!g)
		return;
	meta_vec_free(&g->inodes);
	meta_vec_free(&g->dents);
	free(g);
}

void meta_store_close(struct meta_store *s)
{
	struct meta_rowo *r, *older;

	/* The writer's connection last: it moves the WAL into the file. */
	meta_db_close(&s->rd);
	if (s->flusher)
		meta_flusher_free(s->flusher);
	s->flusher = NULL;
	/* Replaced rows are on their generation's list only. */
	for (r = s->frozen ? s->frozen->rows : NULL; r; r = older) {
		older = r->older;
		if (r->o.retired)
			meta_obj_free(&s->cache, &r->o);
	}
	gen_free(s->frozen);
	s->frozen = NULL;
	free_derived(s);
	meta_cache_free(&s->cache);
}

/* ---- generations ------------------------------------------------------------- */

int meta_store_fail(struct meta_store *s, int err, const char *why)
{
	char text[sizeof(s->err)];

	if (s->dead)
		return err;
	snprintf(text, sizeof(text), "%s", why);	/* may lie in s->err */
	memcpy(s->err, text, sizeof(text));
	s->dead = true;
	if (s->cfg.fatal)
		s->cfg.fatal(s->cfg.arg, s->err);
	return err;
}

void meta_store_poll(struct meta_store *s)
{
	struct meta_flush_stats st;
	struct meta_gen *g = NULL;
	char why[256];
	int ret;

	ret = meta_flusher_report(s->flusher, &g, s->waiting, why, sizeof(why));
	if (ret < 0)
		meta_store_fail(s, ret, why);
	if (ret <= 0)
		return;
	meta_cache_flushed(&s->cache, g->gen, g->rows);
	s->frozen = NULL;
	s->durable = g->state.index;
	meta_flusher_stats(s->flusher, &st);
	s->cost_ns = st.cost_ns;
	if (s->cfg.durable)
		s->cfg.durable(s->cfg.arg, g->state.index, g->state.term);
	gen_free(g);
}

/* The active generation becomes the frozen one; the flusher is idle. */
static void freeze(struct meta_store *s)
{
	struct meta_cache *c = &s->cache;
	struct meta_gen *g = calloc(1, sizeof(*g));

	if (!g) {
		meta_store_fail(s, -ENOMEM, "out of memory");
		return;
	}
	g->gen = c->gen++;
	g->state = (struct meta_db_state){
		.applied = s->c.applied, .last_ts = s->c.last_ts, .next_ino = s->c.next_ino,
		.next_session = s->c.next_session, .next_handle = s->c.next_handle,
		.index = s->index, .term = s->term, .sum = s->sum,
	};
	g->nr = meta_cache_dirty(c);
	g->inodes = c->inodes;
	g->dents = c->dents;
	g->rows = c->rows;
	memset(&c->inodes, 0, sizeof(c->inodes));
	memset(&c->dents, 0, sizeof(c->dents));
	c->rows = NULL;
	c->nr_rows = 0;
	s->frozen = g;
	s->frozen_index = s->index;
	s->frozen_applied = s->c.applied;
	s->frozen_us = now_us();
	meta_flusher_start(s->flusher, g);
}

static bool changed(const struct meta_store *s)
{
	return meta_cache_dirty(&s->cache) || s->index != s->frozen_index ||
	       s->c.applied != s->frozen_applied;
}

void meta_store_settle(struct meta_store *s)
{
	struct meta_fs *f;

	meta_inodes_settle(s);
	for (f = s->fs; f; f = f->hh.next)
		if (f->dirty && !meta_fs_put(s, f))
			f->dirty = false;
	meta_cache_trim(&s->cache);
}

void meta_store_applied(struct meta_store *s, u64 index, u64 term)
{
	u64 nr;

	meta_store_settle(s);
	s->index = index;
	s->term = term;
	nr = meta_cache_dirty(&s->cache);
	if (nr < s->cfg.gen_objects || s->dead)
		return;
	meta_store_poll(s);
	while (!s->dead && nr >= GEN_LIMIT * s->cfg.gen_objects && !meta_flusher_idle(s->flusher)) {
		s->waits++;
		s->waiting = true;
		meta_store_poll(s);
		s->waiting = false;
	}
	if (!s->dead && meta_flusher_idle(s->flusher))
		freeze(s);
}

u32 meta_store_delay(const struct meta_store *s)
{
	u64 nr = meta_cache_dirty(&s->cache), gen = s->cfg.gen_objects, slack = gen / 4, due, past;

	if (nr <= slack || !s->frozen)
		return 0;
	if (nr >= (GEN_LIMIT - 1) * gen)
		return DELAY_US;
	/* It is to be full just when the frozen one is written. */
	due = (nr - slack) * s->frozen->nr * s->cost_ns / 1000 / (gen - slack);
	past = now_us() - s->frozen_us;
	if (due < past + DELAY_MIN_US)
		return 0;
	return due - past < DELAY_US ? due - past : DELAY_US;
}

void meta_store_freeze(struct meta_store *s)
{
	meta_store_poll(s);
	if (!s->dead && changed(s) && meta_flusher_idle(s->flusher))
		freeze(s);
}

void meta_store_tick(struct meta_store *s)
{
	meta_store_poll(s);
	meta_cache_trim(&s->cache);
	if (now_us() - s->frozen_us >= s->cfg.gen_ms * 1000ull)
		meta_store_freeze(s);
}

int meta_store_flush(struct meta_store *s)
{
	bool last = false;

	meta_store_settle(s);
	while (!s->dead) {
		s->waiting = true;
		meta_store_poll(s);
		s->waiting = false;
		if (s->frozen || s->dead)
			continue;
		if (last || !changed(s))
			return 0;
		if (!meta_flusher_idle(s->flusher))
			continue;
		freeze(s);
		last = true;
	}
	return -EIO;
}

u64 meta_store_checksum(struct meta_store *s)
{
	meta_store_settle(s);
	return meta_state_sum(s->sum, &s->c);
}

void meta_store_stats(struct meta_store *s, struct meta_store_stats *st)
{
	struct meta_flush_stats f;
	struct stat sb;
	char wal[sizeof(s->path) + 8];

	meta_flusher_stats(s->flusher, &f);
	*st = (struct meta_store_stats){
		.objects = s->cache.objects, .bytes = s->cache.bytes,
		.bytes_max = s->cache.bytes_max, .dirty = meta_cache_dirty(&s->cache),
		.frozen = s->frozen ? s->frozen->nr : 0, .hits = s->cache.hits,
		.misses = s->cache.misses, .evictions = s->cache.evictions,
		.flushes = f.flushes, .flushed = f.flushed, .flush_us = f.flush_us,
		.checkpoint_us = f.checkpoint_us, .checkpoints = f.checkpoints, .waits = s->waits,
		.durable = s->durable,
	};
	snprintf(wal, sizeof(wal), "%s-wal", s->path);
	if (!stat(s->path, &sb))
		st->file_bytes = sb.st_size;
	if (!stat(wal, &sb))
		st->wal_bytes = sb.st_size;
}
