/* agentobs-host doctor: tries what a run needs, one line each. No value of a secret is ever printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/framer.h"
#include "core/mem.h"
#include "core/record.h"
#include "host/clock.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/random.h"
#include "host/run/child.h"
#include "host/sinks/config.h"
#include "host/sinks/sinks.h"
#include "host/store/store.h"
#include "host/view/console.h"

#define CHILD_TIMEOUT (10 * CLOCK_SECOND)
#define OLDEST_TIME (UINT64_C(1767225600) * CLOCK_SECOND) /* 2026-01-01: this program is not older */
#define TEXT_MAX 1024u

struct doctor_options {
    const char *store;
    const char *python;
};

static const struct option_spec doctor_specs[] = {
    {"python", 0, OPTION_TEXT, offsetof(struct doctor_options, python), "PATH", NULL, NULL,
     "also try to import agentobs with this Python"},
    OPTIONS_STORE(struct doctor_options, store),
};

const struct options_page doctor_page = {
    .usage = "doctor [options]",
    .about = "Checks what a run needs: store, settings, clock, a child's stream, Python, terminal.",
    .specs = doctor_specs,
    .count = AO_ARRAY_LEN(doctor_specs),
    .notes = "Exit code 1 when something is wrong. Of a secret only whether it is set is told.",
};

enum finding { FOUND_GOOD, FOUND_NEUTRAL, FOUND_BAD };

struct doctor {
    struct console console;
    bool bad;
};

static void tell(struct doctor *d, enum finding finding, const char *what, const char *text)
{
    static const enum console_style styles[] = {STYLE_GREEN, STYLE_DIM, STYLE_RED};
    static const char *const words[] = {"ok", "-", "WRONG"};
    struct ao_buf escaped;
    ao_buf_init(&escaped, 8 * TEXT_MAX);
    console_escape(&escaped, (struct ao_str){text, strnlen(text, 2 * TEXT_MAX)});
    printf("%s%-5s%s  %-10s %.*s\n", console_style(&d->console, styles[finding]), words[finding],
           console_style(&d->console, STYLE_PLAIN), what, (int)escaped.len, escaped.len ? escaped.data : "");
    ao_buf_release(&escaped);
    d->bad |= finding == FOUND_BAD;
}

/* ---- store ---- */

static void check_store(struct doctor *d, const char *path)
{
    char *own = path ? NULL : store_default_path(), *error = NULL, text[TEXT_MAX];
    struct store *store = NULL;
    struct store_stats stats;
    if (!path && !own) {
        tell(d, FOUND_BAD, "store", "no place for it is known: set HOME or XDG_DATA_HOME");
        return;
    }
    int err = store_open(path ? path : own, STORE_WRITE, 2000, &store, &error);
    if (err) {
        tell(d, FOUND_BAD, "store", error ? error : ao_err_text(err));
    } else if (store_begin(store) || store_stats(store, &stats)) {
        tell(d, FOUND_BAD, "store", store_error(store));
    } else {
        snprintf(text, sizeof(text), "%.900s can be written; %llu runs", store_path(store), (unsigned long long)stats.runs);
        tell(d, FOUND_GOOD, "store", text);
    }
    store_close(store);
    ao_free(error);
    ao_free(own);
}

/* ---- settings ---- */

static void tell_set(struct doctor *d, const char *name, bool set, const char *meaning)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof(text), "%s is %s (%s)", name, set ? "set" : "not set", meaning);
    tell(d, set ? FOUND_GOOD : FOUND_NEUTRAL, "key", text);
}

/* One line each. A backend that must be named is told of only when its key is there. */
static void check_sink(struct doctor *d, const struct sink_kind *kind, const struct config *config)
{
    char text[TEXT_MAX];
    char *error = NULL;
    struct sink *sink = NULL;
    bool set = kind->configured(kind, config), on = sink_kind_on(kind, config);
    if (!on && set)
        snprintf(text, sizeof(text), "%s has its keys and is not used: AGENTOBS_SINKS does not name it", kind->name);
    else if (!on)
        snprintf(text, sizeof(text), "%s is not set (%s)", kind->variable, kind->name);
    else if (kind->make(kind, config, &sink, &error))
        snprintf(text, sizeof(text), "%.900s", error ? error : ao_err_text(AO_ERR_NOMEM));
    else
        snprintf(text, sizeof(text), "%s is set (%s)", kind->variable, kind->name);
    if (on || set || !kind->named)
        tell(d, on && !sink ? FOUND_BAD : on ? FOUND_GOOD : FOUND_NEUTRAL, "key", text);
    if (sink)
        sink->ops->free(sink);
    ao_free(error);
}

static void check_sinks(struct doctor *d, const struct config *config)
{
    char *error = NULL;
    if (sinks_check(config, &error))
        tell(d, FOUND_BAD, "settings", error ? error : ao_err_text(AO_ERR_NOMEM));
    for (size_t i = 0; i < sink_kind_count; i++)
        check_sink(d, sink_kinds[i], config);
    ao_free(error);
}

static void check_settings(struct doctor *d)
{
    static const struct {
        const char *name, *meaning;
    } keys[] = {
        {"ANTHROPIC_API_KEY", "for agents that talk to Claude"},
        {"CLAUDE_CODE_OAUTH_TOKEN", "the same, by subscription"},
    };
    struct config *config = NULL;
    char *error = NULL;
    if (config_load(NULL, &config, &error))
        tell(d, FOUND_BAD, "settings", error ? error : ao_err_text(AO_ERR_NOMEM));
    else
        tell(d, FOUND_GOOD, "settings", "the environment, .env and .env.braintrust are well-formed");
    if (config)
        check_sinks(d, config);
    if (config)
        tell_set(d, "E2B_API_KEY", config_is_set(config, "E2B_API_KEY"), "E2B: what sandboxes cost, and their end at a limit");
    for (size_t i = 0; i < AO_ARRAY_LEN(keys); i++) {
        const char *value = getenv(keys[i].name);
        tell_set(d, keys[i].name, value && *value, keys[i].meaning);
    }
    config_free(config);
    ao_free(error);
}

static void check_clock(struct doctor *d)
{
    char text[TEXT_MAX], when[CONSOLE_NUMBER];
    uint64_t now = clock_now();
    console_format_time(now, when);
    snprintf(text, sizeof(text), now < OLDEST_TIME ? "it says %s: set it, times and prices depend on it" : "%s", when);
    tell(d, now < OLDEST_TIME ? FOUND_BAD : FOUND_GOOD, "clock", text);
}

/* ---- a child and its stream ---- */

struct stream {
    unsigned records, bad;
    struct ao_buf text;
};

static void take_text(void *user, struct ao_str bytes)
{
    ao_buf_add_str(&((struct stream *)user)->text, bytes);
}

static void take_record(void *user, struct ao_str json)
{
    (void)json;
    ((struct stream *)user)->records++;
}

static void take_bad(void *user, int err, struct ao_str line)
{
    (void)err;
    (void)line;
    ((struct stream *)user)->bad++;
}

/* All that the child writes to stdout until it ends; AO_ERR_BUSY when it does not end in time. */
static int read_child(const struct child *child, struct ao_buf *out)
{
    uint64_t deadline = clock_now() + CHILD_TIMEOUT;
    char piece[4096];
    for (uint64_t now = clock_now(); now < deadline; now = clock_now()) {
        struct pollfd ready = {.fd = child->out_fd, .events = POLLIN};
        int count = poll(&ready, 1, (int)((deadline - now) / CLOCK_MS) + 1);
        ssize_t got = count > 0 ? read(child->out_fd, piece, sizeof(piece)) : -1;
        if (got == 0)
            return ao_buf_err(out);
        if (got > 0)
            ao_buf_add(out, piece, (size_t)got);
        else if (count != 0 && errno != EINTR && errno != EAGAIN)
            return AO_ERR_IO;
    }
    return AO_ERR_BUSY;
}

/* Runs a command and collects its stdout. 0, or an errno value. */
static int run_child(char *const argv[], struct ao_buf *out, int *ret_code)
{
    extern char **environ;
    struct child child = {.pid = 0, .out_fd = -1, .err_fd = -1};
    bool exec_failed;
    int failure = child_start(&child, argv, environ, &exec_failed);
    if (failure)
        return failure;
    int err = read_child(&child, out);
    if (err)
        child_signal(&child, SIGKILL);
    const struct timespec pause = {.tv_nsec = 1000000};
    while (!child_reap(&child))
        nanosleep(&pause, NULL);
    child_release(&child);
    *ret_code = child_exit_code(&child);
    return err == AO_ERR_BUSY ? ETIMEDOUT : err ? EIO : 0;
}

/* One framed record between two texts without newlines, as an agent's output has it. */
static int make_output(const char *key, struct ao_buf *out)
{
    struct ao_buf json;
    struct ao_record record;
    ao_buf_init(&json, AO_RECORD_MAX);
    ao_record_init(&record, AO_KIND_EVENT);
    AO_SET(&record, time, clock_now());
    AO_SET(&record, name, AO_STR("doctor"));
    ao_buf_add_cstr(out, "before ");
    struct ao_span_id writer = {{1}};
    int err = ao_record_encode(&record, &json);
    if (!err)
        err = ao_record_frame(ao_str_from(key), &writer, 0, ao_buf_str(&json), out);
    ao_buf_add_cstr(out, "after");
    ao_buf_release(&json);
    return err ? err : ao_buf_err(out);
}

static const char *frame_child(const char *key, char *output, struct stream *stream)
{
    static const struct ao_framer_ops ops = {take_text, take_record, take_bad};
    static char shell[] = "/bin/sh", flag[] = "-c", script[] = "printf %s \"$1\"", zero[] = "sh";
    char *argv[] = {shell, flag, script, zero, output, NULL};
    struct ao_framer framer;
    struct ao_buf bytes;
    int code = 0;
    ao_buf_init(&bytes, 1024 * 1024);
    int failure = run_child(argv, &bytes, &code);
    int err = failure ? AO_OK : ao_framer_init(&framer, &ops, stream, AO_KEY_GIVEN, ao_str_from(key));
    if (!failure && !err) {
        err = ao_framer_feed(&framer, ao_buf_str(&bytes));
        if (!err)
            err = ao_framer_finish(&framer);
        ao_framer_release(&framer);
    }
    ao_buf_release(&bytes);
    if (failure)
        return strerror(failure);
    if (code)
        return "the shell failed";
    if (err)
        return ao_err_text(err);
    if (stream->records != 1 || stream->bad || !ao_str_eq(ao_buf_str(&stream->text), AO_STR("before after")))
        return "what a child wrote did not come back as it was";
    return NULL;
}

static void check_stream(struct doctor *d)
{
    struct stream stream = {.records = 0};
    struct ao_buf output;
    char key[AO_KEY_LEN + 1];
    ao_buf_init(&output, AO_RECORD_MAX);
    ao_buf_init(&stream.text, TEXT_MAX);
    const char *problem = random_key(key) || make_output(key, &output) ? "no randomness or no memory" : NULL;
    char *text = problem ? NULL : ao_buf_detach(&output, NULL);
    if (text)
        problem = frame_child(key, text, &stream);
    tell(d, problem ? FOUND_BAD : FOUND_GOOD, "stream", problem ? problem : "a record and text came back from a child");
    ao_free(text);
    ao_buf_release(&output);
    ao_buf_release(&stream.text);
}

static void check_python(struct doctor *d, const char *python)
{
    static char flag[] = "-c";
    static char script[] = "import sys, agentobs; print('Python %d.%d, agentobs %s' % "
                           "(*sys.version_info[:2], getattr(agentobs, '__version__', '?')))";
    char text[2 * TEXT_MAX];
    int code = 0;
    if (!python) {
        tell(d, FOUND_NEUTRAL, "python", "not tried; doctor --python PATH tries to import agentobs");
        return;
    }
    char *name = ao_strdup(ao_str_from(python));
    char *argv[] = {name, flag, script, NULL};
    struct ao_buf out;
    ao_buf_init(&out, TEXT_MAX);
    int failure = name ? run_child(argv, &out, &code) : ENOMEM;
    if (failure)
        snprintf(text, sizeof(text), "%.500s: %s", python, strerror(failure));
    else if (code)
        snprintf(text, sizeof(text), "%.500s cannot import agentobs; install it there: pip install .", python);
    else
        snprintf(text, sizeof(text), "%.*s", (int)(out.len ? out.len - 1 : 0), out.len ? out.data : "");
    tell(d, failure || code ? FOUND_BAD : FOUND_GOOD, "python", text);
    ao_buf_release(&out);
    ao_free(name);
}

static void check_terminal(struct doctor *d)
{
    struct console console;
    char text[TEXT_MAX];
    console_init(&console, stderr);
    if (console.terminal)
        snprintf(text, sizeof(text), "%u columns, %s, %s", console.width, console.color ? "colour" : "no colour",
                 console.utf8 ? "UTF-8" : "no UTF-8: drawings in ASCII");
    else
        snprintf(text, sizeof(text), "stderr is none: no colour, no progress line");
    tell(d, FOUND_NEUTRAL, "terminal", text);
}

int cmd_doctor(int argc, char **argv)
{
    struct doctor_options options;
    struct options_rest rest;
    struct doctor d = {.bad = false};
    int code;
    if (!options_start(&doctor_page, argc, argv, &options, &rest, &code))
        return code;
    console_init(&d.console, stdout);
    check_store(&d, options.store);
    check_settings(&d);
    check_clock(&d);
    check_stream(&d);
    check_python(&d, options.python);
    check_terminal(&d);
    return d.bad ? AO_EXIT_FAILURE : AO_EXIT_OK;
}
