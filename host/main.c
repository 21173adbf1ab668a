/* agentobs-host: finds the command and runs it. */
#include <locale.h>
#include <stdio.h>

#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/view/console.h"

static void print_help(FILE *out)
{
    fputs("Usage: agentobs-host COMMAND [options]\n"
          "Records what an agent does and what it costs, keeps it, and sends it on.\n\n",
          out);
    for (size_t i = 0; i < host_command_count; i++)
        fprintf(out, "  %-10s %s\n", host_commands[i].name, host_commands[i].summary);
    fputs("\nagentobs-host COMMAND --help tells the options of a command.\n"
          "Exit codes: 0 done, 1 failed, 2 bad input. Of run: the command's own, 123 limit,\n"
          "124 timeout, 125 agentobs-host itself failed, 126 cannot execute, 127 not found,\n"
          "128+n signal n.\n",
          out);
}

/* help [COMMAND] */
static int help(const char *name)
{
    if (!name) {
        print_help(stdout);
        return AO_EXIT_OK;
    }
    const struct command *command = command_find(name);
    if (!command)
        return command_unknown(name);
    options_print_help(command->page, stdout);
    return AO_EXIT_OK;
}

/* What a full disk or a closed pipe swallowed must not look like success. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    return code == AO_EXIT_OK ? AO_EXIT_FAILURE : code;
}

int main(int argc, char **argv)
{
    setlocale(LC_TIME, ""); /* nothing else: numbers are the same everywhere */
    if (argc < 2) {
        print_help(stderr);
        return AO_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return finish(help(NULL));
    if (strcmp(name, "help") == 0 && (argc < 3 || argv[2][0] != '-'))
        return finish(help(argc > 2 ? argv[2] : NULL));
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    const struct command *command = command_find(name);
    if (!command)
        return command_unknown(name);
    return finish(command->main(argc - 1, argv + 1));
}
