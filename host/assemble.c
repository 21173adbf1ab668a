#include "host/assemble.h"

#include "core/json.h"
#include "core/mem.h"
#include "core/redact.h"
#include "host/assemble_private.h"

#define MERGE_KEYS_MAX 256u
#define PARENT_STEPS_MAX 1024u

/* ---- life cycle ---- */

static int make_root(struct assembly *a)
{
    int err;
    struct entry *root = assembly_entry(a, &a->config.root_id, &err);
    if (!root)
        return err;
    root->started = true;
    root->span.parent_id = a->config.parent_id;
    root->span.origin = SPAN_FROM_HOST;
    root->span.start = a->config.start;
    err = assembly_keep(a, &root->span.name, ao_str_from(a->config.name));
    if (!err)
        err = assembly_keep(a, &root->span.type, AO_STR("task"));
    return err ? err : assembly_touch(a, root);
}

int assembly_new(const struct assembly_config *config, struct assembly **ret_assembly)
{
    struct assembly *a = ao_calloc(1, sizeof(*a));
    if (!a)
        return AO_ERR_NOMEM;
    a->config = *config;
    idmap_init(&a->spans, config->seed);
    idmap_init(&a->writer_map, config->seed);
    a->ledger = ao_ledger_new();
    int err = a->ledger ? make_root(a) : AO_ERR_NOMEM;
    a->config.name = NULL;
    if (err) {
        assembly_free(a);
        return err;
    }
    *ret_assembly = a;
    return AO_OK;
}

void assembly_free(struct assembly *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->entry_count; i++)
        span_release(&a->entries[i].span);
    for (size_t i = 0; i < a->event_count; i++)
        span_event_release(&a->events[i]);
    ao_free(a->entries);
    ao_free(a->events);
    ao_free(a->writers);
    idmap_release(&a->spans);
    idmap_release(&a->writer_map);
    ao_bill_release(&a->bill);
    ao_ledger_free(a->ledger);
    ao_free(a->session_id);
    ao_free(a->user_id);
    ao_free(a->braintrust_parent);
    ao_free(a->sandbox.sandbox_id);
    ao_free(a);
}

int assembly_keep(struct assembly *a, char **target, struct ao_str text)
{
    if (!text.ptr)
        return AO_OK;
    char *copy;
    if (ao_redact_needed(text)) {
        struct ao_buf masked;
        unsigned count = 0;
        ao_buf_init(&masked, AO_RECORD_MAX * 2u);
        int err = ao_redact(text, &masked, &count);
        copy = err ? NULL : ao_buf_detach(&masked, NULL);
        ao_buf_release(&masked);
        if (err == AO_OK)
            a->counts.masked += count;
    } else {
        copy = ao_strdup(text);
    }
    if (!copy)
        return AO_ERR_NOMEM;
    ao_free(*target);
    *target = copy;
    return AO_OK;
}

/* ---- writers ---- */

static struct writer *find_writer(struct assembly *a, const struct ao_record *record)
{
    if (!AO_HAS(record, writer))
        return NULL;
    size_t index = idmap_get(&a->writer_map, &record->writer);
    if (index != IDMAP_NONE)
        return &a->writers[index];
    if (a->writer_count >= AO_WRITERS_MAX) {
        a->counts.refused++;
        return NULL;
    }
    if (a->writer_count == a->writer_cap) {
        size_t cap = a->writer_cap ? a->writer_cap * 2 : 8;
        struct writer *writers = ao_realloc(a->writers, cap * sizeof(*writers));
        if (!writers)
            return NULL;
        a->writers = writers;
        a->writer_cap = cap;
    }
    if (idmap_put(&a->writer_map, &record->writer, a->writer_count))
        return NULL;
    a->writers[a->writer_count] = (struct writer){.id = record->writer};
    return &a->writers[a->writer_count++];
}

static void count_sequence(struct assembly *a, struct writer *writer, const struct ao_record *record)
{
    if (!AO_HAS(record, seq))
        return;
    if (record->seq > writer->next_seq)
        a->counts.sequence_gaps += record->seq - writer->next_seq;
    if (record->seq >= writer->next_seq)
        writer->next_seq = record->seq == UINT64_MAX ? UINT64_MAX : record->seq + 1;
}

/* ---- hello and bye ---- */

static void read_resource(struct assembly *a, struct ao_str resource)
{
    struct ao_jr r;
    ao_jr_init(&r, resource);
    if (ao_jr_next(&r) != AO_JSON_OBJECT_BEGIN)
        return;
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        struct ao_str key = r.text, raw;
        if (ao_jr_skip_value(&r, &raw))
            return;
        if (ao_str_eq_c(key, "sandbox.vcpu_count"))
            (void)ao_json_u64(raw, &a->sandbox.vcpu_count);
        else if (ao_str_eq_c(key, "sandbox.memory_mib"))
            (void)ao_json_u64(raw, &a->sandbox.memory_mib);
        else if (ao_str_eq_c(key, "sandbox.start_time_unix_nano"))
            (void)ao_json_u64(raw, &a->sandbox.start);
        else if (ao_str_eq_c(key, "e2b.sandbox_id") && raw.len > 2 && raw.ptr[0] == '"')
            (void)assembly_keep(a, &a->sandbox.sandbox_id, (struct ao_str){raw.ptr + 1, raw.len - 2});
    }
}

static int take_hello(struct assembly *a, struct writer *writer, const struct ao_record *record)
{
    int err = AO_OK;
    struct entry *root = &a->entries[0];
    bool first = a->counts.hellos++ == 0;
    if (writer)
        writer->said_hello = true;
    if (first && a->config.adopt_trace && !a->trace_fixed && AO_HAS(record, trace_id) &&
        !ao_trace_id_is_zero(&record->trace_id)) {
        a->config.trace_id = record->trace_id;
        root->span.trace_id = record->trace_id;
        if (AO_HAS(record, span_id))
            root->span.parent_id = record->span_id;
    }
    if (AO_HAS(record, resource)) {
        read_resource(a, record->resource);
        if (first)
            err = assembly_keep(a, &root->span.attributes, record->resource);
    }
    if (!err && first && AO_HAS(record, braintrust_parent))
        err = assembly_keep(a, &a->braintrust_parent, record->braintrust_parent);
    return err ? err : assembly_touch(a, root);
}

static void take_bye(struct assembly *a, struct writer *writer, const struct ao_record *record)
{
    if (writer && writer->said_bye)
        return;
    a->counts.byes++;
    if (writer)
        writer->said_bye = true;
    if (AO_HAS(record, dropped))
        a->counts.dropped_in_sandbox += record->dropped;
}

/* ---- spans ---- */

static bool object_has(struct ao_str object, struct ao_str key)
{
    struct ao_jr r;
    struct ao_str raw;
    ao_jr_init(&r, object);
    if (ao_jr_next(&r) != AO_JSON_OBJECT_BEGIN)
        return false;
    while (ao_jr_next(&r) == AO_JSON_KEY) {
        if (ao_str_eq(r.text, key))
            return true;
        if (ao_jr_skip_value(&r, &raw))
            return false;
    }
    return false;
}

/* Members of `old` that `extra` does not set anew, then those of `extra`. */
static void add_merged(struct ao_str old, struct ao_str extra, struct ao_buf *out)
{
    struct ao_jr r;
    struct ao_str raw;
    ao_jr_init(&r, old);
    ao_buf_add_char(out, '{');
    (void)ao_jr_next(&r);
    for (size_t i = 0; ao_jr_next(&r) == AO_JSON_KEY; i++) {
        struct ao_str key = r.text;
        if (ao_jr_skip_value(&r, &raw))
            break;
        /* Beyond so many keys nobody honest sets one twice, and a liar must not make this slow. */
        if (i < MERGE_KEYS_MAX && object_has(extra, key))
            continue;
        ao_buf_add_char(out, '"');
        ao_buf_add_str(out, key);
        ao_buf_add(out, "\":", 2);
        ao_buf_add_str(out, raw);
        ao_buf_add_char(out, ',');
    }
    ao_buf_add(out, extra.ptr + 1, extra.len - 1);
}

/* Sets the members of object `extra` in object *target. */
static int merge_object(struct assembly *a, char **target, struct ao_str extra)
{
    if (!*target)
        return assembly_keep(a, target, extra);
    if (extra.len <= 2)
        return AO_OK;
    struct ao_buf merged;
    ao_buf_init(&merged, AO_RECORD_MAX * 2u);
    add_merged(ao_str_from(*target), extra, &merged);
    int err = ao_buf_err(&merged);
    if (!err)
        err = assembly_keep(a, target, ao_buf_str(&merged));
    ao_buf_release(&merged);
    return err == AO_ERR_LIMIT ? AO_OK : err;
}

static int take_common(struct assembly *a, struct span *span, const struct ao_record *r)
{
    int err = AO_OK;
    if (AO_HAS(r, name))
        err = assembly_keep(a, &span->name, r->name);
    if (!err && AO_HAS(r, input))
        err = assembly_keep(a, &span->input, r->input);
    if (!err && AO_HAS(r, attributes))
        err = merge_object(a, &span->attributes, r->attributes);
    if (!err && AO_HAS(r, metadata))
        err = merge_object(a, &span->metadata, r->metadata);
    if (!err && AO_HAS(r, metrics))
        err = merge_object(a, &span->metrics, r->metrics);
    if (!err && AO_HAS(r, tags))
        err = assembly_keep(a, &span->tags, r->tags);
    if (!err && AO_HAS(r, model))
        err = assembly_keep(a, &span->model, r->model);
    if (!err && AO_HAS(r, session_id))
        err = assembly_keep(a, &span->session_id, r->session_id);
    if (!err && AO_HAS(r, user_id))
        err = assembly_keep(a, &span->user_id, r->user_id);
    if (!err && span->session_id && !a->session_id)
        err = assembly_keep(a, &a->session_id, ao_str_from(span->session_id));
    if (!err && span->user_id && !a->user_id)
        err = assembly_keep(a, &a->user_id, ao_str_from(span->user_id));
    return err;
}

/* The kinds of span that the report counts. */
static void count_span(struct assembly *a, const struct span *span)
{
    a->counts.spans++;
    if (!span->type)
        return;
    if (strcmp(span->type, "llm") == 0)
        a->counts.llm_calls++;
    else if (strcmp(span->type, "tool") == 0)
        a->counts.tool_calls++;
    else if (strcmp(span->type, "turn") == 0)
        a->counts.turns++;
}

static int take_start(struct assembly *a, struct entry *entry, const struct ao_record *r)
{
    struct span *span = &entry->span;
    entry->started = true;
    span->start = AO_HAS(r, start) ? r->start : AO_HAS(r, time) ? r->time : a->config.start;
    span->parent_id = AO_HAS(r, parent_span_id) ? r->parent_span_id : a->config.root_id;
    /* The context that we handed to the agent names the root. A stream of somebody else's names their parent. */
    if (ao_span_id_is_zero(&span->parent_id) || ao_span_id_eq(&span->parent_id, &span->span_id) ||
        ao_span_id_eq(&span->parent_id, &a->entries[0].span.parent_id))
        span->parent_id = a->config.root_id;
    int err = AO_OK;
    if (AO_HAS(r, type))
        err = assembly_keep(a, &span->type, r->type);
    if (!err && AO_HAS(r, tool_call_id))
        err = assembly_keep(a, &span->tool_call_id, r->tool_call_id);
    count_span(a, span);
    return err;
}

static int take_end(struct assembly *a, struct entry *entry, const struct ao_record *r)
{
    struct span *span = &entry->span;
    entry->ended = true;
    span->end = AO_HAS(r, end) ? r->end : AO_HAS(r, time) ? r->time : span->start;
    if (span->end < span->start)
        span->end = span->start;
    if (span->end == 0)
        span->end = 1;
    span->unfinished = AO_HAS(r, unfinished) && r->unfinished;
    if (AO_HAS(r, status) && ao_str_eq_c(r->status, "error"))
        span->status = SPAN_ERROR;
    else if (AO_HAS(r, status) && ao_str_eq_c(r->status, "ok"))
        span->status = SPAN_OK;
    int err = AO_OK;
    if (AO_HAS(r, output))
        err = assembly_keep(a, &span->output, r->output);
    if (!err && AO_HAS(r, error_type))
        err = assembly_keep(a, &span->error_type, r->error_type);
    if (!err && AO_HAS(r, error_message))
        err = assembly_keep(a, &span->error_message, r->error_message);
    if (!err && AO_HAS(r, error_stack))
        err = assembly_keep(a, &span->error_stack, r->error_stack);
    if (span->status == SPAN_ERROR && span->type && strcmp(span->type, "tool") == 0)
        a->counts.tool_errors++;
    return err;
}

static int take_span(struct assembly *a, const struct ao_record *r)
{
    int err;
    bool begins = r->kind != AO_KIND_SPAN_END;
    if (!AO_HAS(r, span_id) || ao_span_id_is_zero(&r->span_id) || ao_span_id_eq(&r->span_id, &a->config.root_id)) {
        assembly_bad_record(a);
        return AO_OK;
    }
    struct entry *entry = assembly_entry(a, &r->span_id, &err);
    if (!entry || (begins && entry->started) || (!begins && entry->ended)) {
        a->counts.refused++;
        return err == AO_ERR_LIMIT ? AO_OK : err;
    }
    if ((err = assembly_touch(a, entry)))
        return err == AO_ERR_NOMEM ? err : AO_OK;
    /* An end whose start was lost still is a span. */
    if (begins || !entry->started)
        err = take_start(a, entry, r);
    if (!err)
        err = take_common(a, &entry->span, r);
    if (!err && r->kind != AO_KIND_SPAN_START)
        err = take_end(a, entry, r);
    return err;
}

static int take_event(struct assembly *a, const struct ao_record *r)
{
    if (!AO_HAS(r, name)) {
        assembly_bad_record(a);
        return AO_OK;
    }
    if (a->event_count == a->event_cap) {
        size_t cap = a->event_cap ? a->event_cap * 2 : 32;
        struct span_event *events = ao_realloc(a->events, cap * sizeof(*events));
        if (!events)
            return AO_ERR_NOMEM;
        a->events = events;
        a->event_cap = cap;
    }
    struct span_event event = {.trace_id = a->config.trace_id, .time = AO_HAS(r, time) ? r->time : a->config.start};
    if (AO_HAS(r, span_id))
        event.span_id = r->span_id;
    int err = assembly_keep(a, &event.name, r->name);
    if (!err && AO_HAS(r, attributes))
        err = assembly_keep(a, &event.attributes, r->attributes);
    if (err) {
        span_event_release(&event);
        return err;
    }
    a->events[a->event_count++] = event;
    a->counts.events++;
    return AO_OK;
}

static int take_usage(struct assembly *a, const struct ao_record *r)
{
    int err = ao_ledger_add(a->ledger, r);
    if (err == AO_ERR_USAGE || err == AO_ERR_SYNTAX || err == AO_ERR_TYPE)
        assembly_bad_record(a);
    a->ledger_changed = true;
    return err == AO_ERR_NOMEM ? err : AO_OK;
}

int assembly_record(struct assembly *a, const struct ao_record *record)
{
    struct writer *writer = find_writer(a, record);
    a->counts.records++;
    if (writer)
        count_sequence(a, writer, record);
    switch (record->kind) {
    case AO_KIND_HELLO:
        return take_hello(a, writer, record);
    case AO_KIND_SPAN_START:
    case AO_KIND_SPAN_END:
    case AO_KIND_SPAN:
        return take_span(a, record);
    case AO_KIND_EVENT:
        return take_event(a, record);
    case AO_KIND_USAGE:
        return take_usage(a, record);
    case AO_KIND_BYE:
        take_bye(a, writer, record);
        return AO_OK;
    case AO_KIND_COUNT:
        break;
    }
    assembly_bad_record(a);
    return AO_OK;
}

void assembly_bad_record(struct assembly *a)
{
    a->counts.bad_records++;
}

/* ---- the end ---- */

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
    int err = assembly_touch(a, entry);
    if (!err)
        entry->span.parent_id = a->config.root_id;
    return err;
}

static int close_span(struct assembly *a, struct entry *entry, uint64_t end)
{
    int err = assembly_touch(a, entry);
    if (err)
        return err;
    entry->ended = true;
    entry->span.end = end > entry->span.start ? end : entry->span.start;
    entry->span.unfinished = true;
    return AO_OK;
}

int assembly_finish(struct assembly *a, const struct assembly_end *end)
{
    int err = AO_OK;
    a->counts.subagents = 0;
    for (size_t i = 1; i < a->entry_count && err != AO_ERR_NOMEM; i++) {
        err = mend_parent(a, i);
        if (err != AO_ERR_NOMEM && !a->entries[i].ended)
            err = close_span(a, &a->entries[i], end->end);
        a->counts.subagents += is_subagent(a, &a->entries[i].span);
    }
    struct entry *root = &a->entries[0];
    if (err != AO_ERR_NOMEM)
        err = assembly_touch(a, root);
    if (err)
        return err;
    root->ended = true;
    root->span.start = end->start;
    root->span.end = end->end > root->span.start ? end->end : root->span.start;
    root->span.status = end->status;
    err = assembly_keep(a, &root->span.error_type, ao_str_from(end->error_type));
    if (!err)
        err = assembly_keep(a, &root->span.error_message, ao_str_from(end->error_message));
    if (!err && a->session_id)
        err = assembly_keep(a, &root->span.session_id, ao_str_from(a->session_id));
    a->ledger_changed = true; /* a trace without any usage has a bill too: nothing */
    return err ? err : assembly_settle(a);
}

/* ---- what is known ---- */

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
    return a->counts.hellos > 0 && a->counts.sequence_gaps == 0 && a->counts.bad_records == 0;
}

const char *assembly_session_id(const struct assembly *a)
{
    return a->session_id;
}

const char *assembly_user_id(const struct assembly *a)
{
    return a->user_id;
}

const char *assembly_braintrust_parent(const struct assembly *a)
{
    return a->braintrust_parent;
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
