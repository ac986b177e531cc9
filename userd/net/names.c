// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Words for statuses, in logs and metrics; those for operations are in uapi/flintfs/names.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "stats.h"

const char *flint_status_name(uint32_t status, char *buf, size_t len)
{
	static const char * const names[] = {
		"RETRY", "STALE_MAP", "STALE_EPOCH", "NOT_LEADER", "FENCED", "NO_SESSION",
		"BAD_SEQ", "CHECKSUM", "NOT_SERVING", "AUTH", "VERSION", "BAD_REQUEST",
		"SHUTDOWN", "RECLAIM", "NEED_WHOLE", "CONFLICT", "NEED_PERMIT",
	};
	const char *name = "OK";

	if (status >= FLINT_ST_RETRY)
		name = status - FLINT_ST_RETRY < sizeof(names) / sizeof(names[0]) ?
			names[status - FLINT_ST_RETRY] : NULL;
	else if (status)
		name = strerrorname_np((int)status);
	if (name)
		return name;
	snprintf(buf, len, "%u", status);
	return buf;
}
