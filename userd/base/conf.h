/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of the daemons: one table says what a program understands; from it
 * come the command line (argp), the keys of the configuration file (ini, one
 * section per program), the defaults and --help.
 *
 * The command line wins over the file, the file over the defaults. Every
 * program gets "-c FILE"/"--config FILE", "-v"/"--verbose" (log level debug is
 * the caller's to apply), --help, --usage and --version without saying so.
 */
#ifndef FLINT_BASE_CONF_H
#define FLINT_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flint_conf_type {
	FLINT_CONF_STR,		/* char * */
	FLINT_CONF_U64,		/* uint64_t, decimal or 0x */
	FLINT_CONF_SIZE,	/* uint64_t, bytes with an optional K, M, G or T (powers of 1024) */
	FLINT_CONF_BOOL,	/* bool: yes/no, true/false, on/off, 1/0; "--key" alone is yes */
	FLINT_CONF_LIST,	/* struct flint_conf_list: repeat the option, or commas, or repeat the key */
};

struct flint_conf_list {
	char **items;
	unsigned int nr;
};

#define FLINT_CONF_CLI		0x1	/* command line only, not a key of the file */
#define FLINT_CONF_REQUIRED	0x2	/* an error when neither given nor defaulted */

/**
 * struct flint_conf_opt - one option
 * @key: long option and key of the file, "tcp-port"
 * @ch: short option, or 0
 * @type: of the member
 * @off: offsetof() the member in the program's option structure
 * @def: default, parsed like a given value, or NULL (NULL, 0, false, empty)
 * @arg: name of the argument in --help, or NULL
 * @help: one line
 * @min, @max: U64 and SIZE: accepted range; max 0: no limit
 * @flags: FLINT_CONF_*
 */
struct flint_conf_opt {
	const char *key;
	char ch;
	enum flint_conf_type type;
	size_t off;
	const char *def;
	const char *arg;
	const char *help;
	uint64_t min, max;
	unsigned int flags;
};

/**
 * struct flint_conf_spec - a program's options
 * @prog: name of the program, and of its section in the file
 * @doc: what the program is for, one sentence or two, for --help
 * @args_doc: positional arguments for --help, or NULL
 * @opts: the table, ended by an entry without key
 * @has_args: positional arguments are taken
 * @args_off: offsetof() the struct flint_conf_list that takes them
 * @config: file that is read when -c is not given and it exists; NULL: none
 */
struct flint_conf_spec {
	const char *prog;
	const char *doc;
	const char *args_doc;
	const struct flint_conf_opt *opts;
	bool has_args;
	size_t args_off;
	const char *config;
};

#define FLINT_VERSION "0.1.0"

/**
 * flint_conf_parse() - fill a program's option structure
 * @spec: what is understood
 * @argc, @argv: of main()
 * @dst: zeroed option structure
 * @verbose: result: -v was given; may be NULL
 * @err, @errlen: receives one sentence on failure
 *
 * --help, --usage and --version print and exit(0). Strings belong to @dst:
 * flint_conf_free().
 *
 * Return: 0, or -EINVAL with @err set.
 */
int flint_conf_parse(const struct flint_conf_spec *spec, int argc, char **argv, void *dst,
		     bool *verbose, char *err, size_t errlen);

/* The same, but a mistake is printed as "prog: sentence" and ends the program with status 2. */
void flint_conf_parse_or_exit(const struct flint_conf_spec *spec, int argc, char **argv,
			      void *dst, bool *verbose);

/**
 * flint_conf_set() - parse one value into its member
 * @opt: which
 * @value: text
 * @dst: option structure
 * @err, @errlen: receives the reason ("is not a number: ...")
 *
 * Lists grow; everything else is replaced. Return: 0 or -EINVAL.
 */
int flint_conf_set(const struct flint_conf_opt *opt, const char *value, void *dst,
		   char *err, size_t errlen);

/**
 * flint_conf_read_file() - read one ini file
 * @spec: what is understood; sections of other programs are skipped, unknown
 *	keys in one's own section are errors with file and line
 * @path: file
 * @dst: option structure
 * @skip: keys that were given on the command line, by index of the table; may be NULL
 *
 * Return: 0, -errno from opening, or -EINVAL with @err set.
 */
int flint_conf_read_file(const struct flint_conf_spec *spec, const char *path, void *dst,
			 const bool *skip, char *err, size_t errlen);

/* Free strings and lists. */
void flint_conf_free(const struct flint_conf_spec *spec, void *dst);

/* "64K", "1g", "4096" to bytes. Return: 0 or -EINVAL, -ERANGE. */
int flint_size_parse(const char *s, uint64_t *out);
/* Bytes to "1.5 GiB". */
const char *flint_size_format(uint64_t bytes, char *buf, size_t len);

#endif /* FLINT_BASE_CONF_H */
