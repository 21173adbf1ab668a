/* agentobs-host env: opens a run and prints what a sandbox's environment needs to belong to it. */
#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/run/child_env.h"
#include "host/run/incoming.h"
#include "host/run/recording.h"
#include "host/view/console.h"

struct env_options {
    struct settings_options common;
    bool json;
    bool shell;
};

static const struct option_spec env_specs[] = {
    {"shell", 0, OPTION_FLAG, offsetof(struct env_options, shell), NULL, NULL, NULL, "export lines for a shell (default)"},
    {"json", 0, OPTION_FLAG, offsetof(struct env_options, json), NULL, NULL, NULL, "one JSON object of variables"},
    {"store", 0, OPTION_TEXT, offsetof(struct env_options, common) + offsetof(struct settings_options, store), "PATH",
     NULL, "AGENTOBS_STORE", "the store's file"},
    {"name", 0, OPTION_TEXT, offsetof(struct env_options, common) + offsetof(struct settings_options, name), "NAME",
     "sandbox", NULL, "name of the trace"},
    SETTINGS_PRIVACY(struct env_options),
};

const struct options_page env_page = {
    .usage = "env [--shell|--json] [options]",
    .about = "Opens a run and prints the variables that a sandbox needs to belong to it. "
             "Hand them to the sandbox, then read its stdout with: agentobs-host read --run \"$AGENTOBS_RUN_ID\"",
    .specs = env_specs,
    .count = AO_ARRAY_LEN(env_specs),
    .max_arguments = 0,
    .groups = &settings_groups[1],
    .group_count = 1,
    .notes = "The stream key is a secret of this run: it tells its records from forged text.",
};

/* Single quotes hold everything but a single quote. */
static void print_shell(const char *name, const char *value)
{
    printf("export %s='", name);
    for (; *value; value++) {
        if (*value == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*value);
    }
    puts("'");
}

static int print_json(const struct child_env *env, const char *run_id)
{
    struct ao_buf text;
    struct ao_jw w;
    ao_buf_init(&text, 8 * AO_BAGGAGE_MAX);
    ao_jw_init(&w, &text);
    ao_jw_object_begin(&w);
    for (size_t i = 0; i < CHILD_ENV_COUNT; i++)
        if (env->values[i])
            ao_jw_key_str(&w, env->names[i], ao_str_from(env->values[i]));
    ao_jw_key_str(&w, "AGENTOBS_RUN_ID", ao_str_from(run_id));
    ao_jw_object_end(&w);
    int err = ao_buf_err(&text);
    if (!err)
        printf("%.*s\n", (int)text.len, text.data);
    ao_buf_release(&text);
    return err;
}

static int print_variables(const struct env_options *options, const struct recording *recording)
{
    struct recording_context context = recording_context(recording);
    const char *run_id = recording_run(recording)->run_id;
    struct child_env env;
    int err = child_env_init(&env, &context);
    if (err)
        return err;
    if (options->json) {
        err = print_json(&env, run_id);
    } else {
        for (size_t i = 0; i < CHILD_ENV_COUNT; i++)
            if (env.values[i])
                print_shell(env.names[i], env.values[i]);
        print_shell("AGENTOBS_RUN_ID", run_id);
    }
    child_env_release(&env);
    return err ? err : fflush(stdout) ? AO_ERR_IO : AO_OK;
}

static int open_run(const struct env_options *options, const struct settings *settings)
{
    struct ao_context context;
    struct recording *recording = NULL;
    char *error = NULL;
    int code = AO_EXIT_OK, err = incoming_context(&context);
    if (err) {
        console_say_text(ao_err_text(err));
        return AO_EXIT_FAILURE;
    }
    struct recording_config config = {
        .settings = settings,
        .name = "sandbox",
        .source = "env",
        .context = &context,
        .braintrust_slug = getenv("BRAINTRUST_TRACE_CONTEXT"),
        .require_key = true,
        .now = clock_now(),
    };
    err = recording_open(&config, &recording, &error);
    ao_context_release(&context);
    if (err) {
        console_say_text(error ? error : ao_err_text(err));
        code = err == AO_ERR_USAGE ? AO_EXIT_USAGE : AO_EXIT_FAILURE;
    } else if (recording_leave_open(recording)) {
        console_say("the run could not be stored, so that no read --run would find it; set --store PATH");
        code = AO_EXIT_FAILURE;
    } else if (print_variables(options, recording)) {
        console_say("the variables could not be printed");
        code = AO_EXIT_FAILURE;
    }
    recording_free(recording);
    ao_free(error);
    return code;
}

int cmd_env(int argc, char **argv)
{
    struct env_options options = {.json = false};
    struct options_rest rest;
    struct settings settings;
    char *error = NULL;
    int code;
    if (!options_start(&env_page, argc, argv, &options, &rest, &code))
        return code;
    options.common.no_upload = true;
    options.common.quiet = true;
    if (options.json && options.shell) {
        console_say("env: --json and --shell exclude each other");
        code = AO_EXIT_USAGE;
    } else if (settings_init(&settings, &options.common, &error)) {
        console_say_text(error ? error : "out of memory");
        ao_free(error);
        code = AO_EXIT_USAGE;
    } else {
        code = open_run(&options, &settings);
        settings_release(&settings);
    }
    options_release(&env_page, &options);
    return code;
}
