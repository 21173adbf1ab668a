/*
 * cost_groups.h - cost items summed up by a word: a model, a day, a session, a user, a tool.
 */
#ifndef AO_HOST_COST_GROUPS_H
#define AO_HOST_COST_GROUPS_H

#include "host/store/store_costs.h"

/* What a group sums up; sums stay at their maximum instead of overflowing. */
struct cost_group {
    char *key;  /* owned; untrusted */
    char *name; /* of a run: what ran; owned; untrusted; NULL unknown */
    uint64_t items;    /* model requests, remainders, sandboxes */
    uint64_t unpriced; /* of these without a known cost */
    uint64_t assumed;  /* of these priced like another model (--assume-price) */
    int64_t pusd;      /* of those with one */
    int64_t input_pusd, output_pusd, cache_read_pusd, cache_write_pusd, web_search_pusd, e2b_pusd;
    struct span_usage usage;
    uint64_t calls, errors, duration; /* of tools (tool_costs.h) and agents (agent_costs.h) */
    uint64_t result_tokens;           /* tools only: estimated */
};

#define COST_KEY_SANDBOX "E2B sandbox" /* the key of what is no model's */

struct cost_groups {
    struct cost_group *groups;
    size_t count, cap;
    uint32_t *slots; /* hash of key to index + 1 */
    size_t slot_count;
};

void cost_groups_release(struct cost_groups *groups);
/* The group of the key, made when missing; NULL when out of memory. Valid until the next call. */
struct cost_group *cost_groups_get(struct cost_groups *groups, const char *key);
/* The same, but NULL where there is none. */
struct cost_group *cost_groups_find(const struct cost_groups *groups, const char *key);
void cost_group_add(struct cost_group *group, const struct cost_item *item);
/* One call, of a tool or an agent; times in ns, end 0: none yet. */
void cost_group_add_call(struct cost_group *group, bool failed, uint64_t start, uint64_t end);
void cost_group_merge(struct cost_group *group, const struct cost_group *more); /* all sums; not key and name */

enum cost_order { COST_ORDER_AMOUNT, COST_ORDER_KEY };
/* Ends the use of cost_groups_get. */
void cost_groups_sort(struct cost_groups *groups, enum cost_order order);

int64_t cost_add(int64_t a, int64_t b); /* both >= 0; saturates */

#endif
