// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Follow the cluster map as a mount does and print each epoch on a line, until
 * killed:
 *	flint-mapwatch MGR:PORT,... KEYFILE
 */
#include <stdio.h>
#include <string.h>
#include "../../userd/base/addr.h"
#include "../../userd/base/daemon.h"
#include "../../userd/base/key.h"
#include "../../userd/base/log.h"
#include "../../userd/client/cluster.h"

static void changed(void *arg, const struct flint_map *map)
{
	printf("%llu\n", (unsigned long long)map->epoch);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct flint_cluster_config cfg = {
		.role = FLINT_ROLE_CLIENT, .name = "mapwatch", .proto = FLINT_PROTO_TCP,
		.changed = changed,
	};
	uint8_t key[FLINT_KEY_LEN];
	struct flint_cluster *c;
	char err[512] = "";
	int n;

	flint_log_init("mapwatch", FLINT_LOG_INFO);
	if (argc != 3 || flint_key_load(argv[2], key, err, sizeof(err))) {
		fprintf(stderr, "flint-mapwatch: %s\n", argc == 3 ? err : "give managers and key file");
		return 2;
	}
	n = flint_addr_parse_list(argv[1], FLINT_PORT_MGR_TCP, cfg.mgrs, FLINT_MGRS_MAX, err,
				  sizeof(err));
	if (n < 0) {
		fprintf(stderr, "flint-mapwatch: %s\n", err);
		return 2;
	}
	cfg.nr_mgrs = n;
	cfg.key = key;
	cfg.loop = flint_loop_new();
	flint_random(cfg.client_id, sizeof(cfg.client_id));
	c = cfg.loop ? flint_cluster_new(&cfg) : NULL;
	if (!c)
		return 1;
	return flint_loop_run(cfg.loop) != 0;
}
