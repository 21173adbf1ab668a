#include "host/money/agent_costs.h"

#include <stdlib.h>

#include "core/mem.h"
#include "host/money/cost_value.h"
#include "host/view/tree_model.h"

struct by_id {
    struct ao_span_id id;
    uint32_t index;
};

struct adding {
    struct cost_groups *groups;
    const struct tree *tree;
    struct by_id *spans; /* sorted */
    int err;
};

static int compare_ids(const void *a, const void *b)
{
    return memcmp(((const struct by_id *)a)->id.bytes, ((const struct by_id *)b)->id.bytes, sizeof(struct ao_span_id));
}

static int index_spans(struct adding *a)
{
    a->spans = ao_calloc((size_t)a->tree->count + 1, sizeof(*a->spans));
    if (!a->spans)
        return AO_ERR_NOMEM;
    for (uint32_t i = 0; i < a->tree->count; i++)
        a->spans[i] = (struct by_id){a->tree->nodes[i].id, i};
    if (a->tree->count > 1)
        qsort(a->spans, a->tree->count, sizeof(*a->spans), compare_ids);
    return AO_OK;
}

static const char *name_of(const struct tree_node *agent)
{
    return agent->name && agent->name[0] ? agent->name : "(no name)";
}

static const char *key_of(const struct adding *a, const struct cost_item *item)
{
    if (!cost_item_is_model(item))
        return COST_KEY_SANDBOX;
    const struct by_id key = {.id = item->span_id};
    const struct by_id *span =
        a->tree->count && !ao_span_id_is_zero(&item->span_id)
            ? bsearch(&key, a->spans, a->tree->count, sizeof(key), compare_ids) : NULL;
    if (!span)
        return item->kind && strcmp(item->kind, "request") == 0 ? AGENT_COSTS_NONE : AGENT_COSTS_UNSEEN;
    uint32_t agent = tree_agent(a->tree, span->index);
    return agent == TREE_NONE ? AGENT_COSTS_NONE : name_of(&a->tree->nodes[agent]);
}

static int take_item(void *user, const struct cost_item *item)
{
    struct adding *a = user;
    struct cost_group *group = cost_groups_get(a->groups, key_of(a, item));
    if (group)
        cost_group_add(group, item);
    a->err = group ? AO_OK : AO_ERR_NOMEM;
    return a->err;
}

static int count_agents(const struct adding *a, uint64_t since, uint64_t until)
{
    for (uint32_t i = 0; i < a->tree->count; i++) {
        const struct tree_node *node = &a->tree->nodes[i];
        if (tree_agent(a->tree, i) != i || node->start < since || (until && node->start >= until))
            continue;
        struct cost_group *group = cost_groups_get(a->groups, name_of(node));
        if (!group)
            return AO_ERR_NOMEM;
        cost_group_add_call(group, node->failed, node->start, node->end);
    }
    return AO_OK;
}

int agent_costs_add(struct cost_groups *groups, struct store *store, const struct ao_trace_id *trace_id, uint64_t since,
                    uint64_t until)
{
    struct tree tree;
    int err = tree_load(&tree, store, trace_id);
    struct adding adding = {.groups = groups, .tree = &tree};
    if (!err)
        err = index_spans(&adding);
    if (!err)
        err = count_agents(&adding, since, until);
    if (!err)
        err = store_each_cost(store, trace_id, since, until, take_item, &adding);
    ao_free(adding.spans);
    tree_release(&tree);
    return err ? err : adding.err;
}
