/*
 * sink_otlp_private.h - shared by the files of the OTLP sink.
 *
 *   sink_otlp.c          verdicts, life
 *   sink_otlp_encode.c   changes to requests
 */
#ifndef AO_HOST_SINK_OTLP_PRIVATE_H
#define AO_HOST_SINK_OTLP_PRIVATE_H

#include "host/sinks/otlp_settings.h"
#include "host/sinks/sink_otlp.h"

#define OTLP_BATCH_MAX 512u      /* spans of one request: the SDKs' OTEL_BSP_MAX_EXPORT_BATCH_SIZE */
#define OTLP_REQUEST_MIN 4096u   /* learning from 413 goes no lower */

struct otlp {
    struct sink base; /* first */
    const struct otlp_preset *preset;
    struct otlp_settings settings;
    char *environment, *release; /* Langfuse's; NULL */
    size_t request_max;          /* bytes before compression */
    size_t rows, body_bytes;     /* of the request in flight */
};

int otlp_encode(struct sink *sink, const struct change *changes, size_t count, struct http_request *ret_request,
                size_t *ret_consumed);

#endif
