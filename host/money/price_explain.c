#include "host/money/price_explain.h"

#include <stdio.h>
#include <time.h>

#include "core/cost.h"
#include "host/clock.h"
#include "host/money/cost_value.h"

/* ---- rows ---- */

static const struct {
    const char *name;
    size_t offset;
} rate_fields[] = {
    {"input", offsetof(struct ao_rates, input)},
    {"output", offsetof(struct ao_rates, output)},
    {"cache_read", offsetof(struct ao_rates, cache_read)},
    {"cache_write_5m", offsetof(struct ao_rates, cache_write_5m)},
    {"cache_write_1h", offsetof(struct ao_rates, cache_write_1h)},
};

/* pUSD per token is 10^-6 USD per million tokens: "3", "0.3", "18.75". */
static const char *rate_text(const struct ao_rates *rates, size_t field, char out[AO_USD_TEXT])
{
    int64_t rate;
    memcpy(&rate, (const char *)rates + rate_fields[field].offset, sizeof(rate));
    (void)ao_format_usd(rate * 1000000, out);
    return out;
}

void price_print_heading(const char *label)
{
    printf("%-32s %8s %8s %8s %8s %8s\n", label, "input", "output", "read", "write 5m", "write 1h");
}

static void print_rates(const char *label, const struct ao_rates *rates)
{
    char digits[AO_USD_TEXT];
    printf("%-32s", label);
    for (size_t i = 0; i < AO_ARRAY_LEN(rate_fields); i++)
        printf(" %8s", rate_text(rates, i, digits));
    putchar('\n');
}

void price_print_row(const struct ao_price *price)
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

static void write_rates(struct ao_jw *w, const char *key, const struct ao_rates *rates)
{
    char digits[AO_USD_TEXT];
    ao_jw_key(w, ao_str_from(key));
    ao_jw_object_begin(w);
    for (size_t i = 0; i < AO_ARRAY_LEN(rate_fields); i++)
        ao_jw_key_raw(w, rate_fields[i].name, ao_str_from(rate_text(rates, i, digits)));
    ao_jw_object_end(w);
}

void price_write_row(struct ao_jw *w, const struct ao_price *price)
{
    ao_jw_key_str(w, "model", ao_str_from(price->model));
    ao_jw_key_str(w, "row", ao_str_from(price->row));
    write_rates(w, "usd_per_million_tokens", &price->base);
    if (price->has_fast)
        write_rates(w, "fast", &price->fast);
    if (price->above_tokens) {
        ao_jw_key_u64(w, "long_prompt_above_tokens", price->above_tokens);
        write_rates(w, "long_prompt", &price->above);
    }
    if (price->valid_from)
        ao_jw_key_u64(w, "valid_from_unix_nano", price->valid_from);
    if (price->valid_until)
        ao_jw_key_u64(w, "valid_until_unix_nano", price->valid_until);
    ao_jw_key(w, AO_STR("assumed"));
    ao_jw_bool(w, price->assumed);
    ao_jw_key_str(w, "source", ao_str_from(price->source));
}

/* ---- ways in which a request may be served ---- */

enum way { WAY_STANDARD, WAY_FAST, WAY_LONG, WAY_GEO, WAY_BATCH, WAY_COUNT };

static const char *const way_names[WAY_COUNT] = {"standard", "fast", "long_prompt", "inference_geo_us", "batch"};

static bool has_way(const struct ao_price_match *match, enum way way)
{
    switch (way) {
    case WAY_FAST:
        return match->price->has_fast;
    case WAY_LONG:
        return match->price->above_tokens > 0;
    case WAY_GEO:
        return match->table->geo_us_factor != 0 && match->premium == AO_FACTOR_ONE;
    case WAY_BATCH:
        return match->table->batch_factor != 0;
    default:
        return true;
    }
}

/* A million tokens of each class, served in one way. */
static int example(const struct ao_price_match *match, enum way way, struct ao_cost *ret_cost)
{
    const uint64_t million = 1000000;
    const struct ao_usage usage = {
        .input = million,
        .output = million,
        .cache_read = million,
        .cache_write = 2 * million,
        .cache_write_5m = million,
        .cache_write_1h = million,
        .speed = way == WAY_FAST ? AO_SPEED_FAST : AO_SPEED_STANDARD,
        .geo = way == WAY_GEO ? AO_GEO_US : AO_GEO_OTHER,
        .tier = way == WAY_BATCH ? AO_TIER_BATCH : AO_TIER_STANDARD,
    };
    return cost_value(match, &usage, way == WAY_LONG ? LENGTH_LONG : LENGTH_SHORT, 0, ret_cost);
}

static const char *factor_text(uint32_t factor, char out[AO_USD_TEXT])
{
    (void)ao_format_usd((int64_t)factor * (AO_PUSD_PER_USD / AO_FACTOR_ONE), out);
    return out;
}

/* ---- for people ---- */

static void print_day(uint64_t ns)
{
    time_t seconds = (time_t)(ns / CLOCK_SECOND);
    struct tm utc;
    char day[16];
    if (gmtime_r(&seconds, &utc) && strftime(day, sizeof(day), "%Y-%m-%d", &utc))
        fputs(day, stdout);
}

static void print_validity(const struct ao_price *price)
{
    if (!price->valid_from && !price->valid_until)
        return;
    fputs("valid: ", stdout);
    if (price->valid_from) {
        fputs("from ", stdout);
        print_day(price->valid_from);
    }
    if (price->valid_until) {
        fputs(price->valid_from ? " until before " : "until before ", stdout);
        print_day(price->valid_until);
    }
    puts(" (UTC)");
}

static void print_regions(const struct ao_price_match *match)
{
    char digits[AO_USD_TEXT];
    if (!match->price->regional_premium || match->table->variant_count == 0) {
        puts("  regional ids   the same price");
        return;
    }
    fputs("  regional ids  ", stdout);
    for (size_t i = 0; i < match->table->variant_count; i++)
        printf(" %s. x %s%s", match->table->variants[i].prefix, factor_text(match->table->variants[i].factor, digits),
               i + 1 < match->table->variant_count ? "," : "\n");
}

static void print_rules(const struct ao_price_match *match)
{
    const struct ao_price *price = match->price;
    char digits[AO_USD_TEXT];
    puts("rules");
    if (price->above_tokens)
        printf("  long prompt    a request with more than %llu tokens of input, cache reads and cache writes pays\n"
               "                 the long-prompt rates for all of its tokens\n", (unsigned long long)price->above_tokens);
    else
        puts("  long prompt    the same price");
    puts(price->has_fast ? "  fast           speed \"fast\" pays the fast rates, whatever the prompt's length"
                         : "  fast           no fast rates: the same price");
    if (match->table->geo_us_factor)
        printf("  inference_geo  \"us\": all tokens x %s\n", factor_text(match->table->geo_us_factor, digits));
    print_regions(match);
    if (match->table->batch_factor)
        printf("  batch          service_tier \"batch\": all tokens x %s\n", factor_text(match->table->batch_factor, digits));
    (void)ao_format_usd(match->table->web_search, digits);
    printf("  web search     %s USD a request; no factor applies to it\n", digits);
}

void price_explain_print(const char *model, const struct ao_price_match *match)
{
    const struct ao_price *price = match->price;
    char digits[AO_USD_TEXT];
    printf("%s is priced by row %s of %s %s\n", model, price->row, match->table->name, match->table->version);
    printf("source: %s%s\n", price->source, price->assumed ? " (assumed, as you said)" : "");
    print_validity(price);
    if (match->premium && match->premium != AO_FACTOR_ONE)
        printf("this id has a regional premium: all tokens x %s\n", factor_text(match->premium, digits));
    if (match->fast)
        puts(price->has_fast ? "this id asks for fast speed: the fast rates" : "this id asks for fast speed: no rates for it");
    putchar('\n');
    price_print_heading("USD per million tokens");
    price_print_row(price);
    putchar('\n');
    print_rules(match);
    puts("\nexample: a million tokens each of input, output, cache reads, 5-minute and 1-hour cache writes");
    for (enum way way = 0; way < WAY_COUNT; way++) {
        struct ao_cost cost;
        if (!has_way(match, way) || example(match, way, &cost) < 0)
            continue;
        (void)ao_format_usd(cost.total, digits);
        printf("  %-18s %12s USD\n", way_names[way], digits);
    }
}

/* ---- for scripts ---- */

static void write_rules(struct ao_jw *w, const struct ao_price_match *match)
{
    char digits[AO_USD_TEXT];
    ao_jw_key(w, AO_STR("rules"));
    ao_jw_object_begin(w);
    ao_jw_key_raw(w, "regional_premium", ao_str_from(factor_text(match->premium ? match->premium : AO_FACTOR_ONE, digits)));
    if (match->table->geo_us_factor)
        ao_jw_key_raw(w, "inference_geo_us", ao_str_from(factor_text(match->table->geo_us_factor, digits)));
    if (match->table->batch_factor)
        ao_jw_key_raw(w, "batch", ao_str_from(factor_text(match->table->batch_factor, digits)));
    (void)ao_format_usd(match->table->web_search, digits);
    ao_jw_key_raw(w, "web_search_usd_per_request", ao_str_from(digits));
    ao_jw_object_end(w);
}

static void write_example(struct ao_jw *w, const struct ao_price_match *match, enum way way)
{
    struct ao_cost cost;
    char digits[AO_USD_TEXT];
    if (!has_way(match, way) || example(match, way, &cost) < 0)
        return;
    const int64_t parts[] = {cost.input, cost.output, cost.cache_read, cost.cache_write_5m, cost.cache_write_1h};
    ao_jw_key(w, ao_str_from(way_names[way]));
    ao_jw_object_begin(w);
    for (size_t i = 0; i < AO_ARRAY_LEN(parts); i++) {
        (void)ao_format_usd(parts[i], digits);
        ao_jw_key_raw(w, rate_fields[i].name, ao_str_from(digits));
    }
    (void)ao_format_usd(cost.total, digits);
    ao_jw_key_raw(w, "total", ao_str_from(digits));
    ao_jw_object_end(w);
}

void price_explain_write(struct ao_jw *w, const char *model, const struct ao_price_match *match)
{
    ao_jw_object_begin(w);
    price_write_row(w, match->price);
    ao_jw_key_str(w, "asked_for", ao_str_from(model));
    ao_jw_key_str(w, "table", ao_str_from(match->table->name));
    ao_jw_key_str(w, "table_version", ao_str_from(match->table->version));
    write_rules(w, match);
    ao_jw_key(w, AO_STR("example_usd"));
    ao_jw_object_begin(w);
    for (enum way way = 0; way < WAY_COUNT; way++)
        write_example(w, match, way);
    ao_jw_object_end(w);
    ao_jw_object_end(w);
}
