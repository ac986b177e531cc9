/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The small tables as SQLite has them: statements, and rows between bytes and
 * columns. For table.c and those who write or copy whole tables.
 */
#ifndef FLINT_META_TABLESQL_H
#define FLINT_META_TABLESQL_H

#include <sqlite3.h>
#include "table.h"

/* What a statement does; ALL: every row in order of the keys. */
enum meta_table_verb { META_TV_GET, META_TV_SEEK, META_TV_ALL, META_TV_PUT, META_TV_DEL, META_TV_NR };

/* The statement that makes the table; @len: 512 bytes are enough. */
void meta_table_ddl(const struct meta_table_desc *d, char *sql, size_t len);
/* Return: an SQLite result. */
int meta_table_prepare(sqlite3 *db, enum meta_table_id t, enum meta_table_verb v,
		       sqlite3_stmt **st);
/* 0, or -EINVAL: bytes that are no key or value of the table. */
int meta_table_bind_key(sqlite3_stmt *st, enum meta_table_id t, const void *key, u32 len);
int meta_table_bind_val(sqlite3_stmt *st, enum meta_table_id t, const void *val, u32 len);
/* The row a statement stands on: key, then value. @out NULL: lengths only. Return: bytes. */
u32 meta_table_fetch(sqlite3_stmt *st, enum meta_table_id t, u8 *out, u32 *klen);

/* Its key alone; META_KEY_MAX bytes. */
u32 meta_table_fetch_key(sqlite3_stmt *st, enum meta_table_id t, u8 *out);

#endif /* FLINT_META_TABLESQL_H */
