// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The verbs transport.
 */
#include <stdio.h>

#include "xprt.h"

int flint_verbs_listen(struct flint_acceptor *a, struct sockaddr_storage *addr,
		       struct flint_listener **lp, char *err, size_t errlen)
{
	snprintf(err, errlen, "no RDMA device");
	return -ENODEV;
}

struct flint_xprt *flint_verbs_connect(struct flint_loop *loop, const struct flint_xprt_params *p,
				       const struct sockaddr_storage *addr,
				       const struct flint_xprt_user *user, void *owner)
{
	errno = ENODEV;
	return NULL;
}
