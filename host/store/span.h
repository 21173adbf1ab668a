/*
 * span.h - the host's one shape of a span, an event and a run, shared by the
 * assembler (which builds them), the store (which keeps them), the sinks
 * (which encode them) and the viewers (which print them).
 *
 * Every text is owned (ao_free through the release functions) and may be NULL.
 * JSON texts are valid, compact JSON. Times are ns since the Unix epoch.
 * Money is pico-USD; a cost that is not known is AO_COST_UNKNOWN, never 0.
 */
#ifndef AO_HOST_SPAN_H
#define AO_HOST_SPAN_H

#include "core/base.h"
#include "core/id.h"

#define AO_COST_UNKNOWN INT64_MIN

/* Token classes as the Messages API counts them; a bit in `known` for each that was ever told. */
struct span_usage {
    uint64_t input;          /* uncached */
    uint64_t output;         /* thinking included */
    uint64_t cache_read;
    uint64_t cache_write;    /* all cache writes: max(flat, 5m + 1h) */
    uint64_t cache_write_5m;
    uint64_t cache_write_1h;
    uint64_t thinking;
    uint64_t web_search_requests;
    unsigned known;          /* SPAN_USAGE_x */
};

enum {
    SPAN_USAGE_INPUT = 1,
    SPAN_USAGE_OUTPUT = 2,
    SPAN_USAGE_CACHE_READ = 4,
    SPAN_USAGE_CACHE_WRITE = 8,
    SPAN_USAGE_CACHE_SPLIT = 16,
    SPAN_USAGE_THINKING = 32,
    SPAN_USAGE_WEB_SEARCH = 64,
};

enum span_status {
    SPAN_UNSET,
    SPAN_OK,
    SPAN_ERROR,
};

/* How a span came to be; a sink may show it. */
enum span_origin {
    SPAN_FROM_RECORD,   /* agentobs records */
    SPAN_FROM_STREAM,   /* Claude Code stream-json or a transcript */
    SPAN_FROM_HOST,     /* the host's own: root of the run, unattributed cost */
};

struct span {
    struct ao_trace_id trace_id;
    struct ao_span_id span_id;
    struct ao_span_id parent_id; /* zero: a root */
    char *name;
    char *type; /* "agent", "turn", "llm", "tool", "task", "function", ... */
    uint64_t start;
    uint64_t end; /* 0 while open */
    bool unfinished; /* closed by somebody else than the program itself */
    enum span_status status;
    enum span_origin origin;
    char *error_type;
    char *error_message;
    char *error_stack;
    char *input;      /* JSON */
    char *output;     /* JSON */
    char *attributes; /* JSON object */
    char *metadata;   /* JSON object */
    char *metrics;    /* JSON object */
    char *tags;       /* JSON array */
    char *tool_call_id;
    char *model;
    char *message_id;
    char *request_id;
    char *session_id;
    char *user_id;
    uint64_t first_token; /* time of the first token; 0 unknown */
    struct span_usage usage;
    int64_t cost_pusd;    /* AO_COST_UNKNOWN when there is none */
    const char *cost_basis; /* static: "computed", "reported", "reconciled", "unpriced"; NULL when no usage */
};

/* All zero but the unknown cost. */
void span_init(struct span *span);
void span_release(struct span *span);

struct span_event {
    struct ao_trace_id trace_id;
    struct ao_span_id span_id; /* zero: of the trace itself */
    uint64_t time;
    char *name;
    char *attributes; /* JSON object or NULL */
    /*
     * How many events with all the same as this one came before it in its source: what tells two that happened at one
     * instant from one that is told twice, when the source is read again.
     */
    uint64_t ordinal;
};

void span_event_release(struct span_event *event);

/* "unset", "ok", "error" */
const char *span_status_name(enum span_status status);

#endif
