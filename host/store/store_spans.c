#include "core/mem.h"
#include "host/store/store_private.h"

static uint64_t length(const char *text)
{
    return text ? strlen(text) : 0;
}

/* What a span weighs in a batch: its texts, and something for the rest. */
static uint64_t span_bytes(const struct span *span)
{
    return 256 + length(span->name) + length(span->error_message) + length(span->error_stack) + length(span->tags) +
           length(span->metrics) + length(span->metadata) + length(span->attributes) + length(span->input) +
           length(span->output);
}

static void bind_texts(struct binder *b, const struct span *span)
{
    bind_text(b, span->name);
    bind_text(b, span->type);
    bind_text(b, span->model);
    bind_text(b, span->message_id);
    bind_text(b, span->request_id);
    bind_text(b, span->tool_call_id);
    bind_text(b, span->session_id);
    bind_text(b, span->user_id);
    bind_text(b, span->error_type);
    bind_text(b, span->error_message);
    bind_text(b, span->error_stack);
    bind_text(b, span->tags);
    bind_text(b, span->metrics);
    bind_text(b, span->metadata);
    bind_text(b, span->attributes);
    bind_text(b, span->input);
    bind_text(b, span->output);
}

int store_put_span(struct store *store, const struct span *span)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_PUT_SPAN, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, &span->trace_id);
    bind_span(&b, &span->span_id);
    bind_span(&b, &span->parent_id);
    bind_u64(&b, span->start);
    bind_u64(&b, span->end);
    bind_u64(&b, span_bytes(span));
    bind_int(&b, span->unfinished);
    bind_int(&b, span->status);
    bind_int(&b, span->origin);
    bind_u64(&b, span->first_token);
    bind_money(&b, span->cost_pusd);
    bind_text(&b, span->cost_basis);
    bind_usage(&b, &span->usage);
    bind_texts(&b, span);
    return store_run_bound(store, STMT_PUT_SPAN, &b, "cannot write a span");
}

static void read_texts(struct reader *r, struct span *span)
{
    span->name = read_text(r);
    span->type = read_text(r);
    span->model = read_text(r);
    span->message_id = read_text(r);
    span->request_id = read_text(r);
    span->tool_call_id = read_text(r);
    span->session_id = read_text(r);
    span->user_id = read_text(r);
    span->error_type = read_text(r);
    span->error_message = read_text(r);
    span->error_stack = read_text(r);
    span->tags = read_text(r);
    span->metrics = read_text(r);
    span->metadata = read_text(r);
    span->attributes = read_text(r);
    span->input = read_text(r);
    span->output = read_text(r);
}

int store_read_span(sqlite3_stmt *stmt, struct span *ret_span)
{
    struct reader r = {.stmt = stmt};
    struct span span;
    span_init(&span);
    span.trace_id = read_trace(&r);
    span.span_id = read_span(&r);
    span.parent_id = read_span(&r);
    span.start = read_u64(&r);
    span.end = read_u64(&r);
    r.column++; /* bytes */
    span.unfinished = read_int(&r) != 0;
    span.status = (enum span_status)read_int(&r);
    span.origin = (enum span_origin)read_int(&r);
    span.first_token = read_u64(&r);
    span.cost_pusd = read_money(&r);
    span.cost_basis = read_basis(&r);
    span.usage = read_usage(&r);
    read_texts(&r, &span);
    if (r.err) {
        span_release(&span);
        return r.err;
    }
    *ret_span = span;
    return AO_OK;
}

struct each_span {
    store_span_fn *fn;
    void *user;
};

static int give_span(void *user, sqlite3_stmt *stmt)
{
    const struct each_span *each = user;
    struct span span;
    int err = store_read_span(stmt, &span);
    if (err)
        return err;
    bool stop = each->fn(each->user, &span) != 0;
    span_release(&span);
    return stop;
}

int store_each_span(struct store *store, const struct ao_trace_id *trace_id, store_span_fn *fn, void *user)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_SPAN_EACH, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, trace_id);
    struct each_span each = {fn, user};
    return store_each_row(store, STMT_SPAN_EACH, &b, give_span, &each, "cannot read the spans");
}

static int keep_span(void *user, sqlite3_stmt *stmt)
{
    struct span **found = user;
    int err = store_read_span(stmt, *found);
    if (!err)
        *found = NULL;
    return err;
}

int store_get_span(struct store *store, const struct ao_trace_id *trace_id, const struct ao_span_id *span_id,
                   struct span *ret_span)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_SPAN_BY_ID, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, trace_id);
    bind_span(&b, span_id);
    struct span *wanted = ret_span;
    err = store_each_row(store, STMT_SPAN_BY_ID, &b, keep_span, &wanted, "cannot read a span");
    return err ? err : wanted ? AO_ERR_NOTFOUND : AO_OK;
}

/* ---- events ---- */

int store_put_event(struct store *store, const struct span_event *event)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_PUT_EVENT, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, &event->trace_id);
    bind_span(&b, &event->span_id);
    bind_u64(&b, event->time);
    bind_u64(&b, 128 + length(event->name) + length(event->attributes));
    bind_text(&b, event->name);
    bind_text(&b, event->attributes);
    bind_u64(&b, event->ordinal);
    return store_run_bound(store, STMT_PUT_EVENT, &b, "cannot write an event");
}

int store_read_event(sqlite3_stmt *stmt, struct span_event *ret_event)
{
    struct reader r = {.stmt = stmt};
    struct span_event event = {.trace_id = read_trace(&r)};
    event.span_id = read_span(&r);
    event.time = read_u64(&r);
    event.name = read_text(&r);
    event.attributes = read_text(&r);
    event.ordinal = read_u64(&r);
    if (r.err) {
        span_event_release(&event);
        return r.err;
    }
    *ret_event = event;
    return AO_OK;
}

struct each_event {
    store_event_fn *fn;
    void *user;
};

static int give_event(void *user, sqlite3_stmt *stmt)
{
    const struct each_event *each = user;
    struct span_event event;
    int err = store_read_event(stmt, &event);
    if (err)
        return err;
    bool stop = each->fn(each->user, &event) != 0;
    span_event_release(&event);
    return stop;
}

int store_each_event(struct store *store, const struct ao_trace_id *trace_id, store_event_fn *fn, void *user)
{
    int err = AO_OK;
    struct binder b = {.stmt = store_take(store, STMT_EVENT_EACH, &err)};
    if (!b.stmt)
        return err;
    bind_trace(&b, trace_id);
    struct each_event each = {fn, user};
    return store_each_row(store, STMT_EVENT_EACH, &b, give_event, &each, "cannot read the events");
}
