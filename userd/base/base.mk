# SPDX-License-Identifier: GPL-2.0-or-later
# The base library of all daemons: logging, options, state, keys, checksums.

LIBFLINT_SRCS += userd/base/log.c userd/base/metrics.c userd/base/conf.c userd/base/daemon.c \
	userd/base/key.c userd/base/token.c userd/base/crc.c userd/base/addr.c userd/base/slab.c
LIBS_NET += -linih
