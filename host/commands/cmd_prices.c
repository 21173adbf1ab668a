/* agentobs-host prices: what the price table holds, which row prices a model, and the user's own table. */
#include <stdio.h>

#include "core/json.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/money/price_explain.h"
#include "host/money/price_table.h"
#include "host/money/price_user.h"
#include "host/run/settings.h"
#include "host/view/console.h"
#include "host/view/json_out.h"

struct prices_options {
    struct settings_options common;
    const char *explain;
    uint64_t at;
    bool check;
    const char *update;
    bool remove;
    bool json;
};

#define PRICES_ROW(member) offsetof(struct prices_options, common) + offsetof(struct settings_options, member)

static const struct option_spec prices_specs[] = {
    {"explain", 0, OPTION_TEXT, offsetof(struct prices_options, explain), "MODEL", NULL, NULL,
     "the row, the rules, an example"},
    {"at", 0, OPTION_TIME, offsetof(struct prices_options, at), "TIME", NULL, NULL, "explain as of then (default now)"},
    {"check", 0, OPTION_FLAG, offsetof(struct prices_options, check), NULL, NULL, NULL,
     "check FILE, else the tables in use"},
    {"update", 0, OPTION_TEXT, offsetof(struct prices_options, update), "FILE", NULL, NULL,
     "check it, and use it from now on"},
    {"remove", 0, OPTION_FLAG, offsetof(struct prices_options, remove), NULL, NULL, NULL, "undo --update"},
    {"prices", 0, OPTION_TEXT, PRICES_ROW(prices), "FILE", NULL, "AGENTOBS_PRICES", "lay it over for now"},
    {"assume-price", 0, OPTION_LIST, PRICES_ROW(assume_price), "MODEL=OTHER", NULL, NULL, "price MODEL like OTHER"},
    {"json", 0, OPTION_FLAG, offsetof(struct prices_options, json), NULL, NULL, NULL, "rows as JSON"},
};

const struct options_page prices_page = {
    .usage = "prices [options] [FILE]",
    .about = "Lists the prices of Claude models, in USD per million tokens.",
    .specs = prices_specs,
    .count = AO_ARRAY_LEN(prices_specs),
    .max_arguments = 1,
    .notes = "A model that has no row is never guessed: its cost is unknown.",
};

static int say_error(char *error, int err)
{
    console_say_text(error ? error : ao_err_text(err));
    ao_free(error);
    return err == AO_ERR_NOMEM || err == AO_ERR_IO ? AO_EXIT_FAILURE : AO_EXIT_USAGE;
}

/* ---- listing ---- */

static void print_table(const struct ao_price_table *table)
{
    char search[AO_USD_TEXT];
    printf("%s %s: USD per million tokens\n", table->name, table->version);
    price_print_heading("model");
    for (size_t i = 0; i < table->row_count; i++)
        price_print_row(&table->rows[i]);
    ao_format_usd(table->web_search, search);
    printf("web search: %s USD a request\n", search);
}

/* The whole table, or (model not NULL) what explains the row of that id. */
static int print_json(const struct ao_price_table *table, const char *model, const struct ao_price_match *match)
{
    struct ao_buf text;
    struct ao_jw w;
    ao_buf_init(&text, JSON_OUT_MAX);
    ao_jw_init(&w, &text);
    ao_jw_array_begin(&w);
    for (size_t i = 0; i < table->row_count && !model; i++) {
        ao_jw_object_begin(&w);
        price_write_row(&w, &table->rows[i]);
        ao_jw_object_end(&w);
    }
    if (model)
        price_explain_write(&w, model, match);
    ao_jw_array_end(&w);
    ao_buf_add_char(&text, '\n');
    int err = json_out_flush(&text, stdout);
    ao_buf_release(&text);
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

/* ---- explaining ---- */

static int no_price(const struct ao_price_table *table, const char *model, const char *name)
{
    struct ao_price_match other_time;
    if (ao_price_lookup(table, ao_str_from(model), 0, &other_time) == AO_OK)
        console_say("no price for '%s' at that time; the table has one for another (row %s)", model, other_time.price->row);
    else
        console_say("no price for '%s' (looked for '%s'): its cost is unknown; add a row with prices --update FILE, or say "
                    "--assume-price '%s'=OTHER", model, name, model);
    return AO_EXIT_FAILURE;
}

static int explain(const struct ao_price_table *table, const struct prices_options *options)
{
    struct ao_price_match match;
    struct ao_model_id id;
    const char *model = options->explain;
    if (ao_model_id_parse(ao_str_from(model), &id)) {
        console_say("prices: '%s' is no model id", model);
        return AO_EXIT_USAGE;
    }
    if (ao_price_lookup(table, ao_str_from(model), options->at ? options->at : clock_now(), &match))
        return no_price(table, model, id.name);
    if (options->json)
        return print_json(table, model, &match);
    price_explain_print(model, &match);
    return AO_EXIT_OK;
}

/* ---- checking, installing ---- */

static void print_good(const char *what, const struct ao_price_table *table)
{
    printf("%s: a good table: %s %s, %zu rows\n", what, table->name, table->version, table->row_count);
}

static int check_file(const char *path)
{
    struct ao_price_table table;
    char *error = NULL;
    int err = price_table_load(path, &table, &error);
    if (err)
        return say_error(error, err == AO_ERR_IO ? AO_ERR_USAGE : err);
    print_good(path, &table);
    ao_price_table_release(&table);
    return AO_EXIT_OK;
}

/* The compiled-in tables and the user's. */
static int check_used(void)
{
    struct ao_price_table table;
    struct ao_e2b_price e2b;
    char *error = NULL;
    int err = price_table_builtin(&table, &error);
    if (err)
        return say_error(error, err);
    print_good("built in", &table);
    ao_price_table_release(&table);
    err = price_e2b_builtin(&e2b, &error);
    if (err)
        return say_error(error, err);
    printf("built in: a good table: %s\n", e2b.table);
    err = price_user_load(&table, &error);
    char *path = price_user_path();
    if (!err) {
        print_good(path ? path : "yours", &table);
        ao_price_table_release(&table);
    } else if (err == AO_ERR_NOTFOUND) {
        printf("%s: none; agentobs-host prices --update FILE puts one there\n", path ? path : "a table of yours");
    }
    ao_free(path);
    return err && err != AO_ERR_NOTFOUND ? say_error(error, err) : AO_EXIT_OK;
}

static int update(const char *from)
{
    struct ao_price_table table;
    char *error = NULL;
    int err = price_user_install(from, &table, &error);
    if (err)
        return say_error(error, err);
    char *path = price_user_path();
    printf("%s %s: %zu rows, in use from now on (%s)\n", table.name, table.version, table.row_count, path ? path : "");
    puts("what is stored keeps its cost; agentobs-host costs --reprice shows what it would cost now");
    ao_free(path);
    ao_price_table_release(&table);
    return AO_EXIT_OK;
}

static int remove_table(void)
{
    char *error = NULL;
    int err = price_user_remove(&error);
    if (err == AO_ERR_NOTFOUND)
        puts("there was no table of yours");
    else if (err)
        return say_error(error, err);
    else
        puts("your table is gone; the one that is built in prices alone");
    return AO_EXIT_OK;
}

static int list(const struct prices_options *options)
{
    struct settings settings;
    char *error = NULL;
    int code = AO_EXIT_OK;
    int err = settings_init(&settings, &options->common, &error);
    if (err)
        return say_error(error, err == AO_ERR_NOMEM ? err : AO_ERR_USAGE);
    if (options->explain)
        code = explain(&settings.prices, options);
    else if (options->json)
        code = print_json(&settings.prices, NULL, NULL);
    else
        print_table(&settings.prices);
    settings_release(&settings);
    return code;
}

static int run_prices(const struct prices_options *options, const struct options_rest *rest)
{
    int actions = (options->explain != NULL) + options->check + (options->update != NULL) + options->remove;
    if (actions > 1 || (rest->count && !options->check)) {
        console_say(actions > 1 ? "--explain, --check, --update and --remove exclude each other (agentobs-host prices --help)"
                                : "a FILE goes with --check or --update (agentobs-host prices --help)");
        return AO_EXIT_USAGE;
    }
    if (options->check)
        return rest->count ? check_file(rest->args[0]) : check_used();
    if (options->update)
        return update(options->update);
    return options->remove ? remove_table() : list(options);
}

int cmd_prices(int argc, char **argv)
{
    struct prices_options options = {.json = false};
    struct options_rest rest;
    int code = AO_EXIT_OK;
    if (!options_start(&prices_page, argc, argv, &options, &rest, &code))
        return code;
    code = run_prices(&options, &rest);
    options_release(&prices_page, &options);
    return code;
}
