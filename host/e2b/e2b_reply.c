#include "host/e2b/e2b_reply.h"

#include <stdlib.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/dialects/claude_json.h"

#define OLDEST (UINT64_C(1577836800) * CLOCK_SECOND) /* 2020-01-01: there was no E2B before */
#define AHEAD_NS (24 * 3600 * CLOCK_SECOND)          /* how far its clock may be before ours */
#define LIFE_NS (E2B_EXECUTION_MS_MAX * CLOCK_MS)    /* how far away the end may be that a sandbox is given */

static bool read_time(yyjson_val *object, const char *key, uint64_t latest, uint64_t *ret_time)
{
    return claude_time(claude_str(object, key), ret_time) && *ret_time >= OLDEST && *ret_time <= latest;
}

/* What is longer than any id of ours is another one's: its beginning tells that as well. */
static void read_run_id(yyjson_val *metadata, char out[E2B_RUN_ID_MAX + 1])
{
    struct ao_str id = claude_str(metadata, E2B_METADATA_RUN);
    size_t len = id.len < E2B_RUN_ID_MAX ? id.len : E2B_RUN_ID_MAX;
    if (len == 0)
        return;
    memcpy(out, id.ptr, len);
    out[len] = '\0';
}

static int read_info(yyjson_val *root, struct ao_str sandbox_id, uint64_t now, struct e2b_info *info)
{
    struct ao_str state = claude_str(root, "state");
    struct ao_str id = claude_str(root, "sandboxID");
    if (!yyjson_is_obj(root) || !id.ptr || !e2b_same_sandbox(id, sandbox_id))
        return AO_ERR_TYPE;
    info->paused = ao_str_eq_c(state, "paused");
    if (!info->paused && !ao_str_eq_c(state, "running"))
        return AO_ERR_TYPE;
    if (!claude_u64(root, "cpuCount", &info->vcpus) || !claude_u64(root, "memoryMB", &info->memory_mib))
        return AO_ERR_TYPE;
    if (!e2b_is_size(info->vcpus, info->memory_mib) || !read_time(root, "startedAt", now + AHEAD_NS, &info->start) ||
        !read_time(root, "endAt", now + LIFE_NS, &info->end))
        return AO_ERR_RANGE;
    read_run_id(claude_get(root, "metadata"), info->run_id);
    return AO_OK;
}

int e2b_info_parse(struct ao_str body, struct ao_str sandbox_id, uint64_t now, struct e2b_info *ret_info)
{
    yyjson_doc *doc;
    struct e2b_info info = {.start = 0};
    int err = claude_read(body, &doc);
    if (err)
        return err;
    err = read_info(yyjson_doc_get_root(doc), sandbox_id, now, &info);
    yyjson_doc_free(doc);
    if (!err)
        *ret_info = info;
    return err;
}

/* ---- events ---- */

void e2b_events_release(struct e2b_events *events)
{
    ao_free(events->events);
    *events = (struct e2b_events){.events = NULL};
}

static enum e2b_event_type type_of(yyjson_val *item)
{
    static const struct {
        const char *name;
        enum e2b_event_type type;
    } types[] = {
        {"sandbox.lifecycle.created", E2B_EVENT_CREATED}, {"sandbox.lifecycle.resumed", E2B_EVENT_RESUMED},
        {"sandbox.lifecycle.paused", E2B_EVENT_PAUSED},   {"sandbox.lifecycle.killed", E2B_EVENT_KILLED},
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(types); i++)
        if (ao_str_eq_c(claude_str(item, "type"), types[i].name))
            return types[i].type;
    return E2B_EVENT_OTHER;
}

/* started_at and execution_time (ms) of what ended. It may be absent; half of it is as good as none. */
static int read_execution(yyjson_val *data, uint64_t now, struct e2b_execution *out)
{
    yyjson_val *told = claude_get(data, "execution");
    struct e2b_execution execution = {.start = 0};
    uint64_t ms;
    if (!claude_u64(told, "execution_time", &ms) || !claude_str(told, "started_at").ptr)
        return AO_OK;
    if (ms > E2B_EXECUTION_MS_MAX || !read_time(told, "started_at", now + AHEAD_NS, &execution.start))
        return AO_ERR_RANGE;
    execution.end = execution.start + ms * CLOCK_MS;
    bool sized = claude_u64(told, "vcpu_count", &execution.vcpus) && claude_u64(told, "memory_mb", &execution.memory_mib);
    if (!sized)
        execution.vcpus = execution.memory_mib = 0;
    if (execution.end > now + AHEAD_NS || (sized && !e2b_is_size(execution.vcpus, execution.memory_mib)))
        return AO_ERR_RANGE;
    *out = execution;
    return AO_OK;
}

static int read_event(yyjson_val *item, struct ao_str sandbox_id, uint64_t now, struct e2b_events *events)
{
    struct e2b_event event = {.type = type_of(item)};
    struct ao_str id = claude_either(item, "sandboxId", "sandbox_id");
    yyjson_val *data = claude_get(item, "eventData");
    if (!yyjson_is_obj(item) || !id.ptr || !e2b_same_sandbox(id, sandbox_id))
        return AO_ERR_TYPE;
    if (event.type == E2B_EVENT_OTHER)
        return AO_OK;
    if (!read_time(item, "timestamp", now + AHEAD_NS, &event.time))
        return AO_ERR_RANGE;
    data = data ? data : claude_get(item, "event_data");
    read_run_id(claude_get(data, "sandbox_metadata"), events->run_id);
    bool closes = event.type == E2B_EVENT_PAUSED || event.type == E2B_EVENT_KILLED;
    int err = closes ? read_execution(data, now, &event.execution) : AO_OK;
    if (!err)
        events->events[events->count++] = event;
    return err;
}

int e2b_events_parse(struct ao_str body, struct ao_str sandbox_id, uint64_t now, struct e2b_events *events, size_t *ret_items)
{
    yyjson_doc *doc;
    int err = claude_read(body, &doc);
    if (err)
        return err;
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    size_t count = yyjson_arr_size(root), i, max, kept = events->count;
    err = !yyjson_is_arr(root) ? AO_ERR_TYPE : count > E2B_EVENTS_PAGE ? AO_ERR_LIMIT : AO_OK;
    events->cut |= !err && kept + count > E2B_EVENTS_MAX;
    if (!err && !events->cut && count) {
        struct e2b_event *grown = ao_realloc(events->events, (kept + count) * sizeof(*grown));
        err = grown ? AO_OK : AO_ERR_NOMEM;
        events->events = grown ? grown : events->events;
        yyjson_arr_foreach(root, i, max, item)
        {
            if (!err)
                err = read_event(item, sandbox_id, now, events);
        }
    }
    yyjson_doc_free(doc);
    if (err)
        events->count = kept;
    else
        *ret_items = count;
    return err;
}

/* ---- the life of a sandbox ---- */

/* By time; of one moment, an end comes before a beginning and a kill last. */
static int compare_events(const void *left, const void *right)
{
    static const int ranks[] = {[E2B_EVENT_CREATED] = 0, [E2B_EVENT_PAUSED] = 1, [E2B_EVENT_RESUMED] = 2, [E2B_EVENT_KILLED] = 3};
    const struct e2b_event *a = left, *b = right;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    return ranks[a->type] < ranks[b->type] ? -1 : ranks[a->type] > ranks[b->type];
}

/* What was billed before is not billed again, whatever an execution says of its start. */
static void add_execution(struct e2b_usage *usage, struct e2b_execution execution)
{
    const struct e2b_execution *last = usage->count ? &usage->executions[usage->count - 1] : NULL;
    if (last && execution.start < last->end)
        execution.start = last->end;
    if ((execution.end && execution.end <= execution.start) || usage->count == E2B_EXECUTIONS_MAX)
        return;
    usage->executions[usage->count++] = execution;
}

/* *open: when the execution that goes on began; 0: none does. */
static void take_event(struct e2b_usage *usage, const struct e2b_event *event, uint64_t *open)
{
    if (event->type == E2B_EVENT_CREATED || event->type == E2B_EVENT_RESUMED) {
        /* The end of the one before is missing. */
        usage->whole &= *open == 0;
        *open = *open ? *open : event->time;
        usage->paused = false;
        return;
    }
    struct e2b_execution execution = event->execution;
    if (!execution.start && *open)
        execution = (struct e2b_execution){.start = *open, .end = event->time};
    if (execution.start)
        add_execution(usage, execution);
    else
        usage->whole &= usage->paused; /* who is killed while paused ends nothing */
    *open = 0;
    usage->paused = event->type == E2B_EVENT_PAUSED;
    usage->ended |= event->type == E2B_EVENT_KILLED;
}

/* Events come late: but for a kill, what the sandbox is now counts. */
static void take_info(struct e2b_usage *usage, const struct e2b_info *info, uint64_t now)
{
    struct e2b_execution *last = usage->count ? &usage->executions[usage->count - 1] : NULL;
    if (last && !e2b_is_size(last->vcpus, last->memory_mib)) {
        last->vcpus = info->vcpus;
        last->memory_mib = info->memory_mib;
    }
    /* Killed since it was asked; or both say the same. */
    if (usage->ended || (last && last->end == 0 && !info->paused))
        return;
    if (!info->paused || !usage->paused)
        usage->whole = false;
    if (last && last->end == 0)
        last->end = info->end > last->start && info->end < now ? info->end : now > last->start ? now : last->start + 1;
    if (!info->paused) {
        uint64_t start = last && info->start < last->end ? now : info->start;
        add_execution(usage, (struct e2b_execution){start, 0, info->vcpus, info->memory_mib});
    } else if (!last) {
        uint64_t end = info->end > info->start && info->end < now ? info->end : now;
        add_execution(usage, (struct e2b_execution){info->start, end, info->vcpus, info->memory_mib});
    }
    usage->paused = info->paused;
}

int e2b_usage_make(struct e2b_events *events, const struct e2b_info *info, uint64_t now, struct e2b_usage *ret_usage)
{
    struct e2b_usage usage = {.whole = !events->cut};
    uint64_t open = 0;
    usage.executions = ao_calloc(E2B_EXECUTIONS_MAX, sizeof(*usage.executions));
    if (!usage.executions)
        return AO_ERR_NOMEM;
    if (events->count)
        qsort(events->events, events->count, sizeof(*events->events), compare_events);
    usage.whole &= events->count && events->events[0].type == E2B_EVENT_CREATED;
    for (size_t i = 0; i < events->count; i++) {
        const struct e2b_event *event = &events->events[i];
        bool again = i && event->type == event[-1].type && event->time == event[-1].time;
        if (!again)
            take_event(&usage, event, &open);
    }
    usage.whole &= usage.count < E2B_EXECUTIONS_MAX;
    if (open && !usage.ended)
        add_execution(&usage, (struct e2b_execution){.start = open});
    if (info)
        take_info(&usage, info, now);
    *ret_usage = usage;
    return AO_OK;
}
