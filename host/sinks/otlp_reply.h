/*
 * otlp_reply.h - what an OTLP endpoint answers: ExportTraceServiceResponse, in
 * either encoding whatever was asked for (Langfuse answers protobuf with JSON).
 *
 * Pure: a body in, numbers and an owned text out. Untrusted: a proxy may have written it.
 */
#ifndef AO_HOST_OTLP_REPLY_H
#define AO_HOST_OTLP_REPLY_H

#include "core/base.h"
#include "core/err.h"

struct otlp_partial {
    uint64_t rejected; /* spans that were not taken */
    char *message;     /* ao_free; NULL: none */
};

/*
 * AO_OK, also for an empty body and for fields that are not known (all zero then). AO_ERR_TYPE: HTML or the like,
 * AO_ERR_NOMEM.
 */
int otlp_partial_parse(struct ao_str body, struct otlp_partial *ret_partial);

#endif
