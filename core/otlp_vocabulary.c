/* OpenTelemetry's GenAI semantic conventions, and agentobs.* for what they have no name for. */
#include "core/otlp_vocabulary.h"

#include "core/json_object.h"
#include "core/otlp_messages.h"

enum ao_otlp_kind ao_otlp_kind(const struct ao_otlp_span *span)
{
    if (ao_str_eq_c(span->type, "llm"))
        return AO_OTLP_KIND_LLM;
    if (ao_str_eq_c(span->type, "tool"))
        return AO_OTLP_KIND_TOOL;
    if (ao_str_eq_c(span->type, "agent"))
        return AO_OTLP_KIND_AGENT;
    return AO_OTLP_KIND_OTHER;
}

static const char *const operations[] = {
    [AO_OTLP_KIND_LLM] = "chat",
    [AO_OTLP_KIND_TOOL] = "execute_tool",
    [AO_OTLP_KIND_AGENT] = "invoke_agent",
};

/* Langfuse shows names as they are, and knows what a span is from its type. */
void ao_otlp_span_name(const struct ao_otlp_span *span, unsigned vocabularies, struct ao_str *ret_name,
                       struct ao_str *ret_about)
{
    enum ao_otlp_kind kind = ao_otlp_kind(span);
    struct ao_str name = span->name.len ? span->name : span->type.len ? span->type : AO_STR("unnamed");
    *ret_name = name;
    *ret_about = AO_STR_NONE;
    if (kind == AO_OTLP_KIND_OTHER || vocabularies & AO_OTLP_LANGFUSE)
        return;
    *ret_name = ao_str_from(operations[kind]);
    *ret_about = kind == AO_OTLP_KIND_LLM ? span->model : span->name;
}

struct ao_str ao_otlp_session(const struct ao_otlp_span *span, const struct ao_otlp_resource *resource)
{
    return span->session_id.ptr || !resource ? span->session_id : resource->session_id;
}

struct ao_str ao_otlp_user(const struct ao_otlp_span *span, const struct ao_otlp_resource *resource)
{
    return span->user_id.ptr || !resource ? span->user_id : resource->user_id;
}

bool ao_otlp_is_resource_key(struct ao_str key)
{
    static const char *const spaces[] = {"service.",   "deployment.", "host.", "os.",  "process.", "container.",
                                         "telemetry.", "cloud.",      "k8s.",  "e2b.", "sandbox."};
    for (size_t i = 0; i < AO_ARRAY_LEN(spaces); i++)
        if (ao_str_starts(key, ao_str_from(spaces[i])))
            return true;
    return false;
}

/* With these an attribute would choose where a trace goes or who may see it: not the sandbox's business. */
static bool is_span_key(struct ao_str key)
{
    return !ao_str_eq_c(key, "braintrust.parent") && !ao_str_eq_c(key, "langfuse.trace.public") &&
           !ao_str_starts(key, AO_STR("langfuse.internal."));
}

/* What the root span knows of its surroundings stands on the resource. */
static bool is_root_key(struct ao_str key)
{
    return is_span_key(key) && !ao_otlp_is_resource_key(key);
}

void ao_otlp_put_value(struct ao_oa *a, const char *value_key, const char *type_key, struct ao_str json)
{
    if (!json.ptr)
        return;
    bool text = json.len && json.ptr[0] == '"';
    if (text)
        ao_oa_value(a, ao_str_from(value_key), json);
    else
        ao_oa_json(a, value_key, json);
    ao_oa_str(a, type_key, text ? AO_STR("text/plain") : AO_STR("application/json"));
}

/* ---- the parts ---- */

static void put_usage(struct ao_oa *a, const struct ao_token_counts *c)
{
    bool writes = c->known & (AO_COUNT_CACHE_WRITE | AO_COUNT_CACHE_SPLIT);
    if (c->known & AO_COUNT_INPUT)
        ao_oa_u64(a, "gen_ai.usage.input_tokens", ao_token_counts_prompt(c));
    if (c->known & AO_COUNT_OUTPUT)
        ao_oa_u64(a, "gen_ai.usage.output_tokens", c->output);
    if (c->known & AO_COUNT_CACHE_READ)
        ao_oa_u64(a, "gen_ai.usage.cache_read.input_tokens", c->cache_read);
    if (writes)
        ao_oa_u64(a, "gen_ai.usage.cache_creation.input_tokens", ao_token_counts_writes(c));
    if (c->known & AO_COUNT_CACHE_SPLIT) {
        ao_oa_u64(a, "agentobs.usage.cache_creation.ephemeral_5m_input_tokens", c->cache_write_5m);
        ao_oa_u64(a, "agentobs.usage.cache_creation.ephemeral_1h_input_tokens", c->cache_write_1h);
    }
    if (c->known & AO_COUNT_THINKING)
        ao_oa_u64(a, "gen_ai.usage.reasoning.output_tokens", c->thinking);
}

static void put_messages(struct ao_oa *a, const struct ao_otlp_span *span, struct ao_str stop_reason)
{
    struct ao_buf text;
    ao_buf_init(&text, 2 * AO_RECORD_MAX);
    if (span->input.ptr) {
        if (ao_otlp_input_messages(span->input, &text) == AO_OK)
            ao_oa_json(a, "gen_ai.input.messages", ao_buf_str(&text));
        else
            ao_otlp_put_value(a, "input.value", "input.mime_type", span->input);
    }
    ao_buf_clear(&text);
    if (span->output.ptr) {
        if (ao_otlp_output_messages(span->output, stop_reason, &text) == AO_OK)
            ao_oa_json(a, "gen_ai.output.messages", ao_buf_str(&text));
        else
            ao_otlp_put_value(a, "output.value", "output.mime_type", span->output);
    }
    ao_buf_release(&text);
}

static void put_llm(struct ao_oa *a, const struct ao_otlp_span *span, unsigned vocabularies)
{
    struct ao_str own = ao_json_member(span->attributes, AO_STR("gen_ai.provider.name"));
    struct ao_str reason = ao_json_member(span->attributes, AO_STR("stop_reason"));
    if (!reason.ptr)
        reason = ao_json_member(span->output, AO_STR("stop_reason"));
    if (own.ptr)
        ao_oa_value(a, AO_STR("gen_ai.provider.name"), own);
    else
        ao_oa_str(a, "gen_ai.provider.name", span->provider);
    /* The name of this fact before 2026, which Logfire and others still ask for first. */
    if (own.ptr)
        ao_oa_value(a, AO_STR("gen_ai.system"), own);
    else
        ao_oa_str(a, "gen_ai.system", span->provider);
    ao_oa_str(a, "gen_ai.request.model", span->model);
    ao_oa_str(a, "gen_ai.response.model", span->model);
    ao_oa_str(a, "gen_ai.response.id", span->message_id);
    if (reason.len > 2 && reason.ptr[0] == '"')
        ao_oa_one_string(a, "gen_ai.response.finish_reasons",
                         ao_otlp_finish_reason((struct ao_str){reason.ptr + 1, reason.len - 2}));
    if (span->first_token && span->first_token >= span->start) {
        ao_oa_seconds(a, "gen_ai.response.time_to_first_chunk", span->first_token - span->start);
        ao_oa_seconds(a, "gen_ai.server.ttft", span->first_token - span->start); /* SigNoz' name */
    }
    if (!(vocabularies & AO_OTLP_LANGFUSE)) /* its own attributes hold them as they are */
        put_messages(a, span, reason);
}

static void put_tool(struct ao_oa *a, const struct ao_otlp_span *span, unsigned vocabularies)
{
    ao_oa_str(a, "gen_ai.tool.name", span->name);
    ao_oa_str(a, "gen_ai.tool.call.id", span->tool_call_id);
    ao_oa_str(a, "gen_ai.tool.type", AO_STR("function"));
    if (vocabularies & AO_OTLP_LANGFUSE)
        return;
    ao_oa_json(a, "gen_ai.tool.call.arguments", span->input);
    ao_oa_json(a, "gen_ai.tool.call.result", span->output);
}

static void put_kind(struct ao_oa *a, const struct ao_otlp_span *span, unsigned vocabularies)
{
    enum ao_otlp_kind kind = ao_otlp_kind(span);
    ao_oa_str(a, "gen_ai.operation.name", ao_str_from(operations[kind]));
    switch (kind) {
    case AO_OTLP_KIND_LLM:
        put_llm(a, span, vocabularies);
        break;
    case AO_OTLP_KIND_TOOL:
        put_tool(a, span, vocabularies);
        break;
    case AO_OTLP_KIND_AGENT:
        ao_oa_str(a, "gen_ai.agent.name", span->name);
        break;
    case AO_OTLP_KIND_OTHER:
        ao_oa_str(a, "gen_ai.response.model", span->model);
        break;
    }
    if ((kind == AO_OTLP_KIND_AGENT || kind == AO_OTLP_KIND_OTHER) && !(vocabularies & AO_OTLP_LANGFUSE)) {
        ao_otlp_put_value(a, "input.value", "input.mime_type", span->input);
        ao_otlp_put_value(a, "output.value", "output.mime_type", span->output);
    }
}

static void put_cost(struct ao_oa *a, const struct ao_otlp_span *span, unsigned vocabularies)
{
    if (span->cost_pusd != AO_OTLP_COST_UNKNOWN) {
        ao_oa_usd(a, "gen_ai.usage.cost", span->cost_pusd);
        if (vocabularies & AO_OTLP_LOGFIRE)
            ao_oa_usd(a, "operation.cost", span->cost_pusd);
    }
    ao_oa_str(a, "agentobs.cost.basis", span->cost_basis);
    if (span->run_cost_pusd != AO_OTLP_COST_UNKNOWN)
        ao_oa_usd(a, "agentobs.run.cost", span->run_cost_pusd);
}

/* The name that the program gave, where the conventions put another in its place. */
static struct ao_str lost_name(const struct ao_otlp_span *span, unsigned vocabularies)
{
    return ao_otlp_kind(span) == AO_OTLP_KIND_LLM && !(vocabularies & AO_OTLP_LANGFUSE) ? span->name : AO_STR_NONE;
}

static void put_own(struct ao_oa *a, const struct ao_otlp_span *span, const struct ao_otlp_resource *resource,
                    unsigned vocabularies)
{
    struct ao_str session = ao_otlp_session(span, resource);
    struct ao_str run_tags = resource ? resource->tags : AO_STR_NONE;
    ao_oa_str(a, "session.id", session);
    ao_oa_str(a, "gen_ai.conversation.id", session);
    ao_oa_str(a, "user.id", ao_otlp_user(span, resource));
    ao_oa_str(a, "error.type", span->failed && !span->error_type.ptr ? AO_STR("_OTHER") : span->error_type);
    ao_oa_str(a, "agentobs.type", span->type);
    ao_oa_str(a, "agentobs.name", lost_name(span, vocabularies));
    ao_oa_str(a, "agentobs.request_id", span->request_id);
    ao_oa_true(a, "agentobs.unfinished", span->unfinished);
    ao_oa_true(a, "agentobs.event", span->moment);
    ao_oa_strings(a, "agentobs.tags", run_tags, span->tags);
    for (size_t i = 0; i < span->extra_count; i++)
        ao_oa_strn(a, span->extra[i].key, span->extra[i].value);
}

void ao_otlp_put_attributes(struct ao_oa *a, const struct ao_otlp_span *span, const struct ao_otlp_resource *resource,
                            unsigned vocabularies)
{
    put_kind(a, span, vocabularies);
    put_usage(a, &span->usage);
    put_cost(a, span, vocabularies);
    put_own(a, span, resource, vocabularies);
    if (vocabularies & AO_OTLP_LANGFUSE)
        ao_otlp_put_langfuse(a, span, resource);
    if (vocabularies & AO_OTLP_OPENINFERENCE)
        ao_otlp_put_openinference(a, span, resource);
    else
        ao_oa_members(a, vocabularies & AO_OTLP_LANGFUSE ? "langfuse.observation.metadata." : "agentobs.metadata.",
                      span->metadata, NULL);
    ao_oa_members(a, "agentobs.metrics.", span->metrics, NULL);
    ao_oa_members(a, "", span->attributes, span->root ? is_root_key : is_span_key);
}
