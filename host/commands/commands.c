/* The table of commands. */
#include "host/commands/commands.h"

#include <stdio.h>

#include "host/exit_codes.h"
#include "host/view/console.h"

#define COMMANDS_MAX 32u

static int cmd_help(int argc, char **argv);

static const struct options_page help_page = {
    .usage = "help [COMMAND]",
    .about = "Lists the commands, or tells the options of one.",
    .max_arguments = 1,
};

const struct command host_commands[] = {
    {"run", "run an agent and record it", cmd_run, &run_page},
    {"read", "record from a pipe or from files", cmd_read, &read_page},
    {"env", "open a run for a sandbox that you start yourself", cmd_env, &env_page},
    {"list", "the runs that are stored", cmd_list, &list_page},
    {"show", "one run: its tree and its cost", cmd_show, &show_page},
    {"costs", "what it all cost, by model, day, session, user or tool", cmd_costs, &costs_page},
    {"upload", "send what is stored to the backends", cmd_upload, &upload_page},
    {"status", "the store and how far each backend is", cmd_status, &status_page},
    {"prices", "the price table, and why a model costs what it costs", cmd_prices, &prices_page},
    {"schema", "the JSON Schema of a record", cmd_schema, &schema_page},
    {"doctor", "check that everything here works", cmd_doctor, &doctor_page},
    {"version", "the version of this program and its libraries", cmd_version, &version_page},
    {"help", "this list, or help COMMAND", cmd_help, &help_page},
};

const size_t host_command_count = AO_ARRAY_LEN(host_commands);

_Static_assert(AO_ARRAY_LEN(host_commands) <= COMMANDS_MAX, "command_unknown sees all of them");

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < host_command_count; i++)
        if (strcmp(host_commands[i].name, name) == 0)
            return &host_commands[i];
    return NULL;
}

int command_unknown(const char *name)
{
    const char *names[COMMANDS_MAX];
    char sentence[256];
    for (size_t i = 0; i < host_command_count; i++)
        names[i] = host_commands[i].name;
    const char *near = options_nearest(name, names, host_command_count);
    snprintf(sentence, sizeof(sentence), "unknown command \"%.100s\"%s%s%s (agentobs-host help)", name,
             near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    console_say_text(sentence);
    return AO_EXIT_USAGE;
}

/* Only `help --help` comes here: main does the rest. */
static int cmd_help(int argc, char **argv)
{
    struct options_rest rest;
    char unused;
    int code = AO_EXIT_OK;
    (void)options_start(&help_page, argc, argv, &unused, &rest, &code);
    return code;
}
