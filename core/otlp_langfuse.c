/* Langfuse's own attributes (langfuse.com, "OpenTelemetry", property mapping). */
#include "core/cost.h"
#include "core/iso_time.h"
#include "core/otlp_vocabulary.h"

#define USAGE_MAX 320u /* bytes of usage_details: six names and numbers */

/* Its observation types are words that people may use themselves. */
static struct ao_str type_of(const struct ao_otlp_span *span)
{
    static const char *const theirs[] = {"embedding", "chain", "retriever", "guardrail", "evaluator"};
    if (span->moment)
        return AO_STR("event");
    switch (ao_otlp_kind(span)) {
    case AO_OTLP_KIND_LLM:
        return AO_STR("generation");
    case AO_OTLP_KIND_TOOL:
        return AO_STR("tool");
    case AO_OTLP_KIND_AGENT:
        return AO_STR("agent");
    case AO_OTLP_KIND_OTHER:
        break;
    }
    for (size_t i = 0; i < AO_ARRAY_LEN(theirs); i++)
        if (ao_str_eq_c(span->type, theirs[i]))
            return ao_str_from(theirs[i]);
    return AO_STR("span");
}

static void put_count(struct ao_jw *w, const char *key, bool known, uint64_t value)
{
    if (known)
        ao_jw_key_u64(w, key, value);
}

/*
 * Each token in one class only: Langfuse adds them up. Thinking stays inside output: its price tables have no class
 * for it. Cache writes that the split does not tell of go to the flat class.
 */
static void put_usage(struct ao_oa *a, const struct ao_token_counts *c)
{
    struct ao_buf text;
    struct ao_jw w;
    uint64_t split = ao_token_counts_split(c), flat = ao_token_counts_writes(c) - split;
    bool has_split = c->known & AO_COUNT_CACHE_SPLIT;
    if (!(c->known & (AO_COUNT_INPUT | AO_COUNT_OUTPUT | AO_COUNT_CACHE_READ | AO_COUNT_CACHE_WRITE |
                      AO_COUNT_CACHE_SPLIT)))
        return;
    ao_buf_init(&text, USAGE_MAX);
    ao_jw_init(&w, &text);
    ao_jw_object_begin(&w);
    put_count(&w, "input", c->known & AO_COUNT_INPUT, c->input);
    put_count(&w, "output", c->known & AO_COUNT_OUTPUT, c->output);
    put_count(&w, "input_cached_tokens", c->known & AO_COUNT_CACHE_READ, c->cache_read);
    put_count(&w, "input_cache_creation_5m", has_split, c->cache_write_5m);
    put_count(&w, "input_cache_creation_1h", has_split, c->cache_write_1h);
    put_count(&w, "input_cache_creation", c->known & AO_COUNT_CACHE_WRITE && (!has_split || flat), flat);
    ao_jw_object_end(&w);
    if (!ao_buf_err(&text))
        ao_oa_json(a, "langfuse.observation.usage_details", ao_buf_str(&text));
    else if (ao_buf_err(&text) == AO_ERR_NOMEM)
        a->w->out->err = AO_ERR_NOMEM;
    ao_buf_release(&text);
}

static void put_cost(struct ao_oa *a, int64_t pusd)
{
    char text[AO_USD_TEXT + 16] = "{\"total\":";
    size_t len = sizeof("{\"total\":") - 1;
    if (pusd == AO_OTLP_COST_UNKNOWN)
        return;
    len += ao_format_usd(pusd, text + len);
    text[len++] = '}';
    ao_oa_json(a, "langfuse.observation.cost_details", (struct ao_str){text, len});
}

/* "agentobs.tenant" -> "langfuse.trace.metadata.tenant" */
static void put_who(struct ao_oa *a, const struct ao_otlp_pair *pair)
{
    static const struct ao_str ours = {"agentobs.", 9}, theirs = {"langfuse.trace.metadata.", 24};
    char key[128];
    struct ao_str name = pair->key;
    if (ao_str_starts(name, ours))
        name = (struct ao_str){name.ptr + ours.len, name.len - ours.len};
    if (theirs.len + name.len > sizeof(key))
        return;
    memcpy(key, theirs.ptr, theirs.len);
    memcpy(key + theirs.len, name.ptr, name.len);
    ao_oa_strn(a, (struct ao_str){key, theirs.len + name.len}, pair->value);
}

/* Of the trace: Langfuse takes them from any of its spans. */
static void put_trace(struct ao_oa *a, const struct ao_otlp_span *span, const struct ao_otlp_resource *resource)
{
    ao_oa_strings(a, "langfuse.trace.tags", resource->tags, span->root ? span->tags : AO_STR_NONE);
    for (size_t i = 0; i < resource->who_count; i++)
        put_who(a, &resource->who[i]);
}

void ao_otlp_put_langfuse(struct ao_oa *a, const struct ao_otlp_span *span, const struct ao_otlp_resource *resource)
{
    char time[AO_ISO_TIME];
    ao_oa_str(a, "langfuse.user.id", ao_otlp_user(span, resource));
    ao_oa_str(a, "langfuse.session.id", ao_otlp_session(span, resource));
    if (resource)
        put_trace(a, span, resource);
    if (span->root) {
        /* A trace that continues another program's has no root span here to take its name from. */
        ao_oa_str(a, "langfuse.trace.name", span->name);
        ao_oa_json(a, "langfuse.trace.input", span->input);
        ao_oa_json(a, "langfuse.trace.output", span->output);
    }
    ao_oa_str(a, "langfuse.observation.type", type_of(span));
    if (span->failed) {
        ao_oa_str(a, "langfuse.observation.level", AO_STR("ERROR"));
        ao_oa_str(a, "langfuse.observation.status_message",
                  span->error_message.ptr ? span->error_message : span->error_type);
    }
    ao_oa_json(a, "langfuse.observation.input", span->input);
    ao_oa_json(a, "langfuse.observation.output", span->output);
    ao_oa_str(a, "langfuse.observation.model.name", span->model);
    put_usage(a, &span->usage);
    put_cost(a, span->cost_pusd);
    if (span->first_token && span->first_token >= span->start)
        ao_oa_str(a, "langfuse.observation.completion_start_time",
                  (struct ao_str){time, ao_format_iso_time(span->first_token, time)});
}
