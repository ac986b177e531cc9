// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as a READDIR payload: steps go forward, names stay inside. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../../uapi/flintfs/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	const struct flint_attr *attr;
	const uint8_t *name;
	struct flint_dirent d;
	uint32_t pos = 0, last = 0;

	memcpy(copy, data, size);
	while (flint_dirent_next(copy, size, &pos, &d, &attr, &name) == 1) {
		if (pos <= last || pos > size || name < copy ||
		    name + le16_to_cpu(d.name_len) > copy + pos ||
		    flint_name_check(name, le16_to_cpu(d.name_len)))
			abort();
		if (attr && ((const uint8_t *)attr < copy ||
			     (const uint8_t *)(attr + 1) > name))
			abort();
		last = pos;
	}
	free(copy);
	return 0;
}
