#include "host/run/assemble.h"

#include "core/json.h"
#include "core/mem.h"
#include "core/redact.h"
#include "host/run/assemble_private.h"

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
    if (!err)
        err = assembly_show_who(a);
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
    idmap_init(&a->event_counts, config->seed);
    idmap_init(&a->responses, config->seed);
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
    ao_free(a->cost_rows);
    idmap_release(&a->spans);
    idmap_release(&a->writer_map);
    idmap_release(&a->event_counts);
    idmap_release(&a->responses);
    ao_bill_release(&a->bill);
    ao_ledger_free(a->ledger);
    ao_free(a->session_id);
    ao_free(a->user_id);
    ao_free(a->agent_session_id);
    for (size_t i = 0; i < WHO_COUNT; i++)
        ao_free(a->who[i]);
    ao_free(a->sandbox.sandbox_id);
    ao_free(a);
}

int assembly_keep(struct assembly *a, char **target, struct ao_str text)
{
    if (!text.ptr)
        return AO_OK;
    char *copy;
    if (ao_redact_needed_with(a->config.redact, text)) {
        struct ao_buf masked;
        unsigned count = 0;
        ao_buf_init(&masked, AO_RECORD_MAX * 2u);
        int err = ao_redact_with(a->config.redact, text, &masked, &count);
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

char *assembly_masked(struct assembly *a, const char *text)
{
    char *copy = NULL;
    (void)assembly_keep(a, &copy, ao_str_from(text));
    return copy;
}

/* ---- writers ---- */

static void add_saturating(uint64_t *count, uint64_t more)
{
    *count = more > UINT64_MAX - *count ? UINT64_MAX : *count + more;
}

/* AO_ERR_NOMEM; *ret_writer is NULL when the record names none, or one too many. */
static int find_writer(struct assembly *a, const struct ao_span_id *id, struct writer **ret_writer)
{
    *ret_writer = NULL;
    size_t index = idmap_get(&a->writer_map, id);
    if (index != IDMAP_NONE) {
        *ret_writer = &a->writers[index];
        return AO_OK;
    }
    if (a->writer_count >= AO_WRITERS_MAX) {
        a->unknown_writer = true;
        a->counts.refused++;
        return AO_OK;
    }
    if (a->writer_count == a->writer_cap) {
        size_t cap = a->writer_cap ? a->writer_cap * 2 : 8;
        struct writer *writers = ao_realloc(a->writers, cap * sizeof(*writers));
        if (!writers)
            return AO_ERR_NOMEM;
        a->writers = writers;
        a->writer_cap = cap;
    }
    if (idmap_put(&a->writer_map, id, a->writer_count))
        return AO_ERR_NOMEM;
    *ret_writer = &a->writers[a->writer_count++];
    **ret_writer = (struct writer){.id = *id};
    return AO_OK;
}

static void count_sequence(struct assembly *a, struct writer *writer, uint64_t seq)
{
    if (seq < writer->next_seq)
        return;
    add_saturating(&writer->gaps, seq - writer->next_seq);
    add_saturating(&a->counts.sequence_gaps, seq - writer->next_seq);
    writer->next_seq = seq == UINT64_MAX ? UINT64_MAX : seq + 1;
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

/* A dialect may have told of spans before; nothing of them is stored yet. */
static void adopt_trace(struct assembly *a, const struct ao_trace_id *id)
{
    a->config.trace_id = *id;
    for (size_t i = 0; i < a->entry_count; i++)
        a->entries[i].span.trace_id = *id;
    for (size_t i = 0; i < a->event_count; i++)
        a->events[i].trace_id = *id;
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
        adopt_trace(a, &record->trace_id);
        if (AO_HAS(record, span_id))
            root->span.parent_id = record->span_id;
    }
    if (AO_HAS(record, resource)) {
        read_resource(a, record->resource);
        if (first)
            err = assembly_merge(a, &root->span.attributes, record->resource);
        if (first && !err)
            err = assembly_show_who(a);
    }
    return err ? err : assembly_touch(a, root);
}

static void take_bye(struct assembly *a, struct writer *writer, const struct ao_record *record)
{
    if (writer && writer->said_bye)
        return;
    a->counts.byes++;
    if (writer)
        writer->said_bye = true;
    if (!AO_HAS(record, dropped))
        return;
    add_saturating(&a->counts.dropped_in_sandbox, record->dropped);
    /* What a writer dropped it had numbered: told once. */
    uint64_t explained = writer && record->dropped < writer->gaps ? record->dropped : writer ? writer->gaps : 0;
    if (explained && a->counts.sequence_gaps != UINT64_MAX) {
        writer->gaps -= explained;
        a->counts.sequence_gaps -= explained;
    }
}

/* ---- spans ---- */

static int take_common(struct assembly *a, struct span *span, const struct ao_record *r)
{
    int err = AO_OK;
    if (AO_HAS(r, name))
        err = assembly_keep(a, &span->name, r->name);
    if (!err && AO_HAS(r, input))
        err = assembly_keep(a, &span->input, r->input);
    if (!err && AO_HAS(r, attributes))
        err = assembly_merge(a, &span->attributes, r->attributes);
    if (!err && AO_HAS(r, metadata))
        err = assembly_merge(a, &span->metadata, r->metadata);
    if (!err && AO_HAS(r, metrics))
        err = assembly_merge(a, &span->metrics, r->metrics);
    if (!err && AO_HAS(r, tags))
        err = assembly_keep(a, &span->tags, r->tags);
    if (!err && AO_HAS(r, model))
        err = assembly_keep(a, &span->model, r->model);
    return err ? err : assembly_take_who(a, span, r);
}

static uint64_t sane_time(uint64_t time)
{
    return time < ASSEMBLY_TIME_MAX ? time : ASSEMBLY_TIME_MAX;
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
    span->start = sane_time(AO_HAS(r, start) ? r->start : AO_HAS(r, time) ? r->time : a->config.start);
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
    span->end = sane_time(AO_HAS(r, end) ? r->end : AO_HAS(r, time) ? r->time : span->start);
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
    if ((err = assembly_touch_anyway(a, entry)))
        return err;
    /* An end whose start was lost still is a span. */
    if (begins || !entry->started)
        err = take_start(a, entry, r);
    if (!err)
        err = take_common(a, &entry->span, r);
    if (!err && r->kind != AO_KIND_SPAN_START)
        err = take_end(a, entry, r);
    return err;
}

static uint64_t hash_event(const struct span_event *event)
{
    uint64_t hash = ao_hash(AO_HASH_START, (struct ao_str){(const char *)event->span_id.bytes, sizeof(event->span_id)});
    hash = ao_hash(hash, (struct ao_str){(const char *)&event->time, sizeof(event->time)});
    hash = ao_hash(ao_hash(hash, ao_str_from(event->name)), AO_STR("\0"));
    return ao_hash(hash, ao_str_from(event->attributes));
}

/*
 * Tells the ordinal. A record that comes twice (same writer, same seq) is one event.
 * Beyond AO_EVENTS_MAX those that are new count as the first of their kind.
 */
static int count_event(struct assembly *a, const struct ao_record *r, struct span_event *event)
{
    uint64_t hash = hash_event(event);
    struct ao_span_id kind = idmap_key(hash), record = kind;
    if (AO_HAS(r, writer) && AO_HAS(r, seq)) {
        hash = ao_hash(hash, (struct ao_str){(const char *)r->writer.bytes, sizeof(r->writer)});
        record = idmap_key(ao_hash(hash, (struct ao_str){(const char *)&r->seq, sizeof(r->seq)}));
        size_t known = idmap_get(&a->event_counts, &record);
        if (known != IDMAP_NONE) {
            event->ordinal = known;
            return AO_OK;
        }
    }
    size_t before = idmap_get(&a->event_counts, &kind);
    if (before == IDMAP_NONE && a->event_counts.count >= AO_EVENTS_MAX)
        return AO_OK;
    event->ordinal = before == IDMAP_NONE ? 0 : before;
    int err = idmap_put(&a->event_counts, &kind, (size_t)event->ordinal + 1);
    return err || ao_span_id_eq(&record, &kind) ? err : idmap_put(&a->event_counts, &record, (size_t)event->ordinal);
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
    struct span_event event = {.trace_id = a->config.trace_id, .time = sane_time(AO_HAS(r, time) ? r->time : a->config.start)};
    /* The incoming context's own span stands for the root, as for a span's parent. */
    if (AO_HAS(r, span_id))
        event.span_id = r->span_id;
    if (!ao_span_id_is_zero(&event.span_id) && ao_span_id_eq(&event.span_id, &a->entries[0].span.parent_id))
        event.span_id = a->config.root_id;
    int err = assembly_keep(a, &event.name, r->name);
    if (!err && AO_HAS(r, attributes))
        err = assembly_keep(a, &event.attributes, r->attributes);
    if (!err)
        err = count_event(a, r, &event);
    if (err) {
        span_event_release(&event);
        return err;
    }
    a->events[a->event_count++] = event;
    a->counts.events++;
    return AO_OK;
}

/* Usage that names no model is its span's; where that has none either, tokens count and the cost is not known. */
static struct ao_record with_model(struct assembly *a, const struct ao_record *r)
{
    struct ao_record named = *r;
    if ((AO_HAS(r, model) && r->model.len) || !AO_HAS(r, scope) || !ao_str_eq_c(r->scope, "request"))
        return named;
    const struct entry *entry = AO_HAS(r, span_id) ? assembly_find(a, &r->span_id) : NULL;
    const char *model = entry ? entry->span.model : NULL;
    AO_SET(&named, model, model && *model ? ao_str_from(model) : AO_STR("unknown"));
    return named;
}

/* The span's entry, when it is an llm span of which no response is known yet; NULL. */
static struct entry *find_call(struct assembly *a, const struct ao_span_id *id)
{
    struct entry *entry = assembly_find(a, id);
    bool call = entry && !entry->responded && entry->span.type && strcmp(entry->span.type, "llm") == 0;
    return call ? entry : NULL;
}

/* An instrumentation's span and the provider's own, beside or below it, may tell of one response: one call. */
static int count_response(struct assembly *a, const struct ao_record *r)
{
    bool named = AO_HAS(r, message_id) && r->message_id.len && AO_HAS(r, span_id);
    struct entry *entry = named ? find_call(a, &r->span_id) : NULL;
    if (!entry)
        return AO_OK;
    struct ao_span_id key = idmap_key(ao_hash(AO_HASH_START, r->message_id));
    if (idmap_get(&a->responses, &key) != IDMAP_NONE)
        a->counts.llm_calls--;
    else if (idmap_put(&a->responses, &key, (size_t)(entry - a->entries)))
        return AO_ERR_NOMEM;
    entry->responded = true;
    struct entry *around = find_call(a, &entry->span.parent_id);
    if (around) {
        around->responded = true;
        a->counts.llm_calls--;
    }
    return AO_OK;
}

static int take_usage(struct assembly *a, const struct ao_record *told)
{
    struct ao_record named = with_model(a, told);
    const struct ao_record *r = &named;
    if (count_response(a, r))
        return AO_ERR_NOMEM;
    if (a->config.earlier && earlier_billed(a->config.earlier, &a->config.trace_id, r, a->ledger))
        return AO_OK;
    int err = ao_ledger_add(a->ledger, r);
    if (err == AO_ERR_USAGE || err == AO_ERR_SYNTAX || err == AO_ERR_TYPE)
        assembly_bad_record(a);
    a->ledger_changed = true;
    return err == AO_ERR_NOMEM ? err : AO_OK;
}

static int take_record(struct assembly *a, struct writer *writer, const struct ao_record *record)
{
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

int assembly_record(struct assembly *a, const struct ao_record *record)
{
    struct writer *writer = NULL;
    int err = AO_HAS(record, writer) ? find_writer(a, &record->writer, &writer) : AO_OK;
    a->counts.records++;
    if (writer && AO_HAS(record, seq))
        count_sequence(a, writer, record->seq);
    if (!err)
        err = take_record(a, writer, record);
    if (err)
        assembly_bad_record(a);
    return err;
}

void assembly_bad_record(struct assembly *a)
{
    a->counts.bad_records++;
}

void assembly_bad_json(struct assembly *a, struct ao_str json)
{
    struct ao_jr r;
    struct ao_str raw;
    struct ao_span_id id;
    uint64_t seq;
    bool has_id = false, has_seq = false;
    assembly_bad_record(a);
    ao_jr_init(&r, json);
    if (ao_jr_next(&r) != AO_JSON_OBJECT_BEGIN)
        return;
    while (!(has_id && has_seq) && ao_jr_next(&r) == AO_JSON_KEY) {
        struct ao_str key = r.text;
        if (ao_jr_skip_value(&r, &raw))
            return;
        if (ao_str_eq_c(key, "writer"))
            has_id = raw.len > 2 && ao_span_id_parse((struct ao_str){raw.ptr + 1, raw.len - 2}, &id) == AO_OK;
        else if (ao_str_eq_c(key, "seq"))
            has_seq = ao_json_u64(raw, &seq) == AO_OK;
    }
    /* A writer is made known by a record that can be read. */
    size_t index = has_id && has_seq ? idmap_get(&a->writer_map, &id) : IDMAP_NONE;
    if (index != IDMAP_NONE)
        count_sequence(a, &a->writers[index], seq);
}
