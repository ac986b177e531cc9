/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a file system may be called: the managers insist on it, 'flint up' looks before it
 * remembers a name.
 */
#ifndef FLINT_MGR_FSNAME_H
#define FLINT_MGR_FSNAME_H

#include <string.h>

#include "../uapi/flintfs/map.h"

#define MGR_FS_NAME_WORDS "1 to 63 letters, digits, dots, dashes and underscores"

static inline bool mgr_fs_name_ok(const char *name)
{
	size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789._-") : 0;

	return n && n < FLINT_LABEL_LEN && !name[n] && name[0] != '.' && name[0] != '-';
}

#endif /* FLINT_MGR_FSNAME_H */
