/* Span -> record -> emitter. */
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

#define SET_RAW(field, buf)                            \
    do {                                               \
        if ((buf).len)                                 \
            AO_SET(record, field, ao_buf_str(&(buf))); \
    } while (0)

#define SET_OBJECT(field)                                             \
    do {                                                              \
        if (ao_members_any(&span->field)) {                           \
            AO_SET(record, field, ao_members_object(&span->field));   \
        }                                                             \
    } while (0)

/* What both halves carry: ids, and whatever was set and not yet sent. */
static void fill_common(struct ao_span *span, struct ao_record *record, struct ao_texts *texts)
{
    AO_SET(record, span_id, span->span_id);
    if (span->foreign)
        AO_SET(record, trace_id, span->trace_id);
    SET_TEXT(model, span->texts[AO_TEXT_MODEL]);
    SET_TEXT(session_id, span->texts[AO_TEXT_SESSION]);
    SET_TEXT(user_id, span->texts[AO_TEXT_USER]);
    SET_RAW(input, span->input);
    SET_RAW(tags, span->tags);
    SET_OBJECT(attributes);
    SET_OBJECT(metadata);
    SET_OBJECT(metrics);
}

static void fill_begin(struct ao_span *span, struct ao_record *record, struct ao_texts *texts)
{
    if (!ao_span_id_is_zero(&span->parent_id))
        AO_SET(record, parent_span_id, span->parent_id);
    SET_TEXT(name, span->name);
    SET_TEXT(type, span->type);
    SET_TEXT(tool_call_id, span->texts[AO_TEXT_TOOL_CALL]);
}

static void fill_end(struct ao_span *span, struct ao_record *record, struct ao_texts *texts)
{
    SET_TEXT(name, span->texts[AO_TEXT_NEW_NAME]);
    SET_TEXT(status, span->texts[AO_TEXT_STATUS]);
    SET_TEXT(error_type, span->texts[AO_TEXT_ERROR_TYPE]);
    SET_TEXT(error_message, span->texts[AO_TEXT_ERROR_MESSAGE]);
    SET_TEXT(error_stack, span->texts[AO_TEXT_ERROR_STACK]);
    SET_RAW(output, span->output);
}

/* What was sent must not be sent again with the end. */
static void forget_sent(struct ao_span *span)
{
    ao_members_sent(&span->attributes);
    ao_members_sent(&span->metadata);
    ao_members_sent(&span->metrics);
    ao_buf_clear(&span->input);
    ao_buf_clear(&span->tags);
    Py_CLEAR(span->texts[AO_TEXT_MODEL]);
    Py_CLEAR(span->texts[AO_TEXT_SESSION]);
    Py_CLEAR(span->texts[AO_TEXT_USER]);
}

void ao_span_put_start(struct ao_span *span, uint64_t now)
{
    struct ao_record record;
    struct ao_texts texts = {.count = 0};
    bool tool = span->type == span->state->str_tool;
    record.kind = AO_KIND_SPAN_START;
    record.present = 0;
    AO_SET(&record, time, now);
    if (span->explicit_start)
        AO_SET(&record, start, span->start);
    fill_begin(span, &record, &texts);
    fill_common(span, &record, &texts);
    int err = ao_emitter_put(&span->state->runtime->emitter, &record, tool ? AO_PUT_NOW : 0, &span->ticket);
    span->started = err == AO_OK;
    if (span->started)
        forget_sent(span);
    ao_texts_release(&texts);
}

void ao_span_put_end(struct ao_span *span, uint64_t now, uint64_t end, bool unfinished)
{
    struct ao_emitter *emitter = &span->state->runtime->emitter;
    struct ao_record record;
    struct ao_texts texts = {.count = 0};
    bool error = span->texts[AO_TEXT_ERROR_TYPE] != NULL;
    unsigned flags = error ? AO_PUT_KEEP | AO_PUT_NOW : 0;
    record.kind = span->started ? AO_KIND_SPAN_END : AO_KIND_SPAN;
    record.present = 0;
    AO_SET(&record, time, now);
    if (end)
        AO_SET(&record, end, end);
    if (unfinished)
        AO_SET(&record, unfinished, true);
    if (!span->started) {
        /* The start was dropped: the whole span in one record, if there is room now. */
        AO_SET(&record, start, span->start);
        fill_begin(span, &record, &texts);
    }
    fill_common(span, &record, &texts);
    fill_end(span, &record, &texts);
    bool rewritten = span->attributes.rewritten || span->metadata.rewritten || span->metrics.rewritten;
    if (span->started && !rewritten)
        ao_emitter_put_end(emitter, &record, flags, &span->ticket);
    else
        ao_emitter_put(emitter, &record, flags, NULL);
    ao_texts_release(&texts);
}
