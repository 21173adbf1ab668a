#include "host/store/span.h"

#include "core/mem.h"

void span_init(struct span *span)
{
    *span = (struct span){.cost_pusd = AO_COST_UNKNOWN};
}

void span_release(struct span *span)
{
    if (!span)
        return;
    char *texts[] = {
        span->name,       span->type,     span->error_type, span->error_message, span->error_stack, span->input,
        span->output,     span->metadata, span->attributes, span->metrics,       span->tags,        span->tool_call_id,
        span->model,      span->user_id,  span->message_id, span->request_id,    span->session_id,
    };
    for (size_t i = 0; i < AO_ARRAY_LEN(texts); i++)
        ao_free(texts[i]);
    span_init(span);
}

void span_event_release(struct span_event *event)
{
    if (!event)
        return;
    ao_free(event->name);
    ao_free(event->attributes);
    *event = (struct span_event){0};
}

const char *span_status_name(enum span_status status)
{
    switch (status) {
    case SPAN_OK:
        return "ok";
    case SPAN_ERROR:
        return "error";
    case SPAN_UNSET:
        break;
    }
    return "unset";
}
