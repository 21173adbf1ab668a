/* Span -> record -> emitter. */
#include "csrc/put.h"
#include "csrc/span.h"

struct ao_str ao_texts_view(struct ao_texts *texts, PyObject *str)
{
    PyObject *owner;
    struct ao_str view = ao_py_utf8(str, &owner);
    if (owner && texts->count < AO_ARRAY_LEN(texts->owners))
        texts->owners[texts->count++] = owner;
    return view;
}

void ao_texts_release(struct ao_texts *texts)
{
    while (texts->count)
        Py_DECREF(texts->owners[--texts->count]);
}

#define SET_TEXT(field, str)                                     \
    do {                                                         \
        if (str)                                                 \
            AO_SET(record, field, ao_texts_view(texts, (str)));  \
    } while (0)

#define SET_OBJECT(field, members)                              \
    do {                                                        \
        if (ao_members_any(&(members)))                         \
            AO_SET(record, field, ao_members_object(&(members))); \
    } while (0)

/* A view of JSON, or of a str's characters as they lie; the size of one of these, 0 for JSON. */
static unsigned view_value(const struct ao_value *value, struct ao_str *ret_view)
{
    if (!value->text) {
        *ret_view = value->json.len ? ao_buf_str(&value->json) : AO_STR_NONE;
        return 0;
    }
    unsigned unit = (unsigned)PyUnicode_KIND(value->text);
    *ret_view = (struct ao_str){PyUnicode_DATA(value->text), (size_t)PyUnicode_GET_LENGTH(value->text) * unit};
    return unit;
}

static unsigned set_input(const struct ao_span_more *more, struct ao_record *record)
{
    struct ao_str view;
    unsigned unit = view_value(&more->input, &view);
    if (view.ptr)
        AO_SET(record, input, view);
    return (unsigned)AO_UNITS(unit, 0) << AO_PUT_UNITS_SHIFT;
}

static unsigned set_output(const struct ao_span_more *more, struct ao_record *record)
{
    struct ao_str view;
    unsigned unit = view_value(&more->output, &view);
    if (view.ptr)
        AO_SET(record, output, view);
    return (unsigned)AO_UNITS(0, unit) << AO_PUT_UNITS_SHIFT;
}

/* What both halves carry: ids, and whatever was set and not yet sent. Returns flags for the put. */
static unsigned fill_common(struct ao_span *span, struct ao_record *record, struct ao_texts *texts)
{
    struct ao_span_more *more = span->more;
    AO_SET(record, span_id, span->span_id);
    if (span->foreign)
        AO_SET(record, trace_id, span->trace_id);
    SET_OBJECT(attributes, span->attributes);
    if (!span->untold)
        return 0;
    SET_TEXT(model, more->texts[AO_TEXT_MODEL]);
    SET_TEXT(session_id, more->texts[AO_TEXT_SESSION]);
    SET_TEXT(user_id, more->texts[AO_TEXT_USER]);
    SET_OBJECT(metadata, more->metadata);
    SET_OBJECT(metrics, more->metrics);
    if (more->tags.len)
        AO_SET(record, tags, ao_buf_str(&more->tags));
    return set_input(more, record);
}

static void fill_begin(struct ao_span *span, struct ao_record *record, struct ao_texts *texts)
{
    if (!ao_span_id_is_zero(&span->parent_id))
        AO_SET(record, parent_span_id, span->parent_id);
    SET_TEXT(name, span->name);
    SET_TEXT(type, span->type);
    if (span->untold)
        SET_TEXT(tool_call_id, span->more->texts[AO_TEXT_TOOL_CALL]);
}

static unsigned fill_end(const struct ao_span *span, struct ao_record *record, struct ao_texts *texts)
{
    const struct ao_span_more *more = span->more;
    if (!span->untold)
        return 0;
    SET_TEXT(name, more->texts[AO_TEXT_NEW_NAME]);
    SET_TEXT(status, more->texts[AO_TEXT_STATUS]);
    SET_TEXT(error_type, more->texts[AO_TEXT_ERROR_TYPE]);
    SET_TEXT(error_message, more->texts[AO_TEXT_ERROR_MESSAGE]);
    SET_TEXT(error_stack, more->texts[AO_TEXT_ERROR_STACK]);
    return set_output(more, record);
}

/* True when something is left that only an end can tell. */
static bool is_untold(const struct ao_span_more *more)
{
    static const enum ao_span_text ends[] = {AO_TEXT_NEW_NAME, AO_TEXT_STATUS, AO_TEXT_ERROR_TYPE,
                                             AO_TEXT_ERROR_MESSAGE, AO_TEXT_ERROR_STACK};
    for (size_t i = 0; i < AO_ARRAY_LEN(ends); i++)
        if (more->texts[ends[i]])
            return true;
    return more->output.text || more->output.json.len;
}

/* What was sent must not be sent again with the end. */
static void forget_sent(struct ao_span *span)
{
    struct ao_span_more *more = span->more;
    ao_members_sent(&span->attributes);
    if (!span->untold)
        return;
    ao_members_sent(&more->metadata);
    ao_members_sent(&more->metrics);
    Py_CLEAR(more->input.text);
    ao_buf_clear(&more->input.json);
    ao_buf_clear(&more->tags);
    Py_CLEAR(more->texts[AO_TEXT_MODEL]);
    Py_CLEAR(more->texts[AO_TEXT_SESSION]);
    Py_CLEAR(more->texts[AO_TEXT_USER]);
    Py_CLEAR(more->texts[AO_TEXT_TOOL_CALL]);
    span->untold = is_untold(more);
}

static unsigned start_flags(const struct ao_span *span)
{
    return span->type == span->state->types[AO_TYPE_tool] ? AO_PUT_NOW : 0;
}

void ao_span_put_start(struct ao_span *span, uint64_t now)
{
    struct ao_record record;
    struct ao_texts texts;
    texts.count = 0; /* and no more of it: this is quicker than to clear it all */
    record.kind = AO_KIND_SPAN_START;
    record.present = 0;
    AO_SET(&record, time, now);
    if (span->explicit_start)
        AO_SET(&record, start, span->start);
    fill_begin(span, &record, &texts);
    unsigned flags = start_flags(span) | fill_common(span, &record, &texts);
    if (ao_emitter_put_start(&span->state->runtime->emitter, &record, flags, &span->ticket) == AO_OK)
        forget_sent(span);
    ao_texts_release(&texts);
}

/* Fields lie in an item in the order of the schema. */
_Static_assert(AO_FIELD_time < AO_FIELD_trace_id && AO_FIELD_trace_id < AO_FIELD_span_id &&
                   AO_FIELD_span_id < AO_FIELD_parent_span_id && AO_FIELD_parent_span_id < AO_FIELD_name &&
                   AO_FIELD_name < AO_FIELD_type && AO_FIELD_type < AO_FIELD_start &&
                   AO_FIELD_start < AO_FIELD_attributes,
               "the order below");

static struct ao_str ascii_view(PyObject *str)
{
    return (struct ao_str){(const char *)PyUnicode_1BYTE_DATA(str), (size_t)PyUnicode_GET_LENGTH(str)};
}

bool ao_span_put_start_plain(struct ao_span *span, uint64_t now, struct ao_str attributes)
{
    struct ao_emitter *emitter = &span->state->runtime->emitter;
    struct ao_str name = ascii_view(span->name);
    struct ao_str type = ascii_view(span->type);
    struct ao_put put;
    unsigned flags = start_flags(span);
    if (ao_put_begin(emitter, &put, NULL, AO_PUT_BOUND(6, 3, name.len + type.len + attributes.len + 1), flags)) {
        ao_emitter_open(emitter, &span->ticket);
        return false;
    }
    ao_put_word(&put, AO_FIELD_time, &now);
    if (span->foreign)
        ao_put_trace_id(&put, AO_FIELD_trace_id, &span->trace_id);
    ao_put_word(&put, AO_FIELD_span_id, &span->span_id);
    if (!ao_span_id_is_zero(&span->parent_id))
        ao_put_word(&put, AO_FIELD_parent_span_id, &span->parent_id);
    ao_put_text(&put, AO_FIELD_name, name);
    ao_put_text(&put, AO_FIELD_type, type);
    if (span->explicit_start)
        ao_put_word(&put, AO_FIELD_start, &span->start);
    if (attributes.len)
        ao_put_object(&put, AO_FIELD_attributes, attributes);
    ao_put_open(&put, &span->ticket);
    ao_put_commit(emitter, &put, AO_KIND_SPAN_START, flags);
    return true;
}

void ao_span_put_end(struct ao_span *span, uint64_t now, uint64_t end, bool unfinished)
{
    struct ao_record record;
    struct ao_texts texts;
    texts.count = 0; /* and no more of it: this is quicker than to clear it all */
    struct ao_span_more *more = span->more;
    bool started = span->ticket.sent;
    bool error = span->untold && more->texts[AO_TEXT_ERROR_TYPE];
    unsigned flags = error ? AO_PUT_KEEP | AO_PUT_NOW : 0;
    record.kind = started ? AO_KIND_SPAN_END : AO_KIND_SPAN;
    record.present = 0;
    AO_SET(&record, time, now);
    if (end)
        AO_SET(&record, end, end);
    if (unfinished)
        AO_SET(&record, unfinished, true);
    if (!started) {
        /* The start was dropped: the whole span in one record, if there is room now. */
        AO_SET(&record, start, span->start);
        fill_begin(span, &record, &texts);
    }
    flags |= fill_common(span, &record, &texts);
    flags |= fill_end(span, &record, &texts);
    bool rewritten = span->attributes.rewritten || (more && (more->metadata.rewritten || more->metrics.rewritten));
    ao_emitter_put_end(&span->state->runtime->emitter, &record, flags, &span->ticket, started && !rewritten);
    ao_texts_release(&texts);
}
