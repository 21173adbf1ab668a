/* agentobs-host run: starts an agent, records its stream, ends as the agent ends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/run/child.h"
#include "host/run/child_env.h"
#include "host/run/incoming.h"
#include "host/run/recording.h"
#include "host/run/run_loop.h"
#include "host/text.h"
#include "host/view/console.h"
#include "host/view/output.h"

struct run_options {
    struct settings_options common;
    uint64_t timeout;
    uint64_t kill_after;
    uint64_t linger;
    bool keep_keys;
    struct descriptors inherited; /* no option */
};

static const struct option_spec run_specs[] = {
    {"timeout", 't', OPTION_DURATION, offsetof(struct run_options, timeout), "TIME", NULL, NULL, "end the command then"},
    {"kill-after", 0, OPTION_DURATION, offsetof(struct run_options, kill_after), "TIME", "5s", NULL,
     "SIGKILL so long after SIGTERM"},
    {"linger", 0, OPTION_DURATION, offsetof(struct run_options, linger), "TIME", "5s", NULL,
     "wait for output after exit"},
    {"keep-keys", 0, OPTION_FLAG, offsetof(struct run_options, keep_keys), NULL, NULL, NULL,
     "let the agent have the keys of the sinks and of E2B"},
    SETTINGS_OPTIONS(struct run_options),
    SETTINGS_GROUPS(struct run_options),
};

const struct options_page run_page = {
    .usage = "run [options] -- COMMAND [ARG...]",
    .about = "Runs an agent and records it. Its output passes unchanged.",
    .specs = run_specs,
    .count = AO_ARRAY_LEN(run_specs),
    .max_arguments = SIZE_MAX,
    .stops_at_command = true,
    .notes = "Exits like the command; 123 limit, 124 timeout, 125 own, 126/127 cannot run.",
    .groups = settings_groups,
    .group_count = AO_ARRAY_LEN(settings_groups),
};

static char *join_command(char *const *args)
{
    struct ao_buf text;
    ao_buf_init(&text, 4096);
    for (size_t i = 0; args[i]; i++) {
        if (i)
            ao_buf_add_char(&text, ' ');
        ao_buf_add_cstr(&text, args[i]);
    }
    if (ao_buf_err(&text) == AO_ERR_LIMIT)
        text.err = AO_OK;
    char *joined = ao_buf_detach(&text, NULL);
    ao_buf_release(&text);
    return joined;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* *ret_error: why not (ao_free; NULL when memory was short). */
static int start_child(struct child *child, const struct recording *recording, char **args, bool keep_keys,
                       char **ret_error)
{
    struct recording_context context = recording_context(recording);
    struct child_env env;
    bool exec_failed = false;
    char **list = NULL;
    if (child_env_init(&env, &context) == AO_OK) {
        list = child_env_list(&env, keep_keys);
        child_env_release(&env);
    }
    int failure = list ? child_start(child, args, list, &exec_failed) : ENOMEM;
    child_env_free_list(list);
    if (!failure)
        return AO_EXIT_OK;
    *ret_error = text_format("cannot run %s: %s", args[0], strerror(failure));
    if (!exec_failed)
        return AO_EXIT_SELF;
    return failure == ENOENT ? AO_EXIT_NO_COMMAND : AO_EXIT_CANNOT_RUN;
}

/* The last line that is not empty. */
static const char *last_line(char *text)
{
    size_t len = strlen(text);
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        text[--len] = '\0';
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

/* Fills the end of the recording from how the child ended; returns our exit code. */
static int judge_child(const struct child *child, struct run_outcome *outcome, struct recording_end *end, char **ret_text)
{
    int number = child_term_signal(child), code = child_exit_code(child);
    *ret_text = NULL;
    end->exit_code = code;
    if (outcome->timed_out) {
        end->status = RUN_TIMEOUT;
        end->error_type = "timeout";
        *ret_text = text_format("the command did not end within its --timeout");
        code = AO_EXIT_TIMEOUT;
        end->exit_code = code;
    } else if (number) {
        end->status = RUN_KILLED;
        end->error_type = "killed";
        *ret_text = text_format("signal %d (%s)", number, strsignal(number));
    } else if (code) {
        const char *said = last_line(outcome->stderr_tail);
        end->status = RUN_ERROR;
        end->error_type = "exit_code";
        *ret_text = said[0] ? text_format("exit code %d: %s", code, said) : text_format("exit code %d", code);
    }
    end->error_message = *ret_text;
    return code;
}

/* What the end of the recording let go, after all that the loop wrote. */
static void write_rest(struct recording *recording, struct run_outcome *outcome)
{
    struct output out;
    output_init(&out, STDOUT_FILENO);
    out.column_zero = !outcome->half_out;
    output_drain(&out, recording_output(recording));
    outcome->half_out = !out.column_zero;
    outcome->out_failure = outcome->out_failure ? outcome->out_failure : out.failure;
    output_release(&out);
}

static int record_child(struct recording *recording, struct child *child, int signals, const struct run_options *options)
{
    struct run_outcome outcome = {.timed_out = false};
    struct run_limits limits = {options->timeout, options->kill_after, options->linger};
    struct console console;
    console_init(&console, stderr);
    struct run_view view = {
        .progress = console.terminal && !options->common.quiet,
        .width = console.width,
        .filter = console.terminal && !options->common.raw,
    };
    run_loop(child, recording, signals, &limits, &view, &outcome);
    child_release(child);
    char *text;
    struct recording_end end = {.now = clock_now(), .status = RUN_OK};
    int code = judge_child(child, &outcome, &end, &text);
    recording_finish(recording, &end);
    if (recording_run(recording)->status == RUN_BUDGET)
        code = AO_EXIT_BUDGET;
    write_rest(recording, &outcome);
    /* Words of ours begin a line of their own. */
    bool half = outcome.half_err || (outcome.half_out && isatty(STDOUT_FILENO));
    if (half && console.terminal && !options->common.quiet)
        fputc('\n', stderr);
    /* Who reads only the beginning of the output knows that; a full disk is news. */
    if (outcome.out_failure && outcome.out_failure != EPIPE)
        console_say("stdout: %s: the rest of the output was not written", strerror(outcome.out_failure));
    (void)recording_conclude(recording);
    ao_free(text);
    return code;
}

static void say_withheld(void)
{
    size_t at = 0;
    for (const char *key; (key = child_env_withheld_key(&at)) != NULL;)
        console_say("%s stays on the host: the agent does not get it (--keep-keys)", key);
}

static int start_and_record(struct recording *recording, const struct run_options *options, char **args)
{
    descriptors_close_others_on_exec(&options->inherited);
    struct child child = {.pid = 0};
    char *error = NULL;
    if (recording_over_budget(recording)) {
        recording_abandon(recording, clock_now(), AO_EXIT_BUDGET, NULL);
        return AO_EXIT_BUDGET;
    }
    if (!options->keep_keys && !options->common.quiet)
        say_withheld();
    int signals = -1, failure = run_loop_take_signals(&signals), code = AO_EXIT_SELF;
    if (failure)
        error = text_format("cannot watch for signals: %s", strerror(failure));
    else
        code = start_child(&child, recording, args, options->keep_keys, &error);
    if (code == AO_EXIT_OK) {
        code = record_child(recording, &child, signals, options);
    } else {
        console_say_text(error ? error : "out of memory");
        recording_abandon(recording, clock_now(), code, error ? error : "out of memory");
    }
    if (signals >= 0)
        close(signals);
    ao_free(error);
    return code;
}

static int run_command(const struct run_options *options, const struct settings *settings, char **args)
{
    struct ao_context context;
    struct recording *recording = NULL;
    char *error = NULL, *joined = join_command(args);
    int err = incoming_context(&context);
    if (err) {
        console_say_text(ao_err_text(err));
        ao_free(joined);
        return AO_EXIT_SELF;
    }
    struct recording_config config = {
        .settings = settings,
        .name = base_name(args[0]),
        .command = joined,
        .source = "run",
        .context = &context,
        .braintrust_slug = getenv("BRAINTRUST_TRACE_CONTEXT"),
        .require_key = true,
        .to_terminal = isatty(STDOUT_FILENO),
        .now = clock_now(),
    };
    err = recording_open(&config, &recording, &error);
    ao_context_release(&context);
    int code = err == AO_ERR_USAGE ? AO_EXIT_USAGE : AO_EXIT_SELF;
    if (err)
        console_say_text(error ? error : ao_err_text(err));
    else
        code = start_and_record(recording, options, args);
    recording_free(recording);
    ao_free(error);
    ao_free(joined);
    return code;
}

int cmd_run(int argc, char **argv)
{
    struct run_options options = {.inherited = {{0}}};
    struct options_rest rest;
    struct settings settings;
    char *error = NULL;
    int code;
    if (!options_start(&run_page, argc, argv, &options, &rest, &code))
        return code;
    descriptors_note(&options.inherited);
    if (rest.count == 0) {
        console_say("run: no command: write agentobs-host run -- COMMAND [ARG...]");
        code = AO_EXIT_USAGE;
    } else if (settings_init(&settings, &options.common, &error)) {
        console_say_text(error ? error : "out of memory");
        ao_free(error);
        code = AO_EXIT_USAGE;
    } else {
        code = run_command(&options, &settings, rest.args);
        settings_release(&settings);
    }
    options_release(&run_page, &options);
    return code;
}
