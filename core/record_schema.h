/*
 * record_schema.h - the one list of what a record holds.
 *
 * It expands to the struct, the encoder, the decoder, the JSON Schema that both
 * programs print, and docs/record-format.md: writer and reader cannot drift.
 * To add a field, add a row; readers skip keys and kinds that they do not know.
 *
 * Names: OpenTelemetry (span, event, attributes, status), its GenAI conventions
 * (usage) and Anthropic's Messages API (the token classes).
 */
#ifndef AO_RECORD_SCHEMA_H
#define AO_RECORD_SCHEMA_H

/*      enum        name on the wire   what it says */
#define AO_RECORD_KINDS(X)                                                                              \
    X(HELLO,      "hello",      "a process begins to write: version, trace context, process facts")     \
    X(SPAN_START, "span_start", "a span began and is still open")                                       \
    X(SPAN_END,   "span_end",   "a span ended; carries what was not known at its start")                \
    X(SPAN,       "span",       "a whole span in one record: its start and its end")                    \
    X(EVENT,      "event",      "a moment inside a span, or in the trace when no span is named")        \
    X(USAGE,      "usage",      "token usage of one model request, or the agent's running totals")      \
    X(BYE,        "bye",        "a process ends in order: totals sent and dropped")

/* Kinds as bits, for the rows below. */
#define AO_IN_HELLO (1u << AO_KIND_HELLO)
#define AO_IN_START (1u << AO_KIND_SPAN_START)
#define AO_IN_END (1u << AO_KIND_SPAN_END)
#define AO_IN_SPAN (1u << AO_KIND_SPAN)
#define AO_IN_EVENT (1u << AO_KIND_EVENT)
#define AO_IN_USAGE (1u << AO_KIND_USAGE)
#define AO_IN_BYE (1u << AO_KIND_BYE)
#define AO_IN_BEGINS (AO_IN_START | AO_IN_SPAN)
#define AO_IN_ENDS (AO_IN_END | AO_IN_SPAN)
#define AO_IN_SPANS (AO_IN_START | AO_IN_END | AO_IN_SPAN)
#define AO_IN_ALL (AO_IN_HELLO | AO_IN_SPANS | AO_IN_EVENT | AO_IN_USAGE | AO_IN_BYE)

/*
 * Types of a field:
 *   U64      decimal integer            TRACE_ID  32 lowercase hex digits   SPAN_ID  16
 *   TEXT     string, at most `max` bytes of UTF-8 (longer is cut and the cut marked)
 *   JSON     any JSON value, carried as raw text     OBJECT  a JSON object, carried as raw text
 *   ARRAY    a JSON array, raw          BOOL
 *   PUSD     a JSON number in USD; in memory int64 pico-USD (10^-12), exact
 */

/*      type      member               key on the wire           kinds                       max    meaning */
#define AO_RECORD_FIELDS(X)                                                                                             \
    X(SPAN_ID,  writer,                "writer",                 AO_IN_ALL,                  0,     "the writing process; new after fork") \
    X(U64,      seq,                   "seq",                    AO_IN_ALL,                  0,     "counts the writer's records from 0; a gap is a loss") \
    X(U64,      time,                  "time",                   AO_IN_ALL,                  0,     "when it was recorded, ns since the Unix epoch") \
    /* hello */                                                                                                         \
    X(U64,      schema,                "schema",                 AO_IN_HELLO,                0,     "version of this schema") \
    X(TEXT,     sdk,                   "sdk",                    AO_IN_HELLO,                AO_NAME_MAX, "name/version of the writing library") \
    X(U64,      pid,                   "pid",                    AO_IN_HELLO,                0,     "process id") \
    X(U64,      ppid,                  "ppid",                   AO_IN_HELLO,                0,     "parent process id") \
    X(U64,      trace_flags,           "trace_flags",            AO_IN_HELLO,                0,     "W3C trace flags") \
    X(TEXT,     trace_state,           "trace_state",            AO_IN_HELLO,                AO_TRACESTATE_MAX, "W3C tracestate") \
    X(TEXT,     baggage,               "baggage",                AO_IN_HELLO,                AO_BAGGAGE_MAX, "W3C baggage, as it came") \
    X(TEXT,     braintrust_parent,     "braintrust_parent",      AO_IN_HELLO,                AO_SLUG_MAX, "Braintrust container, as in x-bt-parent") \
    X(U64,      bad_context,           "bad_context",            AO_IN_HELLO,                0,     "bits of enum ao_context_bad: carriers that were malformed and ignored") \
    X(OBJECT,   resource,              "resource",               AO_IN_HELLO,                0,     "OpenTelemetry resource attributes; e2b.* and sandbox facts among them") \
    /* spans; trace_id is left out where it is the hello's */                                                           \
    X(TRACE_ID, trace_id,              "trace_id",               AO_IN_HELLO | AO_IN_SPANS | AO_IN_EVENT | AO_IN_USAGE, 0, "trace; the hello's when absent") \
    X(SPAN_ID,  span_id,               "span_id",                AO_IN_HELLO | AO_IN_SPANS | AO_IN_EVENT | AO_IN_USAGE, 0, "span; in a hello the incoming parent") \
    X(SPAN_ID,  parent_span_id,        "parent_span_id",         AO_IN_BEGINS,               0,     "parent; absent for a root") \
    X(TEXT,     name,                  "name",                   AO_IN_SPANS | AO_IN_EVENT,  AO_NAME_MAX, "span or event name; at the end only when it changed") \
    X(TEXT,     type,                  "type",                   AO_IN_BEGINS,               AO_NAME_MAX, "agent, turn, llm, tool, task, function or any other word") \
    X(U64,      start,                 "start",                  AO_IN_BEGINS,               0,     "start, ns since the Unix epoch; `time` when absent") \
    X(U64,      end,                   "end",                    AO_IN_ENDS,                 0,     "end, ns since the Unix epoch; `time` when absent") \
    X(TEXT,     status,                "status",                 AO_IN_ENDS,                 AO_NAME_MAX, "ok, error or unset (absent)") \
    X(TEXT,     error_type,            "error_type",             AO_IN_ENDS,                 AO_NAME_MAX, "low-cardinality kind of error: exception class or the provider's code") \
    X(TEXT,     error_message,         "error_message",          AO_IN_ENDS,                 AO_TEXT_MAX, "what happened") \
    X(TEXT,     error_stack,           "error_stack",            AO_IN_ENDS,                 AO_TEXT_MAX, "bounded stack trace") \
    X(BOOL,     unfinished,            "unfinished",             AO_IN_ENDS,                 0,     "closed at exit by the library, not by the program") \
    X(JSON,     input,                 "input",                  AO_IN_SPANS,                0,     "what went in") \
    X(JSON,     output,                "output",                 AO_IN_ENDS,                 0,     "what came out") \
    X(OBJECT,   attributes,            "attributes",             AO_IN_SPANS | AO_IN_EVENT,  0,     "attributes; at the end only new or changed ones") \
    X(OBJECT,   metadata,              "metadata",               AO_IN_SPANS,                0,     "free metadata, as Braintrust's users know it") \
    X(OBJECT,   metrics,               "metrics",                AO_IN_SPANS,                0,     "numbers by name") \
    X(ARRAY,    tags,                  "tags",                   AO_IN_SPANS,                0,     "array of strings") \
    X(TEXT,     tool_call_id,          "tool_call_id",           AO_IN_BEGINS,               AO_NAME_MAX, "the provider's id of a tool call (toolu_...)") \
    X(TEXT,     model,                 "model",                  AO_IN_SPANS | AO_IN_USAGE,  AO_NAME_MAX, "model id as the provider gave it") \
    X(TEXT,     session_id,            "session_id",             AO_IN_SPANS | AO_IN_USAGE,  AO_NAME_MAX, "conversation") \
    X(TEXT,     user_id,               "user_id",                AO_IN_SPANS,                AO_NAME_MAX, "end user") \
    /* usage; scope `request`: one API request, by message id. Scope `total`: the agent's own running totals */         \
    X(TEXT,     scope,                 "scope",                  AO_IN_USAGE,                AO_NAME_MAX, "request or total") \
    X(TEXT,     message_id,            "message_id",             AO_IN_USAGE,                AO_NAME_MAX, "Messages API id; usage of equal ids is merged field by field, by maximum") \
    X(TEXT,     request_id,            "request_id",             AO_IN_USAGE,                AO_NAME_MAX, "Anthropic request id") \
    X(U64,      input_tokens,          "input_tokens",           AO_IN_USAGE,                0,     "uncached input tokens") \
    X(U64,      output_tokens,         "output_tokens",          AO_IN_USAGE,                0,     "output tokens, thinking included") \
    X(U64,      cache_read_input_tokens, "cache_read_input_tokens", AO_IN_USAGE,             0,     "input tokens read from the cache") \
    X(U64,      cache_creation_input_tokens, "cache_creation_input_tokens", AO_IN_USAGE,     0,     "input tokens written to the cache") \
    X(U64,      ephemeral_5m_input_tokens, "ephemeral_5m_input_tokens", AO_IN_USAGE,         0,     "of these, at the 5-minute rate") \
    X(U64,      ephemeral_1h_input_tokens, "ephemeral_1h_input_tokens", AO_IN_USAGE,         0,     "of these, at the 1-hour rate") \
    X(U64,      thinking_tokens,       "thinking_tokens",        AO_IN_USAGE,                0,     "of the output tokens, thinking") \
    X(U64,      web_search_requests,   "web_search_requests",    AO_IN_USAGE,                0,     "server-side web searches") \
    X(TEXT,     service_tier,          "service_tier",           AO_IN_USAGE,                AO_NAME_MAX, "standard, priority or batch") \
    X(TEXT,     speed,                 "speed",                  AO_IN_USAGE,                AO_NAME_MAX, "standard or fast") \
    X(TEXT,     inference_geo,         "inference_geo",          AO_IN_USAGE,                AO_NAME_MAX, "where inference ran") \
    X(ARRAY,    iterations,            "iterations",             AO_IN_USAGE,                0,     "usage.iterations as the API gave it") \
    X(U64,      first_token,           "first_token",            AO_IN_USAGE,                0,     "ns since the Unix epoch of the first token") \
    X(BOOL,     provisional,           "provisional",            AO_IN_USAGE,                0,     "a snapshot from the start of the response; output_tokens is a placeholder") \
    X(PUSD,     total_cost_usd,        "total_cost_usd",         AO_IN_USAGE,                0,     "scope total: the agent's own figure, cumulative over its process") \
    X(OBJECT,   model_usage,           "model_usage",            AO_IN_USAGE,                0,     "scope total: modelUsage, cumulative over the agent's process") \
    X(OBJECT,   turn_usage,            "turn_usage",             AO_IN_USAGE,                0,     "scope total: usage of the turn's main loop") \
    X(OBJECT,   process_model_usage,   "process_model_usage",    AO_IN_USAGE,                0,     "scope total, the first of a process: what of model_usage it used itself; the rest was carried over from a saved session") \
    /* bye */                                                                                                           \
    X(U64,      records,               "records",                AO_IN_BYE,                  0,     "records sent, this one included") \
    X(U64,      dropped,               "dropped",                AO_IN_BYE,                  0,     "records dropped because the ring was full or memory short") \
    X(U64,      truncated,             "truncated",              AO_IN_BYE,                  0,     "values cut at a limit") \
    X(U64,      bytes,                 "bytes",                  AO_IN_BYE,                  0,     "bytes written, framing included") \
    X(U64,      write_time,            "write_time",             AO_IN_BYE,                  0,     "ns spent in write(2)")

#endif
