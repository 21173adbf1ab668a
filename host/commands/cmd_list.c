/* agentobs-host list: the runs, newest first. */
#include <stdio.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/command_store.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/money/cost_groups.h"
#include "host/view/console.h"
#include "host/view/json_out.h"

struct list_options {
    const char *store;
    const char *session;
    uint64_t limit;
    bool json;
};

static const struct option_spec list_specs[] = {
    {"limit", 'n', OPTION_UINT, offsetof(struct list_options, limit), "N", "20", NULL, "at most so many; 0: all"},
    {"session", 0, OPTION_TEXT, offsetof(struct list_options, session), "ID", NULL, NULL,
     "the runs of one conversation, and their total"},
    {"json", 0, OPTION_FLAG, offsetof(struct list_options, json), NULL, NULL, NULL, "a JSON array"},
    OPTIONS_STORE(struct list_options, store),
};

const struct options_page list_page = {
    .usage = "list [options]",
    .about = "Lists the runs that are stored, newest first.",
    .specs = list_specs,
    .count = AO_ARRAY_LEN(list_specs),
};

struct listing {
    struct console console;
    uint64_t now;
    size_t count;
    struct ao_buf buf;
    struct ao_jw w;
    int err;
    const struct list_options *options;
    int64_t total_pusd; /* of what has a known cost */
    bool unpriced;
};

static int print_json(void *user, const struct run *run)
{
    struct listing *listing = user;
    json_out_run(&listing->w, run);
    listing->count++;
    return (listing->err = json_out_flush(&listing->buf, stdout)) != AO_OK;
}

static enum console_style style_of(enum run_status status)
{
    return status == RUN_OK ? STYLE_GREEN : status == RUN_RUNNING || status == RUN_OPEN ? STYLE_YELLOW : STYLE_RED;
}

static int print_line(void *user, const struct run *run)
{
    struct listing *listing = user;
    const struct console *console = &listing->console;
    char trace[AO_TRACE_ID_HEX + 1], when[CONSOLE_NUMBER], duration[CONSOLE_NUMBER] = "", money[CONSOLE_NUMBER];
    if (listing->count++ == 0)
        printf("%s%-10s %-16s %-8s %10s %10s  %s%s\n", console_style(console, STYLE_BOLD), "TRACE", "STARTED", "STATUS",
               "DURATION", "COST", "WHAT", console_style(console, STYLE_PLAIN));
    ao_trace_id_format(&run->trace_id, trace);
    console_format_ago(run->start, listing->now, when);
    if (run->end > run->start + CLOCK_MS) /* below it there is a letter that printf cannot pad */
        console_format_duration(console, run->end - run->start, duration);
    console_format_money(run->cost_pusd, money);
    ao_buf_clear(&listing->buf);
    console_escape_fit(&listing->buf, console, ao_str_from(run_what(run)),
                       console->width > 90 ? console->width - 62 : 28);
    printf("%-10.8s %-16s %s%-8s%s %10s %10s  %.*s\n", trace, when, console_style(console, style_of(run->status)),
           run_status_name(run->status), console_style(console, STYLE_PLAIN), duration, money, (int)listing->buf.len,
           listing->buf.len ? listing->buf.data : "");
    return 0;
}

/* 0: goes on, 1: enough were shown. */
static int each_run(void *user, const struct run *run)
{
    struct listing *listing = user;
    const struct list_options *options = listing->options;
    if (options->session && (!run->session_id || strcmp(run->session_id, options->session) != 0))
        return 0;
    if (options->limit && listing->count >= options->limit)
        return 1;
    listing->unpriced |= run->cost_pusd == AO_COST_UNKNOWN;
    listing->total_pusd = cost_add(listing->total_pusd, run->cost_pusd);
    return options->json ? print_json(listing, run) : print_line(listing, run);
}

static void print_total(const struct listing *listing)
{
    char money[CONSOLE_NUMBER];
    console_format_money(listing->total_pusd, money);
    printf("%-10s %-16s %-8s %10s %10s  %zu run%s%s\n", "total", "", "", "", money, listing->count,
           listing->count == 1 ? "" : "s", listing->unpriced ? ", of some the cost is unknown" : "");
}

static int print_runs(struct store *store, const struct list_options *options)
{
    struct listing listing = {.now = clock_now(), .options = options};
    console_init(&listing.console, stdout);
    ao_buf_init(&listing.buf, JSON_OUT_MAX);
    ao_jw_init(&listing.w, &listing.buf);
    if (options->json)
        ao_jw_array_begin(&listing.w);
    int err = store_each_run(store, options->limit && !options->session ? (size_t)options->limit : SIZE_MAX, each_run,
                             &listing);
    if (options->json) {
        ao_jw_array_end(&listing.w);
        if (!listing.err)
            listing.err = json_out_flush(&listing.buf, stdout);
        putchar('\n');
    }
    ao_buf_release(&listing.buf);
    if (err)
        return command_store_failed(store, err);
    if (!options->json && listing.count == 0)
        console_say("%s", options->session ? "no runs of this session"
                                           : "no runs yet; agentobs-host run -- COMMAND makes one");
    if (!options->json && listing.count && options->session)
        print_total(&listing);
    return listing.err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

int cmd_list(int argc, char **argv)
{
    struct list_options options;
    struct options_rest rest;
    int code;
    if (!options_start(&list_page, argc, argv, &options, &rest, &code))
        return code;
    struct store *store = command_open_store(options.store, STORE_READ, &code);
    if (!store)
        return code;
    code = print_runs(store, &options);
    store_close(store);
    return code;
}
