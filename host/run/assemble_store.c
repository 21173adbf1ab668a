/* The assembler's entries: finding, holding, and writing them to the store. */
#include "host/run/assemble_private.h"

#include "core/mem.h"

#define MESSAGE_KEPT 1024u

struct entry *assembly_find(struct assembly *a, const struct ao_span_id *id)
{
    size_t index = idmap_get(&a->spans, id);
    return index == IDMAP_NONE ? NULL : &a->entries[index];
}

static int grow_entries(struct assembly *a)
{
    size_t cap = a->entry_cap ? a->entry_cap * 2 : 64;
    struct entry *entries = ao_realloc(a->entries, cap * sizeof(*entries));
    if (!entries)
        return AO_ERR_NOMEM;
    a->entries = entries;
    a->entry_cap = cap;
    return AO_OK;
}

struct entry *assembly_entry(struct assembly *a, const struct ao_span_id *id, int *ret_err)
{
    struct entry *entry = assembly_find(a, id);
    *ret_err = AO_OK;
    if (entry)
        return entry;
    if (a->entry_count >= AO_SPANS_MAX) {
        *ret_err = AO_ERR_LIMIT;
        return NULL;
    }
    if (a->entry_count == a->entry_cap && (*ret_err = grow_entries(a)))
        return NULL;
    if ((*ret_err = idmap_put(&a->spans, id, a->entry_count)))
        return NULL;
    entry = &a->entries[a->entry_count++];
    *entry = (struct entry){.started = false};
    span_init(&entry->span);
    entry->span.trace_id = a->config.trace_id;
    entry->span.span_id = *id;
    return entry;
}

static size_t payload_bytes(const struct span *span)
{
    size_t bytes = 0;
    const char *const texts[] = {span->input,   span->output, span->attributes,  span->metadata,
                                 span->metrics, span->tags,   span->error_stack, span->error_message};
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        bytes += texts[i] ? strlen(texts[i]) : 0;
    return bytes;
}

static void drop_text(char **text)
{
    ao_free(*text);
    *text = NULL;
}

/* The message of an agent's error may become the run's: its beginning stays. */
static void cut_message(struct span *span)
{
    if (!span->type || strcmp(span->type, "agent") != 0) {
        drop_text(&span->error_message);
    } else if (span->error_message && strlen(span->error_message) > MESSAGE_KEPT) {
        span->error_message[MESSAGE_KEPT] = '\0';
        char *shorter = ao_realloc(span->error_message, MESSAGE_KEPT + 1);
        if (shorter)
            span->error_message = shorter;
    }
}

/* What the assembler itself still needs of a stored span is small: ids, type, times, status, usage. */
static void drop_payload(struct span *span)
{
    cut_message(span);
    drop_text(&span->input);
    drop_text(&span->output);
    drop_text(&span->attributes);
    drop_text(&span->metadata);
    drop_text(&span->metrics);
    drop_text(&span->tags);
    drop_text(&span->error_stack);
}

int assembly_touch(struct assembly *a, struct entry *entry)
{
    if (entry->slim) {
        struct span whole;
        int err = a->store ? store_get_span(a->store, &a->config.trace_id, &entry->span.span_id, &whole)
                           : AO_ERR_NOTFOUND;
        if (err)
            return err;
        span_release(&entry->span);
        entry->span = whole;
        entry->slim = false;
    }
    if (!entry->dirty) {
        entry->dirty = true;
        a->dirty_count++;
    }
    return AO_OK;
}

int assembly_touch_anyway(struct assembly *a, struct entry *entry)
{
    int err = assembly_touch(a, entry);
    if (!err || err == AO_ERR_NOMEM)
        return err;
    entry->slim = false;
    entry->shed = true;
    a->counts.unstored++;
    return assembly_touch(a, entry);
}

static void slim_down(struct entry *entry)
{
    drop_payload(&entry->span);
    entry->slim = true;
    entry->held = 0;
}

/* Open spans keep their payload, as long as it is not too much together. */
static void slim_open(struct assembly *a)
{
    size_t held = 0;
    for (size_t i = 0; i < a->entry_count; i++)
        held += a->entries[i].held;
    for (size_t i = 1; held > AO_UNSTORED_BYTES && i < a->entry_count; i++)
        if (a->entries[i].held)
            slim_down(&a->entries[i]);
}

static void release_events(struct assembly *a)
{
    for (size_t i = 0; i < a->event_count; i++)
        span_event_release(&a->events[i]);
    a->event_count = 0;
}

/* The store does not take anything: keep the skeletons, give up payloads, count it. */
static void shed_payload(struct assembly *a)
{
    for (size_t i = 0; i < a->entry_count; i++) {
        struct entry *entry = &a->entries[i];
        if (!entry->dirty || payload_bytes(&entry->span) == 0)
            continue;
        drop_payload(&entry->span);
        a->counts.unstored += !entry->shed;
        entry->shed = true;
    }
    a->counts.unstored += a->event_count;
    release_events(a);
}

static size_t event_bytes(const struct span_event *event)
{
    return sizeof(*event) + strlen(event->name) + (event->attributes ? strlen(event->attributes) : 0);
}

static size_t waiting_bytes(const struct assembly *a)
{
    size_t bytes = 0;
    for (size_t i = 0; i < a->event_count; i++)
        bytes += event_bytes(&a->events[i]);
    for (size_t i = 0; i < a->entry_count; i++)
        if (a->entries[i].dirty)
            bytes += payload_bytes(&a->entries[i].span);
    return bytes;
}

static int put_all(struct assembly *a, struct store *store)
{
    int err = AO_OK;
    /* Before their spans: an event that comes after the end of its span would go to some sinks by itself. */
    for (size_t i = 0; i < a->event_count && !err; i++)
        err = store_put_event(store, &a->events[i]);
    for (size_t i = 0; i < a->entry_count && !err; i++)
        if (a->entries[i].dirty)
            err = store_put_span(store, &a->entries[i].span);
    if (!err && a->costs_changed)
        err = assembly_put_costs(a, store);
    return err;
}

static void mark_stored(struct assembly *a)
{
    for (size_t i = 0; i < a->entry_count; i++) {
        struct entry *entry = &a->entries[i];
        if (!entry->dirty)
            continue;
        entry->dirty = false;
        if (entry->ended)
            slim_down(entry);
        else
            entry->held = payload_bytes(&entry->span);
    }
    slim_open(a);
    release_events(a);
    a->dirty_count = 0;
    a->costs_changed = false;
}

void assembly_give_up(struct assembly *a)
{
    for (size_t i = 0; i < a->entry_count; i++) {
        a->counts.unstored += a->entries[i].dirty && !a->entries[i].shed;
        a->entries[i].shed |= a->entries[i].dirty;
    }
    a->counts.unstored += a->event_count;
    release_events(a);
}

bool assembly_dirty(const struct assembly *a)
{
    return a->dirty_count > 0 || a->event_count > 0 || a->costs_changed;
}

int assembly_flush(struct assembly *a, struct store *store)
{
    if (!assembly_dirty(a))
        return AO_OK;
    a->trace_fixed = true;
    if (store)
        a->store = store;
    int err = store ? store_begin(store) : AO_ERR_IO;
    if (!err) {
        err = put_all(a, store);
        if (!err)
            err = store_commit(store);
        if (err) {
            store_rollback(store);
            assembly_forget_costs(a);
        }
    }
    if (!err)
        mark_stored(a);
    else if (waiting_bytes(a) > AO_UNSTORED_BYTES)
        shed_payload(a);
    return err;
}
