/* agentobs-host read: the same as run, from a pipe or from files. */
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/run/incoming.h"
#include "host/run/recording.h"
#include "host/text.h"
#include "host/view/console.h"
#include "host/view/output.h"

#define READ_BYTES (256u * 1024)
#define IDENTITY_BYTES (64u * 1024)
#define SUBAGENTS_MAX 4096u
#define TURN_MS 100

struct read_options {
    struct settings_options common;
    const char *run;
};

static const struct option_spec read_specs[] = {
    {"run", 0, OPTION_TEXT, offsetof(struct read_options, run), "ID", NULL, "AGENTOBS_RUN_ID",
     "the run that env opened"},
    SETTINGS_OPTIONS(struct read_options),
    SETTINGS_GROUPS(struct read_options),
};

const struct options_page read_page = {
    .usage = "read [options] [FILE...|-]",
    .about = "Records a stream from stdin or files: agentobs records, Claude Code stream-json or transcripts, "
             "Messages API events. The kind is recognised.",
    .specs = read_specs,
    .count = AO_ARRAY_LEN(read_specs),
    .max_arguments = SIZE_MAX,
    .notes = "Each FILE is a trace of its own; reading it again replaces it. Exit 123: limit.",
    .groups = settings_groups,
    .group_count = AO_ARRAY_LEN(settings_groups),
};

/* A file's name is whatever somebody called it. */
static void say_about(const char *what, const char *path, int failure)
{
    char *line = text_format("%s %s: %s", what, path, strerror(failure));
    console_say_text(line ? line : "out of memory");
    ao_free(line);
}

/* One source being read. */
struct reader {
    struct recording *recording;
    struct output out;
    struct output err;
    int signals;
    int stopped_by; /* a signal that ends the reading */
    bool progress;
    char *buffer;
};

static void take_signals(struct reader *r)
{
    struct signalfd_siginfo info;
    while (read(r->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        r->stopped_by = (int)info.ssi_signo;
}

static void show(struct reader *r, uint64_t now)
{
    struct ao_buf *output = recording_output(r->recording), *notices = recording_notices(r->recording);
    if (output->len || notices->len)
        progress_erase(&r->err);
    output_drain(&r->out, output);
    output_drain(&r->err, notices);
    recording_tick(r->recording, now);
    if (r->progress) {
        char line[160];
        size_t len = recording_progress(r->recording, now, line, sizeof(line));
        progress_show(&r->err, r->out.column_zero, (struct ao_str){line, len}, now);
    }
}

static bool is_regular(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

/* A file is always ready; a pipe is waited for, and our timers and uploads go on meanwhile. */
static bool wait_ready(struct reader *r, int fd)
{
    struct curl_waitfd fds[2] = {{.fd = fd, .events = CURL_WAIT_POLLIN}, {.fd = r->signals, .events = CURL_WAIT_POLLIN}};
    recording_wait(r->recording, fds, 2, TURN_MS);
    return fds[0].revents != 0;
}

/* Reads to the end. 0 or an errno value. */
static int read_all(struct reader *r, int fd)
{
    bool regular = is_regular(fd);
    while (!r->stopped_by && !recording_over_budget(r->recording)) {
        bool ready = regular || wait_ready(r, fd);
        uint64_t now = clock_now();
        take_signals(r);
        if (ready) {
            ssize_t got = read(fd, r->buffer, READ_BYTES);
            if (got < 0 && errno != EINTR)
                return errno;
            if (got == 0)
                return 0;
            if (got > 0)
                recording_feed(r->recording, (struct ao_str){r->buffer, (size_t)got}, now);
        }
        show(r, now);
    }
    return 0;
}

/* ---- a transcript's sub-agents: SESSION.jsonl and SESSION/subagents/agent-ID.jsonl ---- */

static int is_subagent_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return strncmp(entry->d_name, "agent-", 6) == 0 && len > 12 && strcmp(entry->d_name + len - 6, ".jsonl") == 0;
}

static int read_subagent(struct reader *r, const char *folder, const char *name)
{
    char *path = text_format("%s/%s", folder, name);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1, failure = 0;
    ao_free(path);
    if (fd < 0)
        return errno;
    recording_subagent_file(r->recording, (struct ao_str){name + 6, strlen(name) - 12});
    failure = read_all(r, fd);
    close(fd);
    return failure;
}

static int read_subagents(struct reader *r, const char *path)
{
    size_t len = strlen(path);
    if (len < 7 || strcmp(path + len - 6, ".jsonl") != 0)
        return 0;
    char *folder = text_format("%.*s/subagents", (int)(len - 6), path);
    struct dirent **names = NULL;
    int count = folder ? scandir(folder, &names, is_subagent_file, alphasort) : -1, failure = 0;
    for (int i = 0; i < count; i++) {
        bool stopped = r->stopped_by || recording_over_budget(r->recording);
        if (!failure && !stopped && (unsigned)i < SUBAGENTS_MAX)
            failure = read_subagent(r, folder, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    ao_free(folder);
    return failure;
}

/* ---- one source, from open to report ---- */

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static struct recording_end judge_reading(const struct reader *r, int failure)
{
    struct recording_end end = {.now = clock_now(), .status = RUN_OK, .exit_code = -1};
    if (r->stopped_by) {
        end.status = RUN_KILLED;
        end.error_type = "interrupted";
        end.error_message = "the reading was interrupted";
    } else if (failure) {
        end.status = RUN_ERROR;
        end.error_type = "read_error";
        end.error_message = strerror(failure);
    }
    return end;
}

static int read_source(struct recording *recording, int fd, const char *path, bool quiet)
{
    struct reader r = {.recording = recording, .signals = open_signals(), .buffer = ao_malloc(READ_BYTES)};
    struct console console;
    console_init(&console, stderr);
    output_init(&r.out, STDOUT_FILENO);
    output_init(&r.err, STDERR_FILENO);
    r.progress = console.terminal && !quiet;
    int failure = r.buffer && r.signals >= 0 ? read_all(&r, fd) : ENOMEM;
    if (!failure && path)
        failure = read_subagents(&r, path);
    progress_erase(&r.err);
    struct recording_end end = judge_reading(&r, failure);
    recording_finish(recording, &end);
    output_drain(&r.out, recording_output(recording));
    int code = recording_conclude(recording);
    if (failure) {
        say_about("cannot read", path ? path : "stdin", failure);
        code = AO_EXIT_FAILURE;
    }
    if (r.out.failure && r.out.failure != EPIPE) {
        say_about("cannot write", "stdout", r.out.failure);
        code = AO_EXIT_FAILURE;
    }
    if (r.stopped_by)
        code = AO_EXIT_SIGNAL + r.stopped_by;
    if (recording_run(recording)->status == RUN_BUDGET)
        code = AO_EXIT_BUDGET;
    if (r.signals >= 0)
        close(r.signals);
    ao_free(r.buffer);
    output_release(&r.out);
    output_release(&r.err);
    return code;
}

/* A line that no other run has: its kind is known, and it names a writer, a session or an event of its own. */
static bool is_unique(struct ao_str line)
{
    static const char *const names[] = {"\"writer\":", "\"uuid\":", "\"session_id\":", "\"sessionId\":"};
    enum dialect_kind kind = dialect_detect(line);
    if (kind != DIALECT_RECORDS && kind != DIALECT_STREAM_JSON && kind != DIALECT_TRANSCRIPT)
        return false;
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++)
        if (memmem(line.ptr, line.len, names[i], strlen(names[i])))
            return true;
    return false;
}

/* The first bytes of a file stand for it, up to a line that no other file has: it may grow behind that. */
static size_t read_identity(int fd, char *buffer)
{
    ssize_t got = is_regular(fd) ? pread(fd, buffer, IDENTITY_BYTES, 0) : 0;
    size_t len = got > 0 ? (size_t)got : 0;
    for (size_t at = 0; at < len;) {
        const char *newline = memchr(buffer + at, '\n', len - at);
        if (!newline)
            break;
        size_t end = (size_t)(newline - buffer);
        if (is_unique((struct ao_str){buffer + at, end - at}))
            return end;
        at = end + 1;
    }
    return len;
}

static int find_run(const struct settings *settings, const char *which, struct run *ret_run, char **ret_error)
{
    struct store *store = NULL;
    if (!settings->store_path) {
        *ret_error = text_format("no home directory for the store: set --store PATH");
        return AO_ERR_USAGE;
    }
    int err = store_open(settings->store_path, STORE_READ, 1000, &store, ret_error);
    if (err)
        return AO_ERR_USAGE;
    err = store_find_run(store, which, ret_run);
    if (err)
        *ret_error = text_format("no run '%s' in %s (agentobs-host env opens one)", which, settings->store_path);
    else if (!ret_run->stream_key) {
        *ret_error = text_format("the run '%s' has ended: its stream was read", which);
        run_release(ret_run);
        err = AO_ERR_USAGE;
    }
    store_close(store);
    return err;
}

static int record_source(const struct read_options *options, const struct settings *settings, int fd, const char *path)
{
    struct run run = {.exit_code = -1};
    struct recording *recording = NULL;
    struct ao_context context;
    char *error = NULL, *buffer = ao_malloc(IDENTITY_BYTES);
    size_t identity = buffer && !options->run ? read_identity(fd, buffer) : 0;
    int err = options->run ? find_run(settings, options->run, &run, &error) : AO_OK;
    bool has_context = !err && !options->run && identity == 0 && incoming_context(&context) == AO_OK;
    struct recording_config config = {
        .settings = settings,
        .name = path ? path : "stdin",
        .source = path ? path : "stdin",
        .run = options->run ? &run : NULL,
        .context = has_context ? &context : NULL,
        .braintrust_slug = getenv("BRAINTRUST_TRACE_CONTEXT"),
        .identity = identity ? (struct ao_str){buffer, identity} : AO_STR_NONE,
        .adopt_trace = !options->run,
        .require_key = options->run != NULL,
        .quiet_dialect = true,
        .show_said = !path,
        .to_terminal = isatty(STDOUT_FILENO),
        .now = clock_now(),
    };
    if (!err)
        err = recording_open(&config, &recording, &error);
    if (has_context)
        ao_context_release(&context);
    int code = err == AO_ERR_NOMEM ? AO_EXIT_FAILURE : AO_EXIT_USAGE;
    if (err)
        console_say_text(error ? error : ao_err_text(err));
    else
        code = read_source(recording, fd, path, options->common.quiet);
    recording_free(recording);
    run_release(&run);
    ao_free(error);
    ao_free(buffer);
    return code;
}

static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* Looks at every file before any is read: a name that is wrong stops before anything is done. */
static int check_sources(char **args, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        int failure = 0;
        if (is_stdin(args[i]))
            continue;
        if (stat(args[i], &info) || access(args[i], R_OK))
            failure = errno;
        else if (S_ISDIR(info.st_mode))
            failure = EISDIR;
        if (failure) {
            say_about("cannot read", args[i], failure);
            return AO_EXIT_USAGE;
        }
    }
    return AO_EXIT_OK;
}

static int read_one(const struct read_options *options, const struct settings *settings, const char *path)
{
    if (is_stdin(path)) {
        if (isatty(STDIN_FILENO))
            console_say("reading what is typed here; Ctrl-D ends it");
        return record_source(options, settings, STDIN_FILENO, NULL);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        say_about("cannot read", path, errno);
        return AO_EXIT_FAILURE;
    }
    int code = record_source(options, settings, fd, path);
    close(fd);
    return code;
}

static int read_sources(const struct read_options *options, const struct settings *settings, char **args, size_t count)
{
    static char *stdin_only[] = {"-", NULL};
    if (count == 0) {
        args = stdin_only;
        count = 1;
    }
    if (options->run && count > 1) {
        console_say("read --run: a run has one stream; give one FILE or stdin");
        return AO_EXIT_USAGE;
    }
    if (options->common.report && count > 1) {
        console_say("read --report: one FILE a time, each is a result of its own");
        return AO_EXIT_USAGE;
    }
    int worst = check_sources(args, count);
    for (size_t i = 0; worst != AO_EXIT_USAGE && worst <= AO_EXIT_SIGNAL && i < count; i++) {
        int code = read_one(options, settings, args[i]);
        worst = code > worst ? code : worst;
    }
    return worst;
}

int cmd_read(int argc, char **argv)
{
    struct read_options options;
    struct options_rest rest;
    struct settings settings;
    char *error = NULL;
    int code;
    if (!options_start(&read_page, argc, argv, &options, &rest, &code))
        return code;
    if (settings_init(&settings, &options.common, &error)) {
        console_say_text(error ? error : "out of memory");
        ao_free(error);
        code = AO_EXIT_USAGE;
    } else {
        code = read_sources(&options, &settings, rest.args, rest.count);
        settings_release(&settings);
    }
    options_release(&read_page, &options);
    return code;
}
