// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flint, the command line for people: the table of commands, their options,
 * and the way from argv to a command's function.
 *
 * Every command is a row of cli_cmds. Options are parsed by argp, one parser
 * for all commands: a command's table says which options it takes, their
 * values are kept by number in struct cli.
 */
#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../userd/base/conf.h"
#include "../userd/base/log.h"
#include "cli.h"
#include "cli_chunk.h"
#include "cli_fs.h"

struct cli_cmd {
	const char *group;		/* NULL: a command of one word */
	const char *name;
	int (*run)(struct cli *c);
	unsigned int min_words, max_words;
	bool api;			/* speaks to the manager */
	const char *args_doc;
	const char *doc;
	const struct argp_option *opts;
};

#define CLI_JSON { "json", CLI_OPT_JSON, NULL, 0, "Print JSON", 90 }
#define CLI_API								\
	{ "mgr", CLI_OPT_MGR, "HOST:PORT", 0, "HTTP address of a manager; several by commas", 91 }, \
	{ "key", CLI_OPT_KEY, "FILE", 0, "Cluster key", 91 },			\
	{ "dir", CLI_OPT_DIR, "DIR", 0, "Speak to the cluster that 'flint up DIR' started", 91 }

static const struct argp_option cli_opts_api[] = { CLI_JSON, CLI_API, { 0 } };
static const struct argp_option cli_opts_json[] = { CLI_JSON, { 0 } };
static const struct argp_option cli_opts_none[] = { { 0 } };

static const struct argp_option cli_opts_init[] = {
	{ "key", CLI_OPT_KEY, "FILE", 0, "Key file to make (default /etc/flintfs/cluster.key)", 0 },
	{ "state", CLI_OPT_STATE, "DIR", 0, "Put the key into DIR, as cluster.key", 0 },
	CLI_JSON, { 0 },
};

static const struct argp_option cli_opts_target_add[] = {
	{ "id", CLI_OPT_ID, "N", 0, "Target id (default: the next free one)", 0 },
	{ "size", CLI_OPT_SIZE, "BYTES", 0, "Size of a file, with K, M, G or T; needed unless PATH is a block device", 0 },
	{ "crc-block", CLI_OPT_CRC_BLOCK, "BYTES", 0, "Allocation and checksum block, 4K to 64K", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_chain_create[] = {
	{ "replicas", CLI_OPT_REPLICAS, "N", 0, "Copies of each chunk, 1 to 8 (default 3, or as many as there are machines)", 0 },
	{ "nodes", CLI_OPT_NODES, "NAME,...", 0, "Free targets of these chunk servers", 0 },
	{ "all", CLI_OPT_ALL, NULL, 0, "All free targets (the default)", 0 },
	{ "domain", CLI_OPT_DOMAIN, "WHAT", 0, "What no two copies may share: host or rack (default: rack where there are enough)", 0 },
	{ "dry-run", CLI_OPT_DRY_RUN, NULL, 0, "Print what would be made", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_fs_create[] = {
	{ "chunk-size", CLI_OPT_CHUNK_SIZE, "BYTES", 0, "64K to 16M, a power of two (default 1M)", 0 },
	{ "stripe", CLI_OPT_STRIPE, "N", 0, "Chains that a file is striped over (default: all)", 0 },
	{ "mode", CLI_OPT_MODE, "OCTAL", 0, "Permissions of the root directory (default 755)", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_token_create[] = {
	{ "fs", CLI_OPT_FS, "NAME", 0, "File system (default 'default')", 0 },
	{ "path", CLI_OPT_PATH, "DIR", 0, "Only this directory of it and what is below", 0 },
	{ "read-only", CLI_OPT_READ_ONLY, NULL, 0, "Nothing may be changed", 0 },
	{ "root-squash", CLI_OPT_ROOT_SQUASH, NULL, 0, "Root is nobody there", 0 },
	{ "all-squash", CLI_OPT_ALL_SQUASH, NULL, 0, "Everybody is nobody there", 0 },
	{ "admin", CLI_OPT_ADMIN, NULL, 0, "It may set quotas, trash settings, projects", 0 },
	{ "squash-to", CLI_OPT_SQUASH_TO, "UID:GID", 0, "Who nobody is (default 65534:65534)", 0 },
	{ "expires", CLI_OPT_EXPIRES, "TIME", 0, "From now, such as 12h, 30d or never (default 30d)", 0 },
	{ "address", CLI_OPT_ADDRESS, "PREFIX", 0, "Only from these addresses, such as 10.1.0.0/16", 0 },
	{ "note", CLI_OPT_NOTE, "TEXT", 0, "Shown by 'flint token ls'", 0 },
	{ "out", CLI_OPT_OUT, "FILE", 0, "File to make, readable by its owner only (default: print it)", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_token_revoke[] = {
	{ "all", CLI_OPT_ALL, NULL, 0, "All tokens made until now", 0 },
	CLI_JSON, CLI_API, { 0 },
};

#define CLI_WHOSE							\
	{ "user", CLI_OPT_USER, "NAME", 0, "Of a user: name, number or 'default'", 1 },		\
	{ "group", CLI_OPT_GROUP, "NAME", 0, "Of a group: name, number or 'default'", 1 },	\
	{ "project", CLI_OPT_PROJECT, "N", 0, "Of a project: number or 'default'", 1 }

static const struct argp_option cli_opts_quota[] = { CLI_WHOSE, CLI_JSON, CLI_API, { 0 } };

static const struct argp_option cli_opts_quota_set[] = {
	CLI_WHOSE,
	{ "soft", CLI_OPT_SOFT, "BYTES", 0, "Space that may be exceeded for a time, with K, M, G or T; none: no limit", 2 },
	{ "hard", CLI_OPT_HARD, "BYTES", 0, "Space that is never exceeded", 2 },
	{ "inodes-soft", CLI_OPT_ISOFT, "N", 0, "The same for files and directories", 2 },
	{ "inodes-hard", CLI_OPT_IHARD, "N", 0, "The same for files and directories", 2 },
	{ "grace", CLI_OPT_GRACE, "TIME", 0, "How long a soft limit may be exceeded (default 7d)", 2 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_trash_restore[] = {
	{ "id", CLI_OPT_ID, "N", 0, "Only the entry with this number", 0 },
	{ "to", CLI_OPT_TO, "PLACE", 0, "Put it there: a directory, or a path that does not exist yet", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_trash_empty[] = {
	{ "id", CLI_OPT_ID, "N", 0, "Only the entry with this number", 0 },
	{ "older", CLI_OPT_OLDER, "TIME", 0, "Only what was deleted so long ago: 30d, 12h", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_rmtree[] = {
	{ "no-trash", CLI_OPT_NO_TRASH, NULL, 0, "Do not put it into the trash", 0 },
	{ "wait", CLI_OPT_WAIT, NULL, 0, "Return when all of it has been removed", 0 },
	CLI_JSON, CLI_API, { 0 },
};

#define CLI_DRY { "dry-run", CLI_OPT_DRY_RUN, NULL, 0, "Only say what would happen", 0 }
#define CLI_YES { "yes", CLI_OPT_YES, NULL, 0, "Do not ask", 0 }

#define CLI_MOVES								\
	{ "parallel", CLI_OPT_PARALLEL, "N", 0, "Chains that change at the same time (default 4)", 1 },	\
	{ "no-wait", CLI_OPT_NO_WAIT, NULL, 0, "Begin it and return; 'flint job' tells of it", 1 }

static const struct argp_option cli_opts_job[] = { CLI_MOVES, CLI_DRY, CLI_YES, CLI_JSON, CLI_API, { 0 } };
static const struct argp_option cli_opts_yes[] = { CLI_DRY, CLI_YES, CLI_JSON, CLI_API, { 0 } };
static const struct argp_option cli_opts_disk[] = {
	{ "id", CLI_OPT_ID, "N", 0, "Target id (default: the next free one)", 0 },
	{ "size", CLI_OPT_SIZE, "BYTES", 0, "Size of a file, with K, M, G or T; not for a block device", 0 },
	{ "force", CLI_OPT_FORCE, NULL, 0, "Also when it holds something already", 0 },
	CLI_MOVES, CLI_DRY, CLI_YES, CLI_JSON, CLI_API, { 0 },
};
static const struct argp_option cli_opts_label[] = {
	{ "rack", CLI_OPT_RACK, "NAME", 0, "The rack it stands in", 0 },
	{ "host", CLI_OPT_HOST, "NAME", 0, "The machine it runs on, if it shares one", 0 },
	CLI_JSON, CLI_API, { 0 },
};
static const struct argp_option cli_opts_rolling[] = {
	{ "command", CLI_OPT_COMMAND, "CMD", 0, "Restarts one; {} stands for its name (default: the daemons of --dir)", 0 },
	CLI_DRY, CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_member[] = { CLI_DRY, CLI_JSON, CLI_API, { 0 } };
static const struct argp_option cli_opts_replace[] = { CLI_DRY, CLI_YES, CLI_JSON, CLI_API, { 0 } };

static const struct argp_option cli_opts_remove[] = {
	CLI_DRY, CLI_YES,
	{ "force", CLI_OPT_FORCE, NULL, 0, "Even if too few are left to go on", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_from[] = {
	{ "from", CLI_OPT_FROM, "NAME", 0, "Replica that does it (default: a follower)", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_verify[] = {
	{ "from", CLI_OPT_FROM, "NAME", 0, "Replica that does it (default: a follower)", 0 },
	{ "all", CLI_OPT_ALL, NULL, 0, "Every replica, one after the other", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_offline[] = {
	{ "state", CLI_OPT_STATE, "DIR", 0, "State directory (default: that of the installed daemon)", 0 },
	CLI_DRY, CLI_YES, CLI_JSON, { 0 },
};

static const struct argp_option cli_opts_state[] = {
	{ "state", CLI_OPT_STATE, "DIR", 0, "State directory (default: that of the installed daemon)", 0 },
	CLI_JSON, { 0 },
};

static const struct argp_option cli_opts_node[] = {
	{ "node", CLI_OPT_NODE, "NAME", 0, "Only this daemon (default: all of the cluster)", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_node_text[] = {
	{ "node", CLI_OPT_NODE, "NAME", 0, "Only this daemon (default: all of the cluster)", 0 },
	CLI_API, { 0 },
};

static const struct argp_option cli_opts_doctor[] = {
	{ "out", 'o', "FILE", 0, "Where to write (default: flint-doctor-HOST-TIME.tar.gz here)", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_history[] = {
	{ "chain", CLI_OPT_CHAIN, "N", 0, "Only of this chain", 0 },
	{ "target", CLI_OPT_TARGET, "N", 0, "Only of this target", 0 },
	{ "node", CLI_OPT_NODE, "NAME", 0, "Only of this server and its targets", 0 },
	{ "since", CLI_OPT_SINCE, "TIME", 0, "Only so long ago: 90s, 10m, 12h, 7d", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_up[] = {
	{ "chunk-servers", CLI_OPT_CHUNK_SERVERS, "N", 0, "Chunk servers (default 3)", 0 },
	{ "meta", CLI_OPT_META, "N", 0, "Metadata replicas: 1, 3 or 5 (default 1)", 0 },
	{ "mgr", CLI_OPT_MGRS, "N", 0, "Managers: 1, 3 or 5 (default 1)", 0 },
	{ "targets", CLI_OPT_TARGETS, "N", 0, "Targets of each chunk server (default 1)", 0 },
	{ "replicas", CLI_OPT_REPLICAS, "N", 0, "Copies of each chunk (default 1)", 0 },
	{ "size", CLI_OPT_SIZE, "BYTES", 0, "Size of each target (default 2G)", 0 },
	{ "listen", CLI_OPT_LISTEN, "ADDR", 0, "Address of the daemons, or several with commas (default: that of the RDMA device, else 127.0.0.1)", 0 },
	{ "no-rdma", CLI_OPT_NO_RDMA, NULL, 0, "TCP only", 0 },
	{ "same-session", CLI_OPT_SAME_SESSION, NULL, 0,
	  "Daemons in the caller's session: they share the CPUs as one group", 0 },
	{ "fs", CLI_OPT_FS, "NAME", 0, "File system to make (default 'default')", 0 },
	{ "base-port", CLI_OPT_BASE_PORT, "N", 0, "First port (default 7440)", 0 },
	{ "restart", CLI_OPT_RESTART, NULL, 0, "Stop what runs first, and take changed options over", 0 },
	{ "time-scale", CLI_OPT_TIME_SCALE, "N", 0, "Multiply all protocol times, for slow emulated machines", 0 },
	CLI_JSON, { 0 },
};

static const struct argp_option cli_opts_scrub[] = {
	{ "target", CLI_OPT_TARGET, "N", 0, "Only this target (default: all)", 0 },
	CLI_JSON, CLI_API, { 0 },
};

static const struct argp_option cli_opts_bench_meta[] = {
	{ "quick", CLI_OPT_QUICK, NULL, 0, "Small numbers: under a minute", 0 },
	{ "only", CLI_OPT_ONLY, "WHAT", 0, "Measure only r1, big (with r1) or r3", 0 },
	{ "clients", CLI_OPT_CLIENTS, "N", 0, "Clients, each a connection and a session (default 8)", 0 },
	{ "depth", CLI_OPT_DEPTH, "N", 0, "Requests in flight of each client (default 8)", 0 },
	{ "rounds", CLI_OPT_ROUNDS, "N", 0, "Times each work is measured (default 3)", 0 },
	{ "files", CLI_OPT_FILES, "N", 0, "Files of a small directory (default 100000)", 0 },
	{ "big", CLI_OPT_BIG, "N", 0, "Files of the big directory (default 10000000)", 0 },
	{ "keep", CLI_OPT_KEEP, NULL, 0, "Leave the clusters' directories", 0 },
	{ "out", CLI_OPT_OUT, "FILE", 0, "Write the results there, as JSON", 0 },
	CLI_JSON, { 0 },
};

static const struct argp_option cli_opts_bench_data[] = {
	{ "quick", CLI_OPT_QUICK, NULL, 0, "Small numbers: about a minute", 0 },
	{ "only", CLI_OPT_ONLY, "WORK", 0, "Measure only read-1m, read-4k, write-1m-r1, write-1m-r3, recovery or sim-...", 0 },
	{ "size", CLI_OPT_SIZE, "BYTES", 0, "Of the file that is read and written (default 512M)", 0 },
	{ "rounds", CLI_OPT_ROUNDS, "N", 0, "Times each work is measured (default 5)", 0 },
	{ "ms", CLI_OPT_MS, "N", 0, "How long each time (default 3000)", 0 },
	{ "no-sim", CLI_OPT_NO_SIM, NULL, 0, "Without the simulated large clusters", 0 },
	{ "keep", CLI_OPT_KEEP, NULL, 0, "Leave the clusters' directories", 0 },
	{ "out", CLI_OPT_OUT, "FILE", 0, "Write the results there, as JSON", 0 },
	CLI_JSON, { 0 },
};

#define CLI_COUNT(what) { "count", CLI_OPT_COUNT, "N", 0, "End after so many " what, 1 }

static const struct argp_option cli_opts_client_top[] = {
	{ "interval", CLI_OPT_INTERVAL, "SECONDS", 0, "Between two looks (default 2)", 1 },
	CLI_COUNT("looks"), CLI_JSON, { 0 },
};

static const struct argp_option cli_opts_client_events[] = {
	CLI_COUNT("events"), CLI_JSON, { 0 },
};

static const struct argp_option cli_opts_client_trace[] = {
	{ "only", CLI_OPT_ONLY, "EVENT,...", 0, "Only these tracepoints (default: all of the module)", 1 },
	CLI_COUNT("lines"), { 0 },
};

static const struct argp_option cli_opts_client_abort[] = {
	{ "dry-run", CLI_OPT_DRY_RUN, NULL, 0, "Only say what would happen", 0 },
	CLI_JSON, { 0 },
};

static const struct cli_cmd cli_cmds[] = {
	{ NULL, "up", cli_up, 1, 1, false, "DIR",
	  "Start a whole cluster on this machine, with its state in DIR. Running it again starts what does not run.",
	  cli_opts_up },
	{ NULL, "down", cli_down, 1, 1, false, "DIR",
	  "Stop the cluster that 'flint up DIR' started. Its data stay.", cli_opts_json },
	{ NULL, "status", cli_status, 0, 0, true, NULL,
	  "Say whether the cluster is well, what is wrong, and what to do. Exit status 1 when something is wrong.",
	  cli_opts_api },
	{ "cluster", "init", cli_cluster_init, 0, 0, false, NULL,
	  "Make the key of a new cluster, readable by its owner only. An existing key is never replaced.",
	  cli_opts_init },
	{ "cluster", "metrics-token", cli_cluster_metrics_token, 0, 0, true, NULL,
	  "Print the bearer token with which Prometheus may read /metrics.", cli_opts_api },
	{ "node", "list", cli_node_list, 0, 0, true, NULL, "List the cluster's daemons.",
	  cli_opts_api },
	{ "node", "drain", cli_node_drain, 1, 1, true, "NAME",
	  "Empty a chunk server: everything on it moves to free targets of the others.", cli_opts_job },
	{ "node", "undrain", cli_node_undrain, 1, 1, true, "NAME",
	  "Let a drained chunk server be used again.", cli_opts_api },
	{ "node", "label", cli_node_label, 1, 1, true, "NAME",
	  "Say in which rack, on which machine a chunk server stands: no two copies go there.",
	  cli_opts_label },
	{ "node", "remove", cli_node_remove, 1, 1, true, "NAME",
	  "Forget a chunk server that was drained and stopped.", cli_opts_yes },
	{ "disk", "add", cli_disk_add, 2, 2, true, "NODE PATH",
	  "Format a disk and put it into a running chunk server, as a free target.", cli_opts_disk },
	{ "disk", "drain", cli_disk_drain, 1, 1, true, "TARGET",
	  "Empty a target: what is on it moves to a free one.", cli_opts_job },
	{ "disk", "remove", cli_disk_remove, 1, 1, true, "TARGET",
	  "Empty a target, take it from its running server, and forget it.", cli_opts_job },
	{ "disk", "replace", cli_disk_replace, 2, 2, true, "TARGET PATH",
	  "Put a new disk into the running server of a target, failed or not, and let it take over.",
	  cli_opts_disk },
	{ NULL, "rebalance", cli_rebalance, 0, 0, true, NULL,
	  "Spread the chains over all chunk servers, new ones included.", cli_opts_job },
	{ NULL, "rolling-restart", cli_rolling_restart, 0, 0, true, NULL,
	  "Restart all chunk servers one after the other, each when all chains are whole.",
	  cli_opts_rolling },
	{ "cluster", "freeze", cli_cluster_freeze, 0, 0, true, NULL,
	  "Let jobs begin no further moves, for the time of an upgrade.", cli_opts_api },
	{ "cluster", "thaw", cli_cluster_thaw, 0, 0, true, NULL, "Let jobs go on.", cli_opts_api },
	{ "job", "list", cli_job_list, 0, 0, true, NULL, "List the managers' jobs.", cli_opts_api },
	{ "job", "show", cli_job_show, 1, 1, true, "ID", "Say how far a job is.", cli_opts_api },
	{ "job", "wait", cli_job_wait, 1, 1, true, "ID", "Wait until a job has ended.", cli_opts_api },
	{ "job", "cancel", cli_job_cancel, 1, 1, true, "ID",
	  "Stop a job: what was moved stays, moves under way are undone.", cli_opts_api },
	{ "target", "list", cli_target_list, 0, 0, true, NULL, "List the cluster's targets.",
	  cli_opts_api },
	{ "target", "offline", cli_target_offline, 1, 1, true, "ID",
	  "Keep a target out of its chain's work. Refused when it is the last one that has all data.",
	  cli_opts_member },
	{ "target", "online", cli_target_online, 1, 1, true, "ID",
	  "Let a target that was kept offline return.", cli_opts_member },
	{ "target", "promote", cli_target_promote, 1, 1, true, "ID",
	  "LAST RESORT, DATA LOSS: let a target serve what it has, when all that served its chain last are lost for good.",
	  cli_opts_replace },
	{ "target", "add", cli_target_add, 1, 1, true, "PATH",
	  "Format a file or block device on this machine as a target.", cli_opts_target_add },
	{ "chain", "list", cli_chain_list, 0, 0, true, NULL, "List chains and their targets.",
	  cli_opts_api },
	{ "chain", "create", cli_chain_create, 0, CLI_WORDS_MAX, true, "[TARGET...]",
	  "Make chains of the given targets, or of all that are free, such that any two disks share about equally many, and put them into use.",
	  cli_opts_chain_create },
	{ "chain", "replicas", cli_chain_replicas, 1, 1, true, "N",
	  "Give every chain N copies.", cli_opts_job },
	{ "chain", "check", cli_chain_check, 0, 0, true, NULL,
	  "Say what the loss of any one disk or server would do to the others. Exit status 1 when data could be lost.",
	  cli_opts_api },
	{ "chain", "compare", cli_chain_compare, 0, 1, true, "[CHAIN]",
	  "Compare what all replicas of a chain, or of every chain, hold. Meaningful while no client writes. Exit status 1 when they differ.",
	  cli_opts_api },
	{ "scrub", "start", cli_scrub_start, 0, 0, true, NULL,
	  "Read all of a target now, or of every target, and repair what its disk has spoilt.", cli_opts_scrub },
	{ "scrub", "status", cli_scrub_status, 0, 0, true, NULL,
	  "Say how far scrubs are and what they found. Exit status 1 when something is lost.",
	  cli_opts_scrub },
	{ "scrub", "stop", cli_scrub_stop, 0, 0, true, NULL,
	  "Stop scrubs until they are started again.", cli_opts_scrub },
	{ "fs", "list", cli_fs_list, 0, 0, true, NULL, "List file systems.", cli_opts_api },
	{ "fs", "create", cli_fs_create, 1, 1, true, "NAME", "Make a file system.",
	  cli_opts_fs_create },
	{ "token", "create", cli_token_create, 0, 0, true, NULL,
	  "Make a token, with which a client that has not the cluster key may mount a part of a file system.",
	  cli_opts_token_create },
	{ "token", "show", cli_token_show, 1, 1, false, "FILE", "Say what a token allows.",
	  cli_opts_json },
	{ "token", "ls", cli_token_ls, 0, 0, true, NULL, "List tokens.", cli_opts_api },
	{ "token", "revoke", cli_token_revoke, 0, 1, true, "[TOKEN|FILE]",
	  "Take a token back. Its clients are refused within seconds.", cli_opts_token_revoke },
	{ "fs", "rmtree", cli_fs_rmtree, 1, 1, true, "PLACE",
	  "Remove a directory with all below it: out of sight at once, its space is freed in the background.",
	  cli_opts_rmtree },
	{ NULL, "du", cli_du, 1, CLI_WORDS_MAX, true, "PLACE...",
	  "Print the totals of directories. PLACE is FS:/path or a path on a mount; it is one lookup.",
	  cli_opts_api },
	{ "quota", "set", cli_quota_set, 1, 1, true, "PLACE",
	  "Limit the space and the inodes of a directory's tree, of a user, a group or a project.",
	  cli_opts_quota_set },
	{ "quota", "get", cli_quota_get, 1, 1, true, "PLACE", "Print a quota and what is used of it.",
	  cli_opts_quota },
	{ "quota", "ls", cli_quota_ls, 1, 1, true, "PLACE",
	  "List quotas, and what users, groups and projects use.", cli_opts_api },
	{ "quota", "rm", cli_quota_rm, 1, 1, true, "PLACE", "Remove a quota's limits.",
	  cli_opts_quota },
	{ "quota", "check", cli_quota_check, 1, 1, true, "PLACE",
	  "Compare a directory's totals with a walk through its tree.", cli_opts_api },
	{ "trash", "keep", cli_trash_keep, 2, 2, true, "PLACE TIME",
	  "Keep what is deleted below a directory for TIME (30d, 12h), 'off', or 'inherit'.",
	  cli_opts_api },
	{ "trash", "ls", cli_trash_ls, 1, 1, true, "PLACE", "List what was deleted at or below a path.",
	  cli_opts_api },
	{ "trash", "restore", cli_trash_restore, 1, 1, true, "PLACE",
	  "Put back what was deleted at or below a path, where it was or elsewhere.",
	  cli_opts_trash_restore },
	{ "trash", "empty", cli_trash_empty, 1, 1, true, "PLACE",
	  "Remove what was deleted at or below a path for good.", cli_opts_trash_empty },
	{ "meta", "status", cli_meta_status, 0, 0, true, NULL,
	  "Say which metadata replicas there are, who leads, who is missing, what may be lost.",
	  cli_opts_api },
	{ "meta", "add", cli_meta_add, 1, 1, true, "NAME",
	  "Make the metadata server NAME, which is empty and stands by, one more replica.",
	  cli_opts_member },
	{ "meta", "remove", cli_meta_remove, 1, 1, true, "NAME",
	  "Take a metadata replica out. Refused if too few would be left to go on.", cli_opts_remove },
	{ "meta", "replace", cli_meta_replace, 1, 2, true, "OLD [NEW]",
	  "Put the metadata server NEW in the place of replica OLD; without NEW, OLD itself, which was emptied.",
	  cli_opts_replace },
	{ "meta", "transfer", cli_meta_transfer, 0, 1, true, "[NAME]",
	  "Let another metadata replica lead.", cli_opts_api },
	{ "meta", "restart", cli_meta_restart, 0, 1, true, "[NAME]",
	  "Restart metadata replicas without an interruption: with --dir all of them in turn, else that of this machine by systemd.",
	  cli_opts_api },
	{ "meta", "backup", cli_meta_backup, 0, 1, true, "[FILE]",
	  "Make a backup of all metadata while they are in use; copy it to FILE if that is given.",
	  cli_opts_from },
	{ "meta", "backups", cli_meta_backups, 0, 0, true, NULL,
	  "List the backups that metadata servers have made, on demand or by themselves.", cli_opts_api },
	{ "meta", "restore", cli_meta_restore, 1, 1, false, "FILE",
	  "Make a backup the state of a metadata server that does not run.", cli_opts_offline },
	{ "meta", "verify", cli_meta_verify, 0, 0, true, NULL,
	  "Check everything that must hold between the metadata's tables. Exit status 1 when something is wrong.",
	  cli_opts_verify },
	{ "meta", "checksum", cli_meta_checksum, 0, 0, true, NULL,
	  "Compare the metadata replicas by the checksums of their tables.", cli_opts_api },
	{ "meta", "rescue", cli_meta_rescue, 0, 0, false, NULL,
	  "LAST RESORT: make the replica of this machine, which is stopped, the only one, when more than half are lost for good.",
	  cli_opts_offline },
	{ "meta", "found", cli_meta_found, 1, 1, true, "NAME",
	  "After a restore: let the metadata server NAME found a new group, in place of the one known until now.",
	  cli_opts_replace },
	{ "mgr", "status", cli_mgr_status, 0, 0, true, NULL,
	  "Say which managers there are, who leads, who is missing, what may be lost.", cli_opts_api },
	{ "mgr", "add", cli_mgr_add, 1, 1, true, "NAME",
	  "Make the manager NAME, which was started with --join and stands by, a member.",
	  cli_opts_member },
	{ "mgr", "remove", cli_mgr_remove, 1, 1, true, "NAME",
	  "Take a manager out. Refused if too few would be left to go on.", cli_opts_remove },
	{ "mgr", "replace", cli_mgr_replace, 1, 2, true, "OLD [NEW]",
	  "Put the manager NEW in the place of OLD; without NEW, OLD itself, which was emptied.",
	  cli_opts_replace },
	{ "mgr", "transfer", cli_mgr_transfer, 0, 1, true, "[NAME]", "Let another manager lead.",
	  cli_opts_api },
	{ "mgr", "restart", cli_mgr_restart, 0, 1, true, "[NAME]",
	  "Restart managers without an interruption: with --dir all of them in turn, else that of this machine by systemd.",
	  cli_opts_api },
	{ "mgr", "backup", cli_mgr_backup, 1, 1, false, "FILE",
	  "Copy the managers' state to FILE, on the machine of one of them, while it runs.",
	  cli_opts_state },
	{ "mgr", "restore", cli_mgr_restore, 1, 1, false, "FILE",
	  "Make a backup of the managers' state that of a manager that does not run.",
	  cli_opts_offline },
	{ "mgr", "rescue", cli_mgr_rescue, 0, 0, false, NULL,
	  "LAST RESORT: make the manager of this machine, which is stopped, the only one, when more than half are lost for good.",
	  cli_opts_offline },
	{ "log", "show", cli_log_show, 0, 0, true, NULL, "Say what each daemon logs.",
	  cli_opts_node },
	{ "log", "tail", cli_log_tail, 0, 0, true, NULL,
	  "Print the last lines that daemons have logged, wherever they run.",
	  cli_opts_node_text },
	{ NULL, "log", cli_log_set, 1, 1, true, "LEVEL",
	  "Let daemons log errors, warnings, what happens (info), or every request (debug), from now until they restart.",
	  cli_opts_node },
	{ NULL, "metrics", cli_metrics, 0, 0, true, NULL,
	  "Print what daemons count and measure, as Prometheus reads it.", cli_opts_node_text },
	{ NULL, "doctor", cli_doctor, 0, 0, false, NULL,
	  "Gather status, history, metrics, logs and settings of the cluster and of this machine in one file, without keys, tokens and passwords.",
	  cli_opts_doctor },
	{ NULL, "history", cli_history, 0, 0, true, NULL,
	  "Say what happened to servers, disks and chains, and why.", cli_opts_history },
	{ NULL, "get", cli_get, 0, 1, true, "[KEY]", "Print settings of the cluster.",
	  cli_opts_api },
	{ NULL, "set", cli_set, 2, 2, true, "KEY VALUE",
	  "Change a setting of the cluster while it runs.", cli_opts_api },
	{ NULL, "map", cli_map, 0, 0, true, NULL, "Print the cluster map.", cli_opts_api },
	{ NULL, "mounts", cli_mounts, 0, 0, false, NULL, "List FlintFS mounts of this machine.",
	  cli_opts_json },
	{ "client", "stat", cli_client_stat, 0, 1, false, "[MOUNT]",
	  "Print what mounts of this machine counted, and how long their requests took, by operation and by server. MOUNT is a directory or a number of 'flint mounts'.",
	  cli_opts_json },
	{ "client", "top", cli_client_top, 0, 1, false, "[MOUNT]",
	  "Print again and again what mounts do per second.", cli_opts_client_top },
	{ "client", "inflight", cli_client_inflight, 0, 1, false, "[MOUNT]",
	  "List the requests that wait for a server, the oldest first.", cli_opts_json },
	{ "client", "events", cli_client_events, 0, 1, false, "[MOUNT]",
	  "Print what happens to mounts: servers lost and found, sessions, leases, failed writes.",
	  cli_opts_client_events },
	{ "client", "trace", cli_client_trace, 0, 0, false, NULL,
	  "Print every step of every request, until interrupted.", cli_opts_client_trace },
	{ "client", "abort", cli_client_abort, 1, 2, false, "MOUNT [SERVER]",
	  "End the requests that a mount has under way now, or those to one server, with an I/O error. The mount goes on working.",
	  cli_opts_client_abort },
	{ NULL, "version", cli_version, 0, 0, false, NULL, "Print versions.", cli_opts_json },
	{ "bench", "meta", cli_bench_meta, 1, 1, false, "DIR",
	  "Measure the metadata service: clusters of its own, with their state in DIR, against yardsticks on the same disk.",
	  cli_opts_bench_meta },
	{ "bench", "data", cli_bench_data, 1, 1, false, "DIR",
	  "Measure reading, writing and recovery: clusters of its own, with their state in DIR, against what TCP and fio reach there.",
	  cli_opts_bench_data },
	{ NULL, "completion", cli_completion, 1, 1, false, "bash",
	  "Print a completion script: source <(flint completion bash)", cli_opts_none },
};

#define CLI_NR_CMDS (sizeof(cli_cmds) / sizeof(cli_cmds[0]))

int cli_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("flint: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

int cli_number(const struct cli *c, enum cli_opt o, const char *name, uint64_t def, uint64_t min,
	       uint64_t max, uint64_t *out)
{
	const char *s = cli_opt(c, o);
	char *end;

	*out = def;
	if (!s)
		return 0;
	errno = 0;
	*out = strtoull(s, &end, 10);
	if (errno || *end || !*s || *s == '-' || *out < min || *out > max)
		return cli_fail("--%s takes a number from %llu to %llu, not '%s'", name,
				(unsigned long long)min, (unsigned long long)max, s);
	return 0;
}

int cli_size(const struct cli *c, enum cli_opt o, const char *name, uint64_t def, uint64_t *out)
{
	const char *s = cli_opt(c, o);

	*out = def;
	if (s && (flint_size_parse(s, out) || !*out))
		return cli_fail("--%s takes a size such as 64K, 512M or 2G, not '%s'", name, s);
	return 0;
}

/* Call @fn for each command with its options as "--a --b". */
void cli_print_commands(void (*fn)(const char *group, const char *name, const char *options))
{
	const struct argp_option *o;
	char text[1024];
	size_t i, n;

	for (i = 0; i < CLI_NR_CMDS; i++) {
		n = snprintf(text, sizeof(text), "--help");
		for (o = cli_cmds[i].opts; o->name; o++)
			n += snprintf(text + n, sizeof(text) - n, " --%s", o->name);
		fn(cli_cmds[i].group, cli_cmds[i].name, text);
	}
}

static error_t cli_parse(int key, char *arg, struct argp_state *state)
{
	struct cli *c = state->input;

	if (key == 'o')
		key = CLI_OPT_OUT;
	if (key >= CLI_OPT_JSON && key < CLI_OPT_END) {
		c->opt[key - CLI_OPT_JSON] = arg ? arg : "";
		return 0;
	}
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (c->nr_words == CLI_WORDS_MAX)
		argp_error(state, "more than %d arguments", CLI_WORDS_MAX);
	c->words[c->nr_words++] = arg;
	return 0;
}

static void cli_usage(FILE *f)
{
	size_t i;

	fputs("Usage: flint COMMAND [OPTION...]\n\n"
	      "Run and look after a FlintFS cluster.\n\n", f);
	for (i = 0; i < CLI_NR_CMDS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%s%s%s%s", cli_cmds[i].group ? : "",
			 cli_cmds[i].group ? " " : "", cli_cmds[i].name,
			 cli_cmds[i].args_doc ? " " : "", cli_cmds[i].args_doc ? : "");
		fprintf(f, "  %-26s %s\n", name, cli_cmds[i].doc);
	}
	fputs("\n'flint COMMAND --help' tells a command's options. Most take --json.\n", f);
}

/* Find the row that argv names. @used: words of argv it takes, program included. */
static const struct cli_cmd *cli_find(int argc, char **argv, int *used)
{
	size_t i;

	for (i = 0; i < CLI_NR_CMDS; i++) {
		const struct cli_cmd *cmd = &cli_cmds[i];

		if (!cmd->group && !strcmp(argv[1], cmd->name)) {
			*used = 2;
			return cmd;
		}
		if (cmd->group && argc > 2 && !strcmp(argv[1], cmd->group) &&
		    !strcmp(argv[2], cmd->name)) {
			*used = 3;
			return cmd;
		}
	}
	return NULL;
}

/* Explain what was wrong with the command's words. Return: exit status. */
static int cli_unknown(int argc, char **argv)
{
	const char *sep = "";
	bool group = false;
	size_t i;

	for (i = 0; i < CLI_NR_CMDS; i++)
		group |= cli_cmds[i].group && !strcmp(argv[1], cli_cmds[i].group);
	if (!group) {
		cli_fail("there is no command '%s': 'flint --help' lists them", argv[1]);
		return 2;
	}
	fprintf(stderr, "flint: say what to do with '%s': ", argv[1]);
	for (i = 0; i < CLI_NR_CMDS; i++)
		if (cli_cmds[i].group && !strcmp(argv[1], cli_cmds[i].group)) {
			fprintf(stderr, "%sflint %s %s", sep, argv[1], cli_cmds[i].name);
			sep = ", ";
		}
	fputc('\n', stderr);
	return argc > 2 && !strcmp(argv[2], "--help") ? 0 : 2;
}

static int cli_run(const struct cli_cmd *cmd, int argc, char **argv)
{
	struct argp argp = {
		.options = cmd->opts, .parser = cli_parse, .args_doc = cmd->args_doc,
		.doc = cmd->doc,
	};
	struct cli c = { 0 };
	char name[64];
	int ret;

	snprintf(name, sizeof(name), "flint %s%s%s", cmd->group ? : "", cmd->group ? " " : "",
		 cmd->name);
	argv[0] = name;
	argp_err_exit_status = 2;
	if (argp_parse(&argp, argc, argv, 0, NULL, &c))
		return 2;
	if (c.nr_words < cmd->min_words || c.nr_words > cmd->max_words) {
		cli_fail("'%s' takes %s: '%s --help' tells more", name,
			 cmd->args_doc ? cmd->args_doc : "no arguments", name);
		return 2;
	}
	if (cmd->api && cli_api_setup(&c))
		return 1;
	ret = cmd->run(&c);
	cli_api_end(&c);
	/* A token or a key that nobody got to see was not made, as far as the caller can tell. */
	if ((fflush(stdout) || ferror(stdout)) && !ret)
		ret = cli_fail("what was done cannot be printed (%s)", strerror(errno));
	return ret;
}

int main(int argc, char **argv)
{
	const struct cli_cmd *cmd;
	int used = 0;

	flint_log_init("flint", FLINT_LOG_WARN);
	if (argc < 2) {
		cli_usage(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		cli_usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version"))
		argv[1] = (char *)"version";
	cmd = cli_find(argc, argv, &used);
	if (!cmd)
		return cli_unknown(argc, argv);
	return cli_run(cmd, argc - used + 1, argv + used - 1);
}
