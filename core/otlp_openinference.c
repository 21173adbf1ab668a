/* Arize OpenInference's attributes (github.com/Arize-ai/openinference, spec/semantic_conventions.md): Phoenix. */
#include "core/otlp_vocabulary.h"

static struct ao_str kind_of(const struct ao_otlp_span *span)
{
    static const struct {
        const char *type, *kind;
    } words[] = {{"llm", "LLM"},           {"tool", "TOOL"},           {"agent", "AGENT"},
                 {"embedding", "EMBEDDING"}, {"retriever", "RETRIEVER"}, {"reranker", "RERANKER"},
                 {"guardrail", "GUARDRAIL"}, {"evaluator", "EVALUATOR"}};
    for (size_t i = 0; i < AO_ARRAY_LEN(words); i++)
        if (ao_str_eq_c(span->type, words[i].type))
            return ao_str_from(words[i].kind);
    return AO_STR("CHAIN");
}

/* The prompt includes the cache, as with the GenAI conventions. */
static void put_usage(struct ao_oa *a, const struct ao_token_counts *c)
{
    bool input = c->known & AO_COUNT_INPUT, output = c->known & AO_COUNT_OUTPUT;
    uint64_t prompt = ao_token_counts_prompt(c);
    if (input)
        ao_oa_u64(a, "llm.token_count.prompt", prompt);
    if (output)
        ao_oa_u64(a, "llm.token_count.completion", c->output);
    if (input && output)
        ao_oa_u64(a, "llm.token_count.total", ao_add_saturating(prompt, c->output));
    if (c->known & AO_COUNT_CACHE_READ)
        ao_oa_u64(a, "llm.token_count.prompt_details.cache_read", c->cache_read);
    if (c->known & (AO_COUNT_CACHE_WRITE | AO_COUNT_CACHE_SPLIT))
        ao_oa_u64(a, "llm.token_count.prompt_details.cache_write", ao_token_counts_writes(c));
    if (c->known & AO_COUNT_THINKING)
        ao_oa_u64(a, "llm.token_count.completion_details.reasoning", c->thinking);
}

void ao_otlp_put_openinference(struct ao_oa *a, const struct ao_otlp_span *span,
                               const struct ao_otlp_resource *resource)
{
    enum ao_otlp_kind kind = ao_otlp_kind(span);
    ao_oa_str(a, "openinference.span.kind", kind_of(span));
    ao_otlp_put_value(a, "input.value", "input.mime_type", span->input);
    ao_otlp_put_value(a, "output.value", "output.mime_type", span->output);
    if (kind == AO_OTLP_KIND_LLM) {
        ao_oa_str(a, "llm.model_name", span->model);
        ao_oa_str(a, "llm.provider", span->provider);
        ao_oa_str(a, "llm.system", span->provider);
    }
    if (kind == AO_OTLP_KIND_TOOL) {
        ao_oa_str(a, "tool.name", span->name);
        ao_oa_str(a, "tool.id", span->tool_call_id);
        ao_oa_json(a, "tool.parameters", span->input);
    }
    if (kind == AO_OTLP_KIND_AGENT)
        ao_oa_str(a, "agent.name", span->name);
    put_usage(a, &span->usage);
    if (span->cost_pusd != AO_OTLP_COST_UNKNOWN)
        ao_oa_usd(a, "llm.cost.total", span->cost_pusd);
    ao_oa_json(a, "metadata", span->metadata);
    ao_oa_strings(a, "tag.tags", resource ? resource->tags : AO_STR_NONE, span->tags);
}
