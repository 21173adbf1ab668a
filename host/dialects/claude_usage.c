#include "host/dialects/claude_usage.h"

#include "host/dialects/claude_json.h"

static void read_count(struct claude_usage *usage, yyjson_val *object, const char *key, uint64_t *count, unsigned bit)
{
    if (claude_u64(object, key, count))
        usage->known |= bit;
}

/* A word; what is too long to be one of the API's is no word. */
static void read_word(yyjson_val *object, const char *key, char *word, size_t size)
{
    struct ao_str text = claude_str(object, key);
    if (text.len == 0 || text.len >= size)
        return;
    memcpy(word, text.ptr, text.len);
    word[text.len] = '\0';
}

void claude_usage_read(struct claude_usage *usage, yyjson_val *object)
{
    yyjson_val *split = claude_get(object, "cache_creation");
    read_count(usage, object, "input_tokens", &usage->input, CLAUDE_USAGE_INPUT);
    read_count(usage, object, "output_tokens", &usage->output, CLAUDE_USAGE_OUTPUT);
    read_count(usage, object, "cache_read_input_tokens", &usage->cache_read, CLAUDE_USAGE_CACHE_READ);
    read_count(usage, object, "cache_creation_input_tokens", &usage->cache_write, CLAUDE_USAGE_CACHE_WRITE);
    read_count(usage, split, "ephemeral_5m_input_tokens", &usage->write_5m, CLAUDE_USAGE_WRITE_5M);
    read_count(usage, split, "ephemeral_1h_input_tokens", &usage->write_1h, CLAUDE_USAGE_WRITE_1H);
    read_count(usage, claude_get(object, "output_tokens_details"), "thinking_tokens", &usage->thinking,
               CLAUDE_USAGE_THINKING);
    read_count(usage, claude_get(object, "server_tool_use"), "web_search_requests", &usage->web_search,
               CLAUDE_USAGE_WEB_SEARCH);
    read_word(object, "service_tier", usage->tier, sizeof(usage->tier));
    read_word(object, "speed", usage->speed, sizeof(usage->speed));
    read_word(object, "inference_geo", usage->geo, sizeof(usage->geo));
    /* A response that shrank its prompt (compaction) tells the new sum without a split: the old split is none of it. */
    if (!split && (usage->known & CLAUDE_USAGE_CACHE_WRITE) && claude_get(object, "cache_creation_input_tokens") &&
        (usage->write_5m > usage->cache_write || usage->write_1h > usage->cache_write - usage->write_5m)) {
        usage->write_5m = usage->write_1h = 0;
        usage->known &= ~(unsigned)(CLAUDE_USAGE_WRITE_5M | CLAUDE_USAGE_WRITE_1H);
    }
}

bool claude_usage_is_zero(const struct claude_usage *u)
{
    return !(u->input || u->output || u->cache_read || u->cache_write || u->write_5m || u->write_1h || u->web_search);
}

bool claude_usage_equal(const struct claude_usage *a, const struct claude_usage *b)
{
    return a->input == b->input && a->output == b->output && a->cache_read == b->cache_read &&
           a->cache_write == b->cache_write && a->write_5m == b->write_5m && a->write_1h == b->write_1h &&
           a->thinking == b->thinking && a->web_search == b->web_search && a->known == b->known &&
           strcmp(a->tier, b->tier) == 0 && strcmp(a->speed, b->speed) == 0 && strcmp(a->geo, b->geo) == 0;
}

void claude_usage_set(const struct claude_usage *u, struct ao_record *record)
{
    if (u->known & CLAUDE_USAGE_INPUT)
        AO_SET(record, input_tokens, u->input);
    if (u->known & CLAUDE_USAGE_OUTPUT)
        AO_SET(record, output_tokens, u->output);
    if (u->known & CLAUDE_USAGE_CACHE_READ)
        AO_SET(record, cache_read_input_tokens, u->cache_read);
    if (u->known & CLAUDE_USAGE_CACHE_WRITE)
        AO_SET(record, cache_creation_input_tokens, u->cache_write);
    if (u->known & CLAUDE_USAGE_WRITE_5M)
        AO_SET(record, ephemeral_5m_input_tokens, u->write_5m);
    if (u->known & CLAUDE_USAGE_WRITE_1H)
        AO_SET(record, ephemeral_1h_input_tokens, u->write_1h);
    if (u->known & CLAUDE_USAGE_THINKING)
        AO_SET(record, thinking_tokens, u->thinking);
    if (u->known & CLAUDE_USAGE_WEB_SEARCH)
        AO_SET(record, web_search_requests, u->web_search);
    if (u->tier[0])
        AO_SET(record, service_tier, ao_str_from(u->tier));
    if (u->speed[0])
        AO_SET(record, speed, ao_str_from(u->speed));
    if (u->geo[0])
        AO_SET(record, inference_geo, ao_str_from(u->geo));
}
