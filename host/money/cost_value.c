#include "host/money/cost_value.h"

int cost_value(const struct ao_price_match *match, const struct ao_usage *usage, enum prompt_length length,
               unsigned leave_out, struct ao_cost *ret_cost)
{
    struct ao_price price = *match->price;
    struct ao_price_match used = *match;
    struct ao_usage u = *usage;
    ao_usage_normalize(&u);
    used.price = &price;
    bool lengthy = length == LENGTH_LONG && price.above_tokens && !(leave_out & VALUE_NO_LONG);
    if (length != LENGTH_OF_PROMPT || (leave_out & VALUE_NO_LONG)) {
        if (lengthy)
            price.base = price.above;
        price.above_tokens = 0;
    }
    if (leave_out & VALUE_NO_FAST)
        price.has_fast = false;
    if (leave_out & VALUE_NO_1H) {
        u.cache_write_5m = u.cache_write;
        u.cache_write_1h = 0;
    }
    if (leave_out & VALUE_NO_REGION)
        used.premium = AO_FACTOR_ONE;
    if (leave_out & VALUE_NO_GEO)
        u.geo = AO_GEO_UNKNOWN;
    if (leave_out & VALUE_NO_BATCH)
        u.tier = AO_TIER_UNKNOWN;
    int err = ao_cost_request(&used, &u, ret_cost);
    if (!err && lengthy && !(ret_cost->rules & AO_COST_FAST))
        ret_cost->rules |= AO_COST_LONG;
    return err;
}

bool cost_item_is_model(const struct cost_item *item)
{
    return item->model && item->kind && strcmp(item->kind, "e2b") != 0;
}

struct ao_usage cost_item_usage(const struct cost_item *item)
{
    struct ao_usage usage = {
        .input = item->usage.input,
        .output = item->usage.output,
        .cache_read = item->usage.cache_read,
        .cache_write = item->usage.cache_write,
        .cache_write_5m = item->usage.cache_write_5m,
        .cache_write_1h = item->usage.cache_write_1h,
        .thinking = item->usage.thinking,
        .web_search_requests = item->usage.web_search_requests,
        .speed = item->speed,
        .geo = item->geo,
        .tier = item->rules & AO_COST_BATCH ? AO_TIER_BATCH : item->tier,
    };
    ao_usage_normalize(&usage);
    return usage;
}

enum prompt_length cost_item_length(const struct cost_item *item)
{
    if (item->kind && strcmp(item->kind, "request") == 0)
        return LENGTH_OF_PROMPT;
    return item->rules & AO_COST_LONG ? LENGTH_LONG : LENGTH_SHORT;
}

int cost_item_match(const struct ao_price_table *table, const struct cost_item *item, struct ao_price_match *ret_match)
{
    if (!cost_item_is_model(item))
        return AO_ERR_NOTFOUND;
    return ao_price_lookup(table, ao_str_from(item->priced_as ? item->priced_as : item->model), item->time, ret_match);
}

int cost_item_value(const struct ao_price_table *table, const struct cost_item *item, unsigned leave_out,
                    struct ao_cost *ret_cost)
{
    struct ao_price_match match;
    struct ao_usage usage = cost_item_usage(item);
    int err = cost_item_match(table, item, &match);
    return err ? err : cost_value(&match, &usage, cost_item_length(item), leave_out, ret_cost);
}
