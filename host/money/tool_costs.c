#include "host/money/tool_costs.h"

#include <stdlib.h>

#include "core/mem.h"
#include "host/view/tree_model.h"

__extension__ typedef unsigned __int128 wide;

/* What prompt tokens of one request cost: pUSD and the tokens that they paid for. */
struct rate {
    int64_t pusd;
    uint64_t tokens;
};

/* A request of a conversation, or a tool call in it, in order of time. */
struct step {
    uint32_t context; /* index of the agent or tool that it belongs to; TREE_NONE at the top */
    uint64_t time;    /* a request's start, a tool's end */
    const struct tree_node *node;
    bool tool;
    uint64_t prompt, output;
    struct rate fresh, cached;
};

struct billed {
    struct ao_span_id span_id;
    struct rate fresh, cached;
};

struct billed_list {
    struct billed *items;
    size_t count, cap;
    int err;
};

/* ---- what each request paid for its prompt ---- */

static int take_cost(void *user, const struct cost_item *item)
{
    struct billed_list *list = user;
    if (ao_span_id_is_zero(&item->span_id) || item->cost_pusd == AO_COST_UNKNOWN)
        return 0;
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct billed *items = ao_realloc(list->items, cap * sizeof(*items));
        if (!items) {
            list->err = AO_ERR_NOMEM;
            return 1;
        }
        list->items = items;
        list->cap = cap;
    }
    const struct span_usage *usage = &item->usage;
    list->items[list->count++] = (struct billed){
        .span_id = item->span_id,
        .fresh = {item->input_pusd + item->cache_write_5m_pusd + item->cache_write_1h_pusd,
                  usage->input + usage->cache_write},
        .cached = {item->cache_read_pusd, usage->cache_read},
    };
    return 0;
}

static int compare_billed(const void *a, const void *b)
{
    return memcmp(((const struct billed *)a)->span_id.bytes, ((const struct billed *)b)->span_id.bytes,
                  sizeof(struct ao_span_id));
}

static int64_t times(struct rate rate, uint64_t tokens)
{
    if (rate.tokens == 0 || rate.pusd <= 0)
        return 0;
    wide pusd = (wide)(uint64_t)rate.pusd * tokens / rate.tokens;
    return pusd > INT64_MAX ? INT64_MAX : (int64_t)pusd;
}

/* ---- steps ---- */

static bool has_type(const struct tree_node *node, const char *type)
{
    return node->type && strcmp(node->type, type) == 0;
}

static uint32_t context_of(const struct tree *tree, uint32_t index)
{
    uint32_t at = tree->nodes[index].parent;
    while (at != TREE_NONE && !has_type(&tree->nodes[at], "agent") && !has_type(&tree->nodes[at], "tool"))
        at = tree->nodes[at].parent;
    return at;
}

static int compare_steps(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->context != y->context)
        return x->context < y->context ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static void set_rates(struct step *step, const struct billed_list *billed)
{
    const struct billed key = {.span_id = step->node->id};
    const struct billed *found =
        billed->count ? bsearch(&key, billed->items, billed->count, sizeof(key), compare_billed) : NULL;
    if (!found)
        return;
    step->fresh = found->fresh.tokens ? found->fresh : found->cached;
    step->cached = found->cached.tokens ? found->cached : found->fresh;
}

static size_t make_steps(const struct tree *tree, const struct billed_list *billed, struct step *steps)
{
    size_t count = 0;
    for (uint32_t i = 0; i < tree->count; i++) {
        const struct tree_node *node = &tree->nodes[i];
        bool tool = has_type(node, "tool");
        if (!tool && !(has_type(node, "llm") && node->own.has_usage))
            continue;
        struct step *step = &steps[count++];
        *step = (struct step){
            .context = context_of(tree, i),
            .time = tool && node->end ? node->end : node->start,
            .node = node,
            .tool = tool,
            .prompt = node->own.tokens_in,
            .output = node->own.tokens_out,
        };
        if (!tool)
            set_rates(step, billed);
    }
    if (count > 1)
        qsort(steps, count, sizeof(*steps), compare_steps);
    return count;
}

/* The model whose requests read most, by the node that names it first. */
static const char *main_model(const struct step *steps, size_t count)
{
    const char *best = NULL;
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        const char *model = steps[i].node->model;
        uint64_t prompts = 0;
        if (steps[i].tool || !model || (best && strcmp(model, best) == 0))
            continue;
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = !steps[j].tool && steps[j].node->model && strcmp(steps[j].node->model, model) == 0;
        for (size_t j = i; j < count && !seen; j++)
            if (!steps[j].tool && steps[j].node->model && strcmp(steps[j].node->model, model) == 0)
                prompts += steps[j].prompt;
        if (!seen && prompts > most) {
            most = prompts;
            best = model;
        }
    }
    return best;
}

/* ---- sharing out ---- */

struct carried { /* tokens of all results of a tool that the prompt still holds */
    const struct tree_node *tool; /* any call of it: for its name */
    uint64_t tokens;
};

struct conversation {
    struct cost_groups *groups;
    struct carried *carried;
    size_t carried_count;
    context_growth_fn *fn;
    void *user;
};

static const char *tool_name(const struct tree_node *tool)
{
    return tool->name && tool->name[0] ? tool->name : "(no name)";
}

static struct cost_group *group_of(struct cost_groups *groups, const struct tree_node *tool)
{
    return cost_groups_get(groups, tool_name(tool));
}

static void carry(struct conversation *c, const struct tree_node *tool, uint64_t tokens)
{
    for (size_t i = 0; i < c->carried_count; i++) {
        if (strcmp(tool_name(c->carried[i].tool), tool_name(tool)) == 0) {
            c->carried[i].tokens += tokens;
            return;
        }
    }
    c->carried[c->carried_count++] = (struct carried){tool, tokens};
}

/* The tools of steps[from..to) ended before a request that has `added` new tokens. */
static int share(struct conversation *c, const struct step *steps, size_t from, size_t to, uint64_t added,
                 const struct step *request)
{
    uint64_t bytes = 0;
    for (size_t i = from; i < to; i++)
        bytes += steps[i].tool ? steps[i].node->output_bytes + 1 : 0;
    for (size_t i = from; i < to; i++) {
        if (!steps[i].tool)
            continue;
        uint64_t length = steps[i].node->output_bytes + 1;
        uint64_t tokens = (uint64_t)((wide)added * length / bytes);
        struct cost_group *group = group_of(c->groups, steps[i].node);
        if (!group)
            return AO_ERR_NOMEM;
        tokens = tokens < length ? tokens : length;
        group->result_tokens += tokens;
        group->pusd = cost_add(group->pusd, times(request->fresh, tokens));
        carry(c, steps[i].node, tokens);
    }
    return AO_OK;
}

static int bill_carried(struct conversation *c, const struct step *request)
{
    for (size_t i = 0; i < c->carried_count; i++) {
        struct cost_group *group = group_of(c->groups, c->carried[i].tool);
        if (!group)
            return AO_ERR_NOMEM;
        group->pusd = cost_add(group->pusd, times(request->cached, c->carried[i].tokens));
    }
    return AO_OK;
}

/* The tools of steps[from..to) ended before the request. */
static void tell_growth(const struct conversation *c, const struct step *steps, size_t from, size_t to,
                        const struct step *last, const struct step *request, uint64_t added)
{
    struct context_growth growth = {.request = request->node, .before = last->prompt, .after = request->prompt, .added = added};
    for (size_t i = from; i < to; i++)
        if (steps[i].tool && (!growth.tool || steps[i].node->output_bytes > growth.tool->output_bytes))
            growth.tool = steps[i].node;
    if (growth.tool && growth.tool->output_bytes < added / 2) /* a token is a byte at the least */
        growth.tool = NULL;
    if (added && c->fn)
        c->fn(c->user, &growth);
}

static int add_conversation(struct conversation *c, const struct step *steps, size_t count)
{
    const char *model = main_model(steps, count);
    const struct step *last = NULL;
    size_t from = 0;
    c->carried_count = 0;
    for (size_t i = 0; i < count && model; i++) {
        const struct step *step = &steps[i];
        if (step->tool || !step->node->model || strcmp(step->node->model, model) != 0)
            continue;
        if (last && step->prompt < last->prompt / 2)
            c->carried_count = 0;
        int err = bill_carried(c, step);
        uint64_t before = last ? last->prompt + last->output : UINT64_MAX;
        uint64_t added = step->prompt > before ? step->prompt - before : 0;
        if (last)
            tell_growth(c, steps, from, i, last, step, added);
        if (!err)
            err = share(c, steps, from, i, added, step);
        if (err)
            return err;
        last = step;
        from = i + 1;
    }
    return AO_OK;
}

static int count_calls(struct cost_groups *groups, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct tree_node *node = steps[i].node;
        struct cost_group *group = steps[i].tool ? group_of(groups, node) : NULL;
        if (!steps[i].tool)
            continue;
        if (!group)
            return AO_ERR_NOMEM;
        cost_group_add_call(group, node->failed, node->start, node->end);
    }
    return AO_OK;
}

static int add_steps(struct conversation c, const struct step *steps, size_t count)
{
    c.carried = ao_calloc(count + 1, sizeof(*c.carried));
    int err = c.carried ? count_calls(c.groups, steps, count) : AO_ERR_NOMEM;
    for (size_t from = 0, to; from < count && !err; from = to) {
        for (to = from; to < count && steps[to].context == steps[from].context; to++)
            ;
        err = add_conversation(&c, steps + from, to - from);
    }
    ao_free(c.carried);
    return err;
}

int tool_costs_walk(struct cost_groups *groups, struct store *store, const struct ao_trace_id *trace_id,
                    const struct tree *tree, context_growth_fn *fn, void *user)
{
    struct billed_list billed = {.items = NULL};
    struct step *steps = NULL;
    int err = store_each_cost(store, trace_id, 0, 0, take_cost, &billed);
    if (!err)
        err = billed.err;
    if (!err && !(steps = ao_calloc((size_t)tree->count + 1, sizeof(*steps))))
        err = AO_ERR_NOMEM;
    if (!err) {
        if (billed.count > 1)
            qsort(billed.items, billed.count, sizeof(billed.items[0]), compare_billed);
        err = add_steps((struct conversation){.groups = groups, .fn = fn, .user = user}, steps,
                        make_steps(tree, &billed, steps));
    }
    ao_free(steps);
    ao_free(billed.items);
    return err;
}

int tool_costs_add(struct cost_groups *groups, struct store *store, const struct ao_trace_id *trace_id)
{
    struct tree tree;
    int err = tree_load(&tree, store, trace_id);
    if (!err)
        err = tool_costs_walk(groups, store, trace_id, &tree, NULL, NULL);
    tree_release(&tree);
    return err;
}
