/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options that the test programs have in common: entries of a flint_conf_opt
 * table for a struct with the members of the same names.
 */
#ifndef FLINT_TESTS_OPTIONS_H
#define FLINT_TESTS_OPTIONS_H

#include <stddef.h>
#include "../../userd/base/conf.h"

#define TEST_OPT_CLUSTER(options)									\
	{ .key = "mgr", .type = FLINT_CONF_STR, .off = offsetof(options, mgr),			\
	  .arg = "HOST:PORT", .flags = FLINT_CONF_REQUIRED, .help = "managers (TCP)" },	\
	{ .key = "key", .type = FLINT_CONF_STR, .off = offsetof(options, key),			\
	  .arg = "FILE", .flags = FLINT_CONF_REQUIRED, .help = "cluster key" }

#define TEST_OPT_FS(options)									\
	{ .key = "fs", .type = FLINT_CONF_STR, .off = offsetof(options, fs), .def = "default",	\
	  .arg = "NAME", .help = "file system" }

#define TEST_OPT_SEED(options)									\
	{ .key = "seed", .type = FLINT_CONF_U64, .off = offsetof(options, seed), .def = "1",	\
	  .arg = "N", .help = "of the random operations" }

#endif /* FLINT_TESTS_OPTIONS_H */
