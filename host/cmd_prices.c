/* agentobs-host prices: what the price table holds, and which row prices a model. */
#include <stdio.h>

#include "core/json.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/commands.h"
#include "host/console.h"
#include "host/exit_codes.h"
#include "host/price_table.h"
#include "host/settings.h"

struct prices_options {
    struct settings_options common;
    const char *explain;
    const char *check;
    bool json;
};

#define PRICES_ROW(member) offsetof(struct prices_options, common) + offsetof(struct settings_options, member)

static const struct option_spec prices_specs[] = {
    {"explain", 0, OPTION_TEXT, offsetof(struct prices_options, explain), "MODEL", NULL, NULL,
     "which row prices a model id now, and why"},
    {"check", 0, OPTION_TEXT, offsetof(struct prices_options, check), "FILE", NULL, NULL,
     "check a table of yours; changes nothing"},
    {"prices", 0, OPTION_TEXT, PRICES_ROW(prices), "FILE", NULL, "AGENTOBS_PRICES", "a table of yours laid over ours"},
    {"assume-price", 0, OPTION_LIST, PRICES_ROW(assume_price), "MODEL=OTHER", NULL, NULL, "price MODEL like OTHER"},
    {"json", 0, OPTION_FLAG, offsetof(struct prices_options, json), NULL, NULL, NULL, "a JSON array of rows"},
};

const struct options_page prices_page = {
    .usage = "prices [options]",
    .about = "Lists the prices of Claude models, in USD per million tokens.",
    .specs = prices_specs,
    .count = AO_ARRAY_LEN(prices_specs),
    .max_arguments = 0,
    .notes = "A model that has no row is never guessed: its cost is unknown.",
};

/* pUSD per token is 10^-6 USD per million tokens: "3", "0.3", "18.75". */
static const char *rate_text(int64_t rate, char out[AO_USD_TEXT])
{
    (void)ao_format_usd(rate * 1000000, out);
    return out;
}

static void print_rates(const char *label, const struct ao_rates *rates)
{
    char input[AO_USD_TEXT], output[AO_USD_TEXT], read[AO_USD_TEXT], w5[AO_USD_TEXT], w1[AO_USD_TEXT];
    printf("%-32s %8s %8s %8s %8s %8s\n", label, rate_text(rates->input, input), rate_text(rates->output, output),
           rate_text(rates->cache_read, read), rate_text(rates->cache_write_5m, w5),
           rate_text(rates->cache_write_1h, w1));
}

static void print_row(const struct ao_price *price)
{
    char label[64];
    print_rates(price->row, &price->base);
    if (price->has_fast)
        print_rates("  fast", &price->fast);
    if (price->above_tokens) {
        snprintf(label, sizeof(label), "  prompt > %llu tokens", (unsigned long long)price->above_tokens);
        print_rates(label, &price->above);
    }
}

static void print_table(const struct ao_price_table *table)
{
    printf("%s %s: USD per million tokens\n", table->name, table->version);
    printf("%-32s %8s %8s %8s %8s %8s\n", "model", "input", "output", "read", "write 5m", "write 1h");
    for (size_t i = 0; i < table->row_count; i++)
        print_row(&table->rows[i]);
    char search[AO_USD_TEXT];
    ao_format_usd(table->web_search, search);
    printf("web search: %s USD a request\n", search);
}

static void add_rates(struct ao_jw *w, const char *key, const struct ao_rates *rates)
{
    const struct {
        const char *name;
        int64_t rate;
    } fields[] = {
        {"input", rates->input},
        {"output", rates->output},
        {"cache_read", rates->cache_read},
        {"cache_write_5m", rates->cache_write_5m},
        {"cache_write_1h", rates->cache_write_1h},
    };
    char digits[AO_USD_TEXT];
    ao_jw_key(w, ao_str_from(key));
    ao_jw_object_begin(w);
    for (size_t i = 0; i < AO_ARRAY_LEN(fields); i++)
        ao_jw_key_raw(w, fields[i].name, ao_str_from(rate_text(fields[i].rate, digits)));
    ao_jw_object_end(w);
}

static void add_row(struct ao_jw *w, const struct ao_price *price)
{
    ao_jw_object_begin(w);
    ao_jw_key_str(w, "model", ao_str_from(price->model));
    ao_jw_key_str(w, "row", ao_str_from(price->row));
    add_rates(w, "usd_per_million_tokens", &price->base);
    if (price->has_fast)
        add_rates(w, "fast", &price->fast);
    if (price->above_tokens) {
        ao_jw_key_u64(w, "long_prompt_above_tokens", price->above_tokens);
        add_rates(w, "long_prompt", &price->above);
    }
    if (price->valid_from)
        ao_jw_key_u64(w, "valid_from_unix_nano", price->valid_from);
    if (price->valid_until)
        ao_jw_key_u64(w, "valid_until_unix_nano", price->valid_until);
    ao_jw_key(w, AO_STR("assumed"));
    ao_jw_bool(w, price->assumed);
    ao_jw_key_str(w, "source", ao_str_from(price->source));
    ao_jw_object_end(w);
}

static int print_json(const struct ao_price_table *table, const struct ao_price *only)
{
    struct ao_buf text;
    struct ao_jw w;
    ao_buf_init(&text, 64u * 1024 * 1024);
    ao_jw_init(&w, &text);
    ao_jw_array_begin(&w);
    for (size_t i = 0; i < table->row_count; i++)
        if (!only || only == &table->rows[i])
            add_row(&w, &table->rows[i]);
    ao_jw_array_end(&w);
    int err = ao_buf_err(&text);
    if (!err)
        printf("%.*s\n", (int)text.len, text.data);
    ao_buf_release(&text);
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

static int explain(const struct ao_price_table *table, const char *model, bool json)
{
    struct ao_price_match match;
    struct ao_model_id id;
    if (ao_model_id_parse(ao_str_from(model), &id)) {
        console_say("prices: '%s' is no model id", model);
        return AO_EXIT_USAGE;
    }
    if (ao_price_lookup(table, ao_str_from(model), clock_now(), &match)) {
        console_say("no price for '%s' (looked for '%s'): its cost is unknown; add a row with --prices FILE or say "
                    "--assume-price '%s'=OTHER", model, id.name, model);
        return AO_EXIT_FAILURE;
    }
    if (json)
        return print_json(table, match.price);
    printf("%s is priced by row %s of %s %s\n", model, match.price->row, table->name, table->version);
    printf("source: %s%s\n", match.price->source, match.price->assumed ? " (assumed, as you said)" : "");
    if (match.premium != AO_FACTOR_ONE)
        printf("regional premium of '%s.': x %u.%03u\n", id.region, match.premium / AO_FACTOR_ONE,
               match.premium % AO_FACTOR_ONE);
    printf("%-32s %8s %8s %8s %8s %8s\n", "USD per million tokens", "input", "output", "read", "write 5m", "write 1h");
    print_row(match.price);
    return AO_EXIT_OK;
}

static int check(const char *path)
{
    struct ao_price_table table;
    char *error = NULL;
    ao_price_table_init(&table);
    int err = price_table_load(path, &table, &error);
    if (err)
        console_say_text(error ? error : ao_err_text(err));
    else
        printf("%s: a good table: %s %s, %zu rows\n", path, table.name, table.version, table.row_count);
    ao_price_table_release(&table);
    ao_free(error);
    return err ? AO_EXIT_USAGE : AO_EXIT_OK;
}

int cmd_prices(int argc, char **argv)
{
    struct prices_options options = {.json = false};
    struct options_rest rest;
    struct settings settings;
    char *error = NULL;
    int code = AO_EXIT_OK;
    if (!options_start(&prices_page, argc, argv, &options, &rest, &code))
        return code;
    if (options.check) {
        code = check(options.check);
    } else if (settings_init(&settings, &options.common, &error)) {
        console_say_text(error ? error : "out of memory");
        ao_free(error);
        code = AO_EXIT_USAGE;
    } else {
        if (options.explain)
            code = explain(&settings.prices, options.explain, options.json);
        else if (options.json)
            code = print_json(&settings.prices, NULL);
        else
            print_table(&settings.prices);
        settings_release(&settings);
    }
    options_release(&prices_page, &options);
    return code;
}
