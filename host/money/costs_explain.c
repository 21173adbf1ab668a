/* costs --explain: where the money went. */
#include <stdio.h>

#include "host/commands/command_store.h"
#include "host/exit_codes.h"
#include "host/money/cost_story_print.h"
#include "host/money/costs.h"
#include "host/view/console.h"
#include "host/view/json_out.h"

static int print_json(const struct cost_story *story)
{
    struct ao_buf buf;
    struct ao_jw w;
    ao_buf_init(&buf, JSON_OUT_MAX);
    ao_jw_init(&w, &buf);
    cost_story_write(&w, story);
    ao_buf_add_char(&buf, '\n');
    int err = json_out_flush(&buf, stdout);
    ao_buf_release(&buf);
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

static int print(const struct cost_story *story, enum costs_format format)
{
    if (format == COSTS_JSON)
        return print_json(story);
    if (format == COSTS_CSV)
        cost_story_print_csv(story);
    else if (story->items == 0)
        console_say("nothing was billed in this period");
    else
        cost_story_print(story);
    return AO_EXIT_OK;
}

int costs_explain(struct store *store, const struct costs_query *query, const char *which)
{
    struct story_scope scope = {.since = query->since, .until = query->until, .prices = query->prices};
    struct run run = {.start = 0};
    struct cost_story story;
    int code = which ? command_find_run(store, which, &run) : AO_EXIT_OK;
    if (code != AO_EXIT_OK)
        return code;
    if (which)
        scope = (struct story_scope){.trace_id = &run.trace_id, .prices = query->prices};
    int err = cost_story_make(store, &scope, &story);
    if (err) {
        code = command_store_failed(store, err);
    } else {
        code = print(&story, query->format);
        cost_story_release(&story);
    }
    run_release(&run);
    return code;
}
