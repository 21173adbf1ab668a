/*
 * trace_context.h - W3C traceparent and tracestate (Trace Context Level 2) and
 * W3C baggage. Nothing here allocates but the buffers that the caller hands in.
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

#endif
