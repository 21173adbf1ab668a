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

#endif
