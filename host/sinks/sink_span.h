/*
 * sink_span.h - what every sink's encoder is told of a span, and the span itself does not say.
 */
#ifndef AO_HOST_SINK_SPAN_H
#define AO_HOST_SINK_SPAN_H

#include "core/token_counts.h"
#include "host/store/span.h"

/* Whose model a span's is, unless the program itself says so; absent: not known. */
struct ao_str sink_span_provider(const struct span *span);
/* The instrumentation that told of it. */
struct ao_str sink_span_origin(const struct span *span);
struct ao_token_counts sink_span_usage(const struct span_usage *usage);

/* What the encoders (struct ao_bt_span, struct ao_otlp_span) have in common, from a struct span *: designated initialisers. */
#define SINK_SPAN_FIELDS(span)                             \
    .trace_id = (span)->trace_id,                          \
    .span_id = (span)->span_id,                            \
    .parent_id = (span)->parent_id,                        \
    .name = ao_str_from((span)->name),                     \
    .type = ao_str_from((span)->type),                     \
    .start = (span)->start,                                \
    .end = (span)->end,                                    \
    .first_token = (span)->first_token,                    \
    .unfinished = (span)->unfinished,                      \
    .failed = (span)->status == SPAN_ERROR,                \
    .error_type = ao_str_from((span)->error_type),         \
    .error_message = ao_str_from((span)->error_message),   \
    .error_stack = ao_str_from((span)->error_stack),       \
    .input = ao_str_from((span)->input),                   \
    .output = ao_str_from((span)->output),                 \
    .attributes = ao_str_from((span)->attributes),         \
    .metadata = ao_str_from((span)->metadata),             \
    .metrics = ao_str_from((span)->metrics),               \
    .tags = ao_str_from((span)->tags),                     \
    .tool_call_id = ao_str_from((span)->tool_call_id),     \
    .model = ao_str_from((span)->model),                   \
    .provider = sink_span_provider(span),                  \
    .message_id = ao_str_from((span)->message_id),         \
    .request_id = ao_str_from((span)->request_id),         \
    .session_id = ao_str_from((span)->session_id),         \
    .user_id = ao_str_from((span)->user_id),               \
    .usage = sink_span_usage(&(span)->usage),              \
    .cost_pusd = (span)->cost_pusd,                        \
    .cost_basis = ao_str_from((span)->cost_basis)

#endif
