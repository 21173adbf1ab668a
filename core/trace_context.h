/*
 * trace_context.h - context that arrives in the environment: W3C traceparent
 * and tracestate (Trace Context Level 2), W3C baggage, and Braintrust's
 * exported span slugs.
 *
 * Carrier names follow the OpenTelemetry specification "Environment Variables
 * as Context Propagation Carriers". Nothing here allocates but the buffers
 * that the caller hands in.
 */
#ifndef AO_TRACE_CONTEXT_H
#define AO_TRACE_CONTEXT_H

#include "core/base.h"
#include "core/buf.h"
#include "core/id.h"
#include "core/limits.h"

#define AO_FLAG_SAMPLED 0x01u
#define AO_FLAG_RANDOM 0x02u
#define AO_TRACEPARENT_LEN 55u

/* ---- traceparent, section 3.2 ---- */

struct ao_traceparent {
    struct ao_trace_id trace_id;
    struct ao_span_id parent_id;
    uint8_t version;
    uint8_t flags; /* all eight bits as they came */
};

/* Surrounding SP and HTAB are ignored. AO_ERR_SYNTAX on anything that the spec rejects. */
int ao_traceparent_parse(struct ao_str text, struct ao_traceparent *ret_parent);
/* Version 00; only the sampled and random flags are passed on. Writes 55 bytes and a NUL. */
void ao_traceparent_format(const struct ao_traceparent *parent, char out[AO_TRACEPARENT_LEN + 1]);

/* ---- tracestate, section 3.3 ---- */

struct ao_tracestate_member {
    struct ao_str key;
    struct ao_str value;
};

struct ao_tracestate {
    struct ao_tracestate_member members[AO_TRACESTATE_MEMBERS_MAX]; /* views into the text */
    size_t count;
};

/*
 * AO_ERR_SYNTAX discards the whole list (as the W3C test suite expects); of
 * duplicate keys the first is kept. Never affects a good traceparent.
 */
int ao_tracestate_parse(struct ao_str text, struct ao_tracestate *ret_state);
/* key=value,key=value; normalised. */
void ao_tracestate_format(const struct ao_tracestate *state, struct ao_buf *out);

/* ---- baggage, W3C Baggage section 3.2 ---- */

struct ao_baggage_member {
    struct ao_str key;        /* verbatim */
    struct ao_str value;      /* still percent-encoded */
    struct ao_str properties; /* verbatim, after the first ';', may be absent */
    struct ao_str whole;      /* the member as it came, trimmed */
};

/* An iterator; malformed members are skipped and counted. */
struct ao_baggage {
    struct ao_str rest;
    size_t seen;
    size_t skipped;
};

void ao_baggage_init(struct ao_baggage *it, struct ao_str text);
/* 1 and a member, or 0 at the end (also when AO_BAGGAGE_MEMBERS_MAX or AO_BAGGAGE_MAX is reached). */
int ao_baggage_next(struct ao_baggage *it, struct ao_baggage_member *ret_member);
/* Percent-decodes; a bad escape stays as it is, invalid UTF-8 becomes U+FFFD, '+' stays '+'. */
int ao_percent_decode(struct ao_str text, struct ao_buf *out);
/* encodeURIComponent of UTF-8: unreserved are A-Z a-z 0-9 - _ . ! ~ * ' ( ). */
int ao_percent_encode(struct ao_str utf8, struct ao_buf *out);
/*
 * The incoming baggage with key=value put last (its old members removed) within
 * 64 members and 8192 bytes, ours reserved first; an absent value only relays.
 */
int ao_baggage_set(struct ao_str text, struct ao_str key, struct ao_str value, struct ao_buf *out);

/* ---- Braintrust: exported span slugs (SpanComponents V3 and V4) ---- */

enum ao_bt_object {
    AO_BT_EXPERIMENT = 1,
    AO_BT_PROJECT_LOGS = 2,
    AO_BT_PLAYGROUND_LOGS = 3,
};

/* All strings are NUL-terminated, empty when absent. */
struct ao_bt_parent {
    enum ao_bt_object object_type;
    char object_id[AO_NAME_MAX + 1];
    char project_name[AO_NAME_MAX + 1]; /* of compute_object_metadata_args */
    char project_id[AO_NAME_MAX + 1];
    char row_id[AO_NAME_MAX + 1];
    char span_id[AO_NAME_MAX + 1];      /* 16 hex, or a UUID from older SDKs */
    char root_span_id[AO_NAME_MAX + 1]; /* 32 hex, or a UUID */
    bool has_propagated_event;
};

/*
 * Understands the value of BRAINTRUST_TRACE_CONTEXT: a slug (base64), the same
 * wrapped as a JSON string, or a JSON object with the slug's own keys
 * (object_type as number or name, object_id, row_id, span_id, root_span_id,
 * compute_object_metadata_args). AO_ERR_SYNTAX, AO_ERR_UNSUPPORTED (version),
 * AO_ERR_LIMIT.
 */
int ao_bt_parent_parse(struct ao_str text, struct ao_bt_parent *ret_parent);
/* A V4 slug for this parent. */
int ao_bt_parent_format(const struct ao_bt_parent *parent, struct ao_buf *out);
/*
 * "project_id:X", "project_name:X", "experiment_id:X" or "playground_id:X", the
 * form that x-bt-parent and the baggage member braintrust.parent carry.
 */
int ao_bt_parent_container(const struct ao_bt_parent *parent, struct ao_buf *out);

/* ---- all carriers together ---- */

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
