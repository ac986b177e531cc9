// SPDX-License-Identifier: GPL-2.0-only
/* 6.8: generic_error_remove_page() takes a folio */
#include <linux/mm.h>

int flint_probe(struct address_space *mapping, struct folio *folio);
int flint_probe(struct address_space *mapping, struct folio *folio)
{
	return generic_error_remove_folio(mapping, folio);
}
