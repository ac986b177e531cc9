/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the flint command: what its files offer each other.
 *
 *	flint.c		command table, options, dispatch
 *	cli_api.c	signed requests to the manager
 *	cli_show.c	status and listings
 *	cli_make.c	key, targets, file systems
 *	cli_ops.c	operations on servers, disks, chains; cli_job.c: jobs of the managers
 *	cli_chain.c	making and judging chains; cli_ground.c: disks and chains for it
 *	cli_history.c	what happened; settings
 *	cli_hold.c	targets kept offline; the last resort for a chain
 *	cli_token.c	tokens
 *	cli_replica.c	metadata replicas and managers: status, add, remove, restart
 *	cli_meta.c	backup, verify, checksum, restore, rescue
 *	cli_group.c	looking at replicas, having their membership changed
 *	cli_rpc.c	requests straight to a daemon
 *	cli_chunk.c	scrub; comparing the replicas of a chain
 *	cli_log.c	log levels and lines, metrics of daemons; cli_doctor.c: all of it
 *	cli_local.c	mounts, version, shell completion
 *	cli_client.c	what mounts do and wait for; cli_top.c: per second; cli_netlink.c: the
 *			module's netlink family
 *	cli_fs.c	the way into a file system; du, fs rmtree
 *	cli_quota.c	quotas
 *	cli_trash.c	the trash
 *	up.c		a whole cluster on this machine
 *	upproc.c	its processes; upmember.c: its groups
 *	cli_bench.c	measuring; bench/ does it
 *
 * Exit status: 0 done (and healthy), 1 it did not work or is degraded, 2 the
 * command was not understood.
 */
#ifndef FLINT_CLI_H
#define FLINT_CLI_H

#include <jansson.h>

#include "../uapi/flintfs/wire.h"

#define CLI_ERR_LEN	1024
#define CLI_WORDS_MAX	64

/* Every option of every command; a command's table says which it takes. */
enum cli_opt {
	CLI_OPT_JSON = 0x100,
	CLI_OPT_MGR,
	CLI_OPT_KEY,
	CLI_OPT_DIR,
	CLI_OPT_STATE,
	CLI_OPT_ID,
	CLI_OPT_SIZE,
	CLI_OPT_CRC_BLOCK,
	CLI_OPT_REPLICAS,
	CLI_OPT_STRIPE,
	CLI_OPT_CHUNK_SIZE,
	CLI_OPT_MODE,
	CLI_OPT_CHUNK_SERVERS,
	CLI_OPT_LISTEN,
	CLI_OPT_NO_RDMA,
	CLI_OPT_FS,
	CLI_OPT_BASE_PORT,
	CLI_OPT_RESTART,
	CLI_OPT_TIME_SCALE,
	CLI_OPT_QUICK,
	CLI_OPT_ONLY,
	CLI_OPT_CLIENTS,
	CLI_OPT_DEPTH,
	CLI_OPT_ROUNDS,
	CLI_OPT_FILES,
	CLI_OPT_BIG,
	CLI_OPT_KEEP,
	CLI_OPT_OUT,
	CLI_OPT_PATH,
	CLI_OPT_READ_ONLY,
	CLI_OPT_ROOT_SQUASH,
	CLI_OPT_ALL_SQUASH, CLI_OPT_ADMIN,
	CLI_OPT_SQUASH_TO,
	CLI_OPT_EXPIRES,
	CLI_OPT_ADDRESS,
	CLI_OPT_NOTE,
	CLI_OPT_ALL,
	CLI_OPT_DRY_RUN,
	CLI_OPT_YES,
	CLI_OPT_FORCE,
	CLI_OPT_FROM,
	CLI_OPT_META,
	CLI_OPT_MGRS,
	CLI_OPT_USER,
	CLI_OPT_GROUP,
	CLI_OPT_PROJECT,
	CLI_OPT_SOFT,
	CLI_OPT_HARD,
	CLI_OPT_ISOFT,
	CLI_OPT_IHARD,
	CLI_OPT_GRACE,
	CLI_OPT_TO,
	CLI_OPT_OLDER,
	CLI_OPT_NO_TRASH,
	CLI_OPT_WAIT,
	CLI_OPT_NODE,
	CLI_OPT_MS,
	CLI_OPT_NO_SIM,
	CLI_OPT_NODES,
	CLI_OPT_DOMAIN,
	CLI_OPT_TARGETS,
	CLI_OPT_SINCE,
	CLI_OPT_CHAIN,
	CLI_OPT_TARGET,
	CLI_OPT_NO_WAIT,
	CLI_OPT_PARALLEL,
	CLI_OPT_COMMAND,
	CLI_OPT_RACK,
	CLI_OPT_HOST,
	CLI_OPT_INTERVAL,
	CLI_OPT_COUNT,
	CLI_OPT_SAME_SESSION,
	CLI_OPT_END,
};

/**
 * struct cli - one run of the command
 * @opt: value of each option by CLI_OPT_*: NULL not given, "" for flags
 * @words: positional arguments
 */
struct cli {
	const char *opt[CLI_OPT_END - CLI_OPT_JSON];
	char *words[CLI_WORDS_MAX];
	unsigned int nr_words;
	char *mgr;			/* HOST:PORT of the API, several by commas */
	char *key_file;
	bool have_key;
	uint8_t key[FLINT_KEY_LEN];
};

static inline const char *cli_opt(const struct cli *c, enum cli_opt o)
{
	return c->opt[o - CLI_OPT_JSON];
}

/* ---- flint.c ---------------------------------------------------------- */

/* "flint: sentence" on standard error. Return: 1, for "return cli_fail(...)". */
int cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A number option in a range. Return: 0 with *out, 1 after a message. @def when not given. */
int cli_number(const struct cli *c, enum cli_opt o, const char *name, uint64_t def, uint64_t min,
	       uint64_t max, uint64_t *out);
int cli_size(const struct cli *c, enum cli_opt o, const char *name, uint64_t def, uint64_t *out);
void cli_print_commands(void (*fn)(const char *group, const char *name, const char *options));

/* ---- cli_api.c -------------------------------------------------------- */

/* Find manager and key. Return: 0, or 1 after a message. */
int cli_api_setup(struct cli *c);
void cli_api_end(struct cli *c);
/* Return: 0 with *out, or -errno with a sentence in @err. @body is consumed, may be NULL. */
int cli_api_call(struct cli *c, const char *method, const char *path, json_t *body, json_t **out,
		 char *err, size_t errlen);
/* The same for commands: prints the sentence. Return: NULL after a message. */
json_t *cli_api(struct cli *c, const char *method, const char *path, json_t *body);

/* ---- commands --------------------------------------------------------- */

int cli_status(struct cli *c);
int cli_node_list(struct cli *c);
int cli_target_list(struct cli *c);
int cli_chain_list(struct cli *c);
int cli_fs_list(struct cli *c);
int cli_map(struct cli *c);
void cli_print_json(json_t *json);
int cli_print_status(json_t *status);

int cli_cluster_init(struct cli *c);
int cli_cluster_metrics_token(struct cli *c);
int cli_target_add(struct cli *c);
int cli_chain_create(struct cli *c);
int cli_chain_check(struct cli *c);
int cli_chain_replicas(struct cli *c);
int cli_node_drain(struct cli *c);
int cli_node_undrain(struct cli *c);
int cli_node_label(struct cli *c);
int cli_node_remove(struct cli *c);
int cli_disk_add(struct cli *c);
int cli_disk_drain(struct cli *c);
int cli_disk_remove(struct cli *c);
int cli_disk_replace(struct cli *c);
int cli_rebalance(struct cli *c);
int cli_cluster_freeze(struct cli *c);
int cli_cluster_thaw(struct cli *c);
int cli_rolling_restart(struct cli *c);
int cli_job_list(struct cli *c);
int cli_job_show(struct cli *c);
int cli_job_cancel(struct cli *c);
int cli_job_wait(struct cli *c);
int cli_fs_create(struct cli *c);

int cli_token_create(struct cli *c);
int cli_token_show(struct cli *c);
int cli_token_ls(struct cli *c);
int cli_token_revoke(struct cli *c);

int cli_client_stat(struct cli *c);
int cli_client_top(struct cli *c);
int cli_client_events(struct cli *c);
int cli_client_inflight(struct cli *c);
int cli_client_abort(struct cli *c);
int cli_client_trace(struct cli *c);

int cli_meta_status(struct cli *c);
int cli_meta_add(struct cli *c);
int cli_meta_remove(struct cli *c);
int cli_meta_replace(struct cli *c);
int cli_meta_transfer(struct cli *c);
int cli_meta_restart(struct cli *c);
int cli_meta_backup(struct cli *c);
int cli_meta_backups(struct cli *c);
int cli_meta_verify(struct cli *c);
int cli_meta_checksum(struct cli *c);
int cli_meta_restore(struct cli *c);
int cli_meta_rescue(struct cli *c);
int cli_meta_found(struct cli *c);
int cli_mgr_status(struct cli *c);
int cli_mgr_add(struct cli *c);
int cli_mgr_remove(struct cli *c);
int cli_mgr_replace(struct cli *c);
int cli_mgr_transfer(struct cli *c);
int cli_mgr_restart(struct cli *c);
int cli_mgr_rescue(struct cli *c);
int cli_mgr_backup(struct cli *c);
int cli_mgr_restore(struct cli *c);

int cli_log_show(struct cli *c);
int cli_log_set(struct cli *c);
int cli_log_tail(struct cli *c);
int cli_metrics(struct cli *c);
int cli_doctor(struct cli *c);
/* What 'flint mounts --json' and 'flint version --json' print. */
json_t *cli_mounts_json(void);
json_t *cli_version_json(void);

int cli_target_offline(struct cli *c);
int cli_target_online(struct cli *c);
int cli_target_promote(struct cli *c);
int cli_history(struct cli *c);
int cli_get(struct cli *c);
int cli_set(struct cli *c);

int cli_mounts(struct cli *c);
int cli_version(struct cli *c);
int cli_completion(struct cli *c);

int cli_bench_meta(struct cli *c);
int cli_bench_data(struct cli *c);

/* Say what will happen and ask. Return: 0 go on, 1 after a message, 2: --dry-run. */
int cli_confirm(struct cli *c, const char *what);

/* Stop and start one daemon of the cluster of --dir. Return: 0 or 1 after a message. */
int up_restart(struct cli *c, const char *name);
/* systemctl VERB UNIT on this machine. Return: 0 or 1 after a message. */
int up_systemctl(const char *verb, const char *unit);

int cli_up(struct cli *c);
int cli_down(struct cli *c);

/* ---- upproc.c --------------------------------------------------------- */

/**
 * struct up_proc - one daemon of a single-machine cluster
 * @name: "mgr", "meta", "chunk1": names its state, log and pid file
 * @argv: command, NULL-terminated
 * @pid: 0 when it does not run
 * @started_ns: when this run started it, 0 if it ran before
 * @tries: how often it was started again because it ended at once
 */
struct up_proc {
	char name[32];
	char *argv[32];
	int argc;
	bool same_session;		/* as the caller; else one of its own */
	int pid;
	uint64_t started_ns;
	unsigned int tries;
};

/* Full path of a program beside this one or in PATH. Return: malloced, or NULL with errno. */
char *up_find_program(const char *name);
int up_proc_arg(struct up_proc *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void up_proc_free(struct up_proc *p);
/* Look whether it runs; sets p->pid. */
void up_proc_look(struct up_proc *p, const char *dir);
int up_proc_start(struct up_proc *p, const char *dir, char *err, size_t errlen);
/* Has a process started by this run ended? Then its last words are in @err. */
bool up_proc_ended(struct up_proc *p, const char *dir, char *err, size_t errlen);
void up_proc_term(struct up_proc *p);
/* Wait for the end after up_proc_term(); SIGKILL after @ms. Return: was it killed? */
bool up_proc_reap(struct up_proc *p, const char *dir, unsigned int ms);
/* Run a command to its end. Return: its exit status, its output's last line in @err. */
int up_run(char *const argv[], char *err, size_t errlen);

#endif /* FLINT_CLI_H */
