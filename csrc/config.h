/*
 * config.h - what the environment may say, one row an option.
 *
 * The rows make the struct, the parser, `python -m agentobs`, and the table in
 * docs/configuration.md (a test compares them). A bad value is reported once
 * on stderr and the default is used.
 */
#ifndef AO_CONFIG_H
#define AO_CONFIG_H

#include "core/base.h"
#include "core/limits.h"

#define AO_KIB 1024u
#define AO_MIB (1024u * 1024u)
#define AO_UNSET UINT64_MAX /* no limit of its own */

/*      member            environment                              default             least   most               meaning */
#define AO_NUMBER_OPTIONS(X)                                                                                        \
    X(fd,                 "AGENTOBS_FD",                           1,                  0,      65535,             "descriptor that records are written to; duplicated when the first one is") \
    X(ring_bytes,         "AGENTOBS_RING_BYTES",                   32 * AO_MIB,        64 * AO_KIB, 1024 * AO_MIB, "memory for records on their way out, touched only as needed; rounded up to a power of two") \
    X(tick_ms,            "AGENTOBS_TICK_MS",                      10,                 1,      1000,              "the longest that a record waits before it is written, milliseconds") \
    X(exit_ms,            "AGENTOBS_EXIT_MS",                      2000,               0,      60000,             "the longest that the end of the process waits for the last records, milliseconds") \
    X(value_bytes,        "AGENTOBS_VALUE_BYTES",                  4 * AO_MIB,         256,    8 * AO_MIB,        "bytes of JSON of one input, output, metadata or attribute value; what is longer is cut and marked") \
    X(value_depth,        "AGENTOBS_VALUE_DEPTH",                  32,                 1,      48,                "nesting of one value") \
    X(value_items,        "AGENTOBS_VALUE_ITEMS",                  10000,              1,      1000000,           "items of one list or mapping") \
    X(attribute_count,    "OTEL_ATTRIBUTE_COUNT_LIMIT",            128,                0,      4096,              "attributes of one span or event") \
    X(attribute_bytes,    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",     64 * AO_KIB,        0,      8 * AO_MIB,        "bytes of one string in an attribute") \
    X(span_attribute_count, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",     AO_UNSET,                  0,      4096,              "the same for spans alone; wins over the general one") \
    X(span_attribute_bytes, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", AO_UNSET,               0,      8 * AO_MIB,        "the same for spans alone; wins over the general one") \
    X(event_attribute_count, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",   AO_UNSET,                  0,      4096,              "the same for events alone; wins over the general one") \
    X(span_event_count,   "OTEL_SPAN_EVENT_COUNT_LIMIT",           AO_UNSET,                  0,      1000000000,        "events of one span, links among them; unlimited when unset")

/*      member            environment                              default meaning */
#define AO_SWITCH_OPTIONS(X)                                                                                        \
    X(keep_key,           "AGENTOBS_KEEP_KEY",                     false,  "leave the stream key in the environment, so that every child process can record too") \
    X(record_unsampled,   "AGENTOBS_RECORD_UNSAMPLED",             false,  "record spans although the incoming trace context says that the trace is not sampled") \
    X(redact,             "AGENTOBS_REDACT",                       true,   "mask secrets before they leave the process") \
    X(otel_disabled,      "OTEL_SDK_DISABLED",                     false,  "switches recording off; trace context is still passed on")

/* Options with a syntax of their own: read by hand, listed for the documents. */
#define AO_OTHER_OPTIONS(X)                                                                                         \
    X("AGENTOBS_STREAM_KEY",     "", "32 hex digits from the host: switches recording on; taken out of the environment at import") \
    X("AGENTOBS",                "", "1 records without a key, 0 switches recording off whatever else is set") \
    X("AGENTOBS_CONTENT",        "full", "what of inputs and outputs is recorded: full, truncated:N (N bytes of each string), none") \
    X("AGENTOBS_REDACT_PATTERNS", "", "further secrets to mask: words separated by blanks; each is masked with the letters, digits and -_.+/= behind it") \
    X("TRACEPARENT",             "", "W3C trace context of the run") \
    X("TRACESTATE",              "", "W3C tracestate") \
    X("BAGGAGE",                 "", "W3C baggage") \
    X("BRAINTRUST_TRACE_CONTEXT", "", "an exported Braintrust span: parent when TRACEPARENT is absent, and the Braintrust container") \
    X("OTEL_SERVICE_NAME",       "", "service.name of the resource") \
    X("OTEL_RESOURCE_ATTRIBUTES", "", "further resource attributes: key=value,key=value")

enum ao_content {
    AO_CONTENT_FULL,
    AO_CONTENT_TRUNCATED,
    AO_CONTENT_NONE,
};

struct ao_config {
#define AO_CONFIG_NUMBER(member, env, def, least, most, meaning) uint64_t member;
    AO_NUMBER_OPTIONS(AO_CONFIG_NUMBER)
#undef AO_CONFIG_NUMBER
#define AO_CONFIG_SWITCH(member, env, def, meaning) bool member;
    AO_SWITCH_OPTIONS(AO_CONFIG_SWITCH)
#undef AO_CONFIG_SWITCH
    enum ao_content content;
    uint64_t content_chars;      /* for AO_CONTENT_TRUNCATED */
    bool recording;              /* a key, or AGENTOBS=1, and nothing that forbids it */
    bool has_key;
    char key[AO_KEY_LEN + 1];    /* empty without a key */
    char patterns[AO_NAME_MAX + 1];
};

/* Where values come from; NULL when unset. `complain` is called for each bad value with one clause. */
struct ao_config_source {
    const char *(*get)(void *user, const char *name);
    void (*complain)(void *user, const char *name, const char *clause);
    void *user;
};

/* Never fails: a bad value is complained of and its default used. */
void ao_config_read(const struct ao_config_source *source, struct ao_config *ret_config);

#endif
