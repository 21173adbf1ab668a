#include "host/money/cost_story.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "host/dialects/claude_json.h"
#include "host/money/cache_use.h"
#include "host/money/cost_value.h"
#include "host/money/tool_costs.h"
#include "host/store/store_history.h"

#define KEY_MAX (AO_TRACE_ID_HEX + 1)

/* A run as far as its end matters. */
struct run_end {
    struct ao_trace_id trace_id;
    struct ao_span_id root_id;
    bool failed;
};

/* One model call of the period, for cache_use.h. */
struct call {
    struct cache_call use;
    struct ao_span_id span_id;
    int64_t write_pusd;
    bool counted; /* in the period; the others may only have read what these wrote */
};

struct telling {
    struct store *store;
    const struct story_scope *scope;
    struct cost_story *story;
    struct run_end *runs;
    size_t run_count, run_cap;
    struct call *calls;
    size_t call_count, call_cap;
    struct cost_groups traces, sessions, keys; /* of the calls: trace ids, agent's session ids, session and model */
    size_t trace_count; /* of `traces`: those of the scope come first */
    size_t trace_calls; /* the first call of the trace that is being walked */
    const struct ao_trace_id *trace;
    int err;
};

void cost_story_release(struct cost_story *story)
{
    cost_groups_release(&story->subagents);
    cost_groups_release(&story->tools);
    for (size_t i = 0; i < story->growth_count; i++) {
        ao_free(story->growths[i].tool);
        ao_free(story->growths[i].detail);
    }
    memset(story, 0, sizeof(*story));
}

static int grow(void **list, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return AO_OK;
    size_t more = *cap ? *cap * 2 : 64;
    void *bigger = ao_realloc(*list, more * size);
    if (!bigger)
        return AO_ERR_NOMEM;
    *list = bigger;
    *cap = more;
    return AO_OK;
}

/* ---- runs ---- */

static bool in_time(const struct story_scope *scope, uint64_t time)
{
    return time >= scope->since && (scope->until == 0 || time < scope->until);
}

static int take_run(void *user, const struct run *run)
{
    struct telling *t = user;
    const struct story_scope *scope = t->scope;
    void *list = t->runs;
    bool failed = run->status == RUN_ERROR || run->status == RUN_TIMEOUT || run->status == RUN_KILLED ||
                  run->status == RUN_BUDGET;
    if (scope->trace_id && !ao_trace_id_eq(&run->trace_id, scope->trace_id))
        return 0;
    t->err = grow(&list, &t->run_cap, t->run_count, sizeof(*t->runs));
    t->runs = list;
    if (t->err)
        return 1;
    t->runs[t->run_count++] = (struct run_end){run->trace_id, run->root_id, failed};
    if (!scope->trace_id && !in_time(scope, run->start))
        return 0;
    t->story->runs++;
    t->story->ok_runs += run->status == RUN_OK;
    t->story->failed_runs += failed;
    return 0;
}

static int compare_runs(const void *a, const void *b)
{
    const struct run_end *x = a, *y = b;
    int by_trace = memcmp(x->trace_id.bytes, y->trace_id.bytes, sizeof(x->trace_id.bytes));
    return by_trace ? by_trace : memcmp(x->root_id.bytes, y->root_id.bytes, sizeof(x->root_id.bytes));
}

static bool of_failed_run(const struct telling *t, const struct cost_item *item)
{
    const struct run_end key = {.trace_id = item->trace_id, .root_id = item->root_id};
    const struct run_end *found =
        t->run_count ? bsearch(&key, t->runs, t->run_count, sizeof(key), compare_runs) : NULL;
    return found && found->failed;
}

/* ---- cost items ---- */

/* What the item would cost with its cache reads, or its cache writes, as plain input. */
static int64_t as_input(const struct telling *t, const struct cost_item *item, bool reads, int64_t *ret_actual)
{
    struct ao_price_match match;
    struct ao_usage usage = cost_item_usage(item);
    struct ao_cost actual, plain;
    enum prompt_length length = cost_item_length(item);
    if (cost_item_match(t->scope->prices, item, &match) || cost_value(&match, &usage, length, 0, &actual) < 0)
        return AO_COST_UNKNOWN;
    if (reads) {
        usage.input += usage.cache_read;
        usage.cache_read = 0;
    } else {
        usage.input += usage.cache_write;
        usage.cache_write = usage.cache_write_5m = usage.cache_write_1h = 0;
    }
    if (cost_value(&match, &usage, length, 0, &plain) < 0)
        return AO_COST_UNKNOWN;
    *ret_actual = actual.total;
    return plain.total;
}

static void add_cache(struct telling *t, const struct cost_item *item)
{
    struct cost_story *story = t->story;
    int64_t actual = 0, plain;
    story->cache_read_tokens += item->usage.cache_read;
    story->cache_write_tokens += item->usage.cache_write;
    story->cache_read_pusd += item->cache_read_pusd;
    story->cache_write_pusd += item->cache_write_5m_pusd + item->cache_write_1h_pusd;
    plain = item->usage.cache_read ? as_input(t, item, true, &actual) : AO_COST_UNKNOWN;
    if (plain != AO_COST_UNKNOWN)
        story->cache_saved_pusd += plain - actual;
    plain = item->usage.cache_write ? as_input(t, item, false, &actual) : AO_COST_UNKNOWN;
    if (plain != AO_COST_UNKNOWN)
        story->cache_premium_pusd += actual - plain;
}

static const char *session_of(const struct cost_item *item, char trace[KEY_MAX])
{
    if (item->agent_session_id || item->session_id)
        return item->agent_session_id ? item->agent_session_id : item->session_id;
    ao_trace_id_format(&item->trace_id, trace);
    return trace;
}

static int key_index(struct telling *t, const struct cost_item *item, uint64_t *ret_index)
{
    char trace[KEY_MAX];
    struct ao_buf key;
    ao_buf_init(&key, 8192);
    ao_buf_add_cstr(&key, session_of(item, trace));
    ao_buf_add_char(&key, '\n');
    ao_buf_add_cstr(&key, item->model);
    char *text = ao_buf_detach(&key, NULL);
    struct cost_group *group = text ? cost_groups_get(&t->keys, text) : NULL;
    ao_buf_release(&key);
    ao_free(text);
    if (!group)
        return AO_ERR_NOMEM;
    *ret_index = (uint64_t)(group - t->keys.groups);
    return AO_OK;
}

static int add_call(struct telling *t, const struct cost_item *item, bool counted)
{
    uint64_t key = 0;
    void *list = t->calls;
    if (!cost_item_is_model(item) || cost_item_length(item) != LENGTH_OF_PROMPT)
        return AO_OK;
    int err = key_index(t, item, &key);
    if (!err)
        err = grow(&list, &t->call_cap, t->call_count, sizeof(*t->calls));
    t->calls = list;
    if (err)
        return err;
    t->calls[t->call_count] = (struct call){
        .use = {.key = key, .time = item->time, .index = t->call_count, .read = item->usage.cache_read,
                .write = item->usage.cache_write},
        .span_id = item->span_id,
        .write_pusd = item->cost_pusd == AO_COST_UNKNOWN ? 0 : item->cache_write_5m_pusd + item->cache_write_1h_pusd,
        .counted = counted && item->cost_pusd != AO_COST_UNKNOWN,
    };
    t->call_count++;
    return AO_OK;
}

static void add_amounts(struct telling *t, const struct cost_item *item)
{
    struct cost_story *story = t->story;
    bool rest = cost_item_is_model(item) && cost_item_length(item) != LENGTH_OF_PROMPT;
    story->items++;
    story->unattributed += rest;
    if (item->cost_pusd == AO_COST_UNKNOWN) {
        story->unpriced++;
        return;
    }
    story->total_pusd = cost_add(story->total_pusd, item->cost_pusd);
    if (of_failed_run(t, item))
        story->failed_runs_pusd = cost_add(story->failed_runs_pusd, item->cost_pusd);
    if (rest)
        story->unattributed_pusd = cost_add(story->unattributed_pusd, item->cost_pusd);
    if (cost_item_is_model(item))
        add_cache(t, item);
    else
        story->e2b_pusd = cost_add(story->e2b_pusd, item->cost_pusd);
}

/* Of the scope: which traces there are. */
static int take_trace(void *user, const struct cost_item *item)
{
    struct telling *t = user;
    char trace[KEY_MAX];
    ao_trace_id_format(&item->trace_id, trace);
    if (!cost_groups_get(&t->traces, trace))
        t->err = AO_ERR_NOMEM;
    return t->err != AO_OK;
}

/* Of one trace. */
static int take_item(void *user, const struct cost_item *item)
{
    struct telling *t = user;
    if (!t->scope->trace_id && !in_time(t->scope, item->time))
        return 0;
    add_amounts(t, item);
    t->err = add_call(t, item, true);
    if (!t->err && item->agent_session_id && !cost_groups_get(&t->sessions, item->agent_session_id))
        t->err = AO_ERR_NOMEM;
    return t->err != AO_OK;
}

/* ---- spans ---- */

static bool has_type(const struct tree_node *node, const char *type)
{
    return node->type && strcmp(node->type, type) == 0;
}

struct threaded {
    struct ao_span_id span_id;
    uint64_t thread;
};

static int compare_threaded(const void *a, const void *b)
{
    return memcmp(((const struct threaded *)a)->span_id.bytes, ((const struct threaded *)b)->span_id.bytes,
                  sizeof(struct ao_span_id));
}

/* The calls of the walked trace learn of which thread they are. */
static int set_threads(struct telling *t, const struct tree *tree, const uint32_t *subagents)
{
    struct threaded *list = ao_calloc((size_t)tree->count + 1, sizeof(*list));
    if (!list)
        return AO_ERR_NOMEM;
    for (uint32_t i = 0; i < tree->count; i++) {
        list[i].span_id = tree->nodes[i].id;
        if (subagents[i] != TREE_NONE)
            memcpy(&list[i].thread, tree->nodes[subagents[i]].id.bytes, sizeof(list[i].thread));
    }
    if (tree->count > 1)
        qsort(list, tree->count, sizeof(*list), compare_threaded);
    for (size_t i = t->trace_calls; i < t->call_count; i++) {
        const struct threaded key = {.span_id = t->calls[i].span_id};
        const struct threaded *found =
            tree->count ? bsearch(&key, list, tree->count, sizeof(key), compare_threaded) : NULL;
        t->calls[i].use.thread = found ? found->thread : 0;
    }
    ao_free(list);
    return AO_OK;
}

static int add_subagent(struct telling *t, const struct tree_node *agent, const struct tree_node *node)
{
    struct cost_group *group = cost_groups_get(&t->story->subagents, agent->name && agent->name[0] ? agent->name : "(no name)");
    if (!group)
        return AO_ERR_NOMEM;
    if (agent == node) {
        group->calls++;
        t->story->subagent_calls++;
    }
    group->unpriced += node->own.unpriced;
    group->pusd = cost_add(group->pusd, node->own.cost_pusd);
    t->story->subagents_pusd = cost_add(t->story->subagents_pusd, node->own.cost_pusd);
    return AO_OK;
}

static int walk_spans(struct telling *t, const struct tree *tree)
{
    struct cost_story *story = t->story;
    uint32_t *subagents = ao_calloc((size_t)tree->count + 1, sizeof(*subagents));
    if (!subagents)
        return AO_ERR_NOMEM;
    int err = AO_OK;
    for (uint32_t i = 0; i < tree->count && !err; i++) {
        const struct tree_node *node = &tree->nodes[i];
        subagents[i] = tree_subagent(tree, i);
        if (subagents[i] != TREE_NONE)
            err = add_subagent(t, &tree->nodes[subagents[i]], node);
        if (has_type(node, "task") && node->parent != TREE_NONE) { /* a root is the run itself */
            story->ok_tasks += !node->failed && node->end && !node->unfinished;
            story->failed_tasks += node->failed;
        }
        if (has_type(node, "llm") && node->failed) {
            story->failed_requests++;
            story->failed_requests_pusd = cost_add(story->failed_requests_pusd, node->own.cost_pusd);
        }
    }
    if (!err)
        err = set_threads(t, tree, subagents);
    ao_free(subagents);
    return err;
}

static void keep_growth(void *user, const struct context_growth *growth)
{
    struct telling *t = user;
    struct cost_story *story = t->story;
    size_t at = story->growth_count;
    while (at > 0 && story->growths[at - 1].added < growth->added)
        at--;
    if (at == STORY_GROWTHS)
        return;
    if (story->growth_count == STORY_GROWTHS) {
        ao_free(story->growths[STORY_GROWTHS - 1].tool);
        ao_free(story->growths[STORY_GROWTHS - 1].detail);
        story->growth_count--;
    }
    memmove(&story->growths[at + 1], &story->growths[at], (story->growth_count - at) * sizeof(story->growths[0]));
    story->growth_count++;
    const struct tree_node *tool = growth->tool;
    story->growths[at] = (struct story_growth){
        .trace_id = *t->trace,
        .span_id = growth->request->id,
        .before = growth->before,
        .after = growth->after,
        .added = growth->added,
        .tool = tool ? ao_strdup(ao_str_from(tool->name && tool->name[0] ? tool->name : "(no name)")) : NULL,
        .detail = tool && tool->detail ? ao_strdup(ao_str_from(tool->detail)) : NULL,
    };
    if (tool && !story->growths[at].tool)
        t->err = AO_ERR_NOMEM;
}

/* ---- events ---- */

/* Milliseconds that Claude Code says it will wait: "retry_delay_ms" (stream), "retryInMs" (transcript). */
static uint64_t wait_of(const char *attributes)
{
    static const char *const names[] = {"retry_delay_ms", "retryInMs"};
    yyjson_doc *doc = NULL;
    uint64_t ns = 0;
    int64_t pico;
    if (!attributes || claude_read(ao_str_from(attributes), &doc))
        return 0;
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++)
        if (claude_pico(yyjson_doc_get_root(doc), names[i], &pico) && pico > 0)
            ns = (uint64_t)pico / 1000000; /* 10^-12 ms to ns */
    yyjson_doc_free(doc);
    return ns;
}

static int take_event(void *user, const struct span_event *event)
{
    struct telling *t = user;
    if (!event->name || (strcmp(event->name, "api_retry") != 0 && strcmp(event->name, "api_error") != 0))
        return 0;
    t->story->retries++;
    t->story->retry_wait_ns += wait_of(event->attributes);
    return 0;
}

/* ---- the cache ---- */

static int take_reader(void *user, const struct cost_item *item)
{
    struct telling *t = user;
    char trace[KEY_MAX];
    ao_trace_id_format(&item->trace_id, trace);
    const struct cost_group *group = cost_groups_get(&t->traces, trace);
    if (!group) {
        t->err = AO_ERR_NOMEM;
        return 1;
    }
    bool walked = (size_t)(group - t->traces.groups) < t->trace_count;
    if (!walked || !(t->scope->trace_id || in_time(t->scope, item->time)))
        t->err = add_call(t, item, false);
    return t->err != AO_OK;
}

static int find_unread(struct telling *t)
{
    static const struct ao_span_id none;
    int err = AO_OK;
    for (size_t i = 0; i < t->sessions.count && !err; i++) {
        err = store_each_session_cost(t->store, t->sessions.groups[i].key, &none, take_reader, t);
        err = err ? err : t->err;
    }
    struct cache_call *uses = ao_calloc(t->call_count + 1, sizeof(*uses));
    if (!uses)
        return AO_ERR_NOMEM;
    for (size_t i = 0; i < t->call_count; i++)
        uses[i] = t->calls[i].use;
    if (!err)
        err = cache_use_find(uses, t->call_count);
    for (size_t i = 0; i < t->call_count && !err; i++) {
        const struct call *call = &t->calls[uses[i].index];
        if (!call->counted || uses[i].unread == 0)
            continue;
        t->story->unread_tokens += uses[i].unread;
        __extension__ typedef unsigned __int128 wide;
        t->story->unread_pusd += (int64_t)((wide)(uint64_t)call->write_pusd * uses[i].unread / uses[i].write);
    }
    ao_free(uses);
    return err;
}

/* ---- all of it ---- */

static int walk_trace(struct telling *t, const char *hex)
{
    struct ao_trace_id trace;
    struct tree tree = {.nodes = NULL};
    int err = ao_trace_id_parse(ao_str_from(hex), &trace);
    if (err)
        return err;
    t->trace = &trace;
    t->trace_calls = t->call_count;
    err = store_each_cost(t->store, &trace, 0, 0, take_item, t);
    if (!err)
        err = t->err;
    if (!err)
        err = tree_load(&tree, t->store, &trace);
    if (!err)
        err = walk_spans(t, &tree);
    if (!err)
        err = tool_costs_walk(&t->story->tools, t->store, &trace, &tree, keep_growth, t);
    if (!err)
        err = t->err;
    if (!err)
        err = store_each_event(t->store, &trace, take_event, t);
    tree_release(&tree);
    t->trace = NULL;
    return err;
}

static int tell(struct telling *t)
{
    int err = store_each_run(t->store, INT64_MAX, take_run, t);
    if (!err)
        err = t->err;
    if (!err && t->run_count > 1)
        qsort(t->runs, t->run_count, sizeof(*t->runs), compare_runs);
    if (!err)
        err = store_each_cost(t->store, t->scope->trace_id, t->scope->since, t->scope->until, take_trace, t);
    if (!err)
        err = t->err;
    t->trace_count = t->traces.count;
    for (size_t i = 0; i < t->trace_count && !err; i++)
        err = walk_trace(t, t->traces.groups[i].key);
    if (!err)
        err = find_unread(t);
    cost_groups_sort(&t->story->subagents, COST_ORDER_AMOUNT);
    cost_groups_sort(&t->story->tools, COST_ORDER_AMOUNT);
    return err;
}

int cost_story_make(struct store *store, const struct story_scope *scope, struct cost_story *ret_story)
{
    struct cost_story story = {.runs = 0};
    struct telling t = {.store = store, .scope = scope, .story = &story};
    int err = tell(&t);
    ao_free(t.runs);
    ao_free(t.calls);
    cost_groups_release(&t.traces);
    cost_groups_release(&t.sessions);
    cost_groups_release(&t.keys);
    if (err)
        cost_story_release(&story);
    else
        *ret_story = story;
    return err;
}
