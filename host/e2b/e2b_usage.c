#include "host/e2b/e2b_usage.h"

#include "core/mem.h"

bool e2b_is_sandbox_id(struct ao_str text)
{
    if (text.len == 0 || text.len > E2B_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (i == 0 || (c != '-' && c != '_')))
            return false;
    }
    return true;
}

static struct ao_str without_client(struct ao_str id)
{
    const char *dash = id.len ? memchr(id.ptr, '-', id.len) : NULL;
    return dash ? (struct ao_str){id.ptr, (size_t)(dash - id.ptr)} : id;
}

bool e2b_same_sandbox(struct ao_str a, struct ao_str b)
{
    bool both = without_client(a).len < a.len && without_client(b).len < b.len;
    return both ? ao_str_eq(a, b) : ao_str_eq(without_client(a), without_client(b));
}

bool e2b_is_size(uint64_t vcpus, uint64_t memory_mib)
{
    return vcpus && vcpus <= E2B_VCPUS_MAX && memory_mib && memory_mib <= E2B_MEMORY_MAX;
}

static const char *const source_names[] = {
    [E2B_SOURCE_FLAGS] = "flags", [E2B_SOURCE_HELLO] = "hello", [E2B_SOURCE_API] = "api"};

const char *e2b_source_name(enum e2b_source source)
{
    return (size_t)source < AO_ARRAY_LEN(source_names) ? source_names[source] : NULL;
}

enum e2b_source e2b_source_of(const char *name)
{
    for (size_t i = E2B_SOURCE_FLAGS; name && i < AO_ARRAY_LEN(source_names); i++)
        if (strcmp(name, source_names[i]) == 0)
            return (enum e2b_source)i;
    return E2B_SOURCE_NONE;
}

void e2b_usage_release(struct e2b_usage *usage)
{
    ao_free(usage->executions);
    *usage = (struct e2b_usage){.executions = NULL};
}

/* The part of an execution within the span of time; false: none. */
static bool clip(const struct e2b_execution *execution, uint64_t from, uint64_t until, uint64_t *ret_start, uint64_t *ret_end)
{
    uint64_t start = execution->start > from ? execution->start : from;
    uint64_t end = execution->end && execution->end < until ? execution->end : until;
    *ret_start = start;
    *ret_end = end;
    return end > start;
}

/* Sandboxes keep their size when they are resumed; an execution that told none has that of the next that did. */
static bool size_of(const struct e2b_usage *usage, size_t at, uint64_t *ret_vcpus, uint64_t *ret_memory)
{
    for (size_t i = 0; i < usage->count; i++) {
        const struct e2b_execution *execution = &usage->executions[at + i < usage->count ? at + i : usage->count - 1 - i];
        if (e2b_is_size(execution->vcpus, execution->memory_mib)) {
            *ret_vcpus = execution->vcpus;
            *ret_memory = execution->memory_mib;
            return true;
        }
    }
    return false;
}

static int add_cost(struct ao_e2b_cost *sum, const struct ao_e2b_price *price, const struct e2b_share *share, uint64_t ns)
{
    struct ao_e2b_cost cost;
    int err = ao_cost_e2b(price, share->vcpus, share->memory_mib, ns, &cost);
    if (err)
        return err;
    if (sum->total > INT64_MAX - cost.total)
        return AO_ERR_OVERFLOW;
    sum->cpu += cost.cpu;
    sum->memory += cost.memory;
    sum->total += cost.total;
    return AO_OK;
}

int e2b_usage_share(const struct e2b_usage *usage, const struct ao_e2b_price *price, uint64_t from, uint64_t until,
                    struct e2b_share *ret_share)
{
    struct e2b_share share = {.lifetime_ns = 0};
    uint64_t before = 0, same_size = 0; /* the end of the part before; ns that are not priced yet: rounded once a size */
    if (!size_of(usage, 0, &share.vcpus, &share.memory_mib))
        return AO_ERR_NOTFOUND;
    for (size_t i = 0; i < usage->count; i++) {
        uint64_t start, end, vcpus, memory;
        if (!clip(&usage->executions[i], from, until, &start, &end) || !size_of(usage, i, &vcpus, &memory))
            continue;
        if (vcpus != share.vcpus || memory != share.memory_mib) {
            int err = add_cost(&share.cost, price, &share, same_size);
            if (err)
                return err;
            same_size = 0;
            share.vcpus = vcpus;
            share.memory_mib = memory;
        }
        share.paused_ns += before && start > before ? start - before : 0;
        share.lifetime_ns += end - start;
        same_size += end - start;
        before = end;
    }
    int err = add_cost(&share.cost, price, &share, same_size);
    if (!err)
        *ret_share = share;
    return err;
}

bool e2b_usage_ran(const struct e2b_usage *usage, uint64_t from, uint64_t until, uint64_t slack)
{
    uint64_t start, end;
    from = from > slack ? from - slack : 0;
    until = until > UINT64_MAX - slack ? UINT64_MAX : until + slack;
    for (size_t i = 0; i < usage->count; i++)
        if (clip(&usage->executions[i], from, until, &start, &end))
            return true;
    return false;
}
