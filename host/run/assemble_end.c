/* The assembler's end: parents mended, spans closed, and what is known of the whole trace. */
#include "host/run/assemble_private.h"

#define PARENT_STEPS_MAX 1024u

/* A tool's own agent: a sub-agent. */
static bool is_subagent(struct assembly *a, const struct span *span)
{
    if (!span->type || strcmp(span->type, "agent") != 0)
        return false;
    const struct entry *parent = assembly_find(a, &span->parent_id);
    return parent && parent->span.type && strcmp(parent->span.type, "tool") == 0;
}

/* An absurdly deep chain counts as a cycle: the walk stays short whatever a liar builds. */
static bool in_cycle(struct assembly *a, size_t index)
{
    struct ao_span_id at = a->entries[index].span.parent_id;
    for (size_t steps = 0; steps < PARENT_STEPS_MAX; steps++) {
        const struct entry *parent = assembly_find(a, &at);
        if (!parent || parent == &a->entries[0])
            return false;
        if (parent == &a->entries[index])
            return true;
        at = parent->span.parent_id;
    }
    return true;
}

/* Only a parent that is younger than its child, or unknown, can be part of a lie; honest traces cost one look-up. */
static int mend_parent(struct assembly *a, size_t index)
{
    struct entry *entry = &a->entries[index];
    size_t parent = idmap_get(&a->spans, &entry->span.parent_id);
    if (parent != IDMAP_NONE && (parent < index || !in_cycle(a, index)))
        return AO_OK;
    int err = assembly_touch_anyway(a, entry);
    if (!err)
        entry->span.parent_id = a->config.root_id;
    return err;
}

static int close_span(struct assembly *a, struct entry *entry, uint64_t end)
{
    int err = assembly_touch_anyway(a, entry);
    if (err)
        return err;
    entry->ended = true;
    entry->span.end = end > entry->span.start ? end : entry->span.start;
    entry->span.unfinished = true;
    return AO_OK;
}

static int finish_spans(struct assembly *a, uint64_t end)
{
    int err = AO_OK;
    a->counts.subagents = 0;
    for (size_t i = 1; i < a->entry_count && !err; i++) {
        err = mend_parent(a, i);
        if (!err && !a->entries[i].ended)
            err = close_span(a, &a->entries[i], end);
        a->counts.subagents += is_subagent(a, &a->entries[i].span);
    }
    return err;
}

static int finish_root(struct assembly *a, const struct assembly_end *end)
{
    struct entry *root = &a->entries[0];
    int err = assembly_touch_anyway(a, root);
    if (err)
        return err;
    root->ended = true;
    root->span.start = end->start;
    root->span.end = end->end > root->span.start ? end->end : root->span.start;
    root->span.status = end->status;
    err = assembly_keep(a, &root->span.error_type, ao_str_from(end->error_type));
    if (!err)
        err = assembly_keep(a, &root->span.error_message, ao_str_from(end->error_message));
    return err ? err : assembly_show_who(a);
}

int assembly_finish(struct assembly *a, const struct assembly_end *end)
{
    int err = finish_spans(a, end->end);
    a->nothing_ran = end->nothing_ran;
    if (!err)
        err = finish_root(a, end);
    a->ledger_changed = true; /* a trace without any usage has a bill too: nothing */
    int unsettled = assembly_settle(a);
    if (unsettled && unsettled != AO_ERR_NOMEM && unsettled != AO_ERR_OVERFLOW)
        a->counts.unstored++; /* a span that the store did not give back: its cost is in the bill, not beside it */
    return err ? err : unsettled;
}

const struct assembly_counts *assembly_counts(const struct assembly *a)
{
    return &a->counts;
}

const struct sandbox_facts *assembly_sandbox(const struct assembly *a)
{
    return &a->sandbox;
}

struct ao_trace_id assembly_trace_id(const struct assembly *a)
{
    return a->config.trace_id;
}

bool assembly_clean_end(const struct assembly *a)
{
    for (size_t i = 0; i < a->writer_count; i++)
        if (a->writers[i].said_hello && !a->writers[i].said_bye)
            return false;
    return a->counts.hellos > 0 && !a->unknown_writer && a->counts.sequence_gaps == 0 &&
           a->counts.dropped_in_sandbox == 0 && a->counts.bad_records == 0;
}

bool assembly_silent(const struct assembly *a)
{
    return a->counts.records == 0 && !a->nothing_ran;
}

bool assembly_times(const struct assembly *a, uint64_t *ret_start, uint64_t *ret_end)
{
    uint64_t start = UINT64_MAX, end = 0;
    for (size_t i = 1; i < a->entry_count; i++) {
        const struct span *span = &a->entries[i].span;
        uint64_t last = span->end > span->start ? span->end : span->start;
        start = span->start < start ? span->start : start;
        end = last > end ? last : end;
    }
    if (start == UINT64_MAX)
        return false;
    *ret_start = start;
    *ret_end = end;
    return true;
}

bool assembly_agent_error(const struct assembly *a, const char **ret_type, const char **ret_message)
{
    for (size_t i = 1; i < a->entry_count; i++) {
        const struct span *span = &a->entries[i].span;
        if (span->status != SPAN_ERROR || !span->type || strcmp(span->type, "agent") != 0 ||
            !ao_span_id_eq(&span->parent_id, &a->config.root_id))
            continue;
        *ret_type = span->error_type ? span->error_type : "error";
        *ret_message = span->error_message ? span->error_message : "";
        return true;
    }
    return false;
}
