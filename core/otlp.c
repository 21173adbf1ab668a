#include "core/otlp.h"

#include "core/event_id.h"
#include "core/otlp_vocabulary.h"

/* Field numbers (opentelemetry-proto 1.11, opentelemetry/proto/{collector/,}trace/v1, common/v1, resource/v1). */
enum { REQUEST_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS = 2, RESOURCE_ATTRIBUTES = 1 };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS = 2, SCOPE_NAME = 1, SCOPE_VERSION = 2 };
enum {
    SPAN_TRACE_ID = 1,
    SPAN_SPAN_ID = 2,
    SPAN_PARENT_SPAN_ID = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START = 7,
    SPAN_END = 8,
    SPAN_ATTRIBUTES = 9,
    SPAN_DROPPED_ATTRIBUTES = 10,
    SPAN_EVENTS = 11,
    SPAN_DROPPED_EVENTS = 12,
    SPAN_LINKS = 13,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16,
};
enum { EVENT_TIME = 1, EVENT_NAME = 2, EVENT_ATTRIBUTES = 3, EVENT_DROPPED_ATTRIBUTES = 4 };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2 };
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3, STATUS_OK = 1, STATUS_ERROR = 2 };
enum { KIND_INTERNAL = 1, KIND_CLIENT = 3 };
/* Bits of Span.flags: sampled, and what is known of the parent. */
enum { FLAG_SAMPLED = 0x01, FLAG_HAS_IS_REMOTE = 0x100, FLAG_IS_REMOTE = 0x200 };

void ao_otlp_span_init(struct ao_otlp_span *span)
{
    *span = (struct ao_otlp_span){.cost_pusd = AO_OTLP_COST_UNKNOWN, .run_cost_pusd = AO_OTLP_COST_UNKNOWN};
}

void ao_otlp_moment(const struct ao_trace_id *trace_id, const struct ao_span_id *parent,
                    const struct ao_otlp_event *event, struct ao_otlp_span *ret_span)
{
    ao_otlp_span_init(ret_span);
    ret_span->trace_id = *trace_id;
    ret_span->span_id = ao_event_id(trace_id, parent, event->time, event->ordinal, event->name,
                                    event->attributes);
    ret_span->parent_id = *parent;
    ret_span->start = ret_span->end = event->time;
    ret_span->name = event->name;
    ret_span->attributes = event->attributes;
    ret_span->moment = true;
}

static struct ao_ow writer_of(struct ao_otlp *o)
{
    return (struct ao_ow){o->out, o->format, o->comma};
}

void ao_otlp_begin(struct ao_otlp *o, enum ao_otlp_format format, unsigned vocabularies, struct ao_buf *out)
{
    *o = (struct ao_otlp){.out = out, .format = format, .vocabularies = vocabularies};
    if (format == AO_OTLP_JSON)
        ao_buf_add_char(out, '{');
    struct ao_ow w = writer_of(o);
    ao_ow_list_begin(&w, "resourceSpans");
    o->comma = w.comma;
}

/* ---- the resource ---- */

void ao_otlp_close(struct ao_otlp *o)
{
    struct ao_ow w = writer_of(o);
    if (!o->resource)
        return;
    ao_ow_list_end(&w);
    ao_ow_close(&w, o->scope_at);
    ao_ow_list_end(&w);
    ao_ow_close(&w, o->resource_at);
    o->comma = w.comma;
    o->resource = NULL;
}

static void put_resource(struct ao_ow *w, const struct ao_otlp_resource *resource)
{
    struct ao_keys keys;
    struct ao_oa a;
    size_t at = ao_ow_open(w, RESOURCE_SPANS_RESOURCE, "resource");
    ao_keys_init(&keys);
    ao_oa_init(&a, w, RESOURCE_ATTRIBUTES, &keys, 0);
    for (size_t i = 0; i < resource->pair_count; i++)
        ao_oa_strn(&a, resource->pairs[i].key, resource->pairs[i].value);
    for (size_t i = 0; i < resource->who_count; i++)
        ao_oa_strn(&a, resource->who[i].key, resource->who[i].value);
    ao_oa_members(&a, "", resource->facts, ao_otlp_is_resource_key);
    ao_oa_end(&a);
    ao_ow_close(w, at);
}

void ao_otlp_resource(struct ao_otlp *o, const struct ao_otlp_resource *resource)
{
    ao_otlp_close(o);
    struct ao_ow w = writer_of(o);
    o->resource_at = ao_ow_item(&w, REQUEST_RESOURCE_SPANS);
    put_resource(&w, resource);
    ao_ow_list_begin(&w, "scopeSpans");
    o->scope_at = ao_ow_item(&w, RESOURCE_SPANS_SCOPE_SPANS);
    size_t scope = ao_ow_open(&w, SCOPE_SPANS_SCOPE, "scope");
    ao_ow_string(&w, SCOPE_NAME, "name", AO_STR("agentobs"));
    ao_ow_string(&w, SCOPE_VERSION, "version", AO_STR(AO_VERSION));
    ao_ow_close(&w, scope);
    ao_ow_list_begin(&w, "spans");
    o->comma = w.comma;
    o->resource = resource;
}

/* ---- a span ---- */

static void put_ids(struct ao_ow *w, const struct ao_otlp_span *span)
{
    ao_ow_id(w, SPAN_TRACE_ID, "traceId", span->trace_id.bytes, sizeof(span->trace_id.bytes));
    ao_ow_id(w, SPAN_SPAN_ID, "spanId", span->span_id.bytes, sizeof(span->span_id.bytes));
    if (!ao_span_id_is_zero(&span->parent_id))
        ao_ow_id(w, SPAN_PARENT_SPAN_ID, "parentSpanId", span->parent_id.bytes, sizeof(span->parent_id.bytes));
}

static void put_name(struct ao_ow *w, const struct ao_otlp_span *span, unsigned vocabularies)
{
    struct ao_str name, about;
    ao_otlp_span_name(span, vocabularies, &name, &about);
    size_t at = ao_ow_string_begin(w, SPAN_NAME, "name");
    ao_ow_text(w, name);
    if (about.len) {
        ao_ow_text(w, AO_STR(" "));
        ao_ow_text(w, about);
    }
    ao_ow_string_end(w, at);
}

static void put_dropped(struct ao_ow *w, unsigned field, const char *name, uint64_t count)
{
    if (count)
        ao_ow_uint32(w, field, name, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
}

static void put_event(struct ao_ow *w, const struct ao_otlp_event *event, const struct ao_otlp_pair *pairs, size_t count,
                      size_t value_max)
{
    struct ao_keys keys;
    struct ao_oa a;
    size_t at = ao_ow_item(w, SPAN_EVENTS);
    ao_ow_fixed64(w, EVENT_TIME, "timeUnixNano", event->time);
    ao_ow_string(w, EVENT_NAME, "name", event->name.len ? event->name : AO_STR("unnamed"));
    ao_keys_init(&keys);
    ao_oa_init(&a, w, EVENT_ATTRIBUTES, &keys, value_max);
    for (size_t i = 0; i < count; i++)
        ao_oa_strn(&a, pairs[i].key, pairs[i].value);
    ao_oa_members(&a, "", event->attributes, NULL);
    ao_oa_end(&a);
    put_dropped(w, EVENT_DROPPED_ATTRIBUTES, "droppedAttributesCount", keys.left_out);
    ao_ow_close(w, at);
}

/* The failure as OpenTelemetry's record_exception tells it ("Semantic conventions for exceptions on spans"). */
static void put_exception(struct ao_ow *w, const struct ao_otlp_span *span, uint64_t end, size_t value_max)
{
    const struct ao_otlp_event event = {.time = end, .name = AO_STR("exception")};
    const struct ao_otlp_pair pairs[] = {{AO_STR("exception.type"), span->error_type},
                                         {AO_STR("exception.message"), span->error_message},
                                         {AO_STR("exception.stacktrace"), span->error_stack}};
    if (span->failed && (span->error_type.len || span->error_message.len))
        put_event(w, &event, pairs, AO_ARRAY_LEN(pairs), value_max);
}

static bool has_exception(const struct ao_otlp_span *span)
{
    for (size_t i = 0; i < span->event_count; i++)
        if (ao_str_eq_c(span->events[i].name, "exception"))
            return true;
    return false;
}

static void put_events(struct ao_ow *w, const struct ao_otlp_span *span, uint64_t end, size_t value_max)
{
    ao_ow_list_begin(w, "events");
    for (size_t i = 0; i < span->event_count; i++)
        put_event(w, &span->events[i], NULL, 0, value_max);
    if (!has_exception(span))
        put_exception(w, span, end, value_max);
    ao_ow_list_end(w);
    put_dropped(w, SPAN_DROPPED_EVENTS, "droppedEventsCount", span->dropped_events);
}

static void put_links(struct ao_ow *w, const struct ao_otlp_span *span)
{
    if (span->link_count == 0)
        return;
    ao_ow_list_begin(w, "links");
    for (size_t i = 0; i < span->link_count; i++) {
        const struct ao_otlp_link *link = &span->links[i];
        size_t at = ao_ow_item(w, SPAN_LINKS);
        ao_ow_id(w, LINK_TRACE_ID, "traceId", link->trace_id.bytes, sizeof(link->trace_id.bytes));
        ao_ow_id(w, LINK_SPAN_ID, "spanId", link->span_id.bytes, sizeof(link->span_id.bytes));
        ao_ow_close(w, at);
    }
    ao_ow_list_end(w);
}

static void put_status(struct ao_ow *w, const struct ao_otlp_span *span)
{
    size_t at = ao_ow_open(w, SPAN_STATUS, "status");
    if (span->failed && (span->error_message.len || span->error_type.len))
        ao_ow_string(w, STATUS_MESSAGE, "message", span->error_message.len ? span->error_message : span->error_type);
    if (span->failed || span->ok)
        ao_ow_uint32(w, STATUS_CODE, "code", span->failed ? STATUS_ERROR : STATUS_OK);
    ao_ow_close(w, at);
}

void ao_otlp_span(struct ao_otlp *o, const struct ao_otlp_span *span, size_t value_max)
{
    struct ao_keys keys;
    struct ao_oa a;
    struct ao_ow w = writer_of(o);
    uint64_t end = span->end > span->start ? span->end : span->start;
    uint32_t parent = ao_span_id_is_zero(&span->parent_id) ? 0
                      : FLAG_HAS_IS_REMOTE | (span->parent_remote ? FLAG_IS_REMOTE : 0);
    size_t at = ao_ow_item(&w, SCOPE_SPANS_SPANS);
    put_ids(&w, span);
    put_name(&w, span, o->vocabularies);
    ao_ow_uint32(&w, SPAN_KIND, "kind", ao_otlp_kind(span) == AO_OTLP_KIND_LLM ? KIND_CLIENT : KIND_INTERNAL);
    ao_ow_fixed64(&w, SPAN_START, "startTimeUnixNano", span->start);
    ao_ow_fixed64(&w, SPAN_END, "endTimeUnixNano", end);
    ao_keys_init(&keys);
    ao_oa_init(&a, &w, SPAN_ATTRIBUTES, &keys, value_max);
    ao_otlp_put_attributes(&a, span, o->resource, o->vocabularies);
    ao_oa_end(&a);
    put_dropped(&w, SPAN_DROPPED_ATTRIBUTES, "droppedAttributesCount", keys.left_out);
    put_events(&w, span, end, value_max);
    put_links(&w, span);
    put_status(&w, span);
    ao_ow_fixed32(&w, SPAN_FLAGS, "flags", FLAG_SAMPLED | parent);
    ao_ow_close(&w, at);
    o->comma = w.comma;
}

int ao_otlp_end(struct ao_otlp *o)
{
    ao_otlp_close(o);
    struct ao_ow w = writer_of(o);
    ao_ow_list_end(&w);
    if (o->format == AO_OTLP_JSON)
        ao_buf_add_char(o->out, '}');
    return ao_buf_err(o->out);
}
