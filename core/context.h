/*
 * context.h - the context that arrives in the environment, of all carriers
 * together, and which of them a process continues.
 *
 * Carrier names follow the OpenTelemetry specification "Environment Variables
 * as Context Propagation Carriers".
 */
#ifndef AO_CONTEXT_H
#define AO_CONTEXT_H

#include "core/buf.h"
#include "core/id.h"
#include "core/limits.h"

enum ao_context_source {
    AO_CONTEXT_NEW,         /* nothing usable came: a new root */
    AO_CONTEXT_TRACEPARENT, /* W3C */
    AO_CONTEXT_BRAINTRUST,  /* the slug's root span, hex or UUID */
};

enum ao_context_bad { /* bits: which carrier was malformed and ignored */
    AO_BAD_TRACEPARENT = 1,
    AO_BAD_TRACESTATE = 2,
    AO_BAD_BAGGAGE = 4,
    AO_BAD_BRAINTRUST = 8,
};

/* X(member of ao_context_env, environment variable, bit of a malformed one) */
#define AO_CONTEXT_CARRIERS(X)                            \
    X(traceparent, "TRACEPARENT", AO_BAD_TRACEPARENT)     \
    X(tracestate, "TRACESTATE", AO_BAD_TRACESTATE)        \
    X(baggage, "BAGGAGE", AO_BAD_BAGGAGE)                 \
    X(braintrust, "BRAINTRUST_TRACE_CONTEXT", AO_BAD_BRAINTRUST)

/* Inputs; absent (AO_STR_NONE) or empty means unset. */
struct ao_context_env {
    struct ao_str traceparent;
    struct ao_str tracestate;
    struct ao_str baggage;
    struct ao_str braintrust;
};

struct ao_context {
    struct ao_trace_id trace_id;
    struct ao_span_id parent_id; /* zero for a new root */
    uint8_t flags;               /* sampled and random bits */
    enum ao_context_source source;
    unsigned bad; /* enum ao_context_bad */
    struct ao_buf tracestate;         /* normalised; empty when none */
    struct ao_buf baggage;            /* as it came, bounded; empty when none */
    struct ao_buf braintrust_parent;  /* container form, from the slug or the baggage member braintrust.parent */
    /*
     * Of a slug from an SDK that still uses UUIDs: its ids verbatim, else empty.
     * The trace id is then the root's UUID and parent_id is zero.
     */
    char legacy_root_span_id[AO_NAME_MAX + 1];
    char legacy_span_id[AO_NAME_MAX + 1];
};

/*
 * Precedence: TRACEPARENT, then BRAINTRUST_TRACE_CONTEXT (which names the
 * Braintrust parent object in either case), else a new root with the random flag.
 * A bad value never fails: it is ignored and its bit set in `bad`.
 * AO_ERR_NOMEM is the only error. Release with ao_context_release.
 */
int ao_context_from_env(const struct ao_context_env *env, struct ao_prng *prng, struct ao_context *ret_context);
void ao_context_release(struct ao_context *context);

#endif
