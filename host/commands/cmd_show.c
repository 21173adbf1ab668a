/* agentobs-host show: one run as a tree, or all of it as JSON. */
#include <stdio.h>

#include "core/mem.h"
#include "host/commands/command_store.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/money/cost_story_print.h"
#include "host/money/price_user.h"
#include "host/view/console.h"
#include "host/view/json_out.h"
#include "host/view/tree.h"

struct show_options {
    const char *store;
    bool json;
    bool all;
};

static const struct option_spec show_specs[] = {
    {"all", 'a', OPTION_FLAG, offsetof(struct show_options, all), NULL, NULL, NULL, "every span, however many"},
    {"json", 0, OPTION_FLAG, offsetof(struct show_options, json), NULL, NULL, NULL,
     "one JSON object: run, spans, events, costs, report, explanation"},
    OPTIONS_STORE(struct show_options, store),
};

const struct options_page show_page = {
    .usage = "show [options] [last|TRACE|SESSION|RUN]",
    .about = "Shows a run: what the agent did, and what it cost. Without an argument: the last one.",
    .specs = show_specs,
    .count = AO_ARRAY_LEN(show_specs),
    .max_arguments = 1,
    .notes = "TRACE may be shortened to its first 4 digits or more.",
};

struct writing {
    struct ao_buf buf;
    struct ao_jw w;
    int err;
};

static int write_span(void *user, const struct span *span)
{
    struct writing *out = user;
    json_out_span(&out->w, span);
    return (out->err = json_out_flush(&out->buf, stdout)) != AO_OK;
}

static int write_event(void *user, const struct span_event *event)
{
    struct writing *out = user;
    json_out_event(&out->w, event);
    return (out->err = json_out_flush(&out->buf, stdout)) != AO_OK;
}

static int write_cost(void *user, const struct cost_item *item)
{
    struct writing *out = user;
    json_out_cost(&out->w, item);
    return (out->err = json_out_flush(&out->buf, stdout)) != AO_OK;
}

/* Span by span: a trace may be larger than memory is. */
static int write_lists(struct store *store, const struct run *run, struct writing *out)
{
    ao_jw_key(&out->w, AO_STR("spans"));
    ao_jw_array_begin(&out->w);
    int err = store_each_span(store, &run->trace_id, write_span, out);
    ao_jw_array_end(&out->w);
    if (err)
        return err;
    ao_jw_key(&out->w, AO_STR("events"));
    ao_jw_array_begin(&out->w);
    err = store_each_event(store, &run->trace_id, write_event, out);
    ao_jw_array_end(&out->w);
    if (err)
        return err;
    ao_jw_key(&out->w, AO_STR("costs"));
    ao_jw_array_begin(&out->w);
    err = store_each_cost(store, &run->trace_id, 0, 0, write_cost, out);
    ao_jw_array_end(&out->w);
    return err;
}

/* Where the money went: a member of the object, or (w NULL) some lines. Not having it is no reason to show nothing. */
static int show_story(struct store *store, const struct run *run, struct ao_jw *w)
{
    struct ao_price_table prices;
    struct cost_story story;
    char *error = NULL;
    int err = price_table_standard(&prices, &error);
    if (err) {
        if (error)
            console_say_text(error);
        ao_free(error);
        return AO_OK;
    }
    const struct story_scope scope = {.trace_id = &run->trace_id, .prices = &prices};
    err = cost_story_make(store, &scope, &story);
    if (!err && w) {
        ao_jw_key(w, AO_STR("explanation"));
        cost_story_write(w, &story);
    } else if (!err) {
        cost_story_print_short(&story);
    }
    if (!err)
        cost_story_release(&story);
    ao_price_table_release(&prices);
    return err;
}

static int show_json(struct store *store, const struct run *run)
{
    struct writing out = {.err = AO_OK};
    ao_buf_init(&out.buf, JSON_OUT_MAX);
    ao_jw_init(&out.w, &out.buf);
    ao_jw_object_begin(&out.w);
    ao_jw_key(&out.w, AO_STR("run"));
    json_out_run(&out.w, run);
    int err = write_lists(store, run, &out);
    json_out_raw(&out.w, "report", run->report);
    if (!err)
        err = show_story(store, run, &out.w);
    ao_jw_object_end(&out.w);
    ao_buf_add_char(&out.buf, '\n');
    if (!err && !out.err)
        out.err = json_out_flush(&out.buf, stdout);
    ao_buf_release(&out.buf);
    if (err)
        return command_store_failed(store, err);
    return out.err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

static int show(struct store *store, const struct show_options *options, const char *which)
{
    struct run run;
    int err, code = command_find_run(store, which, &run);
    if (code != AO_EXIT_OK)
        return code;
    if (options->json)
        code = show_json(store, &run);
    else if ((err = tree_print(store, &run, stdout, options->all ? 0 : TREE_LINES_DEFAULT)) ||
             (err = show_story(store, &run, NULL)))
        code = command_store_failed(store, err);
    run_release(&run);
    return code;
}

int cmd_show(int argc, char **argv)
{
    struct show_options options;
    struct options_rest rest;
    int code;
    if (!options_start(&show_page, argc, argv, &options, &rest, &code))
        return code;
    struct store *store = command_open_store(options.store, STORE_READ, &code);
    if (!store)
        return code;
    code = show(store, &options, rest.count ? rest.args[0] : "last");
    store_close(store);
    return code;
}
