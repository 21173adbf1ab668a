/* agentobs-host status: the store, and how far each backend is with it. */
#include <stdio.h>

#include "host/clock.h"
#include "host/commands/command_store.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/store/store_queue.h"
#include "host/view/console.h"
#include "host/view/json_out.h"

struct status_options {
    const char *store;
    bool json;
};

static const struct option_spec status_specs[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct status_options, json), NULL, NULL, NULL, "a JSON object"},
    OPTIONS_STORE(struct status_options, store),
};

const struct options_page status_page = {
    .usage = "status [options]",
    .about = "Shows the store, and for each backend what arrived, what is pending and what failed.",
    .specs = status_specs,
    .count = AO_ARRAY_LEN(status_specs),
};

struct status {
    struct store *store;
    struct console console;
    uint64_t now;
    size_t sinks;
    struct ao_jw *w; /* NULL: for people */
    int err;
};

static void print_sink(struct status *status, const struct cursor *cursor, uint64_t pending)
{
    char when[CONSOLE_NUMBER] = "never";
    struct ao_buf text;
    ao_buf_init(&text, 65536);
    console_escape(&text, ao_str_from(cursor->sink));
    if (cursor->last_success)
        console_format_ago(cursor->last_success, status->now, when);
    printf("  %-12.*s %llu delivered, %llu pending, %llu refused; last success %s\n", (int)text.len, text.data,
           (unsigned long long)cursor->delivered, (unsigned long long)pending, (unsigned long long)cursor->rejected, when);
    if (cursor->last_error) {
        ao_buf_clear(&text);
        console_escape(&text, ao_str_from(cursor->last_error));
        printf("  %-12s %slast error: %.*s%s\n", "", console_style(&status->console, STYLE_RED), (int)text.len,
               text.len ? text.data : "", console_style(&status->console, STYLE_PLAIN));
    }
    ao_buf_release(&text);
}

static void write_sink(struct ao_jw *w, const struct cursor *cursor, uint64_t pending)
{
    ao_jw_object_begin(w);
    json_out_text(w, "sink", cursor->sink);
    ao_jw_key(w, AO_STR("position"));
    ao_jw_i64(w, cursor->position);
    ao_jw_key_u64(w, "delivered", cursor->delivered);
    ao_jw_key_u64(w, "pending", pending);
    ao_jw_key_u64(w, "rejected", cursor->rejected);
    json_out_time(w, "last_success", cursor->last_success);
    json_out_text(w, "last_error", cursor->last_error);
    ao_jw_object_end(w);
}

static int take_sink(void *user, const struct cursor *cursor)
{
    struct status *status = user;
    uint64_t pending = 0;
    status->err = store_pending(status->store, cursor->sink, &pending);
    if (status->err)
        return 1;
    status->sinks++;
    if (status->w)
        write_sink(status->w, cursor, pending);
    else
        print_sink(status, cursor, pending);
    return 0;
}

static int print_status(struct status *status, const struct store_stats *stats)
{
    char bytes[CONSOLE_NUMBER];
    struct ao_buf path;
    ao_buf_init(&path, 65536);
    console_escape(&path, ao_str_from(store_path(status->store)));
    console_format_bytes(stats->bytes, bytes);
    printf("store  %.*s\n       %s, %llu runs, %llu spans, %llu events\nsinks\n", (int)path.len, path.len ? path.data : "",
           bytes, (unsigned long long)stats->runs, (unsigned long long)stats->spans, (unsigned long long)stats->events);
    ao_buf_release(&path);
    int err = store_each_cursor(status->store, take_sink, status);
    if (!err && !status->err && status->sinks == 0)
        puts("  none yet: a run with a key in its environment (e.g. BRAINTRUST_API_KEY, LANGFUSE_SECRET_KEY) adds one");
    if (stats->quarantined)
        printf("refused for good and kept: %llu (agentobs-host upload --retry-rejected)\n",
               (unsigned long long)stats->quarantined);
    return err;
}

static int print_json(struct status *status, const struct store_stats *stats)
{
    struct ao_buf buf;
    struct ao_jw w;
    ao_buf_init(&buf, JSON_OUT_MAX);
    ao_jw_init(&w, &buf);
    status->w = &w;
    ao_jw_object_begin(&w);
    json_out_text(&w, "store", store_path(status->store));
    ao_jw_key_u64(&w, "bytes", stats->bytes);
    ao_jw_key_u64(&w, "runs", stats->runs);
    ao_jw_key_u64(&w, "spans", stats->spans);
    ao_jw_key_u64(&w, "events", stats->events);
    ao_jw_key_u64(&w, "quarantined", stats->quarantined);
    ao_jw_key(&w, AO_STR("sinks"));
    ao_jw_array_begin(&w);
    int err = store_each_cursor(status->store, take_sink, status);
    ao_jw_array_end(&w);
    ao_jw_object_end(&w);
    ao_buf_add_char(&buf, '\n');
    if (!err && !status->err)
        status->err = json_out_flush(&buf, stdout);
    ao_buf_release(&buf);
    return err;
}

int cmd_status(int argc, char **argv)
{
    struct status_options options;
    struct options_rest rest;
    struct store_stats stats;
    int code;
    if (!options_start(&status_page, argc, argv, &options, &rest, &code))
        return code;
    struct status status = {.store = command_open_store(options.store, STORE_READ, &code), .now = clock_now()};
    if (!status.store)
        return code;
    console_init(&status.console, stdout);
    int err = store_stats(status.store, &stats);
    if (!err)
        err = options.json ? print_json(&status, &stats) : print_status(&status, &stats);
    if (!err)
        err = status.err;
    code = err ? command_store_failed(status.store, err) : AO_EXIT_OK;
    store_close(status.store);
    return code;
}
