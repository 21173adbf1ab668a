/*
 * Answers of E2B's API, or of whatever stands between: never a crash, and only a life that can be comes out. The input is
 * two bodies, one a line: a sandbox, and a page of its events.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "host/e2b/e2b_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (UINT64_C(1795780800) * 1000000000)

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct e2b_usage *usage)
{
    static const struct ao_e2b_price price = {.vcpu_second = 14000000, .gib_second = 4500000};
    struct e2b_share whole, first, second;
    for (size_t i = 0; i < usage->count; i++) {
        const struct e2b_execution *execution = &usage->executions[i];
        must(execution->end == 0 ? i + 1 == usage->count : execution->end > execution->start);
        must(i == 0 || execution->start >= execution[-1].end);
        must(execution->vcpus == 0 || e2b_is_size(execution->vcpus, execution->memory_mib));
    }
    uint64_t cut = usage->count ? usage->executions[usage->count / 2].start + 1 : NOW;
    int err = e2b_usage_share(usage, &price, 0, 2 * NOW, &whole);
    must(err == AO_OK || err == AO_ERR_NOTFOUND || err == AO_ERR_OVERFLOW);
    if (err)
        return;
    must(whole.cost.total >= 0 && whole.cost.total == whole.cost.cpu + whole.cost.memory);
    if (e2b_usage_share(usage, &price, 0, cut, &first) == AO_OK && e2b_usage_share(usage, &price, cut, 2 * NOW, &second) == AO_OK)
        must(first.lifetime_ns + second.lifetime_ns == whole.lifetime_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ao_str id = AO_STR("ibox");
    const char *text = (const char *)data, *line = size ? memchr(text, '\n', size) : NULL;
    size_t split = line ? (size_t)(line - text) : size;
    struct ao_str page = {text + split, size - split};
    struct e2b_events events = {.events = NULL};
    struct e2b_usage usage;
    struct e2b_info info;
    size_t items;
    bool known = e2b_info_parse((struct ao_str){text, split}, id, NOW, &info) == AO_OK;
    if (known)
        must(e2b_is_size(info.vcpus, info.memory_mib) && strlen(info.run_id) <= E2B_RUN_ID_MAX);
    if (e2b_events_parse(page, id, NOW, &events, &items) == AO_OK) {
        must(items <= E2B_EVENTS_PAGE && events.count <= items && strlen(events.run_id) <= E2B_RUN_ID_MAX);
        must(e2b_events_parse(page, id, NOW, &events, &items) == AO_OK);
    }
    must(e2b_usage_make(&events, known ? &info : NULL, NOW, &usage) == AO_OK);
    check(&usage);
    e2b_usage_release(&usage);
    e2b_events_release(&events);
    return 0;
}
