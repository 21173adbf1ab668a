#include "host/money/cost_groups.h"

#include <stdlib.h>

#include "core/mem.h"

int64_t cost_add(int64_t a, int64_t b)
{
    if (b == AO_COST_UNKNOWN || b < 0)
        return a;
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

void cost_groups_release(struct cost_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        ao_free(groups->groups[i].key);
        ao_free(groups->groups[i].name);
    }
    ao_free(groups->groups);
    ao_free(groups->slots);
    *groups = (struct cost_groups){0};
}

static size_t slot_of(const struct cost_groups *groups, const char *key)
{
    uint64_t hash = ao_hash(AO_HASH_START, ao_str_from(key));
    size_t slot = (size_t)(hash ^ hash >> 32) & (groups->slot_count - 1);
    while (groups->slots[slot] && strcmp(groups->groups[groups->slots[slot] - 1].key, key) != 0)
        slot = (slot + 1) & (groups->slot_count - 1);
    return slot;
}

static int grow(struct cost_groups *groups)
{
    if (groups->count < groups->cap)
        return AO_OK;
    size_t cap = groups->cap ? groups->cap * 2 : 32;
    struct cost_group *list = ao_realloc(groups->groups, cap * sizeof(*list));
    if (!list)
        return AO_ERR_NOMEM;
    groups->groups = list;
    uint32_t *slots = ao_calloc(cap * 2, sizeof(*slots));
    if (!slots)
        return AO_ERR_NOMEM;
    ao_free(groups->slots);
    groups->slots = slots;
    groups->slot_count = cap * 2;
    groups->cap = cap;
    for (size_t i = 0; i < groups->count; i++)
        slots[slot_of(groups, list[i].key)] = (uint32_t)i + 1;
    return AO_OK;
}

struct cost_group *cost_groups_get(struct cost_groups *groups, const char *key)
{
    if (grow(groups))
        return NULL;
    size_t slot = slot_of(groups, key);
    if (groups->slots[slot])
        return &groups->groups[groups->slots[slot] - 1];
    char *copy = ao_strdup(ao_str_from(key));
    if (!copy)
        return NULL;
    groups->groups[groups->count++] = (struct cost_group){.key = copy};
    groups->slots[slot] = (uint32_t)groups->count;
    return &groups->groups[groups->count - 1];
}

struct cost_group *cost_groups_find(const struct cost_groups *groups, const char *key)
{
    size_t slot = groups->count ? slot_of(groups, key) : 0;
    return groups->count && groups->slots[slot] ? &groups->groups[groups->slots[slot] - 1] : NULL;
}

static void add_usage(struct span_usage *into, const struct span_usage *usage)
{
    into->input += usage->input;
    into->output += usage->output;
    into->cache_read += usage->cache_read;
    into->cache_write += usage->cache_write;
    into->cache_write_5m += usage->cache_write_5m;
    into->cache_write_1h += usage->cache_write_1h;
    into->thinking += usage->thinking;
    into->web_search_requests += usage->web_search_requests;
    into->known |= usage->known;
}

void cost_group_add(struct cost_group *group, const struct cost_item *item)
{
    group->items++;
    group->assumed += item->served_known && (item->rules & AO_COST_ASSUMED) != 0;
    add_usage(&group->usage, &item->usage);
    if (item->cost_pusd == AO_COST_UNKNOWN) {
        group->unpriced++;
        return;
    }
    group->pusd = cost_add(group->pusd, item->cost_pusd);
    if (item->kind && strcmp(item->kind, "e2b") == 0) {
        group->e2b_pusd = cost_add(group->e2b_pusd, item->cost_pusd);
        return;
    }
    group->input_pusd = cost_add(group->input_pusd, item->input_pusd);
    group->output_pusd = cost_add(group->output_pusd, item->output_pusd);
    group->cache_read_pusd = cost_add(group->cache_read_pusd, item->cache_read_pusd);
    group->cache_write_pusd = cost_add(cost_add(group->cache_write_pusd, item->cache_write_5m_pusd), item->cache_write_1h_pusd);
    group->web_search_pusd = cost_add(group->web_search_pusd, item->web_search_pusd);
}

void cost_group_add_call(struct cost_group *group, bool failed, uint64_t start, uint64_t end)
{
    group->calls++;
    group->errors += failed;
    group->duration += end > start ? end - start : 0;
}

void cost_group_merge(struct cost_group *group, const struct cost_group *more)
{
    group->items += more->items;
    group->unpriced += more->unpriced;
    group->assumed += more->assumed;
    group->pusd = cost_add(group->pusd, more->pusd);
    group->input_pusd = cost_add(group->input_pusd, more->input_pusd);
    group->output_pusd = cost_add(group->output_pusd, more->output_pusd);
    group->cache_read_pusd = cost_add(group->cache_read_pusd, more->cache_read_pusd);
    group->cache_write_pusd = cost_add(group->cache_write_pusd, more->cache_write_pusd);
    group->web_search_pusd = cost_add(group->web_search_pusd, more->web_search_pusd);
    group->e2b_pusd = cost_add(group->e2b_pusd, more->e2b_pusd);
    add_usage(&group->usage, &more->usage);
    group->calls += more->calls;
    group->errors += more->errors;
    group->duration += more->duration;
    group->result_tokens += more->result_tokens;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct cost_group *)a)->key, ((const struct cost_group *)b)->key);
}

static int compare_amounts(const void *a, const void *b)
{
    const struct cost_group *x = a, *y = b;
    if (x->pusd != y->pusd)
        return x->pusd < y->pusd ? 1 : -1;
    return compare_keys(a, b);
}

void cost_groups_sort(struct cost_groups *groups, enum cost_order order)
{
    if (groups->count > 1)
        qsort(groups->groups, groups->count, sizeof(groups->groups[0]),
              order == COST_ORDER_KEY ? compare_keys : compare_amounts);
}
