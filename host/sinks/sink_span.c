#include "host/sinks/sink_span.h"

static bool mentions(const char *model, const char *word)
{
    return model && strstr(model, word);
}

struct ao_str sink_span_provider(const struct span *span)
{
    bool llm = span->type && strcmp(span->type, "llm") == 0;
    bool claude = span->origin == SPAN_FROM_STREAM || mentions(span->model, "claude") ||
                  mentions(span->model, "anthropic") || !span->model;
    return llm && claude ? AO_STR("anthropic") : AO_STR_NONE;
}

struct ao_str sink_span_origin(const struct span *span)
{
    switch (span->origin) {
    case SPAN_FROM_STREAM:
        return AO_STR("claude-code");
    case SPAN_FROM_HOST:
        return AO_STR("agentobs-host");
    case SPAN_FROM_RECORD:
        break;
    }
    return AO_STR("agentobs");
}

_Static_assert((int)AO_COUNT_INPUT == (int)SPAN_USAGE_INPUT && (int)AO_COUNT_OUTPUT == (int)SPAN_USAGE_OUTPUT &&
                   (int)AO_COUNT_CACHE_READ == (int)SPAN_USAGE_CACHE_READ &&
                   (int)AO_COUNT_CACHE_WRITE == (int)SPAN_USAGE_CACHE_WRITE &&
                   (int)AO_COUNT_CACHE_SPLIT == (int)SPAN_USAGE_CACHE_SPLIT &&
                   (int)AO_COUNT_THINKING == (int)SPAN_USAGE_THINKING,
               "the encoder's names are the host's");

struct ao_token_counts sink_span_usage(const struct span_usage *usage)
{
    return (struct ao_token_counts){
        .input = usage->input,
        .output = usage->output,
        .cache_read = usage->cache_read,
        .cache_write = usage->cache_write,
        .cache_write_5m = usage->cache_write_5m,
        .cache_write_1h = usage->cache_write_1h,
        .thinking = usage->thinking,
        .known = usage->known,
    };
}
