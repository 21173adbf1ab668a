/* agentobs-host costs: what it all cost, summed up by what one asks for. */
#define _GNU_SOURCE
#include <stdio.h>

#include "core/mem.h"
#include "host/commands/command_store.h"
#include "host/commands/commands.h"
#include "host/e2b/settle.h"
#include "host/exit_codes.h"
#include "host/money/cost_print.h"
#include "host/money/costs.h"
#include "host/run/settings.h"
#include "host/view/console.h"

struct costs_options {
    struct settings_options common;
    int by;
    const char *tag;
    uint64_t since, until;
    bool explain, reprice, settle;
    const char *reconcile;
    bool json, csv;
};

#define COSTS_ROW(member) offsetof(struct costs_options, common) + offsetof(struct settings_options, member)

static const struct option_spec costs_specs[] = {
    {"by", 0, OPTION_CHOICE, offsetof(struct costs_options, by), COST_BY_WORDS, "model", NULL,
     "what to sum up by"},
    {"by-tag", 0, OPTION_TEXT, offsetof(struct costs_options, tag), "NAME", NULL, NULL,
     "sum up by the value of this tag (--tag NAME=VALUE)"},
    {"explain", 0, OPTION_FLAG, offsetof(struct costs_options, explain), NULL, NULL, NULL,
     "where the money went"},
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
    .about = "Tells what the stored runs cost: all of the period, or one TRACE.",
    .specs = costs_specs,
    .count = AO_ARRAY_LEN(costs_specs),
    .max_arguments = 1,
    .notes = "Days are UTC. The cost of a tool is an estimate: the tokens that its results\n"
             "added to later prompts, at what those prompts cost.",
};

static int run_costs(const struct costs_options *options, const struct settings *settings, const char *which)
{
    int code;
    const struct costs_query query = {
        .since = options->since,
        .until = options->until,
        .format = options->json ? COSTS_JSON : options->csv ? COSTS_CSV : COSTS_TABLE,
        .prices = &settings->prices,
        .tag = options->tag,
    };
    enum cost_by by = options->tag ? COST_BY_TAG : (enum cost_by)options->by;
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
        code = costs_by(store, &query, by, which);
    store_close(store);
    return code;
}

/* What is wrong with the options as a whole; NULL when nothing is. */
static const char *misuse(const struct costs_options *options, const struct options_rest *rest)
{
    if (options->json && options->csv)
        return "--json and --csv exclude each other";
    if (options->tag && !options->tag[0])
        return "--by-tag is empty: it names the tag";
    if (options->tag && options->by != COST_BY_MODEL)
        return "--by and --by-tag exclude each other";
    if (options->explain + options->reprice + (options->reconcile != NULL) + options->settle > 1)
        return "--explain, --reprice, --reconcile and --settle exclude each other";
    if (options->settle && (options->csv || options->since || options->until))
        return "--settle takes every sandbox whose cost is provisional, and prints words or --json";
    if (rest->count && (options->reprice || options->reconcile || options->settle))
        return "--reprice, --reconcile and --settle take no TRACE";
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
