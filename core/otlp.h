/*
 * otlp.h - spans in, the bytes of an ExportTraceServiceRequest out (a pure encoder).
 *
 * opentelemetry-proto 1.11: in protobuf (application/x-protobuf) or OTLP/JSON
 * (application/json). Attributes follow OpenTelemetry's GenAI semantic conventions:
 *
 *   llm     "chat MODEL", CLIENT; gen_ai.operation.name chat
 *   tool    "execute_tool NAME"; gen_ai.tool.name, gen_ai.tool.call.id, .arguments, .result
 *   agent   "invoke_agent NAME"; gen_ai.agent.name
 *   others  their own name, INTERNAL
 *
 * gen_ai.usage.input_tokens holds the whole prompt, cache reads and writes included,
 * as the conventions demand; the parts are beside it. session.id, user.id and
 * gen_ai.conversation.id stand on every span, whom the run is for on the resource.
 * What the conventions have no name for is agentobs.*. The cost is
 * gen_ai.usage.cost (USD), the name that backends read, with agentobs.cost.basis.
 * A failure is the status ERROR, error.type and an event `exception`.
 *
 * Further vocabularies can be added, for backends that read their own.
 *
 *   struct ao_otlp o;
 *   ao_otlp_begin(&o, AO_OTLP_PROTOBUF, 0, &body);
 *   for each run { ao_otlp_resource(&o, &resource); for each span of it { ao_otlp_span(&o, &span); } }
 *   err = ao_otlp_end(&o);
 */
#ifndef AO_OTLP_H
#define AO_OTLP_H

#include "core/base.h"
#include "core/buf.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/token_counts.h"

enum ao_otlp_format { AO_OTLP_PROTOBUF, AO_OTLP_JSON };

/* Vocabularies beside OpenTelemetry's own. */
enum {
    AO_OTLP_OPENINFERENCE = 1, /* Arize OpenInference: openinference.span.kind, llm.*, input.value, tag.tags, ... */
    AO_OTLP_LANGFUSE = 2,      /* langfuse.*: usage split exclusively, trace name, tags, metadata */
    AO_OTLP_LOGFIRE = 4,       /* operation.cost */
};

#define AO_OTLP_COST_UNKNOWN INT64_MIN
#define AO_OTLP_EVENTS_MAX 1024u /* of one span: more than that a caller should leave out and count */

struct ao_otlp_pair {
    struct ao_str key;
    struct ao_str value; /* absent: left out */
};

struct ao_otlp_event {
    uint64_t time;
    struct ao_str name;
    struct ao_str attributes; /* JSON object */
    uint64_t ordinal;         /* among events that have all else the same */
};

struct ao_otlp_link {
    struct ao_trace_id trace_id;
    struct ao_span_id span_id;
};

/* What the spans of one run share. Views only; must stay alive until the next resource or the end. */
struct ao_otlp_resource {
    const struct ao_otlp_pair *pairs; /* of equal keys the first wins, before those of `facts` */
    size_t pair_count;
    const struct ao_otlp_pair *who;   /* whom the run is for ("agentobs.tenant", ...): attributes too */
    size_t who_count;
    struct ao_str facts;              /* JSON object: members in a resource's name spaces (service.*, e2b.*, ...) */
    struct ao_str tags;               /* JSON array, of the run */
    struct ao_str session_id;         /* where a span has none of its own */
    struct ao_str user_id;
};

/* Views only. Texts are UTF-8 (repaired where they are not); absent ones are left out. Times: ns since the epoch. */
struct ao_otlp_span {
    struct ao_trace_id trace_id;
    struct ao_span_id span_id;
    struct ao_span_id parent_id;  /* zero: none */
    bool parent_remote;           /* the parent came from outside of this program */
    bool root;                    /* the top of the run */
    struct ao_str name;
    struct ao_str type;           /* agent, turn, llm, tool, ... */
    uint64_t start;
    uint64_t end;                 /* before start: taken as start */
    uint64_t first_token;         /* 0: unknown */
    bool unfinished;
    bool ok, failed;
    bool moment;                  /* an event that came too late for its span */
    struct ao_str error_type, error_message, error_stack;
    struct ao_str input, output;  /* JSON */
    struct ao_str attributes, metadata, metrics; /* JSON objects */
    struct ao_str tags;           /* JSON array */
    struct ao_str tool_call_id;
    struct ao_str model;
    struct ao_str provider;       /* unless an attribute gen_ai.provider.name says otherwise */
    struct ao_str message_id, request_id;
    struct ao_str session_id, user_id;
    struct ao_token_counts usage;
    int64_t cost_pusd;            /* AO_OTLP_COST_UNKNOWN: none */
    struct ao_str cost_basis;
    int64_t run_cost_pusd;        /* of the root: what the whole run cost; AO_OTLP_COST_UNKNOWN: not known */
    const struct ao_otlp_pair *extra; /* further attributes of ours */
    size_t extra_count;
    const struct ao_otlp_event *events;
    size_t event_count;
    size_t dropped_events;        /* that are not among them */
    const struct ao_otlp_link *links;
    size_t link_count;
};

/* Everything absent, the cost unknown. */
void ao_otlp_span_init(struct ao_otlp_span *span);
/*
 * Makes a span of an event that came after its span was sent: id from its content, no duration. Name and attributes
 * are kept as views.
 */
void ao_otlp_moment(const struct ao_trace_id *trace_id, const struct ao_span_id *parent,
                    const struct ao_otlp_event *event, struct ao_otlp_span *ret_span);

/*
 * A request in the making. May be copied: the copy, with out->len at that time, goes back to that point as long as the
 * resource that was open then was not closed: closing writes lengths in front of what it holds.
 */
struct ao_otlp {
    struct ao_buf *out;
    enum ao_otlp_format format;
    unsigned vocabularies;
    const struct ao_otlp_resource *resource; /* the open one, or NULL */
    bool comma;
    size_t resource_at, scope_at;
};

void ao_otlp_begin(struct ao_otlp *o, enum ao_otlp_format format, unsigned vocabularies, struct ao_buf *out);
/* Opens a resource; closes the one before. */
void ao_otlp_resource(struct ao_otlp *o, const struct ao_otlp_resource *resource);
/* Closes the open resource, if any. */
void ao_otlp_close(struct ao_otlp *o);
/*
 * Values longer than `value_max` bytes (0: no limit) are cut to a text that says so. At most AO_KEYS_MAX attributes
 * are written; dropped_attributes_count tells of the rest.
 */
void ao_otlp_span(struct ao_otlp *o, const struct ao_otlp_span *span, size_t value_max);
/* Closes what is open. The buffer's sticky error. */
int ao_otlp_end(struct ao_otlp *o);

#endif
