/* agentobs-host costs: what it all cost, summed up by what one asks for. */
#define _GNU_SOURCE
#include <stdio.h>
#include <time.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/command_store.h"
#include "host/commands/commands.h"
#include "host/e2b/settle.h"
#include "host/exit_codes.h"
#include "host/money/cost_print.h"
#include "host/money/costs.h"
#include "host/money/tool_costs.h"
#include "host/run/settings.h"
#include "host/view/console.h"

struct costs_options {
    struct settings_options common;
    int by;
    uint64_t since, until;
    bool explain, reprice, settle;
    const char *reconcile;
    bool json, csv;
};

#define COSTS_ROW(member) offsetof(struct costs_options, common) + offsetof(struct settings_options, member)

static const struct option_spec costs_specs[] = {
    {"by", 0, OPTION_CHOICE, offsetof(struct costs_options, by), COST_BY_WORDS, "model", NULL,
     "what to sum up by"},
    {"explain", 0, OPTION_FLAG, offsetof(struct costs_options, explain), NULL, NULL, NULL,
     "where the money went: of TRACE, else of the period"},
    {"reprice", 0, OPTION_FLAG, offsetof(struct costs_options, reprice), NULL, NULL, NULL,
     "at today's prices, or those of --prices; changes nothing"},
    {"reconcile", 0, OPTION_TEXT, offsetof(struct costs_options, reconcile), "FILE", NULL, NULL,
     "compare with what Claude Code or Anthropic counted"},
    {"settle", 0, OPTION_FLAG, offsetof(struct costs_options, settle), NULL, NULL, NULL,
     "ask E2B what sandboxes cost in the end; stores it"},
    {"since", 0, OPTION_TIME, offsetof(struct costs_options, since), "TIME", NULL, NULL,
     "from then on: 2026-11-20, 2026-11-20T12:00Z, or 7d"},
    {"until", 0, OPTION_TIME, offsetof(struct costs_options, until), "TIME", NULL, NULL, "before then"},
    {"json", 0, OPTION_FLAG, offsetof(struct costs_options, json), NULL, NULL, NULL, "a JSON array"},
    {"csv", 0, OPTION_FLAG, offsetof(struct costs_options, csv), NULL, NULL, NULL, "a table for spreadsheets"},
    {"store", 0, OPTION_TEXT, COSTS_ROW(store), "PATH", NULL, "AGENTOBS_STORE", "the store's file"},
    {"prices", 0, OPTION_TEXT, COSTS_ROW(prices), "FILE", NULL, "AGENTOBS_PRICES", "price table of yours"},
    {"assume-price", 0, OPTION_LIST, COSTS_ROW(assume_price), "MODEL=OTHER", NULL, NULL, "price MODEL like OTHER"},
};

const struct options_page costs_page = {
    .usage = "costs [options] [TRACE|last]",
    .about = "Tells what the stored runs cost.",
    .specs = costs_specs,
    .count = AO_ARRAY_LEN(costs_specs),
    .max_arguments = 1,
    .notes = "Days are UTC. The cost of a tool is an estimate: the tokens that its results\n"
             "added to later prompts, at what those prompts cost.",
};

struct gathering {
    struct cost_groups groups;
    struct cost_groups traces; /* by tool: the traces of the period */
    enum cost_by by;
    uint64_t provisional; /* rows of sandboxes that have not ended, as far as is known */
    int err;
};

static const char *day_of(uint64_t ns, char out[16])
{
    time_t seconds = (time_t)(ns / CLOCK_SECOND);
    struct tm utc;
    if (ns == 0 || !gmtime_r(&seconds, &utc) || !strftime(out, 16, "%Y-%m-%d", &utc))
        return "(no date)";
    return out;
}

static const char *key_of_who(const struct cost_item *item, enum store_who which)
{
    static const char *const none[WHO_COUNT] = {
        [WHO_TENANT] = "(no tenant)",      [WHO_TEAM] = "(no team)",       [WHO_ORGANIZATION] = "(no organization)",
        [WHO_UNIT] = "(no business unit)", [WHO_FEATURE] = "(no feature)",
    };
    return item->who[which] ? item->who[which] : none[which];
}

static const char *key_of(const struct gathering *g, const struct cost_item *item, char buffer[AO_TRACE_ID_HEX + 1])
{
    switch (g->by) {
    case COST_BY_MODEL:
        return item->model ? item->model : "E2B sandbox";
    case COST_BY_DAY:
        return day_of(item->time, buffer);
    case COST_BY_SESSION:
        return item->session_id ? item->session_id : "(no session)";
    case COST_BY_USER:
        return item->user_id ? item->user_id : "(no user)";
    case COST_BY_TOOL:
    case COST_BY_RUN:
        ao_trace_id_format(&item->trace_id, buffer);
        return buffer;
    case COST_BY_TENANT:
        break;
    }
    return key_of_who(item, (enum store_who)(g->by - COST_BY_TENANT));
}

static int take_item(void *user, const struct cost_item *item)
{
    struct gathering *g = user;
    char buffer[AO_TRACE_ID_HEX + 1];
    struct cost_group *group =
        cost_groups_get(g->by == COST_BY_TOOL ? &g->traces : &g->groups, key_of(g, item, buffer));
    if (group)
        cost_group_add(group, item);
    g->provisional += item->sandbox.id && !item->sandbox.final;
    g->err = group ? AO_OK : AO_ERR_NOMEM;
    return g->err;
}

static int gather(struct gathering *g, struct store *store, const struct costs_options *options)
{
    int err = store_each_cost(store, NULL, options->since, options->until, take_item, g);
    if (!err)
        err = g->err;
    for (size_t i = 0; i < g->traces.count && !err; i++) {
        struct ao_trace_id trace;
        err = ao_trace_id_parse(ao_str_from(g->traces.groups[i].key), &trace);
        if (!err)
            err = tool_costs_add(&g->groups, store, &trace);
    }
    cost_groups_sort(&g->groups, g->by == COST_BY_DAY ? COST_ORDER_KEY : COST_ORDER_AMOUNT);
    return err;
}

static int print_costs(struct store *store, const struct costs_options *options)
{
    struct gathering g = {.by = (enum cost_by)options->by};
    int err = gather(&g, store, options);
    int code = AO_EXIT_OK;
    if (err == AO_ERR_NOMEM) {
        console_say("%s", ao_err_text(err));
        code = AO_EXIT_FAILURE;
    } else if (err) {
        code = command_store_failed(store, err);
    } else if (options->json) {
        code = cost_print_json(&g.groups, g.by) ? AO_EXIT_FAILURE : AO_EXIT_OK;
    } else if (options->csv) {
        cost_print_csv(&g.groups, g.by);
    } else if (g.groups.count == 0) {
        console_say("nothing was billed in this period");
    } else {
        cost_print_table(&g.groups, g.by);
        if (g.provisional)
            console_say("costs of sandboxes that are provisional: %llu; agentobs-host costs --settle asks E2B",
                        (unsigned long long)g.provisional);
    }
    cost_groups_release(&g.groups);
    cost_groups_release(&g.traces);
    return code;
}

static int run_costs(const struct costs_options *options, const struct settings *settings, const char *which)
{
    int code;
    const struct costs_query query = {
        .since = options->since,
        .until = options->until,
        .format = options->json ? COSTS_JSON : options->csv ? COSTS_CSV : COSTS_TABLE,
        .prices = &settings->prices,
    };
    enum store_mode mode = options->settle ? STORE_WRITE : STORE_READ;
    struct store *store = command_open_store(options->common.store, mode, &code);
    if (!store)
        return code;
    if (options->explain)
        code = costs_explain(store, &query, which);
    else if (options->reprice)
        code = costs_reprice(store, &query);
    else if (options->reconcile)
        code = costs_reconcile(store, &query, options->reconcile);
    else if (options->settle)
        code = costs_settle(store, &settings->e2b_price, options->json);
    else
        code = print_costs(store, options);
    store_close(store);
    return code;
}

/* What is wrong with the options as a whole; NULL when nothing is. */
static const char *misuse(const struct costs_options *options, const struct options_rest *rest)
{
    if (options->json && options->csv)
        return "--json and --csv exclude each other";
    if (options->explain + options->reprice + (options->reconcile != NULL) + options->settle > 1)
        return "--explain, --reprice, --reconcile and --settle exclude each other";
    if (options->settle && (options->csv || options->since || options->until))
        return "--settle takes every sandbox whose cost is provisional, and prints words or --json";
    if (rest->count && !options->explain)
        return "a TRACE goes with --explain";
    return NULL;
}

/* The stored sums need none: a damaged table is no reason to withhold them. */
static bool needs_prices(const struct costs_options *options)
{
    return options->explain || options->reprice || options->reconcile || options->settle;
}

int cmd_costs(int argc, char **argv)
{
    struct costs_options options;
    struct options_rest rest;
    struct settings settings = {.store_path = NULL};
    char *error = NULL;
    int code = AO_EXIT_USAGE;
    memset(&options, 0, sizeof(options));
    if (!options_start(&costs_page, argc, argv, &options, &rest, &code))
        return code;
    const char *wrong = misuse(&options, &rest);
    if (wrong) {
        console_say("%s (agentobs-host costs --help)", wrong);
        code = AO_EXIT_USAGE;
    } else if (needs_prices(&options) && settings_init(&settings, &options.common, &error)) {
        console_say_text(error ? error : "out of memory");
        ao_free(error);
        code = AO_EXIT_USAGE;
    } else {
        code = run_costs(&options, &settings, rest.count ? rest.args[0] : NULL);
        settings_release(&settings);
    }
    options_release(&costs_page, &options);
    return code;
}
