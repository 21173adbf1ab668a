/* incoming.h - the trace context that the host itself was started in. */
#ifndef AO_HOST_INCOMING_H
#define AO_HOST_INCOMING_H

#include "core/context.h"

/*
 * Reads TRACEPARENT, TRACESTATE, BAGGAGE and BRAINTRUST_TRACE_CONTEXT. Says on
 * stderr what was malformed; such a carrier is ignored. AO_ERR_NOMEM, AO_ERR_IO
 * (the system has no randomness). Release with ao_context_release.
 */
int incoming_context(struct ao_context *ret_context);

#endif
