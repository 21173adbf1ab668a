/* agentobs-host upload: sends what is pending, in the foreground. */
#include <signal.h>
#include <stdio.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/random.h"
#include "host/sinks/sinks.h"
#include "host/sinks/upload.h"
#include "host/store/store_requeue.h"
#include "host/text.h"
#include "host/view/console.h"

#define BUSY_MS 1000u /* here nobody waits for us */
#define TRIES 5u      /* failed tries in a row after which a sink is given up */
#define PROGRESS_EVERY (200 * CLOCK_MS)

struct upload_options {
    const char *store;
    const char *sink;
    uint64_t since;
    bool all;
    uint64_t timeout;
    bool retry_rejected;
    bool quiet;
};

static const struct option_spec upload_specs[] = {
    OPTIONS_STORE(struct upload_options, store),
    {"sink", 0, OPTION_TEXT, offsetof(struct upload_options, sink), "NAME", NULL, NULL,
     "only this one (default: all that are on)"},
    {"all", 0, OPTION_FLAG, offsetof(struct upload_options, all), NULL, NULL, NULL,
     "all that the store holds, not only what is pending"},
    {"since", 0, OPTION_TIME, offsetof(struct upload_options, since), "TIME", NULL, NULL,
     "all that began since then, e.g. 2026-11-20 or 7d"},
    {"retry-rejected", 0, OPTION_FLAG, offsetof(struct upload_options, retry_rejected), NULL, NULL, NULL,
     "try again what a sink refused for good"},
    {"timeout", 0, OPTION_DURATION, offsetof(struct upload_options, timeout), "TIME", NULL, NULL,
     "give up after that long (default: when nothing works)"},
    {"quiet", 'q', OPTION_FLAG, offsetof(struct upload_options, quiet), NULL, NULL, NULL, "only what went wrong"},
};

const struct options_page upload_page = {
    .usage = "upload [options]",
    .about = "Sends to the backends what is pending in the store, and waits until it has arrived.",
    .specs = upload_specs,
    .count = AO_ARRAY_LEN(upload_specs),
    .max_arguments = 0,
    .notes = "Braintrust knows rows by id: sending twice is harmless. OTLP has no updates: a\n"
             "span goes out once, when it has ended; --all sends it again, and some backends\n"
             "show it twice. Exit code 1: something is still pending or was refused.\n"
             "Sinks: braintrust, otlp, langfuse, phoenix, logfire, honeycomb, signoz, datadog,\n"
             "sentry, grafana; agentobs-host schema --backends tells of each.",
};

struct upload_run {
    const struct upload_options *options;
    struct console console;
    struct config *config;
    struct store *store;
    struct http *http;
    struct uploader *uploader;
    bool line_open; /* the progress line is on the terminal */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* ---- words ---- */

static void close_line(struct upload_run *run)
{
    if (run->line_open)
        fputs("\r\033[K", run->console.out);
    run->line_open = false;
}

static void say_news(void *user, const char *sink, enum upload_news news, const char *sentence)
{
    struct upload_run *run = user;
    if (run->options->quiet && news == UPLOAD_RECOVERED)
        return;
    char *line = text_format("%s: %s", sink, sentence);
    close_line(run);
    if (line)
        console_say_text(line);
    ao_free(line);
}

static const char *state_words(enum upload_state state)
{
    switch (state) {
    case UPLOAD_IDLE:
        return "";
    case UPLOAD_SENDING:
        return ", sending";
    case UPLOAD_WAITING:
        return ", waiting to try again";
    case UPLOAD_ELSEWHERE:
        return ", another agentobs-host is sending";
    case UPLOAD_ENDED:
        return ", stopped";
    }
    return "";
}

static void show_progress(struct upload_run *run)
{
    if (!run->console.terminal || run->options->quiet)
        return;
    fputs("\r\033[K", run->console.out);
    for (size_t i = 0; i < upload_sink_count(run->uploader); i++) {
        struct upload_status status = upload_status(run->uploader, i);
        char sent[CONSOLE_NUMBER], left[CONSOLE_NUMBER];
        (void)console_format_count(status.delivered, sent);
        (void)console_format_count(status.pending, left);
        fprintf(run->console.out, "%s%s: %s sent, %s to go%s", i ? "; " : "", status.sink, sent,
                status.pending == UINT64_MAX ? "?" : left, state_words(status.state));
    }
    fflush(run->console.out);
    run->line_open = true;
}

/* The last word about each sink; the exit code. */
static int conclude(struct upload_run *run)
{
    int code = AO_EXIT_OK;
    close_line(run);
    for (size_t i = 0; i < upload_sink_count(run->uploader); i++) {
        struct upload_status status = upload_status(run->uploader, i);
        bool good = status.pending == 0 && status.rejected == 0 && status.state != UPLOAD_ENDED;
        if (!good)
            code = AO_EXIT_FAILURE;
        if (good && run->options->quiet)
            continue;
        char *line = status.pending == UINT64_MAX
                         ? text_format("%s: %llu sent, %llu refused; the store cannot tell what is pending",
                                       status.sink, (unsigned long long)status.delivered,
                                       (unsigned long long)status.rejected)
                         : text_format("%s: %llu sent, %llu pending, %llu refused", status.sink,
                                       (unsigned long long)status.delivered, (unsigned long long)status.pending,
                                       (unsigned long long)status.rejected);
        if (line)
            console_say_text(line);
        ao_free(line);
    }
    return code;
}

/* ---- set-up ---- */

/* Says it, frees it; the exit code. */
static int refuse(char *sentence, int err)
{
    console_say_text(sentence ? sentence : ao_err_text(err));
    ao_free(sentence);
    return err == AO_ERR_NOMEM ? AO_EXIT_FAILURE : AO_EXIT_USAGE;
}

/* AO_ERR_NOTFOUND when there is no store yet: it is not made for an upload. */
static int open_store(struct upload_run *run, char **ret_error)
{
    char *path = run->options->store ? ao_strdup(ao_str_from(run->options->store)) : store_default_path();
    if (!path) {
        *ret_error = text_format("no place for a store is known: set HOME or AGENTOBS_STORE");
        return AO_ERR_USAGE;
    }
    int err = store_open(path, STORE_READ, BUSY_MS, &run->store, ret_error);
    if (!err) {
        store_close(run->store);
        run->store = NULL;
        err = store_open(path, STORE_WRITE, BUSY_MS, &run->store, ret_error);
    }
    ao_free(path);
    return err;
}

/* What was recorded before a sink was first used is sent only when asked for. */
static void hint_backfill(const struct upload_run *run, const struct sink_kind *kind)
{
    struct cursor cursor;
    int err = store_get_cursor(run->store, kind->name, &cursor);
    if (err == AO_OK)
        cursor_release(&cursor);
    else if (err == AO_ERR_NOTFOUND && !run->options->all && !run->options->since)
        console_say("%s is new here: upload --all or --since TIME sends what was recorded before", kind->name);
}

static int add_sink(struct upload_run *run, const struct sink_kind *kind, char **ret_error)
{
    const struct upload_options *options = run->options;
    const struct upload_backfill backfill = {options->all || options->since, options->since};
    struct sink *sink;
    uint64_t count = 0;
    int err = kind->make(kind, run->config, &sink, ret_error);
    if (err)
        return err;
    hint_backfill(run, kind);
    err = uploader_add(run->uploader, sink, kind->timeout_ms(kind, run->config), &backfill);
    if (!err && options->retry_rejected)
        err = store_requeue(run->store, kind->name, &count);
    if (err && err != AO_ERR_NOMEM)
        *ret_error = text_format("%s: %s", kind->name, store_error(run->store));
    if (!err && options->retry_rejected && !options->quiet)
        console_say("%s: %llu refused before, tried again", kind->name, (unsigned long long)count);
    return err;
}

static int check_name(const char *name, char **ret_error)
{
    if (sink_kind_find(name))
        return AO_OK;
    char *names = sinks_names();
    *ret_error = text_format("--sink %s: there is no such sink; there are: %s", name, names ? names : "");
    ao_free(names);
    return AO_ERR_USAGE;
}

static int add_sinks(struct upload_run *run, char **ret_error)
{
    const char *only = run->options->sink;
    size_t added = 0;
    int err = only ? check_name(only, ret_error) : sinks_check(run->config, ret_error);
    for (size_t i = 0; i < sink_kind_count && !err; i++) {
        const struct sink_kind *kind = sink_kinds[i];
        if (only ? strcmp(only, kind->name) != 0 || !kind->configured(kind, run->config)
                 : !sink_kind_on(kind, run->config))
            continue;
        err = add_sink(run, kind, ret_error);
        added++;
    }
    if (err || added)
        return err;
    const struct sink_kind *example = only ? sink_kind_find(only) : sink_kinds[0];
    console_say("%s is off: set %s", example->name, example->variable);
    *ret_error = text_format("there is no backend to send to");
    return AO_ERR_USAGE;
}

static int open_uploader(struct upload_run *run, char **ret_error)
{
    struct ao_prng prng;
    int err = http_new(&run->http);
    if (!err)
        err = random_prng(&prng);
    if (err)
        return err;
    uint64_t retries = config_number(run->config, "BRAINTRUST_NUM_RETRIES");
    const struct upload_config config = {
        .store = run->store,
        .http = run->http,
        .seed = ao_prng_next(&prng),
        .max_tries = config_is_set(run->config, "BRAINTRUST_NUM_RETRIES") ? retries + 1 : TRIES,
        .news = say_news,
        .user = run,
    };
    err = uploader_new(&config, &run->uploader);
    return err ? err : add_sinks(run, ret_error);
}

static void release(struct upload_run *run)
{
    uploader_free(run->uploader);
    http_free(run->http);
    store_close(run->store);
    config_free(run->config);
}

/* ---- the work ---- */

static void carry(struct upload_run *run)
{
    uint64_t now = clock_now(), shown = 0;
    uint64_t deadline = run->options->timeout ? now + run->options->timeout : UINT64_MAX;
    upload_hurry(run->uploader);
    for (upload_step(run->uploader, now); !upload_drained(run->uploader) && now < deadline && !interrupted;
         upload_step(run->uploader, now)) {
        if (now - shown >= PROGRESS_EVERY) {
            show_progress(run);
            shown = now;
        }
        uint64_t left = (deadline - now) / CLOCK_MS + 1;
        (void)upload_wait(run->uploader, now, NULL, 0, left > 200 ? 200 : (int)left);
        now = clock_now();
    }
}

int cmd_upload(int argc, char **argv)
{
    struct upload_options options;
    struct options_rest rest;
    struct upload_run run = {.options = &options};
    char *error = NULL;
    int code;
    if (!options_start(&upload_page, argc, argv, &options, &rest, &code))
        return code;
    console_init(&run.console, stderr);
    int err = config_load(NULL, &run.config, &error);
    if (!err)
        err = open_store(&run, &error);
    if (err == AO_ERR_NOTFOUND) {
        ao_free(error);
        config_free(run.config);
        console_say("there is no store yet: nothing to send");
        return AO_EXIT_OK;
    }
    if (!err)
        err = open_uploader(&run, &error);
    if (err) {
        code = refuse(error, err);
    } else {
        catch_signals();
        carry(&run);
        code = conclude(&run);
    }
    release(&run);
    return code;
}
