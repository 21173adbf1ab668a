/*
 * braintrust.h - one span as one row of Braintrust's logs3 request (a pure encoder).
 *
 * Every row is the whole span as it is now, without `_is_merge`: the service
 * replaces an older version of the same id, so replay and double delivery end in
 * the same state. Row id = span id, `root_span_id` = trace id, both lowercase hex.
 *
 * Field names and the metric names follow Braintrust's public API and its span
 * specification; what has no field of its own goes to `metadata`:
 *   own keys (session_id, user_id, model, provider, message_id, request_id,
 *   gen_ai.tool.call.id, error.type, agentobs.*), then the span's metadata, then
 *   its attributes; of equal keys the first wins.
 *
 * A moment (event) is a row of its own: a child of its span that begins and ends
 * at the same time, with `agentobs.event` in its metadata. Its id is derived
 * from its content, so sending it again replaces it.
 */
#ifndef AO_BRAINTRUST_H
#define AO_BRAINTRUST_H

#include "core/base.h"
#include "core/braintrust_slug.h"
#include "core/buf.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/token_counts.h"

/* Where a row goes. Project logs carry log_id "g", playgrounds "x". */
struct ao_bt_target {
    enum ao_bt_object object;
    struct ao_str id; /* UUID of the project, experiment or playground */
};

#define AO_BT_COST_UNKNOWN INT64_MIN

/* Views only. Texts are UTF-8 (repaired where they are not); absent ones are left out. Times: ns since the epoch. */
struct ao_bt_span {
    struct ao_trace_id trace_id;
    struct ao_span_id span_id;
    struct ao_span_id parent_id;  /* zero: none */
    struct ao_str root_span_id;   /* instead of the trace id: a UUID of an older SDK, verbatim */
    struct ao_str parent_span_id; /* instead of parent_id, likewise */
    bool root;                    /* the top of our trace: `tags` is a field of the row; else of its metadata */
    struct ao_str name;
    struct ao_str type;           /* agent, turn, llm, tool, ...; see ao_bt_span_type */
    uint64_t start;
    uint64_t end;                 /* 0: still open */
    uint64_t first_token;         /* 0: unknown */
    bool unfinished;
    bool failed;                  /* writes `error`, from the three texts below */
    struct ao_str error_type;
    struct ao_str error_message;
    struct ao_str error_stack;
    struct ao_str input;          /* JSON */
    struct ao_str output;         /* JSON */
    struct ao_str attributes;     /* JSON object */
    struct ao_str metadata;       /* JSON object */
    struct ao_str metrics;        /* JSON object; finite numbers are taken, names that we compute are not */
    struct ao_str tags;           /* JSON array; distinct strings are taken */
    struct ao_str tool_call_id;
    struct ao_str model;
    struct ao_str provider;       /* unless the metadata or gen_ai.provider.name says otherwise */
    struct ao_str message_id;
    struct ao_str request_id;
    struct ao_str session_id;
    struct ao_str user_id;
    struct ao_str instrumentation; /* context.span_origin.instrumentation.name */
    struct ao_token_counts usage;     /* the row's prompt_tokens includes the cache */
    int64_t cost_pusd;            /* AO_BT_COST_UNKNOWN: none */
    struct ao_str cost_basis;
    bool event;                   /* see ao_bt_event_span */
};

/* Everything absent, the cost unknown. */
void ao_bt_span_init(struct ao_bt_span *span);

/*
 * Makes a span of an event: id from its content and its ordinal among those
 * of the same content, times from `time`. `parent` zero: of the trace itself.
 * Name and attributes are kept as views.
 */
void ao_bt_event_span(const struct ao_trace_id *trace_id, const struct ao_span_id *parent, uint64_t time,
                      uint64_t ordinal, struct ao_str name, struct ao_str attributes, struct ao_bt_span *ret_span);

/* Braintrust's word for our span type ("task" for agent and turn); absent for words that it does not know. */
struct ao_str ao_bt_span_type(struct ao_str type);

/*
 * Appends the row. JSON values longer than `value_max` bytes (0: no limit) are cut
 * to a string that says so, so that a row never has to be lost for its size;
 * values that are no valid JSON become strings, lone surrogates U+FFFD. At most
 * AO_BT_KEYS_MAX metadata keys and metrics are written; what is left out is
 * counted in metadata `agentobs.left_out`. Returns the buffer's sticky error.
 */
int ao_bt_row_encode(const struct ao_bt_target *target, const struct ao_bt_span *span, size_t value_max,
                     struct ao_buf *out);

/* metadata keys, metrics and tags of one row, and the bytes of one such key */
#define AO_BT_KEYS_MAX AO_KEYS_MAX
#define AO_BT_KEY_MAX AO_NAME_MAX

#endif
