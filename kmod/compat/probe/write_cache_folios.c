// SPDX-License-Identifier: GPL-2.0-only
/* 6.3: write_cache_pages() hands over folios instead of pages */
#include <linux/writeback.h>

int flint_probe(struct address_space *mapping, struct writeback_control *wbc,
		int (*fn)(struct folio *folio, struct writeback_control *wbc, void *data));
int flint_probe(struct address_space *mapping, struct writeback_control *wbc,
		int (*fn)(struct folio *folio, struct writeback_control *wbc, void *data))
{
	return write_cache_pages(mapping, wbc, fn, NULL);
}
