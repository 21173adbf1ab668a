/*
 * commands.h - the commands of agentobs-host, one file each (cmd_NAME.c).
 *
 * A command gets argv[0] = its name, parses the rest by its option table
 * (options.h), prints results on stdout and words for people on stderr, and
 * returns the exit code (exit_codes.h).
 */
#ifndef AO_HOST_COMMANDS_H
#define AO_HOST_COMMANDS_H

#include <stddef.h>

#include "host/commands/options.h"

struct command {
    const char *name;
    const char *summary; /* one line of `agentobs-host help`, at most 60 columns */
    int (*main)(int argc, char **argv);
    const struct options_page *page; /* its options and help */
};

/* In the order of the help. */
extern const struct command host_commands[];
extern const size_t host_command_count;

int cmd_run(int argc, char **argv);
int cmd_read(int argc, char **argv);
int cmd_env(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_costs(int argc, char **argv);
int cmd_upload(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_prices(int argc, char **argv);
int cmd_schema(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_version(int argc, char **argv);
extern const struct options_page run_page, read_page, env_page, list_page, show_page, costs_page, upload_page;
extern const struct options_page status_page, prices_page, schema_page, doctor_page, version_page;

/* NULL when there is none of this name. */
const struct command *command_find(const char *name);
/* Says so, with the nearest name; returns AO_EXIT_USAGE. */
int command_unknown(const char *name);

#endif
