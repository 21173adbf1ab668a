/*
 * cost_value.h - what a stored cost item costs by a price table: the one that
 * priced it, another one, or with rules left out, as somebody else may have done.
 *
 * A request is priced as it was served (speed, geography, tier, length of its
 * prompt). The prompts of a remainder are not known one by one: the length rule
 * that priced it stays.
 */
#ifndef AO_HOST_COST_VALUE_H
#define AO_HOST_COST_VALUE_H

#include "core/cost.h"
#include "host/store/store_costs.h"

enum prompt_length {
    LENGTH_OF_PROMPT, /* one request: its own prompt decides */
    LENGTH_SHORT,     /* never the long-prompt row */
    LENGTH_LONG,      /* always, where there is one */
};

/* Rules to leave out, or-ed. */
enum {
    VALUE_NO_1H = 1,     /* 1-hour cache writes at the 5-minute rate */
    VALUE_NO_FAST = 2,   /* fast speed at the usual rate */
    VALUE_NO_LONG = 4,   /* long prompts at the usual rate */
    VALUE_NO_GEO = 8,    /* no premium for inference_geo "us" */
    VALUE_NO_REGION = 16, /* no premium for a provider's regional id */
    VALUE_NO_BATCH = 32, /* batch at full price */
    VALUE_COUNT = 64,
};
#define VALUE_RULES 6u

/* Like ao_cost_request. AO_ERR_OVERFLOW. */
int cost_value(const struct ao_price_match *match, const struct ao_usage *usage, enum prompt_length length,
               unsigned leave_out, struct ao_cost *ret_cost);

/* The usage of an item, normalised, with how it was served. */
struct ao_usage cost_item_usage(const struct cost_item *item);
enum prompt_length cost_item_length(const struct cost_item *item);
/* The row of a table for the item's model at its time. AO_ERR_NOTFOUND also for an item that is no model's. */
int cost_item_match(const struct ao_price_table *table, const struct cost_item *item, struct ao_price_match *ret_match);
/* All three together. AO_ERR_NOTFOUND, AO_ERR_OVERFLOW. */
int cost_item_value(const struct ao_price_table *table, const struct cost_item *item, unsigned leave_out,
                    struct ao_cost *ret_cost);

bool cost_item_is_model(const struct cost_item *item); /* a request or a remainder, not a sandbox */

#endif
