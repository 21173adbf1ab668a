/* What a sink has yet to deal with. */
#include <stdlib.h>

#include "core/json_object.h"
#include "core/mem.h"
#include "host/store/store_private.h"

#define CHANGES_MAX 65536u /* of one batch, whatever the caller asks for */
#define EVENTS_MAX 65536u  /* of one span */

/* One change of the window, before its span or event is read. */
struct entry {
    int64_t position;
    int64_t row; /* of spans, or -row of events */
};

/* The window being gathered. Slots: a hash of row to index + 1 in entries, twice as many as entries at least. */
struct window {
    struct entry *entries;
    size_t count, cap;
    uint32_t *slots;
    size_t slot_count; /* a power of two */
    size_t limit;
    size_t bytes, max_bytes;
    int64_t last;
    bool ended; /* for a sink that takes a span once */
};

/* The batch's memory: the runs that its changes share, then the changes. */
struct batch_block {
    struct run **runs;
    size_t run_count;
    struct change changes[];
};

static size_t slot_of(const struct window *w, int64_t row)
{
    size_t slot = (size_t)((uint64_t)row * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (w->slot_count - 1);
    while (w->slots[slot] && w->entries[w->slots[slot] - 1].row != row)
        slot = (slot + 1) & (w->slot_count - 1);
    return slot;
}

static int window_grow(struct window *w)
{
    if (w->count < w->cap)
        return AO_OK;
    size_t cap = w->cap ? w->cap * 2 : 64;
    struct entry *entries = ao_realloc(w->entries, cap * sizeof(*entries));
    if (!entries)
        return AO_ERR_NOMEM;
    w->entries = entries;
    uint32_t *slots = ao_calloc(cap * 2, sizeof(*slots));
    if (!slots)
        return AO_ERR_NOMEM;
    ao_free(w->slots);
    w->slots = slots;
    w->slot_count = cap * 2;
    w->cap = cap;
    for (size_t i = 0; i < w->count; i++)
        slots[slot_of(w, w->entries[i].row)] = (uint32_t)i + 1;
    return AO_OK;
}

static int gather(void *user, sqlite3_stmt *stmt)
{
    struct window *w = user;
    int64_t position = sqlite3_column_int64(stmt, 0);
    bool is_span = sqlite3_column_type(stmt, 1) != SQLITE_NULL;
    int64_t row = is_span ? sqlite3_column_int64(stmt, 1) : -sqlite3_column_int64(stmt, 2);
    int64_t bytes = sqlite3_column_int64(stmt, 3);
    if (!sqlite3_column_int(stmt, 4)) {
        w->last = position;
        return 0;
    }
    int err = window_grow(w);
    if (err)
        return err;
    size_t slot = slot_of(w, row);
    if (w->slots[slot]) { /* a later change of the same span takes its place */
        w->entries[w->slots[slot] - 1].position = position;
        w->last = position;
        return 0;
    }
    size_t weight = bytes > 0 ? (size_t)bytes : 0;
    if (w->count > 0 && (w->count >= w->limit || weight > w->max_bytes - w->bytes))
        return 1;
    w->bytes = weight > w->max_bytes - w->bytes ? w->max_bytes : w->bytes + weight;
    w->entries[w->count++] = (struct entry){position, row};
    w->slots[slot] = (uint32_t)w->count;
    w->last = position;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    int64_t x = ((const struct entry *)a)->position;
    int64_t y = ((const struct entry *)b)->position;
    return (x > y) - (x < y);
}

/* ---- reading the spans, events and runs of the window ---- */

static int take_span(void *user, sqlite3_stmt *stmt)
{
    int err = store_read_span(stmt, user);
    return err ? err : 1;
}

static int take_event(void *user, sqlite3_stmt *stmt)
{
    int err = store_read_event(stmt, user);
    return err ? err : 1;
}

static int load_row(struct store *store, enum store_stmt which, int64_t row, store_row_fn *fn, void *into)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    bind_int(&b, row);
    return store_each_row(store, which, &b, fn, into, "cannot read a change");
}

/* ---- what only those sinks ask for that take a span once ---- */

static int take_facts(void *user, sqlite3_stmt *stmt)
{
    struct run *run = user;
    struct reader r = {.stmt = stmt};
    run->root_tags = read_text(&r);
    run->root_attributes = read_text(&r);
    return r.err ? r.err : 1;
}

/* The root of the session's run before, which the root span names by its trace. */
static int find_previous(struct store *store, struct run *run)
{
    struct run before;
    struct ao_trace_id trace_id;
    struct ao_str raw = ao_json_member(ao_str_from(run->root_attributes), AO_STR("agentobs.previous_trace_id"));
    if (raw.len < 2 || ao_trace_id_parse((struct ao_str){raw.ptr + 1, raw.len - 2}, &trace_id))
        return AO_OK;
    int err = store_first_run(store, &trace_id, &before);
    if (err)
        return err == AO_ERR_NOTFOUND ? AO_OK : err;
    run->previous_trace = trace_id;
    run->previous_root = before.root_id;
    run_release(&before);
    return AO_OK;
}

static int load_root_facts(struct store *store, struct run *run)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_ROOT_FACTS, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, &run->trace_id);
    bind_span(&b, &run->root_id);
    err = store_each_row(store, STMT_ROOT_FACTS, &b, take_facts, run, "cannot read the root of a run");
    return err ? err : find_previous(store, run);
}

static int add_event(void *user, sqlite3_stmt *stmt)
{
    struct change *change = user;
    if (change->event_count >= EVENTS_MAX)
        return 1;
    struct span_event *events = ao_realloc(change->events, (change->event_count + 1) * sizeof(*events));
    if (!events)
        return AO_ERR_NOMEM;
    change->events = events;
    int err = store_read_event(stmt, &events[change->event_count]);
    change->event_count += !err;
    return err;
}

static int load_events(struct store *store, struct change *change)
{
    const struct span *span = change->span;
    bool root = change->run && ao_span_id_eq(&change->run->root_id, &span->span_id);
    enum store_stmt which = root ? STMT_EVENTS_OF_ROOT : STMT_EVENTS_OF_SPAN;
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, &span->trace_id);
    bind_span(&b, &span->span_id);
    return store_each_row(store, which, &b, add_event, change, "cannot read the events of a span");
}

/* ---- both ---- */

static int load_run(struct store *store, struct batch_block *block, const struct ao_trace_id *trace_id, bool facts,
                    struct run **ret_run)
{
    for (size_t i = block->run_count; i-- > 0;) {
        if (ao_trace_id_eq(&block->runs[i]->trace_id, trace_id)) {
            *ret_run = block->runs[i];
            return AO_OK;
        }
    }
    struct run *run = ao_malloc(sizeof(*run));
    if (!run)
        return store_refuse(store, AO_ERR_NOMEM, ao_err_text(AO_ERR_NOMEM));
    int err = store_first_run(store, trace_id, run);
    if (err) {
        ao_free(run);
        *ret_run = NULL;
        return err == AO_ERR_NOTFOUND ? AO_OK : err;
    }
    err = facts ? load_root_facts(store, run) : AO_OK;
    if (err) {
        run_release(run);
        ao_free(run);
        return err;
    }
    struct run **runs = ao_realloc(block->runs, (block->run_count + 1) * sizeof(*runs));
    if (!runs) {
        run_release(run);
        ao_free(run);
        return store_refuse(store, AO_ERR_NOMEM, ao_err_text(AO_ERR_NOMEM));
    }
    block->runs = runs;
    *ret_run = runs[block->run_count++] = run;
    return AO_OK;
}

static int load_change(struct store *store, struct batch_block *block, const struct entry *entry, bool ended,
                       struct change *change)
{
    const struct ao_trace_id *trace_id;
    int err;
    change->position = entry->position;
    if (entry->row > 0) {
        change->span = ao_malloc(sizeof(*change->span));
        if (!change->span)
            return store_refuse(store, AO_ERR_NOMEM, ao_err_text(AO_ERR_NOMEM));
        span_init(change->span);
        err = load_row(store, STMT_SPAN_BY_ROW, entry->row, take_span, change->span);
        trace_id = &change->span->trace_id;
    } else {
        change->event = ao_calloc(1, sizeof(*change->event));
        if (!change->event)
            return store_refuse(store, AO_ERR_NOMEM, ao_err_text(AO_ERR_NOMEM));
        err = load_row(store, STMT_EVENT_BY_ROW, -entry->row, take_event, change->event);
        trace_id = &change->event->trace_id;
    }
    if (!err && ao_trace_id_is_zero(trace_id))
        err = store_refuse(store, AO_ERR_CORRUPT, "the log names a span or an event that is not there");
    if (!err)
        err = load_run(store, block, trace_id, ended, &change->run);
    return err || !ended || !change->span ? err : load_events(store, change);
}

static int load_window(struct store *store, const struct window *w, struct change_batch *ret_batch)
{
    struct change_batch batch = {.last = w->last};
    if (w->count > 0) {
        struct batch_block *block = ao_calloc(1, sizeof(*block) + w->count * sizeof(block->changes[0]));
        if (!block)
            return store_refuse(store, AO_ERR_NOMEM, ao_err_text(AO_ERR_NOMEM));
        batch.changes = block->changes;
        while (batch.count < w->count) {
            const struct entry *entry = &w->entries[batch.count];
            int err = load_change(store, block, entry, w->ended, &batch.changes[batch.count++]);
            if (err) {
                change_batch_release(&batch);
                return err;
            }
        }
    }
    *ret_batch = batch;
    return AO_OK;
}

static int read_changes(struct store *store, const char *sink, int64_t position, size_t limit, size_t max_bytes,
                        struct change_batch *ret_batch)
{
    int err = AO_OK;
    struct window w = {
        .limit = limit < 1 ? 1 : limit > CHANGES_MAX ? CHANGES_MAX : limit,
        .max_bytes = max_bytes,
        .last = position,
        .ended = sink != NULL,
    };
    struct binder b = {.stmt = store_take(store, STMT_CHANGES, &err)};
    if (!b.stmt)
        return err;
    bind_int(&b, position);
    bind_text(&b, sink);
    err = store_each_row(store, STMT_CHANGES, &b, gather, &w, "cannot read the log");
    if (!err) {
        if (w.count > 1)
            qsort(w.entries, w.count, sizeof(w.entries[0]), compare_entries);
        err = load_window(store, &w, ret_batch);
    }
    ao_free(w.entries);
    ao_free(w.slots);
    return err;
}

int store_read_changes(struct store *store, int64_t position, size_t limit, size_t max_bytes,
                       struct change_batch *ret_batch)
{
    return read_changes(store, NULL, position, limit, max_bytes, ret_batch);
}

int store_read_ended(struct store *store, const char *sink, int64_t position, size_t limit, size_t max_bytes,
                     struct change_batch *ret_batch)
{
    return read_changes(store, sink, position, limit, max_bytes, ret_batch);
}

void change_batch_release(struct change_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->count; i++) {
        span_release(batch->changes[i].span);
        ao_free(batch->changes[i].span);
        span_event_release(batch->changes[i].event);
        ao_free(batch->changes[i].event);
        for (size_t k = 0; k < batch->changes[i].event_count; k++)
            span_event_release(&batch->changes[i].events[k]);
        ao_free(batch->changes[i].events);
    }
    if (batch->changes) {
        struct batch_block *block =
            (struct batch_block *)(void *)((char *)batch->changes - offsetof(struct batch_block, changes));
        for (size_t i = 0; i < block->run_count; i++) {
            run_release(block->runs[i]);
            ao_free(block->runs[i]);
        }
        ao_free(block->runs);
        ao_free(block);
    }
    *batch = (struct change_batch){.last = batch->last};
}

/* ---- counting ---- */

static int take_count(void *user, sqlite3_stmt *stmt)
{
    struct reader r = {.stmt = stmt};
    *(uint64_t *)user = read_u64(&r);
    return 1;
}

static int count_after(struct store *store, enum store_stmt which, const char *sink,
                       const struct ao_trace_id *trace_id, uint64_t *ret_count)
{
    struct cursor cursor;
    int err = store_get_cursor(store, sink, &cursor);
    if (err)
        return err;
    int64_t position = cursor.position;
    cursor_release(&cursor);
    struct binder b = {.stmt = store_take(store, which, &err)};
    if (!b.stmt)
        return err;
    if (trace_id)
        bind_trace(&b, trace_id);
    bind_int(&b, position);
    uint64_t count = 0;
    err = store_each_row(store, which, &b, take_count, &count, "cannot count what is pending");
    if (!err)
        *ret_count = count;
    return err;
}

int store_pending(struct store *store, const char *sink, uint64_t *ret_count)
{
    return count_after(store, STMT_PENDING, sink, NULL, ret_count);
}

int store_pending_trace(struct store *store, const char *sink, const struct ao_trace_id *trace_id, uint64_t *ret_count)
{
    return count_after(store, STMT_PENDING_TRACE, sink, trace_id, ret_count);
}
